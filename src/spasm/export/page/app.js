// The way of a visitor: choose a file or the camera, wait, see the result, save it. Nothing is kept and nothing is sent.
import { openPredictor } from "./core/prediction.js";
import { PageProblem } from "./core/problem.js";
import { Camera } from "./ui/camera.js";
import { clamp, el, fillTexts, make, percent, text } from "./ui/dom.js";
import { FPS, Player } from "./ui/player.js";
import { Plot } from "./ui/plot.js";
import { fillPrintout } from "./ui/printout.js";
import { drawPreview } from "./ui/preview.js";
import { frameWithMost, fromDetections, fromPoseFile, fromVideo, isPoseFile, needsRate } from "./ui/recording.js";
import { personAt } from "./core/tracking.js";
import { nearestPose } from "./ui/skeleton.js";
import { savePoses, saveCsv, saveStill } from "./ui/saving.js";
import { announce, isShown, problemWords, Progress, show, showProblem } from "./ui/views.js";
import { markChild, markEvent, resultWords, showEvents, showModel, showPeople, showWords } from "./ui/words.js";

const address = (path) => new URL(path, import.meta.url).href;
const MODEL = { modelUrl: address("model/network.onnx"), infoUrl: address("model/model.json"), ortUrl: address("vendor/onnxruntime-web/ort.wasm.min.mjs") };

const now = { job: null, step: "start", file: null, result: null, camera: null, asked: null };
let predictor = null;
const player = new Player((frame) => moved(frame / FPS), (x, y, frame) => tapped(x, y, frame));
const plot = new Plot((time) => player.jump(time * FPS));

// ---- the way of one analysis

const isCancelled = (error) => error?.name === "AbortError" || error?.code === "cancelled";
const opened = () => (predictor ??= openPredictor(MODEL).catch((error) => { predictor = null; throw error; }));

const OF_RECORDING = "#result-heading, #headline, #words, #event-list, #note-list, #person-buttons, #table tbody, #plot-description, #printout, #live";

// Ends what runs; the page forgets the last recording: its poses, its pictures, its name.
function forget() {
  now.job?.abort();
  now.job = null;
  now.camera?.close();
  now.camera = null;
  player.close();
  if (now.result?.recording.address) URL.revokeObjectURL(now.result.recording.address);
  Object.assign(now, { result: null, file: null, asked: null });
  plot.close();
  for (const canvas of document.querySelectorAll("canvas")) canvas.width = 0;
  for (const place of document.querySelectorAll(OF_RECORDING)) place.replaceChildren();
  el("#save").inert = false;
  document.body.classList.remove("has-result");
  el("#cancelled").textContent = "";
}

// read(progress, signal): gives a recording, as ui/recording.js describes it.
async function analyse(name, step, read) {
  forget();
  const job = (now.job = new AbortController()), { signal } = job;
  Object.assign(now, { file: name, step });
  const progress = new Progress(name);
  show("working");
  try {
    const loading = opened(), failure = loading.then(() => new Promise(() => {}));  // never fulfilled
    const stopped = new Promise((_, reject) => { signal.addEventListener("abort", () => reject(signal.reason), { once: true }); });
    const recording = await Promise.race([read(progress, signal), failure, stopped]);  // a missing model ends it at once
    signal.throwIfAborted();
    now.step = "prediction";
    progress.step(text("working.prediction"));
    recording.address = recording.url;
    now.result = { recording, predictions: new Map() };
    const { info } = await Promise.race([loading, stopped]);
    now.result.info = info;
    const prediction = await predict(0, (fraction) => progress.at(fraction), signal);
    if (now.job !== job) return;
    now.step = "result";
    show("result");
    showPeople(recording, chooseChild);
    for (const one of ["#save-still", "#still-what"]) el(one).hidden = !recording.url;
    player.open(recording);
    showPrediction(prediction);
    player.jump(firstFrame(recording, prediction));
  } catch (error) {
    if (now.job !== job) return;  // another analysis has begun
    const { step: failed } = now;
    forget();
    if (isCancelled(error)) { show("start"); el("#cancelled").textContent = text("working.cancelled"); } else showProblem(error, failed, { file: name });
  }
}

// The prediction for a person; those that were made are kept until another recording is chosen.
async function predict(child, advance, signal) {
  const { recording, predictions, info } = now.result;
  if (!predictions.has(child)) {
    const { predictRecording } = await opened();
    const prediction = await predictRecording(recording.people[child], recording.frames, { onProgress: ({ done, total }) => advance(done / total), signal });
    prediction.windowS = info.frames / info.fps;
    const { events, highest } = prediction, strongest = events.find(({ peak }) => peak >= highest.probability - 1e-6);
    prediction.highestS = strongest?.onsetS ?? highest.timeS;  // the time of a moment is finer than that of its window
    prediction.mostAttention = prediction.attention.reduce((most, value) => Math.max(most, value), 0);
    predictions.set(child, recording.isStill ? withoutMovement(prediction) : prediction);
  }
  return predictions.get(child);
}
// A photograph has no movement, whatever the small errors of its pose look like.
function withoutMovement(prediction) {
  const nothing = Float64Array.from(prediction.windows.probability, () => NaN);
  return {
    ...prediction, windows: { ...prediction.windows, probability: nothing }, curve: prediction.curve.map(() => NaN), attention: prediction.attention.map(() => 0),
    mostAttention: 0, events: [], seenS: 0, tooLittle: true, highest: { probability: NaN, timeS: NaN },
  };
}
function showPrediction(prediction) {
  const { recording, info } = now.result;
  now.result.prediction = prediction;
  el("#save").inert = false;
  showWords(recording, prediction, info);
  showEvents(prediction, (time) => player.jump(time * FPS));
  plot.open(prediction);
  moved(player.frame / FPS);
  fillPrintout(now.result);
  document.body.classList.add("has-result");
  el("#saving").textContent = "";
  el("#save-csv").setAttribute("aria-disabled", !prediction.events.length);
  const { headline, seen } = resultWords(prediction, info, recording.isStill);
  announce(text("result.announce", { headline, seen }));
}
// Where the player begins: several people are shown together, so that the child can be tapped; one at the first moment.
function firstFrame({ people, frames, persons, timesS, startS }, { events, highestS, tooLittle }) {
  if (persons.length > 1) return (timesS[frameWithMost(persons, timesS.length)] - startS) * FPS;
  return nearestPose(people[0], tooLittle ? 0 : Math.round((events[0]?.onsetS ?? highestS) * FPS), frames);
}
function moved(time) {
  if (!now.result?.prediction) return;
  plot.move(time, player.playing);
  markEvent(now.result.prediction, time);
}

// ---- several people

function tapped(x, y, frame) {
  const { recording } = now.result, { persons, timesS, startS } = recording;
  const wanted = startS + frame / FPS;
  let nearest = 0;
  timesS.forEach((time, number) => { if (Math.abs(time - wanted) < Math.abs(timesS[nearest] - wanted)) nearest = number; });
  const number = persons.indexOf(personAt(persons, x, y, nearest));
  if (number >= 0) chooseChild(number);
}
async function chooseChild(child) {
  const { result } = now, { recording } = result;
  if (child === recording.child) return;
  now.job?.abort();
  const job = (now.job = new AbortController());
  recording.child = child;
  result.prediction = null;  // of another person: nothing of it can be saved or printed beside the new one
  el("#save").inert = true;
  markChild(child);
  player.draw();
  el("#result").setAttribute("aria-busy", "true");
  const status = el("#people-status"), number = child + 1;
  const advance = (fraction) => {
    const words = text("people.predicting", { number, percent: percent(Math.floor(fraction * 4) / 4) });  // each is spoken
    if (now.job === job && status.textContent !== words) status.textContent = words;
  };
  advance(0);
  el("#printout").replaceChildren(make("p", { text: status.textContent }));
  try {
    const prediction = await predict(child, advance, job.signal);
    if (now.job !== job) return;
    showPrediction(prediction);
    status.textContent = text("people.chosen", { person: text("people.person", { number }) });
  } catch (error) {
    if (now.job === job) { forget(); showProblem(error, "prediction", { file: recording.name }); }
  } finally {
    if (now.job === job) el("#result").removeAttribute("aria-busy");
  }
}

// ---- what the visitor chooses

function chosen(files) {
  const named = files.length === 1 ? { file: files[0].name } : {};
  if (files.length !== 1) {
    forget();
    showProblem(new PageProblem(files.length ? "severalFiles" : "noFile", { count: files.length }), "file", named);
    return;
  }
  const [file] = files;
  if (!needsRate(file)) { open(file); return; }
  forget();
  now.asked = file;
  el("#rate-what").textContent = text("rate.what", { file: file.name });
  el("#rate-invalid").textContent = "";
  show("rate");
}
function open(file, fps) {
  if (isPoseFile(file)) { analyse(file.name, "file", () => fromPoseFile(file, fps)); return; }
  analyse(file.name, "video", (progress, signal) => {
    progress.step(text("working.model"));
    let began = false;
    const onProgress = ({ done, total, secondsS }) => {
      if (!began) progress.step(text("working.poses"));
      began = true;
      progress.at(done / total, (secondsS * total) / done);
    };
    return fromVideo(file, { onProgress, onPicture: drawPreview, signal });
  });
}
function useCamera() {
  analyse(text("camera.name"), "camera", async (progress, signal) => {
    progress.step(text("working.model"));
    now.camera = new Camera();
    const recorded = await now.camera.record(progress, signal);
    now.camera.close();
    now.camera = null;
    return fromDetections(text("camera.name"), recorded);
  });
}

const ACTS = {
  choose: () => el("#file").click(),
  camera: () => { forget(); show("consent"); },
  allow: useCamera,
  back: () => { forget(); show("start"); },
  cancel: () => now.job?.abort(),
  stop: () => now.camera?.stop(),
};
document.addEventListener("click", ({ target }) => ACTS[target.closest("[data-act]")?.dataset.act]?.());
el("#file").onchange = () => {
  const files = [...el("#file").files];
  el("#file").value = "";  // so that the same file can be chosen again
  if (files.length) chosen(files);
};
el("#rate").onsubmit = (event) => {
  event.preventDefault();
  const fps = el("#fps").valueAsNumber;
  if (fps >= 1 && fps <= 1000) open(now.asked, fps);
  else { el("#rate-invalid").textContent = text("rate.invalid"); el("#fps").focus(); }
};

let inside = 0;  // elements that a dragged file is over
const dropping = (isOver) => { inside = isOver ? inside : 0; el("#dropping").hidden = !isOver; };
addEventListener("dragenter", (event) => { event.preventDefault(); inside += 1; dropping(true); });
addEventListener("dragleave", () => { inside -= 1; if (inside <= 0) dropping(false); });
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => { event.preventDefault(); dropping(false); chosen([...event.dataTransfer.files]); });

// ---- saving

async function save(act) {
  try { await act(); } catch (error) { el("#saving").textContent = problemWords(error, "save", { file: now.file }).parts.join(" "); }
}
el("#print").onclick = () => save(() => { fillPrintout(now.result); print(); });
el("#save-poses").onclick = () => save(() => savePoses(now.result));
el("#save-still").onclick = () => save(() => saveStill(now.result, player));
el("#save-csv").onclick = () => save(() => {
  if (now.result.prediction.events.length) saveCsv(now.result); else el("#saving").textContent = text("save.noMoments");
});

// ---- keys

addEventListener("keydown", (event) => {
  if (!isShown("result") || event.altKey || event.ctrlKey || event.metaKey || event.target.closest("input, select, textarea")) return;
  const isPlot = event.target === el("#plot"), forward = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (forward) player.jump(player.frame + forward * (event.shiftKey ? FPS : 1));
  else if (event.key === " " && !event.target.closest("button, summary")) player.toggle();
  else if (isPlot && event.key === "Home") player.jump(0);
  else if (isPlot && event.key === "End") player.jump(now.result.recording.frames - 1);
  else if (isPlot && (event.key === "PageDown" || event.key === "PageUp")) toMoment(event.key === "PageDown");
  else return;
  event.preventDefault();
});
function toMoment(isNext) {
  const frames = (now.result.prediction?.events ?? []).map(({ onsetS }) => clamp(Math.round(onsetS * FPS), 0, now.result.recording.frames - 1));
  const found = isNext ? frames.find((frame) => frame > player.frame) : frames.findLast((frame) => frame < player.frame);
  if (found !== undefined) player.jump(found);
}

// ---- the beginning

function failed(error) {
  if (!error || isCancelled(error)) return;
  const values = now.file ? { file: now.file } : {};
  forget();
  showProblem(error, now.step, values);
}
addEventListener("error", ({ error }) => failed(error));
addEventListener("unhandledrejection", (event) => { event.preventDefault(); failed(event.reason); });
addEventListener("pagehide", () => { now.camera?.close(); });

fillTexts();
player.label();
el("#save-csv").setAttribute("aria-disabled", "true");
fetch(MODEL.infoUrl).then((response) => response.json()).then((info) => {  // at once, before the network is loaded
  el("#simulated").hidden = !info.simulated;
  showModel(info);
}).catch(() => {});  // `opened` throws the same with its reason
opened().catch((error) => { if (!now.job) failed(error); });
navigator.serviceWorker?.register(address("service_worker.js"), { updateViaCache: "none" }).catch(() => {});  // without it the page needs its server
