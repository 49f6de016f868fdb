/**
 * Pictures made smaller or larger, as OpenCV's `resize` does with INTER_AREA and INTER_CUBIC.
 *
 * OpenCV rounds to the nearest whole level and ties to even ones, but where both sides are halved:
 * there ties go up. OpenCV 4 enlarges with coefficients in steps of 2^-11, OpenCV 5 with exact
 * ones, as here: of noise, the two differ by one level in up to 5 % of the values.
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
const ROUNDING = 1.5 * 2 ** 23;

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
 * The whole number nearest to a level, ties to even, quicker than `roundEven`.
 *
 * Numbers of single precision from 2^23 on have no fraction: what is added is rounded away.
 *
 * @param {number} level from -2^22 to 2^22, which is taken in single precision, as OpenCV's
 * @returns {number}
 */
export function nearest(level) {
  return Math.fround(Math.fround(level) + ROUNDING) - ROUNDING;
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
  const addUp = channels === 1 ? addGrey : addColours;
  const sums = new Float64Array(size);
  /** Old row -> its columns put together, as long as it is needed. */
  const lines = new Map();
  const unused = [];
  for (let row = 0; row < result.height; row += 1) {
    sums.fill(0);
    const first = rows.places[rows.starts[row]];
    for (const [place, line] of lines) {
      if (place < first) {
        lines.delete(place);
        unused.push(line);
      }
    }
    for (let part = rows.starts[row]; part < rows.starts[row + 1]; part += 1) {
      const place = rows.places[part];
      let line = lines.get(place);
      if (line === undefined) {
        line = unused.pop() ?? new Float64Array(size);
        addUp(line, picture.data, place * picture.width * channels, columns);
        lines.set(place, line);
      }
      const weight = rows.weights[part];
      for (let index = 0; index < size; index += 1) sums[index] += weight * line[index];
    }
    store(sums, result.data, row * size, tiesUp);
  }
  return result;
}

/**
 * Put the columns of one old row together.
 *
 * @param {Float64Array} line is written
 * @param {Uint8Array} data
 * @param {number} start of the row in it
 * @param {Parts} columns
 */
function addGrey(line, data, start, { starts, places, weights }) {
  for (let column = 0; column < line.length; column += 1) {
    let sum = 0;
    for (let part = starts[column]; part < starts[column + 1]; part += 1) {
      sum += weights[part] * data[start + places[part]];
    }
    line[column] = sum;
  }
}

/** As `addGrey`, of three channels. */
function addColours(line, data, start, { starts, places, weights }) {
  for (let column = 0; 3 * column < line.length; column += 1) {
    let red = 0;
    let green = 0;
    let blue = 0;
    for (let part = starts[column]; part < starts[column + 1]; part += 1) {
      const from = start + 3 * places[part];
      const weight = weights[part];
      red += weight * data[from];
      green += weight * data[from + 1];
      blue += weight * data[from + 2];
    }
    line[3 * column] = red;
    line[3 * column + 1] = green;
    line[3 * column + 2] = blue;
  }
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
    const level = tiesUp ? Math.floor(sums[index] + 0.5) : nearest(sums[index]);
    data[start + index] = Math.min(Math.max(level, 0), 255);
  }
}
