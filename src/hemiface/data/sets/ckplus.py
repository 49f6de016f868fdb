"""CK+, the extended Cohn-Kanade set: 593 sequences of 123 posing people, 327 with a label.

Lucey et al. 2010, The extended Cohn-Kanade dataset (CK+): a complete dataset for action unit and
emotion-specified expression, CVPR Workshops. Two forms are known:

    Emotion/S005/001/S005_001_00000011_emotion.txt       3.0000000e+00
    cohn-kanade-images/S005/001/S005_001_00000011.png    from neutral to the peak

    happy/S010_004_00000017.png                          CK+48: the last three frames, cut out

Of the first form the last frame, the peak that the label is of, is taken, and the first frame of
the same sequence as neutral (the usual convention, as in Liu et al. 2014, Facial expression
recognition via a boosted deep belief network, CVPR, who take the last three frames). Sequences of
contempt are counted and left out, their first frames too. Persons are those of the names.
"""

import dataclasses
import re
from itertools import islice
from pathlib import Path

from hemiface.data.class_folders import is_class_tree, list_class_tree, pictures_below
from hemiface.data.listed import Listed
from hemiface.data.listing import Listing
from hemiface.data.pictures import PICTURE_SUFFIXES
from hemiface.errors import DamagedError
from hemiface.inputs import read_bytes
from hemiface.tables import EMOTIONS

__all__ = ["LABELS", "is_ckplus", "is_ckplus_crops", "list_ckplus", "list_ckplus_crops"]

LABELS = ("neutral", "angry", "contempt", "disgust", "fear", "happy", "sad", "surprise")
"""By the numbers in Emotion/ (readme of the data set)."""

_NAME = re.compile(r"(?P<person>S\d{3})_\d{3}_\d{8}", re.IGNORECASE)
_LABEL_FOLDERS = ("Emotion", "Emotion_labels/Emotion", "Emotion_labels")
_PICTURE_FOLDERS = ("cohn-kanade-images", "extended-cohn-kanade-images/cohn-kanade-images")
_SUFFIX = "_emotion.txt"


def is_ckplus(folder: Path) -> bool:
    """Whether CK+'s sequences or their labels lie here."""
    # A folder called Emotion may hold anything.
    labels = (path for one in _LABEL_FOLDERS for path in (folder / one).glob(f"*/*/*{_SUFFIX}"))
    return any((folder / one).is_dir() for one in _PICTURE_FOLDERS) or any(labels)


def list_ckplus(folder: Path) -> Listing:
    """List the peak of each labelled sequence, and its first frame as neutral.

    Raises:
        DamagedError: pictures or labels aren't there.
    """
    labels = next((folder / one for one in _LABEL_FOLDERS if (folder / one).is_dir()), None)
    images = next((folder / one for one in _PICTURE_FOLDERS if (folder / one).is_dir()), None)
    if labels is None or images is None:
        missing = "Emotion/ (Emotion_labels.zip)" if labels is None else _PICTURE_FOLDERS[0] + "/"
        raise DamagedError(f"{folder} looks like CK+ and has no {missing}; unpack it there.")
    found: list[Listed] = []
    bad: list[tuple[str, str]] = []
    files = sorted(labels.glob(f"*/*/*{_SUFFIX}"))
    if not files:
        raise DamagedError(
            f"{labels} holds no label (S005/001/S005_001_00000011_emotion.txt); unpack "
            "Emotion_labels.zip again."
        )
    for path in list(files):
        label, problem = _label(path)
        if problem:
            bad.append((path.relative_to(folder).as_posix(), problem))
            continue
        sequence = images / path.parent.parent.name / path.parent.name
        frames = _frames(sequence)
        peak = next(
            (one for one in frames if one.stem == path.name.removesuffix(_SUFFIX)),
            sequence / path.name.replace(_SUFFIX, ".png"),
        )
        person = path.parent.parent.name.upper()
        found.append(_listed(peak, folder, label, person))
        if label in EMOTIONS and label != "neutral" and frames and frames[0] != peak:
            found.append(_listed(frames[0], folder, "neutral", person))
    without = sum(one.is_dir() for one in images.glob("*/*")) - len({one.parent for one in files})
    files += [one.source for one in found if isinstance(one.source, Path)]
    notes = [f"{folder.name}: {without:,} sequences have no label."] if without > 0 else []
    return Listing(folder.name, "ck+", found, files, notes, bad)


def _listed(path: Path, folder: Path, label: str, person: str) -> Listed:
    return Listed(path, path.relative_to(folder).as_posix(), label, person=person)


def _label(path: Path) -> tuple[str, str]:
    """Return the label in a file of Emotion/, and what is wrong with it."""
    try:
        number = float(read_bytes(path, "text_bytes").decode("ascii"))
    except ValueError:
        number = -1.0
    if number in range(len(LABELS)):
        return LABELS[int(number)], ""
    return "", f"holds no number from 0 to {len(LABELS) - 1}"


def _frames(sequence: Path) -> list[Path]:
    if not sequence.is_dir():
        return []
    return sorted(
        path
        for path in sequence.iterdir()
        if path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")
    )


def is_ckplus_crops(folder: Path) -> bool:
    """Whether CK+48 lies here: class folders of pictures with CK+'s names."""
    first = list(islice(pictures_below(folder), 20))
    return (
        bool(first) and all(_NAME.fullmatch(path.stem) for path in first) and is_class_tree(folder)
    )


def list_ckplus_crops(folder: Path) -> Listing:
    """List CK+48 with the persons of its names.

    Raises:
        DamagedError: as `list_class_tree`.
    """
    listing = list_class_tree(folder)
    pictures = [
        dataclasses.replace(one, person=match["person"].upper() if match else "")
        for one in listing.pictures
        for match in [_NAME.fullmatch(Path(one.name).stem)]
    ]
    return dataclasses.replace(listing, dataset="ck+", pictures=pictures)
