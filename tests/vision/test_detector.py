"""MediaPipe's two networks: small faces in large photos, turned faces, the smallest asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.transform import Rotation

from hemiface.errors import UsageError
from hemiface.vision.faces import POINTS
from hemiface.vision.finding.detector import MediaPipeDetector, turn_of
from hemiface.vision.predictor import Predictor

NETWORKS = pytest.mark.usefixtures("face_networks")


@NETWORKS
def test_small_faces_in_a_large_photo_are_found(shared_data, face_networks):
    detector = MediaPipeDetector(
        *(face_networks / f"face_{name}.tflite" for name in ("detection_short_range", "landmark"))
    )
    canvas = Image.new("RGB", (6000, 4000), (120, 130, 140))
    places = {"justin.jpg": (300, 300), "obama_official.jpg": (3000, 2500)}
    for name, place in places.items():
        with Image.open(shared_data / "photos" / name) as photo:
            photo.thumbnail((900, 900))
            canvas.paste(photo, place)
    middles = [face.box.mean(axis=0) for face in detector.detect(np.array(canvas))]
    for x, y in places.values():
        assert sum(x < one[0] < x + 900 and y < one[1] < y + 900 for one in middles) == 1
    assert len(middles) == 2


@NETWORKS
@pytest.mark.parametrize("angle", [-45, 30, 90, 180])
def test_turned_faces_are_found_where_they_are(shared_data, face_networks, angle):
    detector = MediaPipeDetector(
        *(face_networks / f"face_{name}.tflite" for name in ("detection_short_range", "landmark"))
    )
    with Image.open(shared_data / "photos/justin.jpg") as photo:
        turned = np.array(photo.convert("RGB").rotate(angle, expand=True, fillcolor="grey"))
    (face,) = detector.detect(turned)
    across = face.five[1] - face.five[0]
    # Pillow turns against the clock, and y goes down.
    found = -np.degrees(np.arctan2(across[1], across[0]))
    assert abs((found - angle + 180) % 360 - 180) < 12


@NETWORKS
def test_smaller_faces_are_found_when_asked_for(shared_data, face_networks):
    files = [
        face_networks / f"face_{name}.tflite" for name in ("detection_short_range", "landmark")
    ]
    canvas = Image.new("RGB", (1600, 1000), (120, 130, 140))
    with Image.open(shared_data / "photos" / "obama_official.jpg") as photo:
        canvas.paste(photo.resize((400, 500)), (100, 100))
        canvas.paste(photo.resize((72, 90), Image.Resampling.BOX), (1200, 700))
    pixels = np.array(canvas)
    (large,) = MediaPipeDetector(*files).detect(pixels)
    both = MediaPipeDetector(*files, min_face_px=20).detect(pixels)
    np.testing.assert_allclose(both[0].box, large.box, atol=2)
    (small,) = both[1:]
    assert 20 < (small.box[1] - small.box[0]).max() < 24
    # The same photo, reduced: the face is at the same place in it.
    expected = (large.box - [100, 100]) * 72 / 400 + [1200, 700]
    np.testing.assert_allclose(small.box, expected, atol=4)


@NETWORKS
def test_faces_too_small_to_be_looked_for_are_refused(face_networks, model):
    files = [
        face_networks / f"face_{name}.tflite" for name in ("detection_short_range", "landmark")
    ]
    with pytest.raises(UsageError, match="at least 20"):
        MediaPipeDetector(*files, min_face_px=19)
    with pytest.raises(UsageError, match="--min-face"):
        Predictor(model, no_detect=True, min_face_px=30)
    settings = [Predictor(model, min_face_px=one).settings() for one in (None, 30)]
    assert settings[0] != settings[1]


class TestTurn:
    def straight(self):
        """A mesh whose eyes and mouth corners lie in the picture's plane, the rest anywhere."""
        mesh = np.random.default_rng(0).normal(size=(468, 3)) * 50
        eyes = {33: -40, 133: -20, 362: 20, 263: 40}
        for index, x in eyes.items():
            mesh[index] = x, -30, 0
        mesh[61], mesh[291] = (-25, 35, 0), (25, 35, 0)
        return mesh

    @given(
        yaw=st.floats(-80, 80), pitch=st.floats(-80, 80), roll=st.floats(-180, 180),
        scale=st.floats(0.1, 10), place=st.tuples(*[st.floats(-500, 500)] * 3),
    )  # fmt: skip
    def test_is_that_of_a_head_that_was_turned(self, yaw, pitch, roll, scale, place):
        # x to the right, y down, z away: looking right is clockwise from above.
        for one, expected in (
            (Rotation.from_euler("y", -yaw, degrees=True), (yaw, 0)),
            (Rotation.from_euler("x", pitch, degrees=True), (0, pitch)),
        ):
            turned = Rotation.from_euler("z", roll, degrees=True) * one
            found = turn_of(scale * turned.apply(self.straight()) + np.array(place))
            assert found == pytest.approx(expected, abs=1e-3)

    @NETWORKS
    def test_of_a_real_face_changes_its_side_in_the_mirror(self, shared_data):
        with Image.open(shared_data / "photos/obama_official.jpg") as photo:
            pixels = np.array(photo.convert("RGB"))
        (face,) = Predictor().predict(pixels)
        (mirrored,) = Predictor().predict(pixels[:, ::-1])
        assert face.yaw_deg == pytest.approx(-mirrored.yaw_deg, abs=4)
        assert face.pitch_deg == pytest.approx(mirrored.pitch_deg, abs=4)
        assert abs(face.yaw_deg) < 25
        assert face.landmarks.shape == (468, 2)
        row = face.row()
        points = {point: (row[f"{point}_x_px"], row[f"{point}_y_px"]) for point in POINTS}
        assert points["eye_left"][0] < points["nose"][0] < points["eye_right"][0]
        assert points["eye_left"][1] < points["nose"][1] < points["mouth_right"][1]
        assert (row["yaw_deg"], row["pitch_deg"]) == pytest.approx(
            (face.yaw_deg, face.pitch_deg), abs=1e-5
        )
