/**
 * Pictures in memory, and what is done to them pixel by pixel.
 *
 * A picture's rows follow each other from the top, each pixel's channels side by side. A pixel's
 * centre lies at whole numbers plus a half. What is the same in Python is in `vision/photos.py` and
 * in OpenCV's `cvtColor`.
 *
 * @typedef {object} Picture
 * @property {number} width
 * @property {number} height
 * @property {1 | 3} channels 1 is grey, 3 is red, green and blue
 * @property {Uint8Array} data height * width * channels values
 */

/** What lies around a picture where networks look beyond it. */
export const GREY = 127;

/**
 * @param {number} width
 * @param {number} height
 * @param {1 | 3} channels
 * @param {number} [level] what fills it
 * @returns {Picture}
 */
export function blank(width, height, channels, level = 0) {
  const data = new Uint8Array(width * height * channels);
  if (level) data.fill(level);
  return { width, height, channels, data };
}

/**
 * A canvas's pixels as red, green and blue, transparency laid on black as Pillow does it.
 *
 * @param {Uint8Array | Uint8ClampedArray} rgba height * width * 4 values, not premultiplied
 * @param {number} width
 * @param {number} height
 * @returns {Picture}
 */
export function fromRgba(rgba, width, height) {
  const picture = blank(width, height, 3);
  const { data } = picture;
  for (let from = 0, to = 0; to < data.length; from += 4, to += 3) {
    const alpha = rgba[from + 3];
    for (let channel = 0; channel < 3; channel += 1) {
      const level = rgba[from + channel];
      data[to + channel] = alpha === 255 ? level : Math.floor((level * alpha + 127) / 255);
    }
  }
  return picture;
}

/**
 * Grey of the rows and columns of a coloured picture, as OpenCV weighs them: in steps of 2^-15.
 *
 * @param {Picture} picture
 * @param {{left: number, top: number, right: number, bottom: number}} part
 * @returns {Picture}
 */
export function greyPart(picture, { left, top, right, bottom }) {
  const part = blank(right - left, bottom - top, 1);
  const { data } = picture;
  let to = 0;
  for (let row = top; row < bottom; row += 1) {
    let from = 3 * (row * picture.width + left);
    for (let column = left; column < right; column += 1, from += 3, to += 1) {
      const sum = 9798 * data[from] + 19235 * data[from + 1] + 3735 * data[from + 2];
      part.data[to] = (sum + 16384) >> 15;
    }
  }
  return part;
}

/**
 * A picture turned counterclockwise by quarters, as `np.rot90`.
 *
 * @param {Picture} picture
 * @param {number} quarters 0 to 3
 * @returns {Picture}
 */
export function turned(picture, quarters) {
  if (quarters === 0) return picture;
  const { width, height, channels, data } = picture;
  const swaps = quarters % 2 === 1;
  const result = blank(swaps ? height : width, swaps ? width : height, channels);
  // Where in the old picture the new one's first pixel lies, and one to its right and below.
  const [first, right, down] = {
    1: [width - 1, width, -1],
    2: [width * height - 1, -1, -width],
    3: [width * (height - 1), -width, 1],
  }[quarters];
  let to = 0;
  for (let row = 0; row < result.height; row += 1) {
    let from = (first + row * down) * channels;
    for (let column = 0; column < result.width; column += 1, from += right * channels) {
      for (let channel = 0; channel < channels; channel += 1, to += 1) {
        result.data[to] = data[from + channel];
      }
    }
  }
  return result;
}

/**
 * Lay one picture over another, in place; what lies outside of `onto` is left out.
 *
 * @param {Picture} onto
 * @param {Picture} picture of as many channels
 * @param {number} left may be negative, as `top`
 * @param {number} top
 */
export function lay(onto, picture, left, top) {
  const { channels } = onto;
  const from = Math.max(-left, 0);
  const to = Math.min(picture.width, onto.width - left);
  if (to <= from) return;
  for (let row = Math.max(-top, 0); row < Math.min(picture.height, onto.height - top); row += 1) {
    const start = row * picture.width;
    const line = picture.data.subarray((start + from) * channels, (start + to) * channels);
    onto.data.set(line, ((row + top) * onto.width + left + from) * channels);
  }
}

/**
 * How far apart a picture's lightest and darkest values lie.
 *
 * @param {Picture} picture
 * @returns {number}
 */
export function contrast({ data }) {
  let low = 255;
  let high = 0;
  for (let index = 0; index < data.length; index += 1) {
    const level = data[index];
    if (level < low) low = level;
    if (level > high) high = level;
  }
  return Math.max(high - low, 0);
}
