"""BlazeFace: its anchors, what its numbers mean, and one face out of many detections."""

import numpy as np
import pytest

from hemiface.vision.finding import blazeface


class TestBlazeFace:
    def test_anchors_are_the_896_of_the_paper(self):
        found = blazeface.anchors()
        assert found.shape == (896, 2)
        assert (found[:2] == 0.5 / 16).all()
        assert (found[512:518] == 0.5 / 8).all()

    def test_decoding_gives_corners(self):
        raw = np.zeros((896, 16), np.float32)
        logits = np.full(896, -9, np.float32)
        raw[0, :4], logits[0] = (8, 6, 20, 10), 3
        points, scores = blazeface.decode(raw, logits, 0.5)
        assert scores == pytest.approx([1 / (1 + np.exp(-3))])
        np.testing.assert_allclose(points[0, :2], [[2, 5], [22, 15]])

    def test_suppression_melts_what_overlaps(self):
        boxes = np.array([[[0, 0], [10, 10]], [[1, 0], [11, 10]], [[50, 50], [60, 60]]], float)
        points = np.concatenate([boxes, np.zeros((3, 6, 2))], axis=1)
        kept, scores = blazeface.suppress(points, np.array([0.8, 0.4, 0.3]))
        assert scores.tolist() == [0.8, 0.3]
        np.testing.assert_allclose(kept[0, :2], [[1 / 3, 0], [31 / 3, 10]])
