"""The words about people's answers: what is sure is said, and what isn't is not."""

import numpy as np
import pandas as pd
import pytest

from hemiface.config import StatisticsOptions
from hemiface.data.people_answers import ANSWERED_COLUMNS, Answered
from hemiface.errors import UsageError
from hemiface.report.figures.people import conditions_plot
from hemiface.report.people import compute
from hemiface.report.words.people import methods
from hemiface.stats.people.trials import Trials
from hemiface.tables import EMOTIONS
from simulated_people import People, simulate

OPTIONS = StatisticsOptions(draws=200)


def answered(people: People, seed: int = 0) -> Answered:
    table = simulate(people, seed)
    known = table.assign(
        picture=table["person"], kind="part", said=table["answer"], handled="counted",
        rt_s=np.nan, confidence=np.nan, block="", sigma_px=np.nan,
    )  # fmt: skip
    known["bubbles"] = known["tiles"] = pd.Series([()] * len(known), index=known.index)
    return Answered(known[list(ANSWERED_COLUMNS)])


def test_a_half_that_tells_more_is_named_and_one_that_may_is_not():
    planted = {"full": 2.5, "upper": 2.0, "lower": -1.5, "left": 1.0, "right": 1.0}
    found = compute(answered(People(bases=planted, participants=20, faces=28)), {}, OPTIONS)
    said = " ".join(found.words)
    assert "the lower half tells more" in said
    assert "to the right half: neither surely tells more" in said
    assert " less than with nothing hidden" in said
    assert "lower hidden " in said[said.index("Unbiased hit rates") :]
    assert "20 participants gave 2,800 answers that count to 140 stimuli of 28 faces." in said
    assert set(found.tables) == {
        "participants", "responses", "confusions", "sensitivity", "information", "shapley",
    }  # fmt: skip


def test_what_was_hidden_is_called_hidden_in_the_figure_and_other_kinds_by_their_names():
    bases = {"full": 2.0, "upper@blur": 1.0, "composite-aligned-upper": 1.0}
    found = compute(answered(People(bases=bases, participants=3, faces=14)), {}, OPTIONS)
    figure = conditions_plot(found.tables["sensitivity"], {"recall": "Hit rate"})
    ticks = [one.get_text() for one in figure.axes[0].get_yticklabels()]
    assert ticks == ["nothing hidden", "composite-aligned-upper", "upper hidden (blur)"]
    assert figure.get_suptitle().startswith("People's answers by what was hidden or made")


def test_nothing_planted_is_nothing_said():
    alike = {"full": 1.0, "upper": 1.0, "lower": 1.0}
    found = compute(answered(People(bases=alike, participants=20, faces=28)), {}, OPTIONS)
    assert "No condition's unbiased hit rate surely differs from its reference." in found.words
    assert any("neither surely tells more" in one for one in found.words)


def test_an_effect_that_is_complete_is_no_effect_that_was_not_found():
    table = answered(People(bases={"full": 0.0, "upper": 0.0, "lower": 0.0}, participants=6,
                            faces=14)).table  # fmt: skip
    another = dict(zip(EMOTIONS, [*EMOTIONS[1:], EMOTIONS[0]], strict=True))
    wrong = table["emotion"].map(another).where(table["condition"] == "upper", table["emotion"])
    said = compute(Answered(table.assign(answer=wrong, said=wrong)), {}, OPTIONS).words
    assert (
        "Unbiased hit rates, in points, the same in every draw and so without a test: with upper "
        "hidden 100.0 less than with nothing hidden." in said
    )
    assert "No other condition's unbiased hit rate surely differs from its reference." in said
    two = table[table["condition"] != "lower"]
    said = compute(Answered(two.assign(answer=wrong, said=wrong)), {}, OPTIONS).words
    assert not any("unbiased hit rate surely differs" in one for one in said)


def test_of_several_fills_the_words_are_about_the_one_in_the_figure():
    """Under black the lower half tells more, under blur the upper one."""
    planted = {"full": 2.5, "upper": 2.0, "lower": -1.5, "upper@blur": -1.5, "lower@blur": 2.0}
    found = compute(answered(People(bases=planted, participants=20, faces=28)), {}, OPTIONS)
    shapley = found.tables["shapley"]
    assert list(dict.fromkeys(shapley["fill"])) == ["black", "blur"]
    said = " ".join(found.words)
    assert "the lower half tells more" in said
    assert "the upper half tells more" not in said


def test_few_are_said_to_be_few():
    three = compute(answered(People(participants=3, faces=28)), {}, OPTIONS)
    assert any(one.startswith("3 participants are few") for one in three.words)
    seven = compute(answered(People(participants=12, faces=7)), {}, OPTIONS)
    assert any(one.startswith("7 faces are few") for one in seven.words)
    alone = compute(answered(People(participants=1, faces=28)), {}, OPTIONS)
    assert any(one.startswith("There is a single participant") for one in alone.words)
    assert alone.words[0].startswith("1 participant gave 56 answers that count to")
    bases = {"full": 2.0, "upper": 1.0, "lower": 1.0}
    halves = compute(answered(People(bases=bases, participants=1, faces=28)), {}, OPTIONS)
    assert "shapley" in halves.tables
    assert not any("?" in one for one in halves.words)
    assert not any("less than" in one for one in alone.words)


def test_what_nobody_shares_and_what_one_answer_counts_for_twice_is_said():
    given = answered(People(participants=1, faces=14)).table
    found = compute(Answered(given), {"net": dict(given[["stimulus", "emotion"]].values)}, OPTIONS)
    assert any("no stimulus has answers of two people" in one for one in found.words)
    assert not any("?" in one for one in found.words)
    single = "Of a composite a network gives a single answer"
    assert not any(one.startswith(single) for one in methods(found.trials, ["net"], {}))
    composites = Trials(given.assign(kind="composite"), OPTIONS)
    assert any(one.startswith(single) for one in methods(composites, ["net"], {}))
    assert not any(one.startswith(single) for one in methods(composites, [], {}))


def test_a_network_must_not_be_taken_for_people():
    given = answered(People(participants=2, faces=7))
    with pytest.raises(UsageError, match="can't be called people here"):
        compute(given, {"people": {}}, OPTIONS)
    none = Answered(given.table.assign(handled="left out"))
    with pytest.raises(UsageError, match="No trial counts: every answer"):
        compute(none, {}, OPTIONS)
