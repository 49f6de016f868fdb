"""The record of a run."""

from hemiface.vision.journal import Journal


def test_a_journal_of_other_settings_is_replaced(tmp_path):
    with Journal(tmp_path, {"hide": ""}) as journal:
        journal.add("a", [{"face": 0}])
        journal.add("a", [{"face": 1}])
        journal.end("a", {"faces": 2})
        journal.add("b", [{"face": 0}])
    with Journal(tmp_path, {"hide": ""}) as journal:
        assert list(journal.ended) == ["a"]
        assert [row["face"] for row in journal.rows(["a", "b"])] == [0, 1]
    with Journal(tmp_path, {"hide": "lower"}) as journal:
        assert not journal.ended
