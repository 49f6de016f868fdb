/** How numbers and names are said on the page. */

export function percent(share) {
  return Number.isFinite(share) ? `${Math.round(100 * share)} %` : 'unknown';
}

/** Return a reading in a few words: "happy, 86 %" or "no label: confidence 0.41 is below 0.54". */
export function said(reading) {
  return reading.label ? `${reading.label}, ${percent(reading.confidence)}` : `no label: ${reading.reason}`;
}

/** Return what lies over a face. */
export function coverWords(kind) {
  if (kind === 'nothing') return 'with nothing hidden';
  if (kind === 'box') return 'with the black box';
  if (kind === 'mask') return 'with a drawn mask';
  if (kind === 'sunglasses') return 'with drawn sunglasses';
  return `with the ${kind} half hidden`;
}

/** Return what a condition hides: "upper", "lower-left", "only-lower-left" (which alone is seen), ... */
export function partWords(condition) {
  if (condition.startsWith('only-')) return `more than its ${condition.slice(5).replace('-', ' ')} quarter`;
  return condition.includes('-') ? `its ${condition.replace('-', ' ')} quarter` : `its ${condition} half`;
}

export function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
