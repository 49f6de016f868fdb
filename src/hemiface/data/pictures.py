"""A picture file to grey 48 x 48: the one rule by which pictures of other kinds are converted.

Photos have a rule of their own (`vision.photos`), which also divides 16 bits: a data set with such
files is refused here, since every result on it would hang on a rounding that nobody chose.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from hemiface.tables import FER2013_SIZE_PX

__all__ = ["CONVERSION_RULE", "PICTURE_SUFFIXES", "on_black", "read_picture"]

PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm"}
)

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
        with Image.open(path) as picture:
            picture.load()
            return _convert(picture)
    except UnidentifiedImageError:
        return "is not a readable picture (unknown format)"
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        # Pillow raises SyntaxError for broken PNG chunks.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return f"is not a readable picture ({reason})"


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
