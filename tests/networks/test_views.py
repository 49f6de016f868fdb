"""Views at test time: against torchvision's TenCrop, by hand, and nothing hidden comes back."""

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from builders import grey_faces, smooth_faces
from hemiface.errors import UsageError
from hemiface.networks.views import five_crops, require_crop, views
from hemiface.occlusion.conditions import condition, hide


def by_torchvision(faces: np.ndarray, crop_px: int, flip: bool) -> np.ndarray:
    """Return float [5 or 10, n, 48, 48] before rounding to grey levels."""
    cut = v2.TenCrop(crop_px) if flip else v2.FiveCrop(crop_px)
    resize = v2.Resize((48, 48), v2.InterpolationMode.BILINEAR, antialias=False)
    return np.stack([resize(one).numpy() for one in cut(torch.from_numpy(faces).float())])


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("crop_px", [25, 40, 43, 45, 47])
def test_crops_are_those_of_torchvision(crop_px, flip):
    faces = grey_faces(3)
    found = np.stack(list(views(faces, flip=flip, crop_px=crop_px)))
    assert found.dtype == np.uint8
    assert found.shape == (10 if flip else 5, 3, 48, 48)
    # OpenCV interpolates 8-bit pixels with weights of 11 bits.
    np.testing.assert_allclose(found, by_torchvision(faces, crop_px, flip), atol=1.5)


def test_the_corners_by_hand():
    face = grey_faces(1)
    corners = [(0, 0), (0, 47), (47, 0), (47, 47)]
    for view, place in zip(list(five_crops(face, 40))[:4], corners, strict=True):
        assert view[(0, *place)] == face[(0, *place)]


def test_without_crops_the_picture_and_its_mirror_image():
    faces = grey_faces(2)
    (one,) = views(faces)
    assert one is faces
    both = list(views(faces, flip=True))
    np.testing.assert_array_equal(both, [faces, faces[:, :, ::-1]])


@pytest.mark.parametrize("key", ["upper", "lower", "left", "right", "diagonal"])
def test_what_is_hidden_stays_hidden(key):
    one, other = smooth_faces(2, seed=1), smooth_faces(2, seed=2)
    mask = hide(np.full_like(one, 255), condition(key)) == 0
    other[~mask] = one[~mask]
    assert (one != other).any()
    for a, b in zip(
        views(hide(one, condition(key)), flip=True, crop_px=40),
        views(hide(other, condition(key)), flip=True, crop_px=40),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("crop_px", [-1, 1, 24, 48, 64])
def test_impossible_crops(crop_px):
    with pytest.raises(UsageError, match=rf"Crops of {crop_px} px can't be made; choose 25 to 47"):
        require_crop(crop_px)
    with pytest.raises(UsageError):
        list(views(grey_faces(1), crop_px=crop_px))
