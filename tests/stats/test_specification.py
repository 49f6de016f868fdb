"""Specifications: planted ratios come back for every choice, and what holds in all is said."""

import numpy as np
import pandas as pd
import pytest

from builders import described
from hemiface.config import StatisticsOptions
from hemiface.errors import UsageError
from hemiface.report.figures.specification import (
    specification_curve,
    specification_emotions,
    specification_strength,
)
from hemiface.stats.information import FIVE
from hemiface.stats.specification import NEUTRAL, Specified, held, moved, specification
from hemiface.tables import EMOTIONS, PROBABILITY_COLUMNS, Predictions

N = 1400
LABELS = np.random.default_rng(0).integers(0, 7, N)
OPTIONS = StatisticsOptions(draws=60)
CHOICES = ("architecture", "labels")


def channel(strength: float, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    seen = np.where(random.random(N) < strength, LABELS, random.integers(0, 7, N))
    likelihood = np.full((7, 7), (1 - strength) / 7) + strength * np.eye(7)
    return likelihood[:, seen].T


def predictions(lower: float, upper: float, seeds: int = 1, **facts) -> Predictions:
    """Networks to which the lower and the upper half tell so much."""
    shown = {"full": 0.9, "upper": lower, "lower": upper, "left": 0.5, "right": 0.5}
    tables = [
        pd.DataFrame(channel(told, 10 * seed + place), columns=list(PROBABILITY_COLUMNS)).assign(
            image=[f"{k:016x}" for k in range(N)],
            condition=key, model=f"any-seed{seed}", dataset="made",
            split=np.where(np.arange(N) < N // 2, "validation", "test"),
            label=np.asarray(EMOTIONS)[LABELS],
            group=[f"g{k:05}" for k in range(N)], leaked=np.arange(N) % 4 == 0,
        )
        for seed in range(seeds)
        for place, (key, told) in enumerate(shown.items())
    ]  # fmt: skip
    return described(pd.concat(tables, ignore_index=True), **facts)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """The lower half tells more with one architecture and less with the other."""
    return specification(
        [
            Specified({"architecture": "a", "labels": "x"}, predictions(0.7, 0.4)),
            Specified({"architecture": "b", "labels": "x"}, predictions(0.4, 0.7, seeds=3)),
        ],
        OPTIONS,
    )


def test_a_row_per_choice_mix_duplicates_and_quantity(table):
    key = ["architecture", "labels", "mix", "duplicates", "emotion", "quantity"]
    # The ratio is of all emotions together alone, and one of three mixes is of five emotions.
    assert len(table) == 2 * 2 * (3 * len(NEUTRAL) + (7 + 7 + 5) * (len(NEUTRAL) - 1))
    five = table[table["mix"] == FIVE]
    assert set(five["emotion"]) == {*EMOTIONS, "all"} - {"happy", "neutral"}
    assert five["value"].notna().all()
    assert not table.duplicated(key).any()
    ratio = table[table["quantity"] == "lower / upper"].set_index("architecture")
    assert (ratio.loc["a", "low"] > 1).all()
    assert (ratio.loc["b", "high"] < 1).all()
    assert set(ratio.loc["a", "seeds"]) == {1}
    assert set(ratio.loc["b", "seeds"]) == {3}
    counts = ratio.loc["a"].groupby("duplicates")["n"].first()
    assert counts["without"] == pytest.approx(0.75 * counts["with"], abs=1)


def test_a_direction_needs_interval_and_p_of_its_difference(table):
    ratio = table[table["quantity"] == "lower / upper"].reset_index(drop=True)
    apart = table[(table["quantity"] == "upper - lower") & (table["emotion"] == "all")]
    assert ratio["p_holm"].tolist() == apart["p_holm"].tolist()
    assert ratio["sign"].tolist() == (-apart["sign"]).tolist()
    assert set(ratio["sign"]) == {-1, 1}
    for quantity, rows in table.groupby("quantity"):
        above, below = rows["low"] > NEUTRAL[quantity], rows["high"] < NEUTRAL[quantity]
        sure = rows["p_holm"] < 0.05
        assert ((rows["sign"] == 1) == (above & sure)).all()
        assert ((rows["sign"] == -1) == (below & sure)).all()


def test_each_emotion_has_its_own_answer():
    """The lower half tells happy from the rest and the upper half sad, as is planted here."""
    happy, sad = (np.where(label == LABELS, label, 0) for label in (3, 4))
    shows = {"full": LABELS, "upper": happy, "lower": sad, "left": LABELS, "right": LABELS}
    tables = []
    random = np.random.default_rng(1)
    for key, shown in shows.items():
        seen = np.where(random.random(N) < 0.8, shown, random.integers(0, 7, N))
        told = np.full((7, 7), 0.2 / 7) + 0.8 * np.eye(7)
        probability = told[seen] if key not in ("upper", "lower") else _posterior(seen)
        tables.append(predictions(0.5, 0.5).table.query("condition == @key").assign(
            **dict(zip(PROBABILITY_COLUMNS, probability.T, strict=True))
        ))  # fmt: skip
    given = described(pd.concat(tables, ignore_index=True))
    found = specification([Specified({"architecture": "a"}, given)], OPTIONS)
    found = found[(found["quantity"] == "upper - lower") & (found["duplicates"] == "with")]
    found = found[found["mix"] == "data"].set_index("emotion")
    assert found.loc["happy", "sign"] == -1
    assert found.loc["sad", "sign"] == 1
    assert found.loc["all", "sign"] == 0
    summary = held(found.reset_index(), []).set_index("emotion")
    assert summary.loc["happy", ["above", "below"]].tolist() == [0, 1]
    assert summary.loc["sad", ["above", "below"]].tolist() == [1, 0]


def _posterior(seen: np.ndarray) -> np.ndarray:
    """Return the shares of the labels among images that look alike, float [n, 7]."""
    counts = np.zeros((7, 7))
    np.add.at(counts, (seen, LABELS), 1)
    return (counts / counts.sum(1, keepdims=True))[seen]


def test_what_networks_tell_of_whole_faces_stands_beside(table):
    told, other = 0.9 + 0.1 / 7, 0.1 / 7  # the channel's probabilities, by hand
    bits = np.log2(7) + told * np.log2(told) + 6 * other * np.log2(other)
    rows = table[(table["duplicates"] == "with") & (table["mix"] == "balanced")]
    rows = rows[rows["emotion"] == "all"]
    assert rows["whole"].to_numpy() == pytest.approx(bits, abs=0.12)


def test_what_holds_in_all(table):
    found = held(table, CHOICES)
    assert set(found["emotion"]) == {*EMOTIONS, "all"}
    found = found[found["emotion"] == "all"].set_index(["quantity", "choice", "option"])
    every = found.loc[("lower / upper", "all", "")]
    assert (every["specifications"], every["above"], every["below"]) == (12, 6, 6)
    only = found.loc[("lower / upper", "architecture", "a")]
    assert (only["specifications"], only["above"], only["below"]) == (6, 6, 0)
    rows = table[(table["quantity"] == "lower / upper") & (table["architecture"] == "a")]
    assert only["median"] == pytest.approx(rows["value"].median())
    assert found.loc[("left - right", "all", ""), ["above", "below"]].sum() <= 2


def test_how_far_a_choice_moves_the_answer_all_else_alike(table):
    found = moved(table, [*CHOICES, "mix", "duplicates"])
    assert set(found["emotion"]) == {*EMOTIONS, "all"}
    found = found[found["emotion"] == "all"]
    ratio = found[(found["quantity"] == "lower / upper") & (found["choice"] == "architecture")]
    assert ratio[["option", "other", "pairs"]].to_numpy().tolist() == [["a", "b", 6]]
    rows = table[table["quantity"] == "lower / upper"].set_index(["mix", "duplicates"])
    by = dict(tuple(rows.groupby("architecture")["value"]))
    quotients = [by["a"][key] / by["b"][key] for key in by["a"].index]
    ends = ratio[["lowest", "median", "highest"]].to_numpy()[0]
    assert ends == pytest.approx([min(quotients), np.median(quotients), max(quotients)])
    apart = found[(found["quantity"] == "upper - lower") & (found["choice"] == "architecture")]
    assert apart[["option", "other"]].to_numpy().tolist() == [["b", "a"]]
    assert (apart["median"] > 0).all()
    assert "labels" not in set(found["choice"])  # one option alone


def test_what_is_in_other_company_is_no_pair():
    rows = [("a", "x", 2.0), ("a", "y", 3.0), ("b", "y", 1.5)]
    made = pd.DataFrame(rows, columns=[*CHOICES, "value"])
    made = made.assign(quantity="lower / upper", emotion="all")
    found = moved(made, CHOICES).set_index("choice")
    assert found.loc["architecture", ["option", "other", "pairs", "median"]].tolist() == [
        "a", "b", 1, 2.0,
    ]  # fmt: skip
    assert found.loc["labels", ["option", "other", "pairs", "median"]].tolist() == [
        "y", "x", 1, 1.5,
    ]  # fmt: skip


def test_without_known_duplicates_only_with():
    given = predictions(0.7, 0.4, unknown=["leaked"])
    found = specification([Specified({"architecture": "a"}, given)], OPTIONS)
    assert set(found["duplicates"]) == {"with"}


def test_choices_must_agree():
    with pytest.raises(UsageError, match="must choose architecture, labels, got architecture"):
        specification(
            [
                Specified({"architecture": "a", "labels": "x"}, predictions(0.7, 0.4)),
                Specified({"architecture": "a"}, predictions(0.7, 0.4)),
            ],
            OPTIONS,
        )


def test_predictions_without_halves():
    given = predictions(0.7, 0.4)
    only = given.select(given.table["condition"] == "full")
    with pytest.raises(UsageError, match="predictions of a don't tell"):
        specification([Specified({"architecture": "a"}, only)], OPTIONS)


def test_figure_shows_every_specification(table):
    figure = specification_curve(table, "lower / upper", CHOICES)
    top, bottom = figure.axes
    values = np.asarray(top.collections[1].get_offsets())[:, 1]
    rows = table[table["quantity"] == "lower / upper"]
    np.testing.assert_allclose(values, np.sort(rows["value"]))
    assert [label.get_text() for label in bottom.get_yticklabels()] == ["a", "b", "x"]
    with pytest.raises(UsageError, match="no specification of nothing"):
        specification_curve(table, "nothing", CHOICES)


def test_figure_shows_every_emotion(table):
    axes = specification_emotions(table, "upper - lower", "architecture").axes[0]
    lanes = axes.collections
    assert [label.get_text() for label in axes.get_yticklabels()] == [*EMOTIONS, "all"]
    assert len(lanes) == 8 * 2  # a lane for each architecture
    rows = table[table["quantity"] == "upper - lower"]
    for place, (emotion, architecture) in enumerate(
        (emotion, architecture) for emotion in (*EMOTIONS, "all") for architecture in "ab"
    ):
        own = rows[(rows["emotion"] == emotion) & (rows["architecture"] == architecture)]
        own = own.sort_values("value", kind="stable")
        at = np.asarray(lanes[place].get_offsets())
        np.testing.assert_allclose(at[:, 0], own["value"])
        assert (np.abs(at[:, 1] - place // 2) < 0.5).all()
        full = (
            lanes[place].get_facecolors()[:, 3] > 0
            if (own["sign"] != 0).any()
            else [False] * len(own)
        )
        assert list(full) == (own["sign"] != 0).tolist()
    with pytest.raises(UsageError, match="no specification of nothing"):
        specification_emotions(table, "nothing", "architecture")


def test_figure_shows_answers_beside_what_is_told_of_whole_faces(table):
    axes = specification_strength(table, "lower / upper", "architecture").axes[0]
    drawn = np.concatenate([np.asarray(one.get_offsets()) for one in axes.collections[1::2]])
    rows = table[table["quantity"] == "lower / upper"].sort_values("architecture", kind="stable")
    np.testing.assert_allclose(drawn, rows[["whole", "value"]])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]
    with pytest.raises(UsageError, match="no specification of nothing"):
        specification_strength(table, "nothing", "architecture")
