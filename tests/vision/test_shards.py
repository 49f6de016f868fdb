"""Many jobs, each with a part of the sources: together they are one run, or it is said why not."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from builders import flipped, hemiface
from hemiface.data.phantom import make as phantom
from hemiface.errors import DamagedError, MissingError, UsageError
from hemiface.locks import locked
from hemiface.vision.predictor import Predictor
from hemiface.vision.run import RunOptions, run, settings_of
from hemiface.vision.shards import Shard, ShardRecord, Shards, merge, run_shard
from hemiface.vision.sources import find_sources

OPTIONS = RunOptions(formats=("csv", "jsonl"))


@given(st.lists(st.integers(), max_size=30), st.integers(1, 9))
def test_every_source_is_in_one_shard_and_work_is_shared_out(whole, of):
    parts = [Shard(number, of).of_all(whole) for number in range(1, of + 1)]
    assert sorted(one for part in parts for one in part) == sorted(whole)
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    "text", ["", "3", "0/2", "3/2", "1/0", "-1/2", "1/2/3", "1/٣", "1/9999999"]
)
def test_what_is_no_shard_is_told(text):
    with pytest.raises(UsageError, match="Shard"):
        Shard.parse(text)


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for index, face in enumerate(phantom.render(np.arange(7), seed=0)):
        Image.fromarray(face).save(folder / f"{index}.png")
    (folder / "3.png").write_bytes(b"nothing")
    return folder


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(no_detect=True)


def all_shards(photos, predictor, out, of=3, options=OPTIONS):
    sources = find_sources([str(photos)])
    for number in range(1, of + 1):
        with run_shard(sources, predictor, out, Shard(number, of), options):
            pass


def test_shards_together_are_one_run(photos, predictor, tmp_path):
    for of in (1, 3, 9):
        out, alone = tmp_path / f"shards-{of}", tmp_path / f"alone-{of}"
        all_shards(photos, predictor, out, of)
        with run(find_sources([str(photos)]), predictor, alone, OPTIONS) as outcome:
            expected = outcome.sources
        merged = merge(out)
        assert merged.sources == expected
        assert [path.name for path in merged.written] == ["faces.csv", "faces.jsonl", "sources.csv"]
        for name in ("faces.csv", "faces.jsonl", "sources.csv"):
            assert (out / name).read_bytes() == (alone / name).read_bytes()
        # Again is the same.
        merge(out)
        assert (out / "faces.csv").read_bytes() == (alone / "faces.csv").read_bytes()


def test_what_was_done_is_not_done_again(photos, predictor, tmp_path, monkeypatch):
    all_shards(photos, predictor, tmp_path)
    looked = []
    monkeypatch.setattr(Predictor, "read", lambda _, source: looked.append(source))
    with pytest.raises(AttributeError):  # The one that couldn't be read is looked at again.
        all_shards(photos, predictor, tmp_path)
    assert [Path(one).name for one in looked] == ["3.png"]


class TestWhatIsMissing:
    def test_nothing(self, tmp_path):
        with pytest.raises(MissingError, match="holds no shards"):
            merge(tmp_path)

    def test_a_shard(self, photos, predictor, tmp_path):
        sources = find_sources([str(photos)])
        with run_shard(sources, predictor, tmp_path, Shard(2, 3), OPTIONS):
            pass
        with pytest.raises(MissingError, match=r"Shards 1/3, 3/3 of .* never began; .*--shard 1/3"):
            merge(tmp_path)

    def test_a_part_of_a_shard(self, photos, predictor, tmp_path):
        all_shards(photos, predictor, tmp_path)
        journal = tmp_path / "shard-2-of-3" / ".progress.jsonl"
        lines = journal.read_bytes().splitlines(keepends=True)
        # The last one says that tables tell of all before it.
        journal.write_bytes(b"".join(lines[:-2]))
        with pytest.raises(
            DamagedError, match=r"Shard 2/3 \(1 of 2 sources\) isn't finished; give its command"
        ):
            merge(tmp_path)
        assert not (tmp_path / "faces.csv").exists()
        all_shards(photos, predictor, tmp_path)
        merge(tmp_path)

    def test_another_list(self, photos, predictor, tmp_path):
        all_shards(photos, predictor, tmp_path)
        sources = find_sources([str(photos)])[:-1]
        with run_shard(sources, predictor, tmp_path, Shard(3, 3), OPTIONS):
            pass
        with pytest.raises(DamagedError, match=r"different lists of sources \(7 and 6\)"):
            merge(tmp_path)

    def test_another_model_or_option(self, photos, predictor, tmp_path):
        all_shards(photos, predictor, tmp_path)
        sources = find_sources([str(photos)])
        other = predictor.but(flip=True)
        with run_shard(sources, other, tmp_path, Shard(2, 3), OPTIONS):
            pass
        with pytest.raises(DamagedError, match=r"1/3 and 2/3 differ in (\w+, )*flip"):
            merge(tmp_path)

    def test_a_threshold_that_is_named_and_the_default_of_that_number(
        self, photos, predictor, tmp_path
    ):
        """Those of videos would differ; records of before they were told apart have neither."""
        all_shards(photos, predictor, tmp_path)
        sources = find_sources([str(photos)])
        named = predictor.but(abstain_below=predictor.abstain_below)
        with run_shard(sources, named, tmp_path, Shard(2, 3), OPTIONS):
            pass
        with pytest.raises(DamagedError, match=r"1/3 and 2/3 differ in abstain_below_asked;"):
            merge(tmp_path)
        new = ("asked", "in_videos")
        before = {
            key: one
            for key, one in settings_of(predictor, OPTIONS).items()
            if not key.endswith(new) or key.startswith(("model", "detector"))
        }
        folder = tmp_path / "shard-2-of-3"
        ShardRecord.of(Shard(2, 3), [one.name for one in sources], before, ()).write(folder)
        with pytest.raises(DamagedError, match=r"in_videos; give the command of shard 2/3 again"):
            merge(tmp_path)

    def test_other_numbers_of_shards(self, photos, predictor, tmp_path):
        all_shards(photos, predictor, tmp_path, 2)
        all_shards(photos, predictor, tmp_path, 3)
        with pytest.raises(DamagedError, match="shards of 2 and of 3"):
            merge(tmp_path)

    @pytest.mark.parametrize(
        "damage",
        [
            lambda text: text[: len(text) // 2],
            lambda _: "",
            lambda text: text.replace('"format": 2', '"format": 9'),
            lambda text: text.replace('"total": 7', '"total": 900'),
            lambda text: text.replace('"number": 2', '"number": "x"'),
        ],
    )
    def test_a_damaged_record(self, photos, predictor, tmp_path, damage):
        all_shards(photos, predictor, tmp_path)
        record = tmp_path / "shard-2-of-3" / ".shard.jsonl"
        record.write_text(damage(record.read_text()))
        with pytest.raises(DamagedError, match=r"shard-2-of-3/\.shard\.jsonl is damaged"):
            merge(tmp_path)

    def test_one_that_still_runs(self, photos, predictor, tmp_path):
        all_shards(photos, predictor, tmp_path)
        with (
            run_shard(find_sources([str(photos)]), predictor, tmp_path, Shard(1, 3), OPTIONS),
            pytest.raises(UsageError, match="shard-1-of-3"),
        ):
            merge(tmp_path)


def test_a_smaller_result_takes_no_larger_one_s_place(photos, predictor, tmp_path):
    with run(find_sources([str(photos)]), predictor, tmp_path, OPTIONS):
        pass
    few = find_sources([str(photos / f"{n}.png") for n in range(3)])
    with run_shard(few, predictor, tmp_path, Shard(1, 1), OPTIONS):
        pass
    with pytest.raises(UsageError, match="more than the 3 that would take their place"):
        merge(tmp_path)
    ours = (tmp_path / "faces.csv").rename(tmp_path / "theirs.csv")
    (tmp_path / "faces.csv").write_text("file,label")
    with pytest.raises(UsageError, match=r"faces\.csv is no table of faces that hemiface wrote"):
        merge(tmp_path, replace=True)
    ours.replace(tmp_path / "faces.csv")
    merge(tmp_path, replace=True)
    with (tmp_path / "sources.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 3


def test_copies_beside_merged_tables_are_theirs(photos, predictor, tmp_path):
    """A whole run's are, if it was of the same settings and the files are the same."""
    folder, out = tmp_path / "photos", tmp_path / "out"
    shutil.copytree(photos, folder / "deep")
    bare, blurred = (replace(OPTIONS, pictures=True, blur=blur) for blur in (False, True))
    with run(find_sources([str(folder)]), predictor, out, bare):
        pass
    pictures = out / "pictures" / "deep"
    assert len(list(pictures.iterdir())) == 6
    shutil.copy(folder / "deep" / "0.png", folder / "deep" / "1.png")
    all_shards(folder, predictor, out, 2)
    merge(out)
    assert {one.name for one in pictures.iterdir()} == {f"{n}.png" for n in (0, 2, 4, 5, 6)}
    all_shards(folder, predictor, out, 2, blurred)
    with locked(out), pytest.raises(UsageError, match="is being written into"):
        merge(out)
    merge(out)
    assert not pictures.exists()


def test_a_record_comes_back_as_it_was_written(tmp_path):
    names = [f"a\n{n}\u2028" for n in range(5)]
    record = ShardRecord.of(Shard(2, 2), names, {"a": (1, None), "b": 0.5}, ("csv",))
    record.write(tmp_path)
    assert ShardRecord.read(tmp_path) == record
    assert json.loads((tmp_path / ".shard.jsonl").read_text().split("\n")[0])["total"] == 5
    assert record.names == (names[1], names[3])
    assert not list(tmp_path.glob("*.partial"))
    with pytest.raises(MissingError):
        Shards(tmp_path / "nothing")


def test_no_flipped_bit_of_a_record_becomes_another_one(tmp_path):
    names = [f"photos/{n}.jpg" for n in range(9)]
    ShardRecord.of(Shard(1, 2), names, {"temperatures": "0123abc"}, ("csv",)).write(tmp_path)
    path = tmp_path / ".shard.jsonl"
    for spoilt in flipped(path.read_bytes(), 200):
        path.write_bytes(spoilt)
        with pytest.raises(DamagedError):
            ShardRecord.read(tmp_path)


def test_the_commands(photos, tmp_path, capsys, monkeypatch):
    run_it = partial(hemiface, monkeypatch)
    out, alone = tmp_path / "out", tmp_path / "alone"
    for number in (1, 2):
        code = run_it("predict", photos, "--no-detect", "--out", out, "--shard", f"{number}/2")
        assert code == (0, 4)[number == 2]  # 3.png can't be read.
    said = capsys.readouterr()
    assert f"Shard 2/2: hemiface merge {out} puts all of them together." in said.out
    assert run_it("merge", out) == 4
    said = capsys.readouterr()
    assert said.out.startswith("6 faces in 7 sources\n")
    assert "3.png is of no known format" in said.err
    assert run_it("predict", photos, "--no-detect", "--out", alone) == 4
    assert (out / "faces.csv").read_bytes() == (alone / "faces.csv").read_bytes()
    assert run_it("predict", photos, "--shard", "1/2") == 2
    assert "A shard needs the folder of all results" in capsys.readouterr().err
    assert run_it("merge", tmp_path / "nothing") == 2


@pytest.mark.skipif(sys.platform == "win32", reason="a script for bash")
def test_the_script_of_the_docs(photos, tmp_path):
    page = (Path(__file__).parents[2] / "docs/many-machines.md").read_text(encoding="utf-8")
    scripts = re.findall(r"```bash\n(.*?)```", page, flags=re.DOTALL)
    (script,) = (one for one in scripts if "--shard" in one)
    here = f'"{sys.executable}" -m hemiface'
    script = script.replace("hemiface predict", f"{here} predict --no-detect --json")
    (tmp_path / "predict.sh").write_text(script.replace(" photos ", f' "{photos}" '))
    jobs = [
        subprocess.Popen(
            ["bash", "predict.sh"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "SLURM_ARRAY_TASK_ID": str(n), "SLURM_ARRAY_TASK_COUNT": "2"},
        )
        for n in (1, 2)
    ]  # fmt: skip
    assert [(job.communicate(), job.returncode)[1] for job in jobs] == [0, 4]
    assert len(merge(tmp_path / "results").errors) == 1
