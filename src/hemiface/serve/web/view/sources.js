/** Where a picture comes from: a file button, dropping, pasting, or the rendered example. */

import { PictureError } from './pictures.js';

const EXAMPLE = 'example.png';

/**
 * Call `onFile(file)` for each picture that comes, `onProblem(sentence)` where none does. `stage` is
 * lit while something is dragged over the page.
 */
export function listenForPictures({ stage, fileInput, exampleButton, onFile, onProblem }) {
  fileInput.addEventListener('change', () => {
    if (fileInput.files.length) onFile(fileInput.files[0]);
    fileInput.value = ''; // The same file may be chosen again.
  });
  exampleButton.addEventListener('click', async () => {
    try {
      onFile(await example());
    } catch (error) {
      if (!(error instanceof PictureError)) throw error;
      onProblem(error.message);
    }
  });
  document.addEventListener('paste', (event) => {
    const file = [...event.clipboardData.files][0];
    if (file) onFile(file);
    else onProblem('There is no picture in the clipboard; copy one, or choose a file.');
  });
  document.addEventListener('dragover', (event) => {
    event.preventDefault();
    stage.classList.add('over');
  });
  document.addEventListener('dragleave', (event) => {
    if (!event.relatedTarget) stage.classList.remove('over');
  });
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    stage.classList.remove('over');
    const file = [...event.dataTransfer.files][0];
    if (file) onFile(file);
    else onProblem('That was no file; addresses are never opened here. Save the picture, then drop it.');
  });
}

async function example() {
  const answer = await fetch(EXAMPLE).catch(() => null);
  if (!answer?.ok) throw new PictureError("The rendered faces didn't come; reload the page.");
  return new File([await answer.blob()], 'The rendered picture', { type: 'image/png' });
}
