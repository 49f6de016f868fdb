from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score, recall_score

from builders import hemiface, tiny_predictions
from hemiface.config import StatisticsOptions
from hemiface.errors import UsageError
from hemiface.stats.data_sets import DATA_SET_COLUMNS, data_sets, read_data_sets
from hemiface.stats.matrix import matrix
from hemiface.stats.sample import Sample
from hemiface.tables import (
    EMOTIONS,
    PROBABILITY_COLUMNS,
    Predictions,
    write_predictions,
)

QUICK = StatisticsOptions(draws=60)


def named(name: str, n: int = 42, seed: int = 0, **columns: object) -> Predictions:
    predictions = tiny_predictions(n, seed)
    return replace(predictions, table=predictions.table.assign(dataset=name, **columns))


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Path, Path]:
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    write_predictions(named("one"), first)
    write_predictions(named("two", 28, seed=1), second)
    return first, second


def test_scores_are_those_of_another_library(tables: tuple[Path, Path]) -> None:
    found = data_sets(read_data_sets(tables), QUICK)
    assert tuple(found.columns) == DATA_SET_COLUMNS
    assert len(found) == 2 * 2 * 2 * 3
    for path, name, size in zip(tables, ("one", "two"), (42, 28), strict=True):
        rows = pd.read_parquet(path)
        for (model, condition), cell in rows.groupby(["model", "condition"]):
            guessed = np.asarray(EMOTIONS)[cell[list(PROBABILITY_COLUMNS)].to_numpy().argmax(1)]
            ours = found[
                (found["data_set"] == name)
                & (found["model"] == model)
                & (found["condition"] == condition)
            ].set_index("metric")
            expected = {
                "accuracy": accuracy_score(cell["label"], guessed),
                "balanced_accuracy": recall_score(cell["label"], guessed, average="macro"),
                "macro_f1": f1_score(cell["label"], guessed, average="macro"),
            }
            assert ours["value"].to_dict() == pytest.approx(expected)
            assert (ours["n"] == size).all()
            assert (ours["groups"] == size // 2).all()
            assert (ours[[f"n_{emotion}" for emotion in EMOTIONS]] == size // 7).all(axis=None)
            assert (ours["low"] <= ours["value"]).all()
            assert (ours["value"] <= ours["high"]).all()


def test_a_data_set_has_the_intervals_that_it_has_alone(tables: tuple[Path, Path]) -> None:
    together = data_sets(read_data_sets(tables), QUICK)
    alone = data_sets(read_data_sets(tables[1:]), QUICK)
    pd.testing.assert_frame_equal(
        together[together["data_set"] == "two"].reset_index(drop=True), alone
    )
    # And those of the report.
    predictions = read_data_sets(tables[1:])[0][1]
    report = matrix(Sample.of(predictions, "standard", QUICK), ["accuracy"])
    report = report[report["seed"] == "mean"]
    ours = alone[alone["metric"] == "accuracy"]
    np.testing.assert_allclose(
        report[["value", "low", "high"]].to_numpy(), ours[["value", "low", "high"]].to_numpy()
    )


def test_absent_classes_are_counted_and_have_no_say(tmp_path: Path) -> None:
    predictions = named("some", 42)
    table = predictions.table[predictions.table["label"].isin(["happy", "sad"])]
    write_predictions(replace(predictions, table=table), tmp_path / "a.parquet")
    found = data_sets(read_data_sets([tmp_path / "a.parquet"]), QUICK)
    assert (found["n_happy"] == 6).all()
    assert (found["n_fear"] == 0).all()
    cell = table[(table["model"] == "full-seed0") & (table["condition"] == "full")]
    guessed = np.asarray(EMOTIONS)[cell[list(PROBABILITY_COLUMNS)].to_numpy().argmax(1)]
    recalls = recall_score(cell["label"], guessed, average=None, labels=["happy", "sad"])
    ours = found.set_index(["model", "condition", "metric"])["value"]
    assert ours["full-seed0", "full", "balanced_accuracy"] == pytest.approx(recalls.mean())


def test_one_group_has_no_interval_and_says_why(tmp_path: Path) -> None:
    write_predictions(named("one", 14, group="Ann"), tmp_path / "a.parquet")
    found = data_sets(read_data_sets([tmp_path / "a.parquet"]), QUICK)
    assert found[["low", "high"]].isna().all(axis=None)
    assert set(found["reason"]) == {"fewer than two groups to resample"}


def test_one_name_for_other_labels_is_told_apart(tmp_path: Path) -> None:
    """FER2013 by its own labels and by FER+'s: two data sets, though both are called so."""
    for name, label in (("own", "happy"), ("people", "sad")):
        write_predictions(named("fer2013", label=label), tmp_path / f"{name}.parquet")
    found = read_data_sets([tmp_path / "own.parquet", tmp_path / "people.parquet"])
    assert [name for name, _ in found] == ["fer2013 (own)", "fer2013 (people)"]
    assert set(data_sets(found, QUICK)["model"]) == {"full-seed0", "upper-seed0"}


def test_models_of_one_id_on_one_data_set_are_told_apart(tmp_path: Path) -> None:
    paths = [tmp_path / place / "table.parquet" for place in ("first", "second")]
    for seed, path in enumerate(paths):
        path.parent.mkdir()
        table = named("one", seed=seed).table
        table["label"] = [EMOTIONS[index % 7] for index in range(42)] * 4
        write_predictions(replace(named("one"), table=table), path)
    found = data_sets(read_data_sets(paths), QUICK)
    assert set(found["data_set"]) == {"one"}
    assert set(found["model"]) == {
        f"{model} ({place}/table)"
        for model in ("full-seed0", "upper-seed0")
        for place in ("first", "second")
    }


def test_tables_in_folders_of_one_name_are_told_apart_further_up(tmp_path: Path) -> None:
    paths = [tmp_path / place / "run" / "predictions.parquet" for place in ("first", "second")]
    for seed, path in enumerate(paths):
        path.parent.mkdir(parents=True)
        write_predictions(named("one", seed=seed), path)
    found = data_sets(read_data_sets(paths), QUICK)
    assert len(found) == 2 * 2 * 2 * 3
    said = {*found["data_set"], *found["model"]}
    for place in ("first", "second"):
        assert any(f"{place}/run/predictions" in one for one in said)


def test_the_table_takes_nothing_elses_place(tables, tmp_path, monkeypatch, capsys) -> None:
    mine = tmp_path / "labels.csv"
    mine.write_text("file,label\na.png,happy\n")
    for out in (mine, tables[0]):
        before = out.read_bytes()
        assert hemiface(monkeypatch, "data", "across", *tables, "--out", out) == 2
        assert "no table of this command's" in capsys.readouterr().err
        assert out.read_bytes() == before


def test_what_is_given_twice_or_not_at_all_is_told(tables: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match="A table is given twice"):
        read_data_sets([tables[0], tables[0]])
    with pytest.raises(UsageError, match="is given twice; give each once"):
        data_sets(read_data_sets(tables[:1]) * 2, QUICK)
    with pytest.raises(UsageError, match="No prediction table is named"):
        data_sets([], QUICK)
    with pytest.raises(UsageError, match=r"one has no image that protocol standard scores"):
        data_sets([("one", named("one", split="train"))], QUICK)


def test_the_command_writes_and_prints_the_table(
    tables: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "across.csv"
    arguments = ("data", "across", *tables, "--out", out, "--draws", "60")
    assert hemiface(monkeypatch, *arguments) == 0
    printed = capsys.readouterr().out
    assert "mean recall" in printed
    written = pd.read_csv(out)
    assert set(written["data_set"]) == {"one", "two"}
    first = written.iloc[0]
    assert f"{100 * first['value']:.1f}" in printed
    assert hemiface(monkeypatch, *arguments[:2], tmp_path / "no.parquet") == 2
    assert "no.parquet doesn't exist" in capsys.readouterr().err
