/**
 * Boxes that detectors find, and which of them are of one face.
 *
 * What is the same in Python is `overlap` of `vision/finding/blazeface.py` and what calls it.
 *
 * @typedef {import('./transforms.js').Point} Point
 * @typedef {Point[]} Marked a box's upper left and lower right corner, then further points
 * @typedef {{points: Marked, score: number}} Candidate
 */

/**
 * Intersection over union of two boxes.
 *
 * @param {Marked} one
 * @param {Marked} other
 * @returns {number} 0..1
 */
export function overlap(one, other) {
  const width = Math.min(one[1][0], other[1][0]) - Math.max(one[0][0], other[0][0]);
  const height = Math.min(one[1][1], other[1][1]) - Math.max(one[0][1], other[0][1]);
  const shared = Math.max(width, 0) * Math.max(height, 0);
  const union = area(one) + area(other) - shared;
  return union > 0 ? shared / union : 0;
}

/**
 * @param {Marked} box
 * @returns {number}
 */
export function area(box) {
  return Math.max(box[1][0] - box[0][0], 0) * Math.max(box[1][1] - box[0][1], 0);
}

/**
 * @param {Marked} box
 * @returns {number}
 */
export function longerSide(box) {
  return Math.max(box[1][0] - box[0][0], box[1][1] - box[0][1]);
}

/**
 * @param {Marked} box
 * @returns {Point}
 */
export function middle(box) {
  return [(box[0][0] + box[1][0]) / 2, (box[0][1] + box[1][1]) / 2];
}

/**
 * The smallest box around points.
 *
 * @param {Point[]} points
 * @returns {[Point, Point]}
 */
export function around(points) {
  const low = [Infinity, Infinity];
  const high = [-Infinity, -Infinity];
  for (const point of points) {
    for (const axis of [0, 1]) {
      low[axis] = Math.min(low[axis], point[axis]);
      high[axis] = Math.max(high[axis], point[axis]);
    }
  }
  return [low, high];
}

/**
 * @template {{score: number}} T
 * @param {T[]} found
 * @returns {T[]}
 */
export function bestFirst(found) {
  return [...found].sort((one, other) => other.score - one.score);
}

/**
 * Of those that overlap by more than `most`, only the first.
 *
 * @template T
 * @param {T[]} found
 * @param {number} most
 * @param {(one: T) => Marked} boxOf
 * @returns {T[]}
 */
export function distinct(found, most, boxOf) {
  const kept = [];
  for (const one of found) {
    if (kept.every((other) => overlap(boxOf(one), boxOf(other)) <= most)) kept.push(one);
  }
  return kept;
}
