"""Videos, frame after frame: following faces, searching again, and flat memory."""

import dataclasses
import json
import subprocess
import sys
from itertools import islice

import numpy as np
import pytest

import hemiface as hf
from hemiface.data.phantom import make as phantom
from hemiface.errors import HemifaceError, UsageError
from hemiface.vision.finding.alignment import FRAME
from hemiface.vision.finding.detector import FoundFace
from hemiface.vision.predictor import Predictor
from hemiface.vision.seen import Frame
from hemiface.vision.video.watching import Watch

PIXELS = np.random.default_rng(0).integers(0, 256, (120, 200, 3), np.uint8)


def found(x: float, y: float) -> FoundFace:
    five = FRAME + np.array([x, y])
    return FoundFace(np.array([[x, y], [x + 40, y + 40]]), 0.9, None, None, five)


class Plain:
    """A detector that shows a frame what its script says; a frame's number is its first pixel."""

    def __init__(self, faces):
        self.faces = faces
        self.asked = []

    def detect(self, photo):
        self.asked.append((int(photo[0, 0, 0]), "all"))
        return [found(*one) for one in self.faces[photo[0, 0, 0]]]


class Script(Plain):
    """One that can follow, up to 20 px."""

    def follow(self, photo, known):
        self.asked.append((int(photo[0, 0, 0]), "near"))
        every = [found(*one) for one in self.faces[photo[0, 0, 0]]]
        return [
            one for one in every
            if any(np.abs(one.box - other.box).max() < 20 for other in known)
        ]  # fmt: skip


def watch(model, detector, count: int, every: int = 10) -> list[list[int]]:
    watched = Watch(Predictor(model, detector=detector), every)
    frames = []
    for number in range(count):
        pixels = PIXELS.copy()
        pixels[0, 0, 0] = number
        frames.append(Frame(pixels, "v.mp4", number, number / 25))
    result = []
    for start in range(0, count, 7):
        result += watched.predict_frames(frames[start : start + 7])
    return [[face.face for face in faces] for faces in result]


def test_frames_between_searches_only_follow(model):
    detector = Script([[(10 + n, 30)] for n in range(25)])
    assert watch(model, detector, 25) == [[0]] * 25
    assert [frame for frame, how in detector.asked if how == "all"] == [0, 10, 20]


def test_frames_of_one_s_own_are_at_hand_with_their_faces(model):
    predictor = hf.Predictor(model, no_detect=True)
    for predict_frames in (predictor.predict_frames, hf.Watch(predictor).predict_frames):
        (faces,) = predict_frames(hf.Frame(pixels) for pixels in [PIXELS])
        assert (faces.pixels == PIXELS).all()
        assert (faces.annotated() != PIXELS).any()
    gone = dataclasses.replace(faces, opened=None)
    with pytest.raises(HemifaceError, match=r"^The picture isn't at hand: .*; predict it again\.$"):
        gone.annotated()


def test_a_new_small_face_comes_with_the_next_search_and_a_lost_one_is_searched_for(model):
    faces = [[(10, 30)] for _ in range(20)]
    for n in range(3, 20):
        faces[n] = [(10, 30), (150, 30)]
    for n in range(13, 20):
        # It jumps: not near where it was, so the whole frame is searched.
        faces[n] = [(10, 30), (100, 70)]
    detector = Script(faces)
    numbers = watch(model, detector, 20)
    assert numbers[:10] == [[0]] * 10
    assert numbers[10:13] == [[0, 1]] * 3
    assert numbers[13:] == [[0, 2]] * 7
    assert [frame for frame, how in detector.asked if how == "all"] == [0, 10, 13]


def test_every_frame_may_be_searched_and_other_detectors_always_do(model):
    faces = [[(10, 30)] for _ in range(5)]
    each, plain = Script(faces), Plain(faces)
    watch(model, each, 5, every=1)
    watch(model, plain, 5)
    assert [how for _, how in each.asked] == [how for _, how in plain.asked] == ["all"] * 5
    with pytest.raises(UsageError, match="search_every"):
        Watch(Predictor(model, no_detect=True), 0)


@pytest.mark.parametrize(("every", "smooth_s"), [(1, None), (4, 0.2), (10, None), (25, 0.2)])
@pytest.mark.parametrize("kind", [Plain, Script])
def test_who_takes_up_a_state_looks_as_before(model, kind, every, smooth_s):
    places = [[(10 + n, 30)] + [(150 - 2 * n, 60)] * (n % 9 > 2) for n in range(60)]
    # It jumps, so that full searches come at other frames than before.
    places[33:] = [[(10, 30)] for _ in places[33:]]
    predictor = Predictor(model, detector=kind(places))
    frames = []
    for number in range(60):
        pixels = PIXELS.copy()
        pixels[0, 0, 0] = number
        frames.append(Frame(pixels, "v.mp4", number, number / 25))
    said, states = [], {}
    whole = Watch(predictor, every, smooth_s)
    while len(said) < 60:
        most = whole.ahead(7)
        assert 1 <= most <= 7
        said += whole.predict_frames(frames[len(said) : len(said) + most])
        if whole.state() is not None:
            states[len(said)] = json.dumps(whole.state())
    assert len(states) >= 60 // max(every, 7) - 1
    for done, state in states.items():
        other = Watch(predictor, every, smooth_s)
        other.go_on(json.loads(state))
        assert other.predict_frames(frames[done:]) == said[done:]


@pytest.mark.usefixtures("face_networks")
def test_following_a_real_clip_finds_the_faces_that_searching_finds(model, shared_data):
    pytest.importorskip("av", reason="videos need hemiface[video]")
    from hemiface.vision.video.frames import read_frames

    clip = read_frames(shared_data / "photos/clip_white_house.mp4")
    frames = list(islice(clip, 14))
    predictor = Predictor(model)
    followed = Watch(predictor).predict_frames(frames)
    assert [[face.face for face in faces] for faces in followed] == [[0, 1]] * len(frames)
    for at in (3, 9):
        searched = predictor.predict_frames([frames[at]])[0]
        assert len(searched) == 2
        for one, other in zip(followed[at], searched, strict=True):
            np.testing.assert_allclose(one.box_px, other.box_px, atol=0.1 * one.box_px[2])


def video_of(path, frames: int):
    from hemiface.vision.video.frames import open_writer

    faces = np.repeat(phantom.render(np.arange(7), seed=0)[..., None], 3, axis=3)
    with open_writer(path) as writer:
        for index in range(frames):
            writer.add(faces[index // 25 % 7], index / 25)
    return path


MEASURE = """
import json, sys
from pathlib import Path
from hemiface.vision.predictor import Predictor
from hemiface.vision.run import RunOptions, run
from hemiface.vision.sources import find_sources

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

sizes = []
video, model, out = sys.argv[1:]
with run(
    find_sources([video]), Predictor(model, no_detect=True), Path(out),
    RunOptions(formats=("parquet",)), on_progress=lambda *_: sizes.append(resident()),
) as done:
    print(json.dumps({"sizes": sizes, "faces": done.sources[0]["faces"]}))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's /proc")
def test_memory_stays_flat_over_a_long_video(model, tmp_path):
    """A kept frame would cost 7 kB of pixels, so that a thousand of them would show."""
    pytest.importorskip("av", reason="videos need hemiface[video]")
    video = video_of(tmp_path / "in.mp4", 1500)
    words = [sys.executable, "-c", MEASURE, video, model, tmp_path / "out"]
    done = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
    assert done["faces"] == 1500
    sizes = done["sizes"]
    assert len(sizes) == 150
    assert max(sizes[50:]) - sizes[49] < 6
