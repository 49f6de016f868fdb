"""The benchmark compares like with like: same pixels, same augmentation, same probabilities."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the benchmark needs hemiface[train]")
pytest.importorskip("torchvision", reason="the original study's pipeline needs torchvision")

import memory  # noqa: E402
import pipelines  # noqa: E402
import skeleton  # noqa: E402
import training as bench  # noqa: E402
from hemiface.data.images import Images  # noqa: E402
from hemiface.data.readers import load  # noqa: E402
from hemiface.errors import DamagedError, UsageError  # noqa: E402
from hemiface.networks.evaluate import evaluate  # noqa: E402
from hemiface.tables import EMOTIONS, PROBABILITY_COLUMNS  # noqa: E402

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    # Python 3.12 and later warn of it; DataLoader's workers start by fork on Linux.
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
    # The original study's two workers are one too many for a single core.
    pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes"),
]

BATCH, STEPS, TRAIN, TEST = 8, 1, 72, 21


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """JPEG files of rendered faces in class folders, and five compact Bundles."""
    folder = tmp_path_factory.mktemp("benchmark")
    pipelines.prepare(load("phantom:n=1000,seed=3"), folder, TRAIN, TEST, "compact")
    return folder


@pytest.fixture(scope="module")
def images(pictures: Path) -> Images:
    return load(pictures)


def job(task: str, pipeline: str, folder: Path) -> "pipelines.Job":
    return pipelines.Job(task, pipeline, str(folder), STEPS, BATCH, "cpu")


def grey_levels(batch: torch.Tensor) -> np.ndarray:
    """uint8 [n, 48, 48] from float [n, 3, 48, 48] on 0..1 whose channels must be equal."""
    assert torch.equal(batch[:, 0], batch[:, 1])
    assert torch.equal(batch[:, 0], batch[:, 2])
    return (batch[:, 0] * 255).round().to(torch.uint8).numpy()


@pytest.mark.parametrize("split", ["train", "test"])
def test_both_pipelines_have_the_same_pixels_before_augmentation(
    pictures: Path, images: Images, split: str
) -> None:
    loader = pipelines.original_loader(
        pictures / split, BATCH, "full", augmented=False, normalised=False
    )
    batches = [grey_levels(inputs) for inputs, _ in loader]
    ours = images.split(split)
    files = [Path(path).relative_to(pictures).as_posix() for path, _ in loader.dataset.samples]
    assert files == list(ours.table["source"])
    assert len(files) == {"train": TRAIN, "test": TEST}[split]
    np.testing.assert_array_equal(np.concatenate(batches), ours.pixels)


def test_both_pipelines_give_the_network_the_same_numbers(pictures: Path, images: Images) -> None:
    loader = pipelines.original_loader(pictures / "train", BATCH, "upper", augmented=False)
    theirs = torch.cat([inputs for inputs, _ in loader])
    batches = list(pipelines.our_batches(job("input", "ours", pictures), images, augmented=False))
    ours = torch.cat([inputs for inputs, _ in batches])
    assert ours.shape == (TRAIN, 3, 48, 48)
    torch.testing.assert_close(ours, theirs)
    named = [EMOTIONS[label] for _, labels in batches for label in labels]
    assert named == [loader.dataset.classes[label] for _, label in loader.dataset.samples]


def test_both_pipelines_augment_to_crops_of_the_padded_or_flipped_picture(
    pictures: Path, images: Images
) -> None:
    train = images.split("train")
    allowed = {}
    for index, pixels in enumerate(train.pixels):
        for picture in (pixels, pixels[:, ::-1]):
            padded = np.pad(picture, 4)
            for top in range(9):
                for left in range(9):
                    crop = padded[top : top + 48, left : left + 48].copy()
                    crop[:24] = 0  # the half that both hide afterwards
                    allowed.setdefault(crop.tobytes(), set()).add(index)
    loader = pipelines.original_loader(pictures / "train", BATCH, "upper", augmented=True)
    ours = pipelines.our_batches(job("input", "ours", pictures), images, augmented=True)
    mean, std = (
        torch.tensor(one).view(3, 1, 1) for one in (pipelines.CIFAR_MEAN, pipelines.CIFAR_STD)
    )
    for batches in (loader, ours):
        raw = np.concatenate(
            [((inputs * std + mean) * 255).round().to(torch.uint8)[:, 0] for inputs, _ in batches]
        )
        assert len(raw) == TRAIN
        found = [allowed.get(one.tobytes()) for one in raw]
        assert None not in found
        # An epoch, moved at random: hardly a picture stays where it was.
        unmoved = train.pixels.copy()
        unmoved[:, :24] = 0
        same = {one.tobytes() for one in unmoved}
        assert sum(one.tobytes() in same for one in raw) < TRAIN / 4


def test_both_evaluations_give_the_same_probabilities(pictures: Path, images: Images) -> None:
    bundles = sorted((pictures / "models").glob("*/bundle.safetensors"))
    assert [path.parent.name for path in bundles] == sorted(pipelines.CONDITIONS)
    two = bundles[:2]
    theirs = pipelines.original_cells(job("evaluate-compact", "original", pictures), two)
    ours = evaluate(two, images, conditions=pipelines.CONDITIONS, device="cpu")
    ours = ours.table.set_index(["model", "condition"])
    order = images.split("test").table["image"]
    assert len(theirs) == 2 * len(pipelines.CONDITIONS)
    for (model, hidden), values in theirs.items():
        cell = ours.loc[(f"{model}-seed0", hidden)].set_index("image").loc[order]
        expected = cell[list(PROBABILITY_COLUMNS)].to_numpy()
        np.testing.assert_allclose(values.numpy(), expected, atol=1e-5)
    assert not np.allclose(theirs[two[0].parent.name, "full"], theirs[two[0].parent.name, "upper"])


@pytest.mark.parametrize("pipeline", pipelines.PIPELINES)
def test_training_and_input_are_measured(pictures: Path, pipeline: str) -> None:
    trained = pipelines.work(job("train-compact", pipeline, pictures))
    assert trained["images"] == STEPS * BATCH
    assert trained["images_per_s"] == pytest.approx(trained["images"] / trained["seconds"])
    assert trained["device"] == "cpu"
    fed = pipelines.time_input(job("input", pipeline, pictures), at_least_s=1e-6)  # one epoch
    assert fed["images"] == TRAIN - pipelines.WARMUP * BATCH
    assert fed["seconds"] > 0


def test_memory_counts_the_children_and_shared_pages_once() -> None:
    if not Path("/proc/self/smaps_rollup").exists():
        pytest.skip("this system has no /proc/<pid>/smaps_rollup")
    script = (
        "import os, sys, time; block = b'x' * (80 << 20)\n"
        "child = os.fork()\n"
        "print('ready', flush=True) if child else None\n"
        "time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True
    ) as parent:
        try:
            assert parent.stdout
            assert parent.stdout.readline() == b"ready\n"
            # The kernel may take a moment to settle what the new child shares.
            for _ in range(50):
                time.sleep(0.1)
                rss, pss = memory.resident(parent.pid), memory.proportional(parent.pid)
                if pss < 120 * memory.MIB:
                    break
            members = [int(folder.name) for folder in memory.session(parent.pid)]
        finally:
            for member in memory.session(parent.pid):
                subprocess.run(["kill", "-9", member.name], check=False)
    assert len(members) == 2
    assert 160 * memory.MIB < rss < 240 * memory.MIB
    assert 80 * memory.MIB < pss < 120 * memory.MIB


def _runs() -> list[dict]:
    rates = {"original": [10.0, 20.0, 40.0], "ours": [30.0, 30.0, 60.0]}
    return [
        {
            "task": "train-resnet50",
            "pipeline": pipeline,
            "repeat": repeat,
            "images_per_s": rate,
            "rss_mib": 1500.0,
            "pss_mib": None,
            "load_s": 0.25,
            "device": "cpu",
            "threads": 2,
        }
        for pipeline, values in rates.items()
        for repeat, rate in enumerate(values)
    ]


def test_the_summary_divides_medians_and_ranges_over_pairs() -> None:
    rate, memory = bench.summarise(_runs())  # no third row: pss wasn't told
    assert (rate["quantity"], memory["quantity"]) == ("images_per_s", "rss_mib")
    assert rate["original"] == {"median": 20.0, "low": 10.0, "high": 40.0, "n": 3}
    assert rate["ours"] == {"median": 30.0, "low": 30.0, "high": 60.0, "n": 3}
    assert rate["ratio"] == {"median": 1.5, "low": 1.5, "high": 3.0, "n": 3}
    assert memory["ratio"]["median"] == 1.0


def test_the_pipelines_alternate_and_swap_their_order() -> None:
    options = bench.parse(["--data", "x", "--repeats", "3", "--evaluate-repeats", "2"])
    done = list(bench.order(options))
    assert done[:2] == [("input", 0, "original"), ("input", 0, "ours")]
    for task, repeats in {"input": 3, "evaluate-resnet50": 2, "whole-resnet50": 1}.items():
        firsts = [one for one in done if one[0] == task][::2]
        assert [pipeline for _, _, pipeline in firsts] == ["original", "ours", "original"][:repeats]


def test_the_readme_section_is_replaced_by_the_results(tmp_path: Path) -> None:
    results = {
        "settings": {"images": 2048, "test_images": 512, "steps": 8, "batch": 128},
        "environment": {
            "versions": {"torch": "2.x"},
            "hardware": {"processor": "P", "cores": 2, "memory_gib": 8.0, "system": "S"},
        },
        "load_average": {"before": [0.1, 0, 0]},
        "minutes": 9.7,
        "summary": bench.summarise(_runs()),
        "runs": _runs(),
    }
    readme = tmp_path / "README.md"
    readme.write_text("# Kept\n\n## Measured\n\nold\n")
    bench.fill(results, readme)
    text = readme.read_text()
    assert text.startswith("# Kept\n\n## Measured\n")
    assert "old" not in text
    wanted = "20.0 (10.0 to 40.0) | 30.0 (30.0 to 60.0) | 1.50 (1.50 to 3.00) | 3 |"
    assert f"| Training, ResNet-50: images/s | {wanted}" in text
    assert "2,624 JPEG files once, in 0.25 s" in text  # 2,048 + 512 + 64 for validation
    readme.write_text("# Without\n")
    with pytest.raises(DamagedError, match="no section '## Measured'"):
        bench.fill(results, readme)


def test_the_committed_readme_shows_the_committed_results() -> None:
    text = bench.README.read_text(encoding="utf-8")
    wanted = bench.markdown(skeleton.read(skeleton.RESULTS / "training.json"))
    assert text.endswith(wanted), "run python benchmarks/training.py --markdown"


def test_too_few_images_are_refused(images: Images) -> None:
    with pytest.raises(UsageError, match="--images 2048 or more"):
        bench.run(bench.parse(["--data", "phantom:", "--images", "2047"]))
    with pytest.raises(UsageError, match="22 test images"):
        pipelines.some(images, "test", TEST + 1)
    drawn = pipelines.some(images, "test", 7)
    assert sorted(images.table["label"].iloc[drawn]) == sorted(EMOTIONS)
