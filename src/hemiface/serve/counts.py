"""What the service counts, for Prometheus: numbers alone, nothing about any picture."""

import time
from collections.abc import Callable, Collection

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hemiface.serve.guard import path_here

__all__ = ["Counted", "Counts"]

_BATCHES = (1, 2, 4, 8, 16, 32)


class Counts:
    """The counts of one service.

    `here` tells how many requests are here.
    """

    def __init__(self, version: str, model: str, here: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        about = Info("hemiface", "What answers.", registry=self._registry)
        about.info({"version": version, "model": model})
        self._requests = Counter(
            "hemiface_requests", "Requests by path and status.", ("path", "status"),
            registry=self._registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "hemiface_request_seconds", "Seconds from a request to its answer.", ("path",),
            registry=self._registry,
        )  # fmt: skip
        self.pictures = Counter(
            "hemiface_pictures", "Pictures and frames looked at.", registry=self._registry
        )
        self.faces = Counter("hemiface_faces", "Faces found.", registry=self._registry)
        self.batches = Histogram(
            "hemiface_batch_pictures", "Pictures whose faces one batch held.", buckets=_BATCHES,
            registry=self._registry,
        )  # fmt: skip
        waiting = Gauge("hemiface_requests_here", "Requests here now.", registry=self._registry)
        waiting.set_function(lambda: float(here()))

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def text(self) -> bytes:
        """Return all of it as Prometheus reads it."""
        return generate_latest(self._registry)


class Counted:
    """ASGI middleware that counts answers to requests for `paths`; all others are one, `/`."""

    def __init__(self, app: ASGIApp, *, counts: Counts, paths: Collection[str]) -> None:
        self._app = app
        self._counts = counts
        self._paths = frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request and count the answer, also one that breaks off."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status, path = time.perf_counter(), 500, path_here(scope)

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_on)
        finally:
            path = path if path in self._paths else "/"
            self._counts.answered(path, status, time.perf_counter() - begun)
