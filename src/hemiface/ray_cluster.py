"""A Ray cluster that predictions and studies run on: one of this machine, or one that is there.

Nothing of Ray is imported before it is asked for. It reports to nobody (usage statistics are
switched off, the dashboard isn't started), and a cluster that is started here listens on this
machine's loopback alone.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hemiface.errors import HemifaceError, UsageError, first_line
from hemiface.threads import STOPPING

__all__ = ["address_of", "begin", "connected", "quiet", "require_ray"]

_PORT = 6379
_STORE_BYTES = 1 << 28
"""Names are all that lies in Ray's memory for objects."""
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Of a cluster that reports nothing, Ray would report that.
    "RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
}
_ALONE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Where it is 0, Ray takes 127.0.0.1 for its address, on every system; otherwise it would listen on
all of the machine's."""


def address_of(on: str) -> str:
    """Return HOST:PORT of `ray://HOST[:PORT]`, an empty text for `ray`.

    Raises:
        UsageError: it is neither.

    >>> address_of("ray"), address_of("ray://head"), address_of("ray://10.0.0.1:6380")
    ('', 'head:6379', '10.0.0.1:6380')
    """
    if on == "ray":
        return ""
    host, colon, port = on.removeprefix("ray://").partition(":")
    if not on.startswith("ray://") or not host or (colon and not port.isdecimal()):
        raise UsageError(f"--on {on!r} is no place; give ray, or ray://HOST of a cluster's head.")
    return f"{host}:{port or _PORT}"


def require_ray() -> None:
    """Raise HemifaceError unless all is installed that the extra `ray` brings."""
    missing = [name for name in ("ray", "pyarrow", "pandas", "fsspec") if find_spec(name) is None]
    if missing:
        raise HemifaceError(f"--on ray needs {', '.join(missing)}; pip install 'hemiface[ray]'.")


def begin(address: str) -> bool:
    """Connect to the cluster at HOST:PORT, without one start one on this machine.

    Returns whether it has to be left again (`ray.shutdown`): a process that is connected stays so.

    Raises:
        HemifaceError: there is none, or it doesn't start.
    """
    quiet(alone=not address)
    import ray

    if ray.is_initialized():
        return False
    try:
        with _own_signals(), _silence():
            ray.init(
                address=address or "local",
                include_dashboard=None if address else False,
                object_store_memory=None if address else _STORE_BYTES,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
    except (ConnectionError, OSError, RuntimeError, TimeoutError, ValueError) as error:
        where = f"at {address}" if address else "on this machine"
        raise HemifaceError(
            f"No Ray cluster {where} ({first_line(error)}); start one with ray start --head, and "
            "give this command on one of its machines."
        ) from error
    return True


@contextmanager
def connected(address: str) -> Iterator[int]:
    """Connect as `begin` does; yield how many processors the cluster has, and leave it again.

    Raises:
        HemifaceError: as `begin`.
    """
    is_ours = begin(address)
    import ray

    try:
        yield _processors(ray)
    finally:
        if is_ours:
            ray.shutdown()


def quiet(*, alone: bool) -> None:
    """Have Ray, before it is imported, report to nobody and log little; `alone` on loopback only.

    What the environment says already stays.
    """
    wanted = {**_QUIET, **({_ALONE: "0"} if alone else {})}
    for name, value in wanted.items():
        os.environ.setdefault(name, value)


def _processors(ray: Any) -> int:
    return max(int(ray.cluster_resources().get("CPU", 0)), 1)


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep what Ray does at signals from taking the place of what is done here."""
    # Only the main thread may set what is done.
    is_main = threading.current_thread() is threading.main_thread()
    before = {one: signal.getsignal(one) for one in STOPPING if is_main}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextmanager
def _silence() -> Iterator[None]:
    """Keep from stderr what native code writes there while Ray starts."""
    sys.stderr.flush()
    kept = os.dup(2)
    with Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
