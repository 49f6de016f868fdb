"""A declared mix of emotions: Bayes' rule and its laws, what can be declared, what models know."""

import csv
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hemiface.errors import DamagedError, UsageError
from hemiface.files import sha256_file
from hemiface.models import shipped
from hemiface.models.class_mix import (
    NATURAL,
    NATURAL_FLOOR,
    NATURAL_WEIGHTS,
    Mix,
    checked_shares,
    reweigh,
    trained_shares,
)
from hemiface.models.onnx_file import OnnxModel
from hemiface.models.temperatures import ModelCalibration
from hemiface.tables import EMOTIONS

EVEN = dict.fromkeys(EMOTIONS, 1 / 7)
UNIFORM = np.full(7, 1 / 7)


def shares(smallest=0.01):
    weights = arrays(np.float64, 7, elements=st.floats(smallest, 1))
    return weights.filter(np.any).map(lambda one: one / one.sum())


def rows():
    weights = arrays(np.float64, (5, 7), elements=st.floats(1e-6, 1))
    return weights.map(lambda one: one / one.sum(axis=1, keepdims=True))


class TestReweigh:
    def test_it_is_bayes_rule_where_the_truth_is_known(self):
        # Ten looks of a face, each emotion showing them with its own probabilities: every posterior
        # is a ratio of counts, whatever the mix.
        rng = np.random.default_rng(0)
        looks = rng.dirichlet(np.ones(10), 7)
        trained, declared = rng.dirichlet(np.ones(7)), rng.dirichlet(np.ones(7))
        posteriors = {
            name: np.array(
                [
                    [
                        mix[y] * looks[y, x] / sum(mix[z] * looks[z, x] for z in range(7))
                        for y in range(7)
                    ]
                    for x in range(10)
                ]
            )
            for name, mix in {"trained": trained, "declared": declared}.items()
        }
        found = reweigh(posteriors["trained"], trained, declared)
        np.testing.assert_allclose(found, posteriors["declared"], rtol=1e-12)
        # Neither dividing by the trained mix alone nor multiplying by the declared one does it.
        assert not np.allclose(reweigh(posteriors["trained"], trained, UNIFORM), found)
        assert not np.allclose(reweigh(posteriors["trained"], UNIFORM, declared), found)

    def test_it_gets_more_right_where_the_mix_is_the_declared_one(self):
        rng = np.random.default_rng(1)
        trained, declared = np.array([0.4] + [0.1] * 6), np.array([0.04] + [0.16] * 6)
        looks = rng.dirichlet(np.full(30, 0.5), 7)
        labels = rng.choice(7, 20_000, p=declared)
        seen = (rng.random(len(labels))[:, None] > looks.cumsum(axis=1)[labels]).sum(axis=1)
        joint = trained[:, None] * looks
        values = (joint / joint.sum(axis=0)).T[np.minimum(seen, 29)]
        found = reweigh(values, trained, declared)
        right = [(one.argmax(axis=1) == labels).mean() for one in (values, found)]
        assert right[1] > right[0] + 0.02
        # What it says is as sure as it is right: the mix leaves a calibrated network calibrated.
        assert found.max(axis=1).mean() == pytest.approx(right[1], abs=0.01)

    @given(rows(), shares())
    def test_the_trained_mix_changes_nothing(self, values, mix):
        np.testing.assert_allclose(reweigh(values, mix, mix), values, rtol=1e-12)

    @given(rows(), shares(), shares(), shares())
    def test_one_mix_after_another_is_the_last(self, values, first, second, third):
        twice = reweigh(reweigh(values, first, second), second, third)
        np.testing.assert_allclose(twice, reweigh(values, first, third), rtol=1e-9)

    @given(rows(), shares(), shares(smallest=0))
    def test_probabilities_stay_probabilities(self, values, trained, declared):
        found = reweigh(values, trained, declared)
        assert (found >= 0).all()
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-12)

    @given(rows(), shares(), shares(), st.integers(0, 6), st.floats(0.01, 1))
    def test_more_of_an_emotion_makes_it_more_probable(self, values, trained, mix, which, more):
        raised = mix.copy()
        raised[which] += more
        before = reweigh(values, trained, mix)[:, which]
        after = reweigh(values, trained, raised / raised.sum())[:, which]
        assert (after >= before * (1 - 1e-12)).all()

    @given(rows(), shares(), shares())
    def test_the_label_is_that_of_the_largest_product(self, values, trained, declared):
        found = reweigh(values, trained, declared)
        for row, own in zip(values, found, strict=True):
            products = [p * q / pi for p, q, pi in zip(row, declared, trained, strict=True)]
            assert products[int(own.argmax())] == pytest.approx(max(products), rel=1e-12)

    @given(rows(), shares(), shares(), st.permutations(range(7)))
    def test_renaming_emotions_renames_the_result(self, values, trained, declared, order):
        one = reweigh(values, trained, declared)[:, order]
        two = reweigh(values[:, order], trained[list(order)], declared[list(order)])
        np.testing.assert_allclose(one, two, rtol=1e-12)

    def test_an_emotion_that_cannot_occur_is_never_said_even_if_the_network_is_certain(self):
        values = np.array([[1.0, 0, 0, 0, 0, 0, 0]])
        found = reweigh(values, UNIFORM, np.array([0, 0.5, 0, 0.5, 0, 0, 0]))
        np.testing.assert_allclose(found, [[0, 0.5, 0, 0.5, 0, 0, 0]])


class TestMix:
    def test_names(self):
        assert Mix.of("trained").shares is None
        np.testing.assert_allclose(Mix.of("balanced").shares, UNIFORM)
        np.testing.assert_allclose(Mix.of("natural").shares, [NATURAL[one] for one in EMOTIONS])
        assert [Mix.of(one).name for one in ("trained", "natural")] == ["trained", "natural"]

    @pytest.mark.parametrize("kind", ["json", "toml", "csv"])
    def test_files_say_the_same_whatever_their_form(self, tmp_path, kind):
        weights = {**dict.fromkeys(EMOTIONS, 0.1), "happy": 0.3, "sad": 0.2}
        lines = {
            "json": json.dumps(weights),
            "toml": "\n".join(f"{key} = {one}" for key, one in weights.items()),
            "csv": "\ufeffshare,emotion\n" + "".join(f"{w},{k}\n" for k, w in weights.items()),
        }
        path = tmp_path / f"mine.{kind}"
        path.write_text(lines[kind], encoding="utf-8")
        found, declared = Mix.of(path), Mix.of(weights)
        np.testing.assert_allclose(found.shares, list(weights.values()))
        assert found.name.startswith(f"mine.{kind}#")
        assert declared.name == f"declared#{found.name.partition('#')[2]}"
        assert Mix.of(str(path)).name == found.name
        assert Mix.of({**weights, "happy": 0.2, "sad": 0.3}).name != declared.name

    def test_rounded_shares_are_made_to_sum_to_one(self):
        found = Mix.of({**dict.fromkeys(EMOTIONS, 0.143)})
        assert found.shares.sum() == pytest.approx(1, abs=1e-15)
        np.testing.assert_allclose(found.shares, UNIFORM)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"joy": 0.0}, "names joy, which is unknown"),
            ({"happy": -0.1}, "gives happy -0.1"),
            ({"happy": float("nan")}, "gives happy nan"),
            ({"happy": "many"}, "gives happy 'many'"),
            ({"happy": True}, "gives happy True"),
            ({"happy": 0.5}, "must sum to 1"),
            (dict.fromkeys(EMOTIONS, 0), "sums to 0;"),
        ],
    )
    def test_what_is_no_mix_is_told_in_one_sentence(self, change, said):
        with pytest.raises(UsageError, match=said) as told:
            Mix.of({**EVEN, **change})
        assert str(told.value).startswith("The mix ")
        assert str(told.value).count(".\n") == 0

    def test_what_is_missing_is_named(self, tmp_path):
        path = tmp_path / "mine.json"
        path.write_text(json.dumps({"happy": 0.5, "neutral": 0.5}))
        with pytest.raises(
            UsageError, match=r"mine\.json lacks angry, disgust, fear, sad, surprise"
        ):
            Mix.of(path)

    @pytest.mark.parametrize(
        ("name", "text", "said"),
        [
            ("mine.json", "{", "can't be read"),
            ("mine.json", "[1]", "isn't emotion -> share"),
            ("mine.toml", "happy", "can't be read"),
            ("mine.csv", "a,b\n", "emotion and share"),
            ("mine.csv", "emotion,share\nhappy,1\nhappy,1\n", "happy twice"),
            ("mine.csv", "emotion,share\nhappy\n", "gives happy nan|lacks"),
            ("mine.txt", "", "must end in .json, .toml, .csv"),
            ("mine.json", b"\xff\xfe\x00", "can't be read"),
        ],
    )
    def test_what_is_no_file_of_shares_is_told(self, tmp_path, name, text, said):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(UsageError, match=said):
            Mix.of(path)

    def test_what_is_neither_a_name_nor_a_file_is_told(self, tmp_path):
        for choice in ("balance", tmp_path, tmp_path / "absent.json"):
            with pytest.raises(UsageError, match="neither trained, balanced or natural nor a file"):
                Mix.of(choice)


class TestTrained:
    def test_what_is_known_is_given(self):
        np.testing.assert_allclose(trained_shares(EVEN, shipped.FOLDER), UNIFORM)

    def test_what_is_not_known_is_told(self, tmp_path):
        with pytest.raises(UsageError, match=r"Nobody knows the mix .* x\.onnx was trained on"):
            trained_shares(None, tmp_path / "x.onnx")
        with pytest.raises(UsageError, match="trained without fear"):
            trained_shares({**EVEN, "fear": 0, "happy": 2 / 7}, tmp_path / "x.onnx")
        with pytest.raises(DamagedError, match="lacks"):
            trained_shares({"happy": 1}, tmp_path / "x.onnx")

    def test_shipped_networks_have_the_shares_of_their_training_labels(self, shared_data):
        with (shared_data / "fer2013" / "fer2013_labels.csv").open() as file:
            used = [row["emotion"] for row in csv.DictReader(file) if row["usage"] == "Training"]
        counts = Counter(map(int, used))
        expected = [counts[index] / len(used) for index in range(7)]
        for model in ("small", "generalist-int8"):
            path = shipped.path_of(model)
            known = ModelCalibration.beside(path, sha256_file(path))
            np.testing.assert_allclose(checked_shares(known.class_mix), expected, atol=1e-6)

    @pytest.mark.data
    def test_the_network_that_learnt_votes_has_the_mean_of_its_targets(self, shared_data):
        """Read again here: images whose winner is no emotion were left out."""
        order = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear")
        ours = ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear")
        rest, total, n = ("contempt", "unknown", "NF"), dict.fromkeys(ours, 0.0), 0
        with (shared_data / "fer2013" / "fer2013new.csv").open() as file:
            for row in csv.DictReader(file):
                votes = [int(row[name]) for name in order]
                if row["Usage"] != "Training" or max(int(row[name]) for name in rest) > max(votes):
                    continue
                n += 1
                for name, count in zip(ours, votes, strict=True):
                    total[name] += count / sum(votes)
        header = OnnxModel.load(shipped.path_of("people-small-int8")).header
        expected = {name: share / n for name, share in total.items()}
        assert header["class_mix"] == pytest.approx(expected, abs=1e-6)


def test_natural_is_what_press_photographs_show(shared_data):
    weights = Counter()
    with (shared_data / "lfw_expressions" / "labels.csv").open() as file:
        for row in csv.DictReader(file):
            weights[row["label"]] += float(row["weight"])
    assert {key: round(one) for key, one in weights.items()} == NATURAL_WEIGHTS
    total = sum(weights.values())
    floored = {key: max(NATURAL_FLOOR, one / total) for key, one in weights.items()}
    for key in EMOTIONS:
        assert NATURAL[key] == pytest.approx(floored[key] / sum(floored.values()), abs=1e-6)
    assert sum(NATURAL.values()) == pytest.approx(1)
