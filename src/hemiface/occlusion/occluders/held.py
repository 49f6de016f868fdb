"""What is held before a face: hands; for tests a microphone, a cup, a telephone, paper."""

import math

import numpy as np

from hemiface.occlusion.occluders.canvas import FACE, Canvas, oval

__all__ = ["cup", "hand", "microphone", "paper", "phone"]


def hand(canvas: Canvas) -> None:
    """Cover mouth, cheek, chin or an eye by a hand, or both eyes by two hands."""
    grey = float(np.clip(canvas.skin * canvas.between(0.7, 1.25) + canvas.between(-15, 15), 8, 250))
    canvas.paint(grey, light=0.5, clouds=canvas.between(3, 12))
    x, y = FACE["left_eye"]
    aim = canvas.between(0, 1)
    if aim < 0.4:  # over the mouth, from one side or from below
        angle = canvas.between(-100, 0)
        target = (24 + canvas.between(-3, 4), 36.5 + canvas.between(-3, 4))
        _one_hand(canvas, target, angle, grey)
    elif aim < 0.65:  # on the cheek or chin
        target = (9 + canvas.between(-3, 6), 36 + canvas.between(-6, 8))
        _one_hand(canvas, target, canvas.between(-80, 10), grey)
    elif aim < 0.85:  # over one eye
        _one_hand(canvas, (x + canvas.between(-2, 3), y + 1), canvas.between(-110, -20), grey)
    else:  # over both
        for side in (-1, 1):
            target = (24 + side * (8 + canvas.between(-1, 1)), y + 1)
            _one_hand(canvas, target, -90 + side * canvas.between(-55, -10), grey)
    canvas.round_off(canvas.between(0.05, 0.45), canvas.between(1, 2.5))
    canvas.shade(canvas.between(0, 0.7))


def _one_hand(canvas: Canvas, target: tuple[float, float], degrees: float, grey: float) -> None:
    """Draw a hand whose fingers lie on `target` and point along `degrees` (0 right, -90 up)."""
    along = np.array([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))])
    across = np.array([-along[1], along[0]])
    thick, length = canvas.between(4, 6), canvas.between(12, 19)
    gap = thick * canvas.between(0.86, 1.12)
    base = np.array(target) - along * length * 0.55
    spread = canvas.between(0, 0.12)
    fingers = int(canvas.random.choice([3, 4, 4, 4, 2]))
    shadow = grey * canvas.between(0.5, 0.85)
    tips, roots = [], []
    for i in range(fingers):
        off = i - (fingers - 1) / 2
        root = base + across * off * gap
        reach = length * (1 - 0.06 * off**2) * canvas.between(0.92, 1.06)
        tip = root + (along + across * spread * off) * reach
        canvas.line([_point(root), _point(tip)], thick)
        roots.append(root)
        tips.append(tip)
    if fingers > 2:
        palm = base - along * canvas.between(6, 10)
        wide = fingers * gap / 2 * 1.05
        wrist = palm - along * 22
        outline = [
            base - across * wide,
            base + across * wide,
            palm + across * wide * 0.95,
            wrist + across * wide * 0.7,
            wrist - across * wide * 0.7,
            palm - across * wide * 0.95,
        ]
        canvas.polygon([_point(one) for one in outline])
    else:
        fist = base - along * 4
        canvas.polygon(oval(_point(fist), (7.5, 6.5), 2.5))
    for i in range(fingers - 1):  # between the fingers it is darker
        start, end = (roots[i] + roots[i + 1]) / 2, (tips[i] + tips[i + 1]) / 2
        canvas.mark([_point(start), _point(end)], canvas.between(0.4, 1.0), shadow)


def _point(one: np.ndarray) -> tuple[float, float]:
    return float(one[0]), float(one[1])


def microphone(canvas: Canvas) -> None:
    """Cover the mouth by a microphone that comes from below."""
    x, y = FACE["mouth"]
    at = (x + canvas.between(-4, 4), y + canvas.between(0, 4))
    size = canvas.between(4.5, 7.5)
    canvas.paint(canvas.between(10, 120), light=0.8, clouds=4)
    canvas.polygon(oval(at, (size, size * canvas.between(0.95, 1.3))))
    foot = (at[0] + canvas.between(-14, 14), at[1] + 26)
    canvas.line([at, foot], size * canvas.between(0.8, 1.3))
    canvas.round_off(canvas.between(0.1, 0.5), 2)
    step = canvas.between(1.2, 2)
    for k in np.arange(-size, size, step):  # the mesh
        canvas.mark([(at[0] + k, at[1] - size), (at[0] + k, at[1] + size * 0.6)], 0.4,
                    canvas.between(60, 180))  # fmt: skip


def cup(canvas: Canvas) -> None:
    """Cover mouth and part of the nose by a cup with a handle."""
    x, y = FACE["mouth"]
    top, bottom = y - canvas.between(4, 9), y + canvas.between(9, 16)
    upper, lower = canvas.between(8, 13), canvas.between(5.5, 10)
    canvas.paint(canvas.between(30, 250), light=0.9, clouds=3)
    if canvas.chance(0.4):
        canvas.pattern()
    canvas.polygon([(x - upper, top), (x + upper, top), (x + lower, bottom), (x - lower, bottom)])
    canvas.polygon(oval((x, top), (upper, canvas.between(0.8, 2.5))))
    if canvas.chance(0.7):
        middle = (top + bottom) / 2
        canvas.line([(x + upper - 1, middle - 4), (x + upper + 4, middle - 3),
                     (x + upper + 4, middle + 3), (x + lower, middle + 5)], 1.8)  # fmt: skip
    if canvas.chance(0.5):
        canvas.fill(oval((x, (top + bottom) / 2), (3, 3)), canvas.between(0, 255))


def phone(canvas: Canvas) -> None:
    """Cover one eye and cheek, or nose and mouth, by the back of a telephone."""
    side = canvas.chance(0.6)
    centre = (34 + canvas.between(-2, 5), 26 + canvas.between(-6, 6)) if side else (
        24 + canvas.between(-3, 3), 37 + canvas.between(-3, 3))  # fmt: skip
    size = (canvas.between(6.5, 9.5), canvas.between(13, 18))
    if not side and canvas.chance(0.6):
        size = (size[1], size[0])
    canvas.paint(canvas.between(5, 70) if canvas.chance(0.6) else canvas.between(150, 250),
                 light=0.5, clouds=3)  # fmt: skip
    canvas.polygon(oval(centre, size, canvas.between(6, 10), 36))
    for k in range(int(canvas.random.integers(1, 4))):
        lens = (centre[0] - size[0] * 0.55, centre[1] - size[1] * 0.7 + 2.6 * k)
        canvas.fill(oval(lens, (1.1, 1.1), 2, 12), canvas.between(0, 120))


def paper(canvas: Canvas) -> None:
    """Cover the lower half or one side by a written page or a book."""
    canvas.paint(canvas.between(170, 250), light=0.3, clouds=3)
    lower = canvas.chance(0.65)
    edge = canvas.between(23, 35) if lower else canvas.between(22, 32)
    tilt = canvas.between(-5, 5)
    if lower:
        canvas.polygon([(-12, edge + tilt), (60, edge - tilt), (60, 70), (-12, 70)])
    else:
        canvas.polygon([(edge + tilt, -16), (70, -16), (70, 70), (edge - tilt, 70)])
    ink = canvas.between(10, 120)
    for y in np.arange(2, 50, canvas.between(2, 4)):
        if canvas.chance(0.85):
            end = canvas.between(36, 50)
            canvas.mark([(2 if lower else edge + 3, y + 0.4), (end, y)], 0.6, ink)
