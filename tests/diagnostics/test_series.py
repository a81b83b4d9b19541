import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import gdjax
from gdjax.diagnostics import spikes, tail_index

NOISE = jax.random.normal(jax.random.key(0), (30, 2000))


def test_quantiles_by_hand():
    """Of 0 to 9 the median is 4.5 and the quantile 0.9 is 8.1: 3 times the distance is 15.3."""
    values = jnp.append(jnp.arange(10.0), jnp.array([15.2, 15.4]))
    assert spikes(values[:11], window=10).tolist() == [False] * 11
    assert spikes(values[jnp.array([*range(10), 11])], window=10).tolist() == [False] * 10 + [True]


def test_the_rate_of_false_alarms_is_the_stated_one():
    np.testing.assert_allclose(spikes(NOISE)[:, 64:].mean(), 1 / 2000, rtol=0.5)
    assert spikes(NOISE[:4], window=512)[:, 512:].mean() < 4 / 15_000


def test_planted_spikes_are_found_whatever_scale_and_trend():
    planted = np.zeros(NOISE.shape, bool)
    planted[:, 100::190] = True
    falling = 3 * jnp.exp(-jnp.arange(2000) / 300)[None]
    values = 1e-3 * (NOISE + 10 * planted) + 1e-3 * falling
    found = spikes(values)
    assert found[planted].mean() > 0.99
    assert found[~planted].mean() < 1e-3
    np.testing.assert_array_equal(spikes(1e6 * values)[:5], found[:5])


def test_what_is_not_finite_is_a_spike_and_spoils_no_other():
    values = NOISE[0].at[jnp.array([0, 500, 501])].set(jnp.array([jnp.nan, jnp.inf, -jnp.inf]))
    found = spikes(values)
    assert found[jnp.array([0, 500, 501])].all()
    assert (found != spikes(NOISE[0])).sum() == 3
    assert spikes(jnp.full(20, jnp.nan)).all()


def test_batches_and_few_values():
    np.testing.assert_array_equal(jax.vmap(spikes)(NOISE[:3]), spikes(NOISE[:3]))
    assert spikes(jnp.array([1.0] * 7 + [9.0])).tolist() == [False] * 8
    assert spikes(jnp.array([1.0] * 8 + [9.0])).tolist() == [False] * 8 + [True]
    assert spikes(jnp.zeros((2, 0))).shape == (2, 0)
    assert spikes(jnp.array([1] * 8 + [9], jnp.bfloat16))[-1]


@pytest.mark.parametrize(
    "options", [{"window": 7}, {"quantile": 0.5}, {"quantile": 1.0}, {"factor": -1.0}]
)
def test_bad_arguments(options):
    with pytest.raises(gdjax.InvalidValue, match="spikes needs an axis of steps, a window of at"):
        spikes(jnp.ones(20), **options)
    with pytest.raises(gdjax.InvalidValue, match=r"got shape \(\)"):
        spikes(1.0)


def test_the_tail_index_is_the_likeliest_of_a_pareto_tail():
    values = scipy.stats.t.rvs(2.5, size=1000, random_state=0) ** 2
    index, error = tail_index(jnp.asarray(values, jnp.float32), 0.1)
    ordered = np.sort(values)[::-1]
    likeliest, *_ = scipy.stats.pareto.fit(ordered[:100], floc=0, fscale=ordered[100])
    np.testing.assert_allclose(index, likeliest, rtol=1e-4)
    np.testing.assert_allclose(error, likeliest / 10, rtol=1e-4)


@pytest.mark.parametrize("true", [0.7, 1.5, 4.0])
def test_the_tail_index_of_pareto_samples_is_theirs_within_its_error(true):
    values = scipy.stats.pareto.rvs(true, size=(200, 500), random_state=0)
    index, error = tail_index(1e3 * values, share=0.2)  # [repetition]
    np.testing.assert_allclose(index.mean(), true, rtol=0.03)  # biased by k / (k - 1)
    np.testing.assert_allclose(index.std(), error.mean(), rtol=0.15)


def test_the_tail_index_of_a_light_tail_is_large():
    norms = jnp.linalg.norm(NOISE.reshape(600, 100), axis=1)
    assert tail_index(norms).value > 10


def test_the_tail_index_of_what_has_no_tail():
    values = jnp.arange(1.0, 21.0)
    assert tail_index(values.at[3].set(jnp.inf)) == (0, 0)
    assert tail_index(values.at[3].set(jnp.nan)) == (0, 0)
    assert tail_index(jnp.ones(20)) == (np.inf, np.inf)
    assert jnp.isnan(tail_index(jnp.zeros(20).at[0].set(1.0)).value)
    assert tail_index(jnp.ones(20, jnp.bfloat16)).value.dtype == jnp.float32
    both = tail_index(jnp.stack([values, values**2])).value
    np.testing.assert_allclose(both, [tail_index(values).value, both[0] / 2], rtol=1e-6)


def test_the_tail_index_needs_a_tail_and_more():
    for values, share in ((jnp.ones(19), 0.1), (jnp.ones(20), 1.0), (1.0, 0.1)):
        with pytest.raises(gdjax.InvalidValue, match="tail_index needs at least two values in the"):
            tail_index(values, share)
