"""Whether a video's file is all there, by what its container says of its own length.

Decoders don't tell: they take the end of a file for the end of the video.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["is_cut_off"]

_SLACK_BYTES = 16
"""Some programs forget their own header when they count; nothing is lost by so little."""
_EBML = b"\x1aE\xdf\xa3"
_SEGMENT = b"\x18S\x80g"
_LONGEST_ID = 8
_BOXES = frozenset((
    b"ftyp", b"styp", b"moov", b"moof", b"mfra", b"mdat", b"meta", b"udta", b"uuid", b"free",
    b"skip", b"wide", b"pnot", b"pdin", b"sidx", b"ssix", b"prft", b"emsg",
))  # fmt: skip


def is_cut_off(path: str | Path) -> bool:
    """Return whether a file of MP4's, Matroska's or AVI's family ends before its container does.

    Of others, and where a container doesn't say how long it is, such as one that was streamed,
    nobody knows: False.
    """
    with Path(path).open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        start = file.read(12)
        file.seek(0)
        if start[:4] == _EBML:
            ends = _matroska(file)
        elif start[:4] == b"RIFF":
            ends = _riff(file, size)
        elif start[4:8] in _BOXES:
            ends = _boxes(file, size)
        else:
            return False
        return any(end > size + _SLACK_BYTES for end in ends)


def _boxes(file: BinaryIO, size: int) -> Iterator[int]:
    """Yield where the outermost boxes of MP4 and QuickTime end (ISO/IEC 14496-12, 4.2)."""
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(16)
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1 and len(head) == 16:
            length = int.from_bytes(head[8:], "big")
        # 0 is a last box without an end; what isn't a box was appended by somebody.
        if length < 8 or kind not in _BOXES:
            return
        at += length
        yield at


def _riff(file: BinaryIO, size: int) -> Iterator[int]:
    """Yield where the lists of an AVI end: one, or several of a large file."""
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(8)
        if len(head) < 8 or head[:4] != b"RIFF":
            return
        (length,) = struct.unpack("<I", head[4:])
        if length in (0, 0xFFFFFFFF):
            return
        at += 8 + length + length % 2
        yield at


def _matroska(file: BinaryIO) -> Iterator[int]:
    """Yield where the segment of Matroska and WebM ends (RFC 8794, 4 and 6)."""
    file.seek(len(_EBML))
    length = _varying(file)
    if length is None:
        return
    file.seek(length, 1)
    if file.read(len(_SEGMENT)) == _SEGMENT and (length := _varying(file)) is not None:
        yield file.tell() + length


def _varying(file: BinaryIO) -> int | None:
    """Return an integer of varying length, None where all bits say that it isn't known."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    more = _LONGEST_ID - first[0].bit_length()
    bits = 7 * (more + 1)
    value = int.from_bytes(first + file.read(more), "big") & ((1 << bits) - 1)
    return None if value == (1 << bits) - 1 else value
