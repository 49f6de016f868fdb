"""The page's prediction in a real Chromium beside Python's on the same pixels."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="networks are made for browsers with the library onnx")

from hemiface import EMOTIONS, Predictor
from hemiface.models import shipped
from hemiface.vision.faces import FacePrediction
from hemiface.vision.finding.detector import FoundFace
from hemiface.vision.photos import read_photo
from hemiface.vision.seen import Frame
from hemiface.vision.video.watching import Watch
from hemiface.vision.visible_regions import HALVES

pytestmark = pytest.mark.slow

# Stated in results/page/README.md, where fifty photos are compared.
MOST_BOX = 0.005
"""Of the box's longer side, as of every position."""
MOST_LEVELS = 6
"""Of 255, of a pixel of the crop."""
MOST_VISIBLE = 0.02
MOST_PROBABILITY = 0.08
"""Networks of 8 bits jump where a crop differs by a level."""

PAGES = shipped.default_model(in_videos=True)
"""What the page reads faces with unless told."""
HIDDEN = ("full", "upper", "lower", "left", "right")
PHOTOS = (
    "photos/obama_240p_small.jpg",  # seen as a whole, and enlarged
    "photos/justin.jpg",
    "masks/with/with_004.jpg",  # a mask
    "lfw_expressions/happy/Aaron_Peirsol_0001.jpg",  # grey
)


class Known:
    """A detector that knows what it found, so that Python searches once a photo."""

    def __init__(self, faces: Sequence[FoundFace]) -> None:
        self._faces = list(faces)

    def detect(self, photo: np.ndarray) -> list[FoundFace]:  # noqa: ARG002
        return self._faces


@pytest.fixture(scope="module", params=PHOTOS)
def pair(request, opened, usual, shared_data: Path):
    """A photo, what Python sees in it, and the page's answers."""
    pixels = read_photo(shared_data / request.param).pixels
    seen = usual.see(pixels)
    given = opened.give(Path(request.param).name, pixels)
    answers = opened.run(
        """async ([photo, hidden]) => {
          const found = await predictor.find(await given(photo));
          const crops = predictor.seen.map(({aligned}) => aligned.pixels);
          const hides = [];
          for (const face of found.faces.keys()) hides.push(await predictor.hide(face, hidden));
          const mixes = {};
          for (const mix of ['balanced', 'natural', 'trained']) {
            await predictor.choose({mix});
            const {faces} = await predictor.again(await given(photo));
            mixes[mix] = faces.map((one) => one.reading);
          }
          return plain({found, crops, hides, mixes});
        }""",
        [given, list(HIDDEN)],
    )
    return pixels, seen, answers


def is_sure(face: FacePrediction, abstain_below: float) -> bool:
    """Whether probabilities that differ by no more than is stated can't give another label."""
    second, first = sorted(face.probabilities)[-2:]
    ahead = first - second > 2 * MOST_PROBABILITY
    return (ahead or face.abstained) and abs(first - abstain_below) > MOST_PROBABILITY


def require_alike(reading, face: FacePrediction, abstain_below: float = 0.46) -> None:
    """A reading of the page beside a face of Python's, of a model with that threshold."""
    np.testing.assert_allclose(reading["probabilities"], face.probabilities, atol=MOST_PROBABILITY)
    if is_sure(face, abstain_below):
        assert reading["label"] == face.label
        assert re.sub("[0-9.]+", "#", reading["reason"]) == re.sub("[0-9.]+", "#", face.reason)
    assert reading["hidden"] == face.hidden
    assert reading["hiddenByEstimate"] == face.hidden_by_estimate
    shares = face.visibility.shares
    expected = {half: shares[half] for half in HALVES}
    estimate = face.visibility.estimate
    expected["whole"] = face.visibility.most if estimate is None else estimate
    assert reading["visible"] == pytest.approx(expected, abs=MOST_VISIBLE)


def test_faces_lie_where_python_finds_them(pair, usual):
    pixels, seen, answers = pair
    faces = usual.say([Frame(pixels)], [seen])[0]
    assert faces
    assert (answers["found"]["height"], answers["found"]["width"]) == pixels.shape[:2]
    assert len(answers["found"]["faces"]) == len(faces)
    for one, face in zip(answers["found"]["faces"], faces, strict=True):
        most = MOST_BOX * max(face.box_px[2:])
        np.testing.assert_allclose(one["box"], face.box_px, atol=most)
        np.testing.assert_allclose(one["five"], face.five_px, atol=most)
        assert one["score"] == pytest.approx(face.detection_score, abs=0.005)
        assert one["presence"] == pytest.approx(face.presence_score, abs=0.005)
        assert one["inPicture"] == pytest.approx(face.in_picture, abs=0.005)
        assert one["rollDeg"] == pytest.approx(face.roll_deg, abs=0.5)
        if face.landmarks is None:
            assert (one["landmarks"], one["yawDeg"], one["pitchDeg"]) == (None, None, None)
        else:
            found = np.reshape(one["landmarks"], (468, 2))
            np.testing.assert_allclose(found, face.landmarks, atol=most)
            assert one["yawDeg"] == pytest.approx(face.yaw_deg, abs=0.5)
            assert one["pitchDeg"] == pytest.approx(face.pitch_deg, abs=0.5)


def test_crops_are_pythons(pair):
    _, seen, answers = pair
    for crop, one in zip(answers["crops"], seen, strict=True):
        expected = one.aligned.pixels.ravel().astype(int)
        assert np.abs(np.array(crop) - expected).max() <= MOST_LEVELS


def test_faces_read_as_pythons(pair, usual):
    pixels, seen, answers = pair
    for one, face in zip(
        answers["found"]["faces"], usual.say([Frame(pixels)], [seen])[0], strict=True
    ):
        require_alike(one["reading"], face)


@pytest.mark.parametrize("hidden", HIDDEN)
def test_what_is_declared_hidden_reads_as_pythons(pair, hidden):
    pixels, seen, answers = pair
    known = Known([one.found for one in seen])
    for readings, face in zip(
        answers["hides"], Predictor(PAGES, hide=hidden, detector=known).predict(pixels), strict=True
    ):
        require_alike(readings[hidden], face)


@pytest.mark.parametrize("mix", ["balanced", "natural", "trained"])
def test_mixes_are_pythons(pair, mix):
    pixels, seen, answers = pair
    known = Known([one.found for one in seen])
    faces = Predictor(PAGES, mix=mix, detector=known).predict(pixels)
    for reading, face in zip(answers["mixes"][mix], faces, strict=True):
        require_alike(reading, face)


def test_a_model_that_learnt_to_do_without_is_shown_no_mask(opened, shared_data):
    pixels = read_photo(shared_data / "masks/with/with_004.jpg").pixels
    (face,) = Predictor(model="small").predict(pixels)
    assert face.hidden_by_estimate == "lower"
    reading = opened.run(
        """async (photo) => {
          await predictor.choose({model: 'small'});
          const {faces} = await predictor.find(await given(photo));
          await predictor.choose({model: predictor.about.models[0].name});
          return plain(faces[0].reading);
        }""",
        opened.give("masked", pixels),
    )
    require_alike(reading, face, 0.54)


def test_a_photo_on_its_head_is_searched_turned(opened, shared_data):
    upright = read_photo(shared_data / "lfw_expressions/happy/Aaron_Peirsol_0001.jpg").pixels
    pixels = np.ascontiguousarray(upright[::-1, ::-1])
    (face,) = Predictor(PAGES).predict(pixels)
    assert abs(face.roll_deg) > 150
    found = opened.run(
        "async (photo) => plain(await predictor.find(await given(photo)))",
        opened.give("turned", pixels),
    )
    (one,) = found["faces"]
    np.testing.assert_allclose(one["box"], face.box_px, atol=MOST_BOX * max(face.box_px[2:]))
    require_alike(one["reading"], face)


def test_a_video_is_followed_as_python_does(opened, shared_data):
    photo = read_photo(shared_data / "photos/obama_240p_small.jpg").pixels
    frames = [np.roll(photo, (2 * step, 3 * step), axis=(0, 1)) for step in range(3)]
    smallest = 86
    x, _, width, _ = Predictor(PAGES, min_face_px=smallest).predict(photo)[0].box_px
    away = round(1.5 * width if x + 2.5 * width < photo.shape[1] else -1.5 * width)
    frames.append(np.roll(photo, away, axis=1))  # Where the face was there is none any more.
    watch = Watch(Predictor(PAGES, min_face_px=smallest))
    expected = [watch.predict_frames([Frame(one)])[0] for one in frames]
    given = [opened.give(f"frame{index}", one) for index, one in enumerate(frames)]
    found = opened.run(
        """async ([photos, smallestPx]) => {
          const answers = [];
          for (const photo of photos) {
            const frame = await given(photo);
            answers.push(await predictor.find(frame, {follow: true, smallestPx}));
          }
          return plain(answers);
        }""",
        [given, smallest],
    )
    assert [len(one) for one in expected] == [1, 1, 1, 1]
    for one, faces in zip(found, expected, strict=True):
        (own,) = one["faces"]
        most = MOST_BOX * max(faces[0].box_px[2:])
        np.testing.assert_allclose(own["box"], faces[0].box_px, atol=most)
        require_alike(own["reading"], faces[0])


def test_maps_add_up_to_what_the_face_tells(opened, shared_data):
    pixels = read_photo(shared_data / "photos/justin.jpg").pixels
    told = opened.run(
        """async (photo) => {
          await predictor.find(await given(photo));
          const readings = await predictor.hide(0, [...predictor.about.conditions]);
          const maps = [await predictor.map(0, 'quadrants'), await predictor.map(0, 'tiles')];
          return plain({readings, maps, trained: predictor.model.trained});
        }""",
        opened.give("mapped", pixels),
    )
    quadrants, tiles = told["maps"]
    best = EMOTIONS.index(quadrants["label"])
    worth = {name: one["probabilities"][best] for name, one in told["readings"].items()}
    worth["none"] = told["trained"][best]
    assert sum(quadrants["values"]) == pytest.approx(worth["full"] - worth["none"])
    # The mean over all orders in which the upper left quadrant can be the next to appear.
    without = {
        "none": ("only-upper-left", 1 / 4),
        "only-upper-right": ("lower", 1 / 12),
        "only-lower-left": ("right", 1 / 12),
        "only-lower-right": ("antidiagonal", 1 / 12),
        "diagonal": ("lower-right", 1 / 12),
        "left": ("lower-left", 1 / 12),
        "upper": ("upper-right", 1 / 12),
        "upper-left": ("full", 1 / 4),
    }
    expected = sum(part * (worth[more] - worth[less]) for less, (more, part) in without.items())
    assert quadrants["values"][0] == pytest.approx(expected)
    assert (tiles["rows"], tiles["columns"], len(tiles["values"])) == (8, 6, 48)
    assert tiles["label"] == quadrants["label"]
    assert max(tiles["values"]) > 0


WORKER = """async ([requests, photo]) => {
  const worker = new Worker('/worker.js', {type: 'module'});
  const answers = {};
  const progress = [];
  const bitmapOf = async ({data, width, height}) =>
    createImageBitmap(new ImageData(data, width, height), {premultiplyAlpha: 'none'});
  const image = await given(photo);
  const done = new Promise((resolve) => {
    worker.onmessage = ({data}) => {
      if (data.progress) progress.push(data.progress);
      else answers[data.id] = data;
      if (Object.keys(answers).length === requests.length) resolve();
    };
  });
  for (const request of requests) {
    const bitmap = 'bitmap' in request ? await bitmapOf(image) : null;
    worker.postMessage(bitmap ? {...request, bitmap} : request, bitmap ? [bitmap] : []);
  }
  await done;
  worker.terminate();
  return plain({answers, progress});
}"""


def test_the_worker_answers_as_agreed(opened, usual, shared_data):
    pixels = read_photo(shared_data / "photos/obama_240p_small.jpg").pixels
    requests = [
        {"id": 1, "what": "open"},
        {"id": 2, "what": "find", "follow": True, "bitmap": None},
        {"id": 3, "what": "find", "follow": True, "bitmap": None},
        {"id": 4, "what": "find", "bitmap": None},
        {"id": 5, "what": "choose", "model": "gigantic"},
        {"id": 6, "what": "choose", "abstainBelow": 1},
        {"id": 7, "what": "again", "bitmap": None},
        {"id": 8, "what": "hide", "face": 0, "conditions": ["lower"]},
        {"id": 9, "what": "hide", "face": 3, "conditions": ["lower"]},
        {"id": 10, "what": "hide", "face": 0, "conditions": ["nose"]},
        {"id": 11, "what": "map", "face": 0, "kind": "quadrants"},
        {"id": 12, "what": "dance"},
    ]
    told = opened.run(WORKER, [requests, opened.give("asked", pixels)])
    answers = {int(key): one for key, one in told["answers"].items()}
    assert answers[1]["about"]["labels"] == list(EMOTIONS)
    assert answers[1]["about"]["threads"] == 1
    known = answers[1]["about"]["files"]
    assert {one["file"] for one in told["progress"]} <= set(known)
    last = {one["file"]: one for one in told["progress"]}
    assert all(one["loaded"] == one["total"] == known[name]["bytes"] for name, one in last.items())
    assert answers[2] == {"id": 2, "ok": False, "message": "overtaken"}
    (face,) = usual.predict(pixels)
    assert [one["reading"]["label"] for one in answers[3]["faces"]] == [face.label]
    require_alike(answers[4]["faces"][0]["reading"], face)
    assert "Model 'gigantic' is unknown; choose from: people-small" in answers[5]["message"]
    assert answers[6]["ok"]
    (strict,) = Predictor(PAGES, abstain_below=1.0).predict(pixels)
    assert strict.abstained
    require_alike(answers[7]["faces"][0]["reading"], strict, 1.0)
    assert set(answers[8]["readings"]) == {"lower"}
    assert answers[9]["message"] == "There is no face 3; the last picture has 1."
    assert answers[10]["message"].startswith("Condition 'nose' is unknown; choose from: full, ")
    assert (answers[11]["rows"], answers[11]["columns"]) == (2, 2)
    assert answers[12]["message"].startswith("'dance' is no request; choose from: open, ")


def test_a_damaged_network_is_named(opened, page_folder):
    open_it = """async () => {
      const {openPredictor} = await import('/predictor.js');
      return openPredictor().then(() => '', (error) => error.message);
    }"""
    # Browsers take what has long been the same for fresh, without asking the server.
    path = page_folder / "models/detection.onnx"
    times = path.stat().st_atime, path.stat().st_mtime
    os.utime(path, (times[0], times[1] - 100 * 24 * 3600))
    assert opened.run(open_it) == ""
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    opened.give_file("/models/detection.onnx", bytes(content))
    message = opened.run(open_it)
    opened.take_back("/models/detection.onnx")
    os.utime(path, times)  # no test may change the folder
    assert message.startswith("models/detection.onnx is damaged: it isn't the file that page.json")
