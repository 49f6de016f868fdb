"""Reading people's answers: every word and number is understood, or named with its line."""

import numpy as np
import pytest

from hemiface.data.people_answers import OUTSIDE, read_answers
from hemiface.data.stimulus_set import LEFT_OUT, WRONG, Stimulus, StimulusSet
from hemiface.errors import DamagedError, UsageError
from hemiface.tables import csv_sink


def stimulus(name, emotion="happy", file=None, **facts):
    return Stimulus(
        stimulus=name, file=file or f"materials/stimuli/{name}.png", sha256="", kind="part",
        condition="upper", person="anna", picture="a.png", emotion=emotion, **facts,
    )  # fmt: skip


KNOWN = StimulusSet(
    folder="set",
    stimuli=(
        stimulus("a_upper", bubbles=(1, 2), sigma_px=4.0),
        stimulus("b_upper", "fear"),
        stimulus("c_one", file="materials/stimuli/c.png"),
        stimulus("c_two", file="materials/stimuli/c.png"),
    ),
    others={"other": WRONG, "don't know": LEFT_OUT, "": LEFT_OUT},
)


@pytest.fixture
def read(tmp_path):
    def run(*lines, header="participant,stimulus,response", known=KNOWN, **responses):
        path = tmp_path / "answers.csv"
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        return read_answers(path, known, responses)

    return run


def test_answers_are_understood_in_any_case_and_by_their_synonyms(read):
    found = read("1,a_upper,Happy", "1,b_upper, ANGER ", "2,b_upper,Furcht", Furcht="fear").table
    assert found["answer"].tolist() == ["happy", "angry", "fear"]
    assert found["emotion"].tolist() == ["happy", "fear", "fear"]
    assert found["handled"].tolist() == ["counted"] * 3
    assert found["person"].tolist() == ["anna"] * 3
    assert found["bubbles"].tolist() == [(1, 2), (), ()]
    assert found["rt_s"].isna().all()


def test_answers_may_be_exchanged(read):
    for words in ({"happy": "sad", "sad": "happy"}, {"sad": "happy", "happy": "sad"}):
        found = read("1,a_upper,happy", "1,b_upper,sad", **words).table
        assert found["answer"].tolist() == ["sad", "happy"]


def test_what_was_shown_twice_is_told(read):
    lines = ("1,a_upper,happy", "1,b_upper,sad", "2,a_upper,happy")
    assert read(*lines).outside == []
    (said,) = read(*lines, lines[0]).outside
    assert said.startswith("1 of 4 trials show a participant what they were shown before")
    header = "participant,stimulus,response,block"
    assert read("1,a_upper,happy,1", "1,a_upper,happy,2", header=header).outside == []


def test_what_is_no_emotion_becomes_what_the_manifest_declares_and_is_counted(read):
    answered = read("1,a_upper,other", "1,b_upper,Don't know", "2,a_upper,", "2,b_upper,fear")
    assert answered.table["handled"].tolist() == [WRONG, LEFT_OUT, LEFT_OUT, "counted"]
    assert answered.table["said"].tolist() == ["other", "don't know", "no answer", "fear"]
    assert answered.counting["answer"].tolist() == [OUTSIDE, "fear"]
    assert answered.outside == [
        '1 of 4 trials have the answer "don\'t know": they are left out.',
        "1 of 4 trials have no answer: they are left out.",
        "1 of 4 trials have the answer 'other': they count as trials in which the emotion wasn't "
        "named.",
    ]


def test_stimuli_are_known_by_name_or_by_a_file_of_their_own(read):
    names = ["a_upper", "a_upper.png", "materials/stimuli/a_upper.png"]
    found = read(*(f"1,{name},happy" for name in names)).table
    assert found["stimulus"].tolist() == ["a_upper"] * 3
    with pytest.raises(UsageError, match=r"line 2: 'c\.png' is the file of several stimuli"):
        read("1,c.png,happy")
    with pytest.raises(UsageError, match=r"line 3: 'd' is no stimulus of set"):
        read("1,a_upper,happy", "1,d,happy")


def test_times_and_confidence_are_numbers_or_nothing(read):
    header = "participant,stimulus,response,rt_s,confidence,block,extra"
    found = read("1,a_upper,happy,.5,4,2,x", "1,b_upper,fear,,,1,", header=header).table
    np.testing.assert_array_equal(found["rt_s"], [0.5, np.nan])
    np.testing.assert_array_equal(found["confidence"], [4, np.nan])
    assert found["block"].tolist() == ["2", "1"]
    for cell in ("fast", "inf", "1,5"):
        with pytest.raises(
            DamagedError, match=r"line 2: column rt_s holds '.*leave the cell empty"
        ):
            read(f'1,a_upper,happy,"{cell}",4,2,x', header=header)


def test_what_can_not_be_understood_is_named_with_its_line(read):
    with pytest.raises(UsageError, match=r"line 3: response 'Freude' .*--response 'Freude=OURS'"):
        read("1,a_upper,happy", "1,b_upper,Freude")
    with pytest.raises(UsageError, match="--response x=joyful: 'joyful' is neither"):
        read("1,a_upper,x", x="joyful")
    with pytest.raises(UsageError, match="lacks column stimulus, response; it needs participant"):
        read("1,2", header="participant,key")
    with pytest.raises(DamagedError, match="line 3: column participant is empty"):
        read("1,a_upper,happy", " ,b_upper,happy")
    with pytest.raises(UsageError, match="holds no trial"):
        read()


def test_what_a_stimulus_shows_has_to_be_known_where_it_was_answered(read):
    known = StimulusSet("set", (stimulus("a_upper", ""), stimulus("b_upper", "fear")), {})
    assert read("1,b_upper,fear", known=known).table["emotion"].tolist() == ["fear"]
    with pytest.raises(UsageError, match=r"emotion of a\.png isn't known.*--labels"):
        read("1,b_upper,fear", "1,a_upper,happy", known=known)


def test_of_two_columns_of_one_name_none_is_taken(read):
    header = "participant,stimulus,response,response"
    with pytest.raises(UsageError, match="two columns response; leave one of them out"):
        read("1,a_upper,happy,sad", header=header)
    found = read("1,a_upper,happy,x,y", header="participant,stimulus,response,note,note").table
    assert found["answer"].tolist() == ["happy"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            b"participant;stimulus;response;rt_s\n1;a_upper;happy;0,4\n",
            "parted by semicolons; save",
        ),
        (b"participant\tstimulus\tresponse\n1\ta_upper\thappy\n", "parted by tabs; save it as CSV"),
        (
            b"sep=,\nparticipant,stimulus,response\n",
            "begins with 'sep=,', which .* remove this line",
        ),
        (
            "participant,stimulus,response\n".encode("utf-16"),
            "not UTF-8 text; save it as CSV UTF-8",
        ),
        ("participant,stimulus,response\n1,ä,\n".encode("latin-1"), "save it as CSV UTF-8"),
    ],
)
def test_what_spreadsheets_write_is_told_with_how_to_mend_it(tmp_path, text, sentence):
    path = tmp_path / "answers.csv"
    path.write_bytes(text)
    with pytest.raises((UsageError, DamagedError), match=sentence):
        read_answers(path, KNOWN)


def test_lines_are_counted_with_empty_ones_and_those_within_cells(read):
    header = "\nparticipant,stimulus,response,note"
    lines = ["1,a_upper,happy,", "", '1,a_upper,happy,"two\nlines"', " ,,,", "1,b_upper,x,"]
    with pytest.raises(UsageError, match="line 8: response 'x'"):
        read(*lines, header=header)
    assert len(read(*lines[:-1], "", header=header).table) == 2


def test_words_for_answers_are_explained_once_however_their_umlauts_are_written(read):
    apart = "U\u0308berraschung"
    found = read(f"1,a_upper,{apart}", **{"Überraschung": "surprise"}).table
    assert found["answer"].tolist() == ["surprise"]
    with pytest.raises(UsageError, match=r"--response explains .* twice"):
        read("1,a_upper,Angst", Angst="fear", angst="sad")


def test_names_may_stand_as_the_set_s_own_tables_have_them(tmp_path):
    names = ["-x_full", "=cmd_full"]
    known = StimulusSet(tmp_path, tuple(stimulus(one) for one in names))
    rows = [{"participant": 1, "stimulus": one, "response": "happy"} for one in names]
    path = tmp_path / "answers.csv"
    with csv_sink(path, ("participant", "stimulus", "response")) as write:
        write(rows)
    assert "'-x_full" in path.read_text("utf-8")
    assert read_answers(path, known).table["stimulus"].tolist() == names
