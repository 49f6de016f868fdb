"""Data sets of the hub: made on disk by the library itself, where it is installed."""

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from builders import grey_faces, hemiface
from hemiface.data.cache import prepare
from hemiface.data.readers import find, load
from hemiface.data.sets.hub import HubSource, _person
from hemiface.errors import DamagedError, HemifaceError, UsageError
from hemiface.tables import EMOTIONS

NAMES = ["Anger", "Contempt", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise"]
OURS = ["angry", None, "disgust", "fear", "happy", "neutral", "sad", "surprise"]
FACES = grey_faces(16)


@pytest.fixture(scope="module")
def library() -> Any:
    return pytest.importorskip("datasets", reason="hf:NAME needs the library datasets")


def rows(library: Any, numbers: range = range(16), **columns: list[Any]) -> Any:
    """A data set of grey faces with every class in turn, as its authors would make it."""
    encoded = []
    for number in numbers:
        content = io.BytesIO()
        Image.fromarray(FACES[number]).save(content, "PNG")
        encoded.append({"bytes": content.getvalue(), "path": None})
    features = library.Features(
        {
            "picture": library.Image(),
            "label": library.ClassLabel(names=NAMES),
            **{name: library.Value("string") for name in columns},
        }
    )
    known = {"picture": encoded, "label": [number % 8 for number in numbers], **columns}
    return library.Dataset.from_dict(known, features=features)


def kept(images: Any) -> list[int]:
    """Which of FACES the images are."""
    return [int(np.flatnonzero((one == FACES).all((1, 2)))[0]) for one in images.pixels]


def test_nobody_is_no_person(library: Any, tmp_path: Path) -> None:
    subjects = [None, None, "P", "P"] * 4
    rows(library, range(16), subject=subjects).save_to_disk(tmp_path / "faces")
    images = load(f"hf:{tmp_path / 'faces'},person=subject")
    persons = images.table["person"].fillna("").tolist()
    assert set(persons) == {"", "P"}
    alone = images.table[images.table["person"].fillna("") == ""]
    assert alone["group"].nunique() == len(alone)


def test_numbers_of_persons_with_gaps_are_numbers(library: Any, tmp_path: Path) -> None:
    """A column with gaps comes as floats, and a gap is nobody rather than a person called nan."""
    assert _person(float("nan")) == _person(float("inf")) == ""
    assert (_person(3.0), _person(2.5), _person(7), _person("a")) == ("3", "2.5", "7", "a")
    known = rows(library, range(16))
    subjects = [float("nan"), float("nan"), 1.0, 2.0] * 4
    known = known.add_column("subject", subjects)
    known.save_to_disk(tmp_path / "faces")
    images = load(f"hf:{tmp_path / 'faces'},person=subject")
    assert set(images.table["person"].fillna("")) == {"", "1", "2"}


def test_splits_labels_and_persons(library: Any, tmp_path: Path) -> None:
    subjects = [f"P{number // 4}" for number in range(16)]
    whole = library.DatasetDict(
        {
            name: rows(library, part, subject=[subjects[number] for number in part])
            for name, part in (
                ("train", range(8)), ("validation", range(8, 12)), ("test", range(12, 16)),
            )
        }
    )  # fmt: skip
    whole.save_to_disk(tmp_path / "faces")
    source = f"hf:{tmp_path / 'faces'}"
    assert find(source).form == "hub"
    images = load(source)
    expected = [number for number in range(16) if number % 8 != 1]
    assert kept(images) == expected
    assert images.table["label"].tolist() == [OURS[number % 8] for number in expected]
    splits = ["train"] * 8 + ["validation"] * 4 + ["test"] * 4
    assert images.table["split"].tolist() == [splits[number] for number in expected]
    assert images.table["person"].tolist() == [subjects[number] for number in expected]
    assert images.table["source"].tolist()[0] == "train:0"
    assert images.info["other_labels"] == {"contempt": 2}
    assert set(images.table["dataset"]) == {"faces"}
    assert images.table["group"].nunique() == 4


def test_one_split_called_train_is_no_split(library: Any, tmp_path: Path) -> None:
    rows(library).to_parquet(tmp_path / "faces/train.parquet")
    images = load(f"hf:{tmp_path / 'faces'}")
    assert set(images.table["split"]) == {"test"}
    assert kept(images) == [number for number in range(16) if number % 8 != 1]


def test_words_as_labels_in_a_column_that_is_named(library: Any, tmp_path: Path) -> None:
    feelings = [EMOTIONS[number % 7] for number in range(16)]
    rows(library, feeling=feelings).save_to_disk(tmp_path / "faces")
    images = load(f"hf:{tmp_path / 'faces'},label=feeling,image=picture")
    assert images.table["label"].tolist() == feelings
    with pytest.raises(UsageError, match=r"has no column mood; it has picture, label, feeling"):
        load(f"hf:{tmp_path / 'faces'},label=mood")
    with pytest.raises(UsageError, match=r"Column picture of .* holds neither words nor numbers"):
        load(f"hf:{tmp_path / 'faces'},label=picture")


def test_a_word_that_is_no_emotion_is_named(library: Any, tmp_path: Path) -> None:
    feelings = ["sad"] * 15 + ["bored"]
    rows(library, feeling=feelings).save_to_disk(tmp_path / "faces")
    source = f"hf:{tmp_path / 'faces'},label=feeling"
    with pytest.raises(DamagedError, match=r"faces:15 has label 'bored'"):
        load(source)
    assert len(load(source, skip_bad=True)) == 15


def test_what_is_ready_is_read_again_until_a_picture_changes(library: Any, tmp_path: Path) -> None:
    rows(library).save_to_disk(tmp_path / "faces")
    source, ready = f"hf:{tmp_path / 'faces'}", tmp_path / "run"
    first = prepare(source, ready, near_duplicates=False)
    stamp = (ready / "images.parquet").stat().st_mtime_ns
    assert prepare(source, ready, near_duplicates=False).table.equals(first.table)
    assert (ready / "images.parquet").stat().st_mtime_ns == stamp
    rows(library, range(2, 16)).save_to_disk(tmp_path / "others")
    (tmp_path / "faces").rename(tmp_path / "before")
    (tmp_path / "others").rename(tmp_path / "faces")
    assert len(prepare(source, ready, near_duplicates=False)) == 13


@pytest.mark.usefixtures("library")
def test_a_name_that_cannot_be_had_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(HemifaceError, match=r"empty can't be had \(.*\); check its name, your net"):
        load(f"hf:{tmp_path / 'empty'}")


def test_without_the_library_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert hemiface(monkeypatch, "data", "check", "hf:someone/faces") == 1
    told = capsys.readouterr().err
    assert told == (
        "hemiface: hf:NAME needs the library datasets (datasets isn't installed); pip install "
        "'hemiface[hub]'.\n"
    )


def test_the_parts_of_a_source() -> None:
    known = HubSource.of("hf:someone/faces, config=raw ,revision=v1,image=a,label=b,person=c")
    assert known == HubSource("someone/faces", "raw", "v1", "a", "b", "c")
    for source in ("hf:faces,colour=red", "hf:faces,label=", "hf:faces,label"):
        with pytest.raises(UsageError, match="is not an option; write hf:NAME and config="):
            find(source)
    with pytest.raises(UsageError, match="names no data set"):
        find("hf:")
