"""Apertures: at 48 x 48 those of the networks, in larger pictures the same ones, only finer."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import grey_faces, smooth_faces
from hemiface.errors import UsageError
from hemiface.occlusion.bubbles import bubble_centres, through_bubbles
from hemiface.occlusion.tiles import apertures

SEEDS = st.integers(0, 2**63 - 1)


@given(SEEDS, st.integers(0, 99))
def test_places_are_repeatable_and_on_the_face(image_seed, seed):
    centres = bubble_centres(image_seed, seed, 4, 7)
    assert centres.shape == (4, 7)
    assert centres.max() < 48 * 48
    np.testing.assert_array_equal(centres, bubble_centres(image_seed, seed, 4, 7))
    # More samples don't change the first ones.
    np.testing.assert_array_equal(centres, bubble_centres(image_seed, seed, 6, 7)[:4])


def test_places_that_sixteen_bits_cannot_hold_are_refused():
    assert bubble_centres(1, 0, 1000, 10, side_px=256).max() > 65_000
    with pytest.raises(UsageError, match="at most 256 x 256"):
        bubble_centres(1, 0, 1, 1, side_px=257)


def test_a_pixel_shows_the_face_as_much_as_the_nearest_gaussians_say():
    faces, centres = grey_faces(2), np.array([[0, 1000], [48 * 20 + 10, 47]])
    shown = through_bubbles(faces, centres, 5.0)
    y, x = np.mgrid[:48, :48]
    for face, own, found in zip(faces, centres, shown, strict=True):
        weight = sum(
            np.exp(-((y - c // 48) ** 2 + (x - c % 48) ** 2) / (2 * 5.0**2)) for c in own.tolist()
        )
        weight = np.minimum(weight, 1)
        expected = np.rint(127 + weight * (face.astype(float) - 127))
        assert np.abs(found - expected).max() <= 1  # float32


@pytest.mark.parametrize("scale", [1, 2, 10])
def test_a_larger_picture_has_the_same_apertures(scale):
    centres = bubble_centres(3, 0, 8, 6)
    small = apertures(centres, 48, 48, 4.0)
    large = apertures(centres, 48 * scale, 48 * scale, 4.0, grid_px=48)
    mean = large.reshape(8, 48, scale, 48, scale).mean(axis=(2, 4))
    # A mean over a pixel isn't its middle; places that are half a pixel off would differ by .08.
    assert np.abs(mean - small).max() <= (0 if scale == 1 else 0.04)


def test_what_a_network_sees_of_a_large_stimulus_is_its_own_stimulus():
    (face,) = smooth_faces(1)
    large = np.asarray(cv2.resize(face, (480, 480), interpolation=cv2.INTER_LINEAR))
    centres = bubble_centres(3, 0, 1, 9)
    own = through_bubbles(face[None], centres, 4.0)[0]
    shown = through_bubbles(large[None], centres, 4.0, grid_px=48)[0]
    seen = cv2.resize(shown, (48, 48), interpolation=cv2.INTER_AREA)
    assert np.abs(seen.astype(int) - own).max() <= 3


def test_colours_are_covered_alike():
    (grey,) = grey_faces(1)
    rgb = np.repeat(grey[:, :, None], 3, axis=2)
    centres = bubble_centres(3, 0, 1, 9)
    one = through_bubbles(rgb[None], centres, 4.0)[0]
    for channel in range(3):
        np.testing.assert_array_equal(
            one[..., channel], through_bubbles(grey[None], centres, 4.0)[0]
        )
