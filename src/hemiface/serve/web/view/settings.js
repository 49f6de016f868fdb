/** Which network reads, under which mix of emotions, and how sure it must be to give a label. */

import { megabytes } from './words.js';

export class Settings {
  #parts;
  #onChange;
  #models = [];
  /** The network that reads, which isn't the one named while that one comes. */
  #chosen = '';

  /** `onChange` is given what was chosen, and promises whether it could be. `parts`: model, mix, own, threshold, and what says words: modelWords, thresholdWords, labelsWords, modelLine. */
  constructor(parts, onChange) {
    this.#parts = parts;
    this.#onChange = onChange;
    parts.model.addEventListener('change', () => this.#choose(parts.model.value));
    parts.mix.addEventListener('change', () => onChange({ mix: parts.mix.value }));
    parts.own.addEventListener('change', () => this.#setThreshold());
    parts.threshold.addEventListener('input', () => this.#sayThreshold());
    parts.threshold.addEventListener('change', () => this.#setThreshold());
  }

  /** Offer what page.json lists, and show what it begins with. */
  open({ models, start }) {
    const { model, mix, own, threshold } = this.#parts;
    this.#models = models;
    model.replaceChildren(
      ...models.map(
        (one) => new Option(`${one.name} (${megabytes(one.bytes)})`, one.name, one.isDefault, one.isDefault),
      ),
    );
    this.#chosen = model.value;
    mix.value = start.mix;
    own.checked = start.abstainBelow === null;
    if (!own.checked) {
      const inPercent = Math.round(1000 * start.abstainBelow) / 10;
      // Whole steps would round what is applied.
      if (!Number.isInteger(inPercent)) threshold.step = '0.1';
      threshold.value = inPercent;
    }
    model.disabled = mix.disabled = own.disabled = false;
    this.#describe();
    this.#setThreshold(false);
  }

  /** Let a network read; where it doesn't come, the one before goes on and is named. */
  async #choose(name) {
    const { model } = this.#parts;
    if (await this.#onChange({ model: name })) this.#chosen = name;
    // What was chosen after it has its own answer.
    else if (model.value === name) model.value = this.#chosen;
    this.#describe();
  }

  get #model() {
    return this.#models.find((one) => one.name === this.#chosen);
  }

  #describe() {
    const { name, summary, labelsSaid, licence } = this.#model;
    this.#parts.modelWords.textContent = summary;
    this.#parts.labelsWords.textContent = `This network learnt ${labelsSaid}.`;
    this.#parts.modelLine.textContent = `Network: ${name}, licence ${licence}.`;
    this.#sayThreshold();
  }

  #setThreshold(tell = true) {
    const { own, threshold } = this.#parts;
    threshold.disabled = own.checked;
    this.#sayThreshold();
    if (tell) this.#onChange({ abstainBelow: own.checked ? null : Number(threshold.value) / 100 });
  }

  #sayThreshold() {
    const { own, threshold, thresholdWords } = this.#parts;
    const ownValue = this.#model?.calibration?.abstainBelow;
    if (own.checked && ownValue !== undefined) threshold.value = Math.round(100 * ownValue);
    thresholdWords.textContent = `${Number(threshold.value)} %`;
  }
}
