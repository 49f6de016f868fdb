"""The generated sentences never say more than the numbers: for arbitrary tables."""

import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hemiface.report.words.confidence import calibration_words
from hemiface.report.words.costs import half_words, mark_table, once, summary_table
from hemiface.report.words.scores import region
from hemiface.report.words.shifts import shift_words
from hemiface.report.words.sides import side_table, side_warnings, side_words
from hemiface.report.words.verdicts import over_seeds, points, verdict
from hemiface.stats.contrasts import DIFFERENCE_COLUMNS
from hemiface.stats.matrix import MATRIX_COLUMNS
from hemiface.stats.sides import SIDES_COLUMNS
from hemiface.tables import EMOTIONS

HALVES = ("upper", "lower", "left", "right")
DIRECTIONS = ("loses", "gains", "costs the", "carries more", "is called")


@st.composite
def numbers(draw):
    """A difference with an interval around it, any p values."""
    value = draw(st.floats(-0.9, 0.9))
    low = value - draw(st.floats(0, 0.5))
    high = value + draw(st.floats(0, 0.5))
    p = st.one_of(st.floats(0, 1), st.just(math.nan), st.floats(0, 0.06))
    if draw(st.booleans()) and draw(st.booleans()):
        low = high = math.nan
    return {
        "difference": value,
        "low": low,
        "high": high,
        "p": draw(p),
        "p_holm": draw(p),
        "p_equivalence": draw(p),
        "margin": 0.02,
    }


def supported(row):
    """What the numbers allow, written down independently: 1, -1 or 0."""
    if not row["p_holm"] < 0.05:
        return 0
    if row["low"] > 0 and row["high"] > 0:
        return 1
    if row["low"] < 0 and row["high"] < 0:
        return -1
    return 0


PAIRS = [
    *(("robustness", "robustness", "full", "full", "full", half) for half in HALVES),
    *(
        ("available information", "available information, specialists", "full", "full", half, half)
        for half in HALVES
    ),
    *(
        ("available information", "available information, generalist", "full", "full", "any", half)
        for half in HALVES
    ),
    ("sides", "sides, robustness", "full", "upper", "full", "lower"),
    ("sides", "sides, robustness", "full", "left", "full", "right"),
    ("sides", "sides, available information, specialists", "left", "left", "right", "right"),
    ("sides", "sides, available information, generalist", "any", "upper", "any", "lower"),
    ("table, models", "table, models", "any", "full", "full", "full"),
    ("table, models", "table, models", "any", "left", "full", "left"),
    ("table, conditions", "table, conditions", "any", "full", "any", "left"),
]


@st.composite
def contrasts(draw):
    rows = []
    for kind, family, model_a, condition_a, model_b, condition_b in PAIRS:
        sides = {"model_a": model_a, "condition_a": condition_a}
        sides |= {"model_b": model_b, "condition_b": condition_b}
        cells = {"kind": kind, "family": family, **sides}
        for seed in draw(st.sampled_from([["0"], ["0", "1", "mean"]])):
            found = draw(numbers())
            scores = {"value_a": 0.9, "value_b": 0.9 - found["difference"]}
            rest = {"metric": "accuracy", "se": 0.1, "df": 5.0, "n": 10, "groups": 9}
            rows.append({**cells, **found, **scores, **rest, "seed": seed})
    table = pd.DataFrame(rows).assign(method="", reason="")
    return table[list(DIFFERENCE_COLUMNS)]


def sentences_of(text):
    return re.split(r"(?<=[.:;]) (?=[A-Z])", text)


@settings(max_examples=25)
@given(contrasts())
def test_halves_no_direction_without_interval_and_corrected_test(table):
    rows = once(table)
    said = half_words(table)
    starts = {
        "robustness": "Robustness. ",
        "available information, specialists": "Available information: specialists. ",
        "available information, generalist": "Available information: generalist. ",
    }
    for family, start in starts.items():
        paragraph = next(one for one in said if one.startswith(start))
        parts = sentences_of(paragraph)
        for _, row in rows[rows["family"] == family].iterrows():
            hidden = f"with {region(row['condition_b'])} hidden"
            where = [one for one in parts if hidden in one]
            assert len(where) == 1
            word = {1: " loses ", -1: " gains "}.get(supported(row))
            if word:
                assert word in where[0]
            else:
                assert " loses " not in where[0]
                assert " gains " not in where[0]
                alike = row["p_equivalence"] < 0.05
                assert ("equivalence test" in where[0]) == alike
                assert ("No difference was found" in where[0]) == (not alike)
        for _, row in rows[rows["family"] == f"sides, {family}"].iterrows():
            one, other = region(row["condition_a"]), region(row["condition_b"])
            where = [p for p in parts if f"iding {one}" in p and f"iding {other}" in p]
            assert len(where) == 1
            sign = supported(row)
            stated = re.search(r"Hiding (.+?) costs .+? more than hiding (.+?):", where[0])
            assert bool(stated) == bool(sign)
            if sign:
                assert stated.groups() == ((other, one) if sign > 0 else (one, other))


@settings(max_examples=15)
@given(contrasts())
def test_tables_mark_exactly_what_is_supported(table):
    rows = once(table)
    shown = summary_table(table)
    marked = sum(
        "*" in cell.text for group in shown.groups for row in group.rows for cell in row.cells
    )
    listed = rows[~rows["kind"].str.startswith("table")]
    assert marked == sum(bool(supported(row)) for _, row in listed.iterrows())
    matrix = pd.DataFrame(
        [
            ("standard", model, "0", hidden, "accuracy", 0.5, 0.4, 0.6, 10, 0.0)
            for model in ("full", "any")
            for hidden in ("full", "left")
        ],
        columns=list(MATRIX_COLUMNS),
    )
    marks = mark_table(matrix, table, "standard")
    cells = {
        (group.name, hidden): cell.text
        for group in marks.groups
        for hidden, cell in zip(marks.columns, group.rows[0].cells, strict=True)
    }
    for kind, mark in (("table, models", "*"), ("table, conditions", "†")):
        for _, row in rows[rows["kind"] == kind].iterrows():
            side = "a" if mark == "*" else "b"
            text = cells[row[f"model_{side}"], row[f"condition_{side}"]]
            assert (mark in text) == bool(supported(row))


@st.composite
def sides(draw):
    rows = []
    warning = draw(st.sampled_from(["", "trained with flips: this network learned both as one"]))
    for question, model in (("robustness", "full"), ("available information", "left and right")):
        for emotion in ("all", *EMOTIONS):
            key = {"question": question, "model": model, "emotion": emotion, "seed": "0"}
            fixed = {"left_hidden": "left", "right_hidden": "right", "part": "as shown"}
            rest = {"measure": "accuracy", "n": 30, "groups": 30, "warning": warning}
            rows.append({**key, **fixed, **rest, **draw(numbers())})
    return pd.DataFrame(rows).reindex(columns=list(SIDES_COLUMNS))


@settings(max_examples=25)
@given(sides())
def test_sides_no_direction_without_support_and_none_at_all_with_flips(table):
    said = side_words(table)
    text = " ".join(said)
    if table["warning"].iloc[0]:
        assert said == []
        assert "say nothing about the sides" in side_warnings(table)[0]
        return
    assert side_warnings(table) == []
    assert text.count("carries more") == sum(
        len({supported(row) for _, row in here[here["emotion"] != "all"].iterrows()} - {0})
        + bool(supported(here[here["emotion"] == "all"].iloc[0]))
        for _, here in table.groupby("question")
    )
    shown = side_table(table)
    marked = sum(
        "*" in cell.text for group in shown.groups for row in group.rows for cell in row.cells
    )
    assert marked == sum(bool(supported(row)) for _, row in table.iterrows())
    for group in shown.groups:
        if group.name.startswith("all images"):
            assert all("undefined" not in cell.text for cell in group.rows[0].cells)


@st.composite
def shifts(draw):
    rows = []
    for half in ("upper", "lower"):
        for true, predicted in (("happy", "sad"), ("disgust", "angry"), ("fear", "fear")):
            found = draw(numbers())
            found["shift"] = found.pop("difference")
            key = {"model": "full", "seed": "0", "condition": half}
            answer = {"true": true, "predicted": predicted, "share_full": 0.1, "share_hidden": 0.2}
            rows.append({**key, **answer, **found})
    return pd.DataFrame(rows)


@settings(max_examples=25)
@given(shifts())
def test_shifts_only_what_grows_for_sure_is_a_new_mistake(table):
    text = shift_words(table, "full")
    wrong = table[table["true"] != table["predicted"]]
    assert text.count("is called") == sum(supported(row) > 0 for _, row in wrong.iterrows())
    assert "fear is called fear" not in text
    silent = [
        half
        for half, here in wrong.groupby("condition")
        if not any(supported(row) > 0 for _, row in here.iterrows())
    ]
    assert ("no mistake was found" in text) == bool(silent)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=4, max_size=4))
def test_calibration_is_said_to_change_only_where_intervals_part(ends):
    rows = [
        {
            "model": "full",
            "seed": str(seed),
            "condition": "upper",
            "calibration": calibration,
            "metric": "ece",
            "value": sum(pair) / 2,
            "low": min(pair),
            "high": max(pair),
        }
        for (seed, calibration), pair in zip(
            [(0, "none"), (0, "by visibility"), (1, "none"), (1, "by visibility")],
            ends,
            strict=True,
        )
    ]
    text = calibration_words(pd.DataFrame(rows), [("full", "upper")])
    lower = all(max(ends[i + 1]) < min(ends[i]) for i in (0, 2))
    higher = all(min(ends[i + 1]) > max(ends[i]) for i in (0, 2))
    assert ("lowers the calibration error" in text) == lower
    assert ("raises" in text) == higher
    assert ("can't be told apart" in text) == (not lower and not higher)


@given(numbers())
def test_an_interval_that_leaves_0_out_is_never_shown_as_ending_there(row):
    text = points(row["difference"], row["low"], row["high"])
    ends = re.search(r"\[(.+), (.+)\]", text)
    if ends and (row["low"] > 1e-7 or row["high"] < -1e-7):
        low, high = (float(one.replace("−", "-")) for one in ends.groups())
        assert low > 0 or high < 0


def test_a_sure_but_small_difference_is_both():
    found = verdict(
        {
            "difference": 0.01,
            "low": 0.005,
            "high": 0.015,
            "p_holm": 0.001,
            "p_equivalence": 0.001,
            "margin": 0.02,
        }
    )
    assert found.sign == 1
    assert found.alike
    assert found.within == "2 points"


def test_the_mean_over_seeds_stands_for_the_seeds():
    table = pd.DataFrame(
        {"model": ["a", "a", "a", "b"], "seed": ["0", "1", "mean", "0"], "x": [1, 2, 3, 4]}
    )
    assert list(over_seeds(table, ["model"])["x"]) == [3, 4]


def test_an_undefined_difference_is_a_dash():
    row = dict.fromkeys(("difference", "low", "high", "p_holm", "p_equivalence"), np.nan)
    assert verdict({**row, "margin": 0.02}).text == "undefined"
    assert points(0.5, np.nan, np.nan) == "+50.0 points"


def test_empty_contrasts_say_nothing():
    empty = pd.DataFrame(columns=list(DIFFERENCE_COLUMNS))
    assert half_words(empty) == []
    assert summary_table(empty) is None
    assert pytest.approx(0) == len(once(empty))
