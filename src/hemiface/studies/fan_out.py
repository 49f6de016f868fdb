"""A study whose stages are jobs: which there are, what each asks for, and who starts them."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hemiface.config import Cluster
from hemiface.errors import UsageError
from hemiface.processes import own_variables
from hemiface.ray_cluster import address_of
from hemiface.studies.book import JOBS, Book, Stage, Until, job_folder
from hemiface.studies.jobs import Executor, Job
from hemiface.studies.local import Local, cores
from hemiface.studies.on_ray import Ray
from hemiface.studies.schedule import JobState, OnJobs, Schedule
from hemiface.studies.slurm import Slurm
from hemiface.studies.started import LOG_FILE

if TYPE_CHECKING:
    from hemiface.studies.plan import Plan

__all__ = ["Fan", "JobState", "OnJobs", "fan_out"]

log = logging.getLogger(__name__)

_THREADS = "OMP_NUM_THREADS"


@dataclass(frozen=True, kw_only=True)
class Fan:
    """Where the stages of a study run as jobs, and how many at a time."""

    on: str
    """`local`, `ray`, `ray://HOST` or `slurm`."""
    needs: Cluster
    """What a job asks for; `cpus` is the number of its threads."""
    variables: Mapping[str, str]
    """What a job's environment has beside that of this process."""
    executor: Executor

    @classmethod
    def of(cls, on: str, cluster: Cluster, at_once: int | None, run: Path) -> "Fan":
        """Return who starts the jobs of the study in the folder `run`.

        The number of threads is part of what decides weights, bit by bit. Without `cluster.cpus`
        it is what a study in this process would have, and on this machine jobs find the environment
        that they would find then.

        Raises:
            UsageError: there is nobody of that name, or what `cluster` asks for isn't there.
            HemifaceError: what starts the jobs isn't installed.
        """
        import torch

        if at_once is not None and at_once < 1:
            raise UsageError(f"--jobs takes a number from 1 on, not {at_once}.")
        threads = cluster.cpus or torch.get_num_threads()
        needs = replace(cluster, cpus=threads)
        variables = own_variables()
        if cluster.cpus or on != "local":
            variables[_THREADS] = str(threads)
        executor: Executor
        if on == "local":
            executor = Local(needs, threads, at_once)
        elif on == "slurm":
            executor = Slurm(run / JOBS, needs, at_once)
        elif on == "ray" or on.startswith("ray://"):
            executor = Ray(address_of(on), at_once)
        else:
            raise UsageError(f"--on takes local, ray, ray://HOST or slurm, not {on!r}.")
        return cls(on=on, needs=needs, variables=variables, executor=executor)


def fan_out(
    fan: Fan,
    plan: "Plan",
    book: Book,
    until: Until,
    *,
    taken_up: Mapping[str, str],
    on_jobs: OnJobs | None = None,
) -> None:
    """Carry out what is left of a study by jobs, and note it in `book`.

    Raises:
        HemifaceError: jobs failed; all that doesn't need them is done and noted.
    """
    stages = {one.name: one for one in plan.left(book, until)}
    jobs = [_job(one, plan, book, fan) for one in stages.values()]

    def is_done(name: str) -> bool:
        book.take_over()
        return book.has(stages[name])

    threads, most = fan.needs.cpus, fan.executor.at_once
    if fan.on == "local" and threads * (most or 1) > cores():
        log.warning(
            "%d jobs of %d threads each share %d cores; OMP_NUM_THREADS or cluster.cpus sets the "
            "threads, which weights depend on in their last digits",
            most, threads, cores(),
        )  # fmt: skip
    log.info("%d jobs on %s, %d threads each", len(jobs), fan.on, threads)
    Schedule(
        jobs, fan.executor, plan.folder, is_done=is_done, taken_up=taken_up
    ).carry_out(on_jobs)  # fmt: skip


def _job(stage: Stage, plan: "Plan", book: Book, fan: Fan) -> Job:
    """Return the job of a stage: the command that anybody could give, too."""
    folder = plan.folder.absolute()
    trust = ("--trust-code",) if book.trust_code else ()
    return Job(
        name=stage.name,
        words=(
            "study", str(folder / "config.toml"), "--out", str(folder), "--only", stage.name,
            "--device", plan.device, *trust,
        ),
        log=job_folder(folder, stage.name) / LOG_FILE,
        folder=Path.cwd(),
        needs=fan.needs if stage.computes else replace(fan.needs, gpus=0),
        after=stage.after,
        variables=fan.variables,
    )  # fmt: skip
