"""Landmarks of face crops, such as FER2013's, and a cache for them.

A crop is upright and shows one face. The detector is asked first; where it finds nothing, or only a
face lying on its side or head, the landmark network looks at the whole crop with two margins, and
is believed where it is sure. Of 300 random validation images of FER2013 the detector finds 290 and
the network alone 285 at its best margin; of the ten that the detector misses it rescues four and
believes in none of the six that show no landmarks (profiles from behind, a drawing). Two that the
detector finds lying are believed by neither: 292 (`validity/detection.py --lines`). Looking again
in the square that the first landmarks give didn't make them more constant under mirroring, so
nothing is refined.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hemiface.files import hash_json
from hemiface.occlusion.face_lines import lines_of
from hemiface.provenance import code_hash
from hemiface.threads import in_threads
from hemiface.vision.finding import assets
from hemiface.vision.finding.detector import FoundFace, MediaPipeDetector
from hemiface.vision.finding.kept import Kept

__all__ = ["CropLandmarks", "default_detector"]

Floats = npt.NDArray[np.float64]
Pictures = npt.NDArray[np.uint8]
OnProgress = Callable[[int, int], None]

_MOST_TILT_DEG = 60
"""More, and a crop that is upright was misread."""
_MARGINS = (1.3, 1.5)
"""Side of the square that is looked at, in sides of the crop."""
_LEAST_PRESENCE = 0.85
"""Without a detection to agree with, the landmark network must be sure; in a profile from behind it
believed in a face with 0.70."""
_KEPT_TOGETHER = 512


def default_detector() -> MediaPipeDetector:
    """Return the detector on the pulled networks.

    Raises:
        HemifaceError: they were never pulled.
        DamagedError: they aren't what they were.
    """
    return MediaPipeDetector(assets.path_of("detection"), assets.path_of("landmarks"))


class CropLandmarks:
    """Finds the landmarks of grey crops, a `face_lines.FindLandmarks`; remembers them on disk.

    What was found is kept in `folder` (default: `landmarks` in the cache of `assets`), 512 crops
    together, under a name made from the pixels, the networks and the code, so that nothing stale
    is ever read and a killed run goes on where it was.
    `on_progress` is called with how many crops of how many are done. A folder that can't be written
    costs time, not the result.

    Raises:
        HemifaceError: the networks were never pulled.
        DamagedError: they aren't what they were.
    """

    def __init__(
        self, folder: Path | None = None, on_progress: OnProgress = lambda *_: None
    ) -> None:
        self._detector = default_detector()
        folder = folder or assets.cache_folder() / "landmarks"
        self._kept = Kept(folder, {"landmarks": ((468, 2), np.float32)}, "landmarks")
        self._on_progress = on_progress

    def __call__(self, pixels: Pictures) -> Floats:
        """Return landmarks [n, 468, 2] of grey crops uint8 [n, height, width], NaN without a face.

        They are rounded to single precision, so that the cache changes nothing.
        """
        result = np.full((len(pixels), 468, 2), np.nan)
        for start in range(0, len(pixels), _KEPT_TOGETHER):
            part = pixels[start : start + _KEPT_TOGETHER]
            key = _key(part)
            known = self._kept.read(key, len(part))
            if known is None:
                known = {"landmarks": self._find_all(part, start, len(pixels))}
                self._kept.keep(key, known)
            result[start : start + len(part)] = known["landmarks"]
        return result

    def _find_all(self, pixels: Pictures, before: int, total: int) -> npt.NDArray[np.float32]:
        result = np.full((len(pixels), 468, 2), np.nan, dtype=np.float32)
        threads = min(os.cpu_count() or 1, 8)
        for index, found in enumerate(in_threads(self._find, pixels, threads)):
            if found is not None:
                result[index] = found
            self._on_progress(before + index + 1, total)
        return result

    def _find(self, crop: Pictures) -> Floats | None:
        """Return the landmarks [468, 2] of one crop, None without a face."""
        rgb = np.repeat(crop[:, :, np.newaxis], 3, axis=2)
        faces = self._detector.detect(rgb)
        if faces and _is_upright(faces[0], crop.shape):
            return faces[0].landmarks
        looked = [self._detector.look(rgb, margin) for margin in _MARGINS]
        landmarks, presence = max(looked, key=lambda one: one[1])
        return landmarks[:, :2] if presence >= _LEAST_PRESENCE else None


def _is_upright(face: FoundFace, shape: tuple[int, ...]) -> bool:
    if face.landmarks is None:
        return False
    [down] = lines_of(face.landmarks[np.newaxis], shape[0], shape[1]).down
    return bool(down[1] >= np.cos(np.radians(_MOST_TILT_DEG)))


def _key(pixels: Pictures) -> str:
    return hash_json(
        {
            "shape": list(pixels.shape),
            "pixels": hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest(),
            "networks": [assets.ASSETS[name].sha256 for name in ("detection", "landmarks")],
            "code": code_hash(__name__),
        }
    )
