"""From five points to the networks' frame: any similarity is undone, and the border is known."""

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hemiface.occlusion.conditions import condition
from hemiface.vision.finding.alignment import FRAME, align, similarity
from hemiface.vision.visible_regions import visible_regions


class TestAlignment:
    @given(st.floats(-180, 180), st.floats(0.05, 20), st.floats(-99, 99), st.floats(-99, 99))
    @settings(max_examples=30)
    def test_any_similarity_is_undone(self, angle, scale, x, y):
        turn = scale * cv2.getRotationMatrix2D((0, 0), angle, 1)[:, :2]
        moved = FRAME @ turn.T + [x, y]
        transform = similarity(moved)
        np.testing.assert_allclose(moved @ transform[:, :2].T + transform[:, 2], FRAME, atol=1e-6)

    def test_shrinking_averages_areas(self):
        fine = np.random.default_rng(0).integers(0, 256, (480, 480), np.uint8)
        photo = np.repeat(fine[:, :, None], 3, axis=2)
        aligned = align(photo, FRAME * 10)
        areas = fine.reshape(48, 10, 48, 10).mean(axis=(1, 3))
        # White noise: sampling points instead of areas would be off by some 70 grey levels.
        np.testing.assert_allclose(aligned.pixels, areas, atol=2)
        assert aligned.inside.all()

    def test_what_lies_outside_repeats_the_edge_and_is_marked(self):
        photo = np.full((480, 480, 3), 99, np.uint8)
        photo[:, :10] = np.arange(480)[:, None, None] // 10
        aligned = align(photo, FRAME * 10 - [240, 0])
        assert not aligned.inside[:, :24].any()
        assert aligned.inside[:, 24:].all()
        np.testing.assert_allclose(
            aligned.pixels[:, :24], np.tile(np.arange(48)[:, None], 24), atol=1
        )
        assert (aligned.pixels[:, 26:] == 99).all()
        seen = visible_regions(aligned.inside, None)
        assert seen.shares["left"] == 0
        assert (seen.shares["upper"], seen.sources["upper"]) == (0.5, "measured")
        assert (seen.sources["right"], seen.most) == ("unknown", 0.5)
        assert np.isnan(seen.shares["right"])

    @given(
        st.integers(0, 99), st.floats(-180, 180), st.floats(0.3, 4), st.floats(-60, 60),
        st.floats(-60, 60),
    )  # fmt: skip
    @settings(max_examples=40)
    def test_the_crop_is_that_of_a_photo_whose_edge_goes_on(self, seed, angle, scale, x, y):
        rng = np.random.default_rng(seed)
        photo = rng.integers(0, 256, (rng.integers(20, 90), rng.integers(20, 90), 3), np.uint8)
        middle = np.array(photo.shape[1::-1]) / 2 + [x, y]
        turn = scale * cv2.getRotationMatrix2D((0, 0), angle, 1)[:, :2]
        five = (FRAME - 24) @ turn.T + middle
        aligned = align(photo, five)
        wide = np.pad(photo, ((300, 300), (300, 300), (0, 0)), mode="edge")
        there = align(wide, five + 300)
        # cv2 rounds where it samples to a 32nd of a pixel, here and there from another corner.
        np.testing.assert_allclose(aligned.pixels.astype(int), there.pixels, atol=14)
        assert there.inside.all()
        # A pixel's centre is inside or not by the same transform, one by one.
        to_photo = np.linalg.inv(np.vstack([aligned.to_frame, [0, 0, 1]]))
        for row, column in rng.integers(0, 48, (20, 2)):
            px, py, _ = to_photo @ [column + 0.5, row + 0.5, 1]
            within = 0 <= px < photo.shape[1] and 0 <= py < photo.shape[0]
            assert aligned.inside[row, column] == within

    def test_what_was_declared_is_hidden(self):
        seen = visible_regions(np.ones((48, 48), bool), None, condition("lower"))
        assert [seen.shares[one] for one in ("upper", "lower", "left")] == [1, 0, 0.5]
        assert seen.sources["lower"] == "declared"
        assert (seen.shares["mouth"], seen.sources["mouth"]) == (0, "declared")
