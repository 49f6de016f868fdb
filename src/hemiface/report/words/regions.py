"""Region importance in words and files: what `hemiface importance` writes, the report's section.

As everywhere in the report, two parts are said to differ only if the interval of their paired
difference leaves 0 out and its test does after Holm's correction. A family is what one question
asks: the two pairs of halves; a pair's seven emotions; the halves' interactions; the controls; what
whole faces of the seven emotions are worth.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from hemiface.occlusion.conditions import HALVES, QUADRANTS
from hemiface.report.figures import regions as drawn
from hemiface.report.figures.style import is_condition, model_label, ordered
from hemiface.report.words.scores import Score, percent
from hemiface.report.words.texts import joined, under_fill
from hemiface.report.words.verdicts import points
from hemiface.stats.importance import Importance
from hemiface.stats.importance.regions import BETWEEN
from hemiface.stats.significance import holm, stated_signs
from hemiface.tables import EMOTIONS

__all__ = [
    "half_table",
    "importance_figures",
    "left_out",
    "page_words",
    "sentences",
    "shown_models",
]

_ALL = "all"
_FUNCTION = "probability"
_MOST_MODELS = 6


@dataclass(frozen=True)
class _Share(Score):
    """A score with the p of "it is 0"."""

    p: float = math.nan


def importance_figures(regions: pd.DataFrame) -> dict[str, Figure]:
    """Return the figures of importance.csv by file name, for each of the `shown_models`."""
    found = {}
    for model in shown_models(regions):
        found[f"importance-quadrants-{model}"] = drawn.quadrant_map(regions, model=model)
        found[f"importance-halves-{model}"] = drawn.halves_plot(regions, model=model)
    return found


def shown_models(regions: pd.DataFrame) -> list[str]:
    """Return whom words and figures are about: the baseline (else the first), the generalist.

    Then others, _MOST_MODELS in all; beside the baseline no specialists, which are at home under
    one of the conditions alone. `regions` has a column `model`, as tiles.csv too.
    """
    first, *others = ordered(regions["model"])
    if first == "full":
        others = [name for name in others if name != "longer" and not is_condition(name)]
    return [first, *sorted(others, key=lambda name: name != "any")][:_MOST_MODELS]


def left_out(table: pd.DataFrame, file: str) -> list[str]:
    """Say of which models of a table, that is written as `file`, no words and figures are."""
    rest = [name for name in dict.fromkeys(table["model"]) if name not in shown_models(table)]
    if not rest:
        return []
    return [
        f"Neither words nor figures stand here of {joined(rest)}, which {file} has; a table of "
        "them alone gives theirs."
    ]


def half_table(regions: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of importance.csv about halves over all images: seeds' means, probability."""
    rows = regions[
        (regions["quantity"] == "shapley")
        & (regions["seed"] == "mean")
        & (regions["emotion"] == _ALL)
        & (regions["value_function"] == _FUNCTION)
        & ~regions["region"].isin(QUADRANTS)
    ]
    return rows[["model", "fill", "region", "value", "low", "high", "n"]].reset_index(drop=True)


def page_words(found: Importance, level: float = 0.95, *, in_bits: bool) -> list[str]:
    """Return the paragraphs of a page: of its generalist if there is one, else of all.

    `in_bits`: the page says elsewhere, in bits, which half tells more. It isn't said twice then, by
    two measures that weigh sure and unsure answers differently.
    """
    if not in_bits:
        shown = shown_models(found.regions)
        return sentences(found, level, ["any"] if "any" in shown else shown)
    return [
        "What each part of the face adds to the probability of the true emotion, in points "
        "(Shapley values; who sees nothing is worth how frequent the emotions are). Which half "
        "tells more is said above, in bits. The command hemiface importance says it in such "
        "points, which punish sure mistakes less.",
        *left_out(found.regions, "importance.csv"),
    ]


def sentences(
    found: Importance, level: float = 0.95, models: Sequence[str] | None = None
) -> list[str]:
    """Return a paragraph for each of the `shown_models`, about the true emotion's probability.

    Each is about the model's first fill; `level` is what the intervals cover. `models` names some
    of them, by default all.
    """
    wanted = shown_models(found.regions) if models is None else models
    said = [" ".join(_paragraph(found, model)) for model in wanted]
    said += left_out(found.regions, "importance.csv")
    brackets = (
        f"Brackets hold {100 * level:g} % intervals over test images, and over seeds where there "
        "are several; a"
    )
    said.append(
        f"Left and right are sides of the image. {brackets if '[' in ''.join(said) else 'A'} "
        "direction is stated only where the interval and the test after Holm's correction both "
        "support it."
    )
    return said


def _paragraph(found: Importance, model: str) -> list[str]:
    first = found.regions[found.regions["model"] == model].iloc[0]
    rows = _chosen(found.regions, first)
    shares = _scores(rows, "shapley")
    said = [_whole(rows, model), *_misled(rows)]
    totals = _signs({pair: shares[_ALL, " - ".join(pair)] for pair in BETWEEN})
    for pair in BETWEEN:
        said += _pair(shares, pair, totals[pair])
    said += _together(_chosen(found.interactions, first))
    said += _fills(found.fills, first)
    said += _controls(rows)
    return said


def _chosen(table: pd.DataFrame, first: "pd.Series[Any]") -> pd.DataFrame:
    """Return the rows of the first model and fill: the mean over seeds, the probability."""
    wanted = {"model": first["model"], "fill": first["fill"], "seed": "mean"}
    rows = table[table["value_function"] == _FUNCTION]
    for column, value in wanted.items():
        rows = rows[rows[column] == value]
    return rows


def _scores(rows: pd.DataFrame, quantity: str) -> dict[tuple[str, str], _Share]:
    """Return each (emotion, region) of a quantity."""
    return {
        (str(row["emotion"]), str(row["region"])): _Share(
            float(row["value"]),
            float(row["low"]),
            float(row["high"]),
            int(row["n"]),
            float(row["p"]),
        )
        for _, row in rows[rows["quantity"] == quantity].iterrows()
    }


def _points(score: Score) -> str:
    """Return a difference of probabilities in percentage points, with the interval if any."""
    return points(score.value, score.low, score.high)


def _signs(family: Mapping[Any, _Share]) -> dict[Any, int]:
    """Return 1 or -1 where a direction may be stated, else 0, of differences of one family."""
    adjusted = holm([one.p for one in family.values()])
    return {
        key: int(stated_signs(one.low, one.high, p))
        for (key, one), p in zip(family.items(), adjusted, strict=True)
    }


def _whole(rows: pd.DataFrame, model: str) -> str:
    ends, under = _scores(rows, "value"), under_fill(str(rows["fill"].iloc[0]))
    meaning = {
        "full": " It never met hidden parts in training: this is its robustness, in which what is "
        "missing and what is strange are mixed.",
        "any": " It met hidden parts in training: this is the information that it finds in what "
        "stays visible.",
    }
    return (
        f"The model {model_label(model)} gives the true emotion a mean probability of "
        f"{percent(ends[_ALL, 'full'].value)} when the whole face is visible; who sees nothing and "
        f"knows how frequent the emotions are gives it {percent(ends[_ALL, 'none'].value)}. The "
        f"difference is shared out among the parts of the face (Shapley values{under})."
        + meaning.get(model, "")
    )


def _misled(rows: pd.DataFrame) -> list[str]:
    """Say which emotions the model finds less in a face than who knows their frequency alone."""
    ends = _scores(rows, "value")
    family = {emotion: ends[emotion, "full - none"] for emotion in EMOTIONS}
    misled = [emotion for emotion, sign in _signs(family).items() if sign < 0]
    if not misled:
        return []
    named = joined(
        f"{one} ({percent(ends[one, 'full'].value)} beside {percent(ends[one, 'none'].value)})"
        for one in misled
    )
    return [
        f"It gives faces of {named} less probability than their frequency alone would: seeing them "
        "misleads it."
    ]


def _pair(shares: dict[tuple[str, str], _Share], pair: tuple[str, str], sign: int) -> list[str]:
    """Say which of two halves contributes more, over all images and for each emotion."""
    one, other = pair
    region = f"{one} - {other}"
    total = shares[_ALL, region]
    both = (
        f"{_points(shares[_ALL, one])} and {_points(shares[_ALL, other])}, a difference of "
        f"{_points(total)}"
    )
    signs = {1: (one, other), -1: (other, one)}
    if sign:
        more, less = signs[sign]
        said = [
            f"Over all images the {more} half contributes more than the {less} ({one} and "
            f"{other}: {both})."
        ]
    else:
        said = [
            f"Over all images no difference between the contributions of the {one} and the "
            f"{other} half was found ({both})."
        ]
    sorts: dict[int, list[str]] = {1: [], -1: [], 0: []}
    known = {one: shares[one, region] for one in EMOTIONS}
    known = {one: score for one, score in known.items() if not math.isnan(score.value)}
    for emotion, found in _signs(known).items():
        sorts[found].append(f"{emotion} ({_points(known[emotion])})")
    parts = [
        f"the {signs[sign][0]} half contributes more than the {signs[sign][1]} for "
        f"{joined(sorts[sign])}"
        for sign in (1, -1)
        if sorts[sign]
    ]
    if sorts[0]:
        parts.append(f"no difference was found for {joined(sorts[0])}")
    if parts:
        said.append(f"By emotion ({one} minus {other}), {'; '.join(parts)}.")
    return said


def _together(interactions: pd.DataFrame) -> list[str]:
    """Say whether the halves complete each other."""
    rows = interactions[interactions["index"] == "halves"].rename(
        columns={"index": "quantity", "regions": "region"}
    )
    scores = _scores(rows, "halves")
    said = []
    family = {pair: scores[_ALL, " x ".join(pair)] for pair in BETWEEN}
    for (one, other), sign in _signs(family).items():
        score = family[one, other]
        text = {
            1: "complete each other: together they give more than the sum of each alone",
            -1: "say partly the same: together they give less than the sum of each alone",
            0: "show no interaction that was found to differ from 0",
        }[sign]
        said.append(f"The {one} and the {other} half {text} ({_points(score)}).")
    return said


def _fills(fills: pd.DataFrame, first: "pd.Series[Any]") -> list[str]:
    """Say how far the answer depends on what hidden parts are filled with."""
    if fills.empty:
        return []
    rows = fills[
        (fills["model"] == first["model"])
        & (fills["seed"] == "mean")
        & (fills["value_function"] == _FUNCTION)
        & (fills["quantity"] == "shapley")
    ]
    if rows.empty:
        return []
    row = rows[(rows["emotion"] == _ALL) & (rows["region"] == "upper - lower")].iloc[0]
    ends = f"{100 * row['lowest']:+.1f} to {100 * row['highest']:+.1f}".replace("-", "−")
    halves = rows[rows["region"] == "upper - lower"]
    turned = halves[(halves["lowest"] < 0) & (halves["highest"] > 0) & (halves["emotion"] != _ALL)]
    text = (
        f"Over {int(row['fills'])} fills of the hidden part the difference between upper and lower "
        f"half runs from {ends} points"
    )
    if len(turned):
        text += (
            f"; it is above 0 with one fill and below with another for {joined(turned['emotion'])}"
        )
    return [f"{text}."]


def _controls(rows: pd.DataFrame) -> list[str]:
    """Say which half costs more, or less, than random tiles of the same area."""
    found = _scores(rows, "above_random")
    halves = {one: found[_ALL, one] for one in HALVES if (_ALL, one) in found}
    signs = _signs(halves)
    words = {
        1: "more than",
        -1: "less than",
        0: "neither more nor less, as far as was found, than",
    }
    parts = [
        f"hiding the {half} half costs {words[signs[half]]} that ({_points(score)})"
        for half, score in halves.items()
    ]
    if not parts:
        return []
    return [f"Beside half of the tiles hidden at random, {joined(parts)}."]
