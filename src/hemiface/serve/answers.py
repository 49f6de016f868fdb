"""What a request is answered with: the rows of the table, as JSON, CSV or JSON lines."""

import csv
import io
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hemiface.serve.refusals import RefusedError
from hemiface.tables import for_spreadsheets
from hemiface.vision.faces import COLUMNS, SCHEMA, Faces

__all__ = ["FORMATS", "asked_format", "of_pictures", "of_video", "refused", "source_of"]

FORMATS = {"json": "application/json", "csv": "text/csv", "jsonl": "application/x-ndjson"}
"""Name -> media type."""


def asked_format(request: Request, named: str | None, usual: str) -> str:
    """Return one of FORMATS: what is named, else the first that Accept asks for, else `usual`."""
    if named is not None:
        return named
    accepted = request.headers.get("accept", "").lower().split(",")
    kinds = [one.partition(";")[0].strip() for one in accepted]
    return next((name for kind in kinds for name, is_ in FORMATS.items() if is_ == kind), usual)


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


async def of_video(frames: AsyncIterator[Faces | str], format_: str) -> AsyncIterator[str]:
    """Yield the answer for a video, line by line.

    In JSON lines each frame is one, with its rows, and the last one says how many there were and
    why the video ended before its end, if it did. CSV has rows alone: there an unread rest breaks
    the answer off.

    Raises:
        RefusedError: in CSV, the video ended before its end.
    """
    if format_ == "csv":
        yield _csv([], header=True)
    number, problem = 0, ""
    async for found in frames:
        if isinstance(found, str):
            problem = found
            continue
        number += 1
        if format_ == "csv":
            yield _csv(found.rows(), header=False)
        else:
            yield _line({"frame": number - 1, "faces": found.rows()})
    if format_ != "csv":
        yield _line({"frames": number, "error": problem})
    elif problem:
        raise RefusedError(422, problem)


def refused(status: int, sentence: str) -> JSONResponse:
    """Return the answer that says why there is none."""
    headers = {"Retry-After": "1"} if status == 429 else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": sentence}, status, headers)


def _csv(rows: Iterable[dict[str, Any]], *, header: bool) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(COLUMNS), lineterminator="\r\n")
    if header:
        writer.writeheader()
    writer.writerows({name: for_spreadsheets(cell) for name, cell in row.items()} for row in rows)
    return text.getvalue()


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"
