"""From pictures to predictions: detect, align, say what is visible, ask the network."""

import copy
import hashlib
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, Self, overload

import numpy as np
import numpy.typing as npt

from hemiface.errors import DamagedError, HemifaceError, UsageError
from hemiface.files import printable, sha256_file
from hemiface.models.class_mix import KEY, Mix, MixChoice, reweigh, trained_shares
from hemiface.models.onnx_file import OnnxModel
from hemiface.models.temperatures import VIEWS, ModelCalibration, View, scale
from hemiface.models.visible_tiles import KIND, VisibleTiles
from hemiface.occlusion.conditions import (
    QUADRANTS,
    Condition,
    condition,
    hidden_mask,
    hide,
    image_seeds,
)
from hemiface.vision.covered_halves import covered_part, learnt_conditions
from hemiface.vision.faces import FacePrediction, Faces
from hemiface.vision.finding import assets
from hemiface.vision.finding.alignment import align, whole_picture
from hemiface.vision.finding.centerface import CenterFaceDetector
from hemiface.vision.finding.detector import (
    Detector,
    FollowingDetector,
    FoundFace,
    MediaPipeDetector,
)
from hemiface.vision.finding.photo_detector import LEAST_SCORE, PhotoDetector
from hemiface.vision.given import Given, Picture, each, is_folder, is_picture, look_up
from hemiface.vision.photos import Photo, read_photo
from hemiface.vision.seen import Frame, SeenFace, require_frames
from hemiface.vision.video.frames import read_frames
from hemiface.vision.video.watching import SEARCH_EVERY, Watch
from hemiface.vision.visible_regions import VisibleRegions, visible_regions

__all__ = ["LEAST_VISIBLE", "PICTURES_AT_ONCE", "SEARCHES", "Predictor", "PredictorOptions"]

LEAST_VISIBLE = 0.25
"""Of less of a face than this no label is given: a quarter is the least that the networks were
measured on (`only-upper-left` and its like)."""

SEARCHES = ("auto", "both", "mediapipe")
"""What may search for faces: CenterFace and MediaPipe's networks together, or the latter alone,
which can follow faces in videos and miss more masked and small ones. `auto` is both for photos,
MediaPipe's for videos."""

Pixels = npt.NDArray[np.uint8]
PICTURES_AT_ONCE = 32
"""Pictures whose faces the network sees in one batch."""
_ASKED = frozenset({"hide", "abstain_below", "flip", "mix"})
"""The options that say how faces are looked at, not with what."""


@dataclass(frozen=True, kw_only=True)
class PredictorOptions:
    """How a Predictor looks at pictures."""

    model: str | Path | None = None
    """A file that `hemiface export` wrote or the name of a shipped model; None takes those that
    `hemiface models list` calls default: one for pictures, in videos one that is faster."""
    label_as: str | None = None
    """In place of `model`: take the shipped model that gives these labels, `people` (what most of
    FER+'s voters see) or `fer2013` (the labels that came with FER2013)."""
    no_detect: bool = False
    """Take each picture's central square for one upright face crop."""
    min_face_px: int | None = None
    """The smallest face that MediaPipe's networks look for; None is a 40th of the picture's longer
    side."""
    detect_by: str = "auto"
    """One of SEARCHES. A video that is searched by both has no face followed: each of its frames
    is searched."""
    hide: str | None = None
    """The condition under which everybody is seen, such as `lower` for masks: that part is hidden
    from the network, filled as in its training. Noise is seeded by the face's aligned crop."""
    abstain_below: float | None = None
    """Give no label below this confidence; None is what the model's calibration says, 0 without
    one."""
    flip: bool = False
    """Average with the mirrored view."""
    most_pixels: int | None = None
    """What a picture may unpack to; None is Limits.pixels."""
    estimate: bool = True
    """Let the shipped network for visibility say what lies over each face, unless `hide` declares
    it; a half that is covered is hidden from a model that learnt to do without it."""
    mix: MixChoice = "trained"
    """How often the pictures show each emotion: `trained` (as in the network's training),
    `balanced` (all alike), `natural` (as in press photographs), a file, or emotion -> share; see
    `hemiface.models.class_mix`."""


@dataclass(frozen=True, eq=False)
class _Reader:
    """A network for emotions, with what is known of it."""

    model: OnnxModel
    sha256: str
    calibrated: ModelCalibration | None
    learnt: frozenset[str]
    """The conditions that it learnt to do without what is hidden under (`covered_halves`)."""

    @classmethod
    def open(cls, path: Path) -> Self:
        model, sha256 = OnnxModel.load(path), sha256_file(path)
        known = ModelCalibration.beside(path, sha256)
        return cls(model, sha256, known, learnt_conditions(model.header))


class _Readers:
    """The networks for pictures and for videos, the latter opened where there is one."""

    def __init__(self, options: PredictorOptions) -> None:
        self._options = options
        self.pictures = _Reader.open(_model_path(options.model, options.label_as))
        self._lock = Lock()
        self._opened: _Reader | None = None

    @cached_property
    def path_in_videos(self) -> Path:
        """The file of the network for videos, which isn't opened for it."""
        if self._options.model is not None:
            return self.pictures.model.path
        return _model_path(None, self._options.label_as, in_videos=True)

    @cached_property
    def sha256_in_videos(self) -> str:
        """SHA-256 of that file."""
        return self.pictures.sha256 if self._is_one else sha256_file(self.path_in_videos)

    @cached_property
    def calibrated_in_videos(self) -> ModelCalibration | None:
        """What is known of that network's confidence."""
        if self._is_one:
            return self.pictures.calibrated
        return ModelCalibration.beside(self.path_in_videos, self.sha256_in_videos)

    @property
    def _is_one(self) -> bool:
        return self.path_in_videos == self.pictures.model.path

    def in_videos(self) -> _Reader:
        """Return the network for videos; any number of threads may ask."""
        if self._is_one:
            return self.pictures
        with self._lock:
            if self._opened is None:
                self._opened = _Reader.open(self.path_in_videos)
            return self._opened


class _SeenPicture(NamedTuple):
    """A picture whose faces have been seen, and of which none of its pixels are kept."""

    name: str
    seen: list[SeenFace]
    known: dict[str, Any]
    """What its Faces tell beside the faces."""


class Predictor:
    """Says for every face of a picture what emotion it looks like, or why it doesn't say.

    One object serves any number of threads at once. Frames of one video belong together: see
    `hemiface.vision.video.watching`.

    `detector` is anything that fits the Detector protocol (default: what `detect_by` says, see
    `vision.finding.photo_detector`); it excludes `no_detect` and `detect_by`. The other arguments
    are the fields of PredictorOptions, which says what each means. No label is given where less
    than LEAST_VISIBLE of a face can be seen, whatever `abstain_below` says.

    Where a calibration lies beside the model's file, as for those shipped, probabilities are at the
    temperature for what is visible of each face; see `hemiface.models.temperatures`. A declared
    mix is applied after the temperature; label, confidence and abstention are what comes of it.

    Another process takes it as its options and opens the networks anew; a detector of one's own
    goes along as it is pickled.

    Raises:
        UsageError: an option is out of range, there is no such model, condition or mix, no model
            gives the labels, a model and labels are named together, or a mix is declared and nobody
            knows the one that the model was trained on.
        HemifaceError: no model is shipped and none is named, or the detector was never pulled.
        DamagedError: a network's file is damaged, or its calibration is another file's.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        detector: Detector | None = None,
        label_as: str | None = None,
        no_detect: bool = False,
        min_face_px: int | None = None,
        detect_by: str = "auto",
        hide: str | None = None,
        abstain_below: float | None = None,
        flip: bool = False,
        most_pixels: int | None = None,
        estimate: bool = True,
        mix: MixChoice = "trained",
    ) -> None:
        # One list for type checkers and editors; everything behind it takes the object.
        options = PredictorOptions(
            model=model, label_as=label_as, no_detect=no_detect, min_face_px=min_face_px,
            detect_by=detect_by, hide=hide, abstain_below=abstain_below, flip=flip,
            most_pixels=most_pixels, estimate=estimate, mix=mix,
        )  # fmt: skip
        _check(options, detector)
        self._readers = _Readers(options)
        self._own_detector, self._looks_at_videos = detector, False
        self._detector = self._in_videos = detector
        if detector is None and not options.no_detect:
            self._detector, self._in_videos = _detectors(options)
        self._estimator = _shipped_tiles() if options.estimate else None
        self._ask(options, self._readers.pictures)

    def _ask(self, options: PredictorOptions, reader: _Reader) -> None:
        """Take a network, and the options for which none is opened."""
        # JSON knows no truth of NumPy.
        options = replace(options, flip=bool(options.flip))
        self._options, self._reader = options, reader
        self.model, self.model_sha256 = reader.model, reader.sha256
        """What reads a picture's faces; of a video's, see `for_videos`."""
        self._learnt = reader.learnt
        self._hidden = condition(options.hide) if options.hide else None
        self._tiles = self._estimator if self._hidden is None else None
        self.mix = Mix.of(options.mix)
        """What was declared."""
        known = reader.calibrated
        self.calibration = _view(known, options)
        """What is known of this model's confidence with this `flip`, None if nothing is."""
        beside = known.class_mix if known else None
        self._trained = (
            None
            if self.mix.shares is None
            else trained_shares(self.model.header.get(KEY, beside), self.model.path)
        )
        default = self.calibration.abstain_below if self.calibration else 0.0
        asked = options.abstain_below
        self.abstain_below: float = default if asked is None else asked

    @classmethod
    def of(cls, options: PredictorOptions, detector: Detector | None = None) -> Self:
        """Return a Predictor with these options; errors as the class."""
        return cls(detector=detector, **vars(options))

    def __reduce__(self) -> tuple[Any, ...]:
        # Open networks are no content that could be handed over.
        known = self._options, self._own_detector, self._looks_at_videos
        return _made_anew, (type(self), *known)

    def __copy__(self) -> Self:
        # Any number of objects share networks; __reduce__ would open them again.
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def but(self, **changes: Any) -> Self:
        """Return this object with another hide, abstain_below, flip or mix, on the same networks.

        That costs next to nothing, and both may be used at once.

        Raises:
            UsageError: as the class, or another option is named.
        """
        others = sorted(set(changes) - _ASKED)
        if others:
            raise UsageError(
                f"{others[0]} can't be changed in a Predictor (only {', '.join(sorted(_ASKED))} "
                "can); make a new one."
            )
        options = replace(self._options, **changes)
        _check_asked(options)
        other = copy.copy(self)
        other._ask(options, self._reader)
        return other

    @property
    def hidden(self) -> str:
        """The key of the declared condition, empty if nothing was declared."""
        return self._hidden.key if self._hidden else ""

    @property
    def model_in_videos(self) -> str:
        """The name of what reads the faces of videos, the stem of its file."""
        return self._readers.path_in_videos.stem

    def for_videos(self) -> Self:
        """Return this object as it looks at a video's frames, with what is fast there.

        That is its detector and, where no model was named, the default network for videos (of the
        labels, if these were).
        """
        other = copy.copy(self)
        other._detector, other._looks_at_videos = self._in_videos, True
        other._ask(self._options, self._readers.in_videos())
        return other

    @property
    def can_follow(self) -> bool:
        """Whether the detector is faster where it knows the faces of the frame before."""
        return isinstance(self._detector, FollowingDetector)

    @property
    def threshold_note(self) -> str:
        """What the reader of labels must know of `abstain_below`, empty if nothing."""
        if not self._is_threshold_of_another_mix:
            return ""
        return (
            f"The threshold {self.abstain_below:.2f} was chosen for the mix of the training: with "
            f"mix {self.mix.name} the share of wrong labels that is stated for it doesn't hold."
        )

    @property
    def _is_threshold_of_another_mix(self) -> bool:
        fitted = self._options.abstain_below is None and self.abstain_below > 0
        return fitted and self.mix.shares is not None

    def settings(self) -> dict[str, object]:
        """Return what a result depends on besides the picture."""
        moving = _view(self._readers.calibrated_in_videos, self._options)
        return {
            "model_sha256": self.model_sha256,
            "model_sha256_in_videos": self._readers.sha256_in_videos,
            "detector": type(self._detector).__name__,
            "detector_in_videos": type(self._in_videos).__name__,
            "min_face_px": self._options.min_face_px,
            "hide": self.hidden,
            "abstain_below": self.abstain_below,
            # What pictures' own threshold comes to may be asked for by number, and videos have
            # another one.
            "abstain_below_asked": self._options.abstain_below,
            "abstain_below_in_videos": moving.abstain_below if moving else None,
            "temperatures": dict(self.calibration.temperatures) if self.calibration else None,
            "temperatures_in_videos": dict(moving.temperatures) if moving else None,
            "flip": self._options.flip,
            "most_pixels": self._options.most_pixels,
            "estimator_sha256": sha256_file(self._tiles.path) if self._tiles else "",
            "mix": self.mix.name,
            "mix_from_to": [
                None if one is None else one.tolist() for one in (self._trained, self.mix.shares)
            ],
        }

    @overload
    def predict(  # type: ignore[overload-overlap]
        self, source: Picture, *, bgr: bool = False, skip_bad: bool = False
    ) -> Faces: ...
    @overload
    def predict(
        self, source: Iterable[Picture], *, bgr: bool = False, skip_bad: bool = False
    ) -> list[Faces]: ...
    def predict(
        self, source: Picture | Iterable[Picture], *, bgr: bool = False, skip_bad: bool = False
    ) -> Faces | list[Faces]:
        """Return the faces of a picture, or of each of several.

        A picture is a path, a picture file's content as bytes, an open binary file, a uint8 array
        that is RGB [height, width, 3] or grey [height, width], a picture of Pillow, or a tensor of
        torch [3 or 1, height, width], uint8 or floating point in 0..1. Arrays of OpenCV are BGR:
        say `bgr=True`, for nothing in them tells, and the answers are others.

        A list, a generator or any other iterable gives a list, one Faces a picture in their order,
        and the network sees many of them in one batch. Folders among them stand for their pictures
        at any depth in the order of their names; videos there are left to `watch`. A folder alone
        gives a list too, which type checkers don't know: for them say `predict([folder])`. Pictures
        without a name are called by their place, as in `#3`. With `skip_bad` one that can't be
        read, or a folder in another that can't be looked into, gives no faces and says why in
        `Faces.problem`; without, it raises.

        Raises:
            DamagedError: a file can't be read; see `hemiface.vision.photos`.
            UsageError: it is no picture, an array or tensor of another type or shape, an address on
                a network, or a folder without pictures.
        """
        if is_folder(source):
            source = [source]
        if not is_picture(source):
            return list(self.stream(source, bgr=bgr, skip_bad=skip_bad))  # type: ignore[arg-type]
        one = look_up(source, bgr=bgr, most_pixels=self._options.most_pixels)
        return self._say_all([self._see_picture(one, skip_bad)])[0]

    def stream(
        self,
        sources: Iterable[Picture],
        *,
        bgr: bool = False,
        skip_bad: bool = False,
        batch_size: int = PICTURES_AT_ONCE,
    ) -> Iterator[Faces]:
        """Yield what `predict` returns for several pictures, `batch_size` of them at a time.

        So many are asked of `sources` before the first is told. Where pictures come slowly, as from
        a queue, `batch_size=1` tells each as soon as it is there; more at a time are faster.

        Raises:
            DamagedError, UsageError: as `predict`; what came before is yielded.
            UsageError: `batch_size` is not positive.
        """
        if batch_size < 1:
            raise UsageError(f"batch_size must be at least 1, got {batch_size}.")
        some = each(sources, bgr=bgr, most_pixels=self._options.most_pixels)
        return self._streamed(some, skip_bad, batch_size)

    def _streamed(
        self, sources: Iterator[Given], skip_bad: bool, batch_size: int
    ) -> Iterator[Faces]:
        while True:
            batch: list[_SeenPicture] = []
            try:
                # What came before an error is kept.
                for one in islice(sources, batch_size):
                    batch.append(self._see_picture(one, skip_bad))  # noqa: PERF401
            except Exception:
                yield from self._say_all(batch)
                raise
            if not batch:
                return
            yield from self._say_all(batch)

    def _see_picture(self, one: Given, skip_bad: bool) -> _SeenPicture:
        """Return the faces of a picture before anything is said of them; errors as `predict`."""
        try:
            photo = one.open()
        except DamagedError as error:
            if not skip_bad:
                raise
            return _SeenPicture(one.name, [], {"problem": printable(str(error))})
        # Crops are all that is needed now; whole pictures together would fill the memory.
        return _SeenPicture(
            one.name, self.see(photo.pixels), {"note": photo.note, "opened": one.open}
        )

    def _say_all(self, batch: Sequence[_SeenPicture]) -> list[Faces]:
        """Return the faces of some pictures, of which the network sees all in one batch."""
        frames = [Frame.without_pixels(one.name) for one in batch]
        found = self.say(frames, [one.seen for one in batch])
        return [replace(faces, **one.known) for faces, one in zip(found, batch, strict=True)]

    def watch(
        self,
        source: str | os.PathLike[str],
        *,
        search_every: int = SEARCH_EVERY,
        smooth_s: float | None = None,
    ) -> Iterator[Faces]:
        """Yield the faces of each frame of a video's file or of the text `camera:N`, as they come.

        `face` is the number that each face keeps; `search_every` and `smooth_s` are those of
        `hemiface.vision.video.watching.Watch`. Each holds its whole frame for as long as it is
        kept: an hour of film in a list is hundreds of gigabytes. Keep its `rows()`, or its faces.

        Raises:
            DamagedError: the file is no video, or is damaged; what came before is yielded.
            HemifaceError: there is no such camera.
            UsageError: `search_every` or `smooth_s` is not positive, or `source` is neither path
                nor text, or an empty one.
        """
        watch = Watch(self, search_every, smooth_s)
        return self._watched(watch, _video(source))

    def _watched(self, watch: Watch, source: str | Path) -> Iterator[Faces]:
        for frame in read_frames(source):
            yield from watch.predict_frames([frame])

    def read(self, source: str | Path) -> Photo:
        """Read a picture's file under this object's limit of pixels; errors as `predict`."""
        return read_photo(source, self._options.most_pixels)

    def predict_frames(self, frames: Iterable[Frame]) -> list[Faces]:
        """Return the faces of each frame; the network sees all of them in one batch.

        Raises:
            UsageError: an array isn't RGB uint8 [height, width, 3], or is in no Frame.
        """
        known = require_frames(frames)
        return self.say(known, [self.see(frame.pixels) for frame in known])

    def see(self, pixels: Pixels, known: Sequence[FoundFace] | None = None) -> list[SeenFace]:
        """Find, align and look at the faces of one picture, largest first; no emotions yet.

        With `known`, small faces are only looked for near these (of the frame before), if the
        detector can do that.

        Raises:
            UsageError: the array isn't RGB uint8 [height, width, 3].
        """
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
            raise UsageError(
                f"A picture must be RGB uint8 [height, width, 3], got {pixels.dtype} "
                f"{list(pixels.shape)}."
            )
        if self._detector is None:
            aligned = whole_picture(pixels)
            side = min(pixels.shape[:2])
            corner = np.array([pixels.shape[1] - side, pixels.shape[0] - side]) // 2
            box = np.stack([corner, corner + side]).astype(np.float64)
            looks = visible_regions(aligned.inside, None, self._hidden)
            return [SeenFace(FoundFace(box, math.nan), aligned, looks)]
        if known is not None and isinstance(self._detector, FollowingDetector):
            found = self._detector.follow(pixels, known)
        else:
            found = self._detector.detect(pixels)
        return [self._look(pixels, one) for one in found]

    def say(
        self,
        frames: Sequence[Frame],
        seen: Sequence[Sequence[SeenFace]],
        numbers: Sequence[Sequence[int]] | None = None,
    ) -> list[Faces]:
        """Return what the faces of each frame that `see` found look like.

        `numbers` are the faces' numbers, by default their order within the frame.
        """
        numbers = [range(len(faces)) for faces in seen] if numbers is None else numbers
        seen = self._estimated(seen)
        flat = [
            (frame, number, one)
            for frame, own, faces in zip(frames, numbers, seen, strict=True)
            for number, one in zip(own, faces, strict=True)
        ]
        parts = [covered_part(one.visibility, self._learnt) for _, _, one in flat]
        values = self._probabilities([one.aligned.pixels for _, _, one in flat], parts)
        temperatures = [
            self._temperature(one.visibility, part)
            for (_, _, one), part in zip(flat, parts, strict=True)
        ]
        if self.calibration is not None and flat:
            values = scale(values, temperatures)
        if self.mix.shares is not None and self._trained is not None and flat:
            values = reweigh(values, self._trained, self.mix.shares)
        each = iter(zip(values, temperatures, parts, strict=True))
        results = []
        for frame, own, faces in zip(frames, numbers, seen, strict=True):
            rows = [
                self._row(frame, number, one, *next(each))
                for number, one in zip(own, faces, strict=True)
            ]
            at_hand = partial(Photo, frame.pixels) if frame.pixels.size else None
            results.append(Faces(frame.source, tuple(rows), opened=at_hand))
        return results

    def _look(self, pixels: Pixels, found: FoundFace) -> SeenFace:
        if found.five is None:
            raise UsageError("This detector marks no eyes, nose and mouth: can't align.")
        aligned = align(pixels, found.five)
        marks = None if found.landmarks is None else aligned.place(found.landmarks)
        return SeenFace(found, aligned, visible_regions(aligned.inside, marks, self._hidden), marks)

    def _temperature(self, looks: VisibleRegions, part: Condition | None) -> float:
        """Return the temperature for what the network sees, NaN where none was fitted."""
        if self.calibration is None:
            return math.nan
        hidden = part.hidden if part else frozenset[str]()
        seen = zip(QUADRANTS, looks.quadrants, strict=True)
        return self.calibration.temperature([0 if one in hidden else share for one, share in seen])

    def _estimated(self, seen: Sequence[Sequence[SeenFace]]) -> Sequence[Sequence[SeenFace]]:
        """Return the faces with what the network for visibility says, all in one batch."""
        crops = [one.aligned.pixels for faces in seen for one in faces]
        if self._tiles is None or not crops:
            return seen
        tiles = iter(self._tiles.predict(np.stack(crops)))
        return [
            [
                replace(
                    one,
                    visibility=visible_regions(one.aligned.inside, one.marks, tiles=next(tiles)),
                )
                for one in faces
            ]
            for faces in seen
        ]

    def _probabilities(
        self, crops: Sequence[Pixels], parts: Sequence[Condition | None]
    ) -> npt.NDArray[np.float64]:
        """Return float64 [n, 7]; of each face its part is hidden, which a thing covers."""
        if not crops:
            return np.zeros((0, 7))
        faces = np.stack(crops)
        if self._hidden is not None:
            # By what is seen, so that a picture under another name or in an array looks the same.
            seen = (hashlib.sha256(one.tobytes()).hexdigest() for one in faces)
            faces = hide(faces, self._hidden, image_seeds(seen))
        for face, part in zip(faces, parts, strict=True):
            if part is not None:
                face[:] = hide(face[None], part)[0]
        values = self.model.predict(faces).astype(np.float64)
        if self._options.flip:
            values = (values + self.model.predict(faces[:, :, ::-1])) / 2
        return values

    def _row(
        self,
        frame: Frame,
        number: int,
        seen: SeenFace,
        values: npt.NDArray[np.float64],
        temperature: float,
        part: Condition | None,
    ) -> FacePrediction:
        (left, top), (right, bottom) = seen.found.box.tolist()
        five, turn = seen.found.five, seen.found.turn
        return FacePrediction(
            source=frame.source,
            frame=frame.number,
            timestamp_s=frame.timestamp_s,
            face=number,
            box_px=(left, top, right - left, bottom - top),
            roll_deg=seen.aligned.roll_deg,
            yaw_deg=turn.yaw_deg if turn else math.nan,
            pitch_deg=turn.pitch_deg if turn else math.nan,
            five_px=() if five is None else tuple((x, y) for x, y in five.tolist()),
            detection_score=seen.found.score,
            presence_score=seen.found.presence,
            in_picture=float(seen.aligned.inside.mean()),
            hidden=self.hidden,
            hidden_by_estimate=part.key if part else "",
            visibility=seen.visibility,
            probabilities=tuple(values.tolist()),
            temperature=temperature,
            mix=self.mix.name,
            reason=self.why_unseen(seen.visibility) or self.why_unsure(float(values.max())),
            model=self.model.path.stem,
            model_sha256=self.model_sha256,
            landmarks=seen.found.landmarks,
        )

    def why_unseen(self, looks: VisibleRegions) -> str:
        """Return why too little of a face is seen for a label, empty if enough is."""
        if looks.most < LEAST_VISIBLE:
            where = "can be seen" if self._hidden else "lies in the picture"
            return f"at most {100 * looks.most:.0f} % of the face {where}"
        if looks.estimate is not None and looks.estimate < LEAST_VISIBLE:
            free = f"by estimate only {100 * looks.estimate / looks.most:.0f} % of"
            if looks.most == 1:
                return f"{free} the face is uncovered"
            cut = f"{100 * looks.most:.0f} % of the face lies in the picture"
            return f"{cut}, and {free} that is uncovered"
        return ""

    def why_unsure(self, confidence: float) -> str:
        """Return why a confidence is too low for a label, empty if it isn't."""
        if confidence < self.abstain_below:
            whose = ", chosen for the trained mix" if self._is_threshold_of_another_mix else ""
            # Two digits are enough unless they are the same.
            digits = 2 if f"{confidence:.2f}" != f"{self.abstain_below:.2f}" else 4
            below = f"{confidence:.{digits}f} is below {self.abstain_below:.{digits}f}"
            return f"confidence {below}{whose}"
        return ""


def _made_anew(
    kind: type[Predictor],
    options: PredictorOptions,
    detector: Detector | None,
    looks_at_videos: bool,
) -> Predictor:
    """Return what was pickled; the errors are those of the class."""
    made = kind.of(options, detector)
    return made.for_videos() if looks_at_videos else made


def _video(source: Any) -> str | Path:
    """Return what is to be watched as `read_frames` takes it, or raise UsageError."""
    if not isinstance(source, str | os.PathLike):
        raise UsageError(
            f"Type {type(source).__name__} is no video; give a path, or a camera as a text: the "
            "first one is 'camera:0'."
        )
    if not os.fspath(source):
        raise UsageError("The video's name is empty; name a file or camera.")
    return source if isinstance(source, str) else Path(source)


def _view(known: ModelCalibration | None, options: PredictorOptions) -> View | None:
    """Return what is known of a network's confidence with this `flip`, None if nothing is."""
    return known.views.get(VIEWS[options.flip]) if known else None


def _check_asked(options: PredictorOptions) -> None:
    """Raise UsageError for a condition, a mix or a threshold that there isn't."""
    if options.hide is not None and not isinstance(options.hide, str):
        raise UsageError(
            f"hide={options.hide!r} is no name of a condition; give one, such as 'lower'."
        )
    if not isinstance(options.flip, bool | np.bool_):
        raise UsageError(f"flip is True or False, got {options.flip!r}.")
    if options.hide:
        # Raises for what hides other pixels in each image: nobody's face is hidden so.
        hidden_mask(condition(options.hide, offer_random=False), 1, 1)
    Mix.of(options.mix)
    below = options.abstain_below
    if below is not None and not 0 <= below <= 1:
        raise UsageError(f"abstain_below must lie in 0..1, got {below}.")


def _check(options: PredictorOptions, detector: Detector | None) -> None:
    """Raise UsageError for options out of range or without a meaning together."""
    _check_asked(options)
    if options.detect_by not in SEARCHES:
        raise UsageError(
            f"Search {options.detect_by!r} is unknown; choose from {', '.join(SEARCHES)}."
        )
    if options.detect_by != "auto" and (options.no_detect or detector is not None):
        raise UsageError("What searches for faces (--detect-by) isn't asked here; leave it out.")
    if options.no_detect and detector is not None:
        raise UsageError("no_detect and a detector exclude each other; give one of them.")
    if options.min_face_px is not None and (options.no_detect or detector is not None):
        raise UsageError(
            "The size of faces (--min-face) is for MediaPipe's networks, which aren't asked "
            "here; leave it out."
        )


def _detectors(options: PredictorOptions) -> tuple[Detector, Detector]:
    """Return what searches photos, and what videos' frames."""
    networks = assets.path_of("detection"), assets.path_of("landmarks")
    fast = MediaPipeDetector(*networks, min_face_px=options.min_face_px)
    if options.detect_by == "mediapipe":
        return fast, fast
    small = options.min_face_px is not None
    centerface = CenterFaceDetector(assets.path_of("centerface"), least_score=LEAST_SCORE)
    thorough = PhotoDetector(fast, centerface, tiles=small)
    return thorough, thorough if options.detect_by == "both" else fast


def _model_path(model: str | Path | None, label_as: str | None, *, in_videos: bool = False) -> Path:
    """Return the file of a named model, of the one that gives named labels, or of the default."""
    from hemiface.models import shipped

    if model is not None and label_as is not None:
        raise UsageError(
            f"A model gives the labels that it learnt: leave out {str(model)!r} or the labels "
            f"{label_as!r}."
        )
    if label_as is not None:
        return shipped.path_of(shipped.model_for(label_as, in_videos=in_videos))
    if model is not None and (Path(model).suffix == ".onnx" or Path(model).is_file()):
        return Path(model)
    if model is not None:
        return shipped.path_of(str(model))
    name = shipped.default_model(in_videos=in_videos)
    if name is None:
        raise HemifaceError(
            "No model is shipped with this version; name one that hemiface export wrote with "
            "--model PATH."
        )
    return shipped.path_of(name)


def _shipped_tiles() -> VisibleTiles | None:
    """Return the shipped network for visibility, None where none comes along."""
    from hemiface.models import shipped

    known = [one for one in shipped.list_models() if one.kind == KIND]
    return VisibleTiles.load(shipped.path_of(known[0].name)) if known else None
