/**
 * MediaPipe's two networks: BlazeFace finds faces in squares, the landmark network looks at each.
 *
 * `MediaPipeDetector` of `vision/finding/detector.py` in Python.
 */

import { canAlign } from './alignment.js';
import { decode, INPUT_PX, suppress } from './blazeface.js';
import { around, bestFirst, distinct, longerSide, middle } from './boxes.js';
import { fivePoints, largestFirst, LEAST_CONTRAST, turnOf } from './faces.js';
import { contrast } from './pixels.js';
import { shrunk } from './resize.js';
import { isCut, Sizes, tileSquares, wholeSquares } from './squares.js';
import { cutOut, placed, scaleOf, toSquare } from './transforms.js';

/**
 * @typedef {import('./boxes.js').Candidate} Candidate
 * @typedef {import('./faces.js').FoundFace} FoundFace
 * @typedef {import('./networks.js').Network} Network
 * @typedef {import('./pixels.js').Picture} Picture
 * @typedef {import('./transforms.js').Transform} Transform
 */

/** With a score like this the photo isn't searched lying on its sides or head. */
export const SURELY_UPRIGHT = 0.88;

const LEAST_SCORE = 0.5;
const LEAST_PRESENCE = 0.5;
const LEAST_PRODUCT = 0.55;
const CLEARLY_BETTER = 0.03;
const NEAR_SCALE = 3;
const MOST_FINE = 4;
const LANDMARK_PX = 192;
const LANDMARK_SCALE = 1.5;
const SAME_CANDIDATE = 0.3;
const SAME_FACE = 0.4;

export class MediaPipeDetector {
  /**
   * @param {Network} detection
   * @param {Network} landmarks
   */
  constructor(detection, landmarks) {
    this.detection = detection;
    this.landmarks = landmarks;
  }

  /**
   * The faces of a photo, also where it lies on its side or head.
   *
   * @param {Picture} photo
   * @param {number | null} [smallestPx] the longer side of the smallest face that is looked for
   * @returns {Promise<FoundFace[]>} largest first
   */
  async detect(photo, smallestPx = null) {
    const sizes = new Sizes(photo);
    let best = await this.search(photo, sizes, 0, smallestPx);
    // An upside-down face can pass for an upright one, but scores lower than turned back.
    if (bestScore(best) < SURELY_UPRIGHT) {
      let other = [];
      for (const quarters of [1, 2, 3]) {
        const found = await this.search(photo, sizes, quarters, smallestPx);
        if (bestScore(found) > bestScore(other)) other = found;
      }
      if (bestScore(other) > bestScore(best) + CLEARLY_BETTER) best = other;
    }
    return largestFirst(best);
  }

  /**
   * The faces of a video's next frame: near `known` ones, and new ones that are large.
   *
   * @param {Picture} photo
   * @param {FoundFace[]} known
   * @returns {Promise<FoundFace[]>} largest first
   */
  async follow(photo, known) {
    const found = [];
    for (const square of wholeSquares(new Sizes(photo), 0)) {
      found.push(...(await this.inSquare(square)));
    }
    for (const face of known) found.push(...(await this.near(photo, face)));
    return largestFirst(await this.lookAtAll(photo, strongest(found)));
  }

  /**
   * @param {Picture} photo
   * @param {Sizes} sizes of the same photo
   * @param {number} quarters by which it is turned
   * @param {number | null} smallestPx
   * @returns {Promise<FoundFace[]>} in pixels of the photo as it is
   */
  async search(photo, sizes, quarters, smallestPx) {
    const found = [];
    const whole = wholeSquares(sizes, quarters);
    const tiles = tileSquares(sizes, smallestPx, quarters);
    for (const squares of [whole, tiles]) {
      for (const square of squares) found.push(...(await this.inSquare(square)));
    }
    const upright = strongest(found).map((one) => turnedBack(one, quarters, photo));
    return this.lookAtAll(photo, upright);
  }

  /**
   * @param {Picture} photo
   * @param {Candidate[]} candidates
   * @returns {Promise<FoundFace[]>}
   */
  async lookAtAll(photo, candidates) {
    const faces = [];
    for (const candidate of candidates) {
      const face = await this.look(photo, candidate);
      if (face) faces.push(face);
    }
    return distinct(bestFirst(faces), SAME_FACE, (face) => face.box);
  }

  /**
   * What one square shows, in pixels of the (turned) photo.
   *
   * @param {import('./squares.js').Square} square
   * @returns {Promise<Candidate[]>}
   */
  async inSquare({ pixels, origin, scale, inner }) {
    const found = await this.blaze(pixels);
    const back = ([x, y]) => [(x + origin[0]) / scale, (y + origin[1]) / scale];
    return found
      .filter((one) => !isCut(one, inner))
      .map(({ points, score }) => ({ points: points.map(back), score }));
  }

  /**
   * What lies around a face of the frame before.
   *
   * @param {Picture} photo
   * @param {FoundFace} known
   * @returns {Promise<Candidate[]>}
   */
  async near(photo, { box, five }) {
    const across = [five[1][0] - five[0][0], five[1][1] - five[0][1]];
    const toPhoto = toSquare(middle(box), NEAR_SCALE * longerSide(box), across, INPUT_PX);
    const scale = scaleOf(toPhoto);
    // Sampled about as finely as the photo, then averaged: warping alone would skip pixels.
    const finer = Math.min(Math.max(Math.floor(scale), 1), MOST_FINE);
    const fine = toPhoto.map(([a, b, c]) => [a / finer, b / finer, c]);
    const patch = shrunk(cutOut(photo, fine, INPUT_PX * finer), INPUT_PX, INPUT_PX);
    const found = (await this.blaze(patch)).filter((one) => !isCut(one, [true, true, true, true]));
    return found.map(({ points, score }) => {
      const there = points.map((point) => placed(toPhoto, point));
      // A box isn't turned with its keypoints, as in every other square.
      const centre = middle(there);
      const half = [0, 1].map((axis) => ((points[1][axis] - points[0][axis]) * scale) / 2);
      const corner = (sign) => [centre[0] + sign * half[0], centre[1] + sign * half[1]];
      return { points: [corner(-1), corner(1), ...there.slice(2)], score };
    });
  }

  /**
   * @param {Picture} pixels a square of 128 px
   * @returns {Promise<Candidate[]>} in pixels of the square
   */
  async blaze(pixels) {
    if (contrast(pixels) < LEAST_CONTRAST) return [];
    const values = between(pixels.data, 127.5, -1);
    const found = await this.detection.run(values, [1, INPUT_PX, INPUT_PX, 3]);
    return suppress(decode(found.regressors, found.classificators, LEAST_SCORE));
  }

  /**
   * Let the landmark network look at a candidate.
   *
   * @param {Picture} photo
   * @param {Candidate} candidate
   * @returns {Promise<FoundFace | null>} null if it sees no face
   */
  async look(photo, { points, score }) {
    const [rightEye, leftEye] = points.slice(2);
    const across = [leftEye[0] - rightEye[0], leftEye[1] - rightEye[1]];
    const side = LANDMARK_SCALE * longerSide(points);
    const toPhoto = toSquare(middle(points), side, across, LANDMARK_PX);
    const { mesh, presence } = await this.mesh(photo, toPhoto);
    if (presence < LEAST_PRESENCE || score * presence < LEAST_PRODUCT) return null;
    return faceOf(mesh, score, presence);
  }

  /**
   * Landmarks in the photo and their presence, for one square of it.
   *
   * @param {Picture} photo
   * @param {Transform} toPhoto
   * @returns {Promise<{mesh: number[][], presence: number}>} 468 of x, y and depth, all in pixels
   */
  async mesh(photo, toPhoto) {
    const patch = cutOut(photo, toPhoto, LANDMARK_PX);
    const values = between(patch.data, 255, 0);
    const found = await this.landmarks.run(values, [1, LANDMARK_PX, LANDMARK_PX, 3]);
    const [few, many] = Object.values(found).sort((one, other) => one.length - other.length);
    const scale = scaleOf(toPhoto);
    const mesh = Array.from({ length: many.length / 3 }, (_, index) => {
      const [x, y, depth] = many.subarray(3 * index, 3 * index + 3);
      // The network's depth has the scale of its x.
      return [...placed(toPhoto, [x, y]), depth * scale];
    });
    return { mesh, presence: 1 / (1 + Math.exp(-few[0])) };
  }
}

/**
 * @param {number[][]} mesh
 * @param {number} score
 * @param {number} presence
 * @returns {FoundFace | null} null if its points can't be a face's
 */
export function faceOf(mesh, score, presence) {
  const landmarks = mesh.map(([x, y]) => [x, y]);
  const five = fivePoints(landmarks);
  if (!canAlign(five)) return null;
  return { box: around(landmarks), score, landmarks, presence, five, turn: turnOf(mesh) };
}

/**
 * Levels as a network takes them, computed in single precision.
 *
 * @param {Uint8Array} levels
 * @param {number} by what they are divided by
 * @param {number} plus what is added then
 * @returns {Float32Array}
 */
function between(levels, by, plus) {
  const values = new Float32Array(levels.length);
  for (let index = 0; index < levels.length; index += 1) {
    values[index] = Math.fround(levels[index] / by) + plus;
  }
  return values;
}

/** @param {Candidate[]} found */
const strongest = (found) => distinct(bestFirst(found), SAME_CANDIDATE, (one) => one.points);

/** @param {FoundFace[]} faces */
const bestScore = (faces) => Math.max(0, ...faces.map((face) => face.score));

/**
 * Points of a photo that was turned by quarters as points of the photo as it is.
 *
 * @param {Candidate} candidate
 * @param {number} quarters
 * @param {Picture} photo
 * @returns {Candidate} its box's corners are upper left and lower right again
 */
function turnedBack({ points, score }, quarters, { width, height }) {
  const back = [
    ([x, y]) => [x, y],
    ([x, y]) => [width - y, x],
    ([x, y]) => [width - x, height - y],
    ([x, y]) => [y, height - x],
  ][quarters];
  const there = points.map(back);
  return { points: [...around(there.slice(0, 2)), ...there.slice(2)], score };
}
