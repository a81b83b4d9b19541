"""What the monitors measure, by hand and against what is known."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax import diagnostics
from gdjax.diagnostics.sizes import layer_names
from tests.runs import assert_close

SCALES = jnp.array([1.0, 4.0, -2.0])  # of a saddle


def _watch(monitors, optimizer, steps=3, segment=1, start=None, loss=None, batch=None):
    task = gdjax.Task(
        init=lambda key: jnp.array([3.0, 0.0, 4.0]) if start is None else start,
        loss=loss or (lambda params, batch, key: jnp.sum(SCALES * params**2) / 2),
        batch=batch or (lambda key, step: None),
    ).with_monitors(*monitors)
    return gdjax.train(task, optimizer, steps, 0, segment=segment).evaluations


def test_norms_by_hand():
    def loss(params, batch, key):
        return jnp.sum(params["a"]["w"] ** 2) / 2 + 2 * jnp.sum(params["b"]["w"] ** 2)

    start = {"a": {"w": jnp.array([[3.0, 4.0]])}, "b": {"w": jnp.array(0.5)}}
    seen = _watch([diagnostics.norms()], gdjax.sgd(0.5), start=start, loss=loss)
    # b: 0.5, -0.5, 0.5; a is halved
    a, b = np.array([5.0, 2.5, 1.25]), np.array([0.5, -0.5, 0.5])
    expected = {
        "gradient_norm.a": a,
        "gradient_norm.b": abs(4 * b),
        "gradient_norm": np.hypot(a, 4 * b),
        "update_ratio.a": [0.5] * 3,
        "update_ratio.b": [2.0] * 3,
        "update_ratio": np.hypot(a / 2, 2 * b) / np.hypot(a, b),
        "distance": np.hypot(5 - a, b - 0.5),
        "bad_gradients": [0, 0, 0],
    }
    cosine = (a[1:] * a[:-1] - 4) / (np.hypot(a, 2)[1:] * np.hypot(a, 2)[:-1])
    expected["gradient_cosine"] = [0, *cosine]
    assert seen.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(seen[name], values, rtol=1e-6, err_msg=name)


def test_norms_of_what_is_not_finite_complex_or_empty():
    def loss(params, batch, key):
        return jnp.log(params["x"]) + jnp.sum(jnp.abs(params["z"]) ** 2)

    start = {"x": jnp.zeros(()), "z": jnp.array([3 + 4j])}
    seen = _watch([diagnostics.norms()], gdjax.sgd(0.1), 1, None, start, loss)
    assert seen["bad_gradients"] == 1
    assert seen["gradient_norm"] == np.inf
    np.testing.assert_allclose(seen["gradient_norm.z"], [10.0])
    nothing = _watch([diagnostics.norms()], gdjax.sgd(0.1), 1, None, {}, lambda *_: jnp.ones(()))
    assert {name: values.tolist() for name, values in nothing.items()} == {
        "bad_gradients": [0],
        "distance": [0.0],
        "gradient_cosine": [0.0],
        "gradient_norm": [0.0],
        "update_ratio": [0.0],
    }


def test_norms_are_exact_where_there_are_many_numbers():
    """Sums in one pass lose no more than those of NumPy do."""
    params = jax.random.uniform(jax.random.key(0), (700, 900)) + 1
    seen = _watch(
        [diagnostics.norms()], gdjax.sgd(0.1), 1, None, params, lambda p, b, k: jnp.sum(p**2) / 2
    )
    exact = np.linalg.norm(np.asarray(params, np.float64))
    np.testing.assert_allclose(seen["gradient_norm"], [exact], rtol=1e-6)


@pytest.mark.parametrize(
    ("rules", "share"),
    [
        ([gdjax.clip(6.0)], 1 / 3),  # of (3, 0, -8)
        ([gdjax.clip_by_global_norm(1.0)], 2 / 3),  # 0 stays 0
        ([gdjax.clip_by_global_norm(10.0)], 0),
        ([gdjax.clip_by_global_norm(10.0), gdjax.clip(2.0)], 2 / 3),
        ([], None),
        ([gdjax.masked(gdjax.clip(6.0), False)], None),  # it does not get all arrays
    ],
)
def test_the_clipped_share(rules, share):
    optimizer = gdjax.chain(*rules, gdjax.sgd(0.1, momentum=0.5))
    seen = _watch([diagnostics.norms()], optimizer, steps=1)
    assert ("clipped" in seen) == (share is not None)
    if share is not None:
        np.testing.assert_allclose(seen["clipped"], [share], rtol=1e-6)


def test_layers_are_nodes_of_the_tree():
    flax = {"params": {"Dense_0": {"kernel": 0, "bias": 0}, "out/~/w": {"kernel": 0}}}
    assert layer_names(flax) == ["params.Dense_0", "params.Dense_0", "params.out.~.w"]
    assert layer_names({"w": 0, "b": 0}) == ["b", "w"]
    assert layer_names(0) == [""]


def _noisy(params, batch, key):
    return jnp.mean(jnp.sum((params[None] - batch) ** 2, axis=-1)) / 2


def _noisy_loop(params, batch, key):  # in which no layers show
    each = jax.lax.map(lambda row: jnp.sum((params - row) ** 2), batch)
    return jnp.mean(each) / 2


def _rows(key, step):
    return jax.random.normal(key, (16, 3)) * jnp.array([[1.0, 2.0, 0.5]])


def test_noise_of_examples_and_of_microbatches_is_that_of_the_data():
    """``g_i = params - x_i``: variance 1 + 4 + 0.25, signal ``|params|^2``, 4 where it stays."""
    start = jnp.array([2.0, 0.0, 0.0])
    still = gdjax.sgd(0.0)
    for loss in (_noisy, _noisy_loop):
        seen = _watch([diagnostics.noise()], still, 4000, 1, start, loss, _rows)
        error = 4 * seen["gradient_variance"].std() / 4000**0.5
        np.testing.assert_allclose(seen["gradient_variance"].mean(), 5.25, atol=float(error))
        error = 4 * seen["gradient_signal"].std() / 4000**0.5
        np.testing.assert_allclose(seen["gradient_signal"].mean(), 4.0, atol=float(error))
        scale = diagnostics.noise_scale(seen["gradient_variance"], seen["gradient_signal"])
        assert abs(scale.value - 5.25 / 4) < 4 * scale.error < 0.2


def test_single_examples_tell_more_than_microbatches():
    def loss(params, batch, key):
        return jnp.mean((batch @ params) ** 2)

    def in_a_loop(params, batch, key):
        return jnp.mean(jax.lax.map(lambda row: (row @ params) ** 2, batch))

    start = jnp.array([1.0, 1.0, 1.0])
    single, parts = (
        _watch([diagnostics.noise()], gdjax.sgd(0.0), 200, 1, start, x, _rows)
        for x in (loss, in_a_loop)
    )
    np.testing.assert_allclose(
        single["gradient_variance"].mean(), parts["gradient_variance"].mean(), rtol=0.1
    )
    assert single["gradient_variance"].std() < parts["gradient_variance"].std()
    assert (single["example_norm_max"] > single["example_norm_mean"]).all()
    assert "example_norm_max" not in parts


def test_no_noise_where_there_are_no_examples():
    assert _watch([diagnostics.noise()], gdjax.sgd(0.1)) == {}
    with pytest.raises(gdjax.InvalidValue, match="at least 2 microbatches, got 1"):
        diagnostics.noise(1)
    with pytest.raises(gdjax.InvalidValue, match=r"got shapes \(3,\) and \(2,\)"):
        diagnostics.noise_scale(jnp.ones(3), jnp.ones(2))


def test_a_noise_scale_without_signal_is_infinite():
    scale = diagnostics.noise_scale(jnp.array([1.0, 2.0]), jnp.array([-1.0, 0.5]))
    assert scale.value == scale.error == np.inf
    scale = diagnostics.noise_scale(jnp.array([1.0, 2.0]), jnp.array([-1.0, 1.5]))
    assert (scale.value, scale.error) == (6, np.inf)  # by the first alone it is infinite


def test_curvature_of_a_saddle():
    seen = _watch([diagnostics.spectrum(iterations=3)], gdjax.sgd(0.1), steps=4)
    np.testing.assert_allclose(seen["sharpness"], [4.0] * 4, rtol=1e-4)
    np.testing.assert_allclose(seen["lowest_curvature"], [-2.0] * 4, rtol=1e-4)
    np.testing.assert_allclose(seen["stability"], [0.2] * 4, rtol=1e-4)
    np.testing.assert_allclose(seen["hessian_trace"], [3.0] * 4, rtol=1e-5)
    gradient = np.array([3.0, 0.0, -8.0])
    curvature = gradient @ (SCALES * gradient) / (gradient @ gradient)
    np.testing.assert_allclose(seen["gradient_curvature"][0], curvature, rtol=1e-5)
    np.testing.assert_allclose(seen["overshoot"][0], 0.1 * curvature / 2, rtol=1e-5)


def test_overshoot_is_one_where_the_update_leaves_the_loss_as_it_is():
    """Of ``x^2 / 2``, at a rate of 2, whatever the optimizer is called."""
    start = jnp.array([3.0])
    for optimizer in (gdjax.sgd(2.0), gdjax.chain(gdjax.scale(-2.0))):
        seen = _watch(
            [diagnostics.spectrum()], optimizer, 2, 1, start, lambda p, b, k: jnp.sum(p**2) / 2
        )
        np.testing.assert_allclose(seen["overshoot"], [1.0, 1.0], rtol=1e-6)
        assert ("stability" in seen) == (
            optimizer is not None and "learning_rate" in repr(optimizer)
        )


def test_few_products_do_where_they_are_made_often():
    """The eigenvalues of 40 parameters from 4 products, beginning where the last ones ended."""
    scales = jnp.linspace(-1.0, 10.0, 40)

    def loss(params, batch, key):
        return jnp.sum(scales * params**2) / 2

    monitor = diagnostics.spectrum(iterations=4)
    seen = _watch([monitor], gdjax.sgd(1e-3), 30, 1, jnp.ones(40), loss)
    assert seen["sharpness_residual"][0] > 0.1
    assert seen["sharpness_residual"][-1] < 0.1 * seen["sharpness_residual"][0]
    np.testing.assert_allclose(seen["sharpness"][-1], 10.0, rtol=1e-3)
    np.testing.assert_allclose(seen["lowest_curvature"][-1], -1.0, rtol=1e-2)
    within = abs(seen["sharpness"] - 10.0) <= seen["sharpness_residual"] + 1e-4
    assert within[-10:].all()


def test_a_histogram_holds_every_number():
    values = jnp.array([0.0, 1e-30, 2.0**-24, 0.3, 1.0, 3.99, 4.0, 1e9, jnp.inf, jnp.nan])
    seen = _watch(
        [diagnostics.histogram()],
        gdjax.sgd(0.1),
        1,
        None,
        jnp.zeros(10),
        lambda p, b, k: jnp.sum(p * values),
    )["gradient_histogram"][0]
    counts = dict(zip(range(-24, 8, 2), (10 * seen).round().astype(int).tolist(), strict=True))
    assert {k: n for k, n in counts.items() if n} == {-24: 3, -2: 1, 0: 2, 2: 1, 6: 3}


@pytest.mark.parametrize(
    ("dtype", "optimizer", "share"),
    [
        ("float16", gdjax.sgd(0.1), 0.2),
        ("float32", gdjax.sgd(0.1), None),
        ("bfloat16", gdjax.sgd(0.1), None),
        ("float16", gdjax.dynamic_loss_scale(gdjax.sgd(0.1)), None),
    ],
)
def test_underflow_is_what_a_scale_of_the_loss_would_keep(dtype, optimizer, share):
    inner = jnp.array([1.0, 1e-4, 0.0, 0.0, 1.0], dtype)
    outer = jnp.array([1.0, 1e-5, 1.0, 6e4, 6e4], dtype)  # the last two overflow where scaled

    def loss(params, batch, key):
        return jnp.sum((params.astype(dtype) * inner) * outer)

    seen = _watch([diagnostics.underflow()], optimizer, 1, 1, jnp.ones(5), loss)
    if share is None:
        assert seen == {}
    else:
        np.testing.assert_allclose(seen["underflow"], [share], rtol=1e-6)


def test_an_optimizer_of_optax_is_watched_too():
    seen, expected = (
        _watch([diagnostics.norms(), diagnostics.spectrum()], optimizer)
        for optimizer in (optax.sgd(0.1), gdjax.sgd(0.1))
    )
    expected.pop("stability")  # Optax does not tell the learning rate
    assert_close(seen, expected, rtol=1e-6)


def test_nothing_has_no_curvature():
    nothing = _watch(diagnostics.full(), gdjax.sgd(0.1), 1, None, {}, lambda *_: jnp.ones(()))
    assert "gradient_norm" in nothing
    assert "sharpness" not in nothing


def test_noise_needs_batches_of_any_size():
    def loss(params, batch, key):
        return jnp.mean((batch.reshape(16, 3) @ params) ** 2)

    with pytest.raises(gdjax.InvalidType, match=r"noise\(\) needs a loss .* of any size: "):
        _watch([diagnostics.noise()], gdjax.sgd(0.1), loss=loss, batch=_rows)


def test_all_of_them_in_a_sweep():
    task = gdjax.problems.digits(hidden=(8,)).with_monitors(*diagnostics.full())
    space = {"learning_rate": [0.1, 3e38]}
    result = gdjax.sweep(task, gdjax.sgd, space, steps=6, segment=3)
    alone = gdjax.train(
        task, gdjax.sgd(0.1), 6, jax.random.fold_in(jax.random.key(0), 0), segment=3
    )
    for name, values in alone.evaluations.items():
        assert_close(
            result.evaluations[name][0, 0],
            np.asarray(values, np.float64 if values.dtype == np.int32 else values.dtype),
            rtol=2e-3,
            atol=1e-4,
        )
    assert result.diverged_at[1, 0] >= 0
    assert np.isfinite([v[0] for v in result.evaluations.values()]).all()
