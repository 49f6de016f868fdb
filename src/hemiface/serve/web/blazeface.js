/**
 * What the numbers of the short-range BlazeFace network mean.
 *
 * `vision/finding/blazeface.py` in Python.
 */

import { bestFirst, overlap } from './boxes.js';

/** @typedef {import('./boxes.js').Candidate} Candidate */

/** Side of the square the network takes. */
export const INPUT_PX = 128;

const GRIDS = [
  [16, 2],
  [8, 6],
];
const POINTS = 8;
const MOST_OVERLAP = 0.3;

/** Each anchor's centre in pixels of the input. */
const ANCHORS = GRIDS.flatMap(([cells, copies]) =>
  Array.from({ length: cells * cells * copies }, (_, index) => {
    const cell = Math.floor(index / copies);
    const place = (step) => ((step + 0.5) / cells) * INPUT_PX;
    return [place(cell % cells), place(Math.floor(cell / cells))];
  }),
);

/**
 * Boxes with six keypoints in pixels of the input, best first.
 *
 * The keypoints are the person's right and left eye, nose, mouth, right and left ear.
 *
 * @param {Float32Array} regressors 896 * 16: centre, size, keypoints, in pixels from the anchor
 * @param {Float32Array} logits 896
 * @param {number} leastScore
 * @returns {Candidate[]}
 */
export function decode(regressors, logits, leastScore) {
  const found = [];
  for (let index = 0; index < logits.length; index += 1) {
    const score = 1 / (1 + Math.exp(-logits[index]));
    if (score < leastScore) continue;
    const [x, y] = ANCHORS[index];
    const start = index * 2 * POINTS;
    const points = Array.from({ length: POINTS }, (_, point) => [
      regressors[start + 2 * point] + x,
      regressors[start + 2 * point + 1] + y,
    ]);
    const centre = points[0];
    const half = [regressors[start + 2] / 2, regressors[start + 3] / 2];
    points[0] = [centre[0] - half[0], centre[1] - half[1]];
    points[1] = [centre[0] + half[0], centre[1] + half[1]];
    found.push({ points, score });
  }
  return bestFirst(found);
}

/**
 * Melt detections of one face into one: their mean weighted by score, with the best's score.
 *
 * @param {Candidate[]} found best first
 * @returns {Candidate[]}
 */
export function suppress(found) {
  const kept = [];
  let left = found;
  while (left.length > 0) {
    const [best] = left;
    const isSame = (one) => one === best || overlap(best.points, one.points) > MOST_OVERLAP;
    const members = left.filter(isSame);
    const total = members.reduce((sum, one) => sum + one.score, 0);
    const points = best.points.map((_, point) =>
      [0, 1].map((axis) =>
        members.reduce((sum, one) => sum + (one.score / total) * one.points[point][axis], 0),
      ),
    );
    kept.push({ points, score: best.score });
    left = left.filter((one) => !isSame(one));
  }
  return kept;
}
