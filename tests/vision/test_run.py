"""Long runs of hemiface predict: broken files, kills, Ctrl-C, full disks, odd places and names."""

import csv
import json
import os
import pty
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from test_photos import bomb
from test_watching import video_of

from builders import hemiface, without_privileges
from hemiface.data.phantom import make as phantom
from hemiface.errors import DamagedError, HemifaceError, UsageError
from hemiface.locks import locked
from hemiface.vision import run as run_module
from hemiface.vision.journal import Journal
from hemiface.vision.results import Held
from hemiface.vision.seen import Frame
from hemiface.vision.sources import Source, find_sources

pytestmark = pytest.mark.slow

BROKEN = {
    "0004.jpg", "0005.png", "0104.png", "0204.gif", "0304.jpg", "0404.png", "0504.webp", "0604.jpg",
    "0704.heic", "0804.png",
}  # fmt: skip


@pytest.fixture(scope="module")
def thousand(tmp_path_factory) -> Path:
    """990 rendered crops of 48 px and 10 files that are broken, each in its own way."""
    folder = tmp_path_factory.mktemp("tausend Bilder 顔")
    faces = phantom.render(np.arange(33) % 7, seed=0)
    names = [f"{n:04}" for n in range(1000) if f"{n:04}" not in {one[:4] for one in BROKEN}]
    for index, name in enumerate(names):
        Image.fromarray(faces[index % 33] // (1 + index // 330)).save(folder / f"{name}.png")
    large = Image.fromarray(faces[0]).resize((400, 400))
    large.save(folder / "0004.jpg", quality=95)
    cut_off(folder / "0004.jpg", 0.5)
    large.save(folder / "0005.png")
    cut_off(folder / "0005.png", 0.7)
    (folder / "0104.png").touch()
    large.save(folder / "0204.gif", save_all=True, append_images=[large.rotate(90)])
    cut_off(folder / "0204.gif", 0.3)
    (folder / "0304.jpg").write_text("a text whose name says that it is a picture")
    (folder / "0404.png").write_text("<!DOCTYPE html><title>404</title>")
    (folder / "0504.webp").write_bytes(random.Random(0).randbytes(3000))
    (folder / "0604.jpg").symlink_to(folder / "gone.jpg")
    (folder / "0704.heic").write_bytes(b"\0\0\0\x24ftypheic" + bytes(500))
    (folder / "0804.png").write_bytes(bomb(60_000))
    assert len(list(folder.iterdir())) == 1000
    return folder


def cut_off(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


@pytest.fixture(scope="module")
def uninterrupted(thousand, model, tmp_path_factory) -> Path:
    """The folder of results of a run on `thousand` that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole") / "out"
    done = subprocess.run(
        command(thousand, model, out), capture_output=True, text=True, check=False
    )
    assert done.returncode == 4
    named = [line for line in done.stderr.splitlines() if str(thousand) in line]
    assert {one for one in BROKEN if any(one in line for line in named)} == BROKEN
    assert len(named) == 10
    assert "10 of 1000 sources can't be read" in done.stderr
    assert "Traceback" not in done.stderr
    assert "looked at 500 of 1,000" in done.stderr
    assert "990 faces in 990 sources" in done.stdout
    return out


# Who starts the tests may have told them to ignore signals, as a shell's & and nohup do.
PROGRAM = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "signal.signal(signal.SIGTERM, signal.SIG_DFL); signal.signal(signal.SIGHUP, signal.SIG_DFL); "
    "from hemiface.cli import main; main()"
)


def command(source: Path, model: Path, out: Path, *more: str) -> list[str]:
    options = ["--no-detect", "--model", str(model), "--out", str(out), *more]
    return [sys.executable, "-c", PROGRAM, "predict", str(source), *options]


def results(out: Path) -> dict[str, str]:
    return {name: (out / name).read_text() for name in ("faces.csv", "sources.csv")}


def stop(arguments: list[str], out: Path, lines: int, sign: int) -> tuple[int, str]:
    """Start a run, send it a signal when its journal has so many lines; exit code and stderr."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    run = subprocess.Popen(arguments, text=True, **pipes)
    journal = out / ".progress.jsonl"
    while run.poll() is None:
        if journal.is_file() and journal.read_bytes().count(b"\n") >= lines:
            run.send_signal(sign)
            break
        time.sleep(0.01)
    _, said = run.communicate(timeout=60)
    return run.returncode, said


def test_990_results_and_10_named_errors(uninterrupted):
    faces = pd.read_csv(uninterrupted / "faces.csv")
    assert len(faces) == 990
    assert faces["source"].is_unique
    assert faces["source"].is_monotonic_increasing
    sources = pd.read_csv(uninterrupted / "sources.csv").set_index("source")
    broken = sources[sources["error"].notna()]
    assert {Path(name).name for name in broken.index} == BROKEN
    assert all(Path(name).name in error for name, error in broken["error"].items())
    assert broken["error"].nunique() == 10


def test_workers_change_nothing(uninterrupted, thousand, model, tmp_path, monkeypatch):
    hemiface(monkeypatch, *command(thousand, model, tmp_path / "out", "--workers", "4")[3:])
    assert results(tmp_path / "out") == results(uninterrupted)


def test_a_killed_run_goes_on_with_nothing_lost_or_doubled(
    uninterrupted, thousand, model, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    arguments = command(thousand, model, out, "--workers", "2")
    code, _ = stop(arguments, out, random.randint(50, 1500), signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert not (out / "faces.csv").exists()
    assert hemiface(monkeypatch, *arguments[3:]) == 4
    assert results(out) == results(uninterrupted)


def test_a_kill_while_the_tables_are_written_leaves_the_old_or_none(
    uninterrupted, thousand, model, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    arguments = command(thousand, model, out, "--format", "csv,parquet")
    program = (
        "import os, sys\n"
        "from hemiface import cli\n"
        "from hemiface import tables\n"
        "class Killer(tables.csv.DictWriter):\n"
        "    def writerows(self, rows):\n"
        "        super().writerows(list(rows)[:500])\n"
        "        os.kill(os.getpid(), 9)\n"
        "tables.csv.DictWriter = Killer\n"
        f"sys.argv = {['hemiface', *arguments[3:]]!r}\n"
        "cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert list(out.glob(".faces.*.partial.*"))
    assert not list(out.glob("faces.*"))
    assert hemiface(monkeypatch, *arguments[3:]) == 4
    assert results(out) == results(uninterrupted)
    assert not list(out.glob("*.partial.*"))
    assert sorted(path.name for path in out.iterdir()) == [
        ".progress.jsonl", "faces.csv", "faces.parquet", "sources.csv",
    ]  # fmt: skip


def test_ctrl_c_ends_with_130_and_keeps_what_is_done(
    uninterrupted, thousand, model, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    arguments = command(thousand, model, out, "--workers", "2")
    code, said = stop(arguments, out, 300, signal.SIGINT)
    assert code == 130
    assert "the same command goes on after what it was through with." in said
    assert "Traceback" not in said
    assert not list(out.glob("*faces*"))
    assert len((out / ".progress.jsonl").read_bytes().splitlines()) >= 300
    hemiface(monkeypatch, *arguments[3:])
    assert results(out) == results(uninterrupted)


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_ended_leaves_no_faces_behind(thousand, model, tmp_path, sign):
    """Without --out what was seen lies in a temporary folder, which goes with the run."""
    passing = tmp_path / "passing"
    passing.mkdir()
    arguments = [one for one in command(thousand, model, Path("?")) if one not in ("--out", "?")]
    run = subprocess.Popen(
        arguments,
        env={**os.environ, "TMPDIR": str(passing)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while run.poll() is None:
        journals = list(passing.glob("hemiface-*/.progress.jsonl"))
        if journals and journals[0].read_bytes().count(b"\n") >= 50:
            run.send_signal(sign)
            break
        time.sleep(0.01)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "name a folder with --out to keep what is done" in said
    assert list(passing.iterdir()) == []


@pytest.fixture
def crops(tmp_path) -> Path:
    """Three rendered crops as files."""
    folder = tmp_path / "crops mit Ä"
    folder.mkdir()
    for index, face in enumerate(phantom.render(np.arange(3), seed=0)):
        Image.fromarray(face).save(folder / f"{index} ÿ.png")
    return folder


@pytest.fixture
def predict(crops, model, monkeypatch, capsys) -> Callable[..., tuple[int, str]]:
    """Run on `crops`; return the exit code and what was said on standard error."""

    def run(out: Path, *more: str) -> tuple[int, str]:
        code = hemiface(monkeypatch, *command(crops, model, out, *more)[3:])
        return code, capsys.readouterr().err

    return run


def test_the_same_command_twice_gives_the_same(predict, tmp_path):
    assert predict(tmp_path / "o")[0] == 0
    before = results(tmp_path / "o")
    code, said = predict(tmp_path / "o")
    assert (code, "3 of 3 sources were looked at before" in said) == (0, True)
    assert results(tmp_path / "o") == before


def test_a_second_process_on_the_same_folder_is_turned_away(predict, tmp_path):
    with locked(tmp_path / "o"), Journal(tmp_path / "o", {"other": 1}) as journal:
        journal.end("x", {"faces": 0})
        code, said = predict(tmp_path / "o")
        assert code == 2
        assert f"{tmp_path / 'o'} is being written into by process {os.getpid()}" in said
    with Journal(tmp_path / "o", {"other": 1}) as journal:
        assert list(journal.ended) == ["x"]


def test_a_full_disk_is_one_sentence_and_the_run_goes_on_later(predict, tmp_path):
    plenty = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The journal's first line, its second photo, its third photo.
    for bytes_left in (10, 1500, 2500):
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, plenty[1]))
        try:
            code, said = predict(tmp_path / "o")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, plenty)
        assert code == 1
        assert "can't be written (File too large); choose another --out" in said
        assert not list((tmp_path / "o").glob("faces*"))
    assert predict(tmp_path / "o")[0] == 0
    whole = results(tmp_path / "o")
    assert predict(tmp_path / "p")[0] == 0
    assert whole == results(tmp_path / "p")


@pytest.mark.parametrize("place", ["a file/out", "/proc/out"])
def test_a_folder_that_cannot_be_made_is_one_sentence(predict, tmp_path, place):
    (tmp_path / "a file").touch()
    code, said = predict(tmp_path / place)
    assert code == 1
    assert "can't be written" in said
    assert "choose another place" in said


def test_a_file_is_no_folder_of_results(predict, tmp_path):
    (tmp_path / "list.txt").write_text("mine")
    code, said = predict(tmp_path / "list.txt")
    assert (code, "list.txt is a file, and results need a folder" in said) == (2, True)
    assert (tmp_path / "list.txt").read_text() == "mine"


def test_formats_may_be_written_as_words_are(predict, tmp_path):
    assert predict(tmp_path / "o", "--format", " CSV, jsonl")[0] == 0
    assert (tmp_path / "o" / "faces.jsonl").is_file()


@pytest.mark.parametrize("form", ["xls", "csv,xls", ","])
def test_an_unknown_format_is_told_before_the_work(predict, tmp_path, form):
    code, said = predict(tmp_path / "o", "--format", form)
    assert code == 2
    assert "csv, parquet" in said
    assert not (tmp_path / "o").exists()


def test_copies_of_jpeg_are_jpeg(crops, predict):
    Image.new("RGB", (48, 48), "red").save(crops / "a.JPG")
    Image.new("RGB", (48, 48), "red").save(crops / "b.jpeg")
    Image.new("RGB", (48, 48), "red").save(crops / "b.jpg")
    assert predict(crops / "out", "--save-image")[0] == 0
    made = sorted((crops / "out" / "pictures").iterdir())
    names = ["0 ÿ.png", "1 ÿ.png", "2 ÿ.png", "a.jpg", "b.jpeg.jpg", "b.jpg.jpg"]
    assert [path.name for path in made] == names
    for path in made:
        with Image.open(path) as copy:
            assert copy.format == ("JPEG" if path.suffix == ".jpg" else "PNG")


def test_copies_are_no_sources_and_namesakes_stay_apart(crops, predict):
    Image.new("RGB", (48, 48), "red").save(crops / "0 ÿ.gif")
    out = crops / "out"
    for _ in range(2):
        assert predict(out, "--save-image")[0] == 0
        assert len(pd.read_csv(out / "faces.csv")) == 4
    made = sorted(path.name for path in (out / "pictures").iterdir())
    assert made == ["0 ÿ.gif.png", "0 ÿ.png.png", "1 ÿ.png", "2 ÿ.png"]
    (out / "pictures/1 ÿ.png").unlink()
    predict(out, "--save-image")
    assert (out / "pictures/1 ÿ.png").is_file()


@pytest.mark.skipif(sys.platform != "linux", reason="names are text on other systems")
def test_a_name_that_is_no_text_is_written_as_escapes(crops, predict, tmp_path):
    os.rename(crops / "0 ÿ.png", os.fsencode(crops) + b"/b\xe4r.png")  # noqa: PTH104
    Path(os.fsdecode(os.fsencode(crops) + b"/\xff.jpg")).write_text("no picture")
    assert predict(tmp_path / "o", "--format", "csv,parquet,jsonl")[0] == 4
    names = pd.read_parquet(tmp_path / "o/faces.parquet")["source"]
    assert str(crops / "b\\udce4r.png") in set(names)
    assert "\\udcff.jpg" in pd.read_csv(tmp_path / "o/sources.csv")["error"].dropna().iloc[0]


def test_what_may_not_be_looked_at_is_named_and_the_rest_is_done(crops, predict, tmp_path):
    for name in ("closed", "locked"):
        (crops / name).mkdir()
        shutil.copy(crops / "1 ÿ.png", crops / name / "a.png")
    (crops / "closed").chmod(0)
    (crops / "locked").chmod(0o400)
    (crops / "0 ÿ.png").chmod(0)
    try:
        with without_privileges():
            code, said = predict(tmp_path / "o", "--save-image")
    finally:
        for path in (crops / "closed", crops / "locked", crops / "0 ÿ.png"):
            path.chmod(0o700)
    assert code == 4
    assert f"Folder {crops / 'closed'} can't be looked into (Permission denied)" in said
    assert f"Picture {crops / 'locked' / 'a.png'} can't be read (Permission denied)" in said
    assert f"Picture {crops / '0 ÿ.png'} can't be read (Permission denied)" in said
    assert "3 of 5 sources can't be read" in said
    told = pd.read_csv(tmp_path / "o/sources.csv")
    assert list(told["kind"]) == ["photo", "photo", "photo", "photo", "folder"]
    assert told["error"].notna().sum() == 3
    # Opened again, it is looked at.
    assert predict(tmp_path / "o")[0] == 0
    assert len(pd.read_csv(tmp_path / "o/faces.csv")) == 5


def test_what_is_passed_over_in_folders_is_said(crops, predict, tmp_path):
    for name in ("a.CR2", "b.cr2", "c.psd", "README", ".hidden.cr2"):
        (crops / name).touch()
    for name in (".trash", "@eaDir", "inside"):
        (crops / name).mkdir()
        shutil.copy(crops / "1 ÿ.png", crops / name / "1.png")
    (crops / "again").symlink_to(crops / "inside")
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(crops / "1 ÿ.png", tmp_path / "elsewhere")
    link = crops / "link"
    link.symlink_to(tmp_path / "elsewhere")
    for _ in range(2):
        code, said = predict(crops)
        passed = "4 files of other kinds were passed over: 2 .cr2, 1 without a suffix, 1 .psd\n"
        assert (code, passed in said) == (4, True)
        assert f"Folder {link} is a link, which isn't followed; name it too." in said
        told = pd.read_csv(crops / "sources.csv")
        assert list(told["kind"]) == ["photo"] * 4 + ["folder"]
    assert len(find_sources([str(crops), str(link)])) == 5
    assert not any(one.problem for one in find_sources([str(crops), str(link)]))


@pytest.mark.skipif(sys.platform != "linux", reason="names are text on other systems")
def test_two_files_of_one_name_are_not_one(crops, predict, tmp_path):
    for name in (b"/a\xff.png", b"/a\\udcff.png"):
        shutil.copy(crops / "1 ÿ.png", os.fsdecode(os.fsencode(crops) + name))
    code, said = predict(tmp_path / "o")
    assert (code, "Two of the files would both be called" in said) == (2, True)
    assert not (tmp_path / "o").exists()


def test_fewer_photos_replace_more_only_if_asked(crops, model, tmp_path, monkeypatch, capsys):
    def run(source: Path, *more: str) -> tuple[int, str]:
        arguments = command(source, model, tmp_path / "o", *more)[3:]
        return hemiface(monkeypatch, *arguments), capsys.readouterr().err

    assert run(crops)[0] == 0
    whole = results(tmp_path / "o")
    journal = (tmp_path / "o/.progress.jsonl").read_bytes()
    code, said = run(crops / "1 ÿ.png", "--flip")
    assert code == 2
    assert "sources.csv holds 3 photos and frames, more than the 1 that would take their" in said
    assert "give --replace" in said
    # Before the work, and before the journal forgets what was done.
    assert results(tmp_path / "o") == whole
    assert (tmp_path / "o/.progress.jsonl").read_bytes() == journal
    assert run(crops / "1 ÿ.png", "--flip", "--replace")[0] == 0
    assert len(pd.read_csv(tmp_path / "o/faces.csv")) == 1
    assert run(crops)[0] == 0
    assert results(tmp_path / "o") == whole


def test_fewer_frames_count_too(tmp_path):
    before = "source,kind,faces,frames,error,note\nfilm.mp4,video,1,9,,\n"
    (tmp_path / "sources.csv").write_text(before)
    film = [Source("film.mp4", "video", Path("film.mp4"), "film.mp4")]
    for most in (None, 9):
        Held.of(tmp_path).require_smaller(film, most, replace=False)
    Held.of(tmp_path).require_smaller(film, 2, replace=True)
    with pytest.raises(UsageError, match="holds 9 photos and frames, more than the 2 that"):
        Held.of(tmp_path).require_smaller(film, 2, replace=False)


def test_what_could_not_be_read_does_not_count(crops, predict, tmp_path):
    (crops / "0 ÿ.png").write_bytes(b"damaged")
    assert predict(tmp_path / "o")[0] == 4
    (crops / "0 ÿ.png").unlink()
    assert predict(tmp_path / "o")[0] == 0


def test_how_long_a_video_is_is_known_when_it_was_watched(
    crops, predict, model, monkeypatch, capsys
):
    pytest.importorskip("av", reason="videos need hemiface[video]")
    out = crops / "o"
    assert predict(out)[0] == 0
    before = results(out)
    line = command(video_of(crops / "film.mp4", 2), model, out)[3:]
    assert hemiface(monkeypatch, *line) == 2
    assert "sources.csv holds 3 photos and frames, more than the 2" in capsys.readouterr().err
    assert results(out) == before
    assert hemiface(monkeypatch, *line, "--replace") == 0


def test_what_a_camera_showed_is_not_given_up_for_what_is_there(
    predict, model, tmp_path, monkeypatch
):
    pytest.importorskip("av", reason="cameras need hemiface[video]")
    assert predict(tmp_path / "o")[0] == 0
    shown = [Frame(np.zeros((48, 48, 3), np.uint8), "", number, number / 10) for number in range(2)]
    monkeypatch.setattr(run_module, "read_frames", lambda _: iter(shown))
    line = command(Path("camera:0"), model, tmp_path / "o")[3:]
    assert hemiface(monkeypatch, *line, "--replace") == 0
    assert pd.read_csv(tmp_path / "o/sources.csv")["frames"].tolist() == [2]


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    pytest.importorskip("av", reason="videos need hemiface[video]")
    return video_of(tmp_path_factory.mktemp("film") / "film.mp4", 700)


class TestKilledVideo:
    """A video goes on after the frames that were looked at."""

    @pytest.fixture
    def looked_at(self, monkeypatch) -> list[int]:
        """The numbers of the frames that are looked at in this process."""
        real, numbers = run_module.Watch.predict_frames, []

        def predict_frames(self, frames):
            numbers.extend(one.number for one in frames)
            return real(self, frames)

        monkeypatch.setattr(run_module.Watch, "predict_frames", predict_frames)
        return numbers

    @pytest.mark.parametrize("more", [(), ("--smooth", "0.3", "--timeline")])
    def test_nothing_is_looked_at_twice(
        self, film, model, tmp_path, monkeypatch, capsys, looked_at, more
    ):
        whole, out = tmp_path / "whole", tmp_path / "out"
        assert hemiface(monkeypatch, *command(film, model, whole, *more)[3:]) == 0
        assert len(looked_at) == 700
        looked_at.clear()
        arguments = command(film, model, out, *more)
        assert stop(arguments, out, 12, signal.SIGKILL)[0] == -signal.SIGKILL
        assert not (out / "faces.csv").exists()
        assert hemiface(monkeypatch, *arguments[3:]) == 0
        assert results(out) == results(whole)
        for made in whole.glob("timelines/*.png"):
            assert (out / "timelines" / made.name).read_bytes() == made.read_bytes()
        assert looked_at == list(range(looked_at[0], 700))
        assert looked_at[0] >= 11 * 16
        assert f"film.mp4 goes on after {looked_at[0]} frames" in capsys.readouterr().err

    @pytest.mark.parametrize(("most", "total"), [(None, 700), (300, 300)])
    def test_progress_is_told_of_all_frames(self, film, model, tmp_path, most, total):
        told, predictor = [], run_module.Predictor(model, no_detect=True)
        options = run_module.RunOptions(most_frames=most)
        with run_module.run(
            find_sources([str(film)]), predictor, tmp_path, options,
            on_progress=lambda *one: told.append(one),
        ):  # fmt: skip
            pass
        expected = [("watching film.mp4", done, total) for done in range(10, total + 1, 10)]
        assert told == expected

    def test_who_is_who_is_not_known_of_what_nobody_asked_for(
        self, film, model, tmp_path, monkeypatch, looked_at
    ):
        out = tmp_path / "out"
        assert stop(command(film, model, out), out, 12, signal.SIGKILL)[0] == -signal.SIGKILL
        assert hemiface(monkeypatch, *command(film, model, out, "--timeline")[3:]) == 0
        assert looked_at == list(range(700))
        assert (out / "timelines/film.mp4.png").is_file()

    def test_one_that_changed_or_is_copied_is_watched_from_its_beginning(
        self, film, model, tmp_path, monkeypatch, looked_at
    ):
        out, own = tmp_path / "out", tmp_path / "film.mp4"
        shutil.copy(film, own)
        assert stop(command(own, model, out), out, 12, signal.SIGKILL)[0] == -signal.SIGKILL
        os.utime(own, (1, 1))
        assert hemiface(monkeypatch, *command(own, model, out)[3:]) == 0
        assert looked_at == list(range(700))
        assert len(pd.read_csv(out / "faces.csv")) == 700
        looked_at.clear()
        arguments = command(film, model, tmp_path / "copied", "--save-image")
        assert stop(arguments, tmp_path / "copied", 12, signal.SIGKILL)[0] == -signal.SIGKILL
        assert hemiface(monkeypatch, *arguments[3:]) == 0
        assert looked_at == list(range(700))
        assert (tmp_path / "copied/pictures/film.mp4").is_file()


class TestCamera:
    """A recording doesn't come again."""

    @pytest.fixture
    def record(self, model, tmp_path, monkeypatch, capsys) -> Callable[..., tuple[int, str]]:
        pytest.importorskip("av", reason="cameras need hemiface[video]")

        def record(
            frames: Iterator[Frame], *more: str, besides: Sequence[str] = ()
        ) -> tuple[int, str]:
            monkeypatch.setattr(run_module, "read_frames", lambda _: frames)
            line = command(Path("camera:0"), model, tmp_path / "o", *more)[3:]
            return hemiface(monkeypatch, *line, *besides), capsys.readouterr().err

        return record

    @staticmethod
    def frames(count: int) -> Iterator[Frame]:
        for number in range(count):
            yield Frame(np.zeros((48, 48, 3), np.uint8), "", number, number / 30)

    def told(self, tmp_path: Path) -> pd.DataFrame:
        return pd.read_csv(tmp_path / "o" / "sources.csv", keep_default_na=False)

    def test_ctrl_c_while_the_network_works_ends_it(self, record, tmp_path, monkeypatch):
        real, seen = run_module.Watch.predict_frames, []

        def predict_frames(self, frames):
            seen.append(len(frames))
            if len(seen) == 2:
                signal.raise_signal(signal.SIGTERM)
            return real(self, frames)

        monkeypatch.setattr(run_module.Watch, "predict_frames", predict_frames)
        code, said = record(self.frames(1000))
        assert (code, "camera:0 was stopped; its tables are being written" in said) == (0, True)
        assert self.told(tmp_path)["frames"].tolist() == [sum(seen)]
        assert sum(seen) < 100
        assert pd.read_csv(tmp_path / "o/faces.csv")["frame"].tolist() == list(range(sum(seen)))

    def test_unplugged_it_keeps_what_it_showed(self, record, tmp_path):
        def unplugged() -> Iterator[Frame]:
            yield from self.frames(20)
            raise DamagedError("Camera 0 stopped after 20 frames (No such device).")

        code, said = record(unplugged())
        assert (code, "Camera 0 stopped after 20 frames" in said) == (4, True)
        assert self.told(tmp_path)["frames"].tolist() == [20]
        assert len(pd.read_csv(tmp_path / "o/faces.csv")) == 20

    def test_unplugged_after_one_that_ended_it_keeps_what_it_showed(self, record, tmp_path):
        def unplugged() -> Iterator[Frame]:
            yield from self.frames(30)
            raise DamagedError("Camera 0 stopped after 30 frames (No such device).")

        assert record(self.frames(20))[0] == 0
        assert record(unplugged(), "--replace")[0] == 4
        assert self.told(tmp_path)["frames"].tolist() == [30]
        assert len(pd.read_csv(tmp_path / "o/faces.csv")) == 30

    @pytest.mark.parametrize("others", [False, True])
    def test_killed_it_keeps_what_it_showed(
        self, record, crops, model, tmp_path, monkeypatch, others
    ):
        besides = [str(crops / "0 ÿ.png")] if others else []
        line = command(Path("camera:0"), model, tmp_path / "o")
        program = (
            "import os, sys\n"
            "import numpy as np\n"
            "from hemiface import cli\n"
            "from hemiface.vision import run\n"
            "from hemiface.vision.seen import Frame\n"
            "def frames(_):\n"
            "    for number in range(40):\n"
            "        yield Frame(np.zeros((48, 48, 3), np.uint8), '', number, number / 30)\n"
            "    os.kill(os.getpid(), 9)\n"
            "run.read_frames = frames\n"
            f"sys.argv = {['hemiface', *line[3:]]!r}\n"
            "cli.main()\n"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
        assert done.returncode == -signal.SIGKILL
        assert not (tmp_path / "o/sources.csv").exists()
        # Other options would leave it behind.
        assert record(self.frames(2), "--frames", "2")[0] == 2
        # It is kept though its camera has gone since, and comes beside others.
        opened = iter([None])

        def require_camera(_: str) -> None:
            if next(opened, _) is not None:
                raise HemifaceError("Camera 0 can't be opened (No such device).")

        if besides:
            monkeypatch.setattr(run_module, "require_camera", require_camera)
        code, said = record(self.frames(2), besides=besides)
        broke_off = "The recording of camera:0 broke off after 32 frames" in said
        assert (code, broke_off) == (4, True)
        assert self.told(tmp_path)["frames"].astype(str)[0] == "32"
        faces = pd.read_csv(tmp_path / "o/faces.csv")
        faces = faces[faces["source"] == "camera:0"]
        assert faces["frame"].tolist() == list(range(32))
        assert record(self.frames(2), "--replace")[0] == 0
        assert self.told(tmp_path)["frames"].astype(str).tolist() == ["2"]

    def test_stopped_while_tables_are_written_it_comes_into_them(
        self, record, tmp_path, monkeypatch
    ):
        with monkeypatch.context() as patch:
            patch.setattr(run_module, "write_tables", lambda *_: signal.raise_signal(2))
            assert record(self.frames(20))[0] == 130
        code, said = record(self.frames(2))
        assert (code, "camera:0 isn't recorded: what it showed to a run" in said) == (0, True)
        assert self.told(tmp_path)["frames"].tolist() == [20]
        assert record(self.frames(2), "--replace")[0] == 0
        assert self.told(tmp_path)["frames"].tolist() == [2]

    def test_begun_photos_do_not_hide_a_recording(self, record, tmp_path):
        assert record(self.frames(2))[0] == 0
        known = {"kind": "photo", "faces": 1, "frames": None, "error": "", "note": ""}
        with Journal(tmp_path / "o", {"other": 1}) as journal:
            for number in range(5):
                journal.end(f"{number}.png", known)
        code, said = record(self.frames(3), "--hide", "lower")
        assert (code, "sources.csv holds 2 photos and frames in whose place" in said) == (2, True)

    def test_one_that_cannot_be_opened_costs_no_other(self, record, tmp_path, monkeypatch):
        opened = []

        def require_camera(source: str) -> None:
            opened.append(source)
            if opened.count("camera:97") == 2:
                raise HemifaceError("Camera 97 can't be opened (No such device).")

        monkeypatch.setattr(run_module, "require_camera", require_camera)
        code, said = record(self.frames(20), besides=["camera:97"])
        assert (code, "Camera 97 can't be opened" in said) == (4, True)
        assert self.told(tmp_path)["frames"].tolist() == [20, 0]
        assert len(pd.read_csv(tmp_path / "o/faces.csv")) == 20

    def test_another_recording_takes_its_place_only_if_asked(self, record, tmp_path):
        assert record(self.frames(20))[0] == 0
        code, said = record(self.frames(30))
        assert (code, "sources.csv holds 20 photos and frames in whose place a" in said) == (
            2,
            True,
        )
        assert self.told(tmp_path)["frames"].tolist() == [20]
        assert record(self.frames(2), "--replace")[0] == 0
        assert self.told(tmp_path)["frames"].tolist() == [2]

    def test_one_that_is_not_there_is_named_before_the_work(
        self, crops, model, tmp_path, capsys, monkeypatch
    ):
        pytest.importorskip("av", reason="cameras need hemiface[video]")
        line = ["predict", crops, "camera:97", *command(crops, model, tmp_path / "o")[5:]]
        assert hemiface(monkeypatch, *line) == 1
        said = capsys.readouterr().err
        assert "Camera 97 can't be opened" in said
        assert "looked at" not in said


def test_files_that_are_not_there_for_a_while_cost_nothing(
    crops, model, tmp_path, monkeypatch, capsys
):
    drive, links, out = tmp_path / "drive", tmp_path / "links", tmp_path / "o"
    shutil.copytree(crops, drive)
    links.mkdir()
    for one in drive.iterdir():
        (links / one.name).symlink_to(one)

    def run(*more: str) -> tuple[int, str]:
        code = hemiface(monkeypatch, *command(links, model, out, *more)[3:])
        return code, capsys.readouterr().err

    assert run("--save-image")[0] == 0
    before, copies = results(out), sorted(out.glob("pictures/*"))
    away = drive.rename(tmp_path / "away")
    for more in ((), ("--save-image",)):
        code, said = run(*more)
        assert (code, "holds 3 photos and frames, more than the 0 that" in said) == (2, True)
        assert f"{links / '1 ÿ.png'} doesn't exist" in said
    assert (results(out), sorted(out.glob("pictures/*"))) == (before, copies)
    away.rename(drive)
    code, said = run("--save-image")
    assert (code, "3 of 3 sources were looked at before" in said) == (0, True)
    drive.rename(away)
    assert run("--replace")[0] == 4
    assert not list(out.glob("pictures/*"))


class TestOtherOptions:
    """What was begun with other options is kept until a run is through."""

    @pytest.fixture
    def stopped(self, predict, monkeypatch) -> Callable[..., None]:
        """Stop a run by Ctrl-C when it looks at its second photo."""
        real = run_module.Predictor.read

        def read(self, path):
            if Path(path).name.startswith("1"):
                raise KeyboardInterrupt
            return real(self, path)

        def stopped(out: Path, *more: str) -> None:
            with monkeypatch.context() as patch:
                patch.setattr(run_module.Predictor, "read", read)
                assert predict(out, *more)[0] == 130

        return stopped

    def test_a_mistake_costs_nothing_that_was_done(self, predict, stopped, tmp_path):
        out = tmp_path / "o"
        assert predict(out, "--save-image")[0] == 0
        stopped(out, "--flip")
        assert "1 of 3 sources were looked at before" in predict(out, "--flip", "--json")[1]
        stopped(out)
        assert "3 of 3 sources were looked at before" in predict(out, "--flip")[1]

    def test_nor_is_a_copy(self, crops, predict, stopped, model, tmp_path, monkeypatch):
        out = tmp_path / "o"
        assert predict(out, "--save-image")[0] == 0
        copies = {one.name: one.read_bytes() for one in (out / "pictures").iterdir()}
        stopped(out, "--flip")
        assert {one.name: one.read_bytes() for one in (out / "pictures").iterdir()} == copies
        if find_spec("av") is not None:
            # How long a film is is known when it was watched.
            film = command(video_of(crops / "film.mp4", 2), model, out, "--flip")[3:]
            assert hemiface(monkeypatch, *film) == 2
            assert {one.name: one.read_bytes() for one in (out / "pictures").iterdir()} == copies
            (crops / "film.mp4").unlink()
        assert "3 of 3 sources" in predict(out, "--save-image")[1]
        assert {one.name: one.read_bytes() for one in (out / "pictures").iterdir()} == copies
        assert predict(out, "--flip")[0] == 0
        assert not (out / "pictures").exists()

    def test_photos_that_were_renamed_count_once(self, crops, predict, tmp_path):
        assert predict(tmp_path / "o")[0] == 0
        for one in sorted(crops.iterdir()):
            one.rename(one.with_name(f"new {one.name}"))
        assert predict(tmp_path / "o")[0] == 0
        assert predict(tmp_path / "o", "--flip")[0] == 0

    def test_what_was_begun_beside_tables_is_not_given_up_for_few(
        self, crops, stopped, model, tmp_path, monkeypatch, capsys
    ):
        def few(*more: str) -> int:
            line = command(crops / "2 ÿ.png", model, tmp_path / "o", *more)[3:]
            return hemiface(monkeypatch, *line)

        assert few() == 0
        shutil.copy(crops / "0 ÿ.png", crops / "00.png")
        stopped(tmp_path / "o")
        assert few("--flip") == 2
        assert "holds 2 photos and frames, more than the 1" in capsys.readouterr().err
        assert few() == 0
        assert few("--flip") == 0

    def test_files_that_are_alike_but_for_their_folder_count_each(self, crops, tmp_path):
        noted = []
        for number in range(3):
            (crops / str(number)).mkdir()
            shutil.copy2(crops / "0 ÿ.png", crops / str(number) / "neutral.png")
            known = {"fingerprint": [1, 2], "error": ""}
            noted.append((str(crops / str(number) / "neutral.png"), known))
        assert Held.of(tmp_path, noted).total == 3
        gone = [(str(crops / "gone" / "neutral.png"), {"fingerprint": [1, 2], "error": ""})]
        assert Held.of(tmp_path, noted + gone).total == 3
        shutil.rmtree(crops)
        assert Held.of(tmp_path, noted + gone).total == 4

    def test_a_folder_that_is_spelt_otherwise_counts_once(self, stopped, tmp_path):
        stopped(tmp_path / "o", "--flip")
        noted = list(Journal.of_before(tmp_path / "o"))
        spelt = [
            (f"{Path(name).parent}/../{Path(name).parent.name}/{Path(name).name}", known)
            for name, known in noted
        ]
        assert Held.of(tmp_path / "o", noted + spelt).total == len(noted)

    def test_nor_are_many_given_up_for_few(
        self, crops, stopped, model, tmp_path, monkeypatch, capsys
    ):
        shutil.copy(crops / "0 ÿ.png", crops / "00.png")
        stopped(tmp_path / "o")
        few = command(crops / "2 ÿ.png", model, tmp_path / "o", "--flip")[3:]
        assert hemiface(monkeypatch, *few) == 2
        said = capsys.readouterr().err
        assert f"{tmp_path / 'o'} holds 2 photos and frames, more than the 1 that" in said
        assert hemiface(monkeypatch, *few, "--replace") == 0

    def test_nor_is_a_timeline_nor_by_one_that_is_refused(
        self, crops, predict, tmp_path, monkeypatch
    ):
        pytest.importorskip("av", reason="videos need hemiface[video]")
        out = tmp_path / "o"
        for name in ("a.mp4", "b.mp4"):
            video_of(crops / name, 3)
        assert predict(out, "--save-image", "--timeline")[0] == 0

        def made() -> dict[Path, int]:
            return {one: one.stat().st_mtime_ns for one in (*out.glob("pictures/*"),
                                                            *out.glob("timelines/*"))}  # fmt: skip

        before = made()
        assert len(before) == 9
        real = run_module.Watch.predict_frames

        def predict_frames(self, frames):
            if frames and frames[0].source.endswith("b.mp4"):
                raise KeyboardInterrupt
            return real(self, frames)

        with monkeypatch.context() as patch:
            patch.setattr(run_module.Watch, "predict_frames", predict_frames)
            assert predict(out, "--flip")[0] == 130
        assert made() == before
        # Nothing of it belies what these settings made.
        code, said = predict(out, "--save-image")
        assert (code, "5 of 5 sources were looked at before" in said) == (0, True)
        assert predict(out)[0] == 0
        assert made() == before
        for photo in crops.glob("*.png"):
            photo.write_bytes(b"damaged")
        for more in ((), ("--save-image", "--blur")):
            assert predict(out, "--flip", *more)[0] == 2
            kept = {one: when for one, when in made().items() if one.suffix != ".mp4"}
            assert kept.items() <= before.items()
            assert len(kept) == 7
        assert predict(out, "--flip", "--replace")[0] == 4
        assert not made()

    def test_a_film_that_changed_has_no_timeline_of_before_after_a_stop(
        self, crops, predict, tmp_path, monkeypatch
    ):
        pytest.importorskip("av", reason="videos need hemiface[video]")
        out = tmp_path / "o"
        for name in ("a.mp4", "b.mp4"):
            video_of(crops / name, 3)
        assert predict(out, "--timeline")[0] == 0
        video_of(crops / "a.mp4", 9)
        (crops / "new.png").write_bytes((crops / "0 ÿ.png").read_bytes())
        real = run_module.write_tables
        with monkeypatch.context() as patch:
            patch.setattr(run_module, "write_tables", lambda *_: signal.raise_signal(2))
            assert predict(out)[0] == 130
        assert run_module.write_tables is real
        drawn = {one.name for one in (out / "timelines").iterdir()}
        assert "b.mp4.svg" in drawn
        assert predict(out)[0] == 0
        assert {one.name for one in (out / "timelines").iterdir()} == {"b.mp4.svg", "b.mp4.png"}

    def test_no_bare_copy_of_them_outlives_a_blurred_run(self, crops, predict, stopped, tmp_path):
        out = tmp_path / "o"
        assert predict(out, "--save-image", "--blur")[0] == 0
        shutil.copy(crops / "0 ÿ.png", crops / "00.png")
        stopped(out, "--save-image")
        # A thread may have been ahead.
        assert {one.name for one in (out / "pictures").iterdir()} >= {"0 ÿ.png", "00.png"}
        (crops / "00.png").unlink()
        bare = (out / "pictures" / "0 ÿ.png").read_bytes()
        assert predict(out, "--save-image", "--blur")[0] == 0
        assert {one.name for one in (out / "pictures").iterdir()} == {
            "0 ÿ.png", "1 ÿ.png", "2 ÿ.png",
        }  # fmt: skip
        assert (out / "pictures" / "0 ÿ.png").read_bytes() != bare


@pytest.mark.skipif(sys.platform != "linux", reason="names are shorter on other systems")
def test_names_as_long_and_as_odd_as_names_may_be_cost_nothing(crops, predict, tmp_path):
    names = [b"n" * 250 + b".gif", b"n" * 250 + b".png", "é".encode() * 125 + b".png",
             b"a\rb,\"c\nd.png", b"\x1b[31m.png", b"\xff.png", b"=1+1.png", b"$_$.png"]  # fmt: skip
    for place, name in enumerate(names):
        picture = Image.new("RGB", (48, 48), (place, 0, 0))
        picture.save(crops / "new.gif" if name.endswith(b"gif") else crops / "new.png")
        made = crops / "new.gif" if name.endswith(b"gif") else crops / "new.png"
        made.rename(os.fsdecode(os.fsencode(crops) + b"/" + name))
    code, said = predict(tmp_path / "o", "--save-image", "--format", "csv,parquet,jsonl")
    assert (code, "\x1b" in said) == (0, False)
    assert len(list((tmp_path / "o/pictures").iterdir())) == 3 + len(names)
    table = pd.read_parquet(tmp_path / "o/faces.parquet")
    assert len(set(table["source"])) == 3 + len(names)
    cells = pd.read_csv(tmp_path / "o/faces.csv", keep_default_na=False, dtype=str)
    assert cells["source"].tolist() == table["source"].tolist()
    with (tmp_path / "o/faces.csv").open(encoding="utf-8", newline="") as file:
        assert [row["source"] for row in csv.DictReader(file)] == table["source"].tolist()


def test_without_pyav_photos_are_looked_at_and_videos_named(crops, predict, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    (crops / "film.mp4").write_bytes(b"x")
    code, said = predict(tmp_path / "o")
    assert code == 4
    assert "film.mp4 needs PyAV to be watched; pip install 'hemiface[video]'" in said
    assert len(pd.read_csv(tmp_path / "o/faces.csv")) == 3
    for photo in crops.glob("*.png"):
        photo.unlink()
    code, said = predict(tmp_path / "p")
    assert (code, "pip install 'hemiface[video]'" in said) == (1, True)


def test_a_damaged_video_keeps_what_came_before_the_damage(
    predict, crops, model, tmp_path, monkeypatch, capsys
):
    av = pytest.importorskip("av", reason="videos need hemiface[video]")
    with av.open(str(crops / "film.mkv"), "w") as film:
        stream = film.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 48
        for face in phantom.render(np.arange(40) % 7, seed=0):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(face, format="gray8")))
        film.mux(stream.encode())
    cut_off(crops / "film.mkv", 0.5)
    code, said = predict(tmp_path / "o", "--save-image")
    assert code == 4
    assert "film.mkv" in said
    assert not list((tmp_path / "o").rglob("*.partial*"))
    assert hemiface(monkeypatch, *command(crops / "film.mkv", model, tmp_path / "p")[3:]) == 4
    frames = len(pd.read_csv(tmp_path / "p/faces.csv"))
    assert 0 < frames < 40
    assert f"\n{frames} faces in 1 source\n" in capsys.readouterr().out


def in_terminal(arguments: list[str], out: Path) -> str:
    """Run with standard error on a terminal and standard output in a file; return the former."""
    ours, theirs = pty.openpty()
    with out.open("wb") as file:
        run = subprocess.Popen(arguments, stdin=theirs, stdout=file, stderr=theirs)
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 65536):
            said += part
    except OSError:
        # Linux says "input/output error" when nobody has the other end any more.
        pass
    os.close(ours)
    assert run.wait(timeout=60) == 0
    return said.decode()


def test_json_goes_into_the_file_though_a_terminal_shows_progress(crops, model, tmp_path):
    arguments = [*command(crops, model, tmp_path / "o"), "--json"]
    said = in_terminal(arguments, tmp_path / "o.json")
    assert "looking at" in said
    assert "schema" not in said
    assert len(json.loads((tmp_path / "o.json").read_text())["faces"]) == 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_full_standard_output_is_one_sentence(crops, model):
    arguments = [sys.executable, "-m", "hemiface", "predict", str(crops / "1 ÿ.png"),
                 "--no-detect", "--model", str(model)]  # fmt: skip
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(arguments, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert b"Standard output can't be written (No space left on device)" in done.stderr
    assert b"Traceback" not in done.stderr
    done = subprocess.run([*arguments, "--json"], capture_output=True, env=environment, check=False)
    (face,) = json.loads(done.stdout)["faces"]
    assert face["source"].endswith("1 ÿ.png")


def test_of_large_frames_fewer_are_held_at_once(monkeypatch):
    """Frames of 12 bytes where 24 fit: memory does not grow with the size of the frames."""
    monkeypatch.setattr(run_module, "_BYTES_AT_ONCE", 24)
    stream = iter([Frame(np.zeros((2, 2, 3), np.uint8), number=number) for number in range(5)])
    numbers, ended = [], False
    while not ended:
        part, error, ended = run_module.some_frames(stream, "video")
        numbers.append([one.number for one in part])
        assert error == ""
    assert numbers == [[0, 1], [2, 3], [4]]


class TestCopiesTakeNobodysPlace:
    """A folder called pictures may be the user's own."""

    def test_what_no_run_wrote_stays(self, crops, predict, tmp_path):
        (tmp_path / "pictures").mkdir()
        photo = shutil.copy(crops / "0 ÿ.png", tmp_path / "pictures" / "mine.png")
        before = photo.read_bytes()
        code, said = predict(tmp_path, "--save-image")
        assert code == 2
        assert "has files that no run is known to have written" in said
        assert photo.read_bytes() == before
        assert not (tmp_path / "faces.csv").exists()

    def test_nor_does_a_source_become_its_own_copy(self, model, crops, monkeypatch, capsys):
        (crops / "pictures").mkdir()
        for photo in crops.glob("*.png"):
            photo.rename(crops / "pictures" / photo.name)
        photo = crops / "pictures" / "0 ÿ.png"
        before = photo.read_bytes()
        named = command(photo, model, crops, "--save-image")[3:]
        assert hemiface(monkeypatch, *named) == 2
        assert "what is made would take its place" in capsys.readouterr().err
        assert photo.read_bytes() == before

    @pytest.mark.parametrize("below", [".", "pictures"])
    def test_they_are_looked_at_where_no_run_wrote_them(
        self, crops, model, monkeypatch, capsys, below
    ):
        (crops / "pictures").mkdir()
        shutil.copy(crops / "0 ÿ.png", crops / "pictures" / "b.png")
        assert hemiface(monkeypatch, *command(crops / below, model, crops)[3:]) == 0
        seen = {Path(one).name for one in pd.read_csv(crops / "faces.csv")["source"]}
        assert "b.png" in seen
        assert len(seen) == (4 if below == "." else 1)
        assert capsys.readouterr().err.count("hemiface:") == 0

    def test_copies_named_on_purpose_are_told_to_be_copies(
        self, crops, predict, model, monkeypatch, capsys
    ):
        out = crops / "out"
        assert predict(out, "--save-image")[0] == 0
        assert hemiface(monkeypatch, *command(out / "pictures", model, out)[3:]) == 2
        said = "holds only annotated copies of an earlier run, or its timelines"
        assert said in capsys.readouterr().err

    def test_nor_are_they_photos_for_other_runs(self, crops, predict):
        assert predict(crops / "r1", "--save-image")[0] == 0
        code, said = predict(crops / "r2", "--save-image")
        assert (code, f"made are passed over: {crops / 'r1' / 'pictures'}" in said) == (0, True)
        assert len(pd.read_csv(crops / "r2" / "faces.csv")) == 3
        # What is read and written here needs no word.
        (crops / "r1" / ".copies").unlink()
        shutil.rmtree(crops / "r1" / "pictures")
        assert "passed over" not in predict(crops / "r2", "--save-image")[1]

    def test_a_run_of_before_they_were_marked_goes_on(self, crops, predict, tmp_path):
        out = tmp_path / "o"
        assert predict(out, "--save-image")[0] == 0
        (out / ".copies").unlink()
        made = {one: one.stat().st_mtime_ns for one in (out / "pictures").iterdir()}
        code, said = predict(out, "--save-image")
        assert (code, "3 of 3 sources were looked at before" in said) == (0, True)
        assert made == {one: one.stat().st_mtime_ns for one in (out / "pictures").iterdir()}
        assert (out / ".copies").is_file()
        assert len(list(crops.iterdir())) == 3

    def test_of_copies_from_before_they_were_marked_and_noted_the_user_decides(
        self, crops, predict, tmp_path
    ):
        """Under other settings nobody knows who wrote what lies there."""
        out = tmp_path / "o"
        assert predict(out, "--save-image")[0] == 0
        (out / ".copies").unlink()
        journal = out / ".progress.jsonl"
        journal.write_text(journal.read_text().replace('"copy"', '"other"'))
        (crops / "0 ÿ.png").unlink()
        code, said = predict(out, "--save-image", "--blur", "--replace")
        assert (code, "make a file .copies beside the folder" in " ".join(said.split())) == (
            2,
            True,
        )
        assert len(list((out / "pictures").iterdir())) == 3
        (out / ".copies").touch()
        assert predict(out, "--save-image", "--blur", "--replace")[0] == 0
        assert {one.name for one in (out / "pictures").iterdir()} == {"1 ÿ.png", "2 ÿ.png"}

    def test_what_the_journal_noted_is_a_copy_without_a_mark_too(self, predict, tmp_path):
        out = tmp_path / "o"
        assert predict(out, "--save-image")[0] == 0
        (out / ".copies").unlink()
        (out / "pictures" / "mine.png").write_bytes(b"mine")
        assert predict(out, "--hide", "lower")[0] == 0
        assert [one.name for one in (out / "pictures").iterdir()] == ["mine.png"]

    def test_results_that_were_copied_elsewhere_go_on(self, predict, tmp_path):
        assert predict(tmp_path / "o", "--save-image")[0] == 0
        shutil.copytree(tmp_path / "o", tmp_path / "moved", copy_function=shutil.copyfile)
        assert "3 of 3 sources" in predict(tmp_path / "moved", "--save-image")[1]

    def test_anothers_copy_of_the_same_name_is_made_again(
        self, crops, model, tmp_path, monkeypatch
    ):
        other, out = tmp_path / "other", tmp_path / "out"
        other.mkdir()
        Image.new("RGB", (96, 96), "red").save(other / "0 ÿ.png")
        for folder, side_px in ((crops, 48), (other, 96), (crops, 48)):
            line = command(folder / "0 ÿ.png", model, out, "--save-image", "--replace")
            assert hemiface(monkeypatch, *line[3:]) == 0
            with Image.open(out / "pictures" / "0 ÿ.png") as copy:
                width = copy.width
            with Image.open(folder / "0 ÿ.png") as photo:
                assert photo.width == side_px
            assert (width > 90) == (folder == other)


class TestWhatEarlierRunsMade:
    """A copy or timeline is one of the tables beside it, and shows no face that is blurred now."""

    def test_blurred_runs_leave_no_bare_copy(self, crops, predict, tmp_path):
        out = tmp_path / "o"
        Image.new("RGB", (48, 48), "red").save(crops / "b.jpg", quality=95)
        assert predict(out, "--save-image")[0] == 0
        bare = {one.name: one.read_bytes() for one in (out / "pictures").iterdir()}
        assert "b.jpg" in bare
        # One that can't be read any more, and one that has gone.
        cut_off(crops / "b.jpg", 0.5)
        (crops / "0 ÿ.png").unlink()
        code, said = predict(out, "--save-image", "--blur", "--replace")
        assert (code, "2 copies and timelines of earlier runs are removed" in said) == (4, True)
        left = {one.name: one.read_bytes() for one in (out / "pictures").iterdir()}
        assert left.keys() == {"1 ÿ.png", "2 ÿ.png"}
        assert not set(left.values()) & set(bare.values())

    def test_nor_does_a_killed_one(self, crops, predict, tmp_path):
        """What no line of the journal tells of any more is known by its name."""
        out = tmp_path / "o"
        assert predict(out, "--save-image")[0] == 0
        (out / ".progress.jsonl").unlink()
        (out / "pictures" / "mine.png").write_bytes(b"mine")
        (crops / "1 ÿ.png").write_bytes(b"damaged")
        assert predict(out, "--save-image", "--blur", "--replace")[0] == 4
        left = {one.name for one in (out / "pictures").iterdir()}
        assert left == {"0 ÿ.png", "2 ÿ.png", "mine.png"}

    def test_other_settings_leave_no_copies_of_earlier_ones(self, crops, predict, tmp_path):
        out = tmp_path / "o"
        (crops / "0 ÿ.png").rename(crops / "a.png")
        assert predict(out, "--save-image")[0] == 0
        # Its copy has another name in company.
        Image.new("RGB", (48, 48), "red").save(crops / "a.gif")
        (out / "pictures" / "mine.png").write_bytes(b"mine")
        assert predict(out, "--hide", "lower")[0] == 0
        assert [one.name for one in (out / "pictures").iterdir()] == ["mine.png"]
        assert len(list(crops.iterdir())) == 4

    def test_copies_that_are_not_asked_for_again_stay(self, predict, tmp_path):
        out = tmp_path / "o"
        assert predict(out, "--save-image")[0] == 0
        assert predict(out)[0] == 0
        assert {one.name for one in (out / "pictures").iterdir()} == {
            "0 ÿ.png", "1 ÿ.png", "2 ÿ.png",
        }  # fmt: skip

    def test_they_go_with_a_blurred_run_after_that(self, crops, predict, tmp_path):
        out = tmp_path / "o"
        assert predict(out, "--save-image")[0] == 0
        assert predict(out)[0] == 0
        (crops / "0 ÿ.png").unlink()
        for _ in range(2):
            assert predict(out, "--replace")[0] == 0
        assert predict(out, "--save-image", "--blur", "--replace")[0] == 0
        assert {one.name for one in (out / "pictures").iterdir()} == {"1 ÿ.png", "2 ÿ.png"}

    def test_nor_do_those_of_changed_photos_stay(self, crops, predict, tmp_path):
        out = tmp_path / "o"
        Image.new("RGB", (48, 48), "red").save(crops / "a.png")
        assert predict(out, "--save-image")[0] == 0
        (out / "pictures" / "mine.png").write_bytes(b"mine")
        # Another source that its copy could be of.
        Image.new("RGB", (48, 48), "red").save(crops / "a.gif")
        shutil.copy(crops / "0 ÿ.png", crops / "1 ÿ.png")
        (crops / "2 ÿ.png").write_bytes(b"damaged")
        for _ in range(2):
            assert predict(out)[0] == 4
            assert {one.name for one in (out / "pictures").iterdir()} == {
                "0 ÿ.png", "a.png", "mine.png",
            }  # fmt: skip

    @pytest.mark.parametrize("more", [(), ("--save-image",)])
    def test_nor_do_those_of_files_that_are_not_looked_at_any_more(
        self, crops, predict, tmp_path, more
    ):
        out = tmp_path / "o"
        assert predict(out, "--save-image")[0] == 0
        (out / "pictures" / "mine.png").write_bytes(b"mine")
        photo = (crops / "0 ÿ.png").rename(tmp_path / "0.png")
        assert predict(out, *more)[0] == 2
        assert len(list((out / "pictures").iterdir())) == 4
        assert predict(out, "--replace", *more)[0] == 0
        assert {one.name for one in (out / "pictures").iterdir()} == {
            "1 ÿ.png", "2 ÿ.png", "mine.png",
        }  # fmt: skip
        photo.rename(crops / "0 ÿ.png")
        assert predict(out, "--save-image")[0] == 0
        assert len(list((out / "pictures").iterdir())) == 4

    def test_nor_do_timelines_of_gone_videos(self, crops, predict, tmp_path):
        pytest.importorskip("av", reason="videos need hemiface[video]")
        for name in ("a.mp4", "b.mp4"):
            video_of(crops / name, 6)
        assert predict(tmp_path / "o", "--timeline")[0] == 0
        (crops / "a.mp4").unlink()
        assert predict(tmp_path / "o", "--timeline", "--replace")[0] == 0
        left = {one.name for one in (tmp_path / "o" / "timelines").iterdir()}
        assert left == {"b.mp4.svg", "b.mp4.png"}

    def test_a_blurred_run_names_bare_copies_of_shards(self, predict, tmp_path):
        assert predict(tmp_path, "--save-image", "--shard", "1/1")[0] == 0
        bare = tmp_path / "shard-1-of-1" / "pictures"
        assert f"{bare} may show faces" in predict(tmp_path, "--save-image", "--blur")[1]
        assert predict(tmp_path, "--save-image", "--blur", "--shard", "1/1")[0] == 0
        assert "may show faces" not in predict(tmp_path, "--save-image", "--blur")[1]

    def test_a_file_that_cannot_be_read_any_more_has_no_copy(self, crops, predict, tmp_path):
        out = tmp_path / "o"
        assert predict(out, "--save-image")[0] == 0
        (crops / "1 ÿ.png").write_bytes(b"damaged")
        assert predict(out, "--save-image", "--replace")[0] == 4
        assert {one.name for one in (out / "pictures").iterdir()} == {"0 ÿ.png", "2 ÿ.png"}

    def test_a_copy_that_is_looked_at_stays(self, crops, predict, model, monkeypatch):
        out = crops / "out"
        assert predict(out, "--save-image")[0] == 0
        copy = out / "pictures" / "1 ÿ.png"
        again = command(copy, model, out, "--replace", "--hide", "lower")
        assert hemiface(monkeypatch, *again[3:]) == 0
        assert [one.name for one in (out / "pictures").iterdir()] == [copy.name]
        assert len(pd.read_csv(out / "faces.csv")) == 1

    def test_a_film_that_is_looked_at_stays_too(self, crops, model, monkeypatch):
        pytest.importorskip("av", reason="videos need hemiface[video]")
        film, out = video_of(crops / "film.mp4", 3), crops / "out"
        copy = out / "pictures" / "film.mp4"
        for one, more in ((film, "--save-image"), (copy, "--no-estimate"), (copy, "--timeline")):
            line = command(one, model, out, "--replace", more)
            assert hemiface(monkeypatch, *line[3:]) == 0
        assert copy.is_file()

    def test_timelines_go_where_there_are_none_now(self, crops, model, monkeypatch, capsys):
        pytest.importorskip("av", reason="videos need hemiface[video]")
        out = crops / "out"
        film = video_of(crops / "film.mp4", 6)

        def run(*more: str) -> set[str]:
            code = hemiface(monkeypatch, *command(film, model, out, "--replace", *more)[3:])
            assert (code, capsys.readouterr().err) is not None
            assert code in (0, 4)
            return {one.name for one in out.glob("timelines/*")}

        drawn = {"film.mp4.svg", "film.mp4.png"}
        assert run("--timeline") == drawn
        (out / "timelines" / "mine.png").write_bytes(b"mine")
        # The same settings, and nothing changed.
        assert run() == {*drawn, "mine.png"}
        # Before they were marked they bore the same title.
        (out / ".timelines").unlink()
        assert run("--hide", "lower") == {"mine.png"}
        (out / "timelines" / "mine.png").unlink()
        assert run("--timeline") == drawn
        # Another film, in which no face is found: it has no frames.
        content = film.read_bytes()
        film.write_bytes(content[:300])
        assert run("--timeline") == set()
        film.write_bytes(content)
        assert run("--timeline") == drawn
        film.write_bytes(content[:300])
        assert run() == set()

    def test_timelines_are_no_photos(self, crops, model, monkeypatch):
        pytest.importorskip("av", reason="videos need hemiface[video]")
        video_of(crops / "film.mp4", 3)
        for _ in range(2):
            for more in ((), ("--shard", "1/1")):
                line = command(crops, model, crops / "out", "--timeline", *more)
                assert hemiface(monkeypatch, *line[3:]) == 0
        seen = {Path(one).name for one in pd.read_csv(crops / "out" / "sources.csv")["source"]}
        assert seen == {"0 ÿ.png", "1 ÿ.png", "2 ÿ.png", "film.mp4"}

    def test_timelines_take_nobodys_place(self, crops, model, monkeypatch, capsys, tmp_path):
        pytest.importorskip("av", reason="videos need hemiface[video]")
        film = video_of(tmp_path / "film.mp4", 3)
        mine = crops / "timelines" / "film.mp4.png"
        mine.parent.mkdir()
        mine.write_bytes(b"mine")
        assert hemiface(monkeypatch, *command(film, model, crops, "--timeline")[3:]) == 2
        assert "timelines could take their places" in capsys.readouterr().err
        assert hemiface(monkeypatch, *command(film, model, crops)[3:]) == 0
        assert mine.read_bytes() == b"mine"


def test_a_photo_that_changes_while_it_is_looked_at_is_looked_at_again(
    predict, tmp_path, monkeypatch
):
    real = run_module.Predictor.read

    def slow(self, path):
        photo = real(self, path)
        if Path(path).name.startswith("1"):
            Image.new("RGB", (48, 48), "red").save(path)
        return photo

    with monkeypatch.context() as patch:
        patch.setattr(run_module.Predictor, "read", slow)
        assert predict(tmp_path / "o")[0] == 0
    assert "2 of 3 sources were looked at before" in predict(tmp_path / "o")[1]


def test_a_table_of_before_in_another_format_tells_of_the_same_sources(crops, predict, tmp_path):
    predict(tmp_path, "--format", "csv,parquet")
    Image.new("RGB", (48, 48), "red").save(crops / "new.png")
    predict(tmp_path)
    for table in (pd.read_csv(tmp_path / "faces.csv"), pd.read_parquet(tmp_path / "faces.parquet")):
        assert len(table) == 4


def test_nobodys_own_table_is_written_again(predict, tmp_path):
    (tmp_path / "faces.jsonl").write_text("mine")
    for _ in range(2):
        assert predict(tmp_path)[0] == 0
    assert (tmp_path / "faces.jsonl").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "content"),
    [("faces.csv", "file,label\na.jpg,happy\n"), ("sources.csv", "url,licence\nx,CC0\n"),
     ("faces.jsonl", '{"file": "a.jpg"}\n'), ("faces.parquet", "PAR1"), ("faces.jsonl", "1\n")],
)  # fmt: skip
@pytest.mark.parametrize("how", [(), ("--shard", "1/1")])
def test_nor_is_it_replaced(predict, tmp_path, name, content, how):
    out = tmp_path / "o"
    own = out.joinpath(*("shard-1-of-1",) * bool(how)) / name
    own.parent.mkdir(parents=True)
    own.write_text(content)
    code, said = predict(out, "--format", "csv,jsonl,parquet", *how)
    assert (code, f"{own} is no table" in said) == (2, True)
    assert own.read_text() == content
    assert [one.name for one in own.parent.iterdir()] == [name]


def test_json_of_a_shard_is_json(crops, model, tmp_path, monkeypatch, capsys):
    line = command(crops, model, tmp_path, "--shard", "1/1", "--json")
    assert hemiface(monkeypatch, *line[3:]) == 0
    said = capsys.readouterr()
    assert len(json.loads(said.out)["sources"]) == 3
    assert "puts all of them together" in said.err
