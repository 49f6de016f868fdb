"""CenterFace: what its numbers mean, against loops; the real network on photographs."""

import math
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hemiface.errors import DamagedError, UsageError
from hemiface.vision.finding.centerface import CenterFaceDetector, decode, suppress
from hemiface.vision.photos import read_photo

SEEDS = st.integers(0, 2**32 - 1)


def maps_of(seed: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(1, 9, 2)
    values = [rng.normal(size=(n, rows, columns)).astype(np.float32) for n in (2, 2, 10)]
    return rng.random((rows, columns), dtype=np.float32), *values


class TestDecode:
    @given(SEEDS, st.floats(0.05, 1))
    @settings(max_examples=50)
    def test_is_what_a_loop_over_cells_gives(self, seed, least):
        heat, log_size, offset, landmarks = maps_of(seed)
        expected = []
        for row in range(heat.shape[0]):
            for column in range(heat.shape[1]):
                if heat[row, column] < least:
                    continue
                at = np.s_[:, row, column]
                height, width = (4 * math.exp(one) for one in log_size[at])
                y, x = 4 * (np.array([row, column]) + 0.5 + offset[at])
                left, top = x - width / 2, y - height / 2
                points = [(left, top), (left + width, top + height)]
                for n in range(5):
                    down, across = landmarks[at][2 * n : 2 * n + 2]
                    points.append((left + across * width, top + down * height))
                expected.append((float(heat[row, column]), points))
        points, scores = decode(heat, log_size, offset, landmarks, least)
        assert points.shape == (len(expected), 7, 2)
        assert (np.diff(scores) <= 0).all()
        for (score, known), one, found in zip(
            sorted(expected, key=lambda pair: -pair[0]), points, scores, strict=True
        ):
            assert found == pytest.approx(score)
            np.testing.assert_allclose(one, known, rtol=1e-5, atol=1e-5)

    def test_y_is_told_before_x(self):
        heat = np.zeros((3, 5), np.float32)
        heat[2, 4] = 0.9
        log_size, offset = np.zeros((2, 3, 5), np.float32), np.zeros((2, 3, 5), np.float32)
        log_size[0], log_size[1] = math.log(6), math.log(2)
        landmarks = np.zeros((10, 3, 5), np.float32)
        landmarks[1] = 0.25
        points, scores = decode(heat, log_size, offset, landmarks, 0.5)
        assert scores == pytest.approx([0.9])
        # The centre is 18, 10; the face 8 px wide and 24 px high.
        np.testing.assert_allclose(points[0, :2], [[14, -2], [22, 22]], rtol=1e-6)
        np.testing.assert_allclose(points[0, 2], [16, -2], rtol=1e-6)


def boxes_of(seed: int, n: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 30, (n, 1, 2))
    points = np.concatenate([low, low + rng.uniform(1, 20, (n, 1, 2)), np.zeros((n, 5, 2))], axis=1)
    return np.round(points)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """By counting the cells of a grid: the boxes have whole corners."""
    grids = np.zeros((2, 60, 60), bool)
    for grid, box in zip(grids, (one, other), strict=True):
        (left, top), (right, bottom) = box[:2].astype(int)
        grid[top:bottom, left:right] = True
    union = (grids[0] | grids[1]).sum()
    return (grids[0] & grids[1]).sum() / union if union else 0.0


class TestSuppression:
    @given(SEEDS, st.integers(0, 25))
    @settings(max_examples=40)
    def test_is_the_greedy_one(self, seed, n):
        points, scores = boxes_of(seed, n), np.sort(np.random.default_rng(seed).random(n))[::-1]
        left, expected = list(range(n)), []
        while left:
            best = left.pop(0)
            expected.append(best)
            left = [one for one in left if iou(points[one], points[best]) <= 0.3]
        kept, kept_scores = suppress(points, scores)
        np.testing.assert_array_equal(kept, points[expected])
        np.testing.assert_array_equal(kept_scores, scores[expected])


@pytest.fixture(scope="module")
def detector(face_networks) -> CenterFaceDetector:
    return CenterFaceDetector(face_networks / "centerface.onnx")


@pytest.fixture(scope="module")
def people(shared_data) -> np.ndarray:
    return read_photo(shared_data / "photos/two_people.jpg").pixels


def positions(faces) -> np.ndarray:
    """Box and points [n, 7, 2], from left to right."""
    return np.array(sorted(([*face.box, *face.five] for face in faces), key=lambda one: one[0][0]))


class TestNetwork:
    @pytest.mark.parametrize("scale", [0.5, 1.9])
    def test_boxes_and_points_scale_with_the_photo(self, detector, people, scale):
        size = tuple(round(scale * side) for side in people.shape[1::-1])
        scaled = cv2.resize(people, size, interpolation=cv2.INTER_AREA)
        here, there = detector.detect(people), detector.detect(scaled)
        assert len(here) == len(there) == 2
        side = np.ptp(here[0].box[:, 0])
        factor = np.array(size) / people.shape[1::-1]
        np.testing.assert_allclose(positions(there) / factor, positions(here), atol=0.15 * side)

    def test_flipping_the_photo_flips_what_is_found(self, detector, people):
        here = detector.detect(people)
        expected = positions(detector.detect(np.ascontiguousarray(people[:, ::-1])))[::-1].copy()
        expected[:, :, 0] = people.shape[1] - expected[:, :, 0]
        # Left and right change places: of the box's corners, the eyes and the mouth's corners.
        expected = expected[:, [0, 1, 3, 2, 4, 6, 5]]
        expected[:, :2, 0] = expected[:, [1, 0], 0]
        side = np.ptp(here[0].box[:, 0])
        np.testing.assert_allclose(expected, positions(here), atol=0.15 * side)

    def test_points_lie_where_the_other_networks_see_them(self, detector, people, face_networks):
        from hemiface.vision.finding.detector import MediaPipeDetector

        other = MediaPipeDetector(
            *(face_networks / f"face_{one}.tflite" for one in ("detection_short_range", "landmark"))
        )
        for one, known in zip(detector.detect(people), other.detect(people), strict=True):
            side = np.ptp(known.box[:, 0])
            np.testing.assert_allclose(one.five, known.five, atol=0.12 * side)

    def test_eight_threads_find_what_one_finds(self, detector, people):
        parts = [people, np.ascontiguousarray(people[:, :600])] * 4
        alone = [positions(detector.detect(one)) for one in parts[:2]]
        with ThreadPoolExecutor(8) as pool:
            for found, known in zip(pool.map(detector.detect, parts), alone * 4, strict=True):
                np.testing.assert_array_equal(positions(found), known)

    def test_what_was_looked_at_before_changes_nothing(self, people, face_networks):
        # OpenCV 4 would be wrong at the second size if its network served again.
        path = face_networks / "centerface.onnx"
        sizes = [people, np.ascontiguousarray(people[:500, :400]), people]
        used = CenterFaceDetector(path)
        for one in sizes:
            fresh = CenterFaceDetector(path).detect(one)
            np.testing.assert_array_equal(positions(used.detect(one)), positions(fresh))

    def test_a_mask_that_fills_the_photo_takes_a_last_look(
        self, detector, people, shared_data, monkeypatch
    ):
        look, sides = CenterFaceDetector._look, []

        def counted(self, photo, longer_px, margin):
            sides.append(longer_px)
            return look(self, photo, longer_px, margin)

        monkeypatch.setattr(CenterFaceDetector, "_look", counted)
        masked = read_photo(shared_data / "masks/with/with_252.jpg").pixels
        (face,) = detector.detect(masked)
        assert sides == [150, 320, 160, 80]
        # Its eyes are where they were seen by looking at the photo.
        np.testing.assert_allclose(face.five[:2], [(43, 52), (91, 53)], atol=10)
        sides.clear()
        detector.detect(people)
        assert sides[1:] == [320, 160]

    @pytest.mark.parametrize("shape", [(1, 1), (3, 700), (31, 33)])
    def test_photos_of_any_shape_are_looked_at(self, detector, shape):
        assert detector.detect(np.full((*shape, 3), 90, np.uint8)) == []

    def test_faces_smaller_than_asked_for_are_left_out(self, face_networks, people):
        path = face_networks / "centerface.onnx"
        (large, small) = CenterFaceDetector(path).detect(people)
        least = round((small.box[1] - small.box[0]).max()) + 2
        (only,) = CenterFaceDetector(path, min_face_px=least).detect(people)
        np.testing.assert_array_equal(only.box, large.box)


def test_wrong_use_is_told(face_networks, tmp_path):
    path = face_networks / "centerface.onnx"
    for options, word in (({"longest_px": 9}, "longest_px"), ({"least_score": 0}, "least_score")):
        with pytest.raises(UsageError, match=word):
            CenterFaceDetector(path, **options)
    with pytest.raises(UsageError, match="uint8"):
        CenterFaceDetector(path).detect(np.zeros((9, 9, 3)))
    with pytest.raises(DamagedError, match="can't be read"):
        CenterFaceDetector(tmp_path / "nothing.onnx")
    (tmp_path / "damaged.onnx").write_bytes(path.read_bytes()[:9999])
    with pytest.raises(DamagedError, match="models pull"):
        CenterFaceDetector(tmp_path / "damaged.onnx")
