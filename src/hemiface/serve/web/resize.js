/**
 * Pictures made smaller or larger, as OpenCV's `resize` does with INTER_AREA and INTER_CUBIC.
 *
 * OpenCV rounds to the nearest whole level and ties to even ones, but where both sides are halved:
 * there ties go up. OpenCV 4 enlarges with coefficients in steps of 2^-11, OpenCV 5 with exact ones,
 * as here: the two differ by one level in 4 % of the values of noise.
 */

import { blank } from './pixels.js';

/** @typedef {import('./pixels.js').Picture} Picture */

/**
 * What each new row or column is made of.
 *
 * @typedef {object} Parts
 * @property {Int32Array} starts where the weights of each begin; one more at the end
 * @property {Int32Array} places old row or column of each weight
 * @property {Float64Array} weights
 */

const CUBIC = -0.75;
const LEAST_SHARE = 1e-3;

/**
 * Round half to even, as Python and OpenCV do.
 *
 * @param {number} value
 * @returns {number}
 */
export function roundEven(value) {
  const low = Math.floor(value);
  const rest = value - low;
  if (rest !== 0.5) return rest < 0.5 ? low : low + 1;
  return low % 2 === 0 ? low : low + 1;
}

/**
 * The size of a picture that is scaled, at least a pixel a side.
 *
 * @param {{width: number, height: number}} picture
 * @param {number} scale
 * @returns {{width: number, height: number}}
 */
export function scaledSize({ width, height }, scale) {
  return {
    width: Math.max(roundEven(width * scale), 1),
    height: Math.max(roundEven(height * scale), 1),
  };
}

/**
 * A picture at another scale: its pixels' means where it shrinks, cubic where it grows.
 *
 * @param {Picture} picture
 * @param {number} scale
 * @returns {Picture}
 */
export function resized(picture, scale) {
  const { width, height } = scaledSize(picture, scale);
  return scale < 1 ? shrunk(picture, width, height) : enlarged(picture, width, height);
}

/**
 * A smaller picture, each pixel the mean of what it covers (INTER_AREA).
 *
 * @param {Picture} picture
 * @param {number} width not above the picture's, as `height`
 * @param {number} height
 * @returns {Picture}
 */
export function shrunk(picture, width, height) {
  if (width === picture.width && height === picture.height) return picture;
  const halved = picture.width === 2 * width && picture.height === 2 * height;
  return combined(picture, areas(picture.width, width), areas(picture.height, height), halved);
}

/**
 * A larger picture through cubic curves (INTER_CUBIC); its borders are repeated.
 *
 * @param {Picture} picture
 * @param {number} width
 * @param {number} height
 * @returns {Picture}
 */
export function enlarged(picture, width, height) {
  if (width === picture.width && height === picture.height) return picture;
  return combined(picture, curves(picture.width, width), curves(picture.height, height), false);
}

/**
 * @param {number} from
 * @param {number} to
 * @returns {Parts}
 */
function areas(from, to) {
  const scale = from / to;
  const [starts, places, weights] = [[0], [], []];
  for (let index = 0; index < to; index += 1) {
    const [low, high] = [index * scale, (index + 1) * scale];
    const whole = Math.min(scale, from - low);
    const last = Math.min(Math.floor(high), from - 1);
    const first = Math.min(Math.ceil(low), last);
    if (first - low > LEAST_SHARE) {
      places.push(first - 1);
      weights.push((first - low) / whole);
    }
    for (let place = first; place < last; place += 1) {
      places.push(place);
      weights.push(1 / whole);
    }
    if (high - last > LEAST_SHARE) {
      places.push(last);
      weights.push(Math.min(high - last, 1, whole) / whole);
    }
    starts.push(places.length);
  }
  return packed(starts, places, weights);
}

/**
 * @param {number} from
 * @param {number} to
 * @returns {Parts}
 */
function curves(from, to) {
  const [starts, places, weights] = [[0], [], []];
  for (let index = 0; index < to; index += 1) {
    const middle = ((index + 0.5) * from) / to - 0.5;
    const place = Math.floor(middle);
    const away = middle - place;
    const three = [outer(1 + away), inner(away), inner(1 - away)];
    const four = [...three, 1 - three[0] - three[1] - three[2]];
    four.forEach((weight, step) => {
      places.push(Math.min(Math.max(place - 1 + step, 0), from - 1));
      weights.push(weight);
    });
    starts.push(places.length);
  }
  return packed(starts, places, weights);
}

/** @param {number} away up to 1 */
const inner = (away) => ((CUBIC + 2) * away - (CUBIC + 3)) * away * away + 1;

/** @param {number} away 1 to 2 */
const outer = (away) => ((CUBIC * away - 5 * CUBIC) * away + 8 * CUBIC) * away - 4 * CUBIC;

/** @returns {Parts} */
const packed = (starts, places, weights) => ({
  starts: Int32Array.from(starts),
  places: Int32Array.from(places),
  weights: Float64Array.from(weights),
});

/**
 * Put rows and columns together, columns first; old rows are gone through once.
 *
 * @param {Picture} picture
 * @param {Parts} columns
 * @param {Parts} rows
 * @param {boolean} tiesUp
 * @returns {Picture}
 */
function combined(picture, columns, rows, tiesUp) {
  const { channels } = picture;
  const result = blank(columns.starts.length - 1, rows.starts.length - 1, channels);
  const size = result.width * channels;
  const sums = new Float64Array(size);
  const lines = new Map();
  for (let row = 0; row < result.height; row += 1) {
    sums.fill(0);
    const first = rows.places[rows.starts[row]];
    for (const known of lines.keys()) if (known < first) lines.delete(known);
    for (let part = rows.starts[row]; part < rows.starts[row + 1]; part += 1) {
      const place = rows.places[part];
      if (!lines.has(place)) lines.set(place, line(picture, place, columns));
      const levels = lines.get(place);
      const weight = rows.weights[part];
      for (let index = 0; index < size; index += 1) sums[index] += weight * levels[index];
    }
    store(sums, result.data, row * size, tiesUp);
  }
  return result;
}

/**
 * One old row with its columns put together.
 *
 * @param {Picture} picture
 * @param {number} row
 * @param {Parts} columns
 * @returns {Float64Array}
 */
function line({ width, channels, data }, row, { starts, places, weights }) {
  const count = starts.length - 1;
  const result = new Float64Array(count * channels);
  const start = row * width * channels;
  for (let column = 0; column < count; column += 1) {
    for (let channel = 0; channel < channels; channel += 1) {
      let sum = 0;
      for (let part = starts[column]; part < starts[column + 1]; part += 1) {
        sum += weights[part] * data[start + places[part] * channels + channel];
      }
      result[column * channels + channel] = sum;
    }
  }
  return result;
}

/**
 * Round sums to levels.
 *
 * @param {Float64Array} sums
 * @param {Uint8Array} data
 * @param {number} start
 * @param {boolean} tiesUp
 */
function store(sums, data, start, tiesUp) {
  for (let index = 0; index < sums.length; index += 1) {
    // Single precision, as OpenCV's: what should be a tie isn't quite one in double precision.
    const value = Math.fround(sums[index]);
    const level = tiesUp ? Math.floor(value + 0.5) : roundEven(value);
    data[start + index] = Math.min(Math.max(level, 0), 255);
  }
}
