"""The adding problem: what is drawn, how gradients vanish and explode, and that it is learnt."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax import InvalidValue, problems

LENGTH = 20


@pytest.fixture(scope="module")
def task():
    return problems.adding(length=LENGTH, hidden=32)


def test_two_numbers_are_marked_one_in_each_half(task):
    first = task.batch(jax.random.key(0), 0)
    for batch, count in ((first, 32), (task.evaluate.leaves["data"], 1000)):
        numbers, marks = np.moveaxis(np.asarray(batch["x"]), 2, 0)
        assert numbers.shape == (count, LENGTH)
        assert (numbers >= 0).all()
        assert (numbers < 1).all()
        assert np.isin(marks, [0, 1]).all()
        assert (marks[:, : LENGTH // 2].sum(axis=1) == 1).all()
        assert (marks[:, LENGTH // 2 :].sum(axis=1) == 1).all()
        np.testing.assert_allclose(batch["y"], (numbers * marks).sum(axis=1), rtol=1e-6)
    assert (marks.sum(axis=0) > 1000 / LENGTH).all()  # of twice as many that are expected
    assert not np.array_equal(first["x"], task.batch(jax.random.key(1), 0)["x"])
    np.testing.assert_allclose(np.mean((batch["y"] - 1) ** 2) / 2, 1 / 12, rtol=0.1)


@pytest.mark.parametrize("rectified", [False, True])
def test_an_output_by_hand(rectified):
    task = problems.adding(length=2, hidden=2, rectified=rectified)
    unit = (lambda x: np.maximum(x, 0)) if rectified else np.tanh
    w, u, b = np.array([[1.0, -2.0], [0.5, 0.0]]), np.array([[0.0, 1.0], [-1.0, 0.5]]), [0.1, 0.2]
    params = {"inputs": w, "recurrent": u, "b": np.array(b)}
    params |= {"output": np.array([[2.0], [3.0]]), "output_b": np.array([-1.0])}
    x = np.array([[0.3, 1.0], [0.4, 1.0]])
    h = unit(x[1] @ w + unit(x[0] @ w + b) @ u + b)
    loss = task.loss(params, {"x": x[None], "y": np.array([0.7])}, None)
    np.testing.assert_allclose(loss, (h @ [2, 3] - 1 - 0.7) ** 2 / 2, rtol=1e-5)


def test_a_rectified_network_starts_with_a_multiple_of_the_identity():
    task = problems.adding(length=2, hidden=3, recurrent_scale=0.5, rectified=True)
    np.testing.assert_array_equal(task.init(jax.random.key(0))["recurrent"], 0.5 * np.eye(3))


def test_gradients_vanish_or_explode_with_the_scale(task):
    batch = task.batch(jax.random.key(1), 0)

    @jax.jit
    def slopes(task):
        params = task.init(jax.random.key(0))
        of_x = jax.value_and_grad(lambda x: task.loss(params, batch | {"x": x}, None))
        loss, slope = of_x(batch["x"])
        return params, loss, jnp.linalg.norm(slope, axis=(0, 2))  # [step]

    kept = {}
    for scale in (0.5, 1.0, 3.0):
        params, loss, slope = slopes(gdjax.replace(task, recurrent_scale=scale))
        largest, least = np.linalg.svd(params["recurrent"], compute_uv=False)[[0, -1]]
        np.testing.assert_allclose([largest, least], scale, rtol=1e-5)
        # A step multiplies the gradient by the scale at most, for the slopes of tanh are at most 1.
        inputs, output = (np.linalg.norm(params[name], 2) for name in ("inputs", "output"))
        bound = np.sqrt(2 * loss / 32) * output * inputs * scale ** np.arange(LENGTH)[::-1]
        assert (slope <= 1.001 * bound).all()
        kept[scale] = slope[0] / slope[-1]
    assert kept[0.5] < 1e-6 < 1e-3 < kept[1.0] < 1e-1 < 10 < kept[3.0]


def test_it_is_learnt_in_a_sweep(task):
    """In 1500 steps to less than a tenth of what a constant reaches."""
    assert task.check() == {"loss", "heldout_loss"}
    result = gdjax.sweep(
        task,
        lambda learning_rate: gdjax.chain(
            gdjax.clip_by_global_norm(1.0), gdjax.adam(learning_rate)
        ),
        {"learning_rate": [0.003, 0.0], "recurrent_scale": 1.0},
        steps=1500,
    )
    learnt, untrained = result.final("heldout_loss")[:, 0]
    assert learnt < 0.1 / 12
    assert untrained > 1 / 12


def test_bad_input_is_told():
    with pytest.raises(
        InvalidValue, match=r"adding: sizes must be whole numbers of at least 1, got .*hidden=0"
    ):
        problems.adding(hidden=0)
    with pytest.raises(InvalidValue, match="adding: length must be at least 2, got 1"):
        problems.adding(length=1)
    with pytest.raises(InvalidValue, match=r"recurrent_scale must be a number in \[0, inf\)"):
        problems.adding(recurrent_scale=-1.0)
