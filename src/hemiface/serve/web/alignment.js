/**
 * From a face in a photo to the grey 48 x 48 picture that the networks take.
 *
 * `vision/finding/alignment.py` in Python.
 */

import { shrunk } from './resize.js';
import { inverse, placed, scaleOf, warped } from './transforms.js';

/**
 * @typedef {import('./transforms.js').Point} Point
 * @typedef {import('./transforms.js').Transform} Transform
 *
 * A photo of which parts can be had in grey.
 *
 * @typedef {object} GreySource
 * @property {number} width
 * @property {number} height
 * @property {(part: {left: number, top: number, right: number, bottom: number}) =>
 *   import('./pixels.js').Picture} greyPart
 *
 * A face in the networks' frame.
 *
 * @typedef {object} AlignedFace
 * @property {Uint8Array} pixels grey 48 * 48; beyond the photo its edge is repeated
 * @property {Uint8Array} inside 48 * 48: 1 where the pixel's centre lies inside the photo, else 0
 * @property {Transform} toFrame from pixels of the photo to pixels of the crop
 */

/** Side of the crop. */
export const SIDE_PX = 48;

/** Where in the crop the eyes, the nose and the corners of the mouth lie. */
export const FRAME = [
  [15.1, 18.8],
  [32.9, 18.8],
  [24, 30.2],
  [16.8, 36.8],
  [31.2, 36.8],
];

/**
 * The transform that brings five points to FRAME: the eyes' line level, the rest by least squares.
 *
 * @param {Point[]} five
 * @returns {Transform}
 */
export function similarity(five) {
  const { cosine, sine, scale, middle } = fit(five);
  const target = mean(FRAME);
  return [
    [scale * cosine, scale * sine, target[0] - scale * middle[0]],
    [-scale * sine, scale * cosine, target[1] - scale * middle[1]],
  ];
}

/**
 * Whether five different points lie as in a face, mouth below eyes.
 *
 * @param {Point[]} five
 * @returns {boolean}
 */
export function canAlign(five) {
  return fit(five).scale > 0;
}

/** @param {Point[]} five */
function fit(five) {
  const angle = Math.atan2(five[1][1] - five[0][1], five[1][0] - five[0][0]);
  const [cosine, sine] = [Math.cos(angle), Math.sin(angle)];
  const level = five.map(([x, y]) => [cosine * x + sine * y, cosine * y - sine * x]);
  const [middle, target] = [mean(level), mean(FRAME)];
  let [shared, own] = [0, 0];
  for (const [index, point] of level.entries()) {
    for (const axis of [0, 1]) {
      const away = point[axis] - middle[axis];
      shared += away * (FRAME[index][axis] - target[axis]);
      own += away * away;
    }
  }
  return { cosine, sine, scale: shared / own, middle };
}

/** @param {Point[]} points */
const mean = (points) =>
  [0, 1].map((axis) => points.reduce((sum, one) => sum + one[axis], 0) / points.length);

/**
 * Cut a face with five marked points out of a photo.
 *
 * Each pixel of the crop is the mean of the photo over its area where the face shrinks, and
 * interpolated linearly where it grows.
 *
 * @param {GreySource} photo
 * @param {Point[]} five
 * @returns {AlignedFace}
 */
export function align(photo, five) {
  const toFrame = similarity(five);
  const toPhoto = inverse(toFrame);
  // Sampled at least as finely as the photo, then averaged: warping alone would skip pixels.
  const finer = Math.max(1, Math.ceil(1 / scaleOf(toFrame)));
  const part = needed(photo, toPhoto);
  const [[a, b, c], [d, e, f]] = toPhoto;
  const toPart = [
    [a / finer, b / finer, c - part.left],
    [d / finer, e / finer, f - part.top],
  ];
  const drawn = warped(photo.greyPart(part), toPart, SIDE_PX * finer, null);
  const { data } = shrunk(drawn, SIDE_PX, SIDE_PX);
  return { pixels: data, inside: insideOf(photo, toPhoto), toFrame };
}

/**
 * The rows and columns of the photo that the crop shows, and some around them.
 *
 * @param {GreySource} photo
 * @param {Transform} toPhoto
 */
function needed({ width, height }, toPhoto) {
  const ends = [0, SIDE_PX];
  const corners = ends.flatMap((y) => ends.map((x) => placed(toPhoto, [x, y])));
  const low = [0, 1].map((axis) => Math.floor(Math.min(...corners.map((one) => one[axis]))) - 2);
  const high = [0, 1].map((axis) => Math.ceil(Math.max(...corners.map((one) => one[axis]))) + 2);
  const left = Math.min(Math.max(low[0], 0), width - 1);
  const top = Math.min(Math.max(low[1], 0), height - 1);
  const right = Math.max(Math.min(high[0], width), left + 1);
  const bottom = Math.max(Math.min(high[1], height), top + 1);
  return { left, top, right, bottom };
}

/**
 * @param {GreySource} photo
 * @param {Transform} toPhoto
 * @returns {Uint8Array}
 */
function insideOf({ width, height }, toPhoto) {
  const inside = new Uint8Array(SIDE_PX * SIDE_PX);
  for (let index = 0; index < inside.length; index += 1) {
    const centre = [(index % SIDE_PX) + 0.5, Math.floor(index / SIDE_PX) + 0.5];
    const [x, y] = placed(toPhoto, centre);
    inside[index] = x >= 0 && y >= 0 && x < width && y < height ? 1 : 0;
  }
  return inside;
}
