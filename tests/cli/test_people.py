"""From pictures to a page about people, as a psychologist does it: occlude --set, then people."""

import csv
import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from builders import hemiface, linear_model
from hemiface.data.phantom import make as phantom
from hemiface.data.stimulus_set import MANIFEST, StimulusSet
from hemiface.report import people as people_report
from hemiface.tables import EMOTIONS, read_csv
from hemiface.vision.stimulus_sets.answers import answers_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos") / "faces"
    for index, pixels in enumerate(phantom.render(np.arange(14) % 7, seed=0)):
        place = root / EMOTIONS[index % 7]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"f{index:02}.png")
    return root


@pytest.fixture(scope="module")
def stimuli(folder, tmp_path_factory):
    """A set with every kind of stimulus, dealt out to six people, and their answers."""
    out = tmp_path_factory.mktemp("study") / "set"
    with pytest.MonkeyPatch.context() as patch:
        done = hemiface(
            patch, "occlude", folder, "--out", out, "--size", 48, "--participants", 6, "--samples",
            2, "--blocks", 2, "--set", "halves,composites,bubbles,tiles,mask",
        )  # fmt: skip
    assert done == 0
    write_answers(out, out / "data" / "study-stimuli_description-answers_data.csv")
    return out


def write_answers(folder, path, seed=0):
    """People who are right in 9 of 10 cases, without the lower half in 3; one says nothing."""
    known = {one.stimulus: one for one in StimulusSet.read(folder).stimuli}
    random = np.random.default_rng(seed)
    rows = []
    trials = json.loads((folder / "materials" / "trials.json").read_text("utf-8"))
    for participant, own in trials.items():
        for trial in own:
            one = known[trial["stimulus"]]
            right = random.random() < (0.3 if one.condition == "lower" else 0.9)
            answer = one.emotion if right else str(random.choice(EMOTIONS))
            rows.append((participant, one.stimulus, answer, 0.5 + random.random(), trial["block"]))
    table = pd.DataFrame(rows, columns=["participant", "stimulus", "response", "rt_s", "block"])
    table.loc[0, "response"] = ""
    table.loc[1, "response"] = "don't know"
    table.to_csv(path, index=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return linear_model(tmp_path_factory.mktemp("model") / "linear.onnx")


@pytest.fixture(scope="module")
def done(stimuli, model):
    """The folder that `hemiface people` wrote."""
    answers = stimuli / "data" / "study-stimuli_description-answers_data.csv"
    out = stimuli.parent / "people"
    with pytest.MonkeyPatch.context() as patch:
        code = hemiface(
            patch, "people", answers, "--model", model, "--out", out, "--draws", 50
        )  # fmt: skip
    assert code == 0
    return out


class TestPeople:
    def test_every_table_and_figure_is_there(self, done):
        tables = {path.stem for path in done.glob("*.csv")}
        assert tables == {
            "agreement", "beside", "confusions", "information", "likeness", "maps", "participants",
            "ratings", "responses", "sensitivity", "shapley",
        }  # fmt: skip
        figures = {path.stem for path in (done / "figures").glob("*.svg")}
        assert figures == {
            "people-conditions", "people-halves", "people-halves-1", "people-map-bubbles",
            "people-map-tiles",
        }  # fmt: skip

    def test_the_page_holds_what_the_tables_hold(self, done):
        page = (done / "people.html").read_text("utf-8")
        assert "6 participants gave" in page
        assert "1 of 1,176 trials have no answer: they are left out." in page
        assert page.count("<h2") == 6
        assert page.count("<svg") == 5
        for name in ("sensitivity", "shapley", "agreement", "maps", "participants"):
            assert f'<a href="{name}.csv">' in page
        # Nothing is loaded from elsewhere.
        assert not re.search(r"(src|href)=\"https?:", page)
        table = read_csv(done / "sensitivity.csv")
        chosen = table["emotion"].eq("all") & table["measure"].eq("recall")
        hits = table[chosen & table["who"].eq("people")].set_index("condition")["value"]
        assert hits["full"] > 0.8
        assert hits["lower"] < 0.6
        assert f">{100 * hits['lower']:.0f}<" in page
        assert ">lower hidden<" in page

    def test_a_single_participant_has_no_interval_in_print(
        self, stimuli, tmp_path, monkeypatch, capsys
    ):
        answers = stimuli / "data" / "study-stimuli_description-answers_data.csv"
        alone = tmp_path / "alone.csv"
        pd.read_csv(answers, keep_default_na=False, nrows=120).to_csv(alone, index=False)
        words = ("people", alone, "--stimuli", stimuli, "--draws", 20)
        assert hemiface(monkeypatch, *words) == 0
        said = capsys.readouterr().out
        assert "[–, –]" in said
        assert "nan" not in said

    def test_what_was_hidden_is_not_printed_as_seen(self, stimuli, tmp_path, monkeypatch, capsys):
        answers = stimuli / "data" / "study-stimuli_description-answers_data.csv"
        words = ("people", answers, "--out", tmp_path, "--draws", 20)
        assert hemiface(monkeypatch, *words) == 0
        said = capsys.readouterr().out
        assert re.search("who +. condition ", said)
        assert "upper hidden" in said
        assert "saw" not in said

    def test_what_was_put_in_is_said(self, done):
        table = read_csv(done / "shapley.csv")
        rows = table[table["model"].eq("people") & table["mix"].eq("balanced")]
        rows = rows[rows["emotion"] == "all"].set_index("region")["bits"]
        # Condition lower hides the lower half: people can't do without it.
        assert rows["lower"] > rows["upper"] + 1

    def test_the_network_s_answers_are_those_of_predict_on_these_files(
        self, stimuli, model, monkeypatch, capsys
    ):
        known = StimulusSet.read(stimuli)
        ((name, answers),) = answers_of(str(model), known).items()
        assert name == "linear"
        files = sorted({one.file: one for one in known.stimuli}.values(), key=lambda x: x.file)[:9]
        paths = [stimuli / one.file for one in files]
        code = hemiface(monkeypatch, "predict", *paths, "--model", model, "--no-detect",
                        "--no-estimate", "--abstain-below", 0, "--json")  # fmt: skip
        assert code == 0
        faces = json.loads(capsys.readouterr().out)["faces"]
        assert [face["label"] for face in faces] == [answers[one.stimulus] for one in files]

    def test_it_answers_in_json_alone_and_the_same_each_time(
        self, folder, tmp_path, monkeypatch, capsys
    ):
        out = tmp_path / "set"
        assert hemiface(monkeypatch, "occlude", folder, "--set", "upper", "--out", out, "--size",
                        48, "--participants", 3) == 0  # fmt: skip
        answers = out / "data" / "answers.csv"
        write_answers(out, answers)
        written = []
        for name in ("one", "two"):
            capsys.readouterr()
            code = hemiface(monkeypatch, "people", answers, "--out", tmp_path / name, "--draws", 20,
                            "--json")  # fmt: skip
            said = capsys.readouterr()
            assert code == 0
            files = sorted((tmp_path / name).rglob("*.*"))
            written.append({path.name: path.read_bytes() for path in files})
        assert written[0] == written[1]
        assert "agreement.csv" not in written[0]
        found = json.loads(said.out)
        assert {row["who"] for row in found["sensitivity"]} == {"people"}
        assert said.err.count("hemiface: 1 of 84 trials have") == 2


def test_an_analysis_that_was_killed_may_be_done_again(stimuli, tmp_path, monkeypatch):
    """Its tables are there, its page isn't."""
    answers = stimuli / "data" / "study-stimuli_description-answers_data.csv"
    words = ("people", answers, "--stimuli", stimuli, "--out", tmp_path, "--draws", 20)
    with monkeypatch.context() as patch:
        patch.setattr(people_report, "_hits", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            hemiface(monkeypatch, *words)
    assert (tmp_path / "responses.csv").is_file()
    assert not (tmp_path / "people.html").exists()
    assert hemiface(monkeypatch, *words) == 0
    assert (tmp_path / "people.html").is_file()


class TestWrong:
    @pytest.mark.parametrize("name", ["responses.csv", "participants.csv"])
    def test_nobodys_files_are_written_over(self, stimuli, tmp_path, monkeypatch, capsys, name):
        """Neither the answers themselves nor a table that no analysis wrote."""
        answers = stimuli / "data" / "study-stimuli_description-answers_data.csv"
        mine = tmp_path / name
        mine.write_bytes(answers.read_bytes())
        trials = mine if name == "responses.csv" else answers
        words = ("people", trials, "--stimuli", stimuli, "--out", tmp_path, "--draws", 20)
        assert hemiface(monkeypatch, *words) == 2
        said = capsys.readouterr().err
        assert ("would take its place" in said) == (name == "responses.csv")
        assert name in said
        assert mine.read_bytes() == answers.read_bytes()
        assert [one.name for one in tmp_path.iterdir()] == [name]

    def test_use_is_2_and_damage_4(self, stimuli, folder, tmp_path, monkeypatch, capsys):
        def ends(code, sentence, *words):
            assert hemiface(monkeypatch, *words) == code
            assert re.search(sentence, capsys.readouterr().err), sentence

        answers = stimuli / "data" / "study-stimuli_description-answers_data.csv"
        ends(2, "Give --hide .* or --set", "occlude", folder, "--out", tmp_path / "x")
        ends(2, "Give --hide", "occlude", folder, "--out", tmp_path / "x", "--hide", "upper",
             "--set", "halves")  # fmt: skip
        ends(2, "are about sets", "occlude", folder, "--out", tmp_path / "x", "--hide", "upper",
             "--align")  # fmt: skip
        ends(2, "--seed, .* are about sets", "occlude", folder, "--out", tmp_path / "x", "--hide",
             "upper@noise", "--seed", "2")  # fmt: skip
        ends(2, "holds no stimuli", "people", answers, "--stimuli", tmp_path)
        ends(2, r"none\.csv doesn't exist", "people", tmp_path / "none.csv")
        ends(2, "--response x must have the form", "people", answers, "--response", "x")
        ends(2, "--response says angry=sad and angry=happy", "people", answers, "--response",
             "angry=sad", "--response", "angry=happy")  # fmt: skip
        ends(2, "Model 'nobody' is unknown", "people", answers, "--model", "nobody")
        empty = tmp_path / "empty.csv"
        name = StimulusSet.read(stimuli).stimuli[0].stimulus
        empty.write_text(f"participant,stimulus,response\n1,{name},\n")
        ends(2, "No trial counts", "people", empty, "--stimuli", stimuli)

    def test_a_picture_that_was_changed_is_no_stimulus(
        self, folder, model, tmp_path, monkeypatch, capsys
    ):
        out = tmp_path / "set"
        assert hemiface(monkeypatch, "occlude", folder, "--set", "upper", "--out", out) == 0
        one = StimulusSet.read(out).stimuli[3]
        (out / one.file).write_bytes(b"no picture")
        answers = tmp_path / "answers.csv"
        answers.write_text(f"participant,stimulus,response\n1,{one.stimulus},happy\n")
        capsys.readouterr()
        code = hemiface(monkeypatch, "people", answers, "--stimuli", out, "--model", model)
        assert code == 4
        assert "isn't the picture that was made" in capsys.readouterr().err


def test_pictures_without_a_label_are_named_as_are_rows_without_a_picture(
    folder, tmp_path, monkeypatch, capsys
):
    table = tmp_path / "labels.csv"
    table.write_text("file,label\ng.png,sad\n")
    words = ("--out", tmp_path / "set", "--size", 48, "--labels", table)
    assert hemiface(monkeypatch, "occlude", folder, "--set", "upper", *words) == 0
    said = capsys.readouterr()
    first = r"28 stimuli isn't known, those of (f\d\d\.png, ){2}f\d\d\.png and 11 more"
    assert re.search(first, said.out)
    assert "labels.csv: none of the pictures is g.png; look how files are spelt there." in said.err


def test_a_set_says_what_it_holds(folder, tmp_path, monkeypatch, capsys):
    out = tmp_path / "set"
    code = hemiface(monkeypatch, "occlude", folder, "--set", "halves", "--out", out, "--size", 48,
                    "--participants", 3, "--design", "latin", "--json")  # fmt: skip
    assert code == 0
    said = json.loads(capsys.readouterr().out)
    assert said["stimuli"] == dict.fromkeys(["full", "upper", "lower", "left", "right"], 14)
    assert said["trials"] == 3 * 14
    manifest = json.loads((out / MANIFEST).read_text("utf-8"))
    assert manifest["settings"]["kinds"] == ["halves"]
    assert manifest["settings"]["dealing_design"] == "latin"
    with (out / "data" / "study-stimuli_description-trials_data.csv").open() as lines:
        assert len(list(csv.DictReader(lines))) == 3 * 14
