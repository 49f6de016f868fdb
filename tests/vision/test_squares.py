"""Squares of photos that are longer than what OpenCV 4 warps."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hemiface.vision.finding import squares
from hemiface.vision.finding.squares import cut_out, to_photo


def smooth(height: int, width: int) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 4), dtype=np.uint8)


PHOTO = smooth(90, 700)


@settings(deadline=None)
@given(
    middle=st.tuples(st.floats(-50, 750), st.floats(-50, 140)),
    side=st.floats(20, 90),
    angle=st.floats(-3, 3),
)
def test_a_part_of_a_long_photo_is_what_it_is_in_all_of_it(middle, side, angle):
    across = np.array([np.cos(angle), np.sin(angle)])
    at = to_photo(np.array(middle), side, across, 32)
    whole = cut_out(PHOTO, at, 32).astype(int)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(squares, "_MOST_PX", 200)
        part = cut_out(PHOTO, at, 32).astype(int)
    assert np.abs(whole - part).max() <= 2


def test_all_of_a_long_photo_is_reduced_first(monkeypatch):
    """Sampled from what is reduced, it lies where it lay, to a pixel of the square's."""
    at = to_photo(np.array([350.0, 45.0]), 700.0, np.array([1.0, 0.0]), 70)
    gradient = np.repeat(np.linspace(0, 255, 700).astype(np.uint8)[None, :, None], 90, 0)
    photo = np.ascontiguousarray(np.repeat(gradient, 3, 2))
    whole = cut_out(photo, at, 70).astype(int)
    monkeypatch.setattr(squares, "_MOST_PX", 200)
    part = cut_out(photo, at, 70).astype(int)
    inside = slice(31, 39), slice(1, 69)
    assert np.abs(whole[inside] - part[inside]).max() <= 4
    assert (part[0] == 127).all()


def test_a_photo_of_forty_thousand_pixels_a_side():
    """OpenCV 4 refuses it, OpenCV 5 does not."""
    photo = np.full((4, 40_000, 3), 200, dtype=np.uint8)
    at = to_photo(np.array([39_990.0, 2.0]), 4.0, np.array([1.0, 0.0]), 8)
    assert (cut_out(photo, at, 8)[1:-1, 1:-1] == 200).all()
