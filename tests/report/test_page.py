import functools
import html
import importlib
import itertools
import json
import math
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import chromium
from builders import described, hemiface, sentences
from hemiface.config import Config, StatisticsOptions, to_toml
from hemiface.data.images import Images
from hemiface.data.outside import ImportOptions, import_predictions
from hemiface.errors import DamagedError, UsageError
from hemiface.occlusion.conditions import COALITIONS
from hemiface.report import figure_files
from hemiface.report import page as report
from hemiface.report.figure_files import Figures
from hemiface.report.pdf import write_pdf
from hemiface.report.results import TABLES, compute, read_recipe
from hemiface.report.words import texts
from hemiface.report.words.methods import methods_text
from hemiface.report.words.scores import answer, further, percent, region, warnings
from hemiface.report.words.texts import selection
from hemiface.report.words.verdicts import Verdicts
from hemiface.stats.comparisons import published
from hemiface.stats.confusion_shifts import SHIFT_COLUMNS
from hemiface.stats.ensembles import combine
from hemiface.stats.matrix import MATRIX_COLUMNS
from hemiface.tables import (
    EMOTIONS,
    PROBABILITY_COLUMNS,
    Predictions,
    read_predictions,
    write_predictions,
)

pytestmark = pytest.mark.slow

MODELS, CONDITIONS = ("full", "lower", "left"), ("full", "lower", "left")
# What share of the images each model gets right under each condition: ours to choose.
SKILL = {
    "full": {"full": 0.8, "lower": 0.3, "left": 0.6},
    "lower": {"full": 0.7, "lower": 0.65, "left": 0.5},
    "left": {"full": 0.75, "lower": 0.35, "left": 0.7},
}
VOID = {"meta", "link", "br", "hr", "img", "input", "path", "use", "rect", "line", "circle"}


def simulate(
    models=MODELS, conditions=CONDITIONS, *, dataset="fer2013", n=140, seeds=(0,), labels=None
):
    """n validation and n test images; every cell has exactly SKILL's share of right answers."""
    rng = np.random.default_rng(0)
    truth = np.resize(np.arange(7) if labels is None else labels, 2 * n)
    base = pd.DataFrame(
        {
            "image": [f"{index:016x}" for index in range(2 * n)],
            "dataset": dataset,
            "split": ["validation"] * n + ["test"] * n,
            "label": np.array(EMOTIONS)[truth],
            "group": [f"g{index // 2}" for index in range(2 * n)],
            "leaked": np.arange(2 * n) % 4 == 0,
        }
    )
    cells = []
    for model in models:
        for seed in seeds:
            for hidden in conditions:
                skill = SKILL.get(model, SKILL["full"]).get(hidden, 0.4)
                right = np.concatenate([rng.permutation(n) < round(skill * n) for _ in range(2)])
                winner = np.where(right, truth, (truth + rng.integers(1, 7, 2 * n)) % 7)
                values = rng.dirichlet(np.ones(7), 2 * n) * 0.4
                values[np.arange(2 * n), winner] += 0.6
                columns = dict(zip(PROBABILITY_COLUMNS, values.T, strict=True))
                cells.append(base.assign(condition=hidden, model=f"{model}-seed{seed}", **columns))
    return pd.concat(cells, ignore_index=True)


def write_run(folder: Path, table: pd.DataFrame, *, draws=60, known=None) -> Path:
    """A run folder with predictions and a config that asks for few draws."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = described(table).facts if known is None else {"models": known}
    predictions = Predictions(table, {**facts, "data": {"near_duplicates": True}})
    write_predictions(predictions, folder / "predictions.parquet")
    config = Config(statistics=StatisticsOptions(draws=draws))
    (folder / "config.toml").write_text(to_toml(config), encoding="utf-8")
    return folder


class Page(HTMLParser):
    """Checks nesting while reading; collects headings, IDs, loads, texts and tables by ID."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.headings: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.loads: list[str] = []
        self.tables: dict[str, list[list[list[str]]]] = {}
        self.paragraphs: list[tuple[str, str]] = []
        self._cell: list[str] | None = None
        self._span: dict[str, str] = {}
        self._block: list[str] | None = None
        self._class = ""
        self.feed(text)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag, attributes):
        known = {name: value or "" for name, value in attributes}
        if "id" in known:
            self.ids.append(known["id"])
        for name in ("src", "data", "srcset", "poster"):
            if name in known:
                self.loads.append(known[name])
        if tag in ("link", "image", "use", "script", "iframe"):
            self.loads.append(known.get("href", known.get("xlink:href", f"<{tag}>")))
        if tag == "a":
            self.targets.append(known["href"])
        if tag == "table":
            self.tables[known.get("id", f"table {len(self.tables)}")] = []
        if tag == "tr":
            self._rows().append([])
        if tag in ("td", "th"):
            self._cell, self._span = [], known
        if tag in ("h1", "h2", "p"):
            self._block, self._class = [], known.get("class", "")
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.stack.pop()

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        assert self.stack.pop() == tag, f"</{tag}> closes something else"
        if tag in ("td", "th"):
            self._rows()[-1].append([" ".join(self._cell).strip(), self._span.get("rowspan", "1")])
            self._cell = None
        if tag == "h2":
            self.headings.append("".join(self._block))
        if tag == "p":
            self.paragraphs.append((self._class, "".join(self._block)))

    def handle_data(self, data):
        if self._cell is not None:
            self._cell.append(data)
        if self._block is not None:
            self._block.append(data)

    def _rows(self):
        return self.tables[list(self.tables)[-1]]

    def text_of(self, kind: str) -> str:
        return " ".join(text for found, text in self.paragraphs if found == kind)

    def grid(self, table: str) -> list[list[str]]:
        """The table with every spanned cell repeated; raises unless it is a full rectangle."""
        rows, waiting = [], {}
        for row in self.tables[table]:
            cells, todo = [], list(row)
            while todo or len(cells) in waiting:
                place = len(cells)
                if place in waiting:
                    text, left = waiting.pop(place)
                else:
                    text, span = todo.pop(0)
                    left = int(span)
                if left > 1:
                    waiting[place] = (text, left - 1)
                cells.append(text)
            rows.append(cells)
        assert len({len(row) for row in rows}) == 1, f"{table} is no rectangle"
        return rows


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A whole run on simulated FER2013 predictions, built once."""
    folder = tmp_path_factory.mktemp("runs") / "simulated"
    known = [
        {"model": f"{name}-seed0", "name": name, "seed": 0, "flips": name == "left"}
        for name in MODELS
    ]
    write_run(folder, simulate(), known=known)
    for name in ("full", "lower"):
        path = folder / "models" / f"{name}-seed0" / "history.csv"
        path.parent.mkdir(parents=True)
        columns = ["epoch", "train_loss", "validation_loss", "validation_accuracy"]
        pd.DataFrame([[1, 2.0, 1.9, 0.3], [2, 1.5, 1.6, 0.5]], columns=columns).to_csv(path)
    environment = {
        "versions": {"python": "3.11.7", "numpy": "2.4.0"},
        "hardware": {"cores": 2, "gpus": []},
        "command": "hemiface study a.toml --data <b>",
        "times_s": {"data": 12.34, "models/full": 7380},
    }
    (folder / "environment.json").write_text(json.dumps(environment), encoding="utf-8")
    assert report.build(folder) == folder / "report.html"
    return folder


@pytest.fixture(scope="module")
def page(run: Path) -> Page:
    return Page((run / "report.html").read_text(encoding="utf-8"))


def test_every_file_is_there_and_nothing_half_written(run: Path):
    tables = ("matrix", "class_scores", "confusions", "comparisons", "planned", "all_pairs")
    more = ("mcnemar", "confusion_shifts", "calibration", "reliability", "risk_coverage")
    for name in (*tables, *more):
        rows = len(pd.read_csv(run / f"{name}.csv"))
        assert rows == 16 if name == "planned" else rows > 20
    drawn = {path.name for path in (run / "figures").iterdir()}
    names = {name.rsplit(".", 1)[0] for name in drawn}
    assert drawn == {f"{name}.{kind}" for name in names for kind in ("svg", "png")}
    assert {
        "heat-accuracy-standard",
        "heat-weighted_auc-paper",
        "drop-accuracy",
        "original-accuracy",
        "difference-macro_f1",
        "recall-robustness",
        "f1-information",
        "confusions-robustness",
        "roc-information",
        "precision-recall-robustness",
        "reliability-information",
        "halves",
        "shifts-full",
        "risk-coverage",
        "training",
    } <= names


def test_page_is_well_formed_complete_and_loads_nothing(run: Path, page: Page):
    # Regions need the sixteen coalitions, sides left and right, bits two halves of a face: these
    # predictions lack all of them.
    absent = ("regions", "sides", "information")
    wanted = {anchor: text for anchor, text in report.HEADINGS.items() if anchor not in absent}
    assert page.headings == list(wanted.values())
    assert len(page.ids) == len(set(page.ids))
    assert {target for target in page.targets if target.startswith("#")} <= {
        f"#{name}" for name in page.ids
    }
    assert all(load.startswith(("data:", "#")) for load in page.loads)
    text = (run / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"url\(\s*['\"]?(?!#)", text)
    assert "@import" not in text
    assert "<script" not in text
    assert text.count('<svg role="img" aria-label="') == 17


def test_every_table_is_a_rectangle(page: Page):
    assert len(page.tables) == 16
    for name in page.tables:
        assert len(page.grid(name)) > 1


@pytest.mark.parametrize("protocol", ["standard", "paper"])
def test_table_holds_the_numbers_of_matrix_csv_and_marks_the_best(run, page, protocol):
    matrix = pd.read_csv(run / "matrix.csv", dtype={"seed": str})
    matrix = matrix[matrix["seed"] == "mean"].set_index(
        ["protocol", "metric", "model", "condition"]
    )
    matrix = matrix.sort_index()
    header, *rows = page.grid(f"scores-{protocol}")
    assert header == ["trained on", "score", "full", "lower", "left"]
    sources = {
        "Accuracy": (protocol, "accuracy"),
        "Accuracy, leak-free": ("leak-free", "accuracy"),
        "Macro F1": (protocol, "macro_f1"),
        "Weighted F1": (protocol, "weighted_f1"),
        "Weighted AUC": (protocol, "weighted_auc"),
    }
    assert [row[:2] for row in rows] == [
        [model, name] for model in ("full", "lower", "left") for name in sources
    ]
    for model, name, *cells in rows:
        for hidden, cell in zip(header[2:], cells, strict=True):
            wanted = matrix.loc[(*sources[name], model, hidden)]
            value, low, high = map(float, re.findall(r"\d\.\d{3}", cell))
            assert [value, low, high] == pytest.approx(
                [wanted["value"], wanted["low"], wanted["high"]], abs=0.0005001
            )
    text = (run / "report.html").read_text(encoding="utf-8")
    table = text[text.index(f'<table id="scores-{protocol}"') :]
    table = table[: table.index("</table>")]
    best = re.findall(r'<td class="best[^"]*">([\d.]+)', table)
    highest = matrix.loc[(protocol, "accuracy"), "value"].groupby("condition").max()
    assert {f"{value:.3f}" for value in highest} <= set(best)
    assert len(best) >= 15


def test_drop_table_is_full_minus_hidden(run: Path, page: Page):
    matrix = pd.read_csv(run / "matrix.csv")
    rows = matrix[
        (matrix["protocol"] == "standard")
        & (matrix["metric"] == "accuracy")
        & (matrix["seed"] == "mean")
    ]
    values = rows.set_index(["model", "condition"])["value"]
    header, *cells = page.grid("drop-accuracy")
    for model, *drops in cells:
        for hidden, drop in zip(header[1:], drops, strict=True):
            wanted = values[model, "full"] - values[model, hidden]
            assert float(drop.replace("−", "-")) == pytest.approx(wanted, abs=0.0005001)


def test_our_numbers_stand_beside_the_originals(run: Path, page: Page):
    original = published().set_index(["metric", "model", "condition"])["value"]
    header, *rows = page.grid("original-macro_f1")
    ours = pd.read_csv(run / "comparisons.csv").set_index(["metric", "model", "condition"])["ours"]
    assert [row[:2] for row in rows] == [
        [model, whose] for model in MODELS for whose in ("ours", "original")
    ]
    for model, whose, *cells in rows:
        for hidden, cell in zip(header[2:], cells, strict=True):
            key = ("macro_f1", model, hidden)
            wanted = (ours if whose == "ours" else original)[key]
            assert float(cell.split()[0]) == pytest.approx(wanted, abs=0.0005001)
            if whose == "ours":
                difference = float(cell.split()[1].replace("−", "-"))
                assert difference == pytest.approx(wanted - original[key], abs=0.0005001)


def test_confusions_add_up_and_agree_with_the_accuracy(run: Path):
    counts = pd.read_csv(run / "confusions.csv")
    one = counts.query("protocol == 'standard' and model == 'lower' and condition == 'lower'")
    assert one["count"].sum() == 140
    right = one.loc[one["true"] == one["predicted"], "count"].sum()
    assert right == round(SKILL["lower"]["lower"] * 140)


def test_words_agree_with_the_numbers(page: Page):
    words = page.text_of("answer").replace("\N{NO-BREAK SPACE}", " ")
    assert "labels 80.0 %" in words
    assert "of 140 whole test faces" in words
    assert "would give 14.3 %" in words
    assert "lowest with the lower half hidden (30.0 %" in words
    assert "65.0 % instead of 30.0 % with the lower half hidden" in words
    assert "On the 105 whole test faces without a near duplicate" in page.text_of("reason")


def test_each_finding_has_a_reason_and_a_limit_and_leads_on(run: Path, page: Page):
    text = (run / "report.html").read_text(encoding="utf-8")
    found = re.findall(r"<li><p class=\"answer\">(.*?)</li>", text, flags=re.DOTALL)
    assert len(found) == 4  # whole faces, robustness, trained for it, beside the original
    for one in found:
        assert "Where does it end?" in one
        assert re.search(r'<a href="#(\w+)">More</a>', one).group(1) in page.ids
    assert sum("Why believe it?" in one for one in found) == 3
    # Before all else but the title: findings; last: how it was made.
    assert page.headings[0] == "What was found"
    assert page.headings.index("What was done") > page.headings.index("Confusions")


def test_tables_are_folded_and_files_linked(run: Path, page: Page):
    text = (run / "report.html").read_text(encoding="utf-8")
    folded = re.findall(r"<details>.*?</details>", text, flags=re.DOTALL)
    assert {name for name in page.tables if f'id="{name}"' not in "".join(folded)} == {
        "accuracy-marks", "image-counts", "model-ids", "recipes",
    }  # fmt: skip
    linked = {target for target in page.targets if target.endswith(".csv")}
    assert {"planned.csv", "matrix.csv", "confusion_shifts.csv"} <= linked
    assert all((run / target).is_file() for target in linked)
    assert 'href="information.csv"' not in text  # there is none


@pytest.mark.usefixtures("undrawn")
def test_what_comes_before_the_appendix_is_read_in_a_quarter_of_an_hour(tmp_path):
    """The longest page: a baseline, specialists and a generalist, all coalitions, two seeds.

    Captions of its figures would have some 300 words.
    """
    names = ("full", "upper", "lower", "left", "right")
    known = [
        {"model": f"{name}-seed{seed}", "name": name, "seed": seed, "flips": False}
        for name in (*names, "any")
        for seed in (0, 1)
    ]
    every = [*names, *(key for key in COALITIONS.values() if key not in names)]
    parts = [simulate(names[1:], names, n=70, seeds=(0, 1))]
    parts.append(simulate(("full", "any"), every, n=70, seeds=(0, 1)))
    folder = write_run(tmp_path, pd.concat(parts, ignore_index=True), known=known, draws=20)
    text = report.build(folder).read_text(encoding="utf-8")
    main = text[text.index("<body>") : text.index('id="appendix"')]
    words = re.sub(r"<[^>]*>", " ", re.sub(r"<table.*?</table>", "", main, flags=re.DOTALL)).split()
    assert 1000 < len(words) <= 3000 - 300
    assert main.count('<li><p class="answer">') == 6
    # What is said in bits isn't said again by another measure.
    assert 'id="regions"' in main
    regions = main[main.index('<h2 id="regions"') :].split("<h2", 2)[1]
    assert "Which half tells more is said above, in bits." in regions
    assert "Over all images" not in regions


def test_the_citation_is_that_of_the_repository(run: Path):
    text = (run / "report.html").read_text(encoding="utf-8")
    known = (Path(__file__).parents[2] / "CITATION.cff").read_text()
    title, version = (re.search(rf'^{key}: "?(.*?)"?$', known, re.MULTILINE).group(1)
                      for key in ("title", "version"))  # fmt: skip
    assert f"title = {{{title}}}" in text
    assert f"version = {{{version}}}" in text
    assert "@inproceedings{goodfellow2013challenges" in text


def test_flips_are_warned_of_where_they_were_used_only(page: Page):
    said = page.text_of("warning")
    assert "Trained with horizontal flips: left-seed0." in said
    assert "full-seed0" not in said


def test_what_was_done_is_told_and_escaped(run: Path):
    text = (run / "report.html").read_text(encoding="utf-8")
    assert "hemiface study a.toml --data &lt;b&gt;" in text
    assert "data 12.3 s, models/full 2 h 03 min" in text
    assert "python 3.11.7" in text
    assert "learning_rate = 0.1" in text
    assert "resnet50, imagenet stem, 1 channel, random weights" in text
    assert "No environment.json" not in text


def test_from_a_table_alone_other_conditions_one_generalist_two_seeds(tmp_path: Path):
    table = simulate(
        ("any",), ("full", "diagonal", "only-upper-left"), dataset="a<i>b", seeds=(0, 1)
    )
    write_predictions(described(table), tmp_path / "p.parquet")
    made = report.build(tmp_path / "p.parquet", pictures=False)
    page = Page(made.read_text(encoding="utf-8"))
    assert made == tmp_path / "report.html"
    assert not (tmp_path / "comparisons.csv").exists()
    assert "Beside the original study" not in page.headings
    assert "The whole configuration" not in page.headings
    words = page.text_of("answer")
    assert words.startswith("The model trained on every condition labels 80.0")
    assert "all but the upper-left quarter" in words
    assert "the upper-left and lower-right quarters" in words
    assert "means over 2 trainings" in page.text_of("reason")
    assert "is not recorded for any-seed0 and any-seed1" in page.text_of("warning")
    assert page.grid("scores-standard")[0][2:] == ["full", "diagonal", "only-upper-left"]
    assert "summed over 2 seeds" in page.text_of("")
    assert "<i>b" not in made.read_text(encoding="utf-8")


def test_each_network_is_shown_on_its_own_conditions_and_called_by_its_name(tmp_path, monkeypatch):
    """The generalist was evaluated on quarters alone, the specialist stands without a baseline."""
    shown = []

    def draw(_results, _run, groups, *_, **__):
        shown.extend((one.title, [hidden for _, hidden in one.cells]) for one in groups)
        return Figures(), ""

    monkeypatch.setattr(report, "draw", draw)
    known = [simulate(("full",), ("full", "upper", "lower"), n=42)]
    known.append(simulate(("any",), ("upper-left", "lower-right"), n=42))
    run = write_run(tmp_path / "two", pd.concat(known, ignore_index=True), draws=20)
    text = html.unescape(report.build(run, pictures=False).read_text(encoding="utf-8"))
    assert shown.pop() == ("The model trained on every condition", ["upper-left", "lower-right"])
    assert "model any: upper-left hidden 0" in text
    shown.clear()
    alone = simulate(("upper", "m"), ("upper", "left"), n=42)
    report.build(write_run(tmp_path / "alone", alone, draws=20), pictures=False)
    assert [title for title, _ in shown] == ["The model trained with upper hidden", "The model m"]


def test_without_whole_faces_nothing_is_said_to_be_lost(tmp_path, monkeypatch):
    found = []

    def draw(results, *_, **__):
        drawn = Figures()
        figure_files._draw_scores(drawn, results, tmp_path)
        found.append(drawn)
        return Figures(), ""

    monkeypatch.setattr(report, "draw", draw)
    run = write_run(tmp_path, simulate(("upper",), ("upper", "left"), n=42), draws=20)
    text = report.build(run, pictures=False).read_text(encoding="utf-8")
    assert found[0].drop == []
    assert "drop-accuracy" not in Page(text).tables
    assert "The drop is a model's own" not in html.unescape(text)


@pytest.mark.usefixtures("undrawn")
def test_networks_that_were_each_evaluated_on_its_own_condition(tmp_path: Path):
    table = simulate(("full", "lower"), ("full", "lower"))
    own = (table["model"] == "full-seed0") == (table["condition"] == "full")
    report.build(write_run(tmp_path, table[own]), pictures=False)
    shifts = pd.read_csv(tmp_path / "confusion_shifts.csv")
    assert list(shifts.columns) == list(SHIFT_COLUMNS)
    assert shifts.empty


def test_a_network_without_validation_images_costs_the_others_nothing(tmp_path: Path):
    table = simulate(("full", "any"), ("full", "lower"))
    kept = table[(table["split"] == "test") | (table["model"] == "full-seed0")]
    run = write_run(tmp_path, kept)
    text = html.unescape(report.build(run, pictures=False).read_text(encoding="utf-8"))
    assert "Confidence and bits of any-seed0 aren't told" in text
    assert set(pd.read_csv(tmp_path / "calibration.csv")["model"]) == {"full"}
    assert set(pd.read_csv(tmp_path / "matrix.csv")["model"]) == {"full", "any"}


@pytest.mark.usefixtures("undrawn")
def test_scores_of_several_data_sets_are_said_to_be_of_all_of_them(tmp_path: Path):
    table = simulate(("full",), ("full", "lower"), dataset="fer2013")
    images = table["image"].unique()
    mine = table["image"].isin(images[::2])
    run = write_run(tmp_path, table.assign(dataset=table["dataset"].mask(mine, "mine")))
    text = report.build(run, pictures=False).read_text(encoding="utf-8")
    assert "all images of 2 data sets together (" in text
    assert texts.pooled(["mine"]) == []


@pytest.mark.usefixtures("undrawn")
def test_an_emotion_that_validation_lacks_costs_bits_alone(tmp_path: Path):
    table = simulate(("full",), ("full", "lower", "upper"))
    kept = table[(table["split"] == "test") | (table["label"] != "disgust")]
    text = report.build(write_run(tmp_path, kept), pictures=False).read_text(encoding="utf-8")
    assert "Bits: The validation images show no disgust" in html.unescape(text)
    assert (tmp_path / "calibration.csv").is_file()
    assert not (tmp_path / "information.csv").exists()
    assert (tmp_path / "sensitivity.csv").is_file()


@pytest.mark.usefixtures("undrawn")
def test_seeds_of_other_networks_repeat_nothing(tmp_path: Path):
    """Two networks, trained once each, with different seeds."""
    table = simulate(("full", "any"), ("full", "lower", "upper"))
    table["model"] = table["model"].replace("any-seed0", "any-seed1")
    page = report.build(write_run(tmp_path, table), pictures=False)
    text = html.unescape(page.read_text(encoding="utf-8"))
    said = text + (tmp_path / "methods.txt").read_text(encoding="utf-8")
    assert "no model has a second seed" in said
    assert "Each was trained once (seeds 0 and 1)." in said
    assert "No network has a second seed: another one may differ." in said
    for words in (
        "means over 2",
        "Means over 2",
        "over 2 seeds",
        "Satterthwaite",
        "and seeds were",
    ):
        assert words not in said
    assert "robustness, of the baseline; available information: generalist, of the gen" in said


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("group", [True, False])
def test_methods_say_what_was_resampled(tmp_path: Path, group):
    table = simulate(("full",), ("full", "lower"))
    theirs = described(table).with_facts(unknown=["leaked", *([] if group else ["group"])])
    write_predictions(theirs, tmp_path / "predictions.parquet")
    config = to_toml(Config(statistics=StatisticsOptions(draws=60)))
    (tmp_path / "config.toml").write_text(config, encoding="utf-8")
    text = html.unescape(report.build(tmp_path, pictures=False).read_text(encoding="utf-8"))
    said = text + (tmp_path / "methods.txt").read_text(encoding="utf-8")
    assert "whole groups of near duplicates" not in said
    assert said.count("groups of images as they were given") == (3 if group else 0)
    assert said.count("as if none were a near duplicate of another") == (0 if group else 3)
    assert "accuracy without them stands beside it" not in said
    # What others put over faces, and whether all networks saw the same, nobody has said.
    assert "filled with" not in said
    assert "saw the same pixels" not in said


def test_groups_of_persons_are_called_so():
    table = simulate(("full",), ("full", "lower"))
    ours = described(table, data={"near_duplicates": True})
    assert texts.resampled(ours) == "whole groups of near duplicates"
    of_persons = ours.with_facts(data={"persons": 12})
    assert "of one person and of exact copies" in texts.resampled(of_persons)
    rng = np.random.default_rng(0)
    images = Images.build(
        rng.integers(0, 256, (8, 48, 48), dtype=np.uint8), labels=["happy"] * 8,
        splits=["test"] * 8, dataset="mine", sources=list("abcdefgh"), persons=list("aaaabbbb"),
    )  # fmt: skip
    data = methods_text(
        of_persons, protocol="standard", options=StatisticsOptions(draws=60), images=images
    )[0]
    assert "Images of one person and exact copies form one group (2 groups" in data
    assert "images); near duplicates weren't looked for." in data
    sought = replace(images, info={**images.info, "near_duplicates": True})
    data = methods_text(
        of_persons, protocol="standard", options=StatisticsOptions(draws=60), images=sought
    )[0]
    assert "Images of one person, exact copies and near duplicates form one group (2 gr" in data
    assert "weren't looked for" not in data


@pytest.mark.usefixtures("undrawn")
def test_near_duplicates_are_named_only_where_they_were_looked_for(tmp_path):
    """`evaluate --data FILE` groups exact copies, and says so in the table's facts."""
    run = write_run(tmp_path, simulate(("full",), ("full", "lower")), draws=20)
    predictions = read_predictions(run / "predictions.parquet")
    for data, there, absent in (
        ({"near_duplicates": False}, "exact cop", "a near duplicate"),
        ({"form": "folder"}, "exact cop", "a near duplicate"),
        ({"near_duplicates": True}, "a near duplicate", "exact cop"),
        ({}, "of images as they were given", "a near duplicate"),
    ):
        table = predictions.with_facts(data=data)
        write_predictions(table, run / "predictions.parquet")
        text = html.unescape(report.build(run, pictures=False).read_text(encoding="utf-8"))
        assert there in text
        assert absent not in text
        assert ("Near duplicates weren't looked for, so more" in text) == (there == "exact cop")
        assert "if it, or a" in text


@pytest.mark.usefixtures("undrawn")
def test_the_page_is_rebuilt_as_it_was_built_and_stands_beside_what_is_there(tmp_path):
    run = write_run(tmp_path / "my run", simulate(("full",), ("full", "left")), draws=5)
    text = html.unescape(report.build(run / "predictions.parquet").read_text(encoding="utf-8"))
    assert "hemiface report predictions.parquet\n" in text
    assert "hemiface study 'my run/config.toml' --data PATH" in text
    assert "put beside the published ones" in text
    write_run(run, simulate(("full",), ("full", "left"), dataset="mine"), draws=5)
    text = html.unescape(report.build(run, pictures=False).read_text(encoding="utf-8"))
    assert "hemiface report 'my run' --no-pictures\n" in text
    assert "so these scores are optimistic. The protocol on the test split alone" in text
    assert "put beside the published ones" not in text
    told = texts.rebuild("run", {}, "", options=["--people", "their files"])
    assert told[0]["lines"][1] == "hemiface report run --people 'their files'"


@pytest.mark.usefixtures("undrawn")
def test_a_long_name_makes_the_page_no_wider_than_a_phone(tmp_path):
    browser = chromium.executable()
    if browser is None:
        pytest.skip("widths are measured by Chromium")
    name = "x" * 120
    run = write_run(tmp_path, simulate((name,), ("full", "left"), n=42), draws=5)
    page = report.build(run, pictures=False)
    text = page.read_text(encoding="utf-8")
    figure = f"<figure><figcaption>The model {name}.</figcaption></figure>"
    folded = f"<details><summary>The model {name}.</summary></details><h2>{name}</h2>"
    told = "<script>document.title = document.documentElement.scrollWidth</script>"
    page.write_text(text.replace("</main>", f"{figure}{folded}</main>{told}"), encoding="utf-8")
    # A window of a screen has a least width, a frame none.
    frame = tmp_path / "frame.html"
    frame.write_text(
        f"<iframe id=f src={page.name} width=390 height=800></iframe><script>f.onload = () => "
        "document.body.append('is ' + f.contentDocument.title)</script>"
    )
    options = ["--headless", "--no-sandbox", "--allow-file-access-from-files", "--dump-dom"]
    done = subprocess.run(
        [browser, *options, f"--user-data-dir={tmp_path / 'profile'}", frame.as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert int(re.search(r"is (\d+)", done.stdout).group(1)) <= 390


def test_the_faces_own_lines_are_told():
    table = simulate(("full",), ("full", "lower"))
    is_first = table["image"] == table["image"].iloc[0]
    own = table.assign(halves=np.where(is_first, "fallback", "face"))
    for text in (
        " ".join(texts.methods(described(own), ["standard"], StatisticsOptions(draws=60))),
        methods_text(described(own), protocol="standard", options=StatisticsOptions(draws=60))[2],
    ):
        assert "each face's own midline and nose line" in text
        assert "in 1 of 280 images none were found" in text
    assert texts.own_lines(table) == ""
    assert texts.own_lines(table.assign(halves="image")) == ""


@pytest.mark.usefixtures("undrawn")
def test_what_lies_beside_is_used_where_it_is_of_the_table(tmp_path, caplog):
    run = write_run(tmp_path / "run", simulate(("full", "left"), ("full", "left", "right")))
    predictions = read_predictions(run / "predictions.parquet")
    write_predictions(predictions.with_facts(mirrored=True), run / "mirrored.parquet")
    ensemble = combine(predictions, ["full-seed0", "left-seed0"])
    write_predictions(ensemble, run / "ensemble.parquet")
    text = html.unescape(report.build(run / "ensemble.parquet").read_text(encoding="utf-8"))
    assert "Left and right stand without mirrored.parquet" in text
    assert "mirrored" not in set(pd.read_csv(run / "sides.csv")["part"])
    report.build(run)
    assert "mirrored" in set(pd.read_csv(run / "sides.csv")["part"])
    # A config of another program says nothing of this table; that of a run has to be whole.
    (run / "config.toml").write_text('baseURL = "https://example.org"\n')
    assert read_recipe(run) == (None, "")
    assert "no config of hemiface's" in caplog.text
    (run / "environment.json").write_text("{}")
    with pytest.raises(DamagedError, match=r"config\.toml: .*baseURL.*; set that right, write"):
        read_recipe(run)
    (run / "config.toml").write_text("[statistics]\ndraws = 0\n")
    with pytest.raises(DamagedError, match=r"statistics\.draws must be 2 or more; set that right"):
        read_recipe(run)


@pytest.mark.usefixtures("undrawn")
def test_tables_of_an_earlier_report_are_named(tmp_path, caplog):
    run = write_run(tmp_path, simulate(("full",), ("full", "left", "right")))
    files = report.build_all(run)
    assert sorted(path.name for path in files) == sorted(
        [*(f"{name}.csv" for name in TABLES if (run / f"{name}.csv").is_file()), "report.html",
         "methods.txt"]
    )  # fmt: skip
    assert "not of this report" not in caplog.text
    write_run(tmp_path, simulate(("full",), ("full", "left")).query("split == 'test'"))
    report.build(run)
    assert "sides.csv" in caplog.text
    assert "are not of this report" in caplog.text
    assert (run / "sides.csv").is_file()


@pytest.mark.usefixtures("undrawn")
def test_files_that_no_report_wrote_are_not_overwritten(tmp_path):
    run = write_run(tmp_path, simulate(("full",), ("full", "left"), n=42), draws=5)
    for theirs in (run / "matrix.csv", run / "methods.txt"):
        theirs.write_text("mine\n")
        with pytest.raises(UsageError, match=rf"{theirs.name} is there, and nothing beside it"):
            report.build(run)
        assert theirs.read_text() == "mine\n"
        assert not (run / "report.html").exists()
        report.build(run, tmp_path / "elsewhere")
        theirs.unlink()
    report.build(run)
    # Its own are, under another name and where an earlier one was stopped.
    report.build(run, run / "second.html")
    (run / "report.html").unlink()
    (run / "second.html").unlink()
    report.build(run)


@pytest.mark.usefixtures("undrawn")
def test_a_page_of_ones_own_is_kept_and_no_mark(tmp_path):
    run = write_run(tmp_path / "run", simulate(("full",), ("full",), n=42), draws=5)
    site = tmp_path / "site"
    site.mkdir()
    for page in (site / "index.html", site / "report.html"):
        page.write_text("<p>my page</p>")
        (site / "matrix.csv").write_text("mine\n")
        with pytest.raises(UsageError, match="nothing beside it says that hemiface wrote it"):
            report.build(run, page)
        (site / "matrix.csv").unlink()
        with pytest.raises(UsageError, match=rf"{page.name} is there"):
            report.build(run, page)
        assert [one.read_text() for one in site.iterdir()] == ["<p>my page</p>"]
        page.unlink()
    # One of hemiface's is a mark without any other.
    report.build(run, site)
    (site / ".report").unlink()
    report.build(run, site)


def test_pictures_of_ones_own_stay_where_none_are_to_be_shown(tmp_path):
    run = write_run(tmp_path / "run", simulate(("full",), ("full",), n=42), draws=5)
    names = ("examples", "conditions", "mistakes-full")
    files = [tmp_path / "out" / "figures" / f"{name}.png" for name in names]
    files[0].parent.mkdir(parents=True)
    for file in files:
        Image.new("RGB", (2, 2)).save(file)
    for _ in range(2):
        page = report.build(run, tmp_path / "out", pictures=False)
        assert all(file.is_file() for file in files)
    # Reports of before, whose pages had no generator, put no mark into theirs.
    text = page.read_text("utf-8")
    page.write_text(re.sub(r"<meta name=.generator.*\n", "", text), encoding="utf-8")
    report.build(run, page.parent, pictures=False)
    assert not any(file.exists() for file in files)


def test_a_networks_name_is_no_path(tmp_path):
    """Names come with tables, from anybody: figures stay in their folder, each with its own."""
    table = simulate(("maker/one", "../../two"), ("full", "left"))
    (tmp_path / "a" / "b").mkdir(parents=True)
    run = write_run(tmp_path / "a" / "b" / "run", table)
    files = report.build_all(run, pictures=False)
    assert all(path.parent in (run, run / "figures") and path.is_file() for path in files)
    assert len(set(files)) == len(files)
    assert [one.name for one in tmp_path.iterdir()] == ["a"]
    assert {one.name for one in run.iterdir() if one.is_dir()} == {"figures"}
    assert "trained with maker" not in next(run.glob("figures/recall-*.svg")).read_text()


def test_undefined_scores_are_dashes(tmp_path: Path):
    table = simulate(("full",), ("full", "upper"), dataset="phantom", labels=[3]).assign(
        group="one"
    )
    write_run(tmp_path, table[table["split"] == "test"])
    page = Page(report.build(tmp_path).read_text(encoding="utf-8"))
    assert "scores-paper" not in page.tables
    rows = {row[1]: row[2:] for row in page.grid("scores-standard")[1:]}
    assert rows["Accuracy"] == ["0.800", "0.400"]
    assert rows["Weighted AUC"] == ["–", "–"]
    words = page.text_of("answer")
    assert "[" not in words.replace("Brackets", "")
    assert "rendered" in words
    classes = page.grid("classes-robustness")
    assert [row[2:] for row in classes if row[0] == "fear (0)" and row[1] == "Recall"] == [
        ["–", "–"]
    ]
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    absent = "angry, disgust, fear, sad, surprise and neutral"
    assert f"No image that was scored bears the label {absent}: recall" in text
    # Captions are about what is drawn: one question, no intervals.
    assert "Of a network that met only whole faces." in text
    assert "Left, a network" not in text
    assert "Accuracy, protocol standard." in text


def test_pictures_are_shown_where_pixels_are_and_left_out_on_request(tmp_path: Path):
    rng = np.random.default_rng(0)
    labels = np.resize(np.arange(7), 60)
    images = Images.build(
        rng.integers(0, 256, (60, 48, 48), dtype=np.uint8),
        labels=np.array(EMOTIONS)[labels],
        splits=["train"] * 20 + ["validation"] * 20 + ["test"] * 20,
        dataset="phantom",
        sources=[f"face {index}" for index in range(60)],
    )
    images.write(tmp_path)
    scored = images.table[images.table["split"] != "train"].reset_index(drop=True)
    table = simulate(("full",), ("full", "upper"), dataset="phantom", n=20)
    scored = pd.concat([scored, scored], ignore_index=True)
    for column in ("image", "split", "label", "group"):
        table[column] = scored[column]
    write_run(tmp_path, table[table["split"] == "test"])
    made = report.build(tmp_path, tmp_path / "one")
    shown = Page(made.read_text(encoding="utf-8"))
    loads = [load for load in shown.loads if not load.startswith("#")]
    assert len(loads) == 3
    assert all(load.startswith("data:image/png;base64,") for load in loads)
    # Where a report with pictures was none is left, and what others drew is.
    figures = made.parent / "figures"
    (figures / "mistakes-any.png").write_bytes((figures / "mistakes-full.png").read_bytes())
    Image.new("RGB", (2, 2)).save(figures / "mistakes-of-others.png")
    shutil.copytree(figures, tmp_path / "two" / "figures")
    bare = report.build(tmp_path, tmp_path / "two" / "page.html", pictures=False)
    left = [path for path in bare.parent.rglob("*.png") if not path.with_suffix(".svg").exists()]
    assert [path.name for path in left] == ["mistakes-of-others.png"]
    hidden = Page(bare.read_text(encoding="utf-8"))
    assert all(load.startswith("#") for load in hidden.loads)
    counts = {row[0]: row[-1] for row in shown.grid("image-counts")}
    assert counts == {"split": "all", "train": "20", "validation": "20", "test": "20"}
    text = made.read_text(encoding="utf-8")
    assert images.info["data_sha256"] in text
    # A model alone is the best of nothing.
    assert 'class="best' not in text
    assert "No models/&lt;id&gt;/history.csv" in text
    assert "No environment.json" in text
    # What doesn't hold faces is the same, byte by byte, the second time.
    again = [p for p in bare.parent.rglob("*.*") if p.is_file() and p.suffix != ".html"]
    assert len(again) > 20
    for path in again:
        assert (made.parent / path.relative_to(bare.parent)).read_bytes() == path.read_bytes()


def test_what_can_not_be_reported_is_named(tmp_path: Path):
    with pytest.raises(DamagedError, match="doesn't exist"):
        report.build(tmp_path / "nothing.parquet")
    table = simulate(("full",), ("full",))
    with pytest.raises(UsageError, match="no image of the test split"):
        compute(described(table[table["split"] == "validation"]), StatisticsOptions(draws=5))
    write_run(tmp_path, table)
    (tmp_path / "environment.json").write_text("{", encoding="utf-8")
    with pytest.raises(DamagedError, match=r"environment\.json is damaged"):
        report.build(tmp_path)


def test_an_outsiders_table_is_told_what_is_unknown_and_nothing_is_made_up(tmp_path, request):
    table = simulate(conditions=("full", "lower")).replace(
        {"model": {"full-seed0": "VGG", "lower-seed0": "net2"}}
    )
    columns = [one for one in table.columns if one not in ("group", "leaked")]
    table[columns].to_csv(tmp_path / "theirs.csv", index=False)
    options = ImportOptions(dataset="fer2013")
    config = to_toml(Config(statistics=StatisticsOptions(draws=60)))
    (tmp_path / "config.toml").write_text(config, encoding="utf-8")
    theirs = import_predictions([tmp_path / "theirs.csv"], options)
    write_predictions(theirs, tmp_path / "predictions.parquet")
    text = html.unescape(
        report.build(tmp_path / "predictions.parquet", pictures=False).read_text(encoding="utf-8")
    )
    for words in (
        "The model VGG",
        "Name and seed aren't known of VGG",
        "No column group",
        "No column leaked",
        "What the networks were selected on isn't known",
    ):
        assert words in text
    for words in ("PublicTest alone", "Everything is selected on", "used to select our models"):
        assert words not in text
    for words in ("the VGG quarter", "the net2 quarter", "specialists for VGG"):
        assert words not in text
    assert "without a near duplicate among" not in text
    assert "leak-free" not in set(pd.read_csv(tmp_path / "matrix.csv")["protocol"])
    models = tmp_path / "models.csv"
    models.write_text(
        "model,name,seed,selected_on\nVGG,full,0,test\nnet2,lower,0,val\nleft-seed0,left,0,val\n"
    )
    # What is said of the models needs no hidden faces.
    table.loc[table["condition"] == "full", columns].to_csv(tmp_path / "whole.csv", index=False)
    theirs = import_predictions([tmp_path / "whole.csv"], replace(options, models=models))
    said = selection(theirs)
    assert "VGG on test; net2 and left-seed0 on val" in said
    assert theirs.gaps[0].startswith("No column group")
    write_predictions(theirs, tmp_path / "predictions.parquet")
    request.getfixturevalue("undrawn")
    text = report.build(tmp_path / "predictions.parquet", pictures=False).read_text("utf-8")
    assert "on them; what the networks were selected on, as their makers say: VGG on test" in text
    assert "PublicTest alone" not in text


def a_matrix(values, half_width=0.02, model="full", protocol="standard"):
    rows = [
        (protocol, model, seed, hidden, "accuracy", v, v - half_width, v + half_width, 100, 0.0, "")
        for hidden, v in values.items()
        for seed in ("0", "mean")
    ]
    return pd.DataFrame(rows, columns=list(MATRIX_COLUMNS))


def a_verdict(matrix, sure=0.0):
    """Verdicts on every pair of cells: those further apart than `sure` differ."""
    rows = matrix[matrix["seed"] == "mean"].reset_index(drop=True)
    pairs = [
        {
            "kind": "all", "family": "all", "seed": "0", "metric": "accuracy",
            "model_a": a.model, "condition_a": a.condition,
            "model_b": b.model, "condition_b": b.condition,
            "difference": a.value - b.value,
            "low": a.value - b.value - sure, "high": a.value - b.value + sure,
            "p_holm": 0.001 if abs(a.value - b.value) > sure else 0.5,
        }
        for a, b in itertools.combinations(rows.itertuples(index=False), 2)
    ]  # fmt: skip
    return Verdicts(pd.DataFrame(pairs))


def say(matrix, verdicts):
    return " ".join(
        sentences(answer(matrix, verdicts, protocol="standard", most_frequent=("happy", 0.25)))
    )


accuracies = st.floats(0.1, 0.95).map(lambda value: round(value, 3))


@settings(max_examples=60, deadline=None)
@given(
    values=st.fixed_dictionaries(dict.fromkeys(("upper", "lower", "left", "right"), accuracies)),
    half_width=st.sampled_from([0.005, 0.02, 0.1]),
)
def test_the_worst_condition_is_named_and_ties_are_admitted(values, half_width):
    matrix = a_matrix({"full": 0.96, **values})
    words = say(matrix, a_verdict(matrix, half_width))
    worst = min(values, key=lambda name: values[name])
    whose = "The accuracy of the model trained on whole faces is"
    if len(set(values.values())) == 1:
        assert f"{whose} {percent(values['left'])} whichever is hidden" in words
        assert "lowest" not in words
        return
    lowest = words[words.index(f"{whose} lowest") :].split(". ")[0]
    equal = {name for name in values if values[name] == values[worst]}
    tied = {name for name in values if not values[name] - values[worst] > half_width}
    assert {name for name in values if region(name) in lowest} == tied
    assert ("no difference from that was found" in lowest) == bool(tied - equal)
    for match in re.finditer(
        r"Hiding the (\w+) half \([^)]*\) costs it more than hiding the (\w+)", words
    ):
        assert values[match[2]] - values[match[1]] > half_width


def test_specialists_that_gain_lose_or_make_no_difference_are_told_apart():
    matrix = pd.concat(
        [
            a_matrix({"full": 0.7, "upper": 0.4, "lower": 0.3, "left": 0.5}),
            a_matrix({"upper": 0.6}, model="upper"),
            a_matrix({"lower": 0.2}, model="lower"),
            a_matrix({"left": 0.51}, model="left"),
        ]
    )
    words = say(matrix, a_verdict(matrix, 0.05)).replace("\N{NO-BREAK SPACE}", " ")
    assert "raises accuracy there: 60.0 % instead of 40.0 % with the upper half hidden." in words
    assert "lowers accuracy there: 20.0 % instead of 30.0 % with the lower half hidden." in words
    assert "was found: 51.0 % instead of 50.0 % with the left half hidden." in words
    assert "trained for what is hidden, accuracy is lowest with the lower half hidden." in words


def test_what_is_equal_is_no_minimum_and_no_range():
    halves = ("upper", "lower")
    matrix = pd.concat(
        [
            a_matrix({"full": 1.0, "upper": 1.0, "lower": 1.0}),
            *(a_matrix({half: 1.0}, model=half) for half in halves),
            a_matrix({"full": 1.0, "upper": 1.0, "lower": 1.0}, model="any"),
        ]
    )
    words = say(matrix, a_verdict(matrix)).replace("\N{NO-BREAK SPACE}", " ")
    assert (
        "The accuracy of the model trained on whole faces is 100.0 % whichever is hidden: the "
        "upper half or the lower half."
    ) in words
    assert "Each of the models trained for what is hidden reaches 100.0 % there." in words
    general = " ".join(sentences(further(matrix, protocol="standard")))
    assert (
        "One model trained on every condition reaches 100.0 % (with nothing, the upper half or the "
        "lower half hidden)."
    ) in general.replace("\N{NO-BREAK SPACE}", " ")
    assert "lowest" not in words
    assert "between" not in general


def test_specialists_that_tie_are_all_called_lowest():
    halves = ("upper", "lower", "left")
    parts = [a_matrix({"full": 1.0, **dict.fromkeys(halves, 0.5)})]
    parts += [a_matrix({half: 0.8 if half == "left" else 0.6}, model=half) for half in halves]
    matrix = pd.concat(parts)
    words = say(matrix, a_verdict(matrix, 0.05))
    assert (
        "for what is hidden, accuracy is lowest with the upper half and the lower half hidden."
    ) in words


def test_specialists_are_compared_with_who_went_on_with_whole_faces_where_there_is_one():
    matrix = pd.concat(
        [
            a_matrix({"full": 0.7, "upper": 0.4}),
            a_matrix({"full": 0.75, "upper": 0.45}, model="longer"),
            a_matrix({"upper": 0.6}, model="upper"),
        ]
    )
    words = say(matrix, a_verdict(matrix, 0.05)).replace("\N{NO-BREAK SPACE}", " ")
    assert (
        "raises accuracy there (beside going on with whole faces for as long): 60.0 % instead of "
        "45.0 % with the upper half hidden."
    ) in words


def test_without_a_comparison_no_difference_is_claimed():
    matrix = a_matrix({"full": 0.9, "upper": 0.2, "lower": 0.8}).assign(low=math.nan, high=math.nan)
    words = say(matrix, Verdicts())
    assert "no difference" not in words
    assert "costs it more" not in words


def test_the_original_is_counted_by_intervals():
    rows = pd.DataFrame(
        {
            "metric": "accuracy",
            "ours": [0.7, 0.5, 0.6, 0.6],
            "low": [0.68, 0.48, 0.58, np.nan],
            "high": [0.72, 0.52, 0.62, np.nan],
            "original": [0.6, 0.6, 0.61, 0.1],
        }
    )
    words = " ".join(
        sentences(further(a_matrix({"full": 0.7}), protocol="standard", comparisons=rows))
    )
    assert "Of the 3 accuracies" in words
    assert "in 1, below in 1; in 1 the published one lies within ours" in words


def test_flips_are_not_suspected_where_they_were_off():
    assert warnings([{"model": "a", "flips": False}], ["a"]) == []
    assert "not recorded for b" in warnings([{"model": "a", "flips": False}], ["a", "b"])[0]


@pytest.fixture
def weasyprint(monkeypatch):
    """The package that writes PDFs, here ones that can be read as text."""
    try:
        package = importlib.import_module("weasyprint")
    except (ImportError, OSError) as missing:
        pytest.skip(f"a PDF needs hemiface[pdf] and Pango: {missing}")
    plain = functools.partialmethod(package.HTML.write_pdf, uncompressed_pdf=True)
    monkeypatch.setattr(package.HTML, "write_pdf", plain)
    return package


HARFBUZZ = "ignore:HarfBuzz-Subset will be required:DeprecationWarning"


@pytest.mark.filterwarnings(HARFBUZZ)
def test_a_pdf_names_no_folder_of_its_maker_and_can_be_read_aloud(tmp_path, weasyprint):
    page = tmp_path / "report.html"
    page.write_text(
        '<html lang="en"><title>One</title><h1 id="a">One</h1><p><a href="planned.csv">planned.csv'
        '</a> <a href="#a">up</a> <a href="https://example.org/">there</a></p></html>'
    )
    written = write_pdf(page).read_bytes()
    assert str(tmp_path).encode() not in written
    assert b"file:" not in written
    assert b"(planned.csv)" not in written
    assert b"https://example.org/" in written
    assert (b"/StructTreeRoot" in written) == ("pdf_tags" in weasyprint.DEFAULT_OPTIONS)


@pytest.mark.filterwarnings(HARFBUZZ)
def test_a_figure_taller_than_paper_is_whole_and_the_appendix_begins_with_its_heading(weasyprint):
    css = report.template("report.css.j2").render()
    tall = '<svg style="width: 100.0%" viewBox="0 0 100 900"><text y="890">end</text></svg>'
    figure = f"<figure>{tall}<figcaption>Which is it?</figcaption></figure>"

    def pages(body):
        return weasyprint.HTML(string=f"<style>{css}</style>{body}").render().pages

    assert len(pages(figure)) == 1
    # Half as wide as the page, and so drawn: not half of a half.
    svg = '<svg style="width: 50.0%" viewBox="0 0 250 100"></svg>'
    (page,) = pages(f'<figure>{svg}</figure><figure class="narrow">{svg}</figure>')
    wide, narrow = (
        one.width for one in page._page_box.descendants() if str(one.element_tag).endswith("svg")
    )
    assert narrow == pytest.approx(wide, rel=0.01)
    # Wherever the sheet ends, both are on one.
    for lines in range(20, 90):
        filled = pages(
            f'<div style="height: {3 * lines}mm"></div><p class="appendix" id="appendix">Appendix'
            '</p><h2 id="drop">All scores</h2>'
        )
        assert [set(one.anchors) for one in filled if one.anchors] == [{"appendix", "drop"}]


@pytest.mark.usefixtures("undrawn")
def test_a_pdf_of_an_earlier_report_is_named_where_no_face_is_to_be_shown(
    tmp_path, monkeypatch, capsys
):
    run = write_run(tmp_path, simulate(("full",), ("full",)), draws=5)
    assert hemiface(monkeypatch, "report", run, "--no-pictures") == 0
    assert "may show faces" not in capsys.readouterr().err
    (run / "report.pdf").write_bytes(b"%PDF-")
    assert hemiface(monkeypatch, "report", run, "--no-pictures") == 0
    assert "report.pdf is not of this report and may show faces" in capsys.readouterr().err
