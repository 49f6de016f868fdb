"""Does work on a cluster lose or double anything when its processes and machines die?

    python validity/ray_faults.py --kills 20 --out results/reliability

starts a Ray cluster of several nodes on this machine. What is wanted is what one process makes of
the same: `predict` looks at pictures (a file that can't be read and, where PyAV is installed, a
video are among them), `study` trains and evaluates networks. Then the command runs with
`--on ray://...`, and SIGKILL ends, at random moments, what works on a node, a whole node (a new
one joins afterwards) and the command itself, which is then given again. In the end every table of
a prediction must have the bytes that the one process wrote; of a study's files, which hold times,
what they hold beside them (`chaos.essence`). A round has up to four kills.
"""

import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

import chaos
import reliability_page
from experiment import exit_code, parser
from hemiface.data.phantom import make as phantom
from hemiface.errors import HemifaceError
from hemiface.ray_cluster import quiet
from hemiface.tables import read_predictions
from hemiface.vision.pieces import PIECES

__all__ = ["Cluster", "Prediction", "Scene", "Study", "Tally", "disturb", "round_of"]

_ROUND = ("worker", "node", "worker", "driver")
"""What is killed in a round, in this order."""
_GIVEN_UP = "times without getting further"
_SIDE_PX = 2400
"""Of pictures that take a while to read."""
_PATIENCE_S = 600
_TABLES = ("faces.csv", "faces.jsonl", "faces.parquet", "sources.csv")


@dataclass
class Tally:
    """What came of the kills."""

    scene: str
    seed: int
    files: int = 0
    """That are compared."""
    rows: int = 0
    """Faces, or a study's predictions."""
    undisturbed_s: float = 0.0
    rounds: int = 0
    workers_killed: int = 0
    nodes_killed: int = 0
    drivers_killed: int = 0
    lost: int = 0
    """Rows that are wanted and aren't there, over all rounds."""
    doubled: int = 0
    """Rows that are there more often than is wanted."""
    other_bytes: int = 0
    """Files that hold something else than is wanted, aren't there, or shouldn't be."""
    given_up: int = 0
    """How often a command ended because one of its jobs was lost too often, and was given again."""
    failed: int = 0
    notes: list[str] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """Return the counts, without notes."""
        return {name: one for name, one in asdict(self).items() if name != "notes"}

    @property
    def kills(self) -> int:
        """All of them."""
        return self.workers_killed + self.nodes_killed + self.drivers_killed

    @property
    def found(self) -> int:
        """How often something was not as it should be."""
        return self.lost + self.doubled + self.other_bytes + self.failed


class Cluster:
    """Some nodes of one processor on this machine, each with processes of its own."""

    def __init__(self, nodes: int) -> None:
        quiet(alone=True)
        from ray.cluster_utils import Cluster as Nodes

        # The head has no processor, so that every predictor lies on a node that may die.
        self._nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 0})
        for _ in range(nodes):
            self._nodes.add_node(num_cpus=1)
        self._nodes.wait_for_nodes()
        self.address = self._nodes.address

    def workers(self, titles: tuple[str, ...]) -> list[int]:
        """Return the processes that work, by how their titles begin."""
        return [pid for one in self._nodes.worker_nodes for pid in _children(_raylet(one), titles)]

    def kill_node(self, draw: random.Random, titles: tuple[str, ...]) -> bool:
        """Kill a node where there is work, with all that Ray runs there; let another one join."""
        victims = [one for one in self._nodes.worker_nodes if _children(_raylet(one), titles)]
        if not victims:
            return False
        victim = draw.choice(sorted(victims, key=_raylet))
        for pid in [_raylet(victim), *_children(_raylet(victim), titles)]:
            os.kill(pid, signal.SIGKILL)
        self._nodes.remove_node(victim, allow_graceful=False)
        self._nodes.add_node(num_cpus=1)
        return True

    def stop(self) -> None:
        """End everything that was started."""
        self._nodes.shutdown()


def _raylet(node: Any) -> int:
    (raylet,) = node.all_processes["raylet"]
    return int(raylet.process.pid)


def _children(raylet: int, titles: tuple[str, ...]) -> list[int]:
    """Return the children of a raylet whose titles begin so."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            own = (path / "cmdline").read_bytes()
        except OSError:
            continue  # It has just ended.
        if parent == raylet and own.startswith(tuple(one.encode() for one in titles)):
            found.append(int(path.name))
    return sorted(found)


class Scene(Protocol):
    """A command, what it leaves when nothing disturbs it, and how its work is seen."""

    name: str
    titles: tuple[str, ...]
    """How the titles of the processes begin that work for it."""

    def command(self, out: Path, address: str = "") -> list[str]:
        """Return the words that write into `out`, here or on a cluster."""

    def has_begun(self, out: Path) -> bool:
        """Return whether something is done, so that there is something to lose."""

    def files(self, out: Path) -> dict[str, str]:
        """Return a hash of each file that has to be the same, by its name."""

    def rows(self, out: Path) -> list[str]:
        """Return what has to be there exactly once."""


class Prediction:
    """`hemiface predict` of large pictures, a broken one and a video."""

    name = "predict --on ray"
    titles = ("ray::MapWorker",)

    def __init__(self, place: Path, photos: int) -> None:
        self._folder = place / "photos"
        self._folder.mkdir()
        for number, face in enumerate(phantom.render(np.arange(photos) % 7, seed=0)):
            large = Image.fromarray(face).resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BILINEAR)
            large.save(self._folder / f"{number:04}.jpg", quality=90)
        (self._folder / "0003.jpg").write_bytes(b"no picture")
        try:
            from hemiface.vision.video.frames import open_writer

            with open_writer(self._folder / "clip.mp4") as writer:
                for face in phantom.render(np.arange(60) % 7, seed=1):
                    writer.add(np.repeat(face[..., None], 3, axis=2), None)
        except ImportError:
            return

    def command(self, out: Path, address: str = "") -> list[str]:
        """Return the words; tables of three formats."""
        folder = str(self._folder)
        words = ["predict", folder, "--no-detect", "--format", "csv,jsonl,parquet", "--json"]
        return [*words, "--out", str(out), *(["--on", f"ray://{address}"] if address else [])]

    def has_begun(self, out: Path) -> bool:
        """Return whether a piece is done."""
        return any((out / PIECES).glob("*.parquet"))

    def files(self, out: Path) -> dict[str, str]:
        """Return the hashes of the tables' bytes."""
        there = [out / name for name in _TABLES if (out / name).is_file()]
        return {one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in there}

    def rows(self, out: Path) -> list[str]:
        """Return the faces."""
        return (out / "faces.jsonl").read_text(encoding="utf-8").splitlines()


class Study:
    """`hemiface study` of two small networks on rendered faces."""

    name = "study --on ray"
    # Ray calls a process by the task that it carries out, and a task is called as its stage.
    titles = ("ray::full", "ray::upper", "ray::predictions", "ray::report")

    def command(self, out: Path, address: str = "") -> list[str]:
        """Return the words; one thread everywhere, for the number of them changes weights."""
        words = [*chaos.STUDY, "--set", "cluster.cpus=1", "--out", str(out)]
        return [*words, *(["--on", f"ray://{address}"] if address else [])]

    def has_begun(self, out: Path) -> bool:
        """Return whether a job holds its stage."""
        return any(out.glob("jobs/*/.lock"))

    def files(self, out: Path) -> dict[str, str]:
        """Return what the files of the run folder hold beside times."""
        return chaos.essences(out)

    def rows(self, out: Path) -> list[str]:
        """Return which image each prediction is of, by which model under which condition."""
        table = read_predictions(out / "predictions.parquet").table
        columns = ["model", "condition", "image"]
        return [" ".join(row) for row in table[columns].astype(str).to_numpy()]


def start(words: list[str]) -> subprocess.Popen[bytes]:
    """Start a command of hemiface, with one thread, in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "hemiface", *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for a command.

    Raises:
        HemifaceError: it ends otherwise than with what can't be read.
    """
    _, said = process.communicate(timeout=_PATIENCE_S)
    if process.returncode not in (0, 4):
        last = (said.decode(errors="replace").strip().splitlines() or ["nothing"])[-1]
        raise HemifaceError(f"a command ended with {process.returncode}: {last}")


def round_of(
    cluster: Cluster, scene: Scene, out: Path, kinds: list[str], draw: random.Random, tally: Tally
) -> None:
    """Give a command to the cluster and kill what `kinds` names on the way."""
    process = start(scene.command(out, cluster.address))
    for kind in kinds:
        _wait_for_work(process, cluster, scene, out)
        time.sleep(draw.uniform(0, tally.undisturbed_s / 2 / len(_ROUND)))
        if process.poll() is not None:
            break
        if kind == "worker" and (alive := cluster.workers(scene.titles)):
            os.kill(draw.choice(alive), signal.SIGKILL)
            tally.workers_killed += 1
        elif kind == "node" and cluster.kill_node(draw, scene.titles):
            tally.nodes_killed += 1
        elif kind == "driver":
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            tally.drivers_killed += 1
            process = start(scene.command(out, cluster.address))
    try:
        finish(process)
    except HemifaceError as error:
        # What is lost three times before it gets further is given up, and that is promised.
        if _GIVEN_UP not in str(error):
            raise
        tally.given_up += 1
        finish(start(scene.command(out, cluster.address)))


def _wait_for_work(
    process: subprocess.Popen[bytes], cluster: Cluster, scene: Scene, out: Path
) -> None:
    """Wait until something is at work and there is something to lose, or the command has ended."""
    end_s = time.monotonic() + _PATIENCE_S
    while process.poll() is None and time.monotonic() < end_s:
        if cluster.workers(scene.titles) and scene.has_begun(out):
            return
        time.sleep(0.1)


def compare(scene: Scene, wanted: Path, out: Path, tally: Tally) -> None:
    """Count what a round lost, doubled or wrote otherwise."""
    before, after = scene.files(wanted), scene.files(out)
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            tally.other_bytes += 1
            tally.notes.append(f"round {tally.rounds}: {name} isn't what is wanted")
    rows, found = (Counter(scene.rows(one)) for one in (wanted, out))
    tally.lost += (rows - found).total()
    tally.doubled += (found - rows).total()


def disturb(
    scene: Scene,
    cluster: Cluster,
    kills: int,
    tally: Tally,
    place: Path,
    on_round: Callable[[], None] = lambda: None,
) -> None:
    """Kill a command `kills` times in all, in rounds, and count what came of it.

    `on_round()` is called after each, for all of them take long.
    """
    draw = random.Random(tally.seed)
    wanted, whole = place / "wanted", place / "undisturbed"
    finish(start(scene.command(wanted)))
    tally.files, tally.rows = len(scene.files(wanted)), len(scene.rows(wanted))
    started = time.perf_counter()
    finish(start(scene.command(whole, cluster.address)))
    tally.undisturbed_s = round(time.perf_counter() - started, 1)
    compare(scene, wanted, whole, tally)
    while tally.kills < kills and not tally.failed:
        tally.rounds += 1
        out = place / f"round{tally.rounds}"
        try:
            round_of(cluster, scene, out, list(_ROUND[: kills - tally.kills]), draw, tally)
        except (HemifaceError, subprocess.TimeoutExpired) as error:
            tally.failed += 1
            tally.notes.append(f"round {tally.rounds}: {error}")
            continue
        compare(scene, wanted, out, tally)
        print(tally.row(), flush=True)
        on_round()


def _note(folder: Path | None, tally: Tally, command_line: str) -> None:
    if folder:
        row = {**tally.row(), "command": command_line}
        reliability_page.add(folder, "ray", row, ("scene",))


def main() -> None:
    """Kill what is asked for, and write what came of it."""
    options = parser(__doc__ or "")
    options.add_argument("--scenes", default="predict,study", help="parted by commas")
    options.add_argument("--kills", type=int, default=20, help="of each")
    options.add_argument("--photos", type=int, default=200)
    options.add_argument("--nodes", type=int, default=3, help="beside the head")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--out", type=Path, help="folder of the counts; without it they are shown")
    given = options.parse_args()
    command_line = f"python validity/ray_faults.py {' '.join(sys.argv[1:])}"
    found = 0
    for word in given.scenes.split(","):
        with tempfile.TemporaryDirectory(prefix="hemiface-ray-") as folder:
            place = Path(folder)
            scene: Scene = Prediction(place, given.photos) if word == "predict" else Study()
            tally = Tally(f"{scene.name}, {given.nodes} nodes", given.seed)
            note = partial(_note, given.out, tally, command_line)
            cluster = Cluster(given.nodes)
            try:
                disturb(scene, cluster, given.kills, tally, place, note)
            finally:
                cluster.stop()
            note()
        for line in tally.notes[:20]:
            print(f"  {line}", flush=True)
        found += tally.found
    if found:
        raise HemifaceError("Something was lost, doubled or written otherwise.")


if __name__ == "__main__":
    sys.exit(exit_code(main))
