"""The command line around the study: help, info, data, stimuli; quick and without torch."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from builders import hemiface
from hemiface import __version__


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


def test_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [
        name
        for name in sys.modules
        if name.startswith(("hemiface.networks.train", "hemiface.networks.network"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    config = tmp_path / "c.toml"
    config.write_text('name = "c"\n')
    code = hemiface(
        monkeypatch, "train", config, "--data", "phantom:n=140", "--out", tmp_path / "r"
    )
    assert code == 1
    assert "pip install 'hemiface[train]'" in capsys.readouterr().err


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
