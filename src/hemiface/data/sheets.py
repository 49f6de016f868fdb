"""Sheets of pictures to look at: examples of each class, every condition, confident mistakes.

FER2013's pictures keep their owners' rights: a sheet belongs into a run folder, not in print.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from hemiface.data.images import Images
from hemiface.data.parts import read_whole
from hemiface.errors import UsageError
from hemiface.files import as_stem, atomic_path
from hemiface.occlusion.conditions import CONDITIONS, Condition, condition, hide, image_seeds
from hemiface.tables import EMOTIONS, HALVES_COLUMN, Predictions, derive

__all__ = ["conditions_sheet", "examples_sheet", "mistakes_sheet", "write_sheets"]

_SCALE = 2
_GAP_PX = 8
_MARGIN_PX = 32
_HEADING_PX = 168  # the column of row headings
_PAPER, _INK, _MUTED, _WRONG = "#fbfbf9", "#1f1f1f", "#6b6b6b", "#b3261e"
_COLUMNS = 8


@dataclass(frozen=True)
class _Row:
    """A line of pictures, uint8 [n, height, width], with a heading or a caption for each.

    `captions` holds one pair of lines per picture; the second is what a model said.
    """

    pictures: npt.NDArray[np.uint8]
    heading: str = ""
    note: str = ""
    captions: Sequence[tuple[str, str]] = ()


def examples_sheet(images: Images, per_class: int = 8, seed: int = 0) -> Image.Image:
    """Return a sheet (RGB) with a line of `per_class` random images for each emotion.

    A line is shorter where there are fewer. The same images and seed give the same sheet.
    """
    labels = images.table["label"].to_numpy()
    rows = []
    for index, emotion in enumerate(EMOTIONS):
        members = np.flatnonzero(labels == emotion)
        drawn = np.random.default_rng([seed, index]).permutation(members)[:per_class]
        note = f"{len(members):,} images" if len(members) != 1 else "1 image"
        rows.append(_Row(images.pixels[drawn], emotion, note))
    title = f"Examples of each emotion, drawn at random (seed {seed})"
    return _draw(title, _described(images), rows, columns=per_class)


def conditions_sheet(
    images: Images, conditions: Sequence[str | Condition], per: int = 6, seed: int = 0
) -> Image.Image:
    """Return a sheet (RGB) with a line for each condition: the same `per` faces, partly hidden.

    `conditions` are conditions or their keys such as `upper` or `left@mean`; the faces are of as
    many emotions as possible. UsageError is raised if a key is unknown.
    """
    chosen = [condition(one) if isinstance(one, str) else one for one in conditions]
    drawn = _varied(images, per, seed)
    seeds = image_seeds(images.table["image"].iloc[drawn])
    pixels = images.pixels[drawn]
    rows = [_Row(hide(pixels, one, seeds), one.name, _fill_note(one)) for one in chosen]
    labels = ", ".join(images.table["label"].iloc[drawn])
    return _draw("What each condition hides", f"Labels: {labels}", rows, columns=per)


def mistakes_sheet(
    images: Images, predictions: pd.DataFrame, model: str, condition: str, n: int = 24
) -> Image.Image:
    """Return a sheet (RGB) of the `n` most confident mistakes of `model` under `condition`.

    Each picture is what the model saw; below it the label, and in red the answer with its
    probability. `predictions` is a Predictions table; only its test split counts, if it has one.

    Raises:
        UsageError: the model or condition isn't in the table, it belongs to other images, or the
            faces' own halves were hidden, of which a table doesn't say where they end.

    """
    if shows_own_halves(predictions):
        raise UsageError(
            "The table's networks saw faces whose own halves are hidden, which can't be drawn from "
            "it; take one of hemiface evaluate without --halves face."
        )
    cell = predictions[(predictions["model"] == model) & (predictions["condition"] == condition)]
    if cell.empty:
        raise UsageError(
            f"The prediction table has no model {model} under condition {condition}; it holds "
            f"{', '.join(predictions['model'].unique())} under "
            f"{', '.join(predictions['condition'].unique())}."
        )
    if (cell["split"] == "test").any():
        cell = cell[cell["split"] == "test"]
    wrong = derive(cell).loc[lambda table: ~table["correct"]]
    worst = wrong.sort_values(["confidence", "image"], ascending=[False, True]).head(n)
    pixels = _seen(images, worst["image"], condition)
    captions = [
        (f"true: {label}", f"{pred} {100 * confidence:.0f} %")
        for label, pred, confidence in zip(
            worst["label"], worst["pred"], worst["confidence"], strict=True
        )
    ]
    rows = [
        _Row(pixels[start : start + _COLUMNS], captions=captions[start : start + _COLUMNS])
        for start in range(0, len(worst), _COLUMNS)
    ]
    splits = " and ".join(cell["split"].unique())
    return _draw(
        f"The most confident mistakes of {model} on {condition}",
        f"{len(worst):,} of {len(wrong):,} mistakes in {len(cell):,} {splits} images; "
        "in red what the model said, and how sure it was",
        rows,
        columns=min(len(worst), _COLUMNS),
    )


def shows_own_halves(predictions: pd.DataFrame) -> bool:
    """Return whether networks saw the faces' own halves hidden, not the picture's."""
    return HALVES_COLUMN in predictions and bool((predictions[HALVES_COLUMN] == "face").any())


def write_sheets(
    images: Images,
    out: str | Path,
    *,
    conditions: Sequence[str] = CONDITIONS,
    predictions: str | Path | Predictions | None = None,
    seed: int = 0,
) -> list[Path]:
    """Write the sheets as PNG into the folder `out` and return their paths.

    `examples.png` and `conditions.png`; with `predictions` (a Predictions table or its file) also
    `mistakes-<model>-<condition>.png` for each model under the condition it was trained for (`full`
    where that isn't in the table). Errors are those of the sheets.
    """
    sheets = {
        "examples": examples_sheet(images, seed=seed),
        "conditions": conditions_sheet(images, conditions, seed=seed),
    }
    if predictions is not None:
        given = predictions
        known = given if isinstance(given, Predictions) else read_whole(given)
        table = known.table
        for model, trained_for, _ in known.names.itertuples(index=False):
            present = list(table.loc[table["model"] == model, "condition"].unique())
            key = next((one for one in (trained_for, "full") if one in present), present[0])
            name = f"mistakes-{model}-{key.replace('@', '-')}"
            sheets[name] = mistakes_sheet(images, table, model, key)
    written = []
    for name, sheet in sheets.items():
        path = Path(out) / f"{as_stem(name)}.png"
        with atomic_path(path) as partial:
            sheet.save(partial, optimize=True)
        written.append(path)
    return written


def _described(images: Images) -> str:
    form, total = images.info.get("source", ""), f"{len(images):,} images"
    return f"{total} of {form}" if form else total


def _fill_note(one: Condition) -> str:
    words = {"black": "black", "mean": "the mean grey", "noise": "noise", "blur": "a blur"}
    hides = one.hidden or one.random_percent
    return f"filled with {words[one.fill]}" if hides else "nothing hidden"


def _varied(images: Images, n: int, seed: int) -> npt.NDArray[np.intp]:
    """Return `n` indices (or all) at random, taking the emotions in turn."""
    order = np.random.default_rng(seed).permutation(len(images))
    labels = images.table["label"].iloc[order]
    turn = labels.groupby(labels).cumcount().to_numpy()
    emotion = pd.Categorical(labels, categories=list(EMOTIONS)).codes
    return np.asarray(order[np.lexsort((emotion, turn))][:n])


def _seen(images: Images, ids: pd.Series, key: str) -> npt.NDArray[np.uint8]:
    """Return the images with these IDs as the model saw them under condition `key`."""
    rows = pd.Index(images.table["image"]).get_indexer(ids)
    if (rows < 0).any():
        raise UsageError(
            f"The prediction table has images such as {ids.iloc[int((rows < 0).argmax())]} that "
            "aren't in these data; give the data that were evaluated."
        )
    return hide(images.pixels[rows], condition(key), image_seeds(ids))


@lru_cache
def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size_px)


def _draw(title: str, subtitle: str, rows: Sequence[_Row], columns: int) -> Image.Image:
    """Return title, subtitle and rows on light paper, just as large as it must be."""
    side_px = _SCALE * (rows[0].pictures.shape[1] if rows else 48)
    left = _MARGIN_PX + (_HEADING_PX if any(row.heading for row in rows) else 0)
    # Captions are wider than gaps between pictures alone.
    captioned = any(row.captions for row in rows)
    step_x = side_px + (3 * _GAP_PX if captioned else _GAP_PX)
    step_y = side_px + (52 if captioned else _GAP_PX)
    top = _MARGIN_PX + 68
    words = max(_font(22).getlength(title), _font(14).getlength(subtitle))
    width = max(left + columns * step_x - _GAP_PX, _MARGIN_PX + int(words)) + _MARGIN_PX
    height = top + max(len(rows), 1) * step_y - _GAP_PX + _MARGIN_PX
    sheet = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((_MARGIN_PX, _MARGIN_PX), title, _INK, _font(22))
    pen.text((_MARGIN_PX, _MARGIN_PX + 32), subtitle, _MUTED, _font(14))
    for index, row in enumerate(rows):
        y = top + index * step_y
        pen.text((_MARGIN_PX, y + side_px / 2 - 4), row.heading, _INK, _font(17), anchor="ls")
        pen.text((_MARGIN_PX, y + side_px / 2 + 16), row.note, _MUTED, _font(13), anchor="ls")
        for place, picture in enumerate(row.pictures):
            tile = Image.fromarray(picture).resize((side_px, side_px), Image.Resampling.LANCZOS)
            sheet.paste(tile, (left + place * step_x, y))
        for place, (label, answer) in enumerate(row.captions):
            x = left + place * step_x
            pen.text((x, y + side_px + 18), label, _INK, _font(13), anchor="ls")
            pen.text((x, y + side_px + 35), answer, _WRONG, _font(13), anchor="ls")
    if not rows:
        pen.text((_MARGIN_PX, top), "There is nothing to show.", _MUTED, _font(14))
    return sheet
