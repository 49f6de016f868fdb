"""Every limit: what raises it, what is said, and that the documentation has it as it is."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from hemiface.errors import UsageError
from hemiface.limits import Limits, limits, over, variable

PAGE = Path(__file__).parents[1] / "docs/limits.md"
NAMES = [one.name for one in fields(Limits)]


@pytest.mark.parametrize("name", NAMES)
def test_its_variable_sets_a_limit_and_no_other(monkeypatch, name):
    monkeypatch.setenv(variable(name), "7")
    assert {one: getattr(limits(), one) for one in NAMES} == {**vars(Limits()), name: 7}
    assert re.fullmatch(
        rf"over the limit of 7 [A-Za-z,' -]+ \({variable(name)} raises it\)", over(name)
    )


@pytest.mark.parametrize("text", ["0", "-1", "1e9", "٣", "9" * 5000, "all"])
def test_what_is_no_limit_is_told(monkeypatch, text):
    monkeypatch.setenv("HEMIFACE_MAX_PIXELS", text)
    with pytest.raises(UsageError, match=r"HEMIFACE_MAX_PIXELS must be a positive whole number"):
        limits()


def test_the_documentation_lists_every_limit_with_its_default():
    rows = re.findall(r"^\| (.+?) \| ([\d,]+) \| `(\w+)`", PAGE.read_text(encoding="utf-8"), re.M)
    assert rows == [
        (one.metadata["of"], f"{one.default:,}", variable(one.name)) for one in fields(Limits)
    ]
