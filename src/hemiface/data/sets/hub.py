"""Data sets of the Hugging Face hub by name, where the library `datasets` is installed.

    hf:NAME[,config=..][,revision=..][,image=..][,label=..][,person=..]

NAME is that of the hub, or a folder: what `save_to_disk` wrote, or anything that `load_dataset`
reads, such as Parquet files. The options behind it name columns where they can't be told: the image
is the one column of images, the label a column called as in a table of pictures. A label's numbers
need names, which most data sets have. What the library fetches it keeps where it always does;
HEMIFACE_OFFLINE=1 forbids it to fetch. No code of a data set is run.
"""

import hashlib
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from hemiface.data.listed import Listed
from hemiface.data.listing import Listing
from hemiface.data.picture_tables import LABEL_COLUMNS, PERSON_COLUMNS
from hemiface.data.vocabulary import emotion_of, split_of
from hemiface.errors import DamagedError, HemifaceError, UsageError, first_line
from hemiface.inputs import is_offline

__all__ = ["PREFIX", "HubSource", "hub_sha256", "list_hub"]

PREFIX = "hf:"

_SAVED = ("dataset_dict.json", "dataset_info.json")
"""What `save_to_disk` writes into a folder."""


@dataclass(frozen=True)
class HubSource:
    """What stands behind `hf:`."""

    name: str
    config: str = ""
    revision: str = ""
    image: str = ""
    label: str = ""
    person: str = ""

    @classmethod
    def of(cls, source: str) -> "HubSource":
        """Return the parts of `hf:NAME,label=emotion`.

        Raises:
            UsageError: there is no name, or another option.

        >>> HubSource.of("hf:someone/faces,label=emotion").label
        'emotion'
        """
        name, *options = source.removeprefix(PREFIX).split(",")
        found = cls(name.strip())
        for option in options:
            key, _, value = option.partition("=")
            if key.strip() not in ("config", "revision", "image", "label", "person") or not value:
                raise UsageError(
                    f"{option[:40]!r} in {source[:80]} is not an option; write {PREFIX}NAME and "
                    "config=, revision=, image=, label= or person= behind commas."
                )
            found = replace(found, **{key.strip(): value.strip()})
        if not found.name:
            raise UsageError(f"{source[:80]} names no data set; write {PREFIX}NAME.")
        return found


def list_hub(source: Path) -> Listing:
    """List the images of a data set; each is decoded when it is read.

    A data set whose only split is train has none: the library calls everything so.

    Raises:
        HemifaceError: the library isn't installed, or the data set can't be fetched.
        UsageError: a column can't be told, or isn't there.
        DamagedError: a split or label isn't known.
    """
    known = HubSource.of(str(source))
    parts = _loaded(known)
    is_whole = len(parts) == 1 and split_of(next(iter(parts))) in (None, "train")
    pictures: list[Listed] = []
    bad: list[tuple[str, str]] = []
    for word, rows in parts.items():
        split = split_of(word)
        if not is_whole and split is None:
            raise DamagedError(
                f"{known.name} has split {word!r}, expected train, validation and test; give a "
                "config or data set that has them."
            )
        columns = _Columns.of(known, rows.features)
        # Labels and persons alone: no image is decoded for them.
        light = rows.select_columns([one for one in (columns.label, columns.person) if one])
        undecoded = columns.undecoded(rows)
        for index, row in enumerate(light):
            name = f"{word or known.name}:{index}"
            text = columns.word(row)
            label = emotion_of(text)
            if label is None:
                bad.append((name, f"has label {text[:20]!r}, which is no emotion that is known"))
                continue
            # An image of nobody that is known is of no person called None.
            who = row[columns.person] if columns.person else None
            person = "" if who is None else _person(who)
            content = partial(_content, undecoded, columns.image, index)
            pictures.append(Listed(content, name, label, "" if is_whole else str(split), person))
    dataset = Path(known.name).name
    return Listing(known.name, dataset, pictures, bad=bad)


def hub_sha256(source: Path) -> str:
    """Return the SHA-256 of the names, labels and bytes of all images of a data set."""
    digest = hashlib.sha256()
    for one in list_hub(source).pictures:
        assert callable(one.source)  # noqa: S101 - no image of a hub is a file
        content = one.source()
        said = f"{one.name}\0{one.label}\0{one.person}\0{one.split}\0{len(content)}\0"
        digest.update(said.encode("utf-8", "backslashreplace"))
        digest.update(content)
    return digest.hexdigest()


def _library() -> Any:
    """Return the library `datasets`, which may not fetch anything where hemiface may not."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    if is_offline():
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        datasets = import_module("datasets")
    except ModuleNotFoundError as error:
        raise HemifaceError(
            f"{PREFIX}NAME needs the library datasets ({error.name} isn't installed); pip install "
            "'hemiface[hub]'."
        ) from error
    if is_offline() and not datasets.config.HF_HUB_OFFLINE:
        raise HemifaceError(
            "HEMIFACE_OFFLINE forbids the network, but datasets was imported with it; set "
            "HF_HUB_OFFLINE=1 too."
        )
    return datasets


def _loaded(known: HubSource) -> Mapping[str, Any]:
    """Return the splits of a data set by their names."""
    library = _library()
    folder = Path(known.name)
    try:
        if any((folder / one).is_file() for one in _SAVED):
            found = library.load_from_disk(str(folder))
        else:
            found = library.load_dataset(
                known.name, known.config or None, revision=known.revision or None
            )
    except (OSError, RuntimeError, ValueError, library.exceptions.DatasetsError) as error:
        raise HemifaceError(
            f"{PREFIX}{known.name} can't be had ({first_line(error)}); check its name, your "
            "network and, where it asks for one, your token (hf auth login)."
        ) from error
    if isinstance(found, Mapping):
        return found
    return {"": found}


@dataclass(frozen=True)
class _Columns:
    """Which columns of a data set hold what."""

    image: str
    label: str
    person: str
    named: Callable[[int], str] | None
    """The class of a number, where labels are numbers."""

    @classmethod
    def of(cls, known: HubSource, features: Any) -> "_Columns":
        """Tell the columns from their names and kinds.

        Raises:
            UsageError: one that is needed can't be told, or one that is named isn't there.
        """
        library = _library()
        images = [name for name, kind in features.items() if isinstance(kind, library.Image)]
        label = _named(known, "label", features, [*LABEL_COLUMNS, "labels"])
        kind = features[label]
        is_class = isinstance(kind, library.ClassLabel)
        if not is_class and getattr(kind, "dtype", "") not in ("string", "large_string"):
            raise UsageError(
                f"Column {label} of {known.name} holds neither words nor numbers with names; name "
                f"another with {PREFIX}{known.name},label=COLUMN."
            )
        return cls(
            image=_named(known, "image", features, images if len(images) == 1 else []),
            label=label,
            person=_named(known, "person", features, PERSON_COLUMNS, needed=False),
            named=kind.int2str if is_class else None,
        )

    def word(self, row: Mapping[str, Any]) -> str:
        """Return the label of a row as a word."""
        value = row[self.label]
        if self.named is None:
            return str(value)
        # -1 stands for no label.
        return self.named(value) if value is not None and value >= 0 else str(value)

    def undecoded(self, rows: Any) -> Any:
        """Return rows whose images stay the bytes of their files."""
        return rows.cast_column(self.image, _library().Image(decode=False))


def _person(who: Any) -> str:
    """Return whom a cell names; columns with gaps hold numbers as floats, and NaN for nobody."""
    if isinstance(who, float):
        if not math.isfinite(who):
            return ""
        return str(int(who)) if who.is_integer() else str(who)
    return str(who)


def _named(known: HubSource, what: str, features: Any, names: Any, *, needed: bool = True) -> str:
    """Return the column that an option names, or that has one of `names`; "" for none."""
    chosen = getattr(known, what)
    if chosen and chosen not in features:
        raise UsageError(f"{known.name} has no column {chosen}; it has {', '.join(features)}.")
    lower = {name.lower(): name for name in features}
    found = chosen or next((lower[one.lower()] for one in names if one.lower() in lower), "")
    if needed and not found:
        raise UsageError(
            f"Which column of {known.name} is the {what} can't be told; it has "
            f"{', '.join(features)}: name it with {PREFIX}{known.name},{what}=COLUMN."
        )
    return str(found)


def _content(rows: Any, column: str, index: int) -> bytes:
    """Return the bytes of an image's file; none where it is missing, which no picture has."""
    image = rows[index][column] or {}
    if image.get("bytes") is not None:
        return bytes(image["bytes"])
    path = image.get("path")
    return Path(path).read_bytes() if path and Path(path).is_file() else b""
