import bz2
import gzip
import hashlib
import io
import logging
import os
import re
import shutil
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from builders import without_privileges
from hemiface.data.cache import prepare
from hemiface.data.csv_files import _parse_pixels, _parse_row
from hemiface.data.ferplus import votes_sha256
from hemiface.data.images import Images
from hemiface.data.pictures import read_picture
from hemiface.data.readers import load
from hemiface.data.splits import CARVED_NOTE
from hemiface.errors import DamagedError, UsageError
from hemiface.tables import EMOTIONS

pytestmark = pytest.mark.slow

USAGES = ("Training", "PublicTest", "PrivateTest")
SPLIT_OF = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
Rows = list[tuple[str, str, str]]  # emotion, pixels, Usage


def faces(n: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (n, 48, 48), dtype=np.uint8)


def rows_of(pixels: npt.NDArray[np.uint8]) -> Rows:
    """Every emotion in every Usage, if there are 21."""
    return [
        (str(i % 7), " ".join(map(str, image.ravel().tolist())), USAGES[i // 7 % 3])
        for i, image in enumerate(pixels)
    ]


def fer2013(rows: Rows) -> bytes:
    return ("emotion,pixels,Usage\n" + "".join(f"{e},{p},{u}\n" for e, p, u in rows)).encode()


def zipped(
    content: bytes, name: str = "fer2013/fer2013.csv", method: int = zipfile.ZIP_DEFLATED
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("fer2013/README.csv", "some,other,table\n")
        archive.writestr("fer2013/test.csv", "pixels\n1 2 3\n")
        archive.writestr(name, content)
    return buffer.getvalue()


FORMS: dict[str, Callable[[Rows], bytes]] = {
    "fer2013.csv": fer2013,
    "fer2013.csv.gz": lambda rows: gzip.compress(fer2013(rows)),
    "fer2013.csv.bz2": lambda rows: bz2.compress(fer2013(rows)),
    "fer2013.zip": lambda rows: zipped(fer2013(rows)),
    # Told by content: the name promises something else.
    "faces.bin": lambda rows: gzip.compress(fer2013(rows)),
    "icml_face_data.csv": lambda rows: (
        "emotion, Usage, pixels\n" + "".join(f"{e},{u},{p}\n" for e, p, u in rows)
    ).encode(),
    "quoted-crlf.csv": lambda rows: (
        '"emotion","pixels","Usage"\r\n' + "".join(f'"{e}","{p}","{u}"\r\n' for e, p, u in rows)
    ).encode(),
    "bom-blank-lines.csv": lambda rows: b"\xef\xbb\xbf" + fer2013(rows) + b"\n \n",
    "padded.csv": lambda rows: fer2013([(e, f" {p}  ", u) for e, p, u in rows]),
    "double-blanks.csv": lambda rows: fer2013(
        [(e, p.replace(" ", "  ", 3), u) for e, p, u in rows]
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_csv_form_gives_the_same_images(tmp_path: Path, form: str) -> None:
    pixels = faces(21)
    (tmp_path / form).write_bytes(FORMS[form](rows_of(pixels)))
    images = load(tmp_path / form)
    np.testing.assert_array_equal(images.pixels, pixels)
    assert images.table["label"].tolist() == list(EMOTIONS) * 3
    assert images.table["split"].tolist() == ["train"] * 7 + ["validation"] * 7 + ["test"] * 7
    assert images.table["source"].tolist() == [f"{form}:{i}" for i in range(21)]
    assert images.table["source_row"].tolist() == list(range(21))
    assert (
        images.info["source_sha256"] == hashlib.sha256((tmp_path / form).read_bytes()).hexdigest()
    )
    assert (images.info["form"], images.info["skipped"]) == ("csv", [])
    assert images.info["notes"] == []


@given(st.lists(st.integers(0, 255), min_size=1, max_size=60), st.integers(1, 3))
def test_the_fast_parse_reads_what_int_reads(values: list[int], n: int) -> None:
    # One list is repeated to fill an image, rolled by one for each further image.
    images = [np.resize(np.roll(values, k), 2304) for k in range(n)]
    fields = [" ".join(map(str, image)).encode() for image in images]
    parsed = _parse_pixels(fields)
    assert parsed is not None
    assert parsed.tolist() == [list(map(int, field.split())) for field in fields]
    assert [_parse_row(field) for field in fields] == [row.tobytes() for row in parsed]


@given(st.text("0123456789 .-ax", min_size=1, max_size=4).filter(lambda t: not t.strip().isdigit()))
def test_the_fast_parse_refuses_what_is_no_number(token: str) -> None:
    values = ["7"] * 2303
    field = " ".join([*values[:100], token, *values[100:]]).encode()
    assert _parse_pixels([field]) is None


def long_row(n: int, value: str = "12") -> str:
    return " ".join([value] * n)


BAD_ROWS = {
    "has 2,303 pixels instead of 2,304": ("3", long_row(2303), "Training"),
    "has 2,305 pixels instead of 2,304": ("3", long_row(2305), "Training"),
    "has 0 pixels": ("3", "", "Training"),
    "pixel 5 = 256, which is above 255": (
        "3",
        long_row(5) + " 256 " + long_row(2298),
        "Training",
    ),
    "pixel 0 = 99999, which is above 255": ("3", "99999 " + long_row(2303), "Training"),
    "pixel 2303 = 'x', which is not": ("3", long_row(2303) + " x", "Training"),
    "pixel 0 = '-1', which is not": ("3", "-1 " + long_row(2303), "Training"),
    "pixel 0 = '1.0', which is not": ("3", "1.0 " + long_row(2303), "Training"),
    "has Usage 'Train'": ("3", long_row(2304), "Train"),
    "has emotion '7'": ("7", long_row(2304), "Training"),
    "has emotion '-1'": ("-1", long_row(2304), "Training"),
    "has emotion ''": ("", long_row(2304), "Training"),
    "has 4 columns instead of 3": ("3", long_row(2304), "Training,1"),
}


@pytest.mark.parametrize("problem", BAD_ROWS)
def test_a_bad_row_is_named_and_left_out_only_if_asked(
    tmp_path: Path, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    pixels = faces(21)
    rows = rows_of(pixels)
    rows.insert(17, BAD_ROWS[problem])
    source = tmp_path / "fer2013.csv"
    source.write_bytes(fer2013(rows))
    with pytest.raises(DamagedError) as raised:
        load(source)
    assert raised.value.exit_code == 4
    message = str(raised.value)
    assert message.startswith("fer2013.csv, row 17 (line 19) ")
    assert problem in message
    assert "--skip-bad" in message
    assert message.count(". ") == 0

    images = load(source, skip_bad=True)
    np.testing.assert_array_equal(images.pixels, pixels)
    assert images.table["source_row"].tolist() == [*range(17), *range(18, 22)]
    assert len(images.info["skipped"]) == 1
    assert problem in images.info["skipped"][0]
    assert "1 bad items were left out" in caplog.text


def test_a_row_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    content = fer2013(rows_of(faces(3))).replace(b"Training", b"Tr\xe4ning", 1)
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(
        DamagedError, match=r"a\.csv, row 0 \(line 2\) has a Usage that is not UTF-8"
    ):
        load(tmp_path / "a.csv")


def test_the_first_of_several_bad_rows_is_reported_and_all_are_listed(tmp_path: Path) -> None:
    rows = rows_of(faces(21))
    rows[9] = BAD_ROWS["has Usage 'Train'"]
    rows[4] = BAD_ROWS["has 2,303 pixels instead of 2,304"]
    (tmp_path / "a.csv").write_bytes(fer2013(rows))
    with pytest.raises(DamagedError, match="row 4 "):
        load(tmp_path / "a.csv")
    skipped = load(tmp_path / "a.csv", skip_bad=True).info["skipped"]
    assert [sentence.split(" (")[0] for sentence in skipped] == ["a.csv, row 4", "a.csv, row 9"]


def test_a_row_cut_off_at_the_end_of_the_file_is_bad(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(fer2013(rows_of(faces(21)))[:-3000])
    with pytest.raises(DamagedError, match="row 20 "):
        load(tmp_path / "a.csv")


GOOD = fer2013(rows_of(faces(21)))


def damaged_lzma() -> bytes:
    """Return a zip file of lzma that has its ends and not its middle."""
    whole = zipped(GOOD, method=zipfile.ZIP_LZMA)
    return whole[:900] + b"\xff" * 200 + whole[1100:]


BAD_FILES = {
    "is empty": b"",
    "has no usable row": b"emotion,pixels,Usage\n",
    "has columns 'emotion', 'pixel', 'Usage'": GOOD.replace(b"pixels", b"pixel", 1),
    "has columns 'emotion', 'pixels', 'Split'": GOOD.replace(b"Usage", b"Split", 1),
    "has cells that are parted by semicolons; save it as CSV UTF-8": GOOD.replace(b",", b";"),
    "is not UTF-8 text": GOOD.decode().encode("utf-16"),
    "can't be read to its end": gzip.compress(GOOD)[:-5000],
    "can't be read to its end (": bz2.compress(GOOD)[:-5000],
    "can't be read to its end (F": zipped(GOOD)[:-5000],
    "can't be read to its end (E": gzip.compress(GOOD)[:1000] + b"\0" * 2000,
    # Deflate64, as Windows packs large files, in both of the file's headers; an encrypted member.
    "can't be unpacked here (": zipped(GOOD).replace(b"\0\0\x08\0", b"\0\0\x09\0"),
    "can't be unpacked here (F": zipped(GOOD).replace(b"\0\0\x08\0", b"\x01\0\x08\0"),
    "can't be read to its end (L": damaged_lzma(),
    "has no column emotion": b"pixels\r\n" + long_row(2304).encode() + b"\r\n",
    "holds no CSV file": zipped(b"a,b\n", "other.csv"),
    "is a tar archive": b"fer2013/fer2013.csv".ljust(257, b"\0") + b"ustar\0" + b"\0" * 600,
}


@pytest.mark.parametrize("problem", BAD_FILES)
def test_a_bad_file_is_named(tmp_path: Path, problem: str) -> None:
    (tmp_path / "faces.csv").write_bytes(BAD_FILES[problem])
    for skip_bad in (False, True):
        with pytest.raises(DamagedError) as raised:
            load(tmp_path / "faces.csv", skip_bad=skip_bad)
        assert str(raised.value).startswith("faces.csv ")
        assert problem.split(" (")[0] in str(raised.value)


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(DamagedError, match=r"no\.csv doesn't exist"):
        load(tmp_path / "no.csv")
    with pytest.raises(DamagedError, match="has none of the known forms"):
        load(tmp_path)


def test_the_contest_folder_is_all_train_and_says_what_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pixels = faces(14)
    train = '"emotion","pixels"\r\n' + "".join(f'{e},"{p}"\r\n' for e, p, _ in rows_of(pixels))
    (tmp_path / "train.csv").write_text(train, newline="")
    (tmp_path / "test.csv").write_text(f'"pixels"\r\n"{long_row(2304)}"\r\n', newline="")
    images = load(tmp_path)
    np.testing.assert_array_equal(images.pixels, pixels)
    assert set(images.table["split"]) == {"train"}
    assert "test.csv has pictures without labels" in caplog.text
    assert "nothing to validate or test on" in caplog.text
    assert len(images.info["notes"]) == 2
    with pytest.raises(DamagedError, match=r"test\.csv has no column emotion"):
        load(tmp_path / "test.csv")


def test_a_folder_stands_for_its_only_table_of_faces(tmp_path: Path) -> None:
    (tmp_path / "fer2013.csv").write_bytes(GOOD)
    (tmp_path / "train.csv").write_bytes(b"emotion,pixels\n3," + long_row(2304).encode())
    assert len(load(tmp_path)) == 21
    (tmp_path / "icml.csv").write_bytes(GOOD)
    with pytest.raises(UsageError, match=r"fer2013\.csv, icml\.csv"):
        load(tmp_path)


# Folders of pictures


def write_folders(
    root: Path, per_class: int = 2, splits: tuple[str, ...] = ("train", "test"), seed: int = 0
) -> dict[str, npt.NDArray[np.uint8]]:
    """Write lossless pictures; return them by relative name."""
    written = {}
    pixels = iter(faces(per_class * 7 * len(splits), seed))
    for split in splits:
        for emotion in EMOTIONS:
            (root / split / emotion).mkdir(parents=True)
            for k in range(per_class):
                name = f"{split}/{emotion}/im{k}.png"
                written[name] = next(pixels)
                Image.fromarray(written[name]).save(root / name)
    return written


def test_class_folders_with_all_splits(tmp_path: Path) -> None:
    written = write_folders(tmp_path, splits=("train", "val", "test"))
    images = load(tmp_path)
    assert images.table["source"].tolist() == sorted(written)
    for row, image in zip(images.table.itertuples(), images.pixels, strict=True):
        np.testing.assert_array_equal(image, written[str(row.source)])
        split, emotion, _ = str(row.source).split("/")
        assert (row.split, row.label) == ({"val": "validation"}.get(split, split), emotion)
    assert set(images.table["source_row"]) == {-1}
    assert images.info["notes"] == []
    assert "validation_carved" not in images.info


def test_fer2013_names_decide_the_split_and_must_agree(tmp_path: Path) -> None:
    write_folders(tmp_path, per_class=4)
    for path in sorted(tmp_path.rglob("*.png")):
        k = int(path.stem[2:])
        usage = "Training" if "train" in path.parts else USAGES[1 + k % 2]
        Image.open(path).save(path.with_name(f"{usage}_{k}.jpg"), quality=95)
        path.unlink()
    images = load(tmp_path)
    expected = [SPLIT_OF[str(name).split("/")[2].split("_")[0]] for name in images.table["source"]]
    assert images.table["split"].tolist() == expected
    assert images.table["split"].value_counts().to_dict() == {
        "train": 28,
        "validation": 14,
        "test": 14,
    }
    assert set(images.table["dataset"]) == {"fer2013"}
    (tmp_path / "test/sad/PublicTest_0.jpg").rename(tmp_path / "test/sad/Training_0.jpg")
    with pytest.raises(DamagedError, match=r"^test/sad/Training_0\.jpg lies in test/ although"):
        load(tmp_path)
    assert len(load(tmp_path, skip_bad=True)) == 55


def test_without_validation_a_tenth_of_train_is_carved_by_content(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_folders(tmp_path, per_class=10)
    for k in range(5):  # exact copies must stay together
        (tmp_path / f"train/sad/copy{k}.png").write_bytes(
            (tmp_path / f"train/sad/im{k}.png").read_bytes()
        )
    images = load(tmp_path)
    assert "no validation split" in caplog.text
    assert images.info["validation_carved"] is True
    assert images.info["notes"][0] == CARVED_NOTE
    assert (images.table["split"] == "test").sum() == 70
    ours = images.table[images.table["split"] != "test"]
    smallest = sorted(set(ours["sha256"]))[:7]  # a tenth of 70 distinct pictures
    assert (ours["split"] == "validation").tolist() == ours["sha256"].isin(smallest).tolist()

    # The names of the files don't matter.
    for path in sorted(tmp_path.rglob("*.png")):
        path.rename(path.with_name(f"{hashlib.sha256(path.name.encode()).hexdigest()[:6]}.png"))
    again = load(tmp_path)
    carved = [set(one.split("validation").table["sha256"]) for one in (images, again)]
    assert carved[0] == carved[1]


@pytest.mark.skipif(sys.platform != "linux", reason="names are text on other systems")
def test_names_that_are_no_text_are_written_as_escapes(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"fer\xff")
    write_folders(folder, splits=("train", "val", "test"))
    (folder / "train/sad/im0.png").rename(folder / "train/sad" / os.fsdecode(b"b\xe4r\r.png"))
    (folder / "train/sad" / os.fsdecode(b"\xfe.png")).write_text("no picture")
    images = prepare(folder, tmp_path / "cache", skip_bad=True)
    assert images.info["source"] == r"fer\udcff"
    assert "train/sad/b\\udce4r\r.png" in set(images.table["source"])
    assert r"\udcfe.png" in images.info["skipped"][0]
    again = prepare(folder, tmp_path / "cache", skip_bad=True)
    assert again.info == images.info
    assert again.table.equals(images.table)


def test_broken_folders_are_named(tmp_path: Path) -> None:
    write_folders(tmp_path)
    broken = tmp_path / "train/angry/im1.jpg"
    good = io.BytesIO()
    Image.fromarray(faces(1)[0]).save(good, "JPEG")
    for content in (good.getvalue()[:600], b"not a picture", b""):
        broken.write_bytes(content)
        with pytest.raises(DamagedError, match=r"^train/angry/im1\.jpg is not a readable picture"):
            load(tmp_path)
        images = load(tmp_path, skip_bad=True)
        assert len(images) == 28
        assert images.info["skipped"][0].startswith("train/angry/im1.jpg is not a readable")
    broken.unlink()

    (tmp_path / "train/fear").rename(tmp_path / "train/shame")
    with pytest.raises(DamagedError, match=r"^train/shame is not a known class"):
        load(tmp_path)
    (tmp_path / "train/shame").rename(tmp_path / "train/fear")

    for path in (tmp_path / "test/fear").iterdir():
        path.unlink()
    with pytest.raises(DamagedError, match=r"/test/fear is empty; copy or unpack"):
        load(tmp_path)
    (tmp_path / "test/fear").rmdir()
    assert "There are no pictures of fear in test." in load(tmp_path).info["notes"]

    (tmp_path / "test").rename(tmp_path / "other")
    with pytest.raises(DamagedError, match=r"other/angry/im0\.png is in no split"):
        load(tmp_path)
    shutil.rmtree(tmp_path / "other")
    with pytest.raises(DamagedError, match="has no test split, only train; add it, or deal"):
        load(tmp_path)
    (tmp_path / "train/val/sad").mkdir(parents=True)
    Image.fromarray(faces(1)[0]).save(tmp_path / "train/val/sad/1.png")
    with pytest.raises(DamagedError, match="lies in folders of two splits"):
        load(tmp_path)


def test_files_that_are_no_pictures_are_said(tmp_path: Path) -> None:
    write_folders(tmp_path, splits=("train", "validation", "test"))
    (tmp_path / "train/sad/Thumbs.db").write_bytes(b"x")
    (tmp_path / "train/sad/.DS_Store").write_bytes(b"x")
    (tmp_path / "train/sad/more").mkdir()
    assert load(tmp_path).info["notes"] == [
        f"{tmp_path.name}: 1 files that are no pictures of a class were ignored, such as "
        "train/sad/Thumbs.db."
    ]


def test_what_may_not_be_read_is_named(tmp_path: Path) -> None:
    source = tmp_path / "faces"
    write_folders(source)
    (source / "train/sad/gone.png").symlink_to(tmp_path / "nowhere")
    with pytest.raises(
        DamagedError, match=r"^train/sad/gone\.png can't be opened: it is no file; "
    ):
        load(source)
    (source / "train/sad/gone.png").unlink()
    table = tmp_path / "fer2013.csv"
    table.write_text("emotion,pixels,Usage\n")
    picture, folder = next((source / "train/angry").iterdir()), source / "train/happy"
    for path, asked, where in (
        (picture, source, f"train/angry/{picture.name} is not a readable picture (Permission"),
        (folder, source, f"{folder} can't be read (Permission denied)"),
        (source / "train", source, f"{source / 'train'} can't be read (Permission denied)"),
        (source, source, "can't be read (Permission denied)"),
        (table, table, f"{table} can't be read (Permission denied)"),
    ):
        path.chmod(0)
        try:
            with without_privileges(), pytest.raises(DamagedError, match=re.escape(where)):
                load(asked)
        finally:
            path.chmod(0o700)
    picture.chmod(0)
    whole = prepare(source, tmp_path / "whole", skip_bad=True)
    with without_privileges():
        images = prepare(source, tmp_path / "cache", skip_bad=True)
    assert (len(whole), len(images), len(images.info["skipped"])) == (28, 27, 1)
    # It may be read again, which is another source.
    assert len(prepare(source, tmp_path / "cache", skip_bad=True)) == 28


def test_conversion_is_an_area_mean_of_the_central_square(tmp_path: Path) -> None:
    wide = np.random.default_rng(1).integers(0, 256, (96, 120), dtype=np.uint8)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    result = read_picture(tmp_path / "wide.png")
    assert not isinstance(result, str)
    expected = wide[:, 12:108].reshape(48, 2, 48, 2).mean(axis=(1, 3))
    assert np.abs(result[0] - expected).max() <= 1  # Pillow rounds each direction
    assert result[1] == {"cropped", "resized"}

    colour = np.random.default_rng(2).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    Image.fromarray(colour).save(tmp_path / "colour.png")
    result = read_picture(tmp_path / "colour.png")
    assert not isinstance(result, str)
    assert np.abs(result[0] - colour @ [0.299, 0.587, 0.114]).max() < 0.51
    assert result[1] == {"grey"}

    Image.fromarray(wide.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    assert "8 bits" in str(read_picture(tmp_path / "deep.png"))
    clear = np.zeros((48, 48, 4), dtype=np.uint8) + np.array([255, 255, 255, 0], dtype=np.uint8)
    Image.fromarray(clear).save(tmp_path / "clear.png")
    result = read_picture(tmp_path / "clear.png")
    assert not isinstance(result, str)
    assert not result[0].any()


def test_converted_pictures_are_counted(tmp_path: Path) -> None:
    write_folders(tmp_path, splits=("train", "validation", "test"))
    Image.new("RGB", (64, 64), "white").save(tmp_path / "train/happy/im0.png")
    images = load(tmp_path)
    assert images.info["converted"] == {"grey": 1, "resized": 1}
    assert "1 grey, 1 resized" in images.info["notes"][0]
    assert images.pixels[images.table["source"] == "train/happy/im0.png"].min() == 255


# Images


def test_ids_are_content_and_copies_are_numbered(tmp_path: Path) -> None:
    pixels = faces(5)
    pixels[3] = pixels[4] = pixels[1]
    (tmp_path / "a.csv").write_bytes(fer2013(rows_of(pixels)))
    table = load(tmp_path / "a.csv").table
    ids = [hashlib.sha256(image.tobytes()).hexdigest()[:16] for image in pixels]
    assert table["image"].tolist() == [*ids[:3], f"{ids[1]}-2", f"{ids[1]}-3"]
    assert table["group"].tolist() == [*ids[:3], ids[1], ids[1]]
    assert table["sha256"].str[:16].tolist() == ids


def test_a_written_folder_is_read_again_and_is_a_source(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(GOOD)
    images = load(tmp_path / "a.csv")
    images.write(tmp_path / "ready")
    for again in (
        Images.read(tmp_path / "ready"),
        Images.read(tmp_path / "ready", mmap_mode="r"),
        load(tmp_path / "ready"),
        load(tmp_path / "ready" / "images.parquet"),
    ):
        pd.testing.assert_frame_equal(again.table, images.table)
        np.testing.assert_array_equal(again.pixels, images.pixels)
        assert again.info == images.info
    assert not list((tmp_path / "ready").glob(".*"))


def test_damage_to_a_written_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(GOOD)
    load(tmp_path / "a.csv").write(tmp_path)
    content = bytearray((tmp_path / "pixels.npy").read_bytes())
    content[-1] ^= 1
    for damaged in (bytes(content), bytes(content[:-100]), b"", b"\x80\x04K\x01."):
        (tmp_path / "pixels.npy").write_bytes(damaged)
        with pytest.raises(DamagedError, match="prepare the data again"):
            Images.read(tmp_path)
    (tmp_path / "pixels.npy").unlink()
    with pytest.raises(DamagedError, match=r"pixels\.npy doesn't exist; prepare the data"):
        Images.read(tmp_path)


def test_subset_and_split_keep_rows_and_pixels_together(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(GOOD)
    images = load(tmp_path / "a.csv")
    picked = images.subset([20, 3])
    assert picked.table["source_row"].tolist() == [20, 3]
    np.testing.assert_array_equal(picked.pixels, images.pixels[[20, 3]])
    assert picked.info["data_sha256"] != images.info["data_sha256"]
    mask = (images.table["label"] == "sad").to_numpy()
    assert images.subset(mask).table["source_row"].tolist() == [4, 11, 18]
    assert images.split("test").table["source_row"].tolist() == list(range(14, 21))
    assert len(images.subset([])) == 0
    with pytest.raises(UsageError, match="Split 'dev' is unknown"):
        images.split("dev")
    with pytest.raises(UsageError, match="mask for 21 images has 3"):
        images.subset([True, False, True])


# FER+

FERPLUS = [
    *("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear"),
    *("contempt", "unknown", "NF"),
]


def write_ferplus(path: Path, votes: list[list[int]]) -> Path:
    lines = [f"{USAGES[i // 7 % 3]},x.png,{','.join(map(str, v))}" for i, v in enumerate(votes)]
    path.write_text("\n".join([f"Usage,Image name,{','.join(FERPLUS)}", *lines, ""]))
    return path


def test_ferplus_majority_by_hand(tmp_path: Path) -> None:
    (tmp_path / "fer2013.csv").write_bytes(GOOD)
    votes = [[0, 10, 0, 0, 0, 0, 0, 0, 0, 0] for _ in range(21)]
    votes[0] = [4, 0, 0, 1, 3, 2, 0, 0, 0, 0]  # neutral
    votes[1] = [0, 0, 0, 0, 0, 0, 4, 5, 1, 0]  # contempt: dropped
    votes[2] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 10]  # not a face: dropped
    votes[3] = [0, 0, 0, 0, 5, 5, 0, 0, 0, 0]  # tie: anger comes first
    votes[4] = [0, 0, 0, 0, 0, 0, 5, 0, 5, 0]  # tie with unknown: fear comes first
    votes[5] = [0, 0, 1, 2, 0, 0, 0, 0, 7, 0]  # unknown: dropped
    ferplus = write_ferplus(tmp_path / "fer2013new.csv", votes)
    images = load(tmp_path / "fer2013.csv", labels=f"ferplus={ferplus}")
    assert images.table["source_row"].tolist() == [0, 3, 4, *range(6, 21)]
    assert images.table["label"].tolist() == ["neutral", "angry", "fear"] + ["happy"] * 15
    assert images.info["ferplus"]["dropped"] == {"contempt": 1, "unknown": 1, "nf": 1}
    assert images.info["ferplus"]["ties"] == 2
    assert images.table["votes_angry"].tolist()[:3] == [3, 5, 0]
    assert images.table["votes_unknown"].tolist()[2] == 5
    assert (images.table.filter(like="votes_").sum(axis=1) == 10).all()
    np.testing.assert_array_equal(images.pixels, faces(21)[images.table["source_row"]])

    # A skipped row must not shift the votes of those after it.
    rows = rows_of(faces(21))
    rows[0] = BAD_ROWS["has 0 pixels"]
    (tmp_path / "fer2013.csv").write_bytes(fer2013(rows))
    skipped = load(tmp_path / "fer2013.csv", labels=f"ferplus={ferplus}", skip_bad=True)
    assert skipped.table["label"].tolist() == images.table["label"].tolist()[1:]


def test_ferplus_without_a_single_vote_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "fer2013.csv").write_bytes(GOOD)
    votes = [[0, 10, 0, 0, 0, 0, 0, 0, 0, 0] for _ in range(21)]
    votes[2] = [0] * 10
    ferplus = write_ferplus(tmp_path / "fer2013new.csv", votes)
    images = load(tmp_path / "fer2013.csv", labels=f"ferplus={ferplus}")
    assert images.table["source_row"].tolist() == [0, 1, *range(3, 21)]
    assert images.info["ferplus"]["dropped"]["no majority"] == 1


def test_labelled_twice_the_own_label_is_still_the_data_sets(tmp_path: Path) -> None:
    (tmp_path / "fer2013.csv").write_bytes(GOOD)
    votes = [[10, 0, 0, 0, 0, 0, 0, 0, 0, 0] for _ in range(21)]
    ferplus = f"ferplus={write_ferplus(tmp_path / 'fer2013new.csv', votes)}"
    own = load(tmp_path / "fer2013.csv").table["label"].tolist()
    once = load(tmp_path / "fer2013.csv", labels=ferplus)
    once.write(tmp_path / "run")
    twice = load(tmp_path / "run", labels=ferplus)
    for images in (once, twice):
        assert images.table["own_label"].tolist() == own
        assert set(images.table["label"]) == {"neutral"}
        assert images.info["ferplus"]["changed"] == 21 - own.count("neutral")


def test_votes_have_a_hash_of_their_own(tmp_path: Path) -> None:
    """Votes that lost don't show in labels, but networks learn their shares."""
    (tmp_path / "fer2013.csv").write_bytes(GOOD)
    found = []
    for lost in (0, 1):
        votes = [[10 - lost, lost, 0, 0, 0, 0, 0, 0, 0, 0] for _ in range(21)]
        ferplus = write_ferplus(tmp_path / f"{lost}.csv", votes)
        found.append(load(tmp_path / "fer2013.csv", labels=f"ferplus={ferplus}"))
    assert found[0].info["data_sha256"] == found[1].info["data_sha256"]
    assert votes_sha256(found[0]) != votes_sha256(found[1])
    assert votes_sha256(load(tmp_path / "fer2013.csv")) is None


def test_ferplus_by_more_than_half_of_the_votes(tmp_path: Path) -> None:
    (tmp_path / "fer2013.csv").write_bytes(GOOD)
    votes = [[0, 10, 0, 0, 0, 0, 0, 0, 0, 0] for _ in range(21)]
    votes[0] = [4, 0, 0, 2, 3, 1, 0, 0, 0, 0]  # 4 of 9: no majority
    votes[1] = [5, 1, 1, 1, 1, 1, 0, 0, 0, 0]  # single votes don't count: 5 of 5, neutral
    votes[2] = [5, 0, 0, 5, 0, 0, 0, 0, 0, 0]  # half is not more than half
    votes[3] = [0, 0, 0, 0, 0, 0, 2, 7, 1, 0]  # contempt
    votes[4] = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]  # nothing counts
    ferplus = write_ferplus(tmp_path / "fer2013new.csv", votes)
    images = load(tmp_path / "fer2013.csv", labels=f"ferplus-majority={ferplus}")
    assert images.table["source_row"].tolist() == [1, *range(5, 21)]
    assert images.table["label"].tolist() == ["neutral"] + ["happy"] * 16
    assert images.info["ferplus"]["dropped"] == {
        "contempt": 1,
        "unknown": 0,
        "nf": 0,
        "no majority": 3,
    }
    assert "more than half" in images.info["ferplus"]["rule"]


def test_ferplus_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "fer2013.csv").write_bytes(GOOD)
    votes = [[10] + [0] * 9 for _ in range(28)]
    ferplus = write_ferplus(tmp_path / "new.csv", votes[:20])
    with pytest.raises(DamagedError, match=r"new\.csv has 20 rows, but fer2013\.csv has 21"):
        load(tmp_path / "fer2013.csv", labels=f"ferplus={ferplus}")
    write_ferplus(ferplus, votes)  # seven more rows of Training
    with pytest.raises(DamagedError, match=r"new\.csv has 28 rows, but fer2013\.csv has 21"):
        load(tmp_path / "fer2013.csv", labels=f"ferplus={ferplus}")
    lines = write_ferplus(ferplus, votes[:21]).read_text().splitlines()
    ferplus.write_text("\n".join([lines[0], *lines[:0:-1]]))
    with pytest.raises(DamagedError, match=r"new\.csv, row 0 \(line 2\) is test, but the image"):
        load(tmp_path / "fer2013.csv", labels=f"ferplus={ferplus}")
    write_ferplus(ferplus, [*votes[:20], ["1" + "0" * 5000] * 10])
    with pytest.raises(DamagedError, match=r"has '10{39}' votes for neutral, expected a whole"):
        load(tmp_path / "fer2013.csv", labels=f"ferplus={ferplus}")
    write_ferplus(ferplus, [*votes[:20], [-1] * 10])
    with pytest.raises(DamagedError, match=r"row 20 \(line 22\) has '-1' votes for neutral, exp"):
        load(tmp_path / "fer2013.csv", labels=f"ferplus={ferplus}")
    ferplus.write_text("Usage,neutral\n")
    with pytest.raises(DamagedError, match=r"new\.csv has no column happiness"):
        load(tmp_path / "fer2013.csv", labels=f"ferplus={ferplus}")
    with pytest.raises(DamagedError, match="gone doesn't exist"):
        load(tmp_path / "fer2013.csv", labels="ferplus=gone")
    for labels in ("majority", "ferplus", "ferplus=", "other=x"):
        with pytest.raises(UsageError, match="are unknown"):
            load(tmp_path / "fer2013.csv", labels=labels)
    write_folders(tmp_path / "pictures")
    with pytest.raises(UsageError, match=r"belong to rows of fer2013\.csv"):
        load(tmp_path / "pictures", labels=f"ferplus={write_ferplus(ferplus, votes)}")


# prepare


def test_prepare_for_the_original_protocol(tmp_path: Path) -> None:
    standard = prepare("phantom:n=300", tmp_path / "a", near_duplicates=False)
    paper = prepare("phantom:n=300", tmp_path / "b", near_duplicates=False, protocol="paper")
    before = standard.table.set_index("image")["split"]
    after = paper.table.set_index("image")["split"]
    assert (after[before != "train"] == "test").all()
    assert set(after[before == "train"]) == {"train", "validation"}
    selected = paper.table[paper.table["split"] == "validation"]
    assert len(selected) == pytest.approx((before == "train").sum() / 10, abs=1)
    assert not set(selected["group"]) & set(paper.table.loc[after.to_numpy() == "train", "group"])
    assert prepare(
        "phantom:n=300", tmp_path / "b", near_duplicates=False, protocol="paper"
    ).table.equals(paper.table)


def test_prepare_reads_once_until_source_or_options_change(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, ready = tmp_path / "fer2013.csv", tmp_path / "run"
    source.write_bytes(GOOD)

    def made() -> int:
        return (ready / "images.parquet").stat().st_mtime_ns

    first = prepare(source, ready, near_duplicates=False)
    stamp = made()
    again = prepare(str(source), ready, near_duplicates=False)
    assert made() == stamp
    pd.testing.assert_frame_equal(again.table, first.table)
    assert again.info == first.info
    assert not caplog.records

    prepare(source, ready, near_duplicates=False, skip_bad=True)
    assert made() > stamp
    stamp = made()
    source.write_bytes(GOOD.replace(b"\n3,", b"\n4,", 1))
    changed = prepare(source, ready, near_duplicates=False, skip_bad=True)
    assert made() > stamp
    assert changed.info["source_sha256"] != first.info["source_sha256"]
    assert changed.info["data_sha256"] != first.info["data_sha256"]

    ferplus = write_ferplus(tmp_path / "new.csv", [[10] + [0] * 9] * 21)
    votes = prepare(source, ready, labels=f"ferplus={ferplus}", near_duplicates=False)
    assert set(votes.table["label"]) == {"neutral"}
    write_ferplus(ferplus, [[0, 10] + [0] * 8] * 21)
    votes = prepare(source, ready, labels=f"ferplus={ferplus}", near_duplicates=False)
    assert set(votes.table["label"]) == {"happy"}


def test_prepare_says_and_mends_a_damaged_cache(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, ready = tmp_path / "fer2013.csv", tmp_path / "run"
    source.write_bytes(GOOD)
    first = prepare(source, ready, near_duplicates=False)
    for name in ("pixels.npy", "images.parquet"):
        caplog.clear()
        (ready / name).write_bytes((ready / name).read_bytes()[:-50])
        again = prepare(source, ready, near_duplicates=False)
        assert "is made again" in caplog.text
        np.testing.assert_array_equal(again.pixels, first.pixels)
        assert Images.read(ready).info == first.info
    with pytest.raises(UsageError, match="is the source itself"):
        prepare(ready, ready)


def test_notes_and_skips_are_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_folders(tmp_path / "pictures", per_class=5)
    (tmp_path / "pictures/train/sad/im9.jpg").write_bytes(b"broken")
    caplog.set_level(logging.WARNING)
    first = prepare(tmp_path / "pictures", tmp_path / "run", skip_bad=True, near_duplicates=False)
    assert len(caplog.records) == 3
    again = prepare(tmp_path / "pictures", tmp_path / "run", skip_bad=True, near_duplicates=False)
    assert len(caplog.records) == 3
    assert again.info == first.info
    # A file renamed or moved between classes makes another source.
    (tmp_path / "pictures/train/sad/im0.png").rename(tmp_path / "pictures/train/fear/im9.png")
    moved = prepare(tmp_path / "pictures", tmp_path / "run", skip_bad=True, near_duplicates=False)
    assert moved.info["source_sha256"] != first.info["source_sha256"]


def test_near_duplicates_share_a_group_and_a_carved_split(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Brighter copies of smooth pictures are near duplicates; whole groups are carved."""
    root = tmp_path / "pictures"
    random = np.random.default_rng(5)
    for split in ("train", "test"):
        for emotion in EMOTIONS:
            (root / split / emotion).mkdir(parents=True)
            for k in range(4):
                coarse = Image.fromarray(random.integers(20, 200, (6, 6), dtype=np.uint8))
                smooth = coarse.resize((48, 48), Image.Resampling.BICUBIC)
                smooth.save(root / split / emotion / f"{k}.png")
                if split == "train":
                    smooth.point(lambda v: v + 12).save(root / split / emotion / f"{k}-light.png")
    images = prepare(root, tmp_path / "run")
    table = images.table
    assert (table.groupby("group")["split"].nunique() == 1).all()
    train = table[table["split"] != "test"]
    assert (train.groupby("group").size() == 2).all()
    assert set(table["group"]) <= set(table["image"])
    assert (table["split"] == "validation").sum() == 2 * 3  # a tenth of 28 groups, rounded up
    there = set(table["label"][table["split"] == "validation"])
    absent = ", ".join(one for one in EMOTIONS if one not in there)
    absent_note = f"There are no pictures of {absent} in validation."
    assert images.info["notes"] == [CARVED_NOTE, absent_note]
    assert absent_note in caplog.text


# Rendered faces


def test_phantom_sources() -> None:
    images = load("phantom:n=42,seed=3")
    assert len(images) == 42
    assert (images.info["source"], images.info["form"]) == ("phantom:n=42,seed=3", "phantom")
    np.testing.assert_array_equal(images.pixels, load("phantom:seed=3,n=42").pixels)
    for source in ("phantom:m=3", "phantom:n=x", "phantom:n=0", "phantom:n=-1"):
        with pytest.raises(UsageError, match="is not an option"):
            load(source)


# The real data


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Images:
    return load(shared_data / "fer2013")


@pytest.mark.data
def test_the_published_counts(real: Images) -> None:
    """FER2013 as published (README of the data, after Goodfellow et al. 2013)."""
    counts = pd.crosstab(real.table["split"], real.table["label"])[list(EMOTIONS)]
    assert counts.loc["train"].tolist() == [3995, 436, 4097, 7215, 4830, 3171, 4965]
    assert counts.loc["validation"].tolist() == [467, 56, 496, 895, 653, 415, 607]
    assert counts.loc["test"].tolist() == [491, 55, 528, 879, 594, 416, 626]
    assert real.table["sha256"].nunique() == 34034


@pytest.mark.data
def test_exact_groups_are_those_of_the_reference(real: Images, shared_data: Path) -> None:
    reference = pd.read_csv(shared_data / "fer2013" / "fer2013_labels.csv")["exact_group"]
    assert (real.table["image"].to_numpy()[reference] == real.table["group"]).all()


@pytest.mark.data
def test_a_csv_of_real_rows_is_the_strips(real: Images, tmp_path: Path) -> None:
    part = real.subset(np.arange(28000, 29500))
    usage = {split: name for name, split in SPLIT_OF.items()}
    rows = [
        (str(EMOTIONS.index(label)), " ".join(map(str, image.ravel().tolist())), usage[split])
        for label, split, image in zip(
            part.table["label"], part.table["split"], part.pixels, strict=True
        )
    ]
    (tmp_path / "fer2013.csv").write_bytes(fer2013(rows))
    images = load(tmp_path / "fer2013.csv")
    np.testing.assert_array_equal(images.pixels, part.pixels)
    assert images.info["data_sha256"] == part.info["data_sha256"]


@pytest.mark.data
def test_real_ferplus_by_pandas(shared_data: Path) -> None:
    """3,546 PrivateTest images by argmax over FER+'s eight emotions, 27 of them contempt."""
    path = shared_data / "fer2013" / "fer2013new.csv"
    images = load(shared_data / "fer2013", labels=f"ferplus={path}")
    raw = pd.read_csv(path)
    winner = raw[FERPLUS].idxmax(axis=1)
    test = raw["Usage"] == "PrivateTest"
    assert (test & ~winner.isin(["unknown", "NF"])).sum() == 3546
    kept = ~winner.isin(["contempt", "unknown", "NF"])
    assert images.table["source_row"].tolist() == np.flatnonzero(kept).tolist()
    assert len(images.split("test")) == (kept & test).sum() == 3519
    ours = ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear")
    names = dict(zip(FERPLUS[:7], ours, strict=True))
    assert images.table["label"].tolist() == winner[kept].map(names).tolist()
    assert sum(images.info["ferplus"]["dropped"].values()) == 35887 - len(images)


@pytest.mark.data
def test_real_ferplus_majority(shared_data: Path) -> None:
    """3,153 PrivateTest images with a majority for one of eight emotions, 16 of them contempt."""
    path = shared_data / "fer2013" / "fer2013new.csv"
    images = load(shared_data / "fer2013", labels=f"ferplus-majority={path}")
    assert len(images.split("test")) == 3153 - 16


def test_damaged_strips_are_named(tmp_path: Path) -> None:
    """A folder of two images, damaged in turn."""
    labels = "row,usage,emotion\n0,Training,3\n1,PrivateTest,4\n"
    strip = Image.fromarray(faces(2).reshape(96, 48))

    def write(text: str = labels) -> None:
        strip.save(tmp_path / "fer2013_pixels_0.png")
        (tmp_path / "fer2013_labels.csv").write_text(text)

    write()
    np.testing.assert_array_equal(load(tmp_path).pixels, faces(2))
    for text, problem in {
        labels.replace("usage", "use"): "has no column usage",
        labels.replace("1,Pr", "2,Pr"): r"row 1 \(line 3\) is numbered '2'",
        labels.replace("PrivateTest", "Test"): r"row 1 \(line 3\) has Usage 'Test'",
        labels.replace(",4", ",7"): r"row 1 \(line 3\) has emotion '7'",
        labels[:30] + "\n": "has 1 rows for 2 images",
    }.items():
        write(text)
        with pytest.raises(DamagedError, match=rf"^fer2013_labels\.csv.*{problem}"):
            load(tmp_path)
    write(labels.replace(",4", ",7"))
    assert load(tmp_path, skip_bad=True).table["source_row"].tolist() == [0]
    write()
    content = (tmp_path / "fer2013_pixels_0.png").read_bytes()
    (tmp_path / "fer2013_pixels_0.png").write_bytes(content[:-2000])
    with pytest.raises(DamagedError, match=r"^fer2013_pixels_0\.png is damaged"):
        load(tmp_path)
    write()
    (tmp_path / "fer2013_pixels_0.png").rename(tmp_path / "fer2013_pixels_1.png")
    with pytest.raises(DamagedError, match=r"lacks fer2013_pixels_0\.png"):
        load(tmp_path)


def test_what_is_left_out_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of nothing but bad rows: a sentence for each would fill memory."""
    (tmp_path / "a.csv").write_bytes(b"emotion,pixels,Usage\n" + 100 * b"0,1,Training\n")
    monkeypatch.setenv("HEMIFACE_MAX_LEFT_OUT", "99")
    with pytest.raises(DamagedError, match=r"row 99 .* left out is over the limit of 99 rows"):
        load(tmp_path / "a.csv", skip_bad=True)
    monkeypatch.setenv("HEMIFACE_MAX_LEFT_OUT", "100")
    with pytest.raises(DamagedError, match="no usable row"):
        load(tmp_path / "a.csv", skip_bad=True)


@pytest.mark.parametrize("pack", [gzip.compress, zipped])
def test_a_packed_line_without_end_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes]
) -> None:
    (tmp_path / "a.csv").write_bytes(pack(b"emotion,pixels,Usage\n0," + b"1 " * 3_000_000))
    monkeypatch.setenv("HEMIFACE_MAX_LINE_BYTES", "100000")
    tracemalloc.start()
    with pytest.raises(DamagedError, match=r"a\.csv, line 2, is over the limit of 100,000 bytes"):
        load(tmp_path / "a.csv")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3_000_000


def test_pixels_that_a_header_promises_are_not_allocated(tmp_path: Path) -> None:
    """A file of 128 bytes that says it holds a terabyte."""
    (tmp_path / "a.csv").write_bytes(GOOD)
    load(tmp_path / "a.csv").write(tmp_path)
    with (tmp_path / "pixels.npy").open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (10**9, 48, 48)}
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(DamagedError, match=r"pixels\.npy can't be read .*prepare the data again"):
        Images.read(tmp_path)
