"""The models that come with hemiface: files in the folder `shipped` and the index that names them.

The index says what a file must be (size and SHA-256); what the model can do stands in the file's
own metadata, so that the two can't drift apart. A folder of one's own with such an index works as
well.
"""

import logging
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hemiface.documents import entry, read_json, undamaged
from hemiface.errors import DamagedError, HemifaceError, UsageError
from hemiface.files import atomic_path, sha256_file, with_hash, write_json
from hemiface.inputs import require_file
from hemiface.locks import locked
from hemiface.models import visible_tiles
from hemiface.models.onnx_file import FOLDER, OnnxModel, add_seal
from hemiface.models.temperatures import VIEWS, ModelCalibration, calibration_path

__all__ = [
    "FOLDER",
    "LABELLINGS",
    "ShippedModel",
    "accuracy",
    "add",
    "default_model",
    "describe",
    "list_models",
    "model_for",
    "path_of",
    "verify",
]

log = logging.getLogger(__name__)

LABELLINGS = {
    "people": "what most of FER+'s ten voters see in a face",
    "fer2013": "the labels that came with FER2013",
}
"""Whose labels a network can have learnt. They differ in more than a third of FER2013's
images (12,102 of the 35,272 that the votes give one of the seven labels)."""

_INDEX = "index.json"
_FORMAT = 1
_DEFAULTS = ("default", "default_in_videos")
_KINDS: Mapping[str, tuple[type, ...]] = {"bytes": (int,), "scores": (list,)}
"""Of the fields of ShippedModel that aren't texts."""
_SCORE = {"condition": str, "accuracy": float, "n": int}
_EMOTION = "emotion"
_Network = OnnxModel | visible_tiles.VisibleTiles


@dataclass(frozen=True)
class ShippedModel:
    """One line of the index."""

    name: str
    """What users call it: small letters, digits, dots and hyphens."""
    file: str
    """Its file's name inside the folder."""
    kind: str
    """What it tells of a face: `emotion`, or `visibility` (see `hemiface.models.visible_tiles`)."""
    precision: str
    """fp32, fp16 or int8."""
    bytes: int
    """The file's size."""
    sha256: str
    """Of the file."""
    licence: str
    """SPDX identifier."""
    summary: str
    """One sentence: what it is for."""
    labels: str = ""
    """Whose labels it gives, one of LABELLINGS; "" where that isn't known."""
    scores: Sequence[Mapping[str, Any]] = field(default_factory=list)
    """What this very file scored on test images after it was exported: condition, accuracy, n."""


def list_models(folder: str | Path | None = None) -> tuple[ShippedModel, ...]:
    """Return the models that the index of `folder` names (default: the package's own).

    No model is opened.

    Raises:
        DamagedError: the index is missing or isn't one.
    """
    return _read_index(Path(folder or FOLDER)).models


def default_model(folder: str | Path | None = None, *, in_videos: bool = False) -> str | None:
    """Return the name of the model for emotions that is used where none is named.

    That is what the index calls its default, else its first one; None where there is none.
    `in_videos`: what the index calls its default there, where a face is read many times a second;
    the same where it names none. Errors are those of `list_models`.
    """
    index = _read_index(Path(folder or FOLDER))
    named = [model.name for model in index.models if model.kind == _EMOTION]
    default = index.default or next(iter(named), None)
    return index.default_in_videos or default if in_videos else default


def model_for(labels: str, folder: str | Path | None = None, *, in_videos: bool = False) -> str:
    """Return the name of the model that gives these labels, a key of LABELLINGS.

    It is the default (that of videos: `in_videos`) if that gives them, else the first in the index
    that does.

    Raises:
        UsageError: there are no such labels, or no model gives them.
        DamagedError: the index is missing or isn't one.
    """
    if labels not in LABELLINGS:
        raise UsageError(f"Labels {labels!r} are unknown; choose from: {', '.join(LABELLINGS)}.")
    giving = [one.name for one in list_models(folder) if one.labels == labels]
    if not giving:
        raise UsageError(f"No model at hand gives the labels {labels!r}; name one with --model.")
    default = default_model(folder, in_videos=in_videos)
    return default if default in giving else giving[0]


@dataclass(frozen=True)
class _Index:
    """What index.json says."""

    models: tuple[ShippedModel, ...]
    default: str
    """The name of the default model, "" where none is named."""
    default_in_videos: str
    """The same for videos, "" where the default serves them too."""
    renamed: Mapping[str, str]
    """Which model stands in for one that came along before, by its name."""


def _read_index(folder: Path) -> _Index:
    path = folder / _INDEX
    with undamaged(path, _mend(path.parent)):
        index = read_json(path)
        if entry(index, "format", int) != _FORMAT:
            raise DamagedError(
                f"{path} has format {index['format']}, this hemiface reads {_FORMAT}."
            )
        models = tuple(ShippedModel(**row) for row in entry(index, "models", list))
        for row in (row for model in models for row in model.scores):
            for key, kind in _SCORE.items():
                entry(row, key, kind)
        optional = dict.fromkeys(_DEFAULTS, "") | {"renamed": {}, **index}
        defaults = {key: entry(optional, key, str) for key in _DEFAULTS}
        renamed = entry(optional, "renamed", dict)
    named = {"", *(model.name for model in models if model.kind == _EMOTION)}
    for default in defaults.values():
        if default not in named:
            raise DamagedError(f"{path}: its default {default!r} is not one of its emotion models.")
    for model in models:
        for one in fields(ShippedModel):
            if not isinstance(getattr(model, one.name), _KINDS.get(one.name, (str,))):
                raise DamagedError(
                    f"{path}: {one.name} of a model has the wrong type; {_mend(path.parent)}."
                )
        if Path(model.file).name != model.file:
            raise DamagedError(f"{path}: {model.file!r} doesn't lie in the folder.")
    return _Index(models, **defaults, renamed=renamed)


def _mend(folder: Path) -> str:
    """Return how to mend what is damaged in a folder of models."""
    if folder.resolve() == FOLDER.resolve():
        return "install again"
    return "copy the folder again, or add the model again (hemiface models add --folder)"


def path_of(name: str, folder: str | Path | None = None) -> Path:
    """Return where the file of model `name` lies, which is the one that the index names.

    Raises:
        UsageError: there is no such model.
        DamagedError: the index or the file is missing, or the file has another size or SHA-256.
    """
    model = _find(name, folder)
    path = Path(folder or FOLDER) / model.file
    if not path.exists():
        raise DamagedError(f"Model {name} is listed, but {path} is missing; {_mend(path.parent)}.")
    size = require_file(path, f"Model {name}:").st_size
    if size != model.bytes:
        raise DamagedError(
            f"Model {model.name} is damaged: {path} has {size:,} bytes, expected are "
            f"{model.bytes:,}; {_mend(path.parent)}."
        )
    if sha256_file(path) != model.sha256:
        raise DamagedError(
            f"Model {model.name} is damaged: the SHA-256 of {path} isn't that of the index; "
            f"{_mend(path.parent)}."
        )
    return path


def describe(folder: str | Path | None = None) -> list[dict[str, Any]]:
    """Return every model's line of the index together with the metadata of its file.

    A row has the fields of ShippedModel, `default` and `default_in_videos` (is it used where none
    is named?), `accuracy` (its `scores`, without any what the function `accuracy` reads in the
    file: a row is never of two sets of images), `abstain_below` (the default threshold), `answered`
    (the risk and coverage that go with thresholds, see `temperatures.View`; None and empty without
    a calibration) and `header`.

    Raises:
        DamagedError: a file is missing or can't be opened, or a calibration is another file's.
    """
    rows = []
    default, in_videos = default_model(folder), default_model(folder, in_videos=True)
    for model in list_models(folder):
        path = path_of(model.name, folder)
        header = dict(_open(path, model.kind).header)
        known = ModelCalibration.beside(path, model.sha256)
        view = known.views.get(VIEWS[0]) if known else None
        rows.append(
            {
                **asdict(model),
                "default": model.name == default,
                "default_in_videos": model.name == in_videos,
                "accuracy": {one["condition"]: one["accuracy"] for one in model.scores}
                or accuracy(header, model.labels),
                "abstain_below": view.abstain_below if view else None,
                "answered": [dict(row) for row in view.answered] if view else [],
                "header": header,
            }
        )
    return rows


def accuracy(header: Mapping[str, Any], labels: str = "") -> dict[str, float]:
    """Return condition -> accuracy on the test split, as a model file's metadata knows it.

    Measured of this very file where its parity report was made on the test split alone, else what
    the network that it was made from scored (protocol standard). Empty for models of other kinds.
    By `labels`, one of LABELLINGS, alone, where these are told and the report says whose it has;
    those of before don't.
    """
    if header.get("kind", _EMOTION) != _EMOTION:
        return {}
    scores = {
        condition: cell["accuracy"]["value"]
        for condition, cell in header["scores"].get("standard", {}).items()
        if "accuracy" in cell
    }
    parity = header.get("parity", {})
    is_by_these = not labels or parity.get("labels", labels) == labels
    if parity.get("splits") == ["test"] and is_by_these:
        scores |= {row["condition"]: row["accuracy"] for row in parity["conditions"]}
    return scores


def verify(names: Iterable[str] = (), folder: str | Path | None = None) -> dict[str, str]:
    """Check models (all if none is named): size, SHA-256, calibration, one rendered face.

    Returns name -> what is wrong, in one sentence; "" where all is well.

    Raises:
        UsageError: there is no model of that name.
        DamagedError: the index is missing or isn't one.
    """
    wanted = [_find(name, folder) for name in names] or list_models(folder)
    found = {}
    for model in wanted:
        try:
            _verify(model, path_of(model.name, folder))
        except HemifaceError as error:
            found[model.name] = str(error)
        else:
            found[model.name] = ""
    return found


def add(
    file: str | Path,
    name: str,
    summary: str,
    folder: str | Path | None = None,
    *,
    default: bool = False,
    default_in_videos: bool = False,
    labels: str = "",
    scores: Sequence[Mapping[str, Any]] = (),
    replace: bool = False,
) -> None:
    """Copy an exported model into `folder` and write its line of the index; for maintainers.

    `labels` says whose labels it gives (one of LABELLINGS); a model that learnt shares of votes, as
    its metadata say, gives those of `people`. `scores` are the rows of
    `hemiface.stats.model_scores.scores_on_test`, where it was scored after the export.

    With `replace` it takes the place of another file of the same name, whose calibration goes. A
    calibration that lies beside the file comes along. A file of before seals gets one, so that a
    copy of it that was changed is seen wherever it lies. A folder without an index gets one.
    `default` makes it the model that is used where none is named,
    `default_in_videos` the one that is used in videos.

    Raises:
        UsageError: the name has other characters than small letters, digits, dots and hyphens, the
            summary is empty, the labels are unknown, a model of another kind is to be the
            default, another file has the name, or somebody else is adding to the folder.
        DamagedError: neither `hemiface export` nor `hemiface visibility train` wrote the file.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name):
        raise UsageError(f"Name {name!r} must consist of small letters, digits, dots and hyphens.")
    if not summary.strip():
        raise UsageError("A model needs a summary, one sentence on what it is for.")
    target = Path(folder or FOLDER)
    header, kind = _header_and_kind(file)
    if (default or default_in_videos) and kind != _EMOTION:
        raise UsageError(f"{file} doesn't name emotions, so it can't be the default model.")
    if labels and labels not in LABELLINGS:
        raise UsageError(f"Labels {labels!r} are unknown; choose from: {', '.join(LABELLINGS)}.")
    with locked(target):  # two at once would each write the index without the other's line
        place = target / f"{name}.onnx"
        known_index = _read_index(target) if (target / _INDEX).is_file() else _Index((), "", "", {})
        known_sha256 = {one.name: one.sha256 for one in known_index.models}
        # Of a call that was killed before it wrote the index the very file lies there.
        is_unlisted = place.exists() and place.name not in {one.file for one in known_index.models}
        calibration = None
        if ModelCalibration.beside(file, sha256_file(file)) is not None:
            calibration = read_json(calibration_path(file))
        with atomic_path(place) as partial:
            shutil.copyfile(file, partial)
            add_seal(partial)
            sha256 = sha256_file(partial)
            if is_unlisted and sha256_file(place) != sha256 and not replace:
                raise UsageError(
                    f"{place} is there and no model of the index; give another name, or put this "
                    "one in its place with --replace (replace=True)."
                )
            is_there = known_sha256.get(name) == sha256
            if name in known_sha256 and not is_there and not replace:
                raise UsageError(
                    f"{target} has another file as model {name}; give another name, or put this "
                    "one in its place with --replace (replace=True)."
                )
        if calibration is None and not is_there:
            # One of the file that was replaced must not stay.
            calibration_path(place).unlink(missing_ok=True)
        elif calibration is not None:
            known = {**calibration, "model_sha256": sha256}
            write_json(calibration_path(place), with_hash(known))
        model = ShippedModel(
            name=name,
            file=place.name,
            kind=kind,
            precision=header["precision"],
            bytes=place.stat().st_size,
            sha256=sha256,
            licence=header["licence"],
            summary=summary.strip(),
            labels=labels or ("people" if _learnt_votes(header) else ""),
            scores=[{**one, "accuracy": round(one["accuracy"], 6)} for one in scores],
        )
        others = (one for one in known_index.models if one.name != name)
        models = sorted([*others, model], key=lambda one: one.name)
        rows = [{k: v for k, v in asdict(one).items() if k != "scores" or v} for one in models]
        index: dict[str, Any] = {"format": _FORMAT, "models": rows}
        more = {
            "default": name if default else known_index.default,
            "default_in_videos": name if default_in_videos else known_index.default_in_videos,
            "renamed": {old: new for old, new in known_index.renamed.items() if old != name},
        }
        write_json(target / _INDEX, index | {key: value for key, value in more.items() if value})


def _learnt_votes(header: Mapping[str, Any]) -> bool:
    train = header.get("provenance", {}).get("recipe", {}).get("train", {})
    return bool(train.get("soft_labels", False))


def _find(name: str, folder: str | Path | None) -> ShippedModel:
    index = _read_index(Path(folder or FOLDER))
    models = {model.name: model for model in index.models}
    if name not in models and name in index.renamed:
        log.warning("Model %s doesn't come along any more: taking %s.", name, index.renamed[name])
        name = index.renamed[name]
    if name not in models:
        known = ", ".join(models) or "none is there"
        raise UsageError(f"Model {name!r} is unknown; choose from: {known}.")
    return models[name]


def _verify(model: ShippedModel, path: Path) -> None:
    ModelCalibration.beside(path, model.sha256)
    opened = _open(path, model.kind)
    if opened.header["precision"] != model.precision:
        raise DamagedError(
            f"Model {model.name} is {opened.header['precision']}, but listed as {model.precision}."
        )
    values = opened.predict(_rendered_face())
    if model.kind == visible_tiles.KIND:
        if not (values >= 0.5).mean() > 0.5:  # NaN included
            raise DamagedError(f"Model {model.name} doesn't see a rendered face.")
    elif not np.isfinite(values).all() or abs(values.sum() - 1) > 1e-4:
        raise DamagedError(f"Model {model.name} gives no probabilities for a rendered face.")


def _rendered_face() -> npt.NDArray[np.uint8]:
    """Return uint8 [1, 48, 48]: an angry face, `phantom.render([0], seed=0)`.

    `phantom` itself makes tables too and needs pandas, which a light install doesn't have.
    """
    from hemiface.data.phantom.geometry import draw
    from hemiface.data.phantom.parameters import Expressiveness, draw_faces

    return draw(
        draw_faces(
            np.zeros(1, dtype=np.int64), 0, start=0, expressiveness=Expressiveness(),
            intensity=None, noise=1.0, pose=True,
        )
    )  # fmt: skip


def _open(path: Path, kind: str) -> _Network:
    return (
        visible_tiles.VisibleTiles.load(path)
        if kind == visible_tiles.KIND
        else OnnxModel.load(path)
    )


def _header_and_kind(file: str | Path) -> tuple[Mapping[str, Any], str]:
    """Return the metadata of a file of either kind, and which kind that is."""
    try:
        return visible_tiles.VisibleTiles.load(file).header, visible_tiles.KIND
    except DamagedError:
        # Whatever else it may be, what is wrong with it is told as of the usual kind.
        return OnnxModel.load(file).header, _EMOTION
