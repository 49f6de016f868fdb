"""A page for each command, from what `--help` of this very code says."""

import html
import re
from collections.abc import Iterator

import typer

from hemiface import cli
from repository import ROOT, Pages

__all__ = ["FOLDER", "command_pages"]

FOLDER = "reference/commands"

_PLAIN = str.maketrans({one: f"&#{ord(one)};" for one in "|*_`[]\\~$"})

_TAKEN = re.compile(r"(.*?)(?: (<.*|(?<=\w )[A-Z][A-Z/]*))?")
"""The names of a parameter, and what it takes: `<path>`, or a word in capitals."""


def plain(text: str) -> str:
    """Return text as Markdown that shows just these letters."""
    return html.escape(text, quote=False).translate(_PLAIN)


def command_pages() -> Pages:
    """Return the overview and a page for each command; groups have their commands on one page."""
    root = typer.main.get_command(cli.app)
    context = root.make_context("hemiface", [], resilient_parsing=True)
    paths = sorted((ROOT / "docs").rglob("*.md"))
    guides = {path: path.read_text(encoding="utf-8") for path in paths}
    pages = {}
    rows = ["| command | does |", "|---|---|"]
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        pages[f"{FOLDER}/{name}.md"] = "\n".join(_page(command, name, context, guides)) + "\n"
        rows.append(f"| [`hemiface {name}`]({name}.md) | {plain(_first(command.help))} |")
    top = [
        "# Commands",
        "",
        plain(root.help or ""),
        "",
        *rows,
        "",
        plain(root.epilog or ""),
        "",
        "What to install for which, and how they belong together: "
        "[Commands](../../docs/commands.md).",
    ]
    return {f"{FOLDER}/index.md": "\n".join(top) + "\n", **pages}


def _page(command: typer.core.TyperCommand, name: str, above, guides) -> Iterator[str]:
    context = command.make_context(name, [], parent=above, resilient_parsing=True)
    yield f"# hemiface {name}"
    yield from _described(command, context, 2)
    for sub in getattr(command, "commands", {}).values():
        inner = sub.make_context(sub.name, [], parent=context, resilient_parsing=True)
        yield f"\n## hemiface {name} {sub.name}"
        yield from _described(sub, inner, 3)
    named = re.compile(rf"hemiface {re.escape(name)}\b")
    shown = [(path, text) for path, text in guides.items() if named.search(text)]
    if shown:
        yield "\nShown in: " + ", ".join(
            f"[{_title(text)}](../../{path.relative_to(ROOT).as_posix()})" for path, text in shown
        )


def _described(command, context, level: int) -> Iterator[str]:
    """Yield what it does, how it is called and what it takes."""
    yield f"\n{plain(_joined(command.help))}"
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"\n```text\n{context.command_path} {usage}\n```"
    if getattr(command, "commands", None):
        return
    taken = command.get_params(context)
    records = [(one.param_type_name, one.get_help_record(context)) for one in taken]
    for kind, title in (("argument", "Arguments"), ("option", "Options")):
        rows = [record for known, record in records if known == kind and record]
        if rows:
            yield f"\n{'#' * level} {title}\n\n| | |\n|---|---|"
            yield from (f"| {_names(names)} | {plain(_joined(text))} |" for names, text in rows)


def _names(record: str) -> str:
    """Return the names of a parameter as code, what it takes behind them.

    >>> _names("--out, -o <path>")
    '`--out`, `-o` <span class="takes">&lt;path&gt;</span>'
    >>> _names("--shard K/N")
    '`--shard` <span class="takes">K/N</span>'
    """
    names, kind = _TAKEN.fullmatch(record).groups()
    shown = ", ".join(f"`{one.strip()}`" for one in re.split(r",\s|\s/\s", names))
    return shown + (f' <span class="takes">{plain(kind)}</span>' if kind else "")


def _joined(text: str | None) -> str:
    """Return paragraphs of help, each on one line."""
    return "\n\n".join(" ".join(one.split()) for one in (text or "").split("\n\n"))


def _first(text: str | None) -> str:
    return _joined(text).partition("\n\n")[0]


def _title(text: str) -> str:
    return next(line[2:].strip() for line in text.splitlines() if line.startswith("# "))
