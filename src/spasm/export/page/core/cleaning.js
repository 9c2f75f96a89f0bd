// As spasm/data/findings.py: clean, Findings.sentences and Findings.check_units; to the bit. Other tools mark a landmark
// that was not found by a place, such as x = y = 0; their errors are places that no body can have. Both become NaN here.
import { CHANNELS, FARTHEST, LANDMARKS, POSE, isVisible } from "./landmarks.js";
import { PageProblem } from "./problem.js";

const DEEPEST = 5; // pictures
const FEWEST_FAR = LANDMARKS.length; // landmarks far from the picture that are pixels; fewer are single errors
const MANY_POINTS = 4, FEW_POINTS = 3, MANY_LANDMARKS = 8; // that share a place: a mark, see `markShared`
const LIMBS = [["shoulder"], ["elbow"], ["wrist", "pinky", "index", "thumb"], ["hip"], ["knee"], ["ankle", "heel", "foot_index"]];
const COUNT = LANDMARKS.length, WIDTH = CHANNELS.length;
// The point of the body, of 13, that each landmark is of: 0 is the head.
const POINT = LANDMARKS.map((name, landmark) => {
  if (landmark <= 10) return 0;
  const [side, ...part] = name.split("_");
  return 1 + 2 * LIMBS.findIndex((limb) => limb.includes(part.join("_"))) + (side === "right" ? 1 : 0);
});
const POINTS = 13;

// Poses (F, 33, 5) as a Float32Array of raw values, a Float32Array or Float64Array, and what was noticed.
// findings: [{kind, ...numbers}], each kind once:
//   noPose; neverFound {landmarks: [names]}; still; marks {count, frames, of, x, y}; implausible {count, frame, landmark,
//   channel, value}; noDepth {frames, of}; outside {count}.
// counts: what they are made of, see `checkUnits`.
// Not found, so NaN in all five channels, is a landmark that holds a mark for missing (x = y = 0, x = y = -1, one exact
// place for several points of the body) or an implausible value (infinite, or beyond FARTHEST). In a frame without depth
// z becomes 0: where z is missing or beyond DEEPEST in most landmarks. Visibility and presence are clipped to 0..1.
export function clean(raw, frames) {
  if (raw.length !== frames * POSE) throw new PageProblem("posesShape", { shape: `(${raw.length / POSE}, ${COUNT}, ${WIDTH})` });
  const values = raw.slice(); // in the precision of the file, as Python does
  const counts = {
    frames, posed: 0, found: 0, far: 0, farthest: [0, 0], marks: 0, markedFrames: 0, mark: [NaN, NaN],
    implausible: 0, first: null, flat: 0, outside: 0, moves: false,
  };
  for (let frame = 0; frame < frames; frame++) cleanFrame(values, frame, counts);
  const poses = values instanceof Float32Array ? values : Float32Array.from(values);
  const never = countPoses(poses, frames, counts);
  return { poses, findings: findingsOf(counts, never), counts };
}

function cleanFrame(values, frame, counts) {
  const begin = frame * POSE, x = (landmark) => values[begin + landmark * WIDTH], y = (landmark) => values[begin + landmark * WIDTH + 1];
  const isMark = new Array(COUNT), found = new Array(COUNT), isImplausible = new Array(COUNT);
  for (let landmark = 0; landmark < COUNT; landmark++) {
    isMark[landmark] = x(landmark) === y(landmark) && (x(landmark) === 0 || x(landmark) === -1);
    found[landmark] = !(Number.isNaN(x(landmark)) || Number.isNaN(y(landmark)) || isMark[landmark]);
  }
  markShared(x, y, isMark, found);

  let left = 0, deep = 0;
  for (let landmark = 0; landmark < COUNT; landmark++) {
    const across = Math.abs(x(landmark)), down = Math.abs(y(landmark));
    if (found[landmark]) {
      counts.found++;
      if (Math.abs(x(landmark) - 0.5) > 1.5 || Math.abs(y(landmark) - 0.5) > 1.5) {
        counts.far++;
        counts.farthest = [Math.max(counts.farthest[0], across), Math.max(counts.farthest[1], down)];
      }
    }
    isImplausible[landmark] = !isMark[landmark] && (across > FARTHEST || down > FARTHEST);
    found[landmark] &&= !isImplausible[landmark];
    left += found[landmark];
    deep += found[landmark] && !(Math.abs(values[begin + landmark * WIDTH + 2]) <= DEEPEST); // also where z is NaN
  }
  const isFlat = deep * 2 > left;

  let marks = 0;
  for (let landmark = 0; landmark < COUNT; landmark++) {
    const at = begin + landmark * WIDTH;
    if (isFlat) values[at + 2] = found[landmark] ? 0 : NaN;
    isImplausible[landmark] ||= !isMark[landmark] && Math.abs(values[at + 2]) > FARTHEST;
    if (isMark[landmark]) {
      if (!counts.marks) counts.mark = [values[at], values[at + 1]];
      counts.marks++;
      marks++;
    } else if (isImplausible[landmark]) {
      const channel = [0, 1, 2].find((one) => Math.abs(values[at + one]) > FARTHEST);
      counts.first ??= { frame, landmark: LANDMARKS[landmark], channel: CHANNELS[channel], value: values[at + channel] };
      counts.implausible++;
    }
    if (isMark[landmark] || isImplausible[landmark]) values.fill(NaN, at, at + WIDTH);
    for (let channel = at + 3; channel < at + WIDTH; channel++) {
      if (!(values[channel] < 0 || values[channel] > 1)) continue; // NaN stays
      counts.outside++;
      values[channel] = values[channel] < 0 ? 0 : 1;
    }
  }
  counts.markedFrames += marks ? 1 : 0;
}

// Where landmarks lie at exactly the same place in a way that no body can, they become marks: those of at least
// MANY_POINTS points of the body, or of FEW_POINTS where these are MANY_LANDMARKS landmarks or most of the points that
// were found in the frame.
function markShared(x, y, isMark, found) {
  const all = found.flatMap((isFound, landmark) => (isFound ? [x(landmark)] : []));
  if (new Set(all).size > all.length - (FEW_POINTS - 1)) return; // so it is in nearly every frame of real poses
  const places = new Map();
  for (let landmark = 0; landmark < COUNT; landmark++) {
    if (!found[landmark]) continue;
    const place = `${x(landmark)} ${y(landmark)}`; // a number and its text are the same number; -0 is "0"
    if (!places.has(place)) places.set(place, []);
    places.get(place).push(landmark);
  }
  const pointsOf = (landmarks) => new Set(landmarks.map((landmark) => POINT[landmark])).size;
  let ofFrame = 0;
  for (const landmarks of places.values()) {
    if (landmarks.length < FEW_POINTS) continue;
    ofFrame ||= pointsOf([...places.values()].flat());
    const points = pointsOf(landmarks), isMany = landmarks.length >= MANY_LANDMARKS || points * 2 > ofFrame;
    if (points < MANY_POINTS && !(points >= FEW_POINTS && isMany)) continue;
    for (const landmark of landmarks) [isMark[landmark], found[landmark]] = [true, false];
  }
}

// Count what clean poses hold; gives the landmarks that were found in no frame.
function countPoses(poses, frames, counts) {
  const place = new Array(COUNT).fill(null); // where each landmark was first found
  for (let frame = 0; frame < frames; frame++) {
    let isPosed = false, hasDepth = false;
    for (let landmark = 0; landmark < COUNT; landmark++) {
      const at = frame * POSE + landmark * WIDTH;
      if (!isVisible(poses, at)) continue;
      isPosed = true;
      hasDepth ||= poses[at + 2] !== 0;
      place[landmark] ??= at;
      const first = place[landmark];
      counts.moves ||= poses[at] !== poses[first] || poses[at + 1] !== poses[first + 1] || poses[at + 2] !== poses[first + 2];
    }
    counts.posed += isPosed ? 1 : 0;
    counts.flat += isPosed && !hasDepth ? 1 : 0;
  }
  return LANDMARKS.filter((_, landmark) => place[landmark] === null);
}

function findingsOf(counts, never) {
  const { frames, posed } = counts, findings = [];
  if (!posed) findings.push({ kind: "noPose" });
  if (posed > 1 && !counts.moves) findings.push({ kind: "still" });
  if (posed && never.length) findings.push({ kind: "neverFound", landmarks: never });
  const [x, y] = counts.mark;
  if (counts.marks) findings.push({ kind: "marks", count: counts.marks, frames: counts.markedFrames, of: frames, x, y });
  if (counts.implausible) findings.push({ kind: "implausible", count: counts.implausible, ...counts.first });
  if (counts.flat) findings.push({ kind: "noDepth", frames: counts.flat, of: posed });
  if (counts.outside) findings.push({ kind: "outside", count: counts.outside });
  return findings;
}

// Throw a PageProblem if most landmarks are far from the picture: then they are in pixels, not single errors.
export function checkUnits(counts) {
  if (counts.far < FEWEST_FAR || 2 * counts.far <= counts.found) return;
  const [x, y] = counts.farthest.map((value) => Number(value.toPrecision(4)));
  throw new PageProblem("posesInPixels", { x, y });
}
