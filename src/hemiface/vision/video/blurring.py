"""Where to blur a video's frames: at its faces, and where detection misses a face that it knows.

A detector that misses a face for one frame would show it there. So each frame waits until some
later ones are known (AHEAD_FRAMES, or as many as a new face may come late), and a face that isn't
found in it is blurred all the same

- between two frames in which it was found, at the box interpolated between its boxes there,
- before the first one, in as many frames as are held back, at its first box,
- after the last one, in HOLD_FRAMES frames, at its last box.

So a gap of up to HOLD_FRAMES plus the frames held back is closed, also where the face has another
number after it. Such a box is enlarged on each side by a tenth of its size and 3 % more for each
frame to the nearest detection, at most by half: nobody knows where the face was. That is on top of
what is blurred around every face. These boxes are for the picture only and become no rows.

What isn't promised: a face that is never found isn't blurred, nor one outside these frames, nor one
that jumps away or moves by more than about its own size while it isn't found.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from hemiface.vision.faces import Faces
from hemiface.vision.seen import Box, Frame

__all__ = ["AHEAD_FRAMES", "HOLD_FRAMES", "MOST_AHEAD_FRAMES", "Covers", "frames_ahead"]

AHEAD_FRAMES = 12
HOLD_FRAMES = 25
MOST_AHEAD_FRAMES = 48
"""More of them would fill the memory: 48 of 1920 x 1080 pixels are 300 MB."""
_GROWTH = 0.1
_GROWTH_A_FRAME = 0.03
_MOST_GROWTH = 0.5


def frames_ahead(search_every: int) -> int:
    """Return how many frames to hold back: a small new face is found `search_every` - 1 late.

    >>> frames_ahead(1), frames_ahead(25), frames_ahead(1000)
    (12, 24, 48)
    """
    return min(max(AHEAD_FRAMES, search_every - 1), MOST_AHEAD_FRAMES)


@dataclass(frozen=True)
class _Waiting:
    index: int
    frame: Frame
    faces: Faces
    boxes: dict[int, Box]
    """Number of a face -> where it was found."""


class Covers:
    """The boxes to blur in the frames of one video, which must come in order.

    No more than `ahead` frames are held back, and one box for each face of the last HOLD_FRAMES.
    """

    def __init__(self, ahead: int = AHEAD_FRAMES) -> None:
        self._ahead = ahead
        self._waiting: deque[_Waiting] = deque()
        self._last: dict[int, tuple[int, Box]] = {}
        """Number of a face -> the last frame that left with it, and its box there."""
        self._count = 0

    def add(self, frame: Frame, faces: Faces) -> Iterator[tuple[Frame, Faces, list[Box]]]:
        """Take the next frame; yield those that need not wait any longer, each with its boxes."""
        boxes = {face.face: face.box_px for face in faces}
        self._waiting.append(_Waiting(self._count, frame, faces, boxes))
        self._count += 1
        while len(self._waiting) > self._ahead:
            yield self._leave()

    def rest(self) -> Iterator[tuple[Frame, Faces, list[Box]]]:
        """Yield the frames that still wait: the video has ended."""
        while self._waiting:
            yield self._leave()

    def _leave(self) -> tuple[Frame, Faces, list[Box]]:
        now = self._waiting.popleft()
        self._last |= {number: (now.index, box) for number, box in now.boxes.items()}
        kept = now.index - HOLD_FRAMES
        self._last = {number: one for number, one in self._last.items() if one[0] >= kept}
        following: dict[int, tuple[int, Box]] = {}
        for later in self._waiting:
            for number, box in later.boxes.items():
                following.setdefault(number, (later.index, box))
        missed = (self._last.keys() | following.keys()) - now.boxes.keys()
        guessed = [
            _between(now.index, self._last.get(number), following.get(number))
            for number in sorted(missed)
        ]
        return now.frame, now.faces, [*now.boxes.values(), *guessed]


def _between(now: int, before: tuple[int, Box] | None, after: tuple[int, Box] | None) -> Box:
    """Return the enlarged box at frame `now` of a face that was or will be found, or both."""
    known = [one for one in (before, after) if one is not None]
    (first, box), (last, other) = known[0], known[-1]
    share = (now - first) / (last - first) if last > first else 0.0
    x, y, width, height = (a + share * (b - a) for a, b in zip(box, other, strict=True))
    away = min(abs(now - index) for index, _ in known)
    more = min(_GROWTH + _GROWTH_A_FRAME * away, _MOST_GROWTH)
    return (x - more * width, y - more * height, (1 + 2 * more) * width, (1 + 2 * more) * height)
