"""A real Chromium that runs the page's own modules on pixels that Python decoded.

Decoders differ, so photos are handed over as raw RGBA: what is compared then is the prediction.
"""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hemiface.errors import HemifaceError

POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; worker-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'"
)
"""What the page allows itself, so that nothing that is tested here needs more."""

BLANK = "/blank.html"
"""An empty document under the policy, beside the page."""

_GIVEN = "/given/"
_ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")

# What every test asks: typed arrays as lists, a photo by its name, the predictor.
_HELPERS = """async () => {
  const listed = (_, value) => ArrayBuffer.isView(value) ? Array.from(value) : value;
  globalThis.plain = (value) => JSON.parse(JSON.stringify(value, listed));
  globalThis.given = async ({name, width, height}) => {
    const answer = await fetch(`/given/${name}`);
    return {data: new Uint8ClampedArray(await answer.arrayBuffer()), width, height};
  };
}"""


class Chromium:
    """A page of a browser, with a folder behind it; `run` asks it to compute something."""

    def __init__(self, page: Any, address: str, given: dict[str, bytes]) -> None:
        self.page = page
        self.address = address
        self._given = given
        self._tools = page.context.new_cdp_session(page)
        self._tools.send("Performance.enable")
        self.open(BLANK)

    def open(self, path: str) -> None:
        """Load a document of the folder anew."""
        self.page.goto(self.address + path)
        self.page.evaluate(_HELPERS)

    def run(self, script: str, argument: Any = None) -> Any:
        """Return what a JavaScript function returns; its errors are raised."""
        return self.page.evaluate(script, argument)

    def cpu_ms(self) -> float:
        """Return the processor time that the page's thread has taken, whatever else ran."""
        metrics = self._tools.send("Performance.getMetrics")["metrics"]
        (seconds,) = [one["value"] for one in metrics if one["name"] == "ThreadTime"]
        return 1000 * float(seconds)

    def give(self, name: str, pixels: npt.NDArray[np.uint8]) -> dict[str, Any]:
        """Hand over RGB or RGBA [height, width, 3 or 4]; return what `given` in the page takes."""
        height, width = pixels.shape[:2]
        if pixels.shape[2] == 3:
            pixels = np.dstack([pixels, np.full((height, width), 255, dtype=np.uint8)])
        self._given[_GIVEN + name] = pixels.tobytes()
        return {"name": name, "width": width, "height": height}

    def give_file(self, path: str, content: bytes) -> None:
        """Let the server answer a path with this in place of what the folder has."""
        self._given[path] = content

    def take_back(self, path: str) -> None:
        """Let the server answer a path with what the folder has again."""
        del self._given[path]


def executable() -> str | None:
    """Return where a Chromium lies that the system brought, None without one."""
    named = os.environ.get("HEMIFACE_CHROMIUM")
    return named or shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def served(folder: Path, port: int = 0) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield the address of a server of this folder, and what it gives by path beside that.

    Port 0 is any that is free.
    """
    given: dict[str, bytes] = {BLANK: b"<!doctype html><title>blank</title>"}

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Say nothing."""

        def end_headers(self) -> None:
            self.send_header("Content-Security-Policy", POLICY)
            self.send_header("Cache-Control", "no-cache")
            super().end_headers()

        def do_GET(self) -> None:
            if self.path not in given:
                super().do_GET()
                return
            content = given[self.path]
            self.send_response(200)
            self.send_header("Content-Type", self.guess_type(self.path))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, directory=str(folder)))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", given
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def chromium(folder: Path) -> Iterator[Chromium]:
    """Yield a headless Chromium on a server of this folder.

    Raises:
        HemifaceError: there is no Chromium.
    """
    from playwright.sync_api import sync_playwright

    path = executable()
    if path is None:
        raise HemifaceError("There is no Chromium; install it, or name one in HEMIFACE_CHROMIUM.")
    with served(folder) as (address, given), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_ARGUMENTS))
        try:
            yield Chromium(browser.new_page(), address, given)
        finally:
            browser.close()
