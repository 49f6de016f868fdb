"""Sensitivity: a response bias moves recall and criterion, and leaves d', AUC and H_u's order."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from builders import described, sampled, scored_predictions
from hemiface.errors import UsageError
from hemiface.stats.confusion_shifts import confusion_shifts, response_bias
from hemiface.stats.sensitivity import MEASURES, SENSITIVITY_COLUMNS, bias_part, sensitivity
from hemiface.tables import EMOTIONS, PROBABILITY_COLUMNS, Predictions

N = 4200
LABELS = np.arange(N) % 7
SURPRISE = EMOTIONS.index("surprise")
SAD, NEUTRAL = EMOTIONS.index("sad"), EMOTIONS.index("neutral")


def evidence(strength: float, seed: int, bias: float = 0.0, towards: int = SURPRISE) -> np.ndarray:
    """Probabilities [n, 7] of noisy evidence, `bias` added to one emotion's logit everywhere."""
    logits = np.random.default_rng(seed).normal(0, 1, (N, 7))
    logits[np.arange(N), LABELS] += strength
    logits[:, towards] += bias
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)


def told(cells: dict[tuple[str, str], np.ndarray]) -> Predictions:
    tables = []
    for (model, key), values in cells.items():
        cell = pd.DataFrame(values, columns=list(PROBABILITY_COLUMNS)).assign(
            image=[f"{k:016x}" for k in range(N)],
            condition=key, model=model, dataset="made", split="test",
            label=np.asarray(EMOTIONS)[LABELS],
            group=[f"g{k:05}" for k in range(N)], leaked=False,
        )  # fmt: skip
        tables.append(cell)
    return described(pd.concat(tables, ignore_index=True))


def row(found: pd.DataFrame, measure: str, key: str = "upper", emotion: str = "surprise"):
    rows = found[found["measure"].eq(measure) & found["condition"].eq(key)]
    return rows[rows["emotion"] == emotion].iloc[0]


class TestMeasures:
    def test_by_their_definitions(self):
        values = evidence(1.0, 0)
        found = sensitivity(sampled(told({("any-seed0", k): values for k in ("full", "upper")})))
        answers = values.argmax(axis=1)
        hits = ((answers == SURPRISE) & (LABELS == SURPRISE)).sum()
        images, given = (LABELS == SURPRISE).sum(), (answers == SURPRISE).sum()
        assert row(found, "recall")["value"] == pytest.approx(hits / images)
        assert row(found, "unbiased_hit_rate")["value"] == pytest.approx(hits**2 / (images * given))
        # Emotions are equally frequent here: the mean rate of the others is that of all others.
        others, alarms = N - images, given - hits
        hit = stats.norm.ppf((hits + 0.5) / (images + 1))
        alarm = stats.norm.ppf((alarms + 0.5) / (others + 1))
        assert row(found, "d_prime")["value"] == pytest.approx(hit - alarm)
        assert row(found, "criterion")["value"] == pytest.approx(-(hit + alarm) / 2)
        area = roc_auc_score(LABELS == SURPRISE, values[:, SURPRISE])
        assert row(found, "auc")["value"] == pytest.approx(area)
        assert list(found.columns) == list(SENSITIVITY_COLUMNS)

    def test_rates_of_0_and_1_are_finite(self):
        # Hautus's correction: perfect answers to 10 images of an emotion and 60 others.
        labels = np.arange(70) % 7
        table = scored_predictions(
            {("any-seed0", key): labels for key in ("full", "upper")}, labels
        )
        found = sensitivity(sampled(table, draws=20))
        expected = stats.norm.ppf(10.5 / 11) - stats.norm.ppf(0.5 / 61)
        assert row(found, "d_prime", "full")["value"] == pytest.approx(expected)

    def test_an_answer_that_is_never_given(self):
        labels = np.arange(70) % 7
        never = np.where(labels == SURPRISE, 0, labels)
        outcomes = {("any-seed0", "full"): labels, ("any-seed0", "upper"): never}
        found = sensitivity(sampled(scored_predictions(outcomes, labels), draws=20))
        assert row(found, "unbiased_hit_rate")["value"] == 0
        assert row(found, "unbiased_hit_rate")["change"] == -1

    def test_an_emotion_without_images(self):
        labels = np.arange(60) % 6
        outcomes = {("any-seed0", key): labels for key in ("full", "upper")}
        found = sensitivity(sampled(scored_predictions(outcomes, labels), draws=20))
        assert found.loc[found["emotion"] == "neutral", "value"].isna().all()
        assert set(found.loc[found["emotion"] == "neutral", "reason"]) == {"no images"}
        assert found.loc[found["emotion"] == "happy", "value"].notna().all()


class TestBias:
    @pytest.fixture
    def biased(self) -> pd.DataFrame:
        cells = {
            ("any-seed0", "full"): evidence(1.5, 0),
            ("any-seed0", "upper"): evidence(1.5, 0, bias=1.2),
        }
        return sensitivity(sampled(told(cells), draws=200))

    def test_moves_recall_and_criterion(self, biased):
        recall, criterion = row(biased, "recall"), row(biased, "criterion")
        assert recall["change"] > 0.15
        assert criterion["change"] < -0.4
        assert max(recall["p_holm"], criterion["p_holm"]) < 1e-6

    def test_moves_neither_auc_nor_much_of_d_prime(self, biased):
        assert abs(row(biased, "auc")["change"]) < 0.02
        assert abs(row(biased, "d_prime")["change"]) < 0.15
        recall = row(biased, "recall")
        assert recall["by_answers"] == pytest.approx(recall["change"], abs=0.03)
        assert recall["by_answers_low"] < recall["by_answers"] < recall["by_answers_high"]
        assert recall["by_answers_p_holm"] < 1e-6
        # Who looks at recall alone would say that surprise is seen better with the half hidden.
        assert row(biased, "unbiased_hit_rate")["change"] < 0.02

    def test_what_is_seen_worse_is_found_by_all(self):
        cells = {
            ("any-seed0", "full"): evidence(1.5, 0),
            ("any-seed0", "upper"): evidence(0.7, 0),
        }
        found = sensitivity(sampled(told(cells), draws=300))
        for measure in set(MEASURES) - {"criterion"}:
            one = row(found, measure)
            assert one["change"] < 0
            assert one["change_high"] < 0
            assert one["p_holm"] < 0.001
        recall = row(found, "recall")
        assert abs(recall["by_answers"]) < abs(recall["change"]) / 10

    def test_its_part_stands_beside_recall_alone(self, biased):
        rest = biased[biased["measure"] != "recall"]
        assert (
            rest[
                [
                    "by_answers",
                    "by_answers_low",
                    "by_answers_high",
                    "by_answers_p",
                    "by_answers_p_holm",
                ]
            ]
            .isna()
            .all(axis=None)
        )
        whole = biased[(biased["measure"] == "recall") & (biased["condition"] == "full")]
        assert (whole[["by_answers", "by_answers_low", "by_answers_high"]] == 0).all(axis=None)
        assert whole["by_answers_p"].isna().all()

    def test_biases_of_the_choice_model_come_back(self):
        """Shares that Luce's model makes, with known biases: their part is what they change."""
        random = np.random.default_rng(0)
        alike = np.exp(-random.uniform(0.5, 3, (7, 7)))
        before, after = ((one + one.T) / 2 for one in (alike, np.sqrt(alike)))  # less well told
        for one in (before, after):
            np.fill_diagonal(one, 1.0)
        flat, biased = np.ones(7), np.exp(random.normal(0, 1, 7))

        def shares(likeness, bias):
            return likeness * bias / (likeness * bias).sum(axis=1, keepdims=True)

        def recall(likeness, bias):
            return np.diagonal(shares(likeness, bias))

        only_seen = bias_part(shares(before, biased), shares(after, biased))
        np.testing.assert_allclose(only_seen, 0, atol=1e-12)
        only_bias = bias_part(shares(before, flat), shares(before, biased))
        np.testing.assert_allclose(only_bias, recall(before, biased) - recall(before, flat))
        both = bias_part(shares(before, flat), shares(after, biased))
        orders = [recall(one, biased) - recall(one, flat) for one in (before, after)]
        np.testing.assert_allclose(both, np.mean(orders, axis=0))
        back = bias_part(shares(after, biased), shares(before, flat))
        np.testing.assert_allclose(back, -both)

    def test_an_emotion_without_images_leaves_the_others_parts_alone(self):
        random = np.random.default_rng(1)
        tables = random.dirichlet(np.ones(6), (2, 6))
        # Nothing looks like the seventh and nobody answers it.
        wide = np.full((2, 7, 7), 1e-300)
        wide[:, :6, :6] = tables
        wide[:, 6] = np.nan
        found = bias_part(*wide)
        assert np.isnan(found[6])
        pairs = [(t * np.diagonal(t)) / (t * np.diagonal(t)[None]).T for t in tables]
        towards = np.subtract(*[np.log(p).mean(axis=0) / 2 for p in pairs[::-1]])
        tilted = tables[0] * np.exp(towards)
        added = np.diagonal(tilted / tilted.sum(axis=1, keepdims=True)) - np.diagonal(tables[0])
        tilted = tables[1] * np.exp(-towards)
        taken = np.diagonal(tables[1]) - np.diagonal(tilted / tilted.sum(axis=1, keepdims=True))
        np.testing.assert_allclose(found[:6], (added + taken) / 2, rtol=1e-9)


class TestShifts:
    def test_bias_by_brute_force(self):
        change = np.random.default_rng(0).normal(0, 1, (7, 7, 3))
        found = response_bias(change)
        for true in range(7):
            for predicted in range(7):
                others = [u for u in range(7) if u not in (true, predicted)]
                expected = change[others, predicted].mean(axis=0)
                np.testing.assert_allclose(found[true, predicted], expected)

    def test_bias_without_images_of_an_emotion(self):
        change = np.random.default_rng(0).normal(0, 1, (7, 7))
        change[2] = np.nan
        others = [u for u in range(7) if u not in (2, SAD, NEUTRAL)]
        expected = change[others, NEUTRAL].mean()
        assert response_bias(change)[SAD, NEUTRAL] == pytest.approx(expected)

    @pytest.mark.parametrize(("bias", "specific"), [(1.0, False), (0.0, True)])
    def test_an_answer_given_more_often_is_no_confusion(self, bias, specific):
        hidden = evidence(1.5, 0, bias=bias, towards=NEUTRAL)
        if specific:
            # Only sad faces look neutral.
            worse = evidence(1.5, 0, bias=2.0, towards=NEUTRAL)
            hidden = np.where((LABELS == SAD)[:, None], worse, hidden)
        cells = {("any-seed0", "full"): evidence(1.5, 0), ("any-seed0", "upper"): hidden}
        found = confusion_shifts(sampled(told(cells), draws=300))
        one = found[found["true"].eq("sad") & found["predicted"].eq("neutral")].iloc[0]
        assert one["shift"] > 0.1
        assert one["bias"] + one["specific"] == pytest.approx(one["shift"])
        if specific:
            assert one["specific_low"] > 0.1
            assert one["specific_p_holm"] < 0.001
        else:
            assert abs(one["specific"]) < 0.05
            assert one["specific_p_holm"] > 0.05


def test_nothing_to_compare():
    with pytest.raises(UsageError, match="full,upper,lower,left,right"):
        sensitivity(told({("any-seed0", "full"): evidence(1.0, 0)}))
