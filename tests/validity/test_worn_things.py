"""What is listed by eye belongs to the face that is nearest, or is said to be missing."""

import pandas as pd
import pytest

import worn_things
from hemiface.errors import DamagedError

FACES = pd.DataFrame(
    {
        "file": ["a.jpg", "a.jpg", "b.jpg"],
        "x_px": [100.0, 200.0, 100.0],
        "y_px": [100.0, 100.0, 100.0],
        "size_px": [80.0, 80.0, 40.0],
    }
)


def listed(*rows: tuple[str, int, int, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["file", "x_px", "y_px", "thing", "covers"])


def test_things_go_to_the_nearest_face_of_their_photo():
    found = worn_things.joined(
        FACES, listed(("a.jpg", 170, 110, "hand", "mouth"), ("b.jpg", 95, 100, "hat", ""))
    )
    assert found["thing"].tolist() == ["nothing", "hand", "hat"]
    assert found["covers"].tolist() == ["", "mouth", ""]
    assert worn_things.joined(FACES, listed())["thing"].tolist() == ["nothing"] * 3


@pytest.mark.parametrize("row", [("c.jpg", 100, 100, "hat", ""), ("b.jpg", 121, 100, "hat", "")])
def test_a_thing_without_a_face_is_an_error(row):
    with pytest.raises(DamagedError, match=f"No face is found in {row[0]} near"):
        worn_things.joined(FACES, listed(row))
