"""The generated sentences never say more than the numbers: for arbitrary tables."""

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import sentences
from hemiface.report.words.confidence import calibration_words
from hemiface.report.words.costs import half_words, mark_table, once, summary_table
from hemiface.report.words.scores import answer, region
from hemiface.report.words.shifts import shift_words, shown_models
from hemiface.report.words.sides import side_tables, side_warnings, side_words
from hemiface.report.words.verdicts import (
    Verdicts,
    over_seeds,
    points,
    shown_pairs,
    verdict,
)
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
    # Whoever has several seeds has them in all that is asked of the two.
    models = dict.fromkeys((a, b) for _, _, a, _, b, _ in PAIRS)
    seeds = {pair: draw(st.sampled_from([["0"], ["0", "1", "mean"]])) for pair in models}
    rows = []
    for kind, family, model_a, condition_a, model_b, condition_b in PAIRS:
        sides = {"model_a": model_a, "condition_a": condition_a}
        sides |= {"model_b": model_b, "condition_b": condition_b}
        cells = {"kind": kind, "family": family, **sides}
        for seed in seeds[model_a, model_b]:
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
                corrected = not alike and (row["low"] > 0 or row["high"] < 0)
                assert ("doesn't withstand the correction" in where[0]) == corrected
                assert ("No difference was found" in where[0]) == (not alike and not corrected)
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
            ("standard", model, "0", hidden, "accuracy", 0.5, 0.4, 0.6, 10, 0.0, "")
            for model in ("full", "any")
            for hidden in ("full", "left")
        ],
        columns=list(MATRIX_COLUMNS),
    )
    marks = mark_table(matrix, Verdicts(table), "standard")
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
    for _, row in rows[
        (rows["family"] == "robustness") & (rows["condition_b"] == "left")
    ].iterrows():
        assert ("†" in cells["full", "left"]) == bool(supported(row))


@st.composite
def sides(draw):
    rows = []
    warning = draw(st.sampled_from(["", "trained with flips: this network learned both as one"]))
    part = draw(st.sampled_from(["as shown", "face"]))
    for question, model in (("robustness", "full"), ("available information", "left and right")):
        for emotion in ("all", *EMOTIONS):
            key = {"question": question, "model": model, "emotion": emotion, "seed": "0"}
            fixed = {"left_hidden": "left", "right_hidden": "right", "part": part}
            rest = {"measure": "accuracy", "n": 30, "groups": 30, "warning": warning}
            rows.append({**key, **fixed, **rest, **draw(numbers())})
    return pd.DataFrame(rows).reindex(columns=list(SIDES_COLUMNS))


@settings(max_examples=25)
@given(sides())
def test_sides_no_direction_without_support_and_none_at_all_with_flips(table):
    said = side_words(table, Verdicts())
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
    alike = [
        row["p_equivalence"] < 0.05 and not supported(row)
        for _, row in table[table["emotion"] == "all"].iterrows()
    ]
    of_face = table["part"].iloc[0] == "face"
    assert text.count("over all images both sides carry the same") == (0 if of_face else sum(alike))
    assert text.count("assign to the face is 0 to within") == (sum(alike) if of_face else 0)
    assert "four of five such studies" not in text
    more = side_words(table.assign(detectable=0.0123, p_holm=0.5), Verdicts())
    what = "Such a part" if of_face else "A difference"
    assert " ".join(more).count(f"{what} of 1.2 points would be found in four of five") == 2
    assert ("though by less than" in text) <= (not of_face)
    groups = [group for one in side_tables(table, Verdicts()) for group in one.groups]
    marked = sum("*" in cell.text for group in groups for row in group.rows for cell in row.cells)
    assert marked == sum(bool(supported(row)) for _, row in table.iterrows())
    for group in groups:
        if group.name.startswith("all images"):
            assert all("undefined" not in cell.text for cell in group.rows[0].cells)


def test_many_models_stand_in_several_tables_of_sides():
    names = [f"net-{number}" for number in range(7)]
    rows = [
        {"question": "robustness", "model": model, "seed": "0", "left_hidden": "left",
         "right_hidden": "right", "part": "as shown", "measure": "accuracy", "emotion": emotion,
         "difference": place / 100, "low": -0.1, "high": 0.2, "p": 0.5, "p_holm": 0.5,
         "p_equivalence": 0.5, "margin": 0.02, "n": 9, "groups": 9, "detectable": 0.1,
         "reason": "", "warning": ""}
        for place, model in enumerate(names) for emotion in ("all", *EMOTIONS)
    ]  # fmt: skip
    found = side_tables(pd.DataFrame(rows), Verdicts())
    assert [one.key for one in found] == ["sides", "sides-2", "sides-3"]
    assert [list(one.columns) for one in found] == [names[:3], names[3:6], names[6:]]
    assert found[2].groups[0].rows[0].cells[0].text.startswith("+6.0")
    assert side_tables(pd.DataFrame(rows).head(0), Verdicts()) == []


def test_shifts_shown_are_those_of_the_first_model_and_not_of_whose_are_largest():
    table = pd.DataFrame({"model": ["b", "any", "c", "full", "a"]})
    assert shown_models(table, ["a", "b", "c"]) == ["a"]
    assert shown_models(table, ["upper", "full", "any", "a"]) == ["full", "any"]


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


@st.composite
def matrices(draw):
    """matrix.csv and the contrasts of the same cells, any p values: (matrix, contrasts)."""
    table = draw(contrasts()).assign(seed="0").drop_duplicates(["family", "model_a", *CELLS[1:]])
    cells = {("full", "full"): 0.9}
    for model in ("full", "any", *HALVES):
        for hidden in ("full", *HALVES):
            if model in ("full", "any") or model == hidden:
                cells.setdefault((model, hidden), draw(st.floats(0.2, 0.8)))
    for at, row in table.iterrows():
        a = cells[row["model_a"], row["condition_a"]]
        b = cells[row["model_b"], row["condition_b"]]
        wide = draw(st.floats(0, 0.4))
        values = {"value_a": a, "value_b": b, "difference": a - b}
        values |= {"low": a - b - wide, "high": a - b + wide}
        table.loc[at, list(values)] = list(values.values())
    rows = [
        (
            "standard",
            model,
            "0",
            hidden,
            "accuracy",
            value,
            value - 0.05,
            value + 0.05,
            100,
            0.0,
            "",
        )
        for (model, hidden), value in cells.items()
    ]
    return pd.DataFrame(rows, columns=list(MATRIX_COLUMNS)), table


CELLS = ["model_a", "condition_a", "model_b", "condition_b"]
STATED = re.compile(
    r"Hiding (the \w+ half)(?: \([^)]*\))? costs [a-z ]+ more than hiding (the \w+ half)"
)


@settings(max_examples=20)
@given(matrices(), sides())
def test_no_two_places_of_the_page_contradict_each_other(found, left_right):
    matrix, table = found
    verdicts = Verdicts(table)
    top = sentences(answer(matrix, verdicts, protocol="standard", most_frequent=("happy", 0.2)))
    below = next(one for one in half_words(table) if one.startswith("Robustness."))
    stated = {one for sentence in top for one in STATED.findall(sentence)}
    assert stated <= set(STATED.findall(below))
    row = table[(table["family"] == "sides, robustness") & (table["condition_a"] == "left")].iloc[0]
    worst = min(HALVES, key=lambda half: accuracy(matrix, "full", half))
    whose = "The accuracy of the model trained on whole faces is"
    # All equal, there is none.
    lowest = next((one for one in top if one.startswith(f"{whose} lowest with")), "")
    if worst in ("upper", "lower"):
        sides_differ = any("the left half" in pair for pair in stated)
        assert sides_differ == bool(supported(row))
    if worst == "left":
        assert ("the right half" in lowest) == (supported(row) >= 0)
    if worst == "right":
        assert ("the left half" in lowest) == (supported(row) <= 0)
    words = " ".join(side_words(left_right.assign(warning="", part="as shown"), verdicts))
    over_all = words.split("Available information")[0].split("over all images ")[1]
    side = {1: "the right side", -1: "the left side"}.get(supported(row))
    assert over_all.startswith(side) if side else "carries more" not in over_all.split(". ")[0]


def accuracy(matrix, model, hidden):
    return matrix[(matrix["model"] == model) & (matrix["condition"] == hidden)]["value"].iloc[0]


@settings(max_examples=10)
@given(contrasts())
def test_a_pair_has_the_verdict_of_its_first_row_and_turned_it_is_the_opposite(table):
    once_again = table.assign(p_holm=0.0, low=0.1, high=0.2, family="last", kind="last")
    verdicts = Verdicts(table, once_again)
    for _, row in once(table).drop_duplicates(CELLS).iterrows():
        a, b = (row["model_a"], row["condition_a"]), (row["model_b"], row["condition_b"])
        assert verdicts.sign(a, b) == -verdicts.sign(b, a) == supported(row)
        assert verdicts.of(b, a).value == -row["difference"]
    assert verdicts.of(("any", "full"), ("none", "full")) is None
    assert verdicts.sign(("any", "full"), ("any", "full")) == 0


@settings(max_examples=25)
@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_calibration_is_said_in_numbers_and_no_direction_is_claimed(values):
    rows = [
        {"model": "full", "seed": seed, "condition": "upper", "calibration": how, "metric": "ece"}
        for seed in ("0", "1")
        for how in ("none", "by visibility")
    ]
    table = pd.DataFrame(rows).assign(value=values)
    text = calibration_words(table, [("full", "upper")])
    before, after = np.mean(values[::2]), np.mean(values[1::2])
    assert f"upper hidden {before:.3f} → {after:.3f}" in text
    assert not re.search("lower|raise|worse|better", text)
    assert "chance" not in text
    floor = table.assign(metric="ece_floor", value=0.25)
    floor.loc[floor["calibration"] == "none", "value"] = 0.75
    text = calibration_words(pd.concat([table, floor]), [("full", "upper")])
    assert f"→ {after:.3f} (by chance 0.250)" in text


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


def test_no_single_seed_stands_beside_means_of_the_same_model():
    table = pd.DataFrame(
        {
            "model": ["a", "a", "a", "a", "b"],
            "condition": ["left", "left", "left", "upper", "upper"],
            "seed": ["0", "1", "mean", "0", "0"],
            "x": [1, 2, 3, 4, 5],
        }
    )
    assert list(over_seeds(table, ["model", "condition"])["x"]) == [3, 5]


def test_an_undefined_difference_is_a_dash():
    row = dict.fromkeys(("difference", "low", "high", "p_holm", "p_equivalence"), np.nan)
    assert verdict({**row, "margin": 0.02}).text == "undefined"
    assert points(0.5, np.nan, np.nan) == "+50.0 points"


def test_brackets_are_explained_where_there_are_some():
    kind, family, *cells = PAIRS[0]
    names = ["model_a", "condition_a", "model_b", "condition_b"]
    row = {"kind": kind, "family": family, "seed": "0", "metric": "accuracy", "value_a": 0.9,
           "value_b": 0.8, "difference": 0.1, "low": 0.05, "high": 0.15, "p_holm": 0.5,
           "p_equivalence": 0.5, "margin": 0.02}  # fmt: skip
    row |= dict(zip(names, cells, strict=True))
    some = pd.DataFrame([row]).reindex(columns=list(DIFFERENCE_COLUMNS))
    assert half_words(some)[-1].startswith("Brackets hold 95 % intervals over test images; a direc")
    none = half_words(some.assign(low=math.nan, high=math.nan))
    assert none[-1].startswith("A direction is stated only where")


def test_empty_contrasts_say_nothing():
    empty = pd.DataFrame(columns=list(DIFFERENCE_COLUMNS))
    assert half_words(empty) == []
    assert summary_table(empty) is None
    assert pytest.approx(0) == len(once(empty))


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
        ("standard", "full", "0", hidden, "accuracy", v, v - 0.2, v + 0.2, 10, 0.0, "")
        for hidden, v in values.items()
    ]
    matrix = pd.DataFrame(rows, columns=list(MATRIX_COLUMNS))
    known = Verdicts(pd.DataFrame(columns=list(DIFFERENCE_COLUMNS)))
    text = " ".join(
        sentences(answer(matrix, known, protocol="standard", most_frequent=("happy", 0.25)))
    )
    assert "whole faces is lowest with the left half hidden (40.0" in text
    assert "no difference" not in text
    tied = matrix.assign(value=matrix["value"].replace(0.5, 0.4), low=np.nan, reason="few groups")
    text = " ".join(
        sentences(answer(tied, known, protocol="standard", most_frequent=("happy", 0.25)))
    )
    assert "whole faces is 40.0 % whichever is hidden" in text.replace("\xa0", " ")
    assert "No accuracy has an interval (few groups)." in text
    twice = [tied.assign(seed=seed) for seed in ("0", "1", "mean")]
    rounded = pd.concat(twice, ignore_index=True)
    rounded.loc[rounded["condition"] == "left", "value"] += 1e-15
    text = " ".join(
        sentences(answer(rounded, known, protocol="standard", most_frequent=("happy", 0.25)))
    ).replace("\xa0", " ")
    assert "whole faces is 40.0 % whichever is hidden" in text
    assert "(few groups); scores are means over 2 trainings that differ in their seed." in text
    partly = rounded.drop(
        rounded[(rounded["seed"] != "0") & (rounded["condition"] == "left")].index
    )
    partly.loc[partly["condition"] == "lower", "value"] = 0.6
    text = " ".join(
        sentences(answer(partly, known, protocol="standard", most_frequent=("happy", 0.25)))
    ).replace("\xa0", " ")
    assert "whole faces is, of what every seed has, lowest with the upper half hidden" in text
    tied.loc[tied["condition"] == "lower", "value"] = 0.6
    text = " ".join(
        sentences(answer(tied, known, protocol="standard", most_frequent=("happy", 0.25)))
    )
    assert "lowest with the left half and the upper half hidden (40.0 % each)" in text.replace(
        "\xa0", " "
    ).replace("the upper half and the left half", "the left half and the upper half")


def test_the_committed_study_says_one_thing_of_left_and_right():
    folder = Path(__file__).parents[2] / "results" / "regions"
    matrix, planned = (
        pd.read_csv(folder / f"{name}.csv", dtype={"seed": str}) for name in ("matrix", "planned")
    )
    first = " ".join(
        sentences(
            answer(matrix, Verdicts(planned), protocol="standard", most_frequent=("happy", 0.25))
        )
    )
    paragraph = next(one for one in half_words(planned) if one.startswith("Robustness. "))
    pair = ("the left half", "the right half")
    assert pair in STATED.findall(first)
    assert pair in STATED.findall(paragraph)
    assert "can't be told apart" not in first
