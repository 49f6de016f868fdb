"""How many pictures a second `hemiface serve` answers, how long each takes, and what it keeps.

    python benchmarks/serving.py
    python benchmarks/serving.py --seconds 5 --out trial.json
    python benchmarks/serving.py --markdown

Starts the service in a process of its own and asks it from this one, over the machine's own
network: 1, 10 and 100 clients, each with the next picture as soon as the last one is answered; who
is refused for being too many (429) waits as long as the answer says. Pictures are JPEG files of
640 x 480 with a rendered face, whose searching, aligning and reading is part of every answer; with
--crops they are faces of 48 x 48, nothing is searched, and what is measured is the way around the
networks. Clients take a share of the same cores. Writes requests a second, seconds a request
(median and 95th percentile), answers by status, pictures a batch and the service's memory before
and after each part.

Needs hemiface[serve] and, without --crops, `hemiface models pull`; about four minutes.
"""

import argparse
import asyncio
import io
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

import skeleton
from hemiface.data.phantom import make as phantom
from hemiface.errors import HemifaceError

CLIENTS = (1, 10, 100)
SIZE = (640, 480)
FACE_PX = 240
_SERVED = """
import sys
from hemiface.serve.app import ServiceOptions, create_app
from hemiface.serve.run import address_of, listen, run
from hemiface.vision.predictor import Predictor

with listen("127.0.0.1", 0) as listening:
    predictor = Predictor(no_detect=sys.argv[1] == "crops")
    options = ServiceOptions(workers=int(sys.argv[2]))
    run(create_app(predictor, options), listening, lambda: print(address_of(listening), flush=True))
"""


def pictures(*, crops: bool) -> list[bytes]:
    """Return eight picture files."""
    from PIL import Image

    files = []
    for face in phantom.render(np.arange(8) % 7, seed=0):
        picture = Image.fromarray(face)
        if not crops:
            whole = Image.new("L", SIZE, 127)
            whole.paste(picture.resize((FACE_PX, FACE_PX), Image.Resampling.BICUBIC), (200, 120))
            picture = whole.convert("RGB")
        content = io.BytesIO()
        picture.save(content, "PNG" if crops else "JPEG")
        files.append(content.getvalue())
    return files


@contextmanager
def service(*, crops: bool, workers: int) -> Iterator[str]:
    """Yield the address of a service."""
    command = [sys.executable, "-c", _SERVED, "crops" if crops else "photos", str(workers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            address = (process.stdout.readline() if process.stdout else "").strip()
            if not address:
                raise HemifaceError("The service doesn't start; see its error above.")
            yield address
        finally:
            process.terminate()


async def client(asks: Any, files: Sequence[bytes], place: int, until: float) -> list[Any]:
    """Ask until a time; return seconds and status of each answer."""
    answers = []
    while (begun := time.perf_counter()) < until:
        answer = await asks.post("/predict", content=files[place % len(files)])
        answers.append((time.perf_counter() - begun, answer.status_code))
        place += 1
        if answer.status_code == 429:
            await asyncio.sleep(float(answer.headers["retry-after"]))
    return answers


async def asked(
    address: str, files: Sequence[bytes], clients: int, seconds: float
) -> dict[str, Any]:
    """Return what came of so many clients at a time."""
    import httpx

    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=address, timeout=120, limits=limits, headers={"content-type": "image/jpeg"}
    ) as asks:
        before = counts((await asks.get("/metrics")).text)
        until = time.perf_counter() + seconds
        each = await asyncio.gather(
            *(client(asks, files, place, until) for place in range(clients))
        )
        wall = time.perf_counter() - until + seconds
        after = counts((await asks.get("/metrics")).text)
    answers = [one for some in each for one in some]
    good = np.array([taken for taken, status in answers if status == 200])
    batches = after["hemiface_batch_pictures_count"] - before["hemiface_batch_pictures_count"]
    return {
        "clients": clients,
        "seconds": wall,
        "requests_per_s": len(good) / wall,
        "median_s": float(np.median(good)),
        "p95_s": float(np.quantile(good, 0.95)),
        "statuses": {str(key): n for key, n in sorted(Counter(s for _, s in answers).items())},
        "pictures_per_batch": len(good) / batches,
        "memory_mib": [
            one["process_resident_memory_bytes"] / 2**20 for one in (before, after)
        ],
    }  # fmt: skip


def counts(text: str) -> dict[str, float]:
    """Return the counts without labels."""
    lines = (line.split() for line in text.splitlines() if line[0] != "#" and "{" not in line)
    return {name: float(value) for name, value in lines}


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Do all measurements and return what the results file holds."""
    machine = skeleton.Machine()
    files = pictures(crops=options.crops)
    with service(crops=options.crops, workers=options.workers) as address:
        # What is loaded at first use is no part of it.
        asyncio.run(asked(address, files, 2, 2))
        parts = [asyncio.run(asked(address, files, n, options.seconds)) for n in CLIENTS]
    kind = "faces of 48 x 48" if options.crops else f"photos of {SIZE[0]} x {SIZE[1]}"
    return {"pictures": kind, "workers": options.workers, "parts": parts, **machine.facts()}


def show(results: dict[str, Any]) -> None:
    """Print the table."""
    rows = [
        (
            str(one["clients"]),
            f"{one['requests_per_s']:.1f}",
            f"{1000 * one['median_s']:.0f}",
            f"{1000 * one['p95_s']:.0f}",
            ", ".join(f"{n} x {status}" for status, n in one["statuses"].items()),
            f"{one['pictures_per_batch']:.1f}",
            " to ".join(f"{value:.0f}" for value in one["memory_mib"]),
        )
        for one in results["parts"]
    ]
    headings = ("clients", "requests/s", "median ms", "p95 ms", "answers", "a batch", "MiB")
    packages = ("fastapi", "uvicorn", "onnxruntime", "ai-edge-litert", "opencv-python-headless")
    skeleton.say(
        [
            f"{results['pictures']}, {results['workers']} workers",
            "",
            *skeleton.markdown(headings, rows),
            "",
            f"{skeleton.processor(results)}; {skeleton.versions(results, packages)}.",
        ]
    )


def main() -> int:
    """Measure and show."""
    parser = skeleton.parser(__doc__, skeleton.RESULTS / "serving.json", markdown=True)
    parser.add_argument("--seconds", type=skeleton.count, default=60, help="of each part")
    parser.add_argument("--workers", type=skeleton.count, default=2, help="threads that find faces")
    parser.add_argument("--crops", action="store_true", help="faces of 48 x 48, no search")
    return skeleton.main(parser.parse_args(), run, show)


if __name__ == "__main__":
    sys.exit(main())
