"""The simulated pool: what can be worked out by hand, and that nothing is lost or doubled."""

import random

import pytest

from cluster import Pool


def pool(work, speeds, in_flight=1, mean_life_s=None, seed=0):
    return Pool(
        work, speeds, in_flight=in_flight, mean_life_s=mean_life_s, restart_s=5,
        draw=random.Random(seed),
    )  # fmt: skip


def test_what_can_be_worked_out():
    assert pool([3, 4, 5], [1]).run() == 12
    assert pool([3, 4, 5], [2]).run() == 6
    # 5 and 4 first, then 3 at whoever is free first.
    assert pool([5, 4, 3], [1, 1]).run() == 7
    # The second worker is slow, and what waits there is taken over by nobody.
    assert pool([1, 1, 1, 1], [1, 0.1], in_flight=2).run() == 20
    assert pool([1, 1, 1, 1], [1, 0.1]).run() == 10


@pytest.mark.parametrize("seed", range(5))
def test_failures_cost_time_and_nothing_else(seed):
    work = [random.Random(seed).uniform(1, 9) for _ in range(60)]
    calm = pool(work, [1] * 4)
    least_s = calm.run()
    lossy = pool(work, [1] * 4, mean_life_s=30, seed=seed)
    assert lossy.run() > least_s
    assert set(lossy.done.values()) == {1}
    assert len(lossy.done) == len(work)
    assert lossy.redone_s > 0
    assert calm.redone_s == 0
