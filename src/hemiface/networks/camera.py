"""What light, cameras and files do to a face: uneven light, repeated edges, blur, few pixels, JPEG.

FER2013's pictures are alike in all of these; the photographs that people bring are not. Every
image of a batch gets its own draw. What is coarsened is told by its place in the batch, whose
order is drawn anew in every epoch: images of one size are resampled together.
"""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from hemiface.config import AugmentConfig
from hemiface.tables import FER2013_SIZE_PX

__all__ = ["as_photographed"]

_COARSE = (1 / 3, 5 / 12, 1 / 2, 2 / 3, 5 / 6)
"""Shares of the side that remain: 16, 20, 24, 32 and 40 of 48 pixels."""
_BLOCK_PX = 8
# ITU-T T.81 (JPEG), table K.1: how coarsely the luminance of a block is quantised at quality 50.
_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


def as_photographed(images: Tensor, options: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Return float32 [n, side, side] on 0..255, each image as another camera would have given it.

    In the order of a photograph's life: light, the edge of the frame, optics, pixels, file.
    """
    if options.light:
        images = _lit(images, options.light, generator)
    if options.repeat_px:
        images = _edge_repeated(images, options.repeat_px, generator)
    if options.blur:
        images = _blurred(images, options, generator)
    if options.coarsen:
        images = _coarsened(images, options.coarsen)
    if options.compress:
        images = _compressed(images, options, generator)
    return images


def _lit(images: Tensor, most: float, generator: torch.Generator) -> Tensor:
    """Multiply by a slope that rises from 1 - s to 1 + s across the image, s up to `most`.

    So at the middles of its sides; in a corner that the slope points to it is 1.4 times as much.
    """
    n, height, width = images.shape
    angle = 2 * math.pi * _shares(n, generator)[:, None, None]
    strength = most * _shares(n, generator)[:, None, None]
    y = torch.linspace(-1, 1, height, device=images.device)[None, :, None]
    x = torch.linspace(-1, 1, width, device=images.device)[None, None, :]
    along = torch.cos(angle) * x + torch.sin(angle) * y
    return (images * (1 + strength * along)).clamp(0, 255)


def _edge_repeated(images: Tensor, most_px: float, generator: torch.Generator) -> Tensor:
    """Replace one side of half of the images, to a drawn depth, by the line where it begins."""
    n, height, width = images.shape
    device = images.device
    side = torch.randint(8, (n,), generator=generator, device=device)  # 4 to 7: none
    depth = (_shares(n, generator) * most_px * width / FER2013_SIZE_PX).round().long()
    rows = torch.arange(height, device=device)[None, :].expand(n, -1)
    columns = torch.arange(width, device=device)[None, :].expand(n, -1)
    rows = torch.maximum(rows, torch.where(side == 0, depth, 0)[:, None])
    rows = torch.minimum(rows, (height - 1 - torch.where(side == 1, depth, 0))[:, None])
    columns = torch.maximum(columns, torch.where(side == 2, depth, 0)[:, None])
    columns = torch.minimum(columns, (width - 1 - torch.where(side == 3, depth, 0))[:, None])
    index = torch.arange(n, device=device)[:, None, None]
    return images[index, rows[:, :, None], columns[:, None, :]]


def _blurred(images: Tensor, options: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Blur a share of the images by Gaussians, each of its own standard deviation."""
    n = len(images)
    chosen = _shares(n, generator) < options.blur
    sigma = (_shares(n, generator) * options.blur_px).clamp(min=0.05)
    radius = math.ceil(3 * options.blur_px)
    offsets = torch.arange(-radius, radius + 1, device=images.device)
    kernel = torch.exp(-(offsets**2) / (2 * sigma[:, None] ** 2))
    kernel = torch.where(chosen[:, None], kernel, (offsets == 0).float())
    kernel = (kernel / kernel.sum(1, keepdim=True))[:, None]
    padded = F.pad(images[None], (radius, radius, radius, radius), mode="replicate")
    across = F.conv2d(padded, kernel[:, :, None, :], groups=n)
    return F.conv2d(across, kernel[:, :, :, None], groups=n)[0]


def _coarsened(images: Tensor, share: float) -> Tensor:
    """Shrink a share of the images by the mean over areas and enlarge them linearly."""
    n, height, width = images.shape
    each = share * n / len(_COARSE)
    parts, start = [], 0
    for index, kept in enumerate(_COARSE, start=1):
        stop = round(index * each)
        if stop == start:
            continue
        part = images[start:stop, None]
        small = F.interpolate(part, (round(height * kept), round(width * kept)), mode="area")
        large = F.interpolate(small, (height, width), mode="bilinear", align_corners=False)
        parts.append(large[:, 0])
        start = stop
    return torch.cat([*parts, images[start:]])


def _compressed(images: Tensor, options: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Quantise a share of the images in blocks of 8 pixels, as libjpeg does at a quality."""
    n, height, width = images.shape
    if height % _BLOCK_PX or width % _BLOCK_PX:
        return images
    worst, best = options.compress_quality
    chosen = _shares(n, generator) < options.compress
    quality = worst + (best - worst) * _shares(n, generator)
    factor = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality) / 100
    cosines, table = _jpeg(images.device)
    steps = (table * factor[:, None, None] + 0.5).floor().clamp(1, 255)[:, None, :, None, :]
    blocks = (images - 128).reshape(n, height // _BLOCK_PX, _BLOCK_PX, width // _BLOCK_PX, -1)
    waves = torch.einsum("ui,nbicj,vj->nbucv", cosines, blocks, cosines)
    kept = (waves / steps).round() * steps
    pixels = torch.einsum("ui,nbucv,vj->nbicj", cosines, kept, cosines).reshape(n, height, width)
    pixels = (pixels + 128).round().clamp(0, 255)
    return torch.where(chosen[:, None, None], pixels, images)


@lru_cache(maxsize=4)
def _jpeg(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the orthonormal cosine transform [8, 8] (frequency, place) and the table of steps.

    Kept on the device: copied there in every step, they would make a GPU wait for the CPU.
    """
    place = torch.arange(_BLOCK_PX)
    angles = math.pi / _BLOCK_PX * (place[None, :] + 0.5) * place[:, None]
    cosines = torch.cos(angles) * math.sqrt(2 / _BLOCK_PX)
    cosines[0] /= math.sqrt(2)
    table = torch.tensor(_LUMINANCE, dtype=torch.float32)
    return cosines.to(device), table.to(device)


def _shares(n: int, generator: torch.Generator) -> Tensor:
    return torch.rand(n, generator=generator, device=generator.device)
