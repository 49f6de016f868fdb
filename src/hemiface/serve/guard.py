"""Who may ask: by host name, by the page that a browser asks from, and by token.

A service on one's own machine can be reached by every page that one's browser shows. So the name
that a request is for must be this machine's (else a page whose name was bound to 127.0.0.1 would
pass for ours), and a page from elsewhere may not ask unless it was named.
"""

import asyncio
import hmac
import ipaddress
import re
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hemiface.serve.answers import refused
from hemiface.serve.refusals import ENDING

__all__ = ["PAGE_POLICY", "Guard", "allowed_hosts", "is_loopback", "is_name", "path_here"]

PAGE_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; worker-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What a browser lets the page do: nothing but with files of this service."""
_DOCS_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    # Else browsers show a page for days, also when another program has its port.
    "cache-control": "no-cache",
    # Alone in its process, the page may use threads.
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
}
_BROKEN = "The service failed at this request; its log says why."
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_SIGNS = re.compile(r"[\w.:%-]+", re.ASCII)
"""Of a host's name as it comes; browsers write others as xn--."""
_READING = ("GET", "HEAD", "OPTIONS")
_ASKING = ("/predict", "/watch", "/metrics")


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a service that listens at `host`.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_name(host: str) -> bool:
    """Return whether a request may be for a host of that name: anything more is never equal.

    >>> is_name("lab.example"), is_name("::1"), is_name("lab.example:8000"), is_name("*")
    (True, True, False, False)
    """
    address = f"[{host}]" if ":" in host else host
    return host.lower() == _name(f"//{address}") and _SIGNS.fullmatch(host) is not None


def allowed_hosts(host: str, named: Collection[str]) -> frozenset[str]:
    """Return the names that requests may be for, empty for any.

    Those of a service that only this machine reaches are this machine's and what is `named`; of
    another nobody knows by which names it is reached, unless they are named.
    """
    if is_loopback(host):
        return _LOOPBACK | {host} | frozenset(named)
    return frozenset(named)


def path_here(scope: Scope) -> str:
    """Return a request's path as the service's routes know it: without what it is mounted under.

    As Starlette's router takes it, so that what is guarded is what is answered.

    >>> path_here({"path": "/face/predict", "root_path": "/face"}), path_here({"path": "/predict"})
    ('/predict', '/predict')
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    rest = path.removeprefix(root)
    return rest if not rest or rest.startswith("/") else path


class Guard:
    """ASGI middleware that lets nobody through who may not ask, and adds headers for browsers.

    `hosts` are the names that requests may be for (empty: any), `origins` pages from elsewhere that
    may ask, `token` what has to come as `Authorization: Bearer TOKEN` (empty: nothing).
    """

    def __init__(
        self, app: ASGIApp, *, hosts: Collection[str], origins: Collection[str], token: str
    ) -> None:
        self._app = app
        self._hosts = frozenset(one.lower() for one in hosts)
        self._origins = frozenset(origins)
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or say why it isn't answered, also where answering failed.

        Raises:
            Exception: what answering raised, after it was told, for the server's log.
            CancelledError: the server waits no longer, which was told too.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        path = path_here(scope)
        status, sentence = self._why_not(scope["method"], path, headers)
        origin = headers.get("origin", "")
        added = {**_ALWAYS, **_policy(path)}
        # The app adds them to its own answers; without them a page can't read why not.
        for_pages: dict[str, str] = {}
        if origin in self._origins:
            added["cross-origin-resource-policy"] = "cross-origin"
            for_pages = {"access-control-allow-origin": origin, "vary": "Origin"}
        has_begun = False

        async def send_more(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            if message["type"] == "http.response.start":
                raw = [(name.encode(), one.encode()) for name, one in added.items()]
                message = {**message, "headers": [*message["headers"], *raw]}
            await send(message)

        if status:
            added |= for_pages
            await refused(status, sentence)(scope, receive, send_more)
            return
        try:
            await self._app(scope, receive, send_more)
        except (Exception, asyncio.CancelledError) as error:
            if not has_begun:
                added |= for_pages
                is_ending = isinstance(error, asyncio.CancelledError)
                answer = refused(503, ENDING) if is_ending else refused(500, _BROKEN)
                await answer(scope, receive, send_more)
            raise

    def _why_not(self, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, str]:
        """Return a status and a sentence, or 0 and nothing."""
        host = headers.get("host", "")
        if self._hosts and _name(f"//{host}") not in self._hosts:
            return 403, "This service isn't reached under that name; start it with --allowed-host."
        origin = headers.get("origin", "")
        is_ours = origin in self._origins or origin.lower().partition("://")[2] == host.lower()
        if origin and method not in _READING and not is_ours:
            return 403, "Pages from elsewhere may not ask; start the service with --origin."
        if self._token and path in _ASKING and method != "OPTIONS":
            scheme, _, given = headers.get("authorization", "").partition(" ")
            is_right = hmac.compare_digest(given.strip().encode(), self._token)
            if scheme.lower() != "bearer" or not is_right:
                return 401, "This service wants its token as Authorization: Bearer TOKEN."
        return 0, ""


def _name(address: str) -> str:
    """Return the host's name of an address, empty if it has none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _policy(path: str) -> dict[str, str]:
    return {"content-security-policy": _DOCS_POLICY if path == "/docs" else PAGE_POLICY}
