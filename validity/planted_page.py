"""The README of results/planted, written from the tables of planted.py: no number is typed in."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

_TITLE = "# Does hemiface find what was planted, and nothing where nothing was?"

_INTRODUCTION = """
    python validity/planted.py --sets {sets} --out results/planted

renders faces whose right answers are known, trains {networks} generalists on them
(`config.toml`: {architecture}, {train_faces} faces, all sixteen coalitions of quadrants, no flips),
predicts {test_faces} other faces and hands the tables to the functions behind `hemiface importance`
and `hemiface compare`. Trainings took {training_s:.0f} s in all; versions and hardware are in
`environment.json`. This page is written by the command, from the tables beside it.

Planted: in `lower`, the upper half of a happy face is that of a neutral one, pixel for pixel; in
`left`, every emotion is half as strong on the image's right side; in `nothing`, sides are alike.
Faces are straight and upright, so that what is planted in a half stays in that half of the picture.
"""

_ORDERS = """
## What was planted is found

A region is said to carry more if its 95 % interval leaves out 0 (importance; intervals of `mean`
hold images and networks) or by the verdict of `sides` with its mirror control (`face`). Of the
means over networks {found} of {all} statements are as planted; asked of each of these networks
alone, which is no other sample, {found_alone} of {alone}. {wrong} statements name a region that
isn't the planted one (or one where neither is), the others are undecided.

Accuracy on test faces, %:

{networks_table}

{orders_table}

"Happy or neutral?", if these are the only choices and one half is visible, % (50 is chance). In
`lower` the upper half can't tell them apart, whatever the network.

{told_table}
"""

_HABITS = """
## A learnt habit is told from the faces

Networks of `left` learnt from faces that show more on the left. Shown faces whose sides are alike
(those of `nothing`), they still read the left: a habit, and no truth about these faces. Networks of
`nothing` on faces of `left` have no habit, and the faces have a side. Accuracy or mean probability
with the left hidden less that with the right hidden, means over networks; below 0 the left carries
more:

{habits_table}

*As shown* can't tell the two apart. *Face* is what the mirror control leaves to the faces,
*network* what it calls habit: {habits_found} of {habits_all} statements of these two are as planted
for the means over networks, {habits_found_alone} of {habits_alone} for networks alone. Of the
others {habits_wrong_network} name a habit where none was learnt, which may be the chance of one
training, and {habits_wrong_face} a side of faces whose sides are alike.
"""

_ALARMS = """
## Nothing is found where there is nothing

{sets} data sets of {faces} faces for each null hypothesis, drawn with replacement from a population
in which it holds exactly (how: `validity/false_alarms.py`):

- *either way round*: each face as it is or mirrored, and upright or upside down, by the toss of
  coins; the network is the mean of itself and its mirror image.
- *copies*: the same, each face three times in one group.
- *networks*: three networks of {alike} and their mirror images, as they were trained.
- *known*: faces of `left`, drawn as they are; how often intervals miss the population's value, and
  how often TOST claims equivalence where the difference is exactly its margin. Who sees nothing is
  worth how frequent emotions are in the population, as validation images say it; *own shares*:
  among the drawn faces, as where there are no such images. Intervals take these shares as known.

Nominal is 5 %. The interval of a rate is Clopper & Pearson's (95 %), so one row in twenty is off by
chance. "At most" marks tests that may reject more rarely (exact tests, Holm, TOST), "too
often" what an analysis would do that ignored groups, took one network for all of them or took the
scored faces' own shares: it is there to show that the others pass for a reason. {rows} rows are
expected at or below nominal, and {at_most} are; {above} of them lie above it with their whole
interval{which}.

{alarms_table}

All rows, with halves, necessity and sufficiency, are in `false_alarms.csv`.

| file | holds |
|---|---|
| `orders.csv`, `told_apart.csv` | what is found of each truth, for every network and the mean |
| `habits.csv` | what is found of networks that learnt from other faces than they are shown |
| `false_alarms.csv` | every test under every null |
| `networks.csv` | accuracy and training time of every network |
| `planted.json` | all of these and the options |
| `config.toml`, `environment.json` | resolved config; versions and hardware |
"""


def page(found: Mapping[str, pd.DataFrame], options: Mapping[str, Any], architecture: str) -> str:
    """Return the README as Markdown; `found` holds the tables that planted.py writes."""
    networks, orders, alarms = found["networks"], found["orders"], found["false_alarms"]
    bound = alarms[alarms["expected"] != "too often"]
    above = bound[bound["verdict"] == "above .05"]
    names = [f"{one.null}, {one.test} ({one.about})" for one in above.itertuples()]
    is_mean = orders["seed"] == "mean"
    means, singles = orders[is_mean], orders[~is_mean]
    habits = found["habits"]
    parted = habits[habits["part"] != "as shown"]
    by_mean = (parted["says"] == parted["planted"]).groupby(parted["seed"] == "mean")
    is_wrong = (parted["says"] != parted["planted"]) & (parted["seed"] != "mean")
    wrong = parted.loc[is_wrong, "part"].value_counts()
    values = {
        **options,
        "architecture": architecture,
        "networks": len(networks),
        "alike": int((networks["truth"] == "nothing").sum()),
        "training_s": networks["training_s"].sum(),
        "found": int(means["found"].sum()),
        "all": len(means),
        "found_alone": int(singles["found"].sum()),
        "alone": len(singles),
        "wrong": int(((orders["says"] != "") & ~orders["found"]).sum()),
        "networks_table": _networks(networks),
        "orders_table": _orders(orders),
        "told_table": _told(found["told_apart"]),
        "habits_table": _habits(found["habits"]),
        "habits_found": int(by_mean.sum()[True]),
        "habits_all": int(by_mean.size()[True]),
        "habits_found_alone": int(by_mean.sum()[False]),
        "habits_alone": int(by_mean.size()[False]),
        **{f"habits_wrong_{part}": int(wrong.get(part, 0)) for part in ("network", "face")},
        "rows": len(bound),
        "at_most": int((bound["rate"] <= 0.05).sum()),
        "above": len(above),
        "which": f": {'; '.join(names)}" if names else "",
        "alarms_table": _alarms(alarms),
    }
    parts = (_INTRODUCTION, _ORDERS, _HABITS, _ALARMS)
    return _TITLE + "\n" + "".join(part.format(**values) for part in parts)


def _networks(networks: pd.DataFrame) -> str:
    hidden = ["full", "upper", "lower", "left", "right"]
    rows = (
        (one["truth"], one["seed"], *(f"{100 * one[key]:.1f}" for key in hidden))
        for _, one in networks.iterrows()
    )
    return _markdown(["truth", "seed", "full", *(f"{key} hidden" for key in hidden[1:])], rows)


def _orders(orders: pd.DataFrame) -> str:
    """Return the means over networks and how many of the single networks say the same."""
    rows = []
    key = ["truth", "method", "emotion", "measure", "contrast"]
    for names, group in orders.groupby(key, sort=False):
        singles, mean = group[group["seed"] != "mean"], group[group["seed"] == "mean"].iloc[0]
        agreeing = f"{int(singles['found'].sum())} of {len(singles)}"
        planted = mean["planted"] or "neither"
        said = mean["says"] or "neither"
        rows.append((*names, _interval(mean, 3), planted, said, agreeing))
    names = ["truth", "by", "emotion", "measure", "contrast", "mean over networks"]
    return _markdown([*names, "planted", "said", "networks alone"], rows)


def _habits(habits: pd.DataFrame) -> str:
    """Return the means over networks."""
    rows = (
        (
            f"`{one['learnt']}`", f"`{one['shown']}`", one["part"], one["measure"],
            _interval(one.rename({"difference": "value"}), 3),
            one["planted"] or "neither", one["says"] or "neither",
        )
        for _, one in habits[habits["seed"] == "mean"].iterrows()
    )  # fmt: skip
    return _markdown(
        ["networks of", "faces of", "part", "measure", "difference", "planted", "said"], rows
    )


def _told(told: pd.DataFrame) -> str:
    rows = []
    for truth, group in told[told["seed"] == "mean"].groupby("truth", sort=False):
        cells = group.set_index("condition")
        shown = [_interval(cells.loc[one], 1, 100) for one in ("lower", "upper")]
        rows.append((truth, *shown))
    return _markdown(["truth", "only the upper half visible", "only the lower half visible"], rows)


def _alarms(alarms: pd.DataFrame) -> str:
    """Return the rows to look at first: of importance the Shapley values only."""
    other = alarms["test"].str.startswith("importance: ")
    shown = alarms[~other | alarms["test"].str.contains("shapley")]
    rows = (
        (
            one.null, one.test, one.about, f"{one.rejected:,} of {one.tests:,}",
            f"{100 * one.rate:.1f} [{100 * one.low:.1f}, {100 * one.high:.1f}]",
            one.expected, one.verdict,
        )
        for one in shown.itertuples()
    )  # fmt: skip
    return _markdown(["null", "test", "about", "rejected", "rate, %", "expected", "is"], rows)


def _interval(row: pd.Series, digits: int, factor: float = 1) -> str:
    value, low, high = (f"{factor * row[one]:.{digits}f}" for one in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _markdown(names: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    titles = list(names)
    lines = [titles, ["---"] * len(titles), *([str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
