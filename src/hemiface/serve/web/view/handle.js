/** Moving and resizing a cover by mouse, finger, pen and keyboard. */

import { frameOf } from './covers.js';
import { clamp } from './geometry.js';
import { inverse, placed, scaleOf } from '../transforms.js';

const LEAST_PX = 6;
/** How far an arrow key moves, as a share of the face's width. */
const STEP = 1 / 25;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const NAMES = { box: 'Black box', mask: 'Drawn mask', sunglasses: 'Drawn sunglasses' };

export class Handle {
  #element;
  #grip;
  #session;
  #stage;
  /** What is being dragged: the last point in the page, and whether by the grip. */
  #drag = null;

  constructor({ element, grip, session, stage }) {
    [this.#element, this.#grip, this.#session, this.#stage] = [element, grip, session, stage];
    element.addEventListener('pointerdown', (event) => this.#start(event));
    element.addEventListener('pointermove', (event) => this.#move(event));
    for (const end of ['pointerup', 'pointercancel']) element.addEventListener(end, () => (this.#drag = null));
    element.addEventListener('keydown', (event) => this.#press(event));
  }

  /** Lay the handle over the cover, or away where there is none to move. */
  draw({ cover, face }) {
    this.#element.hidden = !cover.place || !face;
    if (this.#element.hidden) return;
    const frame = frameOf(cover.kind, face);
    const { x, y, width, height } = cover.place;
    const grown = scaleOf(frame) * this.#stage.scale;
    const [left, top] = placed(frame, [x, y]).map((one) => one * this.#stage.scale);
    const turn = Math.atan2(frame[1][0], frame[0][0]);
    const style = this.#element.style;
    style.width = `${width * grown}px`;
    style.height = `${height * grown}px`;
    style.transform = `translate(${left}px, ${top}px) rotate(${turn}rad) translate(-50%, -50%)`;
    this.#element.setAttribute('aria-label', NAMES[cover.kind]);
  }

  #start(event) {
    if (event.button) return;
    this.#drag = { at: [event.clientX, event.clientY], byGrip: event.target === this.#grip };
    this.#element.setPointerCapture(event.pointerId);
    this.#element.focus({ preventScroll: true });
    event.preventDefault();
  }

  #move(event) {
    if (!this.#drag) return;
    const [x, y] = this.#drag.at;
    const by = [event.clientX - x, event.clientY - y].map((one) => one / this.#stage.scale);
    this.#drag.at = [event.clientX, event.clientY];
    this.#change(by, this.#drag.byGrip);
  }

  #press(event) {
    const arrow = ARROWS[event.key];
    if (!arrow || !this.#session.face || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const step = Math.max(this.#session.face.box[2] * STEP, 1);
    this.#change(
      arrow.map((one) => one * step),
      event.shiftKey,
    );
  }

  /** Move the cover, or change its size about its first corner, by pixels of the picture. */
  #change([across, down], isSize) {
    const { cover, face, picture } = this.#session;
    // The face may be lost while its cover is dragged.
    if (!face || !cover.place) return;
    const frame = frameOf(cover.kind, face);
    const own = inverse(frame);
    const [u, v] = [own[0][0] * across + own[0][1] * down, own[1][0] * across + own[1][1] * down];
    let { x, y, width, height } = cover.place;
    if (isSize) {
      const least = LEAST_PX * scaleOf(own);
      const [wider, higher] = [Math.max(u, least - width), Math.max(v, least - height)];
      [x, y, width, height] = [x + wider / 2, y + higher / 2, width + wider, height + higher];
    } else {
      // Its middle stays in the picture, so that it can't be lost.
      const [left, top] = placed(frame, [x + u, y + v]);
      [x, y] = placed(own, [clamp(left, 0, picture.width), clamp(top, 0, picture.height)]);
    }
    this.#session.moveCover({ x, y, width, height });
  }
}
