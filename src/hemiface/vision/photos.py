"""Reading pictures of any kind as upright RGB, or saying in one sentence why not.

The one reader of photos: what `hemiface predict` looks at and what `hemiface occlude` hides parts
of is read by the same rules.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from hemiface.data.pictures import (
    PICTURE_SUFFIXES,
    PictureError,
    by_bands,
    decoding,
    on_black,
    open_picture,
    require_pixels,
)
from hemiface.errors import DamagedError, UsageError
from hemiface.inputs import require_file
from hemiface.limits import variable

__all__ = ["PHOTO_SUFFIXES", "Photo", "of_pillow", "read_photo"]

PHOTO_SUFFIXES = PICTURE_SUFFIXES | {
    ".apng", ".avif", ".dib", ".heic", ".heif", ".hif", ".j2k", ".jfif", ".jp2", ".jpe", ".mpo",
    ".pbm", ".pcx", ".pnm", ".tga",
}  # fmt: skip
"""What is looked at in folders. Of HEIC it is only said that it can't be read: silence would pass
for "no face"."""

_GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N")

_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
"""A tag of TIFF, and its value where a grey picture is stored as its negative."""

_RAISED_BY = f"--max-pixels or {variable('pixels')}"

# Of a document's pages nobody wants to know more exactly how many they are.
_MOST_PAGES = 100

_VIDEO_BRANDS = (
    b"3g", b"F4P", b"F4V", b"M4V", b"MSNV", b"XAVC", b"avc1", b"dash", b"f4v", b"iso", b"mmp4",
    b"mp4", b"qt",
)  # fmt: skip
"""How those begin: raw pictures of cameras and sound have others."""
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


def read_photo(
    source: str | Path | bytes,
    most_pixels: int | None = None,
    raised_by: str = _RAISED_BY,
) -> Photo:
    """Read a picture file, or what such a file holds.

    Grey is repeated, transparency laid on black, CMYK converted, grey of 16 bits divided by 257 (of
    colours of 16 bits Pillow keeps the upper 8); of an animation or of several pages the first is
    read, which `note` says. `raised_by` is what a refusal says of how to allow more pixels.

    Raises:
        DamagedError: the file is missing, empty, truncated, no picture, of a kind that has no one
            meaning as RGB (floating point, 32 bits), has more than `most_pixels` pixels (by default
            Limits.pixels) or isn't read within Limits.picture_seconds.
        UsageError: `most_pixels` is not positive.
    """
    _require_positive(most_pixels)
    if isinstance(source, str):
        source = Path(source)
    if isinstance(source, bytes):
        name, size = f"of {len(source):,} bytes", len(source)
    else:
        name, size = str(source), require_file(source, "Picture").st_size
    if not size:
        raise DamagedError(f"Picture {name} is empty (0 bytes); get it again.")
    try:
        with open_picture(source, most_pixels) as opened:
            note = _note(opened)
            opened.load()
            pixels = _rgb(opened, name, opened)
            is_grey = opened.mode in _GREY_MODES
    except PictureError as error:
        if error.kind == "format":
            start = source[:12] if isinstance(source, bytes) else _start(source)
            raise DamagedError(_unknown(name, start)) from error
        raise DamagedError(_sentence(name, error, raised_by)) from error
    return Photo(pixels, note, is_grey)


def of_pillow(picture: Any, most_pixels: int | None = None) -> Photo:
    """Return a picture of Pillow as `read_photo` would have read its file; it stays as it is.

    Of several frames the one that it shows is read. `note` tells of the others where that is the
    first one; of a GIF or TIFF that is decoded already it can't be known.

    Raises:
        DamagedError: it has no pixels or no one meaning as RGB, has more than `most_pixels` pixels
            (by default Limits.pixels), or its file can't be decoded to its end, or any more.
        UsageError: `most_pixels` is not positive.
    """
    _require_positive(most_pixels)
    name = getattr(picture, "filename", "") or f"of Pillow's mode {picture.mode}"
    if 0 in picture.size:
        raise DamagedError(f"Picture {name} has no pixels; hand over one that has some.")
    try:
        with decoding():
            require_pixels(picture.size, most_pixels)
            note = _note(picture) if _may_be_counted(picture) else ""
            pixels = _rgb(picture.copy(), name, picture)
    except PictureError as error:
        mend = "damaged, cut off or closed: open it anew"
        raise DamagedError(_sentence(name, error, _RAISED_BY, mend)) from error
    return Photo(pixels, note, picture.mode in _GREY_MODES)


def _require_positive(most_pixels: int | None) -> None:
    if most_pixels is not None and most_pixels < 1:
        raise UsageError(f"The limit of pixels must be positive, got {most_pixels}.")


def _may_be_counted(picture: Image.Image) -> bool:
    """Return whether counting the frames from here on leaves a picture as it is.

    Those of GIF and TIFF are gone through, and decoding the first one anew undoes what was drawn on
    it since it was decoded.
    """
    is_decoded = picture.format in ("GIF", "TIFF") and not getattr(picture, "tile", None)
    return picture.tell() == 0 and not is_decoded


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


def _rgb(picture: Image.Image, name: str, opened: Image.Image) -> npt.NDArray[np.uint8]:
    """Return a picture's pixels; `opened` is it or its original, which knows what its file was."""
    # Pillow before 11 opens 16-bit PNG as 32-bit integers, and every Pillow 16-bit PGM.
    is_wide = picture.mode == "I" and opened.format in ("PNG", "PPM")
    ImageOps.exif_transpose(picture, in_place=True)
    is_wide = is_wide or picture.mode.startswith("I;16")
    if picture.mode in ("I", "F") and not is_wide:
        raise DamagedError(
            f"Picture {name} has mode {picture.mode}, whose white isn't defined; save it with "
            "8 or 16 bits a channel."
        )
    whole = np.empty((picture.height, picture.width, 3), dtype=np.uint8)
    by_bands(picture, _divided if is_wide else _plain, whole)
    # Pillow knows of it with 8 bits, but not with 16.
    if is_wide and opened.format == "TIFF" and _tags(opened).get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        np.subtract(255, whole, out=whole)
    return whole


def _tags(opened: Image.Image) -> Mapping[int, Any]:
    return getattr(opened, "tag_v2", {})


def _divided(band: Image.Image) -> npt.NDArray[np.uint8]:
    """Return uint8 [height, width, 1] of 16 bits a pixel."""
    wide = np.asarray(band).astype(np.uint32)
    grey: npt.NDArray[np.uint8] = ((wide + 128) // 257).astype(np.uint8)[:, :, np.newaxis]
    return grey


def _plain(band: Image.Image) -> npt.NDArray[np.uint8]:
    return np.asarray(on_black(band).convert("RGB"))


def _sentence(
    name: str,
    error: PictureError,
    raised_by: str,
    mend: str = "damaged or cut off: get it again",
) -> str:
    """Return what is wrong with a picture, and how to mend it."""
    if error.kind == "pixels":
        return f"Picture {name} {error.reason}; raise it with {raised_by} if you trust the file."
    if error.kind == "time":
        return f"Picture {name} {error}."
    mend = f"; {mend}" if error.kind == "content" else ""
    return f"Picture {name} can't be read ({error.reason}{mend})."


_MATROSKA, _AVI = b"\x1a\x45\xdf\xa3", (b"RIFF", b"AVI ")


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(12)


def _unknown(name: str, start: bytes) -> str:
    """Return the sentence about a file that isn't of a known format, by how it starts."""
    if start[4:8] == b"ftyp" and start[8:] in _HEIC_BRANDS:
        return f"Picture {name} is HEIC, which isn't read; convert it to JPEG or PNG."
    if start[4:8] == b"ftyp" and start[8:] in (b"avif", b"avis"):
        return f"Picture {name} is AVIF; update Pillow to 11.3 or newer, or convert it to PNG."
    moves = start[4:8] == b"ftyp" and start[8:].startswith(_VIDEO_BRANDS)
    if moves or start[:4] == _MATROSKA or (start[:4], start[8:]) == _AVI:
        return f"{name} is a video and no picture; Predictor.watch and hemiface predict look at it."
    return f"Picture {name} is of no known format; convert it to JPEG or PNG."
