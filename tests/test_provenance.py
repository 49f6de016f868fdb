"""The hash of code: blind to words about the code, not to the code."""

import ast
import importlib.machinery
import json
import platform
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from hemiface import provenance
from hemiface.provenance import Mark, closure, code_hash, environment

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
        one, other = code_hash("hemiface.occlusion.tiles"), code_hash("hemiface.threads")
        both = code_hash("hemiface.occlusion.tiles", "hemiface.threads")
        assert len({one, other, both}) == 3
        assert both == code_hash("hemiface.threads", "hemiface.occlusion.tiles")
        assert re.fullmatch("[0-9a-f]{16}", both)

    def test_a_package_stands_for_the_modules_that_it_imports(self, tmp_path, monkeypatch):
        monkeypatch.syspath_prepend(str(tmp_path))
        folder = tmp_path / "hashed_package"
        folder.mkdir()
        (folder / "__init__.py").write_text("from hashed_package import part\n")
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


STAGES = {
    "data": "hemiface.data.cache",
    "training": "hemiface.networks.train",
    "evaluation": "hemiface.networks.evaluate",
    "report": "hemiface.report.page",
    "visibility": "hemiface.visibility.train",
    "landmarks": "hemiface.vision.finding.crop_landmarks",
}
PACKAGE = Path(provenance.__file__).parent
# A function of each room, and the stages that can run it.
CHANGED = {
    "occlusion/conditions.py:mirror": {*STAGES} - {"data"},
    "data/readers.py:source_sha256": {"data"},
    "data/images.py:write": {"data", "training", "evaluation", "report", "visibility"},
    "models/temperatures.py:scale": {"report"},
    "models/shipped.py:default_model": set(),
    "networks/augment.py:mixup": {"training"},
    "networks/network.py:predict": {"training", "evaluation"},
    "visibility/score.py:format_scores": set(),
    "visibility/covered_faces.py:examples": {"visibility"},
    "stats/significance.py:holm": {"report"},
    "stats/importance/indices.py:pairs": {"report"},
    "report/words/verdicts.py:verdict": {"report"},
    "vision/finding/blazeface.py:decode": {"landmarks"},
    "vision/journal.py:__enter__": set(),
    "files.py:hash_json": {*STAGES},
    "cli/printing.py:print_json": set(),
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of hemiface; one for all tests, because a file is parsed once while it stays."""
    folder = tmp_path_factory.mktemp("copied") / "hemiface"
    for path in PACKAGE.rglob("*.py"):
        target = folder / path.relative_to(PACKAGE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    return folder


class TestClosure:
    @pytest.fixture
    def copied(self, copy, monkeypatch):
        """The copy, which hashes find in place of the real one; what is changed is put back."""
        found = importlib.machinery.PathFinder.find_spec("hemiface", [str(copy.parent)])
        monkeypatch.setattr(provenance.importlib.util, "find_spec", lambda _: found)
        yield copy
        for path in copy.rglob("*.py"):
            whole = PACKAGE / path.relative_to(copy)
            if path.read_bytes() != whole.read_bytes():
                shutil.copy2(whole, path)

    @staticmethod
    def hashes() -> dict[str, str]:
        return {name: code_hash(entry) for name, entry in STAGES.items()}

    @pytest.mark.parametrize("where", CHANGED)
    def test_a_changed_function_reruns_what_can_run_it_and_nothing_else(self, copied, where):
        file, function = where.split(":")
        before, path = self.hashes(), copied / file
        text = path.read_text(encoding="utf-8")
        (node,) = (
            one for one in ast.walk(ast.parse(text))
            if isinstance(one, ast.FunctionDef) and one.name == function
        )  # fmt: skip
        lines = text.splitlines(keepends=True)
        last = node.body[-1].lineno - 1
        indent = " " * node.body[-1].col_offset
        path.write_text("".join([*lines[:last], f"{indent}_ = 17\n", *lines[last:]]))
        after = self.hashes()
        assert {name for name in STAGES if after[name] != before[name]} == CHANGED[where]

    def test_changed_docstrings_and_comments_rerun_nothing(self, copied):
        before = self.hashes()
        for path in copied.rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            path.write_text(
                "# One more comment.\n" + text.replace('"""Return ', '"""Give back ', 1)
            )
        assert self.hashes() == before

    def test_imports_are_found_wherever_they_stand(self, tmp_path, monkeypatch):
        monkeypatch.syspath_prepend(str(tmp_path))
        files = {
            "__init__.py": "from walked.never import x\n",
            "start.py": "import walked.plain\ndef f():\n    from walked import inside\n"
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import walked.typed\n"
            "else:\n    from . import other\nfrom .deep.down import name\n",
            "plain.py": "import importlib\nimportlib.import_module('walked.' 'lazy')\n",
            **dict.fromkeys(
                ["inside.py", "typed.py", "other.py", "lazy.py", "never.py"], "x = 1\n"
            ),
            "deep/__init__.py": "from walked import at_the_door\n",
            "at_the_door.py": "import json\n",
            "deep/down.py": "name = 'walked.never'\n",
        }
        for name, text in files.items():
            (tmp_path / "walked" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "walked" / name).write_text(text)
        assert closure("walked.start") == [
            f"walked.{name}"
            for name in ("at_the_door", "deep", "deep.down", "inside", "lazy", "other", "plain",
                         "start")
        ]  # fmt: skip
        assert not {name for name in sys.modules if name.startswith("walked")}

    def test_a_mark_tells_inputs_from_code(self):
        one = Mark.of({"a": 1}, "hemiface.errors")
        assert one.inputs == Mark.of({"a": 1}, "hemiface.files").inputs
        others = [Mark.of({"a": 2}, "hemiface.errors"), Mark.of({"a": 1}, "hemiface.files")]
        assert len({mark.fingerprint for mark in (one, *others)}) == 3
        assert Mark.joined([one, *others]).inputs != Mark.joined([*others, one]).inputs


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
