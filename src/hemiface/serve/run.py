"""Listening, and answering until somebody ends it."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from hemiface.errors import HemifaceError, UsageError
from hemiface.inputs import read_bytes
from hemiface.limits import limits
from hemiface.processes import TOKEN_VARIABLE

__all__ = ["address_of", "listen", "run", "token_of"]

_SHORTEST_TOKEN = 16
_PATIENCE_S = 7
"""For requests that are being answered when the service is to end; Docker kills it after 10 s."""


def token_of(file: Path | None) -> str:
    """Return the token in `file`, else that in the environment, empty if there is none.

    On the command line every user of the machine could read it.

    Raises:
        UsageError: the file can't be read, or the token is short or more than a word.
    """
    text = os.environ.get(TOKEN_VARIABLE, "")
    if file is not None:
        try:
            text = read_bytes(file, "text_bytes", "Token", UsageError).decode()
        except (OSError, ValueError) as error:
            raise UsageError(f"Token {file} can't be read; name a file of one word.") from error
    token = text.strip()
    is_word = token.isascii() and token.isprintable() and " " not in token
    if (file or token) and not (is_word and len(token) >= _SHORTEST_TOKEN):
        raise UsageError(
            f"The token must be one word of at least {_SHORTEST_TOKEN} letters and digits."
        )
    return token


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at `host` and `port`; port 0 is any that is free.

    Raises:
        HemifaceError: the port is taken or may not be used, or the host isn't this machine's.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise HemifaceError(
            f"Nothing can listen at {host}, port {port} ({why}); name others with --host and "
            "--port."
        ) from error
    # asyncio lets answers go at once (TCP_NODELAY) only where the protocol is named: else each
    # waits 40 ms for the client's word that it has the headers.
    return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=made.detach())


def address_of(listening: socket.socket) -> str:
    """Return the address to write into a browser on this machine."""
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - what was asked for
        host = "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def run(
    app: FastAPI,
    listening: socket.socket,
    on_ready: Callable[[], None],
    on_end: Callable[[], None] = lambda: None,
) -> None:
    """Answer until Ctrl-C, SIGTERM or SIGHUP, and what is being answered then, for seven seconds.

    `on_end` is called before these.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        # Only the end of the patience cancels what answers, and no traceback is about that.
        with suppress(asyncio.CancelledError):
            await app(scope, receive, send)

    config = uvicorn.Config(
        answer,
        http=_Protocol,
        log_level="error",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_PATIENCE_S,
    )
    server = _Server(config, on_ready, on_end)
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        # The server has ended properly and hands on what ended it.
        return


class _Protocol(H11Protocol):
    """HTTP, with an end for connections that bring no request, or from which no answer is read.

    For both there are Limits.request_seconds.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._seconds = limits().request_seconds
        self._asking: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None
        self._await_header()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for one in (self._asking, self._reading):
            if one:
                one.cancel()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._await_header()
        if self.transport.is_closing():
            self._await_reader()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._await_reader()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._reading:
            self._reading.cancel()
        if self.transport.is_closing():
            self._await_reader()

    def _await_header(self) -> None:
        if self._asking:
            self._asking.cancel()
        self._asking = self.loop.call_later(self._seconds, self._require_header, self.scope)

    def _require_header(self, before: object) -> None:
        # Each request has a scope of its own, as soon as its header is whole.
        if self.scope is before and (self.cycle is None or self.cycle.response_complete):
            self.transport.abort()

    def _await_reader(self) -> None:
        if self._reading:
            self._reading.cancel()
        left = self.transport.get_write_buffer_size()
        self._reading = self.loop.call_later(self._seconds, self._require_reader, left)

    def _require_reader(self, before: int) -> None:
        # A long answer to a slow line may take its time, as long as some of it is read.
        if self.transport.get_write_buffer_size() < before:
            self._await_reader()
        else:
            self.transport.abort()


class _Server(uvicorn.Server):
    def __init__(
        self, config: uvicorn.Config, on_ready: Callable[[], None], on_end: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._on_end = on_end

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals that end a server, and a terminal that closes."""
        hangup = getattr(signal, "SIGHUP", None)
        here = threading.current_thread() is threading.main_thread()
        # What is ignored, as under nohup, or has another handler stays as it is.
        if not here or hangup is None or signal.getsignal(hangup) is not signal.default_int_handler:
            with super().capture_signals():
                yield
            return
        signal.signal(hangup, self.handle_exit)
        try:
            with super().capture_signals():
                yield
        finally:
            signal.signal(hangup, signal.default_int_handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_end()
        await super().shutdown(sockets)
