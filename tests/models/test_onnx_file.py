"""Models without torch: the same answers from every thread, and one sentence for a bad file."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import flipped, grey_faces
from hemiface.errors import DamagedError, UsageError
from hemiface.models import onnx_file as onnx_model
from hemiface.models.onnx_file import METADATA_KEY, OnnxModel
from hemiface.tables import EMOTIONS

ROUNDING = 2e-5  # single precision, summed in another order


@pytest.fixture(scope="module", params=["fp32", "fp16", "int8"])
def model(request, exported):
    return OnnxModel.load(getattr(exported, request.param))


@pytest.fixture(scope="module")
def whole(exported) -> bytes:
    return exported.fp32.read_bytes()


def with_header(source, target, change):
    """Write `source` under `target` with its header passed through `change`."""
    graph = onnx.load(source)
    header = json.loads(graph.metadata_props[0].value)
    change(header)
    onnx.helper.set_model_props(graph, {METADATA_KEY: json.dumps(header)})
    onnx.save(graph, target)
    return target


def test_no_flipped_byte_changes_an_answer(whole, tmp_path):
    path = tmp_path / "spoilt.onnx"
    for spoilt in flipped(whole, 20):
        path.write_bytes(spoilt)
        with pytest.raises(DamagedError, match=r"spoilt\.onnx was damaged or changed"):
            OnnxModel.load(path)


class TestPredict:
    @given(n=st.integers(0, 9), batch_size=st.integers(1, 10), seed=st.integers(0, 99))
    @settings(max_examples=15)
    def test_batches_do_not_matter(self, model, n, batch_size, seed):
        faces = grey_faces(n, seed)
        together = model.predict(faces, batch_size)
        assert together.dtype == np.float32
        assert together.shape == (n, 7)
        np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-5)
        for face, values in zip(faces, together, strict=True):
            np.testing.assert_allclose(model.predict(face[None])[0], values, atol=ROUNDING)

    def test_views_are_read_as_they_are_shown(self, model):
        faces = grey_faces(6)
        for view in (faces[:, :, ::-1], faces[::2], faces.transpose(0, 2, 1)):
            np.testing.assert_array_equal(model.predict(view), model.predict(view.copy()))

    def test_eight_threads_get_the_same_answers(self, model):
        batches = [grey_faces(1 + seed % 4, seed) for seed in range(24)]
        expected = [model.predict(batch) for batch in batches]
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(model.predict, batches * 2))
        for one, other in zip(found, expected * 2, strict=True):
            np.testing.assert_array_equal(one, other)

    def test_threads_inside_do_not_change_the_answers(self, model):
        faces = grey_faces(20)
        two = OnnxModel.load(model.path, threads=2)
        np.testing.assert_allclose(two.predict(faces), model.predict(faces), atol=ROUNDING)

    @pytest.mark.parametrize(
        "faces",
        [
            np.zeros((2, 48, 48), np.float32),
            np.zeros((48, 48), np.uint8),
            np.zeros((2, 48, 47), np.uint8),
            np.zeros((2, 48, 48, 1), np.uint8),
        ],
    )
    def test_other_arrays_are_refused(self, model, faces):
        with pytest.raises(UsageError, match=r"predict\(\) takes uint8 \[n, 48, 48\], got"):
            model.predict(faces)

    def test_lists_are_refused(self, model):
        with pytest.raises(UsageError, match=r"takes an array uint8 \[n, 48, 48\], got list"):
            model.predict([[0]])

    @pytest.mark.parametrize("batch_size", [0, -1])
    def test_batches_of_no_size_are_refused(self, model, batch_size):
        with pytest.raises(UsageError, match=f"at least 1, got {batch_size}"):
            model.predict(np.zeros((2, 48, 48), np.uint8), batch_size)

    def test_the_header_is_read_only(self, model):
        assert model.header["emotions"] == list(EMOTIONS)
        with pytest.raises(TypeError):
            model.header["emotions"] = []

    def test_torch_is_not_needed(self, exported):
        program = (
            "import sys, numpy as np\n"
            "sys.modules['torch'] = sys.modules['onnx'] = None\n"
            "from hemiface.models.onnx_file import OnnxModel\n"
            f"model = OnnxModel.load({str(exported.int8)!r})\n"
            "print(model.predict(np.zeros((2, 48, 48), np.uint8)).shape)"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "(2, 7)"


class TestExactProducts:
    def test_the_question_is_the_one_that_it_says(self):
        asked = onnx.load_from_string(onnx_model._PRODUCT)
        (node,) = asked.graph.node
        assert node.op_type == "MatMulInteger"
        np.testing.assert_array_equal(
            onnx.numpy_helper.to_array(asked.graph.initializer[0]), np.full((4, 1), 127)
        )

    @pytest.mark.parametrize("exact", [True, False])
    def test_only_machines_that_run_over_take_the_slow_way(self, exported, monkeypatch, exact):
        chosen = {}

        class Options(onnxruntime.SessionOptions):
            def add_session_config_entry(self, key, value):
                chosen[key] = value
                super().add_session_config_entry(key, value)

        monkeypatch.setattr(onnx_model, "_is_exact", lambda: exact)
        monkeypatch.setattr(onnxruntime, "SessionOptions", Options)
        OnnxModel.load(exported.int8)
        assert chosen["session.x64quantprecision"] == ("0" if exact else "1")

    def test_the_ways_agree_where_the_machine_is_exact(self, exported, monkeypatch):
        if not onnx_model._is_exact():
            pytest.skip("8-bit products run over on this machine")
        faces = grey_faces(8)
        fast = OnnxModel.load(exported.int8).predict(faces)
        monkeypatch.setattr(onnx_model, "_is_exact", lambda: False)
        np.testing.assert_array_equal(OnnxModel.load(exported.int8).predict(faces), fast)


class TestBadFiles:
    def test_a_missing_file(self, tmp_path):
        with pytest.raises(DamagedError, match=r"Model .*a\.onnx doesn't exist; check the path\."):
            OnnxModel.load(tmp_path / "a.onnx")

    @given(share=st.floats(0, 1, exclude_max=True))
    @settings(max_examples=20)
    def test_no_part_of_a_file_passes_for_the_whole(self, tmp_path_factory, whole, share):
        path = tmp_path_factory.mktemp("part") / "part.onnx"
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(DamagedError) as raised:
            OnnxModel.load(path)
        assert "part.onnx" in str(raised.value)
        assert str(raised.value).count("\n") == 0
        path.unlink()

    @pytest.mark.parametrize("content", [b"", b"not a model", bytes(1000), b"\x89PNG\r\n" * 99])
    def test_what_is_no_model(self, tmp_path, content):
        path = tmp_path / "x.onnx"
        path.write_bytes(content)
        with pytest.raises(DamagedError, match=r"x\.onnx"):
            OnnxModel.load(path)

    def test_a_model_of_others(self, exported, tmp_path):
        graph = onnx.load(exported.fp32)
        del graph.metadata_props[:]
        onnx.save(graph, tmp_path / "foreign.onnx")
        with pytest.raises(DamagedError, match="is an ONNX file, but not one of hemiface"):
            OnnxModel.load(tmp_path / "foreign.onnx")

    @pytest.mark.parametrize(
        ("key", "value", "sentence"),
        [
            ("emotions", [*EMOTIONS[1:], EMOTIONS[0]], "is for 48 px and"),
            ("size_px", 64, "is for 64 px"),
            ("format", 2, "has format 2, this hemiface reads 1"),
            ("precision", "int4", "lacks a valid precision"),
            ("scores", None, "lacks a valid scores"),
            ("provenance", "mine", "lacks a valid provenance"),
        ],
    )
    def test_another_header(self, exported, tmp_path, key, value, sentence):
        path = with_header(
            exported.fp32, tmp_path / "h.onnx", lambda header: header.update({key: value})
        )
        with pytest.raises(DamagedError, match=sentence):
            OnnxModel.load(path)

    def test_another_graph_under_our_header(self, exported, tmp_path):
        graph = onnx.load(exported.fp32)
        del graph.graph.output[1]
        del graph.metadata_props[1:]  # the seal
        onnx.save(graph, tmp_path / "g.onnx")
        with pytest.raises(DamagedError, match="is not one that hemiface exports"):
            OnnxModel.load(tmp_path / "g.onnx")

    def test_bytes_that_are_no_text_are_quoted_by_onnx_runtime_alone(self, exported, tmp_path):
        graph = onnx.load(exported.fp32)
        del graph.metadata_props[1:]
        content = graph.SerializeToString()
        assert b"Softmax" in content
        (tmp_path / "b.onnx").write_bytes(content.replace(b"Softmax", b"Softm\xffx"))
        with pytest.raises(DamagedError, match=r"b\.onnx is not a whole ONNX model"):
            OnnxModel.load(tmp_path / "b.onnx")

    def test_no_threads(self, exported):
        with pytest.raises(UsageError, match="threads must be at least 1, got 0"):
            OnnxModel.load(exported.fp32, threads=0)
