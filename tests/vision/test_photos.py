"""Pictures of every kind: right, or one sentence that says what is wrong and how to mend it."""

import io
import os
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps, TiffImagePlugin, features

from hemiface.data import pictures
from hemiface.errors import DamagedError
from hemiface.vision import photos
from hemiface.vision.photos import PHOTO_SUFFIXES, of_pillow, read_photo

NOISE = np.random.default_rng(0).integers(0, 256, (24, 16, 3), dtype=np.uint8)
SECOND = Image.new("RGB", (16, 24), "blue")


def saved(path: Path, picture: Image.Image | None = None, **options: object) -> Path:
    (picture or Image.fromarray(NOISE)).save(path, **options)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_every_exif_orientation_comes_upright(tmp_path, orientation, suffix):
    # How a camera stores what it saw, so that turning by the tag gives it back (EXIF 2.32, 4.6.4).
    stored = {
        1: NOISE, 2: NOISE[:, ::-1], 3: NOISE[::-1, ::-1], 4: NOISE[::-1],
        5: NOISE.transpose(1, 0, 2), 6: np.rot90(NOISE), 7: np.rot90(NOISE, 2).transpose(1, 0, 2),
        8: np.rot90(NOISE, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == "webp" else {}
    picture = Image.fromarray(np.ascontiguousarray(stored))
    path = saved(tmp_path / f"a.{suffix}", picture, exif=exif, **options)
    np.testing.assert_array_equal(read_photo(path).pixels, NOISE)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_lossless_kinds_keep_their_pixels(tmp_path, mode):
    grey = Image.fromarray(NOISE[..., 0])
    picture = {
        "1": grey.convert("1"), "L": grey, "LA": grey.convert("LA"),
        "P": Image.fromarray(NOISE).convert("P"), "RGBA": Image.fromarray(NOISE).convert("RGBA"),
        "I;16": Image.fromarray(NOISE[..., 0].astype(np.uint16) * 257),
    }[mode]  # fmt: skip
    expected = grey if mode == "I;16" else picture
    found = read_photo(saved(tmp_path / "a.png", picture)).pixels
    np.testing.assert_array_equal(found, np.array(expected.convert("RGB")))


def test_16_bit_pgm_and_tiff_are_divided_by_257(tmp_path):
    wide = NOISE[..., 0].astype(">u2") * 257
    (tmp_path / "a.pgm").write_bytes(b"P5 16 24 65535\n" + wide.tobytes())
    saved(tmp_path / "a.tif", Image.fromarray(wide.astype(np.uint16)))
    for name in ("a.pgm", "a.tif"):
        np.testing.assert_array_equal(read_photo(tmp_path / name).pixels[..., 0], NOISE[..., 0])
        with Image.open(tmp_path / name) as picture:
            np.testing.assert_array_equal(of_pillow(picture).pixels[..., 0], NOISE[..., 0])


@pytest.mark.parametrize("mode", ["L", "I;16"])
def test_tiff_whose_white_is_zero_is_no_negative(tmp_path, mode):
    """Photometric interpretation 0 (TIFF 6.0, section 8), as microscopes and scanners write it."""
    stored = 255 - NOISE[..., 0]
    wide = stored if mode == "L" else stored.astype(np.uint16) * 257
    path = saved(tmp_path / "a.tif", Image.fromarray(wide), tiffinfo={262: 1})
    content = path.read_bytes()
    tag = struct.pack("<HHII", 262, 3, 1, 1)
    assert content.count(tag) == 1
    path.write_bytes(content.replace(tag, struct.pack("<HHII", 262, 3, 1, 0)))
    np.testing.assert_array_equal(read_photo(path).pixels[..., 0], NOISE[..., 0])
    with Image.open(path) as picture:
        np.testing.assert_array_equal(of_pillow(picture).pixels[..., 0], NOISE[..., 0])


def test_floating_point_has_no_white(tmp_path):
    path = saved(tmp_path / "a.tif", Image.fromarray(np.ones((4, 4), np.float32)))
    with pytest.raises(DamagedError, match=r"mode F.*save it with 8 or 16 bits"):
        read_photo(path)


def test_cmyk_jpeg_looks_like_its_rgb(tmp_path):
    flat = Image.new("RGB", (16, 16), (200, 60, 30))
    found = read_photo(saved(tmp_path / "a.jpg", flat.convert("CMYK"), quality=100)).pixels
    assert np.abs(found.astype(int) - (200, 60, 30)).max() <= 4


def test_a_palette_with_transparency_is_laid_on_black(tmp_path):
    picture = Image.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 255, 0])
    picture.putpixel((1, 0), 1)
    found = read_photo(saved(tmp_path / "a.png", picture, transparency=0)).pixels
    assert found.tolist() == [[[0, 0, 0], [0, 255, 0]]]


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_of_animations_and_pages_the_first_is_read_and_told(tmp_path, suffix):
    options = {"lossless": True} if suffix == "webp" else {}
    flat = Image.new("RGB", (16, 24), "red")
    path = tmp_path / f"a.{suffix}"
    saved(path, flat, save_all=True, append_images=[SECOND], **options)
    photo = read_photo(path)
    assert (photo.pixels == (255, 0, 0)).all()
    assert photo.note == "only the first of 2 frames was read"
    with Image.open(path) as opened:
        again = of_pillow(opened)
        assert (again.note, again.pixels.tolist()) == (photo.note, photo.pixels.tolist())
        # Who goes on to another frame chose it.
        opened.seek(1)
        other = of_pillow(opened)
        assert other.note == ""
        assert (other.pixels == (0, 0, 255)).all()
        assert opened.tell() == 1


@pytest.mark.parametrize("suffix", ["gif", "tif"])
def test_what_was_drawn_on_a_picture_of_pillow_stays(tmp_path, suffix):
    halves = Image.new("L", (16, 24), 200)
    halves.paste(10, (0, 0, 8, 24))
    path = saved(tmp_path / f"a.{suffix}", halves, save_all=True, append_images=[SECOND])
    with Image.open(path) as opened:
        opened.paste(opened.crop((8, 0, 16, 24)))
        before = np.array(opened)
        assert (of_pillow(opened).pixels == 200).all()
        np.testing.assert_array_equal(np.array(opened), before)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "avif"])
def test_a_cut_picture_of_pillow_is_refused_as_its_file_is(tmp_path, monkeypatch, suffix):
    if suffix == "avif" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    # Of another library, which has Pillow make up what is missing.
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(noise))
    content = bytearray(path.read_bytes())
    if suffix == "avif":  # It isn't opened without its end.
        start = content.index(b"mdat") + 4
        content[start : start + 20] = bytes(20)
    else:
        del content[-200:]
    path.write_bytes(content)
    with pytest.raises(DamagedError):
        read_photo(path)
    with (
        Image.open(path) as opened,
        pytest.raises(DamagedError, match=r"a\.\w+ can't be read .*: open it anew"),
    ):
        of_pillow(opened)
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_the_preview_that_phones_hide_in_a_photo_is_not_told(tmp_path):
    path = tmp_path / "a.jpg"
    saved(path, None, format="MPO", save_all=True, append_images=[SECOND])
    photo = read_photo(path)
    assert photo.note == ""
    assert photo.pixels.shape == NOISE.shape


def test_avif_is_read_or_says_what_it_needs(tmp_path):
    if features.check("avif"):
        path = saved(tmp_path / "a.avif", Image.new("RGB", (32, 32), (90, 90, 90)))
        assert np.abs(read_photo(path).pixels.astype(int) - 90).max() <= 3
    else:
        (tmp_path / "a.avif").write_bytes(b"\0\0\0\x20ftypavif" + bytes(50))
        with pytest.raises(DamagedError, match=r"AVIF; update Pillow"):
            read_photo(tmp_path / "a.avif")


def test_heic_is_named_and_looked_at_in_folders(tmp_path):
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x24ftypheic" + bytes(50))
    with pytest.raises(DamagedError, match="is HEIC, which isn't read; convert it to JPEG"):
        read_photo(tmp_path / "a.heic")
    assert {".heic", ".avif"} <= PHOTO_SUFFIXES


@pytest.mark.parametrize(
    ("brand", "is_video"),
    [(b"isom", True), (b"mp42", True), (b"qt  ", True), (b"3gp5", True), (b"M4V ", True),
     (b"F4V ", True), (b"crx ", False), (b"M4A ", False), (b"M4B ", False), (b"JP2 ", False)],
)  # fmt: skip
def test_videos_alone_are_called_videos(tmp_path, brand, is_video):
    (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftyp" + brand + bytes(50))
    what = "is a video and no picture" if is_video else "is of no known format"
    with pytest.raises(DamagedError, match=what):
        read_photo(tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", sorted(PHOTO_SUFFIXES - {".avif", ".heic", ".heif", ".hif"}))
def test_what_is_looked_at_in_folders_is_read(tmp_path, suffix):
    kind = {".apng": "PNG", ".pgm": "PPM", ".pnm": "PPM"}.get(suffix)
    grey = Image.fromarray(np.full((9, 8), 200, np.uint8))
    (grey.convert("1") if suffix == ".pbm" else grey).save(tmp_path / f"a{suffix}", kind)
    assert read_photo(tmp_path / f"a{suffix}").pixels.shape == (9, 8, 3)


def test_what_pillow_gives_to_other_programs_is_no_photo(tmp_path):
    path = saved(tmp_path / "a.eps")
    path.rename(tmp_path / "a.jpg")
    with pytest.raises(DamagedError, match="of no known format"):
        read_photo(tmp_path / "a.jpg")


def bomb(side: int) -> bytes:
    """A PNG of some bytes that says it has side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    content = chunk(b"IDAT", zlib.compress(bytes(10_000)))
    return b"\x89PNG\r\n\x1a\n" + header + content + chunk(b"IEND", b"")


def test_a_bomb_is_refused_before_it_unpacks(tmp_path):
    (tmp_path / "a.png").write_bytes(bomb(60_000))
    with pytest.raises(DamagedError, match=r"60000 x 60000 .*limit of 89,478,485; .*--max-pixels"):
        read_photo(tmp_path / "a.png")
    Image.new("L", (100, 100)).save(tmp_path / "b.png")
    assert read_photo(tmp_path / "b.png", most_pixels=10_000).pixels.shape == (100, 100, 3)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_files_changed_at_random_are_read_or_one_sentence(tmp_path):
    small, exif = Image.fromarray(NOISE), Image.Exif()
    exif[0x0112] = 6
    contents = []
    for kind, options in (
        ("JPEG", {"exif": exif}), ("PNG", {"exif": exif}), ("BMP", {}), ("PPM", {}),
        ("GIF", {"save_all": True, "append_images": [ImageOps.mirror(small)]}),
        ("WEBP", {"save_all": True, "append_images": [SECOND]}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ):  # fmt: skip
        file = io.BytesIO()
        small.save(file, kind, **options)
        contents.append(file.getvalue())
    # This one made Pillow raise IndexError: an animation cut off in a frame's header.
    damaged = [contents[4][:-n] for n in range(1, 200, 7)]
    choose = random.Random(0)
    for content in contents * 10:
        changed = bytearray(content)
        for _ in range(choose.randint(1, 4)):
            changed[choose.randrange(min(len(changed), choose.choice([40, 10_000])))] = (
                choose.randrange(256)
            )
        damaged.append(bytes(changed[: choose.choice([len(content), len(content) - 20])]))
    outcomes = set()
    for content in damaged:
        (tmp_path / "a").write_bytes(content)
        try:
            outcomes.add(read_photo(tmp_path / "a", most_pixels=100_000).pixels.ndim)
        except DamagedError as error:
            outcomes.add(len(str(error).splitlines()))
    assert outcomes == {3, 1}


class TestPhotos:
    RED = np.full((4, 6, 3), (200, 10, 30), dtype=np.uint8)

    def test_kinds_become_rgb(self, tmp_path):
        red = Image.fromarray(self.RED)
        red.save(tmp_path / "rgb.png")
        red.convert("RGBA").save(tmp_path / "rgba.png")
        for name in ("rgb", "rgba"):
            np.testing.assert_array_equal(read_photo(tmp_path / f"{name}.png").pixels, self.RED)
        red.convert("CMYK").save(tmp_path / "cmyk.tif")
        assert np.abs(read_photo(tmp_path / "cmyk.tif").pixels.astype(int) - self.RED).max() <= 2
        wide = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
        Image.fromarray(wide).save(tmp_path / "wide.png")
        assert read_photo(tmp_path / "wide.png").pixels[0, :, 1].tolist() == [0, 1, 128, 255]

    def test_transparency_is_laid_on_black(self, tmp_path):
        Image.new("RGBA", (2, 2), (255, 255, 255, 0)).save(tmp_path / "a.png")
        assert not read_photo(tmp_path / "a.png").pixels.any()

    def test_exif_orientation_is_applied(self, tmp_path):
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(self.RED).save(tmp_path / "a.png", exif=exif)
        assert read_photo(tmp_path / "a.png").pixels.shape == (6, 4, 3)

    def test_of_an_animation_the_first_frame_is_read_and_told(self, tmp_path):
        frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
        frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
        photo = read_photo(tmp_path / "a.gif")
        assert "first of 2 frames" in photo.note
        assert photo.pixels[0, 0].tolist() == [255, 0, 0]

    def test_bad_files_are_one_sentence(self, tmp_path):
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (99, 99, 3), np.uint8)).save(
            tmp_path / "whole.jpg"
        )
        content = (tmp_path / "whole.jpg").read_bytes()
        (tmp_path / "cut.jpg").write_bytes(content[: len(content) // 2])
        (tmp_path / "text.jpg").write_text("hello")
        (tmp_path / "zero.jpg").touch()
        for name, word in {
            "cut": "truncated", "text": "no known format", "zero": "0 bytes",
            "gone": "doesn't exist",
        }.items():  # fmt: skip
            with pytest.raises(DamagedError, match=word):
                read_photo(tmp_path / f"{name}.jpg")
        with pytest.raises(DamagedError, match=r"99 x 99 .*--max-pixels"):
            read_photo(tmp_path / "whole.jpg", most_pixels=9800)


def tiff_of(pages: int) -> bytes:
    """A TIFF of so many pages of one pixel each."""
    content = bytearray(b"II*\0" + struct.pack("<I", 8))
    for page in range(pages):
        pixel = len(content) + 2 + 8 * 12 + 4
        tags = [(256, 3, 1), (257, 3, 1), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, pixel),
                (278, 3, 1), (279, 4, 1)]  # fmt: skip
        content += struct.pack("<H", 8)
        content += b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
        content += struct.pack("<I", pixel + 2 if page < pages - 1 else 0) + b"\x80\0"
    return bytes(content)


@pytest.mark.parametrize(
    ("pages", "said"),
    [(1, ""), (2, "2"), (100, "100"), (101, "more than 100"), (5000, "more than 100")],
)
def test_pages_are_counted_to_a_hundred(tmp_path, monkeypatch, pages, said):
    """Pillow looks at all pages before for each one: 40,000 took half a minute."""
    (tmp_path / "a.tif").write_bytes(tiff_of(pages))
    looked = []
    seek = TiffImagePlugin.TiffImageFile._seek
    monkeypatch.setattr(TiffImagePlugin.TiffImageFile, "_seek",
                        lambda one, frame: (looked.append(frame), seek(one, frame)))  # fmt: skip
    photo = read_photo(tmp_path / "a.tif")
    assert photo.note == (f"only the first of {said} frames was read" if said else "")
    assert photo.pixels.tolist() == [[[128] * 3]]
    assert len(looked) < 110


def test_a_large_picture_is_converted_in_parts(tmp_path, monkeypatch):
    """Beside the decoded picture lies its result and nothing else of its size."""
    noise = np.random.default_rng(0).integers(0, 256, (61, 83, 4), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    whole = read_photo(tmp_path / "a.png").pixels
    heights = []
    on_black = photos.on_black
    monkeypatch.setattr(pictures, "_BAND_PIXELS", 83 * 7)
    monkeypatch.setattr(
        photos, "on_black", lambda one: (heights.append(one.height), on_black(one))[1]
    )
    np.testing.assert_array_equal(read_photo(tmp_path / "a.png").pixels, whole)
    assert heights == [7] * 8 + [5]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
def test_what_is_no_file_is_told_and_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    for path, kind in ((tmp_path / "pipe.jpg", "a named pipe"), (Path("/dev/zero"), "a device"),
                       (tmp_path, "a folder")):  # fmt: skip
        with pytest.raises(DamagedError, match=f"{path} is {kind}, not a file"):
            read_photo(path)
