"""Tiles of the face: where they lie, and that exactly the named ones are hidden."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import grey_faces
from hemiface.errors import UsageError
from hemiface.networks.augment import hide_drawn
from hemiface.occlusion.conditions import (
    FILLS,
    condition,
    hidden_mask,
    hide,
    hide_tiles,
    hiding,
    image_seeds,
    mirror,
)
from hemiface.occlusion.tiles import TILES, apertures, pack, place, random_tiles, tile_map, unpack

FILL = st.sampled_from(FILLS)


def test_tiles_are_counted_down_the_columns():
    # Six columns of eight rows on 48 x 48: eight pixels wide, six high.
    where = tile_map(48, 48)
    for y, x in [(0, 0), (5, 7), (6, 0), (47, 0), (0, 8), (47, 47), (23, 24)]:
        assert where[y, x] == (x // 8) * 8 + y // 6
        assert place(where[y, x]) == (y // 6, x // 8)
    assert (np.bincount(where.ravel()) == 48).all()
    assert set(tile_map(61, 80).ravel()) == set(range(TILES))


@given(st.lists(st.lists(st.booleans(), min_size=48, max_size=48), min_size=1, max_size=5))
def test_pack_and_unpack_are_inverse(rows):
    visible = np.array(rows)
    masks = pack(visible)
    assert masks.dtype == np.uint64
    assert [int(mask) for mask in masks] == [
        sum(2**tile for tile in range(48) if row[tile]) for row in rows
    ]
    np.testing.assert_array_equal(unpack(masks), visible)


@given(seed=st.integers(0, 2**32), fill=FILL)
@settings(max_examples=30)
def test_exactly_the_hidden_tiles_change(seed, fill):
    faces = grey_faces(3, seed)
    visible = np.random.default_rng(seed).random((3, TILES)) < 0.5
    seeds = np.arange(3)
    hidden = hide_tiles(faces, visible, fill, seeds)
    shown = visible[:, tile_map(48, 48)]
    np.testing.assert_array_equal(hidden[shown], faces[shown])
    assert (hidden[~shown] != faces[~shown]).mean() > 0.9
    for i in range(3):
        rest = hidden[i][~shown[i]]
        if fill == "black":
            assert (rest == 0).all()
        elif fill == "mean":
            assert (rest == round(faces[i][shown[i]].mean())).all()
        alone = hide_tiles(faces[i : i + 1], visible[i : i + 1], fill, seeds[i : i + 1])
        np.testing.assert_array_equal(alone[0], hidden[i])


@pytest.mark.parametrize("fill", ["black", "mean", "blur"])
@pytest.mark.parametrize("name", ["upper", "right", "lower-left", "none", "full"])
def test_tiles_that_make_a_half_hide_as_the_half_does(name, fill):
    faces = grey_faces(4)
    one = condition(name, fill)
    hidden = np.zeros(TILES, dtype=bool)
    hidden[np.unique(tile_map(48, 48)[hidden_mask(one, 48, 48)])] = True
    np.testing.assert_array_equal(
        hide_tiles(faces, np.repeat(~hidden[None], 4, axis=0), fill), hide(faces, one)
    )


class TestRandom:
    @pytest.mark.parametrize(("percent", "pixels"), [(25, 576), (50, 1152), (75, 1728), (2, 48)])
    def test_the_hidden_area_is_that_of_the_quadrants(self, percent, pixels):
        faces = np.full((5, 48, 48), 9, np.uint8)
        hidden = hide(faces, condition(f"random-{percent}"), image_seeds("abcde"))
        assert ((hidden == 0).sum((1, 2)) == pixels).all()

    @pytest.mark.parametrize("percent", [1, 99])
    def test_none_and_all_of_the_tiles_are_no_control(self, percent):
        # Tables of before may have it.
        one = condition(f"random-{percent}")
        for use in (lambda: hiding(one.key), lambda: hide(grey_faces(2), one, image_seeds("ab"))):
            with pytest.raises(UsageError, match="tiles are none of them or all; take 2 to 98"):
                use()

    def test_tiles_differ_between_images_and_are_the_same_for_every_model_and_batch(self):
        seeds = image_seeds(["a", "b", "c"])
        chosen = random_tiles(seeds, 50)
        assert len({row.tobytes() for row in chosen}) == 3
        np.testing.assert_array_equal(random_tiles(seeds[::-1], 50), chosen[::-1])
        assert (random_tiles(seeds, 25) != chosen).any()
        faces = grey_faces(3)
        for fill in FILLS:
            one = condition("random-50", fill)
            whole = hide(faces, one, seeds)
            again = hide(faces[1:2], one, seeds[1:2])
            np.testing.assert_array_equal(again[0], whole[1])

    def test_no_tile_is_favoured(self):
        share = random_tiles(np.arange(4000), 50).mean(axis=0)
        # Standard error .008: five of them.
        assert share == pytest.approx(0.5, abs=0.04)

    def test_names_and_keys(self):
        one = condition("random-50@mean")
        assert (one.key, one.fill, one.random_percent) == ("random-50@mean", "mean", 50)
        assert condition("random-7").key == "random-7"
        assert mirror(one) == one
        for name in ("random-0", "random-100", "random-", "random-5x"):
            with pytest.raises(UsageError, match="is unknown"):
                condition(name)

    def test_it_needs_seeds_and_is_not_for_training(self):
        import torch

        with pytest.raises(UsageError, match="random-50 needs one seed per image"):
            hide(grey_faces(2), condition("random-50"))
        with pytest.raises(UsageError, match="random-50 hides other pixels in each image"):
            hide_drawn(torch.zeros(2, 48, 48), [condition("random-50")], torch.Generator())


def test_apertures_against_a_loop_over_pixels():
    centres = np.array([[0, 5 * 9 + 4, 5 * 9 + 5], [7 * 9 + 8, 1, 2]])
    planes = apertures(centres, 8, 9, 1.5)
    for i, y, x in [(0, 0, 0), (0, 5, 4), (0, 3, 3), (1, 7, 8), (1, 0, 1), (1, 4, 4)]:
        away = [((y - c // 9) ** 2 + (x - c % 9) ** 2) for c in centres[i]]
        total = sum(np.exp(-d / (2 * 1.5**2)) for d in away)
        assert planes[i, y, x] == pytest.approx(min(1, total), abs=1e-6)
