"""The page's files, without a browser: what they promise can be read in them."""

import importlib.util
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hemiface
from hemiface.limits import Limits
from hemiface.vision.drawing import COLOURS

WEB = Path(hemiface.__file__).parent / "serve" / "web"
INDEX = (WEB / "index.html").read_text(encoding="utf-8")
OURS = [path for path in sorted(WEB.rglob("*.js")) if "ort" not in path.relative_to(WEB).parts]


class _Elements(HTMLParser):
    """All elements of a page with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inline = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] in ("script", "style"):
            self.inline += data.strip()


@pytest.fixture(scope="module")
def elements() -> _Elements:
    parser = _Elements()
    parser.feed(INDEX)
    return parser


def test_emotions_have_the_colours_of_annotated_pictures():
    style = (WEB / "style.css").read_text(encoding="utf-8")
    found = re.findall(
        r"\[data-emotion='(\w+)'\] \{ --emotion: rgb\((\d+) (\d+) (\d+)\); \}", style
    )
    assert {name: tuple(map(int, rgb)) for name, *rgb in found} == COLOURS


def test_nothing_is_inline_as_the_policy_demands(elements):
    assert elements.inline == ""
    for _, attributes in elements.found:
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]


def test_the_policy_allows_this_page_and_nobody_else(elements):
    (policy,) = [
        attributes["content"] or ""
        for tag, attributes in elements.found
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = {words[0]: set(words[1:]) for words in map(str.split, policy.split(";"))}
    assert rules.pop("default-src") == rules.pop("base-uri") == {"'none'"}
    assert rules.pop("form-action") == {"'none'"}
    assert rules.pop("script-src") == {"'self'", "'wasm-unsafe-eval'"}
    assert all(sources <= {"'self'", "blob:", "data:"} for sources in rules.values())


def test_no_file_names_another_host():
    for path in [*OURS, *WEB.glob("*.html"), *WEB.glob("*.css"), *WEB.glob("*.webmanifest")]:
        text = path.read_text(encoding="utf-8")
        hosts = set(re.findall(r"\w+://[\w.]+", text)) - {"http://www.w3.org"}  # a namespace
        assert not hosts, path


def test_everything_that_is_named_is_there(elements):
    named = [
        attributes.get("src") or attributes.get("href") or ""
        for tag, attributes in elements.found
        if tag in ("script", "link")
    ]
    manifest = json.loads((WEB / "manifest.webmanifest").read_text(encoding="utf-8"))
    named += [icon["src"] for icon in manifest["icons"]]
    assert all((WEB / name).is_file() for name in named)
    for path in OURS:
        for name in re.findall(r" from '(\.[^']+)'", path.read_text(encoding="utf-8")):
            assert (path.parent / name).is_file(), f"{path} imports {name}"


def test_every_element_that_the_script_looks_up_is_in_the_page(elements):
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    asked = re.findall(r"\$\('([\w-]+)'\)", (WEB / "main.js").read_text(encoding="utf-8"))
    assert asked
    assert set(asked) <= set(ids)


def test_pictures_have_pythons_limit_of_pixels():
    script = (WEB / "view" / "pictures.js").read_text(encoding="utf-8")
    numbers = dict(re.findall(r"export const (\w+) = ([\d_]+);", script))
    assert int(numbers["MOST_PIXELS"]) == Limits().pixels
    page = (Path(__file__).parents[2] / "docs" / "limits.md").read_text(encoding="utf-8")
    assert f"than {int(numbers['LONGEST_PX']):,} is made smaller" in page


def test_the_example_is_what_its_script_draws():
    path = Path(__file__).parents[2] / "docs" / "example.py"
    spec = importlib.util.spec_from_file_location("example", path)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    with Image.open(script.TARGET) as opened:
        # Versions of OpenCV round differently.
        assert np.abs(np.asarray(opened).astype(int) - script.draw()).max() <= 3
