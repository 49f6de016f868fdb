"""Does any file, however it was changed, cost more than a sentence?

    python validity/fuzz.py --inputs 10000 --out results/reliability

changes whole files of every kind that hemiface reads (`fuzz_brought`, `fuzz_written`) in up to six
places each (`mutations`), and hands them to hemiface's own readers in a process of their own. A
reader may take a file or raise a HemifaceError. Anything else is found: another exception, a
signal, more than 2 GB, more than 20 s, and a changed file that was taken although a checksum is in
it. Input n of a kind is the same for the same --seed; what is found is written into --found, one
file each.

    python validity/fuzz.py --engine atheris --seconds 60

lets atheris, where it is installed, look for inputs that run other lines (`all`: both, one after
the other). In atheris' one process there are no limits but its own (20 s, 2 GB), and a checksum
proves nothing: atheris sees what it is compared with and writes it.
"""

import faulthandler
import gc
import importlib.util
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from itertools import product
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FunctionType

import fuzz_brought
import fuzz_sent
import fuzz_written
import reliability_page
from experiment import exit_code, parser
from fuzz_targets import AcceptedError, Target
from hemiface.errors import HemifaceError, UsageError
from mutations import mutated

__all__ = ["KINDS", "Tally", "fuzz"]

MOST_BYTES = 2 * 2**30
MOST_S = 20.0
_ROOM_BYTES = 2 * MOST_BYTES
_START_S = 180.0
FOUND = ("tracebacks", "signals", "over_memory", "over_time", "damage_taken")


def _bare(kind: Callable[..., Target]) -> Callable[[Path], Target]:
    return lambda folder: kind(folder, bare=True)


KINDS: dict[str, Callable[[Path], Target]] = {
    "pictures": fuzz_brought.pictures,
    "csv": fuzz_brought.csv_files,
    "folders": fuzz_brought.folders,
    "toml": fuzz_brought.toml,
    "videos": fuzz_brought.videos,
    "bundles": fuzz_written.bundles,
    "bundles-bare": _bare(fuzz_written.bundles),
    "onnx": fuzz_written.onnx_files,
    "onnx-bare": _bare(fuzz_written.onnx_files),
    "parquet": fuzz_written.parquet,
    "parquet-bare": _bare(fuzz_written.parquet),
    "pixels": fuzz_written.pixels,
    "journals": fuzz_written.journals,
    "checkpoints": fuzz_written.checkpoints,
    "records": fuzz_written.records,
    "bodies": fuzz_sent.bodies,
}
"""Name -> what makes the target in an empty folder. `-bare` are files without a seal, of others and
of earlier versions, of which no change but those that make no sense can be told."""


@dataclass
class Tally:
    """What came of the inputs of one kind."""

    kind: str
    engine: str
    seed: int
    inputs: int = 0
    taken: int = 0
    refused: int = 0
    tracebacks: int = 0
    signals: int = 0
    over_memory: int = 0
    over_time: int = 0
    damage_taken: int = 0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    """What was found, an input each: its number and what it did."""

    def row(self) -> dict[str, object]:
        """Return the counts, without notes."""
        return {name: one for name, one in asdict(self).items() if name != "notes"}

    @property
    def found(self) -> int:
        """How many inputs did what none may do."""
        return sum(getattr(self, name) for name in FOUND)


def fuzz(kind: str, numbers: Sequence[int], seed: int, found: Path) -> Tally:
    """Look at the inputs `numbers` of a kind; write what is found into the folder `found`."""
    tally, left = Tally(kind, "mutations", seed), list(numbers)
    started = time.perf_counter()
    while left:
        for number, word, note in _answers(kind, left, seed):
            left.remove(number)
            tally.inputs += 1
            setattr(tally, word, getattr(tally, word) + 1)
            if word in FOUND:
                tally.notes.append(f"{number}: {word}, {note}")
                found.mkdir(parents=True, exist_ok=True)
                (found / f"{kind}-{seed}-{number}.txt").write_text(note, encoding="utf-8")
                (found / f"{kind}-{seed}-{number}.bin").write_bytes(_input(kind, seed, number))
    tally.seconds = round(time.perf_counter() - started, 1)
    return tally


def _input(kind: str, seed: int, number: int) -> bytes:
    with tempfile.TemporaryDirectory(prefix="hemiface-fuzz-") as folder:
        target = KINDS[kind](Path(folder))
    return mutated(target.seeds, target.words, f"{seed}/{kind}/{number}")[1]


def _answers(kind: str, numbers: list[int], seed: int) -> Iterator[tuple[int, str, str]]:
    """Yield number, a field of Tally and a note for each input, until a worker is lost."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with tempfile.TemporaryDirectory(prefix="hemiface-fuzz-") as folder:
        worker = context.Process(target=_work, args=(kind, list(numbers), seed, folder, theirs))
        worker.start()
        theirs.close()
        try:
            yield from _listened(ours, worker, numbers)
        finally:
            worker.kill()
            worker.join()
            ours.close()


def _listened(
    ours: Connection, worker: SpawnProcess, numbers: list[int]
) -> Iterator[tuple[int, str, str]]:
    limit_s, at = _START_S, None
    for number in list(numbers):
        try:
            while True:
                if not ours.poll(limit_s):
                    if at is None:
                        raise UsageError("The worker doesn't start; see its errors.")
                    yield number, "over_time", f"over {MOST_S:g} s"
                    return
                said = ours.recv()
                limit_s = MOST_S
                if said == "next":
                    at = number
                else:
                    break
        except EOFError:
            worker.join()
            if at is None:
                raise UsageError("The worker doesn't start; see its errors.") from None
            code = worker.exitcode or 0
            name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            yield number, "signals", name
            return
        yield number, *said


def _work(kind: str, numbers: list[int], seed: int, folder: str, theirs: Connection) -> None:
    """Look at inputs in this process and send what came of each."""
    warnings.simplefilter("ignore")
    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ["OMP_NUM_THREADS"] = "1"
    # What libraries say of each file is nobody's.
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    target = KINDS[kind](Path(folder))
    for content in target.seeds:
        _answer(target, content, changed=False)
    room = _memory("VmSize") + _ROOM_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    for number in numbers:
        place, content = mutated(target.seeds, target.words, f"{seed}/{kind}/{number}")
        theirs.send("next")
        theirs.send(_answer(target, content, changed=content != target.seeds[place]))


def _answer(target: Target, content: bytes, *, changed: bool) -> tuple[str, str]:
    """Return a field of Tally and a note."""
    _forget_peak()
    before = _memory("VmRSS")
    try:
        target.look(content)
        word, note = "taken", ""
    except HemifaceError:
        word, note = "refused", ""
    except AcceptedError as error:
        word, note = "damage_taken", str(error)
    except Exception as error:  # noqa: BLE001 - this is what is looked for
        where = traceback.extract_tb(error.__traceback__)[-1]
        ours = [
            one for one in traceback.extract_tb(error.__traceback__) if "hemiface" in one.filename
        ]
        last = ours[-1] if ours else where
        note = f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno}: {error}"[:500]
        word = "tracebacks"
    if word == "taken" and target.is_sealed and changed:
        word, note = "damage_taken", "a changed file with a seal"
    grown = _memory("VmHWM") - before
    if word not in FOUND and grown > MOST_BYTES:
        word, note = "over_memory", f"{grown / 2**30:.1f} GB"
    return word, note


def _forget_peak() -> None:
    # Linux alone; elsewhere the limit of the address space stands.
    if os.access("/proc/self/clear_refs", os.W_OK):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _memory(name: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


# --- atheris ----------------------------------------------------------------------------------


def with_atheris(kind: str, seconds: int, seed: int, found: Path) -> Tally:
    """Let atheris look for inputs of a kind, in a process that it ends at the first found.

    Raises:
        UsageError: atheris isn't installed.
    """
    if importlib.util.find_spec("atheris") is None:
        raise UsageError(
            "atheris isn't installed here; pip install atheris, or take --engine mutations."
        )
    tally = Tally(kind, f"atheris {version('atheris')}", seed)
    found.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="hemiface-fuzz-") as folder:
        counts = Path(folder) / "counts.json"
        done = subprocess.run(
            [sys.executable, __file__, "--inside", kind, folder, f"-max_total_time={seconds}",
             f"-seed={seed + 1}", f"-timeout={MOST_S:.0f}", f"-rss_limit_mb={MOST_BYTES >> 20}",
             f"-artifact_prefix={found}/{kind}-atheris-", str(Path(folder) / "corpus")],
            capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        known = json.loads(counts.read_text(encoding="utf-8")) if counts.is_file() else {}
    tally.inputs = known.get("taken", 0) + known.get("refused", 0)
    tally.taken, tally.refused = known.get("taken", 0), known.get("refused", 0)
    if done.returncode:
        said = done.stderr.splitlines()
        word = (
            "over_time"
            if "timeout" in done.stderr
            else "over_memory"
            if "out-of-memory" in done.stderr
            else "tracebacks"
        )
        setattr(tally, word, 1)
        tally.inputs += 1
        tally.notes.append(f"{word}, {' | '.join(line for line in said if 'Error' in line)[:400]}")
    tally.seconds = round(time.perf_counter() - started, 1)
    return tally


def _inside(kind: str, folder: str, options: list[str]) -> None:
    import atheris

    place = Path(folder) / "place"
    place.mkdir()
    warnings.simplefilter("ignore")
    target = KINDS[kind](place)
    for content in target.seeds:
        # Imports what the readers import when they are used.
        _answer(target, content, changed=False)
    # hemiface is loaded by now; all that is, libraries and all, would take minutes.
    for one in gc.get_objects():
        if isinstance(one, FunctionType) and str(one.__module__).startswith("hemiface"):
            atheris.instrument_func(one)
    corpus = Path(options[-1])
    corpus.mkdir()
    for number, content in enumerate(target.seeds):
        (corpus / str(number)).write_bytes(content)
    counts = Counter[str]()
    beside = Path(folder) / "counts.json"

    def look(content: bytes) -> None:
        try:
            target.look(content)
            counts["taken"] += 1
        except AcceptedError:
            # What atheris compares it knows: it writes the checksum that fits what it changed.
            # Then nothing is damaged; whether damage is taken the other engine tells.
            counts["taken"] += 1
        except HemifaceError:
            counts["refused"] += 1
        if sum(counts.values()) % 10 == 0:
            beside.write_text(json.dumps(counts), encoding="utf-8")

    atheris.Setup([sys.argv[0], *options], look)
    atheris.Fuzz()


# --- command ----------------------------------------------------------------------------------


def main() -> None:
    """Fuzz the kinds that are asked for, and write what came of it."""
    options = parser(__doc__ or "")
    options.add_argument("--kinds", default=",".join(KINDS), help="parted by commas; default all")
    options.add_argument("--inputs", type=int, default=10_000, help="of each kind")
    options.add_argument("--seconds", type=int, default=60, help="for each kind, with atheris")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--engine", choices=("mutations", "atheris", "all"), default="mutations")
    options.add_argument(
        "--found", type=Path, default=Path(tempfile.gettempdir()) / "hemiface-found"
    )
    options.add_argument("--out", type=Path, help="folder of the counts; without it they are shown")
    given = options.parse_args()
    kinds = given.kinds.split(",")
    unknown = sorted(set(kinds) - KINDS.keys())
    if unknown:
        raise UsageError(f"There is no kind {unknown[0]}; choose from {', '.join(KINDS)}.")
    engines = ["mutations", "atheris"] if given.engine == "all" else [given.engine]
    if given.engine == "all" and importlib.util.find_spec("atheris") is None:
        engines.remove("atheris")
        print("atheris isn't installed here; the mutations alone look.", flush=True)
    # Where found inputs went is nobody's but this machine's.
    asked = sys.argv[1:]
    if "--found" in asked:
        place = asked.index("--found")
        asked = asked[:place] + asked[place + 2 :]
    command = f"python validity/fuzz.py {' '.join(asked)}"
    tallies = []
    for engine, kind in product(engines, kinds):
        if engine == "atheris":
            tally = with_atheris(kind, given.seconds, given.seed, given.found)
        else:
            tally = fuzz(kind, range(given.inputs), given.seed, given.found)
        tallies.append(tally)
        print(f"{kind}: {tally.row()}", flush=True)
        for note in tally.notes[:20]:
            print(f"  {note}", flush=True)
        if given.out:  # after each, for all of them take hours
            row = {**tally.row(), "command": command}
            reliability_page.add(given.out, "fuzz", row, ("kind", "engine"))
    if any(tally.found for tally in tallies):
        raise HemifaceError(f"Something was found; the inputs are in {given.found}.")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        _inside(sys.argv[2], sys.argv[3], sys.argv[4:])
    sys.exit(exit_code(main))
