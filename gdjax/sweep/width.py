"""How many runs one program trains side by side."""

import jax

DEFAULT_WIDTHS = {"cpu": 16}
DEFAULT_WIDTH = 256
"""Plain defaults: `python -m benchmarks.sweep` measures widths; the best depends on the model."""


def choose_width(width: int | None, runs: int) -> int:
    """The width of a sweep's program: as asked, or a default for the backend.

    Never more than ``runs``: what is left over in the last chunk is padded.
    """
    return min(width or DEFAULT_WIDTHS.get(jax.default_backend(), DEFAULT_WIDTH), runs)
