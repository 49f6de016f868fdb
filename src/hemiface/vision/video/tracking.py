"""Which face of a frame is which of the frames before: a number for each that it keeps.

Every known face is expected where its movement would have brought it. A detection costs, for each
known face, the distance of the centres in mean sides of both boxes plus the absolute natural
logarithm of the ratio of their sides. The cheapest pair is matched first, then the cheapest of what
is left, up to a cost of MOST_COST: greedily, since the best assignment as a whole would need scipy,
which predicting goes without. The two differ only where faces are closer together than they are
large. Overlap isn't asked for: a face that moves by most of its size between frames is still found.

A face that isn't seen is remembered for MEMORY_S seconds of the video, and for one frame where
frames are further apart. After that it's a new one, and numbers are never given again: who was away
for longer, or comes back in another shot, has two. Faces that pass behind each other are told apart
by where they were going, not by how they look; and a cut from one face to another at the same place
goes unnoticed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["MEMORY_S", "MOST_COST", "STEP_S", "Tracker"]

Floats = npt.NDArray[np.float64]

MEMORY_S = 1.0
MOST_COST = 0.9
_GOES_ON_S = 0.4
"""For so long an unseen face is expected to go on as it went; then it waits."""
_SMOOTH = 0.4
"""Weight of the latest step in a face's speed: landmarks jitter by a few percent of a face."""
_LEAST_STEP_S = 1 / 31
"""Of the steps that tell a speed: what jitters would rush off over shorter ones, as between frames
of slow motion or of uneven times. A video of 30 frames a second tells by each of them."""
STEP_S = 1 / 25
"""Between frames where a file tells no time, or one that doesn't go on."""


@dataclass(eq=False)
class _Track:
    number: int
    centre: Floats
    side: float
    seen_s: float
    speed: Floats | None = None
    """Pixels per second, None until it was seen for a whole step."""
    begun: tuple[Floats, float] | None = None
    """Where and when the step began that isn't whole yet; None for now."""

    def cost(self, centre: Floats, side: float, now_s: float) -> float:
        expected = self.centre
        if self.speed is not None:
            expected = expected + self.speed * min(now_s - self.seen_s, _GOES_ON_S)
        away = float(np.linalg.norm(centre - expected))
        return away / ((side + self.side) / 2) + abs(math.log(side / self.side))

    def move(self, centre: Floats, side: float, now_s: float) -> None:
        start, start_s = self.begun or (self.centre, self.seen_s)
        if now_s - start_s < _LEAST_STEP_S:
            self.begun = start, start_s
        else:
            step = (centre - start) / (now_s - start_s)
            self.speed = step if self.speed is None else _SMOOTH * step + (1 - _SMOOTH) * self.speed
            self.begun = None
        self.centre, self.side, self.seen_s = centre, side, now_s


class Tracker:
    """Numbers for the faces of one video, frame after frame; for one thread at a time."""

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._next = 0
        self.now_s = -math.inf
        """The time of the latest frame: later than that of the one before, whatever a file says."""

    def update(self, boxes: Sequence[Floats], timestamp_s: float | None = None) -> list[int]:
        """Return one number for each of the next frame's boxes, each [2, 2]: two corners.

        The order of the boxes makes no difference to known faces; new ones are numbered in it.
        """
        before_s = self.now_s
        self.now_s = self._clock(timestamp_s)
        # Of fewer than one frame a second each would give all faces new numbers.
        self._tracks = [
            one
            for one in self._tracks
            if self.now_s - one.seen_s <= MEMORY_S or one.seen_s == before_s
        ]
        centres = [np.asarray(box, dtype=np.float64).mean(axis=0) for box in boxes]
        sides = [max(math.sqrt(abs(float(np.prod(box[1] - box[0])))), 1e-6) for box in boxes]
        matched = self._match(centres, sides)
        numbers = []
        for index, (centre, side) in enumerate(zip(centres, sides, strict=True)):
            track = matched.get(index)
            if track is None:
                track = _Track(self._next, centre, side, self.now_s)
                self._next += 1
                self._tracks.append(track)
            else:
                track.move(centre, side, self.now_s)
            numbers.append(track.number)
        return numbers

    def state(self) -> dict[str, Any]:
        """Return all that the next frames' numbers depend on, as JSON values."""
        tracks = [
            [one.number, one.centre.tolist(), one.side, one.seen_s,
             None if one.speed is None else one.speed.tolist(),
             None if one.begun is None else [one.begun[0].tolist(), one.begun[1]]]
            for one in self._tracks
        ]  # fmt: skip
        return {"tracks": tracks, "next": self._next, "now_s": self.now_s}

    def go_on(self, state: Mapping[str, Any]) -> None:
        """Number the next frame as the tracker would have done that returned this `state`."""
        self._tracks = [
            _Track(number, np.array(centre), side, seen_s,
                   None if speed is None else np.array(speed),
                   None if begun is None else (np.array(begun[0]), begun[1]))
            for number, centre, side, seen_s, speed, begun in state["tracks"]
        ]  # fmt: skip
        self._next, self.now_s = state["next"], state["now_s"]

    def _clock(self, timestamp_s: float | None) -> float:
        """Return the time of the next frame, always later than that of the one before."""
        if timestamp_s is not None and timestamp_s > self.now_s:
            return timestamp_s
        return 0.0 if math.isinf(self.now_s) else self.now_s + STEP_S

    def _match(self, centres: Sequence[Floats], sides: Sequence[float]) -> dict[int, _Track]:
        """Return index of a box -> the known face that it is."""
        pairs = [
            (track.cost(centre, side, self.now_s), track.number, index, track)
            for index, (centre, side) in enumerate(zip(centres, sides, strict=True))
            for track in self._tracks
        ]
        matched: dict[int, _Track] = {}
        taken: set[int] = set()
        for cost, number, index, track in sorted(pairs, key=lambda pair: pair[:3]):
            if cost <= MOST_COST and index not in matched and number not in taken:
                matched[index] = track
                taken.add(number)
        return matched
