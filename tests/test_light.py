"""A light install: predicting needs neither pandas nor pyarrow, and writes the same bytes."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from builders import hemiface, linear_model
from hemiface.data.phantom import make as phantom
from hemiface.errors import HemifaceError
from hemiface.tables import write_csv
from hemiface.vision.faces import COLUMNS, write_rows
from hemiface.vision.predictor import Predictor
from hemiface.vision.results import write_tables

MISSING = ("pandas", "pyarrow", "scipy", "sklearn", "matplotlib", "jinja2", "torch", "onnx")
"""What a light install lacks."""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return linear_model(tmp_path_factory.mktemp("model") / "linear.onnx")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Crops whose names need quotes in CSV, and two broken files."""
    folder = tmp_path_factory.mktemp("Bilder, 顔")
    names = ["a.png", 'say "cheese", please.png', "Zoë\nat home.png", " blank .png"]
    for name, face in zip(names, phantom.render(np.arange(4), seed=0), strict=True):
        Image.fromarray(face).save(folder / name)
    (folder / "broken, 'so to say'.jpg").write_text("no picture")
    (folder / "empty.png").touch()
    return folder


def lightly(*commands: list[str]) -> list[list[int | str]]:
    """Run commands one after the other where MISSING are missing; return each one's exit code,
    standard output and standard error."""
    program = (
        "import contextlib, io, json, sys\n"
        f"for name in {MISSING}: sys.modules[name] = None\n"
        "from hemiface.cli import main\n"
        "ended = []\n"
        "for command in json.loads(sys.argv[1]):\n"
        "    sys.argv = ['hemiface', *command]\n"
        "    out, err = (io.TextIOWrapper(io.BytesIO(), 'utf-8') for _ in range(2))\n"
        "    code = 0\n"
        "    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):\n"
        "        try: main()\n"
        "        except SystemExit as end: code = end.code\n"
        "    said = [one.flush() or one.buffer.getvalue().decode() for one in (out, err)]\n"
        "    ended.append([code or 0, *said])\n"
        "print(json.dumps(ended))"
    )
    argument = json.dumps([[str(word) for word in one] for one in commands])
    done = subprocess.run(
        [sys.executable, "-c", program, argument], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: list[list[int | str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_base_dependencies_bring_no_table_library() -> None:
    project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())
    base = {re.split(r"[<>=\[]", one)[0] for one in project["project"]["dependencies"]}
    assert "onnxruntime" in base
    assert not base & set(MISSING)


def test_every_command_of_a_light_install_writes_what_a_full_one_writes(
    model, pictures, tmp_path, monkeypatch, capsys
) -> None:
    light, full = tmp_path / "light", tmp_path / "full"
    options = ["predict", pictures, "--no-detect", "--model", model]
    kinds = ["--format", "csv,jsonl", "--save-image"]
    face = pictures / "a.png"
    ran = lightly(
        [*options, "--out", light, *kinds],
        [*options, "--out", light, *kinds],  # goes on where it was
        ["predict", face, *options[2:], "--json"],
        ["predict", face, *options[2:]],
        ["occlude", face, "--hide", "lower", "--out", light / "hidden"],
        ["occlude", face, "--set", "halves,bubbles,mask", "--out", light / "set"],
        ["models", "list"],
        ["models", "verify"],
        ["info", "--json"],
    )
    assert [code for code, *_ in ran] == [4, 4, 0, 0, 0, 0, 0, 0, 0], ran
    assert hemiface(monkeypatch, *options, "--out", full, *kinds) == 4
    for name in ("faces.csv", "faces.jsonl", "sources.csv"):
        assert (light / name).read_bytes() == (full / name).read_bytes(), name
    assert len(list((light / "pictures").iterdir())) == 4
    capsys.readouterr()
    hemiface(monkeypatch, "predict", face, *options[2:], "--json")
    assert capsys.readouterr().out == ran[2][1]
    hemiface(monkeypatch, "predict", face, *options[2:])
    assert capsys.readouterr().out == ran[3][1]
    assert "visibility: whole" in ran[7][1]


def test_what_needs_an_extra_says_so_before_any_work(model, pictures, tmp_path) -> None:
    options = ["predict", pictures, "--no-detect", "--model", model, "--out", tmp_path / "o"]
    parquet, data, report = lightly(
        [*options, "--format", "csv,parquet"],
        ["data", "check", pictures],
        ["report", tmp_path],
    )
    assert parquet[0] == 1
    assert parquet[2] == "hemiface: Parquet needs pyarrow; pip install 'hemiface[parquet]'.\n"
    assert not (tmp_path / "o").exists()
    for code, _, said in (data, report):
        assert code == 1
        assert said == (
            "hemiface: This command needs pandas, pyarrow, scipy, sklearn, matplotlib, jinja2; "
            "pip install 'hemiface[study]'.\n"
        )


def test_sources_are_the_bytes_that_pandas_writes(tmp_path) -> None:
    texts = ["", "plain", "a,b", 'a "b"', "two\nlines", "a\rb", "Zoë 顔 😀", " blank ", "#", "NA",
             "'", ";", "\t", "\\", "None", "1.50", '"', "a\r\nb"]  # fmt: skip
    counts = [0, 1, 123_456, 9]
    told = [
        {"source": f"{text}{index}", "kind": "photo", "faces": counts[index % 4],
         "frames": None if index % 3 else counts[index % 4], "error": text, "note": texts[-index]}
        for index, text in enumerate(texts)
    ]  # fmt: skip
    for rows in (told, told[1:2], [one | {"frames": 0} for one in told]):
        write_csv(pd.DataFrame(rows), tmp_path / "pandas.csv")
        write_tables([], rows, tmp_path, [])
        assert (tmp_path / "sources.csv").read_bytes() == (tmp_path / "pandas.csv").read_bytes()


def test_faces_are_the_bytes_that_pandas_writes(model, pictures, tmp_path) -> None:
    predictor = Predictor(model, no_detect=True)
    rows = [
        row for path in sorted(pictures.glob("*[ae].png")) for row in predictor.predict(path).rows()
    ]
    write_rows(rows, tmp_path, ["csv", "jsonl"])
    kinds = {"string": "str", "int64": "Int64", "float64": "float64", "bool": "bool"}
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table = table.astype({name: kinds[kind] for name, kind in COLUMNS.items()})
    table.to_csv(tmp_path / "pandas.csv", index=False, lineterminator="\n")
    assert (tmp_path / "faces.csv").read_bytes() == (tmp_path / "pandas.csv").read_bytes()


def test_rows_are_the_table_and_without_pandas_the_rows_are_named(
    model, pictures, monkeypatch
) -> None:
    faces = Predictor(model, no_detect=True).predict(pictures / "a.png")
    (row,) = faces.rows()
    (of_table,) = faces.to_pandas().to_dict("records")
    assert list(row) == list(COLUMNS)
    for name, value in row.items():
        assert of_table[name] == value if value is not None else pd.isna(of_table[name]), name
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(HemifaceError, match=r"pip install pandas, or .* rows\(\)"):
        faces.to_pandas()
