"""The convolution by patches is JAX's own, to rounding, and only where the device is a CPU."""

import flax.nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gdjax import conv_general_dilated

LAYOUTS = ("NHWC", "HWIO", "NHWC")
PLAIN = {"window_strides": (1, 1), "padding": "SAME", "dimension_numbers": LAYOUTS}
IMAGES, KERNEL = (2, 7, 6, 3), (3, 2, 3, 4)
CASES = {
    "same": PLAIN,
    "valid": PLAIN | {"padding": "VALID"},
    "same lower": PLAIN | {"padding": "SAME_LOWER", "window_strides": (2, 3)},
    "strides": PLAIN | {"window_strides": (2, 3)},
    "pairs": PLAIN | {"padding": ((0, 2), (3, 1)), "window_strides": (3, 1)},
    "cropped": PLAIN | {"padding": ((-1, 2), (0, -2))},
    "dilated": PLAIN | {"rhs_dilation": (2, 3), "window_strides": (1, 2)},
    "transposed": PLAIN | {"lhs_dilation": (2, 2), "padding": ((1, 1), (0, 2))},
}


def arrays(dtype=jnp.float32, images=IMAGES, kernel=KERNEL):
    keys = jax.random.split(jax.random.key(0))
    return [
        jax.random.normal(key, shape, dtype)
        for key, shape in zip(keys, (images, kernel), strict=True)
    ]


def check(options, images, kernel, rtol=2e-5):
    """Values and both gradients, of an output in which every place counts differently."""

    def all_of(convolve):
        def weighted(images, kernel):
            out = convolve(images, kernel, **options)
            weights = jnp.sin(jnp.arange(out.size)).reshape(out.shape)
            return jnp.sum(out.astype(jnp.float32) * weights), out

        function = jax.jit(jax.value_and_grad(weighted, argnums=(0, 1), has_aux=True))
        (_, out), gradients = function(images, kernel)
        return out, *gradients

    for ours, theirs in zip(
        all_of(conv_general_dilated), all_of(lax.conv_general_dilated), strict=True
    ):
        assert ours.dtype == theirs.dtype
        scale = float(jnp.abs(theirs).max())
        np.testing.assert_allclose(
            np.asarray(ours, np.float32), np.asarray(theirs, np.float32), rtol, rtol * scale
        )


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_those_of_jax(case):
    check(CASES[case], *arrays())


def test_an_output_by_hand():
    """A kernel that looks one place to the left and up sees the image moved, and its edge zero."""
    image = jnp.arange(12.0).reshape(1, 3, 4, 1)
    kernel = jnp.zeros((3, 3, 1, 1)).at[0, 0].set(1.0)
    out = conv_general_dilated(image, kernel, **PLAIN)[0, ..., 0]
    np.testing.assert_array_equal(out, [[0, 0, 0, 0], [0, 0, 1, 2], [0, 4, 5, 6]])


@pytest.mark.parametrize(
    ("layouts", "images", "kernel"),
    [
        (("NCHW", "OIHW", "NHWC"), (2, 3, 7, 6), (4, 3, 3, 2)),
        (("HWNC", "OHWI", "CHNW"), (7, 6, 2, 3), (4, 3, 2, 3)),
        (("NWC", "WIO", "NWC"), (2, 9, 3), (4, 3, 5)),
        (("NHWDC", "HWDIO", "NHWDC"), (2, 5, 4, 3, 2), (2, 3, 2, 2, 3)),
        (None, (2, 3, 7, 6), (4, 3, 3, 2)),
        (("NC", "IO", "NC"), (2, 3), (3, 4)),
    ],
)
def test_any_layout(layouts, images, kernel):
    spatial = len(images) - 2
    options = {"window_strides": (2,) * spatial, "padding": "SAME", "dimension_numbers": layouts}
    check(options, *arrays(images=images, kernel=kernel))


def test_groups():
    images, _ = arrays()
    check(PLAIN | {"feature_group_count": 3}, images, jnp.ones((3, 3, 1, 6)))
    check(PLAIN | {"batch_group_count": 2}, images, jnp.ones((3, 3, 3, 4)))


def test_narrow_numbers_and_wide_sums():
    images, kernel = arrays(jnp.bfloat16)
    check(PLAIN, images, kernel, rtol=2e-2)
    wide = conv_general_dilated(images, kernel, **PLAIN, preferred_element_type=jnp.float32)
    assert wide.dtype == jnp.float32
    exact = lax.conv_general_dilated(images.astype(float), kernel.astype(float), **PLAIN)
    np.testing.assert_allclose(wide, exact, rtol=1e-5, atol=1e-5)


def steps(images, kernel):
    """What a sweep does with it: gradients, of several trials, in a loop."""

    def step(kernel, _):
        gradient = jax.grad(lambda k: jnp.sum(conv_general_dilated(images, k, **PLAIN) ** 2))
        return kernel - 0.01 * gradient(kernel), None

    return lax.scan(step, kernel, length=2)[0]


@pytest.mark.parametrize("platform", ["cpu", "cuda", "rocm", "tpu"])
def test_the_program_of_a_device_has_only_its_own_way(platform):
    images, kernel = arrays()
    traced = jax.jit(jax.vmap(steps, in_axes=(None, 0))).trace(images, jnp.stack([kernel, kernel]))
    lowered = traced.lower(lowering_platforms=(platform,))
    program = lowered.as_text()
    own = [word for word in ("convolution", "dot_general") if f"stablehlo.{word}" in program]
    assert own == (["dot_general"] if platform == "cpu" else ["convolution"])
    if platform == "cpu":
        assert "conditional" not in lowered.compile().as_text()


def test_the_words_of_jax_about_shapes_that_do_not_fit():
    images, kernel = arrays(kernel=(3, 3, 5, 4))
    with pytest.raises(ValueError, match="feature dimension size"):
        conv_general_dilated(images, kernel, **PLAIN)


def test_in_a_layer_of_flax():
    layers = [
        flax.nnx.Conv(3, 4, (3, 3), strides=2, rngs=flax.nnx.Rngs(0), **options)
        for options in ({}, {"conv_general_dilated": conv_general_dilated})
    ]
    images, _ = arrays()
    theirs, ours = (layer(images) for layer in layers)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
