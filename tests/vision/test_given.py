"""What programs hand over: the same picture in every form gives the same answer."""

import dataclasses
import io
import json
import os
import sys
import tracemalloc
from pathlib import Path
from queue import Queue

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from test_frames import write

from builders import without_privileges
from hemiface.data.phantom import make as phantom
from hemiface.errors import DamagedError, HemifaceError, MissingError, UsageError
from hemiface.tables import EMOTIONS, PROBABILITY_COLUMNS
from hemiface.vision.photos import Photo
from hemiface.vision.predictor import Predictor
from hemiface.vision.sources import find_sources
from hemiface.vision.video.watching import Watch

COLOURS = np.random.default_rng(7).integers(0, 256, (40, 60, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def predictor(model):
    """One face a picture: its central square."""
    return Predictor(model, no_detect=True, abstain_below=0)


@pytest.fixture(scope="module")
def answer(predictor):
    return predictor.predict(COLOURS)[0].probabilities


def png(pixels=COLOURS, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    return file.getvalue()


class TestOnePicture:
    @pytest.mark.parametrize(
        "form",
        [
            lambda: COLOURS,
            lambda: np.asfortranarray(COLOURS),
            lambda: COLOURS[::1, ::1],
            lambda: png(),
            lambda: bytearray(png()),
            lambda: memoryview(png()),
            lambda: io.BytesIO(png()),
            lambda: Image.fromarray(COLOURS),
            lambda: Image.open(io.BytesIO(png())),
            lambda: torch.from_numpy(COLOURS).permute(2, 0, 1),
            lambda: torch.from_numpy(COLOURS).permute(2, 0, 1).float() / 255,
            lambda: torch.from_numpy(COLOURS).permute(2, 0, 1).double().div(255).requires_grad_(),
        ],
    )
    def test_in_every_form_is_the_same(self, predictor, answer, form):
        faces = predictor.predict(form())
        assert faces[0].probabilities == answer
        assert faces.source == ""
        assert (faces.pixels == COLOURS).all()

    def test_of_half_as_many_bits(self, predictor):
        """NumPy has no bfloat16, in which only some values are exact."""
        black_or_white = torch.from_numpy(COLOURS > 127).permute(2, 0, 1)
        pixels = predictor.predict(black_or_white.bfloat16()).pixels
        assert (pixels == (COLOURS > 127) * 255).all()

    @pytest.mark.parametrize("kind", [str, lambda path: path])
    def test_as_a_file(self, predictor, answer, tmp_path, kind):
        path = tmp_path / "photo.png"
        path.write_bytes(png())
        faces = predictor.predict(kind(path))
        assert faces[0].probabilities == answer
        assert faces.source == faces[0].source == str(path)
        with path.open("rb") as file:
            assert predictor.predict(file).rows() == faces.rows()

    def test_of_opencv_is_bgr(self, predictor, answer, tmp_path):
        path = tmp_path / "photo.png"
        path.write_bytes(png())
        bgr = cv2.imread(str(path))
        assert predictor.predict(bgr, bgr=True)[0].probabilities == answer
        assert predictor.predict(bgr)[0].probabilities != answer
        assert (predictor.predict(bgr, bgr=True).pixels == COLOURS).all()

    def test_in_grey(self, predictor):
        grey = COLOURS[:, :, 0]
        forms = [
            grey, grey[:, :, np.newaxis], np.stack([grey] * 3, axis=2), png(grey),
            torch.from_numpy(grey)[np.newaxis], Image.fromarray(grey),
        ]  # fmt: skip
        assert len({one[0].probabilities for one in predictor.predict(forms)}) == 1

    def test_of_pillow_is_read_as_its_file_is(self, predictor, tmp_path):
        path = tmp_path / "turned.jpg"
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(COLOURS).save(path, exif=exif)
        opened = Image.open(path)
        faces = predictor.predict(opened)
        assert faces.pixels.shape == (60, 40, 3)
        assert faces[0].probabilities == predictor.predict(path)[0].probabilities
        assert opened.size == (60, 40)
        see_through = Image.fromarray(np.dstack([COLOURS, COLOURS[:, :, 0]]))
        as_file = io.BytesIO()
        see_through.save(as_file, "PNG")
        assert predictor.predict(see_through)[0].probabilities == (
            predictor.predict(as_file.getvalue())[0].probabilities
        )

    @pytest.mark.parametrize(
        ("wrong", "says"),
        [
            (COLOURS / 255, "float64.*multiply by 255"),
            (COLOURS.astype(np.int16), "int16"),
            (np.zeros((4, 4, 4), np.uint8), r"leave alpha out with array\[:, :, :3\]"),
            (np.zeros((0, 4, 3), np.uint8), "RGB uint8"),
            (np.zeros((2, 4, 4, 3), np.uint8), "RGB uint8"),
            (torch.zeros(4, 4, 3), r"\[3 or 1, height, width\]"),
            (torch.full((3, 4, 4), 200.0), "outside 0..1"),
            (torch.full((3, 4, 4), torch.nan), "outside 0..1"),
            (torch.zeros((3, 4, 4), dtype=torch.int32), "int32"),
            (io.StringIO("text"), "mode 'rb'"),
            ("https://example.org/a.jpg", "address on a network"),
            ("rtsp://camera.local/1", "address on a network"),
            (7, "Type int is no picture"),
            (None, "Type NoneType is no picture"),
            ([7], "Type int is no picture"),
            (object(), "Type object is no picture"),
            ([[COLOURS]], "Type list is no picture"),
        ],
    )
    def test_what_is_none(self, predictor, wrong, says):
        with pytest.raises(UsageError, match=says):
            predictor.predict(wrong)

    def test_a_file_that_gives_no_bytes(self, predictor, tmp_path):
        class Asynchronous:
            async def read(self, _: int) -> bytes:
                return png()

        class Empty(io.RawIOBase):
            def read(self, size: int = -1) -> None:
                """As what has nothing yet and doesn't wait for it."""

        path = tmp_path / "a.jpg"
        path.write_bytes(b"\xff\xd8\xff\xe0")
        with path.open(encoding="utf-8") as text:
            for wrong, says in (
                (Asynchronous(), r"hand over its \.file, or await its bytes"),
                (text, "opened as text; open it with mode 'rb'"),
                (Empty(), "gives NoneType, not bytes"),
            ):
                # A mistake of the program, which skip_bad passes over no more.
                with pytest.raises(UsageError, match=says):
                    predictor.predict([wrong], skip_bad=True)

    def test_bgr_is_said_of_arrays_only(self, predictor):
        with pytest.raises(UsageError, match="bgr=True is for arrays"):
            predictor.predict(png(), bgr=True)

    @pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)])
    def test_without_a_pixel(self, predictor, size):
        with pytest.raises(DamagedError, match="has no pixels"):
            predictor.predict(Image.new("RGB", size))

    @pytest.mark.parametrize("content", [b"", b"no picture", png()[:200]])
    def test_damaged_content(self, predictor, content):
        with pytest.raises(DamagedError, match=r"Picture of \d+ bytes"):
            predictor.predict(content)

    def test_a_file_that_never_ends(self, predictor, monkeypatch):
        monkeypatch.setenv("HEMIFACE_MAX_PICTURE_BYTES", "1000")
        with (
            Path("/dev/zero").open("rb") as endless,
            pytest.raises(DamagedError, match="over the limit"),
        ):
            predictor.predict(endless)

    def test_over_the_limit_of_pixels(self, model):
        small = Predictor(model, no_detect=True, most_pixels=100)
        for form in (png(), Image.open(io.BytesIO(png())), Image.fromarray(COLOURS)):
            with pytest.raises(DamagedError, match="over the limit of 100"):
                small.predict(form)

    def test_a_folder_may_look_like_an_address(self, predictor, answer, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "http:").mkdir()
        (tmp_path / "http:" / "a.png").write_bytes(png())
        assert predictor.predict("http:/a.png")[0].probabilities == answer

    def test_an_empty_name_is_not_the_current_folder(self, predictor, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "a.png").write_bytes(png())
        for empty in ("", [""]):
            with pytest.raises(UsageError, match="name is empty"):
                predictor.predict(empty)
        with pytest.raises(UsageError, match="A name to look at is empty"):
            find_sources(["a.png", ""])
        assert len(predictor.predict(".")) == 1

    def test_what_the_system_refuses_is_a_sentence(self, predictor, tmp_path):
        closed = tmp_path / "closed"
        closed.mkdir()
        photo = closed / "a.png"
        photo.write_bytes(png())
        shut = photo.open("rb")
        shut.close()
        closed.chmod(0)
        refused = (
            ("A" * 5000, "File name too long"),
            (photo, "Permission denied"),
            (shut, "The open file can't be read .*; open it anew"),
        )
        try:
            with without_privileges():
                for source, says in refused:
                    with pytest.raises(DamagedError, match=says):
                        predictor.predict(source)
                found = predictor.predict([COLOURS, *(one for one, _ in refused)], skip_bad=True)
        finally:
            closed.chmod(0o700)
        assert [bool(one.problem) for one in found] == [False, True, True, True]

    def test_files_may_be_closed_as_soon_as_they_were_handed_over(self, predictor, tmp_path):
        (tmp_path / "a.png").write_bytes(png())

        def some():
            for _ in range(3):
                with (tmp_path / "a.png").open("rb") as file:
                    yield file

        assert [len(one.pixels) for one in predictor.predict(some())] == [40] * 3


class TestSeveral:
    def test_of_every_kind_keep_their_order(self, predictor, tmp_path):
        path = tmp_path / "photo.png"
        path.write_bytes(png(255 - COLOURS))
        forms = [COLOURS, path, png(COLOURS[:, ::-1])]
        alone = [predictor.predict(one)[0].probabilities for one in forms]
        for several in (forms, tuple(forms), iter(forms), (one for one in forms)):
            found = predictor.predict(several)
            assert [one[0].probabilities for one in found] == [
                pytest.approx(one, abs=1e-6) for one in alone
            ]
            assert [one.source for one in found] == ["#0", str(path), "#2"]

    def test_a_folder_is_its_pictures(self, predictor, crops):
        whole = predictor.predict(crops, skip_bad=True)
        names = sorted(str(path) for path in crops.iterdir())
        assert [one.source for one in whole] == names
        bad = {one.source.rsplit("/", 1)[1]: one for one in whole if one.problem}
        assert set(bad) == {"broken.jpg", "empty.png"}
        assert "0 bytes" in bad["empty.png"].problem
        assert not bad["empty.png"]
        assert all(len(one) == 1 for one in whole if not one.problem)
        with pytest.raises(DamagedError, match=r"broken\.jpg is of no known format"):
            predictor.predict(crops)
        both = predictor.predict([COLOURS, crops], skip_bad=True)
        assert [one.source for one in both] == ["#0", *names]
        (crops / "none").mkdir()
        with pytest.raises(UsageError, match="neither pictures"):
            predictor.predict(crops / "none")

    def test_a_folder_that_is_closed_costs_no_other(self, predictor, crops):
        (crops / "closed").mkdir()
        (crops / "closed").chmod(0)
        try:
            with without_privileges():
                found = predictor.predict(crops, skip_bad=True)
                with pytest.raises(DamagedError):
                    predictor.predict(crops)
        finally:
            (crops / "closed").chmod(0o700)
        assert len(found) == 13
        (told,) = (one for one in found if one.source == str(crops / "closed"))
        assert "can't be looked into (Permission denied)" in told.problem
        assert sum(map(len, found)) == 10

    @pytest.mark.skipif(sys.platform != "linux", reason="names are text on other systems")
    def test_a_name_that_is_no_text_is_written_as_escapes(self, predictor, tmp_path):
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/$_$ \xe4.png"))
        path.write_bytes(png())
        bad = path.with_name(path.name.replace("png", "jpg"))
        bad.write_bytes(b"x")
        name = str(tmp_path / "$_$ \\udce4.png")
        with path.open("rb") as file:
            assert predictor.predict(file).source == name
        for source in (path, str(path), tmp_path):
            found = predictor.predict([source], skip_bad=True)[-1]
            assert found.source == found[0].source == name
            assert found.to_pandas()["source"].tolist() == [name]
            assert found.plot().get_title() == Path(name).name
            assert (found.pixels == COLOURS).all()
        (told,) = predictor.predict([bad], skip_bad=True)
        json.dumps(told.to_dict(), ensure_ascii=False).encode()

    def test_the_network_sees_many_at_once(self, predictor, monkeypatch):
        sizes = []
        kind = type(predictor.model)
        ask = kind.predict

        def counted(self, faces):
            sizes.append(len(faces))
            return ask(self, faces)

        monkeypatch.setattr(kind, "predict", counted)
        found = predictor.predict([COLOURS] * 70)
        assert len(found) == 70
        assert sizes == [32, 32, 6]

    def test_one_after_the_other_is_in_memory(self, predictor):
        """Four pictures of 39 MB."""
        large = np.zeros((3600, 3600), np.uint8)
        content = png(large)
        del large
        predictor.predict(content)
        tracemalloc.start()
        predictor.predict([content] * 4)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < 3 * 3 * 3600**2

    def test_come_while_they_are_looked_at(self, predictor):
        asked = []

        def endless():
            while True:
                asked.append(len(asked))
                yield COLOURS

        stream = predictor.stream(endless())
        assert next(stream).source == "#0"
        assert len(asked) == 32

    def test_of_a_slow_source_come_as_they_are(self, predictor):
        pictures = Queue()
        stream = predictor.stream(iter(pictures.get, None), batch_size=1)
        for place in range(2):
            pictures.put(png())
            # With nothing else in the queue, a larger batch would wait for ever.
            assert next(stream).source == f"#{place}"
        pictures.put(None)
        assert not list(stream)
        with pytest.raises(UsageError, match="batch_size must be at least 1, got 0"):
            predictor.stream([], batch_size=0)

    @pytest.mark.parametrize(("bad", "error"), [("none.png", MissingError), (7, UsageError)])
    def test_before_a_bad_one_are_told(self, predictor, bad, error):
        stream = predictor.stream([COLOURS, COLOURS, bad, COLOURS])
        assert [next(stream).source for _ in range(2)] == ["#0", "#1"]
        with pytest.raises(error):
            next(stream)

    def test_none_at_all(self, predictor):
        assert predictor.predict([]) == []

    def test_bgr_of_several(self, predictor, answer):
        found = predictor.predict([COLOURS[:, :, ::-1], png()], bgr=True)
        assert [one[0].probabilities for one in found] == [pytest.approx(answer, abs=1e-6)] * 2


class TestFaces:
    @pytest.fixture
    def faces(self, predictor, tmp_path):
        path = tmp_path / "a <b>.png"
        Image.fromarray(phantom.render(np.array([3]), seed=0)[0]).resize((96, 64)).save(path)
        return predictor.predict(path)

    def test_are_told_in_few_words(self, faces, model):
        (one,) = faces
        assert repr(one) == f"<face 0: {one.label} {100 * one.confidence:.0f} %>"
        assert repr(faces) == f"<Faces of {faces.source}: {one.label} {100 * one.confidence:.0f} %>"
        shy = Predictor(model, no_detect=True, abstain_below=1, estimate=False).predict(COLOURS)
        assert repr(shy).startswith("<Faces: no label: confidence ")
        (bad,) = Predictor(model, no_detect=True).predict([b"x"], skip_bad=True)
        assert repr(bad).startswith("<Faces of #0: Picture of 1 bytes")

    def test_in_a_notebook(self, faces, predictor):
        shown = faces._repr_html_()
        assert "a &lt;b&gt;.png" in shown
        assert "<b>.png" not in shown
        assert shown.count('src="data:image/jpeg;base64,') == 1
        assert all(f"<th>{name}</th>" for name in EMOTIONS)
        assert f"<td>{100 * faces[0].probabilities[0]:.0f} %</td>" in shown
        (bad,) = predictor.predict([b"<i>"], skip_bad=True)
        assert "<img" not in bad._repr_html_()

    def test_with_their_picture(self, faces, tmp_path):
        marked = faces.annotated()
        assert marked.shape == faces.pixels.shape == (64, 96, 3)
        assert (marked != faces.pixels).any()
        saved = faces.save(tmp_path / "marked.png")
        assert (np.asarray(Image.open(saved)) == marked).all()
        with Image.open(faces.save(tmp_path / "marked.JPG")) as opened:
            assert opened.format == "JPEG"
        with pytest.raises(UsageError, match="has no suffix of a picture"):
            faces.save(tmp_path / "marked.txt")
        with pytest.raises(HemifaceError, match="can't be written"):
            faces.save(saved / "marked.png")
        axes = faces.plot()
        assert (axes.images[0].get_array() == marked).all()
        axes = dataclasses.replace(faces, source="a/$_$.png").plot()
        axes.figure.canvas.draw()
        assert axes.get_title() == "$_$.png"

    @pytest.mark.parametrize(("suffix", "side"), [(".webp", 16_384), (".jpeg", 65_501)])
    def test_too_large_for_a_format(self, faces, tmp_path, suffix, side):
        flat = dataclasses.replace(
            faces, faces=(), opened=lambda: Photo(np.zeros((1, side, 3), np.uint8))
        )
        with pytest.raises(UsageError, match=rf"can't hold {side} x 1 pixels.*save it as \.png"):
            flat.save(tmp_path / f"a{suffix}")
        assert flat.save(tmp_path / "a.png").is_file()
        assert [one.name for one in tmp_path.glob("a.*")] == ["a.png"]

    def test_are_equal_and_have_a_hash(self, faces, predictor):
        again = predictor.predict(faces.source)
        assert np.isnan(faces[0].yaw_deg)
        assert np.isnan(faces[0].detection_score)
        assert again == faces
        assert again[0] == faces[0]
        assert len({again, faces}) == len({again[0], faces[0]}) == 1
        other = dataclasses.replace(faces[0], face=7)
        assert other != faces[0]
        assert dataclasses.replace(faces, faces=(other,)) != faces
        assert faces[0] != faces[0].row()
        # Landmarks are arrays, which no row has.
        assert dataclasses.replace(faces[0], landmarks=np.zeros((468, 2))) == faces[0]

    def test_cut_out(self, faces):
        x, y, width, height = faces[0].box_px
        whole = faces.crop(0, margin=0)
        assert (whole == faces.pixels[int(y) : int(y + height), int(x) : int(x + width)]).all()
        assert faces.crop(0, margin=10).shape == faces.pixels.shape
        for wrong, says in ((1, "no face 1"), (-1, "no face -1")):
            with pytest.raises(UsageError, match=says):
                faces.crop(wrong)
        with pytest.raises(UsageError, match="negative"):
            faces.crop(0, margin=-1)

    def test_what_is_missing_is_no_word_in_any_pandas(self, model, monkeypatch):
        unsure = Predictor(model, no_detect=True, abstain_below=1).predict(COLOURS)
        for version in ("2.2.3", pd.__version__):
            monkeypatch.setattr(pd, "__version__", version)
            table = unsure.to_pandas()
            assert table["label"].isna().all()
            assert table["model"].tolist() == [unsure[0].model]

    def test_as_tables(self, faces):
        assert json.loads(json.dumps(faces.to_dict()))["faces"] == faces.rows()
        pandas = faces.to_pandas()
        polars = pytest.importorskip("polars", reason="polars isn't installed")
        table = faces.to_polars()
        assert table.columns == list(pandas.columns)
        assert table.schema["face"] == polars.Int64
        values = table.select(PROBABILITY_COLUMNS).to_numpy()
        assert values == pytest.approx(pandas[list(PROBABILITY_COLUMNS)].to_numpy())

    def test_as_detections(self, faces):
        pytest.importorskip("supervision", reason="supervision isn't installed")
        found = faces.to_supervision()
        x, y, width, height = faces[0].box_px
        assert found.xyxy.tolist() == [[x, y, x + width, y + height]]
        assert EMOTIONS[found.class_id[0]] == found.data["class_name"][0] == faces[0].label

    @pytest.mark.parametrize("library", ["polars", "supervision", "pandas"])
    def test_without_a_library(self, faces, library, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, library, None)
        with pytest.raises(HemifaceError, match=f"needs {library}; pip install {library}"):
            getattr(faces, f"to_{library}")()

    def test_whose_picture_is_gone(self, faces, tmp_path):
        (tmp_path / "a <b>.png").unlink()
        with pytest.raises(DamagedError, match="doesn't exist"):
            faces.annotated()
        assert "exist" in faces._repr_html_()


def test_a_video_is_watched_frame_by_frame(model, tmp_path):
    path = write(tmp_path / "film.mp4")
    predictor = Predictor(model, no_detect=True)
    found = list(predictor.watch(path, search_every=3))
    assert [one[0].frame for one in found] == list(range(len(found)))
    assert pd.Series([one[0].timestamp_s for one in found]).is_monotonic_increasing
    assert found[-1].pixels.ndim == 3
    for wrong in (0, None, b"film.mp4"):
        with pytest.raises(UsageError, match=r"is no video; .* the first one is 'camera:0'"):
            predictor.watch(wrong)
    with pytest.raises(UsageError, match="search_every"):
        predictor.watch(path, search_every=0)
    with pytest.raises(UsageError, match="The video's name is empty"):
        predictor.watch("")
    with pytest.raises(DamagedError, match="doesn't exist"):
        next(predictor.watch(tmp_path / "none.mp4"))
    with pytest.raises(MissingError, match=r"^rtsp://camera/1 is an address on a network"):
        next(predictor.watch("rtsp://camera/1"))
    with pytest.raises(DamagedError, match=r"is a video and no picture; Predictor\.watch"):
        predictor.predict(path)
    for look in (predictor.predict_frames, Watch(predictor).predict_frames):
        with pytest.raises(UsageError, match=r"takes hf\.Frame, got ndarray among them"):
            look([found[-1].pixels])
    assert Watch(predictor, 3).search_every == 3
