"""What comes in a request: pictures as multipart, as they are or as base64 in JSON, or a video.

Nothing that a body says is ever taken for a path or an address: names are only written into rows.
"""

import asyncio
import base64
import binascii
import string
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from hemiface.documents import json_value
from hemiface.errors import first_line
from hemiface.files import printable
from hemiface.limits import limits, over
from hemiface.serve.refusals import RefusedError

__all__ = ["SentPicture", "pictures_of", "save_video"]

_LONGEST_NAME = 200
_JSON_FORM = '{"pictures": [{"name": "a.jpg", "base64": "..."}]}'
_WHERE_OPTIONS = "options stand in the address, as in /predict?hide=lower"
_NAMELESS = (
    "A file needs a filename in its part; send it as curl --form pictures=@a.jpg or "
    "--form video=@a.mp4 does."
)
_RAW = ("image/", "application/octet-stream")
_CHUNK_BYTES = 1 << 20
_FIELD_BYTES = 1 << 14
"""Of what stands in a form beside its files, which is refused anyway."""
_SIGNS = (b"{", b"[", b",")
_SIGNS_A_PICTURE = 64
"""Two say what a picture is; the others are for its name."""
_WITHOUT_SPACE = dict.fromkeys(map(ord, string.whitespace))
_CHARSETS = (b"utf-8", b"utf8", b"us-ascii")


@dataclass(frozen=True)
class SentPicture:
    """A picture file's content, under the name that its rows bear."""

    name: str
    content: bytes


async def pictures_of(request: Request) -> list[SentPicture]:
    """Return the pictures of a request's body, by its Content-Type.

    Those without a name are called by their place, as in `#0`.

    Raises:
        RefusedError: 408 it doesn't come in time, 413 it is too long or too many, 415 of another
            type or packed, 422 no picture or of another form.
    """
    most = limits()
    kind = _kind(request)
    async with _in_time(most.request_seconds):
        if kind == "multipart/form-data":
            found = await _of_form(request, most.request_pictures)
        elif kind == "application/json":
            body = await _whole(request, most.request_bytes, "request_bytes")
            found = await asyncio.to_thread(_of_json, body, most.request_pictures)
        elif kind.startswith(_RAW) or not kind:
            found = [("", await _whole(request, most.request_bytes, "request_bytes"))]
        else:
            raise RefusedError(
                415,
                f"Content-Type {kind} isn't read; send multipart/form-data, image/* or "
                "application/json.",
            )
    if not found:
        raise RefusedError(422, "The request holds no picture; send one as a file.")
    return [
        SentPicture(_name(name) or f"#{place}", content)
        for place, (name, content) in enumerate(found)
    ]


async def save_video(request: Request, path: Path) -> str:
    """Write the video of a request's body to `path` and return its name, empty if it has none.

    It comes as it is (video/*) or as the one file of a multipart body.

    Raises:
        RefusedError: 408, 413, 415 and 422 as `pictures_of`.
    """
    most = limits()
    kind = _kind(request)
    # A long video may take its time, as long as bytes keep coming.
    seconds = most.request_seconds * -(-most.request_video_bytes // most.request_bytes)
    async with _in_time(seconds):
        if kind == "multipart/form-data":
            return await _one_file(request, path)
        if not (kind.startswith("video/") or kind in ("application/octet-stream", "")):
            raise RefusedError(
                415, f"Content-Type {kind} isn't read; send multipart/form-data or video/*."
            )
        with path.open("wb") as file:
            async for part in _bounded(request, most.request_video_bytes, "request_video_bytes"):
                await asyncio.to_thread(file.write, part)
            if not file.tell():
                raise RefusedError(422, "The request holds no video; send one as its body.")
    return ""


def _kind(request: Request) -> str:
    """Return the type of a request's body, empty if it names none.

    Raises:
        RefusedError: 415, the body is packed.
    """
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise RefusedError(
            415, f"Content-Encoding {_name(encoding)} isn't read; send the body as it is."
        )
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _name(text: str) -> str:
    return printable(text)[:_LONGEST_NAME]


@asynccontextmanager
async def _in_time(seconds: int) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise RefusedError(408, f"The request didn't come within {seconds} seconds.") from error


async def _bounded(request: Request, most: int, limit: str) -> AsyncGenerator[bytes, None]:
    """Yield a body as it comes, and no more of it than a limit allows."""
    told = request.headers.get("content-length", "")
    size = int(told) if told.isascii() and told.isdigit() and len(told) < 19 else 0
    if size > most:
        raise RefusedError(413, f"The request has {size:,} bytes, {over(limit)}.")
    read = 0
    async for part in request.stream():
        read += len(part)
        if read > most:
            raise RefusedError(413, f"The request is {over(limit)}.")
        yield part


async def _whole(request: Request, most: int, limit: str) -> bytes:
    return b"".join([part async for part in _bounded(request, most, limit)])


class _Parts(MultiPartParser):
    """The parser of a form, which refuses one that was cut off.

    Else the last picture of it would be missing without a word.
    """

    _has_ended = False

    def on_end(self) -> None:
        self._has_ended = True

    async def parse(self) -> FormData:
        self.stream = self._to_its_end(self.stream)
        return await super().parse()

    async def _to_its_end(self, body: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        async for part in body:
            yield part
        if not self._has_ended:
            raise RefusedError(
                422, "The multipart body ends before its closing boundary; send it again."
            )


@asynccontextmanager
async def _form(request: Request, most: int, limit: str, files: int) -> AsyncIterator[list[Any]]:
    """Yield the files of a multipart body, of which long ones lie on the disk."""
    # The parser decodes names with whatever is asked for; some codecs take the square of a length.
    given = parse_options_header(request.headers["content-type"])[1].get(b"charset", b"utf-8")
    if given.lower() not in _CHARSETS:
        raise RefusedError(
            415,
            f"Charset {printable(given[:_LONGEST_NAME].decode('latin-1'))} isn't read; send the "
            "form in UTF-8.",
        )
    parser = _Parts(
        request.headers,
        _bounded(request, most, limit),
        max_files=files,
        max_fields=files,
        max_part_size=_FIELD_BYTES,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if "Part exceeded" in error.message:
            raise RefusedError(422, _NAMELESS) from error
        too_many = "Too many files" in error.message
        why = error.message.rstrip(".")
        raise RefusedError(
            413 if too_many else 422, f"The multipart body can't be read ({why})."
        ) from error
    except (AssertionError, KeyError, LookupError, UnicodeError, ValueError) as error:
        raise RefusedError(
            422, f"The multipart body can't be read ({first_line(error)})."
        ) from error
    try:
        parts = form.multi_items()
        texts = [name for name, one in parts if isinstance(one, str) and one]
        if any(name in ("pictures", "video") for name in texts):
            raise RefusedError(422, _NAMELESS)
        _require_no_options(texts)
        yield [one for _, one in parts if isinstance(one, UploadFile)]
    finally:
        await form.close()


def _require_no_options(names: Iterable[str]) -> None:
    """Refuse what stands beside the pictures: who wrote an option there would miss its effect."""
    for name in names:
        raise RefusedError(422, f"Field {_name(name)} is no picture; {_WHERE_OPTIONS}.")


async def _of_form(request: Request, most: int) -> list[tuple[str, bytes]]:
    limit = limits().request_bytes
    async with _form(request, limit, "request_bytes", most) as files:
        return [(one.filename or "", await one.read()) for one in files]


async def _one_file(request: Request, path: Path) -> str:
    limit = limits().request_video_bytes
    async with _form(request, limit, "request_video_bytes", 1) as files:
        if len(files) != 1:
            raise RefusedError(422, "The request holds no video; send one as a file.")
        await asyncio.to_thread(_copy, files[0].file, path)
        return _name(files[0].filename or "")


def _copy(source: BinaryIO, path: Path) -> None:
    with path.open("wb") as file:
        while part := source.read(_CHUNK_BYTES):
            file.write(part)


def _of_json(body: bytes, most: int) -> list[tuple[str, bytes]]:
    # Two bytes can stand for an object of a hundred: counted before any is made.
    signs = sum(map(body.count, _SIGNS))
    if signs > _SIGNS_A_PICTURE * (most + 1):
        raise RefusedError(
            413,
            f"The JSON has {signs:,} brackets and commas, as no request has that isn't "
            f"{over('request_pictures')}.",
        )
    try:
        value = json_value(body)
    except ValueError as error:
        raise RefusedError(422, f"The body is no JSON ({first_line(error)}).") from error
    listed = value.get("pictures") if isinstance(value, dict) else None
    if not isinstance(listed, list):
        raise RefusedError(422, f"The JSON has another form than {_JSON_FORM}.")
    _require_no_options(name for name in value if name != "pictures")
    if len(listed) > most:
        raise RefusedError(413, f"The request holds {len(listed)}, {over('request_pictures')}.")
    return [_decoded(place, one) for place, one in enumerate(listed)]


def _decoded(place: int, one: Any) -> tuple[str, bytes]:
    if not isinstance(one, dict):
        one = {"base64": one}
    for key in one:
        if key not in ("name", "base64"):
            raise RefusedError(
                422, f"Field {_name(key)} of picture #{place} isn't read; {_WHERE_OPTIONS}."
            )
    name, text = one.get("name", ""), one.get("base64")
    if not isinstance(name, str) or not isinstance(text, str):
        raise RefusedError(422, f"Picture #{place} has another form than in {_JSON_FORM}.")
    head, comma, rest = text.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        text = rest
    try:
        # Lines are what base64 comes in from many programs.
        return name, base64.b64decode(text.translate(_WITHOUT_SPACE), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RefusedError(
            422,
            f"Picture #{place} is no base64 ({first_line(error)}); addresses and paths aren't read "
            "here, nor - and _ in the place of + and /.",
        ) from error
