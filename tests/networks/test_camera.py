"""What cameras do, against OpenCV: the same light, blur, pixels and JPEG, drawn for each image."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs hemiface[train]")

import cv2  # noqa: E402

from hemiface.config import AugmentConfig, from_dict  # noqa: E402
from hemiface.data.phantom import make as phantom  # noqa: E402
from hemiface.errors import UsageError  # noqa: E402
from hemiface.networks.camera import as_photographed  # noqa: E402

N = 60
FACES = phantom.render(np.arange(N) % 7, seed=5)


def photographed(faces: np.ndarray = FACES, seed: int = 0, **options: object) -> np.ndarray:
    """The faces under some of the options, as float [n, 48, 48]."""
    draws = torch.Generator().manual_seed(seed)
    images = torch.from_numpy(faces).float()
    return as_photographed(images, AugmentConfig(**options), draws).numpy()  # type: ignore[arg-type]


def shares(seed: int) -> np.ndarray:
    """What the first two draws of N numbers in 0..1 are."""
    draws = torch.Generator().manual_seed(seed)
    return np.stack([torch.rand(N, generator=draws).numpy() for _ in range(2)])


def test_nothing_asked_nothing_drawn() -> None:
    draws = torch.Generator().manual_seed(3)
    before = draws.get_state()
    images = torch.from_numpy(FACES).float()
    assert as_photographed(images, AugmentConfig(), draws) is images
    assert torch.equal(draws.get_state(), before)


def test_each_image_gets_its_own_draw_and_a_seed_repeats_it() -> None:
    same = np.repeat(FACES[:1], N, axis=0)
    options = {"light": 0.4, "repeat_px": 12.0, "blur": 1.0, "compress": 1.0}
    one, again, other = (photographed(same, seed, **options) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    assert len({face.tobytes() for face in one}) == N


def test_light_is_a_slope_through_the_middle() -> None:
    grey = np.full((N, 48, 48), 100, dtype=np.uint8)
    lit = photographed(grey, light=0.4)
    np.testing.assert_allclose(lit + lit[:, ::-1, ::-1], 200, atol=1e-3)
    assert lit.max() <= 100 * (1 + 0.4 * np.sqrt(2)) + 1e-3
    # Each step along a row or a column is as large as every other.
    for axis in (1, 2):
        steps = np.diff(lit, axis=axis)
        assert np.ptp(steps, axis=(1, 2)).max() < 1e-3
    assert np.ptp(lit, axis=(1, 2)).std() > 5


def test_one_side_is_replaced_by_its_repeated_edge() -> None:
    most = 12
    result = photographed(repeat_px=float(most))
    sides = {"top": (1, 0), "bottom": (1, 1), "left": (2, 0), "right": (2, 1), "none": (0, 0)}
    seen = dict.fromkeys(sides, 0)
    for face, found in zip(FACES, result, strict=True):
        if (found == face).all():
            seen["none"] += 1
            continue
        fits = [
            name
            for name, (axis, end) in sides.items()
            if axis
            for depth in range(1, most + 1)
            if (_edge(face, axis - 1, end, depth) == found).all()
        ]
        assert len(set(fits)) == 1, fits
        seen[fits[0]] += 1
    assert 0.3 * N < seen["none"] < 0.75 * N  # half of them, and those of depth 0
    assert min(seen.values()) > 0


def _edge(face: np.ndarray, axis: int, end: int, depth: int) -> np.ndarray:
    """The face cut by `depth` at a side and padded there again, by NumPy."""
    kept = slice(depth, None) if not end else slice(None, 48 - depth)
    cut = face[kept] if axis == 0 else face[:, kept]
    width = [(0, 0), (0, 0)]
    width[axis] = (0, depth) if end else (depth, 0)
    return np.pad(cut, width, mode="edge")


def test_blur_is_opencvs() -> None:
    result = photographed(seed=4, blur=0.5, blur_px=1.5)
    chosen, drawn = shares(4)
    for face, found, one, sigma in zip(FACES, result, chosen < 0.5, 1.5 * drawn, strict=True):
        expected = face.astype(np.float32)
        if one:
            wide = 2 * int(np.ceil(3 * 1.5)) + 1
            expected = cv2.GaussianBlur(
                expected, (wide, wide), max(float(sigma), 0.05), borderType=cv2.BORDER_REPLICATE
            )
        np.testing.assert_allclose(found, expected, atol=0.02)


def test_coarse_pictures_are_shrunk_and_enlarged_as_by_opencv() -> None:
    result = photographed(coarsen=0.5)
    np.testing.assert_array_equal(result[N // 2 :], FACES[N // 2 :])
    each = N // 2 // 5
    for place, side in enumerate((16, 20, 24, 32, 40)):
        for index in range(place * each, (place + 1) * each):
            face = FACES[index].astype(np.float32)
            small = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
            expected = cv2.resize(small, (48, 48), interpolation=cv2.INTER_LINEAR)
            if 48 % side == 0:
                np.testing.assert_allclose(result[index], expected, atol=0.05)
            else:  # PyTorch's areas are whole pixels, OpenCV's parts of them
                error = np.abs(result[index] - expected).mean()
                assert error < 0.6 * np.abs(face - face.mean()).mean()
                assert np.corrcoef(result[index].ravel(), expected.ravel())[0, 1] > 0.98


@pytest.mark.parametrize("quality", [10, 35, 75, 95])
def test_compression_is_libjpegs(quality: int) -> None:
    result = photographed(compress=1.0, compress_quality=(float(quality), float(quality)))
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality]
    expected = np.stack(
        [cv2.imdecode(cv2.imencode(".jpg", face, flags)[1], cv2.IMREAD_GRAYSCALE) for face in FACES]
    )
    # Rounded either way, a wave halfway between two steps changes its whole block.
    apart = np.abs(result - expected)
    assert (apart <= 1).mean() > 0.9
    assert apart.mean() < 0.25 * np.abs(FACES - expected.astype(float)).mean()
    assert (result != FACES).mean() > 0.3


def test_a_share_is_compressed_and_other_sizes_are_left_alone() -> None:
    result = photographed(seed=2, compress=0.4, compress_quality=(30.0, 40.0))
    changed = (result != FACES).any((1, 2))
    np.testing.assert_array_equal(changed, shares(2)[0] < 0.4)
    odd = torch.zeros(2, 44, 44) + 17
    options = AugmentConfig(compress=1.0)
    assert as_photographed(odd, options, torch.Generator()) is odd


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"repeat_px": 30.0}, "augment.repeat_px must be less than half of 48"),
        ({"blur_px": 0.0}, r"augment.blur_px must lie in \(0, 6\]"),
        ({"compress_quality": [90.0, 30.0]}, "augment.compress_quality must rise in 1..100"),
        ({"coarsen": 1.5}, r"augment.coarsen must lie in \[0, 1\]"),
    ],
)
def test_what_makes_no_sense_is_refused(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        from_dict({"augment": values})
