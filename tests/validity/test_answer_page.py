"""The page of results/answer has the numbers of its tables."""

from pathlib import Path

import pandas as pd
import pytest

FOLDER = Path(__file__).parents[2] / "results" / "answer"
NETWORKS = ("people-small-int8", "small")


@pytest.fixture(scope="module")
def page():
    return (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def people():
    table = pd.read_csv(FOLDER / "people.csv")
    table = table[(table["seed"] == "mean") & (table["emotion"] == "all")]
    return table.set_index(["model", "measure"])


def number(value):
    return f"{value:.2f}".replace("0.", ".", 1)


def with_ends(row, column="value"):
    return f"{number(row[column])} [{number(row['low'])}, {number(row['high'])}]"


@pytest.mark.parametrize(
    ("measure", "baselines"),
    [
        ("correlation", ("centre", "contrast")),
        ("within_distance", ()),
        ("best_correlation", ("centre", "contrast")),
        ("own_minus_others", ()),
        ("best_own_minus_others", ()),
    ],
)
def test_likeness(page, people, measure, baselines):
    rows = [with_ends(people.loc[(one, f"{measure}_trials")]) for one in NETWORKS]
    rows += [number(people.loc[(one, f"{measure}_trials"), "value"]) for one in baselines]
    assert f"| {' | '.join(rows)} |" in page


@pytest.mark.parametrize("measure", ["best_torus_p", "permutation_p", "best_permutation_p"])
def test_chance(page, people, measure):
    shares = [people.loc[(one, f"{measure}_trials"), "value"] for one in NETWORKS]
    assert f"| {' | '.join(f'{share:.0%}'.replace('%', ' %') for share in shares)} |" in page


def test_the_placement_in_their_own_proportions(page):
    table = pd.read_csv(FOLDER / "placements.csv").set_index("model")
    here = (table["height"] == 1) & (table["width"] == 0.75) & (table["down"] == 0)
    rows = table[here & (table["people"] == "trials") & (table["seed"] == "mean")]
    network = rows.loc["people-small-int8"]
    assert (
        f"the correlation is {number(network['correlation'])}, the middle's "
        f"{number(rows.loc['centre', 'correlation'])}, and {number(network['partial'])} is left"
    ) in page


@pytest.mark.parametrize("mix", ["data", "balanced"])
def test_bits_of_halves(page, mix):
    table = pd.read_csv(FOLDER / "people-small-int8" / "shapley.csv")
    rows = table[(table["players"] == "halves") & (table["emotion"] == "all")]
    rows = rows[rows["mix"] == mix].set_index("region")
    for region in ("upper", "lower"):
        row = rows.loc[region]
        assert with_ends(row, "bits") in page
    ratio = rows.loc["lower / upper"]
    assert with_ends(ratio, "bits") in page


@pytest.mark.parametrize("part", ["redundant", "unique lower", "unique upper", "synergistic"])
def test_parts(page, part):
    table = pd.read_csv(FOLDER / "people-small-int8" / "decomposition.csv")
    chosen = (
        (table["emotion"] == "all") & (table["mix"] == "data") & (table["part"] == part)
        & (table["definition"] == "specific") & (table["pair"] == "upper, lower")
    )  # fmt: skip
    (row,) = table[chosen].to_dict("records")
    assert with_ends(row, "bits") in page


def test_directions():
    # Decided of both are happy, neutral (lower) and sad (upper); people alone have the others.
    people = pd.read_csv(FOLDER / "people-small-int8" / "people_halves.csv").set_index("emotion")
    upper = {one for one in people.index if people.loc[one, "low"] > 0}
    assert (people["p_holm"] < 0.05).all()
    assert upper == {"angry", "fear", "sad"}
    table = pd.read_csv(FOLDER / "people-small-int8" / "shapley.csv")
    rows = table[(table["region"] == "upper - lower") & (table["mix"] == "data")]
    rows = rows[rows["players"] == "halves"].set_index("emotion")
    decided = rows[(rows["p_holm"] < 0.05)]["bits"]
    assert {one: value > 0 for one, value in decided.items()} == {
        "happy": False, "sad": True, "neutral": False, "all": False,
    }  # fmt: skip


@pytest.fixture(scope="module")
def specified():
    return pd.read_csv(FOLDER / "specification.csv")


@pytest.fixture(scope="module")
def medians():
    table = pd.read_csv(FOLDER / "held.csv", keep_default_na=False)
    table = table[table["quantity"] == "lower / upper"]
    return table.set_index(["choice", "option"])["median"].astype(float).map("{:.2f}".format)


def test_the_ratio_under_every_choice(page, specified, medians):
    rows = specified[specified["quantity"] == "lower / upper"]
    assert (rows["low"] > 1).all()
    assert f"in all {len(rows)} specifications" in page
    ends = f"{rows['value'].min():.2f} to {rows['value'].max():.2f}"
    assert f"by {ends} times, in the middle {medians['all', '']}" in page
    falling = rows[["whole", "value"]].corr("spearman").iloc[0, 1]
    assert f"(rank correlation {number(falling)})" in page
    whole = rows[rows["architecture"].str.contains("whole training")]["value"]
    assert f"these two say {whole.min():.2f} to {whole.max():.2f}" in page


def test_what_moves_the_ratio(page):
    table = pd.read_csv(FOLDER / "moved.csv")
    table = table[table["quantity"] == "lower / upper"].set_index(["option", "other"])
    times = table["median"].map("{:.2f}".format)
    flat = " ".join(page.split())
    shorter = times["tiny, 4 epochs", "tiny"]
    assert f"The same network has {shorter} times the ratio after 4 epochs" in flat
    wholes = [times["tiny", f"{one}, whole training"] for one in ("small", "people-small-int8")]
    assert f"`tiny` has {wholes[0]} times that of `small` and {wholes[1]} times that of" in flat
    assert f"in the data bring {times['data', 'balanced']} times the ratio" in flat
    left_out, blurred = times["without", "with"], times["black", "blur"]
    assert f"out {left_out}, black instead of blurred halves {blurred}." in flat
    assert f"and noise ({times['black', 'mean']} and {times['black', 'noise']})" in flat
    assert f"beside votes {times['FER2013', 'FER+ votes']})" in flat
    assert f"own halves ({times['face', 'picture']})" in flat
    assert f"the other architecture ({times['test_byobnet', 'tiny']})" in flat
    docs = (FOLDER.parents[1] / "docs" / "information.md").read_text(encoding="utf-8")
    assert f"had {shorter} times the ratio after 4 epochs" in docs


def test_left_and_right_under_every_choice(page, specified):
    rows = specified[specified["quantity"] == "left - right"]
    sides = (rows["low"] > 0).sum(), (rows["high"] < 0).sum()
    assert sides == (1, 2)
    assert f"{len(rows) - 3} of {len(rows)} specifications are undecided" in page


def test_left_and_right_with_flips_and_without(page):
    table = pd.read_csv(FOLDER / "sides.csv")
    table = table[(table["emotion"] == "all") & (table["measure"] == "accuracy")]
    table = table[(table["architecture"] == "tiny") & (table["labels"] == "FER2013")]
    table = table[(table["halves"] == "picture") & (table["fill"] == "black")]
    rows = table[table["seed"] == "mean"].set_index(["flips", "part"])

    def toward_left(flips, part):
        row = -100 * rows.loc[(flips, part), ["difference", "high", "low"]].astype(float)
        value, low, high = (f"{one:.1f}".replace("0.", ".", 1) for one in row)
        return f"{value} [{low}, {high}]"

    flat = " ".join(page.split())
    assert f"1.2 points better {toward_left('off', 'as shown').split(' ', 1)[1]}" in flat
    assert f"the face's part is {toward_left('off', 'face')}" in flat
    assert f"the networks' habit {toward_left('off', 'network')}" in flat
    assert f"With flips the face's part is {toward_left('on', 'face')}" in flat
    face = rows.xs("face", level="part")
    assert (face["verdict"] == "alike").all()
    worths = [f"{100 * face.loc[flips, 'half_worth']:.1f}" for flips in ("off", "on")]
    assert f"({' and '.join(worths)} points)" in flat
