"""How well people tell each emotion, apart from how often they answer it, as networks are scored.

The measures are those of `stats.sensitivity` but its last, which needs probabilities: hit rate,
Wagner's unbiased hit rate, d' and criterion, for each emotion and, as `all`, their mean over the
emotions that were shown, each weighing the same. Chance of hit rates is one in as many emotions as
could be answered; that of the unbiased hit rate is how often an emotion is shown times how often it
is answered (Wagner 1993), so it has no one number.

`change` is the value minus that under the condition's reference: whole faces, for one half the
other side's chimera, for an aligned composite the misaligned one (the composite effect).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hemiface.stats.contrasts import corrected
from hemiface.stats.importance.game import GROUPED
from hemiface.stats.metrics import CLASSES, ratio
from hemiface.stats.people.trials import Trials, visible_of
from hemiface.stats.sensitivity import MEASURES, bounds_of, measures_of_counts

__all__ = ["BESIDE_COLUMNS", "PEOPLE_SENSITIVITY_COLUMNS", "beside", "sensitivity"]

Floats = npt.NDArray[np.float64]

_USED = MEASURES[:-1]

PEOPLE_SENSITIVITY_COLUMNS = (
    "who",
    "condition",
    "visible",
    "reference",
    "emotion",
    "measure",
    "value",
    "low",
    "high",
    "change",
    "change_low",
    "change_high",
    "p",
    "p_holm",
    "n",
    "participants",
    "faces",
    "method",
    "reason",
)

BESIDE_COLUMNS = (
    "who",
    "condition",
    "visible",
    "emotion",
    "measure",
    "people",
    "network",
    "difference",
    "low",
    "high",
    "p",
    "p_holm",
    "n",
    "participants",
    "faces",
    "method",
    "reason",
)


def sensitivity(every: Sequence[Trials]) -> pd.DataFrame:
    """Return the measures of each of `every` under each condition: PEOPLE_SENSITIVITY_COLUMNS.

    Holm's families: the seven emotions of one measure and condition; of `all` the conditions of one
    measure.
    """
    rows: list[dict[str, Any]] = []
    for trials in every:
        known = {key: measures(trials, key) for key in trials.conditions}
        for key, values in known.items():
            rows += _rows(trials, key, values, known.get(trials.references.get(key, "")))
    return _corrected(pd.DataFrame(rows, columns=list(PEOPLE_SENSITIVITY_COLUMNS)))


def beside(people: Trials, networks: Sequence[Trials]) -> pd.DataFrame:
    """Return people's measures minus each network's on the same trials: BESIDE_COLUMNS.

    Both sides of a difference have the same draws. Holm's families as in `sensitivity`.
    """
    rows: list[dict[str, Any]] = []
    for network in networks:
        for key in people.conditions:
            ours, theirs = measures(people, key), measures(network, key)
            apart = people.infer(ours - theirs, people.bearing(key), _bounds_of_differences())
            for place, measure in enumerate(_USED):
                for index, emotion in enumerate(GROUPED):
                    at = place, index
                    row = apart.row(at) | _facts(people, key, index)
                    rows.append(
                        row
                        | {
                            "who": network.who,
                            "emotion": emotion,
                            "measure": measure,
                            "people": ours[*at, 0],
                            "network": theirs[*at, 0],
                            "p_holm": np.nan,
                        }
                    )
    return _corrected(pd.DataFrame(rows, columns=list(BESIDE_COLUMNS)))


def measures(trials: Trials, condition: str) -> Floats:
    """Return the measures [4, 8, 1 + all draws] of one condition: emotions, then their mean."""
    drawn = trials.drawn_counts(condition)
    found = measures_of_counts(drawn[:, :CLASSES], drawn.sum(axis=1))
    shown = trials.supports(condition) > 0
    # What a draw doesn't show is left out of its mean, as what the sample doesn't show is.
    there = np.isfinite(found) & shown[:, None]
    mean = ratio(np.where(there, found, 0.0).sum(axis=1), there.sum(axis=1))
    return np.concatenate([found, mean[:, np.newaxis]], axis=1)


def _change(trials: Trials, key: str, values: Floats, reference: Floats | None) -> Floats:
    """Return the measures less those of the condition's reference, NaN without one.

    The mean is over the emotions that both show: means over different ones differ by what is shown.
    """
    if reference is None:
        return np.full_like(values, np.nan)
    apart = values - reference
    shown = (trials.supports(key) > 0) & (trials.supports(trials.references[key]) > 0)
    there = np.isfinite(apart[:, :-1]) & shown[:, np.newaxis]
    apart[:, -1] = ratio(np.where(there, apart[:, :-1], 0.0).sum(axis=1), there.sum(axis=1))
    return apart


def _rows(
    trials: Trials, key: str, values: Floats, reference: Floats | None
) -> Iterator[dict[str, Any]]:
    level = trials.infer(values, trials.bearing(key), bounds_of(_USED), of_levels=True)
    compared = (key,) if reference is None else (key, trials.references[key])
    apart, units = _change(trials, key, values, reference), trials.bearing(*compared)
    change = trials.infer(apart, units, _bounds_of_differences())
    for place, measure in enumerate(_USED):
        for index, emotion in enumerate(GROUPED):
            at, facts = (place, index), _facts(trials, key, index)
            yield (
                level.row(at)
                | facts
                | {
                    "who": trials.who,
                    "reference": trials.references.get(key, ""),
                    "emotion": emotion,
                    "measure": measure,
                    "value": level.value[at],
                    "change": change.value[at],
                    "change_low": change.low[at],
                    "change_high": change.high[at],
                    "p": change.p[at],
                    "p_holm": np.nan,
                    "reason": level.reason[at] if facts["n"] else "no trials",
                }
            )


def _bounds_of_differences() -> tuple[Floats, Floats]:
    least, most = bounds_of(_USED)
    return least - most, most - least


def _corrected(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows in their order with p corrected within each family."""
    every = table["emotion"] == GROUPED[-1]
    parts = [
        corrected(table[~every], ["who", "condition", "measure"]),
        corrected(table[every], ["who", "measure"]),
    ]
    return pd.concat(parts).sort_index().astype({"p_holm": float})


def _facts(trials: Trials, key: str, index: int) -> dict[str, Any]:
    sizes = trials.sizes_of(trials.rows(key), index)
    return {"condition": key, "visible": visible_of(key), **sizes}
