"""What benchmarks share: arguments, facts, files, processes, and how repeats are put together."""

import importlib
import json
import sys

import pytest

import skeleton
import timing
from hemiface.errors import DamagedError, HemifaceError

COMMITTED = {
    "cluster.json": "cluster",
    "first_answer.json": "first_answer",
    "following.json": "following",
    "inference-nano.json": "inference",
    "inference-networks.json": "inference",
    "inference-networks-vnni.json": "inference",
    "inference-shipped.json": "inference",
    "large_tables.json": "large_tables",
    "large_tables-100m.json": "large_tables",
    "predictors.json": "predictors",
    "ray_predict-5000.json": "ray_predict",
    "ray_predict-apart.json": "ray_predict",
    "ray_predict.json": "ray_predict",
    "reporting.json": "reporting",
    "serving-crops.json": "serving",
    "serving.json": "serving",
    "small_faces.json": "small_faces",
    "throughput-gpu.json": "throughput",
    "throughput.json": "throughput",
    "training.json": "training",
    "video.json": "video",
    "whole_photos.json": "whole_photos",
}


def test_every_committed_file_is_one_of_a_benchmark():
    assert sorted(path.name for path in skeleton.RESULTS.glob("*.json")) == sorted(COMMITTED)


@pytest.mark.parametrize(("file", "script"), COMMITTED.items())
def test_what_was_measured_before_is_still_shown(file, script, capsys):
    if script in ("throughput", "video"):
        pytest.importorskip({"throughput": "torch", "video": "av"}[script])
    importlib.import_module(script).show(skeleton.read(skeleton.RESULTS / file))
    assert len(capsys.readouterr().out.splitlines()) > 1


def options(path, *words):
    parser = skeleton.parser("About.", path, repeats=3, markdown=True, worker=True)
    return parser.parse_args(words)


def test_what_is_shown_is_what_the_file_holds(tmp_path, capsys):
    out, shown = tmp_path / "new" / "x.json", []
    run = {"value": (1, 2)}
    assert skeleton.main(options(out), lambda _: run, shown.append) == 0
    assert json.loads(out.read_text()) == {"value": [1, 2]} == shown[0]
    assert str(out) in capsys.readouterr().err
    assert skeleton.main(options(out, "--markdown"), pytest.fail, shown.append) == 0
    assert shown[1] == shown[0]
    assert skeleton.main(options(tmp_path / "n", "--markdown"), pytest.fail, pytest.fail) == 2
    assert "run the benchmark first" in capsys.readouterr().err


def test_a_worker_answers_with_json_and_writes_nothing(tmp_path, capsys):
    command = skeleton.worker_command("x.py", {"steps": 2})
    asked = options(tmp_path / "x.json", *command[2:])
    assert skeleton.main(asked, pytest.fail, pytest.fail, lambda job: {"got": job}) == 0
    assert json.loads(capsys.readouterr().out) == {"got": {"steps": 2}}
    assert list(tmp_path.iterdir()) == []


def test_errors_have_their_exit_codes(tmp_path, capsys):
    def fail(_):
        raise DamagedError("It is torn.")

    assert skeleton.main(options(tmp_path / "x.json"), fail, pytest.fail) == DamagedError.exit_code
    assert capsys.readouterr().err == "Error: It is torn.\n"
    with pytest.raises(SystemExit):
        options(tmp_path, "--repeats", "0")
    assert "0 is no whole number of at least 1" in capsys.readouterr().err


def test_facts_hold_the_same_under_names_and_at_the_top():
    machine = skeleton.Machine()
    facts, flat = machine.facts(), machine.flat_facts()
    assert set(facts) == {"environment", "load_average", "minutes"}
    assert facts["environment"] == {key: flat[key] for key in ("versions", "hardware")}
    assert "instructions" in flat["hardware"]
    assert facts["load_average"]["before"][0] == flat["load_before"]
    said = f"{skeleton.processor(facts)}; {skeleton.versions(facts, ('python', 'absent'))}"
    assert said.endswith(f" before the run of 0 minutes; python {sys.version.split()[0]}")


def test_fresh_processes_are_timed_one_by_one():
    found = skeleton.fresh([sys.executable, "-c", "b = bytearray(60_000_000)"])
    assert found["peak_mib"] > 60
    assert found["processor_s"] > 0
    small = skeleton.fresh([sys.executable, "-S", "-c", "pass"])
    assert small["peak_mib"] < 40
    with pytest.raises(HemifaceError, match="ended with 3"):
        skeleton.fresh([sys.executable, "-c", "raise SystemExit(3)"])


def test_repeats_by_hand():
    assert timing.spread([3.0, 1.0, 2.0]) == {"median": 2.0, "low": 1.0, "high": 3.0, "n": 3}
    # The median of pairs, which isn't the ratio of medians (2).
    assert timing.ratios([2.0, 9.0, 4.0], [1.0, 3.0, 4.0])["median"] == 2.0
    assert timing.ratios([2.0, 9.0, 5.0], [1.0, 2.0, 4.0]) == {
        "median": 2.0, "low": 1.25, "high": 4.5, "n": 3,
    }  # fmt: skip
    assert [timing.turned("ab", repeat) for repeat in range(3)] == [
        list(x) for x in ("ab", "ba", "ab")
    ]
    called = []
    assert timing.median_seconds(lambda: called.append(0), 4) >= 0
    assert len(called) == 5
