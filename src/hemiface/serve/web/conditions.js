/**
 * What can be hidden of a face; `occlusion/conditions.py` and `occlusion/tiles.py` in Python.
 *
 * Conditions name what is hidden, in the picture's sides. What each hides stands in page.json.
 */

import { SIDE_PX } from './alignment.js';

export const QUADRANTS = ['upper-left', 'upper-right', 'lower-left', 'lower-right'];
export const HALVES = ['upper', 'lower', 'left', 'right'];
export const TILE_COLUMNS = 6;
export const TILE_ROWS = 8;

const HALF_PX = SIDE_PX / 2;

/**
 * Which quadrant a pixel of the crop belongs to, as an index of QUADRANTS.
 *
 * @param {number} index of the pixel, row by row
 * @returns {number}
 */
export function quadrantAt(index) {
  const row = Math.floor(index / SIDE_PX);
  const column = index % SIDE_PX;
  return (row < HALF_PX ? 0 : 2) + (column < HALF_PX ? 0 : 1);
}

/**
 * Which tile of the 8 rows and 6 columns a pixel belongs to, row by row.
 *
 * @param {number} index of the pixel, row by row
 * @returns {number}
 */
export function tileAt(index) {
  const row = Math.floor((Math.floor(index / SIDE_PX) * TILE_ROWS) / SIDE_PX);
  const column = Math.floor(((index % SIDE_PX) * TILE_COLUMNS) / SIDE_PX);
  return row * TILE_COLUMNS + column;
}

/**
 * A copy of a crop that is black where `isHidden` says so.
 *
 * @param {Uint8Array} pixels
 * @param {(index: number) => boolean} isHidden
 * @returns {Uint8Array}
 */
export function blackened(pixels, isHidden) {
  return pixels.map((level, index) => (isHidden(index) ? 0 : level));
}

/**
 * @param {string[]} quadrants
 * @returns {(index: number) => boolean} whether a pixel of the crop lies in one of them
 */
export function inQuadrants(quadrants) {
  const hidden = QUADRANTS.map((name) => quadrants.includes(name));
  return (index) => hidden[quadrantAt(index)];
}
