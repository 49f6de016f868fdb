"""Do intervals about people's answers hold what they say they hold? Counted on simulated people.

    python validity/people.py --sets 100 --draws 400

Each set of answers comes from a population whose hit rates are known (`simulated_people`), and
counted is how often the interval holds them. Prints a table as CSV.
"""

import argparse
import sys
from collections.abc import Iterator

import numpy as np
import pandas as pd

from hemiface.config import StatisticsOptions
from hemiface.stats.people.sensitivity import measures
from hemiface.stats.people.trials import Trials
from simulated_people import People, hit_rate, simulate, unbiased_hit_rate

__all__ = ["DESIGNS", "coverage"]

DESIGNS = {
    "everybody sees everything": People(participants=30, faces=28),
    "latin square": People(participants=30, faces=28, latin=True),
    "few people": People(participants=10, faces=28),
    "few faces": People(participants=30, faces=14),
}
_RECALL, _UNBIASED, _ALL = 0, 1, -1


def coverage(design: People, sets: int, draws: int, seed: int = 0) -> pd.DataFrame:
    """Return quantity, truth, mean estimate, share of intervals that hold it, and their width.

    `given` is the share that have an interval: of an emotion of two faces draws often show none.
    """
    found: dict[str, list[tuple[float, float, float, float]]] = {}
    for number in range(sets):
        table = simulate(design, seed + number)
        trials = Trials(table, StatisticsOptions(draws=draws, seed=number))
        for name, truth, values, bearing in _quantities(design, trials):
            one = trials.infer(values, bearing)
            ends = (np.ravel(end) for end in (one.value, one.low, one.high))
            found.setdefault(name, []).extend((truth, *each) for each in zip(*ends, strict=True))
    rows = []
    for name, each in found.items():
        truth, value, low, high = np.array(each).T
        given = np.isfinite(low)
        held = (low <= truth) & (truth <= high)
        of_these = (one[given].mean() if given.any() else np.nan for one in (held, high - low))
        rows.append((name, truth[0], value.mean(), *of_these, given.mean(), sets))
    columns = ["quantity", "truth", "mean", "coverage", "width", "given", "sets"]
    return pd.DataFrame(rows, columns=columns)


def _quantities(
    design: People, trials: Trials
) -> Iterator[tuple[str, float, np.ndarray, np.ndarray]]:
    """Yield name, truth, the sample and its draws, and how many units bear on them."""
    first, second = design.bases
    whole, part = (measures(trials, key) for key in (first, second))
    of_whole, of_part = trials.bearing(first), trials.bearing(second)
    yield "hit rate, whole", hit_rate(design, first), whole[_RECALL, _ALL], of_whole[_ALL]
    yield "hit rate, part", hit_rate(design, second), part[_RECALL, _ALL], of_part[_ALL]
    change = hit_rate(design, second) - hit_rate(design, first)
    of_both = trials.bearing(first, second)
    yield "change of hit rate", change, part[_RECALL, _ALL] - whole[_RECALL, _ALL], of_both[_ALL]
    unbiased = unbiased_hit_rate(design, second)
    yield "unbiased hit rate, part", unbiased, part[_UNBIASED, _ALL], of_part[_ALL]
    emotions = slice(0, _ALL)
    one = "hit rate of one emotion, whole"
    yield one, hit_rate(design, first), whole[_RECALL, emotions], of_whole[emotions]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=100)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    tables = [
        coverage(design, options.sets, options.draws, options.seed).assign(design=name)
        for name, design in DESIGNS.items()
    ]
    pd.concat(tables).to_csv(sys.stdout, index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
