"""The published data sets, read from made folders that are laid out as theirs."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import layouts
from builders import grey_faces
from hemiface.data.images import Images
from hemiface.data.listed import Cut, Listed
from hemiface.data.pictures import read_picture
from hemiface.data.readers import find, load
from hemiface.errors import DamagedError, MissingError
from hemiface.tables import EMOTIONS

FORMS: dict[str, Callable[[Path], Path]] = {
    "raf-db": layouts.rafdb,
    "affectnet": layouts.affectnet_tables,
    "ck+": layouts.ckplus,
    "ck+48": layouts.ckplus_crops,
    "kdef": layouts.kdef,
    "jaffe": layouts.jaffe,
    "ferplus": layouts.ferplus,
}


def told(images: Images, *columns: str) -> dict[str, tuple[str, ...]]:
    """What the table says of each picture, by its name."""
    rows = images.table[list(columns)].itertuples(index=False, name=None)
    return dict(zip(images.table["source"], rows, strict=True))


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_told_by_what_lies_there(tmp_path: Path, form: str) -> None:
    folder = FORMS[form](tmp_path / "faces")
    assert find(folder).form == form
    images = load(folder)
    assert (images.info["form"], images.info["source"]) == (form, "faces")
    assert images.info["skipped"] == []
    # The pictures are those of the files, each converted by itself.
    for name, pixels in zip(images.table["source"], images.pixels, strict=True):
        # AffectNet's names begin below the folder of its images.
        path = folder / name if (folder / name).is_file() else next(folder.rglob(Path(name).name))
        box = (10, 20, 30, 40) if form == "affectnet" else None
        expected = read_picture(path, box)
        assert not isinstance(expected, str)
        np.testing.assert_array_equal(pixels, expected[0])
    # A form may be named instead of being told.
    assert load(f"{form}:{folder}").table.equals(images.table)


@pytest.mark.parametrize("form", FORMS)
def test_any_changed_picture_makes_another_source(tmp_path: Path, form: str) -> None:
    folder = FORMS[form](tmp_path / "faces")
    before = load(folder)
    name = Path(before.table["source"].iloc[3]).name
    layouts.picture(next(folder.rglob(name)), 64)
    after = load(folder)
    assert before.info["source_sha256"] != after.info["source_sha256"]
    assert (before.table["sha256"] != after.table["sha256"]).sum() == 1


def test_rafdb(tmp_path: Path) -> None:
    images = load(layouts.rafdb(tmp_path))
    expected = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")
    for split in ("train", "test"):
        for number, label in enumerate(expected, 1):
            name = f"basic/Image/aligned/{split}_{number:05}_aligned.jpg"
            known, where = told(images, "label", "split")[name]
            assert known == label
            assert where in ({"train", "validation"} if split == "train" else {"test"})
    assert images.info["validation_carved"]
    assert set(images.table["dataset"]) == {"raf-db"}


def test_rafdb_by_the_folder_of_its_list(tmp_path: Path) -> None:
    layouts.rafdb(tmp_path)
    whole = load(tmp_path)
    own = load(tmp_path / "basic" / "EmoLabel")
    assert own.table["label"].tolist() == whole.table["label"].tolist()
    assert own.table["sha256"].tolist() == whole.table["sha256"].tolist()


def test_rafdb_in_folders_of_numbers(tmp_path: Path) -> None:
    whole = load(layouts.rafdb(tmp_path / "published"))
    for path in sorted((tmp_path / "published").rglob("*.jpg")):
        split, number, _ = path.stem.split("_")
        target = tmp_path / "kaggle/DATASET" / split / str(int(number)) / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    again = load(tmp_path / "kaggle")
    assert again.info["form"] == "raf-db"
    assert again.table.set_index("sha256")["label"].to_dict() == (
        whole.table.set_index("sha256")["label"].to_dict()
    )


def test_half_of_rafdb_says_what_was_looked_for(tmp_path: Path) -> None:
    folder = layouts.rafdb(tmp_path / "a", original=True)
    with pytest.raises(DamagedError, match=r"Image/aligned isn't there.* --align"):
        load(folder)
    shutil.rmtree(folder / "basic/Image")
    with pytest.raises(DamagedError, match="neither Image/aligned nor Image/original"):
        load(folder)
    folder = layouts.rafdb(tmp_path / "b")
    table = folder / "basic/EmoLabel/list_patition_label.txt"
    table.write_text(table.read_text() + "train_00008.jpg 12\n")
    with pytest.raises(DamagedError, match=r"_label\.txt, line 15 has label '12', expected 1 to 7"):
        load(folder)
    assert len(load(folder, skip_bad=True)) == 14


@pytest.mark.parametrize("skip_bad", [False, True])
def test_the_compound_set_is_not_read_as_the_basic_one(tmp_path: Path, skip_bad: bool) -> None:
    # Its 4 is sadly angry: without its rows of 8 and above the others would have wrong labels.
    folder = layouts.rafdb(tmp_path / "a")
    table = folder / "basic/EmoLabel/list_patition_label.txt"
    table.write_text(table.read_text() + "train_00008.jpg 8\n")
    with pytest.raises(DamagedError, match=r"line 15 has label 8: this is RAF-DB's compound set"):
        load(folder, skip_bad=skip_bad)
    for split, number in (("train", 4), ("train", 11), ("test", 4)):
        layouts.picture(tmp_path / f"b/{split}/{number}/{split}_{number:04}_aligned.jpg", 100)
    with pytest.raises(DamagedError, match=r"has a folder train/11: this is RAF-DB's compound"):
        load(f"raf-db:{tmp_path / 'b'}", skip_bad=skip_bad)


class _Seen:
    """Stands for what finds faces: remembers what it is given, and finds one in each."""

    key = "seen"

    def __init__(self) -> None:
        self.given: list[Listed] = []

    def __call__(self, pictures: Sequence[Listed]) -> Iterator[Cut]:
        self.given += pictures
        return (Cut(face, faces=1) for face in grey_faces(len(pictures)))


def test_faces_are_found_in_the_original_photos(tmp_path: Path) -> None:
    layouts.rafdb(tmp_path / "faces")
    layouts.rafdb(tmp_path / "faces", original=True)
    align = _Seen()
    images = load(tmp_path / "faces", align=align)
    assert [one.name for one in align.given] == images.table["source"].tolist()
    assert images.table["source"].iloc[0] == "basic/Image/original/train_00001.jpg"
    crops = load(tmp_path / "faces")
    assert crops.table["source"].iloc[0] == "basic/Image/aligned/train_00001_aligned.jpg"
    assert crops.info["source_sha256"] != images.info["source_sha256"]
    # Without originals the aligned ones are what there is.
    shutil.rmtree(tmp_path / "faces/basic/Image/original")
    assert load(tmp_path / "faces", align=_Seen()).table["source"].iloc[0].endswith("_aligned.jpg")


def test_boxes_are_handed_to_what_finds_faces(tmp_path: Path) -> None:
    align = _Seen()
    load(layouts.affectnet_tables(tmp_path), align=align)
    assert {one.box for one in align.given} == {(10.0, 20.0, 30.0, 40.0)}


def test_affectnet_by_tables(tmp_path: Path) -> None:
    images = load(layouts.affectnet_tables(tmp_path))
    expected = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry")
    labels = told(images, "label", "split")
    assert {name: known[0] for name, known in labels.items()} == {
        f"{number}/{name}{number}.jpg": label
        for name in ("training", "validation")
        for number, label in enumerate(expected)
    }
    # What papers call the validation set is what they test on.
    assert {labels[f"{n}/validation{n}.jpg"][1] for n in range(7)} == {"test"}
    assert {labels[f"{n}/training{n}.jpg"][1] for n in range(7)} == {"train", "validation"}
    others = {"contempt": 2, "none": 2, "non-face": 2, "uncertain": 2}
    assert images.info["other_labels"] == others
    assert "2 contempt, 2 non-face" in " ".join(images.info["notes"])
    # A table alone stands for its own pictures.
    assert set(load(tmp_path / "validation.csv").table["split"]) == {"test"}


def test_labels_that_a_network_gave_are_no_truth(tmp_path: Path) -> None:
    folder = layouts.affectnet_tables(tmp_path)
    whole = load(folder)
    table = folder / "automatically_annotated.csv"
    shutil.copy(folder / "training.csv", table)
    again = load(folder)
    assert again.table["sha256"].tolist() == whole.table["sha256"].tolist()
    assert (
        "automatically_annotated.csv was left out: its labels are a network's."
        in (again.info["notes"])
    )
    (folder / "training.csv").unlink()
    (folder / "validation.csv").unlink()
    with pytest.raises(DamagedError, match=r"no labels but those of automatically_annotated\.csv"):
        load(folder)
    named = load(table)
    assert len(named) == 7
    assert any("its labels are a network's" in note for note in named.info["notes"])


@pytest.mark.parametrize("label", ["0011", "11", "9" * 5000, "-1", ""])
def test_affectnets_wrong_labels_are_bad_rows(tmp_path: Path, label: str) -> None:
    layouts.affectnet_tables(tmp_path)
    before = len(load(tmp_path))
    path = tmp_path / "validation.csv"
    lines = path.read_text().splitlines()
    header = lines[0].split(",")
    cells = lines[1].split(",")
    cells[header.index("expression")] = label
    path.write_text("\n".join([lines[0], ",".join(cells), *lines[2:], ""]))
    with pytest.raises(DamagedError, match="has expression"):
        load(tmp_path)
    assert len(load(tmp_path, skip_bad=True)) == before - 1


def test_affectnet_by_files(tmp_path: Path) -> None:
    images = load(layouts.affectnet_files(tmp_path))
    assert told(images, "label")["val_set/images/3.jpg"] == ("surprise",)
    assert told(images, "label")["train_set/images/6.jpg"] == ("angry",)
    assert images.info["other_labels"] == {"contempt": 2}
    assert len(images) == 14
    for bad in (np.array(np.inf), np.array(1 + 2j), np.array("x")):
        np.save(tmp_path / "val_set/annotations/2_exp.npy", bad)
        assert len(load(tmp_path, skip_bad=True)) == 13
    (tmp_path / "val_set/annotations/2_exp.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(DamagedError, match=r"^val_set/annotations/2_exp\.npy holds no number"):
        load(tmp_path)
    assert len(load(tmp_path, skip_bad=True)) == 13
    for path in (tmp_path / "val_set/annotations").iterdir():
        path.unlink()
    with pytest.raises(DamagedError, match=r"val_set/annotations holds no label \(0_exp\.npy"):
        load(tmp_path)


def test_pickled_labels_are_not_run(tmp_path: Path) -> None:
    """A .npy file of objects can hold code: it is no number."""
    layouts.affectnet_files(tmp_path)
    np.save(tmp_path / "train_set/annotations/0_exp.npy", np.array(Images, dtype=object))
    with pytest.raises(DamagedError, match=r"0_exp\.npy holds no number"):
        load(tmp_path)


def test_a_picture_that_is_gone_is_one_bad_row_even_if_it_is_the_first(tmp_path: Path) -> None:
    layouts.affectnet_tables(tmp_path)
    (tmp_path / "Manually_Annotated_Images/0/validation0.jpg").unlink()
    with pytest.raises(DamagedError, match=r"0/validation0\.jpg"):
        load(tmp_path)
    assert "0/validation0.jpg" not in told(load(tmp_path, skip_bad=True), "label")


def test_affectnet_without_its_pictures_says_where_it_looked(tmp_path: Path) -> None:
    layouts.affectnet_tables(tmp_path)
    shutil.rmtree(tmp_path / "Manually_Annotated_Images")
    with pytest.raises(DamagedError, match=r"names 0/training0\.jpg, which is in none of Manually"):
        load(tmp_path)


def test_ckplus_takes_the_peak_and_the_first_frame(tmp_path: Path) -> None:
    images = load(layouts.ckplus(tmp_path))
    assert told(images, "label", "split", "person") == {
        f"cohn-kanade-images/{name}.png": (label, "test", person)
        for name, label, person in (
            ("S005/001/S005_001_00000004", "disgust", "S005"),
            ("S005/001/S005_001_00000001", "neutral", "S005"),
            ("S010/001/S010_001_00000004", "happy", "S010"),
            ("S010/001/S010_001_00000001", "neutral", "S010"),
            ("S010/002/S010_002_00000004", "surprise", "S010"),
            ("S010/002/S010_002_00000001", "neutral", "S010"),
        )
    }
    assert images.info["other_labels"] == {"contempt": 1}
    assert f"{tmp_path.name}: 1 sequences have no label." in images.info["notes"]
    assert images.table.groupby("person")["group"].nunique().to_dict() == {"S005": 1, "S010": 1}


def test_half_of_ckplus_says_what_was_looked_for(tmp_path: Path) -> None:
    layouts.ckplus(tmp_path)
    label = next(tmp_path.rglob("*_emotion.txt"))
    label.write_text("8.0")
    with pytest.raises(DamagedError, match=r"_emotion\.txt holds no number from 0 to 7"):
        load(tmp_path)
    (tmp_path / "cohn-kanade-images").rename(tmp_path / "images")
    with pytest.raises(DamagedError, match="has no cohn-kanade-images/; unpack it there"):
        load(tmp_path)
    (tmp_path / "images").rename(tmp_path / "cohn-kanade-images")
    shutil.rmtree(tmp_path / "Emotion")
    with pytest.raises(DamagedError, match=r"has no Emotion/ \(Emotion_labels\.zip\)"):
        load(tmp_path)


def test_ckplus_crops_have_the_persons_of_their_names(tmp_path: Path) -> None:
    images = load(layouts.ckplus_crops(tmp_path))
    assert set(images.table["dataset"]) == {"ck+"}
    assert images.info["other_labels"] == {"contempt": 3}
    assert told(images, "label", "person")["sadness/S012_006_00000015.png"] == ("sad", "S012")
    assert images.table["group"].nunique() == images.info["persons"] == 4
    assert "There are no pictures of neutral." in images.info["notes"]


def test_kdef_is_straight_unless_all_are_asked_for(tmp_path: Path) -> None:
    images = load(layouts.kdef(tmp_path))
    assert len(images) == 21
    assert told(images, "label", "person", "session")["AF01/AF01AFS.JPG"] == ("fear", "F01", "A")
    assert told(images, "label", "person", "session")["BF01/BF01SUS.JPG"] == (
        "surprise", "F01", "B",
    )  # fmt: skip
    # F01 of both sessions is one woman, M01 is somebody else.
    assert images.table.groupby("group")["person"].unique().map(list).tolist() in (
        [["F01"], ["M01"]], [["M01"], ["F01"]],
    )  # fmt: skip
    assert "21 full right, 21 half left" in images.info["notes"][0]
    everything = load(f"kdef-all:{tmp_path}")
    assert everything.table["angle"].value_counts().to_dict() == dict.fromkeys(
        ("straight", "half left", "full right"), 21
    )


def test_jaffe(tmp_path: Path) -> None:
    images = load(layouts.jaffe(tmp_path))
    labels = told(images, "label", "person")
    assert labels["KA.FE1.3.tiff"] == ("fear", "KA")
    assert labels["YM.AN1.100.tiff"] == ("angry", "YM")
    assert len(labels) == 14
    assert images.table["group"].nunique() == 2


@pytest.mark.parametrize("by_table", [False, True])
def test_ferplus_images(tmp_path: Path, by_table: bool) -> None:
    images = load(layouts.ferplus(tmp_path, by_table=by_table))
    assert images.info["form"] == "ferplus"
    assert images.table["split"].tolist() == ["train"] * 3 + ["validation"] * 3 + ["test"] * 3
    assert images.table["label"].tolist() == ["neutral", "happy", "disgust"] * 3
    assert images.info["other_labels"] == {"contempt": 3}
    assert images.table["votes_angry"].tolist() == [3, 0, 0] * 3
    assert (images.table.filter(like="votes_").sum(axis=1) == 10).all()
    majority = load(f"ferplus-majority:{tmp_path}")
    assert majority.table["label"].tolist() == ["happy", "disgust"] * 3
    assert majority.info["other_labels"] == {"contempt": 3, "no majority": 3}


@pytest.mark.parametrize("by_table", [False, True])
def test_of_a_name_that_occurs_twice_the_picture_that_was_written_last_counts(
    tmp_path: Path, by_table: bool
) -> None:
    folder = layouts.ferplus(tmp_path, by_table=by_table)
    once = load(folder)
    assert not any("later row" in note for note in once.info["notes"])
    name = Path(once.table["source"].iloc[0]).name
    table = folder / ("fer2013new.csv" if by_table else "FER2013Train/label.csv")
    before = "Training," if by_table else ""
    box = "" if by_table else '"(0, 0, 48, 48)",'
    with table.open("a") as file:
        file.write(f"{before}{name},{box}0,0,0,0,10,0,0,0,0,0\n")
    twice = load(folder)
    assert len(twice) == len(once)
    assert told(twice, "label")[f"FER2013Train/{name}"] == ("angry",)
    assert any("1 rows name a picture that a later row" in note for note in twice.info["notes"])


def test_ferplus_without_votes_says_what_was_looked_for(tmp_path: Path) -> None:
    folder = layouts.ferplus(tmp_path / "faces")
    (folder / "FER2013Valid/label.csv").unlink()
    with pytest.raises(DamagedError, match=r"neither label\.csv in each .* nor fer2013new\.csv"):
        load(folder)
    layouts.ferplus(folder)
    with (folder / "FER2013Test/label.csv").open("a") as file:
        file.write('fer0000009.png,"(0, 0, 48, 48)",1,2\n')
    with pytest.raises(DamagedError, match=r"^FER2013Test/label\.csv, line 5 has votes '1,2'"):
        load(folder)


def test_a_form_that_is_named_needs_a_folder(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"nowhere is no folder"):
        load(f"raf-db:{tmp_path / 'nowhere'}")


def test_a_box_is_the_square_about_its_middle(tmp_path: Path) -> None:
    path = layouts.picture(tmp_path / "a.png", 100)
    whole = np.asarray(Image.open(path))

    def cut(box: tuple[float, float, float, float]) -> np.ndarray:
        found = read_picture(path, box)
        assert not isinstance(found, str)
        return found[0]

    np.testing.assert_array_equal(cut((20, 30, 48, 48)), whole[30:78, 20:68])
    np.testing.assert_array_equal(cut((24, 30, 40, 48)), whole[30:78, 20:68])
    # Moved into the picture where it reaches beyond.
    np.testing.assert_array_equal(cut((-9, 90, 48, 48)), whole[52:, :48])
    for box in ((0, 0, 0, 9), (-50, 0, 40, 40), (float("nan"), 0, 9, 9)):
        assert "has no face at its box" in str(read_picture(path, box))


@pytest.mark.parametrize("form", ["raf-db", "affectnet", "kdef", "jaffe"])
def test_every_emotion_has_its_word(tmp_path: Path, form: str) -> None:
    assert set(load(FORMS[form](tmp_path)).table["label"]) == set(EMOTIONS)
