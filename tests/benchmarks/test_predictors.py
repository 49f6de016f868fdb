"""The comparison of predictors: every process in every round, and aims judged by their numbers."""

import json
import sys
from itertools import product

import pytest

import predictors as bench
from builders import tiny_images
from hemiface.errors import HemifaceError, UsageError
from hemiface.models.onnx_file import OnnxModel
from hemiface.occlusion.conditions import condition, hide
from hemiface.tables import label_indices

pytestmark = pytest.mark.slow

OWN = "hemiface people-small-int8"


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(bench, "THREADS", (1,))
    monkeypatch.setattr(bench, "CALLS", {1: 1, 8: 1})
    return bench


def test_every_round_times_everything_in_turning_order():
    names = ["a", "b", "c"]
    found = list(bench.order(names, 3, bench.THREADS, list(bench.CALLS)))
    assert sorted(found) == sorted(product(range(3), bench.THREADS, bench.CALLS, names))
    firsts = found[:: len(names) * len(bench.THREADS) * len(bench.CALLS)]
    assert [name for *_, name in firsts] == names


def test_processes_answer_as_this_one_does(quick, exported):
    entered = [
        quick.Contestant(OWN, "onnx", exported.int8),
        quick.Contestant("torch eager", "torch", exported.bundle),
    ]
    images = tiny_images()
    runs, facts = quick.measure(entered, images, repeats=2)
    assert len(runs) == 2 * 2 * 2
    assert all(one["seconds"] > 0 for one in runs)
    test = images.split("test")
    for name, file in (
        (OWN, exported.int8),
        ("torch eager", exported.fp32),
    ):
        for key in quick.CONDITIONS:
            answers = OnnxModel.load(file).predict(hide(test.pixels, condition(key)))
            right = (answers.argmax(axis=1) == label_indices(test.table)).mean()
            assert facts[name]["accuracy"][key] == pytest.approx(right)
        assert facts[name]["peak_mib"] > 10
    assert facts["torch eager"]["bytes"] == exported.bundle.stat().st_size


def test_a_process_that_can_not_start_says_why(quick, tmp_path):
    with pytest.raises(HemifaceError, match=r"mine stopped: .*none\.onnx doesn't exist"):
        quick.Worker(quick.Contestant("mine", "onnx", tmp_path / "none.onnx"), 1)


def test_an_environment_without_fer():
    if bench.subprocess.run([sys.executable, "-c", "import fer"], check=False).returncode == 0:
        pytest.skip("fer is installed here")
    with pytest.raises(UsageError, match="has no package fer"):
        bench.contestants(None, sys.executable)


def made(**changes):
    """Results as `run` gives them, with numbers to judge by hand."""
    seconds = {(OWN, 1, 1): 0.0008, (OWN, 1, 64): 0.02,
               ("fer 1, quantised", 1, 1): 0.0006, ("fer 1, quantised", 1, 64): 0.04}  # fmt: skip
    runs = [
        {"round": number, "threads": threads, "faces": size, "model": model,
         "seconds": value * (1 + number)}
        for (model, threads, size), value in seconds.items() for number in (-0.5, 0, 2)
    ]  # fmt: skip
    ours = dict(zip(bench.CONDITIONS, (0.70, 0.60, 0.50, 0.62, 0.63), strict=True))
    theirs = dict(zip(bench.CONDITIONS, (0.66, 0.43, 0.20, 0.48, 0.49), strict=True))
    facts = {"bytes": 3_000_000, "n": 3589, "peak_mib": 100.0}
    results = {
        "models": {OWN: {**facts, "accuracy": ours},
                   "fer 1, quantised": {**facts, "accuracy": theirs}},
        "summary": bench.summarise(runs),
        "fresh_processes": {"photo to answer, people-small-int8": {
            key: bench.spread([1.0, 1.2, 4.0]) for key in ("seconds", "processor_s", "peak_mib")}},
        "fresh_without_torch": True,
        "video": {"frames_per_s": bench.spread([20.0]), "frames": [10, 90]},
        "install": {"venv_s": 3.0, "pip_s": 40.0, "mb": 350.0},
        "environment": {"hardware": {"processor": "x", "cores": 2}, "versions": {"python": "3"}},
        "load_average": {"before": [0.5]}, "minutes": 5.0, "runs": runs,
    }  # fmt: skip
    return results | changes


def test_aims_by_hand():
    found = {one["aim"]: one for one in bench.aims(made())}
    expected = {
        "int8, ms a face, 1 thread": (0.8, True),
        "int8, faces/s, 1 thread": (3200, True),
        "points above fer, full": (4, True),
        "points above fer, mean of the halves": (18.75, True),
        "points above fer, least of the halves": (14, False),
        "photo to answer, s": (1.2, True),
        "light install, MB": (350, True),
    }
    assert list(found) == list(expected)
    for name, (value, reached) in expected.items():
        assert found[name]["measured"] == pytest.approx(value)
        assert found[name]["reached"] is reached
    without = bench.aims(made(install=None, fresh_processes={}))
    assert [one["aim"] for one in without] == list(expected)[:5]


def test_the_tables_show_the_medians(tmp_path, capsys):
    results = made()
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"aims": bench.aims(results), **results}))
    assert bench.main(["--markdown", "--out", str(path)]) == 0
    said = capsys.readouterr().out
    assert f"| {OWN} | 3.00 | 0.80 | 70.0 | 60.0 | 50.0 | 62.0 | 63.0 | 100 |" in said
    assert "| fer 1, quantised | 1,667 | 1,600 |" in said
    assert "| photo to answer, people-small-int8 | 1.20 | 1.20 | 1 |" in said
    assert "| points above fer, least of the halves | 14.00 | > 15 | no |" in said
    assert "Video: 20.0 frames/s" in said
    assert "350 MB in 40 s" in said


def test_errors(tmp_path, capsys):
    with pytest.raises(SystemExit):
        bench.main([])
    assert bench.main(["--markdown", "--out", str(tmp_path / "none.json")]) == 2
    assert "run the benchmark first" in capsys.readouterr().err
