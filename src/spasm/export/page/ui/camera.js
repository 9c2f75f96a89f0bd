// The camera, after the visitor agreed: its pictures go to the pose model and are not kept.
import { PageProblem } from "../core/problem.js";
import { openCamera } from "../video/video.js";
import { clock, el, text } from "./dom.js";
import { drawPreview } from "./preview.js";
import { VIDEO_OPTIONS } from "./recording.js";
import { announce } from "./views.js";

const REFUSALS = { NotAllowedError: "cameraRefused", SecurityError: "cameraRefused", NotFoundError: "cameraMissing", OverconstrainedError: "cameraMissing" };

export class Camera {
  // Records until `stop` or the camera's end; gives what analyseVideo gives, and hasEnded: whether the camera ended it. Throws a PageProblem, or the reason of the signal.
  async record(progress, signal) {
    const ended = new Promise((resolve, reject) => {
      this.stop = resolve;
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
    ended.catch(() => {});  // it is awaited below
    this.stream = await this.openStream();
    if (signal.aborted) this.close();  // the visitor went on while the browser asked
    signal.throwIfAborted();
    let hasEnded = false;  // unplugged, or no longer allowed
    this.stream.getVideoTracks()[0]?.addEventListener("ended", () => { hasEnded = true; this.stop(); });
    const camera = await openCamera({ ...VIDEO_OPTIONS, onPicture: (bitmap, timeS, people) => this.seen(bitmap, timeS, people), signal });
    camera.start(this.stream);
    progress.step(text("camera.recording"));
    el("#stop").hidden = false;
    el("#stop").focus();
    announce(text("camera.recording"));
    await Promise.race([ended, camera.failed]);
    el("#stop").hidden = true;
    return { ...(await camera.stop()), hasEnded };
  }
  async openStream() {
    if (!navigator.mediaDevices?.getUserMedia) throw new PageProblem("cameraInsecure");
    const wanted = { facingMode: { ideal: "environment" }, width: { ideal: 1280 }, frameRate: { ideal: 30 } };
    try { return await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false }); }
    catch (error) { throw new PageProblem(REFUSALS[error.name] ?? "cameraBusy"); }
  }
  seen(bitmap, timeS, people) {
    el("#left").textContent = text("camera.seconds", { time: clock(timeS) });
    drawPreview(bitmap, timeS, people);
  }
  // Turns the camera's light off.
  close() { this.stream?.getTracks().forEach((track) => track.stop()); }
}
