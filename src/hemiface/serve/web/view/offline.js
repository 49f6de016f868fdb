/** Keeping the page for use without a network, and saying how far that is. */

const WORDS = {
  none: ["", "This browser keeps no copy of pages at this address (it does on https and localhost), so the page needs its server each time it is opened."],
  storing: ["Storing a copy for offline use\u2026", "A copy of the page and its networks is being stored in this browser."],
  ready: ["Works offline.", "A copy of the page and its networks lies in this browser: it opens without a network at this address. To remove it, clear this site's data."],
  newer: ["A newer version is ready: reload.", "A newer version was stored in this browser; reload the page to use it."],
  failed: ["", "No copy could be stored in this browser, so the page needs its server each time it is opened."],
};

/** Store the version of page.json; `badge` and `words` are elements that say how far it is. */
export async function keepOffline({ version, badge, words }) {
  const say = (state) => [badge.textContent, words.textContent] = WORDS[state];
  if (!navigator.serviceWorker) {
    say("none");
    return;
  }
  const wasKept = Boolean(navigator.serviceWorker.controller);
  const newest = (await newestVersion()) ?? version;
  say(wasKept && newest === version ? "ready" : "storing");
  try {
    const registration = await navigator.serviceWorker.register(`service-worker.js?version=${encodeURIComponent(newest)}`);
    await installed(registration);
    say(newest === version ? "ready" : "newer");
  } catch {
    say(wasKept ? "ready" : "failed");
  }
}

/** Return the version that the server has now, null if it can't be asked. */
async function newestVersion() {
  try {
    const answer = await fetch("page.json?newest", { cache: "no-store" });
    return (await answer.json()).version;
  } catch {
    return null;
  }
}

/** Wait until the worker that is being installed has stored everything; reject if it can't. */
function installed(registration) {
  const worker = registration.installing ?? registration.waiting ?? registration.active;
  return new Promise((resolve, reject) => {
    const look = () => {
      if (worker.state === "activated") resolve();
      if (worker.state === "redundant") reject(new Error("not stored"));
    };
    worker.addEventListener("statechange", look);
    look();
  });
}
