"""What every benchmark is made of: its arguments, what its numbers depend on, its JSON, its errors.

A benchmark makes its arguments with `parser`, measures in `run(options)`, which returns JSON
values, prints in `show(results)` what the file holds, and hands both to `main`. How things are
measured in turn and put together: timing.py.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from hemiface.errors import HemifaceError, UsageError
from hemiface.files import write_json
from hemiface.provenance import environment
from timing import MAXRSS_MIB

RESULTS = Path(__file__).resolve().parents[1] / "results" / "benchmarks"

Run = Callable[[argparse.Namespace], dict[str, Any]]
Show = Callable[[dict[str, Any]], None]
Work = Callable[[Any], dict[str, Any]]


def parser(
    about: str | None,
    out: Path,
    *,
    repeats: int | None = None,
    markdown: bool = False,
    worker: bool = False,
) -> argparse.ArgumentParser:
    """Return a parser with what benchmarks share; `about` is a script's docstring.

    --out, the results; with `repeats`, --repeats, how often each thing is measured unless told;
    with `markdown`, --markdown, to show the results without measuring; with `worker`, --worker,
    which `worker_command` gives.
    """
    made = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = made.add_argument
    add("--out", type=Path, default=out, help="the results (default %(default)s)")
    if repeats:
        told = "measurements of each (default %(default)s)"
        add("--repeats", type=count, default=repeats, help=told)
    if markdown:
        add("--markdown", action="store_true", help="measure nothing; show what --out holds")
    if worker:
        add("--worker", type=json.loads, help=argparse.SUPPRESS)
    return made


def count(text: str) -> int:
    """Return a whole number from 1 on, for `type` of an argument."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no whole number of at least 1")
    return int(text)


def main(options: argparse.Namespace, run: Run, show: Show, work: Work | None = None) -> int:
    """Do what was asked for and return the exit code.

    That is to measure (`run`), write --out and show what it holds, which is read from the file, so
    that nothing is shown that isn't kept; with --markdown only to show it; with --worker to print
    what `work` makes of that argument.
    """

    def asked() -> None:
        if work and options.worker:
            print(json.dumps(work(options.worker)))
            return
        if not getattr(options, "markdown", False):
            write_json(options.out, run(options))
            print(options.out, file=sys.stderr)
        show(read(options.out))

    return exit_code(asked)


def exit_code(work: Callable[[], object]) -> int:
    """Do `work` and return 0; say what a user can mend and return the code of its error."""
    try:
        work()
    except HemifaceError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def read(path: Path) -> dict[str, Any]:
    """Return what a results file holds.

    Raises:
        UsageError: there is none.
    """
    if not path.is_file():
        raise UsageError(f"{path} doesn't exist; run the benchmark first.")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


class Machine:
    """What numbers depend on beside the code, noted from here on."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self.load = loads()

    def facts(self) -> dict[str, Any]:
        """Return versions and hardware, processor instructions included, load and minutes."""
        return {
            "environment": environment(),
            "load_average": {"before": self.load, "after": loads()},
            "minutes": (time.perf_counter() - self._started) / 60,
        }

    def flat_facts(self) -> dict[str, Any]:
        """Return versions, hardware and load for files that have them at their top."""
        return {"load_before": self.load[0], "load_after": loads()[0], **environment()}


def loads() -> list[float | None]:
    """Return the load averages of 1, 5 and 15 minutes; None where the system doesn't tell."""
    return list(os.getloadavg()) if hasattr(os, "getloadavg") else [None] * 3


def versions(results: Mapping[str, Any], packages: Sequence[str]) -> str:
    """Return the versions that `facts` noted of Python and the packages named."""
    known = results["environment"]["versions"]
    return ", ".join(f"{one} {known[one]}" for one in packages if one in known)


def processor(results: Mapping[str, Any]) -> str:
    """Return what `facts` noted of the processor and of what else it did, for a sentence."""
    known = results["environment"]["hardware"]
    return (
        f"{known['processor']}, {known['cores']} cores, load average "
        f"{results['load_average']['before'][0] or 0:.1f} before the run of "
        f"{results['minutes']:.0f} minutes"
    )


def markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table."""
    lines = [f"| {' | '.join(cells)} |" for cells in (headings, *rows)]
    return [lines[0], "|---" * len(headings) + "|", *lines[1:]]


def say(lines: Sequence[str]) -> None:
    """Print lines as they are, however wide the terminal is."""
    Console(soft_wrap=True, highlight=False, markup=False).print("\n".join(lines))


def worker_command(script: str, job: Any) -> list[str]:
    """Return the command that has a script's `work` do `job`, JSON values, in a fresh process."""
    return [sys.executable, str(Path(script).resolve()), "--worker", json.dumps(job)]


# Run by a bare Python, because a process's peak memory begins with that of its parent.
_LAUNCH = """
import json, os, subprocess, sys, time
started = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, used = os.wait4(process.pid, 0)
seconds = time.perf_counter() - started
spent, peak = used.ru_utime + used.ru_stime, used.ru_maxrss
print(json.dumps([os.waitstatus_to_exitcode(status), seconds, spent, peak]))
"""


def fresh(command: Sequence[object]) -> dict[str, float]:
    """Run a command; return wall and processor seconds and peak memory of its process.

    Raises:
        HemifaceError: it failed.
    """
    words = list(map(str, command))
    known = dict(os.environ)
    if words[0] != sys.executable:  # another environment brings its own hemiface
        known.pop("PYTHONPATH", None)
    launcher = [sys.executable, "-S", "-c", _LAUNCH, *words]
    done = subprocess.run(launcher, stdout=subprocess.PIPE, text=True, env=known, check=True)
    code, seconds, spent, peak = json.loads(done.stdout)
    if code:
        raise HemifaceError(f"{' '.join(words)} ended with {code}.")
    return {"seconds": seconds, "processor_s": spent, "peak_mib": peak * MAXRSS_MIB}


def cost_of(*words: object) -> dict[str, Any]:
    """Run hemiface and return its time in seconds and its peak memory in MiB."""
    used = fresh([sys.executable, "-m", "hemiface", *words])
    return {
        "time_s": round(used["seconds"], 1),
        "cpu_s": round(used["processor_s"], 1),
        "peak_mib": int(used["peak_mib"]),
    }
