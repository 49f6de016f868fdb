"""Files are whole or absent, whatever happens while they are written."""

import errno
import hashlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hemiface import files
from hemiface.errors import DamagedError, HemifaceError
from hemiface.files import (
    SEAL_KEY,
    UNSEALED,
    atomic_path,
    hash_json,
    passing_folder,
    seal,
    sealed_content,
    sha256_file,
    sweep,
    unwritable,
    write_json,
    write_text,
)
from hemiface.tables import write_csv, write_table

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_half_and_raise(path: Path, error: type[BaseException], *, deep: bool = False) -> None:
    with atomic_path(path) as partial:
        if deep:
            partial.mkdir()
        (partial / "deep" if deep else partial).write_bytes(b"half")
        raise error("midway")


class TestAtomicPath:
    def test_the_folder_is_made_and_holds_only_the_result(self, tmp_path):
        target = tmp_path / "a" / "b" / "result.csv"
        with atomic_path(target) as partial:
            assert partial.parent == target.parent
            assert partial.suffix == ".csv"
            partial.write_bytes(b"\x00\xff")
            assert not target.exists()
        assert target.read_bytes() == b"\x00\xff"
        assert list(target.parent.iterdir()) == [target]

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
    def test_a_writer_that_raises_leaves_nothing_behind(self, tmp_path, error):
        with pytest.raises(error, match="midway"):
            write_half_and_raise(tmp_path / "x.bin", error)
        assert list(tmp_path.iterdir()) == []

    def test_a_writer_that_raises_leaves_the_old_file(self, tmp_path):
        target = tmp_path / "x.txt"
        write_text(target, "old")
        with pytest.raises(ValueError, match="midway"):
            write_half_and_raise(target, ValueError)
        assert target.read_text() == "old"
        assert list(tmp_path.iterdir()) == [target]

    def test_an_old_file_is_replaced_not_written_into(self, tmp_path):
        target, other_name = tmp_path / "x.txt", tmp_path / "hard link"
        write_text(target, "old")
        other_name.hardlink_to(target)
        write_text(target, "new")
        assert (target.read_text(), other_name.read_text()) == ("new", "old")

    def test_a_file_in_the_place_of_a_folder_is_named(self, tmp_path):
        (tmp_path / "file").write_text("I am no folder")
        with pytest.raises(HemifaceError, match=r"file/x\.txt can't be written \(.+\); choose"):
            write_text(tmp_path / "file" / "x.txt", "text")

    def test_an_unwritable_folder_is_named(self, tmp_path):
        folder = tmp_path / "closed"
        folder.mkdir(mode=0o500)
        if os.geteuid() == 0:
            # root writes anywhere on a disk, but not into the kernel's own folder.
            folder = Path("/proc/self")
            if not folder.is_dir():
                pytest.skip("root may write everywhere here")
        with pytest.raises(HemifaceError, match=r"x\.txt can't be written") as caught:
            write_text(folder / "x.txt", "text")
        assert caught.value.exit_code == 1

    def test_a_name_that_is_too_long_is_an_error_of_ours(self, tmp_path):
        with pytest.raises(HemifaceError, match="File name too long"):
            write_text(tmp_path / ("n" * 300), "text")

    @pytest.mark.parametrize("name", ["n" * 251 + ".txt", "é" * 125 + ".txt", "n" * 255])
    def test_a_name_as_long_as_names_may_be_is_written(self, tmp_path, name):
        """The temporary name, which is longer, is cut; two names that differ late stay apart."""
        other = f"{Path(name).stem[:-1]}o{Path(name).suffix}"
        with atomic_path(tmp_path / name) as one, atomic_path(tmp_path / other) as two:
            one.write_text("text")
            two.write_text("text")
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted({name, other})

    def test_a_name_that_is_no_utf_8_in_a_text_is_named(self, tmp_path):
        with pytest.raises(HemifaceError, match=r"x\.txt would hold a name .*face\\udcff\.png"):
            write_text(tmp_path / "x.txt", "at face\udcff.png")
        assert not list(tmp_path.iterdir())

    def test_a_folder_in_the_place_of_the_file_stays(self, tmp_path):
        (tmp_path / "x.txt").mkdir()
        with pytest.raises(HemifaceError, match="directory"):
            write_text(tmp_path / "x.txt", "text")
        assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]
        with pytest.raises(HemifaceError, match="is a folder; name a file"):
            write_text(".", "text")

    def test_a_folder_is_whole_or_absent_too(self, tmp_path):
        with atomic_path(tmp_path / "faces") as partial:
            (partial / "train").mkdir(parents=True)
            write_text(partial / "train" / "a.txt", "a")
            assert not (tmp_path / "faces").exists()
        assert (tmp_path / "faces/train/a.txt").read_text() == "a"
        assert (tmp_path / "faces").stat().st_mode & 0o777 == 0o777 & ~current_umask()
        with pytest.raises(KeyboardInterrupt):
            write_half_and_raise(tmp_path / "more", KeyboardInterrupt, deep=True)
        assert [path.name for path in tmp_path.iterdir()] == ["faces"]

    def test_a_rename_is_on_the_disk_before_it_counts(self, tmp_path, monkeypatch):
        done = []
        sync, rename = os.fsync, Path.replace

        def synced(handle: int) -> None:
            done.append(Path(f"/proc/self/fd/{handle}").readlink().name)
            sync(handle)

        def renamed(path: Path, target: Path) -> Path:
            done.append("renamed")
            return rename(path, target)

        monkeypatch.setattr(os, "fsync", synced)
        monkeypatch.setattr(Path, "replace", renamed)
        write_text(tmp_path / "x.txt", "text")
        assert len(done) == 3
        assert done[0].startswith(".x.")
        assert done[1:] == ["renamed", tmp_path.name]

    def test_a_folder_that_cannot_be_synced_costs_no_file(self, tmp_path, monkeypatch):
        def refuse_folders(handle: int) -> None:
            if Path(f"/proc/self/fd/{handle}").is_dir():
                raise OSError(errno.EINVAL, "Invalid argument")

        monkeypatch.setattr(os, "fsync", refuse_folders)
        write_text(tmp_path / "x.txt", "text")
        assert (tmp_path / "x.txt").read_text() == "text"

    @pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
    def test_the_umask_decides_who_may_read(self, tmp_path, umask, mask, mode):
        umask(mask)
        with atomic_path(tmp_path / "x.txt") as partial:
            partial.write_text("text")
            partial.chmod(0o600)
        assert (tmp_path / "x.txt").stat().st_mode & 0o777 == mode
        assert umask(mask) == mask


def to_table(path: Path) -> None:
    write_table(pd.DataFrame({"a": np.random.default_rng(0).random(9000)}), path)


def to_picture(path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (99, 99, 3), dtype=np.uint8)
    with atomic_path(path) as partial:
        Image.fromarray(pixels).save(partial)


def to_torch(path: Path) -> None:
    torch = pytest.importorskip("torch", reason="checkpoints need hemiface[train]")
    with atomic_path(path) as partial, partial.open("wb") as file:
        torch.save({"weights": torch.zeros(9000)}, file)


def to_bundle(path: Path) -> None:
    pytest.importorskip("torch", reason="Bundles need hemiface[train]")
    from builders import tiny_bundle

    tiny_bundle(path)


def array_in(path: Path) -> None:
    with atomic_path(path) as partial:
        np.save(partial, np.zeros(9000), allow_pickle=False)


class TestFullDisk:
    """The older file survives, and one sentence names file and disk, whichever library writes."""

    @pytest.fixture
    def full(self) -> Iterator[Callable[[], AbstractContextManager[None]]]:
        @contextmanager
        def limited() -> Iterator[None]:
            plenty = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (5000, plenty[1]))
            try:
                yield
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, plenty)

        return limited

    @pytest.mark.parametrize(
        ("name", "write"),
        [
            ("x.txt", lambda path: write_text(path, 9000 * "text")),
            ("x.csv", lambda path: write_csv(pd.DataFrame({"a": range(9000)}), path)),
            ("x.parquet", to_table),
            ("x.npy", array_in),
            ("x.png", to_picture),
            ("x.pt", to_torch),
            ("x.safetensors", to_bundle),
        ],
    )
    def test_the_older_file_survives(self, tmp_path, full, name, write):
        path = tmp_path / name
        path.write_bytes(b"older")
        with full(), pytest.raises(HemifaceError) as caught:
            write(path)
        assert re.fullmatch(rf"{re.escape(str(path))} can't be written \(.+\); choose .+\.",
                            str(caught.value))  # fmt: skip
        assert path.read_bytes() == b"older"
        assert os.listdir(tmp_path) == [name]  # noqa: PTH208 - hidden ones too

    def test_an_error_of_another_kind_stays_what_it_is(self, tmp_path):
        with pytest.raises(ValueError, match="mine"):
            self.read_what_is_missing(tmp_path)

    @staticmethod
    def read_what_is_missing(folder: Path) -> None:
        with atomic_path(folder / "x"):
            try:
                (folder / "missing").read_bytes()
            except OSError as error:
                raise ValueError("mine") from error

    def test_the_disk_is_named_with_what_it_has_left(self, tmp_path):
        said = unwritable(tmp_path / "new" / "x", OSError(errno.ENOSPC, "No space left on device"))
        found = re.search(r"free some space on (\S+), which has ([\d,.]+) MB left\.$", said)
        assert found is not None
        assert Path(found[1]).is_mount()
        assert tmp_path.is_relative_to(found[1])
        elsewhere = unwritable(tmp_path / "x", OSError(errno.EACCES, "Permission denied"))
        assert elsewhere.endswith("x can't be written (Permission denied); choose another place or "
                                  "free some space.")  # fmt: skip


class TestPassingFolder:
    def test_it_goes_with_its_block(self, tmp_path, monkeypatch):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        with passing_folder() as folder:
            assert folder.parent == tmp_path
            assert folder.stat().st_mode & 0o077 == 0
            write_text(folder / "faces.csv", "a face")
        assert list(tmp_path.iterdir()) == []

    def test_what_a_killed_process_left_goes_with_the_next(self, tmp_path, monkeypatch):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        program = (
            "import os, signal; from hemiface.files import passing_folder, write_text\n"
            "with passing_folder() as folder:\n"
            "    write_text(folder / 'deep' / 'faces.csv', 'a face')\n"
            "    os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        subprocess.run([sys.executable, "-c", program], env=environment, check=False)
        (tmp_path / "hemiface-of-somebody").mkdir()
        assert len(list(tmp_path.rglob("faces.csv"))) == 1
        with passing_folder() as mine, passing_folder():
            assert list(tmp_path.rglob("faces.csv")) == []
            assert mine.is_dir()
        assert [path.name for path in tmp_path.iterdir()] == ["hemiface-of-somebody"]

    def test_no_place_for_one_is_one_sentence(self, tmp_path, monkeypatch):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
        with pytest.raises(HemifaceError, match=r"No temporary folder .*set TMPDIR"):
            passing_folder().__enter__()


def test_text_is_utf_8(tmp_path):
    write_text(tmp_path / "x.txt", "naïve – 顔\n")
    assert (tmp_path / "x.txt").read_bytes() == "naïve – 顔\n".encode()


@given(value=JSON)
def test_json_reads_back(value, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "value.json"
    write_json(path, value)
    assert json.loads(path.read_text(encoding="utf-8")) == value
    assert path.read_text(encoding="utf-8").endswith("\n")


def test_sha256_is_that_of_the_printed_test_vector(tmp_path):
    # FIPS 180-4 example: SHA-256("abc").
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_file(tmp_path / "abc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_hash_of_json_is_of_the_canonical_text():
    text = '{"a":[1,2.5,null],"ü":true}'
    assert (
        hash_json({"ü": True, "a": [1, 2.5, None]})
        == (hashlib.sha256(text.encode()).hexdigest()[:16])
    )


@given(value=st.dictionaries(st.text(max_size=3), st.integers(), min_size=2))
def test_hash_of_json_ignores_the_order_of_keys_and_nothing_else(value):
    shuffled = dict(reversed(value.items()))
    assert hash_json(shuffled) == hash_json(value)
    key = next(iter(value))
    assert hash_json({**value, key: value[key] + 1}) != hash_json(value)


class TestSweep:
    @pytest.fixture
    def killed(self, tmp_path) -> list[str]:
        """What a process that was killed while it wrote table.csv and other.csv left behind."""
        program = (
            "import sys, time; from pathlib import Path; from hemiface.files import atomic_path\n"
            "with atomic_path(Path(sys.argv[1]) / 'table.csv') as one:\n"
            "    one.write_text('half')\n"
            "    with atomic_path(Path(sys.argv[1]) / 'other.csv') as two:\n"
            "        two.write_text('half'); print('now', flush=True); time.sleep(60)\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        # While it runs nothing of it is left over.
        sweep(tmp_path)
        assert len(list(tmp_path.iterdir())) == 2
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        return sorted(path.name for path in tmp_path.iterdir())

    def test_a_killed_process_leaves_what_the_next_writer_removes(self, tmp_path, killed):
        assert [name.split(".")[1] for name in killed] == ["other", "table"]
        write_text(tmp_path / "table.csv", "whole")
        assert sorted(path.name for path in tmp_path.iterdir()) == [killed[0], "table.csv"]
        sweep(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]

    def test_what_only_looks_like_it_stays(self, tmp_path):
        names = [".notes.partial.txt", "table.1-abcdef.partial.csv", ".table.csv", ".a.b.partial.c"]
        for name in names:
            (tmp_path / name).write_text("mine")
        sweep(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)

    @pytest.mark.parametrize("name", [".t.123-000000.partial.csv", ".t.123.partial.csv"])
    def test_what_another_machine_writes_is_left_for_a_day(self, tmp_path, name):
        path = tmp_path / name
        path.write_text("half")
        sweep(tmp_path)
        assert path.exists()
        yesterday = time.time() - 25 * 3600
        os.utime(path, (yesterday, yesterday))
        sweep(tmp_path)
        assert not path.exists()


class TestSeals:
    """A file bears its own hash, and whatever changes in it afterwards is noticed."""

    def sealed(self, folder: Path, before: bytes, after: bytes) -> Path:
        path = folder / "sealed.bin"
        path.write_bytes(before + UNSEALED.encode() + after)
        seal(path)
        return path

    def test_the_hash_is_of_the_file_with_zeros(self, tmp_path):
        path = self.sealed(tmp_path, b"before", b"after")
        sealed_content(path)
        plain = b"before" + UNSEALED.encode() + b"after"
        assert len(path.read_bytes()) == len(plain)
        assert hashlib.sha256(plain).hexdigest().encode() in path.read_bytes()

    @given(before=st.binary(max_size=40), after=st.binary(max_size=40), data=st.data())
    def test_any_changed_byte_is_noticed(self, tmp_path_factory, before, after, data):
        before = SEAL_KEY.encode() + before
        path = self.sealed(tmp_path_factory.mktemp("seals"), before, after)
        content = bytearray(path.read_bytes())
        outside = [*range(len(before)), *range(len(content) - len(after), len(content))]
        # The seal itself, too: its words and its digits.
        inside = [len(before), len(before) + 20, len(before) + len(UNSEALED) - 1]
        place = data.draw(st.sampled_from([*outside, *inside]))
        content[place] = data.draw(st.integers(0, 255).filter(lambda one: one != content[place]))
        path.write_bytes(content)
        with pytest.raises(DamagedError, match="doesn't fit the SHA-256 in its metadata"):
            sealed_content(path)

    def test_a_cut_file_is_noticed_and_one_without_a_seal_is_taken(self, tmp_path):
        path = self.sealed(tmp_path, b"before", b"after")
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(DamagedError):
            sealed_content(path)
        (tmp_path / "plain.bin").write_bytes(b"of another program")
        sealed_content(tmp_path / "plain.bin")

    def test_a_file_that_is_not_there(self, tmp_path):
        with pytest.raises(DamagedError, match=r"gone\.bin doesn't exist"):
            sealed_content(tmp_path / "gone.bin")


class TestOpenOnWindows:
    """What Windows says where somebody has the file open that is to be replaced."""

    def refusing(self, monkeypatch, times: int, winerror: int | None) -> list[Path]:
        """Let the next renames fail as they do there; return the list of those that were tried."""
        tried: list[Path] = []
        replace = Path.replace

        def refuse(self: Path, target: Path) -> Path:
            tried.append(self)
            if len(tried) <= times:
                error = PermissionError(13, "Access is denied")
                error.winerror = winerror
                raise error
            return replace(self, target)

        monkeypatch.setattr(Path, "replace", refuse)
        monkeypatch.setattr(files, "_OPEN_S", 0.1)
        return tried

    @pytest.mark.parametrize("winerror", [5, 32])
    def test_it_is_tried_again(self, tmp_path, monkeypatch, winerror):
        tried = self.refusing(monkeypatch, 3, winerror)
        files.write_text(tmp_path / "a.txt", "new")
        assert len(tried) == 4
        assert (tmp_path / "a.txt").read_text() == "new"

    def test_not_for_ever(self, tmp_path, monkeypatch):
        (tmp_path / "a.txt").write_text("old")
        self.refusing(monkeypatch, 1000, 32)
        with pytest.raises(HemifaceError, match="can't be written"):
            files.write_text(tmp_path / "a.txt", "new")
        assert (tmp_path / "a.txt").read_text() == "old"
        assert [one.name for one in tmp_path.iterdir()] == ["a.txt"]

    def test_another_refusal_is_told_at_once(self, tmp_path, monkeypatch):
        tried = self.refusing(monkeypatch, 1000, None)
        with pytest.raises(HemifaceError, match="can't be written"):
            files.write_text(tmp_path / "a.txt", "new")
        assert len(tried) == 1
