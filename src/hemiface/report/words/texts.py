"""The texts of the report that don't depend on scores: what was done, methods, sources."""

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from hemiface import __version__
from hemiface.config import Config, Recipe, StatisticsOptions, config_hash
from hemiface.data.images import Images
from hemiface.provenance import HARDWARE_OF
from hemiface.tables import EMOTIONS, HALVES_COLUMN, Predictions

__all__ = [
    "FEW_GROUPS",
    "Trainings",
    "beside_original",
    "citations",
    "copy_word",
    "data_rows",
    "duration",
    "environment_rows",
    "joined",
    "methods",
    "model_rows",
    "own_lines",
    "rebuild",
    "recipe_table",
    "resampled",
    "selection",
    "subtitle",
    "title",
    "two_decimals",
    "under_fill",
    "with_article",
]

Pairs = list[tuple[str, str]]

_DATASETS = {"fer2013": "FER2013", "phantom": "rendered faces"}
_METHODS = (
    "Left and right are sides of the image, as the viewer sees it: image left is the person's "
    "right, unless the photograph was mirrored. Upper, lower, left and right name what is hidden.",
    "Robustness and available information are two questions. Robustness: a model trained on whole "
    "faces meets hidden ones. Available information: a model trained for a hidden part is tested "
    "on it, which bounds from below what the visible part tells. Neither stands for the other.",
    "To a model trained on whole faces a black region is not only a lack: it is unlike anything "
    "it has seen. Its drop mixes what is missing with what is strange, and only the models trained "
    "for that condition take the second part away.",
)
_LEAKS = (
    "An image counts as leaked if it, or {} of it, also is in a split used to train or to select. "
    "{}Every accuracy on leaked images is optimistic, so the accuracy without them stands beside "
    "it."
)
_NOT_SOUGHT = "Near duplicates weren't looked for, so more images may be. "
_COPIES = {
    "near duplicate": "near duplicates",
    "exact copy": "exact copies",
    "copy": "copies",
}
_UNKNOWN_LEAKS = (
    "Whether test images, or near duplicates of them, were used to train or to select isn't known; "
    "accuracy on those that were is optimistic."
)
_SELECTED = "Everything is selected on the validation split; the test split is for finished models."
_PAPER = (
    "The original study's protocol scores validation and test images together. {}.{} The protocol "
    "on the test split alone is the sound one."
)
_OPTIMISTIC = "The validation images were used to select our models, so these scores are optimistic"
_PERHAPS = "Where validation images selected a network, its scores here are optimistic"
_BESIDE = " They are here to be put beside the published ones."
_CHOSEN = "ours were chosen on PublicTest alone, which is one half of these images."
_SCORES = (
    "Macro F1 is the mean of the emotions' F1, weighted F1 weighs them by their share of the "
    "images. Weighted AUC is the area under each emotion's ROC curve against the rest, averaged by "
    "share (scikit-learn's); weighted_auc_paper, used only beside the original, is the area under "
    "the average of interpolated curves, as published. A dash is an undefined score, never 0."
)
_ABSENT = (
    "No image that was scored bears the label {}: recall and AUC of such an emotion are undefined. "
    "Its F1 is 0 where it was answered, which is never right, and a dash where it wasn't. Macro F1 "
    "is a mean over the emotions that occur among labels or answers of a cell, so cells can differ "
    "in how many these are."
)
FEW_GROUPS = (
    "Scores that fewer than six groups of like size bear on have no interval: so few can't bound "
    "them. Differences between such scores have intervals of t tests."
)
_DIFFER = (
    "Two accuracies are said to differ by one rule on the whole page: a paired test, corrected for "
    "several tests (Holm), below .05, and an interval of the difference that leaves 0 out. Where "
    "it says nothing, no difference was found, which doesn't show that there is none. Two "
    "intervals that overlap can well belong to scores that differ."
)
_LABELS = (
    "FER2013's labels are noisy: people agree with them in about 65 ± 5 % of the images "
    "(Goodfellow et al. 2013). The labels name how a face looks to a labeller, not what a person "
    "felt."
)
_FER2013 = (
    "FER2013: Goodfellow, I. J., et al. (2013). Challenges in representation learning: a report on "
    "three machine learning contests. ICONIP 2013, LNCS 8228, 117–124. "
    "doi:10.1007/978-3-642-42051-1_16"
)
_ORIGINAL = (
    "The original study: Predicting Human Emotions: Using convolutional neural networks to "
    "recognize human facial emotions and determine the relative importance of the upper, lower, "
    "right, and left half of one's face in emotion recognition. "
    "github.com/AaryaDesai1/Facial_Emotion_Recognition"
)
_FERPLUS = (
    "FER+ labels: Barsoum, E., Zhang, C., Canton Ferrer, C., & Zhang, Z. (2016). Training deep "
    "networks for facial expression recognition with crowd-sourced label distribution. ICMI 2016, "
    "279–283. doi:10.1145/2993148.2993165"
)


def title(datasets: Sequence[str]) -> str:
    """Return the page's title."""
    names = joined(_DATASETS.get(name, name) for name in datasets)
    return f"How much of a face an emotion needs: {names}"


def pooled(datasets: Sequence[str]) -> list[str]:
    """Return the sentence on scores that are of several data sets at once, if they are."""
    if len(datasets) < 2:
        return []
    names = joined(_DATASETS.get(name, name) for name in datasets)
    return [
        f"Every score here is of all images of {len(datasets)} data sets together ({names}), and "
        "moves with how many images each has; hemiface data across tells them apart."
    ]


def subtitle(run: str, environment: Mapping[str, Any]) -> str:
    """Return the run's name and when it was finished or started, as far as known."""
    for key in ("finished", "started"):
        if environment.get(key):
            return f"Run {run}, {key} {environment[key]}"
    return f"Run {run}"


@dataclass(frozen=True)
class Trainings:
    """How often each network was trained, from least to most. Other names' seeds repeat nothing."""

    least: int
    most: int

    @classmethod
    def of(cls, table: pd.DataFrame, *by: str) -> "Trainings":
        """Return it of a table with rows for each seed, and `mean`, of what `by` names."""
        once = table[table["seed"].astype(str) != "mean"]
        if once.empty:
            return cls(1, 1)
        seeds = once.groupby(list(by), observed=True)["seed"].nunique()
        return cls(int(seeds.min()), int(seeds.max()))

    @property
    def repeated(self) -> bool:
        """Whether any network was trained several times."""
        return self.most > 1

    def __str__(self) -> str:
        return str(self.most) if self.least == self.most else f"{self.least} to {self.most}"


def copy_word(facts: Mapping[str, Any], images: Images | None = None) -> str:
    """Return what makes two images one group: near duplicates only where they were looked for.

    `facts` are those of Predictions. Where nobody says it is a copy, whatever was meant by it.
    """
    info = facts.get("data") if images is None else images.info
    if not info:
        return "copy"
    return "near duplicate" if info.get("near_duplicates") else "exact copy"


def selection(predictions: Predictions) -> str:
    """Say what the networks were selected on: hemiface's own rule, what a table says, or unknown.

    Only networks that hemiface trained are known to have been selected on validation images;
    others' are what the column selected_on of `hemiface import --models` says.
    """
    if "unknown" not in predictions.facts:
        return _SELECTED
    if "selection" in predictions.unknown:
        return (
            "What the networks were selected on isn't known; if test images had a say, all scores "
            "are optimistic."
        )
    by: dict[str, list[str]] = {}
    for one in predictions.models:
        word = str(one.get("selected_on") or "nobody said what")
        by.setdefault(word, []).append(str(one["model"]))
    said = "; ".join(f"{joined(models)} on {word}" for word, models in by.items())
    return f"What the networks were selected on, as their makers say: {said}."


def beside_original(predictions: Predictions) -> str:
    """Say how ours were selected, after a clause on how the original study's were."""
    if "unknown" not in predictions.facts:
        return _CHOSEN
    said = selection(predictions)
    return f"{said[0].lower()}{said[1:]}"


def data_rows(predictions: Predictions, images: Images | None) -> Pairs:
    """Return what is known about the data, as (name, value)."""
    table = predictions.table
    copy = copy_word(predictions.facts, images)
    datasets = ", ".join(dict.fromkeys(table["dataset"]))
    rows = [("Data set", _DATASETS.get(datasets, datasets))]
    if images is not None:
        info = images.info
        rows += [
            ("Source", f"{info.get('source', '')} ({info.get('form', 'form unknown')})"),
            ("SHA-256 of the source", str(info.get("source_sha256") or "not recorded")),
            ("SHA-256 of the data", str(info["data_sha256"])),
            ("Left out as unusable", f"{len(info.get('skipped', [])):,} images"),
            (f"Groups of {_COPIES[copy]}", _groups(images.table["group"])),
        ]
    info = predictions.facts.get("data", {}) if images is None else images.info
    rows += _left_out_rows(info)
    test = table[table["split"] == "test"].drop_duplicates("image")
    if "leaked" in predictions.unknown:
        rows.append(("Test images that are leaked", "not known"))
    elif len(test):
        leaked = int(test["leaked"].astype(bool).sum())
        share = 100 * leaked / len(test)
        rows.append((f"Test images with {with_article(copy)}", f"{leaked:,} ({share:.1f} %)"))
    conditions = list(dict.fromkeys(table["condition"]))
    return [*rows, ("Hidden in the test", ", ".join(conditions))]


def _left_out_rows(info: Mapping[str, Any]) -> Pairs:
    """Return what a reader counted of somebody's own data: persons, labels, faces not found."""
    rows = []
    if info.get("persons") is not None:
        rows.append(("Persons, each a group", str(info["persons"])))
    others = info.get("other_labels") or {}
    if others:
        said = ", ".join(f"{count:,} {label}" for label, count in others.items())
        rows.append(("Left out, of other labels", said))
    aligned = info.get("aligned") or {}
    if aligned:
        without, found = aligned.get("without", 0), aligned.get("found", 0)
        said = f"{without:,} of {without + found:,}"
        rows.append(("Pictures left out, without a face that was found", said))
    return rows


def _trained_on(described: Mapping[str, Any]) -> str:
    """Return what a model saw hidden, each condition once and how often it was drawn.

    >>> _trained_on({"conditions": ["full", "upper", "upper"]})
    'full, 2 × upper'
    """
    counts = Counter(described.get("conditions") or ())
    if not counts:
        return str(described.get("trained_on") or "")
    return ", ".join(f"{n} × {key}" if n > 1 else str(key) for key, n in counts.items())


def model_rows(predictions: Predictions) -> dict[str, list[Any]]:
    """Return the table of models: columns and rows of text; an en dash where nothing is known."""
    known = {str(one["model"]): one for one in predictions.models}
    columns = ["model", "trained on", "seed", "flips", "config", "data"]
    rows = []
    for model, name, seed in predictions.names.itertuples(index=False):
        one = known.get(model, {})
        flips = {True: "yes", False: "no"}.get(one.get("flips"), "–")  # type: ignore[arg-type]
        trained = (_trained_on(one) or name, str(seed)) if one else ("–", "–")
        hashes = [str(one.get(key) or "–")[:16] for key in ("config_hash", "data_hash")]
        rows.append([model, *trained, flips, *hashes])
    return {"columns": columns, "rows": rows}


def averages(predictions: Predictions) -> list[str]:
    """Return a sentence for each model that is the mean of others, which names them."""
    return [
        f"{one.get('name') or one['model']} is the mean of {joined(map(str, one['members']))}."
        for one in predictions.models
        if one.get("members")
    ]


def recipe_table(config: Config) -> dict[str, Any]:
    """Return the recipe in short: network and hash as pairs, then columns and rows of training."""
    specialists = [model for model in config.models if model not in ("full", "any")]
    kinds = {
        "baseline": "full" if "full" in config.models else "",
        "specialists": specialists[0] if specialists else "",
        "generalist": "any" if "any" in config.models else "",
    }
    kinds = {kind: model for kind, model in kinds.items() if model}
    recipes = [config.recipe(model, fine_tuned=model != "full") for model in kinds.values()]
    model = config.model
    start = "ImageNet weights" if model.pretrained or model.weights else "random weights"
    channels = "1 channel" if model.channels == 1 else f"{model.channels} channels"
    # Our own networks have stems of their own.
    stem = "" if model.architecture in ("compact", "nano", "tiny") else f"{model.stem} stem, "
    network = f"{model.architecture}, {stem}{channels}, {start}"
    lines = [_recipe_lines(recipe) for recipe in recipes]
    return {
        "pairs": [("Network", network), ("Hash of config.toml", config_hash(config))],
        "columns": ["", *kinds],
        "rows": [(name, [line[name] for line in lines]) for name in lines[0]],
    }


def _recipe_lines(recipe: Recipe) -> dict[str, str]:
    train, augment = recipe.train, recipe.augment
    moved = {
        "shift": f"{augment.translate_px:g} px" if augment.translate_px else "",
        "rotation": f"{augment.rotate_deg:g}°" if augment.rotate_deg else "",
        "scale": f"{augment.scale:g}" if augment.scale else "",
        "shear": f"{augment.shear_deg:g}°" if augment.shear_deg else "",
    }
    coloured = {"brightness": augment.brightness, "contrast": augment.contrast}
    extras = {
        "label smoothing": train.label_smoothing,
        "mixup": train.mixup,
        "averaged weights": train.ema_decay,
        "attention consistency": train.attention_consistency,
    }
    return {
        "Epochs × batch": f"{train.epochs} × {train.batch_size}",
        "Optimizer": f"{train.optimizer}, momentum {train.momentum:g}",
        "Learning rate": f"{train.learning_rate:g}, {train.schedule}",
        "Weight decay": f"{train.weight_decay:g}",
        "Regularisation": _listed(extras),
        "Horizontal flips": "yes" if augment.flip else "no",
        "Moved by up to": _listed(moved),
        "Colour by up to": _listed(coloured),
        "Erased": f"{augment.erase_probability:g} of the images"
        if augment.erase_probability
        else "–",
        "Kept epoch": train.select,
        "Arithmetic": train.precision,
    }


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items() if value) or "–"


def environment_rows(environment: Mapping[str, Any]) -> Pairs:
    """Return command, versions, hardware and times as (name, value), as far as recorded."""
    rows: Pairs = []
    if environment.get("command"):
        rows.append(("Command", _command(environment["command"])))
    for key in ("started", "finished"):
        if environment.get(key):
            rows.append((key.capitalize(), str(environment[key])))
    for key, name in (("hardware", "Hardware"), ("versions", "Versions")):
        values = environment.get(key)
        if isinstance(values, Mapping) and values:
            rows.append((name, ", ".join(_named(*item) for item in values.items())))
        if key == "hardware":
            rows += _elsewhere(environment.get(HARDWARE_OF))
    times = environment.get("times_s")
    if isinstance(times, Mapping) and times:
        spent = ", ".join(f"{stage} {duration(float(took))}" for stage, took in times.items())
        rows.append(("Times", spent))
    return rows


def _elsewhere(hardware_of: Any) -> Pairs:
    """Return what computed stages for which the line on hardware isn't true, those alike as one."""
    together: dict[str, list[str]] = {}
    for stage, values in hardware_of.items() if isinstance(hardware_of, Mapping) else ():
        if isinstance(values, Mapping):
            said = ", ".join(_named(*item) for item in values.items())
            together.setdefault(said, []).append(str(stage))
    return [(f"Hardware of {', '.join(stages)}", said) for said, stages in together.items()]


def own_lines(table: pd.DataFrame) -> str:
    """Say by which lines halves are cut where these are the faces' own; "" for the picture's."""
    if HALVES_COLUMN not in table:
        return ""
    found = table.drop_duplicates("image")[HALVES_COLUMN]
    if (found == "image").all():
        return ""
    fallbacks = int((found == "fallback").sum())
    return (
        "Halves end at each face's own midline and nose line, found by its landmarks; in "
        f"{fallbacks:,} of {len(found):,} images none were found, and the picture's middle stood "
        "in."
    )


def resampled(predictions: Predictions) -> str:
    """Return what intervals resample, as far as the table says what its groups are."""
    if "group" in predictions.unknown:
        return "images, as if none were a near duplicate of another"
    info = predictions.facts.get("data") or {}
    if "unknown" in predictions.facts or not info:
        return "whole groups of images as they were given"
    copies = _COPIES[copy_word(predictions.facts)]
    if info.get("persons"):
        return f"whole groups of images of one person and of {copies}"
    return f"whole groups of {copies}"


def methods(
    predictions: Predictions,
    protocols: Sequence[str],
    options: StatisticsOptions,
    *,
    compared: bool = False,
    few_groups: bool = False,
) -> list[str]:
    """Return what a reader has to know to read the numbers, one paragraph per item.

    `compared` says that the original study's scores stand beside them, `few_groups` that scores on
    some images rest on too few groups for an interval.
    """
    own = "unknown" not in predictions.facts
    intervals = (
        f"Intervals cover {100 * options.level:g} %: percentile bootstrap, {options.draws:,} draws "
        f"of {resampled(predictions)} (seed {options.seed}), the same draws for every model "
        "and condition. They tell what other test images might give, not what other trainings "
        "would."
    )
    datasets = set(predictions.table["dataset"])
    lines = own_lines(predictions.table)
    table = predictions.table
    scored = table[table["split"] == "test"] if "standard" in protocols else table
    absent = [one for one in EMOTIONS if one not in set(scored["label"])]
    copy = copy_word(predictions.facts)
    leaks = _LEAKS.format(with_article(copy), _NOT_SOUGHT if copy == "exact copy" else "")
    paper = _PAPER.format(_OPTIMISTIC if own else _PERHAPS, _BESIDE if compared else "")
    return [
        *_METHODS,
        *([lines] if lines else []),
        _UNKNOWN_LEAKS if "leaked" in predictions.unknown else leaks,
        selection(predictions),
        *([paper] if "paper" in protocols else []),
        intervals,
        *([FEW_GROUPS] if few_groups else []),
        _DIFFER,
        _SCORES,
        *([_ABSENT.format(joined(absent))] if absent else []),
        *([_LABELS] if "fer2013" in datasets else []),
        *(
            ["The faces are rendered from parameters: results say nothing about people."]
            if "phantom" in datasets
            else []
        ),
    ]


def citations(datasets: Sequence[str], images: Images | None) -> list[str]:
    """Return what to cite: the software and the data it was used on."""
    found = [
        f"hemiface {__version__}: how to cite it is in CITATION.cff of its repository; give the "
        "version and the hash of config.toml."
    ]
    if "fer2013" in datasets:
        found += [_ORIGINAL, _FER2013]
    if images is not None and any(name.startswith("votes_") for name in images.table.columns):
        found.append(_FERPLUS)
    return found


def bibtex(datasets: Sequence[str]) -> str:
    """Return what to cite as BibTeX: the software, and FER2013 where it was used."""
    entries = [
        "@software{hemiface,\n"
        "  author = {{The hemiface founders}},\n"
        "  title = {hemiface: how much of a face an emotion needs},\n"
        f"  version = {{{__version__}}},\n"
        "  year = {2026},\n"
        "  url = {https://github.com/hemiface/hemiface}\n}"
    ]
    if "fer2013" in datasets:
        entries.append(
            "@inproceedings{goodfellow2013challenges,\n"
            "  author = {Goodfellow, Ian J. and Erhan, Dumitru and Carrier, Pierre Luc\n"
            "            and others},\n"
            "  title = {Challenges in Representation Learning: A Report on Three Machine Learning\n"
            "           Contests},\n"
            "  booktitle = {Neural Information Processing (ICONIP 2013)},\n"
            "  year = {2013},\n"
            "  doi = {10.1007/978-3-642-42051-1_16}\n}"
        )
    return "\n\n".join(entries)


def rebuild(
    run: str,
    environment: Mapping[str, Any],
    recipe: str,
    *,
    folder: str = "",
    options: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Return blocks of {text, lines}: the commands that make this page, or the whole run, again.

    `run` is what the page is of, a folder or a table; `folder` where config.toml lies, if that is
    another; `options` are those of `hemiface report` that the page was made with.
    """
    blocks = [
        {
            "text": "This page, its tables and figures, from the prediction table (no torch):",
            "lines": [
                "pip install 'hemiface[study]'",
                shlex.join(["hemiface", "report", run, *options]),
            ],
        }
    ]
    if recipe:
        config = shlex.quote(f"{folder or run}/config.toml")
        lines = [f"hemiface study {config} --data PATH --out NEW_FOLDER"]
        text = "The whole run, from the data at PATH:"
        blocks.append({"text": text, "lines": ["pip install 'hemiface[train]'", *lines]})
    if environment.get("command"):
        text = "The command that made this run:"
        blocks.append({"text": text, "lines": [_command(environment["command"])]})
    return blocks


def joined(words: Iterable[str]) -> str:
    """Return an English enumeration.

    >>> joined(["a"]), joined(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def with_article(noun: str) -> str:
    """Return a noun with its article.

    >>> with_article("copy"), with_article("exact copy")
    ('a copy', 'an exact copy')
    """
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def two_decimals(value: float) -> str:
    """Return a number with two decimals and a minus of its own; 0 has none.

    >>> two_decimals(-0.123), two_decimals(-0.001)
    ('−0.12', '0.00')
    """
    text = f"{value:.2f}"
    return "0.00" if text == "-0.00" else text.replace("-", "−")


def under_fill(fill: str) -> str:
    """Return with what hidden parts are filled, "" where it is black.

    >>> under_fill("mean"), under_fill("black")
    (', hidden parts filled with mean', '')
    """
    return "" if fill == "black" else f", hidden parts filled with {fill}"


def duration(seconds: float) -> str:
    """Return a time span to be read.

    >>> duration(8.24), duration(75), duration(7380)
    ('8.2 s', '1 min 15 s', '2 h 03 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _groups(groups: "pd.Series[Any]") -> str:
    sizes = groups.value_counts()
    several = sizes[sizes > 1]
    return f"{len(several):,}, holding {int(several.sum()):,} of {len(groups):,} images"


def _named(key: str, value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return f"{key} {text or 'none'}"


def _command(command: Any) -> str:
    return shlex.join(map(str, command)) if isinstance(command, list) else str(command)
