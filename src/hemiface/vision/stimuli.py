"""Hiding parts of picture files of any size, as stimuli for people or machines."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from hemiface.data.pictures import MADE_BY, is_made_here
from hemiface.errors import DamagedError, UsageError
from hemiface.files import MOST_BYTES, atomic_path, fitting, printable, reading
from hemiface.inputs import require_apart, require_file
from hemiface.occlusion.conditions import FILLS, condition, hide, image_seeds
from hemiface.occlusion.face_lines import FindLandmarks, hide_by_lines, lines_of
from hemiface.tables import HALVES_WORDS
from hemiface.vision.photos import read_photo

__all__ = ["occlude_files"]

OnNote = Callable[[Path, str], None]
OnDamaged = Callable[[DamagedError], None]


def occlude_files(
    paths: Sequence[Path],
    name: str,
    fill: str,
    out: Path,
    *,
    landmarks: FindLandmarks | None = None,
    most_pixels: int | None = None,
    replace: bool = False,
    on_note: OnNote = lambda *_: None,
    on_damaged: OnDamaged | None = None,
) -> list[Path]:
    """Write each picture with the named part hidden as PNG into `out`; return what was written.

    Pictures are read as `predict` reads them (see `vision.photos.read_photo`): upright, so that
    `upper` is what a viewer calls upper, and with 8 bits a channel. The result keeps the picture's
    size, is grey where the file holds grey alone and else RGB, and outside the hidden part has
    exactly the pixels that were read. The name is `<stem>-<condition>.png`. Noise is seeded from
    the file's name and can be repeated. What is written bears hemiface's mark, and what bears none
    keeps its place unless `replace` is given.

    With `landmarks`, which is asked for each picture, the face's own part is hidden (see
    `occlusion.face_lines`): its lines cut the whole picture in two. The name then ends in `-face`,
    or in `-fallback` where no landmarks came and the picture's own half was hidden. `on_note` is
    told in a sentence of such a fall-back, and of frames or pages that were left out, each with its
    picture. `on_damaged` is given the error of each picture that can't be read, and the others are
    done; without it the first one is raised.

    Raises:
        UsageError: the condition or fill is unknown, `name` names another fill than `fill`, two
            results would have the same name, one of them would take the place of a picture that is
            read or that hemiface didn't make, or `most_pixels` is not positive.
        DamagedError: a picture is missing or, without `on_damaged`, can't be read; see
            `vision.photos.read_photo`.
    """
    if fill not in FILLS:
        raise UsageError(f"Fill {fill!r} is unknown; choose from {', '.join(FILLS)}.")
    # Black is the default, so it doesn't contradict a fill that the name carries.
    one = condition(name, None if fill == "black" else fill)
    for path in paths:
        require_file(path, "Picture")
    targets = _targets(paths, one.key, out)
    places = [place for target in targets for place in _places(target, landmarks)]
    require_apart(paths, places)
    if not replace:
        _require_free(places)
    mark = PngInfo()
    mark.add_text(*MADE_BY)
    written = []
    for path, target in zip(paths, targets, strict=True):
        try:
            photo = read_photo(path, most_pixels)
        except DamagedError as error:
            if on_damaged is None:
                raise
            on_damaged(error)
            continue
        if photo.note:
            on_note(path, f"of {path} {photo.note}.")
        pixels = (photo.pixels[..., 0] if photo.is_grey else photo.pixels)[np.newaxis]
        seeds = image_seeds([printable(path.name)])
        if landmarks is None:
            place, hidden = target, hide(pixels, one, seeds)
        else:
            lines = lines_of(landmarks(pixels), *pixels.shape[1:3])
            place = _named(target, str(lines.words[0]))
            hidden = hide_by_lines(pixels, one, lines, seeds)
            if not lines.found[0]:
                on_note(path, f"no face was found in {path}; the picture's own half is hidden.")
        with atomic_path(place) as partial:
            Image.fromarray(hidden[0]).save(partial, pnginfo=mark)
        written.append(place)
    return written


def _places(target: Path, landmarks: FindLandmarks | None) -> list[Path]:
    """Return where a picture may go."""
    return [target] if landmarks is None else [_named(target, word) for word in HALVES_WORDS[1:]]


def _require_free(places: Sequence[Path]) -> None:
    """Raise unless what is there already are pictures of ours."""
    for place in places:
        with reading(place):
            if place.exists() and not is_made_here(place):
                raise UsageError(
                    f"{place} is there, and isn't known to be hemiface's; choose another --out, or "
                    "give --replace."
                )


def _named(target: Path, word: str) -> Path:
    return target.with_name(f"{target.stem}-{word}.png")


def _targets(paths: Sequence[Path], key: str, out: Path) -> list[Path]:
    """Return where each picture goes; UsageError if two would have one name."""
    ending = f"-{key.replace('@', '-')}"
    room = MOST_BYTES - len(f"{ending}-fallback.png")
    targets = [out / f"{fitting(path.stem, room)}{ending}.png" for path in paths]
    twice = [target for target, count in Counter(targets).items() if count > 1]
    if twice:
        raise UsageError(f"Two of the pictures would both become {twice[0]}; rename one of them.")
    return targets
