"""The page in a real browser with its real networks: what people do with it, and what they see."""

import base64
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import chromium
from hemiface.models import shipped
from hemiface.serve.page import WEB, PageStart, write_page
from hemiface.tables import EMOTIONS
from hemiface.vision.predictor import Predictor

pytestmark = pytest.mark.slow

EXAMPLE = WEB / "example.png"
HALVES = ("upper", "lower", "left", "right")
PAGES = shipped.default_model(in_videos=True)
"""What the page reads faces with unless told."""
NEAR = 0.03
"""How far a probability may lie from Python's: a browser decodes and resizes by itself."""
WAIT_MS = 60_000
POLLS = 800
"""Of 50 ms: on two busy cores a face takes seconds."""

BUSY_ONCE = """() => {
  window.busyOnce = new Promise((done) => {
    const stage = document.getElementById('stage');
    new MutationObserver((_, observer) => {
      observer.disconnect();
      done();
    }).observe(stage, { attributes: true, attributeFilter: ['aria-busy'] });
  });
}"""
"""Makes a promise that holds when the page has begun to look."""

TITLES = "values => values.map(one => one.getAttribute('title'))"


class Visit:
    """A page that is open in a browser, and everything it asked for and complained of."""

    def __init__(self, page: Any, address: str) -> None:
        self.page, self.address = page, address
        self.asked: list[str] = []
        self.complaints: list[str] = []
        page.set_default_timeout(WAIT_MS)
        page.context.on("request", lambda request: self.asked.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._hear)

    def _hear(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def open(self) -> None:
        self.page.goto(self.address)
        self.page.locator("#model:enabled").wait_for(state="attached")

    def give(self, picture: Path, kind: str = "image/png") -> None:
        # Else what is there of the picture before may pass for what is read.
        self.page.evaluate(BUSY_ONCE)
        self.page.locator("#file").set_input_files(
            {"name": picture.name, "mimeType": kind, "buffer": picture.read_bytes()}
        )
        self.page.evaluate("() => window.busyOnce")
        self.read()

    def reset(self) -> None:
        """Look at the rendered faces, the first one chosen and nothing over it."""
        if self.page.locator(".face").count() != 3:
            self.page.locator("#example").click()
            self.page.locator(".face").nth(2).wait_for()
        self.press("map", "")
        self.press("cover", "nothing")
        self.page.locator(".face input").first.check(force=True)
        self.read()
        self.page.locator("#why", has_text="nothing hidden").wait_for()

    def open_settings(self) -> None:
        self.page.evaluate("() => { document.querySelector('details').open = true; }")

    def press(self, group: str, value: str) -> None:
        self.page.locator(f"input[name={group}][value='{value}']").check(force=True)

    def read(self) -> None:
        """Wait until the chosen face is read in every way."""
        self.page.locator("#halves:visible").wait_for()
        self.page.locator("#stage:not([aria-busy])").wait_for()

    def cover(self, kind: str) -> None:
        self.press("cover", kind)
        words = {"nothing": "nothing hidden", "box": "black box"}.get(kind, kind)
        self.page.locator("#why", has_text=words).wait_for()

    def bars(self) -> list[float]:
        # In one call: read one by one, half of them may be of the reading before.
        titles = self.page.locator("#bars .value").evaluate_all(TITLES)
        return [float(one) for one in titles]

    def label(self) -> str:
        return str(self.page.locator("#label").inner_text())

    def box_of(self, selector: str) -> dict[str, float]:
        return dict(self.page.locator(selector).bounding_box())

    def until_bars_differ(self, before: list[float]) -> list[float]:
        for _ in range(POLLS):
            if (now := self.bars()) != before:
                return now
            self.page.wait_for_timeout(50)
        raise AssertionError(f"the bars stayed at {before}")


@pytest.fixture(scope="module")
def portrait(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The middle one of the rendered faces, 280 x 260 pixels."""
    path = tmp_path_factory.mktemp("portrait") / "portrait.png"
    with Image.open(EXAMPLE) as picture:
        picture.crop((494, 0, 1054, 520)).resize((280, 260)).save(path)
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory, portrait: Path) -> Path:
    """A film for a browser's fake camera: the portrait, moving a little."""
    path = tmp_path_factory.mktemp("camera") / "film.mjpeg"
    with Image.open(portrait) as picture, path.open("wb") as file:
        large = picture.convert("RGB").resize((640, 594))
        for shift in (0, 3, 6, 3):
            large.crop((0, shift, 640, shift + 480)).save(file, "JPEG")
    return path


@pytest.fixture(scope="module")
def headless(film: Path) -> Iterator[Any]:
    """A browser with a fake camera; skips, saying so, where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="a browser is driven with playwright")
    path = chromium.executable()
    if path is None:
        pytest.skip("no Chromium is installed")
    arguments = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    ]
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@contextmanager
def visiting(headless: Any, address: str, **context: Any) -> Iterator[Visit]:
    """Open the page; then see that it asked its own server alone and complained of nothing."""
    settings = {"service_workers": "block", "viewport": {"width": 1280, "height": 900}} | context
    opened = headless.new_context(**settings)
    visit = Visit(opened.new_page(), f"{address}/")
    try:
        visit.open()
        yield visit
        assert visit.complaints == []
        assert [one for one in visit.asked if not one.startswith((f"{address}/", "blob:"))] == []
    finally:
        opened.close()


@pytest.fixture(scope="module")
def opened(headless: Any, page_folder: Path) -> Iterator[Visit]:
    with chromium.served(page_folder) as (address, _), visiting(headless, address) as visit:
        yield visit


@pytest.fixture
def visit(opened: Visit) -> Iterator[Visit]:
    """The one page of all tests that need no other, looking at the rendered faces."""
    opened.reset()
    yield opened
    assert opened.complaints == []


@pytest.fixture(scope="module")
def answers(usual: Predictor) -> dict[str, Any]:
    """What Python says of the rendered faces: condition -> its faces, the largest first."""
    whole = {"full": usual.predict(EXAMPLE).faces}
    return whole | {half: Predictor(PAGES, hide=half).predict(EXAMPLE).faces for half in HALVES}


def test_rendered_faces_are_read_as_python_reads_them(visit, answers):
    faces = answers["full"]
    assert visit.page.locator(".face").count() == len(faces) == 3
    for index, face in enumerate(faces):
        visit.page.locator(".face input").nth(index).check(force=True)
        visit.page.locator("#label", has_text=face.label).wait_for()
        name = visit.page.locator(".face.chosen input").get_attribute("aria-label")
        assert name.startswith(f"Face {index + 1} of 3: {face.label}, ")
        assert np.allclose(visit.bars(), face.probabilities, atol=NEAR)


def test_half_buttons_and_strip_say_what_hide_says_in_python(visit, answers):
    for half in HALVES:
        visit.cover(half)
        expected = answers[half][0]
        assert np.allclose(visit.bars(), expected.probabilities, atol=NEAR)
        assert visit.label() == expected.label
    labels = visit.page.locator("#strip .label").all_inner_texts()
    assert labels == [answers[name][0].label for name in ("full", *HALVES)]
    visit.cover("nothing")
    assert np.allclose(visit.bars(), answers["full"][0].probabilities, atol=NEAR)
    # Two numbers for one face would be told apart by nobody.
    filled = [f"{place} .fill" for place in ("#strip li:first-child", "#bars .best")]
    one, other = (visit.page.locator(fill).get_attribute("style") for fill in filled)
    assert one == other


def test_a_photo_is_read_as_python_reads_it(visit, usual, shared_data):
    photo = shared_data / "photos" / "astronaut.png"
    visit.give(photo)
    (face,) = usual.predict(photo).faces
    assert np.allclose(visit.bars(), face.probabilities, atol=NEAR)
    assert visit.label() == face.label
    visit.cover("lower")
    (face,) = Predictor(PAGES, hide="lower").predict(photo).faces
    assert np.allclose(visit.bars(), face.probabilities, atol=NEAR)


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_pictures_are_dropped_and_pasted(visit, portrait, event):
    content = base64.b64encode(portrait.read_bytes()).decode()
    kind = "DragEvent" if event == "drop" else "ClipboardEvent"
    key = "dataTransfer" if event == "drop" else "clipboardData"
    visit.page.evaluate(
        f"() => {{ const bytes = Uint8Array.from(atob('{content}'), (one) => one.charCodeAt(0));"
        "const given = new DataTransfer();"
        "given.items.add(new File([bytes], 'faces.png', {type: 'image/png'}));"
        f"document.body.dispatchEvent(new {kind}('{event}', "
        f"{{{key}: given, bubbles: true, cancelable: true}})); }}"
    )
    visit.page.locator(".face:only-child").wait_for()
    visit.read()
    assert visit.label() == "happy"


def test_the_camera_is_followed_and_its_last_picture_stays(visit):
    visit.page.locator("#camera").click()
    visit.page.locator(".face:only-child").wait_for()
    assert visit.label() in EMOTIONS
    assert visit.page.locator("#halves").is_hidden()
    visit.cover("lower")
    visit.page.locator("#camera").click()
    visit.read()
    assert visit.page.locator("#camera").inner_text() == "Camera"
    assert visit.page.locator(".face").count() == 1


def test_a_cover_goes_along_from_a_photo_to_the_camera(visit):
    visit.page.locator(".face input").nth(1).check(force=True)
    visit.cover("box")
    visit.page.locator("#camera").click()
    visit.page.locator(".face:only-child").wait_for()
    visit.page.locator("#handle:visible").wait_for()
    assert visit.page.locator("#camera").inner_text() == "Stop"
    face, box = visit.box_of(".face"), visit.box_of("#handle")
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    assert face["x"] < x < face["x"] + face["width"]
    assert face["y"] < y < face["y"] + face["height"]
    visit.page.locator("#camera").click()
    visit.read()


def test_bars_move_while_the_box_is_dragged_and_resized(visit):
    plain = visit.bars()
    visit.cover("box")
    on_mouth = visit.until_bars_differ(plain)
    box, mouse = visit.box_of("#handle"), visit.page.mouse
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    mouse.move(x, y)
    mouse.down()
    mouse.move(x, y - box["height"], steps=5)
    on_nose = visit.until_bars_differ(on_mouth)
    mouse.move(x - 3 * box["width"], y - box["height"], steps=5)
    mouse.up()
    away = visit.until_bars_differ(on_nose)
    for _ in range(POLLS):
        if np.allclose(away, plain, atol=1e-3):
            break
        visit.page.wait_for_timeout(50)
        away = visit.bars()
    assert np.allclose(away, plain, atol=1e-3)  # It lies beside the face now.
    grip = visit.box_of("#grip")
    mouse.move(grip["x"] + 12, grip["y"] + 12)
    mouse.down()
    mouse.move(grip["x"] + 40, grip["y"] + 30, steps=3)
    mouse.up()
    assert visit.box_of("#handle")["width"] == pytest.approx(box["width"] + 28, abs=1)


@pytest.mark.parametrize("kind", ["mask", "sunglasses"])
def test_what_is_worn_lies_on_the_chosen_face(visit, kind):
    plain = visit.bars()
    visit.cover(kind)
    visit.until_bars_differ(plain)
    face, worn = visit.box_of(".face.chosen"), visit.box_of("#handle")
    middle = worn["y"] + worn["height"] / 2 - face["y"]
    share = middle / face["height"]
    assert 0.5 < share < 0.95 if kind == "mask" else 0.1 < share < 0.5
    assert abs(worn["x"] + worn["width"] / 2 - face["x"] - face["width"] / 2) < face["width"] / 6
    visit.page.locator(".face input").nth(1).check(force=True)
    assert abs(visit.box_of("#handle")["x"] - worn["x"]) > face["width"]


def test_everything_can_be_done_by_keyboard(visit):
    keys = visit.page.keyboard

    def tab_to(selector: str, key: str = "Tab") -> None:
        for _ in range(40):
            if visit.page.locator(f"{selector}:focus").count():
                return
            keys.press(key)
        raise AssertionError(f"{selector} isn't reached by {key}")

    tab_to("#example")
    keys.press("Enter")
    visit.page.locator("#stage[aria-busy]").wait_for()
    visit.read()
    tab_to(".face input")
    keys.press("ArrowRight")
    assert visit.page.locator(".face input").nth(1).is_checked()
    visit.page.locator("#why", has_text="nothing hidden").wait_for()
    plain = visit.bars()
    tab_to("input[name=cover]")
    keys.press("ArrowRight")
    visit.page.locator("#why", has_text="black box").wait_for()
    before = visit.until_bars_differ(plain)
    tab_to("#handle", "Shift+Tab")
    box = visit.box_of("#handle")
    for key in ("ArrowUp", "ArrowUp", "ArrowLeft", "Shift+ArrowDown", "Shift+ArrowRight"):
        keys.press(key)
    moved = visit.box_of("#handle")
    assert moved["y"] < box["y"]
    assert moved["x"] < box["x"]
    assert moved["height"] > box["height"]
    assert moved["width"] > box["width"]
    visit.until_bars_differ(before)
    visit.page.locator("#spoken", has_text="Face 2 of 3").wait_for(state="attached")


def test_below_the_threshold_there_is_a_reason_and_never_a_label(visit):
    visit.open_settings()
    visit.page.locator("#own-threshold").uncheck()
    visit.page.locator("#threshold").fill("100")
    visit.page.locator("#why", has_text="is below 1.00").wait_for()
    visit.read()
    assert visit.label() == "no label"
    assert visit.page.locator("#confidence").inner_text() == ""
    assert all("no label" in one for one in visit.page.locator(".tag").all_inner_texts())
    assert set(visit.page.locator("#strip .label").all_inner_texts()) == {"no label"}
    visit.page.locator("#own-threshold").check()
    visit.page.locator("#label:not(:text('no label'))").wait_for()


def test_a_declared_mix_moves_the_bars_as_in_python(visit):
    visit.open_settings()
    before = visit.bars()
    visit.page.locator("#mix").select_option("balanced")
    moved = visit.until_bars_differ(before)
    visit.page.locator("#mix").select_option("trained")
    (face, *_) = Predictor(PAGES, mix="balanced").predict(EXAMPLE).faces
    assert np.allclose(moved, face.probabilities, atol=NEAR)
    visit.until_bars_differ(moved)


@pytest.mark.usefixtures("face_networks")
def test_a_page_begins_with_what_its_service_was_started_with(headless, tmp_path):
    start = PageStart(model="small", mix="balanced", abstain_below=0.99)
    folder = write_page(tmp_path / "page", models=["people-small-int8", "small"], start=start)
    with chromium.served(folder) as (address, _), visiting(headless, address) as visit:
        visit.open_settings()
        for control, value in (("model", "small"), ("mix", "balanced"), ("threshold", "99")):
            assert visit.page.locator(f"#{control}").input_value() == value
        assert not visit.page.locator("#own-threshold").is_checked()
        visit.reset()
        (face, *_) = Predictor("small", mix="balanced", abstain_below=0.99).predict(EXAMPLE).faces
        assert np.allclose(visit.bars(), face.probabilities, atol=NEAR)
        assert visit.label() == (face.label or "no label")


def test_another_network_reads_as_it_does_in_python(visit):
    visit.open_settings()
    visit.page.locator("#model").select_option("small")
    visit.page.locator("#model-line", has_text="Network: small").wait_for()
    visit.page.locator("#stage:not([aria-busy])").wait_for()
    expected = Predictor("small").predict(EXAMPLE).faces[0]
    assert np.allclose(visit.bars(), expected.probabilities, atol=NEAR)
    assert visit.label() == (expected.label or "no label")
    visit.page.locator("#model").select_option("people-small-int8")
    visit.page.locator("#model-line", has_text="Network: people-small-int8").wait_for()
    visit.page.locator("#stage:not([aria-busy])").wait_for()
    expected = Predictor("people-small-int8").predict(EXAMPLE).faces[0]
    assert np.allclose(visit.bars(), expected.probabilities, atol=NEAR)


@pytest.mark.parametrize(("kind", "cells"), [("quadrants", 4), ("tiles", 48)])
def test_a_map_has_a_legend_that_says_what_its_numbers_mean(visit, kind, cells):
    visit.press("map", kind)
    visit.page.locator("#legend:visible").wait_for()
    assert visit.page.locator("#legend-table td").count() == cells
    words = visit.page.locator("#legend-words").inner_text()
    assert visit.label() in words
    assert "below zero" in words
    low, high = (visit.page.locator(f"#legend-{one}").inner_text() for one in ("low", "high"))
    assert low == high.replace("+", "\N{MINUS SIGN}")


def test_labels_cover_neither_faces_nor_each_other(visit):
    boxes = [one.bounding_box() for one in visit.page.locator(".face, .tag").all()]
    assert len(boxes) == 6
    for index, one in enumerate(boxes):
        for other in boxes[index + 1 :]:
            beside = (
                one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]
            )
            above = (
                one["y"] + one["height"] <= other["y"] or other["y"] + other["height"] <= one["y"]
            )
            assert beside or above


@pytest.mark.parametrize(
    ("name", "kind", "content", "says"),
    [
        ("notes.txt", "text/plain", b"no picture at all", "is not a picture"),
        ("empty.png", "image/png", b"", "is empty"),
        ("cut.png", "image/png", b"\x89PNG\r\n\x1a\n" + bytes(12), "damaged or cut off"),
        ("phone.heic", "image/heic", b"\0\0\0\x18ftypheic" + bytes(20), "is HEIC"),
        ("film.mp4", "video/mp4", b"\0\0\0\x18ftypmp42", "is a video"),
    ],
    ids=["text", "empty", "damaged", "heic", "video"],
)
def test_what_is_no_picture_is_said_in_one_sentence(visit, name, kind, content, says):
    visit.page.locator("#file").set_input_files({"name": name, "mimeType": kind, "buffer": content})
    error = visit.page.locator("#error", has_text=says)
    error.wait_for()
    assert error.inner_text().startswith(name)
    assert visit.page.locator(".face").count() == 3  # What was there stays.


@pytest.mark.parametrize(
    ("size", "says"),
    [
        ((5120, 40), "smaller for this page, from 5120 x 40 to 2560 x 20 pixels"),
        ((10_000, 9_000), "has 90 million pixels; up to 89 million are opened"),
    ],
)
def test_large_pictures_are_made_smaller_and_huge_ones_refused(visit, size, says):
    packed = BytesIO()
    Image.new("1", size).save(packed, "PNG")
    said = visit.page.evaluate(
        "async (content) => {"
        "  const {openPicture} = await import('/view/pictures.js');"
        "  const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));"
        "  const file = new File([bytes], 'large.png', {type: 'image/png'});"
        "  return openPicture(file).then(({note}) => note, (error) => error.message); }",
        base64.b64encode(packed.getvalue()).decode(),
    )
    assert says in said


def test_where_there_is_no_face_the_page_says_so_and_labels_nothing(visit, tmp_path):
    Image.new("L", (200, 160), 128).save(tmp_path / "wall.png")
    visit.page.locator("#file").set_input_files(tmp_path / "wall.png")
    visit.page.locator("#label", has_text="no face found").wait_for()
    assert visit.page.locator(".face, .tag, #halves:visible").count() == 0
    assert visit.page.locator("#covers:disabled").count() == 1
    visit.page.locator("#spoken", has_text="No face was found.").wait_for(state="attached")


def test_without_a_camera_the_page_says_so(visit):
    visit.page.evaluate(
        "() => { const real = navigator.mediaDevices.getUserMedia;"
        "navigator.mediaDevices.getUserMedia = async () => {"
        "  navigator.mediaDevices.getUserMedia = real;"
        "  throw new DOMException('none', 'NotFoundError'); }; }"
    )
    visit.page.locator("#camera").click()
    visit.page.locator("#error", has_text="No camera was found.").wait_for()


class Failing(BaseHTTPRequestHandler):
    """What stands before a service that is down, or too much asked of."""

    status = 502

    def do_GET(self) -> None:
        self.send_error(self.status)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def failing(port: int, status: int) -> Iterator[None]:
    answers = type("Refusing", (Failing,), {"status": status})
    with ThreadingHTTPServer(("127.0.0.1", port), answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


def test_the_page_works_after_its_server_is_gone(headless, page_folder, portrait):
    with ExitStack() as server:
        address, _ = server.enter_context(chromium.served(page_folder))
        with visiting(headless, address, service_workers="allow") as visit:
            visit.page.locator("#offline", has_text="Works offline.").wait_for()
            server.close()
            visit.open()
            visit.give(portrait)
            assert visit.page.locator(".face").count() == 1
            assert visit.page.locator("#offline").inner_text() == "Works offline."
            # Whether there is a newer version was asked in vain.
            assert all("ERR_CONNECTION_REFUSED" in one for one in visit.complaints)
            visit.complaints.clear()


def test_another_program_at_its_address_is_shown_and_the_page_after_it(
    headless, page_folder, tmp_path
):
    (tmp_path / "index.html").write_text("<script src='other.js' defer></script><p></p>")
    (tmp_path / "other.js").write_text(
        "document.querySelector('p').textContent = 'another program';"
    )
    # Servers tell browsers that nothing has changed where the page is older than what was there.
    for file in tmp_path.iterdir():
        os.utime(file, (0, 0))
    with ExitStack() as server:
        address, _ = server.enter_context(chromium.served(page_folder))
        port = int(address.rpartition(":")[2])
        with visiting(headless, address, service_workers="allow") as visit:
            ready = visit.page.locator("#offline", has_text="Works offline.")
            ready.wait_for()
            server.close()
            with chromium.served(tmp_path, port):
                for path in ("/", "/?q=1"):
                    visit.page.goto(address + path)
                    visit.page.locator("p", has_text="another program").wait_for()
                assert visit.page.evaluate("() => caches.keys()") == []
            with chromium.served(page_folder, port):
                visit.open()
                ready.wait_for()
                assert len(visit.page.evaluate("() => caches.keys()")) == 1
            visit.complaints.clear()


def silent(port: int) -> socket.socket:
    """Return what takes every connection and answers none."""
    return socket.create_server(("127.0.0.1", port), backlog=100)


def test_a_server_that_has_failed_refuses_or_is_silent_leaves_the_copy(headless, page_folder):
    with ExitStack() as server:
        address, _ = server.enter_context(chromium.served(page_folder))
        port = int(address.rpartition(":")[2])
        with visiting(headless, address, service_workers="allow") as visit:
            visit.page.locator("#offline", has_text="Works offline.").wait_for()
            server.close()
            for status in (502, 429):
                with failing(port, status):
                    visit.open()
            with silent(port):
                visit.open()
                visit.page.locator("#offline", has_text="Works offline.").wait_for()
            assert len(visit.page.evaluate("() => caches.keys()")) == 1
            visit.complaints.clear()


def test_the_picture_that_was_chosen_last_is_looked_at(visit, portrait, tmp_path):
    """A large one takes longer to open than a small one that is chosen after it."""
    large = tmp_path / "large.jpg"
    with Image.open(EXAMPLE) as picture:
        picture.convert("RGB").resize((8400, 4200)).save(large)
    visit.page.locator("#file").set_input_files(large)
    visit.give(portrait)
    visit.page.wait_for_timeout(1500)
    assert visit.page.locator(".face").count() == 1
    assert visit.page.locator("#message").inner_text() == ""


def test_a_network_that_does_not_come_is_not_named(visit):
    visit.open_settings()
    before = visit.bars()
    visit.page.evaluate(
        "() => { const model = document.getElementById('model');"
        "model.add(new Option('gone', 'gone')); model.value = 'gone';"
        "model.dispatchEvent(new Event('change')); }"
    )
    visit.page.locator("#error", has_text="'gone' is unknown").wait_for()
    assert visit.page.locator("#model").input_value() == PAGES
    assert f"Network: {PAGES}" in visit.page.locator("#model-line").inner_text()
    assert visit.bars() == before
    # A choice that succeeds takes the sentence away.
    visit.page.locator("#mix").select_option("balanced")
    visit.page.locator("#error:empty").wait_for(state="attached")
    visit.page.locator("#mix").select_option("trained")
    visit.page.locator("#stage:not([aria-busy])").wait_for()


def test_a_face_that_is_chosen_while_the_camera_is_searched_stays_chosen(visit):
    chosen = visit.page.evaluate(
        "async () => {"
        "  const {Session} = await import('/view/session.js');"
        "  const faces = [0, 1, 2].map((n) => ({box: [100 * n, 0, 50, 50], reading: {}}));"
        "  let search = async () => {};"
        "  const engine = {find: async () => { await search(); return {faces: [...faces]}; }};"
        "  const session = new Session(engine);"
        "  const picture = new OffscreenCanvas(300, 60);"
        "  picture.getContext('2d');"
        "  await session.follow(picture);"
        "  search = async () => session.choose(2);"
        "  await session.follow(picture);"
        "  return session.chosen; }"
    )
    assert chosen == 2


def test_a_camera_that_was_stopped_draws_no_more(visit):
    calls = visit.page.evaluate(
        "async () => {"
        "  const {Camera} = await import('/view/camera.js');"
        "  const camera = new Camera();"
        "  const calls = [0, 0, 0];"
        "  const wait = (ms) => new Promise((done) => setTimeout(done, ms));"
        "  for (const run of [0, 1, 2]) {"
        "    await camera.start(() => {});"
        "    camera.eachPicture(() => (calls[run] += 1));"
        "    await wait(run < 2 ? 5 : 1500);"
        "    if (run < 2) camera.stop();"
        "  }"
        "  camera.stop();"
        "  return calls; }"
    )
    assert calls[2] > 3
    assert max(calls[:2]) <= 2


def test_a_folder_is_no_picture(visit):
    """As a browser hands one over that was dropped: its content can't be read."""
    said = visit.page.evaluate(
        "async () => {"
        "  const {openPicture} = await import('/view/pictures.js');"
        "  const folder = new File(['x'], 'holidays');"
        "  folder.slice = () => ({arrayBuffer: () => Promise.reject(new Error('gone'))});"
        "  return openPicture(folder).catch((error) => error.message); }"
    )
    assert said == "holidays can't be read; it may be a folder, or gone."


def test_a_network_that_fails_to_come_once_is_asked_for_again(headless, page_folder):
    with chromium.served(page_folder) as (address, _):
        context = headless.new_context(service_workers="block")
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        context.route("**/landmarks.onnx", lambda route: route.abort())
        page.goto(f"{address}/")
        page.locator("#error:not(:empty)").wait_for()
        assert page.locator("#model:enabled").count() == 0
        context.unroute("**/landmarks.onnx")
        page.locator("#example").click()
        page.locator(".face").nth(2).wait_for()
        page.locator("#halves:visible").wait_for()
        assert page.locator("#model:enabled").count() == 1
        assert page.locator("#bars .value").count() == len(EMOTIONS)
        assert page.locator("#error").inner_text() == ""
        context.close()


def test_the_strip_shows_what_the_network_is_shown_of_a_face_at_the_border(visit, tmp_path):
    """Beyond the picture its edge is repeated, as in Python."""
    with Image.open(EXAMPLE) as picture:
        # The middle face, cut at its left.
        picture.convert("L").crop((660, 0, 1054, 520)).save(tmp_path / "cut.png")
    visit.give(tmp_path / "cut.png")
    shown = visit.page.evaluate(
        "() => { const canvas = document.querySelector('#strip canvas');"
        "return [...canvas.getContext('2d').getImageData(0, 24, 12, 1).data]; }"
    )
    left = np.array(shown).reshape(12, 4)
    assert (left[:, 0] == left[:, 1]).all()
    assert left[:, 0].min() > 0
