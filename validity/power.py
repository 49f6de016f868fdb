"""Planted information at real sizes: what is recovered, found, missed, and found for nothing.

    python validity/power.py --runs runs/power --out results/answer

draws data sets as large as FER2013's (3,589 test and 3,589 validation images, its mix of emotions)
in which halves tell exactly what is planted, has networks read them, and asks the functions behind
`hemiface information` and `hemiface compare`:

- *effects*: one half alone is 0, 1, 2 or 4 points of accuracy better than the other, each with
  noise of its own; above 0 the lower one, below 0 the upper one;
- *redundant*: both halves show the same, noise included; *synergy*: each alone shows nothing;
- *sides*: the picture's left (above 0) or right (below 0) carries more by 0, 1, 2 or 4 points, read
  by networks without a habit (as flips in training make them), and by networks that have learnt to
  look where more was to be seen: the habit that the mirror control takes for the network's own.

A network adds noise of its own to what it reads, more or less by its seed, and is too sure by a
factor; three of them read every data set. Writes power.csv: for each world and quantity the planted
value, the mean estimate, how often its 95 % interval holds the planted value, and how often a
difference is called, on the right and on the wrong side. The planted value is reckoned here from
the definitions, on sixteen times the images and by twenty-four networks, and not by the functions
that are tried.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize, special, stats

import experiment
from hemiface.config import StatisticsOptions
from hemiface.files import write_json
from hemiface.provenance import environment
from hemiface.stats.decomposition import decomposition
from hemiface.stats.sample import Sample
from hemiface.stats.shapley import shapley
from hemiface.stats.sides import sides
from hemiface.tables import EMOTIONS, PROBABILITY_COLUMNS, Predictions, write_csv

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MIX = np.array([0.137, 0.015, 0.147, 0.245, 0.165, 0.116, 0.175])
"""FER2013's emotions, PrivateTest, rounded; divided by its sum where it is used."""
IMAGES = 3589
EFFECTS = (0.0, 1.0, 2.0, 4.0, -1.0, -2.0, -4.0)
STRENGTH = 1.6
"""How far the true emotion's evidence lies above the noise, in its deviations: 64 % right alone."""
SEEDS = 3
_READING = (0.2, 0.6)
"""Noise that a network adds to each emotion's evidence, in deviations of the pictures' own."""
_LARGE, _MANY = 16, 24
"""How many times the images, and how many networks, tell the planted value."""
_TOO_SURE = (1.0, 1.8)
_LEVEL = 0.05
COLUMNS = (
    "world", "effect_points", "quantity", "planted", "sets", "mean", "sd", "coverage",
    "called_right", "called_wrong", "alarm_low", "alarm_high",
)  # fmt: skip


Find = Callable[[np.random.Generator, Ints], pd.DataFrame]
"""What is found in one data set, by random numbers and labels."""
Truth = Callable[[], dict[str, float]]
"""The planted value of each quantity."""
Draw = Callable[[Ints, np.random.Generator], dict[str, Floats]]
"""From labels [n] to log likelihoods [n, 7] of each condition, before any network reads them."""


def shares() -> Floats:
    """Return the mix of emotions."""
    return MIX / MIX.sum()


def evidence(labels: Ints, strength: float, random: np.random.Generator) -> Floats:
    """Return log likelihoods [n, 7] of a view with noise of its own."""
    seen = random.normal(0, 1, (len(labels), len(EMOTIONS)))
    seen[np.arange(len(labels)), labels] += strength
    return strength * seen


def two_halves(upper: float, lower: float) -> Draw:
    """Return a world in which each half shows the emotion with a strength of its own."""

    def draw(labels: Ints, random: np.random.Generator) -> dict[str, Floats]:
        above, below = (evidence(labels, one, random) for one in (upper, lower))
        return {"full": above + below, "lower": above, "upper": below}

    return draw


def redundant(labels: Ints, random: np.random.Generator) -> dict[str, Floats]:
    """Both halves show the same."""
    same = evidence(labels, STRENGTH, random)
    return {"full": same, "lower": same, "upper": same}


def synergy(labels: Ints, random: np.random.Generator) -> dict[str, Floats]:
    """Each half alone shows nothing, both together as much as a half elsewhere."""
    nothing = np.zeros((len(labels), len(EMOTIONS)))
    return {"full": evidence(labels, STRENGTH, random), "lower": nothing, "upper": nothing}


def two_sides(left: float, right: float, habit: float) -> Callable[[bool], Draw]:
    """Return the world of sides, plain or mirrored, read with a habit.

    The picture's left shows strength `left` and its right `right`; a network with a habit reads
    what lies on its own left better by the factor `habit` and its own right worse.
    """

    def way(mirrored: bool) -> Draw:
        def draw(labels: Ints, random: np.random.Generator) -> dict[str, Floats]:
            content = (right, left) if mirrored else (left, right)
            own = [one * skill for one, skill in zip(content, (habit, 1 / habit), strict=True)]
            seen_left, seen_right = (evidence(labels, one, random) for one in own)
            return {"full": seen_left + seen_right, "right": seen_left, "left": seen_right}

        return draw

    return way


@lru_cache(maxsize=64)
def accuracy(strength: float, size: int = 400_000) -> float:
    """Return the accuracy that a view of this strength allows, by simulation."""
    random = np.random.default_rng(11)
    labels = random.choice(len(EMOTIONS), size, p=shares())
    posterior = evidence(labels, strength, random) + np.log(shares())
    return float((posterior.argmax(axis=1) == labels).mean())


def better_by(points: float, strength: float = STRENGTH) -> float:
    """Return the strength of a view that is so many points more accurate, by halving."""
    low, high = strength, 4 * strength
    for _ in range(30):
        middle = (low + high) / 2
        more = accuracy(round(middle, 6)) - accuracy(strength)
        low, high = (middle, high) if 100 * more < points else (low, middle)
    return (low + high) / 2 if points else strength


def stronger(points: float) -> tuple[float, float]:
    """Return the strengths of two views: the first better by so many points, below 0 the second."""
    more = better_by(abs(points))
    return (more, STRENGTH) if points >= 0 else (STRENGTH, more)


def predictions(
    draw: Draw,
    random: np.random.Generator,
    labels: Ints,
    *,
    seeds: int = SEEDS,
    mirrored: bool = False,
) -> Predictions:
    """Return a data set's table, as `evaluate` would have written it, read by some networks."""
    n = len(labels)
    views = draw(labels, random)
    tables = []
    for seed in range(seeds):
        sure, reading = random.uniform(*_TOO_SURE), random.uniform(*_READING)
        for key, known in views.items():
            shown = special.softmax(_read(known, sure, reading, random), axis=1)
            tables.append(
                pd.DataFrame(shown, columns=list(PROBABILITY_COLUMNS)).assign(
                    condition=key, model=f"any-seed{seed}"
                )
            )
    names = [f"{one:06}" for one in range(n)]
    table = pd.concat(tables, ignore_index=True).assign(
        image=np.tile(np.asarray(names, object), len(tables)),
        dataset="planted",
        split=np.tile(np.where(np.arange(n) < n // 2, "validation", "test"), len(tables)),
        label=np.tile(np.asarray(EMOTIONS, object)[labels], len(tables)),
        group=np.tile(np.asarray(names, object), len(tables)),
        leaked=False,
    )
    described = [
        {"model": f"any-seed{seed}", "name": "any", "seed": seed, "flips": False,
         "conditions": list(views)}
        for seed in range(seeds)
    ]  # fmt: skip
    return Predictions(table, {"models": described, "mirrored": mirrored})


def worlds() -> Iterator[tuple[str, float, Find, Truth]]:
    """Yield each world's name, effect in points, what is found in one data set, and the truth."""
    of_halves: list[tuple[str, float, Draw]] = []
    for points in EFFECTS:
        lower, upper = stronger(points)
        of_halves.append(("effects", points, two_halves(upper, lower)))
    of_halves += [("redundant", 0.0, redundant), ("synergy", 0.0, synergy)]
    for name, points, draw in of_halves:
        yield name, points, partial(_halves, draw), partial(planted_bits, draw)
    for points in EFFECTS:
        for name, habit in (("sides, no habit", 1.0), ("sides, learnt habit", 1.05)):
            if habit == 1.0 or points > 0:
                world = two_sides(*stronger(points), habit)
                yield name, points, partial(_sides, world), partial(planted_sides, world)


def _halves(draw: Draw, random: np.random.Generator, labels: Ints) -> pd.DataFrame:
    """Return quantity, value, low, high, p of one data set of halves; p NaN without a test."""
    sample = Sample.of(predictions(draw, random, labels), options=_options())
    shared, parts = _over_all(shapley(sample)), _over_all(decomposition(sample))
    shared = shared[shared["region"].isin(["upper - lower", "lower / upper", "whole"])]
    parts = parts[parts["definition"] == "specific"]
    found = pd.concat(
        [
            shared.assign(quantity="shapley, " + shared["region"]),
            parts.assign(quantity=parts["part"], p=np.nan),
        ]
    )
    return found.rename(columns={"bits": "value"})[["quantity", "value", "low", "high", "p"]]


def _sides(
    world: Callable[[bool], Draw], random: np.random.Generator, labels: Ints
) -> pd.DataFrame:
    """Return what `compare` finds about sides, in shares of accuracy."""
    # The same pictures and networks, plain and mirrored: the same noise in them.
    state = random.integers(2**32)
    plain, mirrored = (
        predictions(world(way), np.random.default_rng(state), labels, mirrored=way)
        for way in (False, True)
    )
    found = sides(Sample.of(plain, options=_options()), mirrored)
    found = found[(found["emotion"] == "all") & (found["measure"] == "accuracy")]
    found = found[(found["seed"] == "mean") & found["part"].isin(["as shown", "face"])]
    found = found.assign(quantity="left - right hidden, " + found["part"])
    return found.rename(columns={"difference": "value"})[["quantity", "value", "low", "high", "p"]]


def _over_all(table: pd.DataFrame) -> pd.DataFrame:
    return table[(table["emotion"] == "all") & (table["mix"] == "data") & (table["seed"] == "mean")]


def _options() -> StatisticsOptions:
    return StatisticsOptions(draws=200)


def many_readings() -> Iterator[tuple[float, float]]:
    """Yield (how much too sure, noise of its own) of networks spread evenly over both ranges."""
    places = (np.arange(_MANY) + 0.5) / _MANY
    # A stride that shares no factor with their number pairs small and large ones.
    for one, other in zip(places, places[(np.arange(_MANY) * 7) % _MANY], strict=True):
        yield _between(_TOO_SURE, one), _between(_READING, other)


def _between(ends: tuple[float, float], share: float) -> float:
    return ends[0] + share * (ends[1] - ends[0])


def planted_bits(draw: Draw) -> dict[str, float]:
    """Return the truth of a world of halves, from the definitions."""
    random = np.random.default_rng(7)
    labels = random.choice(len(EMOTIONS), _LARGE * IMAGES, p=shares())
    views, found = draw(labels, random), []
    for sure, reading in many_readings():
        told = {
            key: _bits(_read(known, sure, reading, random), labels) for key, known in views.items()
        }
        whole, upper, lower = told["full"], told["lower"], told["upper"]
        each = [(one.mean(), [one[labels == e].mean() for e in range(len(EMOTIONS))])
                for one in (upper, lower, whole)]  # fmt: skip
        (above, above_by), (below, below_by), (both, _) = each
        # What both halves tell of an emotion is the less of the two; in all, by its share.
        shared = float(np.minimum(above_by, below_by) @ shares())
        halves = (above + both - below) / 2, (below + both - above) / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.log(halves[1]) - np.log(halves[0])
        found.append(
            {
                "shapley, whole": both,
                "shapley, upper - lower": halves[0] - halves[1],
                "shapley, lower / upper": ratio,
                "unique upper": above - shared,
                "unique lower": below - shared,
                "redundant": shared,
                "synergistic": both - above - below + shared,
            }
        )
    means = pd.DataFrame(found).mean().to_dict()
    means["shapley, lower / upper"] = float(np.exp(means["shapley, lower / upper"]))
    return {str(name): float(value) for name, value in means.items()}


def planted_sides(world: Callable[[bool], Draw]) -> dict[str, float]:
    """Return the truth of a world of sides, from the definitions, in shares of accuracy."""
    shown = []
    for way in (False, True):
        random = np.random.default_rng(7)
        labels = random.choice(len(EMOTIONS), _LARGE * IMAGES, p=shares())
        views = world(way)(labels, random)
        right = {
            key: np.mean(
                [
                    (_read(views[key], *one, random).argmax(axis=1) == labels).mean()
                    for one in many_readings()
                ]
            )
            for key in ("left", "right")
        }
        shown.append(float(right["left"] - right["right"]))
    plain, mirrored = shown
    return {
        "left - right hidden, as shown": plain,
        "left - right hidden, face": (plain - mirrored) / 2,
    }


def _read(known: Floats, sure: float, reading: float, random: np.random.Generator) -> Floats:
    """Return the logits [n, 7] that a network makes of a view; one that shows nothing stays so."""
    noise = random.normal(0, reading, known.shape) * (np.abs(known).max() > 0)
    return sure * (known + noise) + np.log(shares())


def _bits(logits: Floats, labels: Ints) -> Floats:
    """Return each image's information [n] in bits, at the temperature of the least log loss."""
    at = np.arange(len(labels)), labels

    def losses(log_temperature: float) -> Floats:
        tempered = logits / np.exp(log_temperature)
        lost: Floats = special.logsumexp(tempered, axis=1) - tempered[at]
        return lost

    best = optimize.minimize_scalar(
        lambda one: losses(one).mean(), bounds=(-2, 2), method="bounded", options={"xatol": 1e-4}
    ).x
    told: Floats = (-np.log(shares())[labels] - losses(best)) / np.log(2)
    return told


def count(find: Find, sets: int, place: int) -> pd.DataFrame:
    """Return quantity, value, low, high, p of so many data sets."""
    found = []
    for number in range(sets):
        random = np.random.default_rng([place, number])
        labels = random.choice(len(EMOTIONS), 2 * IMAGES, p=shares())
        found.append(find(random, labels).assign(set=number))
    return pd.concat(found, ignore_index=True)


def summarise(
    name: str, points: float, truth: dict[str, float], found: pd.DataFrame
) -> pd.DataFrame:
    """Return rows of COLUMNS for one world."""
    rows = []
    for quantity, some in found.groupby("quantity", sort=False):
        known, sets = truth[str(quantity)], len(some)
        called = some["p"] < _LEVEL
        # Where nothing is planted every call is wrong.
        null = points == 0 and "redundant" not in name
        same = np.sign(some["value"]) == np.sign(known)
        right = int((called & same & (not null)).sum())
        wrong = int(called.sum()) - right
        tested = bool(some["p"].notna().any())
        ends = stats.binomtest(wrong, sets).proportion_ci(method="exact")
        rows.append(
            {
                "world": name,
                "effect_points": points,
                "quantity": quantity,
                "planted": known,
                "sets": sets,
                "mean": some["value"].mean(),
                "sd": some["value"].std(),
                "coverage": ((some["low"] <= known) & (known <= some["high"])).mean(),
                "called_right": right / sets if tested else np.nan,
                "called_wrong": wrong / sets if tested else np.nan,
                "alarm_low": ends.low if tested else np.nan,
                "alarm_high": ends.high if tested else np.nan,
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def run(options: argparse.Namespace) -> None:
    """Count what isn't counted yet and write power.csv."""
    tables = []
    for place, (name, points, find, truth) in enumerate(worlds()):
        kept = options.runs / f"power-{place}-{options.sets}.csv"
        if not kept.is_file():
            found = summarise(name, points, truth(), count(find, options.sets, place))
            write_csv(found, kept)
        tables.append(pd.read_csv(kept))
        print(f"{name}, {points:g} points", file=sys.stderr)
    write_csv(pd.concat(tables, ignore_index=True), options.out / "power.csv")
    write_json(options.out / "power.environment.json", environment())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = experiment.parser(__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True, help="folder of what is kept")
    parser.add_argument("--sets", type=int, default=200, help="data sets of each world")
    return experiment.exit_code(partial(run, parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
