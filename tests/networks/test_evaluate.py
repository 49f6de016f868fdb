"""Evaluation: one row per image, condition and model, and every number checked by hand."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from builders import hemiface, tiny_bundle, tiny_images
from hemiface.data.groups import leaked
from hemiface.data.images import Images
from hemiface.errors import DamagedError, UsageError
from hemiface.files import sha256_file
from hemiface.networks.classifiers import NetworkClassifier
from hemiface.networks.evaluate import EvaluationOptions, evaluate, mark, predict_views
from hemiface.networks.network import Bundle
from hemiface.networks.views import views
from hemiface.occlusion.conditions import condition, hide, image_seeds
from hemiface.tables import (
    EMOTIONS,
    PREDICTION_COLUMNS,
    SPLITS,
    Predictions,
    check_predictions,
    probabilities,
    read_predictions,
)

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGES = tiny_images()
KEYS = ("full", "upper", "left", "right@noise")
ROUNDING = 2e-5  # single precision, summed in another order
TRAINED = {
    "full": ["full"],
    "left": ["left"],
    "any": ["full", "upper", "left", "right"],
}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return [
        tiny_bundle(
            folder / f"{name}.safetensors", seed, name=name, conditions=conditions,
            model_id=f"{name}-seed0", config_hash="c", data_sha256="d", flips=False, epoch=3,
        )
        for seed, (name, conditions) in enumerate(TRAINED.items())
    ]  # fmt: skip


@pytest.fixture(scope="module")
def predictions(bundles):
    return evaluate(bundles, IMAGES, conditions=KEYS, splits=("validation", "test"))


def cell(predictions: Predictions, model: str, key: str) -> pd.DataFrame:
    table = predictions.table
    return table[(table["model"] == model) & (table["condition"] == key)]


def by_hand(bundle, pixels: np.ndarray) -> np.ndarray:
    """Probabilities of already hidden uint8 faces, image by image, softmax in numpy."""
    network = Bundle.load(bundle).network()
    rows = []
    with torch.inference_mode():
        for face in pixels:
            logits = network(torch.from_numpy(face[None].copy())).double().numpy()[0]
            powers = np.exp(logits - logits.max())
            rows.append(powers / powers.sum())
    return np.array(rows)


class TestTable:
    def test_a_row_for_each_image_condition_and_model(self, predictions):
        wanted = IMAGES.table[IMAGES.table["split"].isin(["validation", "test"])]
        assert len(wanted) == 24
        assert len(predictions) == 24 * len(KEYS) * len(TRAINED)
        table = predictions.table
        assert tuple(sorted(table.columns)) == tuple(sorted(PREDICTION_COLUMNS))
        assert not table.duplicated(["image", "condition", "model"]).any()
        check_predictions(table)
        known = wanted.set_index("image")
        for (model, key), rows in table.groupby(["model", "condition"]):
            assert key in KEYS
            assert model in {f"{name}-seed0" for name in TRAINED}
            assert rows["image"].tolist() == wanted["image"].tolist()
            for column in ("dataset", "split", "label", "group"):
                assert rows[column].tolist() == known.loc[rows["image"], column].tolist()

    def test_probabilities_are_those_of_a_hand_made_loop(self, predictions, bundles):
        for bundle, name in zip(bundles, TRAINED, strict=True):
            for key in KEYS:
                rows = cell(predictions, f"{name}-seed0", key)
                pixels = IMAGES.pixels[16:]  # validation and test come after 16 training images
                hidden = pixels.copy()
                if key == "upper":
                    hidden[:, :24] = 0
                elif key == "left":
                    hidden[:, :, :24] = 0
                elif key == "right@noise":
                    hidden = hide(pixels, condition(key), image_seeds(rows["image"]))
                    np.testing.assert_array_equal(hidden[:, :, :24], pixels[:, :, :24])
                np.testing.assert_allclose(
                    probabilities(rows), by_hand(bundle, hidden), atol=ROUNDING
                )

    def test_the_numbers_tell_images_conditions_and_models_apart(self, predictions):
        values = probabilities(predictions.table).round(6)
        assert len(np.unique(values, axis=0)) == len(predictions)

    def test_the_order_of_images_their_company_and_batches_do_not_matter(
        self, predictions, bundles
    ):
        order = np.random.default_rng(0).permutation(len(IMAGES))
        shuffled = evaluate(
            bundles[:1], IMAGES.subset(order), conditions=("right@noise", "full"), batch_size=5
        )
        for key in ("right@noise", "full"):
            one = cell(shuffled, "full-seed0", key).set_index("image").sort_index()
            other = cell(predictions, "full-seed0", key).set_index("image")
            other = other.loc[one.index]
            np.testing.assert_allclose(probabilities(one), probabilities(other), atol=ROUNDING)

    def test_what_describes_it(self, predictions, bundles):
        info = predictions.facts
        assert [row["model"] for row in info["models"]] == ["full-seed0", "left-seed0", "any-seed0"]
        assert info["models"][1]["name"] == "left"
        assert info["models"][1]["seed"] == 1
        assert info["models"][2]["trained_on"] == "full, upper, left, right"
        assert info["models"][0]["config_hash"] == "c"
        assert info["models"][0]["data_hash"] == "d"
        assert info["models"][0]["flips"] is False
        assert info["conditions"] == list(KEYS)
        assert info["splits"] == ["validation", "test"]
        assert info["data"]["data_sha256"] == IMAGES.info["data_sha256"]
        assert info["skipped"] == 1
        options = EvaluationOptions(conditions=KEYS, splits=("validation", "test"))
        assert info["fingerprint"] == mark(bundles, IMAGES, options).fingerprint

    def test_written_table_and_progress(self, bundles, tmp_path):
        told = []
        path = tmp_path / "run" / "predictions.parquet"
        result = evaluate(
            bundles[:2],
            IMAGES,
            conditions=iter(["full", "full@mean", "upper", "upper"]),
            splits=iter(["test"]),
            out=path,
            on_cell=lambda *cell: told.append(cell),
        )
        assert told == [
            (1, 4, "full-seed0 on full"), (2, 4, "full-seed0 on upper"),
            (3, 4, "left-seed0 on full"), (4, 4, "left-seed0 on upper"),
        ]  # fmt: skip
        back = read_predictions(path)
        assert back.facts == result.facts
        assert back.facts["splits"] == ["test"]
        pd.testing.assert_frame_equal(
            back.table, result.table[list(PREDICTION_COLUMNS)], check_dtype=False, check_like=True
        )

    def test_a_bundle_without_provenance_is_named_by_its_folder(self, bundles, tmp_path):
        known = Bundle.load(bundles[0])
        path = tmp_path / "mine" / "bundle.safetensors"
        Bundle(known.model, known.weights).save(path)
        result = evaluate([path], IMAGES, conditions=("full",))
        assert set(result.table["model"]) == {"mine-seed0"}


class TestExportedModels:
    def test_they_are_evaluated_beside_their_bundle(self, exported):
        files = [exported.bundle, exported.fp32, exported.int8]
        result = evaluate(files, IMAGES, conditions=("full", "left"), flip=True)
        models = result.facts["models"]
        assert [row["model"] for row in models] == [
            "full-seed3", "full-fp32-seed3", "full-int8-seed3",
        ]  # fmt: skip
        assert [row["name"] for row in models] == ["full", "full-fp32", "full-int8"]
        assert [row["sha256"] for row in models] == [sha256_file(path) for path in files]
        for row in models[1:]:
            for key in ("seed", "trained_on", "config_hash", "validation_accuracy"):
                assert row[key] == models[0][key]
        for key in ("full", "left"):
            bundle, fp32, int8 = (probabilities(cell(result, row["model"], key)) for row in models)
            np.testing.assert_allclose(fp32, bundle, atol=ROUNDING)
            assert 0 < np.abs(int8 - bundle).mean() < 0.03

    def test_the_fingerprint_knows_the_very_file(self, exported, tmp_path):
        options = EvaluationOptions(conditions=("full",))
        copy = tmp_path / "copy.onnx"
        copy.write_bytes(exported.fp32.read_bytes())
        marks = [
            mark([path], IMAGES, options).fingerprint
            for path in (exported.fp32, exported.fp16, copy)
        ]
        assert marks[0] != marks[1]
        assert marks[0] == marks[2]

    def test_a_damaged_file_is_named_before_anything_is_computed(self, exported, tmp_path):
        damaged = tmp_path / "b.onnx"
        damaged.write_bytes(exported.fp32.read_bytes()[:-1])
        told = []
        with pytest.raises(DamagedError, match=r"b\.onnx was damaged or changed"):
            evaluate([exported.bundle, damaged], IMAGES, on_cell=lambda *cell: told.append(cell))
        assert told == []


class TestFlip:
    def test_the_view_and_its_mirror_image_are_averaged(self, bundles):
        flipped = evaluate(bundles[2:], IMAGES, conditions=KEYS, flip=True)
        pixels = IMAGES.pixels[-14:]
        for key in KEYS:
            rows = cell(flipped, "any-seed0", key)
            hidden = hide(pixels, condition(key), image_seeds(rows["image"]))
            views = [by_hand(bundles[2], view) for view in (hidden, hidden[:, :, ::-1])]
            assert np.abs(views[0] - views[1]).max() > 1e-3
            np.testing.assert_allclose(probabilities(rows), np.mean(views, axis=0), atol=ROUNDING)

    def test_a_mirrored_left_masked_face_is_a_right_masked_one(self, bundles):
        network = NetworkClassifier(Bundle.load(bundles[0]).network())
        pixels = IMAGES.pixels[:6]
        mirrored = np.ascontiguousarray(pixels[:, :, ::-1])
        for one, other in (("left", "right"), ("upper", "upper"), ("diagonal", "antidiagonal")):
            np.testing.assert_allclose(
                predict_views(network, hide(pixels, condition(one), range(6)), flip=True),
                predict_views(network, hide(mirrored, condition(other), range(6)), flip=True),
                atol=ROUNDING,
            )

    @pytest.mark.parametrize(
        ("trained", "flips"),
        [
            (["full"], True),
            (["upper"], True),
            (["left"], False),
            (["full", "left"], False),
            (["left", "right", "full"], True),
            (["left", "right@mean"], False),
            (["left@mean", "right@mean"], True),
            (["upper-left", "upper-right"], True),
            (["diagonal"], False),
        ],
    )
    def test_only_models_without_a_side_get_a_flipped_view(self, tmp_path, trained, flips):
        path = tiny_bundle(tmp_path / "bundle.safetensors", 5, conditions=trained)
        few = IMAGES.subset([0, 30, 31])
        one, both = (evaluate([path], few, conditions=["upper"], flip=f) for f in (False, True))
        assert (
            np.allclose(probabilities(one.table), probabilities(both.table), atol=1e-4) is not flips
        )


class TestCrops:
    @pytest.mark.parametrize("flip", [False, True])
    def test_the_mean_over_crops_of_what_is_visible(self, bundles, flip):
        keys = ("full", "left", "right@noise")
        found = evaluate(bundles[2:], IMAGES, conditions=keys, flip=flip, crop_px=40)
        assert found.facts["crop_px"] == 40
        pixels = IMAGES.pixels[-14:]
        for key in keys:
            rows = cell(found, "any-seed0", key)
            hidden = hide(pixels, condition(key), image_seeds(rows["image"]))
            crops = list(views(hidden, flip=flip, crop_px=40))
            assert len(crops) == (10 if flip else 5)
            answers = np.array([by_hand(bundles[2], view) for view in crops])
            assert np.ptp(answers, axis=0).max() > 1e-3
            np.testing.assert_allclose(probabilities(rows), answers.mean(axis=0), atol=ROUNDING)

    def test_exported_models_are_cropped_alike(self, exported):
        files = [exported.bundle, exported.fp32]
        result = evaluate(files, IMAGES, conditions=("upper",), flip=True, crop_px=44)
        bundle, fp32 = (
            probabilities(cell(result, model, "upper"))
            for model in ("full-seed3", "full-fp32-seed3")
        )
        np.testing.assert_allclose(fp32, bundle, atol=ROUNDING)


class TestRows:
    def test_only_the_listed_images_with_what_leaks_known(self, bundles, tmp_path):
        path = tmp_path / "hard.csv"
        path.write_text("row\n30\n27\n3\n")
        table = IMAGES.table.copy()
        table.loc[27, "group"] = table.loc[0, "group"]  # training image 0 isn't listed
        images = Images(table, IMAGES.pixels, IMAGES.info)
        whole = evaluate(bundles[:1], images, conditions=KEYS)
        found = evaluate(bundles[:1], images, conditions=KEYS, rows=path)
        ids = table["image"][[27, 30]].tolist()
        for key in KEYS:
            one, other = cell(found, "full-seed0", key), cell(whole, "full-seed0", key)
            assert one["image"].tolist() == ids
            assert one["leaked"].tolist() == [True, False]
            other = other[other["image"].isin(ids)]
            np.testing.assert_allclose(probabilities(one), probabilities(other), atol=ROUNDING)
        info = found.facts
        assert info["rows"]["file"] == "hard.csv"
        assert whole.facts["rows"] is None
        assert info["fingerprint"] != whole.facts["fingerprint"]

    def test_a_list_without_images_of_a_split(self, bundles, tmp_path):
        path = tmp_path / "hard.csv"
        path.write_text("row\n30\n")
        with pytest.raises(UsageError, match="No row of the list is a validation image"):
            evaluate(bundles[:1], IMAGES, splits=("test", "validation"), rows=path)

    def test_the_command(self, bundles, tmp_path, monkeypatch, capsys):
        source = tmp_path / "data"
        IMAGES.write(source)
        path, out = tmp_path / "hard.csv", tmp_path / "p.parquet"
        path.write_text("row\n30\n27\n")
        base = ("evaluate", bundles[0], "--data", source, "--out", out, "--conditions", "full")
        assert hemiface(monkeypatch, *base, "--rows", path, "--crop-px", 40, "--flip") == 0
        assert "2 rows" in capsys.readouterr().out
        info = read_predictions(out).facts
        assert (info["rows"]["listed"], info["crop_px"], info["flip"]) == (2, 40, True)
        assert hemiface(monkeypatch, *base, "--crop-px", 12) == 2
        assert "Crops of 12 px can't be made" in capsys.readouterr().err
        assert hemiface(monkeypatch, *base) == 0
        whole = out.read_bytes()
        assert hemiface(monkeypatch, *base, "--rows", path) == 2
        said = capsys.readouterr().err
        assert f"{out} holds 14 rows, more than the 2 that would take their place" in said
        assert out.read_bytes() == whole
        assert hemiface(monkeypatch, *base, "--rows", path, "--replace") == 0
        assert len(read_predictions(out)) == 2
        table = tmp_path / "named.parquet"
        named = ("evaluate", *bundles[:2], *base[2:4], "--out", table, "--name", "a", "--name", "b")
        assert hemiface(monkeypatch, *named) == 0
        names = read_predictions(table).names["name"]
        assert names.tolist() == ["a", "b"]
        # More rows of another kind.
        assert hemiface(monkeypatch, "tiles", bundles[0], "--data", source, "--out", out) == 2
        assert f"{out} holds a table of another kind" in capsys.readouterr().err
        assert len(read_predictions(out)) == 2


class TestLeaked:
    @given(
        rows=st.lists(st.tuples(st.sampled_from(SPLITS), st.integers(0, 6)), max_size=25),
    )
    def test_against_a_loop_over_pairs(self, rows):
        table = pd.DataFrame(
            {
                "split": [split for split, _ in rows],
                "group": [f"g{group}" for _, group in rows],
            },
            dtype="str",
        )
        expected = [
            split == "train"
            or any(
                other_group == group and SPLITS.index(other) < SPLITS.index(split)
                for other, other_group in rows
            )
            for split, group in rows
        ]
        result = leaked(table)
        assert result.dtype == bool
        assert result.tolist() == expected

    def test_the_table_carries_it_although_other_splits_are_not_evaluated(self, bundles):
        table = IMAGES.table.copy()
        # Test image 26 is a near duplicate of a training image, 27 of a validation image, 28 of 29.
        for a, b in ((26, 0), (27, 16), (28, 29)):
            table.loc[a, "group"] = table.loc[b, "group"]
        images = Images(table, IMAGES.pixels, IMAGES.info)
        result = evaluate(bundles[:1], images, conditions=("full",), splits=("test",))
        assert (
            result.table["image"][result.table["leaked"]].tolist()
            == table["image"][[26, 27]].tolist()
        )


class TestMirrored:
    def test_pictures_are_flipped_before_anything_is_hidden(self, bundles):
        keys = ("full", "left", "right@noise")
        found = evaluate(bundles[:1], IMAGES, conditions=keys, mirrored=True)
        assert found.facts["mirrored"] is True
        test = IMAGES.pixels[26:][:, :, ::-1]
        for key in keys:
            rows = cell(found, "full-seed0", key)
            pixels = hide(np.ascontiguousarray(test), condition(key), image_seeds(rows["image"]))
            np.testing.assert_allclose(
                probabilities(rows), by_hand(bundles[0], pixels), atol=ROUNDING
            )
        # Flipping what was hidden would hide the other side: another picture.
        flipped = hide(IMAGES.pixels[26:], condition("left"))[:, :, ::-1]
        others = by_hand(bundles[0], flipped)
        assert abs(probabilities(cell(found, "full-seed0", "left")) - others).max() > 0.01

    def test_mirrored_twins_differ_only_in_that(self, bundles):
        plain = evaluate(bundles[:1], IMAGES, conditions=("full",))
        found = evaluate(bundles[:1], IMAGES, conditions=("full",), mirrored=True)
        assert plain.facts["mirrored"] is False
        marks = {one.facts["fingerprint"] for one in (plain, found)}
        assert len(marks) == 2
        same = ["image", "condition", "model", "split", "label", "group", "leaked"]
        pd.testing.assert_frame_equal(plain.table[same], found.table[same])
        values = [probabilities(one.table) for one in (plain, found)]
        assert not np.allclose(*values, atol=1e-3)


class TestErrors:
    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            ({"splits": ["PrivateTest"]}, "Split 'PrivateTest' is unknown; choose from train, val"),
            ({"conditions": ["full", "top"]}, "Condition 'top' is unknown; choose from full,"),
            ({"conditions": ["upper@pink"]}, "Fill 'pink' can't be used here"),
            ({"conditions": []}, "No condition is named; evaluation needs at least one."),
            ({"splits": []}, "No split is named; evaluation needs at least one."),
            ({"crop_px": 48}, "Crops of 48 px can't be made; choose 25 to 47, or 0 for none."),
            ({"device": "tpu"}, "Device 'tpu' isn't here; choose auto or one of"),
        ],
    )
    def test_wrong_words(self, bundles, options, sentence):
        with pytest.raises(UsageError, match=re.escape(sentence)):
            evaluate(bundles[:1], IMAGES, **options)

    def test_no_bundle(self):
        with pytest.raises(UsageError, match="No Bundle is named"):
            evaluate([], IMAGES)

    def test_a_split_without_images(self, bundles):
        with pytest.raises(UsageError, match="The data has no validation images; choose another"):
            evaluate(bundles[:1], IMAGES.split("test"), splits=("test", "validation"))

    def test_two_bundles_of_one_name(self, bundles, tmp_path):
        twin = tiny_bundle(tmp_path / "twin.safetensors", 9, model_id="full-seed0")
        with pytest.raises(UsageError, match=r"both called full-seed0; .* with --name"):
            evaluate([*bundles, twin], IMAGES)

    def test_a_damaged_bundle_is_named_before_anything_is_computed(self, bundles, tmp_path):
        damaged = tmp_path / "b.safetensors"
        damaged.write_bytes(bundles[0].read_bytes()[:-1])
        told = []
        with pytest.raises(DamagedError, match=r"b\.safetensors was damaged or changed"):
            evaluate([bundles[0], damaged], IMAGES, on_cell=lambda *cell: told.append(cell))
        assert told == []


class TestFingerprint:
    def test_whatever_decides_the_table_counts(self, bundles):
        label = IMAGES.table.copy()
        label.loc[0, "label"] = "neutral"
        group = IMAGES.table.copy()
        group.loc[0, "group"] = group.loc[1, "group"]
        pixels = IMAGES.pixels.copy()
        pixels[3, 4, 5] ^= 1
        base = (bundles[:2], IMAGES, EvaluationOptions(conditions=("full", "upper")))
        variants = [
            base,
            (bundles[:1], *base[1:]),
            (bundles[1::-1], *base[1:]),
            *((base[0], Images(table, IMAGES.pixels, {}), base[2]) for table in (label, group)),
            (base[0], Images(IMAGES.table, pixels, {}), base[2]),
            *(
                (*base[:2], replace(base[2], **change))
                for change in (
                    {"conditions": ("full",)},
                    {"splits": ("test", "validation")},
                    {"flip": True},
                    {"mirrored": True},
                    {"crop_px": 40},
                )
            ),
        ]
        marks = [mark(*variant).fingerprint for variant in variants]
        marks += [mark(*base, rows_hash="r").fingerprint]
        assert len(set(marks)) == len(variants) + 1
        assert mark(*base).fingerprint == marks[0]
        assert set(EMOTIONS) > {label.loc[0, "label"]}
