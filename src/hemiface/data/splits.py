"""Splits that a source doesn't have: made of whole groups, by hash."""

import dataclasses
import math

from hemiface.data.images import Images
from hemiface.errors import DamagedError
from hemiface.tables import EMOTIONS, SPLITS

__all__ = ["CARVED_NOTE", "DEALT_NOTE", "carve_validation", "deal_splits", "with_absent_noted"]

CARVED_NOTE = (
    "There is no validation split: a tenth of the groups of train, chosen by hash, was made one."
)
DEALT_NOTE = (
    "The splits were dealt: of the groups (copies, persons) a tenth, chosen by hash, is "
    "validation, another tenth test, the rest train."
)

_ABSENT = "There are no pictures of "
"""What a note on classes that aren't there begins with."""


def with_absent_noted(images: Images) -> Images:
    """Return `images` with a note for each split without pictures of some emotions.

    Such notes of before, about splits that were others, are gone.
    """
    labels = images.table.groupby("split")["label"].agg(set)
    notes = [known for known in images.info.get("notes", []) if not known.startswith(_ABSENT)]
    for split in SPLITS:
        absent = [one for one in EMOTIONS if one not in labels.get(split, EMOTIONS)]
        if absent:
            where = f" in {split}" if len(labels) > 1 else ""
            notes.append(f"{_ABSENT}{', '.join(absent)}{where}.")
    return dataclasses.replace(images, info={**images.info, "notes": notes})


def carve_validation(images: Images, note: str = CARVED_NOTE) -> Images:
    """Return `images` with a tenth of the train groups, at least one, as the validation split.

    Which ones: those with the smallest `group`. A group is named after the SHA-256 of its first
    image, so the choice is random in what it looks like, the same on every machine, independent
    of file names, and copies stay together. Images that were carved before are dealt again, so
    that better groups can be put in. The info says so: `validation_carved` and `note`, and what is
    absent now (`with_absent_noted`).
    """
    table = images.table.copy()
    ours = table["split"].isin(["train", "validation"])
    groups = sorted(set(table.loc[ours, "group"]))
    if len(groups) < 2:
        raise DamagedError("A train split of one picture can't be divided; add pictures.")
    chosen = groups[: math.ceil(len(groups) / 10)]
    carved = ours & table["group"].isin(chosen)
    table["split"] = table["split"].where(~ours, "train").where(~carved, "validation")
    notes = [known for known in images.info.get("notes", []) if known != note]
    info = {**images.info, "validation_carved": True, "notes": [*notes, note]}
    return with_absent_noted(dataclasses.replace(images, table=table, info=info))


def deal_splits(images: Images) -> Images:
    """Return `images` in splits of whole groups: a tenth validation, a tenth test, the rest train.

    Each has a group at least. Which ones: by `group` as in `carve_validation`, so that no person
    and no copy is in two splits. Images that were dealt before are dealt again. The info says so:
    `dealt` and DEALT_NOTE, and what is absent now (`with_absent_noted`).

    Raises:
        DamagedError: there are fewer than three groups.
    """
    groups = sorted(set(images.table["group"]))
    if len(groups) < 3:
        raise DamagedError(
            f"Three splits need three groups (persons, or different pictures); there are "
            f"{len(groups)}."
        )
    size = math.ceil(len(groups) / 10)
    split = dict.fromkeys(groups, "train")
    split |= dict.fromkeys(groups[:size], "validation")
    split |= dict.fromkeys(groups[size : 2 * size], "test")
    table = images.table.assign(split=images.table["group"].map(split).astype("str"))
    notes = [known for known in images.info.get("notes", []) if known != DEALT_NOTE]
    info = {**images.info, "dealt": True, "notes": [*notes, DEALT_NOTE]}
    return with_absent_noted(dataclasses.replace(images, table=table, info=info))
