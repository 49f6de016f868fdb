"""The service: REST over the Predictor, and the page.

- POST /predict: pictures in, the table's rows out
- POST /watch: a video in, its frames' rows out as they come
- GET /health: whether it runs
- GET /metrics: counts, for Prometheus
- GET /docs: all of this, to be tried (OpenAPI)
- GET /: the page, which predicts in the browser
"""

import asyncio
import errno
import logging
import mimetypes
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.security import HTTPBearer
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from hemiface import __version__
from hemiface.errors import HemifaceError, UsageError
from hemiface.files import passing_folder, printable
from hemiface.limits import limits
from hemiface.occlusion.conditions import CONDITIONS
from hemiface.serve.answers import (
    FORMATS,
    asked_format,
    csv_of_video,
    lines_of_video,
    of_pictures,
    refused,
)
from hemiface.serve.bodies import SentPicture, pictures_of, save_video
from hemiface.serve.counts import Counted, Counts
from hemiface.serve.desk import Asked, Desk
from hemiface.serve.guard import Guard, is_name
from hemiface.serve.refusals import RefusedError
from hemiface.serve.written import ERRORS, PREDICT, WATCH
from hemiface.vision.faces import SCHEMA, Faces
from hemiface.vision.predictor import Predictor

__all__ = ["ServiceOptions", "create_app"]

log = logging.getLogger(__name__)

_ROUTES = ("/predict", "/watch", "/health", "/metrics")
_READ = "GET, HEAD"
_ALLOWED = {
    **dict.fromkeys(("/predict", "/watch"), "POST"),
    **dict.fromkeys(("/health", "/metrics", "/docs", "/openapi.json"), _READ),
}
_OPTIONS = (*(one.name for one in fields(Asked)), "format")
_VIDEO_OPTIONS = (*_OPTIONS, "smooth")
_PORTS = {"http": 80, "https": 443}
_FULL = (errno.ENOSPC, errno.EDQUOT)
_CLIENT_GONE = 499
"""What nginx logs for it; HTTP has no number for what nobody reads."""
_ABOUT = (
    "What emotion faces look like, how much of each can be seen, and why none is named where none "
    "is. Pictures are looked at in memory and kept nowhere."
)

Hide = Annotated[
    str | None, Query(description=f"What everybody hides: {', '.join(CONDITIONS)}, ...")
]
# No file: what a request names is never read here.
MixName = Annotated[
    Literal["trained", "balanced", "natural"] | None,
    Query(description="How often these pictures show each emotion."),
]
Flip = Annotated[bool | None, Query(description="Average with the mirrored view.")]
Below = Annotated[
    float | None, Query(ge=0, le=1, description="Give no label below this confidence.")
]
Smooth = Annotated[
    float | None,
    Query(gt=0, description="Smooth what is said of a face over its last moments, half-life in s."),
]
Format = Annotated[
    Literal["json", "csv", "jsonl"] | None, Query(description="Of the answer; else as Accept says.")
]
VideoFormat = Annotated[
    Literal["jsonl", "csv"] | None, Query(description="Of the answer; else as Accept says.")
]


def _asked(
    hide: Hide = None,
    mix: MixName = None,
    flip: Flip = None,
    abstain_below: Below = None,
) -> Asked:
    return Asked(hide, mix, flip, abstain_below)


def _only(options: Sequence[str]) -> Callable[[Request], None]:
    """Return what refuses a request that asks for anything else, or for one of them twice."""

    def refuse_others(request: Request) -> None:
        for name in request.query_params:
            if name not in options:
                raise UsageError(
                    f"Option {printable(name[:40])} is unknown; choose from {', '.join(options)}."
                )
            if len(request.query_params.getlist(name)) > 1:
                raise UsageError(f"Option {name} is given more than once; name it once.")

    return refuse_others


AskedFor = Annotated[Asked, Depends(_asked)]


@dataclass(frozen=True, kw_only=True)
class ServiceOptions:
    """How the service works, and for whom."""

    workers: int = 1
    """Threads that find faces."""
    page: Path | None = None
    """The folder of the page (`hemiface page`), None for none."""
    token: str = ""
    """What has to come with each request, empty for nothing."""
    hosts: frozenset[str] = frozenset()
    """Names that requests may be for, empty for any; see `serve.guard.allowed_hosts`."""
    origins: tuple[str, ...] = ()
    """Pages from elsewhere that may ask, such as https://lab.example."""

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise UsageError(f"The service needs at least 1 worker, got {self.workers}.")
        for one in self.hosts:
            if not is_name(one):
                raise UsageError(
                    f"Host {printable(one)} is no name alone, such as lab.example, without scheme, "
                    "port, path, brackets or *."
                )
        for one in self.origins:
            right = _origin_of(one)
            # Anything else would never be equal.
            if right != one or not right:
                raise UsageError(
                    f"Origin {printable(one)} is no scheme and host alone as browsers name them; "
                    f"write {right or 'one such as https://lab.example'}."
                )


def _origin_of(text: str) -> str:
    """Return how a browser names the origin of an address, empty if it never does."""
    # `null` are pages of files and those that are shut in.
    if text == "null":
        return text
    try:
        parts = urlsplit(text)
        host = (parts.hostname or "").encode("idna").decode()
        port = parts.port
    except ValueError:
        return ""
    if not (parts.scheme and is_name(host)):
        return ""
    shown = f"[{host}]" if ":" in host else host
    is_usual = port is None or port == _PORTS.get(parts.scheme)
    return f"{parts.scheme}://{shown}" + ("" if is_usual else f":{port}")


def create_app(predictor: Predictor, options: ServiceOptions | None = None) -> FastAPI:
    """Return the service as an ASGI application, for any server that runs one.

    A server that is to end may call `app.state.refuse_waiting()` in its event loop: then who waits
    for a turn is told to ask again, and the others have its last seconds for themselves.

    Raises:
        UsageError: an option is out of range.
    """
    options = options or ServiceOptions()
    service = _Service(predictor, options.workers)
    # The guard asks for it; the page of REST has to know that it does.
    known = [Depends(HTTPBearer(auto_error=False))] if options.token else []
    app = FastAPIOffline(
        redoc_url=None,
        title="hemiface",
        version=__version__,
        description=_ABOUT,
        lifespan=service.lifespan,
        swagger_ui_oauth2_redirect_url="/docs/oauth2-redirect",
        redirect_slashes=False,
    )
    app.add_api_route(
        "/predict", service.predict, methods=["POST"], openapi_extra=PREDICT, responses=ERRORS,
        response_model=None, summary="The faces of pictures",
        dependencies=[Depends(_only(_OPTIONS)), *known],
    )  # fmt: skip
    app.add_api_route(
        "/watch", service.watch, methods=["POST"], openapi_extra=WATCH, responses=ERRORS,
        response_model=None, summary="The faces of a video's frames, as they come",
        dependencies=[Depends(_only(_VIDEO_OPTIONS)), *known],
    )  # fmt: skip
    app.add_api_route("/health", service.health, methods=["GET"], summary="Whether it runs")
    app.add_api_route(
        "/metrics", service.metrics, methods=["GET"], response_class=PlainTextResponse,
        response_model=None, summary="Counts, for Prometheus", dependencies=known,
    )  # fmt: skip
    # Some watch a service by asking for its head alone.
    app.add_api_route("/health", service.health, methods=["HEAD"], include_in_schema=False)
    app.add_api_route(
        "/metrics", service.metrics, methods=["HEAD"], response_model=None, include_in_schema=False
    )
    for route in app.routes:
        # That of its description's pages, which have no head of their own.
        if isinstance(route, Route) and not route.include_in_schema and route.methods == {"GET"}:
            route.methods.add("HEAD")
    # Else the page would be asked for these, and say that there is nothing, or allow its methods.
    for path, allowed in _ALLOWED.items():
        app.router.routes.append(Route(path, _AnotherMethod(allowed), include_in_schema=False))
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(UsageError, _misused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _elsewhere)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(HemifaceError, _failed)
    app.add_exception_handler(OSError, _failed)
    app.state.refuse_waiting = service.refuse_waiting
    _add_page(app, options.page)
    # What is added last sees a request first.
    if options.origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=options.origins, allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
        )  # fmt: skip
    app.add_middleware(Guard, hosts=options.hosts, origins=options.origins, token=options.token)
    app.add_middleware(Counted, counts=service.counts, paths=_ROUTES)
    return app


class _Service:
    """What answers requests."""

    def __init__(self, predictor: Predictor, workers: int) -> None:
        self._predictor = predictor
        self.counts = Counts(__version__, predictor.model.path.stem, lambda: self._desk.here)
        self._desk = Desk(predictor, workers, self.counts.batches.observe)

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        async with self._desk.open():
            yield

    def refuse_waiting(self) -> None:
        """Refuse with 503 who waits for a turn, from now on."""
        self._desk.refuse_waiting()

    async def predict(
        self,
        request: Request,
        asked: AskedFor,
        format: Format = None,  # noqa: A002 - the name that users write
    ) -> Response:
        """Return a row for each face of each picture, with the columns of `hemiface predict`.

        Of several pictures those that can't be read are named in `sources` with the reason.
        """
        self._desk.with_options(asked)
        async with self._desk.admitted():
            found = await self._look(await pictures_of(request), asked)
        for faces in found:
            self._count(faces)
        return of_pictures(found, asked_format(request, format, "json"))

    async def _look(self, pictures: Sequence[SentPicture], asked: Asked) -> list[Faces]:
        try:
            async with asyncio.TaskGroup() as group:
                own = self._desk.own_turns()
                looked = [group.create_task(self._desk.look(one, asked, own)) for one in pictures]
        except* HemifaceError as errors:
            first = errors.exceptions[0]
            raise first from None
        return [one.result() for one in looked]

    async def watch(
        self,
        request: Request,
        asked: AskedFor,
        smooth: Smooth = None,
        format: VideoFormat = None,  # noqa: A002 - the name that users write
    ) -> Response:
        """Return what each frame shows; faces keep their numbers.

        JSON lines come while the video is watched and hold one frame each; the last line has the
        number of frames and, where the video ended before its end, the reason. CSV comes when all
        of the video has been watched.
        """
        if find_spec("av") is None:
            raise RefusedError(501, "Videos need PyAV here; pip install 'hemiface[video]'.")
        self._desk.with_options(asked)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._desk.admitted())
            path = stack.enter_context(passing_folder()) / "video"
            name = await save_video(request, path) or "video"
            kind = asked_format(request, format, "jsonl")
            kind = "jsonl" if kind == "json" else kind
            frames = await _begun(self._counted(self._desk.watch(path, name, asked, smooth)))
            answer = (
                await _whole_csv(request, frames, path) if kind == "csv" else _as_they_come(frames)
            )
            return _Held(answer, until=stack.pop_all())

    async def _counted(self, frames: AsyncIterator[Faces | str]) -> AsyncIterator[Faces | str]:
        async for found in frames:
            if isinstance(found, Faces):
                self._count(found)
            yield found

    def _count(self, faces: Faces) -> None:
        self.counts.pictures.inc()
        self.counts.faces.inc(len(faces))

    async def health(self) -> dict[str, str | int]:
        """Say that the service runs, and with what."""
        return {
            "status": "ok",
            "version": __version__,
            "model": self._predictor.model.path.stem,
            "model_in_videos": self._predictor.model_in_videos,
            "schema": SCHEMA,
        }

    async def metrics(self) -> Response:
        """Return counts of requests, pictures, faces and batches, and the process's memory."""
        return Response(self.counts.text(), media_type=CONTENT_TYPE_LATEST)


async def _begun(frames: AsyncIterator[Faces | str]) -> AsyncIterator[Faces | str]:
    """Return frames of which the first one has come.

    Raises:
        RefusedError: 422, there is none.
    """
    first = await anext(frames, "The video has no frames.")
    if isinstance(first, str):
        raise RefusedError(422, first)

    async def all_of_them() -> AsyncIterator[Faces | str]:
        yield first
        async for one in frames:
            yield one

    return all_of_them()


def _as_they_come(frames: AsyncIterator[Faces | str]) -> Response:
    return StreamingResponse(lines_of_video(frames), media_type=FORMATS["jsonl"])


async def _whole_csv(request: Request, frames: AsyncIterator[Faces | str], video: Path) -> Response:
    """Return the table of all frames.

    Raises:
        ClientDisconnect: nobody waits for it any more.
        RefusedError: as `csv_of_video`.
    """
    table = video.with_name("faces.csv")
    with table.open("w", encoding="utf-8", newline="") as file:
        async for part in csv_of_video(frames):
            file.write(part)
            if await request.is_disconnected():
                raise ClientDisconnect
    return FileResponse(table, media_type=FORMATS["csv"])


class _Held(Response):
    """An answer that holds what it needs until it is sent, or nobody wants it any more."""

    def __init__(self, answer: Response, until: AsyncExitStack) -> None:
        super().__init__()
        self._answer = answer
        self._until = until

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        seconds = limits().request_seconds

        async def send_in_time(message: Message) -> None:
            try:
                async with asyncio.timeout(seconds):
                    await send(message)
            except TimeoutError as error:
                raise _UnreadError from error

        async with self._until:
            try:
                await self._answer(scope, receive, send_in_time)
            except* _UnreadError:
                # It stays without an end: for that the server closes the connection.
                pass


class _UnreadError(Exception):
    """Nobody reads the answer."""


def _add_page(app: FastAPI, page: Path | None) -> None:
    if page is None:
        app.add_api_route(
            "/", _to_docs, methods=["GET", "HEAD"], include_in_schema=False, response_model=None
        )
        return
    # Some systems know neither, and browsers run nothing of an unknown type.
    for suffix, kind in ((".mjs", "text/javascript"), (".wasm", "application/wasm"),
                         (".webmanifest", "application/manifest+json")):  # fmt: skip
        mimetypes.add_type(kind, suffix)
    app.mount("/", _Page(directory=page, html=True), name="page")


async def _to_docs(request: Request) -> Response:
    return RedirectResponse(f"{request.scope.get('root_path', '')}/docs")


class _Page(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file; of one that isn't there say so, whatever is asked of it."""
        if scope["method"] in ("GET", "HEAD"):
            return await super().get_response(path, scope)
        await super().get_response(path, {**scope, "method": "HEAD"})
        raise HTTPException(405, headers={"Allow": _READ})


class _AnotherMethod:
    """Answers at a path all methods that nothing before it did."""

    def __init__(self, allowed: str) -> None:
        self._allowed = allowed

    async def __call__(self, *_: object) -> None:
        raise HTTPException(405, headers={"Allow": self._allowed})


def _refused(_: Request, error: Exception) -> JSONResponse:
    return refused(error.status if isinstance(error, RefusedError) else 500, str(error))


def _misused(_: Request, error: Exception) -> JSONResponse:
    return refused(422, str(error))


def _invalid(_: Request, error: Exception) -> JSONResponse:
    """Say in one sentence which option of a request is wrong."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    where, what = found[0]["loc"][-1], str(found[0]["msg"])
    return refused(422, f"Option {where}: {what[0].lower()}{what[1:]}.")


def _failed(_: Request, error: Exception) -> JSONResponse:
    """Answer that this machine can't; why, with its paths, is for its own log alone."""
    log.error("%s", error, exc_info=None if isinstance(error, HemifaceError) else error)
    if any(getattr(one, "errno", None) in _FULL for one in (error, error.__cause__)):
        return refused(507, "The service's disk is full; try again when it has some space.")
    return refused(503, "The service can't work at the moment; its log says why.")


def _gone(_: Request, __: Exception) -> Response:
    """Answer who went away before all was sent: nobody reads it, but it is counted."""
    return Response(status_code=_CLIENT_GONE)


def _elsewhere(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    known = {404: "There is nothing here; see /docs.", 405: "Another method is needed; see /docs."}
    sentence = known.get(error.status_code, str(error.detail))
    return refused(error.status_code, sentence, error.headers)
