"""Changed files cost a sentence: a short seeded pass over every kind, and what was found before."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="Bundles and checkpoints need hemiface[train]")
pytest.importorskip("onnx", reason="making a model needs hemiface[export]")
pytest.importorskip("av", reason="videos need hemiface[video]")

import fuzz
from fuzz import KINDS
from fuzz_targets import AcceptedError, Target
from hemiface.data.images import PIXELS_FILE, Images
from hemiface.errors import DamagedError, HemifaceError
from hemiface.models.onnx_file import METADATA_KEY, OnnxModel
from hemiface.models.visible_tiles import VisibleTiles
from mutations import mutated

INPUTS = {"csv": 2, "folders": 2, "bundles-bare": 3}
"""Of the kinds whose readers are several or slow; eight of the others."""


@pytest.mark.filterwarnings("ignore")  # as the worker does
@pytest.mark.parametrize("kind", KINDS)
def test_a_short_pass(kind, tmp_path):
    target = KINDS[kind](tmp_path)
    for whole in target.seeds:
        target.look(whole)
    for number in range(INPUTS.get(kind, 8)):
        place, content = mutated(target.seeds, target.words, f"suite/{kind}/{number}")
        word, note = fuzz._answer(target, content, changed=content != target.seeds[place])
        assert word in ("taken", "refused"), f"{kind} {number}: {word}, {note}"


@given(key=st.text(max_size=4), seeds=st.lists(st.binary(max_size=40), min_size=1, max_size=3))
def test_the_same_key_changes_alike(key, seeds):
    words = (b"word", b"")
    number, content = mutated(seeds, words, key)
    assert (number, content) == mutated(seeds, words, key)
    assert 0 <= number < len(seeds)


class TestHarness:
    """What nobody may do is told apart, and the worker's death is one of them."""

    @pytest.mark.parametrize(
        ("error", "sealed", "word"),
        [
            (None, False, "taken"),
            (None, True, "damage_taken"),
            (DamagedError("x"), True, "refused"),
            (AcceptedError("rows"), False, "damage_taken"),
            (KeyError("x"), False, "tracebacks"),
            (RecursionError(), True, "tracebacks"),
        ],
    )
    def test_answers(self, error, sealed, word):
        def look(_: bytes) -> None:
            if error is not None:
                raise error

        target = Target([b"whole"], look, (b"x",), is_sealed=sealed)
        assert fuzz._answer(target, b"changed", changed=True)[0] == word

    def test_a_worker_counts_and_writes_what_it_finds(self, tmp_path, monkeypatch):
        tally = fuzz.fuzz("journals", range(5), 0, tmp_path / "found")
        assert (tally.inputs, tally.taken + tally.refused, tally.found) == (5, 5, 0)
        assert not (tmp_path / "found").exists()
        lost = [(0, "refused", ""), (1, "signals", "SIGSEGV")]
        answers = iter([lost, [(2, "taken", "")]])
        monkeypatch.setattr(fuzz, "_answers", lambda *_: iter(next(answers)))
        tally = fuzz.fuzz("journals", range(3), 0, tmp_path / "found")
        assert (tally.refused, tally.signals, tally.taken) == (1, 1, 1)
        assert tally.notes == ["1: signals, SIGSEGV"]
        found = tmp_path / "found" / "journals-0-1.bin"
        assert found.read_bytes() == fuzz._input("journals", 0, 1)


class TestFound:
    """Inputs that fuzzing found, each made here."""

    @pytest.mark.parametrize("header", ["{'descr': '|u1', (", "{'shape': (7, 48, '''", "(" * 300])
    def test_a_header_of_pixels_that_is_no_python(self, tmp_path, header):
        target = KINDS["pixels"](tmp_path)
        start = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little")
        text = header.encode().ljust(117)[:117] + b"\n"
        (tmp_path / PIXELS_FILE).write_bytes(start + text + target.seeds[0][128:])
        with pytest.raises(DamagedError, match=r"pixels\.npy can't be read"):
            Images.read(tmp_path)

    def test_a_header_of_pixels_that_promises_terabytes(self, tmp_path):
        whole = KINDS["pixels"](tmp_path).seeds[0]
        changed = whole.replace(b"(7, 48, 48), }" + 14 * b" ", b"(9999999999, 48, 48), }     ", 1)
        assert len(changed) == len(whole)
        assert changed != whole
        (tmp_path / PIXELS_FILE).write_bytes(changed)
        for mapped in (None, "r"):
            with pytest.raises(DamagedError, match=r"pixels\.npy can't be read"):
                Images.read(tmp_path, mmap_mode=mapped)

    @pytest.mark.parametrize("spoilt", [METADATA_KEY.encode(), b'"licence"', b"logits"])
    def test_words_of_a_network_that_are_not_utf_8(self, tmp_path, spoilt):
        whole = KINDS["onnx-bare"](tmp_path).seeds[0]
        path = tmp_path / "face.onnx"
        path.write_bytes(whole.replace(spoilt, b"\xff" * len(spoilt)))
        for kind in (OnnxModel, VisibleTiles):
            with pytest.raises(HemifaceError, match=r"face\.onnx"):
                kind.load(path)

    def test_what_is_whole_stays_readable(self, tmp_path):
        KINDS["pixels"](tmp_path)
        for mapped in (None, "r", "c"):
            pixels = Images.read(tmp_path, mmap_mode=mapped).pixels
            assert isinstance(pixels, np.memmap) == (mapped is not None)
