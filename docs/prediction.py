"""Draw docs/prediction.png: what `small` reads in a rendered face, whole and with each half hidden.

    python docs/prediction.py

The face is rendered from parameters, nobody's photograph; the network never saw such faces.
"""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

import hemiface as hf
from hemiface.data.phantom import make as phantom
from hemiface.models import shipped
from hemiface.report.figures.style import COLOURS, STYLE
from hemiface.tables import EMOTIONS

SHOWN = ("full", "upper", "lower", "left", "right")
TITLES = (
    "whole",
    "upper half hidden",
    "lower half hidden",
    "left half hidden",
    "right half hidden",
)
EMOTION, SEED = "surprise", 0


def draw() -> Figure:
    """Return the figure: faces above, the seven probabilities below."""
    model = hf.OnnxModel.load(shipped.path_of("small"))
    label = np.array([EMOTIONS.index(EMOTION)])
    face = phantom.render(label, SEED, intensity=1, pose=False)
    hidden = np.concatenate([hf.hide(face, hf.condition(one)) for one in SHOWN])
    values = model.predict(hidden)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots(2, len(SHOWN), sharey="row", height_ratios=(1.15, 1))
    for column, (title, picture, shares) in enumerate(zip(TITLES, hidden, values, strict=True)):
        above, below = axes[:, column]
        above.imshow(picture, cmap="gray", vmin=0, vmax=255)
        above.set_title(title, fontsize=10)
        above.set_axis_off()
        colours = ["#c9ced6"] * len(EMOTIONS)
        colours[int(shares.argmax())] = COLOURS[0]
        below.barh(EMOTIONS, 100 * shares, color=colours)
        for place, share in enumerate(shares):
            below.text(100 * share + 2, place, f"{100 * share:.0f}", va="center", fontsize=8)
        below.set_xlim(0, 112)
        below.set_xticks([])
        below.invert_yaxis() if column == 0 else None
        below.spines[["top", "right", "bottom"]].set_visible(False)
        below.tick_params(length=0, labelsize=9)
    figure.supxlabel("probability, %", fontsize=9)
    return figure


if __name__ == "__main__":
    with matplotlib.rc_context(STYLE):
        draw().savefig(Path(__file__).with_name("prediction.png"), dpi=160)
