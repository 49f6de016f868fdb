"""People who aren't there: answers drawn from a model whose true hit rates are known.

Participant p answers face i under condition c rightly with probability
logistic(bases[c] + ability[p] + ease[i]), both normal; who is wrong names one of the six other
emotions, each as often, or says something else. So the hit rate of a whole population is an
integral over a normal, and every emotion's unbiased hit rate follows from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.special import expit

from hemiface.tables import EMOTIONS


@dataclass(frozen=True, kw_only=True)
class People:
    """A population, a set of faces, and an experiment."""

    bases: Mapping[str, float] = field(default_factory=lambda: {"full": 1.5, "upper": 0.3})
    participants: int = 30
    faces: int = 28
    ability: float = 0.5
    ease: float = 0.7
    elsewhere: float = 0.0
    """Share of wrong answers that are no emotion."""
    latin: bool = False
    """Whether everybody sees each face once, in turn in every condition."""


def hit_rate(people: People, condition: str) -> float:
    """Return the population's hit rate under a condition, by Gauss and Hermite's quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    spread = np.hypot(people.ability, people.ease)
    return float((expit(people.bases[condition] + spread * nodes) * weights).sum() / weights.sum())


def unbiased_hit_rate(people: People, condition: str) -> float:
    """Return each emotion's H_u in the population: hits times the share of its answers."""
    hit = hit_rate(people, condition)
    others = (1 - hit) * (1 - people.elsewhere)  # six emotions give it a sixth of theirs each
    return hit * hit / (hit + others)


def simulate(people: People, seed: int) -> pd.DataFrame:
    """Return trials as `stats.people.trials.Trials` takes them."""
    random = np.random.default_rng(seed)
    ability = random.normal(0, people.ability, people.participants)
    ease = random.normal(0, people.ease, people.faces)
    conditions = list(people.bases)
    rows = []
    for p in range(people.participants):
        for i in range(people.faces):
            shown = [conditions[(p + i // 7) % len(conditions)]] if people.latin else conditions
            for condition in shown:
                emotion = EMOTIONS[i % 7]
                right = random.random() < expit(people.bases[condition] + ability[p] + ease[i])
                others = [one for one in EMOTIONS if one != emotion]
                wrong = "" if random.random() < people.elsewhere else str(random.choice(others))
                rows.append(
                    {
                        "participant": f"p{p:03}",
                        "stimulus": f"face{i:03}_{condition}",
                        "person": f"face{i:03}",
                        "condition": condition,
                        "reference": "" if condition == "full" else "full",
                        "emotion": emotion,
                        "answer": emotion if right else wrong,
                    }
                )
    return pd.DataFrame(rows)
