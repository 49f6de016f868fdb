"""What commands read: configs, data, prediction tables, lists of words."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hemiface.errors import BROUGHT, HemifaceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hemiface.config import Config
    from hemiface.data.images import Images
    from hemiface.data.listed import AlignFaces
    from hemiface.occlusion.face_lines import FindLandmarks
    from hemiface.stages import OnProgress
    from hemiface.tables import Predictions

__all__ = [
    "crop_landmarks",
    "face_aligner",
    "is_by_face",
    "lacking",
    "needed",
    "network_files",
    "open_predictions",
    "read_config",
    "read_images",
    "require_apart_from_data",
    "require_extra",
    "told",
    "training_images",
    "words",
]


_CONTAINED = {
    "train": ("study", "train"),
    "export": ("study", "train", "export"),
    "serve": ("serve",),
}


def require_extra(extra: Literal["train", "export", "serve"]) -> None:
    """Name everything that isn't installed of what a command needs, before it does anything.

    Raises:
        HemifaceError: something isn't; the extra that brings all of it is named.
    """
    missing = lacking(extra)
    if missing:
        raise HemifaceError(needed(missing, extra))


def lacking(extra: str) -> list[str]:
    """Return what isn't installed of all that an extra brings, by the names that are imported."""
    names = [name for one in _CONTAINED.get(extra, (extra,)) for name in BROUGHT[one]]
    return [name for name in names if find_spec(name) is None]


def needed(missing: "Sequence[str]", extra: str) -> str:
    """Return the sentence about a command that lacks what an extra brings."""
    return f"This command needs {', '.join(missing)}; pip install 'hemiface[{extra}]'."


def read_config(
    path: Path,
    settings: list[str] | None,
    *,
    data: str,
    labels: str,
    skip_bad: bool,
    align: bool = False,
    deal: bool = False,
) -> "Config":
    """Read a config; what the command line names overrides its keys."""
    from hemiface.config import load

    extra = []
    if data:
        extra.append(f"data.source={json.dumps(data)}")
    if labels:
        extra.append(f"data.labels={json.dumps(labels)}")
    flags = {"skip_bad": skip_bad, "align": align, "deal": deal}
    extra += [f"data.{name}=true" for name, is_asked in flags.items() if is_asked]
    return load(path, [*(settings or []), *extra])


def read_images(
    data: str,
    on_progress: "OnProgress",
    *,
    labels: str = "",
    skip_bad: bool = False,
    align: bool = False,
    deal: bool = False,
) -> "Images":
    """Read what --data names, telling how far it is where faces have to be found.

    Splits that it hasn't of its own are dealt as a training's are.
    """
    from hemiface.data.cache import load_images

    aligner = face_aligner(on_progress) if align else None
    return load_images(data, labels=labels or None, skip_bad=skip_bad, align=aligner, deal=deal)


def require_apart_from_data(out: Path, data: str, labels: str, others: "Sequence[Path]") -> None:
    """Raise if what is written would take the place of what is read: images, votes or others.

    Raises:
        UsageError: it would.
        DamagedError: the data have none of the known forms.
    """
    from hemiface.data.readers import find, labels_file
    from hemiface.inputs import require_apart

    votes = labels_file(labels or None)
    read = [Path(data), find(data).path, *([votes] if votes else []), *others]
    require_apart(read, [out])


def face_aligner(on_progress: "OnProgress") -> "AlignFaces":
    """Return what finds and aligns the faces of whole pictures, telling how far it is."""
    from hemiface.vision.finding.aligned_pictures import AlignedPictures

    return AlignedPictures(
        on_progress=lambda done, total: on_progress("finding faces", done, total)
    )


def network_files(named: "Sequence[Path]") -> list[Path]:
    """Return the files of networks, of which those that come along go by their names.

    Raises:
        UsageError: a plain word is neither a file nor the name of such a network.
    """
    from hemiface.models import shipped

    return [
        shipped.path_of(str(one))
        if one.name == str(one) and not (one.suffix or one.exists())
        else one
        for one in named
    ]


def words(text: str) -> list[str]:
    """Return the words between commas, without blanks."""
    return [word.strip() for word in text.split(",") if word.strip()]


def training_images(config: "Config", folder: Path, on_progress: "OnProgress") -> "Images":
    """Read the data once and keep it beside the training, so that starting again is quick."""
    from hemiface.data.cache import prepare
    from hemiface.locks import locked

    with locked(folder / "data"):
        return prepare(
            config.data.source,
            folder / "data",
            labels=config.data.labels or None,
            skip_bad=config.data.skip_bad,
            # A training asks for no groups but those that its splits are dealt by.
            near_duplicates=config.data.near_duplicates and config.data.protocol == "paper",
            protocol=config.data.protocol,
            align=face_aligner(on_progress) if config.data.align else None,
            deal=config.data.deal,
        )


def open_predictions(source: Path, out: Path | None, command: str) -> "tuple[Predictions, Path]":
    """Return the predictions of a run folder or file, and where a command's results go.

    By default that is a folder of the command's name beside the predictions: what lies there is
    the report's.

    Raises:
        UsageError: they outgrow memory.
    """
    from hemiface.data.parts import read_whole, table_path
    from hemiface.tables import compact

    return compact(read_whole(source)), out or table_path(source).parent / command


def told(on_progress: "OnProgress", what: str) -> "Callable[[int, int], None]":
    """Return a progress(done, total) that says what is done."""
    return lambda done, total: on_progress(what, done, total)


def is_by_face(halves: str) -> bool:
    """Return whether --halves says face.

    Raises:
        UsageError: it says neither image nor face.
    """
    if halves not in ("image", "face"):
        raise UsageError(f"--halves takes image or face, not {halves!r}.")
    return halves == "face"


def crop_landmarks(on_progress: "OnProgress") -> "FindLandmarks":
    """Return what finds the landmarks of face crops, telling how far it is."""
    from hemiface.vision.finding.crop_landmarks import CropLandmarks

    return CropLandmarks(
        on_progress=lambda done, total: on_progress("finding the faces' lines", done, total)
    )
