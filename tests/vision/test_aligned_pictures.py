"""Whole pictures to aligned crops, by the real networks on rendered faces."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from builders import hemiface, linear_model
from hemiface.data.listed import Cut, Listed
from hemiface.data.phantom import make as phantom
from hemiface.data.readers import load
from hemiface.errors import DamagedError
from hemiface.tables import EMOTIONS, read_predictions
from hemiface.vision.finding import aligned_pictures
from hemiface.vision.finding.aligned_pictures import AlignedPictures
from hemiface.vision.finding.detector import MediaPipeDetector
from hemiface.vision.photos import read_photo
from hemiface.vision.predictor import Predictor

pytestmark = pytest.mark.usefixtures("face_networks")

SIDE = 200
FACES = phantom.render(np.arange(7), seed=3)


def scene(path: Path, *faces: tuple[int, int, int], width: int = 640, height: int = 320) -> Path:
    """Write a grey picture in which faces stand: (which, left, top), each SIDE pixels large."""
    canvas = np.full((height, width), 128, dtype=np.uint8)
    for which, left, top in faces:
        large = Image.fromarray(FACES[which]).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        canvas[top : top + SIDE, left : left + SIDE] = np.asarray(large)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(canvas).save(path)
    return path


def cut(path: Path, folder: Path, **known: object) -> Cut:
    [found] = AlignedPictures(folder)([Listed(path, path.name, "happy", **known)])  # type: ignore[arg-type]
    return found


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return linear_model(tmp_path_factory.mktemp("model") / "linear.onnx")


def test_the_face_nearest_to_the_middle_is_cut_as_by_predict(tmp_path: Path, model: Path) -> None:
    path = scene(tmp_path / "two.png", (3, 20, 60), (0, 260, 60))
    found = cut(path, tmp_path / "cache")
    assert (found.faces, found.problem) == (2, "")
    seen = Predictor(model, estimate=False).see(read_photo(path).pixels)
    near = min(seen, key=lambda one: abs(one.found.box[:, 0].mean() - 320))
    assert found.pixels is not None
    np.testing.assert_array_equal(found.pixels, near.aligned.pixels)
    # The same face, cut out of the picture that it was rendered as.
    other = max(seen, key=lambda one: abs(one.found.box[:, 0].mean() - 320))
    assert np.corrcoef(found.pixels.ravel(), other.aligned.pixels.ravel())[0, 1] < 0.98
    # Where the source says which one it is about, that one is taken; where it says another place,
    # nobody is.
    boxed = cut(path, tmp_path / "cache", box=(20.0, 60.0, 200.0, 200.0))
    np.testing.assert_array_equal(boxed.pixels, other.aligned.pixels)
    assert boxed.faces == 1
    nobody = cut(path, tmp_path / "cache", box=(560.0, 0.0, 60.0, 60.0))
    assert (nobody.pixels, nobody.faces, nobody.problem) == (None, 0, "")


def test_no_face_and_no_picture_are_two_things(tmp_path: Path) -> None:
    empty = cut(scene(tmp_path / "empty.png"), tmp_path / "cache")
    assert (empty.pixels, empty.problem) == (None, "")
    (tmp_path / "torn.png").write_bytes((tmp_path / "empty.png").read_bytes()[:200])
    for name, word in (("torn.png", "can't be looked at (Picture"), ("gone.png", "doesn't exist")):
        torn = cut(tmp_path / name, tmp_path / "cache")
        assert torn.pixels is None
        assert word in torn.problem


class KilledError(Exception):
    """Stands for a kill."""


def test_a_killed_run_goes_on_and_nothing_is_looked_at_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(aligned_pictures, "_KEPT_TOGETHER", 2)
    paths = [scene(tmp_path / f"{k}.png", (k, 60, 60), width=320) for k in range(5)]
    listed = [Listed(path, path.name, "happy") for path in paths]
    cache = tmp_path / "cache"
    told: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        told.append((done, total))
        if done == 3:
            raise KilledError

    with pytest.raises(KilledError):
        list(AlignedPictures(cache, on_progress=stop)(listed))
    assert told == [(1, 5), (2, 5), (3, 5)]
    assert len(list(cache.iterdir())) == 1
    again: list[tuple[int, int]] = []
    first = list(AlignedPictures(cache, on_progress=lambda *done: again.append(done))(listed))
    assert again == [(2, 5), (3, 5), (4, 5), (5, 5)]

    # Once more, by somebody who can't look at anything.
    known = AlignedPictures(cache)
    monkeypatch.setattr(known, "_detector", None)
    for one, other in zip(first, known(listed), strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)
        assert (one.faces, one.problem) == (other.faces, other.problem)

    # Another picture under the same name is looked at; a damaged file is made again.
    scene(paths[0], (6, 60, 60), width=320)
    changed = next(iter(AlignedPictures(cache)(listed)))
    assert not np.array_equal(changed.pixels, first[0].pixels)
    kept = sorted(cache.iterdir())
    assert len(kept) == 4
    for path in kept:
        path.write_bytes(path.read_bytes()[:-60])
    np.testing.assert_array_equal(next(iter(AlignedPictures(cache)(listed))).pixels, changed.pixels)
    assert "is damaged; the aligned faces are found again" in caplog.text


def test_other_networks_or_code_are_another_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = AlignedPictures(tmp_path).key
    monkeypatch.setattr(aligned_pictures, "code_hash", lambda _: "other code")
    assert AlignedPictures(tmp_path).key != before
    assert AlignedPictures(tmp_path / "elsewhere").key == AlignedPictures(tmp_path).key


def people(root: Path) -> Path:
    """Two persons as in JAFFE, each with every emotion, and a picture that shows nobody."""
    codes = dict(zip(EMOTIONS, ("AN", "DI", "FE", "HA", "SA", "SU", "NE"), strict=True))
    for number, person in enumerate(("KA", "YM")):
        for which, emotion in enumerate(EMOTIONS):
            name = f"{person}.{codes[emotion]}1.{10 * number + which}.png"
            scene(root / name, (which, 20 + 20 * number, 60), width=320)
    scene(root / "KA.NE2.99.png", width=320)
    return root


def test_from_photographs_to_a_report(
    tmp_path: Path,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """evaluate --data ANY --align, then report and data across, on somebody's own pictures."""
    source, table = people(tmp_path / "jaffe"), tmp_path / "jaffe.parquet"
    monkeypatch.setattr(aligned_pictures.assets, "cache_folder", _beside(tmp_path))
    arguments = ("evaluate", model, "--data", source, "--out", table, "--conditions", "full")
    assert hemiface(monkeypatch, *arguments, "--align") == 0
    assert "1 of 15 pictures show no face that was found" in capsys.readouterr().err
    predictions = read_predictions(table)
    assert len(predictions) == 14
    assert predictions.table["group"].nunique() == 2
    assert predictions.facts["data"]["aligned"] == {"found": 14, "without": 1, "several": 0}
    assert predictions.facts["skipped"] == 1
    assert not predictions.table["leaked"].any()
    page = tmp_path / "page/report.html"
    assert hemiface(monkeypatch, "report", table, "--out", page) == 0
    told = re.sub(r"<[^>]+>", " ", page.read_text(encoding="utf-8"))
    assert re.search(r"without a face that was found\s+1 of 15\s", told)
    assert re.search(r"Persons, each a group\s+2\s", told)
    assert hemiface(monkeypatch, "data", "across", table, "--out", tmp_path / "across.csv") == 0
    capsys.readouterr()
    assert hemiface(monkeypatch, "data", "check", source, "--align") == 0
    checked = capsys.readouterr().out
    assert "KA.NE2.99.png shows no face that was found" in checked
    assert "pictures without, left out" in checked


def test_what_is_kept_of_a_stopped_command_is_said(
    tmp_path: Path,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(aligned_pictures, "_KEPT_TOGETHER", 5)
    monkeypatch.setattr(aligned_pictures.os, "cpu_count", lambda: 1)
    source, looked = people(tmp_path / "jaffe"), []
    detect = aligned_pictures.PhotoDetector.detect

    def stopped_at_the_seventh(*given: object) -> object:
        looked.append(given)
        if len(looked) == 7:
            raise KeyboardInterrupt
        return detect(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(aligned_pictures.PhotoDetector, "detect", stopped_at_the_seventh)
    monkeypatch.setattr(aligned_pictures.assets, "cache_folder", _beside(tmp_path))
    out = ("--out", tmp_path / "out")
    commands = (
        ("evaluate", model, "--data", source, *out),
        ("tiles", model, "--data", source, *out),
        ("data", "show", source, *out),
        ("data", "check", source),
    )
    for command in commands:
        shutil.rmtree(tmp_path / "aligned", ignore_errors=True)
        looked.clear()
        assert hemiface(monkeypatch, *command, "--align") == 130
        said = "the same command keeps the faces that were found and otherwise begins anew."
        assert said in capsys.readouterr().err
    looked.clear()
    monkeypatch.setattr(
        aligned_pictures.PhotoDetector,
        "detect",
        lambda *given: looked.append(given) or detect(*given),  # type: ignore[func-returns-value]
    )
    assert hemiface(monkeypatch, *commands[-1], "--align") == 0
    assert len(looked) == 10  # of 15 pictures five were kept


def test_what_is_kept_of_stopped_halves_of_faces_is_said(
    tmp_path: Path,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(MediaPipeDetector, "detect", stop)
    of_faces = ("evaluate", model, "--data", "phantom:n=70", "--out", tmp_path, "--halves", "face")
    assert hemiface(monkeypatch, *of_faces) == 130
    assert "keeps the faces that were found and otherwise begins anew" in capsys.readouterr().err


def _beside(folder: Path):
    """The cache's folder: its networks where they are, what is found in `folder`."""
    real = aligned_pictures.assets.cache_folder()

    class Cache(type(real)):  # type: ignore[misc]
        def __truediv__(self, name: str) -> Path:
            return folder / name if name == "aligned" else real / name

    return lambda: Cache(real)


def test_pictures_without_any_face_are_refused(tmp_path: Path) -> None:
    scene(tmp_path / "happy/1.png")
    with pytest.raises(DamagedError, match="has no picture left to read"):
        load(tmp_path, align=AlignedPictures(tmp_path / "cache"))
