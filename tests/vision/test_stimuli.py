"""Stimuli: picture files of any size and kind, of which exactly the named part changes."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from builders import hemiface
from hemiface.errors import DamagedError, UsageError
from hemiface.occlusion.conditions import condition, hidden_mask
from hemiface.vision.photos import read_photo
from hemiface.vision.stimuli import occlude_files

RNG = np.random.default_rng(0)
GREY = RNG.integers(1, 256, (31, 20), dtype=np.uint8)
RGB = RNG.integers(1, 256, (14, 33, 3), dtype=np.uint8)


@pytest.fixture
def picture(tmp_path):
    def save(pixels: np.ndarray, name: str = "face.png", **options) -> "object":
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path, **options)
        return path

    return save


def read(path) -> np.ndarray:
    with Image.open(path) as opened:
        return np.array(opened)


@pytest.mark.parametrize("pixels", [GREY, RGB], ids=["grey", "rgb"])
@pytest.mark.parametrize("name", ["upper", "right", "antidiagonal", "only-lower-left"])
def test_the_picture_keeps_its_size_and_its_visible_pixels(picture, tmp_path, pixels, name):
    [written] = occlude_files([picture(pixels)], name, "black", tmp_path / "out")
    assert written == tmp_path / "out" / f"face-{name}.png"
    mask = hidden_mask(condition(name), *pixels.shape[:2])
    expected = pixels.copy()
    expected[mask] = 0
    np.testing.assert_array_equal(read(written), expected)


def test_no_picture_is_written_over(picture, tmp_path):
    """One that is called as the stimulus of another would be."""
    first, second = picture(GREY), picture(GREY[::-1], "face-left.png")
    before = second.read_bytes()
    with pytest.raises(UsageError, match=r"face-left\.png is read here, and what is made"):
        occlude_files([first, second], "left", "black", tmp_path)
    assert second.read_bytes() == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["face-left.png", "face.png"]
    # What an earlier run made is made again.
    for _ in range(2):
        occlude_files([first], "right", "black", tmp_path)


def test_nor_is_one_of_the_user_s_own_that_is_called_so(picture, tmp_path):
    path, own = picture(GREY), picture(GREY[::-1], "face-upper.png")
    before = own.read_bytes()

    def unknown(pixels: np.ndarray) -> np.ndarray:
        return np.full((len(pixels), 468, 2), np.nan)

    for name, landmarks in (("upper", None), ("left", unknown)):
        if landmarks:
            own = own.rename(tmp_path / "face-left-fallback.png")
        with pytest.raises(UsageError, match=rf"{own.name} is there, and isn't known to be"):
            occlude_files([path], name, "black", tmp_path, landmarks=landmarks)
        assert own.read_bytes() == before
    occlude_files([path], "left", "black", tmp_path, landmarks=unknown, replace=True)
    assert own.read_bytes() != before
    # It is ours now.
    occlude_files([path], "left", "black", tmp_path, landmarks=unknown)


def test_every_fill_has_its_name_and_noise_can_be_repeated(picture, tmp_path):
    path, out = picture(GREY), tmp_path / "out"
    results = {}
    for fill in ("black", "mean", "noise", "blur"):
        [written] = occlude_files([path], "left", fill, out)
        results[fill] = read(written)
        np.testing.assert_array_equal(results[fill][:, 10:], GREY[:, 10:])
    assert sorted(file.name for file in out.iterdir()) == [
        "face-left-blur.png", "face-left-mean.png", "face-left-noise.png", "face-left.png",
    ]  # fmt: skip
    assert len({result.tobytes() for result in results.values()}) == 4
    [again] = occlude_files([path], "left@noise", "black", tmp_path / "again")
    np.testing.assert_array_equal(read(again), results["noise"])
    [other] = occlude_files([picture(GREY, "other.png")], "left", "noise", out)
    assert (read(other) != results["noise"]).any()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upper_is_what_a_viewer_calls_upper(picture, tmp_path, orientation):
    """EXIF orientation k, in words: where row 0 and column 0 of what is stored are to be shown."""
    shown = np.zeros((10, 16, 3), np.uint8)
    shown[:5], shown[5:] = 200, 90
    stored = {
        1: shown,
        2: shown[:, ::-1],
        3: shown[::-1, ::-1],
        4: shown[::-1],
        5: shown.transpose(1, 0, 2),
        6: np.rot90(shown, 1),
        7: np.rot90(shown.transpose(1, 0, 2), 2),
        8: np.rot90(shown, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = picture(np.ascontiguousarray(stored), exif=exif)
    [written] = occlude_files([path], "upper", "black", tmp_path / "out")
    expected = shown.copy()
    expected[:5] = 0
    np.testing.assert_array_equal(read(written), expected)


def test_transparency_is_laid_on_black_and_grey_stays_grey(picture, tmp_path):
    rgba = np.full((4, 6, 4), 200, np.uint8)
    rgba[:, 3:, 3] = 0
    rgba[:, :3, 3] = 255
    [written] = occlude_files([picture(rgba)], "full", "black", tmp_path / "out")
    assert read(written)[0].tolist() == [[200] * 3] * 3 + [[0] * 3] * 3
    [written] = occlude_files(
        [picture(rgba[:, :, 2:], "la.png")], "full", "black", tmp_path / "out"
    )
    assert read(written)[0].tolist() == [200] * 3 + [0] * 3
    [written] = occlude_files([picture(GREY > 99, "bits.png")], "full", "black", tmp_path / "out")
    np.testing.assert_array_equal(read(written), np.where(GREY > 99, 255, 0))


def write_16_bit_pgm(path) -> None:
    wide = GREY.astype(">u2") * 257 + 128
    path.write_bytes(b"P5 20 31 65535\n" + wide.tobytes())


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


COLOURED = Image.fromarray(RGB)
WIDE = Image.fromarray(GREY.astype(np.uint16) * 257 + 100)
SEE_THROUGH = Image.fromarray(np.dstack([RGB, RGB[..., 0]]))
FORMS = {
    "1.png": lambda path: Image.fromarray(GREY > 99).save(path),
    "L.png": lambda path: Image.fromarray(GREY).save(path),
    "L.jpg": lambda path: Image.fromarray(GREY).save(path, exif=turned()),
    "L-transparent.png": lambda path: Image.fromarray(GREY).save(path, transparency=7),
    "LA.png": lambda path: SEE_THROUGH.convert("LA").save(path),
    "I;16.png": WIDE.save,
    "I;16-turned.png": lambda path: WIDE.save(path, exif=turned()),
    "I;16.tif": WIDE.save,
    "16-bit.pgm": write_16_bit_pgm,
    "P.png": COLOURED.convert("P").save,
    "P-transparent.png": lambda path: COLOURED.convert("P").save(path, transparency=3),
    "RGB.png": COLOURED.save,
    "RGB.jpg": lambda path: COLOURED.save(path, exif=turned()),
    "RGB.bmp": COLOURED.save,
    "RGB.tga": COLOURED.save,
    "RGB.webp": COLOURED.save,
    "RGB.ppm": COLOURED.save,
    "RGBA.png": SEE_THROUGH.save,
    "CMYK.jpg": COLOURED.convert("CMYK").save,
    "YCbCr.jpg": COLOURED.convert("YCbCr").save,
    "animated.gif": lambda path: COLOURED.save(
        path, save_all=True, append_images=[Image.fromarray(RGB[::-1])]
    ),
    "pages.tif": lambda path: COLOURED.save(path, save_all=True, append_images=[COLOURED]),
}
REFUSED = {
    "F.tif": lambda path: Image.fromarray(GREY.astype(np.float32)).save(path),
    "I.tif": lambda path: Image.fromarray(GREY.astype(np.int32)).save(path),
    "eps.png": lambda path: COLOURED.save(path, "EPS"),
    "heic.jpg": lambda path: path.write_bytes(b"\0\0\0\x24ftypheic" + bytes(50)),
    "empty.png": lambda path: path.touch(),
}


class TestOneReader:
    """What predict reads occlude takes, with the same pixels, and neither takes anything else."""

    @pytest.mark.parametrize("name", FORMS)
    def test_what_is_not_hidden_is_what_predict_reads(self, tmp_path, name):
        FORMS[name](tmp_path / name)
        photo = read_photo(tmp_path / name)
        told = []
        [written] = occlude_files(
            [tmp_path / name], "left", "black", tmp_path / "out",
            on_note=lambda _, sentence: told.append(sentence),
        )  # fmt: skip
        with Image.open(written) as opened:
            assert opened.mode == ("L" if name[0] in "1LI" or name == "16-bit.pgm" else "RGB")
            found = np.array(opened.convert("RGB"))
        expected = photo.pixels.copy()
        expected[hidden_mask(condition("left"), *expected.shape[:2])] = 0
        np.testing.assert_array_equal(found, expected)
        assert expected.any()
        assert told == ([f"of {tmp_path / name} {photo.note}."] if photo.note else [])
        assert bool(told) == (name in ("animated.gif", "pages.tif"))

    @pytest.mark.parametrize("name", REFUSED)
    def test_what_predict_refuses_is_refused_in_the_same_words(self, tmp_path, name):
        REFUSED[name](tmp_path / name)
        with pytest.raises(DamagedError) as refused:
            read_photo(tmp_path / name)
        with pytest.raises(DamagedError, match=re.escape(str(refused.value))):
            occlude_files([tmp_path / name], "left", "black", tmp_path / "out")
        assert not (tmp_path / "out").exists()


class TestErrors:
    @pytest.mark.parametrize(
        ("name", "fill", "sentence"),
        [
            ("top", "black", "Condition 'top' is unknown"),
            ("upper", "pink", "Fill 'pink' is unknown; choose from black, mean, noise, blur."),
            ("upper@pink", "black", "Fill 'pink' can't be used here"),
            ("upper@mean", "noise", "Fill 'mean' can't be used here"),
        ],
    )
    def test_wrong_words(self, picture, tmp_path, name, fill, sentence):
        with pytest.raises(UsageError, match=re.escape(sentence)):
            occlude_files([picture(GREY)], name, fill, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_two_pictures_of_one_name(self, picture, tmp_path):
        paths = [picture(GREY), picture(GREY, "x.png"), picture(RGB, "face.jpg")]
        with pytest.raises(UsageError, match=r"would both become .*face-upper\.png; rename"):
            occlude_files(paths, "upper", "black", tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_a_damaged_picture_keeps_no_other_from_being_made(
        self, picture, tmp_path, monkeypatch, capsys
    ):
        for name in ("a.png", "z.png"):
            (tmp_path / name).write_text("no picture")
        names = [str(tmp_path / "a.png"), str(picture(GREY)), str(tmp_path / "z.png")]
        line = ("occlude", *names, "--hide", "upper", "--out", str(tmp_path / "out"), "--json")
        assert hemiface(monkeypatch, *line) == 4
        said = capsys.readouterr()
        assert json.loads(said.out) == [str(tmp_path / "out" / "face-upper.png")]
        assert "a.png is of no known format" in said.err
        assert "z.png is of no known format" in said.err
        assert "2 of 3 pictures can't be read; see above." in said.err
        assert hemiface(monkeypatch, "occlude", names[0], *line[4:]) == 4
        assert "see above" not in capsys.readouterr().err
        (tmp_path / "z.png").unlink()
        assert hemiface(monkeypatch, *line) == 2

    def test_missing_damaged_and_too_deep_or_large_pictures_are_named(self, picture, tmp_path):
        def occlude(path):
            occlude_files([path], "upper", "black", tmp_path / "out")

        with pytest.raises(DamagedError, match=r"none\.png doesn't exist; check the path"):
            occlude(tmp_path / "none.png")
        text = tmp_path / "text.png"
        text.write_text("no picture")
        with pytest.raises(DamagedError, match=r"text\.png is of no known format"):
            occlude(text)
        whole = picture(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8), "cut.png")
        whole.write_bytes(whole.read_bytes()[:3000])
        with pytest.raises(DamagedError, match=r"cut\.png can't be read"):
            occlude(whole)
        deep = picture(GREY.astype(np.float32), "deep.tif")
        with pytest.raises(DamagedError, match=r"deep\.tif has mode F, .*; save it with 8 or 16"):
            occlude(deep)
        with pytest.raises(DamagedError, match=r"has 20 x 31 pixels, .*--max-pixels"):
            occlude_files([picture(GREY)], "upper", "black", tmp_path / "out", most_pixels=619)
        assert not (tmp_path / "out").exists()
