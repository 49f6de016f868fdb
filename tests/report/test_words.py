"""The generated sentences never say more than the numbers: for arbitrary tables."""

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hemiface.report.words.confidence import calibration_words
from hemiface.report.words.costs import half_words, mark_table, once, summary_table
from hemiface.report.words.scores import answer, region
from hemiface.report.words.shifts import shift_words
from hemiface.report.words.sides import side_table, side_warnings, side_words
from hemiface.report.words.texts import chosen
from hemiface.report.words.verdicts import (
    Verdicts,
    over_seeds,
    points,
    shown_pairs,
    signs_of_family,
    verdict,
)
from hemiface.stats.contrasts import DIFFERENCE_COLUMNS
from hemiface.stats.matrix import MATRIX_COLUMNS
from hemiface.stats.sides import SIDES_COLUMNS
from hemiface.tables import EMOTIONS, Predictions

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


@pytest.mark.parametrize("seeds", [1, 2])
def test_calibration_before_and_after_is_given_without_a_verdict(seeds):
    rows = [
        {
            "model": "full",
            "seed": str(seed),
            "condition": "upper",
            "calibration": calibration,
            "metric": "ece",
            "value": value + 0.01 * seed,
            "low": value - 0.02,
            "high": value + 0.02,
        }
        for seed in range(seeds)
        for calibration, value in (("none", 0.2), ("by visibility", 0.05))
    ]
    text = calibration_words(pd.DataFrame(rows), [("full", "upper")])
    assert ("(0.200 → 0.050)" if seeds == 1 else "(0.205 → 0.055)") in text
    assert "not tested" in text
    assert not re.search("lowers|raises|apart", text)


def stated(text, hiding):
    """The pairs of halves that a text orders (more costly first), and those it leaves open."""
    more = rf"Hiding the (\w+) half(?: \([^)]*\))? costs {hiding} more than hiding the (\w+) half"
    ordered = set(re.findall(more, text))
    return ordered, {frozenset(pair) for pair in ordered}


@settings(max_examples=60)
@given(contrasts(), st.permutations([0.3, 0.4, 0.5, 0.6]))
def test_no_two_sentences_or_marks_of_a_page_contradict_each_other(table, values):
    scores = {"full": 0.9, **dict(zip(HALVES, values, strict=True))}
    matrix = pd.DataFrame(
        [
            ("standard", model, "0", hidden, "accuracy", v, v - 0.2, v + 0.2, 10, 0.0)
            for model in ("full", "any")
            for hidden, v in scores.items()
        ],
        columns=list(MATRIX_COLUMNS),
    )
    # Marks of the first table stand in families of their own, with another correction.
    marks = [
        {**row, "kind": "table, conditions", "family": "table, conditions", "p_holm": 1 - p}
        for row in table[table["family"] == "robustness"].to_dict("records")
        for p in [row["p_holm"]]
    ]
    table = pd.concat([table, pd.DataFrame(marks)], ignore_index=True)
    first = " ".join(
        answer(matrix, Verdicts(table), protocol="standard", most_frequent=("happy", 0.25))
    )
    paragraph = next(one for one in half_words(table) if one.startswith("Robustness. "))
    said, _ = stated(first, "it")
    below, pairs_below = stated(paragraph, "the baseline")
    # What the top orders, the section orders alike.
    assert said <= below
    # What the top leaves open, the section leaves open.
    for one, other in (("upper", "lower"), ("left", "right")):
        if re.search(rf"Between hiding the {one} half .* the {other} half .* no difference", first):
            assert frozenset((one, other)) not in pairs_below
    # Two that share the lowest place are not ordered below.
    lowest = re.search(r"lowest with (.*?) hidden; no difference", first)
    if lowest:
        first_name, *tied = re.findall(r"the (\w+) half", lowest[1])
        for other in tied:
            assert frozenset((first_name, other)) not in pairs_below
    # A dagger says what the sentence says.
    row = next(g for g in mark_table(matrix, table, "standard").groups if g.name == "full").rows[0]
    columns = mark_table(matrix, table, "standard").columns
    parts = sentences_of(paragraph)
    for hidden, cell in zip(columns, row.cells, strict=True):
        if hidden != "full":
            sentence = next(one for one in parts if f"with {region(hidden)} hidden" in one)
            assert ("†" in cell.text) == (" loses " in sentence or " gains " in sentence)


@given(st.lists(numbers(), min_size=1, max_size=8))
def test_a_family_without_p_states_no_more_than_its_intervals(rows):
    values = {i: (row["difference"], row["low"], row["high"]) for i, row in enumerate(rows)}
    found = signs_of_family(values, 0.95)
    assert list(found) == list(values)
    for key, sign in found.items():
        _, low, high = values[key]
        assert sign in (0, (low > 0) - (high < 0))
    # More questions never allow more to be said of one.
    more = signs_of_family(values | {"more": (0.0, -0.1, 0.1)}, 0.95)
    assert all(abs(more[key]) <= abs(sign) for key, sign in found.items())


def test_shown_pairs_are_corrected_among_themselves():
    def row(a, b, p):
        cells = {"model_a": "full", "condition_a": a, "model_b": "full", "condition_b": b}
        rest = {"seed": "0", "family": "conditions of full", "metric": "accuracy"}
        return {**cells, **rest, "p": p, "p_holm": 1.0}

    table = pd.DataFrame(
        [row("left", "right", 0.02), row("upper", "left", 0.03), row("upper", "none", 0.001)]
    )
    found = shown_pairs(table, ["full", *HALVES])
    assert list(found["p_holm"]) == [0.04, 0.04]
    assert shown_pairs(table, ["full"]).empty


def test_what_was_not_compared_is_not_said_to_be_alike():
    values = {"full": 0.9, "upper": 0.5, "lower": 0.5, "left": 0.4}
    rows = [
        ("standard", "full", "0", hidden, "accuracy", v, v - 0.2, v + 0.2, 10, 0.0)
        for hidden, v in values.items()
    ]
    matrix = pd.DataFrame(rows, columns=list(MATRIX_COLUMNS))
    known = Verdicts(pd.DataFrame(columns=list(DIFFERENCE_COLUMNS)))
    text = " ".join(answer(matrix, known, protocol="standard", most_frequent=("happy", 0.25)))
    assert "Its accuracy is lowest with the left half hidden:" in text
    assert "no difference" not in text


def test_a_pair_has_one_verdict_whichever_way_it_is_asked():
    row = {"kind": "k", "family": "f", "seed": "0", "metric": "accuracy", "margin": 0.02}
    row |= {"model_a": "full", "condition_a": "left", "model_b": "full", "condition_b": "right"}
    row |= {"difference": -0.03, "low": -0.05, "high": -0.01, "p_holm": 0.001, "p_equivalence": 1}
    turned = {"model_a": "full", "condition_a": "right", "model_b": "full", "condition_b": "left"}
    other = {**row, **turned, "difference": 0.03, "low": -0.01, "high": 0.05, "p_holm": 0.9}
    known = Verdicts(pd.DataFrame([row]), pd.DataFrame([other]))
    left, right = ("full", "left"), ("full", "right")
    assert known.sign(left, right) == -1
    assert known.sign(right, left) == 1
    assert (known.of(right, left).low, known.of(right, left).high) == (0.01, 0.05)
    assert known.of(left, ("any", "left")) is None


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


def test_the_committed_study_says_one_thing_of_left_and_right():
    folder = Path(__file__).parents[2] / "results" / "regions"
    matrix, planned = (
        pd.read_csv(folder / f"{name}.csv", dtype={"seed": str}) for name in ("matrix", "planned")
    )
    first = " ".join(
        answer(matrix, Verdicts(planned), protocol="standard", most_frequent=("happy", 0.25))
    )
    paragraph = next(one for one in half_words(planned) if one.startswith("Robustness. "))
    assert ("left", "right") in stated(first, "it")[0]
    assert ("left", "right") in stated(paragraph, "the baseline")[0]
    assert "can't be told apart" not in first


def test_on_what_outsiders_chose_their_models_is_not_made_up():
    def said(**facts):
        return chosen(Predictions(pd.DataFrame(), facts))

    assert said(models=[{"model": "a"}]).startswith("ours were chosen on PublicTest alone")
    assert said(models=[{"model": "a", "selected_on": "dev"}]).endswith("chosen on: dev")
    assert said(unknown=["selection"]).endswith("is not known")
