/**
 * What can be laid over a face and moved: a black box, a surgical mask, sunglasses.
 *
 * A cover is `{kind, place}`; `place` is `{x, y, width, height}`, its middle and size in the cover's
 * own frame: pixels of the picture for the box, which stays where it is, and pixels of the face's
 * 48 x 48 crop for what is worn, which goes with the face. A half (upper, lower, left, right) has no
 * place: the networks' own crop is blackened there.
 */

import { drawIn, IDENTITY, mean } from './geometry.js';
import { inverse, placed } from '../transforms.js';

export const HALVES = ['upper', 'lower', 'left', 'right'];
export const CROP_PX = 48;

const HALF_AREAS = {
  upper: [0, 0, CROP_PX, CROP_PX / 2],
  lower: [0, CROP_PX / 2, CROP_PX, CROP_PX / 2],
  left: [0, 0, CROP_PX / 2, CROP_PX],
  right: [CROP_PX / 2, 0, CROP_PX / 2, CROP_PX],
};

export function isHalf(kind) {
  return HALVES.includes(kind);
}

export function isMovable(kind) {
  return kind === 'box' || kind === 'mask' || kind === 'sunglasses';
}

/** Return the transform from a cover's own frame to the picture. */
export function frameOf(kind, face) {
  return kind === 'box' ? IDENTITY : inverse(face.toFrame);
}

/** Return where a cover lies at first: the box on the mouth, what is worn where it is worn. */
export function firstPlace(kind, face) {
  const toOwn = kind === 'box' ? IDENTITY : face.toFrame;
  const [left, right, nose, ...mouth] = face.five.map((point) => placed(toOwn, point));
  const eyes = mean([left, right]);
  const lips = mean(mouth);
  const apart = Math.hypot(right[0] - left[0], right[1] - left[1]);
  if (kind === 'box') {
    return { x: lips[0], y: lips[1], width: 1.7 * apart, height: 0.85 * apart };
  }
  if (kind === 'sunglasses') {
    return { x: eyes[0], y: eyes[1] + 0.04 * apart, width: 2.1 * apart, height: 0.72 * apart };
  }
  // From under the eyes to under the chin, and as far to the side as the nose points.
  const top = eyes[1] + 0.38 * (nose[1] - eyes[1]);
  const bottom = lips[1] + 0.68 * apart;
  return { x: (nose[0] + lips[0]) / 2, y: (top + bottom) / 2, width: 2.05 * apart, height: bottom - top };
}

/** Draw a cover over the face in pixels of the picture. */
export function drawCover(context, { kind, place }, face) {
  context.save();
  drawIn(context, frameOf(kind, face));
  if (isHalf(kind)) {
    context.fillStyle = '#000';
    context.fillRect(...HALF_AREAS[kind]);
  } else {
    context.translate(place.x, place.y);
    context.scale(place.width / 2, place.height / 2);
    SHAPES[kind](context);
  }
  context.restore();
}

/** Each draws into the square from -1 to 1; straps and temples reach beyond it. */
const SHAPES = { box: drawBox, mask: drawMask, sunglasses: drawSunglasses };

function drawBox(context) {
  context.fillStyle = '#000';
  context.fillRect(-1, -1, 2, 2);
}

function drawMask(context) {
  context.strokeStyle = '#dfe9ee';
  context.lineWidth = 0.045;
  for (const side of [-1, 1]) {
    context.beginPath();
    context.moveTo(side * 0.9, -0.5);
    context.lineTo(side * 1.3, -0.95);
    context.moveTo(side * 0.82, 0.5);
    context.lineTo(side * 1.3, -0.4);
    context.stroke();
  }
  const cloth = context.createLinearGradient(-1, 0, 1, 0);
  cloth.addColorStop(0, '#8fb0c2');
  cloth.addColorStop(0.5, '#cfe2ec');
  cloth.addColorStop(1, '#8fb0c2');
  context.fillStyle = cloth;
  context.beginPath();
  context.moveTo(-0.95, -0.55);
  context.bezierCurveTo(-0.5, -0.62, -0.3, -1, 0, -1);
  context.bezierCurveTo(0.3, -1, 0.5, -0.62, 0.95, -0.55);
  context.bezierCurveTo(1, -0.1, 0.98, 0.3, 0.84, 0.56);
  context.bezierCurveTo(0.5, 0.9, 0.25, 1, 0, 1);
  context.bezierCurveTo(-0.25, 1, -0.5, 0.9, -0.84, 0.56);
  context.bezierCurveTo(-0.98, 0.3, -1, -0.1, -0.95, -0.55);
  context.fill();
  context.strokeStyle = 'rgb(60 90 110 / .45)';
  context.lineWidth = 0.035;
  for (const y of [-0.3, 0.05, 0.4]) {
    context.beginPath();
    context.moveTo(-0.9, y);
    context.quadraticCurveTo(0, y + 0.16, 0.9, y);
    context.stroke();
  }
}

function drawSunglasses(context) {
  context.strokeStyle = context.fillStyle = '#0c0d0f';
  context.lineWidth = 0.1;
  for (const side of [-1, 1]) {
    context.beginPath();
    context.moveTo(side * 0.1, -0.7);
    context.bezierCurveTo(side * 0.4, -1, side * 0.8, -1, side * 0.98, -0.75);
    context.bezierCurveTo(side * 1.02, 0.2, side * 0.8, 1, side * 0.5, 1);
    context.bezierCurveTo(side * 0.2, 1, side * 0.08, 0.2, side * 0.1, -0.7);
    context.fill();
    context.beginPath();
    context.moveTo(side * 0.95, -0.65);
    context.lineTo(side * 1.35, -0.85);
    context.stroke();
  }
  context.beginPath();
  context.moveTo(-0.12, -0.55);
  context.quadraticCurveTo(0, -0.75, 0.12, -0.55);
  context.stroke();
  context.fillStyle = 'rgb(255 255 255 / .16)';
  for (const left of [-0.72, 0.3]) {
    context.beginPath();
    context.moveTo(left, -0.75);
    context.lineTo(left + 0.18, -0.78);
    context.lineTo(left + 0.08, 0.35);
    context.lineTo(left - 0.02, 0.3);
    context.fill();
  }
}
