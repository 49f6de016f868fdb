"""FER+ labels and lists of rows: the right images, and accuracies counted by hand."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

import ferplus as bench
from builders import tiny_bundle, tiny_images
from hemiface.networks.evaluate import evaluate
from hemiface.tables import EMOTIONS, probabilities, write_predictions

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGES = tiny_images()  # rows 26 to 39 are test images, their labels go round from emotion 5
HEADER = (
    "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
)
USAGE = ["Training"] * 16 + ["PublicTest"] * 10 + ["PrivateTest"] * 14


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Models, data, votes and a list: happiness has 6 votes in every row but three test rows."""
    folder = tmp_path_factory.mktemp("ferplus")
    IMAGES.write(folder / "data")
    rows = [f"{usage},x,0,6,0,0,0,2,2,0,0,0" for usage in USAGE]
    rows[30] = "PrivateTest,x,0,0,0,0,0,0,3,7,0,0"  # contempt
    rows[31] = "PrivateTest,x,4,3,3,0,0,0,0,0,0,0"  # neutral, by no majority
    rows[32] = "PrivateTest,x,0,0,0,0,0,0,0,0,0,10"  # not a face
    (folder / "votes.csv").write_text("\n".join([HEADER, *rows, ""]))
    (folder / "hard_rows.csv").write_text("row\n30\n31\n35\n36\n")
    bundle = tiny_bundle(folder / "any.safetensors", 1, name="any", conditions=["full"])
    return folder, bundle


def test_who_is_scored(files):
    folder, _ = files
    parts = bench.labelled(IMAGES, folder / "votes.csv", [folder / "hard_rows.csv"])
    sizes = {key: len(part) for key, part in parts.items()}
    assert sizes == {
        ("fer2013", "all"): 14, ("ferplus", "all"): 12, ("ferplus-majority", "all"): 11,
        ("fer2013", "hard"): 4, ("ferplus", "hard"): 3, ("ferplus-majority", "hard"): 2,
    }  # fmt: skip
    assert set(parts["ferplus-majority", "hard"].table["label"]) == {"happy"}


def test_the_whole_of_it(files, tmp_path, capsys):
    folder, bundle = files
    arguments = [
        str(bundle), "--data", str(folder / "data"), "--votes", str(folder / "votes.csv"),
        "--rows", str(folder / "hard_rows.csv"), "--conditions", "full", "left",
        "--sizes", "36", "40", "--draws", "20", "--out", str(tmp_path),
    ]  # fmt: skip
    assert bench.main(arguments) == 0
    crops = pd.read_csv(tmp_path / "crops.csv")
    assert crops["crop_px"].tolist() == [0, 36, 40]
    assert set(crops["n"]) == {10}
    best = int(crops["crop_px"][1 + crops["accuracy"][1:].to_numpy().argmax()])
    table = pd.read_csv(tmp_path / "ferplus.csv")
    assert list(dict.fromkeys(table["views"])) == ["plain", "flip", f"ten-crop {best} px"]
    assert len(table) == 3 * 6 * 2
    for views, options in (("plain", {}), ("flip", {"flip": True}),
                           (f"ten-crop {best} px", {"flip": True, "crop_px": best})):  # fmt: skip
        found = evaluate([bundle], IMAGES, conditions=("left",), **options)
        said = np.asarray(EMOTIONS)[probabilities(found.table).argmax(axis=1)]
        truth = np.array(["happy"] * 14, dtype="<U8")
        truth[5] = "neutral"
        scored = ~np.isin(np.arange(26, 40), (30, 32))
        right = (said == truth)[scored].sum()
        row = table[
            (table["views"] == views) & (table["labels"] == "ferplus")
            & (table["images"] == "all") & (table["condition"] == "left")
        ].iloc[0]  # fmt: skip
        assert (row["n"], row["contempt"]) == (12, 1)
        assert row["accuracy"] == pytest.approx(right / 12, abs=1e-5)
        assert row["accuracy_with_contempt"] == pytest.approx(right / 13, abs=1e-5)
    assert "(n 13)" in capsys.readouterr().out
    gained = pd.read_csv(tmp_path / "views.csv").set_index(["views", "labels", "images"])
    cells = table.set_index(["views", "labels", "images", "condition"])["accuracy"]
    assert set(gained.index.get_level_values("views")) == {"flip", f"ten-crop {best} px"}
    assert len(gained) == 2 * 6 * 2
    for key, row in gained.iterrows():
        more = cells[*key, row["condition"]] - cells["plain", *key[1:], row["condition"]]
        assert row["difference"] == pytest.approx(more, abs=1e-5)
        assert row["low"] <= row["difference"] <= row["high"]


def test_errors(files, tmp_path, capsys):
    folder, bundle = files
    arguments = [str(bundle), "--data", str(folder / "data"), "--out", str(tmp_path)]
    assert bench.main([*arguments, "--votes", str(tmp_path / "none.csv")]) == 2
    assert "doesn't exist" in capsys.readouterr().err


def test_seeds_stand_alone(files, tmp_path, capsys):
    folder, bundle = files
    table = evaluate([bundle], IMAGES, conditions=["full"], splits=["test"])
    first = table.models[0]
    second = {**first, "model": "again-seed2", "seed": 2}
    both = pd.concat([table.table, table.table.assign(model="again-seed2")], ignore_index=True)
    write_predictions(
        dataclasses.replace(table, table=both).with_facts(models=[first, second]),
        tmp_path / "two.parquet",
    )
    arguments = ["--data", str(folder / "data"), "--votes", str(folder / "votes.csv")]
    arguments += ["--conditions", "full", "--draws", "20", "--out", str(tmp_path / "out")]
    assert bench.main([str(tmp_path / "two.parquet"), *arguments]) == 2
    assert "several seeds of" in capsys.readouterr().err


def test_a_prediction_table_scores_as_its_network_does(files, tmp_path):
    folder, bundle = files
    given = [
        "--data", str(folder / "data"), "--votes", str(folder / "votes.csv"),
        "--conditions", "full", "left", "--draws", "20",
    ]  # fmt: skip
    assert bench.main([str(bundle), *given, "--sizes", "--out", str(tmp_path / "run")]) == 0
    for flip in (False, True):
        evaluate(
            [bundle],
            IMAGES,
            conditions=["full", "left", "right"],
            splits=["validation", "test"],
            flip=flip,
            out=tmp_path / f"{flip}.parquet",
        )
    read = [str(tmp_path / "False.parquet"), str(tmp_path / "True.parquet")]
    assert bench.main([*read, *given, "--out", str(tmp_path / "read")]) == 0
    one, other = (pd.read_csv(tmp_path / name / "ferplus.csv") for name in ("run", "read"))
    pd.testing.assert_frame_equal(one, other)
    one, other = (pd.read_csv(tmp_path / name / "views.csv") for name in ("run", "read"))
    pd.testing.assert_frame_equal(one, other)
