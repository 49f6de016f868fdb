"""Checkpoints: what is kept, what is read back, and what a damaged one costs."""

import logging
import resource
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs hemiface[train]")

from test_train import small  # noqa: E402

from builders import flipped  # noqa: E402
from hemiface.errors import DamagedError, HemifaceError  # noqa: E402
from hemiface.networks.checkpoint import Progress, save_every_s  # noqa: E402
from hemiface.networks.train import task  # noqa: E402

CPU = torch.device("cpu")


def progress(folder: Path, fingerprint: str = "f", **options: object) -> Progress:
    return Progress(task(small(**options), "full"), folder, fingerprint)


def row(epoch: int, accuracy: float) -> dict[str, float]:
    return {"epoch": epoch, "validation_accuracy": accuracy, "seconds": 1.0, "images_per_s": 9.0}


def state(number: float) -> dict[str, object]:
    return {"module": {"weight": torch.full((400,), number)}}


@pytest.fixture
def two(tmp_path) -> Path:
    """A folder with the checkpoints of two epochs, whose states are 1 and 2."""
    known = progress(tmp_path)
    for epoch in (1, 2):
        known.note(row(epoch, 0.5), {"w": torch.tensor(float(epoch))})
        known.save(state(float(epoch)), 0.0)
    return tmp_path


def number_of(found: dict[str, object] | None) -> float:
    assert found is not None
    return float(found["module"]["weight"].mean())


def flip(path: Path, where: float = 0.5) -> None:
    content = bytearray(path.read_bytes())
    content[int(len(content) * where)] ^= 1
    path.write_bytes(content)


def test_the_last_epoch_comes_back_with_history_and_best(two):
    again = progress(two)
    assert number_of(again.resume(CPU)) == 2
    assert [one["epoch"] for one in again.history] == [1, 2]
    assert again.best["epoch"] == 1
    assert float(again.best["weights"]["w"]) == 1


def test_nothing_comes_back_where_nothing_is_or_of_another_training(tmp_path, two, caplog):
    assert progress(tmp_path / "empty").resume(CPU) is None
    with caplog.at_level(logging.WARNING, "hemiface"):
        assert progress(two, "other").resume(CPU) is None
    assert "starts anew" in caplog.text


@pytest.mark.parametrize("spoil", ["flip", "cut", "empty", "text", "gone"])
def test_a_damaged_one_costs_an_epoch(two, caplog, spoil):
    last = two / "checkpoint" / "last.pt"
    content = last.read_bytes()
    match spoil:
        case "flip":
            flip(last)
        case "cut":
            last.write_bytes(content[: len(content) // 2])
        case "empty":
            last.write_bytes(b"")
        case "text":
            last.write_text("no checkpoint")
        case "gone":
            last.unlink()
    again = progress(two)
    with caplog.at_level(logging.WARNING, "hemiface"):
        assert number_of(again.resume(CPU)) == 1
    assert len(again.history) == 1
    assert ("the checkpoint before is tried" in caplog.text) == (spoil != "gone")


def test_no_flipped_byte_is_taken_for_weights(two):
    """torch.load alone takes two of three flips as they are."""
    last = two / "checkpoint" / "last.pt"
    (two / "checkpoint" / "previous.pt").unlink()
    whole = last.read_bytes()
    # In the archive's own directory, which no checksum of ZIP covers: torch reads zeros then.
    entry = bytearray(whole)
    entry[whole.index(b"archive/data/0", whole.index(b"PK\1\2")) - 8] ^= 16
    for spoilt in (bytes(entry), *flipped(whole, 60)):
        last.write_bytes(spoilt)
        with pytest.raises(DamagedError, match="to train anew"):
            progress(two).resume(CPU)


def test_one_of_before_has_no_seal_and_is_read(two):
    last = two / "checkpoint" / "last.pt"
    content = torch.load(last, weights_only=True)
    torch.save({name: one for name, one in content.items() if name != "sealed"}, last)
    assert number_of(progress(two).resume(CPU)) == 2
    torch.save(content, last)
    (two / "checkpoint" / "previous.pt").unlink()
    with pytest.raises(DamagedError, match="lost its seal"):
        progress(two).resume(CPU)


def test_a_full_disk_leaves_both(two):
    plenty = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = {path.name: path.read_bytes() for path in (two / "checkpoint").iterdir()}
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, plenty[1]))
    try:
        with pytest.raises(HemifaceError, match=r"last\.pt can't be written \(File too large\)"):
            progress(two).save(state(3.0), 0.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, plenty)
    assert {path.name: path.read_bytes() for path in (two / "checkpoint").iterdir()} == before
    assert number_of(progress(two).resume(CPU)) == 2


def test_two_damaged_ones_are_named(two):
    for name in ("last.pt", "previous.pt"):
        flip(two / "checkpoint" / name)
    with pytest.raises(
        DamagedError, match=r"No checkpoint of full-seed0 is whole .* remove .*chec"
    ):
        progress(two).resume(CPU)


def test_the_best_epoch_is_kept_or_the_last(tmp_path):
    for select, kept in (("best", 2), ("last", 3)):
        known = progress(tmp_path, select=select)
        for epoch, accuracy in ((1, 0.2), (2, 0.4), (3, 0.4)):
            known.note(row(epoch, accuracy), {})
        assert known.best["epoch"] == kept


def test_checkpoints_are_rarer_on_a_gpu(tmp_path):
    assert save_every_s(CPU) == 0 < save_every_s(torch.device("cuda"))
    known = progress(tmp_path)
    for epoch in (1, 2):
        known.note(row(epoch, 0.5), {})
        known.save(state(float(epoch)), 1e9)
    assert number_of(progress(tmp_path).resume(CPU)) == 1
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 3
