"""Which process it is: its number, where that means the same, whether it runs, what it is told."""

import hashlib
import os
import platform
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

__all__ = ["TOKEN_VARIABLE", "here", "own_variables", "runs", "started"]

TOKEN_VARIABLE = "HEMIFACE_TOKEN"  # noqa: S105 - its name, not a token
_SYNCHRONIZE = 0x00100000


@lru_cache(maxsize=1)
def here() -> str:
    """Return six digits for where process numbers mean the same: this boot, this container."""
    known = [platform.node()]
    with suppress(OSError):
        known.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
    with suppress(OSError):
        known.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256("\n".join(known).encode()).hexdigest()[:6]


def own_variables() -> dict[str, str]:
    """Return limits and folders as they are set here, for processes that inherit nothing.

    Never a secret: what this returns is written into scripts and shown by dashboards.
    """
    known = {name: one for name, one in os.environ.items() if name.startswith("HEMIFACE_")}
    return {name: one for name, one in known.items() if name != TOKEN_VARIABLE}


def runs(pid: int) -> bool:
    """Return whether a process of this machine runs; a number that came up again counts too."""
    if sys.platform == "win32":
        # There os.kill(pid, 0) would send it a Ctrl-C.
        import ctypes

        handle = ctypes.windll.kernel32.OpenProcess(_SYNCHRONIZE, False, pid)
        ctypes.windll.kernel32.CloseHandle(handle)
        return bool(handle)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # It runs, as somebody else.
    return True


def started(pid: int) -> str:
    """Return what tells a process from a later one of the same number; "" where nobody knows."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # The name, which may hold anything, ends with the last bracket; its start is the 22nd field.
    return text.rpartition(")")[2].split()[19]
