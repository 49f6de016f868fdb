/**
 * Transforms of the plane as hemiface writes them: [[a, b, c], [d, e, f]] brings (x, y) to
 * (a x + b y + c, d x + e y + f).
 */

export const IDENTITY = [
  [1, 0, 0],
  [0, 1, 0],
];

/** Let a canvas draw in the coordinates that a transform takes. */
export function drawIn(context, [[a, b, c], [d, e, f]]) {
  context.transform(a, d, b, e, c, f);
}

/** Return the middle of some points. */
export function mean(points) {
  const sum = points.reduce(([x, y], [p, q]) => [x + p, y + q], [0, 0]);
  return sum.map((one) => one / points.length);
}

export function clamp(value, least, most) {
  return Math.max(least, Math.min(most, value));
}
