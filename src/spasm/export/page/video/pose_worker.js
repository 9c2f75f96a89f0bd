// MediaPipe's pose landmarker in a worker, on the frames of a video file or of a camera. A classic worker, because
// MediaPipe loads its WebAssembly by importScripts, which module workers lack. It handles messages in order.
"use strict";

const LANDMARKS = 33;
const CHANNELS = ["x", "y", "z", "visibility", "presence"];
const PICTURE_EVERY_MS = 250; // pictures to show while a video is analysed
const SHOWN_SIDE = 640; // pixels

let landmarker = null;
let maxPeople = 1;
let lastMs = -1; // MediaPipe needs rising times
let queue = Promise.resolve();

self.onmessage = ({ data }) => {
  queue = queue.then(() => HANDLERS[data.kind](data)).catch((error) => {
    const reason = String(error?.message ?? error).slice(0, 200);
    const problem = error?.code ? { code: error.code, values: error.values } : { code: "poseWorker", values: { reason } };
    self.postMessage({ kind: "problem", problem });
  });
};

const HANDLERS = { open, inspect, read, look };

async function open({ wasmBase, poseModelUrl, maxPeople: people }) {
  maxPeople = people;
  try {
    for (const level of ["log", "info", "warn", "error"]) console[level] = () => {}; // its log; its errors are thrown
    self.module = { exports: {} }; // the bundle is a CommonJS file
    self.exports = self.module.exports;
    importScripts(`${wasmBase}/../vision_bundle.js`);
    const files = {
      wasmLoaderPath: `${wasmBase}/vision_wasm_internal.js`,
      wasmBinaryPath: `${wasmBase}/vision_wasm_internal.wasm`,
    };
    const response = await fetch(poseModelUrl);
    if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
    const modelAssetBuffer = new Uint8Array(await response.arrayBuffer());
    landmarker = await self.module.exports.PoseLandmarker.createFromOptions(files, {
      baseOptions: { modelAssetBuffer, delegate: "CPU" },
      runningMode: "VIDEO",
      numPoses: people,
    });
  } catch (error) {
    throw { code: "poseModel", values: { reason: String(error?.message ?? error).slice(0, 200) } };
  }
  self.postMessage({ kind: "opened" });
}

async function inspect({ file }) {
  const reading = await import("./reading.js");
  const found = await reading.inspect(await reading.openVideo(file), file.name ?? "video");
  self.postMessage({ kind: "inspected", found });
}

/** Find the people in the frames from startS to before endS. The frames from warmUpS on only start the tracking. */
async function read({ file, warmUpS, startS, endS, wantsPictures }) {
  const [reading, { pixelsOf }, { GreyRange }] = await Promise.all(
    ["./reading.js", "./pixels.js", "./stillness.js"].map((name) => import(name)),
  );
  const track = await reading.openVideo(file);
  const range = new GreyRange();
  const beginMs = await forget();
  let shownMs = -Infinity;
  let size = null;
  let reason = "";
  try {
    for await (const sample of reading.frames(track, warmUpS, endS)) {
      const timeS = sample.timestamp;
      const frame = sample.toVideoFrame();
      sample.close();
      const picture = await pixelsOf(frame, sample.rotation);
      frame.close();
      size = [picture.width, picture.height];
      const people = detect(picture, beginMs + Math.round((timeS - warmUpS) * 1000));
      if (timeS < startS) continue;
      range.add(picture);
      const isShown = wantsPictures && performance.now() - shownMs >= PICTURE_EVERY_MS;
      if (isShown) shownMs = performance.now();
      post({ timeS, people }, isShown ? await bitmapOf(picture) : null);
    }
  } catch (error) {
    reason = reading.reasonOf(error) || "unknown"; // a file that was cut or damaged: what was decoded is kept
  }
  self.postMessage({ kind: "done", range, size, reason });
}

/** Find the people in one frame of a camera, a VideoFrame or an ImageBitmap. */
async function look({ frame, timeS, wantsPicture }) {
  const { pixelsOf } = await import("./pixels.js");
  const picture = await pixelsOf(frame);
  frame.close();
  const people = detect(picture, Math.round(timeS * 1000));
  post({ timeS, people, size: [picture.width, picture.height] }, wantsPicture ? await bitmapOf(picture) : null);
}

/** A picture to show, with a longer side of at most SHOWN_SIDE. */
function bitmapOf(picture) {
  const scale = Math.min(1, SHOWN_SIDE / Math.max(picture.width, picture.height));
  return createImageBitmap(picture, { resizeWidth: Math.max(1, Math.round(picture.width * scale)) });
}

/** Forget who was tracked, so that each part of a video depends on its own frames alone; its first time in ms. */
async function forget() {
  if (lastMs >= 0) await landmarker.setOptions({ numPoses: maxPeople });
  return lastMs + 1000;
}

/** The people in a picture, each a Float32Array(33 * 5); not found is MediaPipe's to know: all landmarks are given. */
function detect(picture, timeMs) {
  lastMs = Math.max(timeMs, lastMs + 1);
  return landmarker.detectForVideo(picture, lastMs).landmarks.map((landmarks) => {
    const pose = new Float32Array(LANDMARKS * CHANNELS.length);
    landmarks.forEach((landmark, number) =>
      CHANNELS.forEach((channel, at) => {
        pose[number * CHANNELS.length + at] = landmark[channel];
      }),
    );
    return pose;
  });
}

function post(found, bitmap) {
  const transferred = found.people.map((pose) => pose.buffer);
  if (bitmap) transferred.push(bitmap);
  self.postMessage({ kind: "frame", bitmap, ...found }, transferred);
}
