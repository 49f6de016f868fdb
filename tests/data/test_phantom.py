import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hemiface.data.images import Images
from hemiface.data.phantom import make as phantom
from hemiface.data.phantom.make import ACTIONS, FACE, TRAITS, Expressiveness
from hemiface.data.phantom.parameters import strengths
from hemiface.errors import HemifaceError, UsageError
from hemiface.occlusion.conditions import condition, hidden_mask
from hemiface.tables import EMOTIONS, SPLITS, check_images, label_indices

EVERY = np.arange(len(EMOTIONS))
SILENCED = ["upper", "lower", "left", "right"]


def one_person(seed, index, expressiveness=Expressiveness(), **options):  # noqa: B008 - frozen
    """The same face in all seven emotions, uint8 [7, 48, 48]."""
    return np.concatenate(
        [
            phantom.render([e], seed, start=index, expressiveness=expressiveness, **options)
            for e in EVERY
        ]
    )


def plain_face(**changes):
    """One straight face of middling traits without noise; `changes` set traits or actions."""
    face = np.zeros(1, FACE)
    for name, (low, high, _) in TRAITS.items():
        face[name] = (low + high) / 2
    for name in ("roll", "yaw", "pitch", "shift_x", "shift_y", "noise", "bald", "beard"):
        face[name] = 0
    face["scale"] = 1
    face["scale_by"] = 1
    for name, value in changes.items():
        if name in ACTIONS:
            face["actions"][:, list(ACTIONS).index(name)] = value
        else:
            face[name] = value
    return face


def greys(**changes):
    return phantom.render_faces(plain_face(**changes))[0].astype(int)


# --- the same seed, the same face -----------------------------------------------------------------


def test_same_seed_same_bytes_and_another_seed_other_faces():
    first, again = phantom.render(EVERY, 3), phantom.render(EVERY, 3)
    assert first.dtype == np.uint8
    assert first.shape == (7, 48, 48)
    assert first.tobytes() == again.tobytes()
    other = phantom.render(EVERY, 4)
    assert all((one != two).mean() > 0.5 for one, two in zip(first, other, strict=True))


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**40),
    labels=st.lists(st.integers(0, 6), min_size=2, max_size=21),
    data=st.data(),
)
def test_a_face_depends_neither_on_how_many_nor_on_which_are_drawn_with_it(seed, labels, data):
    together = phantom.render(labels, seed)
    first = data.draw(st.integers(0, len(labels) - 1))
    last = data.draw(st.integers(first + 1, len(labels)))
    part = phantom.render(labels[first:last], seed, start=first)
    assert np.array_equal(together[first:last], part)


def test_no_faces():
    assert phantom.render([], 0).shape == (0, 48, 48)


def test_person_pose_light_and_noise_do_not_depend_on_the_emotion():
    parameters = [phantom.draw_parameters([e], 5, start=11) for e in EVERY]
    for name in TRAITS:
        assert len({float(one[name][0]) for one in parameters}) == 1, name


# --- what a region may show -----------------------------------------------------------------------


@pytest.mark.parametrize("region", SILENCED)
def test_a_silenced_half_is_the_same_in_every_emotion_and_the_other_half_is_not(region):
    silent = hidden_mask(condition(region), 48, 48)
    for index in range(12):
        faces = one_person(1, index, Expressiveness(**{region: 0}), pose=False, intensity=1)
        assert (faces[:, silent] == faces[0, silent]).all(), f"face {index}"
        assert (faces[:, ~silent] != faces[0, ~silent]).any()


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_no_action_leaves_its_quadrant_whatever_the_face(data):
    extreme = st.sampled_from([0.0, 0.5, 1.0])
    traits = {
        name: low + (high - low) * data.draw(extreme, label=name)
        for name, (low, high, _) in TRAITS.items()
    }
    rest = {"roll": 0, "yaw": 0, "pitch": 0, "shift_x": 0, "shift_y": 0, "scale": 1}
    quadrant = data.draw(st.sampled_from([(0, 0), (0, 1), (1, 0), (1, 1)]))
    still = plain_face(**(traits | rest))
    moved = still.copy()
    moved["actions"] = [data.draw(extreme, label=name) for name in ACTIONS]
    # Everything moves but this quadrant.
    moved["scale_by"][:, quadrant[0], quadrant[1]] = 0
    rows = slice(24 * quadrant[0], 24 * quadrant[0] + 24)
    columns = slice(24 * quadrant[1], 24 * quadrant[1] + 24)
    before, after = phantom.render_faces(still)[0], phantom.render_faces(moved)[0]
    assert np.array_equal(before[rows, columns], after[rows, columns])


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_shows_more_the_stronger_it_is(action):
    still = greys()
    change = [np.abs(greys(**{action: level}) - still).sum() for level in (0.25, 0.5, 1.0)]
    assert 0 < change[0] < change[1] < change[2]


UPPER_ONLY = {"AU1", "AU2", "AU4", "AU5", "AU7"}
BOTH = {"AU6", "AU9"}


@pytest.mark.parametrize("action", ACTIONS)
def test_actions_show_in_the_half_that_facs_puts_them_in(action):
    change = np.abs(greys(**{action: 1.0}) - greys())
    assert (change[:24].sum() > 0) == (action in UPPER_ONLY | BOTH)
    assert (change[24:].sum() > 0) == (action not in UPPER_ONLY)


def test_expressiveness_of_one_emotion_leaves_the_others_alone():
    plain = one_person(2, 4)
    changed = one_person(2, 4, {"happy": Expressiveness(lower=0)})
    differs = [(one != two).any() for one, two in zip(plain, changed, strict=True)]
    assert [EMOTIONS[e] for e in np.flatnonzero(differs)] == ["happy"]


def test_strengths_are_the_action_times_its_quadrant_at_most_1():
    face = plain_face(AU12=0.6)
    face["scale_by"] = Expressiveness(upper=0.5, lower=1, left=2, right=0.5).quadrants()
    drawn = strengths(face)[0, list(ACTIONS).index("AU12")]
    assert drawn == pytest.approx(np.array([[0.6, 0.15], [1.0, 0.3]]))


def test_twice_as_expressive_on_the_left_moves_the_left_more():
    face = plain_face(AU12=0.8, AU6=0.8, AU1=0.8)
    still = phantom.render_faces(plain_face())[0].astype(int)
    face["scale_by"] = Expressiveness(left=1, right=0.5).quadrants()
    change = np.abs(phantom.render_faces(face)[0] - still)
    assert change[:, :24].sum() > 1.4 * change[:, 24:].sum()


@pytest.mark.parametrize("pose", [False, True])
@pytest.mark.parametrize("start", range(0, 28, 7))
def test_mirrored_records_give_the_mirror_image(start, pose):
    faces = phantom.draw_parameters(
        EVERY, 8, start=start, pose=pose, expressiveness=Expressiveness(left=0.3, lower=0.7)
    )
    picture = phantom.render_faces(faces)[:, :, ::-1].astype(int)
    mirrored = phantom.render_faces(phantom.mirrored(faces)).astype(int)
    apart = np.abs(picture - mirrored)
    # OpenCV rounds positions to 1/32 px, which shows at sharp edges of turned faces.
    assert apart.max() <= (8 if pose else 1)
    assert apart.mean() < 0.3
    assert np.abs(picture - phantom.render_faces(faces)).mean() > 5
    assert np.array_equal(phantom.mirrored(phantom.mirrored(faces)), faces)


# --- what actions do ------------------------------------------------------------------------------


def darkest_row(picture, rows, columns):
    """Height of the darkness in a window: the mean row weighted by how dark it is."""
    window = picture[rows, columns]
    weight = (window.max() - window).astype(float) ** 3
    return (weight.sum(axis=1) * np.arange(len(weight))).sum() / weight.sum()


MOUTH = slice(33, 45)
CORNERS = np.r_[15:18, 30:33]


def corner_heights(action):
    levels = (0.0, 0.5, 1.0)
    return [darkest_row(greys(**{action: level}), MOUTH, CORNERS) for level in levels]


def test_au12_lifts_the_lip_corners_and_au15_lowers_them():
    smile, droop = corner_heights("AU12"), corner_heights("AU15")
    assert smile[0] > smile[1] > smile[2]
    assert droop[0] < droop[1] < droop[2]


def test_au26_with_au25_opens_the_mouth():
    dark = [(greys(AU25=level, AU26=level)[34:46, 20:28] < 60).sum() for level in (0.0, 0.5, 1.0)]
    assert dark[0] < dark[1] < dark[2]


def test_au1_and_au2_raise_the_brows_and_au4_lowers_them():
    def brow(columns, **actions):
        face = plain_face(hairline=-19.2, hair_temple=4, **actions)
        return darkest_row(phantom.render_faces(face)[0].astype(int), slice(8, 16), columns)

    inner, outer = np.r_[18:20, 28:30], np.r_[11:14, 34:37]
    assert brow(inner, AU1=1.0) < brow(inner, AU1=0.5) < brow(inner)
    assert brow(outer, AU2=1.0) < brow(outer, AU2=0.5) < brow(outer)
    assert brow(inner, AU4=1.0) > brow(inner)


def test_au5_opens_the_eyes_and_au7_narrows_them():
    def white(**actions):
        face = greys(skin=0.3, iris=0.9, light_y=0, light_x=0, **actions)
        return (face[14:22, np.r_[11:19, 29:37]] > 1.25 * face[24:28, 10:38].mean()).sum()

    assert white(AU5=1.0) > white() > white(AU7=1.0)


def test_prototypes_name_known_actions_and_are_drawn():
    for emotion, variants in phantom.PROTOTYPES.items():
        parameters = phantom.draw_parameters(np.full(300, EMOTIONS.index(emotion)), 0, intensity=1)
        seen = {
            tuple(int(list(ACTIONS)[k][2:]) for k in np.flatnonzero(row > 0.5))
            for row in parameters["actions"]
        }
        assert seen == {tuple(sorted(variant)) for variant in variants}


def test_intensity_is_drawn_or_given():
    drawn = phantom.draw_parameters(np.full(400, 3), 0)["actions"].max(axis=1)
    assert drawn.min() < 0.45
    assert drawn.max() > 0.85
    given_each = phantom.draw_parameters([3, 3], 0, intensity=[0.2, 1.0])["actions"].max(axis=1)
    assert given_each[0] <= 0.2
    assert given_each[1] > 0.6


# --- data sets ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def faces():
    return phantom.make(280, seed=17)


def test_make_gives_every_emotion_in_every_split(faces):
    assert isinstance(faces, Images)
    check_images(faces.table)
    counts = pd.crosstab(faces.table["label"], faces.table["split"])
    assert set(counts.index) == set(EMOTIONS)
    assert (counts[list(SPLITS)] == [28, 4, 8]).all(axis=None)
    assert faces.table["group"].equals(faces.table["image"])
    assert (faces.table["dataset"] == "phantom").all()
    assert faces.table["source"].iloc[17] == "phantom:seed=17#17"
    assert faces.table["source_row"].tolist() == list(range(280))


def test_a_smaller_data_set_is_the_beginning_of_a_larger_one(faces):
    small = phantom.make(100, seed=17)
    assert np.array_equal(small.pixels, faces.pixels[:100])
    pd.testing.assert_frame_equal(small.table, faces.table.iloc[:100])


def test_make_draws_what_render_draws(faces):
    assert np.array_equal(faces.pixels, phantom.render(label_indices(faces.table), 17))


def test_shares_and_splits_are_kept():
    images = phantom.make(400, shares={"happy": 3, "neutral": 1}, splits=(2, 1, 1))
    counts = pd.crosstab(images.table["label"], images.table["split"])
    assert counts.loc["happy"].to_dict() == {"train": 150, "validation": 75, "test": 75}
    assert counts.loc["neutral"].to_dict() == {"train": 50, "validation": 25, "test": 25}


def test_images_remember_how_to_draw_themselves(tmp_path):
    options = {
        "expressiveness": {"sad": Expressiveness(upper=0.2)},
        "shares": {"sad": 1, "angry": 2},
        "noise": 0.5,
        "pose": False,
        "intensity": 0.7,
    }
    phantom.make(90, 6, **options).write(tmp_path)
    test = Images.read(tmp_path).split("test")
    assert np.array_equal(phantom.render_faces(phantom.parameters_of(test)), test.pixels)


def test_write_folder(faces, tmp_path):
    some = faces.subset(np.arange(140, 280))
    out = tmp_path / "deep" / "faces"
    phantom.write_folder(some, out)
    table = pd.read_csv(out / "labels.csv")
    pixels = np.stack([np.asarray(Image.open(out / name)) for name in table["file"]])
    assert np.array_equal(pixels, some.pixels)
    assert table["image"].tolist() == some.table["image"].tolist()
    assert {*TRAITS, *ACTIONS, "upper-left", "index"} <= set(table.columns)
    assert table["index"].tolist() == list(range(140, 280))
    folders = {f"{split}/{emotion}" for split in SPLITS for emotion in EMOTIONS}
    assert {str(path.parent.relative_to(out)) for path in out.rglob("*.png")} == folders
    assert [path.name for path in out.parent.iterdir()] == ["faces"]


def test_write_folder_refuses_what_is_there(faces, tmp_path):
    (tmp_path / "kept.txt").write_text("kept")
    with pytest.raises(UsageError, match="not an empty folder"):
        phantom.write_folder(faces, tmp_path)
    with pytest.raises(UsageError, match="not an empty folder"):
        phantom.write_folder(faces, tmp_path / "kept.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]
    with pytest.raises(HemifaceError, match="can't be written"):
        phantom.write_folder(faces, tmp_path / "kept.txt" / "below")


def test_write_folder_into_an_empty_folder(faces, tmp_path):
    phantom.write_folder(faces.split("test"), tmp_path)
    assert len(list(tmp_path.glob("test/*/*.png"))) == 56


def test_only_rendered_faces_have_parameters(faces):
    info = {key: value for key, value in faces.info.items() if key != "phantom"}
    with pytest.raises(UsageError, match="were not rendered"):
        phantom.parameters_of(Images(faces.table, faces.pixels, info))


# --- wrong usage ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: phantom.render([7], 0), "0 to 6"),
        (lambda: phantom.render([[1]], 0), "0 to 6"),
        (lambda: phantom.render([0.5], 0), "0 to 6"),
        (lambda: phantom.render([1], -1), "must not be negative"),
        (lambda: phantom.render([1], 0, start=-1), "must not be negative"),
        (lambda: phantom.render([1], 1.5), "whole numbers"),
        (lambda: phantom.render([1, 2], 0, start=2**63 - 2), "that of the last face too"),
        (lambda: phantom.render([1], 0, noise=-1), "Noise"),
        (lambda: phantom.render([1], 0, noise=float("nan")), "Noise"),
        (lambda: phantom.render([1], 0, intensity=1.5), "Intensity"),
        (lambda: phantom.render([1, 2], 0, intensity=[0.5]), "Intensity"),
        (lambda: phantom.render([1], 0, intensity=float("nan")), "Intensity"),
        (lambda: phantom.render([1], 0, expressiveness={"joy": Expressiveness()}), "joy"),
        (lambda: Expressiveness(upper=-0.1), "upper=-0.1"),
        (lambda: Expressiveness(left=float("inf")), "left=inf"),
        (lambda: phantom.render_faces(np.zeros(3)), "phantom.FACE"),
        (lambda: phantom.render_faces(plain_face(skin=float("nan"))), "skin"),
        (lambda: phantom.make(0), "0 rendered faces"),
        (lambda: phantom.make(20), "ask for more"),
        (lambda: phantom.make(100, shares={"joy": 1}), "joy"),
        (lambda: phantom.make(100, shares={"happy": 0}), "not all 0"),
        (lambda: phantom.make(100, splits=(0.5, 0.5)), "3 weights"),
        (lambda: phantom.make(100, splits=(1, -1, 1)), "Splits"),
    ],
)
def test_wrong_usage_is_named(call, says):
    with pytest.raises(UsageError, match=re.escape(says)):
        call()


# --- the emotions can be told apart ---------------------------------------------------------------


def test_emotions_can_be_told_apart_and_each_half_tells_part_of_it():
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    images = phantom.make(1260, seed=2, pose=False, noise=0.5)
    labels = label_indices(images.table)
    train = (images.table["split"] != "test").to_numpy()
    # Nine pixels become one: enough for a linear classifier, which shall not learn them by heart.
    small = images.pixels.reshape(-1, 16, 3, 16, 3).mean(axis=(2, 4)) / 255

    def accuracy(rows, of=None):
        features = small[:, rows].reshape(len(small), -1)
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.2)
        right = model.fit(features[train], labels[train]).predict(features[~train])
        asked = labels[~train] == EMOTIONS.index(of) if of else np.ones(len(right), bool)
        return (right == labels[~train])[asked].mean()

    full, upper, lower = slice(0, 16), slice(0, 8), slice(8, 16)
    assert accuracy(full) > 0.55
    assert accuracy(full) > accuracy(upper) > 2 / 7
    assert accuracy(full) > accuracy(lower) > 2 / 7
    assert accuracy(lower, "happy") > accuracy(upper, "happy") + 0.1
