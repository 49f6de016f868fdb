"""One prediction on the processors of many machines, by Ray Data.

Sources become pieces (`vision.pieces`); Ray deals them out to predictors that load once
(`vision.piecework`) and begins those anew whose process or machine was lost. What is done is
decided by the files of pieces alone, so that any kill, of the driver too, costs what was being
looked at and nothing else; and the tables are put together from these files in the order of the
sources, by the function that writes those of one run.

Nothing of Ray is imported before it is asked for.
"""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from hemiface.errors import DamagedError, HemifaceError, UsageError, first_line
from hemiface.files import hash_json, sweep, unwritable
from hemiface.locks import locked
from hemiface.processes import own_variables
from hemiface.ray_cluster import connected, require_ray
from hemiface.vision.earlier import Untrue, remove_gone
from hemiface.vision.pieces import PIECES, Piece, Pieces, cut
from hemiface.vision.piecework import Job, Looker, forget_tries, plain
from hemiface.vision.predictor import Predictor, PredictorOptions
from hemiface.vision.results import Held, require_own, told_of, write_tables
from hemiface.vision.run import OnProgress, Outcome, RunOptions, check_options, settings_of
from hemiface.vision.sources import Source
from hemiface.vision.stretches import Stretch, plan
from hemiface.vision.video.watching import Identities

__all__ = ["RayOptions", "run_on_ray"]

_LEAST_PHOTOS, _MOST_PHOTOS = 16, 256
_PIECES_A_WORKER = 8
"""Of photos, unless they become too small or large: the last ones then take little of the time."""
_SEEN_WITHIN_S = 120.0
"""Shared folders show what another machine wrote late, NFS after up to a minute."""
_ERRORS = {one.exit_code: one for one in (HemifaceError, UsageError, DamagedError)}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RayOptions:
    """Where a prediction runs, and how it is shared out."""

    address: str = ""
    """HOST:PORT of a cluster's head; without one a cluster of this machine is started and ended."""
    workers: int | None = None
    """Predictors, each on one processor; None is one for each that the cluster has."""
    photos: int | None = None
    """Of a piece; None is by their number."""


@contextmanager
def run_on_ray(
    sources: Sequence[Source],
    predictor: Predictor,
    looking: PredictorOptions,
    folder: Path,
    options: RunOptions | None = None,
    ray_options: RayOptions | None = None,
    *,
    on_progress: OnProgress = lambda *_: None,
) -> Iterator[Outcome]:
    """Look at every source on a cluster and write the tables of `run`; yield what came of it.

    `predictor` is the one that `looking` makes; every worker makes its own.

    Raises:
        UsageError: a camera is among the sources, copies or timelines are asked for; otherwise as
            `run`.
        HemifaceError: Ray isn't installed, doesn't start or stops, or a machine of the cluster
            can't do its part.
    """
    options, ray_options = options or RunOptions(), ray_options or RayOptions()
    _check(sources, options)
    require_ray()
    known = settings_of(predictor, options)
    settings = plain(known)
    with locked(folder):
        require_own(folder, options.formats)
        # What a piece's file is called by stays the same to its end.
        noted = [replace(one, stamp=tuple(one.fingerprint)) for one in sources]
        below = folder.absolute() / PIECES
        _prepare(below)
        key = hash_json(settings)
        pieces = Pieces(below, key, noted, lambda: Identities(predictor, options.smooth_s))
        held = Held.of(folder, pieces.of_others())
        held.require_smaller(sources, options.most_frames, replace=options.replace)
        untrue = Untrue.find(folder, noted, known)
        todo = [one for one in noted if (pieces.known(one.name) or {"error": "?"})["error"]]
        job = Job(
            looking=looking, running=replace(options, formats=(), workers=1), folder=below,
            place=Path.cwd(), settings=settings,
        )  # fmt: skip
        if len(todo) < len(noted):
            done = len(noted) - len(todo)
            _log.info("%d of %d sources were looked at before", done, len(noted))
        if todo:
            cuts = _stretches(todo, options, pieces)
            with connected(ray_options.address) as processors:
                workers = min(ray_options.workers or processors, processors)
                photos = ray_options.photos or _photos_a_piece(todo, workers)
                work = _Work(job, pieces, workers, ray_options.address, noted, on_progress)
                _look(cut(todo, key, photos, cuts), work)
                # Videos whose stretches don't fit together or can't be read to their end.
                whole = [one for one in todo if pieces.known(one.name) is None]
                _look(cut(whole, key, photos), work)
            forget_tries(below)
        names = [one.name for one in noted]
        told = [_told(name, pieces) for name in names]
        held.require_no_larger(told, replace=options.replace)
        untrue.remove()
        written = write_tables(pieces.rows(names), told, folder, options.formats)
        remove_gone(folder, noted, told)
        pieces.settle()
        yield Outcome(told, lambda: pieces.rows(names), written)


def _check(sources: Sequence[Source], options: RunOptions) -> None:
    check_options(options, sources)
    live = next((one.name for one in sources if one.kind == "camera"), None)
    if live is not None:
        raise UsageError(f"{live} is watched by one process; leave out --on.")
    if options.pictures or options.timelines:
        raise UsageError(
            "Annotated copies and timelines are made by one process; leave out --on, or "
            "--save-image and --timeline."
        )
    if any(one.moves for one in sources) and find_spec("av") is None:
        raise HemifaceError("Videos need PyAV, on every machine; pip install 'hemiface[video]'.")


def _prepare(below: Path) -> None:
    try:
        below.mkdir(exist_ok=True)
    except OSError as error:
        raise HemifaceError(unwritable(below, error)) from error
    sweep(below)
    forget_tries(below)


def _photos_a_piece(sources: Sequence[Source], workers: int) -> int:
    photos = sum(not one.moves for one in sources)
    return min(max(-(-photos // (workers * _PIECES_A_WORKER)), _LEAST_PHOTOS), _MOST_PHOTOS)


def _told(name: str, pieces: Pieces) -> dict[str, Any]:
    known = pieces.known(name)
    assert known is not None  # noqa: S101 - all of them were taken over
    return told_of(name, known)


@dataclass(frozen=True)
class _Work:
    """What having any piece of one prediction looked at needs."""

    job: Job
    pieces: Pieces
    workers: int
    address: str
    sources: Sequence[Source]
    """All of them, those that were looked at before among them."""
    on_progress: OnProgress


def _look(todo: Sequence[Piece], work: _Work) -> None:
    """Have all pieces looked at, and take over their files as they come."""
    if not todo:
        return
    left = {one.name for piece in todo for one in piece.sources}
    total = len(work.sources)
    by_name = {one.name: one for one in todo}
    for name in _dealt_out(todo, work.job, min(work.workers, len(todo)), work.address):
        path = work.job.folder / name
        _wait_for(path)
        work.pieces.take(path)
        for source in by_name[name].sources:
            if work.pieces.known(source.name) is not None:
                left.discard(source.name)
                what = f"looking at {Path(source.name).name}"
                work.on_progress(what, total - len(left), total)


def _stretches(
    todo: Sequence[Source], options: RunOptions, pieces: Pieces
) -> dict[str, list[Stretch]]:
    """Return the stretches that aren't there yet, of the videos that can be cut."""
    found = {}
    for source in todo:
        planned = plan(source, options)
        there = pieces.begins(source.name)
        # All there, and they don't fit: it is watched whole.
        missing = [one for one in planned if one.start not in there]
        if missing:
            found[source.name] = missing
    return found


def _wait_for(path: Path, within_s: float = _SEEN_WITHIN_S) -> None:
    """Wait until what another machine wrote is seen here.

    Raises:
        HemifaceError: it isn't.
    """
    end_s = time.monotonic() + within_s
    while not path.is_file():
        if time.monotonic() > end_s:
            raise HemifaceError(
                f"{path} was written and isn't seen here after {within_s:.0f} s; name an --out "
                "that all machines share, and give the same command again: what is done stays."
            )
        with suppress(OSError):
            os.listdir(path.parent)  # noqa: PTH208 - it makes NFS ask its server
        time.sleep(min(within_s / 100, 0.5))


def _dealt_out(todo: Sequence[Piece], job: Job, workers: int, address: str) -> Iterator[str]:
    """Yield the names of pieces as they are done, in any order.

    Raises:
        HemifaceError: a worker can't do its part, or the cluster is gone.
    """
    import ray
    from ray.data import ActorPoolStrategy, DataContext, from_items

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    # A block a piece: what a lost worker costs.
    blocks = from_items([{"piece": one} for one in todo], override_num_blocks=len(todo))
    done = blocks.map(
        cast(Any, _Worker),  # a class, which Ray makes at each worker
        fn_constructor_args=(job,),
        # What waited at one predictor nobody else would take over (benchmarks/cluster.py).
        compute=ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
        num_cpus=1,
        **_environment(address),
    )
    try:
        for row in done.iter_rows():
            if row["problem"]:
                raise _ERRORS.get(row["code"], HemifaceError)(row["problem"])
            yield row["name"]
    except ray.exceptions.RayError as error:
        raise HemifaceError(
            f"Ray stopped ({first_line(error)}); give the same command again: what is done stays."
        ) from error


def _environment(address: str) -> dict[str, Any]:
    """Return what machines that were started elsewhere are told."""
    known = own_variables()
    return {"runtime_env": {"env_vars": known}} if address and known else {}


class _Worker:
    """A Looker as Ray Data calls it; what a user can mend comes back as a sentence."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._looker: Looker | None = None

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        try:
            # Here and not before, where an error would be Ray's.
            self._looker = self._looker or Looker(self._job)
            return {"name": self._looker.look(row["piece"]).name, "problem": "", "code": 0}
        except HemifaceError as error:
            return {"name": "", "problem": str(error), "code": error.exit_code}
