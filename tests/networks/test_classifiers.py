"""Classifiers: a Bundle and an ONNX file answer alike and say who they are."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs hemiface[train]")

from builders import grey_faces, linear_model, tiny_bundle  # noqa: E402
from hemiface.errors import UsageError  # noqa: E402
from hemiface.files import sha256_file  # noqa: E402
from hemiface.models import shipped  # noqa: E402
from hemiface.networks.classifiers import NetworkClassifier, described, opened  # noqa: E402
from hemiface.networks.network import Bundle  # noqa: E402

CPU = torch.device("cpu")


def test_a_bundle_is_opened_as_its_network(tmp_path):
    path = tiny_bundle(tmp_path / "b.safetensors")
    faces = grey_faces(9)
    with torch.no_grad():
        logits = Bundle.load(path).network()(torch.from_numpy(faces))
    found = opened(path, CPU).predict(faces, batch_size=4)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, logits.softmax(1).numpy(), atol=1e-6)
    assert opened(path, CPU).predict(faces[:0]).shape == (0, 7)


def test_views_of_faces_are_read_as_they_are_shown(tmp_path):
    classifier = NetworkClassifier(Bundle.load(tiny_bundle(tmp_path / "b.safetensors")).network())
    faces = grey_faces(6)
    for view in (faces[:, :, ::-1], faces[::2]):
        np.testing.assert_array_equal(classifier.predict(view), classifier.predict(view.copy()))


def test_an_onnx_file_is_opened_by_onnx_runtime(tmp_path):
    for name in ("a.onnx", "b.ONNX"):
        found = opened(linear_model(tmp_path / name), CPU).predict(grey_faces(3))
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def test_what_is_said_of_each(tmp_path):
    known = {"model_id": "any-seed4", "name": "any", "seed": 4, "conditions": ["upper", "lower"],
             "flips": False, "data_sha256": "d", "epoch": 7}  # fmt: skip
    bundle = tiny_bundle(tmp_path / "b.safetensors", **known)
    onnx = linear_model(tmp_path / "c.onnx", provenance=known, precision="int8")
    first, second = described([bundle, onnx])
    assert first["model"] == "any-seed4"
    assert second["model"] == "any-int8-seed4"
    for row, path in ((first, bundle), (second, onnx)):
        assert row["trained_on"] == "upper, lower"
        assert (row["flips"], row["epoch"], row["data_hash"]) == (False, 7, "d")
        assert row["sha256"] == sha256_file(path)


def test_what_comes_along_bears_the_name_that_users_know():
    names = [one.name for one in shipped.list_models() if one.kind == "emotion"]
    models = described([shipped.path_of(name) for name in names])
    assert [one["name"] for one in models] == names
    assert [one["model"] for one in models] == [f"{name}-seed{one['seed']}" for name, one in
                                               zip(names, models, strict=True)]  # fmt: skip


def test_two_of_one_name(tmp_path):
    paths = [
        tiny_bundle(tmp_path / f"{name}.safetensors", seed=seed, model_id="full-seed0")
        for seed, name in enumerate("ab")
    ]
    with pytest.raises(UsageError, match=r"b.safetensors are both called full-seed0; .*--name"):
        described(paths)
    rows = described(paths, ["wide", "deep"])
    assert [(one["model"], one["name"]) for one in rows] == [
        ("wide-seed0", "wide"), ("deep-seed1", "deep"),
    ]  # fmt: skip
    for names in (["wide"], ["wide", " "]):
        with pytest.raises(UsageError, match="give --name once for each"):
            described(paths, names)
    with pytest.raises(UsageError, match=r"a.safetensors are the same network; leave one"):
        described([paths[0], paths[0]])
