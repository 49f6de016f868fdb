"""How much hemiface takes from a file, an address or a header before it refuses: every limit.

Files are anybody's, and a small one can stand for gigabytes or hours. What goes over a limit is
refused in a sentence that names the limit and what raises it: an environment variable for each, so
that a limit holds for every command, every import and every process that these start.
"""

import os
from dataclasses import dataclass, field, fields
from typing import Any, Self

from hemiface.errors import UsageError

__all__ = ["Limits", "limits", "over", "variable"]

_PREFIX = "HEMIFACE_MAX_"


def _limit(default: int, of: str) -> Any:
    return field(default=default, metadata={"of": of})


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The most of everything that is taken from outside; each default is far above honest use.

    Field `pixels` is raised by HEMIFACE_MAX_PIXELS, and so on. `docs/limits.md` lists them.
    """

    pixels: int = _limit(89_478_485, "pixels of a picture")
    """From there on Pillow warns. While such a picture is read it takes about .7 GB."""
    picture_bytes: int = _limit(500_000_000, "bytes of a picture that a program hands over")
    """Of an open file, which may never end; a path has no such limit."""
    frame_pixels: int = _limit(36_000_000, "pixels of a video's frame")
    """8K video has 33 million."""
    picture_seconds: int = _limit(60, "seconds for reading a picture")
    video_seconds: int = _limit(43_200, "seconds for watching a video")
    """Cameras are watched until somebody stops them."""
    line_bytes: int = _limit(1_000_000, "bytes of a line of a CSV file")
    """A row of fer2013.csv has about 9,000."""
    unpacked_bytes: int = _limit(2_000_000_000, "bytes of a CSV file after unpacking")
    """fer2013.csv has 300 million."""
    left_out: int = _limit(100_000, "rows or pictures that --skip-bad leaves out")
    table_rows: int = _limit(20_000_000, "rows of a table")
    """Parquet or CSV; empty lines count too."""
    table_bytes: int = _limit(4_000_000_000, "bytes of a Parquet table")
    """It is in memory before it is unpacked."""
    memory_rows: int = _limit(10_000_000, "rows of a table in memory")
    """A longer table of predictions is counted part by part: see `hemiface.stats.large`."""
    parted_rows: int = _limit(1_000_000_000, "rows of a table in parts")
    text_bytes: int = _limit(16_000_000, "bytes of a config, an index or another file of settings")
    model_bytes: int = _limit(2_147_483_648, "bytes of a network's file")
    """Longer ones ONNX can't hold either."""
    download_bytes: int = _limit(200_000_000, "bytes of a download")
    """The largest that is fetched, MediaPipe's wheel, has 36 million."""
    download_seconds: int = _limit(1_800, "seconds for a download")
    phantom_faces: int = _limit(1_000_000, "rendered faces")
    request_bytes: int = _limit(20_000_000, "bytes of a request")
    """Of `hemiface serve`, as all that follow; a video has a limit of its own."""
    request_video_bytes: int = _limit(200_000_000, "bytes of a video in a request")
    request_pictures: int = _limit(32, "pictures in a request")
    request_pixels: int = _limit(30_000_000, "pixels of a picture in a request")
    """While such a picture is read it takes about .25 GB."""
    request_faces: int = _limit(256, "faces in a picture of a request")
    request_frames: int = _limit(18_000, "frames of a video in a request")
    """Ten minutes at 30 a second."""
    request_seconds: int = _limit(30, "seconds for a picture in a request")
    """The request's way in, waiting for a turn and being looked at have so many each."""
    requests: int = _limit(64, "requests at a time")

    def __post_init__(self) -> None:
        for one in fields(self):
            if getattr(self, one.name) < 1:
                raise UsageError(f"The limit of {one.metadata['of']} must be positive.")

    @classmethod
    def of_environment(cls) -> Self:
        """Return the defaults, and what the environment says in their place.

        Raises:
            UsageError: a variable holds no positive whole number.
        """
        given = {one.name: os.environ.get(variable(one.name), "") for one in fields(cls)}
        for name, text in given.items():
            # Longer numbers than this Python refuses to read.
            if text and not (text.isascii() and text.isdigit() and len(text) < 19 and int(text)):
                raise UsageError(
                    f"{variable(name)} must be a positive whole number, not {text[:30]!r}."
                )
        return cls(**{name: int(text) for name, text in given.items() if text})


def limits() -> Limits:
    """Return the limits that hold now; errors as `Limits.of_environment`."""
    return Limits.of_environment()


def variable(name: str) -> str:
    """Return the environment variable of a field of Limits.

    >>> variable("pixels")
    'HEMIFACE_MAX_PIXELS'
    """
    return f"{_PREFIX}{name.upper()}"


def over(name: str) -> str:
    """Return the words with which every refusal ends: which limit it was and what raises it.

    >>> over("phantom_faces")
    'over the limit of 1,000,000 rendered faces (HEMIFACE_MAX_PHANTOM_FACES raises it)'
    """
    of = next(one.metadata["of"] for one in fields(Limits) if one.name == name)
    return f"over the limit of {getattr(limits(), name):,} {of} ({variable(name)} raises it)"
