"""Whatever lies in a file of JSON or TOML is a plain value or one sentence."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hemiface.documents import entry, json_value, read_json, read_text, toml_value, undamaged
from hemiface.errors import DamagedError, UsageError

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)

HOSTILE = {
    "deep": ("[" * 100_000, "nested too deeply"),
    "deep objects": ('{"a":' * 5000 + "1" + "}" * 5000, "nested too deeply"),
    "deeper than anything of ours": ("[" * 66 + "]" * 66, "nested too deeply"),
    "NaN": ('{"a": NaN}', "NaN, which is no number"),
    "infinity": ("[-Infinity]", "-Infinity, which is no number"),
    "overflow": ("[1e999]", "inf, which is no number"),
    "digits": ("[" + "9" * 5000 + "]", "4300 digits|beyond 64 bits"),
    "large": (f"[{2**64}]", "beyond 64 bits"),
    "half a character": (r'{"\ud800": 1}', "half a character"),
    "not UTF-8": (b'{"a": "\xff"}', "byte 7 is not UTF-8"),
    "UTF-16": ("{}".encode("utf-16"), "byte 0 is not UTF-8"),
    "cut": ('{"a": ', "Expecting value"),
    "empty": (b"", "Expecting value"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_json_is_a_sentence(name):
    text, said = HOSTILE[name]
    with pytest.raises(ValueError, match=said):
        json_value(text)


@given(value=PLAIN)
def test_plain_values_come_back(value):
    try:
        text = json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return
    assert json_value(text) == value
    assert json_value(b"\xef\xbb\xbf" + text) == value


@given(text=st.binary(max_size=30))
def test_any_bytes_are_a_value_or_a_value_error(text):
    for reader in (json_value, toml_value):
        try:
            value = reader(text)
        except ValueError as error:
            assert str(error)  # noqa: PT017
        else:
            json.dumps(value, allow_nan=False, default=str).encode()


@pytest.mark.parametrize("text", ["a = nan", "a = -inf", "a = " + 5000 * "[", f"a = {2**64}",
                                  b"a = '\xff'", "a"])  # fmt: skip
def test_hostile_toml_is_a_sentence(text):
    with pytest.raises(ValueError, match=r"."):
        toml_value(text)
    assert toml_value("[a]\nb = 1") == {"a": {"b": 1}}


@pytest.mark.parametrize("part", ["a", '"a b"', "'a'"])
@pytest.mark.parametrize("text", ["{} = 1", "[{}]", "[[ {} ]]", "a = {{ {} = 1 }}"])
def test_a_key_of_many_parts_is_refused_at_once(part, text):
    """tomllib would take hours."""
    for dot in (".", " . "):
        with pytest.raises(ValueError, match="nested too deeply"):
            toml_value(text.format(dot.join([part] * 100_000)))


def test_an_entry_is_of_its_kind():
    content = {"whole": 1, "half": 0.5, "true": True, "text": "a"}
    assert entry(content, "whole", int) == entry(content, "whole", float) == 1
    assert entry(content, "half", int, float) == 0.5
    assert entry(content, "true", bool) is True
    for key, kind in (("true", int), ("half", int), ("text", dict), ("gone", int)):
        with pytest.raises(ValueError, match=key):
            entry(content, key, kind)
    with pytest.raises(ValueError, match="should stand in an object"):
        entry([], "whole", int)


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (lambda: {}["key"], "it lacks 'key'"),
        (lambda: [].keys(), "of the wrong kind: 'list' object"),
        (lambda: float("x"), "could not convert"),
        (lambda: math.exp(1e9), "of the wrong kind: math range error"),
        (lambda: json_value("[" * 9999), "nested too deeply"),
    ],
)
def test_what_is_wrong_names_the_file_and_the_mend(work, said):
    sentence = rf"x\.json is damaged \(.*{said}.*\); remove it\.$"
    with pytest.raises(DamagedError, match=sentence), undamaged("x.json", "remove it"):
        work()


def test_files(tmp_path):
    path = tmp_path / "x.json"
    said = r"x\.json doesn't exist; check the path"
    with pytest.raises(DamagedError, match=said), undamaged(path, "make it again"):
        read_json(path)
    path.write_bytes(b"\xef\xbb\xbf[1]")
    assert (read_json(path), read_text(path)) == ([1], "[1]")


def test_errors_of_our_own_pass():
    with pytest.raises(UsageError, match="mine"), undamaged("x", "remove it"):
        raise UsageError("mine")
