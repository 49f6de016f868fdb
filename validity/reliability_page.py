"""The README of results/reliability, written from the tables beside it: no number is typed in."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from hemiface.files import write_json, write_text
from hemiface.provenance import environment
from hemiface.tables import read_csv, write_csv

__all__ = ["add", "write"]

_TITLE = "# Does any file or any kill cost more than a sentence?"

_FUZZ = """
## Changed files

    {commands}

changes whole files of every kind that hemiface reads and hands them to its own readers (how:
`validity/fuzz.py`). None may end in anything but a result or one of hemiface's own errors, take
more than 2 GB or 20 s, or be taken although a checksum in it doesn't fit. `-bare` are files without
a seal, as other programs and earlier versions wrote them. `taken` were read, `refused` named in a
sentence. atheris sees what a checksum is compared with and writes the one that fits: what it has
taken is no damage. Versions and hardware of the row that came last are in `fuzz.environment.json`.

{table}
"""

_MENDED = """
What this found and is mended, each with a test of its reader: a video in a codec that nothing here
decodes, FER+ votes of thousands of digits, archives packed in a way that Python's zipfile doesn't
know, ONNX files whose names aren't UTF-8, a text in a Parquet table that isn't UTF-8, and one bit
in the directory of a checkpoint's archive, which made torch read zeros as weights. The rows are of
the code after that.
"""

_CHAOS = """
## Killed at any moment

    {commands}

kills each command with SIGKILL at a random moment, gives the same command again, and compares what
is there in the end with what an undisturbed run wrote: bytes, and of files that hold times what
they hold beside them (how: `validity/chaos.py`). After each kill everything that bears a final name
must be whole already. Versions and hardware of the row that came last are in
`chaos.environment.json`.

{table}
"""

_RAY = """
## Killed on a cluster

    {commands}

kills what works on a node, whole nodes and the command itself, each with SIGKILL at a random
moment, while `hemiface predict --on ray` looks at pictures or `hemiface study --on ray` trains
networks on a Ray cluster of several nodes on one machine, and compares what is there in the end
with what one process makes: of a prediction every byte, of a study's files what they hold beside
times (how: `validity/ray_faults.py`). A killed node is followed by a new one, a killed command is
given again. `rows` are faces, or a study's predictions; `lost` and `doubled` are of these,
`other_bytes` files. `given_up` counts commands that ended as one of their jobs was lost three times
before it had got anywhere, and were given again. Versions and hardware of the row that came last
are in `ray.environment.json`.

{table}
"""


def add(folder: Path, name: str, row: Mapping[str, object], key: Sequence[str]) -> None:
    """Put a row into NAME.csv in the place of the one with the same `key`; write the page anew."""
    rows, path = pd.DataFrame([row]), folder / f"{name}.csv"
    if path.is_file():
        before = read_csv(path)
        same = (before[list(key)] == [row[one] for one in key]).all(axis=1)
        rows = pd.concat([before[~same], rows], ignore_index=True)
    write_csv(rows, path)
    write_json(folder / f"{name}.environment.json", environment())
    write(folder)


def write(folder: Path) -> None:
    """Write README.md about the tables that are in `folder`."""
    parts = [_TITLE]
    for name, text in (("fuzz", _FUZZ), ("chaos", _CHAOS), ("ray", _RAY)):
        path = folder / f"{name}.csv"
        if path.is_file():
            table = read_csv(path)
            commands = "\n    ".join(dict.fromkeys(table.pop("command")))
            rows = [
                list(table.columns),
                ["---"] * len(table.columns),
                # What an older row doesn't count is empty.
                *table.astype(object).fillna("").astype(str).to_numpy(),
            ]
            shown = "\n".join(f"| {' | '.join(row)} |" for row in rows)
            parts.append(text.format(commands=commands, table=shown).strip())
            if name == "fuzz":
                parts.append(_MENDED.strip())
    write_text(folder / "README.md", "\n\n".join(parts) + "\n")
