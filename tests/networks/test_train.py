"""Training: learning, determinism, kill -9 and go on, DDP, failures."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch", reason="training needs hemiface[train]")

from torch.multiprocessing.spawn import ProcessRaisedException  # noqa: E402

from hemiface.config import Config, ModelConfig, Recipe, from_dict  # noqa: E402
from hemiface.data.images import Images  # noqa: E402
from hemiface.errors import HemifaceError, UsageError  # noqa: E402
from hemiface.locks import locked  # noqa: E402
from hemiface.networks import checkpoint  # noqa: E402
from hemiface.networks import train as training  # noqa: E402
from hemiface.networks.network import Bundle, predict  # noqa: E402
from hemiface.networks.train import fit, task  # noqa: E402
from hemiface.occlusion.conditions import condition, hide  # noqa: E402
from hemiface.tables import EMOTIONS, label_indices  # noqa: E402

pytestmark = pytest.mark.slow


def striped(n: int = 210) -> Images:
    """Images whose class is the period of their horizontal stripes, in all parts of the image."""
    random = np.random.default_rng(7)
    labels = np.arange(n) % len(EMOTIONS)
    rows = np.arange(48)[None, :, None]
    phase = random.uniform(0, 6, n)[:, None, None]
    waves = 127 + 90 * np.sin(rows / (1.0 + labels[:, None, None]) + phase)
    noisy = waves + random.normal(0, 12, (n, 48, 48))
    splits = np.where(np.arange(n) < n * 2 // 3, "train", "validation")
    splits[-14:] = "test"
    return Images.build(
        noisy.clip(0, 255).astype(np.uint8),
        labels=np.asarray(EMOTIONS)[labels],
        splits=splits,
        dataset="striped",
        sources=[f"striped#{i}" for i in range(n)],
    )


def small(**train: object) -> Config:
    """A config that trains the smallest network for a moment."""
    options = {
        "epochs": 2,
        "batch_size": 35,
        "optimizer": "adamw",
        "learning_rate": 3e-3,
        "ema_decay": 0.9,
        **train,
    }
    return from_dict(
        {
            "model": {"architecture": "test_resnet", "dropout": 0.1},
            "train": options,
            "augment": {"translate_px": 2.0, "rotate_deg": 3.0},
        }
    )


@pytest.fixture(scope="module")
def images() -> Images:
    return striped()


@pytest.fixture(scope="module")
def undisturbed(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fit(
        task(small(epochs=4), "full"), images, tmp_path_factory.mktemp("whole"), device="cpu"
    )


def weights(bundle: Path) -> dict[str, "torch.Tensor"]:
    return Bundle.load(bundle).weights


def assert_equal_weights(one: Path, other: Path) -> None:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    different = [name for name in first if not torch.equal(first[name], second[name])]
    assert not different


def test_it_learns_what_can_be_learnt(images: Images, tmp_path: Path) -> None:
    bundle = fit(task(small(epochs=12, ema_decay=0.0), "full"), images, tmp_path, device="cpu")
    test = images.split("test")
    values = predict(Bundle.load(bundle).network(), torch.from_numpy(np.array(test.pixels)))
    accuracy = (values.argmax(1).numpy() == label_indices(test.table)).mean()
    assert accuracy > 0.7  # chance is 0.14
    history = pd.read_csv(tmp_path / "history.csv")
    assert list(history["epoch"]) == list(range(1, 13))
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0] / 2
    best = Bundle.load(bundle).provenance
    assert best["validation_accuracy"] == pytest.approx(history["validation_accuracy"].max())
    assert not (tmp_path / "checkpoint").exists()


def test_same_seed_same_weights_other_seed_other_weights(
    images: Images, undisturbed: Path, tmp_path: Path
) -> None:
    config = small(epochs=4)
    assert_equal_weights(
        undisturbed, fit(task(config, "full"), images, tmp_path / "a", device="cpu")
    )
    other = fit(task(config, "full", seed=1), images, tmp_path / "b", device="cpu")
    assert any(
        not torch.equal(one, two)
        for one, two in zip(weights(undisturbed).values(), weights(other).values(), strict=True)
    )


def go_on(images: Images, folder: Path) -> tuple[Path, list[int]]:
    """Train the four epochs of `undisturbed` in `folder`; return the Bundle and the steps done."""
    steps: list[int] = []
    bundle = fit(
        task(small(epochs=4), "full"),
        images,
        folder,
        device="cpu",
        on_step=lambda done, _: steps.append(done),
    )
    return bundle, steps


def test_killed_and_started_again_reaches_the_same_weights(
    images: Images, undisturbed: Path, tmp_path: Path
) -> None:
    images.write(tmp_path / "data")
    program = (
        "import sys, torch; torch.set_num_threads(int(sys.argv[1]));"
        "from pathlib import Path; sys.path[:0] = sys.argv[2].split(':');"
        "from test_train import small, task, fit, Images;"
        "fit(task(small(epochs=4), 'full'), Images.read(Path(sys.argv[3]) / 'data'),"
        " Path(sys.argv[3]) / 'run', device='cpu', on_step=lambda done, _: print(done, flush=True))"
    )
    tests = Path(__file__).parent
    arguments = [str(torch.get_num_threads()), f"{tests.parent}:{tests}", str(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) == 10:  # in the third of four epochs, at four steps an epoch
            break
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    run = tmp_path / "run"
    assert (run / "checkpoint" / "last.pt").is_file()
    assert not (run / "bundle.safetensors").exists()
    bundle, steps = go_on(images, run)
    assert steps[0] > 4  # it went on and didn't start over
    assert_equal_weights(undisturbed, bundle)
    # What a kill just behind the Bundle leaves is removed by the next one, which trains nothing.
    (run / "checkpoint").mkdir()
    (run / "checkpoint" / "last.pt").write_bytes(b"left behind")
    assert go_on(images, run) == (bundle, [])
    assert not (run / "checkpoint").exists()


def test_a_kill_before_the_last_row_loses_it_not(
    images: Images, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint of the last epoch is there, its row in history.csv isn't."""
    write = checkpoint.write_csv

    def stop(table: pd.DataFrame, path: Path) -> None:
        if len(table) == 4:
            raise InterruptedError
        write(table, path)

    monkeypatch.setattr(checkpoint, "write_csv", stop)
    with pytest.raises(InterruptedError):
        go_on(images, tmp_path)
    assert len(pd.read_csv(tmp_path / "history.csv")) == 3
    monkeypatch.undo()
    bundle, steps = go_on(images, tmp_path)
    assert not steps
    assert_equal_weights(undisturbed, bundle)
    times = ["seconds", "images_per_s"]
    whole, again = (
        pd.read_csv(one / "history.csv").drop(columns=times)
        for one in (undisturbed.parent, tmp_path)
    )
    pd.testing.assert_frame_equal(again, whole)


def test_rare_checkpoints_lose_time_and_nothing_else(
    images: Images, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, where not every epoch is written: it goes on after the one that was."""

    class StopError(Exception):
        pass

    def stop(done: int, _: int) -> None:
        if done == 10:
            raise StopError

    monkeypatch.setattr("hemiface.networks.train.save_every_s", lambda _: 1e9)
    with pytest.raises(StopError):
        fit(task(small(epochs=4), "full"), images, tmp_path, device="cpu", on_step=stop)
    bundle, steps = go_on(images, tmp_path)
    assert steps[0] == 5  # after the first of two finished epochs, at four steps an epoch
    assert_equal_weights(undisturbed, bundle)


def test_another_number_of_threads_is_noted_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class StopError(Exception):
        pass

    def stop(*_: int) -> None:
        if (tmp_path / "checkpoint" / "last.pt").is_file():
            raise StopError

    few, job, before = striped(70), task(small(), "full"), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        with pytest.raises(StopError):
            fit(job, few, tmp_path, device="cpu", on_step=stop)
        torch.set_num_threads(2)
        with caplog.at_level(logging.WARNING):
            bundle = fit(job, few, tmp_path, device="cpu")
    finally:
        torch.set_num_threads(before)
    (said,) = (one for one in caplog.messages if "threads" in one)
    assert said.startswith("full-seed0: 2 threads from here on, 1 before: sums round")
    assert said.endswith("OMP_NUM_THREADS=1 keeps them")
    assert list(pd.read_csv(tmp_path / "history.csv")["threads"]) == [1, 2]
    provenance = Bundle.load(bundle).provenance
    assert provenance["threads"] == [1, 2]
    # The number decides no fingerprint: what is done stays done.
    assert provenance["fingerprint"] == job.fingerprint(few)


def test_two_trainings_in_one_folder_are_kept_apart(images: Images, tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(UsageError, match=f"process {os.getpid()} on"):
        fit(task(small(), "full"), images, tmp_path, device="cpu")
    assert list(tmp_path.iterdir()) == []


def test_a_finished_training_is_not_run_again(images: Images, undisturbed: Path) -> None:
    before = undisturbed.stat().st_mtime_ns
    started: list[int] = []
    fit(
        task(small(epochs=4), "full"),
        images,
        undisturbed.parent,
        device="cpu",
        on_step=lambda done, _: started.append(done),
    )
    assert not started
    assert undisturbed.stat().st_mtime_ns == before


def test_the_fingerprint_sees_config_data_and_start(images: Images, undisturbed: Path) -> None:
    base = task(small(), "full")
    marks = {
        base.fingerprint(images),
        task(small(learning_rate=1e-3), "full").fingerprint(images),
        task(small(), "upper").fingerprint(images),
        task(small(), "full", seed=1).fingerprint(images),
        task(small(), "full", max_steps=3).fingerprint(images),
        task(small(), "full", init=undisturbed).fingerprint(images),
        base.fingerprint(images.subset(np.arange(len(images)) != 3)),
    }
    assert len(marks) == 7
    assert base.fingerprint(images) == task(small(), "full").fingerprint(images)


def test_a_specialist_starts_from_the_baseline_and_never_sees_what_is_hidden(
    images: Images, undisturbed: Path, tmp_path: Path
) -> None:
    config = small(epochs=1)
    job = replace(
        task(config, "upper", init=undisturbed),
        recipe=Recipe(replace(config.train, select="last"), config.augment),
    )
    first = fit(job, images, tmp_path / "a", device="cpu")
    spoilt = np.array(images.pixels)
    spoilt[:, :24] = 255 - spoilt[:, :24]
    # Shifts and rotations carry upper pixels below the line, so they are off here.
    still = replace(
        job,
        recipe=replace(
            job.recipe, augment=replace(config.augment, translate_px=0.0, rotate_deg=0.0)
        ),
    )
    other = Images(images.table, spoilt, images.info)
    one = fit(still, images, tmp_path / "b", device="cpu")
    two = fit(still, other, tmp_path / "c", device="cpu")
    assert_equal_weights(one, two)
    moved = [not torch.equal(weights(first)[k], v) for k, v in weights(undisturbed).items()]
    assert any(moved)


def test_max_steps_stops_early(images: Images, tmp_path: Path) -> None:
    steps: list[int] = []
    fit(
        task(small(epochs=50), "any", max_steps=6),
        images,
        tmp_path,
        device="cpu",
        on_step=lambda _, total: steps.append(total),
    )
    assert steps == [6] * 6


def test_a_loss_that_explodes_stops_and_keeps_the_checkpoint(
    images: Images, tmp_path: Path
) -> None:
    config = small(optimizer="sgd", learning_rate=1e30, epochs=3, warmup_epochs=1.0, ema_decay=0.0)
    with pytest.raises(
        HemifaceError, match=r"loss stopped being finite in epoch \d.*learning_rate"
    ):
        fit(task(config, "full"), images, tmp_path, device="cpu")
    assert not (tmp_path / "bundle.safetensors").exists()


def test_a_checkpoint_of_another_config_is_not_used(
    images: Images, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(task(small(), "full"), images, tmp_path, device="cpu", on_step=_interrupt_at(5))
    assert (tmp_path / "checkpoint" / "last.pt").is_file()
    with caplog.at_level(logging.WARNING, "hemiface"):
        fit(task(small(learning_rate=1e-3), "full"), images, tmp_path, device="cpu")
    assert "starts anew" in caplog.text


def test_a_finished_network_of_another_config_is_not_replaced_in_silence(
    images: Images, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = fit(task(small(epochs=1), "full"), images, tmp_path, device="cpu").read_bytes()
    other = task(small(epochs=1, learning_rate=1e-3), "full")
    with caplog.at_level(logging.WARNING, "hemiface"), pytest.raises(KeyboardInterrupt):
        fit(other, images, tmp_path, device="cpu", on_step=_interrupt_at(2))
    assert "stays until the new training ends" in caplog.text
    assert (tmp_path / "bundle.safetensors").read_bytes() == first
    fit(other, images, tmp_path, device="cpu")
    assert (tmp_path / "bundle.safetensors").read_bytes() != first


def _interrupt_at(step: int) -> Callable[[int, int], None]:
    def on_step(done: int, _: int) -> None:
        if done == step:
            raise KeyboardInterrupt

    return on_step


def test_validation_selects_under_the_task_condition(images: Images, tmp_path: Path) -> None:
    config = small(epochs=1, select="last", ema_decay=0.0)
    bundle = fit(task(config, "lower"), images, tmp_path, device="cpu")
    validation = images.split("validation")
    hidden = hide(np.array(validation.pixels), condition("lower"))
    values = predict(Bundle.load(bundle).network(), torch.from_numpy(hidden))
    accuracy = (values.argmax(1).numpy() == label_indices(validation.table)).mean()
    assert Bundle.load(bundle).provenance["validation_accuracy"] == pytest.approx(accuracy)


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "sgd", "learning_rate": 0.01, "schedule": "step", "decay_all": True},
        {"mixup": 0.4, "label_smoothing": 0.1, "class_weights": "balanced", "clip_norm": 1.0},
        {"precision": "bf16", "channels_last": False, "schedule": "one-cycle"},
    ],
)
def test_options_train(options: dict[str, object], images: Images, tmp_path: Path) -> None:
    config = small(epochs=1, **options)
    bundle = fit(task(config, "full", max_steps=4), images, tmp_path, device="cpu")
    assert all(torch.isfinite(value).all() for value in weights(bundle).values())
    assert Bundle.load(bundle).provenance["recipe"]["train"]["optimizer"] == config.train.optimizer


def test_a_bundle_saved_as_fp16_holds_the_rounded_weights(images: Images, tmp_path: Path) -> None:
    whole = fit(task(small(epochs=1), "full"), images, tmp_path / "whole", device="cpu")
    config = small(epochs=1, saved_as="fp16")
    halved = fit(task(config, "full"), images, tmp_path / "halved", device="cpu")
    assert halved.stat().st_size < 0.55 * whole.stat().st_size
    kept, rounded = Bundle.load(whole).weights, Bundle.load(halved).weights
    for name, value in kept.items():
        if value.is_floating_point():
            assert rounded[name].dtype == torch.float16
            assert torch.equal(rounded[name], value.half())
    upper = task(config, "upper", init=halved, max_steps=1)
    assert fit(upper, images, tmp_path / "upper", device="cpu").is_file()


@pytest.mark.parametrize(
    ("able", "expected"),
    [
        ({"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": False}, "fp32"),
        ({"architecture": "x86_64", "avx512_bf16": True, "amx_bf16": False}, "bf16"),
        ({"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": True}, "bf16"),
        ({"architecture": "aarch64"}, "bf16"),
    ],
)
def test_a_processor_without_bf16_computes_fp32_and_says_so(
    able: dict[str, object],
    expected: str,
    images: Images,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    config = small(epochs=1, precision="bf16", batch_size=8)
    bundle = fit(task(config, "full", max_steps=1), images, tmp_path, device="cpu")
    assert Bundle.load(bundle).provenance["precision"] == expected
    assert ("no bf16 instructions" in caplog.text) == (expected == "fp32")


def test_two_processes_share_the_batches(images: Images, tmp_path: Path) -> None:
    config = small(epochs=1, processes=2, batch_size=34)
    start = time.monotonic()
    bundle = fit(task(config, "full", max_steps=3), images, tmp_path, device="cpu")
    assert bundle.is_file()
    history = pd.read_csv(tmp_path / "history.csv")
    assert history["step"].iloc[-1] == 3
    assert history["images_per_s"].iloc[0] > 34 * 3 / (time.monotonic() - start)


def test_what_fails_in_one_of_several_processes_is_the_same_sentence(
    images: Images, tmp_path: Path
) -> None:
    config = small(epochs=1, processes=2, batch_size=34)
    wrong = replace(config, model=replace(config.model, architecture="resnt18"))
    with pytest.raises(UsageError, match="resnt18"):
        fit(task(wrong, "full", max_steps=1), images, tmp_path, device="cpu")


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("  File a\n    b\nhemiface.errors.UsageError: It is\nwrong.", UsageError, "It is\nwrong."),
        ("  File a\n    b\nhemiface.errors.DamagedError: a\n\nDuring handling\n  File c\n"
         "RuntimeError: no memory", ProcessRaisedException, ""),
        ("nothing that is known", ProcessRaisedException, ""),
    ],
)  # fmt: skip
def test_what_a_process_raised_is_what_ended_it(text, kind, said) -> None:
    raised = training._of_process(ProcessRaisedException(text, 0, 1))
    assert type(raised) is kind
    assert said in str(raised)


def test_who_waited_for_the_folder_looks_again(images, undisturbed, tmp_path, monkeypatch) -> None:
    """Another process may finish the same training between the first look and the lock."""
    job, folder = task(small(epochs=4), "full"), tmp_path / "full"

    @contextmanager
    def slow(place: Path) -> Iterator[None]:
        with locked(place):
            shutil.copy(undisturbed, place / "bundle.safetensors")
            yield

    monkeypatch.setattr(training, "locked", slow)
    monkeypatch.setattr(training, "_train", lambda *_: pytest.fail("it was trained again"))
    assert fit(job, images, folder, device="cpu").read_bytes() == undisturbed.read_bytes()


def test_other_weights_under_the_same_name_are_another_training(images, tmp_path) -> None:
    weights = tmp_path / "w.pt"
    config = replace(small(), model=ModelConfig(architecture="resnet10t", weights=str(weights)))
    job = task(config, "full")
    without = job.fingerprint(images)
    weights.write_bytes(b"one")
    first = job.fingerprint(images)
    weights.write_bytes(b"two")
    assert len({without, first, job.fingerprint(images)}) == 3


def test_what_it_starts_or_learns_from_is_not_written_over(images, undisturbed, tmp_path) -> None:
    there = tmp_path / "bundle.safetensors"
    shutil.copy(undisturbed, there)
    taught = {"model": {"architecture": "test_resnet"}, "finetune": {"distill": {"logits": 1.0}}}
    starting = task(small(), "upper", init=there)
    learning = task(from_dict(taught), "upper", init=undisturbed, baseline=there)
    for job in (starting, learning):
        with pytest.raises(UsageError, match=r"is read here, .* choose another --out"):
            fit(job, images, tmp_path, device="cpu")
    assert there.read_bytes() == undisturbed.read_bytes()


@pytest.mark.parametrize(
    ("architecture", "train", "said"),
    [
        (
            "vit_tiny_patch16_224",
            {"start_px": 32},
            r"32 pixels \(.+\); set train\.start_px=0 or cho",
        ),
        ("crossvit_9_240", {}, r"48 pixels \(The size of tensor.+\); choose another model\.archi"),
    ],
)
def test_sizes_that_it_can_not_take_are_told(architecture, train, said, images, tmp_path) -> None:
    config = replace(small(**train), model=ModelConfig(architecture=architecture))
    with pytest.raises(UsageError, match=f"{architecture} can't take images of {said}"):
        fit(task(config, "full"), images, tmp_path, device="cpu")


def test_bad_use_is_told_in_one_sentence(images: Images, undisturbed: Path, tmp_path: Path) -> None:
    untested = images.subset((images.table["split"] != "validation").to_numpy())
    with pytest.raises(UsageError, match="no validation images"):
        fit(task(small(), "full"), untested, tmp_path, device="cpu")
    with pytest.raises(UsageError, match="Condition 'nose' is unknown"):
        task(small(), "nose")
    with pytest.raises(UsageError, match="Device 'tpu'"):
        fit(task(small(), "full"), images, tmp_path, device="tpu")
    config = replace(small(), model=ModelConfig(architecture="resnet18"))
    with pytest.raises(UsageError, match="another kind of network"):
        fit(task(config, "upper", init=undisturbed), images, tmp_path, device="cpu")
