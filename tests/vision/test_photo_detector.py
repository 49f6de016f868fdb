"""CenterFace and MediaPipe's networks together: who is asked when, and whose word counts."""

import numpy as np
import pytest

from builders import hemiface
from hemiface.errors import UsageError
from hemiface.vision.finding.alignment import FRAME
from hemiface.vision.finding.centerface import CenterFaceDetector
from hemiface.vision.finding.detector import FoundFace, MediaPipeDetector
from hemiface.vision.finding.photo_detector import LEAST_SCORE, PhotoDetector
from hemiface.vision.photos import read_photo
from hemiface.vision.predictor import Predictor
from hemiface.vision.video.watching import Watch

pytestmark = pytest.mark.slow

PHOTO = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
MESH = np.zeros((468, 2))


def face(x: float, score: float, *, mesh: bool = False, turned: bool = False) -> FoundFace:
    five = np.array([x, 60]) + ((FRAME - 24) @ [[0, 1], [-1, 0]] + 24 if turned else FRAME)
    box = np.array([[x, 60.0], [x + 48, 108]])
    return FoundFace(box, score, MESH if mesh else None, 1.0 if mesh else None, five)


class Seen:
    """A detector that finds what it is told."""

    def __init__(self, faces):
        self.faces = faces

    def detect(self, _photo):
        return self.faces


class MediaPipe(Seen):
    """One whose landmark network sees no face in a square, or its middle as one."""

    def __init__(self, near, alone=(), presence=0.1):
        super().__init__(list(alone))
        self.near, self.presence, self.asked = list(near), presence, []

    def detect(self, photo):
        self.asked.append("alone")
        return super().detect(photo)

    def follow(self, _photo, _known):
        self.asked.append("near")
        return self.near

    def look(self, photo):
        assert photo.shape == (192, 192, 3)
        self.asked.append("landmarks")
        grid = np.stack(np.meshgrid(np.linspace(40, 150, 26), np.linspace(40, 150, 18)), axis=-1)
        marks = grid.reshape(-1, 2)
        eyes = {33: (66, 76), 133: (86, 76), 362: (106, 76), 263: (126, 76)}
        for index, where in {**eyes, 1: (96, 110), 61: (76, 130), 291: (116, 130)}.items():
            marks[index] = where
        return np.column_stack([marks, np.zeros(len(marks))]), self.presence


def found(mediapipe, *candidates, tiles=False):
    return PhotoDetector(mediapipe, Seen(list(candidates)), tiles=tiles).detect(PHOTO)


class TestWhoseWordCounts:
    def test_a_face_that_both_see_is_as_mediapipe_sees_it(self):
        known = face(20, 0.95, mesh=True)
        mediapipe = MediaPipe([known])
        assert found(mediapipe, face(22, 0.9)) == [known]
        assert mediapipe.asked[0] == "near"
        assert "alone" not in mediapipe.asked

    def test_what_only_centerface_sees_is_found_with_its_own_points(self):
        masked = face(150, 0.9)
        both = found(MediaPipe([face(20, 0.95, mesh=True)]), face(21, 0.9), masked)
        (one,) = [other for other in both if other.landmarks is None]
        assert (one.score, one.presence) == (0.9, 0.1)
        np.testing.assert_array_equal(one.five, masked.five)
        np.testing.assert_array_equal(one.box, masked.box)

    def test_it_must_be_surer_than_where_landmarks_confirm_it(self):
        unsure = face(150, LEAST_SCORE + 0.01)
        assert found(MediaPipe([]), unsure) == []
        (one,) = found(MediaPipe([], presence=0.9), unsure)
        assert one.landmarks.shape == (468, 2)
        assert (one.score, one.presence) == (unsure.score, 0.9)
        # The square is 1.3 times as large as CenterFace's box, around the same middle.
        eye = unsure.box.mean(axis=0) + (76 - 96) * 1.3 * 48 / 192
        np.testing.assert_allclose(one.five[0], eye, atol=0.5)

    @pytest.mark.parametrize("score", [0.5, 0.95])
    def test_mediapipe_searches_alone_where_no_face_is_surely_upright(self, score):
        alone = face(200, 0.7, mesh=True)
        mediapipe = MediaPipe([face(20, score, mesh=True)], [alone])
        faces = found(mediapipe)
        assert ("alone" in mediapipe.asked) == (score < 0.88) == (alone in faces)
        assert len(faces) == 1 + (score < 0.88)

    def test_a_face_that_lies_says_that_the_photo_may(self):
        mediapipe = MediaPipe([face(20, 0.95, mesh=True, turned=True)])
        assert len(found(mediapipe)) == 1
        assert "alone" in mediapipe.asked

    def test_tiles_are_searched_when_asked_for(self):
        mediapipe = MediaPipe([face(20, 0.95, mesh=True)], [face(200, 0.7, mesh=True)])
        assert len(found(mediapipe, tiles=True)) == 2


class TestPredictor:
    def test_a_face_without_landmarks_is_read_all_the_same(self, model):
        masked = FoundFace(
            np.array([[20.0, 60], [68, 108]]), 0.9, None, 0.1, FRAME + np.array([20, 60])
        )
        (one,) = Predictor(model, detector=Seen([masked]), abstain_below=0).predict(PHOTO)
        row = one.row()
        assert row["presence_score"] == 0.1
        assert sum(one.probabilities) == pytest.approx(1)
        # Without landmarks the mouth is looked for where mouths usually lie.
        assert row["visible_mouth_source"] == "estimated"
        assert row["visible_lower_source"] == "estimated"

    @pytest.mark.usefixtures("face_networks")
    def test_photos_and_videos_are_searched_by_what_is_asked_for(self, model):
        kinds = {
            "auto": ("PhotoDetector", "MediaPipeDetector"),
            "both": ("PhotoDetector", "PhotoDetector"),
            "mediapipe": ("MediaPipeDetector", "MediaPipeDetector"),
        }
        for word, kind in kinds.items():
            predictor = Predictor(model, detect_by=word)
            settings = predictor.settings()
            assert (settings["detector"], settings["detector_in_videos"]) == kind
            assert Watch(predictor)._predictor.can_follow == (kind[1] == "MediaPipeDetector")
            assert predictor.settings() == settings

    def test_wrong_words_are_told(self, model, monkeypatch, capsys, tmp_path):
        with pytest.raises(UsageError, match="choose from auto, both, mediapipe"):
            Predictor(model, detect_by="haar")
        with pytest.raises(UsageError, match="--detect-by"):
            Predictor(model, detect_by="both", no_detect=True)
        with pytest.raises(UsageError, match="--detect-by"):
            Predictor(model, detect_by="mediapipe", detector=Seen([]))
        (tmp_path / "x.png").touch()
        assert hemiface(monkeypatch, "predict", tmp_path / "x.png", "--detect-by", "haar") == 2
        assert "choose from" in capsys.readouterr().err


@pytest.fixture(scope="module")
def networks(face_networks) -> tuple[PhotoDetector, MediaPipeDetector]:
    mediapipe = MediaPipeDetector(
        *(face_networks / f"face_{one}.tflite" for one in ("detection_short_range", "landmark"))
    )
    centerface = CenterFaceDetector(face_networks / "centerface.onnx", least_score=LEAST_SCORE)
    return PhotoDetector(mediapipe, centerface), mediapipe


class TestNetworks:
    @pytest.mark.parametrize("name", ["justin.jpg", "two_people.jpg", "obama_partial_right.jpg"])
    def test_bare_faces_are_found_as_before(self, shared_data, networks, name):
        pixels = read_photo(shared_data / "photos" / name).pixels
        both, before = (one.detect(pixels) for one in networks)
        for one, other in zip(both, before, strict=True):
            assert one.landmarks is not None
            side = np.ptp(other.box[:, 0])
            np.testing.assert_allclose(one.box, other.box, atol=0.1 * side)
            np.testing.assert_allclose(one.five, other.five, atol=0.1 * side)

    @pytest.mark.parametrize("quarters", [1, 2, 3])
    def test_a_turned_photo_has_the_faces_of_the_upright_one(self, shared_data, networks, quarters):
        pixels = read_photo(shared_data / "photos/two_people.jpg").pixels
        both, _ = networks
        turned = both.detect(np.ascontiguousarray(np.rot90(pixels, quarters)))
        assert len(turned) == len(both.detect(pixels)) == 2
        for one in turned:
            right, down = one.five[1] - one.five[0]
            roll = np.degrees(np.arctan2(down, right))
            assert abs((roll + 90 * quarters + 180) % 360 - 180) < 25

    def test_more_masked_people_are_found_than_by_mediapipe_alone(self, shared_data, networks):
        folder = shared_data / "masks"
        if not folder.is_dir():
            pytest.skip(f"photos of masked people aren't in {shared_data}")
        photos = [read_photo(one).pixels for one in sorted((folder / "with").iterdir())[1:81:8]]
        both, before = (sum(bool(one.detect(photo)) for photo in photos) for one in networks)
        assert before < both <= len(photos)
