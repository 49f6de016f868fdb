"""Tests and effect sizes of paired outcomes: numbers in, numbers out, no table.

A pair of classifiers that saw the same images is described by its discordant images: those that
only the first got right and those that only the second did. `comparisons` applies these to tables.
"""

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from hemiface.errors import UsageError

__all__ = [
    "SIGNIFICANT",
    "cochran_q",
    "cochran_q_of_sums",
    "cohens_g",
    "cohens_h",
    "detectable",
    "difference_p",
    "effective_units",
    "equivalence_p",
    "expanded_quantiles",
    "holm",
    "mcnemar_exact",
    "mcnemar_mid",
    "paired_odds_ratio",
    "stated_signs",
]

Floats = npt.NDArray[np.float64]
Signs = npt.NDArray[np.int64]

# Student's t is taken from `special.stdtr` and `stdtrit`, as `stats.t` does, but that needs a tenth
# of a millisecond more: a report asks some ten thousand times.

SIGNIFICANT = 0.05
"""The Holm-corrected p below which a direction may be stated."""


def mcnemar_exact(only_a: npt.ArrayLike, only_b: npt.ArrayLike) -> Floats:
    """Return the two-sided p of the exact McNemar test for the two discordant counts.

    Under the null hypothesis `only_a` is binomial(only_a + only_b, 1/2); the smaller tail is
    doubled, at most 1. Without a discordant image it is 1. Source: McNemar 1947, Psychometrika 12;
    Fagerland, Lydersen & Laake 2013, BMC Med. Res. Methodol. 13:91, "exact conditional test".

    >>> mcnemar_exact(1, 7).round(4).item()
    0.0703
    """
    few, many = _ordered(only_a, only_b)
    return np.asarray(np.minimum(1.0, 2 * stats.binom.cdf(few, few + many, 0.5)))


def mcnemar_mid(only_a: npt.ArrayLike, only_b: npt.ArrayLike) -> Floats:
    """Return the two-sided mid-p of the McNemar test, which counts what was observed by half.

    Less conservative than the exact test, and nearly never above its level. With equal counts it is
    1 - f / 2, where f is the probability of the observed count. Source: Fagerland, Lydersen & Laake
    2013, BMC Med. Res. Methodol. 13:91, and its supplement, eq. 2.

    >>> mcnemar_mid(1, 7).round(4).item()
    0.0391
    """
    few, many = _ordered(only_a, only_b)
    observed = stats.binom.pmf(few, few + many, 0.5)
    unequal = 2 * stats.binom.cdf(few, few + many, 0.5) - observed
    return np.asarray(np.where(few == many, 1 - observed / 2, unequal))


def cochran_q(correct: npt.NDArray[np.bool_]) -> tuple[float, int, float]:
    """Return Cochran's Q, its degrees of freedom and p for bool [n, k]: n images, k classifiers.

    Tests whether the k shares of hits are equal; Q is chi-square with k - 1 degrees of freedom in
    large samples. Images on which all agree don't count. NaN where no image is left. Source:
    Cochran 1950, Biometrika 37, 256-266.

    Raises:
        UsageError: fewer than two classifiers.

    """
    k = correct.shape[1]
    if k < 2:
        raise UsageError(f"Cochran's Q compares two or more classifiers, got {k}.")
    hits = correct.astype(np.float64)
    column, row = hits.sum(axis=0), hits.sum(axis=1)
    return cochran_q_of_sums(column, float((row * (k - row)).sum()))


def cochran_q_of_sums(column: Floats, spread: float) -> tuple[float, int, float]:
    """Return what `cochran_q` gives from sums over the images.

    column: [k], the hits of each classifier; spread: the sum of an image's hits times its misses.
    """
    k = len(column)
    if spread == 0:
        return np.nan, k - 1, np.nan
    q = float(k * (k - 1) * ((column - column.mean()) ** 2).sum() / spread)
    return q, k - 1, float(stats.chi2.sf(q, k - 1))


def expanded_quantiles(level: float, units: float) -> tuple[float, float]:
    """Return which quantiles of bootstrap draws bound the central `level`, for a sample of `units`.

    Draws of n units vary by sqrt((n-1) / n) too little, and plain percentiles neglect that their
    spread is itself estimated: those of 50 units miss in 6 % instead of 5 %. Here the tail is
    Phi(-sqrt(n / (n-1)) t), with t of n-1 degrees of freedom, in place of (1 - level) / 2: for the
    mean of a normal sample the ends are then those of the t interval. `units` must be above 1.
    Source: Hesterberg 2015, The American Statistician 69:371, "expanded percentile interval".

    >>> [round(one, 4) for one in expanded_quantiles(0.95, 50)]
    [0.0212, 0.9788]
    """
    wide = np.sqrt(units / (units - 1)) * special.stdtrit(units - 1, (1 + level) / 2)
    tail = float(special.ndtr(-wide))
    return tail, 1 - tail


def effective_units(sizes: npt.ArrayLike) -> Floats:
    """Return how many units of like size a sample is worth, from the sizes [..., units].

    (sum of sizes)^2 / sum of squares: as many as there are where all are alike, fewer where some
    are most of the sample. At least 2 where two or more aren't empty. Source: Kish 1965, Survey
    Sampling; Carter, Schnepel & Steigerwald 2017, Asymptotic behavior of a t-test robust to cluster
    heterogeneity, Rev. Econ. Stat. 99, 698-709.

    >>> effective_units([[1, 1, 1, 1], [5, 1, 1, 1]]).round(2).tolist()
    [4.0, 2.29]
    """
    known = np.asarray(sizes, dtype=np.float64)
    there = (known > 0).sum(axis=-1)
    squares = (known**2).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        worth = np.where(squares > 0, known.sum(axis=-1) ** 2 / squares, 0.0)
    return np.asarray(np.clip(worth, np.minimum(there, 2), there), dtype=np.float64)


def holm(p: npt.ArrayLike) -> Floats:
    """Return p-values [m] adjusted for m tests of one family; a NaN is no test and stays NaN.

    The k-th smallest is multiplied by m - k + 1, kept in order and at most 1: the probability of
    any false alarm in the family is at most the level. Source: Holm 1979, Scand. J. Stat. 6, 65-70.

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    raw = np.asarray(p, dtype=np.float64)
    adjusted = np.full(raw.shape, np.nan)
    tested = np.flatnonzero(np.isfinite(raw))
    order = tested[np.argsort(raw[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(raw[order] * factors))
    return adjusted


def stated_signs(
    low: npt.ArrayLike, high: npt.ArrayLike, p_holm: npt.ArrayLike, neutral: float = 0.0
) -> Signs:
    """Return 1 or -1 where a direction may be stated, else 0.

    It may be where the Holm-corrected p is below `SIGNIFICANT` *and* the interval lies above or
    below `neutral`. NaN states nothing.

    >>> stated_signs([0.1, -0.3, 0.1], [0.2, -0.1, 0.2], [0.01, 0.01, 0.06]).tolist()
    [1, -1, 0]
    """
    above, below = np.asarray(low) > neutral, np.asarray(high) < neutral
    sure = np.asarray(p_holm, dtype=np.float64) < SIGNIFICANT
    return np.asarray(np.where(sure, above.astype(np.int64) - below, 0))


def cohens_g(only_a: npt.ArrayLike, only_b: npt.ArrayLike) -> Floats:
    """Return the share of `only_a` among the discordant images minus 1/2, in [-1/2, 1/2].

    The effect size of McNemar's test: .05 is called small, .15 medium, .25 large. NaN without a
    discordant image. Source: Cohen 1988, Statistical Power Analysis, ch. 5.

    >>> cohens_g(30, 10).item()
    0.25
    """
    a, b = np.asarray(only_a, np.float64), np.asarray(only_b, np.float64)
    with np.errstate(invalid="ignore"):
        return np.asarray(a / (a + b) - 0.5)


def cohens_h(share_a: npt.ArrayLike, share_b: npt.ArrayLike) -> Floats:
    """Return 2 arcsin sqrt(a) - 2 arcsin sqrt(b): a difference of shares that weighs alike at both.

    .2 is called small, .5 medium, .8 large. It ignores the pairing. Source: Cohen 1988, Statistical
    Power Analysis, ch. 6, eq. 6.2.1.

    >>> cohens_h(0.65, 0.45).round(3).item()
    0.405
    """
    a, b = np.asarray(share_a, np.float64), np.asarray(share_b, np.float64)
    return np.asarray(2 * np.arcsin(np.sqrt(a)) - 2 * np.arcsin(np.sqrt(b)))


def paired_odds_ratio(
    only_a: npt.ArrayLike, only_b: npt.ArrayLike, level: float = 0.95
) -> tuple[Floats, Floats, Floats]:
    """Return the odds ratio only_a / only_b of matched pairs with its exact interval.

    The interval is Clopper & Pearson's for the share of `only_a` among the discordant images, taken
    to odds. Infinite where `only_b` is 0, NaN where both are. Source: Breslow & Day 1980,
    Statistical Methods in Cancer Research I, sec. 5.2 (eq. 5.4 to 5.6).

    >>> tuple(bound.round(2).item() for bound in paired_odds_ratio(20, 10))
    (2.0, 0.89, 4.78)
    """
    a, b = np.asarray(only_a, np.float64), np.asarray(only_b, np.float64)
    tail = (1 - level) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        # The beta quantiles are NaN at the ends, where the bounds are 0 and infinity.
        low = np.where(a > 0, stats.beta.ppf(tail, a, b + 1), 0.0)
        high = np.where(b > 0, stats.beta.ppf(1 - tail, a + 1, b), 1.0)
        ratio = a / b
        bounds = [np.where(a + b > 0, bound / (1 - bound), np.nan) for bound in (low, high)]
    return np.asarray(ratio), bounds[0], bounds[1]


def difference_p(difference: npt.ArrayLike, se: npt.ArrayLike, df: npt.ArrayLike) -> Floats:
    """Return the two-sided p of "the difference is 0": Student's t with `df` degrees of freedom.

    `se` is the standard error of the difference. Where it is 0, p is 1 for a difference of 0 and
    NaN otherwise: nothing varied, so nothing can be said about chance.
    """
    d, error, free = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in (difference, se, df)))
    with np.errstate(invalid="ignore", divide="ignore"):
        p = 2 * special.stdtr(free, -np.abs(d) / error)
    return np.where(error > 0, p, np.where(d == 0, 1.0, np.nan))


def detectable(se: npt.ArrayLike, df: npt.ArrayLike, power: float = 0.8) -> Floats:
    """Return the difference that a test at .05 finds with this power, from its standard error.

    (t_{.975} + t_{power}) * se, both quantiles of `df` degrees of freedom. Source: Bloom 1995,
    Minimum detectable effects, Evaluation Review 19, 547-556.

    >>> detectable(0.01, 1e6).round(3).item()
    0.028
    """
    error, free = (np.asarray(x, np.float64) for x in (se, df))
    quantiles = special.stdtrit(free, 1 - SIGNIFICANT / 2) + special.stdtrit(free, power)
    return np.asarray(quantiles * error)


def equivalence_p(
    difference: npt.ArrayLike, se: npt.ArrayLike, df: npt.ArrayLike, margin: float
) -> Floats:
    """Return p of two one-sided t tests of "the difference is -margin or less, or margin or more".

    A small p says that the difference lies within +-margin; p < .05 exactly if the 90 % interval
    difference +- t * se does. NaN where `se` is 0. Source: Schuirmann 1987, J. Pharmacokinet.
    Biopharm. 15, 657-680 (TOST).

    Raises:
        UsageError: the margin isn't above 0.

    """
    if not margin > 0:
        raise UsageError(f"An equivalence margin must be above 0, got {margin}.")
    d, error, free = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in (difference, se, df)))
    with np.errstate(invalid="ignore", divide="ignore"):
        p = special.stdtr(free, (np.abs(d) - margin) / error)
    return np.where(error > 0, p, np.nan)


def _ordered(only_a: npt.ArrayLike, only_b: npt.ArrayLike) -> tuple[Floats, Floats]:
    a, b = np.asarray(only_a), np.asarray(only_b)
    return np.minimum(a, b), np.maximum(a, b)
