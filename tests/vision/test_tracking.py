"""Numbers that faces keep over frames: movement, crossings, absences, newcomers."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hemiface.vision.video.tracking import MEMORY_S, Tracker

SIDE = 40.0


def box(x: float, y: float = 100.0, side: float = SIDE) -> np.ndarray:
    """Corners [2, 2] of a square around (x, y)."""
    return np.array([[x - side / 2, y - side / 2], [x + side / 2, y + side / 2]])


def walk(tracker: Tracker, frames: list[list[np.ndarray]], fps: float = 25.0) -> list[list[int]]:
    return [tracker.update(boxes, index / fps) for index, boxes in enumerate(frames)]


@settings(max_examples=40)
@given(
    starts=st.lists(st.integers(0, 7), min_size=1, max_size=6, unique=True),
    speed=st.floats(-0.3, 0.3),
    jitter=st.floats(0, 0.04),
    seed=st.integers(0, 99),
)
def test_apart_faces_keep_their_numbers_in_any_order(starts, speed, jitter, seed):
    rng = np.random.default_rng(seed)
    tracker = Tracker()
    numbers: dict[int, int] = {}
    for frame in range(30):
        order = rng.permutation(len(starts))
        boxes = [
            box(
                3 * SIDE * starts[face] + SIDE * (speed * frame + rng.normal(0, jitter)),
                side=SIDE * np.exp(rng.normal(0, jitter)),
            )
            for face in order
        ]
        found = dict(zip(order.tolist(), tracker.update(boxes, frame / 25), strict=True))
        numbers = numbers or found
        assert found == numbers
    assert sorted(numbers.values()) == list(range(len(starts)))


@settings(max_examples=40)
@given(
    speed=st.floats(0.05, 0.5),
    apart=st.one_of(
        st.tuples(st.floats(0.2, 1.5), st.floats(0, 0.02)),
        st.tuples(st.floats(0, 1.5), st.just(0.0)),
    ),
    swap=st.booleans(),
    seed=st.integers(0, 99),
)
def test_crossing_faces_keep_their_numbers(speed, apart, swap, seed):
    """One walks right, one left, `gap` faces apart in height, each seen in every frame.

    Where boxes tremble, faces that go through each other in the same height change numbers now and
    then (in up to seven of a hundred such walks): nothing but their movement tells them apart.
    """
    gap, jitter = apart
    rng = np.random.default_rng(seed)
    tracker = Tracker()
    steps = int(6 / speed)
    for frame in range(steps):
        x = SIDE * (speed * (frame - steps / 2) + rng.normal(0, jitter))
        boxes = [box(x, 100), box(-x, 100 + gap * SIDE)]
        turned = swap and frame % 2 == 1
        found = tracker.update(boxes[::-1] if turned else boxes, frame / 25)
        # Two boxes that coincide can't be told apart in this frame, only before and after it.
        if max(2 * abs(x), gap * SIDE) > 0.1 * SIDE:
            assert (found[::-1] if turned else found) == [0, 1]


@settings(max_examples=40)
@given(away=st.integers(1, 60), speed=st.floats(-0.02, 0.02))
def test_who_comes_back_in_time_has_the_old_number(away, speed):
    frames = [[box(SIDE * speed * n)] for n in range(10)]
    frames += [[]] * away
    frames += [[box(SIDE * speed * (9 + min(away, 10)))]] * 2
    found = walk(Tracker(), frames)
    known = (away + 1) / 25 <= MEMORY_S
    assert found[0] == [0]
    assert found[-1] == found[-2] == ([0] if known else [1])


@settings(max_examples=40)
@given(
    st.lists(
        st.lists(st.tuples(st.floats(0, 500), st.floats(0, 500), st.floats(1, 99)), max_size=8),
        max_size=12,
    )
)
def test_numbers_are_unique_within_a_frame_and_new_ones_count_up(frames):
    tracker = Tracker()
    highest = -1
    for frame in frames:
        found = tracker.update([box(x, y, side) for x, y, side in frame])
        assert len(set(found)) == len(found) == len(frame)
        new = [number for number in found if number > highest]
        assert new == list(range(highest + 1, highest + 1 + len(new)))
        highest += len(new)


def test_where_frames_are_further_apart_than_memory_numbers_last_to_the_next():
    tracker = Tracker()
    frames = [[box(0)], [box(5)], [box(10), box(300)], [box(300)], [box(15), box(300)]]
    found = [tracker.update(boxes, 5.0 * index) for index, boxes in enumerate(frames)]
    # Who wasn't in the frame before is a new one.
    assert found == [[0], [0], [0, 1], [1], [2, 1]]


def test_a_newcomer_gets_a_new_number_and_takes_none_away():
    frames = [[box(0)]] * 5 + [[box(2 * SIDE), box(0)]] * 5
    found = walk(Tracker(), frames)
    assert found[4:6] == [[0], [1, 0]]
    assert found[-1] == [1, 0]


def test_a_face_of_another_size_at_the_same_place_is_another():
    tracker = Tracker()
    assert tracker.update([box(0)], 0.0) == [0]
    assert tracker.update([box(0, side=3 * SIDE)], 0.04) == [1]


@pytest.mark.parametrize("fps", [25, 30, 60, 120, 240])
@pytest.mark.parametrize("uneven", [False, True])
def test_jitter_carries_no_face_away_however_often_it_is_seen(fps, uneven):
    for seed in range(40):
        random = np.random.default_rng(seed)
        times = np.sort(random.uniform(0, 1, fps)) if uneven else np.arange(fps) / fps
        tracker = Tracker()
        for time in (*times, times[-1] + 0.4):
            seen = tracker.update([box(*random.normal(100, 0.02 * SIDE, 2))], time)
        assert seen == [0]


@pytest.mark.parametrize("fps", [25, 60, 240])
def test_who_goes_on_while_unseen_is_expected_there_at_any_rate(fps):
    tracker = Tracker()
    for index in range(fps):
        tracker.update([box(3 * SIDE * index / fps)], index / fps)
    # 1.2 of its sides further; where it was last seen would be too far.
    assert tracker.update([box(3 * SIDE * 1.4)], 1.4) == [0]


@pytest.mark.parametrize("times", [[None] * 60, [0.0] * 60, [5.0, *([None] * 59)]])
def test_without_times_frames_count_as_a_25th_of_a_second(times):
    tracker = Tracker()
    assert tracker.update([box(0)], times[0]) == [0]
    for time in times[1:20]:
        assert tracker.update([], time) == []
    assert tracker.update([box(0)], times[20]) == [0]
    for time in times[21:50]:
        tracker.update([], time)
    assert tracker.update([box(0)], times[50]) == [1]


@settings(max_examples=40)
@given(
    frames=st.lists(
        st.tuples(st.lists(st.integers(0, 9), max_size=4, unique=True), st.floats(0, 1.5)),
        min_size=2, max_size=20,
    ),
    stopped=st.integers(1, 19),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_who_takes_up_a_state_numbers_as_before(frames, stopped, seed):
    rng = np.random.default_rng(seed)
    boxes = [[box(SIDE * (x + rng.normal(0, 0.1))) for x in places] for places, _ in frames]
    times = np.cumsum([step for _, step in frames]).tolist()
    one, other = Tracker(), Tracker()
    for place, (found, time_s) in enumerate(zip(boxes, times, strict=True)):
        if place == stopped:
            other.go_on(json.loads(json.dumps(one.state())))
        numbers = one.update(found, time_s)
        if place >= stopped:
            assert other.update(found, time_s) == numbers
            assert other.state() == one.state()
