"""Exported networks that are opened for training again."""

import dataclasses
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from builders import grey_faces, hemiface, tiny_images
from hemiface.config import ModelConfig
from hemiface.data.phantom import make as phantom
from hemiface.errors import DamagedError, UsageError
from hemiface.files import UNSEALED, seal, sha256_file
from hemiface.models import shipped
from hemiface.models.onnx_file import OnnxModel
from hemiface.networks.export import export
from hemiface.networks.network import Bundle, build, predict
from hemiface.networks.reopened import bundle_of, trainable

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

FACES = np.asarray(phantom.make(200).pixels)


def sealed_again(graph: onnx.ModelProto, path: Path) -> Path:
    for one in graph.metadata_props:
        one.value = re.sub(re.escape(UNSEALED[:-64]) + "[0-9a-f]{64}", UNSEALED, one.value)
    onnx.save(graph, path)
    seal(path)
    return path


def answers(bundle: Bundle, faces: np.ndarray) -> np.ndarray:
    return predict(bundle.network(), torch.from_numpy(faces)).numpy()


class TestAnswers:
    @pytest.mark.parametrize("kind", ["fp32", "fp16"])
    def test_are_the_files(self, exported, kind):
        path = getattr(exported, kind)
        faces = grey_faces(32)
        ours, files = answers(bundle_of(path, FACES), faces), OnnxModel.load(path).predict(faces)
        np.testing.assert_allclose(ours, files, atol=2e-5)

    @pytest.mark.parametrize("name", ["nano-int8", "people-small-int8"])
    def test_of_what_is_shipped_are_the_files_but_for_rounding(self, name):
        path = shipped.path_of(name)
        ours, files = answers(bundle_of(path, FACES), FACES), OnnxModel.load(path).predict(FACES)
        assert np.abs(ours - files).mean() < 0.01
        assert (ours.argmax(1) == files.argmax(1)).mean() > 0.95

    def test_stay_when_normalised_by_the_batch_itself(self, exported):
        # What training does: the statistics put back are those of the images that are trained on.
        bundle = bundle_of(exported.fp32, FACES)
        network = dataclasses.replace(
            bundle, model=dataclasses.replace(bundle.model, dropout=0.0)
        ).network()
        settled = predict(network, torch.from_numpy(FACES))
        with torch.no_grad():
            learning = network.train()(torch.from_numpy(FACES)).softmax(1)
        np.testing.assert_allclose(learning.numpy(), settled.numpy(), atol=1e-4)


class TestRefused:
    def test_weights_that_went_elsewhere(self, exported, tmp_path):
        # A file whose first convolution was turned: its network would answer otherwise.
        graph = onnx.load(exported.fp32)
        conv = next(node for node in graph.graph.node if node.op_type == "Conv")
        conv.input[1] = "moved"
        weights = next(one for one in graph.graph.initializer if one.dims[1:] == [1, 5, 5])
        moved = onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(weights), "moved")
        graph.graph.initializer.append(moved)
        path = sealed_again(graph, tmp_path / "turned.onnx")
        with pytest.raises(UsageError, match="answers otherwise than the network"):
            bundle_of(path, FACES)

    def test_a_graph_of_other_names(self, exported, tmp_path):
        graph = onnx.load(exported.fp32)
        for one in graph.graph.initializer:
            one.name = f"x.{one.name}"
        for node in graph.graph.node:
            node.input[:] = [
                f"x.{name}" if f"x.{name}" in {i.name for i in graph.graph.initializer} else name
                for name in node.input
            ]
        path = sealed_again(graph, tmp_path / "renamed.onnx")
        with pytest.raises(UsageError, match="has no weights of shape"):
            bundle_of(path, FACES)

    def test_a_network_whose_scales_were_folded_otherwise(self, tmp_path):
        model = ModelConfig(architecture="convnext_atto")
        known = {"name": "any", "seed": 0}
        Bundle(model, build(model).state_dict(), known).save(tmp_path / "x.safetensors")
        file = export(tmp_path / "x.safetensors").path
        with pytest.raises(UsageError, match=r"has no weights of shape \[40\] for backbone.stem"):
            bundle_of(file, FACES)

    def test_no_faces(self, exported):
        with pytest.raises(UsageError, match="without training images"):
            bundle_of(exported.fp32, FACES[:0])

    def test_what_is_no_export(self, tmp_path):
        (tmp_path / "x.onnx").write_bytes(b"not a graph")
        with pytest.raises(DamagedError):
            bundle_of(tmp_path / "x.onnx", FACES)


class TestTrainable:
    def test_a_bundle_is_itself(self, exported, tmp_path):
        assert trainable(exported.bundle, tiny_images(), tmp_path) == exported.bundle

    def test_is_made_once(self, exported, tmp_path):
        images = tiny_images()
        first = trainable(exported.fp32, images, tmp_path / "new")
        before = sha256_file(first)
        assert Bundle.load(first).provenance["reopened_sha256"] == sha256_file(exported.fp32)
        first_time = first.stat().st_mtime_ns
        assert trainable(exported.fp32, images, tmp_path / "new").stat().st_mtime_ns == first_time
        # Of another number of images it is made anew.
        fewer = images.subset(np.arange(len(images)) % 2 == 0)
        assert sha256_file(trainable(exported.fp32, fewer, tmp_path / "new")) != before
        # So of as many others: the statistics are theirs.
        others = replace(images, pixels=255 - images.pixels)
        other = sha256_file(trainable(exported.fp32, others, tmp_path / "new"))
        assert other == sha256_file(trainable(exported.fp32, others, tmp_path / "fresh"))
        assert other != before

    def test_two_files_of_one_name_are_two(self, exported, tmp_path):
        """One is what a training starts from, the other its teacher."""
        images = tiny_images()
        other = tmp_path / "other" / exported.fp32.name
        other.parent.mkdir()
        shutil.copy(exported.fp16, other)
        both = [trainable(one, images, tmp_path) for one in (exported.fp32, other)]
        found = [Bundle.load(one).provenance["reopened_sha256"] for one in both]
        assert found == [sha256_file(exported.fp32), sha256_file(other)]

    def test_it_never_lies_where_the_training_puts_its_own(self, exported, tmp_path):
        named = tmp_path / "bundle.onnx"
        shutil.copy(exported.fp32, named)
        assert trainable(named, tiny_images(), tmp_path) != tmp_path / "bundle.safetensors"

    def test_training_starts_from_and_learns_from_shipped_models(self, tmp_path, monkeypatch):
        code = hemiface(
            monkeypatch, "train", "people-small", "--data", "phantom:n=200", "--condition", "full",
            "--init", "nano-int8", "--max-steps", "1", "--out", tmp_path / "run",
            "--set", "model.architecture=nano", "--set", "train.soft_labels=false",
            "--set", "finetune.train.soft_labels=false", "--set", "finetune.train.batch_size=32",
            "--set", "finetune.train.epochs=1",
            "--teacher", "small", "--set", "finetune.distill.logits=1",
        )  # fmt: skip
        assert code == 0
        known = Bundle.load(tmp_path / "run" / "bundle.safetensors").provenance
        for name, word in (("nano-int8", "init"), ("small", "teacher")):
            (opened,) = (tmp_path / "run").glob(f"{name}-*.safetensors")
            assert known[f"{word}_sha256"] == sha256_file(opened)
