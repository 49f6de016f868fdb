"""The repository's own pages in the site: found by following links, each at its place.

A page of docs/ keeps its name without `docs/`; any other file of the repository that a page links
to comes into the site under its path from the repository's root. So every link works in both: as it
stands, in the repository, and rewritten by `rewritten`, in the site.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

__all__ = ["ROOT", "Pages", "linked", "markdown_of", "place_of", "rewritten", "uri_of"]

ROOT = Path(__file__).resolve().parents[2]

Pages = dict[str, str]
"""URI in the site -> Markdown."""

_LINK = re.compile(r"(\]\()([^)\s#]*)(#[^)\s]*)?(\))")
_FENCE = re.compile(r"^\s*(```|~~~)")
_NOTEBOOKS = "notebooks/"
_CONFIGS = "src/hemiface/configs/"
_MADE = {
    "README.md": "index.md",
    "results": "results/overview.md",
    "src/hemiface/config.py": "reference/configs.md",
}
"""What the site has in place of a file or folder."""


def place_of(uri: str) -> str:
    """Return where in the repository a page of the site lies, or would lie.

    >>> place_of("words.md"), place_of("results/people/README.md")
    ('docs/words.md', 'results/people/README.md')
    """
    inside = (ROOT / "docs" / uri).is_file() or uri.startswith(_NOTEBOOKS)
    return f"docs/{uri}" if inside else uri


def uri_of(place: str) -> tuple[str, str]:
    """Return the URI in the site, and an anchor or "", of a file or folder of the repository.

    >>> uri_of("docs/words.md"), uri_of("results/people")
    (('words.md', ''), ('results/people/README.md', ''))
    """
    if place in _MADE:
        return _MADE[place], ""
    if place.startswith(_CONFIGS):
        return "reference/configs.md", f"#{Path(place).stem}"
    if (ROOT / place).is_dir():
        readme = f"{place}/README.md"
        return (readme if (ROOT / readme).is_file() else f"{place}/index.md"), ""
    uri = place.removeprefix("docs/")
    return (f"{uri.removesuffix('.ipynb')}.md" if uri.endswith(".ipynb") else uri), ""


def _targets(text: str, place: str) -> Iterator[tuple[re.Match[str], str]]:
    """Yield each relative link outside of code with the file or folder that it names."""
    start, fenced = 0, False
    for line in text.splitlines(keepends=True):
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            for found in _LINK.finditer(text, start, start + len(line)):
                target = found[2]
                if target and not re.match(r"[a-z]+:|/", target):
                    yield (
                        found,
                        posixpath.normpath(f"{posixpath.dirname(place)}/{target}").lstrip("/"),
                    )
        start += len(line)


def rewritten(text: str, uri: str) -> str:
    """Return a page's Markdown with links that lead where things lie in the site."""
    place, parts, end = place_of(uri), [], 0
    for found, target in _targets(text, place):
        there, anchor = uri_of(target)
        if there == uri:  # a notebook's page leads to the notebook
            there = target.removeprefix("docs/")
        link = posixpath.relpath(there, posixpath.dirname(uri) or ".")
        parts += [text[end : found.start()], found[1], link, found[3] or anchor, found[4]]
        end = found.end()
    return "".join([*parts, text[end:]])


def linked(pages: Mapping[str, str], made: Iterable[str]) -> tuple[Pages, dict[str, Path]]:
    """Return what else the pages lead to: Markdown, and other files, each by URI.

    `made` are the URIs that the build makes itself. A folder without a README becomes a page that
    lists its files. What doesn't exist is left to MkDocs, which warns of the link.
    """
    known, found, files = {*pages, *made}, dict[str, str](), dict[str, Path]()
    waiting = list(pages.items())
    while waiting:
        uri, text = waiting.pop()
        for _, target in _targets(text, place_of(uri)):
            there, _ = uri_of(target)
            if there in known or target.startswith("docs/") or not (ROOT / target).exists():
                continue
            known.add(there)
            if there.endswith(".md"):
                found[there] = _markdown(target, there)
                waiting.append((there, found[there]))
            else:
                files[there] = ROOT / target
    return found, files


def _markdown(target: str, uri: str) -> str:
    path = ROOT / uri
    if path.is_file():
        return path.read_text(encoding="utf-8")
    files = (ROOT / target).iterdir()
    names = sorted(one.name for one in files if one.is_file() and one.name[0] != ".")
    return f"# {target}\n\n" + "".join(f"- [{name}]({name})\n" for name in names)


def markdown_of(uris: Iterable[str]) -> Pages:
    """Return the Markdown of pages of docs/ or of the repository by URI."""
    return {uri: (ROOT / place_of(uri)).read_text(encoding="utf-8") for uri in uris}
