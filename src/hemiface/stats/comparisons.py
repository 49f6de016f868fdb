"""The original half-face study's published scores, and ours beside them.

Source: the published tables of "Predicting Human Emotions: Using convolutional neural networks to
recognize human facial emotions and determine the relative importance of the upper, lower, right,
and left half of one's face in emotion recognition"
(github.com/AaryaDesai1/Facial_Emotion_Recognition): ResNet-50 from ImageNet weights, FER2013 at
48 x 48, tested on PublicTest + PrivateTest (7,178 images; protocol `paper`). Its checkpoints were
chosen on those same images and come from one seed without intervals, so the numbers are optimistic
by an unknown amount. Models are named by what they were trained on, conditions by what is hidden.
"""

import numpy as np
import pandas as pd

from hemiface.errors import UsageError

__all__ = ["CLASS_ACCURACY", "COMPARISON_COLUMNS", "compare", "published"]

METRIC_NAMES = ("accuracy", "macro_f1", "weighted_f1", "weighted_auc_paper")
"""The four numbers of each cell, in the order published; the last is the study's "weighted AUC"."""

CONDITION_NAMES = ("full", "upper", "lower", "right", "left")
"""The order of the published columns: right comes before left."""

_Row = tuple[tuple[float, float, float, float], ...]

# One line per cell, columns as in CONDITION_NAMES, four numbers as in METRIC_NAMES.
_PUBLISHED: dict[str, _Row] = {
    "full": (
        (0.6649, 0.6374, 0.6612, 0.9119),
        (0.4444, 0.3111, 0.3804, 0.7939),
        (0.2701, 0.2328, 0.2370, 0.6744),
        (0.4064, 0.3475, 0.4085, 0.7762),
        (0.4200, 0.3481, 0.4115, 0.7775),
    ),
    "upper": (
        (0.6076, 0.5773, 0.6012, 0.8813),
        (0.6051, 0.5867, 0.6062, 0.8748),
        (0.2010, 0.1235, 0.1387, 0.5530),
        (0.3958, 0.3321, 0.3986, 0.7525),
        (0.4015, 0.3550, 0.4073, 0.7492),
    ),
    "lower": (
        (0.5892, 0.5604, 0.5811, 0.8752),
        (0.3011, 0.1374, 0.2063, 0.6858),
        (0.5433, 0.5400, 0.5397, 0.8301),
        (0.3426, 0.2887, 0.3313, 0.7158),
        (0.3318, 0.2268, 0.2961, 0.7125),
    ),
    "right": (
        (0.6257, 0.6009, 0.6279, 0.8936),
        (0.4338, 0.3286, 0.3929, 0.7860),
        (0.2952, 0.2516, 0.2571, 0.6710),
        (0.6219, 0.5977, 0.6213, 0.8856),
        (0.3289, 0.2939, 0.3199, 0.7503),
    ),
    "left": (
        (0.6314, 0.5948, 0.6220, 0.8952),
        (0.4209, 0.3087, 0.3719, 0.7815),
        (0.2843, 0.2358, 0.2545, 0.6595),
        (0.3753, 0.3228, 0.3799, 0.7291),
        (0.6131, 0.5881, 0.6092, 0.8846),
    ),
}

_FULL_ON_FULL = {"micro_auc": 0.9306, "macro_auc": 0.9140}

CLASS_ACCURACY: dict[str, float] = {
    "angry": 0.619,
    "disgust": 0.559,
    "fear": 0.420,
    "happy": 0.873,
    "sad": 0.529,
    "surprise": 0.785,
    "neutral": 0.671,
}
"""Published share of each emotion's images that model `full` got right on condition `full`.

That is the recall. What the study calls class-wise precision and recall was computed wrongly and is
left out.
"""

COMPARISON_COLUMNS = (
    "model",
    "condition",
    "metric",
    "original",
    "ours",
    "low",
    "high",
    "difference",
    "above",
)


def published() -> pd.DataFrame:
    """Return the 102 published scores: model, condition, metric, value.

    >>> published().query("model == 'right' and condition == 'left'")["value"].tolist()
    [0.3289, 0.2939, 0.3199, 0.7503]
    """
    rows: list[tuple[str, str, str, float]] = [
        (model, condition, metric, value)
        for model, cells in _PUBLISHED.items()
        for condition, scores in zip(CONDITION_NAMES, cells, strict=True)
        for metric, value in zip(METRIC_NAMES, scores, strict=True)
    ]
    rows += [("full", "full", metric, value) for metric, value in _FULL_ON_FULL.items()]
    return pd.DataFrame(rows, columns=["model", "condition", "metric", "value"])


def compare(matrix: pd.DataFrame) -> pd.DataFrame:
    """Put our scores beside every published one.

    `matrix` is what `matrix.matrix` returns; its rows of protocol `paper` and seed `mean` are
    taken. Returns COMPARISON_COLUMNS: original and ours, our interval (low, high), difference (ours
    - original; positive is better for us, all these metrics being better when greater) and above
    (bool: ours is greater than the original). What we didn't score is NaN and not above.

    Raises:
        UsageError: the matrix has no row of protocol `paper` and seed `mean`.

    """
    rows = matrix[(matrix["protocol"] == "paper") & (matrix["seed"].astype(str) == "mean")]
    if rows.empty:
        raise UsageError(
            "The matrix has no rows of protocol paper and seed mean to compare with the original "
            "study; compute it with that protocol."
        )
    key = ["model", "condition", "metric"]
    ours = rows[[*key, "value", "low", "high"]].rename(columns={"value": "ours"})
    table = published().rename(columns={"value": "original"})
    table = table.merge(ours, on=key, how="left", validate="one_to_one")
    table["difference"] = table["ours"] - table["original"]
    table["above"] = np.greater(table["ours"], table["original"])
    return table[list(COMPARISON_COLUMNS)]
