"""Sides: planted asymmetries of faces and of networks are told apart, and named rightly."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from builders import answers, described, sampled, scored_predictions
from hemiface.errors import UsageError
from hemiface.report.words.sides import side_words
from hemiface.report.words.verdicts import Verdicts
from hemiface.stats.sides import SIDES_COLUMNS, UNDETECTABLE, has_sides, sides
from hemiface.tables import EMOTIONS, Predictions

N = 1400
LABELS = np.arange(N) % 7
HAPPY = EMOTIONS.index("happy")
SIDES = ("left", "right")


def known(table: pd.DataFrame, flips: bool = False, **facts: object) -> Predictions:
    return described(table, {"flips": flips, "conditions": ["full"]}, **facts)


def compared(plain, mirrored=None, **options) -> pd.DataFrame:
    return sides(sampled(plain, **options), mirrored)


def side_table(
    left: float, right: float, *, only: int | None = None, seed: int = 0, model: str = "full-seed0",
    mirrored: bool = False, swap: bool = False, keys: tuple[str, str] = ("left", "right"),
) -> Predictions:  # fmt: skip
    """Accuracy `left` with the left hidden, `right` with the right hidden (`only` one emotion).

    With `swap` the two change places, as mirroring does to faces.
    """
    random = np.random.default_rng(seed)
    draw = random.random(N)
    outcomes = {}
    for key, share in zip(keys, (right, left) if swap else (left, right), strict=True):
        shares = np.where(only == LABELS, share, 0.5) if only is not None else np.full(N, share)
        outcomes[model, key] = answers(LABELS, draw + 0.1 * random.random(N) - 0.05 < shares)
    return known(scored_predictions(outcomes, LABELS).table, mirrored=mirrored)


def row(found: pd.DataFrame, part: str = "as shown", emotion: str = "all", measure="accuracy"):
    one = found[
        (found["part"] == part) & (found["emotion"] == emotion) & (found["measure"] == measure)
    ]
    assert len(one) == 1
    return one.iloc[0]


class TestAsShown:
    def test_the_side_that_is_missed_more_carries_more(self):
        # Hiding the left costs more: the left of the picture carries more, the person's right.
        found = compared(side_table(0.5, 0.7), draws=300)
        one = row(found)
        assert one["difference"] == pytest.approx(-0.2, abs=0.03)
        assert (one["verdict"], one["image_side"], one["person_side"]) == (
            "left carries more", "left", "right",
        )  # fmt: skip
        assert one["difference"] == one["value_left_hidden"] - one["value_right_hidden"]
        assert list(found.columns) == list(SIDES_COLUMNS)
        assert set(found["warning"]) == {""}

    def test_difference_and_p_are_those_of_a_paired_test(self):
        predictions = side_table(0.55, 0.6)
        one = row(compared(predictions, draws=3000))
        table, right = predictions.table, {}
        for key in ("left", "right"):
            cell = table[table["condition"] == key]
            p = cell[[f"p_{emotion}" for emotion in EMOTIONS]].to_numpy()
            right[key] = (p.argmax(axis=1) == LABELS).astype(float)
        expected = stats.ttest_rel(right["left"], right["right"])
        assert one["difference"] == pytest.approx(right["left"].mean() - right["right"].mean())
        assert one["difference"] / one["se"] == pytest.approx(expected.statistic, rel=0.05)
        # Four of five such studies would find a difference of 2.8 standard errors.
        assert one["detectable"] == pytest.approx(2.8 * one["se"], rel=0.01)
        # Unpaired the same difference would have a far smaller statistic.
        apart = stats.ttest_ind(right["left"], right["right"]).statistic
        assert abs(one["difference"] / one["se"]) > 1.5 * abs(apart)

    def test_what_no_difference_can_be_large_enough_for_is_not_given(self):
        # Two seeds that contradict each other leave one degree of freedom and a large error.
        one, other = (side_table(*pair, model=f"full-seed{seed}", seed=seed).table
                      for seed, pair in enumerate([(0.9, 0.1), (0.1, 0.9)]))  # fmt: skip
        found = compared(known(pd.concat([one, other], ignore_index=True)), draws=50)
        over = row(found[found["seed"] == "mean"])
        assert over["se"] > 0.1
        assert np.isnan(over["detectable"])
        assert over["reason"] == UNDETECTABLE == "no difference, however large, would be found"
        assert "No difference, however large, would be found in four of five" in " ".join(
            side_words(found, Verdicts())
        )
        assert (found["detectable"].dropna() <= 1).all()
        assert row(found[found["seed"] == "0"])["reason"] == ""

    def test_only_the_emotion_that_differs(self):
        found = compared(side_table(0.4, 0.7, only=HAPPY), draws=300)
        rows = found[(found["measure"] == "accuracy") & (found["emotion"] != "all")]
        sure = rows[rows["p_holm"] < 0.001]
        assert sure["emotion"].tolist() == ["happy"]
        assert sure["n"].tolist() == [200]
        assert rows["emotion"].tolist() == list(EMOTIONS)

    def test_probability_is_the_mean_given_to_the_truth(self):
        table = side_table(0.5, 0.7)
        one = row(compared(table, draws=50), measure="probability")
        # Right answers get .7, wrong ones .05.
        hits = row(compared(table, draws=50))["difference"]
        assert one["difference"] == pytest.approx(hits * 0.65)

    def test_alike_needs_evidence(self):
        same = side_table(0.6, 0.6)
        assert row(compared(same, draws=300))["verdict"] == "alike"
        strict = compared(same, draws=300, margin=0.001)
        assert row(strict)["verdict"] == "undecided"
        assert set(strict["margin"]) == {0.001}
        small = compared(side_table(0.6, 0.65), draws=300, margin=0.15)
        assert row(small)["verdict"] == "left carries more, by less than the margin"


class TestMirrorControl:
    def test_what_faces_carry_changes_sides_in_the_mirror(self):
        # A side-blind network on faces whose left half says more.
        plain = side_table(0.5, 0.7)
        flipped = side_table(0.5, 0.7, swap=True, mirrored=True)
        found = compared(plain, flipped, draws=300)
        assert set(found["part"]) == {"as shown", "mirrored", "face", "network"}
        assert row(found, "mirrored")["verdict"] == "right carries more"
        face = row(found, "face")
        assert face["difference"] == pytest.approx(-0.2, abs=0.03)
        assert (face["image_side"], face["person_side"]) == ("left", "right")
        assert row(found, "network")["verdict"] == "alike"

    def test_what_the_network_prefers_stays(self):
        plain = side_table(0.5, 0.7)
        flipped = side_table(0.5, 0.7, mirrored=True, seed=1)
        found = compared(plain, flipped, draws=300)
        network = row(found, "network")
        assert network["difference"] == pytest.approx(-0.2, abs=0.03)
        assert (network["image_side"], network["person_side"]) == ("left", "")
        assert row(found, "face")["image_side"] == ""
        # In a mirrored picture the left is the person's left.
        assert row(found, "mirrored")["person_side"] == "left"

    def test_halves_of_the_sum_and_the_difference(self):
        found = compared(
            side_table(0.5, 0.7), side_table(0.65, 0.6, mirrored=True, seed=3), draws=50
        )
        values = {part: row(found, part)["difference"] for part in set(found["part"])}
        d, m = values["as shown"], values["mirrored"]
        assert values["face"] == pytest.approx((d - m) / 2)
        assert values["network"] == pytest.approx((d + m) / 2)
        assert found[found["part"] == "face"]["value_left_hidden"].isna().all()

    def test_the_control_may_have_fewer_conditions(self):
        plain = side_table(0.5, 0.7)
        quarters = {"left": "upper-left", "right": "upper-right"}
        more = plain.table.assign(condition=plain.table["condition"].replace(quarters))
        both = known(pd.concat([plain.table, more], ignore_index=True))
        control = side_table(0.5, 0.7, mirrored=True, swap=True)
        pd.testing.assert_frame_equal(compared(both, control), compared(plain, control))
        assert set(compared(both)["left_hidden"]) == {"left", "upper-left"}

    def test_the_control_must_be_one(self):
        plain = side_table(0.5, 0.7)
        with pytest.raises(UsageError, match="needs predictions of mirrored pictures"):
            compared(plain, side_table(0.5, 0.7))
        with pytest.raises(UsageError, match="of mirrored pictures; they serve as a control only"):
            compared(side_table(0.5, 0.7, mirrored=True))
        short = side_table(0.5, 0.7, mirrored=True)
        less = short.select(short.table["image"] < f"{700:016x}")
        with pytest.raises(UsageError, match="lack models, conditions or images"):
            compared(plain, less)

    def test_the_control_needs_only_what_is_compared(self):
        # What a specialist of one side does under the other is compared with nothing.
        def study(mirrored: bool) -> list[pd.DataFrame]:
            return [
                side_table(share, share, model=f"{name}-seed0", swap=mirrored).table
                for name, share in (("left", 0.6), ("right", 0.3))
            ]

        def whole(parts: list[pd.DataFrame], mirrored: bool) -> Predictions:
            return known(pd.concat(parts, ignore_index=True), mirrored=mirrored)

        plain, control = whole(study(False), False), study(True)
        home = [one[one["condition"] == name] for one, name in zip(control, SIDES, strict=True)]
        found = compared(plain, whole(home, True))
        pd.testing.assert_frame_equal(found, compared(plain, whole(control, True)))
        assert set(found["model"]) == {"left and right"}
        with pytest.raises(UsageError, match="lack models, conditions or images"):
            compared(
                plain, whole([control[0], control[1][control[1]["condition"] == "left"]], True)
            )


class TestWhatIsCompared:
    def test_a_specialist_is_compared_with_its_mirror_image(self):
        parts = [
            side_table(
                share, share + 0.1 * (name == "right"), seed=seed, model=f"{name}-seed{seed}"
            ).table
            for name, share in (("left", 0.6), ("right", 0.3), ("any", 0.5))
            for seed in (0, 1)
        ]
        table = known(pd.concat(parts, ignore_index=True))
        found = compared(table, draws=100)
        kinds = found[["question", "model", "seed"]].drop_duplicates().to_numpy().tolist()
        pair = "left and right"
        assert kinds == [
            *(["available information", "any", seed] for seed in ("0", "1", "mean")),
            *(["available information", pair, seed] for seed in ("0", "1", "mean")),
        ]
        one = row(found[(found["model"] == pair) & (found["seed"] == "0")])
        # `left` with the left hidden against `right` with the right hidden: .6 and .4.
        assert one["value_left_hidden"] == pytest.approx(0.6, abs=0.03)
        assert one["value_right_hidden"] == pytest.approx(0.4, abs=0.03)
        averaged = row(found[(found["model"] == pair) & (found["seed"] == "mean")])
        assert "x 2 seeds" in averaged["method"]

    def test_every_mirrored_pair_in_the_right_direction(self):
        keys = ("only-upper-left", "only-upper-right")
        table = side_table(0.5, 0.7, keys=keys)
        assert has_sides(table.table["condition"])
        one = row(compared(table, draws=100))
        # Hidden left means more of the left hidden: only the upper RIGHT is visible.
        assert (one["left_hidden"], one["right_hidden"]) == keys[::-1]
        assert one["image_side"] == "right"

    @pytest.mark.parametrize("keys", [("left", "upper"), ("diagonal", "antidiagonal")])
    def test_conditions_without_sides(self, keys):
        table = side_table(0.5, 0.7, keys=keys)
        assert not has_sides(table.table["condition"])
        with pytest.raises(UsageError, match="No two conditions mirror each other"):
            compared(table)

    def test_warnings(self):
        table = side_table(0.5, 0.7).table
        assert set(compared(known(table, flips=True), draws=5)["warning"]) == {
            "trained with flips: this network learned both sides as one"
        }
        nothing_known = Predictions(table)
        found = compared(nothing_known, draws=5)["warning"]
        assert found.str.startswith("not known whether").all()
        found = compared(nothing_known.with_facts(flip=True), draws=5)["warning"]
        assert found.str.startswith("evaluated with the mir").all()
