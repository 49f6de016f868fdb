"""Batched augmentation on the device: every image of a batch gets its own draw.

The order is geometry (flip included), colour, what cameras do, erasing, hiding: what a condition
hides is always the named side of the picture that the network sees.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from hemiface.config import AugmentConfig
from hemiface.networks.camera import as_photographed
from hemiface.occlusion.conditions import Condition, hidden_mask
from hemiface.occlusion.occluders import layers

__all__ = ["Wardrobe", "augment", "hide_drawn", "mixup"]

_WARDROBE = 4096
"""Occluders that a training draws from: enough that one comes back after some epochs only."""


def augment(
    batch: Tensor, options: AugmentConfig, generator: torch.Generator, side_px: int = 0
) -> Tensor:
    """Return float32 [n, height, width] on the scale 0..255, each image changed by itself.

    `batch` is uint8 [n, height, width]; `generator` lives on the same device and decides all draws.
    With `side_px` the result is [n, side_px, side_px], resampled in the same interpolation.
    """
    images = batch.float()
    if options.interpolate:
        images = _affine(images, options, generator, side_px)
    else:
        images = _resized(_shift(images, options, generator), side_px)
    if options.brightness or options.contrast:
        images = _colour(images, options, generator)
    images = as_photographed(images, options, generator)
    if options.erase_probability:
        images = _erase(images, options, generator)
    return images


@dataclass(frozen=True, eq=False)
class Wardrobe:
    """Drawn occluders on the device: `cover` and `tone` uint8 [k, 48, 48], as `layers` gives them.

    What is covered by c of 255 shows the share c / 255 of its tone.
    """

    cover: Tensor
    tone: Tensor

    @classmethod
    def drawn(cls, seed: int, device: torch.device) -> "Wardrobe":
        """Return 4,096 occluders of the kinds that may be trained on."""
        cover, tone = layers(_WARDROBE, seed)
        return cls(torch.from_numpy(cover).to(device), torch.from_numpy(tone).to(device))

    def lay(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return float32 [n, side, side] under one drawn occluder each."""
        drawn = torch.randint(
            len(self.cover), (len(images),), generator=generator, device=generator.device
        )
        side_px = images.shape[1]
        weight = _resized(self.cover[drawn].float(), side_px) / 255
        return images + weight * (_resized(self.tone[drawn].float(), side_px) - images)


def hide_drawn(
    images: Tensor,
    conditions: Sequence[Condition],
    generator: torch.Generator,
    options: AugmentConfig | None = None,
    wardrobe: Wardrobe | None = None,
) -> Tensor:
    """Hide, in each image, what a condition drawn evenly from `conditions` names.

    `images` is float32 [n, height, width] on 0..255; the fills are those of `occlusion.hide`, noise
    being drawn from `generator`. With one condition every image is hidden under it. In a share
    `options.hide_rectangle` of the images the drawn condition gives only the fill, and a rectangle
    is hidden in place of its part. In a share `options.hide_worn` something from the `wardrobe`
    lies on the face, and nothing else is hidden.
    """
    if options is not None and options.hide_worn > 0 and wardrobe is not None:
        chosen = _chosen(len(images), options.hide_worn, generator)[:, None, None]
        worn = wardrobe.lay(images, generator)
        return torch.where(chosen, worn, _hide_parts(images, conditions, generator, options))
    return _hide_parts(images, conditions, generator, options)


def _hide_parts(
    images: Tensor,
    conditions: Sequence[Condition],
    generator: torch.Generator,
    options: AugmentConfig | None,
) -> Tensor:
    rectangles = options is not None and options.hide_rectangle > 0
    if all(one.name == "full" for one in conditions) and not rectangles:
        return images
    n, height, width = images.shape
    device = images.device
    masks, fills = _parts(tuple(conditions), height, width, device)
    drawn = torch.randint(len(conditions), (n,), generator=generator, device=device)
    hidden = masks[drawn]
    if options is not None and rectangles:
        chosen = _chosen(n, options.hide_rectangle, generator)[:, None, None]
        drawn_rectangles = _rectangles(n, height, width, options.hide_area, generator)
        hidden = torch.where(chosen, drawn_rectangles, hidden)
    result = images
    for fill, uses in fills.items():
        where = hidden & uses[drawn][:, None, None]
        if fill == "black":
            filling = torch.zeros((), device=device)
        elif fill == "mean":
            visible = (~hidden).float()
            count = visible.sum((1, 2))
            means = (images * visible).sum((1, 2)) / count.clamp(min=1)
            filling = torch.where(count > 0, means.round(), 127.0)[:, None, None]
        elif fill == "noise":
            filling = torch.randint(
                0, 256, images.shape, generator=generator, device=device
            ).float()
        else:
            filling = _blur(images, width / 6)
        result = torch.where(where, filling, result)
    return result


@lru_cache(maxsize=16)
def _parts(
    conditions: tuple[Condition, ...], height: int, width: int, device: torch.device
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return what each condition hides, bool [k, height, width], and which of them use a fill.

    Kept on the device: copied there in every step, they would make a GPU wait for the CPU.
    """
    masks = torch.from_numpy(np.stack([hidden_mask(one, height, width) for one in conditions]))
    fills: dict[str, Tensor] = {
        fill: torch.tensor([one.fill == fill for one in conditions], device=device)
        for fill in sorted({one.fill for one in conditions})
    }
    return masks.to(device), fills


def mixup(
    inputs: Tensor, targets: Tensor, weight: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Mix each input [n, ...] and its target distribution [n, classes] with another of the batch.

    One weight a batch, drawn from Beta(alpha, alpha) by the caller, as in Zhang et al. 2018
    (mixup), section 2: a draw on a GPU would have to be read back, which makes it wait.
    """
    order = torch.randperm(len(inputs), generator=generator, device=generator.device)
    return (
        torch.lerp(inputs[order], inputs, weight),
        torch.lerp(targets[order], targets, weight),
    )


def _uniform(n: int, largest: float, generator: torch.Generator) -> Tensor:
    """Return n draws from [-largest, largest)."""
    return (torch.rand(n, generator=generator, device=generator.device) * 2 - 1) * largest


def _chosen(n: int, probability: float, generator: torch.Generator) -> Tensor:
    return torch.rand(n, generator=generator, device=generator.device) < probability


def _resized(images: Tensor, side_px: int) -> Tensor:
    if not side_px or images.shape[1:] == (side_px, side_px):
        return images
    size = (side_px, side_px)
    return F.interpolate(images[:, None], size, mode="bilinear", align_corners=False)[:, 0]


def _affine(
    images: Tensor, options: AugmentConfig, generator: torch.Generator, side_px: int
) -> Tensor:
    n, height, width = images.shape
    angle = torch.deg2rad(_uniform(n, options.rotate_deg, generator))
    shear = torch.tan(torch.deg2rad(_uniform(n, options.shear_deg, generator)))
    zoom = 1 / (1 + _uniform(n, options.scale, generator))
    shift_x = _uniform(n, 2 * options.translate_px / width, generator)
    shift_y = _uniform(n, 2 * options.translate_px / height, generator)
    moved = _chosen(n, options.geometry_probability, generator)
    flipped = _chosen(n, 0.5 if options.flip else 0.0, generator)
    sign = torch.where(flipped, -1.0, 1.0)
    if not (options.rotate_deg or options.shear_deg or options.scale or options.translate_px):
        return _resized(torch.where(flipped[:, None, None], images.flip(2), images), side_px)
    cosine, sine = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    # Output to input coordinates, both in [-1, 1]: rotation and zoom, sheared, flipped, moved.
    theta = torch.stack(
        [
            torch.stack([cosine * sign, cosine * shear - sine, shift_x], dim=1),
            torch.stack([sine * sign, sine * shear + cosine, shift_y], dim=1),
        ],
        dim=1,
    )
    still = torch.zeros_like(theta)
    still[:, 0, 0], still[:, 1, 1] = sign, 1.0
    theta = torch.where(moved[:, None, None], theta, still)
    size = [n, 1, side_px or height, side_px or width]
    grid = F.affine_grid(theta, size, align_corners=False)
    sampled = F.grid_sample(
        images[:, None], grid, mode="bilinear", padding_mode=options.border, align_corners=False
    )
    return sampled[:, 0]


def _shift(images: Tensor, options: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Shift by whole pixels and flip: a random crop of the padded image, without interpolation."""
    n, height, width = images.shape
    pad = int(options.translate_px)
    if options.flip:
        flipped = _chosen(n, 0.5, generator)
        images = torch.where(flipped[:, None, None], images.flip(2), images)
    if not pad:
        return images
    mode = {"zeros": "constant", "border": "replicate", "reflection": "reflect"}[options.border]
    padded = F.pad(images[:, None], (pad, pad, pad, pad), mode=mode)[:, 0]
    device = images.device
    top = torch.randint(2 * pad + 1, (n,), generator=generator, device=device)
    left = torch.randint(2 * pad + 1, (n,), generator=generator, device=device)
    moved = _chosen(n, options.geometry_probability, generator)
    top, left = torch.where(moved, top, pad), torch.where(moved, left, pad)
    rows = (top[:, None] + torch.arange(height, device=device))[:, :, None]
    columns = (left[:, None] + torch.arange(width, device=device))[:, None, :]
    return padded[torch.arange(n, device=device)[:, None, None], rows, columns]


def _colour(images: Tensor, options: AugmentConfig, generator: torch.Generator) -> Tensor:
    n = len(images)
    changed = _chosen(n, options.colour_probability, generator)
    brightness = torch.where(changed, 1 + _uniform(n, options.brightness, generator), 1.0)
    contrast = torch.where(changed, 1 + _uniform(n, options.contrast, generator), 1.0)
    mean = images.mean((1, 2), keepdim=True)
    changed_images = (images - mean) * contrast[:, None, None] + mean
    return (changed_images * brightness[:, None, None]).clamp(0, 255)


def _erase(images: Tensor, options: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Replace a rectangle by uniform noise (Zhong et al. 2020, Random Erasing, algorithm 1)."""
    n, height, width = images.shape
    device = images.device
    inside = _rectangles(n, height, width, options.erase_area, generator)
    inside &= _chosen(n, options.erase_probability, generator)[:, None, None]
    noise = torch.rand(images.shape, generator=generator, device=device) * 255
    return torch.where(inside, noise, images)


def _rectangles(
    n: int, height: int, width: int, share: tuple[float, float], generator: torch.Generator
) -> Tensor:
    """Return bool [n, height, width], a drawn rectangle in each (Zhong et al. 2020, algorithm 1).

    Its area is drawn evenly from `share` of the image; a side that the image is too short for is
    cut, so that of shares up to .9 none hides a whole image.
    """
    device = generator.device
    low, high = share
    area = low + (high - low) * torch.rand(n, generator=generator, device=device)
    # Aspect ratios from 0.3 to 1 / 0.3, evenly on a log scale.
    aspect = torch.exp(_uniform(n, float(-np.log(0.3)), generator))
    rows = (torch.sqrt(area * aspect) * height).clamp(1, height)
    columns = (torch.sqrt(area / aspect) * width).clamp(1, width)
    top = torch.rand(n, generator=generator, device=device) * (height - rows)
    left = torch.rand(n, generator=generator, device=device) * (width - columns)
    # By their centres: by their upper left corners the first row and column would hardly be hidden.
    y = 0.5 + torch.arange(height, device=device)[None, :, None]
    x = 0.5 + torch.arange(width, device=device)[None, None, :]
    inside = (y >= top[:, None, None]) & (y < (top + rows)[:, None, None])
    return inside & (x >= left[:, None, None]) & (x < (left + columns)[:, None, None])


def _blur(images: Tensor, sigma_px: float) -> Tensor:
    """Blur [n, height, width] by a Gaussian cut at 3 sigma, mirrored at the borders."""
    radius = min(round(3 * sigma_px), images.shape[1] - 1, images.shape[2] - 1)
    offsets = torch.arange(-radius, radius + 1, device=images.device)
    kernel = torch.exp(-(offsets.float() ** 2) / (2 * sigma_px**2))
    kernel = (kernel / kernel.sum())[None, None]
    padded = F.pad(images[:, None], (radius, radius, radius, radius), mode="reflect")
    rows = F.conv2d(padded, kernel[:, :, None, :])
    return F.conv2d(rows, kernel[:, :, :, None])[:, 0]
