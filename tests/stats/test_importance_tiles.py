"""Tile maps, classification images and people: planted answers, shapiq, and the real data."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapiq
from scipy import stats
from statsmodels.stats.multitest import multipletests

from builders import uncovered
from hemiface.config import StatisticsOptions
from hemiface.errors import DamagedError, UsageError
from hemiface.occlusion.tiles import TILES, pack, place, tile_map
from hemiface.stats.importance import bubbles, likeness, people
from hemiface.stats.importance.tiles import chain_contributions, read_samples, tile_maps, tile_table
from hemiface.tables import EMOTIONS, PROBABILITY_COLUMNS, Uncovered, write_table

BUTTONS = ("hap", "sad", "ang", "fea", "dis", "sup", "ntr")


def chain_masks(orders: np.ndarray) -> np.ndarray:
    """uint64 [chains, players + 1] for orders of uncovering [chains, players]."""
    players = orders.shape[1]
    place_of = np.argsort(orders, axis=1)
    return pack(place_of[:, None, :] < np.arange(players + 1)[None, :, None])


def chains(worth, *, n=42, samples=2, model="any-seed0", seed=0) -> Uncovered:
    """Samples in which the true emotion's probability is worth(emotion, visible [.., 48])."""
    rng = np.random.default_rng(seed)
    parts = []
    for index in range(n):
        for draw in range(samples):
            masks = chain_masks(rng.permutation(TILES)[None])[0]
            seen = (masks[:, None] >> np.arange(TILES, dtype=np.uint64) & np.uint64(1)).astype(
                float
            )
            truth = worth(index % 7, seen)
            p = np.repeat((1 - truth)[:, None] / 6, 7, axis=1)
            p[:, index % 7] = truth
            parts.append(
                pd.DataFrame(p, columns=list(PROBABILITY_COLUMNS)).assign(
                    image=f"i{index:03}", draw=draw, model=model, dataset="made", split="test",
                    label=EMOTIONS[index % 7], group=f"g{index // 2:03}", leaked=False,
                    visible=masks,
                )
            )  # fmt: skip
    return uncovered(pd.concat(parts, ignore_index=True))


class TestChains:
    @pytest.mark.parametrize("players", [2, 3, 5])
    def test_all_orders_give_shapiqs_exact_values(self, players):
        rng = np.random.default_rng(players)
        game = rng.normal(size=2**players)
        masks = chain_masks(np.array(list(permutations(range(players)))))
        found = chain_contributions(masks, game[masks.astype(int)][:, :, None], players)
        bits = 1 << np.arange(players)
        exact = shapiq.ExactComputer(lambda seen: game[np.asarray(seen) @ bits], n_players=players)
        truth = exact("SV", order=1).dict_values
        assert found.mean(axis=0)[:, 0] == pytest.approx(
            [truth.get((i,), 0) for i in range(players)], abs=1e-9
        )
        assert found.sum(axis=1) == pytest.approx(game[-1] - game[0])

    def test_sampled_orders_are_unbiased(self):
        rng = np.random.default_rng(8)
        game = rng.normal(size=2**6)
        masks = chain_masks(np.array([rng.permutation(6) for _ in range(3000)]))
        found = chain_contributions(masks, game[masks.astype(int)][:, :, None], 6)[:, :, 0]
        bits = 1 << np.arange(6)
        exact = shapiq.ExactComputer(lambda seen: game[np.asarray(seen) @ bits], n_players=6)
        truth = np.array([exact("SV", order=1).dict_values[i,] for i in range(6)])
        error = found.std(axis=0) / np.sqrt(3000)
        assert (np.abs(found.mean(axis=0) - truth) < 4.5 * error).all()

    def test_what_is_no_chain(self):
        masks = chain_masks(np.array([[0, 1, 2]]))
        values = np.zeros((1, 4, 1))
        for broken in (
            masks[:, ::-1],
            masks[:, [0, 1, 1, 3]],
            masks[:, [0, 2, 1, 3]] | np.uint64(4),
        ):
            with pytest.raises(DamagedError, match="are not chains"):
                chain_contributions(np.ascontiguousarray(broken), values, 3)


class TestTileMaps:
    WEIGHTS = np.random.default_rng(1).uniform(-0.5, 1, (7, TILES)) / 200

    def linear(self, emotion, seen):
        return 0.3 + seen @ self.WEIGHTS[emotion]

    def test_a_planted_linear_face_is_recovered_exactly(self):
        samples = uncovered(chains(self.linear).table.sample(frac=1, random_state=3))
        table = tile_table(tile_maps(samples, StatisticsOptions(draws=20)))
        table = table[(table["value_function"] == "probability") & (table["seed"] == "0")]
        for index, emotion in enumerate(EMOTIONS):
            rows = table[(table["emotion"] == emotion) & (table["tile"] >= 0)].set_index("tile")
            found = rows.loc[range(TILES), "value"].to_numpy()
            assert found == pytest.approx(self.WEIGHTS[index], abs=1e-7)
            # All images say the same: of that no draw tells how sure it is.
            assert rows[["low", "high"]].isna().all(axis=None)
            assert (rows["n"] == 6).all()
            assert [(row, column) for row, column in rows[["row", "column"]].to_numpy()] == [
                place(tile) for tile in rows.index
            ]
            upper = [tile for tile in range(TILES) if tile % 8 < 4]
            half = table[(table["emotion"] == emotion) & (table["region"] == "upper")]
            assert half["value"].item() == pytest.approx(self.WEIGHTS[index][upper].sum(), abs=1e-7)
            left = self.WEIGHTS[index][:24].sum() - self.WEIGHTS[index][24:].sum()
            half = table[(table["emotion"] == emotion) & (table["region"] == "left - right")]
            assert half["value"].item() == pytest.approx(left, abs=1e-7)

    def test_what_is_uncovered_last_or_with_another_counts_by_halves(self):
        # Two tiles that are worth something only together share it evenly.
        def both(_emotion, seen):
            return 0.2 + 0.6 * seen[:, 9] * seen[:, 33]

        table = tile_table(tile_maps(chains(both, n=700, samples=1), StatisticsOptions(draws=200)))
        rows = table[
            (table["value_function"] == "probability")
            & (table["emotion"] == "all")
            & (table["seed"] == "mean")
        ].set_index("region")
        for tile in ("tile-9", "tile-33"):
            # 700 coin flips of .6 and 0: standard error .0113, whose interval is 1.96 of it.
            assert rows.loc[tile, "value"] == pytest.approx(0.3, abs=0.05)
            width = rows.loc[tile, "high"] - rows.loc[tile, "low"]
            assert width == pytest.approx(2 * 1.96 * 0.3 / np.sqrt(700), rel=0.2)
        assert rows.loc["left", "value"] + rows.loc["right", "value"] == pytest.approx(0.6)
        assert rows.loc["tile-10", ["value", "low", "high"]].tolist() == pytest.approx([0, 0, 0])

    def test_seeds_are_averaged(self):
        other = chains(lambda e, s: self.linear(e, s) / 2, model="any-seed1")
        two = uncovered(pd.concat([chains(self.linear).table, other.table], ignore_index=True))
        table = tile_table(tile_maps(two, StatisticsOptions(draws=5)))
        rows = table[(table["region"] == "tile-5") & (table["value_function"] == "probability")]
        assert set(table["fill"]) == {"black"}
        values = rows[rows["emotion"] == "sad"].set_index("seed")["value"]
        assert values["mean"] == pytest.approx((values["0"] + values["1"]) / 2)
        assert values["mean"] == pytest.approx(0.75 * self.WEIGHTS[4, 5], abs=1e-7)

    def test_the_interval_of_a_mean_holds_what_another_network_would_say(self):
        # Every image says the same, so all that varies is the network.
        other = chains(lambda e, s: self.linear(e, s) / 2, model="any-seed1")
        two = uncovered(pd.concat([chains(self.linear).table, other.table], ignore_index=True))
        table = tile_table(tile_maps(two, StatisticsOptions(draws=200)))
        rows = table[(table["region"] == "tile-5") & (table["value_function"] == "probability")]
        found = rows[rows["emotion"] == "sad"].set_index("seed")
        width = found["high"] - found["low"]
        assert width[["0", "1"]].isna().all()
        values = found["value"][["0", "1"]]
        assert found["low"]["mean"] < values.min() < values.max() < found["high"]["mean"]

    def test_broken_samples(self, tmp_path):
        whole = chains(self.linear, n=7)
        with pytest.raises(DamagedError, match="48 predictions instead of 49"):
            tile_maps(uncovered(whole.table.iloc[1:]), StatisticsOptions(draws=5))
        write_table(whole.table, tmp_path / "a.parquet", {"fill": "black"})
        assert read_samples(tmp_path / "a.parquet", "visible").facts["fill"] == "black"
        with pytest.raises(UsageError, match="holds no column bubbles"):
            read_samples(tmp_path / "a.parquet", "bubbles")
        write_table(whole.table.drop(columns="draw"), tmp_path / "b.parquet")
        with pytest.raises(DamagedError, match="missing column draw"):
            read_samples(tmp_path / "b.parquet", "visible")


class TestBubbles:
    @pytest.fixture
    def samples(self):
        """Whoever sees the pixel at row 15, column 20 (tile 18) is right, the others seldom."""
        rng = np.random.default_rng(0)
        n = 1400
        centres = rng.integers(48 * 48, size=(n, 6))
        away = np.hypot(centres // 48 - 15, centres % 48 - 20).min(axis=1)
        right = np.where(away < 6, 1, rng.random(n) < 0.2).astype(bool)
        labels = np.arange(n) % 7
        p = np.full((n, 7), 0.05)
        p[np.arange(n), np.where(right, labels, (labels + 1) % 7)] = 0.7
        table = pd.DataFrame(p, columns=list(PROBABILITY_COLUMNS)).assign(
            image=[f"i{i // 2}" for i in range(n)], draw=0, model="full-seed0", dataset="made",
            split="test", label=np.array(EMOTIONS)[labels], group=[f"i{i // 2}" for i in range(n)],
            leaked=False, bubbles=list(centres.astype(np.uint16)),
        )  # fmt: skip
        return uncovered(table, sigma_px=4.0)

    def test_the_planted_place_stands_out(self, samples):
        image = bubbles.classification_image(samples)
        assert np.hypot(*(np.array(np.unravel_index(image.argmax(), image.shape)) - (15, 20))) < 2.5
        assert image.max() > 10
        assert np.abs(image[35:, 40:]).max() < 4.5
        table = bubbles.bubble_table(samples, StatisticsOptions(draws=50))
        rows = table[(table["emotion"] == "all") & (table["value_function"] == "accuracy")]
        best = rows.loc[rows["value"].idxmax()]
        assert best["tile"] == tile_map(48, 48)[15, 20] == 18
        assert best["low"] > 0
        assert (best["row"], best["column"]) == place(18)
        assert set(zip(table["model"], table["seed"], strict=True)) == {("full", "0")}

    def test_correlations_are_scipys(self, samples):
        table = bubbles.bubble_table(samples, StatisticsOptions(draws=5))
        rows = table[(table["emotion"] == "fear") & (table["value_function"] == "accuracy")]
        fear = samples.table[samples.table["label"] == "fear"]
        right = (fear["p_fear"] > 0.5).to_numpy(float)
        for tile in (18, 40):
            seen = []
            for centres in fear["bubbles"]:
                y, x = np.mgrid[:48, :48]
                away = [(y - int(c) // 48) ** 2 + (x - int(c) % 48) ** 2 for c in centres]
                plane = np.minimum(1, sum(np.exp(-d / 32) for d in away))
                seen.append(plane[tile_map(48, 48) == tile].mean())
            r = stats.pearsonr(seen, right).statistic
            row = rows[rows["tile"] == tile].iloc[0]
            assert row["value"] == pytest.approx(r, abs=1e-4)
            assert row["z"] == pytest.approx(np.arctanh(r) * np.sqrt(len(fear) - 3), abs=1e-2)

    def test_what_has_no_apertures(self, samples):
        with pytest.raises(UsageError, match="hold no apertures"):
            bubbles.bubble_table(uncovered(samples.table.drop(columns="bubbles"), sigma_px=4.0))
        both = pd.concat([samples.table, samples.table.assign(model="other")])
        two = uncovered(both, sigma_px=4.0)
        with pytest.raises(UsageError, match="of one model"):
            bubbles.classification_image(two)
        none = bubbles.classification_image(samples.select(samples.table["label"] != "sad"), "sad")
        assert np.isnan(none).all()


def write_people(folder: Path, maps: np.ndarray, participants=40, trials=20, seed=0) -> None:
    """The two files, for people who uncover single tiles in proportion to maps [7, 48]."""
    rng = np.random.default_rng(seed)
    rows = []
    for person in range(participants):
        for code, button in enumerate(BUTTONS):
            for _ in range(trials):
                tile = rng.choice(TILES, p=maps[code] / maps[code].sum())
                rows.append((f"{person:03}", 0, float(code), 0.0, button, "HIT", 1.0, 1, tile))
            rows.append((f"{person:03}", 0, float(code), 0.0, "none", "ERR", 1.0, 2, "0-1"))
    columns = ["participant", "ident", "e", "i", "button", "evaluation", "choiceRT", "maskNum"]
    table = pd.DataFrame(rows, columns=[*columns, "maskList"])
    table.to_csv(folder / people.TRIALS_FILE, index=False)
    index = pd.MultiIndex.from_product([list("fm"), BUTTONS])
    percent = 100 * (maps / maps.mean(axis=1, keepdims=True) - 1)
    weights = pd.DataFrame(np.vstack([percent, percent]), index=index)
    weights.to_csv(folder / people.WEIGHTS_FILE)


class TestPeople:
    MAPS = np.random.default_rng(5).gamma(0.6, 1, (7, TILES)) + 0.05

    @pytest.fixture
    def folder(self, tmp_path):
        write_people(tmp_path, self.MAPS)
        return tmp_path

    def test_a_model_that_needs_what_people_need(self, folder):
        order = [
            BUTTONS.index(short) for short in ("ang", "dis", "fea", "hap", "sad", "sup", "ntr")
        ]
        worth = self.MAPS[order] / self.MAPS[order].sum(axis=1, keepdims=True)
        maps = tile_maps(chains(lambda e, s: 0.2 + 0.7 * s @ worth[e]), StatisticsOptions(draws=20))
        table = people.people_table(
            maps, people.read(folder), StatisticsOptions(draws=30)
        ).set_index(["model", "seed", "emotion", "measure"])
        for emotion in EMOTIONS:
            at = ("any", "0", emotion)
            assert table.loc[(*at, "correlation_published"), "value"] == pytest.approx(1, abs=0.01)
            ceiling = table.loc[("people", "mean", emotion, "ceiling"), "value"]
            assert 0.8 < ceiling < 1
            # The model has no noise, so it reaches the ceiling that people's noise sets.
            near = table.loc[(*at, "correlation_trials"), "value"]
            assert near == pytest.approx(ceiling, abs=0.08)
            published = table.loc[
                ("people-f", "mean", emotion, "upper_minus_lower_percent"), "value"
            ]
            row = table.loc[("people", "mean", emotion, "upper_minus_lower_percent")]
            assert row["low"] - 5 < published < row["high"] + 5
            upper = np.arange(TILES) % 8 < 4
            share = worth[EMOTIONS.index(emotion)]
            known = 0.7 * (share[upper].sum() - share[~upper].sum())
            assert table.loc[(*at, "upper_minus_lower"), "value"] == pytest.approx(known, abs=1e-6)

    def test_halves_are_told_by_participants(self, folder):
        known = people.read(folder)
        found = people.people_halves(known, StatisticsOptions(draws=200)).set_index("emotion")
        table = people.people_table([], known, StatisticsOptions(draws=200))
        rows = table[(table["model"] == "people") & table["measure"].str.startswith("upper")]
        rows = rows.set_index("emotion")
        assert found["percent"].to_dict() == pytest.approx(rows["value"].to_dict())
        assert found["low"].to_dict() == pytest.approx(rows["low"].to_dict())
        assert (found["n"] == 40).all()
        seven = found.loc[list(EMOTIONS)]
        np.testing.assert_allclose(
            seven["p_holm"], multipletests(seven["p"], method="holm")[1], atol=1e-12
        )
        assert found.loc["all", "p_holm"] == found.loc["all", "p"]
        # Planted: what tiles of the upper half are worth beyond those of the lower.
        order = [
            BUTTONS.index(short) for short in ("ang", "dis", "fea", "hap", "sad", "sup", "ntr")
        ]
        upper = np.arange(TILES) % 8 < 4
        maps = self.MAPS[order]
        planted = 100 * (maps[:, upper].mean(1) - maps[:, ~upper].mean(1)) / maps.mean(1)
        inside = (seven["low"] <= planted) & (planted <= seven["high"])
        assert inside.sum() >= 6

    def test_every_placement_has_a_row(self, folder):
        worth = self.MAPS / self.MAPS.sum(axis=1, keepdims=True)
        maps = tile_maps(chains(lambda e, s: 0.2 + 0.7 * s @ worth[e]), StatisticsOptions(draws=5))
        faces = np.random.default_rng(2).integers(0, 256, (9, 48, 48), np.uint8)
        known = people.read(folder)
        found = people.placements(maps, known, faces=faces)
        assert tuple(found.columns) == people.PLACEMENT_COLUMNS
        sizes = found.groupby(["model", "seed", "people"]).size()
        assert set(sizes.index.get_level_values(0)) == {"any", "centre", "contrast", "mean face"}
        assert set(sizes) == {26}
        table = people.people_table(maps, known, StatisticsOptions(draws=5), faces=faces)
        found, table = found[found["seed"] == "mean"], table[table["seed"] == "mean"]
        row = table.set_index(["model", "emotion", "measure"])["value"]
        first = found[(found["width"] == 1) & (found["people"] == "trials")].set_index("model")
        every = row.loc[("any", "all", "correlation_trials")]
        # The same but for tiles that people need alike, of which rounding makes no order there.
        assert first.loc["any", "correlation"] == pytest.approx(every, abs=0.01)
        difference = row.loc[("any", "all", "own_minus_others_trials")]
        assert first.loc["any", "own_minus_others"] == pytest.approx(difference, abs=0.01)
        best = found.groupby(["model", "people"])["correlation"].max()
        for model in ("any", "centre", "mean face"):
            measured = row.loc[(model, "all", "best_correlation_trials")]
            assert measured == pytest.approx(best.loc[model, "trials"])

    def test_rank_correlation_is_scipys_with_ties_and_constants(self):
        rng = np.random.default_rng(0)
        one, other = rng.integers(0, 9, (3, 5, TILES)), rng.normal(size=(5, TILES))
        found = likeness.rank_correlation(one, other)
        for i, j in np.ndindex(3, 5):
            assert found[i, j] == pytest.approx(stats.spearmanr(one[i, j], other[j]).statistic)
        assert np.isnan(likeness.rank_correlation(np.ones(TILES), other[0]))

    def test_without_agreement_there_is_no_reliability(self):
        rng = np.random.default_rng(1)
        noise = people.People(np.zeros((2, 7, TILES)), rng.random((60, 7, TILES)), np.ones((60, 7)))
        reliability, _ = people.noise_ceiling(noise, splits=40)
        assert np.abs(reliability).max() < 0.6
        agreed = people.People(noise.published, np.repeat(self.MAPS[None], 60, 0), noise.hits)
        assert people.noise_ceiling(agreed, splits=5)[0] == pytest.approx(1)

    @pytest.mark.parametrize(
        ("file", "old", "new", "sentence"),
        [
            (
                people.WEIGHTS_FILE,
                "f,hap",
                "f,joy",
                "doesn't hold 48 tiles for two faces and seven",
            ),
            (people.TRIALS_FILE, "maskList", "tiles", "missing column maskList"),
            (people.TRIALS_FILE, ",hap,HIT", ",sad,HIT", "hits are not where button names"),
            (people.TRIALS_FILE, ",HIT,1.0,1,", ",HIT,1.0,1,x-", "isn't what it should be"),
            (people.TRIALS_FILE, ",HIT,1.0,1,", ",HIT,1.0,1,99-", "isn't what it should be"),
        ],
    )
    def test_broken_files(self, folder, file, old, new, sentence):
        path = folder / file
        path.write_text(path.read_text().replace(old, new, 1))
        with pytest.raises(DamagedError, match=sentence):
            people.read(folder)

    @pytest.mark.parametrize("rows", [0, 10])
    def test_cut_off_trials(self, folder, rows):
        path = folder / people.TRIALS_FILE
        lines = path.read_text().splitlines()[: rows + 1]
        # Of the last row, a hit, the tiles are missing.
        lines[-1] = lines[-1].rsplit(",", 1)[0] if rows else lines[-1]
        path.write_text("\n".join(lines))
        with pytest.raises(DamagedError, match=r"no trials|isn't what it should be"):
            people.read(folder)

    def test_missing_files(self, tmp_path):
        with pytest.raises(DamagedError, match=r"tile_weights\.csv doesn't exist"):
            people.read(tmp_path)

    def test_one_of_the_files_instead_of_their_folder(self, tmp_path):
        (tmp_path / people.TRIALS_FILE).touch()
        with pytest.raises(UsageError, match=r"trials\.csv is a file; name the folder that holds"):
            people.read(tmp_path / people.TRIALS_FILE)

    def test_the_real_data(self, shared_data):
        real = people.read(shared_data / "human")
        assert real.sums.shape == (94, 7, TILES)
        # Published hit rates in per cent of 94 x 32 trials, to the last digit given.
        rates = 100 * real.hits.sum(axis=0) / (94 * 32)
        known = {"happy": 97, "surprise": 81, "disgust": 76, "neutral": 76, "angry": 73}
        known |= {"fear": 55, "sad": 36}
        assert {name: round(rates[EMOTIONS.index(name)]) for name in known} == known
        # Upper minus lower, female and male face, as published.
        table = people.people_table([], real, StatisticsOptions(draws=20)).set_index(
            ["model", "emotion", "measure"]
        )
        for emotion, female, male in [("happy", -10, -14), ("disgust", -26, -20), ("sad", 23, 11)]:
            for who, value in (("people-f", female), ("people-m", male)):
                found = table.loc[(who, emotion, "upper_minus_lower_percent"), "value"]
                assert found == pytest.approx(value, abs=0.51)
        # The trials tell what the published maps tell.
        published = real.published.mean(axis=0)
        for one, other in zip(real.maps(), published, strict=True):
            assert np.corrcoef(one, other)[0, 1] > 0.9
        assert (table.loc["people"].xs("ceiling", level="measure")["value"] > 0.7).all()
