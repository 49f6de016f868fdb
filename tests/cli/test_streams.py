"""Standard streams that are closed, full, left by their reader, or of few letters."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hemiface.cli.streams import ReaderGoneError, _is_reader_gone, standard_streams

needs_a_full_device = pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="there is no /dev/full here"
)


def in_shell(line: str, **environment: str) -> tuple[int, str, str]:
    """Run a line of bash in which $hemiface is the command; the first program's code, and words."""
    done = subprocess.run(
        ["bash", "-c", f"{line}; exit ${{PIPESTATUS[0]}}"],
        env={**os.environ, "hemiface": f"{sys.executable} -m hemiface", **environment},
        capture_output=True,
        check=False,
    )
    return done.returncode, done.stdout.decode("latin-1"), done.stderr.decode()


@needs_a_full_device
@pytest.mark.parametrize("command", ["--help", "configs"])
def test_a_full_disk_is_one_sentence(command):
    code, _, said = in_shell(f"$hemiface {command} > /dev/full")
    assert code == 1
    assert said == (
        "hemiface: Standard output can't be written (No space left on device); free some space.\n"
    )


def test_a_reader_that_left_is_not_worth_a_word():
    assert in_shell("$hemiface configs quick | true") == (141, "", "")


def test_a_closed_output_leads_nowhere(tmp_path):
    # Without a place of its own the first file that is opened would take what is printed.
    kept = tmp_path / "kept.csv"
    program = (
        "import sys; from hemiface.cli import app, main; from hemiface.files import write_text\n"
        "@app.command()\n"
        "def write():\n"
        f"    with open({str(kept)!r}, 'w') as file:\n"
        "        print('a result', flush=True); sys.stderr.write('a word')\n"
        "        import os; os.system('echo a child'); file.write('kept')\n"
        "main()"
    )
    (tmp_path / "program.py").write_text(program)
    line = f"{sys.executable} {tmp_path / 'program.py'} write >&- 2>&- <&-"
    assert in_shell(line) == (0, "", "")
    assert kept.read_text() == "kept"


@needs_a_full_device
def test_words_that_are_lost_change_no_exit_code():
    assert in_shell("$hemiface configs no-such-config 2> /dev/full") == (2, "", "")


ASCII = {"PYTHONIOENCODING": "ascii"}
OLD_C = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize("few", [ASCII, OLD_C])
def test_what_the_encoding_lacks_is_escaped(tmp_path, few):
    model = {"name": "naïve", "file": "a.onnx", "kind": "emotion", "summary": "für 顔"}
    program = (
        "import sys; from hemiface.cli import app, main; from hemiface.cli.printing import *\n"
        "@app.command()\n"
        f"def write():\n    print_json({model!r}); show('顔', ['é'], [['顔'], ['b' * 6]])\n"
        "main()"
    )
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    code, shown, said = in_shell(f"{sys.executable} {tmp_path / 'program.py'} write", **few)
    assert (code, said) == (0, "")
    document, brace, table = shown.partition("\n}\n")
    assert json.loads(document + brace) == model
    lines = table.splitlines()
    assert lines[0].startswith(r"\u9854")
    assert len({len(line.rstrip()) for line in lines[1:]}) == 1
    assert r"| \u9854 |" in table


def test_streams_of_others_stay(capsys):
    ours = sys.stdout
    with standard_streams():
        assert sys.stdout is ours
        print("naïve")
    assert capsys.readouterr().out == "naïve\n"


def test_a_failure_is_told_once(monkeypatch):
    read, write = os.pipe()
    os.close(read)
    before = os.dup(1)
    os.dup2(write, 1)
    os.close(write)
    try:
        monkeypatch.setattr(sys, "stdout", sys.__stdout__)
        with standard_streams():
            with pytest.raises(ReaderGoneError):
                print("first", flush=True)
            print("more", flush=True)
    finally:
        os.dup2(before, 1)
        os.close(before)
    assert sys.stdout is sys.__stdout__


@pytest.mark.parametrize(
    ("system", "number", "is_gone"),
    [
        ("win32", errno.EINVAL, True), ("linux", errno.EINVAL, False),
        ("win32", errno.EPIPE, True), ("linux", errno.EPIPE, True), ("win32", errno.ENOSPC, False),
    ],
)  # fmt: skip
def test_windows_calls_a_reader_that_left_an_invalid_argument(monkeypatch, system, number, is_gone):
    monkeypatch.setattr(sys, "platform", system)
    assert _is_reader_gone(OSError(number, "as it is said")) is is_gone
