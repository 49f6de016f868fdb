"""The ablation's arithmetic: paired differences to the whole recipe, resampled by group."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch", reason="the ablation trains networks")

import ablation
from builders import tiny_bundle
from hemiface.cli.reading import training_images
from hemiface.config import find, load
from hemiface.data.cache import prepare
from hemiface.errors import UsageError

pytestmark = pytest.mark.slow


def scored(n: int = 200, per_group: int = 1, seed: int = 0) -> pd.DataFrame:
    """Decisions of the whole recipe and of a worse one, two seeds, two conditions."""
    rng = np.random.default_rng(seed)
    rows = []
    for variant, right in ((ablation.WHOLE, 0.8), ("worse", 0.6)):
        for run in (0, 1):
            for one in ("full", "upper"):
                hits = np.repeat(rng.random(n // per_group) < right, per_group)
                for index, hit in enumerate(hits):
                    group = f"g{index // per_group}"
                    rows.append((f"i{index}", group, one, bool(hit), variant, run))
    columns = ["image", "group", "condition", "correct", "variant", "seed"]
    return pd.DataFrame(rows, columns=columns)


def cell(table: pd.DataFrame, variant: str, one: str) -> pd.Series:
    rows = table[(table["variant"] == variant) & (table["condition"] == one)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_differences_are_those_of_the_means() -> None:
    data = scored()
    table = ablation.compare(data)
    means = data.groupby(["variant", "condition"])["correct"].mean()
    for one in ("full", "upper"):
        row = cell(table, "worse", one)
        assert row["accuracy"] == pytest.approx(means["worse", one])
        expected = means["worse", one] - means[ablation.WHOLE, one]
        assert row["difference"] == pytest.approx(expected)
        assert row["low"] < row["difference"] < row["high"] < 0
        assert (row["seeds"], row["n"]) == (2, 200)
    mean = cell(table, "worse", "mean")["difference"]
    halves = [cell(table, "worse", one)["difference"] for one in ("full", "upper")]
    assert mean == pytest.approx(np.mean(halves))


def test_the_whole_recipe_differs_from_itself_by_nothing() -> None:
    rows = ablation.compare(scored()).query("variant == @ablation.WHOLE")
    assert (rows[["difference", "low", "high"]] == 0).all(axis=None)


def test_intervals_follow_the_normal_approximation_over_groups() -> None:
    data = scored(n=2000)
    row = cell(ablation.compare(data), "worse", "full")
    full = data[data["condition"] == "full"]
    means = full.groupby(["variant", "image"])["correct"].mean().unstack("variant")
    difference = means["worse"] - means[ablation.WHOLE]
    expected = 2 * 1.96 * difference.std() / np.sqrt(len(difference))
    assert row["high"] - row["low"] == pytest.approx(expected, rel=0.1)


def test_copies_in_one_group_are_no_more_evidence_than_one_of_them() -> None:
    wide, narrow = (
        cell(ablation.compare(scored(n=400, per_group=k)), "worse", "full") for k in (8, 1)
    )
    assert wide["high"] - wide["low"] > 2 * (narrow["high"] - narrow["low"])


@pytest.mark.parametrize(
    ("config", "variants"),
    [("small", "GENERALIST"), ("small", "BASELINE"), ("people-small", "VOTES")],
)
def test_every_variant_changes_the_recipe_it_is_about(config: str, variants: str) -> None:
    path = find(config)
    whole = load(path)
    for name, settings in getattr(ablation, variants).items():
        assert (load(path, settings) == whole) == (name == ablation.WHOLE)


def test_votes_are_varied_where_they_are_learnt() -> None:
    lengths = {"half the epochs", "twice the epochs"}
    votes = ablation.known(load(find("people-small")), "full")
    assert set(votes) == {*ablation.BASELINE, *ablation.VOTES, *lengths}
    assert set(ablation.known(load(find("small")), "full")) == {*ablation.BASELINE, *lengths}
    assert set(ablation.known(load(find("small")), "any")) == {*ablation.GENERALIST, *lengths}


@pytest.mark.parametrize("model", ["full", "any"])
def test_lengths_follow_what_the_recipe_says(model: str) -> None:
    path = find("people-small")
    config = load(path, ["train.epochs=9", "generalist.train.epochs=7"])
    variants = ablation.known(config, model)
    for name, epochs in (("half the epochs", (4, 3)), ("twice the epochs", (18, 14))):
        varied = load(path, variants[name]).recipe(model, fine_tuned=False)
        assert varied.train.epochs == epochs[model == "any"]


def test_a_subset_of_variants_keeps_the_whole_recipe_beside_them() -> None:
    assert ablation.subset(ablation.GENERALIST, None) == ablation.GENERALIST
    assert list(ablation.subset(ablation.GENERALIST, ["no teacher"])) == [
        ablation.WHOLE,
        "no teacher",
    ]
    with pytest.raises(UsageError, match="No variant is named 'no techer'; there are whole recipe"):
        ablation.subset(ablation.GENERALIST, ["no techer"])


FACES = "phantom:n=140,seed=3"


def test_recipes_are_compared_on_a_part_of_training(tmp_path: Path) -> None:
    given = prepare(FACES, tmp_path / "given").table.set_index("image")["split"]
    held = ablation.held_aside(FACES, tmp_path / "held", None).table.set_index("image")["split"]
    assert set(given[held.index[held == "validation"]]) == {"train"}
    assert set(held[given.index[given == "validation"]]) == {"test"}


def test_a_baseline_that_saw_what_is_held_aside_is_refused(tmp_path: Path) -> None:
    given = prepare(FACES, tmp_path / "given", near_duplicates=False)
    held = ablation.held_aside(FACES, tmp_path / "held", None)
    saw = tiny_bundle(tmp_path / "saw.safetensors", data_sha256=given.info["data_sha256"])
    apart = tiny_bundle(tmp_path / "apart.safetensors", data_sha256=held.info["data_sha256"])
    with pytest.raises(UsageError, match=r"saw.*may have seen what is held aside here"):
        ablation.require_apart(saw, held)
    ablation.require_apart(apart, held)


def test_the_baseline_that_train_makes_is_apart(tmp_path: Path) -> None:
    """It is carved by the same near-duplicates: with others no Bundle of `train` is taken."""
    faces = "phantom:n=300,seed=3"
    settings = [f"data.source={faces}", "data.protocol=paper"]
    seen = training_images(load("nano", settings), tmp_path / "train", lambda *_: None)
    alone = prepare(faces, tmp_path / "alone", near_duplicates=False, protocol="paper")
    held = ablation.held_aside(faces, tmp_path / "held", None)
    assert seen.info["data_sha256"] == held.info["data_sha256"] != alone.info["data_sha256"]
    # Where the splits are given nothing is looked for.
    given = training_images(load("nano", settings[:1]), tmp_path / "given", lambda *_: None)
    assert [one.info["near_duplicates"] for one in (seen, given)] == [True, False]
