"""Configs that come with hemiface: found by name, listed, printed."""

import json

import pytest

from builders import hemiface
from hemiface.config import find, load, shipped, summary
from hemiface.errors import UsageError


def test_a_file_of_the_users_wins_over_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find("quick") == shipped()["quick"]
    # A run's folder may be called as its config is: the same command has to go on.
    (tmp_path / "quick").mkdir()
    assert find("quick") == shipped()["quick"]
    (tmp_path / "quick").rmdir()
    (tmp_path / "quick").write_text('name = "mine"\n')
    assert load("quick").name == "mine"


def test_a_file_in_another_encoding_is_told(tmp_path, monkeypatch, capsys):
    (tmp_path / "latin.toml").write_bytes('name = "café"\n'.encode("latin-1"))
    assert hemiface(monkeypatch, "configs", tmp_path / "latin.toml") == 4
    assert "latin.toml" in capsys.readouterr().err


def test_an_unknown_name_lists_the_known(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"these are fer2013, fer2013-cpu, .*, small, speedrun\."):
        find("qick")
    assert hemiface(monkeypatch, "study", "qick") == 2
    assert "none that comes with hemiface has this name" in capsys.readouterr().err


def test_the_list_has_a_line_each_that_fits_a_terminal(monkeypatch, capsys):
    assert hemiface(monkeypatch, "configs") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(shipped())
    assert max(map(len, lines)) <= 80
    assert all(line.endswith(".") for line in lines)
    assert hemiface(monkeypatch, "configs", "--json") == 0
    known = json.loads(capsys.readouterr().out)
    assert known == {name: summary(path) for name, path in shipped().items()}


def test_a_printed_config_is_the_file(monkeypatch, capsys, tmp_path):
    assert hemiface(monkeypatch, "configs", "small") == 0
    (tmp_path / "mine.toml").write_text(capsys.readouterr().out)
    assert load(tmp_path / "mine.toml") == load("small")
    assert hemiface(monkeypatch, "configs", "large") == 2
