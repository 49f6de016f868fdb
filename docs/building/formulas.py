"""Formulas as SVG, drawn at build by Matplotlib: the reader's browser needs no script and no font.

Pages hold LaTeX between dollar signs, as GitHub shows it too; `pymdownx.arithmatex` marks it, and
`drawn` puts a picture in its place, in the colour of the text around it and with the LaTeX as its
name for who doesn't see it.
"""

import html
import re
from functools import cache

from matplotlib import rc_context
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import TextPath, TextToPath

__all__ = ["drawn", "svg"]

_MARKED = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', flags=re.DOTALL)
_POINTS = 100.0  # per em
_MARGIN = 4.0
_LETTERS = {
    Path.MOVETO: "M",
    Path.LINETO: "L",
    Path.CURVE3: "Q",
    Path.CURVE4: "C",
    Path.CLOSEPOLY: "Z",
}


def drawn(content: str) -> str:
    """Return a page's HTML with a picture for each marked formula.

    Raises:
        ValueError: Matplotlib doesn't know something in a formula.
    """

    def picture(found: re.Match[str]) -> str:
        tag, kind, latex = found.groups()
        return f'<{tag} class="formula">{svg(html.unescape(latex).strip(), kind == "[")}</{tag}>'

    return _MARKED.sub(picture, content)


@cache
def svg(latex: str, display: bool) -> str:
    r"""Return a formula as an SVG element of its size in em; its baseline is the text's.

    >>> svg(r"\sum_i x_i", display=False)[:26]
    '<svg class="" role="img" a'
    """
    text = f"${_known(latex, display)}$"
    font = FontProperties(size=_POINTS)
    with rc_context({"mathtext.fontset": "stix"}):
        width, height, depth = TextToPath().get_text_width_height_descent(text, font, True)
        path = TextPath((0, 0), text, prop=font)
    box = (-_MARGIN, -(height - depth) - _MARGIN, width + 2 * _MARGIN, height + 2 * _MARGIN)
    style = f"width:{box[2] / _POINTS:.3f}em;height:{box[3] / _POINTS:.3f}em"
    if not display:
        style += f";vertical-align:{-(depth + _MARGIN) / _POINTS:.3f}em"
    return (
        f'<svg class="{"display" if display else ""}" role="img" aria-label="{html.escape(latex)}" '
        f'viewBox="{" ".join(f"{one:.1f}" for one in box)}" style="{style}">'
        f'<path d="{_outline(path)}"/></svg>'
    )


def _known(latex: str, display: bool) -> str:
    """Return LaTeX in the words that Matplotlib knows."""
    text = " ".join(latex.split())
    return text.replace(r"\frac", r"\dfrac") if display else text


def _outline(path: Path) -> str:
    parts = []
    for points, code in path.iter_segments(simplify=False, curves=True):
        upright = [f"{-one:.1f}" if place % 2 else f"{one:.1f}" for place, one in enumerate(points)]
        parts.append(_LETTERS[code] + ("" if code == Path.CLOSEPOLY else " ".join(upright)))
    return "".join(parts)
