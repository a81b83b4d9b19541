"""Numbers of the task as dimensions of the space: each trial is the task that has them bound."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax import InvalidValue, SweepResult, Task
from gdjax.sweep import setup
from tests.sweep import killed
from tests.sweep.comparing import check_reruns, check_same
from tests.sweep.networks import BATCH, STEPS, TASK, X, Y, make, rows, start
from tests.sweep.stopping import Interrupted, interrupt, stop_at

SPACE = {"learning_rate": 0.1, "dropout": [0.0, 0.5], "l2": [0.0, 0.1], "loss.smoothing": [0, 0.3]}
train = jax.jit(lambda task: gdjax.train(task, gdjax.adam(0.1), STEPS, jax.random.fold_in(KEY, 0)))
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def swept():
    return gdjax.sweep(TASK, gdjax.adam, SPACE, steps=STEPS, width=5)


def texts(monkeypatch, *arguments, **options):
    """Programs of a sweep before they are compiled."""
    found = []

    def see(sweep):
        found.extend(programs[0].lowered.as_text() for programs in sweep.programs)
        raise Interrupted

    monkeypatch.setattr(setup.Sweep, "compile", see)
    with pytest.raises(Interrupted):
        gdjax.sweep(*arguments, **options)
    return found


def test_each_trial_is_a_run_of_the_task_with_its_numbers_bound(swept):
    assert swept.trials == 8
    assert list(swept.settings) == list(SPACE)
    assert len(np.unique(swept.traces["loss"][:, 0, -1])) == 8
    for trial in range(8):
        dropout, l2, smoothing = (float(swept.settings[k][trial]) for k in list(SPACE)[1:])
        alone = train(make(dropout=dropout, l2=l2, smoothing=smoothing))
        for measured, expected in [
            (swept.traces["loss"][trial, 0], alone.traces["loss"]),
            (swept.evaluations["size"][trial, 0, -1], alone.evaluation["size"]),
        ]:
            np.testing.assert_allclose(measured, expected, rtol=1e-5)
    best = swept.best()
    assert best.settings == {name: column[best.trial] for name, column in swept.settings.items()}


def test_reruns_are_bit_equal_under_every_rule_and_in_every_family():
    families = {"adam": gdjax.adam, "fixed": lambda: gdjax.sgd(0.1)}
    result = gdjax.sweep(
        TASK,
        families,
        {"learning_rate": [0.01, 1e20], "l2": [0.0, 0.01, 0.1], "scale": [0.5, 1.0]},
        seeds=2,
        steps=8,
        segment=2,
        width=4,
        stopping=gdjax.successive_halving(eta=2),
    )
    assert result.family.tolist() == ["adam"] * 12 + ["fixed"] * 6
    assert np.isnan(result.settings["learning_rate"]).tolist() == [False] * 12 + [True] * 6
    assert result.settings["l2"][12:].tolist() == [0.0, 0.0, 0.01, 0.01, 0.1, 0.1]
    check_reruns(result)


def test_every_function_by_hand():
    """All numbers are powers of two, so nothing is rounded."""

    def loss(params, batch, key, weight):
        return weight * batch * params**2 / 2

    task = Task(
        gdjax.bind(lambda key, first: first, first=0.0),
        gdjax.bind(loss, weight=0.0),
        gdjax.bind(lambda key, step, factor: factor, factor=0.0),
        gdjax.bind(lambda params, unit: {"in_units": params / unit}, unit=1.0),
    )
    space = {
        "learning_rate": 0.5,
        "first": [1.0, 4.0],
        "weight": [0.5, 1.0],
        "factor": [0.25, 0.5],
        "unit": [1.0, 2.0],
    }
    result = gdjax.sweep(task, gdjax.sgd, space, steps=3, segment=3)
    settings = result.settings
    params, losses = settings["first"].copy(), []
    for _ in range(3):
        losses.append(settings["weight"] * settings["factor"] * params**2 / 2)
        params -= 0.5 * settings["weight"] * settings["factor"] * params
    assert result.trials == 16
    np.testing.assert_array_equal(result.traces["loss"][:, 0], np.stack(losses, axis=1))
    np.testing.assert_array_equal(
        result.evaluations["in_units"][:, 0, 0], params / settings["unit"]
    )


def test_a_batch_size_of_each_trial():
    """The largest batch with weights of 0 has the gradient of the smaller one."""

    def squares(params, batch, key):
        errors = (batch["x"] @ params - batch["y"]) ** 2
        return jnp.sum(batch["weight"] * errors) / jnp.sum(batch["weight"])

    def weighted(key, step, x, y, size):
        return rows(key, step, x, y) | {"weight": jnp.arange(BATCH) < size}

    def first(key, step, x, y, size):
        return jax.tree.map(lambda column: column[:size], rows(key, step, x, y))

    def mean(params, batch, key):
        return jnp.mean((batch["x"] @ params - batch["y"]) ** 2)

    parts = {"init": lambda key: jax.random.normal(key, (6,)), "evaluate": None}
    task = Task(loss=squares, batch=gdjax.bind(weighted, x=X, y=Y, size=BATCH), **parts)
    space = {"learning_rate": 0.01, "size": [1, 4, BATCH]}
    result = gdjax.sweep(task, gdjax.sgd, space, steps=STEPS)
    assert result.settings["size"].dtype.kind == "i"
    for trial, of_batch in enumerate(space["size"]):
        data = gdjax.Bound(first, {"x": X, "y": Y}, {"size": of_batch})
        smaller = Task(loss=mean, batch=data, **parts)
        alone = gdjax.train(smaller, gdjax.sgd(0.01), STEPS, jax.random.fold_in(KEY, 0))
        np.testing.assert_allclose(result.traces["loss"][trial, 0], alone.traces["loss"], rtol=1e-5)


def test_the_width_of_an_estimators_steps():
    numbers = {"num_samples": 2, "sigma": 0.1}
    cubic = Task(
        lambda key: jax.random.normal(key, (4,)),
        lambda params, batch, key: jnp.sum(jnp.abs(params) ** 3),
        lambda key, step: None,
        value_and_grad=gdjax.bind(gdjax.spsa, **numbers),
    )
    space = {"learning_rate": 0.01, "sigma": [0.1, 0.5]}
    result = gdjax.sweep(cubic, gdjax.sgd, space, steps=3)
    for trial, sigma in enumerate(space["sigma"]):
        estimator = gdjax.bind(gdjax.spsa, **numbers | {"sigma": sigma})
        task = Task(cubic.init, cubic.loss, cubic.batch, value_and_grad=estimator)
        alone = gdjax.train(task, gdjax.sgd(0.01), 3, jax.random.fold_in(KEY, 0))
        np.testing.assert_allclose(result.traces["loss"][trial, 0], alone.traces["loss"], rtol=1e-5)
    assert len(np.unique(result.traces["loss"][:, 0, -1])) == 2


def test_only_what_depends_on_a_swept_number_is_batched(monkeypatch):
    def waves(key, step, x, y, factor):
        batch = rows(key, step, x, y)
        return batch | {"x": jnp.sin(factor * batch["x"])}

    task = Task(start, TASK.loss, gdjax.bind(waves, x=X, y=Y, factor=1.0))
    width, shapes = 5, {}
    for name in ("l2", "factor"):
        space = {"learning_rate": 0.1, name: np.linspace(0, 1, width).tolist()}
        (text,) = texts(monkeypatch, task, gdjax.adam, space, steps=STEPS, width=width)
        shapes[name] = re.findall(r"sine .*tensor<(\w+)xf32>", text)
    assert shapes == {"l2": [f"{BATCH}x6"], "factor": [f"{width}x{BATCH}x6"]}


def test_a_number_that_is_not_swept_is_no_input_of_a_trial(monkeypatch):
    def take(sweep):
        found.extend(kind.individual for kind in sweep.kinds)
        raise Interrupted

    found = []
    monkeypatch.setattr(setup.Sweep, "compile", take)
    for space in ({"learning_rate": [0.1, 0.2]}, {"learning_rate": [0.1, 0.2], "l2": 0.5}):
        with pytest.raises(Interrupted):
            gdjax.sweep(TASK, gdjax.sgd, space, steps=1)
    assert [individual.numbers.keys() for individual in found] == [set(), {"loss.l2"}]


def test_numbers_keep_the_dtype_that_they_are_bound_with():
    """A bfloat16 loss stays one; a bare Python number counts as `bind` would bind it."""

    def loss(params, batch, key, factor, power):
        return params**power * factor

    def run(factor):
        bound = gdjax.Bound(loss, {"factor": factor, "power": 2})
        task = Task(lambda key: jnp.ones((), jnp.bfloat16), bound, lambda key, step: None)
        space = {"learning_rate": 0.5, "factor": [1, 0.3], "power": [2.0, 3.0]}
        return gdjax.sweep(task, gdjax.sgd, space, steps=1).traces["loss"][:, 0, 0].tolist()

    assert run(jnp.bfloat16(1)) == [1, 1, *[float(jnp.bfloat16(0.3))] * 2]
    assert run(1.0) == [1, 1, *[float(np.float32(0.3))] * 2]


def noisy_loss(params, batch, key, noise=1.0):
    return killed.TASK.loss(params, batch, key) * noise


NOISY = Task(
    killed.TASK.init,
    gdjax.bind(noisy_loss, noise=1.0),
    killed.TASK.batch,
    killed.TASK.evaluate,
    "size",
)
RUNGS = {"learning_rate": [1e-3, 1e-2, 1e25], "loss.noise": [0.5, 1.0, 2.0]}


def test_a_sweep_goes_on_with_its_numbers_and_no_others(tmp_path, monkeypatch):
    whole = killed.train(None, "halving", task=NOISY, space=RUNGS, resume=False,
                         checkpoint_seconds=None)  # fmt: skip
    with monkeypatch.context() as patch:
        stop_at(patch, 5, interrupt)
        with pytest.raises(Interrupted):
            killed.train(tmp_path, "halving", task=NOISY, space=RUNGS)
    other = RUNGS | {"loss.noise": [0.5, 1.0, 3.0]}
    with pytest.raises(InvalidValue, match="go on exactly: hyperparameters of sgd was"):
        killed.train(tmp_path, "halving", task=NOISY, space=other)
    result = killed.train(tmp_path, "halving", task=NOISY, space=RUNGS)
    check_same(result, whole)
    loaded = SweepResult.load(tmp_path)
    assert loaded.settings["loss.noise"].tolist() == [0.5, 1.0, 2.0] * 6
    check_reruns(gdjax.reconnect(loaded, NOISY, killed.FAMILIES), [0, 5, 10])
