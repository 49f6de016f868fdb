"""Whether masks on real people are noticed, and bare faces left bare.

    python validity/masks.py --masks FOLDER --bare FOLDER --faces fer2013.csv [--before OLD.onnx]

The folder of masks has a labels.csv with columns image and covered (`lower` or empty), that of bare
faces one with a column image, of which 500 are drawn. Of each photo the largest face that is found
is asked: its lower half counts as hidden where less than half of it is said to be visible
(`visible_lower`), its mouth likewise. What a photo's border cuts off is told beside it, not counted
as hidden by a mask: shares are of what lies in the picture.

Photos of the folder of masks are parted by a hash of their names: `development` was looked at while
the drawings were made that the network learns from, `claim` was only scored by this network; the
detector's thresholds were chosen on every other photo of the folder, half of `claim`'s among them
(`finding_people.py`), so that the share of faces found isn't held out. On the test images of
`--faces` masks and sunglasses are drawn. Intervals are Wilson's. Writes results/people/masks.csv:
a row for each network, set and metric, labels given to masked faces among them; and its
environment beside it. `--before` scores another network on the same faces. Needs `hemiface models
pull`.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from experiment import exit_code, wilson
from hemiface.data.readers import load
from hemiface.files import sha256_file, write_json
from hemiface.models import shipped
from hemiface.models.visible_tiles import VisibleTiles, region_shares
from hemiface.occlusion.conditions import image_seeds
from hemiface.occlusion.occluders import NOTHING, wear
from hemiface.provenance import environment
from hemiface.tables import EMOTIONS, write_csv
from hemiface.vision.predictor import Predictor
from hemiface.vision.seen import Frame, SeenFace

RESULTS = Path(__file__).resolve().parents[1] / "results" / "people"
BARE_PHOTOS = 500
DRAWN_FACES = 1000
HALF = 0.5
Seen = list[tuple[Frame, SeenFace]]


def main() -> None:
    options = _options()
    predictor = Predictor()
    labels = pd.read_csv(options.masks / "labels.csv").fillna("")
    bare = pd.read_csv(options.bare / "labels.csv")
    bare = bare.sample(min(BARE_PHOTOS, len(bare)), random_state=0)
    test = load(options.faces).split("test")
    test = test.subset(np.random.default_rng(0).permutation(len(test))[:DRAWN_FACES])
    photos = {
        f"{'masked' if covered else 'bare'}, {half}": [options.masks / one for one in rows["image"]]
        for (covered, half), rows in labels.groupby(
            ["covered", labels["image"].map(_half_of)], sort=True
        )
    }
    photos["bare, press photos"] = [options.bare / one for one in bare["image"]]
    seen = {name: _largest(predictor, paths) for name, paths in photos.items()}
    rows = [
        _share("", name, "found", len(faces), len(photos[name])) for name, faces in seen.items()
    ]
    networks = {"shipped": VisibleTiles.load(shipped.path_of("visibility"))}
    if options.before:
        networks = {"before": VisibleTiles.load(options.before), **networks}
    for name, network in networks.items():
        predictor._tiles = network  # what a Predictor estimates with can't be chosen otherwise
        for group, faces in seen.items():
            rows += _real(name, group, predictor, faces)
        rows += _drawn(name, network, test.pixels, test.table["image"].tolist())
    options.out.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows)
    write_csv(table, options.out / "masks.csv")
    known = {**environment(), "detector": predictor.settings()["detector"]}
    known["model_sha256"] = predictor.model_sha256
    known["estimators"] = {name: sha256_file(one.path) for name, one in networks.items()}
    write_json(options.out / "masks.environment.json", known)
    print(table.to_string(index=False))


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--masks", type=Path, required=True)
    parser.add_argument("--bare", type=Path, required=True)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args()


def _half_of(name: str) -> str:
    """Return the half of the set that a photo belongs to, by its name alone.

    >>> _half_of("with/with_000.jpg")
    'development'
    """
    return ("development", "claim")[hashlib.sha256(name.encode()).digest()[0] % 2]


def _largest(predictor: Predictor, paths: list[Path]) -> Seen:
    """Return the largest face of each photo in which one is found."""
    found = []
    for path in paths:
        pixels = predictor.read(path).pixels
        faces = predictor.see(pixels)
        if faces:
            found.append((Frame(pixels[:1, :1], path.name), faces[0]))
    return found


def _real(network: str, group: str, predictor: Predictor, faces: Seen) -> Iterator[dict[str, Any]]:
    """Yield what is said of faces in photos."""
    told = predictor.say([frame for frame, _ in faces], [[one] for _, one in faces])
    every = [one.faces[0] for one in told]
    for region in ("lower", "mouth", "upper", "eyes"):
        covered = np.array([one.visibility.covered[region] for one in every])
        known = covered[~np.isnan(covered)]
        yield _share(network, group, f"{region}_covered", (known > HALF).sum(), len(known))
    if group.startswith("masked"):
        for label in (*EMOTIONS, None):
            count = sum(one.label == label for one in every)
            yield _share(network, group, f"label_{label or 'none'}", count, len(every))


def _drawn(
    network: str, tiles: VisibleTiles, faces: npt.NDArray[np.uint8], ids: list[str]
) -> Iterator[dict[str, Any]]:
    """Yield what is said of test images, bare and under drawn masks and sunglasses."""
    for kind in (NOTHING, "mask", "sunglasses"):
        worn, _ = wear(faces, [kind] * len(faces), image_seeds(ids))
        shares = region_shares(tiles.predict(worn))
        for region in ("lower", "mouth", "upper", "eyes"):
            hidden = shares[region] < HALF
            group = "bare, test images" if kind == NOTHING else f"drawn {kind}, test images"
            yield _share(network, group, f"{region}_covered", hidden.sum(), len(hidden))


def _share(network: str, group: str, metric: str, count: int, n: int) -> dict[str, Any]:
    low, high = wilson(int(count), n)
    value = count / n if n else np.nan
    return {"network": network, "set": group, "metric": metric, "value": value,
            "low": low, "high": high, "n": n}  # fmt: skip


if __name__ == "__main__":
    sys.exit(exit_code(main))
