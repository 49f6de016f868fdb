"""Jobs on a Ray cluster."""

from typing import Any

from hemiface.ray_cluster import begin, require_ray
from hemiface.studies.jobs import LOST, Job, carried_out

__all__ = ["Ray"]


class Ray:
    """Gives each job to Ray as a task, on the cluster at `address`, without one on this machine.

    Raises:
        HemifaceError: ray isn't installed.
    """

    look_every_s = 0.2

    def __init__(self, address: str, at_once: int | None) -> None:
        require_ray()
        self._ray: Any = None
        self._address, self._is_ours = address, False
        self.at_once = at_once

    def start(self, job: Job) -> "_Task":
        """Give a job to Ray, which waits for room.

        Raises:
            HemifaceError: there is no cluster at the address, or none can be started.
        """
        self._connect()
        memory = {"memory": int(job.needs.memory_gb * 1e9)} if job.needs.memory_gb else {}
        task = self._ray.remote(carried_out).options(
            name=job.name,
            num_cpus=job.needs.cpus,
            num_gpus=job.needs.gpus,
            # Whether a lost job is worth another one is decided where its progress is known.
            max_retries=0,
            **memory,
        )
        return _Task(self._ray, task.remote(job))

    def taken_up(self, job: str) -> "_Task":
        """Never asked for: tasks end with who gave them."""
        raise NotImplementedError(job)

    def close(self) -> None:
        """Leave the cluster; one that was begun here ends."""
        if self._is_ours:
            self._ray.shutdown()

    def _connect(self) -> None:
        if self._ray is None:
            self._is_ours = begin(self._address)
            import ray

            self._ray = ray


class _Task:
    record = None

    def __init__(self, ray: Any, task: Any) -> None:
        self._ray, self._task = ray, task

    def ended(self) -> int | None:
        done, _ = self._ray.wait([self._task], timeout=0)
        if not done:
            return None
        try:
            return int(self._ray.get(self._task))
        except self._ray.exceptions.RayError:
            return LOST

    def stop(self) -> None:
        # The worker ends, and with it the job, which looks whether it is there.
        self._ray.cancel(self._task, force=True)

    def kill(self) -> None:
        self._ray.cancel(self._task, force=True)
