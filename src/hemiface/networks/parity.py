"""What an exported model lost: its answers beside those of the network it was made from."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from hemiface.data.images import Images
from hemiface.errors import HemifaceError, UsageError
from hemiface.networks.classifiers import Classifier
from hemiface.occlusion.conditions import condition, hide, image_seeds
from hemiface.tables import label_indices

__all__ = ["MOST_DIFFERENCE", "compare", "require"]

MOST_DIFFERENCE = {"fp32": 1e-3, "fp16": 2e-2}
"""By how much a probability may differ; int8 is judged by its accuracy instead."""


def compare(
    source: Classifier, exported: Classifier, images: Images, conditions: Iterable[str]
) -> pd.DataFrame:
    """Return a row per condition: how far `exported` is from `source` on all of `images`.

    Columns: `condition`, `n` (images), `max_difference` (largest absolute difference of a
    probability), `equal_decisions` (share of images on which both name the same emotion),
    `source_accuracy`, `accuracy` (of `exported`), `loss_points` (by how many percentage points the
    accuracy fell; negative where it rose).

    Raises:
        UsageError: a condition is unknown, none is named, or there are no images.
    """
    chosen = list({one.key: one for one in map(condition, conditions)}.values())
    if not chosen or not len(images):
        raise UsageError("A parity report needs at least one condition and one image.")
    seeds = image_seeds(images.table["image"])
    labels = label_indices(images.table)
    rows = []
    for one in chosen:
        faces = hide(np.ascontiguousarray(images.pixels), one, seeds)
        first, second = source.predict(faces), exported.predict(faces)
        before, after = (values.argmax(axis=1) for values in (first, second))
        rows.append(
            {
                "condition": one.key,
                "n": len(labels),
                "max_difference": float(np.abs(first - second).max()),
                "equal_decisions": float((before == after).mean()),
                "source_accuracy": float((before == labels).mean()),
                "accuracy": float((after == labels).mean()),
                "loss_points": 100 * float((before == labels).mean() - (after == labels).mean()),
            }
        )
    return pd.DataFrame(rows)


def require(rows: pd.DataFrame, precision: str, most_loss_points: float | None) -> None:
    """Raise unless `rows`, from `compare`, are within the limits of `precision`.

    `most_loss_points` limits the loss of accuracy under every condition; None doesn't limit it.

    Raises:
        HemifaceError: a probability differs too much, or too much accuracy is lost.
    """
    allowed = MOST_DIFFERENCE.get(precision)
    worst = rows.iloc[int(rows["max_difference"].to_numpy().argmax())]
    # Written so that NaN, too, is out of bounds.
    if allowed is not None and not worst["max_difference"] <= allowed:
        raise HemifaceError(
            f"The {precision} export differs from its Bundle by up to "
            f"{worst['max_difference']:.2g} in a probability under {worst['condition']}, allowed "
            f"is {allowed:g}; nothing was written."
        )
    worst = rows.iloc[int(rows["loss_points"].to_numpy().argmax())]
    if most_loss_points is not None and not worst["loss_points"] <= most_loss_points:
        raise HemifaceError(
            f"The {precision} export loses {worst['loss_points']:.2f} points of accuracy under "
            f"{worst['condition']}, allowed are {most_loss_points:g}; calibrate on other images or "
            "raise --most-loss; nothing was written."
        )
