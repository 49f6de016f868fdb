"""Files that hemiface writes and reads again; `bare` ones have no seal, as those of others."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from fuzz_targets import AcceptedError, Target, each, faces
from hemiface.files import SEAL_KEY, UNSEALED, seal
from hemiface.tables import EMOTIONS, PROBABILITY_COLUMNS

__all__ = ["bundles", "checkpoints", "journals", "onnx_files", "parquet", "pixels", "records"]

_SIDE = 48


def bundles(folder: Path, *, bare: bool = False) -> Target:
    """Bundles as they are written, or without a seal, as others and earlier versions wrote them."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    from hemiface.config import ModelConfig
    from hemiface.networks.network import Bundle, build

    torch.manual_seed(0)
    path = folder / "seed.safetensors"
    config = ModelConfig(architecture="compact")
    weights = build(config).state_dict()
    known = {"model_id": "full-seed0", "name": "full", "seed": 0, "conditions": ["full"]}
    Bundle(config, weights, known).save(path)
    if bare:
        with safe_open(path, framework="pt") as file:
            header = json.loads(file.metadata()["hemiface"])
        del header[SEAL_KEY]
        save_file(weights, path, {"hemiface": json.dumps(header)})
    place = folder / "bundle.safetensors"

    def look(content: bytes) -> None:
        place.write_bytes(content)
        Bundle.load(place).network("cpu")

    words = (
        b"{", b"}", b"[", b'"F32"', b'"BF16"', b'"dtype"', b'"shape"', b'"data_offsets"',
        b'\\"format\\": 1', b"\\", b"hemiface", b"__metadata__", b'\\"model\\"', b"compact",
        b'\\"provenance\\"', b"NaN", b"null", b"[" * 3000, b"\\ud800",
    )  # fmt: skip
    return Target([path.read_bytes()], look, words, is_sealed=not bare)


def onnx_files(folder: Path, *, bare: bool = False) -> Target:
    """Networks for emotions in ONNX: one linear layer, sealed or bare."""
    import onnx

    from hemiface.models.onnx_file import FORMAT, METADATA_KEY, OnnxModel
    from hemiface.models.visible_tiles import VisibleTiles

    weights = np.random.default_rng(0).normal(0, 1e-4, (_SIDE * _SIDE, 7)).astype(np.float32)
    make, kind = onnx.helper, onnx.TensorProto
    nodes = [
        make.make_node("Cast", ["faces"], ["real"], to=kind.FLOAT),
        make.make_node("Flatten", ["real"], ["flat"]),
        make.make_node("MatMul", ["flat", "weights"], ["logits"]),
        make.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    outputs = [
        make.make_tensor_value_info(one, kind.FLOAT, ["n", 7])
        for one in ("logits", "probabilities")
    ]
    graph = make.make_graph(
        nodes, "linear", [make.make_tensor_value_info("faces", kind.UINT8, ["n", _SIDE, _SIDE])],
        outputs, [onnx.numpy_helper.from_array(weights, "weights")],
    )  # fmt: skip
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=9)
    header = {
        "format": FORMAT, "model": {}, "emotions": list(EMOTIONS), "size_px": _SIDE,
        "licence": "Apache-2.0", "provenance": {}, "precision": "fp32", "source_sha256": "",
        "opset": 18, "scores": {},
    }  # fmt: skip
    text = {METADATA_KEY: json.dumps(header)}
    make.set_model_props(model, text if bare else {**text, SEAL_KEY: UNSEALED})
    path, place = folder / "seed.onnx", folder / "face.onnx"
    path.write_bytes(model.SerializeToString(deterministic=True))
    if not bare:
        seal(path)
    face = faces(1)

    def look(content: bytes) -> None:
        place.write_bytes(content)
        each(lambda: VisibleTiles.load(place), lambda: OnnxModel.load(place).predict(face))

    words = (
        b"faces", b"flat", b"logits", b"probabilities", b"MatMul", b"Softmax", b"Cast",
        b"Flatten", b"axis", b"to", b"weights", b"n", b"hemiface", b'"format"', b"Loop", b"If",
        b"ConstantOfShape", b"{", b"\\ud800",
    )  # fmt: skip
    return Target([path.read_bytes()], look, words, is_sealed=not bare)


def parquet(folder: Path, *, bare: bool = False) -> Target:
    """Predictions, and images with their pixels; sealed, or as tables of before."""
    import pandas as pd
    import pyarrow.parquet as pq

    from hemiface.data.images import PIXELS_FILE, TABLE_FILE, Images
    from hemiface.stats.metrics import summarise
    from hemiface.tables import Predictions, read_predictions, write_predictions

    n = 14
    images = Images.build(
        faces(n), labels=[EMOTIONS[one % 7] for one in range(n)], dataset="fuzz",
        splits=["train"] * 7 + ["test"] * 7, sources=[f"a:{one}" for one in range(n)],
    )  # fmt: skip
    images.write(folder / "images")
    table = images.table[["image", "dataset", "split", "label", "group"]].assign(
        model="full-seed0", condition="full", leaked=False
    )
    values = np.random.default_rng(0).dirichlet(np.ones(7), n)
    table[list(PROBABILITY_COLUMNS)] = pd.DataFrame(values)
    facts = {"models": [{"model": "full-seed0", "name": "full", "seed": 0, "conditions": ["full"]}]}
    write_predictions(Predictions(table, facts), folder / "predictions.parquet")
    paths = folder / "images" / TABLE_FILE, folder / "predictions.parquet"
    if bare:
        for path in paths:
            known = pq.read_table(path)
            rest = {
                key: one for key, one in known.schema.metadata.items() if key != SEAL_KEY.encode()
            }
            pq.write_table(known.replace_schema_metadata(rest), path, compression="zstd")
    seeds = [path.read_bytes() for path in paths]
    place = folder / "place"
    place.mkdir()
    (place / PIXELS_FILE).write_bytes((folder / "images" / PIXELS_FILE).read_bytes())

    def look(content: bytes) -> None:
        (place / TABLE_FILE).write_bytes(content)
        each(lambda: summarise(read_predictions(place / TABLE_FILE)), lambda: Images.read(place))

    words = (
        b"PAR1", b"hemiface", b"ARROW:schema", b"image", b"label", b"split", b"p_angry", b"happy",
        b"test", b'"models"', b"{", b"[" * 3000, b"NaN", b"\x15\x00", b"\x19\x4c", b"list",
        b"element", b"\x28\xb5\x2f\xfd",
    )  # fmt: skip
    return Target(seeds, look, words, is_sealed=not bare)


def pixels(folder: Path) -> Target:
    """The array beside a table of images, whose hash the table holds."""
    from hemiface.data.images import PIXELS_FILE, Images

    images = Images.build(
        faces(7), labels=list(EMOTIONS), splits=["train"] * 7, dataset="x", sources=list("abcdefg")
    )
    images.write(folder)
    path = folder / PIXELS_FILE
    seeds = [path.read_bytes()]

    def look(content: bytes) -> None:
        path.write_bytes(content)
        for mapped in (None, "r"):
            found = Images.read(folder, mmap_mode=mapped)
            if not np.array_equal(found.pixels, images.pixels):
                raise AcceptedError("other pixels")

    words = (
        b"\x93NUMPY", b"'descr'", b"'|u1'", b"'|O'", b"'fortran_order'", b"True", b"'shape'",
        b"(7, 48, 48)", b"(", b"-1", b"99999999999",
    )  # fmt: skip
    return Target(seeds, look, words)


def journals(folder: Path) -> Target:
    """What `predict` goes on by; no damaged line may become a row."""
    from hemiface.vision.journal import Journal

    settings = {"model": "x"}
    written: dict[str, list[dict[str, Any]]] = {}
    with Journal(folder, settings) as journal:
        for source in range(6):
            rows = [{"face": n, "p_happy": 0.25, "label": "happy"} for n in range(source % 4)]
            for row in rows:
                journal.add(f"{source} é.jpg", [row])
            journal.end(f"{source} é.jpg", {"faces": len(rows), "error": ""})
            written[f"{source} é.jpg"] = rows
    seeds = [journal.path.read_bytes()]

    def look(content: bytes) -> None:
        journal.path.write_bytes(content)
        with Journal(folder, settings) as again:
            for source, known in again.ended.items():
                rows = list(again.rows([source]))
                if rows != written.get(source) or known["faces"] != len(rows):
                    raise AcceptedError(f"other rows of {source}")

    words = (
        b"\n", b'["', b'",{', b'"source"', b'"rows"', b'"end"', b'"parts"', b'"face": 1', b"}]\n",
        b"[" * 5000, b"\0", b"NaN", b"\r\n",
    )  # fmt: skip
    return Target(seeds, look, words)


def checkpoints(folder: Path) -> Target:
    """What a training goes on by; torch writes checksums of it."""
    import torch

    from hemiface.networks import checkpoint_files

    content = {
        "fingerprint": "f", "history": [{"epoch": 1, "loss": 0.5}], "best": {"epoch": 1},
        "state": {"module": {"weight": torch.arange(2000.0)}},
    }  # fmt: skip
    checkpoint_files.save(content, folder)
    path = folder / checkpoint_files.LAST
    seeds = [path.read_bytes()]

    def look(changed: bytes) -> None:
        path.write_bytes(changed)
        found = checkpoint_files.newest_whole(folder, "a network", content.keys())
        weight = content["state"]["module"]["weight"]
        if found is None or not torch.equal(found["state"]["module"]["weight"], weight):
            raise AcceptedError("other weights")
        if any(found[key] != content[key] for key in ("fingerprint", "history", "best")):
            raise AcceptedError("another state")

    words = (
        b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06", b"data.pkl", b"data/0",
        b"version", b"ctorch", b"_rebuild_tensor_v2", b"cos\nsystem\n",
    )  # fmt: skip
    return Target(seeds, look, words)


def records(folder: Path) -> Target:
    """JSON that hemiface keeps: stages, environments, the index of models, calibrations."""
    from hemiface.files import write_json
    from hemiface.models import shipped
    from hemiface.models.temperatures import ModelCalibration
    from hemiface.provenance import environment
    from hemiface.report.results import _environment
    from hemiface.report.words.texts import environment_rows
    from hemiface.studies.book import read_stages

    stage = {
        "inputs": "a", "code": "b", "fingerprint": "c", "seconds": 1.5,
        "products": {"report.html": 64 * "0"}, "finished": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip
    write_json(folder / "stages.json", {"data": stage, "full-seed0": stage})
    write_json(folder / "environment.json", {**environment(), "times_s": {"data": 1.0}})
    models = Path(shipped.FOLDER)
    seeds = [
        (folder / "stages.json").read_bytes(),
        (folder / "environment.json").read_bytes(),
        (models / "index.json").read_bytes(),
        *(path.read_bytes() for path in sorted(models.glob("*.calibration.json"))[:2]),
    ]

    def look(content: bytes) -> None:
        for name in ("stages.json", "environment.json", "index.json", "face.calibration.json"):
            (folder / name).write_bytes(content)
        each(
            lambda: read_stages(folder / "stages.json"),
            lambda: environment_rows(_environment(folder / "environment.json")),
            lambda: shipped.default_model(folder),
            lambda: ModelCalibration._read(folder / "face.calibration.json"),
        )

    words = (
        b"{", b"}", b"[", b"]", b":", b",", b'"', b"null", b"true", b"NaN", b"-Infinity",
        b"1e999", b"[" * 3000, b'{"a":' * 3000, b"\\ud800", b"\xff", b"products", b"seconds",
        b"finished", b"format", b"models", b"views", b"temperatures", b'"../../x"',
    )  # fmt: skip
    return Target(seeds, look, words)
