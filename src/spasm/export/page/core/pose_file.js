// Pose files: a .npy of this library, as spasm/data/recordings.py reads it, and MediaPipe's landmarks as .csv or .json, as
// spasm/data/pose_files/wide_csv.py. Other layouts and poses in pixels are refused: import_poses.py converts them.
import { checkUnits, clean } from "./cleaning.js";
import { CHANNELS, FPS, LANDMARKS, POSE } from "./landmarks.js";
import { readCsv, readJson } from "./mediapipe_files.js";
import { LONGEST_HEAD, readHeader, readNpy } from "./npy.js";
import { PageProblem, shorten } from "./problem.js";
import { resampled } from "./resampling.js";

const LONGEST_S = 2 * 3600; // of 30 frames a second take 143 MB; timeline.py predicts longer ones
const LARGEST_TEXT = 256 * 2 ** 20; // bytes of .csv and .json: ten minutes of JSON take 150 MB
const SPEEDS = [1, 1000]; // frames a second

// The clean poses (F, 33, 5) of a File at 30 frames a second, and what was noticed in them. fps: frames a second of a .csv
// or .json, which do not hold it. Throws a PageProblem, whose values name the file.
export async function readPoseFile(file, { fps } = {}) {
  try {
    const ending = /\.(npy|csv|json)$/i.exec(file.name)?.[1].toLowerCase();
    if (!ending) throw new PageProblem("fileKind");
    const raw = ending === "npy" ? await readArray(file) : await readText(file, ending, fps);
    const frames = raw.length / POSE, { poses, findings, counts } = clean(raw, frames);
    checkUnits(counts);
    return { poses, frames, findings };
  } catch (error) {
    if (error instanceof PageProblem) throw new PageProblem(error.code, { file: shorten(file.name), ...error.values });
    if (error instanceof RangeError) throw new PageProblem("memoryFull", { file: shorten(file.name) });
    if (error instanceof DOMException) throw new PageProblem("fileUnreadable", { file: shorten(file.name), message: shorten(error.message, 200) });
    throw error;
  }
}

// The header is checked from the first bytes, before the rest is read.
async function readArray(file) {
  const { shape } = readHeader(await file.slice(0, LONGEST_HEAD).arrayBuffer(), file.size), [frames] = shape;
  if (shape.length !== 3 || shape[1] !== LANDMARKS.length || shape[2] !== CHANNELS.length) {
    throw new PageProblem("posesShape", { shape: `(${shorten(shape.join(", "))})` });
  }
  if (!frames) throw new PageProblem("emptyRecording");
  checkDuration(frames / FPS);
  return readNpy(await file.arrayBuffer()).data;
}

async function readText(file, ending, fps) {
  if (file.size > LARGEST_TEXT) throw new PageProblem("textTooLarge", { megabytes: Math.ceil(file.size / 2 ** 20), most: LARGEST_TEXT / 2 ** 20 });
  if (fps === undefined || fps === null) throw new PageProblem("fpsMissing");
  if (!(fps >= SPEEDS[0] && fps <= SPEEDS[1])) throw new PageProblem("fpsWrong", { fps, least: SPEEDS[0], most: SPEEDS[1] });
  const text = new TextDecoder().decode(await file.arrayBuffer()); // not file.text(), which also reads UTF-16 in some browsers
  const rows = ending === "csv" ? readCsv(text) : readJson(text);
  if (!rows.length) throw new PageProblem("emptyRecording");
  return resampled(...placed(rows, fps));
}

// Times and poses of rows [{frame, pose: 33 x 5 numbers}]; frames between them have no pose. A file that begins with frame
// 1 counts from 1, and frames before its first one have no pose.
function placed(rows, fps) {
  const ordered = [...rows].sort((a, b) => a.frame - b.frame), from = ordered[0].frame === 1 ? 1 : 0, last = ordered.at(-1).frame - from;
  checkDuration((last + 1) / fps);
  const poses = new Float32Array((last + 1) * POSE).fill(NaN);
  ordered.forEach(({ frame, pose }, number) => {
    if (number && ordered[number - 1].frame === frame) throw new PageProblem("severalPeople", { frame });
    poses.set(pose, (frame - from) * POSE);
  });
  return [Float64Array.from({ length: last + 1 }, (_, frame) => frame / fps), poses];
}

function checkDuration(durationS) {
  if (durationS <= LONGEST_S) return;
  throw new PageProblem("recordingTooLong", { hours: Number((durationS / 3600).toPrecision(3)), most: LONGEST_S / 3600 });
}
