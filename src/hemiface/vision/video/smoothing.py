"""What a face of a video looks like over its last moments, so that its label doesn't flicker.

The smoothed probabilities of a face at time t are the weighted geometric mean of the network's own,
over all its frames i up to then in which enough of it could be seen:

    q_e(t)  ~  exp( sum_i w_i log p_e(t_i) / sum_i w_i )
    w_i     =  (1 - 2^(-d_i / h)) 2^(-(t - t_i) / h)

with the half-life h in seconds, and d_i the seconds from the video's frame before to frame i. It is
the exponentially weighted moving average for times at any distance, in which a reading holds for
the time before its frame (EMA_next of Eckner, "Algorithms for unevenly spaced time series: moving
averages and other rolling operators", 2017), divided by the weights so far, without which the first
frame would count for all the time before it. Twice as many frames of the same reading change
nothing; a pause makes what was before it count less, and no more than a pause.

Why so:

- Causal, since frames are drawn while they come, of cameras too: nothing has to be held back. The
  price is a delay of about h where a face does change.
- The mean of logarithms (the logarithmic opinion pool: Genest and Zidek, "Combining probability
  distributions", Statistical Science 1, 1986), since the mean of probabilities is less sure than
  its parts (Ranjan and Gneiting, "Combining probability forecasts", JRSS B 72, 2010): where
  readings alternate, many frames would fall below the threshold and lose their labels (measured:
  results/smoothing/).
- A number that the tracker gave up is forgotten: it is never given again.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hemiface.errors import UsageError
from hemiface.vision.video.tracking import MEMORY_S, STEP_S

__all__ = ["Smoother", "filter_name"]

Floats = npt.NDArray[np.float64]

_LEAST = 1e-6
"""A probability counts as no less: one frame that is sure of its mistake isn't a veto."""


def filter_name(half_life_s: float) -> str:
    """Return what tables call the filter.

    >>> filter_name(0.5)
    'log-mean-0.5s'
    """
    return f"log-mean-{half_life_s:g}s"


class Smoother:
    """The faces of one video, frame after frame; for one thread at a time.

    Raises:
        UsageError: the half-life is no positive number of seconds.
    """

    def __init__(self, half_life_s: float) -> None:
        if not (math.isfinite(half_life_s) and half_life_s > 0):
            raise UsageError(
                f"The half-life must be a positive number of seconds, got {half_life_s}."
            )
        self.half_life_s = half_life_s
        self._states: dict[int, tuple[float, float, Floats]] = {}
        """Number of a face -> when it was last found, the weights so far, their sum of logs."""
        self._now_s: float | None = None

    def add(
        self, now_s: float, faces: Mapping[int, Sequence[float] | None]
    ) -> dict[int, tuple[float, ...]]:
        """Return the smoothed probabilities of the next frame's faces, by their numbers.

        `now_s` is the frame's time, later than that of the frame before; of each face its own
        probabilities are given, None where too little of it can be seen. A face of which nothing
        was seen so far is left out.
        """
        before_s = now_s - STEP_S if self._now_s is None else self._now_s
        own = 1 - self._left(now_s - before_s)
        self._now_s = now_s
        # As long as the tracker remembers them.
        kept = {
            number: state
            for number, state in self._states.items()
            if now_s - state[0] <= MEMORY_S or state[0] == before_s
        }
        smoothed: dict[int, tuple[float, ...]] = {}
        for number, values in faces.items():
            before_s, weight, total = kept.get(number, (now_s, 0.0, np.zeros(1)))
            left = self._left(now_s - before_s)
            weight, total = left * weight, left * total
            if values is not None:
                weight += own
                total = total + own * np.log(np.maximum(values, _LEAST))
            kept[number] = now_s, weight, total
            if weight > 0:
                smoothed[number] = _shares(total / weight)
        self._states = kept
        return smoothed

    def state(self) -> dict[str, Any]:
        """Return all that the next frames' means depend on, as JSON values."""
        faces = [[number, seen_s, weight, total.tolist()]
                 for number, (seen_s, weight, total) in self._states.items()]  # fmt: skip
        return {"faces": faces, "now_s": self._now_s}

    def go_on(self, state: Mapping[str, Any]) -> None:
        """Smooth the next frame as the smoother would have done that returned this `state`."""
        self._states = {
            number: (seen_s, weight, np.array(total))
            for number, seen_s, weight, total in state["faces"]
        }
        self._now_s = state["now_s"]

    def _left(self, seconds: float) -> float:
        """Return what is left of a weight after some time."""
        return float(2 ** (-seconds / self.half_life_s))


def _shares(logs: Floats) -> tuple[float, ...]:
    values = np.exp(logs - logs.max())
    return tuple((values / values.sum()).tolist())
