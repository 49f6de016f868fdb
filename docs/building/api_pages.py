"""Pages of the Python API: what `hemiface.__all__` names, and what these hand back.

Groups and their headings are the comments in that list. Which other classes a reader meets is found
by following the annotations of what comes back, so no page keeps a list of its own.
"""

import re

import griffe

from repository import ROOT, Pages

__all__ = ["FOLDER", "api_pages", "exported", "handed_back"]

FOLDER = "reference/python"
_HANDED_BACK = "What these hand back"


def api_pages() -> Pages:
    """Return the overview, a page for each group of names and one for what they hand back."""
    package = griffe.load("hemiface", search_paths=[str(ROOT / "src")])
    groups = exported()
    rows, pages = [], {}
    for heading, names in groups.items():
        page = f"{_slug(heading)}.md"
        blocks = [_block(package, name) for name in names]
        pages[f"{FOLDER}/{page}"] = f"# {heading}\n\n" + "\n".join(blocks)
        listed = ", ".join(f"`{name}`" for name in names)
        rows.append(f"| [{heading}]({page}) | {listed} |")
    further = handed_back(package, [name for names in groups.values() for name in names])
    page = f"{_slug(_HANDED_BACK)}.md"
    blocks = [_directive(one.canonical_path, one.name) for one in further]
    pages[f"{FOLDER}/{page}"] = f"# {_HANDED_BACK}\n\n" + "\n".join(blocks)
    rows.append(f"| [{_HANDED_BACK}]({page}) | {', '.join(f'`{one.name}`' for one in further)} |")
    top = (
        "# Python\n\n```python\nimport hemiface as hf\n```\n\nEvery name is there in every "
        "installation; one that needs a library which isn't installed says so, and which extra "
        "brings it, when it is used. Types are checked: hemiface is typed throughout. Examples: "
        "[Photos in Python](../../docs/python.md).\n\n| | |\n|---|---|\n"
    )
    return {f"{FOLDER}/index.md": top + "\n".join(rows) + "\n", **pages}


def exported() -> dict[str, list[str]]:
    """Return the names of `hemiface.__all__` under the comments that part them."""
    source = (ROOT / "src/hemiface/__init__.py").read_text(encoding="utf-8")
    (listed,) = re.findall(r"^__all__ = \[[^\n]*\n(.*?)^\]", source, flags=re.DOTALL | re.MULTILINE)
    groups: dict[str, list[str]] = {}
    for comment, name in re.findall(r'^\s*(?:# (.*?)\.?|"(\w+)",)$', listed, flags=re.MULTILINE):
        if comment:
            current = groups.setdefault(comment, [])
        elif name != "__version__":
            current.append(name)
    return groups


def handed_back(package: griffe.Module, names: list[str]) -> list[griffe.Class]:
    """Return the classes that annotations of results lead to, beyond the names themselves."""
    waiting = [_final(package[name]) for name in names]
    seen = {one.canonical_path for one in waiting}
    modules = {one.canonical_path for one in waiting if one.is_module}
    found = []
    while waiting:
        for expression in _results(waiting.pop(0)):
            for path in _named_in(expression):
                one = _class_at(package, path)
                if one is not None and one.canonical_path not in seen:
                    seen.add(one.canonical_path)
                    waiting.append(one)
                    # What a module on these pages names itself stands there.
                    if one.parent is None or one.parent.canonical_path not in modules:
                        found.append(one)
    return sorted(found, key=lambda one: one.name)


def _results(thing: griffe.Object) -> list[griffe.Expr]:
    """Return the annotations of what comes out of a function, of methods or of attributes."""
    if thing.is_function:
        return [thing.returns] if isinstance(thing.returns, griffe.Expr) else []
    if thing.is_attribute:
        return [thing.annotation] if isinstance(thing.annotation, griffe.Expr) else []
    inside = thing.members.values()
    public = [one for one in inside if not one.is_alias and (one.is_public or one.is_special)]
    return [expression for one in public for expression in _results(one)]


def _named_in(expression: griffe.Expr) -> set[str]:
    parts = expression.iterate(flat=True)
    names = {one.canonical_path for one in parts if isinstance(one, griffe.ExprName)}
    return {name for name in names if name.startswith("hemiface.")}


def _class_at(package: griffe.Module, path: str) -> griffe.Class | None:
    try:
        one = _final(package[path.removeprefix("hemiface.")])
    except KeyError:
        return None
    return one if one.is_class and not one.name.startswith("_") else None


def _final(one: griffe.Object | griffe.Alias) -> griffe.Object:
    return one.final_target if one.is_alias else one


def _block(package: griffe.Module, name: str) -> str:
    return _directive(_final(package[name]).canonical_path, f"hf.{name}")


def _directive(path: str, heading: str) -> str:
    return f'::: {path}\n    options:\n      heading: "{heading}"\n      toc_label: "{heading}"\n'


def _slug(heading: str) -> str:
    return re.sub(r"\W+", "-", heading.lower()).strip("-")
