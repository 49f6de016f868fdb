"""Whatever comes along is named in THIRD_PARTY.md with its licence, and that file comes along."""

import re
import tomllib
from pathlib import Path

import hemiface
from hemiface.models import shipped
from hemiface.vision.finding.assets import ASSETS

ROOT = Path(__file__).parents[1]
PACKAGE = Path(hemiface.__file__).parent
PAGE = (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8")


def rows() -> list[tuple[list[str], str, str]]:
    """What each row of the tables is about, its licence, and where it is from."""
    found = re.findall(r"^\| (`.*?) \| .*? \| ([\w.-]+) \| (.*) \|$", PAGE, flags=re.MULTILINE)
    return [(re.findall(r"`([^`]+)`", files), licence, origin) for files, licence, origin in found]


def named() -> dict[str, str]:
    """Pattern, from the package's folder on, or name in the cache -> licence."""
    return {pattern: licence for files, licence, _ in rows() for pattern in files}


def test_every_file_of_the_package_that_is_no_code_is_named_once():
    patterns = [one for one in named() if one not in {asset.file for asset in ASSETS.values()}]
    matched = [path for pattern in patterns for path in PACKAGE.glob(pattern)]
    there = [
        path
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc", ".pyo")
    ]
    assert sorted(matched) == sorted(there)
    assert all(list(PACKAGE.glob(pattern)) for pattern in patterns)


def test_shipped_networks_have_the_licence_that_the_index_says():
    for model in shipped.list_models():
        (licence,) = {
            licence
            for pattern, licence in named().items()
            if (PACKAGE / "models" / "files" / model.file) in PACKAGE.glob(pattern)
        }
        assert licence == model.licence


def test_fetched_networks_are_named_with_licence_and_wheel():
    for asset in ASSETS.values():
        ((licence, origin),) = [
            (licence, origin) for files, licence, origin in rows() if asset.file in files
        ]
        assert licence == asset.licence
        assert asset.wheel.requirement.replace("==", " ") in origin


def test_the_page_is_part_of_every_wheel():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"LICENSE", "THIRD_PARTY.md"} <= set(project["license-files"])
