"""Standard streams as commands may take them, whatever the shell made of them.

Closed, on a full disk, read by a program that has seen enough, or of an encoding that lacks most
letters: one place knows, and no command has to.
"""

import codecs
import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from hemiface.errors import HemifaceError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["ReaderGoneError", "ascii_alone", "in_its_letters", "standard_streams"]


class ReaderGoneError(HemifaceError):
    """Whoever read standard output has seen enough, such as `head`; nobody has to be told."""

    exit_code = 141
    """What a shell says of a program that SIGPIPE ended."""


@contextmanager
def standard_streams() -> Iterator[None]:
    """Let standard output and standard error be written to, whatever they are.

    What standard output lacks letters for is written as escapes. If it can't be written, printing
    or flushing raises a HemifaceError once (ReaderGoneError where its reader is gone), and what is
    left to print goes nowhere. Words that standard error can't take are lost, the work isn't.
    Streams that were closed lead nowhere; those that somebody else has put in place stay.
    """
    _open_closed()
    before = sys.stdout, sys.stderr
    if _is_ours(sys.stdout, sys.__stdout__):
        sys.stdout = _text(_Output(1, "w", closefd=False), sys.stdout)
    if _is_ours(sys.stderr, sys.__stderr__):
        sys.stderr = _text(_Words(2, "w", closefd=False), sys.stderr)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(HemifaceError):  # An earlier error says more.
                stream.flush()
        sys.stdout, sys.stderr = before


def ascii_alone() -> bool:
    """Return whether JSON has to escape what isn't ASCII, since standard output isn't UTF-8."""
    return codecs.lookup(sys.stdout.encoding or "ascii").name != "utf-8"


def in_its_letters(text: str) -> str:
    """Return `text` as standard output will show it, so that columns are as wide as their words."""
    encoding = sys.stdout.encoding or "ascii"
    return text.encode(encoding, "backslashreplace").decode(encoding)


class _Output(io.FileIO):
    """Standard output: a failure is told once, in a sentence."""

    _is_lost = False

    def write(self, data: "ReadableBuffer") -> int:
        if self._is_lost:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except OSError as error:
            self._is_lost = True
            if _is_reader_gone(error):
                raise ReaderGoneError("Standard output isn't read any more.") from error
            reason = error.strerror or error
            raise HemifaceError(
                f"Standard output can't be written ({reason}); free some space."
            ) from error


def _is_reader_gone(error: OSError) -> bool:
    """Return whether nobody reads a pipe any more, which Windows calls an invalid argument."""
    on_windows = sys.platform == "win32" and error.errno == errno.EINVAL
    return isinstance(error, BrokenPipeError) or on_windows


class _Words(io.FileIO):
    """Standard error: what it can't take is lost."""

    def write(self, data: "ReadableBuffer") -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def _open_closed() -> None:
    """Open what the shell has closed, as nothing: the next file would come to stand there."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is taken, which is this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def _is_ours(stream: TextIO | None, first: TextIO | None) -> bool:
    """Return whether a stream is the one that Python began with, on a file, a pipe or nothing."""
    if stream is None:
        return first is None
    # A console of Windows has letters of its own.
    raw = getattr(getattr(stream, "buffer", None), "raw", getattr(stream, "buffer", None))
    return stream is first and type(raw) is io.FileIO


def _text(raw: io.FileIO, before: TextIO | None) -> io.TextIOWrapper:
    if not isinstance(before, io.TextIOWrapper):
        return io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", "backslashreplace")
    with suppress(OSError):
        before.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        before.encoding,
        "backslashreplace",
        line_buffering=before.line_buffering or before.write_through,
    )
