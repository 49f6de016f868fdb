"""Reading pictures of any kind as upright RGB, or saying in one sentence why not.

The one reader of photos: what `hemiface predict` looks at and what `hemiface occlude` hides parts
of is read by the same rules.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from hemiface.data.pictures import (
    PICTURE_SUFFIXES,
    PictureError,
    by_bands,
    on_black,
    open_picture,
)
from hemiface.errors import DamagedError, UsageError
from hemiface.inputs import require_file
from hemiface.limits import variable

__all__ = ["PHOTO_SUFFIXES", "Photo", "read_photo"]

PHOTO_SUFFIXES = PICTURE_SUFFIXES | {
    ".apng", ".avif", ".heic", ".heif", ".hif", ".jfif", ".jp2", ".jpe", ".mpo", ".pnm",
}  # fmt: skip
"""What is looked at in folders. Of HEIC it is only said that it can't be read: silence would pass
for "no face"."""

_GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N")

# Of a document's pages nobody wants to know more exactly how many they are.
_MOST_PAGES = 100

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


def read_photo(path: str | Path, most_pixels: int | None = None) -> Photo:
    """Read a picture file.

    Grey is repeated, transparency laid on black, CMYK converted, 16 bits a channel are divided by
    257; of an animation or of several pages the first is read, which `note` says.

    Raises:
        DamagedError: the file is missing, empty, truncated, no picture, of a kind that has no one
            meaning as RGB (floating point, 32 bits), has more than `most_pixels` pixels (by default
            Limits.pixels) or isn't read within Limits.picture_seconds.
        UsageError: `most_pixels` is not positive.
    """
    if most_pixels is not None and most_pixels < 1:
        raise UsageError(f"The limit of pixels must be positive, got {most_pixels}.")
    source = Path(path)
    if not require_file(source, "Picture").st_size:
        raise DamagedError(f"Picture {source} is empty (0 bytes); get it again.")
    try:
        with open_picture(source, most_pixels) as opened:
            note = _note(opened)
            opened.load()
            pixels = _rgb(opened, source)
            is_grey = opened.mode in _GREY_MODES
    except PictureError as error:
        raise DamagedError(_sentence(source, error)) from error
    return Photo(pixels, note, is_grey)


def _note(opened: Image.Image) -> str:
    """Return that a file holds several different pictures, where it does."""
    # Phones put a smaller copy or a depth map behind the photo and call it MPO.
    if opened.format == "MPO":
        return ""
    frames = _pages(opened) if opened.format == "TIFF" else int(getattr(opened, "n_frames", 1))
    if frames < 2:
        return ""
    many = f"more than {_MOST_PAGES}" if frames > _MOST_PAGES else str(frames)
    return f"only the first of {many} frames was read"


def _pages(opened: Image.Image) -> int:
    """Return how many pages a TIFF has, or _MOST_PAGES + 1: the n-th costs n steps."""
    try:
        for page in range(1, _MOST_PAGES + 1):
            opened.seek(page)
    except EOFError:
        return page
    finally:
        opened.seek(0)
    return _MOST_PAGES + 1


def _rgb(picture: Image.Image, source: Path) -> npt.NDArray[np.uint8]:
    # Pillow before 11 opens 16-bit PNG as 32-bit integers, and every Pillow 16-bit PGM.
    is_wide = picture.mode == "I" and picture.format in ("PNG", "PPM")
    ImageOps.exif_transpose(picture, in_place=True)
    is_wide = is_wide or picture.mode.startswith("I;16")
    if picture.mode in ("I", "F") and not is_wide:
        raise DamagedError(
            f"Picture {source} has mode {picture.mode}, whose white isn't defined; save it with "
            "8 or 16 bits a channel."
        )
    whole = np.empty((picture.height, picture.width, 3), dtype=np.uint8)
    return by_bands(picture, _divided if is_wide else _plain, whole)


def _divided(band: Image.Image) -> npt.NDArray[np.uint8]:
    """Return uint8 [height, width, 1] of 16 bits a pixel."""
    wide = np.asarray(band).astype(np.uint32)
    grey: npt.NDArray[np.uint8] = ((wide + 128) // 257).astype(np.uint8)[:, :, np.newaxis]
    return grey


def _plain(band: Image.Image) -> npt.NDArray[np.uint8]:
    return np.asarray(on_black(band).convert("RGB"))


def _sentence(source: Path, error: PictureError) -> str:
    """Return what is wrong with a picture, and how to mend it."""
    if error.kind == "format":
        return _unknown(source)
    if error.kind == "pixels":
        raised_by = f"--max-pixels or {variable('pixels')}"
        return f"Picture {source} {error.reason}; raise it with {raised_by} if you trust the file."
    if error.kind == "time":
        return f"Picture {source} {error}."
    mend = "; damaged or cut off: get it again" if error.kind == "content" else ""
    return f"Picture {source} can't be read ({error.reason}{mend})."


def _unknown(source: Path) -> str:
    """Return the sentence about a file that isn't of a known format."""
    with source.open("rb") as file:
        start = file.read(12)
    if start[4:8] == b"ftyp" and start[8:] in _HEIC_BRANDS:
        return f"Picture {source} is HEIC, which isn't read; convert it to JPEG or PNG."
    if start[4:8] == b"ftyp" and start[8:] in (b"avif", b"avis"):
        return f"Picture {source} is AVIF; update Pillow to 11.3 or newer, or convert it to PNG."
    return f"{source} is not a picture of a known format; convert it to JPEG or PNG."
