/**
 * The prediction beside the page, so that the page stays quick: messages in, answers out.
 *
 * A request is `{id, what, ...}`, its answer `{id, ok: true, ...}` or `{id, ok: false, message}`
 * with one sentence. While files load, `{progress: {file, loaded, total}}` comes between. Requests
 * are answered in their order; a video's frame that a newer one overtakes isn't looked at.
 *
 * Pixels are those of Python's reading where the bitmap was made with `createImageBitmap(blob,
 * {colorSpaceConversion: 'none', premultiplyAlpha: 'none', imageOrientation: 'from-image'})`, and
 * browsers' JPEG decoders may differ from Pillow's by a few levels.
 */

import { fromBitmap } from './photo.js';
import { openPredictor } from './predictor.js';

const OVERTAKEN = 'overtaken';

const waiting = [];
let isBusy = false;
let opened = null;

/** What is asked -> what answers it. */
const ANSWERS = {
  open: async () => ({ about: (await predictor()).about }),
  choose: async ({ model, mix, abstainBelow }) => {
    await (await predictor()).choose({ model, mix, abstainBelow });
    return {};
  },
  find: async ({ bitmap, follow, smallestPx }) =>
    (await predictor()).find(fromBitmap(bitmap), { follow, smallestPx }),
  again: async ({ bitmap }) => (await predictor()).again(fromBitmap(bitmap)),
  hide: async ({ face, conditions }) => ({
    readings: await (await predictor()).hide(face, conditions),
  }),
  map: async ({ face, kind }) => (await predictor()).map(face, kind),
};

/** The one predictor; what couldn't be loaded is tried again with the next request. */
function predictor() {
  const onProgress = (progress) => postMessage({ progress });
  opened ??= openPredictor({ onProgress }).catch((error) => {
    opened = null;
    throw error;
  });
  return opened;
}

/** Answer what waits, one after the other. */
async function work() {
  isBusy = true;
  while (waiting.length > 0) {
    const request = waiting.shift();
    postMessage({ id: request.id, ...(await answered(request)) });
  }
  isBusy = false;
}

/** @param {{what: string, follow?: boolean, bitmap?: ImageBitmap}} request */
async function answered(request) {
  const isOvertaken = request.follow && waiting.some((one) => one.what === 'find' && one.follow);
  if (isOvertaken) {
    request.bitmap.close();
    return { ok: false, message: OVERTAKEN };
  }
  if (!(request.what in ANSWERS)) {
    const known = Object.keys(ANSWERS).join(', ');
    return { ok: false, message: `'${request.what}' is no request; choose from: ${known}.` };
  }
  try {
    return { ok: true, ...(await ANSWERS[request.what](request)) };
  } catch (error) {
    // Whatever it is, who asked must hear of it: an error in here would end nowhere.
    return { ok: false, message: error.message };
  }
}

addEventListener('message', ({ data }) => {
  waiting.push(data);
  if (!isBusy) work();
});
