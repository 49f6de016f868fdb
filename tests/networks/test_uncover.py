"""Uncovered faces: every prediction by hand, chains that are chains, the same parts for all."""

import numpy as np
import pandas as pd
import pytest
import torch

from builders import tiny_bundle, tiny_images
from hemiface.config import StatisticsOptions
from hemiface.errors import UsageError
from hemiface.networks.export import export
from hemiface.networks.network import Bundle
from hemiface.networks.uncover import UncoverOptions, sample_bubbles, sample_chains
from hemiface.occlusion.tiles import TILES, tile_map, unpack
from hemiface.stats.importance.bubbles import bubble_table
from hemiface.stats.importance.tiles import read_samples, tile_maps
from hemiface.tables import EMOTIONS, SAMPLE_COLUMNS, probabilities

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGES = tiny_images(train=4, validation=2, test=7)
TEST = IMAGES.pixels[6:]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("model") / "b.safetensors", name="any")


@pytest.fixture(scope="module")
def network(bundle):
    return Bundle.load(bundle).network()


@pytest.fixture(scope="module")
def chains(bundle, tmp_path_factory):
    """Two chains of every test image: the samples, their file and what was told on the way."""
    told = []
    path = tmp_path_factory.mktemp("chains") / "tiles.parquet"
    options = UncoverOptions(samples=2, on_batch=lambda done, total: told.append((done, total)))
    return sample_chains(bundle, IMAGES, options, out=path), path, told


def predicted(network, faces: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return network(torch.from_numpy(faces)).softmax(1).numpy()


def test_chains_hold_the_prediction_of_exactly_the_visible_tiles(chains, network):
    samples, path, told = chains
    table = samples.table
    assert told[-1] == (7, 7)
    assert len(table) == 7 * 2 * (TILES + 1)
    assert tuple(table.columns) == (*SAMPLE_COLUMNS, "visible")
    rng = np.random.default_rng(0)
    for row in rng.integers(len(table), size=25):
        one = table.iloc[row]
        at = IMAGES.table.index[IMAGES.table["image"] == one["image"]].item()
        seen = unpack(np.array([one["visible"]], np.uint64))[0][tile_map(48, 48)]
        face = np.where(seen, IMAGES.pixels[at], 0).astype(np.uint8)
        found = probabilities(table.iloc[row : row + 1])
        assert found == pytest.approx(predicted(network, face[None]), abs=2e-5)
        assert one["label"] == IMAGES.table["label"][at]
    again = read_samples(path, "visible")
    pd.testing.assert_frame_equal(again.table, table, check_dtype=False)
    assert again.facts["models"][0]["model"] == "full-seed0"

    maps = tile_maps(again, StatisticsOptions(draws=5))
    whole, nothing = predicted(network, TEST), predicted(network, np.zeros_like(TEST))
    labels = [EMOTIONS.index(label) for label in IMAGES.table["label"][6:]]
    gain = (whole - nothing)[np.arange(7), labels].mean()
    assert maps[0].values[0, -1, 0].sum() == pytest.approx(gain, abs=1e-5)


def test_an_exported_file_answers_as_its_network_does(bundle, chains, tmp_path):
    path = tmp_path / "b.onnx"
    export(bundle, path)
    found = sample_chains([bundle, path], IMAGES, UncoverOptions(samples=2))
    table = chains[0].table
    one, exported = found.table.iloc[: len(table)], found.table.iloc[len(table) :]
    pd.testing.assert_frame_equal(one, table, check_dtype=False)
    np.testing.assert_array_equal(exported["visible"], table["visible"])
    assert probabilities(exported) == pytest.approx(probabilities(table), abs=1e-4)
    names = [model["name"] for model in found.facts["models"]]
    assert (set(exported["model"]), names) == ({"any-fp32-seed0"}, ["any", "any-fp32"])


def test_orders_come_in_reversed_pairs_and_belong_to_the_image(bundle, chains):
    table = chains[0].table
    masks = table["visible"].to_numpy(np.uint64).reshape(7, 2, TILES + 1)
    everything = np.uint64(2**TILES - 1)
    np.testing.assert_array_equal(masks[:, 0] ^ masks[:, 1, ::-1], np.full((7, 49), everything))
    assert len({row.tobytes() for row in masks[:, 0]}) == 7
    fewer = sample_chains(bundle, IMAGES, UncoverOptions(limit=3)).table
    assert fewer["image"].nunique() == 3
    known = dict(zip(table["image"].iloc[::98], masks[:, 0], strict=True))
    for image, rows in fewer.groupby("image"):
        np.testing.assert_array_equal(rows["visible"].to_numpy(np.uint64), known[image])
    other = sample_chains(bundle, IMAGES, UncoverOptions(seed=1)).table
    assert (other["visible"].to_numpy() != masks[:, 0].ravel()).any()


def test_apertures_blend_the_face_into_the_fill(bundle, network):
    samples = sample_bubbles(
        bundle, IMAGES, UncoverOptions(samples=3, fill="mean"), bubbles=2, sigma_px=5
    )
    table = samples.table
    assert tuple(table.columns) == (*SAMPLE_COLUMNS, "bubbles")
    assert len(table) == 21
    y, x = np.mgrid[:48, :48]
    for row in (0, 4, 20):
        one = table.iloc[row]
        at = IMAGES.table.index[IMAGES.table["image"] == one["image"]].item()
        away = [(y - int(c) // 48) ** 2 + (x - int(c) % 48) ** 2 for c in one["bubbles"]]
        seen = np.minimum(1, sum(np.exp(-d / 50) for d in away))
        face = np.rint(127 + seen * (IMAGES.pixels[at].astype(float) - 127)).astype(np.uint8)
        found = probabilities(table.iloc[row : row + 1])
        # A pixel may be rounded the other way in single precision.
        assert found == pytest.approx(predicted(network, face[None]), abs=2e-3)
    assert samples.facts["sigma_px"] == 5
    assert len(bubble_table(samples, StatisticsOptions(draws=5))) == 8 * 2 * TILES


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"samples": 0}, "samples and limit must be 1 or more"),
        ({"limit": 0}, "samples and limit must be 1 or more"),
        ({"fill": "pink"}, "the fill one of black"),
        ({"split": "exam"}, "has no exam images"),
    ],
)
def test_wrong_options(bundle, options, sentence):
    with pytest.raises(UsageError, match=sentence):
        sample_chains(bundle, IMAGES, UncoverOptions(**options))


def test_each_kind_has_its_fill(bundle):
    few = IMAGES.subset(np.arange(7))
    told = [
        sample(bundle, few, UncoverOptions(split="test"), **more).facts["fill"]
        for sample, more in ((sample_chains, {}), (sample_bubbles, {"bubbles": 2}))
    ]
    assert told == ["black", "mean"]


def test_wrong_apertures(bundle):
    with pytest.raises(UsageError, match="bubbles and sigma_px must be above 0"):
        sample_bubbles(bundle, IMAGES, bubbles=0)
