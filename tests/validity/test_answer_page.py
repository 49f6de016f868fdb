"""The pages of results/answer have the numbers of their tables."""

import re
from pathlib import Path

import pandas as pd
import pytest

import answer
from hemiface.stats.information import FIVE
from hemiface.tables import EMOTIONS

FOLDER = Path(__file__).parents[2] / "results" / "answer"
NETWORKS = ("people-small-int8", "small")


def flat(name):
    return " ".join((FOLDER / f"{name}.md").read_text(encoding="utf-8").split())


@pytest.fixture(scope="module")
def first():
    """The first page, which is read alone."""
    return flat("README")


@pytest.fixture(scope="module")
def beside():
    return flat("people")


@pytest.fixture(scope="module")
def choices():
    return flat("choices")


@pytest.fixture(scope="module")
def people():
    table = pd.read_csv(FOLDER / "people.csv")
    table = table[(table["seed"] == "mean") & (table["emotion"] == "all")]
    return table.set_index(["model", "measure"])


def number(value, digits=2):
    told = f"{value:.{digits}f}"
    return re.sub(r"^(-?)0\.", r"\1.", told.removeprefix("-") if float(told) == 0 else told)


def with_ends(row, column="value"):
    return f"{number(row[column])} [{number(row['low'])}, {number(row['high'])}]"


@pytest.mark.parametrize(
    ("measure", "baselines"),
    [
        ("correlation", ("centre", "contrast", "mean face")),
        ("within_distance", ()),
        ("partial", ()),
        ("partial_all", ()),
        ("best_correlation", ("centre", "contrast", "mean face")),
        ("own_minus_others", ()),
        ("best_own_minus_others", ()),
    ],
)
def test_likeness(beside, people, measure, baselines):
    rows = [with_ends(people.loc[(one, f"{measure}_trials")]) for one in NETWORKS]
    rows += [number(people.loc[(one, f"{measure}_trials"), "value"]) for one in baselines]
    assert f"| {' | '.join(rows)} |" in beside


def test_likeness_to_published_maps_and_its_ceiling(beside, people):
    key = "correlation_published"
    rows = [with_ends(people.loc[(one, key)]) for one in NETWORKS]
    rows += [number(people.loc[(one, key), "value"]) for one in ("centre", "contrast", "mean face")]
    assert f"| {' | '.join(rows)} |" in beside
    known = (number(people.loc[("people", one), "value"]) for one in ("reliability", "ceiling"))
    agreement, ceiling = known
    assert f"(reliability {agreement}) that a map without noise would reach {ceiling}" in beside


@pytest.mark.parametrize("measure", ["best_torus_p", "permutation_p", "best_permutation_p"])
def test_chance(beside, people, measure):
    shares = [people.loc[(one, f"{measure}_trials"), "value"] for one in NETWORKS]
    assert f"| {' | '.join(f'{share:.0%}'.replace('%', ' %') for share in shares)} |" in beside


def test_the_placement_in_their_own_proportions(beside):
    table = pd.read_csv(FOLDER / "placements.csv").set_index("model")
    here = (table["height"] == 1) & (table["width"] == 0.75) & (table["down"] == 0)
    rows = table[here & (table["people"] == "trials") & (table["seed"] == "mean")]
    network = rows.loc["people-small-int8"]
    assert (
        f"the correlation is {number(network['correlation'])}, the middle's "
        f"{number(rows.loc['centre', 'correlation'])}, and {number(network['partial'])} is left"
    ) in beside


@pytest.mark.parametrize("mix", ["data", "balanced"])
def test_bits_of_halves(beside, mix):
    table = pd.read_csv(FOLDER / "people-small-int8" / "shapley.csv")
    rows = table[(table["players"] == "halves") & (table["emotion"] == "all")]
    rows = rows[rows["mix"] == mix].set_index("region")
    for region in ("upper", "lower"):
        row = rows.loc[region]
        assert with_ends(row, "bits") in beside
    ratio = rows.loc["lower / upper"]
    assert with_ends(ratio, "bits") in beside


def test_what_is_left_without_happy_and_neutral(beside):
    table = pd.read_csv(FOLDER / "people-small-int8" / "shapley.csv")
    rows = table[(table["mix"] == FIVE) & (table["emotion"] == "all")].set_index("region")
    said = with_ends(rows.loc["lower / upper"], "bits")
    assert f"Without happy and neutral it is {said}, which is no difference found." in beside
    assert rows.loc["upper - lower", "p_holm"] > 0.05


@pytest.mark.parametrize("part", ["redundant", "unique lower", "unique upper", "synergistic"])
def test_parts(beside, part):
    table = pd.read_csv(FOLDER / "people-small-int8" / "decomposition.csv")
    chosen = (
        (table["emotion"] == "all") & (table["mix"] == "data") & (table["part"] == part)
        & (table["definition"] == "specific") & (table["pair"] == "upper, lower")
    )  # fmt: skip
    (row,) = table[chosen].to_dict("records")
    assert with_ends(row, "bits") in beside


def test_recall_beside_sensitivity_and_bias(first, beside):
    table = pd.read_csv(FOLDER / "people-small-int8" / "sensitivity.csv")
    table = table.set_index(["condition", "emotion", "measure"])

    def told(key, name="change", factor=1, digits=2):
        ends = factor * table.loc[key, [name, f"{name}_low", f"{name}_high"]].astype(float)
        value, low, high = (number(one, digits) for one in ends)
        return f"{value} [{low}, {high}]"

    for emotion in ("sad", "fear", "surprise", "angry", "neutral"):
        for hidden in ("upper", "lower"):
            key = (hidden, emotion)
            cells = [told((*key, "recall"), name, 100, 1) for name in ("change", "by_answers")]
            cells += [told((*key, "d_prime")), told((*key, "auc"), digits=3)]
            assert f"| {hidden} | {emotion} | {' | '.join(cells)} |" in beside
    rows = [table.loc[(one, "sad", "recall")] for one in ("upper", "lower")]
    left = {f"{100 * (row['by_answers'] - row['change']):.1f}" for row in rows}
    assert f"what is left is {left.pop()} points without either" in beside
    assert not left
    answers = -100 * rows[0]["by_answers"]
    assert f"{answers:.0f} of the {-100 * rows[0]['change']:.0f} because it answers" in first
    lost = [-100 * table.loc[(one, "sad", "recall"), "change"] for one in ("upper", "lower")]
    assert (
        f"finds {lost[0]:.0f} points less without the upper half and {lost[1]:.0f} without" in first
    )
    same = {number(table.loc[(one, "sad", "d_prime"), "change"]) for one in ("upper", "lower")}
    assert f"either half costs the same ({same.pop()})" in first
    assert not same
    others = ("auc", "unbiased_hit_rate")
    both = [
        [table.loc[(one, "sad", name), "change"] for one in ("upper", "lower")] for name in others
    ]
    assert all(upper < lower for upper, lower in both)


def test_surprise_needs_the_lower_half_but_by_recall(first, beside):
    key = ["architecture", "labels", "condition", "measure"]
    table = pd.read_csv(FOLDER / "sensitivity.csv", dtype={"seed": str})
    chosen = (table["emotion"] == "surprise") & (table["fill"] == "black")
    chosen &= (table["halves"] == "picture") & table["condition"].isin(["upper", "lower"])
    several = table.groupby(["architecture", "labels", "fill", "halves"])["seed"].transform(
        lambda seeds: "mean" in set(seeds)
    )
    chosen &= (table["seed"] == "mean") | ~several
    rows = table[chosen].set_index(key).sort_index()
    told = rows["change"].unstack("condition").unstack("measure")
    for measure in ("auc", "d_prime", "unbiased_hit_rate"):
        assert (told["lower"][measure] < told["upper"][measure]).all()
    lost = -100 * told.xs("FER2013", level="labels")
    names = ("test_byobnet", "compact")
    more = [f"{lost.loc[one, ('upper', 'recall')]:.0f}" for one in names]
    less = [f"{lost.loc[one, ('lower', 'recall')]:.0f}" for one in names]
    assert (
        f"find {' and '.join(more)} points less of it without the upper half, and "
        f"{' and '.join(less)} without the lower"
    ) in first
    assert lost.loc["tiny", ("upper", "recall")] < lost.loc["tiny", ("lower", "recall")]
    there = rows.loc[("test_byobnet", "FER2013")]
    answers = (
        100 * there.loc[("lower", "recall"), ["by_answers", "by_answers_low", "by_answers_high"]]
    )
    assert (
        f"bring {answers.iloc[0]:.1f} points [{answers.iloc[1]:.1f}, {answers.iloc[2]:.1f}]"
        in beside
    )
    each = [number(-there.loc[(one, "auc"), "change"], 3) for one in ("upper", "lower")]
    assert f"by AUC it loses {each[0]} and {each[1]}" in beside
    points = [f"{-100 * there.loc[(one, 'recall'), 'change']:.1f}" for one in ("upper", "lower")]
    assert (
        f"`test_byobnet` loses {points[0]} points of recall without the upper half and {points[1]}"
        in beside
    )


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


def of(specified, quantity, emotion="all"):
    return specified[(specified["quantity"] == quantity) & (specified["emotion"] == emotion)]


def test_the_ratio_under_every_choice(first, choices, specified):
    rows = of(specified, "lower / upper")
    seven, five = rows[rows["mix"] != FIVE], rows[rows["mix"] == FIVE]
    assert (seven["value"] > 1).all()
    assert (rows["sign"] >= 0).all()
    ends = f"{seven['value'].min():.2f} to {seven['value'].max():.2f}"
    middle = f"{seven['value'].median():.2f}"
    decided = f"in {(seven['sign'] == 1).sum()} of {len(seven)}"
    assert f"{decided} specifications**, and the ratio is above 1 in all: {ends}, in" in choices
    assert f"in all: {ends}, in the middle {middle} ([specification.csv]" in choices
    assert f"{decided} specifications; the ratio is above 1 in all, {ends}, in the middle" in first
    assert f"{ends}, in the middle {middle}. The two undecided are of the best network" in first
    undecided = seven[seven["sign"] == 0]
    assert set(undecided["architecture"]) == {"people-int8, whole training"}
    assert set(undecided["mix"]) == {"balanced"}
    alike, apart = (with_ends(one) for one in undecided.to_dict("records"))
    assert f"{alike} and, without near duplicates, {apart}." in choices
    several = seven[seven["seeds"] > 1]
    assert (several["sign"] == 1).all()
    assert f"All {len(several)} of several networks are decided" in choices
    many = (rows["seeds"] > 1).sum()
    said = f"{many} of the {len(rows)} hold two to five networks; intervals of the other"
    assert f"{said} {len(rows) - many}, of one network each" in first
    ends = f"{seven['value'].min():.1f} to {seven['value'].max():.1f} times"
    front = " ".join((FOLDER.parents[1] / "README.md").read_text(encoding="utf-8").split())
    assert f"{decided} ways to ask, {ends}" in front
    ends = f"{number(five['value'].min())} to {five['value'].max():.2f}"
    rest = f"the ratio is {ends}, in the middle {five['value'].median():.2f}"
    above = (five["sign"] > 0).sum()
    assert f"{rest}, and of {len(five)} specifications {len(five) - above} are undecided" in first
    assert f"undecided, {above} are for the lower half and none for the upper." in first
    assert f"{rest}; {above} of {len(five)} specifications are above 1" in choices
    assert f"{len(five) - above} undecided" in choices
    falling = seven[["whole", "value"]].corr("spearman").iloc[0, 1]
    assert f"(rank correlation {number(falling)} with all seven)" in choices
    whole = seven[seven["architecture"].str.contains("whole training")]["value"]
    ends = f"{whole.min():.2f} to {whole.max():.2f}"
    assert f"These three say {ends} with all seven emotions" in choices
    assert f"The three best networks say {ends} with all seven." in first


def test_emotions_under_every_choice(first, specified):
    told = {one: of(specified, "upper - lower", one) for one in EMOTIONS}
    for emotion in ("happy", "neutral"):
        assert (told[emotion]["value"] < 0).all()
    decided = [(told[one]["sign"] < 0).sum() for one in ("happy", "neutral")]
    sizes = {len(told[one]) for one in ("happy", "neutral")}
    assert f"({decided[0]} and {decided[1]} of {sizes.pop()} decided)" in first
    assert not sizes
    angry = told["angry"]
    assert (angry["sign"] <= 0).all()
    leaning, decided = (angry["value"] < 0).sum(), (angry["sign"] < 0).sum()
    assert (
        f"({leaning} of {len(angry)} specifications, {decided} decided, none for the upper half)"
    ) in first
    people = pd.read_csv(FOLDER / "people-small-int8" / "people_halves.csv").set_index("emotion")
    assert people.loc["angry", "low"] > 0
    assert "needed the upper half a little more for it" in first
    undecided = [(told[one]["sign"] == 0).sum() for one in ("disgust", "surprise")]
    assert f"undecided in {undecided[0]} and {undecided[1]} of {len(angry)}" in first
    assert all((told[one]["sign"] <= 0).all() for one in ("disgust", "surprise"))
    votes = told["disgust"].query("labels == 'FER+ votes'")
    assert f"Disgust has {votes['n'].max()} images at most by votes" in first


def test_emotions_that_turn_with_the_labels(first, specified):
    counts = {}
    for emotion in ("sad", "fear"):
        for labels, rows in of(specified, "upper - lower", emotion).groupby("labels"):
            both = (rows["sign"] < 0).sum(), (rows["sign"] > 0).sum()
            counts[emotion, labels] = [str(one) if one else "none" for one in both]
            counts["of", labels] = len(rows)
    own, voted = counts["sad", "FER2013"], counts["sad", "FER+ votes"]
    assert (
        f"more of sad in {own[0]} of {counts['of', 'FER2013']} specifications and the upper in "
        f"{own[1]}, by FER+'s voters the lower in {voted[0]} of {counts['of', 'FER+ votes']} and "
        f"the upper in {voted[1]}; of fear"
    ) in first
    own, voted = counts["fear", "FER2013"], counts["fear", "FER+ votes"]
    assert own[1] == voted[1] == "none"
    assert (
        f"of fear the lower half in {own[0]} by the former, in {voted[0]} by the latter." in first
    )
    table = pd.read_csv(FOLDER / "moved.csv")
    chosen = (table["quantity"] == "upper - lower") & (table["emotion"] == "sad")
    (row,) = table[chosen & (table["choice"] == "labels")].to_dict("records")
    assert row["option"] == "FER+ votes"
    assert row["lowest"] > 0
    ends = f"{number(row['lowest'])} to {number(row['highest'])} bits"
    assert f"upper half in all of {row['pairs']} comparisons, by {ends}." in first


def test_what_moves_the_ratio(first, choices, specified):
    table = pd.read_csv(FOLDER / "moved.csv")
    table = table[table["quantity"] == "lower / upper"].set_index(["option", "other"])
    times = table["median"].map("{:.2f}".format)
    shorter = times["tiny, 4 epochs", "tiny"]
    names = ("small", "people-small-int8", "people-int8")
    wholes = [times["tiny", f"{one}, whole training"] for one in names]
    assert (
        f"`tiny` has {wholes[0]} times that of `small`, {wholes[1]} times that of "
        f"`people-small-int8` and {wholes[2]} times that of `people-int8`."
    ) in choices
    longer = times["compact", "small, whole training"]
    assert f"`compact` has {longer} times that of `small`, the same architecture" in choices
    mixes = times["data", "balanced"], times["data", FIVE]
    for page in (first, choices):
        assert f"architecture trained for 4 epochs has {shorter} times the ratio of 16" in page
        assert f"in the data bring {mixes[0]} times the ratio of all alike" in page
        assert f"and {mixes[1]} times that of the five." in page
    left_out, blurred = times["without", "with"], times["black", "blur"]
    assert f"out brings {left_out} times the ratio" in choices
    assert f"black instead of blurred halves {blurred}." in choices
    assert f"and noise ({times['black', 'mean']} and {times['black', 'noise']})" in choices
    assert f"beside votes {times['FER2013', 'FER+ votes']})" in choices
    assert f"own halves ({times['face', 'picture']})" in choices
    others = times["test_byobnet", "tiny"], times["tiny", "compact"]
    assert f"(`test_byobnet` {others[0]}, `tiny` beside `compact` {others[1]})" in choices
    docs = (FOLDER.parents[1] / "docs" / "information.md").read_text(encoding="utf-8")
    assert f"had {shorter} times the ratio when trained for 4 epochs" in docs
    ends = (number(table.loc[("tiny, 4 epochs", "tiny"), one]) for one in ("lowest", "highest"))
    assert f"(a training of its own, {' to '.join(ends)})" in choices
    seven = (specified["quantity"] == "lower / upper") & (specified["mix"] != FIVE)
    assert f"under each of {seven.sum()} specifications with all seven emotions" in docs


def test_left_and_right_under_every_choice(first, choices, specified):
    rows = of(specified, "left - right")
    sides = (rows["sign"] > 0).sum(), (rows["sign"] < 0).sum()
    assert sides[1] == 0
    assert f"{sides[0]} for the picture's left half, none for its right" in choices
    for page in (first, choices):
        assert f"{len(rows) - sum(sides)} of {len(rows)} specifications are undecided" in page


def test_left_and_right_by_emotion(choices, specified):
    rows = specified[(specified["quantity"] == "left - right") & (specified["emotion"] != "all")]
    decided = rows[rows["sign"] != 0]
    assert f"{len(decided)} of {len(rows)} are decided" in choices
    by = decided.groupby(["emotion", "sign"]).size()
    assert set(by.index) == {
        ("angry", 1), ("fear", 1), ("neutral", 1), ("sad", 1), ("surprise", 1),
        ("disgust", -1), ("fear", -1),
    }  # fmt: skip
    assert by["sad", 1] == by["surprise", 1] == 1
    assert (
        f"for the left angry {by['angry', 1]}, fear {by['fear', 1]}, neutral {by['neutral', 1]}, "
        f"sad and surprise 1 each, for the right disgust {by['disgust', -1]} and fear "
        f"{by['fear', -1]};"
    ) in choices
    for _, some in decided.groupby("emotion"):
        assert some["architecture"].nunique() < rows["architecture"].nunique()


def test_how_many_networks(first, choices):
    done = pd.read_csv(FOLDER / "jobs.csv")
    plain = done[(done["fill"] == "black") & (done["halves"] == "picture")]
    plain = plain[(plain["architecture"] == "tiny") & (plain["flips"] == "off")]
    whole = 100 * plain.groupby("labels")["whole_accuracy"].mean()
    own, voted = (f"{whole[one]:.0f}" for one in ("FER2013", "FER+ votes"))
    assert f"names {own} % of whole test faces as FER2013 does and {voted} % as most" in first
    said = f"{own} % of whole test faces right by FER2013's labels, {voted} by most voters"
    assert said in choices
    assert len(done) == len(answer.jobs())
    assert f"{len(done)} networks ([jobs.csv]" in choices


def test_people_who_saw_the_whole_face(first, beside):
    table = pd.read_csv(FOLDER / "voters.csv")
    rows = table[table["architecture"] == "people-small-int8, whole training"]
    rows = 100 * rows.set_index("condition")[["network", "voter"]]
    (voter,) = {f"{one:.1f}" for one in rows["voter"]}
    told = rows["network"].map("{:.1f}".format)
    assert f"others in {voter} % of the images" in beside
    assert (
        f"in {told['full']} % where it sees the whole face, in {told['upper']} without the upper "
        f"half, {told['lower']} without the lower, {told['left']} without the left and "
        f"{told['right']} without the right."
    ) in beside
    assert (
        f"({told['upper']} beside {voter} %), without the lower it doesn't ({told['lower']};"
        in first
    )


def test_left_and_right_with_flips_and_without(first, choices):
    table = pd.read_csv(FOLDER / "sides.csv")
    table = table[(table["emotion"] == "all") & (table["measure"] == "accuracy")]
    table = table[(table["halves"] == "picture") & (table["fill"] == "black")]
    every, table = table, table[table["architecture"] == "tiny"]
    count = table[table["part"] == "as shown"].groupby(["labels", "flips"])["seed"].nunique()
    assert (count == 6).all()  # five seeds and their mean
    table = table[table["seed"] == "mean"]
    rows = table[table["labels"] == "FER2013"].set_index(["flips", "part"])
    voted = table[table["labels"] == "FER+ votes"].set_index(["flips", "part"])

    def toward_left(flips, part, rows=rows):
        row = -100 * rows.loc[(flips, part), ["difference", "high", "low"]].astype(float)
        return tuple(number(one, 1) for one in row)

    def said(flips, part, rows=rows):
        value, low, high = toward_left(flips, part, rows)
        return f"{value} [{low}, {high}]"

    for flips, name in (("off", "without flips"), ("on", "with flips")):
        cells = [said(flips, part) for part in ("as shown", "face", "network")]
        assert f"| {name} | {' | '.join(cells)} |" in choices
    taught = pd.read_csv(FOLDER / "sides_taught.csv")
    taught = taught[(taught["architecture"] == "tiny") & (taught["labels"] == "FER2013")]
    taught["flips"] = "difference"
    taught = taught.set_index(["flips", "part"])
    cells = [said("difference", part, taught) for part in ("as shown", "network")]
    assert f"| without minus with: what plain pictures taught | {' | | '.join(cells)} |" in choices
    assert (taught["p"] > 0.05).all()
    value, low, high = toward_left("off", "as shown")
    assert f"{value} points better [{low}, {high}], five trained with flips" in first
    value, low, high = toward_left("on", "as shown")
    assert f"{value} points better [{low}, {high}]: that is no difference found" in first
    faces = {toward_left(flips, "face")[0] for flips in ("off", "on")}
    assert f"Mirrored pictures assign {faces.pop()} points of either to the faces" in first
    assert not faces
    likely = pd.read_csv(FOLDER / "sides.csv", dtype={"seed": str})
    likely = likely[(likely["emotion"] == "all") & (likely["measure"] == "probability")]
    likely = likely[(likely["halves"] == "picture") & (likely["fill"] == "black")]
    likely = likely[(likely["labels"] == "FER2013") & (likely["seed"] == "mean")]
    likely = likely[likely["part"] == "network"].set_index(["architecture", "flips"])
    on, off = (said("tiny", flips, likely) for flips in ("on", "off"))
    on = on.replace(" [", " points [")
    assert f"true emotion's probability {on}, without flips {off})" in choices
    right = 100 * likely.loc[("test_byobnet", "off"), ["difference", "low", "high"]].astype(float)
    told = [number(one, 1) for one in right]
    assert f"leans to the right ({told[0]} [{told[1]}, {told[2]}])" in choices
    assert (
        (likely["p"] < 0.05).loc[[("tiny", "on"), ("tiny", "off"), ("test_byobnet", "off")]].all()
    )
    shown = rows.xs("as shown", level="part")
    # What flips leave is no difference found, and none above two points.
    assert shown.loc["on", "verdict"] == "alike"
    worths = [f"{100 * shown.loc[flips, 'half_worth']:.1f}" for flips in ("off", "on")]
    assert f"({' and '.join(worths)} points)" in choices
    assert f"a seventh of what a half is worth ({worths[1]})" in first
    found = [f"{100 * shown.loc[flips, 'detectable']:.1f}" for flips in ("off", "on")]
    assert f"would find {found[0]} points without flips and {found[1]} with them" in choices
    assert f"Four of five such studies would find {found[1]} points" in first
    assert f"`tiny` by votes {said('off', 'as shown', voted)}" in choices
    every = every[every["seed"] == "mean"]
    every = every.set_index(["architecture", "labels", "flips", "part"]).sort_index()
    own, other = (every.loc[("compact", labels)] for labels in ("FER2013", "FER+ votes"))
    shown, face = (
        [said("off", part, rows) for rows in (own, other)] for part in ("as shown", "face")
    )
    assert f"`compact` {shown[0]} and by votes {shown[1]}, of which mirrored" in choices
    assert f"assign {face[0]} and {face[1]} to the faces" in choices
    assert f"without flips alone: {shown[0]}, {face[0]} of it the faces'.)" in first
    own, other = (every.loc[("test_byobnet", labels)] for labels in ("FER2013", "FER+ votes"))
    shown = [said("off", "as shown", rows) for rows in (own, other)]
    assert f"`test_byobnet` {shown[0]} and by votes {shown[1]}." in choices
    five = every[every["half_worth"].notna()].drop("tiny, 4 epochs")
    assert (five.xs("as shown", level="part")["difference"] < 0).all()
    faces = five.xs("face", level="part")
    assert (faces["verdict"] == "alike").all()


def test_what_the_halves_say_alike(first, choices):
    key = ["architecture", "labels", "fill", "halves"]

    def of_all(name):
        table = pd.read_csv(FOLDER / f"{name}.csv", dtype={"seed": str})
        table = table[(table["emotion"] == "all") & (table["mix"] == "data")]
        several = table.groupby(key)["seed"].transform(lambda seeds: "mean" in set(seeds))
        return table[(table["seed"] == "mean") | ~several]

    parts = of_all("decomposition")
    parts = parts[(parts["part"] == "redundant") & (parts["pair"] == "upper, lower")]
    told = parts.pivot_table(index=key, columns="definition", values="bits")
    alone = of_all("information").pivot_table(index=key, columns="visible", values="bits")

    def ends(definition, half):
        share = 100 * told[definition] / alone[half]
        low, high = round(share.min()), round(share.max())
        return f"{low} to {high}" if low < high else f"{low}"

    lower, upper = (
        [ends(one, half) for one in ("specific", "least", "minimum")] for half in ("lower", "upper")
    )
    low, high = lower[1].split(" ")[0], lower[2].split(" ")[-1]
    assert (
        f"the upper tells {lower[0]} % as well, more in better networks; of what the upper tells, "
        f"the lower nearly all ({upper[0]} %)."
    ) in first
    assert f"say {low} to {high} and {upper[1].split(' ')[0]} to {upper[2]} %." in first
    assert f"{lower[0]} % as well (`specific`), {lower[1]} % by the narrowest" in choices
    assert f"and {lower[2]} % by the widest (`minimum`)" in choices
    assert f"{upper[0]} % by the first, {upper[1]} % by the second and all by the third" in choices
    strength = (told["specific"] / alone["lower"]).corr(alone["whole"], method="spearman")
    assert strength > 0.5
