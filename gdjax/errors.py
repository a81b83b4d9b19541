"""The errors that gdjax raises about what it was given.

Each is also the builtin that a caller would expect, so ``except ValueError`` works; and each
message says what was passed, what was expected and what to do.
"""

import difflib
from collections.abc import Iterable


class GdjaxError(Exception):
    """Base of every error that gdjax raises on purpose."""


class InvalidValue(GdjaxError, ValueError):
    """A value of the right kind outside its allowed range or set."""


class InvalidType(GdjaxError, TypeError):
    """A value of the wrong kind."""


class MissingExtra(GdjaxError, ImportError):
    """A feature whose optional packages are not installed."""

    def __init__(self, feature: str, extra: str):
        super().__init__(
            f'{feature} needs the optional packages of the extra "{extra}", which are not '
            f'installed: pip install "gdjax[{extra}]"'
        )


def nearest(name: str, valid: Iterable[str]) -> str:
    """A half sentence that lists the valid names, those most like ``name`` first.

    >>> nearest("adma", ["sgd", "adam", "adamw"])
    'did you mean adam, adamw? Valid: adam, adamw, sgd'
    """
    valid = sorted(valid)
    ends = {end.rpartition(".")[2] for end in valid}  # of dotted names
    close = difflib.get_close_matches(name, ends.union(valid))
    hint = f"did you mean {', '.join(close)}? " if close else ""
    return f"{hint}Valid: {', '.join(valid) or '(none)'}"
