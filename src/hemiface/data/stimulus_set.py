"""A set of stimuli as a folder: pictures, what each of them is, and who sees which when.

The folder follows psych-DS (https://psych-ds.github.io, schema 1.5.1), so that archives and other
programs read it: `dataset_description.json` names every column of the tables in `data/`, whose
names are made of keywords; pictures and everything else lie in `materials/`.

dataset_description.json                        what this is, and every column's meaning
README.md                                       the same for people
data/study-NAME_description-stimuli_data.csv    a row for each stimulus (STIMULUS_COLUMNS)
data/study-NAME_description-trials_data.csv     a row for each trial (TRIAL_COLUMNS), if dealt out
materials/stimuli/*.png                         the pictures
materials/manifest.json                         options, seeds, how answers count, and all stimuli:
                                                what `hemiface people` reads
materials/trials.json                           the trials as a list for each participant
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hemiface.documents import entry, read_json, undamaged
from hemiface.errors import MissingError, UsageError, first_names
from hemiface.files import write_json, write_text
from hemiface.tables import EMOTIONS, csv_sink

__all__ = [
    "ANSWERS",
    "FORMAT",
    "LEFT_OUT",
    "MANIFEST",
    "PICTURES",
    "STIMULUS_COLUMNS",
    "TRIAL_COLUMNS",
    "WRONG",
    "Stimulus",
    "StimulusSet",
    "require_emotions",
    "require_name",
    "write_set",
]

FORMAT = 1
MANIFEST = Path("materials", "manifest.json")
PICTURES = Path("materials", "stimuli")

WRONG, LEFT_OUT = "wrong", "left out"
"""What becomes of a trial whose answer is none of the emotions: it counts as a trial in which the
emotion wasn't named, or as no trial at all."""

ANSWERS: dict[str, Any] = {
    "choices": list(EMOTIONS),
    "others": {"other": WRONG, "don't know": WRONG, "": LEFT_OUT},
}
"""What people may answer, and what counts as what; `""` is no answer."""

STIMULUS_COLUMNS = {
    "stimulus": "Name of the stimulus; the same in every row about it.",
    "file": "Picture, from the folder of this data set.",
    "sha256": "SHA-256 of the picture's file.",
    "kind": "What was made of the face: whole, part, composite, chimera, bubbles, tiles, occluder.",
    "condition": "What is hidden (upper, left@blur, ...), or the kind and how it was made.",
    "reference": "The condition that this one is compared with; empty where there is none.",
    "cue": "What is to be judged: face, or the upper or lower half of a composite.",
    "emotion": "Emotion of what is to be judged, as labelled; empty where nobody labelled it.",
    "person": "Who is shown there; the picture's own name where that isn't known.",
    "picture": "File that it was made of; of a composite the file of the half to be judged.",
    "other_picture": "Of a composite: file of the other half.",
    "other_emotion": "Of a composite: emotion of the other half, as labelled.",
    "halves": "By which lines halves end: image, face, or fallback where no face was found.",
    "seed": "Seed of everything random in it.",
    "bubbles": "Centres of apertures, row * 48 + column on the face's 48 x 48 pixels.",
    "sigma_px": "Width of the apertures: standard deviation in these pixels.",
    "tiles": "Numbers of the visible tiles of 6 x 8, counted down the columns from 0.",
}
"""The columns about stimuli, and what they mean."""

TRIAL_COLUMNS = {
    "participant": "Participant's number, from 1.",
    "block": "Block, from 1.",
    "trial": "Place in the participant's order, from 1.",
    "stimulus": "Name of the stimulus; the same in every row about it.",
    "file": "Picture, from the folder of this data set.",
    "cue": "What is to be judged: face, or the upper or lower half of a composite.",
}
"""The columns about trials, and what they mean."""


@dataclass(frozen=True, kw_only=True)
class Stimulus:
    """A row about a stimulus; fields are STIMULUS_COLUMNS, empty where they don't apply."""

    stimulus: str
    file: str
    sha256: str
    kind: str
    condition: str
    person: str
    picture: str
    reference: str = ""
    cue: str = "face"
    emotion: str = ""
    other_picture: str = ""
    other_emotion: str = ""
    halves: str = "image"
    seed: int | None = None
    bubbles: tuple[int, ...] = ()
    sigma_px: float | None = None
    tiles: tuple[int, ...] = ()


@dataclass(frozen=True)
class StimulusSet:
    """What a folder of stimuli says of itself."""

    folder: Path
    stimuli: tuple[Stimulus, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    """How they were made: name, options, seed, version."""
    others: Mapping[str, str] = field(default_factory=lambda: dict(ANSWERS["others"]))
    """What becomes of answers that are no emotion: WRONG or LEFT_OUT, by the answer."""

    @classmethod
    def read(cls, folder: str | Path) -> "StimulusSet":
        """Read a folder that `write_set` wrote.

        Raises:
            MissingError: the folder holds no set.
            DamagedError: its manifest isn't what was written.
        """
        path = Path(folder) / MANIFEST
        if not path.is_file():
            raise MissingError(
                f"{folder} holds no stimuli of hemiface occlude --set (no {MANIFEST.as_posix()}); "
                "name their folder with --stimuli."
            )
        with undamaged(path, "make the stimuli again"):
            known = read_json(path)
            if entry(known, "format", int) != FORMAT:
                raise ValueError(f"its format is {known['format']}, not {FORMAT}")
            stimuli = tuple(_stimulus(one) for one in entry(known, "stimuli", list))
            others = entry(entry(known, "answers", dict), "others", dict)
            wrong = [one for one in others.values() if one not in (WRONG, LEFT_OUT)]
            if wrong:
                raise ValueError(f"answers count as {WRONG} or {LEFT_OUT}, not as {wrong[0]!r}")
            return cls(Path(folder), stimuli, entry(known, "settings", dict), others)


def require_emotions(stimuli: Iterable[Stimulus]) -> None:
    """Raise UsageError unless it is known what each of some stimuli shows."""
    nameless = dict.fromkeys(one.picture for one in stimuli if one.emotion not in EMOTIONS)
    if nameless:
        raise UsageError(
            f"The emotion of {first_names(nameless)} isn't known, so nothing can be right or "
            "wrong; make the stimuli from class folders or with --labels."
        )


def write_set(
    folder: Path,
    name: str,
    stimuli: Sequence[Stimulus],
    trials: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
) -> list[Path]:
    """Write everything but the pictures of a set; return the files.

    `name` is letters and digits; `trials` are rows of TRIAL_COLUMNS in order, none where nothing
    was dealt out.

    Raises:
        UsageError: the name has other signs, which psych-DS doesn't allow.
    """
    require_name(name)
    data = folder / "data" / f"study-{name}_description-stimuli_data.csv"
    listed = folder / "data" / f"study-{name}_description-trials_data.csv"
    data.parent.mkdir(parents=True, exist_ok=True)
    with csv_sink(data, tuple(STIMULUS_COLUMNS)) as write:
        write(_cells(one) for one in stimuli)
    files = [data]
    if trials:
        with csv_sink(listed, tuple(TRIAL_COLUMNS)) as write:
            write(trials)
        by_participant: dict[str, list[Mapping[str, Any]]] = {}
        for one in trials:
            by_participant.setdefault(str(one["participant"]), []).append(one)
        write_json(folder / "materials" / "trials.json", by_participant)
        files += [listed, folder / "materials" / "trials.json"]
    manifest = {
        "format": FORMAT,
        "settings": dict(settings),
        "answers": ANSWERS,
        "stimuli": [vars(one) | _lists(one) for one in stimuli],
    }
    write_json(folder / MANIFEST, manifest)
    write_json(folder / "dataset_description.json", _description(name, stimuli, bool(trials)))
    write_text(folder / "README.md", _readme(name, len(stimuli), bool(trials)))
    return [*files, folder / MANIFEST, folder / "dataset_description.json", folder / "README.md"]


def require_name(name: str) -> None:
    """Raise UsageError unless a set may be called so."""
    if not re.fullmatch("[a-zA-Z0-9]+", name):
        raise UsageError(
            f"A set's name has letters and digits alone, as psych-DS asks, not {name!r}."
        )


def _stimulus(known: Any) -> Stimulus:
    """Return what the manifest holds of one stimulus; ValueError if it isn't what was written."""
    others = ("seed", "sigma_px", "bubbles", "tiles")
    found: dict[str, Any] = {
        name: entry(known, name, str) for name in STIMULUS_COLUMNS if name not in others
    }
    for name in ("bubbles", "tiles"):
        found[name] = tuple(int(one) for one in entry(known, name, list))
    found["seed"] = entry(known, "seed", int, type(None))
    found["sigma_px"] = entry(known, "sigma_px", float, type(None))
    return Stimulus(**found)


def _lists(one: Stimulus) -> dict[str, Any]:
    return {"bubbles": list(one.bubbles), "tiles": list(one.tiles)}


def _cells(one: Stimulus) -> dict[str, Any]:
    """Return a row as it stands in CSV: numbers of a list are parted by blanks."""
    row = {name: getattr(one, name) for name in STIMULUS_COLUMNS}
    row |= {name: " ".join(map(str, row[name])) for name in ("bubbles", "tiles")}
    return {name: "" if value is None else value for name, value in row.items()}


def _description(name: str, stimuli: Sequence[Stimulus], has_trials: bool) -> dict[str, Any]:
    """Return dataset_description.json: each column of the tables is a variable, and no other."""
    columns = STIMULUS_COLUMNS | (TRIAL_COLUMNS if has_trials else {})
    kinds = list(dict.fromkeys(one.kind for one in stimuli))
    return {
        "@context": "https://schema.org/",
        "@type": "Dataset",
        "name": name,
        "description": f"{len(stimuli)} stimuli of faces made by hemiface: {', '.join(kinds)}.",
        "schemaVersion": "Psych-DS 1.5.1",
        "keywords": ["facial expression", "emotion", "stimuli", *kinds],
        "variableMeasured": [
            {
                "@type": "PropertyValue",
                "name": column,
                "description": meaning,
            }
            for column, meaning in columns.items()
        ],
    }


def _readme(name: str, count: int, has_trials: bool) -> str:
    """Return README.md of a set."""
    lines = [
        f"# {name}",
        "",
        f"{count:,} stimuli made by `hemiface occlude`; the folder follows psych-DS.",
        "",
        f"- `data/study-{name}_description-stimuli_data.csv`: what each stimulus is.",
    ]
    if has_trials:
        lines += [
            f"- `data/study-{name}_description-trials_data.csv`: who sees which when; the same in "
            "`materials/trials.json`, a list for each participant."
        ]
    lines += [
        "- `materials/stimuli/`: the pictures.",
        "- `materials/manifest.json`: options, seeds, and what answers count as; `hemiface people` "
        "reads it.",
        "",
        "Columns are described in `dataset_description.json`. People's answers are a CSV table "
        "with the columns participant, stimulus and response, and maybe rt_s, confidence, block:",
        "",
        "    hemiface people answers.csv --stimuli .",
        "",
    ]
    return "\n".join(lines)
