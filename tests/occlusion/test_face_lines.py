"""A face's own halves: lines out of landmarks, masks, hiding, and how far they lie off."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import grey_faces, mesh, tiny_images
from hemiface.data.phantom import make as phantom
from hemiface.errors import UsageError
from hemiface.occlusion.conditions import (
    CONDITIONS,
    FILLS,
    QUADRANTS,
    condition,
    hidden_mask,
    hide,
    image_seeds,
    mirror,
)
from hemiface.occlusion.face_lines import (
    LINE_COLUMNS,
    MIDLINE_POINTS,
    FaceLines,
    centred,
    hidden_masks,
    hide_by_lines,
    line_table,
    lines_of,
    measure_lines,
    quadrant_masks,
    summarise_lines,
)

SMALL = settings(max_examples=25)
poses = st.fixed_dictionaries(
    {
        "x": st.floats(10, 38),
        "y": st.floats(10, 38),
        "angle_deg": st.floats(-180, 180),
        "scale": st.floats(0.3, 2),
        "yaw": st.floats(-0.8, 0.8),
    }
)


def shape_of(lines: FaceLines) -> tuple[int, int]:
    return lines.height_px, lines.width_px


class TestLines:
    @pytest.mark.parametrize(("height", "width"), [(48, 48), (31, 20), (14, 33)])
    def test_a_symmetric_face_in_the_middle_has_the_pictures_halves(self, height, width):
        lines = lines_of(mesh(width / 2, height / 2)[None], height, width)
        assert lines.found.tolist() == [True]
        for name in CONDITIONS:
            one = condition(name)
            np.testing.assert_array_equal(
                hidden_masks(one, lines)[0], hidden_mask(one, height, width)
            )

    def test_the_nose_line_passes_half_way_between_root_and_tip(self):
        points = mesh(24, 24)
        points[168, 1], points[1, 1] = 20.0, 33.0
        points[13] = points[3] = 1e6  # neither is asked
        lines = lines_of(points[None], 48, 48)
        assert lines.crossing[0].tolist() == [24.0, 26.5]
        assert lines.down[0].tolist() == [0.0, 1.0]

    def test_the_midline_is_the_line_of_least_squares(self):
        """Against a search over angles: no other line through the centre is closer."""
        random = np.random.default_rng(3)
        points = mesh(20, 25, angle_deg=17) + random.normal(0, 1.5, (468, 2))
        lines = lines_of(points[None], 48, 48)
        midline = points[list(MIDLINE_POINTS)]
        away = midline - midline.mean(axis=0)
        angles = np.linspace(0, np.pi, 20001)
        normals = np.stack([-np.sin(angles), np.cos(angles)])
        best = angles[((away @ normals) ** 2).sum(axis=0).argmin()]
        off = lines.down[0] @ [-np.sin(best), np.cos(best)]
        assert abs(off) < 2e-4

    @given(pose=poses, turn=st.floats(-180, 180))
    @SMALL
    def test_a_turned_face_turns_its_lines(self, pose, turn):
        points = mesh(**pose)
        angle = np.radians(turn)
        rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        before, after = (lines_of(one[None], 48, 48) for one in (points, points @ rotation.T))
        np.testing.assert_allclose(after.down[0], rotation @ before.down[0], atol=1e-7)
        np.testing.assert_allclose(after.crossing[0], rotation @ before.crossing[0], atol=1e-5)

    @given(pose=poses, size=st.floats(0.1, 20), dx=st.floats(-50, 50), dy=st.floats(-50, 50))
    @SMALL
    def test_size_and_place_move_the_crossing_only(self, pose, size, dx, dy):
        points = mesh(**pose)
        before, after = (lines_of(one[None], 48, 48) for one in (points, points * size + [dx, dy]))
        np.testing.assert_allclose(after.down, before.down, atol=1e-7)
        np.testing.assert_allclose(after.crossing, before.crossing * size + [dx, dy], atol=1e-4)

    def test_quarter_turns_turn_the_masks(self):
        points = mesh(19.3, 27.1, angle_deg=11, yaw=0.4)
        masks = quadrant_masks(lines_of(points[None], 48, 48))[0]
        # np.rot90 turns counterclockwise: (x, y) goes to (y, 48 - x).
        turned = np.stack([points[:, 1], 48 - points[:, 0]], axis=1)
        found = quadrant_masks(lines_of(turned[None], 48, 48))[0]
        np.testing.assert_array_equal(found, np.rot90(masks, axes=(1, 2)))

    @given(pose=poses)
    @SMALL
    def test_mirroring_swaps_left_and_right(self, pose):
        points = mesh(**pose)
        lines = lines_of(points[None], 48, 48)
        flipped = lines_of((points * [-1, 1] + [48, 0])[None], 48, 48)
        np.testing.assert_allclose(flipped.down, lines.mirrored().down, atol=1e-7)
        np.testing.assert_allclose(flipped.crossing, lines.mirrored().crossing, atol=1e-6)
        # Only a pixel whose centre lies on a line may belong to either side.
        y, x = np.mgrid[:48, :48] + 0.5
        away = np.stack([x, y], axis=-1) - lines.crossing[0]
        across = np.array([lines.down[0, 1], -lines.down[0, 0]])
        clear = (np.abs(away @ across) > 1e-6) & (np.abs(away @ lines.down[0]) > 1e-6)
        for name in ("upper", "left", "right", "upper-left", "diagonal", "only-lower-right"):
            one = condition(name)
            here = hidden_masks(one, lines)[0][clear]
            there = hidden_masks(mirror(one), lines.mirrored())[0][:, ::-1][clear]
            np.testing.assert_array_equal(here, there)

    @given(pose=poses, height=st.integers(1, 60), width=st.integers(1, 60))
    @SMALL
    def test_the_quadrants_share_the_picture_out(self, pose, height, width):
        masks = quadrant_masks(lines_of(mesh(**pose)[None], height, width))
        assert masks.shape == (1, 4, height, width)
        assert (masks.sum(axis=1) == 1).all()

    def test_halves_are_the_faces_own_when_it_stands_on_its_head(self):
        lines = lines_of(mesh(24, 24, angle_deg=180)[None], 48, 48)
        upper, left = (hidden_masks(condition(name), lines)[0] for name in ("upper", "left"))
        assert upper[25:].all()
        assert not upper[:23].any()
        assert left[:, 25:].all()
        assert not left[:, :23].any()


class TestFallback:
    @pytest.mark.parametrize("index", [10, 152, 0, 1, 168])
    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_a_face_with_a_point_missing_has_the_pictures_halves(self, index, value):
        points = np.stack([mesh(20, 20, angle_deg=30)] * 2)
        points[0, index, 1] = value
        lines = lines_of(points, 48, 40)
        assert lines.found.tolist() == [False, True]
        assert lines.words.tolist() == ["fallback", "face"]
        assert lines.crossing[0].tolist() == [20.0, 24.0]
        assert lines.down[0].tolist() == [0.0, 1.0]

    def test_so_has_one_whose_points_fall_together_or_have_no_up(self):
        together, level = np.full((468, 2), 7.0), mesh(24, 24)
        level[10] = level[152] = 24.0
        assert lines_of(np.stack([together, level]), 48, 48).found.tolist() == [False, False]

    def test_no_face_at_all(self):
        lines = lines_of(np.zeros((0, 468, 2)), 48, 48)
        assert len(lines) == 0
        assert quadrant_masks(lines).shape == (0, 4, 48, 48)

    def test_other_shapes_are_refused(self):
        with pytest.raises(UsageError, match=r"must have shape \[n, 468, 2\], got \[468, 2\]"):
            lines_of(mesh(24, 24), 48, 48)


class TestHiding:
    LANDMARKS = np.stack(
        [
            mesh(24, 24),
            mesh(18.2, 27.7, angle_deg=23, yaw=0.5),
            np.full((468, 2), np.nan),
            mesh(31, 20, angle_deg=-40),
            mesh(-300, 24),  # a line that passes outside the picture
        ]
    )
    IMAGES = np.concatenate([grey_faces(3, 1), phantom.render([3, 5], seed=4)])
    SEEDS = image_seeds("abcde")

    @pytest.mark.parametrize("fill", FILLS)
    @pytest.mark.parametrize("name", [*CONDITIONS, "random-50"])
    def test_exactly_the_named_pixels_change_and_are_what_the_fill_says(self, name, fill):
        one = condition(name, fill)
        lines = lines_of(self.LANDMARKS, 48, 48)
        found = hide_by_lines(self.IMAGES, one, lines, self.SEEDS)
        plain = hide(self.IMAGES, one, self.SEEDS)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found[[0, 2]], plain[[0, 2]])  # noise included
        if name in ("full", "none", "random-50"):
            np.testing.assert_array_equal(found, plain)
            return
        masks = hidden_masks(one, lines)
        everything = hide(self.IMAGES, condition("none", fill), self.SEEDS)
        for result, image, mask, all_hidden in zip(
            found, self.IMAGES, masks, everything, strict=True
        ):
            np.testing.assert_array_equal(result[~mask], image[~mask])
            if fill in ("black", "blur"):
                np.testing.assert_array_equal(result[mask], all_hidden[mask])
            elif fill == "mean":
                grey = round(image[~mask].mean()) if (~mask).any() else 127
                assert (result[mask] == grey).all()
            elif mask.sum() > 500:
                assert abs(result[mask].mean() - 127.5) < 15
                assert len(np.unique(result[mask])) > 150

    def test_colour_and_other_sizes(self):
        colour = np.random.default_rng(0).integers(1, 256, (2, 30, 50, 3), dtype=np.uint8)
        lines = lines_of(np.stack([mesh(25, 15), mesh(10, 9, angle_deg=30)]), 30, 50)
        for fill in FILLS:
            one = condition("left", fill)
            found = hide_by_lines(colour, one, lines, [1, 2])
            np.testing.assert_array_equal(found[0], hide(colour, one, [1, 2])[0])
            mask = hidden_masks(one, lines)[1]
            np.testing.assert_array_equal(found[1][~mask], colour[1][~mask])
            assert (found[1][mask] != colour[1][mask]).any()

    def test_many_faces_are_hidden_like_few(self):
        random = np.random.default_rng(5)
        n = 1100
        landmarks = np.stack([mesh(*random.uniform(4, 8, 2)) for _ in range(n)])
        images = random.integers(0, 256, (n, 12, 12), dtype=np.uint8)
        lines, one, seeds = lines_of(landmarks, 12, 12), condition("left@noise"), np.arange(n)
        found = hide_by_lines(images, one, lines, seeds)
        for part in (slice(0, 1), slice(1023, 1026), slice(1099, 1100)):
            expected = hide_by_lines(images[part], one, lines.subset(part), seeds[part])
            np.testing.assert_array_equal(found[part], expected)
        assert len(line_table(lines)) == n

    def test_the_input_is_left_alone_and_lines_of_other_pictures_are_refused(self):
        lines = lines_of(self.LANDMARKS, 48, 48)
        before = self.IMAGES.copy()
        hide_by_lines(self.IMAGES, condition("upper"), lines)
        np.testing.assert_array_equal(self.IMAGES, before)
        with pytest.raises(UsageError, match=r"The lines are of 5 pictures of 48 x 48, not of \[4"):
            hide_by_lines(self.IMAGES[:4], condition("upper"), lines)
        with pytest.raises(UsageError, match="needs one seed per image"):
            hide_by_lines(self.IMAGES, condition("upper@noise"), lines)
        with pytest.raises(UsageError, match="random-50 hides tiles"):
            hidden_masks(condition("random-50"), lines)


class TestCentred:
    def lines(self, x: float, y: float, angle_deg: float) -> FaceLines:
        angle = np.radians(angle_deg)
        down = np.array([[-np.sin(angle), np.cos(angle)]])
        return FaceLines(np.array([[x, y]]), down, np.array([True]), 48, 48)

    @SMALL
    @given(st.floats(16, 32), st.floats(16, 32), st.floats(-180, 180))
    def test_hiding_a_face_and_hiding_the_picture_become_one(self, x, y, angle):
        # The quadrants along the face's lines, painted, lie in the picture's quadrants afterwards.
        lines = self.lines(x, y, angle)
        masks = quadrant_masks(lines)[0]
        painted = (masks * np.array([40, 100, 160, 220])[:, None, None]).sum(axis=0)
        found = centred(painted[None].astype(np.uint8), lines)[0]
        for index, name in enumerate(QUADRANTS):
            hidden = hidden_mask(condition(name), 48, 48)
            # Near the lines pixels mix, far out the repeated edge comes in: look between.
            rows, columns = np.mgrid[:48, :48] + 0.5 - 24
            near = (np.abs(rows) > 2) & (np.abs(columns) > 2) & (np.hypot(rows, columns) < 15)
            assert (found[hidden & near] == (40, 100, 160, 220)[index]).all()

    def test_a_straight_face_in_the_middle_stays_as_it_is(self):
        faces = grey_faces(3)
        lines = lines_of(np.stack([mesh(24, 24)] * 3), 48, 48)
        lines = FaceLines(np.full((3, 2), 24.0), lines.down, lines.found, 48, 48)
        np.testing.assert_array_equal(centred(faces, lines), faces)

    def test_whole_pixels_are_moved_without_a_change(self):
        faces = grey_faces(1)
        found = centred(faces, self.lines(27, 21, 0))
        np.testing.assert_array_equal(found[0, 3:, :-3], faces[0, :-3, 3:])
        np.testing.assert_array_equal(found[0, 3:, -3:], np.repeat(faces[0, :-3, -1:], 3, axis=1))

    def test_a_quarter_turn_is_one(self):
        faces = grey_faces(1)
        # The chin lies where the picture's left is: the face is tilted clockwise by 90 degrees.
        found = centred(faces, self.lines(24, 24, 90))
        np.testing.assert_array_equal(found[0], np.rot90(faces[0], 1))

    def test_pictures_without_lines_and_other_pictures(self):
        faces = grey_faces(2)
        none = lines_of(np.full((2, 468, 2), np.nan), 48, 48)
        np.testing.assert_array_equal(centred(faces, none), faces)
        with pytest.raises(UsageError, match="The lines are of 2 pictures of 48 x 48"):
            centred(faces[:1], none)


class TestTable:
    def test_offsets_tilt_and_shares_by_hand(self):
        landmarks = np.stack(
            [
                mesh(24, 24),
                mesh(30, 24),  # 6 px right
                mesh(24, 18),  # 6 px up
                mesh(24, 24, angle_deg=30),
                np.full((468, 2), np.nan),
            ]
        )
        table = line_table(lines_of(landmarks, 48, 48))
        assert tuple(table.columns) == LINE_COLUMNS
        assert table["found"].tolist() == [True, True, True, True, False]
        expected = pd.DataFrame(
            {
                "across_px": [0, 6, 0, 0, np.nan],
                "down_px": [0, 0, -6, 0, np.nan],
                "angle_deg": [0, 0, 0, 30, np.nan],
                "upper": [0.5, 0.5, 0.375, 0.5, np.nan],
                "left": [0.5, 0.625, 0.5, 0.5, np.nan],
            }
        )
        pd.testing.assert_frame_equal(table[list(expected)], expected, atol=1e-9, check_dtype=False)
        assert table["moved_left"].tolist()[:3] == [0, 0.125, 0]
        assert table["moved_upper"].tolist()[:3] == [0, 0, 0.125]
        # Two wedges of 30 degrees whose tips meet in the middle: 24 * 24 tan 30 of 48 * 48 pixels.
        assert table["moved_upper"][3] == pytest.approx(np.tan(np.pi / 6) / 4, abs=0.01)
        assert table.loc[4, list(LINE_COLUMNS[1:])].isna().all()

    def test_the_summary_counts_and_averages_by_split(self):
        landmarks = np.stack([mesh(22, 24), mesh(26, 24), mesh(27, 24), np.full((468, 2), np.nan)])
        table = line_table(lines_of(landmarks, 48, 48)).assign(split=["test"] * 2 + ["train"] * 2)
        found = summarise_lines(table).set_index(["split", "quantity"])
        assert found.loc[("test", "across_px"), ["n", "mean", "sd"]].tolist() == pytest.approx(
            [2, 0, np.sqrt(8)]
        )
        assert found.loc[("train", "found"), ["n", "mean"]].tolist() == [2, 0.5]
        assert found.loc[("train", "across_px"), "median"] == pytest.approx(3)
        assert np.isnan(found.loc[("train", "across_px"), "sd"])

    def test_measuring_a_data_set_writes_both_tables(self, tmp_path):
        images = tiny_images()
        asked = []

        def landmarks(pixels):
            asked.append(pixels)
            return np.stack([mesh(24, 24)] * len(pixels))

        summary = measure_lines(images, ["validation", "test"], landmarks, tmp_path)
        np.testing.assert_array_equal(np.concatenate(asked), images.pixels[16:])
        written = pd.read_csv(tmp_path / "lines.csv")
        assert written["image"].tolist() == images.table["image"][16:].tolist()
        assert set(written["split"]) == set(summary["split"]) == {"validation", "test"}
        assert len(pd.read_csv(tmp_path / "line_summary.csv")) == 2 * len(LINE_COLUMNS)

    def test_words_of_quadrants_are_those_of_the_masks(self):
        assert QUADRANTS == ("upper-left", "upper-right", "lower-left", "lower-right")
        masks = quadrant_masks(lines_of(mesh(24, 24)[None], 48, 48))[0]
        corners = [(0, 0), (0, 47), (47, 0), (47, 47)]
        assert all(masks[index][corner] for index, corner in enumerate(corners))
