"""The whole study on a few rendered faces, by the command a user types, and what is around it."""

import importlib
import json
import logging
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from builders import hemiface, tiny_bundle

pytest.importorskip("torch", reason="a study needs hemiface[train]")

from hemiface.files import sha256_file
from hemiface.networks.network import Bundle
from hemiface.tables import EMOTIONS, read_predictions

pytestmark = pytest.mark.slow

CONFIG = "quick"
SETTINGS = (
    "model.architecture=test_resnet",
    "train.epochs=1",
    "finetune.train.epochs=1",
    'models=["full","left"]',
    'evaluate.conditions=["full","left","none"]',
    'evaluate.specialist_conditions=["full","left"]',
    "statistics.draws=20",
    "data.source=phantom:n=140,seed=5",
)


def study(monkeypatch: pytest.MonkeyPatch, folder: Path, *more: object) -> int:
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    return hemiface(
        monkeypatch, "study", CONFIG, "--out", folder, "--device", "cpu", *settings, *more
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run folder, which no test changes."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert study(monkeypatch, folder) == 0
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run folder, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def stages_run(folder: Path) -> dict[str, str]:
    """When each stage was last finished."""
    stages = json.loads((folder / "stages.json").read_text())
    return {name: stage["finished"] + str(stage["seconds"]) for name, stage in stages.items()}


def test_the_run_folder_holds_what_the_interface_promises(finished: Path) -> None:
    promised = [
        "config.toml",
        "environment.json",
        "images.parquet",
        "models/full-seed0/bundle.safetensors",
        "models/full-seed0/history.csv",
        "models/left-seed0/bundle.safetensors",
        "predictions.parquet",
        "matrix.csv",
        "class_scores.csv",
        "figures/heat-accuracy-standard.svg",
        "figures/heat-accuracy-standard.png",
        "report.html",
        "log.txt",
    ]
    assert [name for name in promised if not (finished / name).is_file()] == []
    assert not list(finished.rglob("*.partial*"))


def test_predictions_cover_every_cell_and_the_matrix_agrees(finished: Path) -> None:
    predictions = read_predictions(finished / "predictions.parquet").table
    images = pd.read_parquet(finished / "images.parquet")
    scored = images["split"].isin(["validation", "test"]).sum()
    assert predictions.groupby(["model", "condition"]).size().to_dict() == {
        ("full-seed0", "full"): scored,
        ("full-seed0", "left"): scored,
        ("full-seed0", "none"): scored,
        ("left-seed0", "full"): scored,
        ("left-seed0", "left"): scored,
    }
    cell = predictions.query("model == 'left-seed0' and condition == 'left' and split == 'test'")
    columns = [f"p_{emotion}" for emotion in EMOTIONS]
    by_hand = (cell[columns].idxmax(axis=1).str[2:] == cell["label"]).mean()
    matrix = pd.read_csv(finished / "matrix.csv", dtype={"seed": "str"})
    row = matrix.query(
        "protocol == 'standard' and model == 'left' and condition == 'left' "
        "and metric == 'accuracy' and seed == 'mean'"
    )
    assert row["value"].item() == pytest.approx(by_hand, abs=1e-6)
    assert row["n"].item() == len(cell)


def test_the_report_is_one_file_without_outside_help(finished: Path) -> None:
    loads: list[str] = []

    class Loads(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            for name, value in attrs:
                if name in ("src", "srcset", "data", "poster") or (
                    tag == "link" and name == "href"
                ):
                    loads.append(value or "")

    Loads().feed((finished / "report.html").read_text(encoding="utf-8"))
    assert loads
    assert [one[:40] for one in loads if not one.startswith("data:")] == []


def test_a_second_call_runs_nothing_again(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = stages_run(run)
    assert study(monkeypatch, run) == 0
    after = stages_run(run)
    assert {name: when for name, when in after.items() if name != "data"} == {
        name: when for name, when in before.items() if name != "data"
    }
    assert "report.html" in capsys.readouterr().out


def test_only_what_changed_runs_again(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = stages_run(run)
    (run / "predictions.parquet").unlink()
    weights = (run / "models/left-seed0/bundle.safetensors").stat().st_mtime_ns
    assert study(monkeypatch, run, "--set", "finetune.train.epochs=2") == 0
    after = stages_run(run)
    changed = {name for name in after if after[name] != before[name]} - {"data"}
    assert changed == {"left-seed0", "left-seed0 predictions", "predictions", "report"}
    assert (run / "models/left-seed0/bundle.safetensors").stat().st_mtime_ns != weights


def test_a_stopped_evaluation_goes_on_with_the_next_network(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = stages_run(run)
    table = run / "predictions.parquet"
    whole = read_predictions(table)
    table.unlink()
    (run / "models/left-seed0/predictions.parquet").unlink()
    assert study(monkeypatch, run) == 0
    after = stages_run(run)
    changed = {name for name in after if after[name] != before[name]} - {"data", "report"}
    assert changed == {"left-seed0 predictions", "predictions"}
    again = read_predictions(table)
    pd.testing.assert_frame_equal(again.table, whole.table)
    assert again.facts == whole.facts


def by_other_code(run: Path, *, old: bool, bundles: bool = True) -> None:
    """Make a run look as if other code had made it: of this version, or of one before marks."""
    stages = json.loads((run / "stages.json").read_text())
    for name, stage in stages.items():
        if name != "data":
            stage["fingerprint"] = "0" * 16
            stage["code"] = "1" * 16
            stage.pop("products", None)  # Bundles are written anew below.
            if old:
                del stage["code"], stage["inputs"]
    (run / "stages.json").write_text(json.dumps(stages))
    started_from = ""
    for name in ("full", "left") if bundles else ():  # left starts from full
        path = run / f"models/{name}-seed0/bundle.safetensors"
        bundle = Bundle.load(path)
        known = {**bundle.provenance, "fingerprint": "0" * 16}
        if known["init_sha256"]:
            known["init_sha256"] = started_from
        Bundle(bundle.model, bundle.weights, known).save(path)
        started_from = sha256_file(path)


@pytest.mark.parametrize("old", [False, True])
def test_trusted_code_keeps_networks_and_says_so(
    run: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], old: bool
) -> None:
    by_other_code(run, old=old, bundles=old)
    bundles = {path: path.read_bytes() for path in run.glob("models/*/bundle.safetensors")}
    assert study(monkeypatch, run, "--trust-code") == 0
    assert {path: path.read_bytes() for path in bundles} == bundles
    stages = json.loads((run / "stages.json").read_text())
    assert {name for name, stage in stages.items() if "trusted" in stage} >= {
        "full-seed0", "left-seed0",
    }  # fmt: skip
    said = (run / "log.txt").read_text()
    assert "full-seed0: kept, although other code made it" in said
    assert ("begun by an earlier version of hemiface" in said) == old
    # What is trusted once is done: the same command without the option runs nothing again.
    before = stages_run(run)
    assert study(monkeypatch, run) == 0
    del capfd
    assert {name for name, at in stages_run(run).items() if at != before[name]} <= {"data"}


def test_code_is_not_trusted_unasked_nor_with_another_config(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_other_code(run, old=True)
    bundle = run / "models/full-seed0/bundle.safetensors"
    before = bundle.stat().st_mtime_ns
    another = ("--until", "models", "--set", "train.learning_rate=0.02")
    assert study(monkeypatch, run, "--trust-code", *another) == 0
    assert bundle.stat().st_mtime_ns != before
    by_other_code(run, old=False)
    before = bundle.stat().st_mtime_ns
    assert study(monkeypatch, run, *another) == 0
    assert bundle.stat().st_mtime_ns != before
    assert "full-seed0: made by other code, so it is made again" in (run / "log.txt").read_text()


def test_fresh_starts_over_and_spares_what_is_not_its_own(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run / "notes.txt").write_text("mine")
    bundle = run / "models/full-seed0/bundle.safetensors"
    before, weights = bundle.stat().st_mtime_ns, Bundle.load(bundle).weights
    assert study(monkeypatch, run, "--fresh", "--until", "models") == 0
    assert bundle.stat().st_mtime_ns > before
    assert Bundle.load(bundle).weights.keys() == weights.keys()
    assert (run / "notes.txt").read_text() == "mine"


def test_a_damaged_product_is_made_again(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cut report, a table and a network with a flipped bit: none of them is "done before"."""
    whole = {
        name: (run / name).read_bytes()
        for name in (
            "report.html", "matrix.csv", "predictions.parquet",
            "models/left-seed0/bundle.safetensors",
        )
    }  # fmt: skip
    table = read_predictions(run / "predictions.parquet").table
    for name, content in whole.items():
        spoilt = bytearray(content)
        spoilt[len(spoilt) // 2] ^= 1
        (run / name).write_bytes(spoilt)
    assert study(monkeypatch, run) == 0
    said = (run / "log.txt").read_text()
    for names in (
        "left-seed0: models/left-seed0/bundle.safetensors",
        "predictions: predictions.parquet",
        "report: matrix.csv, report.html",
    ):
        assert f"{names} changed since it was made" in said
    pd.testing.assert_frame_equal(read_predictions(run / "predictions.parquet").table, table)
    assert (run / "matrix.csv").read_bytes() == whole["matrix.csv"]
    kept = run / "models/left-seed0/bundle.changed.safetensors"
    assert len(kept.read_bytes()) == len(whole["models/left-seed0/bundle.safetensors"])
    done = stages_run(run)
    assert study(monkeypatch, run) == 0
    assert {key: done[key] for key in done if key != "data"} == {
        key: value for key, value in stages_run(run).items() if key != "data"
    }


def test_a_changed_history_is_told_and_trains_nothing_again(run, monkeypatch) -> None:
    before, history = stages_run(run), run / "models/full-seed0/history.csv"
    assert study(monkeypatch, run) == 0
    assert "changed since it was written" not in (run / "log.txt").read_text()
    spoilt = history.read_bytes()
    history.write_bytes(bytes([*spoilt[:-3], spoilt[-3] ^ 1, *spoilt[-2:]]))
    assert study(monkeypatch, run) == 0
    said = (run / "log.txt").read_text()
    assert f"full-seed0: {history} changed since it was written, or is gone" in said
    after = stages_run(run)
    assert {name for name in after if after[name] != before[name]} <= {"data"}


def test_a_damaged_record_is_named(run: Path, monkeypatch, capsys) -> None:
    late = '{"report": {"products": {}, "seconds": "late", "finished": "2026"}}'
    for spoilt in (
        "{",
        "[1]",
        "[" * 100_000,
        '{"report": 1}',
        '{"report": {"products": [1]}}',
        '{"report": {"products": {"a\\u0000": ""}, "seconds": 1, "finished": "2026"}}',
        late,
    ):
        (run / "stages.json").write_text(spoilt)
        assert study(monkeypatch, run) == 4
        said = capsys.readouterr().err
        assert "stages.json" in said
        assert "--trust-code" in said


class TestFresh:
    """What --fresh removes in a folder that holds other things."""

    def tiny(self, monkeypatch: pytest.MonkeyPatch, folder: Path, *more: str) -> int:
        return study(monkeypatch, folder, "--fresh", "--until", "models", *more)

    def test_a_folder_that_is_no_run_keeps_everything(self, tmp_path, monkeypatch) -> None:
        mine = [tmp_path / "models" / "mine.safetensors", tmp_path / "figures" / "mine.png"]
        for path in mine:
            path.parent.mkdir()
            path.write_text("mine")
        assert self.tiny(monkeypatch, tmp_path) == 0
        assert [path.read_text() for path in mine] == ["mine", "mine"]

    @pytest.mark.parametrize("name", ["config.toml", "report.html", "predictions.parquet"])
    @pytest.mark.parametrize("more", [(), ("--fresh",)])
    def test_what_no_study_wrote_is_not_replaced(
        self, tmp_path, monkeypatch, capsys, name, more
    ) -> None:
        mine = tmp_path / name
        # Mine too, though a study reads it.
        mine.write_text('name = "mine"  # of the summer\n')
        assert study(monkeypatch, tmp_path, "--until", "data", *more) == 2
        assert f"holds {name} and no study, which would replace it" in capsys.readouterr().err
        assert [one.name for one in tmp_path.iterdir()] == [name]
        assert mine.read_text().startswith('name = "mine"')

    def test_what_lies_among_a_runs_own_files_stays(self, run, monkeypatch) -> None:
        mine = [run / "models" / "mine.safetensors", run / "models/full-seed0/notes.txt",
                run / "figures" / "mine.png", run / "mine.csv"]  # fmt: skip
        for path in mine:
            path.parent.mkdir(exist_ok=True)
            path.write_text("mine")
        drawn = sorted(one.name for one in (run / "figures").glob("*") if one not in mine)
        assert drawn
        assert self.tiny(monkeypatch, run) == 0
        assert [path.read_text() for path in mine] == ["mine"] * 4
        assert [one.name for one in (run / "figures").iterdir()] == ["mine.png"]
        assert not (run / "report.html").exists()

    def test_a_record_that_names_other_places_removes_nothing_there(
        self, run, tmp_path, monkeypatch
    ) -> None:
        mine = tmp_path / "mine.txt"
        mine.write_text("mine")
        stages = json.loads((run / "stages.json").read_text())
        stages["report"]["products"] = {
            str(mine): "",
            "../mine.txt": "",
            "figures/../../mine.txt": "",
        }
        (run / "stages.json").write_text(json.dumps(stages))
        assert self.tiny(monkeypatch, run) == 0
        assert mine.read_text() == "mine"

    def test_no_link_is_followed(self, run, tmp_path, monkeypatch, capsys) -> None:
        elsewhere = tmp_path / "elsewhere"
        (run / "models").rename(elsewhere)
        (run / "models").symlink_to(elsewhere)
        before = sorted(elsewhere.rglob("*"))
        assert self.tiny(monkeypatch, run) == 2
        assert "is a link to another folder" in capsys.readouterr().err
        assert sorted(elsewhere.rglob("*")) == before

    def test_nor_that_of_one_network(self, run, tmp_path, monkeypatch) -> None:
        """What lies two folders behind a link is no less somebody's."""
        elsewhere = tmp_path / "elsewhere"
        (elsewhere / "checkpoint").mkdir(parents=True)
        mine = elsewhere / "checkpoint" / "last.pt"
        mine.write_text("mine")
        (run / "models" / "mine-seed0").symlink_to(elsewhere)
        stages = json.loads((run / "stages.json").read_text())
        stages["report"]["products"] = {"models/mine-seed0/bundle.safetensors": ""}
        (run / "stages.json").write_text(json.dumps(stages))
        assert study(monkeypatch, run, "--fresh", "--until", "data") == 0
        assert mine.read_text() == "mine"

    @pytest.mark.parametrize("name", ["models/", "models", "figures", "."])
    def test_a_folder_is_no_product(self, run, monkeypatch, name) -> None:
        stages = json.loads((run / "stages.json").read_text())
        stages["report"]["products"] = {name: ""}
        (run / "stages.json").write_text(json.dumps(stages))
        assert study(monkeypatch, run, "--fresh", "--until", "data") == 0


def test_a_study_that_ends_early_goes_on_to_the_report(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = stages_run(run)
    for name in ("report.html", "predictions.parquet", "models/left-seed0/predictions.parquet"):
        (run / name).unlink()
    assert study(monkeypatch, run, "--until", "models") == 0
    assert "without --until" in capsys.readouterr().out
    assert not list(run.glob("predictions.parquet"))
    assert study(monkeypatch, run, "--until", "predictions", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"folder": str(run), "until": "predictions"}
    assert read_predictions(run / "predictions.parquet") is not None
    assert not (run / "report.html").exists()
    assert study(monkeypatch, run) == 0
    assert (run / "report.html").is_file()
    after = stages_run(run)
    assert {
        name for name in after if name.endswith("seed0") and after[name] != before[name]
    } == set()


def test_longer_goes_on_with_whole_faces_as_specialists_do_with_hidden_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = 'models=["full","longer","left"]'
    assert study(monkeypatch, tmp_path, "--set", models, "--until", "predictions") == 0
    name = "longer-seed0"
    bundle = tmp_path / "models" / name / "bundle.safetensors"
    assert Bundle.load(bundle).provenance["conditions"] == ["full"]
    table = read_predictions(tmp_path / "predictions.parquet").table
    assert set(table.loc[table["model"] == name, "condition"].astype(str)) == {"full", "left"}


def test_json_is_one_document(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert study(monkeypatch, run, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert {row["model"] for row in printed["accuracy"]} == {"full", "left"}
    assert Path(printed["report"]).is_file()


def test_evaluate_and_report_by_themselves(
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bundle = finished / "models/full-seed0/bundle.safetensors"
    table = tmp_path / "predictions.parquet"
    code = hemiface(
        monkeypatch, "evaluate", bundle, "--data", finished, "--out", table,
        "--conditions", "full,diagonal@mean", "--device", "cpu",
    )  # fmt: skip
    assert code == 0
    assert set(read_predictions(table).table["condition"]) == {"full", "diagonal@mean"}
    assert "diagonal@mean" in capsys.readouterr().out
    assert hemiface(monkeypatch, "report", table, "--out", tmp_path / "page.html") == 0
    assert "diagonal" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore:HarfBuzz-Subset will be required:DeprecationWarning")
def test_the_report_as_pdf(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        importlib.import_module("weasyprint")
    except (ImportError, OSError) as missing:
        pytest.skip(f"a PDF needs hemiface[pdf] and Pango: {missing}")
    assert hemiface(monkeypatch, "report", run, "--pdf") == 0
    assert capsys.readouterr().out.split()[-1] == str(run / "report.pdf")
    assert (run / "report.pdf").read_bytes().startswith(b"%PDF-")


def test_a_pdf_without_weasyprint_says_what_to_install(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    before = (run / "report.html").stat().st_mtime_ns
    assert hemiface(monkeypatch, "report", run, "--pdf") == 1
    assert "hemiface[pdf]" in capsys.readouterr().err
    assert not (run / "report.pdf").exists()
    assert (run / "report.html").stat().st_mtime_ns == before  # it says so before it builds a page


def test_evaluating_again_gives_the_same_numbers(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundles = [finished / f"models/{name}-seed0/bundle.safetensors" for name in ("full", "left")]
    arguments = ("--data", finished, "--out", tmp_path / "p.parquet", "--conditions", "full,left")
    assert hemiface(monkeypatch, "evaluate", *bundles, *arguments, "--device", "cpu") == 0
    again = read_predictions(tmp_path / "p.parquet").table
    first = read_predictions(finished / "predictions.parquet").table.query(
        "split == 'test' and condition != 'none'"
    )
    key = ["image", "condition", "model"]
    pd.testing.assert_frame_equal(
        again.sort_values(key).reset_index(drop=True),
        first.sort_values(key).reset_index(drop=True),
        atol=1e-5,
    )


def test_train_goes_on_where_it_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hemiface.networks.checkpoint import Progress

    arguments = (
        "train", CONFIG, "--data", "phantom:n=140,seed=5", "--out", tmp_path / "run",
        "--set", "train.epochs=3", "--set", "train.batch_size=32", "--device", "cpu",
    )  # fmt: skip
    finish, calls = Progress.log_epoch, []

    def interrupt(*given: object) -> None:
        finish(*given)  # type: ignore[arg-type]
        calls.append(given)
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "log_epoch", interrupt)
    assert hemiface(monkeypatch, *arguments) == 130
    assert "goes on where it was" in capsys.readouterr().err
    assert (tmp_path / "run/checkpoint/last.pt").is_file()
    assert hemiface(monkeypatch, *arguments) == 0
    assert len(pd.read_csv(tmp_path / "run/history.csv")) == 3
    assert len(calls) == 4  # epoch 1, the interrupted 2, then 2 and 3: nothing twice but that one


class TestBadUse:
    """Each kind of error: the documented exit code and one sentence."""

    @pytest.mark.parametrize(
        ("arguments", "code", "sentence"),
        [
            (("study", CONFIG, "--set", "train.epoch=3"), 2, "did you mean train.epochs"),
            (("study", CONFIG, "--set", "train.epochs"), 2, "must look like"),
            (("study", CONFIG, "--set", 'models=["full","banana"]'), 2, "'banana' is unknown"),
            (
                (
                    "study",
                    CONFIG,
                    "--set",
                    'models=["full","any"]',
                    "--set",
                    'generalist_conditions=["random-50"]',
                ),
                2,
                "random-50 hides other pixels in each image",
            ),
            (
                (
                    "study",
                    CONFIG,
                    "--set",
                    "finetune.distill.logits=1",
                    "--set",
                    "finetune.distill.teacher=fulll",
                ),
                2,
                "teacher's Bundle fulll doesn't exist",
            ),
            (
                (
                    "study",
                    CONFIG,
                    "--set",
                    "model.architecture=levit_128s",
                    "--set",
                    "model.stem=imagenet",
                    "--set",
                    "generalist.distill.clean=1",
                    "--set",
                    'models=["full","any"]',
                ),
                2,
                "levit_128s has another head",
            ),
            (
                ("study", CONFIG, "--set", 'evaluate.splits=["validation"]'),
                2,
                "must contain test for the report; add it, or stop before with --until predictions",
            ),
            (("study", "absent.toml"), 2, "absent.toml doesn't exist"),
            (("evaluate", "absent.safetensors", "--data", "phantom:n=140"), 2, "doesn't exist"),
            (
                ("train", CONFIG, "--data", "phantom:n=70", "--out", "x", "--seed", 2**63),
                2,
                "Seed 9223372036854775808 can't be kept",
            ),
            (("report", "absent.parquet"), 2, "absent.parquet"),
            (("data", "check", "absent.csv"), 2, "absent.csv"),
            (("occlude", "absent.png", "--hide", "upper", "--out", "x"), 2, "absent.png"),
            (("occlude", "absent.png", "--hide", "nose", "--out", "x"), 2, "'nose' is unknown"),
        ],
    )
    def test_one_sentence(
        self,
        arguments: tuple[object, ...],
        code: int,
        sentence: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert hemiface(monkeypatch, *arguments) == code
        errors = capsys.readouterr().err.strip().splitlines()
        assert sentence in errors[-1]
        assert errors[-1].startswith("hemiface: ")
        assert not list(tmp_path.iterdir())

    def test_a_teacher_that_nobody_learns_from(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        bundle = tiny_bundle(tmp_path / "t.safetensors")
        words = ("--condition", "lower", "--teacher", bundle, "--out", tmp_path / "x")
        assert hemiface(monkeypatch, "train", "quick", "--data", "phantom:n=70", *words) == 2
        assert "lower learns from no network that is named to it" in capsys.readouterr().err
        assert not (tmp_path / "x" / "bundle.safetensors").exists()

    @pytest.mark.parametrize("option", ["--init", "--teacher"])
    def test_a_training_into_the_folder_of_what_it_reads(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str], option: str,
    ) -> None:  # fmt: skip
        bundle = tiny_bundle(tmp_path / "bundle.safetensors")
        before = sha256_file(bundle)
        words = ("--data", "phantom:n=70", option, bundle, "--out", tmp_path)
        assert hemiface(monkeypatch, "train", "quick", *words) == 2
        assert "what is made would take its place; choose another --out" in capsys.readouterr().err
        assert sha256_file(bundle) == before
        assert list(tmp_path.iterdir()) == [bundle]

    def test_a_teacher_that_is_no_bundle_is_told_before_anything_is_trained(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from hemiface.models.shipped import path_of

        cut = tiny_bundle(tmp_path / "cut.safetensors")
        cut.write_bytes(cut.read_bytes()[:-1])
        for teacher, code, said in (
            (path_of("nano-int8"), 2, "nano-int8.onnx is an exported file; name the Bundle"),
            (cut, 4, "cut.safetensors was damaged"),
        ):
            taught = ("finetune.distill.logits=1", f"finetune.distill.teacher={teacher}")
            settings = [part for setting in taught for part in ("--set", setting)]
            assert study(monkeypatch, tmp_path / "run", *settings) == code
            assert said in capsys.readouterr().err
            assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize(
        "command", [("train", "quick", "--out", "x", "--data"), ("data", "show")]
    )
    def test_a_seed_below_0(
        self, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        assert hemiface(monkeypatch, *command, "phantom:n=70", "--seed", "-1") == 2
        assert "greater than or equal to 0" in " ".join(capsys.readouterr().err.split())

    def test_a_study_without_data(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        config = tmp_path / "own.toml"
        config.write_text('name = "own"\n')
        assert hemiface(monkeypatch, "study", config) == 2
        assert "--data" in capsys.readouterr().err

    def test_two_studies_in_one_folder(
        self, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from hemiface.locks import locked

        with locked(run):
            assert study(monkeypatch, run) == 2
        assert "is being written into by process" in capsys.readouterr().err

    def test_a_damaged_bundle(
        self, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        bundle = run / "models/full-seed0/bundle.safetensors"
        bundle.write_bytes(bundle.read_bytes()[:1000])
        assert hemiface(monkeypatch, "evaluate", bundle, "--data", run) == 4
        assert "damaged" in capsys.readouterr().err


def test_nothing_is_left_on_the_logger(finished: Path) -> None:
    assert finished.is_dir()
    assert logging.getLogger("hemiface").handlers == []
