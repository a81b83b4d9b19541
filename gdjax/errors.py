"""The errors that gdjax raises about what it was given.

Each is also the builtin that a caller would expect, so ``except ValueError`` works; and each
message says what was passed, what was expected and what to do.
"""

import contextlib
import difflib
import os
import reprlib
import sysconfig
import traceback
from collections.abc import Iterable, Iterator


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
    return _one_line(text, limit)


@contextlib.contextmanager
def telling(what: str, hint: str = "") -> Iterator[None]:
    """Make an exception of a user's own code one of gdjax, whose cause it then is.

    What gdjax itself tells passes as it is, and so does what is no error, such as Ctrl-C.

    Args:
      what: the beginning of the message, before the exception, its first line and its place.
      hint: the end of the message, where it is about a number that must be known early.

    >>> with telling("Task.loss cannot be traced"):
    ...     {}["labels"]
    Traceback (most recent call last):
        ...
    gdjax.errors.InvalidType: Task.loss cannot be traced: KeyError: 'labels' (..., line 2)
    """
    try:
        yield
    except GdjaxError:
        raise
    except Exception as error:
        words = ""
        with contextlib.suppress(Exception):  # whatever a foreign __str__ does
            words = (str(error).splitlines() or [""])[0]
        told = f"{type(error).__name__}: {words}" if words else type(error).__name__
        told = _one_line(told, 300) + _place(error) + (hint if "concrete" in words else "")
        raise InvalidType(f"{what}: {told}") from error


def _place(error: Exception) -> str:
    """Where a user's code raised it, which is neither Python's nor gdjax's nor installed."""
    others = (os.path.dirname(__file__), *(sysconfig.get_path(n) for n in ("stdlib", "purelib")))
    frames = [
        (frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    own = [place for place in frames if not place[0].startswith(others)]
    return f" ({_one_line(os.path.basename(own[-1][0]), 60)}, line {own[-1][1]})" if own else ""


def _one_line(text: str, limit: int) -> str:
    """Printable, and cut in the middle where it is too long."""
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
