"""Documentation that fails when it is stale."""

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hemiface
from hemiface import cli
from hemiface.config import find
from hemiface.vision.photos import PHOTO_SUFFIXES
from hemiface.vision.video.frames import VIDEO_SUFFIXES

ROOT = Path(__file__).parents[1]
FOLDERS = ("*.md", "results/**/*.md", "*/README.md", "docs/**/*.md")
PAGES = sorted({page for folder in FOLDERS for page in ROOT.glob(folder)})
README = (ROOT / "README.md").read_text(encoding="utf-8")


GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
GROUPS = [group.name for group in cli.app.registered_groups]


def commands() -> list[str]:
    """Every hemiface command line that stands in a fenced block of the README or in docs/."""
    text = "".join(page.read_text(encoding="utf-8") for page in GUIDES)
    lines = "".join(re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)).splitlines()
    return list(dict.fromkeys(line for line in lines if line.startswith("hemiface ")))


SHOWN_CONFIGS = {
    name for page in GUIDES for name in re.findall(r'```toml title="(.*)"', page.read_text("utf-8"))
}


@pytest.mark.parametrize("line", commands())
def test_commands_of_the_docs_parse(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(line, comments=True)[1:]
    if words[0] in ("study", "train") and words[1] not in SHOWN_CONFIGS:
        assert find(words[1]).is_file()
    # --help after a whole command line is answered only if everything before it is known.
    monkeypatch.chdir(ROOT)
    depth = 2 if words[0] in GROUPS else 1
    done = CliRunner().invoke(cli.app, [*words[:depth], "--help"])
    assert done.exit_code == 0
    options = [word for word in words if word.startswith("--")]
    plain = re.sub(r"\x1b\[[0-9;]*m", "", done.output)
    assert [option for option in options if option not in plain] == []


def test_suffixes_of_what_is_looked_at_in_folders() -> None:
    [said] = re.findall(
        r"- \*\*Folders\*\*(.*?) deeply",
        (ROOT / "docs/limits.md").read_text(encoding="utf-8"),
        re.DOTALL,
    )
    assert set(re.findall(r"\.\w+", said)) == PHOTO_SUFFIXES | VIDEO_SUFFIXES


def test_the_readme_is_short() -> None:
    assert len(README.split()) <= 800


def test_every_room_and_module_that_docs_name_is_there() -> None:
    where = (ROOT / "docs" / "where.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \| (.*) \|$", where, flags=re.MULTILINE)
    package = Path(hemiface.__file__).parent
    named = set()
    for rooms, text in rows:
        for place in re.findall(r"`([\w.]+/?)`", rooms):
            assert (package / place).exists(), place
            named.add(place.removesuffix("/"))
        room = re.findall(r"`(\w+)/`", rooms)
        for name in re.findall(r"`(\w+/?)`", text) if room else ():
            inside = package / room[0] / name
            assert inside.is_dir() or inside.with_suffix(".py").is_file(), f"{room[0]}/{name}"
    parts = [path for path in package.iterdir() if not path.name.startswith("_")]
    assert {path.name for path in parts if path.suffix in ("", ".py")} == named
    for module in re.findall(
        r"(?<![\w/.])((?:vision|models|data|networks|stats|report)/\w+)", where
    ):
        inside = package / module
        assert inside.is_dir() or inside.with_suffix(".py").is_file(), module


def test_every_command_is_in_the_readme() -> None:
    names = {command.name or command.callback.__name__ for command in cli.app.registered_commands}  # type: ignore[union-attr]
    listed = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for text in (README, listed):
        assert [name for name in names if f"hemiface {name}" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_the_version_stands_in_one_way_everywhere() -> None:
    version = hemiface.__version__
    assert f'version = "{version}"' in (ROOT / "pyproject.toml").read_text()
    assert f"version: {version}" in (ROOT / "CITATION.cff").read_text()
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()


def test_what_the_public_package_reaches_is_what_was_measured() -> None:
    file = ROOT / "results" / "benchmarks" / "predictors.json"
    models = json.loads(file.read_text(encoding="utf-8"))["models"]
    (found,) = (facts["accuracy"] for name, facts in models.items() if name.startswith("fer "))
    cells = " | ".join(f"{100 * value:.1f}" for value in found.values())
    assert f"| `fer` 25.10.3 | {cells} |" in (ROOT / "docs/original.md").read_text("utf-8")


def test_exit_codes_of_the_readme_are_those_of_the_errors() -> None:
    codes = {
        error.exit_code
        for error in (hemiface.HemifaceError, hemiface.UsageError, hemiface.DamagedError)
    }
    for code in codes | {0, 130}:
        assert re.search(rf"\b{code} \w+", README)


def test_results_say_their_command_and_config() -> None:
    for folder in (ROOT / "results").iterdir():
        # These are of scripts without a config, whose options, hardware and versions lie in files;
        # of answer there is only what needs no network.
        if folder.is_dir() and folder.name not in ("answer", "benchmarks", "page", "reliability"):
            assert "hemiface " in (folder / "README.md").read_text(encoding="utf-8")
            assert (folder / "config.toml").is_file()
            assert (folder / "environment.json").is_file()


@pytest.mark.parametrize(
    "folder", [one.name for one in sorted((ROOT / "results").iterdir()) if one.is_dir()]
)
def test_files_that_a_results_page_lists_lie_beside_it(folder: str) -> None:
    place = ROOT / "results" / folder
    page = (place / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (`[^|]*`) \|", page, flags=re.MULTILINE)
    names = [name for cell in listed for name in re.findall(r"`([^`]+\.\w+)`", cell)]
    missing = [name for name in names if not list(place.glob(name))]
    # A source distribution leaves the folders of figures out.
    assert [name for name in missing if (place / name).parent.is_dir()] == []
