/**
 * Keeps the page of one version, whole, and answers from it without a network.
 *
 * The version stands in this file's own address, so that another version is another worker: it is the
 * hash of page.json, which lists the files with their hashes.
 */

const VERSION = new URL(self.location).searchParams.get('version');
/** Copies belong to an address's host; other pages lie there too. */
const OURS = `hemiface-${new URL(self.registration.scope).pathname}-`;
const CACHE = `${OURS}${VERSION}`;
const LIST = 'page.json';

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
  if (isOurs && !address.searchParams.has('newest')) event.respondWith(answer(event.request));
});

async function store() {
  const list = await fetch(LIST, { cache: 'no-cache' });
  const { files } = await list.clone().json();
  const cache = await caches.open(CACHE);
  await cache.put(LIST, list);
  await cache.addAll(['./', ...Object.keys(files)].map((file) => new Request(file, { cache: 'no-cache' })));
}

async function forgetOthers() {
  const others = (await caches.keys()).filter((name) => name.startsWith(OURS) && name !== CACHE);
  await Promise.all(others.map((name) => caches.delete(name)));
}

async function answer(request) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(request, { ignoreSearch: request.mode === 'navigate' });
  return kept ?? fetch(request);
}
