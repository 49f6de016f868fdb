"""Which part of a face a network is better not shown, because a thing covers it.

A mask isn't part of what most networks learnt; a black half is. On FER2013's validation images
under drawn masks, labels of such a network are right more often where the half that is estimated to
be covered is black than where the network sees the mask. A network that learnt faces with things
over them (`augment.hide_worn`) reads them better as they are: `validity/masked_labels.py` counts
both.
"""

from collections.abc import Mapping
from typing import Any

from hemiface.occlusion.conditions import HALVES, QUADRANTS, Condition, coalition, condition
from hemiface.vision.visible_regions import VisibleRegions

__all__ = ["COVERED", "covered_part", "learnt_conditions", "listed_conditions"]

COVERED = 0.5
"""Of a half of which a thing covers more, by estimate, nothing is shown."""


def covered_part(looks: VisibleRegions, learnt: frozenset[str]) -> Condition | None:
    """Return what to hide from a network that learnt to do without these parts, None for nothing.

    Hidden are the covered halves, or only the most covered one that the network learnt to do
    without, where it didn't learn that of all together.
    """
    halves = [half for half in HALVES if looks.covered[half] > COVERED]
    if not halves:
        return None
    hidden = frozenset[str]().union(*(condition(half).hidden for half in halves))
    together = coalition(frozenset(QUADRANTS) - hidden)
    if together.name in learnt:
        return together
    known = [half for half in halves if half in learnt]
    return condition(max(known, key=lambda half: looks.covered[half])) if known else None


def learnt_conditions(header: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the conditions that may be hidden from a model where a thing covers them.

    Of a network that learnt faces with things over them that is none: it is shown everything.
    """
    recipe = header["provenance"].get("recipe", {})
    worn = recipe.get("augment", {}).get("hide_worn", 0.0) > 0
    return frozenset() if worn else listed_conditions(header)


def listed_conditions(header: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the conditions that a model was trained under, as its file says."""
    listed = header["provenance"].get("conditions", ())
    names = {str(one).partition("@")[0] for one in listed}
    return frozenset(names - {"full", "none"})
