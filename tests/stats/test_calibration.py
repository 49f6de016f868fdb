"""Temperatures: planted ones are found, scikit-learn agrees, test images are never fitted on."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import binom
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from builders import described, overconfident, overconfident_predictions, sampled
from hemiface.errors import UsageError
from hemiface.stats import calibration as c
from hemiface.stats.metrics import METRICS, log_losses
from hemiface.tables import (
    PROBABILITY_COLUMNS,
    Predictions,
    check_predictions,
    label_indices,
    probabilities,
)

CELLS = {
    ("full-seed0", "full"): 1.5,
    ("full-seed0", "upper"): 3.0,
    ("any-seed0", "full"): 0.6,
    ("any-seed0", "upper"): 1.0,
}


@pytest.fixture(scope="module")
def predictions() -> Predictions:
    return overconfident_predictions(CELLS)


@pytest.fixture(scope="module")
def table(predictions) -> pd.DataFrame:
    return predictions.table


@pytest.fixture(scope="module")
def fitted(predictions) -> pd.DataFrame:
    return c.fit_temperatures(predictions)


class TestScale:
    @settings(max_examples=30)
    @given(seed=st.integers(0, 2**32 - 1), temperature=st.floats(0.2, 10))
    def test_it_is_the_softmax_of_divided_logits(self, seed, temperature):
        logits = np.random.default_rng(seed).normal(0, 3, (20, 7))
        found = c.scale(softmax(logits, axis=1), temperature)
        np.testing.assert_allclose(found, softmax(logits / temperature, axis=1), atol=1e-12)
        np.testing.assert_array_equal(found.argmax(axis=1), logits.argmax(axis=1))

    def test_dividing_probabilities_is_something_else(self):
        p = np.array([[0.7, 0.2, 0.1]])
        assert abs(c.scale(p, 2.0) - softmax(p / 2.0, axis=1)).max() > 0.1
        np.testing.assert_allclose(c.scale(p, 1.0), p)

    def test_zeros_stay_finite(self):
        found = c.scale(np.array([[1.0, 0.0, 0.0]]), 5.0)
        assert np.isfinite(found).all()
        assert found.sum() == pytest.approx(1)

    def test_one_temperature_per_row(self):
        p, _ = overconfident(4, 1.0)
        found = c.scale(p, [1.0, 2.0, 3.0, 0.5])
        for row, temperature in enumerate([1.0, 2.0, 3.0, 0.5]):
            np.testing.assert_allclose(found[row], c.scale(p[[row]], temperature)[0])


class TestFit:
    @pytest.mark.parametrize("planted", [0.5, 1.0, 2.5])
    def test_the_planted_temperature_is_found(self, planted):
        temperature, reason = c.fit_temperature(*overconfident(20_000, planted))
        assert temperature == pytest.approx(planted, rel=0.04)
        assert reason == ""

    def test_scikit_learn_fits_the_same(self):
        pytest.importorskip("sklearn", "1.8", reason="scikit-learn fits temperatures since 1.8")
        # A classifier whose decision function is known: logits go in as features.
        random = np.random.default_rng(3)
        x = random.normal(0, 1, (800, 7))
        y = (softmax(x, axis=1).cumsum(axis=1) < random.random((800, 1))).sum(axis=1)
        base = LogisticRegression().fit(x, y)
        base.coef_, base.intercept_ = 4 * np.eye(7), np.zeros(7)
        theirs = CalibratedClassifierCV(FrozenEstimator(base), method="temperature").fit(x, y)
        temperature, _ = c.fit_temperature(softmax(4 * x, axis=1), y)
        ours = c.scale(softmax(4 * x, axis=1), temperature)
        np.testing.assert_allclose(ours, theirs.predict_proba(x), atol=2e-4)

    def test_it_minimises_log_loss_and_not_the_calibration_error(self):
        p, labels = overconfident(400, 2.0, seed=5)
        temperature, _ = c.fit_temperature(p, labels)
        grid = np.geomspace(0.5, 8, 200)
        losses = [METRICS["log_loss"].function(c.scale(p, t), labels, None) for t in grid]
        errors = [METRICS["ece"].function(c.scale(p, t), labels, None) for t in grid]
        step = grid[1] / grid[0]
        assert 1 / step < temperature / grid[int(np.argmin(losses))] < step
        assert not 1 / step < temperature / grid[int(np.argmin(errors))] < step

    def test_no_minimum_is_said(self):
        p, _ = overconfident(50, 1.0)
        temperature, reason = c.fit_temperature(p, p.argmax(axis=1))
        assert temperature == pytest.approx(0.05, rel=0.01)
        assert reason.startswith("no minimum inside the range")

    @pytest.mark.parametrize("margin", [1e-4, 0.05, 1.0, 30.0])
    def test_without_a_mistake_there_is_no_minimum_however_small_the_margin(self, margin):
        labels = np.arange(70) % 7
        p = softmax(margin * (labels[:, None] == np.arange(7)), axis=1)
        for asked, end in ((labels, 0.05), ((labels + 1) % 7, 20.0)):
            temperature, reason = c.fit_temperature(p, asked)
            assert temperature == end
            assert reason.startswith("no minimum")

    @pytest.mark.parametrize(
        ("strength", "right", "end", "why"),
        [(0.1, 0.9, 0.05, "far too unsure"), (0.1, 1.0, 0.05, "no image is wrong"),
         (0.0, 0.9, 20, "know nothing of the labels"), (60.0, 0.5, 20, "far too sure"),
         (60.0, 1 / 7, 20, "know nothing of the labels")],
    )  # fmt: skip
    def test_why_there_is_no_minimum_is_true(self, strength, right, end, why):
        labels = np.arange(2100) % 7
        said = np.where(np.arange(2100) // 7 < 300 * right, labels, (labels + 1) % 7)
        values = softmax(strength * (said[:, None] == np.arange(7)), axis=1)
        temperature, reason = c.fit_temperature(values, labels)
        assert temperature == end
        assert why in reason
        if why == "far too unsure":
            losses = [log_losses(c.scale(values, one), labels).mean() for one in (1, end)]
            assert losses[1] < losses[0] - 0.5


class TestTable:
    def test_a_fit_in_doubt_takes_the_pooled_temperature_and_says_so(self, table, predictions):
        faultless = table.copy()
        at = (table["model"] == "any-seed0") & (table["condition"] == "full")
        at &= table["split"] == "validation"
        right = label_indices(table.loc[at])[:, None] == np.arange(7)
        faultless.loc[at, list(PROBABILITY_COLUMNS)] = softmax(2.0 * right, axis=1).astype(
            "float32"
        )
        made = Predictions(faultless, predictions.facts)
        found = c.fit_temperatures(made)
        rows = found[found["model"] == "any-seed0"].set_index("condition")
        pooled = rows.at["pooled", "temperature"]
        assert rows.at["full", "temperature"] == pooled != 0.05
        assert rows["reason"].astype(bool).tolist() == [False, True, False]
        scores = c.calibration_scores(sampled(made, draws=20), found, ["log_loss"])
        cell = scores[(scores["model"] == "any") & (scores["condition"] == "full")]
        cell = cell.set_index("calibration")
        assert cell["reason"].str.contains("another temperature").tolist() == [False, False, True]
        assert cell.at["by visibility", "value"] == cell.at["pooled", "value"]
        assert c.doubts(found) == [
            f"A temperature of any-seed0 under full can't be fitted, the pooled one ({pooled:.2f}) "
            "is used: no minimum inside the range, for no image is wrong; more or other "
            "validation images are needed."
        ]

    def test_who_knows_nothing_is_as_flat_as_can_be(self, table, predictions):
        """The pooled temperature would make them sure of nothing."""
        at = (table["model"] == "any-seed0") & (table["condition"] == "full")
        at &= table["split"] == "validation"
        wrong = table.copy()
        columns = list(PROBABILITY_COLUMNS)
        wrong.loc[at, columns] = np.roll(table.loc[at, columns].to_numpy(), 1, axis=1)
        found = c.fit_temperatures(Predictions(wrong, predictions.facts))
        row = found[(found["model"] == "any-seed0") & (found["condition"] == "full")].iloc[0]
        assert row["temperature"] == 20
        assert row["reason"].endswith("know nothing of the labels")
        assert row["loss_after"] == pytest.approx(np.log(7), abs=0.05)
        assert c.doubts(found) == []

    def test_one_in_doubt_over_all_conditions_is_1(self, table, predictions):
        right = label_indices(table)[:, None] == np.arange(7)
        faultless = table.assign(
            **dict(zip(PROBABILITY_COLUMNS, softmax(2.0 * right, axis=1).T, strict=True))
        )
        found = c.fit_temperatures(Predictions(faultless, predictions.facts))
        assert (found["temperature"] == 1).all()
        assert "over all conditions can't be fitted, 1 is used" in c.doubts(found)[0]

    def test_only_validation_images_are_used(self, table, fitted):
        test = table["split"] == "test"
        columns = list(PROBABILITY_COLUMNS)
        spoilt = table.copy()
        spoilt.loc[test, columns] = spoilt.loc[test, columns].to_numpy()[:, ::-1]
        pd.testing.assert_frame_equal(c.fit_temperatures(described(spoilt)), fitted)
        assert fitted["n"].tolist() == [1200, 600, 600] * 2

    @pytest.mark.parametrize("split", ["test", "train"])
    def test_other_splits_are_refused(self, table, split):
        other = table[table["split"] == "test"].assign(split=split)
        with pytest.raises(UsageError, match="fitted on validation images and there are none"):
            c.fit_temperatures(described(other))

    def test_pooled_and_by_visibility(self, table, fitted):
        at = fitted.set_index(["model", "condition"])["temperature"]
        for cell, planted in CELLS.items():
            assert at[cell] == pytest.approx(planted, rel=0.2)
        assert at["full-seed0", "full"] < at["full-seed0", "pooled"] < at["full-seed0", "upper"]
        assert (fitted["loss_after"] <= fitted["loss_before"] + 1e-9).all()
        shuffled = c.fit_temperatures(described(table.sample(frac=1, random_state=0)))
        again = shuffled.set_index(["model", "condition"])["temperature"]
        np.testing.assert_allclose(again[at.index], at, rtol=1e-5)

    @pytest.mark.parametrize("calibration", ["pooled", "by visibility"])
    def test_applied_row_by_row(self, table, fitted, calibration):
        shuffled = table.sample(frac=1, random_state=2)
        scaled = c.apply_temperatures(described(shuffled), fitted, calibration).table
        check_predictions(scaled)
        at = fitted.set_index(["model", "condition"])["temperature"]
        keys = shuffled["condition"] if calibration == "by visibility" else ["pooled"] * len(table)
        each = [at[cell] for cell in zip(shuffled["model"], keys, strict=True)]
        np.testing.assert_allclose(
            probabilities(scaled), c.scale(probabilities(shuffled), each), atol=1e-6
        )
        rest = [name for name in table if name not in PROBABILITY_COLUMNS]
        pd.testing.assert_frame_equal(scaled[rest], shuffled[rest])
        assert (
            probabilities(scaled).argmax(axis=1) == probabilities(shuffled).argmax(axis=1)
        ).all()

    def test_none_changes_nothing_and_an_unknown_condition_takes_the_pooled(self, table, fitted):
        same = c.apply_temperatures(described(table), fitted, "none").table
        pd.testing.assert_frame_equal(same, table, check_dtype=False)
        pooled = c.temperature_of(fitted, "full-seed0", "pooled")
        assert c.temperature_of(fitted, "full-seed0", "left") == pooled
        with pytest.raises(UsageError, match="No temperature was fitted for model nobody"):
            c.temperature_of(fitted, "nobody", "full")
        with pytest.raises(UsageError, match="Calibration 'isotonic' is unknown"):
            c.temperature_of(fitted, "full-seed0", "full", "isotonic")


def debiased_by_hand(confidence, correct, bins=15):
    """Kumar et al. 2019, section 5, by loops over bins of equal numbers."""
    order = sorted(range(len(confidence)), key=lambda index: confidence[index])
    total = 0.0
    for part in np.array_split(order, bins):
        n = len(part)
        s = sum(confidence[index] for index in part) / n
        y = sum(bool(correct[index]) for index in part) / n
        total += n / len(order) * ((s - y) ** 2 - y * (1 - y) / (n - 1))
    return total


class TestCalibrationError:
    def test_it_is_the_papers_formula(self):
        p, labels = overconfident(15 * 40, 2.0)
        by_hand = debiased_by_hand(p.max(axis=1), p.argmax(axis=1) == labels)
        assert c.squared_calibration_error(p, labels) == pytest.approx(by_hand, rel=1e-12)
        assert c.rms_calibration_error(p, labels) == pytest.approx(by_hand**0.5, rel=1e-12)

    def test_of_a_calibrated_network_it_is_zero_on_average_and_the_plain_one_is_not(self):
        found = np.array(
            [
                (
                    c.squared_calibration_error(p, labels),
                    METRICS["ece"].function(p, labels, None),
                    c.ece_floor(p, draws=20, seed=seed),
                    c.rms_calibration_error(p, labels),
                )
                for seed in range(300)
                for p, labels in [overconfident(600, 1.0, seed)]
            ]
        )
        mean, error = found.mean(axis=0), found.std(axis=0) / len(found) ** 0.5
        assert abs(mean[0]) < 3.5 * error[0]
        assert 0.3 < (found[:, 0] < 0).mean() < 0.7
        # Without the correction it is far off zero: the next estimator would fail here.
        assert mean[1] > 50 * error[1]
        # All of the plain error is the floor's.
        assert mean[1] == pytest.approx(mean[2], abs=4 * error[1])
        assert (found[:, 3] == 0).mean() > 0.3

    def test_where_the_error_is_known_it_is_found(self):
        # Always .8 sure of one of seven emotions and right in 60 %: the gap is .2 everywhere.
        rng = np.random.default_rng(0)
        p = np.full((40_000, 7), 0.2 / 6)
        p[:, 0] = 0.8
        p[:, 1:] += rng.uniform(0, 1e-6, (40_000, 6))
        p /= p.sum(axis=1, keepdims=True)
        labels = np.where(rng.random(40_000) < 0.6, 0, 1)
        assert c.rms_calibration_error(p, labels) == pytest.approx(0.2, abs=0.01)
        assert METRICS["ece"].function(p, labels, None) == pytest.approx(0.2, abs=0.01)
        assert c.ece_floor(p) < 0.003

    def test_the_floor_is_the_mean_distance_of_a_binomial(self):
        # One bin, one confidence: E|X / n - p| of a binomial, by its exact sum.
        n, sure = 50, 0.7
        p = np.tile([sure, *[(1 - sure) / 6] * 6], (n, 1))
        exact = sum(binom.pmf(k, n, sure) * abs(k / n - sure) for k in range(n + 1))
        assert c.ece_floor(p, draws=20_000) == pytest.approx(exact, rel=0.02)
        assert c.ece_floor(p) == c.ece_floor(p[::-1])

    def test_more_images_lower_the_floor_by_the_root(self):
        small, large = (c.ece_floor(overconfident(n, 1.0)[0]) for n in (1_000, 16_000))
        assert small / large == pytest.approx(4, rel=0.15)

    @settings(max_examples=30)
    @given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 200), ties=st.booleans())
    def test_order_does_not_matter(self, seed, n, ties):
        p, labels = overconfident(n, 1.5, seed)
        if ties:
            p = p[np.random.default_rng(seed).integers(0, max(n // 4, 1), n)]
        order = np.random.default_rng(seed).permutation(n)
        same = c.squared_calibration_error(p, labels)
        found = c.squared_calibration_error(p[order], labels[order])
        assert found == pytest.approx(same, abs=1e-12, nan_ok=True)
        assert c.ece_floor(p[order], 20) == c.ece_floor(p, 20)

    def test_too_few_images_are_no_error(self):
        p, labels = overconfident(1, 1.0)
        assert np.isnan(c.squared_calibration_error(p, labels))
        assert np.isnan(c.rms_calibration_error(p, labels))
        assert np.isnan(c.ece_floor(p[:0]))


class TestScores:
    def test_before_and_after_on_test_images(self, table, fitted):
        found = c.calibration_scores(sampled(table, draws=100), fitted)
        assert len(found) == 4 * 3 * len(c.CALIBRATION_METRICS)
        assert set(found["n"]) == {600}
        at = found.set_index(["model", "condition", "calibration", "metric"])
        test = table[table["split"] == "test"]
        for model, condition in CELLS:
            cell = test[(test["model"] == model) & (test["condition"] == condition)]
            name = model.removesuffix("-seed0")
            for calibration in c.CALIBRATIONS:
                temperature = c.temperature_of(fitted, model, condition, calibration)
                p = c.scale(probabilities(cell), temperature)
                for metric, value in {
                    "ece_floor": c.ece_floor(p),
                    "rms_calibration_error": c.rms_calibration_error(p, label_indices(cell)),
                }.items():
                    row = at.loc[(name, condition, calibration, metric)]
                    assert row["value"] == pytest.approx(value, abs=1e-9)
                    assert np.isnan(row["low"])
                    assert row["reason"]
                for metric in ("log_loss", "brier_score", "ece"):
                    row = at.loc[(name, condition, calibration, metric)]
                    expected = METRICS[metric].function(p, label_indices(cell), None)
                    assert row["value"] == pytest.approx(expected, abs=1e-9)
                    assert row["temperature"] == temperature
                    if metric == "ece":
                        # Drawn twice, images lift it: its draws would lie above it.
                        assert np.isnan([row["low"], row["high"]]).all()
                        assert row["reason"]
                    else:
                        assert row["low"] < row["value"] < row["high"]
        # Overconfident by three: most of the error goes, and only by visibility.
        value = {key[2:]: at["value"][key] for key in at.index if key[:2] == ("full", "upper")}
        assert value["by visibility", "ece"] < value["none", "ece"] / 3
        assert value["by visibility", "log_loss"] < value["pooled", "log_loss"]

    def test_unknown_metrics_are_told(self, table, fitted):
        with pytest.raises(UsageError, match="Metric ece_flour is unknown"):
            c.calibration_scores(sampled(table, draws=5), fitted, ["ece_flour"])
        chosen = c.calibration_scores(sampled(table, draws=5), fitted, ["ece_floor"])
        assert set(chosen["metric"]) == {"ece_floor"}

    def test_reliability_of_every_cell(self, table, fitted):
        found = c.reliability_table(sampled(table), fitted)
        assert len(found) == 4 * 3 * 15
        keys = ["model", "seed", "condition", "calibration"]
        assert list(found.columns) == [*keys, "low", "high", "confidence", "accuracy", "count"]
        assert set(found.groupby(keys)["count"].sum()) == {600}
        scores = c.calibration_scores(sampled(table, draws=5), fitted, ["ece"]).set_index(keys)
        gaps = (found["accuracy"] - found["confidence"]).abs() * found["count"] / 600
        ece = gaps.groupby([found[key] for key in keys]).sum()
        np.testing.assert_allclose(ece, scores["value"].reindex(ece.index), atol=1e-9)

    def test_validation_images_are_not_scored(self, table, fitted):
        with pytest.raises(UsageError, match="Protocol paper scores validation images"):
            c.calibration_scores(sampled(table, "paper"), fitted)
