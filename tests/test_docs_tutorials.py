"""Every block of every tutorial is run, in order, in an empty folder; what isn't says why."""

import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from builders import hemiface
from hemiface.errors import BROUGHT

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[1] / "docs"
# Pages beside the tutorials that keep their promises may be added here.
PAGES = [*sorted((DOCS / "tutorials").glob("*.md"))]
NOT_RUN = (
    "installs packages",
    "needs a camera",
    "needs a video",
    "needs the package index",
    "of a container",
)
"""The only reasons for which a block may be left out."""
MARK = re.compile(r"<!-- (not run|needs): (.*?) -->\n$")
FENCE = re.compile(r"^```(\w+)(?: title=\"([\w.-]+)\")?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
TRAIN = (*BROUGHT["study"], *BROUGHT["train"])
EXTRAS = {"train": TRAIN, "export": (*TRAIN, *BROUGHT["export"]), "serve": BROUGHT["serve"]}


@dataclass(frozen=True)
class Block:
    """What stands between two fences, and the mark above it ("" where there is none)."""

    language: str
    title: str
    text: str
    mark: str
    why: str


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for fence in FENCE.finditer(text):
        mark = MARK.search(text[: fence.start()])
        above = (mark[1], mark[2]) if mark else ("", "")
        found.append(Block(fence[1], fence[2] or "", fence[3], *above))
    return found


def words_of(line: str) -> list[str]:
    """The words of a command line as a shell sees them: quotes, comments, patterns of files."""
    words = []
    for word in shlex.split(line, comments=True):
        matching = sorted(map(str, Path().glob(word))) if "*" in word else []
        words += matching or [word]
    return words


def run(block: Block, names: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    if block.title:
        Path(block.title).write_text(block.text, encoding="utf-8")
    elif block.language == "python":
        exec(compile(block.text, "tutorial", "exec"), names)  # noqa: S102
    elif block.language == "sh":
        for line in block.text.splitlines():
            program, *words = words_of(line)
            assert program == "hemiface", line
            assert hemiface(monkeypatch, *words) == 0, line
    else:
        pytest.fail(f"a block in {block.language} can't be run")


@pytest.fixture
def brought(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], None]:
    """Get what a block needs, or skip, saying what is missing."""

    def bring(need: str) -> None:
        if need == "faces":
            request.getfixturevalue("face_networks")
            monkeypatch.setenv("HEMIFACE_OFFLINE", "1")
            photo = request.getfixturevalue("shared_data") / "photos" / "justin.jpg"
            shutil.copy(photo, tmp_path / "photo.jpg")
            return
        for module in EXTRAS[need]:
            pytest.importorskip(module, reason=f"this block needs hemiface[{need}]")

    return bring


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_runs(
    page: Path,
    brought: Callable[[str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "tutorial"}
    left_out = []
    for block in blocks(page):
        if block.mark == "not run":
            continue
        try:
            if block.mark == "needs":
                brought(block.why)
        except pytest.skip.Exception as reason:
            left_out.append(str(reason))
            continue
        run(block, names, monkeypatch)
    if left_out:
        pytest.skip(f"all blocks ran but {len(left_out)}: {'; '.join(dict.fromkeys(left_out))}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_is_not_run_has_a_reason(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    every = re.findall(r"^```\w", text, flags=re.MULTILINE)
    assert len(blocks(page)) == len(every), "a fence that the pattern misses"
    for block in blocks(page):
        assert block.mark in ("", "needs", "not run")
        if block.mark == "not run":
            assert block.why in NOT_RUN
        if block.mark == "needs":
            assert block.why in (*EXTRAS, "faces")
    assert text.count("<!--") == sum(bool(block.mark) for block in blocks(page)), "a mark astray"
