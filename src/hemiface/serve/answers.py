"""What a request is answered with: the rows of the table, as JSON, CSV or JSON lines."""

import csv
import io
import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hemiface.serve.refusals import RefusedError
from hemiface.tables import for_spreadsheets
from hemiface.vision.faces import COLUMNS, SCHEMA, Faces

__all__ = [
    "FORMATS",
    "asked_format",
    "csv_of_video",
    "lines_of_video",
    "of_pictures",
    "refused",
    "source_of",
]

FORMATS = {"json": "application/json", "csv": "text/csv", "jsonl": "application/x-ndjson"}
"""Name -> media type."""
_WANTED = {
    401: {"WWW-Authenticate": "Bearer"},
    429: {"Retry-After": "1"},
    503: {"Retry-After": "5"},
}
_WEIGHT = re.compile(r"[01](\.[0-9]{0,3})?")


def asked_format(request: Request, named: str | None, usual: str) -> str:
    """Return one of FORMATS: what is named, else what Accept asks for most, else `usual`."""
    if named is not None:
        return named
    ranges = [_wanted(one) for one in request.headers.get("accept", "").lower().split(",")]
    ranks = {name: _rank(kind, ranges) for name, kind in FORMATS.items()}
    # Of those that are wanted equally the usual one comes first.
    names = sorted((name for name in FORMATS if ranks[name][0] > 0), key=lambda name: name != usual)
    return max(names, key=lambda name: ranks[name], default=usual)


def _rank(kind: str, ranges: Sequence[tuple[str, float]]) -> tuple[float, int, int]:
    """Return the weight of the most exact range of a media type, and where it comes among equals.

    That is by how exact it is, then by how early it stands (RFC 9110, 12.5.1).
    """
    for exactness, name in ((2, kind), (1, f"{kind.partition('/')[0]}/*"), (0, "*/*")):
        found = [(one[1], exactness, -at) for at, one in enumerate(ranges) if one[0] == name]
        if found:
            return max(found)
    return 0.0, 0, 0


def _wanted(part: str) -> tuple[str, float]:
    """Return a range of media types of Accept and how much it is wanted (RFC 9110, 12.4.2)."""
    kind, *parameters = (one.strip() for one in part.split(";"))
    weight = next((one[2:] for one in parameters if one.startswith("q=")), "1")
    return kind, float(weight) if _WEIGHT.fullmatch(weight) else 0.0


def source_of(faces: Faces) -> dict[str, Any]:
    """Return what `hemiface predict --json` says of a source."""
    return {
        "source": faces.source,
        "kind": "photo",
        "faces": len(faces),
        "frames": None,
        "error": faces.problem,
        "note": faces.note,
    }


def of_pictures(found: Sequence[Faces], format_: str) -> Response:
    """Return the answer for the pictures of a request: 422 if none of them could be read."""
    sources = [source_of(one) for one in found]
    problems = [one.problem for one in found if one.problem]
    if len(problems) == len(found):
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        return JSONResponse({"error": problems[0] + more, "sources": sources}, 422)
    rows = [row for one in found for row in one.rows()]
    if format_ == "csv":
        return Response(_csv(rows, header=True), media_type=FORMATS["csv"])
    if format_ == "jsonl":
        return Response("".join(map(_line, rows)), media_type=FORMATS["jsonl"])
    return JSONResponse({"schema": SCHEMA, "sources": sources, "faces": rows})


async def lines_of_video(frames: AsyncIterator[Faces | str]) -> AsyncIterator[str]:
    """Yield a line of JSON for each frame, with its rows, while they come, and one at the end.

    The last one says how many frames there were, and why the video ended before its end, if it did.
    """
    number, problem = 0, ""
    async for found in frames:
        if isinstance(found, str):
            problem = found
        else:
            yield _line({"frame": number, "faces": found.rows()})
            number += 1
    yield _line({"frames": number, "error": problem})


async def csv_of_video(frames: AsyncIterator[Faces | str]) -> AsyncIterator[str]:
    """Yield the rows of all frames as CSV.

    Raises:
        RefusedError: 422, the video ended before its end, which a table can't say.
    """
    yield _csv([], header=True)
    async for found in frames:
        if isinstance(found, str):
            raise RefusedError(422, found)
        yield _csv(found.rows(), header=False)


def refused(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return the answer that says why there is none, with what HTTP wants beside a status."""
    return JSONResponse({"error": sentence}, status, {**_WANTED.get(status, {}), **(headers or {})})


def _csv(rows: Iterable[dict[str, Any]], *, header: bool) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(COLUMNS), lineterminator="\r\n")
    if header:
        writer.writeheader()
    writer.writerows({name: for_spreadsheets(cell) for name, cell in row.items()} for row in rows)
    return text.getvalue()


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"
