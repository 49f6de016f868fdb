"""Sentences about specifications say what their table says."""

import pandas as pd
import pytest

from hemiface.report.words.specifications import specification_words
from hemiface.stats.specification import NEUTRAL, held, moved


def rows(quantity: str, answers: list[tuple[str, float, float, float]]) -> pd.DataFrame:
    columns = ["labels", "value", "low", "high"]
    table = pd.DataFrame(answers, columns=columns).assign(quantity=quantity, emotion="all")
    neutral = NEUTRAL[quantity]
    table["sign"] = (table["low"] > neutral).astype(int) - (table["high"] < neutral)
    return table.assign(fill=table.groupby("labels").cumcount())


def said(table: pd.DataFrame) -> list[str]:
    return specification_words(held(table, ["labels"]), moved(table, ["labels", "fill"]))


def test_what_holds_in_all_and_what_moves_it():
    answers = [("a", 1.5, 1.2, 1.8), ("a", 1.7, 1.4, 2.0), ("b", 2.5, 2.1, 3.0)]
    assert said(rows("lower / upper", answers)) == [
        "In all 3 specifications the lower half tells more.",
        "The ratio lies between 1.50 and 2.50, in the middle 1.70.",
        "With all else alike, the choice of labels moves it most: b has 1.67 times the ratio of a "
        "(1.67 to 1.67, 1 pair).",
    ]


@pytest.mark.parametrize(
    ("intervals", "sentence"),
    [
        (
            [(-0.3, -0.1), (-0.1, 0.2), (0.1, 0.3)],
            "Of 3 specifications, in 1 the picture's left half tells more and in 1 the picture's "
            "right half tells more, and in 1 it is undecided.",
        ),
        (
            [(0.1, 0.2), (-0.1, 0.2), (0.1, 0.3)],
            "Of 3 specifications, in 2 the picture's left half tells more, and in 1 it is "
            "undecided.",
        ),
        (
            [(-0.1, 0.2), (-0.2, 0.1), (-0.1, 0.1)],
            "In none of 3 specifications it is decided whether the picture's left half tells more "
            "or the picture's right half tells more.",
        ),
        (
            [(-0.2, -0.1)] * 3,
            "In all 3 specifications the picture's right half tells more.",
        ),
    ],
)
def test_what_is_decided(intervals, sentence):
    answers = [("a", (low + high) / 2, low, high) for low, high in intervals]
    words = said(rows("left - right", answers))
    assert words[0] == sentence
    assert len(words) == 2 + (len(set(intervals)) > 1)  # what is alike moves nothing


def test_signs_and_zeros():
    answers = [("a", -0.004, -0.3, 0.1), ("a", -0.25, -0.5, -0.1)]
    assert said(rows("upper - lower", answers))[1:] == [
        "Upper minus lower lies between −0.25 and 0.00 bits, in the middle −0.13.",
        "With all else alike, the choice of fill moves it most: 0 instead of 1 moves it 0.25 bits "
        "towards the upper half (0.25 to 0.25, 1 pair).",
    ]


def test_each_emotion_in_one_sentence_after_all_together():
    together = rows("left - right", [("a", 0.2, 0.1, 0.3)])
    sad = rows("left - right", [("a", -0.2, -0.3, -0.1)]).assign(emotion="sad")
    assert said(pd.concat([sad, together], ignore_index=True)) == [
        "In the only specification the picture's left half tells more.",
        "The picture's left minus right lies between 0.20 and 0.20 bits, in the middle 0.20.",
        "Sad: in the only specification the picture's right half tells more; the picture's left "
        "minus right lies between −0.20 and −0.20 bits, in the middle −0.20.",
    ]


def test_one_option_moves_nothing():
    answers = [("a", 1.5, 1.2, 1.8)]
    assert len(said(rows("lower / upper", answers))) == 2


def test_nothing_is_said_of_what_has_no_answer():
    nothing = rows("lower / upper", [("a", float("nan"), float("nan"), float("nan"))])
    assert said(nothing) == []
