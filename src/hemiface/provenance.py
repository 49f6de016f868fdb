"""What a result depends on: versions, hardware and the code that made it."""

import ast
import importlib.metadata
import importlib.util
import os
import platform
import sys
from pathlib import Path
from typing import Any

from hemiface.files import hash_json

__all__ = ["code_hash", "environment"]

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
)


_CPUINFO = Path("/proc/cpuinfo")
# Processors of one name differ in these, and a training by several times in speed.
_INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd", "bf16")


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
        hardware["gpus"] = [
            torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())
        ]
    return {"versions": versions, "hardware": hardware}


def code_hash(*modules: str) -> str:
    """Return a hash of the modules' code that comments, docstrings and layout don't change.

    So a mended docstring doesn't throw away a training of hours, and a mended line does. A package
    stands for all of its modules.
    """
    return hash_json({module: _module_source(module) for module in modules})


def _module_source(module: str) -> str:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(module)
    path = Path(spec.origin)
    paths = sorted(path.parent.glob("*.py")) if path.name == "__init__.py" else [path]
    return "\n".join(_bare_source(one.read_text(encoding="utf-8")) for one in paths)


def _bare_source(text: str) -> str:
    tree = ast.parse(text)
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
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None
