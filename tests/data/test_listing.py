"""Trees of class folders and tables of pictures: labels, splits, persons, and what is refused."""

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import hemiface as hf
from builders import grey_faces
from hemiface.cli.reading import read_images
from hemiface.data.cache import prepare
from hemiface.data.groups import joined_groups
from hemiface.data.images import Images
from hemiface.data.listed import Cut, Listed
from hemiface.data.listing import FACELESS
from hemiface.data.readers import find, load
from hemiface.data.splits import CARVED_NOTE, DEALT_NOTE, deal_splits
from hemiface.data.vocabulary import emotion_of
from hemiface.errors import DamagedError, UsageError
from hemiface.tables import EMOTIONS, SPLITS
from layouts import picture


def table(path: Path, header: str, rows: Sequence[str]) -> Path:
    """Write a CSV file and a picture for the first cell of each row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    for row in rows:
        name = row.split(",")[0]
        if name and not (path.parent / name).exists():
            picture(path.parent / name)
    return path


# Trees of class folders


def test_other_csv_files_and_hidden_ones_are_no_fault_of_a_tree(tmp_path: Path) -> None:
    for index in range(7):
        picture(tmp_path / EMOTIONS[index] / f"{index}.png")
    (tmp_path / "notes.csv").write_bytes("Jörg,war da\n".encode("latin-1"))
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "._faces.csv").write_bytes(bytes(range(256)))
    info = load(tmp_path).info
    assert info["form"] == "class folders"
    (told,) = (note for note in info["notes"] if "notes.csv is not UTF-8" in note)
    assert "Splits and persons that it may tell are not known" in told
    # Where nothing else is there, its fault is told.
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "faces.csv").write_bytes("Jörg\n".encode("latin-1"))
    with pytest.raises(DamagedError, match=r"faces\.csv is not UTF-8 text"):
        load(alone)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
def test_a_pipe_among_pictures_is_a_bad_row(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "path,label,split", ["0.png,sad,test", "1.png,happy,test"])
    (tmp_path / "1.png").unlink()
    os.mkfifo(tmp_path / "1.png")
    with pytest.raises(DamagedError, match=r"1\.png"):
        prepare(path, tmp_path / "ready")
    assert len(prepare(path, tmp_path / "ready", skip_bad=True)) == 1


def test_what_is_dealt_is_not_said_to_have_no_splits(tmp_path: Path) -> None:
    rows = [f"{index}.png,{EMOTIONS[index % 7]}" for index in range(60)]
    path = table(tmp_path / "a.csv", "path,label", rows)
    assert "to train on some, deal splits" in " ".join(load(path).info["notes"])
    assert "deal splits" not in " ".join(load(path, deal=True).info["notes"])


def test_a_tree_without_splits_is_all_test(tmp_path: Path) -> None:
    for name in ("happy/1.png", "Sadness/deep/er/2.png", "session-3/ANGER/S7/3.png"):
        picture(tmp_path / name)
    picture(tmp_path / "contempt/4.png")
    picture(tmp_path / "cover.png")
    images = load(tmp_path)
    assert images.info["form"] == "class folders"
    assert dict(zip(images.table["source"], images.table["label"], strict=True)) == {
        "Sadness/deep/er/2.png": "sad",
        "happy/1.png": "happy",
        "session-3/ANGER/S7/3.png": "angry",
    }
    assert set(images.table["split"]) == {"test"}
    assert images.info["other_labels"] == {"contempt": 1}
    said = " ".join(images.info["notes"])
    assert "1 files that are no pictures of a class were ignored, such as cover.png" in said
    assert "has no splits: all 3 images are test" in said
    assert "There are no pictures of disgust, fear, surprise, neutral." in said


def test_a_tree_may_be_called_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a folder that CK+ has too nor the folder one is in has another meaning."""
    picture(tmp_path / "faces/Emotion/happy/1.png")
    monkeypatch.chdir(tmp_path / "faces")
    images = load(".")
    assert (images.info["form"], images.info["source"]) == ("class folders", "faces")
    assert "faces has no splits" in " ".join(images.info["notes"])


def test_a_tree_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "happy/1.png")
    stray = picture(tmp_path / "hapy/2.png")
    with pytest.raises(DamagedError, match=r"^hapy is not a known class; the folders are angry,"):
        load(tmp_path)
    stray.unlink()
    picture(tmp_path / "happy/sad/3.png")
    with pytest.raises(DamagedError, match=r"^happy/sad is named after two classes"):
        load(tmp_path)


def test_a_test_split_alone_can_be_evaluated_on(tmp_path: Path) -> None:
    picture(tmp_path / "test/happy/1.png")
    images = load(tmp_path)
    assert images.table["split"].tolist() == ["test"]
    assert (
        f"{tmp_path.name} has no train split: it can be evaluated on, not trained on."
        in (images.info["notes"])
    )


def test_links_are_followed_but_never_up(tmp_path: Path) -> None:
    picture(tmp_path / "elsewhere/1.png")
    folder = tmp_path / "faces"
    folder.mkdir()
    (folder / "happy").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/round").symlink_to(folder)
    assert load(folder).table["source"].tolist() == ["happy/1.png"]


# Tables of pictures

NAMES = {
    "path,label,split,person": "a.png,happy,train,Ann",
    "Image,Emotion,Usage,Subject": "a.png,happy,train,Ann",
    "pth, label ,set,participant,relFCs": "a.png,happy,train,Ann,.5",
}


@pytest.mark.parametrize("header", NAMES)
def test_columns_have_several_names(tmp_path: Path, header: str) -> None:
    known = ["a.png,Happiness,Training,Ann", "b.png,sad,VAL,Bob", "c.png,fearful,test,"]
    rows = [f"{row},.5" if "relFCs" in header else row for row in [*known, "d.png,sad,test,"]]
    images = load(table(tmp_path / "mine.csv", header, rows))
    assert images.table["label"].tolist() == ["happy", "sad", "fear", "sad"]
    assert images.table["split"].tolist() == ["train", "validation", "test", "test"]
    assert images.table["person"].tolist() == ["Ann", "Bob", "", ""]
    assert images.table["group"].nunique() == 4  # nobody knows whether c and d are one person
    assert set(images.table["dataset"]) == {"mine"}


def test_a_folder_stands_for_its_table_even_beside_class_folders(tmp_path: Path) -> None:
    rows = ["sad/1.png,sad,Ann", "happy/1.png,happy,Ann", "happy/2.png,happy,Bob"]
    table(tmp_path / "faces/labels.csv", "image,label,person", rows)
    images = load(tmp_path / "faces")
    assert images.info["form"] == "table of pictures"
    assert set(images.table["dataset"]) == {"faces"}
    assert images.info["persons"] == images.table["group"].nunique() == 2
    table(tmp_path / "faces/more.csv", "image,label", rows[:1])
    with pytest.raises(UsageError, match=r"holds 2 tables of pictures \(labels\.csv, more\.csv\)"):
        load(tmp_path / "faces")


def test_tables_that_are_called_after_splits_are_one_source(tmp_path: Path) -> None:
    for name in ("train", "val", "test"):
        table(tmp_path / f"{name}.csv", "path,label", [f"{name}/1.png,sad", f"{name}/2.png,fear"])
    images = load(tmp_path)
    assert dict(zip(images.table["source"], images.table["split"], strict=True)) == {
        f"{name}/{number}.png": {"val": "validation"}.get(name, name)
        for name in ("train", "val", "test")
        for number in (1, 2)
    }
    assert load(tmp_path / "test.csv").table["split"].tolist() == ["test"] * 2


BAD_ROWS = {
    "e.png,joyful,test": "has label 'joyful', expected angry",
    "e.png,3,test": r"has label '3', .*numbers have no one order",
    "e.png,sad,fold1": "has split 'fold1', expected train",
    ",sad,test": "names no picture",
}


@pytest.mark.parametrize("row", BAD_ROWS)
def test_a_bad_row_is_named(tmp_path: Path, row: str) -> None:
    path = table(tmp_path / "a.csv", "path,label,split", ["a.png,sad,test", row])
    with pytest.raises(DamagedError, match=rf"^a\.csv, line 3 {BAD_ROWS[row]}"):
        load(path)
    images = load(path, skip_bad=True)
    assert (len(images), len(images.info["skipped"])) == (1, 1)


def test_a_picture_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "path,label", ["a.png,sad", "b.png,sad"])
    (tmp_path / "b.png").unlink()
    with pytest.raises(DamagedError, match=r"^b\.png can't be opened: it is no file"):
        load(path)
    (tmp_path / "a.png").unlink()
    with pytest.raises(DamagedError, match="has no picture left to read"):
        load(path, skip_bad=True)


def test_what_a_table_lacks_is_told(tmp_path: Path) -> None:
    other = table(tmp_path / "a.csv", "name,feeling", [])
    with pytest.raises(
        DamagedError, match=r"expected emotion, pixels and Usage, or path and label"
    ):
        load(other)
    with pytest.raises(DamagedError, match=r"a table of pictures \(path, label\), folders named"):
        find(tmp_path)
    with pytest.raises(DamagedError, match="parted by semicolons; save it as CSV UTF-8"):
        load(table(tmp_path / "b.csv", "path;label", []))
    with pytest.raises(UsageError, match="two columns label; leave one of them out"):
        load(table(tmp_path / "c.csv", "path,label,label", ["a.png,happy,sad"]))


# Persons, groups, splits


def test_a_person_is_in_one_split(tmp_path: Path) -> None:
    rows = ["a.png,sad,train,Ann", "b.png,sad,test,Ann", "c.png,fear,test,Bob"]
    path = table(tmp_path / "a.csv", "path,label,split,person", rows)
    with pytest.raises(DamagedError, match=r"person Ann is in (train and test|test and train)"):
        load(path)


def test_persons_and_copies_are_joined(tmp_path: Path) -> None:
    """b is Bob's and a copy of a, which is Ann's: whoever it shows, they share a fate."""
    rows = ["a.png,sad,Ann", "b.png,sad,Bob", "c.png,sad,Bob", "d.png,sad,Cay", "e.png,sad,"]
    path = table(tmp_path / "a.csv", "path,label,person", rows)
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes())
    images = load(path)
    first = images.table["image"]
    assert images.table["group"].tolist() == [first[0], first[0], first[0], first[3], first[4]]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-1, 4)), min_size=1, max_size=25))
def test_groups_are_the_closure_of_what_joins_rows(rows: list[tuple[int, int]]) -> None:
    copies = [f"c{one}" for one, _ in rows]
    persons = ["" if one < 0 else f"p{one}" for _, one in rows]
    # Floyd and Warshall's closure of "same copy or same person".
    joined = np.array([[a == c or (b == d >= 0) for c, d in rows] for a, b in rows], dtype=bool)
    for k in range(len(rows)):
        joined |= np.outer(joined[:, k], joined[k])
    assert joined_groups(copies, persons).tolist() == joined.argmax(axis=1).tolist()


def people(n: int, each: int) -> Images:
    """Images of n persons, each of whom has several."""
    size = n * each
    return Images.build(
        grey_faces(size),
        labels=[EMOTIONS[index % 7] for index in range(size)],
        splits=["test"] * size,
        dataset="people",
        sources=[f"people:{index}" for index in range(size)],
        persons=[f"P{index // each}" for index in range(size)],
    )


@pytest.mark.parametrize(("n", "tenth"), [(3, 1), (10, 1), (11, 2), (40, 4)])
def test_splits_are_dealt_by_person(n: int, tenth: int) -> None:
    dealt = deal_splits(people(n, 3))
    splits = dealt.table.groupby("person")["split"].unique()
    assert (splits.map(len) == 1).all()
    counts = splits.map(lambda one: one[0]).value_counts().to_dict()
    assert counts == {"train": n - 2 * tenth, "validation": tenth, "test": tenth}
    again = deal_splits(dealt)
    assert again.table.equals(dealt.table)
    assert again.info["notes"] == dealt.info["notes"]
    assert again.info["notes"][0] == DEALT_NOTE
    lacking = dealt.table.groupby("split")["label"].nunique() < 7
    told = {one.rstrip(".").split()[-1] for one in again.info["notes"][1:]}
    assert told == set(lacking[lacking].index)


def test_two_persons_are_no_three_splits() -> None:
    with pytest.raises(DamagedError, match=r"need three groups .* there are 2"):
        deal_splits(people(2, 9))


def test_what_is_dealt_stays_so_through_the_cache(tmp_path: Path) -> None:
    """Near duplicates join persons, whose splits are dealt again as whole groups."""
    rows = [f"{index}.png,{EMOTIONS[index % 7]},P{index // 4}" for index in range(40)]
    path = table(tmp_path / "a.csv", "path,label,person", rows)
    (tmp_path / "39.png").write_bytes((tmp_path / "0.png").read_bytes())
    images = prepare(path, tmp_path / "ready", deal=True)
    assert (images.table.groupby("group")["split"].nunique() == 1).all()
    assert images.table["group"].nunique() == 9
    ends = images.table[images.table["person"].isin(["P0", "P9"])]
    assert ends["group"].nunique() == 1
    assert set(images.table["split"]) == {"train", "validation", "test"}
    stamp = (tmp_path / "ready/images.parquet").stat().st_mtime_ns
    assert prepare(path, tmp_path / "ready", deal=True).table.equals(images.table)
    assert (tmp_path / "ready/images.parquet").stat().st_mtime_ns == stamp
    assert set(prepare(path, tmp_path / "ready").table["split"]) == {"test"}


def test_an_evaluation_deals_as_a_training_did(tmp_path: Path) -> None:
    """A near duplicate of a training image mustn't become a test image; nor a run be dealt anew."""
    rows = [f"{index}.png,{EMOTIONS[index % 7]}" for index in range(60)]
    path = table(tmp_path / "a.csv", "path,label", rows)
    for index in range(30):
        with Image.open(tmp_path / f"{index}.png") as picture:
            picture.point(lambda grey: min(255, grey + 2)).save(tmp_path / f"{index + 30}.png")
    trained = prepare(path, tmp_path / "ready", deal=True, near_duplicates=False)
    read = hf.load_images(path, deal=True)
    pd.testing.assert_frame_equal(
        read.table, read_images(str(path), lambda *_: None, deal=True).table
    )
    pd.testing.assert_frame_equal(read.table, trained.table)
    assert read.info["data_sha256"] == trained.info["data_sha256"]
    # By exact copies alone, as before, some would change sides.
    assert load(path, deal=True).table["split"].tolist() != trained.table["split"].tolist()
    exact = prepare(path, tmp_path / "exact", deal=True, near_duplicates=False)
    again = read_images(str(tmp_path / "exact"), lambda *_: None)
    assert again.table["split"].tolist() == exact.table["split"].tolist()


def test_crops_in_arrays_can_be_dealt_too() -> None:
    before, after = load("phantom:n=70"), load("phantom:n=70", deal=True)
    assert before.table["image"].tolist() == after.table["image"].tolist()
    assert after.table["split"].value_counts().to_dict() == {
        "train": 56, "validation": 7, "test": 7,
    }  # fmt: skip


def test_validation_is_carved_of_whole_persons(tmp_path: Path) -> None:
    rows = [f"{index}.png,sad,train,P{index // 5}" for index in range(50)]
    rows += ["99.png,sad,test,Q"]
    images = load(table(tmp_path / "a.csv", "path,label,split,person", rows))
    assert CARVED_NOTE in images.info["notes"]
    # Of the splits as they are now, whatever was noted of the train split before.
    others = ", ".join(one for one in EMOTIONS if one != "sad")
    absent = [f"There are no pictures of {others} in {one}." for one in SPLITS]
    assert images.info["notes"][-3:] == absent
    carved = images.table[images.table["split"] == "validation"]
    assert (len(carved), carved["person"].nunique()) == (5, 1)


@pytest.mark.parametrize("word", ["SAD", " Happiness", "Contempt", "anger", "joy"])
def test_words_of_emotions_know_no_case(word: str) -> None:
    assert emotion_of(word) == emotion_of(f" {word.strip().upper()} ")
    assert (emotion_of(word) is None) == (word == "joy")


# Faces to be found


class _EveryThird:
    """Stands for what finds faces: every third picture shows none, every fifth can't be read."""

    key = "every third"

    def __call__(self, pictures: Sequence[Listed]) -> Iterator[Cut]:
        for index, face in enumerate(grey_faces(len(pictures), seed=7)):
            if index % 5 == 4:
                yield Cut(problem="is torn")
            else:
                yield Cut() if index % 3 == 2 else Cut(face, faces=1 + index % 2)


def test_faces_that_are_not_found_are_counted_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    rows = [f"{index:02}.png,sad,P{index}" for index in range(15)]
    path = table(tmp_path / "a.csv", "path,label,person", rows)
    with pytest.raises(DamagedError, match=r"^04\.png is torn; mend it, or leave it out"):
        load(path, align=_EveryThird())
    images = load(path, skip_bad=True, align=_EveryThird())
    kept = [index for index in range(15) if index % 5 != 4 and index % 3 != 2]
    assert images.table["source"].tolist() == [f"{index:02}.png" for index in kept]
    np.testing.assert_array_equal(images.pixels, grey_faces(15, seed=7)[kept])
    assert images.table["person"].tolist() == [f"P{index}" for index in kept]
    faceless = [f"{index:02}.png {FACELESS}." for index in range(15) if index % 15 in (2, 5, 8, 11)]
    torn = [f"{index:02}.png is torn." for index in (4, 9, 14)]
    assert images.info["skipped"] == [*torn, *faceless]
    several = sum(index % 2 for index in kept)
    assert images.info["aligned"] == {"found": 8, "without": 4, "several": several}
    assert "4 of 12 pictures show no face that was found and were left out" in caplog.text
    assert f"pictures with several faces: {several};" in caplog.text


def test_what_aligns_is_part_of_the_key(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "path,label", ["a.png,sad", "b.png,fear"])
    aligned = prepare(path, tmp_path / "run", align=_EveryThird(), near_duplicates=False)
    plain = prepare(path, tmp_path / "run", near_duplicates=False)
    assert aligned.info["data_sha256"] != plain.info["data_sha256"]
    other = _EveryThird()
    other.key = "others"
    keys = {
        prepare(path, tmp_path / "run", align=one, near_duplicates=False).info["prepare_key"]
        for one in (_EveryThird(), other)
    }
    assert len(keys) == 2


def test_crops_in_arrays_are_not_searched_for_faces() -> None:
    with pytest.raises(UsageError, match=r"cut out already .* --align is for pictures"):
        load("phantom:n=70", align=_EveryThird())


@pytest.mark.data
def test_photographs_of_lfw(shared_data: Path, tmp_path: Path) -> None:
    """Rows of the published table, read by pandas, with paths that are absolute."""
    folder = shared_data / "lfw_expressions"
    known = pd.read_csv(folder / "labels.csv").groupby("label").head(12)
    assert find(folder).path == folder / "labels.csv"
    absolute = known.assign(image=[str(folder / name) for name in known["image"]])
    absolute.to_csv(tmp_path / "some.csv", index=False)
    images = load(tmp_path / "some.csv")
    assert images.table["source"].tolist() == absolute["image"].tolist()
    assert images.table["label"].tolist() == known["label"].tolist()
    assert images.table["person"].tolist() == known["person"].tolist()
    assert images.info["persons"] == images.table["group"].nunique() == known["person"].nunique()
    assert images.info["converted"] == {"resized": len(known)}
