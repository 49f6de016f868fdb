"""What every ingredient of a recipe brings, measured on validation images.

    python validity/ablation.py small --data PATH --baseline FULL.safetensors \
        --set generalist.train.epochs=2 --out results/small/ablation

trains the generalist `any` of a config once for each seed with the whole recipe and with one
ingredient left out at a time, all from the same baseline, and compares them under full and the
four halves. With `--model full` it is the baseline's recipe, which needs no --baseline. Recipes are
compared on a tenth of FER2013's Training that is held aside (protocol `paper`): PublicTest has
chosen recipes so often that it is spent. The baseline must not have seen that tenth either:
`hemiface train small --set data.protocol=paper` makes one. It is scored by the labels that are
trained on, so recipes for votes need --labels ferplus=PATH. PublicTest and PrivateTest are neither
trained on, nor selected by, nor scored. Every training resumes; the folder --runs keeps them.
Differences are paired: the same images, resampled by near-duplicate group.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

import experiment
from hemiface.config import Config, load
from hemiface.data.cache import prepare
from hemiface.data.images import Images
from hemiface.errors import UsageError
from hemiface.networks.checkpoint import BUNDLE_FILE
from hemiface.networks.evaluate import evaluate
from hemiface.networks.network import Bundle
from hemiface.networks.train import fit, task
from hemiface.tables import derive, write_csv

CONDITIONS = ("full", "upper", "lower", "left", "right")
WHOLE = "whole recipe"
DRAWS = 2000

GENERALIST: dict[str, tuple[str, ...]] = {
    WHOLE: (),
    "no teacher": (
        "generalist.distill.logits=0",
        "generalist.distill.clean_logits=0",
        "generalist.distill.features=0",
    ),
    "no features": ("generalist.distill.features=0",),
    "own average as teacher": ("generalist.distill.teacher=average",),
    "itself as teacher": ("generalist.distill.teacher=self", "generalist.distill.clean_logits=0"),
    "no whole view": ("generalist.distill.clean=0", "generalist.distill.clean_logits=0"),
    "black halves only": (
        'generalist_conditions=["upper", "lower", "left", "right"]',
        "generalist.augment.hide_rectangle=0",
    ),
}
BASELINE: dict[str, tuple[str, ...]] = {
    WHOLE: (),
    "no flips": ("augment.flip=false",),
    "no geometry": ("augment.translate_px=0", "augment.rotate_deg=0", "augment.scale=0"),
    "no colour": ("augment.brightness=0", "augment.contrast=0"),
    "no label smoothing": ("train.label_smoothing=0",),
    "no averaged weights": ("train.ema_decay=0",),
    "no dropout": ("model.dropout=0",),
    "full size throughout": ("train.start_px=0",),
    "with random erasing": ("augment.erase_probability=0.5",),
}

VOTES: dict[str, tuple[str, ...]] = {
    "one label for the votes": (
        "train.soft_labels=false",
        "train.own_label_votes=0",
        "train.lone_votes=true",
    ),
    "own label as two voters": ("train.own_label_votes=2",),
    "own label as five voters": ("train.own_label_votes=5",),
    "no lone votes": ("train.lone_votes=false",),
    "no cameras": (
        "augment.light=0",
        "augment.repeat_px=0",
        "augment.coarsen=0",
        "augment.blur=0",
        "augment.compress=0",
    ),
    "attention consistency": (
        "train.attention_consistency=5",
        "generalist.train.attention_consistency=0",  # pairs and mirrored pictures don't go together
        "augment.erase_probability=0.5",
    ),
}
"""Of a baseline that learns FER+'s votes; tried where the recipe does."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return experiment.exit_code(partial(run, _options(arguments)))


def run(options: argparse.Namespace) -> None:
    """Train what is missing, score it, write ablation.csv and runs.csv."""
    scored, times = _run_all(options)
    differences = compare(scored)
    write_csv(_per_run(scored).merge(times), options.out / "runs.csv")
    write_csv(differences, options.out / "ablation.csv")
    # The resolved recipe: what --set changed is in it, but for the data's place.
    experiment.write_origin(options.out, load(options.config, options.settings))
    _print(differences)


def compare(scored: pd.DataFrame, draws: int = DRAWS, seed: int = 0) -> pd.DataFrame:
    """Return each variant's accuracy and how far it is from the whole recipe's.

    `scored` has a row per image, condition, variant and seed with `group` and `correct`. Columns:
    variant, condition (`mean` is over all), accuracy (over the seeds), difference (variant minus
    whole recipe), low, high (95 % percentile interval of it over groups), seeds, n (images).
    """
    conditions = list(dict.fromkeys(scored["condition"]))
    # Seeds are averaged first: what is resampled are images, with the seeds that were run.
    hits = scored.pivot_table(
        index=["group", "image"], columns=["variant", "condition"], values="correct", sort=False
    )
    weights = experiment.image_weights(hits.index.get_level_values("group"), draws, seed)
    rows = []
    for variant in dict.fromkeys(scored["variant"]):
        for one in [*conditions, "mean"]:
            chosen = conditions if one == "mean" else [one]
            ours = hits[[(variant, key) for key in chosen]].to_numpy().mean(axis=1)
            whole = hits[[(WHOLE, key) for key in chosen]].to_numpy().mean(axis=1)
            low, high = experiment.mean_interval(ours - whole, weights)
            rows.append(
                {
                    "variant": variant,
                    "condition": one,
                    "accuracy": ours.mean(),
                    "difference": (ours - whole).mean(),
                    "low": low,
                    "high": high,
                    "seeds": scored.loc[scored["variant"] == variant, "seed"].nunique(),
                    "n": len(hits),
                }
            )
    return pd.DataFrame(rows)


def known(recipe: Config, model: str) -> dict[str, tuple[str, ...]]:
    """Return the variants of a recipe's model (`full` or `any`), shorter and longer ones too."""
    part, variants = "train", BASELINE | (VOTES if recipe.train.soft_labels else {})
    if model == "any":
        part, variants = "generalist.train", GENERALIST
    epochs = recipe.recipe(model, fine_tuned=False).train.epochs
    lengths = {
        "half the epochs": (f"{part}.epochs={max(1, epochs // 2)}",),
        "twice the epochs": (f"{part}.epochs={2 * epochs}",),
    }
    return variants | lengths


def subset(
    variants: dict[str, tuple[str, ...]], names: Sequence[str] | None
) -> dict[str, tuple[str, ...]]:
    """Return the named variants with the whole recipe, which all are compared with.

    Raises:
        UsageError: a name is not one of them.
    """
    unknown = [name for name in names or () if name not in variants]
    if unknown:
        raise UsageError(f"No variant is named {unknown[0]!r}; there are {', '.join(variants)}.")
    return {
        name: settings
        for name, settings in variants.items()
        if not names or name == WHOLE or name in names
    }


def _run_all(options: argparse.Namespace) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return every variant's decisions on images held aside, and the trainings' times."""
    recipe = load(options.config, options.settings)
    variants = subset(known(recipe, options.model), options.variants)
    if options.model == "any" and options.baseline is None:
        raise UsageError("The generalist starts from a baseline: name it with --baseline.")
    images = held_aside(options.data, options.runs / "data", options.labels)
    if options.baseline is not None:
        require_apart(options.baseline, images)
    tables, times = [], []
    # Seeds outside, so that an unfinished run has every variant as often as it can.
    for seed in options.seeds:
        for name, settings in variants.items():
            config = load(options.config, [*options.settings, *settings])
            table, seconds = _score(config, name, seed, images, options)
            tables.append(table)
            times.append({"variant": name, "seed": seed, "training_s": seconds})
    return pd.concat(tables, ignore_index=True), pd.DataFrame(times)


def held_aside(data: str, folder: Path, labels: str | None) -> Images:
    """Return images of which a tenth of Training is the validation split, the rest of it train."""
    return prepare(data, folder, labels=labels, protocol="paper")


def require_apart(baseline: Path, images: Images) -> None:
    """Raise UsageError unless a Bundle was trained on these images in these very splits."""
    if Bundle.load(baseline).provenance.get("data_sha256") != images.info["data_sha256"]:
        raise UsageError(
            f"{baseline} was trained on other images, labels or splits, so it may have seen what "
            "is held aside here; train one with --set data.protocol=paper."
        )


def _score(
    config: Config, name: str, seed: int, images: Images, options: argparse.Namespace
) -> tuple[pd.DataFrame, float]:
    start = options.baseline if options.model == "any" else None
    job = task(config, options.model, seed, init=start, baseline=start)
    run = f"{name.replace(' ', '-')}-seed{seed}"
    # One folder of runs may serve several recipes; those of before lie in it as they are.
    place = options.runs / f"{Path(options.config).stem}-{options.model}" / run
    if job.made(options.runs / run / BUNDLE_FILE, images):
        place = options.runs / run
    logging.info("%s, seed %d", name, seed)
    bundle = place / BUNDLE_FILE
    # An option that is newer than a variant's Bundle doesn't call for training it again.
    if not job.made(bundle, images):
        fit(job, images, place, device=options.device)
    predictions = evaluate(
        [bundle], images, conditions=CONDITIONS, splits=["validation"], device=options.device
    )
    described = predictions.models[0]
    kept = derive(predictions.table)[["image", "group", "condition", "correct"]]
    return kept.assign(variant=name, seed=seed), float(described["training_s"])


def _per_run(scored: pd.DataFrame) -> pd.DataFrame:
    """Return variant, seed, condition, accuracy: every training that was run."""
    cells = scored.groupby(["variant", "seed", "condition"], sort=False)["correct"].mean()
    return cells.rename("accuracy").reset_index()


def _print(differences: pd.DataFrame) -> None:
    table = Table(
        title="Accuracy on images held aside, %: the whole recipe, then the change by each variant",
        title_justify="left",
    )
    table.add_column("variant")
    conditions = list(dict.fromkeys(differences["condition"]))
    for one in conditions:
        table.add_column(one, justify="right")
    for variant, rows in differences.groupby("variant", sort=False):
        cells = rows.set_index("condition").loc[conditions]
        table.add_row(str(variant), *(_cell(variant == WHOLE, row) for _, row in cells.iterrows()))
    Console(width=None if sys.stdout.isatty() else 150).print(table)


def _cell(whole: bool, row: pd.Series) -> str:
    if whole:
        return f"{100 * row['accuracy']:.1f}"
    return f"{100 * row['difference']:+.1f} [{100 * row['low']:+.1f}, {100 * row['high']:+.1f}]"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = experiment.parser(__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--data", required=True, help="whatever hemiface study takes")
    parser.add_argument("--labels", help="ferplus=PATH, for FER+'s votes as labels")
    parser.add_argument("--model", choices=["any", "full"], default="any")
    parser.add_argument(
        "--baseline",
        type=Path,
        help="Bundle that every generalist starts from, trained with data.protocol=paper",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--variants", nargs="+", metavar="NAME", help="only these; default all")
    experiment.add_training(parser, "ablation", device="auto")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
