"""How many runs one program trains side by side."""

import jax

from gdjax.errors import InvalidValue

DEFAULT_WIDTHS = {"cpu": 16}
"""By backend. On a CPU wider batches leave the cache; an accelerator is filled by width."""

DEFAULT_WIDTH = 256


def choose_width(width: int | None, runs: int) -> int:
    """The width of a sweep's program: as asked, or a default for the backend.

    Never more than ``runs``: what is left over in the last chunk is padded.
    """
    if width is not None and width < 1:
        raise InvalidValue(f"width must be at least 1, got {width}")
    return min(width or DEFAULT_WIDTHS.get(jax.default_backend(), DEFAULT_WIDTH), runs)
