/**
 * Where pixels come from: an array, or a bitmap of the browser of which parts are read when needed.
 *
 * A canvas keeps colours multiplied by their transparency, in 8 bits: where a picture is partly
 * transparent, levels may differ from Pillow's by one or two before they are laid on black.
 *
 * @typedef {{left: number, top: number, right: number, bottom: number}} Part
 *
 * @typedef {object} Photo
 * @property {number} width
 * @property {number} height
 * @property {(part: Part) => Uint8Array | Uint8ClampedArray} rgba the part's pixels, row by row,
 *   not premultiplied
 */

import { fromRgba, greyPart } from './pixels.js';

/**
 * @param {{data: Uint8Array | Uint8ClampedArray, width: number, height: number}} image RGBA
 * @returns {Photo}
 */
export function fromArray({ data, width, height }) {
  const rgba = ({ left, top, right, bottom }) => {
    const line = 4 * (right - left);
    const part = new Uint8Array(line * (bottom - top));
    for (let row = top; row < bottom; row += 1) {
      const start = 4 * (row * width + left);
      part.set(data.subarray(start, start + line), (row - top) * line);
    }
    return part;
  };
  return { width, height, rgba };
}

/**
 * @param {ImageBitmap} bitmap which is closed
 * @returns {Photo}
 */
export function fromBitmap(bitmap) {
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height);
  // Without this the pixels lie on the graphics card, from where they are slow to read.
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const rgba = ({ left, top, right, bottom }) =>
    context.getImageData(left, top, right - left, bottom - top).data;
  return { width, height, rgba };
}

/**
 * All of a photo.
 *
 * @param {Photo} photo
 * @returns {import('./pixels.js').Picture}
 */
export function pictureOf(photo) {
  const { width, height } = photo;
  return fromRgba(photo.rgba({ left: 0, top: 0, right: width, bottom: height }), width, height);
}

/**
 * A photo of which faces are cut, no more of it being read than they need.
 *
 * @param {Photo} photo
 * @returns {import('./alignment.js').GreySource}
 */
export function greyOf(photo) {
  const part = (where) => {
    const [width, height] = [where.right - where.left, where.bottom - where.top];
    const picture = fromRgba(photo.rgba(where), width, height);
    return greyPart(picture, { left: 0, top: 0, right: width, bottom: height });
  };
  return { width: photo.width, height: photo.height, greyPart: part };
}
