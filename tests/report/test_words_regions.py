"""Importance in words, figures and files: nothing is said that the numbers don't say."""

import json
import re
from zlib import crc32

import numpy as np
import pandas as pd
import pytest
from test_importance import MASKS, played
from test_importance_tiles import chains, write_people

from builders import described, hemiface, sampled, tiny_bundle
from hemiface.config import StatisticsOptions
from hemiface.data.phantom import make as phantom
from hemiface.errors import UsageError
from hemiface.occlusion.conditions import QUADRANTS
from hemiface.occlusion.tiles import TILES, place
from hemiface.report import page as report
from hemiface.report.figures import regions as faces
from hemiface.report.importance import write_importance
from hemiface.report.words.regions import (
    importance_figures,
    page_words,
    sentences,
    shown_models,
)
from hemiface.stats.importance import analyse
from hemiface.stats.importance.tiles import tile_maps, tile_table
from hemiface.tables import EMOTIONS, read_predictions, write_predictions, write_table

pytestmark = pytest.mark.slow

SHARES = np.array(
    [
        [0.10, 0.10, 0.02, 0.02],
        [0.02, 0.02, 0.10, 0.10],
        [0.05, 0.05, 0.05, 0.05],
        [0.00, 0.00, 0.30, 0.30],
        [0.08, 0.02, 0.08, 0.02],
        [0.02, 0.08, 0.02, 0.08],
        [0.05, 0.05, 0.05, 0.05],
    ]
)
"""What each quadrant adds to each emotion's probability: ours to choose."""


def planted(noise=0.01, **options) -> pd.DataFrame:
    """Predictions of a game in which quadrants add up to SHARES, with noise."""

    def value(_model, mask, emotion, image):
        seen = (
            np.array([mask >> q & 1 for q in range(4)]) if isinstance(mask, int) else np.ones(4) / 2
        )
        jitter = np.random.default_rng([crc32(f"{mask}".encode()), image]).normal() * noise
        return float(np.clip(0.15 + SHARES[emotion] @ seen + jitter, 0.01, 0.99))

    return played(value, n=140, groups=1, **options)


@pytest.fixture(scope="module")
def found():
    return analyse(sampled(planted(), draws=60))


class TestWords:
    def test_which_half_and_for_which_emotion(self, found):
        text = " ".join(sentences(found))
        assert "Over all images the lower half contributes more than the upper" in text
        named = re.search(r"By emotion \(upper minus lower\), (.*?)\.(?= [A-Z])", text)[1]
        upper, lower, apart = re.split("; ", named)
        assert upper.startswith("the upper half contributes more than the lower for angry (+16.")
        assert set(re.findall(r"(\w+) \(", upper)) == {"angry"}
        assert set(re.findall(r"(\w+) \(", lower)) == {"disgust", "happy"}
        assert apart.startswith("no difference was found for fear")
        assert set(re.findall(r"(\w+) \(", apart)) == {"fear", "sad", "surprise", "neutral"}
        assert "no difference between the contributions of the left and the right half" in text
        assert "95 % intervals" in text

    def test_more_is_said_only_where_the_difference_leaves_0_out(self, found):
        rows = found.regions[
            (found.regions["quantity"] == "shapley")
            & (found.regions["seed"] == "mean")
            & (found.regions["value_function"] == "probability")
        ]
        text = " ".join(sentences(found))
        for one, other in (("upper", "lower"), ("left", "right")):
            part = text.split(f"By emotion ({one} minus {other}), ")[1].split(" The ")[0]
            apart = part.split("no difference was found for ")[1] if "found for" in part else ""
            for emotion in EMOTIONS:
                row = rows[(rows["emotion"] == emotion) & (rows["region"] == f"{one} - {other}")]
                includes_0 = (row["low"].item() <= 0) and (row["high"].item() >= 0)
                assert (f"{emotion} (" in apart) == includes_0

    def test_noise_alone_says_nothing_apart(self):
        rng = np.random.default_rng(3)
        table = played(lambda *_: float(rng.uniform(0.1, 0.9)), n=70, groups=1)
        text = " ".join(sentences(analyse(sampled(table, draws=60))))
        assert text.count("no difference") >= 2
        assert "Over all images the upper half contributes more" not in text

    def test_halves_that_act_together(self):
        def value(_model, mask, _emotion, image):
            both = (mask & 3 > 0) and (mask & 12 > 0)
            return 1 / 7 + 0.5 * both + 0.001 * (image % 5) * both

        text = " ".join(sentences(analyse(sampled(played(value, groups=1), draws=40))))
        assert "The upper and the lower half complete each other" in text
        assert re.search(r"complete each other: .*? \(\+50\.2\d? \[50\.1", text)

        def either(_model, mask, _emotion, image):
            return 1 / 7 + 0.5 * (mask > 0) + 0.001 * (image % 5)

        text = " ".join(sentences(analyse(sampled(played(either, groups=1), draws=40))))
        assert "The left and the right half say partly the same" in text
        assert "complete each other" not in text

    def test_where_seeing_misleads(self):
        def value(_model, mask, emotion, image):
            return 0.1 - 0.005 * mask if emotion == 0 else 0.1 + 0.03 * mask + 0.0001 * image

        def jittered(model, mask, emotion, image):
            return value(model, mask, emotion, image) + 0.0001 * (image % 9)

        table = played(jittered, n=140, groups=1)
        text = " ".join(sentences(analyse(sampled(table, draws=40))))
        said = r"faces of angry \(2\.5\s% beside 14\.3\s%\) less probability than their frequency"
        assert re.search(said, text)
        text = " ".join(sentences(analyse(sampled(planted(), draws=40))))
        assert "less probability than" not in text

    def test_controls_fills_and_the_generalist(self):
        two = planted(models=("full-seed0", "any-seed0"), conditions=(*MASKS, "random-50"))
        other = planted(fill="mean", conditions=[key for key in MASKS if key != "full"])
        found = analyse(sampled(pd.concat([two, other], ignore_index=True), draws=40))
        said = sentences(found)
        assert "trained on whole faces" in said[0]
        assert "this is its robustness" in said[0]
        assert "trained on every condition" in said[1]
        # Half of everything is what the lower half is not: it holds more.
        assert re.search(r"hiding the lower half costs more than that \(\+", said[0])
        assert re.search(r"hiding the upper half costs less than that \(−", said[0])
        assert "Over 2 fills of the hidden part" in said[0]
        assert "fills" not in said[1]

    def test_each_of_several_networks_is_told_and_what_isnt_is_named(self):
        own = [f"net{number}-seed0" for number in range(7)]
        some = analyse(sampled(planted(models=("full-seed0", *own[:2], "any-seed0")), draws=5))
        shown, told = shown_models(some.regions), sentences(some)
        assert shown[:2] == ["full", "any"]
        assert sorted(shown[2:]) == ["net0", "net1"]
        assert all(
            f"The model {name} " in one for name, one in zip(shown[2:], told[2:4], strict=True)
        )
        assert not any("Neither words" in one for one in told)
        assert {f"importance-halves-{name}" for name in shown} <= set(
            importance_figures(some.regions)
        )
        many = analyse(sampled(planted(models=own), draws=5))
        (rest,) = {one.removesuffix("-seed0") for one in own} - set(shown_models(many.regions))
        left = (
            f"Neither words nor figures stand here of {rest}, which importance.csv has; a table of "
            "them alone gives theirs."
        )
        for said in (sentences(many), *(page_words(many, in_bits=one) for one in (True, False))):
            assert left in said
        # Beside the baseline a specialist is at home under one condition alone.
        beside = analyse(sampled(planted(models=("full-seed0", "upper-seed0")), draws=5))
        assert shown_models(beside.regions) == ["full"]
        assert "Neither words nor figures stand here of upper" in sentences(beside)[1]

    def test_a_fill_that_isnt_black_is_named(self, found):
        grey = planted(models=("any-seed0",), fill="mean")
        said = sentences(analyse(sampled(grey, draws=5)))[0]
        assert (
            "among the parts of the face (Shapley values, hidden parts filled with mean)." in said
        )
        assert "filled" not in sentences(found)[0]


class TestFigures:
    def test_every_quadrant_carries_its_value_where_it_lies(self, found):
        figure = faces.quadrant_map(found.regions)
        rows = found.regions[
            (found.regions["quantity"] == "shapley")
            & (found.regions["seed"] == "mean")
            & (found.regions["value_function"] == "probability")
        ].set_index(["emotion", "region"])["value"]
        panels = [axes for axes in figure.axes if axes.get_title()]
        assert [axes.get_title() for axes in panels] == [*EMOTIONS, "all images"]
        for axes, emotion in zip(panels, [*EMOTIONS, "all"], strict=True):
            for text, region in zip(axes.texts, QUADRANTS, strict=True):
                value = 100 * rows[emotion, region]
                assert text.get_text() == f"{value:+.1f}".replace("-", "−")
                x, y = text.get_position()
                assert ("upper" in region, "left" in region) == (y < 0.5, x < 0.5)

    def test_colours_are_centred_on_0_share_a_scale_and_grey_is_unsure(self):
        values = np.array([0.0, 2.0, -2.0, np.nan])
        panel = faces.FacePanel("one", values, np.array([False, True, True, False]))
        smaller = faces.FacePanel("two", values / 2, np.array([True] * 4))
        figure = faces.face_figure([panel, None, smaller], "title", "unit")
        one, two = (axes for axes in figure.axes if axes.get_title())
        colours = [patch.get_facecolor() for patch in one.patches[:4]]
        assert colours[0][:3] == pytest.approx((1, 1, 1), abs=0.01)
        assert colours[1][2] > colours[1][0]
        assert colours[2][0] > colours[2][2]
        assert two.patches[1].get_facecolor() != colours[1]
        assert [text.get_text() for text in one.texts] == ["+0.0", "+2.0", "−2.0", "–"]
        assert [text.get_fontstyle() for text in one.texts][:2] == ["italic", "normal"]

    def test_tiles_are_drawn_down_the_columns(self):
        weights = np.arange(TILES) / 3990
        table = tile_table(
            tile_maps(
                chains(lambda _, seen: 0.1 + seen @ weights, n=14), StatisticsOptions(draws=5)
            )
        )
        axes = next(a for a in faces.tile_figure(table).axes if a.get_title() == "fear")
        for tile, text in enumerate(axes.texts):
            row, column = place(tile)
            assert text.get_position() == pytest.approx(((column + 0.5) / 6, (row + 0.5) / 8))
            assert text.get_text() == f"{100 * weights[tile]:+.1f}"
        figure = faces.people_figure(table, np.tile(weights, (7, 1)))
        panels = [a for a in figure.axes if a.get_title()]
        assert len(panels) == 14
        assert {a.texts[47].get_text() for a in panels} == {"+100"}

    def test_halves_and_their_intervals(self, found):
        figure = faces.halves_plot(found.regions)
        rows = found.regions[
            (found.regions["quantity"] == "shapley")
            & (found.regions["seed"] == "mean")
            & (found.regions["value_function"] == "probability")
        ].set_index(["region", "emotion"])
        for axes, pair in zip(figure.axes, (("upper", "lower"), ("left", "right")), strict=True):
            for line, region in zip(axes.lines, pair, strict=False):
                wanted = 100 * rows.loc[region]["value"].loc[[*EMOTIONS, "all"]]
                assert line.get_xdata() == pytest.approx(wanted.to_numpy())

    def test_what_is_not_in_the_table(self, found):
        with pytest.raises(UsageError, match="no importance of model right for accuracy"):
            faces.quadrant_map(found.regions, model="right", value_function="accuracy")


class TestFiles:
    @pytest.fixture
    def predictions(self, tmp_path):
        path = tmp_path / "predictions.parquet"
        write_predictions(described(planted(), {"flips": True}), path)
        return path

    def test_the_command_writes_tables_figures_and_words(
        self, predictions, tmp_path, monkeypatch, capsys
    ):
        samples = chains(lambda _, s: 0.1 + s @ np.arange(TILES) / 4000)
        write_table(samples.table, tmp_path / "t.parquet", dict(samples.facts))
        write_people(tmp_path, np.random.default_rng(5).gamma(1, 1, (7, TILES)), participants=9)
        out = tmp_path / "out"
        arguments = [
            "importance", predictions, "--out", out, "--draws", 20,
            "--tiles", tmp_path / "t.parquet", "--people", tmp_path,
        ]  # fmt: skip
        assert hemiface(monkeypatch, *arguments, "--json") == 0
        known = json.loads(capsys.readouterr().out)
        assert {path.name for path in out.glob("*.csv")} == {
            "importance.csv", "interactions.csv", "tiles.csv", "people.csv",
            "placements.csv",
        }  # fmt: skip
        assert {path.stem for path in (out / "figures").glob("*.png")} == {
            "importance-quadrants-full", "importance-halves-full", "importance-tiles",
            "importance-people",
        }  # fmt: skip
        halves = {row["region"]: row["value"] for row in known["halves"]}
        table = pd.read_csv(out / "importance.csv")
        row = table[
            (table["quantity"] == "shapley") & (table["region"] == "upper")
            & (table["emotion"] == "all") & (table["value_function"] == "probability")
        ]  # fmt: skip
        assert halves["upper"] == pytest.approx(row["value"].iloc[0], rel=1e-5)
        assert any("Trained with horizontal flips" in text for text in known["words"])
        assert any("nothing but the distance from the middle" in one for one in known["words"])
        assert any(
            "Laid over them in 26 ways, the correlation is at best" in one for one in known["words"]
        )
        assert hemiface(monkeypatch, *arguments[:6]) == 0
        assert "What each half contributes" in capsys.readouterr().out

    def test_tiles_of_each_network_are_drawn_and_told(self, tmp_path):
        worth = np.arange(TILES) / 4000
        parts = [chains(lambda _, s: 0.1 + s @ worth, n=14, model=f"{one}-seed0") for one in "ab"]
        table = pd.concat([one.table for one in parts], ignore_index=True)
        known = [model for one in parts for model in one.facts["models"]]
        write_table(table, tmp_path / "t.parquet", {**parts[0].facts, "models": known})
        write_people(tmp_path, np.random.default_rng(5).gamma(1, 1, (7, TILES)), participants=3)
        written = write_importance(
            sampled(planted(), draws=5), tmp_path, tiles=tmp_path / "t.parquet", people=tmp_path
        )
        drawn = {path.stem for path in written.paths if path.suffix == ".png"}
        for kind in ("tiles", "people"):
            assert {f"importance-{kind}-{one}" for one in "ab"} <= drawn
        for one in "ab":
            assert any(f"made of the trials the tiles of the model {one}," in w
                       for w in written.words)  # fmt: skip

    def test_missing_coalitions_and_tiles_are_wrong_usage(
        self, predictions, tmp_path, monkeypatch, capsys
    ):
        assert hemiface(monkeypatch, "importance", predictions, "--people", tmp_path) == 2
        assert "--people needs --tiles" in capsys.readouterr().err
        known = read_predictions(predictions)
        some = known.select(known.table["condition"] != "left")
        write_predictions(some, tmp_path / "p.parquet")
        assert hemiface(monkeypatch, "importance", tmp_path / "p.parquet") == 2
        assert "full-seed0 lacks left of the fifteen visible parts" in capsys.readouterr().err

    def test_several_fills_leave_their_spread(self, tmp_path):
        other = planted(fill="mean", conditions=[key for key in MASKS if key != "full"])
        both = pd.concat([planted(), other], ignore_index=True)
        written = write_importance(sampled(both, draws=5), tmp_path)
        assert tmp_path / "fills.csv" in written.paths

    def test_a_table_that_it_did_not_write_is_left(self, tmp_path):
        (tmp_path / "interactions.csv").write_text("mine\n")
        with pytest.raises(UsageError, match=r"interactions\.csv is there, and nothing beside it"):
            write_importance(sampled(planted(), draws=5), tmp_path)
        assert [one.read_text() for one in tmp_path.iterdir()] == ["mine\n"]

    def test_the_report_has_the_section_only_with_the_coalitions(self, predictions, tmp_path):
        (tmp_path / "config.toml").write_text('name = "c"\n[statistics]\ndraws = 10\n')
        page = report.build(predictions).read_text(encoding="utf-8")
        assert page.count('id="regions"') == 1
        assert "Over all images the lower half contributes more than the upper" in page
        assert (tmp_path / "importance.csv").is_file()
        assert (tmp_path / "figures" / "importance-quadrants-full.svg").is_file()
        assert page.count('aria-label="Above 0: seeing the part helps.') == 1

    @pytest.mark.usefixtures("one_thread")
    def test_tiles_from_a_network_to_the_table(self, tmp_path, monkeypatch, capsys):
        bundle = tiny_bundle(tmp_path / "b.safetensors")
        phantom.write_folder(phantom.make(140, 0), tmp_path / "faces")
        common = ["tiles", bundle, "--data", tmp_path / "faces", "--limit", 3, "--json"]
        out = tmp_path / "tiles.parquet"
        assert hemiface(monkeypatch, *common, "--out", out) == 0
        assert json.loads(capsys.readouterr().out) == {
            "tiles": str(out), "rows": 3 * 49, "images": 3,
        }  # fmt: skip
        few = [*common, "--out", out, "--bubbles", 4, "--samples", 2]
        assert hemiface(monkeypatch, *few) == 2
        assert "holds 147 rows, more than the 6 that would" in capsys.readouterr().err
        assert hemiface(monkeypatch, *few, "--replace") == 0
        assert json.loads(capsys.readouterr().out)["rows"] == 6
        sample = sampled(planted(), draws=5)
        written = write_importance(sample, tmp_path, tiles=out)
        assert len(written.tables["bubbles"]) == 8 * 2 * TILES
        with pytest.raises(UsageError, match="leave out --bubbles"):
            write_importance(sample, tmp_path, tiles=out, people=tmp_path)
