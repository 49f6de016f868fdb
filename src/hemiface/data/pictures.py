"""A picture file to grey 48 x 48: the one rule by which pictures of other kinds are converted.

Photos have a rule of their own (`vision.photos`), which also divides 16 bits: a data set with such
files is refused here, since every result on it would hang on a rounding that nobody chose.
"""

import struct
import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from hemiface.tables import FER2013_SIZE_PX

__all__ = [
    "CONVERSION_RULE",
    "DECODER_ERRORS",
    "MOST_PIXELS",
    "PICTURE_SUFFIXES",
    "on_black",
    "open_picture",
    "read_picture",
]

PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm"}
)

MOST_PIXELS = 89_478_485
"""What a picture may unpack to unless more is asked for; from there on Pillow warns."""

_FORMATS = (
    "AVIF", "BMP", "DIB", "GIF", "HEIF", "ICO", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM",
    "QOI", "TGA", "TIFF", "WEBP",
)  # fmt: skip
# Not among them are formats that Pillow hands to other programs, such as EPS, whatever the suffix.

DECODER_ERRORS = (
    ArithmeticError, EOFError, LookupError, MemoryError, OSError, RuntimeError, SyntaxError,
    TypeError, ValueError, struct.error,
)  # fmt: skip
"""Files that were changed at random make Pillow's decoders raise all of these."""

# Opening looks only at a file's header, so that waiting for another thread costs nothing.
_OPENING = threading.Lock()

CONVERSION_RULE = (
    "EXIF rotation applied; transparency laid on black; grey = .299 R + .587 G + .114 B; the "
    "central square; area mean to 48 x 48 (bilinear where it has to grow)"
)

_SIZE_PX = (FER2013_SIZE_PX, FER2013_SIZE_PX)
_EXIF_ORIENTATION = 0x0112


def read_picture(path: Path) -> tuple[npt.NDArray[np.uint8], frozenset[str]] | str:
    """Return uint8 [48, 48] and what was converted (`grey`, `cropped`, `resized`), or the problem.

    A grey 48 x 48 picture comes back untouched; others follow CONVERSION_RULE. The problem is a
    predicate ("is not a readable picture (...)") for a sentence that begins with the file's name.
    """
    try:
        with open_picture(path) as picture:
            width, height = picture.size
            if width * height > MOST_PIXELS:
                return f"has {width} x {height} pixels, over the limit of {MOST_PIXELS:,}"
            picture.load()
            return _convert(picture)
    except UnidentifiedImageError:
        return "is not a readable picture (unknown format)"
    except DECODER_ERRORS as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return f"is not a readable picture ({reason})"


def open_picture(path: Path) -> Image.Image:
    """Open a file of one of the formats that are read, which its content decides and no suffix.

    Without Pillow's own limit of pixels: who opens compares the size with theirs, and says so.

    Raises:
        UnidentifiedImageError: it is of another format, or of none.
    """
    with _OPENING:
        Image.init()
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            # Some are built into Pillow on some systems only.
            return Image.open(path, formats=[one for one in _FORMATS if one in Image.OPEN])
        finally:
            Image.MAX_IMAGE_PIXELS = before


def on_black(picture: Image.Image) -> Image.Image:
    """Return a picture whose transparency is laid on black, itself where it has none."""
    if not picture.has_transparency_data:
        return picture
    picture = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "black"), picture)


def _convert(picture: Image.Image) -> tuple[npt.NDArray[np.uint8], frozenset[str]] | str:
    """Apply CONVERSION_RULE to a loaded picture."""
    done = set()
    if picture.getexif().get(_EXIF_ORIENTATION, 1) != 1:
        picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith(("I", "F")):
        return f"has mode {picture.mode}, but 8 bits a channel are needed"
    if picture.mode != "L":
        done.add("grey")
        picture = on_black(picture).convert("RGB").convert("L")
    width, height = picture.size
    if width != height:
        done.add("cropped")
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        picture = picture.crop((left, top, left + side, top + side))
    if picture.size != _SIZE_PX:
        done.add("resized")
        shrinks = picture.width > FER2013_SIZE_PX
        how = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
        picture = picture.resize(_SIZE_PX, how)
    return np.array(picture, dtype=np.uint8), frozenset(done)
