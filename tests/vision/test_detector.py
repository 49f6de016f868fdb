"""MediaPipe's two networks: small faces in large photos, turned faces, the smallest asked for."""

import numpy as np
import pytest
from PIL import Image

from hemiface.errors import UsageError
from hemiface.vision.finding.detector import MediaPipeDetector
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
