"""How weights move: schedules against print and torch, the average against its definition."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs hemiface[train]")

from hemiface.config import TrainConfig  # noqa: E402
from hemiface.networks.optimiser import WeightAverage, learning_rate  # noqa: E402


class TestLearningRate:
    def test_step_drops_every_five_epochs(self) -> None:
        options = TrainConfig(learning_rate=0.01, schedule="step", step_epochs=5, step_factor=0.1)
        by_epoch = [learning_rate(options, epoch * 7, 7) for epoch in range(12)]
        assert by_epoch == pytest.approx([0.01] * 5 + [0.001] * 5 + [0.0001] * 2)

    def test_cosine_equals_torch(self) -> None:
        options = TrainConfig(epochs=4, learning_rate=0.3, schedule="cosine")
        parameter = torch.nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([parameter], lr=0.3)
        oracle = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4 * 9)
        for step in range(4 * 9):
            assert learning_rate(options, step, 9) == pytest.approx(oracle.get_last_lr()[0])
            optimizer.step()
            oracle.step()

    def test_one_cycle_rises_then_falls_to_nothing(self) -> None:
        options = TrainConfig(epochs=10, learning_rate=1.0, schedule="one-cycle", warmup_epochs=2.0)
        rates = [learning_rate(options, step, 10) for step in range(100)]
        assert rates[0] == pytest.approx(1 / 20)
        assert max(rates) == rates[19] == pytest.approx(1.0)
        assert np.all(np.diff(rates[:19]) > 0)
        assert np.all(np.diff(rates[20:]) < 0)
        assert rates[-1] == pytest.approx(1 / 80)

    def test_warmup_scales_the_start(self) -> None:
        options = TrainConfig(learning_rate=0.5, schedule="constant", warmup_epochs=1.0)
        assert [learning_rate(options, step, 4) for step in range(6)] == pytest.approx(
            [0.125, 0.25, 0.375, 0.5, 0.5, 0.5]
        )


class TestWeightAverage:
    def test_it_is_the_moving_average_of_the_weights(self) -> None:
        network = torch.nn.BatchNorm1d(1)
        average = WeightAverage(network, decay=0.5)
        expected = 1.0
        for step, weight in enumerate((3.0, -1.0, 8.0, 2.0, 5.0, 0.0, 7.0, 7.0, 1.0, 4.0)):
            network.weight.data.fill_(weight)
            network.num_batches_tracked.fill_(step)
            average.update(step)
            decay = min(0.5, (1 + step) / (10 + step))
            expected = decay * expected + (1 - decay) * weight
            assert average.kept()["weight"].item() == pytest.approx(expected, rel=1e-5)
            assert average.kept()["num_batches_tracked"].item() == step
        with average.in_place():
            assert network.weight.item() == pytest.approx(expected, rel=1e-5)
        assert network.weight.item() == 4.0

    def test_as_a_teacher_it_moves_as_it_moves_and_never_learns(self) -> None:
        network = torch.nn.BatchNorm1d(1)
        average = WeightAverage(network, decay=0.5)
        teacher = average.teacher()
        for step, weight in enumerate((3.0, -1.0, 8.0)):
            network.weight.data.fill_(weight)
            network.running_mean.fill_(2 * weight)
            average.update(step)
            assert teacher.weight.item() == average.kept()["weight"].item() != weight
            assert teacher.running_mean.item() == average.kept()["running_mean"].item()
        average.load({name: torch.zeros_like(value) for name, value in average.kept().items()})
        assert teacher.weight.item() == 0
        assert not teacher.training
        assert not any(one.requires_grad for one in teacher.parameters())
        assert WeightAverage(network, decay=0.0).teacher() is None

    def test_without_decay_the_networks_own_weights_are_kept(self) -> None:
        network = torch.nn.Linear(1, 1)
        average = WeightAverage(network, decay=0.0)
        network.weight.data.fill_(3.0)
        average.update(0)
        with average.in_place():
            assert network.weight.item() == 3.0
        assert average.kept()["weight"].item() == 3.0
