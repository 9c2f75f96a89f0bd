// ---- the page around the players: tables, the segments of a child, reading values off the plots

// ---- the children, and the segments of one

const rowsOf = page.children.map(() => []);
page.segments.forEach((segment, row) => rowsOf[segment.child].push(row));

// The worst segment of a child comes first; those without a pose, which nobody can look at, last.
rowsOf.forEach((rows) => rows.sort((a, b) => page.segments[b].has_pose - page.segments[a].has_pose || page.segments[b].error_rank - page.segments[a].error_rank));
const playable = (number) => rowsOf[number].filter((row) => page.segments[row].player);
const main = new Player(el("#main-player"), page.first_child === null ? [] : playable(page.first_child));

function outcome(segment) {
  const truth = segment.label === null ? "" : segment.label ? "●" : "○", empty = segment.has_pose ? "" : "∅";
  if (segment.label === null) return segment.predicted ? ["called", `▲${empty}`] : ["right", empty];
  if (segment.label === segment.predicted) return ["right", truth + empty];
  return segment.predicted ? ["alarm", `!${truth}${empty}`] : ["missed", `✗${truth}${empty}`];
}
function openChild(number, focus = true) {
  all("#table tr.chosen").forEach((row) => row.classList.remove("chosen"));
  const button = el(`#table button[data-child="${number}"]`);
  if (button) button.closest("tr").classList.add("chosen");
  const list = el("#segment-list");
  list.replaceChildren();
  const rows = rowsOf[number];
  for (const row of rows) {
    const segment = page.segments[row], [kind, sign] = outcome(segment);
    const chip = create("button", `chip ${kind}${segment.player ? "" : " unplayable"}`, `${sign} ${segment.name.replace(/^child_|\.npy$/g, "")}: ${fixed(segment.probability)}`);
    chip.type = "button";
    chip.title = segment.name;
    chip.dataset.row = row;
    chip.setAttribute("aria-label", `${segment.name}, ${summarize(segment)}`);
    chip.setAttribute("aria-pressed", "false");
    chip.disabled = !segment.player;
    chip.onclick = () => {
      main.go(playable(number), playable(number).indexOf(row));
      el("#player").scrollIntoView({ block: "start" });
      main.part("scrub").focus({ preventScroll: true });
    };
    list.append(chip);
  }
  el("#segments").hidden = false;
  const title = el("#segments-title");
  title.textContent = `Child ${page.children[number]}: ${rows.length} segments${page.labelled ? ", the worst first" : ""}`;
  if (playable(number).length) main.go(playable(number), 0);
  if (focus) { title.focus({ preventScroll: true }); el("#segments").scrollIntoView({ block: "nearest" }); }
}
main.shown = (row) => all("#segment-list button").forEach((chip) => chip.setAttribute("aria-pressed", +chip.dataset.row === row));
all("#table button[data-child]").forEach((button) => { button.onclick = () => openChild(+button.dataset.child); });

const body = el("#table tbody");
all("#table thead button").forEach((button) => {
  button.onclick = () => {
    const head = button.closest("th"), column = +button.dataset.column;
    const sorted = head.getAttribute("aria-sort"), first = column === 0 ? "ascending" : "descending";
    const down = sorted ? sorted === "ascending" : first === "descending";
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

// ---- reading values off the figures

for (const plot of all(".plot[data-figure]")) {
  const figure = page.figures[plot.dataset.figure];
  if (!figure.lines[0].x.length) continue;
  const reading = plot.nextElementSibling, mark = create("div", "mark");
  const [left, top, wide, tall] = figure.box, [x0, x1] = figure.x, xs = figure.lines[0].x;
  mark.hidden = true;
  plot.append(mark);
  let at = 0;
  const read = (index) => {
    at = clamp(index, 0, xs.length - 1);
    mark.hidden = false;
    mark.style.left = `${100 * (left + (wide * (xs[at] - x0)) / (x1 - x0))}%`;
    mark.style.top = `${100 * top}%`;
    mark.style.height = `${100 * tall}%`;
    const words = figure.lines.map((line) => (line.y[at] === null ? null : `${line.name} ${fixed(line.y[at])}`)).filter(Boolean);
    reading.textContent = `${figure.name}: ${fixed(xs[at])} · ${words.join(" · ")}`;
    reading.classList.add("read");
  };
  const nearest = (x) => xs.reduce((best, value, index) => (Math.abs(value - x) < Math.abs(xs[best] - x) ? index : best), 0);
  plot.onpointermove = plot.onpointerdown = (event) => {
    const box = plot.getBoundingClientRect();
    read(nearest(x0 + (((event.clientX - box.left) / box.width - left) / wide) * (x1 - x0)));
  };
  plot.onkeydown = (event) => {
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10, Home: -xs.length, End: xs.length };
    if (!(event.key in steps)) return;
    read(at + steps[event.key] * (xs[0] <= xs[xs.length - 1] ? 1 : -1));
    event.preventDefault();
  };
}

// ---- at the start

const players = [main, new Player(el("#worst-player"), page.errors), new Player(el("#uncertain-player"), page.least_certain)];
if (page.first_child !== null) openChild(page.first_child, false);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => players.forEach((player) => player.draw()));
document.documentElement.dataset.ready = "1";
