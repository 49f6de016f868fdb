"""What every statistic of a protocol shares: selection, alignment, draws and scores."""

import numpy as np
import pandas as pd
import pytest

from builders import described, tiny_predictions
from hemiface.config import StatisticsOptions
from hemiface.errors import UsageError
from hemiface.stats.matrix import matrix
from hemiface.stats.sample import Sample, group_weights


def sample(draws: int) -> Sample:
    return Sample.of(tiny_predictions(28), options=StatisticsOptions(draws=draws))


def test_group_weights_are_a_multinomial_sample():
    weights = group_weights(50, 4000, seed=3)
    assert weights.shape == (50, 4000)
    assert (weights.sum(axis=0) == 50).all()
    # Each count is binomial(50, 1/50): mean 1, variance 49/50, P(0) = .98^50 = .364.
    assert weights.mean(axis=1) == pytest.approx(1, abs=0.08)
    assert weights.var() == pytest.approx(0.98, abs=0.02)
    assert (weights == 0).mean() == pytest.approx(0.98**50, abs=0.005)
    assert (weights == group_weights(50, 4000, seed=3)).all()
    assert (weights != group_weights(50, 4000, seed=4)).any()


class TestAlignment:
    def test_rows_of_every_cell_are_the_same_images_in_any_order(self):
        table = tiny_predictions(9).table.sample(frac=1, random_state=1).reset_index(drop=True)
        aligned = Sample.of(described(table)).aligned
        images = table["image"].to_numpy()[aligned.rows]
        assert (images == images[0]).all()
        for (model, condition), rows in zip(aligned.cells, aligned.rows, strict=True):
            assert set(table["model"].iloc[rows]) == {model}
            assert set(table["condition"].iloc[rows]) == {condition}
            assert aligned.at(model, condition).tolist() == rows.tolist()
        first = table.iloc[aligned.rows[0]]
        assert aligned.group_count == table["group"].nunique() == 5
        assert (pd_codes(first["group"]) == aligned.groups).all()

    def test_other_images_are_refused(self):
        table = tiny_predictions(6).table
        with pytest.raises(UsageError, match="must hold the same images"):
            assert Sample.of(described(table.drop(index=3))).aligned

    def test_a_protocol_without_images_says_what_to_do(self):
        with pytest.raises(UsageError, match="no image of protocol paper; evaluate with"):
            Sample.of(tiny_predictions(), "paper").require_images()


def pd_codes(groups) -> np.ndarray:
    known = sorted(set(groups))
    return np.array([known.index(one) for one in groups])


def test_a_sample_is_scored_once_for_all_statistics():
    one = sample(draws=20)
    first = one.scores(["accuracy"])
    both = one.scores(["accuracy", "macro_f1"])
    for cell in one.cells:
        assert both[cell]["accuracy"] is first[cell]["accuracy"]
    pd.testing.assert_frame_equal(
        matrix(one, ["accuracy", "macro_f1"]),
        matrix(sample(draws=20), ["accuracy", "macro_f1"]),
    )
    assert {one.size(cell) for cell in one.cells} == {28}
    assert one.group_count == 14
    assert not one.weights.flags.writeable


def test_fewer_draws_are_the_first_of_more():
    np.testing.assert_array_equal(group_weights(30, 5, seed=2), group_weights(30, 9, seed=2)[:, :5])


def test_predictions_stand_for_their_standard_protocol():
    predictions = tiny_predictions(28)
    pd.testing.assert_frame_equal(
        matrix(predictions, ["accuracy"]), matrix(Sample.of(predictions), ["accuracy"])
    )


def test_a_leak_that_nobody_knows_of_is_not_scored_as_none():
    known = tiny_predictions(28)
    assert len(Sample.of(known, "leak-free").table)
    unknown = known.with_facts(unknown=["leaked"])
    assert Sample.of(unknown, "leak-free").table.empty
    assert len(Sample.of(unknown).table) == len(Sample.of(known).table)
