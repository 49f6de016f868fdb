"""Does the whole chain find what was planted in faces, and nothing where nothing was?

    python validity/planted.py --out results/planted

renders faces whose right answers are known, trains small generalists on them
(planted.toml), predicts all sixteen coalitions of quadrants and hands the tables to the
functions that a study uses: `importance`, `sides`, `all_pairs`. What is planted (`TRUTHS`):

- `lower`: the upper half of a happy face is that of a neutral one, pixel for pixel;
- `left`: every emotion is half as strong on the image's right side;
- `nothing`: both sides are alike.

The first two answer whether the planted order is found, with intervals, for every seed and for
their mean. The third, with `false_alarms`, answers how often each test cries wolf over resampled
data sets. Networks of `left` on faces of `nothing` have learnt a habit that these faces don't
share; networks of `nothing` on faces of `left` have none (`CROSSED`): does the mirror control tell
a habit from the faces? Every training, prediction and data set is kept in --runs: the same command
goes on where it was. Sized for two CPU cores and about half an hour.
"""

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import experiment
import false_alarms
from false_alarms import SIDES
from hemiface.config import Config, StatisticsOptions, load
from hemiface.data.images import Images
from hemiface.data.phantom import make as phantom
from hemiface.data.phantom.make import Expressiveness
from hemiface.files import hash_json, write_json, write_text
from hemiface.networks.evaluate import EvaluationOptions, evaluate_by, mark
from hemiface.networks.train import fit, task
from hemiface.stats import importance
from hemiface.stats.ensembles import join
from hemiface.stats.matrix import matrix
from hemiface.stats.sample import Sample
from hemiface.stats.sides import sides
from hemiface.tables import EMOTIONS, PROBABILITY_COLUMNS, Predictions, read_predictions, write_csv
from planted_page import page

log = logging.getLogger("planted")

CONFIG = Path(__file__).resolve().with_name("planted.toml")
Draw = Callable[[int, np.random.Generator, int], Iterator[false_alarms.Alarm]]
"""Yields the alarms of a data set: its number, random draws, how many faces."""
_CHUNK = 10
"""Data sets between two savings."""


@dataclass(frozen=True)
class Truth:
    """What is planted, and how many networks learn it."""

    number: int
    expressiveness: Expressiveness | Mapping[str, Expressiveness]
    networks: int


@dataclass(frozen=True)
class Planted:
    """A contrast of regions, for which emotions it is read, and which region carries more."""

    contrast: str
    emotions: tuple[str, ...]
    carries: str


PLANTED = {
    "lower": (Planted("upper - lower", ("happy",), "lower"),),
    "left": (Planted("left - right", ("all", *EMOTIONS[:-1]), "left"),),
    "nothing": (),
}
"""Neutral isn't planted in `left`: there is nothing to show more or less of."""

TRUTHS = {
    # Neutral too: an upper half without any activity would give a happy face away.
    "lower": Truth(1, dict.fromkeys(("happy", "neutral"), Expressiveness(upper=0)), 2),
    "left": Truth(2, Expressiveness(left=1, right=0.5), 3),
    "nothing": Truth(3, Expressiveness(), 6),
}


CROSSED = (("left", "nothing"), ("nothing", "left"))
"""Networks of one truth on faces of another: a habit of the network's or a side of the faces'."""


def faces(name: str, n: int, *, test: bool) -> Images:
    """Return `n` faces of a truth to train on and select by, or to test on.

    Straight and upright (`pose=False`), so that what is planted in a half stays in that half of the
    picture. Test faces are other people than training faces.
    """
    truth = TRUTHS[name]
    return phantom.make(
        n,
        seed=10 * truth.number + test,
        expressiveness=truth.expressiveness,
        splits=(0, 0, 1) if test else (15, 1, 0),
        pose=False,
    )


def trained(config: Config, options: argparse.Namespace) -> dict[str, list[Path]]:
    """Train what is missing; return the Bundles of every truth."""
    images = {name: faces(name, options.train_faces, test=False) for name in TRUTHS}
    bundles: dict[str, list[Path]] = {name: [] for name in TRUTHS}
    # Seeds outside, so that an unfinished run has some of every truth.
    for seed in range(max(one.networks for one in TRUTHS.values())):
        for name in [name for name, one in TRUTHS.items() if seed < one.networks]:
            log.info("truth %s, network %d of %d", name, seed + 1, TRUTHS[name].networks)
            place = options.runs / name / f"seed{seed}"
            job = task(config, "any", seed)
            bundles[name].append(fit(job, images[name], place, device=options.device))
    return bundles


def predicted(
    name: str, bundles: Sequence[Path], config: Config, options: argparse.Namespace
) -> tuple[Predictions, Predictions]:
    """Return the Predictions of a truth's test faces as they are, and mirrored."""
    images = faces(name, options.test_faces, test=True)
    return (
        _evaluated(bundles, images, config, options, "predictions"),
        _evaluated(bundles, images, config, options, "mirrored", mirrored=True),
    )


def crossed(
    shown: str, bundles: Sequence[Path], config: Config, options: argparse.Namespace
) -> tuple[Predictions, Predictions]:
    """Return what networks make of another truth's test faces, as they are and mirrored."""
    config = replace(config, generalist_conditions=SIDES)
    images = faces(shown, options.test_faces, test=True)
    return (
        _evaluated(bundles, images, config, options, f"{shown}-predictions"),
        _evaluated(bundles, images, config, options, f"{shown}-mirrored", mirrored=True),
    )


def _evaluated(
    bundles: Sequence[Path],
    images: Images,
    config: Config,
    options: argparse.Namespace,
    stem: str,
    *,
    mirrored: bool = False,
) -> Predictions:
    """Return one table of all networks; what was predicted before is read."""
    scoring = EvaluationOptions(
        conditions=config.generalist_conditions, mirrored=mirrored, device=options.device
    )
    tables = []
    for bundle in bundles:
        path = bundle.with_name(f"{stem}.parquet")
        wanted = mark([bundle], images, scoring).fingerprint
        known = read_predictions(path) if path.is_file() else None
        if known is None or known.facts["fingerprint"] != wanted:
            log.info("predicting %s, %s", bundle.parent, path.stem)
            known = evaluate_by(scoring, [bundle], images, out=path)
        tables.append(known)
    return join(tables)


def orders(name: str, predictions: Predictions, mirrored: Predictions) -> pd.DataFrame:
    """Return what the chain says of a truth, beside what was planted.

    Columns: truth, method, seed, emotion, measure, contrast, value, low, high, says, planted,
    found. `says` is the region that carries more by the interval (importance) or by the verdict
    (laterality), "" if none is known to.
    """
    rows = []
    regions = importance.shapley(predictions)
    for planted in PLANTED[name]:
        wanted = regions[
            regions["region"].eq(planted.contrast)
            & regions["emotion"].isin(planted.emotions)
            & regions["value_function"].isin(["probability", "accuracy"])
        ]
        for row in wanted.itertuples():
            first, second = planted.contrast.split(" - ")
            says = first if row.low > 0 else second if row.high < 0 else ""
            key = ("importance, Shapley", row.seed, row.emotion, row.value_function)
            found = (planted.contrast, row.value, row.low, row.high, says, planted.carries)
            rows.append((name, *key, *found))
    told = sides(_only(predictions, SIDES), _only(mirrored, SIDES))
    carries = "left" if name == "left" else ""
    for row in told[(told["part"] == "face") & (told["emotion"] == "all")].itertuples():
        key = ("laterality, face", row.seed, row.emotion, row.measure, "left - right hidden")
        rows.append((name, *key, row.difference, row.low, row.high, row.image_side, carries))
    columns = ["truth", "method", "seed", "emotion", "measure", "contrast", "value", "low", "high"]
    found = pd.DataFrame(rows, columns=[*columns, "says", "planted"])
    return found.assign(found=found["says"] == found["planted"])


def habits(
    learnt: str, shown: str, predictions: Predictions, mirrored: Predictions
) -> pd.DataFrame:
    """Return which side carries more for networks of one truth on faces of another.

    Columns: learnt, shown (truths), part (as shown, face, network), seed, measure, difference, low,
    high (score with the left hidden less that with the right hidden), says (the side that carries
    more by the verdict of `sides`, "" if none is known to), planted. What is planted as shown is
    the sum of both: a side, whoever it belongs to.
    """
    told = sides(_only(predictions, SIDES), _only(mirrored, SIDES))
    told = told[(told["emotion"] == "all") & told["part"].isin(["as shown", "face", "network"])]
    belongs = {"face": shown == "left", "network": learnt == "left"}
    belongs["as shown"] = any(belongs.values())
    named = {"difference": "difference", "low": "low", "high": "high", "image_side": "says"}
    kept = told[["part", "seed", "measure", *named]].rename(columns=named)
    kept.insert(0, "learnt", learnt)
    kept.insert(1, "shown", shown)
    return kept.assign(planted=["left" if belongs[part] else "" for part in kept["part"]])


def told_apart(name: str, predictions: Predictions) -> pd.DataFrame:
    """Return how often happy faces and neutral ones are told apart when these are the only choices.

    Columns of `matrix` and truth; condition `lower` leaves the upper half visible. Under
    truth `lower` that half is the same in both, so no network can do better than 50 %.
    """
    both = ["p_happy", "p_neutral"]
    chosen = _only(predictions, ("full", "upper", "lower"))
    two = chosen.table[chosen.table["label"].isin(["happy", "neutral"])].copy()
    shares = two[both].div(two[both].sum(axis=1), axis=0)
    two[list(PROBABILITY_COLUMNS)] = 0.0
    two[both] = shares
    return matrix(Predictions(two, chosen.facts), ["accuracy"]).assign(truth=name)


def _only(predictions: Predictions, conditions: Sequence[str]) -> Predictions:
    """Return these conditions only."""
    return predictions.select(predictions.table["condition"].isin(conditions))


def count_alarms(
    tables: Mapping[str, tuple[Predictions, Predictions]], options: argparse.Namespace
) -> pd.DataFrame:
    """Return the alarms of all data sets of every null; those counted before are read."""
    alike = false_alarms.population(*tables["nothing"])
    left = false_alarms.population(*tables["left"])
    nulls: dict[str, Draw] = {
        "either-way": partial(false_alarms.either_way, alike.symmetric()),
        "copies": partial(false_alarms.copies, alike.symmetric()),
        "networks": partial(false_alarms.networks, alike),
        "known": partial(false_alarms.known, left, truth=false_alarms.values_of(left)),
    }
    known = hash_json(
        {
            # Of networks, pictures and options of what was predicted.
            "tables": [
                [one.facts.get("fingerprint"), one.models]
                for pair in tables.values()
                for one in pair
            ],
            "code": experiment.code_of(false_alarms),
            "faces": options.faces,
        }
    )
    found = [
        _counted(options.runs / "alarms" / f"{name}-{known}.csv", draw, place, options)
        for place, (name, draw) in enumerate(nulls.items())
    ]
    return pd.concat(found, ignore_index=True)


def _counted(path: Path, draw: Draw, place: int, options: argparse.Namespace) -> pd.DataFrame:
    """Return the alarms of a null's data sets; those that `path` holds are read, others join it."""
    columns = [*false_alarms.ALARM_COLUMNS, "set"]
    done = pd.read_csv(path) if path.is_file() else pd.DataFrame(columns=columns)
    started, before = time.perf_counter(), done["set"].nunique()
    for start in range(before, options.sets, _CHUNK):
        made = min(start + _CHUNK, options.sets)
        rows = [
            (*alarm, number)
            for number in range(start, made)
            for alarm in draw(number, np.random.default_rng([place, number]), options.faces)
        ]
        # An empty table would decide the columns' types.
        parts = [done] if len(done) else []
        done = pd.concat([*parts, pd.DataFrame(rows, columns=columns)], ignore_index=True)
        write_csv(done, path)
        left_s = (time.perf_counter() - started) / (made - before) * (options.sets - made)
        told = (path.stem.rpartition("-")[0], made, options.sets, left_s)
        log.info("%s: %d of %d data sets, about %.0f s left", *told)
    return done[done["set"] < options.sets]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return experiment.exit_code(partial(run, _options(arguments)))


def run(options: argparse.Namespace) -> None:
    """Train, predict, analyse what is missing; write the tables."""
    torch.set_num_threads(options.threads)
    config = load(options.config, options.settings)
    bundles = trained(config, options)
    tables = {name: predicted(name, bundles[name], config, options) for name in TRUTHS}
    others = {
        (learnt, shown): crossed(shown, bundles[learnt], config, options)
        for learnt, shown in CROSSED
    }
    write(tables, others, config, options)


def write(
    tables: Mapping[str, tuple[Predictions, Predictions]],
    others: Mapping[tuple[str, str], tuple[Predictions, Predictions]],
    config: Config,
    options: argparse.Namespace,
) -> None:
    """Analyse the tables (of each truth, and of `CROSSED`); write and print what was found."""
    found = {
        "networks": pd.concat([networks_table(name, pair[0]) for name, pair in tables.items()]),
        "orders": pd.concat([orders(name, *pair) for name, pair in tables.items()]),
        "habits": pd.concat([habits(*names, *pair) for names, pair in others.items()]),
        "told_apart": pd.concat([told_apart(name, pair[0]) for name, pair in tables.items()]),
    }
    log.info("the orders are read; now the false alarms")
    found["false_alarms"] = false_alarms.summary(count_alarms(tables, options))
    for name, one in found.items():
        write_csv(one, options.out / f"{name}.csv")
    known = {name: json.loads(one.to_json(orient="records")) for name, one in found.items()}
    chosen = ("train_faces", "test_faces", "faces", "sets")
    known["options"] = {one: getattr(options, one) for one in chosen}
    write_json(options.out / "planted.json", known)
    text = page(found, known["options"], config.model.architecture)
    write_text(options.out / "README.md", text)
    experiment.write_origin(options.out, config)
    print(text)


def networks_table(name: str, predictions: Predictions) -> pd.DataFrame:
    """Return accuracy with nothing and each half hidden, and training time, for each network."""
    halves = _only(predictions, ("full", "upper", "lower", "left", "right"))
    scores = matrix(Sample.of(halves, options=StatisticsOptions(draws=1)), ["accuracy"])
    wide = scores[scores["seed"] != "mean"].pivot_table(
        index="seed", columns="condition", values="value", sort=False
    )
    times = [one["training_s"] for one in predictions.models]
    return wide.reset_index().assign(training_s=times, truth=name)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = experiment.parser(__doc__)
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--train-faces", type=int, default=2240, help="a sixteenth selects")
    parser.add_argument("--test-faces", type=int, default=420)
    parser.add_argument("--sets", type=int, default=300, help="data sets of each null")
    parser.add_argument("--faces", type=int, default=350, help="faces of a data set")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    experiment.add_training(parser, "planted", device="cpu")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
