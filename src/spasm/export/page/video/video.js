// From a video file to the people in each frame. The same steps as spasm/video/decode.py, except that a child whom the
// model misses in the whole picture is not searched in parts of it (spasm/video/second_look.py).
import { PageProblem } from "../core/problem.js";
import { isStill } from "./stillness.js";
import { PoseThread } from "./pose_thread.js";
import { rising } from "./times.js";

export { openCamera } from "./camera.js";

const SHORTEST_PART_S = 2;
const LONGEST_PART_S = 60;
const MOST_PARTS = 400; // whatever length a file claims
const WARM_UP_S = 0.2; // of tracking before a part begins
const MOST_WORKERS = 4; // each holds a model and its WebAssembly, 40 MB
const ENDS_EARLY_S = 1; // before the end that the file promises

/**
 * The people in each frame of a video.
 *
 * options: {poseModelUrl, wasmBase, maxPeople, workers, onProgress({done, total, secondsS}),
 *   onPicture(bitmap, timeS, people), signal}; `done` and `total` count frames, secondsS is how much of the video they
 *   are; the caller closes the bitmap.
 * Returns {timesS: Float64Array, detections: Array of the people of each frame, each a Float32Array(33 * 5),
 *   picture: [width, height], isStill, endsEarly}. Throws PageProblem, or the signal's reason.
 */
export async function analyseVideo(file, options = {}) {
  const { onProgress = () => {}, onPicture = null, signal = null } = options;
  signal?.throwIfAborted();
  if (typeof VideoDecoder === "undefined" || typeof OffscreenCanvas === "undefined") {
    throw new PageProblem("noWebCodecs");
  }
  const threads = [new PoseThread(options)];
  const abort = () => threads.forEach((thread) => thread.fail(signal.reason));
  signal?.addEventListener("abort", abort);
  try {
    await threads[0].opened;
    const { found } = await threads[0].ask({ kind: "inspect", file });
    const parts = partsOf(found.firstS, found.endS);
    const count = Math.max(1, Math.min(parts.length, MOST_WORKERS, options.workers ?? navigator.hardwareConcurrency ?? 2));
    while (threads.length < count) threads.push(new PoseThread(options));
    const total = Math.max(1, Math.round((found.endS - found.firstS) / found.stepS));
    let done = 0;
    const next = parts.values();
    await Promise.all(threads.map((thread) => work(thread)));
    return merged(file, parts, found);

    async function work(thread) {
      await thread.opened;
      for (const part of next) {
        thread.onFrame = ({ timeS, people, bitmap }) => {
          part.timesS.push(timeS);
          part.detections.push(people);
          done += 1;
          onProgress({ done, total: Math.max(total, done), secondsS: done * found.stepS });
          if (bitmap) onPicture(bitmap, timeS, people);
        };
        const { warmUpS, startS, endS } = part;
        const wantsPictures = Boolean(onPicture) && thread === threads[0];
        Object.assign(part, await thread.ask({ kind: "read", file, warmUpS, startS, endS, wantsPictures }));
      }
    }
  } finally {
    signal?.removeEventListener("abort", abort);
    threads.forEach((thread) => thread.fail(null));
  }
}

/** The parts of a video by time. They depend on its length alone, so that the poses do not depend on the computer. */
export function partsOf(firstS, endS) {
  const lengthS = endS - firstS;
  const few = Math.max(1, Math.min(MOST_WORKERS, Math.floor(lengthS / SHORTEST_PART_S)));
  const count = Math.min(MOST_PARTS, few * Math.ceil(lengthS / (few * LONGEST_PART_S))) || 1;
  return Array.from({ length: count }, (_, number) => {
    const startS = number === 0 ? 0 : firstS + (lengthS * number) / count;
    return {
      warmUpS: Math.max(0, startS - WARM_UP_S),
      startS,
      endS: number === count - 1 ? Infinity : firstS + (lengthS * (number + 1)) / count,
      timesS: [],
      detections: [],
    };
  });
}

function merged(file, parts, found) {
  const detections = parts.flatMap((part) => part.detections);
  const reason = parts.find((part) => part.reason)?.reason ?? "";
  const name = file.name ?? "video";
  if (!detections.length && reason) throw new PageProblem("damagedVideo", { name, reason });
  if (!detections.length) throw new PageProblem("noFrames", { name });
  const times = parts.flatMap((part) => part.timesS);
  return {
    timesS: rising(times, found.stepS),
    detections,
    picture: parts.find((part) => part.size).size,
    isStill: isStill(parts.map((part) => part.range)),
    endsEarly: reason !== "" || times.at(-1) < found.promisedEndS - ENDS_EARLY_S,
  };
}
