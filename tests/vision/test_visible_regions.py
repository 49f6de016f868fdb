"""What of a face can be seen, as predict tells it: measured, declared, estimated."""

import json

import numpy as np
import pytest
from PIL import Image

from builders import Tiles, hemiface, linear_model
from hemiface.data.phantom import make as phantom
from hemiface.occlusion.conditions import condition
from hemiface.vision.covered_halves import covered_part, learnt_conditions
from hemiface.vision.predictor import Predictor
from hemiface.vision.visible_regions import visible_regions

ALL_INSIDE = np.ones((48, 48), dtype=bool)


class TestVisibility:
    TILES = np.ones((12, 12), dtype=np.float32)

    def test_an_estimate_is_told_as_one(self):
        tiles = self.TILES.copy()
        tiles[6:] = 0.25
        seen = visible_regions(ALL_INSIDE, None, None, tiles)
        assert seen.shares["upper"] == 1
        assert seen.shares["lower"] == 0.25
        assert seen.shares["left"] == seen.estimate == 0.625
        assert set(seen.sources.values()) == {"estimated"}
        assert seen.shares["mouth"] == 0.25  # where it usually lies: no landmarks say where it is
        assert seen.shares["eyes"] == 1
        assert seen.most == 1

    def test_a_region_is_visible_only_inside_and_uncovered(self):
        inside = ALL_INSIDE.copy()
        inside[:, :36] = False
        tiles = self.TILES.copy()
        tiles[:6] = 0
        seen = visible_regions(inside, None, None, tiles)
        assert (seen.shares["left"], seen.sources["left"]) == (0, "measured")
        assert (seen.shares["right"], seen.sources["right"]) == (0.25, "estimated")
        assert (seen.most, seen.estimate) == (0.25, 0.125)

    def test_a_border_and_a_thing_are_told_apart(self):
        inside = ALL_INSIDE.copy()
        inside[36:] = False
        tiles = self.TILES.copy()
        tiles[:6] = 0.25
        seen = visible_regions(inside, None, None, tiles)
        assert (seen.shares["lower"], seen.covered["lower"]) == (0.5, 0)
        assert (seen.shares["upper"], seen.covered["upper"]) == (0.25, 0.75)
        assert seen.most == 0.75
        assert seen.covered_in_all == pytest.approx(0.5)
        bare = visible_regions(inside, None)
        assert np.isnan([*bare.covered.values(), bare.covered_in_all]).all()

    def test_a_declaration_overrules(self):
        seen = visible_regions(ALL_INSIDE, None, condition("lower"), self.TILES * 0)
        assert (seen.shares["upper"], seen.sources["upper"]) == (1, "declared")
        assert seen.estimate is None


def rgb(face: np.ndarray) -> np.ndarray:
    return np.repeat(face[:, :, None], 3, axis=2)


class TestCoveredPart:
    LEARNT = frozenset({"upper", "lower", "left", "only-upper-left"})

    def part(self, tiles, learnt=LEARNT):
        return covered_part(visible_regions(ALL_INSIDE, None, None, tiles), learnt)

    def test_covered_halves_and_nothing_else(self):
        tiles = np.ones((12, 12), dtype=np.float32)
        assert self.part(tiles) is None
        tiles[6:] = 0.5
        assert self.part(tiles) is None  # not more than half of it
        tiles[6:] = 0.4
        assert self.part(tiles) == condition("lower")
        assert self.part(tiles, frozenset({"upper"})) is None

    def test_several_halves_together_or_the_most_covered(self):
        tiles = np.full((12, 12), 0.3, dtype=np.float32)
        tiles[:6, :6] = 1
        tiles[6:, :6] = 0.15
        tiles[:6, 6:] = 0.1
        assert self.part(tiles) == condition("only-upper-left")
        assert self.part(tiles, frozenset({"lower", "left"})) == condition("lower")

    def test_what_the_border_cuts_is_not_covered(self):
        inside = ALL_INSIDE.copy()
        inside[30:] = False
        tiles = np.ones((12, 12), dtype=np.float32)
        looks = visible_regions(inside, None, None, tiles)
        assert looks.shares["lower"] == 0.25
        assert covered_part(looks, self.LEARNT) is None


class TestPredict:
    @pytest.fixture
    def face(self):
        return rgb(phantom.render([3], seed=0)[0])

    def test_abstains_in_words(self, face, monkeypatch):
        predictor = Predictor(no_detect=True)
        nothing = Tiles(lambda faces: np.full((len(faces), 12, 12), 0.1, dtype=np.float32))
        monkeypatch.setattr(predictor, "_tiles", nothing)
        (one,) = predictor.predict(face)
        assert one.reason == "by estimate only 10 % of the face is uncovered"
        assert one.row()["visible_upper_source"] == "estimated"
        assert one.row()["covered"] == one.row()["covered_mouth"] == pytest.approx(0.9)

    def test_a_covered_half_is_hidden_from_a_model_that_learnt_it(
        self, face, monkeypatch, tmp_path
    ):
        def masked(faces):
            tiles = np.ones((len(faces), 12, 12), dtype=np.float32)
            tiles[:, 6:] = 0.3
            return tiles

        knowing = {"conditions": ["full", "lower", "upper@mean"]}
        for name, provenance in (("knows", knowing), ("new", {})):
            model = linear_model(tmp_path / f"{name}.onnx", provenance=provenance)
            predictor = Predictor(model, no_detect=True)
            monkeypatch.setattr(predictor, "_tiles", Tiles(masked))
            (seen,) = predictor.predict(face)
            hide = "lower" if provenance else None
            (told,) = Predictor(model, no_detect=True, hide=hide, estimate=False).predict(face)
            assert seen.probabilities == told.probabilities
            assert seen.row()["hidden_by_estimate"] == hide
            assert seen.row()["hidden"] is None

    def test_can_be_switched_off(self, face):
        (one,) = Predictor(no_detect=True, estimate=False).predict(face)
        assert set(one.visibility.sources.values()) == {"unknown"}
        assert one.visibility.estimate is None

    def test_the_command_has_a_switch(self, face, tmp_path, monkeypatch, capsys):
        Image.fromarray(face).save(tmp_path / "face.png")
        words = ["predict", tmp_path / "face.png", "--no-detect"]
        for switch, source in ((["--no-estimate"], "unknown"), ([], "estimated")):
            assert hemiface(monkeypatch, *words, "--json", *switch) == 0
            (row,) = json.loads(capsys.readouterr().out)["faces"]
            assert row["visible_upper_source"] == source


def test_a_network_that_learnt_worn_things_is_shown_them():
    listed = ["full", "upper@mean", "lower", "none", "only-upper-left"]
    known = {"conditions": listed, "recipe": {"augment": {"hide_worn": 0.0}}}
    expected = {"upper", "lower", "only-upper-left"}
    assert learnt_conditions({"provenance": known}) == expected
    assert learnt_conditions({"provenance": {"conditions": listed}}) == expected
    known["recipe"]["augment"]["hide_worn"] = 0.25
    assert learnt_conditions({"provenance": known}) == frozenset()
