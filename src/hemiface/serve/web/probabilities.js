/**
 * From a network's probabilities to those that are shown, and why no label is given.
 *
 * What is the same in Python is in `models/temperatures.py`, `models/class_mix.py` and
 * `vision/predictor.py`.
 */

import { QUADRANTS } from './conditions.js';
import { roundEven } from './resize.js';

/** Smaller probabilities are stored imprecisely or as 0: the smallest normal number of 32 bits. */
const SMALLEST = 2 ** -126;

/**
 * Probabilities at another temperature.
 *
 * @param {ArrayLike<number>} values
 * @param {number} temperature
 * @returns {number[]}
 */
export function scaled(values, temperature) {
  const logits = Array.from(values, (one) => Math.log(Math.max(one, SMALLEST)) / temperature);
  const highest = Math.max(...logits);
  return shares(logits.map((one) => Math.exp(one - highest)));
}

/**
 * Probabilities under another mix of emotions.
 *
 * @param {ArrayLike<number>} values
 * @param {number[]} trained shares in the network's training
 * @param {number[]} declared
 * @returns {number[]}
 */
export function reweighed(values, trained, declared) {
  const ratio = (index) => declared[index] / trained[index];
  return shares(Array.from(values, (one, index) => Math.max(one, SMALLEST) * ratio(index)));
}

/** @param {number[]} values */
function shares(values) {
  const total = values.reduce((sum, one) => sum + one, 0);
  return values.map((one) => one / total);
}

/**
 * The temperature for the visible shares of QUADRANTS: the geometric mean of those of the sixteen
 * sets of hidden quadrants, each by the probability that exactly it is hidden.
 *
 * @param {Record<string, number>} temperatures by condition, and one for `pooled`
 * @param {Record<string, string[]>} hides condition -> the quadrants that it hides
 * @param {number[]} visible 0..1
 * @returns {number}
 */
export function temperatureFor(temperatures, hides, visible) {
  let log = 0;
  for (const [name, hidden] of Object.entries(hides)) {
    const weight = QUADRANTS.reduce(
      (product, quadrant, index) =>
        product * (hidden.includes(quadrant) ? 1 - visible[index] : visible[index]),
      1,
    );
    if (weight > 0) log += weight * Math.log(temperatures[name] ?? temperatures.pooled);
  }
  return Math.exp(log);
}

/**
 * Why no label should be given, '' if one should.
 *
 * @param {import('./regions.js').VisibleRegions} looks
 * @param {number} confidence
 * @param {object} rule
 * @param {number} rule.leastVisible
 * @param {number} rule.abstainBelow
 * @param {boolean} rule.isDeclared whether the user said what is hidden
 * @param {boolean} rule.isOfAnotherMix whether the threshold was chosen for another mix
 * @returns {string}
 */
export function whyNot(looks, confidence, rule) {
  const percent = (share) => `${fixed(100 * share, 0)} %`;
  if (looks.most < rule.leastVisible) {
    const where = rule.isDeclared ? 'can be seen' : 'lies in the picture';
    return `at most ${percent(looks.most)} of the face ${where}`;
  }
  if (looks.estimate !== null && looks.estimate < rule.leastVisible) {
    const free = `by estimate only ${percent(looks.estimate / looks.most)} of`;
    if (looks.most === 1) return `${free} the face is uncovered`;
    return `${percent(looks.most)} of the face lies in the picture, and ${free} that is uncovered`;
  }
  if (confidence < rule.abstainBelow) {
    const whose = rule.isOfAnotherMix ? ', chosen for the trained mix' : '';
    // Two digits are enough unless they are the same.
    const digits = fixed(confidence, 2) === fixed(rule.abstainBelow, 2) ? 4 : 2;
    const [is, below] = [confidence, rule.abstainBelow].map((one) => fixed(one, digits));
    return `confidence ${is} is below ${below}${whose}`;
  }
  return '';
}

/**
 * A number with so many decimals, ties to even as in Python.
 *
 * @param {number} value
 * @param {number} digits
 * @returns {string}
 */
export function fixed(value, digits) {
  const factor = 10 ** digits;
  const isTie = Math.abs((value * factor) % 1) === 0.5;
  return (isTie ? roundEven(value * factor) / factor : value).toFixed(digits);
}
