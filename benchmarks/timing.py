"""How times are taken in turn and put together.

Of the standard library alone, because predictor_worker.py also runs where hemiface isn't installed.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import TypeVar

Kind = TypeVar("Kind")
MAXRSS_MIB = 1 / 2**20 if sys.platform == "darwin" else 1 / 2**10
"""What the operating system counts a process's largest memory in: bytes or KiB, as MiB."""


def median_seconds(call: Callable[[], object], calls: int) -> float:
    """Return the median time of `calls` calls, after one that doesn't count."""
    call()
    times = []
    for _ in range(calls):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def turned(things: Sequence[Kind], repeat: int) -> list[Kind]:
    """Return all things, each repeat beginning with the next: two of them swap (ABBA).

    So what else the machine does meets all of them alike.

    >>> [turned("abc", repeat) for repeat in range(2)]
    [['a', 'b', 'c'], ['b', 'c', 'a']]
    """
    first = repeat % len(things)
    return [*things[first:], *things[:first]]


def order(
    names: Sequence[str], repeats: int, threads: Sequence[int], sizes: Sequence[int]
) -> Iterator[tuple[int, int, int, str]]:
    """Yield (repeat, threads, faces a call, name): every name in turn, in each repeat."""
    for repeat in range(repeats):
        for count, size in product(threads, sizes):
            for name in turned(names, repeat):
                yield repeat, count, size, name


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, low (the smallest), high (the largest) and n of repeats."""
    return {
        "median": statistics.median(values),
        "low": min(values),
        "high": max(values),
        "n": len(values),
    }


def ratios(values: Sequence[float], bases: Sequence[float]) -> dict[str, float]:
    """Return the spread of value / base, each pair of one repeat."""
    return spread([value / base for value, base in zip(values, bases, strict=True)])
