"""Training of the network for visibility: stopped and gone on with, its settings, its file."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from builders import flipped, hemiface, rendered
from hemiface.config import load_as, to_toml
from hemiface.data.images import Images
from hemiface.errors import DamagedError, HemifaceError, MissingError, UsageError
from hemiface.models import shipped
from hemiface.models.onnx_file import OnnxModel
from hemiface.models.visible_tiles import VisibleTiles
from hemiface.occlusion.occluders import HELD_OUT, SEEN


@pytest.mark.usefixtures("one_thread")
class TestTraining:
    @pytest.fixture
    def images(self):
        return rendered(64)

    @staticmethod
    def config(**options):
        from hemiface.visibility.train import VisibilityConfig

        return VisibilityConfig(**{"width": 4, "batch_size": 16, "precision": "fp32"} | options)

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
            torch.load(tmp_path / folder / "checkpoint/last.pt", weights_only=True)["state"]["best"]
            for folder in ("whole", "parts")
        )
        assert one["epoch"] == other["epoch"]
        for name, weights in one["weights"].items():
            assert torch.equal(weights, other["weights"][name]), name
        history = pd.read_csv(tmp_path / "parts" / "history.csv")
        assert history["epoch"].tolist() == [1, 2]
        # A damaged checkpoint costs an epoch, and two of them are named.
        last, before = (
            tmp_path / "whole" / "checkpoint" / f"{one}.pt" for one in ("last", "previous")
        )
        last.write_bytes(next(flipped(last.read_bytes(), 1)))
        with monkeypatch.context() as patched:
            patched.setattr(training, "_write_onnx", lambda *_: None)
            training.train(images, self.config(epochs=2), tmp_path / "whole")
            again = torch.load(last, weights_only=True)
            assert [row["epoch"] for row in again["history"]] == [1, 2]
            for name, weights in one["weights"].items():
                assert torch.equal(weights, again["state"]["best"]["weights"][name]), name
            for path in (last, before):
                path.write_bytes(path.read_bytes()[:-100])
            with pytest.raises(DamagedError, match=r"is whole .* remove .*checkpoint to train"):
                training.train(images, self.config(epochs=2), tmp_path / "whole")
        header = VisibleTiles.load(whole).header
        assert header["provenance"]["train_images"] == 32
        assert header["provenance"]["occluders"] == list(SEEN)
        assert not set(HELD_OUT) & set(json.dumps(dict(header)).split('"'))

        shipped.add(whole, "visibility", "For tests.", tmp_path / "models")
        (line,) = shipped.describe(tmp_path / "models")
        assert (line["kind"], line["accuracy"], line["precision"]) == ("visibility", {}, "fp32")
        with pytest.raises(UsageError, match="tells visibility, not emotions"):
            OnnxModel.load(whole)

    def test_real_things_are_learnt_from_or_left_out(self, images, tmp_path, monkeypatch, caplog):
        import torch

        from hemiface.visibility import train as training

        def able():
            return {"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": False}

        monkeypatch.setattr(torch.cpu, "get_capabilities", able, raising=False)
        listed = images.split("train").table["source_row"].tolist()[:3]
        elsewhere = images.split("validation").table["source_row"].tolist()[0]
        path = tmp_path / "real.csv"
        rows = zip([*listed, elsewhere], ["eyes", "mouth", "", "eyes"], strict=True)
        path.write_text("row,covers\n" + "".join(f"{row},{region}\n" for row, region in rows))
        config = self.config(epochs=1, precision="bf16")
        file = training.train(images, config, tmp_path / "run", real=path)
        known = VisibleTiles.load(file).header["provenance"]
        assert known["train_images"] == 32 - 3
        # A processor without bf16 computes in fp32, says so and keeps it.
        assert known["precision"] == "fp32"
        assert "the network for visibility: this processor has no bf16" in caplog.text
        assert known["really_covered"] | {"hash": ""} == {
            "eyes": 1, "mouth": 1, "left_out": 1, "hash": "",
        }  # fmt: skip
        history = pd.read_csv(tmp_path / "run" / "history.csv")
        assert np.isfinite(history["train_loss"]).all()
        # A row of another split changes nothing; what is said of a training image does.
        epochs = []
        monkeypatch.setattr(training._Run, "epoch", lambda _, number: epochs.append(number) or 1.0)
        monkeypatch.setattr(training, "_write_onnx", lambda *_: file)
        path.write_text(path.read_text().replace(f"{elsewhere},eyes", f"{elsewhere},mouth"))
        training.train(images, config, tmp_path / "run", real=path)
        assert epochs == []
        path.write_text(path.read_text().replace(f"{listed[1]},mouth", f"{listed[1]},eyes"))
        training.train(images, config, tmp_path / "run", real=path)
        assert epochs == [1]
        for content, words in (
            (",", "says of no training image what is covered"),
            (",chin", "real.csv, column covers: Region 'chin' is unknown; real things cover eyes"),
        ):
            path.write_text(f"row,covers\n{listed[0]}{content}\n")
            with pytest.raises(UsageError, match=words):
                training.train(images, self.config(), tmp_path / "other", real=path)
        with pytest.raises(MissingError, match=r"gone\.csv doesn't exist; check --real"):
            training.train(images, self.config(), tmp_path / "other", real=tmp_path / "gone.csv")

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
        for setting in ("seed=-1", "weight_decay=-1.0", "covering.light=-1.0", "covering.mask=1.5"):
            with pytest.raises(UsageError, match=r"must (not be negative|lie in)"):
                load_as(VisibilityConfig, None, [setting])

    def test_ten_steps_are_a_schedule_too(self, images, tmp_path):
        """A tenth of ten less one is nothing, by which torch's schedule divides."""
        from hemiface.visibility.train import train

        few = images.subset(np.flatnonzero(images.table["split"] == "train")[:8])
        held = images.subset(np.flatnonzero(images.table["split"] == "validation"))
        both = Images(
            pd.concat([few.table, held.table], ignore_index=True),
            np.concatenate([few.pixels, held.pixels]), images.info,
        )  # fmt: skip
        ten = dataclasses.replace(self.config(epochs=10), batch_size=8)
        assert train(both, ten, tmp_path, max_epochs=1).is_file()

    def test_a_loss_that_is_not_finite_ends_it(self, images, tmp_path):
        from hemiface.visibility.train import train

        with pytest.raises(HemifaceError, match=r"stopped being finite in epoch 1.*learning_rate"):
            train(images, dataclasses.replace(self.config(), learning_rate=1e30), tmp_path)

    def test_configs_and_trainings_stay(self, tmp_path, monkeypatch, capsys):
        mine = tmp_path / "config.toml"
        mine.write_text("# my notes\nepochs = 1\n")
        words = ("--data", "phantom:n=60,seed=0", "--out", tmp_path)
        assert hemiface(monkeypatch, "visibility", "train", "--config", mine, *words) == 2
        assert mine.read_text().startswith("# my notes")
        (tmp_path / "history.csv").write_text("epoch\n")
        assert hemiface(monkeypatch, "visibility", "evaluate", *words) == 2
        assert "is a training's folder" in capsys.readouterr().err

    def test_images_of_each_split_are_needed(self, images, tmp_path):
        from hemiface.visibility.train import train

        with pytest.raises(UsageError, match="max_epochs"):
            train(images, self.config(), tmp_path, max_epochs=0)
        with pytest.raises(UsageError, match="no validation images"):
            train(images.split("train"), self.config(), tmp_path)
