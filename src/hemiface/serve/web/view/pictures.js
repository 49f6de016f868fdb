/** From a file to a picture of a size that a browser can work on, or one sentence why not. */

/** Larger pictures are made smaller, so that the bars follow while something is dragged. */
export const LONGEST_PX = 2560;

/** As `hemiface predict` takes them by default. */
export const MOST_PIXELS = 89_478_485;

const HEIC_BRANDS = ['heic', 'heix', 'heim', 'heis', 'hevc', 'hevx', 'mif1', 'msf1'];

/** A file isn't opened; the message is one sentence for whoever chose it. */
export class PictureError extends Error {}

/**
 * Return `{canvas, note}`: the picture of a file, upright, transparency laid on black, no colour
 * profile applied, as hemiface reads it in Python. `note` says if it was made smaller.
 */
export async function openPicture(file) {
  const name = file.name || 'The picture';
  if (!file.size) throw new PictureError(`${name} is empty (0 bytes).`);
  if (file.type.startsWith('video/')) {
    throw new PictureError(
      `${name} is a video; this page takes photos and the camera, "hemiface predict" takes videos.`,
    );
  }
  const { width, height } = await sizeOf(file, name);
  if (width * height > MOST_PIXELS) {
    const millions = Math.round((width * height) / 1e6);
    throw new PictureError(
      `${name} has ${millions} million pixels; up to ${Math.floor(MOST_PIXELS / 1e6)} million are opened.`,
    );
  }
  const bitmap = await decoded(file, name);
  const canvas = onCanvas(bitmap);
  const smaller =
    canvas.width < bitmap.width
      ? `It was made smaller for this page, from ${bitmap.width} x ${bitmap.height} to ${canvas.width} x ${canvas.height} pixels.`
      : '';
  bitmap.close();
  return { canvas, note: smaller };
}

/** Return the size of a picture without unpacking it. */
async function sizeOf(file, name) {
  const address = URL.createObjectURL(file);
  const image = new Image();
  try {
    await new Promise((resolve, reject) => {
      image.onload = resolve;
      image.onerror = reject;
      image.src = address;
    });
    return { width: image.naturalWidth, height: image.naturalHeight };
  } catch {
    throw new PictureError(await whyNot(file, name));
  } finally {
    URL.revokeObjectURL(address);
  }
}

async function decoded(file, name) {
  try {
    return await createImageBitmap(file, { colorSpaceConversion: 'none' });
  } catch {
    throw new PictureError(await whyNot(file, name));
  }
}

/** Return why a browser can't read a file, by how the file starts. */
async function whyNot(file, name) {
  const head = await file.slice(0, 12).arrayBuffer().catch(() => null);
  if (head === null) return `${name} can't be read; it may be a folder, or gone.`;
  const start = String.fromCharCode(...new Uint8Array(head));
  if (start.slice(4, 8) === 'ftyp' && HEIC_BRANDS.includes(start.slice(8))) {
    return `${name} is HEIC, which this browser can't open; save it as JPEG or PNG.`;
  }
  if (/^(II\*\0|MM\0\*)/.test(start)) return `${name} is TIFF, which this browser can't open; save it as JPEG or PNG.`;
  if (/^(\xff\xd8\xff|\x89PNG|GIF8|RIFF....WEBP|BM)/s.test(start))
    return `${name} is damaged or cut off; get it again.`;
  if (file.type.startsWith('image/'))
    return `${name} is of a kind that this browser can't open; save it as JPEG or PNG.`;
  return `${name} is not a picture; choose a JPEG, PNG or WebP file.`;
}

/** Return an opaque canvas with the picture, made smaller where it is longer than LONGEST_PX. */
function onCanvas(bitmap) {
  const scale = Math.min(1, LONGEST_PX / Math.max(bitmap.width, bitmap.height));
  const canvas = new OffscreenCanvas(
    Math.max(1, Math.round(bitmap.width * scale)),
    Math.max(1, Math.round(bitmap.height * scale)),
  );
  const context = canvas.getContext('2d', { alpha: false });
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas;
}
