"""What is looked at and what is seen there, before anything is said of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from hemiface.errors import UsageError
from hemiface.vision.finding.alignment import AlignedFace
from hemiface.vision.finding.detector import FoundFace
from hemiface.vision.visible_regions import VisibleRegions

__all__ = ["Box", "Frame", "SeenFace", "require_frames"]

Pixels = npt.NDArray[np.uint8]
Box = tuple[float, float, float, float]
"""x, y, width, height in pixels of the picture."""


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture in memory with where it came from."""

    pixels: Pixels
    """RGB uint8 [height, width, 3]."""
    source: str = ""
    number: int | None = None
    """Of a video's frame, from 0."""
    timestamp_s: float | None = None
    """Of a video's frame, in seconds."""

    @classmethod
    def without_pixels(cls, source: str) -> Self:
        """Return what is needed of a picture whose faces have been seen: memory holds no more."""
        return cls(np.zeros((0, 0, 3), dtype=np.uint8), source)


def require_frames(frames: Iterable[object]) -> list[Frame]:
    """Return a list of them; raise UsageError unless all are Frames."""
    known = []
    for one in frames:
        if not isinstance(one, Frame):
            raise UsageError(
                f"predict_frames() takes hf.Frame, got {type(one).__name__} among them; wrap each "
                "array: hf.Frame(array)."
            )
        known.append(one)
    return known


@dataclass(frozen=True, eq=False)
class SeenFace:
    """A face that was found and looked at."""

    found: FoundFace
    aligned: AlignedFace
    visibility: VisibleRegions
    marks: npt.NDArray[np.float64] | None = None
    """The landmarks [468, 2] in pixels of the crop."""
