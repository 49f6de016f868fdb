"""What a result depends on: versions, hardware and the code that made it."""

import ast
import importlib.metadata
import importlib.util
import os
import platform
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from hemiface.files import hash_json

__all__ = ["Mark", "closure", "code_hash", "environment"]

_PACKAGES = (
    "hemiface",
    "numpy",
    "pandas",
    "pyarrow",
    "pillow",
    "opencv-python-headless",
    "onnxruntime",
    "ai-edge-litert",
    "scipy",
    "scikit-learn",
    "matplotlib",
    "torch",
    "torchvision",
    "timm",
    "lightning",
    "safetensors",
    "onnx",
    "onnxscript",
    "fastapi",
    "uvicorn",
)


_CPUINFO = Path("/proc/cpuinfo")
# Processors of one name differ in these, and a training by several times in speed.
_INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd", "bf16")


HARDWARE_OF = "hardware_of"
"""In environment.json: what computed the stages for which `hardware` isn't true, by name."""


def environment() -> dict[str, Any]:
    """Return versions and hardware as JSON values; imports nothing heavy.

    Devices are named only if torch is imported already, so that asking costs nothing.
    """
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    hardware: dict[str, Any] = {
        "processor": _processor(),
        "instructions": _instructions(),
        "cores": os.cpu_count(),
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        hardware["threads"] = torch.get_num_threads()
        hardware["omp_num_threads"] = os.environ.get("OMP_NUM_THREADS")
        hardware["gpus"] = [
            torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())
        ]
    return {"versions": versions, "hardware": hardware}


@dataclass(frozen=True)
class Mark:
    """What decides a result, hashed in two parts: its inputs and options, and the code.

    Apart, so that a run whose code alone is another can be told from one whose data or config is.
    """

    inputs: str
    code: str

    @classmethod
    def of(cls, inputs: Any, entry: str) -> "Mark":
        """Return the mark of what the module `entry` makes of JSON-able inputs."""
        return cls(hash_json(inputs), code_hash(entry))

    @classmethod
    def joined(cls, marks: Iterable["Mark"]) -> "Mark":
        """Return the mark of what is made of several results."""
        known = list(marks)
        return cls(hash_json([one.inputs for one in known]), hash_json([one.code for one in known]))

    @property
    def fingerprint(self) -> str:
        """Both parts in one: 16 hexadecimal digits."""
        return hash_json([self.inputs, self.code])


def code_hash(*entries: str) -> str:
    """Return a hash of the code that running the modules `entries` can run.

    That is the modules themselves and every module of the same package that they import, directly
    or through others, wherever in the file the import stands (see `closure`). Comments, docstrings
    and layout don't count: a mended docstring doesn't throw away a training of hours, and a mended
    line does. Versions of libraries and hardware don't count either: they are recorded beside each
    result (`environment`). Files that are no Python, such as templates and networks, are inputs and
    belong into a Mark.
    """
    return hash_json({module: _source(module)[1] for module in closure(*entries)})


def closure(*entries: str) -> list[str]:
    """Return the names of the modules that running `entries` can run, sorted.

    Imports are read, not run. An import for type checkers alone doesn't count. The package's own
    `__init__`, which only names what users find there, is left out, and so is what nothing imports.
    Of a module that imports by name (`importlib.import_module`) every text that names a module
    counts.

    Raises:
        ModuleNotFoundError: there is no such module.
    """
    found: set[str] = set()
    left = list(entries)
    while left:
        module = left.pop()
        if module in found:
            continue
        found.add(module)
        left += [one for one in _source(module)[0] if one not in found]
    return sorted(found)


def _source(module: str) -> tuple[tuple[str, ...], str]:
    """Return what a module imports of its own package, and its bare source."""
    path = _path_of(module)
    if path is None:
        raise ModuleNotFoundError(module)
    known = path.stat()
    return _parsed(module, path, known.st_mtime_ns, known.st_size)


def _path_of(module: str) -> Path | None:
    """Return a module's file without importing anything but the path of its package."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin is None:
        return None
    if not rest:
        return Path(spec.origin)
    folder = Path(spec.origin).parent.joinpath(*rest)
    for path in (folder.with_name(folder.name + ".py"), folder / "__init__.py"):
        if path.is_file():
            return path
    return None


@lru_cache(maxsize=1024)
def _parsed(module: str, path: Path, _changed_ns: int, _size: int) -> tuple[tuple[str, ...], str]:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    return tuple(sorted(_imports(module, path, tree))), _bare_source(tree)


def _imports(module: str, path: Path, tree: ast.Module) -> set[str]:
    """Return the modules of the same package that a module imports, their packages included."""
    top = module.partition(".")[0]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    named: set[str] = set()
    texts: set[str] = set()
    by_name = False
    for node in _run_nodes(tree):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - max(node.level - 1, 0)]
            start = ".".join(above) if node.level else ""
            base = ".".join(filter(None, (start, node.module)))
            named |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Attribute) and node.attr == "import_module":
            by_name = True
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.add(node.value)
    if by_name:
        named |= {text for text in texts if text.startswith(f"{top}.")}
    # Importing a.b.c runs a.b too.
    whole = {".".join(parts[:n]) for parts in map(_parts, named) for n in range(2, len(parts) + 1)}
    return {one for one in whole if one.startswith(f"{top}.") and _path_of(one)} - {module}


def _parts(module: str) -> list[str]:
    return module.split(".")


def _run_nodes(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield every node but those under `if TYPE_CHECKING:`."""
    left: list[ast.AST] = [tree]
    while left:
        node = left.pop()
        yield node
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            left += node.orelse
        else:
            left += ast.iter_child_nodes(node)


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"


def _bare_source(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            # Docstrings, and the strings under dataclass fields, are statements without effect.
            node.body = [  # type: ignore[attr-defined]
                statement
                for statement in body
                if not (
                    isinstance(statement, ast.Expr)
                    and isinstance(statement.value, ast.Constant)
                    and isinstance(statement.value.value, str)
                )
            ] or [ast.Pass()]
    return ast.unparse(tree)


def _processor() -> str:
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _instructions() -> list[str]:
    """Return what the processor has of the vector instructions that networks are fast with."""
    has = (_cpuinfo("flags") or _cpuinfo("Features")).split()
    return [one for one in _INSTRUCTIONS if one in has]


def _cpuinfo(key: str) -> str:
    """Return what Linux says of the first processor under `key`; empty where it says nothing."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    found = (line.partition(":")[2].strip() for line in lines if line.split(":")[0].strip() == key)
    return next(found, "")


def _memory_gib() -> float | None:
    if sys.platform == "win32":
        return None
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError):
        return None
