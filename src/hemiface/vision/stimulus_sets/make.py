"""From pictures of faces to a folder of stimuli that says of each what it is."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

import hemiface
from hemiface.data.stimulus_set import PICTURES, Stimulus, require_name, write_set
from hemiface.errors import UsageError
from hemiface.files import MOST_BYTES, as_stem, atomic_path, sha256_file
from hemiface.occlusion.conditions import FILLS, Fill
from hemiface.occlusion.face_lines import FindLandmarks
from hemiface.occlusion.tiles import TILES
from hemiface.vision.finding.detector import Detector
from hemiface.vision.stimulus_sets.faces import Face, crops, face_lines, find_faces, placed
from hemiface.vision.stimulus_sets.kinds import Made, Making, known_kinds, make
from hemiface.vision.stimulus_sets.order import Dealing, deal

__all__ = ["MadeSet", "SetOptions", "make_set"]

OnProgress = Callable[[str, int, int], None]
_GRID = 48
_LEAST_PERCENT = 2
"""Of less no tile may be left, of more than the rest none hidden."""
_IN_ADDRESSES = "#%"
"""What browsers take for a part of an address, beside what no file's name may have."""


@dataclass(frozen=True, kw_only=True)
class SetOptions:
    """What a set of stimuli holds."""

    kinds: tuple[str, ...]
    """halves, composites, chimeras, bubbles, tiles, occluders such as mask and sunglasses, and
    conditions; the whole face is always there."""
    name: str = "stimuli"
    """Of the set, letters and digits."""
    side_px: int = 480
    """Side of every stimulus, a multiple of 48: tiles and halves are then of one size."""
    fill: Fill = "black"
    """What is put where a half or a tile is hidden."""
    bubbles: int = 12
    """Apertures of a stimulus."""
    sigma_px: float = 4.0
    """Their width, on the face's 48 x 48 pixels."""
    percent: int = 50
    """Share of the tiles that is hidden in stimuli of tiles."""
    samples: int = 10
    """Stimuli of apertures, and of tiles, for each face."""
    seed: int = 0
    """Of everything random."""

    def __post_init__(self) -> None:
        require_name(self.name)
        known_kinds(self.kinds)
        if self.fill not in FILLS:
            raise UsageError(f"Fill {self.fill!r} is unknown; choose from {', '.join(FILLS)}.")
        if self.side_px < _GRID or self.side_px % _GRID:
            raise UsageError(f"The side of stimuli is a multiple of {_GRID}, not {self.side_px}.")
        enough = self.bubbles > 0 and self.samples > 0 and 0 < self.sigma_px <= _GRID
        if not (enough and self.seed >= 0):
            raise UsageError(
                f"Apertures, their width and samples must be above 0, the width at most {_GRID} "
                "and the seed not negative."
            )
        if not _LEAST_PERCENT <= self.percent <= 100 - _LEAST_PERCENT:
            raise UsageError(
                f"Of {TILES} tiles {_LEAST_PERCENT} to {100 - _LEAST_PERCENT} % can be hidden, not "
                f"{self.percent}."
            )


@dataclass(frozen=True)
class MadeSet:
    """What was made: the stimuli, how many trials, and the files beside the pictures."""

    stimuli: Sequence[Stimulus]
    trials: int
    files: Sequence[Path]


def make_set(
    names: Sequence[str],
    out: Path,
    options: SetOptions,
    dealing: Dealing,
    *,
    labels: Path | None = None,
    detector: Detector | None = None,
    landmarks: FindLandmarks | None = None,
    most_pixels: int | None = None,
    on_note: Callable[[str], None] = lambda _: None,
    on_progress: OnProgress = lambda *_: None,
) -> MadeSet:
    """Make the stimuli of every face and write them with their manifest; all or nothing appears.

    `names` are files and folders, `labels` says what they show (see `faces.find_faces`). With
    `detector` each photo's largest face is cut out upright, else its central square is taken; with
    `landmarks` halves end at the face's own lines. `on_note` is told of photos that are left
    out, and of rows of `labels` that are about none.

    Raises:
        UsageError: `out` is a folder that is not empty, there are too few pictures, or as
            `find_faces` and `deal`.
        DamagedError: a picture can't be read.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not an empty folder; choose a new one.")
    faces = find_faces(names, labels, on_note)
    if detector is not None:
        faces = list(placed(faces, detector, most_pixels, on_note))
        if not faces:
            raise UsageError("No face was found in any of the pictures; leave out --align.")
    crop = crops(options.side_px, most_pixels)
    making = Making(
        crop=crop,
        fill=options.fill,
        lines=(lambda _: None) if landmarks is None else face_lines(crop, landmarks),
        bubbles=options.bubbles,
        sigma_px=options.sigma_px,
        percent=options.percent,
        samples=options.samples,
        seed=options.seed,
    )
    kinds = known_kinds(options.kinds, options.fill)
    partners = _partners(faces, options.seed) if "composites" in kinds else {}
    settings = {
        **asdict(options),
        **{f"dealing_{name}": value for name, value in asdict(dealing).items()},
        "aligned": detector is not None,
        "version": hemiface.__version__,
    }
    with atomic_path(out) as partial:
        (partial / PICTURES).mkdir(parents=True)
        stimuli: list[Stimulus] = []
        for done, face in enumerate(faces, start=1):
            for kind in kinds:
                some = make(kind, face, partners.get(face), making)
                stimuli += (_written(partial, face, made) for made in some)
            on_progress("making stimuli", done, len(faces))
        trials = deal(stimuli, dealing)
        files = write_set(partial, options.name, stimuli, trials, settings)
        kept = [out / path.relative_to(partial) for path in files]
    return MadeSet(stimuli, len(trials), kept)


def _partners(faces: Sequence[Face], seed: int) -> dict[Face, Face]:
    """Return whose lower half each face gets: of another emotion, of the same person if possible.

    Raises:
        UsageError: there is no second face.
    """
    if len(faces) < 2:
        raise UsageError("Composites need two pictures or more.")
    found = {}
    for place, face in enumerate(faces):
        random = np.random.default_rng([seed, place])
        others = [one for one in faces if one is not face]
        unlike = [one for one in others if one.emotion != face.emotion] or others
        own = [one for one in unlike if one.person == face.person]
        chosen = own or unlike
        found[face] = chosen[int(random.integers(len(chosen)))]
    return found


def _written(folder: Path, face: Face, made: Made) -> Stimulus:
    """Write a picture, unless it is there already for another cue, and return its row."""
    room = MOST_BYTES - len(f"_{made.ending}.png")
    name = f"{as_stem(face.stem, room, also=_IN_ADDRESSES)}_{made.ending}"
    file = PICTURES / f"{name}.png"
    if not (folder / file).exists():
        Image.fromarray(made.pixels).save(folder / file)
    own = {"person": face.person, "picture": face.name, "emotion": face.emotion}
    facts = own | made.facts
    cue = str(facts.get("cue", "face"))
    return Stimulus(
        stimulus=name if cue == "face" else f"{name}_{cue}",
        file=file.as_posix(),
        sha256=sha256_file(folder / file),
        **facts,
    )
