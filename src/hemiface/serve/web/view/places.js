/**
 * Where a label stands beside its face: on neither a face nor another label, within the picture,
 * and near. As hemiface.vision.drawing does it. Rectangles are {left, top, right, bottom}.
 */

import { clamp } from './geometry.js';

/** What a pixel costs that a label covers, or that lies beyond the picture. */
const COVERED_COSTS = 20;
const BEYOND_COSTS = 40;
const STEPS = 12;

export function rectangle([x, y, width, height]) {
  return { left: x, top: y, right: x + width, bottom: y + height };
}

function area({ left, top, right, bottom }) {
  return Math.max(right - left, 0) * Math.max(bottom - top, 0);
}

/** Return the area that two rectangles share. */
export function common(one, other) {
  return area({
    left: Math.max(one.left, other.left),
    top: Math.max(one.top, other.top),
    right: Math.min(one.right, other.right),
    bottom: Math.min(one.bottom, other.bottom),
  });
}

/** Return the point of a rectangle that is nearest to another point. */
export function nearest(one, [x, y]) {
  return [clamp(x, one.left, one.right), clamp(y, one.top, one.bottom)];
}

export function middle({ left, top, right, bottom }) {
  return [(left + right) / 2, (top + bottom) / 2];
}

/** Return how far apart a label and its face are. */
export function gap(place, face) {
  const [x, y] = nearest(place, middle(face));
  const [u, v] = nearest(face, [x, y]);
  return Math.hypot(u - x, v - y);
}

/**
 * Return `{place, isFree}`: where a label [wide, high] costs least, and whether nothing is under it.
 * `taken` are faces and labels, `step` is a line of type.
 */
export function placeBeside([wide, high], face, taken, whole, step) {
  let found = null;
  let least = Infinity;
  let covered = 0;
  for (const place of places([wide, high], face, whole, step)) {
    const under = taken.reduce((sum, one) => sum + common(place, one), 0);
    const beyond = area(place) - common(place, whole);
    const cost = COVERED_COSTS * under + BEYOND_COSTS * beyond + high * gap(place, face);
    if (cost < least) [found, least, covered] = [place, cost, under + beyond];
  }
  return { place: found, isFree: covered < 1 };
}

/** Yield places around a face: above, below, right, left; then further away. */
function* places([wide, high], face, whole, step) {
  const [x, y] = middle(face);
  const lefts = [face.left, x - wide / 2, face.right - wide];
  const tops = [face.top, y - high / 2, face.bottom - high];
  for (let turn = 0; turn < STEPS; turn++) {
    // The box's own line is left free.
    const away = turn * step + 3;
    const beside = [
      ...lefts.flatMap((left) => [
        [left, face.top - high - away],
        [left, face.bottom + away],
      ]),
      ...tops.flatMap((top) => [
        [face.right + away, top],
        [face.left - wide - away, top],
      ]),
    ];
    for (const [left, top] of beside) {
      // Pushed back into the picture along its border.
      const inside = [clamp(left, 0, whole.right - wide), clamp(top, 0, whole.bottom - high)];
      yield rectangle([Math.max(inside[0], 0), Math.max(inside[1], 0), wide, high]);
    }
  }
}
