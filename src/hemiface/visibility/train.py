"""Training of the network behind `hemiface.models.visible_tiles`, and its way to ONNX.

Trained on the training images under drawn occluders (see `visibility.covered_faces`), the epoch
selected on the validation images; test images are never seen. A checkpoint after every epoch lets
the same command go on where it was stopped, with the same result.
"""

import csv
import json
import logging
import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from hemiface.config import as_plain, config_hash
from hemiface.data.images import Images
from hemiface.data.rows import pick_rows
from hemiface.errors import HemifaceError, UsageError
from hemiface.files import SEAL_KEY, UNSEALED, atomic_path, hash_json, seal
from hemiface.inputs import open_lines, require_file
from hemiface.locks import locked
from hemiface.models.onnx_file import FORMAT, METADATA_KEY
from hemiface.models.visible_tiles import GRID, KIND, VisibleTiles, tile_shares
from hemiface.networks import checkpoint_files
from hemiface.networks.precision import trained_in
from hemiface.occlusion.occluders import NOTHING, SEEN
from hemiface.provenance import Mark
from hemiface.tables import FER2013_SIZE_PX, write_csv
from hemiface.visibility.covered_faces import Covering, ReallyCovered, examples, fixed_examples

__all__ = ["TileNetwork", "VisibilityConfig", "train"]

log = logging.getLogger(__name__)

MODEL_FILE = "visibility.onnx"
LICENCE = "Apache-2.0"
_OPSET = 18
_FALSE_ALARMS = 0.05
_NOTHING_RISES = 10
"""Steps of which a tenth less one is none."""


@dataclass(frozen=True)
class VisibilityConfig:
    """How the network is trained; the defaults are those of the shipped one."""

    seed: int = 0
    """Of the weights, the order and everything drawn."""
    epochs: int = 40
    """Passes over the training images."""
    batch_size: int = 128
    """Faces a step."""
    learning_rate: float = 4e-3
    """The largest, of AdamW; it rises over the first tenth and falls to nothing (one cycle)."""
    weight_decay: float = 0.02
    """Of AdamW."""
    width: int = 32
    """Channels at 12 x 12; half of it at 24 x 24, twice at 6 x 6."""
    ema_decay: float = 0.99
    """The kept weights are this average over steps."""
    precision: Literal["fp32", "bf16"] = "bf16"
    """Of the products; weights stay in single precision. A processor without instructions for bf16
    computes in fp32, which is faster there."""
    caution: float = 2.0
    """Taken from every tile's logit when the training is done: real things are seen less surely
    than drawn ones. The default was chosen on photos of people with and without masks, that half of
    them which is called development (`validity/masks.py`)."""
    covering: Covering = field(default_factory=Covering)
    """What is drawn on the faces."""

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size, self.width) < 1 or self.learning_rate <= 0:
            raise UsageError("Epochs, batch_size, width and learning_rate must be positive.")
        if self.width % 2 or not 0 <= self.ema_decay < 1:
            raise UsageError("The width must be even and ema_decay lie in 0..1, below 1.")
        if self.seed < 0 or not 0 <= self.weight_decay < math.inf:
            raise UsageError("The seed and weight_decay must not be negative.")


class TileNetwork(nn.Module):
    """Faces uint8 [n, 48, 48] -> logits [n, 12, 12] of each tile's visible share."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half, twice = width // 2, width * 2
        self.fine = nn.Sequential(
            _convolution(1, half, stride=2), _convolution(half, width, stride=2)
        )
        self.middle = _convolution(width, width)
        self.coarse = nn.Sequential(
            _convolution(width, twice, stride=2), _convolution(twice, twice)
        )
        self.overall = nn.Linear(twice, twice)
        self.narrow = nn.Conv2d(twice, width, 1)
        self.join = _convolution(width, width)
        self.last = nn.Conv2d(width, 1, 1)

    def forward(self, faces: Tensor) -> Tensor:
        """See the class."""
        x = (faces.unsqueeze(1).float() - 127.5) / 64
        fine = self.middle(self.fine(x))
        coarse = self.coarse(fine)
        overall = self.overall(coarse.mean((2, 3)))
        coarse = functional.relu(coarse + overall[:, :, None, None])
        above = functional.interpolate(self.narrow(coarse), scale_factor=2.0, mode="nearest")
        logits: Tensor = self.last(self.join(functional.relu(fine + above))).squeeze(1)
        return logits


def _convolution(channels: int, result: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, result, 3, stride, 1, bias=False), nn.BatchNorm2d(result), nn.ReLU()
    )


def train(
    images: Images,
    config: VisibilityConfig,
    out: str | Path,
    *,
    max_epochs: int | None = None,
    real: Path | None = None,
) -> Path:
    """Train and write `visibility.onnx` and `history.csv` into `out`; return the model's path.

    `real` is a CSV file whose columns `row` and `covers` name rows of FER2013 and what a real thing
    covers there (see `covered_faces.REAL_THINGS`). Those among the training images are learnt from,
    or left out where `covers` is empty.

    An interrupted training goes on from `out/checkpoint`, where config, data and code are the same,
    and from the epoch before where the last checkpoint is damaged. `max_epochs` ends it early, with
    the best of the epochs so far and the schedule unchanged.

    Raises:
        UsageError: there are no training or no validation images, max_epochs isn't positive,
            another training is writing into the folder, or the list names no training image or an
            unknown region.
        MissingError: the list doesn't exist.
        DamagedError: there are checkpoints, and none of them is whole; or the list can't be read.
    """
    if max_epochs is not None and max_epochs < 1:
        raise UsageError(f"max_epochs must be positive, got {max_epochs}.")
    if real is not None:
        require_file(real, hint="check --real")
    with locked(Path(out)):
        return _train(images, config, Path(out), max_epochs, real)


def _train(
    images: Images,
    config: VisibilityConfig,
    folder: Path,
    max_epochs: int | None,
    real: Path | None,
) -> Path:
    run = _Run(images, config, real)
    inputs = [config_hash(config), images.info["data_sha256"]]
    inputs += [] if real is None else [run.real_things["hash"]]
    fingerprint = Mark.of(inputs, __name__).fingerprint
    checkpoints = folder / "checkpoint"
    history = run.resume(checkpoints, fingerprint)
    last = min(config.epochs, max_epochs or config.epochs)
    for epoch in range(len(history) + 1, last + 1):
        started = time.perf_counter()
        with _flushing_denormals():
            loss, known = run.epoch(epoch), run.validate()
        row = {"epoch": epoch, "train_loss": loss, "validation_loss": known}
        seconds, threads = time.perf_counter() - started, torch.get_num_threads()
        history.append({**row, "seconds": seconds, "threads": threads})
        run.keep_best(row["validation_loss"], epoch)
        content = {"fingerprint": fingerprint, "history": history, "state": run.state()}
        checkpoint_files.save(content, checkpoints)
        write_csv(pd.DataFrame(history), folder / "history.csv")
        log.info("epoch %d/%d  loss %.4f  validation loss %.4f  %.0f s", epoch, config.epochs,
                 row["train_loss"], row["validation_loss"], history[-1]["seconds"])  # fmt: skip
    network = run.best_network()
    provenance = {
        "data_sha256": images.info["data_sha256"],
        "source_sha256": images.info["source_sha256"],
        "train_images": len(run.pixels),
        "validation_images": len(run.known.pixels),
        "epoch": run.best["epoch"],
        "parameters": sum(one.numel() for one in network.parameters()),
        "occluders": list(SEEN),
        "really_covered": run.real_things,
        "fingerprint": fingerprint,
        "training_s": sum(row["seconds"] for row in history),
        "threads": sorted({row["threads"] for row in history if "threads" in row}),
        "precision": run.precision,
    }
    return _write_onnx(network, config, provenance, run, folder / MODEL_FILE)


@contextmanager
def _flushing_denormals() -> Iterator[None]:
    """Spare the processor numbers next to 0, which it is slow at; then be exact again."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


class _Validation:
    """The validation images, half of them under one occluder, the same ones every time."""

    def __init__(self, images: Images) -> None:
        held = images.split("validation")
        if not len(held):
            raise UsageError("The data has no validation images to select the epoch on.")
        ids = held.table["image"].tolist()
        self.pixels, visible, kinds = fixed_examples(held.pixels, ids, SEEN)
        self.tiles = tile_shares(visible)
        self.bare = np.array([kind == NOTHING for kind in kinds])
        if not self.bare.any():
            raise UsageError(
                f"Of {len(held)} validation images none stays bare, by which alarms are set; give "
                "more."
            )


class _Run:
    """A training's state."""

    def __init__(self, images: Images, config: VisibilityConfig, real: Path | None) -> None:
        self.config = config
        self.precision = trained_in(config.precision, "cpu", "the network for visibility")
        held = images.split("train")
        if not len(held):
            raise UsageError("The data has no training images.")
        self.pixels = held.pixels
        self.covered: ReallyCovered | None = None
        self.real_things: dict[str, Any] = {}
        """How many training images a real thing covers by the list, by region, how many it leaves
        out, and a hash of what it says of them."""
        if real is not None:
            listed, self.covered, self.real_things = _listed(held, real)
            self.pixels = self.pixels[~listed]
        self.known = _Validation(images)
        torch.manual_seed(config.seed)
        self.network = TileNetwork(config.width).to(memory_format=torch.channels_last)
        self.averaged = TileNetwork(config.width)
        self.averaged.load_state_dict(self.network.state_dict())
        decayed = [one for one in self.network.parameters() if one.ndim > 1]
        spared = [one for one in self.network.parameters() if one.ndim == 1]
        groups: list[dict[str, Any]] = [
            {"params": decayed}, {"params": spared, "weight_decay": 0.0}
        ]  # fmt: skip
        self.optimizer = torch.optim.AdamW(
            groups,
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
        )
        self.steps = -(-len(self.pixels) // config.batch_size)
        total = self.steps * config.epochs
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, config.learning_rate, total, cycle_momentum=False,
            # torch's first part lasts a tenth less one step: of ten steps that is nothing, by
            # which it divides.
            pct_start=0.1 if total != _NOTHING_RISES else 0.2,
        )  # fmt: skip
        self.best: dict[str, Any] = {"loss": float("inf"), "epoch": 0, "weights": {}}

    def epoch(self, number: int) -> float:
        """Train once over all images; return the mean loss."""
        self.network.train()
        losses: list[float] = []
        for faces, tiles in self._batches(number):
            if len(losses) % 50 == 49:
                log.info("epoch %d step %d/%d  loss %.4f", number, len(losses) + 1, self.steps,
                         np.mean(losses[-49:]))  # fmt: skip
            with self._products():
                logits = self.network(faces).float()
            known = ~tiles.isnan()
            loss = functional.binary_cross_entropy_with_logits(logits[known], tiles[known])
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self.schedule.step()
            self._average()
            losses.append(float(loss.detach()))
            if not math.isfinite(losses[-1]):
                raise HemifaceError(
                    f"The loss stopped being finite in epoch {number}, step {len(losses)}; the "
                    "last checkpoint is kept. Lower learning_rate (now "
                    f"{self.config.learning_rate:g})."
                )
        return float(np.mean(losses))

    def _batches(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        random = np.random.default_rng([self.config.seed, number])
        order, size = random.permutation(len(self.pixels)), self.config.batch_size
        for start in range(0, len(order), size):
            index, covering = order[start : start + size], self.config.covering
            drawn = examples(self.pixels, index, covering, random, self.covered)
            yield torch.from_numpy(drawn[0]), torch.from_numpy(drawn[1])

    def _products(self) -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bf16")

    @torch.no_grad()
    def _average(self) -> None:
        new, step = self.network.state_dict(), self.schedule.last_epoch
        decay = min(self.config.ema_decay, (1 + step) / (10 + step))
        for name, value in self.averaged.state_dict().items():
            if value.is_floating_point():
                value.lerp_(new[name], 1 - decay)
            else:
                value.copy_(new[name])

    def validate(self) -> float:
        """Return the loss of the averaged weights on the validation examples."""
        logits = self.logits(self.averaged)
        tiles = torch.from_numpy(self.known.tiles)
        return float(functional.binary_cross_entropy_with_logits(logits, tiles))

    @torch.no_grad()
    def logits(self, network: TileNetwork) -> Tensor:
        """Return [n, 12, 12] for the validation examples."""
        network.eval()
        pixels = torch.from_numpy(self.known.pixels)
        parts = [network(pixels[i : i + 256]) for i in range(0, len(pixels), 256)]
        return torch.cat(parts)

    def keep_best(self, loss: float, epoch: int) -> None:
        """Keep the averaged weights if no epoch was better."""
        if loss < self.best["loss"]:
            weights = {name: one.clone() for name, one in self.averaged.state_dict().items()}
            self.best = {"loss": loss, "epoch": epoch, "weights": weights}

    def best_network(self) -> TileNetwork:
        """Return the network of the best epoch, ready to be used."""
        network = TileNetwork(self.config.width)
        network.load_state_dict(self.best["weights"])
        with torch.no_grad():
            assert network.last.bias is not None  # noqa: S101 - for the type checker
            network.last.bias -= self.config.caution
        return network.eval()

    def state(self) -> dict[str, Any]:
        """Return all that a resumed training needs."""
        parts = (self.network, self.averaged, self.optimizer, self.schedule)
        return {"parts": [part.state_dict() for part in parts], "best": self.best}

    def resume(self, checkpoints: Path, fingerprint: str) -> list[dict[str, Any]]:
        """Take up the last whole checkpoint, if it is of this training; return its history."""
        keys = {"fingerprint", "history", "state"}
        content = checkpoint_files.newest_whole(checkpoints, "the network for visibility", keys)
        if content is None:
            return []
        if content["fingerprint"] != fingerprint:
            log.warning("%s belongs to another training, which starts anew.", checkpoints)
            return []
        parts: tuple[Any, ...] = (self.network, self.averaged, self.optimizer, self.schedule)
        for part, state in zip(parts, content["state"]["parts"], strict=True):
            part.load_state_dict(state)
        self.best = content["state"]["best"]
        history: list[dict[str, Any]] = content["history"]
        now = torch.get_num_threads()
        before = history[-1].get("threads", now)
        if before != now:
            log.warning(
                "%d threads from here on, %d before: sums round in another order, so that the "
                "weights won't be those of an undisturbed training.",
                now,
                before,
            )
        return history


def _listed(
    held: Images, real: Path
) -> tuple[npt.NDArray[np.bool_], ReallyCovered, dict[str, Any]]:
    """Return which of the images a list names, the covered ones of them, and what to tell of it.

    Where column `covers` is empty the image is left out of the training.
    """
    chosen, _ = pick_rows(held, real)
    with open_lines(real, "check --real") as file:
        covers = {int(one["row"]): one.get("covers") or "" for one in csv.DictReader(file)}
    rows = held.table["source_row"][chosen].tolist()
    regions = [covers[row].strip() for row in rows]
    is_told = np.array([region != "" for region in regions])
    if not is_told.any():
        raise UsageError(f"{real} says of no training image what is covered; see column covers.")
    told = [region for region in regions if region]
    try:
        faces = ReallyCovered.of(held.pixels[chosen][is_told], told)
    except UsageError as error:
        raise UsageError(f"{real}, column covers: {error}") from error
    # Of training images alone: what else a list says is nothing to this training.
    mark = hash_json(sorted(zip(rows, regions, strict=True)))
    return chosen, faces, {**Counter(told), "left_out": int((~is_told).sum()), "hash": mark}


class _Graph(nn.Module):
    def __init__(self, network: TileNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, faces: Tensor) -> Tensor:
        visible: Tensor = self.network(faces).sigmoid()
        return visible


def _write_onnx(
    network: TileNetwork,
    config: VisibilityConfig,
    provenance: dict[str, Any],
    run: _Run,
    path: Path,
) -> Path:
    example = torch.zeros(2, FER2013_SIZE_PX, FER2013_SIZE_PX, dtype=torch.uint8)
    program = torch.onnx.export(
        _Graph(network).eval(), (example,), dynamo=True, input_names=["faces"],
        output_names=["visible"], dynamic_shapes={"faces": {0: torch.export.Dim("n")}},
        opset_version=_OPSET, verbose=False,
    )  # fmt: skip
    assert program is not None  # noqa: S101  # it is with dynamo=True
    model = program.model_proto
    _strip(model)
    onnx.checker.check_model(model, full_check=True)
    visible = run.logits(network).sigmoid().numpy()
    hidden = 1 - visible[run.known.bare].mean(axis=(1, 2))
    header = {
        "format": FORMAT,
        "kind": KIND,
        "size_px": FER2013_SIZE_PX,
        "grid": GRID,
        "licence": LICENCE,
        "precision": "fp32",
        "opset": _OPSET,
        "config": as_plain(config),
        "provenance": provenance,
        "scores": {"validation_loss": run.best["loss"]},
        # Chosen on validation faces that nothing was laid on.
        "partly_hidden_above": float(np.quantile(hidden, 1 - _FALSE_ALARMS)),
    }
    text = json.dumps(header, ensure_ascii=False)
    onnx.helper.set_model_props(model, {METADATA_KEY: text, SEAL_KEY: UNSEALED})
    with atomic_path(path) as partial:
        partial.write_bytes(model.SerializeToString(deterministic=True))
        seal(partial)
    found = VisibleTiles.load(path).predict(run.known.pixels[:256])
    if not np.allclose(found, visible[:256], atol=1e-3):
        raise UsageError("The ONNX file doesn't compute what the network does; report it.")
    return path


def _strip(model: onnx.ModelProto) -> None:
    """Remove what the exporter notes of its own working: stack traces, module names, paths."""
    graph = model.graph
    parts = (*graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output)
    for part in (*parts, graph, model):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
