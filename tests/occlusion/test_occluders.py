"""Drawn occluders: what they cover is what changes, where it should be, the same for one seed."""

import dataclasses

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import smooth_faces
from hemiface.data.phantom import make as phantom
from hemiface.errors import UsageError
from hemiface.models.visible_tiles import USUAL_REGIONS
from hemiface.occlusion.occluders import (
    HELD_OUT,
    KINDS,
    NOTHING,
    SEEN,
    lay,
    layers,
    wear,
    wear_large,
)
from hemiface.occlusion.occluders.canvas import CANVAS_PX, FACE, Canvas, oval
from hemiface.visibility.covered_faces import (
    REAL_THINGS,
    Covering,
    ReallyCovered,
    examples,
    fixed_examples,
)
from hemiface.vision.finding.alignment import FRAME

FACES = phantom.render(np.arange(24) % 7, seed=3)


def mean_cover(kind: str) -> dict[str, float]:
    """The mean share of each region that 24 drawings of a kind cover."""
    _, masks = wear(FACES, [kind] * len(FACES), np.arange(len(FACES)))
    return {region: float(masks[:, mask].mean()) for region, mask in USUAL_REGIONS.items()}


class TestWear:
    @pytest.mark.parametrize("kind", KINDS)
    def test_the_mask_says_what_changed(self, kind):
        covered, masks = wear(FACES, [kind] * len(FACES), np.arange(len(FACES)))
        assert (covered[~masks] == FACES[~masks]).all()
        # A covered pixel may happen to have the grey of what covers it.
        assert (covered[masks] != FACES[masks]).mean() > 0.8
        shares = masks.mean(axis=(1, 2))
        assert shares.min() > 0.01
        assert shares.max() < 0.95

    @settings(max_examples=25)
    @given(st.sampled_from(list(KINDS)), st.integers(0, 2**63))
    def test_one_seed_one_picture_whatever_is_beside_it(self, kind, seed):
        alone = wear(FACES[:1], [kind], [seed])
        beside = wear(FACES[[5, 0]], ["mask", kind], [7, seed])
        for one, other in zip(alone, beside, strict=True):
            assert np.array_equal(one[0], other[1])
        assert not np.array_equal(alone[0], wear(FACES[:1], [kind], [seed ^ 1])[0])

    def test_black_faces_stay_black_beside_the_occluder(self):
        black = np.zeros((1, 48, 48), dtype=np.uint8)
        covered, mask = wear(black, ["mask"], [0])
        assert covered[~mask].max() == 0
        assert covered[mask].max() > 0

    def test_nothing_changes_nothing(self):
        covered, masks = wear(FACES[:2], [NOTHING, NOTHING], [0, 1])
        assert np.array_equal(covered, FACES[:2])
        assert not masks.any()

    @pytest.mark.parametrize(
        ("kind", "region", "least"),
        [
            ("mask", "mouth", 0.9), ("scarf", "mouth", 0.8), ("sunglasses", "eyes", 0.8),
            ("headset", "eyes", 0.85), ("cup", "mouth", 0.7), ("microphone", "mouth", 0.3),
            ("patch", "eyes", 0.3),
        ],
    )  # fmt: skip
    def test_where_things_are_worn(self, kind, region, least):
        assert mean_cover(kind)[region] > least

    @pytest.mark.parametrize(
        ("kind", "region"),
        [("mask", "eyes"), ("scarf", "eyes"), ("sunglasses", "mouth"), ("headset", "mouth"),
         ("cup", "eyes"), ("microphone", "eyes"), ("patch", "mouth")],
    )  # fmt: skip
    def test_what_they_leave_free(self, kind, region):
        assert mean_cover(kind)[region] < 0.05

    def test_hair_hides_above_and_halves_halves(self):
        hair = mean_cover("hair")
        assert hair["upper"] > hair["lower"] + 0.2
        _, masks = wear(FACES, ["half"] * len(FACES), np.arange(len(FACES)))
        exact = [(mask == USUAL_REGIONS[half]).all() for mask in masks for half in
                 ("upper", "lower", "left", "right")]  # fmt: skip
        assert any(exact)

    def test_faces_lie_as_in_the_networks_frame(self):
        assert np.allclose(FRAME[:3], [FACE["left_eye"], FACE["right_eye"], FACE["nose"]])
        assert np.allclose(FRAME[3:].mean(axis=0), FACE["mouth"])

    def test_held_out_kinds_are_not_seen(self):
        assert not set(SEEN) & set(HELD_OUT)
        assert set(SEEN) | set(HELD_OUT) == set(KINDS)

    def test_wrong_use(self):
        with pytest.raises(UsageError, match="unknown"):
            wear(FACES[:1], ["beard"], [0])
        with pytest.raises(UsageError, match="one seed per face"):
            wear(FACES[:2], ["mask", "mask"], [0])
        with pytest.raises(UsageError, match="uint8"):
            wear(FACES[:1].astype(float), ["mask"], [0])  # type: ignore[arg-type]
        for seed in (-1, 1.5):
            with pytest.raises(UsageError, match="whole numbers from 0"):
                wear(FACES[:1], ["mask"], [seed])


class TestExamples:
    def test_training_examples_can_be_repeated(self):
        index = np.arange(len(FACES))
        first, again = (
            examples(FACES, index, Covering(), np.random.default_rng(5)) for _ in range(2)
        )
        assert np.array_equal(first[0], again[0])
        assert np.array_equal(first[1], again[1])
        hidden = 1 - first[1].mean(axis=(1, 2))
        assert (hidden == 0).any()
        assert (hidden > 0.1).any()

    @pytest.mark.parametrize("most_px", [0.0, 0.5, 47.0])
    def test_the_border_may_be_repeated_not_at_all_and_up_to_the_other(self, most_px):
        options = Covering(repeat=1, repeat_px=most_px)
        faces, _ = examples(FACES, np.arange(8), options, np.random.default_rng(0))
        assert faces.shape == (8, 48, 48)
        with pytest.raises(UsageError, match=r"covering\.repeat_px must be less than 48"):
            Covering(repeat_px=48)

    def test_without_occluders_all_is_visible(self):
        bare = Covering(nothing=1, second=0)
        faces, tiles = examples(FACES, np.arange(8), bare, np.random.default_rng(0))
        assert (tiles == 1).all()
        assert not np.array_equal(faces, FACES[:8])  # moved, swapped, worsened

    def test_real_things_hide_what_is_said_and_leave_open_what_nobody_said(self):
        covers = ["eyes", "mouth"]
        covered = ReallyCovered.of(FACES[:2], covers)
        still = Covering(
            nothing=1, second=0, swap=0, light=0, translate_px=0, rotate_deg=0, scale=0, repeat=0,
            worsen=0, contrast=0, real=1,
        )  # fmt: skip
        faces, tiles = examples(FACES, np.arange(16), still, np.random.default_rng(3), covered)
        seen = set()
        for face, told in zip(faces, tiles, strict=True):
            (which,) = (
                i for i, one in enumerate(FACES[:2])
                if min(np.abs(face.astype(int) - way).max() for way in (one, one[:, ::-1])) <= 1
            )  # fmt: skip
            seen.add(which)
            rows, columns, around = REAL_THINGS[covers[which]]
            inside = np.zeros((12, 12), dtype=bool)
            inside[rows.start // 4 : rows.stop // 4, 4:8] = True  # mirrored or not
            assert columns.start <= 16 < 32 <= columns.stop
            assert (told[inside] == 0).all()
            zone = np.zeros(12, dtype=bool)
            zone[around.start // 4 : around.stop // 4] = True
            assert (told[~zone] == 1).all()
            assert np.isnan(told[zone]).any()
        assert seen == {0, 1}
        # What is drawn over it is known to hide.
        drawn = dataclasses.replace(still, nothing=0, mask=1)
        _, under = examples(FACES, np.arange(16), drawn, np.random.default_rng(3), covered)
        assert np.isnan(under).sum() < np.isnan(tiles).sum()
        assert (ReallyCovered.of(FACES[:1], ["nothing"]).visible == 1).all()
        with pytest.raises(
            UsageError, match="Region 'chin' is unknown; real things cover eyes or mouth or nothing"
        ):
            ReallyCovered.of(FACES[:1], ["chin"])

    def test_fixed_examples_follow_the_id(self):
        ids = [f"face-{i}" for i in range(len(FACES))]
        faces, visible, kinds = fixed_examples(FACES, ids, HELD_OUT)
        other, _, others = fixed_examples(FACES[::-1], ids[::-1], HELD_OUT)
        assert np.array_equal(faces, other[::-1])
        assert kinds == others[::-1]
        assert set(kinds) <= {NOTHING, *HELD_OUT}
        bare = np.array([kind == NOTHING for kind in kinds])
        assert 0 < bare.sum() < len(bare)
        assert visible[bare].all()
        assert not visible[~bare].all(axis=(1, 2)).any()


class TestLayers:
    def test_a_layer_is_what_would_have_been_laid_on_a_face(self):
        n, seed = 40, 11
        cover, tone = layers(n, seed)
        for i in range(n):
            random = np.random.default_rng([seed, i])
            canvas = Canvas(random, skin=float(random.uniform(60, 200)))
            KINDS[SEEN[int(random.integers(len(SEEN)))]](canvas)
            face = FACES[i % len(FACES)]
            expected, mask = lay(face, canvas)
            assert ((cover[i] > 0) == mask).all()
            mixed = face + cover[i] / 255 * (tone[i].astype(float) - face)
            assert np.abs(mixed - expected).max() <= 1.5  # cover and tone are rounded

    def test_more_of_them_begin_with_the_same(self):
        few, many = layers(3, 0), layers(6, 0)
        for one, other in zip(few, many, strict=True):
            assert np.array_equal(one, other[:3])
        assert not np.array_equal(layers(3, 1)[0], few[0])
        assert (many[0].reshape(6, -1).max(1) > 128).all()


class TestLarger:
    """The same thing on a larger picture, finer and on colours."""

    @pytest.mark.parametrize("kind", ["mask", "sunglasses", "scarf"])
    def test_it_covers_what_the_small_one_covers(self, kind):
        (face,) = smooth_faces(1)
        large = np.repeat(np.repeat(face, 10, axis=0), 10, axis=1)
        worn, covered = wear_large(large, kind, 7)
        np.testing.assert_array_equal(worn[~covered], large[~covered])
        _, small = wear(face[None], [kind], [7])
        shares = covered.reshape(48, 10, 48, 10).mean(axis=(1, 3))
        # A pixel counts as covered from a quarter on, which moves edges by less than one.
        inside = cv2.erode(small[0].astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        around = cv2.dilate(small[0].astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        assert shares[inside].mean() > 0.98
        assert shares[~around].max() == 0

    def test_edges_are_as_fine_as_the_picture(self):
        outline = oval((24, 30), (11.3, 8.2), 2.5)
        coarse, fine = (
            Canvas(np.random.default_rng(0), skin=100.0, px=px) for px in (CANVAS_PX, 960)
        )
        for one in (coarse, fine):
            one.polygon(outline)
            one.line([(2, 20), (46, 24)], 0.5)
        as_coarse = cv2.resize(fine.cover, (CANVAS_PX, CANVAS_PX), interpolation=cv2.INTER_AREA)
        # The same shapes, but for steps of a canvas of 96 pixels.
        assert np.abs(as_coarse - coarse.cover).mean() < 0.02
        shown = cv2.resize(fine.cover, (480, 480), interpolation=cv2.INTER_AREA)
        assert 0 < ((shown > 0) & (shown < 1)).sum() < 3 * 2 * np.pi * 11.3 * 10

    def test_a_coloured_picture_gets_a_grey_thing(self):
        rgb = np.dstack([np.full((96, 96), tone, np.uint8) for tone in (200, 120, 60)])
        worn, covered = wear_large(rgb, "mask", 1)
        assert covered.mean() > 0.05
        np.testing.assert_array_equal(worn[~covered], rgb[~covered])
        # Straps and edges let some skin through.
        assert np.quantile(np.ptp(worn[covered].astype(int), axis=1), 0.75) <= 1

    def test_a_hand_has_the_hue_of_the_face(self):
        skin = np.array([200, 120, 60], np.uint8)
        rgb = np.broadcast_to(skin, (96, 96, 3)).copy()
        worn, covered = wear_large(rgb, "hand", 1)
        (level,) = {int(one) for one in cv2.cvtColor(rgb[:1, :1], cv2.COLOR_RGB2GRAY).flat}
        grey, _ = wear_large(np.full((96, 96), level, np.uint8), "hand", 1)
        # As bright as it was where nothing is brighter than a screen can show.
        fits = covered & (worn.max(axis=2) < 255)
        assert fits.sum() > 300
        seen = cv2.cvtColor(worn, cv2.COLOR_RGB2GRAY).astype(int)
        assert np.abs(seen - grey)[fits].max() <= 2
        bright = fits & (seen > 60)
        np.testing.assert_allclose(
            worn[bright] / seen[bright, None], [skin / level] * bright.sum(), atol=0.03
        )
        black, _ = wear_large(np.zeros((96, 96, 3), np.uint8), "hand", 1)
        assert (np.ptp(black.astype(int), axis=2) == 0).all()

    def test_what_is_no_square_or_unknown_is_said(self):
        with pytest.raises(UsageError, match="squares of 48 pixels or more"):
            wear_large(np.zeros((96, 90), np.uint8), "mask", 0)
        with pytest.raises(UsageError, match="Occluder 'hat' is unknown"):
            wear_large(np.zeros((96, 96), np.uint8), "hat", 0)
