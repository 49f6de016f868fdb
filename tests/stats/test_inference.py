"""Draws turned into inference: against t tests, theory and simulation, with and without seeds."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from builders import described, tiny_predictions
from hemiface.config import StatisticsOptions
from hemiface.stats import inference
from hemiface.stats.sample import Sample, group_weights
from hemiface.stats.significance import effective_units
from hemiface.tables import EMOTIONS


def mean_draws(values: np.ndarray, draws: int = 500, seed: int = 0) -> np.ndarray:
    """[..., 1 + draws]: bootstrap means of values [..., groups], the sample itself first."""
    groups = values.shape[-1]
    weights = np.hstack([np.ones((groups, 1)), group_weights(groups, draws, seed)])
    return values @ weights / groups


def one_group_of_fear() -> Sample:
    """28 images, four of each emotion; those of fear form one group."""
    table = tiny_predictions(28).table
    table["group"] = table["image"].where(table["label"] != "fear", "one")
    return Sample.of(described(table))


class TestOneSeed:
    def test_it_is_the_paired_t_test_over_groups(self):
        d = np.random.default_rng(0).normal(0.25, 1, 80)
        one = inference.infer([mean_draws(d, 8000)[None, None]], 80, StatisticsOptions(margin=0.3))
        expected = stats.ttest_1samp(d, 0)
        assert one.value[0] == pytest.approx(d.mean())
        assert one.df[0] == expected.df == 79
        assert one.se[0] == pytest.approx(d.std(ddof=1) / np.sqrt(80), rel=0.04)
        assert one.p[0] == pytest.approx(expected.pvalue, rel=0.25)
        ci = expected.confidence_interval()
        assert [one.low[0], one.high[0]] == pytest.approx([ci.low, ci.high], abs=0.03)
        assert one.method == "95% percentile interval, 8000 draws of 80 groups"

    def test_a_small_p_is_not_cut_off_at_the_number_of_draws(self):
        d = np.random.default_rng(1).normal(1, 1, 200)
        one = inference.infer([mean_draws(d, 200)[None, None]], 200, StatisticsOptions())
        # The share of draws beyond 0 can't be below 2 / 201.
        assert one.p[0] < 1e-20

    def test_false_alarms_are_at_the_level(self):
        random = np.random.default_rng(2)
        d = random.choice([-1.0, 0, 0, 1], (400, 50))
        one = inference.infer([mean_draws(d, 200)[:, None]], 50, StatisticsOptions())
        # Binomial(400, .05): standard deviation .011.
        assert 0.02 < (one.p < 0.05).mean() < 0.085
        covered = (one.low <= 0) & (one.high >= 0)
        assert 0.91 < covered.mean() < 0.98

    def test_nothing_varies(self):
        flat = np.full((3, 1, 101), [[[0.0]], [[0.25]], [[0.25]]])
        flat[2, 0, 1:] += np.random.default_rng(0).choice([-1e-17, 1e-17], 100)
        one = inference.infer([flat], 9, StatisticsOptions())
        assert one.reason.tolist() == ["nothing varies between the draws"] * 3
        assert one.p[0] == 1
        assert np.isnan(one.p[1:]).all()
        assert np.isnan(one.p_equivalence).all()

    def test_undefined_draws(self):
        draws = mean_draws(np.random.default_rng(0).normal(size=(3, 40)), 100)[:, None]
        draws[0, 0, 1:4] = np.nan
        draws[1, 0, 1:21] = np.nan
        draws[2] = np.nan
        one = inference.infer([draws], 40, StatisticsOptions())
        assert one.reason.tolist() == ["", "undefined in 20 of 100 draws", "undefined"]
        for column in (one.low, one.high, one.se, one.p, one.p_equivalence):
            assert np.isfinite(column).tolist() == [True, False, False]
        single = inference.infer([draws], 1, StatisticsOptions())
        assert set(single.reason) == {"fewer than two groups to resample"}
        assert np.isnan(single.p).all()


class TestSomeGroupsBear:
    """What is said of an emotion rests on the groups that show it, not on all that are drawn."""

    def test_it_is_the_t_test_over_these(self):
        """Means of 6 values, told of 60 groups: a t test of 6 has 5 degrees of freedom."""
        d = np.random.default_rng(3).normal(0.6, 1, 6)
        draws = mean_draws(d, 4000)[None, None]
        one = inference.infer([draws], 60, StatisticsOptions(), np.array([6]))
        assert one.df[0] == stats.ttest_1samp(d, 0).df == 5
        assert one.p[0] == pytest.approx(2 * stats.t.sf(d.mean() / one.se[0], 5))
        all_of_them = inference.infer([draws], 60, StatisticsOptions())
        assert one.p[0] > all_of_them.p[0]
        assert one.low[0] < all_of_them.low[0] < all_of_them.high[0] < one.high[0]
        assert one.method == all_of_them.method

    def test_intervals_cover_although_an_emotion_is_rare(self):
        random = np.random.default_rng(4)
        d = random.normal(0, 1, (1500, 6))
        draws = mean_draws(d, 2000)[:, None]
        one = inference.infer([draws], 500, StatisticsOptions(), 6)
        as_many = inference.infer([draws], 500, StatisticsOptions())
        covered, too_few = (((x.low <= 0) & (x.high >= 0)).mean() for x in (one, as_many))
        # Binomial(1500, .95): standard deviation .006.
        assert covered > 0.93
        assert too_few < 0.91

    def test_one_group_has_no_interval(self):
        draws = mean_draws(np.random.default_rng(0).normal(size=(2, 9)), 50)[:, None]
        one = inference.infer([draws], 9, StatisticsOptions(), np.array([1, 9]))
        assert one.reason.tolist() == ["fewer than two groups to resample", ""]
        assert np.isnan(one.p).tolist() == [True, False]

    def test_a_sample_counts_them(self):
        own = [4] * 7
        own[EMOTIONS.index("fear")] = 1
        assert one_group_of_fear().emotion_groups.tolist() == [*own, 25]


class TestFewAndUnequalGroups:
    @pytest.mark.parametrize("groups", [2, 3, 5])
    def test_of_fewer_than_six_groups_the_interval_is_that_of_a_t_test(self, groups):
        random = np.random.default_rng(8)
        draws = mean_draws(random.normal(0, 1, (1500, groups)), 1500)[:, None]
        one = inference.infer([draws], groups, StatisticsOptions())
        covered = (one.low <= 0) & (one.high >= 0)
        # Binomial(1500, .95): standard deviation .006; percentiles of two cover half.
        assert covered.mean() == pytest.approx(0.95, abs=0.02)
        np.testing.assert_array_equal(covered, one.p >= 0.05)
        low, high, reason = inference.interval(draws[0, 0, 1:], groups, 0.95, "accuracy")
        assert np.isnan([low, high]).all()
        assert reason.startswith("fewer than six groups")

    def test_false_alarms_of_few_groups_are_at_the_level(self):
        d = np.random.default_rng(9).normal(0, 1, (3000, 4))
        one = inference.infer([mean_draws(d, 1000)[:, None]], 4, StatisticsOptions())
        # Without what draws vary too little by, .075; binomial(3000, .05): .004.
        assert (one.p < 0.05).mean() == pytest.approx(0.05, abs=0.013)

    def test_of_groups_of_unequal_size_fewer_bear(self):
        random = np.random.default_rng(10)
        sizes = np.round(60 / np.arange(1, 31)).astype(int)
        units = float(effective_units(sizes))
        assert units == pytest.approx(sizes.sum() ** 2 / (sizes**2).sum())
        assert 9 < units < 11
        values = random.normal(0, 1, (1500, 30)) * sizes
        weights = np.hstack([np.ones((30, 1)), group_weights(30, 800, 0)])
        draws = (values @ weights / (sizes @ weights))[:, None]
        one = inference.infer([draws], 30, StatisticsOptions(), units)
        as_many = inference.infer([draws], 30, StatisticsOptions())
        # Binomial(1500, .05): standard deviation .006.
        assert (as_many.p < 0.05).mean() > 0.07
        assert (one.p < 0.05).mean() == pytest.approx(0.05, abs=0.017)

    def test_a_sample_knows_how_many_its_groups_are_worth(self):
        sample = one_group_of_fear()
        own = [4.0] * 7
        own[EMOTIONS.index("fear")] = 1.0
        assert sample.emotion_bearing.tolist() == [*own, pytest.approx(28**2 / (24 + 16))]
        assert sample.effective_groups == pytest.approx(28**2 / (24 + 16))

    def test_what_never_varies_has_no_interval(self):
        low, high, reason = inference.interval(np.ones(200), 30, 0.95, "accuracy")
        assert np.isnan([low, high]).all()
        assert reason == "nothing varies between the draws"


class TestSeveralSeeds:
    @staticmethod
    def made(trials: int, seeds: int, groups: int, between: float) -> np.ndarray:
        """[trials, seeds, groups] of true mean 0: what seeds add, and what images add."""
        random = np.random.default_rng(5)
        network = random.normal(0, between, (trials, seeds, 1))
        image = random.normal(0, 1, (trials, 1, groups))
        return network + image + random.normal(0, 1, (trials, seeds, groups))

    def test_intervals_cover_although_seeds_are_few(self):
        values = self.made(300, 3, 60, between=0.5)
        draws = mean_draws(values, 200)
        one = inference.infer([draws], 60, StatisticsOptions())
        covered = ((one.low <= 0) & (one.high >= 0)).mean()
        # Neighbours: groups alone, and quantiles of two-level draws, pretend to know the seeds.
        groups_only = inference.infer([draws.mean(axis=1, keepdims=True)], 60, StatisticsOptions())
        narrow = ((groups_only.low <= 0) & (groups_only.high >= 0)).mean()
        weights = np.random.default_rng(0).multinomial(3, [1 / 3] * 3, 200).T / 3
        two_level = (draws[..., 1:] * weights).sum(axis=1)
        low, high = np.quantile(two_level, [0.025, 0.975], axis=1)
        quantiles = ((low <= 0) & (high >= 0)).mean()
        assert 0.91 < covered <= 0.995
        assert narrow < 0.75
        assert quantiles < 0.86
        assert one.method[0].endswith("200 draws of 60 groups x 3 seeds")

    @pytest.mark.parametrize("between", [0.3, 1.5])
    def test_two_seeds_that_happen_to_agree_are_not_taken_for_all(self, between):
        draws = mean_draws(self.made(600, 2, 60, between), 200)
        one = inference.infer([draws], 60, StatisticsOptions())
        assert (one.df == 1).all()
        # Satterthwaite's degrees of freedom would have .12.
        assert (one.p < 0.05).mean() < 0.07

    def test_each_number_says_how_its_interval_was_made(self):
        draws = mean_draws(self.made(3, 1, 60, 0), 50)
        one = inference.infer([draws], 60, StatisticsOptions(), own=np.array([60, 5, 1]))
        assert [str(method).partition(",")[0] for method in one.method] == [
            "95% percentile interval", "95% t interval", "95% percentile interval"
        ]  # fmt: skip
        assert one.row(1)["method"] == "95% t interval, 50 draws of 60 groups"

    def test_a_level_that_never_varies_bounds_nothing(self):
        """As in `interval`; two that are alike in all draws are alike there."""
        draws = np.array([1.0, 0.0])[:, np.newaxis, np.newaxis] * np.ones((2, 1, 51))
        one = inference.infer([draws], 60, StatisticsOptions())
        levels = inference.infer([draws], 60, StatisticsOptions(), None, (0, 1), of_levels=True)
        assert np.isnan([levels.low, levels.high]).all()
        assert np.isnan([one.low[0], one.high[0]]).all()
        assert (one.low[1], one.high[1]) == (0, 0)
        assert (one.reason == "nothing varies between the draws").all()

    def test_one_draw_makes_no_interval(self):
        draws = mean_draws(self.made(2, 1, 60, 0), 1)
        one = inference.infer([draws], 60, StatisticsOptions(draws=1))
        assert np.isnan([one.low, one.high, one.p, one.p_equivalence]).all()
        assert np.isfinite(one.value).all()
        assert set(one.reason) == {"one draw has no spread"}
        low, high, reason = inference.interval(draws[0, 0, 1:], 60, 0.95, "accuracy")
        assert np.isnan([low, high]).all()
        assert reason == "one draw has no spread"

    def test_no_interval_passes_what_a_number_can_be(self):
        draws = mean_draws(self.made(30, 2, 9, between=3), 50)
        free = inference.infer([draws], 9, StatisticsOptions())
        bound = inference.infer([draws], 9, StatisticsOptions(), None, (-1, 1))
        assert ((free.low < -1) | (free.high > 1)).any()
        assert np.array_equal(bound.low, np.maximum(free.low, -1))
        assert np.array_equal(bound.high, np.minimum(free.high, 1))
        assert np.array_equal(bound.p, free.p)

    @pytest.mark.parametrize(("level", "written"), [(0.995, "99.5%"), (0.9, "90%"), (0.57, "57%")])
    def test_the_level_is_written_whole(self, level, written):
        draws = mean_draws(self.made(1, 1, 60, 0), 50)
        one = inference.infer([draws], 60, StatisticsOptions(level=level))
        assert one.method[0].startswith(f"{written} percentile interval")

    def test_one_network_against_several_is_said_to_be_one(self):
        draws = mean_draws(self.made(1, 3, 60, 0.5), 50)
        one = inference.infer([draws, -draws[:, :1]], 60, StatisticsOptions())
        assert one.row(0)["method"].endswith("50 draws of 60 groups x 3 against 1 seeds")

    def test_standard_error_is_that_of_both_sources(self):
        values = self.made(400, 4, 60, between=0.5)
        one = inference.infer([mean_draws(values, 300)], 60, StatisticsOptions())
        # Var of the mean: .25 / 4 (seeds) + 1 / 60 (images) + 1 / 240 (both).
        truth = 0.25 / 4 + 1 / 60 + 1 / 240
        assert (one.value**2).mean() == pytest.approx(truth, rel=0.2)
        assert (one.se**2).mean() == pytest.approx(truth, rel=0.12)

    def test_degrees_of_freedom_are_few_where_seeds_decide_and_many_where_images_do(self):
        by_seeds = self.made(20, 3, 60, between=5)
        by_images = self.made(20, 3, 60, between=0)
        few = inference.infer([mean_draws(by_seeds)], 60, StatisticsOptions()).df
        many = inference.infer([mean_draws(by_images)], 60, StatisticsOptions()).df
        assert np.median(few) == pytest.approx(2, abs=0.2)
        assert np.median(many) > 20

    def test_unpaired_seeds_are_drawn_apart(self):
        a = self.made(1, 4, 60, between=1)
        # Four networks that differ from the others by nothing but .3: paired, that is certain.
        b = a - 0.3
        paired_one = inference.infer([mean_draws(a) - mean_draws(b)], 60, StatisticsOptions())
        apart = inference.infer([mean_draws(a), -mean_draws(b)], 60, StatisticsOptions())
        assert paired_one.value[0] == pytest.approx(apart.value[0]) == pytest.approx(0.3)
        assert paired_one.se[0] < 1e-12
        # Welch: two independent means of four seeds each.
        spread = a.mean(axis=2)[0].std(ddof=1) * np.sqrt(2 / 4)
        assert apart.se[0] == pytest.approx(spread, rel=0.12)

    def test_the_same_call_gives_the_same(self):
        draws = mean_draws(self.made(2, 3, 20, 1), 50)
        one, two = (inference.infer([draws], 20, StatisticsOptions(seed=4)) for _ in range(2))
        np.testing.assert_array_equal(one.high, two.high)
        assert (inference.infer([draws], 20, StatisticsOptions(seed=5)).se != one.se).all()


class TestRuns:
    def named(self, *ids: str):
        table = tiny_predictions(2).table
        cells = [table.iloc[:2].assign(model=one) for one in ids]
        return described(pd.concat(cells)).names

    def test_seeds_then_their_mean(self):
        names = self.named("full-seed1", "full-seed0", "upper-seed0")
        assert inference.runs_of(names, ["full"]) == [
            ("0", ("full-seed0",)),
            ("1", ("full-seed1",)),
            ("mean", ("full-seed0", "full-seed1")),
        ]
        assert inference.runs_of(names, ["upper"]) == [("0", ("upper-seed0",))]
        assert inference.paired_members(names, "full", "upper") == [
            ("0", ["full-seed0"], ["upper-seed0"], True),
            ("mean", ["full-seed0", "full-seed1"], ["upper-seed0"], False),
        ]

    def test_no_seed_in_common(self):
        names = self.named("full-seed1", "upper-seed0")
        assert inference.paired_members(names, "full", "upper") == [
            ("mean", ["full-seed1"], ["upper-seed0"], False)
        ]
