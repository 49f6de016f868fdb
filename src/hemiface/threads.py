"""Work in several threads, which Ctrl-C ends between two results and never inside of one.

A KeyboardInterrupt may come between any two calls of the main thread. Between those of `threading`
and `concurrent.futures` it leaves a lock taken, so that the end of the pool waits for ever, or
gives one back that isn't held, which ends in another error ("cannot release un-acquired lock").
"""

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from types import FrameType
from typing import TypeVar

__all__ = [
    "STOPPING",
    "in_threads",
    "interrupts_kept_back",
    "interrupts_noted",
    "stopped_like_ctrl_c",
]

STOPPING = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
)
"""Ctrl-C, `kill` or a computing centre's end of time, a terminal that closes, on Windows too."""

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST_WORKERS = 4
"""More wait for one another: numpy lets go of Python in its long loops only."""


def in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None
) -> Generator[Result, None, None]:
    """Yield function(item) for every item, in order, as many at a time as there are workers.

    Without `workers` there are as many as cores, four at most. Twice as many items as workers are
    begun ahead of what is yielded, so that items may be large and many. What `function` raises is
    raised here, and what waits is then not begun.

    Ctrl-C raises KeyboardInterrupt when the result that is waited for has been yielded and used; a
    second one raises it at once. Both hold in the main thread, for each of the signals STOPPING
    that Python's own handler for Ctrl-C answers. Whoever leaves before the end closes the generator
    (`contextlib.closing`).
    """
    workers = workers or min(_MOST_WORKERS, os.cpu_count() or 1)
    with interrupts_kept_back() as raise_if_any, ThreadPoolExecutor(workers) as pool:
        rest = iter(items)
        waiting: deque[Future[Result]] = deque(
            pool.submit(function, one) for one in islice(rest, 2 * workers)
        )
        try:
            while waiting:
                yield waiting.popleft().result()
                raise_if_any()
                waiting.extend(pool.submit(function, one) for one in islice(rest, 1))
        finally:
            for one in waiting:
                one.cancel()


@contextmanager
def interrupts_kept_back() -> Iterator[Callable[[], None]]:
    """Keep the first Ctrl-C until what is yielded is called, or until the end."""
    with interrupts_noted() as came:

        def raise_if_any() -> None:
            if came():
                raise KeyboardInterrupt

        yield raise_if_any
    raise_if_any()


@contextmanager
def interrupts_noted() -> Iterator[Callable[[], bool]]:
    """Let what is yielded say whether Ctrl-C came, instead of raising it; a second one raises."""
    noted = False

    def note(sign: int, frame: FrameType | None) -> None:
        nonlocal noted
        if noted:
            signal.default_int_handler(sign, frame)
        noted = True

    # Elsewhere no signal arrives; and who has put a handler of their own knows better.
    here = threading.current_thread() is threading.main_thread()
    ours = [one for one in STOPPING if here and signal.getsignal(one) is signal.default_int_handler]
    for one in ours:
        signal.signal(one, note)
    try:
        yield lambda: noted
    finally:
        for one in ours:
            signal.signal(one, signal.default_int_handler)


@contextmanager
def stopped_like_ctrl_c() -> Iterator[None]:
    """Let the other signals of STOPPING raise KeyboardInterrupt, too, so that work is cleaned up.

    What is ignored, as SIGHUP under nohup, or has a handler stays as it is; so does everything
    outside of the main thread.
    """
    here = threading.current_thread() is threading.main_thread()
    ours = [one for one in STOPPING if here and signal.getsignal(one) is signal.SIG_DFL]
    for one in ours:
        signal.signal(one, signal.default_int_handler)
    try:
        yield
    finally:
        for one in ours:
            signal.signal(one, signal.SIG_DFL)
