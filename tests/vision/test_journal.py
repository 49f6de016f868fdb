"""The record of a run."""

import json
from collections.abc import Iterator

import numpy as np
import pytest

from hemiface.errors import DamagedError
from hemiface.vision.journal import Journal

SETTINGS = {"hide": ""}


def test_a_journal_of_other_settings_stays_until_its_run_is_through(tmp_path):
    with Journal(tmp_path, {"hide": ""}) as journal:
        journal.add("a", [{"face": 0}])
        journal.add("a", [{"face": 1}])
        journal.end("a", {"faces": 2})
        journal.add("b", [{"face": 0}])
    with Journal(tmp_path, {"hide": ""}) as journal:
        assert list(journal.ended) == ["a"]
        assert [row["face"] for row in journal.rows(["a", "b"])] == [0, 1]
    for _ in range(2):
        with Journal(tmp_path, {"hide": "lower"}) as journal:
            assert journal.ended.keys() <= {"c"}
            journal.end("c", {"faces": 0})
    assert Journal.is_of(tmp_path, {"hide": ""})
    assert not Journal.is_of(tmp_path, {"hide": "lower"})
    assert dict(Journal.of_before(tmp_path, [{"hide": ""}])).keys() == {"c"}
    assert dict(Journal.of_before(tmp_path, of=[{"hide": ""}])).keys() == {"a"}
    with Journal(tmp_path, {"hide": ""}) as journal:
        assert list(journal.ended) == ["a"]
    with Journal(tmp_path, {"hide": "lower"}) as journal:
        assert list(journal.ended) == ["c"]
        journal.settle()
    assert [one.name for one in tmp_path.iterdir()] == [".progress.jsonl"]
    assert Journal.is_of(tmp_path, {"hide": "lower"})
    with Journal(tmp_path, {"hide": ""}) as journal:
        assert not journal.ended


def test_what_is_true_of_one_run_alone_is_not_in_the_next(tmp_path):
    with Journal(tmp_path, SETTINGS) as journal:
        journal.add("a", [{"face": 0}])
        journal.end("a", {"faces": 1})
        journal.end("a", {"faces": 0}, lasting=False)
        assert (journal.ended, list(journal.rows(["a"]))) == ({"a": {"faces": 0}}, [])
    with Journal(tmp_path, SETTINGS) as journal:
        assert (journal.ended, list(journal.rows(["a"]))) == ({"a": {"faces": 1}}, [{"face": 0}])


def test_one_that_is_kept_tells_of_other_settings_alone_what_they_noted(tmp_path):
    with Journal(tmp_path, SETTINGS) as journal:
        journal.end("a", {"copy": [1, 2]})
    with Journal(tmp_path, {"hide": "lower"}, keeps=True) as journal:
        assert not journal.ended
        journal.end("b", {})
    assert list(Journal.of_before(tmp_path)) == [("a", {"copy": [1, 2]}), ("b", {})]
    with Journal(tmp_path, SETTINGS) as journal:
        assert list(journal.ended) == ["a"]


def test_equal_rows_are_rows_each(tmp_path):
    with Journal(tmp_path, SETTINGS) as journal:
        for _ in range(2):
            journal.add("a", [{"face": 0}])
        journal.end("a", {"faces": 2})
    with Journal(tmp_path, SETTINGS) as journal:
        assert list(journal.rows(["a"])) == [{"face": 0}, {"face": 0}]


class TestDamage:
    """What doesn't fit its checksum is no row, and its source isn't done."""

    @pytest.fixture
    def written(self, tmp_path) -> dict[str, list[dict[str, object]]]:
        """The rows of the sources in a journal, one of which was begun twice."""
        rows = {
            f"{name} é.jpg": [{"face": face, "p": 0.25, "name": name} for face in range(count)]
            for name, count in (("a", 2), ("b", 0), ("c", 3))
        }
        with Journal(tmp_path, SETTINGS) as journal:
            journal.add("c é.jpg", [{"face": 9}])
        with Journal(tmp_path, SETTINGS) as journal:
            for source, faces in rows.items():
                for face in faces:
                    journal.add(source, [face])
                journal.end(source, {"faces": len(faces)})
        return rows

    def spoilt(self, whole: bytes) -> Iterator[bytes]:
        lines = whole.splitlines(keepends=True)
        for gone in range(len(lines)):
            yield b"".join(lines[:gone] + lines[gone + 1 :])
            yield b"".join([*lines[:gone], lines[-1], *lines[gone:]])
            yield b"".join([*lines[:gone], b"[" * 100_000 + b"\n", *lines[gone:]])
            yield b"".join(
                [*lines[:gone], b'{"source": "x", "end": {"faces": 0}}\n', *lines[gone:]]
            )
        yield b"".join(reversed(lines))
        random = np.random.default_rng(0)
        for place, bit in zip(random.integers(len(whole), size=300), random.integers(8, size=300),
                              strict=True):  # fmt: skip
            content = bytearray(whole)
            content[place] ^= 1 << bit
            yield bytes(content)
            yield bytes(content[:place])

    def test_no_damaged_line_becomes_a_row_and_none_is_lost_in_silence(self, tmp_path, written):
        path = tmp_path / ".progress.jsonl"
        whole = path.read_bytes()
        kept = 0
        for content in self.spoilt(whole):
            path.write_bytes(content)
            with Journal(tmp_path, SETTINGS) as journal:
                for source, known in journal.ended.items():
                    assert list(journal.rows([source])) == written[source]
                    assert known == {"faces": len(written[source])}
                kept += len(journal.ended)
                # What is done again stands behind what was damaged.
                for source, faces in written.items():
                    if source not in journal.ended:
                        journal.add(source, faces)
                        journal.end(source, {"faces": len(faces)})
            with Journal(tmp_path, SETTINGS) as journal:
                assert {one: list(journal.rows([one])) for one in journal.ended} == written
        assert kept > 600

    def test_lines_of_before_have_no_checksum_and_are_not_taken(self, tmp_path):
        path = tmp_path / ".progress.jsonl"
        with Journal(tmp_path, SETTINGS) as journal:
            key = journal._key
        lines = [{"open": key}, {"source": "a", "rows": [{"face": 0}]}, {"source": "a", "end": {}}]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        with Journal(tmp_path, SETTINGS) as journal:
            assert not journal.ended

    def test_what_changes_while_a_run_reads_it_is_named(self, tmp_path, written):
        with Journal(tmp_path, SETTINGS) as journal:
            content = journal.path.read_bytes()
            journal.path.write_bytes(content.replace(b"0.25", b"0.75"))
            with pytest.raises(DamagedError, match="give the same command again"):
                list(journal.rows(written))


class TestGoingOn:
    """What was reached of a source before its run was killed."""

    def test_parts_follow_those_up_to_there(self, tmp_path):
        with Journal(tmp_path, SETTINGS) as journal:
            journal.add("a", [{"face": 0}])
            journal.add("a", [{"face": 1}], {"frames": 2})
            journal.add("a", [], {"frames": 3})
            journal.add("a", [{"face": 9}])
        with Journal(tmp_path, SETTINGS) as journal:
            assert journal.reached("a") == {"frames": 3}
            journal.go_on("a")
            assert journal.reached("a") is None
            journal.add("a", [{"face": 1}])
            journal.end("a", {"faces": 3})
            assert [row["face"] for row in journal.rows(["a"])] == [0, 1, 1]
        with Journal(tmp_path, SETTINGS) as journal:
            assert journal.reached("a") is None
            assert [row["face"] for row in journal.rows(["a"])] == [0, 1, 1]

    def test_who_does_not_go_on_begins_anew(self, tmp_path):
        with Journal(tmp_path, SETTINGS) as journal:
            journal.add("a", [{"face": 0}], {"frames": 1})
        with Journal(tmp_path, SETTINGS) as journal:
            journal.add("a", [{"face": 5}], {"frames": 1, "anew": True})
        with Journal(tmp_path, SETTINGS) as journal:
            assert journal.reached("a") == {"frames": 1, "anew": True}
            journal.go_on("a")
            journal.end("a", {})
            assert [row["face"] for row in journal.rows(["a"])] == [5]

    def test_what_a_damaged_part_lies_before_was_not_reached(self, tmp_path):
        with Journal(tmp_path, SETTINGS) as journal:
            for frames in range(1, 4):
                journal.add("a", [{"face": frames}], {"frames": frames})
        lines = journal.path.read_bytes().splitlines(keepends=True)
        for damaged, reached in enumerate([None, {"frames": 1}, {"frames": 2}], 1):
            changed = [*lines]
            changed[damaged] = lines[damaged].replace(b"face", b"fate")
            journal.path.write_bytes(b"".join(changed))
            with Journal(tmp_path, SETTINGS, keeps=True) as other:
                assert other.reached("a") == reached

    def test_cameras_alone_are_begun_before_they_end(self, tmp_path):
        with Journal(tmp_path, SETTINGS) as journal:
            for frames in range(1, 3):
                journal.add("film", [], {"kind": "video", "frames": frames})
                journal.add("camera:0", [], {"kind": "camera", "frames": frames})
        assert dict(Journal.begun(tmp_path, told=False)) == {
            "camera:0": {"kind": "camera", "frames": 2}
        }
        assert not list(Journal.begun(tmp_path, [SETTINGS], told=False))
        assert not list(Journal.of_before(tmp_path))


class TestBegun:
    """What tables don't tell of, nor took the place of."""

    def test_it_is_what_came_since(self, tmp_path):
        other = {"hide": "lower"}
        with Journal(tmp_path, SETTINGS) as journal:
            journal.end("a", {"faces": 1})
            assert not journal.untold
        with Journal(tmp_path, SETTINGS) as journal:
            assert journal.untold == {"a"}
            journal.end("b", {"faces": 2})
            journal.settle()
        assert not dict(Journal.begun(tmp_path, told=True))
        with Journal(tmp_path, SETTINGS) as journal:
            assert not journal.untold
            journal.end("c", {"faces": 3})
        with Journal(tmp_path, other) as journal:
            journal.end("d", {"faces": 4})
        for told in (True, False):
            assert dict(Journal.begun(tmp_path, told=told)).keys() == {"c", "d"}
            assert dict(Journal.begun(tmp_path, [other], told=told)).keys() == {"c"}
        assert dict(Journal.of_before(tmp_path)).keys() == {"a", "b", "c", "d"}

    def test_of_a_version_before_tables_tell_of_all(self, tmp_path):
        with Journal(tmp_path, SETTINGS) as journal:
            journal.end("a", {"faces": 1})
        content = journal.path.read_bytes().splitlines(keepends=True)
        journal.path.write_bytes(b"".join(content[1:]))
        assert not dict(Journal.begun(tmp_path, told=True))
        assert dict(Journal.begun(tmp_path, told=False)).keys() == {"a"}
