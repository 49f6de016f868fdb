/**
 * Transforms of points in the plane, and pictures seen through them.
 *
 * What is the same in Python is in `vision/finding/squares.py` and in OpenCV's `warpAffine`.
 *
 * @typedef {[number, number]} Point x, to the right, and y, down
 * @typedef {[[number, number, number], [number, number, number]]} Transform two rows, of which
 *   the first gives x' = a x + b y + c and the second y'
 */

import { blank, GREY } from './pixels.js';
import { nearest } from './resize.js';

/** @typedef {import('./pixels.js').Picture} Picture */

/**
 * @param {Transform} transform
 * @param {ArrayLike<number>} point
 * @returns {Point}
 */
export function placed([[a, b, c], [d, e, f]], [x, y]) {
  return [a * x + b * y + c, d * x + e * y + f];
}

/**
 * @param {Transform} transform
 * @returns {Transform} the way back
 */
export function inverse([[a, b, c], [d, e, f]]) {
  const area = a * e - b * d;
  const [p, q, r, s] = [e / area, -b / area, -d / area, a / area];
  return [
    [p, q, -(p * c + q * f)],
    [r, s, -(r * c + s * f)],
  ];
}

/**
 * By how much a transform that keeps shapes enlarges.
 *
 * @param {Transform} transform
 * @returns {number}
 */
export function scaleOf([[a], [d]]) {
  return Math.hypot(a, d);
}

/**
 * From a square of `size` pixels to one of a photo whose rows run `across`.
 *
 * @param {Point} middle of the photo's square
 * @param {number} side of it
 * @param {Point} across
 * @param {number} size
 * @returns {Transform}
 */
export function toSquare(middle, side, across, size) {
  const angle = Math.atan2(across[1], across[0]);
  const scale = side / size;
  const [cosine, sine] = [scale * Math.cos(angle), scale * Math.sin(angle)];
  const half = size / 2;
  return [
    [cosine, -sine, middle[0] - half * (cosine - sine)],
    [sine, cosine, middle[1] - half * (sine + cosine)],
  ];
}

/**
 * What a square of a photo shows, grey where it reaches beyond.
 *
 * @param {Picture} photo
 * @param {Transform} toPhoto from pixels of the square to those of the photo
 * @param {number} size of the square in pixels
 * @returns {Picture}
 */
export function cutOut(photo, toPhoto, size) {
  return warped(photo, toPhoto, size, GREY);
}

/**
 * A square that shows a picture through a transform, interpolated linearly.
 *
 * OpenCV 5 does this in single precision, and so does this; OpenCV 4 places pixels in steps of a
 * 32nd, which changes levels by a few where neighbours differ much.
 *
 * @param {Picture} picture
 * @param {Transform} toPicture from pixels of the square to those of the picture
 * @param {number} size of the square in pixels
 * @param {number | null} around what lies beyond the picture; null repeats its border
 * @returns {Picture}
 */
export function warped(picture, toPicture, size, around) {
  const { width, height, channels, data } = picture;
  // Pixels' centres lie at halves, while here both are counted from the first centre.
  const [[a, b, c], [d, e, f]] = toPicture.map(([x, y, z]) => [x, y, z + (x + y) / 2 - 0.5]);
  const across = Math.fround(a);
  const down = Math.fround(d);
  const result = blank(size, size, channels, around ?? 0);
  const out = result.data;
  let to = 0;
  for (let row = 0; row < size; row += 1) {
    const startX = Math.fround(row * b + c);
    const startY = Math.fround(row * e + f);
    for (let column = 0; column < size; column += 1, to += channels) {
      const x = Math.fround(across * column + startX);
      const y = Math.fround(down * column + startY);
      // As 32-bit integers, with which browsers find places in arrays faster.
      const left = Math.floor(x) | 0;
      const top = Math.floor(y) | 0;
      const toRight = Math.fround(x - left);
      const toBottom = Math.fround(y - top);
      if (left >= 0 && top >= 0 && left + 1 < width && top + 1 < height) {
        const above = ((top * width + left) * channels) | 0;
        const below = (above + width * channels) | 0;
        for (let channel = 0; channel < channels; channel += 1) {
          const place = above + channel;
          const under = below + channel;
          const upper = between(data[place], data[place + channels], toRight);
          const lower = between(data[under], data[under + channels], toRight);
          out[to + channel] = nearest(between(upper, lower, toBottom));
        }
      } else if (around === null || (x >= -1 && y >= -1 && x < width && y < height)) {
        for (let channel = 0; channel < channels; channel += 1) {
          const at = (right, lower) => level(picture, left + right, top + lower, channel, around);
          const upper = between(at(0, 0), at(1, 0), toRight);
          const lower = between(at(0, 1), at(1, 1), toRight);
          out[to + channel] = nearest(between(upper, lower, toBottom));
        }
      }
    }
  }
  return result;
}

/**
 * @param {number} one
 * @param {number} other
 * @param {number} share of the way from one to the other
 * @returns {number} in single precision
 */
function between(one, other, share) {
  return Math.fround(one + share * Math.fround(other - one));
}

/**
 * @param {Picture} picture
 * @param {number} column may lie beyond the picture, as `row`
 * @param {number} row
 * @param {number} channel
 * @param {number | null} around
 * @returns {number}
 */
function level({ width, height, channels, data }, column, row, channel, around) {
  const x = Math.min(Math.max(column, 0), width - 1);
  const y = Math.min(Math.max(row, 0), height - 1);
  if (around !== null && (x !== column || y !== row)) return around;
  return data[(y * width + x) * channels + channel];
}
