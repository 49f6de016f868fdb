import itertools
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hemiface.cli.audit_tables import print_audit
from hemiface.data.audit import audit
from hemiface.data.duplicates import exact_groups, near_duplicate_groups
from hemiface.data.images import Images
from hemiface.data.readers import load
from hemiface.errors import UsageError

Pixels = npt.NDArray[np.uint8]


def scene(seed: int) -> npt.NDArray[np.float32]:
    """A picture, float32 [72, 72] in 30..220, with about as much at each scale as a photo has."""
    random = np.random.default_rng(seed)
    total = np.zeros((72, 72), dtype=np.float32)
    for sigma_px in (12.0, 6.0, 3.0, 1.5):
        noise = cv2.GaussianBlur(random.normal(size=(72, 72)).astype(np.float32), (0, 0), sigma_px)
        total += noise / noise.std() * sigma_px
    low, high = total.min(), total.max()
    return 30 + 190 * (total - low) / (high - low)


def crop(picture: npt.NDArray[np.float32], top: int, left: int, side: int = 48) -> Pixels:
    part = picture[top : top + side, left : left + side]
    return np.rint(cv2.resize(part, (48, 48), interpolation=cv2.INTER_AREA)).astype(np.uint8)


def watermark(image: Pixels) -> Pixels:
    words = cv2.putText(image.copy(), "stock", (2, 45), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 255)
    return np.asarray(cv2.addWeighted(image, 0.85, words, 0.15, 0), dtype=np.uint8)


CHANGES = {
    "shifted": lambda picture: crop(picture, 15, 9),
    "brightened": lambda picture: crop(0.7 * picture + 60, 12, 12),
    "scaled": lambda picture: crop(picture, 9, 9, 54),
    "mirrored": lambda picture: np.ascontiguousarray(crop(picture, 12, 12)[:, ::-1]),
    "mirrored, shifted, darker": lambda picture: np.ascontiguousarray(
        crop(0.8 * picture, 10, 13)[:, ::-1]
    ),
    "watermarked": lambda picture: watermark(crop(picture, 12, 12)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_found_and_different_pictures_are_not(change: str) -> None:
    scenes = [scene(seed) for seed in range(40)]
    originals = np.stack([crop(one, 12, 12) for one in scenes])
    copies = np.stack([CHANGES[change](one) for one in scenes])
    assert not (originals == copies).all(axis=(1, 2)).any()
    groups = near_duplicate_groups(np.concatenate([originals, copies]))
    assert groups.dtype == np.int64
    np.testing.assert_array_equal(groups, np.tile(np.arange(40), 2))


def test_two_images_alone_are_compared_too() -> None:
    one, other = scene(1), scene(2)
    assert near_duplicate_groups(np.stack([crop(one, 12, 12), crop(one, 14, 11)])).tolist() == [
        0,
        0,
    ]
    assert near_duplicate_groups(np.stack([crop(one, 12, 12), crop(other, 12, 12)])).tolist() == [
        0,
        1,
    ]


def test_a_chain_is_one_group_though_its_ends_share_too_little() -> None:
    chain = np.stack([crop(scene(3), 12, left) for left in (0, 6, 12, 18, 24)])
    assert near_duplicate_groups(chain[[0, 4]]).tolist() == [0, 1]
    assert near_duplicate_groups(chain).tolist() == [0] * 5


def test_the_same_light_on_different_pictures_is_no_duplicate() -> None:
    shadow = np.where(np.arange(72) < 36, 0.0, 180.0).astype(np.float32)
    shadow = cv2.GaussianBlur(np.tile(shadow, (72, 1)), (0, 0), 9)
    lit = [np.clip(shadow + 0.4 * (scene(seed) - 125) + 20, 0, 255) for seed in (8, 9)]
    pixels = np.stack([crop(one.astype(np.float32), 12, 12) for one in lit])
    assert np.corrcoef(*pixels.reshape(2, -1))[0, 1] > 0.92
    assert near_duplicate_groups(pixels).tolist() == [0, 1]


def test_images_without_contrast_group_only_with_exact_copies() -> None:
    pixels = np.stack([np.full((48, 48), grey, np.uint8) for grey in (0, 0, 255, 7, 0)])
    framed = np.zeros((2, 48, 48), np.uint8)
    framed[0, 0, :], framed[1, :, 0] = 255, 200  # contrast, but none in the centre
    groups = near_duplicate_groups(np.concatenate([pixels, framed, crop(scene(6), 12, 12)[None]]))
    assert groups.tolist() == [0, 0, 2, 3, 0, 5, 6, 7]


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_to_compare(n: int) -> None:
    assert near_duplicate_groups(np.zeros((n, 48, 48), np.uint8)).tolist() == [0] * n


@pytest.mark.parametrize(
    "pixels", [np.zeros((2, 48, 48)), np.zeros((2, 48, 47), np.uint8), np.zeros((48, 48), np.uint8)]
)
def test_other_arrays_are_refused(pixels: npt.NDArray[Any]) -> None:
    with pytest.raises(UsageError, match="takes uint8"):
        near_duplicate_groups(pixels)


def test_progress_goes_up_to_100() -> None:
    told: list[tuple[int, int]] = []
    pixels = np.stack([crop(scene(0), 12, 12 + shift) for shift in range(3)])
    near_duplicate_groups(pixels, lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1] == (100, 100)


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(12)))
def test_row_order_changes_nothing_but_the_names(order: list[int]) -> None:
    scenes = [scene(seed) for seed in range(5)]
    pixels = np.stack(
        [crop(one, 12, 12) for one in scenes]
        + [crop(scenes[0], 14, 12), crop(scenes[0], 12, 12), crop(scenes[1], 9, 9, 54)]
        + [crop(scenes[2], 12, 12)[:, ::-1], np.zeros((48, 48)), np.zeros((48, 48))]
        + [crop(scenes[3], 10, 10)]
    ).astype(np.uint8)
    expected = np.array([0, 1, 2, 3, 4, 0, 0, 1, 2, 9, 9, 3])[order]
    groups = near_duplicate_groups(pixels[order])
    first = [int(np.flatnonzero(expected == name)[0]) for name in expected]
    assert groups.tolist() == first


@given(st.lists(st.integers(0, 3), max_size=20))
def test_exact_groups_name_the_first_copy(kinds: list[int]) -> None:
    pixels = np.array(kinds, dtype=np.uint8).reshape(-1, 1, 1) * np.ones((1, 4, 4), np.uint8)
    assert exact_groups(pixels).tolist() == [kinds.index(kind) for kind in kinds]


def pairs(groups: npt.NDArray[np.int64]) -> set[tuple[int, int]]:
    members = pd.Series(range(len(groups))).groupby(groups).apply(list)
    return {pair for group in members for pair in itertools.combinations(group, 2)}


@pytest.fixture(scope="module")
def fer2013(shared_data: Path) -> Images:
    return load(shared_data / "fer2013")


@pytest.mark.data
def test_real_groups_agree_with_the_reference(shared_data: Path, fer2013: Images) -> None:
    """1,500 rows around 250 known groups; another program with another search made these."""
    reference = pd.read_csv(shared_data / "fer2013" / "fer2013_labels.csv")["near_group"].to_numpy()
    random = np.random.default_rng(0)
    names, sizes = np.unique(reference, return_counts=True)
    chosen = random.choice(names[(sizes > 1) & (sizes < 10)], 250, replace=False)
    rows = np.flatnonzero(np.isin(reference, chosen))
    single = random.choice(names[sizes == 1], 1500 - len(rows), replace=False)
    rows = np.sort(np.concatenate([rows, single]))
    ours = pairs(near_duplicate_groups(fer2013.pixels[rows]))
    theirs = pairs(reference[rows])
    shared = len(ours & theirs)
    assert shared / len(ours) > 0.95
    assert shared / len(theirs) > 0.95


@pytest.mark.data
def test_counts_of_fer2013_are_the_published_ones(shared_data: Path, fer2013: Images) -> None:
    """The counts in the data's README, found by another program; near groups are given."""
    labels = pd.read_csv(shared_data / "fer2013" / "fer2013_labels.csv")
    found = audit(fer2013, labels["near_group"])
    counts = found["counts"]
    assert [counts[split]["total"] for split in counts] == [28709, 3589, 3589, 35887]
    assert list(counts["train"].values())[:7] == [3995, 436, 4097, 7215, 4830, 3171, 4965]
    assert list(counts["test"].values())[:7] == [491, 55, 528, 879, 594, 416, 626]
    exact, near = found["exact"], found["near"]
    keys = ("distinct", "surplus", "groups", "images_in_groups", "conflicting_groups")
    assert [exact[key] for key in keys] == [34034, 1853, 1516, 3369, 57]
    assert exact["conflicting_images"] == 160
    assert [item["images"] for item in exact["across"][:3]] == [280, 288, 44]
    assert [near[key] for key in ("distinct", "surplus", "images_in_groups")] == [29912, 5975, 9471]
    assert [near["largest"], near["conflicting_groups"], near["conflicting_images"]] == [
        29,
        432,
        1739,
    ]
    assert [near["across"][k]["images"] for k in (0, 1, 3)] == [877, 873, 931]
    assert found["leak_free"] == {"images": 2658, "share": 2658 / 3589}
    assert found["constant"]["images"] == 12


def small() -> Images:
    """Eight images: a copy train-test with another label, one inside train, a near one, a flat."""
    a, b, c, d = (crop(scene(seed), 12, 12) for seed in range(4))
    near_c = crop(scene(2), 13, 12)
    pixels = np.stack([a, b, b, c, a, near_c, d, np.full((48, 48), 9, np.uint8)])
    return Images.build(
        pixels,
        labels=["happy", "sad", "sad", "fear", "neutral", "fear", "angry", "sad"],
        splits=["train"] * 4 + ["test"] * 2 + ["validation", "test"],
        dataset="made",
        sources=[f"train/x[{k}].png" for k in range(8)],
        info={"source": "made[1]", "skipped": ["x.png has two faces."]},
    )


def test_small_audit_by_hand() -> None:
    found = audit(small())
    assert json.loads(json.dumps(found)) == found
    assert found["counts"]["all"]["sad"] == 3
    assert found["counts"]["test"]["total"] == 3
    exact, near = found["exact"], found["near"]
    assert (exact["distinct"], exact["groups"], exact["surplus"]) == (6, 2, 2)
    assert (near["distinct"], near["groups"], near["surplus"]) == (5, 3, 3)
    assert exact["surplus_within"] == {"train": 1, "validation": 0, "test": 0}
    assert [item["images"] for item in exact["across"]] == [0, 1, 0, 1]
    assert [item["images"] for item in near["across"]] == [0, 2, 0, 2]
    assert near["across"][1]["share"] == 2 / 3
    assert found["leak_free"] == {"images": 1, "share": 1 / 3}
    assert (exact["conflicting_groups"], exact["conflicting_images"]) == (1, 2)
    assert exact["conflicts"] == [
        {
            "images": 2,
            "labels": {"happy": 1, "neutral": 1},
            "sources": ["train/x[0].png (train, happy)", "train/x[4].png (test, neutral)"],
        }
    ]
    assert found["constant"] == {"images": 1, "sources": ["train/x[7].png (test, sad)"]}
    assert found["skipped"] == ["x.png has two faces."]


def test_known_groups_are_used_instead_of_searching() -> None:
    images = small()
    given_groups = audit(images, groups=["a", "b", "b", "a", "a", "a", "c", "d"])
    assert given_groups["near"]["largest"] == 4
    alone = images.table.assign(group=images.table["image"])
    prepared = Images(alone, images.pixels, {**images.info, "near_duplicates": True})
    assert audit(prepared)["near"]["distinct"] == 8
    with pytest.raises(UsageError, match="3 groups were given for 8 images"):
        audit(images, groups=[1, 2, 3])


def test_audit_without_a_test_split_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    images = small().split("train")
    found = audit(images)
    assert found["leak_free"] == {"images": 0, "share": None}
    print_audit(found)
    assert "no images" in capsys.readouterr().out


def words_of(table: str) -> str:
    """What a table says, without its lines."""
    return " ".join(re.sub("[│┃]", " ", table).split())


def test_tables_say_what_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    print_audit(audit(small()))
    text = words_of(capsys.readouterr().out)
    for line in (
        "Images: 8 in made[1]",
        "test images with a copy in train 1 (33.3 %) 2 (66.7 %)",
        "groups with conflicting labels 1 1",
        "leak-free test images: no copy in train or validation 1 (33.3 %)",
        "2 identical 1 happy, 1 neutral train/x[0].png (train, happy)",
        "constant (all pixels equal) 1 train/x[7].png (test, sad)",
        "left out while reading 1 x.png has two faces.",
    ):
        assert line in text, line


def test_clean_data_need_no_table_of_problems(capsys: pytest.CaptureFixture[str]) -> None:
    images = small().subset([0, 1, 3, 6])
    clean = Images(images.table, images.pixels, {**images.info, "skipped": []})
    print_audit(audit(clean))
    text = capsys.readouterr().out
    assert "Duplicates" in text
    assert "Groups with conflicting labels" not in text
    assert "Images to look at" not in text
