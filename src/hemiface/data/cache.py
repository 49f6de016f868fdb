"""Data made ready once: read, grouped, kept in a folder until the source changes."""

import dataclasses
import logging
from pathlib import Path
from typing import Literal

import numpy as np

from hemiface.data.groups import joined_groups
from hemiface.data.images import PIXELS_FILE, TABLE_FILE, Images
from hemiface.data.listed import AlignFaces, ReadOptions
from hemiface.data.readers import find, labels_file, load, read, source_sha256
from hemiface.data.splits import carve_validation, deal_splits
from hemiface.errors import DamagedError, UsageError
from hemiface.files import hash_json, sha256_file
from hemiface.inputs import require_file
from hemiface.provenance import code_hash
from hemiface.tables import read_table

__all__ = ["PAPER_NOTE", "load_images", "prepare"]

PAPER_NOTE = (
    "As in the original study, validation and test images are tested on together; a tenth of the "
    "groups of train, chosen by hash, is the validation split."
)

_log = logging.getLogger("hemiface.data")


def prepare(
    source: str | Path,
    folder: str | Path,
    *,
    labels: str | None = None,
    skip_bad: bool = False,
    near_duplicates: bool = True,
    protocol: Literal["standard", "paper"] = "standard",
    align: AlignFaces | None = None,
    deal: bool = False,
) -> Images:
    """Return `load(source)` with near-duplicate groups, from `folder` if it is there already.

    `folder` then holds `images.parquet` and `pixels.npy`. They are used again while the source's
    bytes, the FER+ file, the options, what aligns faces and the code that reads are the same; else,
    or if they are damaged (which is logged), they are made anew, whole or not at all. With
    `near_duplicates` the `group` of an image is the ID of the first image of its near-duplicate
    component (see `audit.near_duplicate_groups`), joined with those of its person, else of its
    first exact copy or picture of its person. Without, they are looked for only where a validation
    split was carved out of train or splits were dealt: these are dealt again by such groups,
    always, so that what is evaluated elsewhere is dealt alike. With protocol `paper` the validation
    images join the test images, as in the original study, and a tenth of the train groups is the
    new validation split. Errors are those of `load`.
    """
    found, target, votes = find(source), Path(folder), labels_file(labels)
    if found.form == "images" and found.path.resolve() == target.resolve():
        raise UsageError(f"{target} is the source itself; prepare it into another folder.")
    if votes:
        require_file(votes, hint="check --labels")
    options = ReadOptions(skip_bad=skip_bad, align=align, deal=deal)
    sha256 = source_sha256(found, options)
    key = hash_json(
        {
            "form": found.form,
            # Part of each image's `source`.
            "name": found.path.name,
            "sha256": sha256,
            "labels": [str(labels).partition("=")[0], sha256_file(votes)] if votes else None,
            "skip_bad": skip_bad,
            "near_duplicates": near_duplicates,
            "protocol": protocol,
            "align": None if align is None else align.key,
            "deal": deal,
            "code": code_hash(__name__),
        }
    )
    cached = _cached(target, key)
    if cached:
        return cached
    images = read(found, options, labels=labels, sha256=sha256)
    near_duplicates = near_duplicates or images.is_dealt
    if near_duplicates:
        images = _grouped(images)
    if protocol == "paper" and not images.info.get("validation_carved"):
        split = images.table["split"].replace({"validation": "test"})
        images = dataclasses.replace(images, table=images.table.assign(split=split))
        images = carve_validation(images, PAPER_NOTE)
    images = dataclasses.replace(
        images, info={**images.info, "near_duplicates": near_duplicates, "prepare_key": key}
    )
    images.write(target)
    return images


def _cached(folder: Path, key: str) -> Images | None:
    """Return the Images in `folder` if they were made under `key`, None if not or if damaged."""
    if not (folder / TABLE_FILE).is_file():
        return None
    try:
        # The small file first: nothing of 80 MB is read only to be thrown away.
        if read_table(folder / TABLE_FILE).attrs["hemiface"].get("prepare_key") != key:
            return None
        return Images.read(folder)
    except DamagedError as error:
        _log.warning("%s %s is made again.", error, folder / PIXELS_FILE)
        return None


def load_images(
    source: str | Path,
    *,
    labels: str | None = None,
    skip_bad: bool = False,
    align: AlignFaces | None = None,
    deal: bool = False,
) -> Images:
    """Return `readers.load(source)` with splits as `prepare` deals them.

    `load` deals by exact copies alone: a network that was trained on the same source would meet
    near duplicates of its training as test images. Splits that the source has of its own stay, and
    those of a run's folder. Options and errors are those of `load`.
    """
    images = load(source, labels=labels, skip_bad=skip_bad, align=align, deal=deal)
    if not images.is_dealt or "near_duplicates" in images.info:
        return images
    images = _grouped(images)
    return dataclasses.replace(images, info={**images.info, "near_duplicates": True})


def _grouped(images: Images) -> Images:
    """Return `images` with near-duplicate components, joined with those there were, as groups."""
    from hemiface.data.audit import near_duplicate_groups

    near = np.asarray(near_duplicate_groups(images.pixels)).astype(str)
    first = joined_groups(near, images.table["group"])
    group = images.table["image"].iloc[first].reset_index(drop=True)
    images = dataclasses.replace(images, table=images.table.assign(group=group))
    said = images.info.get("notes", [])
    if images.info.get("dealt"):
        images = deal_splits(images)
    elif images.info.get("validation_carved"):
        images = carve_validation(images)
    for note in images.info.get("notes", []):
        if note not in said:  # the splits lack other classes now
            _log.warning("%s", note)
    return images
