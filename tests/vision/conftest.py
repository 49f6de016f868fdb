"""What several tests of this room look at."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from builders import linear_model
from hemiface.data.phantom import make as phantom


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """An ONNX file as `hemiface export` writes it, whose network is one random linear layer."""
    return linear_model(tmp_path_factory.mktemp("model") / "linear.onnx")


@pytest.fixture
def crops(tmp_path) -> Path:
    """Twelve rendered crops as files, among them two that are broken."""
    folder = tmp_path / "crops mit Ä"
    folder.mkdir()
    for index, face in enumerate(phantom.render(np.arange(10) % 7, seed=0)):
        Image.fromarray(face).save(folder / f"{index:02}.png")
    (folder / "broken.jpg").write_text("no picture")
    (folder / "empty.png").touch()
    return folder
