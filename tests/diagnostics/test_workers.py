import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.spatial.distance

import gdjax
from gdjax.diagnostics import disagreement

WORKERS = np.random.default_rng(0).standard_normal((7, 12)) + 0.5


def as_tree(flat):
    """Twelve numbers of each worker as arrays of two shapes."""
    flat = jnp.asarray(flat, jnp.float32)
    return {"b": flat[:, :2], "w": flat[:, 2:].reshape(-1, 2, 5)}


def test_disagreement_is_the_cosine_distance_to_the_median():
    median = np.median(WORKERS, axis=0)
    expected = [scipy.spatial.distance.cosine(worker, median) for worker in WORKERS]
    np.testing.assert_allclose(disagreement(as_tree(WORKERS)), expected, rtol=1e-5)


def test_it_depends_on_no_workers_length_and_none_can_hide():
    honest = np.ones((8, 12)) + 0.1 * np.random.default_rng(1).standard_normal((8, 12))
    garbage = np.stack([-honest[0], 1e6 * WORKERS[0] - 5e5])
    found = disagreement(as_tree(np.concatenate([honest, garbage])))
    assert found[:8].max() < 0.02
    assert found[8:].min() > 0.5
    longer = np.concatenate([honest, 1e3 * garbage])
    np.testing.assert_allclose(disagreement(as_tree(longer)), found, atol=1e-5)


def test_what_is_not_finite_and_what_is_zero():
    sent = WORKERS.copy()
    sent[:4] = 1.0
    sent[4, 3], sent[5, 7], sent[6] = np.nan, -np.inf, 0
    np.testing.assert_allclose(disagreement(as_tree(sent)), [0, 0, 0, 0, 2, 2, 1], atol=1e-6)
    assert disagreement(jnp.zeros((3, 2))).tolist() == [1, 1, 1]


def test_batches_and_narrow_numbers():
    stacked = jnp.stack([jnp.asarray(WORKERS, jnp.float32)] * 2)
    np.testing.assert_allclose(jax.vmap(disagreement)(stacked)[1], disagreement(stacked[1]))
    assert disagreement(stacked[0].astype(jnp.bfloat16)).dtype == jnp.float32


def test_gradients_without_an_axis_of_workers():
    with pytest.raises(gdjax.InvalidValue, match="leading axis"):
        disagreement({"a": jnp.ones((3, 2)), "b": jnp.ones(2)})
