/** The camera's pictures, the newest only. */

import { PictureError } from './pictures.js';

const WISH = { audio: false, video: { facingMode: 'user', width: { ideal: 960 }, height: { ideal: 720 } } };

const WHY_NOT = {
  NotAllowedError: "The camera wasn't allowed; allow it for this page in the browser and try again.",
  NotFoundError: 'No camera was found.',
  NotReadableError: "The camera can't be read; another program may be using it.",
  OverconstrainedError: 'No camera was found that fits.',
};

export class Camera {
  #stream = null;
  #runs = 0;
  #video = document.createElement('video');

  get isOn() {
    return this.#stream !== null;
  }

  /** Which start of the camera this is, 0 while it is off. */
  get run() {
    return this.isOn ? this.#runs : 0;
  }

  /**
   * Start the front camera; `onEnd` is called where it ends by itself, as when it is unplugged.
   * Throw PictureError where there is none to be had.
   */
  async start(onEnd) {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new PictureError('Browsers give the camera to pages on https or localhost only.');
    }
    try {
      this.#stream = await navigator.mediaDevices.getUserMedia(WISH);
    } catch (error) {
      throw new PictureError(WHY_NOT[error.name] ?? `The camera can't be started (${error.message}).`);
    }
    this.#runs += 1;
    this.#stream.getVideoTracks()[0].addEventListener('ended', onEnd);
    this.#video.muted = true;
    this.#video.playsInline = true;
    this.#video.srcObject = this.#stream;
    try {
      await this.#video.play();
    } catch (error) {
      this.stop();
      throw new PictureError(`The camera's pictures can't be shown (${error.message}).`);
    }
  }

  stop() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = null;
    this.#video.srcObject = null;
  }

  /** Call `draw(video)` for each picture that the camera gives, until it stops. */
  eachPicture(draw) {
    const run = this.run;
    const next = () => {
      // A picture of before may still come when the camera has been started again.
      if (!run || this.run !== run) return;
      if (this.#video.videoWidth) draw(this.#video);
      if (this.#video.requestVideoFrameCallback) this.#video.requestVideoFrameCallback(next);
      else requestAnimationFrame(next);
    };
    next();
  }
}
