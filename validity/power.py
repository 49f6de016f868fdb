"""Planted information at real sizes: what is recovered, found, missed, and found for nothing.

    python validity/power.py --runs runs/power --out results/answer

draws data sets as large as FER2013's (3,589 test and 3,589 validation images, its mix of emotions)
in which halves tell exactly what is planted, has networks read them, and asks the functions behind
`hemiface information` and `hemiface compare`:

- *effects*: one half alone is 0, 1, 2 or 4 points of accuracy better than the other, each with
  noise of its own; above 0 the lower one, below 0 the upper one;
- *redundant*: both halves show the same, noise included; *synergy*: each alone shows nothing;
- *sides*: the picture's left (above 0) or right (below 0) carries more by 0, 1, 2 or 4 points, read
  by networks that read both alike, and by networks to which the left is clearer by a fixed
  factor, wherever more is to be seen, as if they had learnt so.

A network adds noise of its own to what it reads, more or less by its seed, and is too sure by a
factor; three of them read every data set. Writes power.csv: for each world and quantity the planted
value, the mean estimate, how often its 95 % interval holds the planted value, and how often a
difference is called, on the right and on the wrong side. The planted value is reckoned here from
the definitions, on two hundred times the images, and not by the functions that are tried. What is
planted about sides is a difference of the pictures' content; `as shown` the networks' habit comes
on top, which is what the mirror control is for.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy import optimize, special, stats

import experiment
from hemiface.config import StatisticsOptions
from hemiface.files import hash_json, write_json
from hemiface.provenance import environment
from hemiface.report.figures.style import COLOURS, LINES, MARKERS, STYLE, save, title
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
_LARGE, _MANY = 200, 8
"""How many times the images, and how many networks, tell the planted value."""
_SHOWN = (
    ("as shown", "left - right hidden, as shown"),
    ("face's part", "left - right hidden, face"),
)
_CURVES = (
    ("upper and lower, bits", "effects", (("Shapley values", "shapley, upper - lower"),)),
    ("left and right, read alike", "sides, read alike", _SHOWN),
    ("left and right, the left read better", "sides, the left read better", _SHOWN),
)
"""The panels of `power_curves`: heading, world, and its lines (name, quantity)."""
_FITTED = 50_000
"""Images that tell the temperature then: near the best one, the loss hardly depends on it."""
_TOO_SURE = (1.0, 1.8)
_LEVEL = 0.05
_ROUNDING = 1e-4
"""Bits, or shares of accuracy, that are none: the planted values are hardly known better."""
COLUMNS = (
    "world", "effect_points", "quantity", "planted", "sets", "mean", "sd", "coverage",
    "called_right", "called_wrong", "alarm_low", "alarm_high",
)  # fmt: skip


Views = dict[str, Floats]
"""Log likelihoods [n, 7] of each condition, before any network reads them."""
Find = Callable[[np.random.Generator, Ints], pd.DataFrame]
"""What is found in one data set, by random numbers and labels."""
Truth = Callable[[], dict[str, float]]
"""The planted value of each quantity."""
Draw = Callable[[Ints, np.random.Generator], Views]
DrawBoth = Callable[[Ints, np.random.Generator], tuple[Views, Views]]
"""The same pictures, plain and mirrored."""
Network = tuple[float, float]
"""How much too sure, and how much noise of its own."""


def shares() -> Floats:
    """Return the mix of emotions."""
    return MIX / MIX.sum()


def evidence(labels: Ints, strength: float, random: np.random.Generator) -> Floats:
    """Return log likelihoods [n, 7] of a view with noise of its own."""
    return seen(labels, strength, random.normal(0, 1, (len(labels), len(EMOTIONS))))


def seen(labels: Ints, strength: float, noise: Floats) -> Floats:
    """Return log likelihoods [n, 7] of a view with this noise."""
    return strength * (noise + strength * np.eye(len(EMOTIONS))[labels])


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


def two_sides(left: float, right: float, habit: float) -> DrawBoth:
    """Return the world of sides, plain and mirrored, read with a habit.

    The plain picture's left shows strength `left` and its right `right`; a network with a habit
    reads what lies on its own left better by the factor `habit` and its own right worse. What is
    on a side, noise included, goes with it to the other one when the picture is mirrored.
    """

    def draw(labels: Ints, random: np.random.Generator) -> tuple[Views, Views]:
        sides = [(one, random.normal(0, 1, (len(labels), len(EMOTIONS)))) for one in (left, right)]
        plain, mirrored = (
            [
                seen(labels, strength * skill, noise)
                for (strength, noise), skill in zip(way, (habit, 1 / habit), strict=True)
            ]
            for way in (sides, sides[::-1])
        )
        return tuple(
            {"full": on_left + on_right, "right": on_left, "left": on_right}
            for on_left, on_right in (plain, mirrored)
        )  # type: ignore[return-value]

    return draw


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


def some_networks(random: np.random.Generator) -> list[Network]:
    """Return as many networks as read a data set."""
    return [(random.uniform(*_TOO_SURE), random.uniform(*_READING)) for _ in range(SEEDS)]


def predictions(
    views: Views,
    networks: Sequence[Network],
    random: np.random.Generator,
    labels: Ints,
    *,
    mirrored: bool = False,
) -> Predictions:
    """Return a data set's table, as `evaluate` would have written it, read by some networks."""
    n = len(labels)
    tables = []
    for seed, network in enumerate(networks):
        for key, known in views.items():
            shown = special.softmax(_read(known, network, random), axis=1)
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
        for seed in range(len(networks))
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
    for name, habit in (("sides, read alike", 1.0), ("sides, the left read better", 1.05)):
        for points in EFFECTS:
            both = two_sides(*stronger(points), habit)
            yield name, points, partial(_sides, both), partial(planted_sides, both)


def _halves(draw: Draw, random: np.random.Generator, labels: Ints) -> pd.DataFrame:
    """Return quantity, value, low, high, p of one data set of halves; p NaN without a test."""
    networks, views = some_networks(random), draw(labels, random)
    sample = Sample.of(predictions(views, networks, random, labels), options=_options())
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


def _sides(draw: DrawBoth, random: np.random.Generator, labels: Ints) -> pd.DataFrame:
    """Return what `compare` finds about sides, in shares of accuracy."""
    networks = some_networks(random)
    plain, mirrored = (
        predictions(views, networks, random, labels, mirrored=way)
        for way, views in enumerate(draw(labels, random))
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


def many_networks() -> Iterator[Network]:
    """Yield networks that are spread evenly over both ranges."""
    places = (np.arange(_MANY) + 0.5) / _MANY
    # A stride that shares no factor with their number pairs small and large ones.
    for one, other in zip(places, places[(np.arange(_MANY) * 3) % _MANY], strict=True):
        yield _between(_TOO_SURE, one), _between(_READING, other)


def _between(ends: tuple[float, float], share: float) -> float:
    return ends[0] + share * (ends[1] - ends[0])


def planted_bits(draw: Draw) -> dict[str, float]:
    """Return the truth of a world of halves, from the definitions."""
    random = np.random.default_rng(7)
    labels = random.choice(len(EMOTIONS), _LARGE * IMAGES, p=shares())
    views, found = draw(labels, random), []
    for network in many_networks():
        told = {key: _bits(_read(known, network, random), labels) for key, known in views.items()}
        whole, upper, lower = told["full"], told["lower"], told["upper"]
        above, below, both = upper.mean(), lower.mean(), whole.mean()
        above_by, below_by = (
            [one[labels == emotion].mean() for emotion in range(len(EMOTIONS))]
            for one in (upper, lower)
        )
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


def planted_sides(draw: DrawBoth) -> dict[str, float]:
    """Return the truth of a world of sides, from the definitions, in shares of accuracy."""
    random = np.random.default_rng(7)
    labels = random.choice(len(EMOTIONS), _LARGE * IMAGES, p=shares())

    def right(known: Floats) -> float:
        read = (_read(known, network, random) for network in many_networks())
        return float(np.mean([(one.argmax(axis=1) == labels).mean() for one in read]))

    plain, mirrored = (right(one["left"]) - right(one["right"]) for one in draw(labels, random))
    return {
        "left - right hidden, as shown": plain,
        "left - right hidden, face": (plain - mirrored) / 2,
    }


def _read(known: Floats, network: Network, random: np.random.Generator) -> Floats:
    """Return the logits [n, 7] that a network makes of a view; one that shows nothing stays so."""
    sure, reading = network
    noise = random.normal(0, reading, known.shape) * (np.abs(known).max() > 0)
    return sure * (known + noise) + np.log(shares())


def _bits(logits: Floats, labels: Ints) -> Floats:
    """Return each image's information [n] in bits, at the temperature of the least log loss."""

    def losses(log_temperature: float, some: int) -> Floats:
        tempered = logits[:some] / np.exp(log_temperature)
        lost: Floats = special.logsumexp(tempered, axis=1)
        return lost - tempered[np.arange(len(tempered)), labels[:some]]

    best = optimize.minimize_scalar(
        lambda one: losses(one, _FITTED).mean(), bounds=(-2, 2), method="bounded"
    ).x
    told: Floats = (-np.log(shares())[labels] - losses(best, len(labels))) / np.log(2)
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
        null = points == 0
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
                "coverage": (
                    (some["low"] <= known + _ROUNDING) & (known - _ROUNDING <= some["high"])
                ).mean(),
                "called_right": right / sets if tested else np.nan,
                "called_wrong": wrong / sets if tested else np.nan,
                "alarm_low": ends.low if tested else np.nan,
                "alarm_high": ends.high if tested else np.nan,
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


@matplotlib.rc_context(STYLE)
def power_curves(table: pd.DataFrame) -> Figure:
    """Return how often a difference is called, by how much was planted; `table` has COLUMNS.

    At 0 every call is a false alarm. Bars: 95 % intervals of a share (Clopper & Pearson 1934).
    """
    figure = Figure(figsize=(8.4, 3.3), layout="constrained")
    panels = figure.subplots(1, len(_CURVES), sharey=True)
    for axes, (heading, world, lines) in zip(panels, _CURVES, strict=True):
        for place, (_, quantity) in enumerate(lines):
            rows = table[(table["world"] == world) & (table["quantity"] == quantity)]
            rows = rows.sort_values("effect_points")
            if rows.empty:
                continue
            called = ((rows["called_right"] + rows["called_wrong"]) * rows["sets"]).round()
            ends = np.array(
                [
                    stats.binomtest(int(k), int(n)).proportion_ci(method="exact")
                    for k, n in zip(called, rows["sets"], strict=True)
                ]
            )
            share = (called / rows["sets"]).to_numpy()
            beside = np.abs(ends.T - share)
            axes.errorbar(
                rows["effect_points"],
                100 * share,
                yerr=100 * beside,
                color=COLOURS[1 + place],
                marker=MARKERS[place],
                ls=LINES[place],
                markersize=4,
                elinewidth=0.8,
            )
        axes.axhline(100 * _LEVEL, color="#999999", linewidth=0.7, ls=":")
        axes.set_title(heading, fontsize=9)
        axes.set_xticks(sorted(EFFECTS), [f"{one:g}".replace("-", "−") for one in sorted(EFFECTS)])
        axes.grid(axis="y")
        axes.set_ylim(-2, 103)
    panels[0].set_ylabel("studies that call a difference, %")
    figure.supxlabel(
        "planted difference, points of accuracy (below 0: upper, right better)", fontsize=8.5
    )
    keys = [
        Line2D([], [], color=COLOURS[1 + place], marker=MARKERS[place], ls=LINES[place])
        for place in range(len(_SHOWN))
    ]
    panels[1].legend(keys, [name for name, _ in _SHOWN], loc="upper center", fontsize=7.5)
    title(figure, "What a study of 3,589 images and three networks calls, before Holm's correction")
    return figure


def run(options: argparse.Namespace) -> None:
    """Count what isn't counted yet and write power.csv."""
    tables = []
    code = experiment.code_of(sys.modules[__name__])
    for place, (name, points, find, truth) in enumerate(worlds()):
        # What was counted by other code, or of another world at this place, is another count.
        stem = f"world-{place}-{hash_json([name, points, code])[:12]}"
        known = options.runs / f"{stem}-planted.csv"
        counted = options.runs / f"{stem}-{options.sets}-sets.csv"
        if not known.is_file():
            write_csv(pd.DataFrame([truth()]), known)
        if not counted.is_file():
            write_csv(count(find, options.sets, place), counted)
        planted = {str(key): float(value) for key, value in pd.read_csv(known).iloc[0].items()}
        tables.append(summarise(name, points, planted, pd.read_csv(counted)))
        print(f"{name}, {points:g} points", file=sys.stderr)
    table = pd.concat(tables, ignore_index=True)
    write_csv(table, options.out / "power.csv")
    save(power_curves(table), options.out / "figures", "power")
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
