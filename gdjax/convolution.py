"""A convolution that is fast where XLA's own is not: in loops on a CPU."""

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


def conv_general_dilated(
    lhs: jax.Array,
    rhs: jax.Array,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    batch_group_count: int = 1,
    precision: Any = None,
    preferred_element_type: Any = None,
    **options: Any,
) -> jax.Array:
    """``jax.lax.conv_general_dilated``, on a CPU by patches and a matrix product.

    On a CPU, XLA computes the gradients of convolutions very slowly inside a loop, such as a
    ``scan`` over steps. There this function gathers under each position of the kernel what it is
    multiplied by, and multiplies all of it at once: the same to rounding, for memory of as many
    copies of ``lhs`` as the kernel has positions. On any other device it is JAX's own, as it is
    everywhere for transposed and grouped convolutions.

    Args:
      lhs: the images.
      rhs: the kernel.
      window_strides: of the kernel, one for each spatial dimension.
      padding: ``"SAME"``, ``"VALID"``, ``"SAME_LOWER"`` or a pair for each spatial dimension.
      lhs_dilation: of the images; above 1 in transposed convolutions.
      rhs_dilation: of the kernel.
      dimension_numbers: the layouts, such as ``("NHWC", "HWIO", "NHWC")``; where None, channels
        stand before the spatial dimensions.
      feature_group_count: groups of channels.
      batch_group_count: groups of images.
      precision: of the products, as in ``jax.lax``.
      preferred_element_type: of the sums, as in ``jax.lax``.
      **options: any others of ``jax.lax.conv_general_dilated``, which then computes it.

    Reference:
      https://github.com/jax-ml/jax/issues/12868

    >>> images, kernel = jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1))
    >>> layouts = ("NHWC", "HWIO", "NHWC")
    >>> conv_general_dilated(images, kernel, (2, 2), "SAME", dimension_numbers=layouts)[0, ..., 0]
    Array([[9., 6.],
           [6., 4.]], dtype=float32)
    """
    products = {"precision": precision, "preferred_element_type": preferred_element_type}
    native = functools.partial(
        lax.conv_general_dilated,
        window_strides=window_strides,
        padding=padding,
        lhs_dilation=lhs_dilation,
        rhs_dilation=rhs_dilation,
        dimension_numbers=dimension_numbers,
        feature_group_count=feature_group_count,
        batch_group_count=batch_group_count,
        **products,
        **options,
    )
    given = [value for value in options.values() if value is not None]
    transposed = lhs_dilation is not None and max(lhs_dilation, default=1) > 1
    if given or transposed or max(feature_group_count, batch_group_count) > 1:
        return native(lhs, rhs)
    jax.eval_shape(native, lhs, rhs)  # what is wrong with the shapes is told in JAX's words
    layouts = lax.conv_dimension_numbers(lhs.shape, rhs.shape, dimension_numbers)
    dilation = rhs_dilation or (1,) * len(window_strides)
    by_patches = functools.partial(
        _by_patches, layouts, tuple(window_strides), padding, tuple(dilation), products
    )
    return lax.platform_dependent(lhs, rhs, cpu=by_patches, default=native)


def _by_patches(
    layouts: lax.ConvDimensionNumbers,
    strides: tuple[int, ...],
    padding: str | Sequence[tuple[int, int]],
    dilation: tuple[int, ...],
    products: dict[str, Any],
    lhs: jax.Array,
    rhs: jax.Array,
) -> jax.Array:
    batch, channel, *spatial = layouts.lhs_spec
    images = lhs.transpose(batch, *spatial, channel)
    features, channel, *spatial = layouts.rhs_spec
    kernel = rhs.transpose(*spatial, channel, features)
    reach = [(size - 1) * step + 1 for size, step in zip(kernel.shape, dilation, strict=False)]
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(images.shape[1:-1], reach, strides, padding)
    edges = [(0, 0, 0), *((low, high, 0) for low, high in padding), (0, 0, 0)]
    images = lax.pad(images, jnp.zeros((), images.dtype), edges)
    count, *sizes, channels = images.shape
    rest = [size - far + 1 for size, far in zip(sizes, reach, strict=True)]

    def seen(begin: tuple[int, ...]) -> jax.Array:
        """What one position of the kernel is multiplied by."""
        end = [start + size for start, size in zip(begin, rest, strict=True)]
        return lax.slice(images, (0, *begin, 0), (count, *end, channels), (1, *strides, 1))

    places = itertools.product(*(range(0, *of) for of in zip(reach, dilation, strict=True)))
    columns = [seen(begin) for begin in places]
    patches = jnp.concatenate(columns, axis=-1)  # [image, *position, position in kernel * channel]
    flat = patches.reshape(-1, patches.shape[-1]), kernel.reshape(-1, kernel.shape[-1])
    out = jnp.dot(*flat, **products).reshape(*patches.shape[:-1], kernel.shape[-1])
    batch, channel, *spatial = layouts.out_spec
    order = [batch, *spatial, channel]
    return out.transpose([order.index(axis) for axis in range(out.ndim)])
