/**
 * How much of a face can be seen; `vision/visible_regions.py` and `vision/covered_halves.py`.
 */

import { SIDE_PX } from './alignment.js';
import { HALVES, inQuadrants, QUADRANTS, quadrantAt } from './conditions.js';

/**
 * @typedef {object} VisibleRegions
 * @property {Record<string, number>} shares of each half, 0..1
 * @property {number} most the most of the crop that can be visible: what neither a border nor the
 *   user takes away
 * @property {number[]} quadrants what is visible of each of QUADRANTS
 * @property {Record<string, number>} covered of each half, the share of what lies in the picture
 *   that a thing covers by estimate; NaN where nothing was estimated or it lies outside
 * @property {number | null} estimate the share of the crop that is visible as far as was estimated
 */

/** Tiles in a row of the network for visibility, and rows. */
const GRID = 12;
const TILE_PX = SIDE_PX / GRID;

/** Half -> whether each quadrant belongs to it. */
const IN_HALF = Object.fromEntries(
  HALVES.map((half) => [half, QUADRANTS.map((name) => name.split('-').includes(half))]),
);

/**
 * @param {Uint8Array} inside 48 * 48, 1 where the crop shows the photo
 * @param {string[] | null} declared the quadrants that the user says are hidden
 * @param {Float32Array | null} tiles 12 * 12 visible shares by estimate; a declaration overrules it
 * @returns {VisibleRegions}
 */
export function visibleRegions(inside, declared, tiles) {
  const isHidden = inQuadrants(declared ?? []);
  const isEstimated = tiles !== null && declared === null;
  const seen = new Float64Array(QUADRANTS.length);
  const insideIn = new Float64Array(QUADRANTS.length);
  for (let index = 0; index < inside.length; index += 1) {
    if (!inside[index]) continue;
    const quadrant = quadrantAt(index);
    insideIn[quadrant] += 1;
    if (!isHidden(index)) seen[quadrant] += isEstimated ? tiles[tileOf(index)] : 1;
  }
  const quarter = inside.length / QUADRANTS.length;
  const sum = (values, half) =>
    values.reduce((total, value, quadrant) => total + (IN_HALF[half][quadrant] ? value : 0), 0);
  const all = (values) => values.reduce((total, value) => total + value, 0) / inside.length;
  const byHalf = (valueOf) => Object.fromEntries(HALVES.map((half) => [half, valueOf(half)]));
  return {
    shares: byHalf((half) => sum(seen, half) / (2 * quarter)),
    most: all(declared === null ? insideIn : seen),
    quadrants: Array.from(seen, (value) => value / quarter),
    covered: byHalf((half) => (isEstimated ? 1 - sum(seen, half) / sum(insideIn, half) : NaN)),
    estimate: isEstimated ? all(seen) : null,
  };
}

/** @param {number} index of a pixel of the crop */
function tileOf(index) {
  const row = Math.floor(index / SIDE_PX / TILE_PX);
  return row * GRID + Math.floor((index % SIDE_PX) / TILE_PX);
}

/**
 * The condition to hide from a network that learnt to do without these parts, '' for nothing.
 *
 * Hidden are the covered halves, or only the most covered one that the network learnt to do
 * without, where it didn't learn that of all together.
 *
 * @param {VisibleRegions} looks
 * @param {string[]} learnt conditions
 * @param {number} above of a half of which a thing covers more nothing is shown
 * @param {Record<string, string[]>} hides condition -> the quadrants that it hides
 * @returns {string}
 */
export function coveredPart(looks, learnt, above, hides) {
  const halves = HALVES.filter((half) => looks.covered[half] > above);
  if (halves.length === 0) return '';
  const hidden = new Set(halves.flatMap((half) => hides[half]));
  const isTogether = (quadrants) =>
    quadrants.length === hidden.size && quadrants.every((name) => hidden.has(name));
  const together = Object.keys(hides).find((name) => isTogether(hides[name]));
  if (learnt.includes(together)) return together;
  const known = halves.filter((half) => learnt.includes(half));
  const most = Math.max(...known.map((half) => looks.covered[half]));
  return known.find((half) => looks.covered[half] === most) ?? '';
}
