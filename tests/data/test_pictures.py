"""Picture files to faces of 48 px: which formats are read, whatever a file is called."""

import zlib

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from hemiface.data import pictures
from hemiface.data.pictures import open_picture, read_picture

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
    with pytest.raises(pictures.UnidentifiedImageError):
        open_picture(path)
    assert read_picture(path) == "is not a readable picture (unknown format)"
    assert ran == []


def test_a_picture_beyond_the_limit_is_not_unpacked(tmp_path):
    """20,000 x 20,000 black pixels: 400 MB, of which the file has 40 bytes at most."""
    path = tmp_path / "large.png"
    path.write_bytes(png(20_000, 20_000))
    found = read_picture(path)
    assert found == "has 20000 x 20000 pixels, over the limit of 89,478,485"


def png(width: int, height: int) -> bytes:
    """A PNG whose header promises so many pixels, and which has none of them."""
    header = width.to_bytes(4) + height.to_bytes(4) + bytes([8, 0, 0, 0, 0])
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    chunks = b"".join(
        len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + chunks
