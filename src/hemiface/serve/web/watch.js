/**
 * One video or camera, frame after frame; `vision/video/watching.py` in Python.
 *
 * Every `searchEvery`-th frame is searched in full; in between known faces are looked for where
 * they were, and new ones in the frame as a whole. A face that has left its place has its frame
 * searched in full at once.
 */

import { overlap } from './boxes.js';

/**
 * @typedef {import('./faces.js').FoundFace} FoundFace
 */

const SAME_OVERLAP = 0.1;

export class Watch {
  /**
   * @param {import('./detector.js').MediaPipeDetector} detector
   * @param {number} searchEvery
   */
  constructor(detector, searchEvery) {
    this.detector = detector;
    this.searchEvery = searchEvery;
    this.known = [];
    this.left = 0;
  }

  /**
   * The faces of the next frame.
   *
   * @param {import('./pixels.js').Picture} frame
   * @param {number | null} smallestPx of the faces that a full search looks for
   * @returns {Promise<FoundFace[]>} largest first
   */
  async next(frame, smallestPx) {
    let faces = [];
    let isSearched = this.left === 0;
    if (!isSearched) {
      faces = await this.detector.follow(frame, this.known);
      isSearched = this.known.some((face) => isLost(face, faces));
    }
    if (isSearched) {
      faces = await this.detector.detect(frame, smallestPx);
      this.left = this.searchEvery;
    }
    this.left -= 1;
    this.known = faces;
    return faces;
  }
}

/**
 * @param {FoundFace} face
 * @param {FoundFace[]} faces
 */
function isLost(face, faces) {
  return faces.every((other) => overlap(face.box, other.box) < SAME_OVERLAP);
}
