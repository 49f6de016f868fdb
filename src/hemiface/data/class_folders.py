"""Folders of pictures: `train/<class>/*.jpg`, `test/<class>/*.jpg` and maybe `validation`."""

import dataclasses
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np

from hemiface.data.csv_files import USAGES
from hemiface.data.images import Images
from hemiface.data.pictures import CONVERSION_RULE, PICTURE_SUFFIXES, read_picture
from hemiface.data.skipping import BadItems
from hemiface.errors import DamagedError
from hemiface.files import files_below
from hemiface.tables import EMOTIONS

__all__ = ["carve_validation", "class_files", "is_class_folder", "read_class_folders"]

CARVED_NOTE = (
    "There is no validation split: a tenth of the groups of train, chosen by hash, was made one."
)
_SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "publictest": "validation",
    "test": "test",
    "testing": "test",
    "privatetest": "test",
}
_CLASS_NAMES = {
    **{emotion: emotion for emotion in EMOTIONS},
    "anger": "angry",
    "disgusted": "disgust",
    "fearful": "fear",
    "happiness": "happy",
    "sadness": "sad",
    "surprised": "surprise",
}


def is_class_folder(folder: Path) -> bool:
    """Whether `folder` has at least one subfolder that is named like a split."""
    return bool(_split_folders(folder))


def class_files(folder: Path) -> list[Path]:
    """Return every file below the split folders but hidden ones, sorted by relative name."""
    return [
        path
        for split_folder in _split_folders(folder)
        for path in files_below(split_folder, _refuse)
        if path.is_file() and not _hidden(path.relative_to(folder))
    ]


def _refuse(closed: OSError) -> NoReturn:
    raise closed


def _split_folders(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.iterdir() if path.is_dir() and path.name.lower() in _SPLIT_NAMES
    )


def _hidden(relative: Path) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in relative.parts)


@dataclass(frozen=True)
class _Picture:
    path: Path
    name: str
    split: str
    label: str


def read_class_folders(folder: Path, skip_bad: bool) -> Images:
    """Read the pictures below `folder`, in the order of their relative names.

    FER2013's JPEG form keeps the Usage in its file names (`PublicTest_123.jpg` in test/): where a
    name begins so, that decides the split, and it has to agree with the folder. Elsewhere the
    folder decides. Where nothing is left for validation, a tenth of train becomes it (see
    `carve_validation`) and a note says so. Pictures are converted by `pictures.CONVERSION_RULE`.

    DamagedError names the file or folder: no test or train split, an empty or unknown class, a
    picture that can't be read, a name that contradicts its folder.
    """
    bad = BadItems(skip_bad)
    found, notes = _find(folder, bad)
    _require_splits(folder, found)
    pictures, arrays, converted = [], [], Counter[str]()
    for picture in found:
        result = read_picture(picture.path)
        if isinstance(result, str):
            bad.report(picture.name, result)
            continue
        pictures.append(picture)
        arrays.append(result[0])
        converted.update(result[1])
    _require_splits(folder, pictures)  # again: unreadable pictures are gone now
    if converted:
        counts = ", ".join(f"{count:,} {what}" for what, count in sorted(converted.items()))
        notes.append(f"{folder.name}: pictures were converted ({counts}): {CONVERSION_RULE}.")
    from_usage = all(picture.path.name.split("_")[0] in USAGES for picture in pictures)
    images = Images.build(
        np.stack(arrays),
        labels=[picture.label for picture in pictures],
        splits=[picture.split for picture in pictures],
        dataset="fer2013" if from_usage else folder.resolve().name,
        sources=[picture.name for picture in pictures],
        info={"skipped": bad.sentences, "notes": notes, "converted": dict(converted)},
    )
    if (images.table["split"] == "validation").any():
        return images
    return carve_validation(images)


def _find(folder: Path, bad: BadItems) -> tuple[list[_Picture], list[str]]:
    """Return the pictures below the split folders and notes about what else lies there."""
    pictures: list[_Picture] = []
    ignored = []
    for split_folder in _split_folders(folder):
        counts = dict.fromkeys(EMOTIONS, 0)
        for class_folder in sorted(path for path in split_folder.iterdir() if path.is_dir()):
            if _hidden(Path(class_folder.name)):
                continue
            where = class_folder.relative_to(folder).as_posix()
            label = _CLASS_NAMES.get(class_folder.name.lower())
            if label is None:
                raise DamagedError(
                    f"{where} is not a known class; the folders are {', '.join(EMOTIONS)}."
                )
            for path in sorted(class_folder.iterdir()):
                if _hidden(Path(path.name)):
                    continue
                # A link that leads nowhere is a picture that can't be read.
                is_other = path.exists() and not path.is_file()
                if is_other or path.suffix.lower() not in PICTURE_SUFFIXES:
                    ignored.append(f"{where}/{path.name}")
                    continue
                counts[label] += 1
                name = f"{where}/{path.name}"
                split = _split(path.name, split_folder.name, name, bad)
                if split:
                    pictures.append(_Picture(path, name, split, label))
        empty = [emotion for emotion, count in counts.items() if count == 0]
        if empty:
            raise DamagedError(
                f"{folder.name}/{split_folder.name} has no pictures of {', '.join(empty)}; each "
                "split needs all seven classes."
            )
    pictures.sort(key=lambda picture: picture.name)
    if not ignored:
        return pictures, []
    what = f"{len(ignored):,} files or folders that are no pictures were ignored"
    return pictures, [f"{folder.name}: {what}, such as {ignored[0]}."]


def _split(file_name: str, folder_name: str, where: str, bad: BadItems) -> str | None:
    """Return the split by the Usage in the name, else by the folder; None if they contradict."""
    by_folder = _SPLIT_NAMES[folder_name.lower()]
    usage, underscore, _ = file_name.partition("_")
    if not underscore or usage not in USAGES:
        return by_folder
    by_name = USAGES[usage]
    # The published folders put PublicTest_ pictures, the validation split, into test/.
    if by_name != by_folder and (by_name, by_folder) != ("validation", "test"):
        bad.report(where, f"lies in {folder_name}/ although its name says {usage}")
        return None
    return by_name


def _require_splits(folder: Path, pictures: list[_Picture]) -> None:
    splits = {picture.split for picture in pictures}
    for split in ("train", "test"):
        if split not in splits:
            raise DamagedError(
                f"{folder.name} has no {split} split: no pictures in {split}/<class>/"
                f"{' other than PublicTest_ ones' if 'validation' in splits else ''}; add them."
            )


def carve_validation(images: Images, note: str = CARVED_NOTE) -> Images:
    """Return `images` with a tenth of the train groups, at least one, as the validation split.

    Which ones: those with the smallest `group`. A group is named after the SHA-256 of its first
    image, so the choice is random in what it looks like, the same on every machine, independent
    of file names, and copies stay together. Images that were carved before are dealt again, so
    that better groups can be put in. The info says so: `validation_carved` and `note`.
    """
    table = images.table.copy()
    ours = table["split"].isin(["train", "validation"])
    groups = sorted(set(table.loc[ours, "group"]))
    if len(groups) < 2:
        raise DamagedError("A train split of one picture can't be divided; add pictures.")
    chosen = groups[: math.ceil(len(groups) / 10)]
    carved = ours & table["group"].isin(chosen)
    table["split"] = table["split"].where(~ours, "train").where(~carved, "validation")
    notes = [known for known in images.info.get("notes", []) if known != note]
    info = {**images.info, "validation_carved": True, "notes": [*notes, note]}
    return dataclasses.replace(images, table=table, info=info)
