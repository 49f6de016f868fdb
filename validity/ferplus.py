"""A network on FER+ labels, on really occluded and turned faces, and with views averaged.

    python validity/ferplus.py small-int8.onnx small.onnx --data PATH_TO_FER2013 \
        --votes fer2013new.csv --rows occlusion_rows.csv --rows pose30_rows.csv --out results/small

Writes `ferplus.csv`: accuracy on PrivateTest by model, views (plain, flip, and ten-crop of the
first model), labels (FER2013's; FER+ by argmax and by majority), images (all, those that a
prediction table of a run calls leak-free, and each list of rows) and condition, with 95 % intervals
from a bootstrap of the predictions' groups (near duplicates where they are of a run, else exact
copies); `views.csv`: what averaged views change against the same model's plain one, paired; and
`crops.csv`: how the crop's size was chosen, on whole PublicTest faces with FER2013's labels.
`contempt` counts the images that FER+ calls so and the seven emotions can't: they are left out of
`accuracy` and are mistakes in `accuracy_with_contempt` (empty for leak-free images, which nobody
counted). The rows of a prediction table (`*.parquet`) are scored as they are, without running a
network. `ferplus.environment.json`: versions and hardware.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

import experiment
from hemiface.config import StatisticsOptions
from hemiface.data.ferplus import relabel
from hemiface.data.images import Images
from hemiface.data.readers import load
from hemiface.data.rows import pick_rows
from hemiface.errors import UsageError
from hemiface.files import write_json
from hemiface.networks.evaluate import evaluate
from hemiface.provenance import environment
from hemiface.stats.matrix import matrix
from hemiface.stats.sample import Sample
from hemiface.tables import Predictions, derive, read_predictions, write_csv

CONDITIONS = ("full", "upper", "lower", "left", "right")
SIZES_PX = (40, 42, 44, 46)
_GAINS = ("model", "views", "labels", "images", "condition", "n", "difference", "low", "high")
LABELS = ("fer2013", "ferplus", "ferplus-majority")


def choose_crop(model: Path, images: Images, sizes_px: list[int]) -> tuple[int, pd.DataFrame]:
    """Return the best size for ten-crop on whole validation faces, and the scores of all."""
    rows = []
    for crop_px in (0, *sizes_px):
        found = evaluate(
            [model], images, conditions=("full",), splits=("validation",), flip=True,
            crop_px=crop_px,
        )  # fmt: skip
        right = derive(found.table)["correct"]
        rows.append({"crop_px": crop_px, "n": len(right), "accuracy": right.mean()})
    table = pd.DataFrame(rows)
    crops = table[table["crop_px"] > 0]
    return int(crops.loc[crops["accuracy"].idxmax(), "crop_px"]), table


def labelled(images: Images, votes: Path, lists: list[Path]) -> dict[tuple[str, str], Images]:
    """Return (labels, list) -> the test images that are scored, labelled so."""
    test = images.split("test")
    parts = {"all": test}
    for path in lists:
        parts[path.stem.removesuffix("_rows")] = test.subset(pick_rows(test, path)[0])
    found = {}
    for name, part in parts.items():
        found["fer2013", name] = part
        found["ferplus", name] = relabel(part, votes)
        found["ferplus-majority", name] = relabel(part, votes, majority=True)
    return found


def relabelled(predictions: Predictions, scored: Images) -> pd.DataFrame:
    """Return the rows of the images of `scored`, with their labels there."""
    label = scored.table.set_index("image")["label"]
    rows = predictions.table[predictions.table["image"].isin(label.index)]
    return rows.assign(label=rows["image"].map(label).astype(rows["label"].dtype))


def paired(plain: Predictions, averaged: Predictions, scored: Images, draws: int) -> pd.DataFrame:
    """Return how much more accurate averaged views are than plain ones, in pairs of one image.

    Columns: model, condition, n, difference, low, high (95 % percentile interval over
    near-duplicate groups). Models and conditions that one of them lacks are left out.
    """
    keys = ["model", "condition", "image", "group"]
    one, other = (
        derive(relabelled(found, scored))[[*keys, "correct"]] for found in (plain, averaged)
    )
    names = {known["model"]: known["name"] for known in plain.models}
    rows = []
    both = one.merge(other, on=keys, suffixes=("_plain", "_averaged"))
    for (model, condition), cell in both.groupby(["model", "condition"], sort=False, observed=True):
        gained = cell["correct_averaged"].to_numpy(float) - cell["correct_plain"].to_numpy(float)
        weights = experiment.image_weights(cell["group"], draws)
        low, high = experiment.mean_interval(gained, weights)
        rows.append(
            {
                "model": names[model],
                "condition": condition,
                "n": len(cell),
                "difference": gained.mean(),
                "low": low,
                "high": high,
            }
        )
    return pd.DataFrame(rows)


def score(predictions: Predictions, scored: Images, draws: int) -> pd.DataFrame:
    """Return accuracy of each model and condition on the images and labels of `scored`."""
    options = StatisticsOptions(draws=draws)
    found = Predictions(relabelled(predictions, scored), predictions.facts)
    sample = Sample.of(found, options=options)
    cells = matrix(sample, ["accuracy"])
    cells = cells[cells["seed"] != "mean"]
    several = cells[cells.duplicated(["model", "condition"])]
    if len(several):
        raise UsageError(
            f"The table has several seeds of {several['model'].iloc[0]}, of which each stands "
            "alone; give a table of one."
        )
    contempt = scored.info.get("ferplus", {}).get("dropped", {}).get("contempt", 0)
    return pd.DataFrame(
        {
            "model": cells["model"],
            "condition": cells["condition"],
            "n": cells["n"],
            "accuracy": cells["value"],
            "low": cells["low"],
            "high": cells["high"],
            "contempt": contempt,
            "accuracy_with_contempt": cells["value"] * cells["n"] / (cells["n"] + contempt),
        }
    )


def run(options: argparse.Namespace) -> None:
    """Do everything; write both files, the first after each kind of views, and print its table."""
    images = load(options.data)
    parts = labelled(images, options.votes, options.rows)
    tables: list[pd.DataFrame] = []
    plain: list[Predictions] = []
    gains: list[pd.DataFrame] = []

    def add(name: str, models: list[Path], flip: bool, crop_px: int) -> None:
        print(f"{name}: {', '.join(model.name for model in models)}", file=sys.stderr, flush=True)
        add_scores(
            name,
            evaluate(models, images, conditions=options.conditions, flip=flip, crop_px=crop_px),
        )

    def add_scores(name: str, found: Predictions) -> None:
        shown = {key: (found, scored) for key, scored in parts.items()}
        if found.table["leaked"].any():
            # Of a run: it looked for near duplicates in what was learnt and selected on.
            free = found.select(~found.table["leaked"])
            shown |= {(labels, "leak-free"): (free, parts[labels, "all"]) for labels in LABELS}
        for (labels, part), (predictions, scored) in shown.items():
            table = score(predictions, scored, options.draws)
            table.insert(1, "views", name)
            table.insert(2, "labels", labels)
            table.insert(3, "images", part)
            if part == "leak-free":
                table["contempt"] = pd.array([pd.NA] * len(table), dtype="Int64")
                table["accuracy_with_contempt"] = np.nan
            tables.append(table)
        write_csv(pd.concat(tables, ignore_index=True), options.out / "ferplus.csv")
        if name == "plain":
            plain.append(found)
            return
        for (labels, part), scored in parts.items():
            for one in plain:
                table = paired(one, found, scored, options.draws)
                of = {"views": name, "labels": labels, "images": part}
                gains.append(table.assign(**of)[[*_GAINS]] if len(table) else table)
        if any(map(len, gains)):
            write_csv(pd.concat(gains, ignore_index=True), options.out / "views.csv")

    for path in options.models:
        if path.suffix == ".parquet":
            add_scores(*_read(path, options))
    networks = [path for path in options.models if path.suffix != ".parquet"]
    if networks:
        add("plain", networks, False, 0)
        add("flip", networks, True, 0)
    if networks and options.sizes:
        best, crops = choose_crop(networks[0], images, options.sizes)
        write_csv(crops, options.out / "crops.csv")
        print(crops.to_string(index=False))
        add(f"ten-crop {best} px", networks[:1], True, best)
    write_json(options.out / "ferplus.environment.json", environment())
    print(markdown(pd.concat(tables, ignore_index=True)))


def _read(path: Path, options: argparse.Namespace) -> tuple[str, Predictions]:
    """Return how a prediction table averaged views, and its test rows under the conditions."""
    found = read_predictions(path)
    known, table = found.facts, found.table
    name = "flip" if known["flip"] else "plain"
    if known["crop_px"]:
        name = f"{'ten' if known['flip'] else 'five'}-crop {known['crop_px']} px"
    chosen = (table["split"] == "test") & table["condition"].isin(options.conditions)
    return name, found.select(chosen)


def markdown(table: pd.DataFrame) -> str:
    """Return accuracies in per cent: a row per model, views, labels and images."""
    keys = ["model", "views", "labels", "images"]
    conditions = list(dict.fromkeys(table["condition"]))
    lines = [
        f"| {' | '.join(keys)} | n | {' | '.join(conditions)} | full, contempt counted |",
        "|---" * (len(keys) + len(conditions) + 2) + "|",
    ]
    for key, rows in table.groupby(keys, sort=False):
        cells = rows.set_index("condition")
        shown = [f"{100 * cells.loc[one, 'accuracy']:.1f}" for one in conditions]
        first = cells.iloc[0]
        with_contempt = ""
        if key[2] != "fer2013" and not pd.isna(first["contempt"]):
            share = f"{100 * first['accuracy_with_contempt']:.1f}"
            with_contempt = f"{share} (n {first['n'] + first['contempt']:,})"
        lines.append(
            f"| {' | '.join(key)} | {first['n']:,} | {' | '.join(shown)} | {with_contempt} |"
        )
    return "\n".join(lines)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = experiment.parser(__doc__)
    add = parser.add_argument
    add(
        "models",
        nargs="+",
        type=Path,
        help="Bundles, ONNX files (ten-crop is of the first) or prediction tables, *.parquet",
    )
    add("--data", required=True, help="FER2013 with rows: fer2013.csv or strips")
    add("--votes", type=Path, required=True, help="fer2013new.csv of FER+")
    add("--rows", type=Path, action="append", default=[], help="list of rows; repeatable")
    add("--conditions", nargs="+", default=list(CONDITIONS), help="full first")
    add("--sizes", nargs="*", type=int, default=list(SIZES_PX), help="crops to try; none: no crops")
    add("--draws", type=int, default=1000, help="bootstrap draws (default %(default)s)")
    add("--out", type=Path, required=True, help="folder of ferplus.csv and crops.csv")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return experiment.exit_code(partial(run, parse(arguments)))


if __name__ == "__main__":
    sys.exit(main())
