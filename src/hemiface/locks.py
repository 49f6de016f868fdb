"""One process at a time writes into a folder; who is turned away is told who is at work."""

import json
import os
import platform
import shlex
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from typing import Any

from hemiface.documents import json_value
from hemiface.errors import HemifaceError, UsageError
from hemiface.files import printable, unwritable
from hemiface.processes import here, runs, started

__all__ = ["LOCK_FILE", "locked"]

LOCK_FILE = ".lock"
"""Lies in a folder while it is written into; one that a killed process left bars nobody."""

_MOST_BYTES = 4096
_BEGIN = b'{"pid":'
"""Of a note, by which it is told from a file of a user's own that bears this name."""
_MOST_COMMAND = 500
"""Characters of a command line: with four bytes each a note has room for them."""
_MOST_TRIES = 100
"""To make a folder and a lock in it, while others remove what they made of it."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep every other process, and every second call in this one, out of a folder until the end.

    The system's lock goes with its process, however that ends. Where there is none, as on Windows
    and on some network file systems, the process that the lock file names has to be running here;
    two that begin in the same moment are then not kept apart, nor are two machines. A folder that
    was made for it and stays empty goes, as what is refused leaves nothing; on Windows, which
    removes no open file, it stays with an empty lock file.

    Raises:
        UsageError: somebody else holds the folder; the sentence says who. Or it is a file, or what
            bears the lock's name is no lock of hemiface's: it is left as it is.
        HemifaceError: the folder can't be written.
    """
    if folder.is_file():
        raise UsageError(f"{folder} is a file, and results need a folder; name one.")
    path = folder / LOCK_FILE
    missing: set[Path] = set()
    try:
        handle = _entered(path, missing)
        try:
            yield
        finally:
            _leave(path, handle)
    finally:
        # Only now: a network file system keeps a removed file's place until it is closed. Who has
        # found such a folder and no lock in it yet makes it again. Of x/../y never x: without it
        # the path leads nowhere.
        for one in takewhile(lambda one: one.name != "..", path.parents):
            if one in missing:
                with suppress(OSError):
                    one.rmdir()


def _entered(path: Path, missing: set[Path]) -> int:
    """Return the open lock file; `missing` gets the folders above it that weren't there.

    Raises:
        UsageError: as `_require_free`.
        HemifaceError: the folder can't be written.
    """
    tries = 0
    while True:
        missing.update(one for one in path.parents if not os.path.exists(one))  # noqa: PTH110
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return _taken(path)
        except OSError as error:
            tries += 1
            # Somebody else who made the folder, too, may have removed it in between.
            may_be_gone = isinstance(error, FileNotFoundError | FileExistsError)
            if tries == _MOST_TRIES or not may_be_gone:
                raise HemifaceError(unwritable(path, error)) from error


def _leave(path: Path, handle: int) -> None:
    """Remove the lock file while it is held: afterwards it may be somebody else's."""
    try:
        path.unlink()
    except OSError:
        # Windows removes no open file: there it stays, and names nobody. Where it goes it names
        # its holder to the end, as somebody may look who knows no other lock.
        with suppress(OSError):
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def _taken(path: Path) -> int:
    """Return the open lock file, which is this call's alone."""
    while True:
        handle = _opened(path)
        try:
            _require_free(path, handle)
            if _is_at(path, handle):
                _note(handle)
                return handle
        except BaseException:
            os.close(handle)
            raise
        # Who held it has just removed it.
        os.close(handle)


def _opened(path: Path) -> int:
    """Return the open lock file; a link is never followed, nor a pipe waited for.

    Raises:
        UsageError: it is a link.
    """
    safely = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    while True:
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | safely, 0o666)
        except PermissionError:
            if not os.path.lexists(path):
                raise  # It is the folder that may not be written.
            _remove_anothers(path, os.open(path, os.O_RDONLY | safely))
        except OSError as error:
            if path.is_symlink():
                raise UsageError(_no_lock(path, "a link")) from error
            raise


def _remove_anothers(path: Path, handle: int) -> None:
    """Remove the lock of another user, who alone may write it, if nobody holds it any more.

    Raises:
        UsageError: as `_require_free`.
        OSError: the folder may not be written either.
    """
    try:
        _require_free(path, handle)
        if _is_at(path, handle):
            path.unlink()
    finally:
        os.close(handle)


def _no_lock(path: Path, what: str) -> str:
    return (
        f"{path} is {what} and no lock of hemiface's; move it away, or name another folder than "
        f"{path.parent}."
    )


def _require_free(path: Path, handle: int) -> None:
    """Take the system's lock, or look who is named where there are no locks.

    Raises:
        UsageError: it is held, or no lock.
    """
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        raise UsageError(_no_lock(path, "no regular file"))
    note = os.read(handle, _MOST_BYTES)
    # A full disk cuts a note off, and after a power cut one may be zeros.
    if note.strip(b"\0") and not (note.startswith(_BEGIN) or _BEGIN.startswith(note)):
        raise UsageError(_no_lock(path, "a file of somebody's own"))
    holder = _holder(note)
    is_free = _flocked(handle)
    if is_free is None:
        is_free = not _works(holder)
    if not is_free:
        raise UsageError(
            f"{path.parent} is being written into by {_words(holder)}; wait for it, or name "
            "another folder."
        )


def _flocked(handle: int) -> bool | None:
    """Return whether the system's lock could be taken, None where there is none."""
    if sys.platform == "win32":
        return None
    try:
        import fcntl
    except ImportError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_at(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except OSError:
        return False


def _note(handle: int) -> None:
    """Write down who holds the lock; a full disk keeps nobody from holding it."""
    known = {
        "pid": os.getpid(),
        "started": started(os.getpid()),
        "where": here(),
        "machine": platform.node(),
        "since": datetime.now().astimezone().isoformat(" ", "seconds"),
        # Shortened here, so that the note stays whole: one cut off would name nobody.
        "command": printable(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]))[:_MOST_COMMAND],
    }
    with suppress(OSError):
        os.ftruncate(handle, 0)
        os.lseek(handle, 0, os.SEEK_SET)
        os.write(handle, json.dumps(known, ensure_ascii=False).encode()[:_MOST_BYTES])


def _holder(note: bytes) -> dict[str, Any]:
    """Return what the lock file says of who holds or held it; {} if nothing."""
    try:
        known = json_value(note)
    except ValueError:
        return {}
    return known if isinstance(known, dict) else {}


def _works(holder: dict[str, Any]) -> bool:
    """Return whether the process that a lock file names runs, on this machine."""
    pid = holder.get("pid")
    if not isinstance(pid, int) or pid <= 0 or holder.get("where") != here() or not runs(pid):
        return False
    return started(pid) == holder.get("started")


def _words(holder: dict[str, Any]) -> str:
    if "pid" not in holder:
        return "another process"
    return (
        f"process {holder['pid']} on {holder.get('machine')} ({holder.get('command')}, since "
        f"{holder.get('since')})"
    )
