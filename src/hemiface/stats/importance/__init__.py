"""Which part of the face matters: exact Shapley values, interactions, tiles, and people beside it.

Everything here reads tables and never imports torch. `indices` holds the formulas, `game` the
values of the coalitions, `regions` the tables of quadrants and halves, `tiles` the 6 x 8 tiles,
`bubbles` the classification images, `people` the comparison with people.

The value of a coalition is a mean over images: of the true emotion's probability (`probability`),
of whether it is the answer (`accuracy`), or of that probability's natural log (`neg_log_loss`).
Shapley values share out the value of the whole face above that of nothing visible, which for
quadrants is that of the emotions' shares (see `game`) and for tiles that of the hidden picture;
both ends are in the tables. Here a region's name says what is CREDITED: the Shapley value of
`upper` is what the upper half contributes where it can be seen.

Method: Shapley values of features as in Lundberg & Lee 2017, A unified approach to interpreting
model predictions, NeurIPS; for the mean over a data set as in Covert, Lundberg & Lee 2020,
Understanding global feature contributions with additive importance measures, NeurIPS.
"""

from dataclasses import dataclass

import pandas as pd

from hemiface.stats.importance.game import play, playable
from hemiface.stats.importance.regions import fill_spread, interaction_table, region_table
from hemiface.stats.sample import Sample
from hemiface.tables import Predictions

__all__ = [
    "Importance",
    "analyse",
    "controls",
    "fill_spread",
    "halves",
    "interactions",
    "necessity",
    "playable",
    "shapley",
    "sufficiency",
]


@dataclass(frozen=True, eq=False)
class Importance:
    """All tables of one computation: `regions`, `interactions` and `fills` (see `analyse`)."""

    regions: pd.DataFrame
    interactions: pd.DataFrame
    fills: pd.DataFrame


def analyse(sample: Sample | Predictions) -> Importance:
    """Return what every other function of this module gives, computed once.

    The sample holds the fifteen coalitions of the quadrants that see something for at least
    one model and fill. `regions` holds the quantities shapley, halves, necessity, sufficiency,
    above_random and value; `interactions` see `interactions`; `fills` see `fill_spread`, empty with
    one fill. Intervals are those of `inference.infer`, over images and, in rows of `mean`, over
    seeds; they and `p` (of "the value is 0") hold one by one, unadjusted for how many there are.

    Raises:
        UsageError: coalitions are missing (the message names them and the command that makes them),
            or two models have one name and seed.
        HemifaceError: Shapley values don't sum to the value of the whole face.

    """
    sample = Sample.of(sample)
    games, protocol, options = play(sample), sample.protocol, sample.options
    regions = region_table(games, protocol, options)
    return Importance(regions, interaction_table(games, protocol, options), fill_spread(regions))


def shapley(sample: Sample | Predictions) -> pd.DataFrame:
    """Return the exact Shapley values of the four quadrants.

    Columns: protocol, fill, model (what it was trained on), seed (as text, or `mean`), emotion (or
    `all` images), value_function, quantity, region, value, low, high, n (images), p (of "it is 0").
    The regions are the quadrants, the halves as sums of their quadrants' values, and the
    differences `upper - lower` and `left - right` with their own paired interval.
    """
    return _quantity(sample, "shapley")


def halves(sample: Sample | Predictions) -> pd.DataFrame:
    """Return the Shapley values of games with two players: upper and lower, left and right.

    A half's value is the mean of what it adds to nothing and what it adds to the other half; unlike
    the sum of its quadrants' values it needs only the halves' conditions. Columns as in `shapley`.
    """
    return _quantity(sample, "halves")


def necessity(sample: Sample | Predictions) -> pd.DataFrame:
    """Return what is lost when a quadrant or half alone is hidden; columns as in `shapley`."""
    return _quantity(sample, "necessity")


def sufficiency(sample: Sample | Predictions) -> pd.DataFrame:
    """Return what a quadrant or half alone gives above nothing visible; columns as in `shapley`."""
    return _quantity(sample, "sufficiency")


def controls(sample: Sample | Predictions) -> pd.DataFrame:
    """Return what hiding a region costs more than hiding as much area at random.

    That is the value under `random-25` (for a quadrant) or `random-50` (for a half) minus the value
    with the region hidden: above 0, the region matters more than its size. Random tiles are
    scattered, so a part of every feature stays visible, which is also why they can cost less.
    Columns as in `shapley`; empty where the random conditions were not evaluated.
    """
    return _quantity(sample, "above_random")


def interactions(sample: Sample | Predictions) -> pd.DataFrame:
    """Return how regions act together: above 0 they complete each other, below 0 say the same.

    Columns as in `shapley`, with index and regions instead of quantity and region. Index `shapley`
    and `banzhaf` are the interaction indices of two quadrants (see `indices`); `halves` is the
    difference of differences v(whole) - v(upper) - v(lower) + v(none) of the games with two
    players, where both indices are the same.
    """
    return analyse(sample).interactions


def _quantity(sample: Sample | Predictions, quantity: str) -> pd.DataFrame:
    table = analyse(sample).regions
    return table[table["quantity"] == quantity].reset_index(drop=True)
