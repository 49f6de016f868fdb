"""What prediction tables say of a model's file: its own rows, and its accuracy on test images."""

from pathlib import Path
from typing import Any

from hemiface.data.parts import read_whole
from hemiface.errors import UsageError
from hemiface.files import sha256_file
from hemiface.inputs import require_file
from hemiface.occlusion.conditions import CONDITIONS
from hemiface.tables import HALVES_COLUMN, Predictions, derive

__all__ = ["rows_of", "scores_on_test"]


def scores_on_test(model: str | Path, table: str | Path) -> list[dict[str, Any]]:
    """Return what the file `model` scored on the test images of a prediction table.

    Rows: condition, accuracy, n (images), as the parity report of an export has them. Only the
    sixteen conditions of `occlusion.conditions.CONDITIONS` count, and neither a fill nor a mirrored
    view.

    Raises:
        UsageError: the table isn't of this file, was made with --flip or --mirrored, or has no test
            images.
        DamagedError: the table can't be read.
    """
    require_file(model)
    predictions = read_whole(table)
    own = rows_of(predictions, sha256_file(model), table, model)
    if predictions.facts.get("flip"):
        raise UsageError(f"{table} is of mirrored pictures too; evaluate without --flip.")
    tested = own.table[own.table["split"] == "test"]
    if tested.empty:
        raise UsageError(f"{table} has no test images; evaluate with --split test.")
    correct = dict(list(derive(tested).groupby("condition", observed=True)["correct"]))
    return [
        {"condition": one, "accuracy": float(correct[one].mean()), "n": len(correct[one])}
        for one in CONDITIONS
        if one in correct
    ]


def rows_of(
    predictions: Predictions, sha256: str, path: str | Path, model: str | Path
) -> Predictions:
    """Return the rows of the file `model`, with this hash, in `predictions`, read from `path`.

    Raises:
        UsageError: there are none, or the pictures were mirrored, which is a control, cropped or
            hidden by the faces' own halves.
    """
    own = [one["model"] for one in predictions.models if one.get("sha256") == sha256]
    if not own:
        raise UsageError(f"{path} holds no predictions of the file {model}; evaluate it first.")
    if predictions.facts.get("mirrored"):
        raise UsageError(f"{path} is of mirrored pictures, a control; evaluate without --mirrored.")
    table = predictions.table
    if predictions.facts.get("crop_px") or HALVES_COLUMN in table:
        raise UsageError(
            f"{path} was made with --crop-px or --halves face, which predict doesn't do; evaluate "
            "without."
        )
    return predictions.select((table["model"] == own[0]) & table["condition"].isin(CONDITIONS))
