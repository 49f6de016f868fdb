"""Videos: what is read and written is a file, whatever its name or its content says."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

av = pytest.importorskip("av", reason="videos need hemiface[video]")

from hemiface.errors import DamagedError  # noqa: E402
from hemiface.vision.video import frames  # noqa: E402
from hemiface.vision.video.frames import open_writer, read_frames  # noqa: E402


def write(path: Path, n: int = 3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_writer(path) as writer:
        for number in range(n):
            writer.add(np.full((64, 64, 3), 80 * number, dtype=np.uint8), number / 10)
    return path


@pytest.fixture
def asked():
    """A local server, and what it was asked for."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            paths.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port, paths
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    "name", ["10:30.mp4", "http:/clip.mp4", "concat:a|b.mp4", "a%03d.mp4", "é 顔.mp4"]
)
def test_names_are_names(tmp_path, name):
    frames = list(read_frames(write(tmp_path / name)))
    assert [one.number for one in frames] == [0, 1, 2]
    assert frames[2].pixels.mean() > frames[0].pixels.mean() + 100


@pytest.mark.parametrize("name", ["10:30.mp4", "http:/clip.mp4"])
def test_relative_names_too(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write(Path(name))
    assert len(list(read_frames(name))) == 3


def test_a_playlist_called_mp4_asks_nobody(tmp_path, asked):
    port, paths = asked
    path = tmp_path / "clip.mp4"
    address = f"http://127.0.0.1:{port}/part.ts"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{address}\n#EXT-X-ENDLIST\n")
    with pytest.raises(DamagedError, match=r"clip\.mp4"):
        list(read_frames(path))
    assert paths == []


def test_a_playlist_shows_no_other_file(tmp_path):
    """FFmpeg takes ffconcat by its first words and would show the other video under this name."""
    write(tmp_path / "other.mp4")
    path = tmp_path / "clip.mp4"
    path.write_text("ffconcat version 1.0\nfile other.mp4\n")
    with pytest.raises(DamagedError, match=r"clip\.mp4 can't be read"):
        list(read_frames(path))


def test_frames_have_a_size(tmp_path, monkeypatch):
    path = write(tmp_path / "clip.mp4")
    monkeypatch.setenv("HEMIFACE_MAX_FRAME_PIXELS", "4095")
    with pytest.raises(
        DamagedError, match=r"clip\.mp4 has 64 x 64 pixels, over the limit of 4,095"
    ):
        next(read_frames(path))
    monkeypatch.setenv("HEMIFACE_MAX_FRAME_PIXELS", "4096")
    assert len(list(read_frames(path))) == 3


def test_pictures_that_no_decoder_knows(tmp_path):
    path = write(tmp_path / "clip.mp4")
    content = path.read_bytes()
    assert b"avc1" in content
    path.write_bytes(content.replace(b"avc1", b"zzzz"))
    with pytest.raises(DamagedError, match=r"clip\.mp4 keeps .* no decoder here knows"):
        next(read_frames(path))


def test_watching_has_an_end(tmp_path, monkeypatch):
    """What was seen until then stays."""
    clock = iter([0.0, 1.0, 7.9, 8.1])
    monkeypatch.setenv("HEMIFACE_MAX_VIDEO_SECONDS", "8")
    monkeypatch.setattr(frames, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    stream = read_frames(write(tmp_path / "clip.mp4"))
    assert [next(stream).number, next(stream).number] == [0, 1]
    with pytest.raises(DamagedError, match="HEMIFACE_MAX_VIDEO_SECONDS"):
        next(stream)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_what_a_video_says_of_itself_may_be_in_any_encoding(tmp_path, name):
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "AAAABBBB"
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    content = path.read_bytes()
    assert b"AAAABBBB" in content
    path.write_bytes(content.replace(b"AAAABBBB", b"caf\xe9\xff\xfe\xc3("))
    assert len(list(read_frames(path))) == 1
