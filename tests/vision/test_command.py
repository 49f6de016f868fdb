"""hemiface predict on photos and a video: tables, copies, exit codes, what is printed."""

import csv
import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from builders import hemiface, linear_model
from hemiface.data.phantom import make as phantom
from hemiface.tables import EMOTIONS
from hemiface.vision.faces import COLUMNS

NETWORKS = pytest.mark.usefixtures("face_networks")


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

    def test_a_mix_is_declared_by_name_or_file_and_stands_in_every_row(
        self, crops, tmp_path, monkeypatch, capsys
    ):
        trained = {**dict.fromkeys(EMOTIONS, 0.1), "happy": 0.4}
        model = linear_model(tmp_path / "linear.onnx", class_mix=trained)
        for path in (crops / "broken.jpg", crops / "empty.png"):
            path.unlink()
        out = tmp_path / "out"
        options = [*self.options(model, crops, out), "--format", "csv,parquet,jsonl"]
        assert hemiface(monkeypatch, *options) == 0
        before = pd.read_csv(out / "faces.csv")
        assert set(before["mix"]) == {"trained"}
        mine = tmp_path / "mine.json"
        # Into the same folder: what was done under another mix doesn't count.
        for choice, declared in (("balanced", 1 / 7), (mine, 0.3), (mine, 0.2)):
            shares = {**dict.fromkeys(EMOTIONS, (1 - declared) / 6), "sad": declared}
            mine.write_text(json.dumps(shares))
            assert hemiface(monkeypatch, *options, "--mix", choice) == 0
            expected = before[[f"p_{one}" for one in EMOTIONS]].to_numpy()
            expected = expected * [shares[one] / trained[one] for one in EMOTIONS]
            expected /= expected.sum(axis=1, keepdims=True)
            csv_rows = pd.read_csv(out / "faces.csv")
            json_rows = pd.read_json(out / "faces.jsonl", lines=True)
            for table in (csv_rows, json_rows, pd.read_parquet(out / "faces.parquet")):
                found = table[[f"p_{one}" for one in EMOTIONS]].to_numpy()
                np.testing.assert_allclose(found, expected, atol=1e-5)
                assert [EMOTIONS[one] for one in expected.argmax(axis=1)] == list(table["label"])
                assert table["mix"].str.startswith(Path(choice).name).all()
        capsys.readouterr()
        assert hemiface(monkeypatch, *options, "--mix", "balance") == 2
        assert "neither trained, balanced or natural nor a file" in capsys.readouterr().err

    def test_a_threshold_of_another_mix_is_told(self, crops, tmp_path, monkeypatch, capsys):
        options = ["predict", crops / "01.png", "--no-detect", "--mix", "balanced"]
        assert hemiface(monkeypatch, *options, "--json") == 0
        said = capsys.readouterr()
        assert said.err.count("was chosen for the mix of the training") == 1
        if find_spec("av") is not None:
            from hemiface.vision.video.frames import open_writer

            with open_writer(tmp_path / "film.mp4") as writer:
                writer.add(np.zeros((48, 48, 3), np.uint8), 0.0)
            # Videos have another network by default, and another threshold.
            assert hemiface(monkeypatch, options[0], tmp_path / "film.mp4", *options[1:]) == 0
            told = capsys.readouterr().err.splitlines()
            told = [one for one in told if "was chosen for the mix of the training" in one]
            assert [one.startswith("hemiface: In videos: ") for one in told] == [False, True]
        assert json.loads(said.out)["faces"][0]["mix"] == "balanced"
        assert hemiface(monkeypatch, *options, "--abstain-below", 0.4) == 0
        assert "was chosen" not in capsys.readouterr().err

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
        assert hemiface(monkeypatch, "predict", gone, "--model", model) == 2
        options = ["predict", crops, "--no-detect", "--model", model]
        assert hemiface(monkeypatch, *options, "--save-image") == 2
        assert hemiface(monkeypatch, *options, "--hide", "nose") == 2
        assert hemiface(monkeypatch, *options, "--out", tmp_path / "o", "--format", "xls") == 2

    def test_names_do_not_reach_the_terminal_as_orders(
        self, model, crops, tmp_path, monkeypatch, capsys
    ):
        """A name that clears the screen, sets its title, or turns words round."""
        folder = tmp_path / "strange"
        folder.mkdir()
        for index, name in enumerate(("a\x1b[2J", "b\x1b]0;title\x07", "c\u202egnp", "d\x9b31m")):
            shutil.copy(crops / f"{index:02}.png", folder / f"{name}.png")
        (folder / "broken\x1b[31m.jpg").write_text("no picture")
        assert hemiface(monkeypatch, *self.options(model, folder, tmp_path / "out")) == 4
        said = capsys.readouterr()
        for text in (said.out, said.err):
            assert not set(text) & set("\x1b\x07\u202e\x9b")
        assert r"a\x1b[2J.png" in said.out
        assert r"c\u202egnp.png" in said.out
        assert r"broken\x1b[31m.jpg" in said.err
        assert hemiface(monkeypatch, *self.options(model, folder, tmp_path / "two"), "--json") == 4
        said = capsys.readouterr().out
        assert not set(said) & set("\x1b\x07\u202e\x9b")
        names = {Path(one["source"]).name for one in json.loads(said)["sources"]}
        assert {"c\u202egnp.png", "d\x9b31m.png"} <= names
        assert hemiface(monkeypatch, "predict", "gone\x1b[31m.png") == 2
        assert r"gone\x1b[31m.png" in capsys.readouterr().err

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
        bad = [tmp_path / "bad.mp4", *options[2:], "--replace"]
        assert hemiface(monkeypatch, "predict", *bad) == 4
        assert hemiface(monkeypatch, "predict", "camera:97", *options[2:]) == 1
        assert "Camera 97" in capsys.readouterr().err
