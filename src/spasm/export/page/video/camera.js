// Poses from a camera while it runs.
import { PageProblem } from "../core/problem.js";
import { PoseThread } from "./pose_thread.js";
import { rising } from "./times.js";

const USUAL_STEP_S = 1 / 30;

/**
 * Find people in the frames of a camera. Frames that come while the model is busy are dropped.
 *
 * options: those of analyseVideo without `workers` and `onProgress`; onPicture is called for each frame that was read.
 * Returns {start(stream), stop(), onPicture, failed}: `stop` resolves to what analyseVideo returns, with times in s
 * from the first frame; `failed` is a promise that is rejected with a PageProblem if the model stops working.
 */
export async function openCamera(options = {}) {
  const thread = new PoseThread(options);
  const signal = options.signal ?? null;
  signal?.addEventListener("abort", () => thread.fail(signal.reason), { once: true });
  await thread.opened;
  const timesS = [];
  const detections = [];
  let size = [0, 0];
  let firstS = null;
  let isBusy = false;
  let idle = () => {};
  let close = () => {};
  const camera = { onPicture: options.onPicture ?? null, start, stop, failed: null };
  camera.failed = new Promise((_, reject) => {
    thread.waiting = { resolve: () => {}, reject };
  });
  camera.failed.catch(() => {}); // a page may leave it alone: `stop` throws the same
  thread.onFrame = ({ timeS, people, size: found, bitmap }) => {
    isBusy = false;
    size = found;
    timesS.push(timeS);
    detections.push(people);
    idle();
    if (bitmap) camera.onPicture(bitmap, timeS, people);
  };
  return camera;

  /** Begin to read the frames of a MediaStream. */
  function start(stream) {
    const [track] = stream.getVideoTracks();
    if (!track) throw new PageProblem("noCameraPicture");
    close = typeof MediaStreamTrackProcessor === "undefined" ? byElement(stream, take) : byProcessor(track, take);
  }

  /** End: the frames so far. The caller stops the stream's tracks. */
  async function stop() {
    close();
    if (isBusy && !thread.failed) {
      await new Promise((resolve) => {
        idle = resolve;
        camera.failed.catch(resolve);
      });
    }
    const failure = thread.failed;
    thread.fail(null);
    if (failure) throw failure;
    if (!timesS.length) throw new PageProblem("noCameraPicture");
    return { timesS: rising(timesS, USUAL_STEP_S), detections, picture: size, isStill: false, endsEarly: false };
  }

  /** frame: a VideoFrame or a function that makes a bitmap; clockS: when it was taken. */
  function take(frame, clockS) {
    if (isBusy || thread.failed) return false;
    isBusy = true;
    firstS ??= clockS;
    const request = { kind: "look", frame, timeS: clockS - firstS, wantsPicture: Boolean(camera.onPicture) };
    thread.worker.postMessage(request, [frame]);
    return true;
  }
}

function byProcessor(track, take) {
  const reader = new MediaStreamTrackProcessor({ track }).readable.getReader();
  read();
  return () => reader.cancel();

  async function read() {
    for (;;) {
      const { done, value: frame } = await reader.read();
      if (done) return;
      if (!take(frame, frame.timestamp / 1e6)) frame.close();
    }
  }
}

/** For browsers that give a camera's frames to a <video> alone. */
function byElement(stream, take) {
  const video = document.createElement("video");
  let isOpen = true;
  video.muted = true;
  video.playsInline = true;
  video.srcObject = stream;
  video.requestVideoFrameCallback(read);
  video.play();
  return () => {
    isOpen = false;
    video.srcObject = null;
  };

  async function read(now, { captureTime }) {
    if (!isOpen) return;
    const bitmap = await createImageBitmap(video);
    if (!isOpen || !take(bitmap, (captureTime ?? now) / 1000)) bitmap.close();
    if (isOpen) video.requestVideoFrameCallback(read);
  }
}
