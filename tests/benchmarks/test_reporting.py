import reporting
from hemiface.report.results import read_run
from hemiface.stats.importance import playable
from hemiface.stats.metrics import summarise


def test_synthetic_predictions_are_a_valid_run_with_the_planted_effects(tmp_path):
    rows = reporting.synthesise(tmp_path, 600, 1)
    assert rows == 6 * 16 * 600
    run = read_run(tmp_path)
    assert len(run.predictions) == rows
    assert run.settings.seeds == (0,)
    assert playable(run.predictions)
    scores = summarise(run.predictions, ["accuracy"])
    values = scores.set_index(["model", "condition"])["value"]
    for half in ("upper", "lower", "left", "right"):
        whole = values["full-seed0", "full"]
        assert values["full-seed0", half] < values[f"{half}-seed0", half] < whole
    assert values["any-seed0", "lower"] < values["any-seed0", "upper"]
    assert abs(values["any-seed0", "left"] - values["any-seed0", "right"]) < 0.06


def test_time_and_memory_are_those_of_the_command():
    found = reporting.skeleton.cost_of("--version")
    assert 0 < found["cpu_s"] <= found["time_s"] + 1
    assert found["peak_mib"] > 5
