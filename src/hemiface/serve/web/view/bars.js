/** A bar of a probability. */

import { percent } from './words.js';

/** Return `{track, set}`: an empty bar, and what fills it in an emotion's colour. */
export function bar(emotion = '') {
  const track = document.createElement('span');
  const fill = document.createElement('span');
  track.className = 'track';
  fill.className = 'fill';
  track.dataset.emotion = emotion;
  track.append(fill);
  const set = (share) => {
    fill.style.width = `${100 * share}%`;
  };
  return { track, set };
}

/** A bar for each emotion, with its name and number, and a mark for what it was before. */
export class Bars {
  #rows;

  constructor(list, emotions) {
    this.#rows = emotions.map((emotion) => {
      const row = document.createElement('li');
      const [name, value, before] = ['name', 'value', 'before'].map((kind) => {
        const element = document.createElement('span');
        element.className = kind;
        return element;
      });
      const { track, set } = bar(emotion);
      name.textContent = emotion;
      before.hidden = true;
      track.append(before);
      row.append(name, track, value);
      return { row, set, value, before };
    });
    list.replaceChildren(...this.#rows.map(({ row }) => row));
  }

  /** Show seven probabilities, and seven earlier ones if there are any; null for none. */
  draw(probabilities, before = null) {
    const most = probabilities ? Math.max(...probabilities) : NaN;
    this.#rows.forEach(({ row, set, value, before: mark }, index) => {
      const share = probabilities?.[index] ?? 0;
      set(share);
      value.textContent = probabilities ? percent(share) : '';
      value.title = probabilities ? share.toFixed(4) : '';
      row.classList.toggle('best', share === most);
      mark.hidden = !before;
      if (before) mark.style.left = `${100 * before[index]}%`;
    });
  }
}
