/**
 * Networks from the page's folder, checked against page.json, on ONNX Runtime.
 */

/** More threads hardly help with networks as small as these. */
const MOST_THREADS = 4;

/** Files of the page's folder, each as page.json says it is. */
export class Files {
  /**
   * @param {URL} base of the page's folder
   * @param {Record<string, {bytes: number, sha256: string}>} known path -> what the file must be
   * @param {(progress: {file: string, loaded: number, total: number}) => void} onProgress
   */
  constructor(base, known, onProgress) {
    this.base = base;
    this.known = known;
    this.onProgress = onProgress;
  }

  /**
   * A whole file.
   *
   * @param {string} path inside the page's folder
   * @returns {Promise<Uint8Array>}
   */
  async read(path) {
    const { bytes, sha256 } = this.known[path];
    const content = await this.fetched(path, bytes);
    if (content.length !== bytes || (await isOther(content, sha256))) {
      throw new Error(
        `${path} is damaged: it isn't the file that page.json names. Reload the page; if that ` +
          'changes nothing, write the page again.',
      );
    }
    return content;
  }

  /**
   * @param {string} path
   * @param {number} total
   * @returns {Promise<Uint8Array>} what came, `total` bytes or not
   */
  async fetched(path, total) {
    // The browser may hold the file of an earlier page and take it for fresh without asking.
    const answer = await fetch(new URL(path, this.base), { cache: 'no-cache' }).catch((error) => {
      throw new Error(`${path} can't be fetched (${error.message}); is the server still there?`);
    });
    if (!answer.ok) throw new Error(`${path} can't be fetched: the server says ${answer.status}.`);
    const parts = [];
    let loaded = 0;
    const reader = answer.body.getReader();
    for (let step = await reader.read(); !step.done; step = await reader.read()) {
      parts.push(step.value);
      loaded += step.value.length;
      this.onProgress({ file: path, loaded, total });
    }
    const content = new Uint8Array(loaded);
    let place = 0;
    for (const part of parts) {
      content.set(part, place);
      place += part.length;
    }
    return content;
  }
}

/** Whether this browser lets pages compute hashes: at https and at the machine itself it does. */
export const CAN_CHECK = globalThis.crypto?.subtle !== undefined;

/**
 * @param {Uint8Array} content
 * @param {string} sha256
 * @returns {Promise<boolean>} false too where nothing can be computed; CAN_CHECK tells that
 */
async function isOther(content, sha256) {
  if (!CAN_CHECK) return false;
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', content));
  const found = Array.from(digest, (one) => one.toString(16).padStart(2, '0')).join('');
  return found !== sha256;
}

/** A network with one input. */
export class Network {
  /**
   * @param {object} ort the module of ONNX Runtime
   * @param {object} session
   */
  constructor(ort, session) {
    this.ort = ort;
    this.session = session;
  }

  /**
   * @param {object} ort
   * @param {Files} files
   * @param {string} path
   * @returns {Promise<Network>}
   */
  static async open(ort, files, path) {
    const content = await files.read(path);
    return new Network(ort, await ort.InferenceSession.create(content));
  }

  /**
   * @param {Float32Array | Uint8Array} values
   * @param {number[]} shape
   * @returns {Promise<Record<string, Float32Array>>} output name -> values
   */
  async run(values, shape) {
    const kind = values instanceof Uint8Array ? 'uint8' : 'float32';
    const input = new this.ort.Tensor(kind, values, shape);
    const found = await this.session.run({ [this.session.inputNames[0]]: input });
    return Object.fromEntries(Object.entries(found).map(([name, one]) => [name, one.data]));
  }
}

/**
 * ONNX Runtime with its WebAssembly from the page's folder.
 *
 * One thread computes, and more only where the page is isolated from others (crossOriginIsolated):
 * elsewhere browsers give threads no shared memory.
 *
 * @param {Files} files
 * @returns {Promise<{ort: object, threads: number}>}
 */
export async function openRuntime(files) {
  const ort = await import(new URL('ort/ort.wasm.min.mjs', files.base).href);
  const threads = globalThis.crossOriginIsolated
    ? Math.min(navigator.hardwareConcurrency || 1, MOST_THREADS)
    : 1;
  ort.env.logLevel = 'error';
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = new URL('ort/', files.base).href;
  ort.env.wasm.wasmBinary = (await files.read('ort/ort-wasm-simd-threaded.wasm')).buffer;
  return { ort, threads };
}
