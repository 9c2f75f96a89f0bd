// As spasm/inference/sliding_window.py: the predictions of the network for segments, and for a recording window by window.
import { Curve, STEP_S, detectEvents, highestOf } from "./events.js";
import { FPS, LANDMARKS, POSE, posedFrames } from "./landmarks.js";
import { ownWorker } from "./own_worker.js";
import { PageProblem, shorten } from "./problem.js";
import { countOnes, isTooLittle, seenOfTrunk, trunkVisible, windowStarts } from "./windows.js";

const BATCH = 8; // windows in one message to the worker, so that a long recording is never copied whole
const OUTPUTS = { probability: 1, logit: 1, frameProbability: "frames", attention: "frames" };

// Load the network. modelUrl: the .onnx file; infoUrl: its model.json; ortUrl: the module ort.wasm.min.mjs, with its .wasm
// beside it. Gives {info, predictSegments, predictRecording, close}. Throws a PageProblem.
export async function openPredictor({ modelUrl, infoUrl, ortUrl }) {
  const info = await readInfo(infoUrl), worker = new NetworkWorker();
  try {
    await worker.ask({ kind: "open", modelUrl: absolute(modelUrl), ortUrl: absolute(ortUrl) });
  } catch (error) {
    worker.close();
    throw error;
  }
  return {
    info,
    // poses: clean, (count, T, 33, 5) with T = info.frames. Gives {probability, logit: (count,), frameProbability,
    // attention: (count, T)} as Float32Arrays.
    predictSegments: (poses, count, { signal } = {}) => predictSegments(worker, info, poses, count, signal),
    // poses: clean, (frames, 33, 5) at 30 a second. strideS: seconds between windows, a multiple of 0.1; onProgress: called
    // with {done, total} windows; signal: an AbortSignal, which ends it with the PageProblem "cancelled".
    predictRecording: (poses, frames, options = {}) => predictRecording(worker, info, poses, frames, options),
    close: () => worker.close(),
  };
}

const absolute = (url) => new URL(url, globalThis.document?.baseURI ?? globalThis.location.href).href;

async function readInfo(url) {
  const file = shorten(url);
  const response = await fetch(url).catch(() => ({ ok: false, status: 0 }));
  if (!response.ok) throw new PageProblem("modelMissing", { file, status: response.status });
  const info = await response.json().catch(() => null);
  const numbers = ["frames", "threshold", "abstain", "no_pose_probability"];
  if (info?.schema !== 1) throw new PageProblem("modelSchema", { file, schema: shorten(info?.schema) });
  const ofRule = ["sum_windows", "sum_threshold", "sum_floor", "refractory_s"];
  const wrong = numbers.find((name) => !Number.isFinite(info[name])) ?? ofRule.find((name) => !Number.isFinite(info.rule?.[name]));
  if (wrong || !(info.frames >= 1)) throw new PageProblem("modelInfo", { file, field: wrong ?? "frames" });
  return info;
}

// The worker with the network, one reply to each message.
class NetworkWorker {
  #waiting = new Map();
  #next = 0;
  #problem = null;

  constructor() {
    this.worker = ownWorker(new URL("./network_worker.js", import.meta.url), { isModule: true });
    this.worker.onmessage = ({ data: { id, problem, ...reply } }) => {
      const { resolve, reject } = this.#waiting.get(id) ?? {};
      this.#waiting.delete(id);
      if (problem) reject?.(new PageProblem(problem.code, problem.values));
      else resolve?.(reply);
    };
    this.worker.onerror = (event) => this.#end(new PageProblem("networkStart", { message: shorten(event.message ?? "", 200) }));
  }

  // The reply to a message; the buffers of `transfer` are given away.
  ask(message, transfer = [], signal = undefined) {
    if (this.#problem) return Promise.reject(this.#problem);
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      const cancel = () => this.#waiting.delete(id) && reject(new PageProblem("cancelled"));
      signal?.addEventListener("abort", cancel, { once: true });
      const settled = (settle) => (value) => {
        signal?.removeEventListener("abort", cancel);
        settle(value);
      };
      this.#waiting.set(id, { resolve: settled(resolve), reject: settled(reject) });
      this.worker.postMessage({ id, ...message }, transfer);
    });
  }

  close() {
    this.#end(new PageProblem("cancelled"));
  }

  #end(problem) {
    this.#problem ??= problem;
    this.worker.terminate();
    for (const { reject } of this.#waiting.values()) reject(this.#problem);
    this.#waiting.clear();
  }
}

// The network's outputs for at most BATCH segments, each poses of T frames or fewer. Those without any pose never reach
// the network: they get the probability of such segments in training, and no attention.
async function predictBatch(worker, info, segments, signal) {
  if (signal?.aborted) throw new PageProblem("cancelled");
  const { frames } = info, probability = info.no_pose_probability, count = segments.length;
  const logit = Math.log(probability / (1 - probability));
  const found = {
    probability: new Float32Array(count).fill(probability),
    logit: new Float32Array(count).fill(logit),
    frameProbability: new Float32Array(count * frames).fill(NaN), // as in frames without a pose
    attention: new Float32Array(count * frames),
  };
  const rows = segments.flatMap((segment, row) => (posedFrames(segment).some(Boolean) ? [row] : []));
  if (!rows.length) return found;
  const poses = new Float32Array(rows.length * frames * POSE).fill(NaN);
  rows.forEach((row, place) => poses.set(segments[row], place * frames * POSE)); // a short one ends in missing frames
  const reply = await worker.ask({ kind: "predict", poses, count: rows.length, frames }, [poses.buffer], signal);
  for (const [name, size] of Object.entries(OUTPUTS)) {
    const width = size === "frames" ? frames : size;
    rows.forEach((row, place) => found[name].set(reply[name].subarray(place * width, (place + 1) * width), row * width));
  }
  return found;
}

async function predictSegments(worker, info, poses, count, signal) {
  const length = info.frames * POSE;
  if (poses.length !== count * length) {
    throw new PageProblem("segmentLength", { frames: poses.length / POSE / Math.max(1, count), needed: info.frames });
  }
  const widths = Object.entries(OUTPUTS).map(([name, size]) => [name, size === "frames" ? info.frames : size]);
  const found = Object.fromEntries(widths.map(([name, width]) => [name, new Float32Array(count * width)]));
  const segments = Array.from({ length: count }, (_, row) => poses.subarray(row * length, (row + 1) * length));
  for (let begin = 0; begin < count; begin += BATCH) {
    const batch = await predictBatch(worker, info, segments.slice(begin, begin + BATCH), signal);
    for (const [name, width] of widths) found[name].set(batch[name], begin * width);
  }
  return found;
}

// The prediction for a recording: windows of T frames, each predicted as a separate segment.
async function predictRecording(worker, info, poses, frames, { strideS = 1, onProgress, signal }) {
  if (!frames || poses.length !== frames * POSE) throw new PageProblem("posesShape", { shape: `(${poses.length / POSE}, ${LANDMARKS.length}, 5)` });
  const length = info.frames, firsts = windowStarts(frames, length, Math.round(strideS * FPS));
  const posed = posedFrames(poses), trunk = trunkVisible(poses);
  const curve = new Curve(frames, length), attention = new AttentionMean(frames);
  const windows = { endsS: [], probability: [], poseS: [], seenS: [] };
  for (let begin = 0; begin < firsts.length; begin += BATCH) {
    const batch = firsts.slice(begin, begin + BATCH);
    const found = await predictBatch(worker, info, batch.map((first) => poses.subarray(first * POSE, (first + length) * POSE)), signal);
    batch.forEach((first, row) => {
      const weights = found.attention.subarray(row * length, (row + 1) * length);
      const seen = seenOfTrunk(padded(trunk, first, length)), posedHere = padded(posed, first, length);
      const counts = [countOnes(posedHere), countOnes(seen)];
      const probability = isTooLittle(...counts, length, info.abstain) ? NaN : found.probability[row];
      curve.add(first, probability, weights.some(Boolean) ? weights : info.abstain ? seen : posedHere, seen);
      attention.add(first, probability, weights);
      windows.endsS.push(Math.min(first + length, frames) / FPS);
      windows.probability.push(probability);
      windows.poseS.push(counts[0] / FPS);
      windows.seenS.push(counts[1] / FPS);
    });
    onProgress?.({ done: Math.min(begin + BATCH, firsts.length), total: firsts.length });
  }
  for (const name of Object.keys(windows)) windows[name] = Float64Array.from(windows[name]);
  const steps = curve.finish(), known = steps.reduce((sum, value) => sum + (Number.isNaN(value) ? 0 : 1), 0), durationS = frames / FPS;
  const all = { ...windows, length, curve: steps };
  return {
    frames,
    durationS,
    poseS: countOnes(posed) / FPS,
    seenS: Math.min(known * STEP_S, durationS), // seconds with a probability
    windows,
    curve: steps,
    attention: attention.finish(),
    seen: seenOfTrunk(trunk),
    events: detectEvents(all, info.rule),
    threshold: info.threshold,
    tooLittle: windows.probability.every(Number.isNaN),
    highest: highestOf(all),
  };
}

// Flags of the frames of a window; 0 in frames beyond the end of the recording.
function padded(flags, first, length) {
  const window = new Uint8Array(length);
  window.set(flags.subarray(first, first + length));
  return window;
}

// The attention of each frame: the mean over the windows with a probability that cover it, 0 where there is none.
class AttentionMean {
  constructor(frames) {
    [this.sums, this.windows] = [new Float64Array(frames), new Float64Array(frames)];
  }

  add(first, probability, weights) {
    if (Number.isNaN(probability)) return;
    const end = Math.min(first + weights.length, this.sums.length);
    for (let frame = first; frame < end; frame++) {
      this.sums[frame] += weights[frame - first];
      this.windows[frame] += 1;
    }
  }

  finish() {
    return Float32Array.from(this.sums, (sum, frame) => sum / Math.max(1, this.windows[frame]));
  }
}
