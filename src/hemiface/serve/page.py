"""The page as static files: what runs in the browser, its networks, and page.json.

page.json is what the page knows from Python, so that no label, temperature or threshold that a
prediction shows stands in two places: see `_about`.
"""

import gzip
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hemiface import __version__
from hemiface.documents import entry, read_json, undamaged
from hemiface.errors import UsageError
from hemiface.files import atomic_path, files_below, reading, sha256_file, write_json
from hemiface.models import shipped
from hemiface.models.class_mix import KEY, MIXES, Mix, trained_shares
from hemiface.models.onnx_file import OnnxModel
from hemiface.models.temperatures import VIEWS, ModelCalibration
from hemiface.models.visible_tiles import KIND
from hemiface.occlusion.conditions import CONDITIONS, QUADRANTS, condition
from hemiface.serve.page_networks import face_networks
from hemiface.tables import EMOTIONS
from hemiface.vision.covered_halves import COVERED, learnt_conditions
from hemiface.vision.predictor import LEAST_VISIBLE
from hemiface.vision.video.watching import SEARCH_EVERY

__all__ = ["ABOUT", "FORMAT", "WEB", "PageStart", "write_page"]

WEB = Path(__file__).parent / "web"
"""What the page consists of beside its networks."""

ABOUT = "page.json"
FORMAT = 1

_MODELS = "models"
_PACKED = ".gz"


@dataclass(frozen=True, kw_only=True)
class PageStart:
    """How a page reads faces until who looks at it chooses otherwise."""

    model: str | None = None
    """Name of one of its models, None for the first."""
    mix: str = MIXES[0]
    """One of MIXES: how often the pictures show each emotion."""
    abstain_below: float | None = None
    """Give no label below this confidence in 0..1; None is the model's own."""

    def __post_init__(self) -> None:
        if self.mix not in MIXES:
            raise UsageError(f"Mix {self.mix!r} is none of a page's: {', '.join(MIXES)}.")
        if self.abstain_below is not None and not 0 <= self.abstain_below <= 1:
            raise UsageError(f"abstain_below must lie in 0..1, got {self.abstain_below}.")


def write_page(
    folder: Path, *, models: Sequence[str] | None = None, start: PageStart | None = None
) -> Path:
    """Write the page into `folder`, whole or not at all; return the folder.

    It can be served by any web server that names the types of .mjs and .wasm files, and opened in
    any browser that runs WebAssembly. `models` are names of shipped models for emotions, the first
    of them that which the page begins with unless `start` names another; by default all. A page
    that is there is replaced.

    Raises:
        UsageError: the folder holds anything that is no part of a page, or there is no such model.
        HemifaceError: the networks that find faces were never pulled, or nothing can be written.
        DamagedError: a network's file, or what an older page says of itself, is damaged.
    """
    chosen = _chosen(models)
    start = start or PageStart()
    first = start.model or chosen[0]
    if first not in chosen:
        raise UsageError(f"Model {first!r} is none of the page's: {', '.join(chosen)}.")
    _require_page_or_nothing(folder)
    with atomic_path(folder) as partial:
        shutil.copytree(WEB, partial)
        _unpack(partial)
        networks = _write_networks(partial / _MODELS)
        described = [
            _write_model(partial / _MODELS, name) | {"isDefault": name == first} for name in chosen
        ]
        about = _about(networks, described, start)
        write_json(partial / ABOUT, about | {"files": _listed(partial)})
        if folder.exists():
            shutil.rmtree(folder)
    return folder


def _chosen(models: Sequence[str] | None) -> list[str]:
    """Return the names of models for emotions that come along: those named, else all.

    The first one is the page's default; a browser computes more slowly, and its page looks into the
    camera, so that without names it is the one for videos.
    """
    known = [one.name for one in shipped.list_models() if one.kind != KIND]
    unknown = [name for name in models or () if name not in known]
    if unknown:
        raise UsageError(f"Model {unknown[0]!r} is unknown; choose from: {', '.join(known)}.")
    default = shipped.default_model(in_videos=True)
    return list(dict.fromkeys(models or [*([default] if default else []), *known]))


def _require_page_or_nothing(folder: Path) -> None:
    """Raise UsageError unless a folder is missing, empty or holds a page and nothing else."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError(f"{folder} is a file; name a folder.")
    about = folder / ABOUT
    known = {about}
    if about.is_file():
        with undamaged(about, "remove it, or name another folder"):
            known |= {folder / name for name in entry(read_json(about), "files", dict)}
    with reading(folder):
        others = [one for one in files_below(folder, _refuse) if one not in known]
    if others:
        raise UsageError(f"{others[0]} is no part of a page; name another folder.")


def _refuse(error: OSError) -> None:
    raise error


def _unpack(folder: Path) -> None:
    """Unpack what lies packed in the package because of its size."""
    for path in sorted(folder.rglob(f"*{_PACKED}")):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()


def _write_networks(folder: Path) -> dict[str, str]:
    """Write the networks that find and look at faces; return name -> path in the page."""
    folder.mkdir()
    paths = {}
    for name, content in face_networks().items():
        (folder / f"{name}.onnx").write_bytes(content)
        paths[name] = f"{_MODELS}/{name}.onnx"
    (tiles,) = [one for one in shipped.list_models() if one.kind == KIND]
    shutil.copyfile(shipped.path_of(tiles.name), folder / tiles.file)
    return paths | {KIND: f"{_MODELS}/{tiles.file}"}


def _write_model(folder: Path, name: str) -> dict[str, Any]:
    """Write a model for emotions; return what the page must know of it."""
    path = shipped.path_of(name)
    shutil.copyfile(path, folder / path.name)
    (listed,) = [one for one in shipped.list_models() if one.name == name]
    header = OnnxModel.load(path).header
    known = ModelCalibration.beside(path, listed.sha256)
    view = known.views.get(VIEWS[0]) if known else None
    mix = header.get(KEY, known.class_mix if known else None)
    return {
        "name": name,
        "path": f"{_MODELS}/{path.name}",
        "summary": listed.summary,
        "labels": listed.labels,
        "labelsSaid": shipped.LABELLINGS.get(listed.labels, ""),
        "licence": listed.licence,
        "precision": listed.precision,
        "bytes": listed.bytes,
        "sha256": listed.sha256,
        "trained": None if mix is None else trained_shares(mix, path).tolist(),
        "learnt": sorted(learnt_conditions(header)),
        "calibration": view
        and {
            "temperatures": dict(view.temperatures),
            "abstainBelow": view.abstain_below,
            "answered": [dict(row) for row in view.answered],
        },
    }


def _about(
    networks: Mapping[str, str], models: Sequence[Mapping[str, Any]], start: PageStart
) -> dict[str, Any]:
    """Return page.json but for its list of files.

    `trained`, the mixes and all probabilities are in the order of `labels`; `hides` says which
    quadrants each condition hides.
    """
    shares = {name: Mix.of(name).shares for name in MIXES}
    return {
        "format": FORMAT,
        "version": __version__,
        "labels": list(EMOTIONS),
        "models": list(models),
        "networks": dict(networks),
        "conditions": list(CONDITIONS),
        "hides": {
            name: [one for one in QUADRANTS if one in condition(name).hidden] for name in CONDITIONS
        },
        "mixes": {name: None if one is None else one.tolist() for name, one in shares.items()},
        "start": {"mix": start.mix, "abstainBelow": start.abstain_below},
        "leastVisible": LEAST_VISIBLE,
        "covered": COVERED,
        "searchEvery": SEARCH_EVERY,
    }


def _listed(folder: Path) -> dict[str, dict[str, Any]]:
    """Return path -> size and SHA-256 of every file of a page."""
    return {
        path.relative_to(folder).as_posix(): {
            "bytes": path.stat().st_size,
            "sha256": sha256_file(path),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
