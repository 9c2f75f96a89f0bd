// ---- lists of segments, with badges in words

const rowsOf = page.children.map(() => []);
page.segments.forEach((segment, row) => rowsOf[segment.child].push(row));
// The worst segment of a child comes first; those of which too little was seen, then those without a pose, last.
rowsOf.forEach((rows) => rows.sort((a, b) => page.segments[a].too_little_seen - page.segments[b].too_little_seen || page.segments[b].has_pose - page.segments[a].has_pose || page.segments[b].error_rank - page.segments[a].error_rank));
const playable = (number) => rowsOf[number].filter((row) => page.segments[row].player);
const first = page.first === null ? null : page.segments[page.first].child;
const main = new Player(el("#main-player"), first === null ? [] : playable(first));

// What happened to a segment: a class, a shape and a word.
function outcome(segment) {
  if (segment.label === null && segment.too_little_seen) return ["unseen", "–", "no prediction"];
  if (segment.label === null) return segment.predicted ? ["positive", "▲", "positive"] : ["negative", "○", "negative"];
  if (segment.label === segment.predicted) return segment.label ? ["hit", "●", "found"] : ["negative", "○", "correct"];
  return segment.predicted ? ["alarm", "▲", "false alarm"] : ["missed", "✕", "missed"];
}
function play(rows, row) {
  main.go(rows, rows.indexOf(row));
  el("#player").scrollIntoView({ block: "start" });
  main.part("scrub").focus({ preventScroll: true });
}
function chip(row, rows) {
  const segment = page.segments[row], [kind, shape, word] = outcome(segment);
  const button = create("button", `chip ${kind}${segment.player ? "" : " unplayable"}`);
  const badge = create("span", "outcome");
  badge.append(create("span", "shape", shape), ` ${word}`);
  button.append(badge, create("span", "name", segment.name.replace(/^child_|\.npy$/g, "")), create("span", "number", segment.too_little_seen ? "" : fixed(segment.probability)));
  if (segment.too_little_seen) button.append(create("span", "outcome empty", segment.has_pose ? "too little seen" : "no pose"));
  button.type = "button";
  button.title = segment.name;
  button.dataset.row = row;
  button.setAttribute("aria-label", `${segment.name}, ${word}${segment.too_little_seen ? ", too little seen" : ""}. ${summarize(segment)}`);
  button.setAttribute("aria-pressed", "false");
  button.disabled = !segment.player;
  button.onclick = () => play(rows, row);
  return button;
}
function openChild(number, { focus = true, row = null } = {}) {
  all("#table tr.chosen").forEach((line) => line.classList.remove("chosen"));
  const button = el(`#table button[data-child="${number}"]`);
  if (button) button.closest("tr").classList.add("chosen");
  const rows = rowsOf[number], shown = playable(number);
  el("#segment-list").replaceChildren(...rows.map((each) => chip(each, shown)));
  el("#segments").hidden = false;
  const title = el("#segments-title");
  title.textContent = `Child ${page.children[number]}: ${rows.length} segments${page.labelled ? ", the worst first" : ""}`;
  if (shown.length) main.go(shown, row === null ? 0 : shown.indexOf(row));
  if (focus) { title.focus({ preventScroll: true }); el("#segments").scrollIntoView({ block: "nearest" }); }
}
main.shown = (row) => all(".chip").forEach((each) => each.setAttribute("aria-pressed", +each.dataset.row === row));
all("#table button[data-child]").forEach((button) => { button.onclick = () => openChild(+button.dataset.child); });
const MOST_CHIPS = 10;  // of a list; previous and next of the player go through all of it
for (const [place, rows] of [["#worst-list", page.errors], ["#uncertain-list", page.least_certain]]) {
  if (!el(place)) continue;  // the table of positive segments stands there
  el(place).append(...rows.slice(0, MOST_CHIPS).map((row) => chip(row, rows)));
  if (!rows.length) el(place).append(create("p", "small", "None."));
}
all("#positive button").forEach((button) => {
  const row = +button.dataset.row, number = page.segments[row].child;
  button.disabled = !page.segments[row].player;
  button.onclick = () => { openChild(number, { focus: false, row }); play(playable(number), row); };
});

// ---- the table of children

const body = el("#table tbody");
all("#table thead button").forEach((button) => {
  button.onclick = () => {
    const head = button.closest("th"), column = +button.dataset.column;
    const sorted = head.getAttribute("aria-sort"), usual = column === 0 ? "ascending" : "descending";
    const down = sorted ? sorted === "ascending" : usual === "descending";
    all("#table thead th").forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = (row) => row.children[column].dataset.value;
    const rows = [...body.rows].sort((a, b) => {
      const [p, q] = [value(a), value(b)], numbers = p !== "" && q !== "" && !isNaN(p) && !isNaN(q);
      if (p === "" || q === "") return (p === "") - (q === "");  // what is not known comes last
      return (down ? -1 : 1) * (numbers ? p - q : p.localeCompare(q, undefined, { numeric: true }));
    });
    body.append(...rows);
  };
});
function filter() {
  const wanted = el("#find").value.trim().toLowerCase(), onlyErrors = el("#only-errors");
  let shown = 0;
  for (const row of body.rows) {
    row.hidden = !row.dataset.search.includes(wanted) || (onlyErrors && onlyErrors.checked && row.dataset.errors === "0");
    shown += !row.hidden;
  }
  el("#found").textContent = `${shown || "none"} of ${body.rows.length} children`;
}
el("#find").oninput = filter;
if (el("#only-errors")) el("#only-errors").onchange = filter;
filter();

// ---- reading values off the figures: in a note inside the picture, so that nothing below it moves

for (const plot of all(".plot[data-figure]")) {
  const figure = page.figures[plot.dataset.figure], sheet = el(".sheet", plot);
  const [left, top, wide, tall] = figure.box, [x0, x1] = figure.x, [y0, y1] = figure.y;
  const across = (x) => left + (wide * (x - x0)) / (x1 - x0), down = (y) => top + tall * (1 - (y - y0) / (y1 - y0));
  const mark = create("div", figure.points ? "mark point" : "mark"), reading = create("p", "reading");
  reading.setAttribute("aria-live", "polite");
  mark.hidden = reading.hidden = true;
  sheet.append(mark, reading);
  const note = (x, lines) => {
    mark.hidden = reading.hidden = false;
    mark.style.left = `${100 * x}%`;
    reading.replaceChildren(...lines.map((line) => create("span", "", line)));
    reading.style.left = x < 0.5 ? `calc(${100 * x}% + 8px)` : "auto";
    reading.style.right = x < 0.5 ? "auto" : `calc(${100 * (1 - x)}% + 8px)`;
  };
  const hide = () => { mark.hidden = reading.hidden = true; };
  plot.onpointerleave = (event) => { if (event.pointerType === "mouse") hide(); };
  plot.onblur = hide;
  const inside = (event) => {
    const box = sheet.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height, box];
  };
  if (figure.points) followPoints(plot, figure, { across, down, note, hide, inside, mark });
  else followLine(plot, figure, { across, note, inside, mark, top, tall });
}
function followLine(plot, figure, { across, note, inside, mark, top, tall }) {
  const xs = figure.lines[0].x;
  if (!xs.length) return;
  mark.style.top = `${100 * top}%`;
  mark.style.height = `${100 * tall}%`;
  let at = 0;
  const read = (index) => {
    at = clamp(index, 0, xs.length - 1);
    const known = figure.lines.filter((line) => line.y[at] !== null && line.y[at] !== undefined);
    note(across(xs[at]), [`${figure.name}: ${fixed(xs[at])}`, ...known.map((line) => `${line.name} ${fixed(line.y[at])}`)]);
  };
  const nearest = (x) => xs.reduce((best, value, index) => (Math.abs(across(value) - x) < Math.abs(across(xs[best]) - x) ? index : best), 0);
  plot.onpointermove = plot.onpointerdown = (event) => read(nearest(inside(event)[0]));
  plot.onkeydown = (event) => {
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10, Home: -xs.length, End: xs.length };
    if (!(event.key in steps)) return;
    read(at + steps[event.key] * (xs[0] <= xs[xs.length - 1] ? 1 : -1));
    event.preventDefault();
  };
}
// Each point is a segment, in the order of page.segments: it can be read, and a click or Enter plays it.
function followPoints(plot, figure, { across, down, note, hide, inside, mark }) {
  const [xs, ys] = figure.points, near = 16;
  const order = xs.map((_, row) => row).sort((a, b) => xs[a] - xs[b] || ys[a] - ys[b]);
  let chosen = null;
  const read = (row) => {
    chosen = row;
    plot.classList.toggle("over", row !== null);
    if (row === null) return hide();
    const segment = page.segments[row];
    mark.style.top = `${100 * down(ys[row])}%`;
    note(across(xs[row]), [segment.name, segment.too_little_seen ? `${outcome(segment)[2]}, too little seen` : `${outcome(segment)[2]}, probability ${fixed(segment.probability)}`, segment.player ? "click to play" : "not in this page"]);
  };
  const open = () => {
    if (chosen === null || !page.segments[chosen].player) return;
    const number = page.segments[chosen].child;
    openChild(number, { focus: false, row: chosen });
    play(playable(number), chosen);
  };
  plot.onpointermove = plot.onpointerdown = (event) => {
    const [x, y, box] = inside(event);
    let best = null, least = near;
    xs.forEach((value, row) => {
      const distance = Math.hypot((across(value) - x) * box.width, (down(ys[row]) - y) * box.height);
      if (distance < least) { best = row; least = distance; }
    });
    read(best);
  };
  plot.onclick = open;
  plot.onkeydown = (event) => {
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10, Home: -xs.length, End: xs.length };
    if (event.key === "Enter") open();
    else if (event.key in steps) read(order[clamp(chosen === null ? 0 : order.indexOf(chosen) + steps[event.key], 0, order.length - 1)]);
    else return;
    event.preventDefault();
  };
}

// ---- the navigation marks the section that is read

const links = all("nav a");
function markSection() {
  const line = el("nav").getBoundingClientRect().bottom + 40;
  const end = window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - 4;
  const passed = links.filter((link) => el(link.hash).getBoundingClientRect().top <= line);
  const current = end ? links[links.length - 1] : passed[passed.length - 1] || links[0];
  if (current.getAttribute("aria-current")) return;
  links.forEach((link) => link.removeAttribute("aria-current"));
  current.setAttribute("aria-current", "true");
  const nav = el("nav"), badge = el(".badge", nav), from = badge ? badge.offsetWidth + 8 : 0;
  if (current.offsetLeft < nav.scrollLeft + from || current.offsetLeft + current.offsetWidth > nav.scrollLeft + nav.clientWidth) nav.scrollLeft = current.offsetLeft - from;
}
addEventListener("scroll", markSection, { passive: true });
markSection();

// ---- at the start

const players = [main, new Player(el("#worst-player"), page.errors), new Player(el("#uncertain-player"), page.least_certain)];
if (page.first !== null) openChild(first, { focus: false, row: page.first });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => players.forEach((player) => player.draw()));
document.documentElement.dataset.ready = "1";
