"""How much memory and time report and compare take of prediction tables that outgrow memory.

    python benchmarks/large_tables.py             # 1, 3 and 10 million rows
    python benchmarks/large_tables.py --rows 300000 1000000    # in a minute or two

Predictions of two models under five conditions are drawn (seeded), written in parts of a million
rows, and given to `hemiface report` and `hemiface compare`, each a process of its own that counts
from the first row on. Time is that of the whole process, memory its largest resident set. Written
to results/benchmarks/large_tables.json.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import skeleton
from hemiface.data.parts import ROWS_A_PART, parts_writer
from hemiface.tables import EMOTIONS, PROBABILITY_COLUMNS

MODELS = ("full", "any")
CONDITIONS = ("full", "upper", "lower", "left", "right")
CELLS = [(model, key) for model in MODELS for key in CONDITIONS]
DRAWS = 200


def synthesise(folder: Path, rows: int, seed: int = 0) -> None:
    """Write about `rows` rows in parts: every image under every cell, three images a group."""
    described = [{"model": one, "name": one, "seed": 0, "flips": False} for one in MODELS]
    images, step = rows // len(CELLS), ROWS_A_PART // len(CELLS)
    with parts_writer(folder, {"models": described}) as write:
        for start in range(0, images, step):
            write(_part(start, min(step, images - start), np.random.default_rng([seed, start])))


def _part(start: int, count: int, rng: np.random.Generator) -> pd.DataFrame:
    number = np.arange(start, start + count)
    labels = rng.integers(0, len(EMOTIONS), count)
    base = pd.DataFrame(
        {
            "image": [f"{one:016x}" for one in number],
            "dataset": "drawn",
            "split": "test",
            "label": np.asarray(EMOTIONS)[labels],
            "group": [f"{one // 3:016x}" for one in number],
            "leaked": False,
        }
    )
    ease, cells = rng.normal(0, 1, count), []
    for place, (model, key) in enumerate(CELLS):
        logits = rng.normal(0, 1, (count, len(EMOTIONS)))
        logits[np.arange(count), labels] += 2 + ease - 0.1 * place
        powers = np.exp(logits)
        p = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
        cell = base.assign(condition=key, model=model)
        cells.append(cell.assign(**dict(zip(PROBABILITY_COLUMNS, p.T, strict=True))))
    return pd.concat(cells, ignore_index=True)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Do all measurements and return what the results file holds."""
    os.environ["HEMIFACE_MAX_MEMORY_ROWS"] = "1"
    machine, found = skeleton.Machine(), []
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as temporary:
            parts, out = Path(temporary) / "parts", Path(temporary) / "out"
            synthesise(parts, rows)
            compared = skeleton.cost_of("compare", parts, "--out", out, "--draws", DRAWS)
            found.append({"rows": rows, "compare": compared})
            found[-1]["report"] = skeleton.cost_of("report", parts, "--out", out / "report.html")
    return {"cells": len(CELLS), "draws": DRAWS, "tables": found, **machine.facts()}


def show(results: dict[str, Any]) -> None:
    rows = [
        (f"{one['rows']:,}", *(f"{one[name][part]}" for name in ("compare", "report") for part in
         ("time_s", "cpu_s", "peak_mib")))
        for one in results["tables"]
    ]  # fmt: skip
    headings = ["rows", *(f"{name}, {unit}" for name in ("compare", "report") for unit in
                ("s", "s of processor", "MiB"))]  # fmt: skip
    skeleton.say([*skeleton.markdown(headings, rows), skeleton.processor(results)])


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = skeleton.parser(__doc__, skeleton.RESULTS / "large_tables.json", markdown=True)
    default = [1_000_000, 3_000_000, 10_000_000]
    parser.add_argument("--rows", type=skeleton.count, nargs="+", default=default)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return skeleton.main(parse(arguments), run, show)


if __name__ == "__main__":
    sys.exit(main())
