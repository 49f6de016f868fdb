/**
 * From pictures to predictions: detect, align, say what is visible, ask the network.
 *
 * `vision/predictor.py` in Python; what both need to know alike stands in page.json.
 */

import { align, SIDE_PX } from './alignment.js';
import { CenterFaceDetector } from './centerface.js';
import {
  blackened,
  inQuadrants,
  QUADRANTS,
  TILE_COLUMNS,
  TILE_ROWS,
  tileAt,
} from './conditions.js';
import { MediaPipeDetector } from './detector.js';
import { coalitions, shapley } from './importance.js';
import { CAN_CHECK, Files, Network, openRuntime } from './networks.js';
import { LEAST_SCORE, PhotoDetector } from './photo-detector.js';
import { fromArray, greyOf, pictureOf } from './photo.js';
import { greyPart } from './pixels.js';
import { reweighed, scaled, temperatureFor, whyNot } from './probabilities.js';
import { coveredPart, visibleRegions } from './regions.js';
import { Watch } from './watch.js';

/**
 * @typedef {import('./alignment.js').AlignedFace} AlignedFace
 * @typedef {import('./faces.js').FoundFace} FoundFace
 * @typedef {import('./photo.js').Photo} Photo
 * @typedef {import('./regions.js').VisibleRegions} VisibleRegions
 *
 * @typedef {{found: FoundFace, aligned: AlignedFace}} SeenFace
 *
 * What the network is shown of a face, and what is known of it.
 *
 * @typedef {object} Shown
 * @property {Uint8Array} crop grey 48 * 48
 * @property {VisibleRegions} looks
 * @property {string} hidden the declared condition, '' if nothing was declared
 * @property {string} hiddenByEstimate the condition that is hidden because a thing covers it, or ''
 *
 * @typedef {object} Reading
 * @property {number[]} probabilities in the order of the labels
 * @property {string | null} label null if abstained
 * @property {number} confidence
 * @property {string} reason why no label is given, '' where one is
 * @property {string} hidden
 * @property {string} hiddenByEstimate
 * @property {{upper: number, lower: number, left: number, right: number, whole: number}} visible
 *
 * @typedef {object} Face
 * @property {[number, number, number, number]} box x, y, width, height in pixels of the picture
 * @property {[number, number][]} five
 * @property {Float32Array | null} landmarks 468 times x, y
 * @property {number} rollDeg
 * @property {number} yawDeg NaN without landmarks, as pitchDeg
 * @property {number} pitchDeg
 * @property {number} score
 * @property {number | null} presence
 * @property {number} inPicture 0..1
 * @property {import('./transforms.js').Transform} toFrame
 * @property {Uint8Array} crop the 48 x 48 grey pixels that the network is shown
 * @property {Reading} reading
 */

/**
 * Of the longer side of a video's frame: smaller faces aren't searched for in full searches, which
 * need no tiles then. Python looks for those of a 40th, which takes a browser seconds.
 */
export const LIVE_SMALLEST_SHARE = 1 / 5;

const PIXELS = SIDE_PX * SIDE_PX;
const TRAINED = 'trained';

/**
 * Load page.json, ONNX Runtime and every network that a first photo needs.
 *
 * @param {object} [options]
 * @param {string | URL} [options.base] the page's folder, from this file on
 * @param {(progress: {file: string, loaded: number, total: number}) => void} [options.onProgress]
 * @returns {Promise<Predictor>}
 */
export async function openPredictor({ base = '.', onProgress = () => {} } = {}) {
  const folder = new URL(base, import.meta.url);
  const answer = await fetch(new URL('page.json', folder), { cache: 'no-cache' }).catch(() => {
    throw new Error("page.json can't be fetched: nobody answers at this address.");
  });
  if (!answer.ok) throw new Error(`page.json can't be fetched: the server says ${answer.status}.`);
  const page = await answer.json();
  const files = new Files(folder, page.files, onProgress);
  const { ort, threads } = await openRuntime(files);
  const open = (path) => Network.open(ort, files, path);
  const [detection, landmarks, centerface, visibility] = await Promise.all(
    ['detection', 'landmarks', 'centerface', 'visibility'].map((name) => open(page.networks[name])),
  );
  const mediapipe = new MediaPipeDetector(detection, landmarks);
  const photos = new PhotoDetector(mediapipe, new CenterFaceDetector(centerface, LEAST_SCORE));
  const about = { ...page, threads, isChecked: CAN_CHECK };
  const predictor = new Predictor(about, open, { mediapipe, photos, visibility });
  await predictor.choose({ model: page.models.find((one) => one.isDefault).name, ...page.start });
  return predictor;
}

/** Finds the faces of pictures and says what they look like; remembers the last picture's. */
export class Predictor {
  constructor(about, open, { mediapipe, photos, visibility }) {
    /** What page.json says, with `threads` and `isChecked` (could hashes be computed?). */
    this.about = about;
    this.open = open;
    this.mediapipe = mediapipe;
    this.photos = photos;
    this.visibility = visibility;
    this.networks = new Map();
    this.mix = TRAINED;
    this.abstainBelow = null;
    this.watch = null;
    this.seen = [];
  }

  /**
   * Choose what is asked from now on; what isn't named stays.
   *
   * @param {object} chosen
   * @param {string} [chosen.model]
   * @param {string} [chosen.mix]
   * @param {number | null} [chosen.abstainBelow] null is what the model's calibration says
   */
  async choose({ model, mix, abstainBelow }) {
    const { models, mixes } = this.about;
    const next = model === undefined ? this.model : models.find((one) => one.name === model);
    if (next === undefined) {
      const known = models.map((one) => one.name).join(', ');
      throw new Error(`Model '${model}' is unknown; choose from: ${known}.`);
    }
    const declared = mix ?? this.mix;
    if (!(declared in mixes)) {
      throw new Error(`Mix '${mix}' is unknown; choose from: ${Object.keys(mixes).join(', ')}.`);
    }
    if (mixes[declared] !== null && next.trained === null) {
      throw new Error(
        `Nobody knows the mix of emotions that ${next.name} was trained on, so no other can be ` +
          'declared; leave the mix at trained.',
      );
    }
    if (abstainBelow != null && !(abstainBelow >= 0 && abstainBelow <= 1)) {
      throw new Error(`abstainBelow must lie in 0..1, got ${abstainBelow}.`);
    }
    if (!this.networks.has(next.name)) {
      this.networks.set(next.name, await this.open(next.path));
    }
    this.model = next;
    this.mix = declared;
    if (abstainBelow !== undefined) this.abstainBelow = abstainBelow;
  }

  /**
   * Find and read the faces of a picture, largest first.
   *
   * @param {Photo | {data: Uint8ClampedArray, width: number, height: number}} image RGBA
   * @param {object} [options]
   * @param {boolean} [options.follow] whether it is the next frame of a video
   * @param {number | null} [options.smallestPx] of a video's frame, the smallest face that is
   *   searched for; null is a 40th of its longer side, as in Python
   * @returns {Promise<{width: number, height: number, faces: Face[],
   *   ms: {find: number, say: number}}>}
   */
  async find(image, { follow = false, smallestPx } = {}) {
    const started = performance.now();
    const picture = pictureOf(photoOf(image));
    const { width, height } = picture;
    let found;
    if (follow) {
      this.watch ??= new Watch(this.mediapipe, this.about.searchEvery);
      const usual = LIVE_SMALLEST_SHARE * Math.max(width, height);
      found = await this.watch.next(picture, smallestPx === undefined ? usual : smallestPx);
    } else {
      this.watch = null;
      found = await this.photos.detect(picture);
    }
    const source = { width, height, greyPart: (part) => greyPart(picture, part) };
    this.seen = found.map((one) => ({ found: one, aligned: align(source, one.five) }));
    return this.answer(width, height, performance.now() - started);
  }

  /**
   * Read the faces of the last picture on changed pixels, without searching.
   *
   * @param {Photo | {data: Uint8ClampedArray, width: number, height: number}} image as large as it
   */
  async again(image) {
    const started = performance.now();
    const photo = photoOf(image);
    const source = greyOf(photo);
    this.seen = this.seen.map(({ found }) => ({ found, aligned: align(source, found.five) }));
    return this.answer(photo.width, photo.height, performance.now() - started);
  }

  /**
   * Read a face of the last picture as one of which something is declared hidden.
   *
   * @param {number} face its place
   * @param {string[]} conditions
   * @returns {Promise<Record<string, Reading>>} by condition
   */
  async hide(face, conditions) {
    const { aligned } = this.at(face);
    const shown = conditions.map((name) => this.declared(aligned, name));
    const readings = await this.read(shown);
    return Object.fromEntries(conditions.map((name, index) => [name, readings[index]]));
  }

  /**
   * What matters in a face of the last picture, for its most probable emotion.
   *
   * @param {number} face its place
   * @param {'quadrants' | 'tiles'} kind Shapley values of quadrants, which add up to the
   *   probability less the emotion's share in the mix; or what black on each tile takes from it
   */
  async map(face, kind) {
    if (kind !== 'quadrants' && kind !== 'tiles') {
      throw new Error(`Map '${kind}' is unknown; choose from: quadrants, tiles.`);
    }
    const seen = this.at(face);
    const [reading] = await this.say([seen]);
    const best = bestOf(reading.probabilities);
    const isQuadrants = kind === 'quadrants';
    const values = isQuadrants
      ? await this.quadrantValues(seen.aligned, best)
      : await this.tileValues(seen.aligned, best);
    const [rows, columns] = isQuadrants ? [2, 2] : [TILE_ROWS, TILE_COLUMNS];
    return { kind, label: this.about.labels[best], rows, columns, values, unit: 'probability', mix: this.mix };
  }

  /** @param {number} face */
  at(face) {
    const seen = this.seen[face];
    if (seen === undefined) {
      throw new Error(`There is no face ${face}; the last picture has ${this.seen.length}.`);
    }
    return seen;
  }

  /**
   * @param {number} width
   * @param {number} height
   * @param {number} findMs
   */
  async answer(width, height, findMs) {
    const started = performance.now();
    const readings = await this.say(this.seen);
    const faces = this.seen.map((one, index) => described(one, readings[index]));
    return { width, height, faces, ms: { find: findMs, say: performance.now() - started } };
  }

  /**
   * Readings of faces as they are: a network estimates what covers them.
   *
   * @param {SeenFace[]} seen
   * @returns {Promise<Reading[]>}
   */
  async say(seen) {
    if (seen.length === 0) return [];
    const crops = seen.map(({ aligned }) => aligned.pixels);
    const { visible } = await this.visibility.run(batch(crops), [seen.length, SIDE_PX, SIDE_PX]);
    const each = visible.length / seen.length;
    const { hides, covered } = this.about;
    const shown = seen.map(({ aligned }, index) => {
      const tiles = visible.subarray(index * each, (index + 1) * each);
      const looks = visibleRegions(aligned.inside, null, tiles);
      const part = coveredPart(looks, this.model.learnt, covered, hides);
      const crop = part ? blackened(aligned.pixels, inQuadrants(hides[part])) : aligned.pixels;
      return { crop, looks, hidden: '', hiddenByEstimate: part };
    });
    return this.read(shown);
  }

  /**
   * @param {AlignedFace} aligned
   * @param {string} name of a condition
   * @returns {Shown}
   */
  declared({ pixels, inside }, name) {
    const quadrants = this.about.hides[name];
    if (quadrants === undefined) {
      const known = Object.keys(this.about.hides).join(', ');
      throw new Error(`Condition '${name}' is unknown; choose from: ${known}.`);
    }
    return {
      crop: blackened(pixels, inQuadrants(quadrants)),
      looks: visibleRegions(inside, quadrants, null),
      hidden: name,
      hiddenByEstimate: '',
    };
  }

  /**
   * Ask the network, all in one batch.
   *
   * @param {Shown[]} shown
   * @returns {Promise<Reading[]>}
   */
  async read(shown) {
    const network = this.networks.get(this.model.name);
    const crops = batch(shown.map(({ crop }) => crop));
    const { probabilities } = await network.run(crops, [shown.length, SIDE_PX, SIDE_PX]);
    const { labels } = this.about;
    return shown.map((one, index) => {
      const raw = probabilities.subarray(index * labels.length, (index + 1) * labels.length);
      return this.reading(one, this.calibrated(raw, one));
    });
  }

  /**
   * @param {Float32Array} raw
   * @param {Shown} shown
   * @returns {number[]}
   */
  calibrated(raw, { looks, hiddenByEstimate }) {
    const { calibration, trained } = this.model;
    const { hides, mixes } = this.about;
    let values = Array.from(raw);
    if (calibration !== null) {
      const hidden = hides[hiddenByEstimate] ?? [];
      const visible = looks.quadrants.map((share, quadrant) =>
        hidden.includes(QUADRANTS[quadrant]) ? 0 : share,
      );
      values = scaled(values, temperatureFor(calibration.temperatures, hides, visible));
    }
    const declared = mixes[this.mix];
    return declared === null ? values : reweighed(values, trained, declared);
  }

  /**
   * @param {Shown} shown
   * @param {number[]} probabilities
   * @returns {Reading}
   */
  reading({ looks, hidden, hiddenByEstimate }, probabilities) {
    const fitted = this.model.calibration?.abstainBelow ?? 0;
    const abstainBelow = this.abstainBelow ?? fitted;
    const best = bestOf(probabilities);
    const confidence = probabilities[best];
    const reason = whyNot(looks, confidence, {
      leastVisible: this.about.leastVisible,
      abstainBelow,
      isDeclared: hidden !== '',
      isOfAnotherMix:
        this.abstainBelow === null && fitted > 0 && this.about.mixes[this.mix] !== null,
    });
    const label = reason ? null : this.about.labels[best];
    const visible = { ...looks.shares, whole: looks.estimate ?? looks.most };
    return { probabilities, label, confidence, reason, hidden, hiddenByEstimate, visible };
  }

  /**
   * @param {AlignedFace} aligned
   * @param {number} best the emotion's place
   * @returns {Promise<number[]>} in the order of QUADRANTS
   */
  async quadrantValues(aligned, best) {
    const { hides, mixes } = this.about;
    const nameOf = (visible) =>
      Object.keys(hides).find((name) =>
        QUADRANTS.every((one) => hides[name].includes(one) !== visible.includes(one)),
      );
    const names = coalitions().map(nameOf);
    const readings = await this.read(names.map((name) => this.declared(aligned, name)));
    const prior = mixes[this.mix] ?? this.model.trained;
    if (prior === null) {
      throw new Error(
        `Nobody knows the mix of emotions that ${this.model.name} was trained on, and so what a ` +
          'face of which nothing can be seen tells; choose another model.',
      );
    }
    return shapley((visible) =>
      visible.length === 0
        ? prior[best]
        : readings[names.indexOf(nameOf(visible))].probabilities[best],
    );
  }

  /**
   * @param {AlignedFace} aligned
   * @param {number} best the emotion's place
   * @returns {Promise<number[]>} of the 8 * 6 tiles, row by row
   */
  async tileValues({ pixels, inside }, best) {
    const without = (tile) => ({
      crop: blackened(pixels, (index) => tileAt(index) === tile),
      looks: visibleRegions(blackened(inside, (index) => tileAt(index) === tile), [], null),
      hidden: '',
      hiddenByEstimate: '',
    });
    const tiles = Array.from({ length: TILE_ROWS * TILE_COLUMNS }, (_, tile) => without(tile));
    const full = this.declared({ pixels, inside }, 'full');
    const [whole, ...others] = await this.read([full, ...tiles]);
    return others.map((one) => whole.probabilities[best] - one.probabilities[best]);
  }
}

/**
 * @param {SeenFace} seen
 * @param {Reading} reading
 * @returns {Face}
 */
function described({ found, aligned }, reading) {
  const [[left, top], [right, bottom]] = found.box;
  const { toFrame, inside } = aligned;
  return {
    box: [left, top, right - left, bottom - top],
    five: found.five,
    landmarks: found.landmarks && Float32Array.from(found.landmarks.flat()),
    rollDeg: (-180 / Math.PI) * Math.atan2(toFrame[1][0], toFrame[0][0]),
    yawDeg: found.turn?.yawDeg ?? NaN,
    pitchDeg: found.turn?.pitchDeg ?? NaN,
    score: found.score,
    presence: found.presence,
    inPicture: inside.reduce((sum, one) => sum + one, 0) / PIXELS,
    toFrame,
    crop: aligned.pixels,
    reading,
  };
}

/** @param {object} image a Photo, or an array of pixels with its size */
const photoOf = (image) => ('rgba' in image ? image : fromArray(image));

/** @param {number[]} values */
const bestOf = (values) => values.indexOf(Math.max(...values));

/**
 * @param {Uint8Array[]} crops
 * @returns {Uint8Array}
 */
function batch(crops) {
  const values = new Uint8Array(crops.length * PIXELS);
  crops.forEach((crop, index) => values.set(crop, index * PIXELS));
  return values;
}
