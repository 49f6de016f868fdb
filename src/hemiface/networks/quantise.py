"""Eight-bit integers in place of single precision: static quantisation by ONNX Runtime."""

import logging
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process

from hemiface.data.images import Images
from hemiface.errors import UsageError
from hemiface.files import passing_folder
from hemiface.occlusion.conditions import HALVES, condition, hide, image_seeds

__all__ = ["RANGE_RULES", "quantise", "range_faces"]

log = logging.getLogger(__name__)

_RULES = {
    "entropy": quantization.CalibrationMethod.Entropy,
    "minmax": quantization.CalibrationMethod.MinMax,
    "percentile": quantization.CalibrationMethod.Percentile,
}
RANGE_RULES = tuple(_RULES)

_FACES = 2560
_BATCH = 64
_PERCENTILE = 99.999
# Heavy operations and what stands between them, so that numbers stay 8 bits wide from the first
# convolution to the last layer. Preprocessing and softmax are other operations and stay floating.
_QUANTISED = [
    "Add",
    "AveragePool",
    "Conv",
    "Gemm",
    "GlobalAveragePool",
    "MatMul",
    "MaxPool",
    "Relu",
]


def range_faces(
    images: Images, trained_on: Iterable[str], scored: Images
) -> tuple[npt.NDArray[np.uint8], dict[str, Any]]:
    """Return hidden faces uint8 [n, 48, 48] that set the ranges, and what they are.

    Up to 2,560 faces of `images` (training images only), drawn evenly, dealt to the conditions that
    the network was trained on, the whole face and the halves. Training images that are copies or
    group members of `scored` are left out: nothing that is scored sets a range.

    Raises:
        UsageError: an image is not of the train split, or none is left.
    """
    foreign = images.table["split"] != "train"
    if foreign.any():
        raise UsageError(
            f"Calibration takes training images only, but {int(foreign.sum())} of "
            f"{len(images)} are {images.table['split'][foreign].iloc[0]} images."
        )
    seen = images.table["sha256"].isin(scored.table["sha256"])
    seen |= images.table["group"].isin(scored.table["group"])
    usable = np.flatnonzero(~seen.to_numpy())
    if not len(usable):
        raise UsageError("No training image is left to calibrate on; name other data.")
    if seen.any():
        log.info("%d training images have copies among those scored: left out", seen.sum())
    keys = list(dict.fromkeys(condition(key).key for key in ("full", *HALVES, *trained_on)))
    drawn = np.random.default_rng(0).permutation(usable)
    order = np.arange(min(_FACES, len(drawn) * len(keys)))
    # From round to round through the images each gets the next condition.
    rounds, place = np.divmod(order, len(drawn))
    dealt = (place + rounds) % len(keys)
    faces = images.pixels[drawn[place]]
    seeds = image_seeds(images.table["image"].iloc[drawn[place]])
    for index, key in enumerate(keys):
        chosen = dealt == index
        faces[chosen] = hide(faces[chosen], condition(key), seeds[chosen])
    used = {
        "faces": len(faces),
        "images": min(len(faces), len(drawn)),
        "conditions": keys,
        "data_sha256": images.info["data_sha256"],
    }
    return faces, used


def quantise(
    model: onnx.ModelProto, faces: npt.NDArray[np.uint8], rule: str = "percentile"
) -> onnx.ModelProto:
    """Return `model` with 8-bit weights (a scale per channel) and 8-bit activations between them.

    Ranges of activations are those seen on `faces` (uint8 [n, 48, 48]); `rule` is how outliers
    are treated, one of RANGE_RULES: `minmax` keeps them, `percentile` cuts 0.001 % off, `entropy`
    cuts where least information is lost (Migacz 2017).
    """
    with (
        passing_folder() as folder,
        redirect_stdout(StringIO()),
    ):
        whole, prepared, written = (folder / f"{one}.onnx" for one in ("whole", "shaped", "int8"))
        # ONNX Runtime 1.22 loses a model that it is given in memory.
        onnx.save(model, whole)
        # Batch normalisation is folded already; what the quantiser still needs are shapes.
        quant_pre_process(whole, prepared, skip_optimization=True, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared,
            written,
            _Batches(faces),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=_QUANTISED,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=_RULES[rule],
            extra_options={
                "CalibPercentile": _PERCENTILE,
                # One batch at a time: all activations of all faces would fill the memory.
                "CalibStridedMinMax": 1,
                "OpTypesToExcludeOutputQuantization": ["Gemm"],
            },
        )
        result: onnx.ModelProto = onnx.load(written)
    result.ClearField("metadata_props")
    return result


class _Batches(quantization.CalibrationDataReader):  # type: ignore[misc]
    """Faces in batches, as ONNX Runtime asks for them."""

    def __init__(self, faces: npt.NDArray[np.uint8]) -> None:
        self.batches = [faces[start : start + _BATCH] for start in range(0, len(faces), _BATCH)]
        self.left = iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)

    def set_range(self, start_index: int, end_index: int) -> None:
        self.left = iter(self.batches[start_index:end_index])

    def get_next(self) -> Mapping[str, npt.NDArray[np.uint8]] | None:
        batch = next(self.left, None)
        return None if batch is None else {"faces": batch}
