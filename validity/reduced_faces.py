"""How much networks still read in small faces, whole and half hidden.

    python validity/reduced_faces.py people-small-int8 small --data runs/people-small \
        --votes fer2013new.csv --runs runs/small-faces --out results/people

FER2013's PublicTest and PrivateTest faces that have a majority among FER+'s voters are reduced to
squares of --sizes pixels, each pixel the mean of its area, as a sensor takes it, and brought back
to the networks' 48 pixels as `hemiface predict` brings a face of that size
(`vision.finding.alignment.align`, which interpolates linearly); where eyes and mouth lie is known
here, so what a detector loses on small faces isn't part of it. Halves are hidden after that. At 48
pixels nothing is changed. Reduced faces are sharper than those that a lens leaves so small.

Writes `small_faces.csv`, a row for each model, split, size and condition: accuracy and mean recall
(over the seven emotions) with 95 % intervals from a bootstrap of groups (near duplicates are one in
a run folder, exact copies elsewhere), and how much is lost against the same faces at 48 pixels,
paired; and its environment. What is predicted is kept in --runs, so that a killed run goes on.
Nothing is chosen here.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

import experiment
from hemiface.data.ferplus import relabel
from hemiface.data.images import Images
from hemiface.data.readers import load
from hemiface.errors import UsageError
from hemiface.files import hash_json, sha256_file, write_json
from hemiface.models import shipped
from hemiface.models.onnx_file import OnnxModel
from hemiface.occlusion.conditions import condition, hide, image_seeds
from hemiface.provenance import environment
from hemiface.stats.inference import interval
from hemiface.stats.sample import group_weights
from hemiface.stats.scores import scores_over_draws
from hemiface.tables import FER2013_SIZE_PX, label_indices, write_csv
from hemiface.vision.finding.alignment import FRAME, align

CONDITIONS = ("full", "upper", "lower", "left", "right")
SIZES_PX = (16, 20, 24, 32, FER2013_SIZE_PX)
SPLITS = ("validation", "test")
METRICS = {"accuracy": "accuracy", "balanced_accuracy": "mean_recall"}
"""Names of `stats.metrics` and of columns."""
_LEVEL = 0.95

Faces = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


def reduce(faces: Faces, size_px: int) -> Faces:
    """Return faces [n, 48, 48] as cameras leave them at `size_px` a side: [n, size_px, size_px].

    Each pixel is the mean over the area that it covers, parts of pixels by their share.
    """
    shares = _area_shares(FER2013_SIZE_PX, size_px)
    means = np.einsum("ij,njk,lk->nil", shares, faces.astype(np.float64), shares, optimize=True)
    return np.rint(means).astype(np.uint8)


def _area_shares(from_px: int, to_px: int) -> Floats:
    """Return [to_px, from_px]: what share of each new pixel each old one is, along a side."""
    edges = np.arange(to_px + 1) * (from_px / to_px)
    old = np.arange(from_px)
    overlap = np.minimum(edges[1:, None], old + 1) - np.maximum(edges[:-1, None], old)
    shares: Floats = np.maximum(overlap, 0) * (to_px / from_px)
    return shares


def bring_back(faces: Faces) -> Faces:
    """Return faces [n, size, size] in the networks' frame, as the predictor cuts them out."""
    five = FRAME * (faces.shape[1] / FER2013_SIZE_PX)
    photos = np.repeat(faces[..., None], 3, axis=3)
    return np.stack([align(photo, five).pixels for photo in photos])


@dataclass(frozen=True, eq=False)
class Reading:
    """Networks by name, faces with a majority by split, and the folder that keeps predictions."""

    models: dict[str, OnnxModel]
    parts: dict[str, Images]
    runs: Path
    code: Sequence[str] = ()

    def probabilities(self, model: str, split: str, size_px: int, hidden: str) -> Floats:
        """Return float64 [n, 7], read from the folder or predicted and kept there."""
        network, images = self.models[model], self.parts[split]
        made_from = hash_json([images.info["data_sha256"], list(images.table["image"]), self.code])
        which = f"{sha256_file(network.path)[:12]}-{made_from[:12]}"
        key = f"{which}-{split}-{size_px}-{hidden}.npy"

        def predict() -> npt.NDArray[np.float32]:
            faces = bring_back(reduce(np.asarray(images.pixels), size_px))
            seeds = image_seeds(images.table["image"])
            return network.predict(hide(faces, condition(hidden), seeds))

        return experiment.kept(self.runs / key, predict).astype(np.float64)


def rows(reading: Reading, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield a row for each model, split, condition and size, the unreduced size first."""
    sizes = sorted(set(options.sizes) | {FER2013_SIZE_PX}, reverse=True)
    for model in reading.models:
        for split, images in reading.parts.items():
            labels = label_indices(images.table)
            groups, names = pd.factorize(images.table["group"])
            drawn = group_weights(len(names), options.draws)
            weights = np.hstack([np.ones((len(names), 1), drawn.dtype), drawn])
            for hidden in options.conditions:
                whole: dict[str, Floats] = {}
                for size_px in sizes:
                    values = reading.probabilities(model, split, size_px, hidden)
                    found = scores_over_draws(values, labels, groups, weights, list(METRICS))
                    whole = whole or found
                    row = {"model": model, "split": split, "size_px": size_px}
                    row |= {"condition": hidden, "n": len(labels)}
                    for metric, column in METRICS.items():
                        lost = whole[metric] - found[metric]
                        for name, scores in ((column, found[metric]), (f"{column}_lost", lost)):
                            low, high, _ = interval(scores[1:], len(names), _LEVEL, metric)
                            row |= {name: scores[0], f"{name}_low": low, f"{name}_high": high}
                    print(
                        f"{model:20} {split:10} {hidden:6} {size_px:2} px: accuracy "
                        f"{100 * row['accuracy']:.1f}, mean recall {100 * row['mean_recall']:.1f}",
                        flush=True,
                    )
                    yield row


def run(options: argparse.Namespace) -> None:
    """Predict what isn't kept and write both files."""
    paths = {one: one if one.endswith(".onnx") else shipped.path_of(one) for one in options.models}
    models = {Path(path).stem: OnnxModel.load(path) for path in paths.values()}
    if len(models) < len(paths):
        raise UsageError("Two networks have one file's name, which tells them apart; rename one.")
    images = relabel(load(options.data), options.votes, majority=True)
    parts = {split: _some(images.split(split), options.faces) for split in options.splits}
    options.runs.mkdir(parents=True, exist_ok=True)
    code = experiment.code_of(sys.modules[__name__])
    table = pd.DataFrame(rows(Reading(models, parts, options.runs, code), options))
    write_csv(table, options.out / "small_faces.csv")
    facts = environment() | {"draws": options.draws, "faces": options.faces}
    facts["models_sha256"] = {name: sha256_file(one.path) for name, one in models.items()}
    write_json(options.out / "small_faces.environment.json", facts)


def _some(images: Images, most: int | None) -> Images:
    """Return the images, or so many drawn from them."""
    if most is None or most >= len(images):
        return images
    return images.subset(np.random.default_rng(0).permutation(len(images))[:most])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = experiment.parser(__doc__)
    add = parser.add_argument
    add("models", nargs="+", help="names of hemiface models list, or ONNX files")
    add("--data", required=True, help="a run folder of FER2013, or fer2013.csv or its strips")
    add("--votes", type=Path, required=True, help="fer2013new.csv of FER+")
    add("--sizes", nargs="+", type=int, default=list(SIZES_PX), help="pixels a side")
    add("--conditions", nargs="+", default=list(CONDITIONS))
    add("--splits", nargs="+", default=list(SPLITS), choices=SPLITS)
    add("--faces", type=int, help="so many of each split, drawn; all unless told")
    add("--draws", type=int, default=1000, help="bootstrap draws (default %(default)s)")
    add("--runs", type=Path, required=True, help="folder of what is kept between runs")
    add("--out", type=Path, required=True, help="folder of small_faces.csv")
    return experiment.exit_code(partial(run, parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
