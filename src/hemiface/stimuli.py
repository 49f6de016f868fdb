"""Hiding parts of picture files of any size, as stimuli for people or machines."""

from collections import Counter
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

    The result keeps the picture's size and is grey or RGB, transparency laid on black. EXIF
    orientation is applied first, so that `upper` is what a viewer calls upper. The name is
    `<stem>-<condition>.png`. Noise is seeded from the file's name and can be repeated.

    Raises:
        UsageError: the condition or fill is unknown, `name` names another fill than `fill`, or two
            results would have the same name.
        DamagedError: a picture is missing, can't be read or has more than 8 bits a channel.
    """
    if fill not in FILLS:
        raise UsageError(f"Fill {fill!r} is unknown; choose from {', '.join(FILLS)}.")
    # Black is the default, so it doesn't contradict a fill that the name carries.
    one = condition(name, None if fill == "black" else fill)
    targets = [out / f"{path.stem}-{one.key.replace('@', '-')}.png" for path in paths]
    twice = [target for target, count in Counter(targets).items() if count > 1]
    if twice:
        raise UsageError(f"Two of the pictures would both become {twice[0]}; rename one of them.")
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
    except UnidentifiedImageError as error:
        raise DamagedError(f"Picture {path} can't be read (unknown format).") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        # Pillow raises SyntaxError for broken PNG chunks.
        raise DamagedError(f"Picture {path} can't be read ({error}).") from error
    if picture.mode.startswith(("I", "F")):
        raise DamagedError(
            f"Picture {path} has mode {picture.mode}; save it with 8 bits a channel."
        )
    mode = "L" if picture.mode in ("1", "L", "LA", "La") else "RGB"
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "black"), picture)
    return np.array(picture.convert(mode))
