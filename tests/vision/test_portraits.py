"""Pictures of who is who: the best of each, as many as are asked for, out of any picture."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hemiface.vision.faces import FacePrediction, Faces
from hemiface.vision.predictor import Predictor
from hemiface.vision.seen import Frame
from hemiface.vision.video import portraits
from hemiface.vision.video.portraits import SIDE_PX, Portraits, unpacked

BOX = (100.0, 80.0, 60.0, 60.0)


@pytest.fixture(scope="module")
def some(model) -> FacePrediction:
    """A face of which anything may be said."""
    predictor = Predictor(model, no_detect=True, estimate=False)
    face = predictor.predict(np.zeros((48, 48, 3), np.uint8))[0]
    return replace(face, box_px=BOX, yaw_deg=5.0)


def frame(value: int) -> Frame:
    return Frame(np.full((240, 320, 3), value, dtype=np.uint8))


def seen(known: Portraits, value: int, *faces) -> None:
    known.add(frame(value), Faces("v.mp4", tuple(faces)))


def shown(known: Portraits, most: int = 6) -> dict[int, int]:
    """Number of a face -> the value of the frame that its picture is of."""
    return {
        face: round(float(picture[40:56, 40:56].mean()))
        for face, picture in unpacked(known.packed(most)).items()
    }


def test_the_largest_frontal_uncovered_picture_stays(some):
    known = Portraits()
    seen(known, 50, replace(some, yaw_deg=60.0))
    assert shown(known) == {0: 50}
    seen(known, 90, some)
    assert shown(known) == {0: 90}
    seen(known, 130, replace(some, box_px=(100.0, 80.0, 30.0, 30.0)))
    seen(known, 170, replace(some, in_picture=0.5))
    seen(known, 210, replace(some, yaw_deg=float("nan")))
    assert shown(known) == {0: 90}


def test_those_who_are_there_longest_are_kept(some, monkeypatch):
    monkeypatch.setattr(portraits, "_MOST_KEPT", 8)
    known = Portraits()
    for number in range(100):
        for _ in range(3):
            seen(known, 20, replace(some, face=1000), replace(some, face=number))
    assert len(known._best) <= 9
    assert list(shown(known, 1)) == [1000]
    assert len(shown(known, 3)) == 3


@given(
    frames=st.lists(st.lists(st.integers(0, 9), max_size=3, unique=True), min_size=1, max_size=30),
    told=st.sets(st.integers(0, 29)),
    seed=st.integers(0, 99),
)
def test_who_takes_up_all_states_has_the_same_pictures(some, frames, told, seed):
    sides = np.random.default_rng(seed).uniform(5, 200, (30, 10))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(portraits, "_MOST_KEPT", 4)
        known, states, other = Portraits(), [], None
        for place, numbers in enumerate(frames):
            faces = [
                replace(some, face=number, box_px=(9.0, 9.0, *[sides[place, number]] * 2))
                for number in numbers
            ]
            seen(known, place, *faces)
            if other is not None:
                seen(other, place, *faces)
            elif place in told:
                states.append(json.loads(json.dumps(known.state())))
            if place == len(frames) // 2 and states and place in told:
                other = Portraits()
                other.go_on(states)
        if other is not None:
            assert other.packed(9) == known.packed(9)


@given(
    x=st.floats(-400, 700), y=st.floats(-400, 700),
    width=st.floats(0, 900), height=st.floats(0, 900),
)  # fmt: skip
def test_a_box_may_lie_anywhere(some, x, y, width, height):
    known = Portraits()
    seen(known, 200, replace(some, box_px=(x, y, width, height)))
    (picture,) = unpacked(known.packed(1)).values()
    assert picture.shape == (SIDE_PX, SIDE_PX, 3)


@pytest.mark.parametrize(("most", "count"), [(0, 0), (1, 1), (2, 2), (6, 2)])
def test_no_more_than_asked_for(some, most, count):
    known = Portraits()
    assert known.packed(most) == {}
    seen(known, 10, some, replace(some, face=1))
    assert len(known.packed(most)) == count
