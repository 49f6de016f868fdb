"""One labelled picture before it is read, and who cuts its face out of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["AlignFaces", "Box", "Cut", "Listed", "ReadOptions"]

Box = tuple[float, float, float, float]
"""Left, top, width and height in pixels of the picture."""


@dataclass(frozen=True)
class Listed:
    """A picture that a source names, with what the source says of it."""

    source: Path | Callable[[], bytes]
    """Its file, or what gives a file's content where it lies in a table."""
    name: str
    """What it is called in `Images.table["source"]` and in sentences."""
    label: str
    """One of EMOTIONS, or of OTHER_LABELS: those are counted and left out."""
    split: str = ""
    """train, validation or test; "" where the source doesn't say."""
    person: str = ""
    """Who it shows, "" where the source doesn't say: the unit that is resampled and kept
    together."""
    box: Box | None = None
    """Where the source says that the face is."""
    extra: Mapping[str, str | int] = field(default_factory=dict)
    """Further columns of the Images table; the same ones for every picture of a source."""


@dataclass(frozen=True, eq=False)
class Cut:
    """What became of a picture: a face, none, or a problem."""

    pixels: npt.NDArray[np.uint8] | None = None
    """The grey face uint8 [48, 48]; None without one."""
    faces: int = 0
    """How many faces were found."""
    problem: str = ""
    """Why the picture can't be read, as a predicate; "" where it was."""


class AlignFaces(Protocol):
    """Finds the face in whole pictures and turns it upright, as `hemiface predict` does.

    It is handed to readers, which lie below the room that finds faces.
    """

    @property
    def key(self) -> str:
        """What decides its answers besides the pictures: networks and code."""

    def __call__(self, pictures: Sequence[Listed]) -> Iterator[Cut]:
        """Yield what became of each picture, in their order."""


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How a source is read."""

    skip_bad: bool = False
    """Leave out what can't be read, and list it, instead of stopping there."""
    align: AlignFaces | None = None
    """Find and align the faces of whole pictures; None takes pictures for crops."""
    deal: bool = False
    """Deal the images into splits anew, whatever the source says; see `splits.deal_splits`."""
