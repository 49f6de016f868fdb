"""Composites and chimeras: every pixel is where the definition puts it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import grey_faces
from hemiface.errors import UsageError
from hemiface.occlusion.composites import APART, chimera, composite


@given(st.integers(0, 9), st.sampled_from([(), (3,)]))
def test_an_aligned_composite_has_both_halves_untouched(seed, channels):
    shape = (30, 20, *channels)
    one, other = np.random.default_rng(seed).integers(0, 256, (2, *shape), dtype=np.uint8)
    made = composite(one, other)
    np.testing.assert_array_equal(made[:15], one[:15])
    np.testing.assert_array_equal(made[15:], other[15:])


@given(st.integers(-19, 19))
def test_misaligned_halves_lie_so_far_apart_and_nothing_else_is_shown(apart):
    one, other = np.random.default_rng(0).integers(1, 256, (2, 30, 20), dtype=np.uint8)
    made = composite(one, other, apart)
    left, right = abs(apart) // 2, abs(apart) - abs(apart) // 2
    upper, lower = (made[:15], made[15:]) if apart >= 0 else (made[:15, ::-1], made[15:, ::-1])
    of_one, of_other = (one, other) if apart >= 0 else (one[:, ::-1], other[:, ::-1])
    np.testing.assert_array_equal(upper[:, : 20 - left], of_one[:15, left:])
    np.testing.assert_array_equal(lower[:, right:], of_other[15:, : 20 - right])
    assert not upper[:, 20 - left :].any()
    assert not lower[:, :right].any()


def test_half_a_face_apart_keeps_the_eyes_and_the_mouth():
    # Where FER2013's crops have them: eyes at columns 15 and 33 of 48, corners of the mouth too.
    shift = round(APART * 48) / 2
    assert 15.1 - 5 - shift > 0
    assert 31.2 + 5 + shift < 48


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_chimera_is_its_own_mirror_image_and_shows_one_side(side):
    (face,) = grey_faces(1)
    made = chimera(face, side)
    np.testing.assert_array_equal(made, made[:, ::-1])
    own = slice(0, 24) if side == "left" else slice(24, 48)
    np.testing.assert_array_equal(made[:, own], face[:, own])


def test_the_right_chimera_is_the_left_one_of_the_mirror_image():
    (face,) = grey_faces(1)
    np.testing.assert_array_equal(chimera(face, "right"), chimera(face[:, ::-1], "left"))


def test_what_does_not_fit_is_said():
    one, other = grey_faces(2)
    with pytest.raises(UsageError, match=r"one size, got \[48, 48\] and \[48, 47\]"):
        composite(one, other[:, :47])
    with pytest.raises(UsageError, match="can't lie 48 pixels apart in 48"):
        composite(one, other, 48)
    with pytest.raises(UsageError, match="even width, got 47"):
        chimera(one[:, :47], "left")
