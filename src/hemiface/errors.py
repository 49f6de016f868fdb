"""The errors hemiface raises on purpose; each carries the exit code the command line ends with.

HemifaceError          1  the work failed
├── UsageError         2  wrong usage or configuration
├── NoFaceError        3  no face found, under --strict
└── DamagedError       4  data or weights that can't be used as they are
    └── MissingError   2  there is no file of that name
"""

import unicodedata
from collections.abc import Iterable

__all__ = [
    "BROUGHT",
    "DamagedError",
    "HemifaceError",
    "MissingError",
    "NoFaceError",
    "UsageError",
    "escaped",
    "extra_of",
    "first_line",
    "first_names",
]


BROUGHT = {
    "study": ("pandas", "pyarrow", "scipy", "sklearn", "matplotlib", "jinja2"),
    "train": ("torch", "torchvision", "timm", "lightning", "safetensors"),
    "export": ("onnx", "onnxscript"),
    "hub": ("datasets",),
    "video": ("av",),
    "ray": ("ray",),
    "serve": (
        "fastapi",
        "fastapi_offline",
        "onnx",
        "prometheus_client",
        "python_multipart",
        "uvicorn",
    ),
    "slurm": ("submitit",),
}
"""What each extra brings beside those that it contains, by the names that are imported."""


class HemifaceError(Exception):
    """Something failed; the message is one sentence that says what, where and how to mend it."""

    exit_code = 1


class UsageError(HemifaceError):
    """The command, an argument or the configuration is wrong."""

    exit_code = 2


class NoFaceError(HemifaceError):
    """No face was found where one was required."""

    exit_code = 3


class DamagedError(HemifaceError):
    """Data or weights are missing, truncated, inconsistent or not what they claim to be."""

    exit_code = 4


class MissingError(DamagedError):
    """A file that was named doesn't exist: whoever named it has to look, not whoever made it."""

    exit_code = 2


def extra_of(module: str) -> str | None:
    """Return the extra that brings `module`, None if it is none of ours."""
    top = module.partition(".")[0]
    return next((extra for extra, brought in BROUGHT.items() if top in brought), None)


def first_line(error: Exception) -> str:
    """Return the first line of what another library's error says, to be quoted in a sentence."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def first_names(names: Iterable[str], most: int = 3) -> str:
    """Return the first of some names in a sentence, and how many more there are.

    >>> first_names(["a.png", "b.png", "c.png", "d.png"], most=2)
    'a.png, b.png and 2 more'
    """
    every = list(names)
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return f"{', '.join(every[:most])}{more}"


def escaped(text: str) -> str:
    r"""Return `text` with everything that a terminal obeys, or that turns its words round, escaped.

    Names of files and words in files are anybody's. Line breaks stay, and what joins letters.

    >>> print(escaped("a\x1b[31mb\u202ec"))
    a\x1b[31mb\u202ec
    """
    return "".join(
        one.encode("unicode_escape").decode()
        if unicodedata.category(one) in ("Cc", "Cf", "Cs") and one not in "\n\u200c\u200d"
        else one
        for one in text
    )
