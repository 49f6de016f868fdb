/** The page: what it is made of, and what happens when something is pressed. */

import { Boxes } from './view/labelled-boxes.js';
import { Camera } from './view/camera.js';
import { drawCover, isHalf, isMovable } from './view/covers.js';
import { Engine, EngineError } from './view/engine.js';
import { Handle } from './view/handle.js';
import { drawMap, Legend } from './view/map.js';
import { keepOffline } from './view/offline.js';
import { openPicture, PictureError } from './view/pictures.js';
import { Reading } from './view/reading.js';
import { Session } from './view/session.js';
import { Settings } from './view/settings.js';
import { listenForPictures } from './view/sources.js';
import { Stage } from './view/stage.js';
import { Strip } from './view/strip.js';
import { megabytes } from './view/words.js';

const $ = (id) => document.getElementById(id);

const engine = new Engine(new URL('worker.js', import.meta.url), showProgress);
const session = new Session(engine);
const camera = new Camera();
const stage = new Stage({
  stage: $('stage'),
  layers: $('layers'),
  canvas: $('picture'),
  over: $('over'),
  invitation: $('invitation'),
  onResize: draw,
});
const boxes = new Boxes({
  boxes: $('faces'),
  tags: $('tags'),
  leads: $('leads'),
  onChoose: (index) => session.choose(index),
});
const handle = new Handle({ element: $('handle'), grip: $('grip'), session, stage });
const reading = new Reading({
  label: $('label'),
  confidence: $('confidence'),
  why: $('why'),
  bars: $('bars'),
  key: $('bars-key'),
  visible: $('visible'),
  notShown: $('not-shown'),
  more: $('more'),
  spoken: $('spoken'),
});
const strip = new Strip({ section: $('halves'), list: $('strip'), onChoose: pressCover });
const legend = new Legend({
  legend: $('legend'),
  low: $('legend-low'),
  high: $('legend-high'),
  words: $('legend-words'),
  table: $('legend-table'),
});
const settings = new Settings(
  {
    model: $('model'),
    mix: $('mix'),
    own: $('own-threshold'),
    threshold: $('threshold'),
    modelWords: $('model-words'),
    thresholdWords: $('threshold-words'),
    labelsWords: $('labels-words'),
    modelLine: $('model-line'),
  },
  (options) => {
    showProblem('');
    return busy('Reading anew\u2026', session.setOptions(options));
  },
);

/** What is drawn while another picture is shown than was looked at. */
const NOTHING_SEEN = { picture: null, faces: [], face: null, halves: {}, map: null, cover: { kind: 'nothing' } };
/** What is being loaded: file -> bytes that came, and that it has. */
const loading = new Map();
/** Promises whether the networks are there; what didn't come is asked for again with the next picture. */
let opened = open();
/** How many pictures and cameras were chosen: the last one is looked at. */
let sources = 0;

session.addEventListener('change', draw);
session.addEventListener('problem', ({ detail }) => showProblem(detail));
listenForPictures({
  stage: $('stage'),
  fileInput: $('file'),
  exampleButton: $('example'),
  onFile: lookAt,
  onProblem: showProblem,
});
$('camera').addEventListener('click', () => (camera.isOn ? stopCamera() : startCamera()));
for (const input of document.querySelectorAll('input[name=cover]')) {
  input.addEventListener('change', () => session.setCover(input.value));
}
for (const input of document.querySelectorAll('input[name=map]')) {
  input.addEventListener('change', () => busy('Looking at its parts\u2026', session.showMap(input.value)));
}

async function open() {
  $('message').textContent = 'Loading the networks\u2026';
  try {
    const about = await engine.open();
    $('message').textContent = '';
    reading.setEmotions(about.labels);
    settings.open(about);
    keepOffline({ badge: $('offline'), words: $('offline-words') });
    return true;
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    $('message').textContent = '';
    showProblem(error.message);
    return false;
  } finally {
    $('progress').hidden = true;
    loading.clear();
  }
}

async function networksAreThere() {
  if (await opened) return true;
  opened = open();
  return opened;
}

/** Show a picture's file and read its faces. */
async function lookAt(file) {
  const source = ++sources;
  showProblem('');
  try {
    const { canvas, note } = await openPicture(file);
    // A large picture may be opened after a small one that was chosen later.
    if (source !== sources) return;
    stopCamera(false);
    const expected = session.expect();
    stage.show(canvas, canvas.width, canvas.height);
    if (!(await networksAreThere())) return;
    await busy('Looking for faces\u2026', session.look(canvas, expected));
    if (source === sources) $('message').textContent = note;
  } catch (error) {
    if (!(error instanceof PictureError)) throw error;
    if (source === sources) showProblem(error.message);
  }
}

async function startCamera() {
  const source = ++sources;
  showProblem('');
  $('camera').disabled = true;
  try {
    if (!(await networksAreThere())) return;
    await camera.start(() => stopCamera());
  } catch (error) {
    if (!(error instanceof PictureError)) throw error;
    if (source === sources) showProblem(error.message);
    return;
  } finally {
    $('camera').disabled = false;
  }
  if (source !== sources || !camera.isOn) {
    // While the browser asked for permission a picture was chosen, or the camera was unplugged.
    camera.stop();
    return;
  }
  session.expect();
  showCamera(true);
  camera.eachPicture((video) => stage.show(video, video.videoWidth, video.videoHeight));
  await followCamera();
}

async function followCamera() {
  const run = camera.run;
  while (run && camera.run === run) {
    await nextFrame();
    // Only what is shown now is read: no picture ever waits for the networks.
    if (camera.run === run && !$('layers').hidden) await session.follow(stage.copy());
  }
}

/** Stop the camera; its last picture stays, and is read as a photo. */
function stopCamera(keeps = true) {
  if (!camera.isOn) return;
  camera.stop();
  showCamera(false);
  if (keeps && !$('layers').hidden) busy('Looking for faces\u2026', session.look(stage.copy()));
}

function showCamera(isOn) {
  $('camera').setAttribute('aria-pressed', isOn);
  // As short as the other word, so that nothing below moves on a phone.
  $('camera').textContent = isOn ? 'Stop' : 'Camera';
  $('camera').setAttribute('aria-label', isOn ? 'Stop the camera' : 'Camera');
  $('message').textContent = isOn ? "Not mirrored: left is the picture's left. Stop it to keep the last picture." : '';
}

function nextFrame() {
  return new Promise((resolve) => requestAnimationFrame(resolve));
}

/** Say what is done until it is done. */
async function busy(words, work) {
  $('message').textContent = words;
  $('stage').setAttribute('aria-busy', 'true');
  try {
    return await work;
  } finally {
    $('stage').removeAttribute('aria-busy');
    $('message').textContent = '';
  }
}

function pressCover(kind) {
  document.querySelector(`input[name=cover][value=${kind}]`).checked = true;
  session.setCover(kind);
}

function draw() {
  const seen = session.isOld ? NOTHING_SEEN : session;
  const { face, faces, cover, map } = seen;
  boxes.draw(seen, stage);
  handle.draw(seen);
  reading.draw(seen);
  strip.draw(seen);
  legend.draw(seen);
  stage.describe(faces.length === 1 ? 'Picture with 1 face' : `Picture with ${faces.length || 'no'} faces`);
  stage.drawOver((context) => {
    if (!face) return;
    if (isHalf(cover.kind) || cover.place) drawCover(context, cover, face);
    if (map) drawMap(context, map, face);
  });
  $('covers').disabled = !face;
  $('maps').disabled = seen.isFollowing;
  $('cover-help').hidden = !face || !isMovable(cover.kind);
}

function showProgress({ file, loaded, total }) {
  loading.set(file, { loaded, total });
  const files = [...loading.values()];
  const [came, all] = ['loaded', 'total'].map((which) => files.reduce((sum, one) => sum + one[which], 0));
  const bar = $('progress');
  bar.hidden = came >= all;
  [bar.max, bar.value] = [all, came];
  if (bar.hidden) loading.clear();
  else if (!$('error').textContent) $('message').textContent = `Loading the networks: ${megabytes(came)} of ${megabytes(all)}`;
}

function showProblem(words) {
  $('error').textContent = words;
  if (words) $('message').textContent = '';
}
