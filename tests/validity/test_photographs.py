"""Scores on labelled photographs: counted by hand, by scikit-learn, and resampled by persons."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, recall_score

import photographs
from hemiface.data.phantom import make as phantom
from hemiface.errors import DamagedError
from hemiface.models import shipped
from hemiface.models.class_mix import NATURAL, Mix
from hemiface.models.onnx_file import OnnxModel
from hemiface.tables import EMOTIONS
from hemiface.vision.predictor import Predictor

N = 400
RANDOM = np.random.default_rng(0)
PHOTOS = pd.DataFrame(
    {
        "image": [f"{i}.jpg" for i in range(N)],
        "label": RANDOM.choice(EMOTIONS, N, p=[0.1, 0.02, 0.08, 0.4, 0.1, 0.1, 0.2]),
        "person": RANDOM.integers(0, 150, N).astype(str),
        "weight": RANDOM.choice([0.5, 1.0, 3.0], N),
    }
)
PREDICTED = np.where(RANDOM.random(N) < 0.7, PHOTOS["label"], RANDOM.choice(EMOTIONS, N))
RIGHT = PHOTOS["label"].to_numpy() == PREDICTED
ANSWERED = RANDOM.random(N) < 0.8


def scored(least: int = 14, photos: pd.DataFrame = PHOTOS) -> dict[str, float]:
    found = photographs.over_draws(RIGHT, ANSWERED, photos, least, 400)
    return photographs.scores(found, photos, least)


def test_scores_are_scikit_learns() -> None:
    row = scored()
    weight = PHOTOS["weight"]
    expected = accuracy_score(PHOTOS["label"], PREDICTED, sample_weight=weight)
    assert row["accuracy"] == pytest.approx(expected)
    recalls = recall_score(PHOTOS["label"], PREDICTED, labels=list(EMOTIONS), average=None)
    counts = PHOTOS["label"].value_counts()
    for name, recall in zip(EMOTIONS, recalls, strict=True):
        assert row[f"recall_{name}"] == pytest.approx(recall)
        assert row[f"n_{name}"] == counts[name]
    enough = [counts[name] >= 14 for name in EMOTIONS]
    assert 0 < row["classes"] == sum(enough) < 7
    assert row["mean_recall"] == pytest.approx(recalls[enough].mean())
    assert row["answered"] == pytest.approx(weight[ANSWERED].sum() / weight.sum())
    expected = accuracy_score(
        PHOTOS["label"][ANSWERED], PREDICTED[ANSWERED], sample_weight=weight[ANSWERED]
    )
    assert row["accuracy_answered"] == pytest.approx(expected)


def test_intervals_hold_the_scores_and_widen_where_persons_come_in_groups() -> None:
    own = scored(photos=PHOTOS.assign(person=PHOTOS["image"], weight=1.0))
    assert own["accuracy_low"] < own["accuracy"] < own["accuracy_high"]
    width = own["accuracy_high"] - own["accuracy_low"]
    share = own["accuracy"]
    assert width == pytest.approx(2 * 1.96 * np.sqrt(share * (1 - share) / N), rel=0.15)
    # A person whose photos are all right or all wrong counts as one.
    rank = np.argsort(np.argsort(RIGHT, kind="stable"), kind="stable")
    together = scored(photos=PHOTOS.assign(person=(rank // 20).astype(str), weight=1.0))
    wider = together["accuracy_high"] - together["accuracy_low"]
    assert wider > 3 * width


def test_differences_are_of_the_same_persons() -> None:
    worse = RIGHT & (RANDOM.random(N) < 0.9)
    parts = {
        name: photographs.over_draws(right, ANSWERED, PHOTOS, 14, 400)
        for name, right in (("a", RIGHT), ("b", worse), ("c", RIGHT))
    }
    found = photographs.paired({("trained", "full"): parts}, "photos", N)
    assert [*zip(found["system"], found["other"], strict=True)] == [
        ("a", "b"), ("a", "c"), ("b", "c"),
    ]  # fmt: skip
    more, none, less = found.to_dict("records")
    weight = PHOTOS["weight"]
    lost = weight[RIGHT & ~worse].sum() / weight.sum()
    assert more["accuracy"] == pytest.approx(lost) == pytest.approx(-less["accuracy"])
    # Photos that both read right, or both wrong, add no width: unpaired it would be far wider.
    assert 0 < more["accuracy_low"] < lost < more["accuracy_high"]
    both = [photographs.scores(parts[one], PHOTOS, 14) for one in "ab"]
    unpaired = np.hypot(*(one["accuracy_high"] - one["accuracy_low"] for one in both))
    assert more["accuracy_high"] - more["accuracy_low"] < 0.7 * unpaired
    assert {none[f"{key}{end}"] for key in photographs.PAIRED for end in ("", "_low", "_high")} == {
        0.0
    }


def test_a_system_is_the_shipped_network_under_each_mix() -> None:
    faces = phantom.render(np.arange(14) % 7, seed=1)
    read = photographs.ours("small").read(faces, "full")
    assert list(read) == ["trained", "balanced", "natural"]
    raw = OnnxModel.load(shipped.path_of("small")).predict(faces)
    # A temperature and no mix change no label.
    np.testing.assert_array_equal(read["trained"].argmax(1), raw.argmax(1))
    odds = read["natural"] / read["balanced"]
    expected = np.array([NATURAL[name] for name in EMOTIONS]) / Mix.of("balanced").shares
    np.testing.assert_allclose(odds / odds[:, :1], [expected / expected[0]] * 14, rtol=1e-4)


def test_answers_are_kept_for_the_same_crops_alone(tmp_path) -> None:
    faces, asked = phantom.render(np.arange(7), seed=2), []

    def read(crops: np.ndarray) -> np.ndarray:
        asked.append(len(crops))
        return np.full((len(crops), 7), crops.mean())

    kept = photographs.Kept(tmp_path)
    first = [kept.of("one", faces, read), kept.of("one", faces[:, :, ::-1][:3], read)]
    again = [kept.of("one", faces, read), kept.of("one", faces[:, :, ::-1][:3], read)]
    assert asked == [7, 3]
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    kept.of("two", faces, read)
    photographs.Kept().of("one", faces, read)
    assert asked == [7, 3, 7, 7]
    assert len(list(tmp_path.iterdir())) == 3


def test_crops_are_kept_for_the_same_files_alone(tmp_path, monkeypatch) -> None:
    asked = []

    def crops(folder, images, _):
        asked.append(folder.name)
        return np.full((len(images), 48, 48), len(asked), np.uint8), np.ones(len(images), bool)

    monkeypatch.setattr(photographs, "crops", crops)
    photos = pd.DataFrame({"image": ["0.png"]})
    options = {}
    for name, content in (("a", b"one"), ("b", b"two")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_bytes(content)
        options[name] = SimpleNamespace(
            folder=tmp_path / name, runs=tmp_path / "runs", detect_by="auto"
        )
    found = [int(photographs._cut(photos, options[one])[0].max()) for one in "abab"]
    assert (found, asked) == ([1, 2, 1, 2], ["a", "b"])


@pytest.mark.parametrize("flip", [False, True])
def test_a_system_answers_as_the_predictor_does(flip: bool) -> None:
    faces = phantom.render(np.arange(7), seed=2)
    system = photographs.ours("nano-int8", flip=flip)
    assert system.name == ("nano-int8 --flip" if flip else "nano-int8")
    predictor = Predictor("nano-int8", no_detect=True, estimate=False, flip=flip)
    expected = [predictor.predict(one).faces[0].probabilities for one in faces]
    np.testing.assert_allclose(system.read(faces, "full")["trained"], expected, atol=1e-5)


def test_labels_that_make_no_sense_are_named(tmp_path) -> None:
    with pytest.raises(DamagedError, match=r"labels.csv doesn't exist"):
        photographs.labelled(tmp_path)
    (tmp_path / "labels.csv").write_text("image,label\na.jpg,happy\n")
    with pytest.raises(DamagedError, match="has no column person"):
        photographs.labelled(tmp_path)
    (tmp_path / "labels.csv").write_text("image,label,person\na.jpg,glad,x\n")
    with pytest.raises(DamagedError, match="'glad' is none of"):
        photographs.labelled(tmp_path)
    for row, blank in ((",happy,x", "image"), ("b.jpg,,x", "label"), ("b.jpg,happy,", "person")):
        (tmp_path / "labels.csv").write_text(f"image,label,person\na.jpg,happy,x\n{row}\n")
        with pytest.raises(DamagedError, match=f"line 3: the {blank} is blank"):
            photographs.labelled(tmp_path)
    (tmp_path / "labels.csv").write_text("image,label,person\na.jpg,happy,x\n")
    assert photographs.labelled(tmp_path)["weight"].tolist() == [1.0]
