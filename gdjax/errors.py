"""The errors that gdjax raises about what it was given.

Each is also the builtin that a caller would expect, so ``except ValueError`` works; and each
message says what was passed, what was expected and what to do.
"""

import contextlib
import difflib
import reprlib
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


def shown(value: object, limit: int = 100) -> str:
    """``repr(value)`` as part of a message: one line, at most ``limit`` characters, no exception.

    >>> shown([0.1] * 1000)
    '[0.1, 0.1, 0.1, 0.1, 0.1, 0.1, ...]'
    >>> shown("a" * 1000, limit=20)
    "'aaaaaaa...aaaaaaaa'"
    """
    text = f"<{type(value).__name__}>"
    with contextlib.suppress(Exception):  # whatever a foreign __repr__ does
        # `repr` itself would write out all of a long list. Of a whole number of more than 4300
        # digits it raises.
        text = " ".join(_BRIEF.repr(value).split())
    text = "".join(character if character.isprintable() else "?" for character in text)
    if len(text) <= limit:
        return text
    left = (limit - 3) // 2
    return f"{text[:left]}...{text[len(text) - (limit - 3 - left) :]}"


_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxother = _BRIEF.maxlong = 1000  # characters; `shown` cuts them itself


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
