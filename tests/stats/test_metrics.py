"""Metrics against scikit-learn, against printed arithmetic, and properties of the whole family."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from hemiface.errors import UsageError
from hemiface.stats import metrics as m
from hemiface.tables import EMOTIONS, PROBABILITY_COLUMNS

SEEDS = st.integers(0, 2**32 - 1)
EVERY_METRIC = pytest.mark.parametrize("name", list(m.METRICS))
SOME = settings(max_examples=25, deadline=None)


def random_case(
    seed: int, n: int = 60, ties: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distributions [n, 7], labels with every class present, weights in 0..3 (no class at 0)."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(7), rng.integers(0, 7, n - 7)])
    logits = rng.normal(size=(n, 7))
    logits[np.arange(n), labels] += 1
    raw = np.round(np.exp(logits), 0 if ties else 8) + 0.25
    weights = rng.integers(0, 4, n).astype(float)
    weights[:7] += 1
    return raw / raw.sum(axis=1, keepdims=True), labels, weights


def ovr(average: str):
    return lambda p, y, w: sk.roc_auc_score(
        y, p, sample_weight=w, multi_class="ovr", average=average, labels=range(7)
    )


def f1(average: str):
    return lambda p, y, w: sk.f1_score(y, p.argmax(1), sample_weight=w, average=average)


def paper(p, y, w):
    """scikit-learn's multiclass ROC example, with class shares as weights of the average."""
    rates = {}
    for index in range(7):
        rates[index] = sk.roc_curve(y == index, p[:, index], sample_weight=w)[:2]
    grid = np.unique(np.concatenate([rates[index][0] for index in range(7)]))
    share = np.bincount(y, w, 7) / w.sum()
    mean = np.zeros_like(grid)
    for index in range(7):
        mean += share[index] * np.interp(grid, *rates[index])
    return sk.auc(grid, mean)


def slow_ece(p, y, w):
    total = 0.0
    for low in range(15):
        inside = [
            i for i in range(len(y)) if (low / 15 < p[i].max() <= (low + 1) / 15) and w[i] > 0
        ]
        right = sum(w[i] for i in inside if p[i].argmax() == y[i])
        sure = sum(w[i] * p[i].max() for i in inside)
        total += abs(right - sure)
    return total / w.sum()


ORACLES = {
    "accuracy": lambda p, y, w: sk.accuracy_score(y, p.argmax(1), sample_weight=w),
    "macro_f1": f1("macro"),
    "weighted_f1": f1("weighted"),
    "weighted_auc": ovr("weighted"),
    "weighted_auc_paper": paper,
    "macro_auc": ovr("macro"),
    "micro_auc": ovr("micro"),
    "balanced_accuracy": lambda p, y, w: sk.balanced_accuracy_score(
        y, p.argmax(1), sample_weight=w
    ),
    "log_loss": lambda p, y, w: sk.log_loss(y, p, sample_weight=w, labels=range(7)),
    "brier_score": lambda p, y, w: float(np.average(((p - np.eye(7)[y]) ** 2).sum(1), weights=w)),
    "ece": slow_ece,
}


def table(p: np.ndarray, y: np.ndarray, **columns: object) -> pd.DataFrame:
    result = pd.DataFrame(p, columns=list(PROBABILITY_COLUMNS))
    defaults = {"condition": "full", "model": "full-seed0", "split": "test", "leaked": False}
    return result.assign(
        image=[f"i{k}" for k in range(len(y))],
        label=np.asarray(EMOTIONS)[y],
        **(defaults | columns),
    )


def certain(predicted: list[int], confidence: float = 0.7) -> np.ndarray:
    """Rows that give `confidence` to the predicted class and share the rest out."""
    p = np.full((len(predicted), 7), (1 - confidence) / 6)
    p[np.arange(len(predicted)), predicted] = confidence
    return p


def test_names_are_those_of_the_interface():
    assert list(m.METRICS) == [
        "accuracy",
        "macro_f1",
        "weighted_f1",
        "weighted_auc",
        "weighted_auc_paper",
        "macro_auc",
        "micro_auc",
        "balanced_accuracy",
        "log_loss",
        "brier_score",
        "ece",
    ]
    assert all(name == metric.name for name, metric in m.METRICS.items())
    assert set(ORACLES) == set(m.METRICS)


@EVERY_METRIC
@SOME
@given(seed=SEEDS, ties=st.booleans(), weighted=st.booleans())
def test_equals_the_oracle(name, seed, ties, weighted):
    p, y, w = random_case(seed, ties=ties)
    expected = ORACLES[name](p, y, w if weighted else np.ones(len(y)))
    assert m.METRICS[name].function(p, y, w if weighted else None) == pytest.approx(
        expected, abs=1e-12
    )


# The family: a new metric is in these by being in METRICS.


@EVERY_METRIC
def test_perfect_predictions_reach_the_best_value(name):
    y = np.arange(14) % 7
    assert m.METRICS[name].function(np.eye(7)[y], y, None) == pytest.approx(
        m.METRICS[name].best, abs=1e-12
    )


@EVERY_METRIC
@SOME
@given(seed=SEEDS)
def test_worse_predictions_score_worse_and_in_range(name, seed):
    p, y, _ = random_case(seed, n=200)
    metric = m.METRICS[name]
    good, bad = (
        metric.function(values, y, None)
        for values in (0.1 * p + 0.9 * np.eye(7)[y], 0.1 * p + 0.9 * np.eye(7)[(y + 1) % 7])
    )
    assert (good > bad) == metric.greater_is_better
    assert all(metric.unit_range[0] <= x <= metric.unit_range[1] + 1e-12 for x in (good, bad))


@EVERY_METRIC
@SOME
@given(seed=SEEDS, ties=st.booleans())
def test_order_of_rows_and_names_of_classes_do_not_matter(name, seed, ties):
    p, y, w = random_case(seed, ties=ties)
    # Which of two equal maxima is the prediction depends on the classes' order, rightly so.
    p = p + np.random.default_rng(seed).random(p.shape) * 1e-6
    p /= p.sum(axis=1, keepdims=True)
    function = m.METRICS[name].function
    expected = function(p, y, w)
    rng = np.random.default_rng(seed)
    rows, classes = rng.permutation(len(y)), rng.permutation(7)
    assert function(p[rows], y[rows], w[rows]) == pytest.approx(expected, abs=1e-12)
    renamed = np.argsort(classes)[y]
    assert function(p[:, classes], renamed, w) == pytest.approx(expected, abs=1e-12)


@EVERY_METRIC
@SOME
@given(seed=SEEDS, ties=st.booleans())
def test_a_weight_means_repeated_rows(name, seed, ties):
    p, y, w = random_case(seed, ties=ties)
    repeats = np.repeat(np.arange(len(y)), w.astype(int))
    function = m.METRICS[name].function
    assert function(p, y, w) == pytest.approx(function(p[repeats], y[repeats], None), abs=1e-12)
    assert function(p, y, 2 * np.ones(len(y))) == pytest.approx(function(p, y, None), abs=1e-12)


@EVERY_METRIC
def test_no_images_is_undefined_and_says_so(name):
    scores = m.summarise(table(np.empty((0, 7)), np.empty(0, int)), [name], by=())
    assert math.isnan(scores["value"].item())
    assert scores["n"].item() == 0
    assert scores["reason"].item() == "no images"


@EVERY_METRIC
@pytest.mark.parametrize("present", [[3], [0, 3], [0, 2, 3, 4, 5, 6], list(range(7))])
def test_a_value_is_nan_exactly_where_a_reason_is_given(name, present):
    y = np.asarray(present * 3)
    p = random_case(1, n=len(y) + 7)[0][: len(y)]
    value = m.METRICS[name].function(p, y, None)
    assert math.isnan(value) == bool(m.why_undefined(name, y))


# Neighbouring definitions.


def test_brier_is_the_sum_over_classes():
    # Brier 1950: (1 - .7)^2 + .2^2 + .1^2 = .09 + .04 + .01 for the first image,
    # (0 - .7)^2 + (1 - .2)^2 + .1^2 = .49 + .64 + .01 for the second.
    p = np.array([[0.7, 0.2, 0.1, 0, 0, 0, 0]] * 2)
    assert m.brier_score(p, np.array([0, 1])) == pytest.approx((0.14 + 1.14) / 2)
    # The binary form looks at the true class only: (.09 + .64) / 2.
    assert m.brier_score(p, np.array([0, 1])) != pytest.approx((0.09 + 0.64) / 2)
    # Wrong and sure costs 2, not 1: so it is neither halved nor averaged over classes.
    assert m.brier_score(np.eye(7)[[0]], np.array([1])) == 2


def test_ece_by_hand():
    # Five images of confidence .70 in the bin (10/15, 11/15], three right: |.6 - .70| = .10;
    # three of confidence .50 in (7/15, 8/15], three right: |1 - .50| = .50.
    p = np.concatenate([certain([0] * 5, 0.70), certain([1] * 3, 0.50)])
    y = np.array([0, 0, 0, 4, 4, 1, 1, 1])
    assert m.ece(p, y) == pytest.approx(5 / 8 * 0.10 + 3 / 8 * 0.50)
    # Unweighted over bins it would be .30; with a single bin |6/8 - 5/8| = .125.
    assert m.ece(p, y) == pytest.approx(0.25)


def test_ece_bins_are_open_on_the_left_and_fifteen():
    edges = np.linspace(0, 1, 16)
    assert m.calibration_bins(edges[1:]).tolist() == list(range(15))
    assert m.calibration_bins(np.nextafter(edges[1:-1], 1)).tolist() == list(range(1, 15))
    assert m.calibration_bins(np.array([1 + 1e-7])).tolist() == [14]
    # .68 and .72 share a bin of 15 but not of 10, .61 and .68 one of 10 but not of 15.
    assert len(set(m.calibration_bins(np.array([0.68, 0.72])))) == 1
    assert len(set(m.calibration_bins(np.array([0.61, 0.68])))) == 2


def test_f1_averages_differ_as_by_hand():
    # true 0 0 0 1, predicted 0 0 1 1: F1 = 4/5 for class 0, 2/3 for class 1.
    p, y = certain([0, 0, 1, 1]), np.array([0, 0, 0, 1])
    assert m.macro_f1(p, y) == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert m.weighted_f1(p, y) == pytest.approx((3 * 4 / 5 + 2 / 3) / 4)
    # The F1 of mean precision (3/4) and mean recall (5/6) is another number.
    assert m.macro_f1(p, y) != pytest.approx(2 * 0.75 * (5 / 6) / (0.75 + 5 / 6))
    # Predicted but never true counts 0 in the macro mean; neither of both doesn't count.
    assert m.macro_f1(certain([0, 5]), np.array([0, 0])) == pytest.approx((2 / 3 + 0) / 2)


def test_balanced_accuracy_is_not_accuracy():
    p, y = certain([0, 0, 1, 1]), np.array([0, 0, 0, 1])
    assert m.accuracy(p, y) == 0.75
    assert m.balanced_accuracy(p, y) == pytest.approx((2 / 3 + 1) / 2)


def test_weighted_and_macro_auc_differ_where_the_rare_class_is_ranked_badly():
    p, y, _ = random_case(3, n=200)
    y[10:150] = 3
    areas = [sk.roc_auc_score(y == k, p[:, k]) for k in range(7)]
    share = np.bincount(y, minlength=7) / len(y)
    assert m.macro_auc(p, y) == pytest.approx(np.mean(areas))
    assert m.weighted_auc(p, y) == pytest.approx(np.dot(areas, share))
    assert abs(m.macro_auc(p, y) - m.weighted_auc(p, y)) > 0.01


def test_the_papers_auc_is_near_scikit_learns_but_another_number():
    # One of four negatives is above the positive: the curve is a step up at 1/4, its AUC 3/4. The
    # other class has no curve but a straight one's mirror, with points at 0 and 1 alone; between
    # the rates 0 and 1/4 a line to the upper end stands for the step.
    p = np.zeros((5, 7))
    p[:, 0] = [0.5, 0.9, 0.4, 0.3, 0.2]
    y = np.array([0, 1, 1, 1, 1])
    assert m.class_aucs(p, y)[0] == pytest.approx(0.75)
    assert m.class_paper_areas(p, y)[0] == pytest.approx(0.75 + 0.25 / 2)
    p, y, _ = random_case(4, n=700)
    difference = m.weighted_auc_paper(p, y) - m.weighted_auc(p, y)
    assert 1e-6 < difference < 1 / 600
    p, y, _ = random_case(4, n=7000)
    assert 0 < m.weighted_auc_paper(p, y) - m.weighted_auc(p, y) < difference / 5


def test_absent_classes():
    p, y, _ = random_case(5, n=80)
    p, y = p[y != 1], y[y != 1]
    share = np.bincount(y, minlength=7) / len(y)
    areas = [sk.roc_auc_score(y == k, p[:, k]) for k in range(7) if k != 1]
    assert m.weighted_auc(p, y) == pytest.approx(np.dot(areas, np.delete(share, 1)))
    scores = m.summarise(table(p, y)).set_index("metric")
    assert math.isnan(scores.loc["macro_auc", "value"])
    assert scores.loc["macro_auc", "reason"] == "no image of disgust"
    assert (scores.drop(index="macro_auc")["reason"] == "").all()


def test_one_confident_mistake_is_dear_but_finite():
    assert m.log_loss(np.eye(7)[[0]], np.array([1])) == pytest.approx(52 * math.log(2))


# Tables.


def test_summarise_cells():
    p, y, _ = random_case(6)
    both = pd.concat([table(p, y), table(np.eye(7)[y], y, condition="upper")])
    scores = m.summarise(both, ["accuracy", "ece"])
    assert list(scores) == ["model", "condition", "metric", "value", "n", "reason"]
    assert len(scores) == 4
    indexed = scores.set_index(["condition", "metric"])["value"]
    assert indexed["full", "accuracy"] == pytest.approx((p.argmax(1) == y).mean())
    assert indexed["upper", "accuracy"] == 1
    assert m.summarise(both, ["accuracy"], by=())["n"].item() == 2 * len(y)


def test_class_scores_equal_scikit_learn():
    p, y, _ = random_case(7, n=100)
    ours = m.class_scores(table(p, y))
    pred = p.argmax(1)
    theirs = sk.precision_recall_fscore_support(y, pred, labels=range(7))
    for name, expected in zip(("precision", "recall", "f1", "support"), theirs, strict=True):
        np.testing.assert_allclose(ours[name], expected, atol=1e-12)
    for k in range(7):
        assert ours["auc"][k] == pytest.approx(sk.roc_auc_score(y == k, p[:, k]))
        ap = sk.average_precision_score(y == k, p[:, k])
        assert ours["average_precision"][k] == pytest.approx(ap)
    assert ours["emotion"].tolist() == list(EMOTIONS)


def test_class_scores_say_why_they_are_undefined():
    scores = m.class_scores(table(certain([0, 0, 0]), np.array([0, 0, 1]))).set_index("emotion")
    assert scores.loc["angry", "precision"] == pytest.approx(2 / 3)
    assert scores.loc["angry", "reason"] == ""
    # Present but never predicted: a precision isn't defined, a recall and an F1 of 0 are.
    assert math.isnan(scores.loc["disgust", "precision"])
    assert scores.loc["disgust", ["recall", "f1"]].tolist() == [0, 0]
    assert scores.loc["disgust", "reason"] == "never predicted"
    assert scores.loc["fear", ["precision", "recall", "f1", "auc"]].isna().all()
    assert scores.loc["fear", "reason"] == "absent, never predicted"
    alone = m.class_scores(table(certain([0]), np.array([0]))).set_index("emotion")
    assert math.isnan(alone.loc["angry", "auc"])
    assert alone.loc["angry", "reason"] == "every image is of this emotion"


def test_confusion():
    cells = m.confusion(table(certain([0, 0, 1, 1]), np.array([0, 0, 0, 1])))
    assert len(cells) == 49
    at = cells.set_index(["true", "predicted"])
    assert at.loc[("angry", "angry"), "count"] == 2
    assert at.loc[("angry", "disgust"), "share"] == pytest.approx(1 / 3)
    assert at.loc[("disgust", "angry"), "count"] == 0
    assert at.loc["fear"]["share"].isna().all()


def test_curves_have_the_areas_of_the_class_scores():
    p, y, _ = random_case(8, n=90)
    cell = table(p, y)
    scores = m.class_scores(cell).set_index("emotion")
    for emotion in EMOTIONS:
        roc, pr = m.roc_curve(cell, emotion), m.precision_recall_curve(cell, emotion)
        assert roc.area == pytest.approx(scores.loc[emotion, "auc"])
        assert sk.auc(roc.x, roc.y) == pytest.approx(roc.area)
        assert (roc.x[0], roc.y[0], roc.x[-1], roc.y[-1]) == (0, 0, 1, 1)
        assert pr.area == pytest.approx(scores.loc[emotion, "average_precision"])
        assert -np.sum(np.diff(pr.x) * pr.y[:-1]) == pytest.approx(pr.area)


def test_undefined_curves_say_why():
    cell = table(certain([0, 0]), np.array([0, 0]))
    assert m.roc_curve(cell, "fear").reason == "no image of fear"
    assert m.roc_curve(cell, "angry").reason == "every image is of angry"
    assert m.precision_recall_curve(cell, "angry").area == 1
    assert m.precision_recall_curve(cell, "fear").reason == "no image of fear"
    assert m.roc_curve(cell.iloc[:0], "fear").reason == "no images"


def test_reliability_explains_ece():
    p, y, _ = random_case(9, n=200)
    bins = m.reliability(table(p, y))
    assert len(bins) == 15
    assert bins["count"].sum() == 200
    filled = bins[bins["count"] > 0]
    assert (filled["confidence"] <= filled["high"]).all()
    assert (filled["confidence"] > filled["low"]).all()
    gaps = (filled["accuracy"] - filled["confidence"]).abs()
    assert np.average(gaps, weights=filled["count"]) == pytest.approx(m.ece(p, y))
    assert bins.loc[bins["count"] == 0, "accuracy"].isna().all()


def splits_table() -> pd.DataFrame:
    p, y, _ = random_case(10, n=9)
    split = ["train"] * 3 + ["validation"] * 2 + ["test"] * 4
    return table(p, y, split=split, leaked=[False] * 5 + [True, False, False, True])


def test_protocols():
    predictions = splits_table()
    picked = {name: m.select_protocol(predictions, name)["image"].tolist() for name in m.PROTOCOLS}
    assert picked == {
        "standard": ["i5", "i6", "i7", "i8"],
        "paper": ["i3", "i4", "i5", "i6", "i7", "i8"],
        "leak-free": ["i6", "i7"],
    }


def test_half_a_protocol_does_not_bear_its_name():
    predictions = splits_table()
    test_only = predictions[predictions["split"] == "test"].assign(model="any-seed0")
    both = pd.concat([predictions, test_only])
    assert set(m.select_protocol(both, "standard")["model"]) == {"full-seed0", "any-seed0"}
    assert set(m.select_protocol(both, "paper")["model"]) == {"full-seed0"}
    assert m.select_protocol(test_only, "paper").empty


def test_wrong_usage_is_named():
    p, y, _ = random_case(11)
    two = pd.concat([table(p, y), table(p, y, condition="upper")])
    with pytest.raises(UsageError, match="2 such cells"):
        m.roc_curve(two, "happy")
    with pytest.raises(UsageError, match="2 such cells"):
        m.reliability(two)
    with pytest.raises(UsageError, match="contempt"):
        m.roc_curve(table(p, y), "contempt")
    with pytest.raises(UsageError, match="acuracy"):
        m.summarise(two, ["acuracy"])
    with pytest.raises(UsageError, match="subject"):
        m.summarise(two, by=["subject"])
    with pytest.raises(UsageError, match="strict"):
        m.select_protocol(two, "strict")


@pytest.mark.parametrize("levels", [3, 50, 10_000])
def test_ranking_scores_are_scikit_learns_with_and_without_ties(levels):
    rng = np.random.default_rng(levels)
    positive = rng.random(400) < 0.2
    scores = np.round(rng.random(400) * levels) / levels
    area, precision = m.ranking_scores(scores, positive)
    assert area == pytest.approx(sk.roc_auc_score(positive, scores), abs=1e-12)
    assert precision == pytest.approx(sk.average_precision_score(positive, scores), abs=1e-12)


def test_ranking_scores_without_positives_or_without_others():
    assert np.isnan(m.ranking_scores(np.ones(3), np.zeros(3, dtype=bool))).all()
    area, precision = m.ranking_scores(np.arange(3.0), np.ones(3, dtype=bool))
    assert np.isnan(area)
    assert precision == 1
