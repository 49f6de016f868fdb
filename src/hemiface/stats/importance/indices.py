"""Power indices of a game as linear maps: a coefficient for every coalition.

A game of n players gives every coalition a value; coalition `m` holds player i if bit i of m is
set, so coalition 0 is empty and coalition 2^n - 1 is everybody. Every index here is linear in the
values, so it is a row of coefficients [2^n], and a bootstrap draw costs one product.

Sources: Shapley 1953, A value for n-person games; Grabisch & Roubens 1999, An axiomatic approach to
the concept of interaction among players in cooperative games, Int. J. Game Theory 28 (both
interaction indices).
"""

from itertools import combinations
from math import factorial

import numpy as np
import numpy.typing as npt

from hemiface.errors import UsageError

__all__ = ["INTERACTIONS", "interaction_coefficients", "pairs", "shapley_coefficients"]

Floats = npt.NDArray[np.float64]

INTERACTIONS = ("shapley", "banzhaf")


def shapley_coefficients(players: int) -> Floats:
    """Return float64 [players, 2^players]: row i times the values is player i's Shapley value.

    The weighted mean of what i adds to each coalition S of the others, with weight
    |S|! (n - |S| - 1)! / n!. The rows sum to +1 on everybody and -1 on nobody (efficiency).

    >>> shapley_coefficients(2)
    array([[-0.5,  0.5, -0.5,  0.5],
           [-0.5, -0.5,  0.5,  0.5]])
    """
    found = np.zeros((players, 2**players))
    for player in range(players):
        for rest in range(2**players):
            if not rest >> player & 1:
                size = rest.bit_count()
                weight = factorial(size) * factorial(players - size - 1) / factorial(players)
                found[player, rest | 1 << player] += weight
                found[player, rest] -= weight
    return found


def pairs(players: int) -> list[tuple[int, int]]:
    """Return the pairs of players in the order of `interaction_coefficients`."""
    return list(combinations(range(players), 2))


def interaction_coefficients(players: int, index: str) -> Floats:
    """Return float64 [pairs, 2^players] for the interaction of two players.

    Each is a weighted mean over coalitions S of the others of the difference of differences
    v(S + ij) - v(S + i) - v(S + j) + v(S). Index `shapley` weighs by
    |S|! (n - |S| - 2)! / (n - 1)!, `banzhaf` weighs all S alike. With two players both are the one
    difference of differences. Above 0: together they give more than each adds alone; below 0: they
    say partly the same.

    Raises:
        UsageError: there is no such index.

    """
    if index not in INTERACTIONS:
        raise UsageError(f"Index {index!r} is unknown; choose from {', '.join(INTERACTIONS)}.")
    found = np.zeros((len(pairs(players)), 2**players))
    for row, (one, other) in zip(found, pairs(players), strict=True):
        both = 1 << one | 1 << other
        for rest in range(2**players):
            if rest & both:
                continue
            size = rest.bit_count()
            weight = factorial(size) * factorial(players - size - 2) / factorial(players - 1)
            if index == "banzhaf":
                weight = 2.0 ** (2 - players)
            row[rest | both] += weight
            row[rest] += weight
            row[rest | 1 << one] -= weight
            row[rest | 1 << other] -= weight
    return found
