"""That the kills on a cluster are counted right: what is lost, doubled or otherwise is seen."""

import json
import os
from pathlib import Path

import pytest

import ray_faults
from hemiface.errors import HemifaceError


class Lines:
    """A scene that leaves a file of lines and one more file."""

    name, titles = "lines", ("nothing",)

    def command(self, out: Path, address: str = "") -> list[str]:
        return ["models", "show", str(out), address]

    def has_begun(self, out: Path) -> bool:
        return out.exists()

    def files(self, out: Path) -> dict[str, str]:
        return {one.name: one.read_text() for one in out.iterdir()}

    def rows(self, out: Path) -> list[str]:
        return (out / "lines").read_text().split()


def left(place: Path, lines: str, beside: str | None = "the same") -> Path:
    place.mkdir()
    (place / "lines").write_text(lines)
    if beside is not None:
        (place / "beside").write_text(beside)
    return place


@pytest.mark.parametrize(
    ("lines", "beside", "lost", "doubled", "other_bytes"),
    [
        ("a b c", "the same", 0, 0, 0),
        ("a b", "the same", 1, 0, 1),
        ("a b c c c", "the same", 0, 2, 1),
        ("a b c d", "the same", 0, 1, 1),
        ("a b c", "another", 0, 0, 1),
        ("a b c", None, 0, 0, 1),
        ("", None, 3, 0, 2),
    ],
)
def test_what_is_lost_doubled_or_otherwise_is_counted(
    tmp_path, lines, beside, lost, doubled, other_bytes
):
    wanted, out = left(tmp_path / "wanted", "a b c"), left(tmp_path / "out", lines, beside)
    tally = ray_faults.Tally("lines", 0)
    ray_faults.compare(Lines(), wanted, out, tally)
    assert (tally.lost, tally.doubled, tally.other_bytes) == (lost, doubled, other_bytes)
    assert tally.found == lost + doubled + other_bytes
    assert len(tally.notes) == other_bytes
    json.dumps(tally.row())


def test_a_command_that_fails_is_told_with_its_last_words(tmp_path):
    with pytest.raises(HemifaceError, match=r"ended with 2: .*gone"):
        ray_faults.finish(ray_faults.start(["report", str(tmp_path / "gone")]))


def test_the_two_scenes_ask_for_the_same_work_here_and_there(tmp_path):
    for scene in (ray_faults.Prediction(tmp_path, 4), ray_faults.Study()):
        here, there = scene.command(tmp_path / "x"), scene.command(tmp_path / "x", "head:1")
        assert there == [*here, "--on", "ray://head:1"]
        assert not scene.has_begun(tmp_path)


def test_working_processes_are_told_from_idle_ones():
    own = Path("/proc/self/cmdline")
    if not own.exists():
        pytest.skip("processes are told by /proc")
    title = own.read_bytes().split(b"\0")[0].decode()
    assert os.getpid() in ray_faults._children(os.getppid(), ("no such title", title))
    assert ray_faults._children(os.getppid(), ("no such title",)) == []
