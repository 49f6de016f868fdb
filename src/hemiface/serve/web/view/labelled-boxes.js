/** The faces on the picture: a box each, which can be chosen, and its label beside it. */

import { clamp } from './geometry.js';
import { gap, middle, nearest, placeBeside, rectangle } from './places.js';
import { percent, said } from './words.js';

const SVG = 'http://www.w3.org/2000/svg';
const TYPE_OF_PICTURE = 1 / 40;
const TYPE_OF_FACE = 1 / 5;
const [LEAST_TYPE_PX, MOST_TYPE_PX] = [12, 17];
/** How far from its face a label may stand, in heights of its type. */
const FURTHEST = 2.5;
const TYPE = '550 100px ui-sans-serif, system-ui, -apple-system, sans-serif';

export class Boxes {
  #boxes;
  #tags;
  #leads;
  #onChoose;
  #ruler = new OffscreenCanvas(1, 1).getContext('2d');

  constructor({ boxes, tags, leads, onChoose }) {
    [this.#boxes, this.#tags, this.#leads, this.#onChoose] = [boxes, tags, leads, onChoose];
    this.#ruler.font = TYPE;
  }

  draw(session, stage) {
    this.#keep(session.faces.length);
    const scaled = session.faces.map((face) => face.box.map((one) => one * stage.scale));
    session.faces.forEach((_, index) => this.#drawBox(session, index, scaled[index]));
    this.#drawTags(session, scaled, stage);
  }

  /** Have a box for each face; boxes that stay keep the keyboard's focus. */
  #keep(count) {
    while (this.#boxes.childElementCount > count) this.#boxes.lastElementChild.remove();
    while (this.#boxes.childElementCount < count) {
      const index = this.#boxes.childElementCount;
      const box = document.createElement('label');
      const input = document.createElement('input');
      box.className = 'face';
      [input.type, input.name, input.className] = ['radio', 'face', 'unseen'];
      input.addEventListener('change', () => this.#onChoose(index));
      box.append(input);
      this.#boxes.append(box);
    }
  }

  #drawBox(session, index, [x, y, width, height]) {
    const box = this.#boxes.children[index];
    const reading = session.readingOf(index);
    const isChosen = index === session.chosen;
    box.dataset.emotion = reading.label ?? '';
    box.classList.toggle('chosen', isChosen);
    box.style.left = `${x}px`;
    box.style.top = `${y}px`;
    box.style.width = `${width}px`;
    box.style.height = `${height}px`;
    box.firstElementChild.checked = isChosen;
    const name = `Face ${index + 1} of ${session.faces.length}: ${said(reading)}`;
    box.firstElementChild.setAttribute('aria-label', name);
  }

  #drawTags(session, scaled, stage) {
    const whole = { left: 0, top: 0, right: stage.width, bottom: stage.height };
    const taken = scaled.map(rectangle);
    const tags = [];
    const leads = [];
    // The chosen face's label has the first choice of places.
    const order = session.faces
      .map((_, index) => index)
      .sort((a, b) => (b === session.chosen) - (a === session.chosen));
    for (const index of order) {
      const face = rectangle(scaled[index]);
      const size = typePx(stage, scaled[index][2]);
      const reading = session.readingOf(index);
      const number = session.faces.length > 1 ? `${index + 1}  ` : '';
      const words = number + (reading.label ? `${reading.label} ${percent(reading.confidence)}` : 'no label');
      const extent = [(this.#ruler.measureText(words).width / 100 + 0.8) * size, 1.45 * size];
      const { place, isFree } = placeBeside(extent, face, taken, whole, size);
      // Where there is no room near it, a box's colour has to do.
      const isNear = isFree && gap(place, face) < FURTHEST * size;
      if (!isNear && index !== session.chosen) continue;
      taken.push(place);
      tags.push(tagElement(words, reading.label, place, size));
      if (gap(place, face) > size / 2) leads.push(leadElement(place, face, reading.label));
    }
    this.#tags.replaceChildren(...tags);
    this.#leads.replaceChildren(...leads);
  }
}

function typePx(stage, faceWidth) {
  const byPicture = Math.max(stage.width, stage.height) * TYPE_OF_PICTURE;
  return clamp(Math.min(byPicture, faceWidth * TYPE_OF_FACE), LEAST_TYPE_PX, MOST_TYPE_PX);
}

function tagElement(words, label, place, size) {
  const tag = document.createElement('span');
  tag.className = 'tag';
  tag.dataset.emotion = label ?? '';
  tag.textContent = words;
  tag.style.left = `${place.left}px`;
  tag.style.top = `${place.top}px`;
  tag.style.fontSize = `${size}px`;
  return tag;
}

function leadElement(place, face, label) {
  const line = document.createElementNS(SVG, 'line');
  const [x1, y1] = nearest(face, middle(place));
  const [x2, y2] = nearest(place, [x1, y1]);
  for (const [name, value] of Object.entries({ x1, y1, x2, y2 })) line.setAttribute(name, value);
  line.dataset.emotion = label ?? '';
  return line;
}
