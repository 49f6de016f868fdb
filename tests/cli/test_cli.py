"""The command line around the study: help, info, data, stimuli; quick and without torch."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from builders import hemiface
from hemiface import __version__
from hemiface.cli.printing import print_bits, print_differences


def in_new_process(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hemiface", *arguments], capture_output=True, text=True, check=False
    )


def test_help_names_every_command_and_the_exit_codes() -> None:
    done = in_new_process("--help")
    assert done.returncode == 0
    shown = "study train evaluate ensemble report export compare calibrate importance tiles data"
    for command in [*shown.split(), "predict", "models", "occlude", "info"]:
        assert command in done.stdout
    assert "Exit codes" in done.stdout


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; sys.argv = ['hemiface', '--help']\n"
        "from hemiface import cli\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'timm', 'pandas', 'numpy', 'matplotlib', 'scipy', 'sklearn', 'cv2'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip().splitlines()[-1] == "[]"


def test_the_version_is_told() -> None:
    done = in_new_process("--version")
    assert (done.returncode, done.stdout) == (0, f"{__version__}\n")


def test_an_unknown_command_is_wrong_usage() -> None:
    assert in_new_process("studdy").returncode == 2


def test_info_names_versions_and_hardware(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hemiface(monkeypatch, "info", "--json") == 0
    known = json.loads(capsys.readouterr().out)
    assert known["versions"]["numpy"] == np.__version__
    assert known["hardware"]["cores"] >= 1
    assert hemiface(monkeypatch, "info") == 0
    shown = capsys.readouterr().out
    assert np.__version__ in shown
    for name in ("instructions", "gpus"):
        assert f"  {name}: {', '.join(known['hardware'][name]) or 'none'}\n" in shown


def test_rendered_faces_are_written_checked_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    faces = tmp_path / "faces"
    assert hemiface(monkeypatch, "data", "phantom", "--out", faces, "--n", 140) == 0
    assert len(list(faces.rglob("*.png"))) == 140
    capsys.readouterr()
    assert hemiface(monkeypatch, "data", "check", faces, "--json") == 0
    json.loads(capsys.readouterr().out)
    assert hemiface(monkeypatch, "data", "check", faces) == 0
    assert "train" in capsys.readouterr().out
    sheets = tmp_path / "sheets"
    assert hemiface(monkeypatch, "data", "show", faces, "--out", sheets, "--json") == 0
    written = [Path(name) for name in json.loads(capsys.readouterr().out)]
    assert len(written) == 2
    for sheet in written:
        with Image.open(sheet) as picture:
            assert min(picture.size) > 200


def test_occlude_hides_exactly_the_named_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    original = random.integers(1, 256, (61, 80, 3), dtype=np.uint8)
    source = tmp_path / "a face.png"
    Image.fromarray(original).save(source)
    out = tmp_path / "out"
    assert hemiface(monkeypatch, "occlude", source, "--hide", "lower", "--out", out) == 0
    written = Path(capsys.readouterr().out.strip())
    assert written == out / "a face-lower.png"
    result = np.array(Image.open(written))
    assert (result[:30] == original[:30]).all()
    assert (result[30:] == 0).all()


@pytest.mark.parametrize(
    "command",
    [
        "evaluate nano-int8 --data own.csv --out own.csv",
        "evaluate nano-int8 --data . --out own.csv",
        "evaluate nano-int8 --data own.csv --rows rows.csv --out rows.csv",
        "evaluate nano-int8 --data own.csv --labels ferplus=votes.csv --out votes.csv",
        "tiles nano-int8 --data own.csv --out own.csv",
    ],
)
def test_what_is_evaluated_is_never_written_over(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    pixels = " ".join(["7"] * 48**2)
    Path("own.csv").write_text(f"emotion,pixels,Usage\n3,{pixels},PrivateTest\n")
    Path("rows.csv").write_text("row\n0\n")
    Path("votes.csv").write_text("votes\n")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert hemiface(monkeypatch, *command.split(), "--replace") == 2
    assert "would take its place" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("torch", "timm", "scipy"):
        monkeypatch.setitem(sys.modules, name, None)
    run = tmp_path / "run"
    for arguments in (
        ["study", "quick", "--out", run],
        ["train", "quick", "--data", "phantom:n=140", "--out", run],
        ["evaluate", "bundle.safetensors", "--data", "phantom:n=140"],
    ):
        assert hemiface(monkeypatch, *arguments) == 1
        said = capsys.readouterr().err
        assert "This command needs scipy, torch, timm; pip install 'hemiface[train]'" in said
    assert hemiface(monkeypatch, "export", "bundle.safetensors") == 1
    assert "pip install 'hemiface[export]'" in capsys.readouterr().err
    assert not run.exists()


NOWHERE = [
    ["predict", "none.jpg"],
    ["predict", "none.mp4"],
    ["predict", "photo.png", "--model", "none.onnx"],
    ["occlude", "none.jpg", "--hide", "lower", "--out", "o"],
    ["data", "check", "none.csv"],
    ["study", "quick", "--data", "none.csv", "--out", "run"],
    ["study", "none.toml"],
    ["train", "quick", "--data", "none.csv", "--out", "run"],
    ["evaluate", "none.safetensors", "--data", "phantom:n=70"],
    ["evaluate", "none.onnx", "--data", "phantom:n=70"],
    ["export", "none.safetensors"],
    ["ensemble", "none.parquet"],
    ["import", "none.csv", "--dataset", "x"],
    ["report", "none"],
    ["compare", "none.parquet"],
    ["calibrate", "none.parquet"],
    ["importance", "none.parquet"],
    ["information", "none.parquet"],
    ["tiles", "none.safetensors", "--data", "phantom:n=70"],
]


@pytest.mark.parametrize("arguments", NOWHERE, ids=" ".join)
def test_what_does_not_exist_is_wrong_usage(
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (48, 48)).save("photo.png")
    assert hemiface(monkeypatch, *arguments) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "none" in said
    assert "exist" in said


@pytest.mark.parametrize("arguments", [["-h"], ["predict", "-h"], ["data", "check", "-h"]])
def test_help_has_a_short_name(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hemiface(monkeypatch, *arguments) == 0
    short = capsys.readouterr().out
    assert "Usage" in short
    assert hemiface(monkeypatch, *arguments[:-1], "--help") == 0
    assert capsys.readouterr().out == short


@pytest.mark.parametrize(
    "command",
    [
        "predict ADDRESS",
        "occlude ADDRESS --hide upper --out out",
        "data check ADDRESS",
        "evaluate small --data ADDRESS --out out.parquet",
        "report ADDRESS",
        "import ADDRESS --dataset theirs --out out.parquet",
        "people ADDRESS",
    ],
)
def test_an_address_is_called_one(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address = "https://example.org/a"
    assert hemiface(monkeypatch, *command.replace("ADDRESS", address).split()) == 2
    said = capsys.readouterr().err
    assert f"{address} is an address on a network, and nothing is fetched" in said


def test_predicting_waits_for_no_table_library() -> None:
    program = (
        "import sys, hemiface.cli.predicting\n"
        "from hemiface.models import shipped\n"
        "heavy = {'torch', 'pandas', 'pyarrow', 'scipy', 'av', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_what_nobody_knows_is_printed_as_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    nan = math.nan
    rows = [("whole", 1.5, 1.25, 1.75), ("upper", nan, nan, nan), ("lower", 0.5, nan, nan)]
    halves = pd.DataFrame(rows, columns=["visible", "bits", "low", "high"])
    print_bits(halves.assign(model="net", fill="black", mix="as it is"))
    said = capsys.readouterr().out
    assert "1.50" in said
    assert "[1.25, 1.75]" in said
    assert "–" in said
    assert "nan" not in said
    one = {"kind": "condition", "seed": "0", "model_a": "net", "condition_a": "full"}
    one |= {"model_b": "net", "condition_b": "upper", "difference": 0.1, "low": nan, "high": nan}
    print_differences(pd.DataFrame([one | {"p_holm": nan, "p_equivalence": nan}]), 0.02)
    assert "nan" not in capsys.readouterr().out
