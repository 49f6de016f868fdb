"""What `write_page` writes, and what it refuses to write over."""

import gzip
import hashlib
import json

import pytest

pytest.importorskip("onnx", reason="networks are made for browsers with the library onnx")

from hemiface import EMOTIONS, __version__
from hemiface.errors import DamagedError, UsageError
from hemiface.models import shipped
from hemiface.models.class_mix import NATURAL
from hemiface.occlusion.conditions import CONDITIONS, QUADRANTS, condition
from hemiface.serve.page import WEB, PageStart, write_page
from hemiface.vision.covered_halves import COVERED
from hemiface.vision.predictor import LEAST_VISIBLE

THREADED = "ort/ort-wasm-simd-threaded.mjs"
WASM = "ort/ort-wasm-simd-threaded.wasm"
# Of dist/ of npm's onnxruntime-web 1.30.0, from there.
RUNTIME = {
    "ort/ort.wasm.min.mjs": "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
    THREADED: "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    WASM: "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}


def about(folder):
    return json.loads((folder / "page.json").read_text(encoding="utf-8"))


def test_every_file_is_listed_as_it_is(page_folder):
    listed = about(page_folder)["files"]
    there = [one for one in page_folder.rglob("*") if one.is_file() and one.name != "page.json"]
    assert {one.relative_to(page_folder).as_posix() for one in there} == set(listed)
    for name, known in listed.items():
        content = (page_folder / name).read_bytes()
        assert len(content) == known["bytes"]
        assert hashlib.sha256(content).hexdigest() == known["sha256"]


def test_the_runtime_is_the_one_that_npm_has(page_folder):
    listed = about(page_folder)["files"]
    assert {name: listed[name]["sha256"] for name in RUNTIME} == RUNTIME


def test_the_packed_runtime_says_no_time_of_its_own():
    packed = (WEB / f"{WASM}.gz").read_bytes()
    flags, time = packed[3], packed[4:8]
    assert (flags, time) == (0, bytes(4))
    assert hashlib.sha256(gzip.decompress(packed)).hexdigest() == RUNTIME[WASM]


def test_what_the_page_is_told_is_what_python_knows(page_folder):
    told = about(page_folder)
    assert told["version"] == __version__
    assert told["labels"] == list(EMOTIONS)
    assert told["hides"] == {
        name: sorted(condition(name).hidden, key=QUADRANTS.index) for name in CONDITIONS
    }
    assert (told["leastVisible"], told["covered"]) == (LEAST_VISIBLE, COVERED)
    assert told["mixes"]["trained"] is None
    assert told["mixes"]["natural"] == pytest.approx([NATURAL[one] for one in EMOTIONS])
    models = {one["name"]: one for one in told["models"]}
    assert list(models) == [shipped.default_model(in_videos=True), "small"]
    assert [one["isDefault"] for one in told["models"]] == [True, False]
    for row in shipped.describe():
        if row["name"] in models:
            one = models[row["name"]]
            assert one["calibration"]["abstainBelow"] == row["abstain_below"]
            assert sum(one["trained"]) == pytest.approx(1)
            assert told["files"][one["path"]]["sha256"] == row["sha256"]
    # It learnt faces with things over them, so nothing is hidden from it; `small` didn't.
    assert models[shipped.default_model(in_videos=True)]["learnt"] == []
    assert "lower" in models["small"]["learnt"]


def test_a_page_takes_the_place_of_an_older_one(page_folder, tmp_path):
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "page.json").write_text('{"files": {"old.js": {}}}')
    (folder / "old.js").touch()
    assert write_page(folder, models=["people-small-int8", "small"]) == folder
    assert not (folder / "old.js").exists()
    assert (folder / "page.json").read_bytes() == (page_folder / "page.json").read_bytes()
    assert [one.name for one in tmp_path.iterdir()] == ["page"]


def test_nothing_else_is_written_over(tmp_path):
    diary = tmp_path / "diary.txt"
    diary.write_text("dear")
    for about in (None, '{"files": {"old.js": {}}}'):
        if about is not None:
            (tmp_path / "page.json").write_text(about)
        with pytest.raises(UsageError, match=r"diary\.txt is no part of a page; name"):
            write_page(tmp_path)
        assert diary.read_text() == "dear"
    with pytest.raises(UsageError, match="is a file; name a folder"):
        write_page(diary)


def test_somebody_elses_page_json_is_left_alone(tmp_path):
    (tmp_path / "page.json").write_text('{"summary": {}}')
    with pytest.raises(DamagedError, match="remove it, or name another folder"):
        write_page(tmp_path)
    assert (tmp_path / "page.json").is_file()


def test_the_first_model_that_is_named_is_what_a_page_begins_with(tmp_path):
    folder = write_page(tmp_path / "page", models=["small", "nano-int8"])
    models = about(folder)["models"]
    assert [(one["name"], one["isDefault"]) for one in models] == [
        ("small", True), ("nano-int8", False),
    ]  # fmt: skip
    assert not list((folder / "models").glob("people*"))


def test_what_a_page_begins_with_may_be_named(tmp_path):
    start = PageStart(model="nano-int8", mix="natural", abstain_below=0.9)
    told = about(write_page(tmp_path / "page", models=["small", "nano-int8"], start=start))
    assert [one["name"] for one in told["models"] if one["isDefault"]] == ["nano-int8"]
    assert told["start"] == {"mix": "natural", "abstainBelow": 0.9}
    with pytest.raises(UsageError, match="Model 'small' is none of the page's: nano-int8"):
        write_page(tmp_path / "other", models=["nano-int8"], start=PageStart(model="small"))
    with pytest.raises(UsageError, match=r"Mix 'mine\.json' is none of a page's: trained"):
        PageStart(mix="mine.json")
    with pytest.raises(UsageError, match=r"must lie in 0\.\.1, got 2"):
        PageStart(abstain_below=2)


@pytest.mark.parametrize("name", ["gigantic", "visibility"])
def test_a_model_that_there_isnt_is_refused(name, tmp_path):
    with pytest.raises(UsageError, match=f"^Model '{name}' is unknown; choose from: generalist"):
        write_page(tmp_path / "page", models=[name])
    assert not (tmp_path / "page").exists()
