"""Bridges to other libraries."""

from gdjax.interop.optax import from_optax_state

__all__ = ["from_optax_state"]
