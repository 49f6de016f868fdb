"""Draw src/hemiface/serve/web/example.png: the rendered faces that the page offers to try.

    python docs/example.py

The faces are rendered from parameters, nobody's photographs; no network was trained on them.
"""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from hemiface.data.phantom import make as phantom
from hemiface.files import atomic_path
from hemiface.tables import EMOTIONS

TARGET = Path(__file__).parents[1] / "src" / "hemiface" / "serve" / "web" / "example.png"
SHOWN = (("sad", 3), ("happy", 2), ("surprise", 0))
"""Emotion and seed of each face, from the left."""
FACE_PX, ABOVE_PX, BESIDE_PX, SOFTNESS_PX = 400, 60, 60, 2.5
SAME = {"background": 0.55, "exposure": 1, "gamma": 1, "gradient_x": 0}
"""What the faces have in common, so that they stand before one wall."""


def draw() -> np.ndarray:
    """Return the picture, grey uint8 [height, width]."""
    faces = []
    for emotion, seed in SHOWN:
        label = np.array([EMOTIONS.index(emotion)])
        record = phantom.draw_parameters(label, seed, intensity=1, noise=0, pose=False)
        for trait, value in SAME.items():
            record[trait] = value
        face = phantom.render_faces(record)[0]
        large = cv2.resize(face, (FACE_PX, FACE_PX), interpolation=cv2.INTER_CUBIC)
        soft = cv2.GaussianBlur(large, (0, 0), SOFTNESS_PX)
        faces.append(cv2.copyMakeBorder(soft, 0, 0, BESIDE_PX, BESIDE_PX, cv2.BORDER_REPLICATE))
    row = np.hstack(faces)
    wall = int(row[0, 0])
    return cv2.copyMakeBorder(row, ABOVE_PX, 0, 0, 0, cv2.BORDER_CONSTANT, value=wall)


if __name__ == "__main__":
    with atomic_path(TARGET) as partial:
        Image.fromarray(draw()).save(partial, format="PNG", optimize=True)
