"""What a page says first: each finding with why it may be believed and where it ends.

The sentences are those of the sections, made by the one verdict of the page; nothing is found here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from hemiface.report.words.information import people_words, recall_words, share_words
from hemiface.report.words.texts import Trainings

__all__ = ["Finding", "findings"]

_PAIRED = (
    "Two conditions are compared on the same images (a paired test, corrected by Holm), and a "
    "direction is stated only where the interval leaves 0 out as well."
)
_LIMITS = {
    "whole": "Right is who agrees with the data set's labels, on which people differ too.",
    "robustness": "A network that met only whole faces mixes what is missing with what is merely "
    "strange to it: this is what it does with a hidden half, not what the half is worth.",
    "other": "What a network met in training decides how much of this is what the half is worth, "
    "and how much that its lack is strange.",
    "trained": "Another kind of network may read more from the same half, and people may too.",
    "bits": "Bits are what this kind of network makes of what it sees, and which half tells more "
    "can depend on how frequent each emotion is.",
    "recall": "Who sees less does well to answer rare emotions less often: such a shift is no "
    "mistake, but no measure of what is seen either.",
    "people": "Two posed faces, uncovered by tiles, whose upper half doesn't end where a picture's "
    "does: sides can be compared, amounts can't.",
    "sides": "What is not found may still be there; sides are those of the picture.",
    "original": "One training a model and no intervals are published of the original.",
}


@dataclass(frozen=True)
class Finding:
    """Sentences, why to believe them, where they end, and the section that has the rest."""

    place: str
    said: Sequence[str]
    why: Sequence[str]
    limit: Sequence[str]


def findings(
    matrix: pd.DataFrame,
    tables: Mapping[str, pd.DataFrame],
    parts: Mapping[str, Sequence[str]],
    rest: Mapping[str, Sequence[str]],
    sides: tuple[Sequence[str], Sequence[str]],
) -> list[Finding]:
    """Return the findings in the order of the page.

    `parts` and `rest` are what `scores.answer` and `scores.further` say of `matrix`;
    `tables` are those of the results by name; `sides` are sentences on left and right and what
    forbids them. Findings about which nothing is said are left out.
    """
    repeated = Trainings.of(matrix, "model").repeated
    only_one = [] if repeated else ["No network has a second seed: another one may differ."]
    told, people, recall = share_words(tables), people_words(tables), recall_words(tables)
    # Only the baseline is known to have met whole faces alone.
    robustness = _LIMITS["robustness" if "full" in set(matrix["model"]) else "other"]
    known = [
        Finding("scores", parts["whole"], [*parts["seeds"], *rest["leak"]], [_LIMITS["whole"]]),
        Finding("information", told.said, told.why, [_LIMITS["bits"], *only_one]),
        Finding("information", recall.said, recall.why, [_LIMITS["recall"]]),
        Finding("information", people.said, people.why, [_LIMITS["people"]]),
        Finding("halves", parts["robustness"], [_PAIRED], [robustness]),
        Finding(
            "halves", [*parts["trained"], *rest["generalist"]], [_PAIRED], [_LIMITS["trained"]]
        ),
        Finding("sides", sides[0], [_PAIRED], [_LIMITS["sides"], *sides[1]]),
        Finding("original", rest["original"], [], [_LIMITS["original"]]),
    ]
    return [one for one in known if one.said]
