"""Left and right in a table and words, with the warning that comes first where flips were used."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from hemiface.report.page_tables import Group, Row, Shown, Table
from hemiface.report.words.texts import joined
from hemiface.report.words.verdicts import Cell, Verdict, Verdicts, over_seeds, verdict
from hemiface.stats.sides import UNDETECTABLE
from hemiface.tables import EMOTIONS

__all__ = ["side_tables", "side_warnings", "side_words"]

_READERS = ("full", "any", "left and right")
"""The baseline, the generalist and the two specialists; other models answer neither question."""

_MOST_COLUMNS = 3
"""Of a table; more don't fit on a sheet of paper."""

_KEY = ["question", "model", "left_hidden", "right_hidden", "part", "measure", "emotion"]


def side_tables(sides: pd.DataFrame, verdicts: Verdicts, level: float = 0.95) -> list[Table]:
    """Return accuracy with the left minus with the right half hidden, per emotion.

    Several tables where a sheet of paper hasn't room for all contrasts in one; [] if none is there.

    `sides` has the columns of sides.csv. With mirrored pictures it is the part that
    belongs to the face. `verdicts` speak of all images of pictures as shown: that is a comparison
    of two cells, of which the page says one thing.
    """
    rows = _main(sides)
    contrasts = list(dict.fromkeys(zip(rows["question"], rows["model"], strict=True)))
    keys = zip(rows["question"], rows["model"], rows["emotion"], strict=True)
    cells = {key: row for key, (_, row) in zip(keys, rows.iterrows(), strict=True)}
    tables = []
    for start in range(0, len(contrasts), _MOST_COLUMNS):
        key = f"sides-{start // _MOST_COLUMNS + 1}" if start else "sides"
        some = contrasts[start : start + _MOST_COLUMNS]
        tables.append(_table(rows, some, cells, verdicts, level, key))
    return tables


def _table(
    rows: pd.DataFrame,
    contrasts: Sequence[tuple[str, str]],
    cells: Mapping[tuple[str, str, str], pd.Series],
    verdicts: Verdicts,
    level: float,
    key: str,
) -> Table:
    controlled = rows["part"].iloc[0] == "face"
    groups = []
    for emotion in ("all", *EMOTIONS):
        said = [_said(cells[(*one, emotion)], verdicts) for one in contrasts]
        shown = [_shown(one, alike=one.alike and not controlled) for one in said]
        count = int(cells[(*contrasts[0], emotion)]["n"])
        name = "all images" if emotion == "all" else emotion
        groups.append(Group(f"{name} ({count:,})", [Row("", shown)]))
    margin = float(rows["margin"].iloc[0])
    equal = f"; =: equal to within {100 * margin:g} points (equivalence test)"
    note = (
        "Points of accuracy with the left half hidden minus with the right half hidden: above 0 "
        "the right side of the picture carries more. "
        f"Small: {100 * level:g} % intervals; * differs from 0 (paired test, p < .05, Holm's "
        f"correction over the seven emotions){'' if controlled else equal}. No mark: no difference "
        "found."
    )
    if controlled:
        note = (
            "What mirrored pictures assign to the face, which is less than what is the face's "
            f"where faces taught the network to prefer a side. {note}"
        )
    titles = [
        f"{question[0].upper()}{question[1:]}: {model}" if _is_asked(question, model) else model
        for question, model in contrasts
    ]
    return Table(key, "Left against right.", note, "emotion", "", titles, groups)


def _is_asked(question: str, model: str) -> bool:
    """Whether the page's question is asked of a model: of robustness only what met whole faces."""
    return question != "robustness" or model == "full"


def side_warnings(sides: pd.DataFrame) -> list[str]:
    """Return what forbids to read left and right as such, naming the models."""
    rows = _main(sides)
    said = []
    for text in dict.fromkeys(one for one in rows["warning"] if one):
        models = joined(dict.fromkeys(rows.loc[rows["warning"] == text, "model"]))
        said.append(f"Left and right of {models} say nothing about the sides of a face: {text}.")
    return said


def side_words(sides: pd.DataFrame, verdicts: Verdicts) -> list[str]:
    """Return sentences about left and right: one for all images and one per contrast's emotions."""
    rows = _main(sides)
    said = []
    for (question, model), here in rows.groupby(["question", "model"], sort=False):
        if here["warning"].iloc[0]:
            continue
        cells = {str(row["emotion"]): _said(row, verdicts) for _, row in here.iterrows()}
        which = f"the model {model}" if question == "robustness" else f"{model}"
        which = f"{question} ({which})" if _is_asked(str(question), str(model)) else which
        controlled = here["part"].iloc[0] == "face"
        told = _whole(cells, controlled=controlled)
        if not cells["all"].sign:
            told += _power(here, controlled=controlled)
        said.append(f"{which[0].upper()}{which[1:]}: {told}")
        sorts: dict[int, list[str]] = {1: [], -1: []}
        for emotion in EMOTIONS:
            v = cells[emotion]
            if v.sign:
                sorts[v.sign].append(f"{emotion} ({v.text})")
        for sign, side in ((1, "right"), (-1, "left")):
            if sorts[sign]:
                said.append(
                    f"For {joined(sorts[sign])} the {side} side of the picture carries more."
                )
        if not sorts[1] and not sorts[-1]:
            said.append("For no single emotion was a difference found.")
    if said:
        said.append(
            "In a photo that isn't mirrored, the picture's left shows the person's right side."
        )
    return said


def _whole(cells: dict[str, Verdict], *, controlled: bool) -> str:
    """Say it of all images; `controlled`: of the part that mirrored pictures assign to the face.

    That part is too small where a side that carries more taught the network to prefer it, so it
    can't show that sides carry the same.
    """
    v = cells["all"]
    if v.value != v.value:
        return "over all images the difference is undefined."
    if v.sign:
        side = "right" if v.sign > 0 else "left"
        small = f", though by less than {v.within} (equivalence test)"
        small = small if v.alike and not controlled else ""
        return f"over all images the {side} side of the picture carries more ({v.text}){small}."
    if v.alike and controlled:
        return (
            "over all images what mirrored pictures assign to the face is 0 to within "
            f"{v.within} (equivalence test; {v.text}); a preference that the network learnt from "
            "faces counts as its own there, so this doesn't show that the sides carry the same."
        )
    if v.alike:
        return (
            f"over all images both sides carry the same to within {v.within} (equivalence test; "
            f"{v.text})."
        )
    if v.low > 0 or v.high < 0:
        return f"over all images the difference ({v.text}) doesn't withstand the test."
    return (
        f"over all images no difference between the sides was found ({v.text}); this doesn't show "
        "that there is none."
    )


def _power(rows: pd.DataFrame, *, controlled: bool) -> str:
    """Say what such a study would have found."""
    every = rows[rows["emotion"] == "all"].iloc[0]
    found = every["detectable"]
    if every["reason"] == UNDETECTABLE:
        what = "No such part, however large," if controlled else "No difference, however large,"
    elif found > 0:
        what = f"{'Such a part' if controlled else 'A difference'} of {100 * found:.1f} points"
    else:
        return ""
    return f" {what} would be found in four of five such studies."


def _main(sides: pd.DataFrame) -> pd.DataFrame:
    """Return the rows about the left and right half and the accuracy, one per emotion."""
    rows = sides[
        (sides["left_hidden"] == "left")
        & (sides["right_hidden"] == "right")
        & (sides["measure"] == "accuracy")
    ]
    known = rows["model"].isin(_READERS)
    rows = rows[known] if known.any() else rows
    part = "face" if "face" in set(rows["part"]) else "as shown"
    return over_seeds(rows[rows["part"] == part], _KEY)


def _said(row: "pd.Series[Any]", verdicts: Verdicts) -> Verdict:
    """Return the verdict on a row of sides.csv: the page's own where it is one of two cells."""
    found = None
    if row["emotion"] == "all" and row["part"] == "as shown":
        found = verdicts.of(*_cells(row))
    return found or verdict(row)


def _cells(row: "pd.Series[Any]") -> tuple[Cell, Cell]:
    """Return the two cells of a row: a network's on either condition, or the two specialists'."""
    left, right = str(row["left_hidden"]), str(row["right_hidden"])
    if row["question"] == "robustness" or row["model"] != f"{left} and {right}":
        return (str(row["model"]), left), (str(row["model"]), right)
    return (left, left), (right, right)


def _shown(v: Verdict, *, alike: bool) -> Shown:
    if v.value != v.value:
        return Shown("–")
    value, _, interval = v.text.removesuffix(" points").partition(" ")
    marks = "*" * bool(v.sign) + "=" * alike
    return Shown(f"{value}{' ' + marks if marks else ''}", interval)
