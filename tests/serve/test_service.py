"""REST, through FastAPI's own client: what comes, what is answered, what is refused."""

import asyncio
import base64
import csv
import gzip
import io
import json
import tempfile
import threading
import time
from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="the service needs hemiface[serve]")

from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hemiface.data.phantom import make as phantom
from hemiface.errors import HemifaceError, UsageError
from hemiface.serve.app import ServiceOptions, create_app
from hemiface.serve.desk import Asked, Desk
from hemiface.serve.guard import allowed_hosts
from hemiface.tables import EMOTIONS
from hemiface.vision.faces import COLUMNS, SCHEMA
from hemiface.vision.finding.detector import FoundFace
from hemiface.vision.predictor import Predictor

FIVE = np.array([[17.0, 19], [31, 19], [24, 27], [18, 34], [30, 34]])
RAW = {"content-type": "image/png"}
FORM = "multipart/form-data; boundary=y"
BOUND = b'--y\r\nContent-Disposition: form-data; name="p"\r\n\r\nx\r\n--y--\r\n'
JSON = {"content-type": "application/json"}
POLICY = "content-security-policy"


class Many:
    """A detector that sees `n` faces in every photo, each the whole of it, after `seconds`.

    Or not before `gate` is set.
    """

    def __init__(self, n=1, seconds=0.0, gate=None):
        self.n, self.seconds, self.gate = n, seconds, gate
        self.at_once, self.most_at_once = 0, 0
        self._lock = threading.Lock()

    def detect(self, photo):
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(self.seconds)
        if self.gate is not None:
            self.gate.wait()
        box = np.array([[0.0, 0], photo.shape[1::-1]])
        with self._lock:
            self.at_once -= 1
        return [FoundFace(box, 0.9, five=FIVE) for _ in range(self.n)]


@contextmanager
def served(predictor, **options):
    with TestClient(create_app(predictor, ServiceOptions(**options))) as client:
        yield client


@pytest.fixture(scope="module")
def predictor():
    return Predictor(no_detect=True)


@pytest.fixture(scope="module")
def client(predictor):
    with served(predictor, workers=2) as client:
        yield client


@pytest.fixture(scope="module")
def faces():
    return phantom.render(np.arange(4), seed=0)


def scope_of(path, kind, query=b""):
    """Return a POST as a server hands it to an application."""
    return {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(),
        "query_string": query, "headers": [(b"host", b"x"), (b"content-type", kind)],
        "http_version": "1.1", "scheme": "http", "server": ("x", 80), "client": ("y", 1),
        "root_path": "",
    }  # fmt: skip


def png(face) -> bytes:
    file = io.BytesIO()
    Image.fromarray(face).save(file, "PNG")
    return file.getvalue()


def rows_of(predictor, content, name):
    rows = predictor.predict(content).rows()
    return [{**row, "source": name} for row in rows]


class TestPictures:
    def test_as_they_are(self, client, predictor, faces):
        answer = client.post("/predict", content=png(faces[0]), headers=RAW)
        assert answer.status_code == 200
        told = answer.json()
        assert told["schema"] == SCHEMA
        assert told["faces"] == rows_of(predictor, png(faces[0]), "#0")
        assert told["sources"] == [
            {"source": "#0", "kind": "photo", "faces": 1, "frames": None, "error": "", "note": ""}
        ]

    def test_as_multipart_in_their_order(self, client, predictor, faces):
        sent = [("pictures", (f"{n}.png", png(face), "image/png")) for n, face in enumerate(faces)]
        told = client.post("/predict", files=sent).json()
        expected = [
            row for n, face in enumerate(faces) for row in rows_of(predictor, png(face), f"{n}.png")
        ]
        assert told["faces"] == expected

    @pytest.mark.parametrize("head", ["", "data:image/png;base64,"])
    def test_as_json(self, client, predictor, faces, head):
        text = head + base64.b64encode(png(faces[1])).decode()
        for one, name in (({"name": "a", "base64": text}, "a"), (text, "#0")):
            answer = client.post("/predict", json={"pictures": [one]})
            assert answer.json()["faces"] == rows_of(predictor, png(faces[1]), name)

    def test_as_json_in_lines(self, client, predictor, faces):
        lines = base64.encodebytes(png(faces[1])).decode().replace("\n", "\r\n")
        told = client.post("/predict", json={"pictures": [lines]}).json()
        assert told["faces"] == rows_of(predictor, png(faces[1]), "#0")

    def test_answers_as_csv_and_json_lines(self, client, faces):
        sent = [("p", (f"={n}.png", png(face))) for n, face in enumerate(faces[:2])]
        rows = client.post("/predict", files=sent).json()["faces"]
        lines = client.post("/predict?format=jsonl", files=sent)
        assert [json.loads(line) for line in lines.text.splitlines()] == rows
        accepted = client.post("/predict", files=sent, headers={"accept": "text/csv"})
        assert accepted.headers["content-type"].startswith("text/csv")
        table = list(csv.DictReader(io.StringIO(accepted.text)))
        assert list(table[0]) == list(COLUMNS)
        # What a spreadsheet would run has an apostrophe before it, as in every table.
        assert [one["source"] for one in table] == ["'=0.png", "'=1.png"]
        assert [float(one["confidence"]) for one in table] == [one["confidence"] for one in rows]

    @pytest.mark.parametrize(
        ("accept", "kind"),
        [
            ("text/csv;q=0, application/json", "application/json"),
            ("text/csv;q=0.000", "application/json"),
            ("text/csv; q=0.2, application/x-ndjson; q=0.9", "application/x-ndjson"),
            ("application/json;q=.5, TEXT/CSV;charset=utf-8;Q=1.0", "text/csv; charset=utf-8"),
            ("text/html, text/csv, application/json", "text/csv; charset=utf-8"),
            ("text/csv;q=much, */*", "application/json"),
            ("*/*, text/csv;q=0.1", "application/json"),
            ("application/*, text/csv;q=0.9", "application/json"),
            ("text/*, application/*;q=0.5", "text/csv; charset=utf-8"),
            ("*/*;q=0.8, application/json;q=0.1, application/x-ndjson", "application/x-ndjson"),
            ("*/*, application/json;q=0.1, text/csv;q=0.2", "application/x-ndjson"),
            ("text/html, text/csv, */*;q=0.8", "text/csv; charset=utf-8"),
            ("*/*", "application/json"),
        ],
    )
    def test_what_is_accepted_most_comes(self, client, faces, accept, kind):
        answer = client.post("/predict", content=png(faces[0]), headers={**RAW, "accept": accept})
        assert answer.headers["content-type"] == kind

    def test_what_is_asked_for_is_what_python_gives(self, client, predictor, faces):
        content = png(faces[2])
        for asked in (
            {"hide": "lower"},
            {"mix": "balanced", "flip": True},
            {"abstain_below": 1.0},
            {"hide": "upper@noise"},
        ):
            answer = client.post("/predict", content=content, headers=RAW, params=asked)
            alone = predictor.but(**asked)
            assert answer.json()["faces"] == rows_of(alone, content, "#0")

    def test_one_that_cannot_be_read_stops_no_other(self, client, faces):
        sent = [("p", ("a.png", png(faces[0]))), ("p", ("b.png", b"nothing"))]
        answer = client.post("/predict", files=sent)
        assert answer.status_code == 200
        assert [one["faces"] for one in answer.json()["sources"]] == [1, 0]
        assert "of no known format" in answer.json()["sources"][1]["error"]
        alone = client.post("/predict", files=sent[1:])
        assert alone.status_code == 422
        assert alone.json()["error"] == answer.json()["sources"][1]["error"]

    def test_requests_at_a_time_share_batches_and_get_their_own(self, predictor, faces):
        contents = [png(face) for face in faces]
        expected = [rows_of(predictor, one, "#0") for one in contents]
        with served(predictor, workers=2) as client:
            got = [None] * 24

            def ask(place):
                answer = client.post("/predict", content=contents[place % 4], headers=RAW)
                got[place] = answer.json()["faces"]

            threads = [threading.Thread(target=ask, args=(place,)) for place in range(len(got))]
            for one in threads:
                one.start()
            for one in threads:
                one.join()
            counts = client.get("/metrics").text
        for place, rows in enumerate(got):
            for row, alone in zip(rows, expected[place % 4], strict=True):
                # Rounding may differ by batch.
                for emotion in EMOTIONS:
                    assert row[f"p_{emotion}"] == pytest.approx(alone[f"p_{emotion}"], abs=1e-5)
        batches = float(counts.split("hemiface_batch_pictures_count ")[1].split("\n")[0])
        assert batches <= len(got)


class TestRefusals:
    @pytest.mark.parametrize(
        ("sent", "status", "words"),
        [
            ({"content": b"", "headers": RAW}, 422, "is empty"),
            ({"content": b"x", "headers": {"content-type": "text/plain"}}, 415, "text/plain"),
            ({"json": {"pictures": ["/etc/passwd"]}}, 422, "paths aren't read"),
            ({"json": {"pictures": ["https://a.example/b.png"]}}, 422, "addresses and paths"),
            ({"json": {"pictures": ["aa_-"]}}, 422, "nor - and _ in the place of + and /."),
            ({"json": {"pictures": "aa"}}, 422, "has another form"),
            ({"json": {"pictures": [{"name": 3, "base64": "aa"}]}}, 422, "has another form"),
            ({"json": {"pictures": []}}, 422, "holds no picture"),
            ({"json": [1]}, 422, "has another form"),
            ({"content": b"{", "headers": JSON}, 422, "no JSON"),
            ({"content": b"[" * 99 + b"]" * 99, "headers": JSON}, 422, "nested too deeply"),
            *[
                ({"content": b'{"pictures": [%s]}' % b",".join([part] * 9_999), "headers": JSON},
                 413, "brackets and commas, as no request has that isn't over the limit of 32 pic")
                for part in (b"{}", b"[]", b'""', b"0")
            ],
            # Before any of them is decoded.
            ({"json": {"pictures": ["/etc/passwd"] * 33}}, 413, "holds 33, over the limit of 32"),
            ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 422,
             "boundary"),
            ({"content": b"x", "headers": {"content-type": "multipart/form-data; boundary=y"}}, 422,
             "multipart body can't be read"),
            *[
                ({"content": BOUND, "headers": {"content-type": f"{FORM}; charset={one}"}}, 415,
                 f"Charset {one} isn't read; send the form in UTF-8.")
                for one in ("punycode", "idna", "utf-7", "latin-1")
            ],
            ({"content": BOUND, "headers": {"content-type": f"{FORM}; charset=UTF-8"}}, 422,
             "Field p is no picture"),
            *[
                ({"data": {name: "x" * size}, "files": {"q": b"x"}}, 422,
                 "needs a filename in its part; send it as curl --form pictures=@a.jpg")
                for name, size in (("p", 20_000), ("pictures", 9), ("video", 9))
            ],
            ({"data": {"picture": "x"}, "files": {}}, 415, "form-urlencoded"),
            ({"data": {"hide": "lower"}, "files": {"p": b"x"}}, 422, "options stand in the addr"),
            ({"json": {"pictures": ["aa"], "hide": "lower"}}, 422, "options stand in the address"),
            ({"json": {"pictures": ["aaaa", {"base64": "aa", "hide": "lower"}]}}, 422,
             "Field hide of picture #1 isn't read; options stand in the address"),
        ],
    )  # fmt: skip
    def test_bodies(self, client, sent, status, words):
        answer = client.post("/predict", **sent)
        assert answer.status_code == status, answer.text
        assert words in answer.json()["error"]

    def test_a_packed_body_is_told_from_a_bad_picture(self, client, faces):
        packed = gzip.compress(png(faces[0]))
        for path in ("/predict", "/watch"):
            answer = client.post(path, content=packed, headers={"content-encoding": "gzip"})
            assert answer.status_code == 415
            assert answer.json()["error"] == (
                "Content-Encoding gzip isn't read; send the body as it is."
            )
        plain = {**RAW, "content-encoding": "Identity"}
        assert client.post("/predict", content=png(faces[0]), headers=plain).status_code == 200

    def test_a_form_that_is_cut_off_loses_no_picture_in_silence(self, client, faces):
        parts = [
            b'--y\r\nContent-Disposition: form-data; name="p"; filename="%d.png"\r\n\r\n%s\r\n'
            % (number, png(face))
            for number, face in enumerate(faces[:2])
        ]
        both = b"".join(parts)
        for path, body in (
            ("/predict", both[:-500]),
            ("/predict", both),
            ("/predict", both + b"--y-"),
            ("/watch", parts[0][:-500]),
            ("/watch", parts[0]),
        ):
            answer = client.post(path, content=body, headers={"content-type": FORM})
            assert answer.status_code == 422
            assert answer.json()["error"] == (
                "The multipart body ends before its closing boundary; send it again."
            )
        whole = both + b"--y--\r\nand what comes after it"
        told = client.post("/predict", content=whole, headers={"content-type": FORM}).json()
        assert [one["source"] for one in told["faces"]] == ["0.png", "1.png"]

    @pytest.mark.parametrize(
        ("asked", "words"),
        [
            ({"hide": "nose"}, "Condition 'nose' is unknown; choose from full, upper"),
            ({"hide": "nose"}, ", none."),
            ({"hide": "random-50"}, "random-50 hides other pixels in each image; it is a control"),
            ({"mix": "/etc/passwd"}, "Option mix: input should be 'trained'"),
            ({"abstain_below": 2}, "Option abstain_below: input should be less than"),
            ({"abstain_below": "nan"}, "abstain_below"),
            ({"format": "xml"}, "Option format"),
            ({"hides": "lower"}, "Option hides is unknown; choose from hide, mix"),
            ({"mix": ["balanced", "natural"]}, "Option mix is given more than once; name it once."),
            ({"hide": ["lower", "lower"]}, "Option hide is given more than once"),
        ],
    )
    def test_options(self, client, faces, asked, words):
        answer = client.post("/predict", content=png(faces[0]), headers=RAW, params=asked)
        assert answer.status_code == 422
        assert words in answer.json()["error"]

    @pytest.mark.parametrize("with_page", [False, True])
    def test_elsewhere(self, predictor, tmp_path, with_page):
        with served(predictor, page=tmp_path if with_page else None) as client:
            assert client.get("/nothing").json() == {"error": "There is nothing here; see /docs."}
            for path, allowed in (
                ("/predict", "POST"),
                ("/watch", "POST"),
                ("/health", "GET, HEAD"),
                ("/metrics", "GET, HEAD"),
                ("/docs", "GET, HEAD"),
                ("/openapi.json", "GET, HEAD"),
            ):
                for method in ("GET", "HEAD", "POST", "PUT", "OPTIONS", "DELETE", "BREW"):
                    answer = client.request(method, path)
                    if method in allowed:
                        assert answer.status_code in (200, 422)
                        continue
                    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
                    if method != "HEAD":
                        assert "Another method" in answer.json()["error"]
            for method in ("GET", "POST", "PUT", "OPTIONS"):
                for path in ("/predict/", "/nothing"):
                    assert client.request(method, path).status_code == 404

    def test_bytes(self, client, monkeypatch):
        monkeypatch.setenv("HEMIFACE_MAX_REQUEST_BYTES", "1000")
        parts = iter([b"x" * 600, b"x" * 600])
        for sent in (
            {"content": b"x" * 1001, "headers": RAW},
            {"content": parts, "headers": RAW},
            {"files": {"p": ("a.png", b"x" * 1001)}},
            {"json": {"pictures": ["x" * 1001]}},
        ):
            answer = client.post("/predict", **sent)
            assert answer.status_code == 413
            assert "HEMIFACE_MAX_REQUEST_BYTES" in answer.json()["error"]

    @pytest.mark.parametrize("form", ["json", "files"])
    def test_pictures(self, client, faces, monkeypatch, form):
        monkeypatch.setenv("HEMIFACE_MAX_REQUEST_PICTURES", "2")
        content = png(faces[0])
        many = {
            "json": {"pictures": [base64.b64encode(content).decode()] * 3},
            "files": [("p", ("a.png", content))] * 3,
        }
        answer = client.post("/predict", **{form: many[form]})
        assert answer.status_code == 413

    def test_pixels(self, client, faces, monkeypatch):
        monkeypatch.setenv("HEMIFACE_MAX_REQUEST_PIXELS", str(48 * 48 - 1))
        answer = client.post("/predict", content=png(faces[0]), headers=RAW)
        assert answer.status_code == 422
        assert answer.json()["error"].endswith(
            "has 48 x 48 pixels, over the limit of 2,303; raise it with "
            "HEMIFACE_MAX_REQUEST_PIXELS if you trust the file."
        )

    def test_faces(self, faces, monkeypatch):
        monkeypatch.setenv("HEMIFACE_MAX_REQUEST_FACES", "2")
        for n, status in ((2, 200), (3, 422)):
            with served(Predictor(detector=Many(n))) as client:
                answer = client.post("/predict", content=png(faces[0]), headers=RAW)
                assert answer.status_code == status
        assert "shows 3 faces, over the limit of 2" in answer.json()["error"]

    def test_time_and_turns(self, faces, monkeypatch):
        monkeypatch.setenv("HEMIFACE_MAX_REQUEST_SECONDS", "1")
        slow = Many(seconds=2.5)
        with served(Predictor(detector=slow), workers=1) as client:
            statuses = Counter()

            def ask():
                answer = client.post("/predict", content=png(faces[0]), headers=RAW)
                statuses[answer.status_code, answer.headers.get("retry-after")] += 1

            threads = [threading.Thread(target=ask) for _ in range(3)]
            for one in threads:
                one.start()
            for one in threads:
                one.join()
        # One was looked at for too long, and kept its turn, which two waited for in vain.
        assert statuses == {(422, None): 1, (429, "1"): 2}
        assert slow.most_at_once == 1

    def test_a_request_does_not_wait_for_itself(self, faces, monkeypatch):
        """Six pictures of .3 s each, in one request, where nobody waits longer than 1 s."""
        monkeypatch.setenv("HEMIFACE_MAX_REQUEST_SECONDS", "1")
        slow = Many(seconds=0.3)
        sent = [("p", (f"{n}.png", png(faces[n % 4]))) for n in range(6)]
        with served(Predictor(detector=slow), workers=1) as client:
            answer = client.post("/predict", files=sent)
        assert answer.status_code == 200
        assert [one["error"] for one in answer.json()["sources"]] == [""] * 6
        assert slow.most_at_once == 1

    def test_who_goes_away_while_sending(self, predictor, caplog):
        """Neither a fault of the service nor a page of its log."""
        app = create_app(predictor)
        scope = {
            "type": "http", "method": "POST", "path": "/predict", "query_string": b"",
            "headers": [(b"host", b"localhost"), (b"content-type", b"image/png"),
                        (b"content-length", b"500")],
        }  # fmt: skip
        coming = iter([{"type": "http.request", "body": b"abc", "more_body": True}])
        sent = []

        async def receive():
            return next(coming, {"type": "http.disconnect"})

        async def send(message):
            sent.append(message)

        async def go():
            await app(scope, receive, send)

        asyncio.run(go())
        assert sent[0]["status"] == 499
        assert not caplog.records
        with TestClient(app) as client:
            assert 'path="/predict",status="499"} 1.0' in client.get("/metrics").text

    def test_requests_at_a_time(self, faces, monkeypatch):
        monkeypatch.setenv("HEMIFACE_MAX_REQUESTS", "1")
        busy = Many(gate=threading.Event())
        with served(Predictor(detector=busy), workers=1) as client:

            def ask():
                return client.post("/predict", content=png(faces[0]), headers=RAW)

            first = threading.Thread(target=ask)
            first.start()
            while not busy.at_once:
                time.sleep(0.01)
            answer = ask()
            busy.gate.set()
            first.join()
            assert answer.status_code == 429
            assert answer.headers["retry-after"] == "1"
            assert ask().status_code == 200

    @given(
        body=st.binary(max_size=200),
        kind=st.sampled_from(
            ["image/png", "application/json", "multipart/form-data; boundary=x", "", "a/b", "\xff"]
        ),
    )
    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_any_bytes_get_a_sentence(self, client, body, kind):
        answer = client.post(
            "/predict", content=body, headers={b"content-type": kind.encode("latin-1")}
        )
        assert answer.status_code in (413, 415, 422)
        assert answer.json()["error"].endswith(".")


@pytest.fixture(scope="module")
def clip(tmp_path_factory, faces):
    pytest.importorskip("av", reason="videos need hemiface[video]")
    from hemiface.vision.video.frames import open_writer

    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with open_writer(path) as writer:
        for number in range(5):
            face = np.asarray(Image.fromarray(faces[number % 4]).resize((96, 96)))
            writer.add(np.repeat(face[..., None], 3, axis=2), number / 10)
    return path


class TestVideo:
    @pytest.mark.parametrize("form", ["raw", "multipart"])
    def test_a_line_for_each_frame(self, client, predictor, clip, form):
        sent = (
            {"content": clip.read_bytes(), "headers": {"content-type": "video/mp4"}}
            if form == "raw"
            else {"files": {"video": ("c.mp4", clip.read_bytes())}}
        )
        answer = client.post("/watch", **sent)
        assert answer.status_code == 200
        lines = [json.loads(line) for line in answer.text.splitlines()]
        name = "video" if form == "raw" else "c.mp4"
        expected = [
            [{**row, "source": name} for row in found.rows()] for found in predictor.watch(clip)
        ]
        assert [one["faces"] for one in lines[:-1]] == expected
        assert [one["frame"] for one in lines[:-1]] == list(range(5))
        assert lines[-1] == {"frames": 5, "error": ""}

    def test_labels_are_smoothed_on_request(self, client, predictor, clip):
        answer = client.post("/watch?smooth=0.5", files={"video": ("c.mp4", clip.read_bytes())})
        lines = [json.loads(line) for line in answer.text.splitlines()]
        expected = [
            [{**row, "source": "c.mp4"} for row in found.rows()]
            for found in predictor.watch(clip, smooth_s=0.5)
        ]
        assert [one["faces"] for one in lines[:-1]] == expected
        rows = [row for frame in expected for row in frame]
        assert {row["smoothing"] for row in rows} == {"log-mean-0.5s"}
        assert any(row["smoothed_p_happy"] != row["p_happy"] for row in rows)

    @pytest.mark.parametrize("wrong", ["0", "-1", "inf", "nan", "soon"])
    def test_a_half_life_is_a_positive_time(self, client, clip, wrong):
        answer = client.post(
            f"/watch?smooth={wrong}", files={"video": ("c.mp4", clip.read_bytes())}
        )
        assert answer.status_code == 422
        assert "error" in answer.json()

    def test_pictures_have_nothing_to_smooth(self, client, faces):
        answer = client.post("/predict?smooth=1", content=png(faces[0]))
        assert answer.status_code == 422
        assert answer.json()["error"].startswith("Option smooth is unknown; choose from hide")

    def test_a_turn_that_does_not_come_ends_it_with_a_sentence(self, predictor, clip, monkeypatch):
        """The answer has begun, so that no status can say it any more."""
        monkeypatch.setenv("HEMIFACE_MAX_REQUEST_SECONDS", "1")

        async def watched():
            desk = Desk(predictor, 1)
            async with desk.open():
                found = []
                async for one in desk.watch(clip, "c.mp4", Asked()):
                    if not found:
                        await desk._turns.acquire()
                    found.append(one)
                return found

        first, last = asyncio.run(watched())
        assert [row["source"] for row in first.rows()] == ["c.mp4"]
        assert last == "No turn came within 1 seconds; try again later."

    @pytest.mark.parametrize("kind", ["jsonl", "csv"])
    def test_an_answer_that_nobody_reads_gives_its_place_back(
        self, predictor, clip, monkeypatch, kind
    ):
        monkeypatch.setenv("HEMIFACE_MAX_REQUEST_SECONDS", "1")
        monkeypatch.setenv("HEMIFACE_MAX_REQUESTS", "1")
        app = create_app(predictor)
        begun = []

        async def asked(send):
            parts = [{"type": "http.request", "body": clip.read_bytes(), "more_body": False}]

            async def receive():
                return parts.pop() if parts else await asyncio.sleep(600)

            await app(scope_of("/watch", b"video/mp4", f"format={kind}".encode()), receive, send)

        async def never_read(message):
            if message["type"] == "http.response.body":
                await asyncio.sleep(600)

        async def read(message):
            begun.append(message)

        async def both():
            await asked(never_read)
            await asked(read)

        asyncio.run(both())
        assert begun[0]["status"] == 200

    def test_csv_that_nobody_waits_for_is_given_up(self, predictor, clip):
        app = create_app(predictor)
        parts = [
            {"type": "http.disconnect"},
            {"type": "http.request", "body": clip.read_bytes(), "more_body": False},
        ]

        async def receive():
            return parts.pop() if len(parts) > 1 else parts[0]

        async def send(message):
            sent.append(message)

        sent = []
        asyncio.run(app(scope_of("/watch", b"video/mp4", b"format=csv"), receive, send))
        assert sent[0]["status"] == 499
        with TestClient(app) as client:
            text = client.get("/metrics").text
        # Of five frames the first one alone had been looked at.
        assert "hemiface_pictures_total 1.0" in text

    def test_as_csv(self, client, clip):
        answer = client.post("/watch?format=csv", files={"video": ("c.mp4", clip.read_bytes())})
        table = list(csv.DictReader(io.StringIO(answer.text)))
        assert [one["frame"] for one in table] == list("01234")

    def test_one_that_breaks_off_says_so(self, client, clip, monkeypatch):
        monkeypatch.setenv("HEMIFACE_MAX_REQUEST_FRAMES", "3")
        answer = client.post("/watch", files={"video": ("c.mp4", clip.read_bytes())})
        last = json.loads(answer.text.splitlines()[-1])
        assert last["frames"] == 3
        assert "isn't watched to its end, over the limit of 3 frames" in last["error"]
        # A table can't say so.
        table = client.post("/watch?format=csv", files={"video": ("c.mp4", clip.read_bytes())})
        assert table.status_code == 422
        assert table.json()["error"] == last["error"]
        assert client.get("/health").status_code == 200

    @pytest.mark.parametrize("kind", ["jsonl", "csv"])
    def test_no_video(self, client, kind):
        for body, words in (
            (b"nothing", "Video video can't be read to its end"),
            (b"", "no video"),
        ):
            answer = client.post(
                f"/watch?format={kind}", content=body, headers={"content-type": "video/mp4"}
            )
            assert answer.status_code == 422
            assert words in answer.json()["error"]

    def test_bytes(self, client, clip, monkeypatch):
        monkeypatch.setenv("HEMIFACE_MAX_REQUEST_VIDEO_BYTES", "100")
        answer = client.post("/watch", files={"video": ("c.mp4", clip.read_bytes())})
        assert answer.status_code == 413


class TestWhoMayAsk:
    def test_token(self, predictor, faces):
        with served(predictor, token="a-secret-of-20-signs") as client:
            ask = {"content": png(faces[0])}
            for given_, status in (
                ({}, 401),
                ({"authorization": "Bearer wrong"}, 401),
                ({"authorization": "Basic a-secret-of-20-signs"}, 401),
                ({"authorization": "a-secret-of-20-signs"}, 401),
                ({"authorization": "Bearer A-secret-of-20-signs"}, 401),
                ({"authorization": "bearer a-secret-of-20-signs"}, 200),
                ({"authorization": "Bearer a-secret-of-20-signs"}, 200),
            ):
                answer = client.post("/predict", headers={**RAW, **given_}, **ask)
                assert answer.status_code == status
                assert client.get("/metrics", headers=given_).status_code == status
                assert client.head("/metrics", headers=given_).status_code == status
                assert client.get("/health", headers=given_).status_code == 200

    def test_token_under_a_path(self, predictor, faces):
        """By the server's --root-path, and in another application, which opens no other."""
        app = create_app(predictor, ServiceOptions(token="a-secret-of-20-signs"))
        outer = FastAPI()
        outer.mount("/face", app)
        right = {"authorization": "Bearer a-secret-of-20-signs"}
        for served_, root in ((app, "/face"), (outer, "")):
            with TestClient(served_, root_path=root) as client:
                for path in ("/predict", "/watch"):
                    assert client.post(f"/face{path}", headers=RAW).status_code == 401
                assert client.get("/face/metrics").status_code == 401
                assert "unsafe-inline" in client.get("/face/docs").headers[POLICY]
                assert client.get("/face/", follow_redirects=False).headers["location"] == (
                    "/face/docs"
                )
                answer = client.post("/face/predict", content=png(faces[0]), headers=RAW | right)
                assert answer.json()["faces"] == rows_of(predictor, png(faces[0]), "#0")
                counts = client.get("/face/metrics", headers=right).text
                assert 'hemiface_requests_total{path="/predict",status="401"}' in counts

    def test_host(self, predictor):
        hosts = allowed_hosts("127.0.0.1", ["lab.Example", "fe80::1"])
        with served(predictor, hosts=hosts) as client:
            for host, status in (
                ("localhost:8000", 200),
                ("127.0.0.1", 200),
                ("[::1]:80", 200),
                ("[fe80::1]:80", 200),
                ("LAB.example", 200),
                ("evil.example", 403),
                ("", 403),
                ("[", 403),
            ):
                assert client.get("/health", headers={"host": host}).status_code == status, host
        assert allowed_hosts("0.0.0.0", ()) == frozenset()  # noqa: S104

    def test_pages_from_elsewhere(self, predictor, faces):
        with served(predictor, origins=("https://lab.example",)) as client:
            for origin, status in (
                ("https://lab.example", 200),
                ("http://testserver", 200),
                ("https://evil.example", 403),
                ("null", 403),
            ):
                headers = {**RAW, "origin": origin}
                answer = client.post("/predict", content=png(faces[0]), headers=headers)
                assert answer.status_code == status, origin
                allowed = answer.headers.get("access-control-allow-origin")
                assert (allowed == origin) == (origin == "https://lab.example")

    def test_they_can_read_that_a_token_is_missing(self, predictor, faces):
        with served(predictor, origins=("https://lab.example",), token="secret") as client:
            headers = {**RAW, "origin": "https://lab.example"}
            for more, status in (({}, 401), ({"authorization": "Bearer secret"}, 200)):
                answer = client.post("/predict", content=png(faces[0]), headers=headers | more)
                assert answer.status_code == status
                allowed = answer.headers.get_list("access-control-allow-origin")
                assert allowed == ["https://lab.example"]
            elsewhere = client.post("/predict", headers={**RAW, "origin": "https://evil.example"})
            assert "access-control-allow-origin" not in elsewhere.headers

    @pytest.mark.parametrize(
        ("origin", "right"),
        [
            ("https://lab.example/", "https://lab.example"),
            ("https://lab.example/page", "https://lab.example"),
            ("https://LAB.example", "https://lab.example"),
            ("https://lab.example:443", "https://lab.example"),
            ("http://lab.example:80", "http://lab.example"),
            ("http://[::1]:080", "http://[::1]"),
            ("http://lab.example:08000", "http://lab.example:8000"),
            ("https://u@lab.example", "https://lab.example"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("https://*.example", "one such as https://lab.example"),
            ("https://lab.example:99999", "one such as https://lab.example"),
            ("lab.example", "one such as https://lab.example"),
            ("https://", "one such as https://lab.example"),
            ("http://[::1", "one such as https://lab.example"),
        ],
    )
    def test_an_origin_that_no_browser_names_is_refused(self, origin, right):
        with pytest.raises(UsageError, match="is no scheme and host alone") as told:
            ServiceOptions(origins=(origin,))
        assert str(told.value).endswith(f"; write {right}.")

    def test_origins_that_browsers_name(self):
        named = ("null", "https://lab.example:8443", "http://[::1]:8000", "chrome-extension://abc")
        assert ServiceOptions(origins=named).origins == named

    @pytest.mark.parametrize(
        "host",
        [
            "lab.example:8000",
            "http://lab.example",
            "*",
            "*.lab.example",
            "[::1]",
            "lab/",
            "",
            "ä.de",
        ],
    )
    def test_a_host_that_no_request_is_for_is_refused(self, host):
        with pytest.raises(UsageError, match=r"is no name alone, such as lab\.example, without"):
            ServiceOptions(hosts=allowed_hosts("127.0.0.1", [host]))

    def test_browsers_are_told(self, client):
        headers = client.get("/health").headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-cache"
        assert headers[POLICY].startswith("default-src 'none'")


class TestTheService:
    def test_health(self, client):
        told = client.get("/health").json()
        assert told["status"] == "ok"
        assert told["schema"] == SCHEMA

    @pytest.mark.parametrize("with_page", [False, True])
    def test_health_by_its_head_alone(self, predictor, tmp_path, with_page):
        (tmp_path / "index.html").write_text("<h1>Hello</h1>")
        with served(predictor, page=tmp_path if with_page else None) as client:
            assert client.head("/health").status_code == 200

    def test_counts(self, predictor, faces):
        with served(predictor) as client:
            client.post("/predict", content=png(faces[0]), headers=RAW)
            client.post("/predict", content=b"x", headers=RAW)
            client.get("/anything")
            text = client.get("/metrics").text
        assert 'hemiface_requests_total{path="/predict",status="200"} 1.0' in text
        assert 'hemiface_requests_total{path="/predict",status="422"} 1.0' in text
        assert 'hemiface_requests_total{path="/",status="404"} 1.0' in text
        assert "hemiface_faces_total 1.0" in text

    def test_its_own_page_asks_nobody_else(self, client):
        page = client.get("/docs").text
        assert "swagger-ui-bundle.js" in page
        assert "//cdn" not in page
        assert "https://" not in page

    def test_its_description_is_whole(self, client):
        told = client.get("/openapi.json").json()
        assert set(told["paths"]) == {"/predict", "/watch", "/health", "/metrics"}
        answers = told["paths"]["/predict"]["post"]["responses"]
        assert set(answers) == {
            "200",
            "401",
            "403",
            "408",
            "413",
            "415",
            "422",
            "429",
            "500",
            "503",
            "507",
        }
        shape = answers["200"]["content"]["application/json"]["schema"]
        assert list(shape["properties"]["faces"]["items"]["properties"]) == list(COLUMNS)

    def test_it_says_that_a_token_is_wanted(self, client, predictor):
        assert "securitySchemes" not in client.get("/openapi.json").json().get("components", {})
        with served(predictor, token="secret") as guarded:
            told = guarded.get("/openapi.json").json()
        (scheme,) = told["components"]["securitySchemes"].values()
        assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
        for path, method in (("/predict", "post"), ("/watch", "post"), ("/metrics", "get")):
            assert told["paths"][path][method]["security"]
        assert "security" not in told["paths"]["/health"]["get"]

    def test_a_page_at_its_root(self, predictor, tmp_path):
        (tmp_path / "index.html").write_text("<h1>Hello</h1>")
        (tmp_path / "a.wasm").write_bytes(b"\0asm")
        with served(predictor, page=tmp_path) as client:
            assert "Hello" in client.get("/").text
            for path in ("/", "/a.wasm"):
                assert client.head(path).status_code == 200
                answer = client.post(path)
                assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
            assert client.get("/a.wasm").headers["content-type"] == "application/wasm"
            assert client.get("/../secret").status_code == 404
            assert client.get("/health").json()["status"] == "ok"

    def test_workers_are_positive(self, predictor):
        with pytest.raises(Exception, match="at least 1 worker"):
            create_app(predictor, ServiceOptions(workers=0))

    def test_what_fails_is_told_to_all_who_wait(self, faces, monkeypatch):
        predictor = Predictor(no_detect=True)

        def fail(*_):
            raise RuntimeError("broken")

        monkeypatch.setattr(Predictor, "say", fail)
        page = "https://page.example"
        app = create_app(predictor, ServiceOptions(origins=[page]))
        with TestClient(app, raise_server_exceptions=False) as client:
            sent = {**RAW, "Origin": page}
            for _ in range(2):
                answer = client.post("/predict", content=png(faces[0]), headers=sent)
                assert answer.status_code == 500
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert answer.headers["cache-control"] == "no-cache"
                assert answer.headers["access-control-allow-origin"] == page
                assert answer.json() == {
                    "error": "The service failed at this request; its log says why."
                }

    def test_what_the_machine_lacks_is_told_without_its_paths(
        self, client, clip, tmp_path, monkeypatch, caplog
    ):
        gone, full = tmp_path / "gone", tmp_path / "full"
        monkeypatch.setattr(tempfile, "tempdir", str(gone))
        for path, sent in (
            ("/watch", {"content": clip.read_bytes(), "headers": {"content-type": "video/mp4"}}),
            ("/predict", {"files": {"p": b"x" * 2_000_000}}),
        ):
            caplog.clear()
            answer = client.post(path, **sent)
            assert answer.status_code == 503
            assert answer.json() == {
                "error": "The service can't work at the moment; its log says why."
            }
            assert "No such file" in caplog.text
        full.mkdir()
        (full / "video").symlink_to("/dev/full")
        monkeypatch.setattr(tempfile, "mkdtemp", lambda **_: str(full))
        answer = client.post("/watch", content=clip.read_bytes())
        assert answer.status_code == 507
        assert answer.json() == {
            "error": "The service's disk is full; try again when it has some space."
        }

    def test_a_failure_while_looking_is_one_sentence(self, faces, caplog):
        class Failing(Many):
            def detect(self, photo):
                raise HemifaceError(f"/secret/network can't be read for {photo.shape}.")

        with served(Predictor(detector=Failing())) as client:
            answer = client.post("/predict", content=png(faces[0]), headers=RAW)
        assert answer.status_code == 503
        assert "secret" not in answer.text
        assert "/secret/network can't be read" in caplog.text


def test_a_body_that_does_not_come(predictor, monkeypatch):
    monkeypatch.setenv("HEMIFACE_MAX_REQUEST_SECONDS", "1")
    app = create_app(predictor)
    sent = []

    async def never():
        await asyncio.sleep(60)

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope_of("/predict", b"image/png"), never, send))
    assert sent[0]["status"] == 408
