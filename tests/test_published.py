"""What is published says the same everywhere: version, addresses, pictures."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REPOSITORY = PROJECT["urls"]["Repository"]
TEMPLATES = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))


def citation(key: str) -> str:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    found = re.search(rf'^{key}: "?([^"\n]+)"?$', text, flags=re.MULTILINE)
    assert found is not None, f"CITATION.cff has no {key}"
    return found[1]


def test_the_citation_is_of_this_version() -> None:
    assert citation("version") == PROJECT["version"]
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", citation("date-released"))
    assert citation("license") == PROJECT["license"]


def test_the_changelog_begins_with_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    head = re.search(r"^## (\S+), (unreleased|\d{4}-\d{2}-\d{2})$", text, flags=re.MULTILINE)
    assert head is not None, "CHANGELOG.md has no version with its date"
    assert head[1] == PROJECT["version"]
    # Until then the citation has the day of the last change to it.
    assert head[2] in ("unreleased", citation("date-released"))


def test_there_is_one_address() -> None:
    assert citation("repository-code") == REPOSITORY
    assert all(url.startswith(REPOSITORY) for url in PROJECT["urls"].values())


@pytest.mark.skipif(not TEMPLATES, reason="a source distribution leaves .github out")
def test_issue_templates_point_here() -> None:
    assert {"bug.yml", "config.yml"} <= {one.name for one in TEMPLATES}
    addresses = re.findall(
        r"url: (\S+)", (ROOT / ".github/ISSUE_TEMPLATE/config.yml").read_text(encoding="utf-8")
    )
    assert addresses
    for address in addresses:
        assert address.startswith(f"{REPOSITORY}/")
        inside = address.removeprefix(f"{REPOSITORY}/").split("/", 2)[2]
        assert (ROOT / inside).exists()


def test_links_of_the_readme_hold_where_only_it_is_shown() -> None:
    from hatchling.metadata.core import ProjectMetadata
    from hatchling.plugin.manager import PluginManager

    shown = ProjectMetadata(str(ROOT), PluginManager()).core.readme
    here = re.findall(r"\]\(([^)]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    there = re.findall(r"\]\(([^)]+)\)", shown)
    assert len(there) == len(here) > 10
    for link, address in zip(here, there, strict=True):
        if not link.startswith("https://"):
            assert address == f"{REPOSITORY}/blob/main/{link}"
        assert address.startswith("https://")
