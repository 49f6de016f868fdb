"""What programs hand over as pictures: paths, bytes, open files, arrays, Pillow's, tensors."""

import inspect
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeGuard, runtime_checkable

import numpy as np
import numpy.typing as npt

from hemiface.errors import DamagedError, UsageError, first_line
from hemiface.files import printable
from hemiface.inputs import require_local
from hemiface.limits import limits, over
from hemiface.vision.photos import Photo, of_pillow, read_photo
from hemiface.vision.sources import find_sources

__all__ = ["Given", "Picture", "each", "is_folder", "is_picture", "look_up"]

Pixels = npt.NDArray[np.uint8]

_ARRAYS = "an array must be RGB uint8 [height, width, 3] or grey uint8 [height, width]"
_AS_TEXT = "The file was opened as text; open it with mode 'rb'."
_TENSORS = "a tensor must be [3 or 1, height, width], uint8 or floating point in 0..1"


@runtime_checkable
class _BinaryFile(Protocol):
    def read(self, size: int, /) -> bytes: ...


@runtime_checkable
class _PillowImage(Protocol):
    # What Pillow's pictures have can be read, and not set.
    @property
    def mode(self) -> str: ...

    @property
    def info(self) -> dict[Any, Any]: ...

    def convert(self, mode: str) -> Any: ...


@runtime_checkable
class _Tensor(Protocol):
    def detach(self) -> Any: ...

    def cpu(self) -> Any: ...


Picture: TypeAlias = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | Pixels | _BinaryFile | _PillowImage
    | _Tensor
)  # fmt: skip
"""A path, a picture file's content, an open binary file, an RGB or grey uint8 array, a picture of
Pillow, or a tensor [3 or 1, height, width] of torch."""


_KINDS = (
    str, os.PathLike, bytes, bytearray, memoryview, np.ndarray, _BinaryFile, _PillowImage, _Tensor,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Given:
    """A picture as it was handed over, under the name that its rows bear."""

    name: str
    """The path as it was given, the open file's name, or "" for what has none. Bytes of a file's
    name that are no text are written as escapes."""
    source: Any
    """What was handed over, of an open file its content; an error where that can't be read."""
    bgr: bool = False
    most_pixels: int | None = None

    def open(self) -> Photo:
        """Return it as RGB; a file is read anew each time.

        Raises:
            DamagedError: as `hemiface.vision.photos.read_photo`, also of bytes, open files and
                pictures of Pillow; or a folder can't be looked into.
            UsageError: it is an address, or an array or tensor of another type or shape.
        """
        source = self.source
        if isinstance(source, DamagedError):
            raise source
        if isinstance(source, str | os.PathLike):
            return read_photo(Path(source), self.most_pixels)
        if isinstance(source, bytes | bytearray | memoryview):
            return read_photo(bytes(source), self.most_pixels)
        if isinstance(source, np.ndarray):
            return Photo(_of_array(source, self.bgr))
        if isinstance(source, _Tensor):
            return Photo(_of_tensor(source))
        return of_pillow(source, self.most_pixels)


def is_picture(source: Any) -> bool:
    """Return whether this is one picture, and not several."""
    return isinstance(source, _KINDS)


def is_folder(source: Any) -> TypeGuard[str | os.PathLike[str]]:
    """Return whether this is the path of a folder; one that can't be asked for is none."""
    # Of the empty name a Path makes the current folder.
    if not isinstance(source, str | os.PathLike) or not os.fspath(source):
        return False
    try:
        return Path(source).is_dir()
    except OSError:
        return False  # Too long a name, or in a folder that may not be entered.


def look_up(source: Any, *, bgr: bool = False, most_pixels: int | None = None) -> Given:
    """Return one picture by its name; open files are read here, nothing else is.

    That one can't be read, or holds more than Limits.picture_bytes, is told when it is opened.

    Raises:
        UsageError: it is no picture, an empty name, an address, a file of text or one that is read
            asynchronously, or `bgr` is said of something that names its channels itself.
    """
    if not is_picture(source):
        raise UsageError(
            f"Type {type(source).__name__} is no picture; give a path, bytes, an open file, an "
            "array, a tensor or a picture of Pillow."
        )
    if bgr and not isinstance(source, np.ndarray):
        raise UsageError("bgr=True is for arrays of OpenCV; everything else says its channels.")
    if isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        if not name:
            raise UsageError("The picture's name is empty; name a file or folder.")
        require_local(name)
        return Given(printable(name), source, most_pixels=most_pixels)
    if isinstance(source, _BinaryFile) and not isinstance(source, _PillowImage):
        name = getattr(source, "name", "")
        named = os.fspath(name) if isinstance(name, str | os.PathLike) else ""
        return Given(printable(named), _content(source), most_pixels=most_pixels)
    return Given("", source, bgr, most_pixels)


def each(
    sources: Iterable[Any], *, bgr: bool = False, most_pixels: int | None = None
) -> Iterator[Given]:
    """Yield every picture of several, and those in folders among them.

    What has no name is called by its place, as in `#3`.

    Raises:
        UsageError: as `look_up`, or a folder holds no pictures.
        DamagedError: a folder can't be searched.
    """
    if not isinstance(sources, Iterable):
        raise UsageError(
            f"Type {type(sources).__name__} is no picture and holds none; give one, or a list."
        )
    for place, source in enumerate(sources):
        if is_folder(source):
            yield from _inside(source, most_pixels)
            continue
        one = look_up(source, bgr=bgr and isinstance(source, np.ndarray), most_pixels=most_pixels)
        yield one if one.name else replace(one, name=f"#{place}")


def _inside(folder: str | os.PathLike[str], most_pixels: int | None) -> list[Given]:
    """Return a folder's pictures, and the folders in it that can't be looked into."""
    found = [
        Given(one.name, DamagedError(one.problem) if one.problem else one.path, False, most_pixels)
        for one in find_sources([os.fspath(folder)])
        if not one.moves
    ]
    if not found:
        raise UsageError(f"Folder {printable(os.fspath(folder))} holds no pictures.")
    return found


def _content(file: _BinaryFile) -> bytes | DamagedError:
    """Return what an open file holds, or why it can't be read."""
    most = limits().picture_bytes
    try:
        content: Any = file.read(most + 1)
    except UnicodeDecodeError as error:
        raise UsageError(_AS_TEXT) from error
    except (OSError, ValueError) as error:
        return DamagedError(f"The open file can't be read ({first_line(error)}); open it anew.")
    if inspect.isawaitable(content):
        if inspect.iscoroutine(content):
            content.close()  # Python would warn that nobody awaited it.
        raise UsageError(
            "The file is read asynchronously: hand over its .file, or await its bytes."
        )
    if isinstance(content, str):
        raise UsageError(_AS_TEXT)
    if not isinstance(content, bytes):
        kind = type(content).__name__
        raise UsageError(f"The file's read gives {kind}, not bytes; hand over what it holds.")
    if len(content) > most:
        return DamagedError(f"The open file is {over('picture_bytes')}.")
    return content


def _of_array(array: npt.NDArray[Any], bgr: bool) -> Pixels:
    if array.dtype != np.uint8:
        mend = "; multiply by 255 and round if it lies in 0..1" if array.dtype.kind == "f" else ""
        raise UsageError(f"{_said(array)}: {_ARRAYS}{mend}.")
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 1):
        array = np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    if array.ndim != 3 or array.shape[2] != 3 or not array.size:
        mend = "; leave alpha out with array[:, :, :3]" if array.shape[2:] == (4,) else ""
        raise UsageError(f"{_said(array)}: {_ARRAYS}{mend}.")
    return np.ascontiguousarray(array[:, :, ::-1] if bgr else array)


def _of_tensor(tensor: _Tensor) -> Pixels:
    known = tensor.detach().cpu()
    # NumPy has no bfloat16.
    array = np.asarray(known.float() if str(known.dtype) == "torch.bfloat16" else known)
    if array.ndim != 3 or array.shape[0] not in (1, 3) or not array.size:
        raise UsageError(f"{_said(array)}: {_TENSORS}.")
    if array.dtype.kind == "f":
        if not (array.min() >= 0 and array.max() <= 1):
            raise UsageError(f"{_said(array)} holds values outside 0..1: {_TENSORS}.")
        array = np.rint(array.astype(np.float64) * 255).astype(np.uint8)
    if array.dtype != np.uint8:
        raise UsageError(f"{_said(array)}: {_TENSORS}.")
    return _of_array(array.transpose(1, 2, 0), bgr=False)


def _said(array: npt.NDArray[Any]) -> str:
    return f"Got {array.dtype} {list(array.shape)}"
