/**
 * What matters in one face: Shapley values of its quadrants, and what hiding each tile takes.
 *
 * Source: Shapley 1953, A value for n-person games; exact over all sixteen coalitions, as in
 * `stats/importance/game.py` in Python.
 */

import { QUADRANTS } from './conditions.js';

/**
 * Shapley values of the four quadrants.
 *
 * @param {(visible: string[]) => number} worth of a set of visible quadrants
 * @returns {number[]} in the order of QUADRANTS; they add up to worth(all) - worth(none)
 */
export function shapley(worth) {
  const known = coalitions().map(worth);
  return QUADRANTS.map((_, player) => {
    let value = 0;
    for (let set = 0; set < known.length; set += 1) {
      if (set & (1 << player)) continue;
      const gain = known[set | (1 << player)] - known[set];
      value += weight(sizeOf(set)) * gain;
    }
    return value;
  });
}

/**
 * All sets of quadrants; bit q of a set's place says whether quadrant q belongs to it.
 *
 * @returns {string[][]}
 */
export function coalitions() {
  return Array.from({ length: 2 ** QUADRANTS.length }, (_, set) =>
    QUADRANTS.filter((_name, player) => set & (1 << player)),
  );
}

/** @param {number} set */
const sizeOf = (set) => QUADRANTS.filter((_, player) => set & (1 << player)).length;

/**
 * The share of orders in which exactly `size` others come before a player.
 *
 * @param {number} size
 */
function weight(size) {
  const factorial = (n) => (n < 2 ? 1 : n * factorial(n - 1));
  const players = QUADRANTS.length;
  return (factorial(size) * factorial(players - size - 1)) / factorial(players);
}
