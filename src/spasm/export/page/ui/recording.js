// From what the visitor chose to the poses of each person who stays in the picture, at 30 frames a second.
import { clean } from "../core/cleaning.js";
import { missingFrames } from "../core/landmarks.js";
import { readPoseFile } from "../core/pose_file.js";
import { PageProblem } from "../core/problem.js";
import { resampled } from "../core/resampling.js";
import { chosen, staying, tracks } from "../core/tracking.js";
import { analyseVideo } from "../video/video.js";
import { clock } from "./dom.js";
import { VALUES } from "./skeleton.js";

const POSE_FILE = /\.(npy|csv|json)$/i, WITHOUT_RATE = /\.(csv|json)$/i;
const UNKNOWN_PICTURE = [4, 3];  // a pose file does not say how wide its picture was for its height
const AT_ONCE = 0.1;  // of the frames, as following.py
const FEWEST_A_SECOND = 10;  // frames, as following.py
const LATE_S = 0.5;  // a first picture after this time is named

const base = new URL("..", import.meta.url);
export const VIDEO_OPTIONS = {
  poseModelUrl: new URL("model/pose_landmarker_lite.task", base).href,
  wasmBase: new URL("vendor/tasks-vision/wasm", base).href,
};

export const isPoseFile = (file) => POSE_FILE.test(file.name);
export const needsRate = (file) => WITHOUT_RATE.test(file.name);

// What is shown and predicted: {name, frames, picture, people: [poses], persons, child, url, startS, isStill, findings: [of
// each person], notes: [{kind, ...values}]}. fps: of a .csv or .json file.
export async function fromPoseFile(file, fps) {
  if (!file.size) throw new PageProblem("emptyFile", { name: file.name });
  const { poses, frames, findings } = await readPoseFile(file, fps ? { fps } : {});
  const whole = { people: [poses], persons: [], child: 0, findings: [findings] };
  return { ...whole, name: file.name, frames, picture: UNKNOWN_PICTURE, url: null, startS: 0, isStill: false, notes: [] };
}

export async function fromVideo(file, { onProgress, onPicture, signal }) {
  if (!file.size) throw new PageProblem("emptyFile", { name: file.name });
  const video = await analyseVideo(file, { ...VIDEO_OPTIONS, onProgress, onPicture, signal });
  const recording = fromDetections(file.name, video);
  signal.throwIfAborted();  // before there is an address that must be revoked
  return { ...recording, url: URL.createObjectURL(file) };
}

// From what analyseVideo or a camera gives.
export function fromDetections(name, { timesS, detections, picture, isStill, endsEarly, hasEnded }) {
  const everyone = chosen(tracks(detections, picture)), stay = new Set(staying(everyone));
  const persons = everyone.filter((person) => stay.has(person));  // the child first
  const posesOf = (of) => clean(...withFrames(resampled(timesS, of)));
  const frames = timesS.length, found = (persons.length ? persons.map((person) => person.over(frames)) : [missingFrames(frames)]).map(posesOf);
  return {
    name, frames: found[0].poses.length / VALUES, picture, people: found.map(({ poses }) => poses), persons, everyone, timesS,
    child: 0, url: null, startS: timesS[0], isStill, findings: found.map(({ findings }) => findings), notes: notesOn(timesS, endsEarly, hasEnded),
  };
}
// What makes a result less than it seems, by the keys of texts.notes: [{kind, ...values}].
function notesOn(timesS, endsEarly, hasEnded) {
  const perSecond = (timesS.length - 1) / Math.max(timesS.at(-1) - timesS[0], 1e-6);
  return [
    ...(timesS[0] >= LATE_S ? [{ kind: "beginsLate", time: clock(timesS[0], true) }] : []),
    ...(timesS.length > 1 && perSecond < FEWEST_A_SECOND ? [{ kind: "fewPictures", count: Math.round(perSecond) }] : []),
    ...(endsEarly ? [{ kind: "endsEarly" }] : []),
    ...(hasEnded ? [{ kind: "cameraEnded" }] : []),
  ];
}
const withFrames = (poses) => [poses, poses.length / VALUES];

// How many of the people are seen in each of so many frames, the first of them, the child, a bit more.
function countPeople(persons, frames) {
  const counts = new Float32Array(frames);
  persons.forEach(({ rows }, number) => { for (const { frame } of rows) counts[frame] += number ? 1 : 1.5; });
  return counts;
}
export function frameWithMost(persons, frames) {
  const counts = countPeople(persons, frames);
  return counts.indexOf(counts.reduce((most, count) => Math.max(most, count), 0));
}
// Whether two of them are seen at once in a fraction of these frames; else they can be one person, followed in parts.
export function areAtOnce(persons, frames) {
  const counts = countPeople(persons, frames), seen = counts.filter((count) => count > 0).length;
  return counts.filter((count) => count >= 2).length >= AT_ONCE * seen;
}
