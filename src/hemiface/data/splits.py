"""Splits that a source doesn't have: made of whole groups, by hash."""

import dataclasses
import math

from hemiface.data.images import Images
from hemiface.errors import DamagedError

__all__ = ["CARVED_NOTE", "DEALT_NOTE", "carve_validation", "deal_splits"]

CARVED_NOTE = (
    "There is no validation split: a tenth of the groups of train, chosen by hash, was made one."
)
DEALT_NOTE = (
    "The splits were dealt: of the groups (copies, persons) a tenth, chosen by hash, is "
    "validation, another tenth test, the rest train."
)


def carve_validation(images: Images, note: str = CARVED_NOTE) -> Images:
    """Return `images` with a tenth of the train groups, at least one, as the validation split.

    Which ones: those with the smallest `group`. A group is named after the SHA-256 of its first
    image, so the choice is random in what it looks like, the same on every machine, independent
    of file names, and copies stay together. Images that were carved before are dealt again, so
    that better groups can be put in. The info says so: `validation_carved` and `note`.
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
    return dataclasses.replace(images, table=table, info=info)


def deal_splits(images: Images) -> Images:
    """Return `images` in splits of whole groups: a tenth validation, a tenth test, the rest train.

    Each has a group at least. Which ones: by `group` as in `carve_validation`, so that no person
    and no copy is in two splits. Images that were dealt before are dealt again. The info says so:
    `dealt` and DEALT_NOTE.

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
    return dataclasses.replace(images, table=table, info=info)
