/**
 * CenterFace, and MediaPipe's networks on top and beside it; `vision/finding/photo_detector.py`.
 */

import { bestFirst, longerSide, middle, overlap } from './boxes.js';
import { SURE } from './centerface.js';
import { faceOf, SURELY_UPRIGHT } from './detector.js';
import { largestFirst } from './faces.js';
import { toSquare } from './transforms.js';

/**
 * @typedef {import('./faces.js').FoundFace} FoundFace
 * @typedef {import('./pixels.js').Picture} Picture
 */

/** Of CenterFace, where MediaPipe's networks confirm the face. */
export const LEAST_SCORE = 0.35;

const SURELY_UPRIGHT_MASKED = 0.65;
const LEAST_PRESENCE = 0.5;
const SAME_OVERLAP = 0.3;
const MOST_TILT_DEG = 60;
const LANDMARK_PX = 192;
const LANDMARK_SCALE = 1.3;

export class PhotoDetector {
  /**
   * @param {import('./detector.js').MediaPipeDetector} mediapipe
   * @param {import('./centerface.js').CenterFaceDetector} centerface
   */
  constructor(mediapipe, centerface) {
    this.mediapipe = mediapipe;
    this.centerface = centerface;
  }

  /**
   * @param {Picture} photo
   * @returns {Promise<FoundFace[]>} largest first
   */
  async detect(photo) {
    const candidates = await this.centerface.detect(photo);
    let found = await this.mediapipe.follow(photo, candidates);
    const isSure = isSurelyUpright(found, candidates);
    const looked = [];
    for (const candidate of apart(candidates, found)) {
      const face = await this.look(photo, candidate);
      if (face) looked.push(face);
    }
    found = together(found, looked);
    if (!isSure) found = together(await this.mediapipe.detect(photo), found);
    return largestFirst(found);
  }

  /**
   * What CenterFace found with landmarks if it has some, null if it is no face.
   *
   * @param {Picture} photo
   * @param {FoundFace} one
   * @returns {Promise<FoundFace | null>}
   */
  async look(photo, one) {
    const across = [one.five[1][0] - one.five[0][0], one.five[1][1] - one.five[0][1]];
    const side = LANDMARK_SCALE * longerSide(one.box);
    const toPhoto = toSquare(middle(one.box), side, across, LANDMARK_PX);
    const { mesh, presence } = await this.mediapipe.mesh(photo, toPhoto);
    const face = presence >= LEAST_PRESENCE ? faceOf(mesh, one.score, presence) : null;
    if (face && overlap(one.box, face.box) > SAME_OVERLAP) return face;
    return one.score >= SURE ? { ...one, presence } : null;
  }
}

/**
 * Whether a face that is surely upright says so of the photo.
 *
 * @param {FoundFace[]} found
 * @param {FoundFace[]} candidates
 */
function isSurelyUpright(found, candidates) {
  if (found.some((face) => face.score >= SURELY_UPRIGHT && isUpright(face))) return true;
  const [best] = bestFirst(candidates);
  return best !== undefined && best.score >= SURELY_UPRIGHT_MASKED && isUpright(best);
}

/** @param {FoundFace} face */
function isUpright({ five: [left, right] }) {
  const [across, down] = [right[0] - left[0], right[1] - left[1]];
  return across > 0 && Math.abs(down) < Math.tan((MOST_TILT_DEG * Math.PI) / 180) * across;
}

/**
 * Those of `faces` that lie on none of `others`.
 *
 * @param {FoundFace[]} faces
 * @param {FoundFace[]} others
 */
function apart(faces, others) {
  return faces.filter((one) =>
    others.every((other) => overlap(one.box, other.box) <= SAME_OVERLAP),
  );
}

/**
 * `faces`, and of `others`, best first, those that lie on none of them.
 *
 * @param {FoundFace[]} faces
 * @param {FoundFace[]} others
 */
function together(faces, others) {
  const kept = [...faces];
  for (const one of bestFirst(others)) kept.push(...apart([one], kept));
  return kept;
}
