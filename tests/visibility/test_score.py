"""Scores of networks for visibility: of what knows everything, and of what knows nothing."""

import numpy as np
import pytest

from builders import Tiles, rendered
from hemiface.errors import DamagedError, UsageError
from hemiface.models.visible_tiles import tile_shares
from hemiface.occlusion.occluders import HELD_OUT, KINDS, SEEN
from hemiface.visibility.covered_faces import fixed_examples
from hemiface.visibility.score import format_scores, rank_auc, read_occluded, score


class TestScores:
    def test_who_knows_everything_makes_no_mistake(self):
        images = rendered(160)
        known = {}
        for kinds in (SEEN, HELD_OUT):
            test = images.split("test")
            faces, visible, _ = fixed_examples(test.pixels, test.table["image"].tolist(), kinds)
            known |= dict(zip((one.tobytes() for one in faces), tile_shares(visible), strict=True))
        oracle = Tiles(lambda faces: np.stack([known[one.tobytes()] for one in faces]))
        scores = score(oracle, images, draws=20)  # type: ignore[arg-type]
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
        scores = score(blind, images, draws=10)  # type: ignore[arg-type]
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

        scores = score(Tiles(say), images, occluded=test[:5], draws=10)  # type: ignore[arg-type]
        real = scores[scores["set"] == "real"].set_index("metric")
        assert real.loc["face_auc", "value"] == real.loc["found", "value"] == 1
        assert real.loc["found", "n"] == 5
        seen = scores[(scores["set"] == "seen") & (scores["kind"] == "all")].set_index("metric")
        assert seen.loc["face_auc", "n"] == 15
        with pytest.raises(UsageError, match="Only 0 of 1 occluded rows"):
            score(Tiles(say), images, occluded=[0], draws=10)  # type: ignore[arg-type]

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
        assert read_occluded(path) == [7, 9]
        path.write_text("line\n7\n")
        with pytest.raises(DamagedError, match="column `row`"):
            read_occluded(path)
