// As spasm/video/tracking.py: track people from frame to frame, and choose the child among them. All places and sizes are
// in pixels, in 64 bits: a picture is wider than it is high, so a fraction of its width is longer than one of its height.
import { CHANNELS, LANDMARKS, LEFT_HIP, LEFT_SHOULDER, POSE, RIGHT_HIP, RIGHT_SHOULDER, missingFrames } from "./landmarks.js";

const NEAR = 1; // sizes: the most that a person's head and shoulders move between two frames
const NEAR_PER_FRAME = 0.1; // sizes: added for each frame in which the person was lost
const FARTHEST = 2; // sizes: the most that a person moves while lost
const SAME_SIZE = 1.8; // largest ratio of the sizes of one person in two frames
const JOINED_SIZE = 1.5; // likewise, of the median sizes of two tracks of one person
const DUPLICATE = 0.35; // sizes: two detections of one frame that are nearer are one person, found twice
const AROUND = 15; // frames at the end of a track that give where it ended and how large it was
const HEAD = 1.6; // a head in sizes of the box around the landmarks of the face
const ON_HEAD = 1.3; // heads: a trunk with head that is shorter, on the head of another, is none
const OF_BODY = 0.4; // size by the box around all landmarks
const SHARED = 3; // landmarks that a pose needs, and that two poses need in common to compare them
const STABLE = 0.25; // of the frames of the person seen most; a person seen in fewer is passing by
const LOWER = 1.5, MOST_LOWER = 0.5; // weight of the height of the head, and the most that it counts, see `adultScore`
const SELDOM = 0.4; // weight of the logarithm of how much less than another a person is seen
const FACE = LANDMARKS.slice(0, 11).map((_, landmark) => landmark);
const SHOULDERS = [LEFT_SHOULDER, RIGHT_SHOULDER];
const CORE = [...FACE, ...SHOULDERS]; // seen also where legs and hips are hidden and only guessed
const TRUNK = [...CORE, LEFT_HIP, RIGHT_HIP];
const ALL = LANDMARKS.map((_, landmark) => landmark);

// ---- places and sizes of one pose

// What is known of a pose (33, 5) in a picture [width, height].
class Detection {
  constructor(pose, [width, height]) {
    this.pose = pose;
    this.x = ALL.map((landmark) => pose[landmark * CHANNELS.length] * width);
    this.y = ALL.map((landmark) => pose[landmark * CHANNELS.length + 1] * height);
    this.found = ALL.map((landmark) => Number.isFinite(this.x[landmark]) && Number.isFinite(this.y[landmark]));
    this.count = this.has(ALL);
    const core = this.foundOr(CORE), face = this.values(this.y, FACE);
    this.hasFace = this.has(FACE) > 0;
    // The longer side of the box around head and shoulders, estimated from all landmarks where these were not found.
    this.size = this.hasFace && this.has(SHOULDERS) > 0 ? this.longerSide(CORE) : OF_BODY * this.longerSide(ALL);
    this.middle = [mean(this.values(this.x, core)), mean(this.values(this.y, core))];
    this.box = this.boxOf(this.foundOr(TRUNK));
    this.headY = face.some(Number.isFinite) ? mean(face) : this.middle[1];
  }

  has = (landmarks) => landmarks.filter((landmark) => this.found[landmark]).length;
  foundOr = (landmarks) => (this.has(landmarks) ? landmarks : ALL);
  values = (places, landmarks) => landmarks.map((landmark) => places[landmark]).filter((place) => !Number.isNaN(place));
  // The lowest and highest x and y of landmarks: [[x, y], [x, y]].
  boxOf(landmarks) {
    const [x, y] = [this.values(this.x, landmarks), this.values(this.y, landmarks)];
    return [[Math.min(...x), Math.min(...y)], [Math.max(...x), Math.max(...y)]];
  }
  longerSide(landmarks) {
    const [low, high] = this.boxOf(landmarks);
    return Math.max(high[0] - low[0], high[1] - low[1]);
  }
  middleOfFace = () => [mean(this.values(this.x, FACE)), mean(this.values(this.y, FACE))];
}

// Distance of two poses in their mean size: the median over the landmarks of head and shoulders in both. It is infinite
// where these are of too different a size for one person. All landmarks serve where too few of head and shoulders are
// shared, and the middles where too few of any are.
function apart(pose, other) {
  const meanSize = Math.max((pose.size + other.size) / 2, 1e-6), isShared = (landmark) => pose.found[landmark] && other.found[landmark];
  let shared = CORE.filter(isShared);
  if (shared.length < SHARED) shared = ALL.filter(isShared);
  if (shared.length < SHARED) return distance(pose.middle, other.middle) / meanSize;
  const sizes = [pose.longerSide(shared), other.longerSide(shared)];
  if (Math.max(...sizes) > SAME_SIZE * Math.min(...sizes)) return Infinity;
  return median(shared.map((landmark) => distance([pose.x[landmark], pose.y[landmark]], [other.x[landmark], other.y[landmark]]))) / meanSize;
}

// ---- tracking

// A person in a video: the frames in which they were seen, and in each the pose and what is known of it.
export class Person {
  constructor(picture, rows = []) {
    this.picture = picture;
    this.rows = rows; // [{frame, detection}], frames rising
  }

  get frames() {
    return this.rows.map((row) => row.frame);
  }
  get medianSize() {
    return median(this.rows.map((row) => row.detection.size));
  }
  get medianHeadY() {
    return median(this.rows.map((row) => row.detection.headY));
  }

  // Poses (F, 33, 5) of all frames, NaN in frames without the person.
  over(frames) {
    const whole = missingFrames(frames);
    for (const { frame, detection } of this.rows) whole.set(detection.pose, frame * POSE);
    return whole;
  }
}

// People over time from the people of each frame, which come in any order. A detection is assigned to the person whose
// landmarks were nearest when last seen, if they are near enough and of a similar size; nearest pairs first, so that two
// people who pass each other stay separate. Otherwise it is a new person: a track ends rather than hold two people.
export class PersonTracker {
  constructor(picture) {
    this.picture = picture;
    this.people = [];
  }

  // Add the people of the next frame, each a pose (33, 5), without what `distinct` leaves out.
  add(frame, poses) {
    const people = this.people, detections = distinctOf(poses.map((pose) => new Detection(pose, this.picture)));
    const pairs = [];
    detections.forEach((detection, number) => {
      people.forEach((person, who) => {
        const last = person.rows.at(-1), lost = frame - last.frame - 1, far = apart(detection, last.detection);
        if (far <= farthest(lost)) pairs.push([far + NEAR_PER_FRAME * lost, number, who]);
      });
    });
    const assigned = new Map(), taken = new Set();
    for (const [, number, who] of pairs.sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2])) {
      if (assigned.has(number) || taken.has(who)) continue;
      assigned.set(number, people[who]);
      taken.add(who);
    }
    detections.forEach((detection, number) => {
      if (!assigned.has(number)) people.push(new Person(this.picture));
      (assigned.get(number) ?? people.at(-1)).rows.push({ frame, detection });
    });
  }
}

// People over time from the people of each frame, [[pose (33, 5)]]: the tracks of `PersonTracker`, joined.
export function tracks(detections, picture) {
  const found = new PersonTracker(picture);
  detections.forEach((poses, frame) => found.add(frame, poses));
  return joined(found.people);
}

// Tracks of one person put together: near in place and size where they meet in time, and never in one frame.
export function joined(tracked) {
  const people = [...tracked], known = new Map(); // the distances of pairs, which change only where one was joined
  const distanceOf = (a, b) => {
    if (!known.has(a)) known.set(a, new Map());
    if (!known.get(a).has(b)) known.get(a).set(b, joinDistance(a, b));
    return known.get(a).get(b);
  };
  for (;;) {
    let best = [Infinity, 0, 0];
    for (let i = 0; i < people.length; i++) {
      for (let j = i + 1; j < people.length; j++) {
        const far = distanceOf(people[i], people[j]);
        if (far < best[0]) best = [far, i, j];
      }
    }
    const [far, i, j] = best;
    if (far === Infinity) return people;
    const rows = [...people[i].rows, ...people[j].rows].sort((a, b) => a.frame - b.frame);
    people[i] = new Person(people[i].picture, rows);
    people.splice(j, 1);
  }
}

// Distance in sizes of two tracks where they meet in time, and a bit for each frame between; infinite: not one.
function joinDistance(a, b) {
  const times = a.frames, others = b.frames, inOther = new Set(others);
  if (times.some((time) => inOther.has(time))) return Infinity;
  let meet = 0, nearest = Infinity;
  for (let k = 0, after = 0; k < times.length; k++) {
    while (after < others.length && others[after] < times[k]) after++;
    const gap = Math.min(times[k] - (others[after - 1] ?? -Infinity), (others[after] ?? Infinity) - times[k]);
    if (gap < nearest) [meet, nearest] = [k, gap];
  }
  const lost = nearest - 1, at = times[meet];
  const ends = [a, b].map((one) => [...one.rows].sort((p, q) => Math.abs(p.frame - at) - Math.abs(q.frame - at)).slice(0, AROUND));
  const sizes = ends.map((near) => median(near.map((row) => row.detection.size)));
  if (Math.max(...sizes) > JOINED_SIZE * Math.min(...sizes)) return Infinity;
  const middles = ends.map((near) => [0, 1].map((axis) => median(near.map((row) => row.detection.middle[axis]))));
  const far = distance(...middles) / Math.max((sizes[0] + sizes[1]) / 2, 1e-6);
  return far <= farthest(lost) ? far + NEAR_PER_FRAME * lost : Infinity;
}

// Sizes that a person may have moved after this many frames without a pose.
const farthest = (lost) => Math.min(NEAR + NEAR_PER_FRAME * lost, FARTHEST);

// The people of one frame without poses of too few landmarks, duplicates, and people on a head. Pose models find one
// person twice, and now and then a whole small person in the head or hand of a larger one.
export const distinct = (poses, picture) => distinctOf(poses.map((pose) => new Detection(pose, picture))).map((one) => one.pose);

function distinctOf(detections) {
  const whole = detections.filter((one) => one.count >= SHARED), trust = whole.map((one) => visibilityOf(one.pose)), kept = [];
  for (const number of [...whole.keys()].sort((a, b) => trust[b] - trust[a] || a - b)) {
    if (!kept.some((other) => isDuplicate(whole[number], whole[other]))) kept.push(number);
  }
  const onHead = new Set(kept.filter((a) => kept.some((b) => a !== b && isOnHead(whole[a], whole[b]))));
  return whole.filter((_, number) => kept.includes(number) && !onHead.has(number));
}

// The sum of the visibility of a pose in 32 bits, in the order in which numpy adds 33 numbers: two poses of one person can
// have the same sum.
function visibilityOf(pose) {
  const { fround } = Math, of = ALL.map((landmark) => Number.isNaN(pose[landmark * CHANNELS.length + 3]) ? 0 : pose[landmark * CHANNELS.length + 3]);
  let sums = of.slice(0, 8);
  for (let begin = 8; begin + 8 <= of.length; begin += 8) sums = sums.map((sum, k) => fround(sum + of[begin + k]));
  while (sums.length > 1) sums = sums.flatMap((sum, k) => (k % 2 ? [] : [fround(sum + sums[k + 1])]));
  return fround(sums[0] + of[32]);
}

// Whether two poses of one frame are of one person: they agree, or their faces are in one place.
function isDuplicate(pose, other) {
  if (apart(pose, other) <= DUPLICATE) return true;
  if (!(pose.hasFace && other.hasFace)) return false;
  return distance(pose.middleOfFace(), other.middleOfFace()) < DUPLICATE * Math.min(pose.size, other.size);
}

// Whether a pose lies on the head of a larger person, with its whole trunk hardly longer than that head.
function isOnHead(pose, larger) {
  if (larger.has(FACE) < SHARED) return false;
  const longer = ([low, high]) => Math.max(high[0] - low[0], high[1] - low[1]), head = HEAD * larger.longerSide(FACE);
  if (head > longer(larger.box)) return false; // no face, but places spread over a body
  const [low, high] = pose.box, away = distance([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2], larger.middleOfFace());
  return longer(pose.box) < ON_HEAD * head && away < head;
}

// ---- the choice

// The people, the child first; the others by the number of their frames. child: the one that is chosen.
export function chosen(people, child = likeliestChild(people)) {
  const others = people.filter((person) => person !== child);
  return child ? [child, ...others.sort((a, b) => b.rows.length - a.rows.length)] : [];
}

// The likeliest child among those who are visible for long enough; undefined where there is no person.
function likeliestChild(people) {
  const stay = staying(people), scores = stay.map((person) => adultScore(person, stay));
  return stay[scores.indexOf(Math.min(...scores))];
}

// Those who are visible for long enough, compared with the person who is visible most.
export function staying(people) {
  const most = Math.max(0, ...people.map((person) => person.rows.length));
  return people.filter((person) => person.rows.length >= STABLE * most);
}

// Score of a person among people; the lowest is the likeliest child: small, with the head low in the picture.
export function adultScore(person, people) {
  const largest = Math.max(...people.map((one) => one.medianSize), 1e-6), highest = Math.min(...people.map((one) => one.medianHeadY));
  const lower = (LOWER * (person.medianHeadY - highest)) / largest;
  const seldom = SELDOM * Math.log(Math.max(...people.map((one) => one.rows.length)) / person.rows.length);
  return Math.log(Math.max(person.medianSize, 1e-6)) - Math.min(lower, MOST_LOWER) + seldom;
}

// The person at a place x, y in fractions of the picture's width and height: in a frame, among those seen there; at any
// time, as --at of extract_pose.py, where the frame is left out or shows no person. Undefined where there is no person.
export function personAt(people, x, y, frame = undefined) {
  const here = people.map((person) => person.rows.filter((row) => row.frame === frame)), isThere = here.some((rows) => rows.length);
  let best, nearest = [Infinity, Infinity];
  people.forEach((person, who) => {
    const rows = isThere ? here[who] : person.rows;
    if (!rows.length) return;
    const far = distanceFrom(rows, [x * person.picture[0], y * person.picture[1]], person.medianSize);
    if (!best || far[0] < nearest[0] || (far[0] === nearest[0] && far[1] < nearest[1])) [best, nearest] = [person, far];
  });
  return best;
}

// How far a place is from a person: from the box around head and trunk, then from its middle. It is the distance that a
// quarter of the frames are within, so that a parent who passes in front of the child for a moment is not nearest.
function distanceFrom(rows, place, size) {
  const outside = ({ box: [low, high] }) => [0, 1].map((axis) => Math.max(0, low[axis] - place[axis], place[axis] - high[axis]));
  const boxes = rows.map(({ detection }) => Math.hypot(...outside(detection)));
  const middles = rows.map(({ detection }) => distance(detection.middle, place));
  return [quarter(boxes), quarter(middles) / Math.max(size, 1e-6)];
}

// ---- numbers

const distance = ([x, y], [u, v]) => Math.sqrt((x - u) ** 2 + (y - v) ** 2);
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

function median(values) {
  const sorted = Float64Array.from(values).sort(), half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

// The first quartile, interpolated as numpy does.
function quarter(values) {
  const sorted = Float64Array.from(values).sort(), at = (sorted.length - 1) / 4, low = Math.floor(at), high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (sorted[high] - sorted[low]) * (at - low);
}
