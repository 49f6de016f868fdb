"""Whether visibility notices sunglasses and hands in FER2013's own pictures.

    python validity/real_things.py --data fer2013.csv --model visibility --model OTHER.onnx \
        --listed results/people/real_things_by_eye.csv --out results/people

The list says, by looking at the pictures, what a real thing covers more than half of: `row` (of
fer2013.csv), `thing`, and `covers`, the region (`eyes` or `mouth`), or `nothing`, as clear
spectacles do. Listed training images are no test: networks learn from them (`hemiface visibility
train --real`), or leave them out where `covers` is empty, because a test image is nearly the same.

Writes `real_things.csv`: for each network, split and thing how many are noticed, which is more than
half of the region said to be covered, with Wilson's 95 % interval, and the mean share that is
said to be covered. `anything else` are all images of the split that aren't listed: what is
noticed there is a false alarm or a thing that the list lacks. And its environment.

With --votes also `real_things_labels.csv`: how right networks that name emotions are about the
listed test images that have a majority among FER+'s voters, as they are and with a half hidden of
which the first --model says that more than half is covered (`masked_labels.py` asks the same of
drawn things).
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import experiment
from hemiface.cli.reading import network_files
from hemiface.data.ferplus import relabel
from hemiface.data.images import Images
from hemiface.data.readers import load
from hemiface.data.rows import pick_rows
from hemiface.errors import DamagedError
from hemiface.files import sha256_file, write_json
from hemiface.models import shipped
from hemiface.models.onnx_file import OnnxModel
from hemiface.models.visible_tiles import VisibleTiles, region_shares
from hemiface.provenance import environment
from hemiface.tables import label_indices, write_csv
from hemiface.visibility.covered_faces import COVERS_NOTHING, REAL_THINGS
from masked_labels import MODELS, both

HALF = 0.5
REGIONS = tuple(REAL_THINGS)
OTHERS = "anything else"


def covered(network: VisibleTiles, images: Images) -> pd.DataFrame:
    """Return the share of each region that is said to be covered, a row for each image."""
    visible = region_shares(network.predict(images.pixels))
    table = {one: 1 - visible[one] for one in REGIONS}
    return pd.DataFrame(table, index=images.table["source_row"].to_numpy())


def listed(path: Path) -> pd.DataFrame:
    """Return the list by its rows.

    Raises:
        DamagedError: it has other columns, or names a region that there isn't.
    """
    table = pd.read_csv(path, dtype={"covers": str, "thing": str}).fillna({"covers": ""})
    if list(table.columns) != ["row", "thing", "covers"]:
        raise DamagedError(f"{path} must have the columns row, thing, covers; nothing else.")
    if wrong := sorted(set(table["covers"]) - {*REGIONS, COVERS_NOTHING, ""}):
        known = " or ".join((*REGIONS, COVERS_NOTHING))
        raise DamagedError(f"{path} names {wrong[0]!r}; things cover {known}.")
    return table.set_index("row")


def noticed(shares: pd.DataFrame, known: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield a row for each thing and region, and one for each region of what isn't listed."""
    here = known[known.index.isin(shares.index)]
    for (thing, region), rows in here.groupby(["thing", "covers"], sort=True):
        # What covers nothing is asked about the eyes: spectacles are the only such thing.
        hides = region in REGIONS
        yield _row(thing, region if hides else "eyes", hides, shares.loc[rows.index])
    for region in REGIONS:
        yield _row(OTHERS, region, False, shares[~shares.index.isin(known.index)])


def _row(thing: str, region: str, hides: bool, shares: pd.DataFrame) -> dict[str, Any]:
    said = shares[region].to_numpy()
    counted = int((said > HALF).sum())
    low, high = experiment.wilson(counted, len(said))
    return {
        "thing": thing,
        "region": region,
        "covered": hides,
        "n": len(said),
        "noticed": counted / len(said),
        "low": low,
        "high": high,
        "mean_share": float(np.mean(said)),
    }


def labelled(test: Images, known: pd.DataFrame, tiles: VisibleTiles) -> Iterator[dict[str, Any]]:
    """Yield how right each network is about the faces with each thing, seen in both ways."""
    here = known[known.index.isin(test.table["source_row"])]
    for name in MODELS:
        model = OnnxModel.load(shipped.path_of(name))
        for thing, rows in here.groupby("thing", sort=True):
            faces = test.subset(test.table["source_row"].isin(rows.index).to_numpy())
            for one in both(model, tiles, faces.pixels, label_indices(faces.table)):
                yield {"model": name, "thing": thing, **one}


def run(options: argparse.Namespace) -> None:
    """Ask every network about every image of the splits; write the table."""
    images, known = load(options.data), listed(options.listed)
    pick_rows(images, options.listed)  # that they belong together
    networks = [VisibleTiles.load(path) for path in network_files(options.model)]
    parts = {split: images.split(split) for split in options.splits}
    table = pd.DataFrame(
        {"network": one.path.name, "split": split, **row}
        for one in networks
        for split, part in parts.items()
        for row in noticed(covered(one, part), known)
    )
    write_csv(table, options.out / "real_things.csv")
    hashes = {one.path.name: sha256_file(one.path) for one in networks}
    settings = {"networks": hashes, "listed_sha256": sha256_file(options.listed)}
    if options.votes:
        test = relabel(images.split("test"), options.votes, majority=True)
        labels = pd.DataFrame(labelled(test, known, networks[0]))
        write_csv(labels, options.out / "real_things_labels.csv")
        print(labels.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    write_json(options.out / "real_things.environment.json", {**environment(), **settings})
    print(table.to_string(index=False, float_format=lambda value: f"{value:.3f}"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = experiment.parser(__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--listed", type=Path, required=True)
    parser.add_argument("--model", type=Path, action="append", required=True, help="repeatable")
    parser.add_argument("--votes", type=Path, help="FER+'s fer2013new.csv")
    parser.add_argument("--splits", nargs="+", default=["validation", "test"])
    parser.add_argument("--out", type=Path, required=True)
    return experiment.exit_code(partial(run, parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
