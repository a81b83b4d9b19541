"""Diagnoses of whole runs and of trials of sweeps; what is refused."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax import diagnostics
from gdjax.doctor import RULES
from gdjax.doctor.case import costly_monitors, times
from gdjax.sweep.table import Status

HIGH, LOW, SETTINGS = "learning rate too high", "learning rate too low", "unvalidated settings"


def init(key):
    return jax.random.normal(key, (3,))


def loss(params, batch, key):
    return jnp.mean((batch["x"] @ params - batch["y"]) ** 2)


def draw(key, step):
    x = jax.random.normal(key, (8, 3))
    return {"x": x, "y": x.sum(axis=1)}


LINEAR = gdjax.Task(init, loss, draw)


@pytest.fixture(scope="module")
def result():
    """Three learning rates with a monitor that sees few of the signs; the last one diverges."""
    task = LINEAR.with_monitors(diagnostics.norms())
    rates = [1e-4, 0.1, 3.0]
    return gdjax.sweep(task, gdjax.sgd, {"learning_rate": rates}, seeds=3, steps=60, segment=3)


@pytest.mark.parametrize(
    ("task", "optimizer", "challenges"),
    [
        (LINEAR.with_monitors(diagnostics.norms()), optax.sgd(0.1), ()),
        (LINEAR, gdjax.sgd(gdjax.cosine_decay_schedule(1e-4, 64)), (LOW,)),
    ],
)
def test_optimizers_of_both_libraries(task, optimizer, challenges):
    diagnosis = gdjax.diagnose(task, optimizer, steps=64, seeds=2)
    assert diagnosis.challenges == challenges
    assert diagnosis.seeds == 2
    assert diagnosis.steps == 64
    assert set(diagnosis.looked_for) >= {HIGH, LOW, "batch too small", "corrupted examples"}


def test_a_loss_of_one_batch_size_is_told_less_of():
    def sized(params, batch, key):
        return jnp.sum((batch["x"] @ params - batch["y"]).reshape(8) ** 2) / 8

    diagnosis = gdjax.diagnose(gdjax.Task(init, sized, draw), gdjax.sgd(0.1), steps=32, seeds=1)
    assert diagnosis.challenges == ()
    assert set(diagnosis.not_told) >= {"batch too small", "batch too large"}


def test_of_estimated_gradients_no_noise_is_told():
    for estimator, told in ((jax.value_and_grad, True), (gdjax.spsa, False)):
        task = dataclasses.replace(LINEAR, value_and_grad=estimator)
        _, seen = task.with_monitors(*costly_monitors(task, gdjax.sgd(0.1))).measured()
        assert ("gradient_variance" in seen) == told
        assert "sharpness" in seen


def test_another_learning_rate_below_a_loss_scale():
    slower = times(gdjax.dynamic_loss_scale(gdjax.sgd(0.1)), 0.5)  # a loss scale is outermost
    params = [gdjax.train(LINEAR, x, steps=4, key=0).params for x in (slower, gdjax.sgd(0.05))]
    np.testing.assert_allclose(*params, rtol=1e-5)


def test_data_that_come_from_the_host():
    def batches():
        generator = np.random.default_rng(0)
        while True:
            x = generator.normal(size=(8, 3)).astype(np.float32)
            yield {"x": x, "y": x.sum(axis=1)}

    task = gdjax.Task(init, loss, gdjax.Stream(batches))
    diagnosis = gdjax.diagnose(task, gdjax.sgd(1e-4), steps=32, seeds=1)
    assert diagnosis.challenges == (LOW,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"optimizer": gdjax.sgd}, "must be made, such as gdjax.adam"),
        ({"optimizer": 0.1}, "must be made"),
        ({"task": loss}, "task must be a gdjax.Task"),
        ({"steps": 31}, "steps"),
        ({"steps": 64.5}, "steps"),
        ({"seeds": 0}, "seeds"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises((gdjax.InvalidValue, gdjax.InvalidType), match=message):
        gdjax.diagnose(**{"task": LINEAR, "optimizer": gdjax.sgd(0.1)} | arguments)


def test_a_loss_that_is_never_finite_is_refused():
    def broken(params, batch, key, factor):
        return factor * loss(params, batch, key)

    task = gdjax.Task(init, gdjax.bind(broken, factor=jnp.inf), draw)
    with pytest.raises(gdjax.InvalidValue, match="finite before the first update; look"):
        gdjax.diagnose(task, gdjax.sgd(0.1), steps=32, seeds=2)
    space = {"learning_rate": 0.1, "loss.factor": [1.0, 3e38]}
    result = gdjax.sweep(task, gdjax.sgd, space, seeds=2, steps=4)
    assert gdjax.diagnose_sweep(result, 0).diverged == 0
    with pytest.raises(gdjax.InvalidValue, match="nothing to diagnose"):
        gdjax.diagnose_sweep(result, 1)


def test_trials_of_a_sweep(result):
    slow, best, diverged = (gdjax.diagnose_sweep(result, trial) for trial in range(3))
    assert slow.challenges == (LOW,)
    assert best == gdjax.diagnose_sweep(result)
    assert best.challenges == ()
    assert diverged.challenges[0] == HIGH
    assert "gdjax.scale(0.0333333)" in diverged.findings[0].remedy
    assert "unstable start" in best.not_told
    assert set(best.looked_for).isdisjoint(best.not_told)
    assert {rule.challenge for rule in RULES} == {*best.looked_for, *best.not_told}
    with pytest.raises(gdjax.InvalidValue, match="no trial 3"):
        gdjax.diagnose_sweep(result, 3)


@pytest.mark.parametrize("trial", [-1, 3, 1.5, "0"])
def test_a_trial_that_is_none_is_refused(result, trial):
    with pytest.raises(gdjax.InvalidValue, match="trial"):
        gdjax.diagnose_sweep(result, trial)
    with pytest.raises(gdjax.InvalidType, match="result of a sweep"):
        gdjax.diagnose_sweep(LINEAR)


def test_trials_that_never_started_are_passed_over(result):
    first = np.arange(3)[:, None] == 0
    diverged = dataclasses.replace(
        result,
        width=np.where(first, 0, result.width),
        status=np.full_like(result.status, Status.DIVERGED),
        diverged_at=np.where(first, -1, 5),
        evaluations={},
    )
    assert gdjax.diagnose_sweep(diverged) == gdjax.diagnose_sweep(diverged, 1)
    assert SETTINGS not in gdjax.diagnose_sweep(diverged).challenges  # none of them is best
    none = dataclasses.replace(diverged, width=0 * result.width)
    with pytest.raises(gdjax.InvalidValue, match="stopped before its first segment"):
        gdjax.diagnose_sweep(none)


def test_a_sweep_of_which_all_diverged():
    rates = {"learning_rate": [2.0, 5.0]}
    diagnosis = gdjax.diagnose_sweep(gdjax.sweep(LINEAR, gdjax.sgd, rates, seeds=2, steps=200))
    assert diagnosis.diverged == 2
    assert diagnosis.challenges == (HIGH,)
    assert "gdjax.find_learning_rate" in diagnosis.findings[0].remedy


def test_a_rate_of_zero_has_no_factor(result):
    rates = {"learning_rate": np.array([0.0, 0.1, 3.0])}
    still = dataclasses.replace(result, settings=rates, evaluations={})
    assert "unstable start" in gdjax.diagnose_sweep(still, 0).not_told
    assert gdjax.diagnose_sweep(still, 2).challenges[0] == HIGH


def test_trials_that_copied_others_are_no_experiments():
    rules = gdjax.population_based_training(interval_steps=8)
    space = {"learning_rate": gdjax.LogUniform(1e-5, 1e-2)}
    options = {"trials": 4, "seeds": 2, "steps": 16, "segment": 4, "stopping": rules}
    result = gdjax.sweep(LINEAR, gdjax.sgd, space, **options)
    assert gdjax.diagnose_sweep(result).looked_for == (SETTINGS,)
    assert gdjax.diagnose_sweep(result).challenges == ()


def test_what_was_saved_tells_the_same(result, tmp_path):
    result.save(tmp_path)
    loaded = gdjax.SweepResult.load(tmp_path)
    for trial in range(3):
        assert gdjax.diagnose_sweep(loaded, trial) == gdjax.diagnose_sweep(result, trial)


def test_settings_that_were_not_validated():
    space = {"learning_rate": [1e-3, 1e-2, 1e-1], "momentum": [0.0, 0.5]}
    result = gdjax.sweep(LINEAR, gdjax.sgd, space, steps=16)
    edge, seed = [f for f in gdjax.diagnose_sweep(result).findings if f.challenge == SETTINGS]
    assert edge.number == 1  # momentum has two values: no range
    assert "space['learning_rate'] = gdjax.LogUniform(0.0033, 3)" in edge.remedy
    assert "seeds=4" in seed.remedy
    space = {"learning_rate": gdjax.LogUniform(1e-3, 1e-1), "momentum": gdjax.Uniform(0, 0.5)}
    drawn = gdjax.sweep(LINEAR, gdjax.sgd, space, trials=4, seeds=2, steps=16)
    assert SETTINGS not in gdjax.diagnose_sweep(drawn).challenges
    result.traces["loss"][:] = 1.0  # all are best, so that none is
    (seed,) = gdjax.diagnose_sweep(result).findings
    assert seed.number == 1
    assert "seeds=4" in seed.remedy


def test_gradients_that_float16_loses():
    def deep(params, batch, key):
        x = batch["x"].astype(jnp.float16)
        for _ in range(3):
            x = 0.01 * x  # on its way back the gradient gets a millionth
        return jnp.mean(x @ params.astype(jnp.float16)).astype(jnp.float32)

    task = gdjax.Task(init, deep, draw)
    diagnosis = gdjax.diagnose(task, gdjax.adam(0.1), steps=32, seeds=1)
    told = {finding.challenge: finding.remedy for finding in diagnosis.findings}
    assert told["vanishing gradients"] == "optimizer = gdjax.dynamic_loss_scale(optimizer)"
