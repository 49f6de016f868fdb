"""A picture file to grey 48 x 48: the one rule by which pictures of other kinds are converted.

Photos have a rule of their own (`vision.photos`), which also divides 16 bits: a data set with such
files is refused here, since every result on it would hang on a rounding that nobody chose.
"""

import io
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from hemiface.errors import DamagedError
from hemiface.inputs import require_file
from hemiface.limits import limits, over, variable
from hemiface.tables import FER2013_SIZE_PX

__all__ = [
    "CONVERSION_RULE",
    "MADE_BY",
    "PICTURE_SUFFIXES",
    "PictureError",
    "by_bands",
    "decoding",
    "is_made_here",
    "on_black",
    "open_picture",
    "read_picture",
    "require_pixels",
]

Pixels = npt.NDArray[np.uint8]

PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm"}
)

_FORMATS = (
    "AVIF", "BMP", "DIB", "GIF", "HEIF", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM", "QOI",
    "TGA", "TIFF", "WEBP",
)  # fmt: skip
# Not among them are formats that Pillow hands to other programs, such as EPS, whatever the suffix,
# nor icons, which it decodes when it opens them, however many pixels they have.

# Opening looks only at a file's header, so that waiting for another thread costs nothing.
_OPENING = threading.Lock()

MADE_BY = ("Software", "hemiface")
"""The entry of a PNG file by which pictures of ours are known again."""

CONVERSION_RULE = (
    "EXIF rotation applied; transparency laid on black; grey = .299 R + .587 G + .114 B; the "
    "central square; area mean to 48 x 48 (bilinear where it has to grow)"
)

# Of a larger picture never more is converted at once.
_BAND_PIXELS = 1 << 22

# A kilobyte can hold a dozen scans, each of which goes over the whole picture.
_JPEG_BLOCK_BYTES = 1024

# Files that were changed at random make Pillow's decoders raise all of these.
_DECODER_ERRORS = (
    ArithmeticError, EOFError, LookupError, MemoryError, OSError, RuntimeError, SyntaxError,
    SystemError, TypeError, ValueError, struct.error,
)  # fmt: skip

_SIZE_PX = (FER2013_SIZE_PX, FER2013_SIZE_PX)
_EXIF_ORIENTATION = 0x0112


class PictureError(Exception):
    """What is wrong with a picture, as a predicate for a sentence that begins with its name.

    `kind` is format (it has none that is read), pixels or time (it goes over that limit), system
    (the file can't be read at all) or content (it is damaged). `reason` is the predicate without
    what mends it.
    """

    def __init__(self, predicate: str, kind: str, reason: str = "") -> None:
        super().__init__(predicate)
        self.kind = kind
        self.reason = reason


def read_picture(
    source: Path | bytes, box: tuple[float, float, float, float] | None = None
) -> tuple[Pixels, frozenset[str]] | str:
    """Return uint8 [48, 48] and what was converted (`grey`, `cropped`, `resized`), or the problem.

    A grey 48 x 48 picture comes back untouched; others follow CONVERSION_RULE. With `box` (left,
    top, width, height of the face in pixels) the square of its longer side about its middle is
    taken, moved and cut to lie inside the picture. The problem is a predicate ("is not a readable
    picture (...)") for a sentence that begins with the file's name.
    """
    try:
        with open_picture(source) as picture:
            return _convert(picture, box)
    except PictureError as error:
        return str(error)


@contextmanager
def open_picture(
    source: Path | bytes, most_pixels: int | None = None, formats: Sequence[str] = _FORMATS
) -> Iterator[Image.Image]:
    """Yield a picture of one of the formats that are read, which its content decides and no suffix.

    `source` is a file or what such a file holds. The picture has no more than `most_pixels` pixels
    (by default Limits.pixels) and isn't decoded yet.

    Raises:
        PictureError: it is no regular file, of another format or of none, it has more pixels, or
            it can't be decoded, also while the caller does that, or not within
            Limits.picture_seconds.
    """
    try:
        if isinstance(source, Path):
            require_file(source)
    except DamagedError as error:
        raise PictureError("can't be opened: it is no file", "system", str(error)) from error
    with decoding(), _TimedFile(source) as file, _opened(file, formats) as picture:
        require_pixels(picture.size, most_pixels)
        if picture.format in ("JPEG", "MPO"):
            picture.decodermaxblock = _JPEG_BLOCK_BYTES
        yield picture


@contextmanager
def decoding() -> Iterator[None]:
    """Have Pillow decode whole files alone, and say of every other what is wrong with it.

    Raises:
        PictureError: a picture can't be decoded.
    """
    try:
        with _WHOLE:
            yield
    except UnidentifiedImageError as error:
        raise PictureError("is not a readable picture (unknown format)", "format") from error
    except _DECODER_ERRORS as error:
        reason, kind = _reason(error)
        raise PictureError(f"is not a readable picture ({reason})", kind, reason) from error


def is_made_here(path: Path) -> bool:
    """Return whether a file bears the mark of ours (MADE_BY).

    Raises:
        OSError: it can't be read.
    """
    return "\0".join(MADE_BY).encode() in path.read_bytes()


def require_pixels(size: tuple[int, int], most_pixels: int | None = None) -> None:
    """Raise unless width x height is at most `most_pixels`, by default Limits.pixels.

    Raises:
        PictureError: it is more.
    """
    width, height = size
    most_pixels = most_pixels or limits().pixels
    if width * height > most_pixels:
        said = f"has {width} x {height} pixels, over the limit of {most_pixels:,}"
        raise PictureError(f"{said} ({variable('pixels')} raises it)", "pixels", said)


def _opened(file: io.BufferedReader, formats: Sequence[str]) -> ImageFile.ImageFile:
    """Return Pillow's picture without its own limit of pixels: ours is compared, and named."""
    with _OPENING:
        Image.init()
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            # Some are built into Pillow on some systems only.
            return Image.open(file, formats=[one for one in formats if one in Image.OPEN])
        finally:
            Image.MAX_IMAGE_PIXELS = before


class _WholeFiles:
    """While anything is read, a file that ends too early is damaged and not grey from there on.

    That is a switch of Pillow for the whole process, which other libraries turn (WeasyPrint when
    it is imported). What it was comes back with the last of the readers.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0
        self._before = False

    def __enter__(self) -> None:
        with self._lock:
            if not self._readers:
                self._before = ImageFile.LOAD_TRUNCATED_IMAGES
                ImageFile.LOAD_TRUNCATED_IMAGES = False
            self._readers += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._readers -= 1
            if not self._readers:
                ImageFile.LOAD_TRUNCATED_IMAGES = self._before


_WHOLE = _WholeFiles()


class _TimedFile(io.BufferedReader):
    """A picture's file that stops being readable when its time is over.

    Decoders run in one piece and can't be stopped, but all of them come back for more bytes.
    """

    def __init__(self, source: Path | bytes) -> None:
        raw: Any = io.FileIO(source) if isinstance(source, Path) else io.BytesIO(source)
        super().__init__(raw)
        self._end_s = time.monotonic() + limits().picture_seconds

    def read(self, size: int | None = -1, /) -> bytes:
        """Read on, while there is time."""
        if time.monotonic() > self._end_s:
            raise PictureError(f"isn't read to its end, {over('picture_seconds')}", "time")
        return super().read(size)

    def fileno(self) -> int:
        """Refuse: who has the number reads past `read`."""
        raise io.UnsupportedOperation("fileno")


def _reason(error: BaseException) -> tuple[str, str]:
    """Return why a file can't be read, and whose fault it is: that of system or content."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror, "system"
    said = (str(error).splitlines() or [""])[0].rstrip(".")
    return said or type(error).__name__, "content"


def by_bands(
    picture: Image.Image, convert: Callable[[Image.Image], Pixels], into: Pixels
) -> Pixels:
    """Fill `into` [height, ...] with what `convert` makes of some rows of a picture at a time.

    The conversions of a whole picture would lie beside each other in memory.
    """
    width, height = picture.size
    rows = max(_BAND_PIXELS // width, 1)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        into[top:bottom] = convert(picture.crop((0, top, width, bottom)))
    return into


def on_black(picture: Image.Image) -> Image.Image:
    """Return a picture whose transparency is laid on black, itself where it has none."""
    if not picture.has_transparency_data:
        return picture
    picture = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "black"), picture)


def _square(
    size: tuple[int, int], box: tuple[float, float, float, float]
) -> tuple[int, int, int, int]:
    """Return the square about a box as left, top, right, bottom inside a picture of `size`."""
    left, top, width, height = box
    if not (width > 0 and height > 0 and left + width > 0 and top + height > 0):
        raise PictureError(f"has no face at its box {box}", "content")
    side = min(max(round(max(width, height)), 1), *size)
    across, down = (
        min(max(round(start + length / 2 - side / 2), 0), whole - side)
        for start, length, whole in zip((left, top), (width, height), size, strict=True)
    )
    return across, down, across + side, down + side


def _convert(
    picture: Image.Image, box: tuple[float, float, float, float] | None = None
) -> tuple[Pixels, frozenset[str]]:
    """Apply CONVERSION_RULE to a picture; PictureError where it has no 8 bits a channel."""
    done = set()
    picture.load()
    if picture.getexif().get(_EXIF_ORIENTATION, 1) != 1:
        ImageOps.exif_transpose(picture, in_place=True)
    if picture.mode.startswith(("I", "F")):
        raise PictureError(f"has mode {picture.mode}, but 8 bits a channel are needed", "format")
    if box is not None:
        done.add("cropped")
        picture = picture.crop(_square(picture.size, box))
    width, height = picture.size
    if width != height:
        done.add("cropped")
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        picture = picture.crop((left, top, left + side, top + side))
    if picture.mode != "L" or picture.has_transparency_data:
        done.add("grey")
        grey = np.empty(picture.size[::-1], dtype=np.uint8)
        picture = Image.fromarray(by_bands(picture, _grey, grey))
    if picture.size != _SIZE_PX:
        done.add("resized")
        shrinks = picture.width > FER2013_SIZE_PX
        how = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
        picture = picture.resize(_SIZE_PX, how)
    return np.array(picture, dtype=np.uint8), frozenset(done)


def _grey(band: Image.Image) -> Pixels:
    return np.asarray(on_black(band).convert("RGB").convert("L"))
