"""The network for visibility: files, tiles to regions, training, scores, and its use in predict."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from builders import hemiface
from hemiface.config import load_as, to_toml
from hemiface.data.images import Images
from hemiface.data.phantom import make as phantom
from hemiface.errors import DamagedError, UsageError
from hemiface.models import shipped
from hemiface.models.onnx_file import OnnxModel
from hemiface.models.visible_tiles import USUAL_REGIONS, VisibleTiles, enlarge, tile_shares
from hemiface.occlusion.conditions import condition
from hemiface.visibility.occluders import HELD_OUT, KINDS, SEEN, wear
from hemiface.visibility.score import evaluate, format_scores, rank_auc, read_rows
from hemiface.vision.predictor import Predictor
from hemiface.vision.visible_regions import visibility

ALL_INSIDE = np.ones((48, 48), dtype=bool)


def rendered(n: int, seed: int = 0) -> Images:
    """Rendered faces: half to train on, a quarter each to validate and to test."""
    pixels = phantom.render(np.arange(n) % 7, seed=seed)
    splits = ["train", "train", "validation", "test"] * (n // 4)
    return Images.build(
        pixels, labels=["happy"] * n, splits=splits, dataset="phantom",
        sources=[f"row:{i}" for i in range(n)], source_rows=np.arange(n),
    )  # fmt: skip


class Tiles:
    """In place of a VisibleTiles: tells what it was made with, or what a function says."""

    partly_hidden_above = 0.02

    def __init__(self, say):
        self.say = say

    def predict(self, faces):
        return self.say(faces)


class TestTiles:
    def test_shares_and_back(self):
        visible = np.ones((1, 48, 48), dtype=bool)
        visible[0, :4, :2] = False
        tiles = tile_shares(visible)
        assert tiles[0, 0, 0] == 0.5
        assert tiles.sum() == 143.5
        assert (enlarge(tiles)[0, :4, :4] == 0.5).all()
        assert enlarge(tiles).mean() == pytest.approx(visible.mean())

    def test_halves_are_whole_tiles(self):
        for half in ("upper", "lower", "left", "right"):
            tiles = tile_shares(USUAL_REGIONS[half][None])
            assert set(np.unique(tiles)) == {0, 1}

    def test_other_files_are_refused(self, tmp_path):
        with pytest.raises(DamagedError, match="isn't a network for visibility"):
            VisibleTiles.load(shipped.path_of("small"))
        with pytest.raises(DamagedError, match="doesn't exist"):
            VisibleTiles.load(tmp_path / "none.onnx")
        cut = tmp_path / "cut.onnx"
        cut.write_bytes(b"text")
        with pytest.raises(DamagedError):
            VisibleTiles.load(cut)


class TestScores:
    def test_who_knows_everything_makes_no_mistake(self):
        images = rendered(160)
        known = {}
        for kinds in (SEEN, HELD_OUT):
            from hemiface.visibility.covered_faces import fixed_examples

            test = images.split("test")
            faces, visible, _ = fixed_examples(test.pixels, test.table["image"].tolist(), kinds)
            known |= dict(zip((one.tobytes() for one in faces), tile_shares(visible), strict=True))
        oracle = Tiles(lambda faces: np.stack([known[one.tobytes()] for one in faces]))
        scores = evaluate(oracle, images, draws=20)  # type: ignore[arg-type]
        table = scores[scores["kind"] == "all"].set_index(["set", "metric"])["value"]
        for name in ("seen", "held-out"):
            assert table[name, "tile_auc"] == table[name, "face_auc"] == 1
            assert table[name, "tile_iou"] == 1
            assert table[name, "false_alarms"] == 0
            # A half is made of whole tiles; features are not.
            assert table[name, "left_error"] == pytest.approx(0, abs=1e-6)
            assert table[name, "eyes_error"] < 0.2
        assert set(scores["kind"]) <= {"all", *KINDS}
        assert "| held-out | all |" in format_scores(scores)

    def test_who_knows_nothing(self):
        images = rendered(80)
        blind = Tiles(lambda faces: np.ones((len(faces), 12, 12), dtype=np.float32))
        scores = evaluate(blind, images, draws=10)  # type: ignore[arg-type]
        table = scores.set_index(["set", "kind", "metric"])["value"]
        assert table["seen", "all", "face_auc"] == table["seen", "all", "tile_auc"] == 0.5
        assert table["seen", "all", "tile_iou"] == table["seen", "all", "found"] == 0

    def test_real_rows_are_set_apart(self):
        images = rendered(80)
        test = images.split("test").table["source_row"].tolist()
        grey = {one.tobytes(): row for one, row in zip(images.split("test").pixels, test)}  # noqa: B905

        def say(faces):
            shares = [0.5 if grey.get(one.tobytes()) in test[:5] else 1.0 for one in faces]
            return np.float32(shares)[:, None, None] * np.ones((12, 12), dtype=np.float32)

        scores = evaluate(Tiles(say), images, occluded=test[:5], draws=10)  # type: ignore[arg-type]
        real = scores[scores["set"] == "real"].set_index("metric")
        assert real.loc["face_auc", "value"] == real.loc["found", "value"] == 1
        assert real.loc["found", "n"] == 5
        seen = scores[(scores["set"] == "seen") & (scores["kind"] == "all")].set_index("metric")
        assert seen.loc["face_auc", "n"] == 15
        with pytest.raises(UsageError, match="Only 0 of 1 occluded rows"):
            evaluate(Tiles(say), images, occluded=[0], draws=10)  # type: ignore[arg-type]

    def test_rank_auc_is_that_of_scikit_learn(self):
        from sklearn.metrics import roc_auc_score

        random = np.random.default_rng(0)
        scores, labels = random.integers(0, 9, 200), random.random(200) < 0.3
        assert rank_auc(scores[labels], scores[~labels]) == pytest.approx(
            roc_auc_score(labels, scores)
        )
        assert np.isnan(rank_auc([], [1]))

    def test_rows_are_read(self, tmp_path):
        path = tmp_path / "rows.csv"
        path.write_text("row,emotion\n7,1\n9,2\n")
        assert read_rows(path) == [7, 9]
        path.write_text("line\n7\n")
        with pytest.raises(DamagedError, match="column `row`"):
            read_rows(path)


@pytest.mark.usefixtures("one_thread")
class TestTraining:
    @pytest.fixture
    def images(self):
        return rendered(64)

    @staticmethod
    def config(**options):
        from hemiface.visibility.train import VisibilityConfig

        return VisibilityConfig(width=4, batch_size=16, precision="fp32", **options)

    def test_stopped_and_gone_on_with_is_trained_at_once(self, images, tmp_path, monkeypatch):
        import torch

        from hemiface.visibility import train as training

        whole = training.train(images, self.config(epochs=2), tmp_path / "whole")
        # What runs after a training wants IEEE arithmetic again.
        assert np.float64(5e-324) * np.float64(1) > 0
        epoch = training._Run.epoch

        def stops(run, number):
            if number == 2:
                raise KeyboardInterrupt
            return epoch(run, number)

        with monkeypatch.context() as patched:
            patched.setattr(training._Run, "epoch", stops)
            with pytest.raises(KeyboardInterrupt):
                training.train(images, self.config(epochs=2), tmp_path / "parts")
        with monkeypatch.context() as patched:
            # Writing ONNX takes seconds, and was done once.
            patched.setattr(training, "_write_onnx", lambda *_: None)
            training.train(images, self.config(epochs=2), tmp_path / "parts")
        one, other = (
            torch.load(tmp_path / folder / "checkpoint.pt", weights_only=True)["state"]["best"]
            for folder in ("whole", "parts")
        )
        assert one["epoch"] == other["epoch"]
        for name, weights in one["weights"].items():
            assert torch.equal(weights, other["weights"][name]), name
        history = pd.read_csv(tmp_path / "parts" / "history.csv")
        assert history["epoch"].tolist() == [1, 2]
        header = VisibleTiles.load(whole).header
        assert header["provenance"]["train_images"] == 32
        assert header["provenance"]["occluders"] == list(SEEN)
        assert not set(HELD_OUT) & set(json.dumps(dict(header)).split('"'))

        shipped.add(whole, "visibility", "For tests.", tmp_path / "models")
        (line,) = shipped.describe(tmp_path / "models")
        assert (line["kind"], line["accuracy"], line["precision"]) == ("visibility", {}, "fp32")
        with pytest.raises(DamagedError, match="tells visibility, not emotions"):
            OnnxModel.load(whole)

    def test_settings(self, tmp_path):
        from hemiface.visibility.train import VisibilityConfig

        path = tmp_path / "config.toml"
        path.write_text(to_toml(self.config(epochs=3)))
        chosen = load_as(VisibilityConfig, path, ["covering.swap=0.5"])
        assert (chosen.epochs, chosen.width, chosen.covering.swap) == (3, 4, 0.5)
        assert load_as(VisibilityConfig, None) == VisibilityConfig()
        with pytest.raises(UsageError, match="did you mean"):
            load_as(VisibilityConfig, None, ["epoch=3"])
        with pytest.raises(UsageError, match="positive"):
            dataclasses.replace(self.config(), epochs=0)

    def test_images_of_each_split_are_needed(self, images, tmp_path):
        from hemiface.visibility.train import train

        with pytest.raises(UsageError, match="max_epochs"):
            train(images, self.config(), tmp_path, max_epochs=0)
        with pytest.raises(UsageError, match="no validation images"):
            train(images.split("train"), self.config(), tmp_path)


class TestVisibility:
    TILES = np.ones((12, 12), dtype=np.float32)

    def test_an_estimate_is_told_as_one(self):
        tiles = self.TILES.copy()
        tiles[6:] = 0.25
        seen = visibility(ALL_INSIDE, None, None, tiles)
        assert seen.shares["upper"] == 1
        assert seen.shares["lower"] == 0.25
        assert seen.shares["left"] == seen.estimate == 0.625
        assert {seen.sources[half] for half in ("upper", "lower", "left")} == {"estimated"}
        assert seen.sources["mouth"] == "unknown"  # no landmarks say where it is
        assert seen.most == 1

    def test_a_region_is_visible_only_inside_and_uncovered(self):
        inside = ALL_INSIDE.copy()
        inside[:, :36] = False
        tiles = self.TILES.copy()
        tiles[:6] = 0
        seen = visibility(inside, None, None, tiles)
        assert (seen.shares["left"], seen.sources["left"]) == (0, "measured")
        assert (seen.shares["right"], seen.sources["right"]) == (0.25, "estimated")
        assert (seen.most, seen.estimate) == (0.25, 0.125)

    def test_a_declaration_overrules(self):
        seen = visibility(ALL_INSIDE, None, condition("lower"), self.TILES * 0)
        assert (seen.shares["upper"], seen.sources["upper"]) == (1, "declared")
        assert seen.estimate is None


def rgb(face: np.ndarray) -> np.ndarray:
    return np.repeat(face[:, :, None], 3, axis=2)


class TestPredict:
    @pytest.fixture
    def face(self):
        return rgb(phantom.render([3], seed=0)[0])

    def test_abstains_in_words(self, face, monkeypatch):
        predictor = Predictor(no_detect=True)
        nothing = Tiles(lambda faces: np.full((len(faces), 12, 12), 0.1, dtype=np.float32))
        monkeypatch.setattr(predictor, "_tiles", nothing)
        (one,) = predictor.predict(face)
        assert one.reason == "by estimate only 10 % of the face can be seen"
        assert one.row()["visible_upper_source"] == "estimated"

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


@pytest.fixture(scope="module")
def network() -> VisibleTiles:
    """The network that comes along."""
    return VisibleTiles.load(shipped.path_of("visibility"))


def region_shares(tiles: np.ndarray) -> dict[str, float]:
    """The mean visible share of each usual region."""
    pixels = enlarge(tiles)
    return {name: float(pixels[:, mask].mean()) for name, mask in USUAL_REGIONS.items()}


class TestShipped:
    def test_is_small_and_says_where_it_comes_from(self, network):
        assert network.path.stat().st_size < 1_000_000
        assert network.header["licence"] == "Apache-2.0"
        assert network.header["provenance"]["source_sha256"]
        assert shipped.verify(["visibility"]) == {"visibility": ""}

    def test_batches_change_nothing(self, network):
        faces = phantom.render(np.arange(5), seed=1)
        assert np.allclose(network.predict(faces), network.predict(faces, batch_size=2), atol=1e-5)

    @pytest.mark.parametrize(
        ("kind", "hidden", "free", "most"),
        [("mask", "mouth", "eyes", 0.5), ("sunglasses", "eyes", "mouth", 0.5),
         ("headset", "eyes", "mouth", 0.5), ("scarf", "lower", "upper", 0.5),
         ("cup", "mouth", "eyes", 0.75)],
    )  # fmt: skip
    def test_drawn_occluders_are_seen(self, network, kind, hidden, free, most):
        """On rendered faces, which the network never saw; the cup is a kind that it never saw."""
        faces = phantom.render(np.arange(21) % 7, seed=2)
        covered, _ = wear(faces, [kind] * 21, np.arange(21))
        shares, bare = (region_shares(network.predict(one)) for one in (covered, faces))
        assert shares[hidden] < min(most, bare[hidden] - 0.2)
        assert shares[free] > 0.7
        assert bare[hidden] > 0.8

    @pytest.mark.usefixtures("face_networks")
    def test_sunglasses_in_a_photograph(self, shared_data):
        """Real things are noticed less than drawn ones (results/visibility), but noticed."""
        predictor = Predictor(abstain_below=0)
        (man,) = predictor.predict(shared_data / "photos/sunglasses_man.jpg")
        (free,) = predictor.predict(shared_data / "photos/obama_official.jpg")
        seen, bare = man.visibility, free.visibility
        assert seen.sources["eyes"] == bare.sources["eyes"] == "estimated"
        assert seen.shares["eyes"] < min(seen.shares["mouth"], bare.shares["eyes"]) - 0.08
        assert min(bare.shares["eyes"], bare.shares["mouth"]) > 0.8
        assert not man.abstained
        assert not free.abstained
