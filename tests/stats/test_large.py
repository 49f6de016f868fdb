"""Tables from counts in parts against those from all rows in memory."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from builders import overconfident_predictions
from hemiface.config import StatisticsOptions
from hemiface.data.parts import open_parts, parts_writer, write_parts
from hemiface.errors import DamagedError
from hemiface.report.large import build, tables_of
from hemiface.stats import matrix
from hemiface.stats.all_pairs import all_pairs, cochran, mcnemar
from hemiface.stats.confusion_shifts import confusion_shifts
from hemiface.stats.large import buckets, ranks
from hemiface.stats.large.sample import GAPS, LARGE_METRICS, counted
from hemiface.stats.metrics import PROTOCOLS
from hemiface.stats.planned import planned
from hemiface.stats.sample import Sample
from hemiface.tables import PROBABILITY_COLUMNS, Predictions

CELLS = {
    ("full-seed0", "full"): 1.5,
    ("full-seed0", "left"): 2.0,
    ("left-seed0", "full"): 1.0,
    ("left-seed0", "left"): 1.2,
    ("any-seed0", "full"): 1.2,
    ("any-seed0", "left"): 1.3,
}
OPTIONS = StatisticsOptions(draws=60)
AREAS = ["weighted_auc", "macro_auc", "micro_auc"]


def predictions(n: int = 140, seed: int = 0) -> Predictions:
    """Rows in a random order, scores with ties, validation images, leaks, groups of two."""
    rng = np.random.default_rng(seed)
    table = overconfident_predictions(CELLS, n).table
    leaked = dict(zip(table["group"].unique(), rng.random(n) < 0.3, strict=False))
    table["leaked"] = table["group"].map(leaked).astype(bool)
    coarse = np.floor(table[list(PROBABILITY_COLUMNS)].to_numpy() * 16)
    coarse[:, 0] += 16 - coarse.sum(axis=1)
    table[list(PROBABILITY_COLUMNS)] = (coarse / 16).astype(np.float32)
    models = [{"model": one, "name": one[:-6], "seed": 0} for one in dict.fromkeys(table["model"])]
    mixed = table.iloc[rng.permutation(len(table))].reset_index(drop=True)
    return Predictions(mixed, {"models": models})


def in_parts(known: Predictions, folder, rows: int = 97):
    write_parts(known, folder, rows)
    return open_parts(folder)


def from_memory(known: Predictions, options: StatisticsOptions = OPTIONS):
    every = {name: Sample.of(known, name, options) for name in PROTOCOLS}
    primary = every["standard"]
    return {
        "matrix": pd.concat(
            [matrix.matrix(one, LARGE_METRICS) for one in every.values()], ignore_index=True
        ),
        "class_scores": pd.concat(
            [matrix.class_scores(one) for one in every.values()], ignore_index=True
        ),
        "planned": planned(primary),
        "all_pairs": all_pairs(primary),
        "mcnemar": mcnemar(primary),
        "cochran": cochran(primary),
        "confusion_shifts": confusion_shifts(primary),
    }


def from_counts(known: Predictions, folder, options: StatisticsOptions = OPTIONS):
    with counted(in_parts(known, folder), tuple(PROTOCOLS), options) as samples:
        return tables_of(samples)


@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 1000))
@example(seed=10)  # Among the test images another condition comes first than among all.
def test_counted_tables_are_those_of_all_rows(tmp_path_factory, seed):
    known = predictions(seed=seed)
    small = from_memory(known)
    large = from_counts(known, tmp_path_factory.mktemp("large") / "parts")
    for name, wanted in small.items():
        found = large[name]
        if "metric" in wanted:
            # Draws of areas are of first order; all that is about the sample itself is exact.
            area = wanted["metric"].isin(AREAS)
            exact = wanted.columns.intersection(["value", "value_a", "value_b", "difference", "n"])
            pd.testing.assert_frame_equal(
                found.loc[area, exact], wanted.loc[area, exact], rtol=1e-9, atol=1e-12
            )
            found, wanted = found[~area], wanted[~area]
        pd.testing.assert_frame_equal(found, wanted, rtol=1e-9, atol=1e-12)


def test_intervals_of_areas_are_those_of_the_draws_to_first_order(tmp_path):
    known = predictions(1400)
    options = StatisticsOptions(draws=200)
    wanted = Sample.of(known, "standard", options).scores(AREAS)
    with counted(in_parts(known, tmp_path / "parts", 5000), ["standard"], options) as samples:
        found = samples["standard"].scores(AREAS)
    for cell, scores in wanted.items():
        for name in AREAS:
            one, other = scores[name], found[cell][name]
            assert other[0] == pytest.approx(one[0], abs=1e-12)
            # The same draws, one by one: what the first order leaves out is a tenth of a deviation.
            assert np.abs(other - one).max() < 0.2 * one.std()
            assert other.std() == pytest.approx(one.std(), rel=0.05)


def test_random_blocks_tell_the_spread_of_groups(tmp_path, monkeypatch):
    known = predictions(4200)
    options = StatisticsOptions(draws=400)
    names = ["accuracy", "macro_f1", "log_loss", "ece"]
    wanted = Sample.of(known, "standard", options).scores(names)
    monkeypatch.setattr(buckets, "BLOCKS", 512)
    with counted(in_parts(known, tmp_path / "parts", 9000), ["standard"], options) as samples:
        sample = samples["standard"]
        assert 400 < sample.group_count <= 512  # some blocks got no group
        found = sample.scores(names)
    ratios = [found[cell][one].std() / wanted[cell][one].std() for cell in wanted for one in names]
    # Each is known to sqrt(1 / (2 x 512) + 2 / (2 x 400)), about 6 %.
    assert np.mean(ratios) == pytest.approx(1, abs=0.08)
    assert np.abs(np.array(ratios) - 1).max() < 0.25


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), n=st.integers(2, 60), levels=st.sampled_from([2, 7, 1 << 20])
)
def test_ranks_of_pieces_are_those_of_the_whole(seed, n, levels):
    rng = np.random.default_rng(seed)
    scores = (rng.integers(0, levels, n) / (levels - 1)).astype(np.float32)
    positive, block = rng.random(n) < 0.4, rng.integers(0, 5, n)
    positive[:2] = True, False

    def chunks():
        for start in range(0, n, 7):
            some = slice(start, start + 7)
            yield scores[some], positive[some], block[some]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranks, "MOST_SORTED", 5)
        with TemporaryDirectory() as folder:
            found = ranks.rank(chunks, 5, Path(folder))
            assert not list(Path(folder).iterdir())
    assert found.area == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)
    assert found.average_precision == pytest.approx(
        average_precision_score(positive, scores), abs=1e-12
    )
    # Placement values by brute force.
    beats = (scores[:, None] > scores) + 0.5 * (scores[:, None] == scores)
    over = beats[np.ix_(positive, ~positive)]
    for own, kind, placed in (
        (found.over_positives, positive, over.mean(axis=1)),
        (found.over_negatives, ~positive, over.mean(axis=0)),
    ):
        assert own == pytest.approx(np.bincount(block[kind], placed - found.area, 5), abs=1e-9)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: pd.concat([t, t.iloc[[3]]]), "occurs twice"),
        (lambda t: t.drop(index=5), "split .* has 70 images, but 69 of them"),
        (lambda t: t.assign(label=t["label"].where(t.index != 4, "sad")), "more than one label"),
        (lambda t: t.assign(p_sad=np.float32(0.9)), "not a distribution"),
        (lambda t: t.assign(split="dev"), "split is 'dev'"),
        (lambda t: pd.concat([t, t[t["image"] == t["image"][0]].assign(group="z")]), "twice|more"),
    ],
)  # fmt: skip
def test_damage_is_found_bucket_by_bucket(tmp_path, monkeypatch, change, said):
    monkeypatch.setattr(buckets, "ROWS_A_BUCKET", 100)
    known = predictions()
    with parts_writer(tmp_path / "parts", known.facts) as write:
        write(change(known.table))
    with (
        pytest.raises(DamagedError, match=said),
        counted(open_parts(tmp_path / "parts"), ["standard"], OPTIONS),
    ):
        pass


def test_the_page_says_what_isnt_there(tmp_path):
    known = predictions()
    page = build(in_parts(known, tmp_path / "parts"), tmp_path / "out")
    text = page.read_text(encoding="utf-8")
    for sentence in GAPS:
        assert sentence.replace("'", "&#39;") in text
    assert '<a href="matrix.csv">' in text
    assert not (tmp_path / "out" / "sides.csv").exists()
    scores = pd.read_csv(tmp_path / "out" / "matrix.csv")
    assert set(scores["metric"]) == set(LARGE_METRICS)


def test_nothing_is_leak_free_where_nobody_knows_who_leaked(tmp_path):
    known = replace(predictions(), facts={**predictions().facts, "unknown": ["leaked"]})
    with counted(in_parts(known, tmp_path / "parts"), ["leak-free"], OPTIONS) as samples:
        assert samples["leak-free"].cells == []
