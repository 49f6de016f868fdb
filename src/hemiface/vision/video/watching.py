"""One video or camera, frame after frame: faces keep their numbers and aren't searched for anew.

Searching a whole frame for small faces takes hundreds of looks. Every `search_every`-th frame is
searched in full; in between, known faces are looked for where they were, and new ones only in
the frame as a whole, where those smaller than about a fifth of its longer side may be missed. A
known face that isn't found where it was has its frame searched in full at once. So a small
face that is new appears up to `search_every` - 1 frames late, and nothing else is lost;
`search_every` 1 searches every frame. MediaPipe's networks do all of that; CenterFace, with
which photos are searched too, follows nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hemiface.errors import UsageError
from hemiface.vision.faces import Faces, Smoothed
from hemiface.vision.finding import blazeface
from hemiface.vision.finding.detector import FoundFace
from hemiface.vision.seen import Frame, SeenFace, require_frames
from hemiface.vision.video.smoothing import Smoother, filter_name
from hemiface.vision.video.tracking import Tracker

if TYPE_CHECKING:
    from hemiface.vision.predictor import Predictor

__all__ = ["SEARCH_EVERY", "Identities", "Looks", "Watch"]

SEARCH_EVERY = 10
_SAME_OVERLAP = 0.1
"""With less a face has left its place: one that moves by half its side between frames has a
third."""


Looks = tuple[int, Sequence[float], str]
"""A face's number, its probabilities, and why too little of it is seen, empty if enough is."""


class Identities:
    """Which face is which over one video's frames, in order, and what it looks like over time.

    With `smooth_s`, a half-life in seconds, faces have smoothed probabilities too
    (`hemiface.vision.video.smoothing`).

    Raises:
        UsageError: `smooth_s` is not positive.
    """

    def __init__(self, predictor: "Predictor", smooth_s: float | None = None) -> None:
        self._predictor = predictor.for_videos()
        self._tracker = Tracker()
        self._smoother = None if smooth_s is None else Smoother(smooth_s)

    def number(
        self, boxes: Sequence[npt.NDArray[np.float64]], timestamp_s: float | None
    ) -> tuple[list[int], float]:
        """Return the number of each of the next frame's boxes [2, 2], and the frame's time."""
        return self._tracker.update(boxes, timestamp_s), self._tracker.now_s

    def state(self) -> dict[str, Any]:
        """Return all that the next frames' numbers and means depend on, as JSON values."""
        smoother = self._smoother
        return {"tracker": self._tracker.state(), "smoother": smoother and smoother.state()}

    def go_on(self, state: Mapping[str, Any]) -> None:
        """Go on as those of the same options would have done that returned this `state`."""
        self._tracker.go_on(state["tracker"])
        if self._smoother is not None:
            self._smoother.go_on(state["smoother"])

    def smooth(self, now_s: float, faces: Sequence[Looks]) -> list[Smoothed]:
        """Return what the next frame's faces look like over their last moments; [] if not asked."""
        if self._smoother is None:
            return []
        own = {number: None if unseen else values for number, values, unseen in faces}
        means = self._smoother.add(now_s, own)
        name = filter_name(self._smoother.half_life_s)
        shown = []
        for number, values, unseen in faces:
            mean = means.get(number, tuple(values))
            reason = unseen or self._predictor.why_unsure(max(mean))
            shown.append(Smoothed(name, mean, reason))
        return shown


class Watch:
    """The faces of one video's frames, which must come in order; for one thread at a time.

    Any number of these may share a Predictor. `smooth_s` is that of Identities. Frames whose number
    is a multiple of `anew_every` are searched in full whatever was before, so that what is found
    from there on depends on nothing before it.

    Raises:
        UsageError: `search_every`, `smooth_s` or `anew_every` is not positive.
    """

    def __init__(
        self,
        predictor: "Predictor",
        search_every: int = SEARCH_EVERY,
        smooth_s: float | None = None,
        anew_every: int | None = None,
    ) -> None:
        if search_every < 1:
            raise UsageError(f"search_every must be at least 1, got {search_every}.")
        if anew_every is not None and anew_every < 1:
            raise UsageError(f"anew_every must be at least 1, got {anew_every}.")
        self._predictor = predictor.for_videos()
        self.search_every = search_every
        self._anew_every = anew_every
        self._who = Identities(predictor, smooth_s)
        self._known: list[FoundFace] = []
        self._left = 0
        """Frames until the next one that is searched in full."""

    def ahead(self, most: int) -> int:
        """Return how many frames to give next, 1 to `most`, so that there is a `state` after them.

        That is so unless a face is lost meanwhile, or the next full search lies behind `most`.
        """
        first = self._left or self.search_every
        if first > most or not self._predictor.can_follow:
            return most
        return first + (most - first) // self.search_every * self.search_every

    def state(self) -> dict[str, Any] | None:
        """Return all that the next frames' faces depend on, as JSON values.

        None unless the next frame is searched in full: until then they depend on landmarks, too.
        """
        follows = self._left > 0 and self._predictor.can_follow
        return None if follows else self._who.state()

    def go_on(self, state: Mapping[str, Any]) -> None:
        """Look at the next frame as the Watch of the same options that returned this `state`."""
        self._known, self._left = [], 0
        self._who.go_on(state)

    def predict_frames(self, frames: Iterable[Frame]) -> list[Faces]:
        """Return the faces of the next frames; `face` is the number that each keeps.

        Raises:
            UsageError: an array isn't RGB uint8 [height, width, 3], or is in no Frame.
        """
        known = require_frames(frames)
        seen = self.see(known)
        numbers, times = [], []
        for frame, faces in zip(known, seen, strict=True):
            boxes = [face.found.box for face in faces]
            own, now_s = self._who.number(boxes, frame.timestamp_s)
            numbers.append(own)
            times.append(now_s)
        said = self._predictor.say(known, seen, numbers)
        return [self._smoothed(*one) for one in zip(times, said, strict=True)]

    def see(self, frames: Sequence[Frame]) -> list[list[SeenFace]]:
        """Return the faces that are found in the next frames, before anything is said of them.

        Raises:
            UsageError: an array isn't RGB uint8 [height, width, 3].
        """
        return [self._see(frame) for frame in frames]

    def _smoothed(self, now_s: float, faces: Faces) -> Faces:
        """Return the next frame's faces with what they look like over their last moments."""
        looks = [
            (one.face, one.probabilities, self._predictor.why_unseen(one.visibility))
            for one in faces
        ]
        smoothed = self._who.smooth(now_s, looks)
        if not smoothed:
            return faces
        shown = (replace(one, smoothed=mean) for one, mean in zip(faces, smoothed, strict=True))
        return replace(faces, faces=tuple(shown))

    def _see(self, frame: Frame) -> list[SeenFace]:
        pixels = frame.pixels
        faces: list[SeenFace] = []
        search = self._left == 0 or not self._predictor.can_follow
        if self._anew_every is not None and frame.number is not None:
            search = search or frame.number % self._anew_every == 0
        if not search:
            faces = self._predictor.see(pixels, self._known)
            search = self._lost(faces)
        if search:
            faces = self._predictor.see(pixels)
            self._left = self.search_every
        self._left -= 1
        self._known = [face.found for face in faces]
        return faces

    def _lost(self, faces: Sequence[SeenFace]) -> bool:
        """Return whether a known face isn't where it was."""
        boxes = np.array([face.found.box for face in faces], dtype=np.float64).reshape(-1, 2, 2)
        overlaps = [blazeface.overlap(one.box, boxes).max(initial=0) for one in self._known]
        return any(one < _SAME_OVERLAP for one in overlaps)
