"""Batches from the host: which one each run sees at each step, under every rule."""

import concurrent.futures
import dataclasses
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax import InvalidType, InvalidValue, Stream
from gdjax.sweep import concatenate, feeding, population
from gdjax.sweep.packing import Shape, pack
from tests import runs
from tests.sweep import killed
from tests.sweep.comparing import check_reruns, check_same
from tests.sweep.stopping import Interrupted, interrupt, stop_at

STEPS, EPOCH = 15, 6
FEW = {"steps": 4, "seeds": 1, "optimizer": killed.momentum}


def loss(params, batch, key):
    number, factors = batch["number"], batch["factors"]
    return jnp.sum((params * factors) ** 2), {"number": number}


def numbered(number, who=()):
    """The batch of a step: its number, with trial and seed in the digits before it."""
    trial, seed = (0, 0, *who)[-2:]
    draw = np.random.default_rng([trial, seed, number])
    return {"number": np.float32(10000 * trial + 100 * seed + number), "factors": draw.random(4)}


def forever(*who):
    number = 0
    while True:
        yield numbered(number, who)
        number += 1


def one_epoch(*who):
    return (numbered(number, who) for number in range(EPOCH))


STREAMS = {
    "sweep": Stream(forever),
    "a list": Stream([numbered(number) for number in range(EPOCH)]),
    "epochs": Stream(one_epoch),
    "seed": Stream(forever, per="seed"),
    "lists of seeds": Stream(lambda seed: list(one_epoch(seed)), per="seed"),
    "trial": Stream(lambda trial, seed: forever(trial, seed), per="trial"),
}


def fed(stream):
    return dataclasses.replace(killed.TASK, loss=loss, batch=stream)


def train(name, rule, directory=None, **changes):
    stream = name if isinstance(name, Stream) else STREAMS[name]
    return killed.train(directory, rule, task=fed(stream), resume=directory is not None, **changes)


def check_numbers(name, result):
    """Each run saw, at each step that it made, the batch of that step."""
    trial, seed, step = np.indices(result.traces["number"].shape)
    step %= EPOCH if name in ("a list", "epochs", "lists of seeds") else STEPS
    seed = seed * (STREAMS[name].per != "sweep")
    trial = trial * (STREAMS[name].per == "trial")
    expected = np.float32(10000 * trial + 100 * seed + step)
    made = np.isfinite(result.traces["loss"])
    assert made.sum() > 100
    np.testing.assert_array_equal(result.traces["number"][made], expected[made])


@pytest.mark.parametrize("rule", killed.RULES)
@pytest.mark.parametrize("name", ["sweep", "seed", "trial"])
def test_each_step_sees_its_batch_and_reruns_are_bit_equal(name, rule):
    result = train(name, rule)
    check_numbers(name, result)
    check_reruns(result, [0, 4, 11])


@pytest.mark.parametrize("name", ["a list", "epochs", "lists of seeds"])
def test_a_stream_that_ends_begins_again(name):
    check_numbers(name, train(name, "none"))


@pytest.mark.parametrize("name", ["seed", "trial"])
@pytest.mark.parametrize("rule", ["asha", "pbt"])
def test_a_sweep_goes_on_at_the_exact_batch(name, rule, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at(patch, 5, interrupt)
        with pytest.raises(Interrupted):
            train(name, rule, tmp_path)
    check_same(train(name, rule, tmp_path), train(name, rule))


def test_it_trains_as_with_data_on_the_device():
    table = np.stack([numbered(number)["factors"] for number in range(STEPS)]).astype(np.float32)

    def rows(key, step, table):
        return {"number": jnp.float32(step), "factors": table[step]}

    on_device = killed.train(None, "none", task=fed(gdjax.bind(rows, table=table)), resume=False)
    check_same(train("sweep", "none"), on_device)


def test_a_context_of_64_bits_holds_for_what_is_read():
    def numbers(x64):
        with runs.enable_x64(x64):
            return train(stream, "none", **FEW).traces["number"][0, 0]

    stream = Stream([{"number": 1 + 1e-9 * i, "factors": np.ones(4)} for i in range(5)])
    np.testing.assert_array_equal(numbers(True), 1 + 1e-9 * np.arange(4))
    np.testing.assert_array_equal(numbers(False), np.ones(4, np.float32))


def test_a_measured_width_trains_the_same():
    measured = train("trial", "none", width="measured", **FEW)
    width = int(measured.width.max())
    check_same(measured, train("trial", "none", width=width, **FEW))


def test_it_is_read_once_and_ahead():
    """While the devices have a segment, the next one is read; nothing is read twice."""
    begun, read, ahead = [], [], threading.Event()

    def batches():
        begun.append(True)
        for number in range(STEPS):
            read.append(number)
            if number == 3 and len(begun) > 2:
                ahead.set()
            yield numbered(number)

    stream = Stream(batches)
    _ = stream.first  # begins it twice
    mesh = population.make_mesh((jax.devices()[0],))
    feed = feeding.Feed(stream, np.array([2, 4, 6]), 1, mesh)
    assert feed.shared(0)["number"].tolist() == [[0, 1]]
    assert ahead.wait(timeout=60)
    assert [feed.shared(i)["number"].tolist() for i in (1, 2)] == [[[2, 3]], [[4, 5]]]
    assert len(begun) == 3
    assert read == [0, 0, *range(6)]


def test_a_batch_that_cannot_be_read_is_told_and_the_sweep_goes_on(tmp_path):
    broken = [True]

    def batches():
        for number in range(STEPS):
            if number == 9 and broken[0]:
                raise OSError("the disk is gone")
            yield numbered(number)

    with pytest.raises(InvalidType, match=r"batch 9 cannot be read: OSError: the disk is gone"):
        train(Stream(batches), "none", tmp_path)
    broken[0] = False
    check_same(train(Stream(batches), "none", tmp_path), train("sweep", "none"))


def test_a_rerun_reads_again_what_could_not_be_read_and_keeps_nothing():
    broken = [False]

    def batches():
        for number in range(4):
            if number == 3 and broken[0]:
                raise OSError("the disk is gone")
            yield numbered(number)

    result = train(Stream(batches), "none", **FEW)
    broken[0] = True
    with pytest.raises(InvalidType, match="batch 3 cannot be read"):
        result.rerun(0)
    broken[0] = False
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for trial, again in enumerate(pool.map(result.rerun, range(3))):
            np.testing.assert_array_equal(again.traces["loss"], result.traces["loss"][trial])


def test_trials_numbered_anew_are_not_given_others_batches(tmp_path):
    task, parts = fed(STREAMS["trial"]), []
    for number in range(2):
        space = {"learning_rate": [0.01, 0.02 + number]}
        train("trial", "none", space=space, **FEW).save(tmp_path / str(number))
        loaded = gdjax.SweepResult.load(tmp_path / str(number))
        parts.append(gdjax.reconnect(loaded, task, killed.momentum))
    whole = concatenate(parts)
    check_reruns(whole)
    whole.save(tmp_path / "whole")
    with pytest.raises(InvalidValue, match=r"other numbers .* reconnect the results that it was"):
        gdjax.reconnect(gdjax.SweepResult.load(tmp_path / "whole"), task, killed.momentum)


def test_nothing_is_read_after_the_end():
    """What was still to be read is not, once a run has failed."""
    begun, go = [], threading.Event()

    def batches(trial, seed):
        begun.append(trial)
        if trial == 1 and begun.count(0) > 2:
            go.wait(timeout=60)
        if trial == 0 and begun.count(0) == 3:
            raise OSError("the disk is gone")
        while True:
            yield {"x": np.ones(2)}

    stream = Stream(batches, per="trial")
    _ = stream.first  # begins it twice
    feed = feeding.Feed(stream, np.array([2, 4]), 1, population.make_mesh((jax.devices()[0],)))
    (job,) = pack(np.arange(4), np.zeros(4, int), 1, Shape(1, 1, 4))
    with pytest.raises(InvalidType, match="the disk is gone"), feed:
        feed.own(job.trials, job)
    go.set()
    with feed:
        assert feed.own(job.trials[:, :1], job)["x"].shape == (1, 1, 2, 2)
    assert begun.count(0) == 4
    assert not {2, 3}.intersection(begun)


def test_other_data_are_refused(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at(patch, 3, interrupt)
        with pytest.raises(Interrupted):
            train("sweep", "none", tmp_path)
    with pytest.raises(InvalidValue, match="data of the task was"):
        train(Stream(lambda: forever(1)), "none", tmp_path)


def test_batches_of_another_shape_are_refused():
    batches = [{"number": np.float32(i), "factors": np.ones(4 - (i == 3))} for i in range(5)]
    message = (
        r"batch 3 is {factors: float32\[3\], number: float32\[\]}, and the first one is "
        r"{factors: float32\[4\], number: float32\[\]}; leave out"
    )
    with pytest.raises(InvalidValue, match=message):
        train(Stream(batches), "none")


def test_segments_are_as_long_as_their_batches_fit(monkeypatch):
    step = 20 * 2 * 18  # bytes: of a batch, seeds, trials
    monkeypatch.setattr(feeding, "BLOCK", 3 * step)
    assert train("trial", "none", segment=None, steps=100).attributes["segment"] == 3
    monkeypatch.setattr(feeding, "memory", lambda devices: 3 * 10 * step)
    with pytest.raises(InvalidValue, match=r"batches of 3 segments of 11 steps .* shorter segment"):
        train("trial", "none", segment=11)


def test_what_asha_comes_back_to_is_kept_as_far_as_it_fits(monkeypatch):
    begun = []

    def batches():
        begun.append(True)
        return forever()

    def begins():
        begun.clear()
        rates = {"learning_rate": np.geomspace(1e-3, 1e-1, 24).tolist()}
        train(Stream(batches), "asha", optimizer=killed.momentum, space=rates, width=1)
        return len(begun)

    assert begins() == 3, "twice for the first batch"
    monkeypatch.setattr(feeding, "BLOCK", 1)
    assert begins() > 3
