"""KDEF and JAFFE: people who pose, with everything that there is to know in the names of the files.

KDEF, the Karolinska Directed Emotional Faces (Lundqvist, Flykt & Öhman 1998, Karolinska
Institutet): 70 people, two sessions, seven expressions, five angles.

    AF01ANS.JPG     session A, female 01, anger, straight (FL FR: full, HL HR: half left, right)

JAFFE, the Japanese Female Facial Expression set (Lyons et al. 1998, Coding facial expressions with
Gabor wavelets, FG): 213 pictures of ten women.

    KA.AN1.39.tiff  person KA, anger, her first of it

Neither has splits: all is test, unless it is dealt.
"""

import re
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from hemiface.data.class_folders import pictures_below
from hemiface.data.listed import Listed
from hemiface.data.listing import Listing

__all__ = ["is_jaffe", "is_kdef", "list_jaffe", "list_kdef", "list_kdef_of_all_angles"]

_KDEF = re.compile(
    r"(?P<session>[AB])(?P<gender>[FM])(?P<number>\d{2})(?P<emotion>AF|AN|DI|HA|NE|SA|SU)"
    r"(?P<angle>FL|FR|HL|HR|S)",
    re.IGNORECASE,
)
_KDEF_EMOTIONS = {
    "AF": "fear", "AN": "angry", "DI": "disgust", "HA": "happy", "NE": "neutral", "SA": "sad",
    "SU": "surprise",
}  # fmt: skip
_ANGLES = {"FL": "full left", "FR": "full right", "HL": "half left", "HR": "half right",
           "S": "straight"}  # fmt: skip
_JAFFE = re.compile(
    r"(?P<person>[A-Z]{2})\.(?P<emotion>AN|DI|FE|HA|NE|SA|SU)\d\.\d+", re.IGNORECASE
)
_JAFFE_EMOTIONS = {**_KDEF_EMOTIONS, "FE": "fear"}
_LOOKED_AT = 20


def is_kdef(folder: Path) -> bool:
    """Whether one of the first pictures below `folder` has a name of KDEF's."""
    return _has(folder, _KDEF)


def is_jaffe(folder: Path) -> bool:
    """Whether one of the first pictures below `folder` has a name of JAFFE's."""
    return _has(folder, _JAFFE)


def list_kdef(folder: Path) -> Listing:
    """List KDEF's straight pictures; `list_kdef_of_all_angles` lists all."""
    return _list(folder, "kdef", _KDEF, _of_kdef, lambda match: match["angle"].upper() == "S")


def list_kdef_of_all_angles(folder: Path) -> Listing:
    """List all of KDEF's pictures; column `angle` says how the head is turned."""
    return _list(folder, "kdef", _KDEF, _of_kdef, lambda _: True)


def list_jaffe(folder: Path) -> Listing:
    """List JAFFE's pictures."""
    return _list(folder, "jaffe", _JAFFE, _of_jaffe, lambda _: True)


def _has(folder: Path, pattern: re.Pattern[str]) -> bool:
    first = islice(pictures_below(folder), _LOOKED_AT)
    return any(pattern.fullmatch(path.stem) for path in first)


def _list(
    folder: Path,
    dataset: str,
    pattern: re.Pattern[str],
    listed: Callable[[Path, str, re.Match[str]], Listed],
    wanted: Callable[[re.Match[str]], bool],
) -> Listing:
    pictures, others, angles = [], [], Counter[str]()
    for path in pictures_below(folder):
        name = path.relative_to(folder).as_posix()
        match = pattern.fullmatch(path.stem)
        if match is None:
            others.append(name)
        elif wanted(match):
            pictures.append(listed(path, name, match))
        else:
            angles[_ANGLES[match["angle"].upper()]] += 1
    notes = []
    if angles:
        counts = ", ".join(f"{count:,} {angle}" for angle, count in sorted(angles.items()))
        notes.append(
            f"{folder.name}: pictures that aren't straight were left out ({counts}); "
            f"kdef-all:{folder.name} takes them too."
        )
    if others:
        notes.append(
            f"{folder.name}: {len(others):,} pictures of other names were ignored, such as "
            f"{others[0]}."
        )
    pictures.sort(key=lambda one: one.name)
    files = [one.source for one in pictures if isinstance(one.source, Path)]
    return Listing(folder.name, dataset, pictures, files, notes)


def _of_kdef(path: Path, name: str, match: re.Match[str]) -> Listed:
    gender = match["gender"].upper()
    return Listed(
        path,
        name,
        _KDEF_EMOTIONS[match["emotion"].upper()],
        # The same number is another person in the other gender, and the same one in both sessions.
        person=f"{gender}{match['number']}",
        extra={"session": match["session"].upper(), "angle": _ANGLES[match["angle"].upper()]},
    )


def _of_jaffe(path: Path, name: str, match: re.Match[str]) -> Listed:
    return Listed(
        path, name, _JAFFE_EMOTIONS[match["emotion"].upper()], person=match["person"].upper()
    )
