"""JSON and TOML as they lie on a disk, where anything may have happened to them.

What hemiface notes about its own work (stages, headers, facts, journals, calibrations) is read here
and nowhere else: whatever is wrong with it is a ValueError of one sentence, and `undamaged` makes
that the one DamagedError which names the file and how to mend it. Nothing that comes out of here
can surprise who uses it: no NaN, no number beyond 64 bits, no text that can't be written, and
nothing nested so deeply that following it fails.
"""

import json
import math
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from hemiface.errors import DamagedError, HemifaceError, first_line
from hemiface.inputs import read_bytes

__all__ = ["entry", "json_value", "read_json", "read_text", "toml_value", "undamaged"]

_DEEPEST = 64
"""Nothing that hemiface writes is nested half as deeply."""

_LARGEST = 2**64

_PART = r"(?:[\w-]++|\"[^\"\n]*+\"|'[^'\n]*+')"
_LONG_KEY = re.compile(rf"(?<![\w-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{_DEEPEST}}}")
"""A dotted key for which tomllib takes the square of its parts, hours for some 100 kilobytes."""

# What taking a value apart raises where it isn't what was written.
_WRONG_SHAPE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


@contextmanager
def undamaged(what: str | Path, mend: str) -> Iterator[None]:
    """Read something inside: what can't be read, or isn't what it should be, is one DamagedError.

    `what` is the file, or what of it; `mend` says what the user can do, without a full stop. An
    error of hemiface's own passes, since it says more.

    Raises:
        DamagedError: reading failed, or something was missing or of another kind.
    """
    try:
        yield
    except (OSError, *_WRONG_SHAPE) as error:
        raise DamagedError(f"{what} is damaged ({_reason(error)}); {mend}.") from error


def _reason(error: Exception) -> str:
    match error:
        case OSError():
            return error.strerror or first_line(error)
        case KeyError():
            return f"it lacks {error}"
        case RecursionError():
            return "it is nested too deeply"
        case ValueError():
            return first_line(error)
    return f"something in it is of the wrong kind: {first_line(error)}"


def read_text(path: str | Path, what: str = "", error: type[HemifaceError] = DamagedError) -> str:
    """Return a file's text without a byte order mark; `what` stands before its path in a sentence.

    Raises:
        HemifaceError: as `error`: it is no regular file, or longer than Limits.text_bytes.
        OSError: it can't be read.
        ValueError: it isn't UTF-8.
    """
    return _text(read_bytes(path, "text_bytes", what, error))


def read_json(path: str | Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        DamagedError, OSError: as `read_text`.
        ValueError: as `json_value`.
    """
    return json_value(read_text(path))


def json_value(text: bytes | str) -> Any:
    """Return what a JSON text holds.

    Raises:
        ValueError: it isn't UTF-8 or JSON, is nested too deeply, or holds NaN, an infinity, a
            number beyond 64 bits or half a character.

    >>> json_value(b'{"a": [1, 2.5, null]}')
    {'a': [1, 2.5, None]}
    >>> json_value("[NaN]")
    Traceback (most recent call last):
    ...
    ValueError: it holds NaN, which is no number
    """
    try:
        value = json.loads(_text(text), parse_constant=_refused)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    _require_plain(value)
    return value


def toml_value(text: bytes | str) -> dict[str, Any]:
    """Return the tables of a TOML text.

    Raises:
        ValueError: it isn't UTF-8 or TOML, or holds what `json_value` refuses.
    """
    content = _text(text)
    if _LONG_KEY.search(content):
        raise ValueError("it is nested too deeply")
    try:
        value = tomllib.loads(content)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    _require_plain(value)
    return value


def entry(content: Any, key: str, *kinds: type) -> Any:
    """Return what an object holds under `key`, which must be of one of `kinds`.

    True and False are no numbers; a whole number is a `float` too.

    Raises:
        ValueError: `content` is no object, lacks the key, or holds something else there.
    """
    if not isinstance(content, dict):
        raise ValueError(f"{key} should stand in an object, not in {type(content).__name__}")
    if key not in content:
        raise ValueError(f"it lacks {key}")
    value = content[key]
    wanted = (*kinds, int) if float in kinds else kinds
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in kinds):
        raise ValueError(f"{key} is {type(value).__name__}, not {kinds[0].__name__}")
    return value


def _text(text: bytes | str) -> str:
    if isinstance(text, str):
        return text
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8") from error


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"it holds {constant}, which is no number")


def _require_plain(value: Any) -> None:
    left = [(value, 0)]
    while left:
        one, depth = left.pop()
        if depth > _DEEPEST:
            raise ValueError("it is nested too deeply")
        if isinstance(one, dict):
            left += ((each, depth + 1) for each in (*one, *one.values()))
        elif isinstance(one, list):
            left += ((each, depth + 1) for each in one)
        elif isinstance(one, float) and not math.isfinite(one):
            raise ValueError(f"it holds {one}, which is no number")
        elif isinstance(one, int) and abs(one) >= _LARGEST:
            raise ValueError("it holds a number beyond 64 bits")
        elif isinstance(one, str) and not one.isascii():
            try:
                one.encode()
            except UnicodeEncodeError as error:
                raise ValueError("it holds half a character") from error
