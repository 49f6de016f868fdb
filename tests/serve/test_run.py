"""Listening: ports, tokens, and a service that runs, answers and ends as it should."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="the service needs hemiface[serve]")

from builders import hemiface
from hemiface.errors import HemifaceError, UsageError
from hemiface.serve.run import address_of, listen, token_of

pytestmark = pytest.mark.slow

SERVED = """
import signal

signal.signal(signal.SIGHUP, signal.SIG_DFL)

from hemiface.serve.app import create_app
from hemiface.serve.run import address_of, listen, run
from hemiface.threads import stopped_like_ctrl_c
from hemiface.vision.predictor import Predictor

with stopped_like_ctrl_c(), listen("127.0.0.1", 0) as listening:
    app = create_app(Predictor(no_detect=True))
    run(app, listening, lambda: print(address_of(listening), flush=True))
print("ended")
"""


IMPATIENT = """
import asyncio
import os

from fastapi import FastAPI
from starlette.responses import PlainTextResponse, StreamingResponse

from hemiface.serve.run import address_of, listen, run

os.environ["HEMIFACE_MAX_REQUEST_SECONDS"] = "1"
app = FastAPI()


@app.get("/slow")
async def slow():
    await asyncio.sleep(2.5)
    return PlainTextResponse("slow")


class Endless(StreamingResponse):
    async def __call__(self, *connection):
        await super().__call__(*connection)
        print("given up", flush=True)


@app.get("/endless")
async def endless():
    async def parts():
        while True:
            yield b"x" * 100_000
            await asyncio.sleep(0)

    return Endless(parts())


with listen("127.0.0.1", 0) as listening:
    run(app, listening, lambda: print(address_of(listening), flush=True))
"""

BUSY = """
import sys
import time

import hemiface.serve.run as running
from hemiface.serve.app import create_app
from hemiface.vision.predictor import Predictor


class Slow:
    def detect(self, photo):
        time.sleep(2)
        return []


running._PATIENCE_S = int(sys.argv[1])
with running.listen("127.0.0.1", 0) as listening:
    app = create_app(Predictor(detector=Slow()))
    ready = lambda: print(running.address_of(listening), flush=True)
    running.run(app, listening, ready, app.state.refuse_waiting)
"""


@contextmanager
def running(script, *arguments):
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def service():
    with running(SERVED) as process:
        yield process


@contextmanager
def connected(address):
    host, _, port = address.strip().removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=90) as connection:
        yield connection


def until_closed(connection) -> bytes:
    got = b""
    try:
        while part := connection.recv(1 << 16):
            got += part
    except ConnectionResetError:
        pass
    return got


def test_a_connection_without_a_request_or_a_reader_is_closed():
    with running(IMPATIENT) as process:
        address = process.stdout.readline()
        for sent in (b"", b"GET /slow HTTP/1.1\r\nHost: x\r\nX-Long: y"):
            with connected(address) as connection:
                connection.sendall(sent)
                assert until_closed(connection) == b""
        with connected(address) as connection:
            # What is being answered has its time, also the second one of a connection.
            connection.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n" * 2 + b"GET /")
            assert until_closed(connection).count(b"\r\n\r\nslow") == 2
        with connected(address) as connection:
            connection.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
            assert process.stdout.readline() == "given up\n"
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=90)[1] == ""


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_answers_and_ends_when_told(service, sign):
    address = service.stdout.readline().strip()
    with urllib.request.urlopen(f"{address}/health", timeout=90) as answer:  # noqa: S310
        assert answer.status == 200
        assert "server" not in answer.headers
    service.send_signal(sign)
    out, error = service.communicate(timeout=90)
    assert (service.returncode, out, error) == (0, "ended\n", "")


def black_png() -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.zeros((48, 48), np.uint8)).save(content, "PNG")
    return content.getvalue()


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGHUP])
def test_what_is_being_answered_is_answered(service, sign):
    address = service.stdout.readline().strip()
    host, _, port = address.removeprefix("http://").partition(":")
    body = black_png()
    head = (
        f"POST /predict HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/png\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode()
    with socket.create_connection((host, int(port)), timeout=90) as connection:
        connection.sendall(head + body[:10])
        time.sleep(0.3)
        service.send_signal(sign)
        time.sleep(0.3)
        connection.sendall(body[10:])
        answer = b""
        while part := connection.recv(1 << 16):
            answer += part
    assert answer.startswith(b"HTTP/1.1 200")
    _, error = service.communicate(timeout=90)
    assert (service.returncode, error) == (0, "")


@pytest.mark.parametrize(("patience", "statuses"), [("60", [200, 503, 503]), ("0", [503] * 3)])
def test_who_is_not_answered_any_more_is_told(patience, statuses):
    """One worker looks at a picture for two seconds, and two more wait when it is to end."""
    refusals = []

    def ask(address):
        asked = urllib.request.Request(  # noqa: S310
            f"{address}/predict", black_png(), {"Content-Type": "image/png"}
        )
        try:
            with urllib.request.urlopen(asked, timeout=90) as answer:  # noqa: S310
                return answer.status
        except urllib.error.HTTPError as error:
            refusals.append((error.headers["retry-after"], json.load(error)))
            return error.code

    with running(BUSY, patience) as process, ThreadPoolExecutor(3) as pool:
        address = process.stdout.readline().strip()
        asked = [pool.submit(ask, address) for _ in range(3)]
        counts = ""
        while "hemiface_requests_here 3.0" not in counts:
            with urllib.request.urlopen(f"{address}/metrics", timeout=90) as answer:  # noqa: S310
                counts = answer.read().decode()
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=90)
        assert sorted(one.result() for one in asked) == statuses
    assert all(one == ("5", {"error": "The service is ending; ask again."}) for one in refusals)
    # The server names those that it gives up itself.
    assert error.count("\n") == statuses.count(503) // 3
    assert process.returncode == 0


def test_a_taken_port_is_told():
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        assert address_of(first) == f"http://127.0.0.1:{port}"
        assert first.proto == socket.IPPROTO_TCP
        with pytest.raises(HemifaceError, match=rf"127\.0\.0\.1, port {port} \(.*in use"):
            listen("127.0.0.1", port)
    with pytest.raises(HemifaceError, match="Nothing can listen at 203"):
        listen("203.0.113.1", 0)


def test_tokens(tmp_path, monkeypatch):
    monkeypatch.delenv("HEMIFACE_TOKEN", raising=False)
    assert token_of(None) == ""
    file = tmp_path / "token"
    file.write_text("0123456789abcdef\n")
    assert token_of(file) == "0123456789abcdef"
    monkeypatch.setenv("HEMIFACE_TOKEN", "f" * 16)
    assert token_of(None) == "f" * 16
    for wrong in ("short", "two words of some length", "ä" * 16, ""):
        file.write_text(wrong)
        with pytest.raises(UsageError, match="one word of at least 16"):
            token_of(file)
    with pytest.raises(UsageError, match="nothing"):
        token_of(tmp_path / "nothing")


def test_the_command(face_networks):
    known = {**os.environ, "HEMIFACE_CACHE": str(face_networks), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "hemiface", "serve", "--port", "0", "--workers", "1"]
    command += ["--model", "nano-int8", "--mix", "natural", "--hide", "lower"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=known
    ) as process:
        try:
            address = process.stdout.readline().split()[0]
            for path, kind in (("/", "text/html"), ("/page.json", "application/json")):
                with urllib.request.urlopen(address + path, timeout=90) as answer:  # noqa: S310
                    assert answer.headers["content-type"].startswith(kind)
                    assert "connect-src 'self'" in answer.headers["content-security-policy"]
                    content = answer.read()
        finally:
            process.send_signal(signal.SIGINT)
        rest, error = process.stdout.read(), process.stderr.read()
    assert f"{address}/docs  REST, to be tried" in rest
    assert process.returncode == 0
    # What page.json was given, and what can't be.
    told = json.loads(content)
    assert [one["name"] for one in told["models"] if one["isDefault"]] == ["nano-int8"]
    assert told["start"] == {"mix": "natural", "abstainBelow": None}
    assert error == "hemiface: for REST alone, not for the page: --hide lower.\n"


def test_the_page_alone(face_networks, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HEMIFACE_CACHE", str(face_networks))
    out = tmp_path / "page"
    assert hemiface(monkeypatch, "page", "--out", out, "--model", "nano-int8") == 0
    assert str(out) in capsys.readouterr().out
    assert (out / "index.html").is_file()
    assert (out / "models/nano-int8.onnx").is_file()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    assert hemiface(monkeypatch, "page", "--out", tmp_path / "mine") == 2
    assert "is no part of a page" in capsys.readouterr().err
    assert (tmp_path / "mine/notes.txt").read_text() == "mine"
    assert hemiface(monkeypatch, "page", "--out", out, "--model", "nothing") == 2
