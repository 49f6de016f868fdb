/**
 * Keeps the page of one version, whole, and answers from it, also without a network.
 *
 * Where another program has taken over its address, as happens at localhost, the copy goes.
 *
 * The version stands in this file's own address, so that another version is another worker: it is the
 * hash of page.json, which lists the files with their hashes.
 */

const VERSION = new URL(self.location).searchParams.get('version');
/** Copies belong to an address's host; other pages lie there too. */
const OURS = `hemiface-${new URL(self.registration.scope).pathname}-`;
const CACHE = `${OURS}${VERSION}`;
const LIST = 'page.json';
/** How long a page that is opened waits for its server. */
const PATIENCE_MS = 2000;

self.addEventListener('install', (event) => {
  event.waitUntil(store().then(() => self.skipWaiting()));
});

self.addEventListener('activate', (event) => {
  event.waitUntil(forgetOthers().then(() => self.clients.claim()));
});

self.addEventListener('fetch', (event) => {
  const address = new URL(event.request.url);
  const isOurs = address.origin === self.location.origin && event.request.method === 'GET';
  // What asks for the newest version asks the server.
  if (!isOurs || address.searchParams.has('newest')) return;
  event.respondWith(event.request.mode === 'navigate' ? open(event.request) : answer(event.request));
});

async function store() {
  const list = await fetch(LIST, { cache: 'no-cache' });
  const { files } = await list.clone().json();
  const cache = await caches.open(CACHE);
  await cache.put(LIST, list);
  await cache.addAll(['./', ...Object.keys(files)].map((file) => new Request(file, { cache: 'no-cache' })));
}

function forgetOthers() {
  return forget((name) => name !== CACHE);
}

async function forget(isMeant) {
  const names = (await caches.keys()).filter((name) => name.startsWith(OURS) && isMeant(name));
  await Promise.all(names.map((name) => caches.delete(name)));
}

/** Answer who opens the page, or another one that lies here. */
async function open(request) {
  const copy = await kept(request, { ignoreSearch: true });
  if (!copy) return fetch(request);
  if (!(await isAnothersNow())) return copy;
  await forget(() => true);
  await self.registration.unregister();
  // The browser's own cache may hold the page, too, and a server take it for its own of before.
  return fetch(request.url, { cache: 'reload', credentials: 'same-origin', redirect: 'manual' });
}

/** Return whether something else than this page, of whatever version, answers at its address. */
async function isAnothersNow() {
  try {
    const said = await fetch(`${LIST}?newest`, { cache: 'no-cache', signal: AbortSignal.timeout(PATIENCE_MS) });
    // Who has failed, or refuses to answer now, says nothing about whose the address is.
    return said.status === 404 || (said.ok && !isList(await said.text()));
  } catch {
    // Nobody answers, or nobody in time.
    return false;
  }
}

function isList(text) {
  try {
    return Boolean(JSON.parse(text)?.files);
  } catch {
    return false;
  }
}

async function answer(request) {
  return (await kept(request)) ?? fetch(request);
}

/** Return the copy of what is asked for, undefined if there is none; makes no cache, unlike `open`. */
function kept(request, options) {
  return caches.match(request, { cacheName: CACHE, ...options });
}
