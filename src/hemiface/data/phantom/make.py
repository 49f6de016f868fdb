"""Rendered faces ("phantom faces"): a data set without a download whose right answers are known.

Grey 48 x 48 faces are drawn from traits and facial action units. The units can be made weaker in
the upper or lower half and on the left or right side, for all emotions or for some, so that it is
known beforehand which part of the face matters; an analysis that finds something else is wrong.

What is guaranteed. A face depends on its seed, its index and the options alone: neither on how many
are drawn nor on what they are drawn with. With the same versions of NumPy and OpenCV its bytes are
the same. With `pose=False`, what an action unit changes stays in the quadrants where it is scaled:
under `Expressiveness(upper=0)` the same face has the same pixels in rows 0 to 23, noise and all,
whatever its emotion; likewise `lower` and rows 24 to 47, `left` and columns 0 to 23, `right` and
columns 24 to 47. A pose moves the boundary with the face, as in a photograph.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from hemiface.data.images import Images
from hemiface.data.phantom.geometry import draw
from hemiface.data.phantom.parameters import (
    ACTIONS,
    FACE,
    PROTOTYPES,
    TRAITS,
    Expressiveness,
    draw_faces,
    mirrored,
)
from hemiface.errors import UsageError
from hemiface.files import atomic_path, hash_json
from hemiface.limits import limits, over
from hemiface.tables import EMOTIONS, SPLITS, write_csv

__all__ = [
    "ACTIONS",
    "FACE",
    "PROTOTYPES",
    "TRAITS",
    "Expressiveness",
    "draw_parameters",
    "make",
    "mirrored",
    "parameters_of",
    "render",
    "render_faces",
    "write_folder",
]

LABELS_FILE = "labels.csv"
_DATASET = "phantom"
_INFO_KEY = "phantom"
_ALL = Expressiveness()


def draw_parameters(
    labels: npt.ArrayLike,
    seed: int,
    *,
    expressiveness: Expressiveness | Mapping[str, Expressiveness] = _ALL,
    intensity: npt.ArrayLike | None = None,
    noise: float = 1.0,
    pose: bool = True,
    start: int = 0,
) -> npt.NDArray[np.void]:
    """Return FACE records [n]: what `render`, which takes the same arguments, draws."""
    classes = np.asarray(labels)
    known = classes.ndim == 1 and (classes.size == 0 or classes.dtype.kind in "iu")
    if not known or ((classes < 0) | (classes >= len(EMOTIONS))).any():
        raise UsageError(
            f"Labels of rendered faces must be a list of whole numbers 0 to {len(EMOTIONS) - 1}."
        )
    is_whole = all(isinstance(one, (int, np.integer)) for one in (seed, start))
    if not (is_whole and 0 <= seed < 2**63 and 0 <= start <= 2**63 - 1 - classes.size):
        raise UsageError(
            f"Seed {seed} and start {start} must not be negative, and be whole numbers below "
            "2**63, that of the last face too."
        )
    if not (np.isfinite(noise) and noise >= 0):
        raise UsageError(f"Noise {noise} is not a factor; use 0 or more.")
    strength = None
    if intensity is not None:
        given = np.asarray(intensity, dtype=np.float32)
        # Written so that NaN fails too.
        if given.shape not in ((), classes.shape) or not ((given >= 0) & (given <= 1)).all():
            raise UsageError("Intensity must be one number 0 to 1, or one for each face.")
        strength = np.broadcast_to(given, classes.shape)
    return draw_faces(
        classes.astype(np.int64),
        seed,
        start=start,
        expressiveness=expressiveness,
        intensity=strength,
        noise=noise,
        pose=pose,
    )


def render(
    labels: npt.ArrayLike,
    seed: int,
    *,
    expressiveness: Expressiveness | Mapping[str, Expressiveness] = _ALL,
    intensity: npt.ArrayLike | None = None,
    noise: float = 1.0,
    pose: bool = True,
    start: int = 0,
) -> npt.NDArray[np.uint8]:
    """Return uint8 [n, 48, 48]: face `start` + i of `seed` showing emotion `labels[i]`.

    - `labels`: int [n], indices into EMOTIONS. The rest of the face (who it is, pose, light,
      noise) doesn't depend on them: the same seed and index show one person in several emotions.
    - `expressiveness`: for all emotions, or by the name of the emotion (those not named show
      everything); `{"happy": Expressiveness(upper=0)}` makes happiness a matter of the lower half.
    - `intensity`: of the emotion, 0 (only the slight activity of any face) to 1, one number or one
      per face; by default drawn evenly from 0.4 to 1.
    - `noise`: factor of the sensor's noise; 0 is none.
    - `pose`: False shows every face straight, upright and centred.

    >>> render([3, 3], seed=0, start=5).shape
    (2, 48, 48)

    Raises:
        UsageError: a label, factor or emotion is unknown or out of range.

    """
    return render_faces(
        draw_parameters(
            labels,
            seed,
            expressiveness=expressiveness,
            intensity=intensity,
            noise=noise,
            pose=pose,
            start=start,
        )
    )


def render_faces(parameters: npt.NDArray[np.void]) -> npt.NDArray[np.uint8]:
    """Return uint8 [n, 48, 48]: the faces with exactly these FACE records [n].

    The fields are described at `TRAITS` and `FACE`. A record made by `draw_parameters` may be
    changed field by field; values beyond the ranges of TRAITS are drawn as well as they go.

    Raises:
        UsageError: the array doesn't hold FACE records, or a value is not a finite number.

    """
    if parameters.dtype != FACE or parameters.ndim != 1:
        raise UsageError("render_faces() takes a one-dimensional array of dtype phantom.FACE.")
    names = parameters.dtype.names or ()
    broken = [name for name in names if not np.isfinite(parameters[name]).all()]
    if broken:
        raise UsageError(f"Face parameter {', '.join(broken)} has values that are not finite.")
    return draw(parameters)


def make(
    n: int = 3000,
    seed: int = 0,
    *,
    expressiveness: Expressiveness | Mapping[str, Expressiveness] = _ALL,
    shares: Mapping[str, float] | None = None,
    splits: Sequence[float] = (0.7, 0.1, 0.2),
    intensity: float | None = None,
    noise: float = 1.0,
    pose: bool = True,
) -> Images:
    """Render a data set: every emotion in every split, each face another person.

    Grain of skin and strands of hair are cut out of one field at 160 places: those of every
    hundred and sixtieth face are the same, on another face.

    Emotions are equally frequent, or as in `shares` (emotion -> weight, those not named 0);
    `splits` are the weights of train, validation and test. Both are dealt out in a fixed order, so
    that a data set of more faces begins with the same faces in the same splits. `source_row` is the
    face's index. For the other options see `render`.

    Raises:
        UsageError: an option is out of range, or there are too few faces for every emotion that
            occurs to be in every split.

    """
    options = {
        "n": n,
        "seed": seed,
        "expressiveness": _plain(expressiveness),
        "shares": None if shares is None else dict(shares),
        "splits": list(splits),
        "intensity": intensity,
        "noise": noise,
        "pose": pose,
    }
    labels = _dealt_labels(n, shares)
    split = _dealt_splits(labels, splits)
    parameters = draw_parameters(
        labels, seed, expressiveness=expressiveness, intensity=intensity, noise=noise, pose=pose
    )
    return Images.build(
        render_faces(parameters),
        labels=np.asarray(EMOTIONS)[labels],
        splits=np.asarray(SPLITS)[split],
        dataset=_DATASET,
        sources=[f"phantom:seed={seed}#{index}" for index in range(n)],
        source_rows=np.arange(n, dtype=np.int64),
        info={
            "source": f"phantom:n={n},seed={seed}",
            "form": _DATASET,
            "source_sha256": hash_json(options),
            _INFO_KEY: options,
        },
    )


def parameters_of(images: Images) -> npt.NDArray[np.void]:
    """Return the FACE records [n] from which `images`, made by `make`, were drawn.

    Raises:
        UsageError: the images were not rendered.

    """
    options = images.info.get(_INFO_KEY)
    if options is None:
        raise UsageError("Only rendered faces have parameters; these images were not rendered.")
    expressiveness = {
        emotion: Expressiveness(**factors) for emotion, factors in options["expressiveness"].items()
    }
    parameters = draw_parameters(
        _dealt_labels(options["n"], options["shares"]),
        options["seed"],
        expressiveness=expressiveness,
        intensity=options["intensity"],
        noise=options["noise"],
        pose=options["pose"],
    )
    chosen: npt.NDArray[np.void] = parameters[images.table["source_row"].to_numpy()]
    return chosen


def write_folder(images: Images, out: str | Path) -> None:
    """Write rendered faces as `<split>/<emotion>/<image>.png` and their parameters as labels.csv.

    labels.csv has one row per face: `file`, `image`, `split`, `label`, `index`, `seed`, each trait,
    each action unit (0 to 1) and the factor of each quadrant. Everything appears under `out` at
    once or not at all.

    Raises:
        UsageError: `out` is a file or a folder that is not empty, or the images were not rendered.
        HemifaceError: the folder can't be written.

    """
    target = Path(out)
    table = _label_table(images)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} is not an empty folder; choose a new one.")
    with atomic_path(target) as partial:
        for name, picture in zip(table["file"], images.pixels, strict=True):
            path = partial / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path)
        write_csv(table, partial / LABELS_FILE)


def _label_table(images: Images) -> pd.DataFrame:
    """Return the rows of labels.csv."""
    faces = parameters_of(images)
    table = images.table
    quadrants = {
        f"{half}-{side}": faces["scale_by"][:, row, column]
        for row, half in enumerate(("upper", "lower"))
        for column, side in enumerate(("left", "right"))
    }
    return pd.DataFrame(
        {
            "file": table["split"] + "/" + table["label"] + "/" + table["image"] + ".png",
            "image": table["image"],
            "split": table["split"],
            "label": table["label"],
            "index": faces["key"][:, 1],
            "seed": faces["key"][:, 0],
            **{name: faces[name] for name in TRAITS},
            **{name: faces["actions"][:, column] for column, name in enumerate(ACTIONS)},
            **quadrants,
        }
    )


def _plain(
    expressiveness: Expressiveness | Mapping[str, Expressiveness],
) -> dict[str, dict[str, float]]:
    """Return the factors by emotion, as JSON holds them."""
    if isinstance(expressiveness, Expressiveness):
        expressiveness = dict.fromkeys(EMOTIONS, expressiveness)
    return {emotion: dataclasses.asdict(one) for emotion, one in expressiveness.items()}


def _dealt_labels(n: int, shares: Mapping[str, Any] | None) -> npt.NDArray[np.int64]:
    """Return int64 [n]: the emotion of each face, whose counts are within 1 of the shares."""
    if n < 1:
        raise UsageError(f"{n} rendered faces can't be made; ask for some.")
    if n > limits().phantom_faces:
        raise UsageError(f"{n:,} rendered faces can't be made: {over('phantom_faces')}.")
    given = dict.fromkeys(EMOTIONS, 1.0) if shares is None else shares
    unknown = set(given) - set(EMOTIONS)
    if unknown:
        raise UsageError(f"{', '.join(sorted(unknown))} is not one of {', '.join(EMOTIONS)}.")
    return _dealt(n, [given.get(emotion, 0.0) for emotion in EMOTIONS], "Shares of emotions")


def _dealt_splits(labels: npt.NDArray[np.int64], splits: Sequence[float]) -> npt.NDArray[np.int64]:
    """Return int64 [n] indices into SPLITS, dealt out within each emotion."""
    if len(splits) != len(SPLITS):
        raise UsageError(f"Splits must be {len(SPLITS)} weights: {', '.join(SPLITS)}.")
    counts = np.bincount(labels, minlength=len(EMOTIONS))
    pattern = _dealt(int(counts.max()), splits, "Splits")
    chosen = np.empty(len(labels), np.int64)
    for emotion, count in enumerate(counts):
        chosen[labels == emotion] = pattern[:count]
        missing = set(np.flatnonzero(splits)) - set(pattern[:count].tolist())
        if count and missing:
            raise UsageError(
                f"{len(labels)} rendered faces leave {EMOTIONS[emotion]} without a face in "
                f"{SPLITS[min(missing)]}; ask for more."
            )
    return chosen


def _dealt(n: int, weights: Sequence[float], what: str) -> npt.NDArray[np.int64]:
    """Return int64 [n]: item i goes to whoever has fallen furthest behind their weight."""
    given = np.asarray(weights, dtype=np.float64)
    if not (np.isfinite(given).all() and (given >= 0).all() and given.sum() > 0):
        raise UsageError(f"{what} must be weights of 0 or more that are not all 0.")
    given = given / given.sum()
    dealt = np.zeros(len(given))
    chosen = np.empty(n, np.int64)
    for position in range(n):
        behind = given * (position + 1) - dealt
        chosen[position] = behind.argmax()
        dealt[chosen[position]] += 1
    return chosen
