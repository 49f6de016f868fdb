/** Keeping the page for use without a network, and saying how far that is. */

const WORDS = {
  none: [
    '',
    'This browser keeps no copy of pages at this address (it does on https and localhost), so the page needs its server each time it is opened.',
  ],
  storing: [
    'Storing a copy for offline use\u2026',
    'A copy of the page and its networks is being stored in this browser.',
  ],
  ready: [
    'Works offline.',
    "A copy of the page and its networks lies in this browser: it opens without a network at this address. To remove it, clear this site's data.",
  ],
  newer: [
    'A newer version is ready: reload.',
    'A newer version was stored in this browser; reload the page to use it.',
  ],
  failed: ['', 'No copy could be stored in this browser, so the page needs its server each time it is opened.'],
};

/** For a server that may never answer what its newest version is. */
const PATIENCE_MS = 10_000;

/**
 * Store the page, whole; `badge` and `words` are elements that say how far it is.
 *
 * A version is the hash of page.json, in which the hash of every other file stands.
 */
export async function keepOffline({ badge, words }) {
  const say = (state) => ([badge.textContent, words.textContent] = WORDS[state]);
  if (!navigator.serviceWorker) {
    say('none');
    return;
  }
  const wasKept = Boolean(navigator.serviceWorker.controller);
  const version = await versionAt('page.json');
  const newest = (await versionAt('page.json?newest', { signal: AbortSignal.timeout(PATIENCE_MS) })) ?? version;
  const isNewest = newest === version;
  say(wasKept && isNewest ? 'ready' : 'storing');
  try {
    const registration = await navigator.serviceWorker.register(`service-worker.js?version=${newest}`);
    await installed(registration);
    say(!(await isKept(registration, newest)) ? 'failed' : isNewest ? 'ready' : 'newer');
  } catch {
    // Whatever the reason (a full disk, a private window): the page works, only not without its server.
    const registration = await navigator.serviceWorker.getRegistration().catch(() => undefined);
    say(wasKept && registration && (await isKept(registration, version)) ? 'ready' : 'failed');
  }
}

/** Return whether the copy of a version, as the service worker calls it, is there; browsers may drop it. */
function isKept(registration, version) {
  return caches.has(`hemiface-${new URL(registration.scope).pathname}-${version}`);
}

/** Return the version that an address of page.json gives, null where it can't be asked. */
async function versionAt(address, options = {}) {
  try {
    const answer = await fetch(address, { cache: 'no-cache', ...options });
    return answer.ok ? await hashOf(await answer.arrayBuffer()) : null;
  } catch {
    return null;
  }
}

/** Wait until the worker that is being installed has stored everything; reject if it can't. */
function installed(registration) {
  const worker = registration.installing ?? registration.waiting ?? registration.active;
  return new Promise((resolve, reject) => {
    const look = () => {
      if (worker.state === 'activated') resolve();
      if (worker.state === 'redundant') reject(new Error('not stored'));
    };
    worker.addEventListener('statechange', look);
    look();
  });
}

/** Return the SHA-256 of some bytes in hexadecimal digits. */
async function hashOf(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (one) => one.toString(16).padStart(2, '0')).join('');
}
