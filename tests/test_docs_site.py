"""The documentation site as it is built: whole, of this code, and asking no other host."""

import doctest
import importlib
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import typer

pytest.importorskip("material", reason="the site needs hemiface[docs]")
pytest.importorskip("mkdocstrings_handlers.python", reason="the site needs hemiface[docs]")
pytest.importorskip("nbclient", reason="the site needs hemiface[docs]")
pytest.importorskip("ipykernel", reason="the site needs hemiface[docs]")

import yaml

import formulas
import hemiface
import model_cards
import people_pages
import repository
import result_pages
from hemiface import cli
from hemiface.models import shipped

ROOT = Path(__file__).parents[1]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),  # the build takes half a minute of one core
]
FETCHED = {
    "audio": ("src",),
    "embed": ("src",),
    "iframe": ("src", "srcdoc"),
    "image": ("href", "xlink:href"),
    "img": ("src", "srcset"),
    "input": ("src",),
    "link": ("href",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "track": ("src",),
    "use": ("href", "xlink:href"),
    "video": ("src", "poster"),
}
"""Elements whose attributes a browser fetches without being asked; links (`a`) it doesn't."""


class Seen(HTMLParser):
    """What a page fetches, where it leads and what it can be led to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.led_to: list[str] = []
        self.anchors: set[str] = set()
        self.text = text
        self.feed(text)
        self.fetched += styles(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attributes}
        self.fetched += [known[name] for name in FETCHED.get(tag, ()) if name in known]
        self.anchors |= {known[name] for name in ("id", "name") if name in known}
        if tag == "a" and "href" in known:
            self.led_to.append(known["href"])


def styles(text: str) -> list[str]:
    """What style sheets and attributes fetch."""
    found = re.findall(r"url\(\s*[\"']?([^)\"']+)|@import\s+[\"']([^\"']+)", text)
    return [one or other for one, other in found]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it, with every warning an error."""
    folder = tmp_path_factory.mktemp("site")
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "HEMIFACE_OFFLINE": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Seen]:
    return {path: Seen(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def test_no_other_host_is_asked_for_anything(site: Path, pages: dict[Path, Seen]) -> None:
    sheets = {path: styles(path.read_text(encoding="utf-8")) for path in site.rglob("*.css")}
    fetched = {path: seen.fetched for path, seen in pages.items()}
    assert sum(map(len, fetched.values())) > len(pages), "nothing was looked at"
    for path, links in {**sheets, **fetched}.items():
        for link in links:
            assert urlsplit(link).scheme in ("", "data"), f"{path}: {link}"
            assert not link.startswith("//"), f"{path}: {link}"


def test_a_request_to_another_host_would_be_seen() -> None:
    page = (
        "<script src='https://a.example/x.js'></script><img srcset='//b.example/y.png 2x'>"
        "<style>@import 'https://c.example/z.css';</style><p style='background:url(//d.example)'>"
    )
    hosts = [re.search(r"[a-d]\.example", link) for link in Seen(page).fetched]
    assert [host[0] for host in hosts if host] == [f"{one}.example" for one in "abcd"]


def test_what_the_theme_would_fetch_by_script_is_on_no_page(pages: dict[Path, Seen]) -> None:
    for path, seen in pages.items():
        assert 'class="mermaid"' not in seen.text, path
        assert 'data-md-component="source"' not in seen.text, f"{path} asks a host for its stars"
        assert "fonts.g" not in seen.text, path


def test_every_link_leads_to_a_page_and_its_anchor(site: Path, pages: dict[Path, Seen]) -> None:
    checked = 0
    for path, seen in pages.items():
        for link in seen.led_to:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or path.name in ("404.html", "report.html"):
                continue
            there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            there = there / "index.html" if there.is_dir() else there
            assert there.is_file(), f"{path.relative_to(site)}: {link}"
            if parts.fragment and there in pages and not parts.fragment.startswith("__"):
                anchor = unquote(parts.fragment)
                assert anchor in pages[there].anchors, f"{path.relative_to(site)}: {link}"
            checked += 1
    assert checked > 1000


def test_every_command_has_a_page_with_all_its_options(site: Path) -> None:
    root = typer.main.get_command(cli.app)
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        text = (site / "reference" / "commands" / f"{name}.html").read_text(encoding="utf-8")
        for one in (command, *getattr(command, "commands", {}).values()):
            if getattr(one, "commands", None):
                continue
            options = [option for taken in one.params for option in taken.opts if "--" in option]
            assert [option for option in options if f"<code>{option}</code>" not in text] == []


def test_every_public_name_is_documented_and_nothing_private(pages: dict[Path, Seen]) -> None:
    shown = {path: seen for path, seen in pages.items() if "reference/python" in path.as_posix()}
    text = "".join(seen.text for seen in shown.values())
    names = set(hemiface.__all__) - {"__version__"}
    headings = set(re.findall(r"</code>\s+hf\.(\w+)\s*<", text))
    assert headings == names
    for returned in ("hemiface.vision.faces.Faces", "hemiface.vision.faces.FacePrediction"):
        assert any(returned in seen.anchors for seen in shown.values())
    anchors = {
        one for seen in shown.values() for one in seen.anchors if one.startswith("hemiface.")
    }
    assert [one for one in anchors if re.search(r"\._(?!_)", one)] == []


def test_types_stand_in_the_signatures(site: Path) -> None:
    page = site / "reference" / "python" / "what-emotion-a-face-looks-like.html"
    plain = re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8"))
    assert "abstain_below: float | None = None" in plain


def test_formulas_are_pictures_with_names(site: Path, pages: dict[Path, Seen]) -> None:
    methods = pages[site / "methods.html"].text
    pictures = re.findall(r'<svg class="(?:display)?" role="img" aria-label="([^"]+)"', methods)
    assert len(pictures) > 30
    assert all(pictures)
    assert not [path for path, seen in pages.items() if 'class="arithmatex"' in seen.text]


def test_a_formula_that_cannot_be_drawn_ends_the_build() -> None:
    with pytest.raises(ValueError, match="unheard"):
        formulas.svg(r"\unheard{x}", display=True)


def test_the_notebook_ran_from_top_to_bottom(site: Path, pages: dict[Path, Seen]) -> None:
    notebook = json.loads((ROOT / "docs/notebooks/half-a-face.ipynb").read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] for cell in code), "outputs are made at build, not kept"
    page = pages[site / "notebooks" / "half-a-face.html"]
    drawn = [link for link in page.fetched if link.startswith("half-a-face-")]
    assert len(drawn) == 3
    assert all((site / "notebooks" / name).stat().st_size > 1000 for name in drawn)
    assert page.text.count("<table") == 2
    assert (site / "notebooks" / "half-a-face.ipynb").is_file()


def test_results_written_by_hand_are_those_of_the_tables() -> None:
    """`python docs/building/people_pages.py` writes them anew."""
    assert [f"{row.page}: {written}" for row, written in people_pages.stale()] == []
    assert len(list(people_pages.rows())) > 100


def test_a_row_that_became_stale_is_found_and_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for row in people_pages.rows():
        (tmp_path / row.page).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / row.page).write_text((ROOT / row.page).read_text("utf-8"), "utf-8")
    card = tmp_path / "MODEL_CARD.md"
    row = next(one for one in people_pages.rows() if one.page.name == card.name)
    right = card.read_text("utf-8")
    wrong = row.text.replace(row.cells[-1], "12.3")
    card.write_text(right.replace(row.text, wrong), "utf-8")
    monkeypatch.setattr(people_pages, "ROOT", tmp_path)
    assert people_pages.stale() == [(row, wrong)]
    assert people_pages.renew() == 1
    assert card.read_text("utf-8") == right
    card.write_text(right + f"\n{row.text}", "utf-8")
    with pytest.raises(ValueError, match=r"MODEL_CARD\.md has 2 rows"):
        people_pages.stale()


def test_a_filter_that_fits_no_row_or_several_ends_the_build() -> None:
    table = result_pages.TABLES[0]
    for keep in ({}, {"model": "nobody"}):
        line = result_pages.Line("x", "people/small/ferplus.csv", keep)
        with pytest.raises(ValueError, match="not one"):
            result_pages._line(table, line)


@pytest.mark.parametrize("row", shipped.describe(), ids=lambda row: row["name"])
def test_cards_have_the_front_matter_that_hubs_read(row: dict[str, object], site: Path) -> None:
    text = model_cards.model_card(row)
    _, matter, body = text.split("---\n", 2)
    known = yaml.safe_load(matter)
    assert known["license"] == "apache-2.0"
    assert str(row["sha256"]) in body
    assert (site / "cards" / f"{row['name']}.card.txt").read_text(encoding="utf-8") == text
    hub = pytest.importorskip("huggingface_hub", reason="what reads cards isn't installed")
    results = hub.ModelCard(text).data.eval_results or []
    accuracy = row["accuracy"]
    assert isinstance(accuracy, dict)
    assert [one.metric_value for one in results] == [round(one, 4) for one in accuracy.values()]
    if accuracy:
        assert "not what a person feels" in body


def test_links_in_code_stay_and_others_lead_into_the_site() -> None:
    text = "[a](../results/people/) `b`\n```\n[c](../README.md)\n```\n[d](../README.md#x) [e](f.md)"
    assert repository.rewritten(text, "words.md") == (
        "[a](results/people/README.md) `b`\n```\n[c](../README.md)\n```\n[d](index.md#x) [e](f.md)"
    )


@pytest.mark.parametrize("name", ["repository", "command_pages", "formulas"])
def test_examples_in_docstrings(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0
    assert found.failed == 0
