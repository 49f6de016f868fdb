"""Models x conditions -> the Predictions table; nothing else writes one."""

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from hemiface.data.images import Images
from hemiface.errors import UsageError
from hemiface.files import hash_json, sha256_file
from hemiface.model import Bundle, FaceNetwork, predict, resolve_device
from hemiface.occlusion import Condition, condition, hide, image_seeds, mirror
from hemiface.provenance import code_hash
from hemiface.tables import PROBABILITY_COLUMNS, SPLITS, check_predictions, write_predictions

__all__ = ["evaluate", "fingerprint", "leaked", "predict_hidden"]

log = logging.getLogger(__name__)

_MODULES = ("hemiface.evaluation", "hemiface.model", "hemiface.occlusion")
OnCell = Callable[[int, int, str], None]


def evaluate(
    bundles: Sequence[str | Path],
    images: Images,
    *,
    conditions: Iterable[str] = ("full", "upper", "lower", "left", "right"),
    splits: Iterable[str] = ("test",),
    flip: bool = False,
    mirrored: bool = False,
    device: str = "auto",
    batch_size: int = 256,
    out: str | Path | None = None,
    on_cell: OnCell | None = None,
) -> pd.DataFrame:
    """Return the Predictions table of every Bundle under every condition; write it to `out`.

    A row per image of `splits`, condition and model. `.attrs["hemiface"]` describes the models and
    holds the hash of all that decides the table. `flip` averages with the mirrored picture of the
    same visible pixels, for models whose conditions are closed under mirroring (a left specialist
    never saw the other side alone, so it gets no flipped view). With `mirrored` every picture is
    flipped before anything is hidden, so `left` hides what was on the right: the control of
    `laterality`, a table of its own whose info says `mirrored`. `on_cell(done, total, text)` is
    called after each model x condition.

    Raises:
        UsageError: a condition or split is unknown or empty, two Bundles have the same model ID.
        DamagedError: a Bundle can't be read.
    """
    # By key, because full@mean and full hide the same: nothing.
    chosen = list({one.key: one for one in map(condition, conditions)}.values())
    splits = tuple(splits)
    for what, given in (("Bundle", bundles), ("condition", chosen), ("split", splits)):
        if not given:
            raise UsageError(f"No {what} is named; evaluation needs at least one.")
    wanted = _rows(images, splits)
    models = _describe([Path(path) for path in bundles])
    target = torch.device(resolve_device(device))
    seeds = image_seeds(wanted.table["image"])
    pixels = wanted.pixels[:, :, ::-1] if mirrored else wanted.pixels
    base = wanted.table[["image", "dataset", "split", "label", "group"]].assign(
        leaked=leaked(images.table)[_positions(images, wanted)]
    )
    cells = []
    for row, path in zip(models, bundles, strict=True):
        network = Bundle.load(path).network(target)
        flips = flip and _mirrors_itself(row["conditions"])
        if flip and not flips:
            log.info("%s is a specialist of one side: no flipped view", row["model"])
        for one in chosen:
            values = predict_hidden(network, pixels, one, seeds, flip=flips, batch_size=batch_size)
            cell = base.assign(condition=one.key, model=row["model"])
            cell[list(PROBABILITY_COLUMNS)] = values
            cells.append(cell)
            if on_cell:
                on_cell(len(cells), len(models) * len(chosen), f"{row['model']} on {one.key}")
    predictions = pd.concat(cells, ignore_index=True)
    check_predictions(predictions)
    predictions.attrs["hemiface"] = {
        "models": models,
        "conditions": [one.key for one in chosen],
        "splits": list(splits),
        "flip": flip,
        "mirrored": mirrored,
        "fingerprint": fingerprint(
            bundles, images, [one.key for one in chosen], splits, flip, mirrored
        ),
        "data": {key: value for key, value in images.info.items() if key != "skipped"},
        "skipped": len(images.info.get("skipped", [])),
    }
    if out is not None:
        write_predictions(predictions, out, predictions.attrs["hemiface"])
    return predictions


def predict_hidden(
    network: FaceNetwork,
    pixels: npt.NDArray[np.uint8],
    one: Condition,
    seeds: npt.ArrayLike,
    *,
    flip: bool = False,
    batch_size: int = 256,
) -> npt.NDArray[np.float32]:
    """Return probabilities float32 [n, 7] for uint8 faces [n, 48, 48] hidden under `one`.

    With `flip`, the mean over the hidden picture and its mirror image: the same pixels stay
    visible, so the mirrored view of a left-masked face is a right-masked one.
    """
    hidden = hide(np.ascontiguousarray(pixels), one, seeds)
    values = predict(network, torch.from_numpy(hidden), batch_size)
    if flip:
        mirrored = torch.from_numpy(np.ascontiguousarray(hidden[:, :, ::-1]))
        values = (values + predict(network, mirrored, batch_size)) / 2
    result: npt.NDArray[np.float32] = values.cpu().numpy()
    return result


def leaked(images: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return bool [n]: has the image's group a member in an earlier split?

    The order is train, validation, test: models are trained on the first and selected on the
    second. Training images themselves are always leaked.
    """
    order = pd.Categorical(images["split"], categories=list(SPLITS)).codes
    earliest = pd.Series(order).groupby(images["group"].to_numpy()).transform("min").to_numpy()
    result: npt.NDArray[np.bool_] = (order == 0) | (earliest < order)
    return result


def fingerprint(
    bundles: Sequence[str | Path],
    images: Images,
    conditions: Iterable[str],
    splits: Iterable[str],
    flip: bool,
    mirrored: bool = False,
) -> str:
    """Return a hash of everything that decides the Predictions table."""
    return hash_json(
        {
            "bundles": [sha256_file(path) for path in bundles],
            "data": images.info.get("data_sha256"),
            "groups": hash_json(images.table[["image", "group"]].to_csv(index=False)),
            "conditions": list(conditions),
            "splits": list(splits),
            "flip": flip,
            "mirrored": mirrored,
            "code": code_hash(*_MODULES),
        }
    )


def _rows(images: Images, splits: tuple[str, ...]) -> Images:
    unknown = [name for name in splits if name not in SPLITS]
    if unknown:
        raise UsageError(f"Split {unknown[0]!r} is unknown; choose from {', '.join(SPLITS)}.")
    for name in splits:
        if not (images.table["split"] == name).any():
            raise UsageError(f"The data has no {name} images; choose another split or source.")
    return images.subset(images.table["split"].isin(splits).to_numpy())


def _positions(images: Images, wanted: Images) -> npt.NDArray[np.int64]:
    """Return where the rows of `wanted` stand in `images`."""
    known = pd.Index(images.table["image"])
    index: npt.NDArray[np.int64] = known.get_indexer(pd.Index(wanted.table["image"]))
    return index


def _describe(paths: list[Path]) -> list[dict[str, Any]]:
    """Return the models table: one dict for each Bundle, in order."""
    models = []
    for path in paths:
        known = Bundle.load(path).provenance
        name, seed = known.get("name", path.parent.name), known.get("seed", 0)
        models.append(
            {
                "model": known.get("model_id", f"{name}-seed{seed}"),
                "name": name,
                "seed": seed,
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
