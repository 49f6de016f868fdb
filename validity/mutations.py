"""Files changed as disks, transfers and spite change them, the same for the same seed."""

import random
import struct
from collections.abc import Callable, Sequence

__all__ = ["mutated"]

_MOST = 6
"""Changes to one file."""
_EDGE_BYTES = 2048
"""Headers and footers, which decide on more than what lies between, are met as often as that."""
_NUMBERS = (
    0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1,
    2**64 - 1,
)  # fmt: skip
_SIZES = ("<B", "<H", ">H", "<I", ">I", "<Q", ">Q")
_DIGITS = (b"0", b"-1", b"1e999", b"NaN", b"9" * 30, b"9" * 5000, b"0.5", b"\xd9\xa3")

Change = Callable[[bytearray, random.Random, Sequence[bytes], Sequence[bytes]], None]


def mutated(seeds: Sequence[bytes], words: Sequence[bytes], key: str) -> tuple[int, bytes]:
    """Return the number of one of `seeds` and what became of it.

    `words` mean something in these files; `key` decides everything.
    """
    draw = random.Random(key)
    number = draw.randrange(len(seeds))
    content = bytearray(seeds[number])
    for _ in range(draw.randint(1, _MOST)):
        draw.choice(_CHANGES)(content, draw, words, seeds)
    return number, bytes(content)


def _place(content: bytearray, draw: random.Random) -> int:
    if not content:
        return 0
    edge = min(_EDGE_BYTES, len(content))
    return draw.choice(
        (
            draw.randrange(len(content)),
            draw.randrange(edge),
            len(content) - 1 - draw.randrange(edge),
        )
    )


def _bit(content: bytearray, draw: random.Random, *_: object) -> None:
    if content:
        content[_place(content, draw)] ^= 1 << draw.randrange(8)


def _byte(content: bytearray, draw: random.Random, *_: object) -> None:
    if content:
        content[_place(content, draw)] = draw.randrange(256)


def _number(content: bytearray, draw: random.Random, *_: object) -> None:
    """Put a number where another may have stood: a length, a count, an offset."""
    form = draw.choice(_SIZES)
    size = struct.calcsize(form)
    at = _place(content, draw)
    content[at : at + size] = struct.pack(form, draw.choice(_NUMBERS) % 2 ** (8 * size))


def _digits(content: bytearray, draw: random.Random, *_: object) -> None:
    """Put another number in place of one that is written in digits."""
    start = at = _place(content, draw)
    while at < len(content) and at - start < 4096 and not 48 <= content[at] <= 57:
        at += 1
    end = at
    while end < len(content) and end - at < 32 and 48 <= content[end] <= 57:
        end += 1
    content[at:end] = draw.choice(_DIGITS)


def _cut(content: bytearray, draw: random.Random, *_: object) -> None:
    del content[_place(content, draw) :]


def _remove(content: bytearray, draw: random.Random, *_: object) -> None:
    at = _place(content, draw)
    del content[at : at + _length(draw)]


def _repeat(content: bytearray, draw: random.Random, *_: object) -> None:
    at = _place(content, draw)
    part = content[at : at + _length(draw)]
    content[at:at] = part * draw.choice((1, 1, 1, 40))


def _noise(content: bytearray, draw: random.Random, *_: object) -> None:
    at, length = _place(content, draw), _length(draw)
    content[at : at + length] = draw.randbytes(length)


def _zeros(content: bytearray, draw: random.Random, *_: object) -> None:
    at, length = _place(content, draw), _length(draw)
    content[at : at + length] = bytes(length)


def _word(
    content: bytearray, draw: random.Random, words: Sequence[bytes], _: Sequence[bytes]
) -> None:
    """Put a word in, or over what stands there."""
    at, word = _place(content, draw), draw.choice(words)
    content[at : at + draw.choice((0, len(word)))] = word


def _swap(
    content: bytearray, draw: random.Random, words: Sequence[bytes], _: Sequence[bytes]
) -> None:
    """Put a word in the place of another one."""
    old, new = draw.choice(words), draw.choice(words)
    at = content.find(old, _place(content, draw))
    if at >= 0:
        content[at : at + len(old)] = new


def _splice(
    content: bytearray, draw: random.Random, _: Sequence[bytes], seeds: Sequence[bytes]
) -> None:
    """Put a part of another file in."""
    other = bytearray(draw.choice(seeds))
    start, at = _place(other, draw), _place(content, draw)
    part = other[start : start + _length(draw)]
    content[at : at + draw.choice((0, len(part)))] = part


def _length(draw: random.Random) -> int:
    return draw.choice((1, 2, 4, 8, 16, 64, 512, 4096))


_CHANGES: tuple[Change, ...] = (
    _bit, _bit, _byte, _number, _number, _digits, _cut, _remove, _repeat, _noise, _zeros, _word,
    _swap, _splice,
)  # fmt: skip
