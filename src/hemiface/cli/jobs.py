"""The jobs of a study as one view on standard error: a table in a terminal, else lines."""

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hemiface.errors import escaped

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from hemiface.studies.fan_out import JobState, OnJobs

__all__ = ["show_jobs", "table_of", "told"]

_LINE_EVERY_S = 60.0
_ROWS = 20
"""Running jobs that are shown; of the others the number is."""
_log = logging.getLogger("hemiface.jobs")


@contextmanager
def show_jobs(*, is_asked: bool) -> Iterator["OnJobs | None"]:
    """Show how all jobs are doing: a table that stays in its place, or a line each minute.

    That a job starts, is done or failed is logged in either case.
    """
    if not is_asked:
        yield None
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    if not console.is_terminal:
        told_s = time.monotonic()

        def on_jobs(jobs: Sequence["JobState"]) -> None:
            nonlocal told_s
            if time.monotonic() - told_s > _LINE_EVERY_S:
                told_s = time.monotonic()
                _log.info(told(jobs))

        yield on_jobs
        return
    with Live(console=console, transient=True, auto_refresh=False) as live:
        yield lambda jobs: live.update(table_of(jobs, console), refresh=True)


def told(jobs: Sequence["JobState"]) -> str:
    """Return one line on all jobs."""
    counts = Counter(one.state for one in jobs)
    words = [f"{counts[state]} {state}" for state in ("running", "waiting", "failed", "left out")
             if counts[state]]  # fmt: skip
    running = [f"{one.job.name} {_share(one)}" for one in jobs if one.state == "running"]
    more = [f"{len(running) - _ROWS} more"] if len(running) > _ROWS else []
    said = ", ".join([f"{counts['done']} of {len(jobs)} jobs done", *words])
    return f"{said}: {', '.join([*running[:_ROWS], *more])}" if running else said


def _share(one: "JobState") -> str:
    return f"{100 * one.done // one.total} %" if one.total else "begins"


def table_of(jobs: Sequence["JobState"], console: "Console") -> "Table":
    """Return a line for each running job under a line on all of them."""
    from rich.markup import escape
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    counts = Counter(one.state for one in jobs)
    beside = [f"{counts[state]} {state}" for state in ("waiting", "failed", "left out")
              if counts[state]]  # fmt: skip
    title = ", ".join([f"{counts['done']} of {len(jobs)} jobs done", *beside])
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1), show_header=False)
    table.add_column(overflow="fold")
    table.add_column(width=20)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    running = [one for one in jobs if one.state == "running"]
    most = max(1, min(_ROWS, console.height - 4))
    now_s = time.monotonic()
    for one in running[:most]:
        table.add_row(
            escape(escaped(one.job.name)),
            ProgressBar(total=one.total or 1, completed=one.done, width=20),
            _share(one),
            f"{(now_s - one.began_s) / 60:.1f} min",
        )
    if len(running) > most:
        table.add_row(f"and {len(running) - most} more")
    return table
