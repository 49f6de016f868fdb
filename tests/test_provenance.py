"""The hash of code: blind to words about the code, not to the code."""

import json
import platform
import re
import sys

import numpy as np
import pytest

from hemiface.provenance import code_hash, environment

SOURCE = '''"""A module."""
import math

LIMIT = 3


class Box:
    """A box."""

    side_px: int = 1
    """Length of a side."""

    def area(self):
        """Return the area."""
        return self.side_px ** 2  # square


def only_a_docstring():
    """Do nothing."""


async def later(value):
    """Wait."""
    if value:
        return math.sin(value)
    return "a value, not a docstring"
'''

SAME = {
    "comment": lambda text: text.replace("  # square", "\n        # nothing"),
    "module docstring": lambda text: text.replace("A module.", "Another\n\nmodule."),
    "no module docstring": lambda text: text.replace('"""A module."""\n', ""),
    "class docstring": lambda text: text.replace("A box.", "A square box."),
    "field docstring": lambda text: text.replace("Length of a side.", "Side."),
    "method docstring": lambda text: text.replace("Return the area.", "Area."),
    "empty function": lambda text: text.replace('    """Do nothing."""', "    pass"),
    "async docstring": lambda text: text.replace("Wait.", "Wait a bit."),
    "layout": lambda text: text.replace("LIMIT = 3\n\n", "LIMIT=(\n    3\n)\n"),
    "quotes": lambda text: text.replace('"a value, not a docstring"', "'a value, not a docstring'"),
}
DIFFERENT = {
    "number": lambda text: text.replace("LIMIT = 3", "LIMIT = 4"),
    "type of a number": lambda text: text.replace("LIMIT = 3", "LIMIT = 3.0"),
    "operator": lambda text: text.replace("** 2", "* 2"),
    "default": lambda text: text.replace("side_px: int = 1", "side_px: int = 2"),
    "name": lambda text: text.replace("def area", "def volume"),
    "string that is used": lambda text: text.replace("a value, not", "a value and not"),
    "line more": lambda text: text.replace("    if value:", "    value += 1\n    if value:"),
    "order": lambda text: text.replace("import math\n\nLIMIT = 3\n", "LIMIT = 3\n\nimport math\n"),
}


@pytest.fixture
def hash_of(tmp_path, monkeypatch):
    """The code hash of a module with the text given."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def of(text: str) -> str:
        path = tmp_path / "hashed_module.py"
        path.write_text(text, encoding="utf-8")
        return code_hash("hashed_module")

    return of


class TestCodeHash:
    @pytest.mark.parametrize("change", SAME.values(), ids=SAME)
    def test_words_and_layout_do_not_count(self, hash_of, change):
        assert change(SOURCE) != SOURCE
        assert hash_of(change(SOURCE)) == hash_of(SOURCE)

    @pytest.mark.parametrize("change", DIFFERENT.values(), ids=DIFFERENT)
    def test_a_changed_line_does(self, hash_of, change):
        assert hash_of(change(SOURCE)) != hash_of(SOURCE)

    def test_each_module_counts_and_their_order_does_not(self):
        one, other = code_hash("hemiface.files"), code_hash("hemiface.errors")
        both = code_hash("hemiface.files", "hemiface.errors")
        assert len({one, other, both}) == 3
        assert both == code_hash("hemiface.errors", "hemiface.files")
        assert re.fullmatch("[0-9a-f]{16}", both)

    def test_a_package_stands_for_all_of_its_modules(self, tmp_path, monkeypatch):
        monkeypatch.syspath_prepend(str(tmp_path))
        folder = tmp_path / "hashed_package"
        folder.mkdir()
        (folder / "__init__.py").write_text("")
        (folder / "part.py").write_text("a = 1\n")
        before = code_hash("hashed_package")
        (folder / "part.py").write_text("a = 1  # one\n")
        assert code_hash("hashed_package") == before
        (folder / "part.py").write_text("a = 2\n")
        assert code_hash("hashed_package") != before

    def test_nothing_is_imported(self, hash_of):
        assert hash_of("raise RuntimeError('imported')\n")
        assert "hashed_module" not in sys.modules

    def test_an_absent_module_is_an_error(self):
        with pytest.raises(ModuleNotFoundError, match=r"hemiface\.nothing"):
            code_hash("hemiface.nothing")


def test_environment_says_versions_and_hardware_as_json():
    known = environment()
    assert json.loads(json.dumps(known)) == known
    assert known["versions"]["numpy"] == np.__version__
    assert known["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert known["hardware"]["cores"] >= 1
    assert 0.1 < known["hardware"]["memory_gib"] < 1e5
    assert known["hardware"]["processor"]
    assert isinstance(known["hardware"]["instructions"], list)


@pytest.mark.parametrize(
    ("text", "processor", "instructions"),
    [
        (
            "processor\t: 0\nmodel name\t: Some Zen 4\nflags\t\t: fpu avx2 avx512f avx512_bf16\n"
            "processor\t: 1\nmodel name\t: Another\nflags\t\t: fpu\n",
            "Some Zen 4",
            ["avx2", "avx512f", "avx512_bf16"],
        ),
        ("model name\t: Some Zen 3\nflags\t\t: fma avx2\n", "Some Zen 3", ["avx2"]),
        ("model name\t: An ARM\nFeatures\t: fp asimd bf16\n", "An ARM", ["asimd", "bf16"]),
        ("", None, []),
    ],
)
def test_instructions_are_those_of_the_first_processor(
    text, processor, instructions, tmp_path, monkeypatch
):
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr("hemiface.provenance._CPUINFO", tmp_path / "cpuinfo")
    hardware = environment()["hardware"]
    assert hardware["instructions"] == instructions
    assert hardware["processor"] == (processor or platform.processor() or platform.machine())
