"""Result tables -> sentences: what the numbers say, and never more than they say.

Whether two accuracies differ is never read off their intervals: `verdicts` says it of every pair.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from hemiface.report.figures.scores import headline
from hemiface.report.figures.style import is_condition, ordered
from hemiface.report.words.texts import Trainings, joined
from hemiface.report.words.verdicts import Cell, Verdict, Verdicts
from hemiface.stats.planned import shown_conditions
from hemiface.stats.sample import whole_reader

__all__ = ["Score", "answer", "further", "percent", "region", "warnings"]


@dataclass(frozen=True)
class Score:
    """A value with the ends of its interval; NaN where undefined."""

    value: float
    low: float
    high: float
    n: int = 0

    def __str__(self) -> str:
        """Per cent, with the interval where there is one."""
        if math.isnan(self.low) or math.isnan(self.high):
            return percent(self.value)
        return f"{percent(self.value)} [{100 * self.low:.1f}, {100 * self.high:.1f}]"


def percent(share: float) -> str:
    """Return a share in per cent with one decimal and a space that doesn't break the line.

    >>> percent(0.2449).split(), percent(float("nan"))
    (['24.5', '%'], 'undefined')
    """
    return "undefined" if math.isnan(share) else f"{100 * share:.1f}\N{NO-BREAK SPACE}%"


def region(condition: str) -> str:
    """Return the hidden region in words, as the object of "hiding".

    >>> region("upper"), region("only-upper-left"), region("diagonal"), region("left@mean")
    ... # doctest: +NORMALIZE_WHITESPACE
    ('the upper half', 'all but the upper-left quarter',
     'the upper-left and lower-right quarters', 'the left half (fill: mean)')
    >>> region("random-50")
    'a random 50 % of the face'
    """
    name, _, fill = condition.partition("@")
    if name in ("upper", "lower", "left", "right"):
        words = f"the {name} half"
    elif name in ("diagonal", "antidiagonal"):
        sides = ("left", "right") if name == "diagonal" else ("right", "left")
        words = f"the upper-{sides[0]} and lower-{sides[1]} quarters"
    elif name.startswith("only-"):
        words = f"all but the {name.removeprefix('only-')} quarter"
    elif name.startswith("random-"):
        words = f"a random {name.removeprefix('random-')} % of the face"
    else:
        words = {"full": "nothing", "none": "everything"}.get(name, f"the {name} quarter")
    return f"{words} (fill: {fill})" if fill else words


def _is_control(name: str) -> bool:
    """Return whether other parts of each face are hidden: a control, no part of a face."""
    return name.startswith("random-")


def answer(
    matrix: pd.DataFrame,
    verdicts: Verdicts,
    *,
    protocol: str,
    most_frequent: tuple[str, float],
    rendered: bool = False,
    level: float = 0.95,
) -> dict[str, list[str]]:
    """Return what a report says first, from accuracies under `protocol`: sentences by subject.

    Subjects: whole, robustness, trained, seeds, rendered. `matrix` has the columns of matrix.csv,
    `verdicts` know which accuracies differ; `most_frequent` is the commonest label of the scored
    images and its share; `rendered` says the faces are drawn; `level` is what intervals cover.
    """
    scores = _scores(matrix, protocol)
    base = _base(scores)
    drawn = (
        "The faces are rendered: these numbers show that the method works, and say nothing about "
        "photographs or people."
    )
    return {
        "whole": _baseline(scores, base, most_frequent),
        "robustness": _robustness(scores, base, verdicts, _not_averaged(matrix, base)),
        "trained": _specialists(scores, verdicts) if base == "full" else [],
        "seeds": [_seeds(matrix, level)],
        "rendered": [drawn] if rendered else [],
    }


def further(
    matrix: pd.DataFrame,
    *,
    protocol: str,
    comparisons: pd.DataFrame | None = None,
    copy: str = "a near duplicate",
) -> dict[str, list[str]]:
    """Return what a report says besides: sentences by subject (generalist, leak, original).

    `comparisons` has the columns of comparisons.csv; `copy` is what makes an image leaked.
    A subject without sentences is empty.
    """
    scores = _scores(matrix, protocol)
    base = _base(scores)
    published = comparisons is not None and len(comparisons) > 0
    return {
        "generalist": _generalist(scores) if base == "full" else [],
        "leak": _leak(matrix, base, copy),
        "original": _original(comparisons) if published and comparisons is not None else [],
    }


def warnings(described: Sequence[Mapping[str, Any]], models: Iterable[str]) -> list[str]:
    """Return what has to be said about left and right, given what is known of the model IDs.

    `described` is `info["models"]` of a Predictions table; `models` are the IDs in it.
    """
    flips = {str(one.get("model")): one.get("flips") for one in described}
    flipped = [model for model in models if flips.get(model) is True]
    unknown = [model for model in models if flips.get(model) is None]
    sentences = []
    if flipped:
        sentences.append(
            f"Trained with horizontal flips: {joined(flipped)}. A flipped face with its left half "
            "hidden is a face with its right half hidden, so differences between left and right "
            "of these models are not about laterality."
        )
    if unknown:
        sentences.append(
            "Whether horizontal flips were used in training is not recorded for "
            f"{joined(unknown)}; do not read differences between left and right of these models "
            "as laterality."
        )
    return sentences


def _scores(matrix: pd.DataFrame, protocol: str) -> dict[tuple[str, str], Score]:
    """Return the accuracy of each (model, condition)."""
    rows = headline(matrix, protocol, "accuracy")
    columns = zip(rows.index, *(rows[name] for name in ("value", "low", "high", "n")), strict=True)
    return {
        (str(model), str(hidden)): Score(float(value), float(low), float(high), int(n))
        for (model, hidden), value, low, high, n in columns
    }


def _trained(model: str) -> str:
    known = {
        "full": "the model trained on whole faces",
        "longer": "the model trained longer on whole faces",
        "any": "the model trained on every condition",
    }
    if model in known:
        return known[model]
    hides = is_condition(model)
    return f"the model trained with {region(model)} hidden" if hides else f"the model {model}"


def _base(scores: Mapping[tuple[str, str], Score]) -> str:
    """Return the model whose robustness is told: the baseline, else the first."""
    models = ordered(model for model, _ in scores)
    return "full" if "full" in models else models[0]


def _baseline(
    scores: Mapping[tuple[str, str], Score], base: str, most_frequent: tuple[str, float]
) -> list[str]:
    label, share = most_frequent
    floor = f"always answering “{label}”, the most frequent label, would give {percent(share)}"
    trained = _trained(base)
    trained = trained[0].upper() + trained[1:]
    whole = scores.get((base, "full"))
    if whole is None or math.isnan(whole.value):
        return [f"{trained} was not scored on whole faces; {floor}."]
    return [f"{trained} labels {whole} of {whole.n:,} whole test faces correctly; {floor}."]


def _not_averaged(matrix: pd.DataFrame, model: str) -> set[str]:
    """Return the conditions of a model that one of its seeds lacks, so that they have no mean."""
    rows = matrix[(matrix["model"] == model) & (matrix["metric"] == "accuracy")]
    means = rows["seed"].astype(str) == "mean"
    if not means.any():
        return set()
    return set(rows.loc[~means, "condition"]) - set(rows.loc[means, "condition"])


def _robustness(
    scores: Mapping[tuple[str, str], Score],
    base: str,
    verdicts: Verdicts,
    not_averaged: Collection[str] = (),
) -> list[str]:
    met = ordered(c for model, c in scores if model == base)
    # Those of the first table: among dozens of conditions a corrected test finds next to nothing.
    chosen = set(shown_conditions(met)) - {"full", "none"}
    hidden = _defined(
        {
            c: s
            for (model, c), s in scores.items()
            if model == base and c in chosen and not _is_control(c)
        }
    )
    if not hidden:
        return []
    lowest = _lowest(hidden)
    worst, whose = lowest[0], _trained(base)
    if 1 < len(hidden) == len(lowest):
        same = percent(hidden[worst].value)
        return [f"The accuracy of {whose} is {same} whichever is hidden: {_regions(hidden)}."]
    cells = {name: (base, name) for name in hidden if name not in lowest}
    tied = _tied(cells, (base, worst), verdicts)
    # The lowest of all may be among what a seed lacks.
    others = set(not_averaged).intersection(shown_conditions(ordered([*met, *not_averaged])))
    of = ", of what every seed has," if others else ""
    where = f"{region(worst)} hidden ({hidden[worst]})"
    if len(lowest) > 1:
        where = f"{joined(map(region, lowest))} hidden ({percent(hidden[worst].value)} each)"
    if len(hidden) == 1:
        sentences = [f"With {region(worst)} hidden {whose} reaches {hidden[worst]}."]
    elif tied:
        sentences = [
            f"The accuracy of {whose} is{of} lowest with {where}; no "
            f"difference from that was found with {_with_scores(hidden, tied)} hidden."
        ]
    else:
        sentences = [f"The accuracy of {whose} is{of} lowest with {where}."]
    for one, other in (("upper", "lower"), ("left", "right")):
        # What the first sentence already settles is not repeated.
        if {one, other} <= set(hidden) and not {one, other} & set(lowest):
            found = verdicts.of((base, one), (base, other))
            sentences += [_pair(hidden, one, other, found)] if found else []
    return sentences


def _lowest(scores: Mapping[str, Score]) -> list[str]:
    """Return the names of the lowest score, several where they are equal."""
    least = min(one.value for one in scores.values())
    # Means over seeds can differ by the order of a sum.
    return [name for name, one in scores.items() if math.isclose(one.value, least, abs_tol=1e-9)]


def _tied(cells: Mapping[str, Cell], worst: Cell, verdicts: Verdicts) -> list[str]:
    """Return what was compared with the worst and not found to be better."""
    found = {name: verdicts.of(cell, worst) for name, cell in cells.items()}
    return [name for name, one in found.items() if one and one.sign <= 0]


def _pair(hidden: Mapping[str, Score], one: str, other: str, found: Verdict) -> str:
    """Say which of two halves costs more; `found` is about the first hidden minus the second."""
    if not found.sign:
        both = f"iding {region(one)} ({hidden[one]}) and hiding {region(other)} ({hidden[other]})"
        if found.alike:
            return f"H{both} cost it the same to within {found.within} (equivalence test)."
        return f"Between h{both} no difference was found."
    first, second = (other, one) if found.sign > 0 else (one, other)
    return (
        f"Hiding {region(first)} ({hidden[first]}) costs it more than hiding "
        f"{region(second)} ({hidden[second]})."
    )


def _specialists(scores: Mapping[tuple[str, str], Score], verdicts: Verdicts) -> list[str]:
    """Say what training on a condition gains there, and where least remains to be read.

    What gains could come of going on to train at all; where `longer` is there, which went on with
    whole faces, it is what they are compared with.
    """
    whole = whole_reader(model for model, _ in scores)
    own = _defined({c: s for (model, c), s in scores.items() if model == c and c != "full"})
    gains: dict[int, list[str]] = {1: [], -1: [], 0: []}
    for name, score in own.items():
        base = scores.get((whole, name))
        found = verdicts.of((name, name), (whole, name))
        if base is None or math.isnan(base.value) or not found:
            continue
        gains[found.sign].append(
            f"{percent(score.value)} instead of {percent(base.value)} with {region(name)} hidden"
        )
    sentences = []
    if gains[1]:
        beside = " (beside going on with whole faces for as long)" if whole == "longer" else ""
        sentences.append(
            f"Training on the hidden condition itself raises accuracy there{beside}: "
            f"{joined(gains[1])}."
        )
    if gains[-1]:
        sentences.append(f"Such training lowers accuracy there: {joined(gains[-1])}.")
    if gains[0]:
        sentences.append(f"No difference by such training was found: {joined(gains[0])}.")
    lowest = _lowest(own) if len(own) > 1 else []
    if lowest and len(lowest) == len(own):
        same = percent(next(iter(own.values())).value)
        sentences.append(f"Each of the models trained for what is hidden reaches {same} there.")
    elif lowest:
        cells = {name: (name, name) for name in own if name not in lowest}
        tied = _tied(cells, (lowest[0], lowest[0]), verdicts)
        more = ""
        if tied:
            more = f"; no difference from that was found with {joined(map(region, tied))} hidden"
        sentences.append(
            "Among the models trained for what is hidden, accuracy is lowest with "
            f"{joined(map(region, lowest))} hidden{more}."
        )
    return sentences


def _generalist(scores: Mapping[tuple[str, str], Score]) -> list[str]:
    general = _defined(
        {c: s for (m, c), s in scores.items() if m == "any" and c != "none" and not _is_control(c)}
    )
    if not general:
        return []
    low, high = (f(general, key=lambda name: general[name].value) for f in (min, max))
    if percent(general[low].value) == percent(general[high].value):
        return [
            f"One model trained on every condition reaches {percent(general[low].value)} (with "
            f"{_regions(general)} hidden)."
        ]
    return [
        "One model trained on every condition reaches between "
        f"{percent(general[low].value)} (with {region(low)} hidden) and "
        f"{percent(general[high].value)} (with {region(high)} hidden)."
    ]


def _leak(matrix: pd.DataFrame, base: str, copy: str) -> list[str]:
    if "leak-free" not in set(matrix["protocol"]):
        return []
    score = _scores(matrix, "leak-free").get((base, "full"))
    if score is None or math.isnan(score.value):
        return []
    return [
        f"On the {score.n:,} whole test faces without {copy} among the training and "
        f"validation images, {_trained(base)} reaches {score}."
    ]


def _original(comparisons: pd.DataFrame) -> list[str]:
    rows = comparisons[comparisons["metric"] == "accuracy"].dropna(subset=["ours", "low", "high"])
    if rows.empty:
        return []
    above = int((rows["low"] > rows["original"]).sum())
    below = int((rows["high"] < rows["original"]).sum())
    between = len(rows) - above - below
    return [
        f"Of the {len(rows)} accuracies that the original study published (its protocol), ours are "
        f"above with the whole interval in {above}, below in {below}; in {between} the published "
        "one lies within ours."
    ]


def _seeds(matrix: pd.DataFrame, level: float) -> str:
    trainings = Trainings.of(matrix, "model")
    rows = matrix[matrix["metric"] == "accuracy"]
    have = not len(rows) or rows["low"].notna().any()
    intervals = f"Brackets hold {100 * level:g} % intervals over test images"
    if not have:
        reasons = [one for one in dict.fromkeys(rows["reason"]) if isinstance(one, str) and one]
        intervals = f"No accuracy has an interval ({'; '.join(reasons)})"
    if trainings.repeated:
        return (
            f"{intervals}; scores are means over {trainings} trainings that differ in their seed. "
            "Whether two scores differ is asked over images and seeds, so that with few seeds even "
            "a large difference may not be found."
        )
    if not have:
        return f"{intervals}."
    return f"{intervals}; no model has a second seed, so they do not tell what another would give."


def _defined(scores: Mapping[str, Score]) -> dict[str, Score]:
    kept = {name: score for name, score in scores.items() if not math.isnan(score.value)}
    return {name: kept[name] for name in ordered(kept)}


def _regions(names: Iterable[str]) -> str:
    """Return hidden regions as alternatives."""
    *most, last = map(region, names)
    return f"{', '.join(most)} or {last}" if most else last


def _with_scores(scores: Mapping[str, Score], names: Sequence[str]) -> str:
    return joined(f"{region(name)} ({scores[name]})" for name in names)
