"""hemiface: how much of a face an emotion needs.

Nothing heavy is imported until it is used:

    import hemiface as hf
    run = hf.study(hf.load_config("quick"))
    predictions = hf.read_predictions(run / "predictions.parquet")
    hf.metrics.summarise(predictions)
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_MODULES = {
    "abstention": "hemiface.stats.abstention",
    "all_pairs": "hemiface.stats.all_pairs",
    "calibration": "hemiface.stats.calibration",
    "confusion_shifts": "hemiface.stats.confusion_shifts",
    "ensembles": "hemiface.stats.ensembles",
    "importance": "hemiface.stats.importance",
    "matrix": "hemiface.stats.matrix",
    "metrics": "hemiface.stats.metrics",
    "occlusion": "hemiface.occlusion",
    "sides": "hemiface.stats.sides",
    "tables": "hemiface.tables",
}
_NAMES = {
    "EMOTIONS": "hemiface.tables",
    "Bundle": "hemiface.networks.network",
    "Condition": "hemiface.occlusion.conditions",
    "Config": "hemiface.config",
    "DamagedError": "hemiface.errors",
    "HemifaceError": "hemiface.errors",
    "Images": "hemiface.data.images",
    "NoFaceError": "hemiface.errors",
    "OnnxModel": "hemiface.models.onnx_file",
    "Predictor": "hemiface.vision.predictor",
    "UsageError": "hemiface.errors",
    "build_report": "hemiface.report.page",
    "condition": "hemiface.occlusion.conditions",
    "evaluate": "hemiface.networks.evaluate",
    "hide": "hemiface.occlusion.conditions",
    "load_config": "hemiface.config",
    "load_images": "hemiface.data.readers",
    "Predictions": "hemiface.tables",
    "Sample": "hemiface.stats.sample",
    "StatisticsOptions": "hemiface.config",
    "read_predictions": "hemiface.tables",
    "study": "hemiface.stages",
}
_RENAMED = {"build_report": "build", "load_config": "load", "load_images": "load"}

__all__ = [
    "__version__",
    *_MODULES,
    *_NAMES,
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    if name in _NAMES:
        module = importlib.import_module(_NAMES[name])
        return getattr(module, _RENAMED.get(name, name))
    raise AttributeError(f"module 'hemiface' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
