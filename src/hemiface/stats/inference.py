"""Draws turned into inference: the interval of a score, that of paired differences, and their p.

With one network on each side only the images are a sample, and `groups` of them are resampled.
With several seeds the networks are a sample too: a draw then holds resampled groups *and* resampled
seeds, crossed, because every network saw the same images (two-level).

Sources: Efron & Tibshirani 1993, An Introduction to the Bootstrap, ch. 13 (percentile intervals);
Hesterberg 2015, The American Statistician 69 (expanded for small samples); Owen 2007, The
pigeonhole bootstrap, Ann. Appl. Stat. 1 (crossed resampling); Rao & Wu 1988, Resampling inference
with complex survey data, JASA 83 (drawing S - 1 of S seeds makes the variance of so small a sample
unbiased); Satterthwaite 1946, Biometrics 2 (degrees of freedom).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from hemiface.config import StatisticsOptions
from hemiface.stats.significance import difference_p, equivalence_p, expanded_quantiles

__all__ = [
    "FEWEST_FOR_PERCENTILES",
    "MOST_UNDEFINED",
    "NO_VARIATION",
    "TOO_FEW",
    "Inference",
    "infer",
    "interval",
    "paired_members",
    "runs_of",
]

Floats = npt.NDArray[np.float64]

MOST_UNDEFINED = 0.05
"""An interval is given if at most this share of the draws is undefined (they are left out)."""

FEWEST_FOR_PERCENTILES = 6
"""Percentiles of draws never leave the range of what is drawn: those of two groups would miss half
of the time however far their tails are expanded, those of five in 8 %."""

_LIFTED_BY_DRAWS = ("ece",)
TOO_FEW = "fewer than two groups to resample"
_ONE_DRAW = "one draw has no spread"
NO_VARIATION = "nothing varies between the draws"
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Inference:
    """Differences with all that is said about chance, each as float64 [...].

    `se` is the standard error, `df` its degrees of freedom, `p` of "the difference is 0",
    `p_equivalence` of "it is the margin or more"; `reason` says why parts are NaN ("" elsewhere).
    """

    value: Floats
    low: Floats
    high: Floats
    se: Floats
    df: Floats
    p: Floats
    p_equivalence: Floats
    reason: npt.NDArray[np.object_]
    method: npt.NDArray[np.object_]

    def row(self, at: int | tuple[int, ...]) -> dict[str, Any]:
        """Return what is said of one difference, by the names that columns have."""
        names = ("low", "high", "se", "df", "p", "p_equivalence", "reason")
        found = {name: getattr(self, name)[at] for name in names}
        return {"difference": self.value[at], **found, "method": self.method[at]}


def runs_of(names: pd.DataFrame, wanted: Iterable[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Return (seed, model IDs) for every seed that all names in `wanted` have, then for `mean`.

    `names` is `Predictions.names`. The IDs stand in the order of `wanted`. `mean`
    has one ID per name and seed and is left out where that would repeat a single seed.
    """
    chosen = list(wanted)
    by_seed = [_by_seed(names, name) for name in chosen]
    common = [seed for seed in by_seed[0] if all(seed in one for one in by_seed)]
    runs = [(str(seed), tuple(one[seed] for one in by_seed)) for seed in common]
    everything = tuple(model for one in by_seed for model in one.values())
    if not (runs and len(everything) == len(chosen)):
        runs.append(("mean", everything))
    return runs


def paired_members(
    names: pd.DataFrame, first: str, second: str
) -> list[tuple[str, list[str], list[str], bool]]:
    """Return (seed, IDs of `first`, IDs of `second`, are seeds paired) per comparison of two names.

    A row for each seed in common, then `mean` over all seeds of both where there are several or no
    seed is in common. Seeds are paired if both have the same ones: a specialist starts from the
    baseline of its own seed.
    """
    a, b = _by_seed(names, first), _by_seed(names, second)
    found = [(str(seed), [a[seed]], [b[seed]], True) for seed in a if seed in b]
    same = list(a) == list(b)
    if not (same and len(a) == 1):
        found.append(("mean", list(a.values()), list(b.values()), same))
    return found


def _by_seed(names: pd.DataFrame, name: str) -> dict[int, str]:
    """Return the model IDs of a name by their seeds, in the seeds' order.

    Asked thousands of times of a dozen rows, where pandas takes milliseconds each.
    """
    rows = zip(names["name"], names["seed"], names["model"], strict=True)
    return dict(sorted((seed, str(model)) for one, seed, model in rows if one == name))


def interval(scores: Floats, groups: float, level: float, metric: str) -> tuple[float, float, str]:
    """Return the expanded percentile interval of the defined draws, or NaN, NaN and the reason.

    `groups` says of how many groups of like size the sample is (`Sample.effective_groups`). A
    metric that draws lift above its own value, such as `ece`, has no interval: theirs would often
    lie above what was measured. Nor has one that is the same in all draws, as the accuracy of a
    network without a mistake is: draws of such a sample can't know of the next image.
    """
    if metric in _LIFTED_BY_DRAWS:
        return np.nan, np.nan, "no interval: images drawn twice add to its bias"
    if groups < 2:
        return np.nan, np.nan, TOO_FEW
    if groups < FEWEST_FOR_PERCENTILES:
        return np.nan, np.nan, "fewer than six groups to resample: percentiles can't bound it"
    defined = scores[np.isfinite(scores)]
    undefined = len(scores) - len(defined)
    if len(scores) < 2:
        return np.nan, np.nan, _ONE_DRAW
    if undefined > MOST_UNDEFINED * len(scores):
        return np.nan, np.nan, f"undefined in {undefined} of {len(scores)} draws"
    if np.ptp(defined) < _ROUNDING:
        return np.nan, np.nan, NO_VARIATION
    low, high = np.quantile(defined, expanded_quantiles(level, groups))
    return float(low), float(high), ""


def infer(
    parts: Sequence[Floats],
    groups: int,
    options: StatisticsOptions,
    own: npt.NDArray[Any] | float | None = None,
    bounds: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    *,
    of_levels: bool = False,
) -> Inference:
    """Return what draws say about a sum of means over seeds.

    Level, margin and the seed by which seeds are drawn are those of `options`. Each of `parts` is
    float64 [..., seeds, 1 + draws] (index 0 the sample itself, all from the same draws of `groups`
    groups) and is averaged over its seeds. A difference of paired seeds is one part, a - b; one of
    unpaired seeds two, a and -b. `own` says how many groups of like size bear on a number, such as
    those with images of its emotion, and broadcasts to [...]; without it all do. `bounds` are the
    least and the greatest that a number can be, which no interval passes. `of_levels` says that the
    numbers are levels, such as an accuracy, and no differences: one that is the same in all draws
    has no interval.

    With one seed everywhere the interval is the expanded percentile interval of the draws (of fewer
    than FEWEST_FOR_PERCENTILES groups value +- t * se) and `df` is own - 1. Draws of n groups vary
    by sqrt((n-1) / n) too little, for which `se` makes up. With several seeds, groups and seeds are
    drawn, and the interval is value +- t * se with Satterthwaite's degrees of freedom: the
    quantiles of draws from three seeds span little more than the seeds themselves and would cover
    far less than they say. Of two seeds `df` is 1: where they happen to agree, their variance would
    be taken for none. A name of one seed beside another of several stands for that one network, and
    `method` says so. What only this seed makes of this image counts three times in crossed draws
    (Owen 2007, theorem 4), so that `se` of several seeds is rather too large. p is that of a t test
    with `se` and `df` in both cases: quantiles of a thousand draws can't resolve the small p that a
    correction for many tests needs.
    """
    level, margin, seed = options.level, options.margin, options.seed
    sizes = [part.shape[-2] for part in parts]
    value = sum((part[..., 0].mean(axis=-1) for part in parts), start=np.zeros(()))
    draws = sum(
        (_mean_over_drawn_seeds(part[..., 1:], seed + place) for place, part in enumerate(parts)),
        start=np.zeros(()),
    )
    defined = np.isfinite(draws)
    missing = (~defined).sum(axis=-1)
    count = draws.shape[-1]
    reason = np.full(value.shape, "", dtype=object)
    reason[missing > 0] = [
        f"undefined in {number} of {count} draws" if number > MOST_UNDEFINED * count else ""
        for number in missing[missing > 0]
    ]
    reason[np.isnan(value)] = "undefined"
    bearing = np.broadcast_to(np.asarray(groups if own is None else own), value.shape)
    reason[bearing < 2] = TOO_FEW
    if count < 2:
        reason[reason == ""] = _ONE_DRAW
    usable = reason == ""
    kept = np.where(defined & usable[..., None], draws, np.nan)
    se = np.where(usable, _deviation(np.where(usable[..., None], kept, 0.0)), np.nan)
    # Sums in another order differ by rounding, which is no variation.
    se = np.where(se < _ROUNDING, 0.0, se)
    se, df = _with_freedom(parts, se, bearing)
    half = special.stdtrit(df, (1 + level) / 2) * se
    by_t = np.ones(value.shape, dtype=np.bool_)
    of = f"{count} draws of {groups} groups"
    if max(sizes) > 1:
        low, high = value - half, value + half
        seeds = " against ".join(str(one) for one in dict.fromkeys(sizes))
        of += f" x {seeds} seeds"
    else:
        low, high = _quantiles(kept, usable, level, bearing)
        by_t = usable & (bearing < FEWEST_FOR_PERCENTILES)
        low, high = np.where(by_t, value - half, low), np.where(by_t, value + half, high)
    kinds = (f"{100 * level:g}% {kind} interval, {of}" for kind in ("t", "percentile"))
    method = np.where(by_t, *(np.asarray(one, dtype=object) for one in kinds))
    p, p_equivalence = difference_p(value, se, df), equivalence_p(value, se, df, margin)
    same = usable & (se == 0)
    reason[same] = NO_VARIATION
    # Two that are alike in every draw are alike; a level that never varies bounds nothing.
    unknown = same if of_levels else same & (value != 0)
    low, high = (np.where(unknown, np.nan, one) for one in (low, high))
    if bounds is not None:
        low, high = np.maximum(low, bounds[0]), np.minimum(high, bounds[1])
    p, p_equivalence = (np.where(usable, one, np.nan) for one in (p, p_equivalence))
    return Inference(value, low, high, se, df, p, p_equivalence, reason, method)


def _mean_over_drawn_seeds(scores: Floats, seed: int) -> Floats:
    """Return [..., draws] from [..., seeds, draws]: the mean over seeds drawn anew in each draw."""
    seeds, draws = scores.shape[-2:]
    if seeds == 1:
        return scores[..., 0, :]
    random = np.random.default_rng([seed, seeds])
    weights = random.multinomial(seeds - 1, np.full(seeds, 1 / seeds), draws).T / (seeds - 1)
    mean: Floats = (scores * weights).sum(axis=-2)
    return mean


def _with_freedom(
    parts: Sequence[Floats], deviation: Floats, groups: npt.NDArray[Any]
) -> tuple[Floats, Floats]:
    """Return the standard error from the deviation of draws, and its degrees of freedom.

    Draws of groups vary too little by (groups - 1) / groups. The degrees of freedom are
    Satterthwaite's: few for what the seeds add, groups - 1 for the rest; 1 of two seeds.
    """
    free, variance = groups - 1.0, deviation**2
    of_seeds = [
        (part[..., 0].var(axis=-1, ddof=1) / seeds, seeds - 1)
        for part in parts
        if (seeds := part.shape[-2]) > 1
    ]
    of_groups = np.maximum(variance - sum((one for one, _ in of_seeds), np.zeros(())), 0)
    missing = of_groups / np.maximum(free, _ROUNDING)
    total = variance + missing
    if max((few for _, few in of_seeds), default=0) == 1:
        return np.sqrt(total), np.ones_like(total)
    below = sum((one**2 / few for one, few in of_seeds), np.zeros(()))
    below = below + (of_groups + missing) ** 2 / np.maximum(free, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt(total), np.where(below > 0, total**2 / below, free)


def _deviation(draws: Floats) -> Floats:
    if draws.shape[-1] < 2:
        return np.full(draws.shape[:-1], np.nan)
    if np.isfinite(draws).all():
        return np.asarray(draws.std(axis=-1, ddof=1))
    return np.asarray(np.nanstd(draws, axis=-1, ddof=1))


def _quantiles(
    draws: Floats, usable: npt.NDArray[np.bool_], level: float, groups: npt.NDArray[Any]
) -> tuple[Floats, Floats]:
    low, high = (np.full(usable.shape, np.nan) for _ in range(2))
    for count in np.unique(groups[usable]).tolist():
        these = usable & (groups == count)
        kept = draws[these]
        quantile = np.quantile if np.isfinite(kept).all() else np.nanquantile
        low[these], high[these] = quantile(kept, expanded_quantiles(level, count), axis=-1)
    return low, high
