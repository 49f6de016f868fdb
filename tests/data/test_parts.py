"""Prediction tables in parts: what is read, which damage is found, when a table is a long one."""

import json
from dataclasses import replace

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from builders import hemiface, tiny_predictions
from hemiface.data import parts
from hemiface.errors import DamagedError, UsageError
from hemiface.tables import PREDICTION_COLUMNS, read_predictions, write_predictions


@pytest.fixture
def folder(tmp_path):
    """The tiny table in parts of five rows, and as one file beside it."""
    predictions = tiny_predictions()
    parts.write_parts(predictions, tmp_path / "parts", 5)
    write_predictions(predictions, tmp_path / "one.parquet")
    return tmp_path / "parts"


def test_parts_hold_the_table_that_was_written(folder):
    whole = read_predictions(folder.parent / "one.parquet")
    found = parts.read_whole(folder)
    pd.testing.assert_frame_equal(found.table, whole.table)
    assert found.facts == whole.facts
    assert len(parts.open_parts(folder).parts) == 5
    pd.testing.assert_frame_equal(
        parts.read_whole(folder.parent / "one.parquet").table, whole.table
    )


def test_hive_folders_say_what_their_files_dont(folder, tmp_path):
    table = read_predictions(folder.parent / "one.parquet").table
    pq.write_to_dataset(
        pa.Table.from_pandas(table, preserve_index=False), tmp_path / "hive",
        partition_cols=["condition", "model"],
    )  # fmt: skip
    (tmp_path / "hive" / "_temporary.parquet").write_text("no part")
    found = parts.read_whole(tmp_path / "hive").table
    key = ["condition", "model", "image"]
    pd.testing.assert_frame_equal(
        found[list(PREDICTION_COLUMNS)].sort_values(key, ignore_index=True),
        table[list(PREDICTION_COLUMNS)].sort_values(key, ignore_index=True),
    )


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: (f / "part-00002.parquet").unlink(), "part-00002.parquet is missing"),
        (lambda f: (f / "part-00000.parquet").rename(f / "x.parquet"), "part-00000.* is missing"),
        (
            lambda f: (f / "part-00004.parquet").rename(f / "part-00001.parquet"),
            "part-00004.parquet is missing",
        ),
        (lambda f: (f / "parts.json").write_text('{"parts": 3}'), "parts.json is damaged"),
        (lambda f: (f / "part-00001.parquet").write_text("torn"), "not a readable Parquet table"),
    ],
)  # fmt: skip
def test_what_is_lost_or_torn_is_named(folder, spoil, said):
    spoil(folder)
    with pytest.raises(DamagedError, match=said):
        parts.read_whole(folder)


def test_a_changed_byte_is_found_before_its_rows_are_used(folder):
    path = folder / "part-00001.parquet"
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedError, match="doesn't fit the SHA-256"):
        parts.read_whole(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop(columns="group"), "missing column group"),
        (lambda t: t.assign(p_sad=t["p_sad"].astype(float)), "p_sad holds double"),
        (lambda t: t.assign(label=None), "label has empty cells"),
    ],
)
def test_a_part_of_somebody_else_is_checked(folder, change, said, tmp_path):
    (tmp_path / "theirs").mkdir()
    table = read_predictions(folder.parent / "one.parquet").table
    change(table).to_parquet(tmp_path / "theirs" / "0.parquet", index=False)
    with pytest.raises(DamagedError, match=said):
        parts.read_whole(tmp_path / "theirs")


@pytest.mark.parametrize("is_dictionary", [False, True])
def test_what_a_part_unpacks_to_has_a_length(folder, tmp_path, monkeypatch, is_dictionary):
    """A kilobyte can stand for one long name in each of many rows."""
    table = pq.read_table(folder.parent / "one.parquet").replace_schema_metadata()
    names = pa.array(["x" * 10_000] * len(table))
    place = table.schema.get_field_index("model")
    long = names.dictionary_encode() if is_dictionary else names
    (tmp_path / "theirs").mkdir()
    path = tmp_path / "theirs" / "a.parquet"
    pq.write_table(table.set_column(place, "model", long), path, compression="zstd")
    assert path.stat().st_size < 20_000
    monkeypatch.setenv("HEMIFACE_MAX_TABLE_BYTES", str(10_000 * len(table)))
    found = parts.open_parts(tmp_path / "theirs")
    with pytest.raises(DamagedError, match=r"a\.parquet unpacks to [\d,]+ bytes, over the limit"):
        list(found.batches())
    monkeypatch.setenv("HEMIFACE_MAX_TABLE_BYTES", str(11_000 * len(table)))
    assert sum(len(batch) for _, batch in found.batches()) == len(table)


def test_a_row_group_that_is_too_large_isnt_unpacked(folder, monkeypatch):
    monkeypatch.setenv("HEMIFACE_MAX_TABLE_BYTES", "200")
    part = parts.open_parts(folder).parts[0]
    with pytest.raises(DamagedError, match=r"part-00000\.parquet unpacks to [\d,]+ bytes, over"):
        next(parts._batches_of(part))


def test_only_more_rows_than_the_limit_are_long(folder, monkeypatch):
    one = folder.parent / "one.parquet"
    monkeypatch.setenv("HEMIFACE_MAX_MEMORY_ROWS", "24")
    assert parts.long_parts(folder) is None
    assert parts.long_parts(one) is None
    monkeypatch.setenv("HEMIFACE_MAX_MEMORY_ROWS", "23")
    assert len(parts.long_parts(folder)) == len(parts.long_parts(one)) == 24
    monkeypatch.setenv("HEMIFACE_MAX_PARTED_ROWS", "23")
    with pytest.raises(DamagedError, match="over the limit of 23 rows of a table in parts"):
        parts.long_parts(folder)


def test_parts_take_the_place_of_parts_and_of_nothing_else(folder, tmp_path):
    whole = tiny_predictions()
    parts.keep_larger_table_or_parts(folder, 24, replace=False)
    parts.write_parts(whole, folder, 7)
    assert sorted(one.name for one in folder.iterdir()) == [
        *(f"part-0000{n}.parquet" for n in range(4)), "parts.json"
    ]  # fmt: skip
    pd.testing.assert_frame_equal(
        parts.read_whole(folder).table, read_predictions(tmp_path / "one.parquet").table
    )
    with pytest.raises(UsageError, match="24 rows, more than the 23"):
        parts.keep_larger_table_or_parts(folder, 23, replace=False)
    parts.keep_larger_table_or_parts(folder, 23, replace=True)
    other = tmp_path / "mine"
    other.mkdir()
    parts.keep_larger_table_or_parts(other, 1, replace=False)
    (other / "letter.txt").write_text("dear")
    # What a killed command left, and what systems put anywhere, is nobody's work.
    (folder / "_before").mkdir()
    (folder / ".DS_Store").write_bytes(b"x")
    parts.write_parts(whole, folder, 7)
    assert len(list(folder.iterdir())) == 5
    (folder / "notes.txt").write_text("mine")
    for write in (
        lambda: parts.keep_larger_table_or_parts(folder, 24, replace=True),
        lambda: parts.write_parts(whole, folder, 7),
    ):
        with pytest.raises(UsageError, match=r"holds other things than a table \(notes.txt\)"):
            write()
    assert (folder / "notes.txt").read_text() == "mine"
    assert len(parts.read_whole(folder)) == 24
    (tmp_path / "seen").mkdir()
    (tmp_path / "seen" / ".DS_Store").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"other things than a table \(\.DS_Store\)"):
        parts.keep_larger_table_or_parts(tmp_path / "seen", 1, replace=False)
    with pytest.raises(UsageError, match="holds other things"):
        parts.keep_larger_table_or_parts(other, 1, replace=True)


def test_commands_take_parts_and_say_what_needs_memory(folder, tmp_path, monkeypatch, capsys):
    csv = tmp_path / "theirs.csv"
    read_predictions(folder.parent / "one.parquet").table.to_csv(csv, index=False)
    words = "--dataset", "mine", "--out", tmp_path / "imported", "--json"
    assert hemiface(monkeypatch, "import", csv, *words) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 24
    assert (tmp_path / "imported" / "part-00000.parquet").is_file()
    monkeypatch.setenv("HEMIFACE_MAX_MEMORY_ROWS", "23")
    assert hemiface(monkeypatch, "calibrate", tmp_path / "imported") == 2
    told = capsys.readouterr().err.replace("\n", " ")
    assert "24 rows" in told
    assert "only report and compare" in told
    assert hemiface(monkeypatch, "compare", folder, "--mirrored", folder) == 2
    assert "24 rows" in capsys.readouterr().err
    assert hemiface(monkeypatch, "compare", folder, "--draws", 20, "--json") == 0
    assert json.loads(capsys.readouterr().out)["accuracy"]
    assert (folder.parent / "compare" / "mcnemar.csv").is_file()


def test_what_is_put_beside_or_together_may_lie_in_parts(folder, tmp_path, monkeypatch, capsys):
    one = folder.parent / "one.parquet"
    whole = read_predictions(one)
    models = sorted(set(whole.table["model"]))
    hidden = whole.table[whole.table["condition"] == "upper"]
    sides = pd.concat(
        [
            whole.table[whole.table["condition"] == "full"],
            *(hidden.assign(condition=side) for side in ("left", "right")),
        ],
        ignore_index=True,
    )
    tables = {
        "sides": replace(whole, table=sides),
        "mirrored": replace(whole, table=sides, facts={**whole.facts, "mirrored": True}),
        "by_face": replace(whole, table=sides.assign(halves="face")),
    }
    for name, table in tables.items():
        write_predictions(table, tmp_path / f"{name}.parquet")
        parts.write_parts(table, tmp_path / name, 7)

    def shown(*words):
        assert hemiface(monkeypatch, *words) == 0
        return capsys.readouterr().out

    def ensemble(source, out):
        words = ("--members", ",".join(models), "--out", tmp_path / out, "--json")
        return json.loads(shown("ensemble", source, *words))["scores"]

    assert ensemble(one, "of_one.parquet") == ensemble(folder, "of_parts")
    pd.testing.assert_frame_equal(
        parts.read_whole(tmp_path / "of_parts").table,
        read_predictions(tmp_path / "of_one.parquet").table,
    )
    for name, ending in (("a", ".parquet"), ("b", "")):
        source, mirrored, by_face = (tmp_path / f"{one}{ending}" for one in tables)
        shown("data", "across", source, "--draws", 20, "--out", tmp_path / f"{name}.csv")
        added = ("--mirrored", mirrored, "--halves", by_face)
        shown("compare", source, "--draws", 20, "--out", tmp_path / name, *added)
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_parts_that_tell_whose_halves_and_others_are_no_table(folder):
    whole = read_predictions(folder.parent / "one.parquet")
    write_predictions(
        replace(whole, table=whole.table.assign(halves="face")), folder / "face.parquet"
    )
    (folder / parts.PARTS_FILE).unlink()
    with pytest.raises(DamagedError, match=r"face\.parquet has column halves and .*part-00004"):
        parts.read_whole(folder)
