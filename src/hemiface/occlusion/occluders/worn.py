"""What people wear in the face besides masks: glasses, headsets, hair; patches for tests."""

import math

import numpy as np

from hemiface.occlusion.occluders.canvas import FACE, Canvas, oval

__all__ = ["hair", "headset", "patch", "sunglasses"]


def sunglasses(canvas: Canvas) -> None:
    """Cover both eyes by dark, mirroring or tinted lenses with a frame."""
    width, height = canvas.between(6.8, 10), canvas.between(4.3, 7.5)
    power, apart = canvas.between(2, 5), canvas.between(8.7, 10.2)
    y = FACE["left_eye"][1] + canvas.between(-0.6, 1.6)
    dark = canvas.between(0, 70) if canvas.chance(0.8) else canvas.between(70, 220)
    canvas.paint(dark, light=0.8, clouds=canvas.between(0, 14))
    canvas.opacity = canvas.between(0.8, 1)
    lenses = [oval((24 + side * apart, y), (width, height), power) for side in (-1, 1)]
    if canvas.chance(0.4):  # aviators: narrower towards the nose below
        lenses = [_drawn_in(lens, y, height) for lens in lenses]
    for lens in lenses:
        canvas.polygon(lens)
        if canvas.chance(0.4):
            x, wide = lens[:, 0].min() + canvas.between(2, 8), canvas.between(1, 3)
            streak = [(x, y - height), (x + wide, y - height), (x, y + height), (x - wide, y)]
            canvas.fill(streak, canvas.between(60, 255))
    frame = canvas.between(0.5, 1.6)
    grey = canvas.between(0, 90) if canvas.chance(0.75) else canvas.between(90, 255)
    if canvas.chance(0.6):
        for lens in lenses:
            outline = [(float(x), float(y)) for x, y in [*lens, lens[0]]]
            canvas.line(outline, frame)
            canvas.mark(outline, frame, grey)
    bridge = y - canvas.between(0, height * 0.6)
    canvas.line([(24 - apart + width * 0.8, bridge), (24, bridge - 0.8),
                 (24 + apart - width * 0.8, bridge)], frame)  # fmt: skip
    if canvas.chance(0.8):
        for side in (-1, 1):
            outer = 24 + side * (apart + width * 0.95)
            canvas.line([(outer, y - height * 0.4), (24 + side * 27, y - canvas.between(0, 4))],
                        canvas.between(0.7, 2))  # fmt: skip


def _drawn_in(lens: np.ndarray, y: float, height: float) -> np.ndarray:
    down = np.clip((lens[:, 1] - y) / height, 0, 1)
    outward = np.sign(lens[:, 0].mean() - 24)
    moved = lens.copy()
    moved[:, 0] += outward * 1.5 * down
    return moved


def headset(canvas: Canvas) -> None:
    """Cover eyes, brows and the root of the nose by a headset for virtual reality."""
    top, bottom = canvas.between(7, 13), canvas.between(25, 30)
    wide = canvas.between(17, 23)
    canvas.paint(canvas.between(5, 80) if canvas.chance(0.65) else canvas.between(150, 245),
                 light=0.6, clouds=canvas.between(0, 10))  # fmt: skip
    middle, high = (top + bottom) / 2, (bottom - top) / 2
    canvas.polygon(oval((24, middle), (wide, high), canvas.between(3, 7)))
    canvas.round_off(canvas.between(0, 0.4))
    if canvas.chance(0.6):  # its front plate
        plate = oval((24, middle), (wide * canvas.between(0.6, 0.9), high * 0.75), 4)
        canvas.fill(plate, canvas.between(0, 255))
    for _ in range(int(canvas.random.integers(0, 5))):  # lenses, lamps, letters
        at = (24 + canvas.between(-0.8, 0.8) * wide, middle + canvas.between(-0.7, 0.7) * high)
        size = canvas.between(0.5, 2.2)
        canvas.fill(oval(at, (size, size), 2, 12), canvas.between(0, 255))
    if canvas.chance(0.8):
        for side in (-1, 1):
            canvas.line([(24 + side * (wide - 1), middle), (24 + side * 29, middle - 1)],
                        canvas.between(3, 7))  # fmt: skip


def hair(canvas: Canvas) -> None:
    """Cover the brow down to the eyes by a fringe, or one side of the face by hair."""
    grey = canvas.between(5, 110) if canvas.chance(0.7) else canvas.between(110, 230)
    canvas.paint(grey, light=0.5, clouds=canvas.between(3, 15))
    canvas.opacity = canvas.between(0.85, 1)
    spread = canvas.between(8, 34)
    fringe = canvas.chance(0.6)
    if fringe:
        low, parting = canvas.between(14.5, 25), canvas.between(4, 44)
        ends = low + canvas.between(-4, 2) * np.abs(np.linspace(-1, 1, 15)) ** 1.5
        starts = np.linspace(-2, 50, 15)
        roots = [(parting + (x - parting) * canvas.between(0.4, 0.9), -8.0) for x in starts]
    else:
        reach, down = canvas.between(10, 23), canvas.between(30, 58)
        starts = np.linspace(-8, reach, 12)
        ends = down + canvas.random.normal(0, 3, len(starts))
        roots = [(canvas.between(8, 26), -6.0) for _ in starts]
    for root, x, end in zip(roots, starts.tolist(), ends.tolist(), strict=True):
        tip = (x + canvas.random.normal(0, 1.2), end + canvas.random.normal(0, 1.3))
        bend = (x + canvas.random.normal(0, 0.8), (root[1] + end) * 0.5)
        canvas.line([root, bend, tip], canvas.between(3.2, 5.2))
    for _ in range(int(canvas.random.integers(15, 40))):  # strands
        i = int(canvas.random.integers(0, len(roots)))
        shift = canvas.between(-3, 3)
        strand = [(roots[i][0] + shift, -8), (float(starts[i]) + shift, float(ends[i]) + 2)]
        canvas.mark(strand, 0.5, grey + canvas.random.normal(0, spread))


def patch(canvas: Canvas) -> None:
    """Cover one eye by a patch on a string."""
    x, y = FACE["right_eye"]
    canvas.paint(canvas.between(0, 60) if canvas.chance(0.7) else canvas.between(200, 250))
    size = (canvas.between(5.5, 8), canvas.between(4.8, 7))
    canvas.polygon(oval((x, y + 0.5), size, canvas.between(2, 3.5)))
    canvas.round_off(canvas.between(0, 0.4))
    if canvas.chance(0.8):
        steep = math.tan(math.radians(canvas.between(10, 35)))
        ends = (-4, y - 2 - (x + 4) * steep * 0.5), (52, y - canvas.between(0, 5))
        canvas.line([ends[0], (x, y - 2), ends[1]], canvas.between(0.5, 1.2))
