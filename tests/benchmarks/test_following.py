"""What following loses: pairs, agreement, changes of number and lateness against small truths."""

import numpy as np

import following as bench


def boxes(*lefts: float) -> np.ndarray:
    """[n, 2, 2] of 10 x 10 px side by side."""
    return np.array([[[x, 0], [x + 10, 10]] for x in lefts], float).reshape(-1, 2, 2)


def test_each_box_has_one_partner_the_best_first():
    assert bench.pairs(boxes(0, 2), boxes(2, 0)) == {0: 1, 1: 0}
    assert bench.pairs(boxes(1), boxes(3, 2)) == {1: 0}
    # 10 x 10 boxes 4 px apart share 60 of 140.
    assert bench.pairs(boxes(4), boxes(0)) == {}
    assert bench.pairs(boxes(3), boxes(0)) == {0: 0}


def test_recall_and_precision_count_all_frames():
    reference = [([0, 1], boxes(0, 50)), ([0, 1], boxes(0, 50)), ([], boxes())]
    found = [([0], boxes(0)), ([0, 1, 2], boxes(0, 50, 90)), ([5], boxes(7))]
    assert bench.agreement(found, reference) == (3 / 4, 3 / 5)
    assert bench.agreement(reference, reference) == (1, 1)


def test_changes_of_number_and_lateness():
    truth = [([7, 8], boxes(0, 50))] * 6
    found = [
        ([0], boxes(0)),
        ([0], boxes(0)),
        ([0, 1], boxes(0, 50)),
        # Missed, then found again under another number.
        ([1], boxes(50)),
        ([3, 1], boxes(0, 50)),
        ([3, 1], boxes(0, 50)),
    ]
    known = bench.followed(found, truth, None)
    assert (known.wanted, known.matched, known.changes) == (12, 9, 1)
    assert sorted(known.late) == [0, 2]


def test_who_was_away_for_longer_than_numbers_are_kept_is_new():
    here, away = ([7], boxes(0)), ([], boxes())
    truth = [here, away, away, here, here]
    found = [([0], boxes(0)), away, away, away, ([1], boxes(0))]
    assert bench.followed(found, truth, 3).changes == 1
    known = bench.followed(found, truth, 2)
    assert (known.changes, known.late) == (0, [0, 1])
    never = bench.followed([away] * 5, truth, 2)
    assert (never.matched, never.late) == (0, [1, 2])


def test_the_camera_stays_on_the_photo_and_shows_faces_where_they_are():
    size = (1200, 500)
    rng = np.random.default_rng(0)
    photo = np.full((size[1], size[0], 3), 90, np.uint8)
    spots = np.array([[[x, y], [x + 40, y + 40]] for x, y in rng.integers(40, 420, (3, 2))], float)
    spots[:, :, 0] += np.array([[0], [300], [650]])
    for (left, top), (right, bottom) in spots.astype(int):
        photo[top:bottom, left:right] = 255
    for view in [*bench.views(size, 250)][::40]:
        assert (view[0] >= -1e-9).all()
        assert (view[1] <= np.array(size) + 1e-9).all()
        frame = bench.seen_through(photo, view)
        placed = bench.in_view(spots, view)
        for box in placed[bench.whole(placed)]:
            (left, top), (right, bottom) = np.rint(box).astype(int)
            assert (frame[top + 2 : bottom - 2, left + 2 : right - 2] == 255).all()
            assert (frame[max(top - 4, 0) : max(top - 2, 0), left:right] == 90).all()
