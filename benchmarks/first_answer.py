"""How long it takes from nothing to the first answer: an environment, the install, one photo.

    make dist
    python benchmarks/first_answer.py build/dist/hemiface-*.whl

In a new environment and an empty cache, one after the other: make the environment, `pip install`
the wheel with what it needs (pinned, from the package index that pip is set up for), `hemiface
models pull`, `hemiface predict` for the first time and once more, on a made photo with a rendered
face. How fast the index answers is part of the first steps, and is nothing of hemiface's. Writes
`results/benchmarks/first_answer.json`, with the megabytes that the environment takes.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import skeleton
from hemiface.errors import HemifaceError
from serving import pictures

_PINNED = Path(__file__).resolve().parents[1] / "constraints" / "light.txt"


def seconds(command: list[object], **known: str) -> float:
    """Return how long a command takes.

    Raises:
        HemifaceError: it fails.
    """
    begun = time.perf_counter()
    words = [str(one) for one in command]
    done = subprocess.run(
        words, env={**os.environ, **known}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip() or "no word").splitlines()[-1]
        raise HemifaceError(f"{' '.join(words[-3:])} ended with {done.returncode}: {last}")
    return time.perf_counter() - begun


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Do all of it once and return what the results file holds."""
    machine = skeleton.Machine()
    with tempfile.TemporaryDirectory(prefix="hemiface-first-") as name:
        folder = Path(name)
        photo = folder / "photo.jpg"
        photo.write_bytes(pictures(crops=False)[3])
        programs, cache = folder / "venv/bin", str(folder / "cache")
        pip = [programs / "python", "-m", "pip", "install", "--quiet", "--no-cache-dir"]
        predict = [programs / "hemiface", "predict", photo, "--json"]
        steps = {
            "environment": seconds([sys.executable, "-m", "venv", folder / "venv"]),
            "what it needs": seconds([*pip, "--require-hashes", "--requirement", _PINNED]),
            "hemiface": seconds([*pip, "--no-deps", options.wheel]),
            "models pull": seconds([programs / "hemiface", "models", "pull"], HEMIFACE_CACHE=cache),
            "the first photo": seconds(predict, HEMIFACE_CACHE=cache, PYTHONPATH=""),
            "the next photo": seconds(predict, HEMIFACE_CACHE=cache, PYTHONPATH=""),
        }
        sizes = sum(one.stat().st_size for one in (folder / "venv").rglob("*") if one.is_file())
    return {"seconds": steps, "megabytes": sizes / 1e6, **machine.facts()}


def show(results: dict[str, Any]) -> None:
    """Print the table."""
    steps = results["seconds"]
    first = sum(value for name, value in steps.items() if name != "the next photo")
    rows = [(name, f"{value:.1f}") for name, value in steps.items()]
    rows.append(("to the first answer", f"{first:.1f}"))
    size = f"{results['megabytes']:.0f} MB installed"
    table = skeleton.markdown(("step", "seconds"), rows)
    skeleton.say([*table, "", f"{size}. {skeleton.processor(results)}."])


def main() -> int:
    """Measure and show."""
    parser = skeleton.parser(__doc__, skeleton.RESULTS / "first_answer.json", markdown=True)
    parser.add_argument("wheel", nargs="?", type=Path, help="what make dist made")
    options = parser.parse_args()
    if not options.markdown and options.wheel is None:
        parser.error("name the wheel that make dist made")
    return skeleton.main(options, run, show)


if __name__ == "__main__":
    sys.exit(main())
