"""What is listed by eye is counted by thing and region; what isn't is told beside it."""

import dataclasses

import pandas as pd
import pytest

import real_things
from hemiface.data.readers import load
from hemiface.errors import DamagedError
from hemiface.models import shipped
from hemiface.models.onnx_file import OnnxModel
from hemiface.models.visible_tiles import VisibleTiles
from hemiface.occlusion.occluders import wear
from hemiface.tables import label_indices

SHARES = pd.DataFrame(
    {"eyes": [0.9, 0.2, 0.6, 0.1, 0.7], "mouth": [0.0, 0.1, 0.0, 0.8, 0.2]}, index=[3, 5, 7, 8, 9]
)
LIST = """\
row,thing,covers
3,sunglasses,eyes
5,sunglasses,eyes
7,spectacles,nothing
8,hand,mouth
99,hand,mouth
"""


@pytest.fixture
def path(tmp_path):
    (tmp_path / "list.csv").write_text(LIST)
    return tmp_path / "list.csv"


def test_every_thing_is_counted_once(path):
    rows = list(real_things.noticed(SHARES, real_things.listed(path)))
    told = {
        (one["thing"], one["region"]): (one["covered"], one["n"], one["noticed"]) for one in rows
    }
    assert told == {
        ("sunglasses", "eyes"): (True, 2, 0.5),
        ("spectacles", "eyes"): (False, 1, 1.0),
        ("hand", "mouth"): (True, 1, 1.0),
        (real_things.OTHERS, "eyes"): (False, 1, 1.0),
        (real_things.OTHERS, "mouth"): (False, 1, 0.0),
    }
    assert all(0 <= one["low"] <= one["noticed"] <= one["high"] <= 1 for one in rows)
    sunglasses = next(one for one in rows if one["thing"] == "sunglasses")
    assert sunglasses["mean_share"] == pytest.approx(0.55)
    # Wilson's interval of 1 in 2, as in print (Brown, Cai and DasGupta 2001, eq. 4).
    assert sunglasses["low"] == pytest.approx(0.0945, abs=5e-5)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("covers", "hides", "must have the columns row"),
        ("eyes", "chin", "things cover eyes or mouth or nothing"),
    ],
)
def test_another_list_is_refused(path, old, new, words):
    path.write_text(LIST.replace(old, new, 1))
    with pytest.raises(DamagedError, match=words):
        real_things.listed(path)


def test_drawn_sunglasses_cover_the_eyes_and_nothing_else():
    images = load("phantom:n=70,seed=2")
    network = VisibleTiles.load(shipped.path_of("visibility"))
    faces, _ = wear(images.pixels, ["sunglasses"] * len(images), range(len(images)))
    bare = real_things.covered(network, images)
    worn = real_things.covered(network, dataclasses.replace(images, pixels=faces))
    assert (worn["eyes"] > 0.5).mean() > 0.9 > (bare["eyes"] > 0.5).mean()
    assert abs(worn["mouth"].mean() - bare["mouth"].mean()) < 0.1


def test_labels_are_read_as_they_are_and_with_what_is_covered_hidden(monkeypatch):
    monkeypatch.setattr(real_things, "MODELS", ("nano-int8",))
    test = load("phantom:n=70,seed=2").split("test")
    rows = test.table["source_row"].to_numpy()
    known = pd.DataFrame({"thing": ["hand", "hand", "spectacles"], "covers": ""}, index=rows[:3])
    tiles = VisibleTiles.load(shipped.path_of("visibility"))
    found = pd.DataFrame(real_things.labelled(test, known, tiles))
    assert found[["thing", "n"]].drop_duplicates().values.tolist() == [
        ["hand", 2],
        ["spectacles", 1],
    ]
    model = OnnxModel.load(shipped.path_of("nano-int8"))
    right = model.predict(test.pixels[:3]).argmax(axis=1) == label_indices(test.table)[:3]
    raw = found[found["seen"] == "as it is"].set_index("thing")["accuracy"]
    assert raw["hand"] == right[:2].mean()
    assert raw["spectacles"] == right[2]
