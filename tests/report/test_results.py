"""`hemiface compare` and `hemiface calibrate`: files, what is printed, exit codes."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from builders import hemiface, overconfident_predictions, sampled
from hemiface.config import StatisticsOptions
from hemiface.report import results
from hemiface.stats import metrics, sample
from hemiface.stats.calibration import CALIBRATION_METRICS
from hemiface.tables import Predictions, read_predictions, write_predictions

CELLS = {
    ("full-seed0", "full"): 1.5,
    ("full-seed0", "left"): 2.0,
    ("full-seed0", "right"): 3.0,
    ("full-seed1", "full"): 1.2,
    ("full-seed1", "left"): 2.5,
    ("full-seed1", "right"): 2.0,
    ("left-seed0", "left"): 1.0,
    ("left-seed0", "full"): 1.0,
    ("left-seed0", "right"): 1.0,
}
KEYS = ("full", "upper", "lower")
COMPARED = ["all_pairs", "mcnemar", "cochran", "confusion_shifts", "sides"]
CALIBRATED = ["calibration", "reliability", "risk_coverage", "aurc", "abstention"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table of predictions, and one of mirrored pictures."""
    folder = tmp_path_factory.mktemp("run")
    models = [
        {"model": "full-seed0", "name": "full", "seed": 0, "flips": True, "conditions": ["full"]},
        {"model": "full-seed1", "name": "full", "seed": 1, "flips": True, "conditions": ["full"]},
        {"model": "left-seed0", "name": "left", "seed": 0, "flips": False, "conditions": ["left"]},
    ]
    table = overconfident_predictions(CELLS, 240).table
    # Conditions differ in what they confuse, not only in their confidence.
    columns = [name for name in table if name.startswith("p_")]
    hidden = (table["condition"] == "left") & (np.arange(len(table)) % 3 == 0)
    table.loc[hidden, columns] = table.loc[hidden, columns].to_numpy()[:, ::-1]
    predictions = Predictions(table, {"models": models})
    write_predictions(predictions, folder / "predictions.parquet")
    write_predictions(predictions.with_facts(mirrored=True), folder / "mirrored.parquet")
    return folder


def test_what_asks_for_labels_alone_is_told_of_every_network():
    """Also of one that has no validation images beside one that has some."""
    cells = {(model, key): 1.5 for model in ("full-seed0", "any-seed0") for key in KEYS}
    table = overconfident_predictions(cells, 240).table
    without = (table["model"] == "any-seed0") & (table["split"] == "validation")
    models = [
        {"model": f"{name}-seed0", "name": name, "seed": 0, "conditions": conditions}
        for name, conditions in (("full", ["full"]), ("any", list(KEYS)))
    ]
    predictions = Predictions(table[~without].reset_index(drop=True), {"models": models})
    found = results.compute(predictions, StatisticsOptions(draws=20))
    assert any("bits of any-seed0 aren't told" in one for one in found.left_out)
    assert set(found.tables["sensitivity"]["model"]) == {"full", "any"}
    assert set(found.tables["information"]["model"]) == {"full"}


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("compare", "all_pairs.csv"),
        ("calibrate", "aurc.csv"),
        ("calibrate", "temperatures.json"),
        ("information", "information.csv"),
    ],
)
def test_what_hemiface_did_not_write_is_left_and_what_it_wrote_replaced(
    run, tmp_path, monkeypatch, capsys, command, name
):
    words = (command, run, "--out", tmp_path, "--draws", 5)
    (tmp_path / name).write_text("mine\n")
    assert hemiface(monkeypatch, *words) == 2
    assert f"{name} is there, and nothing beside it says that" in capsys.readouterr().err
    assert [one.name for one in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine\n"
    (tmp_path / name).unlink()
    for _ in range(2):
        assert hemiface(monkeypatch, *words) == 0
    assert (tmp_path / name).read_text() != "mine\n"


@pytest.mark.usefixtures("undrawn")
def test_commands_share_a_folder_and_leave_what_none_of_them_wrote(
    run, tmp_path, monkeypatch, capsys
):
    own, out = tmp_path / "run", tmp_path / "out"
    own.mkdir()
    (own / "predictions.parquet").write_bytes((run / "predictions.parquet").read_bytes())
    (own / "config.toml").write_text('name = "c"\n[statistics]\ndraws = 5\n')
    report = ("report", own, "--out", out, "--no-pictures")
    compared, calibrated = ((name, own, "--out", out, "--draws", 5)
                            for name in ("compare", "calibrate"))  # fmt: skip
    for words in (compared, report, calibrated, compared):
        assert hemiface(monkeypatch, *words) == 0
    (out / ".compare").unlink()
    assert hemiface(monkeypatch, *compared) == 0
    for name in (".report", "report.html"):
        (out / name).unlink()
    (out / "matrix.csv").write_text("mine\n")
    capsys.readouterr()
    assert hemiface(monkeypatch, *report) == 2
    assert "matrix.csv is there, and nothing beside it says that" in capsys.readouterr().err
    assert (out / "matrix.csv").read_text() == "mine\n"


class TestCompare:
    def test_tables_and_what_is_printed(self, run, tmp_path, monkeypatch, capsys):
        code = hemiface(monkeypatch, "compare", run, "--out", tmp_path, "--draws", 30)
        assert code == 0
        told = capsys.readouterr()
        for name in COMPARED:
            assert (tmp_path / f"{name}.csv").is_file()
            assert f"{name}.csv" in told.out.replace("\n", "")
        assert "full on left" in told.out
        assert "trained with flips" in told.err
        sides = pd.read_csv(tmp_path / "sides.csv")
        assert set(sides["part"]) == {"as shown"}
        # The left specialist is not compared with itself.
        assert set(sides["model"]) == {"full"}

    def test_json_with_the_mirror_control(self, run, tmp_path, monkeypatch, capsys):
        code = hemiface(
            monkeypatch, "compare", run / "predictions.parquet", "--mirrored",
            run / "mirrored.parquet", "--out", tmp_path, "--draws", 30, "--margin", 0.05, "--json",
        )  # fmt: skip
        assert code == 0
        known = json.loads(capsys.readouterr().out)
        rows = pd.DataFrame(known["accuracy"])
        assert set(rows["metric"]) == {"accuracy"}
        assert set(rows["margin"]) == {0.05}
        # Several seeds are shown as their mean, a single one as itself.
        assert set(rows.loc[rows["kind"] == "robustness", "seed"]) == {"mean"}
        assert set(rows["kind"]) == {"robustness", "available information", "own conditions"}
        assert set(pd.read_csv(tmp_path / "sides.csv")["part"]) == {
            "as shown", "mirrored", "face", "network",
        }  # fmt: skip

    def test_tables_lie_in_a_folder_of_their_own_by_default(self, run, monkeypatch):
        assert hemiface(monkeypatch, "compare", run, "--draws", 5, "--json") == 0
        assert (run / "compare" / "all_pairs.csv").is_file()

    def test_what_has_no_subject_is_not_written(self, run, tmp_path):
        every = read_predictions(run / "predictions.parquet")
        table = every.table
        single = every.select((table["model"] == "full-seed0") & (table["condition"] == "full"))
        found = results.compare(sampled(single, draws=5), tmp_path)
        assert [path.stem for path in found.files] == COMPARED[:3]
        assert found.accuracy.empty
        assert found.warnings == []

    @pytest.mark.parametrize(
        ("options", "code", "sentence"),
        [
            (["--protocol", "best"], 2, "Protocol 'best' is unknown"),
            (["--margin", "0"], 2, "margin must lie between 0 and 1"),
            (["--margin", "inf"], 2, "margin must lie between 0 and 1"),
            (["--margin", "nan"], 2, "margin must lie between 0 and 1"),
            (["--mirrored", "predictions.parquet"], 2, "needs predictions of mirrored pictures"),
            (["--mirrored", "nothing.parquet"], 2, "doesn't exist"),
            (["--protocol", "validation"], 2, "choose from standard, paper, leak-free"),
        ],
    )
    def test_errors(self, run, tmp_path, monkeypatch, capsys, options, code, sentence):
        options = [str(run / one) if one.endswith(".parquet") else one for one in options]
        done = hemiface(monkeypatch, "compare", run, "--out", tmp_path, "--draws", 5, *options)
        assert done == code
        assert sentence in capsys.readouterr().err


class TestCalibrate:
    def test_tables_and_what_is_printed(self, run, tmp_path, monkeypatch, capsys):
        code = hemiface(
            monkeypatch, "calibrate", run, "--out", tmp_path, "--draws", 30, "--risk", 0.3
        )
        assert code == 0
        told = capsys.readouterr().out
        assert "by visibility" in told
        scores = pd.read_csv(tmp_path / "calibration.csv").set_index("metric")
        first = (100 * scores.loc[[*CALIBRATION_METRICS[2:]], "value"]).groupby(level=0).first()
        ece, floor, rms = first[[*CALIBRATION_METRICS[2:]]]
        assert f"{ece:.1f} ({floor:.1f}), {rms:.1f}" in told
        for name in CALIBRATED:
            assert (tmp_path / f"{name}.csv").is_file()
        assert set(pd.read_csv(tmp_path / "abstention.csv")["target"]) == {0.3}
        known = json.loads((tmp_path / "temperatures.json").read_text())
        assert set(known) == {"full-seed0", "full-seed1", "left-seed0"}
        assert set(known["full-seed0"]["conditions"]) == {"full", "left", "right"}
        assert known["full-seed0"]["conditions"]["right"] == pytest.approx(3, rel=0.3)
        assert known["left-seed0"]["pooled"] == pytest.approx(
            known["left-seed0"]["conditions"]["full"], rel=0.5
        )

    def test_json(self, run, tmp_path, monkeypatch, capsys):
        code = hemiface(monkeypatch, "calibrate", run, "--out", tmp_path, "--draws", 5, "--json")
        assert code == 0
        known = json.loads(capsys.readouterr().out)
        assert known["temperatures"] == json.loads((tmp_path / "temperatures.json").read_text())

    def test_a_table_of_test_images_alone_is_refused(self, run, tmp_path, monkeypatch, capsys):
        every = read_predictions(run / "predictions.parquet")
        write_predictions(every.select(every.table["split"] == "test"), tmp_path / "test.parquet")
        assert hemiface(monkeypatch, "calibrate", tmp_path / "test.parquet") == 2
        assert "fitted on validation images" in capsys.readouterr().err
        assert not list(tmp_path.rglob("temperatures.json"))


class TestShared:
    """One report selects, aligns and draws once, however many tables it makes."""

    def test_what_a_report_does_once(self, run, monkeypatch):
        selected, aligned, drawn = [], [], []

        def counting(function, calls):
            def counted(*arguments):
                calls.append(arguments)
                return function(*arguments)

            return counted

        select = counting(sample.select_protocol, selected)
        draw = counting(sample.group_weights, drawn)
        codes = counting(sample.cell_codes, aligned)
        monkeypatch.setattr(sample, "select_protocol", select)
        monkeypatch.setattr(sample, "group_weights", draw)
        monkeypatch.setattr(sample, "cell_codes", codes)
        sample._sample_and_draws.cache_clear()
        predictions = read_predictions(run / "predictions.parquet")
        found = results.compute(predictions, StatisticsOptions(draws=20))
        sample._sample_and_draws.cache_clear()
        assert {"all_pairs", "sides", "confusion_shifts", "calibration"} <= set(found.tables)
        protocols = [protocol for _, protocol in selected]
        assert sorted(protocols) == sorted(set(protocols)) == sorted(metrics.PROTOCOLS)
        # Draws depend on how many groups there are and on nothing else.
        assert len(drawn) == len(set(drawn)) <= len(found.samples)
        assert len(aligned) <= 2 * len(found.samples)
