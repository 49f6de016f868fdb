"""Reading pictures of any kind as upright RGB, or saying in one sentence why not."""

import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from hemiface.errors import DamagedError, UsageError

__all__ = ["MOST_PIXELS", "Photo", "read_photo"]

MOST_PIXELS = 89_478_485
"""What Pillow warns of: a quarter of a gibibyte as RGB."""

# Opening looks only at a file's header, so that waiting for another thread costs nothing.
_OPENING = threading.Lock()


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture as everything after it takes it."""

    pixels: npt.NDArray[np.uint8]
    """RGB [height, width, 3], upright as its EXIF orientation says."""
    note: str = ""
    """What the reader should know of it: that only the first of several frames was read."""


def read_photo(path: str | Path, most_pixels: int = MOST_PIXELS) -> Photo:
    """Read a picture file.

    Grey is repeated, transparency laid on black, CMYK converted, 16 bits a channel are divided by
    257; of an animation the first frame is read, which `note` says.

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
        with _open(source) as opened:
            width, height = opened.size
            if width * height > most_pixels:
                raise DamagedError(
                    f"Picture {source} has {width} x {height} pixels, over the limit of "
                    f"{most_pixels:,}; raise it with --max-pixels if you trust the file."
                )
            frames = getattr(opened, "n_frames", 1)
            opened.load()
            pixels = _rgb(opened, source)
    except UnidentifiedImageError as error:
        raise DamagedError(f"{source} is not a picture of a known format.") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        # Pillow raises SyntaxError for broken PNG chunks.
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise DamagedError(f"Picture {source} can't be read ({reason}); get it again.") from error
    return Photo(pixels, f"only the first of {frames} frames was read" if frames > 1 else "")


def _open(source: Path) -> Image.Image:
    """Open without Pillow's own limit: ours is an option, and told."""
    with _OPENING:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            return Image.open(source)
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _rgb(picture: Image.Image, source: Path) -> npt.NDArray[np.uint8]:
    upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith("I;16"):
        wide = np.asarray(upright).astype(np.uint32)
        grey = ((wide + 128) // 257).astype(np.uint8)
        return np.repeat(grey[:, :, np.newaxis], 3, axis=2)
    if upright.mode in ("I", "F"):
        raise DamagedError(
            f"Picture {source} has mode {upright.mode}, whose white isn't defined; save it with "
            "8 or 16 bits a channel."
        )
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", upright.size, "black"), upright)
    return np.array(upright.convert("RGB"))
