"""Ensembles: means of tables, members chosen by brute force's rule and never by test images."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, log_loss

from builders import described, hemiface
from hemiface.errors import DamagedError, UsageError
from hemiface.report.words.texts import selection
from hemiface.stats import ensembles
from hemiface.tables import (
    EMOTIONS,
    PROBABILITY_COLUMNS,
    Predictions,
    check_predictions,
    probabilities,
    read_predictions,
    write_predictions,
)


def table(models: int = 4, n: int = 40, seed: int = 0, noise: float = 1.5) -> Predictions:
    """Noisy networks on n validation and n test images, under full and upper."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(7, size=2 * n)
    cells = []
    for model in range(models):
        for one in ("full", "upper"):
            cell = pd.DataFrame(
                {
                    "image": [f"{index:016x}" for index in range(2 * n)],
                    "condition": one,
                    "model": f"full-seed{model}",
                    "dataset": "tiny",
                    "split": ["validation"] * n + ["test"] * n,
                    "label": np.asarray(EMOTIONS)[labels],
                    "group": [f"{index:016x}" for index in range(2 * n)],
                    "leaked": False,
                }
            )
            logits = rng.normal(0, noise, (2 * n, 7)) + 2 * np.eye(7)[labels]
            values = np.exp(logits)
            cell[list(PROBABILITY_COLUMNS)] = values / values.sum(axis=1, keepdims=True)
            cells.append(cell)
    joined = pd.concat(cells, ignore_index=True)
    return described(joined, {"flips": False}, data={"source": "tiny"})


def quality(rows: pd.DataFrame, members: list[str]) -> tuple[float, float]:
    """Accuracy and negative log loss of the mean, by scikit-learn."""
    cells = [rows[rows["model"] == member].sort_values("image") for member in members]
    mean = np.mean([probabilities(cell) for cell in cells], axis=0)
    truth = [EMOTIONS.index(label) for label in cells[0]["label"]]
    return (
        float(accuracy_score(truth, mean.argmax(axis=1))),
        -float(log_loss(truth, mean, labels=list(range(7)))),
    )


class TestCombine:
    @settings(max_examples=15)
    @given(st.integers(0, 10**6))
    def test_equals_the_mean_whatever_the_order_of_rows(self, seed: int) -> None:
        predictions = table(n=6)
        rows = predictions.table
        members = ["full-seed2", "full-seed0", "full-seed3"]
        shuffled = predictions.table.sample(frac=1, random_state=seed % 2**31)
        combined = ensembles.combine(described(shuffled), members, "three").table
        check_predictions(combined)
        assert set(combined["model"]) == {"three-seed0"}
        for one in ("full", "upper"):
            cell = combined[combined["condition"] == one].sort_values("image")
            parts = [
                probabilities(
                    rows[(rows["model"] == member) & (rows["condition"] == one)].sort_values(
                        "image"
                    )
                )
                for member in members
            ]
            np.testing.assert_allclose(probabilities(cell), np.mean(parts, axis=0), atol=1e-12)

    def test_one_member_is_itself(self) -> None:
        predictions = table(n=6)
        combined = ensembles.combine(predictions, ["full-seed1"]).table
        alone = predictions.table[predictions.table["model"] == "full-seed1"]
        np.testing.assert_allclose(
            probabilities(combined.sort_values(["condition", "image"])),
            probabilities(alone.sort_values(["condition", "image"])),
        )

    def test_it_says_what_it_is_made_of(self) -> None:
        info = ensembles.combine(table(n=6), ["full-seed1", "full-seed0"], "pair").facts
        assert info["data"] == {"source": "tiny"}
        (model,) = info["models"]
        assert (model["name"], model["members"]) == ("pair", ["full-seed1", "full-seed0"])
        assert model["flips"] is False

    @pytest.mark.parametrize(
        ("flips", "expected"),
        [
            ((False, False), False),
            ((True, None), True),
            ((False, None), None),
            ((None, None), None),
        ],
    )
    def test_flips_are_what_is_known_of_its_members(self, flips, expected) -> None:
        given = table(models=2, n=6)
        models = [{**one, "flips": flip} for one, flip in zip(given.models, flips, strict=True)]
        (model,) = ensembles.combine(
            given.with_facts(models=models), ["full-seed0", "full-seed1"]
        ).models
        assert model["flips"] is expected

    def test_of_an_imported_table_it_says_on_what_its_members_were_selected(self) -> None:
        given = table(models=2, n=6)
        models = [{**one, "selected_on": "dev"} for one in given.models]
        known = given.with_facts(models=models, unknown=["group"])
        combined = ensembles.combine(known, ["full-seed0", "full-seed1"])
        assert combined.models[0]["selected_on"] == "dev"
        assert selection(combined).endswith("as their makers say: ensemble-seed0 on dev.")

    @pytest.mark.parametrize("members", [[], ["gone"], ["full-seed0", "full-seed0"]])
    def test_members_must_be_there_and_distinct(self, members: list[str]) -> None:
        with pytest.raises(UsageError, match="needs distinct models of the table"):
            ensembles.combine(table(n=6), members)

    @pytest.mark.parametrize(
        "members", [["full-seed0", "full-seed1"], ["full-seed1", "full-seed0"]]
    )
    @pytest.mark.parametrize(("column", "gone"), [("condition", "upper"), ("split", "validation")])
    def test_its_mean_is_of_all_members_everywhere(self, members, column, gone, caplog) -> None:
        rows = table(models=2, n=6).table
        short = rows[(rows["model"] != "full-seed1") | (rows[column] != gone)]
        found = ensembles.combine(described(short), members).table
        assert f"{gone}" in caplog.text
        wanted = ensembles.combine(described(rows[rows[column] != gone]), members).table
        key = ["image", "condition"]
        pd.testing.assert_frame_equal(
            found.sort_values(key, ignore_index=True), wanted.sort_values(key, ignore_index=True)
        )

    def test_members_without_anything_in_common(self) -> None:
        rows = table(models=2, n=6).table
        is_first = rows["model"] == "full-seed0"
        apart = rows[is_first == (rows["condition"] == "full")]
        with pytest.raises(UsageError, match="no image under one condition in common"):
            ensembles.combine(described(apart), ["full-seed0", "full-seed1"])


class TestSelect:
    @pytest.mark.parametrize("seed", range(5))
    def test_forward_selection_by_brute_force(self, seed: int) -> None:
        predictions = table(models=5, n=200, seed=seed)
        every = predictions.table
        rows = every[(every["split"] == "validation") & (every["condition"] == "full")]
        names = list(rows["model"].unique())
        chosen: list[str] = []
        best: tuple[tuple[float, float], list[str]] = ((0.0, 0.0), [])
        for _ in range(3):
            left = [name for name in names if name not in chosen]
            scores = [quality(rows, [*chosen, name]) for name in left]
            chosen = [*chosen, left[scores.index(max(scores))]]
            if max(scores) > best[0]:
                best = max(scores), chosen
        assert list(ensembles.select(predictions, size=3)) == best[1]

    def test_the_test_split_chooses_nothing(self) -> None:
        predictions = table(models=5, n=100)
        spoilt = predictions.table.copy()
        test = (spoilt["split"] == "test").to_numpy()
        spoilt.loc[test, list(PROBABILITY_COLUMNS)] = np.eye(7)[0]
        assert ensembles.select(predictions) == ensembles.select(described(spoilt))
        with pytest.raises(UsageError, match="of which the table has no rows"):
            ensembles.select(predictions.select(test))

    def test_candidates_and_conditions_are_respected(self) -> None:
        predictions = table(models=4, n=100)
        chosen = ensembles.select(predictions, candidates=["full-seed3"], conditions=["upper"])
        assert chosen == ("full-seed3",)
        with pytest.raises(UsageError, match="Model any-seed0 isn't in the table"):
            ensembles.select(predictions, candidates=["any-seed0"])
        with pytest.raises(UsageError, match="Condition lower isn't in the table; it has full, up"):
            ensembles.select(predictions, conditions=["lower"])
        with pytest.raises(UsageError, match="at least one member"):
            ensembles.select(predictions, size=0)

    def test_a_candidate_must_have_what_decides(self) -> None:
        rows = table(models=2, n=6).table
        short = rows[(rows["model"] != "full-seed1") | (rows["condition"] != "full")]
        with pytest.raises(UsageError, match="full-seed1 lacks validation images under full"):
            ensembles.select(described(short))
        assert ensembles.select(described(short), candidates=["full-seed0"]) == ("full-seed0",)


def test_joined_tables_must_be_of_the_same_images() -> None:
    predictions = table(n=6)
    every = predictions.table
    parts = [
        described(every[every["model"] == name], {"flips": False})
        for name in every["model"].unique()
    ]
    joined = ensembles.join(parts)
    assert len(joined) == len(predictions)
    assert joined.models == predictions.models
    with pytest.raises(UsageError, match=r"Two tables hold a model full-seed0; .*--name"):
        ensembles.join([parts[0], predictions])
    other = described(parts[1].table.assign(split="test"))
    with pytest.raises(DamagedError, match="another split, label or group"):
        ensembles.join([parts[0], other])
    with pytest.raises(DamagedError, match="evaluate again"):
        ensembles.join([parts[0], described(parts[1].table.iloc[1:])])
    with pytest.raises(UsageError, match="No prediction table"):
        ensembles.join([])


def test_what_is_not_known_of_one_of_joined_tables_is_not_known_of_both() -> None:
    every = table(models=2, n=6)
    ours, theirs = (
        described(every.table[every.table["model"] == name], {"flips": False})
        for name in ("full-seed0", "full-seed1")
    )
    both = ensembles.join([ours, theirs.with_facts(unknown=["selection"])])
    assert both.unknown == ["selection"]
    assert "isn't known" in selection(both)
    assert both.models[0]["selected_on"] == "validation images"


def test_the_command_writes_a_table_and_names_the_members(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions = table(models=3, n=60)
    source, out = tmp_path / "p.parquet", tmp_path / "e.parquet"
    write_predictions(predictions, source)
    assert hemiface(monkeypatch, "ensemble", source, "--size", 2, "--out", out) == 0
    printed = capsys.readouterr().out
    written = read_predictions(out)
    members = written.models[0]["members"]
    assert members == list(ensembles.select(predictions, size=2))
    assert all(member in printed for member in members)
    assert hemiface(monkeypatch, "ensemble", source, "--members", "full-seed9", "--out", out) == 2
    capsys.readouterr()
    whole, large = out.read_bytes(), ["ensemble", tmp_path / "few.parquet", "--out", out]
    some = predictions.table["image"].isin(predictions.table["image"].unique()[:30])
    write_predictions(predictions.select(some), tmp_path / "few.parquet")
    assert hemiface(monkeypatch, *large) == 2
    assert "more than the" in capsys.readouterr().err
    assert out.read_bytes() == whole
    assert hemiface(monkeypatch, *large, "--replace") == 0
    assert len(read_predictions(out)) < len(written)
