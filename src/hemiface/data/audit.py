"""What is in a data set before anything is trained on it: counts, copies, leaks, contradictions.

A test image with a copy in train measures memory, and a picture with two labels can't be learnt:
both are counted here, exactly (bit-identical pixels) and nearly (see `hemiface.data.duplicates`).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hemiface.data.duplicates import near_duplicate_groups
from hemiface.data.images import Images
from hemiface.errors import UsageError
from hemiface.tables import EMOTIONS, SPLITS

__all__ = ["audit", "near_duplicate_groups"]

_EXAMPLES = 10
_SOURCES = 6
_ACROSS = (
    ("validation", ("train",)),
    ("test", ("train",)),
    ("test", ("validation",)),
    ("test", ("train", "validation")),
)
"""A split, and the splits that should hold no copies of its images; the last one is the leak."""


def audit(
    images: Images,
    groups: npt.ArrayLike | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Return what is worth knowing about `images` as a JSON-able dict.

    - `source`, `form`, `data_sha256`, `images` (how many).
    - `counts`: split (and `all`) -> emotion (and `total`) -> images.
    - `exact`, `near`: `distinct` groups including single images, `groups` of two or more images,
      `images_in_groups`, `surplus` (images beyond the first of their group), `largest` group,
      `surplus_within` (split -> surplus inside it), `across` (list of `split`, `also_in`, `images`,
      `share`: images of `split` with a copy in any split of `also_in`), `conflicting_groups` and
      `conflicting_images` (groups with more than one label, images in them), `conflicts` (the
      largest ten: `images`, `labels`, and `sources` with one image per label).
    - `leak_free`: `images` and `share` of the test split without a near duplicate in train or
      validation.
    - `constant`: `images` whose pixels are all equal, and their `sources`.
    - `skipped`: one sentence for each picture that was left out while reading.
    - `reading`: what the reader made of the source: `dataset`, `notes`, `converted`, `other_labels`
      (label that is none of the seven -> images left out), `aligned` (pictures with a face that was
      found, without, with several; {} where none was looked for), `persons` (None where nobody says
      who is who), `groups`.

    A `share` is None where the split is empty. `groups` ([n], any hashable) are near-duplicate
    groups already known; else the `group` column is used if near duplicates are in it
    (`info["near_duplicates"]`), or they are searched: about 40 s for FER2013, reported to
    `progress` as (percent done, 100). UsageError is raised if `groups` has another length.
    """
    table = images.table
    if groups is not None:
        near = np.asarray(groups)
        if near.shape != (len(images),):
            raise UsageError(f"{near.size} groups were given for {len(images)} images.")
    elif images.info.get("near_duplicates"):
        near = table["group"].to_numpy()
    else:
        near = near_duplicate_groups(images.pixels, progress)
    by_near = _duplicates(table, near)
    flat = images.pixels.reshape(len(images), -1)
    constant = (flat == flat[:, :1]).all(axis=1)
    return {
        "source": str(images.info.get("source", "")),
        "form": str(images.info.get("form", "")),
        "data_sha256": images.info["data_sha256"],
        "images": len(images),
        "counts": _counts(table),
        "exact": _duplicates(table, table["sha256"].to_numpy()),
        "near": by_near,
        "leak_free": _leak_free(table, by_near),
        "constant": {
            "images": int(constant.sum()),
            "sources": _sources(table[constant], _EXAMPLES),
        },
        "skipped": [str(sentence) for sentence in images.info.get("skipped", [])],
        "reading": _reading(images),
    }


def _reading(images: Images) -> dict[str, Any]:
    info = images.info
    return {
        "dataset": ", ".join(dict.fromkeys(images.table["dataset"])),
        "notes": [str(note) for note in info.get("notes", [])],
        "converted": dict(info.get("converted", {})),
        "other_labels": dict(info.get("other_labels", {})),
        "aligned": dict(info.get("aligned", {})),
        "persons": info.get("persons"),
        "groups": int(images.table["group"].nunique()),
    }


def _counts(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    counts = {}
    for split in (*SPLITS, "all"):
        labels = table.loc[(table["split"] == split) | (split == "all"), "label"]
        counts[split] = {emotion: int((labels == emotion).sum()) for emotion in EMOTIONS}
        counts[split]["total"] = len(labels)
    return counts


def _duplicates(table: pd.DataFrame, groups: npt.NDArray[Any]) -> dict[str, Any]:
    """Return the counts of one grouping, exact or near; see `audit`."""
    codes, distinct = pd.factorize(groups)
    sizes = np.bincount(codes, minlength=len(distinct))
    # [groups, splits] and [groups, emotions]: how many images of each there are.
    by_split = _cross(codes, len(distinct), table["split"], SPLITS)
    by_label = _cross(codes, len(distinct), table["label"], EMOTIONS)
    conflicting = (by_label > 0).sum(axis=1) > 1
    return {
        "distinct": len(distinct),
        "groups": int((sizes > 1).sum()),
        "images_in_groups": int(sizes[sizes > 1].sum()),
        "surplus": len(table) - len(distinct),
        "largest": int(sizes.max(initial=0)),
        "surplus_within": {
            split: int((column - 1).clip(min=0).sum())
            for split, column in zip(SPLITS, by_split.T, strict=True)
        },
        "across": [_across(by_split, split, also_in) for split, also_in in _ACROSS],
        "conflicting_groups": int(conflicting.sum()),
        "conflicting_images": int(sizes[conflicting].sum()),
        "conflicts": _conflicts(table, codes, np.where(conflicting, sizes, 0)),
    }


def _cross(
    codes: npt.NDArray[np.intp], n_groups: int, column: pd.Series, names: tuple[str, ...]
) -> npt.NDArray[np.int64]:
    counts = np.zeros((n_groups, len(names)), dtype=np.int64)
    np.add.at(counts, (codes, pd.Categorical(column, categories=list(names)).codes), 1)
    return counts


def _across(
    by_split: npt.NDArray[np.int64], split: str, also_in: tuple[str, ...]
) -> dict[str, Any]:
    own = by_split[:, SPLITS.index(split)]
    shared = by_split[:, [SPLITS.index(other) for other in also_in]].any(axis=1)
    copied, total = int(own[shared].sum()), int(own.sum())
    return {
        "split": split,
        "also_in": list(also_in),
        "images": copied,
        "share": copied / total if total else None,
    }


def _conflicts(
    table: pd.DataFrame, codes: npt.NDArray[np.intp], sizes: npt.NDArray[np.int64]
) -> list[dict[str, Any]]:
    """Return the groups of the largest `sizes`; those of size 0 don't count."""
    found = []
    for group in np.argsort(-sizes, kind="stable")[:_EXAMPLES]:
        if sizes[group] == 0:
            break
        rows = table[codes == group]
        labels = rows["label"].value_counts()
        found.append(
            {
                "images": len(rows),
                "labels": {name: int(labels[name]) for name in EMOTIONS if name in labels},
                "sources": _sources(rows.drop_duplicates("label"), _SOURCES),
            }
        )
    return found


def _sources(rows: pd.DataFrame, limit: int) -> list[str]:
    return [
        f"{source} ({split}, {label})"
        for source, split, label in rows[["source", "split", "label"]].head(limit).to_numpy()
    ]


def _leak_free(table: pd.DataFrame, near: dict[str, Any]) -> dict[str, Any]:
    total = int((table["split"] == "test").sum())
    leaked = near["across"][-1]["images"]
    return {"images": total - leaked, "share": (total - leaked) / total if total else None}
