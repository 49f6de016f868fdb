"""Jobs as processes of this machine."""

import itertools
import os
import signal
import subprocess

from hemiface.config import Cluster
from hemiface.errors import UsageError
from hemiface.studies.jobs import Job, end_group

__all__ = ["Local", "cores", "gpus"]


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def gpus() -> list[str]:
    """Return the numbers of the GPUs that this process sees, as CUDA_VISIBLE_DEVICES has them."""
    said = os.environ.get("CUDA_VISIBLE_DEVICES")
    if said is not None:
        numbers = [one.strip() for one in said.split(",") if one.strip()]
        # CUDA sees what stands before the first that is none.
        return list(itertools.takewhile(lambda one: not one.startswith("-"), numbers))
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]


class Local:
    """Starts each job as a process; of GPUs each gets as many of its own as it asks for.

    Jobs that ask for none see all of them. Memory and time are nobody's to give here.

    Raises:
        UsageError: a job asks for more GPUs than there are.
    """

    look_every_s = 0.1

    def __init__(self, needs: Cluster, threads: int, at_once: int | None) -> None:
        self._free = gpus() if needs.gpus else []
        if needs.gpus > len(self._free):
            raise UsageError(
                f"A job asks for {needs.gpus} GPUs and {len(self._free)} are here; set "
                "cluster.gpus."
            )
        by_cores = max(1, cores() // threads)
        by_gpus = len(self._free) // needs.gpus if needs.gpus else None
        self.at_once: int | None = min(
            one for one in (at_once or by_cores, by_gpus) if one is not None
        )

    def start(self, job: Job) -> "_Process":
        """Start a job."""
        taken = [self._free.pop() for _ in range(job.needs.gpus)]
        own = {"CUDA_VISIBLE_DEVICES": ",".join(sorted(taken))} if taken else {}
        return _Process(job.start(**own), taken, self._free)

    def taken_up(self, job: str) -> "_Process":
        """Never asked for: processes end with who started them."""
        raise NotImplementedError(job)

    def close(self) -> None:
        """Nothing is kept."""


class _Process:
    record = None

    def __init__(
        self, process: "subprocess.Popen[bytes]", taken: list[str], free: list[str]
    ) -> None:
        self._process, self._taken, self._free = process, taken, free

    def ended(self) -> int | None:
        code = self._process.poll()
        if code is not None:
            self._free += self._taken
            self._taken = []
        return code

    def stop(self) -> None:
        end_group(self._process, signal.SIGTERM)

    def kill(self) -> None:
        end_group(self._process, getattr(signal, "SIGKILL", signal.SIGTERM))
        self._process.wait()
