"""The published numbers, read off by cell, and the comparison with ours."""

import math

import pandas as pd
import pytest

from hemiface.errors import UsageError
from hemiface.stats import comparisons as original
from hemiface.stats.metrics import METRICS
from hemiface.tables import EMOTIONS


def published_at(model: str, condition: str) -> list[float]:
    table = original.published()
    rows = table[(table["model"] == model) & (table["condition"] == condition)]
    return rows["value"].tolist()[:4]


def test_cells_of_the_published_table():
    # One of each row and column, so that no row or column can have changed places (right is
    # printed before left).
    assert published_at("full", "upper") == [0.4444, 0.3111, 0.3804, 0.7939]
    assert published_at("upper", "lower") == [0.2010, 0.1235, 0.1387, 0.5530]
    assert published_at("lower", "right") == [0.3426, 0.2887, 0.3313, 0.7158]
    assert published_at("right", "left") == [0.3289, 0.2939, 0.3199, 0.7503]
    assert published_at("left", "full") == [0.6314, 0.5948, 0.6220, 0.8952]


def test_the_published_table_is_whole_and_plausible():
    table = original.published()
    assert len(table) == 5 * 5 * 4 + 2
    assert not table.duplicated(["model", "condition", "metric"]).any()
    assert set(table["metric"]) <= set(METRICS)
    assert table["value"].between(0, 1).all()
    # Every specialist is the best of the five models on its own condition.
    accuracy = table[table["metric"] == "accuracy"].pivot(
        index="model", columns="condition", values="value"
    )
    assert (accuracy.idxmax() == accuracy.columns).all()
    # The printed accuracies of all classes give the overall accuracy, with the split's counts.
    counts = {"angry": 958, "disgust": 111, "fear": 1024, "happy": 1774} | {
        "sad": 1247,
        "surprise": 831,
        "neutral": 1233,
    }
    assert tuple(original.CLASS_ACCURACY) == EMOTIONS
    hits = sum(counts[name] * share for name, share in original.CLASS_ACCURACY.items())
    assert hits / 7178 == pytest.approx(0.6649, abs=0.001)


def ours(value: float, **columns: object) -> dict[str, object]:
    defaults = {"protocol": "paper", "model": "full", "seed": "mean", "condition": "full"}
    numbers = {"value": value, "low": value - 0.01, "high": value + 0.01, "n": 7178}
    return defaults | {"metric": "accuracy"} | numbers | columns


def test_compare():
    matrix = pd.DataFrame(
        [
            ours(0.70),
            ours(0.99, protocol="standard"),
            ours(0.98, seed="0"),
            ours(0.30, model="right", condition="left"),
            ours(0.95, metric="micro_auc"),
            ours(0.97, metric="weighted_auc"),
            ours(0.5, condition="diagonal"),
        ]
    )
    table = original.compare(matrix)
    assert list(table) == list(original.COMPARISON_COLUMNS)
    assert len(table) == 102
    at = table.set_index(["model", "condition", "metric"])
    first = at.loc[("full", "full", "accuracy")]
    assert first[["original", "ours"]].tolist() == [0.6649, 0.70]
    assert first["difference"] == pytest.approx(0.0351)
    assert first[["low", "high"]].tolist() == pytest.approx([0.69, 0.71])
    assert first["above"]
    second = at.loc[("right", "left", "accuracy")]
    assert second["difference"] == pytest.approx(0.30 - 0.3289)
    assert not second["above"]
    assert at.loc[("full", "full", "micro_auc"), "original"] == 0.9306
    # scikit-learn's AUC is not what the original study calls weighted AUC.
    assert math.isnan(at.loc[("full", "full", "weighted_auc_paper"), "ours"])
    assert table["above"].dtype == bool
    assert table["above"].sum() == 2
    assert table["ours"].notna().sum() == 3


def test_nothing_to_compare_is_said():
    with pytest.raises(UsageError, match="protocol paper and seed mean"):
        original.compare(pd.DataFrame([ours(0.7, protocol="standard"), ours(0.7, seed="0")]))
