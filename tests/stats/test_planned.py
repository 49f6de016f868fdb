import numpy as np
import pandas as pd
import pytest

from builders import answers, scored_predictions
from hemiface.config import StatisticsOptions
from hemiface.stats.all_pairs import all_pairs
from hemiface.stats.planned import planned, shown_conditions
from hemiface.stats.sample import Sample
from hemiface.stats.significance import holm

N = 210


def sampled(skill, n=N, seed=0, draws=200):
    """A sample of cells (model ID, condition) that get exactly that share of n images right."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 7
    outcomes = {
        cell: answers(labels, rng.permutation(n) < round(share * n))
        for cell, share in skill.items()
    }
    predictions = scored_predictions(outcomes, labels)
    return Sample.of(predictions, "standard", StatisticsOptions(draws=draws))


SKILL = {
    ("full-seed0", "full"): 0.9,
    ("full-seed0", "upper"): 0.6,
    ("full-seed0", "lower"): 0.3,
    ("full-seed0", "upper-left"): 0.8,
    ("upper-seed0", "full"): 0.8,
    ("upper-seed0", "upper"): 0.75,
    ("upper-seed0", "lower"): 0.3,
    ("upper-seed0", "upper-left"): 0.8,
    ("lower-seed0", "full"): 0.8,
    ("lower-seed0", "upper"): 0.5,
    ("lower-seed0", "lower"): 0.6,
    ("lower-seed0", "upper-left"): 0.8,
}


@pytest.fixture(scope="module")
def table():
    return planned(sampled(SKILL))


def one(table, family, a, b):
    rows = table[
        (table["family"] == family)
        & (table["model_a"] == a[0])
        & (table["condition_a"] == a[1])
        & (table["model_b"] == b[0])
        & (table["condition_b"] == b[1])
    ]
    assert len(rows) == 1
    return rows.iloc[0]


def test_robustness_and_information_count_from_the_baseline_on_whole_faces(table):
    rows = table[table["kind"] == "robustness"]
    assert dict(zip(rows["condition_b"], rows["difference"].round(6), strict=True)) == {
        "upper": 0.3,
        "lower": 0.6,
    }
    own = one(table, "available information, specialists", ("full", "full"), ("lower", "lower"))
    assert own["difference"] == pytest.approx(0.3)
    assert own["low"] < 0.3 < own["high"]


def test_information_counts_from_who_was_trained_as_long_where_there_is_one():
    longer = {("longer-seed0", key): 0.95 if key == "full" else 0.5 for _, key in SKILL}
    sample = sampled(SKILL | longer)
    family = "available information, specialists"
    for found in (planned(sample), all_pairs(sample, ("accuracy",))):
        own = one(found, family, ("longer", "full"), ("lower", "lower"))
        assert own["difference"] == pytest.approx(0.35, abs=0.003)
        robust = found[found["kind"] == "robustness"]
        assert set(robust["model_a"]) == {"full"}


def test_sides_compare_halves_within_one_question(table):
    robust = one(table, "sides, robustness", ("full", "upper"), ("full", "lower"))
    assert robust["difference"] == pytest.approx(0.3)
    family = "sides, available information, specialists"
    informed = one(table, family, ("upper", "upper"), ("lower", "lower"))
    assert informed["difference"] == pytest.approx(0.15, abs=0.003)
    assert set(table.loc[table["kind"] == "sides", "family"]) == {"sides, robustness", family}


def test_the_table_holds_every_model_and_shown_condition_and_no_quarter(table):
    models = table[table["kind"] == "table, models"]
    assert len(models) == 2 * 3
    assert set(models["model_b"]) == {"full"}
    conditions = table[table["kind"] == "table, conditions"]
    assert len(conditions) == 3 * 2
    assert "upper-left" not in set(table["condition_a"]) | set(table["condition_b"])


def test_each_family_is_corrected_by_itself(table):
    for _, rows in table.groupby("family"):
        assert rows["p_holm"].to_numpy() == pytest.approx(holm(rows["p"].to_numpy()))


def test_the_generalist_is_a_family_of_its_own_and_serves_without_a_baseline():
    skill = {("any-seed0", "full"): 0.9, ("any-seed0", "left"): 0.7, ("any-seed0", "right"): 0.7}
    table = planned(sampled(skill))
    information = table[table["kind"] == "available information"]
    assert list(information["family"]) == ["available information, generalist"] * 2
    assert information["difference"].to_numpy() == pytest.approx([0.2, 0.2])
    assert "robustness" not in set(table["kind"])
    sides = one(
        table, "sides, available information, generalist", ("any", "left"), ("any", "right")
    )
    assert sides["difference"] == pytest.approx(0)


def test_several_seeds_are_averaged_and_resampled():
    skill = {
        (f"full-seed{seed}", condition): share + 0.05 * seed * (condition == "upper")
        for seed in range(3)
        for condition, share in (("full", 0.9), ("upper", 0.6))
    }
    table = planned(sampled(skill))
    rows = table[table["kind"] == "robustness"].set_index("seed")
    assert list(rows.index) == ["0", "1", "2", "mean"]
    assert rows.loc["mean", "difference"] == pytest.approx(0.25, abs=0.003)
    assert "3 seeds" in rows.loc["mean", "method"]
    assert rows.loc["mean", "df"] < rows.loc["0", "df"]


def test_nothing_to_compare_gives_an_empty_table():
    table = planned(sampled({("full-seed0", "full"): 0.5}))
    assert isinstance(table, pd.DataFrame)
    assert table.empty


def test_other_conditions_are_shown_where_there_are_no_halves():
    assert shown_conditions(["a", "b", "a", "c", "d", "e", "f"]) == ["a", "b", "c", "d", "e"]
