"""What anybody may send to the service: a line with path and options, one with the type, a body."""

import asyncio
import base64
import io
import json
from pathlib import Path
from typing import Any

from fuzz_brought import videos
from fuzz_targets import Target, faces
from hemiface.serve.refusals import RefusedError

__all__ = ["bodies"]

_END = b"\n"


def bodies(folder: Path) -> Target:
    """Requests with pictures as they are, as multipart and as JSON, and with a video."""
    from fastapi.testclient import TestClient
    from PIL import Image

    from hemiface.serve.app import create_app
    from hemiface.vision.predictor import Predictor

    app = create_app(Predictor(no_detect=True))
    client = TestClient(app)
    client.__enter__()  # For as long as this process lives.
    content = io.BytesIO()
    Image.fromarray(faces(1)[0]).save(content, "PNG")
    picture, text = content.getvalue(), base64.b64encode(content.getvalue()).decode()
    part = b'--x\r\nContent-Disposition: form-data; name="p"; filename="a.png"\r\n\r\n'
    form = b"multipart/form-data; boundary=x"
    video = videos(folder).seeds[0]
    seeds = [
        _END.join(one)
        for one in (
            (b"/predict", b"image/png", picture),
            (b"/predict?hide=lower&format=csv", b"application/octet-stream", picture),
            (b"/predict?mix=balanced&flip=1&abstain_below=.5", form,
             part + picture + b"\r\n" + part + picture + b"\r\n--x--\r\n"),
            (b"/predict?format=jsonl", b"application/json",
             json.dumps({"pictures": [{"name": "a", "base64": text}, text]}).encode()),
            (b"/watch", b"video/mp4", video),
            (b"/watch?format=csv", form, part + video + b"\r\n--x--\r\n"),
        )
    ]  # fmt: skip

    def look(content: bytes) -> None:
        where, kind, body = (*content.split(_END, 2), b"", b"")[:3]
        status, said = client.portal.call(_asked, app, where, kind, body)
        if status != 200:
            sentence = json.loads(said)["error"]
            if not 400 <= status < 500:
                raise AssertionError(f"{status}: {sentence}")
            raise RefusedError(status, sentence)

    words = (
        b"/predict", b"/watch", b"?", b"&", b"hide=", b"upper@noise", b"mix=natural", b"format=csv",
        b"abstain_below=nan", b"multipart/form-data; boundary=", b"application/json", b"image/*",
        b"--x\r\n", b"--x--", b"Content-Disposition", b"filename*=utf-8''", b"pictures", b"base64",
        b"data:image/png;base64,", b"\\ud800", b"[[[[", b"NaN", b"%00", b"%ff", b"charset=utf-16",
    )  # fmt: skip
    return Target(seeds, look, words)


async def _asked(app: Any, where: bytes, kind: bytes, body: bytes) -> tuple[int, bytes]:
    """Return the status and the body of the answer to a POST."""
    path, _, query = where.partition(b"?")
    path = path or b"/"  # Without one nothing can be asked.
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
        "scheme": "http", "path": path.decode("latin-1"), "raw_path": path, "query_string": query,
        "root_path": "", "server": ("localhost", 80), "client": ("localhost", 1),
        "headers": [(b"host", b"localhost"), (b"content-type", kind)],
    }  # fmt: skip
    coming = [{"type": "http.request", "body": body, "more_body": False}]
    status, said = 0, []

    async def receive() -> dict[str, Any]:
        if coming:
            return coming.pop()
        await asyncio.sleep(3600)  # Who asks waits for the whole answer.
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        said.append(message.get("body", b""))

    await app(scope, receive, send)
    return status, b"".join(said)
