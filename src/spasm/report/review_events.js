// ---- the events of a review, every change of which can be undone, and the progress that the browser keeps

const KINDS = { startle: "startle", moro: "Moro reflex", crying: "crying", artefact: "artefact", caregiver: "caregiver", other: "other" };
const SHORTEST_S = 0.1, NEW_S = 1, MOST_UNDONE = 500;
const MARKS = { unreviewed: "?", accepted: "✓", rejected: "✕", added: "+" };
const COLOURS = { unreviewed: "--orange", accepted: "--green", rejected: "--pink", added: "--blue" };
const hundredths = (time) => Math.round(time * 100) / 100;
const timesOf = (event) => `${event.onset.toFixed(2)} to ${event.offset.toFixed(2)}`;  // as they stand in review.csv

class Review {
  constructor() {
    this.key = `spasm review ${page.recording} ${page.fingerprint}`;
    this.history = [];
    this.changed = () => {};
    this.unsaved = false;
    this.readable = false;
    this.reviewer = "";
    this.events = detectedEvents();
    this.failure = this.restore();
  }
  // What is kept in this browser; the reason why nothing can be kept, or null.
  restore() {
    try {
      const text = localStorage.getItem(this.key);
      if (text !== null) {
        const kept = JSON.parse(text);
        if (!isKept(kept)) throw new Error("what it keeps of this review cannot be read");
        this.events = kept.events;
        this.reviewer = kept.reviewer;
      }
      this.readable = true;
      localStorage.setItem(this.key, this.text());
      return null;
    } catch (error) { return String(error.message || error); }
  }
  text() { return JSON.stringify({ reviewer: this.reviewer, events: this.events }); }
  // Tried again at each change, since a smaller review may fit; what could not be read is never replaced.
  keep() {
    this.unsaved = true;
    if (!this.readable) return;
    try {
      localStorage.setItem(this.key, this.text());
      this.failure = null;
    } catch (error) { this.failure = String(error.message || error); }
  }
  // Every change goes through here. changes with the same `joint` name follow each other as one, such as those of a drag.
  change(current, joint, apply) {
    const last = this.history[this.history.length - 1];
    if (!joint || !last || last.joint !== joint) this.history.push({ events: JSON.stringify(this.events), reviewer: this.reviewer, current, joint });
    if (this.history.length > MOST_UNDONE) this.history.shift();
    apply();
    this.keep();
    this.changed();
  }
  // The event that was chosen before the change that is undone; undefined where there is none.
  undo() {
    const last = this.history.pop();
    if (!last) return undefined;
    this.events = JSON.parse(last.events);
    this.reviewer = last.reviewer;
    this.keep();
    this.changed();
    return last.current;
  }
  find(id) { return this.events.find((event) => event.id === id) || null; }
  decide(id, kind) {
    const decision = kind === "spasm" ? "accepted" : kind ? "rejected" : "unreviewed";
    this.change(id, null, () => Object.assign(this.find(id), { decision, type: kind || "" }));
  }
  // No two events have the same times: readers of review.csv refuse an event that is there twice.
  withTimes(onset, offset, except = null) {
    return this.events.find((event) => event.id !== except && Math.abs(event.onset - onset) < 0.005 && Math.abs(event.offset - offset) < 0.005) || null;
  }
  // The other event that has these times, so that nothing is moved; null where there is none.
  move(id, onset, offset, joint) {
    const event = this.find(id), low = clamp(hundredths(onset), 0, LENGTH_S - SHORTEST_S);
    const high = clamp(hundredths(offset), 0, Math.floor(LENGTH_S * 100) / 100);
    if (high - low < SHORTEST_S - 1e-6 || (low === event.onset && high === event.offset)) return null;
    const other = this.withTimes(low, high, id);
    if (!other) this.change(id, joint, () => Object.assign(event, { onset: low, offset: high }));
    return other;
  }
  write(id, note) { this.change(id, `note ${id}`, () => { this.find(id).note = note; }); }
  // The id of the new event, and whether it is new: where an event has these times already, it is that one.
  add(onset, offset, current) {
    const id = 1 + this.events.reduce((highest, event) => Math.max(highest, event.id), -1);
    const low = clamp(hundredths(Math.min(onset, offset)), 0, hundredths(LENGTH_S - SHORTEST_S));
    const high = clamp(hundredths(Math.max(onset, offset)), low + SHORTEST_S, Math.max(low + SHORTEST_S, Math.floor(LENGTH_S * 100) / 100));
    const other = this.withTimes(low, high);
    if (other) return { id: other.id, isNew: false };
    this.change(current, null, () => this.events.push({ id, onset: low, offset: high, decision: "accepted", type: "spasm", origin: "added", detected: null, peak: null, note: "" }));
    return { id, isNew: true };
  }
  remove(id) { this.change(id, null, () => { this.events = this.events.filter((event) => event.id !== id); }); }
  replace(events, reviewer, current) { this.change(current, null, () => { this.events = events; this.reviewer = reviewer; }); }
  get detected() { return this.events.filter((event) => event.origin === "detected"); }
  get reviewed() { return this.detected.filter((event) => event.decision !== "unreviewed"); }
  count(state) { return this.events.filter((event) => stateOf(event) === state).length; }
  // The order in which events are gone through: added ones have no probability and come last.
  queue(byTime) {
    const time = (a, b) => a.onset - b.onset || a.id - b.id;
    return [...this.events].sort(byTime ? time : (a, b) => (b.peak === null ? -1 : b.peak) - (a.peak === null ? -1 : a.peak) || time(a, b));
  }
}
// What an event looks like: by its decision, and accepted ones that were added apart.
const stateOf = (event) => (event.origin === "added" && event.decision === "accepted" ? "added" : event.decision);

function detectedEvents() {
  return page.events.map(([onset, offset, peak], id) => (
    { id, onset, offset, decision: "unreviewed", type: "", origin: "detected", detected: [onset, offset], peak, note: "" }));
}
// Whether something has the form of what `keep` writes; it was read from outside this page.
function isKept(kept) {
  const isEvent = (event) => event && [event.id, event.onset, event.offset].every(Number.isFinite) && event.offset > event.onset
    && ["accepted", "rejected", "unreviewed"].includes(event.decision) && ["detected", "added"].includes(event.origin)
    && ["", "spasm", ...Object.keys(KINDS)].includes(event.type) && typeof event.note === "string"
    && (event.origin === "added" || (event.id < page.events.length && Array.isArray(event.detected)));
  return kept && typeof kept.reviewer === "string" && Array.isArray(kept.events) && kept.events.every(isEvent)
    && kept.events.filter((event) => event.origin === "detected").length === page.events.length;
}
