"""Landmarks of the one face of a photo that counts, for stimuli made from photos of any size."""

import numpy as np
import numpy.typing as npt

from hemiface.vision.finding.detector import Detector

__all__ = ["PhotoLandmarks"]


class PhotoLandmarks:
    """Finds the landmarks of each photo's largest face, a `face_lines.FindLandmarks`."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    def __call__(self, photos: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        """Return landmarks [n, 468, 2] of uint8 [n, height, width] or [n, height, width, 3].

        NaN where no face with landmarks is found.
        """
        result = np.full((len(photos), 468, 2), np.nan)
        for row, photo in zip(result, photos, strict=True):
            rgb = photo if photo.ndim == 3 else np.repeat(photo[:, :, np.newaxis], 3, axis=2)
            faces = [face for face in self._detector.detect(rgb) if face.landmarks is not None]
            if faces:
                row[:] = faces[0].landmarks
        return result
