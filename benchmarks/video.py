"""Videos and photos from file to table: frames and photos per second, and memory over an hour.

    python benchmarks/video.py --photo PHOTO_OF_A_FACE --photos FOLDER
    python benchmarks/video.py --minutes 1 --photo PHOTO_OF_A_FACE --out trial.json

Makes a clip of 320 x 240 pixels and 25 frames a second in which the photo drifts to and fro
(without one rendered faces do, which the detector may pass over), and lets the code of `hemiface
predict` watch it: once all of it, with the process's resident memory noted every 100 frames; its
first frames with every frame searched; and its first minute while a blurred copy is written, for
which frames are held back. Photos are looked at by the command itself, start-up included. Every
measurement is a fresh process. Memory is read from Linux's /proc. `--note` goes into the results:
what else the machine did.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

import memory
import skeleton
from hemiface.data.phantom import make as phantom
from hemiface.errors import UsageError
from hemiface.vision import run as vision
from hemiface.vision.photos import read_photo
from hemiface.vision.predictor import Predictor
from hemiface.vision.sources import find_sources
from hemiface.vision.video.frames import open_writer
from hemiface.vision.video.watching import SEARCH_EVERY

WIDTH, HEIGHT, FPS = 320, 240, 25
SEARCHED_FRAMES = 100
"""So many are also watched with every frame searched."""
BLURRED_FRAMES = 1500
"""So many are also watched while a blurred copy is written."""
_NOTED_EVERY = 100
"""Frames."""


def make_clip(path: Path, frames: int, photo: Path | None) -> None:
    """Write the clip: grey, with a picture a little over half as high, once to and fro in 10 s."""
    side = 150
    if photo is None:
        faces = [np.repeat(one[..., None], 3, axis=2) for one in phantom.render(range(7), seed=0)]
    else:
        faces = [read_photo(photo).pixels]
    scaled = []
    for one in faces:
        scale = side / max(one.shape[:2])
        size = (round(one.shape[1] * scale), round(one.shape[0] * scale))
        scaled.append(cv2.resize(one, size, interpolation=cv2.INTER_AREA))
    with open_writer(path) as writer:
        for index in range(frames):
            face = scaled[index // FPS % len(scaled)]
            height, width = face.shape[:2]
            swing = (1 + np.sin(2 * np.pi * index / (10 * FPS))) / 2
            x, y = round(swing * (WIDTH - width)), (HEIGHT - height) // 2
            canvas = np.full((HEIGHT, WIDTH, 3), 110, dtype=np.uint8)
            canvas[y : y + height, x : x + width] = face
            writer.add(canvas, index / FPS)


def watch(
    clip: Path,
    model: str | None,
    search_every: int = SEARCH_EVERY,
    most: int | None = None,
    blur: bool = False,
) -> dict[str, Any]:
    """Return what watching the clip took; for a process of its own."""
    predictor = Predictor(model)
    seen: list[tuple[int, float]] = []

    def note(_: str, frames: int, __: int) -> None:
        if frames % _NOTED_EVERY == 0:
            seen.append((frames, memory.resident_mib()))

    started = time.perf_counter()
    with (
        tempfile.TemporaryDirectory(prefix="hemiface-") as folder,
        vision.run(
            find_sources([str(clip)]),
            predictor,
            Path(folder),
            vision.RunOptions(
                formats=("parquet",),
                most_frames=most,
                search_every=search_every,
                pictures=blur,
                blur=blur,
            ),
            on_progress=note,
        ) as done,
    ):
        took_s = time.perf_counter() - started
        (known,) = done.sources
    return {
        "search_every": search_every,
        "frames": known["frames"],
        "faces": known["faces"],
        "seconds": round(took_s, 3),
        "frames_per_s": round(known["frames"] / took_s, 2),
        "memory_mib": [[frames, round(mib, 1)] for frames, mib in seen],
        "memory_after_writing_mib": round(memory.resident_mib(), 1),
    }


def growth_mib(noted: list[list[float]]) -> float | None:
    """Return by how much memory grew an hour (90,000 frames) after the first tenth of a video.

    None of less than a minute, of which nothing can be said.
    """
    later = np.array(noted[len(noted) // 10 :], dtype=float)
    if len(later) < 15:
        return None
    return round(float(np.polyfit(later[:, 0], later[:, 1], 1)[0]) * 3600 * FPS, 2)


def in_a_process(clip: Path, **options: Any) -> dict[str, Any]:
    """Return what `watch` says in a fresh process."""
    command = skeleton.worker_command(__file__, {"clip": str(clip), **options})
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def work(job: dict[str, Any]) -> dict[str, Any]:
    return watch(Path(job.pop("clip")), **job)


def predict_photos(source: Path, model: str | None) -> dict[str, Any]:
    """Return how long `hemiface predict SOURCE --json` took from start to end."""
    words = [sys.executable, "-m", "hemiface", "predict", str(source), "--json"]
    started = time.perf_counter()
    done = subprocess.run(
        [*words, *(["--model", model] if model else [])], check=True, stdout=subprocess.PIPE
    )
    took_s = time.perf_counter() - started
    found = json.loads(done.stdout)
    count = len(found["sources"])
    return {
        "photos": count,
        "faces": len(found["faces"]),
        "seconds": round(took_s, 3),
        "photos_per_s": round(count / took_s, 2),
    }


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Do all measurements and return what the results file holds."""
    if options.minutes * 60 * FPS < 1:
        raise UsageError("The clip needs a frame at least.")
    machine, model = skeleton.Machine(), options.model
    result: dict[str, Any] = {
        "note": options.note,
        "minutes": options.minutes,
        "cores_allowed": len(os.sched_getaffinity(0)),
    }
    with tempfile.TemporaryDirectory(prefix="hemiface-") as folder:
        clip = Path(folder) / "clip.mp4"
        make_clip(clip, round(options.minutes * 60 * FPS), options.photo)
        whole = in_a_process(clip, model=model)
        whole["growth_mib_an_hour"] = growth_mib(whole["memory_mib"])
        result["video"] = whole
        result["video_every_frame_searched"] = in_a_process(
            clip, model=model, search_every=1, most=SEARCHED_FRAMES
        )
        result["video_blurred"] = in_a_process(clip, model=model, most=BLURRED_FRAMES, blur=True)
    if options.photo:
        result["one_photo"] = predict_photos(options.photo, model)
    if options.photos:
        result["photos"] = predict_photos(options.photos, model)
    return {**result, **machine.flat_facts()}


def show(results: dict[str, Any]) -> None:
    table = Table("", "sources or frames", "faces", "seconds", "per second")
    for name in ("video", "video_every_frame_searched", "video_blurred", "one_photo", "photos"):
        if name in results:
            one = results[name]
            count = one["frames"] if "frames" in one else one["photos"]
            rate = one["frames_per_s"] if "frames" in one else one["photos_per_s"]
            cells = (f"{count:,}", f"{one['faces']:,}", f"{one['seconds']:.1f}", f"{rate:.1f}")
            table.add_row(name.replace("_", " "), *cells)
    console = Console()
    console.print(table)
    video = results["video"]
    noted = [mib for _, mib in video["memory_mib"]]
    growth = video["growth_mib_an_hour"]
    if noted and growth is not None:
        console.print(
            f"Memory: {noted[len(noted) // 10]:.0f} MiB after a tenth of the video, "
            f"{noted[-1]:.0f} MiB at its end, {max(noted):.0f} MiB at most, "
            f"{video['memory_after_writing_mib']:.0f} MiB after writing the table; growth "
            f"{growth} MiB an hour."
        )


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = skeleton.parser(__doc__, skeleton.RESULTS / "video.json", worker=True)
    add = parser.add_argument
    add("--minutes", type=float, default=60.0, help="length of the clip")
    add("--photo", type=Path, help="what is to be seen in it")
    add("--photos", type=Path, help="a folder of photos to look at too")
    add("--model", help="default: the shipped one")
    add("--note", default="", help="what else the machine did, for the results")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return skeleton.main(parse(arguments), run, show, work)


if __name__ == "__main__":
    sys.exit(main())
