"""What is known of each face: one row per face and frame, in CSV, Parquet or JSON lines.

Schema version 3 (column `schema`; version 1 knew no estimated visibility, version 2 no mix and no
`covered`). Positions are pixels of the upright photo; x to the right, y down; they may lie beyond
its border. Sides are the viewer's. What doesn't apply is empty. A row is a face that was detected
in that very frame: a frame in which detection misses a face has no row for it, also where `--blur`
hides the place. In CSV a name that a spreadsheet would run has an apostrophe before it
(`hemiface.tables.for_spreadsheets`); Parquet and JSON have it as it is.

source              str    the file as it was named, or camera:N
frame               int    number of the video's frame from 0; empty for photos
timestamp_s         float  the frame's time in the video, in seconds
face                int    of a photo: number of the face from 0, the largest first; of a video:
                           number that a face keeps over frames, see `vision.video.tracking`
x_px, y_px          float  upper left corner of the face's box
width_px, height_px float  size of the box
roll_deg            float  how far the face is turned clockwise, -180..180
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
model               str    name of the network's file without its suffix
model_sha256        str    of that file
schema              int    version of this list; a change of meaning raises it
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hemiface.errors import HemifaceError, UsageError
from hemiface.files import atomic_path
from hemiface.tables import EMOTIONS, PROBABILITY_COLUMNS, csv_sink
from hemiface.vision.visible_regions import REGIONS, VisibleRegions

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "COLUMNS",
    "FORMATS",
    "SCHEMA",
    "FacePrediction",
    "Faces",
    "require_formats",
    "write_rows",
]

SCHEMA = 3
FORMATS = ("csv", "parquet", "jsonl")

_TEXT, _INT, _FLOAT, _BOOL = "string", "int64", "float64", "bool"
COLUMNS: dict[str, str] = {
    "source": _TEXT,
    "frame": _INT,
    "timestamp_s": _FLOAT,
    "face": _INT,
    **dict.fromkeys(("x_px", "y_px", "width_px", "height_px", "roll_deg"), _FLOAT),
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
    "model": _TEXT,
    "model_sha256": _TEXT,
    "schema": _INT,
}
"""Column -> Arrow type, in order."""

_ROWS_AT_ONCE = 4096
_DIGITS = 6


@dataclass(frozen=True)
class FacePrediction:
    """One face: where it is, what could be seen of it, what the network makes of it."""

    source: str
    frame: int | None
    timestamp_s: float | None
    face: int
    box_px: tuple[float, float, float, float]
    """x, y, width, height."""
    roll_deg: float
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

    def row(self) -> dict[str, Any]:
        """Return the columns of the schema; None where a value doesn't apply."""
        values: dict[str, Any] = {
            "source": self.source,
            "frame": self.frame,
            "timestamp_s": self.timestamp_s,
            "face": self.face,
            **dict(zip(("x_px", "y_px", "width_px", "height_px"), self.box_px, strict=True)),
            "roll_deg": self.roll_deg,
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
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, _DIGITS)
    return value


@dataclass(frozen=True)
class Faces(Sequence[FacePrediction]):
    """The faces of one picture, the largest first; empty if there is none."""

    source: str
    faces: tuple[FacePrediction, ...]
    note: str = ""
    """What the reader should know of the picture, such as that it is animated."""

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: Any) -> Any:
        return self.faces[index]

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per face: the columns of the schema, None where a value doesn't apply."""
        return [one.row() for one in self.faces]

    def to_pandas(self) -> "pd.DataFrame":
        """Return `rows` as a table.

        Raises:
            HemifaceError: pandas isn't installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise HemifaceError(
                "A DataFrame needs pandas; pip install pandas, or take the same rows from rows()."
            ) from error
        kinds = {"string": "str", "int64": "Int64", "float64": "float64", "bool": "bool"}
        table = pd.DataFrame(self.rows(), columns=list(COLUMNS))
        return table.astype({column: kinds[kind] for column, kind in COLUMNS.items()})


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
    writers = {"csv": _csv_rows, "parquet": _parquet_rows, "jsonl": _json_rows}
    targets = {name: folder / f"faces.{name}" for name in dict.fromkeys(formats)}
    with ExitStack() as stack:
        sinks = [
            stack.enter_context(writers[name](stack.enter_context(atomic_path(target))))
            for name, target in targets.items()
        ]
        every = iter(rows)
        while part := list(islice(every, _ROWS_AT_ONCE)):
            for sink in sinks:
                sink(part)
    return list(targets.values())


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
def _parquet_rows(path: Path) -> Iterator[Sink]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = [pa.field(name, pa.type_for_alias(kind)) for name, kind in COLUMNS.items()]
    schema = pa.schema(fields, {b"hemiface": json.dumps({"schema": SCHEMA}).encode()})
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        yield lambda rows: writer.write_table(pa.Table.from_pylist(rows, schema))
