"""People's answers in words: how many, how right, which half tells more, how like a network.

A direction is stated only where the interval leaves 0 out and the corrected test agrees, as
everywhere in the report.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from hemiface.report.figures.style import decimals, stimulus_label
from hemiface.report.words.texts import joined
from hemiface.report.words.verdicts import Verdict, verdict
from hemiface.stats.decomposition import PAIRS
from hemiface.stats.inference import FEWEST_FOR_PERCENTILES, NO_VARIATION
from hemiface.stats.people.trials import PEOPLE, Trials
from hemiface.stats.planned import shown_conditions

__all__ = ["agreement_words", "half_words", "hit_words", "likeness_words", "methods", "size_words"]

_ALL = "all"


def size_words(trials: Trials, outside: Sequence[str]) -> list[str]:
    """Say who answered what, and what became of answers that are no emotion."""
    table = trials.table
    first = (
        f"{_counted(trials.participant_count, 'participant')} gave "
        f"{_counted(len(table), 'answer that counts', 'answers that count')} to "
        f"{_counted(table['stimulus'].nunique(), 'stimulus', 'stimuli')} of "
        f"{_counted(trials.face_count, 'face')}."
    )
    few = []
    if trials.units < 2:
        what = "participant" if trials.participant_count < 2 else "face"
        few = [f"There is a single {what}: nothing can be said about others, so no interval is."]
    elif trials.units < 10:
        what = "participants" if trials.participant_count == trials.units else "faces"
        few = [
            f"{trials.units} {what} are few: intervals are wide, and what isn't found may still be "
            "there."
        ]
    return [first, *few, *outside]


def hit_words(sensitivity: pd.DataFrame) -> list[str]:
    """Say which conditions change how often people are right, apart from what they answer."""
    rows = sensitivity[(sensitivity["who"] == PEOPLE) & (sensitivity["emotion"] == _ALL)]
    unbiased = _by(rows[rows["measure"] == "unbiased_hit_rate"], "condition")
    compared = {key: row for key, row in unbiased.items() if row["reference"]}
    changed, untested = [], []
    for key, row in compared.items():
        found, reference = _change(row), str(row["reference"])
        word = "more" if found.value > 0 else "less"
        beside = f"{_points(found)} {word} than with {stimulus_label(reference)}"
        said = f"with {stimulus_label(key)} {beside}"
        if found.sign:
            changed.append(said)
        elif abs(found.value) > 0 and _never_vary(row, unbiased.get(reference)):
            untested.append(said)
    sentences = [f"Unbiased hit rates, in points: {joined(changed)}."] if changed else []
    if untested:
        sentences.append(
            "Unbiased hit rates, in points, the same in every draw and so without a test: "
            f"{joined(untested)}."
        )
    if not changed and len(compared) > len(untested):
        which = "No other condition's" if untested else "No condition's"
        sentences.append(f"{which} unbiased hit rate surely differs from its reference.")
    return sentences


def half_words(shapley: pd.DataFrame, who: str = PEOPLE) -> list[str]:
    """Say which half of a pair tells more, all emotions alike."""
    chosen = shapley["model"].eq(who) & shapley["mix"].eq("balanced") & shapley["emotion"].eq(_ALL)
    # Of several fills the first, as a rule black, which the figure shows; the table has all.
    own = shapley[chosen]
    rows = _by(own[own["fill"] == own["fill"].iloc[0]] if len(own) else own, "region")
    sentences = []
    for one, other in PAIRS:
        if f"{one} - {other}" not in rows:
            continue
        # A single participant's answers can be predicted from nobody else's.
        if not np.isfinite([float(rows[half]["bits"]) for half in (one, other)]).all():
            continue
        first, second = (_bits(rows[half]) for half in (one, other))
        found = verdict(rows[f"{one} - {other}"], "bits")
        more = {1: f"the {one} half tells more", -1: f"the {other} half tells more"}
        sure = more.get(found.sign, "neither surely tells more")
        sentences.append(
            f"Of what {_of(who)} tell, {first} bits are due to the {one} half and {second} to the "
            f"{other} half: {sure}."
        )
    return sentences


def agreement_words(agreement: pd.DataFrame) -> list[str]:
    """Say how often each network answers as people do, beside two people and beyond chance.

    Of whole faces and halves, where there are some, else of the first conditions.
    """
    sentences = []
    for who, own in agreement[agreement["emotion"] == _ALL].groupby("who", sort=False):
        for condition in shown_conditions(list(own["condition"])):
            rows = _by(own[own["condition"] == condition], "measure")
            two = (
                f"two people agree in {_percent(rows['people'])} %"
                if np.isfinite(rows["people"]["value"])
                else "no stimulus has answers of two people"
            )
            sentences.append(
                f"{stimulus_label(condition)}: {who} gives {_percent(rows['agreement'])} % of "
                f"people's answers; {two}, and answers as frequent but independent of the face "
                f"would agree in {_percent(rows['expected'])} %. Beyond that it agrees by "
                f"{_number(rows['beyond'])} (kappa)."
            )
    return sentences


def likeness_words(likeness: pd.DataFrame) -> list[str]:
    """Say how alike people's and the networks' maps are, and what a mere centre would be."""
    sentences = []
    rows = likeness[likeness["emotion"] == _ALL]
    for (who, condition), own in rows.groupby(["who", "condition"], sort=False):
        known = _by(own, "measure")
        p = float(known["torus_p"]["value"])
        shifted = f"{p:.0%} of the shifted maps agree as well" if np.isfinite(p) else "no p"
        sentences.append(
            f"{stimulus_label(str(condition))}: people's map and that of {who} have a rank "
            f"correlation of {_number(known['correlation'])}; nearness to the middle alone has "
            f"{_number(known['people_centre'])} with people's and "
            f"{_number(known['centre'])} with the network's; among tiles equally far from it "
            f"{_number(known['within_distance'])} is left ({shifted})."
        )
    return sentences


def methods(trials: Trials, networks: Sequence[str], settings: Mapping[str, Any]) -> list[str]:
    """Return how the numbers were made, ready for a paper."""
    options = trials.options
    made = f" (seed {settings['seed']})" if "seed" in settings else ""
    found = [
        f"Stimuli were made with hemiface occlude{made}. Hit rates, unbiased hit rates (Wagner "
        "1993), d' and criterion (with rates (k + .5) / (n + 1), Hautus 1995) are given for each "
        "emotion; their means weigh each emotion the same.",
        "What answers tell about the emotion is V-information (Xu et al. 2020) of the answer, each "
        "trial predicted from the other participants' answers to other faces; halves share it by "
        "their Shapley values, nothing visible being worth 0.",
        f"Intervals ({100 * options.level:g}%) are expanded percentile intervals of "
        f"{options.draws:,} bootstrap draws in which participants and faces were resampled "
        "independently and crossed (Owen 2007), drawn in to the two-way clustered variance "
        "(Cameron, Gelbach & Miller 2011), "
        f"where fewer than {FEWEST_FOR_PERCENTILES} participants or faces bear on a number those "
        "of t tests; p are of t tests with the draws' standard error and as many degrees of "
        "freedom as the smaller of both samples has less one, of one emotion the smaller of those "
        "that were shown it and those that show it, counted as of like size (Kish 1965); they are "
        "corrected by Holm's method over the seven emotions, and of means over the conditions.",
    ]
    if networks:
        found.append(
            f"{joined(networks)} answered the very pictures that people saw, as upright face crops "
            "of 48 x 48 pixels, and is scored on the very same trials."
        )
        if trials.table["kind"].eq("composite").any():
            found.append(
                "Of a composite a network gives a single answer, whichever half was to be judged: "
                "it is scored as the answer about either half."
            )
    return found


def _counted(count: int, one: str, several: str = "") -> str:
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"


def _by(rows: pd.DataFrame, column: str) -> dict[str, Mapping[Any, Any]]:
    """Return the rows of a table by one of its columns."""
    return {str(row[column]): row for row in rows.to_dict("records")}


def _change(row: Mapping[Any, Any]) -> Verdict:
    ends = {"difference": "change", "low": "change_low", "high": "change_high", "p_holm": "p_holm"}
    return verdict({name: row[column] for name, column in ends.items()})


def _never_vary(*rows: Mapping[Any, Any] | None) -> bool:
    """Return whether levels are the same in every draw, and so is what they differ by."""
    return all(row is not None and row["reason"] == NO_VARIATION for row in rows)


def _points(found: Verdict) -> str:
    """Return a change without its sign, in points with its interval."""
    ends = (found.low, found.high) if found.value >= 0 else (-found.high, -found.low)
    value, low, high = (100 * one for one in (abs(found.value), *ends))
    return _with_ends(value, low, high, digits=decimals(low, high, least=1))


def _percent(row: Mapping[Any, Any]) -> str:
    return _with_ends(*(100 * float(row[name]) for name in ("value", "low", "high")), digits=1)


def _number(row: Mapping[Any, Any]) -> str:
    return _with_ends(*(float(row[name]) for name in ("value", "low", "high")), digits=2)


def _bits(row: Mapping[Any, Any]) -> str:
    return _with_ends(*(float(row[name]) for name in ("bits", "low", "high")), digits=2)


def _with_ends(value: float, low: float, high: float, *, digits: int) -> str:
    """Return a number with its interval, where there is one."""
    if not np.isfinite(value):
        return "–"
    ends = f" [{low:.{digits}f}, {high:.{digits}f}]" if np.isfinite([low, high]).all() else ""
    return f"{value:.{digits}f}{ends}".replace("-", "−")


def _of(who: str) -> str:
    return "people's answers" if who == PEOPLE else f"the answers of {who}"
