"""Hiding parts of picture files of any size, as stimuli for people or machines."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from hemiface.errors import DamagedError, UsageError
from hemiface.files import atomic_path
from hemiface.occlusion.conditions import FILLS, condition, hide, image_seeds
from hemiface.occlusion.face_lines import FindLandmarks, hide_by_lines, lines_of

__all__ = ["occlude_files"]

OnFallback = Callable[[Path], None]


def occlude_files(
    paths: Sequence[Path],
    name: str,
    fill: str,
    out: Path,
    *,
    landmarks: FindLandmarks | None = None,
    on_fallback: OnFallback = lambda _: None,
) -> list[Path]:
    """Write each picture with the named part hidden as PNG into `out`; return what was written.

    The result keeps the picture's size and is grey or RGB, transparency laid on black. EXIF
    orientation is applied first, so that `upper` is what a viewer calls upper. The name is
    `<stem>-<condition>.png`. Noise is seeded from the file's name and can be repeated.

    With `landmarks`, which is asked for each picture, the face's own part is hidden (see
    `occlusion.face_lines`): its lines cut the whole picture in two. The name then ends in `-face`,
    or in `-fallback` where no landmarks came and the picture's own half was hidden; `on_fallback`
    is told of the latter's picture.

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
    written = []
    for path, target in zip(paths, targets, strict=True):
        pixels = _read(path)[np.newaxis]
        seeds = image_seeds([path.name])
        if landmarks is None:
            place, hidden = target, hide(pixels, one, seeds)
        else:
            lines = lines_of(landmarks(pixels), *pixels.shape[1:3])
            place = target.with_name(f"{target.stem}-{lines.words[0]}.png")
            hidden = hide_by_lines(pixels, one, lines, seeds)
            if not lines.found[0]:
                on_fallback(path)
        with atomic_path(place) as partial:
            Image.fromarray(hidden[0]).save(partial)
        written.append(place)
    return written


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
