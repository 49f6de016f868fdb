"""Region importance against shapiq, brute force over orders, and games whose answer is known."""

import itertools
import math
from functools import cache

import numpy as np
import pandas as pd
import pytest
import shapiq
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import described, sampled
from hemiface.config import StatisticsOptions
from hemiface.errors import DamagedError, HemifaceError, UsageError
from hemiface.occlusion.conditions import COALITIONS, QUADRANTS
from hemiface.stats import importance
from hemiface.stats.importance import game, regions
from hemiface.stats.importance.indices import (
    INTERACTIONS,
    interaction_coefficients,
    pairs,
    shapley_coefficients,
)
from hemiface.stats.matrix import estimate
from hemiface.stats.sample import group_weights
from hemiface.stats.significance import effective_units, expanded_quantiles
from hemiface.tables import EMOTIONS, PROBABILITY_COLUMNS, Predictions, check_predictions, derive

GAMES = st.integers(1, 5).flatmap(
    lambda n: st.lists(
        st.floats(-10, 10).map(lambda x: round(x, 6)), min_size=2**n, max_size=2**n
    ).map(np.array)
)
MASKS = {
    name: sum(1 << QUADRANTS.index(one) for one in visible) for visible, name in COALITIONS.items()
}
KEY = ["fill", "model", "seed", "emotion", "value_function"]


def oracle(values: np.ndarray, index: str, order: int) -> dict[tuple[int, ...], float]:
    """What shapiq's exact computer gives for a game, by players."""
    players = int(math.log2(len(values)))
    bits = 1 << np.arange(players)
    computer = shapiq.ExactComputer(lambda seen: values[np.asarray(seen) @ bits], n_players=players)
    return computer(index, order=order).dict_values


def over_orders(values: np.ndarray) -> np.ndarray:
    """Shapley values by their definition: what a player adds, over all orders of arrival."""
    players = int(math.log2(len(values)))
    added = np.zeros(players)
    orders = list(itertools.permutations(range(players)))
    for order in orders:
        here = 0
        for player in order:
            added[player] += values[here | 1 << player] - values[here]
            here |= 1 << player
    return added / len(orders)


def played(
    value, *, models=("full-seed0",), conditions=tuple(MASKS), n=28, fill="black", seed=0, groups=2
):
    """Predictions whose true emotion has probability value(model, mask, emotion, image)."""
    cells = []
    for model in models:
        for name in conditions:
            labels = np.arange(n) % 7
            truth = np.array([value(model, MASKS.get(name, name), labels[i], i) for i in range(n)])
            p = np.repeat((1 - truth)[:, None] / 6, 7, axis=1)
            p[np.arange(n), labels] = truth
            cell = pd.DataFrame(p, columns=list(PROBABILITY_COLUMNS)).assign(
                image=[f"i{i:03}" for i in range(n)],
                condition=name if fill == "black" or name == "full" else f"{name}@{fill}",
                model=model,
                dataset="made",
                split="test",
                label=np.array(EMOTIONS)[labels],
                group=[f"g{i // groups:03}" for i in range(n)],
                leaked=False,
            )
            cells.append(cell)
    table = pd.concat(cells, ignore_index=True)
    return table.sample(frac=1, random_state=seed).reset_index(drop=True)


def random_game(seed: int = 0):
    @cache
    def value(model: str, mask: int | str, _emotion: int, image: int) -> float:
        return float(np.random.default_rng([seed, sum(map(ord, model)), int(mask), image]).random())

    return value


def one(table: pd.DataFrame, **wanted: str) -> pd.Series:
    rows = table
    for column, value in wanted.items():
        rows = rows[rows[column] == value]
    assert len(rows) == 1, rows
    return rows.iloc[0]


class TestIndices:
    @given(values=GAMES)
    @settings(max_examples=60)
    def test_shapley_values_are_those_of_all_orders(self, values):
        players = int(math.log2(len(values)))
        found = shapley_coefficients(players) @ values
        assert found == pytest.approx(over_orders(values), abs=1e-9)
        assert found.sum() == pytest.approx(values[-1] - values[0], abs=1e-9)

    @given(values=GAMES)
    @settings(max_examples=30)
    def test_all_indices_are_shapiqs(self, values):
        players = int(math.log2(len(values)))
        truth = oracle(values, "SV", 1)
        found = shapley_coefficients(players) @ values
        assert found == pytest.approx([truth.get((i,), 0) for i in range(players)], abs=1e-8)
        if players > 1:
            for name, short in zip(INTERACTIONS, ("SII", "BII"), strict=True):
                truth = oracle(values, short, 2)
                found = interaction_coefficients(players, name) @ values
                wanted = [truth.get(pair, 0) for pair in pairs(players)]
                assert found == pytest.approx(wanted, abs=1e-8)

    def test_the_two_interaction_indices_differ_where_sizes_count(self):
        # v(S) = 1 for everybody alone: Shapley gives the pair 1/2 of the weight on the full rest
        # (2! 0! 1! / 3! ...), Banzhaf a quarter.
        values = np.zeros(16)
        values[15] = 1
        assert interaction_coefficients(4, "shapley") @ values == pytest.approx(1 / 3)
        assert interaction_coefficients(4, "banzhaf") @ values == pytest.approx(1 / 4)

    def test_an_unknown_index(self):
        with pytest.raises(UsageError, match="Index 'owen' is unknown; choose from shapley, banz"):
            interaction_coefficients(4, "owen")


@pytest.fixture(scope="module")
def predictions():
    table = played(random_game(), models=("full-seed0", "full-seed1", "any-seed0"), n=35)
    check_predictions(table)
    return table


@pytest.fixture(scope="module")
def found(predictions):
    return importance.analyse(sampled(predictions, draws=40, seed=5))


class TestRegions:
    def by_hand(self, predictions, model, emotion, function) -> np.ndarray:
        """The value of each of the sixteen coalitions, the plainest way.

        Nobody knows that each emotion is as frequent as every other, and answers the first.
        """
        table = derive(predictions[predictions["model"] == model])
        if emotion != "all":
            table = table[table["label"] == emotion]
        truth = np.array([row[f"p_{row['label']}"] for _, row in table.iterrows()])
        worth = {
            "probability": truth,
            "accuracy": table["correct"].to_numpy(float),
            "neg_log_loss": np.log(truth),
        }
        means = pd.Series(worth[function]).groupby(table["condition"].to_numpy()).mean()
        blind = {"probability": 1 / 7, "neg_log_loss": np.log(1 / 7)}
        blind["accuracy"] = 1 / 7
        values = np.zeros(16)
        for name, mask in MASKS.items():
            values[mask] = means[name] if mask else blind[function]
        return values

    @pytest.mark.parametrize("function", game.VALUE_FUNCTIONS)
    @pytest.mark.parametrize("emotion", ["all", "sad", "angry"])
    def test_every_quantity_against_the_sixteen_means(self, predictions, found, emotion, function):
        v = self.by_hand(predictions, "any-seed0", emotion, function)
        at = {"model": "any", "seed": "0", "emotion": emotion, "value_function": function}
        ul, ur, ll, lr = 1, 2, 4, 8

        def get(quantity: str, region: str) -> float:
            return one(found.regions, **at, quantity=quantity, region=region)["value"]

        truth = over_orders(v)
        for index, name in enumerate(QUADRANTS):
            assert get("shapley", name) == pytest.approx(truth[index])
        assert get("shapley", "upper") == pytest.approx(truth[0] + truth[1])
        assert get("shapley", "left - right") == pytest.approx(
            truth[0] + truth[2] - truth[1] - truth[3]
        )
        for name, mask in [("upper-right", ur), ("left", ul | ll), ("lower", ll | lr)]:
            assert get("necessity", name) == pytest.approx(v[15] - v[15 - mask])
            assert get("sufficiency", name) == pytest.approx(v[mask] - v[0])
        upper, lower = v[ul | ur], v[ll | lr]
        assert get("halves", "upper") == pytest.approx((upper - v[0] + v[15] - lower) / 2)
        assert get("halves", "upper") + get("halves", "lower") == pytest.approx(v[15] - v[0])
        assert get("halves", "upper - lower") == pytest.approx(upper - lower)
        assert get("necessity", "upper - lower") == pytest.approx(upper - lower)
        assert get("value", "full") == pytest.approx(v[15])
        assert get("value", "none") == pytest.approx(v[0])
        assert get("value", "full - none") == pytest.approx(v[15] - v[0])

        truth = oracle(v, "SII", 2)
        at["seed"] = "0"
        row = one(found.interactions, **at, index="shapley", regions="upper-left x lower-right")
        assert row["value"] == pytest.approx(truth[0, 3])
        row = one(found.interactions, **at, index="halves", regions="upper x lower")
        assert row["value"] == pytest.approx(v[15] - upper - lower + v[0])

    def test_accuracies_are_those_of_the_matrix_with_the_same_intervals(self, predictions, found):
        cell = predictions[
            (predictions["model"] == "any-seed0") & (predictions["condition"] == "full")
        ]
        known = estimate(described(cell), "accuracy", StatisticsOptions(draws=40, seed=5))
        row = one(
            found.regions, model="any", seed="0", emotion="all", value_function="accuracy",
            quantity="value", region="full",
        )  # fmt: skip
        assert (row["value"], row["low"], row["high"]) == pytest.approx(
            (known.value, known.low, known.high)
        )
        assert row["n"] == 35

    def test_intervals_are_those_of_resampled_tables(self, predictions):
        one_model = predictions[predictions["model"] == "any-seed0"]
        found = importance.shapley(sampled(one_model, draws=25, seed=2))
        names = sorted(one_model["group"].unique())
        sizes = one_model[one_model["condition"] == "full"]["group"].value_counts()
        weights = group_weights(len(names), 25, 2)
        values = []
        for draw in range(25):
            times = dict(zip(names, weights[:, draw], strict=True))
            drawn = one_model.loc[one_model.index.repeat(one_model["group"].map(times))]
            v = self.by_hand(drawn, "any-seed0", "all", "neg_log_loss")
            values.append(over_orders(v)[2])
        row = one(
            found, seed="0", emotion="all", value_function="neg_log_loss", region="lower-left"
        )
        assert (row["low"], row["high"]) == pytest.approx(
            tuple(np.quantile(values, expanded_quantiles(0.95, float(effective_units(sizes)))))
        )

    def test_the_mean_of_seeds_and_its_draws(self, found):
        table = found.regions[found.regions["model"] == "full"]
        wide = table.pivot_table(
            index=["emotion", "value_function", "quantity", "region"],
            columns="seed",
            values="value",
        )
        assert wide["mean"].to_numpy() == pytest.approx(wide[["0", "1"]].mean(axis=1).to_numpy())
        assert set(found.regions["seed"]) == {"0", "1", "mean"}

    def test_intervals_of_the_mean_hold_seeds_too(self):
        """Two networks that differ by a lot: images alone would say that the mean is sure."""

        def value(model, mask, _emotion, image):
            each = 0.08 if model == "any-seed0" else 0.03
            return 0.1 + each * bin(mask).count("1") + 0.0001 * image * (mask > 0)

        table = played(value, models=("any-seed0", "any-seed1"), n=140, groups=1)
        found = importance.shapley(sampled(table, draws=200))
        rows = found[(found["value_function"] == "probability") & (found["emotion"] == "all")]
        rows = rows[rows["region"] == "upper"].set_index("seed")
        width = rows["high"] - rows["low"]
        assert (width[["0", "1"]] < 0.01).all()
        # t of one degree of freedom times half the distance of two seeds.
        apart = rows.loc["0", "value"] - rows.loc["1", "value"]
        assert width["mean"] == pytest.approx(2 * 12.706 * apart / 2, rel=0.15)
        assert rows.loc["mean", "p"] > 0.05
        assert (rows.loc[["0", "1"], "p"] < 1e-6).all()

    def test_no_interval_passes_what_can_be(self):
        """t of one degree of freedom would: 12.7 times half the distance of two seeds."""

        def value(model, mask, _emotion, image):
            each = 0.19 if model == "any-seed0" else 0.01
            return 0.1 + each * bin(mask).count("1") + 0.0001 * image * (mask > 0)

        table = played(value, models=("any-seed0", "any-seed1"), n=140, groups=1)
        found = importance.analyse(sampled(table, draws=50)).regions
        rows = found[(found["seed"] == "mean") & (found["emotion"] == "all")]
        rows = rows.set_index(["value_function", "quantity", "region"]).sort_index()
        for region, least in {"full": 0, "full - none": -1}.items():
            ends = rows.loc[("probability", "value", region), ["low", "high"]]
            assert ends.tolist() == [least, 1]
        # Of one quadrant's four kinds of steps each counts a quarter, from 0 to 1 or from 1 to 0.
        ends = rows.loc[("probability", "shapley", "upper-left"), ["low", "high"]]
        assert ends.tolist() == pytest.approx([-1, 1])
        assert rows.loc["neg_log_loss"]["high"].max() > 1
        # No loss is below 0.
        assert rows.loc[("neg_log_loss", "value", "full"), "high"].item() == 0

    def test_nobody_takes_emotions_that_are_as_frequent_alike(self):
        """Else the first of them would be known to whoever sees nothing, and the others never."""
        found = importance.analyse(sampled(played(random_game(), n=28), draws=5)).regions
        at = {"seed": "0", "quantity": "value", "region": "none", "value_function": "accuracy"}
        for emotion in (*EMOTIONS, "all"):
            assert one(found, **at, emotion=emotion)["value"] == pytest.approx(1 / 7)

    def test_nobody_is_worth_what_validation_images_say_of_frequencies(self):
        table = played(random_game(), n=28)
        seen = played(random_game(2), n=28).assign(split="validation")
        seen = seen[(seen["label"] != "happy") | (seen["image"] < "i007")]
        shares = seen.drop_duplicates("image")["label"].value_counts(normalize=True)
        both = pd.concat([table, seen], ignore_index=True)
        found = importance.analyse(sampled(both, draws=5)).regions
        at = {"seed": "0", "quantity": "value", "region": "none"}
        for emotion in ("happy", "fear"):
            row = one(found, **at, emotion=emotion, value_function="neg_log_loss")
            assert row["value"] == pytest.approx(np.log(shares[emotion]))
            assert np.isnan(row["low"])
        row = one(found, **at, emotion="all", value_function="accuracy")
        assert row["value"] == pytest.approx(1 / 7)
        # Where validation lacks an emotion, frequencies are those of the scored images.
        lacking = both[(both["split"] == "test") | (both["label"] != "fear")]
        own = importance.analyse(sampled(lacking, draws=5)).regions
        row = one(own, **at, emotion="fear", value_function="neg_log_loss")
        assert row["value"] == pytest.approx(np.log(1 / 7))
        # The black picture's own answer is neither needed nor used.
        rest = both[both["condition"] != "none"]
        again = importance.analyse(sampled(rest, draws=5)).regions
        pd.testing.assert_frame_equal(again, found)

    def test_rows_order_and_copies_of_the_sample_do_not_matter(self, predictions, found):
        again = importance.analyse(sampled(predictions.iloc[::-1], draws=40, seed=5))
        key = [*KEY, "quantity", "region"]
        pd.testing.assert_frame_equal(
            again.regions.sort_values(key, ignore_index=True),
            found.regions.sort_values(key, ignore_index=True),
        )

    def test_functions_are_slices_of_the_whole(self, predictions, found):
        for name in ("shapley", "halves", "necessity", "sufficiency"):
            table = getattr(importance, name)(sampled(predictions, draws=40, seed=5))
            wanted = found.regions[found.regions["quantity"] == name].reset_index(drop=True)
            pd.testing.assert_frame_equal(table, wanted)
            assert tuple(table.columns) == regions.IMPORTANCE_COLUMNS
        table = importance.interactions(sampled(predictions, draws=40, seed=5))
        pd.testing.assert_frame_equal(table, found.interactions)
        assert tuple(table.columns) == regions.INTERACTION_COLUMNS

    def test_a_planted_face_only_the_lower_half_tells_happiness(self):
        def value(_model, mask, emotion, image):
            if emotion == EMOTIONS.index("happy"):
                # No two images alike: what never varies has no interval.
                each = 0.3 + (1e-4 * image if mask else 0)
                return 1 / 7 + each * bool(mask & 4) + each * bool(mask & 8)
            return 1 / 7 + 0.1 * bin(mask).count("1")

        table = importance.shapley(sampled(played(value), draws=30))
        table = table[(table["value_function"] == "probability") & (table["seed"] == "0")]
        happy = table[table["emotion"] == "happy"].set_index("region")
        assert happy.loc[list(QUADRANTS), "value"].to_numpy() == pytest.approx(
            [0, 0, 0.3, 0.3], abs=0.003
        )
        assert happy.loc["upper - lower", "high"] == pytest.approx(-0.6, abs=0.006)
        sad = table[table["emotion"] == "sad"].set_index("region")
        assert sad.loc[list(QUADRANTS), "value"].to_numpy() == pytest.approx([0.1] * 4)
        assert sad.loc["left - right", "value"] == pytest.approx(0, abs=1e-12)

    def test_hiding_against_hiding_as_much_at_random(self):
        worth = {15: 0.9, 12: 0.3, 3: 0.7, 14: 0.6, "random-50": 0.65, "random-25": 0.8}
        table = played(
            lambda _model, mask, _emotion, _image: worth.get(mask, 0.5),
            conditions=(*MASKS, "random-25", "random-50"),
        )
        found = importance.controls(sampled(table, draws=10))
        at = {"seed": "0", "emotion": "all", "value_function": "probability"}
        # Visible 12 (the lower quadrants) is `upper` hidden: 0.65 - 0.3.
        assert one(found, **at, region="upper")["value"] == pytest.approx(0.35)
        assert one(found, **at, region="lower")["value"] == pytest.approx(-0.05)
        assert one(found, **at, region="upper-left")["value"] == pytest.approx(0.2)
        assert importance.controls(sampled(played(random_game()), draws=5)).empty

    def test_fills_are_games_of_their_own_with_their_spread(self):
        black = played(random_game())
        other = played(random_game(1), conditions=[k for k in MASKS if k != "full"], fill="mean")
        found = importance.analyse(sampled(pd.concat([black, other], ignore_index=True), draws=5))
        assert set(found.regions["fill"]) == {"black", "mean"}
        at = {"seed": "0", "emotion": "all", "value_function": "accuracy", "quantity": "necessity"}
        values = [
            one(found.regions, **at, region="upper", fill=fill)["value"]
            for fill in ("black", "mean")
        ]
        row = one(found.fills, **at, region="upper")
        assert row["fills"] == 2
        assert (row["lowest"], row["highest"]) == pytest.approx((min(values), max(values)))
        assert row["spread"] == pytest.approx(abs(values[0] - values[1]))
        assert importance.analyse(sampled(black, draws=5)).fills.empty

    def test_an_emotion_of_which_there_is_no_image(self):
        table = played(random_game())
        found = importance.shapley(sampled(table[table["label"] != "fear"], draws=20))
        rows = found[found["emotion"] == "fear"]
        assert rows[["value", "low", "high"]].isna().all(axis=None)
        assert (rows["n"] == 0).all()
        assert found[found["emotion"] == "all"]["value"].notna().all()

    def test_one_group_has_no_interval(self):
        found = importance.shapley(sampled(played(random_game(), groups=99), draws=20))
        assert found["value"].notna().all()
        assert found[["low", "high"]].isna().all(axis=None)

    def test_values_that_do_not_add_up_are_refused(self):
        good = game.play(sampled(played(random_game()), draws=5))[0]
        values = good.values.copy()
        values[0, 2, 4, 1, 3] = np.nan
        broken = game.Game(good.fill, good.model, good.seed, values, good.scale, good.controls)
        with pytest.raises(HemifaceError, match=r"full \(seed 0\) don't add up"):
            regions.region_table([broken], "standard", StatisticsOptions())


class TestWhatIsMissing:
    def test_coalitions_are_named_with_the_command_that_makes_them(self):
        table = played(random_game(), conditions=[k for k in MASKS if k not in ("upper", "left")])
        with pytest.raises(UsageError) as error:
            importance.shapley(sampled(table))
        text = str(error.value)
        assert "full-seed0 lacks " in text
        assert {"upper", "left"} == set(text.split("lacks ")[1].split(" of the")[0].split(", "))
        asked = text.split("--conditions ")[1].split()[0].split(",")
        assert sorted(asked) == sorted(set(MASKS) - {"none"})

    def test_an_incomplete_model_beside_a_complete_one_is_said(self, caplog):
        whole = played(random_game())
        part = played(random_game(), models=("any-seed0",), conditions=("full", "upper"))
        with caplog.at_level("INFO", logger="hemiface"):
            found = importance.shapley(
                sampled(pd.concat([whole, part], ignore_index=True), draws=5)
            )
        assert set(found["model"]) == {"full"}
        assert "any-seed0 is left out: it lacks " in caplog.text

    def test_cells_of_other_images(self):
        table = played(random_game())
        cut = table[(table["condition"] != "upper") | (table["image"] != "i003")]
        with pytest.raises(DamagedError, match="saw other images under upper than under full"):
            importance.shapley(sampled(cut, draws=5))

    def test_options_and_splits(self):
        table = played(random_game())
        with pytest.raises(UsageError, match="draws must be 1 or more"):
            importance.shapley(sampled(table, draws=0))
        with pytest.raises(UsageError, match="no image of protocol paper"):
            importance.shapley(sampled(table, protocol="paper"))
        table["model"] = table["model"].str.replace("seed0", "seedx")
        twin = table.assign(model="other")
        both = pd.concat([table, twin], ignore_index=True)
        models = [{"model": name, "name": "full", "seed": 0} for name in ("full-seedx", "other")]
        with pytest.raises(UsageError, match="are all full with seed 0"):
            importance.shapley(sampled(Predictions(both, {"models": models}), draws=5))
