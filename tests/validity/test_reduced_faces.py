"""Faces made small and brought back: against OpenCV, by hand, and the table as a whole."""

import shutil
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest

import reduced_faces
from builders import tiny_images
from hemiface.data.phantom import make as phantom
from hemiface.models import shipped

FACES = phantom.render(np.arange(7), seed=2)


@pytest.mark.parametrize("size_px", [16, 20, 24, 32, 48])
def test_a_sensor_takes_the_mean_of_each_area(size_px):
    small = reduced_faces.reduce(FACES, size_px)
    assert (small.shape, small.dtype) == ((7, size_px, size_px), np.uint8)
    expected = [cv2.resize(one, (size_px,) * 2, interpolation=cv2.INTER_AREA) for one in FACES]
    assert np.abs(small.astype(int) - np.stack(expected)).max() <= 1
    assert small.mean() == pytest.approx(FACES.mean(), abs=0.1)


def test_at_full_size_nothing_changes():
    np.testing.assert_array_equal(reduced_faces.bring_back(reduced_faces.reduce(FACES, 48)), FACES)


def test_small_faces_come_back_in_their_place():
    ramp = np.tile(np.arange(0, 240, 5, dtype=np.uint8), (48, 1))
    for faces in (ramp[None], ramp.T[None]):
        back = reduced_faces.bring_back(reduced_faces.reduce(faces, 16)).astype(int)
        # A straight slope survives both ways but for rounding, and but for the repeated edge.
        inside = np.s_[:, 2:-2, 2:-2]
        assert np.abs(back - faces)[inside].max() <= 3
    errors = [
        np.abs(reduced_faces.bring_back(reduced_faces.reduce(FACES, one)) - FACES.astype(float))
        for one in (32, 24, 16)
    ]
    assert errors[0].mean() < errors[1].mean() < errors[2].mean() < 20


def test_the_whole_of_it(tmp_path, capsys, monkeypatch):
    images = tiny_images()
    images.write(tmp_path / "data")
    usage = ["Training"] * 16 + ["PublicTest"] * 10 + ["PrivateTest"] * 14
    header = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear"
    lines = [
        f"{one},x,{'8,1' if row % 2 else '1,8'},0,0,0,0,0,1,0,0" for row, one in enumerate(usage)
    ]
    (tmp_path / "votes.csv").write_text("\n".join([f"{header},contempt,unknown,NF", *lines, ""]))
    arguments = [
        "nano-int8", "--data", str(tmp_path / "data"), "--votes", str(tmp_path / "votes.csv"),
        "--sizes", "16", "--conditions", "full", "lower", "--draws", "20",
        "--runs", str(tmp_path / "runs"), "--out", str(tmp_path),
    ]  # fmt: skip
    assert reduced_faces.main(arguments) == 0
    table = pd.read_csv(tmp_path / "small_faces.csv")
    assert len(table) == 2 * 2 * 2
    assert set(table["n"]) == {10, 14}
    whole = table[table["size_px"] == 48]
    assert set(whole["accuracy_lost"]) == {0}
    for _, rows in table.groupby(["split", "condition"]):
        first, second = rows.sort_values("size_px")["accuracy"]
        lost = rows.loc[rows["size_px"] == 16, "accuracy_lost"].item()
        assert lost == pytest.approx(second - first, abs=1e-5)
    # What is kept isn't predicted again.
    monkeypatch.setattr("hemiface.models.onnx_file.OnnxModel.predict", None)
    assert reduced_faces.main(arguments) == 0
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "small_faces.csv"), table)
    # Of as many other faces it is.
    monkeypatch.undo()
    replace(images, pixels=255 - images.pixels).write(tmp_path / "data")
    before = len(list((tmp_path / "runs").iterdir()))
    assert reduced_faces.main(arguments) == 0
    assert len(list((tmp_path / "runs").iterdir())) == 2 * before
    # Names of files tell networks apart.
    (tmp_path / "other").mkdir()
    for name in ("one.onnx", "other/one.onnx"):
        shutil.copy(shipped.path_of("nano-int8"), tmp_path / name)
    two = [str(tmp_path / "one.onnx"), str(tmp_path / "other" / "one.onnx")]
    assert reduced_faces.main([*two, *arguments[1:]]) == 2
    assert "Two networks have one file's name" in capsys.readouterr().err
