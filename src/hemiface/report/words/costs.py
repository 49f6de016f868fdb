"""The halves in tables and words: robustness and available information, side by side, never mixed.

Everything here reads planned.csv (see `hemiface.stats.planned`) and says what `verdicts` allows.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from hemiface.occlusion.conditions import HALVES
from hemiface.report.figures.scores import headline
from hemiface.report.figures.style import ordered, row_heading
from hemiface.report.page_tables import Group, Row, Shown, Table
from hemiface.report.words.scores import percent, region
from hemiface.report.words.texts import Trainings, joined
from hemiface.report.words.verdicts import CONTRAST, Verdict, Verdicts, over_seeds, verdict
from hemiface.stats.planned import SIDES, shown_conditions

__all__ = ["half_words", "mark_table", "once", "summary_table"]

_READERS = {
    "robustness": (
        "Robustness",
        "the same network",
        "Robustness is what a network trained on whole faces makes of hidden ones: what is missing "
        "and what is merely strange to it are mixed.",
    ),
    "available information, specialists": (
        "Available information: specialists",
        "the network trained for that very condition",
        "Available information is what a network trained for the hidden part still reads from the "
        "visible one.",
    ),
    "available information, generalist": (
        "Available information: generalist",
        "the one network trained on every condition",
        "The generalist is asked the same of one network for all conditions.",
    ),
}
_WHOLE_READERS = {
    "full": "the baseline",
    "longer": "the baseline, trained on as long as specialists were",
    "any": "the generalist",
}
_STAR, _DAGGER = "*", "†"
_DASH = Shown("–")


def once(contrasts: pd.DataFrame) -> pd.DataFrame:
    """Return planned.csv's rows, one per contrast: the mean over seeds where there are several."""
    return over_seeds(contrasts, CONTRAST)


def mark_table(matrix: pd.DataFrame, verdicts: Verdicts, protocol: str) -> Table:
    """Return accuracy in per cent by model and condition, with what differs marked.

    A star: differs from the baseline on the same condition; a dagger: differs from the same model
    on whole faces.
    """
    cells = headline(matrix, protocol, "accuracy")
    models = ordered(cells.index.get_level_values("model"))
    conditions = shown_conditions(ordered(cells.index.get_level_values("condition")))
    base = "full" if "full" in models else str(next(iter(matrix["model"])))
    groups = []
    for model in models:
        shown = []
        for hidden in conditions:
            cell = model, hidden
            marks = _STAR * bool(verdicts.sign(cell, (base, hidden)))
            marks += _DAGGER * bool(verdicts.sign(cell, (model, "full")))
            shown.append(_accuracy(cells, model, hidden, marks))
        groups.append(Group(model, [Row("", shown)]))
    note = (
        f"{_STAR} differs from the model {base} on the same condition; {_DAGGER} differs from the "
        "same model on whole faces. Paired tests, p < .05 after Holm's correction within the first "
        "family of planned.csv that holds the pair, which speaks for the whole page. Between bars: "
        "trained on that condition."
        f"{_means(matrix)}"
    )
    return Table("marks", "Accuracy, %.", note, row_heading(models), "", conditions, groups)


def summary_table(contrasts: pd.DataFrame, level: float = 0.95) -> Table | None:
    """Return what hiding each half costs, a column per question; None if there is no such row."""
    rows = once(contrasts)
    families = [one for one in _READERS if one in set(rows["family"])]
    if not families:
        return None
    groups = []
    for half in HALVES:
        here = rows[(rows["condition_b"] == half) & rows["family"].isin(families)]
        found = {str(row["family"]): row for _, row in here.iterrows()}
        if not found:
            continue
        left = [
            Shown(f"{100 * float(found[one]['value_b']):.1f}") if one in found else _DASH
            for one in families
        ]
        lost = [_difference(verdict(found[one])) if one in found else _DASH for one in families]
        groups.append(
            Group(f"{half} hidden", [Row("accuracy, %", left), Row("lost, points", lost)])
        )
    sides = rows[rows["kind"] == "sides"]
    for one, other in SIDES:
        cells = []
        here = sides[(sides["condition_a"] == one) & (sides["condition_b"] == other)]
        found = {str(row["family"]).removeprefix("sides, "): row for _, row in here.iterrows()}
        if found:
            cells = [
                _difference(verdict(found[name]), says_alike=True) if name in found else _DASH
                for name in families
            ]
            groups.append(Group(f"{one} − {other}", [Row("difference, points", cells)]))
    margin = float(rows["margin"].iloc[0]) if len(rows) else 0.02
    note = (
        f"Lost: accuracy on whole faces{_of_whom(rows, families)} minus this accuracy. "
        f"Small: {100 * level:g} % intervals; {_STAR} differs from 0 (paired test, p < .05, Holm's "
        "correction within each column's halves and within its two last rows). "
        "Last rows: accuracy with the first half hidden minus that with the second; "
        f"=: equal to within {100 * margin:g} points "
        "(equivalence test). No mark: no difference found, which doesn't mean that there is none."
        f"{_means(contrasts)}"
    )
    columns = [_READERS[one][0] for one in families]
    title = "What hiding each half costs."
    return Table("halves", title, note, "hidden", "what", columns, groups)


def half_words(contrasts: pd.DataFrame, level: float = 0.95) -> list[str]:
    """Return a paragraph for robustness and one for each kind of available information.

    Empty where nothing about halves was compared.
    """
    rows = once(contrasts)
    said = []
    for family, (name, reader, meaning) in _READERS.items():
        here = rows[rows["family"] == family]
        sides = rows[rows["family"] == f"sides, {family}"]
        if here.empty and sides.empty:
            continue
        parts = [f"{name}. {meaning}"]
        if len(here):
            parts += _costs(here, reader)
        parts += [_side(row, family) for _, row in sides.iterrows()]
        said.append(" ".join(parts))
    if said:
        several = " and seeds" if _means(contrasts) else ""
        brackets = f"Brackets hold {100 * level:g} % intervals over test images{several}; a"
        said.append(
            f"{brackets if '[' in ''.join(said) else 'A'} direction is stated only where the "
            "corrected test and the interval both support it."
        )
    return said


def _of_whom(rows: pd.DataFrame, families: Sequence[str]) -> str:
    """Say whose accuracy on whole faces a column's losses are told from, where they differ."""
    whose = {
        family: _WHOLE_READERS.get(str(here["model_a"].iloc[0]), str(here["model_a"].iloc[0]))
        for family in families
        if len(here := rows[(rows["family"] == family) & rows["condition_b"].isin(HALVES)])
    }
    if len(set(whose.values())) < 2:
        return "".join(f" of {who}" for who in dict.fromkeys(whose.values()))
    said = (f"{_READERS[family][0].lower()}, of {who}" for family, who in whose.items())
    return f" ({'; '.join(said)})"


def _means(table: pd.DataFrame) -> str:
    """Say that scores are means over seeds, where there are several."""
    names = [one for one in ("model", "model_a", "model_b") if one in table]
    trainings = Trainings.of(table, *names)
    return f" Means over {trainings} seeds." if trainings.repeated else ""


def _costs(rows: pd.DataFrame, reader: str) -> list[str]:
    """Say what hiding each half costs a reader, the most costly first."""
    whole = percent(float(rows["value_a"].iloc[0]))
    found = {str(row["condition_b"]): verdict(row) for _, row in rows.iterrows()}
    order = sorted(found, key=lambda one: -found[one].value)
    kinds = ("loses", "gains", "alike", "corrected", "none")
    sorts: dict[str, list[str]] = {kind: [] for kind in kinds}
    for one in order:
        v = found[one]
        kind = "loses" if v.sign > 0 else "gains" if v.sign < 0 else "alike" if v.alike else "none"
        if kind == "none" and (v.low > 0 or v.high < 0):
            kind = "corrected"
        sorts[kind].append(f"{v.size if v.sign else v.text} with {region(one)} hidden")
    base = str(rows["model_a"].iloc[0])
    who = {
        "full": "The baseline",
        "longer": "The baseline, trained on as long as specialists were,",
    }.get(base, "The generalist")
    said = [f"{who} labels {whole} of whole faces correctly."]
    if sorts["loses"]:
        said.append(f"Against that, {reader} loses {joined(sorts['loses'])}.")
    if sorts["gains"]:
        said.append(f"Against that, {reader} gains {joined(sorts['gains'])}.")
    if sorts["alike"]:
        within = found[order[0]].within
        said.append(
            f"To within {within} {reader} is as good as on whole faces (equivalence test) "
            f"where the difference is {joined(sorts['alike'])}."
        )
    if sorts["corrected"]:
        said.append(
            "What doesn't withstand the correction for several tests: "
            f"{joined(sorts['corrected'])}."
        )
    if sorts["none"]:
        said.append(f"No difference was found where it is {joined(sorts['none'])}.")
    return said


def _side(row: "pd.Series[Any]", family: str) -> str:
    """Say which of two halves costs more when hidden: positive favours hiding the first."""
    one, other = str(row["condition_a"]), str(row["condition_b"])
    v = verdict(row)
    trained = {
        "robustness": "the baseline",
        "available information, specialists": "the networks trained for it",
        "available information, generalist": "the generalist",
    }[family]
    if v.sign:
        more, less = (other, one) if v.sign > 0 else (one, other)
        small = f", though by less than {v.within} (equivalence test)" if v.alike else ""
        return (
            f"Hiding {region(more)} costs {trained} more than hiding {region(less)}: "
            f"{v.size}{small}."
        )
    if v.alike:
        return (
            f"Hiding {region(one)} and hiding {region(other)} cost {trained} the same to within "
            f"{v.within} (equivalence test; {one} minus {other} hidden: {v.text})."
        )
    if v.low > 0 or v.high < 0:
        return (
            f"The difference between hiding {region(one)} and hiding {region(other)} for {trained} "
            f"({v.text}) doesn't withstand the correction for several tests."
        )
    return (
        f"Between hiding {region(one)} and hiding {region(other)} no difference was found for "
        f"{trained} ({v.text}); this doesn't show that there is none."
    )


def _difference(v: Verdict, says_alike: bool = False) -> Shown:
    if v.value != v.value:
        return _DASH
    text = v.text.removesuffix(" points")
    value, _, interval = text.partition(" ")
    marks = _STAR * bool(v.sign) + "=" * (says_alike and v.alike)
    return Shown(f"{value}{' ' + marks if marks else ''}", interval)


def _accuracy(cells: pd.DataFrame, model: str, hidden: str, marks: str) -> Shown:
    if (model, hidden) not in cells.index:
        return _DASH
    row: Any = cells.loc[(model, hidden)]
    value, low, high = (100 * float(row[name]) for name in ("value", "low", "high"))
    if value != value:
        return _DASH
    note = f"[{low:.1f}, {high:.1f}]" if low == low and high == high else ""
    return Shown(f"{value:.1f}{marks}", note, "matched" if model == hidden else "")
