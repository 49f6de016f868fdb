"""Smoothed labels of videos: a mean of logs by time, beside what each frame says itself."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_watching import video_of

from builders import hemiface
from hemiface.errors import UsageError
from hemiface.tables import EMOTIONS, PROBABILITY_COLUMNS
from hemiface.vision.faces import SMOOTHED_COLUMNS
from hemiface.vision.predictor import Predictor
from hemiface.vision.video.smoothing import Smoother
from hemiface.vision.video.tracking import MEMORY_S, STEP_S

SHARES = st.lists(st.floats(0.001, 1), min_size=7, max_size=7).map(
    lambda values: tuple(one / sum(values) for one in values)
)
TIMES = st.lists(st.floats(0.001, 0.4), min_size=1, max_size=30).map(
    lambda steps: np.cumsum(steps).tolist()
)
HALF_LIVES = st.floats(0.05, 5)


def of_one(smoother: Smoother, times, readings) -> np.ndarray:
    """What is smoothed of one face, [frames, 7]."""
    every = [smoother.add(t, {0: p})[0] for t, p in zip(times, readings, strict=True)]
    return np.array(every)


def brute_force(half_life_s: float, times, readings) -> np.ndarray:
    """The last frame's smoothed probabilities as the module's formula has them."""
    since = np.diff([times[0] - STEP_S, *times])
    weights = (1 - 2 ** (-since / half_life_s)) * 2 ** (
        -(times[-1] - np.array(times)) / half_life_s
    )
    values = np.exp(weights @ np.log(readings) / weights.sum())
    return values / values.sum()


@given(times=TIMES, half_life_s=HALF_LIVES, data=st.data())
def test_it_is_the_weighted_mean_of_logs_that_is_told(times, half_life_s, data):
    readings = data.draw(st.lists(SHARES, min_size=len(times), max_size=len(times)))
    found = of_one(Smoother(half_life_s), times, readings)
    np.testing.assert_allclose(found[-1], brute_force(half_life_s, times, readings), atol=1e-9)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_allclose(found[0], readings[0])


def test_of_frames_further_apart_than_memory_the_one_before_counts():
    smoother = Smoother(4.0)
    one, other = (tuple(np.roll([0.94, *[0.01] * 6], place).tolist()) for place in (0, 1))
    readings, times = [one, one, other], [0.0, 2.0, 4.0]
    found = of_one(smoother, times, readings)
    np.testing.assert_allclose(found[-1], brute_force(4.0, times, readings), atol=1e-9)
    assert found[-1][0] > 0.1
    # It was away for a frame, and its number is never given again.
    smoother.add(6.0, {})
    assert smoother.add(8.0, {0: one})[0] == pytest.approx(one)


@given(times=TIMES, half_life_s=HALF_LIVES, shares=SHARES)
def test_what_does_not_change_stays(times, half_life_s, shares):
    found = of_one(Smoother(half_life_s), times, [shares] * len(times))
    np.testing.assert_allclose(found, [shares] * len(times), atol=1e-9)


@given(half_life_s=HALF_LIVES, parts=st.integers(1, 8), one=SHARES, other=SHARES)
def test_time_counts_not_frames(half_life_s, parts, one, other):
    """The same readings over the same time, in `parts` times as many frames."""
    readings = [one, other, one, one, other]
    coarse = of_one(Smoother(half_life_s), STEP_S * np.arange(1, 6), readings)
    fine = Smoother(half_life_s)
    # The first frame stands for STEP_S, whatever the frames' distance.
    start = of_one(fine, [STEP_S], readings[:1])
    times = STEP_S * (1 + np.arange(1, 4 * parts + 1) / parts)
    rest = of_one(fine, times, [p for p in readings[1:] for _ in range(parts)])
    np.testing.assert_allclose(start[0], coarse[0])
    np.testing.assert_allclose(rest[parts - 1 :: parts], coarse[1:], atol=1e-9)


@given(half_life_s=HALF_LIVES, one=SHARES, other=SHARES, late_s=st.floats(-1e4, 1e4))
def test_neither_the_order_of_faces_nor_the_time_of_day_counts(half_life_s, one, other, late_s):
    first, second = Smoother(half_life_s), Smoother(half_life_s)
    for step in range(6):
        mixed = {3: one if step % 2 else other, 8: other}
        found = first.add(step / 25, mixed)
        turned = second.add(late_s + step / 25, dict(reversed(mixed.items())))
        for face in mixed:
            np.testing.assert_allclose(found[face], turned[face], atol=1e-6)
        # Each face for itself.
        np.testing.assert_allclose(found[8], other, atol=1e-9)


@given(half_life_s=HALF_LIVES, one=SHARES, order=st.permutations(range(7)))
def test_emotions_may_be_renamed(half_life_s, one, order):
    readings = [one, one[::-1], one]
    turned = [[values[place] for place in order] for values in readings]
    times = [0.0, 0.04, 0.2]
    found = of_one(Smoother(half_life_s), times, readings)
    np.testing.assert_allclose(
        of_one(Smoother(half_life_s), times, turned), found[:, list(order)], atol=1e-9
    )


def test_a_step_is_half_done_after_a_half_life():
    low, high = 0.1, 0.9
    shares = [[high] + [(1 - high) / 6] * 6, [low] + [(1 - low) / 6] * 6]
    smoother = Smoother(0.5)
    for frame in range(500):
        smoother.add(frame / 25, {0: shares[0]})
    for frame in range(500, 500 + 13):
        found = smoother.add(frame / 25, {0: shares[1]})[0]
    # In log odds, after 13 frames of 0.04 s, of which 12.5 are a half-life.
    left = 2 ** (-13 / 12.5)
    logs = [np.log(np.array(one)) for one in shares]
    wanted = np.exp(left * logs[0] + (1 - left) * logs[1])
    np.testing.assert_allclose(found, wanted / wanted.sum(), atol=1e-6)


def test_a_frame_that_shows_too_little_tells_nothing():
    sure, flat = [0.94] + [0.01] * 6, [1 / 7] * 7
    smoother = Smoother(0.5)
    assert smoother.add(0.0, {0: None}) == {}
    np.testing.assert_allclose(smoother.add(0.04, {0: sure})[0], sure)
    np.testing.assert_allclose(smoother.add(0.08, {0: None})[0], sure)
    assert smoother.add(0.12, {0: flat})[0][0] < 0.94


def test_a_face_that_is_gone_is_forgotten_and_one_that_pauses_is_not():
    one, other = [0.94] + [0.01] * 6, [0.01] * 6 + [0.94]
    for away_s, is_known in ((MEMORY_S - 0.01, True), (MEMORY_S + 0.01, False)):
        smoother = Smoother(0.5)
        for frame in range(26):
            smoother.add(frame / 25, {0: one})
        smoother.add(1.0 + away_s - 0.04, {})
        found = smoother.add(1.0 + away_s, {0: other})[0]
        assert (found[0] > found[6]) == is_known
        assert np.allclose(found, other) != is_known


def test_no_memory_grows():
    smoother = Smoother(0.5)
    for frame in range(2000):
        smoother.add(frame / 25, {frame: [1 / 7] * 7})
    assert len(smoother._states) == round(MEMORY_S * 25) + 1


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf])
def test_a_half_life_is_a_positive_time(wrong):
    with pytest.raises(UsageError, match="half-life"):
        Smoother(wrong)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Two rendered faces, one after the other."""
    pytest.importorskip("av", reason="videos need hemiface[video]")
    return video_of(tmp_path_factory.mktemp("clip") / "in.mp4", 40)


class TestCommand:
    def predict(self, monkeypatch, clip, model, out, *more) -> pd.DataFrame:
        options = ["--no-detect", "--model", model, "--abstain-below", 0, "--out", out, *more]
        assert hemiface(monkeypatch, "predict", clip, *options) == 0
        return pd.read_csv(out / "faces.csv")

    def test_raw_columns_stay_and_smoothed_ones_come(self, clip, model, tmp_path, monkeypatch):
        plain = self.predict(monkeypatch, clip, model, tmp_path / "plain")
        smooth = self.predict(monkeypatch, clip, model, tmp_path / "smooth", "--smooth", 0.5)
        new = [name for name in plain.columns if name.startswith("smooth")]
        assert new == [
            "smoothing", *SMOOTHED_COLUMNS, "smoothed_label", "smoothed_confidence",
            "smoothed_reason",
        ]  # fmt: skip
        assert plain[new].isna().all(axis=None)
        assert (smooth["smoothing"] == "log-mean-0.5s").all()
        assert len(plain) == 40
        pd.testing.assert_frame_equal(plain.drop(columns=new), smooth.drop(columns=new))
        found = smooth[list(SMOOTHED_COLUMNS)].to_numpy()
        raw = smooth[list(PROBABILITY_COLUMNS)].to_numpy()
        times = smooth["timestamp_s"].tolist()
        for row in (0, 7, 39):
            wanted = brute_force(0.5, times[: row + 1], raw[: row + 1])
            np.testing.assert_allclose(found[row], wanted, atol=1e-4)
        best = [EMOTIONS[place] for place in found.argmax(axis=1)]
        assert smooth["smoothed_label"].tolist() == best
        np.testing.assert_allclose(smooth["smoothed_confidence"], found.max(axis=1))

    def test_a_run_goes_on_only_with_the_same_filter(self, clip, model, tmp_path, monkeypatch):
        looked = []
        see = Predictor.see
        monkeypatch.setattr(
            Predictor, "see", lambda *one, **known: looked.append(1) or see(*one, **known)
        )
        first = self.predict(monkeypatch, clip, model, tmp_path, "--smooth", 0.5)
        again = self.predict(monkeypatch, clip, model, tmp_path, "--smooth", 0.5)
        assert len(looked) == 40
        pd.testing.assert_frame_equal(first, again)
        other = self.predict(monkeypatch, clip, model, tmp_path, "--smooth", 1)
        assert len(looked) == 80
        assert set(other["smoothing"]) == {"log-mean-1s"}

    def test_the_threshold_holds_for_what_is_smoothed(self, clip, model, tmp_path, monkeypatch):
        table = self.predict(
            monkeypatch, clip, model, tmp_path, "--smooth", 0.5, "--abstain-below", 0.99
        )
        assert table["smoothed_label"].isna().all()
        assert table["smoothed_reason"].str.contains("is below 0.99").all()

    def test_faces_are_shown_beside_lanes_unless_they_are_blurred(
        self, clip, model, tmp_path, monkeypatch
    ):
        def pictures(out) -> int:
            return (out / "timelines/in.mp4.svg").read_text().count("<image")

        out = tmp_path / "plain"
        self.predict(monkeypatch, clip, model, out)
        assert b"portraits" not in (out / ".progress.jsonl").read_bytes()
        self.predict(monkeypatch, clip, model, out, "--timeline")
        assert pictures(out) == 1
        out = tmp_path / "blurred"
        self.predict(
            monkeypatch, clip, model, out, "--timeline", "--save-image", "--blur", "--smooth", 0.5
        )
        assert pictures(out) == 0
        assert b"portraits" not in (out / ".progress.jsonl").read_bytes()

    def test_wrong_half_lives_are_wrong_usage(self, clip, model, tmp_path, monkeypatch, capsys):
        for wrong in ("0", "-1", "nan"):
            options = ["--no-detect", "--model", model, "--out", tmp_path / "no", "--smooth", wrong]
            assert hemiface(monkeypatch, "predict", clip, *options) == 2
            assert "half-life" in capsys.readouterr().err
