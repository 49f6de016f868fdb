"""Small real parts that several tests are made of."""

import ctypes
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hemiface import cli
from hemiface.config import ModelConfig, StatisticsOptions
from hemiface.data.images import Images
from hemiface.models.onnx_file import FORMAT, METADATA_KEY
from hemiface.stats.sample import Sample
from hemiface.tables import EMOTIONS, PROBABILITY_COLUMNS, Predictions, Uncovered


def grey_faces(n: int, seed: int = 0, side: int = 48) -> np.ndarray:
    """uint8 [n, side, side] of independent random pixels: no two rows or columns are alike."""
    return np.random.default_rng(seed).integers(0, 256, (n, side, side), dtype=np.uint8)


def smooth_faces(n: int, seed: int = 0, side: int = 48) -> np.ndarray:
    """uint8 [n, side, side] of slow waves, 20..235: interpolating twice hardly changes them."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    waves = np.zeros((n, side, side))
    for _ in range(4):
        fx, fy, phase = rng.uniform(-1.5, 1.5, (3, n, 1, 1))
        waves += np.sin(2 * np.pi * (fx * x + fy * y + phase))
    low = waves.min((1, 2), keepdims=True)
    high = waves.max((1, 2), keepdims=True)
    return np.rint(20 + 215 * (waves - low) / (high - low)).astype(np.uint8)


def mesh(x: float, y: float, angle_deg: float = 0, scale: float = 1, yaw: float = 0) -> np.ndarray:
    """Landmarks [468, 2] of a made-up face that is symmetric and whose lines cross at x, y.

    It is tilted clockwise. With `yaw` its nose sticks out to the side, as that of a turned head,
    and its midline is no longer straight (the crossing is then elsewhere).
    """
    points = np.zeros((468, 2))
    points[:, 0] = np.linspace(-15, 15, 468)
    down = {10: -20, 151: -16, 9: -12, 8: -9, 168: -6, 6: -4, 197: -2, 195: 0, 5: 2, 4: 4, 1: 6}
    down |= {2: 8, 164: 9, 0: 10, 17: 14, 18: 15, 200: 17, 199: 18, 175: 20, 152: 22}
    for index, height in down.items():
        points[index] = yaw * max(0, 8 - abs(height - 6)), height
    angle = np.radians(angle_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return scale * points @ turn.T + [x, y]


def tiny_images(train: int = 16, validation: int = 10, test: int = 14, seed: int = 0) -> Images:
    """Random faces in three splits, every emotion in turn, each image its own group."""
    n = train + validation + test
    return Images.build(
        grey_faces(n, seed),
        labels=[EMOTIONS[index % 7] for index in range(n)],
        splits=["train"] * train + ["validation"] * validation + ["test"] * test,
        dataset="tiny",
        sources=[f"tiny:{index}" for index in range(n)],
        source_rows=np.arange(n),
        info={"skipped": ["tiny:99 is not a picture."]},
    )


def tiny_predictions(n: int = 6, seed: int = 0) -> Predictions:
    """A valid Predictions table: n test images, two models, conditions full and upper."""
    rng = np.random.default_rng(seed)
    cells = []
    for model in ("full-seed0", "upper-seed0"):
        for one in ("full", "upper"):
            cell = pd.DataFrame(
                {
                    "image": [f"{index:016x}" for index in range(n)],
                    "condition": one,
                    "model": model,
                    "dataset": "tiny",
                    "split": "test",
                    "label": [EMOTIONS[index % 7] for index in range(n)],
                    "group": [f"{index // 2:016x}" for index in range(n)],
                    "leaked": [index % 3 == 0 for index in range(n)],
                }
            )
            cell[list(PROBABILITY_COLUMNS)] = rng.dirichlet(np.ones(7), n)
            cells.append(cell)
    return described(pd.concat(cells, ignore_index=True))


def tiny_bundle(path: Path, seed: int = 0, **provenance: object) -> Path:
    """Write a Bundle of an untrained `tiny` network, different for each seed, and return `path`.

    Its head is scaled so that random faces get logits of mean 0 and variance 1: as it is
    initialised every face gets the same probabilities.
    """
    import torch

    from hemiface.networks.network import Bundle, build

    torch.manual_seed(seed)
    config = ModelConfig(architecture="tiny")
    network = build(config).eval()
    with torch.inference_mode():
        logits = network(torch.from_numpy(grey_faces(32, seed=99)))
    weights = network.state_dict()
    weights["backbone.fc.weight"] /= logits.std(0)[:, None]
    weights["backbone.fc.bias"] = (weights["backbone.fc.bias"] - logits.mean(0)) / logits.std(0)
    known = {"model_id": f"full-seed{seed}", "name": "full", "seed": seed, "conditions": ["full"]}
    Bundle(config, weights, {**known, **provenance}).save(path)
    return path


def linear_model(path: Path, seed: int = 0, **header: object) -> Path:
    """An ONNX file as `hemiface export` writes it, whose network is one random linear layer.

    Its metadata say `header` too. Made without torch, in a moment; skips where onnx is absent.
    """
    onnx = pytest.importorskip("onnx", reason="making a model needs hemiface[export]")
    weights = np.random.default_rng(seed).normal(0, 1e-4, (2304, 7)).astype(np.float32)
    make, kind = onnx.helper, onnx.TensorProto
    nodes = [
        make.make_node("Cast", ["faces"], ["real"], to=kind.FLOAT),
        make.make_node("Flatten", ["real"], ["flat"]),
        make.make_node("MatMul", ["flat", "weights"], ["logits"]),
        make.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = make.make_graph(
        nodes, "linear",
        [make.make_tensor_value_info("faces", kind.UINT8, ["n", 48, 48])],
        [make.make_tensor_value_info(one, kind.FLOAT, ["n", 7])
         for one in ("logits", "probabilities")],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )  # fmt: skip
    built = make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=9)
    whole = {
        "format": FORMAT, "model": {}, "emotions": list(EMOTIONS), "size_px": 48,
        "licence": "Apache-2.0", "provenance": {}, "precision": "fp32", "source_sha256": "",
        "opset": 18, "scores": {}, **header,
    }  # fmt: skip
    make.set_model_props(built, {METADATA_KEY: json.dumps(whole)})
    onnx.save(built, path)
    return path


@contextmanager
def without_privileges() -> Iterator[None]:
    """Let root be refused what anybody is refused: files and folders of mode 000.

    Holds for this thread and those that it starts; skips where that can't be done.
    """
    if os.geteuid() != 0:
        yield
        return
    if sys.platform != "linux":
        pytest.skip("root may read everything here")
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    before, fewer = (ctypes.c_uint32 * 6)(), (ctypes.c_uint32 * 6)()
    if libc.capget(header, before) or libc.capget(header, fewer):
        pytest.skip("privileges can't be asked for here")
    fewer[0] &= ~0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, of those in effect
    if libc.capset(header, fewer):
        pytest.skip("privileges can't be given up here")
    try:
        yield
    finally:
        libc.capset(header, before)


def flipped(whole: bytes, n: int) -> Iterator[bytes]:
    """Yield `whole` n times, each with another bit of one of its bytes turned."""
    for place in np.random.default_rng(0).integers(len(whole), size=n):
        spoilt = bytearray(whole)
        spoilt[place] ^= 1 << (place % 8)
        yield bytes(spoilt)


CLASS_MIX = {**dict.fromkeys(EMOTIONS, 0.1), "happy": 0.4}
"""Of the training of made-up networks."""

SCORES = {
    "standard": {
        "full": {"accuracy": {"value": 0.25, "low": 0.2, "high": 0.3, "n": 14}},
        "left": {"accuracy": {"value": 0.125, "low": 0.1, "high": 0.2, "n": 14}},
    }
}


@dataclass(frozen=True)
class Exported:
    """A Bundle and the files that it was exported to."""

    bundle: Path
    fp32: Path
    fp16: Path
    int8: Path


def export_tiny(folder: Path) -> Exported:
    """Export one tiny Bundle as fp32 (with SCORES), fp16 (opset 20) and int8 (on test images)."""
    from hemiface.networks.export import ExportOptions, export
    from hemiface.networks.network import Bundle

    bundle = tiny_bundle(
        folder / "tiny.safetensors",
        3,
        validation_accuracy=0.5,
        config_hash="c",
        class_mix=CLASS_MIX,
    )
    loaded = Bundle.load(bundle)
    replace(loaded, model=replace(loaded.model, weights="/home/me/resnet.pth")).save(bundle)
    images = tiny_images()
    to_int8 = ExportOptions(
        int8=True, ranges_from=images.split("train"), parity=images.split("test"),
        most_loss_points=100,
    )  # fmt: skip
    return Exported(
        bundle,
        export(bundle, options=ExportOptions(scores=SCORES)).path,
        export(bundle, options=ExportOptions(precision="fp16", opset=20)).path,
        export(bundle, options=to_int8).path,
    )


def hemiface(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run the command line in this process; return the exit code."""
    monkeypatch.setattr("sys.argv", ["hemiface", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def scored_predictions(
    outcomes: Mapping[tuple[str, str], np.ndarray],
    labels: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    split: str | np.ndarray = "test",
    confidence: float = 0.7,
) -> Predictions:
    """A Predictions table in which each (model ID, condition) predicts int [n], always as surely.

    What is predicted gets `confidence`, the six others share the rest.
    """
    n = len(labels)
    cells = []
    for (model, condition), predicted in outcomes.items():
        cell = pd.DataFrame(
            {
                "image": [f"{index:016x}" for index in range(n)],
                "condition": condition,
                "model": model,
                "dataset": "made",
                "split": split,
                "label": np.asarray(EMOTIONS)[labels],
                "group": [f"g{group:05}" for group in (np.arange(n) if groups is None else groups)],
                "leaked": False,
            }
        )
        p = np.full((n, 7), (1 - confidence) / 6)
        p[np.arange(n), predicted] = confidence
        cell[list(PROBABILITY_COLUMNS)] = p
        cells.append(cell)
    return described(pd.concat(cells, ignore_index=True))


def described(
    table: pd.DataFrame, models: Mapping[str, object] | None = None, **facts: object
) -> Predictions:
    """Predictions whose models have the names and seeds that their IDs, `<name>-seed<k>`, say.

    `models` are more facts that every model has, such as `flips`; `facts` those of the table.
    """
    known = []
    for model in table["model"].unique():
        name, _, seed = str(model).partition("-seed")
        known.append({"model": model, "name": name, "seed": int(seed or 0), **(models or {})})
    return Predictions(table, {"models": known, **facts})


def uncovered(table: pd.DataFrame, **facts: object) -> Uncovered:
    """A table of samples with its facts, models as `described`."""
    return Uncovered(table, described(table, **facts).facts)


def sampled(
    given: pd.DataFrame | Predictions, protocol: str = "standard", **options: float
) -> Sample:
    """The sample of a table, `described` where it has no facts, with statistics options by name."""
    predictions = given if isinstance(given, Predictions) else described(given)
    return Sample.of(predictions, protocol, StatisticsOptions(**options))


def answers(labels: np.ndarray, right: np.ndarray) -> np.ndarray:
    """int [n]: the label where `right`, else the next emotion in order."""
    return np.where(right, labels, (labels + 1) % 7)


def overconfident(n: int, temperature: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities whose confidence is too high by `temperature`, and labels."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (n, 7))
    truth = _softmax(logits)
    labels = (truth.cumsum(axis=1) < random.random((n, 1))).sum(axis=1)
    return _softmax(logits * temperature), np.minimum(labels, 6)


def overconfident_predictions(
    temperatures: dict[tuple[str, str], float], n: int = 1200, splits=("validation", "test")
) -> Predictions:
    """A table whose (model, condition) cells are overconfident by the temperature given."""
    cells = []
    for (model, condition), temperature in temperatures.items():
        p, labels = overconfident(n, temperature)
        cell = pd.DataFrame(p.astype(np.float32), columns=list(PROBABILITY_COLUMNS)).assign(
            image=[f"{k:016x}" for k in range(n)],
            condition=condition,
            model=model,
            dataset="made",
            split=np.where(np.arange(n) < n // 2, splits[0], splits[1]),
            label=np.asarray(EMOTIONS)[labels],
            group=[f"g{k // 2:05}" for k in range(n)],
            leaked=False,
        )
        cells.append(cell)
    return described(pd.concat(cells, ignore_index=True))


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def rendered(n: int, seed: int = 0) -> Images:
    """Return rendered faces: half to train on, a quarter each to validate and to test."""
    from hemiface.data.phantom import make as phantom

    pixels = phantom.render(np.arange(n) % 7, seed=seed)
    splits = ["train", "train", "validation", "test"] * (n // 4)
    return Images.build(
        pixels, labels=["happy"] * n, splits=splits, dataset="phantom",
        sources=[f"row:{i}" for i in range(n)], source_rows=np.arange(n),
    )  # fmt: skip


class Tiles:
    """In place of a VisibleTiles: tells what it was made with, or what a function says."""

    partly_hidden_above = 0.02

    def __init__(self, say):
        self.say = say

    def predict(self, faces):
        return self.say(faces)


def sentences(parts: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the sentences of all subjects, in their order."""
    return [one for part in parts.values() for one in part]
