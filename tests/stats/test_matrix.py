"""The bootstrap against brute force and theory; the matrix against hand-made tables."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import described, sampled
from hemiface.config import StatisticsOptions
from hemiface.errors import UsageError
from hemiface.stats import matrix as s
from hemiface.stats.metrics import METRICS, PROTOCOLS, class_scores, select_protocol
from hemiface.stats.sample import group_weights
from hemiface.stats.scores import scores_over_draws
from hemiface.stats.significance import effective_units, expanded_quantiles
from hemiface.tables import (
    EMOTIONS,
    PREDICTION_COLUMNS,
    PROBABILITY_COLUMNS,
    Predictions,
    check_predictions,
)

EVERY_METRIC = pytest.mark.parametrize(
    "name", [one for one in METRICS if one != "weighted_auc_paper"]
)


def random_cell(
    rng: np.random.Generator, n: int, *, classes: int = 7, decimals: int = 8
) -> tuple[np.ndarray, np.ndarray]:
    labels = rng.integers(0, classes, n)
    logits = rng.normal(size=(n, 7))
    logits[np.arange(n), labels] += 1
    raw = np.round(np.exp(logits), decimals) + 0.25
    return raw / raw.sum(axis=1, keepdims=True), labels


def certain(predicted: list[int] | np.ndarray, confidence: float = 0.7) -> np.ndarray:
    p = np.full((len(predicted), 7), (1 - confidence) / 6)
    p[np.arange(len(predicted)), predicted] = confidence
    return p


def table(p: np.ndarray, labels: np.ndarray, **columns: object) -> pd.DataFrame:
    defaults: dict[str, object] = {
        "image": [f"i{k:04}" for k in range(len(labels))],
        "condition": "full",
        "model": "full-seed0",
        "dataset": "made",
        "split": "test",
        "label": np.asarray(EMOTIONS)[labels],
        "group": [f"i{k:04}" for k in range(len(labels))],
        "leaked": False,
    }
    result = pd.DataFrame(p, columns=list(PROBABILITY_COLUMNS)).assign(**(defaults | columns))
    return result[list(PREDICTION_COLUMNS)]


def matrix(study, protocols=tuple(PROTOCOLS), metrics=None, **options) -> pd.DataFrame:
    """The matrix by several protocols, one below the other."""
    return pd.concat(
        [s.matrix(sampled(study, one, **options), metrics) for one in protocols], ignore_index=True
    )


def estimate(study: pd.DataFrame, metric: str, **options) -> s.Estimate:
    return s.estimate(described(study), metric, StatisticsOptions(**options))


# Draws.


@EVERY_METRIC
@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(2, 40),
    classes=st.sampled_from([1, 2, 7]),
    decimals=st.sampled_from([0, 8]),
)
def test_vectorised_scores_equal_a_loop_over_resampled_rows(name, seed, n, classes, decimals):
    rng = np.random.default_rng(seed)
    p, y = random_cell(rng, n, classes=classes, decimals=decimals)
    groups = rng.integers(0, max(2, n // 2), n)
    weights = group_weights(groups.max() + 1, 12, seed)
    found = scores_over_draws(p, y, groups, weights, [name])[name]
    for draw in range(12):
        rows = np.repeat(np.arange(n), weights[groups, draw])
        expected = METRICS[name].function(p[rows], y[rows], None) if len(rows) else np.nan
        assert found[draw] == pytest.approx(expected, abs=1e-10, nan_ok=True)


@EVERY_METRIC
def test_more_draws_than_one_block(name):
    rng = np.random.default_rng(5)
    p, y = random_cell(rng, 60, decimals=1)
    weights = group_weights(60, 300, 1)
    together = scores_over_draws(p, y, np.arange(60), weights)[name]
    for draw in (0, 127, 128, 255, 256, 299):
        expected = METRICS[name].function(p, y, weights[:, draw].astype(float))
        assert together[draw] == pytest.approx(expected, abs=1e-10, nan_ok=True)


@pytest.mark.parametrize("decimals", [1, 8])
def test_the_papers_auc_of_the_images_and_of_draws(decimals):
    rng = np.random.default_rng(3)
    p, y = random_cell(rng, 2000, decimals=decimals)
    weights = group_weights(2000, 4, 1)
    weights[:, 0] = 1
    name = "weighted_auc_paper"
    found = scores_over_draws(p, y, np.arange(2000), weights, [name])[name]
    assert found[0] == pytest.approx(METRICS[name].function(p, y, None), abs=1e-12)
    for draw in range(1, 4):
        expected = METRICS[name].function(p, y, weights[:, draw].astype(float))
        assert found[draw] == pytest.approx(expected, abs=2e-4)


# Intervals.


def test_interval_of_an_accuracy_has_the_binomial_width():
    n = 1000
    y = np.zeros(n, int)
    p = certain(np.where(np.arange(n) < 700, 0, 1))
    one = estimate(table(p, y), "accuracy", draws=4000)
    assert (one.value, one.n, one.reason) == (0.7, n, "")
    assert one.high - one.low == pytest.approx(2 * 1.96 * math.sqrt(0.21 / n), rel=0.05)
    assert one.method == "95% percentile interval, 4000 bootstrap draws of 1000 groups"
    narrower = estimate(table(p, y), "accuracy", draws=4000, level=0.5)
    ratio = (narrower.high - narrower.low) / (one.high - one.low)
    assert ratio == pytest.approx(0.6745 / 1.96, rel=0.07)


def test_resampling_groups_is_wider_than_resampling_rows():
    # 100 groups of 9 copies: only 100 independent images, so the interval is 3 times as wide.
    right = np.arange(900) // 9 < 60
    y, p = np.zeros(900, int), certain(np.where(right, 0, 1))
    by_group = estimate(table(p, y, group=np.arange(900) // 9), "accuracy", draws=3000)
    by_row = estimate(table(p, y), "accuracy", draws=3000)
    assert by_group.value == by_row.value
    ratio = (by_group.high - by_group.low) / (by_row.high - by_row.low)
    assert ratio == pytest.approx(3, rel=0.1)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(8)
    covered = {"group": 0, "row": 0}
    trials = 200
    for trial in range(trials):
        right = np.repeat(rng.random(80) < 0.7, 4)
        y, p = np.zeros(320, int), certain(np.where(right, 0, 1))
        for unit, group in (("group", np.arange(320) // 4), ("row", np.arange(320))):
            one = estimate(table(p, y, group=group), "accuracy", draws=200, level=0.9, seed=trial)
            covered[unit] += one.low <= 0.7 <= one.high
    # Binomial(200, .9) has a standard deviation of .021; rows pretend to 4 times the evidence,
    # which leaves 2 * Phi(1.645 / 2) - 1 = .59.
    assert 0.83 < covered["group"] / trials < 0.96
    assert covered["row"] / trials < 0.70


def test_no_interval_where_too_many_draws_are_undefined():
    # One image of disgust: it is missing from 36 % of the draws.
    y = np.array([0, 1, *[2, 3, 4, 5, 6, 0] * 5])
    p, _ = random_cell(np.random.default_rng(2), len(y))
    one = estimate(table(p, y), "macro_auc", draws=500)
    assert math.isfinite(one.value)
    assert math.isnan(one.low)
    assert one.reason.startswith("undefined in ")
    assert math.isfinite(estimate(table(p, y), "weighted_auc", draws=500).low)


def test_undefined_estimates_say_why():
    none = estimate(table(np.empty((0, 7)), np.empty(0, int)), "accuracy", draws=10)
    assert math.isnan(none.value)
    assert (none.n, none.reason) == (0, "no images")
    single = estimate(table(certain([0, 1]), np.array([0, 0]), group="g"), "accuracy", draws=10)
    assert single.value == 0.5
    assert math.isnan(single.low)
    assert single.reason == "fewer than two groups to resample"
    one_class = estimate(table(certain([0, 1]), np.array([0, 0])), "weighted_auc", draws=10)
    assert one_class.reason == "every image is of the same emotion"


# The matrix.


def test_a_cell_rests_on_its_own_groups():
    """What another network was scored on says nothing of this one."""
    random = np.random.default_rng(3)
    parts = []
    for model, n, groups in (("a-seed0", 140, 140), ("b-seed0", 40, 4)):
        y = random.integers(0, 7, n)
        # Half of them right, of each group.
        p = certain(np.where(np.arange(n) % 8 < 4, y, (y + 1) % 7))
        group = [f"g{k % groups}" for k in range(n)]
        parts.append(table(p, y, model=model, group=group))
    study = pd.concat(parts, ignore_index=True)
    both = matrix(study, ["standard"], ["accuracy"], draws=50).set_index("model")
    a, b = both.loc[["a"]], both.loc[["b"]]
    assert a[["low", "high"]].notna().all(axis=None)
    assert (a["reason"] == "").all()
    assert b[["low", "high"]].isna().all(axis=None)
    assert b["reason"].str.contains("fewer than six groups").all()
    alone = matrix(study[study["model"] == "b-seed0"], ["standard"], ["accuracy"], draws=50)
    pd.testing.assert_frame_equal(alone.set_index("model"), b)


def made(rights: dict[tuple[str, str], tuple[int, int]]) -> pd.DataFrame:
    """Ten happy images, 4 of validation and 6 of test (the first 3 leaked).

    `rights`: how many validation and test images each (model, condition) gets right; the test
    images from the last one backwards.
    """
    split = ["validation"] * 4 + ["test"] * 6
    leaked = [False] * 4 + [True] * 3 + [False] * 3
    parts = []
    for (model, condition), (validation, test) in rights.items():
        right = np.array([k < validation for k in range(4)] + [5 - k < test for k in range(6)])
        p = certain(np.where(right, 3, 6))
        columns = {"model": model, "condition": condition, "split": split, "leaked": leaked}
        parts.append(table(p, np.full(10, 3), **columns))
    whole = pd.concat(parts, ignore_index=True)
    check_predictions(whole)
    return whole


MADE = {
    ("full-seed0", "full"): (4, 5),
    ("full-seed0", "upper"): (1, 2),
    ("full-seed1", "full"): (3, 3),
    ("full-seed1", "upper"): (0, 1),
    ("upper-seed0", "full"): (2, 3),
    ("upper-seed0", "upper"): (4, 4),
}


def test_matrix_of_a_hand_made_table():
    found = matrix(made(MADE), metrics=["accuracy", "brier_score"], draws=50)
    assert list(found) == list(s.MATRIX_COLUMNS)
    assert len(found) == 3 * (2 * 3 + 2 * 2) * 2
    at = found.set_index(["protocol", "model", "seed", "condition", "metric"]).sort_index()
    assert at.index.is_unique

    def value(*key: str) -> tuple[float, int]:
        row = at.loc[(*key, "accuracy")]
        return pytest.approx(row["value"]), row["n"]

    assert value("standard", "full", "0", "full") == (5 / 6, 6)
    assert value("standard", "full", "mean", "full") == ((5 / 6 + 3 / 6) / 2, 6)
    assert value("paper", "full", "0", "full") == (9 / 10, 10)
    assert value("paper", "full", "1", "upper") == (1 / 10, 10)
    assert value("leak-free", "full", "0", "upper") == (2 / 3, 3)
    assert value("leak-free", "upper", "mean", "upper") == (3 / 3, 3)
    # Hiding costs accuracy: the drop is positive. For a loss, which rises, it is negative.
    drop = at["drop_from_full"]
    assert drop["paper", "full", "0", "upper", "accuracy"] == pytest.approx(0.9 - 0.3)
    assert drop["paper", "full", "mean", "upper", "accuracy"] == pytest.approx(0.75 - 0.2)
    assert drop["paper", "upper", "0", "upper", "accuracy"] == pytest.approx(0.5 - 0.8)
    assert drop["paper", "full", "0", "full", "accuracy"] == 0
    # Right costs .3^2 + 6 * .05^2 = .105; wrong .95^2 + .7^2 + 5 * .05^2 = 1.405.
    expected = (0.9 * 0.105 + 0.1 * 1.405) - (0.3 * 0.105 + 0.7 * 1.405)
    assert drop["paper", "full", "0", "upper", "brier_score"] == pytest.approx(expected)
    assert expected < 0
    inside = (found["low"] <= found["value"] + 1e-12) & (found["value"] <= found["high"] + 1e-12)
    assert (inside | found["low"].isna()).all()
    # Percentiles of three images can't bound what they say.
    few = found[found["protocol"] == "leak-free"]
    assert few["low"].isna().all()


def test_matrix_order():
    found = matrix(made(MADE), ["paper", "standard"], ["accuracy"], draws=2)
    assert found["protocol"].unique().tolist() == ["paper", "standard"]
    paper = found[found["protocol"] == "paper"]
    assert paper[["model", "seed", "condition"]].to_numpy().tolist() == [
        [model, seed, condition]
        for model, seeds in (("full", ["0", "1", "mean"]), ("upper", ["0", "mean"]))
        for seed in seeds
        for condition in ("full", "upper")
    ]


def random_study(seed: int = 0, n: int = 80) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    y = random_cell(rng, n)[1]
    group = [f"g{k}" for k in rng.integers(0, n // 2, n)]
    parts = []
    for model in ("full-seed0", "full-seed1"):
        for condition in ("full", "left"):
            logits = rng.normal(size=(n, 7)) + 1.5 * np.eye(7)[y]
            p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            parts.append(table(p, y, model=model, condition=condition, group=group))
    return pd.concat(parts, ignore_index=True)


def test_no_score_lies_outside_its_interval_and_ece_has_none():
    found = matrix(random_study(), ["standard"], draws=200)
    assert set(found["metric"]) == set(METRICS)
    bare = found[["low", "high"]].isna()
    assert bare.eq(found["metric"] == "ece", axis=0).all(axis=None)
    rest = found[found["metric"] != "ece"]
    assert ((rest["low"] < rest["value"]) & (rest["value"] < rest["high"])).all()
    cell = random_study().query("model == 'full-seed0' and condition == 'full'")
    assert "add to its bias" in estimate(cell, "ece", draws=20).reason


def test_matrix_agrees_with_the_metrics_and_with_estimate():
    study = random_study()
    found = matrix(study, ["standard"], draws=100, seed=5)
    for row in found[found["seed"] == "1"].itertuples():
        cell = study[(study["model"] == "full-seed1") & (study["condition"] == row.condition)]
        one = estimate(cell, row.metric, draws=100, seed=5)
        assert (row.value, row.n) == (one.value, one.n)
        np.testing.assert_array_equal([row.low, row.high], [one.low, one.high])
        p = cell[list(PROBABILITY_COLUMNS)].to_numpy()
        y = cell["label"].map(EMOTIONS.index).to_numpy()
        assert row.value == pytest.approx(METRICS[row.metric].function(p, y, None), abs=1e-12)


def test_what_a_seed_lacks_is_not_averaged_over_other_seeds():
    study = random_study()
    lacks = study[~((study["model"] == "full-seed1") & (study["condition"] == "left"))]
    found = matrix(lacks, ["standard"], ["accuracy"], draws=20)
    of_full = found[found["model"] == "full"].set_index(["condition", "seed"])["value"]
    assert ("left", "0") in of_full.index
    assert ("left", "mean") not in of_full.index
    assert of_full["full", "mean"] == pytest.approx(of_full["full"][["0", "1"]].mean())
    scores = s.class_scores(sampled(lacks, "standard", draws=20))
    averaged = scores[(scores["model"] == "full") & (scores["seed"] == "mean")]
    assert set(averaged["condition"]) == set(study["condition"]) - {"left"}


def test_the_mean_is_over_seeds_within_each_draw():
    study = random_study(1)
    codes, known = pd.factorize(study["group"], sort=True)
    weights = group_weights(len(known), 200, seed=7)
    draws = []
    for model in ("full-seed0", "full-seed1"):
        mask = ((study["model"] == model) & (study["condition"] == "left")).to_numpy()
        right = (
            study.loc[mask, list(PROBABILITY_COLUMNS)].to_numpy().argmax(axis=1)
            == study.loc[mask, "label"].map(EMOTIONS.index).to_numpy()
        )
        used = weights[codes[mask]]
        draws.append(right @ used / used.sum(axis=0))
    units = float(effective_units(np.bincount(codes)))
    low, high = np.quantile(np.mean(draws, axis=0), expanded_quantiles(0.95, units))
    found = matrix(study, ["standard"], ["accuracy"], draws=200, seed=7)
    row = found[(found["seed"] == "mean") & (found["condition"] == "left")].iloc[0]
    assert (row["low"], row["high"]) == (pytest.approx(low), pytest.approx(high))
    # Averaging the seeds' limits instead would ignore that their errors partly cancel.
    singles = found[(found["seed"] != "mean") & (found["condition"] == "left")]
    assert row["high"] - row["low"] < (singles["high"] - singles["low"]).mean()


def test_cells_share_their_draws_and_row_order_does_not_matter():
    study = random_study(2)
    twin = study[study["condition"] == "full"].assign(condition="right")
    study = pd.concat([study, twin], ignore_index=True)
    found = matrix(study, ["standard"], draws=60)
    columns = ["value", "low", "high"]
    of = {name: part[columns].to_numpy() for name, part in found.groupby("condition")}
    np.testing.assert_array_equal(of["full"], of["right"])
    shuffled = matrix(study.sample(frac=1, random_state=1), ["standard"], draws=60)
    key = ["model", "seed", "condition", "metric"]
    pd.testing.assert_frame_equal(
        found.sort_values(key, ignore_index=True), shuffled.sort_values(key, ignore_index=True)
    )


def test_protocols_without_images_keep_their_rows():
    study = random_study(3).assign(leaked=True)
    found = matrix(study, draws=10).set_index("protocol")
    for protocol in ("leak-free", "paper"):  # all is leaked; there is no validation split
        rows = found.loc[protocol]
        assert len(rows) == len(found.loc["standard"])
        assert (rows["n"] == 0).all()
        assert rows[["value", "low", "high", "drop_from_full"]].isna().all(axis=None)
    assert found.loc["standard", "value"].notna().all()
    tables = [s.class_scores(sampled(study, one)) for one in ("standard", "leak-free")]
    scores = pd.concat(tables).set_index("protocol")
    assert len(scores.loc["leak-free"]) == len(scores.loc["standard"])
    assert (scores.loc["leak-free", "support"] == 0).all()
    assert scores.loc["leak-free", "recall"].isna().all()


def test_without_condition_full_there_is_no_drop():
    study = random_study(4)
    found = matrix(study[study["condition"] == "left"], ["standard"], ["accuracy"], draws=5)
    assert found["value"].notna().all()
    assert found["drop_from_full"].isna().all()


def test_class_score_table():
    study = random_study(5)
    found = s.class_scores(sampled(study))
    assert list(found) == [
        *("protocol", "model", "seed", "condition", "emotion"),
        *("precision", "recall", "f1", "auc", "average_precision", "support"),
    ]
    assert len(found) == 3 * 2 * 7
    at = found.set_index(["seed", "condition", "emotion"])
    expected = class_scores(select_protocol(study, "standard"))
    expected = expected.set_index(["model", "condition", "emotion"])
    for condition in ("full", "left"):
        for column in ("precision", "recall", "f1", "auc", "average_precision", "support"):
            seeds = [expected.loc[(f"full-seed{k}", condition), column] for k in (0, 1)]
            for k in (0, 1):
                pd.testing.assert_series_equal(at.loc[(str(k), condition), column], seeds[k])
            mean = at.loc[("mean", condition), column]
            np.testing.assert_allclose(mean, (seeds[0] + seeds[1]) / 2)
    assert at["support"].dtype == np.int64


def test_progress_counts_every_cell_that_is_scored():
    seen: list[tuple[int, int]] = []
    one = sampled(random_study(6), draws=2)
    for _ in range(2):
        s.matrix(one, ["accuracy"], lambda done, total: seen.append((done, total)))
    assert seen == [(k, 4) for k in range(1, 5)]


def test_wrong_usage_is_named():
    study = random_study(7)
    with pytest.raises(UsageError, match="nonesuch"):
        matrix(study, ["nonesuch"])
    with pytest.raises(UsageError, match="f1"):
        matrix(study, metrics=["f1"])
    with pytest.raises(UsageError, match="level"):
        matrix(study, level=95)
    with pytest.raises(UsageError, match="draws"):
        estimate(study.iloc[:80], "accuracy", draws=0)
    with pytest.raises(UsageError, match="4 such cells"):
        estimate(study, "accuracy")
    twins = [{"model": f"full-seed{k}", "name": "full", "seed": 0} for k in (0, 1)]
    with pytest.raises(UsageError, match="full-seed0, full-seed1 are all full with seed 0"):
        matrix(Predictions(study, {"models": twins}))


@pytest.mark.parametrize("whole", [True, False])
def test_sums_are_the_same_whatever_type_the_weights_have(whole):
    rng = np.random.default_rng(5)
    labels = np.arange(420) % 7
    values = np.round(rng.dirichlet(np.ones(7), 420), 2) + 1e-3
    values /= values.sum(axis=1, keepdims=True)
    groups = np.arange(420) // 2
    weights = group_weights(210, 9, seed=1)
    given = weights if whole else weights.astype(np.float64)
    found = scores_over_draws(values, labels, groups, given)
    for draw in range(9):
        repeated = weights[groups, draw].astype(np.float64)
        for name, metric in METRICS.items():
            wanted = metric.function(values, labels, repeated)
            about = 2e-3 if name == "weighted_auc_paper" else 1e-12  # its points are the data's
            assert found[name][draw] == pytest.approx(wanted, abs=about)
