"""What is pinned fits what pyproject.toml allows, and each of its lower bounds is one that was run.

Nothing is installed here: `make lowest` installs and runs the lowest versions allowed.
"""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
CONFIG = tomllib.loads(PYPROJECT)
PROJECT = CONFIG["project"]
EXTRAS = PROJECT["optional-dependencies"]
TORCH = {"torch", "torchvision"}
"""Each machine takes its own build of them."""

PINNED = {
    "light": PROJECT["dependencies"],
    "serve": [*PROJECT["dependencies"], *EXTRAS["serve"], *EXTRAS["video"]],
    "dev": [*PROJECT["dependencies"], *(one for group in EXTRAS.values() for one in group)],
    "tools": CONFIG["dependency-groups"]["supply"],
    "lowest": [*PROJECT["dependencies"], *(one for group in EXTRAS.values() for one in group)],
}
"""File of constraints/ -> what it was made for."""
PYTHONS = {"light": ("3.11", "3.12", "3.13"), "lowest": ("3.11",)}


def text_of(name: str) -> str:
    return (ROOT / "constraints" / f"{name}.txt").read_text(encoding="utf-8")


def pins(name: str) -> list[tuple[Requirement, list[str]]]:
    """Requirements of a file of constraints/ with their hashes."""
    found = []
    for block in text_of(name).replace("\\\n", " ").splitlines():
        wanted, *options = re.split(r"\s--", block.partition("#")[0].strip())
        if wanted:
            found.append((Requirement(wanted), [option.strip() for option in options]))
    return found


def direct(wanted: list[str], python: str) -> list[Requirement]:
    """What of `wanted` a Python on Linux installs, without hemiface's own extras."""
    return [
        one
        for one in map(Requirement, wanted)
        if one.name != PROJECT["name"] and applies(one, python)
    ]


def applies(one: Requirement, python: str) -> bool:
    linux = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}
    version = {"python_version": python, "python_full_version": f"{python}.1"}
    return one.marker is None or one.marker.evaluate({**default_environment(), **linux, **version})


def version_of(one: Requirement) -> str:
    (only,) = one.specifier
    assert only.operator == "==", one
    return only.version


CASES = [
    (name, python) for name in PINNED for python in PYTHONS.get(name, ("3.11", "3.12", "3.13"))
]


def pinned(name: str, python: str) -> dict[str, str]:
    """Canonical name -> version that a Python on Linux takes from a file."""
    taken = [one for one, _ in pins(name) if applies(one, python)]
    versions = {canonicalize_name(one.name): version_of(one) for one in taken}
    assert len(versions) == len(taken), f"{name}.txt pins something twice"
    return versions


@pytest.mark.parametrize("name", PINNED)
def test_everything_has_hashes_and_nothing_says_where_it_came_from(name):
    assert len(pins(name)) > 10
    for one, options in pins(name):
        assert one.url is None
        assert options, one
        for option in options:
            assert re.fullmatch(r"hash=sha256:[0-9a-f]{64}", option), one
    assert not re.search(r"://|file:|^\s*-[a-z]|^\s*--(?!hash=)", text_of(name), re.MULTILINE)


@pytest.mark.parametrize(("name", "python"), CASES)
def test_what_is_asked_for_is_pinned_within_its_bounds(name, python):
    versions = pinned(name, python)
    for one in direct(PINNED[name], python):
        if name == "dev" and one.name in TORCH:
            continue
        assert versions[canonicalize_name(one.name)] in one.specifier, one


def test_what_tests_run_is_what_users_install():
    for python in ("3.11", "3.12", "3.13"):
        assert pinned("light", python).items() <= pinned("serve", python).items()
        assert pinned("serve", python).items() <= pinned("dev", python).items()


def test_the_environment_of_tests_leaves_only_torch_and_its_kind_to_the_machine():
    named = {canonicalize_name(one.name) for one, _ in pins("dev")}
    brought = {one for one in named if re.match(r"(nvidia|cuda|triton|torch(vision)?$)", one)}
    assert brought == set()


def test_the_lowest_versions_are_the_lower_bounds():
    versions = pinned("lowest", "3.11")
    for one in direct(PINNED["lowest"], "3.11"):
        (lowest,) = (bound.version for bound in one.specifier if bound.operator == ">=")
        found = versions[canonicalize_name(one.name)]
        assert found in SpecifierSet(f"=={lowest}.*"), f"{one}, but {found} is what was run"


def test_what_builds_is_bound_alike_everywhere():
    builders = CONFIG["build-system"]["requires"]
    assert builders
    assert set(builders) <= set(EXTRAS["dev"])


def test_upper_bounds_have_a_reason():
    lines = PYPROJECT.splitlines()
    wanted = [*PINNED["dev"], *PINNED["tools"], *CONFIG["build-system"]["requires"]]
    bounded = [
        one for one in wanted if any(bound.operator != ">=" for bound in Requirement(one).specifier)
    ]
    assert bounded, "LiteRT has one"
    for one in bounded:
        (index,) = (number for number, line in enumerate(lines) if f'"{one}"' in line)
        assert lines[index - 1].strip().startswith("#"), one
    assert all(bound.operator == ">=" for bound in SpecifierSet(PROJECT["requires-python"]))
