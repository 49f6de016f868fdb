"""What of a face an occluder leaves visible: a small network's estimate, without torch.

The face's 48 x 48 pixels are divided into a grid of 12 x 12 tiles of 4 x 4 pixels; for each tile
the network says which share of it can be seen. How far that can be trusted was measured, see
`results/visibility/` and `results/people/`: masks, sunglasses and large, plain things are told
well, hands less so, small or unknown things poorly; of what it notices, its shares are rather too
low than too high.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from hemiface.documents import json_value, undamaged
from hemiface.errors import DamagedError
from hemiface.inputs import require_file
from hemiface.models.onnx_file import FORMAT, described, open_session, require_faces
from hemiface.tables import FER2013_SIZE_PX

__all__ = [
    "GRID",
    "KIND",
    "USUAL_REGIONS",
    "VisibleTiles",
    "enlarge",
    "region_shares",
    "tile_shares",
]

GRID = 12
"""Tiles in a row, and rows."""

KIND = "visibility"
"""What such a file tells of a face, beside `emotion`."""

_TILE_PX = FER2013_SIZE_PX // GRID
_HEADER_TYPES = {
    "config": dict,
    "provenance": dict,
    "licence": str,
    "opset": int,
    "partly_hidden_above": float,
}
_INPUT = ("faces", "tensor(uint8)", [FER2013_SIZE_PX, FER2013_SIZE_PX])
_OUTPUT = ("visible", "tensor(float)", [GRID, GRID])

Masks = Mapping[str, npt.NDArray[np.bool_]]


class VisibleTiles:
    """An ONNX file that `hemiface visibility train` wrote, ready to estimate.

    `header` is read-only: format, kind, size_px, grid, licence, precision, opset, config,
    provenance, scores, and partly_hidden_above: of how large a hidden share a face is called partly
    hidden. One object serves any number of threads at once.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], session: Any) -> None:
        self.path = path
        self.header = MappingProxyType(dict(header))
        self.partly_hidden_above = float(header["partly_hidden_above"])
        self._session = session

    @classmethod
    def load(cls, path: str | Path, threads: int = 1) -> Self:
        """Open a file; `threads` compute one batch together.

        Raises:
            DamagedError: the file is missing, truncated, or not such a network.
        """
        source = Path(path)
        require_file(source, "Model")
        session = open_session(source, threads)
        text, inputs, outputs = described(session, source)
        header = _checked_header(text, source)
        if inputs != [_INPUT] or outputs != [_OUTPUT]:
            raise DamagedError(
                f"The graph of {source} doesn't take faces and give tiles; get it again."
            )
        return cls(source, header, session)

    def predict(
        self, faces: npt.NDArray[np.uint8], batch_size: int = 256
    ) -> npt.NDArray[np.float32]:
        """Return each tile's visible share, float32 [n, 12, 12] in 0..1, for uint8 [n, 48, 48].

        Raises:
            UsageError: `faces` has another type or shape, or `batch_size` is not positive.
        """
        require_faces(faces, batch_size)
        result = np.empty((len(faces), GRID, GRID), dtype=np.float32)
        for start in range(0, len(faces), batch_size):
            batch = np.ascontiguousarray(faces[start : start + batch_size])
            (found,) = self._session.run(["visible"], {"faces": batch})
            result[start : start + batch_size] = found
        return result


def tile_shares(
    visible: npt.NDArray[np.bool_] | npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    """Return float32 [n, 12, 12]: how much of each tile of [n, 48, 48] is visible.

    In float32 NaN stands for unknown: a tile's share is then of what is known of it, and NaN where
    that is less than half.
    """
    parts = visible.reshape(len(visible), GRID, _TILE_PX, GRID, _TILE_PX)
    known = ~np.isnan(parts)
    number = known.sum(axis=(2, 4))
    shares = np.where(known, parts, 0).sum(axis=(2, 4), dtype=np.float32) / np.maximum(number, 1)
    return np.where(2 * number < _TILE_PX**2, np.nan, shares).astype(np.float32)


def enlarge(tiles: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return [..., 48, 48] from tiles [..., 12, 12]: each pixel has its tile's value.

    >>> enlarge(np.ones((2, 12, 12), dtype=np.float32)).shape
    (2, 48, 48)
    """
    result: npt.NDArray[np.float32] = tiles.repeat(_TILE_PX, axis=-2).repeat(_TILE_PX, axis=-1)
    return result


def _usual_regions() -> Masks:
    side, half = FER2013_SIZE_PX, FER2013_SIZE_PX // 2
    boxes = {
        "upper": [(0, half, 0, side)],
        "lower": [(half, side, 0, side)],
        "left": [(0, side, 0, half)],
        "right": [(0, side, half, side)],
        "eyes": [(16, 22, 10, 21), (16, 22, 27, 38)],
        "nose": [(20, 34, 19, 29)],
        "mouth": [(33, 41, 15, 33)],
    }
    masks = {}
    for region, parts in boxes.items():
        mask = np.zeros((side, side), dtype=bool)
        for top, bottom, left, right in parts:
            mask[top:bottom, left:right] = True
        mask.setflags(write=False)
        masks[region] = mask
    return MappingProxyType(masks)


USUAL_REGIONS: Masks = _usual_regions()
"""Region -> bool [48, 48]: the halves, and where eyes, nose and mouth usually are in FER2013's
crops, for faces without landmarks of their own."""


def region_shares(tiles: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
    """Return region -> float32 [n]: how much of each usual region tiles [n, 12, 12] call visible.

    >>> region_shares(np.full((2, 12, 12), 0.5, dtype=np.float32))["mouth"].tolist()
    [0.5, 0.5]
    """
    pixels = enlarge(tiles)
    return {name: pixels[:, mask].mean(axis=1) for name, mask in USUAL_REGIONS.items()}


def _checked_header(text: str | None, source: Path) -> dict[str, Any]:
    if text is None:
        raise DamagedError(
            f"{source} has no metadata of hemiface; it isn't a network for visibility."
        )
    with undamaged(f"The metadata of {source}", "get it again"):
        header = json_value(text)
    if not isinstance(header, dict) or header.get("kind") != KIND:
        raise DamagedError(f"{source} isn't a network for visibility.")
    if header.get("format") != FORMAT or header.get("precision") != "fp32":
        raise DamagedError(f"{source} has a format that this hemiface can't read.")
    bad = [name for name, kind in _HEADER_TYPES.items() if not isinstance(header.get(name), kind)]
    if header.get("grid") != GRID or header.get("size_px") != FER2013_SIZE_PX:
        bad.append("grid")
    if bad:
        raise DamagedError(f"The metadata of {source} lacks a valid {bad[0]}; get it again.")
    return header
