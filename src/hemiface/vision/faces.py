"""What is known of each face: one row per face and frame, in CSV, Parquet or JSON lines.

Schema version 5 (column `schema`; version 1 knew no estimated visibility, version 2 no mix and no
`covered`, version 3 no points, yaw and pitch, version 4 nothing smoothed). Positions are pixels of
the upright photo; x to the right, y down; they may lie beyond its border. Sides are the viewer's.
What doesn't apply is empty. A row is a face that was detected in that very frame: a frame in which
detection misses a face has no row for it, also where `--blur` hides the place. In CSV a name that a
spreadsheet would run has an apostrophe before it (`hemiface.tables.for_spreadsheets`); Parquet and
JSON have it as it is.

source              str    the file as it was named, or camera:N
frame               int    number of the video's frame from 0; empty for photos
timestamp_s         float  the frame's time in the video, in seconds
face                int    of a photo: number of the face from 0, the largest first; of a video:
                           number that a face keeps over frames, see `vision.video.tracking`
x_px, y_px          float  upper left corner of the face's box
width_px, height_px float  size of the box
roll_deg            float  how far the face is turned clockwise, -180..180
yaw_deg, pitch_deg  float  how far the face, turned upright by `roll_deg`, looks to the viewer's
                           right, and down, by its landmarks' depth; empty without landmarks. See
                           `finding.detector.turn_of`
<point>_x_px, _y_px float  of eye_left and eye_right (their centres), nose, mouth_left and
                           mouth_right (its corners); empty with --no-detect
detection_score     float  the score, 0..1, of the network that found the face
presence_score      float  the landmark network's probability that this is a face, 0..1; under .5
                           where only CenterFace sees the face, as many a masked one
in_picture          float  share of the aligned 48 x 48 face that lies inside the picture, 0..1
hidden              str    what was declared hidden (`lower`), empty if nothing was
hidden_by_estimate  str    what was hidden from the model because a thing covers more than half of
                           it by estimate (`lower`): label and probabilities follow the rest; empty
                           if nothing was. See `hemiface.vision.covered_halves`
visible_<region>    float  visible share, 0..1, of upper, lower, left, right, eyes, nose, mouth
visible_<region>_source  str  declared, estimated, measured or unknown: see
                           `hemiface.vision.visible_regions`
covered             float  share, 0..1, of what lies in the picture that a thing covers by estimate;
                           empty without one. What the border cuts off is told by `in_picture`
covered_<region>    float  the same of each region
p_<emotion>         float  the seven probabilities, which sum to 1; calibrated if `temperature` is
temperature         float  what the network's logits were divided by, from validation images and
                           what is visible (`models.temperatures`); empty without a calibration
mix                 str    the mix of emotions that was declared (`models.class_mix`), which the
                           probabilities, label and confidence hold for: trained, balanced, natural,
                           or a file's name (`declared` for a mapping) with a hash of its shares;
                           with any but trained nobody knows the risk of a model's own threshold
label               str    the most probable emotion; empty if abstained
confidence          float  the largest probability, 0..1
abstained           bool   whether no label is given
reason              str    why not
smoothing           str    of videos, if asked for: filter and half-life, such as `log-mean-0.5s`;
                           see `vision.video.smoothing`. What stands before it is the frame's own
smoothed_p_<emotion>  float  the seven probabilities over the face's last moments
smoothed_label      str    the most probable emotion by these; empty where the frame shows too
                           little of the face, or below the threshold
smoothed_confidence float  the largest of these
smoothed_reason     str    why there is no smoothed label
model               str    name of the network's file without its suffix
model_sha256        str    of that file
schema              int    version of this list; a change of meaning raises it
"""

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from hemiface.documents import json_value
from hemiface.errors import DamagedError, HemifaceError, UsageError, escaped
from hemiface.files import SEAL_KEY, UNSEALED, atomic_path, seal
from hemiface.inputs import open_lines
from hemiface.tables import EMOTIONS, PROBABILITY_COLUMNS, csv_sink
from hemiface.vision.photos import Photo
from hemiface.vision.visible_regions import REGIONS, VisibleRegions

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "COLUMNS",
    "FORMATS",
    "POINTS",
    "ROWS_AT_ONCE",
    "SCHEMA",
    "SMOOTHED_COLUMNS",
    "FacePrediction",
    "Faces",
    "Smoothed",
    "parquet_sink",
    "require_formats",
    "require_own_tables",
    "write_rows",
    "written_before",
]

Pixels = npt.NDArray[np.uint8]

SCHEMA = 5
FORMATS = ("csv", "parquet", "jsonl")
_PANDAS_WITH_STR = 3

_TEXT, _INT, _FLOAT, _BOOL = "string", "int64", "float64", "bool"
POINTS = ("eye_left", "eye_right", "nose", "mouth_left", "mouth_right")
"""The points of a face in the table, as the viewer sees them, in the order of `five_px`."""
_FIVE_COLUMNS = tuple(f"{point}_{axis}_px" for point in POINTS for axis in "xy")
SMOOTHED_COLUMNS = tuple(f"smoothed_{name}" for name in PROBABILITY_COLUMNS)
_SMOOTHED = {
    "smoothing": _TEXT,
    **dict.fromkeys(SMOOTHED_COLUMNS, _FLOAT),
    "smoothed_label": _TEXT,
    "smoothed_confidence": _FLOAT,
    "smoothed_reason": _TEXT,
}
COLUMNS: dict[str, str] = {
    "source": _TEXT,
    "frame": _INT,
    "timestamp_s": _FLOAT,
    "face": _INT,
    **dict.fromkeys(("x_px", "y_px", "width_px", "height_px", "roll_deg"), _FLOAT),
    **dict.fromkeys(("yaw_deg", "pitch_deg", *_FIVE_COLUMNS), _FLOAT),
    **dict.fromkeys(("detection_score", "presence_score", "in_picture"), _FLOAT),
    "hidden": _TEXT,
    "hidden_by_estimate": _TEXT,
    **{
        name: kind
        for region in REGIONS
        for name, kind in ((f"visible_{region}", _FLOAT), (f"visible_{region}_source", _TEXT))
    },
    "covered": _FLOAT,
    **{f"covered_{region}": _FLOAT for region in REGIONS},
    **dict.fromkeys(PROBABILITY_COLUMNS, _FLOAT),
    "temperature": _FLOAT,
    "mix": _TEXT,
    "label": _TEXT,
    "confidence": _FLOAT,
    "abstained": _BOOL,
    "reason": _TEXT,
    **_SMOOTHED,
    "model": _TEXT,
    "model_sha256": _TEXT,
    "schema": _INT,
}
"""Column -> Arrow type, in order."""

_COLUMNS_OF_ALL = frozenset({"source", "frame", "face", "x_px", "schema"})
"""Columns that every schema had, by which a table is known as one of a run."""

_NO_POINTS = ((math.nan, math.nan),) * len(POINTS)
ROWS_AT_ONCE = 4096
"""In memory while rows are written, and in each row group of Parquet but the last."""
_DIGITS = 6


@dataclass(frozen=True)
class Smoothed:
    """What a face of a video looks like over its last moments; see `vision.video.smoothing`."""

    filter: str
    """The filter and its half-life."""
    probabilities: tuple[float, ...]
    """In the order of EMOTIONS."""
    reason: str
    """Why no label is given; empty if one is."""

    def values(self) -> dict[str, Any]:
        """Return its columns of the schema."""
        confidence = max(self.probabilities)
        best = EMOTIONS[self.probabilities.index(confidence)]
        values: dict[str, Any] = {
            "smoothing": self.filter,
            **dict(zip(SMOOTHED_COLUMNS, self.probabilities, strict=True)),
            "smoothed_label": None if self.reason else best,
            "smoothed_confidence": confidence,
            "smoothed_reason": self.reason or None,
        }
        return {column: _plain(value) for column, value in values.items()}


@dataclass(frozen=True, repr=False, eq=False)
class FacePrediction:
    """One face: where it is, what could be seen of it, what the network makes of it.

    Two are equal if their rows are.
    """

    source: str
    frame: int | None
    timestamp_s: float | None
    face: int
    box_px: tuple[float, float, float, float]
    """x, y, width, height."""
    roll_deg: float
    yaw_deg: float
    pitch_deg: float
    """NaN without landmarks."""
    five_px: tuple[tuple[float, float], ...]
    """x, y of POINTS; () where nothing was searched for."""
    detection_score: float | None
    presence_score: float | None
    in_picture: float
    hidden: str
    hidden_by_estimate: str
    visibility: VisibleRegions
    probabilities: tuple[float, ...]
    """In the order of EMOTIONS."""
    temperature: float
    """That they are calibrated with, NaN if they aren't."""
    mix: str
    """The name of the mix that was declared."""
    reason: str
    """Why no label is given; empty if one is."""
    model: str
    model_sha256: str
    landmarks: npt.NDArray[np.float64] | None = None
    """[468, 2] in pixels of the photo, of MediaPipe's face mesh; None without."""
    smoothed: Smoothed | None = None
    """None where nothing is smoothed: in photos, and in videos unless it is asked for."""

    def __eq__(self, other: object) -> bool:
        # In a row what isn't known is None, which is equal to itself, as NaN isn't.
        if not isinstance(other, FacePrediction):
            return NotImplemented
        return self.row() == other.row()

    def __hash__(self) -> int:
        return hash(tuple(self.row().values()))

    def __repr__(self) -> str:
        return f"<face {self.face}: {self.told}>"

    @property
    def told(self) -> str:
        """What is said of it in a few words: `happy 92 %`, or why no label is given."""
        if self.abstained:
            return f"no label: {self.reason}"
        return f"{self.best} {100 * self.confidence:.0f} %"

    @property
    def abstained(self) -> bool:
        """Whether no label is given."""
        return bool(self.reason)

    @property
    def confidence(self) -> float:
        """The largest probability."""
        return max(self.probabilities)

    @property
    def best(self) -> str:
        """The most probable emotion, abstained or not; a tie goes to the first in EMOTIONS."""
        return EMOTIONS[self.probabilities.index(self.confidence)]

    @property
    def label(self) -> str | None:
        """The most probable emotion, None if abstained."""
        return None if self.abstained else self.best

    @property
    def steadied(self) -> Self:
        """The face as smoothed, itself where it isn't: what pictures of it show."""
        if self.smoothed is None:
            return self
        return replace(self, probabilities=self.smoothed.probabilities, reason=self.smoothed.reason)

    def row(self) -> dict[str, Any]:
        """Return the columns of the schema; None where a value doesn't apply."""
        values: dict[str, Any] = {
            "source": self.source,
            "frame": self.frame,
            "timestamp_s": self.timestamp_s,
            "face": self.face,
            **dict(zip(("x_px", "y_px", "width_px", "height_px"), self.box_px, strict=True)),
            "roll_deg": self.roll_deg,
            "yaw_deg": self.yaw_deg,
            "pitch_deg": self.pitch_deg,
            **dict(zip(_FIVE_COLUMNS, chain(*(self.five_px or _NO_POINTS)), strict=True)),
            "detection_score": self.detection_score,
            "presence_score": self.presence_score,
            "in_picture": self.in_picture,
            "hidden": self.hidden or None,
            "hidden_by_estimate": self.hidden_by_estimate or None,
            "covered": self.visibility.covered_in_all,
            **dict(zip(PROBABILITY_COLUMNS, self.probabilities, strict=True)),
            "label": self.label,
            "confidence": self.confidence,
            "abstained": self.abstained,
            "reason": self.reason or None,
            **(self.smoothed.values() if self.smoothed else dict.fromkeys(_SMOOTHED)),
            "temperature": self.temperature,
            "mix": self.mix,
            "model": self.model,
            "model_sha256": self.model_sha256,
            "schema": SCHEMA,
        }
        for region in REGIONS:
            values[f"visible_{region}"] = self.visibility.shares[region]
            values[f"visible_{region}_source"] = self.visibility.sources[region]
            values[f"covered_{region}"] = self.visibility.covered[region]
        return {column: _plain(values[column]) for column in COLUMNS}


def _plain(value: Any) -> Any:
    # Detectors of one's own may give NumPy's numbers, of which JSON knows only some.
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, _DIGITS)
    return value


@dataclass(frozen=True, repr=False)
class Faces(Sequence[FacePrediction]):
    """The faces of one picture, the largest first; empty if there is none."""

    source: str
    faces: tuple[FacePrediction, ...]
    note: str = ""
    """What the reader should know of the picture, such as that it is animated."""
    problem: str = ""
    """Why the picture couldn't be looked at, where it could not; there are no faces then."""
    opened: Callable[[], Photo] | None = field(default=None, compare=False)
    """Gives the picture; a file is read again each time. None where it isn't at hand."""

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: Any) -> Any:
        return self.faces[index]

    def __repr__(self) -> str:
        of = f" of {self.source}" if self.source else ""
        said = self.problem or "; ".join(one.told for one in self.faces) or "no face found"
        return f"<Faces{of}: {said}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the picture with its faces, and a row for each."""
        from hemiface.vision.shown import as_html

        return as_html(self)

    @property
    def pixels(self) -> Pixels:
        """The picture, RGB uint8 [height, width, 3]; what came from a file is read again.

        Raises:
            HemifaceError: it isn't at hand, as in results of `hemiface predict`.
            DamagedError: its file can't be read any more.
        """
        if self.opened is None:
            which = f"picture {self.source}" if self.source else "picture"
            why = self.problem or "it wasn't kept with its faces; predict it again."
            raise HemifaceError(f"The {which} isn't at hand: {why}")
        return self.opened().pixels

    def annotated(self) -> Pixels:
        """Return the picture with every face's box, label and confidence; errors as `pixels`."""
        from hemiface.vision.drawing import annotate

        return annotate(self.pixels, self.faces)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write `annotated` as a picture whose format the suffix says, whole or not at all.

        Raises:
            UsageError: the suffix is none of PNG, JPEG, WebP or TIFF.
            HemifaceError: the folder can't be written; otherwise as `pixels`.
        """
        from hemiface.vision.shown import write_picture

        return write_picture(self.annotated(), Path(path))

    def plot(self, axes: Any = None) -> Any:
        """Draw `annotated` into Matplotlib's axes (by default new ones) and return these.

        Raises:
            HemifaceError: Matplotlib isn't installed; otherwise as `pixels`.
        """
        if axes is None:
            with _needed("matplotlib", "A plot", "hemiface[report]"):
                import matplotlib.pyplot as plt

            axes = plt.figure(layout="constrained").gca()
        axes.imshow(self.annotated())
        axes.set_axis_off()
        # What stands between two $ would be a formula.
        axes.set_title(escaped(Path(self.source).name), parse_math=False)
        return axes

    def crop(self, face: int, margin: float = 0.25) -> Pixels:
        """Return a face's box with `margin` of its size on each side, RGB uint8 [h, w, 3].

        The box is cut off at the picture's border. `face` counts this picture's faces from 0.

        Raises:
            UsageError: there is no such face, it lies outside of the picture, or the margin is
                negative; otherwise as `pixels`.
        """
        if not 0 <= face < len(self.faces):
            raise UsageError(f"There is no face {face}; this picture has {len(self.faces)}.")
        if not margin >= 0:
            raise UsageError(f"The margin must not be negative, got {margin}.")
        pixels = self.pixels
        x, y, width, height = self.faces[face].box_px
        left, top = (max(math.floor(v), 0) for v in (x - margin * width, y - margin * height))
        right, bottom = math.ceil(x + (1 + margin) * width), math.ceil(y + (1 + margin) * height)
        part = pixels[top : max(bottom, 0), left : max(right, 0)]
        if not part.size:
            raise UsageError(f"Face {face} lies outside of the picture.")
        return part.copy()

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per face: the columns of the schema, None where a value doesn't apply."""
        return [one.row() for one in self.faces]

    def to_dict(self) -> dict[str, Any]:
        """Return source, note, problem and `rows`, which is all that JSON needs."""
        return {
            "source": self.source, "note": self.note, "problem": self.problem, "faces": self.rows(),
        }  # fmt: skip

    def to_pandas(self) -> "pd.DataFrame":
        """Return `rows` as a table.

        Raises:
            HemifaceError: pandas isn't installed.
        """
        with _needed("pandas", "A DataFrame"):
            import pandas as pd
        # Before pandas 3 "str" makes the word None of what is missing.
        text = "str" if int(pd.__version__.partition(".")[0]) >= _PANDAS_WITH_STR else "string"
        kinds = {"string": text, "int64": "Int64", "float64": "float64", "bool": "bool"}
        table = pd.DataFrame(self.rows(), columns=list(COLUMNS))
        return table.astype({column: kinds[kind] for column, kind in COLUMNS.items()})

    def to_polars(self) -> Any:
        """Return `rows` as a polars.DataFrame.

        Raises:
            HemifaceError: polars isn't installed.
        """
        with _needed("polars", "A DataFrame of polars"):
            import polars as pl
        kinds = {"string": pl.String, "int64": pl.Int64, "float64": pl.Float64, "bool": pl.Boolean}
        return pl.DataFrame(self.rows(), {name: kinds[kind] for name, kind in COLUMNS.items()})

    def to_supervision(self) -> Any:
        """Return supervision.Detections: boxes, confidences, classes by their place in EMOTIONS.

        Its `data` has `class_name` (of abstained faces an empty text), `face` and `reason`.

        Raises:
            HemifaceError: supervision isn't installed.
        """
        with _needed("supervision", "Detections"):
            import supervision as sv
        corners = [(x, y, x + width, y + height) for x, y, width, height in self._boxes()]
        return sv.Detections(
            xyxy=np.array(corners, dtype=np.float64).reshape(-1, 4),
            confidence=np.array([one.confidence for one in self.faces], dtype=np.float64),
            class_id=np.array([EMOTIONS.index(one.best) for one in self.faces], dtype=np.int64),
            data={
                "class_name": np.array([one.label or "" for one in self.faces], dtype=str),
                "face": np.array([one.face for one in self.faces], dtype=np.int64),
                "reason": np.array([one.reason for one in self.faces], dtype=str),
            },
        )

    def _boxes(self) -> list[tuple[float, float, float, float]]:
        return [one.box_px for one in self.faces]


@contextmanager
def _needed(library: str, what: str, package: str = "") -> Iterator[None]:
    """Say in one sentence that a library isn't installed, where that is so."""
    try:
        yield
    except ImportError as error:
        raise HemifaceError(
            f"{what} needs {library}; pip install {package or library}, or take the rows "
            "from rows()."
        ) from error


def require_formats(formats: Sequence[str]) -> None:
    """Raise unless all of `formats` can be written here.

    Raises:
        UsageError: one is not of FORMATS.
        HemifaceError: Parquet is among them and pyarrow isn't installed.
    """
    for name in formats:
        if name not in FORMATS:
            raise UsageError(f"Format {name!r} is unknown; choose from {', '.join(FORMATS)}.")
    if "parquet" in formats and find_spec("pyarrow") is None:
        raise HemifaceError("Parquet needs pyarrow; pip install 'hemiface[parquet]'.")


def write_rows(rows: Iterable[dict[str, Any]], folder: Path, formats: Sequence[str]) -> list[Path]:
    """Write rows of the schema as `faces.<format>` into `folder`, each file whole or not at all.

    No more than some thousand rows are in memory at once.

    Raises:
        UsageError, HemifaceError: as `require_formats`.
        HemifaceError: the folder can't be written.
    """
    require_formats(formats)
    writers = {"csv": _csv_rows, "parquet": parquet_sink, "jsonl": _json_rows}
    targets = {name: _table(folder, name) for name in dict.fromkeys(formats)}
    with ExitStack() as stack:
        sinks = [
            stack.enter_context(writers[name](stack.enter_context(atomic_path(target))))
            for name, target in targets.items()
        ]
        every = iter(rows)
        while part := list(islice(every, ROWS_AT_ONCE)):
            for sink in sinks:
                sink(part)
    return list(targets.values())


def written_before(folder: Path) -> list[str]:
    """Return the formats of our tables of faces in `folder` that can be written again here."""
    can = [one for one in FORMATS if one != "parquet" or find_spec("pyarrow") is not None]
    return [one for one in can if _is_ours(_table(folder, one))]


def require_own_tables(folder: Path, formats: Sequence[str]) -> None:
    """Raise unless the tables of faces in `folder` that have these formats are of a run.

    Raises:
        UsageError: one of them isn't, and so is the user's own.
    """
    for path in (_table(folder, one) for one in formats):
        if path.exists() and not _is_ours(path):
            raise UsageError(
                f"{path} is no table of faces that hemiface wrote, and would be replaced by one; "
                "move it, or choose another --out."
            )


def _table(folder: Path, name: str) -> Path:
    return folder / f"faces.{name}"


def _is_ours(path: Path) -> bool:
    """Return whether a table of faces is there that is of a run, of any schema."""
    if not path.is_file():
        return False
    try:
        return not path.stat().st_size or _columns(path) >= _COLUMNS_OF_ALL
    except (DamagedError, OSError, TypeError, ValueError):  # pyarrow's own are of these too
        return False


def _columns(path: Path) -> set[str]:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        return set(pq.read_schema(path).names)
    with open_lines(path) as lines:
        first = next(lines, "")
    return set(json_value(first) if path.suffix == ".jsonl" else first.strip().split(","))


Sink = Callable[[list[dict[str, Any]]], None]


@contextmanager
def _csv_rows(path: Path) -> Iterator[Sink]:
    with csv_sink(path, list(COLUMNS)) as sink:
        yield sink


@contextmanager
def _json_rows(path: Path) -> Iterator[Sink]:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        yield lambda rows: file.writelines(
            json.dumps(row, ensure_ascii=False) + "\n" for row in rows
        )


@contextmanager
def parquet_sink(
    path: Path, metadata: Mapping[bytes, bytes] | None = None, more: Sequence[str] = ()
) -> Iterator[Sink]:
    """Yield what appends rows of the schema, with `more` texts, as a row group of Parquet.

    The file is sealed at the end (`files.seal`), and its pages have checksums.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = [pa.field(name, pa.type_for_alias(kind)) for name, kind in COLUMNS.items()]
    fields += [pa.field(name, pa.string()) for name in more]
    known = metadata or {b"hemiface": json.dumps({"schema": SCHEMA}).encode()}
    schema = pa.schema(fields, {**known, SEAL_KEY.encode(): UNSEALED.encode()})
    options = {"compression": "zstd", "write_page_checksum": True}
    with pq.ParquetWriter(path, schema, **options) as writer:
        yield lambda rows: writer.write_table(pa.Table.from_pylist(rows, schema))
    seal(path)
