"""People's answers: what was put in comes out, by brute force and beside networks' own tables."""

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest

from builders import sampled, scored_predictions
from hemiface.config import StatisticsOptions
from hemiface.errors import UsageError
from hemiface.occlusion.tiles import TILES
from hemiface.stats.people.agreement import AGREEMENT_COLUMNS, agreement, two_people
from hemiface.stats.people.information import AnswerBits, information, pointwise, shapley
from hemiface.stats.people.maps import likeness, map_of, maps
from hemiface.stats.people.participants import confusions, participants, ratings, responses
from hemiface.stats.people.sensitivity import beside, measures, sensitivity
from hemiface.stats.people.trials import Trials, visible_of
from hemiface.stats.sensitivity import sensitivity as of_networks
from hemiface.stats.significance import holm
from hemiface.tables import EMOTIONS
from people import coverage
from simulated_people import People, hit_rate, simulate, unbiased_hit_rate

FEW = StatisticsOptions(draws=60)


def trials(people: People | None = None, seed: int = 0, draws: int = 60, **options) -> Trials:
    table = simulate(people or People(participants=6, faces=14), seed)
    return Trials(table, StatisticsOptions(draws=draws, **options))


def row(table: pd.DataFrame, **chosen: str) -> pd.Series:
    for name, value in chosen.items():
        table = table[table[name] == value]
    assert len(table) == 1, chosen
    return table.iloc[0]


class TestTrials:
    def test_draws_are_crossed_and_the_sample_comes_first(self):
        own = trials(draws=10)
        assert (own.weights[:, 0] == 1).all()
        pairs = own.participant_weights[own.participants] * own.face_weights[own.faces]
        np.testing.assert_array_equal(own.weights[own.groups], pairs)
        both, people, faces = slice(1, 11), slice(11, 16), slice(16, 21)
        assert (own.face_weights[:, people] == 1).all()
        assert (own.participant_weights[:, faces] == 1).all()
        for weights in (own.participant_weights, own.face_weights):
            assert (weights.sum(axis=0) == len(weights)).all()
            assert (weights[:, both] != 1).any()

    def test_the_order_of_rows_does_not_matter(self):
        own = trials()
        mixed = replace(own, table=own.table.sample(frac=1, random_state=1).reset_index(drop=True))
        for key in own.conditions:
            np.testing.assert_allclose(measures(own, key), measures(mixed, key))

    def test_the_variance_counts_everything_once(self):
        """Of a mean over all cells of people x faces, as analysis of variance has it."""
        random = np.random.default_rng(3)
        people, faces = 25, 30
        table = simulate(People(bases={"full": 0.0}, participants=people, faces=faces), 0)
        own = Trials(table, StatisticsOptions(draws=4000))
        values = (
            random.normal(0, 1, people)[own.participants]
            + random.normal(0, 2, faces)[own.faces]
            + random.normal(0, 3, len(table))
        )
        drawn = own.weights[own.groups].astype(float)
        one = own.infer(values @ drawn / drawn.sum(axis=0))
        square = values.reshape(people, faces)
        rest = square - square.mean(axis=1)[:, None] - square.mean(axis=0) + square.mean()
        of_rest = (rest**2).sum() / ((people - 1) * (faces - 1))
        # Mean squares of rows and columns, less the rest that both hold.
        expected = (
            square.mean(axis=1).var(ddof=1) / people
            + square.mean(axis=0).var(ddof=1) / faces
            - of_rest / people / faces
        )
        assert float(one.se) ** 2 == pytest.approx(expected, rel=0.12)
        assert float(one.value) == pytest.approx(values.mean())
        assert one.method == (
            "95% percentile interval, 4000 crossed draws of 25 participants x 30 faces, two-way "
            "variance"
        )

    def test_a_face_that_most_trials_show_is_not_one_of_many(self):
        rows = simulate(People(participants=9, faces=14, bases={"full": 0.0}), 0)
        often = rows[rows["person"] == rows["person"].iloc[0]]
        shown = str(often["emotion"].iloc[0])
        own = Trials(pd.concat([rows, *[often] * 20], ignore_index=True), FEW)
        found = dict(zip([*EMOTIONS, "all"], own.bearing("full"), strict=True))
        # (9 * 14 + 9 * 20)^2 / (13 * 9^2 + (9 * 21)^2), and of two faces at least two.
        assert found["all"] == pytest.approx((14 + 20) ** 2 / (13 + 21**2))
        assert found[shown] == 2
        assert {found[one] for one in EMOTIONS if one != shown} == {2}

    def test_one_person_or_one_face_has_no_interval(self):
        table = simulate(People(participants=3, faces=14), 0)
        for column, word in (("participant", "participants"), ("person", "faces")):
            own = Trials(table.assign(**{column: "same"}), FEW)
            found = row(sensitivity([own]), condition="full", emotion="all", measure="recall")
            assert np.isfinite(found["value"])
            assert np.isnan(found[["low", "high"]].astype(float)).all()
            assert found["reason"] == f"fewer than two {word} to resample"

    def test_what_is_missing_is_said(self):
        table = simulate(People(participants=2, faces=7), 0)
        with pytest.raises(UsageError, match="lack person"):
            Trials(table.drop(columns="person"), FEW)
        with pytest.raises(UsageError, match="No trial counts"):
            Trials(table.iloc[:0], FEW)
        with pytest.raises(UsageError, match="net has no answer to stimulus face000_full"):
            Trials(table, FEW).answered_by("net", {})

    def test_conditions_are_in_the_order_of_networks(self):
        bases = dict.fromkeys(["tiles", "lower", "composite-aligned-upper", "full", "upper"], 1.0)
        own = trials(People(bases=bases, participants=2, faces=7))
        assert own.conditions == ["full", "upper", "lower", "composite-aligned-upper", "tiles"]
        assert visible_of("upper") == "lower"
        assert visible_of("tiles") == ""


class TestSensitivity:
    def test_it_is_that_of_networks_on_the_same_answers(self):
        """One person who sees every picture is scored as a network that answers the same."""
        random = np.random.default_rng(0)
        labels = np.arange(70) % 7
        outcomes = {
            ("any-seed0", key): np.where(random.random(70) < p, labels, random.integers(0, 7, 70))
            for key, p in (("full", 0.8), ("upper", 0.5))
        }
        rows = [
            ("me", f"i{i}_{key}", f"i{i}", key, EMOTIONS[labels[i]], EMOTIONS[answer])
            for (_, key), answers in outcomes.items()
            for i, answer in enumerate(answers)
        ]
        names = ["participant", "stimulus", "person", "condition", "emotion", "answer"]
        own = Trials(pd.DataFrame(rows, columns=names).assign(reference="full"), FEW)
        found, network = (
            sensitivity([own]),
            of_networks(sampled(scored_predictions(outcomes, labels), draws=20)),
        )
        for key in ("full", "upper"):
            for emotion in EMOTIONS:
                for measure in ("recall", "unbiased_hit_rate", "d_prime", "criterion"):
                    at = {"condition": key, "emotion": emotion, "measure": measure}
                    assert row(found, **at)["value"] == pytest.approx(row(network, **at)["value"])
            mean = found[(found["condition"] == key) & (found["measure"] == "recall")]
            of_all = mean.loc[mean["emotion"] == "all", "value"].item()
            assert of_all == pytest.approx(mean.loc[mean["emotion"] != "all", "value"].mean())

    def test_answers_that_are_no_emotion_lower_hits_and_no_share_of_answers(self):
        names = ["participant", "stimulus", "person", "emotion", "answer"]
        rows = [(f"p{p}", f"s{i}", f"s{i}", EMOTIONS[i], EMOTIONS[i]) for p in range(4)
                for i in range(7)]  # fmt: skip
        table = pd.DataFrame(rows, columns=names).assign(condition="full", reference="")
        table.loc[(table["emotion"] == "happy") & (table["participant"] == "p0"), "answer"] = ""
        found = sensitivity([Trials(table, FEW)])
        happy = {"emotion": "happy", "condition": "full"}
        assert row(found, measure="recall", **happy)["value"] == 0.75
        # Three hits of four pictures, and every answer "happy" was right.
        assert row(found, measure="unbiased_hit_rate", **happy)["value"] == 0.75
        assert row(found, measure="recall", condition="full", emotion="sad")["value"] == 1
        counts = confusions([Trials(table, FEW)])
        assert row(counts, true="happy", answered="no emotion")["count"] == 1

    def test_emotions_that_nobody_was_shown_are_no_zero(self):
        table = simulate(People(participants=4, faces=14), 0)
        table = table[table["emotion"].isin(["happy", "sad"])].reset_index(drop=True)
        found = sensitivity([Trials(table, FEW)])
        fear = row(found, condition="full", emotion="fear", measure="recall")
        assert np.isnan(fear["value"])
        assert fear["reason"] == "no trials"
        assert np.isfinite(row(found, condition="full", emotion="all", measure="recall")["value"])

    def test_changes_are_against_the_reference_and_sure_ones_are_found(self):
        bases = {"full": 2.0, "upper": -0.5}
        own = trials(People(bases=bases, participants=20, faces=28), draws=300)
        found = sensitivity([own])
        whole, part = (row(found, condition=key, emotion="all", measure="recall") for key in bases)
        assert part["change"] == pytest.approx(part["value"] - whole["value"])
        assert part["reference"] == "full"
        assert whole["reference"] == ""
        assert np.isnan(whole["change"])
        assert part["p"] < 0.001
        # Of the mean one condition alone is compared, of each emotion there are seven.
        assert part["p_holm"] == part["p"]
        emotions = found[found["condition"].eq("upper") & found["measure"].eq("recall")].iloc[:7]
        np.testing.assert_allclose(emotions["p_holm"], holm(emotions["p"]))
        assert part["change_high"] < 0

    def test_a_change_is_of_emotions_that_both_conditions_show(self):
        """The same answers in both; the part was shown of two emotions alone, the easy ones."""
        table = simulate(People(bases={"full": 1.0, "upper": 1.0}, participants=12, faces=28), 0)
        whole = table[table["condition"] == "full"]
        part = whole[whole["emotion"].isin(["happy", "sad"])].assign(
            condition="upper", reference="full", stimulus=lambda t: t["stimulus"] + "-upper"
        )
        found = sensitivity([Trials(pd.concat([whole, part]), FEW)])
        upper = found[found["condition"] == "upper"]
        changes = upper.loc[upper["emotion"].isin(["happy", "sad", "all"]), "change"]
        recall = upper[upper["measure"] == "recall"].set_index("emotion")["change"]
        assert recall["all"] == pytest.approx(recall[["happy", "sad"]].mean())
        assert recall["all"] == pytest.approx(0, abs=1e-12)
        assert np.isfinite(changes).all()

    def test_what_is_always_right_or_never_has_no_interval(self):
        """Corrections for rates of 0 and 1 would vary with how many trials a draw has."""
        rows = simulate(People(bases={"full": 0.0, "upper": 0.0}, participants=12, faces=21), 0)
        wrong = rows["emotion"].map({"happy": "sad"}).fillna("happy")
        rows = rows.assign(answer=np.where(rows["condition"] == "full", rows["emotion"], wrong))
        found = sensitivity([Trials(rows, FEW)])
        for key, hits in (("full", 1), ("upper", 0)):
            own = found[(found["condition"] == key) & (found["emotion"] == "all")]
            assert row(own, measure="recall")["value"] == hits
            whole = own if key == "full" else own[own["measure"].isin(["recall"])]
            assert whole[["low", "high"]].isna().all(axis=None)
            assert (whole["reason"] == "nothing varies between the draws").all()
        change = row(found, condition="upper", emotion="all", measure="recall")
        assert (change["change"], np.isnan(change["p"])) == (-1, True)

    def test_intervals_stay_where_a_measure_can_be(self):
        rows = simulate(People(participants=2, faces=14, bases={"full": 1.5, "lower": 0.0}), 0)
        found = sensitivity([Trials(rows, FEW)])
        rates = found[found["measure"].isin(["recall", "unbiased_hit_rate"])]
        known = rates[rates["low"].notna()]
        assert len(known)
        assert known["method"].str.startswith("95% t interval").all()
        assert (known["low"] >= 0).all()
        assert (known["high"] <= 1).all()
        free = found[(found["measure"] == "d_prime") & (found["emotion"] == "all")]
        assert (free["high"] > 1).any()

    def test_a_network_is_scored_on_the_very_same_trials(self):
        own = trials()
        answers = own.table.drop_duplicates("stimulus").set_index("stimulus")["emotion"].to_dict()
        perfect = own.answered_by("perfect", answers)
        found = beside(own, [perfect])
        one = row(found, condition="upper", emotion="all", measure="recall")
        assert one["network"] == 1
        assert one["difference"] == pytest.approx(one["people"] - 1)
        same = beside(own, [replace(own, who="twin")])
        assert (same["difference"].abs() < 1e-12).all()


class TestPutIn:
    """Simulated people: the population's own numbers come out, and intervals hold them."""

    @pytest.mark.parametrize("latin", [False, True])
    def test_many_people_and_faces_have_the_population_s_rates(self, latin):
        design = People(participants=60, faces=112, ability=0.2, ease=0.2, latin=latin)
        own = Trials(simulate(design, 0), StatisticsOptions(draws=2))
        for key in design.bases:
            found = measures(own, key)[:, -1, 0]
            assert found[0] == pytest.approx(hit_rate(design, key), abs=0.03)
            assert found[1] == pytest.approx(unbiased_hit_rate(design, key), abs=0.04)

    def test_answers_elsewhere_raise_the_unbiased_rate_as_they_should(self):
        design = People(
            bases={"full": 0.0}, participants=40, faces=112, elsewhere=0.5, ability=0.2, ease=0.2
        )
        own = Trials(simulate(design, 1), StatisticsOptions(draws=2))
        assert unbiased_hit_rate(design, "full") == pytest.approx(0.5**2 / 0.75, abs=0.01)
        found = measures(own, "full")[1, -1, 0]
        assert found == pytest.approx(unbiased_hit_rate(design, "full"), abs=0.04)

    def test_differences_of_one_emotion_are_not_found_where_there_are_none(self):
        # Everybody sees all, faces differ, and the network is right as often as people are.
        found = []
        design = People(bases={"full": 0.0}, participants=20, faces=28, ability=0.2, ease=1.0)
        for seed in range(30):
            random = np.random.default_rng(seed)
            own = trials(design, seed=seed, draws=150)
            assert own.bearing("full").tolist() == [4] * 7 + [20]
            stimuli = own.table.drop_duplicates("stimulus")
            right = random.random(len(stimuli)) < 0.5
            answers = np.where(right, stimuli["emotion"], "other")
            network = own.answered_by("other", dict(zip(stimuli["stimulus"], answers, strict=True)))
            table = beside(own, [network])
            hits = table[(table["measure"] == "recall") & (table["emotion"] != "all")]
            found.append((hits["p"] < 0.05).mean())
        # As if all 28 faces bore on each emotion it is about .2.
        assert np.mean(found) < 0.14

    def test_intervals_hold_the_truth_about_as_often_as_they_say(self):
        found = coverage(People(participants=12, faces=14), sets=40, draws=120)
        # Of 160 that hold in 95 %, fewer than 141 are expected once in 10,000; dependent ones
        # oftener. validity/people.py counts more of them.
        # Draws of 14 faces often show none of the two of one emotion, which then has no interval.
        given = found[found["given"] == 1]
        assert len(given) == 4
        assert (given["coverage"] >= 0.8).all()
        assert given["coverage"].mean() >= 0.88
        np.testing.assert_allclose(found["mean"], found["truth"], atol=0.04)


class TestInformation:
    def test_it_is_what_the_others_answers_say_by_brute_force(self):
        random = np.random.default_rng(0)
        labels, answers = random.integers(0, 3, 60), random.integers(0, 8, 60)
        people, faces = random.integers(0, 5, 60), random.integers(0, 9, 60)
        for mix, units in product(("data", "balanced"), ([people, faces], [faces])):
            found = pointwise(labels, answers, units, mix)
            shown = [(labels == one).sum() if mix == "data" else 20 for one in range(3)]
            for i in range(60):
                others = np.all([one != one[i] for one in units], axis=0)
                left = [(others & (labels == one)).sum() for one in range(3)]
                same = [
                    (others & (answers == answers[i]) & (labels == one)).sum() for one in range(3)
                ]
                of_answer = [
                    s * t / n if n else 0 for s, t, n in zip(same, shown, left, strict=True)
                ]
                of_all = [t if n else 0 for t, n in zip(shown, left, strict=True)]
                told, prior = (
                    (one[labels[i]] + 0.5) / (sum(one) + 1.5) for one in (of_answer, of_all)
                )
                assert found[i] == pytest.approx(np.log2(told / prior))

    @pytest.mark.parametrize("alone", [EMOTIONS, EMOTIONS[:1]])
    def test_an_emotion_that_one_face_shows_has_no_bits(self, alone):
        """Random answers would tell of it what the counts start at, about log2 7 bits."""
        rows = simulate(People(participants=20, faces=28, bases={"full": 0.0}), 0)
        first = rows.drop_duplicates("emotion").set_index("emotion")["person"]
        kept = ~rows["emotion"].isin(alone) | (rows["person"] == rows["emotion"].map(first))
        rows = rows[kept].reset_index(drop=True)
        random = np.random.default_rng(1)
        own = Trials(rows.assign(answer=random.choice(EMOTIONS, len(rows))), FEW)
        for trials_of in (own, replace(own, who="network")):
            table = information([trials_of]).set_index("emotion")
            for mix in ("data", "balanced"):
                found = table[table["mix"] == mix]
                assert found.loc[[*alone, "all"], "bits"].isna().all()
                assert (found.loc[list(alone), "reason"] == "no other face shows it").all()
                assert found.loc["all", "reason"] == "of an emotion only one face tells"
                others = found.drop([*alone, "all"])["bits"]
                assert (others < 0.3).all()
                assert len(others) == 7 - len(alone)
        assert shapley([own]).empty

    def test_what_a_face_is_taken_for_is_no_knowledge_of_its_emotion(self):
        # Everybody answers by the face: each has a favourite that has nothing to do with what it
        # shows. Were the others' answers to the same face told, it would be knowledge.
        rows = simulate(People(participants=30, faces=28), 0)
        found = []
        for seed in range(12):
            favourites = np.random.default_rng(seed).choice(EMOTIONS, rows["person"].nunique())
            by_face = dict(zip(rows["person"].unique(), favourites, strict=True))
            own = Trials(rows.assign(answer=rows["person"].map(by_face)), FEW)
            found.append(AnswerBits(own, "balanced").of("full")[-1, 0])
        assert np.mean(found) < 0

    @pytest.mark.parametrize("faces", [14, 28, 70])
    def test_a_network_that_answers_without_looking_tells_nothing(self, faces):
        own = trials(People(participants=30, faces=faces), draws=2)
        blind = own.answered_by("blind", dict.fromkeys(own.table["stimulus"], "happy"))
        for mix in ("data", "balanced"):
            assert AnswerBits(blind, mix).of("full")[-1, 0] == pytest.approx(0, abs=1e-12)

    def test_perfect_answers_tell_everything_and_random_ones_nothing(self):
        rows = simulate(People(participants=30, faces=28, bases={"full": 20.0}), 0)
        for mix in ("data", "balanced"):
            told = AnswerBits(Trials(rows, FEW), mix).of("full")[-1, 0]
            assert told == pytest.approx(np.log2(7), abs=0.05)
            blind = rows.assign(answer=np.random.default_rng(0).choice(EMOTIONS, len(rows)))
            assert AnswerBits(Trials(blind, FEW), mix).of("full")[-1, 0] == pytest.approx(
                0, abs=0.06
            )

    def test_always_the_same_answer_tells_nothing(self):
        rows = simulate(People(participants=10, faces=14), 0).assign(answer="happy")
        found = information([Trials(rows, FEW)])
        assert (found["bits"].abs() < 1e-9).all()

    def test_one_person_alone_can_not_be_predicted(self):
        rows = simulate(People(participants=2, faces=14), 0)
        own = Trials(rows[rows["participant"] == "p000"].reset_index(drop=True), FEW)
        assert information([own])["bits"].isna().all()

    def test_halves_share_out_what_the_whole_face_tells(self):
        bases = {"full": 2.5, "upper": 2.0, "lower": -1.5}
        own = trials(People(bases=bases, participants=25, faces=28), draws=300)
        found = shapley([own])
        at = {"mix": "balanced", "emotion": "all"}
        upper, lower, whole = (
            row(found, region=one, **at)["bits"] for one in ("upper", "lower", "whole")
        )
        assert upper + lower == pytest.approx(whole)
        # Without the lower half people can't tell: it is the lower one that tells.
        apart = row(found, region="upper - lower", **at)
        assert apart["bits"] == pytest.approx(upper - lower)
        assert apart["high"] < 0
        assert apart["p_holm"] < 0.01
        assert set(found["model"]) == {"people"}

    def test_a_pair_of_halves_rests_on_its_own_trials(self):
        """What few saw of another pair takes nothing from it."""
        bases = {"full": 2.0, "upper": 1.0, "lower": 0.0}
        rows = simulate(People(bases=bases, participants=12, faces=21), 0)
        more = rows[(rows["condition"] == "full") & (rows["emotion"] == "happy")]
        more = [more.assign(condition=one) for one in ("left", "right")]
        alone = shapley([Trials(rows, FEW)])
        both = shapley([Trials(pd.concat([rows, *more], ignore_index=True), FEW)])
        theirs = both[both["region"].isin(set(alone["region"]))].reset_index(drop=True)
        # Holm's family has more members now.
        compared = [one for one in alone.columns if one != "p_holm"]
        pd.testing.assert_frame_equal(theirs[compared], alone[compared])
        whole = row(both, region="whole", mix="data", emotion="all")
        assert whole["n"] == (rows["condition"] == "full").sum()
        sides = both[both["region"] == "left - right"].set_index("emotion")
        assert np.isfinite(sides.loc["happy", "bits"]).all()
        assert sides.loc[["sad", "all"], "bits"].isna().all()

    def test_whole_faces_are_worth_what_their_own_trials_say(self):
        """Also where the first pair shows an emotion that whole faces don't."""
        rows = simulate(People(bases={"full": 2.0, "upper": 1.0, "lower": 0.0}, faces=21), 0)
        whole = rows[(rows["condition"] == "full") & (rows["emotion"] != "happy")]
        parts = rows[rows["condition"] != "full"]
        sides = [whole.assign(condition=one) for one in ("left", "right")]
        found = shapley([Trials(pd.concat([parts, whole, *sides], ignore_index=True), FEW)])
        known = row(found, region="whole", mix="data", emotion="all")
        own = information([Trials(whole.reset_index(drop=True), FEW)])
        alone = row(own, condition="full", mix="data", emotion="all")
        assert known["bits"] == pytest.approx(alone["bits"])
        assert (known["n"], known["low"]) == (alone["n"], pytest.approx(alone["low"]))

    def test_without_both_halves_there_is_nothing_to_share(self):
        assert shapley([trials(People(bases={"full": 1.0, "left": 0.0}, participants=3))]).empty


class TestBounds:
    """Of few participants t has few degrees of freedom, and intervals that pass what can be."""

    def test_of_changes_and_differences(self):
        bases = {"full": 2.0, "upper": -0.5}
        own = trials(People(bases=bases, participants=5, faces=28), 1)
        other = replace(own, who="network", table=own.table.assign(answer="happy"))
        changed = sensitivity([own])
        changed = changed[changed["measure"] == "recall"]
        compared = beside(own, [other])
        compared = compared[compared["measure"] == "recall"]
        agreed = agreement(own, [other])
        for ends in (
            changed[["change_low", "change_high"]],
            compared[["low", "high"]],
            agreed.loc[agreed["measure"] == "difference", ["low", "high"]],
        ):
            known = ends.dropna().abs().to_numpy()
            assert known.size
            assert known.max() <= 1
        assert (compared["high"] == 1).any()


class TestAgreement:
    def test_two_people_by_brute_force_also_in_a_draw(self):
        own = trials(People(participants=5, faces=14, bases={"full": 0.0}), draws=6)
        # Not everybody saw everything.
        kept = own.table.drop(index=np.random.default_rng(0).choice(len(own.table), 15, False))
        own = replace(own, table=kept.reset_index(drop=True))
        found = two_people(own, "full")
        for draw in range(own.weights.shape[1]):
            sums = np.zeros(2)
            for stimulus, cell in own.table.groupby("stimulus"):
                face = own.faces[own.table["stimulus"].eq(stimulus).to_numpy()][0]
                alike = total = 0.0
                for a, b in combinations(cell.index, 2):
                    weight = float(
                        own.participant_weights[own.participants[a], draw]
                        * own.participant_weights[own.participants[b], draw]
                        * own.face_weights[face, draw]
                    )
                    alike += weight * (own.answers[a] == own.answers[b])
                    total += weight
                if total:
                    answered = own.participant_weights[own.participants[cell.index], draw].sum()
                    weight = float(answered) * float(own.face_weights[face, draw])
                    sums += weight * np.array([alike / total, 1.0])
            assert found[-1, draw] == pytest.approx(sums[0] / sums[1])

    def test_being_right_together_is_no_agreement_beyond_it(self):
        design = People(participants=40, faces=70, bases={"full": 1.0}, ability=0.0, ease=0.0)
        own = trials(design, draws=200)
        random = np.random.default_rng(1)
        stimuli = own.table.drop_duplicates("stimulus")
        right = random.random(len(stimuli)) < 0.7
        answers = np.where(right, stimuli["emotion"], random.choice(EMOTIONS, len(stimuli)))
        blind = own.answered_by("blind", dict(zip(stimuli["stimulus"], answers, strict=True)))
        found = agreement(own, [blind])
        assert tuple(found.columns) == AGREEMENT_COLUMNS
        at = {"emotion": "all", "condition": "full"}
        assert row(found, measure="agreement", **at)["value"] > 0.45
        beyond = row(found, measure="beyond", **at)
        assert beyond["low"] <= 0 <= beyond["high"]
        assert abs(beyond["value"]) < 0.05

    def test_erring_on_the_same_faces_is(self):
        design = People(participants=30, faces=70, bases={"full": 0.5}, ability=0.0, ease=3.0)
        own = trials(design, draws=200)
        most = own.table.groupby("stimulus")["answer"].agg(lambda one: one.mode().iloc[0])
        found = agreement(own, [own.answered_by("crowd", most.to_dict())])
        at = {"emotion": "all", "condition": "full"}
        beyond = row(found, measure="beyond", **at)
        assert beyond["low"] > 0.15
        # Nobody is more like each of them than what most of them say.
        assert row(found, measure="difference", **at)["value"] > 0

    def test_nobody_who_shares_a_stimulus_has_no_pair(self):
        table = simulate(People(participants=2, faces=14, latin=True), 0)
        found = two_people(Trials(table, FEW), "full")
        assert np.isnan(found[-1, 0])


@pytest.fixture(scope="module")
def own():
    """People who are right where tile 20 is seen; a network that is right by tile 21."""
    random = np.random.default_rng(0)
    rows = []
    for face in range(28):
        for sample in range(6):
            tiles = tuple(sorted(random.permutation(TILES)[:24].tolist()))
            for person in range(6):
                right = random.random() < (0.9 if 20 in tiles else 0.3)
                emotion = EMOTIONS[face % 7]
                answer = emotion if right else EMOTIONS[(face + 1) % 7]
                name = f"f{face}_{sample}"
                rows.append((f"p{person}", name, f"f{face}", emotion, answer, tiles))
    names = ["participant", "stimulus", "person", "emotion", "answer", "tiles"]
    table = pd.DataFrame(rows, columns=names)
    table["bubbles"] = [() for _ in rows]
    return Trials(
        table.assign(condition="tiles", reference="", sigma_px=np.nan),
        StatisticsOptions(draws=100),
    )


class TestMaps:
    def test_the_tile_that_people_need_is_found(self, own):
        found = maps([own])
        everything = found[found["emotion"] == "all"].set_index("tile")
        assert everything["value"].idxmax() == 20
        assert everything.loc[20, "low"] > 0.3
        others = everything.drop(index=20)
        assert ((others["low"] <= 0) & (others["high"] >= 0)).mean() > 0.85

    def test_a_map_is_the_correlation_of_a_tile_with_being_right(self, own):
        seen = np.array([20 in tiles for tiles in own.table["tiles"]], dtype=float)
        right = (own.answers == own.labels).astype(float)
        expected = np.corrcoef(seen, right)[0, 1]
        assert map_of(own, "tiles")[-1, 20, 0] == pytest.approx(expected)

    def test_likeness_stands_beside_that_of_the_middle(self, own):
        stimuli = own.table.drop_duplicates("stimulus")
        ours = np.where([20 in tiles for tiles in stimuli["tiles"]], stimuli["emotion"], "neutral")
        network = own.answered_by("net", dict(zip(stimuli["stimulus"], ours, strict=True)))
        found = likeness(own, [network])
        at = {"emotion": "all", "condition": "tiles"}
        measures_of = {row_["measure"] for _, row_ in found.iterrows()}
        assert measures_of == {
            "correlation", "centre", "people_centre", "partial", "within_distance", "torus_p",
        }  # fmt: skip
        for measure in ("correlation", "partial", "within_distance"):
            assert row(found, measure=measure, **at)["value"] > 0.2
        assert row(found, measure="torus_p", **at)["value"] <= 0.2
        twin = likeness(own, [replace(own, who="twin")])
        assert row(twin, measure="correlation", **at)["value"] == pytest.approx(1)

    def test_apertures_of_two_widths_are_no_one_map(self, own):
        table = own.table.assign(sigma_px=np.where(own.table.index < 9, 4.0, 5.0))
        table["bubbles"] = [(1, 2)] * len(table)
        with pytest.raises(UsageError, match="several widths"):
            map_of(replace(own, table=table), "tiles")


def test_who_does_not_answer_in_time_has_no_time():
    """jsPsych's null / 1000 is 0, and left-out trials are no answers."""
    table = pd.DataFrame({
        "participant": "1", "emotion": "happy", "answer": "happy", "said": "happy",
        "handled": ["counted"] * 3 + ["left out"], "rt_s": [1.2, 1.4, 0.0, 9.0],
        "confidence": np.nan,
    })  # fmt: skip
    assert participants(table)["median_rt_s"].tolist() == [pytest.approx(1.3)]


def test_numbers_rest_on_their_own_trials():
    """Ten people saw whole faces, ten others the same faces without a half."""
    table = simulate(People(participants=20, faces=14), 0)
    place = table["participant"].astype("category").cat.codes
    table = table[(place < 10) == (table["condition"] == "full")]
    table = table[table["condition"].isin(["full", "upper"])].reset_index(drop=True)
    table = table.assign(confidence=1.0, rt_s=np.nan)
    own = Trials(table, FEW)
    network = own.answered_by("net", dict.fromkeys(table["stimulus"], "happy"))
    for found in (
        sensitivity([own]), beside(own, [network]), agreement(own, [network]), ratings(own)
    ):  # fmt: skip
        sizes = found[["n", "participants", "faces"]]
        assert (sizes[found["emotion"] == "happy"] == [20, 10, 2]).all(axis=None)
        assert (sizes[found["emotion"] == "all"] == [140, 10, 14]).all(axis=None)
    told = information([own])
    assert set(told.loc[told["emotion"] == "happy", "faces"]) == {2}


def test_intervals_of_ratings_rest_on_those_who_gave_them():
    random = np.random.default_rng(0)
    table = simulate(People(participants=20, faces=14, bases={"full": 0.0}), 0)
    few = table["participant"].isin(table["participant"].unique()[:4])
    table = table.assign(
        rt_s=np.nan, confidence=np.where(few, random.integers(1, 8, len(table)), np.nan)
    )
    sizes = ["value", "low", "high", "n", "participants", "faces"]
    found, alone = (
        row(ratings(Trials(some.reset_index(drop=True), FEW)), emotion="all")
        for some in (table, table[few])
    )
    assert found[sizes[3:]].tolist() == alone[sizes[3:]].tolist() == [4 * 14, 4, 14]
    assert found["method"].startswith("95% t interval")
    assert alone["method"].startswith("95% t interval")


class TestParticipants:
    def test_counts_and_ratings(self):
        table = simulate(People(participants=3, faces=14), 0)
        random = np.random.default_rng(0)
        table = table.assign(
            handled="counted", said=table["answer"],
            rt_s=np.exp(random.normal(0.2, 0.3, len(table))), confidence=4.0,
        )  # fmt: skip
        table.loc[0, ["handled", "said", "answer"]] = ["left out", "no answer", ""]
        table.loc[1, ["handled", "said", "answer"]] = ["wrong", "other", ""]
        found = participants(table)
        assert found["trials"].tolist() == [28] * 3
        assert (found.loc[0, "emotions"], found.loc[0, "wrong"], found.loc[0, "left_out"]) == (
            26,
            1,
            1,
        )
        counts = responses(table)
        assert counts["count"].sum() == len(table)
        assert row(counts, said="other")["handled"] == "wrong"
        kept = table[table["handled"] != "left out"].reset_index(drop=True)
        rated = ratings(Trials(kept, FEW))
        right = kept[(kept["answer"] == kept["emotion"]) & (kept["condition"] == "full")]
        time = row(rated, measure="rt_s", condition="full", emotion="all")
        assert time["value"] == pytest.approx(np.exp(np.log(right["rt_s"]).mean()))
        assert time["low"] < time["value"] < time["high"]
        assert (rated.loc[rated["measure"] == "confidence", "value"].dropna() == 4).all()
        assert ratings(Trials(kept.assign(rt_s=np.nan, confidence=np.nan), FEW)).empty
