"""One predictor in a process of its own, told what to do line by line; see predictors.py.

    python predictor_worker.py KIND FILE THREADS

KIND is `onnx` or `torch` (hemiface's, FILE an export or a Bundle) or `fer` (FILE is the folder of
the installed package `fer`; only numpy, OpenCV and LiteRT or TensorFlow are needed then). Each
line of standard input is a JSON object, answered by one line of standard output:
`{"do": "time", "faces": PATH.npy, "size": N, "calls": K}` by the median seconds of a call,
`{"do": "predict", "faces": PATH.npy, "out": PATH.npy}` after writing float32 [n, 7],
`{"do": "memory"}` by the peak memory of the process in MiB. Faces are uint8 [n, 48, 48].
"""

import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from timing import MAXRSS_MIB, median_seconds

Predict = Callable[[np.ndarray], np.ndarray]


def open_onnx(path: Path, threads: int) -> Predict:
    from hemiface.models.onnx_file import OnnxModel

    return OnnxModel.load(path, threads).predict


def open_torch(path: Path, threads: int) -> Predict:
    import torch

    from hemiface.networks.classifiers import NetworkClassifier
    from hemiface.networks.network import Bundle

    torch.set_num_threads(threads)
    return NetworkClassifier(Bundle.load(path).network()).predict


def open_fer(folder: Path, threads: int) -> Predict:
    """Return fer 25's own way: 64 x 64, scaled to -1..1, its quantised network face by face."""
    import cv2

    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        import tensorflow

        # No module to import from: newer ones resolve it on the way.
        Interpreter = tensorflow.lite.Interpreter  # noqa: N806

    interpreter = Interpreter(
        model_path=str(folder / "data" / "emotion_model_quantized.tflite"), num_threads=threads
    )
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]["index"]
    exit_ = interpreter.get_output_details()[0]["index"]

    def predict(faces: np.ndarray) -> np.ndarray:
        resized = np.array([cv2.resize(face, (64, 64)) for face in faces], dtype="float32")
        scaled = np.expand_dims((resized / 255.0 - 0.5) * 2.0, -1)
        answers = []
        for index in range(len(scaled)):
            interpreter.set_tensor(entry, scaled[index : index + 1].astype(np.float32))
            interpreter.invoke()
            answers.append(interpreter.get_tensor(exit_)[0])
        return np.array(answers)

    return predict


OPENERS: dict[str, Callable[[Path, int], Predict]] = {
    "onnx": open_onnx,
    "torch": open_torch,
    "fer": open_fer,
}


def _peak_mib() -> float:
    """Return the most memory that this process itself had.

    What the system counts as used begins with the peak of who started the process; Linux tells
    them apart.
    """
    status = Path("/proc/self/status")
    if not status.is_file():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_MIB
    (kib,) = (line.split()[1] for line in status.read_text().splitlines() if "VmHWM" in line)
    return int(kib) / 1024


def answer(task: dict[str, Any], predict: Predict) -> dict[str, Any]:
    if task["do"] == "memory":
        return {"mib": _peak_mib()}
    faces = np.load(task["faces"])
    if task["do"] == "predict":
        parts = [predict(faces[at : at + 256]) for at in range(0, len(faces), 256)]
        np.save(task["out"], np.concatenate(parts))
        return {"faces": len(faces)}
    batch = np.ascontiguousarray(faces[: task["size"]])
    return {"seconds": median_seconds(lambda: predict(batch), task["calls"])}


def main() -> None:
    kind, path, threads = sys.argv[1:]
    predict = OPENERS[kind](Path(path), int(threads))
    # LiteRT writes to standard output's neighbour; answers go out one whole line at a time.
    print(json.dumps({"ready": kind}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line), predict)), flush=True)


if __name__ == "__main__":
    main()
