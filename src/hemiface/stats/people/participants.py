"""Who answered what: a row for each participant, each kind of answer, and ratings by condition."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hemiface.stats.importance.game import GROUPED, means_over_draws
from hemiface.stats.people.trials import Trials, visible_of
from hemiface.tables import EMOTIONS

__all__ = ["RATING_COLUMNS", "confusions", "participants", "ratings", "responses"]

RATING_COLUMNS = (
    "condition",
    "visible",
    "emotion",
    "measure",
    "value",
    "low",
    "high",
    "n",
    "participants",
    "faces",
    "method",
    "reason",
)
_OTHER = "no emotion"


def participants(trials: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each participant, from trials with `handled`, `said` and `rt_s`.

    Columns: participant, trials, emotions (answers that name one), wrong (others that count as
    wrong), left_out, accuracy (of what counts), most_frequent (answer) and its share, which says
    who always pressed the same key, median_rt_s, mean_confidence.
    """
    rows = []
    for name, own in trials.groupby("participant", sort=True):
        counts = own["handled"].value_counts()
        counting = own[own["handled"] != "left out"]
        shares = own["said"].value_counts(normalize=True)
        rows.append(
            {
                "participant": name,
                "trials": len(own),
                "emotions": int(counts.get("counted", 0)),
                "wrong": int(counts.get("wrong", 0)),
                "left_out": int(counts.get("left out", 0)),
                "accuracy": (counting["answer"] == counting["emotion"]).mean(),
                "most_frequent": shares.index[0],
                "share": shares.iloc[0],
                # Programs write 0 where nobody answered in time.
                "median_rt_s": counting.loc[counting["rt_s"] > 0, "rt_s"].median(),
                "mean_confidence": own["confidence"].mean(),
            }
        )
    return pd.DataFrame(rows)


def responses(trials: pd.DataFrame) -> pd.DataFrame:
    """Return condition, said, handled and count: every answer as it was understood."""
    counts = trials.groupby(["condition", "said", "handled"], sort=True).size()
    return counts.rename("count").reset_index()


def confusions(every: Sequence[Trials]) -> pd.DataFrame:
    """Return who, condition, true, answered, count and share of the trials of that emotion."""
    rows = []
    answers = [*EMOTIONS, _OTHER]
    for trials in every:
        for key in trials.conditions:
            own = trials.rows(key)
            counts = np.zeros((len(EMOTIONS), len(answers)), dtype=np.int64)
            np.add.at(counts, (trials.labels[own], trials.answers[own]), 1)
            for true, line in zip(EMOTIONS, counts, strict=True):
                total = line.sum()
                rows += [
                    (trials.who, key, true, answer, int(n), n / total if total else np.nan)
                    for answer, n in zip(answers, line, strict=True)
                ]
    return pd.DataFrame(rows, columns=["who", "condition", "true", "answered", "count", "share"])


def ratings(trials: Trials) -> pd.DataFrame:
    """Return how fast and how sure people were under each condition: columns RATING_COLUMNS.

    `rt_s` is the geometric mean of the times of right answers, for times are skewed; `confidence`
    the mean over all trials. Neither has rows where it wasn't written down.
    """
    rows: list[dict[str, Any]] = []
    for key in trials.conditions:
        own = trials.rows(key)
        table = trials.table.iloc[own]
        right = trials.answers[own] == trials.labels[own]
        times = table["rt_s"].to_numpy(np.float64)
        sure = table["confidence"].to_numpy(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            logs = np.where(times > 0, np.log(times), np.nan)
        rows += _rated(trials, key, "rt_s", np.where(right, logs, np.nan), is_log=True)
        rows += _rated(trials, key, "confidence", sure, is_log=False)
    return pd.DataFrame(rows, columns=list(RATING_COLUMNS))


def _rated(
    trials: Trials, key: str, measure: str, values: npt.NDArray[np.float64], *, is_log: bool
) -> list[dict[str, Any]]:
    known = np.isfinite(values)
    if not known.any():
        return []
    own = trials.rows(key)[known]
    means, _ = means_over_draws(
        values[known, np.newaxis], trials.labels[own], trials.groups[own], trials.weights
    )
    one = trials.infer(means[:, :, 0].T, trials.bearing_of(own), of_levels=True)
    rows = []
    for place, emotion in enumerate(GROUPED):
        row, sizes = one.row(place), trials.sizes_of(own, place)
        ends = {"value": row["difference"], "low": row["low"], "high": row["high"]}
        if is_log:
            ends = {name: float(np.exp(value)) for name, value in ends.items()}
        rows.append(
            ends
            | sizes
            | {
                "condition": key,
                "visible": visible_of(key),
                "emotion": emotion,
                "measure": measure,
                "method": f"{row['method']}{' of the logarithm' if is_log else ''}",
                "reason": row["reason"] if sizes["n"] else "no trials",
            }
        )
    return rows
