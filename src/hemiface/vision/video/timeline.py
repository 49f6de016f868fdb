"""A picture of each face of a video over time: probabilities, where no label is given, visibility.

Beside it is who it is, if pictures of the faces are given. What is smoothed is drawn over the
frames' own probabilities, which are pale then, and says where no label is given.

Each frame fills the time until the next one, however uneven they come; without a face there is a
gap. Whatever the length of a video, a face is drawn at no more than _BINS points, each the mean
over the frames of a stretch of time; rows are read twice, in order, and never kept. Needs
matplotlib, which comes with `hemiface[study]`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, groupby, pairwise
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hemiface.tables import EMOTIONS, PROBABILITY_COLUMNS
from hemiface.vision.faces import SMOOTHED_COLUMNS
from hemiface.vision.video.tracking import STEP_S

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MOST_FACES", "TITLE", "FaceTimeline", "Timeline", "draw", "read", "write"]

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]
Row = Mapping[str, Any]
Rows = Callable[[], Iterable[Row]]

MOST_FACES = 6
"""The faces that are there for the most frames are drawn; the title says how many aren't."""
TITLE = "What the faces of"
"""How the title of every one begins, by which it is known."""

_BINS = 1000
_ROUNDING = 1e-6
"""Of a bin: times aren't exact, and a frame that ends with a bin doesn't reach into the next."""
_NOBODY: Mapping[int, Pixels] = {}
_NO_LABEL = "#e3e3e3"
_PALE = 0.3
_OPPOSITE = (("upper", "lower"), ("left", "right"))


@dataclass(frozen=True, eq=False)
class FaceTimeline:
    """One face over the bins of time."""

    face: int
    frames: int
    """In how many the face was found."""
    probabilities: Floats
    """[bins, 7], NaN where the face wasn't found."""
    smoothed: Floats | None
    """The same of the smoothed ones, None where nothing is smoothed."""
    abstained: Floats
    """[bins]: share of its frames without a label, NaN where the face wasn't found."""
    visible: Floats
    """[bins]: the most of the face that can be visible, for what neither a border nor anything
    known to lie over it takes away; NaN where the face wasn't found."""


@dataclass(frozen=True, eq=False)
class Timeline:
    """The faces of one video that are drawn, by number."""

    edges_s: Floats
    """[bins + 1]: where the bins begin and end; empty if there is no face."""
    faces: list[FaceTimeline]
    left_out: int
    """Faces that aren't drawn."""


def read(rows: Rows) -> Timeline:
    """Return the faces of a video; `rows()` yields its rows of the schema anew each time.

    >>> len(read(lambda: []).faces)
    0
    """
    counts: Counter[int] = Counter()
    first, last, shortest = np.inf, -np.inf, np.inf
    for start, end, together in _frames(rows()):
        counts.update(row["face"] for row in together)
        first, last = min(first, start), max(last, end)
        shortest = min(shortest, end - start)
    if not counts:
        return Timeline(np.zeros(0), [], 0)
    chosen = sorted(face for face, _ in counts.most_common(MOST_FACES))
    bins = min(round((last - first) / shortest), _BINS)
    edges = np.linspace(first, last, bins + 1)
    count = len(EMOTIONS)
    sums = {face: np.zeros((bins, 2 * count + 2)) for face in chosen}
    seen = {face: np.zeros((bins, 1)) for face in chosen}
    for start, end, together in _frames(rows()):
        at, after = (int((one - first) / (last - first) * bins + _ROUNDING) for one in (start, end))
        filled = slice(min(at, bins - 1), max(after, at + 1))
        for row in together:
            if row["face"] in sums:
                values = [row[name] for name in PROBABILITY_COLUMNS]
                smoothed, abstained = _smoothed(row)
                sums[row["face"]][filled] += [*values, *smoothed, abstained, _visible(row)]
                seen[row["face"]][filled] += 1
    faces = []
    for face in chosen:
        empty = np.full_like(sums[face], np.nan)
        means = np.divide(sums[face], seen[face], out=empty, where=seen[face] > 0)
        own, steady, rest = np.split(means, [count, 2 * count], axis=1)
        known = None if np.isnan(steady).all() else steady
        faces.append(FaceTimeline(face, counts[face], own, known, rest[:, 0], rest[:, 1]))
    return Timeline(edges, faces, len(counts) - len(chosen))


def draw(timeline: Timeline, name: str, portraits: Mapping[int, Pixels] = _NOBODY) -> "Figure":
    """Return the figure: for each face probabilities, stretches without a label grey, visibility.

    `name` is what the title calls the video, `portraits` are pictures of some faces by number, RGB
    uint8 [height, width, 3]. There must be a face.
    """
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    from hemiface.report.figures.style import COLOURS, LINES, STYLE, title

    with matplotlib.rc_context(STYLE):
        count = len(timeline.faces)
        figure = Figure(figsize=(7.2, 0.9 + 1.9 * count), layout="constrained")
        axes = figure.subplots(
            2 * count, 1, sharex=True, squeeze=False, height_ratios=[3.2, 1] * count
        )[:, 0]
        for face, above, below in zip(timeline.faces, axes[::2], axes[1::2], strict=True):
            _draw_face(timeline.edges_s, face, above, below)
            if face.face in portraits:
                _draw_portrait(portraits[face.face], above)
        axes[-1].set_xlabel("time in the video, s")
        axes[-1].set_xlim(timeline.edges_s[0], timeline.edges_s[-1])
        marks: list[Any] = [
            Line2D([], [], color=colour, linestyle=line, label=emotion)
            for emotion, colour, line in zip(EMOTIONS, COLOURS, LINES, strict=True)
        ]
        marks.append(Patch(facecolor=_NO_LABEL, label="no label"))
        if any(face.smoothed is not None for face in timeline.faces):
            marks.append(
                Line2D([], [], color=COLOURS[0], alpha=_PALE, label="pale: before smoothing")
            )
        figure.legend(handles=marks, loc="outside lower center", ncols=-(-len(marks) // 2))
        more = f"; {timeline.left_out} faces seen for less time are left out"
        title(figure, f"{TITLE} {name} look like{more if timeline.left_out else ''}")
    return figure


def write(
    rows: Rows, folder: Path, name: str, video: str, portraits: Mapping[int, Pixels] = _NOBODY
) -> list[Path]:
    """Write `name`.svg and `name`.png about `video` into `folder`; nothing if it shows no face.

    `portraits` are those of `draw`.

    Raises:
        ModuleNotFoundError: matplotlib isn't installed.
        HemifaceError: the folder can't be written.
    """
    from hemiface.report.figures.style import save

    timeline = read(rows)
    if not timeline.faces:
        return []
    return list(save(draw(timeline, video, portraits), folder, name))


def _draw_face(edges: Floats, face: FaceTimeline, above: "Axes", below: "Axes") -> None:
    from hemiface.report.figures.style import COLOURS, LINES

    for start, stop in _stretches(face.abstained >= 0.5):
        above.axvspan(edges[start], edges[stop], color=_NO_LABEL, linewidth=0)
    curves = [(face.probabilities, 1.0)]
    if face.smoothed is not None:
        curves = [(face.probabilities, _PALE), (face.smoothed, 1.0)]
    for shares, alpha in curves:
        for values, colour, line in zip(shares.T, COLOURS, LINES, strict=True):
            # Steps, so that a face that is there for a single frame is seen too.
            above.stairs(
                values, edges, baseline=None, color=colour, linestyle=line, linewidth=1.1,
                alpha=alpha,
            )  # fmt: skip
    above.set_ylim(0, 1)
    above.set_yticks([0, 0.5, 1])
    above.set_ylabel("probability")
    above.set_title(f"face {face.face}, found in {face.frames:,} frames")
    below.stairs(face.visible, edges, baseline=0, fill=True, color="#56B4E9")
    below.set_ylim(0, 1)
    below.set_yticks([0, 1])
    below.set_ylabel("visible")


def _draw_portrait(pixels: Pixels, lane: "Axes") -> None:
    """Draw a picture to the left of a lane, as high as it."""
    beside = lane.inset_axes((-0.24, 0.0, 0.14, 1.0))
    beside.imshow(pixels, interpolation="lanczos")
    beside.set_axis_off()


def _stretches(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return [start, stop) of each run of True."""
    steps = np.diff(np.concatenate([[0], flags.astype(np.int8), [0]]))
    starts, stops = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    return list(zip(starts.tolist(), stops.tolist(), strict=True))


def _frames(rows: Iterable[Row]) -> Iterator[tuple[float, float, list[Row]]]:
    """Yield of each frame with a face when it is shown from and until, in seconds, and its rows.

    How long one is shown that is followed by frames without a face isn't known: as long as they
    are in the mean. The last one is shown as long as the one before it.
    """
    frames = (list(own) for _, own in groupby(rows, itemgetter("frame")))
    lasts = STEP_S
    for own, later in pairwise(chain(frames, [[]])):
        start = _time_s(own[0])
        away = _time_s(later[0]) - start if later else 0.0
        # Times that stand still tell nothing.
        if away > 0:
            lasts = away / (later[0]["frame"] - own[0]["frame"])
        yield start, start + lasts, own


def _time_s(row: Mapping[str, Any]) -> float:
    time = row["timestamp_s"]
    return float(row["frame"] * STEP_S if time is None else time)


def _smoothed(row: Mapping[str, Any]) -> tuple[list[float], bool]:
    """Return what is smoothed, NaN where nothing is, and whether no label is shown."""
    if row["smoothing"] is None:
        return [np.nan] * len(EMOTIONS), row["abstained"]
    return [row[name] for name in SMOOTHED_COLUMNS], row["smoothed_label"] is None


def _visible(row: Mapping[str, Any]) -> float:
    """Return the most of the face that can be visible, as far as is known."""
    shares = [(row[f"visible_{one}"], row[f"visible_{two}"]) for one, two in _OPPOSITE]
    known = [(one + two) / 2 for one, two in shares if one is not None and two is not None]
    return float(min([row["in_picture"], *known]))
