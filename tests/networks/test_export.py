"""Export: the file does what its Bundle does, says where it came from, or isn't written."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch

from builders import CLASS_MIX, SCORES, grey_faces, hemiface, tiny_bundle, tiny_images
from hemiface.errors import DamagedError, HemifaceError, UsageError
from hemiface.files import sha256_file
from hemiface.models.onnx_file import OnnxModel
from hemiface.networks.export import ExportOptions, export, parity_file, scores_of
from hemiface.networks.network import Bundle
from hemiface.networks.parity import MOST_DIFFERENCE, compare, require
from hemiface.networks.quantise import range_faces
from hemiface.tables import EMOTIONS, label_indices

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

IMAGES = tiny_images()
TRAIN, TEST = IMAGES.split("train"), IMAGES.split("test")
ROUNDING = 2e-5  # single precision, summed in another order
FLOAT16 = onnx.TensorProto.FLOAT16


def by_hand(bundle: Path, faces: np.ndarray) -> np.ndarray:
    """float64 [n, 7]: torch's logits, softmax in numpy."""
    with torch.inference_mode():
        logits = Bundle.load(bundle).network()(torch.from_numpy(faces)).double().numpy()
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def producers(graph: onnx.GraphProto) -> dict[str, onnx.NodeProto]:
    return {name: node for node in graph.node for name in node.output}


class TestGraph:
    @pytest.mark.parametrize("kind", ["fp32", "fp16", "int8"])
    def test_takes_what_the_network_takes(self, exported, kind):
        path = getattr(exported, kind)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (faces,) = session.get_inputs()
        assert (faces.name, faces.type, faces.shape) == ("faces", "tensor(uint8)", ["n", 48, 48])
        assert [(one.name, one.type, one.shape) for one in session.get_outputs()] == [
            ("logits", "tensor(float)", ["n", 7]),
            ("probabilities", "tensor(float)", ["n", 7]),
        ]
        for n in (1, 5):
            logits, probabilities = session.run(None, {"faces": grey_faces(n)})
            powers = np.exp(logits.astype(np.float64))
            np.testing.assert_allclose(
                probabilities, powers / powers.sum(axis=1, keepdims=True), atol=1e-6
            )
            assert np.ptp(probabilities, axis=1).min() > 0.05

    def test_batch_normalisation_is_folded(self, exported):
        graph = onnx.load(exported.fp32).graph
        kinds = [node.op_type for node in graph.node]
        network = Bundle.load(exported.bundle).network()
        convolutions = [one for one in network.modules() if isinstance(one, torch.nn.Conv2d)]
        assert kinds.count("Conv") == len(convolutions)
        assert "BatchNormalization" not in kinds

    @pytest.mark.parametrize("kind", ["fp32", "fp16", "int8"])
    def test_nothing_of_this_machine_is_inside(self, exported, kind):
        content = getattr(exported, kind).read_bytes()
        for trace in (b"stack_trace", b"site-packages", b'File "', str(Path.cwd()).encode()):
            assert trace not in content

    def test_int8_leaves_preprocessing_and_softmax_in_floats(self, exported):
        graph = onnx.load(exported.int8).graph
        made_by = producers(graph)
        (softmax,) = (node for node in graph.node if node.op_type == "Softmax")
        assert made_by[softmax.input[0]].op_type == "Gemm"
        # Some versions of torch ask for the shape of what comes in, too.
        readers = [node for node in graph.node if "faces" in node.input]
        (node,) = (node for node in readers if node.op_type != "Shape")
        while node.op_type != "QuantizeLinear":
            assert node.op_type in {"Cast", "Unsqueeze", "Div", "Sub"}
            node = next(one for one in graph.node if node.output[0] in one.input)

    def test_int8_has_a_scale_for_each_channel(self, exported):
        graph = onnx.load(exported.int8).graph
        tensors = {one.name: one for one in graph.initializer}
        made_by = producers(graph)
        convolutions = [node for node in graph.node if node.op_type == "Conv"]
        assert len(convolutions) == 13  # all: stem, two a block, four shortcuts
        for node in convolutions:
            weights = made_by[node.input[1]]
            assert weights.op_type == "DequantizeLinear"
            stored, scale = (tensors[name] for name in weights.input[:2])
            assert stored.data_type == onnx.TensorProto.INT8
            assert list(scale.dims) == [stored.dims[0]]


class TestParity:
    def test_fp32_is_the_network(self, exported):
        faces = grey_faces(40)
        found = OnnxModel.load(exported.fp32).predict(faces)
        np.testing.assert_allclose(found, by_hand(exported.bundle, faces), atol=ROUNDING)

    def test_fp16_is_half_as_large_and_close(self, exported):
        stored = [one.data_type for one in onnx.load(exported.fp16).graph.initializer]
        assert stored.count(FLOAT16) > 12
        assert exported.fp16.stat().st_size < 0.52 * exported.fp32.stat().st_size
        faces = grey_faces(40)
        found = OnnxModel.load(exported.fp16).predict(faces)
        differences = np.abs(found - by_hand(exported.bundle, faces))
        assert 0 < differences.max() < MOST_DIFFERENCE["fp16"]

    def test_int8_is_a_quarter_as_large_and_near(self, exported):
        assert exported.int8.stat().st_size < 0.28 * exported.fp32.stat().st_size
        faces = grey_faces(60)
        found, expected = (
            OnnxModel.load(exported.int8).predict(faces),
            by_hand(exported.bundle, faces),
        )
        assert np.abs(found - expected).mean() < 0.03
        assert (found.argmax(1) == expected.argmax(1)).mean() > 0.8

    def test_the_report_against_a_loop(self, exported):
        known = OnnxModel.load(exported.int8).header["parity"]
        assert known["data"] == "tiny"
        assert known["splits"] == ["test"]
        assert known["data_sha256"] == TEST.info["data_sha256"]
        rows = {row["condition"]: row for row in known["conditions"]}
        assert list(rows) == ["full", "upper", "lower", "left", "right"]
        for key, hidden in {"full": np.s_[:0], "upper": np.s_[:24], "left": np.s_[:, :24]}.items():
            faces = TEST.pixels.copy()
            for face in faces:
                face[hidden] = 0
            before = by_hand(exported.bundle, faces)
            after = OnnxModel.load(exported.int8).predict(faces)
            right = label_indices(TEST.table)
            row = rows[key]
            assert row["n"] == 14
            assert row["max_difference"] == pytest.approx(np.abs(before - after).max(), abs=1e-4)
            assert row["equal_decisions"] == np.mean(before.argmax(1) == after.argmax(1))
            assert row["source_accuracy"] == np.mean(before.argmax(1) == right)
            assert row["accuracy"] == np.mean(after.argmax(1) == right)
            assert row["loss_points"] == pytest.approx(
                100 * (row["source_accuracy"] - row["accuracy"])
            )

    def test_it_lies_beside_the_file(self, exported):
        for path in (exported.fp32, exported.fp16, exported.int8):
            beside = json.loads(parity_file(path).read_text())
            model = OnnxModel.load(path)
            assert beside.pop("file") == path.name
            assert beside.pop("sha256") == sha256_file(path)
            assert beside.pop("source_sha256") == sha256_file(exported.bundle)
            assert beside.pop("precision") == model.header["precision"]
            assert beside == model.header["parity"]
        assert json.loads(parity_file(exported.fp32).read_text())["data"] == "rendered"

    @pytest.mark.parametrize(
        ("difference", "precision", "fine"),
        [
            (0.9e-3, "fp32", True), (1.1e-3, "fp32", False), (1.9e-2, "fp16", True),
            (2.1e-2, "fp16", False), (0.3, "int8", True), (np.nan, "fp32", False),
        ],
    )  # fmt: skip
    def test_limits_of_probabilities(self, difference, precision, fine):
        rows = pd.DataFrame(
            {
                "condition": ["full", "left"],
                "max_difference": [1e-7, difference],
                "loss_points": [0.0, -1.0],
            }
        )
        if fine:
            require(rows, precision, 0.0)
        else:
            with pytest.raises(
                HemifaceError, match=f"The {precision} export differs .* under left"
            ):
                require(rows, precision, 0.0)

    def test_limits_of_accuracy(self):
        rows = pd.DataFrame(
            {"condition": ["full", "left"], "max_difference": 0.2, "loss_points": [-2.0, 0.6]}
        )
        require(rows, "int8", 0.6)
        require(rows, "int8", None)
        with pytest.raises(HemifaceError, match=r"loses 0\.60 points of accuracy under left"):
            require(rows, "int8", 0.5)

    def test_nothing_to_compare(self, exported):
        model = OnnxModel.load(exported.fp32)
        for images, conditions in ((TEST, []), (TEST.subset([]), ["full"])):
            with pytest.raises(UsageError, match="at least one condition and one image"):
                compare(model, model, images, conditions)


class TestFailure:
    def test_a_bad_fp16_leaves_the_old_file(self, tmp_path, monkeypatch, capsys):
        bundle = tiny_bundle(tmp_path / "b.safetensors", 3)
        loaded = Bundle.load(bundle)
        # All logits grow alike, so the answers stay; but half precision rounds 1000.2 to 1000.
        loaded.weights["backbone.fc.weight"] += 1000
        loaded.save(bundle)
        old = tmp_path / "b-fp16.onnx"
        old.write_bytes(b"old")
        assert hemiface(monkeypatch, "export", bundle, "--precision", "fp16") == 1
        said = capsys.readouterr()
        assert "The fp16 export differs from its Bundle by up to" in said.err
        assert said.out == ""
        assert old.read_bytes() == b"old"
        assert sorted(tmp_path.iterdir()) == [old, bundle]

    def test_a_network_that_loses_accuracy_is_not_written(self, exported, tmp_path):
        with pytest.raises(HemifaceError, match=r"allowed are -101; .* nothing was written"):
            export(
                exported.bundle,
                tmp_path / "x.onnx",
                ExportOptions(
                    int8=True, ranges_from=TRAIN.subset([0, 1]), range_rule="minmax", parity=TEST,
                    conditions=("full",), most_loss_points=-101,
                ),
            )  # fmt: skip
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            ({"precision": "fp64"}, "Precision 'fp64' is unknown"),
            ({"precision": "fp16", "int8": True, "ranges_from": TRAIN}, "either fp16 or int8"),
            ({"int8": True}, "int8 needs training images to calibrate on"),
            ({"ranges_from": TRAIN}, "Only int8 is calibrated"),
            ({"most_loss_points": 1, "parity": TEST}, "add --int8 and --parity, or leave it out"),
            ({"most_loss_points": 1, "int8": True, "ranges_from": TRAIN}, "add --int8 and --par"),
            (
                {
                    "most_loss_points": float("nan"),
                    "int8": True,
                    "ranges_from": TRAIN,
                    "parity": TEST,
                },
                "nan points of accuracy are no limit",
            ),
            ({"opset": 17}, "Opset 17 can't be written; choose 18 to 23"),
            ({"range_rule": "median"}, "Calibration 'median' is unknown; choose from entropy, min"),
            ({"conditions": ("top",)}, "Condition 'top' is unknown"),
        ],
    )
    def test_wrong_words(self, exported, tmp_path, options, sentence):
        with pytest.raises(UsageError, match=sentence):
            export(exported.bundle, tmp_path / "x.onnx", ExportOptions(**options))
        assert list(tmp_path.iterdir()) == []


class TestHeader:
    def test_the_bundle_travels_along(self, exported):
        bundle = Bundle.load(exported.bundle)
        for kind in ("fp32", "fp16", "int8"):
            header = OnnxModel.load(getattr(exported, kind)).header
            assert header["format"] == 1
            assert header["emotions"] == list(bundle.emotions) == list(EMOTIONS)
            assert header["size_px"] == bundle.size_px == 48
            assert header["model"]["architecture"] == "tiny"
            assert header["model"]["mean"] == [0.5]
            assert header["model"]["weights"] == "resnet.pth"  # where it lay is nobody's business
            assert header["licence"] == "Apache-2.0"
            assert header["provenance"] == bundle.provenance
            assert header["provenance"]["validation_accuracy"] == 0.5
            assert header["class_mix"] == header["provenance"]["class_mix"] == CLASS_MIX
            assert header["precision"] == kind
            assert header["source_sha256"] == sha256_file(exported.bundle)
            opset = 20 if kind == "fp16" else 18
            stored = onnx.load(getattr(exported, kind)).opset_import
            assert {one.domain: one.version for one in stored}[""] == header["opset"] == opset
        assert OnnxModel.load(exported.fp32).header["scores"] == SCORES
        assert OnnxModel.load(exported.fp16).header["scores"] == {}

    def test_scores_of_a_matrix(self, exported, tmp_path):
        matrix = tmp_path / "matrix.csv"
        matrix.write_text(
            "protocol,model,seed,condition,metric,value,low,high,n,drop_from_full\n"
            "standard,full,3,full,accuracy,0.6,0.5,0.7,14,0\n"
            "standard,full,3,full,macro_f1,0.5,,,14,0\n"
            "standard,full,mean,full,accuracy,0.1,0.1,0.1,14,0\n"
            "paper,full,3,left,accuracy,0.4,0.3,0.5,28,0.2\n"
            "standard,left,3,full,accuracy,0.2,0.2,0.2,14,0\n"
        )
        assert scores_of(matrix, exported.bundle) == {
            "standard": {
                "full": {
                    "accuracy": {"value": 0.6, "low": 0.5, "high": 0.7, "n": 14},
                    "macro_f1": {"value": 0.5, "low": None, "high": None, "n": 14},
                }
            },
            "paper": {"left": {"accuracy": {"value": 0.4, "low": 0.3, "high": 0.5, "n": 28}}},
        }
        other = tiny_bundle(tmp_path / "other.safetensors", 4)
        with pytest.raises(
            UsageError, match="has no row of model full, seed 4; it knows full, left"
        ):
            scores_of(matrix, other)
        for content in ("", "a,b\n1,2\n"):
            matrix.write_text(content)
            with pytest.raises(
                DamagedError, match=r"matrix\.csv (of a run|is not a readable CSV table)"
            ):
                scores_of(matrix, exported.bundle)
        with pytest.raises(DamagedError, match="doesn't exist"):
            scores_of(tmp_path / "none.csv", exported.bundle)


class TestCalibration:
    def test_every_image_is_seen_under_every_condition_once(self):
        faces, used = range_faces(TRAIN, ["upper", "diagonal"], TEST)
        keys = ["full", "upper", "lower", "left", "right", "diagonal"]
        assert used["conditions"] == keys
        assert used["faces"] == len(faces) == 16 * len(keys)
        assert used["images"] == 16
        expected = []
        for key in keys:
            hidden = TRAIN.pixels.copy()
            halves = {"upper": np.s_[:, :24], "lower": np.s_[:, 24:], "left": np.s_[:, :, :24],
                      "right": np.s_[:, :, 24:]}  # fmt: skip
            if key in halves:
                hidden[halves[key]] = 0
            elif key == "diagonal":
                hidden[:, :24, :24] = hidden[:, 24:, 24:] = 0
            expected += [face.tobytes() for face in hidden]
        assert sorted(face.tobytes() for face in faces) == sorted(expected)

    @pytest.mark.parametrize("split", ["validation", "test"])
    def test_other_splits_are_refused(self, exported, tmp_path, split):
        mixed = IMAGES.subset((IMAGES.table["split"] != "train").to_numpy())
        for images in (IMAGES.split(split), mixed, IMAGES):
            with pytest.raises(UsageError, match="Calibration takes training images only, but"):
                export(
                    exported.bundle,
                    tmp_path / "x.onnx",
                    ExportOptions(int8=True, ranges_from=images),
                )
        assert list(tmp_path.iterdir()) == []

    def test_what_is_scored_is_left_out(self):
        twins = TEST.table.copy()
        twins.loc[0, "sha256"] = TRAIN.table.loc[3, "sha256"]
        twins.loc[1, "group"] = TRAIN.table.loc[5, "group"]
        scored = type(TEST)(twins, TEST.pixels, TEST.info)
        faces, used = range_faces(TRAIN, [], scored)
        assert used["images"] == 14
        shown = {face.tobytes() for face in faces}
        inside = [face.tobytes() in shown for face in TRAIN.pixels]
        assert [index for index, one in enumerate(inside) if not one] == [3, 5]
        with pytest.raises(UsageError, match="No training image is left to calibrate on"):
            range_faces(TRAIN, [], TRAIN)

    def test_the_file_tells_what_it_was_calibrated_on(self, exported):
        known = OnnxModel.load(exported.int8).header["calibration"]
        assert known["method"] == "percentile"
        assert known["images"] == 16
        assert known["data_sha256"] == TRAIN.info["data_sha256"]
        assert "calibration" not in OnnxModel.load(exported.fp32).header


class TestCommand:
    def test_int8_as_json(self, exported, tmp_path, monkeypatch, capsys):
        out = tmp_path / "mine.onnx"
        code = hemiface(
            monkeypatch, "export", exported.bundle, "--to", "onnx", "--out", out, "--int8",
            "--calibrate", "phantom:n=70", "--calibration", "minmax", "--parity", "phantom:n=140",
            "--split", "validation", "--conditions", "full,upper@mean", "--most-loss", "100",
            "--json",
        )  # fmt: skip
        told = json.loads(capsys.readouterr().out)
        assert code == 0
        assert told["sha256"] == sha256_file(out)
        assert told["bytes"] == out.stat().st_size
        assert told["header"]["precision"] == "int8"
        parity = told["header"]["parity"]
        assert parity["splits"] == ["validation"]
        assert [row["condition"] for row in parity["conditions"]] == ["full", "upper@mean"]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.onnx", "mine.parity.json"]

    def test_a_table_and_the_same_bytes_again(self, exported, tmp_path, monkeypatch, capsys):
        bundle = tmp_path / "b.safetensors"
        bundle.write_bytes(exported.bundle.read_bytes())
        code = hemiface(monkeypatch, "export", bundle, "--precision", "fp16", "--opset", "20")
        said = capsys.readouterr().out
        assert code == 0
        assert "fp16 beside its Bundle on rendered" in said
        assert str(tmp_path / "b-fp16.onnx") in said
        assert (tmp_path / "b-fp16.onnx").read_bytes() == exported.fp16.read_bytes()

    @pytest.mark.parametrize(
        ("arguments", "code", "sentence"),
        [
            (["--to", "tflite"], 2, "Format 'tflite' is unknown; choose onnx."),
            (["--int8"], 2, "int8 needs training images"),
            (["--int8", "--calibrate", "phantom:n=70", "--calibration", "max"], 2, "'max' is unk"),
            (["--int8", "--calibrate", "phantom:n=70", "--calibration", ""], 2, "choose from"),
            (["--most-loss", "1"], 2, "--most-loss is what int8 may lose"),
            (["--scores", "none.csv"], 2, "none.csv doesn't exist"),
        ],
    )
    def test_errors(self, exported, monkeypatch, capsys, arguments, code, sentence):
        assert hemiface(monkeypatch, "export", exported.bundle, *arguments) == code
        assert sentence in capsys.readouterr().err

    def test_a_bundle_is_not_overwritten(self, exported, monkeypatch, capsys):
        before = sha256_file(exported.bundle)
        assert hemiface(monkeypatch, "export", exported.bundle, "--out", exported.bundle) == 2
        assert "must end in .onnx" in capsys.readouterr().err
        assert sha256_file(exported.bundle) == before

    def test_what_is_exported_already_is_no_damaged_bundle(
        self, exported, tmp_path, monkeypatch, capsys
    ):
        monkeypatch.chdir(tmp_path)
        for named, file in ((exported.fp32, exported.fp32), ("nano-int8", "nano-int8.onnx")):
            assert hemiface(monkeypatch, "export", named) == 2
            said = capsys.readouterr().err
            assert f"{file} is an exported file; name the Bundle (*.safetensors)" in said

    def test_a_damaged_bundle(self, exported, tmp_path, monkeypatch, capsys):
        bundle = tmp_path / "b.safetensors"
        bundle.write_bytes(exported.bundle.read_bytes()[:-1])
        assert hemiface(monkeypatch, "export", bundle) == 4
        assert "b.safetensors was damaged" in capsys.readouterr().err
