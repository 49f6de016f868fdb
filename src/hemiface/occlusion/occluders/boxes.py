"""Boxes and halves of one tone, of noise or of nothing: what censors and experimenters draw."""

import cv2
import numpy as np

from hemiface.occlusion.occluders.canvas import Canvas

__all__ = ["box", "half"]


def box(canvas: Canvas) -> None:
    """Cover one or two rectangles anywhere."""
    canvas.place_exactly()
    _fill(canvas)
    for _ in range(int(canvas.random.integers(1, 3))):
        width, height = canvas.between(8, 34), canvas.between(6, 28)
        left, top = canvas.between(-4, 48 - width + 4), canvas.between(-4, 48 - height + 4)
        right, bottom = left + width, top + height
        canvas.polygon([(left, top), (right, top), (right, bottom), (left, bottom)])


def half(canvas: Canvas) -> None:
    """Cover from one border to about the middle, or three quarters, with a straight edge."""
    canvas.place_exactly()
    canvas.softness_px = 0.0 if canvas.chance(0.7) else canvas.softness_px
    _fill(canvas)
    middle = 24.0 if canvas.chance(0.5) else canvas.between(10, 32)
    upright, beyond = canvas.chance(0.5), canvas.chance(0.5)
    low, high = (48 - middle, 48.0) if beyond else (0.0, middle)
    _rectangle(canvas, (low, 0, high, 48) if upright else (0, low, 48, high))
    if canvas.chance(0.12):
        low, high = (24.0, 48.0) if canvas.chance(0.5) else (0.0, 24.0)
        _rectangle(canvas, (0, low, 48, high) if upright else (low, 0, high, 48))


def _rectangle(canvas: Canvas, sides: tuple[float, float, float, float]) -> None:
    left, top, right, bottom = (round(one * canvas.finer) for one in sides)
    canvas.cover[top:bottom, left:right] = 1


def _fill(canvas: Canvas) -> None:
    which = canvas.between(0, 1)
    if which < 0.45:
        canvas.paint(0 if canvas.chance(0.8) else 255, light=0, clouds=0)
        canvas.grain = 0.0
    elif which < 0.75:
        canvas.paint(canvas.between(0, 255))
        canvas.pattern()
    else:
        cells = int(canvas.random.integers(6, 49))
        rough = canvas.random.uniform(0, 255, (cells, cells)).astype(np.float32)
        size = (canvas.px, canvas.px)
        large = cv2.resize(rough, size, interpolation=cv2.INTER_NEAREST)
        canvas.tone = np.asarray(large, dtype=np.float32)
