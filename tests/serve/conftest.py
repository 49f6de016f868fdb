"""The page as it is served, and a browser to look at it."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import hemiface
from hemiface.models import shipped
from hemiface.serve.page import write_page


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Keep every request out of the tests' output."""


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="session")
def served() -> Callable[[Path], AbstractContextManager[str]]:
    """Serves a folder's files on this machine while it is entered; gives the address."""
    return _served


@pytest.fixture(scope="session")
def example() -> Path:
    """The rendered faces that the page offers to try."""
    return Path(hemiface.__file__).parent / "serve" / "web" / "example.png"


@pytest.fixture(scope="session")
def page_folder(tmp_path_factory: pytest.TempPathFactory, face_networks: Path) -> Path:
    """The page as static files, with the default network alone."""
    del face_networks  # It takes them from the cache.
    name = shipped.default_model()
    assert name is not None
    return write_page(tmp_path_factory.mktemp("page") / "site", models=[name])


@pytest.fixture(scope="session")
def camera_film(tmp_path_factory: pytest.TempPathFactory, example: Path) -> Path:
    """A film for a browser's fake camera: the rendered face in the middle, moving a little."""
    with Image.open(example) as opened:
        wide = np.asarray(opened.convert("RGB"))
    film = tmp_path_factory.mktemp("camera") / "film.mjpeg"
    with film.open("wb") as file:
        for shift in (0, 4, 8, 4):
            part = wide[:, 520 + shift : 1040 + shift]
            Image.fromarray(part).resize((640, 566)).crop((0, 43, 640, 523)).save(file, "JPEG")
    return film


@pytest.fixture(scope="session")
def chromium(camera_film: Path) -> Iterator[Any]:
    """A headless Chromium with a fake camera; skips, saying so, where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright isn't installed")
    installed = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_api.sync_playwright() as playwright:
        program = installed or playwright.chromium.executable_path
        if not Path(program).is_file():
            pytest.skip("no Chromium is installed (CHROMIUM names one elsewhere)")
        browser = playwright.chromium.launch(
            executable_path=program,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-video-capture={camera_film}",
            ],
        )
        yield browser
        browser.close()
