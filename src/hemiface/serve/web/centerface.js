/**
 * CenterFace, which finds faces of any size in one look; `vision/finding/centerface.py` in Python.
 */

import { canAlign } from './alignment.js';
import { bestFirst, distinct, longerSide } from './boxes.js';
import { largestFirst, LEAST_CONTRAST } from './faces.js';
import { blank, contrast, GREY, lay } from './pixels.js';
import { resized } from './resize.js';
import { LEAST_FACE_PX } from './squares.js';

/**
 * @typedef {import('./boxes.js').Candidate} Candidate
 * @typedef {import('./faces.js').FoundFace} FoundFace
 * @typedef {import('./networks.js').Network} Network
 * @typedef {import('./pixels.js').Picture} Picture
 */

const STRIDE_PX = 4;
const MULTIPLE_PX = 32;
const MOST_OVERLAP = 0.3;
const LONGEST_PX = 1600;
const CLOSE_LOOKS_PX = [320, 160];
const MARGIN_PX = 80;
const LAST_LOOK_PX = 80;
const FIVE = 5;

/** A score from which a face is one though nothing else sees it. */
export const SURE = 0.55;

/**
 * Boxes with five points in pixels of the input, best first.
 *
 * @param {object} maps of `rows` * `columns` cells, one after the other; y before x
 * @param {Float32Array} maps.heat one map
 * @param {Float32Array} maps.logSize two maps: logarithms of sizes in cells
 * @param {Float32Array} maps.offset two maps, in cells
 * @param {Float32Array} maps.landmarks ten maps, in shares of the box
 * @param {number} columns
 * @param {number} leastScore
 * @returns {Candidate[]}
 */
export function decode({ heat, logSize, offset, landmarks }, columns, leastScore) {
  const cells = heat.length;
  const found = [];
  for (let cell = 0; cell < cells; cell += 1) {
    if (heat[cell] < leastScore) continue;
    const place = [cell % columns, Math.floor(cell / columns)];
    const told = (maps, axis, point = 0) => maps[(2 * point + 1 - axis) * cells + cell];
    const size = [0, 1].map((axis) => STRIDE_PX * Math.exp(told(logSize, axis)));
    const corner = [0, 1].map(
      (axis) => STRIDE_PX * (place[axis] + 0.5 + told(offset, axis)) - size[axis] / 2,
    );
    const at = (share) => [0, 1].map((axis) => corner[axis] + size[axis] * share(axis));
    const five = Array.from({ length: FIVE }, (_, point) =>
      at((axis) => told(landmarks, axis, point)),
    );
    found.push({ points: [corner, at(() => 1), ...five], score: heat[cell] });
  }
  return bestFirst(found);
}

/**
 * Looks at a photo three times: as a whole and, for faces that fill it, twice small; and, where it
 * is sure of none, once more.
 */
export class CenterFaceDetector {
  /**
   * @param {Network} network
   * @param {number} leastScore
   */
  constructor(network, leastScore) {
    this.network = network;
    // As NumPy, which compares with a map in single precision.
    this.leastScore = Math.fround(leastScore);
  }

  /**
   * @param {Picture} photo
   * @returns {Promise<FoundFace[]>} largest first
   */
  async detect(photo) {
    if (contrast(photo) < LEAST_CONTRAST) return [];
    const longer = Math.max(photo.width, photo.height);
    const looks = [await this.look(photo, Math.min(LONGEST_PX, longer), 0)];
    for (const side of CLOSE_LOOKS_PX) looks.push(await this.look(photo, side, MARGIN_PX));
    if (!looks.flat().some(({ score }) => score >= SURE)) {
      looks.push(await this.look(photo, LAST_LOOK_PX, MARGIN_PX));
    }
    const faces = suppress(bestFirst(looks.flat()))
      .filter(({ points }) => longerSide(points) >= LEAST_FACE_PX && canAlign(points.slice(2)))
      .map(({ points, score }) => ({
        box: points.slice(0, 2),
        score,
        landmarks: null,
        presence: null,
        five: points.slice(2),
        turn: null,
      }));
    return largestFirst(faces);
  }

  /**
   * What one look at the photo with `longerPx` on its longer side shows.
   *
   * @param {Picture} photo
   * @param {number} longerPx
   * @param {number} margin of grey around it
   * @returns {Promise<Candidate[]>} in pixels of the photo
   */
  async look(photo, longerPx, margin) {
    const scaled = resized(photo, longerPx / Math.max(photo.width, photo.height));
    // What fills up to the next multiple lies to the right and below.
    const width = nextMultiple(scaled.width + 2 * margin);
    const height = nextMultiple(scaled.height + 2 * margin);
    const image = blank(width, height, 3, GREY);
    lay(image, scaled, margin, margin);
    const maps = await this.network.run(planes(image), [1, 3, height, width]);
    const [heat, logSize, offset, landmarks] = ['537', '538', '539', '540'].map((key) => maps[key]);
    const columns = width / STRIDE_PX;
    const found = decode({ heat, logSize, offset, landmarks }, columns, this.leastScore);
    const back = ([x, y]) => [
      ((x - margin) * photo.width) / scaled.width,
      ((y - margin) * photo.height) / scaled.height,
    ];
    return suppress(found).map(({ points, score }) => ({ points: points.map(back), score }));
  }
}

/** @param {Candidate[]} found best first */
const suppress = (found) => distinct(found, MOST_OVERLAP, (one) => one.points);

/** @param {number} side */
const nextMultiple = (side) => Math.ceil(side / MULTIPLE_PX) * MULTIPLE_PX;

/**
 * A picture's channels one after the other, as the network takes them.
 *
 * @param {Picture} picture
 * @returns {Float32Array}
 */
function planes({ width, height, data }) {
  const cells = width * height;
  const result = new Float32Array(3 * cells);
  for (let cell = 0, from = 0; cell < cells; cell += 1, from += 3) {
    result[cell] = data[from];
    result[cells + cell] = data[from + 1];
    result[2 * cells + cell] = data[from + 2];
  }
  return result;
}
