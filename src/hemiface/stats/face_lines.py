"""What changes when the face's own halves are hidden instead of the picture's.

Two Predictions tables of the same networks and images, one made with each kind of halves, become
one table of paired differences with intervals, by the draws and the inference of
`comparisons.differences`.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from hemiface.errors import UsageError
from hemiface.occlusion.conditions import QUADRANTS, condition
from hemiface.stats.all_pairs import COMPARED_METRICS
from hemiface.stats.inference import align, infer, select
from hemiface.stats.matrix import Cell, check_options, present_cells, score_cells, unique_names
from hemiface.stats.metrics import known_metrics
from hemiface.stats.significance import holm
from hemiface.tables import HALVES_COLUMN

__all__ = ["HALVES_COLUMNS", "compare_halves"]

HALVES_COLUMNS = (
    "model",
    "seed",
    "condition",
    "metric",
    "image",
    "face",
    "difference",
    "low",
    "high",
    "p",
    "p_holm",
    "p_equivalence",
    "n",
    "fallbacks",
    "groups",
    "method",
    "reason",
)
_SUFFIX = " by the face's own lines"


def compare_halves(
    image: pd.DataFrame,
    face: pd.DataFrame,
    metrics: Sequence[str] = COMPARED_METRICS,
    *,
    protocol: str = "standard",
    draws: int = 1000,
    level: float = 0.95,
    margin: float = 0.02,
    seed: int = 0,
) -> pd.DataFrame:
    """Return a row per model, seed (and `mean` over several), condition and metric.

    Columns HALVES_COLUMNS: the score under `image` halves and under `face` halves, `difference`
    (face - image) with its interval, and p as in `comparisons.differences`; `p_holm` is corrected
    over the conditions of one model, seed and metric. `n` images, of which `fallbacks` had no
    lines of their own and are the same in both. Conditions that hide nothing, or all, or random
    tiles, are left out: they don't depend on lines.

    Raises:
        UsageError: the first table holds face halves or the second doesn't, they share no model
            and condition, are of other images, or as `comparisons.differences`.
    """
    chosen = known_metrics(metrics)
    check_options(draws, level)
    cells = _common_cells(image, face)
    first, second = select(_only(image, cells), protocol), select(_only(face, cells), protocol)
    fallbacks = int((second[HALVES_COLUMN] == "fallback").sum()) // len(cells)
    second = second.assign(model=second["model"].astype("str") + _SUFFIX)
    both = pd.concat([first, second.drop(columns=HALVES_COLUMN)], ignore_index=True)
    aligned = align(both)
    scores = {
        cell: np.stack([found[name] for name in chosen])
        for cell, _, found in score_cells(both, present_cells(both), chosen, draws, seed)
    }
    rows = []
    for name, run, key, models in _runs(unique_names(image), cells):
        by_face = np.stack([scores[model + _SUFFIX, key] for model in models], axis=1)
        by_image = np.stack([scores[model, key] for model in models], axis=1)
        one = infer(
            [by_face - by_image], aligned.group_count, level=level, margin=margin, seed=seed
        )
        for place, metric in enumerate(chosen):
            values = (by_image[place, :, 0].mean(), by_face[place, :, 0].mean())
            chance = (one.value, one.low, one.high, one.p)
            rows.append(
                (
                    *(name, run, key, metric, *values),
                    *(part[place] for part in chance),
                    *(np.nan, one.p_equivalence[place], len(aligned.labels), fallbacks),
                    *(aligned.group_count, one.method, one.reason[place]),
                )
            )
    table = pd.DataFrame(rows, columns=list(HALVES_COLUMNS))
    family = table.groupby(["model", "seed", "metric"], sort=False)["p"]
    return table.assign(p_holm=family.transform(lambda p: holm(p.to_numpy())))


def _common_cells(image: pd.DataFrame, face: pd.DataFrame) -> list[Cell]:
    """Return the (model, condition) of both tables in which lines decide what is hidden."""
    for table, is_face, which in ((image, False, "first"), (face, True, "second")):
        if (HALVES_COLUMN in table.columns) != is_face:
            wanted = "face" if is_face else "image"
            raise UsageError(f"The {which} table must be one made with --halves {wanted}.")
    there = set(present_cells(face))
    cells = [cell for cell in present_cells(image) if cell in there and _has_lines(cell[1])]
    if not cells:
        raise UsageError(
            "The two tables have no model and condition with a hidden part in common; evaluate the "
            "same networks under the same conditions."
        )
    return cells


def _has_lines(key: str) -> bool:
    one = condition(key)
    return not one.random_percent and 0 < len(one.hidden) < len(QUADRANTS)


def _only(table: pd.DataFrame, cells: list[Cell]) -> pd.DataFrame:
    wanted = pd.MultiIndex.from_tuples(cells)
    return table[pd.MultiIndex.from_frame(table[["model", "condition"]]).isin(wanted)]


def _runs(names: pd.DataFrame, cells: list[Cell]) -> Iterator[tuple[str, str, str, list[str]]]:
    """Yield (name, seed, condition, model IDs): every seed, then `mean` where there are several."""
    for name, part in names.groupby("name", sort=False):
        part = part.sort_values("seed")
        runs = [(str(one.seed), [str(one.model)]) for one in part.itertuples()]
        if len(runs) > 1:
            runs.append(("mean", [model for _, models in runs for model in models]))
        for seed, models in runs:
            for key in dict.fromkeys(key for _, key in cells):
                if all((model, key) in cells for model in models):
                    yield str(name), seed, key, models
