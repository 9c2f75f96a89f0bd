// Which part of the page is shown, the progress, and problems as messages of three parts.
import { texts } from "../texts.js";
import { clock, duration, el, filled, percent, text } from "./dom.js";

const VIEWS = ["start", "rate", "consent", "working", "problem", "result"];

// Shows one view and moves the focus to its heading, from which a screen reader reads on.
export function show(view) {
  for (const name of VIEWS) el(`#${name}`).hidden = name !== view;
  if (view !== "result") document.title = text("title");
  window.scrollTo(0, 0);
  el(`#${view} h1`).focus({ preventScroll: true });
}
export const isShown = (view) => !el(`#${view}`).hidden;

// A live region repeats nothing, so the same words are spoken only once in a row.
export function announce(words) {
  if (el("#live").textContent !== words) el("#live").textContent = words;
}

export class Progress {
  constructor(file) {
    el("#working-heading").textContent = text("working.heading", { file });
    el("#preview").hidden = true;
    el("#stop").hidden = true;
    this.step(text("working.file"));
  }
  // A step of unknown length, until `at` is called.
  step(words) {
    this.began = performance.now();
    this.first = this.spoken = null;
    el("#step").textContent = words;
    el("#left").textContent = "";
    el("#progress").removeAttribute("value");
    announce(words);
  }
  // fraction: of the step that is done; seconds: of the recording in whole, where known.
  at(fraction, seconds = null) {
    const now = performance.now();
    this.first ??= { now, fraction };  // what came before was loading, and says nothing about the speed
    el("#progress").value = fraction;
    const parts = [seconds ? text("working.done", { done: clock(fraction * seconds), total: clock(seconds) }) : percent(fraction)];
    const gone = now - this.first.now, share = fraction - this.first.fraction;
    if (gone > 1500 && share > 0) {
      const left = (gone / share) * (1 - fraction) / 1000;
      parts.push(left < 1 ? text("working.soon") : text("working.left", { left: duration(left < 10 ? Math.ceil(left) : left) }));
    }
    el("#left").textContent = parts.join(" · ");
    const quarter = Math.floor(fraction * 4);
    if (quarter > (this.spoken ?? 0)) { this.spoken = quarter; announce(text("working.live", { percent: percent(quarter / 4) })); }
  }
}

// ---- problems

// The three parts of a message. step: a key of texts.problem.steps; values: of the file, for the texts.
export function problemWords(error, step, values = {}) {
  const known = error?.code && texts.problems[error.code];
  const where = values.file ? text("problem.fileNamed", values) : text(step === "camera" ? "problem.noFile" : "problem.page");
  const of = { where, step: text(`problem.steps.${step}`), ...values, ...(error?.values ?? {}) };
  const parts = known || texts.problem.unknown;
  return { known: Boolean(known), parts: ["what", "where", "next"].map((part) => filled(parts[part], of)) };
}
export function showProblem(error, step, values) {
  const { known, parts } = problemWords(error, step, values);
  ["what", "where", "next"].forEach((part, k) => { el(`#${part}`).textContent = parts[k]; });
  el("#problem-details").hidden = known;
  el("#technical").textContent = known ? "" : String(error?.stack || error);
  show("problem");
}
