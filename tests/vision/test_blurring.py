"""Blurred videos: a face stays hidden in frames in which detection misses it, and no longer."""

import cv2
import numpy as np
import pandas as pd
import pytest

from hemiface.vision.faces import Faces
from hemiface.vision.finding.alignment import FRAME
from hemiface.vision.finding.detector import FoundFace
from hemiface.vision.predictor import Predictor
from hemiface.vision.run import RunOptions, run
from hemiface.vision.seen import Frame
from hemiface.vision.sources import find_sources
from hemiface.vision.video.blurring import AHEAD_FRAMES, HOLD_FRAMES, Covers, frames_ahead

SIDE, WIDTH, HEIGHT = 64, 320, 160
FACE = np.repeat(np.kron(np.indices((16, 16)).sum(axis=0) % 2, np.ones((4, 4)))[..., None], 3, 2)
"""A checkerboard of 4 px: blurred it is grey."""


class Checkerboards:
    """A detector of bright checkerboards on grey, which misses them in some frames."""

    def __init__(self, missed=()) -> None:
        self.missed = set(missed)
        self.frame = -1

    def detect(self, photo):
        self.frame += 1
        if self.frame in self.missed:
            return []
        _, _, boxes, _ = cv2.connectedComponentsWithStats(
            cv2.morphologyEx(np.uint8(photo[..., 0] > 150), cv2.MORPH_CLOSE, np.ones((9, 9)))
        )
        return [
            FoundFace(
                np.array([[x, y], [x + w, y + h]], float), 0.9, None, None,
                FRAME * SIDE / 48 + np.array([x, y], float),
            )
            for x, y, w, h, area in boxes[1:] if area > SIDE * SIDE / 2
        ]  # fmt: skip


def clip_of(path, places) -> None:
    """Write a clip with a checkerboard at each frame's place, none where it is None."""
    pytest.importorskip("av", reason="videos need hemiface[video]")
    from hemiface.vision.video.frames import open_writer

    with open_writer(path) as writer:
        for index, place in enumerate(places):
            canvas = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
            if place is not None:
                canvas[48 : 48 + SIDE, place : place + SIDE] = 40 + 180 * FACE
            writer.add(canvas, index / 25)


def contrasts(path, places) -> list[float]:
    """Return how much of the checkerboard is left at each frame's place."""
    from hemiface.vision.video.frames import read_frames

    result = []
    for frame, place in zip(read_frames(path), places, strict=True):
        at = place or 0
        # Whatever is drawn at the box's border isn't of the face.
        inner = frame.pixels[60 : 36 + SIDE, at + 12 : at + SIDE - 12]
        result.append(float(inner.std()))
    return result


def blurred(tmp_path, model, places, missed, search_every: int = 10):
    """Return what is left of the face in each frame, and the frames of the table's rows."""
    clip_of(tmp_path / "in.mp4", places)
    predictor = Predictor(model, detector=Checkerboards(missed), estimate=False)
    options = RunOptions(formats=("csv",), pictures=True, blur=True, search_every=search_every)
    with run(find_sources([str(tmp_path / "in.mp4")]), predictor, tmp_path / "out", options):
        pass
    rows = pd.read_csv(tmp_path / "out/faces.csv")
    return contrasts(tmp_path / "out/pictures/in.mp4", places), rows


PLAIN = 50
"""Of the unblurred checkerboard more contrast is left, of a blurred one less than a third."""


def test_a_face_stays_blurred_where_detection_misses_it(tmp_path, model):
    moving = [20 + 2 * n for n in range(80)]
    missed = {*range(9), 20, 31, 32, *range(45, 57)}
    left, rows = blurred(tmp_path, model, moving, missed)
    assert max(left) < PLAIN / 3
    assert rows["frame"].tolist() == [n for n in range(80) if n not in missed]
    clip_of(tmp_path / "plain.mp4", moving)
    assert min(contrasts(tmp_path / "plain.mp4", moving)) > PLAIN


def test_no_longer_than_is_told(tmp_path, model):
    count = AHEAD_FRAMES + 5 + HOLD_FRAMES + 6
    first, last = AHEAD_FRAMES + 3, AHEAD_FRAMES + 7
    seen = range(first, last + 1)
    left, rows = blurred(tmp_path, model, [90] * count, set(range(count)) - set(seen))
    hidden = [n for n, one in enumerate(left) if one < PLAIN / 3]
    assert hidden == list(range(first - AHEAD_FRAMES, last + HOLD_FRAMES + 1))
    assert all(one > PLAIN for n, one in enumerate(left) if n not in hidden)
    assert rows["frame"].tolist() == list(seen)


def test_a_gap_is_closed_up_to_the_frames_held_and_held_back_together(tmp_path, model):
    for more in (0, 1):
        gap = HOLD_FRAMES + AHEAD_FRAMES + more
        folder = tmp_path / str(more)
        folder.mkdir()
        left, _ = blurred(folder, model, [90] * (gap + 4), range(2, gap + 2))
        assert sum(one > PLAIN for one in left) == more


def test_frames_are_held_back_as_many_as_a_new_face_may_come_late(tmp_path, model):
    left, _ = blurred(tmp_path, model, [90] * 30, range(20), search_every=21)
    assert max(left) < PLAIN / 3
    assert [frames_ahead(n) for n in (1, 13, 14, 49, 50)] == [12, 12, 13, 48, 48]


class Box:
    """What Covers needs of a face."""

    def __init__(self, face: int, *box: float) -> None:
        self.face, self.box_px = face, box


def covered(frames, ahead: int) -> list[list[tuple[float, ...]]]:
    covers = Covers(ahead)
    pixels = np.zeros((1, 1, 3), np.uint8)
    left = []
    for number, faces in enumerate(frames):
        ready = list(covers.add(Frame(pixels, "v", number), Faces("v", tuple(faces))))
        assert [one.number for one, _, _ in ready] == ([number - ahead] if number >= ahead else [])
        left += ready
    left += covers.rest()
    assert [one.number for one, _, _ in left] == list(range(len(frames)))
    return [boxes for _, _, boxes in left]


def test_boxes_in_a_gap_lie_between_and_grow_away_from_what_is_known():
    frames = [[Box(3, 0, 0, 10, 20)], [], [], [], [Box(3, 40, 8, 30, 20)]]
    boxes = covered(frames, 12)
    assert boxes[0] == [(0, 0, 10, 20)]
    assert boxes[4] == [(40, 8, 30, 20)]
    for at, (x, y, width, height), grown in zip(
        (1, 2, 3), [(10, 2, 15, 20), (20, 4, 20, 20), (30, 6, 25, 20)], (0.13, 0.16, 0.13),
        strict=True,
    ):  # fmt: skip
        size = (1 + 2 * grown) * np.array([width, height])
        expected = (x - grown * width, y - grown * height, *size)
        np.testing.assert_allclose(boxes[at], [expected])


def test_each_face_is_held_by_itself_and_growth_ends():
    frames = [[Box(0, 0, 0, 10, 10), Box(1, 50, 0, 10, 10)]]
    frames += [[Box(1, 50, 0, 10, 10)] for _ in range(HOLD_FRAMES + 2)]
    boxes = covered(frames, 2)
    assert [len(one) for one in boxes] == [2] * (HOLD_FRAMES + 1) + [1] * 2
    np.testing.assert_allclose(boxes[HOLD_FRAMES][1], (-5, -5, 20, 20))
    assert all(one[0] == (50, 0, 10, 10) for one in boxes[1:])


def test_without_frames_held_back_nothing_waits():
    boxes = covered([[], [Box(0, 0, 0, 10, 10)], []], 0)
    assert [len(one) for one in boxes] == [0, 1, 1]
