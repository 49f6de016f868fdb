"""Copies: labels beside faces, what is hidden shaded; what is blurred can't be found again."""

from dataclasses import replace
from itertools import combinations

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from builders import hemiface
from hemiface.tables import EMOTIONS
from hemiface.vision import drawing
from hemiface.vision.drawing import COLOURS, annotate
from hemiface.vision.faces import FacePrediction
from hemiface.vision.finding.alignment import FRAME
from hemiface.vision.finding.detector import MediaPipeDetector
from hemiface.vision.predictor import Predictor

NETWORKS = pytest.mark.usefixtures("face_networks")


@NETWORKS
def test_blurred_faces_are_found_no_more(model, shared_data, face_networks, tmp_path, monkeypatch):
    photos = [
        shared_data / "photos" / name for name in ("two_people.jpg", "obama_partial_left.jpg")
    ]
    options = ["--model", model, "--out", tmp_path, "--save-image", "--blur"]
    # Nothing is sure enough: the faces without a label are blurred as well.
    assert hemiface(monkeypatch, "predict", *photos, *options, "--abstain-below", 1) == 0
    faces = pd.read_csv(tmp_path / "faces.csv")
    assert faces["abstained"].tolist() == [True] * 3
    detector = MediaPipeDetector(
        *(face_networks / f"face_{name}.tflite" for name in ("detection_short_range", "landmark"))
    )
    for photo in photos:
        before = np.array(Image.open(photo).convert("RGB"))
        after = np.array(Image.open(tmp_path / "pictures" / f"{photo.stem}.jpg"))
        assert after.shape == before.shape
        middles = [one.box.mean(axis=0) for one in detector.detect(after)]
        for _, face in faces[faces["source"] == str(photo)].iterrows():
            x, y, width, height = face[["x_px", "y_px", "width_px", "height_px"]].astype(int)
            # Letters beside it may pass for a face, what is blurred may not.
            reach = np.array([width, height])
            assert not any((abs(one - [x, y] - reach / 2) < 0.75 * reach).all() for one in middles)
            # What is fine in the face is gone.
            inner = np.s_[
                max(y, 0) + height // 4 : y + 3 * height // 4,
                max(x, 0) + width // 4 : x + 3 * width // 4,
            ]
            fine = [cv2.Laplacian(one[inner], cv2.CV_64F).var() for one in (before, after)]
            assert fine[1] < fine[0] / 20


@pytest.fixture(scope="module")
def some(model):
    """A face of which anything may be said."""
    predictor = Predictor(model, no_detect=True, estimate=False, abstain_below=0)
    return predictor.predict(np.zeros((48, 48, 3), np.uint8))[0]


def at(some, x: float, y: float, side: float, number: int = 0, **known: object) -> FacePrediction:
    return replace(some, box_px=(x, y, side, side), face=number, **known)


def drawn_on(before, after) -> np.ndarray:
    return (before != after).any(axis=2)


def common(one, other) -> float:
    """The area that two rectangles cover both."""
    wide = min(one.right, other.right) - max(one.left, other.left)
    high = min(one.bottom, other.bottom) - max(one.top, other.top)
    return max(wide, 0) * max(high, 0)


SURE = {"reason": "", "probabilities": (0.0, 0.0, 0.0, 0.9, 0.1, 0.0, 0.0)}


class TestAnnotate:
    @settings(max_examples=40)
    @given(
        places=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), unique=True, max_size=6),
        off=st.booleans(),
    )
    def test_labels_cover_no_face(self, some, places, off):
        photo = np.full((900, 900, 3), 77, np.uint8)
        faces = [
            at(some, 170 * x, 170 * y, 60, number, **SURE) for number, (x, y) in enumerate(places)
        ]
        marked = drawn_on(photo, annotate(photo, faces, off=off))
        for face in faces:
            x, y, side, _ = map(round, face.box_px)
            # The box's line is a pixel or two wide.
            inner = np.s_[y + 4 : y + side - 4, x + 4 : x + side - 4]
            assert not marked[inner].any()
            if off:
                around = np.s_[y - 14 : y + side + 14, x - 14 : x + side + 14]
                assert not marked[around].any()
        assert marked.any() == bool(faces)

    def test_labels_cover_no_other_label(self, some, monkeypatch):
        places = []
        keep = drawing._placed

        def noted(*given):
            places.append(keep(*given))
            return places[-1]

        monkeypatch.setattr(drawing, "_placed", noted)
        photo = np.zeros((400, 1200, 3), np.uint8)
        annotate(photo, [at(some, 40 + 70 * n, 150, 60, n, **SURE) for n in range(12)])
        assert len(places) == 12
        for one, other in combinations(places, 2):
            assert common(one, other) == 0

    @given(
        boxes=st.lists(
            st.tuples(st.floats(-50, 400), st.floats(-50, 300), st.floats(5, 120)),
            min_size=1, max_size=25,
        )
    )  # fmt: skip
    @settings(max_examples=25)
    def test_each_stands_at_the_first_place_that_costs_least(self, some, boxes):
        """By looking at each place and everything that it could cover."""
        keep, whole = drawing._placed, drawing._Rectangle(0, 0, 400, 300)

        def tried(wide, high, face, taken, given, size):
            def costs(place):
                covered = sum(common(place, drawing._Rectangle(*one)) for one in taken.tolist())
                beyond = common(place, place) - common(place, whole)
                away = max(drawing._gap(place, face), 1)
                return round(20 * covered + 40 * beyond + high * away)

            assert given == whole
            found = keep(wide, high, face, taken, given, size)
            assert found == min(drawing._places(wide, high, face, whole, size), key=costs)
            return found

        photo = np.zeros((300, 400, 3), np.uint8)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(drawing, "_placed", tried)
            annotate(photo, [at(some, *box, n, **SURE) for n, box in enumerate(boxes)])

    def test_a_crowd_is_looked_at_by_its_neighbourhoods(self, some, monkeypatch):
        """Of 900 faces each label is compared with what is about it: in seconds, not in hours."""
        compared = []
        keep = drawing._common
        monkeypatch.setattr(
            drawing, "_common", lambda a, b: (compared.append(np.size(b) // 4), keep(a, b))[1]
        )
        photo = np.zeros((3000, 3000, 3), np.uint8)
        faces = [at(some, 100 * (n % 30), 100 * (n // 30), 50, n, **SURE) for n in range(900)]
        assert annotate(photo, faces).any()
        assert len(compared) == 3 * 900
        assert max(compared) < 200

    # One whose right border, rounded, seems a hair nearer than its upper one.
    @example(x=881.8158760799118, y=184.29926106669654, side=141.42524786567378)
    # One whose label would just fit between its face and the picture's border, touching both.
    @example(x=180.0, y=150.0, side=158.0)
    @given(x=st.floats(150, 900), y=st.floats(150, 450), side=st.floats(40, 200))
    @settings(max_examples=20)
    def test_a_label_stands_above_its_face_where_there_is_room(self, some, x, y, side):
        photo = np.full((700, 1300, 3), 77, np.uint8)
        marked = drawn_on(photo, annotate(photo, [at(some, x, y, side, **SURE)]))
        rows, columns = np.nonzero(marked)
        assert rows.max() <= y + side + 4
        assert rows.min() < y - 8
        assert columns.min() >= x - 4

    @pytest.mark.parametrize("shape", [(1, 1), (48, 48), (30, 2000), (3000, 2000)])
    def test_a_picture_of_any_size(self, some, shape):
        photo = np.zeros((*shape, 3), np.uint8)
        marked = annotate(photo, [at(some, -5, -5, min(shape) + 10, **SURE)])
        assert marked.shape == photo.shape
        assert marked.dtype == np.uint8

    def test_type_fits_the_face(self, some, monkeypatch):
        sizes = []
        font = drawing._font
        monkeypatch.setattr(drawing, "_font", lambda size: (sizes.append(size), font(size))[1])
        for side, shape in ((30, 4000), (400, 4000), (4000, 8000), (400, 600)):
            annotate(np.zeros((shape, shape, 3), np.uint8), [at(some, 0, 100, side, **SURE)])
        assert sizes == [11, 64, 64, 15]

    def test_each_emotion_has_a_colour_and_no_label_has_none_of_them(self, some):
        assert set(COLOURS) == set(EMOTIONS)
        photo = np.zeros((300, 300, 3), np.uint8)
        sure = annotate(photo, [at(some, 100, 100, 100, **SURE)])
        shy = annotate(photo, [at(some, 100, 100, 100, **{**SURE, "reason": "why not"})])
        assert tuple(sure[100, 150]) == COLOURS["happy"]
        assert tuple(shy[100, 150]) not in set(COLOURS.values())

    def test_what_is_hidden_is_shaded(self, some):
        photo = np.full((300, 300, 3), 200, np.uint8)
        for key, by in (("lower", "hidden"), ("lower@mean", "hidden_by_estimate")):
            marked = annotate(photo, [at(some, 100, 100, 100, **SURE, **{by: key})])
            assert (marked[160:190, 110:190] < 200).all()
            assert (marked[110:140, 110:190] == 200).all()

    def test_the_shade_turns_with_the_face(self, some):
        photo = np.full((300, 300, 3), 200, np.uint8)
        # A quarter against the clock: what is below lies to the right.
        turned = (FRAME - 24) @ [[0, -1], [1, 0]] * 2 + 150
        face = at(some, 100, 100, 100, **SURE, hidden="lower", five_px=tuple(map(tuple, turned)))
        marked = annotate(photo, [face])
        assert (marked[120:180, 160:190] < 200).all()
        assert (marked[120:180, 110:140] == 200).all()
