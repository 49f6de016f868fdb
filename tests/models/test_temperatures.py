"""Temperatures by what is visible: interpolation, the file beside a model, and its use."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import hemiface, tiny_predictions
from hemiface.errors import DamagedError, UsageError
from hemiface.files import sha256_file, with_hash, write_json
from hemiface.models import shipped
from hemiface.models.temperatures import (
    STATED,
    ModelCalibration,
    View,
    calibration_path,
    scale,
)
from hemiface.occlusion.conditions import CONDITIONS, QUADRANTS, condition
from hemiface.stats.calibration import fit_temperatures
from hemiface.stats.model_scores import scores_on_test
from hemiface.stats.model_temperatures import answered, calibrate_model
from hemiface.tables import PROBABILITY_COLUMNS, Predictions, write_predictions

T = {name: 1.0 + index / 10 for index, name in enumerate(CONDITIONS)}
VIEW = View({"pooled": 3.0, **T}, 0.5, ())
SHARES = st.tuples(*[st.floats(0, 1)] * 4)


def visible(name: str) -> list[float]:
    hidden = condition(name).hidden
    return [0.0 if quadrant in hidden else 1.0 for quadrant in QUADRANTS]


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_measured_condition_has_its_own_temperature(name):
    assert VIEW.temperature(visible(name)) == pytest.approx(T[name])


def test_a_condition_without_one_takes_the_pooled():
    view = View({"pooled": 3.0, "full": 2.0}, 0.5, ())
    assert view.temperature(visible("left")) == pytest.approx(3.0)
    assert view.temperature([1, 1, 1, 1]) == pytest.approx(2.0)


@settings(max_examples=50)
@given(SHARES, st.integers(0, 3), st.floats(0, 1))
def test_between_them_the_logarithm_is_linear_in_each_quadrant(shares, which, at):
    low, high, middle = list(shares), list(shares), list(shares)
    low[which], high[which], middle[which] = 0, 1, at
    ends = np.log([VIEW.temperature(low), VIEW.temperature(high)])
    assert np.log(VIEW.temperature(middle)) == pytest.approx((1 - at) * ends[0] + at * ends[1])
    assert min(T.values()) - 1e-9 <= VIEW.temperature(shares) <= max(T.values()) + 1e-9


def test_temperature_keeps_order_and_softmax():
    logits = np.random.default_rng(0).normal(0, 3, (20, 7))
    soft = lambda z: np.exp(z) / np.exp(z).sum(1, keepdims=True)  # noqa: E731
    each = np.linspace(0.5, 3, 20)
    np.testing.assert_allclose(scale(soft(logits), each), soft(logits / each[:, None]), rtol=1e-9)


def predictions(sha256: str, *, flip: bool = False, n: int = 300) -> Predictions:
    """Confidences that are too high under `lower` and right elsewhere; validation and test."""
    rng = np.random.default_rng(int(flip))
    cells = []
    for split in ("validation", "test"):
        for one in STATED:
            base = tiny_predictions(n).table
            cell = base[(base["model"] == "full-seed0") & (base["condition"] == "full")].copy()
            cell["image"] = split + cell["image"]
            true = rng.dirichlet(np.full(7, 0.3), n)
            labels = [rng.choice(7, p=row) for row in true]
            cell["label"] = pd.Series(labels, index=cell.index).map(
                dict(enumerate(p.removeprefix("p_") for p in PROBABILITY_COLUMNS))
            )
            said = scale(true, 0.4) if one == "lower" else true
            cell[list(PROBABILITY_COLUMNS)] = said
            cells.append(cell.assign(condition=one, split=split, model="any-fp16-seed0"))
    table = pd.concat(cells, ignore_index=True)
    models = [{"model": "any-fp16-seed0", "name": "any-fp16", "seed": 0, "sha256": sha256}]
    return Predictions(table, {"models": models, "flip": flip, "data": {"data_sha256": "d"}})


@pytest.fixture
def files(tmp_path) -> tuple[Path, Path]:
    model = tmp_path / "some.onnx"
    model.write_bytes(b"a network")
    write_predictions(predictions(sha256_file(model)), tmp_path / "one.parquet")
    return model, tmp_path / "one.parquet"


def test_the_file_says_what_validation_says(files):
    model, table = files
    made = calibrate_model(model, [table])
    assert made == calibration_path(model)
    found = ModelCalibration.beside(model, sha256_file(model))
    view = found.views["one"]
    assert view.temperatures["lower"] == pytest.approx(2.5, rel=0.25)
    assert view.temperatures["full"] == pytest.approx(1.0, rel=0.25)
    assert found.fitted_on["images"] == 300
    # Brute force: the least whole percent that keeps the risk everywhere.
    every = predictions(sha256_file(model))
    fitted = fit_temperatures(every).set_index("condition")["temperature"]
    rows = every.table[every.table["split"] == "validation"]
    worst = []
    for one in STATED:
        cell = rows[rows["condition"] == one]
        values = scale(cell[list(PROBABILITY_COLUMNS)].to_numpy(), fitted[one])
        right = [f"p_{name}" for name in cell["label"]] == np.asarray(PROBABILITY_COLUMNS)[
            values.argmax(1)
        ]
        risks = [np.mean(~right[values.max(1) >= p / 100]) for p in range(70)]
        worst.append(risks)
    least = next(p for p in range(70) if max(risk[p] for risk in worst) <= 0.3)
    assert view.abstain_below == least / 100
    stated = [row for row in view.answered if row["abstain_below"] == view.abstain_below]
    assert [row["condition"] for row in stated] == list(STATED)
    assert all(row["accuracy"] >= 0.7 for row in stated)


def test_test_images_change_nothing(files, tmp_path):
    model, table = files
    before = json.loads(calibrate_model(model, [table]).read_text())
    other = predictions(sha256_file(model))
    other.table.loc[other.table["split"] == "test", list(PROBABILITY_COLUMNS)] = 1 / 7
    write_predictions(other, tmp_path / "other.parquet")
    after = json.loads(calibrate_model(model, [tmp_path / "other.parquet"]).read_text())
    assert after["views"]["one"].pop("tested") != before["views"]["one"].pop("tested")
    assert after.pop("hash") != before.pop("hash")
    assert after == before


def test_the_mix_of_the_training_is_kept(files):
    model, table = files
    path = calibrate_model(model, [table])
    content = json.loads(path.read_text())
    assert "class_mix" not in content
    mix = dict.fromkeys((p.removeprefix("p_") for p in PROBABILITY_COLUMNS), 1 / 7)
    write_json(path, with_hash(content | {"class_mix": mix}))
    calibrate_model(model, [table])
    assert ModelCalibration.beside(model, sha256_file(model)).class_mix == mix
    # Of another file, or damaged, nothing is taken over.
    for other in ({"model_sha256": "another"}, {"class_mix": {"happy": 1}}):
        write_json(path, with_hash(content | {"class_mix": mix} | other))
        calibrate_model(model, [table])
        assert json.loads(path.read_text()) == content


def test_both_views_may_be_given_once_each(files, tmp_path):
    model, table = files
    flipped = predictions(sha256_file(model), flip=True)
    write_predictions(flipped, tmp_path / "flip.parquet")
    calibrate_model(model, [table, tmp_path / "flip.parquet"])
    assert set(ModelCalibration.beside(model, sha256_file(model)).views) == {"one", "flipped"}
    with pytest.raises(UsageError, match="second table"):
        calibrate_model(model, [table, table])
    with pytest.raises(UsageError, match="without --flip"):
        calibrate_model(model, [tmp_path / "flip.parquet"])


def test_what_does_not_fit_is_told(files, tmp_path):
    model, table = files
    other = tmp_path / "other.onnx"
    other.write_bytes(b"another network")
    with pytest.raises(UsageError, match="no predictions of the file"):
        calibrate_model(other, [table])
    with pytest.raises(UsageError, match="between 0 and 1"):
        calibrate_model(model, [table], risk=0)
    # What predict never does to a face sets no temperature of its.
    known = predictions(sha256_file(model))
    own = known.table.assign(halves="face")
    for made in (known.with_facts(crop_px=40), dataclasses.replace(known, table=own)):
        write_predictions(made, tmp_path / "made.parquet")
        with pytest.raises(UsageError, match="--crop-px or --halves face, which predict doesn't"):
            calibrate_model(model, [tmp_path / "made.parquet"])
    calibrate_model(model, [table])
    model.write_bytes(b"trained on")
    with pytest.raises(DamagedError, match="another file"):
        ModelCalibration.beside(model, sha256_file(model))


def test_accuracy_on_test_images_comes_from_the_files_own_rows(files, tmp_path):
    model, table = files
    found = scores_on_test(model, table)
    rows = predictions(sha256_file(model)).table
    tested = rows[rows["split"] == "test"]
    named = tested[list(PROBABILITY_COLUMNS)].idxmax(axis=1).str.removeprefix("p_")
    expected = {
        one: (named == tested["label"])[tested["condition"] == one].mean() for one in STATED
    }
    assert {one["condition"]: one["accuracy"] for one in found} == pytest.approx(expected)
    assert [one["n"] for one in found] == [300] * len(STATED)
    assert len({one["accuracy"] for one in found}) > 1
    flipped = predictions(sha256_file(model), flip=True)
    write_predictions(flipped, tmp_path / "flip.parquet")
    with pytest.raises(UsageError, match="evaluate without --flip"):
        scores_on_test(model, tmp_path / "flip.parquet")
    chosen = predictions(sha256_file(model))
    write_predictions(
        chosen.select(chosen.table["split"] == "validation"), tmp_path / "chosen.parquet"
    )
    with pytest.raises(UsageError, match="no test images; evaluate with --split test"):
        scores_on_test(model, tmp_path / "chosen.parquet")
    model.write_bytes(b"trained on")
    with pytest.raises(UsageError, match="no predictions of the file"):
        scores_on_test(model, table)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"views": {"one": {}}},
        {"views": {"twice": {"temperatures": {"pooled": 1}, "abstain_below": 0, "answered": []}}},
        {"views": {"one": {"temperatures": {"pooled": 0}, "abstain_below": 0, "answered": []}}},
        {"views": {"one": {"temperatures": {"full": 1}, "abstain_below": 0, "answered": []}}},
        {"views": {"one": {"temperatures": {"pooled": 1}, "abstain_below": 2, "answered": []}}},
        {"fitted_on": None},
        {"class_mix": {"happy": 1}},
    ],
)
def test_damage_is_told(tmp_path, change):
    whole = {
        "format": 1,
        "model_sha256": "m",
        "views": {"one": {"temperatures": {"pooled": 1}, "abstain_below": 0, "answered": []}},
        "fitted_on": {},
    }
    write_json(tmp_path / "a.calibration.json", whole)
    assert ModelCalibration.beside(tmp_path / "a.onnx", "m")
    assert ModelCalibration.beside(tmp_path / "b.onnx", "m") is None
    write_json(tmp_path / "a.calibration.json", whole | change)
    with pytest.raises(DamagedError):
        ModelCalibration.beside(tmp_path / "a.onnx", "m")
    (tmp_path / "a.calibration.json").write_text("{")
    with pytest.raises(DamagedError):
        ModelCalibration.beside(tmp_path / "a.onnx", "m")


def test_a_changed_number_in_a_shipped_one_is_told(tmp_path):
    """It is as good a file as before, and its answers are others."""
    for model in shipped.list_models():
        if model.kind == "emotion":
            whole = calibration_path(shipped.path_of(model.name)).read_text()
            place = whole.index('"pooled": 0.') + len('"pooled": ')
            spoilt = whole[:place] + "4" + whole[place + 1 :]
            for text in (whole, spoilt):
                (tmp_path / "a.calibration.json").write_text(text)
                if text == whole:
                    assert ModelCalibration.beside(tmp_path / "a.onnx", model.sha256)
                else:
                    with pytest.raises(DamagedError, match="fit the hash"):
                        ModelCalibration.beside(tmp_path / "a.onnx", model.sha256)


def test_shipped_models_have_theirs():
    for model in shipped.list_models():
        if model.kind == "emotion":
            found = ModelCalibration.beside(shipped.path_of(model.name), model.sha256)
            view = found.views["one"]
            assert set(view.temperatures) == {"pooled", *CONDITIONS}
            at = [row for row in view.answered if row["abstain_below"] == view.abstain_below]
            assert {row["condition"] for row in at} == set(STATED)


def test_the_list_of_models_shows_a_row_for_each_of_them(monkeypatch, capsys):
    assert hemiface(monkeypatch, "models", "list") in (0, None)
    said = capsys.readouterr().out
    assert len(said.splitlines()) <= 40
    assert max(map(len, said.splitlines())) <= 80
    _, answered_rows = said.split("Labels given from the default")
    named = [one.name for one in shipped.list_models() if one.kind == "emotion"]
    assert len(named) == 5
    for name in named:
        assert answered_rows.count(f" {name} ") == 1


def test_everything_below_the_threshold_is_left_out():
    table = tiny_predictions(50).table
    table = pd.concat([table.assign(condition=one) for one in STATED]).query("model=='full-seed0'")
    rows = answered(Predictions(table), [0.5])
    sure = table[list(PROBABILITY_COLUMNS)].max(axis=1) >= 0.5
    assert rows[0]["coverage"] == pytest.approx(sure[table["condition"] == "full"].mean(), abs=1e-4)
    assert answered(Predictions(table), [1.0])[0]["accuracy"] is None
