"""Random views of faces -> tables of samples: chains of tiles, and Gaussian apertures.

This is the torch side of `importance.grid` and `importance.bubbles`: what is shown is drawn from
the image's ID, so every model sees the same views.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from hemiface.data.images import Images
from hemiface.errors import UsageError
from hemiface.evaluation import leaked
from hemiface.files import sha256_file
from hemiface.importance.grid import SAMPLE_COLUMNS
from hemiface.model import Bundle, FaceNetwork, predict, resolve_device
from hemiface.occlusion import FILLS, Fill, hide_tiles, image_seeds
from hemiface.tables import PROBABILITY_COLUMNS, write_table
from hemiface.tiles import TILES, apertures, pack

__all__ = ["sample_bubbles", "sample_chains"]

Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
OnBatch = Callable[[int, int], None]

_VIEWS_AT_A_TIME = 2048
_CHAIN_SALT, _BUBBLE_SALT = 1, 2


def sample_chains(
    bundle: str | Path,
    images: Images,
    *,
    samples: int = 1,
    split: str = "test",
    limit: int | None = None,
    fill: Fill = "black",
    seed: int = 0,
    device: str = "auto",
    out: str | Path | None = None,
    on_batch: OnBatch | None = None,
) -> pd.DataFrame:
    """Return predictions for faces that are uncovered tile by tile in random orders.

    Each image of `split` (at most `limit`, drawn at random) is uncovered `samples` times, in 49
    views from nothing to everything. Orders come in pairs, each second one the first reversed,
    which evens out what comes early (Mitchell et al. 2022, Sampling permutations for Shapley value
    estimation, JMLR 23). Columns: SAMPLE_COLUMNS and `visible` (uint64: bit t for tile t, see
    `hemiface.tiles`). `.attrs["hemiface"]` describes the model and the options; `out` is written
    with both. `on_batch(done, total)` counts images.

    Raises:
        UsageError: an option is wrong or the split is empty.
        DamagedError: the Bundle can't be read.

    """

    def views(id_seed: int) -> Bools:
        return np.concatenate([_chain(id_seed, seed, draw) for draw in range(samples)])

    def render(faces: Bytes, shown: Bools, seeds: npt.NDArray[np.uint64]) -> Bytes:
        return hide_tiles(faces, shown, fill, seeds)

    table = _sample(
        bundle,
        images,
        views,
        render,
        samples,
        TILES + 1,
        split,
        limit,
        fill,
        seed,
        device,
        on_batch,
    )
    shown = np.stack(list(table.pop("view")))
    table["visible"] = pack(shown)
    table.attrs["hemiface"] |= {"kind": "chains"}
    return _written(table, out)


def sample_bubbles(
    bundle: str | Path,
    images: Images,
    *,
    samples: int = 5,
    bubbles: int = 8,
    sigma_px: float = 4.0,
    split: str = "test",
    limit: int | None = None,
    fill: Fill = "mean",
    seed: int = 0,
    device: str = "auto",
    out: str | Path | None = None,
    on_batch: OnBatch | None = None,
) -> pd.DataFrame:
    """Return predictions for faces seen through Gaussian apertures at random places.

    A view is the face where the apertures' sum is 1 and the fill (a middle grey for `mean`) where
    it is 0. More `bubbles` make the task easier; Gosselin & Schyns 2001 take as many as leave
    three quarters of the answers right. Columns: SAMPLE_COLUMNS and `bubbles` (a list of centres,
    row * 48 + column). Everything else as in `sample_chains`.

    Raises:
        UsageError: an option is wrong or the split is empty.
        DamagedError: the Bundle can't be read.

    """
    if bubbles < 1 or not sigma_px > 0:
        raise UsageError(f"bubbles and sigma_px must be above 0, got {bubbles} and {sigma_px}.")
    side = images.pixels.shape[1]

    def views(id_seed: int) -> npt.NDArray[np.uint16]:
        random = np.random.default_rng([id_seed, seed, _BUBBLE_SALT])
        return random.integers(side * side, size=(samples, bubbles)).astype(np.uint16)

    def render(
        faces: Bytes, centres: npt.NDArray[np.uint16], seeds: npt.NDArray[np.uint64]
    ) -> Bytes:
        covered = hide_tiles(faces, np.zeros((len(faces), TILES), dtype=bool), fill, seeds)
        seen = apertures(centres, side, side, sigma_px)
        mixed: Bytes = np.rint(covered + seen * (faces.astype(np.float32) - covered)).astype(
            np.uint8
        )
        return mixed

    table = _sample(
        bundle, images, views, render, samples, 1, split, limit, fill, seed, device, on_batch
    )
    table = table.rename(columns={"view": "bubbles"})
    table.attrs["hemiface"] |= {"kind": "bubbles", "bubbles": bubbles, "sigma_px": sigma_px}
    return _written(table, out)


def _chain(id_seed: int, seed: int, draw: int) -> Bools:
    """Return bool [49, 48]: the tiles that are visible in each view of one chain."""
    order = np.random.default_rng([id_seed, seed, draw // 2, _CHAIN_SALT]).permutation(TILES)
    place = np.argsort(order if draw % 2 == 0 else order[::-1])
    return place[None, :] < np.arange(TILES + 1)[:, None]


def _sample(
    bundle: str | Path,
    images: Images,
    views: Callable[[int], npt.NDArray[np.generic]],
    render: Callable[..., Bytes],
    samples: int,
    views_a_draw: int,
    split: str,
    limit: int | None,
    fill: str,
    seed: int,
    device: str,
    on_batch: OnBatch | None,
) -> pd.DataFrame:
    """Return SAMPLE_COLUMNS and `view` (a row of what `views` gave) for every view."""
    if samples < 1 or (limit is not None and limit < 1) or fill not in FILLS:
        raise UsageError(
            f"samples and limit must be 1 or more and the fill one of {', '.join(FILLS)}, got "
            f"{samples}, {limit} and {fill!r}."
        )
    wanted, marks = _wanted(images, split, limit, seed)
    known = Bundle.load(bundle)
    network = known.network(torch.device(resolve_device(device)))
    ids = image_seeds(wanted.table["image"])
    count = samples * views_a_draw
    step = max(1, _VIEWS_AT_A_TIME // count)
    shown, values = [], []
    for start in range(0, len(wanted), step):
        part = slice(start, start + step)
        some = np.concatenate([views(int(one)) for one in ids[part]])
        faces = np.repeat(wanted.pixels[part], count, axis=0)
        values.append(_predict(network, render(faces, some, np.repeat(ids[part], count))))
        shown += list(some)
        if on_batch:
            on_batch(min(start + step, len(wanted)), len(wanted))
    base = wanted.table[["image", "dataset", "split", "label", "group"]].assign(leaked=marks)
    table = base.loc[base.index.repeat(count)].reset_index(drop=True)
    name = known.provenance.get("name", Path(bundle).parent.name)
    model_seed = known.provenance.get("seed", 0)
    model = known.provenance.get("model_id", f"{name}-seed{model_seed}")
    table = table.assign(
        draw=np.tile(np.repeat(np.arange(samples), views_a_draw), len(wanted)), model=model
    )
    table[list(PROBABILITY_COLUMNS)] = np.concatenate(values)
    table = table[list(SAMPLE_COLUMNS)].assign(view=shown)
    table.attrs["hemiface"] = {
        "models": [
            {"model": model, "name": name, "seed": model_seed, "sha256": sha256_file(bundle)}
        ],
        "samples": samples,
        "split": split,
        "limit": limit,
        "fill": fill,
        "seed": seed,
        "data_sha256": images.info.get("data_sha256"),
    }
    return table


def _wanted(images: Images, split: str, limit: int | None, seed: int) -> tuple[Images, Bools]:
    """Return the images to show, in the data's order, and which of them are leaked."""
    is_leaked = leaked(images.table)
    rows = np.flatnonzero((images.table["split"] == split).to_numpy())
    if not len(rows):
        raise UsageError(f"The data has no {split} images; choose another split or source.")
    if limit is not None and limit < len(rows):
        rows = np.sort(np.random.default_rng(seed).choice(rows, limit, replace=False))
    return images.subset(rows), is_leaked[rows]


def _predict(network: FaceNetwork, faces: Bytes) -> npt.NDArray[np.float32]:
    values: npt.NDArray[np.float32] = predict(network, torch.from_numpy(faces)).cpu().numpy()
    return values


def _written(table: pd.DataFrame, out: str | Path | None) -> pd.DataFrame:
    if out is not None:
        write_table(table, out, table.attrs["hemiface"])
    return table
