"""What a kind of file is to the fuzzer: whole ones to begin with, and who reads them.

A reader takes the bytes of a file that was changed. It may raise a HemifaceError and nothing else,
and an `AcceptedError` where it took what bears a checksum and isn't what was written.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hemiface.errors import HemifaceError

__all__ = ["AcceptedError", "Target", "each", "faces"]


class AcceptedError(Exception):
    """A file that bears a checksum was changed, and was taken for what was written."""


@dataclass(frozen=True)
class Target:
    """A kind of file."""

    seeds: Sequence[bytes]
    """Whole files."""
    look: Callable[[bytes], None]
    """Hands bytes to what reads such files."""
    words: Sequence[bytes]
    """What means something in them."""
    is_sealed: bool = False
    """Whether a checksum tells every change, so that none may be taken."""


def each(*readers: Callable[[], object]) -> None:
    """Ask every one of some readers; what all of them refuse is refused."""
    refused = None
    taken = False
    for read in readers:
        try:
            read()
            taken = True
        except HemifaceError as error:
            refused = error
    if refused is not None and not taken:
        raise refused


def faces(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 48, 48), dtype=np.uint8)
