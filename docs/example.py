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
SHOWN = (("sad", 3, 380), ("happy", 2, 460), ("surprise", 0, 380))
"""Emotion, seed and width in pixels of each face, from the left; the largest is read first."""
HEIGHT_PX, BESIDE_PX, SOFTNESS_PX = 520, 50, 2.5
GAP_PX, PAPER = 14, 238
SAME = {"background": 0.55, "exposure": 1, "gamma": 1, "gradient_x": 0}
"""What the faces have in common: the wall behind them and the light."""


def draw() -> np.ndarray:
    """Return the portraits side by side, grey uint8 [height, width]."""
    faces = []
    for emotion, seed, width in SHOWN:
        label = np.array([EMOTIONS.index(emotion)])
        record = phantom.draw_parameters(label, seed, intensity=1, noise=0, pose=False)
        for trait, value in SAME.items():
            record[trait] = value
        face = phantom.render_faces(record)[0]
        large = cv2.resize(face, (width, width), interpolation=cv2.INTER_CUBIC)
        soft = cv2.GaussianBlur(large, (0, 0), SOFTNESS_PX)
        wide = cv2.copyMakeBorder(soft, 0, 0, BESIDE_PX, BESIDE_PX, cv2.BORDER_REPLICATE)
        above, wall = HEIGHT_PX - width, int(wide[0, 0])
        faces.append(cv2.copyMakeBorder(wide, above, 0, 0, 0, cv2.BORDER_CONSTANT, value=wall))
        faces.append(np.full((HEIGHT_PX, GAP_PX), PAPER, dtype=np.uint8))
    return np.hstack(faces[:-1])


if __name__ == "__main__":
    with atomic_path(TARGET) as partial:
        Image.fromarray(draw()).save(partial, format="PNG", optimize=True)
