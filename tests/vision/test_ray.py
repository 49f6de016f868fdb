"""Predictions on a Ray cluster: as one process makes them, whatever was lost on the way."""

import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from builders import hemiface
from hemiface.data.phantom import make as phantom
from hemiface.errors import DamagedError, HemifaceError, UsageError
from hemiface.locks import locked
from hemiface.ray_cluster import address_of, connected
from hemiface.vision import remote
from hemiface.vision.on_ray import RayOptions, _wait_for, run_on_ray
from hemiface.vision.pieces import PIECES, Piece, Pieces, cut, write_piece
from hemiface.vision.piecework import MOST_LOST, Job, Looker, plain
from hemiface.vision.predictor import Predictor, PredictorOptions
from hemiface.vision.results import Held
from hemiface.vision.run import RunOptions, run, settings_of
from hemiface.vision.sources import Source, find_sources, listed
from hemiface.vision.stretches import plan
from hemiface.vision.video.frames import open_writer

pytest.importorskip("ray", reason="needs Ray Data: pip install 'hemiface[ray]'")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]

LOOKING = PredictorOptions(no_detect=True)
OPTIONS = RunOptions(formats=("csv", "jsonl", "parquet"), smooth_s=0.5)
TABLES = ("faces.csv", "faces.jsonl", "faces.parquet", "sources.csv")


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.of(LOOKING)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Pictures in two folders, one of them broken, and a video among them."""
    folder = tmp_path_factory.mktemp("sources")
    (folder / "b").mkdir()
    for number, face in enumerate(phantom.render(np.arange(9) % 7, seed=0)):
        Image.fromarray(face).save(folder / ("b", "")[number % 2] / f"{number}.png")
    (folder / "3.png").write_bytes(b"nothing")
    with open_writer(folder / "b" / "5.mp4") as writer:
        for face in phantom.render(np.arange(4), seed=1):
            writer.add(np.repeat(face[..., None], 3, axis=2), None)
    return folder


@pytest.fixture(scope="module")
def alone(folder, predictor, tmp_path_factory) -> Path:
    """What one process writes."""
    out = tmp_path_factory.mktemp("alone")
    with run(find_sources([str(folder)]), predictor, out, OPTIONS):
        pass
    return out


@pytest.fixture(scope="module")
def processors():
    with connected("") as processors:
        yield processors


def together(names, predictor, out, options=OPTIONS, beyond=None, workers=1):
    """Look on the cluster; a worker takes seconds to start."""
    sources = find_sources([str(one) for one in names], out, beyond)
    where = RayOptions(photos=2, workers=workers)
    with run_on_ray(sources, predictor, LOOKING, out, options, where) as outcome:
        return outcome.sources, list(outcome.rows())


def same(out: Path, other: Path) -> bool:
    return all((out / name).read_bytes() == (other / name).read_bytes() for name in TABLES)


@pytest.mark.usefixtures("processors")
class TestOnACluster:
    """The files are those of one process, also after what was done was lost in part."""

    def test_the_tables_are_those_of_one_process(self, folder, alone, predictor, tmp_path):
        told, rows = together([folder], predictor, tmp_path, workers=2)
        assert same(tmp_path, alone)
        assert [one["source"] for one in told if one["error"]] == [str(folder / "3.png")]
        assert len(rows) == 8 + 4
        others = [one.name for one in (tmp_path / PIECES).iterdir() if one.suffix != ".parquet"]
        assert others == ["told.json"]

    def test_photos_that_were_renamed_count_once(self, folder, predictor, tmp_path):
        photos = tmp_path / "photos"
        photos.mkdir()
        shutil.copy(folder / "1.png", photos / "1.png")
        together([photos], predictor, tmp_path / "o")
        (photos / "1.png").rename(photos / "2.png")
        together([photos], predictor, tmp_path / "o")
        (told,), _ = together([photos], predictor, tmp_path / "o", replace(OPTIONS, smooth_s=None))
        assert told["source"] == str(photos / "2.png")

    def test_what_is_done_stays_and_what_is_lost_or_damaged_is_done_again(
        self, folder, alone, predictor, tmp_path
    ):
        readable = [folder / "b", *sorted(folder.glob("[!3].png"))]
        together(readable, predictor, tmp_path)
        files = sorted((tmp_path / PIECES).glob("*.parquet"))
        before = {one: one.stat().st_mtime_ns for one in files}
        draw = random.Random(0)
        lost, damaged = draw.sample(files, 2)
        lost.unlink()
        content = bytearray(damaged.read_bytes())
        content[draw.randrange(len(content))] ^= 1
        damaged.write_bytes(content)
        # Another one joins, of which nothing was known.
        together([folder], predictor, tmp_path)
        assert same(tmp_path, alone)
        kept = set(files) - {lost, damaged}
        assert {one for one in kept if one.stat().st_mtime_ns == before[one]} == kept

    def test_what_changed_is_looked_at_again(self, folder, predictor, tmp_path):
        photos = tmp_path / "photos"
        shutil.copytree(folder / "b", photos)
        out, other = tmp_path / "out", tmp_path / "other"
        together([photos], predictor, out)
        shutil.copy(photos / "4.png", photos / "2.png")
        together([photos], predictor, out)
        with run(find_sources([str(photos)]), predictor, other, OPTIONS):
            pass
        assert same(out, other)

    def test_copies_and_timelines_beside_the_tables_are_theirs(self, folder, predictor, tmp_path):
        photos, out = tmp_path / "photos", tmp_path / "out"
        shutil.copytree(folder / "b", photos)
        drawn = replace(OPTIONS, pictures=True, timelines=True)
        with run(find_sources([str(photos)]), predictor, out, drawn):
            pass
        made = {one.name for name in ("pictures", "timelines") for one in (out / name).iterdir()}
        assert made == {"0.png", "2.png", "4.png", "6.png", "8.png", "5.mp4", "5.mp4.svg",
                        "5.mp4.png"}  # fmt: skip
        shutil.copy(photos / "4.png", photos / "2.png")
        os.utime(photos / "5.mp4")
        together([photos], predictor, out)
        assert {one.name for one in (out / "pictures").iterdir()} == {
            "0.png", "4.png", "6.png", "8.png",
        }  # fmt: skip
        assert not (out / "timelines").exists()
        together([photos], predictor, out, replace(OPTIONS, smooth_s=None))
        assert not (out / "pictures").exists()

    @pytest.mark.parametrize("wrong", [False, True])
    def test_a_video_that_is_cut(self, predictor, tmp_path, monkeypatch, wrong):
        path = tmp_path / "long.mp4"
        with open_writer(path) as writer:
            for face in phantom.render(np.arange(50) % 7, seed=1):
                writer.add(np.repeat(face[..., None], 3, axis=2), None)
        options = replace(OPTIONS, cut_every=20)
        with run(find_sources([str(path)]), predictor, tmp_path / "alone", options):
            pass
        if wrong:  # What begins a frame late doesn't fit: it is watched whole.
            monkeypatch.setattr(
                "hemiface.vision.on_ray.plan",
                lambda *of: [replace(one, pts=one.pts + (one.start > 0)) for one in plan(*of)],
            )
        together([path], predictor, tmp_path / "out", options, workers=1 if wrong else 2)
        assert same(tmp_path / "out", tmp_path / "alone")
        assert len(list((tmp_path / "out" / PIECES).glob("*.parquet"))) == 3 + wrong

    def test_addresses(self, folder, predictor, tmp_path):
        address = f"file://{folder}"
        told, rows = together([address], predictor, tmp_path, beyond=remote.find)
        with run(find_sources([str(folder)]), predictor, tmp_path / "other", OPTIONS) as outcome:
            assert [{**one, "source": ""} for one in rows] == [
                {**one, "source": ""} for one in outcome.rows()
            ]
        assert {one["source"] for one in rows} <= {one["source"] for one in told}
        (error,) = [one["error"] for one in told if one["error"]]
        assert error.startswith(f"Picture file://{folder}/3.png is of no known format")

    def test_a_machine_that_cannot_do_its_part_is_named(self, folder, predictor, tmp_path):
        # Another predictor than the one that the options make: what another version would be.
        other = predictor.but(flip=True)
        with pytest.raises(HemifaceError, match=r"would look in another way \(.*flip"):
            together([folder], other, tmp_path)


def test_offline_nothing_is_asked_for_on_a_network(folder, monkeypatch):
    monkeypatch.setenv("HEMIFACE_OFFLINE", "1")
    with pytest.raises(UsageError, match="which HEMIFACE_OFFLINE forbids"):
        remote.find("s3://bucket/photos")
    assert len(remote.find(f"file://{folder}")) > 1


@pytest.mark.usefixtures("processors")
def test_the_command(folder, tmp_path, capsys, monkeypatch):
    run_it = partial(hemiface, monkeypatch)
    listing, out = tmp_path / "list.txt", tmp_path / "out"
    listing.write_text(f"{folder / '1.png'}\n\n{folder / 'b'}\n")
    words = ["predict", "--list", listing, "--no-detect", "--json"]
    assert run_it(*words, "--on", "ray", "--workers", "1", "--out", out) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert run_it(*words, "--out", tmp_path / "alone") == 0
    assert capsys.readouterr().out == said.out
    assert (out / "faces.csv").read_bytes() == (tmp_path / "alone/faces.csv").read_bytes()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--on", "ray"], "name it with --out"),
        (["--on", "slurm", "--out", "out"], "is no place"),
        (["--on", "ray://", "--out", "out"], "is no place"),
        (["--on", "ray", "--out", "out", "--shard", "1/2"], "leave out --shard"),
        (["--on", "ray", "--out", "out", "--save-image"], "made by one process"),
        (["camera:0", "--on", "ray", "--out", "out"], "camera:0 is watched by one process"),
        (["nowhere://a/b.jpg", "--on", "ray", "--out", "out"], "Protocol not known: nowhere"),
        (["http://a/b.jpg", "--out", "out"], "nothing is fetched from there"),
    ],
)
def test_what_makes_no_sense_is_told_before_the_work(
    words, sentence, folder, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code = hemiface(monkeypatch, "predict", folder / "1.png", "--no-detect", *words)
    assert (code, sentence in capsys.readouterr().err) == (2, True)


def test_a_list_that_names_nothing(tmp_path, capsys, monkeypatch):
    (tmp_path / "list.txt").write_text("\n\n")
    with pytest.raises(UsageError, match="names nothing"):
        listed(tmp_path / "list.txt")
    assert hemiface(monkeypatch, "predict") == 2
    assert "Nothing is named" in capsys.readouterr().err
    (tmp_path / "list.txt").write_bytes(b"\xff\n")
    with pytest.raises(DamagedError):
        listed(tmp_path / "list.txt")


def test_two_at_once(folder, predictor, tmp_path):
    with locked(tmp_path), pytest.raises(UsageError, match="is being written into"):
        together([folder], predictor, tmp_path)


def test_nothing_of_ray_is_imported_unless_it_is_asked_for(folder, tmp_path):
    code = (
        "import sys; from hemiface.cli import main\ntry: main()\nexcept SystemExit: pass\n"
        "print([one for one in ('ray', 'pyarrow', 'pandas', 'fsspec') if one in sys.modules])"
    )
    words = ["predict", str(folder / "1.png"), "--no-detect", "--out", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_without_ray_one_sentence_says_what_to_install(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("hemiface.ray_cluster.find_spec", lambda _: None)
    words = ["predict", folder / "1.png", "--on", "ray", "--out", tmp_path / "out"]
    assert hemiface(monkeypatch, *words) == 1
    assert "pip install 'hemiface[ray]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_another_machine_wrote_may_be_seen_late(tmp_path):
    path = tmp_path / "late"
    late = threading.Timer(0.3, path.touch)
    late.start()
    _wait_for(path, 20)
    late.join()
    with pytest.raises(HemifaceError, match="isn't seen here"):
        _wait_for(tmp_path / "never", 0.2)


def job_of(predictor, folder: Path, options: RunOptions | None = None) -> Job:
    options = options or RunOptions()
    settings = plain(settings_of(predictor, options))
    folder.mkdir(exist_ok=True)
    return Job(looking=LOOKING, running=options, folder=folder, place=Path.cwd(), settings=settings)


class TestPieces:
    """Without a cluster: what a piece is, and what one machine does with it."""

    def test_each_source_is_in_one_piece(self):
        draw = random.Random(0)
        for _ in range(50):
            sources = [
                Source(str(n), draw.choice(("photo", "video")), Path(str(n)), str(n),
                       stamp=(draw.randrange(1 << draw.randrange(30)), 0))
                for n in range(draw.randrange(40))
            ]  # fmt: skip
            most = draw.randrange(1, 9)
            pieces = cut(sources, "key", most)
            inside = [one for piece in pieces for one in piece.sources]
            assert sorted(one.name for one in inside) == sorted(one.name for one in sources)
            assert all(len(piece.sources) <= most for piece in pieces)
            assert len({piece.name for piece in pieces}) == len(pieces)
            videos = [one for one in pieces if one.sources[0].moves]
            assert videos == pieces[: len(videos)]
            assert sorted(videos, key=lambda one: -one.bytes) == videos
            # Photos stay in their order.
            assert [one for one in inside if not one.moves] == [
                one for one in sources if not one.moves
            ]

    def test_rows_come_back_as_they_were(self, folder, predictor, tmp_path):
        sources = find_sources([str(folder)])
        with run(sources, predictor, tmp_path / "run", RunOptions()) as outcome:
            told, rows = outcome.sources, list(outcome.rows())
        order = {one.name: place for place, one in enumerate(sources)}
        for piece in cut(sources, "key", 2):
            own = [one.name for one in piece.sources]
            theirs = [one for one in rows if one["source"] in own]
            write_piece(piece, tmp_path, [told[order[name]] for name in own], theirs)
        pieces = Pieces(tmp_path, "key", sources)
        assert list(pieces.rows(order)) == rows
        assert not Pieces(tmp_path, "key", []).known(str(folder / "1.png"))
        # Of other settings nothing is taken for theirs, and it stays until their run is through.
        other = Pieces(tmp_path, "another", sources)
        assert not any(other.known(name) for name in order)
        assert Held.of(tmp_path, other.of_others()).total == sum(
            one["frames"] or not one["error"] for one in told
        )
        assert len(list(tmp_path.glob("*.parquet"))) == len(cut(sources, "key", 2))
        # Tables tell of the run that came to them, and not of one that began since.
        pieces.settle()
        assert not list(Pieces(tmp_path, "another", sources).of_others())
        kept = (tmp_path / "told.json").read_bytes()
        (tmp_path / "told.json").write_bytes(b"[dam")
        assert list(Pieces(tmp_path, "another", sources).of_others())
        (tmp_path / "told.json").write_bytes(kept)
        alone = cut(sources, "key", 1)
        piece = next(one for one in alone if not (tmp_path / one.name).exists())
        place = order[piece.sources[0].name]
        own = [one for one in rows if one["source"] == piece.sources[0].name]
        write_piece(piece, tmp_path, [told[place]], own)
        since = Pieces(tmp_path, "another", sources)
        assert len(list(since.of_others())) == 1
        since.settle()
        assert not list(tmp_path.glob("*.parquet"))

    def test_a_source_that_ends_its_processes_is_an_error_at_last(
        self, folder, predictor, tmp_path, monkeypatch
    ):
        looker = Looker(job_of(predictor, tmp_path))
        bad = str(folder / "1.png")
        piece = Piece("key", tuple(find_sources([bad, str(folder / "5.png")])))
        real = Predictor.read

        def die(self, source):
            if str(source) == bad:
                raise SystemExit  # as far as a process goes that is killed
            return real(self, source)

        monkeypatch.setattr(Predictor, "read", die)
        for _ in range(1 + MOST_LOST):
            with pytest.raises(SystemExit):
                looker.look(piece)
        assert looker.look(piece).name == piece.name
        pieces = Pieces(tmp_path, "key", piece.sources)
        assert "4 processes that tried it were killed or lost" in pieces.known(bad)["error"]
        assert pieces.known(str(folder / "5.png"))["faces"] == 1
        assert [one.name for one in tmp_path.iterdir()] == [piece.name]

    def test_what_is_there_is_not_looked_at_again(self, folder, predictor, tmp_path, monkeypatch):
        looker = Looker(job_of(predictor, tmp_path))
        piece = Piece("key", tuple(find_sources([str(folder / "1.png")])))
        before = looker.look(piece).stat().st_mtime_ns
        monkeypatch.setattr(Predictor, "read", None)
        assert looker.look(piece).stat().st_mtime_ns == before

    def test_folders_that_a_machine_does_not_see(self, predictor, tmp_path):
        job = job_of(predictor, tmp_path / "out")
        (tmp_path / "out").rmdir()
        with pytest.raises(HemifaceError, match="doesn't see"):
            Looker(job)

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
    def test_a_full_disk(self, folder, predictor, tmp_path, monkeypatch):
        looker = Looker(job_of(predictor, tmp_path))
        piece = Piece("key", tuple(find_sources([str(folder / "1.png")])))

        def full(partial: Path, *of: object) -> object:
            partial.symlink_to("/dev/full")
            return real(partial, *of)

        from hemiface.vision.faces import parquet_sink as real

        monkeypatch.setattr("hemiface.vision.pieces.parquet_sink", full)
        with pytest.raises(HemifaceError, match=r"(?i)can't be written \(.*no space left"):
            looker.look(piece)
        assert not list(tmp_path.glob("*.parquet"))


class TestAddresses:
    def test_what_lies_below_one(self):
        fsspec = pytest.importorskip("fsspec", reason="addresses need fsspec")
        system = fsspec.filesystem("memory")
        for name in ("/in/b.jpg", "/in/a/c.MP4", "/in/a/notes.txt"):
            system.pipe(name, b"123")
        found = remote.find("memory://in")
        assert [(Path(one.name).name, one.kind) for one in found] == [
            ("c.MP4", "video"),
            ("b.jpg", "photo"),
        ]
        (before,) = remote.find("memory://in/b.jpg")
        assert before.fingerprint == remote.find("memory://in/b.jpg")[0].fingerprint
        time.sleep(0.01)
        system.pipe("/in/b.jpg", b"124")
        assert before.fingerprint != remote.find("memory://in/b.jpg")[0].fingerprint
        system.pipe("/none/notes.txt", b"")
        with pytest.raises(UsageError, match="neither pictures nor videos"):
            remote.find("memory://none")
        with pytest.raises(DamagedError, match="there is nothing of that name"):
            remote.find("memory://nowhere")

    def test_fetching(self, folder, tmp_path):
        (source,) = remote.find(f"file://{folder}/1.png")
        got = remote.fetched(source, tmp_path)
        assert Path(got.path).read_bytes() == (folder / "1.png").read_bytes()
        assert got.fingerprint == source.fingerprint
        (folder / "1.png").rename(folder / "gone")
        try:
            with pytest.raises(DamagedError, match=r"1\.png can't be fetched"):
                remote.fetched(source, tmp_path)
        finally:
            (folder / "gone").rename(folder / "1.png")

    def test_what_is_no_address(self):
        with pytest.raises(UsageError, match="is no place"):
            address_of("ray://head:port")


def test_the_cluster_file_of_the_docs():
    yaml = pytest.importorskip("yaml", reason="comes with Ray")
    page = (Path(__file__).parents[2] / "docs/many-machines.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    known = yaml.safe_load(block)
    assert known["provider"]["type"] == "local"
    starts = known["head_start_ray_commands"] + known["worker_start_ray_commands"]
    for line in (one for one in starts if "ray start" in one):
        assert line.startswith("RAY_USAGE_STATS_ENABLED=0")
