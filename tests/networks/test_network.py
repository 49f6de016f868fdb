"""Networks and Bundles: what goes in comes out, and whatever is damaged is called so."""

import json
import math
import os
import platform
import re
import socket
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from builders import flipped, grey_faces, tiny_bundle
from hemiface.config import ModelConfig, as_plain
from hemiface.errors import DamagedError, HemifaceError, UsageError
from hemiface.files import SEAL_KEY
from hemiface.networks.network import Bundle, FaceNetwork, build, predict, resolve_device
from hemiface.networks.precision import has_bf16
from hemiface.provenance import environment
from hemiface.tables import EMOTIONS

pytestmark = pytest.mark.usefixtures("one_thread")

COMPACT = ModelConfig(architecture="compact")
ROUNDING = 2e-5  # single precision, summed in another order


def faces(n: int = 6, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(grey_faces(n, seed))


@pytest.fixture(scope="module")
def bundle_path(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundle") / "bundle.safetensors", note="ü")


@pytest.fixture(scope="module")
def network(bundle_path) -> FaceNetwork:
    return Bundle.load(bundle_path).network()


class _Recorder(nn.Module):
    """A backbone that shows what enters it."""

    def forward(self, entered):
        self.entered = entered
        return torch.zeros(len(entered), 7)


class TestPreprocessing:
    @pytest.mark.parametrize("channels", [1, 3])
    def test_one_mean_serves_equal_copies(self, channels):
        network = FaceNetwork(ModelConfig(channels=channels), _Recorder())
        network(faces())
        expected = (grey_faces(6) / 255 - 0.5) / 0.25
        assert network.backbone.entered.shape == (6, channels, 48, 48)
        for channel in network.backbone.entered.unbind(1):
            np.testing.assert_allclose(channel, expected, atol=1e-6)

    def test_three_means_normalise_each_copy(self):
        mean, std = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
        network = FaceNetwork(ModelConfig(channels=3, mean=mean, std=std), _Recorder())
        network(faces().float())
        for channel, m, s in zip(network.backbone.entered.unbind(1), mean, std, strict=True):
            np.testing.assert_allclose(channel, (grey_faces(6) / 255 - m) / s, atol=1e-5)

    def test_it_is_not_among_the_weights(self):
        assert not any("mean" in name.split(".") for name in build(COMPACT).state_dict())


class TestBuild:
    def test_compact_is_what_its_description_says(self):
        network = build(COMPACT)
        parameters = sum(one.numel() for one in network.parameters())
        assert round(parameters / 1e6, 1) == 2.8
        stem = network.backbone.conv1
        assert (stem.in_channels, stem.kernel_size, stem.stride) == (1, (3, 3), (2, 2))
        stages = [getattr(network.backbone, f"layer{stage}") for stage in (1, 2, 3, 4)]
        assert [len(stage) for stage in stages] == [2, 2, 2, 2]
        assert [stage[-1].conv2.out_channels for stage in stages] == [32, 64, 128, 256]
        assert network(faces()).shape == (6, 7)

    def test_nano_is_what_its_description_says(self):
        network = build(ModelConfig(architecture="nano")).eval()
        parameters = sum(one.numel() for one in network.parameters())
        assert round(parameters / 1e6, 2) == 0.33
        with torch.inference_mode():
            features = network.backbone.forward_features(torch.zeros(1, 1, 48, 48))
        assert features.shape == (1, 96, 3, 3)
        with pytest.raises(UsageError, match="The nano network has no pretrained weights"):
            build(ModelConfig(architecture="nano", pretrained=True))

    def test_tiny_is_what_its_description_says(self):
        network = build(ModelConfig(architecture="tiny")).eval()
        assert round(sum(one.numel() for one in network.parameters()) / 1e6, 2) == 0.32
        with torch.inference_mode():
            assert network.backbone.conv1(torch.zeros(1, 1, 48, 48)).shape == (1, 64, 16, 16)
            features = network.backbone.forward_features(torch.zeros(1, 1, 48, 48))
        assert features.shape == (1, 128, 2, 2)
        with pytest.raises(UsageError, match="The tiny network has no pretrained weights"):
            build(ModelConfig(architecture="tiny", pretrained=True))

    @pytest.mark.parametrize("stem", ["imagenet", "3x3"])
    def test_compact_keeps_its_own_stem(self, stem):
        stem_of = build(ModelConfig(architecture="compact", stem=stem)).backbone.conv1
        assert (stem_of.kernel_size, stem_of.stride) == ((3, 3), (2, 2))

    @pytest.mark.parametrize(
        ("stem", "kernel", "stride", "side"),
        [
            ("imagenet", 7, 2, 2),
            ("3x3", 3, 1, 6),
            ("3x3-stride2", 3, 2, 3),
            ("5x5-stride3", 5, 3, 2),
        ],
    )
    def test_stems_of_a_resnet_and_what_they_leave_of_48_pixels(self, stem, kernel, stride, side):
        backbone = build(ModelConfig(architecture="resnet18", stem=stem, channels=3)).backbone
        conv = backbone.conv1
        assert (conv.in_channels, conv.out_channels) == (3, 64)
        assert (conv.kernel_size, conv.stride) == ((kernel, kernel), (stride, stride))
        assert isinstance(backbone.maxpool, nn.MaxPool2d) == (stem == "imagenet")
        backbone.eval()
        with torch.inference_mode():
            features = backbone.forward_features(torch.zeros(1, 3, 48, 48))
        assert features.shape == (1, 512, side, side)

    def test_the_global_random_state_decides_the_weights(self):
        states = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            states.append(build(COMPACT).state_dict()["backbone.conv1.weight"])
        assert torch.equal(states[0], states[1])
        assert not torch.equal(states[0], states[2])

    def test_dropout_works_in_training_only(self):
        network = build(ModelConfig(architecture="compact", dropout=0.5)).train()
        one = torch.repeat_interleave(faces(1), 4, dim=0)
        drawn = network(one)
        assert not torch.equal(drawn[0], drawn[1])
        network.eval()
        assert torch.equal(network(one), network(one))

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            ({"architecture": "resnet5"}, "Architecture 'resnet5' is not in timm; did you mean "),
            ({"architecture": "resnet81"}, "is not in timm; did you mean resnet18"),
            ({"architecture": "zzz"}, "Architecture 'zzz' is not in timm; timm.list_models()"),
            ({"architecture": "resnet18.nope"}, "timm can't build resnet18.nope"),
            (
                {"architecture": "mobilenetv3_small_050", "stem": "3x3"},
                "Stem 3x3 is for ResNets of timm; mobilenetv3_small_050 needs model.stem=imagenet.",
            ),
            (
                {"architecture": "compact", "pretrained": True},
                "The compact network has no pretrained weights; set model.pretrained=false.",
            ),
            (
                {"architecture": "compact", "weights": "x.pth"},
                "The compact network has no pretrained weights",
            ),
            (
                {"architecture": "resnet18", "weights": "none.pth"},
                "model.weights none.pth doesn't exist; check the path.",
            ),
        ],
    )
    def test_what_can_not_be_built(self, options, sentence):
        with pytest.raises(UsageError, match=re.escape(sentence)):
            build(ModelConfig(**options))

    @pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "mixer_s16_224"])
    def test_backbones_of_one_size_are_built_for_48_pixels(self, name):
        assert build(ModelConfig(architecture=name)).eval()(faces(1)).shape == (1, 7)


class TestPretrained:
    def test_offline_the_sentence_says_what_to_do_and_nothing_is_asked(self, monkeypatch, tmp_path):
        constants = pytest.importorskip("huggingface_hub.constants")
        # The variable is read when the library is imported, so its value is set as well.
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        asked = []
        monkeypatch.setattr(socket.socket, "connect", lambda _, address: asked.append(address))
        with pytest.raises(
            HemifaceError,
            match=r"The pretrained weights of resnet18 can't be loaded \(.+\); connect to the "
            r"network once, name a local file with --set model\.weights=PATH, or start from "
            r"random weights with --set model\.pretrained=false\.",
        ) as caught:
            build(ModelConfig(architecture="resnet18", pretrained=True))
        assert caught.value.exit_code == 1
        assert asked == []

    def test_a_bundle_of_pretrained_origin_needs_no_weights(self):
        config = ModelConfig(architecture="resnet18", pretrained=True, weights="gone.pth")
        weights = build(config, pretrained=False).state_dict()
        assert Bundle(config, weights).network()(faces(1)).shape == (1, 7)

    def test_a_local_file_that_holds_no_weights(self, tmp_path):
        (tmp_path / "text.pth").write_text("no weights")
        config = ModelConfig(architecture="resnet18", weights=str(tmp_path / "text.pth"))
        with pytest.raises(HemifaceError, match=r"model\.weights .*text\.pth can't be loaded into"):
            build(config)

    def test_weights_from_a_local_file(self, tmp_path):
        """ImageNet weights have another head and three input channels, which timm sums to one."""
        import timm

        torch.manual_seed(3)
        imagenet = timm.create_model("resnet18", pretrained=False).state_dict()
        save_file(imagenet, tmp_path / "resnet18.safetensors")
        config = ModelConfig(
            architecture="resnet18", weights=str(tmp_path / "resnet18.safetensors")
        )
        state = build(config).backbone.state_dict()
        assert torch.equal(state["layer4.1.conv2.weight"], imagenet["layer4.1.conv2.weight"])
        torch.testing.assert_close(
            state["conv1.weight"], imagenet["conv1.weight"].sum(1, keepdim=True)
        )
        assert state["fc.weight"].shape == (7, 512)

    def written(self, folder, rename=str, *, leave="none", **options) -> ModelConfig:
        """Write a state dict of timm's smallest ResNet, and return the config that names it."""
        import timm

        found = timm.create_model("test_resnet", **options).state_dict()
        kept = {rename(name): value for name, value in found.items() if not name.startswith(leave)}
        torch.save(kept, folder / "w.pt")
        return ModelConfig(architecture="test_resnet", weights=str(folder / "w.pt"))

    @pytest.mark.parametrize("prefix", ["backbone.", "model."])
    def test_weights_under_other_names_are_none(self, tmp_path, prefix):
        config = self.written(tmp_path, lambda name: prefix + name)
        with pytest.raises(
            HemifaceError, match=r"w\.pt holds nothing that test_resnet knows"
        ) as said:
            build(config)
        assert f"(its first name is '{prefix}conv1" in str(said.value)

    def test_weights_that_lack_a_part_are_refused(self, tmp_path):
        config = self.written(tmp_path, leave="layer4.0.bn1.running")
        with pytest.raises(
            HemifaceError, match=r"lacks 2 of .* first is layer4\.0\.bn1\.running_me"
        ):
            build(config)

    def test_of_seven_classes_the_last_layer_stays_out_and_this_is_said(self, tmp_path, caplog):
        torch.manual_seed(3)
        config = self.written(tmp_path, num_classes=7, in_chans=1)
        caplog.set_level("INFO", "hemiface")
        state, told = build(config).backbone.state_dict(), torch.load(tmp_path / "w.pt")
        assert torch.equal(state["conv1.0.weight"], told["conv1.0.weight"])
        assert not torch.equal(state["fc.weight"], told["fc.weight"])
        assert "fc.weight, fc.bias stay out, they are learnt anew" in caplog.text

    def test_the_last_layer_is_drawn_as_without_a_look_and_a_stem_that_stays_is_needed(
        self, tmp_path
    ):
        import timm

        imagenet = timm.create_model("resnet10t").state_dict()
        torch.save(imagenet, tmp_path / "w.pt")
        config = ModelConfig(architecture="resnet10t", weights=str(tmp_path / "w.pt"))
        torch.manual_seed(5)
        drawn = timm.create_model("resnet10t", num_classes=7, in_chans=1).state_dict()
        torch.manual_seed(5)
        assert torch.equal(build(config).backbone.fc.weight, drawn["fc.weight"])
        for name in [name for name in imagenet if name.startswith("conv1.0")]:
            del imagenet[name]
        torch.save(imagenet, tmp_path / "w.pt")
        with pytest.raises(HemifaceError, match=r"lacks 1 of .* weights of resnet10t"):
            build(config)

    def test_a_bundle_is_no_state_dict(self, bundle_path):
        with pytest.raises(UsageError, match=r"is a Bundle, .*start from it with train --init"):
            build(ModelConfig(architecture="resnet18", weights=str(bundle_path)))

    @pytest.mark.parametrize("architecture", ["resnet18", "legacy_seresnet18"])
    def test_hemiface_offline_asks_nothing_of_the_network(self, tmp_path, architecture):
        """In a process of its own: timm's hub reads its variable when it is imported."""
        code = f"""if True:
            import socket
            def refused(*given, **options):
                raise SystemExit("the network was asked")
            socket.getaddrinfo = socket.socket.connect = refused
            from hemiface.config import ModelConfig
            from hemiface.errors import HemifaceError
            from hemiface.networks.network import build
            try:
                build(ModelConfig(architecture="{architecture}", pretrained=True))
            except HemifaceError as error:
                print(error)
        """
        without = {"HEMIFACE_OFFLINE": "1", "HF_HOME": str(tmp_path), "TORCH_HOME": str(tmp_path)}
        told = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, **without}, capture_output=True,
            text=True, timeout=120, check=False,
        )  # fmt: skip
        assert told.returncode == 0, told.stderr
        assert "can't be loaded (" in told.stdout
        assert "; unset HEMIFACE_OFFLINE once, name a local file" in told.stdout


class TestPredict:
    def test_probabilities_are_the_softmax_of_the_logits(self, network):
        values = predict(network, faces())
        with torch.inference_mode():
            logits = network(faces()).double()
        expected = logits.exp() / logits.exp().sum(1, keepdim=True)
        assert (values.dtype, values.shape) == (torch.float32, (6, 7))
        np.testing.assert_allclose(values, expected, atol=1e-6)
        assert values.std(0).max() > 1e-3  # the images are told apart

    @given(size=st.integers(1, 30))
    @settings(max_examples=8)
    def test_batches_do_not_matter(self, network, size):
        whole = predict(network, faces(23))
        np.testing.assert_allclose(predict(network, faces(23), size), whole, atol=ROUNDING)

    def test_a_network_in_training_is_put_into_evaluation_and_left_alone(self):
        network = build(COMPACT).train()
        before = {name: value.clone() for name, value in network.state_dict().items()}
        one, other = predict(network, faces(4)), predict(network, faces(1))
        np.testing.assert_allclose(one[:1], other, atol=ROUNDING)
        assert not network.training
        after = network.state_dict()
        assert all(torch.equal(after[name], value) for name, value in before.items())

    def test_no_faces_no_rows(self, network):
        assert predict(network, faces()[:0]).shape == (0, 7)


class TestBundle:
    def test_comes_back_bit_by_bit(self, bundle_path, tmp_path):
        loaded = Bundle.load(bundle_path)
        loaded.save(tmp_path / "again.safetensors")
        again = Bundle.load(tmp_path / "again.safetensors")
        assert list(again.weights) == list(loaded.weights)
        for name, value in loaded.weights.items():
            assert again.weights[name].dtype == value.dtype
            assert torch.equal(again.weights[name], value)
        assert (again.model, again.provenance) == (loaded.model, loaded.provenance)
        assert again.provenance["note"] == "ü"
        assert (again.emotions, again.size_px) == (EMOTIONS, 48)
        np.testing.assert_array_equal(
            predict(again.network(), faces()), predict(loaded.network(), faces())
        )
        assert (tmp_path / "again.safetensors").read_bytes() == bundle_path.read_bytes()

    @pytest.mark.parametrize(
        ("name", "dtype", "provenance", "sentence"),
        [
            ("b.onnx", torch.float32, {}, "name it .*safetensors"),
            ("b.safetensors", torch.int8, {}, "would lose their fractions"),
            ("b.safetensors", torch.float32, {"loss": math.nan}, "can't be written as JSON"),
        ],
    )
    def test_what_could_not_be_read_is_not_written(
        self, bundle_path, tmp_path, name, dtype, provenance, sentence
    ):
        bundle = replace(Bundle.load(bundle_path), provenance=provenance)
        with pytest.raises(UsageError, match=sentence):
            bundle.save(tmp_path / name, dtype)
        assert not list(tmp_path.iterdir())

    def test_a_device_that_is_not_here(self, bundle_path):
        with pytest.raises(UsageError, match="Device 'tpu' isn't here"):
            Bundle.load(bundle_path).network("tpu")

    def test_holds_the_weights_of_the_network_that_was_trained(self, tmp_path):
        network = build(COMPACT)
        network.to(memory_format=torch.channels_last)
        network(faces())  # in training mode: the running statistics move
        Bundle(COMPACT, network.state_dict()).save(tmp_path / "b.safetensors")
        loaded = Bundle.load(tmp_path / "b.safetensors").network()
        assert not loaded.training
        np.testing.assert_allclose(predict(loaded, faces()), predict(network, faces()), atol=1e-6)
        counters = [v for n, v in loaded.state_dict().items() if n.endswith("batches_tracked")]
        assert counters
        stored = Bundle.load(tmp_path / "b.safetensors").weights
        assert {str(value.dtype) for value in stored.values()} == {"torch.float32", "torch.int64"}
        assert all(int(counter) == 1 for counter in counters)

    def test_half_precision_halves_the_file_and_rounds_the_weights(self, bundle_path, tmp_path):
        bundle = Bundle.load(bundle_path)
        bundle.save(tmp_path / "half.safetensors", torch.float16)
        half = Bundle.load(tmp_path / "half.safetensors")
        for name, value in bundle.weights.items():
            stored = half.weights[name]
            expected = value.half() if value.is_floating_point() else value
            assert stored.dtype == expected.dtype
            assert torch.equal(stored, expected)
        sizes = [path.stat().st_size for path in (tmp_path / "half.safetensors", bundle_path)]
        assert 0.5 < sizes[0] / sizes[1] < 0.52
        network = half.network()
        assert {one.dtype for one in network.parameters()} == {torch.float32}
        np.testing.assert_allclose(
            predict(network, faces()), predict(bundle.network(), faces()), atol=5e-3
        )

    def test_other_programs_read_weights_and_metadata(self, bundle_path):
        weights = load_file(bundle_path)
        torch.testing.assert_close(weights, Bundle.load(bundle_path).weights, rtol=0, atol=0)
        raw = bundle_path.read_bytes()
        header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
        own = json.loads(header["__metadata__"]["hemiface"])
        assert own["emotions"] == list(EMOTIONS)
        assert own["model"] == as_plain(ModelConfig(architecture="tiny"))


class TestDamage:
    def header(self, **changes) -> dict:
        whole = {
            "format": 1, "model": as_plain(COMPACT), "emotions": list(EMOTIONS), "size_px": 48,
            "provenance": {},
        }  # fmt: skip
        return {**whole, **changes}

    def load(self, folder, header, weights=None):
        path = folder / "b.safetensors"
        metadata = {} if header is None else {"hemiface": json.dumps(header)}
        save_file({"a": torch.zeros(1)} if weights is None else weights, path, metadata)
        return Bundle.load(path)

    @pytest.mark.parametrize("model", [
        {"architecture": "vit_huge_patch14_224"},
        {"architecture": "vit_giant_patch14_224"},
    ])  # fmt: skip
    def test_a_header_that_names_gigabytes_gets_none(self, tmp_path, monkeypatch, model):
        """A file of some hundred bytes, whose network would have gigabytes of weights."""
        config = ModelConfig(**model, stem="imagenet", pretrained=False)
        Bundle(model=config, weights={"a": torch.zeros(1)}).save(tmp_path / "a.safetensors")
        bundle = Bundle.load(tmp_path / "a.safetensors")
        built_on = []

        def noted(*given: object, **options: object) -> FaceNetwork:
            built_on.append(torch.empty(0).device.type)
            return build(*given, **options)

        monkeypatch.setattr("hemiface.networks.network.build", noted)
        with pytest.raises(DamagedError, match="weights don't fit"):
            bundle.network()
        assert built_on == ["meta"]

    @pytest.mark.timeout(60)
    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
    def test_a_pipe_is_not_waited_for(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(DamagedError, match="pipe is a named pipe, not a file"):
            Bundle.load(tmp_path / "pipe")

    def test_a_file_of_any_length_is_not_read(self, tmp_path):
        with (tmp_path / "a.safetensors").open("wb") as file:
            file.truncate(20_000_000_000)
        with pytest.raises(DamagedError, match="20,000,000,000 bytes, over the limit of"):
            Bundle.load(tmp_path / "a.safetensors")

    def test_a_missing_file(self, tmp_path):
        with pytest.raises(DamagedError, match=r"Bundle .*none doesn't exist; check the path\."):
            Bundle.load(tmp_path / "none")
        with pytest.raises(DamagedError, match="is a folder, not a file"):
            Bundle.load(tmp_path)

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda raw: raw[:0],
            lambda raw: raw[:1],
            lambda raw: raw[:100],
            lambda raw: raw[: len(raw) // 2],
            lambda raw: raw[:-1],
            lambda raw: raw + b"x",
            lambda raw: b"This is no bundle at all." * 40 + raw[1000:],
            lambda raw: raw[:8] + b"\x00" * 64 + raw[72:],
        ],
    )
    def test_truncated_and_foreign_bytes(self, bundle_path, tmp_path, spoil):
        path = tmp_path / "b.safetensors"
        path.write_bytes(spoil(bundle_path.read_bytes()))
        with pytest.raises(
            DamagedError,
            match=r"b\.safetensors (is|was) damaged.+; get it",
        ) as caught:
            Bundle.load(path)
        assert caught.value.exit_code == 4

    def test_no_flipped_byte_changes_an_answer(self, bundle_path, tmp_path):
        """Bytes all over the file: most lie in weights, where nothing else would tell."""
        whole = bundle_path.read_bytes()
        path = tmp_path / "b.safetensors"
        for spoilt in flipped(whole, 20):
            path.write_bytes(spoilt)
            with pytest.raises(DamagedError, match=r"b\.safetensors "):
                Bundle.load(path)

    def test_a_bundle_of_before_has_no_seal_and_is_read(self, bundle_path, tmp_path):
        with safe_open(bundle_path, framework="pt") as file:
            header = json.loads(file.metadata()["hemiface"])
            del header[SEAL_KEY]
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        save_file(weights, tmp_path / "old.safetensors", {"hemiface": json.dumps(header)})
        old, new = Bundle.load(tmp_path / "old.safetensors"), Bundle.load(bundle_path)
        assert old.provenance == new.provenance
        assert all(torch.equal(old.weights[name], value) for name, value in new.weights.items())

    def test_another_class_order(self, tmp_path):
        with pytest.raises(DamagedError, match=r"orders its classes \('neutral', 'surprise'"):
            self.load(tmp_path, self.header(emotions=list(reversed(EMOTIONS))))

    def test_another_format(self, tmp_path):
        with pytest.raises(DamagedError, match="has format 2, this hemiface reads 1"):
            self.load(tmp_path, self.header(format=2))

    @pytest.mark.parametrize("key", ["format", "model", "emotions", "size_px", "provenance"])
    def test_a_header_that_lacks_something(self, tmp_path, key):
        header = self.header()
        del header[key]
        with pytest.raises(DamagedError, match=rf"Bundle .*is damaged .*{key}"):
            self.load(tmp_path, header)

    @pytest.mark.parametrize(
        "header",
        [
            [],
            {"model": []},
            {"model": 3},
            {"model": {"stemm": "3x3"}},
            {"model": {"channels": "x"}},
            {"emotions": 3},
            {"size_px": 64},
            {"provenance": {"conditions": [1]}},
            {"model": {"mean": [1.0, 2.0], "std": [1.0, 2.0]}},
            {"model": {"dropout": 5.0}},
            {"model": {"std": [0.0]}},
        ],
    )
    def test_a_header_of_another_kind(self, tmp_path, header):
        whole = self.header(**header) if header else header
        with pytest.raises(DamagedError, match=r"Bundle .*is damaged"):
            self.load(tmp_path, whole)

    def test_safetensors_of_others(self, tmp_path):
        with pytest.raises(DamagedError, match=r"Bundle .*is damaged"):
            self.load(tmp_path, None)

    def test_weights_of_another_network(self, tmp_path):
        bundle = self.load(tmp_path, self.header())
        with pytest.raises(DamagedError, match=r"don't fit compact \(Missing key.+conv1\.weight"):
            bundle.network()
        weights = build(COMPACT).state_dict()
        weights["backbone.conv1.weight"] = torch.zeros(32, 3, 3, 3)
        with pytest.raises(DamagedError, match="The weights don't fit compact"):
            Bundle(COMPACT, weights).network()


class TestDevice:
    def test_auto_takes_what_is_there(self):
        best = "cuda" if torch.cuda.is_available() else None
        best = best or ("mps" if torch.backends.mps.is_available() else "cpu")
        assert resolve_device("auto") == best
        assert resolve_device("cpu") == "cpu"

    @pytest.mark.parametrize("name", ["tpu", "gpu", ""])
    def test_an_unknown_one(self, name):
        with pytest.raises(UsageError, match=f"Device '{name}' isn't here; choose auto or one of "):
            resolve_device(name)

    def test_an_absent_one(self):
        if torch.cuda.is_available():
            pytest.skip("there is a GPU")
        with pytest.raises(UsageError, match=r"Device 'cuda' isn't here; .* cpu\."):
            resolve_device("cuda")


@pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64")
    or not hasattr(torch.cpu, "get_capabilities"),
    reason="only Linux on x86-64 lists these instructions by these names, for newer torch",
)
def test_torch_and_linux_agree_on_bf16():
    listed = environment()["hardware"]["instructions"]
    assert has_bf16("cpu") == bool({"avx512_bf16", "amx_bf16"} & set(listed))


@pytest.mark.parametrize("able", [True, False])
def test_a_gpu_that_imitates_bf16_has_none(able, monkeypatch):
    def supported(including_emulation: bool = True) -> bool:
        return including_emulation or able

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert has_bf16("cuda") == able
    assert has_bf16("mps")
