"""The speedrun's table is that of its networks."""

from pathlib import Path

import pandas as pd
import pytest

torch = pytest.importorskip("torch", reason="it trains networks")

import speedrun  # noqa: E402
from hemiface.config import load  # noqa: E402
from hemiface.data.cache import prepare  # noqa: E402
from hemiface.networks.evaluate import evaluate  # noqa: E402
from hemiface.stats.metrics import summarise  # noqa: E402

pytestmark = pytest.mark.slow

DATA = "phantom:n=140"


def test_the_speedrun_lists_what_its_network_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    out, kept = tmp_path / "out", tmp_path / "networks"
    words = ["--data", DATA, "--runs", "1", "--device", "cpu", "--out", str(out)]
    words += ["--set", "model.architecture=tiny"]
    # Of another recipe's runs nothing stays beside this one's.
    out.mkdir()
    (out / "history-seed1.csv").write_text("epoch\n")
    code = speedrun.main([*words, "--set", "train.epochs=1", "--keep", str(kept)])
    tables = {"runs.csv", "history-seed0.csv", "environment.json", "config.toml"}
    assert {one.name for one in out.iterdir()} == tables
    row = pd.read_csv(out / "runs.csv").iloc[0]
    images = prepare(DATA, tmp_path / "data", near_duplicates=False, protocol="paper")
    table = evaluate(
        [kept / "seed0.safetensors"], images, conditions=["full"], splits=["test"], device="cpu"
    )
    scores = summarise(table).set_index("metric")["value"]
    for metric in ("accuracy", "macro_f1", "weighted_f1", "weighted_auc"):
        assert row[metric] == pytest.approx(scores[metric], rel=1e-5)
    assert row["n"] == len(table)
    target = speedrun.TARGET
    assert target == pytest.approx(0.6649, abs=5e-5)
    assert row["reached"] == (row["accuracy"] >= target)
    assert code == (0 if row["reached"] else 1)
    assert pd.read_csv(out / "history-seed0.csv")["epoch"].tolist() == [1]
    assert 0 < row["training_command_s"] < row["seconds"]
    assert load(out / "config.toml").train.epochs == 1
    assert f"{int(row['reached'])} of 1 runs reached 66.49 %" in capsys.readouterr().out
