// As spasm/data/pose_files/columns.py, csv_tables.py and frames.py, for MediaPipe's 33 landmarks of one person alone: a
// table with a row for each frame, or JSON with a list of landmarks for each frame.
import { CHANNELS, LANDMARKS, POSE } from "./landmarks.js";
import { PageProblem, shorten } from "./problem.js";

const COUNT = LANDMARKS.length, WIDTH = CHANNELS.length, X = 0, Y = 1, VISIBILITY = 3, PRESENCE = 4;
const CHANNEL_WORDS = { x: 0, y: 1, z: 2, visibility: 3, vis: 3, v: 3, presence: 4, pres: 4 };
const OTHER_UNITS = new Set(["px", "pixel", "pixels", "world"]); // such columns stand beside those in fractions of the picture
const IDLE_WORDS = new Set(["pose", "landmark", "landmarks", "poselandmark", "lm", "kp", "kpt", "keypoint", "keypoints", "key", "point", "joint",
  "mp", "mediapipe", "body", "norm", "normalized", "normalised"]);
const FRAME = new Set(["frame", "frames", "frameid", "frameidx", "frameindex", "frameno", "framenum", "framenumber", "framecount", "framenr",
  "framen"]);
const TIME_WORDS = new Set(["time", "timestamp", "timestamps", "elapsed", "t"]);
const UNIT_WORDS = new Set(["s", "sec", "seconds", "ms", "milliseconds", "us", "ns"]);
const MISSING = new Set(["", "nan", "na", "n/a", "<na>", "#n/a", "none", "null", "nil", "-", "--"]);
const NUMBER = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i;
const HIGHEST_FRAME = 1e9;

const wordsOf = (name) => name.replace(/([a-z])([A-Z])/g, "$1_$2").toLowerCase().match(/[a-z]+|[0-9]+/g) ?? [];
const BY_NAME = new Map(LANDMARKS.map((name, landmark) => [wordsOf(name).join(""), landmark]));

// ---- CSV

// Rows [{frame, pose}] of a table, pose as 33 x 5 numbers, NaN where one is missing. Throws a PageProblem.
export function readCsv(text) {
  if (text.includes("\0")) throw new PageProblem("csvEncoding");
  const lines = text.replace(/^\ufeff/, "").split(/\r\n|\n|\r/), first = lines.findIndex((line) => line.trim() && !line.startsWith("#"));
  if (first < 0) throw new PageProblem("emptyRecording");
  const counts = [",", ";", "\t"].map((one) => [lines[first].split(one).length, one]), [, separator] = counts.reduce((a, b) => (b[0] > a[0] ? b : a));
  const header = cellsOf(lines[first], separator), columns = columnsOf(header), rows = [], times = [];
  for (let line = first + 1; line < lines.length; line++) {
    if (!lines[line].trim()) continue;
    const cells = cellsOf(lines[line], separator), where = { line: line + 1 };
    while (cells.length > header.length && !cells.at(-1)) cells.pop();
    if (cells.length !== header.length) throw new PageProblem("csvCells", { ...where, cells: cells.length, header: header.length });
    const number = (column) => numberOf(cells[column], separator, { ...where, column: shorten(header[column]) });
    const pose = new Array(POSE).fill(NaN);
    columns.places.forEach((column, place) => (pose[place] = number(column)));
    const frame = columns.frame === null ? rows.length : number(columns.frame);
    const isNumber = Number.isInteger(frame) && frame >= 0 && frame < HIGHEST_FRAME;
    if (!isNumber) throw new PageProblem("csvFrame", { ...where, value: shorten(cells[columns.frame]) });
    if (columns.time !== null) times.push(number(columns.time));
    rows.push({ frame, pose });
  }
  checkEven(times);
  return inPicture(rows);
}

function cellsOf(line, separator) {
  if (!line.includes('"')) return line.split(separator).map((cell) => cell.trim());
  const cells = [""];
  for (let i = 0, inside = false; i < line.length; i++) {
    if (line[i] === '"') inside = !inside; // a doubled quote within quotes only occurs in texts that are not read
    else if (line[i] === separator && !inside) cells.push("");
    else cells[cells.length - 1] += line[i];
  }
  return cells.map((cell) => cell.trim());
}

function numberOf(cell, separator, where) {
  if (MISSING.has(cell.toLowerCase())) return NaN;
  const text = separator === "," ? cell : cell.replace(",", "."); // a decimal comma
  if (NUMBER.test(text)) return Number(text);
  if (/^[-+]?inf(inity)?$/i.test(text)) return text[0] === "-" ? -Infinity : Infinity;
  throw new PageProblem("csvNumber", { ...where, value: shorten(cell) });
}

// Which column holds which place of a pose, the frame, and, where there is no frame, the time.
function columnsOf(header) {
  const named = new Map(), numbered = new Map();
  header.forEach((name, column) => {
    const [landmark, channel] = landmarkColumn(name);
    if (landmark === undefined) return;
    const places = typeof landmark === "string" ? numbered : named, key = `${Number(landmark)} ${channel}`;
    if (!places.has(key)) places.set(key, column);
  });
  let found = named;
  if (!ALL.every((landmark) => [X, Y].every((channel) => named.has(`${landmark} ${channel}`)))) {
    const from = numbered.has(`0 ${X}`) ? 0 : 1; // x0 ... x32, or x1 ... x33
    found = new Map([...numbered].map(([key, column]) => [key.replace(/^\d+/, (number) => Number(number) - from), column]));
    const most = Math.max(...[...found.keys()].map((key) => parseInt(key, 10)));
    if (most >= COUNT || !ALL.every((landmark) => [X, Y].every((channel) => found.has(`${landmark} ${channel}`)))) {
      throw new PageProblem("poseLayout", { found: shorten(header.join(", ")) });
    }
  }
  const places = new Map();
  for (const [key, column] of found) {
    const [landmark, channel] = key.split(" ").map(Number);
    places.set(landmark * WIDTH + channel, column);
  }
  const at = (is) => header.findIndex((name) => is(wordsOf(name))), frame = at((words) => FRAME.has(words.join("")));
  const time = at((words) => words.some((word) => TIME_WORDS.has(word)) && words.every((word) => TIME_WORDS.has(word) || UNIT_WORDS.has(word)));
  return { places, frame: frame < 0 ? null : frame, time: frame < 0 && time >= 0 ? time : null };
}

const ALL = LANDMARKS.map((_, landmark) => landmark);

// The landmark and the channel of a column: a number for a named landmark, a text for a numbered one.
function landmarkColumn(name) {
  let words = wordsOf(name);
  if (words.some((word) => OTHER_UNITS.has(word))) return [];
  words = words.filter((word) => !IDLE_WORDS.has(word));
  const last = words.length - 1, channelAt = [last, 0, last - 1].find((at) => words[at] in CHANNEL_WORDS); // nose_x, x_nose, pose_x_0
  if (last < 1 || channelAt === undefined) return [];
  if (channelAt === last - 1 && channelAt !== 0 && !/^\d+$/.test(words[last])) return [];
  const channel = CHANNEL_WORDS[words[channelAt]], rest = words.filter((_, at) => at !== channelAt);
  if (rest.length > 1 && /^\d+$/.test(rest[0])) rest.shift(); // 00_nose
  if (rest.length === 1 && /^\d{1,3}$/.test(rest[0])) return [rest[0], channel];
  return [BY_NAME.get(rest.join("")), channel];
}

// Rows without a number of the frame are its frames only where their times are even: many programs leave out frames
// without a pose.
function checkEven(times) {
  if (times.length < 3) return;
  const steps = times.slice(1).map((time, row) => time - times[row]), typical = Float64Array.from(steps).sort()[steps.length >> 1];
  const row = steps.findIndex((step) => !(step > 0.5 * typical && step < 1.5 * typical));
  if (row >= 0) throw new PageProblem("unevenTimes", { row: row + 2 });
}

// ---- JSON

const LISTS = ["landmarks", "pose_landmarks", "poseLandmarks", "pose"];
const NUMBERS = ["frame", "frame_index", "frameIndex", "frame_number", "frameNumber", "frame_id"];

// Rows [{frame, pose}] of a list of frames: each a list of 33 landmarks {x, y, z, visibility} or [x, y, z, visibility], or
// an object that holds it under `landmarks`; null or an empty list where there is no pose. Throws a PageProblem.
export function readJson(text) {
  let tree;
  try {
    tree = JSON.parse(text.replace(/^\ufeff/, ""));
  } catch (error) {
    throw new PageProblem("jsonUnreadable", { message: shorten(error.message, 200) });
  }
  const frames = Array.isArray(tree) ? tree : tree?.frames;
  if (!Array.isArray(frames)) throw layoutProblem(tree);
  if (!frames.length) throw new PageProblem("emptyRecording");
  return inPicture(frames.map((entry, index) => {
    const isObject = entry !== null && typeof entry === "object" && !Array.isArray(entry);
    const list = isObject ? entry[LISTS.find((name) => name in entry)] : entry;
    const frame = isObject ? entry[NUMBERS.find((name) => name in entry)] ?? index : index;
    const isNumber = Number.isInteger(frame) && frame >= 0 && frame < HIGHEST_FRAME;
    if (!isNumber) throw new PageProblem("jsonFrame", { entry: index, value: shorten(frame) });
    return { frame, pose: poseOf(list, index, entry) };
  }));
}

function poseOf(list, index, entry) {
  const pose = new Array(POSE).fill(NaN);
  if (list === null) return pose;
  if (!Array.isArray(list)) throw layoutProblem(entry);
  if (!list.length) return pose;
  const isPeople = Array.isArray(list[0]) && list[0].length === COUNT; // MediaPipe Tasks: a list of the people of a frame
  if (isPeople && list.length > 1) throw new PageProblem("severalPeople", { frame: index });
  const landmarks = isPeople ? list[0] : list;
  if (landmarks.length !== COUNT) throw layoutProblem(entry);
  landmarks.forEach((landmark, number) => {
    CHANNELS.forEach((channel, place) => {
      const value = Array.isArray(landmark) ? landmark[place] : landmark?.[channel];
      if (value === undefined || value === null) return;
      if (typeof value !== "number") throw new PageProblem("jsonNumber", { entry: index, landmark: LANDMARKS[number], value: shorten(value) });
      pose[number * WIDTH + place] = value;
    });
  });
  return pose;
}

function layoutProblem(tree) {
  return new PageProblem("poseLayout", { found: shorten(JSON.stringify(tree) ?? "nothing") });
}

// ---- what both hold

// The rows, with places in the picture and with visibility and presence. Throws a PageProblem for world landmarks.
function inPicture(rows) {
  let found = 0, negative = 0, hips = 0, centred = 0;
  const hasCertainty = rows.some(({ pose }) => pose.some((value, place) => place % WIDTH >= VISIBILITY && Number.isFinite(value)));
  for (const { pose } of rows) {
    for (let at = 0; at < POSE; at += WIDTH) {
      const [x, y] = [pose[at + X], pose[at + Y]];
      if (!Number.isFinite(x) || !Number.isFinite(y) || (x === y && (x === 0 || x === -1))) { // not found, or a mark for it
        pose.fill(NaN, at, at + WIDTH);
        continue;
      }
      if (Number.isNaN(pose[at + 2])) pose[at + 2] = 0; // in 2-D
      if (Number.isNaN(pose[at + VISIBILITY])) pose[at + VISIBILITY] = hasCertainty && !Number.isNaN(pose[at + PRESENCE]) ? pose[at + PRESENCE] : 1;
      if (Number.isNaN(pose[at + PRESENCE])) pose[at + PRESENCE] = pose[at + VISIBILITY];
      found += 1;
      negative += x < 0 || y < 0 ? 1 : 0;
    }
    const middle = [X, Y].map((axis) => (pose[LEFT_HIP_AT + axis] + pose[RIGHT_HIP_AT + axis]) / 2);
    if (middle.some(Number.isNaN)) continue;
    hips += 1;
    centred += middle.every((place) => Math.abs(place) < 0.05) ? 1 : 0;
  }
  if (negative > 0.4 * found || centred > 0.9 * hips) throw new PageProblem("worldLandmarks");
  return rows;
}

const [LEFT_HIP_AT, RIGHT_HIP_AT] = ["left_hip", "right_hip"].map((name) => LANDMARKS.indexOf(name) * WIDTH);
