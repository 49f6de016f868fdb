"""A long video in stretches: its rows are those of one process, or it is watched whole."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from hemiface.vision.finding.alignment import FRAME
from hemiface.vision.finding.detector import FoundFace
from hemiface.vision.predictor import Predictor
from hemiface.vision.run import RunOptions, run
from hemiface.vision.sources import find_sources
from hemiface.vision.stretches import fit, numbered, plan, watch
from hemiface.vision.video.frames import read_frames, shown_at
from hemiface.vision.video.watching import Identities

av = pytest.importorskip("av", reason="videos need hemiface[video]")

FRAMES = 90
SIZE = 160, 96


class Blobs:
    """A detector of bright squares, which follows those that move by less than 9 px."""

    def detect(self, photo):
        bright = (photo.min(axis=2) > 128).astype(np.uint8)
        _, _, stats, centres = cv2.connectedComponentsWithStats(bright)
        found = []
        for (x, y, width, height, area), centre in zip(stats[1:], centres[1:], strict=True):
            if area > 9:
                box = np.array([[x, y], [x + width, y + height]], dtype=np.float64) + centre / 1e3
                found.append(FoundFace(box, 0.9, None, None, FRAME + box[0]))
        return found

    def follow(self, photo, known):
        return [
            one for one in self.detect(photo)
            if any(np.abs(one.box - other.box).max() < 9 for other in known)
        ]  # fmt: skip


def clip(path: Path, *, key_every: int, seed: int = 0, frames: int = FRAMES) -> Path:
    """Squares that walk, jump, go and come, with B-frames between key frames."""
    draw = np.random.default_rng(seed)
    places = draw.uniform(10, 60, (4, 2))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.gop_size = key_every
        stream.options = {"bf": "2", "crf": "12", "sc_threshold": "0"}
        for _ in range(frames):
            places += draw.normal(0, 1.5, places.shape)
            jumps = draw.random(4) < 0.04
            places[jumps] = draw.uniform(5, 80, (int(jumps.sum()), 2))
            pixels = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
            for x, y in np.clip(places, 2, 84).astype(int)[: draw.integers(2, 5)]:
                pixels[y : y + 10, x : x + 10] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def in_stretches(path: Path, predictor: Predictor, options: RunOptions):
    """What is known of each stretch, and the rows out of all of them, each in a fresh process."""
    (source,) = find_sources([str(path)])
    seen = [(one, watch(source, one, predictor, options)) for one in plan(source, options)]
    known = [{**part.known, "stretch": [one.start, one.stop]} for one, part in seen]
    parts = ((one, iter(part.rows)) for one, (_, part) in zip(known, seen, strict=True))
    return known, list(numbered(parts, Identities(predictor, options.smooth_s)))


@pytest.mark.parametrize(("most_frames", "hide"), [(None, None), (50, None), (50, "lower@noise")])
@pytest.mark.parametrize(("key_every", "cut_every", "seed"), [(12, 25, 0), (250, 30, 1), (7, 7, 2)])
def test_the_rows_are_those_of_one_process(
    model, tmp_path, key_every, cut_every, seed, most_frames, hide
):
    path = clip(tmp_path / "a.mp4", key_every=key_every, seed=seed)
    predictor = Predictor(model, detector=Blobs(), hide=hide)
    options = RunOptions(cut_every=cut_every, smooth_s=0.3, most_frames=most_frames)
    with run(find_sources([str(path)]), predictor, tmp_path / "out", options) as outcome:
        rows, (told,) = list(outcome.rows()), outcome.sources
    known, joined = in_stretches(path, predictor, options)
    assert fit(known)
    assert len(known) > 1
    assert joined == rows
    assert list(joined[0]) == list(rows[0])
    assert len({row["face"] for row in rows}) > 4  # They come and go.
    assert (sum(one["frames"] for one in known), len(rows)) == (told["frames"], told["faces"])


def test_a_cut_changes_what_is_followed_and_nothing_else_would_do(model, tmp_path):
    """Without the search at the cut a face that came since the last one would be missed there."""
    path = clip(tmp_path / "a.mp4", key_every=12)
    predictor = Predictor(model, detector=Blobs())
    found = {}
    for every in (None, 25):
        options = RunOptions(cut_every=every)
        with run(find_sources([str(path)]), predictor, tmp_path / str(every), options) as outcome:
            found[every] = list(outcome.rows())
    assert found[None] != found[25]


def test_what_does_not_fit_is_seen(model, tmp_path):
    predictor = Predictor(model, detector=Blobs())
    options = RunOptions(cut_every=20)
    known, _ = in_stretches(clip(tmp_path / "a.mp4", key_every=12), predictor, options)
    other, _ = in_stretches(clip(tmp_path / "b.mp4", key_every=12, seed=3), predictor, options)
    assert fit(known)
    assert not fit(known[1:])
    assert not fit(known[:-1])
    assert not fit([*known[:2], *known[3:]])
    assert not fit([known[0], other[1], *known[2:]])
    assert not fit([*known[:-1], {**known[-1], "error": "damaged"}])
    assert not fit([])


def test_what_cannot_be_cut_is_left_whole(tmp_path):
    options = RunOptions(cut_every=20)
    short = clip(tmp_path / "short.mp4", key_every=12, frames=19)
    (source,) = find_sources([str(short)])
    assert plan(source, options) == []
    short.write_bytes(short.read_bytes()[:300])
    assert shown_at(short) == []
    assert plan(source, options) == []
    assert plan(source, RunOptions()) == []


def test_the_times_of_frames_are_those_that_are_decoded(tmp_path):
    path = clip(tmp_path / "a.mp4", key_every=12)
    with av.open(str(path)) as container:
        decoded = [one.pts for one in container.decode(video=0)]
    assert shown_at(path) == decoded
    assert len(list(read_frames(path))) == FRAMES
