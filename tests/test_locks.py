"""One process at a time writes into a folder, and nothing that was killed bars the next."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from builders import without_privileges
from hemiface.errors import HemifaceError, UsageError
from hemiface.locks import LOCK_FILE, locked
from hemiface.processes import runs, started

LONG = [f"photo-{index:04}.jpg" for index in range(400)]
"""What a shell makes of *.jpg: longer than a note may be."""

HOLDING = (
    "import sys, time; from pathlib import Path; from hemiface.locks import locked\n"
    "if 'no-fcntl' in sys.argv: sys.modules['fcntl'] = None\n"
    "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)\n"
)


@pytest.fixture(params=["flock", "no-fcntl"])
def kind(request, monkeypatch) -> str:
    """By the system's lock, and where there is none."""
    if request.param == "no-fcntl":
        monkeypatch.setitem(sys.modules, "fcntl", None)
    return request.param


def held(folder: Path, kind: str, *more: str) -> subprocess.Popen[str]:
    """Return another process that holds `folder`."""
    arguments = [sys.executable, "-c", HOLDING, str(folder), kind, *more]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    process.stdout.close()
    return process


def test_a_long_command_line_holds_it_too(tmp_path, kind):
    process = held(tmp_path / "run", kind, *LONG)
    try:
        with pytest.raises(UsageError, match=f"by process {process.pid}"), locked(tmp_path / "run"):
            pass
    finally:
        process.kill()
        process.wait()


def test_who_holds_it_is_named_and_a_kill_bars_nobody(tmp_path, kind):
    process = held(tmp_path / "run", kind)
    try:
        with pytest.raises(UsageError) as caught, locked(tmp_path / "run"):
            pass
        said = str(caught.value)
        assert said.startswith(f"{tmp_path / 'run'} is being written into by process {process.pid}")
        assert f"{tmp_path / 'run'} {kind}, since 2" in said
        assert said.endswith("); wait for it, or name another folder.")
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (tmp_path / "run" / LOCK_FILE).is_file()
        with locked(tmp_path / "run"):
            pass
        assert list((tmp_path / "run").iterdir()) == []
    finally:
        process.kill()
        process.wait()


@pytest.mark.usefixtures("kind")
def test_twice_in_one_process_is_once_too_often(tmp_path):
    with locked(tmp_path):
        with pytest.raises(UsageError, match=f"process {os.getpid()} "), locked(tmp_path):
            pass
        assert (tmp_path / LOCK_FILE).is_file()
    with locked(tmp_path), locked(tmp_path / "other"):
        pass


@pytest.mark.usefixtures("kind")
@pytest.mark.parametrize(
    "left",
    [
        "",
        "{",
        "\0\0",
        '{"pid": 1, "sta',
        '{"pid": "x"}',
        '{"pid": -1}',
        '{"pid": 1, "where": "elsewhere"}',
    ],
)
def test_a_stale_lock_never_bars(tmp_path, left):
    (tmp_path / LOCK_FILE).write_text(left)
    with locked(tmp_path):
        pass


AS_ANOTHER = (
    "import os, sys; from pathlib import Path; import hemiface.locks\n"
    "if 'no-fcntl' in sys.argv: sys.modules['fcntl'] = None\n"
    # Python's own library may be root's alone: so all that is needed is imported before.
    "from hemiface.errors import HemifaceError\n"
    "def ask(folder):\n"
    "    try:\n"
    "        with hemiface.locks.locked(folder): print('held')\n"
    "    except HemifaceError as error: print(error)\n"
    "ready = Path(sys.argv[1]) / 'ready'\n"
    "with hemiface.locks.locked(ready): ask(ready)\n"
    "os.setuid(65534)\n"
    "print('as another')\n"
    "ask(Path(sys.argv[1]))\n"
)


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="root alone is others")
def test_the_lock_of_another_user_bars_a_shared_folder_while_it_is_held(kind):
    # Nobody else may look into what pytest makes.
    with TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o777)

        def ask() -> str:
            asked = [sys.executable, "-c", AS_ANOTHER, made, kind]
            out = subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=True).stdout
            return out.partition("as another\n")[2]

        process = held(folder, kind)
        try:
            (folder / LOCK_FILE).chmod(0o644)
            assert f"is being written into by process {process.pid}" in ask()
            process.kill()
            process.wait()
            assert (folder / LOCK_FILE).stat().st_uid == 0
            assert ask() == "held\n"
            assert list(folder.iterdir()) == []
            # What is no lock stays, whoever may write it.
            (folder / LOCK_FILE).write_text("mine")
            assert "a file of somebody's own and no lock" in ask()
            (folder / LOCK_FILE).chmod(0o600)
            assert "can't be written (Permission denied)" in ask()
        finally:
            process.kill()
            process.wait()


@pytest.mark.usefixtures("kind")
def test_nothing_of_a_users_is_taken_for_a_lock(tmp_path):
    mine = tmp_path / "thesis.txt"
    mine.write_text("of three years")
    for number, (make, what) in enumerate(
        (
            (lambda path: path.symlink_to(mine), "a link"),
            (lambda path: path.symlink_to(tmp_path / "nothing"), "a link"),
            (lambda path: path.hardlink_to(mine), "a file of somebody's own"),
            (os.mkfifo, "no regular file"),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        make(folder / LOCK_FILE)
        with pytest.raises(UsageError, match=f"{what} and no lock of hemiface's; move it"):
            locked(folder).__enter__()
        assert (folder / LOCK_FILE).lstat()
    assert mine.read_text() == "of three years"
    assert not (tmp_path / "nothing").exists()


@pytest.mark.usefixtures("kind")
def test_a_number_that_came_up_again_does_not_bar(tmp_path):
    with locked(tmp_path):
        text = (tmp_path / LOCK_FILE).read_text()
    mine = started(os.getpid())
    if not mine:
        pytest.skip("when a process began isn't known here")
    (tmp_path / LOCK_FILE).write_text(text.replace(f'"{mine}"', '"1"'))
    with locked(tmp_path):
        pass


def test_a_lock_that_is_removed_meanwhile_is_taken_anew(tmp_path, monkeypatch):
    from hemiface import locks

    opened = os.open

    def removed_once(path, *rest):
        handle = opened(path, *rest)
        if str(path).endswith(LOCK_FILE):
            monkeypatch.setattr(os, "open", opened)
            Path(path).unlink()
        return handle

    monkeypatch.setattr(os, "open", removed_once)
    with ExitStack() as stack:
        stack.enter_context(locks.locked(tmp_path))
        with pytest.raises(UsageError), locks.locked(tmp_path):
            pass


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(HemifaceError, match=r"can't be written \(.+\); choose another place"):
        locked(tmp_path / "file" / "run").__enter__()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no rights on this system")
def test_a_folder_that_may_not_be_written_is_said_to_be_there(tmp_path):
    tmp_path.chmod(0o500)
    with without_privileges(), pytest.raises(HemifaceError, match="Permission denied"):
        locked(tmp_path).__enter__()


def test_what_is_refused_leaves_no_folder(tmp_path):
    with pytest.raises(UsageError), locked(tmp_path / "run" / "data"):
        raise UsageError("Refused.")
    assert not list(tmp_path.iterdir())
    with locked(tmp_path / "run" / "data"):
        (tmp_path / "run" / "data" / "result").touch()
    assert (tmp_path / "run" / "data" / "result").is_file()


@pytest.mark.parametrize("when", ["mkdir", "open"])
def test_a_folder_that_another_process_removes_meanwhile_is_made_anew(tmp_path, monkeypatch, when):
    """Both have made it; the other leaves after `mkdir` found it, or before `open` does."""
    folder = tmp_path / "out" / "shard"
    called = getattr(os, when)

    def left_once(path, *rest, **more):
        if Path(path) in (folder, folder / LOCK_FILE):
            monkeypatch.setattr(os, when, called)
            if when == "mkdir":
                raise FileExistsError(17, "File exists")
            folder.rmdir()
            folder.parent.rmdir()
        return called(path, *rest, **more)

    monkeypatch.setattr(os, when, left_once)
    with locked(folder):
        assert (folder / LOCK_FILE).is_file()
    assert not list(tmp_path.iterdir())


def test_what_can_be_made_in_part_alone_leaves_nothing(tmp_path):
    with pytest.raises(HemifaceError, match="File name too long"):
        locked(tmp_path / "run" / ("long" * 100)).__enter__()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_a_path_only_passes_through_stays(tmp_path):
    folder = tmp_path / "x" / ".." / "y" / "z"
    with locked(folder):
        (folder / "result").touch()
    assert (folder / "result").is_file()
    with pytest.raises(UsageError), locked(tmp_path / "x" / ".." / "other"):
        raise UsageError("Refused.")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["x", "y"]


def test_a_process_runs_until_it_has_ended():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert runs(process.pid)
    process.communicate(b"\n")
    assert not runs(process.pid)
    assert started(process.pid) == ""


def test_a_lock_names_its_holder_until_it_is_gone(tmp_path, monkeypatch):
    """Where there is no other lock, one that names nobody would be taken in between."""
    named = []
    unlink = Path.unlink

    def looked_at(path: Path) -> None:
        named.append(f'"pid": {os.getpid()}' in path.read_text())
        unlink(path)

    monkeypatch.setattr(Path, "unlink", looked_at)
    with locked(tmp_path):
        pass
    assert named == [True]


@pytest.mark.usefixtures("kind")
def test_a_lock_file_that_stays_names_nobody(tmp_path, monkeypatch):
    """Windows removes no file that is open."""

    def refuse(*_):
        raise PermissionError(13, "The process cannot access the file")

    monkeypatch.setattr(Path, "unlink", refuse)
    for _ in range(2):
        with locked(tmp_path):
            assert (tmp_path / LOCK_FILE).stat().st_size > 0
        assert (tmp_path / LOCK_FILE).stat().st_size == 0
