"""Models that come along: listed, checked, and never used when damaged."""

import json
import shutil
import subprocess
import sys

import pytest

from builders import flipped, hemiface, linear_model
from hemiface.errors import DamagedError, UsageError
from hemiface.files import SEAL_KEY, sealed_content, sha256_file, with_hash, write_json
from hemiface.locks import locked
from hemiface.models import shipped
from hemiface.models.onnx_file import OnnxModel
from hemiface.models.temperatures import STATED, ModelCalibration, calibration_path


@pytest.fixture
def folder(exported, tmp_path):
    """A folder of two models, made by `add`."""
    target = tmp_path / "models"
    shipped.add(exported.int8, "tiny-int8", "Small.", target)
    shipped.add(exported.fp32, "tiny", " For tests. ", target)
    return target


def flip_a_bit(path, share=0.5):
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 1
    path.write_bytes(content)


class TestPackage:
    def test_what_is_shipped_is_whole(self):
        assert set(shipped.verify().values()) <= {""}
        for model in shipped.list_models():
            assert shipped.path_of(model.name).parent == shipped.FOLDER

    def test_a_changed_copy_is_refused_wherever_it_lies(self, tmp_path):
        for model in shipped.list_models():
            whole = shipped.path_of(model.name).read_bytes()
            for number, spoilt in enumerate(flipped(whole, 8)):
                copy = tmp_path / f"{model.name}-{number}.onnx"
                copy.write_bytes(spoilt)
                with pytest.raises(DamagedError, match="doesn't fit the SHA-256"):
                    sealed_content(copy)
                copy.unlink()

    def test_listing_needs_neither_torch_nor_onnxruntime(self):
        program = (
            "import sys; from hemiface.models import shipped; shipped.list_models();"
            "print(sorted({'torch', 'onnx', 'onnxruntime'} & set(sys.modules)))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "[]"


class TestIndex:
    def test_add_copies_and_describes(self, folder, exported):
        models = shipped.list_models(folder)
        assert [model.name for model in models] == ["tiny", "tiny-int8"]
        fp32 = models[0]
        assert (fp32.file, fp32.kind, fp32.precision) == ("tiny.onnx", "emotion", "fp32")
        assert fp32.bytes == exported.fp32.stat().st_size
        assert fp32.sha256 == sha256_file(exported.fp32)
        assert (fp32.licence, fp32.summary) == ("Apache-2.0", "For tests.")
        path = shipped.path_of("tiny", folder)
        assert path == folder / "tiny.onnx"
        assert path.read_bytes() == exported.fp32.read_bytes()

    def test_add_seals_what_was_written_before_seals(self, exported, tmp_path):
        onnx = pytest.importorskip("onnx", reason="it takes a seal away")
        old, folder = tmp_path / "old.onnx", tmp_path / "models"
        model = onnx.load(exported.fp32)
        kept = [one for one in model.metadata_props if one.key != SEAL_KEY]
        assert len(kept) == len(model.metadata_props) - 1
        del model.metadata_props[:]
        model.metadata_props.extend(kept)
        old.write_bytes(model.SerializeToString(deterministic=True))
        view = {"temperatures": {"pooled": 1.5}, "abstain_below": 0.5, "answered": []}
        known = {
            "format": 1,
            "model_sha256": sha256_file(old),
            "fitted_on": {},
            "views": {"one": view},
        }
        write_json(calibration_path(old), with_hash(known))
        shipped.add(old, "tiny", "Sealed.", folder)
        sealed = shipped.path_of("tiny", folder)
        assert sealed.read_bytes().startswith(old.read_bytes())
        assert onnx.load(sealed).graph == model.graph
        assert shipped.verify(folder=folder) == {"tiny": ""}
        for spoilt in flipped(sealed.read_bytes(), 20):
            sealed.write_bytes(spoilt)
            with pytest.raises(DamagedError):
                OnnxModel.load(sealed)
        assert ModelCalibration.beside(sealed, shipped.list_models(folder)[0].sha256) is not None

    def test_a_name_that_is_taken_stays_unless_it_is_to_be_replaced(
        self, folder, exported, monkeypatch, capsys
    ):
        calibration = folder / "tiny.calibration.json"
        calibration.write_text("{}")
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        command = ("models", "add", exported.fp16, "--name", "tiny", "--summary", "Half.")
        command = (*command, "--folder", folder)
        assert hemiface(monkeypatch, *command) == 2
        assert "has another file as model tiny; give another name, or" in capsys.readouterr().err
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        shipped.add(exported.fp32, "tiny", "The same file.", folder)
        assert calibration.is_file()
        assert hemiface(monkeypatch, *command, "--replace") == 0
        assert not calibration.exists()
        models = {model.name: model for model in shipped.list_models(folder)}
        assert list(models) == ["tiny", "tiny-int8"]
        assert models["tiny"].precision == "fp16"
        assert shipped.verify(folder=folder) == {"tiny": "", "tiny-int8": ""}

    def test_the_default_is_the_first_until_one_is_named(self, folder, exported):
        assert shipped.default_model(folder) == "tiny"
        shipped.add(exported.int8, "tiny-int8", "Small.", folder, default=True)
        assert shipped.default_model(folder) == "tiny-int8"
        shipped.add(exported.fp32, "alpha", "Earlier by name.", folder)
        assert shipped.default_model(folder) == "tiny-int8"
        rows = {row["name"]: row["default"] for row in shipped.describe(folder)}
        assert rows == {"alpha": False, "tiny": False, "tiny-int8": True}

    def test_the_package_has_a_default(self):
        index = json.loads((shipped.FOLDER / "index.json").read_text())
        assert index["default"] == shipped.default_model() == "people-int8"
        fast = shipped.default_model(in_videos=True)
        assert index["default_in_videos"] == fast == "people-small-int8"
        assert shipped.model_for("people", in_videos=True) == fast
        assert shipped.model_for("fer2013", in_videos=True) == shipped.model_for("fer2013")

    def test_videos_may_have_a_default_of_their_own(self, folder, exported):
        def defaults():
            known = (shipped.default_model(folder, in_videos=one) for one in (False, True))
            rows = {row["name"]: row for row in shipped.describe(folder)}
            told = [
                [name for name, row in rows.items() if row[key]]
                for key in ("default", "default_in_videos")
            ]
            return *known, told

        assert defaults() == ("tiny", "tiny", [["tiny"], ["tiny"]])
        shipped.add(exported.int8, "tiny-int8", "Small.", folder, default_in_videos=True)
        assert defaults() == ("tiny", "tiny-int8", [["tiny"], ["tiny-int8"]])
        shipped.add(exported.fp32, "alpha", "Earlier by name.", folder, default=True)
        assert defaults() == ("alpha", "tiny-int8", [["alpha"], ["tiny-int8"]])

    def test_only_a_model_for_emotions_can_be_the_default(self, tmp_path):
        for key in ("default", "default_in_videos"):
            with pytest.raises(UsageError, match="can't be the default"):
                shipped.add(
                    shipped.path_of("visibility"), "v", "Tiles.", tmp_path / "m", **{key: True}
                )
            (tmp_path / "index.json").write_text(f'{{"format": 1, "{key}": "x", "models": []}}')
            with pytest.raises(DamagedError, match="its default 'x' is not one"):
                shipped.default_model(tmp_path)

    def test_descriptions_come_from_the_files(self, folder, exported):
        rows = {row["name"]: row for row in shipped.describe(folder)}
        assert rows["tiny"]["header"] == dict(OnnxModel.load(exported.fp32).header)
        assert rows["tiny"]["accuracy"] == {"full": 0.25, "left": 0.125}

    def test_accuracy_of_the_very_file_wins_if_it_is_of_the_test_split(self):
        header = {
            "scores": {"standard": {"full": {"accuracy": {"value": 0.6}}, "left": {"ece": {}}}},
            "parity": {"splits": ["test"], "conditions": [{"condition": "full", "accuracy": 0.5}]},
        }
        assert shipped.accuracy(header) == {"full": 0.5}
        for splits in (["validation"], ["test", "train", "validation"]):
            header["parity"]["splits"] = splits
            assert shipped.accuracy(header) == {"full": 0.6}
        assert shipped.accuracy({"scores": {}}) == {}
        # By the labels that the model gives alone, where the report says whose it has.
        header["parity"] |= {"splits": ["test"], "labels": "fer2013"}
        assert shipped.accuracy(header, "fer2013") == shipped.accuracy(header) == {"full": 0.5}
        assert shipped.accuracy(header, "people") == {"full": 0.6}

    def test_a_file_that_no_index_names_stays(self, folder, exported):
        (folder / "mine.onnx").write_bytes(b"mine")
        with pytest.raises(UsageError, match=r"mine\.onnx is there and no model of the index"):
            shipped.add(exported.fp32, "mine", "Mine.", folder)
        assert (folder / "mine.onnx").read_bytes() == b"mine"
        shipped.add(exported.fp32, "mine", "Mine.", folder, replace=True)
        assert shipped.path_of("mine", folder).stat().st_size > 1000

    def test_one_that_was_killed_before_the_index_is_finished_by_the_next(self, folder, exported):
        index = (folder / "index.json").read_bytes()
        shipped.add(exported.fp32, "mine", "Mine.", folder)
        (folder / "index.json").write_bytes(index)
        shipped.add(exported.fp32, "mine", "Mine.", folder)
        assert shipped.path_of("mine", folder) == folder / "mine.onnx"

    def test_one_adds_at_a_time(self, folder, exported):
        before = (folder / "index.json").read_bytes()
        with locked(folder), pytest.raises(UsageError, match="is being written into by process"):
            shipped.add(exported.fp32, "third", "Third.", folder)
        assert (folder / "index.json").read_bytes() == before
        assert not (folder / "third.onnx").exists()
        shipped.add(exported.fp32, "third", "Third.", folder)
        assert [one.name for one in shipped.list_models(folder)] == ["third", "tiny", "tiny-int8"]
        assert not (folder / ".lock").exists()

    def test_scores_measured_after_the_export_stand_alone(self, folder, exported):
        scores = [
            {"condition": "full", "accuracy": 0.5, "n": 8},
            {"condition": "upper", "accuracy": 0.1234567, "n": 8},
        ]
        shipped.add(exported.fp32, "tiny", "Scored.", folder, scores=scores)
        rows = {row["name"]: row for row in shipped.describe(folder)}
        # What the export scored was of other images: its left stays away.
        assert rows["tiny"]["accuracy"] == {"full": 0.5, "upper": 0.123457}
        assert not rows["tiny-int8"]["scores"]
        known = json.loads((folder / "index.json").read_text())["models"]
        assert [one.get("scores") for one in known] == [rows["tiny"]["scores"], None]

    def test_every_network_that_comes_along_says_what_each_half_costs(self):
        for row in shipped.describe():
            if row["kind"] == "emotion":
                assert set(STATED) <= set(row["accuracy"]), row["name"]

    @pytest.mark.parametrize("name", ["", "Tiny", "../tiny", "ti ny", "-tiny"])
    def test_names(self, exported, tmp_path, name):
        with pytest.raises(UsageError, match="must consist of small letters"):
            shipped.add(exported.fp32, name, "For tests.", tmp_path / "m")

    def test_a_summary_is_needed(self, exported, tmp_path):
        with pytest.raises(UsageError, match="needs a summary"):
            shipped.add(exported.fp32, "tiny", " ", tmp_path / "m")

    def test_only_exports_are_added(self, exported, tmp_path):
        with pytest.raises(DamagedError, match="is not a whole ONNX model"):
            shipped.add(exported.bundle, "tiny", "For tests.", tmp_path / "m")
        assert not (tmp_path / "m").exists()

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("", "is damaged .*copy the folder again"),
            ("[]", "is damaged .*copy the folder again"),
            ('{"format": 2, "models": []}', "has format 2, this hemiface reads 1"),
            ('{"format": 1, "models": [{"name": "x"}]}', "is damaged .*copy the folder again"),
            (None, "doesn't exist"),
        ],
    )
    def test_a_bad_index(self, tmp_path, text, sentence):
        if text is not None:
            (tmp_path / "index.json").write_text(text)
        with pytest.raises(DamagedError, match=sentence):
            shipped.list_models(tmp_path)

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("bytes", "9"),
            ("file", "../x.onnx"),
            ("scores", "high"),
            ("scores", [{"condition": "full", "n": 7}]),
        ],
    )
    def test_a_bad_line_of_the_index(self, folder, key, value):
        index = json.loads((folder / "index.json").read_text())
        index["models"][0][key] = value
        (folder / "index.json").write_text(json.dumps(index))
        with pytest.raises(DamagedError, match=r"has the wrong type|doesn't lie in|is damaged"):
            shipped.list_models(folder)


class TestVerify:
    def test_whole_models(self, folder):
        assert shipped.verify(folder=folder) == {"tiny": "", "tiny-int8": ""}
        assert shipped.verify(["tiny-int8"], folder) == {"tiny-int8": ""}

    def test_a_flipped_bit(self, folder):
        flip_a_bit(folder / "tiny.onnx")
        found = shipped.verify(folder=folder)
        assert "the SHA-256 of" in found["tiny"]
        assert found["tiny-int8"] == ""

    def test_a_short_file(self, folder):
        path = folder / "tiny.onnx"
        path.write_bytes(path.read_bytes()[:-1])
        assert "bytes, expected are" in shipped.verify(folder=folder)["tiny"]

    def test_a_missing_file(self, folder):
        (folder / "tiny.onnx").unlink()
        assert "is listed, but" in shipped.verify(folder=folder)["tiny"]
        with pytest.raises(DamagedError, match="Model tiny is listed, but"):
            shipped.path_of("tiny", folder)

    def test_another_model_under_its_name(self, folder):
        shutil.copy(folder / "tiny-int8.onnx", folder / "tiny.onnx")
        index = json.loads((folder / "index.json").read_text())
        first, second = index["models"]
        first["bytes"], first["sha256"] = second["bytes"], second["sha256"]
        (folder / "index.json").write_text(json.dumps(index))
        assert "is int8, but listed as fp32" in shipped.verify(folder=folder)["tiny"]

    def test_an_unknown_name(self, folder):
        for ask in (
            lambda: shipped.verify(["big"], folder),
            lambda: shipped.path_of("big", folder),
        ):
            with pytest.raises(UsageError, match="'big' is unknown; choose from: tiny, tiny-int8"):
                ask()


def test_a_damaged_model_is_not_used(folder):
    """One flipped byte in the middle: neither its size nor its header tells."""
    path = shipped.path_of("tiny", folder)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=r"tiny is damaged: the SHA-256 of .* isn't that of"):
        shipped.path_of("tiny", folder)
    with pytest.raises(DamagedError, match="tiny is damaged"):
        shipped.describe(folder)


class TestLabels:
    """Whose labels a model gives, and which model gives them."""

    def test_the_default_gives_what_people_see_and_others_what_came_with_fer2013(self):
        known = {one.name: one.labels for one in shipped.list_models() if one.kind == "emotion"}
        assert known[shipped.default_model()] == "people"
        assert shipped.model_for("people") == shipped.default_model()
        assert known[shipped.model_for("fer2013")] == "fer2013"

    def test_what_learnt_votes_gives_those_of_people(self, exported, tmp_path):
        learnt = {"provenance": {"recipe": {"train": {"soft_labels": True}}}}
        shipped.add(linear_model(tmp_path / "a.onnx", **learnt), "votes", "For tests.", tmp_path)
        shipped.add(linear_model(tmp_path / "b.onnx"), "unknown", "For tests.", tmp_path)
        shipped.add(exported.fp32, "told", "For tests.", tmp_path, labels="fer2013")
        found = {one.name: one.labels for one in shipped.list_models(tmp_path)}
        assert found == {"votes": "people", "unknown": "", "told": "fer2013"}
        assert shipped.model_for("fer2013", tmp_path) == "told"

    def test_the_default_comes_first_where_several_give_them(self, exported, tmp_path):
        for name in ("a", "b", "c"):
            shipped.add(
                exported.fp32, name, "For tests.", tmp_path, labels="people", default=name == "b"
            )
        assert shipped.model_for("people", tmp_path) == "b"

    def test_unknown_labels_and_such_as_nobody_gives(self, exported, tmp_path):
        with pytest.raises(UsageError, match="'votes' are unknown; choose from: people, fer2013"):
            shipped.model_for("votes")
        with pytest.raises(UsageError, match="'votes' are unknown"):
            shipped.add(exported.fp32, "a", "For tests.", tmp_path, labels="votes")
        shipped.add(exported.fp32, "a", "For tests.", tmp_path)
        with pytest.raises(UsageError, match="No model at hand gives the labels 'people'"):
            shipped.model_for("people", tmp_path)

    def test_an_index_of_before_says_nothing_of_labels(self, folder):
        index = json.loads((folder / "index.json").read_text())
        for model in index["models"]:
            del model["labels"]
        (folder / "index.json").write_text(json.dumps(index))
        assert {one.labels for one in shipped.list_models(folder)} == {""}


class TestCommands:
    def test_list(self, folder, monkeypatch, capsys):
        assert hemiface(monkeypatch, "models", "list", "--folder", folder) == 0
        said = capsys.readouterr().out
        scores, words = (line for line in said.splitlines() if "tiny " in line)
        for word in ("25.0", "12.5", "1.3"):
            assert word in scores
        for word in ("For tests.", "fp32", "Apache-2.0", sha256_file(folder / "tiny.onnx")[:8]):
            assert word in words
        assert hemiface(monkeypatch, "models", "list", "--folder", folder, "--json") == 0
        rows = json.loads(capsys.readouterr().out)
        assert rows == shipped.describe(folder)

    def test_an_empty_list(self, tmp_path, monkeypatch, capsys):
        (tmp_path / "index.json").write_text('{"format": 1, "models": []}')
        for command in ("list", "verify"):
            assert hemiface(monkeypatch, "models", command, "--folder", tmp_path) == 0
            assert "No models are shipped" in capsys.readouterr().out
        assert hemiface(monkeypatch, "models", "list", "--folder", tmp_path, "--json") == 0
        assert json.loads(capsys.readouterr().out) == []

    def test_verify(self, folder, monkeypatch, capsys):
        command = ("models", "verify", "--folder", folder)
        assert hemiface(monkeypatch, *command, "tiny") == 0
        assert capsys.readouterr().out == "tiny: whole\n"
        flip_a_bit(folder / "tiny.onnx")
        assert hemiface(monkeypatch, *command, "--json") == 4
        said = capsys.readouterr()
        assert "SHA-256" in json.loads(said.out)["tiny"]
        assert "1 of 2 models can't be used. Model tiny is damaged" in said.err
        assert hemiface(monkeypatch, *command, "big") == 2

    def test_add(self, exported, tmp_path, monkeypatch, capsys):
        code = hemiface(
            monkeypatch, "models", "add", exported.fp16, "--name", "half", "--summary",
            "Half as large.", "--folder", tmp_path,
        )  # fmt: skip
        assert code == 0
        assert capsys.readouterr().out.strip() == str(tmp_path / "half.onnx")
        assert shipped.verify(folder=tmp_path) == {"half": ""}


def test_a_model_that_came_along_before_has_one_that_stands_in_for_it(caplog):
    assert shipped.path_of("generalist") == shipped.path_of("generalist-int8")
    assert "generalist doesn't come along any more: taking generalist-int8" in caplog.text


def test_a_name_that_is_given_again_stands_for_itself(exported, tmp_path):
    shipped.add(exported.int8, "small", "A network.", tmp_path)
    index = json.loads((tmp_path / "index.json").read_text())
    write_json(tmp_path / "index.json", {**index, "renamed": {"big": "small", "old": "small"}})
    assert shipped.path_of("old", tmp_path).name == "small.onnx"
    shipped.add(exported.fp32, "old", "Another.", tmp_path)
    assert shipped.path_of("old", tmp_path).name == "old.onnx"
    assert shipped.path_of("big", tmp_path).name == "small.onnx"
