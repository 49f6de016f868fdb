"""FER2013 as lossless strips: PNG files of stacked 48 x 48 images beside a table of labels."""

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hemiface.data.csv_files import USAGES
from hemiface.data.images import Images
from hemiface.data.pictures import PictureError, open_picture
from hemiface.data.skipping import BadItems
from hemiface.errors import DamagedError
from hemiface.inputs import open_lines
from hemiface.tables import EMOTIONS, FER2013_SIZE_PX

__all__ = ["LABELS_FILE", "read_strips", "strip_files"]

LABELS_FILE = "fer2013_labels.csv"
_STRIP_STEM = "fer2013_pixels_"


def strip_files(folder: Path) -> list[Path]:
    """Return the table of labels and the strips fer2013_pixels_0.png, _1.png, ... in order.

    Empty where there are none; DamagedError where a number is missing.
    """
    numbers = {
        int(path.stem.removeprefix(_STRIP_STEM)): path
        for path in folder.glob(f"{_STRIP_STEM}*.png")
        if path.stem.removeprefix(_STRIP_STEM).isdigit()
    }
    if not numbers or not (folder / LABELS_FILE).is_file():
        return []
    missing = sorted(set(range(max(numbers))) - set(numbers))
    if missing:
        raise DamagedError(f"{folder.name} lacks {_STRIP_STEM}{missing[0]}.png; copy it again.")
    return [folder / LABELS_FILE, *(numbers[number] for number in sorted(numbers))]


def read_strips(folder: Path, skip_bad: bool) -> Images:
    """Read the strips of `folder`; only columns row, usage and emotion of its labels are used.

    The images are those of fer2013.csv, row by row, so `source_row` is the row there. DamagedError
    names the file and row.
    """
    bad = BadItems(skip_bad)
    labels, *strips = strip_files(folder)
    pixels = np.concatenate([_read_strip(path) for path in strips])
    rows, splits, emotions, n_rows = _read_labels(labels, bad)
    if n_rows != len(pixels):
        raise DamagedError(
            f"{labels.name} has {n_rows:,} rows for {len(pixels):,} images in {len(strips)} "
            f"strips of {folder.name}; copy the folder again."
        )
    return Images.build(
        pixels if len(rows) == n_rows else pixels[rows],
        labels=[EMOTIONS[emotion] for emotion in emotions],
        splits=splits,
        dataset="fer2013",
        sources=[f"{folder.resolve().name}:{row}" for row in rows],
        source_rows=np.array(rows, dtype=np.int64),
        info={"rows": n_rows, "skipped": bad.sentences},
    )


def _read_strip(path: Path) -> npt.NDArray[np.uint8]:
    """Return uint8 [n, 48, 48], the images stacked in the PNG at `path`."""
    try:
        with open_picture(path, formats=("PNG",)) as picture:
            mode, (width, height) = picture.mode, picture.size
            array = np.asarray(picture)
    except PictureError as error:
        said = {
            "format": "is not a PNG picture; copy it again",
            "content": f"is damaged ({error.reason}); copy it again",
        }.get(error.kind, str(error))
        raise DamagedError(f"{path.name} {said}.") from error
    side = FER2013_SIZE_PX
    if mode != "L" or width != side or height % side:
        raise DamagedError(
            f"{path.name} is {width} x {height}, mode {mode}; expected 8-bit grey, {side} wide, "
            f"a multiple of {side} high."
        )
    return array.reshape(-1, side, side)


def _read_labels(path: Path, bad: BadItems) -> tuple[list[int], list[str], list[int], int]:
    """Return rows, splits and emotions of the good rows, and how many rows there are."""
    known = {str(index): index for index in range(len(EMOTIONS))}
    rows, splits, emotions, number = [], [], [], -1
    try:
        with open_lines(path) as file:
            reader = csv.DictReader(file)
            missing = {"row", "usage", "emotion"} - set(reader.fieldnames or ())
            if missing:
                raise DamagedError(f"{path.name} has no column {', '.join(sorted(missing))}.")
            for number, row in enumerate(reader):
                where = f"{path.name}, row {number} (line {number + 2})"
                if row["row"] != str(number):
                    raise DamagedError(f"{where} is numbered {row['row']!r}; copy it again.")
                if row["usage"] not in USAGES:
                    bad.report(where, f"has Usage {row['usage']!r}, expected {', '.join(USAGES)}")
                elif row["emotion"] not in known:
                    bad.report(where, f"has emotion {row['emotion']!r}, expected 0 to 6")
                else:
                    rows.append(number)
                    splits.append(USAGES[row["usage"]])
                    emotions.append(known[row["emotion"]])
    except UnicodeDecodeError as error:
        raise DamagedError(f"{path.name} is not UTF-8 text; copy it again.") from error
    except csv.Error as error:
        raise DamagedError(f"{path.name} is damaged ({error}); copy it again.") from error
    return rows, splits, emotions, number + 1
