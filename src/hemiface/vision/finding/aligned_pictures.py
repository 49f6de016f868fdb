"""Whole pictures of a data set to aligned crops, with a cache: the readers' AlignFaces.

What `hemiface predict` finds in photos is found here, by the same networks in the same way. Of
several faces the one whose box is nearest to the middle of the picture, or of the box that the data
set gives, is taken.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hemiface.data.listed import Box, Cut, Listed
from hemiface.errors import DamagedError, first_line
from hemiface.files import hash_json
from hemiface.inputs import read_bytes
from hemiface.limits import limits
from hemiface.provenance import code_hash
from hemiface.tables import FER2013_SIZE_PX
from hemiface.threads import in_threads
from hemiface.vision.finding import assets
from hemiface.vision.finding.alignment import align
from hemiface.vision.finding.centerface import CenterFaceDetector
from hemiface.vision.finding.crop_landmarks import default_detector
from hemiface.vision.finding.detector import Detector, FoundFace
from hemiface.vision.finding.kept import Arrays, Column, Kept
from hemiface.vision.finding.photo_detector import LEAST_SCORE, PhotoDetector
from hemiface.vision.photos import read_photo

__all__ = ["AlignedPictures"]

OnProgress = Callable[[int, int], None]

_NETWORKS = ("detection", "landmarks", "centerface")
_KEPT_TOGETHER = 64
_COLUMNS: dict[str, Column] = {
    "pixels": ((FER2013_SIZE_PX, FER2013_SIZE_PX), np.uint8),
    "faces": ((), np.int64),
    "problems": ((), np.str_),
}


class AlignedPictures:
    """Finds and aligns the face of each picture, a `data.listed.AlignFaces`; remembers it on disk.

    What was found is kept in `folder` (default: `aligned` in the cache of `assets`), 64 pictures
    together, under a name made from the bytes of their files, the networks and the code, so that
    nothing stale is ever read and a killed run goes on where it was. `on_progress` is called with
    how many pictures of how many are done. A folder that can't be written costs time, not the
    result.

    A picture that can't be read is a `Cut` with a problem, one without a face a `Cut` without.

    Raises:
        HemifaceError: the networks were never pulled.
        DamagedError: they aren't what they were.
    """

    def __init__(
        self, folder: Path | None = None, on_progress: OnProgress = lambda *_: None
    ) -> None:
        self._detector: Detector = PhotoDetector(
            default_detector(),
            CenterFaceDetector(assets.path_of("centerface"), least_score=LEAST_SCORE),
        )
        folder = folder or assets.cache_folder() / "aligned"
        self._kept = Kept(folder, _COLUMNS, "aligned faces")
        self._on_progress = on_progress

    @cached_property
    def key(self) -> str:
        """What decides the crops besides the pictures."""
        networks = [assets.ASSETS[name].sha256 for name in _NETWORKS]
        return hash_json(
            {"networks": networks, "code": code_hash(__name__), "pixels": limits().pixels}
        )

    def __call__(self, pictures: Sequence[Listed]) -> Iterator[Cut]:
        """Yield what became of each picture, in their order."""
        rest, done = iter(pictures), 0
        while part := list(islice(rest, _KEPT_TOGETHER)):
            key = self._key(part)
            known = self._kept.read(key, len(part))
            if known is None:
                cuts = self._find_all(part, done, len(pictures))
                self._kept.keep(key, _arrays(cuts))
            else:
                cuts = _cuts(known)
                self._on_progress(done + len(part), len(pictures))
            done += len(part)
            yield from cuts

    def _key(self, part: Sequence[Listed]) -> str:
        """Return the name under which the crops of some pictures are kept."""
        return hash_json([self.key, [(_sha256(one), one.box) for one in part]])

    def _find_all(self, part: Sequence[Listed], before: int, total: int) -> list[Cut]:
        threads = min(os.cpu_count() or 1, 8)
        cuts = []
        for cut in in_threads(self._find, part, threads):
            cuts.append(cut)
            self._on_progress(before + len(cuts), total)
        return cuts

    def _find(self, one: Listed) -> Cut:
        try:
            photo = read_photo(_content(one)).pixels
        except (DamagedError, OSError) as error:
            return Cut(problem=f"can't be looked at ({first_line(error)})")
        faces = [face for face in self._detector.detect(photo) if face.five is not None]
        if one.box is not None:
            faces = [face for face in faces if _is_on(face, one.box)]
        chosen = min(faces, key=lambda face: _distance(face, photo.shape, one.box), default=None)
        if chosen is None or chosen.five is None:
            return Cut()
        return Cut(align(photo, chosen.five).pixels, len(faces))


def _arrays(cuts: Sequence[Cut]) -> Arrays:
    """Return what became of pictures as it is kept; where there are no pixels it is black."""
    nothing = np.zeros((FER2013_SIZE_PX, FER2013_SIZE_PX), dtype=np.uint8)
    return {
        "pixels": np.stack([nothing if cut.pixels is None else cut.pixels for cut in cuts]),
        "faces": np.array([cut.faces for cut in cuts], dtype=np.int64),
        "problems": np.array([cut.problem for cut in cuts], dtype=np.str_),
    }


def _cuts(kept: Arrays) -> list[Cut]:
    columns = (kept[name] for name in _COLUMNS)
    return [
        Cut(pixels if faces else None, int(faces), str(problem))
        for pixels, faces, problem in zip(*columns, strict=True)
    ]


def _content(one: Listed) -> bytes:
    """Return the bytes of a picture's file."""
    return read_bytes(one.source, "picture_bytes") if isinstance(one.source, Path) else one.source()


def _sha256(one: Listed) -> str:
    """Return the hash of a picture's file, or what keeps it from being read."""
    try:
        return hashlib.sha256(_content(one)).hexdigest()
    except (DamagedError, OSError) as error:
        return f"{one.name}: {error}"


def _middle(box: Box) -> npt.NDArray[np.float64]:
    left, top, width, height = box
    return np.array([left + width / 2, top + height / 2])


def _is_on(face: FoundFace, box: Box) -> bool:
    """Whether a face's middle lies in the box that the data set gives, or that one's in its own."""
    middle = face.box.mean(axis=0)
    corner, size = np.array(box[:2]), np.array(box[2:])
    is_in = bool((corner <= middle).all() and (middle <= corner + size).all())
    around = bool((face.box[0] <= _middle(box)).all() and (_middle(box) <= face.box[1]).all())
    return is_in or around


def _distance(face: FoundFace, shape: tuple[int, ...], box: Box | None) -> float:
    """Return how far the middle of a face's box is from where the face should be, in pixels."""
    wanted = np.array(shape[1::-1]) / 2 if box is None else _middle(box)
    return float(np.hypot(*(face.box.mean(axis=0) - wanted)))
