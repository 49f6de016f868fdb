/**
 * What is being looked at: a picture, its faces, which one is chosen, what lies over it, and what
 * the networks say of all that. Views draw it; nothing here draws on the page.
 *
 * The networks remember the last pixels they saw. So every task here runs to its end before the next
 * one starts, and says itself which pixels it needs: the plain picture's or those under the cover.
 */

import { drawCover, firstPlace, HALVES, isHalf, isMovable } from './covers.js';
import { EngineError } from './engine.js';

const NOTHING = { kind: 'nothing', place: null };

export class Session extends EventTarget {
  /** The picture that the faces were found in, as an OffscreenCanvas; null before the first. */
  picture = null;
  faces = [];
  chosen = 0;
  cover = NOTHING;
  /** Readings by face under the cover, null where nothing is covered or known yet. */
  covered = null;
  /** What the chosen face looks like: reading for full (as it is) and each hidden half; may be empty. */
  halves = {};
  map = null;
  isFollowing = false;
  /** Whether all this is of another picture than the one that is shown now. */
  isOld = false;

  #engine;
  #expected = 0;
  #turn = Promise.resolve();
  #sawCover = false;
  #coverWaits = false;
  #mapKind = '';

  constructor(engine) {
    super();
    this.#engine = engine;
  }

  get face() {
    return this.faces[this.chosen] ?? null;
  }

  /** Return what is said of a face now, under the cover if there is one. */
  readingOf(index) {
    return this.covered?.[index] ?? this.faces[index].reading;
  }

  /**
   * Hear that another picture is shown: what is known is of an older one until it is looked at.
   * Return its number, for `look`.
   */
  expect() {
    this.#expected += 1;
    this.isOld = true;
    this.#changed();
    return this.#expected;
  }

  /** Find and read the faces of a new picture, of which `expect` gave the number, if it still is the newest. */
  look(picture, expected = this.#expected) {
    return this.#inTurn(async () => {
      if (expected !== this.#expected) return;
      this.isFollowing = false;
      await this.#find(picture);
      this.chosen = 0;
      this.#forgetFace();
      if (isMovable(this.cover.kind) && this.face) this.#placeCover();
      await this.#readAll();
    });
  }

  /** Find and read the faces of a camera's newest picture; the chosen face stays chosen. */
  follow(picture) {
    const expected = this.#expected;
    return this.#inTurn(async () => {
      if (expected !== this.#expected) return;
      // Nothing has kept its place since another picture, or one from before the camera was turned.
      const isNext = this.isFollowing && isOfOneSize(picture, this.picture);
      const earlier = isNext ? this.faces : [];
      this.isFollowing = true;
      await this.#find(picture);
      // Another face may have been chosen while these were searched for.
      const before = earlier[this.chosen] ?? null;
      this.chosen = before ? nearestTo(before, this.faces) : 0;
      this.#forgetFace();
      if (!before && isMovable(this.cover.kind) && this.face) this.#placeCover();
      await this.#readCovered();
      this.#changed();
    });
  }

  choose(index) {
    if (index === this.chosen || !this.faces[index]) return;
    this.chosen = index;
    this.#forgetFace();
    // A half is of the chosen face, and what is worn goes with it; the box stays where it is.
    if (this.cover.kind !== 'box') this.covered = null;
    if (isMovable(this.cover.kind) && this.cover.kind !== 'box') this.#placeCover();
    this.#changed();
    this.#inTurn(() => (this.isFollowing ? this.#readCovered() : this.#readAll()));
  }

  /** Lay something over the chosen face: nothing, box, mask, sunglasses or a half. */
  setCover(kind) {
    this.cover = { kind, place: null };
    this.covered = null;
    if (isMovable(kind) && this.face) this.#placeCover();
    this.#changed();
    this.#readCoverSoon();
  }

  moveCover(place) {
    this.cover = { ...this.cover, place };
    this.#changed();
    this.#readCoverSoon();
  }

  /** Ask for the map of the chosen face: quadrants, tiles, or "" for none. */
  showMap(kind) {
    this.#mapKind = kind;
    this.map = null;
    this.#changed();
    return this.#inTurn(async () => {
      await this.#readMap();
      this.#changed();
    });
  }

  /** Choose network, mix or threshold, then read the picture by them; return whether they could be chosen. */
  async setOptions(options) {
    let isChosen = false;
    await this.#inTurn(async () => {
      await this.#engine.choose(options);
      isChosen = true;
      if (!this.picture) return;
      await this.#seePlain(true);
      this.#forgetFace();
      await this.#readAll();
    });
    return isChosen;
  }

  /** Return the picture with the cover drawn into it, to be handed to the networks. */
  #composed() {
    const canvas = new OffscreenCanvas(this.picture.width, this.picture.height);
    const context = canvas.getContext('2d', { alpha: false });
    context.drawImage(this.picture, 0, 0);
    if (isMovable(this.cover.kind)) drawCover(context, this.cover, this.face);
    return canvas.transferToImageBitmap();
  }

  async #find(picture) {
    const expected = this.#expected;
    const answer = await this.#engine.find(await createImageBitmap(picture), { follow: this.isFollowing });
    this.picture = picture;
    this.faces = answer.faces;
    this.isOld = expected !== this.#expected;
    this.#sawCover = false;
    this.covered = null;
  }

  /** Let the networks see the picture without the cover, where they last saw it with. */
  async #seePlain(always = false) {
    if (!this.#sawCover && !always) return;
    const answer = await this.#engine.again(await createImageBitmap(this.picture));
    this.#sawCover = false;
    this.faces = answer.faces;
  }

  /** Read the chosen face in every way that the page shows, the quickest first. */
  async #readAll() {
    await this.#readCovered();
    this.#changed();
    await this.#readHalves();
    this.#changed();
    await this.#readMap();
    this.#changed();
  }

  #readCoverSoon() {
    // One task waits at most: it will see the newest place.
    if (this.#coverWaits) return;
    this.#coverWaits = true;
    this.#inTurn(async () => {
      this.#coverWaits = false;
      await this.#readCovered();
      this.#changed();
    });
  }

  async #readCovered() {
    const [chosen, { kind }] = [this.chosen, this.cover];
    let covered = null;
    if (this.face && isHalf(kind)) {
      covered = { [chosen]: this.halves[kind] ?? (await this.#hidden([kind]))[kind] };
    } else if (this.face && isMovable(kind)) {
      const answer = await this.#engine.again(this.#composed());
      this.#sawCover = true;
      covered = answer.faces.map((one) => one.reading);
    }
    // What was chosen or laid over the face meanwhile is read by the next task.
    if (kind === this.cover.kind && chosen === this.chosen) this.covered = covered;
  }

  async #readHalves() {
    if (!this.face || this.halves.full) return;
    const chosen = this.chosen;
    const readings = await this.#hidden(HALVES);
    // The whole face as it is read without a cover: an estimate says what of it can be seen.
    if (chosen === this.chosen) this.halves = { full: this.face.reading, ...readings };
  }

  async #hidden(conditions) {
    const chosen = this.chosen;
    await this.#seePlain();
    return this.#engine.hide(chosen, conditions);
  }

  async #readMap() {
    const [chosen, kind] = [this.chosen, this.#mapKind];
    if (!this.face || !kind || this.map || this.isFollowing) return;
    await this.#seePlain();
    const map = await this.#engine.map(chosen, kind);
    if (chosen === this.chosen && kind === this.#mapKind) this.map = map;
  }

  #placeCover() {
    this.cover = { ...this.cover, place: firstPlace(this.cover.kind, this.face) };
  }

  #forgetFace() {
    this.halves = {};
    this.map = null;
  }

  #changed() {
    this.dispatchEvent(new Event('change'));
  }

  /** Run a task after all earlier ones; what a worker can't answer is told to whoever listens. */
  #inTurn(task) {
    const done = this.#turn.then(task);
    // The next task runs whatever becomes of this one.
    this.#turn = done.catch(() => {});
    return done.catch((error) => {
      if (!(error instanceof EngineError)) throw error;
      this.dispatchEvent(new CustomEvent('problem', { detail: error.message }));
    });
  }
}

function isOfOneSize(one, other) {
  return one.width === other.width && one.height === other.height;
}

/** Return which face lies nearest to where another one was, 0 where there is none. */
function nearestTo({ box }, faces) {
  const away = faces.map((one) =>
    Math.hypot(one.box[0] + one.box[2] / 2 - box[0] - box[2] / 2, one.box[1] + one.box[3] / 2 - box[1] - box[3] / 2),
  );
  return Math.max(away.indexOf(Math.min(...away)), 0);
}
