// ---- review.csv, written and read; docs/review.md describes it

const COLUMNS = ["recording", "onset_s", "offset_s", "type", "decision", "origin", "detected_onset_s", "detected_offset_s", "peak_probability", "reviewer", "note"];
const FORMULA = /^[=+\-@\t\r']/, MOST_PROBLEMS = 3;

// A spreadsheet computes a cell that begins like a formula: an apostrophe before it makes it text, and is taken off again.
const guarded = (text) => (FORMULA.test(text) ? `'${text}` : text);
const unguarded = (text) => (text[0] === "'" && FORMULA.test(text.slice(1)) ? text.slice(1) : text);
const quoted = (text) => (/[",;\r\n]/.test(text) || text !== text.trim() ? `"${text.replaceAll('"', '""')}"` : text);

function toCsv(review) {
  const time = (value) => value.toFixed(2);
  const rows = review.queue(true).map((event) => [
    page.recording, time(event.onset), time(event.offset), event.type, event.decision, event.origin,
    ...(event.detected ? [...event.detected.map(time), event.peak.toFixed(4)] : ["", "", ""]),
    guarded(review.reviewer.trim()), guarded(event.note.trim()),
  ]);
  return [COLUMNS, ...rows].map((row) => `${row.map(quoted).join(",")}\n`).join("");
}

// Cells of a table, by RFC 4180; commas or semicolons, as a spreadsheet may write them. Gives [line, cells] of each row.
function readCells(text) {
  const first = text.split("\n", 1)[0], rows = [];
  const delimiter = first.split(";").length > first.split(",").length ? ";" : ",";
  let cell = "", cells = [], inside = false, line = 1, begin = 1;
  const endRow = () => {
    cells.push(cell);
    if (cells.some((one) => one.trim())) rows.push([begin, cells]);
    [cell, cells, begin] = ["", [], line + 1];
  };
  for (let i = 0; i < text.length; i++) {
    const letter = text[i];
    if (inside) {
      if (letter !== '"') cell += letter;
      else if (text[i + 1] === '"') { cell += '"'; i++; } else inside = false;
    } else if (letter === '"' && !cell) inside = true;
    else if (letter === delimiter) { cells.push(cell); cell = ""; }
    else if (letter === "\n") endRow();
    else if (letter !== "\r") cell += letter;
    if (letter === "\n") line++;
  }
  if (inside) throw new Error(`line ${begin}: a quote is not closed; save the table again as CSV`);
  if (cell || cells.length) endRow();
  return rows;
}

// The events of a review.csv of this recording, and what to say of them. Throws an Error in words for any other text.
function fromCsv(text) {
  const [header, ...rows] = readCells(text.replace(/^\ufeff/, "").replace(/\r\n?/g, "\n")), names = header ? header[1].map((cell) => cell.trim()) : [];
  const missing = COLUMNS.filter((name) => !names.includes(name));
  if (missing.length) throw new Error(`it is not a review.csv: it has no column ${missing.join(", ")}; choose the file that this page saved`);
  const read = rows.map(([line, cells]) => ({ line, cells: cells.length, ...Object.fromEntries(names.map((name, k) => [name, (cells[k] || "").trim()])) }));
  const own = read.filter((row) => row.recording === page.recording);
  if (!own.length) {
    const other = read.length ? `it is of ${read[0].recording || "a recording without a name"}` : "it has no row";
    throw new Error(`${other}, and this page shows ${page.recording}; choose the review.csv of ${page.recording}`);
  }
  const events = detectedEvents(), byTimes = new Map(events.map((event) => [event.detected.map((time) => time.toFixed(2)).join(), event]));
  const problems = [], seen = new Set(), lineAt = new Map(), placed = new Map();
  let unknown = 0, next = events.length, reviewer = "";
  for (const row of own) {
    const fault = faultOf(row, names.length);
    if (fault) { problems.push(`line ${row.line}: ${fault}`); continue; }
    const changes = { onset: hundredths(+row.onset_s), offset: hundredths(+row.offset_s), decision: row.decision, type: row.type }, note = unguarded(row.note);
    reviewer ||= unguarded(row.reviewer);
    if (row.origin === "added") { lineAt.set(next, row.line); events.push({ id: next++, ...changes, origin: "added", detected: null, peak: null, note }); continue; }
    const times = [row.detected_onset_s, row.detected_offset_s].map((time) => (+time).toFixed(2)).join(), event = byTimes.get(times);
    if (!event) { unknown += 1; continue; }
    if (seen.has(event.id)) problems.push(`line ${row.line}: this detected event is there twice; delete one of the rows`);
    seen.add(event.id);
    lineAt.set(event.id, row.line);
    Object.assign(event, changes, { note });
  }
  for (const event of events) {
    const other = placed.get(timesOf(event)), [first, line] = other ? [lineAt.get(other.id), lineAt.get(event.id)] : [];
    if (other) problems.push(`line ${line || first}: ${timesOf(event)} are the times of ${line && first ? `line ${first}` : "a detected event"} too; delete one of the rows, or correct its times`);
    else placed.set(timesOf(event), event);
  }
  if (problems.length) {
    const more = problems.length > MOST_PROBLEMS ? `; and ${problems.length - MOST_PROBLEMS} more` : "";
    throw new Error(problems.slice(0, MOST_PROBLEMS).join("; ") + more);
  }
  if (unknown && !seen.size) {
    const rest = own.length > unknown ? "; to load its added events alone, which begins this review again, delete its detected rows" : "";
    throw new Error(`it is a review of another prediction: none of its ${unknown} detected events is in this page; load it into the page from which it was saved${rest}`);
  }
  const without = page.events.length - seen.size, notes = [`${own.length - unknown} rows loaded`];
  if (unknown) notes.push(`${unknown} rows left out, because this prediction has no such detected event; review those again`);
  if (without) notes.push(`${without} events of this prediction have no row and are unreviewed`);
  if (read.length > own.length) notes.push(`${read.length - own.length} rows of other recordings left out`);
  return { events, reviewer, note: `${notes.join("; ")}.` };
}
function faultOf(row, columns) {
  const [onset, offset] = [row.onset_s, row.offset_s].map((time) => hundredths(+time)), kinds = Object.keys(KINDS);
  const types = { accepted: ["spasm"], rejected: kinds, unreviewed: [""] }[row.decision];
  if (row.cells !== columns) return `${row.cells} cells where the header has ${columns}; give it as many`;
  if (!row.onset_s || !row.offset_s || !(onset >= 0 && onset < offset && offset <= LENGTH_S + 0.01)) return `${row.onset_s} to ${row.offset_s} is no event; give seconds from 0 to ${LENGTH_S.toFixed(2)} with a decimal point`;
  if (!types) return `the decision ${row.decision} is unknown; write accepted, rejected or unreviewed`;
  if (!types.includes(row.type)) return `the type ${row.type || "(empty)"} does not go with ${row.decision}; write ${types.join(", ") || "nothing"}`;
  if (!["detected", "added"].includes(row.origin)) return `the origin ${row.origin} is unknown; write detected or added`;
  if (row.origin === "added" && row.decision === "unreviewed") return "an added event cannot be unreviewed; write accepted or rejected";
  return null;
}
