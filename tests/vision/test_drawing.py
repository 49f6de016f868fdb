"""Copies: what is blurred can't be found again."""

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from builders import hemiface
from hemiface.vision.finding.detector import MediaPipeDetector

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
        after = np.array(Image.open(tmp_path / "pictures" / f"{photo.stem}.png"))
        assert after.shape == before.shape
        assert detector.detect(after) == []
        for _, face in faces[faces["source"] == str(photo)].iterrows():
            x, y, width, height = face[["x_px", "y_px", "width_px", "height_px"]].astype(int)
            # Inside the drawn box: what is fine in the face is gone.
            inner = np.s_[
                max(y, 0) + height // 4 : y + 3 * height // 4,
                max(x, 0) + width // 4 : x + 3 * width // 4,
            ]
            fine = [cv2.Laplacian(one[inner], cv2.CV_64F).var() for one in (before, after)]
            assert fine[1] < fine[0] / 20
