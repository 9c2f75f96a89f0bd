// The result in words, first of all what was seen and what was not.
import { areAtOnce } from "./recording.js";
import { clock, duration, el, hundredths, make, percent, probability, text, whole } from "./dom.js";

const TOO_FEW_S = 0.25;  // a step or two of the curve at the ends
export const MOST_LISTED = 200;  // moments as buttons; the CSV has all of them

const number = (metric) => metric && Number.isFinite(metric.value ?? NaN);
const ofHundred = (fraction) => whole(100 * fraction);

// Where the metrics of a model come from: "measured on 80 simulated children".
const measuredOn = (info) => text(info.simulated ? "result.onSimulated" : "result.onReal", { count: info.measured_on.children });

// {headline, seen, lines}: for the page and the printout. lines: sentences in the order of their weight.
export function resultWords(prediction, info, isStill) {
  const { durationS, seenS, poseS, events, highest, highestS, threshold, tooLittle } = prediction;
  const isAllSeen = durationS - seenS < TOO_FEW_S;
  const values = {
    total: duration(durationS), seen: duration(tooLittle ? poseS : isAllSeen ? durationS : seenS), unseen: duration(durationS - seenS),
    threshold: hundredths(threshold), count: events.length,
  };
  const lines = [];
  if (tooLittle) {
    const seen = text(poseS >= 0.05 ? "result.unseen" : "result.never", values);
    const windowS = info.frames / info.fps, why = { needed: duration(info.abstain * windowS), window: duration(windowS) };
    lines.push(seen, isStill ? text("result.still") : text("result.tooLittleWhy", why), text("result.tooLittleNext"));
    return { headline: text("result.tooLittle"), seen, lines };
  }
  const seen = text(isAllSeen ? "result.seenAll" : "result.seen", values);
  const most = text("result.highest", { ...values, probability: probability(highest.probability), time: clock(highestS) });
  // Without any moment, what the model misses is the more important sentence.
  lines.push(seen, ...(events.length ? [most, missedWords(info)] : [missedWords(info), most]), falseAlarmWords(info));
  return { headline: text(events.length ? "result.several" : "result.none", values), seen, lines };
}
function missedWords(info) {
  if (!number(info.metrics.sensitivity)) return text("result.missedUnknown");
  return text("result.missed", { missed: ofHundred(1 - info.metrics.sensitivity.value), on: measuredOn(info) });
}
function falseAlarmWords(info) {
  if (!Number.isFinite(info.false_alarms_per_hour ?? NaN)) return text("result.falseAlarmsUnknown");
  return text("result.falseAlarms", { ...piecesOf(info), on: measuredOn(info) });
}

function piecesOf({ frames, fps, false_alarms_per_hour: count }) {
  return { window: duration(frames / fps), pieces: whole((3600 * fps) / frames), count: whole(count) };
}

export function showWords(recording, prediction, info) {
  const { headline, lines } = resultWords(prediction, info, recording.isStill);
  el("#result-heading").textContent = text("result.heading", { file: recording.name });
  el("#headline").textContent = headline;
  el("#headline").classList.toggle("little", prediction.tooLittle);
  el("#words").replaceChildren(...lines.map((line) => make("li", { text: line })));
  const notes = [...noteWords(recording), ...(recording.findings[recording.child] ?? []).map(findingWords)];
  el("#notes").hidden = !notes.length;
  el("#note-list").replaceChildren(...notes.map((note) => make("li", { text: note })));
}
export const noteWords = ({ notes }) => notes.map(({ kind, ...values }) => text(`notes.${kind}`, values));
function findingWords({ kind, ...numbers }) {
  const values = Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, Array.isArray(value) ? value.join(", ").replaceAll("_", " ") : value]));
  return text(`findings.${kind}`, values);
}

// The list of moments as buttons. seek(seconds): to one of them.
export function showEvents(prediction, seek) {
  const { events, durationS, seenS, tooLittle } = prediction, unseenS = durationS - seenS;
  const unseen = unseenS < TOO_FEW_S ? text("events.noneSeen") : text("events.noneUnseen", { unseen: duration(unseenS) });
  const more = events.length - MOST_LISTED;
  const none = tooLittle ? text("events.tooLittle") : text("events.none", { unseen });
  el("#events-none").textContent = !events.length ? none : more > 0 ? text("events.more", { count: more }) : "";
  el("#events-none").hidden = !el("#events-none").textContent;
  el("#events-when").hidden = !events.length;
  el("#event-list").replaceChildren(...events.slice(0, MOST_LISTED).map((event) => {
    const values = { time: clock(event.onsetS, true), probability: probability(event.peak), duration: duration(Math.max(0.1, event.offsetS - event.onsetS)) };
    const button = make("button", { type: "button", text: text("events.one", values) });
    button.onclick = () => seek(event.onsetS);
    return make("li", {}, button);
  }));
}
// Marks the moment that is played.
export function markEvent(prediction, time) {
  const at = prediction.events.findIndex(({ onsetS, offsetS }) => onsetS - 0.02 <= time && time < offsetS);
  [...el("#event-list").children].forEach((item, number) => {
    if (number === at) item.firstChild.setAttribute("aria-current", "true"); else item.firstChild.removeAttribute("aria-current");
  });
}

// ---- people

// choose(number): the visitor's choice.
export function showPeople(recording, choose) {
  el("#people").hidden = recording.people.length < 2;
  el("#people-status").textContent = "";
  const atOnce = recording.people.length > 1 && areAtOnce(recording.persons, recording.timesS.length);
  el("#people-what").textContent = text(atOnce ? "people.what" : "people.parts", { count: recording.people.length });
  el("#person-buttons").replaceChildren(...recording.people.map((_, number) => {
    const seconds = recording.persons[number] ? duration((recording.persons[number].rows.length / recording.timesS.length) * (recording.frames / 30)) : "";
    const words = [text("people.person", { number: number + 1 }), " ", make("small", { text: text("people.seen", { seen: seconds }) })];
    const button = make("button", { type: "button", "aria-pressed": String(number === recording.child) }, ...words);
    button.onclick = () => choose(number);
    return button;
  }));
}
export function markChild(child) {
  [...el("#person-buttons").children].forEach((button, number) => button.setAttribute("aria-pressed", String(number === child)));
}

// ---- the model

export function showModel(info) {
  const { trained_on: on, metrics: { sensitivity } } = info, unknown = text("model.unknown");
  const pair = (name, value) => [make("dt", { text: text(`model.${name}`) }), make("dd", { text: value })];
  const found = () => Object.fromEntries(["value", "low", "high"].map((key) => [key, ofHundred(sensitivity[key])]));
  const finds = number(sensitivity) ? text("model.findsText", found()) : unknown;
  const alarms = Number.isFinite(info.false_alarms_per_hour ?? NaN) ? text("model.falseAlarmsText", piecesOf(info)) : unknown;
  el("#model").replaceChildren(
    ...pair("run", info.run), ...pair("trained", text(info.simulated ? "model.trainedSimulated" : "model.trainedText", on)), ...pair("finds", finds),
    ...pair("falseAlarms", alarms), ...pair("blend", blendWords(info)), ...pair("threshold", hundredths(info.threshold)), ...pair("warning", info.warning));
}
// How far the network is behind the whole blend of models, which this page does not hold.
function blendWords({ compared_with_blend: { f1, auc }, measured_on: { where } }) {
  const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(3);
  const words = (metric) => (number(metric) ? text("model.difference", { value: signed(metric.value), low: signed(metric.low), high: signed(metric.high) }) : text("model.unknown"));
  return text("model.blendText", { f1: words(f1), auc: words(auc), where });
}
export const metricWords = (metric) => (number(metric) ? percent(metric.value) : text("model.unknown"));
