"""Faces uncovered at random -> tables of predictions: chains of tiles, and Gaussian apertures.

This is the torch side of `importance.tiles` and `importance.bubbles`: what is shown is drawn from
the image's ID, so every model sees the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from hemiface.data.groups import leaked
from hemiface.data.images import Images
from hemiface.errors import UsageError
from hemiface.networks.classifiers import described, opened
from hemiface.networks.network import resolve_device
from hemiface.occlusion.bubbles import bubble_centres, through_bubbles
from hemiface.occlusion.conditions import FILLS, Fill, hide_tiles, image_seeds
from hemiface.occlusion.tiles import TILES, pack
from hemiface.tables import PROBABILITY_COLUMNS, SAMPLE_COLUMNS, Uncovered, write_table

__all__ = ["UncoverOptions", "sample_bubbles", "sample_chains"]

Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
OnBatch = Callable[[int, int], None]

_FACES_AT_A_TIME = 2048
_CHAIN_SALT = 1


@dataclass(frozen=True)
class UncoverOptions:
    """Which images are shown and how.

    `samples` draws for each image of `split` (at most `limit` images, drawn at random by `seed`),
    hidden parts filled with `fill` ("": black for tiles, mean around apertures); `names` are what
    the networks are called, () for their own; `on_batch(done, total)` counts images.
    """

    samples: int = 1
    split: str = "test"
    limit: int | None = None
    fill: str = ""
    seed: int = 0
    names: tuple[str, ...] = ()
    device: str = "auto"
    on_batch: OnBatch | None = None

    def __post_init__(self) -> None:
        small = self.samples < 1 or (self.limit is not None and self.limit < 1)
        if small or self.fill not in ("", *FILLS):
            raise UsageError(
                f"samples and limit must be 1 or more and the fill one of {', '.join(FILLS)}, got "
                f"{self.samples}, {self.limit} and {self.fill!r}."
            )


def _filled(options: UncoverOptions, fill: Fill) -> UncoverOptions:
    return options if options.fill else replace(options, fill=fill)


def sample_chains(
    networks: str | Path | Sequence[str | Path],
    images: Images,
    options: UncoverOptions | None = None,
    *,
    out: str | Path | None = None,
) -> Uncovered:
    """Return predictions for faces that are uncovered tile by tile in random orders.

    networks: Bundles or ONNX files of `hemiface export`, one or several; all see the same.

    Each image is uncovered in 49 steps from nothing to everything, `samples` times. Orders come in
    pairs, each second one the first reversed, which evens out what comes early (Mitchell et al.
    2022, Sampling permutations for Shapley value estimation, JMLR 23). Columns: SAMPLE_COLUMNS and
    `visible` (uint64: bit t for tile t, see `occlusion.tiles`). The facts describe the model and
    the options; `out` is written with both.

    Raises:
        UsageError: the split is unknown or empty, or two networks have one name.
        DamagedError: a network can't be read.

    """
    options = _filled(options or UncoverOptions(), "black")

    def shown(id_seed: int) -> Bools:
        return np.concatenate(
            [_chain(id_seed, options.seed, draw) for draw in range(options.samples)]
        )

    def render(faces: Bytes, visible: Bools, seeds: npt.NDArray[np.uint64]) -> Bytes:
        return hide_tiles(faces, visible, cast(Fill, options.fill), seeds)

    table, facts = _sample(networks, images, options, TILES + 1, shown, render)
    table["visible"] = pack(np.stack(list(table.pop("shown"))))
    return _written(Uncovered(table, {**facts, "kind": "chains"}), out)


def sample_bubbles(
    networks: str | Path | Sequence[str | Path],
    images: Images,
    options: UncoverOptions | None = None,
    *,
    bubbles: int = 8,
    sigma_px: float = 4.0,
    out: str | Path | None = None,
) -> Uncovered:
    """Return predictions for faces seen through Gaussian apertures at random places.

    networks: Bundles or ONNX files of `hemiface export`, one or several; all see the same.

    Where the apertures' sum is 1 the face is shown, where it is 0 the fill (fill `mean` is a middle
    grey here, as in Gosselin & Schyns 2001). More `bubbles` make the task easier; they took as many
    as leave three quarters of the answers right. Columns: SAMPLE_COLUMNS and `bubbles` (a list of
    centres, row * 48 + column). Everything else as in `sample_chains`.

    Raises:
        UsageError: the split is unknown or empty, an option is wrong or two networks have one name.
        DamagedError: a network can't be read.

    """
    if bubbles < 1 or not sigma_px > 0:
        raise UsageError(f"bubbles and sigma_px must be above 0, got {bubbles} and {sigma_px}.")
    options = _filled(options or UncoverOptions(samples=5), "mean")
    side = images.pixels.shape[1]

    def shown(id_seed: int) -> npt.NDArray[np.uint16]:
        return bubble_centres(id_seed, options.seed, options.samples, bubbles, side)

    def render(
        faces: Bytes, centres: npt.NDArray[np.uint16], seeds: npt.NDArray[np.uint64]
    ) -> Bytes:
        return through_bubbles(faces, centres, sigma_px, cast(Fill, options.fill), seeds)

    table, facts = _sample(networks, images, options, 1, shown, render)
    table = table.rename(columns={"shown": "bubbles"})
    facts |= {"kind": "bubbles", "bubbles": bubbles, "sigma_px": sigma_px}
    return _written(Uncovered(table, facts), out)


def _chain(id_seed: int, seed: int, draw: int) -> Bools:
    """Return bool [49, 48]: the tiles that are visible at each step of one chain."""
    order = np.random.default_rng([id_seed, seed, draw // 2, _CHAIN_SALT]).permutation(TILES)
    place = np.argsort(order if draw % 2 == 0 else order[::-1])
    return place[None, :] < np.arange(TILES + 1)[:, None]


def _sample(
    paths: str | Path | Sequence[str | Path],
    images: Images,
    options: UncoverOptions,
    shown_a_draw: int,
    shown: Callable[[int], npt.NDArray[np.generic]],
    render: Callable[..., Bytes],
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return SAMPLE_COLUMNS and `shown` (a row of what `shown` gave an image), and facts."""
    wanted, marks = _wanted(images, options)
    files = [Path(one) for one in ([paths] if isinstance(paths, str | Path) else paths)]
    known = described(files, options.names)
    device = torch.device(resolve_device(options.device))
    networks = [opened(one, device) for one in files]
    ids = image_seeds(wanted.table["image"])
    count = options.samples * shown_a_draw
    step = max(1, _FACES_AT_A_TIME // count)
    drawn: list[npt.NDArray[np.generic]] = []
    values: list[list[npt.NDArray[np.float32]]] = [[] for _ in networks]
    for start in range(0, len(wanted), step):
        part = slice(start, start + step)
        some = np.concatenate([shown(int(one)) for one in ids[part]])
        faces = np.repeat(wanted.pixels[part], count, axis=0)
        hidden = render(faces, some, np.repeat(ids[part], count))
        for network, answers in zip(networks, values, strict=True):
            answers.append(network.predict(hidden))
        drawn += list(some)
        if options.on_batch:
            options.on_batch(min(start + step, len(wanted)), len(wanted))
    base = wanted.table[["image", "dataset", "split", "label", "group"]].assign(leaked=marks)
    table = base.loc[base.index.repeat(count)].reset_index(drop=True)
    numbers = np.repeat(np.arange(options.samples), shown_a_draw)
    table = table.assign(draw=np.tile(numbers, len(wanted)), shown=pd.Series(drawn, dtype=object))
    parts = []
    for one, answers in zip(known, values, strict=True):
        own = table.assign(model=one["model"])
        own[list(PROBABILITY_COLUMNS)] = np.concatenate(answers)
        parts.append(own[[*SAMPLE_COLUMNS, "shown"]])
    table = pd.concat(parts, ignore_index=True)
    chosen = {
        name: getattr(options, name) for name in ("samples", "split", "limit", "fill", "seed")
    }
    data = {"data_sha256": images.info.get("data_sha256")}
    models = [{name: one[name] for name in ("model", "name", "seed", "sha256")} for one in known]
    return table, {"models": models, **chosen, **data}


def _wanted(images: Images, options: UncoverOptions) -> tuple[Images, Bools]:
    """Return the images to show, in the data's order, and which of them are leaked."""
    is_leaked = leaked(images.table)
    rows = np.flatnonzero((images.table["split"] == options.split).to_numpy())
    if not len(rows):
        raise UsageError(f"The data has no {options.split} images; choose another split or source.")
    if options.limit is not None and options.limit < len(rows):
        random = np.random.default_rng(options.seed)
        rows = np.sort(random.choice(rows, options.limit, replace=False))
    return images.subset(rows), is_leaked[rows]


def _written(samples: Uncovered, out: str | Path | None) -> Uncovered:
    if out is not None:
        write_table(samples.table, out, dict(samples.facts))
    return samples
