"""Figures of the halves and of confidence: what is drawn is what the tables hold."""

import numpy as np
import pandas as pd
import pytest

from hemiface.errors import UsageError
from hemiface.report.figures.confidence import reliability_panels, risk_coverage_plot
from hemiface.report.figures.costs import forest_plot, shift_maps
from hemiface.tables import EMOTIONS

HALVES = ("upper", "lower", "left", "right")


def contrasts():
    rows = []
    for kind, family in (
        ("robustness", "robustness"),
        ("available information", "available information, specialists"),
        ("available information", "available information, generalist"),
    ):
        for place, half in enumerate(HALVES):
            value = 0.1 * (place + 1)
            rows.append((kind, family, half, value, value - 0.02, value + 0.03))
    names = ["kind", "family", "condition_b", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=names)


def test_forest_keeps_the_questions_apart_and_draws_every_interval():
    figure = forest_plot(contrasts())
    robust, informed = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "Robustness",
        "Available information",
    ]
    assert len(robust.collections) == 1
    assert len(informed.collections) == 2
    ends = np.array([line[:, 0] for line in robust.collections[0].get_segments()])
    assert ends == pytest.approx(np.array([[8, 13], [18, 23], [28, 33], [38, 43]]))
    assert [one.get_text() for one in robust.texts] == ["10.0", "20.0", "30.0", "40.0"]


def test_forest_without_halves_is_refused():
    with pytest.raises(UsageError, match="compare no half"):
        forest_plot(contrasts().assign(family="table, models"))


def shifts():
    rows = []
    for half in ("upper", "left"):
        for true in EMOTIONS:
            for predicted in EMOTIONS:
                sure = half == "upper" and true == "happy" and predicted == "sad"
                low, p = (0.1, 0.001) if sure else (0.1, 0.2) if true == "fear" else (-0.1, 0.001)
                rows.append(("full", half, true, predicted, 0.2, low, 0.3, p))
    names = ["model", "condition", "true", "predicted", "shift", "low", "high", "p_holm"]
    return pd.DataFrame(rows, columns=names)


def test_only_what_test_and_interval_support_is_bold():
    figure = shift_maps(shifts(), "full")
    panels = [axes for axes in figure.axes if axes.get_title(loc="left")]
    assert [axes.get_title(loc="left") for axes in panels] == ["upper hidden", "left hidden"]
    bold = [
        (one.get_text(), one.get_position())
        for axes in panels
        for one in axes.texts
        if one.get_fontweight() == "bold"
    ]
    place = (EMOTIONS.index("sad") + 0.5, EMOTIONS.index("happy") + 0.5)
    assert bold == [("+20", place)]


def test_shifts_of_an_absent_model_are_refused():
    with pytest.raises(UsageError, match="no model any"):
        shift_maps(shifts(), "any")


def test_seeds_are_pooled_in_reliability_and_averaged_in_risk():
    bins = pd.DataFrame(
        {
            "model": "full",
            "seed": ["0", "1"] * 2,
            "condition": "left",
            "calibration": ["none", "none", "by visibility", "by visibility"],
            "low": 0.4,
            "high": 0.5,
            "confidence": [0.42, 0.46, 0.45, 0.45],
            "accuracy": [0.2, 0.6, 0.5, 0.5],
            "count": [30, 10, 20, 20],
        }
    )
    axes = reliability_panels(bins, [("full", "left")], "Robustness").axes[0]
    before = axes.collections[0].get_offsets()
    assert np.asarray(before) == pytest.approx(np.array([[0.43, 0.3]]))
    curves = pd.DataFrame(
        {
            "model": "full",
            "seed": ["0", "0", "1", "1"],
            "condition": "left",
            "coverage": [0.1, 1.0, 0.1, 1.0],
            "risk": [0.0, 0.4, 0.2, 0.6],
        }
    )
    panel = risk_coverage_plot(curves, {"Robustness": [("full", "left")]}).axes[0]
    assert panel.get_lines()[0].get_ydata()[-1] == pytest.approx(0.5)
    with pytest.raises(UsageError, match="no model any"):
        risk_coverage_plot(curves, {"x": [("any", "left")]})
    with pytest.raises(UsageError, match="no model any"):
        reliability_panels(bins, [("any", "left")], "x")
