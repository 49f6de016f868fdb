"""Voters: one person against the others, by brute force over persons."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import answers, described, sampled, scored_predictions
from hemiface.errors import UsageError
from hemiface.stats.voters import VOTERS_COLUMNS, agreement_with_others, voters
from hemiface.tables import EMOTIONS

N = 700
LABELS = np.arange(N) % 7


def persons(votes: np.ndarray) -> list[int]:
    return [answer for answer, count in enumerate(votes) for _ in range(count)]


def by_hand(votes: np.ndarray, answer: int | None) -> float:
    """Mean agreement of an answer, or (None) of the person who is taken out, with the others."""
    everyone, found = persons(votes), []
    for place, own in enumerate(everyone):
        rest = np.bincount(everyone[:place] + everyone[place + 1 :], minlength=7)
        best = np.flatnonzero(rest == rest.max())
        said = own if answer is None else answer
        found.append((said in best) / len(best))
    return float(np.mean(found))


def told(votes: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame(votes, columns=[f"votes_{emotion}" for emotion in EMOTIONS])
    return table.assign(image=[f"{k:016x}" for k in range(len(votes))])


def drawn_votes(agreed: float, seed: int = 0, people: int = 10) -> np.ndarray:
    """Each person sees the label with probability `agreed`, else anything."""
    random = np.random.default_rng(seed)
    seen = np.where(
        random.random((N, people)) < agreed, LABELS[:, None], random.integers(0, 7, (N, people))
    )
    return np.stack([(seen == k).sum(axis=1) for k in range(7)], axis=1)


@given(st.lists(st.lists(st.integers(0, 4), min_size=7, max_size=7), min_size=1, max_size=5))
def test_an_answer_agrees_as_counted_by_hand(votes):
    counts = np.array([one for one in votes if sum(one) >= 2] or [[1, 1, 0, 0, 0, 0, 0]])
    found = agreement_with_others(counts)
    for row, one in zip(found, counts, strict=True):
        for answer in range(7):
            assert row[answer] == pytest.approx(by_hand(one, answer))


class TestTable:
    def test_a_network_and_a_person_by_hand(self):
        votes = drawn_votes(0.6)
        right = np.random.default_rng(1).random(N) < 0.7
        outcomes = {("any-seed0", "full"): LABELS, ("any-seed0", "upper"): answers(LABELS, right)}
        predictions = scored_predictions(outcomes, LABELS)
        found = voters(sampled(predictions, draws=100), told(votes)).set_index("condition")
        person = np.mean([by_hand(one, None) for one in votes])
        for key, said in (("full", LABELS), ("upper", answers(LABELS, right))):
            row = found.loc[key]
            network = np.mean(
                [by_hand(one, answer) for one, answer in zip(votes, said, strict=True)]
            )
            assert row["network"] == pytest.approx(network)
            assert row["voter"] == pytest.approx(person)
            assert row["difference"] == pytest.approx(network - person)
            assert row["low"] < row["difference"] < row["high"]
            assert (row["n"], row["votes"]) == (N, 10 * N)
        assert list(found.reset_index()[list(VOTERS_COLUMNS)].columns) == list(VOTERS_COLUMNS)

    def test_a_network_that_answers_as_one_more_person_is_no_better_than_one(self):
        votes = drawn_votes(0.5, people=11)
        # One of eleven is asked, the ten others vote.
        random = np.random.default_rng(3)
        one = np.array([random.choice(persons(row)) for row in votes])
        votes[np.arange(N), one] -= 1
        predictions = scored_predictions({("any-seed0", k): one for k in ("full", "upper")}, LABELS)
        row = voters(sampled(predictions, draws=300), told(votes)).iloc[0]
        assert row["low"] < 0 < row["high"]
        assert row["p"] > 0.05

    def test_images_with_few_votes_dont_count(self):
        votes = drawn_votes(0.6)
        votes[: N // 2] = [2, 0, 0, 0, 0, 0, 0]
        predictions = scored_predictions({("any-seed0", "full"): LABELS}, LABELS)
        row = voters(sampled(predictions, draws=20), told(votes)).iloc[0]
        assert (row["n"], row["groups"]) == (N // 2, N // 2)

    def test_seeds_and_models(self):
        votes = drawn_votes(0.6)
        outcomes = {
            (f"{name}-seed{seed}", "full"): answers(
                LABELS, np.random.default_rng(seed).random(N) < 0.6
            )
            for name in ("full", "any")
            for seed in (0, 1)
        }
        found = voters(sampled(scored_predictions(outcomes, LABELS), draws=20), told(votes))
        assert list(zip(found["model"], found["seed"], strict=True)) == [
            (name, seed) for name in ("full", "any") for seed in ("0", "1", "mean")
        ]

    def test_a_network_without_scored_images_costs_the_others_nothing(self):
        votes = drawn_votes(0.6)
        outcomes = {
            (name, "full"): answers(LABELS, np.random.default_rng(0).random(N) < 0.6)
            for name in ("any-seed0", "full-seed0")
        }
        sample = sampled(scored_predictions(outcomes, LABELS), draws=20)
        table = sample.whole.table
        is_of_full = (table["model"] == "full-seed0").to_numpy()
        table = table.assign(split=np.where(is_of_full, "validation", table["split"]))
        found = voters(sampled(described(table), draws=20), told(votes))
        assert list(found["model"]) == ["any"]

    def test_no_interval_passes_what_can_be(self):
        """t of one degree of freedom would."""
        outcomes = {("any-seed0", "full"): LABELS, ("any-seed1", "full"): (LABELS + 1) % 7}
        sample = sampled(scored_predictions(outcomes, LABELS), draws=20)
        found = voters(sample, told(drawn_votes(0.9)))
        row = found[found["seed"] == "mean"].iloc[0]
        assert (row["network_low"], row["network_high"]) == (0, 1)
        assert (row["low"], row["high"]) == (-1, 1)

    def test_no_votes(self):
        predictions = scored_predictions({("any-seed0", "full"): LABELS}, LABELS)
        with pytest.raises(UsageError, match="--labels ferplus=PATH"):
            voters(predictions, pd.DataFrame({"image": ["0"]}))
        with pytest.raises(UsageError, match="None of these images has votes"):
            voters(predictions, told(drawn_votes(0.6)).assign(image="elsewhere").iloc[:1])
