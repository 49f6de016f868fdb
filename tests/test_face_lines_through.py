"""Evaluation, stimuli, comparison and the command line with the faces' own halves."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from builders import (
    answers,
    described,
    hemiface,
    mesh,
    sampled,
    scored_predictions,
    tiny_bundle,
    tiny_images,
)
from hemiface.data.phantom import make as phantom
from hemiface.errors import DamagedError, UsageError
from hemiface.networks.evaluate import EvaluationOptions, evaluate, mark
from hemiface.networks.network import Bundle
from hemiface.occlusion.conditions import condition, hidden_mask, image_seeds
from hemiface.occlusion.face_lines import hide_by_lines, line_table, lines_of
from hemiface.stats import ensembles
from hemiface.stats.face_lines import FACE_LINES_COLUMNS, face_lines
from hemiface.stats.metrics import accuracy
from hemiface.tables import (
    PREDICTION_COLUMNS,
    Predictions,
    label_indices,
    probabilities,
    read_predictions,
    write_predictions,
)
from hemiface.vision.finding import crop_landmarks
from hemiface.vision.finding.crop_landmarks import CropLandmarks, default_detector
from hemiface.vision.finding.photo_landmarks import PhotoLandmarks
from hemiface.vision.stimuli import occlude_files

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGES = tiny_images()
KEYS = ("full", "upper", "left@noise", "random-50")


def some_landmarks(pixels: np.ndarray) -> np.ndarray:
    """Lines that differ from face to face; every third face has none."""
    found = np.full((len(pixels), 468, 2), np.nan)
    for index, face in enumerate(pixels):
        grey = int(face[0, 0])
        if index % 3:
            found[index] = mesh(18 + grey % 13, 16 + grey % 17, angle_deg=grey % 41 - 20)
    return found


def no_landmarks(pixels: np.ndarray) -> np.ndarray:
    return np.full((len(pixels), 468, 2), np.nan)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return tiny_bundle(folder / "any.safetensors", 3, conditions=["full", "left", "right"])


@pytest.fixture(scope="module")
def tables(bundle):
    return [
        evaluate([bundle], IMAGES, conditions=KEYS, landmarks=landmarks)
        for landmarks in (None, some_landmarks)
    ]


def cell(predictions: Predictions, key: str) -> np.ndarray:
    table = predictions.table
    return probabilities(table[table["condition"] == key])


class TestEvaluate:
    def test_the_network_sees_what_the_lines_leave(self, bundle, tables):
        _, face = tables
        pixels = IMAGES.split("test").pixels
        lines = lines_of(some_landmarks(pixels), 48, 48)
        seeds = image_seeds(IMAGES.split("test").table["image"])
        predict = Bundle.load(bundle).network()
        import torch

        for key in ("upper", "left@noise"):
            hidden = hide_by_lines(pixels, condition(key), lines, seeds)
            with torch.inference_mode():
                logits = predict(torch.from_numpy(hidden)).double()
            expected = torch.softmax(logits, 1).numpy()
            np.testing.assert_allclose(cell(face, key), expected, atol=2e-5)

    def test_fallbacks_are_those_of_image_halves_flagged_and_counted(self, tables):
        image, face = tables
        fallback = np.arange(14) % 3 == 0
        for key in KEYS:
            rows = face.table[face.table["condition"] == key]
            assert (rows["halves"] == "fallback").tolist() == fallback.tolist()
            assert set(rows["halves"]) == {"face", "fallback"}
            same = np.isclose(cell(image, key), cell(face, key), atol=1e-5).all(axis=1)
            assert same[fallback].all()
            assert same.all() == (key in ("full", "random-50"))
        assert face.facts["halves"] == "face"
        assert face.facts["fallbacks"] == 5
        assert image.facts["halves"] == "image"
        assert "halves" not in image.table

    def test_without_any_landmarks_all_is_as_with_image_halves(self, bundle, tables):
        found = evaluate([bundle], IMAGES, conditions=KEYS, landmarks=no_landmarks)
        np.testing.assert_array_equal(*(probabilities(one.table) for one in (found, tables[0])))
        assert set(found.table["halves"]) == {"fallback"}

    def test_mirrored_pictures_have_the_mirrored_lines_of_the_pictures(self, bundle):
        asked = []

        def landmarks(pixels):
            asked.append(pixels)
            return some_landmarks(pixels)

        found = evaluate(
            [bundle], IMAGES, conditions=("right",), landmarks=landmarks, mirrored=True
        )
        pixels = IMAGES.split("test").pixels
        np.testing.assert_array_equal(asked[0], pixels)
        lines = lines_of(some_landmarks(pixels), 48, 48).mirrored()
        mirrored = np.ascontiguousarray(pixels[:, :, ::-1])
        hidden = hide_by_lines(mirrored, condition("right"), lines)
        import torch

        with torch.inference_mode():
            logits = Bundle.load(bundle).network()(torch.from_numpy(hidden)).double()
        np.testing.assert_allclose(
            probabilities(found.table), torch.softmax(logits, 1).numpy(), atol=2e-5
        )

    def test_lines_decide_the_fingerprint(self, bundle, tables):
        marks = {table.facts["fingerprint"] for table in tables}
        arguments = ([bundle], IMAGES, EvaluationOptions(conditions=KEYS))
        pixels = IMAGES.split("test").pixels
        lines = lines_of(some_landmarks(pixels), 48, 48)
        landmarks = some_landmarks(pixels)
        landmarks[1, 1, 1] += 0.5
        marks |= {
            mark(*arguments).fingerprint,
            mark(*arguments, lines=lines).fingerprint,
            mark(*arguments, lines=lines_of(landmarks, 48, 48)).fingerprint,
        }
        assert len(marks) == 3


class TestTables:
    def test_the_column_survives_writing_and_old_tables_read_as_they_are(self, tables, tmp_path):
        image, face = tables
        write_predictions(face, tmp_path / "face.parquet")
        found = read_predictions(tmp_path / "face.parquet")
        assert tuple(found.table.columns) == (*PREDICTION_COLUMNS, "halves")
        assert found.table["halves"].tolist() == face.table["halves"].tolist()
        write_predictions(image, tmp_path / "image.parquet")
        back = read_predictions(tmp_path / "image.parquet")
        assert tuple(back.table.columns) == PREDICTION_COLUMNS

    def test_other_words_are_refused(self, tables, tmp_path):
        wrong = Predictions(tables[1].table.assign(halves="half"))
        with pytest.raises(DamagedError, match="halves is 'half', expected one of image, face, f"):
            write_predictions(wrong, tmp_path / "wrong.parquet")
        assert not list(tmp_path.iterdir())

    def test_networks_are_averaged_within_one_kind_of_halves(self, tables):
        image, face = tables
        other = described(face.table.assign(model="other-seed0"))
        joined = ensembles.combine(ensembles.join([face, other]), ["full-seed3", "other-seed0"])
        assert joined.table["halves"].tolist() == face.table["halves"].tolist()
        with pytest.raises(UsageError, match="join tables of one kind"):
            ensembles.join([image, other])


LABELS = np.arange(420) % 7


def compared(share: dict[str, float], seeds=(0,), keys=("upper", "left"), **options) -> tuple:
    """Image and face tables; in the latter `share` of the images are right under a condition."""
    random = np.random.default_rng(1)
    outcomes: dict[str, dict] = {"image": {}, "face": {}}
    for seed in seeds:
        for key in ("full", *keys):
            image = random.random(len(LABELS)) < 0.5
            face = np.where(image, True, random.random(len(LABELS)) < share.get(key, 0.0))
            face[::10] = image[::10]
            outcomes["image"][f"full-seed{seed}", key] = answers(LABELS, image)
            outcomes["face"][f"full-seed{seed}", key] = answers(LABELS, face)
    image, face = (scored_predictions(outcomes[one], LABELS).table for one in ("image", "face"))
    fallback = np.arange(len(LABELS)) % 10 == 0
    face["halves"] = np.where(np.tile(fallback, len(face) // len(LABELS)), "fallback", "face")
    return image, face, face_lines(sampled(image, draws=300), described(face), **options)


class TestComparison:
    def test_differences_are_those_of_the_scores(self):
        image, face, found = compared({"upper": 0.4})
        assert tuple(found.columns) == FACE_LINES_COLUMNS
        assert set(found["condition"]) == {"upper", "left"}  # nothing is hidden under full
        rows = found[found["metric"] == "accuracy"].set_index("condition")
        for key in ("upper", "left"):
            values = [
                accuracy(
                    cell(described(table), key), label_indices(table[table["condition"] == key])
                )
                for table in (image, face)
            ]
            assert rows.loc[key, ["image", "face"]].tolist() == pytest.approx(values)
            assert rows.loc[key, "difference"] == pytest.approx(values[1] - values[0])
        assert rows.loc["upper", "low"] > 0
        assert (
            rows.loc["upper", "low"] < rows.loc["upper", "difference"] < rows.loc["upper", "high"]
        )
        assert rows.loc["upper", "p_holm"] < 0.001
        assert rows.loc["left", "reason"] == "nothing varies between the draws"
        assert (found["fallbacks"] == 42).all()
        assert (found["n"] == 420).all()

    def test_the_interval_is_that_of_paired_images(self):
        """Of independent tables the standard error would be far larger."""
        _, _, found = compared({"upper": 0.2})
        row = found[(found["metric"] == "accuracy") & (found["condition"] == "upper")].iloc[0]
        d = row["difference"]
        expected = 1.96 * np.sqrt((d - d**2) / 420)  # every change is from wrong to right
        assert (row["high"] - row["low"]) / 2 == pytest.approx(expected, rel=0.2)

    def test_several_seeds_get_a_mean(self):
        _, _, found = compared({"upper": 0.3, "left": 0.1}, seeds=(0, 1, 2))
        rows = found[(found["metric"] == "accuracy") & (found["condition"] == "upper")]
        assert rows["seed"].tolist() == ["0", "1", "2", "mean"]
        assert rows["difference"].iloc[3] == pytest.approx(rows["difference"][:3].mean())

    def test_tables_of_the_wrong_kind_or_of_nothing_in_common(self):
        image, face, _ = compared({})
        with pytest.raises(UsageError, match="The second table must be one made with --halves f"):
            face_lines(described(image), described(image))
        with pytest.raises(UsageError, match="The first table must be one made with --halves im"):
            face_lines(described(face), described(face))
        whole = face[face["condition"] == "full"]
        with pytest.raises(UsageError, match="no model and condition with a hidden part in comm"):
            face_lines(described(image), described(whole))

    def test_a_leak_that_nobody_knows_of_is_not_compared(self):
        image, face, _ = compared({"upper": 0.4})
        unknown = described(image, unknown=["leaked"])
        with pytest.raises(UsageError, match="no image of protocol leak-free"):
            face_lines(sampled(unknown, "leak-free"), described(face))


class TestStimuli:
    PIXELS = np.random.default_rng(0).integers(1, 256, (40, 60, 3), dtype=np.uint8)

    @pytest.fixture
    def picture(self, tmp_path):
        path = tmp_path / "a face.png"
        Image.fromarray(self.PIXELS).save(path)
        return path

    def test_the_faces_half_is_hidden_and_the_name_says_so(self, picture, tmp_path):
        landmarks = mesh(20, 15, angle_deg=20)[None]
        [written] = occlude_files(
            [picture], "left", "black", tmp_path / "out", landmarks=lambda _: landmarks
        )
        assert written == tmp_path / "out" / "a face-left-face.png"
        expected = hide_by_lines(self.PIXELS[None], condition("left"), lines_of(landmarks, 40, 60))[
            0
        ]
        np.testing.assert_array_equal(np.array(Image.open(written)), expected)

    def test_without_a_face_the_pictures_half_is_hidden_and_that_is_told(self, picture, tmp_path):
        told = []
        [written] = occlude_files(
            [picture], "left", "black", tmp_path / "out",
            landmarks=no_landmarks, on_note=lambda path, _: told.append(path),
        )  # fmt: skip
        assert told == [picture]
        assert written.name == "a face-left-fallback.png"
        mask = hidden_mask(condition("left"), 40, 60)
        found = np.array(Image.open(written))
        assert (found[mask] == 0).all()
        np.testing.assert_array_equal(found[~mask], self.PIXELS[~mask])


class FakeLandmarks:
    """Stands in for the networks: knows the made-up landmarks of any picture."""

    def __init__(self, *_, on_progress=lambda *_: None) -> None:
        self.on_progress = on_progress

    def __call__(self, pixels):
        self.on_progress(len(pixels), len(pixels))
        return some_landmarks(pixels)


class TestCommandLine:
    @pytest.fixture(autouse=True)
    def fake(self, monkeypatch):
        monkeypatch.setattr(crop_landmarks, "CropLandmarks", FakeLandmarks)
        monkeypatch.setattr(crop_landmarks, "default_detector", lambda: None)
        monkeypatch.setattr(
            "hemiface.vision.finding.photo_landmarks.PhotoLandmarks", lambda _: some_landmarks
        )

    @pytest.fixture
    def data(self, tmp_path):
        IMAGES.write(tmp_path / "data")
        return tmp_path / "data"

    def test_evaluate_then_compare(self, bundle, data, tmp_path, monkeypatch, capsys):
        paths = {}
        for halves in ("image", "face"):
            paths[halves] = tmp_path / f"{halves}.parquet"
            code = hemiface(
                monkeypatch, "evaluate", bundle, "--data", data, "--out", paths[halves],
                "--conditions", "full,upper,left", "--halves", halves,
            )  # fmt: skip
            out = capsys.readouterr().out
            assert code == 0
            assert ("5 of 14 images show no face" in " ".join(out.split())) == (halves == "face")
        assert "halves" not in read_predictions(paths["image"]).table
        face = read_predictions(paths["face"]).table
        assert (face["halves"] == "fallback").sum() == 15
        folder = tmp_path / "compared"
        code = hemiface(
            monkeypatch, "compare", paths["image"], "--halves", paths["face"], "--out", folder,
            "--draws", 20,
        )  # fmt: skip
        assert code == 0
        assert "the face's own halves minus the picture's" in capsys.readouterr().out
        found = pd.read_csv(folder / "face_lines.csv")
        assert set(found["condition"]) == {"upper", "left"}
        assert (found["fallbacks"] == 5).all()

    def test_evaluate_as_json_counts_fallbacks(self, bundle, data, tmp_path, monkeypatch, capsys):
        code = hemiface(
            monkeypatch, "evaluate", bundle, "--data", data, "--out", tmp_path / "p.parquet",
            "--conditions", "upper", "--halves", "face", "--json",
        )  # fmt: skip
        found = json.loads(capsys.readouterr().out)
        assert (code, found["halves"], found["fallbacks"]) == (0, "face", 5)

    def test_data_lines(self, data, tmp_path, monkeypatch, capsys):
        out = tmp_path / "lines"
        assert hemiface(monkeypatch, "data", "lines", data, "--out", out) == 0
        assert re.search(r"found\s.*14.*0\.643", capsys.readouterr().out)
        assert len(pd.read_csv(out / "lines.csv")) == 14
        assert hemiface(monkeypatch, "data", "lines", data, "--out", out, "--json") == 0
        assert json.loads(capsys.readouterr().out)["summary"][0]["n"] == 14

    def test_occlude(self, tmp_path, monkeypatch, capsys):
        source = tmp_path / "face.png"
        Image.fromarray(IMAGES.pixels[0]).save(source)
        arguments = ("occlude", source, "--hide", "upper", "--out", tmp_path / "out")
        assert hemiface(monkeypatch, *arguments, "--halves", "face") == 0
        told = capsys.readouterr()
        assert "no face was found in" in told.err
        assert told.out.strip().endswith("face-upper-fallback.png")
        assert hemiface(monkeypatch, *arguments, "--halves", "mine") == 2
        assert "--halves takes image or face, not 'mine'." in capsys.readouterr().err

    def test_evaluate_refuses_other_words_before_it_reads(self, bundle, monkeypatch, capsys):
        code = hemiface(monkeypatch, "evaluate", bundle, "--data", "nowhere", "--halves", "own")
        assert code == 2
        assert "--halves takes image or face" in capsys.readouterr().err


@pytest.fixture(scope="module")
def faces():
    """Thirty rendered faces and what they were drawn with."""
    parameters = phantom.draw_parameters(np.arange(30) % 7, 2)
    return parameters, phantom.render_faces(parameters)


@pytest.mark.usefixtures("face_networks")
class TestNetworks:
    def test_rendered_faces_have_the_lines_that_they_were_drawn_with(self, faces, tmp_path):
        parameters, pixels = faces
        landmarks = CropLandmarks(tmp_path)(pixels)
        table = line_table(lines_of(landmarks, 48, 48))
        assert table["found"].all()
        # Turning the head also moves what the camera sees of the midline.
        tilt = table["angle_deg"] - parameters["roll"]
        assert tilt.abs().median() < 1.5
        assert abs(tilt.median()) < 1
        across = np.stack([parameters["shift_x"], parameters["yaw"], np.ones(30)], axis=1)
        fit, *_ = np.linalg.lstsq(across, table["across_px"].to_numpy(), rcond=None)
        assert fit[0] == pytest.approx(1, abs=0.2)
        assert abs(fit[2]) < 0.4
        assert np.std(table["across_px"] - across @ fit) < 0.6
        down = np.polyfit(parameters["shift_y"], table["down_px"], 1)
        assert down[0] == pytest.approx(1, abs=0.45)

    def test_mirrored_faces_have_mirrored_lines(self, faces, tmp_path):
        _, pixels = faces
        find = CropLandmarks(tmp_path)
        here = lines_of(find(pixels[:12]), 48, 48).mirrored()
        there = lines_of(find(np.ascontiguousarray(pixels[:12, :, ::-1])), 48, 48)
        away = (
            line_table(here)[["across_px", "down_px"]] - line_table(there)[["across_px", "down_px"]]
        )
        assert away.abs().to_numpy().max() < 1.5

    def test_what_was_found_is_kept_and_damage_is_noticed(self, faces, tmp_path, caplog):
        _, pixels = faces
        crops = np.concatenate([pixels[:2], np.zeros((1, 48, 48), np.uint8)])
        told = []
        find = CropLandmarks(tmp_path, on_progress=lambda *done: told.append(done))
        first = find(crops)
        assert told == [(1, 3), (2, 3), (3, 3)]
        assert np.isnan(first[2]).all()
        [kept] = tmp_path.iterdir()
        np.testing.assert_array_equal(CropLandmarks(tmp_path)(crops), first)
        assert len(told) == 3
        kept.write_bytes(kept.read_bytes()[:-100])
        np.testing.assert_array_equal(CropLandmarks(tmp_path)(crops), first)
        assert "is damaged; the landmarks are found again" in caplog.text
        CropLandmarks(tmp_path)(crops[::-1])
        assert len(list(tmp_path.iterdir())) == 2

    def test_a_folder_that_cant_be_written_costs_only_time(self, faces, tmp_path, caplog):
        blocked = tmp_path / "file"
        blocked.write_text("in the way")
        found = CropLandmarks(blocked)(faces[1][:1])
        assert np.isfinite(found).all()
        assert "The landmarks aren't kept" in caplog.text

    def test_a_photo_of_any_size_grey_or_coloured(self, faces):
        _, pixels = faces
        photo = np.full((300, 420), 90, np.uint8)
        big = np.array(Image.fromarray(pixels[0]).resize((144, 144), Image.Resampling.BICUBIC))
        photo[60:204, 180:324] = big
        find = PhotoLandmarks(default_detector())
        grey = lines_of(find(photo[None]), 300, 420)
        colour = lines_of(find(np.repeat(photo[None, :, :, None], 3, axis=3)), 300, 420)
        assert grey.found.all()
        np.testing.assert_array_equal(grey.crossing, colour.crossing)
        np.testing.assert_allclose(grey.crossing[0], [252, 132], atol=12)
        assert not lines_of(find(np.full((1, 200, 200), 128, np.uint8)), 200, 200).found.any()
