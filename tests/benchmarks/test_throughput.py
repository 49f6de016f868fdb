"""Throughput: rates are counted, and so is the arithmetic."""

import pytest

pytest.importorskip("torch", reason="it trains networks")

import throughput
from hemiface.config import load

pytestmark = pytest.mark.slow


@pytest.mark.usefixtures("one_thread")
def test_throughput_counts_the_arithmetic_of_a_training() -> None:
    config = load("small", ["train.batch_size=8", "train.start_px=0"])
    one = throughput.measure(config, "full", "cpu", steps=2, repeats=1)
    two = throughput.measure(config, "any", "cpu", steps=2, repeats=1)
    for row in (one, two):
        assert row["images_per_s"] > 0
        assert 0 < row["share"] < 1.5
    # Two views forward and backward and the teacher's one view forward: 2 + 1/3 of a plain step.
    assert two["gflop_per_image"] / one["gflop_per_image"] == pytest.approx(7 / 3, rel=0.1)
