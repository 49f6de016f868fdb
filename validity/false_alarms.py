"""How often each test finds a difference where there is none: the second half of planted.py.

A data set is drawn from a finite population of pictures and networks in which the null hypothesis
holds exactly, not nearly, because it is built in:

- *either way round*: each face enters as it is or mirrored, by the toss of a coin, and the network
  is the mean of itself and its mirror image. Swapping left and right then changes nothing in the
  population, so no side carries more. Faces have no such symmetry between up and down. There a
  second coin turns the picture upside down before a network that turns it back: the half that is
  hidden as `upper` then shows the face's lower half as often as its upper one.
- *copies*: the same, each face three times in one group, as near duplicates are in FER2013.
- *networks*: networks as they were trained, each entering as it is or as its mirror image. A single
  one may prefer a side; the population of networks doesn't. A dozen networks are far from a normal
  distribution, so the t intervals of three of them hold less exactly than all others.
- *known*: faces of truth `left`, drawn as they are. Nothing is null, but the population's values
  are known, so that it can be counted how often an interval misses them and how often equivalence
  (TOST) is claimed where the difference is exactly the margin. How frequent emotions are, which is
  what nobody is worth, the population says, as a study's validation images do; in rows of their own
  (*own shares*) the drawn faces do, as where there are no such images. Intervals take it as known,
  so that these miss more often.

Drawing with replacement makes a data set an independent sample of that population. So 95 %
intervals should miss, and tests at .05 reject, in 5 % of the data sets; `summary` puts Clopper &
Pearson's interval around what was counted. Rows that are expected to fail show what an analysis
would do that ignored groups or took one network for all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from hemiface.config import StatisticsOptions
from hemiface.occlusion.conditions import CONDITIONS, QUADRANTS, condition, mirror
from hemiface.stats import importance
from hemiface.stats.all_pairs import all_pairs, cochran, mcnemar
from hemiface.stats.sample import Sample
from hemiface.stats.sides import sides
from hemiface.tables import EMOTIONS, PROBABILITY_COLUMNS, Predictions, label_indices, probabilities

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Alarm = tuple[str, str, str, str, bool]
"""Null, test, what it is about, what is expected of its rate, and whether it rejected."""

ALARM_COLUMNS = ("null", "test", "about", "expected", "rejected")
LEVEL = 0.05
NOMINAL, AT_MOST, TOO_OFTEN = "nominal", "at most nominal", "too often"
SIDES = ("left", "right")
PAIRS = (("left", "right"), ("upper", "lower"))
_COPIES = 3
_DRAWN_NETWORKS = 3


@dataclass(frozen=True, eq=False)
class Population:
    """Predictions of K networks for N faces, from which data sets are drawn.

    values: float32 [K, 2, 16, N, 7], the second axis the face as it is and mirrored, the third
    CONDITIONS; labels: int [N].
    """

    values: npt.NDArray[np.float32]
    labels: Ints

    def symmetric(self) -> "Population":
        """Return the population of the networks averaged with their mirror images.

        The mirror image of a network sees the mirrored picture, so what it has visible on the left
        was visible on the right.
        """
        return Population((self.values + self.mirrored().values) / 2, self.labels)

    def mirrored(self) -> "Population":
        """Return the population of the networks' mirror images."""
        return Population(self.values[:, ::-1][:, :, _MIRROR], self.labels)


def population(predictions: Predictions, mirrored: Predictions) -> Population:
    """Return the population of all faces and networks in the tables of the sixteen coalitions."""
    tables = [
        one.assign(
            condition=pd.Categorical(one["condition"], categories=list(CONDITIONS)).codes
        ).sort_values(["model", "condition", "image"])
        for one in (predictions.table, mirrored.table)
    ]
    networks = predictions.table["model"].nunique()
    shape = (networks, len(CONDITIONS), -1, len(EMOTIONS))
    values = [probabilities(one).astype(np.float32).reshape(shape) for one in tables]
    labels = label_indices(tables[0])[: values[0].shape[2]]
    return Population(np.stack(values, axis=1), labels)


@dataclass(frozen=True, eq=False)
class Choice:
    """Faces drawn with replacement: which, and the tosses of both coins, each [n]."""

    faces: Ints
    flipped: Ints
    turned: Ints


def everyone(of: Population) -> Choice:
    """Return every face of a population once, as it is."""
    faces = np.arange(len(of.labels))
    return Choice(faces, np.zeros_like(faces), np.zeros_like(faces))


def sample(of: Population, n: int, random: np.random.Generator) -> Choice:
    """Draw a data set of n faces."""
    faces = random.integers(len(of.labels), size=n)
    return Choice(faces, random.integers(2, size=n), random.integers(2, size=n))


def table(
    of: Population,
    networks: Sequence[int],
    drawn: Choice,
    conditions: Sequence[str],
    *,
    copies: int = 1,
    mirrored: bool = False,
) -> Predictions:
    """Return the Predictions table of a data set, as `evaluate` would have written it."""
    n = len(drawn.faces)
    wanted = np.array([CONDITIONS.index(one) for one in conditions])
    shown = np.where(drawn.turned, _TURN[wanted][:, None], wanted[:, None])
    way = drawn.flipped ^ int(mirrored)
    values = np.concatenate([of.values[k, way, shown, drawn.faces] for k in networks])
    models = [f"any-seed{place}" for place in range(len(networks))]
    cells = len(models) * len(conditions)
    face = np.tile(np.repeat(np.arange(n), copies), cells)
    copy = np.tile(np.arange(n * copies), cells)
    names = np.array([f"{one:06}" for one in range(n * copies)], dtype=object)
    found = pd.DataFrame(
        np.repeat(values.reshape(-1, len(EMOTIONS)), copies, axis=0).astype(np.float64),
        columns=list(PROBABILITY_COLUMNS),
    )
    # float32 sums to 1 only nearly.
    columns = {
        "image": names[copy],
        "condition": np.repeat(np.tile(np.asarray(conditions, object), len(models)), n * copies),
        "model": np.repeat(np.asarray(models, object), len(conditions) * n * copies),
        "dataset": "phantom",
        "split": "test",
        "label": np.asarray(EMOTIONS, object)[of.labels[drawn.faces]][face],
        "group": names[face],
        "leaked": False,
    }
    found = found.assign(**columns)
    described = [
        {"model": one, "name": "any", "seed": seed, "flips": False, "conditions": conditions}
        for seed, one in enumerate(models)
    ]
    return Predictions(found, {"models": described, "mirrored": mirrored})


def with_validation(predictions: Predictions, of: Population, network: int) -> Predictions:
    """Return a data set whose validation images are the whole population, seen as they are."""
    whole = everyone(of)
    more = table(of, [network], whole, ["full"]).table
    names = {one: "validation " + more[one] for one in ("image", "group")}
    more = more.assign(split="validation", **names)
    rows = pd.concat([predictions.table, more], ignore_index=True)
    return Predictions(rows, predictions.facts)


def either_way(of: Population, number: int, random: np.random.Generator, n: int) -> Iterator[Alarm]:
    """Yield the alarms of one data set under *either way round*; `of` must be symmetric."""
    null, network = "either way round", [number % len(of.values)]
    drawn = sample(of, n, random)
    regions = importance.analyse(table(of, network, drawn, CONDITIONS)).regions
    chosen = regions[regions["region"].isin(["left - right", "upper - lower"])]
    chosen = chosen[(chosen["seed"] != "mean") & (chosen["quantity"] != "value")]
    for row in chosen.itertuples():
        what = f"{row.value_function}, {'all images' if row.emotion == 'all' else 'an emotion'}"
        if np.isfinite(row.low):
            away = not row.low <= 0 <= row.high
            yield null, f"importance: {row.quantity} {row.region}", what, NOMINAL, away
    halves = table(of, network, drawn, ["upper", "lower", "left", "right"])
    counted = _pairs(mcnemar(halves))
    for row in counted.itertuples():
        pair = f"{row.condition_a} against {row.condition_b}"
        yield null, "McNemar, exact", pair, AT_MOST, row.p_exact < LEVEL
        yield null, "McNemar, mid-p", pair, NOMINAL, row.p_mid < LEVEL
    for row in _pairs(all_pairs(halves, ["accuracy", "macro_f1"])).itertuples():
        what = f"{row.metric}, {row.condition_a} against {row.condition_b}"
        yield null, "differences: p", what, NOMINAL, row.p < LEVEL
        yield null, "differences: interval", what, NOMINAL, not row.low <= 0 <= row.high
    q = cochran(table(of, network, drawn, QUADRANTS))
    yield null, "Cochran's Q", "the four quadrants hidden", NOMINAL, bool((q["p"] < LEVEL).any())
    yield from _sides(null, sides(table(of, network, drawn, SIDES)))


def copies(of: Population, number: int, random: np.random.Generator, n: int) -> Iterator[Alarm]:
    """Yield the alarms of one data set under *copies*; `of` must be symmetric."""
    null, network = "copies", [number % len(of.values)]
    grouped = table(of, network, sample(of, n // _COPIES, random), SIDES, copies=_COPIES)
    tests = mcnemar(grouped).iloc[0]
    yield null, "McNemar, by group", "left against right", AT_MOST, tests["p_groups"] < LEVEL
    yield null, "McNemar, groups ignored", "left against right", TOO_OFTEN, tests["p_exact"] < LEVEL
    alone = grouped.table.assign(group=grouped.table["image"])
    single = Predictions(alone, grouped.facts)
    for name, data, rate in (("", grouped, NOMINAL), (", groups ignored", single, TOO_OFTEN)):
        one = all_pairs(data, ["accuracy"]).iloc[0]
        what = "accuracy, left against right"
        yield null, f"differences: p{name}", what, rate, one["p"] < LEVEL
        yield null, f"differences: interval{name}", what, rate, not one["low"] <= 0 <= one["high"]


def networks(of: Population, number: int, random: np.random.Generator, n: int) -> Iterator[Alarm]:
    """Yield the alarms of one data set under *networks*; `of` holds networks as they were trained.

    Each data set draws its networks, with replacement and by the toss of a coin mirrored.
    """
    del number
    null, count = "networks", len(of.values)
    both = Population(np.concatenate([of.values, of.mirrored().values]), of.labels)
    chosen = random.integers(2 * count, size=_DRAWN_NETWORKS).tolist()
    drawn = sample(of, n, random)
    drawn = Choice(drawn.faces, drawn.flipped, np.zeros_like(drawn.turned))
    shown = table(both, chosen, drawn, SIDES)
    what = "accuracy, left against right"
    found = all_pairs(shown, ["accuracy"]).set_index("seed")
    mean, one = found.loc["mean"], found.loc["0"]
    yield null, "differences: p, three networks", what, NOMINAL, mean["p"] < LEVEL
    missed = not mean["low"] <= 0 <= mean["high"]
    yield null, "differences: interval, three networks", what, NOMINAL, missed
    yield null, "differences: p, one network", what, TOO_OFTEN, one["p"] < LEVEL
    mirrored = table(both, chosen, drawn, SIDES, mirrored=True)
    control = sides(shown, mirrored)
    face = control[(control["part"] == "face") & (control["emotion"] == "all")]
    for row in face[face["seed"].isin(["0", "mean"])].itertuples():
        many = "three networks" if row.seed == "mean" else "one network"
        yield null, f"laterality: face, {many}", row.measure, NOMINAL, row.p < LEVEL


def known(
    of: Population, number: int, random: np.random.Generator, n: int, truth: "Known"
) -> Iterator[Alarm]:
    """Yield the alarms of one data set under *known*; `truth` is what `values_of` says of `of`."""
    null, network = "known", number % len(of.values)
    drawn = sample(of, n, random)
    drawn = Choice(drawn.faces, np.zeros(n, np.int64), np.zeros(n, np.int64))
    own = table(of, [network], drawn, CONDITIONS)
    # Nobody falls out of differences of regions, so that they are the same by any shares.
    for shown, followed, name, rate in (
        (with_validation(own, of, network), [*_REGIONS, *_DIFFERENCES], "", NOMINAL),
        (own, _REGIONS, ", own shares", TOO_OFTEN),
    ):
        regions = importance.analyse(shown).regions
        regions = regions[(regions["seed"] != "mean") & regions["region"].isin(followed)]
        both = regions.merge(truth.regions[network], on=_KEY, suffixes=("", "_true"))
        for row in both.itertuples():
            what = f"{row.value_function}, {'all images' if row.emotion == 'all' else 'an emotion'}"
            if np.isfinite(row.low):
                missed = not row.low <= row.value_true <= row.high
                yield null, f"importance: shapley {row.region}{name}", what, rate, missed
    gap = truth.gaps[network]
    # A margin must be above 0; a network without a difference has no boundary to test.
    margin = abs(gap) or 1.0
    options = StatisticsOptions(margin=margin)
    halves = Sample.of(table(of, [network], drawn, SIDES), options=options)
    one = all_pairs(halves, ["accuracy"]).iloc[0]
    what = "accuracy, left against right"
    yield null, "differences: interval", what, NOMINAL, not one["low"] <= gap <= one["high"]
    if gap:
        yield null, "TOST at its margin", what, AT_MOST, one["p_equivalence"] < LEVEL


@dataclass(frozen=True, eq=False)
class Known:
    """The population's own values, for each network."""

    regions: list[pd.DataFrame]
    gaps: list[float]


def _once(predictions: Predictions, draws: int) -> Sample:
    """Return a sample for its values alone, with as few draws as an interval can have."""
    return Sample.of(predictions, options=StatisticsOptions(draws=draws))


def values_of(of: Population) -> Known:
    """Return Shapley values and left-hidden minus right-hidden accuracy of the whole population."""
    whole = everyone(of)
    regions, gaps = [], []
    for network in range(len(of.values)):
        found = importance.shapley(_once(table(of, [network], whole, CONDITIONS), 1))
        regions.append(found.loc[found["seed"] != "mean", [*_KEY, "value"]])
        gap = all_pairs(_once(table(of, [network], whole, SIDES), 2), ["accuracy"])
        gaps.append(float(gap["difference"].iloc[0]))
    return Known(regions, gaps)


def summary(alarms: pd.DataFrame) -> pd.DataFrame:
    """Return how often each test rejected, with Clopper & Pearson's 95 % interval, and a verdict.

    `alarms` has the columns of Alarm and `set`. The tests of one data set that have one name (an
    emotion each) are counted apart, `sets` counts data sets.
    """
    key = ["null", "test", "about", "expected"]
    found = (
        alarms.astype({"rejected": bool})
        .groupby(key, sort=False)
        .agg(sets=("set", "nunique"), tests=("rejected", "size"), rejected=("rejected", "sum"))
    )
    found = found.reset_index()
    k, n = found["rejected"], found["tests"]
    found["rate"] = k / n
    found["low"] = np.where(k > 0, stats.beta.ppf(0.025, k, n - k + 1), 0.0)
    found["high"] = np.where(k < n, stats.beta.ppf(0.975, k + 1, n - k), 1.0)
    found["verdict"] = np.select(
        [found["low"] > LEVEL, found["high"] < LEVEL], ["above .05", "below .05"], "as nominal"
    )
    return found


def _pairs(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the comparisons of a half with its counterpart."""
    pairs = list(zip(rows["condition_a"], rows["condition_b"], strict=True))
    return rows[[pair in PAIRS for pair in pairs]]


def _sides(null: str, found: pd.DataFrame) -> Iterator[Alarm]:
    for measure, rows in found.groupby("measure", sort=False):
        alone = rows[rows["emotion"] == "all"].iloc[0]
        family = rows[rows["emotion"] != "all"]["p_holm"]
        test = "laterality: as shown"
        yield null, test, f"{measure}, all images", NOMINAL, alone["p"] < LEVEL
        holm = f"{measure}, any of seven emotions (Holm)"
        yield null, test, holm, AT_MOST, bool((family < LEVEL).any())


def _turned(key: str) -> str:
    """Return the condition that hides the same of a picture turned upside down."""
    swap = {"upper": "lower", "lower": "upper"}
    hidden = {
        f"{swap[half]}-{side}" for half, side in (one.split("-") for one in condition(key).hidden)
    }
    return next(one for one in CONDITIONS if condition(one).hidden == hidden)


_MIRROR = np.array([CONDITIONS.index(mirror(condition(one)).name) for one in CONDITIONS])
_TURN = np.array([CONDITIONS.index(_turned(one)) for one in CONDITIONS])
_REGIONS = ["upper-left", "lower"]
_DIFFERENCES = ["upper - lower", "left - right"]
_KEY = ["emotion", "value_function", "quantity", "region"]
