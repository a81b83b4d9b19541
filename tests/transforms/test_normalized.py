import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax

GRADIENTS = [jnp.array([4.0, 4.0]), jnp.array([10.0, -2.0])]


@pytest.mark.parametrize(
    ("hyperparameters", "mu", "updates"),
    [
        # g / root: 10 / 4, -2 / 4; the first is clipped to 1 at count 1. mu is half of it.
        ({}, [0.5, -0.25], [0.5, -0.25]),
        ({"use_clipping": False}, [1.25, -0.25], [1.25, -0.25]),
        ({"eps": 8.0, "use_clipping": False}, [0.625, -0.125], [0.625, -0.125]),
        ({"nesterov": True}, [0.5, -0.25], [0.75, -0.375]),
        ({"clip_value_fn": lambda count: 2.0 * count}, [1.0, -0.25], [1.0, -0.25]),
    ],
    ids=["plain", "no clipping", "eps", "nesterov", "clip_value_fn"],
)
def test_scale_by_adopt_by_hand(run, hyperparameters, mu, updates):
    (first, state), (second, last) = run(
        gdjax.scale_by_adopt(0.5, 0.75, **hyperparameters), GRADIENTS
    )
    assert (first.tolist(), state.mu.tolist(), state.nu.tolist()) == ([0, 0], [0, 0], [16, 16])
    # nu = 3/4 16 + 1/4 g^2
    assert (last.mu.tolist(), last.nu.tolist()) == (mu, [37.0, 13.0])
    assert (int(last.count), second.tolist()) == (2, updates)


def test_the_clipping_of_adopt_may_be_a_hyperparameter(run):
    pair = gdjax.scale_by_adopt(0.5, 0.75, clip_value_fn=2.0)
    assert gdjax.hyperparameters(pair)["scale_by_adopt.clip_value_fn"] == 2.0
    assert run(pair, GRADIENTS)[1][0].tolist() == [1.0, -0.25]
    growing = gdjax.scale_by_adopt(0.5, 0.75, clip_value_fn=gdjax.linear_schedule(0.0, 4.0, 2))
    assert run(growing, GRADIENTS)[1][0].tolist() == [1.0, -0.25]


def test_adopt_refuses_to_clip_complex_gradients(run):
    gradients = [jnp.array([3 + 4j]), jnp.array([3 - 4j])]
    with pytest.raises(ValueError, match="complex"):
        run(gdjax.scale_by_adopt(0.5, 0.75), gradients)
    seen = run(gdjax.scale_by_adopt(0.5, 0.75, use_clipping=False), gradients)
    chex.assert_trees_all_close(seen[1][0], np.array([0.3 - 0.4j], np.complex64))


@pytest.mark.parametrize(
    ("hyperparameters", "updates"),
    [
        # root 4; then 8
        ({}, [[0.5, 0.5, 0.5, 0.5], [0.25 + 1.5, 0.25 + 1, 0.25, 0.25]]),
        ({"eps": 4.0}, [[0.25] * 4, [0.125 + 1, 0.125 + 8 / 12, 0.125, 0.125]]),
        # 16 + 48 = 8^2, 64 + 48
        (
            {"eps_root": 48.0},
            [[0.25] * 4, [0.125 + 12 / 112**0.5, 0.125 + 8 / 112**0.5, 0.125, 0.125]],
        ),
        ({"weight_decay": 0.5}, [[1, 1.5, 0, 0.5], [0.5 + 1.5 + 0.5, 0.75 + 1 + 1, -0.5, 0.25]]),
    ],
    ids=["plain", "eps", "eps_root", "weight_decay"],
)
def test_scale_by_novograd_by_hand(run, hyperparameters, updates):
    # squared norms 16, then 208: nu is 16, then 3/4 16 + 1/4 208
    gradients = [jnp.array([2.0, 2.0, 2.0, 2.0]), jnp.array([12.0, 8.0, 0.0, 0.0])]
    params = jnp.array([1.0, 2.0, -1.0, 0.0])
    pair = gdjax.scale_by_novograd(0.5, 0.75, **({"eps": 0.0} | hyperparameters))
    seen = run(pair, gradients, params)
    assert [float(state.nu) for _, state in seen] == [16.0, 64.0]
    assert [int(state.count) for _, state in seen] == [1, 2]
    for (u, state), expected in zip(seen, updates, strict=True):
        chex.assert_trees_all_close(u, np.array(expected, np.float32), rtol=1e-6)
        chex.assert_trees_all_equal(u, state.mu)


def test_scale_by_novograd_mu_dtype_by_hand(run):
    """Of the sum, and not of the updates, as which Optax returns it."""
    pair = gdjax.scale_by_novograd(0.5, 0.0, eps=0.0, weight_decay=1.0, mu_dtype=jnp.bfloat16)
    fine = 2**-9  # bfloat16 has 8 significant bits: of 1 + 2**-9 it keeps 1
    seen = run(pair, [jnp.array([4.0]), jnp.array([2.0])], jnp.array([fine]))
    for (u, state), expected, kept in zip(seen, [1 + fine, 1.5 + fine], [1.0, 1.5], strict=True):
        chex.assert_trees_all_equal(u, jnp.array([expected]), strict=True)
        chex.assert_trees_all_equal(state.mu, jnp.array([kept], jnp.bfloat16), strict=True)


def test_novograd_has_a_norm_for_each_array(run):
    gradients = {"a": jnp.array([4.0]), "b": (jnp.array([[2.0], [2.0]]), jnp.array(8.0))}
    ((updates, state),) = run(gdjax.scale_by_novograd(eps=0.0), [gradients], gradients)
    assert jax.tree.map(float, state.nu) == {"a": 16.0, "b": (8.0, 64.0)}
    assert updates["a"].tolist() == [1.0]
    assert float(updates["b"][1]) == 1.0
