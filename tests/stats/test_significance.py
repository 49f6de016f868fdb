"""Tests and effect sizes against printed examples, statsmodels, scipy, and their neighbours."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import cochrans_q
from statsmodels.stats.contingency_tables import mcnemar as sm_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.proportion import proportion_effectsize
from statsmodels.stats.weightstats import ttost_paired

from hemiface.errors import UsageError
from hemiface.stats import significance as s

COUNT = st.integers(0, 60)
FEW = settings(max_examples=30)


class TestMcNemar:
    def test_printed_example_tells_exact_mid_and_both_chi_squares_apart(self):
        # Fagerland, Lydersen & Laake 2013, table 1 (Bentur et al. 2009): 1 and 7 discordant
        # children. Their results: exact 0.070, mid-p 0.039, chi-square 0.034, corrected 0.077.
        assert s.mcnemar_exact(1, 7) == pytest.approx(0.0703, abs=5e-5)
        assert s.mcnemar_mid(1, 7) == pytest.approx(0.0391, abs=5e-5)
        table = [[1, 1], [7, 12]]
        neighbours = [sm_mcnemar(table, exact=False, correction=c).pvalue for c in (False, True)]
        assert neighbours == pytest.approx([0.0339, 0.0771], abs=5e-5)
        values = [float(s.mcnemar_exact(1, 7)), float(s.mcnemar_mid(1, 7)), *neighbours]
        assert len({round(value, 3) for value in values}) == 4

    @FEW
    @given(only_a=COUNT, only_b=COUNT)
    def test_exact_is_that_of_statsmodels_and_of_a_binomial_test(self, only_a, only_b):
        found = s.mcnemar_exact(only_a, only_b)
        table = [[5, only_a], [only_b, 9]]
        expected = sm_mcnemar(table, exact=True).pvalue if only_a + only_b else 1.0
        assert found == pytest.approx(expected, abs=1e-12)
        if only_a + only_b:
            assert found == pytest.approx(
                stats.binomtest(only_a, only_a + only_b).pvalue, abs=1e-12
            )

    @FEW
    @given(only_a=COUNT, only_b=COUNT)
    def test_mid_p_counts_the_observed_by_half(self, only_a, only_b):
        n = only_a + only_b
        chance = [math.comb(n, k) / 2**n for k in range(n + 1)]
        few = min(only_a, only_b)
        expected = 2 * sum(chance[:few]) + chance[few]
        if only_a == only_b:  # the supplement of Fagerland et al., below its eq. 2
            expected = 1 - chance[few] / 2
        assert s.mcnemar_mid(only_a, only_b) == pytest.approx(expected, abs=1e-12)
        assert s.mcnemar_mid(only_a, only_b) <= s.mcnemar_exact(only_a, only_b) + 1e-12
        assert s.mcnemar_mid(only_b, only_a) == s.mcnemar_mid(only_a, only_b)

    def test_arrays_elementwise(self):
        found = s.mcnemar_exact([1, 0, 30], [7, 0, 10])
        assert found.tolist() == [
            float(s.mcnemar_exact(*pair)) for pair in ((1, 7), (0, 0), (30, 10))
        ]


class TestCochran:
    def test_against_statsmodels(self):
        random = np.random.default_rng(0)
        correct = random.random((200, 4)) < [0.5, 0.55, 0.6, 0.7]
        q, df, p = s.cochran_q(correct)
        expected = cochrans_q(correct.astype(int))
        assert (q, df, p) == pytest.approx((expected.statistic, 3, expected.pvalue))

    def test_two_classifiers_give_mcnemars_chi_square_without_correction(self):
        correct = np.array([[1, 0]] * 12 + [[0, 1]] * 5 + [[1, 1]] * 40 + [[0, 0]] * 3, dtype=bool)
        q, _, p = s.cochran_q(correct)
        assert q == pytest.approx((12 - 5) ** 2 / 17)
        assert p == pytest.approx(
            sm_mcnemar([[40, 12], [5, 3]], exact=False, correction=False).pvalue
        )
        assert p != pytest.approx(sm_mcnemar([[40, 12], [5, 3]], exact=False).pvalue, rel=0.1)

    def test_friedman_without_ties_is_another_statistic(self):
        random = np.random.default_rng(1)
        correct = random.random((80, 3)) < [0.4, 0.6, 0.7]
        q, _, _ = s.cochran_q(correct)
        # scipy corrects Friedman's for ties, which makes it Q; uncorrected it is smaller.
        assert q == pytest.approx(stats.friedmanchisquare(*correct.T.astype(int)).statistic)
        ranks = np.apply_along_axis(stats.rankdata, 1, correct)
        n, k = correct.shape
        raw = 12 / (n * k * (k + 1)) * (ranks.sum(axis=0) ** 2).sum() - 3 * n * (k + 1)
        assert raw < 0.9 * q

    def test_agreement_everywhere_is_undefined(self):
        q, df, p = s.cochran_q(np.ones((5, 3), dtype=bool))
        assert (math.isnan(q), df, math.isnan(p)) == (True, 2, True)

    def test_one_classifier_is_refused(self):
        with pytest.raises(UsageError, match="two or more classifiers, got 1"):
            s.cochran_q(np.ones((5, 1), dtype=bool))


class TestHolm:
    @FEW
    @given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
    def test_against_statsmodels_in_any_order(self, p):
        expected = multipletests(p, method="holm")[1]
        np.testing.assert_allclose(s.holm(p), expected, atol=1e-12)

    def test_neither_bonferroni_nor_hochberg(self):
        p = [0.01, 0.02, 0.022, 0.09]
        assert s.holm(p) == pytest.approx([0.04, 0.06, 0.06, 0.09])
        assert multipletests(p, method="bonferroni")[1] == pytest.approx([0.04, 0.08, 0.088, 0.36])
        assert multipletests(p, method="simes-hochberg")[1] == pytest.approx(
            [0.04, 0.044, 0.044, 0.09]
        )

    def test_what_was_not_tested_does_not_count(self):
        found = s.holm([0.01, np.nan, 0.04])
        assert found[[0, 2]] == pytest.approx([0.02, 0.04])
        assert math.isnan(found[1])


class TestEffectSizes:
    def test_cohens_h_of_his_table_and_statsmodels(self):
        # Cohen 1988, table 6.2.2: phi is 1.571 for P = .50, 1.772 for .60 and 2.498 for .90.
        assert s.cohens_h(0.6, 0.5) == pytest.approx(1.772 - 1.571, abs=1e-3)
        assert s.cohens_h(0.9, 0.5) == pytest.approx(2.498 - 1.571, abs=1e-3)
        assert s.cohens_h(0.31, 0.44) == pytest.approx(proportion_effectsize(0.31, 0.44))
        # Equal risk differences weigh more near the ends.
        assert s.cohens_h(0.95, 0.85) > 1.5 * s.cohens_h(0.55, 0.45)

    def test_cohens_g_is_of_the_discordant_and_has_a_sign(self):
        assert s.cohens_g([30, 10, 7], [10, 30, 7]).tolist() == [0.25, -0.25, 0]
        assert math.isnan(s.cohens_g(0, 0))

    @FEW
    @given(only_a=COUNT, only_b=COUNT)
    def test_odds_and_their_interval_are_those_of_the_binomial_share(self, only_a, only_b):
        ratio, low, high = map(float, s.paired_odds_ratio(only_a, only_b))
        if only_a + only_b == 0:
            assert all(map(math.isnan, (ratio, low, high)))
            return
        ci = stats.binomtest(only_a, only_a + only_b).proportion_ci(method="exact")
        assert low == pytest.approx(ci.low / (1 - ci.low))
        assert high == pytest.approx(ci.high / (1 - ci.high) if ci.high < 1 else math.inf)
        assert ratio == pytest.approx(only_a / only_b if only_b else math.inf)

    def test_the_matched_odds_ratio_is_not_the_marginal_one(self):
        # 40 both, 20 only a, 10 only b, 30 neither: marginal odds (60/40) / (50/50) = 1.5.
        assert s.paired_odds_ratio(20, 10)[0] == 2.0


class TestMeans:
    def made(self, shift: float) -> np.ndarray:
        return np.random.default_rng(3).normal(shift, 1, 60)

    @pytest.mark.parametrize("shift", [-0.5, 0.0, 0.1, 0.3])
    def test_against_the_paired_t_test_and_tost_of_statsmodels(self, shift):
        d = self.made(shift)
        one = d.mean(), d.std(ddof=1) / math.sqrt(60), 59
        assert s.difference_p(*one) == pytest.approx(stats.ttest_1samp(d, 0).pvalue)
        expected = ttost_paired(d, np.zeros(60), -0.25, 0.25)[0]
        assert s.equivalence_p(*one, margin=0.25) == pytest.approx(expected)

    @pytest.mark.parametrize(("n", "power"), [(6, 0.8), (30, 0.8), (200, 0.5), (2000, 0.95)])
    def test_what_is_detectable_is_what_statsmodels_solves_for(self, n, power):
        # In standard deviations, so that the standard error is 1 / sqrt(n).
        exact = TTestPower().solve_power(nobs=n, alpha=0.05, power=power)
        found = s.detectable(1 / math.sqrt(n), n - 1, power)
        assert found == pytest.approx(exact, rel=0.03 if n < 30 else 0.01)

    def test_not_different_is_not_equivalent(self):
        assert s.difference_p(0.1, 0.5, 30) > 0.8
        assert s.equivalence_p(0.1, 0.5, 30, 0.2) > 0.3
        # Different and equivalent at once: a small effect, measured well.
        assert s.difference_p(0.1, 0.02, 30) < 0.001
        assert s.equivalence_p(0.1, 0.02, 30, 0.2) < 0.001

    def test_equivalence_at_5_percent_is_the_90_percent_interval_not_the_95(self):
        se, df, margin = 1.0, 40, 4.0
        edge = margin - stats.t.ppf(0.95, df) * se
        assert s.equivalence_p(edge - 1e-6, se, df, margin) < 0.05
        assert s.equivalence_p(edge + 1e-6, se, df, margin) > 0.05

    def test_without_variation(self):
        assert s.difference_p([0.0, 0.2], [0.0, 0.0], 5)[0] == 1
        assert math.isnan(s.difference_p(0.2, 0.0, 5))
        assert math.isnan(s.equivalence_p(0.0, 0.0, 5, 0.02))

    def test_a_margin_is_needed(self):
        with pytest.raises(UsageError, match="margin must be above 0, got 0"):
            s.equivalence_p(0.0, 1.0, 5, 0)


class TestExpandedQuantiles:
    def test_of_the_draws_of_a_small_sample_they_cover_what_plain_ones_do_not(self):
        random = np.random.default_rng(0)
        n, samples = 8, 1500
        data = random.normal(size=(samples, n))
        weights = random.multinomial(n, np.full(n, 1 / n), size=1000)
        draws = data @ weights.T / n

        def missed(tails):
            low, high = np.quantile(draws, tails, axis=1)
            return ((low > 0) | (high < 0)).mean()

        # Binomial(1500, .05): standard deviation .006; that of plain percentiles is known to be
        # much too high.
        assert missed(s.expanded_quantiles(0.95, n)) == pytest.approx(0.05, abs=0.018)
        assert missed((0.025, 0.975)) > 0.09

    @FEW
    @given(level=st.floats(0.5, 0.99), n=st.integers(2, 5000))
    def test_for_normal_draws_of_a_mean_they_are_the_t_interval(self, level, n):
        low, high = s.expanded_quantiles(level, n)
        # Draws of a mean have the standard deviation with divisor n; here that with n - 1 is 1.
        ends = stats.norm.ppf([low, high], scale=np.sqrt((n - 1) / n) / np.sqrt(n))
        t = stats.t.interval(level, n - 1, scale=1 / np.sqrt(n))
        if low == 0:
            # Two images: an end 38 deviations out, whose probability is no positive number.
            assert t[0] / (np.sqrt((n - 1) / n) / np.sqrt(n)) < -37.5
            return
        assert ends[0] == pytest.approx(t[0])
        if high < 1 - 1e-12:
            assert ends[1] == pytest.approx(t[1], rel=1e-3)
