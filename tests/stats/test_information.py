"""Bits: planted posteriors give back the information that was put in, and its parts."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize
from scipy.stats import norm

from builders import described, sampled
from hemiface.errors import UsageError
from hemiface.stats.decomposition import (
    DECOMPOSITION_COLUMNS,
    biases,
    decomposition,
    redundancies,
)
from hemiface.stats.information import (
    FIVE,
    INFORMATION_COLUMNS,
    Bits,
    families,
    information,
    informative,
    seeds_left_out,
    visible_part,
)
from hemiface.stats.shapley import SHAPLEY_COLUMNS, shapley
from hemiface.stats.significance import holm
from hemiface.tables import EMOTIONS, PROBABILITY_COLUMNS, Predictions

N = 4200
PRIOR = np.array([0.15, 0.05, 0.1, 0.3, 0.1, 0.1, 0.2])
HAPPY = EMOTIONS.index("happy")


def drawn(seed: int = 0, prior=PRIOR) -> np.ndarray:
    return np.random.default_rng(seed).choice(7, N, p=prior)


def channel(labels: np.ndarray, strength: float, seed: int, prior=PRIOR) -> np.ndarray:
    """Posteriors [n, 7] of who sees the label through noise: right with `strength`, else any."""
    random = np.random.default_rng(seed)
    seen = np.where(random.random(N) < strength, labels, random.integers(0, 7, N))
    likelihood = np.full((7, 7), (1 - strength) / 7) + strength * np.eye(7)  # [true, seen]
    joint = prior[:, None] * likelihood
    return (joint / joint.sum(axis=0)).T[seen]


def mutual_information(strength: float, prior=PRIOR) -> float:
    """Bits, from the joint distribution."""
    joint = prior[:, None] * (np.full((7, 7), (1 - strength) / 7) + strength * np.eye(7))
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
    kept = joint > 0
    return float((joint[kept] * np.log2(joint[kept] / independent[kept])).sum())


def told(cells: dict[tuple[str, str], np.ndarray], labels: np.ndarray) -> Predictions:
    """A table of these probabilities; the first half of the images is for validation."""
    tables = []
    for (model, key), values in cells.items():
        cell = pd.DataFrame(values, columns=list(PROBABILITY_COLUMNS)).assign(
            image=[f"{k:016x}" for k in range(N)],
            condition=key, model=model, dataset="made",
            split=np.where(np.arange(N) < N // 2, "validation", "test"),
            label=np.asarray(EMOTIONS)[labels],
            group=[f"g{k:05}" for k in range(N)], leaked=False,
        )  # fmt: skip
        tables.append(cell)
    return described(pd.concat(tables, ignore_index=True))


def whole_and_halves(model: str = "any-seed0", labels=None, seed: int = 1, **strengths):
    """Whole, upper hidden, lower hidden as channels of the strengths given."""
    labels = drawn() if labels is None else labels
    cells = {
        (model, key): channel(labels, strength, seed + place)
        for place, (key, strength) in enumerate(strengths.items())
    }
    return told(cells, labels)


def one(table: pd.DataFrame, **wanted: str) -> pd.Series:
    rows = table
    for column, value in wanted.items():
        rows = rows[rows[column] == value]
    assert len(rows) == 1, wanted
    return rows.iloc[0]


class TestInformation:
    def test_is_the_mutual_information_of_a_known_channel(self):
        found = information(sampled(whole_and_halves(full=0.9, upper=0.6, lower=0.3), draws=200))
        for key, strength in {"full": 0.9, "upper": 0.6, "lower": 0.3}.items():
            row = one(found, condition=key, emotion="all", mix="data", model="any")
            assert row["bits"] == pytest.approx(mutual_information(strength), abs=0.06)
            assert row["low"] < mutual_information(strength) < row["high"]
            assert row["temperature"] == pytest.approx(1, abs=0.1)
        assert list(found.columns) == list(INFORMATION_COLUMNS)
        assert set(found["question"]) == {"available information"}

    def test_by_definition_computed_another_way(self):
        labels = drawn(5)
        values = np.random.default_rng(6).dirichlet(np.ones(7), N)
        values[np.arange(N), labels] += 0.2
        values /= values.sum(axis=1, keepdims=True)
        table = told({("any-seed0", key): values for key in ("full", "upper")}, labels)
        row = one(
            information(sampled(table, draws=20)), condition="full", emotion="all", mix="data"
        )
        first, second = slice(0, N // 2), slice(N // 2, N)

        def bits_lost(log_t: float, which: slice) -> float:
            powers = np.maximum(values[which], 1e-30) ** np.exp(-log_t)
            truth = powers[np.arange(N // 2), labels[which]] / powers.sum(axis=1)
            return float(-np.log2(truth).mean())

        best = optimize.minimize_scalar(
            bits_lost, bounds=(-2, 2), args=(first,), method="bounded", options={"xatol": 1e-8}
        ).x
        shares = np.bincount(labels[first], minlength=7) / (N // 2)
        blind = -np.log2(shares[labels[second]]).mean()
        assert row["bits"] == pytest.approx(blind - bits_lost(best, second), abs=1e-6)
        assert row["temperature"] == pytest.approx(np.exp(best), rel=1e-4)

    def test_a_cell_without_a_mistake_takes_the_temperature_of_all_cells(self):
        told_by = whole_and_halves(full=0.9, upper=0.6, lower=0.3)
        table = told_by.table.copy()
        at = (table["condition"] == "full") & (table["split"] == "validation")
        own = np.asarray(EMOTIONS) == table.loc[at, ["label"]].to_numpy()
        table.loc[at, list(PROBABILITY_COLUMNS)] = np.where(own, 0.4, 0.1)
        found = information(sampled(Predictions(table, told_by.facts), draws=20))
        row = one(found, condition="full", emotion="all", mix="data")
        assert row["reason"].startswith("another temperature: no minimum inside the range")
        assert row["temperature"] > 0.5
        assert row["bits"] > mutual_information(0.9) - 0.3
        assert one(found, condition="upper", emotion="all", mix="data")["reason"] == ""

    @pytest.mark.parametrize("temperature", [0.4, 3.0])
    def test_doesnt_depend_on_how_sure_a_network_sounds(self, temperature):
        plain = whole_and_halves(full=0.8, upper=0.5)
        columns = list(PROBABILITY_COLUMNS)
        table = plain.table.copy()
        powers = table[columns].to_numpy() ** (1 / temperature)
        table[columns] = powers / powers.sum(axis=1, keepdims=True)
        changed = Predictions(table, plain.facts)
        first, second = (information(sampled(each, draws=5)) for each in (plain, changed))
        np.testing.assert_allclose(first["bits"], second["bits"], atol=1e-6)

    def test_of_who_answers_with_the_shares_is_none(self):
        labels = drawn()
        shares = np.bincount(labels[: N // 2], minlength=7) / (N // 2)
        flat = np.tile(shares, (N, 1))
        cells = {("any-seed0", "full"): channel(labels, 0.9, 1), ("any-seed0", "upper"): flat}
        found = information(sampled(told(cells, labels), draws=20))
        rows = found[found["condition"] == "upper"]
        np.testing.assert_allclose(rows["bits"], 0, atol=1e-9)

    def test_balanced_is_that_of_evenly_drawn_emotions(self):
        # The same channel, its posteriors under two priors: moved to the even mix they agree.
        skewed = whole_and_halves(full=0.8, upper=0.4)
        even = np.full(7, 1 / 7)
        labels = drawn(3, even)
        cells = {
            ("any-seed0", "full"): channel(labels, 0.8, 11, even),
            ("any-seed0", "upper"): channel(labels, 0.4, 12, even),
        }
        first = information(sampled(skewed, draws=100))
        second = information(sampled(told(cells, labels), draws=100))
        for key, strength in {"full": 0.8, "upper": 0.4}.items():
            a = one(first, condition=key, emotion="all", mix="balanced")
            b = one(second, condition=key, emotion="all", mix="data")
            assert a["bits"] == pytest.approx(mutual_information(strength, even), abs=0.1)
            assert a["bits"] == pytest.approx(b["bits"], abs=0.12)

    def test_of_an_emotion_is_what_its_images_gain(self):
        labels = drawn()
        blind = channel(labels, 0.0, 1)
        values = blind.copy()
        # Happy faces are known for sure, all others by nothing but not being happy.
        values[labels == HAPPY] = np.eye(7)[HAPPY]
        rest = PRIOR.copy()
        rest[HAPPY] = 0
        values[labels != HAPPY] = rest / rest.sum()
        cells = {("any-seed0", "full"): values, ("any-seed0", "upper"): blind}
        found = information(sampled(told(cells, labels), draws=20))
        happy = one(found, condition="full", emotion="happy", mix="data")
        angry = one(found, condition="full", emotion="angry", mix="data")
        assert happy["bits"] == pytest.approx(-np.log2(0.3), abs=0.1)
        assert angry["bits"] == pytest.approx(-np.log2(0.7), abs=0.1)

    def test_without_happy_and_neutral_computed_another_way(self):
        labels = drawn(7)
        values = channel(labels, 0.5, 8)
        sample = sampled(told({("any-seed0", key): values for key in ("full", "upper")}, labels))
        bits = Bits.of_sample(sample, FIVE)
        found = bits.of("any-seed0", "full")[:, 0]
        five = [k for k, name in enumerate(EMOTIONS) if name not in ("happy", "neutral")]
        first, second = np.arange(N // 2), np.arange(N // 2, N)
        shares = np.bincount(labels[first], minlength=7) / (N // 2)

        def bits_lost(log_t: float, which: np.ndarray) -> np.ndarray:
            """The loss of a choice among five, each as frequent: its mean for each of them."""
            powers = values[which] ** np.exp(-log_t) / shares
            powers = powers[:, five] / powers[:, five].sum(axis=1, keepdims=True)
            return np.array(
                [-np.log2(powers[labels[which] == k, place]).mean() for place, k in enumerate(five)]
            )

        best = optimize.minimize_scalar(
            lambda log_t: bits_lost(log_t, first).mean(),
            bounds=(-2, 2), method="bounded", options={"xatol": 1e-8},
        ).x  # fmt: skip
        told_of = np.log2(5) - bits_lost(best, second)
        np.testing.assert_allclose(found[five], told_of, atol=1e-6)
        assert found[-1] == pytest.approx(told_of.mean(), abs=1e-6)
        assert np.isnan(found[[HAPPY, EMOTIONS.index("neutral")]]).all()
        counts = bits.counts()
        assert counts["happy"] == counts["neutral"] == 0
        assert counts["all"] == np.isin(labels[second], five).sum()

    def test_who_only_tells_happy_and_neutral_tells_nothing_of_the_others(self):
        labels = drawn()
        rest = PRIOR.copy()
        rest[[HAPPY, EMOTIONS.index("neutral")]] = 0
        values = np.tile(rest / rest.sum(), (N, 1))
        for known in (HAPPY, EMOTIONS.index("neutral")):
            values[labels == known] = np.eye(7)[known]
        cells = {("any-seed0", key): values for key in ("full", "upper")}
        sample = sampled(told(cells, labels), draws=20)
        assert Bits.of_sample(sample, "balanced").of("any-seed0", "full")[-1, 0] > 0.5
        five = Bits.of_sample(sample, FIVE).of("any-seed0", "full")[-1, 0]
        # Who sees nothing knows validation's shares, the network the true ones.
        assert five == pytest.approx(0, abs=0.01)

    def test_all_is_the_mean_over_images_or_emotions(self):
        found = information(sampled(whole_and_halves(full=0.9, upper=0.5), draws=10))
        for mix in ("data", "balanced"):
            rows = found[(found["mix"] == mix) & (found["condition"] == "upper")]
            single, every = rows[rows["emotion"] != "all"], one(rows, emotion="all")
            weights = single["n"] if mix == "data" else None
            assert every["bits"] == pytest.approx(np.average(single["bits"], weights=weights))

    def test_seeds_that_differ_widen_the_interval(self):
        labels = drawn()
        cells = {}
        for seed, strength in enumerate((0.3, 0.5, 0.7)):
            cells[f"any-seed{seed}", "full"] = channel(labels, 0.9, 10 + seed)
            cells[f"any-seed{seed}", "upper"] = channel(labels, strength, 20 + seed)
        found = information(sampled(told(cells, labels), draws=300))
        rows = found[(found["condition"] == "upper") & (found["emotion"] == "all")]
        rows = rows[rows["mix"] == "data"].set_index("seed")
        width = rows["high"] - rows["low"]
        assert set(rows.index) == {"0", "1", "2", "mean"}
        assert width["mean"] > 3 * width[["0", "1", "2"]].max()
        assert rows["bits"]["mean"] == pytest.approx(rows["bits"][["0", "1", "2"]].mean())


class TestFamilies:
    def test_each_reads_the_whole_face_too(self):
        labels = drawn()
        p = channel(labels, 0.5, 1)
        cells = {
            (f"{name}-seed{seed}", key): p
            for seed in (0, 1)
            for name in ("full", "upper", "lower", "any")
            for key in ("full", "upper", "lower")
        }
        found = {each.name: each for each in families(told(cells, labels))}
        assert found["full"].question == "robustness"
        assert found["any"].question == "available information"
        assert found["any"].members["1"] == dict.fromkeys(("full", "upper", "lower"), "any-seed1")
        # Specialists: each at home, the whole face by the baseline of the same seed.
        assert found["specialists"].members["0"] == {
            "full": "full-seed0", "upper": "upper-seed0", "lower": "lower-seed0",
        }  # fmt: skip
        assert [seed for seed, _ in found["any"].runs()] == ["0", "1", "mean"]

    def test_whole_faces_are_read_by_who_was_trained_as_long_as_specialists(self):
        labels = drawn()
        p = channel(labels, 0.5, 1)
        cells = {
            (f"{name}-seed0", key): p
            for name in ("full", "longer", "upper", "lower")
            for key in ("full", "upper", "lower")
        }
        found = {each.name: each for each in families(told(cells, labels))}
        assert found["longer"].question == "robustness"  # it never saw a hidden face either
        assert found["specialists"].members["0"] == {
            "full": "longer-seed0", "upper": "upper-seed0", "lower": "lower-seed0",
        }  # fmt: skip

    def test_a_seed_that_lacks_a_condition_is_left_out(self):
        labels = drawn()
        p = channel(labels, 0.5, 1)
        cells = {
            ("any-seed0", "full"): p, ("any-seed0", "upper"): p, ("any-seed1", "full"): p,
        }  # fmt: skip
        (only,) = families(told(cells, labels))
        assert list(only.members) == ["0"]
        assert seeds_left_out(told(cells, labels)) == [
            "Bits and sensitivity of any under fill black are of the seeds that have the most "
            "conditions, without seed 1."
        ]
        even = {cell: values for cell, values in cells.items() if cell[0] == "any-seed0"}
        assert seeds_left_out(told(even, labels)) == []

    def test_each_fill_is_a_family(self):
        labels = drawn()
        strengths = {"full": 0.9, "upper": 0.6, "upper@mean": 0.3, "lower@mean": 0.3}
        cells = {
            ("any-seed0", key): channel(labels, strength, place)
            for place, (key, strength) in enumerate(strengths.items())
        }
        black, mean = families(told(cells, labels))
        assert (black.fill, black.conditions) == ("black", ["full", "upper"])
        assert (mean.fill, mean.conditions) == ("mean", ["full", "upper@mean", "lower@mean"])
        found = shapley(sampled(told(cells, labels), draws=10))
        assert set(found["fill"]) == {"mean"}  # only there both halves are read

    def test_none(self):
        labels = drawn()
        table = told({("full-seed0", "full"): channel(labels, 0.5, 1)}, labels)
        assert not informative(table)
        with pytest.raises(UsageError, match="full,upper,lower,left,right"):
            information(table)

    def test_validation_images_are_needed_and_not_scored(self):
        table = whole_and_halves(full=0.9, upper=0.5)
        with pytest.raises(UsageError, match="--split validation --split test"):
            information(sampled(table, "paper"))
        tested = Predictions(table.table[table.table["split"] == "test"], table.facts)
        assert not informative(tested)
        with pytest.raises(UsageError, match="--split validation --split test"):
            information(tested)

    def test_an_emotion_nobody_showed(self):
        table = whole_and_halves(full=0.9, upper=0.5)
        rows = table.table[(table.table["split"] == "test") | (table.table["label"] != "fear")]
        with pytest.raises(UsageError, match="show no fear"):
            information(Predictions(rows.reset_index(drop=True), table.facts))

    def test_an_unknown_mix(self):
        with pytest.raises(UsageError, match="'natural' is unknown"):
            Bits(sampled(whole_and_halves(full=0.9, upper=0.5)), "natural")

    @pytest.mark.parametrize(
        ("key", "seen"),
        [("full", "whole"), ("upper", "lower"), ("left@mean", "right"), ("none", "none"),
         ("only-lower-left", "lower-left"), ("lower-left", "all but lower-left"),
         ("diagonal", "antidiagonal"), ("random-50", "")],
    )  # fmt: skip
    def test_what_can_be_seen_has_a_name(self, key, seen):
        assert visible_part(key) == seen


def parts(table: pd.DataFrame, **wanted: str) -> dict[str, float]:
    rows = table
    for column, value in wanted.items():
        rows = rows[rows[column] == value]
    return dict(zip(rows["part"], rows["bits"], strict=True))


class TestDecomposition:
    def pair(self, whole: np.ndarray, upper: np.ndarray, lower: np.ndarray, labels: np.ndarray):
        cells = {
            ("any-seed0", "full"): whole,
            ("any-seed0", "lower"): upper,  # hiding the lower half shows the upper one
            ("any-seed0", "upper"): lower,
        }
        return decomposition(sampled(told(cells, labels), draws=50))

    def test_two_halves_that_say_the_same(self):
        labels = drawn()
        same = channel(labels, 0.7, 1)
        found = self.pair(same, same, same, labels)
        for definition in ("least", "specific", "minimum"):
            said = parts(found, definition=definition, emotion="all", mix="data")
            assert said["redundant"] == pytest.approx(mutual_information(0.7), abs=0.08)
            for part in ("unique upper", "unique lower", "synergistic"):
                assert said[part] == pytest.approx(0, abs=1e-9)
        assert list(found.columns) == list(DECOMPOSITION_COLUMNS)

    def test_only_one_half_says_anything(self):
        labels = drawn()
        seen = channel(labels, 0.7, 1)
        blind = np.tile(np.bincount(labels[: N // 2], minlength=7) / (N // 2), (N, 1))
        found = self.pair(seen, blind, seen, labels)
        for definition in ("least", "specific", "minimum"):
            said = parts(found, definition=definition, emotion="all", mix="data")
            assert said["unique lower"] == pytest.approx(mutual_information(0.7), abs=0.08)
            assert abs(said["unique upper"]) + abs(said["redundant"]) < 0.02

    def test_only_both_together_say_anything(self):
        labels = drawn()
        blind = np.tile(np.bincount(labels[: N // 2], minlength=7) / (N // 2), (N, 1))
        found = self.pair(channel(labels, 0.7, 1), blind, blind, labels)
        for definition in ("least", "specific", "minimum"):
            said = parts(found, definition=definition, emotion="all", mix="data")
            assert said["synergistic"] == pytest.approx(mutual_information(0.7), abs=0.08)

    def test_each_half_tells_other_emotions_apart(self):
        # Equal amounts of different kinds: min(A, B) calls it all redundant, by emotion it isn't.
        labels = drawn(0, np.full(7, 1 / 7))
        shares = np.bincount(labels[: N // 2], minlength=7) / (N // 2)

        def knows(some: list[int]) -> np.ndarray:
            values = np.eye(7)[labels] * 0.999 + 0.001 / 7
            rest = np.where(np.isin(np.arange(7), some), 0, shares)
            values[~np.isin(labels, some)] = rest / rest.sum()
            return values

        found = self.pair(
            np.eye(7)[labels] * 0.999 + 0.001 / 7, knows([0, 1]), knows([2, 3]), labels
        )
        said = {
            one: parts(found, definition=one, emotion="all", mix="balanced")["redundant"]
            for one in ("least", "specific", "minimum")
        }
        assert said["least"] <= said["specific"] < 0.75 * said["minimum"]

    @given(
        st.lists(st.tuples(*[st.floats(-1, 3)] * 3), min_size=7, max_size=7),
        st.lists(st.floats(0.05, 1), min_size=7, max_size=7),
    )
    def test_definitions_are_ordered_and_parts_add_up(self, told_by, weights):
        first, second, more = np.array(told_by).T
        whole = np.maximum(first, second) + np.abs(more)
        shares = np.array(weights) / np.sum(weights)
        first, second, whole = (
            np.append(one, one @ shares)[:, None] for one in (first, second, whole)
        )
        found = redundancies(first, second, whole, shares[:, None])
        for redundant in found.values():
            unique, other = first - redundant, second - redundant
            synergistic = whole - first - second + redundant
            total = unique + other + redundant + synergistic
            np.testing.assert_allclose(total, whole, atol=1e-12)
        assert (found["specific"] <= found["minimum"] + 1e-12).all()
        # The lower bound is of parts that aren't negative, and 0 where halves mislead.
        least = np.maximum(0, first + second - whole)
        np.testing.assert_allclose(found["least"], least)
        informed = (first >= 0).all() and (second >= 0).all()
        if informed:
            assert (found["least"] <= found["specific"] + 1e-12).all()

    @pytest.mark.parametrize("gap", [0.0, 0.7, -1.5, 9.0])
    def test_bias_of_the_smaller_and_the_larger_of_two(self, gap):
        # E min(A, B) - E A of two normal estimates has a closed form (Clark 1961), and E max(0, C)
        # - E C is the same of one: s (phi(z) - z Phi(-z)) with z the gap in deviations s.
        draws = 200_000
        noise = np.random.default_rng(7).normal(size=(2, 8, 1, draws))
        first, second = (
            np.concatenate([np.full((8, 1, 1), at), at + one], axis=-1)
            for at, one in zip((gap, 0.0), noise, strict=True)
        )
        shares = np.full((7, 1, 1 + draws), 1 / 7)
        apart = np.sqrt(2)
        z = abs(gap) / apart
        expected = -apart * (norm.pdf(z) - z * norm.cdf(-z))
        found = biases(first, second, np.zeros_like(first), shares)
        assert found["minimum"][..., 0] == pytest.approx(np.full((8, 1), expected), abs=0.01)
        assert found["specific"][..., 0] == pytest.approx(np.full((8, 1), expected), abs=0.01)
        # What both tell together is the gap here, with the same noise.
        assert found["least"][..., 0] == pytest.approx(np.full((8, 1), -expected), abs=0.01)

    def test_a_bias_leaves_out_draws_that_are_undefined(self):
        first = np.tile([0.0, 1.0, -1.0, np.nan], (8, 1, 1))
        second = np.where(np.isnan(first), np.nan, 0.0)
        shares = np.full((7, 1, 4), 1 / 7)
        found = biases(first, second, first + second, shares)
        assert found["minimum"][..., 0] == pytest.approx(-0.5)
        nothing = biases(np.full_like(first, np.nan), second, second, shares)
        assert (nothing["minimum"] == 0).all()


class TestShapley:
    def test_shares_out_what_the_whole_face_tells(self):
        found = shapley(sampled(whole_and_halves(full=0.9, upper=0.6, lower=0.3), draws=50))
        bits = information(sampled(whole_and_halves(full=0.9, upper=0.6, lower=0.3), draws=50))
        rows = found[(found["players"] == "halves") & (found["mix"] == "data")]
        by_region = rows[rows["emotion"] == "all"].set_index("region")["bits"]
        told_by = bits[(bits["mix"] == "data") & (bits["emotion"] == "all")]
        told_by = told_by.set_index("visible")["bits"]
        assert by_region["upper"] + by_region["lower"] == pytest.approx(by_region["whole"])
        assert by_region["whole"] == pytest.approx(told_by["whole"])
        gap = told_by["upper"] - told_by["lower"]
        assert by_region["upper - lower"] == pytest.approx(gap)
        assert by_region["lower / upper"] == pytest.approx(by_region["lower"] / by_region["upper"])
        assert list(found.columns) == list(SHAPLEY_COLUMNS)

    def test_quadrants_by_brute_force(self):
        from hemiface.occlusion.conditions import COALITIONS, QUADRANTS

        labels = drawn()
        strengths = np.random.default_rng(4).random(16)
        cells = {
            ("any-seed0", name): channel(labels, 0.2 + 0.15 * len(seen) + 0.1 * strengths[k], k)
            for k, (seen, name) in enumerate(COALITIONS.items())
        }
        table = told(cells, labels)
        found, bits = shapley(sampled(table, draws=5)), information(sampled(table, draws=5))
        rows = found[(found["players"] == "quadrants") & (found["mix"] == "balanced")]
        rows = rows[rows["emotion"] == "sad"].set_index("region")["bits"]
        values = bits[(bits["mix"] == "balanced") & (bits["emotion"] == "sad")]
        worth = values.set_index("condition")["bits"].to_dict() | {"none": 0.0}
        expected = dict.fromkeys(QUADRANTS, 0.0)
        for order in permutations(QUADRANTS):
            seen: set[str] = set()
            for each in order:
                before = worth[COALITIONS[frozenset(seen)]]
                seen.add(each)
                expected[each] += (worth[COALITIONS[frozenset(seen)]] - before) / 24
        for quadrant in QUADRANTS:
            assert rows[quadrant] == pytest.approx(expected[quadrant])
        assert rows["upper"] == pytest.approx(expected["upper-left"] + expected["upper-right"])

    def test_only_differences_are_tested_and_emotions_corrected_together(self):
        found = shapley(sampled(whole_and_halves(full=0.9, upper=0.6, lower=0.3), draws=100))
        tested = found["region"].isin(["upper - lower", "left - right"])
        assert found.loc[~tested, "p"].isna().all()
        rows = found[tested & (found["mix"] == "data")]
        assert (rows["p_holm"] >= rows["p"]).all()
        first = tested & ((found["mix"] == "data") | (found["emotion"] == "all"))
        # Upper and lower alone: seven emotions, and all of them under three mixes.
        assert first.sum() == 10
        assert found.loc[first, "p_holm"].tolist() == holm(found.loc[first, "p"]).tolist()
        balanced = tested & ~first & (found["mix"] == "balanced")
        assert found.loc[balanced, "p_holm"].tolist() == holm(found.loc[balanced, "p"]).tolist()
        assert one(rows, emotion="all")["p_holm"] < 0.001

    def test_no_difference_is_called_by_chance_in_one_of_twenty(self):
        calls = 0
        for seed in range(20):
            labels = drawn(seed)
            table = whole_and_halves(
                labels=labels, seed=100 + 7 * seed, full=0.8, upper=0.5, lower=0.5
            )
            found = shapley(sampled(table, draws=50))
            row = one(found, emotion="all", mix="data", region="upper - lower")
            calls += row["p"] < 0.05
        assert calls <= 4  # binomial(20, .05) is above 4 in 1 of 390

    def test_a_ratio_of_nothing_is_undefined(self):
        labels = drawn()
        wrong = channel((labels + 1) % 7, 0.9, 3)
        cells = {
            ("any-seed0", "full"): channel(labels, 0.5, 1),
            ("any-seed0", "upper"): channel(labels, 0.9, 2),
            ("any-seed0", "lower"): wrong,
        }
        row = one(
            shapley(sampled(told(cells, labels), draws=20)),
            emotion="all", mix="data", region="lower / upper",
        )  # fmt: skip
        assert np.isnan(row["bits"])
        assert row["reason"] == "undefined"
