"""What the OpenAPI page says of bodies and answers, which are read and written by hand."""

from typing import Any

from hemiface.vision.faces import COLUMNS

__all__ = ["ERRORS", "PREDICT", "WATCH"]

_TYPES = {"string": "string", "int64": "integer", "float64": "number", "bool": "boolean"}
_TEXT = {"type": "string"}
_BYTES = {"type": "string", "format": "binary"}
_ROW: dict[str, Any] = {
    "type": "object",
    "description": "A face, as in the tables of hemiface predict.",
    "required": list(COLUMNS),
    "properties": {name: {"type": [_TYPES[kind], "null"]} for name, kind in COLUMNS.items()},
}
_ROWS = {"type": "array", "items": _ROW}
_SOURCE: dict[str, Any] = {
    "type": "object",
    "required": ["source", "kind", "faces", "frames", "error", "note"],
    "properties": {
        "source": _TEXT,
        "kind": _TEXT,
        "faces": {"type": "integer"},
        "frames": {"type": ["integer", "null"]},
        "error": {**_TEXT, "description": "Why it couldn't be looked at; empty if it could."},
        "note": _TEXT,
    },
}
_FOUND: dict[str, Any] = {
    "type": "object",
    "required": ["schema", "sources", "faces"],
    "properties": {
        "schema": {"type": "integer"},
        "sources": {"type": "array", "items": _SOURCE},
        "faces": _ROWS,
    },
}
_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {**_TEXT, "description": "One sentence: what, where, how to mend."},
        "sources": {"type": "array", "items": _SOURCE},
    },
}


def _files(name: str, *, many: bool) -> dict[str, Any]:
    part = {"type": "array", "items": _BYTES, "minItems": 1} if many else _BYTES
    return {"schema": {"type": "object", "required": [name], "properties": {name: part}}}


_SENT: dict[str, Any] = {
    "type": "object",
    "required": ["pictures"],
    "properties": {
        "pictures": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["base64"],
                "properties": {"name": _TEXT, "base64": {"type": "string", "format": "byte"}},
            },
        }
    },
}
PREDICT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": _files("pictures", many=True),
            "image/*": {"schema": _BYTES},
            "application/json": {"schema": _SENT},
        },
    },
    "responses": {
        "200": {
            "description": "A row for each face.",
            "content": {
                "application/json": {"schema": _FOUND},
                "text/csv": {"schema": _TEXT},
                "application/x-ndjson": {"schema": _TEXT},
            },
        }
    },
}
"""What /predict takes and answers."""
WATCH: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": _files("video", many=False),
            "video/*": {"schema": _BYTES},
        },
    },
    "responses": {
        "200": {
            "description": "A line for each frame, and one at the end.",
            "content": {
                "application/x-ndjson": {"schema": _TEXT},
                "text/csv": {"schema": _TEXT},
            },
        }
    },
}
"""What /watch takes and answers."""
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": what, "content": {"application/json": {"schema": _ERROR}}}
    for status, what in {
        401: "The token is missing or wrong.",
        403: "For another host, or from a page that may not ask.",
        408: "The request didn't come in time.",
        413: "Too many bytes or pictures.",
        415: "A body of another type, or a packed one.",
        422: "No picture that can be looked at, or an option that there isn't.",
        429: "Too many requests at a time; Retry-After says when to come again.",
        500: "The service failed; its log says why.",
        503: "The service can't work at the moment, as its log says, or is ending.",
        507: "The service's disk is full.",
    }.items()
}
"""What both answer otherwise."""
