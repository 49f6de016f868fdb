"""The parts of the page's prediction, each beside OpenCV, Pillow or Python's own."""

import json
import re
from importlib import import_module

import cv2
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("onnx", reason="networks are made for browsers with the library onnx")

from hemiface import Predictor
from hemiface.data.phantom import make as phantom
from hemiface.models import shipped
from hemiface.models.onnx_file import OnnxModel
from hemiface.models.temperatures import View, scale
from hemiface.models.visible_tiles import VisibleTiles
from hemiface.occlusion.conditions import CONDITIONS
from hemiface.serve.page import WEB
from hemiface.vision.covered_halves import covered_part
from hemiface.vision.visible_regions import HALVES, VisibleRegions


def test_transparency_is_laid_on_black(opened):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (16, 256, 4), dtype=np.uint8)
    black = Image.new("RGBA", (256, 16), "black")
    expected = np.asarray(Image.alpha_composite(black, Image.fromarray(pixels)).convert("RGB"))
    found = opened.run(
        """async (photo) => {
          const {fromArray, pictureOf} = await import('/photo.js');
          return plain(pictureOf(fromArray(await given(photo))).data);
        }""",
        opened.give("transparent", pixels),
    )
    np.testing.assert_array_equal(np.reshape(found, expected.shape), expected)


def resized_by_both(opened, name: str, pixels: np.ndarray, size: tuple[int, int]):
    """What OpenCV and the page make of a picture at (width, height)."""
    shrinks = size[0] < pixels.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    expected = cv2.resize(pixels, size, interpolation=how).astype(int)
    found = opened.run(
        """async ([photo, [width, height], how]) => {
          const {fromArray, pictureOf} = await import('/photo.js');
          const resize = await import('/resize.js');
          const picture = pictureOf(fromArray(await given(photo)));
          return plain(resize[how](picture, width, height).data);
        }""",
        [opened.give(name, pixels), size, "shrunk" if shrinks else "enlarged"],
    )
    return expected, np.reshape(found, expected.shape)


@pytest.mark.parametrize("size", [(75, 50), (50, 33), (37, 61), (149, 99)])
def test_pictures_shrink_as_opencvs(opened, size):
    noise = np.random.default_rng(1).integers(0, 256, (100, 150, 3), dtype=np.uint8)
    expected, found = resized_by_both(opened, "noise", noise, size)
    different = np.abs(found - expected)
    assert different.max() <= 1
    assert (different > 0).mean() < 1e-3


@pytest.mark.parametrize("size", [(160, 128), (83, 71), (256, 205)])
def test_pictures_grow_as_opencvs(opened, size):
    noise = np.random.default_rng(2).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    expected, found = resized_by_both(opened, "noise", noise, size)
    different = np.abs(found - expected)
    # OpenCV 4 computes in steps of 2^-11.
    assert different.max() <= 1
    assert (different > 0).mean() < 0.1


@pytest.mark.parametrize("around", [127, None])
@pytest.mark.parametrize("turn", [0.0, 0.4, 2.5])
def test_pictures_are_turned_as_opencvs(opened, turn, around):
    random = np.random.default_rng(3)
    # Smooth, since OpenCV 4 places pixels in steps of a 32nd.
    smooth = cv2.resize(random.integers(0, 256, (9, 12, 3), dtype=np.uint8), (120, 90))
    cosine, sine = 1.3 * np.cos(turn), 1.3 * np.sin(turn)
    transform = np.array([[cosine, -sine, 20.3], [sine, cosine, 11.7]])
    centred = transform.copy()
    centred[:, 2] += transform[:, :2] @ [0.5, 0.5] - 0.5
    border = cv2.BORDER_REPLICATE if around is None else cv2.BORDER_CONSTANT
    expected = cv2.warpAffine(
        smooth, centred, (64, 64), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=border, borderValue=(around or 0,) * 3,
    )  # fmt: skip
    found = opened.run(
        """async ([photo, transform, around]) => {
          const {fromArray, pictureOf} = await import('/photo.js');
          const {warped} = await import('/transforms.js');
          const picture = pictureOf(fromArray(await given(photo)));
          return plain(warped(picture, transform, 64, around).data);
        }""",
        [opened.give("smooth", smooth), transform.tolist(), around],
    )
    different = np.abs(np.reshape(found, expected.shape) - expected.astype(int))
    is_four = int(cv2.__version__.partition(".")[0]) < 5
    # At the border of what is there neighbours differ much.
    assert np.quantile(different, 0.98) <= 1
    assert different.max() <= (8 if is_four else 1)


def test_grey_is_opencvs(opened):
    colours = np.random.default_rng(4).integers(0, 256, (32, 128, 3), dtype=np.uint8)
    found = opened.run(
        """async (photo) => {
          const {fromArray, greyOf} = await import('/photo.js');
          const part = {left: 3, top: 5, right: 100, bottom: 31};
          return plain(greyOf(fromArray(await given(photo))).greyPart(part).data);
        }""",
        opened.give("colours", colours),
    )
    expected = cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY)[5:31, 3:100]
    np.testing.assert_array_equal(np.reshape(found, expected.shape), expected)


@pytest.mark.parametrize("name", ["people-small-int8", "small", "visibility"])
def test_networks_answer_alike_on_the_same_crop(opened, name):
    path = shipped.path_of(name)
    is_tiles = name == "visibility"
    network = VisibleTiles.load(path) if is_tiles else OnnxModel.load(path)
    crops = phantom.render(np.arange(7), seed=0)
    found = opened.run(
        """async ([path, output, crops]) => {
          const network = await predictor.open(path);
          const values = Uint8Array.from(crops);
          return plain((await network.run(values, [7, 48, 48]))[output]);
        }""",
        [f"models/{path.name}", "visible" if is_tiles else "probabilities", crops.ravel().tolist()],
    )
    expected = network.predict(crops)
    np.testing.assert_allclose(np.reshape(found, expected.shape), expected, atol=1e-5)


def looks_of(random: np.random.Generator) -> VisibleRegions:
    """Anything that can be seen of a face, with round numbers among it."""
    most = float(random.choice([1.0, 0.125, random.random()]))
    estimate = random.choice([None, most, most * random.random()])
    covered = {half: float(random.choice([np.nan, 0.6, random.random()])) for half in HALVES}
    return VisibleRegions({}, {}, most, (1.0, 1.0, 1.0, 1.0), covered, estimate)


def test_sentences_are_pythons(opened):
    random = np.random.default_rng(5)
    asked, expected = [], []
    for mix in ("trained", "natural"):
        for hide in (None, "lower"):
            own = Predictor(PAGES, no_detect=True, mix=mix, hide=hide)
            for _ in range(100):
                looks = looks_of(random)
                confidence = float(random.choice([0.4599, 0.125, random.random()]))
                expected.append(own.why_unseen(looks) or own.why_unsure(confidence))
                rule = {
                    "leastVisible": 0.25,
                    "abstainBelow": own.abstain_below,
                    "isDeclared": hide is not None,
                    "isOfAnotherMix": mix != "trained",
                }
                estimate = None if looks.estimate is None else float(looks.estimate)
                asked.append([{"most": looks.most, "estimate": estimate}, confidence, rule])
    found = opened.run(
        """async (asked) => {
          const {whyNot} = await import('/probabilities.js');
          return asked.map((one) => whyNot(...one));
        }""",
        asked,
    )
    assert len(set(expected)) > 50
    assert found == expected


def test_temperatures_and_their_scaling_are_pythons(opened, usual):
    random = np.random.default_rng(6)
    view = usual.calibration
    assert isinstance(view, View)
    visible = np.vstack([random.random((50, 4)), random.integers(0, 2, (16, 4))])
    values = random.dirichlet(np.full(7, 0.3), 66).astype(np.float32).astype(np.float64)
    values[0] = [1, 0, 0, 0, 0, 0, 0]
    temperatures = [view.temperature(row) for row in visible.tolist()]
    found = opened.run(
        """async ([visible, values]) => {
          const {scaled, temperatureFor} = await import('/probabilities.js');
          const {temperatures} = predictor.about.models[0].calibration;
          return visible.map((one, index) => {
            const temperature = temperatureFor(temperatures, predictor.about.hides, one);
            return [temperature, scaled(values[index], temperature)];
          });
        }""",
        [visible.tolist(), values.tolist()],
    )
    assert [one for one, _ in found] == pytest.approx(temperatures)
    np.testing.assert_allclose([one for _, one in found], scale(values, temperatures), atol=1e-12)


def test_what_is_hidden_where_a_thing_covers_is_pythons(opened):
    random = np.random.default_rng(7)
    asked, expected = [], []
    for _ in range(300):
        looks = looks_of(random)
        learnt = [name for name in CONDITIONS[1:-1] if random.random() < 0.5]
        part = covered_part(looks, frozenset(learnt))
        expected.append(part.key if part else "")
        covered = {half: value for half, value in looks.covered.items() if value == value}
        asked.append([covered, learnt])
    found = opened.run(
        """async (asked) => {
          const {coveredPart} = await import('/regions.js');
          const {covered: above, hides} = predictor.about;
          return asked.map(([covered, learnt]) => coveredPart({covered}, learnt, above, hides));
        }""",
        asked,
    )
    assert len(set(expected)) > 5
    assert found == expected


PAGES = shipped.default_model(in_videos=True)
"""What the page reads faces with unless told."""
FINDING = "hemiface.vision.finding"
CONSTANTS = [
    ("alignment.js", "SIDE_PX", "hemiface.tables", "FER2013_SIZE_PX"),
    ("alignment.js", "FRAME", f"{FINDING}.alignment", "FRAME"),
    ("blazeface.js", "INPUT_PX", f"{FINDING}.blazeface", "INPUT_PX"),
    ("blazeface.js", "GRIDS", f"{FINDING}.blazeface", "_GRIDS"),
    ("centerface.js", "STRIDE_PX", f"{FINDING}.centerface", "_STRIDE_PX"),
    ("centerface.js", "MULTIPLE_PX", f"{FINDING}.centerface", "_MULTIPLE_PX"),
    ("centerface.js", "MOST_OVERLAP", f"{FINDING}.centerface", "_MOST_OVERLAP"),
    ("centerface.js", "CLOSE_LOOKS_PX", f"{FINDING}.centerface", "_CLOSE_LOOKS_PX"),
    ("centerface.js", "MARGIN_PX", f"{FINDING}.centerface", "_MARGIN_PX"),
    ("centerface.js", "LAST_LOOK_PX", f"{FINDING}.centerface", "_LAST_LOOK_PX"),
    ("centerface.js", "SURE", f"{FINDING}.centerface", "SURE"),
    ("conditions.js", "QUADRANTS", "hemiface.occlusion.conditions", "QUADRANTS"),
    ("conditions.js", "HALVES", "hemiface.occlusion.conditions", "HALVES"),
    ("conditions.js", "TILE_COLUMNS", "hemiface.occlusion.tiles", "TILE_COLUMNS"),
    ("conditions.js", "TILE_ROWS", "hemiface.occlusion.tiles", "TILE_ROWS"),
    ("detector.js", "SURELY_UPRIGHT", f"{FINDING}.detector", "SURELY_UPRIGHT"),
    ("detector.js", "LEAST_PRODUCT", f"{FINDING}.detector", "_LEAST_PRODUCT"),
    ("detector.js", "CLEARLY_BETTER", f"{FINDING}.detector", "_CLEARLY_BETTER"),
    ("detector.js", "NEAR_SCALE", f"{FINDING}.detector", "_NEAR_SCALE"),
    ("detector.js", "MOST_FINE", f"{FINDING}.detector", "_MOST_FINE"),
    ("detector.js", "LANDMARK_PX", f"{FINDING}.detector", "_LANDMARK_PX"),
    ("detector.js", "LANDMARK_SCALE", f"{FINDING}.detector", "_LANDMARK_SCALE"),
    ("faces.js", "LEAST_CONTRAST", f"{FINDING}.detector", "LEAST_CONTRAST"),
    ("faces.js", "EYES", f"{FINDING}.detector", "_EYES"),
    ("faces.js", "NOSE", f"{FINDING}.detector", "_NOSE"),
    ("faces.js", "MOUTH_CORNERS", f"{FINDING}.detector", "_MOUTH_CORNERS"),
    ("photo-detector.js", "LEAST_SCORE", f"{FINDING}.photo_detector", "LEAST_SCORE"),
    ("photo-detector.js", "LEAST_PRESENCE", f"{FINDING}.photo_detector", "_LEAST_PRESENCE"),
    ("photo-detector.js", "SAME_OVERLAP", f"{FINDING}.photo_detector", "_SAME_OVERLAP"),
    ("photo-detector.js", "MOST_TILT_DEG", f"{FINDING}.photo_detector", "_MOST_TILT_DEG"),
    ("photo-detector.js", "LANDMARK_PX", f"{FINDING}.photo_detector", "_LANDMARK_PX"),
    ("photo-detector.js", "LANDMARK_SCALE", f"{FINDING}.photo_detector", "_LANDMARK_SCALE"),
    (
        "photo-detector.js",
        "SURELY_UPRIGHT_MASKED",
        f"{FINDING}.photo_detector",
        "_SURELY_UPRIGHT_MASKED",
    ),
    ("pixels.js", "GREY", f"{FINDING}.squares", "_GREY"),
    ("regions.js", "GRID", "hemiface.models.visible_tiles", "GRID"),
    ("squares.js", "LEAST_FACE_PX", f"{FINDING}.squares", "LEAST_FACE_PX"),
    ("squares.js", "STEP_PX", f"{FINDING}.squares", "_STEP_PX"),
    ("squares.js", "MARGIN", f"{FINDING}.squares", "_MARGIN"),
    ("squares.js", "SMALLEST_IN_TILE_PX", f"{FINDING}.squares", "_SMALLEST_IN_TILE_PX"),
    ("squares.js", "SMALLEST_SHARE", f"{FINDING}.squares", "_SMALLEST_SHARE"),
    ("watch.js", "SAME_OVERLAP", "hemiface.vision.video.watching", "_SAME_OVERLAP"),
]


def test_constants_of_the_search_are_pythons():
    """They stand in both, beside what they belong to; page.json has those of the prediction."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in WEB.glob("*.js")}
    said = []
    for file, name, _, _ in CONSTANTS:
        (value,) = re.findall(rf"^(?:export )?const {name} = ([^;]+);", texts[file], re.MULTILINE)
        said.append(value)
    # They are plain numbers and lists, but for one that is half of another.
    said = [one.replace("INPUT_PX", "128") for one in said]
    for (file, name, module, own), value in zip(CONSTANTS, said, strict=True):
        expected = np.asarray(getattr(import_module(module), own))
        assert np.array_equal(np.asarray(json.loads(as_json(value))), expected), f"{name} of {file}"


def as_json(value: str) -> str:
    """A constant of JavaScript as JSON: no comma at the end, quotes, one division done."""
    text = re.sub(r",\s*\]", "]", value.replace("'", '"'))
    division = re.fullmatch(r"(\d+) / (\d+)", text)
    return str(int(division[1]) / int(division[2])) if division else text
