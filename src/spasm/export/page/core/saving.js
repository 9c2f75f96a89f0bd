// What the page saves: the events of a recording as a table, and its poses. The table has the columns of
// spasm/inference/event_detection.py: write_events that this page knows, and `simulated`.
import { LANDMARKS, CHANNELS } from "./landmarks.js";
import { writeNpy } from "./npy.js";

export const EVENT_COLUMNS = ["recording", "onset_s", "offset_s", "peak_probability", "seen_s", "simulated"];
const FORMULA = /^[=+\-@\t\r']/;

// A spreadsheet computes a cell that begins like a formula: an apostrophe before it makes it text.
const guarded = (text) => (FORMULA.test(text) ? `'${text}` : text);
const quoted = (text) => (/[",;\r\n]/.test(text) || text !== text.trim() ? `"${text.replaceAll('"', '""')}"` : text);

// The events of a Prediction as CSV. recording: its name; simulated: whether the network was trained on simulated data.
export function eventsCsv(recording, prediction, simulated) {
  const rows = prediction.events.map((event) => [
    guarded(recording), event.onsetS.toFixed(2), event.offsetS.toFixed(2), event.peak.toFixed(4), event.seenS.toFixed(2),
    simulated ? "yes" : "no",
  ]);
  return [EVENT_COLUMNS, ...rows].map((row) => `${row.map(quoted).join(",")}\n`).join("");
}

// Poses (F, 33, 5) as the bytes of a recording that timeline.py reads.
export function posesNpy(poses) {
  const frame = LANDMARKS.length * CHANNELS.length;
  return writeNpy(poses, [poses.length / frame, LANDMARKS.length, CHANNELS.length]);
}

// A file name of letters, digits, - and _ alone, as recordings need: "My baby (2).mp4" and "events.csv" to
// My_baby_2_events.csv.
export function savedName(recording, ending) {
  const stem = recording.replace(/\.[^.]*$/, "").normalize("NFKD").replace(/[^A-Za-z0-9-]+/g, "_").replace(/^_+|_+$/g, "");
  return `${stem.slice(0, 80) || "recording"}${ending.startsWith(".") ? "" : "_"}${ending}`;
}
