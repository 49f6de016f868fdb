import importlib
import inspect
import itertools
import pkgutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from hemiface.errors import UsageError
from hemiface.report import figures as drawing
from hemiface.report.figures import classes
from hemiface.report.figures import scores as figures
from hemiface.report.figures.style import COLOURS, ordered, save, svg_text
from hemiface.stats.matrix import MATRIX_COLUMNS
from hemiface.tables import EMOTIONS, PROBABILITY_COLUMNS

HALVES = ["full", "upper", "lower", "left", "right"]


def a_matrix(models=tuple(HALVES[::-1]), conditions=tuple(HALVES), metric="accuracy"):
    """A matrix in which every value is known: 0.9 - 0.1 * condition - 0.01 * model."""
    rows = []
    for model, hidden in product(models, conditions):
        value = 0.9 - 0.1 * conditions.index(hidden) - 0.01 * models.index(model)
        drop = 0.1 * conditions.index(hidden)
        key = ("standard", model, "mean", hidden, metric)
        rows.append((*key, value, value - 0.02, value + 0.03, 100, drop, ""))
    return pd.DataFrame(rows, columns=list(MATRIX_COLUMNS))


def comparisons():
    rows = a_matrix().rename(columns={"value": "ours"})[
        ["model", "condition", "metric", "ours", "low", "high"]
    ]
    rows["original"] = rows["ours"] - np.linspace(-0.1, 0.1, len(rows))
    rows["difference"] = rows["ours"] - rows["original"]
    return rows.assign(above=rows["difference"] > 0)


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def some_predictions(labels, winners, certainty=0.7, name="full", hidden="full"):
    """One cell in which image i is taken for winners[i] with the given probability."""
    n = len(labels)
    values = np.full((n, 7), (1 - certainty) / 6)
    values[np.arange(n), winners] = certainty
    table = pd.DataFrame(values, columns=list(PROBABILITY_COLUMNS))
    table["label"] = np.array(EMOTIONS)[labels]
    return table.assign(model=f"{name}-seed0", name=name, condition=hidden, split="test")


def test_heat_map_writes_every_value_and_interval_where_it_belongs():
    axes = figures.heat_map(a_matrix()).axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == HALVES
    # Rows come in the fixed order, though the table has them the other way round.
    assert [tick.get_text() for tick in axes.get_yticklabels()] == HALVES
    placed = {text.get_position(): text.get_text() for text in axes.texts}
    for (column, row), text in placed.items():
        value = 0.9 - 0.1 * column - 0.01 * (4 - round(row))
        wanted = f"{value:.3f}" if row < round(row) else f"[{value - 0.02:.3f}, {value + 0.03:.3f}]"
        assert text == wanted
    assert len(placed) == 50


def test_heat_map_is_darker_where_the_value_is_larger_and_outlines_matched_cells():
    axes = figures.heat_map(a_matrix()).axes[0]
    filled = {
        (round(p.get_y() + 0.5), round(p.get_x() + 0.5)): sum(p.get_facecolor()[:3])
        for p in axes.patches
        if p.get_fill()
    }
    row = [filled[0, column] for column in range(5)]
    assert row == sorted(row)
    outlined = [p for p in axes.patches if not p.get_fill()]
    assert sorted((round(p.get_x()), round(p.get_y())) for p in outlined) == [
        (i, i) for i in range(5)
    ]


def test_heat_map_shows_undefined_cells_as_a_dash_without_interval():
    table = a_matrix()
    table.loc[(table["model"] == "left") & (table["condition"] == "upper"), "value"] = np.nan
    table.loc[table["model"] == "left", ["low", "high"]] = np.nan
    written = texts(figures.heat_map(table).axes[0])
    assert written.count("–") == 1
    assert sum(text.startswith("[") for text in written) == 20


def test_heat_map_says_nothing_of_the_training_of_models_that_only_have_names():
    for models, heading in ((("full", "ours"), "trained on"), (("theirs", "ours"), "model")):
        figure = figures.heat_map(a_matrix(models))
        (axes,) = figure.axes
        assert axes.get_ylabel() == heading
        assert ("outlined" in axes.get_xlabel()) == (heading == "trained on")
        shown = figure.get_suptitle() or "".join(one.get_text() for one in figure.texts)
        assert ("training" in shown) == (heading == "trained on")


def test_heat_map_of_equal_and_of_undefined_values():
    assert "0.500" in texts(figures.heat_map(a_matrix().assign(value=0.5)).axes[0])
    empty = a_matrix().assign(value=np.nan, low=np.nan, high=np.nan, n=0)
    assert set(texts(figures.heat_map(empty).axes[0])) == {"–"}


def test_headline_prefers_the_mean_and_takes_a_single_seed_without_one():
    mean = a_matrix(("full",), ("full", "upper"))
    seeds = pd.concat([mean.assign(seed="0", value=0.1), mean.assign(seed="1", value=0.2), mean])
    assert figures.headline(seeds, "standard", "accuracy")["value"].tolist() == [0.9, 0.8]
    single = mean.assign(seed="3", value=0.4)
    assert figures.headline(single, "standard", "accuracy")["value"].tolist() == [0.4, 0.4]
    with pytest.raises(UsageError, match="no metric 'ece'"):
        figures.headline(mean, "standard", "ece")


def test_drop_plot_has_a_mark_per_model_at_its_drop():
    figure = figures.drop_plot(a_matrix())
    marks = [line for line in figure.axes[0].lines if line.get_marker() not in ("", "None")]
    assert len(marks) == 5
    for mark in marks:
        assert mark.get_xdata() == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert len({mark.get_marker() for mark in marks}) == 5
    assert len({mark.get_color() for mark in marks}) == 5


def test_no_two_of_many_models_look_alike_and_all_are_named_in_the_figure():
    names = tuple(f"lab_resnet50_fer2013_v{index}" for index in range(20))
    figure = figures.drop_plot(a_matrix(names, ("full", "upper")))
    marks = [line for line in figure.axes[0].lines if line.get_marker() not in ("", "None")]
    assert len({(mark.get_marker(), mark.get_color()) for mark in marks}) == 20
    assert inside(figure, *figure.legends)


def boxes(figure, *artists):
    """Where artists are drawn, in parts of the figure."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    whole = figure.transFigure.inverted()
    return [one.get_window_extent(canvas.get_renderer()).transformed(whole) for one in artists]


def inside(figure, *artists):
    ends = [(min(one.x0, one.y0), max(one.x1, one.y1)) for one in boxes(figure, *artists)]
    return all(low > -0.01 and high < 1.01 for low, high in ends)


@pytest.mark.parametrize("name", ["m", "a/long-name-of-mine", "x" * 90])
@pytest.mark.parametrize("conditions", [("full",), ("full", "upper"), tuple(HALVES)])
def test_names_of_any_length_stand_beside_their_cells_and_the_label_is_whole(name, conditions):
    figure = figures.heat_map(a_matrix((name, "full"), conditions))
    axes = figure.axes[0]
    shown = [*axes.get_yticklabels(), axes.xaxis.label, figure._suptitle]
    assert inside(figure, *shown)
    cells, *names = boxes(figure, axes.patch, *axes.get_yticklabels())
    assert all(one.x1 <= cells.x0 for one in names)
    number, interval = boxes(figure, *axes.texts[:2])
    assert interval.y1 < number.y0
    assert interval.width < cells.width / len(conditions)


def test_intervals_are_told_of_where_they_are():
    def shown(conditions, **values):
        table = a_matrix(("full",), conditions).assign(**values)
        return figures.shows_intervals(figures.headline(table, "standard", "accuracy"))

    assert shown(("full", "upper"))
    assert not shown(("full", "upper"), low=np.nan)
    assert not shown(tuple("abcdefgh"))


def test_comparison_plot_puts_both_values_on_each_line():
    table = comparisons()
    figure = figures.comparison_plot(table)
    assert [axes.get_title(loc="left") for axes in figure.axes] == HALVES
    for model, axes in zip(HALVES, figure.axes, strict=True):
        here = table[table["model"] == model].set_index("condition").loc[HALVES]
        ours, original = axes.lines
        assert ours.get_xdata() == pytest.approx(here["ours"].to_numpy())
        assert original.get_xdata() == pytest.approx(here["original"].to_numpy())
        ends = np.array([segment[:, 0] for segment in axes.collections[0].get_segments()])
        assert ends == pytest.approx(here[["low", "high"]].to_numpy())
    with pytest.raises(UsageError, match="no metric 'ece'"):
        figures.comparison_plot(table, "ece")


def test_comparison_map_signs_differences_and_colours_by_direction():
    table = comparisons()
    axes = figures.comparison_map(table).axes[0]
    first = table[(table["model"] == "right") & (table["condition"] == "full")]
    assert first["difference"].item() == pytest.approx(-0.1)
    assert texts(axes)[20] == "−0.100"
    assert texts(axes)[4] == "+0.100"
    filled = [patch.get_facecolor() for patch in axes.patches if patch.get_fill()]
    assert filled[20][0] > filled[20][2]
    assert filled[4][2] > filled[4][0]


def history(accuracy):
    n = len(accuracy)
    return pd.DataFrame(
        {
            "epoch": np.arange(1, n + 1),
            "train_loss": np.linspace(2, 1, n),
            "validation_loss": np.linspace(2, 1.5, n),
            "validation_accuracy": accuracy,
        }
    )


def test_training_curves_mark_the_best_epoch():
    tables = {"full-seed0": history([0.2, 0.6, 0.5]), "upper-seed0": history([np.nan] * 3)}
    figure = figures.training_curves(tables)
    best = [line for axes in figure.axes for line in axes.lines if line.get_marker() == "o"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in best] == [(2, 0.6)]
    with pytest.raises(UsageError, match="at least one"):
        figures.training_curves({})


def test_titles_of_six_trainings_stand_apart():
    names = [f"only-upper-left-seed{seed}" for seed in range(4)]
    names += ["lab_resnet50_fer2013_v0-seed1", "full-seed0"]
    figure = figures.training_curves({name: history([0.2, 0.6]) for name in names})
    found = boxes(figure, *(axes._left_title for axes in figure.axes[:6]))
    assert all(one.x1 < other.x0 for one, other in itertools.pairwise(found))
    assert found[-1].x1 < 1.01


def test_class_bars_are_as_high_as_the_scores():
    cells = [("full", "full"), ("full", "upper")]
    rows = [
        ("standard", "full", seed, hidden, emotion, 0.1 * index + shift)
        for hidden, shift in [("full", 0.2), ("upper", 0.1)]
        for seed in ("0", "mean")
        for index, emotion in enumerate(EMOTIONS)
    ]
    columns = ["protocol", "model", "seed", "condition", "emotion", "recall"]
    table = pd.DataFrame(rows, columns=columns)
    table.loc[table["seed"] == "0", "recall"] = 0.99
    axes = classes.class_bars(table, cells).axes[0]
    heights = [[bar.get_height() for bar in group] for group in axes.containers]
    assert heights[0] == pytest.approx([0.1 * i + 0.2 for i in range(7)])
    assert heights[1] == pytest.approx([0.1 * i + 0.1 for i in range(7)])
    with pytest.raises(UsageError, match="no model full under lower"):
        classes.class_bars(table, [("full", "lower")])
    named = [("a$b{", "full")]
    figure = classes.class_bars(table.assign(model="a$b{"), named)
    assert not figure.axes[0].spines["top"].get_visible()
    # A $ in a name begins no formula.
    assert "a$b{" in svg_text(figure, "x")


def test_every_figure_is_drawn_in_the_projects_style():
    """A decorator that is put over the wrong function is seen by nobody else."""
    for module in pkgutil.iter_modules(drawing.__path__, f"{drawing.__name__}."):
        for name, one in vars(importlib.import_module(module.name)).items():
            is_own = inspect.isfunction(one) and one.__module__ == module.name
            if not is_own or name.startswith("_"):
                continue
            makes = inspect.signature(one).return_annotation is Figure
            # Those that call another which is styled are left to it.
            calls = {"quadrant_map", "tile_figure", "people_figure"}
            if makes and name not in calls:
                assert hasattr(one, "__wrapped__"), f"{module.name}.{name} isn't styled"


def test_confusion_matrix_gives_row_shares_and_counts_and_leaves_absent_labels_empty():
    counts = np.zeros((7, 7), dtype=int)
    counts[0, 0], counts[0, 3], counts[2, 1] = 3, 1, 5
    rows = [
        ("standard", "full", "full", EMOTIONS[i], EMOTIONS[j], counts[i, j])
        for i, j in product(range(7), range(7))
    ]
    table = pd.DataFrame(
        rows, columns=["protocol", "model", "condition", "true", "predicted", "count"]
    )
    axes = classes.confusion_matrices(table, [("full", "full")]).axes[0]
    at = {(int(t.get_position()[1]), int(t.get_position()[0])): [] for t in axes.texts}
    for text in axes.texts:
        column, row = text.get_position()
        at[int(row), int(column)].append(text.get_text())
    assert at[0, 0] == ["75", "3"]
    assert at[0, 3] == ["25", "1"]
    assert at[2, 1] == ["100", "5"]
    assert at[0, 1] == ["0", "0"]
    assert {row for row, _ in at} == {0, 2}
    top, bottom = axes.get_ylim()[1], axes.get_ylim()[0]
    assert top < bottom, "the first label must be on top"


def test_roc_curves_of_a_perfect_model_reach_the_corner_and_absent_classes_have_none():
    labels = np.array([0, 0, 3, 3, 4])
    figure = classes.roc_curves(some_predictions(labels, labels), [("full", "full")])
    curves = {line.get_label(): line.get_xydata() for line in figure.axes[0].lines}
    drawn = {name for name in curves if name in EMOTIONS}
    assert drawn == {"angry", "happy", "sad"}
    for name in drawn:
        assert [0.0, 1.0] in curves[name].tolist()


def test_precision_recall_curves_keep_their_ends_and_their_shape():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, 900)
    table = some_predictions(labels, labels)
    values = rng.dirichlet(np.ones(7), 900)
    table[list(PROBABILITY_COLUMNS)] = values
    figure = classes.precision_recall_curves(table, [("full", "full")])
    for index, line in enumerate(figure.axes[0].lines):
        recall, precision = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        assert (recall[0], recall[-1], precision[-1]) == (1.0, 0.0, 1.0)
        assert precision[0] == pytest.approx((labels == index).mean())
        # Brute force at every vertex drawn: the precision where the recall is the same.
        order = np.argsort(-values[:, index])
        hits = np.cumsum(labels[order] == index)
        pairs = np.c_[hits / hits[-1], hits / np.arange(1, 901)]
        for vertex in np.c_[recall, precision][:-1:9]:
            assert np.abs(pairs - vertex).sum(axis=1).min() < 1e-9


def test_reliability_diagram_shows_confidence_against_the_share_right():
    labels = np.array([0] * 10)
    winners = np.array([0] * 6 + [1] * 4)
    table = some_predictions(labels, winners, certainty=0.7)
    axes = classes.reliability_diagram(table, [("full", "full")]).axes[0]
    dots = axes.collections[0].get_offsets()
    assert dots.tolist() == [pytest.approx([0.7, 0.6])]
    bars = [patch.get_height() for patch in axes.patches]
    assert sum(bars) == pytest.approx(1)
    with pytest.raises(UsageError, match="no model upper"):
        classes.reliability_diagram(table, [("upper", "full")])


@pytest.mark.parametrize("draw", [figures.heat_map, figures.drop_plot])
def test_the_same_figure_is_the_same_bytes(draw, tmp_path: Path):
    written = [save(draw(a_matrix()), tmp_path / run, "name") for run in ("a", "b")]
    for one, other in zip(*written, strict=True):
        assert one.read_bytes() == other.read_bytes()
        assert one.stat().st_size > 5000
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["name.png", "name.svg"]
    assert b"<dc:date>" not in written[0][0].read_bytes()
    assert written[0][1].read_bytes().startswith(b"\x89PNG")


def test_svg_keeps_text_as_text():
    assert ">0.900</text>" in svg_text(figures.heat_map(a_matrix(("full",))), "x")


def test_drawing_leaves_global_settings_alone():
    before = dict(matplotlib.rcParams)
    figure = figures.heat_map(a_matrix())
    svg_text(figure, "x")
    assert dict(matplotlib.rcParams) == before
    assert isinstance(figure, Figure)


def test_colours_are_told_apart_in_grey_or_hue_and_show_on_white():
    lightness = [float(np.dot(to_rgb(c), (0.2126, 0.7152, 0.0722))) for c in COLOURS]
    assert max(lightness) < 0.75
    assert len(set(COLOURS)) == len(EMOTIONS)


@pytest.mark.parametrize("count", [1, 2, 5, 6])
def test_no_title_or_legend_leaves_the_figure(count):
    labels = np.resize(np.arange(7), 50)
    hidden = [*HALVES, "diagonal"][:count]
    table = pd.concat([some_predictions(labels, labels, hidden=name) for name in hidden])
    figure = classes.roc_curves(table, [("full", name) for name in hidden])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    legends = figure.legends + [a.get_legend() for a in figure.axes if a.get_legend()]
    assert len(legends) == 1
    for artist in (figure._suptitle, *legends):
        box = artist.get_window_extent(renderer).transformed(figure.transFigure.inverted())
        assert min(box.x0, box.y0) > -0.01
        assert max(box.x1, box.y1) < 1.01


def test_order_is_fixed_whatever_the_table_has():
    assert ordered(["none", *reversed(HALVES), "any"]) == [*HALVES, "none", "any"]


def test_report_and_figures_import_neither_torch_nor_pyplot():
    code = (
        "import sys, hemiface.report.page; "
        "print([m for m in ('torch', 'timm', 'matplotlib.pyplot') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
