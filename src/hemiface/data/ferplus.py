"""FER+: ten people's votes for each image of FER2013, as labels (Barsoum et al. 2016)."""

import csv
import dataclasses
import hashlib
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hemiface.data.csv_files import USAGES
from hemiface.data.images import Images
from hemiface.errors import DamagedError, UsageError
from hemiface.inputs import open_lines
from hemiface.tables import EMOTIONS

__all__ = [
    "FERPLUS_RULE",
    "MAJORITY_RULE",
    "NO_MAJORITY",
    "OWN_LABEL",
    "VOTE_COLUMNS",
    "relabel",
    "votes_sha256",
    "winners",
]

_COUNT = re.compile(r"[0-9]{1,9}")
_CLASSES = {
    "neutral": "neutral",
    "happiness": "happy",
    "surprise": "surprise",
    "sadness": "sad",
    "anger": "angry",
    "disgust": "disgust",
    "fear": "fear",
    "contempt": "contempt",
    "unknown": "unknown",
    "NF": "nf",
}
"""From the columns of fer2013new.csv, in their order (which is not FER2013's), to our names."""

VOTE_COLUMNS = tuple(f"votes_{name}" for name in _CLASSES.values())
NO_MAJORITY = "no majority"
"""What images are counted under on which the voters don't agree."""
OWN_LABEL = "own_label"
"""The column that keeps the data set's own label beside the one that FER+ gives."""
FERPLUS_RULE = (
    "the most voted of FER+'s ten classes (argmax); a tie goes to the class that comes first in "
    "FER+'s order (neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, "
    "NF); images whose winner is contempt, unknown or NF (not a face) are dropped"
)
MAJORITY_RULE = (
    "the class with more than half of FER+'s votes, classes with a single vote left out first (the "
    "majority mode of FER+'s own code); images without such a class, or where it is contempt, "
    "unknown or NF (not a face), are dropped"
)


def relabel(images: Images, path: Path, *, majority: bool = False) -> Images:
    """Return `images` with the votes in `path` (fer2013new.csv) as labels.

    The label follows FERPLUS_RULE, or with `majority` MAJORITY_RULE.

    Adds int64 columns VOTE_COLUMNS, and OWN_LABEL with the labels that were there. Line k of FER+
    belongs to row k of fer2013.csv: the join is by `source_row` alone, because the number in FER+'s
    image names is not the row and four names occur twice; each row's Usage has to agree with its
    split, where the splits are still the source's own. `info["ferplus"]` counts what was
    dropped, what changed, and the ties.

    UsageError is raised where the images carry no rows of FER2013, DamagedError where the file
    doesn't fit, naming its row.
    """
    rows = images.table["source_row"].to_numpy()
    if len(rows) == 0 or rows.min() < 0:
        raise UsageError(
            f"FER+ votes belong to rows of fer2013.csv, which {images.info['source']} doesn't "
            "have; take a CSV form of FER2013."
        )
    splits, votes = _read_votes(path)
    n_rows = images.info.get("rows", int(rows.max()) + 1)
    # The contest's train.csv is the first 28,709 rows of fer2013.csv: the rest must be tests.
    if n_rows > len(votes) or "train" in splits[n_rows:]:
        raise DamagedError(
            f"{path.name} has {len(votes):,} rows, but {images.info['source']} has {n_rows:,}; "
            "they must be the same pictures in the same order."
        )
    wrong = np.flatnonzero(splits[rows] != images.table["split"].to_numpy(dtype=str))
    # Splits that were dealt or carved anew are no longer those of the file.
    if len(wrong) and not images.is_dealt:
        row = int(rows[wrong[0]])
        raise DamagedError(
            f"{path.name}, row {row} (line {row + 2}) is {splits[row]}, but the image is "
            f"{images.table['split'].iloc[wrong[0]]}; they must be in the same order."
        )
    return _with_votes(images, votes[rows], path.name, majority)


def votes_sha256(images: Images) -> str | None:
    """Return the SHA-256 of all votes and own labels, which labels don't tell; None without any."""
    columns = [one for one in (*VOTE_COLUMNS, OWN_LABEL) if one in images.table]
    if not columns:
        return None
    digest = hashlib.sha256()
    for column in columns:
        digest.update("\n".join([column, *images.table[column].astype(str), ""]).encode())
    return digest.hexdigest()


def winners(
    votes: npt.NDArray[np.int64], *, majority: bool = False
) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.bool_]]:
    """Return the classes (str [n]) that votes int64 [n, 10] give, and whether the voters agreed.

    The class follows FERPLUS_RULE, under which voters agree if there is a vote, or with `majority`
    MAJORITY_RULE; it may be contempt, unknown or nf.
    """
    counted = np.where(votes > 1, votes, 0) if majority else votes
    label = np.asarray(list(_CLASSES.values()))[counted.argmax(axis=1)]
    if not majority:
        return label, votes.sum(axis=1) > 0
    return label, 2 * counted.max(axis=1) > counted.sum(axis=1)


def _with_votes(images: Images, votes: npt.NDArray[np.int64], name: str, majority: bool) -> Images:
    """Return `images` labelled by `votes` (int64 [n, 10])."""
    label, agreed = winners(votes, majority=majority)
    kept = np.isin(label, EMOTIONS) & agreed
    # Labelled by votes before, a table still knows what the data set called its images.
    own = images.table[OWN_LABEL if OWN_LABEL in images.table else "label"]
    old = own.to_numpy(dtype=str)
    info = {
        "file": name,
        "rule": MAJORITY_RULE if majority else FERPLUS_RULE,
        "dropped": {
            other: int((agreed & (label == other)).sum())
            for other in _CLASSES.values()
            if other not in EMOTIONS
        }
        | ({NO_MAJORITY: int((~agreed).sum())} if majority or not agreed.all() else {}),
        "changed": int((kept & (label != old)).sum()),
        "ties": int(((votes == votes.max(axis=1, keepdims=True)).sum(axis=1) > 1).sum()),
    }
    named = dict(zip(VOTE_COLUMNS, votes.T, strict=True))
    table = images.table.assign(label=np.where(kept, label, old), **named).astype(
        {"label": images.table["label"].dtype}
    )
    table[OWN_LABEL] = own
    whole = dataclasses.replace(images, table=table, info={**images.info, "ferplus": info})
    return whole.subset(kept)


def _read_votes(path: Path) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.int64]]:
    """Return the splits (str [n]) and votes (int64 [n, 10]) of fer2013new.csv."""
    splits, votes = [], []
    try:
        with open_lines(path, "check --labels") as file:
            reader = csv.DictReader(file)
            missing = [
                name for name in ("Usage", *_CLASSES) if name not in (reader.fieldnames or ())
            ]
            if missing:
                raise DamagedError(
                    f"{path.name} has no column {', '.join(missing)}; take FER+'s fer2013new.csv."
                )
            for number, row in enumerate(reader):
                where = f"{path.name}, row {number} (line {number + 2})"
                if row["Usage"] not in USAGES:
                    raise DamagedError(
                        f"{where} has Usage {row['Usage']!r}, expected {', '.join(USAGES)}."
                    )
                cells = [row[name] or "" for name in _CLASSES]
                for name, cell in zip(_CLASSES, cells, strict=True):
                    if not _COUNT.fullmatch(cell):
                        raise DamagedError(
                            f"{where} has {cell[:40]!r} votes for {name}, expected a whole number."
                        )
                splits.append(USAGES[row["Usage"]])
                votes.append([int(cell) for cell in cells])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DamagedError(f"{path.name} is not a readable CSV file ({error}).") from error
    if not votes:
        raise DamagedError(f"{path.name} has no rows; fetch it again.")
    return np.array(splits), np.array(votes, dtype=np.int64)
