"""What users and scripts rely on: names, documentation, errors, and how fast it all appears."""

import ast
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import hemiface as hf
from hemiface import errors

ROOT = Path(hf.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
EACH_FILE = pytest.mark.parametrize(
    "path", FILES, ids=[str(path.relative_to(ROOT)) for path in FILES]
)
TREE = ("HemifaceError", "UsageError", "NoFaceError", "DamagedError", "MissingError")
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def public_definitions(tree: ast.AST, prefix: str = ""):
    """Yield (name, node) of public functions and classes, and of the public methods of these."""
    for node in getattr(tree, "body", []):
        # What @overload declares is documented where it is defined.
        declared = [ast.unparse(one) for one in getattr(node, "decorator_list", [])]
        if isinstance(node, DEFINITIONS) and not node.name.startswith("_"):
            if "overload" in declared:
                continue
            yield f"{prefix}{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node, f"{node.name}.")


def in_fresh_interpreter(code: str) -> dict:
    """Run `code`, which prints JSON, in an interpreter that has imported nothing yet."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    return json.loads(done.stdout)


class TestNames:
    def test_every_public_name_resolves(self):
        assert len(hf.__all__) == len(set(hf.__all__)) > 15
        for name in hf.__all__:
            assert getattr(hf, name) is not None, name
        assert dir(hf) == sorted(hf.__all__)

    def test_names_are_the_things_they_say(self):
        assert hf.evaluate.__module__ == "hemiface.networks.evaluate"
        assert hf.study.__module__ == "hemiface.stages"
        assert hf.load_config.__name__ == "load"
        assert hf.load_config.__module__ == "hemiface.config"
        assert hf.load_images.__module__.startswith("hemiface.data")
        assert hf.metrics.__name__ == "hemiface.stats.metrics"
        assert hf.condition("left").name == "left"

    def test_an_unknown_name_is_an_attribute_error(self):
        with pytest.raises(AttributeError, match="module 'hemiface' has no attribute 'Predicter'"):
            _ = hf.Predicter

    def test_the_example_in_the_docstring_uses_names_that_exist(self):
        used = {
            node.attr
            for line in hf.__doc__.split("\n\n")[2].splitlines()
            for node in ast.walk(ast.parse(line.strip()))
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "hf"
        }
        assert used == {"study", "load_config", "read_predictions", "metrics"}
        assert used <= set(hf.__all__)

    @EACH_FILE
    def test_every_module_says_what_is_public(self, path):
        if path.name == "__main__.py":
            return
        module = importlib.import_module(module_name(path))
        if len(ast.parse(path.read_text(encoding="utf-8")).body) == 1:
            return  # A room's __init__, which only says what the room is.
        assert module.__all__, path
        for name in module.__all__:
            assert hasattr(module, name), f"{module.__name__}.{name}"


TYPED = """
import hemiface as hf
from pathlib import Path
from PIL import Image

reveal_type(hf.Predictor(flip=True).predict("photo.jpg"))
reveal_type(hf.study)
reveal_type(hf.evaluate)
reveal_type(hf.metrics.summarise)
reveal_type(hf.Sample.of(hf.read_predictions("p.parquet")))
reveal_type(hf.load_config("quick"))
hf.Predictor(modle=3)
hf.load_config()
hf.Predicter
hf.build_report(Path("run"), pictures="yes")
reveal_type(hf.Predictor().predict(Image.new("RGB", (3, 3))))
reveal_type(hf.Predictor().predict([Image.new("RGB", (3, 3))]))
"""


class TestTypes:
    def test_both_lists_of_names_are_one(self):
        tree = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
        block = next(node for node in tree.body if isinstance(node, ast.If))
        seen = {}
        for node in block.body:
            for alias in node.names:
                place = f"{node.module}:{alias.name}"
                module = f"{node.module}.{alias.name}"
                name = alias.asname or alias.name
                seen[name] = module if hf._WHERE.get(name) == module else place
        assert seen == hf._WHERE
        assert {*hf._WHERE, "__version__"} == set(hf.__all__)

    def test_a_checker_sees_signatures_and_wrong_names(self, tmp_path):
        pytest.importorskip("mypy")
        path = tmp_path / "user.py"
        path.write_text(TYPED)
        # No signature here names a type of these, and they are most of what there is to read.
        (tmp_path / "mypy.ini").write_text(
            "[mypy]\n[mypy-torch.*,torchvision.*,timm.*,lightning.*,ray.*,submitit.*,rich.*]\n"
            "follow_imports = skip\n"
        )
        done = subprocess.run(
            [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir",
             str(tmp_path / "cache"), "--follow-imports", "silent", str(path)],
            capture_output=True, text=True, check=False, timeout=200, cwd=tmp_path,
            env={**os.environ, "MYPYPATH": str(ROOT.parent)},
        )  # fmt: skip
        lines = done.stdout.splitlines()
        revealed = [line.partition("Revealed type is ")[2] for line in lines if "Revealed" in line]
        assert len(revealed) == 8, done.stdout + done.stderr
        assert not [one for one in revealed if "Any" in one.strip('"').split() or one == '"Any"']
        assert "hemiface.vision.faces.Faces" in revealed[0]
        assert "trust_code" in revealed[1]
        assert "hemiface.stats.sample.Sample" in revealed[4]
        assert revealed[6:] == [
            '"hemiface.vision.faces.Faces"',
            '"list[hemiface.vision.faces.Faces]"',
        ]
        wrong = {int(line.split(":")[1]): line for line in lines if "error:" in line}
        assert sorted(wrong) == [12, 13, 14, 15], done.stdout
        assert 'Unexpected keyword argument "modle"' in wrong[12]
        assert "Predicter" in wrong[14]


class TestMissing:
    def test_every_name_is_there_and_says_what_it_needs_when_it_is_used(self):
        code = (
            "import json, sys\n"
            "for name in ('torch', 'pandas', 'scipy', 'sklearn'): sys.modules[name] = None\n"
            "import hemiface as hf\n"
            "there = [hasattr(hf, name) for name in hf.__all__]\n"
            "told = {}\n"
            "for name, use in {'evaluate': lambda: hf.evaluate([], None),\n"
            "                  'metrics': lambda: hf.metrics.summarise(None),\n"
            "                  'Bundle': lambda: hf.Bundle.load('b')}.items():\n"
            "    try: use()\n"
            "    except ModuleNotFoundError as error: told[name] = [str(error), error.name]\n"
            "print(json.dumps([there, told, repr(hf.evaluate)]))"
        )
        there, told, shown = in_fresh_interpreter(code)
        assert all(there)
        assert told["Bundle"] == ["hf.Bundle needs torch; pip install 'hemiface[train]'.", "torch"]
        assert told["metrics"][0].endswith("; pip install 'hemiface[study]'.")
        assert "hf.evaluate needs " in told["evaluate"][0]
        assert shown.startswith("<hemiface.evaluate, which needs ")

    def test_a_broken_library_is_not_called_missing(self):
        error = ModuleNotFoundError("No module named 'libsomething'", name="libsomething")
        with pytest.raises(ModuleNotFoundError, match="libsomething"):
            hf._Missing("evaluate", error)()


class TestDocumentation:
    @EACH_FILE
    def test_everything_public_has_a_docstring(self, path):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree)
        bare = [name for name, node in public_definitions(tree) if not ast.get_docstring(node)]
        assert not bare


class TestErrors:
    def test_the_tree_and_its_exit_codes(self):
        assert {name: getattr(errors, name).exit_code for name in TREE} == {
            "HemifaceError": 1,
            "UsageError": 2,
            "NoFaceError": 3,
            "DamagedError": 4,
            "MissingError": 2,
        }
        for name in TREE:
            error = getattr(errors, name)
            assert issubclass(error, errors.HemifaceError)
            assert getattr(hf, name) is error
            assert str(error("One sentence.")) == "One sentence."
        assert errors.HemifaceError.__base__ is Exception
        for name in ("UsageError", "NoFaceError", "DamagedError"):
            assert getattr(errors, name).__base__ is errors.HemifaceError
        assert errors.MissingError.__base__ is errors.DamagedError

    def test_the_drawing_in_the_docstring_is_the_tree(self):
        for name in TREE:
            line = next(one for one in errors.__doc__.splitlines() if name in one)
            assert int(line.split(name)[1].split()[0]) == getattr(errors, name).exit_code


class TestImport:
    HEAVY = ("torch", "pandas", "matplotlib", "scipy", "sklearn", "numpy", "cv2", "typer", "timm")

    def test_is_light_and_fast(self):
        code = (
            "import sys, time; start = time.perf_counter(); import hemiface; "
            "seconds = time.perf_counter() - start; import json; "
            "print(json.dumps([seconds, sorted(sys.modules)]))"
        )
        runs = [in_fresh_interpreter(code) for _ in range(3)]
        assert min(seconds for seconds, _ in runs) < 0.3
        assert not set(self.HEAVY) & set(runs[0][1])

    def test_names_bring_only_what_they_need(self):
        code = (
            "import json, sys, hemiface as hf; hf.load_config; hf.UsageError; hf.Config; "
            "config = sorted(sys.modules); hf.hide; hf.condition; hide = sorted(sys.modules); "
            "hf.read_predictions; hf.metrics; table = sorted(sys.modules); "
            "print(json.dumps([config, hide, table]))"
        )
        config, hide, table = map(set, in_fresh_interpreter(code))
        assert not {"torch", "pandas", "numpy"} & config
        assert not {"torch", "pandas"} & hide
        assert not {"torch", "timm", "lightning", "matplotlib"} & table
