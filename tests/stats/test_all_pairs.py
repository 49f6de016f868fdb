"""Comparisons of hand-made tables: counts by brute force, other libraries for what follows."""

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import f1_score, roc_auc_score
from statsmodels.stats.contingency_tables import cochrans_q
from statsmodels.stats.multitest import multipletests

from builders import answers, sampled, scored_predictions, tiny_predictions
from hemiface.errors import UsageError
from hemiface.stats import all_pairs as c
from hemiface.tables import label_indices, probabilities

N = 140
LABELS = np.arange(N) % 7
KEYS = ("full", "upper", "left")
NAMES = ("full", "upper")


def made(seeds=(0, 1), n: int = N, **options) -> pd.DataFrame:
    """Two names x three conditions x seeds, right about as often as `strength` says."""
    random = np.random.default_rng(7)
    labels = np.arange(n) % 7
    strength = {"full": 0.75, "upper": 0.6, "left": 0.55}
    easy = random.random(n)
    outcomes = {
        (f"{name}-seed{seed}", key): answers(
            labels, 0.5 * easy + 0.5 * random.random(n) < strength[key] - (name == "upper") * 0.05
        )
        for name in NAMES
        for seed in seeds
        for key in KEYS
    }
    return scored_predictions(outcomes, labels, **options).table


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return made()


@pytest.fixture(scope="module")
def found(table) -> pd.DataFrame:
    return c.all_pairs(sampled(table, draws=300))


def right(table: pd.DataFrame, model: str, condition: str) -> np.ndarray:
    cell = table[(table["model"] == model) & (table["condition"] == condition)]
    cell = cell.sort_values("image")
    return probabilities(cell).argmax(axis=1) == label_indices(cell)


PAIR = ["kind", "seed", "model_a", "condition_a", "model_b", "condition_b"]


class TestWhatIsCompared:
    def test_every_pair_once(self, found):
        rows = found[found["metric"] == "accuracy"]
        assert not rows.duplicated(PAIR).any()
        for seed in ("0", "1", "mean"):
            here = rows[rows["seed"] == seed]
            models = here[here["kind"] == "models"]
            assert [
                (a, one, b, other) for a, one, b, other in models[PAIR[2:]].itertuples(index=False)
            ] == [("full", key, "upper", key) for key in KEYS]
            conditions = here[here["kind"] == "conditions"]
            assert list(conditions[PAIR[2:]].itertuples(index=False, name=None)) == [
                (name, a, name, b) for name in NAMES for a, b in combinations(KEYS, 2)
            ]
            own = here[here["kind"] == "own conditions"]
            # `left` is a condition but no model is called that.
            assert own[PAIR[2:]].to_numpy().tolist() == [["full", "full", "upper", "upper"]]

    def test_the_two_questions_are_kept_apart(self, found):
        rows = found[(found["metric"] == "accuracy") & (found["seed"] == "mean")]
        robust = rows[rows["kind"] == "robustness"]
        # The baseline on whole faces, always; then itself, or a network trained for the condition.
        assert robust[PAIR[2:]].to_numpy().tolist() == [
            ["full", "full", "full", "upper"],
            ["full", "full", "full", "left"],
        ]
        information = rows[rows["kind"] == "available information"]
        assert information[PAIR[2:]].to_numpy().tolist() == [["full", "full", "upper", "upper"]]

    def test_a_generalist_answers_for_every_condition(self):
        table = made(seeds=(0,))
        rows = c.mcnemar(
            sampled(table.assign(model=table["model"].replace("upper-seed0", "any-seed0")))
        )
        information = rows[rows["kind"] == "available information"]
        assert set(information["family"]) == {"available information, generalist"}
        assert information[PAIR[2:]].to_numpy().tolist() == [
            ["any", "full", "any", "upper"],
            ["any", "full", "any", "left"],
        ]

    def test_mcnemar_compares_single_networks_only(self, table):
        counted = c.mcnemar(sampled(table))
        assert set(counted["seed"]) == {"0", "1"}
        assert len(counted) == 2 * (3 + 6 + 1 + 2 + 1)

    def test_a_cell_that_was_not_evaluated_is_left_out(self, table):
        part = table[~((table["model"] == "upper-seed0") & (table["condition"] == "left"))]
        rows = c.mcnemar(sampled(part))
        assert "left" not in set(
            rows[(rows["model_b"] == "upper") & (rows["seed"] == "0")]["condition_b"]
        )
        assert len(rows) == 26 - 3

    def test_models_without_a_common_seed_are_compared_once(self):
        table = made(seeds=(0,))
        renamed = table.assign(model=table["model"].replace("upper-seed0", "upper-seed5"))
        rows = c.mcnemar(sampled(renamed))
        assert set(rows[rows["kind"] == "models"]["seed"]) == {"mean"}
        # What one model is compared with itself for needs no second seed.
        assert len(rows) == 13
        pd.testing.assert_frame_equal(
            rows.drop(columns="seed"), c.mcnemar(sampled(table)).drop(columns="seed")
        )


class TestMcNemar:
    def test_counts_and_tests_by_brute_force(self, table):
        for row in c.mcnemar(sampled(table)).itertuples():
            a = right(table, f"{row.model_a}-seed{row.seed}", row.condition_a)
            b = right(table, f"{row.model_b}-seed{row.seed}", row.condition_b)
            pairs = list(zip(a.tolist(), b.tolist(), strict=True))
            counts = [pairs.count(one) for one in ((1, 1), (1, 0), (0, 1), (0, 0))]
            assert [row.both, row.only_a, row.only_b, row.neither] == counts
            assert row.n == N
            assert row.difference == pytest.approx(a.mean() - b.mean())
            exact = stats.binomtest(counts[1], counts[1] + counts[2]).pvalue
            assert row.p_exact == pytest.approx(exact)
            assert row.p_groups == pytest.approx(exact)
            assert row.p_mid < row.p_exact

    def test_a_group_has_one_vote(self):
        # Ten groups of three images each, all copies: b gains in nine groups, loses in one.
        labels, groups = np.repeat(np.arange(10) % 7, 3), np.repeat(np.arange(10), 3)
        outcomes = {
            ("a", "full"): answers(labels, groups == 0),
            ("b", "full"): answers(labels, groups != 0),
        }
        (row,) = c.mcnemar(scored_predictions(outcomes, labels, groups=groups)).itertuples()
        assert (row.only_a, row.only_b) == (3, 27)
        assert row.p_exact == pytest.approx(stats.binomtest(3, 30).pvalue)
        assert row.p_groups == pytest.approx(stats.binomtest(1, 10).pvalue)
        assert row.p_groups > 100 * row.p_exact
        assert row.p_holm == row.p_groups

    def test_false_alarms_with_copies_are_at_the_level_only_by_group(self):
        random = np.random.default_rng(11)
        labels, groups = np.zeros(120, dtype=int), np.repeat(np.arange(30), 4)
        outcomes = {
            (f"m{index}", "full"): answers(labels, np.repeat(random.random(30) < 0.5, 4))
            for index in range(16)
        }
        rows = c.mcnemar(scored_predictions(outcomes, labels, groups=groups))
        assert len(rows) == 120
        assert (rows["p_groups"] < 0.05).mean() < 0.08
        assert (rows["p_exact"] < 0.05).mean() > 0.2


class TestDifferences:
    def test_values_of_every_metric_against_scikit_learn(self, table, found):
        def score(model: str, key: str, metric: str) -> float:
            cell = table[(table["model"] == model) & (table["condition"] == key)]
            p, y = probabilities(cell), label_indices(cell)
            if metric == "accuracy":
                return float((p.argmax(axis=1) == y).mean())
            if metric == "weighted_auc":
                return float(roc_auc_score(y, p, multi_class="ovr", average="weighted"))
            return float(f1_score(y, p.argmax(axis=1), average=metric.removesuffix("_f1")))

        for row in found[found["seed"] == "1"].itertuples():
            a = score(f"{row.model_a}-seed1", row.condition_a, row.metric)
            b = score(f"{row.model_b}-seed1", row.condition_b, row.metric)
            assert (row.value_a, row.value_b) == pytest.approx((a, b))
            assert row.difference == pytest.approx(a - b)

    def test_the_mean_is_over_seeds_and_says_so(self, found):
        at = found.set_index(["family", "metric", *PAIR[2:], "seed"])["difference"].unstack()
        np.testing.assert_allclose(at["mean"], (at["0"] + at["1"]) / 2, atol=1e-12)
        assert found[found["seed"] == "mean"]["method"].str.contains("x 2 seeds").all()
        assert not found[found["seed"] == "0"]["method"].str.contains("seeds").any()

    def test_accuracy_is_tested_paired(self):
        table = made(seeds=(0,), n=700)
        rows = c.all_pairs(sampled(table, draws=3000), ["accuracy"]).set_index(PAIR)
        a, b = right(table, "full-seed0", "full"), right(table, "full-seed0", "left")
        row = rows.loc["conditions", "0", "full", "full", "full", "left"]
        together = stats.ttest_rel(a.astype(float), b.astype(float))
        apart = stats.ttest_ind(a.astype(float), b.astype(float))
        statistic = row["difference"] / row["se"]
        assert statistic == pytest.approx(together.statistic, rel=0.04)
        assert statistic > 1.1 * apart.statistic

    def test_holm_within_each_family_only(self, found):
        one = found[(found["seed"] == "0") & (found["metric"] == "macro_f1")]
        families = one.groupby("family")
        assert sorted(families.size()) == [1, 1, 1, 1, 1, 2, 3, 3]
        for _, family in families:
            expected = multipletests(family["p"], method="holm")[1]
            np.testing.assert_allclose(family["p_holm"], expected)
        rows = found[(found["seed"] == "0") & (found["metric"] == "accuracy")]
        together = multipletests(rows["p"], method="holm")[1]
        assert (together > rows["p_holm"] + 1e-9).any()

    def test_neither_the_order_of_rows_nor_of_models_matters(self, table, found):
        shuffled = c.all_pairs(sampled(table.sample(frac=1, random_state=0), draws=300))
        key = ["seed", "family", "metric"]
        one = found[found["kind"] == "models"].set_index(key).sort_index()
        two = shuffled[shuffled["kind"] == "models"].set_index([*key]).sort_index()
        sign = np.where((one["model_a"] == two["model_a"]).to_numpy(), 1, -1)
        # The order of conditions may differ too, but within `models` each has its own family.
        np.testing.assert_allclose(one["difference"], sign * two["difference"], atol=1e-12)
        np.testing.assert_allclose(one["se"], two["se"], rtol=1e-9)

    def test_groups_not_rows_are_resampled(self):
        copies = np.repeat(np.arange(N), 4)
        single = made(seeds=(0,))
        wide = pd.concat(
            [single.assign(image=single["image"] + f"-{k}") for k in range(4)], ignore_index=True
        )
        assert len(copies) == wide["image"].nunique()
        rows = c.all_pairs(sampled(wide, draws=400), ["accuracy"])
        as_rows = c.all_pairs(sampled(wide.assign(group=wide["image"]), draws=400), ["accuracy"])
        assert (rows["groups"] == N).all()
        assert (as_rows["groups"] == 4 * N).all()
        ratio = rows["se"] / as_rows["se"]
        assert ratio.median() == pytest.approx(2, rel=0.1)

    def test_equivalence_needs_evidence_not_its_absence(self):
        labels = np.arange(2000) % 7
        random = np.random.default_rng(0)
        base = random.random(2000) < 0.7
        # As many hits turn into misses as misses into hits.
        flipped = np.zeros(2000, dtype=bool)
        for which in (base, ~base):
            flipped[random.choice(np.flatnonzero(which), 50, replace=False)] = True
        outcomes = {
            ("a", "full"): answers(labels, base),
            ("b", "full"): answers(labels, base ^ flipped),
        }
        many = scored_predictions(outcomes, labels).table
        few = many[many["image"] < f"{60:016x}"]
        enough = c.all_pairs(sampled(many, draws=300), ["accuracy"]).iloc[0]
        scarce = c.all_pairs(sampled(few, draws=300), ["accuracy"]).iloc[0]
        assert enough["p_equivalence"] < 0.05
        assert scarce["p"] > 0.05
        assert scarce["p_equivalence"] > 0.05
        strict = c.all_pairs(sampled(many, draws=300, margin=0.002), ["accuracy"]).iloc[0]
        assert strict["p_equivalence"] > 0.05
        assert (strict["margin"], strict["p"]) == (0.002, enough["p"])

    def test_protocols_and_progress(self):
        split = np.where(np.arange(N) < 60, "validation", "test")
        both = made(split=split)
        told = []
        rows = c.all_pairs(
            sampled(both, "paper", draws=5), ["accuracy"], progress=lambda *a: told.append(a)
        )
        assert set(rows["n"]) == {N}
        assert told[-1] == (12, 12)
        assert set(c.mcnemar(sampled(both))["n"]) == {N - 60}

    def test_errors(self, table):
        with pytest.raises(UsageError, match="Metric speed is unknown"):
            c.all_pairs(sampled(table), ["speed"])
        for margin in (0, math.inf, math.nan):
            with pytest.raises(UsageError, match="margin must lie between 0 and 1"):
                c.all_pairs(sampled(table, draws=5, margin=margin), ["accuracy"])
        with pytest.raises(UsageError, match="no image of protocol paper"):
            c.mcnemar(sampled(table, "paper"))


class TestCochran:
    def test_every_set_against_statsmodels(self, table):
        rows = c.cochran(sampled(table))
        # Two models make no set of three, nor do two own conditions.
        assert set(rows["kind"]) == {"conditions"}
        assert set(rows["compared"]) == {"full, upper, left"}
        for row in rows.itertuples():
            name = row.family.removeprefix("conditions of ")
            columns = [right(table, f"{name}-seed{row.seed}", key) for key in KEYS]
            expected = cochrans_q(np.array(columns, dtype=int).T)
            assert (row.q, row.p) == pytest.approx((expected.statistic, expected.pvalue))
            assert (row.k, row.df, row.n) == (3, 2, N)
        for _, family in rows.groupby(["kind", "seed"]):
            np.testing.assert_allclose(
                family["p_holm"], multipletests(family["p"], method="holm")[1]
            )

    def test_three_models(self):
        table = made(seeds=(0,))
        third = table[table["model"] == "upper-seed0"].assign(model="left-seed0")
        rows = c.cochran(sampled(pd.concat([table, third], ignore_index=True)))
        assert rows[rows["kind"] == "models"]["compared"].tolist() == ["full, upper, left"] * 3
        own = rows[rows["kind"] == "own conditions"]
        assert own["compared"].tolist() == ["full, upper, left"]

    def test_too_few_to_compare_is_an_empty_table(self):
        rows = c.cochran(tiny_predictions())
        assert rows.empty
        assert list(rows.columns) == list(c.COCHRAN_COLUMNS)


def test_columns_are_those_documented(table, found):
    assert list(found.columns) == list(c.DIFFERENCE_COLUMNS)
    assert list(c.mcnemar(sampled(table)).columns) == list(c.MCNEMAR_COLUMNS)
    single = table[(table["model"] == "full-seed0") & (table["condition"] == "full")]
    assert list(c.all_pairs(sampled(single, draws=5)).columns) == list(c.DIFFERENCE_COLUMNS)
    assert list(c.mcnemar(sampled(single)).columns) == list(c.MCNEMAR_COLUMNS)
