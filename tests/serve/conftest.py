"""The page as written from this code, in a real Chromium."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hemiface import Predictor
from hemiface.models import shipped
from hemiface.serve.page import write_page


@pytest.fixture(scope="session")
def page_folder(
    face_networks: Path,  # noqa: ARG001 - pulled
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Path]:
    """The page with the two models that tests ask; no test may change it."""
    pytest.importorskip("onnx", reason="networks are made for browsers with the library onnx")
    folder = tmp_path_factory.mktemp("page") / "page"
    yield write_page(folder, models=["people-small-int8", "small"])
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def browser(page_folder: Path):
    """A Chromium beside the page; skips, saying so, where there is none."""
    pytest.importorskip("playwright", reason="a browser is driven with playwright")
    import chromium

    if chromium.executable() is None:
        pytest.skip("no Chromium is installed")
    with chromium.chromium(page_folder) as opened:
        yield opened


@pytest.fixture(scope="module")
def opened(browser):
    """The browser with a predictor that is ready."""
    browser.run(
        """async () => {
          const {openPredictor} = await import('/predictor.js');
          globalThis.predictor = await openPredictor();
        }"""
    )
    return browser


@pytest.fixture(scope="module")
def usual(face_networks: Path) -> Predictor:  # noqa: ARG001 - pulled
    """Python's Predictor with the page's default network."""
    return Predictor(shipped.default_model(in_videos=True))
