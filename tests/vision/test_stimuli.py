"""Stimuli: picture files of any size and kind, of which exactly the named part changes."""

import re

import numpy as np
import pytest
from PIL import Image

from hemiface.errors import DamagedError, UsageError
from hemiface.occlusion.conditions import condition, hidden_mask
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

    def test_missing_damaged_and_deep_pictures_are_named(self, picture, tmp_path):
        def occlude(path):
            occlude_files([path], "upper", "black", tmp_path / "out")

        with pytest.raises(DamagedError, match=r"none\.png doesn't exist; check the path"):
            occlude(tmp_path / "none.png")
        text = tmp_path / "text.png"
        text.write_text("no picture")
        with pytest.raises(DamagedError, match=r"text\.png can't be read \(unknown format\)"):
            occlude(text)
        whole = picture(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8), "cut.png")
        whole.write_bytes(whole.read_bytes()[:3000])
        with pytest.raises(DamagedError, match=r"cut\.png can't be read"):
            occlude(whole)
        deep = picture(GREY.astype(np.uint16) * 200, "deep.png")
        with pytest.raises(DamagedError, match=r"deep\.png has mode I;16; save it with 8 bits"):
            occlude(deep)
        assert not (tmp_path / "out").exists()
