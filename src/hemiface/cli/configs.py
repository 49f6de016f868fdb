"""The command that shows the configs that come with hemiface: configs."""

from typing import Annotated

import typer

from hemiface.cli.apps import app
from hemiface.cli.options import JsonOption
from hemiface.cli.printing import print_json

__all__ = ["configs"]


@app.command()
def configs(
    name: Annotated[
        str, typer.Argument(help="Print this one, to be changed: hemiface configs small > my.toml.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """List the configs that study and train know by name, or print one."""
    from hemiface.config import find, shipped, summary
    from hemiface.documents import read_text, undamaged

    if name:
        path = find(name)
        with undamaged(path, "save it as UTF-8"):
            text = read_text(path)
        if as_json:
            print_json({"name": name, "text": text})
        else:
            print(text, end="")
        return
    known = {one: summary(path) for one, path in shipped().items()}
    if as_json:
        print_json(known)
        return
    width = max(map(len, known))
    for one, said in known.items():
        print(f"{one:{width}}  {said}")
