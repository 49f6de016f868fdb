"""Augmentation: a draw for each image, pixels where a second library puts them."""

import itertools

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from builders import grey_faces, smooth_faces
from hemiface.config import AugmentConfig
from hemiface.networks.augment import Wardrobe, _rectangles, augment, hide_drawn, mixup
from hemiface.occlusion.conditions import CONDITIONS, condition, hidden_mask, hide
from hemiface.occlusion.occluders import layers

pytestmark = pytest.mark.usefixtures("one_thread")

STILL = {"flip": False}
SIDE = 48
CENTRE = (SIDE - 1) / 2
EVERYTHING = AugmentConfig(
    flip=True, translate_px=4.0, rotate_deg=15.0, scale=0.2, shear_deg=8.0, brightness=0.3,
    contrast=0.3, erase_probability=0.5,
)  # fmt: skip


def changed(pixels: np.ndarray, seed: int = 0, **options) -> np.ndarray:
    """The augmented `pixels` as float32 [n, 48, 48]; no flip unless asked for."""
    draws = torch.Generator().manual_seed(seed)
    batch = torch.from_numpy(pixels)
    result = augment(batch, AugmentConfig(**{**STILL, **options}), draws)
    assert result.dtype == torch.float32
    assert result.shape == batch.shape
    return result.numpy()


def measured_maps(n: int, seed: int, **options) -> np.ndarray:
    """The affine map of each of n draws, float [n, 2, 3], measured from the outside.

    Three spots are moved under the same draws; the centres of mass before and after say which
    (x, y, 1) relative to the picture's centre becomes which (x, y).
    """
    y, x = np.mgrid[:SIDE, :SIDE]
    before = np.array([(-7.0, -6.0), (8.0, -5.0), (-2.0, 9.0)])
    after = []
    for dx, dy in before:
        spot = np.exp(-((x - CENTRE - dx) ** 2 + (y - CENTRE - dy) ** 2) / (2 * 2.0**2))
        spots = np.repeat(np.rint(255 * spot).astype(np.uint8)[None], n, axis=0)
        moved = changed(spots, seed, **options)
        mass = moved.sum((1, 2))
        centres = [(moved * axis).sum((1, 2)) / mass - CENTRE for axis in (x, y)]
        after.append(np.stack(centres, axis=1))
    known = np.column_stack([before, np.ones(3)])
    return np.linalg.solve(known, np.stack(after, axis=1)).transpose(0, 2, 1)


def magnification(maps: np.ndarray) -> np.ndarray:
    return np.sqrt(np.abs(np.linalg.det(maps[:, :, :2])))


class TestDraws:
    def test_the_images_of_one_batch_are_changed_differently(self):
        same = np.repeat(smooth_faces(1), 32, axis=0)
        for options in (
            {"rotate_deg": 15.0}, {"translate_px": 4.0}, {"scale": 0.2}, {"shear_deg": 10.0},
            {"brightness": 0.5}, {"contrast": 0.5}, {"erase_probability": 1.0},
            {"translate_px": 20.0, "interpolate": False},
        ):  # fmt: skip
            results = changed(same, **options)
            assert len({image.tobytes() for image in results}) >= 30, options

    def test_the_generator_alone_decides(self):
        faces = grey_faces(16)
        torch.manual_seed(1)
        one = changed(faces, 5, **vars(EVERYTHING))
        torch.manual_seed(2)
        np.testing.assert_array_equal(one, changed(faces, 5, **vars(EVERYTHING)))
        assert (one != changed(faces, 6, **vars(EVERYTHING))).mean() > 0.5

    def test_the_batch_is_not_changed(self):
        batch = torch.from_numpy(grey_faces(8))
        before = batch.clone()
        for interpolate in (True, False):
            options = AugmentConfig(**{**vars(EVERYTHING), "interpolate": interpolate})
            augment(batch, options, torch.Generator().manual_seed(0))
        assert torch.equal(batch, before)

    @pytest.mark.parametrize("interpolate", [True, False])
    def test_nothing_asked_for_is_nothing_done(self, interpolate):
        faces = grey_faces(8)
        np.testing.assert_array_equal(changed(faces, interpolate=interpolate), faces)

    def test_options_whose_share_is_zero_do_nothing(self):
        faces = grey_faces(8)
        moved = {"translate_px": 5.0, "geometry_probability": 0.0}
        np.testing.assert_array_equal(changed(faces, interpolate=False, **moved), faces)
        np.testing.assert_allclose(changed(faces, **moved, rotate_deg=9.0), faces, atol=0.01)
        coloured = changed(faces, brightness=0.5, contrast=0.5, colour_probability=0.0)
        np.testing.assert_allclose(coloured, faces, atol=0.01)
        np.testing.assert_array_equal(
            changed(faces, erase_probability=1e-12, erase_area=(0.1, 0.2)), faces
        )

    def test_a_share_of_the_images_is_moved(self):
        same = np.repeat(smooth_faces(1), 400, axis=0)
        for interpolate in (True, False):
            results = changed(
                same, translate_px=9.0, geometry_probability=0.3, interpolate=interpolate
            )
            moved = (np.abs(results - same) > 0.5).any((1, 2)).mean()
            # Binomial: 0.3 +- 4 standard deviations; whole pixels include 1 still draw in 361.
            assert 0.3 - 0.1 < moved < 0.3 + 0.1


class TestFlip:
    @pytest.mark.parametrize("interpolate", [True, False])
    def test_about_half_of_the_images_are_exactly_mirrored_and_the_others_untouched(
        self, interpolate
    ):
        faces = grey_faces(400)
        results = changed(faces, flip=True, interpolate=interpolate)
        mirrored = (results == faces[:, :, ::-1]).all((1, 2))
        untouched = (results == faces).all((1, 2))
        assert (mirrored ^ untouched).all()
        assert 160 < mirrored.sum() < 240  # binomial: 200 +- 4 standard deviations

    def test_flips_go_on_where_nothing_is_moved(self):
        faces = grey_faces(200)
        results = changed(faces, flip=True, translate_px=5.0, geometry_probability=0.0)
        mirrored = np.isclose(results, faces[:, :, ::-1], atol=0.01).all((1, 2))
        untouched = np.isclose(results, faces, atol=0.01).all((1, 2))
        assert (mirrored ^ untouched).all()
        assert 70 < mirrored.sum() < 130


class TestGeometry:
    OPTIONS = {  # noqa: RUF012
        "rotate_deg": 20.0, "scale": 0.15, "shear_deg": 10.0, "translate_px": 3.0, "flip": True,
    }  # fmt: skip

    @pytest.mark.parametrize(
        ("border", "mode"),
        [("zeros", "grid-constant"), ("border", "nearest"), ("reflection", "reflect")],
    )
    def test_pixels_are_where_scipy_puts_them(self, border, mode):
        n, seed = 12, 3
        maps = measured_maps(n, seed, **self.OPTIONS)
        faces = smooth_faces(n, 1)
        results = changed(faces, seed, border=border, **self.OPTIONS)
        for face, result, one in zip(faces, results, maps, strict=True):
            # scipy asks where an output pixel (row, column) comes from.
            back = np.linalg.inv(one[:, :2])[::-1, ::-1]
            offset = CENTRE - back @ (CENTRE + one[::-1, 2])
            oracle = ndimage.affine_transform(face.astype(float), back, offset, order=1, mode=mode)
            error = np.abs(result - oracle)
            # The maps are measured to about 0.01 px; at black borders that shows.
            assert np.median(error) < 0.3
            assert (error < 4).mean() > 0.97

    def test_rotation_is_rigid_and_goes_both_ways_up_to_its_limit(self):
        maps = measured_maps(200, 1, rotate_deg=20.0)
        angles = np.rad2deg(np.arctan2(maps[:, 1, 0], maps[:, 0, 0]))
        np.testing.assert_allclose(np.linalg.det(maps[:, :, :2]), 1, atol=0.01)
        np.testing.assert_allclose(maps[:, 0, 0], maps[:, 1, 1], atol=0.01)
        np.testing.assert_allclose(maps[:, 0, 1], -maps[:, 1, 0], atol=0.01)
        np.testing.assert_allclose(maps[:, :, 2], 0, atol=0.1)
        assert -20.3 < angles.min() < -17
        assert 17 < angles.max() < 20.3
        assert abs(angles.mean()) < 4 * 20 / np.sqrt(3 * 200)

    def test_about_half_of_the_moved_pictures_are_mirrored_too(self):
        maps = measured_maps(200, 5, rotate_deg=20.0, flip=True)[:, :, :2]
        squares = maps @ maps.transpose(0, 2, 1)
        np.testing.assert_allclose(squares, np.eye(2)[None].repeat(200, 0), atol=0.02)
        assert 70 < (np.linalg.det(maps) < 0).sum() < 130

    def test_scale_draws_from_smaller_to_larger(self):
        maps = measured_maps(200, 2, scale=0.2)
        factors = magnification(maps)
        np.testing.assert_allclose(maps[:, 0, 0], maps[:, 1, 1], atol=0.01)
        np.testing.assert_allclose(maps[:, [0, 1], [1, 0]], 0, atol=0.01)
        assert 0.79 < factors.min() < 0.83
        assert 1.17 < factors.max() < 1.21
        assert abs(factors.mean() - 1) < 4 * 0.2 / np.sqrt(3 * 200)

    def test_translation_is_in_pixels_and_of_both_axes(self):
        maps = measured_maps(200, 3, translate_px=5.0)
        np.testing.assert_allclose(maps[:, :, :2], np.eye(2)[None].repeat(200, 0), atol=0.01)
        shifts = maps[:, :, 2]
        assert ((shifts.min(0) > -5.1) & (shifts.min(0) < -4.5)).all()
        assert ((shifts.max(0) < 5.1) & (shifts.max(0) > 4.5)).all()
        assert abs(np.corrcoef(shifts.T)[0, 1]) < 0.3

    def test_shear_moves_rows_sideways_and_keeps_their_height(self):
        maps = measured_maps(200, 4, shear_deg=15.0)
        np.testing.assert_allclose(maps[:, 1], np.tile([0.0, 1.0, 0.0], (200, 1)), atol=0.02)
        np.testing.assert_allclose(maps[:, 0, 0], 1, atol=0.01)
        angles = np.rad2deg(np.arctan(maps[:, 0, 1]))
        assert -15.3 < angles.min() < -12
        assert 12 < angles.max() < 15.3

    @pytest.mark.parametrize(
        ("border", "mode"), [("zeros", "constant"), ("border", "edge"), ("reflection", "reflect")]
    )
    def test_whole_pixel_shifts_are_crops_of_the_padded_picture(self, border, mode):
        """Every result equals exactly one of the crops that numpy cuts out, and all occur."""
        pad, n = 2, 300
        faces = grey_faces(n, side=12)
        results = changed(
            faces, interpolate=False, translate_px=2.9, rotate_deg=30.0, scale=0.5, border=border
        )
        seen = set()
        for face, result in zip(faces, results, strict=True):
            padded = np.pad(face, pad, mode=mode)
            fits = [
                (top, left)
                for top, left in itertools.product(range(2 * pad + 1), repeat=2)
                if (padded[top : top + 12, left : left + 12] == result).all()
            ]
            assert len(fits) == 1
            seen.add(fits[0])
        assert len(seen) == 25

    def test_pictures_need_not_be_square(self):
        tall = np.random.default_rng(0).integers(0, 256, (40, 10, 14), dtype=np.uint8)
        results = changed(tall, interpolate=False, translate_px=1.0)
        for face, result in zip(tall, results, strict=True):
            padded = np.pad(face, 1)
            assert any(
                (padded[top : top + 10, left : left + 14] == result).all()
                for top, left in itertools.product(range(3), repeat=2)
            )


class TestColour:
    @given(brightness=st.floats(0, 2), contrast=st.floats(0, 2), seed=st.integers(0, 2**32 - 1))
    @settings(max_examples=25)
    def test_grey_levels_stay_in_their_range(self, brightness, contrast, seed):
        results = changed(grey_faces(8), seed, brightness=brightness, contrast=contrast)
        assert results.min() >= 0
        assert results.max() <= 255

    def test_brightness_is_a_factor_around_black(self):
        faces = (grey_faces(200) // 2 + 1).astype(np.uint8)  # 1..128: nothing is cut off
        factors = changed(faces, brightness=0.4) / faces
        np.testing.assert_allclose(factors, factors[:, :1, :1].repeat(48, 1).repeat(48, 2), 1e-3)
        each = factors[:, 0, 0]
        assert 0.599 < each.min() < 0.65
        assert 1.35 < each.max() < 1.401

    def test_contrast_is_a_factor_around_the_images_mean(self):
        faces = (grey_faces(200) // 2 + 64).astype(np.uint8)
        results = changed(faces, contrast=0.4)
        means = faces.mean((1, 2))
        np.testing.assert_allclose(results.mean((1, 2)), means, atol=0.01)
        each = results.std((1, 2)) / faces.std((1, 2))
        assert 0.599 < each.min() < 0.65
        assert 1.35 < each.max() < 1.401
        rebuilt = (faces - means[:, None, None]) * each[:, None, None] + means[:, None, None]
        np.testing.assert_allclose(results, rebuilt, atol=0.05)


class TestErasing:
    def test_no_side_is_hidden_more_than_another(self):
        """By their corners instead of centres pixels of the right and the bottom were."""
        generator = torch.Generator().manual_seed(0)
        hidden = _rectangles(40_000, SIDE, SIDE, (0.1, 0.5), generator).double().mean(0)
        columns, rows = hidden.mean(0), hidden.mean(1)
        for line in (columns, rows):
            # The outermost is hidden in some 4 % of the pictures: +- 4 standard errors.
            allowed = 4 * float((line[0] / 40_000) ** 0.5) * 2**0.5
            assert abs(float(line[0] - line[-1])) < allowed
            half = SIDE // 2
            assert float(line[:half].mean() / line[half:].mean()) == pytest.approx(1, abs=0.01)

    def test_one_rectangle_of_noise_whose_area_is_within_bounds(self):
        low, high = 0.05, 0.2
        faces = np.zeros((300, SIDE, SIDE), np.uint8)
        results = changed(faces, erase_probability=1.0, erase_area=(low, high))
        areas = []
        for result in results:
            rows = np.flatnonzero((result > 0).any(1))
            columns = np.flatnonzero((result > 0).any(0))
            height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
            assert (result > 0).sum() >= height * width - 1  # noise itself may be 0
            # Sides are cut to whole pixels, one more or less.
            assert (height - 1) * (width - 1) <= high * SIDE**2
            assert (height + 1) * (width + 1) >= low * SIDE**2
            assert 0.3 * 0.8 < height / width < 1.25 / 0.3
            areas.append(height * width / SIDE**2)
        # Drawn evenly: the mean is the middle, +- 4 standard errors and the cut.
        assert abs(np.mean(areas) - (low + high) / 2) < 4 * 0.15 / np.sqrt(12 * 300) + 0.005

    def test_the_share_of_erased_images_and_nothing_else_changes(self):
        faces = grey_faces(400)
        results = changed(faces, erase_probability=0.25, erase_area=(0.02, 0.1))
        touched = (results != faces).any((1, 2))
        assert 65 < touched.sum() < 135  # binomial: 100 +- 4 standard deviations
        assert ((results != faces).mean((1, 2)) < 0.15).all()

    def test_noise_is_uniform(self):
        results = changed(
            np.zeros((200, SIDE, SIDE), np.uint8), erase_probability=1.0, erase_area=(0.2, 0.3)
        )
        noise = results[results > 0]
        assert abs(noise.mean() - 127.5) < 1
        assert abs(noise.std() - 255 / np.sqrt(12)) < 1


class TestHideDrawn:
    @pytest.mark.parametrize("name", CONDITIONS)
    @pytest.mark.parametrize(("fill", "tolerance"), [("black", 0), ("mean", 0), ("blur", 2)])
    def test_equals_what_evaluation_hides(self, name, fill, tolerance):
        faces, one = grey_faces(4), condition(name, fill)
        batch = torch.from_numpy(faces).float()
        hidden = hide_drawn(batch, [one], torch.Generator().manual_seed(0)).numpy()
        assert np.abs(hidden - hide(faces, one)).max() <= tolerance
        visible = ~hidden_mask(one, 48, 48)
        np.testing.assert_array_equal(hidden[:, visible], faces[:, visible])
        np.testing.assert_array_equal(batch.numpy(), faces)

    def test_noise_is_of_whole_grey_levels_and_of_its_own_in_each_image(self):
        batch = torch.from_numpy(np.repeat(grey_faces(1), 20, axis=0)).float()
        one = condition("left", "noise")
        hidden = hide_drawn(batch, [one], torch.Generator().manual_seed(0)).numpy()
        np.testing.assert_array_equal(hidden[:, :, 24:], batch[:, :, 24:])
        noise = hidden[:, :, :24]
        assert (noise == np.rint(noise)).all()
        assert (noise.min(), noise.max()) == (0, 255)
        assert abs(noise.mean() - 127.5) < 4 * 74 / np.sqrt(noise.size)
        assert len({image.tobytes() for image in noise}) == 20

    def test_conditions_are_drawn_evenly_and_each_image_shows_one_of_them(self):
        names = ("full", "upper", "lower", "left@mean", "diagonal@blur", "right@noise", "full")
        faces = (grey_faces(1400) // 2 + 100).astype(np.uint8)  # 100..227: no black of their own
        chosen, draws = [condition(name) for name in names], torch.Generator().manual_seed(1)
        hidden = hide_drawn(torch.from_numpy(faces).float(), chosen, draws).numpy()
        masks = {name: hidden_mask(condition(name), 48, 48) for name in names}
        counts = dict.fromkeys(names, 0)
        for face, result in zip(faces, hidden, strict=True):
            touched = result != face
            # A filling may equal a pixel by chance, so a few hidden pixels look untouched.
            [shown] = [name for name in masks if (touched != masks[name]).mean() < 0.05]
            assert not touched[~masks[shown]].any()
            counts[shown] += 1
            if "noise" not in shown:
                error = np.abs(result - hide(face[None], condition(shown))[0])
                assert error.max() <= (2 if "blur" in shown else 0)
        # 200 each +- 4 standard deviations of a binomial; `full` is there twice.
        assert 320 < counts.pop("full") < 480
        assert all(147 < count < 253 for count in counts.values()), counts

    def test_only_full_hides_nothing(self):
        batch = torch.from_numpy(grey_faces(3)).float()
        hidden = hide_drawn(batch, [condition("full"), condition("full@noise")], torch.Generator())
        assert torch.equal(hidden, batch)

    @pytest.mark.parametrize("interpolate", [True, False])
    def test_left_is_the_left_of_what_the_network_sees_flipped_or_not(self, interpolate):
        faces = (grey_faces(64) // 2 + 100).astype(np.uint8)
        draws = torch.Generator().manual_seed(2)
        options = AugmentConfig(flip=True, interpolate=interpolate)
        flipped = augment(torch.from_numpy(faces), options, draws)
        assert 10 < (flipped.numpy() != faces).any((1, 2)).sum() < 54
        hidden = hide_drawn(flipped, [condition("left")], draws).numpy()
        assert (hidden[:, :, :24] == 0).all()
        np.testing.assert_array_equal(hidden[:, :, 24:], flipped[:, :, 24:])


class TestHiddenRectangles:
    SHARE = (0.2, 0.4)

    def hidden(self, share: float, *keys: str, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
        """bool [n, 48, 48]: what changed, and the faces it changed in."""
        faces = torch.from_numpy(grey_faces(n).clip(1, 254)).float()
        options = AugmentConfig(hide_rectangle=share, hide_area=self.SHARE)
        draws = torch.Generator().manual_seed(3)
        result = hide_drawn(faces, [condition(key) for key in keys], draws, options)
        return (result != faces).numpy(), result.numpy()

    def test_one_rectangle_of_the_asked_size_and_fill_in_each_image(self):
        changed, result = self.hidden(1.0, "upper")
        assert (result[changed] == 0).all()
        rows, columns = changed.any(2), changed.any(1)
        # The hull of what changed is filled: it is one rectangle.
        assert (changed == (rows[:, :, None] & columns[:, None, :])).all()
        area = changed.mean((1, 2))
        # Whole pixels, and sides cut where a long rectangle doesn't fit.
        assert area.max() < self.SHARE[1] + 0.05
        assert np.quantile(area, 0.1) > self.SHARE[0] - 0.05
        assert area.std() > 0.03
        halves = hidden_mask(condition("upper"), 48, 48)
        assert (changed & ~halves).any((1, 2)).mean() > 0.9

    def test_a_share_of_the_images(self):
        changed, _ = self.hidden(0.25, "left", n=1000)
        halves = (changed == hidden_mask(condition("left"), 48, 48)).all((1, 2))
        assert halves.mean() == pytest.approx(0.75, abs=0.05)

    def test_fills_are_those_of_the_conditions(self):
        _, result = self.hidden(1.0, "full", "upper@mean")
        black = (result == 0).any((1, 2))
        assert black.mean() == pytest.approx(0.5, abs=0.1)

    def test_zero_draws_nothing_more(self):
        faces = torch.from_numpy(grey_faces(8)).float()
        conditions = [condition("upper"), condition("left@noise")]
        first, second = (torch.Generator().manual_seed(1) for _ in range(2))
        plain = hide_drawn(faces, conditions, first)
        assert torch.equal(plain, hide_drawn(faces, conditions, second, AugmentConfig()))


class TestSmallImages:
    @pytest.mark.parametrize("side", [32, 40])
    @pytest.mark.parametrize("options", [{}, {"scale": 1e-6}], ids=["resized", "moved"])
    def test_smaller_pictures_equal_opencvs(self, side, options):
        pixels = smooth_faces(4)
        draws = torch.Generator().manual_seed(0)
        config = AugmentConfig(flip=False, border="border", **options)
        result = augment(torch.from_numpy(pixels), config, draws, side).numpy()
        expected = np.stack([cv2.resize(face.astype(np.float32), (side, side)) for face in pixels])
        np.testing.assert_allclose(result, expected, atol=0.05)

    def test_whole_pixel_crops_are_resized_too(self):
        draws = torch.Generator().manual_seed(0)
        config = AugmentConfig(interpolate=False, translate_px=2.0)
        assert augment(torch.from_numpy(grey_faces(3)), config, draws, 32).shape == (3, 32, 32)


class TestMixup:
    @given(seed=st.integers(0, 2**32 - 1), weight=st.floats(0, 1), n=st.integers(2, 12))
    @settings(max_examples=40)
    def test_each_result_is_a_convex_combination_of_two_of_the_batch(self, seed, weight, n):
        """The targets are one-hot by image, so they say which two were mixed, and how much."""
        inputs = torch.from_numpy(grey_faces(n, seed, side=6)).float()
        mixed, weights = mixup(inputs, torch.eye(n), weight, torch.Generator().manual_seed(seed))
        assert (mixed.shape, weights.shape) == (inputs.shape, (n, n))
        # An image that is paired with itself keeps all of its weight.
        own = weights.diagonal()
        assert (((own - weight).abs() < 1e-6) | ((own - 1).abs() < 1e-6)).all()
        assert ((weights > 0).sum(1) <= 2).all()
        np.testing.assert_allclose(weights.sum(1), 1, atol=1e-6)
        np.testing.assert_allclose(weights.sum(0), 1, atol=1e-5)  # each image is used as much
        combined = torch.einsum("ij,jhw->ihw", weights, inputs)
        np.testing.assert_allclose(mixed, combined, atol=1e-3)

    def test_the_generator_alone_decides(self):
        inputs, targets = torch.rand(8, 4), torch.eye(8)
        one = mixup(inputs, targets, 0.4, torch.Generator().manual_seed(3))
        other = mixup(inputs, targets, 0.4, torch.Generator().manual_seed(3))
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
        different = mixup(inputs, targets, 0.4, torch.Generator().manual_seed(4))
        assert not torch.equal(one[0], different[0])


class TestWorn:
    FACES = torch.from_numpy(grey_faces(400)).float()
    WARDROBE = Wardrobe(*(torch.from_numpy(one) for one in layers(64, 0)))

    def worn(self, share: float, *keys: str) -> torch.Tensor:
        options = AugmentConfig(hide_worn=share)
        draws = torch.Generator().manual_seed(8)
        conditions = [condition(key) for key in keys]
        return hide_drawn(self.FACES, conditions, draws, options, self.WARDROBE)

    def test_each_face_wears_one_of_the_wardrobe_and_shows_the_rest(self):
        result = self.worn(1.0, "upper").numpy()
        cover, tone = self.WARDROBE.cover.numpy() / 255, self.WARDROBE.tone.numpy().astype(float)
        used = set()
        for face, found in zip(self.FACES.numpy()[:60], result, strict=False):
            errors = np.abs(face + cover * (tone - face) - found).max((1, 2))
            assert errors.min() < 1e-3
            used.add(int(errors.argmin()))
        assert len(used) > 25

    def test_a_share_of_the_images_wears_something_the_rest_is_hidden_as_before(self):
        result = self.worn(0.3, "left")
        halves = (result[:, :, :24] == 0).all(2).all(1) & (
            result[:, :, 24:] == self.FACES[:, :, 24:]
        ).all(2).all(1)
        assert float(halves.float().mean()) == pytest.approx(0.7, abs=0.07)

    def test_smaller_images_wear_smaller_things(self):
        small = self.WARDROBE.lay(torch.full((9, 32, 32), 90.0), torch.Generator().manual_seed(0))
        assert small.shape == (9, 32, 32)
        assert (small != 90).any(2).any(1).all()
