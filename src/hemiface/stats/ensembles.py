"""Ensembles as tables: the mean probabilities of several networks, members chosen on validation.

Nothing is run again: an ensemble is another model in the Predictions table, made of rows that are
there. Members are chosen by forward selection (Caruana et al. 2004, Ensemble selection from
libraries of models, section 2.1), without replacement, on the validation split alone.
"""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from hemiface.errors import DamagedError, UsageError
from hemiface.stats.metrics import accuracy, log_loss
from hemiface.tables import (
    HALVES_COLUMN,
    PROBABILITY_COLUMNS,
    Predictions,
    check_predictions,
    facts_together,
    label_indices,
    probabilities,
)

__all__ = ["combine", "join", "select"]

log = logging.getLogger(__name__)

_KEY = ["image", "condition"]
_FACTS = ["dataset", "split", "label", "group", "leaked"]


def join(tables: Sequence[Predictions]) -> Predictions:
    """Return several tables of Predictions as one, for networks that were evaluated separately.

    The facts keep the models of all, and what isn't known of any; others are the first table's.

    Raises:
        UsageError: two tables hold a model of the same ID, or none is given, or some hide the
            picture's halves and others the faces' own.
        DamagedError: the tables are not of the same images, or a cell is missing in one.
    """
    if not tables:
        raise UsageError("No prediction table is given; name at least one.")
    frames = [one.table for one in tables]
    names = [name for frame in frames for name in frame["model"].unique()]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UsageError(
            f"Two tables hold a model {twice}; leave one of them out, or evaluate it again under "
            "another --name."
        )
    if len({HALVES_COLUMN in frame.columns for frame in frames}) > 1:
        raise UsageError(
            "Some tables hide the picture's halves and others the faces' own; join tables of one "
            "kind."
        )
    joined = pd.concat(frames, ignore_index=True)
    known = joined[["image", *_FACTS]].drop_duplicates()
    clash = known[known.duplicated("image")]
    if len(clash):
        raise DamagedError(
            f"Image {clash['image'].iloc[0]} has another split, label or group in another table; "
            "evaluate all networks on the same data."
        )
    check_predictions(joined, "The joined tables")
    return Predictions(joined, {**tables[0].facts, **facts_together(tables)})


def select(
    predictions: Predictions,
    *,
    size: int = 5,
    candidates: Sequence[str] | None = None,
    conditions: Sequence[str] = ("full",),
) -> tuple[str, ...]:
    """Return the IDs of up to `size` models whose mean is best on the validation split.

    Forward selection: the best single model first, then each time the one whose addition gives the
    highest accuracy (the mean over `conditions`; the lower log loss decides a tie), until `size`
    are chosen; the best of the ensembles met on the way is returned. Test rows are not looked at.

    Raises:
        UsageError: there are no validation rows, a candidate or condition isn't there, or one lacks
            validation images that another has.
    """
    if size < 1:
        raise UsageError(f"An ensemble has at least one member, not {size}.")
    rows = predictions.table[predictions.table["split"] == "validation"]
    if rows.empty:
        raise UsageError(
            "Members are chosen on the validation split, of which the table has no rows; evaluate "
            "with --split validation --split test."
        )
    known = list(dict.fromkeys(rows["model"]))
    names = list(candidates or known)
    for what, asked, there in (
        ("Model", names, known),
        ("Condition", conditions, list(dict.fromkeys(rows["condition"]))),
    ):
        missing = next((one for one in asked if one not in there), None)
        if missing is not None:
            raise UsageError(f"{what} {missing} isn't in the table; it has {', '.join(there)}.")
    deciding = rows[rows["model"].isin(names) & rows["condition"].isin(conditions)]
    _require_alike(deciding, names)
    values, labels = _values(rows, names, conditions)
    chosen: list[int] = []
    path: list[tuple[tuple[float, float], tuple[int, ...]]] = []
    while len(chosen) < min(size, len(names)):
        left = [index for index in range(len(names)) if index not in chosen]
        scores = [_score(values[[*chosen, index]].mean(axis=0), labels) for index in left]
        best = max(range(len(left)), key=scores.__getitem__)
        chosen.append(left[best])
        path.append((scores[best], tuple(chosen)))
    # Of equal ensembles the smaller one, which max() meets first.
    _, members = max(path, key=lambda step: step[0])
    return tuple(names[index] for index in members)


def combine(
    predictions: Predictions, members: Sequence[str], name: str = "ensemble"
) -> Predictions:
    """Return the Predictions of the mean over `members`, a model called `<name>-seed0`.

    Probabilities are averaged (an opinion pool with equal weights), under the conditions and of the
    images that all members have: elsewhere the mean would be of fewer. What is left out is logged.
    The facts describe the new model with its members.

    Raises:
        UsageError: no member is named, one isn't in the table, one is named twice, or they have no
            image under one condition in common.
    """
    table = predictions.table
    present = set(table["model"])
    missing = [member for member in members if member not in present]
    if not members or missing or len(set(members)) < len(members):
        raise UsageError(
            f"An ensemble needs distinct models of the table, got {', '.join(members) or 'none'}; "
            f"there are {', '.join(sorted(present))}."
        )
    rows = table[table["model"].isin(members)]
    rows = _in_common(rows, members)
    means = rows.groupby(_KEY, sort=False)[list(PROBABILITY_COLUMNS)].mean()
    base = rows[rows["model"] == members[0]].drop(columns=[*PROBABILITY_COLUMNS, "model"])
    base = base.assign(model=f"{name}-seed0").merge(means.reset_index(), on=_KEY, validate="1:1")
    check_predictions(base, "The ensemble's predictions")
    return Predictions(base, {**predictions.facts, "models": [_model(predictions, members, name)]})


def _in_common(rows: pd.DataFrame, members: Sequence[str]) -> pd.DataFrame:
    """Return the rows of the images and conditions that all members have."""
    shared = rows.groupby(_KEY, sort=False)["model"].transform("nunique") == len(members)
    if shared.all():
        return rows
    if not shared.any():
        raise UsageError(
            f"{', '.join(members)} have no image under one condition in common; evaluate them on "
            "the same."
        )
    left_out = rows.loc[~shared, ["split", "condition"]].drop_duplicates()
    cells = [f"{condition} ({split})" for split, condition in left_out.itertuples(index=False)]
    log.warning("Not all members have %s: left out there.", ", ".join(cells))
    return rows[shared]


def _require_alike(rows: pd.DataFrame, names: Sequence[str]) -> None:
    """Require every model to have each image under each condition that one of them has."""
    cells = rows.groupby(_KEY, sort=False)["model"].nunique()
    short = cells[cells < len(names)]
    if short.empty:
        return
    image, condition = short.index[0]
    is_there = (rows["image"] == image) & (rows["condition"] == condition)
    lacking = next(one for one in names if one not in set(rows.loc[is_there, "model"]))
    split = rows.loc[is_there, "split"].iloc[0]
    raise UsageError(
        f"Model {lacking} lacks {split} images under {condition} that another has; evaluate it on "
        "them, or leave it out."
    )


def _model(predictions: Predictions, members: Sequence[str], name: str) -> dict[str, Any]:
    parts = [row for row in predictions.models if row["model"] in members]
    selected = dict.fromkeys(str(row.get("selected_on") or "") for row in parts)
    flips = {row.get("flips") for row in parts} if len(parts) == len(members) else {None}
    return {
        "model": f"{name}-seed0",
        "name": name,
        "seed": 0,
        "members": list(members),
        "trained_on": "; ".join(dict.fromkeys(str(row.get("trained_on", "")) for row in parts)),
        # None of them, one of them, or nobody knows.
        "flips": True if True in flips else False if flips == {False} else None,
        **({"selected_on": "; ".join(selected)} if "unknown" in predictions.facts else {}),
    }


def _values(
    rows: pd.DataFrame, names: Sequence[str], conditions: Sequence[str]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return float64 [models, conditions, images, 7] and the labels of each condition."""
    stacked, labels = [], []
    for name in names:
        cells = []
        for one in conditions:
            cell = rows[(rows["model"] == name) & (rows["condition"] == one)].sort_values("image")
            cells.append(probabilities(cell))
            if name == names[0]:
                labels.append(label_indices(cell))
        stacked.append(np.stack(cells))
    return np.stack(stacked), labels


def _score(values: np.ndarray, labels: list[np.ndarray]) -> tuple[float, float]:
    """Return accuracy and negative log loss, means over the conditions: greater is better."""
    cells = list(zip(values, labels, strict=True))
    return (
        float(np.mean([accuracy(one, truth) for one, truth in cells])),
        -float(np.mean([log_loss(one, truth) for one, truth in cells])),
    )
