"""What a training is: what it hides, starts from and learns from, and what makes it another."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="training needs hemiface[train]")

from builders import tiny_bundle, tiny_images  # noqa: E402
from hemiface.config import from_dict  # noqa: E402
from hemiface.errors import DamagedError, UsageError  # noqa: E402
from hemiface.files import sha256_file  # noqa: E402
from hemiface.networks.task import task  # noqa: E402
from hemiface.networks.train import fit  # noqa: E402
from hemiface.tables import EMOTIONS  # noqa: E402

HALVES = ("upper", "lower")
CONFIG = from_dict(
    {
        "generalist_conditions": list(HALVES),
        "selection_conditions": ["full", "upper"],
        "finetune": {"train": {"epochs": 3}},
        "generalist": {"train": {"epochs": 4}, "distill": {"logits": 1.0, "teacher": "self"}},
        "train": {"epochs": 2},
    }
)


def keys(conditions) -> tuple[str, ...]:
    return tuple(one.key for one in conditions)


def test_a_specialist_hides_and_is_selected_by_its_own_condition():
    job = task(CONFIG, "lower", seed=3)
    assert (job.model_id, keys(job.conditions), keys(job.selection)) == (
        "lower-seed3", ("lower",), ("lower",),
    )  # fmt: skip
    assert job.recipe.train.epochs == 2


def test_a_generalist_hides_all_and_is_selected_by_those_named():
    job = task(CONFIG, "any")
    assert keys(job.conditions) == HALVES
    assert keys(job.selection) == ("full", "upper")
    assert job.recipe.train.epochs == 4
    same = from_dict({"generalist_conditions": list(HALVES)})
    assert keys(task(same, "any").selection) == HALVES


def test_what_starts_from_a_bundle_has_the_fine_tuning_recipe(tmp_path):
    bundle = tiny_bundle(tmp_path / "b.safetensors")
    job = task(CONFIG, "lower", init=bundle)
    assert job.recipe.train.epochs == 3
    assert job.init_sha256 == sha256_file(bundle)
    assert task(CONFIG, "lower").init_sha256 is None


def test_longer_is_fine_tuned_on_whole_faces_as_specialists_are_on_hidden_ones(tmp_path):
    bundle = tiny_bundle(tmp_path / "b.safetensors")
    longer, lower = (task(CONFIG, name, seed=3, init=bundle) for name in ("longer", "lower"))
    assert (longer.model_id, keys(longer.conditions), keys(longer.selection)) == (
        "longer-seed3", ("full",), ("full",),
    )  # fmt: skip
    assert longer.recipe == lower.recipe
    assert longer.init_sha256 == lower.init_sha256


def test_whom_it_learns_from(tmp_path):
    bundle = tiny_bundle(tmp_path / "b.safetensors")
    assert task(CONFIG, "any", baseline=bundle).teacher is None  # itself
    assert task(CONFIG, "lower", baseline=bundle).teacher is None  # nothing is taught
    taught = {"generalist_conditions": ["upper"], "generalist": {"distill": {"logits": 1.0}}}
    full = from_dict(taught)
    assert task(full, "any", baseline=bundle).teacher_sha256 == sha256_file(bundle)
    with pytest.raises(UsageError, match=r"learns from a teacher .* name the baseline's Bundle"):
        task(full, "any")


def test_flips_are_those_of_all_that_it_learnt_from(tmp_path):
    """Who goes on from a network that saw mirrored faces has learnt from them too."""
    still = {"augment": {"flip": False}}
    taught = still | {"distill": {"logits": 1.0}}
    config = from_dict(
        still | {"generalist_conditions": ["upper"], "finetune": still, "generalist": taught}
    )
    told = {"flips": True}, {"flips": False}, {}
    seen, unseen, silent = (
        tiny_bundle(tmp_path / f"{n}.safetensors", **one) for n, one in enumerate(told)
    )
    assert not task(config, "full").flips
    assert [task(config, "upper", init=one).flips for one in (seen, unseen, silent)] == [
        True, False, True,
    ]  # fmt: skip
    assert [task(config, "any", baseline=one).flips for one in (seen, unseen)] == [True, False]
    assert task(from_dict({"augment": {"flip": True}}), "full").flips


def test_votes_that_are_learnt_decide_the_weights():
    images = tiny_images()
    votes = {f"votes_{name}": 1 for name in EMOTIONS}
    voted, other = (
        replace(images, table=images.table.assign(**votes, votes_contempt=more)) for more in (0, 2)
    )
    soft = from_dict({"train": {"soft_labels": True}})
    assert task(soft, "full").fingerprint(voted) != task(soft, "full").fingerprint(other)
    hard = task(CONFIG, "full")
    assert hard.fingerprint(voted) == hard.fingerprint(other) == hard.fingerprint(images)


def test_a_rehearsal_is_not_the_training(tmp_path):
    images = tiny_images()
    config = from_dict({"model": {"architecture": "test_resnet"}, "train": {"epochs": 1}})
    bundle = fit(task(config, "full", max_steps=1), images, tmp_path / "short", device="cpu")
    assert not task(config, "full").made(bundle, images)
    whole = fit(task(config, "full"), images, tmp_path / "whole", device="cpu")
    assert task(config, "full").made(whole, images)


def test_a_bundle_that_is_not_there(tmp_path):
    job = task(CONFIG, "lower", init=tmp_path / "gone.safetensors")
    with pytest.raises(DamagedError, match=r"gone\.safetensors doesn't exist"):
        job.fingerprint(tiny_images())


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_that_no_bundle_keeps(seed):
    with pytest.raises(UsageError, match=f"Seed {seed} can't be kept; choose one from 0 to 922337"):
        task(CONFIG, "full", seed)


def test_unknown_conditions():
    with pytest.raises(UsageError, match="upperr"):
        task(CONFIG, "upperr")


def test_what_decides_the_weights_is_in_the_fingerprint(tmp_path):
    images, other = tiny_images(), tiny_images(seed=1)
    first, second = (tiny_bundle(tmp_path / f"{n}.safetensors", seed=n) for n in (0, 1))
    jobs = [
        task(CONFIG, "lower"),
        task(CONFIG, "upper"),
        task(CONFIG, "lower", seed=1),
        task(CONFIG, "lower", init=first),
        task(CONFIG, "lower", init=second),
        task(CONFIG, "lower", max_steps=1),
        task(from_dict({"train": {"epochs": 5}}), "lower"),
    ]
    prints = [job.fingerprint(images) for job in jobs]
    assert len({*prints, jobs[0].fingerprint(other)}) == len(jobs) + 1
    assert task(CONFIG, "lower").fingerprint(tiny_images()) == prints[0]
