"""What MkDocs calls while it builds the site: pages are made, found and linked here.

Each step is a function of another file of this folder. Nothing is fetched.
"""

from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from api_pages import api_pages
from command_pages import command_pages
from config_page import config_page
from formulas import drawn
from model_cards import card_pages
from notebooks import as_page, run
from repository import ROOT, Pages, linked, markdown_of, rewritten
from result_pages import result_pages

__all__ = ["on_files", "on_page_content", "on_page_markdown"]

_NOTEBOOKS = ROOT / "docs" / "notebooks"
_INDEXES = ("index.md", "overview.md", "QUEUE.md")
"""Pages that stand in the navigation by themselves."""


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages that are made, those of the repository, and every file that a page leads to."""
    cards, card_files = card_pages()
    made: Pages = {**command_pages(), **api_pages(), **config_page(), **result_pages(), **cards}
    contents: dict[str, str | bytes] = {**made, **card_files}
    for path in sorted(_NOTEBOOKS.glob("*.ipynb")):
        uri = f"notebooks/{path.stem}.md"
        made[uri], pictures = as_page(run(path), uri)
        contents |= {uri: made[uri], **pictures}
    written = {one.src_uri for one in files.documentation_pages()}
    named = [uri for uri in _named(config.nav) if not uri.endswith("*")]
    results = [path.relative_to(ROOT).as_posix() for path in ROOT.glob("results/**/README.md")]
    ours = markdown_of({*named, *results} - written - set(contents))
    pages = {**markdown_of(written), **made, **ours}
    further, linked_files = linked(pages, contents)
    contents |= {**ours, **further}
    for uri, content in sorted(contents.items()):
        files.append(File.generated(config, uri, content=content))
    for uri, path in sorted(linked_files.items()):
        files.append(File.generated(config, uri, abs_src_path=str(path)))
    config.nav = _expanded(config.nav, [*made, *sorted(ours)])
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead where things lie in the site."""
    del config, files
    return rewritten(markdown, page.file.src_uri)


def on_page_content(content: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Draw the formulas."""
    del page, config, files
    return drawn(content)


def _named(entry: Any) -> list[str]:
    """Return the URIs of a part of the navigation."""
    if isinstance(entry, str):
        return [entry]
    parts = entry.values() if isinstance(entry, dict) else entry
    return [uri for part in parts for uri in _named(part)]


def _expanded(entry: Any, uris: list[str]) -> Any:
    """Return a part of the navigation with `FOLDER/*` replaced by the pages below that folder."""
    if isinstance(entry, dict):
        return {key: _expanded(value, uris) for key, value in entry.items()}
    if isinstance(entry, list):
        return [_expanded(one, uris) for one in entry]
    if not entry.endswith("/*"):
        return entry
    folder = entry.removesuffix("*")
    below = [uri for uri in uris if uri.startswith(folder) and uri.endswith(".md")]
    return [*(uri for uri in below if uri == f"{folder}index.md"), *_titled(below, folder)]


def _titled(uris: list[str], folder: str) -> list[str | dict[str, str]]:
    """Return entries for pages: READMEs bear their folder's name, other pages their own titles."""
    entries: list[str | dict[str, str]] = []
    for uri in uris:
        name = uri.removeprefix(folder)
        if name.endswith("/README.md"):
            entries.append({name.removesuffix("/README.md"): uri})
        elif "/" not in name and name not in _INDEXES:
            entries.append(uri)
    return entries
