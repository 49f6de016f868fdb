/**
 * What detectors say of a face; the first part of `vision/finding/detector.py` in Python.
 *
 * @typedef {import('./transforms.js').Point} Point
 *
 * One face in a photo; all positions are pixels of the photo.
 *
 * @typedef {object} FoundFace
 * @property {[Point, Point]} box upper left and lower right corner; may reach beyond the photo
 * @property {number} score the detector's, 0..1
 * @property {Point[] | null} landmarks 468 of MediaPipe's face mesh
 * @property {number | null} presence the landmark network's probability that this is a face
 * @property {Point[]} five image-left and -right eye, nose, image-left and -right mouth corner
 * @property {{yawDeg: number, pitchDeg: number} | null} turn
 */

import { area } from './boxes.js';

/** A picture whose levels span less shows no face. */
export const LEAST_CONTRAST = 8;

const EYES = [
  [33, 133],
  [362, 263],
];
const NOSE = 1;
const MOUTH_CORNERS = [61, 291];
const DEGREES = 180 / Math.PI;

/**
 * @param {FoundFace[]} faces
 * @returns {FoundFace[]}
 */
export function largestFirst(faces) {
  return [...faces].sort((one, other) => area(other.box) - area(one.box));
}

/**
 * Both eyes' centres (between their corners), nose and mouth corners.
 *
 * @param {number[][]} landmarks
 * @returns {number[][]} of as many numbers as a landmark has
 */
export function fivePoints(landmarks) {
  const eyes = EYES.map((corners) => mean(corners.map((index) => landmarks[index])));
  return [...eyes, landmarks[NOSE], ...MOUTH_CORNERS.map((index) => landmarks[index])];
}

/**
 * How a head is turned out of the picture's plane, in degrees; 0, 0 looks at the camera.
 *
 * @param {number[][]} mesh 468 landmarks: x, y and depth
 * @returns {{yawDeg: number, pitchDeg: number}} positive to the picture's right, and down
 */
export function turnOf(mesh) {
  const [left, right, , ...corners] = fivePoints(mesh);
  const [eyes, mouth] = [mean([left, right]), mean(corners)];
  const across = right.map((value, axis) => value - left[axis]);
  const along = mouth.map((value, axis) => value - eyes[axis]);
  const slope = ([x, y, depth]) => DEGREES * Math.atan2(depth, Math.hypot(x, y));
  return { yawDeg: slope(across), pitchDeg: slope(along) };
}

/**
 * @param {number[][]} points
 * @returns {number[]}
 */
function mean(points) {
  const sum = (axis) => points.reduce((total, one) => total + one[axis], 0);
  return points[0].map((_, axis) => sum(axis) / points.length);
}
