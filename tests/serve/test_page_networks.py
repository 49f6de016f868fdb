"""CenterFace for browsers, beside OpenCV on pictures of several sizes."""

import cv2
import numpy as np
import pytest

pytest.importorskip("onnx", reason="networks are made for browsers with the library onnx")

import onnx
import onnxruntime

from hemiface.serve.page_networks import face_networks as made_networks
from hemiface.serve.page_networks import of_any_size
from hemiface.vision.finding import assets

pytestmark = pytest.mark.usefixtures("face_networks")
MAPS = ("537", "538", "539", "540")


def test_centerface_gives_opencvs_maps_at_every_size():
    content = assets.path_of("centerface").read_bytes()
    session = onnxruntime.InferenceSession(of_any_size(content).SerializeToString())
    random = np.random.default_rng(0)
    for height, width in ((32, 32), (160, 96), (96, 160)):
        picture = random.integers(0, 256, (1, 3, height, width)).astype(np.float32)
        # OpenCV 4 is wrong at any other size than the first that a network has seen.
        network = cv2.dnn.readNetFromONNX(np.frombuffer(content, dtype=np.uint8))
        network.setInput(picture)
        expected = network.forward(MAPS)
        found = session.run(MAPS, {session.get_inputs()[0].name: picture})
        for one, other in zip(expected, found, strict=True):
            assert other.shape[2:] == (height // 4, width // 4)
            np.testing.assert_allclose(other, one, atol=1e-4)


def test_nothing_is_left_in_the_file_that_no_layer_uses():
    made = of_any_size(assets.path_of("centerface").read_bytes())
    used = {name for node in made.graph.node for name in node.input}
    assert {one.name for one in made.graph.initializer} < used
    assert [one.name for one in made.graph.input] == ["input.1"]


def test_every_asset_becomes_the_same_file_each_time():
    made = made_networks()
    assert set(made) == set(assets.ASSETS)
    assert made == made_networks()
    for content in made.values():
        onnx.checker.check_model(onnx.load_model_from_string(content))
