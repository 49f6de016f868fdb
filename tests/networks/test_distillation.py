"""Pairs and a teacher: losses against brute force, what is seen, what is left behind."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, rel_entr, softmax

torch = pytest.importorskip("torch", reason="training needs hemiface[train]")

from test_train import (  # noqa: E402
    _interrupt_at,
    assert_equal_weights,
    small,
    striped,
    weights,
)

from builders import grey_faces  # noqa: E402
from hemiface.config import (  # noqa: E402
    Config,
    DistillConfig,
    ModelConfig,
    Recipe,
    TrainConfig,
    from_dict,
)
from hemiface.data.images import Images  # noqa: E402
from hemiface.errors import DamagedError, UsageError  # noqa: E402
from hemiface.networks.batches import target_shares  # noqa: E402
from hemiface.networks.distillation import Lesson, WithFeatures, distillation_loss, teach  # noqa: E402
from hemiface.networks.network import Bundle, FaceNetwork, build  # noqa: E402
from hemiface.networks.suitable import require_suitable  # noqa: E402
from hemiface.networks.train import fit, task  # noqa: E402
from hemiface.networks.validation import Validation  # noqa: E402
from hemiface.occlusion.conditions import condition  # noqa: E402
from hemiface.tables import EMOTIONS  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


def lesson(seed: int, n: int = 5, width: int = 3) -> Lesson:
    draws = torch.Generator().manual_seed(seed)
    return Lesson(torch.randn(n, 7, generator=draws), torch.randn(n, width, generator=draws))


def with_teacher(**distill: object) -> Config:
    """The small config of the training tests, its generalist taught as `distill` says."""
    conditions = ["upper", "lower", "left@mean"]
    base = small(epochs=2)
    return replace(
        base,
        generalist_conditions=tuple(conditions),
        generalist=replace(base.generalist, distill=DistillConfig(**distill)),  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def images() -> Images:
    return striped()


@pytest.fixture(scope="module")
def baseline(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fit(task(small(epochs=3), "full"), images, tmp_path_factory.mktemp("full"), device="cpu")


class TestLoss:
    @settings(max_examples=25)
    @given(st.integers(0, 10**6), st.floats(0.5, 8))
    def test_divergences_equal_scipys_relative_entropy(self, seed: int, temperature: float) -> None:
        hidden, whole, teacher = (lesson(seed + k) for k in range(3))
        p = softmax(teacher.logits.numpy().astype(float) / temperature, axis=1)
        for options, student in (
            (DistillConfig(logits=0.7, temperature=temperature), hidden),
            (DistillConfig(clean_logits=0.7, temperature=temperature), whole),
        ):
            q = softmax(student.logits.numpy().astype(float) / temperature, axis=1)
            expected = 0.7 * temperature**2 * rel_entr(p, q).sum(axis=1).mean()
            found = float(distillation_loss(hidden, whole, teacher, options))
            assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)

    def test_it_is_the_divergence_from_the_teacher_and_not_the_reverse(self) -> None:
        hidden, teacher = lesson(0), lesson(1)
        options = DistillConfig(logits=1.0, temperature=1.0)
        p = softmax(teacher.logits.numpy().astype(float), axis=1)
        q = softmax(hidden.logits.numpy().astype(float), axis=1)
        found = float(distillation_loss(hidden, hidden, teacher, options))
        assert found == pytest.approx(rel_entr(p, q).sum(axis=1).mean(), rel=1e-4)
        assert found != pytest.approx(rel_entr(q, p).sum(axis=1).mean(), rel=1e-2)

    def test_features_are_compared_on_the_hidden_view_only(self) -> None:
        hidden, whole, teacher = (lesson(k) for k in range(3))
        options = DistillConfig(features=2.0)
        expected = 2 * ((hidden.features - teacher.features).numpy() ** 2).mean()
        found = float(distillation_loss(hidden, whole, teacher, options))
        assert found == pytest.approx(expected, rel=1e-5)

    def test_a_perfect_student_has_nothing_to_learn(self) -> None:
        options = DistillConfig(logits=1.0, clean_logits=1.0, features=1.0)
        one = lesson(3)
        assert float(distillation_loss(one, one, one, options)) == pytest.approx(0.0, abs=1e-6)

    def test_high_temperature_keeps_the_size_of_the_gradient(self) -> None:
        # Hinton et al. 2015, equation 4: for a high temperature the gradient of T^2 times the
        # softened loss is the difference of the centred logits, over the number of classes.
        teacher, student = lesson(0, n=1), lesson(1, n=1)
        logits = student.logits.clone().requires_grad_(True)
        options = DistillConfig(logits=1.0, temperature=1000.0)
        seen = Lesson(logits, student.features)
        distillation_loss(seen, seen, teacher, options).backward()
        assert logits.grad is not None
        centred = [value - value.mean() for value in (student.logits[0], teacher.logits[0])]
        expected = (centred[0] - centred[1]) / 7
        np.testing.assert_allclose(logits.grad[0].numpy(), expected.numpy(), atol=1e-3)


class TestWithFeatures:
    @pytest.mark.parametrize(
        "config",
        [
            ModelConfig(architecture="compact"),
            ModelConfig(architecture="nano"),
            ModelConfig(architecture="resnet18", stem="3x3", channels=3, mean=(0.5,), std=(0.2,)),
            ModelConfig(architecture="mobilenetv3_small_050"),
        ],
        ids=lambda config: config.architecture,
    )
    def test_classified_features_are_the_networks_logits(self, config: ModelConfig) -> None:
        torch.manual_seed(0)
        network = build(config).eval()
        faces = torch.from_numpy(grey_faces(3))
        with torch.inference_mode():
            features = network.features(faces)
            torch.testing.assert_close(network.classify(features), network(faces))
            assert features.shape == (3, network.width)
            logits, seen = WithFeatures(network, network.width)(faces)
        torch.testing.assert_close(logits, network(faces))
        torch.testing.assert_close(seen, features)

    @pytest.mark.parametrize(
        "name", ["deit_tiny_distilled_patch16_224", "levit_128s", "volo_d1_224"]
    )
    def test_what_has_other_last_layers_is_refused(self, name: str) -> None:
        """VOLO adds what it makes of its patches, so that features don't tell its answers."""
        network = build(ModelConfig(architecture=name)).train()
        before = {key: value.clone() for key, value in network.state_dict().items()}
        require_suitable(network, Recipe())
        with pytest.raises(UsageError, match=rf"\[distill\] needs .*; {name} has another head"):
            require_suitable(network, Recipe(distill=DistillConfig(clean=1.0)))
        assert network.training
        assert all(torch.equal(network.state_dict()[key], value) for key, value in before.items())

    def test_a_wider_teacher_gets_a_map_and_keeps_its_gradient_to_itself(self) -> None:
        torch.manual_seed(0)
        student = WithFeatures(build(ModelConfig(architecture="compact")), 512)
        teacher = build(ModelConfig(architecture="resnet18")).eval()
        faces = torch.from_numpy(grey_faces(4)).float()
        told = teach(teacher, faces)
        assert not told.logits.requires_grad
        logits, features = student(faces)
        assert features.shape == told.features.shape == (4, 512)
        seen = Lesson(logits, features)
        distillation_loss(seen, seen, told, DistillConfig(features=1.0)).backward()
        assert all(one.grad is None for one in teacher.parameters())
        assert student.projection.weight.grad.abs().sum() > 0


class TestTraining:
    def test_the_generalist_learns_from_its_teacher(
        self, images: Images, baseline: Path, tmp_path: Path
    ) -> None:
        config = with_teacher(clean=1.0, logits=1.0, clean_logits=0.5, features=0.5)
        job = task(config, "any", init=baseline, baseline=baseline)
        bundle = Bundle.load(fit(job, images, tmp_path, device="cpu"))
        assert set(bundle.weights) == set(weights(baseline))  # nothing of the teaching is shipped
        known = bundle.provenance
        assert known["teacher_sha256"] == known["init_sha256"]
        assert known["recipe"]["distill"]["logits"] == 1.0
        assert known["validation_accuracy"] > 0.2  # chance is 0.14

    def test_a_teacher_may_see_the_very_view_that_the_network_sees(
        self, images: Images, baseline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: dict[str, list[torch.Tensor]] = {"whole": [], "same": []}
        for sees, shown in seen.items():

            def noted(
                network: FaceNetwork, faces: torch.Tensor, shown: list[torch.Tensor] = shown
            ) -> Lesson:
                shown.append(faces.clone())
                return teach(network, faces)

            monkeypatch.setattr("hemiface.networks.loss.teach", noted)
            config = with_teacher(logits=1.0, teacher_sees=sees)
            job = task(config, "any", baseline=baseline, max_steps=2)
            known = Bundle.load(fit(job, images, tmp_path / sees, device="cpu")).provenance
            assert known["recipe"]["distill"]["teacher_sees"] == sees
        assert len(seen["whole"]) == len(seen["same"]) == 2
        for whole, same in zip(*seen.values(), strict=True):
            # The same images in the same geometry: some of each lies under `left@mean` or black.
            changed = (whole != same).flatten(1).float().mean(1)
            assert ((changed > 0.3) & (changed <= 0.55)).all()

    def test_interrupted_and_started_again_reaches_the_same_weights(
        self, images: Images, baseline: Path, tmp_path: Path
    ) -> None:
        config = with_teacher(clean=1.0, logits=1.0, features=1.0)
        job = task(config, "any", baseline=baseline)
        undisturbed = fit(job, images, tmp_path / "a", device="cpu")
        with pytest.raises(KeyboardInterrupt):
            fit(job, images, tmp_path / "b", device="cpu", on_step=_interrupt_at(5))
        assert (tmp_path / "b" / "checkpoint" / "last.pt").is_file()
        assert_equal_weights(undisturbed, fit(job, images, tmp_path / "b", device="cpu"))

    @pytest.mark.parametrize("clean_logits", [0.0, 0.5])
    def test_the_average_of_its_own_weights_can_teach(
        self, images: Images, tmp_path: Path, clean_logits: float
    ) -> None:
        config = with_teacher(logits=1.0, clean_logits=clean_logits, teacher="average")
        job = task(config, "any")
        assert job.teacher is None
        undisturbed = fit(job, images, tmp_path / "a", device="cpu")
        with pytest.raises(KeyboardInterrupt):
            fit(job, images, tmp_path / "b", device="cpu", on_step=_interrupt_at(5))
        assert_equal_weights(undisturbed, fit(job, images, tmp_path / "b", device="cpu"))
        own = task(with_teacher(logits=1.0, teacher="self"), "any")
        other = fit(own, images, tmp_path / "c", device="cpu")
        assert not np.array_equal(
            *(weights(one)["backbone.fc.weight"] for one in (undisturbed, other))
        )

    def test_weights_of_zero_are_a_plain_training(self, images: Images, tmp_path: Path) -> None:
        plain = fit(task(with_teacher(), "any"), images, tmp_path / "a", device="cpu")
        options = with_teacher(teacher="self", temperature=5.0)
        assert_equal_weights(plain, fit(task(options, "any"), images, tmp_path / "b", device="cpu"))

    def test_only_what_shows_the_whole_face_sees_it(self) -> None:
        taught = DistillConfig(logits=1.0, features=1.0)
        assert taught.paired
        assert not taught.shows_whole
        assert DistillConfig(logits=1.0, teacher="self").shows_whole
        assert DistillConfig(clean=0.5).shows_whole
        assert DistillConfig(clean_logits=0.5).shows_whole
        assert not DistillConfig(teacher="self").paired

    def test_the_teacher_decides_the_fingerprint(self, images: Images, baseline: Path) -> None:
        config = with_teacher(logits=1.0)
        own = with_teacher(logits=1.0, teacher="self")
        taught = task(config, "any", baseline=baseline)
        assert taught.teacher == baseline
        assert task(own, "any", baseline=baseline).teacher is None
        assert taught.fingerprint(images) != task(own, "any").fingerprint(images)

    def test_a_missing_teacher_is_told(self, images: Images, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"--teacher, or set distill\.teacher=self"):
            task(with_teacher(logits=1.0), "any")
        gone = task(with_teacher(logits=1.0, teacher=str(tmp_path / "gone")), "any")
        with pytest.raises(DamagedError, match="gone doesn't exist"):
            fit(gone, images, tmp_path, device="cpu")

    def test_what_makes_no_sense_together_is_refused(self) -> None:
        for tree, sentence in (
            ({"train": {"mixup": 0.5}, "distill": {"clean": 1.0}}, "train.mixup must be 0 where"),
            ({"distill": {"clean_logits": 1.0, "teacher": "self"}}, "must be 0 where the teacher"),
            (
                {"train": {"ema_decay": 0.0}, "distill": {"logits": 1.0, "teacher": "average"}},
                "train.ema_decay must be above 0 where the teacher is average",
            ),
            ({"distill": {"temperature": 0.0}}, "distill.temperature must be positive"),
            ({"distill": {"teacher_sees": "half"}}, "distill.teacher_sees must be whole or same"),
            (
                {"distill": {"logits": 1.0, "teacher": "self", "teacher_sees": "same"}},
                "distill.teacher_sees = same needs distill.clean_logits = 0 and another teacher",
            ),
            (
                {"distill": {"logits": 1.0, "clean_logits": 1.0, "teacher_sees": "same"}},
                "distill.teacher_sees = same needs distill.clean_logits = 0 and another teacher",
            ),
            ({"train": {"mixup": 0.5}, "distill": {"logits": 1.0}}, "train.mixup must be 0 where"),
            (
                {"train": {"attention_consistency": 1.0}, "distill": {"clean": 1.0}},
                "train.attention_consistency must be 0 where images enter in pairs",
            ),
            ({"train": {"lone_votes": False}}, "train.lone_votes must be true without train.soft"),
            ({"train": {"own_label_votes": 1.0}}, "train.own_label_votes must be 0 without train"),
        ):
            with pytest.raises(UsageError, match=sentence):
                from_dict({"generalist": tree})


def test_selection_hides_what_the_config_says(images: Images, tmp_path: Path) -> None:
    config = replace(small(epochs=1), selection_conditions=("lower",))
    bundle = fit(task(config, "any"), images, tmp_path, device="cpu")
    assert Bundle.load(bundle).provenance["selection"] == ["lower"]
    assert task(config, "upper").selection == task(small(), "upper").selection


class TestSoftLabels:
    def test_votes_are_learnt_as_shares(self, images: Images, tmp_path: Path) -> None:
        votes = np.zeros((len(images), 7), dtype=np.int64)
        votes[:, 3] = 6  # whatever the label says, everyone voted happy or sad
        votes[:, 4] = 2
        names = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
        columns = {f"votes_{name}": votes[:, k] for k, name in enumerate(names)}
        voted = replace(images, table=images.table.assign(**columns))
        config = small(epochs=6, learning_rate=0.02, soft_labels=True, select="last", ema_decay=0.0)
        bundle = Bundle.load(fit(task(config, "full"), voted, tmp_path, device="cpu"))
        with torch.inference_mode():
            logits = bundle.network()(torch.from_numpy(np.array(images.pixels[:40])))
        mean = np.exp(log_softmax(logits.numpy(), axis=1)).mean(axis=0)
        assert mean[3] == pytest.approx(0.75, abs=0.08)
        assert mean[4] == pytest.approx(0.25, abs=0.08)

    def test_the_own_label_is_one_voter_more(self, images: Images) -> None:
        random = np.random.default_rng(0)
        votes = random.integers(0, 6, (len(images), 7)) + np.eye(7, dtype=int)[0]
        columns = {f"votes_{name}": votes[:, k] for k, name in enumerate(EMOTIONS)}
        own = random.choice(EMOTIONS, len(images))
        voted = replace(images, table=images.table.assign(own_label=own, **columns))
        shares = target_shares(voted, TrainConfig(soft_labels=True, own_label_votes=2.5)).numpy()
        for row, label, found in zip(votes, own, shares, strict=True):
            expected = row + 2.5 * (np.array(EMOTIONS) == label)
            np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-6)

    def test_lone_votes_can_be_left_out(self, images: Images) -> None:
        random = np.random.default_rng(2)
        votes = random.integers(0, 4, (len(images), 7))
        votes[0], votes[1] = np.eye(7, dtype=int)[2], [0, 1, 1, 0, 0, 0, 0]  # nothing but lone ones
        votes[votes.sum(axis=1) == 0, 3] = 5
        columns = {f"votes_{name}": votes[:, k] for k, name in enumerate(EMOTIONS)}
        voted = replace(images, table=images.table.assign(**columns))
        shares = target_shares(voted, TrainConfig(soft_labels=True, lone_votes=False)).numpy()
        for row, found in zip(votes, shares, strict=True):
            kept = [vote if vote > 1 else 0 for vote in row]
            expected = np.array(kept if any(kept) else row)
            np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-6)
        assert ((votes == 1).any(axis=1) & (votes > 1).any(axis=1)).sum() > 20

    def test_votes_can_come_from_a_file(self, images: Images, tmp_path: Path) -> None:
        # A file's columns can't be written to, which PyTorch warns of (an error in this suite).
        columns = {f"votes_{name}": np.float32(k + 1) for k, name in enumerate(EMOTIONS)}
        replace(images, table=images.table.assign(**columns)).write(tmp_path)
        shares = target_shares(Images.read(tmp_path), TrainConfig(soft_labels=True))
        np.testing.assert_allclose(shares.numpy(), [np.arange(1, 8) / 28] * len(images), rtol=1e-6)

    def test_the_mix_of_classes_goes_with_the_network(self, images: Images, tmp_path: Path) -> None:
        bundle = Bundle.load(fit(task(small(epochs=1), "full"), images, tmp_path, device="cpu"))
        train = images.split("train").table["label"].astype(str)
        expected = train.value_counts(normalize=True)
        mix = bundle.provenance["class_mix"]
        assert list(mix) == list(EMOTIONS)
        assert mix == pytest.approx({name: expected.get(name, 0.0) for name in EMOTIONS})

    def test_validation_is_judged_by_votes(self, images: Images) -> None:
        known = images.split("validation")
        votes = np.random.default_rng(1).integers(1, 9, (len(known), 7))
        columns = {f"votes_{name}": votes[:, k] for k, name in enumerate(EMOTIONS)}
        voted = replace(known, table=known.table.assign(**columns))
        torch.manual_seed(0)
        network = build(small().model)
        whole = (condition("full"),)
        device = torch.device("cpu")
        loss, _ = Validation(voted, whole, device, TrainConfig(soft_labels=True)).score(network)
        with torch.inference_mode():
            logits = network(torch.from_numpy(np.array(known.pixels))).numpy()
        shares = votes / votes.sum(1, keepdims=True)
        assert loss == pytest.approx(
            -(shares * log_softmax(logits, axis=1)).sum(1).mean(), rel=1e-5
        )

    def test_without_votes_it_says_so(self, images: Images, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="--labels ferplus=PATH"):
            fit(task(small(soft_labels=True), "full"), images, tmp_path, device="cpu")
