"""What commands read: names of networks, data with its options."""

import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from builders import hemiface
from hemiface.cli.reading import network_files, read_config
from hemiface.config import find
from hemiface.data.phantom import make as phantom
from hemiface.errors import UsageError
from hemiface.models import shipped
from hemiface.stages import study
from hemiface.vision.finding.photo_detector import PhotoDetector


def test_networks_that_come_along_go_by_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    named = [Path("small"), Path("some/small"), Path("small.onnx")]
    assert network_files(named) == [shipped.path_of("small"), *named[1:]]
    with pytest.raises(UsageError, match="tiny"):
        network_files([Path("tiny")])
    # A file of that name comes first.
    Path("small").write_bytes(b"mine")
    assert network_files(named[:1]) == named[:1]


def test_options_of_data_become_keys_of_the_config() -> None:
    chosen = read_config(
        find("quick"), None, data="faces", labels="", skip_bad=True, align=True, deal=True
    )
    assert (chosen.data.source, chosen.data.skip_bad) == ("faces", True)
    assert (chosen.data.align, chosen.data.deal) == (True, True)
    plain = read_config(find("quick"), None, data="faces", labels="", skip_bad=False)
    assert (plain.data.align, plain.data.deal, plain.data.skip_bad) == (False, False, False)


def test_a_study_that_aligns_needs_what_finds_faces(tmp_path: Path) -> None:
    config = read_config(find("quick"), None, data="faces", labels="", skip_bad=False, align=True)
    with pytest.raises(UsageError, match="nothing is given that finds them"):
        study(config, out=tmp_path)


@pytest.mark.usefixtures("face_networks")
@pytest.mark.parametrize("command", ["check", "show", "lines"])
def test_crops_in_arrays_are_not_aligned(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = () if command == "check" else ("--out", tmp_path / "out")
    arguments = ("data", command, "phantom:n=70", "--align", *out)
    assert hemiface(monkeypatch, *arguments) == 2
    assert "--align is for pictures" in capsys.readouterr().err


@pytest.mark.usefixtures("face_networks")
@pytest.mark.parametrize("more", [(), ("--align",)])
def test_ctrl_c_says_that_aligned_faces_are_kept(
    more: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "happy").mkdir()
    for number, face in enumerate(phantom.render(np.arange(4), seed=0)):
        Image.fromarray(face).resize((200, 200)).save(tmp_path / "happy" / f"{number}.png")
    where = (PhotoDetector, "detect") if more else (Image.Image, "load")
    asked = iter([signal.SIGINT])

    def stop(*_: object) -> list[object]:
        for sign in asked:
            signal.raise_signal(sign)
        return []

    monkeypatch.setattr(*where, stop)
    assert hemiface(monkeypatch, "data", "check", tmp_path, *more) == 130
    again = "goes on after the faces that it aligned" if more else "begins anew"
    assert f"interrupted; the same command {again}." in capsys.readouterr().err
