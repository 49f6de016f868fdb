"""What changes when the face's own halves are hidden instead of the picture's.

Two Predictions tables of the same networks and images, one made with each kind of halves, become
one table of paired differences with intervals, by the draws and the inference of `all_pairs`.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from hemiface.errors import UsageError
from hemiface.occlusion.conditions import QUADRANTS, condition
from hemiface.stats.all_pairs import COMPARED_METRICS
from hemiface.stats.contrasts import bounds_of, corrected
from hemiface.stats.inference import infer
from hemiface.stats.metrics import known_metrics
from hemiface.stats.sample import Cell, Sample, cell_codes
from hemiface.tables import HALVES_COLUMN, Predictions

__all__ = ["FACE_LINES_COLUMNS", "face_lines"]

FACE_LINES_COLUMNS = (
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


def face_lines(
    sample: Sample | Predictions,
    face: Sample | Predictions,
    metrics: Sequence[str] = COMPARED_METRICS,
) -> pd.DataFrame:
    """Return a row per model, seed (and `mean` over several), condition and metric.

    Columns FACE_LINES_COLUMNS: the score under `image` halves and under `face` halves, `difference`
    (face - image) with its interval, and p as in `all_pairs`; `p_holm` is corrected over the
    conditions of one model, seed and metric. `n` images, of which `fallbacks` had no lines of their
    own and are the same in both. Conditions that hide nothing, or all, or random tiles, are left
    out: they don't depend on lines.

    Raises:
        UsageError: the first table holds face halves or the second doesn't, they share no model
            and condition, are of other images, or as `all_pairs`.
    """
    chosen, image = known_metrics(metrics), Sample.of(sample)
    both, fallbacks = _joined(image, face.whole if isinstance(face, Sample) else face)
    scores = {
        cell: np.stack([found[name] for name in chosen])
        for cell, found in both.scores(chosen).items()
    }
    n = len(both.aligned.labels)
    rows = []
    for name, run, key, models in _runs(image.names, both.cells):
        by_face = np.stack([scores[model + _SUFFIX, key] for model in models], axis=1)
        by_image = np.stack([scores[model, key] for model in models], axis=1)
        one = infer(
            [by_face - by_image], both.group_count, both.options, both.effective_groups,
            bounds_of(chosen),
        )  # fmt: skip
        rows += [
            one.row(place)
            | {
                "model": name,
                "seed": run,
                "condition": key,
                "metric": metric,
                "image": by_image[place, :, 0].mean(),
                "face": by_face[place, :, 0].mean(),
                "n": n,
                "fallbacks": fallbacks,
                "groups": both.group_count,
            }
            for place, metric in enumerate(chosen)
        ]
    table = pd.DataFrame(rows, columns=list(FACE_LINES_COLUMNS))
    return corrected(table, ["model", "seed", "metric"])


def _joined(image: Sample, face: Predictions) -> tuple[Sample, int]:
    """Return both tables as one sample of aligned cells, and how many images had no lines.

    A model of the second table has _SUFFIX after its ID.
    """
    cells = _common_cells(image.whole.table, face.table)
    first, second = (_only(table, cells) for table in (image.whole.table, face.table))
    renamed = second.assign(model=second["model"].astype("str") + _SUFFIX)
    table = pd.concat([first, renamed.drop(columns=HALVES_COLUMN)], ignore_index=True)
    both = Sample.of(Predictions(table, image.whole.facts), image.protocol, image.options)
    _ = both.aligned
    chosen = set(both.table["image"])
    lost = second[(second[HALVES_COLUMN] == "fallback") & second["image"].isin(chosen)]
    return both, len(lost) // len(cells)


def _common_cells(image: pd.DataFrame, face: pd.DataFrame) -> list[Cell]:
    """Return the (model, condition) of both tables in which lines decide what is hidden."""
    for table, is_face, which in ((image, False, "first"), (face, True, "second")):
        if (HALVES_COLUMN in table.columns) != is_face:
            wanted = "face" if is_face else "image"
            raise UsageError(f"The {which} table must be one made with --halves {wanted}.")
    there = set(_cells_of(face))
    cells = [cell for cell in _cells_of(image) if cell in there and _has_lines(cell[1])]
    if not cells:
        raise UsageError(
            "The two tables have no model and condition with a hidden part in common; evaluate the "
            "same networks under the same conditions."
        )
    return cells


def _cells_of(table: pd.DataFrame) -> list[Cell]:
    return cell_codes(table)[0]


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
