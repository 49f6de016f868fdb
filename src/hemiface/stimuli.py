"""Hiding parts of picture files of any size, as stimuli for people or machines."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from hemiface.errors import DamagedError, UsageError
from hemiface.files import atomic_path
from hemiface.occlusion import FILLS, condition, hide, image_seeds

__all__ = ["occlude_files"]


def occlude_files(paths: Sequence[Path], name: str, fill: str, out: Path) -> list[Path]:
    """Write each picture with the named part hidden as PNG into `out`; return what was written.

    The result keeps the picture's size and is grey or RGB. EXIF orientation is applied first, so
    that `upper` is what a viewer calls upper. The name is `<stem>-<condition>.png`. Noise is seeded
    from the file's name and can be repeated.

    Raises:
        UsageError: the condition or fill is unknown, or two results would have the same name.
        DamagedError: a picture is missing or can't be read.
    """
    if fill not in FILLS:
        raise UsageError(f"Fill {fill!r} is unknown; choose from {', '.join(FILLS)}.")
    one = condition(name, None if "@" in name else fill)
    targets = [out / f"{path.stem}-{one.key.replace('@', '-')}.png" for path in paths]
    twice = next((target for target in targets if targets.count(target) > 1), None)
    if twice:
        raise UsageError(f"Two of the pictures would both become {twice}; rename one of them.")
    for path, target in zip(paths, targets, strict=True):
        pixels = _read(path)
        hidden = hide(pixels[np.newaxis], one, image_seeds([path.name]))[0]
        with atomic_path(target) as partial:
            Image.fromarray(hidden).save(partial)
    return targets


def _read(path: Path) -> np.ndarray:
    if not path.is_file():
        raise DamagedError(f"Picture {path} doesn't exist; check the path.")
    try:
        with Image.open(path) as opened:
            picture = ImageOps.exif_transpose(opened)
            grey = picture.mode in ("1", "L", "I", "I;16", "F")
            return np.array(picture.convert("L" if grey else "RGB"))
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise DamagedError(f"Picture {path} can't be read ({error}).") from error
