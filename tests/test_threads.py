"""Work in threads: order, how far it runs ahead, and Ctrl-C wherever it comes."""

import signal
import sys
import threading
import time
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hemiface.threads import STOPPING, in_threads, stopped_like_ctrl_c


@pytest.fixture(autouse=True)
def pythons_own_handler():
    """Who starts the tests may have told them to ignore signals, as a shell's & and nohup do."""
    before = {one: signal.signal(one, signal.SIG_DFL) for one in STOPPING}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for one, handler in before.items():
        signal.signal(one, handler)


@given(st.lists(st.integers(), max_size=40), st.integers(1, 5))
def test_every_result_once_and_in_order(items, workers):
    assert list(in_threads(lambda one: 2 * one, items, workers)) == [2 * one for one in items]


def test_several_at_a_time():
    barrier = threading.Barrier(3, timeout=20)
    assert len(list(in_threads(lambda _: barrier.wait(), range(6), 3))) == 6


def test_begins_no_more_than_twice_as_many_as_there_are_workers():
    begun = []
    with closing(in_threads(begun.append, range(100), 2)) as results:
        next(results)
        time.sleep(0.1)
        assert len(begun) <= 4


def test_an_error_is_raised_in_its_place_and_ends_the_rest():
    begun = []

    def half(one: int) -> float:
        begun.append(one)
        return 1 / (one - 5)

    results = in_threads(half, range(100), 2)
    assert [next(results) for _ in range(5)] == [1 / (one - 5) for one in range(5)]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert len(begun) < 15


def test_ctrl_c_waits_until_a_result_is_used():
    used = []

    def look() -> None:
        for one in in_threads(abs, range(100), 2):
            if one == 3:
                signal.raise_signal(signal.SIGINT)
            used.append(one)

    with pytest.raises(KeyboardInterrupt):
        look()
    assert used == [0, 1, 2, 3]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_at_the_last_result_is_not_lost():
    def look() -> None:
        for one in in_threads(abs, range(3), 2):
            if one == 2:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        look()


def test_a_second_ctrl_c_is_obeyed_at_once():
    used = []

    def look() -> None:
        for one in in_threads(lambda one: one, range(9), 2):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            used.append(one)

    with pytest.raises(KeyboardInterrupt):
        look()
    assert used == []


@pytest.mark.parametrize(
    ("event", "name"), [("call", "__enter__"), ("call", "__exit__"), ("c_return", "_release_save")]
)
@pytest.mark.parametrize("which", [1, 2, 5])
def test_ctrl_c_between_the_lines_of_a_lock(event, name, which):
    """Raised there at once it leaves a lock taken, or gives back one that isn't held."""
    seen = 0

    def watch(frame, happened, called):
        nonlocal seen
        of = called.__name__ if happened == "c_return" else frame.f_code.co_name
        if frame.f_code.co_filename == threading.__file__ and (happened, of) == (event, name):
            seen += 1
            if seen == which:
                signal.raise_signal(signal.SIGINT)

    used = []
    sys.setprofile(watch)
    try:
        with pytest.raises(KeyboardInterrupt):
            used.extend(in_threads(lambda _: time.sleep(0.002), range(200), 2))
    finally:
        sys.setprofile(None)
    assert seen >= which
    assert len(used) < 200


def test_another_thread_and_another_handler_are_left_alone():
    told = []
    signal.signal(signal.SIGINT, lambda *_: told.append("mine"))
    for one in in_threads(lambda one: one, range(5), 2):
        if one == 1:
            signal.raise_signal(signal.SIGINT)
    assert told == ["mine"]

    results = []
    thread = threading.Thread(target=lambda: results.extend(in_threads(abs, [-1, -2], 2)))
    thread.start()
    thread.join(20)
    assert results == [1, 2]


def test_threads_within_threads_give_the_handler_back():
    def inner(one: int) -> int:
        return sum(in_threads(abs, range(one), 2))

    for _ in in_threads(inner, range(4), 2):
        assert sum(in_threads(abs, range(3), 2)) == 3
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_who_leaves_early_gets_the_handler_back():
    with closing(in_threads(abs, range(50), 2)) as results:
        next(results)
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("sign", STOPPING)
def test_other_signals_end_work_like_ctrl_c(sign):
    used = []

    def look() -> None:
        for one in in_threads(abs, range(100), 2):
            if one == 3:
                signal.raise_signal(sign)
            used.append(one)

    before = {one: signal.getsignal(one) for one in STOPPING}
    with pytest.raises(KeyboardInterrupt), stopped_like_ctrl_c():
        look()
    assert used == [0, 1, 2, 3]
    assert {one: signal.getsignal(one) for one in STOPPING} == before


def test_a_signal_that_is_ignored_stays_ignored():
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopped_like_ctrl_c():
            signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
