"""Videos: what is read and written is a file, whatever its name or its content says."""

import os
import re
import struct
import threading
from collections.abc import Iterable
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

av = pytest.importorskip("av", reason="videos need hemiface[video]")

from hemiface.errors import DamagedError  # noqa: E402
from hemiface.vision.sources import find_sources  # noqa: E402
from hemiface.vision.video import frames  # noqa: E402
from hemiface.vision.video.frames import Since, open_writer, read_frames, shown_at  # noqa: E402


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


def noisy(path: Path, n: int = 40) -> Path:
    """A video whose frames are so different that each takes room in its file."""
    generator = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        codec = {".flv": "flv", ".ogv": "libvpx"}.get(path.suffix, "mpeg4")
        stream = container.add_stream(codec, rate=20, width=64, height=48)
        stream.pix_fmt = "yuv420p"
        for _ in range(n):
            pixels = generator.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.avi", "a.3gp"])
def test_a_video_that_is_cut_off_says_so(tmp_path, name):
    """Also where a decoder of several threads takes the cut for the end."""
    path = noisy(tmp_path / name)
    if name == "a.mp4":
        # Its index at the start, as on the web: else nothing of a part can be read.
        front = tmp_path / "front.mp4"
        with av.open(str(path)) as whole, av.open(
            str(front), "w", options={"movflags": "faststart"}
        ) as moved:  # fmt: skip
            stream = moved.add_stream_from_template(whole.streams.video[0])
            for packet in whole.demux(whole.streams.video[0]):
                if packet.size:
                    packet.stream = stream
                    moved.mux(packet)
        path = front
    assert len(list(read_frames(path))) == 40
    content = path.read_bytes()
    for share in (0.6, 0.9, 0.995):
        path.write_bytes(content[: int(len(content) * share)])
        seen = []
        with pytest.raises(DamagedError, match=r"is cut off; get it again|can't be read"):
            seen.extend(read_frames(path))
        # The last bytes of some are an index.
        assert len(seen) < 40 or share > 0.99
        assert frames.shown_at(path) == []


@pytest.mark.parametrize("more", [b"notes of somebody", b"\xff\xff\xff\xff\0\1", b"hello!!", b"\0"])
def test_what_follows_a_video_or_is_streamed_is_no_cut(tmp_path, more):
    path = noisy(tmp_path / "a.mp4")
    with path.open("ab") as file:
        file.write(more)
    assert len(list(read_frames(path))) == 40
    content = noisy(tmp_path / "a.ts").read_bytes()
    (tmp_path / "a.ts").write_bytes(content[: len(content) // 188 // 2 * 188])
    assert 10 < len(list(read_frames(tmp_path / "a.ts"))) < 40


@pytest.mark.parametrize("name", ["a.ts", "a.3gp", "a.flv", "a.wmv", "a.ogv"])
def test_videos_of_other_suffixes_are_videos(tmp_path, name):
    noisy(tmp_path / name, n=1)
    assert [one.kind for one in find_sources([str(tmp_path)])] == ["video"]
    assert len(list(read_frames(tmp_path / name))) == 1


def test_typescript_is_no_video(tmp_path):
    noisy(tmp_path / "film.ts", n=1)
    (tmp_path / "app.ts").write_text("const a: number = 1;\n")
    assert [Path(one.name).name for one in find_sources([str(tmp_path)])] == ["film.ts"]


def stream_of(path: Path, starts_s: float, n: int = 12) -> Path:
    """A transport stream at 25 frames a second that begins at a time of its recorder's clock."""
    with av.open(str(path), "w", format="mpegts", options={"muxdelay": "0"}) as container:
        stream = container.add_stream("mpeg2video", rate=25, width=64, height=48)
        stream.pix_fmt = "yuv420p"
        for number in range(n):
            pixels = np.full((48, 64, 3), 20 * number, dtype=np.uint8)
            picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            picture.pts, picture.time_base = round(starts_s * 25) + number, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def times(path: Path) -> list[float]:
    return [one.timestamp_s for one in read_frames(path)]


@pytest.mark.parametrize("starts_s", [0, 36_000])
def test_times_count_from_the_beginning(tmp_path, starts_s):
    """Of the copy, too, which would begin with hours of nothing."""
    found = times(stream_of(tmp_path / "a.ts", starts_s))
    np.testing.assert_allclose(found, np.arange(12) / 25, atol=1e-9)
    with open_writer(tmp_path / "copy.mp4") as writer:
        for frame in read_frames(tmp_path / "a.ts"):
            writer.add(frame.pixels, frame.timestamp_s)
    with av.open(str(tmp_path / "copy.mp4")) as container:
        assert container.streams.video[0].start_time == 0
        assert container.duration / 1e6 == pytest.approx(12 / 25, abs=0.05)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.ts"])
def test_how_many_frames_there_are_is_told_beforehand(tmp_path, name):
    with av.open(str(tmp_path / name), "w") as made:
        stream = made.add_stream("mpeg4", rate=30, width=64, height=64)
        for number in range(45):
            pixels = np.full((64, 64, 3), 5 * number, np.uint8)
            made.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        made.mux(stream.encode())
    assert frames.frame_count(tmp_path / name) == 45
    (tmp_path / name).write_bytes(b"no video")
    assert frames.frame_count(tmp_path / name) == 0
    assert frames.frame_count("camera:0") == 0
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / f"pipe-{name}")
        assert frames.frame_count(tmp_path / f"pipe-{name}") == 0


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
@pytest.mark.parametrize("ahead", [0, 2])
def test_avi_begins_at_zero_though_frames_are_decoded_before_others(tmp_path, codec, ahead):
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as made:
        stream = made.add_stream(codec, rate=25, options={"bf": str(ahead)})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for number in range(24):
            pixels = np.full((64, 64, 3), 10 * number, np.uint8)
            made.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        made.mux(stream.encode())
    assert times(path) == pytest.approx(np.arange(24) / 25)
    # Nobody knows where the others could be cut.
    assert bool(shown_at(path)) == (ahead == 0)


def avi_of(path: Path, options: dict[str, str], shown: Iterable[int], skip: int = 0) -> Path:
    """H.264 with noise of its own in each of these 25ths of a second, less the first packets."""
    with av.open(str(path), "w") as made:
        stream = made.add_stream("libx264", rate=25, options=options, width=64, height=64)
        packets = []
        for at in shown:
            pixels = np.random.default_rng(at).integers(0, 256, (64, 64, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = at, Fraction(1, 25)
            packets += stream.encode(frame)
        made.mux([*packets, *stream.encode()][skip:])
    return path


def test_what_is_missing_in_avi_moves_no_other_frame(tmp_path):
    shown = [0, 1, 2, 10, 11, 12, 30, 31]
    often = {"bf": "0", "g": "4", "keyint_min": "4", "sc_threshold": "0"}
    path = avi_of(tmp_path / "a.avi", often, shown)
    assert times(path) == pytest.approx(np.array(shown) / 25)
    assert shown_at(path) == shown
    # Without their key frame the next three can't be decoded.
    path = avi_of(tmp_path / "b.avi", often, shown, skip=1)
    assert times(path) == pytest.approx(np.array(shown[4:]) / 25)


def test_a_stretch_of_avi_begins_before_a_key_frame_too(tmp_path):
    often = {"bf": "0", "g": "8", "keyint_min": "8", "sc_threshold": "0"}
    path = avi_of(tmp_path / "a.avi", often, range(24))
    whole = list(read_frames(path))
    for number in (7, 8, 9):
        since = list(read_frames(path, Since(number, shown_at(path)[number])))
        assert [one.number for one in since] == list(range(number, 24))
        for one, same in zip(since, whole[number:], strict=True):
            assert one.timestamp_s == same.timestamp_s == pytest.approx(one.number / 25)
            np.testing.assert_array_equal(one.pixels, same.pixels)


@pytest.mark.parametrize("ahead", ["0", "2"])
def test_avi_is_read_once_and_not_before_its_first_frame(tmp_path, monkeypatch, ahead):
    path = avi_of(tmp_path / "a.avi", {"bf": ahead}, range(300))
    opened = []

    def open_anew(*_):
        opened.append(BytesIO(path.read_bytes()))
        return av.open(opened[-1])

    monkeypatch.setattr(frames, "_open", open_anew)
    read = read_frames(path)
    assert next(read).timestamp_s == 0
    assert opened[0].tell() < path.stat().st_size / 2
    assert len(list(read)) == 299
    assert len(opened) == 1


def test_a_camera_that_is_unplugged_is_named_after_what_it_showed(tmp_path, monkeypatch):
    with av.open(str(tmp_path / "a.ts"), "w") as made:
        stream = made.add_stream("mpeg4", rate=25, width=64, height=64)
        # More than what is read before the first frame.
        for pixels in np.random.default_rng(0).integers(0, 256, (400, 64, 64, 3), np.uint8):
            made.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        made.mux(stream.encode())
    content = (tmp_path / "a.ts").read_bytes()

    class Unplugged:
        """A camera can't be wound forward."""

        def __init__(self) -> None:
            self.left = BytesIO(content)

        def read(self, size: int) -> bytes:
            if self.left.tell() > len(content) // 2:
                raise av.error.OSError(19, "No such device")
            return self.left.read(size)

    def unplugged(*_):
        return av.open(Unplugged(), format="mpegts")

    monkeypatch.setattr(frames, "_open", unplugged)
    said = re.compile(r"^Camera 0 stopped after (\d+) frames \(No such device\); was it unplugged")
    with pytest.raises(DamagedError, match=said) as error:
        list(read_frames("camera:0"))
    assert 0 < int(said.match(str(error.value))[1]) < 400


def test_times_that_jump_back_go_on(tmp_path):
    first, second = stream_of(tmp_path / "a.ts", 5), stream_of(tmp_path / "b.ts", 2, n=5)
    both = tmp_path / "cat.ts"
    both.write_bytes(first.read_bytes() + first.read_bytes() + second.read_bytes())
    found = times(both)
    assert len(found) > 20
    np.testing.assert_allclose(found, np.arange(len(found)) / 25, atol=1e-9)


def boxes(content: bytes) -> list[bytes]:
    """The boxes of an MP4, or those in one of them, each with its size and name."""
    found = []
    while content:
        size = int.from_bytes(content[:4], "big")
        found.append(content[:size])
        content = content[size:]
    return found


@pytest.mark.parametrize("is_first", [False, True])
def test_a_cover_is_no_film(tmp_path, is_first):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg", rate=1, width=600, height=600)
        cover.pix_fmt = "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        film = container.add_stream("mpeg4", rate=25, width=64, height=48)
        film.pix_fmt = "yuv420p"
        for stream, side, count in ((cover, (600, 600), 1), (film, (48, 64), 5)):
            picture = av.VideoFrame.from_ndarray(np.zeros((*side, 3), np.uint8), format="rgb24")
            container.mux([packet for _ in range(count) for packet in stream.encode(picture)])
            container.mux(stream.encode(None))
    if is_first:
        # As some shops' files have it: what is said of the film stands before it.
        *before, moov = boxes(path.read_bytes())
        parts = sorted(boxes(moov[8:]), key=lambda box: box[4:8] == b"trak")
        path.write_bytes(b"".join([*before, moov[:8], *parts]))
    with av.open(str(path)) as container:
        kinds = [stream.codec_context.name for stream in container.streams.video]
        assert kinds == (["mjpeg", "mpeg4"] if is_first else ["mpeg4", "mjpeg"])
    assert [one.pixels.shape for one in read_frames(path)] == [(48, 64, 3)] * 5
    assert len(frames.shown_at(path)) == 5


def test_a_folder_may_be_called_as_a_camera_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(Path("camera:clips/a.mp4"))
    (source,) = find_sources(["."])
    assert len(list(read_frames(source.film))) == 3


CORNER = np.zeros((48, 64, 3), dtype=np.uint8)
CORNER[:24, :32] = 255
CORNER[:24, 32:] = 100
"""White at the left above, grey at the right above: no two ways to turn or mirror it look alike."""


def shown(path: Path) -> np.ndarray:
    """Each quarter of the first frame by one pixel of its middle."""
    pixels = next(read_frames(path)).pixels
    height, width = pixels.shape[:2]
    return pixels[height // 4 :: height // 2, width // 4 :: width // 2, 0].astype(int)


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ((1, 0, 0, 1), CORNER),
        ((0, 1, -1, 0), np.rot90(CORNER, -1)),  # a quarter clockwise
        ((-1, 0, 0, -1), np.rot90(CORNER, 2)),
        ((0, -1, 1, 0), np.rot90(CORNER)),
        ((-1, 0, 0, 1), CORNER[:, ::-1]),
        ((1, 0, 0, -1), CORNER[::-1]),
        ((0, 1, 1, 0), CORNER.swapaxes(0, 1)),
        ((0, -1, -1, 0), np.rot90(CORNER, 2).swapaxes(0, 1)),
    ],
)
def test_a_video_is_turned_and_mirrored_as_it_says(tmp_path, matrix, expected):
    """By its track header (ISO/IEC 14496-12, 8.3.2), written by hand."""
    path = tmp_path / "a.mp4"
    with open_writer(path) as writer:
        writer.add(CORNER, 0.0)
    content = path.read_bytes()
    a, b, c, d = (one * 65536 for one in matrix)
    plain, turned = (
        struct.pack(">9i", *one, 0, 0, 0x40000000)
        for one in ((65536, 0, 0, 0, 65536, 0), (a, b, 0, c, d, 0))
    )
    at = content.index(plain, content.index(b"tkhd"))
    path.write_bytes(content[:at] + turned + content[at + len(plain) :])
    height, width = expected.shape[:2]
    assert next(read_frames(path)).pixels.shape == (height, width, 3)
    middles = expected[height // 4 :: height // 2, width // 4 :: width // 2, 0].astype(int)
    np.testing.assert_allclose(shown(path), middles, atol=6)


@pytest.mark.parametrize(
    ("aspect", "size"),
    [("1", (64, 48)), ("4/3", (85, 48)), ("64/45", (91, 48)), ("8/9", (64, 54)), ("100", (64, 48))],
)
def test_pixels_become_square(tmp_path, aspect, size):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=20, width=64, height=48)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(aspect)
        picture = av.VideoFrame.from_ndarray(CORNER, format="rgb24")
        container.mux([*stream.encode(picture), *stream.encode(None)])
    assert next(read_frames(path)).pixels.shape == (size[1], size[0], 3)
