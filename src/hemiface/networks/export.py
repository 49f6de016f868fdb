"""Bundle -> one ONNX file that predicts without torch, with a report of what was lost on the way.

The graph takes faces as they are stored (uint8 [n, 48, 48], any n) and returns `logits` and
`probabilities` (float32 [n, 7]); scaling, normalising and softmax are nodes of the graph and are
computed in single precision whatever becomes of the weights.
"""

import json
import logging
import math
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import torch
from torch import Tensor, nn

from hemiface.config import as_plain
from hemiface.data.images import Images
from hemiface.data.phantom import make as phantom
from hemiface.errors import DamagedError, HemifaceError, UsageError
from hemiface.files import SEAL_KEY, UNSEALED, atomic_path, seal, sha256_file, write_json
from hemiface.models.class_mix import KEY as CLASS_MIX
from hemiface.models.onnx_file import FORMAT, METADATA_KEY, OnnxModel
from hemiface.networks.classifiers import NetworkClassifier
from hemiface.networks.network import Bundle, FaceNetwork
from hemiface.networks.parity import compare, require
from hemiface.networks.quantise import RANGE_RULES, quantise, range_faces
from hemiface.occlusion.conditions import HALVES, condition
from hemiface.tables import FER2013_SIZE_PX, read_csv

__all__ = [
    "OPSETS",
    "ExportOptions",
    "described",
    "export",
    "parity_file",
    "scores_of",
]

log = logging.getLogger(__name__)

OPSETS = range(18, 24)
"""torch's exporter writes 18 and later; later than 23 is more than today's runtimes promise."""

LICENCE = "Apache-2.0"
_MOST_LOSS_POINTS = 0.5
_RENDERED_FACES = 140
_LARGEST_HALF = float(np.finfo(np.float16).max)
_SCORE_COLUMNS = ("value", "low", "high", "n")


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """How a Bundle is exported, and what the file is compared on.

    Raises:
        UsageError: options contradict each other, or a word or condition is unknown.
    """

    precision: str = "fp32"
    """`fp32`, or `fp16`: weights stored in half precision and computed with in single."""
    int8: bool = False
    """Quantise the network to eight bits."""
    ranges_from: Images | None = None
    """Training images whose activations set the ranges of int8, which needs some."""
    range_rule: str = "percentile"
    """What int8 does with outliers: one of RANGE_RULES."""
    parity: Images | None = None
    """File and Bundle are compared on all of these; rendered faces if None."""
    conditions: tuple[str, ...] = ("full", *HALVES)
    """What is hidden when they are compared."""
    scores: Mapping[str, Any] = field(default_factory=dict)
    """Those of the Bundle (see `scores_of`), to travel along."""
    opset: int = 18
    """One of OPSETS."""
    most_loss_points: float | None = None
    """By how many percentage points int8 may lower the accuracy on `parity` under a condition; None
    for .5."""

    def __post_init__(self) -> None:
        if self.precision not in ("fp32", "fp16"):
            raise UsageError(
                f"Precision {self.precision!r} is unknown; choose fp32, fp16 or --int8."
            )
        if self.int8 and self.precision == "fp16":
            raise UsageError("A model is either fp16 or int8; leave one of them out.")
        if self.int8 and self.ranges_from is None:
            raise UsageError(
                "int8 needs training images to calibrate on; name them with --calibrate."
            )
        if self.ranges_from is not None and not self.int8:
            raise UsageError("Only int8 is calibrated; add --int8 or leave --calibrate out.")
        if self.range_rule not in RANGE_RULES:
            raise UsageError(
                f"Calibration {self.range_rule!r} is unknown; choose from {', '.join(RANGE_RULES)}."
            )
        if self.opset not in OPSETS:
            raise UsageError(
                f"Opset {self.opset} can't be written; choose {OPSETS[0]} to {OPSETS[-1]}."
            )
        limit = self.most_loss_points
        if limit is not None and not (self.int8 and self.parity is not None):
            raise UsageError(
                "--most-loss is what int8 may lose on the images of --parity; add --int8 and "
                "--parity, or leave it out."
            )
        if limit is not None and not math.isfinite(limit):
            raise UsageError(f"{limit} points of accuracy are no limit; give --most-loss a number.")
        _ = self.keys

    @property
    def kind(self) -> str:
        """What the file's name and header call its numbers: fp32, fp16 or int8."""
        return "int8" if self.int8 else self.precision

    @property
    def allowed_loss_points(self) -> float | None:
        """What accuracy may fall by under a condition; None where nothing limits it."""
        if not self.int8 or self.parity is None:
            return None
        return _MOST_LOSS_POINTS if self.most_loss_points is None else self.most_loss_points

    @property
    def keys(self) -> list[str]:
        """The conditions' keys."""
        return [condition(key).key for key in self.conditions]


def export(
    bundle: str | Path, out: str | Path | None = None, options: ExportOptions | None = None
) -> OnnxModel:
    """Write `bundle` as one ONNX file, prove that it does the same, and return it opened.

    `out` is `<bundle>-<precision>.onnx` beside the Bundle unless given. The file and the Bundle are
    compared under every condition; the result goes into the metadata and into `parity_file(out)`.

    Raises:
        UsageError: ranges can't be taken from these images, or `out` has another ending.
        DamagedError: the Bundle can't be read.
        HemifaceError: the file differs too much from the Bundle (fp32 and fp16: a probability;
            int8: its accuracy falls by more than `most_loss_points` under a condition), or the
            network can't be exported. Nothing is written then.
    """
    options = options or ExportOptions()
    source = Path(bundle)
    loaded = Bundle.load(source)
    network = loaded.network()
    target = Path(out) if out else source.with_name(f"{source.stem}-{options.kind}.onnx")
    if target.suffix != ".onnx":
        raise UsageError(f"{target} must end in .onnx, by which every command knows such files.")
    scored = phantom.make(_RENDERED_FACES) if options.parity is None else options.parity
    header = _header(loaded, sha256_file(source), options)
    if options.ranges_from is not None:
        trained_on = loaded.provenance.get("conditions", [])
        faces, used = range_faces(options.ranges_from, trained_on, scored)
        header["calibration"] = {"method": options.range_rule, **used}
        graph = quantise(_graph(network, options.opset), faces, options.range_rule)
    else:
        graph = _graph(network, options.opset)
        if options.precision == "fp16":
            _store_halves(graph)
    with atomic_path(target) as partial:
        _write(graph, header, partial)
        opened = OnnxModel.load(partial)
        rows = compare(NetworkClassifier(network), opened, scored, options.keys)
        require(rows, options.kind, options.allowed_loss_points)
        if options.int8 and options.parity is None:
            log.warning("No parity images are given: what int8 costs in accuracy isn't known.")
        header["parity"] = _parity(rows, scored, rendered=options.parity is None)
        _write(graph, header, partial)
    report = {
        "file": target.name,
        "sha256": sha256_file(target),
        "source_sha256": header["source_sha256"],
        "precision": options.kind,
    }
    write_json(parity_file(target), {**report, **header["parity"]})
    return OnnxModel.load(target)


def parity_file(model: str | Path) -> Path:
    """Return where the parity report of the exported file `model` lies.

    >>> parity_file("any-int8.onnx").name
    'any-int8.parity.json'
    """
    return Path(model).with_suffix(".parity.json")


def described(model: OnnxModel) -> dict[str, Any]:
    """Return everything known of an exported model as JSON values."""
    return {
        "file": str(model.path),
        "bytes": model.path.stat().st_size,
        "sha256": sha256_file(model.path),
        "header": dict(model.header),
    }


def scores_of(matrix: str | Path, bundle: str | Path) -> dict[str, Any]:
    """Return what a run's `matrix.csv` says of one Bundle: protocol -> condition -> metric -> cell.

    A cell has value, low, high and n; what is undefined is None.

    Raises:
        DamagedError: the matrix can't be read or isn't one.
        UsageError: it has no row of this model.
    """
    known = Bundle.load(bundle).provenance
    name, seed = str(known.get("name")), str(known.get("seed", 0))
    table = read_csv(matrix, dtype={"seed": "str"})
    try:
        rows = table[(table["model"] == name) & (table["seed"] == seed)]
        scores: dict[str, Any] = {}
        for row in rows.to_dict("records"):
            cell = {key: None if pd.isna(row[key]) else row[key] for key in _SCORE_COLUMNS}
            conditions = scores.setdefault(row["protocol"], {})
            conditions.setdefault(row["condition"], {})[row["metric"]] = cell
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedError(f"{matrix} is not the matrix.csv of a run ({error}).") from error
    if not scores:
        raise UsageError(
            f"{matrix} has no row of model {name}, seed {seed}; it knows "
            f"{', '.join(table['model'].unique().astype(str))}."
        )
    return scores


class _Graph(nn.Module):
    """What the exported graph computes."""

    def __init__(self, network: FaceNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.network(faces).float()
        return logits, logits.softmax(1)


def _graph(network: FaceNetwork, opset: int) -> onnx.ModelProto:
    """Return the network as ONNX, batch normalisation folded into the convolutions."""
    # Other strides would be exported faithfully, as index arithmetic.
    wrapped = _Graph(network.to(memory_format=torch.contiguous_format)).eval()
    example = torch.zeros(2, FER2013_SIZE_PX, FER2013_SIZE_PX, dtype=torch.uint8)
    try:
        # torch 2.9 tells on standard output what it rewrote, where commands print JSON.
        with redirect_stdout(StringIO()):
            program = torch.onnx.export(
                wrapped,
                (example,),
                dynamo=True,
                input_names=["faces"],
                output_names=["logits", "probabilities"],
                dynamic_shapes={"faces": {0: torch.export.Dim("n")}},
                opset_version=opset,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise HemifaceError(
            f"torch can't export {network.config.architecture} with opset {opset} ({reason})."
        ) from error
    assert program is not None  # noqa: S101  # it is with dynamo=True
    model: onnx.ModelProto = program.model_proto
    _strip(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def _strip(model: onnx.ModelProto) -> None:
    """Remove what the exporter notes of its own working: stack traces, module names, paths."""
    graph = model.graph
    for part in (*graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    for whole in (graph, model):
        whole.ClearField("doc_string")
        whole.ClearField("metadata_props")


def _store_halves(model: onnx.ModelProto) -> None:
    """Store weights in half precision; ONNX Runtime makes them single again when it opens the file.

    Arithmetic in half precision would be slower on CPUs, which lack it, and less accurate.
    """
    graph = model.graph
    kept, casts = [], []
    for tensor in graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and np.prod(tensor.dims) >= 256:
            values = onnx.numpy_helper.to_array(tensor)
            if np.abs(values).max() <= _LARGEST_HALF:
                half = f"{tensor.name}.half"
                casts.append(
                    onnx.helper.make_node(
                        "Cast", [half], [tensor.name], f"{half}.cast", to=onnx.TensorProto.FLOAT
                    )
                )
                kept.append(onnx.numpy_helper.from_array(values.astype(np.float16), half))
                continue
        kept.append(tensor)
    nodes = [*casts, *graph.node]
    for name, parts in (("initializer", kept), ("node", nodes)):
        copies = [type(part).FromString(part.SerializeToString()) for part in parts]
        graph.ClearField(name)
        getattr(graph, name).extend(copies)
    onnx.checker.check_model(model, full_check=True)


def _header(bundle: Bundle, sha256: str, options: ExportOptions) -> dict[str, Any]:
    # Bundles of before don't know it; without it no other mix can be declared.
    known = {key: bundle.provenance[key] for key in (CLASS_MIX,) if key in bundle.provenance}
    return {
        "format": FORMAT,
        # A path on the machine of the training would tell nobody else anything.
        "model": as_plain(replace(bundle.model, weights=Path(bundle.model.weights).name)),
        "emotions": list(bundle.emotions),
        "size_px": bundle.size_px,
        "licence": LICENCE,
        "provenance": bundle.provenance,
        "precision": options.kind,
        "source_sha256": sha256,
        "opset": options.opset,
        "scores": dict(options.scores),
        **known,
    }


def _parity(rows: pd.DataFrame, images: Images, *, rendered: bool) -> dict[str, Any]:
    is_fer2013 = set(images.table["dataset"]) == {"fer2013"}
    return {
        # Whose labels were right, as the index of models says it (`models.shipped.LABELLINGS`).
        "labels": "people" if "ferplus" in images.info else "fer2013" if is_fer2013 else "",
        "data": "rendered" if rendered else images.info["form"],
        "data_sha256": images.info["data_sha256"],
        "splits": sorted(images.table["split"].unique()),
        "conditions": rows.to_dict("records"),
    }


def _write(model: onnx.ModelProto, header: Mapping[str, Any], path: Path) -> None:
    text = json.dumps(header, ensure_ascii=False)
    onnx.helper.set_model_props(model, {METADATA_KEY: text, SEAL_KEY: UNSEALED})
    path.write_bytes(model.SerializeToString(deterministic=True))
    seal(path)
