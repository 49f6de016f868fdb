/** The map of what matters in a face: colours over its parts, and what they mean. */

import { CROP_PX } from './covers.js';
import { drawIn } from './geometry.js';
import { inverse } from '../transforms.js';

const FOR_RGB = [232, 100, 27];
const AGAINST_RGB = [42, 111, 219];
const MOST_OPAQUE = 0.72;
const MOST_NUMBERS = 4;

/** Draw a map over its face, in pixels of the picture. */
export function drawMap(context, { rows, columns, values }, face) {
  const most = strongest(values);
  const [wide, high] = [CROP_PX / columns, CROP_PX / rows];
  context.save();
  drawIn(context, inverse(face.toFrame));
  values.forEach((value, index) => {
    const [x, y] = [(index % columns) * wide, Math.floor(index / columns) * high];
    const rgb = (value < 0 ? AGAINST_RGB : FOR_RGB).join(' ');
    context.fillStyle = `rgb(${rgb} / ${(MOST_OPAQUE * Math.abs(value)) / most})`;
    context.fillRect(x, y, wide, high);
    context.lineWidth = 0.15;
    context.strokeStyle = 'rgb(255 255 255 / .5)';
    context.strokeRect(x, y, wide, high);
    if (values.length <= MOST_NUMBERS) drawNumber(context, points(value), x + wide / 2, y + high / 2);
  });
  context.restore();
}

function drawNumber(context, words, x, y) {
  context.font = '600 4.5px ui-sans-serif, system-ui, sans-serif';
  [context.textAlign, context.textBaseline, context.lineJoin] = ['center', 'middle', 'round'];
  [context.lineWidth, context.strokeStyle, context.fillStyle] = [1, 'rgb(0 0 0 / .75)', '#fff'];
  context.strokeText(words, x, y);
  context.fillText(words, x, y);
}

function strongest(values) {
  return Math.max(...values.map(Math.abs), 1e-9);
}

/** Return a change of a probability in percentage points, with its sign. */
function points(value) {
  const rounded = Math.round(100 * value);
  return rounded > 0 ? `+${rounded}` : rounded < 0 ? `\u2212${-rounded}` : '0';
}

/** What the colours of a map mean, with its numbers in a table for screen readers. */
export class Legend {
  #parts;

  /** `parts`: legend, low, high, words, table. */
  constructor(parts) {
    this.#parts = parts;
  }

  draw({ map, cover }) {
    const { legend, low, high, words, table } = this.#parts;
    legend.hidden = !map;
    if (!map) return;
    const most = strongest(map.values);
    [low.textContent, high.textContent] = [points(-most), points(most)];
    const meaning = map.kind === 'quadrants' ? quadrantWords(map) : tileWords(map);
    words.textContent = cover.kind === 'nothing' ? meaning : `${meaning} The map is of the face without the cover.`;
    table.caption.textContent = `Percentage points of ${map.label}, row by row`;
    while (table.rows.length) table.deleteRow(0);
    for (let row = 0; row < map.rows; row++) {
      const cells = table.insertRow();
      for (let column = 0; column < map.columns; column++) {
        cells.insertCell().textContent = points(map.values[row * map.columns + column]);
      }
    }
  }
}

function quadrantWords({ label, values, mix }) {
  const sum = values.reduce((total, one) => total + one, 0);
  return (
    `How many percentage points each quarter adds to \u201c${label}\u201d, averaged over every order in which the ` +
    `quarters can be uncovered (Shapley values). Together ${points(sum)}: from how often ${label} occurs in the ` +
    `${mix === 'trained' ? 'training pictures' : 'declared mix'} to what the whole face shows. ` +
    'Blue, below zero: that quarter speaks against it.'
  );
}

function tileWords({ label }) {
  return (
    `How many percentage points of \u201c${label}\u201d are lost when a tile alone is blackened. Blue, below zero: ` +
    'without that tile the network is surer.'
  );
}
