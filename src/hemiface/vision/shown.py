"""Faces where people look at them: in a notebook's cell, in a picture's file."""

import base64
import html
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from hemiface.errors import HemifaceError, UsageError
from hemiface.files import atomic_path
from hemiface.tables import EMOTIONS

if TYPE_CHECKING:
    from hemiface.vision.faces import Faces

__all__ = ["as_html", "write_picture"]

Pixels = npt.NDArray[np.uint8]

_FORMATS = {
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF",
    ".tiff": "TIFF",
}  # fmt: skip
_MOST_PX = {"WEBP": 16_383, "JPEG": 65_500}
"""What a side may have; libwebp and libjpeg write no more."""
_JPEG_QUALITY = 92
_SHOWN_PX = 640
"""The longer side of a picture in a notebook: its cells are kept in the notebook's file."""


def write_picture(pixels: Pixels, path: Path) -> Path:
    """Write an RGB picture uint8 [height, width, 3] in the format that the suffix says.

    Raises:
        UsageError: the suffix is unknown, or the picture too large for what it says.
        HemifaceError: the folder can't be written.
    """
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        raise UsageError(
            f"{path} has no suffix of a picture that can be written; choose from "
            f"{', '.join(_FORMATS)}."
        )
    height, width = pixels.shape[:2]
    if (most := _MOST_PX.get(kind)) and max(height, width) > most:
        raise UsageError(
            f"{path} can't hold {width} x {height} pixels, {kind} has no more than {most:,} a "
            "side; save it as .png."
        )
    with atomic_path(path) as partial:
        Image.fromarray(pixels).save(partial, kind, quality=_JPEG_QUALITY)
    return path


def as_html(faces: "Faces") -> str:
    """Return a picture with its faces and a table of what is said of each, as HTML."""
    title = html.escape(faces.source)
    parts = [f"<p><b>{title}</b></p>" if title else ""]
    if faces.problem or faces.note:
        parts.append(f"<p>{html.escape(faces.problem or faces.note)}</p>")
    try:
        parts.append(_picture(faces.annotated(), title))
    except HemifaceError as error:
        # A table alone is worth more than an error in the middle of a notebook.
        if not faces.problem:
            parts.append(f"<p>{html.escape(str(error))}</p>")
    head = "".join(f"<th>{name}</th>" for name in ("face", "label", *EMOTIONS))
    rows = (
        f"<tr><td>{one.face}</td><td>{html.escape(one.told)}</td>"
        + "".join(f"<td>{100 * value:.0f} %</td>" for value in one.probabilities)
        + "</tr>"
        for one in faces.faces
    )
    if faces.faces:
        parts.append(f"<table><tr>{head}</tr>{''.join(rows)}</table>")
    elif not faces.problem:
        parts.append("<p>no face found</p>")
    return "".join(parts)


def _picture(pixels: Pixels, title: str) -> str:
    small = Image.fromarray(pixels)
    small.thumbnail((_SHOWN_PX, _SHOWN_PX))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=_JPEG_QUALITY)
    content = base64.b64encode(file.getvalue()).decode("ascii")
    return f'<img alt="faces of {title}" src="data:image/jpeg;base64,{content}">'
