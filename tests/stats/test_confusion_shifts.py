"""Confusion shifts: planted confusions, brute force, and exact tests where images are few."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from builders import sampled, scored_predictions
from hemiface.errors import UsageError
from hemiface.stats.confusion_shifts import SHIFT_COLUMNS, confusion_shifts
from hemiface.stats.metrics import confusion
from hemiface.tables import EMOTIONS

ANGRY, DISGUST = EMOTIONS.index("angry"), EMOTIONS.index("disgust")
KEY = ["model", "seed", "condition", "true", "predicted"]


def made(n: int = 350, seeds: tuple[int, ...] = (0,), **options) -> pd.DataFrame:
    """Right three times in four; with the lower half hidden, half of disgust is read as anger."""
    labels = np.arange(n) % 7
    outcomes = {}
    for seed in seeds:
        random = np.random.default_rng(seed)
        full = np.where(random.random(n) < 0.75, labels, random.integers(0, 7, n))
        masked = np.where((labels == DISGUST) & (random.random(n) < 0.5), ANGRY, full)
        outcomes[f"full-seed{seed}", "full"] = full
        outcomes[f"full-seed{seed}", "lower"] = masked
    return scored_predictions(outcomes, labels, **options).table


def test_the_planted_confusion_comes_first():
    found = confusion_shifts(sampled(made(), draws=200))
    assert list(found.columns) == list(SHIFT_COLUMNS)
    assert len(found) == 49
    top = found.head(2)
    # What disgust loses, anger gains.
    assert set(top["true"]) == {"disgust"}
    assert set(top["predicted"]) == {"angry", "disgust"}
    gain = top.set_index("predicted").loc["angry"]
    assert gain["shift"] == pytest.approx(0.5, abs=0.15)
    assert gain["low"] > 0.3
    assert gain["p_holm"] < 1e-3
    sure = found[found["p_holm"] < 0.05]
    assert set(sure["true"]) == {"disgust"}
    assert found["shift"].abs().is_monotonic_decreasing


def test_shares_are_those_of_the_confusion_table_and_shifts_cancel():
    table = made(seeds=(0, 1))
    found = confusion_shifts(sampled(table, draws=20)).set_index(KEY)
    shares = confusion(table).set_index(["model", "condition", "true", "predicted"])["share"]
    for key, row in found.iterrows():
        model, seed, condition, true, predicted = key
        seeds = ("0", "1") if seed == "mean" else (seed,)
        for column, at in (("share_full", "full"), ("share_hidden", condition)):
            expected = np.mean([shares[f"{model}-seed{one}", at, true, predicted] for one in seeds])
            assert row[column] == pytest.approx(expected)
        assert row["shift"] == pytest.approx(row["share_hidden"] - row["share_full"], abs=1e-12)
    totals = found.groupby(["model", "seed", "condition", "true"])["shift"].sum()
    np.testing.assert_allclose(totals, 0, atol=1e-12)
    assert set(found.index.get_level_values("seed")) == {"0", "1", "mean"}


def test_single_networks_are_tested_exactly_over_groups():
    table = made(n=210)
    found = confusion_shifts(sampled(table, draws=50)).set_index(["true", "predicted"])
    wide = table.pivot_table(index="image", columns="condition", values="p_angry")
    label = table.drop_duplicates("image").set_index("image")["label"]
    of_disgust = wide[label.reindex(wide.index) == "disgust"] > 0.5
    gained = int((of_disgust["lower"] & ~of_disgust["full"]).sum())
    lost = int((of_disgust["full"] & ~of_disgust["lower"]).sum())
    expected = stats.binomtest(gained, gained + lost).pvalue
    assert found.loc[("disgust", "angry"), "p"] == pytest.approx(expected)
    np.testing.assert_allclose(found["p_holm"], multipletests(found["p"], method="holm")[1])


def test_five_images_that_all_move_are_no_discovery():
    # All of five move: exact p = 2 / 2^5 = .0625, where a t test would call it certain.
    labels = np.array([DISGUST] * 5 + [ANGRY] * 200)
    outcomes = {("full-seed0", "full"): labels, ("full-seed0", "lower"): np.full(205, ANGRY)}
    found = confusion_shifts(sampled(scored_predictions(outcomes, labels), draws=100))
    one = found.set_index(["true", "predicted"]).loc[("disgust", "angry")]
    assert one["shift"] == 1
    assert one["p"] == pytest.approx(0.0625)
    assert one["n"] == 5


def test_copies_count_as_one():
    # Two groups of ten copies each: both move, so p = 2 / 2^2, not 2 / 2^20.
    labels, groups = np.full(20, DISGUST), np.repeat([0, 1], 10)
    outcomes = {("full-seed0", "full"): labels, ("full-seed0", "lower"): np.full(20, ANGRY)}
    found = confusion_shifts(sampled(scored_predictions(outcomes, labels, groups=groups), draws=20))
    one = found.set_index(["true", "predicted"]).loc[("disgust", "angry")]
    assert one["p"] == pytest.approx(0.5)
    assert one["groups"] == 2
    absent = found[found["true"] == "happy"]
    assert absent["shift"].isna().all()
    assert absent["p"].isna().all()
    assert set(absent["reason"]) == {"no images"}


def test_whole_faces_and_another_condition_are_needed():
    table = made()
    for key in ("full", "lower"):
        with pytest.raises(UsageError, match="need condition full and another"):
            confusion_shifts(sampled(table[table["condition"] == key]))
