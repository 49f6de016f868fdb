"""Kills at random moments: what is compared, and a command that survives them."""

import pandas as pd
import pytest
from PIL import Image

import chaos
import reliability_page
from builders import tiny_predictions
from hemiface.errors import DamagedError, HemifaceError
from hemiface.tables import read_csv, write_csv, write_predictions


def test_a_command_is_killed_and_leaves_what_an_undisturbed_one_does(tmp_path):
    Image.new("L", (48, 48), 90).save(tmp_path / "face.png")
    scene = chaos.Scene(
        "occlude",
        lambda out: ["occlude", str(tmp_path / "face.png"), "--hide", "upper", "--out", str(out)],
    )
    (tmp_path / "place").mkdir()
    tally = chaos.disturb(scene, 1, 0, tmp_path / "place")
    assert (tally.kills, tally.files, tally.found) == (1, 1, 0)
    bad = chaos.Scene("occlude", lambda _: ["occlude", str(tmp_path / "gone.png"), "--hide", "x"])
    with pytest.raises(HemifaceError, match="hemiface occlude ended with 2"):
        chaos.disturb(bad, 1, 0, tmp_path / "place")


class TestChecks:
    @pytest.fixture
    def scene(self):
        return chaos.Scene("x", lambda _: [])

    def test_lost_changed_added_and_half_written_are_counted(self, tmp_path, scene):
        for name in ("a", "b", "c"):
            (tmp_path / name).write_text("whole")
        wanted = chaos.essences(tmp_path)
        (tmp_path / "a").unlink()
        (tmp_path / "b").write_text("who")
        tally = chaos.Tally("x", 0)
        chaos._check(tally, scene, tmp_path, wanted, is_end=False)
        assert (tally.half_written, tally.found) == (1, 1)
        (tmp_path / ".c.1-abcdef.partial").write_text("left over")
        chaos._check(tally, scene, tmp_path, wanted, is_end=True)
        assert (tally.lost, tally.changed, tally.added) == (1, 1, 1)

    def test_half_a_table_is_counted_and_ends_nothing(self, tmp_path, scene):
        write_predictions(tiny_predictions(), tmp_path / "p.parquet")
        wanted = chaos.essences(tmp_path)
        whole = (tmp_path / "p.parquet").read_bytes()
        (tmp_path / "p.parquet").write_bytes(whole[: len(whole) // 2])
        tally = chaos.Tally("x", 0)
        chaos._check(tally, scene, tmp_path, wanted, is_end=False)
        assert tally.half_written == 1

    def test_unknown_scenes_are_told(self, monkeypatch, capsys):
        monkeypatch.setattr(chaos, "scenes", lambda _: [chaos.Scene("export", lambda _: [])])
        monkeypatch.setattr("sys.argv", ["chaos.py", "--scenes", "exprot"])
        with pytest.raises(SystemExit) as ended:
            chaos.main()
        assert ended.value.code == 2
        assert "no scene exprot; there are export" in capsys.readouterr().err

    def test_times_are_left_out_and_nothing_else(self, tmp_path):
        path = tmp_path / "history.csv"
        found = []
        for seconds, loss in ((1.0, 0.5), (2.0, 0.5), (2.0, 0.6)):
            row = {"epoch": 1, "train_loss": loss, "seconds": seconds, "images_per_s": 1 / seconds}
            write_csv(pd.DataFrame([row]), path)
            found.append(chaos.essence(path))
        assert found[0] == found[1] != found[2]
        table = tmp_path / "p.parquet"
        write_predictions(tiny_predictions(), table)
        before = chaos.essence(table)
        write_predictions(tiny_predictions().with_facts(made="another"), table)
        assert chaos.essence(table) == before
        table.write_bytes(table.read_bytes()[:-9])
        with pytest.raises(DamagedError):
            chaos.essence(table)


def test_the_page_is_made_of_the_tables(tmp_path):
    row = {"kind": "csv", "inputs": 7, "command": "python validity/fuzz.py --inputs 7"}
    write_csv(pd.DataFrame([row, {**row, "kind": "toml", "inputs": 8}]), tmp_path / "fuzz.csv")
    reliability_page.write(tmp_path)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "| csv | 7 |\n| toml | 8 |" in text
    assert text.count("    python validity/fuzz.py --inputs 7\n") == 1
    assert "Killed" not in text
    assert read_csv(tmp_path / "fuzz.csv")["inputs"].tolist() == [7, 8]
