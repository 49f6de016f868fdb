/**
 * Squares of a photo that networks look at; `vision/finding/squares.py` in Python.
 */

import { INPUT_PX } from './blazeface.js';
import { blank, GREY, lay, turned } from './pixels.js';
import { resized, roundEven } from './resize.js';

/**
 * @typedef {import('./pixels.js').Picture} Picture
 * @typedef {import('./boxes.js').Candidate} Candidate
 *
 * A square of 128 px of a photo, or of a larger or smaller version of it.
 *
 * @typedef {object} Square
 * @property {Picture} pixels
 * @property {[number, number]} origin its upper left corner in pixels of the scaled photo
 * @property {number} scale pixels of the scaled photo for one of the photo
 * @property {[boolean, boolean, boolean, boolean]} inner which of its sides (left, top, right,
 *   bottom) lie inside the photo: what touches these is whole in another tile
 */

/** Smaller faces are never looked for: too little is left to see in them. */
export const LEAST_FACE_PX = 20;

const STEP_PX = INPUT_PX / 2;
const MARGIN = 0.25;
const SMALLEST_IN_TILE_PX = 24;
const SMALLEST_SHARE = 1 / 40;

/** A photo at the sizes that are looked at, made once for all of its turns. */
export class Sizes {
  /** @param {Picture} photo */
  constructor(photo) {
    this.longerPx = Math.max(photo.width, photo.height);
    this.photo = photo;
    this.smaller = new Map();
  }

  /**
   * The photo with `side` pixels on its longer side, turned by quarters; the scale.
   *
   * @param {number} side
   * @param {number} quarters
   * @returns {[Picture, number]}
   */
  at(side, quarters) {
    const scale = side / this.longerPx;
    const scaled = this.smaller.get(side) ?? resized(this.photo, scale);
    // Enlarged ones would fill the memory.
    if (scale < 1) this.smaller.set(side, scaled);
    return [turned(scaled, quarters), scale];
  }
}

/**
 * The whole photo, turned by quarters, in a square of 128 px, and again with a margin.
 *
 * @param {Sizes} photo
 * @param {number} quarters
 * @returns {Generator<Square>}
 */
export function* wholeSquares(photo, quarters) {
  yield whole(...photo.at(INPUT_PX, quarters));
  yield whole(...photo.at(roundEven(INPUT_PX / (1 + 2 * MARGIN)), quarters));
}

/**
 * Squares of 128 px of larger versions of the photo, for faces of `smallestPx` and more.
 *
 * @param {Sizes} photo
 * @param {number | null} smallestPx null is a 40th of the photo's longer side, at least 20 px
 * @param {number} quarters
 * @returns {Generator<Square>}
 */
export function* tileSquares(photo, smallestPx, quarters) {
  const longer = photo.longerPx;
  const smallest = smallestPx ?? Math.max(LEAST_FACE_PX, SMALLEST_SHARE * longer);
  let side = 2 * INPUT_PX;
  // A level finds faces of SMALLEST_IN_TILE_PX; the one before found those twice as large.
  while ((longer * SMALLEST_IN_TILE_PX) / (side / 2) > smallest && side < 2 * longer) {
    yield* tiles(...photo.at(side, quarters));
    side *= 2;
  }
}

/**
 * @param {Picture} scaled
 * @param {number} scale
 * @returns {Square}
 */
function whole(scaled, scale) {
  const left = Math.floor((INPUT_PX - scaled.width) / 2);
  const top = Math.floor((INPUT_PX - scaled.height) / 2);
  const pixels = blank(INPUT_PX, INPUT_PX, 3, GREY);
  lay(pixels, scaled, left, top);
  return { pixels, origin: [-left, -top], scale, inner: [false, false, false, false] };
}

/**
 * @param {Picture} scaled
 * @param {number} scale
 * @returns {Generator<Square>}
 */
function* tiles(scaled, scale) {
  const pad = STEP_PX / 2;
  const width = Math.max(scaled.width + 2 * pad, INPUT_PX);
  const height = Math.max(scaled.height + 2 * pad, INPUT_PX);
  for (const top of starts(height)) {
    for (const left of starts(width)) {
      const pixels = blank(INPUT_PX, INPUT_PX, 3, GREY);
      lay(pixels, scaled, pad - left, pad - top);
      const inner = [left > 0, top > 0, left + INPUT_PX < width, top + INPUT_PX < height];
      yield { pixels, origin: [left - pad, top - pad], scale, inner };
    }
  }
}

/**
 * Where tiles begin so that they cover `size` pixels and overlap by half or more.
 *
 * @param {number} size
 * @returns {number[]}
 */
function starts(size) {
  const last = size - INPUT_PX;
  const found = [];
  for (let start = 0; start < last; start += STEP_PX) found.push(start);
  return [...found, last];
}

/**
 * Whether a box leaves its square through a side inside the photo.
 *
 * @param {Candidate} candidate in pixels of the square
 * @param {[boolean, boolean, boolean, boolean]} inner
 * @returns {boolean}
 */
export function isCut({ points: [low, high] }, [left, top, right, bottom]) {
  return (
    (left && low[0] < 0) ||
    (top && low[1] < 0) ||
    (right && high[0] > INPUT_PX) ||
    (bottom && high[1] > INPUT_PX)
  );
}
