/** The picture on the page, and how its pixels lie in the page's. */

const MOST_ENLARGED = 3;

export class Stage {
  /** Page pixels for each of the picture's. */
  scale = 1;
  #canvas;
  #over;
  #layers;
  #stage;
  #invitation;
  #onResize;

  constructor({ stage, layers, canvas, over, invitation, onResize }) {
    [this.#stage, this.#layers, this.#canvas] = [stage, layers, canvas];
    [this.#over, this.#invitation, this.#onResize] = [over, invitation, onResize];
    new ResizeObserver(() => this.#fit()).observe(stage);
    // The stage's greatest height goes with the window's.
    addEventListener('resize', () => this.#fit());
  }

  get width() {
    return this.#canvas.width * this.scale;
  }

  get height() {
    return this.#canvas.height * this.scale;
  }

  /** Show a picture (canvas or video) of a size in its pixels. */
  show(picture, width, height) {
    const isOther = this.#canvas.width !== width || this.#canvas.height !== height || this.#layers.hidden;
    if (isOther) [this.#canvas.width, this.#canvas.height] = [width, height];
    this.#canvas.getContext('2d', { alpha: false }).drawImage(picture, 0, 0);
    if (!isOther) return;
    this.#layers.hidden = false;
    this.#invitation.hidden = true;
    this.#stage.classList.add('filled');
    this.#fit();
  }

  describe(words) {
    this.#canvas.setAttribute('aria-label', words);
  }

  /** Return a copy of what is shown. */
  copy() {
    const copy = new OffscreenCanvas(this.#canvas.width, this.#canvas.height);
    copy.getContext('2d', { alpha: false }).drawImage(this.#canvas, 0, 0);
    return copy;
  }

  /** Clear what lies over the picture and draw there, in pixels of the picture. */
  drawOver(draw) {
    const context = this.#over.getContext('2d');
    context.reset();
    const sharp = this.scale * devicePixelRatio;
    context.scale(sharp, sharp);
    draw(context);
  }

  #fit() {
    if (this.#layers.hidden) return;
    const { width, height } = this.#canvas;
    const across = this.#stage.clientWidth;
    const down = parseFloat(getComputedStyle(this.#stage).maxHeight);
    this.scale = Math.min(across / width, down / height, MOST_ENLARGED);
    this.#stage.style.height = `${this.height}px`;
    this.#layers.style.width = `${this.width}px`;
    this.#layers.style.height = `${this.height}px`;
    this.#over.width = Math.round(this.width * devicePixelRatio);
    this.#over.height = Math.round(this.height * devicePixelRatio);
    this.#onResize();
  }
}
