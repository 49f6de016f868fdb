"""The instrument on faces and tables whose right answer is known: found, and no false alarms."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from builders import (
    answers,
    described,
    sampled,
    scored_predictions,
    tiny_bundle,
    tiny_images,
)
from hemiface.data.phantom import make as phantom
from hemiface.data.phantom.make import Expressiveness
from hemiface.occlusion.conditions import COALITIONS, CONDITIONS, QUADRANTS, condition, hidden_mask
from hemiface.stats import importance
from hemiface.stats.all_pairs import all_pairs, mcnemar
from hemiface.stats.sides import sides
from hemiface.tables import EMOTIONS, Predictions, check_predictions, probabilities

pytest.importorskip("torch", reason="it trains networks")

import experiment
import false_alarms
import planted
from hemiface.config import from_dict, load
from hemiface.networks.evaluate import evaluate
from hemiface.networks.train import fit, task
from hemiface.provenance import closure

pytestmark = pytest.mark.slow

SETS = 200
LEVEL = 0.05
LABELS = np.arange(210) % 7


def as_nominal(rejected: np.ndarray) -> bool:
    """Could so many of independent tests at .05 have rejected by chance (99.9 %)?"""
    low, high = stats.binom.ppf([0.0005, 0.9995], len(rejected), LEVEL)
    return bool(low <= rejected.sum() <= high)


# --- many data sets in one table: each data set is a "seed" ---------------------------------------


def null_table(copies: int = 1, sets: int = SETS, seed: int = 0) -> Predictions:
    """`sets` independent data sets of 210 images in which hiding left or right costs the same.

    Who is easy under one is easy under the other (the pairs), and each face comes `copies` times,
    in one group, with the same answers.
    """
    random = np.random.default_rng(seed)
    faces = len(LABELS) // copies
    outcomes = {}
    for number in range(sets):
        ease = random.normal(size=faces)
        for side in ("left", "right"):
            hits = ease + 0.6 * random.normal(size=faces) > -0.4
            outcomes[f"any-seed{number}", side] = answers(LABELS, np.repeat(hits, copies))
    made = scored_predictions(outcomes, LABELS, groups=np.arange(len(LABELS)) // copies)
    return described(made.table, {"flips": False, "conditions": ["left", "right"]})


def by_set(found: pd.DataFrame) -> pd.DataFrame:
    found = found[found["seed"] != "mean"]
    assert len(found) == SETS
    return found


@pytest.fixture(scope="module")
def copied() -> Predictions:
    return null_table(copies=3)


def test_comparisons_reject_as_often_as_they_say_where_faces_come_in_groups(copied) -> None:
    found = by_set(all_pairs(sampled(copied, draws=300), ["accuracy"]))
    assert as_nominal(found["p"] < LEVEL)
    assert as_nominal((found["low"] > 0) | (found["high"] < 0))
    tests = by_set(mcnemar(copied))
    # The exact test may reject more rarely than its level, never more often.
    assert (tests["p_groups"] < LEVEL).sum() <= stats.binom.ppf(0.9995, SETS, LEVEL)


def test_ignoring_groups_cries_wolf(copied) -> None:
    single = described(copied.table.assign(group=copied.table["image"]))
    found = by_set(all_pairs(sampled(single, draws=300), ["accuracy"]))
    assert (found["p"] < LEVEL).mean() > 0.15
    assert ((found["low"] > 0) | (found["high"] < 0)).mean() > 0.15
    assert (mcnemar(copied)["p_exact"] < LEVEL).mean() > 0.12


def test_ignoring_pairs_says_next_to_nothing() -> None:
    table = null_table(seed=1)
    found = by_set(all_pairs(sampled(table, draws=300), ["accuracy"]))
    assert as_nominal(found["p"] < LEVEL)
    assert as_nominal(by_set(mcnemar(table))["p_mid"] < LEVEL)
    a, b = found["value_a"], found["value_b"]
    unpaired = np.sqrt((a * (1 - a) + b * (1 - b)) / len(LABELS))
    z = (found["difference"] / unpaired).abs()
    assert not as_nominal(z > stats.norm.isf(LEVEL / 2))
    assert (z > stats.norm.isf(LEVEL / 2)).mean() < 0.01


def test_laterality_names_a_side_as_often_as_it_says() -> None:
    table = null_table(seed=2)
    found = sides(sampled(table, draws=300))
    alone = by_set(found[(found["emotion"] == "all") & (found["measure"] == "accuracy")])
    assert as_nominal(alone["verdict"].str.contains("carries more"))
    emotions = found[(found["emotion"] != "all") & (found["measure"] == "accuracy")]
    emotions = emotions[emotions["seed"] != "mean"].assign(
        any=lambda rows: rows["p_holm"] < LEVEL, each=lambda rows: rows["p"] < LEVEL
    )
    family = emotions.groupby("seed")[["any", "each"]].any()
    assert family["any"].mean() < 0.09
    # Seven tests without a correction.
    assert family["each"].mean() > 0.2


@pytest.fixture(scope="module")
def either_way() -> pd.DataFrame:
    """Shapley values of SETS data sets of 56 faces, drawn from a population without sides."""
    random = np.random.default_rng(3)
    of = _population(random, networks=1, faces=210).symmetric()
    cells = []
    for number in range(SETS):
        drawn = false_alarms.sample(of, 56, random)
        # Every data set with the same labels, because they are models of one table here.
        faces = drawn.faces // 7 * 7 + np.arange(56) % 7
        drawn = false_alarms.Choice(faces, drawn.flipped, drawn.turned)
        cells.append(
            false_alarms.table(of, [0], drawn, CONDITIONS).table.assign(model=f"any-seed{number}")
        )
    table = pd.concat(cells, ignore_index=True)
    return importance.shapley(sampled(table, draws=200))


@pytest.mark.parametrize("region", ["left - right", "upper - lower"])
@pytest.mark.parametrize("value_function", ["probability", "accuracy"])
def test_shapley_values_of_alike_halves_differ_as_seldom_as_they_say(
    either_way, region, value_function
) -> None:
    rows = either_way[
        (either_way["region"] == region)
        & (either_way["value_function"] == value_function)
        & (either_way["emotion"] == "all")
    ]
    rows = by_set(rows)
    assert as_nominal((rows["low"] > 0) | (rows["high"] < 0))


def test_unpaired_shapley_intervals_say_too_little(either_way) -> None:
    rows = either_way[
        (either_way["value_function"] == "accuracy") & (either_way["emotion"] == "all")
    ]
    left, right = (by_set(rows[rows["region"] == side]) for side in ("left", "right"))
    apart = (left["low"].to_numpy() > right["high"].to_numpy()) | (
        right["low"].to_numpy() > left["high"].to_numpy()
    )
    # Far fewer than .05 of them, which so many would be as seldom as once in twenty times.
    assert apart.sum() < stats.binom.ppf(0.05, SETS, LEVEL)


def _population(
    random: np.random.Generator, networks: int = 2, faces: int = 210
) -> false_alarms.Population:
    """Networks that see something, each preferring a side."""
    labels = np.arange(faces) % 7
    logits = random.normal(size=(networks, 2, len(CONDITIONS), faces, 7))
    seen = np.array([4 - len(condition(one).hidden) for one in CONDITIONS])
    truth = labels[:, None] == np.arange(7)
    logits += 0.6 * seen[None, None, :, None, None] * truth
    values = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    return false_alarms.Population(values.astype(np.float32), labels)


# --- the population that the benchmark draws from -------------------------------------------------


def test_no_side_and_no_half_carries_more_in_the_population() -> None:
    random = np.random.default_rng(0)
    raw = _population(random)
    of = raw.symmetric()
    everyone = np.tile(np.arange(len(of.labels)), 4)
    coins = np.repeat([0, 0, 1, 1], len(of.labels)), np.repeat([0, 1, 0, 1], len(of.labels))
    whole = false_alarms.Choice(everyone, *coins)
    found = importance.shapley(sampled(false_alarms.table(of, [0, 1], whole, CONDITIONS), draws=2))
    between = found[found["region"].str.contains(" - ")]
    assert np.abs(between["value"]).max() < 1e-6
    # Without the symmetry each network has a side of its own.
    found = importance.shapley(sampled(false_alarms.table(raw, [0, 1], whole, CONDITIONS), draws=2))
    happy = found[(found["region"] == "left - right") & (found["emotion"] == "happy")]
    assert np.abs(happy["value"]).max() > 1e-3


@pytest.mark.usefixtures("one_thread")
def test_the_symmetric_population_is_what_evaluate_with_flips_predicts(tmp_path) -> None:
    bundle, images = tiny_bundle(tmp_path / "b.safetensors"), tiny_images()
    both = [
        evaluate([bundle], images, conditions=CONDITIONS, mirrored=one) for one in (False, True)
    ]
    of = false_alarms.population(*both).symmetric()
    expected = evaluate([bundle], images, conditions=CONDITIONS, flip=True).table
    test = images.table[images.table["split"] == "test"].sort_values("image")
    for place, one in enumerate(CONDITIONS):
        rows = expected[expected["condition"] == one].set_index("image").loc[test["image"]]
        assert of.values[0, 0, place] == pytest.approx(probabilities(rows), abs=1e-6)
    assert of.labels.tolist() == [EMOTIONS.index(one) for one in test["label"]]


def test_a_drawn_table_is_a_valid_one_and_shows_faces_as_they_were_tossed() -> None:
    of = _population(np.random.default_rng(1))
    drawn = false_alarms.Choice(np.array([3, 3, 8]), np.array([0, 1, 0]), np.array([0, 0, 1]))
    table = false_alarms.table(of, [1, 0], drawn, ["upper", "left"], copies=2).table
    check_predictions(table)
    assert len(table) == 2 * 2 * 3 * 2
    assert table["group"].nunique() == 3
    cell = table[(table["model"] == "any-seed0") & (table["condition"] == "upper")]
    values = probabilities(cell)
    upper, lower = CONDITIONS.index("upper"), CONDITIONS.index("lower")
    assert values[[0, 1]] == pytest.approx(np.tile(of.values[1, 0, upper, 3], (2, 1)))
    assert values[2] == pytest.approx(of.values[1, 1, upper, 3])
    # Turned upside down, the half that is hidden as `upper` shows the face's lower half.
    assert values[4] == pytest.approx(of.values[1, 0, lower, 8])
    assert cell["label"].tolist() == ["happy"] * 4 + ["disgust"] * 2


def test_conditions_turn_and_mirror_as_the_pictures_do() -> None:
    for place, key in enumerate(CONDITIONS):
        mask = hidden_mask(condition(key), 48, 48)
        turned = hidden_mask(condition(CONDITIONS[false_alarms._TURN[place]]), 48, 48)
        mirrored = hidden_mask(condition(CONDITIONS[false_alarms._MIRROR[place]]), 48, 48)
        assert np.array_equal(turned, mask[::-1])
        assert np.array_equal(mirrored, mask[:, ::-1])


def test_known_values_are_those_of_the_population() -> None:
    of = _population(np.random.default_rng(2), networks=1)
    truth = false_alarms.values_of(of)
    left, right = (
        (of.values[0, 0, CONDITIONS.index(one)].argmax(axis=1) == of.labels).mean()
        for one in ("left", "right")
    )
    assert truth.gaps[0] == pytest.approx(left - right)
    worth = of.values[0, 0, :, np.arange(len(of.labels)), of.labels].mean(axis=0)
    # Nobody knows how frequent the emotions are, and isn't asked for a black picture.
    shares = np.bincount(of.labels, minlength=len(EMOTIONS)) / len(of.labels)
    worth[CONDITIONS.index("none")] = (shares**2).sum()
    lower = next(
        row.value
        for row in truth.regions[0].itertuples()
        if (row.region, row.emotion, row.value_function) == ("lower", "all", "probability")
    )
    assert lower == pytest.approx(_shapley_by_hand(worth, "lower"))


def test_nobody_is_worth_the_shares_that_the_validation_images_have() -> None:
    of = _population(np.random.default_rng(5), networks=1)
    faces = np.random.default_rng(6).integers(len(of.labels), size=70)
    drawn = false_alarms.Choice(faces, np.zeros(70, np.int64), np.zeros(70, np.int64))
    own = false_alarms.table(of, [0], drawn, CONDITIONS)
    everyone = np.bincount(of.labels, minlength=len(EMOTIONS)) / len(of.labels)
    here = np.bincount(of.labels[faces], minlength=len(EMOTIONS)) / 70
    assert not np.allclose(everyone, here)
    for table, shares in ((false_alarms.with_validation(own, of, 0), everyone), (own, here)):
        worth = of.values[0, 0, :, faces, of.labels[faces]].mean(axis=0)
        worth[CONDITIONS.index("none")] = shares[of.labels[faces]].mean()
        found = importance.shapley(sampled(table, draws=2))
        rows = found[(found["emotion"] == "all") & (found["value_function"] == "probability")]
        lower = rows.loc[rows["region"] == "lower", "value"].iloc[0]
        assert lower == pytest.approx(_shapley_by_hand(worth, "lower"))


def _shapley_by_hand(worth: np.ndarray, half: str) -> float:
    """The mean over all 24 orders in which the quadrants can be uncovered."""
    from itertools import permutations

    gains = []
    for order in permutations(QUADRANTS):
        seen: frozenset[str] = frozenset()
        for one in order:
            more = seen | {one}
            if half in one:
                before, after = (CONDITIONS.index(COALITIONS[x]) for x in (seen, more))
                gains.append(worth[after] - worth[before])
            seen = more
    return float(np.sum(gains) / 24)


def test_every_null_gives_alarms_and_the_summary_counts_them() -> None:
    of = _population(np.random.default_rng(4), faces=140)
    rows = []
    for draw, one, more in (
        (false_alarms.either_way, of.symmetric(), {}),
        (false_alarms.copies, of.symmetric(), {}),
        (false_alarms.networks, of, {}),
        (false_alarms.known, of, {"truth": false_alarms.values_of(of)}),
    ):
        rows += [(*alarm, 0) for alarm in draw(one, 0, np.random.default_rng(0), 70, **more)]
    found = false_alarms.summary(pd.DataFrame(rows, columns=[*false_alarms.ALARM_COLUMNS, "set"]))
    assert set(found["null"]) == {"either way round", "copies", "networks", "known"}
    assert (found["low"] <= found["rate"]).all()
    assert (found["rate"] <= found["high"]).all()
    own = found[found["test"].str.endswith(", own shares")]
    assert set(own["test"].str.split(" ").str[2]) == {"upper-left,", "lower,"}
    assert set(own["expected"]) == {"too often"}
    shapley = found[found["test"] == "importance: shapley left - right"]
    counts = shapley[shapley["null"] == "either way round"].set_index("about")["tests"]
    assert counts["probability, all images"] == 1
    assert counts["probability, an emotion"] == 7


def test_summary_has_the_interval_of_clopper_and_pearson() -> None:
    alarms = pd.DataFrame({"null": "n", "test": "t", "about": "a", "expected": "e",
                           "rejected": [True] * 4 + [False] * 6, "set": range(10)})  # fmt: skip
    found = false_alarms.summary(alarms).iloc[0]
    exact = stats.binomtest(4, 10).proportion_ci(method="exact")
    assert (found["low"], found["high"]) == pytest.approx((exact.low, exact.high))
    assert (found["rate"], found["verdict"]) == (0.4, "above .05")


# --- what is planted ------------------------------------------------------------------------------


def test_upper_halves_of_happy_faces_are_those_of_neutral_ones() -> None:
    truth = planted.TRUTHS["lower"].expressiveness
    happy, neutral, sad = (
        phantom.render([EMOTIONS.index(one)] * 8, 5, expressiveness=truth, pose=False)
        for one in ("happy", "neutral", "sad")
    )
    assert np.array_equal(happy[:, :24], neutral[:, :24])
    assert (happy[:, 24:] != neutral[:, 24:]).any(axis=(1, 2)).all()
    assert (sad[:, :24] != neutral[:, :24]).any(axis=(1, 2)).all()


def test_faces_to_train_on_are_other_people_than_faces_to_test_on() -> None:
    for name in planted.TRUTHS:
        train, test = (planted.faces(name, 112, test=one) for one in (False, True))
        assert set(test.table["split"]) == {"test"}
        assert set(train.table["split"]) == {"train", "validation"}
        assert not set(train.table["image"]) & set(test.table["image"])


def test_the_config_is_that_of_a_generalist_for_sides() -> None:
    config = load(planted.CONFIG)
    assert set(config.generalist_conditions) == set(CONDITIONS)
    augment = config.generalist.augment
    assert not augment.flip
    assert augment.translate_px == augment.rotate_deg == augment.scale == augment.shear_deg == 0


def test_what_was_counted_is_known_by_all_the_code_that_counts() -> None:
    text = Path(false_alarms.__file__).read_text(encoding="utf-8")
    imported = re.findall(r"^from (hemiface\.\S+) import", text, flags=re.MULTILINE)
    assert set(imported) - {"hemiface.stats"} <= set(closure(*experiment.used_by(false_alarms)))
    assert "hemiface.stats.importance.game" in closure(*experiment.used_by(false_alarms))


def test_tables_and_page_are_written_and_what_was_counted_is_kept(tmp_path, capsys) -> None:
    tables = {}
    for seed, name in enumerate(planted.TRUTHS):
        of = _population(np.random.default_rng(seed), faces=56)
        everyone = np.arange(56)
        whole = false_alarms.Choice(everyone, np.zeros_like(everyone), np.zeros_like(everyone))
        pair = []
        for mirrored in (False, True):
            one = false_alarms.table(of, [0, 1], whole, CONDITIONS, mirrored=mirrored)
            models = [model | {"training_s": 1.5} for model in one.models]
            pair.append(one.with_facts(models=models))
        tables[name] = (pair[0], pair[1])
    arguments = ["--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs")]
    options = planted._options([*arguments, "--sets", "1", "--faces", "56"])
    others = {(learnt, shown): tables[shown] for learnt, shown in planted.CROSSED}
    planted.write(tables, others, load(planted.CONFIG), options)
    page = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert page.strip() == capsys.readouterr().out.strip()
    assert "python validity/planted.py --sets 1 --out results/planted" in page
    assert "trains 6 generalists" in page
    assert "Trainings took 9 s" in page
    alarms = pd.read_csv(tmp_path / "out" / "false_alarms.csv")
    bound = alarms["expected"] != "too often"
    sentence = f"{bound.sum()} rows are expected at or below nominal"
    assert sentence in " ".join(page.split())
    orders = pd.read_csv(tmp_path / "out" / "orders.csv", keep_default_na=False)
    happy = orders[(orders["truth"] == "lower") & (orders["emotion"] == "happy")]
    assert set(happy["planted"]) == {"lower"}
    assert set(happy["seed"]) == {"0", "1", "mean"}
    assert (orders["found"] == (orders["says"] == orders["planted"])).all()
    names = {"README.md", "config.toml", "environment.json", "planted.json", "networks.csv",
             "orders.csv", "told_apart.csv", "habits.csv", "false_alarms.csv"}  # fmt: skip
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    told = pd.read_csv(tmp_path / "out" / "habits.csv", keep_default_na=False)
    belongs = told[told["seed"] == "mean"].groupby(["learnt", "shown", "part"])["planted"].first()
    assert dict(belongs) == {
        ("left", "nothing", "as shown"): "left",
        ("left", "nothing", "face"): "",
        ("left", "nothing", "network"): "left",
        ("nothing", "left", "as shown"): "left",
        ("nothing", "left", "face"): "left",
        ("nothing", "left", "network"): "",
    }
    # A second run counts nothing again: it finds the data sets that were kept.
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs" / "alarms").iterdir()}
    assert len(kept) == 4
    again = planted.count_alarms(tables, options)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    pd.testing.assert_frame_equal(false_alarms.summary(again), alarms, check_dtype=False, rtol=1e-4)


@pytest.mark.usefixtures("one_thread")
def test_the_whole_chain_finds_that_only_the_lower_half_smiles(tmp_path) -> None:
    images = phantom.make(
        560,
        1,
        shares={"happy": 1, "neutral": 1},
        expressiveness=Expressiveness(upper=0),
        splits=(7, 1, 2),
        intensity=1,
        pose=False,
    )
    config = from_dict(
        {
            "generalist_conditions": list(CONDITIONS),
            "model": {"architecture": "test_resnet"},
            "train": {"epochs": 5, "batch_size": 32, "optimizer": "adamw", "learning_rate": 3e-3,
                      "schedule": "one-cycle", "select": "last"},
            "augment": {"flip": False},
        }
    )  # fmt: skip
    bundle = fit(task(config, "any"), images, tmp_path, device="cpu")
    plain, mirrored = (
        evaluate([bundle], images, conditions=CONDITIONS, mirrored=one, device="cpu")
        for one in (False, True)
    )
    found = importance.shapley(sampled(plain, draws=300))
    rows = found[(found["emotion"] == "happy") & (found["region"] == "upper - lower")]
    assert (rows["high"] < 0).all()
    apart = planted.told_apart("lower", plain).set_index(["seed", "condition"])
    assert apart.loc[("0", "upper"), "low"] > 0.6
    assert apart.loc[("0", "lower"), "low"] < 0.5 < apart.loc[("0", "lower"), "high"]
    told = sides(sampled(plain, draws=300), mirrored)
    face = told[(told["part"] == "face") & (told["emotion"] == "all")]
    assert set(face["image_side"]) == {""}
