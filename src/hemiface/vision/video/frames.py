"""Frames out of a video or camera, and H.264 video out of frames, one after another."""

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from heapq import heappop, heappush
from itertools import dropwhile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hemiface.errors import DamagedError, HemifaceError, UsageError
from hemiface.files import atomic_path
from hemiface.inputs import require_file
from hemiface.limits import limits, over
from hemiface.vision.seen import Frame
from hemiface.vision.video.tracking import STEP_S
from hemiface.vision.video.whole import is_cut_off

__all__ = [
    "VIDEO_SUFFIXES",
    "Since",
    "VideoWriter",
    "camera_number",
    "frame_count",
    "open_writer",
    "read_frames",
    "require_camera",
    "shown_at",
]

VIDEO_SUFFIXES = frozenset({
    ".mp4", ".mov", ".m4v", ".3gp", ".3g2", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".vob",
    ".ts", ".mts", ".m2ts", ".wmv", ".asf", ".flv", ".ogv",
})  # fmt: skip

_CAMERA = "camera:"
_MOST_ASPECT = 4
"""Of a pixel; what says more is damaged, and players don't believe it either."""
_TIME_BASE = Fraction(1, 90_000)
_NO_CAMERA = "Camera %d can't be opened (%s); is it plugged in, and free?"


def camera_number(source: str) -> int | None:
    """Return N of `camera:N`, None if `source` names no camera.

    Raises:
        UsageError: what follows `camera:` is no number.
    """
    if not source.startswith(_CAMERA):
        return None
    number = source.removeprefix(_CAMERA)
    if not number.isdecimal():
        raise UsageError(f"{source!r} names no camera; the first one is camera:0.")
    return int(number)


@dataclass(frozen=True)
class Since:
    """A frame of a video to begin at."""

    number: int
    pts: int
    """When it is shown, in units of the video."""


def read_frames(source: str | Path, since: Since | None = None) -> Iterator[Frame]:
    """Yield a video's frames one by one, with number and time; nothing else is kept.

    A text `camera:N` is a camera, a Path a file whatever its name. Frames are as players show them:
    upright, mirrored where the file says so, and of square pixels; what is a cover is none of them.
    Times are seconds since the video's beginning and never go back: where a file's do, as in
    recordings that were put end to end, they go on as before. With `since`, those from there on;
    what lies before it is decoded from the key frame before it.

    Raises:
        HemifaceError: there is no such camera.
        DamagedError: the file is missing, empty, no video, cut off or in an unknown codec, its
            frames have more pixels than Limits.frame_pixels, watching it takes longer than
            Limits.video_seconds, or a camera was unplugged; frames before that have been yielded.
    """
    import av

    name = str(source)
    number = camera_number(source) if isinstance(source, str) else None
    if number is None and not require_file(source, "Video").st_size:
        raise DamagedError(f"Video {source} is empty (0 bytes); get it again.")
    known = limits()
    end_s = time.monotonic() + known.video_seconds if number is None else math.inf
    shown = 0
    try:
        with _open(source, number) as container:
            stream = _film(container)
            if stream is None:
                raise DamagedError(f"{name} has no moving pictures in it, only sound or data.")
            if stream.codec_context is None:
                raise DamagedError(
                    f"Video {name} keeps its pictures in a way that no decoder here knows; "
                    "convert it to H.264."
                )
            stream.thread_type = "AUTO"
            size = stream.codec_context
            _require_pixels(name, size.width, size.height, known.frame_pixels)
            # For what grows between two frames.
            stream.codec_context.options = {"max_pixels": str(known.frame_pixels)}
            decoded = _decoded_avi if _is_avi(container) else _decoded
            read = decoded(container, stream)
            if since is not None:
                container.seek(since.pts, stream=stream)
                read = dropwhile(partial(_is_before, since.pts), read)
            clock = _Clock(container)
            rotation, matrix = None, None
            for index, (at, frame) in enumerate(read, since.number if since else 0):
                if time.monotonic() > end_s:
                    raise DamagedError(
                        f"Video {name} isn't watched to its end, {over('video_seconds')}."
                    )
                width, height = _shown_size(frame, stream.sample_aspect_ratio)
                _require_pixels(name, width, height, known.frame_pixels)
                pixels = frame.to_ndarray(format="rgb24", width=width, height=height)
                if (turned := frame.rotation) != rotation:
                    # Asked of each, what lies beside a frame would keep it in memory for long.
                    rotation, matrix = turned, _display_matrix(frame)
                told = None if at is None else at * stream.time_base
                yield Frame(_as_shown(pixels, matrix), name, index, clock.time_s(told))
                shown += 1
        if number is None and is_cut_off(source):
            raise DamagedError(f"Video {name} is cut off; get it again.")
    except av.error.FFmpegError as error:
        reason = error.strerror or str(error)
        if number is not None and shown:
            raise DamagedError(
                f"Camera {number} stopped after {shown:,} frames ({reason}); was it unplugged?"
            ) from error
        if number is not None:
            raise HemifaceError(_NO_CAMERA % (number, reason)) from error
        raise DamagedError(
            f"Video {source} can't be read to its end ({reason}); get it again or convert it."
        ) from error


def require_camera(source: str) -> None:
    """Raise HemifaceError if the camera `camera:N` can't be opened."""
    import av

    number = camera_number(source)
    try:
        _open(source, number).close()
    except av.error.FFmpegError as error:
        raise HemifaceError(_NO_CAMERA % (number, error.strerror or str(error))) from error


def frame_count(source: str | Path) -> int:
    """Return how many frames a video says that it has, as far as its start tells; 0 if it doesn't.

    So of cameras, and of what can't be read.
    """
    import av

    is_camera = isinstance(source, str) and camera_number(source) is not None
    # A pipe would be waited for.
    if is_camera or not Path(source).is_file():
        return 0
    try:
        with _open(source, None) as container:
            film = _film(container)
            if film is None or film.frames:
                return int(film.frames) if film is not None else 0
            lasts_s = Fraction(container.duration or 0, av.time_base)
            return round(lasts_s * (film.average_rate or film.guessed_rate or 0))
    except av.error.FFmpegError:
        return 0


def shown_at(source: str | Path) -> list[int]:
    """Return when each frame of a video is shown, in its own units and in order, undecoded.

    Empty if that isn't told for all of them, or of a file that can't be read to its end.
    """
    import av

    try:
        with _open(source, None) as container:
            stream = _film(container)
            is_avi = _is_avi(container)
            if stream is None or (is_avi and stream.codec_context.has_b_frames):
                return []
            packets = container.demux(stream)
            # What has no content tells the decoder that all has come.
            found = [one.dts if is_avi else one.pts for one in packets if one.size]
    except av.error.FFmpegError:
        return []
    if None in found or len(set(found)) < len(found) or is_cut_off(source):
        return []
    return sorted(found)


def _film(container: Any) -> Any:
    """Return the stream of moving pictures, None without one: a cover is a stream too."""
    return next((one for one in container.streams.video if not _is_cover(one)), None)


def _is_cover(stream: Any) -> bool:
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)


def _is_avi(container: Any) -> bool:
    """Return whether a file knows of its frames when they are decoded (`dts`) alone."""
    return bool(container.format.name == "avi")


_Decoded = Iterator[tuple[int | None, Any]]
"""When frames are shown, in units of the video, None where that isn't told, and the frames."""


def _decoded(container: Any, film: Any) -> _Decoded:
    return ((frame.pts, frame) for frame in container.decode(film))


def _decoded_avi(container: Any, film: Any) -> _Decoded:
    """Yield the frames of an AVI file.

    Where none is decoded before others, each is shown when it is decoded. Where some are, what
    FFmpeg takes for the times they are shown at begins later, by what the codec may need before a
    frame, and isn't always that of the same frame: of those in order the n-th frame has the n-th,
    counted from the first. One that can't be decoded makes all after it earlier, there alone.
    """
    codec = film.codec_context
    reorders = codec.has_b_frames
    first = None if reorders else 0
    waiting: list[int] = []
    for packet in container.demux(film):
        told = packet.pts if reorders else packet.dts
        if told is not None:
            heappush(waiting, told)
        for frame in packet.decode():
            # A file may have parts of which a later one is the first to reorder.
            while not codec.has_b_frames and waiting and waiting[0] < (frame.dts or 0):
                heappop(waiting)
            at = heappop(waiting) if waiting else frame.pts
            if first is None:
                first = at
            yield (None if at is None or first is None else at - first), frame


class _Clock:
    """Times of one video's frames, which must come in order."""

    def __init__(self, container: Any) -> None:
        starts = [
            one.start_time * one.time_base
            for one in container.streams
            if one.type in ("video", "audio") and one.start_time is not None and not _is_cover(one)
        ]
        self._start: Fraction | None = min(starts, default=None)
        """Of broadcasts any number of hours. What a file doesn't tell, its first frame does."""
        self._last: Fraction | None = None
        self._step = Fraction(STEP_S).limit_denominator()
        """Between the last two frames of which the later one was later."""
        self._more = Fraction(0)
        """By what all times are put off since they jumped back."""

    def time_s(self, told: Fraction | None) -> float | None:
        """Return the time in seconds of the next frame, of which the file tells this, or None."""
        if told is None:
            return None
        if self._start is None:
            self._start = told
        if self._last is not None and told < self._last:
            self._more += self._last + self._step - told
        elif self._last is not None and told > self._last:
            self._step = told - self._last
        self._last = told
        return float(told - self._start + self._more)


def _is_before(pts: int, read: tuple[int | None, Any]) -> bool:
    at, _ = read
    return at is None or at < pts


def _require_pixels(name: str, width: int, height: int, most: int) -> None:
    if width * height > most:
        raise DamagedError(f"Video {name} has {width} x {height} pixels, {over('frame_pixels')}.")


def _shown_size(frame: Any, pixel_aspect: Fraction | None) -> tuple[int, int]:
    """Return width and height of a frame whose pixels are made square by stretching it.

    Tapes, DVDs and broadcasts keep pixels that are shown wider or narrower than high.
    """
    width, height = int(frame.width), int(frame.height)
    if not pixel_aspect or not 1 / _MOST_ASPECT <= pixel_aspect <= _MOST_ASPECT:
        return width, height
    if pixel_aspect >= 1:
        return round(width * pixel_aspect), height
    return width, round(height / pixel_aspect)


def _display_matrix(frame: Any) -> npt.NDArray[np.int32] | None:
    """Return [2, 2]: where a frame's axes point when it is shown; None where the file is silent.

    ISO/IEC 14496-12, 8.3.2.3: a point (x, y) is shown at (x, y) times this.
    """
    for known in frame.side_data:
        if known.type.name == "DISPLAYMATRIX":
            return np.frombuffer(bytes(known), dtype=np.int32)[:9].reshape(3, 3)[:2, :2]
    return None


def _as_shown(
    pixels: npt.NDArray[np.uint8], matrix: npt.NDArray[np.int32] | None
) -> npt.NDArray[np.uint8]:
    """Return a picture turned by quarters and mirrored as its display matrix says."""
    if matrix is not None:
        sizes = np.abs(matrix.astype(np.int64))
        if sizes[0, 1] + sizes[1, 0] > sizes[0, 0] + sizes[1, 1]:
            # What were rows becomes columns.
            pixels, matrix = pixels.swapaxes(0, 1), matrix[::-1]
        if matrix[0, 0] < 0:
            pixels = pixels[:, ::-1]
        if matrix[1, 1] < 0:
            pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


_OWN_CONTENT = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,mp4,matroska,webm,avi,mpeg,mpegts,mpegvideo,h264,hevc,flv,asf,ogg,gif",
}
"""Containers that hold their pictures themselves: a playlist that is called .mp4 must not show what
lies elsewhere, in another file or on the network."""


def _as_file(path: str | Path) -> str:
    """Return a path as FFmpeg takes it for nothing else: `10:30.mp4` and `http:/` are names."""
    return f"file:{Path(path).absolute()}"


def _open(source: str | Path, number: int | None) -> Any:
    import av

    if number is None:
        # What a file says of itself may be in any encoding, and nothing here depends on it.
        return av.open(_as_file(source), options=_OWN_CONTENT, metadata_errors="replace")
    if sys.platform == "darwin":
        return av.open(str(number), format="avfoundation")
    if sys.platform == "win32":
        return av.open(f"video={number}", format="dshow")
    return av.open(f"/dev/video{number}", format="v4l2")


class VideoWriter:
    """An H.264 video that grows by a frame at a time; see `open_writer`."""

    def __init__(self, container: Any) -> None:
        self._container = container
        self._stream: Any = None
        self._last = -1

    def add(self, pixels: npt.NDArray[np.uint8], timestamp_s: float | None) -> None:
        """Append an RGB picture [height, width, 3], shown from `timestamp_s` on.

        The first one decides on the size, which is cut to even numbers as H.264 needs; later ones
        are fitted to it.
        """
        import av

        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=30)
            self._stream.width = max(pixels.shape[1] // 2 * 2, 2)
            self._stream.height = max(pixels.shape[0] // 2 * 2, 2)
            self._stream.pix_fmt = "yuv420p"
            self._stream.codec_context.time_base = _TIME_BASE
            self._stream.options = {"preset": "veryfast", "crf": "21"}
        size = (self._stream.height, self._stream.width)
        if pixels.shape[0] - size[0] in (0, 1) and pixels.shape[1] - size[1] in (0, 1):
            pixels = pixels[: size[0], : size[1]]
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame = frame.reformat(size[1], size[0], "yuv420p")
        at = self._last + 3000 if timestamp_s is None else round(timestamp_s / _TIME_BASE)
        # Players want time to go on, whatever a damaged file says.
        self._last = max(at, self._last + 1)
        frame.pts, frame.time_base = self._last, _TIME_BASE
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what the encoder still holds."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))


@contextmanager
def open_writer(path: Path) -> Iterator[VideoWriter]:
    """Yield a writer of an .mp4 file that gets its name when it is whole; sound isn't kept.

    Raises:
        HemifaceError: the file can't be written.
    """
    import av

    with atomic_path(path) as partial:
        try:
            with av.open(_as_file(partial), "w", format="mp4") as container:
                writer = VideoWriter(container)
                yield writer
                writer.finish()
        except av.error.FFmpegError as error:
            raise HemifaceError(
                f"{path} can't be written as H.264 video ({error.strerror or error})."
            ) from error
