"""One picture to predictions: crops, declared parts, abstention, calibrated confidence, threads."""

import copy
import dataclasses
import inspect
import json
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest

from builders import CLASS_MIX as MIX
from builders import linear_model
from hemiface.data.phantom import make as phantom
from hemiface.errors import DamagedError, UsageError
from hemiface.files import sha256_file, write_json
from hemiface.models import shipped
from hemiface.models.class_mix import Mix
from hemiface.models.onnx_file import OnnxModel
from hemiface.models.temperatures import calibration_path, scale
from hemiface.occlusion.conditions import CONDITIONS, condition
from hemiface.tables import EMOTIONS, PROBABILITY_COLUMNS
from hemiface.vision.faces import COLUMNS
from hemiface.vision.finding.alignment import whole_picture
from hemiface.vision.predictor import Predictor, PredictorOptions
from hemiface.vision.seen import Frame
from hemiface.vision.video.watching import Watch

NETWORKS = pytest.mark.usefixtures("face_networks")


PIXELS = np.random.default_rng(0).integers(0, 256, (120, 200, 3), np.uint8)


def pickled(predictor: Predictor) -> Predictor:
    return pickle.loads(pickle.dumps(predictor))  # noqa: S301


class NoFaces:
    """A detector that can be pickled."""

    def detect(self, _):
        return []


class TestPredictor:
    def test_crops_are_predicted_as_the_network_sees_them(self, model, crops):
        predictor = Predictor(model, no_detect=True)
        table = predictor.predict(crops / "03.png").to_pandas()
        assert list(table.columns) == list(COLUMNS)
        face = phantom.render(np.arange(10) % 7, seed=0)[3:4]
        np.testing.assert_allclose(
            table[list(PROBABILITY_COLUMNS)], predictor.model.predict(face), atol=1e-6
        )

    def test_its_arguments_are_the_options_and_both_doors_lead_to_one_room(self, tmp_path):
        known = inspect.signature(Predictor).parameters
        fields = {one.name: one.default for one in dataclasses.fields(PredictorOptions)}
        assert {name: one.default for name, one in known.items() if name != "detector"} == fields
        asked = {"no_detect": True, "hide": "lower", "abstain_below": 0.3, "flip": True,
                 "most_pixels": 99, "estimate": False, "mix": "balanced"}  # fmt: skip
        model = linear_model(tmp_path / "linear.onnx", class_mix=MIX)
        one = Predictor(model, **asked).settings()
        assert one == Predictor.of(PredictorOptions(model=model, **asked)).settings()
        plain = Predictor(model, no_detect=True).settings()
        assert all(one[name] != plain[name] for name in asked.keys() & one.keys())
        with pytest.raises(UsageError, match="exclude each other"):
            Predictor.of(PredictorOptions(model=model, no_detect=True), detector=object())

    @pytest.mark.parametrize(
        "asked",
        [{"hide": "lower"}, {"mix": "balanced"}, {"flip": True}, {"abstain_below": 0.9}, {}],
    )
    def test_another_look_with_the_same_networks_is_a_new_object_s(self, tmp_path, asked):
        path = linear_model(tmp_path / "linear.onnx", class_mix=MIX)
        before = Predictor(path, no_detect=True, hide="upper", mix="natural")
        other = before.but(**asked)
        alone = Predictor(path, no_detect=True, **{"hide": "upper", "mix": "natural", **asked})
        assert other.settings() == alone.settings()
        assert other.model is before.model
        assert [one.row() for one in other.predict(PIXELS)] == [
            one.row() for one in alone.predict(PIXELS)
        ]
        assert (
            before.settings()
            == Predictor(path, no_detect=True, hide="upper", mix="natural").settings()
        )

    def test_copies_and_pickles_are_as_it_is(self, tmp_path):
        path = linear_model(tmp_path / "linear.onnx", class_mix=MIX)
        named = Predictor(path, no_detect=True, mix=dict.fromkeys(EMOTIONS, 1 / 7))
        for one in (named, named.but(hide="lower"), Predictor(no_detect=True).for_videos()):
            others = copy.copy(one), copy.deepcopy(one), pickled(one)
            for other in others:
                assert other.settings() == one.settings()
                assert other.predict(PIXELS).rows() == one.predict(PIXELS).rows()
            assert others[0].model is one.model
        own = pickled(Predictor(path, detector=NoFaces()))
        assert isinstance(own.for_videos()._detector, NoFaces)
        assert own.predict(PIXELS).faces == ()

    def test_another_process_takes_it_and_gives_what_it_says(self, model, crops):
        predictor = Predictor(model, no_detect=True)
        names = sorted(crops.glob("0*.png"))
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            found = pool.submit(predictor.predict, names).result()
        assert found == predictor.predict(names)
        assert (found[3].pixels == predictor.read(names[3]).pixels).all()

    def test_what_takes_another_network_takes_another_object(self, model):
        predictor = Predictor(model, no_detect=True)
        for wrong, words in (
            ({"model": "nano"}, "model can't be changed"),
            ({"abstain_below": 2}, "abstain_below must lie in"),
            ({"hide": "nose"}, "Condition 'nose' is unknown"),
            ({"hide": "random-50"}, "random-50 hides other pixels in each image"),
        ):
            with pytest.raises(UsageError, match=words):
                predictor.but(**wrong)
        # Nothing hidden, and nothing declared, are the same network's too.
        assert predictor.but(hide="lower").but(hide=None).settings() == predictor.settings()

    def test_pictures_and_videos_have_default_networks_of_their_own(self, crops):
        pictures, fast = (
            shipped.path_of(shipped.default_model(in_videos=one)) for one in (False, True)
        )
        for asked in ({}, {"label_as": "people"}):
            predictor = Predictor(no_detect=True, **asked)
            moving = predictor.for_videos()
            assert predictor.model.path == pictures
            assert moving.model.path == moving.but(hide="lower").model.path == fast
            assert predictor.model_in_videos == fast.stem
            assert moving.model is predictor.but(flip=True).for_videos().model  # opened once
            for one, path in ((predictor, pictures), (moving, fast)):
                view = one.calibration
                assert view.temperatures == Predictor(path).calibration.temperatures
                assert one.abstain_below == view.abstain_below
            told = predictor.settings()
            assert told["model_sha256"] == sha256_file(pictures)
            assert told["model_sha256_in_videos"] == sha256_file(fast)
        pixels = predictor.read(crops / "03.png").pixels
        frames = [Frame(pixels, "v.mp4", number, number / 25) for number in range(2)]
        (watched, _), (alone,) = (
            Watch(predictor).predict_frames(frames),
            Predictor(fast, no_detect=True).predict_frames(frames[:1]),
        )
        assert [one.row() for one in watched] == [one.row() for one in alone]
        assert watched[0].model == fast.stem
        assert predictor.predict(pixels)[0].model == pictures.stem

    @pytest.mark.parametrize("named", [{"model": "nano-int8"}, {"label_as": "fer2013"}])
    def test_a_network_that_is_named_reads_videos_too(self, named):
        predictor = Predictor(no_detect=True, **named)
        assert predictor.for_videos().model is predictor.model
        told = predictor.settings()
        assert told["model_sha256"] == told["model_sha256_in_videos"] == predictor.model_sha256

    @pytest.mark.parametrize("asked", [{"hide": condition("lower")}, {"flip": "no"}, {"flip": 1}])
    def test_what_is_no_name_or_truth_is_refused(self, model, asked):
        with pytest.raises(UsageError, match=r"is no name of a condition|flip is True or False"):
            Predictor(model, no_detect=True, **asked)

    def test_what_is_declared_hidden_is_not_seen(self, model):
        pixels = np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8)
        other = pixels.copy()
        other[24:] = 7
        predictor = Predictor(model, no_detect=True, hide="lower")
        one, two = predictor.predict(pixels)[0], predictor.predict(other)[0]
        assert one.probabilities == two.probabilities
        assert one.visibility.shares["lower"] == 0

    def test_noise_is_of_the_picture_and_not_of_its_name(self, model, crops, monkeypatch):
        monkeypatch.chdir(crops)
        predictor = Predictor(model, no_detect=True, hide="lower@noise")
        pixels = predictor.read("03.png").pixels
        forms = ["03.png", "./03.png", crops / "03.png", pixels]
        one, *others = (predictor.predict(form)[0].probabilities for form in forms)
        assert others == [one] * 3
        twice = predictor.predict([pixels, pixels])
        assert twice[0][0].probabilities == twice[1][0].probabilities
        pixels[40, 40] ^= 1
        assert predictor.predict(pixels)[0].probabilities != one

    def test_abstains_with_a_reason(self, model, crops):
        unsure = Predictor(model, no_detect=True, abstain_below=1.0).predict(crops / "00.png")[0]
        assert unsure.label is None
        assert "below 1.00" in unsure.reason
        blind = Predictor(model, no_detect=True, hide="none").predict(crops / "00.png")[0]
        assert "0 % of the face" in blind.reason

    @NETWORKS
    def test_eight_threads_find_what_one_finds(self, model, shared_data):
        predictor = Predictor(model)
        names = ["justin.jpg", "obama_240p_small.jpg"] * 8
        look = lambda name: predictor.predict(shared_data / "photos" / name).faces  # noqa: E731
        alone = {name: look(name) for name in set(names)}
        with ThreadPoolExecutor(8) as pool:
            for name, found in zip(names, pool.map(look, names), strict=True):
                assert [repr(one) for one in found] == [repr(one) for one in alone[name]]

    @pytest.mark.parametrize(
        ("name", "least", "most"),
        [("solvay1927.jpg", 29, 29), ("group_stairs.jpg", 14, 16), ("obama_rgba.png", 1, 1)],
    )
    @NETWORKS
    def test_faces_of_photographs(self, model, shared_data, name, least, most):
        faces = Predictor(model).predict(shared_data / "photos" / name)
        assert least <= len(faces) <= most

    @NETWORKS
    def test_a_face_cut_by_the_border_is_measured(self, model, shared_data):
        predictor = Predictor(model, estimate=False)
        (face,) = predictor.predict(shared_data / "photos/obama_partial_left.jpg")
        assert face.visibility.sources["left"] == "measured"
        assert face.visibility.shares["left"] < 0.75
        assert face.visibility.sources["right"] == "unknown"


@pytest.fixture
def calibrated(model, tmp_path):
    """A copy of a model with a calibration of made-up numbers beside it."""
    path = tmp_path / "model.onnx"
    path.write_bytes(model.read_bytes())
    temperatures = {"pooled": 2.0, **{one: 1 + n / 4 for n, one in enumerate(CONDITIONS)}}
    view = {"temperatures": temperatures, "abstain_below": 0.3, "answered": []}
    write_json(
        calibration_path(path),
        {
            "format": 1, "model_sha256": sha256_file(path), "fitted_on": {},
            "views": {"one": view, "flipped": {**view, "temperatures": {"pooled": 5.0}}},
        },
    )  # fmt: skip
    return path, temperatures


class TestCalibrated:
    def test_confidence_has_the_temperature_of_what_is_visible(self, model, calibrated):
        path, temperatures = calibrated
        for key in ("full", "lower", "only-upper-left"):
            hide = None if key == "full" else key
            options = {"no_detect": True, "hide": hide, "estimate": False}
            raw = Predictor(model, **options).predict(PIXELS)[0]
            face = Predictor(path, **options).predict(PIXELS)[0]
            expected = scale(np.array([raw.probabilities]), temperatures[key])[0]
            np.testing.assert_allclose(face.probabilities, expected, atol=1e-6)
            assert face.temperature == pytest.approx(temperatures[key])
            assert np.isnan(raw.temperature)
            assert raw.row()["temperature"] is None

    @pytest.mark.parametrize("flip", [True, np.True_])
    def test_flipped_views_have_their_own(self, model, calibrated, flip):
        path, _ = calibrated
        raw = Predictor(model, no_detect=True, flip=True).predict(PIXELS)[0]
        flipped = Predictor(path, no_detect=True, flip=flip)
        expected = scale(np.array([raw.probabilities]), 5.0)[0]
        np.testing.assert_allclose(flipped.predict(PIXELS)[0].probabilities, expected, atol=1e-6)
        assert json.loads(json.dumps(flipped.settings()))["flip"] is True

    def test_the_default_threshold_is_the_models_own(self, model, calibrated):
        path, _ = calibrated
        assert Predictor(path, no_detect=True).abstain_below == 0.3
        assert Predictor(model, no_detect=True).abstain_below == 0
        assert Predictor(path, no_detect=True, abstain_below=0).abstain_below == 0
        face = Predictor(path, no_detect=True, hide="only-lower-right").predict(PIXELS)[0]
        assert face.abstained == (face.confidence < 0.3)

    def test_a_threshold_that_is_asked_for_is_another_setting_than_the_models_own(self, calibrated):
        """Videos have another one of their own, which the number would take the place of."""
        path, _ = calibrated
        own = Predictor(no_detect=True)
        moving = own.for_videos()
        assert own.abstain_below != moving.abstain_below
        asked = own.but(abstain_below=own.abstain_below)
        assert asked.settings() != own.settings()
        told = own.settings()
        assert told["abstain_below_in_videos"] == moving.abstain_below
        assert told["temperatures_in_videos"] == moving.calibration.temperatures
        assert json.dumps(told)
        alone = Predictor(path, no_detect=True)
        assert alone.settings()["temperatures_in_videos"] == alone.settings()["temperatures"]

    def test_a_declared_mix_comes_after_the_temperature(self, calibrated):
        path, _ = calibrated
        content = json.loads(calibration_path(path).read_text())
        content["views"]["one"]["temperatures"]["full"] = 2.0
        write_json(calibration_path(path), content | {"class_mix": MIX})
        raw = OnnxModel.load(path).predict(whole_picture(PIXELS).pixels[None]).astype(float)
        ratios = np.array([1 / (7 * MIX[one]) for one in EMOTIONS])
        expected = scale(raw, 2.0) * ratios
        expected /= expected.sum()
        face = Predictor(path, no_detect=True, estimate=False, mix="balanced").predict(PIXELS)[0]
        np.testing.assert_allclose(face.probabilities, expected[0], atol=1e-6)
        assert face.best == EMOTIONS[expected.argmax()]
        assert face.mix == face.row()["mix"] == "balanced"
        # The other order is another result.
        other = raw * ratios
        assert not np.allclose(scale(other / other.sum(), 2.0), expected)

    def test_a_calibration_of_another_file_is_refused(self, calibrated, tmp_path):
        path, _ = calibrated
        path.write_bytes(linear_model(tmp_path / "other.onnx", 1).read_bytes())
        with pytest.raises(DamagedError, match="another file"):
            Predictor(path, no_detect=True)

    def test_eight_threads_and_videos_share_one_predictor(self, calibrated):
        path, _ = calibrated
        predictor = Predictor(path, no_detect=True, flip=True)
        rng = np.random.default_rng(1)
        videos = [rng.integers(0, 256, (12, 48, 48, 3), np.uint8) for _ in range(16)]
        frames = [
            [Frame(one, f"{n}", at) for at, one in enumerate(v)] for n, v in enumerate(videos)
        ]
        look = lambda one: [repr(faces.faces) for faces in Watch(predictor).predict_frames(one)]  # noqa: E731
        alone = [look(one) for one in frames]
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(look, frames * 3)) == alone * 3


def test_flip_is_the_mean_of_a_face_and_its_mirror_image(model):
    predictor = Predictor(model, no_detect=True, flip=True)
    one = Predictor(model, no_detect=True)
    face, mirrored = PIXELS[:, :120], PIXELS[:, :120][:, ::-1]
    both = [
        np.array(one.predict(np.ascontiguousarray(p))[0].probabilities) for p in (face, mirrored)
    ]
    mean = predictor.predict(np.ascontiguousarray(face))[0].probabilities
    np.testing.assert_allclose(mean, np.mean(both, axis=0), atol=1e-6)
    again = predictor.predict(np.ascontiguousarray(mirrored))[0].probabilities
    np.testing.assert_allclose(mean, again, atol=1e-6)


class TestMix:
    @pytest.fixture
    def model(self, tmp_path):
        return linear_model(tmp_path / "linear.onnx", class_mix=MIX)

    def test_trained_changes_no_digit(self, model, crops):
        plain = Predictor(model, no_detect=True).predict(crops / "03.png")[0]
        (same,) = Predictor(model, no_detect=True, mix="trained").predict(crops / "03.png")
        assert plain.row() == same.row()
        face = phantom.render(np.arange(10) % 7, seed=0)[3:4]
        network = OnnxModel.load(model).predict(face)[0].astype(float)
        assert plain.probabilities == tuple(network.tolist())
        assert plain.mix == "trained"

    def test_every_face_of_a_batch_is_reweighed(self, model):
        frames = [Frame(PIXELS), Frame(PIXELS[::-1])]
        plain = Predictor(model, no_detect=True).predict_frames(frames)
        mixed = Predictor(model, no_detect=True, mix="natural").predict_frames(frames)
        natural = Mix.of("natural").shares
        for (before,), (after,) in zip(plain, mixed, strict=True):
            expected = np.array(before.probabilities) * natural / [MIX[one] for one in EMOTIONS]
            np.testing.assert_allclose(after.probabilities, expected / expected.sum(), rtol=1e-6)
        assert Predictor(model, no_detect=True, mix="natural").predict_frames([]) == []

    def test_the_threshold_is_of_what_the_mix_makes(self, model):
        plain = Predictor(model, no_detect=True).predict(PIXELS)[0]
        sure = {**dict.fromkeys(EMOTIONS, 0.0), "fear": 1.0}
        asked = {"no_detect": True, "estimate": False, "abstain_below": 0.99}
        certain = Predictor(model, **asked, mix=sure)
        face = certain.predict(PIXELS)[0]
        assert plain.confidence < 0.99
        assert (face.label, face.confidence) == ("fear", 1)
        assert certain.threshold_note == ""

    def test_a_threshold_that_was_fitted_for_another_mix_says_so(self, model):
        view = {"temperatures": {"pooled": 1.0}, "abstain_below": 1.0, "answered": []}
        known = {"format": 1, "model_sha256": sha256_file(model), "fitted_on": {}}
        write_json(calibration_path(model), {**known, "views": {"one": view}})
        plain = Predictor(model, no_detect=True, estimate=False)
        mixed = Predictor(model, no_detect=True, estimate=False, mix="balanced")
        own = Predictor(model, no_detect=True, estimate=False, mix="balanced", abstain_below=1)
        assert plain.threshold_note == own.threshold_note == ""
        assert "threshold 1.00 was chosen for the mix of the training" in mixed.threshold_note
        assert mixed.predict(PIXELS)[0].reason.endswith("below 1.00, chosen for the trained mix")
        for predictor in (plain, own):
            assert predictor.predict(PIXELS)[0].reason.endswith("below 1.00")

    def test_without_the_trainings_mix_only_trained_can_be_declared(self, tmp_path):
        unknown = linear_model(tmp_path / "unknown.onnx")
        assert Predictor(unknown, no_detect=True).mix.name == "trained"
        with pytest.raises(UsageError, match=r"Nobody knows the mix .* unknown\.onnx"):
            Predictor(unknown, no_detect=True, mix="balanced")

    def test_what_a_run_depends_on_names_the_shares_on_both_sides(self, model, tmp_path):
        settings = [Predictor(model, no_detect=True, mix=one).settings() for one in (
            "trained", "balanced", dict.fromkeys(EMOTIONS, 1 / 7), MIX)]  # fmt: skip
        # The same name and another network's training is another result.
        other = linear_model(tmp_path / "o.onnx", class_mix=dict.fromkeys(EMOTIONS, 1 / 7))
        settings.append(Predictor(other, no_detect=True, mix="balanced").settings())
        keys = {repr([one[name] for name in ("mix", "mix_from_to")]) for one in settings}
        assert len(keys) == len(settings)

    def test_the_shipped_networks_know_theirs(self):
        for one in shipped.list_models():
            if one.kind == "emotion":
                face = Predictor(one.name, no_detect=True, mix="balanced").predict(PIXELS)[0]
                assert sum(face.probabilities) == pytest.approx(1)


class TestLabels:
    """Whose labels are given: the shipped model that learnt them gives them."""

    @pytest.mark.parametrize("labels", ["people", "fer2013"])
    def test_the_model_that_learnt_them_is_taken(self, labels):
        predictor = Predictor(label_as=labels, no_detect=True)
        assert predictor.model.path == shipped.path_of(shipped.model_for(labels))

    def test_a_model_and_labels_exclude_each_other(self, model):
        with pytest.raises(UsageError, match=r"leave out .*linear\.onnx.* or the labels 'people'"):
            Predictor(model, label_as="people", no_detect=True)

    def test_unknown_labels(self):
        with pytest.raises(UsageError, match="'majority' are unknown; choose from: people, fer"):
            Predictor(label_as="majority", no_detect=True)
