"""Long videos shared by machines: stretches of frames, and one video's rows out of them.

What is found in a frame depends on the frames before it in two ways. Known faces are followed
between full searches (`vision.video.watching`); and a face keeps its number, and its smoothed
probabilities. The first ends where a frame is searched anew, whatever was before: that is where a
video is cut (`RunOptions.cut_every`, in every run alike). The second is cheap and has to be done in
order: a stretch keeps, beside its rows, the boxes and probabilities that aren't rounded and the
times of all frames, and whoever puts the stretches together gives the numbers.

A stretch begins to decode at the key frame before it. Whether its first frame is the one that it is
taken for is proven, not trusted: the stretch before it decodes that frame, too, as the next after
its own, and both note its hash. Where they differ, or anything can't be read, the video is watched
by one process from its beginning, as where it isn't cut.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice, pairwise
from typing import Any

import numpy as np

from hemiface.vision.faces import COLUMNS
from hemiface.vision.predictor import Predictor
from hemiface.vision.run import RunOptions, some_frames
from hemiface.vision.seen import Frame
from hemiface.vision.sources import Source
from hemiface.vision.video.frames import Since, read_frames, shown_at
from hemiface.vision.video.watching import Identities, Watch

__all__ = ["EXACT", "Stretch", "Watched", "fit", "numbered", "plan", "watch"]

EXACT = "exact"
"""The column of what isn't rounded of a face, as JSON: box, probabilities, why it isn't seen."""


@dataclass(frozen=True)
class Stretch:
    """Frames `start` to `stop` - 1 of a video."""

    start: int
    stop: int | None
    """None of the last one, which ends with the video."""
    pts: int
    """When frame `start` is shown, in the video's own units."""


@dataclass(frozen=True)
class Watched:
    """What came of a stretch."""

    rows: list[dict[str, Any]]
    """Those of the schema, numbered within each frame, and EXACT."""
    known: dict[str, Any]
    """faces, frames, error, `times` of the frames in seconds, and hashes of the `first` one and of
    the `next` one after the last, empty without."""


def plan(source: Source, options: RunOptions) -> list[Stretch]:
    """Return the stretches of a video, none where it is too short or doesn't tell its times."""
    every = options.cut_every
    if every is None or source.kind != "video" or source.is_remote:
        return []
    shown = shown_at(source.path)[: options.most_frames]
    starts = range(0, len(shown), every)
    if len(starts) < 2:
        return []
    stops = [*starts[1:], None]
    return [Stretch(start, stop, shown[start]) for start, stop in zip(starts, stops, strict=True)]


def watch(source: Source, stretch: Stretch, predictor: Predictor, options: RunOptions) -> Watched:
    """Look at the frames of a stretch, which the next one's first frame follows."""
    looking, watching = (
        predictor.for_videos(),
        Watch(predictor, options.search_every, anew_every=options.cut_every),
    )
    since = Since(stretch.start, stretch.pts) if stretch.start else None
    read = (replace(one, source=source.name) for one in read_frames(source.film, since))
    most = _most(stretch, options)
    stream = islice(read, None if most is None else most + (stretch.stop is not None))
    rows: list[dict[str, Any]] = []
    times: list[float | None] = []
    first, error, ended = "", "", False
    while not ended and len(times) != most:
        part, error, ended = some_frames(stream, source.kind, options.cut_every)
        first = first or (_hash(part[0]) if part else "")
        times += [one.timestamp_s for one in part]
        rows += _rows(part, watching, looking)
    after = [] if ended else some_frames(islice(stream, 1), source.kind)[0]
    known = {
        "faces": len(rows), "frames": len(times), "error": error, "times": times,
        "first": first, "next": _hash(after[0]) if after else "",
    }  # fmt: skip
    return Watched(rows, known)


def _most(stretch: Stretch, options: RunOptions) -> int | None:
    stop = options.most_frames if stretch.stop is None else stretch.stop
    return None if stop is None else stop - stretch.start


def _rows(part: Sequence[Frame], watching: Watch, looking: Predictor) -> list[dict[str, Any]]:
    rows = []
    seen = watching.see(part)
    for found, faces in zip(seen, looking.say(part, seen), strict=True):
        for one, face in zip(found, faces, strict=True):
            unseen = looking.why_unseen(face.visibility)
            exact = [one.found.box.tolist(), list(face.probabilities), unseen]
            rows.append({**face.row(), EXACT: json.dumps(exact)})
    return rows


def _hash(frame: Frame) -> str:
    known = json.dumps([frame.timestamp_s, *frame.pixels.shape]).encode()
    return hashlib.sha256(known + frame.pixels.tobytes()).hexdigest()


def fit(stretches: Sequence[dict[str, Any]]) -> bool:
    """Return whether what is known of a video's stretches, in order, is known of all of it."""
    if not stretches or stretches[0]["stretch"][0] != 0 or stretches[-1]["stretch"][1] is not None:
        return False
    follow = (
        before["stretch"][1] == after["stretch"][0]
        and before["frames"] == before["stretch"][1] - before["stretch"][0]
        and before["next"] == after["first"] != ""
        for before, after in pairwise(stretches)
    )
    return all(follow) and not any(one["error"] for one in stretches)


def numbered(
    stretches: Iterable[tuple[dict[str, Any], Iterator[dict[str, Any]]]], who: Identities
) -> Iterator[dict[str, Any]]:
    """Yield a video's rows out of what is known of its stretches, in order, and their rows."""
    for known, rows in stretches:
        found = groupby(rows, key=lambda row: row["frame"])
        upcoming = next(found, None)
        for frame, time_s in enumerate(known["times"], known["stretch"][0]):
            own: list[dict[str, Any]] = []
            if upcoming is not None and upcoming[0] == frame:
                own = list(upcoming[1])
                upcoming = next(found, None)
            yield from _numbered(own, time_s, who)


def _numbered(
    rows: list[dict[str, Any]], time_s: float | None, who: Identities
) -> Iterator[dict[str, Any]]:
    exact = [json.loads(row[EXACT]) for row in rows]
    numbers, now_s = who.number([np.array(box) for box, _, _ in exact], time_s)
    looks = [(number, values, why) for number, (_, values, why) in zip(numbers, exact, strict=True)]
    smoothed = who.smooth(now_s, looks)
    for place, (row, number) in enumerate(zip(rows, numbers, strict=True)):
        # A new one: the rows of a file are kept for whoever asks again.
        whole = {**row, "face": number, **(smoothed[place].values() if smoothed else {})}
        yield {column: whole[column] for column in COLUMNS}
