"""Exactly the named pixels change: every condition and fill against loops over pixels."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from builders import grey_faces
from hemiface.errors import UsageError
from hemiface.occlusion.conditions import (
    COALITIONS,
    CONDITIONS,
    FILLS,
    HALVES,
    QUADRANTS,
    coalition,
    condition,
    hidden_mask,
    hide,
    image_seeds,
    mirror,
)

EVERY = pytest.mark.parametrize("name", CONDITIONS)
NAMES, FILL = st.sampled_from(CONDITIONS), st.sampled_from(FILLS)
SHAPES = st.tuples(
    st.integers(1, 3), st.integers(2, 21), st.integers(2, 21), st.sampled_from([(), (1,), (3,)])
)
SEEDS = st.integers(0, 2**32 - 1)

# What each name hides (#), drawn: the upper two quadrants, then the lower two.
DRAWN = {
    "full": ".. ..",
    "upper": "## ..",
    "lower": ".. ##",
    "left": "#. #.",
    "right": ".# .#",
    "upper-left": "#. ..",
    "upper-right": ".# ..",
    "lower-left": ".. #.",
    "lower-right": ".. .#",
    "diagonal": "#. .#",
    "antidiagonal": ".# #.",
    "only-upper-left": ".# ##",
    "only-upper-right": "#. ##",
    "only-lower-left": "## .#",
    "only-lower-right": "## #.",
    "none": "## ##",
}


def is_hidden(name: str, y: int, x: int, height: int, width: int) -> bool:
    """Whether one pixel is hidden; the middle row and column of odd sizes are low and right."""
    return DRAWN[name].split()[y >= height // 2][x >= width // 2] == "#"


def random_batch(shape: tuple, seed: int) -> np.ndarray:
    n, height, width, channels = shape
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, height, width, *channels), dtype=np.uint8)


def slow_mask(name: str, height: int, width: int) -> np.ndarray:
    """The hidden pixels, one after the other."""
    return np.array(
        [[is_hidden(name, y, x, height, width) for x in range(width)] for y in range(height)]
    )


class TestConditions:
    def test_names(self):
        assert set(CONDITIONS) == set(DRAWN)
        assert len(CONDITIONS) == 16
        assert set(HALVES) | set(QUADRANTS) | {"full", "diagonal"} < set(CONDITIONS)

    @EVERY
    @pytest.mark.parametrize(("height", "width"), [(48, 48), (7, 5), (2, 3), (1, 4), (1, 1)])
    def test_mask_against_the_drawing(self, name, height, width):
        mask = hidden_mask(condition(name), height, width)
        np.testing.assert_array_equal(mask, slow_mask(name, height, width))

    def test_masks_are_shared_and_therefore_read_only(self):
        mask = hidden_mask(condition("left"), 48, 48)
        assert mask is hidden_mask(condition("left"), 48, 48)
        with pytest.raises(ValueError, match="read-only"):
            mask[0, 0] = True

    def test_the_sixteen_coalitions_are_all_subsets_and_all_distinct(self):
        subsets = [
            frozenset(some) for size in range(5) for some in itertools.combinations(QUADRANTS, size)
        ]
        assert set(COALITIONS) == set(subsets)
        assert set(COALITIONS.values()) == set(CONDITIONS)
        masks = {hidden_mask(coalition(visible), 6, 6).tobytes() for visible in subsets}
        assert len(masks) == 16
        for visible in subsets:
            one = coalition(visible, "mean")
            assert one.hidden == frozenset(QUADRANTS) - visible
            assert one.fill == "mean"

    @given(name=NAMES, fill=FILL)
    def test_key_and_condition_are_inverse(self, name, fill):
        one = condition(name, fill)
        again = condition(one.key)
        assert (again.name, again.hidden) == (one.name, one.hidden)
        assert again.fill == one.fill or not one.hidden
        assert condition(f"{name}@{fill}") == one
        assert condition(f"{name}@{fill}", fill) == one

    @pytest.mark.parametrize(
        ("call", "sentence"),
        [
            (lambda: condition("top"), "Condition 'top' is unknown; choose from full, upper"),
            (lambda: condition(""), "Condition '' is unknown"),
            (lambda: condition("left@grey"), "Fill 'grey' can't be used here; choose one of black"),
            (lambda: condition("left@mean", "blur"), "Fill 'mean' can't be used here"),
            (lambda: condition("left", "pink"), "Fill 'pink' can't be used here"),
            (lambda: coalition({"upper"}), "upper is not one of upper-left, upper-right, lower-l"),
        ],
    )
    def test_errors(self, call, sentence):
        with pytest.raises(UsageError, match=re.escape(sentence)):
            call()


class TestMirror:
    @given(name=NAMES, fill=FILL)
    def test_twice_is_nothing(self, name, fill):
        one = condition(name, fill)
        assert mirror(mirror(one)) == one

    def test_left_and_right_change_places_and_halves_above_stay(self):
        pairs = {name: mirror(condition(name)).name for name in CONDITIONS}
        assert {name for name, other in pairs.items() if name == other} == {
            "full", "upper", "lower", "none",
        }  # fmt: skip
        for name in ("left", "upper-left", "lower-left", "only-upper-left", "only-lower-left"):
            assert pairs[name] == name.replace("left", "right")
        assert pairs["diagonal"] == "antidiagonal"

    @given(shape=SHAPES, seed=SEEDS, name=NAMES, fill=st.sampled_from(["black", "mean", "blur"]))
    @settings(max_examples=60)
    def test_hiding_and_flipping_change_places(self, shape, seed, name, fill):
        n, height, width, channels = shape
        batch = random_batch((n, height, 2 * (width // 2), channels), seed)
        one = condition(name, fill)
        np.testing.assert_array_equal(
            hide(batch[:, :, ::-1], mirror(one)), hide(batch, one)[:, :, ::-1]
        )

    def test_the_middle_column_of_an_odd_width_belongs_to_the_right(self):
        batch = np.full((1, 4, 5), 9, np.uint8)
        assert hide(batch, condition("left"))[0, 0].tolist() == [0, 0, 9, 9, 9]
        assert hide(batch, condition("right"))[0, 0].tolist() == [9, 9, 0, 0, 0]
        assert hide(np.full((1, 3, 2), 9, np.uint8), condition("lower"))[0, :, 0].tolist() == [
            9, 0, 0,
        ]  # fmt: skip


class TestHide:
    @given(shape=SHAPES, seed=SEEDS, name=NAMES, fill=FILL)
    @settings(max_examples=150)
    def test_visible_pixels_stay_and_the_input_too(self, shape, seed, name, fill):
        batch = random_batch(shape, seed)
        before = batch.copy()
        hidden = hide(batch, condition(name, fill), np.arange(len(batch)))
        visible = ~slow_mask(name, *shape[1:3])
        np.testing.assert_array_equal(hidden[:, visible], before[:, visible])
        np.testing.assert_array_equal(batch, before)
        assert not np.shares_memory(hidden, batch)
        assert (hidden.dtype, hidden.shape) == (np.uint8, batch.shape)

    @EVERY
    @pytest.mark.parametrize("channels", [(), (3,)])
    def test_black_and_mean_against_loops_over_pixels(self, name, channels):
        height, width = 7, 10
        batch = random_batch((3, height, width, channels), 1)
        for fill in ("black", "mean"):
            hidden = hide(batch, condition(name, fill))
            for i, *channel in itertools.product(range(3), *(range(size) for size in channels)):
                seen = [
                    int(batch[(i, y, x, *channel)])
                    for y in range(height)
                    for x in range(width)
                    if not is_hidden(name, y, x, height, width)
                ]
                mean = round(sum(seen) / len(seen)) if seen else 127
                filling = 0 if fill == "black" else mean
                for y, x in itertools.product(range(height), range(width)):
                    place = (i, y, x, *channel)
                    covered = is_hidden(name, y, x, height, width)
                    assert hidden[place] == (filling if covered else batch[place])

    @EVERY
    def test_each_hidden_pixel_is_replaced_by_noise_and_blur(self, name):
        # Sixty draws: a pixel that is never replaced would keep its value in all of them.
        batch = np.repeat(grey_faces(1, side=8), 60, axis=0)
        mask = slow_mask(name, 8, 8)
        noisy = hide(batch, condition(name, "noise"), np.arange(60))
        assert (noisy != batch).any(0)[mask].all()
        spot = np.zeros((1, 9, 9), np.uint8)
        spot[0, 4, 4] = 255
        mask = slow_mask(name, 9, 9)
        assert (hide(spot, condition(name, "blur"))[0, 4, 4] < 255) == mask[4, 4]

    def test_noise_is_uniform_over_all_grey_levels(self):
        noise = hide(grey_faces(60), condition("none", "noise"), np.arange(60))
        counts = np.bincount(noise.ravel(), minlength=256)
        expected = noise.size / 256
        chi_square = ((counts - expected) ** 2 / expected).sum()
        assert 165 < chi_square < 365  # 255 degrees of freedom: 255 +- 5 standard deviations

    @pytest.mark.parametrize("shape", [(1, 48, 48, ()), (2, 33, 21, ()), (1, 20, 30, (3,))])
    def test_blur_is_scipys_gaussian_within_rounding(self, shape):
        batch = random_batch(shape, 2)
        sigma = shape[2] / 6
        hidden = hide(batch, condition("lower", "blur"))
        for row, image in zip(hidden, batch.astype(float), strict=True):
            sigmas = (sigma, sigma, *(0 for _ in shape[3]))
            oracle = ndimage.gaussian_filter(image, sigmas, mode="mirror", truncate=3.0)
            below = slice(shape[1] // 2, None)
            assert np.abs(row[below] - oracle[below]).max() < 1.6

    def test_photos_are_blurred_as_scipy_does_to_within_two_greys(self):
        batch = random_batch((1, 520, 640, ()), 5)
        batch[:, :260] //= 3
        hidden = hide(batch, condition("lower", "blur"))[0, 260:]
        oracle = ndimage.gaussian_filter(
            batch[0].astype(float), 640 / 6, mode="mirror", truncate=3.0
        )[260:]
        assert np.abs(hidden - oracle).max() < 2.6
        assert np.ptp(oracle) > 20

    def test_blur_takes_any_number_of_channels_and_each_by_itself(self):
        batch = random_batch((2, 12, 12, (6,)), 3)
        one = condition("left", "blur")
        for channel in range(6):
            np.testing.assert_array_equal(
                hide(batch, one)[..., channel], hide(batch[..., channel], one)
            )

    @given(seed=SEEDS, name=NAMES, fill=FILL)
    @settings(max_examples=40)
    def test_each_image_by_itself_whatever_its_batch(self, seed, name, fill):
        batch = random_batch((5, 10, 12, ()), seed)
        seeds = image_seeds(["a", "b", "c", "d", "e"])
        one = condition(name, fill)
        whole = hide(batch, one, seeds)
        order = np.random.default_rng(seed).permutation(5)
        np.testing.assert_array_equal(hide(batch[order], one, seeds[order]), whole[order])
        alone = [hide(batch[i : i + 1], one, seeds[i : i + 1])[0] for i in range(5)]
        np.testing.assert_array_equal(alone, whole)

    def test_noise_depends_on_the_image_and_the_condition_and_on_nothing_else(self):
        batch, seeds = grey_faces(2), image_seeds(["a", "b"])
        none = hide(batch, condition("none", "noise"), seeds)
        assert (none[0] != none[1]).mean() > 0.9
        np.testing.assert_array_equal(none, hide(255 - batch, condition("none", "noise"), seeds))
        left = hide(batch, condition("left", "noise"), seeds)
        upper = hide(batch, condition("upper", "noise"), seeds)
        both = np.s_[:, :24, :24]
        assert (left[both] != upper[both]).mean() > 0.9
        assert (none[both] != upper[both]).mean() > 0.9

    def test_seeds_come_from_the_ids_alone(self):
        # SHA-256 of "abc" begins with ba7816bf8f01cfea (FIPS 180-4).
        assert image_seeds(["abc", "abd"])[0] == 0xBA7816BF8F01CFEA
        assert image_seeds(["x"]).dtype == np.uint64
        assert len(set(image_seeds(map(str, range(1000))).tolist())) == 1000

    def test_views_read_only_arrays_and_empty_batches_will_do(self):
        batch = grey_faces(3)[:, :, ::-1]
        batch.setflags(write=False)
        for fill in FILLS:
            one = condition("left", fill)
            whole = hide(np.ascontiguousarray(batch), one, [1, 2, 3])
            np.testing.assert_array_equal(hide(batch, one, [1, 2, 3]), whole)
            assert hide(batch[:0], one, []).shape == (0, 48, 48)
        assert hide(batch, condition("full"), None).flags.writeable

    @pytest.mark.parametrize(
        ("batch", "sentence"),
        [
            (np.zeros((1, 4, 4)), "got float64 [1, 4, 4]"),
            (np.zeros((4, 4), np.uint8), "got uint8 [4, 4]"),
            (np.zeros((1, 1, 1, 1, 1), np.uint8), "got uint8 [1, 1, 1, 1, 1]"),
            (
                np.zeros((48, 40, 3), np.uint8),
                "[48, 40, 3] is one picture with channels; give images[None]",
            ),
        ],
    )
    def test_what_is_not_a_batch_is_refused(self, batch, sentence):
        with pytest.raises(UsageError, match=re.escape(sentence)):
            hide(batch, condition("full"))

    def test_names_and_lists_are_told_what_is_meant(self):
        with pytest.raises(UsageError, match=r"takes a Condition, got 'upper'; make one"):
            hide(grey_faces(2), "upper")
        with pytest.raises(UsageError, match=r"takes an array .* got list; give np\.stack"):
            hide(list(grey_faces(2)), condition("upper"))

    @pytest.mark.parametrize("seeds", [None, 5, [1], [1, 2, 3]])
    def test_noise_needs_a_seed_for_each_image(self, seeds):
        with pytest.raises(UsageError, match="Fill 'noise' needs one seed per image"):
            hide(grey_faces(2), condition("left", "noise"), seeds)
