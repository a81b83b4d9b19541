"""What a sweep writes down, by hand: two trials, two seeds, segments of 2, 2 and 1 steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdjax import Task
from gdjax.sweep.ledger import Ledger, judge
from gdjax.sweep.packing import Shape, pack
from gdjax.sweep.population import Segments
from gdjax.sweep.table import Spent, Status

NAN, INF = np.nan, np.inf
RUNNING, DONE, STOPPED, DIVERGED = Status
STEPS = np.array([2, 4, 5])
SHAPE = Shape(devices=1, chunks=2, width=2)


def make(objective="loss", mode="min"):
    task = Task(
        init=lambda key: jnp.zeros(()),
        loss=lambda params, batch, key: (params, {"hits": jnp.int32(1)}),
        batch=lambda key, step: None,
        evaluate=lambda params: {"accuracy": params.astype(jnp.bfloat16)},
        objective=objective,
        mode=mode,
    )
    return Ledger(trials=2, seeds=2, steps=STEPS, task=task)


def measure(ledger, segment, loss, accuracy=1.0, finite=True, trials=(0, 1)):
    """One segment of ``trials``: ``loss`` is [trial, seed, step]; a program always makes 2."""
    ledger.hand_out(np.array(trials), SHAPE.width)
    (job,) = pack(np.array(trials), np.full(len(trials), segment), 2, SHAPE)
    runs = len(trials), 2
    loss = np.broadcast_to(np.asarray(loss, np.float32), (*runs, 2))
    accuracy = np.broadcast_to(np.asarray(accuracy, jnp.bfloat16), runs)
    finite = np.broadcast_to(finite, runs)

    def laid(values):  # [trial, seed, ...] -> [chunk, run, ...], and filled up
        values = np.swapaxes(values, 0, 1)
        return np.concatenate([values, values], axis=1)[:, :2]

    traces = {"loss": np.swapaxes(laid(loss), 1, 2)}
    traces["hits"] = np.ones(traces["loss"].shape, np.int32)
    made = Segments(traces, {"accuracy": laid(accuracy)}, laid(finite))
    ledger.collect(job, job.trials, jax.tree.map(lambda x: x[:, None], made))


def test_a_sweep_without_trouble():
    ledger = make()
    assert ledger.active.all()
    assert not ledger.waiting.any()
    loss = np.array([[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]])
    measure(ledger, 0, loss, [[0.5, 0.25], [1, 2]])
    assert ledger.waiting.all()
    assert ledger.run_steps.tolist() == [4, 4]
    assert ledger.progress == 0.4
    assert ledger.scores[:, 0].tolist() == [2.5, 6.5]
    assert ledger.best == 2.5
    measure(ledger, 1, loss + 10)
    measure(ledger, 2, loss + 20)
    assert ledger.traces["loss"].tolist() == [
        [[1, 2, 11, 12, 21], [3, 4, 13, 14, 23]],
        [[5, 6, 15, 16, 25], [7, 8, 17, 18, 27]],
    ]
    assert ledger.traces["hits"].dtype == np.float64
    assert (ledger.traces["hits"] == 1).all()
    assert ledger.evaluations["accuracy"].dtype == np.float32
    assert ledger.evaluations["accuracy"][..., 0].tolist() == [[0.5, 0.25], [1, 2]]
    assert ledger.scores.tolist() == [[2.5, 12.5, 22], [6.5, 16.5, 26]]
    assert (ledger.status == DONE).all()
    assert (ledger.diverged_at == -1).all()
    assert (ledger.reason == "").all()
    assert (ledger.width == 2).all()
    assert not ledger.active.any()
    assert not ledger.waiting.any()
    assert ledger.run_steps.tolist() == [10, 10]
    assert ledger.progress == 1


def test_one_seed_diverges_and_the_other_does_not():
    ledger = make(objective="accuracy", mode="max")
    measure(ledger, 0, 1.0, accuracy=[[0.5, 0.25], [1, 1]])
    assert ledger.scores[:, 0].tolist() == [-0.375, -1]
    loss = [[[3, 4], [5, NAN]], [[1, 1], [1, 1]]]
    measure(ledger, 1, loss, finite=[[True, False], [True, True]])
    assert ledger.status.tolist() == [[RUNNING, DIVERGED], [RUNNING, RUNNING]]
    assert ledger.diverged_at.tolist() == [[-1, 3], [-1, -1]]
    assert ledger.reason.tolist() == [["", "loss is nan"], ["", ""]]
    assert ledger.scores[:, 1].tolist() == [INF, -1]
    assert ledger.active.all()
    assert ledger.waiting.all()
    measure(ledger, 2, 7.0)  # it looks as if it were well again
    np.testing.assert_array_equal(
        ledger.traces["loss"][0], np.float32([[1, 1, 3, 4, 7], [1, 1, 5, NAN, NAN]])
    )
    np.testing.assert_array_equal(ledger.traces["hits"][0, 1], [1, 1, 1, 1, NAN])
    np.testing.assert_array_equal(
        ledger.evaluations["accuracy"][0], np.float32([[0.5, 1, 1], [0.25, NAN, NAN]])
    )
    assert ledger.status.tolist() == [[DONE, DIVERGED], [DONE, DONE]]
    assert ledger.diverged_at[0, 1] == 3
    assert ledger.scores[0].tolist() == [-0.375, INF, INF]


def test_a_trial_whose_seeds_all_diverged_is_over():
    ledger = make()
    measure(ledger, 0, [[[1, 1], [1, 1]], [[NAN, NAN], [INF, -INF]]])
    assert ledger.status[1].tolist() == [DIVERGED, DIVERGED]
    assert ledger.diverged_at[1].tolist() == [0, 0]
    assert ledger.reason[1].tolist() == ["loss is nan", "loss is inf"]
    assert ledger.active.tolist() == [True, False]
    assert ledger.waiting.tolist() == [True, False]
    assert ledger.progress == pytest.approx((0.4 + 1) / 2)
    table = ledger.table(slots=1, capacity=2, spent=Spent())
    assert table.active.tolist() == [True, False]
    assert table.scores[:, 0].tolist() == [1, INF]


def test_a_parameter_that_breaks_in_the_last_update_of_a_short_segment():
    ledger = make()
    measure(ledger, 0, 1.0)
    measure(ledger, 1, 1.0)
    measure(ledger, 2, [[[3, NAN]] * 2] * 2, finite=[[True, False], [True, True]])
    assert ledger.status.tolist() == [[DONE, DIVERGED], [DONE, DONE]]
    assert ledger.diverged_at.tolist() == [[-1, 5], [-1, -1]]
    assert ledger.reason[0, 1] == "a parameter is not finite"
    assert (ledger.traces["loss"][..., 4] == 3).all()
    assert np.isnan(ledger.evaluations["accuracy"][0, 1, 2])


def test_a_loss_that_is_not_finite_once_is_no_divergence_and_does_not_count():
    ledger = make()
    measure(ledger, 0, [[[NAN, 1], [1, 3]], [[1, INF], [1, -INF]]])
    assert (ledger.status == RUNNING).all()
    assert ledger.scores[:, 0].tolist() == [1.5, 1]
    np.testing.assert_array_equal(ledger.traces["loss"][0, 0, :2], np.float32([NAN, 1]))


def test_losses_at_the_end_of_float32_have_a_mean():
    ledger = make()
    measure(ledger, 0, 3e38)
    np.testing.assert_allclose(ledger.scores[:, 0], 3e38, rtol=1e-6)


def test_stopping_leaves_what_diverged():
    ledger = make()
    measure(ledger, 0, [[[1, 1], [NAN, NAN]], [[1, 1], [1, 1]]])
    ledger.stop(np.array([0]), ["enough"])
    assert ledger.status.tolist() == [[STOPPED, DIVERGED], [RUNNING, RUNNING]]
    assert ledger.reason.tolist() == [["enough", "loss is nan"], ["", ""]]
    assert ledger.active.tolist() == [False, True]
    assert ledger.waiting.tolist() == [False, True]


def test_a_segment_that_is_computing_is_pending():
    ledger = make()
    ledger.hand_out(np.array([1]), 2)
    table = ledger.table(slots=1, capacity=2, spent=Spent())
    assert table.done.tolist() == [0, 1]
    assert table.pending.tolist() == [False, True]
    assert ledger.waiting.tolist() == [False, True]
    assert np.isnan(table.scores).all()


def test_trials_at_different_segments_in_one_job():
    ledger = make()
    measure(ledger, 0, 1.0, trials=(0,))
    ledger.hand_out(np.array([0, 1]), 1)
    (job,) = pack(np.array([0, 1]), np.array([1, 0]), 2, Shape(1, 4, 1))
    loss = np.arange(8, dtype=np.float32).reshape(4, 2, 1)  # [chunk, step, run]
    rest = np.ones((4, 1), np.float32)
    traces = {"loss": loss, "hits": loss.astype(np.int32)}
    made = Segments(traces, {"accuracy": rest}, rest > 0)
    ledger.collect(job, job.trials, jax.tree.map(lambda x: x[:, None], made))
    assert job.trials[:, 0].tolist() == [1, 1, 0, 0]
    assert ledger.traces["loss"][1, :, :2].tolist() == [[0, 1], [2, 3]]
    assert ledger.traces["loss"][0, :, 2:4].tolist() == [[4, 5], [6, 7]]
    assert ledger.measured.tolist() == [2, 1]
    np.testing.assert_array_equal(ledger.scores, [[1, 5.5, NAN], [1.5, NAN, NAN]])


def test_several_segments_of_one_job():
    """Both runs of trial 1 diverge in the second of three segments: it makes no third."""
    ledger = make()
    ledger.hand_out(np.array([0, 1]), 2, segments=3)
    (job,) = pack(np.array([0, 1]), np.array([0, 0]), 2, SHAPE, segments=3)
    loss = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)  # [chunk, segment, step, run]
    finite = np.ones((2, 3, 2), bool)  # [chunk, segment, run]
    finite[:, 1:, 1] = False
    traces = {"loss": loss, "hits": loss.astype(np.int32)}
    ledger.collect(job, job.trials, Segments(traces, {"accuracy": finite * 1.0}, finite))
    assert ledger.traces["loss"][0].tolist() == [[0, 2, 4, 6, 8], [12, 14, 16, 18, 20]]
    np.testing.assert_array_equal(ledger.traces["loss"][1, 0], [1, 3, 5, 7, NAN])
    assert ledger.status.tolist() == [[DONE, DONE], [DIVERGED, DIVERGED]]
    assert ledger.measured.tolist() == ledger.made.tolist() == [3, 2]
    assert ledger.width.tolist() == [[2, 2, 2], [2, 2, 0]]
    np.testing.assert_array_equal(ledger.scores, [[7, 11, 14], [8, INF, NAN]])


def test_arrays_restore_all_that_counts():
    ledger = make(objective="accuracy")
    measure(ledger, 0, [[[1, 1], [NAN, NAN]], [[1, 1], [1, 1]]])
    ledger.stop(np.array([1]), ["a long reason, in words: ü"])
    other = make(objective="accuracy")
    other.restore({name: values.copy() for name, values in ledger.arrays().items()})
    for name, values in vars(ledger).items():
        if isinstance(values, np.ndarray):
            np.testing.assert_array_equal(getattr(other, name), values, err_msg=name)
            assert getattr(other, name).dtype == values.dtype, name
    for kind in ("traces", "evaluations"):
        for name, values in getattr(ledger, kind).items():
            np.testing.assert_array_equal(getattr(other, kind)[name], values)
            assert getattr(other, kind)[name].dtype == values.dtype
    for each in (ledger, other):
        measure(each, 1, 2.0, accuracy=0.5, trials=(0,))
        each.stop(np.array([0]), ["a reason that is longer than all before, so that it is not cut"])
    np.testing.assert_array_equal(other.reason, ledger.reason)
    np.testing.assert_array_equal(other.scores, ledger.scores)
    assert other.reason[0, 0].endswith("cut")


@pytest.mark.parametrize(
    ("loss", "finite", "since", "reason"),
    [
        ([1, 2, 3], True, None, ""),
        ([NAN, NAN, 3], True, None, ""),
        ([1, NAN, NAN], True, None, ""),
        ([NAN, NAN, NAN], True, 0, "loss is nan"),
        ([-INF, NAN, INF], True, 0, "loss is -inf"),
        ([1, 2, 3], False, 3, "a parameter is not finite"),
        ([1, NAN, INF], False, 1, "loss is nan"),
        ([NAN, 2, INF], False, 2, "loss is inf"),
        ([NAN, NAN, INF], False, 0, "loss is nan"),
    ],
)
def test_judge(loss, finite, since, reason):
    diverged, at, why = judge(np.array([loss], float), np.array([finite]))
    assert diverged.tolist() == [since is not None]
    assert at.tolist() == [3 if since is None else since]
    assert why.tolist() == [reason]
