from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from PIL import Image

from builders import described
from hemiface.data.images import Images
from hemiface.data.sheets import conditions_sheet, examples_sheet, mistakes_sheet, write_sheets
from hemiface.errors import UsageError
from hemiface.occlusion.conditions import CONDITIONS
from hemiface.tables import EMOTIONS, PROBABILITY_COLUMNS, write_predictions

SIDE_PX = 96  # of a tile: 48 px, enlarged twice


def flat_images(labels: list[str], split: str = "test") -> Images:
    """Images of one grey each, 10, 15, 20, ..., so that a sheet tells which ones it shows."""
    greys = 10 + 5 * np.arange(len(labels), dtype=np.uint8)
    return Images.build(
        np.broadcast_to(greys[:, None, None], (len(labels), 48, 48)).copy(),
        labels=labels,
        splits=[split] * len(labels),
        dataset="flat",
        sources=[f"{grey}.png" for grey in greys],
        info={"source": "flat"},
    )


def pixels_of(sheet: Image.Image, grey: int) -> npt.NDArray[np.bool_]:
    return np.asarray((np.asarray(sheet) == grey).all(axis=2))


def shown(sheet: Image.Image, images: Images) -> list[int]:
    """Greys that fill a whole tile, in reading order."""
    places = []
    for grey in images.pixels[:, 0, 0].tolist():
        rows, columns = np.nonzero(pixels_of(sheet, grey))
        # Letters are drawn in shades of grey, too.
        if len(rows) >= 0.9 * SIDE_PX**2:
            places.append((int(np.median(rows)), int(np.median(columns)), grey))
    return [grey for *_, grey in sorted(places)]


def predictions_of(
    images: Images, said: list[str], confidence: list[float], model: str, condition: str
) -> pd.DataFrame:
    columns = ["image", "dataset", "split", "label", "group"]
    table = images.table[columns].assign(leaked=False, condition=condition, model=model)
    for name, emotion in zip(PROBABILITY_COLUMNS, EMOTIONS, strict=True):
        rest = (1 - np.array(confidence)) / 6
        table[name] = np.where(np.array(said) == emotion, confidence, rest)
    return table


def test_examples_are_in_the_line_of_their_class() -> None:
    images = flat_images([emotion for emotion in EMOTIONS for _ in range(3)])
    sheet = examples_sheet(images, per_class=3)
    assert sheet.mode == "RGB"
    order = shown(sheet, images)
    assert len(order) == 21
    for line in range(7):
        own = images.pixels[3 * line : 3 * line + 3, 0, 0].tolist()
        assert sorted(order[3 * line : 3 * line + 3]) == own


def test_examples_are_drawn_by_the_seed_and_a_small_class_is_shown_whole() -> None:
    images = flat_images(["happy"] * 30 + ["sad"] * 2)
    first = examples_sheet(images, per_class=4, seed=1)
    assert len(shown(first, images)) == 6
    assert first.tobytes() == examples_sheet(images, per_class=4, seed=1).tobytes()
    other = examples_sheet(images, per_class=4, seed=2)
    assert shown(first, images) != shown(other, images)


@pytest.mark.parametrize(
    ("key", "hidden"),
    [
        ("full", 0),
        ("upper", 0.5),
        ("left", 0.5),
        ("diagonal", 0.5),
        ("lower-right", 0.25),
        ("only-upper-left", 0.75),
        ("none", 1),
    ],
)
def test_conditions_hide_their_share_of_each_face(key: str, hidden: float) -> None:
    images = flat_images(list(EMOTIONS))
    images.pixels[:] = 200
    black = pixels_of(conditions_sheet(images, [key], per=5), 0).sum()
    # The enlargement softens the border of what is hidden by a few pixels.
    assert black == pytest.approx(hidden * 5 * SIDE_PX**2, rel=0.13)


def test_conditions_show_the_same_varied_faces_with_every_fill() -> None:
    images = flat_images(["happy"] * 20 + ["sad", "fear"])
    sheet = conditions_sheet(images, ["full", "full"], per=3)
    # The grey fills two tiles, one in each line.
    seen = [
        grey for grey in images.pixels[:, 0, 0].tolist() if pixels_of(sheet, grey).sum() > 18000
    ]
    assert len(seen) == 3
    assert {110, 115} < set(seen)
    plain = np.asarray(conditions_sheet(images, ["full", "upper@mean"], per=3))
    # The mean of a flat face is its own grey, so only the words differ.
    assert np.array_equal(plain[:, 200:], np.asarray(sheet)[:, 200:])
    noise = conditions_sheet(images, ["left@noise", "left@blur"], per=3)
    again = conditions_sheet(images, ["left@noise", "left@blur"], per=3)
    assert noise.tobytes() == again.tobytes()
    with pytest.raises(UsageError, match="sideways"):
        conditions_sheet(images, ["sideways"])


def test_mistakes_are_the_most_confident_first_and_only_of_the_test_split() -> None:
    images = flat_images(["happy"] * 6)
    said = ["sad", "happy", "fear", "sad", "angry", "sad"]
    confidence = [0.5, 0.99, 0.9, 0.7, 0.8, 0.6]
    table = predictions_of(images, said, confidence, "full-seed0", "full")
    table.loc[2, "split"] = "validation"
    # right: 1; not test: 2; the weakest is left out
    assert shown(mistakes_sheet(images, table, "full-seed0", "full", n=3), images) == [
        10 + 5 * row for row in (4, 3, 5)
    ]


def test_mistakes_are_what_the_model_saw_with_its_answer_in_red() -> None:
    images = flat_images(["happy"] * 3)
    images.pixels[:] = 200
    table = predictions_of(images, ["sad", "sad", "happy"], [0.9] * 3, "any-seed1", "upper")
    sheet = mistakes_sheet(images, table, "any-seed1", "upper")
    assert pixels_of(sheet, 0).sum() == pytest.approx(SIDE_PX**2, rel=0.1)
    red, green, _ = np.moveaxis(np.asarray(sheet).astype(int), 2, 0)
    columns = np.flatnonzero((red - green > 80).any(axis=0))
    # One answer below each of the two pictures.
    assert (np.diff(columns) > 15).sum() >= 1


def test_faces_own_halves_are_not_drawn_as_the_pictures() -> None:
    images = flat_images(["happy", "sad"])
    table = predictions_of(images, ["sad"] * 2, [0.9] * 2, "full-seed0", "full").assign(
        halves="face"
    )
    with pytest.raises(UsageError, match="whose own halves are hidden"):
        mistakes_sheet(images, table, "full-seed0", "full")


def test_a_model_without_mistakes_gets_an_empty_sheet() -> None:
    images = flat_images(["happy"] * 3)
    table = predictions_of(images, ["happy"] * 3, [0.9] * 3, "full-seed0", "full")
    assert shown(mistakes_sheet(images, table, "full-seed0", "full"), images) == []


def test_mistakes_of_what_is_not_there_are_refused() -> None:
    images = flat_images(["happy"] * 3)
    table = predictions_of(images, ["sad"] * 3, [0.9] * 3, "full-seed0", "full")
    with pytest.raises(UsageError, match="no model full-seed0 under condition lower; it holds"):
        mistakes_sheet(images, table, "full-seed0", "lower")
    with pytest.raises(UsageError, match="aren't in these data"):
        mistakes_sheet(images.subset([0, 1]), table, "full-seed0", "full")


def test_write_sheets_writes_png_files(tmp_path: Path) -> None:
    images = flat_images(list(EMOTIONS))
    tables = [
        predictions_of(images, ["sad"] * 7, [0.9] * 7, model, condition)
        for model in ("full-seed0", "lower-seed0", "any-seed0")
        for condition in ("full", "lower")
    ]
    predictions = described(pd.concat(tables, ignore_index=True))
    write_predictions(predictions, tmp_path / "predictions.parquet")
    written = write_sheets(
        images, tmp_path / "sheets", predictions=tmp_path / "predictions.parquet"
    )
    assert [path.name for path in written] == [
        "examples.png",
        "conditions.png",
        "mistakes-full-seed0-full.png",
        "mistakes-lower-seed0-lower.png",
        "mistakes-any-seed0-full.png",
    ]
    assert sorted((tmp_path / "sheets").iterdir()) == sorted(written)
    with Image.open(written[1]) as sheet:
        assert sheet.format == "PNG"
        assert sheet.height > len(CONDITIONS) * SIDE_PX
