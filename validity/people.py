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
    """Return quantity, truth, mean estimate, share of intervals that hold it, and their width."""
    found: dict[str, list[tuple[float, float, float, float]]] = {}
    for number in range(sets):
        table = simulate(design, seed + number)
        trials = Trials(table, StatisticsOptions(draws=draws, seed=number))
        for name, truth, values in _quantities(design, trials):
            one = trials.infer(values)
            found.setdefault(name, []).append(
                (truth, float(one.value), float(one.low), float(one.high))
            )
    rows = []
    for name, each in found.items():
        truth, value, low, high = np.array(each).T
        held = (low <= truth) & (truth <= high)
        rows.append((name, truth[0], value.mean(), held.mean(), (high - low).mean(), sets))
    columns = ["quantity", "truth", "mean", "coverage", "width", "sets"]
    return pd.DataFrame(rows, columns=columns)


def _quantities(design: People, trials: Trials) -> Iterator[tuple[str, float, np.ndarray]]:
    first, second = design.bases
    whole, part = (measures(trials, key) for key in (first, second))
    yield "hit rate, whole", hit_rate(design, first), whole[_RECALL, _ALL]
    yield "hit rate, part", hit_rate(design, second), part[_RECALL, _ALL]
    change = hit_rate(design, second) - hit_rate(design, first)
    yield "change of hit rate", change, part[_RECALL, _ALL] - whole[_RECALL, _ALL]
    yield "unbiased hit rate, part", unbiased_hit_rate(design, second), part[_UNBIASED, _ALL]


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
