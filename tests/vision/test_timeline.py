"""Timelines: each frame of a short video, means of a long one, drawn by the command."""

import os
from operator import itemgetter

import numpy as np
import pytest
from test_faces import rows
from test_watching import video_of

from builders import hemiface
from hemiface.tables import EMOTIONS, PROBABILITY_COLUMNS
from hemiface.vision.faces import SMOOTHED_COLUMNS
from hemiface.vision.video import timeline


def shown_at(times):
    """Rows of one face in the frames that are the keys of times in seconds."""
    every = list(rows(max(times) + 1))
    return [{**every[frame], "timestamp_s": time_s} for frame, time_s in times.items()]


class TestTimeline:
    def test_each_frame_is_a_bin_of_a_short_video(self):
        found = timeline.read(lambda: rows(100))
        (face,) = found.faces
        np.testing.assert_array_equal(face.probabilities[:, 3], np.arange(100) % 2)
        np.testing.assert_array_equal(face.abstained, np.arange(100) < 50)
        assert (face.visible == 0.75).all()

    def test_a_long_one_is_averaged_and_the_rarest_faces_are_left_out(self):
        def long():
            rarer = (one for n in range(1, 9) for one in rows(100 - n, (n,)))
            return sorted([*rows(6000), *rarer], key=itemgetter("frame"))

        found = timeline.read(long)
        assert [face.face for face in found.faces] == [0, 1, 2, 3, 4, 5]
        assert found.left_out == 3
        assert found.faces[0].probabilities.shape == (1000, 7)
        np.testing.assert_allclose(found.faces[0].probabilities[:, 3], 0.5)
        assert np.isnan(found.faces[1].visible[50:]).all()

    def test_each_frame_lasts_until_the_next_one_however_uneven_they_come(self):
        times = [0.0, 0.04, 0.08, 2.0, 2.48]
        found = timeline.read(lambda: shown_at(dict(enumerate(times))))
        middles = (found.edges_s[:-1] + found.edges_s[1:]) / 2
        shown = found.faces[0].probabilities[:, 3]
        np.testing.assert_array_equal(shown, (np.searchsorted(times, middles) - 1) % 2)
        assert found.edges_s[-1] == pytest.approx(2.96)

    def test_frames_without_a_face_are_a_gap_in_time(self):
        frames = [0, 1, 2, 3, 4, 250]
        found = timeline.read(lambda: shown_at({frame: frame / 25 for frame in frames}))
        there = ~np.isnan(found.faces[0].visible)
        np.testing.assert_array_equal(np.flatnonzero(there), frames)
        np.testing.assert_allclose(found.edges_s, np.arange(252) / 25)

    @pytest.mark.parametrize("step_s", [1 / 60, 1.0])
    def test_of_every_second_frame_every_second_bin_is_filled(self, step_s):
        found = timeline.read(lambda: shown_at({n: n * step_s for n in range(0, 60, 2)}))
        there = ~np.isnan(found.faces[0].visible)
        np.testing.assert_array_equal(np.flatnonzero(there), np.arange(0, 60, 2))
        assert found.edges_s[-1] == pytest.approx(59 * step_s)

    def test_it_is_drawn_by_the_command(self, model, tmp_path, monkeypatch, capsys):
        pytest.importorskip("av", reason="videos need hemiface[video]")
        video = video_of(tmp_path / "in.mp4", 12)
        out = tmp_path / "out"
        options = ["predict", video, "--no-detect", "--model", model, "--timeline"]
        assert hemiface(monkeypatch, *options) == 2
        assert hemiface(monkeypatch, *options, "--out", out) == 0
        assert "timelines/in.mp4.png" in capsys.readouterr().out
        svg = (out / "timelines/in.mp4.svg").read_text()
        assert "found in 12 frames" in svg
        for name in PROBABILITY_COLUMNS:
            assert name.removeprefix("p_") in svg

    @pytest.mark.parametrize(
        ("name", "shown"),
        [("$_$.mp4", "$_$"), ("\x1b[31m.mp4", "x1b[31m"), (os.fsdecode(b"\xff.mp4"), "udcff")],
    )
    def test_any_name_of_a_video_is_a_title(self, tmp_path, name, shown):
        svg, _ = timeline.write(lambda: rows(3), tmp_path, "name", name)
        assert shown in svg.read_text(encoding="utf-8")

    def test_smoothed_rows_are_drawn_with_their_own_labels(self):
        def smoothed():
            for index, row in enumerate(rows(4)):
                shares = dict.fromkeys(SMOOTHED_COLUMNS, 1 / len(EMOTIONS))
                label = "happy" if index < 3 else None
                yield {**row, "smoothing": "log-mean-0.5s", "smoothed_label": label, **shares}

        (face,) = timeline.read(smoothed).faces
        np.testing.assert_allclose(face.smoothed, 1 / len(EMOTIONS))
        np.testing.assert_array_equal(face.probabilities[:, 3], [0, 1, 0, 1])
        np.testing.assert_array_equal(face.abstained, [0, 0, 0, 1])
        assert timeline.read(lambda: rows(4)).faces[0].smoothed is None

    def test_each_lane_has_the_picture_of_its_face(self):
        portraits = {face: np.full((8, 8, 3), 30 * face, dtype=np.uint8) for face in (1, 2)}
        found = timeline.read(lambda: rows(5, (0, 1, 2)))
        figure = timeline.draw(found, "v.mp4", portraits)
        lanes = figure.axes[::2]
        shown = [[one.images[0].get_array()[0, 0, 0] for one in lane.child_axes] for lane in lanes]
        assert shown == [[], [30], [60]]
