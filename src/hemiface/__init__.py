"""hemiface: how much of a face an emotion needs.

Nothing heavy is imported until it is used:

    import hemiface as hf
    run = hf.study(hf.load_config("quick"))
    predictions = hf.read_predictions(run / "predictions.parquet")
    hf.metrics.summarise(predictions)

Every name is there in every installation; one that needs a library which isn't installed says so,
and which extra brings it, when it is used.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # What a type checker and an editor see; `_WHERE` says the same to Python, and a test compares.
    from hemiface import tables
    from hemiface.config import Config, StatisticsOptions
    from hemiface.config import load as load_config
    from hemiface.data.cache import load_images
    from hemiface.data.images import Images
    from hemiface.data.outside import ImportOptions, import_predictions
    from hemiface.errors import (
        DamagedError,
        HemifaceError,
        MissingError,
        NoFaceError,
        UsageError,
    )
    from hemiface.models.onnx_file import OnnxModel
    from hemiface.networks.evaluate import evaluate
    from hemiface.networks.network import Bundle
    from hemiface.occlusion import conditions as occlusion
    from hemiface.occlusion.conditions import Condition, condition, hide
    from hemiface.report.page import build as build_report
    from hemiface.stages import study
    from hemiface.stats import (
        abstention,
        all_pairs,
        calibration,
        confusion_shifts,
        ensembles,
        importance,
        matrix,
        metrics,
        sides,
    )
    from hemiface.stats.sample import Sample
    from hemiface.tables import EMOTIONS, Predictions, read_predictions, write_predictions
    from hemiface.vision.predictor import Predictor
    from hemiface.vision.seen import Frame
    from hemiface.vision.video.watching import Watch

__version__ = "0.2.0"

# From 1.29 on ONNX Runtime sends its maker what it is used for and keeps a device ID in the home
# folder. It looks for this once, when it is first imported, and this comes before any import of it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = [  # noqa: RUF022, by what people do
    # What emotion a face looks like.
    "Frame",
    "OnnxModel",
    "Predictor",
    "Watch",
    # Parts of faces, hidden.
    "Condition",
    "condition",
    "hide",
    "occlusion",
    # Studies: data, networks, reports.
    "Bundle",
    "Config",
    "Images",
    "build_report",
    "evaluate",
    "load_config",
    "load_images",
    "study",
    # Predictions as a table.
    "EMOTIONS",
    "ImportOptions",
    "Predictions",
    "import_predictions",
    "read_predictions",
    "tables",
    "write_predictions",
    # What the table tells.
    "Sample",
    "StatisticsOptions",
    "abstention",
    "all_pairs",
    "calibration",
    "confusion_shifts",
    "ensembles",
    "importance",
    "matrix",
    "metrics",
    "sides",
    # What can go wrong.
    "DamagedError",
    "HemifaceError",
    "MissingError",
    "NoFaceError",
    "UsageError",
    "__version__",
]

_WHERE = {
    "Frame": "hemiface.vision.seen:Frame",
    "OnnxModel": "hemiface.models.onnx_file:OnnxModel",
    "Predictor": "hemiface.vision.predictor:Predictor",
    "Watch": "hemiface.vision.video.watching:Watch",
    "Condition": "hemiface.occlusion.conditions:Condition",
    "condition": "hemiface.occlusion.conditions:condition",
    "hide": "hemiface.occlusion.conditions:hide",
    "occlusion": "hemiface.occlusion.conditions",
    "Bundle": "hemiface.networks.network:Bundle",
    "Config": "hemiface.config:Config",
    "Images": "hemiface.data.images:Images",
    "build_report": "hemiface.report.page:build",
    "evaluate": "hemiface.networks.evaluate:evaluate",
    "load_config": "hemiface.config:load",
    "load_images": "hemiface.data.cache:load_images",
    "study": "hemiface.stages:study",
    "EMOTIONS": "hemiface.tables:EMOTIONS",
    "ImportOptions": "hemiface.data.outside:ImportOptions",
    "Predictions": "hemiface.tables:Predictions",
    "import_predictions": "hemiface.data.outside:import_predictions",
    "read_predictions": "hemiface.tables:read_predictions",
    "tables": "hemiface.tables",
    "write_predictions": "hemiface.tables:write_predictions",
    "Sample": "hemiface.stats.sample:Sample",
    "StatisticsOptions": "hemiface.config:StatisticsOptions",
    "abstention": "hemiface.stats.abstention",
    "all_pairs": "hemiface.stats.all_pairs",
    "calibration": "hemiface.stats.calibration",
    "confusion_shifts": "hemiface.stats.confusion_shifts",
    "ensembles": "hemiface.stats.ensembles",
    "importance": "hemiface.stats.importance",
    "matrix": "hemiface.stats.matrix",
    "metrics": "hemiface.stats.metrics",
    "sides": "hemiface.stats.sides",
    "DamagedError": "hemiface.errors:DamagedError",
    "HemifaceError": "hemiface.errors:HemifaceError",
    "MissingError": "hemiface.errors:MissingError",
    "NoFaceError": "hemiface.errors:NoFaceError",
    "UsageError": "hemiface.errors:UsageError",
}


_TRAINS = ("Bundle", "evaluate", "study")
"""What needs torch too, whichever library it misses first."""


# A checker would take any name for one that this function gives.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _WHERE:
            raise AttributeError(f"module 'hemiface' has no attribute {name!r}")
        module, _, attribute = _WHERE[name].partition(":")
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            # Not here: `hasattr`, `dir` and editors ask for names that nobody uses.
            return _Missing(name, error)
        return getattr(found, attribute) if attribute else found


def __dir__() -> list[str]:
    return sorted(__all__)


class _Missing:
    """Stands for a name whose library isn't installed; whoever uses it is told what brings it."""

    def __init__(self, name: str, error: ModuleNotFoundError) -> None:
        self._name, self._error = name, error

    def __repr__(self) -> str:
        return f"<hemiface.{self._name}, which needs {self._error.name}>"

    def __call__(self, *_: object, **__: object) -> Any:
        raise self._told()

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        raise self._told()

    def _told(self) -> ModuleNotFoundError:
        from hemiface.errors import extra_of

        module = self._error.name or ""
        extra = "train" if self._name in _TRAINS else extra_of(module)
        if extra is None:
            return self._error
        return ModuleNotFoundError(
            f"hf.{self._name} needs {module}; pip install 'hemiface[{extra}]'.", name=module
        )
