"""The inference benchmark: every file in every round, and numbers that add up."""

import json
import shutil
from itertools import product

import pytest

import inference as bench

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


def test_every_round_times_everything_in_turning_order() -> None:
    names = ["torch", "ONNX fp32", "ONNX int8"]
    found = list(bench.order(names, 3, bench.THREADS, bench.FACES_A_CALL))
    assert sorted(found) == sorted(product(range(3), (1, 2), (1, 64), names))
    assert [name for _, _, _, name in found[::12]] == names


def test_summaries_by_hand() -> None:
    runs = [
        {"round": number, "threads": 1, "faces": 1, "model": model, "seconds": seconds}
        for number, pair in enumerate([(4.0, 2.0), (6.0, 1.0), (5.0, 5.0)])
        for model, seconds in zip(("torch", "ONNX fp32"), pair, strict=True)
    ]
    first, second = bench.summarise(runs)
    assert first["seconds"] == {"median": 5.0, "low": 4.0, "high": 6.0, "n": 3}
    assert first["speedup"] == {"median": 1.0, "low": 1.0, "high": 1.0, "n": 3}
    assert second["seconds"] == {"median": 2.0, "low": 1.0, "high": 5.0, "n": 3}
    assert second["speedup"] == {"median": 2.0, "low": 1.0, "high": 6.0, "n": 3}


def test_the_whole_of_it(exported, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(bench, "CALLS", {1: 1, 64: 1})
    out = tmp_path / "i.json"
    files = [str(exported.bundle), str(exported.fp32), str(exported.int8)]
    assert bench.main([*files, "--repeats", "2", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    results = json.loads(out.read_text())
    assert len(results["runs"]) == 2 * 2 * 2 * 3
    assert results["files"]["ONNX int8"]["bytes"] == exported.int8.stat().st_size
    assert results["environment"]["versions"]["onnxruntime"]
    table = [line for line in said.splitlines() if line.startswith("|")]
    assert [line.split(" | ")[0] for line in table[2:]] == [
        "| torch", "| ONNX fp32", "| ONNX int8",
    ]  # fmt: skip
    for line in table[3:]:
        assert line.count(", x") == 4
    assert bench.main(["--markdown", "--out", str(out)]) == 0
    assert capsys.readouterr().out == said


def test_files_of_one_kind_go_by_their_own_names(exported, tmp_path) -> None:
    other = shutil.copy(exported.int8, tmp_path / "other.onnx")
    files = [str(exported.int8), str(other)]
    results = bench.run(bench.parse([*files, "--repeats", "1"]))
    assert list(results["files"]) == [exported.int8.stem, "other"]
    assert {row["model"] for row in results["summary"]} == {exported.int8.stem, "other"}


def test_errors(exported, tmp_path, capsys) -> None:
    twice = [str(exported.fp32), str(exported.fp32)]
    assert bench.main([*twice, "--out", str(tmp_path / "i.json")]) == 2
    assert "Two of the files have the same name" in capsys.readouterr().err
    assert bench.main([str(tmp_path / "none.onnx"), "--out", str(tmp_path / "i.json")]) == 2
    assert "doesn't exist" in capsys.readouterr().err
    assert bench.main(["--markdown", "--out", str(tmp_path / "i.json")]) == 2
