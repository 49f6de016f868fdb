"""Masks over nose, mouth and chin, and scarves: what covers the lower face.

Masks come in every tone, most of them pale or about as bright as the skin beside them: where tone
tells nothing, an edge across nose and cheeks, missing nostrils and lips, and folds have to. The
face's own light goes on over them.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hemiface.occlusion.occluders.canvas import Canvas, Point, oval

__all__ = ["mask", "scarf"]

Line = list[Point]


@dataclass(frozen=True)
class _Outline:
    """A mask's edges in the crop, each from the viewer's left to the right, and its middle line."""

    top: Line
    bottom: Line
    ridge: Line

    @property
    def closed(self) -> Line:
        """The whole outline."""
        return [*self.top, *reversed(self.bottom)]


def mask(canvas: Canvas) -> None:
    """Cover nose, mouth and chin by a surgical mask, a cup, or cloth; the nose may stay out."""
    shape = canvas.random.choice(["surgical", "cup", "cloth"], p=[0.45, 0.25, 0.3])
    outline = _outline(canvas, str(shape))
    grey = _tone(canvas)
    canvas.paint(grey, light=0.25, clouds=canvas.between(0, 6 if canvas.chance(0.6) else 20))
    if canvas.chance(0.5 if shape == "cloth" else 0.08):
        canvas.pattern()
    _round(canvas, outline)
    canvas.polygon(outline.closed)
    if canvas.chance(0.5):
        canvas.round_off(canvas.between(0, 0.35), canvas.between(1, 4))
    if shape == "surgical":
        _pleats(canvas, outline)
        _gathers(canvas, outline)
    elif canvas.chance(0.6):
        _line_on(canvas, outline.ridge, canvas.between(-50, 30))
    if shape == "cup" and canvas.chance(0.45):
        _valve(canvas, outline, grey)
    _folds(canvas, outline)
    if canvas.chance(0.5):  # a hem, or a wire over the nose
        inside = [(x, y + canvas.between(0.8, 1.6)) for x, y in outline.top]
        _line_on(canvas, inside, canvas.between(-60, 50), canvas.between(0.5, 1))
    canvas.shade(canvas.between(0.3, 1.1))
    canvas.softness_px = canvas.between(0, 0.6)
    if canvas.chance(0.8):
        _straps(canvas, outline)


def _tone(canvas: Canvas) -> float:
    """Return a grey: pale, about the skin's, dark, or any."""
    which = canvas.between(0, 1)
    if which < 0.4:
        grey = max(canvas.skin * canvas.between(1.0, 1.5), canvas.between(130, 235))
    elif which < 0.68:
        grey = canvas.skin * canvas.between(0.78, 1.25)
    elif which < 0.9:
        grey = canvas.between(6, 80)
    else:
        grey = canvas.between(10, 245)
    return float(np.clip(grey, 5, 252))


def _outline(canvas: Canvas, shape: str) -> _Outline:
    """Return where the mask lies on a face that is turned a little to one side."""
    peak = canvas.between(31, 34.5) if canvas.chance(0.07) else canvas.between(21.5, 28)
    wide = {"surgical": (12.5, 21), "cup": (12, 20), "cloth": (14, 24)}[shape]
    half = canvas.between(*wide)
    # The edge falls from the nose to the cheek, and rises to the ear again where it reaches there.
    fall = canvas.between(1, 6.5) if shape != "surgical" else canvas.between(0.3, 5)
    rise = canvas.between(0, 6) if shape == "cloth" else canvas.between(-1.5, 2)
    pointed = canvas.between(1.0, 2.2)
    share = np.linspace(-1, 1, 17)
    out = np.abs(share)
    drop = fall * (1 - (1 - np.minimum(out / 0.6, 1)) ** pointed)
    top = peak + drop - rise * np.clip((out - 0.6) / 0.4, 0, 1)
    chin = canvas.between(42, 55)
    jaw = chin - (canvas.between(1, 5) if shape == "surgical" else canvas.between(2, 10))
    bottom = np.maximum(chin - (chin - jaw) * out ** canvas.between(1.6, 4), top + 6)
    narrow = canvas.between(0.65, 1)
    turn = float(np.clip(canvas.random.normal(0, 0.3), -0.8, 0.8))
    # Turned to one side the middle moves there, the near half widens and the far one shrinks.
    middle = 24 + 5.5 * turn
    across = np.where(np.sign(share) == np.sign(turn), 1 - 0.45 * abs(turn), 1 + 0.15 * abs(turn))
    x = middle + half * across * share
    below = middle - 1.5 * turn + half * across * share * narrow
    tilt = canvas.between(-0.06, 0.06) * (x - middle)
    ridge = np.stack([np.linspace(middle, middle - 1.5 * turn, 5), np.linspace(peak, chin, 5)], 1)
    ridge[1:4, 0] += 2.5 * turn
    return _Outline(_points(x, top + tilt), _points(below, bottom + tilt), _points(*ridge.T))


def _points(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> Line:
    return list(zip(x.tolist(), y.tolist(), strict=True))


def _round(canvas: Canvas, outline: _Outline) -> None:
    """Shade the tone as of something that stands out: darker to the sides and below."""
    y, x = (np.mgrid[: canvas.px, : canvas.px] + 0.5) / canvas.finer
    middle, high = outline.ridge[2]
    half = (outline.top[-1][0] - outline.top[0][0]) / 2
    side = canvas.between(0, 0.35) * ((x - middle) / half) ** 2
    below = canvas.between(-0.05, 0.4) * np.clip((y - high) / 14, 0, 1.2)
    lit = canvas.between(0, 0.18) * np.exp(-(((x - middle) / 3) ** 2))
    canvas.tone = (canvas.tone * np.clip(1 - side - below + lit, 0.25, 1.3)).astype(np.float32)


def _pleats(canvas: Canvas, outline: _Outline) -> None:
    """Draw pleats across, each a dark line with a lit one beside it."""
    if canvas.chance(0.2):
        return
    shares = np.sort(canvas.random.uniform(0.25, 0.9, int(canvas.random.integers(1, 5))))
    bow, shade = canvas.between(-1, 3), canvas.between(-75, -6)
    width_px = canvas.between(0.5, 1.3)
    for share in shares:
        line = [
            (a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]) + bow * (1 - out**2))
            for a, b, out in zip(outline.top, outline.bottom, np.linspace(-1, 1, 17), strict=True)
        ]
        _line_on(canvas, line, shade, width_px)
        if canvas.chance(0.5):
            below = [(x, y + width_px + 0.4) for x, y in line]
            _line_on(canvas, below, -0.6 * shade, width_px)


def _gathers(canvas: Canvas, outline: _Outline) -> None:
    """Draw creases that run inwards from the sides, where straps pull."""
    for end, step in ((0, 1), (-1, -1)):
        for _ in range(int(canvas.random.integers(0, 4))):
            from_top = canvas.chance(0.5)
            edge, other = (outline.top, outline.bottom)[:: 1 if from_top else -1]
            (x, y), inwards = edge[end], step * int(canvas.random.integers(2, 8))
            (x2, y2), (x3, y3) = edge[end + inwards], other[end + inwards]
            share = canvas.between(0.1, 0.9)
            at = (x2 + share * (x3 - x2), y2 + share * (y3 - y2))
            _line_on(canvas, [(x, y), at], canvas.between(-45, 25), canvas.between(0.5, 1.2))


def _folds(canvas: Canvas, outline: _Outline) -> None:
    """Draw some creases from anywhere on the mask to anywhere near."""
    for _ in range(int(canvas.random.integers(0, 7))):
        i, j = canvas.random.integers(2, 15, 2)
        (x, y), (x2, y2) = outline.top[i], outline.bottom[j]
        start, end = canvas.between(0, 0.6), canvas.between(0.3, 1)
        ends = [(x + s * (x2 - x), y + s * (y2 - y)) for s in (start, end)]
        _line_on(canvas, ends, canvas.between(-40, 25), canvas.between(0.5, 1.4))


def _line_on(canvas: Canvas, line: Line, shade: float, width_px: float = 0.5) -> None:
    """Draw a line that is brighter than the tone about its middle by `shade`."""
    x, y = line[len(line) // 2]
    row, column = (int(np.clip(one * canvas.finer, 0, canvas.px - 1)) for one in (y, x))
    canvas.mark(line, width_px, float(canvas.tone[row, column]) + shade)


def _valve(canvas: Canvas, outline: _Outline, grey: float) -> None:
    x, y = outline.ridge[3]
    at = (x + canvas.between(-8, 8), y - canvas.between(0, 5))
    size = canvas.between(1.8, 4)
    canvas.fill(
        oval(at, (size, size * canvas.between(0.7, 1)), 2.5), grey + canvas.between(-90, 50)
    )
    canvas.fill(oval(at, (size * 0.6, size * 0.5), 2.5), grey + canvas.between(-60, 30))


def _straps(canvas: Canvas, outline: _Outline) -> None:
    """Lead two straps to each side, where the mask ends before the ear."""
    for side, end in ((-1, 0), (1, -1)):
        for (x, y), rise in ((outline.top[end], (1, 7)), (outline.bottom[end], (3, 12))):
            canvas.line([(x - side, y), (24 + side * 27, y - canvas.between(*rise))], 0.7)


def scarf(canvas: Canvas) -> None:
    """Cover the lower face, neck and all to the border, with folds and an uneven upper edge."""
    top = canvas.between(25, 35)
    x = np.linspace(-8, 56, 9)
    bow = canvas.between(-7, 3) * ((x - 24) / 24) ** 2
    edge = top + bow + canvas.random.normal(0, 0.9, len(x))
    grey = canvas.between(10, 240)
    if canvas.chance(0.3):
        grey = float(np.clip(canvas.skin * canvas.between(0.8, 1.3), 5, 250))
    canvas.paint(grey, light=0.6, clouds=canvas.between(5, 28))
    canvas.pattern()
    canvas.polygon([*zip(x.tolist(), edge.tolist(), strict=True), (60, 70), (-12, 70)])
    for _ in range(int(canvas.random.integers(2, 9))):
        y, tilt = canvas.between(top + 2, 50), canvas.between(-7, 7)
        grey = float(
            canvas.tone[round(30 * canvas.finer), round(24 * canvas.finer)]
        ) + canvas.between(-60, 45)
        canvas.mark([(-4, y), (canvas.between(14, 34), y + canvas.between(-1, 4)), (52, y + tilt)],
                    canvas.between(0.5, 2.5), grey)  # fmt: skip
    canvas.shade(canvas.between(0, 0.8))
