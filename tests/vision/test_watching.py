"""Videos: following faces, calibrated confidence, timelines, memory."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import pytest

from builders import hemiface, linear_model
from hemiface.data.phantom import make as phantom
from hemiface.errors import DamagedError, UsageError
from hemiface.files import sha256_file, write_json
from hemiface.models.temperatures import calibration_path, scale
from hemiface.occlusion.conditions import CONDITIONS
from hemiface.tables import PROBABILITY_COLUMNS
from hemiface.vision.faces import COLUMNS, write_rows
from hemiface.vision.finding.alignment import FRAME
from hemiface.vision.finding.detector import FoundFace
from hemiface.vision.predictor import Frame, Predictor
from hemiface.vision.video import timeline
from hemiface.vision.video.watching import Watch

PIXELS = np.random.default_rng(0).integers(0, 256, (120, 200, 3), np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return linear_model(tmp_path_factory.mktemp("model") / "linear.onnx")


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


@pytest.fixture
def calibrated(model, tmp_path):
    """A copy of a model with a calibration of made-up numbers beside it."""
    path = tmp_path / "model.onnx"
    path.write_bytes(model.read_bytes())
    temperatures = {"pooled": 2.0, **{one: 1 + n / 4 for n, one in enumerate(CONDITIONS)}}
    view = {"temperatures": temperatures, "abstain_below": 0.3, "answered": []}
    write_json(
        calibration_path(path),
        {
            "format": 1, "model_sha256": sha256_file(path), "fitted_on": {},
            "views": {"one": view, "flipped": {**view, "temperatures": {"pooled": 5.0}}},
        },
    )  # fmt: skip
    return path, temperatures


class TestCalibrated:
    def test_confidence_has_the_temperature_of_what_is_visible(self, model, calibrated):
        path, temperatures = calibrated
        for key in ("full", "lower", "only-upper-left"):
            hide = None if key == "full" else key
            options = {"no_detect": True, "hide": hide, "estimate": False}
            raw = Predictor(model, **options).predict(PIXELS)[0]
            face = Predictor(path, **options).predict(PIXELS)[0]
            expected = scale(np.array([raw.probabilities]), temperatures[key])[0]
            np.testing.assert_allclose(face.probabilities, expected, atol=1e-6)
            assert face.temperature == pytest.approx(temperatures[key])
            assert np.isnan(raw.temperature)
            assert raw.row()["temperature"] is None

    def test_flipped_views_have_their_own(self, model, calibrated):
        path, _ = calibrated
        raw = Predictor(model, no_detect=True, flip=True).predict(PIXELS)[0]
        face = Predictor(path, no_detect=True, flip=True).predict(PIXELS)[0]
        expected = scale(np.array([raw.probabilities]), 5.0)[0]
        np.testing.assert_allclose(face.probabilities, expected, atol=1e-6)

    def test_the_default_threshold_is_the_models_own(self, model, calibrated):
        path, _ = calibrated
        assert Predictor(path, no_detect=True).abstain_below == 0.3
        assert Predictor(model, no_detect=True).abstain_below == 0
        assert Predictor(path, no_detect=True, abstain_below=0).abstain_below == 0
        face = Predictor(path, no_detect=True, hide="only-lower-right").predict(PIXELS)[0]
        assert face.abstained == (face.confidence < 0.3)

    def test_a_calibration_of_another_file_is_refused(self, calibrated, tmp_path):
        path, _ = calibrated
        path.write_bytes(linear_model(tmp_path / "other.onnx", 1).read_bytes())
        with pytest.raises(DamagedError, match="another file"):
            Predictor(path, no_detect=True)

    def test_eight_threads_and_videos_share_one_predictor(self, calibrated):
        path, _ = calibrated
        predictor = Predictor(path, no_detect=True, flip=True)
        rng = np.random.default_rng(1)
        videos = [rng.integers(0, 256, (12, 48, 48, 3), np.uint8) for _ in range(16)]
        frames = [
            [Frame(one, f"{n}", at) for at, one in enumerate(v)] for n, v in enumerate(videos)
        ]
        look = lambda one: [repr(faces.faces) for faces in Watch(predictor).predict_frames(one)]  # noqa: E731
        alone = [look(one) for one in frames]
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(look, frames * 3)) == alone * 3


def test_flip_is_the_mean_of_a_face_and_its_mirror_image(model):
    predictor = Predictor(model, no_detect=True, flip=True)
    one = Predictor(model, no_detect=True)
    face, mirrored = PIXELS[:, :120], PIXELS[:, :120][:, ::-1]
    both = [
        np.array(one.predict(np.ascontiguousarray(p))[0].probabilities) for p in (face, mirrored)
    ]
    mean = predictor.predict(np.ascontiguousarray(face))[0].probabilities
    np.testing.assert_allclose(mean, np.mean(both, axis=0), atol=1e-6)
    again = predictor.predict(np.ascontiguousarray(mirrored))[0].probabilities
    np.testing.assert_allclose(mean, again, atol=1e-6)


def rows(frames: int, faces=(0,), step: int = 1):
    for frame in range(0, frames, step):
        for face in faces:
            yield {
                **dict.fromkeys(COLUMNS), "source": "v.mp4", "frame": frame, "face": face,
                "timestamp_s": frame / 25, "abstained": frame < 50, "in_picture": 0.75,
                "x_px": 0.0, "schema": 1,
                **{name: (frame % 2) * (n == 3) for n, name in enumerate(PROBABILITY_COLUMNS)},
            }  # fmt: skip


class TestTimeline:
    def test_each_frame_is_a_bin_of_a_short_video(self):
        found = timeline.read(lambda: rows(100))
        (face,) = found.faces
        np.testing.assert_array_equal(face.probabilities[:, 3], np.arange(100) % 2)
        np.testing.assert_array_equal(face.abstained, np.arange(100) < 50)
        assert (face.visible == 0.75).all()

    def test_a_long_one_is_averaged_and_the_rarest_faces_are_left_out(self):
        def long():
            yield from rows(6000)
            yield from (one for n in range(1, 9) for one in rows(100 - n, (n,)))

        found = timeline.read(long)
        assert [face.face for face in found.faces] == [0, 1, 2, 3, 4, 5]
        assert found.left_out == 3
        assert found.faces[0].probabilities.shape == (1000, 7)
        np.testing.assert_allclose(found.faces[0].probabilities[:, 3], 0.5)
        assert np.isnan(found.faces[1].visible[50:]).all()

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
    assert len(sizes) == 15
    assert max(sizes[5:]) - sizes[4] < 6


def test_rows_are_written_in_parts(tmp_path):
    import pyarrow.parquet as pq

    (path,) = write_rows(rows(9000), tmp_path, ["parquet"])
    assert pq.ParquetFile(path).num_row_groups == 3
    assert pq.ParquetFile(path).metadata.num_rows == 9000
