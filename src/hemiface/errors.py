"""The errors hemiface raises on purpose; each carries the exit code the command line ends with.

HemifaceError          1  the work failed
├── UsageError         2  wrong usage or configuration
├── NoFaceError        3  no face found, under --strict
└── DamagedError       4  data or weights that can't be used as they are
"""

__all__ = ["DamagedError", "HemifaceError", "NoFaceError", "UsageError", "extra_of", "first_line"]


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


def extra_of(module: str) -> str | None:
    """Return the extra that brings `module`, None if it is none of ours."""
    top = module.partition(".")[0]
    if top in {"torch", "torchvision", "timm", "lightning", "safetensors"}:
        return "train"
    if top in {"onnx", "onnxscript"}:
        return "export"
    if top == "av":
        return "video"
    known = {"scipy", "sklearn", "matplotlib", "jinja2", "pandas", "pyarrow"}
    return "study" if top in known else None


def first_line(error: Exception) -> str:
    """Return the first line of what another library's error says, to be quoted in a sentence."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
