"""The record of a run folder: what is done, what is put aside, what goes, what a job may read."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hemiface.files import sha256_file
from hemiface.provenance import Mark, environment
from hemiface.studies.book import Book, Stage, job_folder


def stage(folder: Path, *writes: str, inputs: str = "a", after: tuple[str, ...] = ()) -> Stage:
    """A stage that keeps `one.txt` and writes other files beside it, each with its inputs."""

    def work() -> list[Path]:
        for name in ("one.txt", *writes):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(inputs)
        return [folder / name for name in writes]

    return Stage(
        name="one", mark=lambda: Mark(inputs, "code"), work=work, keeps=folder / "one.txt",
        after=after,
    )  # fmt: skip


def products(folder: Path) -> set[str]:
    return set(json.loads((folder / "stages.json").read_text())["one"]["products"])


def test_products_are_what_the_work_says_and_nothing_that_lies_beside(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    Book(tmp_path).run(stage(tmp_path, "a.csv", "figures/b.svg"))
    assert products(tmp_path) == {"one.txt", "a.csv", "figures/b.svg"}
    assert Book(tmp_path).has(stage(tmp_path))
    (tmp_path / "mine.txt").write_text("still mine")
    assert Book(tmp_path).has(stage(tmp_path))


def test_what_was_changed_is_kept_beside_however_often(tmp_path):
    made = stage(tmp_path, "a.csv")
    for edit in ("first", "second"):
        Book(tmp_path).run(made)
        (tmp_path / "a.csv").write_text(edit)
    Book(tmp_path).run(made)
    assert (tmp_path / "a.csv").read_text() == "a"
    assert (tmp_path / "a.changed.csv").read_text() == "first"
    assert (tmp_path / "a.changed-2.csv").read_text() == "second"
    assert not list(tmp_path.glob("one.changed*"))


def test_what_other_settings_wrote_goes_unless_somebody_changed_it(tmp_path):
    Book(tmp_path).run(stage(tmp_path, "a.csv", "b.csv"))
    Book(tmp_path).run(stage(tmp_path, "a.csv", inputs="b"))
    assert products(tmp_path) == {"one.txt", "a.csv"}
    assert not (tmp_path / "b.csv").exists()
    assert (tmp_path / "a.csv").read_text() == "b"
    (tmp_path / "a.csv").write_text("mine")
    Book(tmp_path).run(stage(tmp_path, inputs="c"))
    assert [one.name for one in tmp_path.glob("a*")] == ["a.changed.csv"]
    # Records of before may count somebody's notes among the products.
    (tmp_path / "notes.txt").write_text("mine")
    record = json.loads((tmp_path / "stages.json").read_text())
    record["one"]["products"]["notes.txt"] = sha256_file(tmp_path / "notes.txt")
    del record["one"]["hardware"]
    (tmp_path / "stages.json").write_text(json.dumps(record))
    Book(tmp_path).run(stage(tmp_path, inputs="e"))
    assert (tmp_path / "notes.txt").read_text() == "mine"
    Book(tmp_path).run(stage(tmp_path, inputs="c"))
    # A record may name anything; only what lies in the folder is ever removed.
    outside = tmp_path.parent / f"{tmp_path.name}.txt"
    outside.write_text("c")
    record = json.loads((tmp_path / "stages.json").read_text())
    record["one"]["products"][f"../{outside.name}"] = record["one"]["products"]["one.txt"]
    (tmp_path / "stages.json").write_text(json.dumps(record))
    Book(tmp_path).run(stage(tmp_path, inputs="d"))
    assert outside.read_text() == "c"


def test_asking_whether_it_is_current_changes_nothing(tmp_path):
    made, others = stage(tmp_path, "a.csv"), stage(tmp_path, "a.csv", inputs="b")
    assert not Book(tmp_path).is_current(made)
    Book(tmp_path).run(made)
    assert Book(tmp_path).is_current(made)
    assert not Book(tmp_path, trust_code=True).is_current(others)
    by_other_code = replace(made, mark=lambda: Mark("a", "other"))
    assert not Book(tmp_path).is_current(by_other_code)
    assert Book(tmp_path, trust_code=True).is_current(by_other_code)
    (tmp_path / "a.csv").write_text("changed")
    before = sorted(tmp_path.iterdir())
    assert not Book(tmp_path).is_current(made)
    assert sorted(tmp_path.iterdir()) == before


def test_a_job_reads_the_notes_of_others_and_the_record(tmp_path):
    book = Book(tmp_path, job="one")
    job_folder(tmp_path, "one").mkdir(parents=True)
    book.run(stage(tmp_path))
    assert not (tmp_path / "stages.json").exists()
    other = Book(tmp_path, job="two")
    assert other.is_current(stage(tmp_path))
    # Whoever holds the folder takes it over, and then it stands in the record.
    Book(tmp_path)
    assert not list(tmp_path.glob("jobs/*/note.json"))
    assert Book(tmp_path, job="two").is_current(stage(tmp_path))


@pytest.mark.parametrize(
    ("changed", "is_elsewhere"),
    [
        ({}, False),
        ({"processor": "another"}, True),
        # Other threads, or torch that isn't imported here, are no other machine.
        ({"threads": 64, "omp_num_threads": "64"}, False),
        ({"gpus": []}, False),
    ],
)
def test_hardware_is_that_of_who_computed(tmp_path, changed, is_elsewhere):
    Book(tmp_path).run(stage(tmp_path))
    record = json.loads((tmp_path / "stages.json").read_text())
    assert record["one"]["hardware"] == environment()["hardware"]
    record["one"]["hardware"] |= changed
    (tmp_path / "stages.json").write_text(json.dumps(record))
    Book(tmp_path).always("data", lambda: (None, "x"))
    told = json.loads((tmp_path / "environment.json").read_text())
    assert told["hardware"] == environment()["hardware"]
    assert ("hardware_of" in told) == is_elsewhere
    if is_elsewhere:
        assert told["hardware_of"]["one"]["processor"] == "another"
    # Who computed it stays who did, also where its code is trusted.
    by_other_code = replace(stage(tmp_path), mark=lambda: Mark("a", "other"))
    assert Book(tmp_path, trust_code=True).has(by_other_code)
    record = json.loads((tmp_path / "stages.json").read_text())
    assert record["one"]["trusted"] == "code"
    assert record["one"]["hardware"] == environment()["hardware"] | changed


@pytest.mark.parametrize("way", ["..", "link"])
def test_what_leads_to_the_folder_changes_nothing(tmp_path, way):
    (tmp_path / "a").mkdir()
    (tmp_path / "run").mkdir()
    if way == "link":
        (tmp_path / "linked").symlink_to(tmp_path / "run")
    folder = tmp_path / "a" / ".." / "run" if way == ".." else tmp_path / "linked"
    Book(folder).run(stage(folder, "a.csv", "b.csv"))
    (folder / "one.txt").write_text("changed")
    Book(folder).run(stage(folder, "a.csv", inputs="b"))
    assert (tmp_path / "run" / "one.changed.txt").read_text() == "changed"
    assert (tmp_path / "run" / "one.txt").read_text() == "b"
    assert not (tmp_path / "run" / "b.csv").exists()


def test_what_a_stage_is_for_is_put_aside_behind_links_too(tmp_path):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "models").symlink_to(tmp_path / "scratch")
    made = replace(stage(tmp_path / "run" / "models"), keeps=tmp_path / "run" / "models/one.txt")
    Book(tmp_path / "run").run(made)
    (tmp_path / "scratch" / "one.txt").write_text("changed")
    Book(tmp_path / "run").run(made)
    assert (tmp_path / "scratch" / "one.changed.txt").read_text() == "changed"
    assert (tmp_path / "scratch" / "one.txt").read_text() == "a"
