"""Planted information: worlds are what they say, and the truth is that of a second reckoning."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, mutual_info_score

import power

pytestmark = pytest.mark.slow

HALVES = ("shapley, whole", "shapley, upper - lower", "shapley, lower / upper")
PARTS = ("unique upper", "unique lower", "redundant", "synergistic")


WHOLE_ACCURACY = power.accuracy.__wrapped__
accuracy = lru_cache(lambda strength: WHOLE_ACCURACY(strength, 20_000))


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(power, "accuracy", accuracy)
    monkeypatch.setattr(power, "_LARGE", 20)
    monkeypatch.setattr(power, "_MANY", 4)
    monkeypatch.setattr(power, "IMAGES", 1500)


def labels_of(n, seed=0):
    return np.random.default_rng(seed).choice(7, n, p=power.shares())


def test_what_is_on_a_side_goes_with_it_to_the_other():
    known = labels_of(300)
    plain, mirrored = power.two_sides(1.9, 1.4, 1.0)(known, np.random.default_rng(1))
    assert np.array_equal(plain["left"], mirrored["right"])
    assert np.array_equal(plain["right"], mirrored["left"])
    assert np.allclose(plain["full"], mirrored["full"])
    better, worse = (
        power.two_sides(1.9, 1.4, one)(known, np.random.default_rng(1))[0] for one in (1.1, 1 / 1.1)
    )
    # The habit reads what lies on the left better, noise and all: what hiding the right leaves.
    assert np.abs(better["right"]).mean() > np.abs(worse["right"]).mean()
    assert np.abs(better["left"]).mean() < np.abs(worse["left"]).mean()


@pytest.mark.parametrize("points", [1.0, -2.0, 4.0])
def test_a_better_half_is_better_by_so_many_points(points):
    first, second = power.stronger(points)
    known = labels_of(200_000, 5)
    random = np.random.default_rng(6)
    prior = np.log(power.shares())
    right = [
        ((power.evidence(known, one, random) + prior).argmax(axis=1) == known).mean()
        for one in (first, second)
    ]
    assert 100 * (right[0] - right[1]) == pytest.approx(points, abs=0.5)


def test_bits_of_an_undisturbed_view_are_its_mutual_information():
    # A view of one of two kinds, told by logits that are exactly right: I(X; Y) has a closed form
    # in the counts, and the best temperature is 1.
    random = np.random.default_rng(3)
    known = labels_of(40_000, 4)
    shown = np.where(random.random(len(known)) < 0.7, known, random.integers(0, 7, len(known)))
    joint = np.zeros((7, 7))
    np.add.at(joint, (shown, known), 1)
    p = (joint / joint.sum(axis=1, keepdims=True))[shown]
    told = power._bits(np.log(p), known)
    assert told.mean() == pytest.approx(mutual_info_score(shown, known) / np.log(2), abs=0.01)
    # From the second library: what is gained over the prior.
    lost = (
        log_loss(known, np.tile(power.shares(), (len(known), 1))) - log_loss(known, p)
    ) / np.log(2)
    assert told.mean() == pytest.approx(lost, abs=2e-3)


@pytest.mark.usefixtures("small")
def test_the_functions_find_what_is_planted():
    worlds = {(name, points): (find, truth) for name, points, find, truth in power.worlds()}
    for world in [("effects", 4.0), ("synergy", 0.0), ("sides, the left read better", -4.0)]:
        find, truth = worlds[world]
        found = find(np.random.default_rng(8), labels_of(12 * power.IMAGES, 9))
        found = found.set_index("quantity")["value"]
        planted = pd.Series(truth())
        assert set(found.index) == set(planted.index)
        # Three networks of other noise than the truth's, and chance of 9,000 images.
        assert found[planted.index].to_numpy() == pytest.approx(planted.to_numpy(), abs=0.05)
    assert set(HALVES + PARTS) == set(worlds["effects", 0.0][1]())


def test_coverage_and_calls_are_counted():
    found = pd.DataFrame(
        {
            "quantity": "upper - lower",
            "value": [0.2, 0.1, -0.3, 0.1],
            "low": [0.1, -0.1, -0.4, 0.02],
            "high": [0.3, 0.3, -0.2, 0.09],
            "p": [0.01, 0.3, 0.01, 0.01],
        }
    )
    row = power.summarise("effects", 2.0, {"upper - lower": 0.1}, found).iloc[0]
    assert (row["coverage"], row["called_right"], row["called_wrong"]) == (0.5, 0.5, 0.25)
    none = power.summarise("redundant", 0.0, {"upper - lower": 0.0}, found).iloc[0]
    assert (none["called_right"], none["called_wrong"]) == (0.0, 0.75)
    assert none["alarm_low"] < 0.75 < none["alarm_high"]
    untested = power.summarise("effects", 2.0, {"upper - lower": 0.1}, found.assign(p=np.nan))
    assert untested[["called_right", "called_wrong"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("quantity", "world"),
    [
        ("shapley, upper - lower", "effects"),
        ("left - right hidden, as shown", "sides, read alike"),
        ("left - right hidden, face", "sides, read alike"),
        ("left - right hidden, face", "sides, the left read better"),
    ],
)
def test_the_page_has_the_numbers_of_the_table(quantity, world):
    folder = Path(power.__file__).parents[1] / "results" / "answer"
    page = (folder / "power.md").read_text(encoding="utf-8")
    table = pd.read_csv(folder / "power.csv")
    rows = table[(table["quantity"] == quantity) & (table["world"] == world)]
    rows = rows.set_index("effect_points")
    none = rows.loc[0]
    ends = f"{100 * none['alarm_low']:.1f}, {100 * none['alarm_high']:.1f}"
    cells = [f"{100 * none['called_wrong']:.1f} % [{ends}]"]
    for points in (1, 2, 4):
        both = 100 * rows.loc[[points, -points], "called_right"]
        cells.append(", ".join(f"{one:.1f}" for one in both) + " %")
    assert " | ".join(cells) in page


def test_curves_show_calls_on_either_side():
    table = pd.DataFrame(
        [["sides, the left read better", points, f"left - right hidden, {part}", 0, 200, 0, 0, 0,
          right, wrong, 0, 0]
         for points, part, right, wrong in [(0, "as shown", 0, 0.99), (-2, "as shown", 0.1, 0.25),
                                            (0, "face", 0, 0.05)]],
        columns=list(power.COLUMNS),
    )  # fmt: skip
    panels = power.power_curves(table).axes
    assert [len(axes.containers) for axes in panels] == [0, 0, 2]
    shown, face = (one[0] for one in panels[2].containers)
    assert shown.get_xdata().tolist() == [-2, 0]
    assert shown.get_ydata() == pytest.approx([35, 99])
    assert face.get_ydata() == pytest.approx([5])


@pytest.mark.usefixtures("small")
def test_it_goes_on_world_by_world(tmp_path, monkeypatch):
    few = list(power.worlds())[7:9]
    monkeypatch.setattr(power, "_LARGE", 1)
    monkeypatch.setattr(power, "worlds", lambda: iter(few))
    arguments = ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out"), "--sets", "2"]
    assert power.main(arguments) == 0
    first = (tmp_path / "out" / "power.csv").read_bytes()
    monkeypatch.setattr(power, "count", None)
    monkeypatch.setattr(power, "worlds", lambda: iter([(*one[:2], None, None) for one in few]))
    assert power.main(arguments) == 0
    assert (tmp_path / "out" / "power.csv").read_bytes() == first
    assert list(pd.read_csv(tmp_path / "out" / "power.csv").columns) == list(power.COLUMNS)
    # Another world at the same place, or other code, is counted anew.
    renamed = [("another", *one[1:]) for one in few]
    monkeypatch.setattr(power, "worlds", lambda: iter(renamed))
    with pytest.raises(TypeError, match="not callable"):
        power.main(arguments)
    monkeypatch.setattr(power, "worlds", lambda: iter(few))
    monkeypatch.setattr("experiment.code_of", lambda _: ["other code"])
    with pytest.raises(TypeError, match="not callable"):
        power.main(arguments)
    assert (tmp_path / "out" / "figures" / "power.svg").is_file()
