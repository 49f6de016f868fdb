"""Whether labels get better where the network isn't shown what a thing covers.

    python validity/masked_labels.py --data fer2013.csv --votes fer2013new.csv [--model NAME]

Things are drawn on FER2013's validation images that have a majority among FER+'s voters. Each face
is labelled as it is (`as it is`), and with a half black of which a thing covers more than half by
estimate (`covered half hidden`), as `hemiface predict` shows it to networks that never learnt faces
with things over them. Intervals are Wilson's; `p` is McNemar's
exact test of the two. Writes results/people/masked_labels.csv, its environment beside it.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import binomtest

from experiment import exit_code, wilson
from hemiface.data.readers import load
from hemiface.files import sha256_file, write_json
from hemiface.models import shipped
from hemiface.models.onnx_file import OnnxModel
from hemiface.models.visible_tiles import VisibleTiles
from hemiface.occlusion.conditions import hide, image_seeds
from hemiface.occlusion.occluders import NOTHING, wear
from hemiface.provenance import environment
from hemiface.tables import label_indices, write_csv
from hemiface.vision.covered_halves import covered_part, listed_conditions
from hemiface.vision.visible_regions import visible_regions

RESULTS = Path(__file__).resolve().parents[1] / "results" / "people"
MODELS = ("small", "people-int8", "people-small-int8", "nano-int8")
KINDS = (NOTHING, "mask", "scarf", "sunglasses", "hand", "hair", "cup")


def main() -> None:
    options = _options()
    networks = {name: OnnxModel.load(shipped.path_of(name)) for name in options.model or MODELS}
    tiles = VisibleTiles.load(shipped.path_of("visibility"))
    images = load(options.data, labels=f"ferplus-majority={options.votes}").split("validation")
    images = images.subset(np.random.default_rng(0).permutation(len(images))[: options.faces])
    truth = label_indices(images.table)
    seeds = image_seeds(images.table["image"].tolist())
    rows: list[dict[str, Any]] = []
    for name, model in networks.items():
        for kind in KINDS:
            worn, _ = wear(images.pixels, [kind] * len(images), seeds)
            rows += [
                {"model": name, "drawn": kind, **one} for one in both(model, tiles, worn, truth)
            ]
    options.out.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows)
    write_csv(table, options.out / "masked_labels.csv")
    known: dict[str, Any] = environment()
    known["models_sha256"] = {name: sha256_file(one.path) for name, one in networks.items()}
    known["estimator_sha256"] = sha256_file(tiles.path)
    write_json(options.out / "masked_labels.environment.json", known)
    print(table.to_string(index=False))


def both(
    model: OnnxModel,
    tiles: VisibleTiles,
    faces: npt.NDArray[np.uint8],
    truth: npt.NDArray[np.int64],
) -> Iterator[dict[str, Any]]:
    """Yield what a network reads of faces [n, 48, 48] as they are and with what is covered hidden.

    `truth` is int [n], places in EMOTIONS.
    """
    shown = without_what_is_covered(faces, tiles, listed_conditions(model.header))
    raw, better = (model.predict(one).argmax(axis=1) == truth for one in (faces, shown))
    won, lost = int((better & ~raw).sum()), int((raw & ~better).sum())
    p = binomtest(won, won + lost).pvalue if won + lost else 1.0
    changed = float((shown != faces).any(axis=(1, 2)).mean())
    for seen, right in (("as it is", raw), ("covered half hidden", better)):
        low, high = wilson(int(right.sum()), len(right))
        yield {"seen": seen, "accuracy": right.mean(), "low": low, "high": high, "n": len(right),
               "hidden": changed, "p": p}  # fmt: skip


def without_what_is_covered(
    faces: npt.NDArray[np.uint8], tiles: VisibleTiles, learnt: frozenset[str]
) -> npt.NDArray[np.uint8]:
    """Return the faces [n, 48, 48] as a network that learnt such conditions would be shown them."""
    inside = np.ones(faces.shape[1:], dtype=bool)
    shown = faces.copy()
    for i, shares in enumerate(tiles.predict(faces)):
        part = covered_part(visible_regions(inside, None, tiles=shares), learnt)
        if part is not None:
            shown[i] = hide(faces[i][None], part)[0]
    return shown


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--votes", type=Path, required=True)
    parser.add_argument("--model", action="append", help="a shipped network; repeatable")
    parser.add_argument("--faces", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(exit_code(main))
