/** The networks, which run in a worker of their own, as functions that return promises. */

/** The worker said in a sentence why it can't answer. */
export class EngineError extends Error {}

export class Engine {
  #worker;
  #waiting = new Map();
  #asked = 0;
  /** Why the worker never answers again, "" while it does. */
  #fatal = '';

  /** `onProgress({file, loaded, total})` is called while a network's file comes, in bytes. */
  constructor(address, onProgress) {
    this.#worker = new Worker(address, { type: 'module' });
    this.#worker.addEventListener('message', ({ data }) => {
      if (data.progress) onProgress(data.progress);
      else this.#settle(data);
    });
    this.#worker.addEventListener('error', (event) => {
      event.preventDefault();
      this.#failAll(`The networks can't be run in this browser (${event.message || "their file didn't come"}).`);
    });
  }

  /** Start the networks; return page.json. */
  async open() {
    return (await this.#ask('open')).about;
  }

  /** Set what is given of `{model, mix, abstainBelow}`; `abstainBelow` null is the network's own. */
  choose(options) {
    return this.#ask('choose', options);
  }

  /** Return the faces of a picture, the largest first; the bitmap is given away. */
  find(bitmap, { follow = false } = {}) {
    return this.#ask('find', { bitmap, follow }, [bitmap]);
  }

  /** Return the faces of the last picture again, on pixels that were changed since. */
  again(bitmap) {
    return this.#ask('again', { bitmap }, [bitmap]);
  }

  /** Return {condition: reading} of a face, from the last pixels. */
  async hide(face, conditions) {
    return (await this.#ask('hide', { face, conditions })).readings;
  }

  /** Return what each part of a face does to its label; `kind` is quadrants or tiles. */
  map(face, kind) {
    return this.#ask('map', { face, kind });
  }

  #ask(what, fields = {}, given = []) {
    if (this.#fatal) return Promise.reject(new EngineError(this.#fatal));
    const id = ++this.#asked;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ ...fields, id, what }, given);
    });
  }

  #settle({ id, ok, message, ...answer }) {
    const { resolve, reject } = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (ok) resolve(answer);
    else reject(new EngineError(message));
  }

  #failAll(message) {
    this.#fatal = message;
    for (const { reject } of this.#waiting.values()) reject(new EngineError(message));
    this.#waiting.clear();
  }
}
