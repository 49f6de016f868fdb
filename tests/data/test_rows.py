"""Parts of the images by their rows: the right ones, and every list that doesn't fit named."""

import re

import numpy as np
import pytest

from builders import tiny_images
from hemiface.data.images import Images
from hemiface.data.readers import load
from hemiface.data.rows import pick_rows, read_rows
from hemiface.errors import DamagedError, UsageError

IMAGES = tiny_images()


def listed(folder, text: str):
    path = folder / "hard.csv"
    path.write_text(text)
    return path


def test_the_rows_of_the_source_and_not_those_of_the_table(tmp_path):
    path = listed(tmp_path, "row,name,emotion\n30,a,3\n27,b,1\n 39 ,c,2\n")
    assert read_rows(path).tolist() == [30, 27, 39]
    backwards = IMAGES.subset(np.arange(len(IMAGES))[::-1])
    chosen, told = pick_rows(backwards, path)
    assert backwards.table["source_row"][chosen].tolist() == [39, 30, 27]
    assert told == {"file": "hard.csv", "listed": 3, "absent": 0, "hash": told["hash"]}


def test_the_hash_is_that_of_the_rows(tmp_path):
    texts = ["row\n30\n27\n", "name,row\nx,27\ny,30\n", "row\n30\n28\n", "row\n30\n"]
    marks = [pick_rows(IMAGES, listed(tmp_path, text))[1]["hash"] for text in texts]
    assert marks[0] == marks[1]
    assert len(set(marks)) == 3


def test_rows_that_were_left_out_are_counted(tmp_path):
    few = IMAGES.subset([0, 5, 30])
    chosen, told = pick_rows(few, listed(tmp_path, "row\n5\n6\n7\n"))
    assert chosen.tolist() == [False, True, False]
    assert (told["listed"], told["absent"]) == (3, 2)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "hard.csv has no column row"),
        ("rows\n3\n", "hard.csv has no column row"),
        ("row\n", "hard.csv lists no rows"),
        ("row\n3\n-4\n", "hard.csv, line 3: row '-4' is not a whole number"),
        ("row\n3.0\n", "line 2: row '3.0' is not"),
        ("row,x\n3,y\n,y\n", "line 3: row '' is not"),
        ("row\n3\n4\n3\n", "hard.csv, line 4: row 3 is named twice"),
    ],
)
def test_damaged_lists(tmp_path, text, sentence):
    with pytest.raises(DamagedError, match=re.escape(sentence)):
        read_rows(listed(tmp_path, text))


def test_lists_that_are_no_text_or_not_there(tmp_path):
    path = tmp_path / "hard.csv"
    with pytest.raises(DamagedError, match="doesn't exist; check the list of rows"):
        read_rows(path)
    path.write_bytes(b"row\n\xff\xfe\n")
    with pytest.raises(DamagedError, match="is not a readable CSV file"):
        read_rows(path)


def test_lists_and_images_that_do_not_belong_together(tmp_path):
    with pytest.raises(UsageError, match=r"None of the rows in hard\.csv is among the 40 images"):
        pick_rows(IMAGES, listed(tmp_path, "row\n40\n"))
    counted = Images(IMAGES.table, IMAGES.pixels, {**IMAGES.info, "rows": 40})
    with pytest.raises(DamagedError, match="lists row 40, but tiny has 40 rows"):
        pick_rows(counted, listed(tmp_path, "row\n3\n40\n"))
    loose = Images(IMAGES.table.assign(source_row=-1), IMAGES.pixels, IMAGES.info)
    with pytest.raises(UsageError, match="lists rows of a table, which tiny doesn't have"):
        pick_rows(loose, listed(tmp_path, "row\n3\n"))


@pytest.mark.data
def test_the_published_lists_are_of_private_test(shared_data):
    images = load(shared_data / "fer2013")
    for name, n in (("occlusion", 605), ("pose30", 1170), ("pose45", 633)):
        chosen, told = pick_rows(images, shared_data / "ferplus_occlusion" / f"{name}_rows.csv")
        assert (chosen.sum(), told["absent"]) == (n, 0)
        assert set(images.table["split"][chosen]) == {"test"}
