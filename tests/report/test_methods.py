"""The methods of a paper say what was done, and nothing that wasn't."""

from dataclasses import replace

import pytest

from builders import tiny_predictions
from hemiface.config import Config, StatisticsOptions
from hemiface.report.words.methods import methods_text, references
from hemiface.report.words.texts import model_rows
from hemiface.stats.ensembles import combine
from hemiface.tables import Predictions


def told(predictions: Predictions, settings: Config | None = None, **known: object) -> str:
    options = StatisticsOptions()
    return " ".join(
        methods_text(predictions, protocol="standard", options=options, settings=settings, **known)
    )


def test_an_average_of_networks_is_no_network_that_was_trained_once():
    averaged = combine(tiny_predictions(14), ["full-seed0", "upper-seed0"])
    said = told(averaged)
    assert "ensemble is the mean of full-seed0 and upper-seed0." in said
    assert "trained once" not in said
    assert "trained once" in told(tiny_predictions(14))


def test_of_models_that_nobody_described_nothing_is_made_up():
    known = tiny_predictions(14)
    bare = Predictions(known.table, {**known.facts, "models": known.models[:1]})
    assert bare.missing
    assert "trained once" not in told(bare)
    rows = model_rows(bare)["rows"]
    assert rows[0][1:3] == model_rows(known)["rows"][0][1:3]
    assert all(row[1:3] == ["–", "–"] for row in rows[1:])


def test_tests_are_told_and_cited_where_they_were_made():
    predictions = tiny_predictions(14)
    said = told(predictions)
    for word in ("Holm", "McNemar", "Schuirmann", "t test"):
        assert word not in said
        assert not any(word in one for one in references(predictions))
    asked, parts = ["robustness", "table, models"], ["pairs"]
    said = told(predictions, asked=asked, parts=parts)
    assert (
        "(Holm, 1979): the halves that are compared with whole faces for robustness; all cells of "
        "the table against the baseline." in said
    )
    assert "opposite halves" not in said
    assert "McNemar" in said
    assert any("McNemar" in one for one in references(predictions, parts, asked))


def test_votes_are_told_and_cited():
    predictions = tiny_predictions(14)
    for parts in ([], ["votes"]):
        assert ("the majority of FER+'s voters" in told(predictions, parts=parts)) == bool(parts)
        assert any("Barsoum" in one for one in references(predictions, parts)) == bool(parts)


def test_without_groups_none_are_told_or_cited():
    known = tiny_predictions(14)
    lone = Predictions(known.table, {**known.facts, "unknown": ["group"]})
    for predictions, there in ((known, True), (lone, False)):
        assert ("Field & Welsh" in told(predictions)) == there
        assert any("Field" in one for one in references(predictions)) == there


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "Horizontal flips were not used in training."),
        ({}, "; generalist: 1 epoch, batches of "),
        (
            {"evaluate": {"flip": True}},
            "means over what a network made of the picture and of its mirror image.",
        ),
        (
            {"evaluate": {"flip": True, "crop_px": 44}},
            "of five crops of 44 pixels, enlarged, and of their mirror images.",
        ),
        (
            {"generalist": {"distill": {"logits": 1.0}}},
            ", taught by the baseline of the same seed, weights: probabilities (1).",
        ),
        ({"train": {"class_weights": "balanced"}}, "classes weighted by the inverse"),
    ],
)
def test_what_the_config_says_of_views_teachers_and_labels_is_told(changes, said):
    settings = Config()
    for name, values in changes.items():
        part = getattr(settings, name)
        inner = {
            key: replace(getattr(part, key), **value) if isinstance(value, dict) else value
            for key, value in values.items()
        }
        settings = replace(settings, **{name: replace(part, **inner)})
    once = replace(settings.generalist, train=replace(settings.generalist.train, epochs=1))
    known = tiny_predictions(14)
    table = known.table.replace({"model": {"upper-seed0": "any-seed0"}})
    models = [known.models[0], {**known.models[1], "model": "any-seed0", "name": "any"}]
    flips = [one | {"flips": False} for one in models]
    predictions = Predictions(table, {**known.facts, "models": flips})
    assert said in told(predictions, replace(settings, generalist=once))
