"""Models x conditions -> the Predictions table; nothing else writes one."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from hemiface.data.images import Images
from hemiface.data.rows import pick_rows
from hemiface.errors import UsageError
from hemiface.files import hash_json, sha256_file
from hemiface.models.onnx_file import OnnxModel
from hemiface.networks.network import Bundle, FaceNetwork, predict, resolve_device
from hemiface.networks.views import require_crop, views
from hemiface.occlusion.conditions import Condition, condition, hide, image_seeds, mirror
from hemiface.occlusion.face_lines import FaceLines, FindLandmarks, hide_by_lines, lines_of
from hemiface.provenance import Mark
from hemiface.tables import (
    PROBABILITY_COLUMNS,
    SPLITS,
    Predictions,
    check_predictions,
    write_predictions,
)

__all__ = [
    "NetworkPredictor",
    "Predictor",
    "evaluate",
    "fingerprint",
    "leaked",
    "predict_hidden",
]

log = logging.getLogger(__name__)

OnCell = Callable[[int, int, str], None]


class Predictor(Protocol):
    """Whatever names emotions in faces as they are stored."""

    def predict(
        self, faces: npt.NDArray[np.uint8], batch_size: int = 256
    ) -> npt.NDArray[np.float32]:
        """Return probabilities float32 [n, 7] for uint8 faces [n, 48, 48]."""


@dataclass(frozen=True, eq=False)
class NetworkPredictor:
    """A torch network as a Predictor, on the device that it lies on."""

    network: FaceNetwork

    def predict(
        self, faces: npt.NDArray[np.uint8], batch_size: int = 256
    ) -> npt.NDArray[np.float32]:
        """Return probabilities float32 [n, 7] for uint8 faces [n, 48, 48]."""
        tensor = torch.from_numpy(np.ascontiguousarray(faces))
        # A GPU's convolutions would round fp32 to 10 bits (TF32); scores are of the whole numbers.
        with torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        ):
            answers = predict(self.network, tensor, batch_size).cpu().numpy()
        result: npt.NDArray[np.float32] = answers
        return result


def evaluate(
    bundles: Sequence[str | Path],
    images: Images,
    *,
    conditions: Iterable[str] = ("full", "upper", "lower", "left", "right"),
    splits: Iterable[str] = ("test",),
    rows: str | Path | None = None,
    flip: bool = False,
    crop_px: int = 0,
    mirrored: bool = False,
    landmarks: FindLandmarks | None = None,
    device: str = "auto",
    batch_size: int = 256,
    out: str | Path | None = None,
    on_cell: OnCell | None = None,
) -> Predictions:
    """Return the Predictions of every Bundle under every condition; write them to `out`.

    `bundles` may also name ONNX files that `networks.export` wrote (`*.onnx`, always run on the
    CPU); their model IDs name the precision too, as in `full-int8-seed0`.

    A row per image of `splits`, condition and model. The facts describe the models and hold the
    hash of all that decides the table. `flip` averages with the mirrored picture of the
    same visible pixels, for models whose conditions are closed under mirroring (a left specialist
    never saw the other side alone, so it gets no flipped view); `crop_px` averages five crops of
    that size (ten with `flip`), see `networks.views`. `rows` is a CSV file whose column `row` lists
    rows of the source: only these images are scored. With `mirrored` every picture is
    flipped before anything is hidden, so `left` hides what was on the right: the control of
    `sides`, a table of its own whose info says `mirrored`. `on_cell(done, total, text)` is
    called after each model x condition.

    With `landmarks` every condition hides the face's own halves (see `occlusion.face_lines`); it is
    asked once, for the uncovered pictures. The table then has a column `halves`: `face`, or
    `fallback` where no landmarks came and the picture's middle stood in; its info says `halves`
    and the number of `fallbacks`.

    Raises:
        UsageError: a condition or split is unknown or empty, two Bundles have the same model ID,
            the crop's size is impossible, or as `rows.pick_rows`.
        DamagedError: a Bundle or the list of rows can't be read.
    """
    require_crop(crop_px)
    # By key, because full@mean and full hide the same: nothing.
    chosen = list({one.key: one for one in map(condition, conditions)}.values())
    splits = tuple(splits)
    for what, given in (("Bundle", bundles), ("condition", chosen), ("split", splits)):
        if not given:
            raise UsageError(f"No {what} is named; evaluation needs at least one.")
    chosen_rows, picked = pick_rows(images, rows) if rows is not None else (None, None)
    wanted = _rows(images, splits, chosen_rows)
    models = _describe([Path(path) for path in bundles])
    target = torch.device(resolve_device(device))
    seeds = image_seeds(wanted.table["image"])
    pixels = wanted.pixels[:, :, ::-1] if mirrored else wanted.pixels
    base = wanted.table[["image", "dataset", "split", "label", "group"]].assign(
        leaked=leaked(images.table)[_positions(images, wanted)]
    )
    lines = None
    if landmarks is not None:
        lines = lines_of(landmarks(wanted.pixels), *wanted.pixels.shape[1:])
        base["halves"] = lines.words
        # The mirrored lines of the picture, not those found in its mirror image.
        lines = lines.mirrored() if mirrored else lines
    # Before the work: afterwards the files may be others, or gone.
    made_from = mark(
        bundles,
        images,
        [one.key for one in chosen],
        splits,
        flip,
        mirrored,
        crop_px=crop_px,
        rows_hash=picked["hash"] if picked else None,
        lines=lines,
    )
    cells = []
    for row, path in zip(models, bundles, strict=True):
        predictor = _load(path, target)
        flips = flip and _mirrors_itself(row["conditions"])
        if flip and not flips:
            log.info("%s is a specialist of one side: no flipped view", row["model"])
        for one in chosen:
            values = predict_hidden(
                predictor,
                pixels,
                one,
                seeds,
                flip=flips,
                crop_px=crop_px,
                batch_size=batch_size,
                lines=lines,
            )
            cell = base.assign(condition=one.key, model=row["model"])
            cell[list(PROBABILITY_COLUMNS)] = values
            cells.append(cell)
            if on_cell:
                on_cell(len(cells), len(models) * len(chosen), f"{row['model']} on {one.key}")
    table = pd.concat(cells, ignore_index=True)
    check_predictions(table)
    facts = {
        "models": models,
        "conditions": [one.key for one in chosen],
        "splits": list(splits),
        "rows": picked,
        "flip": flip,
        "crop_px": crop_px,
        "mirrored": mirrored,
        "halves": "image" if lines is None else "face",
        "fallbacks": 0 if lines is None else int((~lines.found).sum()),
        "fingerprint": made_from.fingerprint,
        "data": {key: value for key, value in images.info.items() if key != "skipped"},
        "skipped": len(images.info.get("skipped", [])),
    }
    predictions = Predictions(table, facts)
    if out is not None:
        write_predictions(predictions, out)
    return predictions


def predict_hidden(
    predictor: Predictor,
    pixels: npt.NDArray[np.uint8],
    one: Condition,
    seeds: npt.ArrayLike,
    *,
    flip: bool = False,
    crop_px: int = 0,
    batch_size: int = 256,
    lines: FaceLines | None = None,
) -> npt.NDArray[np.float32]:
    """Return probabilities float32 [n, 7] for uint8 faces [n, 48, 48] hidden under `one`.

    `lines` are the faces' own; without them the picture's halves are hidden. With `flip`, the mean
    over the hidden picture and its mirror image: the same pixels stay visible, so the mirrored view
    of a left-masked face is a right-masked one. With `crop_px`, the mean over five crops of either,
    enlarged: `hemiface.networks.views` says what that does to hidden halves.
    """
    faces = np.ascontiguousarray(pixels)
    hidden = hide(faces, one, seeds) if lines is None else hide_by_lines(faces, one, lines, seeds)
    answers = [
        predictor.predict(view, batch_size) for view in views(hidden, flip=flip, crop_px=crop_px)
    ]
    total: npt.NDArray[np.float32] = sum(answers[1:], start=answers[0])
    return total / np.float32(len(answers))


def leaked(images: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return bool [n]: has the image's group a member in an earlier split?

    The order is train, validation, test: models are trained on the first and selected on the
    second. Training images themselves are always leaked.
    """
    order = pd.Categorical(images["split"], categories=list(SPLITS)).codes
    earliest = pd.Series(order).groupby(images["group"].to_numpy()).transform("min").to_numpy()
    result: npt.NDArray[np.bool_] = (order == 0) | (earliest < order)
    return result


def mark(
    bundles: Sequence[str | Path],
    images: Images,
    conditions: Iterable[str],
    splits: Iterable[str],
    flip: bool,
    mirrored: bool = False,
    *,
    crop_px: int = 0,
    rows_hash: str | None = None,
    lines: FaceLines | None = None,
) -> Mark:
    """Return what decides the Predictions.

    `lines` are the faces' own, of the pictures in `splits`, where these are what is hidden by.
    """
    inputs = {
        "bundles": [sha256_file(path) for path in bundles],
        "data": images.info.get("data_sha256"),
        "groups": hash_json(images.table[["image", "group"]].to_csv(index=False)),
        "conditions": list(conditions),
        "splits": list(splits),
        "flip": flip,
        "mirrored": mirrored,
        "crop_px": crop_px,
        "rows": rows_hash,
        "halves": "image" if lines is None else _hash_lines(lines),
    }
    return Mark.of(inputs, __name__)


def fingerprint(*arguments: Any, **options: Any) -> str:
    """Return a hash of everything that decides the Predictions; arguments as of `mark`."""
    return mark(*arguments, **options).fingerprint


def _hash_lines(lines: FaceLines) -> str:
    parts = (lines.crossing, lines.down, lines.found)
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def _rows(images: Images, splits: tuple[str, ...], chosen: npt.NDArray[np.bool_] | None) -> Images:
    unknown = [name for name in splits if name not in SPLITS]
    if unknown:
        raise UsageError(f"Split {unknown[0]!r} is unknown; choose from {', '.join(SPLITS)}.")
    for name in splits:
        if not (images.table["split"] == name).any():
            raise UsageError(f"The data has no {name} images; choose another split or source.")
    wanted = images.table["split"].isin(splits).to_numpy()
    if chosen is not None:
        wanted = wanted & chosen
        for name in splits:
            if not (wanted & (images.table["split"] == name).to_numpy()).any():
                raise UsageError(f"No row of the list is a {name} image; choose another split.")
    return images.subset(wanted)


def _positions(images: Images, wanted: Images) -> npt.NDArray[np.int64]:
    """Return where the rows of `wanted` stand in `images`."""
    known = pd.Index(images.table["image"])
    index: npt.NDArray[np.int64] = known.get_indexer(pd.Index(wanted.table["image"]))
    return index


def _load(path: str | Path, device: torch.device) -> Predictor:
    if _is_onnx(path):
        return OnnxModel.load(path, threads=torch.get_num_threads())
    return NetworkPredictor(Bundle.load(path).network(device))


def _is_onnx(path: str | Path) -> bool:
    return Path(path).suffix.lower() == ".onnx"


def _identify(path: Path) -> tuple[str, str, Mapping[str, Any]]:
    """Return a model's ID, its name (what it was trained on) and its provenance.

    Those of an ONNX file carry its precision, so that it can be compared with its Bundle.
    """
    if not _is_onnx(path):
        known: Mapping[str, Any] = Bundle.load(path).provenance
        name = known.get("name", path.parent.name)
        return known.get("model_id", f"{name}-seed{known.get('seed', 0)}"), name, known
    header = OnnxModel.load(path).header
    known = header["provenance"]
    name = f"{known.get('name', path.stem)}-{header['precision']}"
    return f"{name}-seed{known.get('seed', 0)}", name, known


def _describe(paths: list[Path]) -> list[dict[str, Any]]:
    """Return the models table: one dict for each Bundle or ONNX file, in order."""
    models = []
    for path in paths:
        model, name, known = _identify(path)
        models.append(
            {
                "model": model,
                "name": name,
                "seed": known.get("seed", 0),
                "trained_on": ", ".join(known.get("conditions", [])),
                "conditions": known.get("conditions", []),
                "flips": known.get("flips", True),
                "config_hash": known.get("config_hash"),
                "data_hash": known.get("data_sha256"),
                "sha256": sha256_file(path),
                "epoch": known.get("epoch"),
                "validation_accuracy": known.get("validation_accuracy"),
                "training_s": known.get("training_s"),
            }
        )
    ids = [row["model"] for row in models]
    twice = next((one for one in ids if ids.count(one) > 1), None)
    if twice:
        raise UsageError(f"Two Bundles are called {twice}; evaluate one of them at a time.")
    return models


def _mirrors_itself(conditions: list[str]) -> bool:
    trained = {condition(key) for key in conditions}
    return {mirror(one) for one in trained} == trained
