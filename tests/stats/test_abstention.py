"""Risk and coverage by brute force; thresholds keep what they promise in simulation."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import auc

from builders import described, overconfident_predictions, sampled
from hemiface.errors import UsageError
from hemiface.stats import abstention as a
from hemiface.stats.calibration import apply_temperatures, fit_temperatures
from hemiface.tables import label_indices, probabilities


def brute_force(confidence: np.ndarray, correct: np.ndarray) -> float:
    """AURC by its definition: at each image's own confidence, the risk of all as confident."""
    return float(np.mean([(~correct[confidence >= own]).mean() for own in confidence]))


CELLS = {("full-seed0", "full"): 1.5, ("full-seed0", "upper"): 3.0, ("any-seed0", "full"): 0.6}
CASE = st.lists(st.tuples(st.sampled_from([0.3, 0.5, 0.7, 0.9, 0.95]), st.booleans()), min_size=1)


class TestCurves:
    @settings(max_examples=60)
    @given(case=CASE, seed=st.integers(0, 9))
    def test_area_by_its_definition_in_any_order(self, case, seed):
        confidence, correct = (np.array(column) for column in zip(*case, strict=True))
        area, excess = a.aurc(confidence, correct)
        assert area == pytest.approx(brute_force(confidence, correct))
        order = np.random.default_rng(seed).permutation(len(case))
        assert a.aurc(confidence[order], correct[order]) == pytest.approx((area, excess))
        assert excess >= -1e-12

    def test_a_hand_made_curve(self):
        confidence = np.array([0.9, 0.8, 0.8, 0.6])
        correct = np.array([True, False, True, False])
        threshold, coverage, risk = a.risk_coverage(confidence, correct)
        assert threshold.tolist() == [0.9, 0.8, 0.6]
        assert coverage.tolist() == [0.25, 0.75, 1]
        assert risk == pytest.approx([0, 1 / 3, 1 / 2])
        area, excess = a.aurc(confidence, correct)
        assert area == pytest.approx((0 + 1 / 3 + 1 / 3 + 1 / 2) / 4)
        # The best order: two hits first, then risks 1/3 and 2/4.
        assert area - excess == pytest.approx((1 / 3 + 1 / 2) / 4)
        # Neighbours: the trapezoid under the curve, and tied images one by one as they come.
        assert area != pytest.approx(auc(coverage, risk))
        assert area != pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)

    def test_perfect_order_has_no_excess_and_no_images_no_area(self):
        correct = np.arange(10) < 7
        assert a.aurc(np.linspace(1, 0.2, 10), correct)[1] == pytest.approx(0)
        assert a.aurc(np.linspace(0.2, 1, 10), correct)[1] > 0.3
        assert all(map(math.isnan, a.aurc(np.empty(0), np.empty(0, dtype=bool))))


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return overconfident_predictions(CELLS).table


class TestTables:
    def test_curves_and_areas_of_every_cell(self, table):
        temperatures = fit_temperatures(described(table))
        curves, areas = a.risk_coverage_table(sampled(table, draws=60), temperatures)
        scaled = apply_temperatures(described(table), temperatures).table
        assert len(areas) == len(CELLS)
        for row in areas.itertuples():
            cell = scaled[
                (scaled["model"] == f"{row.model}-seed0")
                & (scaled["condition"] == row.condition)
                & (scaled["split"] == "test")
            ]
            p = probabilities(cell)
            correct = p.argmax(axis=1) == label_indices(cell)
            assert row.aurc == pytest.approx(brute_force(p.max(axis=1), correct))
            assert row.low < row.aurc < row.high
            curve = curves[(curves["model"] == row.model) & (curves["condition"] == row.condition)]
            assert len(curve) == a.CURVE_POINTS
            last = curve.iloc[-1]
            assert (last["coverage"], last["risk"]) == pytest.approx((1, 1 - correct.mean()))
            answered = p.max(axis=1) >= curve["threshold"].iloc[40]
            assert curve["coverage"].iloc[40] == pytest.approx(answered.mean())
            assert curve["risk"].iloc[40] == pytest.approx((~correct[answered]).mean())

    def test_an_interval_is_that_of_repeated_images(self, table):
        # A draw's weights mean repeated rows: brute force on one draw.
        from hemiface.stats.abstention import _areas

        random = np.random.default_rng(0)
        confidence, correct = random.choice([0.2, 0.4, 0.9], 30), random.random(30) < 0.6
        weights = random.integers(0, 4, (30, 5))
        for draw, found in zip(weights.T, _areas(confidence, correct, weights), strict=True):
            repeated = np.repeat(np.arange(30), draw)
            assert found == pytest.approx(brute_force(confidence[repeated], correct[repeated]))
        assert len(table)


class TestThresholds:
    def test_the_promise_is_kept_as_often_as_it_says(self):
        random = np.random.default_rng(4)
        broken = {"assured": 0, "observed": 0}
        trials = 150
        for _ in range(trials):
            confidence = random.uniform(0.3, 1, 600)
            correct = random.random(600) < confidence
            for kind, assurance in (("assured", 0.9), ("observed", None)):
                threshold, _, _ = a.guaranteed_threshold(confidence, correct, 0.15, assurance)
                # Of those answered, confidences are uniform above the threshold.
                true_risk = 1 - (1 + threshold) / 2
                broken[kind] += true_risk > 0.15
        assert broken["assured"] / trials <= 0.1
        # The neighbour, which trusts the observed risk, breaks it about every other time.
        assert broken["observed"] / trials > 0.3

    def test_what_it_achieves_on_test_images(self, table):
        found = a.threshold_for_risk(sampled(table, draws=100), 0.25)
        assert len(found) == len(CELLS)
        for row in found.itertuples():
            cell = table[
                (table["model"] == f"{row.model}-seed0") & (table["condition"] == row.condition)
            ]
            for split, risk, coverage in (
                ("validation", row.validation_risk, row.validation_coverage),
                ("test", row.risk, row.coverage),
            ):
                part = cell[cell["split"] == split]
                p = probabilities(part)
                answered = p.max(axis=1) >= row.threshold
                wrong = p.argmax(axis=1) != label_indices(part)
                assert coverage == pytest.approx(answered.mean())
                assert risk == pytest.approx(wrong[answered].mean())
            assert row.risk_low < row.risk < row.risk_high
            assert row.coverage_low < row.coverage < row.coverage_high
            assert (row.target, row.assurance, row.n, row.reason) == (0.25, 0.95, 600, "")
            # The exact bound on the validation risk lies below the target even uncorrected.
            k = round(row.validation_risk * row.validation_coverage * 600)
            n = round(row.validation_coverage * 600)
            assert stats.binomtest(k, n).proportion_ci(0.9, method="exact").high < 0.25

    def test_more_is_answered_without_assurance(self, table):
        sure = a.threshold_for_risk(sampled(table, draws=20), 0.25)
        plain = a.threshold_for_risk(sampled(table, draws=20), 0.25, assurance=None)
        assert (plain["coverage"] > sure["coverage"]).all()
        assert (plain["validation_risk"] <= 0.25).all()
        assert plain["assurance"].isna().all()

    def test_a_risk_that_none_keeps(self, table):
        found = a.threshold_for_risk(sampled(table, draws=20), 1e-6)
        assert found["threshold"].isna().all()
        assert found[["risk", "risk_low", "coverage", "coverage_high"]].isna().all(axis=None)
        assert set(found["reason"]) == {"no threshold keeps this risk on validation images"}

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            ({"risk": 0.0}, "A risk must lie between 0 and 1, got 0.0"),
            ({"risk": 0.1, "assurance": 1.0}, "An assurance must lie between 0 and 1, got 1.0"),
            ({"risk": 0.1, "protocol": "paper"}, "Protocol paper scores validation images"),
        ],
    )
    def test_errors(self, table, options, sentence):
        sample = sampled(table, options.pop("protocol", "standard"))
        with pytest.raises(UsageError, match=sentence):
            a.threshold_for_risk(sample, **options)

    def test_it_is_never_chosen_on_test_images(self, table):
        with pytest.raises(UsageError, match="chosen on validation images and there are none"):
            a.threshold_for_risk(described(table[table["split"] == "test"]), 0.2)
