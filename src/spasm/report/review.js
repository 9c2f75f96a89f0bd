// ---- the page: the queue of events, its keys, and what is saved

const BEFORE_S = 2, AFTER_S = 2;  // of a clip, before the event and after it
const NUDGE_S = 0.1, LEAP_S = 1;
const SAME_TIMES = "Two events cannot have the same times, and another event lasts from";
const NOT_KEPT = "This browser keeps no progress";
const STATE_NAMES = { unreviewed: "not reviewed", accepted: "accepted", rejected: "rejected", added: "added" };

const review = new Review();
let strips = null, player = null, current = null, byTime = false, choosing = false;

function say(text) { el("#message").textContent = text; }
function announce(text) { el("#spoken").textContent = text; }
function key(name) { return create("kbd", "", name); }
function button(text, name, act, kind = "") {
  const node = create("button", kind, text);
  node.type = "button";
  node.append(" ", key(name));
  node.setAttribute("aria-keyshortcuts", name);
  node.onclick = act;
  return node;
}

// ---- what the reviewer does

function choose(id, { play = el("#autoplay").checked, zoom = true } = {}) {
  const event = review.find(id);
  if (!event) return;
  current = id;
  choosing = false;
  strips.current = id;
  if (zoom && (strips.to - strips.from > 60 || event.onset < strips.from || event.offset > strips.to)) strips.around(event);
  strips.following = true;
  player.jump(Math.max(0, event.onset - (play ? BEFORE_S : 0)));
  if (play) player.play(event.offset + AFTER_S);
  show();
  announce(describe(event));
}
function go(by) {
  const queue = review.queue(byTime), at = queue.findIndex((event) => event.id === current);
  if (!queue.length) return;
  choose(queue[clamp(at + by, 0, queue.length - 1)].id);
}
// The next event that has no decision, in the order of the queue, and after its end from its beginning.
function goOn() {
  const queue = review.queue(byTime), at = queue.findIndex((event) => event.id === current);
  const open = [...queue.slice(at + 1), ...queue.slice(0, at)].find((event) => event.decision === "unreviewed");
  if (open) choose(open.id);
}
function decide(kind) {
  const event = review.find(current);
  if (!event) return;
  choosing = false;
  const reset = kind === null, before = current;
  review.decide(current, kind);
  if (!reset && el("#advance").checked) goOn();
  const done = reset ? "decision removed" : kind === "spasm" ? "accepted" : `rejected: ${KINDS[kind]}`;
  announce(`${done}. ${progress()}.${current === before ? "" : ` Next: ${describe(review.find(current))}`}`);
}
function adjust(edge, by, name) {
  const event = review.find(current);
  if (!event) return;
  const onset = edge === "onset" ? clamp(event.onset + by, 0, event.offset - SHORTEST_S) : event.onset;
  const offset = edge === "offset" ? clamp(event.offset + by, event.onset + SHORTEST_S, LENGTH_S) : event.offset;
  const other = review.move(current, onset, offset, name);
  if (other) say(`${SAME_TIMES} ${clock(other.onset, 2)} to ${clock(other.offset, 2)}. Give this one other times, or reject it if it is the same event.`);
  player.jump(edge === "onset" ? review.find(current).onset : review.find(current).offset);
  if (!name) announce(`${edge} ${clock(review.find(current)[edge])}`);
}
function add(onset, offset) {
  if (LENGTH_S < SHORTEST_S) { say(`An event lasts ${SHORTEST_S} s or longer, and this recording is shorter: there is nothing to review.`); return; }
  const { id, isNew } = review.add(onset, offset, current), event = review.find(id);
  choose(id, { play: false, zoom: false });
  if (isNew) announce(`added an event at ${clock(onset)}`);
  else say(`${SAME_TIMES} ${clock(event.onset, 2)} to ${clock(event.offset, 2)}. It is chosen now: nothing was added.`);
}
function remove() {
  const event = review.find(current);
  if (!event || event.origin !== "added") { say("Only an added event can be deleted. Reject a detected one: r, then 1 to 6."); return; }
  const queue = review.queue(byTime), at = queue.indexOf(event), near = queue[at + 1] || queue[at - 1];
  review.remove(current);
  current = null;
  if (near) choose(near.id, { play: false });
  announce("added event deleted");
}
function undo() {
  const before = review.undo();
  if (before === undefined) { say("There is nothing to undo."); return; }
  say("");
  const id = review.find(before) ? before : (review.queue(byTime)[0] || { id: null }).id;
  if (id === null) { current = strips.current = null; show(); } else choose(id, { play: false });
  announce(`undone. ${progress()}`);
}
function step(by) {
  strips.following = true;
  player.jump(player.time + by);
}
function order() {
  byTime = !byTime;
  show();
  announce(`queue by ${byTime ? "time" : "probability"}`);
}
function save() {
  const link = create("a"), url = URL.createObjectURL(new Blob([toCsv(review)], { type: "text/csv" }));
  link.href = url;
  link.download = "review.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
  review.unsaved = false;
  say(`review.csv of ${page.recording} is saved where this browser puts downloads. Move it to the folder of this page; docs/review.md says what to do with it.`);
}
async function load(file) {
  try {
    const { events, reviewer, note } = fromCsv(await file.text());
    review.replace(events, reviewer || review.reviewer, current);
    say(`${file.name}: ${note} Undo takes it back.`);
    const first = review.find(current) || review.queue(byTime)[0];
    if (first) choose(first.id, { play: false });
  } catch (error) { say(`${file.name} was not loaded: ${error.message}.`); }
}
async function chooseRecording(file) {
  try { await player.choose(file); say(""); }
  catch (error) { say(`${file.name} was not opened: ${error.message}. Choose ${page.recording}, from which this page was made.`); }
}

// ---- keys

const ACTIONS = [
  ["a", "accept: it is a spasm", () => decide("spasm")],
  ["r", "reject, then 1 to 6 for what it is", () => { choosing = current !== null; show(); announce(`what is it? ${kindsInWords()}`); }],
  ...Object.keys(KINDS).map((kind, number) => [String(number + 1), `reject: ${KINDS[kind]}`, () => decide(kind)]),
  ["c", "clear the decision", () => { if (current !== null && review.find(current).origin === "detected") decide(null); }],
  ["ArrowDown", "next event", () => go(1)],
  ["ArrowUp", "previous event", () => go(-1)],
  [" ", "play or pause", () => { strips.following = true; player.toggle(); }],
  ["p", "play the event again", () => { if (current !== null) choose(current, { play: true, zoom: false }); }],
  ["ArrowRight", "next frame", () => step(1 / FPS)],
  ["ArrowLeft", "previous frame", () => step(-1 / FPS)],
  ["PageDown", "1 s later", () => step(LEAP_S)],
  ["PageUp", "1 s earlier", () => step(-LEAP_S)],
  ["[", "onset 0.1 s earlier", () => adjust("onset", -NUDGE_S)],
  ["]", "onset 0.1 s later", () => adjust("onset", NUDGE_S)],
  ["{", "offset 0.1 s earlier", () => adjust("offset", -NUDGE_S)],
  ["}", "offset 0.1 s later", () => adjust("offset", NUDGE_S)],
  ["n", "add an event of 1 s at the moment shown", () => add(player.time, player.time + NEW_S)],
  ["x", "delete an added event", remove],
  ["u", "undo the last change", undo],
  ["t", "write a note; Esc leaves it", () => { if (current !== null) el("#note").focus(); }],
  ["+", "zoom in", () => strips.zoom(0.5)],
  ["-", "zoom out", () => strips.zoom(2)],
  ["0", "show the whole recording", () => strips.show(0, LENGTH_S)],
  ["z", "zoom to the event", () => { if (current !== null) strips.around(review.find(current)); }],
  ["q", "queue by time or by probability", order],
  ["s", "save review.csv", save],
  ["?", "these keys", () => el("#keys").showModal()],
];
const KEY_NAMES = { ArrowDown: "↓", ArrowUp: "↑", ArrowRight: "→", ArrowLeft: "←", PageDown: "Page↓", PageUp: "Page↑", " ": "space" };
const SAME_KEYS = { Delete: "x", "=": "+", "_": "-" };
const actionOf = Object.fromEntries(ACTIONS.map(([name, , act]) => [name, act]));

const HELD = ["ArrowDown", "ArrowUp", "ArrowRight", "ArrowLeft", "PageDown", "PageUp", "[", "]", "{", "}", "+", "-"];  // that go on while held
const FIELDS = "input, select, textarea";
let pressedIn = null;  // what had the focus when the key that is held was pressed
let byMouse = false;  // whether the focus came by mouse or touch, and not by Tab

function onKey(event) {
  const inField = event.target.matches(FIELDS);
  if (event.key === "Tab") byMouse = false;
  if (!event.repeat) pressedIn = event.target;
  // A held Enter would press a button again and again; a key that leads into a field would write there.
  else if ((event.key === "Enter" && event.target.matches("button")) || (inField && event.key.length === 1 && event.target !== pressedIn)) { event.preventDefault(); return; }
  if (el("#keys").open) return;
  if (inField) {
    if (event.key === "Escape") { event.target.blur(); el("#decision").focus(); }
    return;
  }
  if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "z") { if (!event.repeat) undo(); event.preventDefault(); return; }
  // AltGr types [ ] { } on many keyboards, and counts as Ctrl with Alt.
  if (!el("#single").checked || ((event.ctrlKey || event.altKey || event.metaKey) && !event.getModifierState("AltGraph"))) return;
  if (event.key === "Escape" && choosing) { choosing = false; show(); return; }
  const name = SAME_KEYS[event.key] || (event.key.length === 1 ? event.key.toLowerCase() : event.key);
  if ((name === " " && event.target.matches("button, summary")) || !(name in actionOf)) return;
  event.preventDefault();
  if (!event.repeat || HELD.includes(name)) actionOf[name]();
}

// ---- what is shown

const kindsInWords = () => Object.values(KINDS).map((name, number) => `${number + 1} ${name}`).join(", ");
function progress() {
  const [all_, done] = [review.detected.length, review.reviewed.length], added = review.events.length - all_;
  return `${done} of ${all_} reviewed${added ? `, ${added} added` : ""}`;
}
function describe(event) {
  const decision = event.decision === "rejected" ? `rejected: ${KINDS[event.type]}` : STATE_NAMES[stateOf(event)];
  return `${event.peak === null ? "added event" : `probability ${fixed(event.peak, 3)}`} at ${clock(event.onset)}, ${decision}`;
}
function item(event) {
  const state = stateOf(event), node = create("button", `event ${state}`), line = create("li");
  node.type = "button";
  node.dataset.id = event.id;
  node.tabIndex = event.id === current ? 0 : -1;
  node.setAttribute("aria-current", event.id === current);
  node.setAttribute("aria-label", describe(event));
  const word = event.decision === "rejected" ? KINDS[event.type] : state === "unreviewed" ? "" : STATE_NAMES[state];
  node.append(create("span", "mark", MARKS[state]), create("span", "at", clock(event.onset)),
    create("span", "number", event.peak === null ? "–" : fixed(event.peak, 3)), create("span", "word", word));
  if (event.note) node.append(create("span", "noted", "✎"));
  node.onclick = () => choose(event.id);
  line.append(node);
  return line;
}
const lines = new Map();  // of the queue, by event: of hundreds, only those that change are made again
function lineOf(event) {
  const looks = JSON.stringify([event, event.id === current]), kept = lines.get(event.id);
  if (kept && kept.looks === looks) return kept.line;
  const line = item(event);
  lines.set(event.id, { looks, line });
  return line;
}
function showQueue() {
  const queue = el("#queue"), inside = queue.contains(document.activeElement), wanted = review.queue(byTime).map(lineOf), shown = [...queue.children];
  const different = wanted.filter((line, k) => line !== shown[k]);
  if (wanted.length === shown.length && different.every((line) => !line.isConnected)) wanted.forEach((line, k) => { if (line !== shown[k]) shown[k].replaceWith(line); });
  else {
    const list = document.createDocumentFragment();
    for (const line of wanted) list.append(line);
    queue.replaceChildren(list);
  }
  const chosen = el("[aria-current=true]", queue);
  if (!chosen) return;
  queue.scrollTop += chosen.parentNode.offsetTop - queue.scrollTop - queue.clientHeight / 2 + chosen.offsetHeight / 2;
  if (inside) chosen.focus({ preventScroll: true });
}
// What was typed is in the review already, so that a field which differs belongs to another event, or to before an undo.
function fill(field, text) { if (field.value !== text) field.value = text; }
function showEvent() {
  const event = review.find(current), queue = review.queue(byTime);
  el("#decision").classList.toggle("choosing", choosing);
  for (const node of all("#decision button, #note")) node.disabled = !event && node.id !== "add";
  if (!event) { el("#event-title").textContent = "No event chosen"; el("#event-text").textContent = ""; fill(el("#note"), ""); return; }
  const state = stateOf(event), mark = create("span", `mark ${state}`, MARKS[state]);
  el("#event-title").replaceChildren(mark, ` Event ${queue.indexOf(event) + 1} of ${queue.length}: ${event.decision === "rejected" ? KINDS[event.type] : STATE_NAMES[state]}`);
  const moved = event.detected && (event.detected[0] !== event.onset || event.detected[1] !== event.offset) ? ` Detected: ${clock(event.detected[0])} to ${clock(event.detected[1])}.` : "";
  const peak = event.peak === null ? "Added by the reviewer." : `Highest probability ${fixed(event.peak, 3)}.`;
  el("#event-text").textContent = choosing ? `What is it? Press 1 to 6: ${kindsInWords()}. Esc: back.` : `${clock(event.onset, 2)} to ${clock(event.offset, 2)}, ${fixed(event.offset - event.onset)} s. ${peak}${moved}`;
  for (const node of all("#decide button")) node.setAttribute("aria-pressed", node.dataset.kind === (event.decision === "unreviewed" ? "none" : event.type));
  fill(el("#note"), event.note);
  el("#delete").disabled = event.origin !== "added";
}
function show() {
  strips.current = current;
  showQueue();
  showEvent();
  const [whole, done] = [review.detected.length, review.reviewed.length], finished = whole > 0 && whole === done;
  const counts = `${review.count("accepted")} accepted, ${review.count("rejected")} rejected`;
  el("#progress").textContent = `${progress()}${done ? `: ${counts}` : ""}${finished ? ". Now save review.csv." : ""}`;
  el("#progress").classList.toggle("finished", finished);
  el("#queue-title").textContent = byTime ? "Events by time" : "Events by probability";
  el("#order").textContent = byTime ? "sort by probability " : "sort by time ";
  el("#order").append(key("q"));
  el("#undo").setAttribute("aria-disabled", !review.history.length);
  el("#none").hidden = review.events.length > 0;
  fill(el("#reviewer"), review.reviewer);
  strips.draw();
  warnOfStorage();
}
// Messages that are over go; the message that nothing is kept comes where no other one stands.
function warnOfStorage() {
  if ([SAME_TIMES, NOT_KEPT].some((begin) => el("#message").textContent.startsWith(begin))) say("");
  if (review.failure && !el("#message").textContent) say(`${NOT_KEPT} (${review.failure}). Save review.csv before you close this page, and load it to go on.`);
}
function moment(time) {
  const step = Math.min(STEPS - 1, Math.floor(time / page.step_s)), value = strips.curves.curve.valueAt(step);
  const words = [clock(time, 2), value === null ? "not seen: no probability" : `probability ${fixed(value)}`, player ? player.landmarks() : ""];
  page.parts.forEach((name, part) => {
    const speed = strips.curves.speeds[part].valueAt(step);
    if (speed !== null) words.push(`${name} ${fixed(speed, 1)}`);
  });
  el("#values").textContent = words.filter(Boolean).join(" · ");
  strips.move(time);
}

// ---- at the start

function build() {
  el("#decide").append(button("Accept", "a", () => decide("spasm"), "accept"), ...Object.entries(KINDS).map(([kind, name], number) => button(name, String(number + 1), () => decide(kind), "reject")));
  all("#decide button").forEach((node, number) => { node.dataset.kind = ["spasm", ...Object.keys(KINDS)][number]; });
  el("#adjust").append(...[["onset", -1, "["], ["onset", 1, "]"], ["offset", -1, "{"], ["offset", 1, "}"]].map(([edge, sign, name]) => {
    const node = button(`${edge} ${sign < 0 ? "−" : "+"}`, name, () => adjust(edge, sign * NUDGE_S));
    node.setAttribute("aria-label", `${edge} 0.1 s ${sign < 0 ? "earlier" : "later"}`);
    return node;
  }));
  const clicks = { save, undo, previous: () => go(-1), next: () => go(1), add: actionOf.n, delete: remove, play: actionOf[" "], order,
    help: actionOf["?"], "zoom-in": actionOf["+"], "zoom-out": actionOf["-"], "zoom-all": actionOf[0], "zoom-event": actionOf.z,
    load: () => el("#load-file").click(), choose: () => el("#recording-file").click() };
  for (const [id, act] of Object.entries(clicks)) el(`#${id}`).onclick = act;
  const file = (id, act) => { el(id).onchange = (event) => { if (event.target.files[0]) act(event.target.files[0]); event.target.value = ""; }; };
  file("#load-file", load);
  file("#recording-file", chooseRecording);
  el("#still").onchange = () => player.draw();
  el("#reviewer").oninput = (event) => { review.change(current, "reviewer", () => { review.reviewer = event.target.value; }); };
  el("#note").oninput = (event) => review.write(current, event.target.value);
  for (const [name, words] of ACTIONS) el("#key-list").append(create("dt", "", KEY_NAMES[name] || name), create("dd", "", words));
  el("#key-list").append(create("dt", "", "mouse"), create("dd", "", "in the detail: the wheel zooms, dragging moves; drag an edge of the chosen event to adjust it; Shift and drag adds an event"));
  for (const state of Object.keys(MARKS)) {
    const entry = create("span", state), symbol = create("b", `mark ${state}`, MARKS[state]);
    entry.append(symbol, ` ${STATE_NAMES[state]}`);
    el("#key").append(entry);
  }
  for (const [shape, words] of [["line", "probability"], ["dot", `window of ${page.windows.frames / FPS} s, at its middle`], ["dash", `threshold ${page.level}`], ["grey", "not seen, or too little: no probability"]]) {
    const entry = create("span", ""), symbol = create("i", `sign ${shape}`);
    entry.append(symbol, ` ${words}`);
    el("#key").append(entry);
  }
}
async function start() {
  let curves;
  try { curves = await unpackCurves(); }
  catch (error) { say(`This page cannot be shown: this browser is too old (${error.message}). Update it, and open the page again.`); return; }
  strips = new Strips(curves, review, { adjust, add, choose: (id) => choose(id, { zoom: false }), seek: (time) => player.jump(time) });
  player = new MomentPlayer((time) => moment(time));
  build();
  review.changed = show;
  addEventListener("keydown", onKey);
  // A click on a button does not give it the focus: space would press it, and not play. It takes the focus from a field:
  // the next key would write there, and not decide.
  addEventListener("mousedown", (event) => {
    byMouse = true;
    if (!event.target.closest("button")) return;
    event.preventDefault();
    if (document.activeElement.matches(FIELDS)) document.activeElement.blur();
  });
  // So does a box or a speed that was chosen with the mouse; one that was reached by Tab keeps it.
  addEventListener("change", ({ target }) => { if (byMouse && target.matches("input[type=checkbox], select") && !target.closest("dialog")) target.blur(); });
  addEventListener("beforeunload", (event) => { if (review.failure && review.unsaved) event.preventDefault(); });
  addEventListener("storage", (event) => {
    if (event.key === review.key) say("This review was changed in another tab. Reload this page to go on from there: a change here replaces it.");
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { strips.draw(); player.draw(); });
  const first = review.queue(false).find((event) => event.decision === "unreviewed") || review.queue(false)[0];
  if (first) choose(first.id, { play: false, zoom: false });
  else { show(); player.seek(0); }
  document.documentElement.dataset.ready = "1";
}
start();
