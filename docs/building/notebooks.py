"""Notebooks, run from top to bottom at build, as pages: what is shown is what came out just now."""

import base64
import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

__all__ = ["as_page", "run"]

_SECONDS = 120


def run(path: Path) -> nbformat.NotebookNode:
    """Return a notebook with the outputs of running all its cells, in order, in its own kernel.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell raised.
    """
    notebook = nbformat.read(path, as_version=4)
    # Between processes of this machine, where the system has such sockets; Windows has none.
    transport = "ipc" if os.name == "posix" else "tcp"
    settings = Config({"KernelManager": {"transport": transport}})
    client = NotebookClient(notebook, timeout=_SECONDS, kernel_name="python3", config=settings)
    return client.execute()


def as_page(notebook: nbformat.NotebookNode, uri: str) -> tuple[str, dict[str, bytes]]:
    """Return Markdown for a page at `uri`, and its pictures by URI."""
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for output in cell.outputs:
            data = output.get("data", {})
            if "image/png" in data:
                name = f"{Path(uri).stem}-{len(pictures) + 1}.png"
                pictures[str(Path(uri).with_name(name))] = base64.b64decode(data["image/png"])
                parts.append(f"![What the cell above shows]({name})")
            elif "text/html" in data:
                parts.append(f'<div class="output" markdown="0">{data["text/html"]}</div>')
            else:
                text = output.get("text") or data.get("text/plain", "")
                parts.append(f"```text\n{text.strip()}\n```")
    return "\n\n".join(parts) + "\n", pictures
