"""Picture files to faces of 48 px: which formats are read, whatever a file is called."""

import io
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, ImageFile

from hemiface.data import pictures
from hemiface.data.pictures import PictureError, open_picture, read_picture

FACE = np.arange(48 * 48, dtype=np.uint16).reshape(48, 48).astype(np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "PPM", "TIFF", "GIF"])
def test_the_content_decides_and_no_suffix(tmp_path, kind):
    path = tmp_path / "face.jpg"
    Image.fromarray(FACE).save(path, format=kind)
    found = read_picture(path)
    assert not isinstance(found, str)
    assert (found[0] == FACE).all()


def test_what_pillow_gives_to_other_programs_is_never_opened(tmp_path, monkeypatch):
    """Ghostscript runs programs: PostScript in a file that is called .jpg must not reach it."""
    path = tmp_path / "face.jpg"
    Image.fromarray(FACE).convert("RGB").save(path, format="EPS")
    ran = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *given: ran.append(given))
    with pytest.raises(PictureError, match="unknown format"), open_picture(path):
        pass
    assert read_picture(path) == "is not a readable picture (unknown format)"
    assert ran == []


def test_a_picture_beyond_the_limit_is_not_unpacked(tmp_path):
    """20,000 x 20,000 black pixels: 400 MB, of which the file has 40 bytes at most."""
    path = tmp_path / "large.png"
    path.write_bytes(png(20_000, 20_000))
    found = read_picture(path)
    said = "has 20000 x 20000 pixels, over the limit of 89,478,485 (HEMIFACE_MAX_PIXELS raises it)"
    assert found == said


def test_an_icon_is_not_unpacked_to_learn_its_size(tmp_path, monkeypatch):
    """Its directory says 256 x 256, what lies in it 20,000 x 20,000, and opening decodes it."""
    inner = png(20_000, 20_000)
    entry = struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, len(inner), 22)
    path = tmp_path / "face.png"
    path.write_bytes(struct.pack("<HHH", 0, 1, 1) + entry + inner)
    allocated = []
    monkeypatch.setattr(ImageFile.ImageFile, "load_prepare", lambda one: allocated.append(one.size))
    assert read_picture(path) == "is not a readable picture (unknown format)"
    assert allocated == []


def test_the_limit_of_pixels_is_that_of_the_environment(tmp_path, monkeypatch):
    path = tmp_path / "face.png"
    Image.fromarray(FACE).save(path)
    monkeypatch.setenv("HEMIFACE_MAX_PIXELS", "2303")
    assert "48 x 48 pixels, over the limit of 2,303" in read_picture(path)
    monkeypatch.setenv("HEMIFACE_MAX_PIXELS", "2304")
    assert (read_picture(path)[0] == FACE).all()


@pytest.mark.parametrize("rows", [1, 7, 48, 1000])
def test_conversion_by_bands_is_that_of_the_whole(tmp_path, monkeypatch, rows):
    """A picture that turns, has transparency, and is neither square nor 48 high."""
    noise = np.random.default_rng(0).integers(0, 256, (61, 83, 4), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "a.png"
    Image.fromarray(noise).save(path, exif=exif)
    upright = Image.fromarray(np.rot90(noise, -1))
    black = Image.alpha_composite(Image.new("RGBA", upright.size, "black"), upright)
    grey = black.convert("RGB").convert("L").crop((0, 11, 61, 72))
    expected = np.asarray(grey.resize((48, 48), Image.Resampling.BOX))
    monkeypatch.setattr(pictures, "_BAND_PIXELS", 61 * rows)
    found, done = read_picture(path)
    np.testing.assert_array_equal(found, expected)
    assert done == {"grey", "cropped", "resized"}


def test_scans_without_end_take_no_longer_than_the_limit(tmp_path, monkeypatch):
    """A progressive JPEG whose last scan comes a thousand times: 300 kB that take minutes."""
    file = io.BytesIO()
    Image.new("L", (2000, 2000), 99).save(file, "JPEG", progressive=True, quality=50)
    content = file.getvalue()
    last = content[content.rindex(b"\xff\xda") : -2]
    path = tmp_path / "scans.jpg"
    path.write_bytes(content[:-2] + 1000 * last + content[-2:])
    monkeypatch.setenv("HEMIFACE_MAX_PICTURE_SECONDS", "1")
    start = time.monotonic()
    assert read_picture(path) == (
        "isn't read to its end, over the limit of 1 seconds for reading a picture "
        "(HEMIFACE_MAX_PICTURE_SECONDS raises it)"
    )
    assert time.monotonic() - start < 8


def png(width: int, height: int) -> bytes:
    """A PNG whose header promises so many pixels, and which has none of them."""
    header = width.to_bytes(4) + height.to_bytes(4) + bytes([8, 0, 0, 0, 0])
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    chunks = b"".join(
        len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP"])
def test_what_other_libraries_switch_does_not_make_a_cut_file_whole(monkeypatch, kind):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    whole = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (96, 96), dtype=np.uint8)
    Image.fromarray(noise).save(whole, format=kind)
    cut = whole.getvalue()[: len(whole.getvalue()) // 2]
    with open_picture(cut) as outer:
        # Two at a time, as in threads: the first to end doesn't switch it back for the other.
        assert not isinstance(read_picture(whole.getvalue()), str)
        with pytest.raises(OSError, match="truncated"):
            outer.load()
    assert ImageFile.LOAD_TRUNCATED_IMAGES
    # What Pillow by itself makes of it with the switch on: a picture, whose rest is made up.
    with Image.open(io.BytesIO(cut)) as other:
        other.load()
