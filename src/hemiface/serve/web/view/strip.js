/** The chosen face as the network sees it, whole and with each half hidden. */

import { bar } from './bars.js';
import { CROP_PX, drawCover, HALVES, isHalf } from './covers.js';
import { drawIn } from './geometry.js';
import { percent } from './words.js';

const TITLES = {
  full: 'whole',
  upper: 'upper half hidden',
  lower: 'lower half hidden',
  left: 'left half hidden',
  right: 'right half hidden',
};

export class Strip {
  #section;
  #cells;
  /** The halves that are drawn; they are new objects when they are read anew. */
  #drawn = null;

  constructor({ section, list, onChoose }) {
    this.#section = section;
    this.#cells = ['full', ...HALVES].map((name) => cell(name, () => onChoose(name === 'full' ? 'nothing' : name)));
    list.replaceChildren(...this.#cells.map(({ item }) => item));
  }

  draw({ face, halves, cover }) {
    this.#section.hidden = !halves.full;
    for (const { name, button } of this.#cells) {
      const isShown = cover.kind === (name === 'full' ? 'nothing' : name);
      button.setAttribute('aria-pressed', isShown);
    }
    if (!halves.full || this.#drawn === halves) return;
    this.#drawn = halves;
    for (const { name, canvas, label, confidence, track, set } of this.#cells) {
      const reading = halves[name];
      drawCrop(canvas, face, name === 'full' ? reading.hiddenByEstimate : name);
      label.textContent = reading.label ?? 'no label';
      confidence.textContent = reading.label ? percent(reading.confidence) : '';
      label.title = reading.reason;
      track.dataset.emotion = reading.label ?? '';
      set(Math.max(...reading.probabilities));
    }
  }
}

/** Return the parts of one condition's cell, whose picture is drawn later. */
function cell(name, onClick) {
  const item = document.createElement('li');
  const button = document.createElement('button');
  const canvas = document.createElement('canvas');
  const [hidden, row, label, confidence] = ['hidden', 'row', 'label', 'confidence'].map((kind) => {
    const element = document.createElement('span');
    element.className = kind;
    return element;
  });
  const { track, set } = bar();
  button.type = 'button';
  button.addEventListener('click', onClick);
  canvas.width = canvas.height = CROP_PX;
  canvas.setAttribute('aria-hidden', 'true');
  hidden.textContent = TITLES[name];
  row.append(label, confidence);
  button.append(canvas, hidden, row, track);
  item.append(button);
  return { name, item, button, canvas, label, confidence, track, set };
}

/** Draw a face as the network was shown it, of which a condition hides a part ('' for nothing). */
function drawCrop(canvas, face, condition) {
  const context = canvas.getContext('2d', { alpha: false });
  context.reset();
  // Beyond the picture its edge is repeated, which only the crop itself shows.
  context.putImageData(new ImageData(inGrey(face.crop), CROP_PX, CROP_PX), 0, 0);
  drawIn(context, face.toFrame);
  for (const kind of halvesOf(condition)) drawCover(context, { kind, place: null }, face);
}

/** Return grey pixels as a canvas takes them. */
function inGrey(pixels) {
  return new Uint8ClampedArray(Array.from(pixels, (one) => [one, one, one, 255]).flat());
}

/** Return the halves that a condition hides together: "lower", or of "only-upper-left" lower and right. */
function halvesOf(condition) {
  if (isHalf(condition)) return [condition];
  const [only, ...seen] = condition.split('-');
  return only === 'only' ? HALVES.filter((half) => !seen.includes(half)) : [];
}
