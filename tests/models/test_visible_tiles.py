"""The network for visibility in use: tiles to regions and back, files, and the shipped one."""

import numpy as np
import pytest

from hemiface.data.phantom import make as phantom
from hemiface.errors import DamagedError
from hemiface.models import shipped
from hemiface.models.visible_tiles import (
    USUAL_REGIONS,
    VisibleTiles,
    enlarge,
    region_shares,
    tile_shares,
)
from hemiface.occlusion.occluders import wear
from hemiface.vision.predictor import Predictor


class TestTiles:
    def test_shares_and_back(self):
        visible = np.ones((1, 48, 48), dtype=bool)
        visible[0, :4, :2] = False
        tiles = tile_shares(visible)
        assert tiles[0, 0, 0] == 0.5
        assert tiles.sum() == 143.5
        assert (enlarge(tiles)[0, :4, :4] == 0.5).all()
        assert enlarge(tiles).mean() == pytest.approx(visible.mean())

    def test_what_is_unknown_counts_for_nothing(self):
        visible = np.ones((1, 48, 48), dtype=np.float32)
        visible[0, :4, :2] = np.nan  # half of the first tile is known
        visible[0, :4, 2] = 0  # of which half is hidden
        visible[0, :4, 4:7] = np.nan
        tiles = tile_shares(visible)
        assert tiles[0, 0, 0] == 0.5
        assert np.isnan(tiles[0, 0, 1])
        assert np.nansum(tiles) == 142.5

    def test_halves_are_whole_tiles(self):
        for half in ("upper", "lower", "left", "right"):
            tiles = tile_shares(USUAL_REGIONS[half][None])
            assert set(np.unique(tiles)) == {0, 1}

    def test_other_files_are_refused(self, tmp_path):
        with pytest.raises(DamagedError, match="isn't a network for visibility"):
            VisibleTiles.load(shipped.path_of("small"))
        with pytest.raises(DamagedError, match="doesn't exist"):
            VisibleTiles.load(tmp_path / "none.onnx")
        cut = tmp_path / "cut.onnx"
        cut.write_bytes(b"text")
        with pytest.raises(DamagedError):
            VisibleTiles.load(cut)


@pytest.fixture(scope="module")
def network() -> VisibleTiles:
    """The network that comes along."""
    return VisibleTiles.load(shipped.path_of("visibility"))


def mean_shares(tiles: np.ndarray) -> dict[str, float]:
    """The mean visible share of each usual region."""
    return {name: float(share.mean()) for name, share in region_shares(tiles).items()}


class TestShipped:
    def test_is_small_and_says_where_it_comes_from(self, network):
        assert network.path.stat().st_size < 1_000_000
        assert network.header["licence"] == "Apache-2.0"
        assert network.header["provenance"]["source_sha256"]
        assert shipped.verify(["visibility"]) == {"visibility": ""}

    def test_batches_change_nothing(self, network):
        faces = phantom.render(np.arange(5), seed=1)
        assert np.allclose(network.predict(faces), network.predict(faces, batch_size=2), atol=1e-5)

    @pytest.mark.parametrize(
        ("kind", "hidden", "free", "most"),
        [("mask", "mouth", "eyes", 0.5), ("sunglasses", "eyes", "mouth", 0.5),
         ("headset", "eyes", "mouth", 0.5), ("scarf", "lower", "upper", 0.5),
         ("cup", "mouth", "eyes", 0.75)],
    )  # fmt: skip
    def test_drawn_occluders_are_seen(self, network, kind, hidden, free, most):
        """On rendered faces, which the network never saw; the cup is a kind that it never saw."""
        faces = phantom.render(np.arange(21) % 7, seed=2)
        covered, _ = wear(faces, [kind] * 21, np.arange(21))
        shares, bare = (mean_shares(network.predict(one)) for one in (covered, faces))
        assert shares[hidden] < min(most, bare[hidden] - 0.2)
        assert shares[free] > 0.7
        assert bare[hidden] > 0.8

    @pytest.mark.usefixtures("face_networks")
    def test_sunglasses_in_a_photograph(self, shared_data):
        """Real things are noticed less than drawn ones (results/visibility), but noticed."""
        predictor = Predictor(abstain_below=0)
        (man,) = predictor.predict(shared_data / "photos/sunglasses_man.jpg")
        (free,) = predictor.predict(shared_data / "photos/obama_official.jpg")
        seen, bare = man.visibility, free.visibility
        assert seen.sources["eyes"] == bare.sources["eyes"] == "estimated"
        assert seen.shares["eyes"] < min(seen.shares["mouth"], bare.shares["eyes"]) - 0.08
        assert min(bare.shares["eyes"], bare.shares["mouth"]) > 0.8
        assert not man.abstained
        assert not free.abstained
