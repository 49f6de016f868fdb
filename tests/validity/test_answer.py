"""The answer's jobs, and its whole way on rendered faces after two steps of training."""

import numpy as np
import pandas as pd
import pytest
import torch

import answer
from builders import described
from hemiface.errors import UsageError
from hemiface.networks.network import Bundle
from hemiface.occlusion.conditions import HALVES
from hemiface.stats.specification import specification
from hemiface.tables import (
    PROBABILITY_COLUMNS,
    label_indices,
    probabilities,
    read_predictions,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


class TestJobs:
    def test_are_five_seeds_of_three_architectures_and_two_labels(self):
        plain = answer.chosen(["fill=black", "halves=picture", "flips=off"])
        longer = [job for job in plain if job.architecture != answer.SHORTER]
        assert len(longer) == 5 * 3 * 2
        assert len(plain) - len(longer) == 2 * 2
        assert len({job.folder for job in answer.jobs()}) == len(answer.jobs()) == 55

    def test_every_fill_and_the_face_are_retrained(self):
        both = answer.chosen(["architecture=tiny", "flips=off", "seed=0"])
        assert {job.fill for job in both} == {"black", "mean", "noise", "blur"}
        assert {job.halves for job in both} == {"picture", "face"}

    def test_see_each_condition_equally_often(self):
        for job in answer.chosen(["seed=1"]):
            config = answer.config_of(job)
            assert sorted(config.generalist_conditions) == sorted(job.conditions)
            assert len(set(job.conditions)) == 1 + len(HALVES)
            assert config.augment.flip == config.generalist.augment.flip == (job.flips == "on")
            assert config.generalist.train.soft_labels == (job.labels == "FER+ votes")

    def test_unknown_choices(self):
        with pytest.raises(UsageError, match="choose NAME=VALUE with one of architecture"):
            answer.chosen(["network=compact"])
        with pytest.raises(UsageError, match="No job fits seed=9"):
            answer.chosen(["seed=9"])


def test_from_training_to_tables(tmp_path, capsys, monkeypatch):
    runs, out = tmp_path / "runs", tmp_path / "out"
    few = [
        "train", "--data", "phantom:n=560", "--runs", str(runs), "--max-steps", "2",
        "--only", "labels=FER2013", "--only", "architecture=tiny", "--only", "halves=picture",
        "--only", "fill=black", "--only", "seed=0", "--only", "seed=1", "--device", "cpu",
    ]  # fmt: skip
    assert answer.main([*few, "--list"]) == 0
    names = capsys.readouterr().out.split()
    assert len(names) == 4  # two seeds, with flips and without
    assert answer.main(few) == 0
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*.parquet")}
    assert answer.main(few) == 0
    assert before == {path: path.stat().st_mtime_ns for path in runs.rglob("*.parquet")}
    assert answer.main(["tables", "--runs", str(runs), "--out", str(out)]) == 0
    curve = pd.read_csv(out / "specification.csv")
    assert set(curve["architecture"]) == {"tiny"}
    assert set(curve["quantity"]) == {"lower / upper", "upper - lower", "left - right"}
    assert set(curve["seeds"]) == {2}
    bits = pd.read_csv(out / "information.csv", dtype={"seed": str})
    assert set(bits["seed"]) == {"0", "1", "mean"}
    assert set(bits["condition"]) == {"full", *HALVES}
    sides = pd.read_csv(out / "sides.csv")
    assert set(sides["flips"]) == {"on", "off"}
    assert {"face", "network"} <= set(sides["part"])
    assert (sides["half_worth"].notna() == (sides["emotion"] == "all")).all()
    taught = pd.read_csv(out / "sides_taught.csv").set_index("part")
    shown = sides[(sides["seed"] == "mean") & (sides["emotion"] == "all")]
    shown = shown[shown["measure"] == "accuracy"].set_index(["part", "flips"])["difference"]
    for part in ("as shown", "network"):
        each = taught.loc[part, ["without_flips", "with_flips"]].astype(float)
        assert each.tolist() == pytest.approx([shown[part, "off"], shown[part, "on"]], abs=1e-6)
        assert taught.loc[part, "difference"] == pytest.approx(
            each.iloc[0] - each.iloc[1], abs=1e-6
        )
        assert taught.loc[part, "low"] <= taught.loc[part, "difference"] <= taught.loc[part, "high"]
    for name in ("ratio", "upper-lower", "left-right", "strength", "halves-tiny-fer2013",
                 "upper-lower-emotions", "left-right-emotions"):  # fmt: skip
        assert (out / "figures" / f"{name}.svg").is_file()
    jobs = pd.read_csv(out / "jobs.csv")
    assert jobs[["seed", "flips"]].to_numpy().tolist() == [
        [0, "off"],
        [0, "on"],
        [1, "off"],
        [1, "on"],
    ]
    assert (jobs["epochs"] == 1).all()
    assert jobs["validation_accuracy"].between(0, 1).all()
    first = read_predictions(runs / names[0] / "predictions.parquet").table
    whole = first[(first["condition"] == "full") & (first["split"] == "test")]
    right = probabilities(whole).argmax(axis=1) == label_indices(whole)
    assert jobs["whole_accuracy"].iloc[0] == pytest.approx(right.mean(), abs=1e-6)
    # Of kinds with more seeds than every kind has, only those are compared.
    plain = [job for job in answer.jobs() if job.folder in names and job.flips == "off"]
    assert answer._on_common_seeds(runs, plain, curve).equals(curve)
    monkeypatch.setattr(answer, "EVERYWHERE", 1)
    alone = answer._on_common_seeds(runs, plain, curve)
    assert set(alone["seeds"]) == {1}
    assert len(alone) == len(curve)
    first_seed = specification(answer._specified(runs, plain[:1]))
    np.testing.assert_array_equal(alone["value"], first_seed["value"])
    config = (out / "configs" / "tiny-fer2013.toml").read_text(encoding="utf-8")
    assert 'architecture = "tiny"' in config
    assert set(pd.read_csv(out / "held.csv")["choice"]) >= {"architecture", "mix", "seeds"}


def test_networks_that_come_along_stand_beside(tmp_path, capsys):
    few = ["--data", "phantom:n=560", "--runs", str(tmp_path), "--device", "cpu"]
    only = [word for part in ("labels=FER2013", "architecture=tiny", "halves=picture", "fill=black",
                              "seed=0", "flips=off") for word in ("--only", part)]  # fmt: skip
    assert answer.main(["train", *few, "--max-steps", "2", *only]) == 0
    assert answer.main(["full", "small", *few]) == 0
    file = tmp_path / "full-small" / "predictions.parquet"
    before, rows = file.stat().st_mtime_ns, len(read_predictions(file))
    assert answer.main(["full", "small", *few]) == 0
    assert file.stat().st_mtime_ns == before
    more = [*few[:1], "phantom:n=280", *few[2:]]
    assert answer.main(["full", "small", *more]) == 0
    assert len(read_predictions(file)) < rows
    # Predictions of a network that was trained again since are no result.
    (folder,) = (one.parent for one in tmp_path.glob("*/mirrored.parquet"))
    bundle = folder / "bundle.safetensors"
    kept = bundle.read_bytes()
    Bundle.load(bundle).save(bundle, dtype=torch.float16)
    assert answer.main(["tables", "--runs", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "No job is finished" in capsys.readouterr().err
    bundle.write_bytes(kept)
    assert answer.main(["tables", "--runs", str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    curve = pd.read_csv(tmp_path / "out" / "specification.csv")
    assert set(curve["architecture"]) == {"tiny", "small, whole training"}
    assert answer.main(["full", "tiny", *few]) == 2
    assert "tiny isn't one of small" in capsys.readouterr().err
    assert answer.main(["full", "people-small-int8", *few]) == 2
    assert "--votes" in capsys.readouterr().err


def test_what_a_half_is_worth():
    sure, likely = np.eye(7)[3], np.full(7, 0.1)
    likely[0] = 0.4
    table = pd.DataFrame([sure, sure, likely, likely], columns=list(PROBABILITY_COLUMNS)).assign(
        image=[f"{k:016x}" for k in range(4)], condition="full", model="any", dataset="made",
        split="test", label=["happy", "happy", "angry", "disgust"], group=list("abcd"),
        leaked=False,
    )  # fmt: skip
    # Three of four are right where two were by "happy" alone; the true emotions have 1, 1, .4, .1
    # where who sees nothing gives .5, .5, .25, .25.
    assert answer.half_worth(described(table)) == pytest.approx(
        {"accuracy": (0.75 - 0.5) / 2, "probability": (0.625 - 0.375) / 2}
    )


def test_tables_of_nothing(tmp_path, capsys):
    assert answer.main(["tables", "--runs", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "No job is finished" in capsys.readouterr().err


def test_votes_must_be_named(tmp_path, capsys):
    arguments = ["train", "--data", "phantom:n=40", "--runs", str(tmp_path), "--only", "seed=0"]
    assert answer.main([*arguments, "--only", "labels=FER+ votes"]) == 2
    assert "--votes" in capsys.readouterr().err
