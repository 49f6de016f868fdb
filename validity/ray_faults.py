"""Does a prediction on a cluster lose or double anything when its processes and machines die?

    python validity/ray_faults.py --kills 20 --out results/reliability

starts a Ray cluster of several nodes on this machine, looks at pictures with one process (what is
wanted), then with `hemiface predict --on ray://...` and kills, with SIGKILL and at random moments,
the predictors, a whole node (a new one joins afterwards) and the command itself, which is then
given again. In the end every table must have the bytes that the one process wrote. A round has up
to four kills; a file that can't be read and, where PyAV is installed, a video are among the
sources.
"""

import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import reliability_page
from experiment import exit_code, parser
from hemiface.data.phantom import make as phantom
from hemiface.errors import HemifaceError
from hemiface.ray_cluster import quiet
from hemiface.vision.pieces import PIECES

__all__ = ["Cluster", "Tally", "round_of"]

_ROUND = ("worker", "node", "worker", "driver")
"""What is killed in a round, in this order."""
_SIDE_PX = 2400
"""Of pictures that take a while to read."""
_PATIENCE_S = 600
_TABLES = ("faces.csv", "faces.jsonl", "faces.parquet", "sources.csv")


@dataclass
class Tally:
    """What came of the kills."""

    scene: str
    seed: int
    sources: int = 0
    faces: int = 0
    undisturbed_s: float = 0.0
    rounds: int = 0
    workers_killed: int = 0
    nodes_killed: int = 0
    drivers_killed: int = 0
    lost: int = 0
    """Rows of the wanted table that aren't there, over all rounds."""
    doubled: int = 0
    other_bytes: int = 0
    """Tables."""
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

    def workers(self) -> list[int]:
        """Return the processes that look at pictures."""
        return [pid for one in self._nodes.worker_nodes for pid in _predictors(_raylet(one))]

    def kill_node(self, draw: random.Random) -> bool:
        """Kill a node with all that runs there, and let another one join."""
        victims = [one for one in self._nodes.worker_nodes if _predictors(_raylet(one))]
        if not victims:
            return False
        victim = draw.choice(sorted(victims, key=_raylet))
        for pid in [_raylet(victim), *_predictors(_raylet(victim))]:
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


def _predictors(raylet: int) -> list[int]:
    """Return the children of a raylet that hold a predictor, by their titles."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            title = (path / "cmdline").read_bytes()
        except OSError:
            continue  # It has just ended.
        if parent == raylet and title.startswith(b"ray::MapWorker"):
            found.append(int(path.name))
    return sorted(found)


def sources(folder: Path, photos: int) -> int:
    """Make pictures, one of them broken, and a video; return how many sources these are."""
    folder.mkdir()
    for number, face in enumerate(phantom.render(np.arange(photos) % 7, seed=0)):
        large = Image.fromarray(face).resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BILINEAR)
        large.save(folder / f"{number:04}.jpg", quality=90)
    (folder / "0003.jpg").write_bytes(b"no picture")
    try:
        from hemiface.vision.video.frames import open_writer

        with open_writer(folder / "clip.mp4") as writer:
            for face in phantom.render(np.arange(60) % 7, seed=1):
                writer.add(np.repeat(face[..., None], 3, axis=2), None)
    except ImportError:
        return photos
    return photos + 1


def command(folder: Path, out: Path, address: str = "") -> list[str]:
    """Return the command that looks at a folder, here or on a cluster."""
    words = ["predict", str(folder), "--no-detect", "--format", "csv,jsonl,parquet", "--json"]
    on = ["--on", f"ray://{address}"] if address else []
    return [sys.executable, "-m", "hemiface", *words, "--out", str(out), *on]


def start(words: list[str]) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own."""
    log = subprocess.DEVNULL
    return subprocess.Popen(words, stdout=log, stderr=subprocess.PIPE, start_new_session=True)


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
    cluster: Cluster, folder: Path, out: Path, kinds: list[str], draw: random.Random, tally: Tally
) -> None:
    """Look at a folder on the cluster and kill what `kinds` names on the way."""
    process = start(command(folder, out, cluster.address))
    for kind in kinds:
        _wait_for_work(process, cluster, out)
        time.sleep(draw.uniform(0, tally.undisturbed_s / 2 / len(_ROUND)))
        if process.poll() is not None:
            break
        if kind == "worker" and (alive := cluster.workers()):
            os.kill(draw.choice(alive), signal.SIGKILL)
            tally.workers_killed += 1
        elif kind == "node" and cluster.kill_node(draw):
            tally.nodes_killed += 1
        elif kind == "driver":
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            tally.drivers_killed += 1
            process = start(command(folder, out, cluster.address))
    finish(process)


def _wait_for_work(process: subprocess.Popen[bytes], cluster: Cluster, out: Path) -> None:
    """Wait until a predictor is at work and something is done, or the command has ended."""
    end_s = time.monotonic() + _PATIENCE_S
    while process.poll() is None and time.monotonic() < end_s:
        if cluster.workers() and any((out / PIECES).glob("*.parquet")):
            return
        time.sleep(0.1)


def compare(wanted: Path, out: Path, tally: Tally) -> None:
    """Count what a round lost, doubled or wrote otherwise."""
    for name in _TABLES:
        there = (out / name).read_bytes() if (out / name).is_file() else b""
        if hashlib.sha256(there).digest() != hashlib.sha256((wanted / name).read_bytes()).digest():
            tally.other_bytes += 1
            tally.notes.append(f"round {tally.rounds}: {name} has other bytes")
    before, after = ((one / "faces.jsonl").read_text().splitlines() for one in (wanted, out))
    tally.lost += len(set(before) - set(after))
    tally.doubled += len(after) - len(set(after))


def disturb(kills: int, seed: int, photos: int, nodes: int, place: Path) -> Tally:
    """Kill a prediction `kills` times in all, in rounds."""
    tally = Tally(f"predict --on ray, {nodes} nodes", seed)
    draw = random.Random(seed)
    folder, wanted = place / "photos", place / "wanted"
    tally.sources = sources(folder, photos)
    finish(start(command(folder, wanted)))
    tally.faces = len((wanted / "faces.jsonl").read_text().splitlines())
    cluster = Cluster(nodes)
    try:
        started = time.perf_counter()
        whole = place / "undisturbed"
        finish(start(command(folder, whole, cluster.address)))
        tally.undisturbed_s = round(time.perf_counter() - started, 1)
        compare(wanted, whole, tally)
        while tally.kills < kills:
            tally.rounds += 1
            out = place / f"round{tally.rounds}"
            try:
                round_of(cluster, folder, out, list(_ROUND[: kills - tally.kills]), draw, tally)
            except (HemifaceError, subprocess.TimeoutExpired) as error:
                tally.failed += 1
                tally.notes.append(f"round {tally.rounds}: {error}")
                continue
            compare(wanted, out, tally)
            print(tally.row(), flush=True)
    finally:
        cluster.stop()
    return tally


def main() -> None:
    """Kill a prediction, and write what came of it."""
    options = parser(__doc__ or "")
    options.add_argument("--kills", type=int, default=20)
    options.add_argument("--photos", type=int, default=200)
    options.add_argument("--nodes", type=int, default=3, help="beside the head")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--out", type=Path, help="folder of the counts; without it they are shown")
    given = options.parse_args()
    command_line = f"python validity/ray_faults.py {' '.join(sys.argv[1:])}"
    with tempfile.TemporaryDirectory(prefix="hemiface-ray-") as folder:
        tally = disturb(given.kills, given.seed, given.photos, given.nodes, Path(folder))
    for note in tally.notes[:20]:
        print(f"  {note}", flush=True)
    if given.out:
        reliability_page.add(given.out, "ray", {**tally.row(), "command": command_line}, ("scene",))
    if tally.found:
        raise HemifaceError("Something was lost, doubled or written otherwise.")


if __name__ == "__main__":
    sys.exit(exit_code(main))
