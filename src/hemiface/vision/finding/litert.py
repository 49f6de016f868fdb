"""A small network in a .tflite file, run by LiteRT from any number of threads."""

import os
import queue
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hemiface.errors import DamagedError

__all__ = ["TfliteNetwork"]

Floats = npt.NDArray[np.float32]

_GREETING = b"INFO: Created TensorFlow Lite"
_greeted = threading.Event()
_FIRST = threading.Lock()


class TfliteNetwork:
    """A network of one float32 image input.

    One object serves any number of threads at once: an interpreter, which does not, is lent to
    each call and kept for the next.

    Raises:
        DamagedError: the file is not a network that LiteRT can run.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._content = self.path.read_bytes()
        except OSError as error:
            raise DamagedError(f"{self.path} can't be read ({error.strerror}).") from error
        self._idle: queue.LifoQueue[Any] = queue.LifoQueue()
        first = self._open()
        self.input_shape: tuple[int, ...] = tuple(
            int(size) for size in first.get_input_details()[0]["shape"]
        )
        self._idle.put(first)

    def run(self, image: Floats) -> dict[str, Floats]:
        """Return output name -> array for one float32 image [height, width, channels]."""
        try:
            interpreter = self._idle.get_nowait()
        except queue.Empty:
            interpreter = self._open()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[np.newaxis])
        interpreter.invoke()
        outputs = {
            one["name"]: interpreter.get_tensor(one["index"])
            for one in interpreter.get_output_details()
        }
        self._idle.put(interpreter)
        return outputs

    def _open(self) -> Any:
        # Importing takes a while and only detection needs it.
        from ai_edge_litert.interpreter import Interpreter

        try:
            interpreter = _made(lambda: Interpreter(model_content=self._content, num_threads=1))
        except (RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise DamagedError(
                f"{self.path} is not a network that LiteRT can run ({reason}); "
                "get it again with hemiface models pull."
            ) from error
        return interpreter


def _made(make: Callable[[], Any]) -> Any:
    """Return a new interpreter, the first of the process quietly."""
    with ExitStack() as stack:
        if not _greeted.is_set():
            stack.enter_context(_FIRST)
            stack.enter_context(_without_greeting())
        interpreter = make()
        interpreter.allocate_tensors()
        _greeted.set()
    return interpreter


@contextmanager
def _without_greeting() -> Iterator[None]:
    """Keep what LiteRT tells of its first interpreter away from standard error, and nothing else.

    It writes there past Python, and nothing that it offers to Python ends that. Whatever else is
    written meanwhile, by any thread, comes a moment later.
    """
    try:
        kept = os.dup(2)
    except OSError:  # There is no standard error.
        yield
        return
    try:
        with tempfile.TemporaryFile() as aside:
            os.dup2(aside.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(kept, 2)
                aside.seek(0)
                others = b"".join(line for line in aside if not line.startswith(_GREETING))
                if others:
                    os.write(2, others)
    finally:
        os.close(kept)
