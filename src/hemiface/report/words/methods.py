"""The methods of a study as prose that can go into a paper, from its config and predictions.

Whatever isn't recorded in a run is left out or said to be unknown; nothing is assumed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from hemiface import __version__
from hemiface.config import Config, Recipe, StatisticsOptions, config_hash
from hemiface.data.images import Images
from hemiface.occlusion.conditions import CONDITIONS
from hemiface.report.figures.style import ordered
from hemiface.report.words.texts import (
    FEW_GROUPS,
    Trainings,
    averages,
    copy_word,
    joined,
    own_lines,
    resampled,
    with_article,
)
from hemiface.stats import metrics
from hemiface.tables import Predictions

__all__ = ["methods_text", "references"]

_SPLITS = ("train", "validation", "test")
_VOTES = " Labels are the majority of FER+'s voters (Barsoum et al., 2016)."
_TEACHERS = {
    "full": "the baseline of the same seed",
    "self": "its own whole face",
    "average": "its averaged weights",
}
_FAMILIES = {
    "robustness": "the halves that are compared with whole faces for robustness",
    "available information": "those for each kind of available information",
    "sides": "the two pairs of opposite halves, for each of these",
    "table, models": "all cells of the table against {base}",
    "table, conditions": "all cells of the table against whole faces",
}
"""What is compared with what, by the kind of a planned comparison."""
_NAMES = {"train": "training", "validation": "validation", "test": "test"}
_REFERENCES = {
    "V-information": "Xu, Y., Zhao, S., Song, J., Stewart, R., & Ermon, S. (2020). A theory of "
    "usable information under computational constraints. ICLR.",
    "pointwise": "Ethayarajh, K., Choi, Y., & Swayamdipta, S. (2022). Understanding dataset "
    "difficulty with V-usable information. ICML, PMLR 162, 5988–6008.",
    "decomposition": "Williams, P. L., & Beer, R. D. (2010). Nonnegative decomposition of "
    "multivariate information. arXiv:1004.2515.",
    "FER2013": "Goodfellow, I. J., et al. (2013). Challenges in representation learning: a report "
    "on three machine learning contests. ICONIP 2013, LNCS 8228, 117–124.",
    "votes": "Barsoum, E., Zhang, C., Canton Ferrer, C., & Zhang, Z. (2016). Training deep "
    "networks for facial expression recognition with crowd-sourced label distribution. ICMI, "
    "279–283.",
    "bootstrap": "Efron, B., & Tibshirani, R. J. (1993). An Introduction to the Bootstrap. Chapman "
    "& Hall.",
    "expanded": "Hesterberg, T. C. (2015). What teachers should know about the bootstrap: "
    "Resampling in the undergraduate statistics curriculum. The American Statistician, 69, "
    "371–386.",
    "clusters": "Field, C. A., & Welsh, A. H. (2007). Bootstrapping clustered data. Journal of the "
    "Royal Statistical Society B, 69, 369–390.",
    "pigeonhole": "Owen, A. B. (2007). The pigeonhole bootstrap. Annals of Applied Statistics, 1, "
    "386–411.",
    "small samples": "Rao, J. N. K., & Wu, C. F. J. (1988). Resampling inference with complex "
    "survey data. Journal of the American Statistical Association, 83, 231–241.",
    "degrees of freedom": "Satterthwaite, F. E. (1946). An approximate distribution of estimates "
    "of variance components. Biometrics Bulletin, 2, 110–114.",
    "Holm": "Holm, S. (1979). A simple sequentially rejective multiple test procedure. "
    "Scandinavian Journal of Statistics, 6, 65–70.",
    "TOST": "Schuirmann, D. J. (1987). A comparison of the two one-sided tests procedure and the "
    "power approach for assessing the equivalence of average bioavailability. Journal of "
    "Pharmacokinetics and Biopharmaceutics, 15, 657–680.",
    "McNemar": "McNemar, Q. (1947). Note on the sampling error of the difference between "
    "correlated proportions or percentages. Psychometrika, 12, 153–157.",
    "Cochran": "Cochran, W. G. (1950). The comparison of percentages in matched samples. "
    "Biometrika, 37, 256–266.",
    "temperature": "Guo, C., Pleiss, G., Sun, Y., & Weinberger, K. Q. (2017). On calibration of "
    "modern neural networks. ICML.",
    "abstention": "Geifman, Y., & El-Yaniv, R. (2017). Selective classification for deep neural "
    "networks. NeurIPS.",
    "Shapley": "Shapley, L. S. (1953). A value for n-person games. In Contributions to the Theory "
    "of Games II, 307–317. Princeton University Press.",
    "SHAP": "Lundberg, S. M., & Lee, S.-I. (2017). A unified approach to interpreting model "
    "predictions. NeurIPS.",
    "power": "Bloom, H. S. (1995). Minimum detectable effects: a simple way to report the "
    "statistical power of experimental designs. Evaluation Review, 19, 547–556.",
    "SAGE": "Covert, I., Lundberg, S. M., & Lee, S.-I. (2020). Understanding global feature "
    "contributions with additive importance measures. NeurIPS.",
}


def methods_text(
    predictions: Predictions,
    *,
    protocol: str,
    options: StatisticsOptions,
    settings: Config | None = None,
    images: Images | None = None,
    environment: Mapping[str, Any] | None = None,
    parts: Sequence[str] = (),
    asked: Sequence[str] = (),
) -> list[str]:
    """Return the paragraphs Data, Networks, Conditions, Statistics and Software.

    `parts` names what else was computed: `pairs` (all of them), `regions`, `information`,
    `calibration`, `shifts`, `sides`; `votes` that labels are those of FER+'s voters, `few groups`
    that some scores have no interval. `asked` are the kinds of planned comparisons that were made.
    """
    return [
        _data(predictions, images, protocol) + _VOTES * ("votes" in parts),
        _networks(predictions, settings),
        _conditions(predictions),
        _statistics(predictions, options, parts, asked),
        _software(settings, environment or {}),
    ]


def references(
    predictions: Predictions, parts: Sequence[str] = (), asked: Sequence[str] = ()
) -> list[str]:
    """Return what the paragraphs cite, in the order of names; options as of `methods_text`."""
    used = ["bootstrap", "expanded"]
    if "group" not in predictions.unknown:
        used.append("clusters")
    if asked:
        used += ["Holm", "TOST"]
    if "pairs" in parts:
        used += ["McNemar", "Cochran"]
    if set(predictions.table["dataset"].unique()) & {"fer2013"}:
        used.append("FER2013")
    if Trainings.of(predictions.names, "name").repeated:
        used += ["pigeonhole", "small samples", "degrees of freedom"]
    if "votes" in parts:
        used.append("votes")
    if "calibration" in parts:
        used += ["temperature", "abstention"]
    if "information" in parts:
        used += ["V-information", "pointwise", "decomposition"]
    if "sides" in parts:
        used.append("power")
    if "regions" in parts:
        used += ["Shapley", "SHAP", "SAGE"]
    return sorted(_REFERENCES[one] for one in used)


def _data(predictions: Predictions, images: Images | None, protocol: str) -> str:
    datasets = list(predictions.table["dataset"].unique())
    copy = copy_word(predictions.facts, images)
    named = {"fer2013": "FER2013 (Goodfellow et al., 2013)", "phantom": "rendered faces"}
    names = joined(named.get(str(one), str(one)) for one in datasets)
    once = predictions.table.drop_duplicates("image")
    table = once if images is None else images.table
    counts = table["split"].value_counts()
    sizes = joined(f"{int(counts[one]):,} {_NAMES[one]}" for one in _SPLITS if one in counts.index)
    if images is None:
        said = f"Data. The networks were scored on {names}: {sizes} images."
    else:
        side = images.pixels.shape[1]
        said = (
            f"Data. We used {names}: {len(table):,} grey images of {side} × {side} pixels, each "
            f"with one of seven labels; {sizes} images."
        )
        sizes_of = table["group"].value_counts()
        several = sizes_of[sizes_of > 1]
        grouped = ["images of one person"] if "person" in table else []
        grouped += ["exact copies", *(["near duplicates"] if copy == "near duplicate" else [])]
        alike = joined(grouped)
        said += (
            f" {alike[0].upper()}{alike[1:]} form one group ({len(several):,} groups of two or "
            f"more, {int(several.sum()):,} images)"
        )
        said += "." if copy == "near duplicate" else "; near duplicates weren't looked for."
    scored = once[once["split"].isin(metrics.PROTOCOLS[protocol])]
    leaked = int(scored["leaked"].astype(bool).sum())
    where = "test images" if protocol == "standard" else "validation and test images together"
    said += f" Scores are of the {len(scored):,} {where}"
    if leaked:
        said += (
            f"; {leaked:,} of them have {with_article(copy)} among the training or validation "
            "images, and the scores without these are reported too"
        )
    return said + "."


def _networks(predictions: Predictions, settings: Config | None) -> str:
    names = predictions.names
    known = ordered(names["name"])
    trainings = Trainings.of(names, "name")
    seeds = sorted(int(one) for one in names["seed"].unique())
    specialists = [one for one in known if one.partition("@")[0] in CONDITIONS and one != "full"]
    others = [one for one in known if one not in ("full", "longer", "any", *specialists)]
    said = "Networks."
    if settings is not None:
        model = settings.model
        start = "ImageNet weights" if model.pretrained or model.weights else "random weights"
        said += f" The architecture was {model.architecture}, starting from {start}."
    parts = []
    if "full" in known:
        parts.append("a baseline trained on whole faces")
    if "any" in known:
        parts.append("a generalist trained on hidden and whole faces")
    if specialists:
        alike = " and one for whole faces, trained alike" if "longer" in known else ""
        parts.append(f"specialists for {joined(specialists)} hidden{alike}")
    if others:
        parts.append(f"{joined(others)}, named by their makers")
    if parts:
        one = len(known) == 1
        said += f" There {'was' if one else 'were'} {joined(parts)}"
        if settings is not None and specialists:
            source = {"full": "baseline", "any": "generalist"}[settings.finetune_from]
            said += f", the latter fine-tuned from the {source}"
        said += "."
    listed = joined(map(str, seeds))
    averaged = averages(predictions)
    said += "".join(f" {one}" for one in averaged)
    said += (
        " What each saw in training and its seed are not recorded for all of them."
        if predictions.missing
        else ""
        if len(averaged) == len(known)
        else f" Each was trained once per seed ({len(seeds)} seeds: {listed})."
        if trainings.least == len(seeds) > 1
        else f" They were trained {trainings} times each (seeds {listed})."
        if trainings.repeated
        else f" Each was trained once (seed{'s' * (len(seeds) > 1)} {listed})."
    )
    if settings is not None:
        said += _trainings(known, settings)
    described = predictions.models
    flips = {str(one.get("model")): one.get("flips") for one in described}
    used = {flips.get(str(model)) for model in names["model"]}
    if used == {False}:
        said += " Horizontal flips were not used in training."
    elif used == {True}:
        said += " Horizontal flips were used in training."
    elif used == {True, False}:
        said += " Horizontal flips were used in training some of them."
    else:
        said += " Whether horizontal flips were used is not recorded for all of them."
    return said + ("" if settings is None else _views(settings))


def _views(settings: Config) -> str:
    """Return the sentence on what of a picture was averaged; "" where it was read once."""
    flip, crop = settings.evaluate.flip, settings.evaluate.crop_px
    if crop:
        views = f"five crops of {crop} pixels, enlarged" + (", and of their mirror images" * flip)
    else:
        views = "the picture and of its mirror image" * flip
    return f" Probabilities are means over what a network made of {views}." if views else ""


def _trainings(known: Sequence[str], settings: Config) -> str:
    kinds = {
        "baseline": "full" if "full" in known else "",
        "generalist": "any" if "any" in known else "",
        "specialists": next((one for one in known if one not in ("full", "any")), ""),
    }
    parts = []
    selection: set[str] = set()
    for kind, name in kinds.items():
        if name:
            recipe: Recipe = settings.recipe(name, fine_tuned=name != "full")
            train = recipe.train
            selection.add(train.select)
            parts.append(
                f"{kind}: {train.epochs} epoch{'s' * (train.epochs != 1)}, batches of "
                f"{train.batch_size}, {train.optimizer}, learning rate {train.learning_rate:g} "
                f"({train.schedule}){_taught(recipe)}"
            )
    if not parts:
        return ""
    kept = ""
    if len(selection) == 1:
        which = {"best": "epoch with the best validation accuracy", "last": "last epoch"}
        kept = f" The {which[selection.pop()]} was kept."
    return f" Training: {'; '.join(parts)}.{kept} No test image served training or selection."


def _taught(recipe: Recipe) -> str:
    """Return what a network learnt from besides each picture's label, with its weight."""
    train, distill = recipe.train, recipe.distill
    said = []
    if train.soft_labels:
        own = f" and the data set's own label as {train.own_label_votes:g} more"
        said.append(f"learning the shares of FER+'s votes{own if train.own_label_votes else ''}")
    if train.class_weights == "balanced":
        said.append("classes weighted by the inverse of their shares")
    weights = {
        "probabilities": distill.logits,
        "probabilities for whole faces": distill.clean_logits,
        "features": distill.features,
    }
    taught = [f"{name} ({weight:g})" for name, weight in weights.items() if weight]
    if taught:
        teacher = _TEACHERS.get(distill.teacher, "another network")
        said.append(f"taught by {teacher}, weights: {joined(taught)}")
    if distill.clean:
        said.append(f"each hidden face beside the whole one (weight {distill.clean:g})")
    return "".join(f", {one}" for one in said)


def _conditions(predictions: Predictions) -> str:
    table = predictions.table
    keys = ordered(str(one) for one in table["condition"].unique())
    hidden = [one for one in keys if one != "full"]
    fills = sorted({one.partition("@")[2] or "black" for one in hidden})
    said = "Conditions. Each network was tested on whole faces" if "full" in keys else "Conditions."
    if "full" in keys:
        said += " and with parts hidden" if hidden else ""
        said += "."
    # Of what others did with their pictures the table says no more than a condition's name.
    is_ours = "unknown" not in predictions.facts
    if hidden:
        filled = f"; filled with {joined(fills)}" if is_ours else ""
        said += (
            f" Hidden (in image sides, the viewer's left and right): {', '.join(hidden)}{filled}."
        )
    lines = own_lines(table) if hidden else ""
    said += f" {lines}" if lines else ""
    return said + (" All networks saw the same pixels." if is_ours else "")


def _statistics(
    predictions: Predictions,
    options: StatisticsOptions,
    parts: Sequence[str],
    asked: Sequence[str],
) -> str:
    trainings = Trainings.of(predictions.names, "name")
    level = f"{100 * options.level:g} %"
    groups = "" if "group" in predictions.unknown else " (Field & Welsh, 2007)"
    said = (
        "Statistics. Accuracy, macro F1, weighted F1 and the class-weighted area under the ROC "
        f"curve are reported with {level} percentile intervals from {options.draws:,} bootstrap "
        f"draws (Efron & Tibshirani, 1993; expanded after Hesterberg, 2015; random seed "
        f"{options.seed}) of {resampled(predictions)}{groups}, the same draws "
        "for every network and condition, so that differences are paired."
    )
    units = "images" if "group" in predictions.unknown else "groups"
    if trainings.repeated:
        said += (
            f" Scores are means over {trainings} seeds. Intervals of single scores are conditional "
            f"on these seeds; for differences {units} and seeds were resampled, crossed (Owen, "
            "2007), with one seed fewer than there are in each draw (Rao & Wu, 1988), and "
            "intervals and p values are those of a t test with Satterthwaite's (1946) degrees of "
            "freedom."
        )
    else:
        tested = (
            " p values of differences are those of a t test with the standard deviation of the "
            "draws."
        )
        once = " Each network was trained once, so nothing is said about other seeds."
        said += tested if asked else ""
        said += "" if predictions.missing or averages(predictions) else once
    if asked:
        known = list(predictions.names["name"])
        base = "the baseline" if "full" in known else f"those of {known[0]}"
        families = "; ".join(words for kind, words in _FAMILIES.items() if kind in asked)
        said += (
            " p values were corrected for multiple testing within each family of comparisons "
            f"(Holm, 1979): {families.format(base=base)}. A difference "
            "is called one if the corrected p is below .05 and the interval leaves 0 out; two "
            f"conditions are called equal to within {100 * options.margin:g} points if two "
            "one-sided tests reject a larger difference at .05 (Schuirmann, 1987)."
        )
    if "pairs" in parts:
        said += (
            " Every pair of networks and conditions was also tested by exact McNemar tests (1947) "
            "and Cochran's Q (1950)."
        )
    if "few groups" in parts:
        said += f" {FEW_GROUPS}"
    if "shifts" in parts:
        said += (
            " Shifts of answers were corrected over the 49 pairs of label and answer of each "
            "network and condition."
        )
    if "sides" in parts:
        said += (
            " Left against right was corrected over the seven emotions of each comparison; what "
            "four of five such studies would find is from the standard error (Bloom, 1995)."
        )
    if "calibration" in parts:
        said += (
            " Temperatures (Guo et al., 2017) were fitted on validation images by log loss for "
            "each network and condition and scored on test images, by the expected calibration "
            "error in 15 bins and by risk-coverage curves (Geifman & El-Yaniv, 2017)."
        )
    if "information" in parts:
        said += (
            " What a visible part tells is its V-information (Xu et al., 2020) in bits: the mean "
            "over images of log2 p(label | visible part) - log2 p(label) (Ethayarajh et al., "
            "2022), with the network's probabilities at a temperature fitted on validation images "
            "and the labels' shares among these; redundant information of two halves is the least "
            "that either tells of each emotion (Williams & Beer, 2010), shares are Shapley values "
            "in which nobody is worth 0; differences were corrected over both pairs of "
            "halves, the seven emotions and all together under each mix."
        )
    if "regions" in parts:
        said += (
            " The contribution of each quarter of the face is its exact Shapley value (Shapley, "
            "1953; Lundberg & Lee, 2017) in the game whose sixteen coalitions are the visible "
            "quarters and whose value is the mean probability of the label, that of nobody the "
            "labels' shares (an ideal model's mean answer: Covert et al., 2020); its intervals "
            "hold groups and seeds, as those of differences do; p was corrected over the two pairs "
            "of halves, the seven emotions of a pair, the interactions, the controls and whole "
            "faces of the seven emotions."
        )
    return said


def _software(settings: Config | None, environment: Mapping[str, Any]) -> str:
    said = f"Software. hemiface {__version__}"
    versions = environment.get("versions")
    if isinstance(versions, Mapping):
        shown = [
            f"{name} {versions[name]}"
            for name in ("python", "torch", "numpy", "scipy", "scikit-learn")
            if versions.get(name)
        ]
        said += f" ({', '.join(shown)})" if shown else ""
    if settings is not None:
        said += f", configuration {config_hash(settings)}"
    return said + "."
