"""The rows of faces, written in parts."""

import json

import numpy as np
import pytest

from builders import flipped
from hemiface.errors import DamagedError
from hemiface.tables import PROBABILITY_COLUMNS, read_table
from hemiface.vision.faces import COLUMNS, write_rows
from hemiface.vision.finding.alignment import FRAME
from hemiface.vision.finding.detector import FoundFace
from hemiface.vision.predictor import Predictor


def rows(frames: int, faces=(0,), step: int = 1):
    for frame in range(0, frames, step):
        for face in faces:
            yield {
                **dict.fromkeys(COLUMNS), "source": "v.mp4", "frame": frame, "face": face,
                "timestamp_s": frame / 25, "abstained": frame < 50, "in_picture": 0.75,
                "x_px": 0.0, "schema": 1,
                **{name: (frame % 2) * (n == 3) for n, name in enumerate(PROBABILITY_COLUMNS)},
            }  # fmt: skip


def test_numbers_of_a_detector_of_one_s_own_are_plain(model):
    class Own:
        def detect(self, _):
            return [FoundFace(np.array([[0, 0], [48, 48]]), score, None, presence, FRAME)]

    score, presence = np.float32(0.75), np.float32("nan")
    (face,) = Predictor(model, detector=Own()).predict(np.full((48, 48, 3), 99, np.uint8))
    row = json.loads(json.dumps(face.row()))
    assert row["detection_score"] == 0.75
    assert row["presence_score"] is None


def test_a_flipped_bit_of_a_table_is_seen(tmp_path):
    (path,) = write_rows(rows(40), tmp_path, ["parquet"])
    assert len(read_table(path)) == 40
    for spoilt in flipped(path.read_bytes(), 60):
        path.write_bytes(spoilt)
        with pytest.raises(DamagedError):
            read_table(path)


def test_rows_are_written_in_parts(tmp_path):
    import pyarrow.parquet as pq

    (path,) = write_rows(rows(9000), tmp_path, ["parquet"])
    assert pq.ParquetFile(path).num_row_groups == 3
    assert pq.ParquetFile(path).metadata.num_rows == 9000
