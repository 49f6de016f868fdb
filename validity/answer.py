"""How much each half of a face tells, under every choice that a study of it makes.

    python validity/answer.py train --data PATH_TO_FER2013 --votes fer2013new.csv --runs runs/answer
    python validity/answer.py full --data PATH_TO_FER2013 --votes fer2013new.csv --runs runs/answer
    python validity/answer.py tables --runs runs/answer --out results/answer

`train` makes one network for each seed, architecture, labels, fill and kind of halves, one job
each, and its predictions of 7,178 test images, plain and mirrored. It resumes, and jobs fan out:
`--only architecture=tiny --only seed=0` takes some of them, on as many machines as there are;
`--list` names them. `full` tests networks that come along, larger ones whose trainings
took about a hundred epochs, so that what the small ones say can be compared. `tables` reads
whatever is finished.

Every network sees whole faces and its four halves equally often (see answer.toml). `halves=face`
turns and moves each picture until the face's own lines are in its middle, before training as before
the test. `flips=on` has the mirrored pictures in training too: the control for left and right, for
what such a network prefers can't be learnt from one side.
"""

import argparse
import dataclasses
import logging
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

import experiment
from hemiface.config import Config, as_plain, load, to_toml
from hemiface.data.cache import prepare
from hemiface.data.images import Images
from hemiface.errors import UsageError
from hemiface.files import sha256_file, write_text
from hemiface.models.onnx_file import FOLDER
from hemiface.networks.evaluate import EvaluationOptions, evaluate_by, mark
from hemiface.networks.network import Bundle
from hemiface.networks.task import recipe_of
from hemiface.networks.train import fit, task
from hemiface.occlusion.conditions import FILLS, HALVES, condition
from hemiface.occlusion.face_lines import centred, lines_of
from hemiface.report.figures.halves import halves_map
from hemiface.report.figures.information import decomposition_plot
from hemiface.report.figures.specification import (
    specification_curve,
    specification_emotions,
    specification_strength,
)
from hemiface.report.figures.style import save
from hemiface.report.results import information_tables
from hemiface.report.words.specifications import specification_words
from hemiface.report.words.verdicts import verdict
from hemiface.stats.inference import infer
from hemiface.stats.information import FIVE
from hemiface.stats.sample import Sample
from hemiface.stats.sides import sides
from hemiface.stats.specification import NEUTRAL, RATIO, Specified, held, moved, specification
from hemiface.stats.voters import voters
from hemiface.tables import (
    Predictions,
    derive,
    label_indices,
    probabilities,
    read_predictions,
    write_csv,
)

CONFIG = Path(__file__).with_name("answer.toml")
SHORTER = "tiny, 4 epochs"
"""The control for how long networks are trained."""
ARCHITECTURES: dict[str, tuple[str, ...]] = {
    "tiny": (),
    SHORTER: ("train.epochs=4",),
    "compact": (
        "model.architecture=compact",
        "train.epochs=8",
        "train.learning_rate=4e-3",
        "train.start_px=32",
    ),
    "test_byobnet": ("model.architecture=test_byobnet",),
}
LABELS: dict[str, tuple[str, ...]] = {
    "FER2013": (),
    "FER+ votes": ("train.soft_labels=true",),
}
FULL = {
    "small": "FER2013",
    "generalist-int8": "FER2013",
    "people-small-int8": "FER+ votes",
    "people-int8": "FER+ votes",
}
"""Networks that come along and what they learnt; all saw black halves of pictures, and flips.

They learnt all of Training and chose on PublicTest, so they are tested on PrivateTest alone, which
they had been scored on before."""
WHOLE_TRAINING = ", whole training"
"""How tables call them: by their names and this."""
STRONGEST = f"people-int8{WHOLE_TRAINING}"
"""The best network for what most people see, whose parts are drawn."""
EVERYWHERE = 2
"""So many seeds has every kind of network."""
CHOICES = ("architecture", "labels", "fill", "halves")
"""What a specification chooses before the mix and the duplicates."""


@dataclasses.dataclass(frozen=True)
class Job:
    """One training with its predictions."""

    architecture: str
    labels: str
    fill: str
    halves: str
    flips: str
    seed: int

    @property
    def folder(self) -> str:
        """Where it lies below the runs' folder."""
        words = dataclasses.astuple(self)
        return "-".join(str(word).replace(",", "").replace(" ", "_") for word in words)

    @property
    def specification(self) -> dict[str, str]:
        """What was chosen, as text."""
        return {name: str(getattr(self, name)) for name in CHOICES}

    @property
    def conditions(self) -> tuple[str, ...]:
        """What it sees in training and in the test."""
        return ("full", *(condition(half, self.fill).key for half in HALVES))  # type: ignore[arg-type]


def jobs() -> list[Job]:
    """Return every job; seeds outermost, so that what is finished is as broad as it can be."""
    return [job for seed in range(5) for job in _of_seed(seed)]


def _of_seed(seed: int) -> Iterator[Job]:
    for labels in LABELS:
        for architecture in ARCHITECTURES:
            if architecture != SHORTER or seed < 2:
                yield Job(architecture, labels, "black", "picture", "off", seed)
    yield Job("tiny", "FER2013", "black", "picture", "on", seed)
    if seed < 2:
        for labels in LABELS:
            for fill in FILLS[1:]:
                yield Job("tiny", labels, fill, "picture", "off", seed)
            yield Job("tiny", labels, "black", "face", "off", seed)


def chosen(only: Sequence[str]) -> list[Job]:
    """Return the jobs that fit every `name=value`; several values of one name are alternatives.

    Raises:
        UsageError: a name is unknown or nothing fits.
    """
    wanted: dict[str, set[str]] = {}
    known = [one.name for one in dataclasses.fields(Job)]
    for one in only:
        name, _, value = one.partition("=")
        if name not in known:
            raise UsageError(f"--only {one}: choose NAME=VALUE with one of {', '.join(known)}.")
        wanted.setdefault(name, set()).add(value)
    found = [
        job
        for job in jobs()
        if all(str(getattr(job, name)) in values for name, values in wanted.items())
    ]
    if not found:
        raise UsageError(f"No job fits {' '.join(only)}; --list names them.")
    return found


def train(options: argparse.Namespace) -> None:
    """Train and test what isn't finished."""
    some = chosen(options.only)
    if options.list:
        print("\n".join(job.folder for job in some))
        return
    known: dict[tuple[str, str], Images] = {}
    for done, job in enumerate(some, start=1):
        folder = options.runs / job.folder
        logging.info("%d of %d: %s", done, len(some), job.folder)
        key = job.labels, job.halves
        if key not in known:
            known[key] = _images(options, *key)
        _run(job, known[key], folder, options)


def config_of(job: Job, settings: Sequence[str] = ()) -> Config:
    """Return the config of a job, `settings` on top."""
    keys = ", ".join(f'"{key}"' for key in job.conditions)
    return load(
        CONFIG,
        [
            f"generalist_conditions=[{keys}]",
            f"augment.flip={str(job.flips == 'on').lower()}",
            *ARCHITECTURES[job.architecture],
            *LABELS[job.labels],
            *settings,
        ],
    )


def _run(job: Job, images: Images, folder: Path, options: argparse.Namespace) -> None:
    training = task(config_of(job, options.settings), "any", job.seed, max_steps=options.max_steps)
    bundle = fit(training, images, folder, device=options.device)
    plain = EvaluationOptions(
        conditions=job.conditions, splits=("validation", "test"), device=options.device
    )
    sided = tuple(key for key in job.conditions if key.startswith(("left", "right")))
    mirrored = EvaluationOptions(conditions=sided, mirrored=True, device=options.device)
    for name, one in (("predictions", plain), ("mirrored", mirrored)):
        _evaluate(one, bundle, images, folder / f"{name}.parquet")


def _evaluate(options: EvaluationOptions, network: Path, images: Images, out: Path) -> None:
    """Write a network's predictions, unless those that are there came from the very same."""
    if out.is_file():
        made_from = read_predictions(out).facts.get("fingerprint")
        if made_from == mark([network], images, options).fingerprint:
            return
    evaluate_by(options, [network], images, out=out)


def _is_done(folder: Path) -> bool:
    """Return whether a training's predictions are there, and of the network that lies beside."""
    tables = [folder / f"{name}.parquet" for name in ("predictions", "mirrored")]
    bundle = folder / "bundle.safetensors"
    if not all(path.is_file() for path in (bundle, *tables)):
        return False
    digest = sha256_file(bundle)
    return all(read_predictions(path).models[0].get("sha256") == digest for path in tables)


def _is_configured(folder: Path, job: Job) -> bool:
    """Return whether a training was of its job's config, to its end."""
    known = Bundle.load(folder / "bundle.safetensors").provenance
    recipe = as_plain(config_of(job).recipe("any", fine_tuned=True))
    return known.get("max_steps") is None and recipe_of(known) == recipe


def full(options: argparse.Namespace) -> None:
    """Test networks that come along, where that isn't done."""
    names = options.networks or list(FULL)
    if unknown := [name for name in names if name not in FULL]:
        raise UsageError(f"{unknown[0]} isn't one of {', '.join(FULL)}.")
    conditions = ("full", *(condition(half, "black").key for half in HALVES))
    one = EvaluationOptions(
        conditions=conditions, splits=("validation", "test"), device=options.device
    )
    for name in names:
        logging.info("%s, which comes along", name)
        images = _pictures(options, FULL[name], "standard")
        _evaluate(one, FOLDER / f"{name}.onnx", images, _full_file(options.runs, name))


def _full_file(runs: Path, name: str) -> Path:
    return runs / f"full-{name}" / "predictions.parquet"


def _pictures(
    options: argparse.Namespace, labels: str, protocol: Literal["standard", "paper"]
) -> Images:
    """Return the images with these labels."""
    voted = labels == "FER+ votes"
    if voted and options.votes is None:
        raise UsageError("FER+ votes are learnt too: name fer2013new.csv with --votes.")
    name = _data_name(labels) + ("-standard" if protocol == "standard" else "")
    votes = f"ferplus={options.votes}" if voted else None
    return prepare(options.data, options.runs / name, labels=votes, protocol=protocol)


def _data_name(labels: str) -> str:
    """Return the folder of images with these labels, below the runs' folder."""
    return "data-ferplus" if labels == "FER+ votes" else "data-fer2013"


def _images(options: argparse.Namespace, labels: str, halves: str) -> Images:
    """Return the images with these labels, with the face's own lines in the middle if asked for."""
    images = _pictures(options, labels, "paper")
    if halves == "picture":
        return images
    folder = options.runs / f"{_data_name(labels)}-face"
    if (folder / "images.parquet").is_file():
        straight = Images.read(folder)
        if straight.info.get("of") == images.info["data_sha256"]:
            return straight
    from hemiface.vision.finding.crop_landmarks import CropLandmarks

    landmarks = CropLandmarks()(images.pixels)
    lines = lines_of(landmarks, *images.pixels.shape[1:])
    logging.info("faces with lines of their own: %.1f %%", 100 * lines.found.mean())
    made = dataclasses.replace(
        images,
        pixels=centred(images.pixels, lines),
        info={
            **images.info,
            "of": images.info["data_sha256"],
            "centred": int(lines.found.sum()),
        },
    )
    made.write(folder)
    return Images.read(folder)


def tables(options: argparse.Namespace) -> None:
    """Write the tables and figures of what is finished."""
    done = [job for job in jobs() if _is_done(options.runs / job.folder)]
    other = [job.folder for job in done if not _is_configured(options.runs / job.folder, job)]
    if other:
        logging.warning("Trained otherwise than configs/ say, or cut short: %s", ", ".join(other))
    plain = [job for job in done if job.flips == "off"]
    if not plain:
        raise UsageError(f"No job is finished in {options.runs}; run train first.")
    specified = [*_specified(options.runs, plain), *_alongside(options.runs)]
    curve = specification(specified)
    _write_choices(curve, _on_common_seeds(options.runs, plain, curve), options.out)
    _write_information(specified, options.out)
    write_csv(_sides(options.runs, done), options.out / "sides.csv")
    if len(taught := _taught(options.runs, done)):
        write_csv(taught, options.out / "sides_taught.csv")
    if people := _voters(options.runs, specified):
        write_csv(pd.concat(people, ignore_index=True), options.out / "voters.csv")
    write_csv(pd.DataFrame([_took(options.runs, job) for job in done]), options.out / "jobs.csv")
    experiment.write_origin(options.out, config_of(done[0]))
    for (architecture, labels), members in _by(done, ["architecture", "labels"]).items():
        name = _file_name(f"{architecture}, {labels}")
        write_text(options.out / "configs" / f"{name}.toml", to_toml(config_of(members[0])))


def _alongside(runs: Path) -> list[Specified]:
    """Return the networks that come along and were tested."""
    found = []
    for name, labels in FULL.items():
        if (file := _full_file(runs, name)).is_file():
            choices = (f"{name}{WHOLE_TRAINING}", labels, "black", "picture")
            named = dict(zip(CHOICES, choices, strict=True))
            found.append(Specified(named, read_predictions(file)))
    return found


def _on_common_seeds(runs: Path, plain: Sequence[Job], curve: pd.DataFrame) -> pd.DataFrame:
    """Return `curve` by the seeds that every kind of network has.

    A choice isn't compared by five networks on one side and two on the other.
    """
    kinds = _by(plain, CHOICES)
    more = [key for key, some in kinds.items() if any(job.seed >= EVERYWHERE for job in some)]
    parts = []
    for choices, rows in curve.groupby(list(CHOICES), sort=False):
        key = tuple(map(str, choices))
        early = [job for job in kinds.get(key, []) if job.seed < EVERYWHERE]
        parts.append(specification(_specified(runs, early)) if key in more else rows)
    return pd.concat(parts, ignore_index=True)


def _write_choices(curve: pd.DataFrame, alike: pd.DataFrame, out: Path) -> None:
    """Write what holds under which choices, and its figures; `alike` is `_on_common_seeds`."""
    names = [*CHOICES, "mix", "duplicates"]
    write_csv(curve, out / "specification.csv")
    # Intervals of one network leave out that another seed would have said something else.
    holding, moving = held(curve, [*names, "seeds"]), moved(alike, names)
    write_csv(holding, out / "held.csv")
    write_csv(moving, out / "moved.csv")
    sentences = specification_words(holding, moving)
    write_text(out / "held.md", "".join(f"- {one}\n" for one in sentences))
    for quantity, file in zip(NEUTRAL, ("ratio", "upper-lower", "left-right"), strict=True):
        save(specification_curve(curve, quantity, names), out / "figures", file)
    for quantity in ("upper - lower", "left - right"):
        by_emotion = specification_emotions(curve, quantity, "labels")
        save(by_emotion, out / "figures", f"{_file_name(quantity)}-emotions")
    seven = curve[curve["mix"] != FIVE]
    save(specification_strength(seven, RATIO, "architecture"), out / "figures", "strength")


def _write_information(specified: Sequence[Specified], out: Path) -> None:
    """Write the tables in bits of all kinds of networks, and figures of some."""
    found: dict[str, list[pd.DataFrame]] = {}
    for one in specified:
        told = information_tables(Sample.of(one.predictions))
        for name, table in told.items():
            found.setdefault(name, []).append(table.assign(**one.choices))
        if (one.choices["fill"], one.choices["halves"]) == ("black", "picture"):
            _draw_halves(told, one.choices, out / "figures")
    for name, some in found.items():
        parts = pd.concat(some, ignore_index=True)
        columns = [*CHOICES, *parts.columns.difference(list(CHOICES), sort=False)]
        write_csv(parts[columns], out / f"{name}.csv")


def _draw_halves(
    told: Mapping[str, pd.DataFrame], choices: Mapping[str, str], folder: Path
) -> None:
    label = f"{choices['architecture']}, {choices['labels']}"
    table = told["shapley"]
    figure = halves_map(
        table, table["model"].iloc[0], lambda row: verdict(row, "bits").sign, label=label
    )
    save(figure, folder, f"halves-{_file_name(label)}")
    if choices["architecture"] == STRONGEST:
        drawn = decomposition_plot(told["decomposition"], told["decomposition"]["model"][0])
        save(drawn, folder, f"decomposition-{_file_name(label)}")


def _specified(runs: Path, some: Sequence[Job]) -> list[Specified]:
    """Return one of each kind of network among the jobs, its seeds together."""
    return [
        Specified(dict(zip(CHOICES, choices, strict=True)), together(runs, members))
        for choices, members in _by(some, CHOICES).items()
    ]


def _took(runs: Path, job: Job) -> dict[str, object]:
    """Return a row of jobs.csv: what was trained, and what its epochs took and reached.

    `minutes` is of the clock, beside whatever else ran; the last epoch is the one that is kept.
    `validation_accuracy` is over whole faces and halves, `whole_accuracy` over whole test faces.
    """
    table = read_predictions(runs / job.folder / "predictions.parquet").table
    whole = table[(table["condition"] == "full") & (table["split"] == "test")]
    epochs = pd.read_csv(runs / job.folder / "history.csv")
    return dataclasses.asdict(job) | {
        "epochs": len(epochs),
        "minutes": round(epochs["seconds"].sum() / 60, 1),
        "images_per_s": round(epochs["images_per_s"].median()),
        "validation_accuracy": epochs["validation_accuracy"].iloc[-1],
        "whole_accuracy": derive(whole[whole["label"].notna()])["correct"].mean(),
    }


def _file_name(label: str) -> str:
    """Return a label as the name of a file: small letters, digits and dashes."""
    return re.sub("[^a-z0-9]+", "-", label.lower())


def together(runs: Path, members: Sequence[Job], file: str = "predictions") -> Predictions:
    """Return the predictions of several seeds as one table.

    Raises:
        DamagedError: a table is missing or damaged.
    """
    parts = [read_predictions(runs / job.folder / f"{file}.parquet") for job in members]
    models = [one for part in parts for one in part.models]
    table = pd.concat([part.table for part in parts], ignore_index=True)
    return dataclasses.replace(parts[0], table=table).with_facts(models=models)


def _by(some: Sequence[Job], names: Sequence[str]) -> dict[tuple[str, ...], list[Job]]:
    found: dict[tuple[str, ...], list[Job]] = {}
    for job in some:
        found.setdefault(tuple(str(getattr(job, name)) for name in names), []).append(job)
    return found


def _sides(runs: Path, done: Sequence[Job]) -> pd.DataFrame:
    """Return sides.csv of each kind of network, with the mirrored pictures as control.

    `half_worth` says, of all emotions together, what one side is worth by the same measure, so that
    differences and margins can be read as shares of it.
    """
    rows = []
    for choices, members in _by(done, [*CHOICES, "flips"]).items():
        plain, mirrored = (together(runs, members, one) for one in ("predictions", "mirrored"))
        named = dict(zip([*CHOICES, "flips"], choices, strict=True))
        found = sides(Sample.of(plain), mirrored)
        worth = found["measure"].map(half_worth(plain)).where(found["emotion"] == "all")
        rows.append(found.assign(half_worth=worth, **named))
    table = pd.concat(rows, ignore_index=True)
    first = [*CHOICES, "flips"]
    return table[[*first, *table.columns.difference(first, sort=False)]]


def _taught(runs: Path, done: Sequence[Job]) -> pd.DataFrame:
    """Return which side networks read better because their training pictures weren't mirrored.

    A row for each kind of network that was trained without flips and with them, and part:
    `as shown` and `network`, as in sides.csv, accuracies over all emotions. `difference` is what
    those without flips have (left minus right hidden) minus what those with flips have. Flips leave
    out what training pictures teach of one side, and nothing else: how an architecture reads a
    picture's sides is in both, and what the test's faces show too.
    """
    rows: list[dict[str, object]] = []
    for choices, members in _by(done, CHOICES).items():
        by_flips = _by(members, ["flips"])
        if len(by_flips) < 2:
            continue
        parts: dict[str, list[np.ndarray]] = {}
        for flips in ("off", "on"):
            plain, mirrored = (
                Sample.of(together(runs, by_flips[(flips,)], one))
                for one in ("predictions", "mirrored")
            )
            shown, flipped = _left_minus_right(plain), _left_minus_right(mirrored)
            parts.setdefault("as shown", []).append(shown)
            parts.setdefault("network", []).append((shown + flipped) / 2)
        for part, (off, on) in parts.items():
            one = infer([off, -on], plain.group_count, plain.options, plain.effective_groups)
            values = {"without_flips": off[:, 0].mean(), "with_flips": on[:, 0].mean()}
            named = dict(zip(CHOICES, choices, strict=True))
            rows.append(named | {"part": part, "measure": "accuracy"} | values | one.row(()))
    return pd.DataFrame(rows)


def _left_minus_right(sample: Sample) -> np.ndarray:
    """Return float64 [seeds, 1 + draws]: accuracy with the left half hidden minus the right."""
    scores = sample.scores(("accuracy",))
    models = sample.names.sort_values("seed")["model"]
    left, right = (key for half in ("left", "right") for key in sample.conditions
                   if condition(key).name == half)  # fmt: skip
    return np.stack(
        [scores[one, left]["accuracy"] - scores[one, right]["accuracy"] for one in models]
    )


def half_worth(predictions: Predictions) -> dict[str, float]:
    """Return what one half of a test face is worth on average, by each measure of sides.csv.

    Two halves share what a whole face is worth beyond seeing nothing (the efficiency of Shapley
    values; Shapley 1953). Who sees nothing names the most frequent emotion, and gives the true one
    the probability that its frequency gives it.
    """
    table = predictions.table
    rows = table[(table["condition"] == "full") & (table["split"] == "test")]
    rows = rows[rows["label"].notna()]
    labels, told = label_indices(rows), probabilities(rows)
    shares = np.bincount(labels) / len(labels)
    right = derive(rows)["correct"].mean()
    sure = told[np.arange(len(labels)), labels].mean()
    return {
        "accuracy": float(right - shares.max()) / 2,
        "probability": float(sure - (shares**2).sum()) / 2,
    }


def _voters(runs: Path, specified: Sequence[Specified]) -> list[pd.DataFrame]:
    """Return voters.csv of each kind of network that learnt votes."""
    found = []
    for one in specified:
        if one.choices["labels"] == "FER+ votes":
            folder = _data_name(one.choices["labels"])
            if one.choices["architecture"].endswith(WHOLE_TRAINING):
                folder += "-standard"
            elif one.choices["halves"] == "face":
                folder += "-face"
            votes = Images.read(runs / folder).table
            found.append(voters(Sample.of(one.predictions), votes).assign(**one.choices))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = _options(arguments)
    return experiment.exit_code(partial(options.work, options))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = experiment.parser(__doc__)
    commands = parser.add_subparsers(required=True, metavar="train | full | tables")
    training = commands.add_parser("train", help="train and test what isn't finished")
    training.add_argument("--only", action="append", default=[], metavar="NAME=VALUE")
    training.add_argument("--list", action="store_true", help="name the jobs and stop")
    training.add_argument("--set", dest="settings", action="append", default=[])
    training.add_argument("--max-steps", type=int, help="stop early, to rehearse")
    training.set_defaults(work=train)
    whole = commands.add_parser("full", help="test networks that come along")
    whole.add_argument("networks", nargs="*", metavar="NETWORK", help=f"of {', '.join(FULL)}")
    whole.set_defaults(work=full)
    for one in (training, whole):
        one.add_argument("--data", required=True, help="whatever hemiface study takes")
        one.add_argument("--votes", type=Path, help="fer2013new.csv")
        one.add_argument("--device", default="auto")
    reading = commands.add_parser("tables", help="write tables and figures of what is finished")
    reading.add_argument("--out", type=Path, required=True)
    reading.set_defaults(work=tables)
    for one in (training, whole, reading):
        one.add_argument("--runs", type=Path, required=True, help="folder of the jobs")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
