"""Likeness of maps: what else explains it is computed as it says."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hemiface.occlusion.tiles import TILES, place
from hemiface.stats.importance.likeness import (
    baselines,
    own_and_others,
    partial_rank_correlation,
    permutation_p,
    rank_correlation,
    torus_p,
    within_distance,
)

CENTRE = baselines()["centre"]


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (*shape, TILES))


class TestPartial:
    def test_is_the_correlation_of_residuals(self):
        one, other, given_maps = noise(0), noise(1), noise(2, 2)
        one, other = one + given_maps[0], other + given_maps[0]
        ranks = [stats.rankdata(each) for each in (one, other, *given_maps)]
        design = np.column_stack([np.ones(TILES), *ranks[2:]])
        rest = [each - design @ np.linalg.lstsq(design, each, rcond=None)[0] for each in ranks[:2]]
        expected = stats.pearsonr(*rest).statistic
        assert partial_rank_correlation(one, other, given_maps) == pytest.approx(expected)

    def test_by_the_formula_of_three_correlations(self):
        one, other = noise(3) + 3 * CENTRE, noise(4) + 3 * CENTRE
        r, a, b = (
            stats.spearmanr(*pair).statistic
            for pair in ((one, other), (one, CENTRE), (other, CENTRE))
        )
        expected = (r - a * b) / np.sqrt((1 - a**2) * (1 - b**2))
        found = partial_rank_correlation(one, other, CENTRE[None])
        assert found == pytest.approx(expected)

    def test_two_maps_of_the_middle_share_nothing_else(self):
        one, other = (30 * CENTRE + noise(seed, 200) for seed in (5, 6))
        assert rank_correlation(one, other).mean() > 0.8
        # A straight line of ranks leaves some of a curve; the means of equal distances nothing.
        assert 0.05 < partial_rank_correlation(one, other, CENTRE[None]).mean() < 0.2
        assert abs(within_distance(one, other).mean()) < 0.02

    def test_what_is_shared_beyond_the_middle_stays(self):
        shared = noise(18, 200)
        one, other = (30 * CENTRE + shared + 0.3 * noise(seed, 200) for seed in (19, 20))
        assert within_distance(one, other).mean() > 0.75

    def test_of_a_map_that_is_wholly_explained_is_undefined(self):
        assert np.isnan(partial_rank_correlation(CENTRE, noise(7), CENTRE[None]))


class TestBaselines:
    def test_the_centre_is_highest_in_the_middle(self):
        nearest = [place(tile) for tile in np.flatnonzero(np.isclose(CENTRE, CENTRE.max()))]
        assert sorted(nearest) == [(3, 2), (3, 3), (4, 2), (4, 3)]
        corners = [CENTRE[tile] for tile in (0, 7, 40, 47)]
        assert corners == pytest.approx([-np.hypot(7 / 16, 5 / 12)] * 4)

    def test_contrast_of_faces_by_hand(self):
        faces = np.zeros((4, 48, 48), dtype=np.uint8)
        faces[::2, :6, :4] = 200  # half of tile 0 is bright in every other face
        found = baselines(faces)
        assert found["contrast"][0] == pytest.approx(50)
        assert found["mean face"][0] == pytest.approx(50)
        faces[1::2, :6, 4:8] = 200  # in the others the other half: no face on average
        found = baselines(faces)
        assert found["contrast"][0] == pytest.approx(100)
        assert found["mean face"][0] == pytest.approx(0)
        assert not found["contrast"][1:].any()


class TestTorus:
    def test_the_same_map_agrees_best_where_it_is(self):
        assert torus_p(noise(8), noise(8)) == pytest.approx(1 / 48)

    @given(st.integers(0, 10_000))
    def test_p_of_unrelated_maps_is_a_share_of_shifts(self, seed):
        p = torus_p(noise(seed), noise(seed + 20_000))
        assert 1 / 48 <= p <= 1
        assert (p * 48) == pytest.approx(round(p * 48))

    def test_unrelated_maps_are_rarely_called_alike(self):
        found = np.array([torus_p(noise(seed), noise(seed + 500)) for seed in range(200)])
        assert (found <= 0.05).mean() < 0.1
        assert 0.4 < found.mean() < 0.6

    def test_shifts_are_of_the_face_and_not_of_the_list(self):
        grid = np.zeros((6, 8))
        grid[2, 3], grid[3, 3] = 2, 1
        turned = np.roll(grid, (1, -2), axis=(0, 1))
        # Only one of 48 shifts agrees wholly; as it is the map doesn't.
        assert torus_p(turned.ravel(), grid.ravel()) > 1 / 48

    def test_of_an_undefined_map(self):
        assert np.isnan(torus_p(np.full(TILES, np.nan), noise(1)))


class TestEmotions:
    def test_own_and_others_by_brute_force(self):
        maps, people = noise(9, 7), noise(10, 7)
        own, others = own_and_others(maps, people)
        for emotion in range(7):
            each = [stats.spearmanr(maps[emotion], people[k]).statistic for k in range(7)]
            assert own[emotion] == pytest.approx(each[emotion])
            rest = [r for k, r in enumerate(each) if k != emotion]
            assert others[emotion] == pytest.approx(np.mean(rest))

    def test_permutations_by_brute_force(self):
        maps, people = noise(11, 7), noise(12, 7)
        crossed = np.array(
            [[stats.spearmanr(one, other).statistic for other in people] for one in maps]
        )
        means = [crossed[range(7), order].mean() for order in permutations(range(7))]
        expected = (np.array(means) >= means[0] - 1e-9).mean()
        assert permutation_p(maps, people) == pytest.approx(expected)

    def test_maps_alike_by_what_all_emotions_share_have_no_own(self):
        shared = 5 * noise(13)
        maps, people = shared + noise(14, 7), shared + noise(15, 7)
        own, others = own_and_others(maps, people)
        assert own.mean() > 0.8
        assert abs((own - others).mean()) < 0.05
        assert permutation_p(maps, people) > 0.05

    def test_maps_alike_emotion_by_emotion_are_told(self):
        people = noise(16, 7)
        assert permutation_p(people + noise(17, 7), people) < 0.001
