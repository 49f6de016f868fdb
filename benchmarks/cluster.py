"""A prediction on a hundred workers, simulated: does the way pieces are dealt out hold?

    python benchmarks/cluster.py

simulates, event by event and seeded, what `hemiface predict --on ray` has Ray Data do: a fixed pool
of predictors, each with one piece at work and at most one waiting; the next piece in the list goes
to whoever has fewest; nobody takes over what waits at another; a predictor that is lost begins
again, after a while, what was at work and what waited there. Pieces are 900 of 256 photos and 100
videos whose lengths have a heavy tail (Pareto) up to where they are cut, longest first as in
`vision.pieces.cut`; beside it in random order. A piece that takes longer than a worker lives would
never be done: hence the cut. Workers differ in speed, some are stragglers, and fail at random
(exponential times). Everything that is assumed is an argument and lies beside the results.

`efficiency` is the least time that is possible at these speeds, all work over all speeds or the
longest piece on the fastest worker, over the time taken. `redone` is the share of work that
failures cost. It is a model of the scheduling alone; disks and networks: `docs/many-machines.md`.
"""

import argparse
import heapq
import math
import random
import statistics
import sys
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from skeleton import RESULTS, count, main, markdown, parser, say

PHOTOS = 256
VIDEO_SHARE = 0.1
MOST_S = 4 * 3600.0
"""Of the longest video, before it is cut."""
SPREAD = 0.15
"""Standard deviation of the logarithm of a worker's speed, and of a piece of photos' work."""
SCENES = {
    "nothing goes wrong": (0.0, False),
    "5 % of workers four times as slow": (0.05, False),
    "workers are lost": (0.0, True),
    "both": (0.05, True),
}


@dataclass
class Worker:
    """A predictor: how fast it is, and what it has been given."""

    speed: float
    given: deque[int] = field(default_factory=deque)
    begun_s: float | None = None
    """When the first of these was begun; None while the worker is down or idle."""
    life: int = 0
    """How often it was lost: what was planned before doesn't happen."""
    is_up: bool = True


class Pool:
    """Pieces on workers, from their first to their last moment."""

    def __init__(
        self, work_s: Sequence[float], speeds: Sequence[float], *, in_flight: int,
        mean_life_s: float | None, restart_s: float, draw: random.Random,
    ) -> None:  # fmt: skip
        self.work_s = work_s
        self.workers = [Worker(one) for one in speeds]
        self.waiting = deque(range(len(work_s)))
        self.done: Counter[int] = Counter()
        self.redone_s = 0.0
        self.now_s = 0.0
        self._in_flight = in_flight
        self._mean_life_s = mean_life_s
        self._restart_s = restart_s
        self._draw = draw
        self._events: list[tuple[float, int, str, int, int]] = []
        self._count = 0

    def run(self) -> float:
        """Return the seconds until the last piece is done."""
        for number in range(len(self.workers)):
            self._plan_loss(number)
        self._deal()
        while len(self.done) < len(self.work_s):
            self.now_s, _, what, number, life = heapq.heappop(self._events)
            worker = self.workers[number]
            if what == "up":
                worker.is_up = True
                self._plan_loss(number)
                self._begin(number)
            elif life == worker.life and what == "done":
                self.done[worker.given.popleft()] += 1
                worker.begun_s = None
                self._begin(number)
            elif life == worker.life and what == "lost":
                self._lose(number)
            self._deal()
        return self.now_s

    def _deal(self) -> None:
        while self.waiting:
            free = [n for n, one in enumerate(self.workers) if len(one.given) < self._in_flight]
            if not free:
                return
            number = min(free, key=lambda n: (len(self.workers[n].given), n))
            self.workers[number].given.append(self.waiting.popleft())
            self._begin(number)

    def _begin(self, number: int) -> None:
        worker = self.workers[number]
        if worker.is_up and worker.begun_s is None and worker.given:
            worker.begun_s = self.now_s
            self._plan(self.work_s[worker.given[0]] / worker.speed, "done", number)

    def _lose(self, number: int) -> None:
        worker = self.workers[number]
        if worker.begun_s is not None:
            self.redone_s += (self.now_s - worker.begun_s) * worker.speed
        worker.begun_s, worker.is_up = None, False
        worker.life += 1
        self._plan(self._restart_s, "up", number)

    def _plan_loss(self, number: int) -> None:
        if self._mean_life_s is not None:
            self._plan(self._draw.expovariate(1 / self._mean_life_s), "lost", number)

    def _plan(self, after_s: float, what: str, number: int) -> None:
        self._count += 1
        event = (self.now_s + after_s, self._count, what, number, self.workers[number].life)
        heapq.heappush(self._events, event)


def pieces(
    number: int, photo_s: float, longest_s: float, draw: random.Random
) -> tuple[list[float], list[float]]:
    """Return the seconds of pieces of photos, and of videos, the longest first."""
    videos = round(VIDEO_SHARE * number)
    still = [PHOTOS * photo_s * draw.lognormvariate(0, SPREAD) for _ in range(number - videos)]
    whole = [min(PHOTOS * photo_s * draw.paretovariate(1.5), MOST_S) for _ in range(videos)]
    moving = [
        min(longest_s, one - start)
        for one in whole
        for start in (longest_s * part for part in range(math.ceil(one / longest_s)))
    ]
    return still, sorted(moving, reverse=True)


def simulate(options: argparse.Namespace, seed: int, scene: str, **changes: Any) -> dict[str, Any]:
    """Return what comes of one draw of pieces, workers and failures."""
    draw = random.Random(seed)
    slow, fails = SCENES[scene]
    longest_s = options.longest_seconds / changes.get("shorter", 1)
    still, moving = pieces(options.pieces, options.photo_seconds, longest_s, draw)
    work = [*moving, *still]
    if changes.get("order") == "random":
        draw.shuffle(work)
    speeds = [
        draw.lognormvariate(0, SPREAD) * (0.25 if draw.random() < slow else 1)
        for _ in range(options.workers)
    ]
    pool = Pool(
        work, speeds, in_flight=changes.get("in_flight", 1), restart_s=options.restart_seconds,
        mean_life_s=options.mean_life_seconds if fails else None, draw=draw,
    )  # fmt: skip
    seconds = pool.run()
    least = max(sum(work) / sum(speeds), max(work) / max(speeds))
    return {
        "seconds": seconds,
        "efficiency": least / seconds,
        "redone": pool.redone_s / sum(work),
        "lost_workers": sum(one.life for one in pool.workers),
        "missing": len(work) - len(pool.done),
        "doubled": sum(pool.done.values()) - len(pool.done),
    }


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Simulate every scene and way of dealing out, over the same draws."""
    ways: dict[str, dict[str, Any]] = {
        "longest first, 1 at a worker (as it is)": {},
        "the same, videos cut four times as short": {"shorter": 4},
        "longest first, 2 at a worker": {"in_flight": 2},
        "random order, 1 at a worker": {"order": "random"},
    }
    rows = []
    for scene in SCENES:
        for way, changes in ways.items():
            drawn = [simulate(options, seed, scene, **changes) for seed in range(options.draws)]
            values = sorted(one["efficiency"] for one in drawn)
            rows.append({
                "scene": scene,
                "way": way,
                "seconds": statistics.median(one["seconds"] for one in drawn),
                "efficiency": statistics.median(values),
                "least_efficiency": values[0],
                "redone": statistics.median(one["redone"] for one in drawn),
                "lost_workers": statistics.median(one["lost_workers"] for one in drawn),
                "missing": sum(one["missing"] for one in drawn),
                "doubled": sum(one["doubled"] for one in drawn),
            })  # fmt: skip
    assumed = {
        "pieces": options.pieces, "workers": options.workers, "draws": options.draws,
        "photo_seconds": options.photo_seconds, "restart_seconds": options.restart_seconds,
        "mean_life_seconds": options.mean_life_seconds, "photos_a_piece": PHOTOS,
        "longest_seconds": options.longest_seconds,
        "share_of_videos": VIDEO_SHARE, "longest_video_seconds": MOST_S,
        "spread_of_speeds": SPREAD, "pareto_of_videos": 1.5,
    }  # fmt: skip
    return {"assumed": assumed, "rows": rows}


def show(results: dict[str, Any]) -> None:
    """Print the table."""
    headings = ("", "dealt out", "minutes", "efficiency (least)", "redone", "workers lost",
                "pieces missing / doubled")  # fmt: skip
    rows = [
        (
            one["scene"], one["way"], f"{one['seconds'] / 60:.1f}",
            f"{one['efficiency']:.2f} ({one['least_efficiency']:.2f})",
            f"{100 * one['redone']:.1f} %", f"{one['lost_workers']:.0f}",
            f"{one['missing']} / {one['doubled']}",
        )
        for one in results["rows"]
    ]  # fmt: skip
    say(markdown(headings, rows))


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    made = parser(__doc__, RESULTS / "cluster.json", markdown=True)
    add = made.add_argument
    add("--pieces", type=count, default=1000)
    add("--workers", type=count, default=100)
    add("--draws", type=count, default=10, help="seeds 0, 1, ... (default %(default)s)")
    add("--photo-seconds", type=float, default=0.33, help="default %(default)s, on one core")
    told = "of a piece of a video, which is cut there (--cut-videos), default %(default)s"
    add("--longest-seconds", type=float, default=1200.0, help=told)
    add("--restart-seconds", type=float, default=60.0)
    add("--mean-life-seconds", type=float, default=3600.0, help="of a worker, where some are lost")
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(main(arguments(), run, show))
