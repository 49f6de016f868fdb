"""How every figure looks and is written: colours, fonts, labels, order, SVG and PNG files."""

import textwrap
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure

from hemiface.errors import escaped
from hemiface.files import as_stem, atomic_path
from hemiface.occlusion.conditions import CONDITIONS
from hemiface.stats.metrics import METRICS

__all__ = [
    "COLOURS",
    "LINES",
    "MARKERS",
    "METRIC_NAMES",
    "STYLE",
    "colour_bar",
    "condition_label",
    "decimals",
    "is_condition",
    "model_label",
    "ordered",
    "row_heading",
    "save",
    "stimulus_label",
    "svg_text",
    "title",
]

COLOURS = ("#333333", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
"""Okabe & Ito's palette, its black softened, without its yellow, too pale for lines on paper."""

MARKERS = ("o", "s", "D", "^", "v", "P", "X")
LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))

METRIC_NAMES = {
    **{metric.name: metric.title for metric in METRICS.values()},
    "recall": "Recall",
    "precision": "Precision",
    "f1": "F1",
}

# Any: the type of matplotlib's settings differs between its versions.
STYLE: Any = {
    "font.family": "sans-serif",
    # The first is bundled with matplotlib, so text is measured alike on every machine.
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Helvetica Neue", "Arial"],
    # A $ in a name is a $.
    "text.parse_math": False,
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.linewidth": 0.7,
    "axes.axisbelow": True,
    "axes.grid": False,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.color": "#333333",
    "ytick.color": "#333333",
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "figure.titlesize": 9.5,
    "figure.titleweight": "bold",
    "lines.linewidth": 1.3,
    "path.simplify_threshold": 0.5,
    "svg.fonttype": "none",
}
_PRINT_DPI = 200
_NO_LAYOUT: Any = {"figure.autolayout": False, "figure.constrained_layout.use": False}
_TITLE_CHARACTERS_AN_INCH = 11.5
_MOST_DECIMALS = 6
_ORDER = ("full", "longer", "upper", "lower", "left", "right")


def ordered(names: Iterable[str]) -> list[str]:
    """Return the distinct names: full, longer, the halves first, then others as they come.

    >>> ordered(["diagonal", "left", "full", "left"])
    ['full', 'left', 'diagonal']
    """
    distinct = list(dict.fromkeys(names))
    return [n for n in _ORDER if n in distinct] + [n for n in distinct if n not in _ORDER]


def colour_bar(figure: Figure, scale: Normalize, colours: Colormap, unit: str) -> None:
    """Put a bar that says what colours mean below everything that `figure` has."""
    bar = figure.colorbar(
        ScalarMappable(scale, colours),
        ax=figure.axes,
        location="bottom",
        shrink=0.5,
        aspect=40,
        pad=0.02,
    )
    if bar.solids is not None:
        # So many colours are drawn as pixels otherwise, a picture inside the SVG.
        bar.solids.set_rasterized(False)
    bar.set_label(unit, fontsize=8)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7.5, length=2)


def condition_label(condition: str) -> str:
    """Return what to call a condition where it stands alone.

    >>> condition_label("full"), condition_label("upper"), condition_label("only-upper-left")
    ('nothing hidden', 'upper hidden', 'only upper-left visible')
    """
    name, _, fill = condition.partition("@")
    if name == "full":
        return "nothing hidden"
    if name == "none":
        label = "all hidden"
    elif name.startswith("only-"):
        label = f"only {name.removeprefix('only-')} visible"
    else:
        label = f"{name} hidden"
    return f"{label} ({fill})" if fill else label


def stimulus_label(condition: str) -> str:
    """Return what to call a condition of stimuli, some of which hide no part that has a name.

    >>> stimulus_label("upper@blur"), stimulus_label("composite-aligned-upper")
    ('upper hidden (blur)', 'composite-aligned-upper')
    """
    return condition_label(condition) if is_condition(condition) else condition


def model_label(name: str) -> str:
    """Return what to call a model by what it was trained on, or by the name of its own.

    >>> model_label("full"), model_label("upper"), model_label("any")
    ('trained on whole faces', 'trained with upper hidden', 'trained on every condition')
    >>> model_label("longer"), model_label("people-small-int8")
    ('trained longer on whole faces', 'people-small-int8')
    """
    known = {
        "full": "trained on whole faces",
        "longer": "trained longer on whole faces",
        "any": "trained on every condition",
    }
    if name in known:
        return known[name]
    return f"trained with {name} hidden" if is_condition(name) else name


def row_heading(models: Iterable[str]) -> str:
    """Return what stands above rows of models: what they were trained on, where a name says it.

    >>> row_heading(["people-small-int8", "any"]), row_heading(["people-small-int8"])
    ('trained on', 'model')
    """
    return "trained on" if any(model_label(one) != one for one in models) else "model"


def is_condition(name: str) -> bool:
    """Return whether a network's name says what was hidden in its training.

    Networks that come along or are others' have names that say nothing about what they saw.
    """
    return name.partition("@")[0] in CONDITIONS or name.startswith("random-")


def decimals(low: float, high: float, least: int = 0) -> int:
    """Return how many keep an interval that leaves 0 out from being rounded to one that ends there.

    >>> decimals(0.6, 2), decimals(0.04, 2), decimals(-1, 2), decimals(0.04, 2, least=1)
    (0, 2, 0, 2)
    """
    places, nearest = least, min(abs(low), abs(high))
    while (low > 0 or high < 0) and places < _MOST_DECIMALS and nearest < 0.5 * 10**-places:
        places += 1
    return places


def title(figure: Figure, text: str) -> None:
    """Set the figure's title, flush left and broken where the figure is narrow."""
    width = max(20, int(figure.get_figwidth() * _TITLE_CHARACTERS_AN_INCH))
    figure.suptitle(textwrap.fill(escaped(text), width), ha="left", x=0.01)


def svg_text(figure: Figure, name: str) -> str:
    """Return the figure as SVG text, the same bytes every time; `name` salts its internal IDs."""
    buffer = BytesIO()
    # Creator carries matplotlib's version; Date the moment. Neither belongs to the picture.
    metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}):
        _lay_out(figure)
        figure.savefig(buffer, format="svg", metadata=metadata)
    return buffer.getvalue().decode("utf-8")


def _lay_out(figure: Figure) -> None:
    """Place everything once and for all, as an SVG measures it.

    Left to matplotlib, each file is drawn twice, the first time only to be laid out.
    """
    engine = figure.get_layout_engine()
    if engine is not None:
        FigureCanvasSVG(figure)
        figure.set_dpi(FigureCanvasSVG.fixed_dpi)
        engine.execute(figure)
        with matplotlib.rc_context(_NO_LAYOUT):
            figure.set_layout_engine(None)


def save(figure: Figure, folder: str | Path, name: str) -> tuple[Path, Path]:
    """Write `name`.svg and `name`.png (200 dots per inch) into `folder`, each whole or not at all.

    A name may hold anything, such as a network's `maker/model`: its files lie in `folder` still.
    Both are the same bytes for the same figure and matplotlib version. Returns the two paths.
    """
    stem = as_stem(name)
    svg, png = Path(folder) / f"{stem}.svg", Path(folder) / f"{stem}.png"
    with atomic_path(svg) as partial:
        partial.write_text(svg_text(figure, name), encoding="utf-8", newline="\n")
    with atomic_path(png) as partial, matplotlib.rc_context(STYLE):
        figure.savefig(partial, format="png", dpi=_PRINT_DPI, metadata={"Software": None})
    return svg, png
