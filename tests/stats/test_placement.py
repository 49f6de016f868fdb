"""People's stimuli over the crops: areas by counting pixels, a planted place, no false one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hemiface.occlusion.tiles import TILE_COLUMNS, TILE_ROWS, TILES, tile_map
from hemiface.stats.importance.likeness import baselines, rank_correlation
from hemiface.stats.importance.placement import (
    PLACEMENTS,
    PROPORTION,
    Laid,
    Placement,
    best_permutation_p,
    best_torus_p,
    own_minus_others,
    place_map,
)

PIXELS = 960
"""A side in which every edge of a tile, in every placement, falls between two pixels."""


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (*shape, TILES))


def counted(map_: np.ndarray, placement: Placement) -> np.ndarray:
    """The same, by the middles of so many pixels."""
    middle = (np.arange(PIXELS) + 0.5) / PIXELS - 0.5
    row = np.floor(((middle - placement.down) / placement.height + 0.5) * TILE_ROWS).astype(int)
    column = np.floor((middle / placement.width + 0.5) * TILE_COLUMNS).astype(int)
    stimulus = column[None] * TILE_ROWS + row[:, None]
    inside = ((row >= 0) & (row < TILE_ROWS))[:, None] & ((column >= 0) & (column < TILE_COLUMNS))
    crop = tile_map(PIXELS, PIXELS)[inside]
    number = np.bincount(crop, minlength=TILES)
    total = np.bincount(crop, weights=map_[stimulus[inside]], minlength=TILES)
    enough = number >= PIXELS**2 / TILES / 2
    return np.where(enough, total / np.maximum(number, 1), np.nan)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_tiles_are_means_over_what_covers_them(placement):
    map_ = noise(1)
    found, expected = place_map(map_, placement), counted(map_, placement)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert np.isfinite(found).sum() >= 24


def test_tile_against_tile_is_the_first():
    map_ = noise(2, 7)
    np.testing.assert_allclose(place_map(map_, PLACEMENTS[0]), map_)
    for one in PLACEMENTS[1:]:
        assert one.width == pytest.approx(PROPORTION * one.height)
    assert len(set(PLACEMENTS)) == 26


@given(st.floats(-5, 5), st.sampled_from(PLACEMENTS))
def test_a_constant_map_stays_one(value, placement):
    found = place_map(np.full(TILES, value), placement)
    np.testing.assert_allclose(found[np.isfinite(found)], value, atol=1e-9)


@pytest.mark.parametrize("place", [3, 12, 18, 25])
def test_a_planted_place_is_found_with_its_emotions(place):
    # A network that needs what people need, where they lay at one of the placements.
    people = noise(3, 7)
    laid = Laid.of(people)
    maps = noise(4, 7)
    maps[:, laid.seen[place]] = laid.maps[place]
    crossed = laid.crossed(maps)
    assert np.argmax(own_minus_others(crossed)) == place
    assert best_permutation_p(crossed) == pytest.approx(1 / 5040)
    mean = maps.mean(axis=0)
    assert np.argmax(laid.correlations(mean)) == place
    assert best_torus_p(mean, laid) <= 4 / 48
    by_hand = [
        stats.spearmanr(mean[some], theirs.mean(axis=0)).statistic
        for theirs, some in zip(laid.maps, laid.seen, strict=True)
    ]
    np.testing.assert_allclose(laid.correlations(mean), by_hand)


def test_the_best_of_nothing_is_no_finding():
    # Maps of the middle and noise: the best placement looks like something, its p does not.
    centre = 20 * baselines()["centre"]
    p, best = [], []
    for seed in range(40):
        laid = Laid.of(centre + noise(100 + seed, 7))
        crossed = laid.crossed(centre + noise(200 + seed, 7))
        p.append(best_permutation_p(crossed))
        best.append(own_minus_others(crossed).max())
    assert np.mean(best) > 0.01
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_own_minus_others_is_the_mean_diagonal_beside_the_rest():
    crossed = rank_correlation(noise(7, 7)[:, None], noise(8, 7))
    diagonal = np.eye(7, dtype=bool)
    expected = crossed[diagonal].mean() - crossed[~diagonal].mean()
    assert own_minus_others(crossed) == pytest.approx(expected)


def test_a_map_that_is_constant_has_no_p():
    laid = Laid.of(noise(9, 7))
    flat = np.ones((7, TILES))
    assert np.isnan(best_permutation_p(laid.crossed(flat)))
    assert np.isnan(best_torus_p(flat[0], laid))


def test_what_is_left_without_the_middle():
    people = noise(10, 7) + 30 * baselines()["centre"]
    laid = Laid.of(people)
    map_ = noise(11) + 30 * baselines()["centre"]
    left = laid.partial(map_, baselines()["centre"][None])
    assert (laid.correlations(map_)[:1] > 0.7).all()
    assert abs(left[0]) < 0.4
