"""What others give: only files are opened, and no more is read of them than the limits allow."""

import io
import os
import socket
from functools import cache
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hemiface import config
from hemiface.data.csv_files import open_csv
from hemiface.data.ferplus import relabel
from hemiface.data.outside import ImportOptions, import_predictions
from hemiface.data.phantom.make import make
from hemiface.data.readers import load
from hemiface.data.rows import read_rows
from hemiface.documents import read_json, read_text
from hemiface.errors import DamagedError, HemifaceError, UsageError
from hemiface.inputs import BoundedBytes, open_lines, require_file
from hemiface.models.class_mix import Mix
from hemiface.models.onnx_file import OnnxModel
from hemiface.models.visible_tiles import VisibleTiles
from hemiface.tables import read_csv, read_table
from hemiface.vision.finding import assets
from hemiface.vision.sources import find_sources

images = cache(lambda: make(70))
OPENERS = {
    "photo or video": lambda path: find_sources([str(path)]),
    "data": load,
    "votes": lambda path: relabel(images(), path),
    "rows": read_rows,
    "import": lambda path: import_predictions([path], ImportOptions(dataset="x")),
    "config": config.load,
    "mix": Mix.of,
    "network": OnnxModel.load,
    "network of tiles": VisibleTiles.load,
    "table": read_table,
    "table of results": read_csv,
    "notes": read_json,
    "networks that find faces": lambda path: assets.pull([str(path)], offline=True),
}


@pytest.fixture
def pipe(tmp_path) -> Path:
    if not hasattr(os, "mkfifo"):
        pytest.skip("Windows has no named pipes")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("what", OPENERS)
def test_a_pipe_is_refused_by_whatever_would_read_it(pipe, monkeypatch, what):
    """Nobody writes into it: who opens it waits for ever."""
    monkeypatch.setenv("HEMIFACE_CACHE", str(pipe.parent / "cache"))
    with pytest.raises(HemifaceError, match=r"pipe is a named pipe, not a file; "):
        OPENERS[what](pipe)


def test_what_there_is_in_place_of_a_file(tmp_path):
    (tmp_path / "link").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "socket"))
        for path, said in {
            tmp_path: "is a folder, not a file",
            tmp_path / "socket": "is a socket, not a file",
            tmp_path / "link": "is a device, not a file",
            tmp_path / "none": "doesn't exist",
            tmp_path / "a\0b": "doesn't exist",
            tmp_path / ("n" * 300): "can't be read",
        }.items():
            with pytest.raises(UsageError, match=said):
                require_file(path, error=UsageError)


@given(
    content=st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r", b"\r\n"]), max_size=60).map(
        b"".join
    ),
    most=st.integers(1, 8),
    size=st.integers(1, 12),
)
def test_a_line_is_found_too_long_exactly_where_it_is(content, most, size):
    longest = max(map(len, content.replace(b"\r", b"\n").split(b"\n")))
    with mock.patch.dict(os.environ, HEMIFACE_MAX_LINE_BYTES=str(most)):
        bounded = io.BufferedReader(BoundedBytes(io.BytesIO(content), "a.csv"), size)
        if longest > most:
            with pytest.raises(DamagedError, match=r"a\.csv, line \d+, is over the limit of"):
                bounded.read()
        else:
            assert bounded.read() == content


@given(content=st.binary(max_size=60), most=st.integers(1, 60))
def test_unpacked_bytes_are_counted(content, most):
    with mock.patch.dict(os.environ, HEMIFACE_MAX_UNPACKED_BYTES=str(most)):
        bounded = io.BufferedReader(BoundedBytes(io.BytesIO(content), "a.csv", unpacked=True))
        if len(content) > most:
            with pytest.raises(DamagedError, match=r"a\.csv is, unpacked, over the limit of"):
                bounded.read()
        else:
            assert bounded.read() == content


def test_lines_are_counted(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_bytes(b"\n" * 100)
    monkeypatch.setenv("HEMIFACE_MAX_TABLE_ROWS", "100")
    with open_lines(tmp_path / "a.csv") as file:
        assert len(file.readlines()) == 100
    monkeypatch.setenv("HEMIFACE_MAX_TABLE_ROWS", "99")
    over = pytest.raises(DamagedError, match=r"a\.csv is over the limit of 99 rows")
    with over, open_csv(tmp_path / "a.csv") as file:
        file.readlines()


@pytest.mark.parametrize("what", ["rows", "import", "votes", "data", "table of results"])
def test_a_line_without_end_is_not_waited_for(tmp_path, what):
    """A file with a hole of a hundred gigabytes, none of which lie on the disk."""
    path = tmp_path / "a.csv"
    with path.open("wb") as file:
        file.write(b"row\n")
        file.truncate(100_000_000_000)
    with pytest.raises(DamagedError, match=r"a\.csv"):
        OPENERS[what](path)


def test_settings_have_a_length(tmp_path, monkeypatch):
    (tmp_path / "a.toml").write_text("a" * 100)
    monkeypatch.setenv("HEMIFACE_MAX_TEXT_BYTES", "100")
    assert read_text(tmp_path / "a.toml") == "a" * 100
    monkeypatch.setenv("HEMIFACE_MAX_TEXT_BYTES", "99")
    with pytest.raises(UsageError, match=r"Config .*a\.toml has 100 bytes, over the limit of 99"):
        config.load(tmp_path / "a.toml")


@pytest.mark.parametrize("source", ["n=1000001", "n=1000000000000"])
def test_rendered_faces_have_a_number(source):
    with pytest.raises(UsageError, match=r"faces can't be made: over the limit of 1,000,000"):
        load(f"phantom:{source}")


@pytest.mark.parametrize("source", ["n=" + "9" * 5000, "seed=" + "9" * 20, "n=٣"])
def test_numbers_that_are_none_are_told(source):
    with pytest.raises(UsageError, match="is not an option; write phantom:") as told:
        load(f"phantom:{source}")
    assert len(str(told.value)) < 250
