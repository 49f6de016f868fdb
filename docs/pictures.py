"""Draw docs/pictures/faces.jpg: rendered faces, whole and with each half hidden, and their labels.

    python docs/pictures.py

The faces are drawn from parameters, nobody's photograph; no network learnt from such faces. They
are found, hidden, labelled and annotated by what `hemiface predict --hide` runs, with the model
that comes first. The persons (seeds) were chosen so that labels change and one isn't given: this
shows what the output looks like, and is no measure of how right it is. Needs `hemiface models
pull`.
"""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

import hemiface as hf
from hemiface.data.phantom import make as phantom
from hemiface.files import atomic_path
from hemiface.tables import EMOTIONS
from hemiface.vision.drawing import annotate
from hemiface.vision.faces import FacePrediction

Pixels = npt.NDArray[np.uint8]

OUT = Path(__file__).with_name("pictures") / "faces.jpg"
COLUMNS = {
    "": "nothing hidden",
    "upper": "upper half hidden",
    "lower": "lower half hidden",
    "left": "left half hidden",
    "right": "right half hidden",
}
FACES = (("surprise", 2), ("happy", 3), ("sad", 14))
"""The emotion that is drawn, and the seed of the person."""
FACE_PX, BESIDE_PX, ABOVE_PX, GAP_PX, HEAD_PX, TITLE_PX = 300, 36, 35, 10, 52, 30
WIDE_PX, HIGH_PX = FACE_PX + 2 * BESIDE_PX, FACE_PX + ABOVE_PX
STEP_X, STEP_Y = WIDE_PX + GAP_PX, HIGH_PX + GAP_PX
GROUND, INK = (255, 255, 255), (40, 40, 40)
QUALITY = 88


def face(emotion: str, seed: int) -> Pixels:
    """Return a rendered face, RGB uint8 [HIGH_PX, WIDE_PX, 3], with room for words."""
    known = phantom.draw_parameters([EMOTIONS.index(emotion)], seed, intensity=1, pose=False)
    known["noise"], known["blur"], known["scale"], known["shift_y"] = 0, 0.2, 0.68, 3.0
    small = phantom.render_faces(known)[0]
    large = cv2.resize(small, (FACE_PX, FACE_PX), interpolation=cv2.INTER_CUBIC)
    beside = (ABOVE_PX, 0, BESIDE_PX, BESIDE_PX)
    wide = cv2.copyMakeBorder(large, *beside, borderType=cv2.BORDER_REPLICATE)
    return np.repeat(wide[..., np.newaxis], 3, axis=2)


def empty_sheet() -> Image.Image:
    """Return the ground of the picture, with a title above each column."""
    size = (len(COLUMNS) * STEP_X - GAP_PX, HEAD_PX + len(FACES) * STEP_Y - GAP_PX)
    sheet = Image.new("RGB", size, GROUND)
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(COLUMNS.values()):
        middle = (column * STEP_X + WIDE_PX / 2, HEAD_PX / 2)
        draw.text(middle, title, INK, ImageFont.load_default(TITLE_PX), anchor="mm")
    return sheet


def moved(face: FacePrediction, x: int, y: int) -> FacePrediction:
    """Return a face of a cell as one of the sheet, on which the cell begins at x, y."""
    left, top, width, height = face.box_px
    points = tuple((one + x, other + y) for one, other in face.five_px)
    return replace(face, box_px=(left + x, top + y, width, height), five_px=points)


def main() -> None:
    """Look at every face with every half hidden, and write the picture."""
    predictors = [hf.Predictor(hide=hidden or None) for hidden in COLUMNS]
    sheet = empty_sheet()
    found = []
    for row, (emotion, seed) in enumerate(FACES):
        picture = face(emotion, seed)
        for column, predictor in enumerate(predictors):
            corner = column * STEP_X, HEAD_PX + row * STEP_Y
            sheet.paste(Image.fromarray(picture), corner)
            faces = predictor.predict(picture)
            print(emotion, predictor.hidden or "whole", faces)
            found += [moved(one, *corner) for one in faces]
    pixels = np.array(sheet)
    for one in found:
        # One by one they need no numbers.
        pixels = annotate(pixels, [one])
    OUT.parent.mkdir(exist_ok=True)
    with atomic_path(OUT) as partial:
        Image.fromarray(pixels).save(partial, "JPEG", quality=QUALITY)
    print(OUT)


if __name__ == "__main__":
    main()
