"""Reading pictures of any kind as upright RGB, or saying in one sentence why not.

The one reader of photos: what `hemiface predict` looks at and what `hemiface occlude` hides parts
of is read by the same rules.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from hemiface.data.pictures import (
    DECODER_ERRORS,
    MOST_PIXELS,
    PICTURE_SUFFIXES,
    on_black,
    open_picture,
)
from hemiface.errors import DamagedError, UsageError

__all__ = ["MOST_PIXELS", "PHOTO_SUFFIXES", "Photo", "read_photo"]

PHOTO_SUFFIXES = PICTURE_SUFFIXES | {
    ".apng", ".avif", ".heic", ".heif", ".hif", ".jfif", ".jp2", ".jpe", ".mpo", ".pnm",
}  # fmt: skip
"""What is looked at in folders. Of HEIC it is only said that it can't be read: silence would pass
for "no face"."""

_GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N")

_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture as everything after it takes it."""

    pixels: npt.NDArray[np.uint8]
    """RGB [height, width, 3], upright as its EXIF orientation says."""
    note: str = ""
    """What the reader should know of it: that only the first of several frames was read."""
    is_grey: bool = False
    """Whether the file holds grey alone; the three channels are equal then."""


def read_photo(path: str | Path, most_pixels: int = MOST_PIXELS) -> Photo:
    """Read a picture file.

    Grey is repeated, transparency laid on black, CMYK converted, 16 bits a channel are divided by
    257; of an animation or of several pages the first is read, which `note` says.

    Raises:
        DamagedError: the file is missing, empty, truncated, no picture, of a kind that has no one
            meaning as RGB (floating point, 32 bits), or has more than `most_pixels` pixels.
        UsageError: `most_pixels` is not positive.
    """
    if most_pixels < 1:
        raise UsageError(f"The limit of pixels must be positive, got {most_pixels}.")
    source = Path(path)
    if not source.is_file():
        raise DamagedError(f"Picture {source} doesn't exist; check the path.")
    try:
        if not source.stat().st_size:
            raise DamagedError(f"Picture {source} is empty (0 bytes); get it again.")
        with open_picture(source) as opened:
            width, height = opened.size
            if width * height > most_pixels:
                raise DamagedError(
                    f"Picture {source} has {width} x {height} pixels, over the limit of "
                    f"{most_pixels:,}; raise it with --max-pixels if you trust the file."
                )
            frames = _frames(opened)
            opened.load()
            pixels = _rgb(opened, source)
            is_grey = opened.mode in _GREY_MODES
    except UnidentifiedImageError as error:
        raise DamagedError(_unknown(source)) from error
    except DECODER_ERRORS as error:
        raise DamagedError(f"Picture {source} can't be read ({_reason(error)}).") from error
    note = f"only the first of {frames} frames was read" if frames > 1 else ""
    return Photo(pixels, note, is_grey)


def _frames(opened: Image.Image) -> int:
    """Return how many different pictures a file holds."""
    # Phones put a smaller copy or a depth map behind the photo and call it MPO.
    return 1 if opened.format in ("MPO", "ICO") else int(getattr(opened, "n_frames", 1))


def _rgb(picture: Image.Image, source: Path) -> npt.NDArray[np.uint8]:
    # Pillow before 11 opens 16-bit PNG as 32-bit integers, and every Pillow 16-bit PGM.
    is_wide = picture.mode == "I" and picture.format in ("PNG", "PPM")
    upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith("I;16") or is_wide:
        wide = np.asarray(upright).astype(np.uint32)
        grey = ((wide + 128) // 257).astype(np.uint8)
        return np.repeat(grey[:, :, np.newaxis], 3, axis=2)
    if upright.mode in ("I", "F"):
        raise DamagedError(
            f"Picture {source} has mode {upright.mode}, whose white isn't defined; save it with "
            "8 or 16 bits a channel."
        )
    return np.array(on_black(upright).convert("RGB"))


def _unknown(source: Path) -> str:
    """Return the sentence about a file that isn't of a known format."""
    with source.open("rb") as file:
        start = file.read(12)
    if start[4:8] == b"ftyp" and start[8:] in _HEIC_BRANDS:
        return f"Picture {source} is HEIC, which isn't read; convert it to JPEG or PNG."
    if start[4:8] == b"ftyp" and start[8:] in (b"avif", b"avis"):
        return f"Picture {source} is AVIF; update Pillow to 11.3 or newer, or convert it to PNG."
    return f"{source} is not a picture of a known format; convert it to JPEG or PNG."


def _reason(error: BaseException) -> str:
    """Return why a file can't be read, and how to mend it, in a few words."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    said = (str(error).splitlines() or [""])[0].rstrip(".")
    return f"{said or type(error).__name__}; damaged or cut off: get it again"
