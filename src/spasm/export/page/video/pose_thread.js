// The page's side of pose_worker.js.
import { ownWorker } from "../core/own_worker.js";
import { PageProblem } from "../core/problem.js";

export const MODEL_URL = new URL("../model/pose_landmarker_lite.task", import.meta.url).href;
export const WASM_BASE = new URL("../vendor/tasks-vision/wasm", import.meta.url).href;
export const MAX_PEOPLE = 3; // as extract_pose.py: with 1 the model would follow the larger parent and lose the child

export class PoseThread {
  constructor({ poseModelUrl = MODEL_URL, wasmBase = WASM_BASE, maxPeople = MAX_PEOPLE } = {}) {
    this.worker = ownWorker(new URL("./pose_worker.js", import.meta.url));
    this.onFrame = () => {};
    this.failed = null;
    this.waiting = null; // the request that the worker works on
    this.worker.onmessage = ({ data }) => this.receive(data);
    this.worker.onerror = (event) => {
      event.preventDefault();
      this.fail(new PageProblem("poseWorker", { reason: event.message ?? "it could not be loaded" }));
    };
    this.opened = this.ask({ kind: "open", poseModelUrl, wasmBase: wasmBase.replace(/\/$/, ""), maxPeople });
    this.opened.catch(() => {}); // awaited later
  }

  /** Send one request; the reply to it. One at a time. */
  ask(request, transferred = []) {
    if (this.failed) return Promise.reject(this.failed);
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject };
      this.worker.postMessage(request, transferred);
    });
  }

  receive(reply) {
    if (reply.kind === "problem") this.fail(new PageProblem(reply.problem.code, reply.problem.values));
    else if (reply.kind === "frame") this.onFrame(reply);
    else this.settle("resolve", reply);
  }

  /** End the worker; what is asked of it is rejected with `reason`. */
  fail(reason) {
    this.failed ??= reason;
    this.worker.terminate();
    this.settle("reject", this.failed);
  }

  settle(how, value) {
    const { waiting } = this;
    this.waiting = null;
    waiting?.[how](value);
  }
}
