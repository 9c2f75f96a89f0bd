// As spasm/inference/event_detection.py: from the predictions of overlapping windows to probability over time and events,
// by the rule of accumulation. The page does not compute the movement of the body, so an onset is where the probability
// rises, a third of a second after the onset that timeline.py gives where the movement is known.
import { FPS } from "./landmarks.js";

export const STEP_FRAMES = 3;
export const STEP_S = STEP_FRAMES / FPS; // between two values of a curve
const NEAR_STEPS = 2; // frames within so many steps of attended frames count as attended
const SHORT_GAP_STEPS = 4; // without a pose: shorter than a spasm, so that it does not divide one
const TRIM = Math.fround(0.8); // of an event's peak: the level of its onset and offset

// Probability over time, finer than the windows: each window's probability is spread over its frames by attention. A
// frame gets the probability times its attention relative to the highest attention; a step gets the mean over the windows
// that cover it, and NaN if no frame in it was seen, or only in windows of which too little was seen.
export class Curve {
  // frames: of the recording; length: frames of a window.
  constructor(frames, length) {
    this.steps = Math.ceil(frames / STEP_FRAMES);
    this.stepsOfWindow = Math.ceil(length / STEP_FRAMES);
    this.end = 0; // of the last window, which can begin within a step: then it ends before the last step
    [this.sums, this.windows, this.seen] = [0, 1, 2].map(() => new Float64Array(this.steps + this.stepsOfWindow));
  }

  // Count the window that begins at frame `start`; starts must not decrease. probability: NaN where too little was seen, and then it
  // is not counted; attention: a weight for each frame; seen: 1 where the frame shows movement.
  add(start, probability, attention, seen) {
    const begin = Math.floor(start / STEP_FRAMES), highest = maximum(attention) || 1;
    this.end = begin + this.stepsOfWindow;
    if (Number.isNaN(probability)) return;
    const weights = this.#ofSteps(attention, highest), isSeen = this.#ofSteps(seen, 1);
    for (let step = 0; step < this.stepsOfWindow; step++) {
      let near = 0;
      for (let other = Math.max(0, step - NEAR_STEPS); other <= step + NEAR_STEPS; other++) near = Math.max(near, weights[other] ?? 0);
      this.sums[begin + step] += probability * near;
      this.windows[begin + step] += 1;
      this.seen[begin + step] += isSeen[step];
    }
  }

  // The highest of the weights of frames in each step, divided by a number.
  #ofSteps(weights, divisor) {
    const highest = new Float64Array(this.stepsOfWindow);
    weights.forEach((weight, frame) => {
      const step = Math.floor(frame / STEP_FRAMES);
      highest[step] = Math.max(highest[step], weight / divisor);
    });
    return highest;
  }

  // The probability of each step of STEP_S.
  finish() {
    const mean = (_, step) => (this.seen[step] > 0 ? this.sums[step] / this.windows[step] : NaN);
    return Float32Array.from({ length: Math.min(this.steps, this.end) }, mean);
  }
}

// Events where the sum of the last windows' probabilities reaches a threshold, as in VSViG; then a refractory time. Each
// is around the highest value of the curve in its last window. A window of which too little was seen adds nothing, and no
// event ends with it. windows: {length, durationS, endsS, probability, seenS, curve}; rule: {sum_windows, sum_threshold,
// sum_floor, refractory_s}. Gives [{onsetS, offsetS, peak, detectableAtS, seenS}].
export function detectEvents(windows, rule) {
  const { endsS, probability, length } = windows, windowS = length / FPS, events = [], running = [];
  let total = 0;
  for (let number = 0; number < probability.length; number++) {
    total += probability[number] >= rule.sum_floor ? probability[number] : 0; // NaN is no such
    running.push(total);
    const sum = total - (number >= rule.sum_windows ? running[number - rule.sum_windows] : 0);
    if (!(sum >= rule.sum_threshold) || Number.isNaN(probability[number])) continue;
    const alarmS = endsS[number], last = events.at(-1);
    if (last && alarmS < last.detectableAtS + Math.max(rule.refractory_s, windowS)) continue;
    const beginS = Math.max(0, alarmS - windowS, last ? last.offsetS : 0);
    const summed = Array.from(probability.slice(Math.max(0, number - rule.sum_windows + 1), number + 1));
    const peak = maximum(summed.filter((one) => !Number.isNaN(one)));
    const event = { ...momentBetween(windows.curve, beginS, alarmS), peak, detectableAtS: alarmS };
    events.push({ ...event, seenS: seenAround(event, windows) });
  }
  return events;
}

// The interval around the curve's maximum between two times in which it is at least TRIM of that maximum.
function momentBetween(curve, beginS, endS) {
  const first = Math.ceil(beginS / STEP_S - 1e-6), last = Math.floor(endS / STEP_S + 1e-6);
  const part = acrossShortGaps(curve.slice(first, last)), peak = maximum(part);
  if (part.length < last - first || !part.length || peak < 0) return { onsetS: beginS, offsetS: endS };
  const highest = part.indexOf(peak), level = Math.fround(TRIM * peak);
  let low = highest, high = highest;
  while (low > 0 && part[low - 1] >= level) low--;
  while (high < part.length - 1 && part[high + 1] >= level) high++;
  return { onsetS: (first + low) * STEP_S, offsetS: Math.min(endS, (first + high + 1) * STEP_S) };
}

// The curve with gaps of at most SHORT_GAP_STEPS interpolated; -1 in longer ones, below every threshold.
export function acrossShortGaps(curve) {
  const filled = curve.map((value) => (Number.isNaN(value) ? -1 : value));
  let before = -1;
  curve.forEach((value, step) => {
    if (Number.isNaN(value)) return;
    if (before >= 0 && step - before > 1 && step - before <= SHORT_GAP_STEPS + 1) {
      const slope = (value - curve[before]) / (step - before);
      for (let between = before + 1; between < step; between++) filled[between] = slope * (between - before) + curve[before];
    }
    before = step;
  });
  return filled;
}

// Seconds that were seen of the most probable window around an event.
function seenAround(event, { endsS, probability, seenS, length }) {
  const middleS = (event.onsetS + event.offsetS) / 2;
  let best = -1;
  const rank = (number) => [Number.isNaN(probability[number]) ? -1 : probability[number], seenS[number]];
  for (let number = 0; number < endsS.length; number++) {
    if (endsS[number] < middleS - 1e-6 || endsS[number] - length / FPS > middleS + 1e-6) continue;
    if (best < 0 || rank(number)[0] > rank(best)[0] || (rank(number)[0] === rank(best)[0] && rank(number)[1] >= rank(best)[1])) best = number;
  }
  return seenS[best];
}

// The highest probability of a window, and the middle of that window; NaN where nothing was seen.
export function highestOf({ endsS, probability, length }) {
  let best = -1;
  for (let number = 0; number < probability.length; number++) {
    if (!Number.isNaN(probability[number]) && (best < 0 || probability[number] > probability[best])) best = number;
  }
  if (best < 0) return { probability: NaN, timeS: NaN };
  return { probability: probability[best], timeS: (Math.max(0, endsS[best] - length / FPS) + endsS[best]) / 2 };
}

function maximum(values) {
  let highest = -Infinity;
  for (const value of values) if (value > highest) highest = value;
  return highest;
}
