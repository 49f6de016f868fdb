/** What is said of the chosen face: its label or why there is none, bars, and what can be seen. */

import { Bars } from './bars.js';
import { coverWords, partWords, percent, said } from './words.js';

/** Screen readers are told what it looks like when it has stayed so for a while. */
const SPEAK_AFTER_MS = 700;

export class Reading {
  #parts;
  #bars = null;
  #spoken = '';
  #timer = 0;

  /** `parts`: label, confidence, why, bars, key, visible, notShown, more, spoken. */
  constructor(parts) {
    this.#parts = parts;
  }

  /** Name the emotions, in the networks' order. */
  setEmotions(emotions) {
    this.#bars = new Bars(this.#parts.bars, emotions);
    this.#bars.draw(null);
  }

  draw(session) {
    const { face, chosen, cover, covered } = session;
    const parts = this.#parts;
    parts.more.hidden = !face;
    parts.key.classList.add('off');
    if (!face) {
      this.#drawNothing(session);
      return;
    }
    const reading = session.readingOf(chosen);
    const isCovered = Boolean(covered?.[chosen]);
    parts.label.textContent = reading.label ?? 'no label';
    parts.confidence.textContent = reading.label ? percent(reading.confidence) : '';
    const words = coverWords(isCovered ? cover.kind : 'nothing');
    parts.why.textContent = [words, reading.reason].filter(Boolean).join(': ');
    this.#bars.draw(reading.probabilities, isCovered ? face.reading.probabilities : null);
    parts.key.classList.toggle('off', !isCovered);
    this.#drawVisible(reading);
    this.#say(session, `${said(reading)}, ${words}`);
  }

  #drawNothing({ picture, faces }) {
    if (picture) this.#say({ faces }, 'No face was found.');
    this.#parts.label.textContent = picture ? 'no face found' : 'no face yet';
    this.#parts.confidence.textContent = '';
    this.#parts.why.textContent = picture ? 'Try a picture in which a face is larger or turned to the camera.' : '';
    this.#bars?.draw(null);
  }

  #drawVisible({ visible, hiddenByEstimate }) {
    for (const half of ['upper', 'lower', 'left', 'right']) {
      this.#parts.visible.querySelector(`.${half} dd`).textContent = percent(visible[half]);
    }
    this.#parts.notShown.hidden = !hiddenByEstimate;
    this.#parts.notShown.textContent = hiddenByEstimate
      ? `Something seems to lie over it, so the network was not shown ${partWords(hiddenByEstimate)}.`
      : '';
  }

  #say({ faces, chosen = 0 }, words) {
    const text = faces.length > 1 ? `Face ${chosen + 1} of ${faces.length}: ${words}` : words;
    if (text === this.#spoken) return;
    this.#spoken = text;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => (this.#parts.spoken.textContent = text), SPEAK_AFTER_MS);
  }
}
