"""What visibility says of faces in photographs that a real thing covers, face by face.

    python validity/worn_things.py --photos FOLDER --out results/people

`things_by_eye.csv` in --out says what lies over which faces, as it was seen by looking at them:
file, x_px and y_px (a point in the middle of the face), thing, and covers, the region (eyes, mouth
or a half) of which it hides more than half, empty where it hides less of all of them. All faces of
the photos of FOLDER that are found and aren't listed count as bare.

Writes `things.csv`: every face with what is listed of it, the shares that `hemiface predict` says a
thing covers (`covered_<region>`, of what lies in the picture), and its label; and its environment.
Prints which listed things are noticed: more than half of the region said to be covered. No picture
is written. Needs `hemiface models pull`.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import experiment
from hemiface.errors import DamagedError
from hemiface.files import write_json
from hemiface.provenance import environment
from hemiface.tables import write_csv
from hemiface.vision.predictor import Predictor
from hemiface.vision.visible_regions import REGIONS

HALF = 0.5
KINDS = {".jpg", ".jpeg", ".png"}
BARE = "nothing"
_SHARES = [f"covered_{region}" for region in REGIONS]


def faces_of(predictor: Predictor, photos: Path) -> pd.DataFrame:
    """Return a row for each face found: file, x_px, y_px (its middle), size_px, shares, label."""
    rows = []
    for path in sorted(one for one in photos.iterdir() if one.suffix.lower() in KINDS):
        for row in predictor.predict(path).rows():
            middle = {"x_px": row["x_px"] + row["width_px"] / 2}
            middle["y_px"] = row["y_px"] + row["height_px"] / 2
            size = max(row["width_px"], row["height_px"])
            told = {name: row[name] for name in ("in_picture", *_SHARES, "label", "confidence")}
            rows.append({"file": path.name, **middle, "size_px": size, **told})
    return pd.DataFrame(rows)


def joined(faces: pd.DataFrame, listed: pd.DataFrame) -> pd.DataFrame:
    """Return the faces with the columns thing and covers of what is listed nearest to their middle.

    Raises:
        DamagedError: no face is found where one is listed, within half its size.
    """
    thing = pd.Series(BARE, faces.index, dtype=object)
    covers = pd.Series("", faces.index, dtype=object)
    for one in listed.to_dict("records"):
        near = faces[faces["file"] == one["file"]]
        away = np.hypot(near["x_px"] - one["x_px"], near["y_px"] - one["y_px"]) / near["size_px"]
        if away.empty or away.min() > HALF:
            raise DamagedError(
                f"No face is found in {one['file']} near ({one['x_px']}, {one['y_px']}); look at "
                "the list and the photo."
            )
        thing[away.idxmin()], covers[away.idxmin()] = one["thing"], one["covers"]
    return faces.assign(thing=thing, covers=covers)


def run(options: argparse.Namespace) -> None:
    """Look at the photos, write the table, say what was noticed."""
    listed = pd.read_csv(options.out / "things_by_eye.csv").fillna({"covers": ""})
    predictor = Predictor()
    table = joined(faces_of(predictor, options.photos), listed)
    first = ["file", "x_px", "y_px", "size_px", "thing", "covers"]
    table = table[[*first, *(name for name in table if name not in first)]]
    write_csv(table, options.out / "things.csv")
    known: dict[str, Any] = environment()
    known["settings"] = predictor.settings()
    write_json(options.out / "things.environment.json", known)
    for row in table[table["thing"] != BARE].to_dict("records"):
        told = ", ".join(f"{one} {row[f'covered_{one}']:.2f}" for one in REGIONS)
        print(f"{row['file']:24} {row['thing']:16} over {row['covers'] or 'no region':9}: {told}")
    bare = table.loc[table["thing"] == BARE, _SHARES]
    print(f"{len(bare)} bare faces, called covered: {(bare > HALF).sum().to_dict()}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = experiment.parser(__doc__)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of things_by_eye.csv")
    return experiment.exit_code(partial(run, parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
