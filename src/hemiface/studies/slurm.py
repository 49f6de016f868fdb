"""Jobs in SLURM's queue, by submitit."""

import math
import shutil
import time
from pathlib import Path
from typing import Any

from hemiface.config import Cluster
from hemiface.documents import entry, read_json, undamaged
from hemiface.errors import HemifaceError, UsageError, first_line
from hemiface.files import write_json
from hemiface.studies.jobs import ARRIVES_S, LOST, Job, carried_out
from hemiface.studies.started import QUEUE

__all__ = ["Slurm"]

_CLUSTER = "cluster"
"""A key beside sbatch's: which of submitit's clusters; `local` tries all this without SLURM."""


class Slurm:
    """Puts each job into the queue; submitit's files of them lie in `folder`.

    Raises:
        HemifaceError: submitit or SLURM isn't there.
        UsageError: submitit takes no such option.
    """

    look_every_s = 0.5

    def __init__(self, folder: Path, needs: Cluster, at_once: int | None) -> None:
        try:
            import submitit
        except ModuleNotFoundError as error:
            raise HemifaceError(
                f"--on slurm needs {error.name}; pip install 'hemiface[slurm]'."
            ) from error
        self._submitit: Any = submitit
        self._cluster = str(needs.slurm.get(_CLUSTER, "slurm"))
        if self._cluster not in ("slurm", "local"):
            raise UsageError(
                f"cluster.slurm.cluster = {self._cluster!r} is neither slurm nor local."
            )
        if self._cluster == "slurm" and not (shutil.which("sbatch") and shutil.which("srun")):
            raise HemifaceError(
                "There is no sbatch and srun here; start the study where SLURM's jobs are "
                "submitted, or give another --on."
            )
        self._folder = folder / QUEUE
        self.at_once = at_once
        # What it doesn't take is said before anything is prepared.
        self._executor("study", needs)

    def start(self, job: Job) -> "_Submitted":
        """Put a job into the queue.

        Raises:
            HemifaceError: the queue refuses it.
        """
        executor = self._executor(job.name, job.needs)
        try:
            submitted = executor.submit(_code_left, job, self._folder)
        except self._submitit.core.utils.FailedJobError as error:
            raise HemifaceError(f"SLURM refuses job {job.name}: {first_line(error)}.") from error
        return _Submitted(submitted, self._cluster)

    def taken_up(self, job: str) -> "_Submitted":
        """Return a job that is in the queue, by its ID."""
        kind = self._submitit.SlurmJob if self._cluster == "slurm" else self._submitit.LocalJob
        return _Submitted(kind(self._folder, job), self._cluster)

    def close(self) -> None:
        """Nothing is kept."""

    def _executor(self, name: str, needs: Cluster) -> Any:
        executor = self._submitit.AutoExecutor(folder=self._folder, cluster=self._cluster)
        known = self._submitit.SlurmExecutor._valid_parameters()
        own = {key: value for key, value in needs.slurm.items() if key != _CLUSTER}
        more = {key: value for key, value in own.items() if key not in known}
        try:
            executor.update_parameters(
                name=name.replace(" ", "-"),
                cpus_per_task=needs.cpus,
                gpus_per_node=needs.gpus or None,
                mem_gb=needs.memory_gb or None,
                timeout_min=math.ceil(60 * needs.hours),
                slurm_additional_parameters=more or None,
                **{f"slurm_{key}": value for key, value in own.items() if key in known},
            )
        except (AssertionError, NameError, TypeError, ValueError) as error:
            raise UsageError(f"cluster.slurm: {first_line(error)}.") from error
        return executor


def _code_left(job: Job, folder: Path) -> int:
    """Carry out a job on its machine, and leave its exit code as a file that runs nothing."""
    import submitit

    code = carried_out(job)
    write_json(_code_file(folder, submitit.JobEnvironment().job_id), {"code": code})
    return code


def _code_file(folder: Path, job: str) -> Path:
    return Path(folder) / f"{job}_code.json"


class _Submitted:
    """A job in the queue."""

    def __init__(self, job: Any, cluster: str) -> None:
        self._job, self._is_slurm = job, cluster == "slurm"
        self._gone_s: float | None = None

    @property
    def record(self) -> dict[str, str]:
        return {"on": "slurm", "id": str(self._job.job_id)}

    def ended(self) -> int | None:
        if not self._job.done():
            return None
        # submitit's own result is a pickle, which in another's run folder may run anything.
        path = _code_file(self._job.paths.folder, self._job.job_id)
        if path.is_file():
            with undamaged(path, "give the command again without it"):
                return int(entry(read_json(path), "code", int))
        # Without one, a signal of the queue ended it; or it doesn't show yet.
        now_s = time.monotonic()
        self._gone_s = self._gone_s or now_s
        return LOST if now_s - self._gone_s > ARRIVES_S else None

    def stop(self) -> None:
        self._job.cancel(check=False)

    def kill(self) -> None:
        self._job.cancel(check=False)
