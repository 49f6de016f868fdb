"""What `hemiface information` writes and says of planted channels."""

import html
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from test_importance_tiles import BUTTONS, write_people

from builders import described, hemiface, sampled
from hemiface.errors import UsageError
from hemiface.occlusion.tiles import TILES
from hemiface.report import page
from hemiface.report.figures.halves import halves_map
from hemiface.report.figures.information import bits_plot, decomposition_plot
from hemiface.report.information import write_information
from hemiface.report.results import information_tables
from hemiface.report.words.information import (
    half_bits,
    information_figures,
    information_words,
    people_words,
    recall_words,
    share_words,
)
from hemiface.report.words.verdicts import verdict
from hemiface.stats.information import FIVE
from hemiface.stats.voters import voters
from hemiface.tables import EMOTIONS, PROBABILITY_COLUMNS, Predictions, write_predictions

pytestmark = pytest.mark.slow

N = 2800
LABELS = np.random.default_rng(0).integers(0, 7, N)


def channel(strength: float, seed: int) -> np.ndarray:
    """Posteriors of who sees the label with this probability, and anything else otherwise."""
    random = np.random.default_rng(seed)
    seen = np.where(random.random(N) < strength, LABELS, random.integers(0, 7, N))
    likelihood = np.full((7, 7), (1 - strength) / 7) + strength * np.eye(7)
    return likelihood[:, seen].T


def told_by(strengths: dict[tuple[str, str], float]) -> Predictions:
    tables = []
    for seed, ((model, key), strength) in enumerate(strengths.items()):
        tables.append(
            pd.DataFrame(channel(strength, seed), columns=list(PROBABILITY_COLUMNS)).assign(
                image=[f"{k:016x}" for k in range(N)],
                condition=key, model=model, dataset="made",
                split=np.where(np.arange(N) < N // 2, "validation", "test"),
                label=np.asarray(EMOTIONS)[LABELS],
                group=[f"g{k:05}" for k in range(N)], leaked=False,
            )
        )  # fmt: skip
    return described(pd.concat(tables, ignore_index=True))


@pytest.fixture(scope="module")
def predictions() -> Predictions:
    """A generalist that reads the lower half (upper hidden) better; left and right alike."""
    strengths = {"full": 0.9, "upper": 0.7, "lower": 0.4, "left": 0.6, "right": 0.6}
    return told_by({("any-seed0", key): strength for key, strength in strengths.items()})


def votes() -> pd.DataFrame:
    random = np.random.default_rng(1)
    seen = np.where(random.random((N, 9)) < 0.8, LABELS[:, None], random.integers(0, 7, (N, 9)))
    counts = np.stack([(seen == k).sum(axis=1) for k in range(7)], axis=1)
    table = pd.DataFrame(counts, columns=[f"votes_{emotion}" for emotion in EMOTIONS])
    return table.assign(image=[f"{k:016x}" for k in range(N)])


def test_writes_tables_figures_and_words(predictions, tmp_path):
    found = write_information(sampled(predictions, draws=100), tmp_path, votes())
    names = ("information", "decomposition", "shapley", "sensitivity", "voters")
    for name in names:
        written = pd.read_csv(tmp_path / f"{name}.csv")
        assert len(written) == len(found.tables[name]) > 0
    for figure in ("information-any", "decomposition-any"):
        assert (tmp_path / "figures" / f"{figure}.svg").stat().st_size > 5000
        assert (tmp_path / "figures" / f"{figure}.png").stat().st_size > 5000
    assert all(path.is_file() for path in found.paths)


def test_says_that_sides_of_a_network_trained_with_flips_are_not_laterality(predictions, tmp_path):
    sample = sampled(predictions, draws=10)
    known = [{**model, "flips": True} for model in sample.whole.models]
    flipped = sampled(replace(predictions, facts={**predictions.facts, "models": known}), draws=10)
    assert any(
        one.startswith("Trained with horizontal flips: any-seed0. A flipped face")
        for one in write_information(flipped, tmp_path).words
    )


def test_without_intervals_there_are_no_brackets_and_the_reason_is_said(predictions):
    sample = sampled(replace(predictions, table=predictions.table.assign(group="g")), draws=20)
    tables = information_tables(sample) | {"voters": voters(sample, votes())}
    data, *others = information_words(tables)
    every = " ".join([data, *others, *share_words(tables).said])
    assert "nan" not in every
    assert "[" not in every
    assert "brackets" not in every
    assert "may tell nothing" not in every
    for said in (others, share_words(tables).said):
        assert "No interval: fewer than two groups to resample." in said
    assert data.endswith("No interval: fewer than two groups to resample.")
    assert "to 1, with no interval (fewer than two groups to resample)" in data


def test_another_fill_is_named_and_further_ones_are_told_of(predictions):
    half = predictions.table["condition"].isin(["upper", "lower"])
    keys = predictions.table["condition"].astype(str)
    mean = predictions.table.assign(condition=keys.where(~half, keys + "@mean"))
    # Left and right are black, of which upper and lower have another fill.
    words = information_words(
        information_tables(sampled(replace(predictions, table=mean), draws=20))
    )
    assert "hidden parts filled" not in words[0]
    alone = "is in the tables alone: upper and lower, filled with mean."
    assert any(one.endswith(alone) for one in words)
    only = mean[keys.isin(["full", "upper", "lower"])]
    tables = information_tables(sampled(replace(predictions, table=only), draws=20))
    assert (
        "any, emotions as frequent as in the data, hidden parts filled with mean: the whole"
        in (information_words(tables)[0])
    )
    assert "images, hidden parts filled with mean, from log loss" in share_words(tables).why[0]
    heading = information_figures(tables)["information-any"].get_suptitle()
    assert "filled with mean" in heading.replace("\n", " ")


def test_says_which_half_tells_more_and_where_nothing_was_found(predictions):
    words = information_words(information_tables(sampled(predictions, draws=300)))
    data, balanced, five, note = words
    assert five.startswith("Without happy and neutral, the other five alike, upper minus lower: −")
    assert data.startswith("any, emotions as frequent as in the data: the whole face tells")
    assert balanced.startswith("any, all emotions alike")
    for said in (data, balanced):
        assert "between upper and lower: the lower half more (−" in said
        assert "between left and right: no half more that was found" in said
        assert "the lower half tells more of angry, disgust, fear, happy, sad, surprise and" in said
    assert "V-information" in note


def test_the_first_finding_says_which_half_tells_more_in_both_mixes(predictions):
    tables = information_tables(sampled(predictions, draws=300))
    found = share_words(tables)
    upper, by, five, emotions, left, *_ = found.said
    assert upper == (
        "The lower half tells more than the upper in both mixes of emotions, and without happy and "
        "neutral too."
    )
    assert by.startswith("Upper minus lower: −")
    assert "lower to upper" in by
    assert by.endswith("with all emotions alike.")
    assert "the lower half tells more of angry" in emotions
    assert five.startswith("Without happy and neutral, the other five alike, upper minus lower: −")
    shapley = tables["shapley"]
    rest = (shapley["mix"] == FIVE) & (shapley["region"] == "upper - lower")
    for p, high, ending in (
        (0.2, 0.1, "but without happy and neutral no difference was found."),
        (0.001, -0.01, "and without happy and neutral too."),
    ):
        shapley.loc[rest, ["p_holm", "high"]] = [p, high]
        assert share_words(tables).said[0].endswith(ending)
    shapley.loc[rest, ["low", "high"]] = [0.1, 0.2]
    assert (
        share_words(tables)
        .said[0]
        .endswith("but without happy and neutral the upper tells more than the lower.")
    )
    shapley.loc[rest, ["bits", "low", "high"]] = np.nan  # no test image of one of the five
    said = share_words(tables).said
    assert said[0].endswith("in both mixes of emotions.")
    assert "nan" not in " ".join(said)
    without = {**tables, "shapley": shapley[shapley["mix"] != FIVE]}
    assert share_words(without).said[0].endswith("in both mixes of emotions.")
    assert left == "Between what the left and the right half tell no difference was found."
    assert f"on {N // 2:,} images" in found.why[0]
    assert len(found.why) == 1
    apart = {name: table.assign(model="specialists") for name, table in without.items()}
    assert share_words(apart).why[1].startswith("Whole faces are read by the baseline")
    longer = without["information"].assign(model="longer", question="robustness")
    apart["information"] = pd.concat([apart["information"], longer])
    assert share_words(apart).why[1].startswith("Whole faces are read by a network that went on")


def test_an_interval_that_leaves_out_0_is_told_from_a_test_that_agrees(predictions):
    tables = information_tables(sampled(predictions, draws=100))
    said = " ".join(share_words(tables).said)
    assert "isn't enough" not in said
    tables["shapley"]["p_holm"] = 0.2
    text, by, doubt, *_ = share_words(tables).said
    assert text == "Between what the upper and the lower half tell no difference was found."
    assert by.startswith("Upper minus lower: −")
    assert doubt.startswith("An interval that leaves out 0 isn't enough: the test after Holm's")
    assert doubt in information_words(tables)[0]


def test_which_half_tells_more_may_depend_on_the_mix(predictions):
    tables = information_tables(sampled(predictions, draws=100))
    shapley = tables["shapley"]
    is_one = (shapley["mix"] == "balanced") & (shapley["region"] == "upper - lower")
    shapley.loc[is_one, "p_holm"] = 0.2
    ratio = shapley["region"] == "lower / upper"
    shapley.loc[ratio, ["low", "high", "reason"]] = [np.nan, np.nan, "undefined in 9 of 100 draws"]
    said = " ".join(share_words(tables).said)
    # That one is found and the other isn't doesn't make the two different.
    assert said.startswith("With emotions as frequent as in the data the lower half tells more; ")
    assert "; with all emotions alike no difference was found." in said
    assert "depends" not in said
    assert "to 1, with no interval (a half may tell nothing)" in said
    assert "nan" not in said
    shapley.loc[is_one, "p_holm"] = 1e-9
    shapley.loc[is_one, ["bits", "difference", "low", "high"]] = [0.3, 0.3, 0.2, 0.4]
    said = " ".join(share_words(tables).said)
    assert said.startswith("Whether the upper or the lower half tells more depends on the mix: ")
    assert "with all emotions alike the upper half tells more" in said


def test_a_mix_of_which_nothing_is_known_is_left_out():
    """No image of the test split shows disgust, so that all emotions alike have no mean."""
    predictions = told_by(
        {("any-seed0", key): one for key, one in {"full": 0.9, "upper": 0.7, "lower": 0.4}.items()}
    )
    table = predictions.table
    kept = table[(table["split"] == "validation") | (table["label"] != "disgust")]
    tables = information_tables(sampled(replace(predictions, table=kept), draws=60))
    said = " ".join([*share_words(tables).said, *information_words(tables)])
    assert "nan" not in said
    assert "tells more than the upper with emotions as frequent as in the data" in said
    assert "all emotions alike: nothing is told, for an emotion has no test image." in said


def test_recall_that_moves_with_answers_is_said(predictions):
    tables = information_tables(sampled(predictions, draws=100))
    rows = tables["sensitivity"]
    assert recall_words(tables).said == []  # all emotions are seen worse alike here
    recall = (rows["measure"] == "recall") & (rows["visible"] == "lower")
    for emotion, change, bias in (
        ("sad", -0.2, -0.15),
        ("happy", 0.01, 0.05),
        ("fear", -0.3, -0.1),
    ):
        ends = [bias, bias - 0.02, bias + 0.02, 0.001]
        own = recall & (rows["emotion"] == emotion)
        rows.loc[
            own, ["change", "by_answers", "by_answers_low", "by_answers_high", "by_answers_p_holm"]
        ] = [change, *ends]
    said = recall_words(tables).said
    # Fear's part is a third of its change, so recall says about fear what there is to say.
    assert said[1:] == [
        "Without the upper half: sad −20.0, by answers alone −15.0 "
        "[−17.0, −13.0] points; happy +1.0, by answers alone +5.0 "
        "[3.0, 7.0] points."
    ]
    rows.loc[recall, "by_answers_p_holm"] = 0.06
    assert recall_words(tables).said == []
    assert recall_words({"sensitivity": rows}).said == []  # of conditions that are no halves


def test_the_first_figure_underlines_the_half_that_tells_more(predictions):
    shapley = information_tables(sampled(predictions, draws=100))["shapley"]
    figure = halves_map(shapley, "any", lambda row: verdict(row, "bits").sign)
    (axes,) = figure.axes
    bold = {(round(one.get_position()[0] - 0.5), int(one.get_position()[1]))
            for one in axes.texts if one.get_weight() == "bold"}  # fmt: skip
    assert {x for x, _ in bold} == {1}  # the lower half
    assert {y for _, y in bold} >= {7, 8}  # over all images, and with emotions alike
    values = shapley.query("emotion == 'happy' and mix == 'data' and region == 'left'")["bits"]
    assert f"{float(values.iloc[0]):.2f}" in {one.get_text() for one in axes.texts}
    with pytest.raises(UsageError, match="no Shapley values of halves of model nobody"):
        halves_map(shapley, "nobody", lambda _: 0)


def people_halves(signs: dict[str, int]) -> pd.DataFrame:
    """people_halves.csv of people who need the upper half (1), the lower (-1) or either (0)."""
    rows = []
    for emotion in (*EMOTIONS, "all"):
        sign = signs.get(emotion, 0)
        p = 0.001 if sign else 0.4
        rows.append((emotion, 30.0 * sign, 30.0 * sign - 10, 30.0 * sign + 10, p, p, 94, "made"))
    columns = ["emotion", "percent", "low", "high", "p", "p_holm", "n", "method"]
    return pd.DataFrame(rows, columns=columns)


def test_people_stand_beside_the_first_figure(predictions):
    shapley = information_tables(sampled(predictions, draws=100))["shapley"]
    people = people_halves({"happy": -1, "sad": 1})
    people.loc[people["emotion"] == "sad", "high"] = 30.04
    people.loc[people["emotion"] == "happy", "high"] = -0.04
    figure = halves_map(
        shapley,
        "any",
        lambda row: verdict(row, "bits").sign,
        people=people.assign(stated=people["percent"] != 0),
    )
    halves, beside = figure.axes
    alone = halves_map(shapley, "any", lambda row: verdict(row, "bits").sign).axes[0]
    assert [one.get_text() for one in halves.texts] == [one.get_text() for one in alone.texts]
    bold = {EMOTIONS[int(one.get_position()[1])]: one.get_text() for one in beside.texts
            if one.get_weight() == "bold"}  # fmt: skip
    assert bold == {"happy": "−30.00", "sad": "+30"}
    # No interval that leaves 0 out ends there by rounding.
    assert {"[+20, +30]", "[−40.00, −0.04]"} <= {one.get_text() for one in beside.texts}
    # Rows: seven emotions and emotions alike; nobody asked people about the data's mix.
    assert {int(one.get_position()[1]) for one in beside.texts} == {*range(7), 8}


def test_the_page_has_people_beside_it(predictions, tmp_path, request):
    write_predictions(predictions, tmp_path / "p.parquet")
    (tmp_path / "config.toml").write_text('name = "c"\n[statistics]\ndraws = 20\n')
    people = tmp_path / "people"
    people.mkdir()
    worth = np.full((7, TILES), 0.2)
    worth[BUTTONS.index("ang"), np.arange(TILES) % 8 < 4] = 1.0
    write_people(people, worth, participants=12)
    made = page.build(tmp_path / "p.parquet", pictures=False, people=people)
    text = made.read_text(encoding="utf-8")
    assert "tile by tile needed the upper half more for angry" in text
    assert "12 participants" in text
    assert "sides can be compared, amounts can't" in html.unescape(text)
    found = pd.read_csv(tmp_path / "people_halves.csv").set_index("emotion")["percent"]
    assert found.drop("all").idxmax() == "angry"
    request.getfixturevalue("undrawn")
    bare = page.build(tmp_path / "p.parquet", tmp_path / "bare", pictures=False)
    assert "tile by tile" not in bare.read_text(encoding="utf-8")
    assert not (tmp_path / "bare" / "people_halves.csv").exists()


def test_a_finding_says_where_network_and_people_lean_alike(predictions):
    tables = information_tables(sampled(predictions, draws=300))
    assert people_words(tables).said == []
    beside = {**tables, "people_halves": people_halves({"happy": -1, "fear": -1, "sad": 1})}
    needed, alike = people_words(beside).said
    assert needed == (
        "People who uncovered faces tile by tile needed the upper half more for sad; the lower "
        "half more for fear and happy; neither, as far as this shows, for angry, disgust, surprise "
        "and neutral."
    )
    # The planted network needs the lower half for every emotion.
    assert alike == (
        "Where both are decided (fear, happy and sad), network and people lean to the same half, "
        "but for sad."
    )
    assert "94 participants" in people_words(beside).why[0]
    other = {**tables, "people_halves": people_halves({"sad": 1})}
    assert (
        people_words(other).said[1].endswith("(sad), network and people lean to different halves.")
    )
    nothing = {**tables, "people_halves": people_halves({})}
    assert people_words(nothing).said[1] == ("For no emotion are both decided, network and people.")


def test_the_baseline_alone_is_shown_and_the_trained_one_before_it():
    baseline = {("full-seed0", key): 0.5 for key in ("full", "upper", "lower")}
    only = information_tables(sampled(told_by(baseline), draws=20))
    assert information_words(only)[0].startswith("full,")
    both = {**baseline, **{("any-seed0", key): 0.6 for key in ("full", "upper", "lower")}}
    words = information_words(information_tables(sampled(told_by(both), draws=20)))
    assert [one.split(",")[0] for one in words[:2]] == ["any", "any"]
    assert not any("full" in one for one in words)


def test_one_half_alone_has_bits_and_no_words():
    tables = information_tables(
        sampled(told_by({("any-seed0", key): 0.5 for key in ("full", "left")}), draws=10)
    )
    assert set(tables["information"]["visible"]) == {"whole", "right"}
    assert tables["shapley"].empty
    assert tables["decomposition"].empty
    assert len(information_words(tables)) == 1  # the note
    assert information_figures(tables) == {}


def test_half_bits_are_over_seeds():
    seeds = {
        (f"any-seed{seed}", key): strength
        for seed in (0, 1)
        for key, strength in (("full", 0.9), ("upper", 0.5), ("lower", 0.5))
    }
    found = half_bits(information_tables(sampled(told_by(seeds), draws=20))["information"])
    assert list(found["visible"]) == ["whole", "lower", "upper"] * 2
    assert set(found["mix"]) == {"data", "balanced"}


def test_figures_need_their_rows(predictions):
    tables = information_tables(sampled(predictions, draws=10))
    for figure, name in ((bits_plot, "information"), (decomposition_plot, "decomposition")):
        with pytest.raises(UsageError, match="no information of model nobody"):
            figure(tables[name], "nobody")


class TestCommand:
    def test_prints_and_writes(self, predictions, tmp_path, monkeypatch, capsys):
        write_predictions(predictions, tmp_path / "predictions.parquet")
        assert hemiface(monkeypatch, "information", tmp_path, "--draws", "50") == 0
        out = capsys.readouterr().out
        assert "the lower half more" in out
        assert (tmp_path / "information" / "shapley.csv").is_file()

    def test_importance_answers_for_halves_without_the_sixteen_coalitions(
        self, predictions, tmp_path, monkeypatch, capsys
    ):
        write_predictions(predictions, tmp_path / "predictions.parquet")
        assert hemiface(monkeypatch, "importance", tmp_path, "--draws", "20") == 0
        out = capsys.readouterr().out
        assert out.startswith("Not all coalitions of quadrants are there: halves alone")
        shares = pd.read_csv(tmp_path / "importance" / "shapley.csv")
        assert {"upper", "lower", "whole"} <= set(shares["region"])

    def test_json(self, predictions, tmp_path, monkeypatch, capsys):
        write_predictions(predictions, tmp_path / "predictions.parquet")
        arguments = ("information", tmp_path, "--draws", "20", "--json")
        assert hemiface(monkeypatch, *arguments) == 0
        found = json.loads(capsys.readouterr().out)
        halves = {(one["mix"], one["visible"]): one["bits"] for one in found["halves"]}
        assert halves["data", "lower"] > halves["data", "upper"] > 0

    def test_labels_without_faces(self, tmp_path, monkeypatch, capsys):
        assert hemiface(monkeypatch, "information", tmp_path, "--labels", "ferplus=x") == 2
        assert "give both" in capsys.readouterr().err
