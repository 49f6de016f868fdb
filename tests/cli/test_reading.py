"""What commands read: names of networks, data with its options."""

from pathlib import Path

import pytest

from builders import hemiface
from hemiface.cli.reading import network_files, read_config
from hemiface.config import find
from hemiface.errors import UsageError
from hemiface.models import shipped
from hemiface.stages import study


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
