// Probability over time with threshold, moments, attention and what was not seen. A recording of a day is aggregated:
// each pixel shows the highest value of its time, so that no moment is lost.
import { clamp, clock, colour, duration, el, fit, hundredths, make, probability, text } from "./dom.js";

const FPS = 30, STEP_S = 0.1;
const LEFT = 40, RIGHT = 10, TOP = 20, AXIS = 22, STRIP = 14, GAP = 6;  // pixels
const NARROWEST_S = 2;  // seconds of the closest zoom
const TICKS_S = [0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
const TICK_APART = 64;  // pixels
const MOST_ROWS = 20, ROWS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];
export const PLOT_COLOURS = ["ink", "faint", "rule", "blue", "bad", "orange", "paper"];
export const pageColours = () => Object.fromEntries(PLOT_COLOURS.map((name) => [name, colour(`--${name}`)]));
export const PRINT_COLOURS = { ink: "#000000", faint: "#45454c", rule: "#b9b9c0", blue: "#0072b2", bad: "#a3290a", orange: "#b0440a", paper: "#ffffff" };

// The highest value in [begin, end) of an array whose NaN are unknown; null where all are.
function highestIn(values, begin, end) {
  let highest = null;
  for (let i = Math.max(0, Math.floor(begin)), last = Math.min(values.length, Math.max(Math.ceil(end), Math.floor(begin) + 1)); i < last; i++) {
    if (values[i] === values[i] && (highest === null || values[i] > highest)) highest = values[i];
  }
  return highest;
}

// Draws from..to seconds of a prediction. colours: by the names of PLOT_COLOURS.
export function drawPlot(pen, width, height, prediction, from, to, colours) {
  const bottom = height - AXIS - STRIP - GAP, wide = width - LEFT - RIGHT;
  const x = (time) => LEFT + ((time - from) / (to - from)) * wide, y = (value) => bottom - clamp(value, 0, 1) * (bottom - TOP);
  const perPixel = (to - from) / wide;
  pen.font = "12px system-ui, 'DejaVu Sans', sans-serif";

  // Moments first: behind everything else, with a mark above.
  for (const { onsetS, offsetS } of prediction.events) {
    if (offsetS < from || onsetS > to) continue;
    const [left, right] = [Math.max(LEFT, x(onsetS)), Math.min(width - RIGHT, Math.max(x(offsetS), x(onsetS) + 2))];
    pen.fillStyle = colours.orange;
    pen.globalAlpha = 0.22; pen.fillRect(left, TOP, right - left, bottom - TOP); pen.globalAlpha = 1;
    const middle = (left + right) / 2;
    pen.beginPath(); pen.moveTo(middle - 6, 5); pen.lineTo(middle + 6, 5); pen.lineTo(middle, TOP - 3); pen.fill();
  }
  // Not seen: grey with hatching, so that it is not mistaken for low.
  const highestAt = (pixel) => highestIn(prediction.curve, (from + pixel * perPixel) / STEP_S, (from + (pixel + 1) * perPixel) / STEP_S);
  const isUnseen = (pixel) => highestAt(pixel) === null;
  for (let pixel = 0; pixel < wide; pixel++) {
    if (!isUnseen(pixel)) continue;
    const begin = pixel;
    while (pixel + 1 < wide && isUnseen(pixel + 1)) pixel++;
    hatch(pen, LEFT + begin, TOP, Math.min(pixel + 1, wide) - begin, bottom - TOP, colours);
  }
  // Scale.
  pen.strokeStyle = colours.rule; pen.lineWidth = 1; pen.fillStyle = colours.faint; pen.textBaseline = "middle"; pen.textAlign = "right";
  for (const value of [0, 0.5, 1]) {
    pen.beginPath(); pen.moveTo(LEFT, Math.round(y(value)) + 0.5); pen.lineTo(width - RIGHT, Math.round(y(value)) + 0.5); pen.stroke();
    pen.fillText(value === 0.5 ? hundredths(0.5).slice(0, 3) : String(value), LEFT - 6, y(value));
  }
  // Windows as dots, where there is room for them.
  const { endsS, probability: ofWindows } = prediction.windows, windowS = prediction.windowS;
  if (endsS.length && (to - from) / perPixel / (endsS.length * ((to - from) / prediction.durationS)) > 4) {
    pen.fillStyle = colours.blue;
    for (let k = 0; k < endsS.length; k++) {
      const middle = (Math.max(0, endsS[k] - windowS) + endsS[k]) / 2;
      if (middle < from || middle > to || Number.isNaN(ofWindows[k])) continue;
      pen.beginPath(); pen.arc(x(middle), y(ofWindows[k]), 2.2, 0, 7); pen.fill();
    }
  }
  // The curve: the highest value of each pixel.
  pen.strokeStyle = colours.ink; pen.lineWidth = 1.8; pen.lineJoin = "round"; pen.beginPath();
  let isDrawing = false;
  const point = (time, value) => {
    if (value === null) { isDrawing = false; return; }
    if (isDrawing) pen.lineTo(x(time), y(value)); else { pen.moveTo(x(time), y(value)); pen.lineTo(x(time) + 0.5, y(value)); }
    isDrawing = true;
  };
  if (perPixel > STEP_S) {
    for (let pixel = 0; pixel < wide; pixel++) point(from + (pixel + 0.5) * perPixel, highestAt(pixel));
  } else {
    for (let step = Math.max(0, Math.floor(from / STEP_S)); step <= Math.min(prediction.curve.length - 1, Math.ceil(to / STEP_S)); step++) {
      const time = (step + 0.5) * STEP_S, value = prediction.curve[step];
      if (time >= from && time <= to) point(time, Number.isNaN(value) ? null : value);
    }
  }
  pen.stroke();
  // The probability of each moment: the highest of its pieces, which the threshold is for.
  for (const { onsetS, offsetS, peak } of prediction.events) {
    const middle = (onsetS + offsetS) / 2;
    if (middle < from || middle > to) continue;
    pen.beginPath(); pen.arc(x(middle), y(peak), 5, 0, 7); pen.fillStyle = colours.orange; pen.fill();
    pen.strokeStyle = colours.paper; pen.lineWidth = 1.5; pen.stroke();
  }
  // The threshold.
  pen.strokeStyle = colours.bad; pen.lineWidth = 1.5; pen.setLineDash([6, 4]);
  pen.beginPath(); pen.moveTo(LEFT, y(prediction.threshold)); pen.lineTo(width - RIGHT, y(prediction.threshold)); pen.stroke(); pen.setLineDash([]);
  drawAttention(pen, prediction, from, perPixel, wide, bottom + GAP, colours);
  drawTimes(pen, x, from, to, width, bottom + GAP + STRIP, colours);
}
function hatch(pen, left, top, width, height, colours) {
  pen.save();
  pen.beginPath(); pen.rect(left, top, width, height); pen.clip();
  pen.fillStyle = colours.faint; pen.globalAlpha = 0.22; pen.fillRect(left, top, width, height);
  pen.globalAlpha = 0.5; pen.strokeStyle = colours.faint; pen.lineWidth = 1; pen.beginPath();
  for (let at = left - height - ((left - height) % 9); at < left + width; at += 9) { pen.moveTo(at, top + height); pen.lineTo(at + height, top); }
  pen.stroke(); pen.restore();
}
function drawAttention(pen, prediction, from, perPixel, wide, top, colours) {
  const most = prediction.mostAttention || 1;
  pen.strokeStyle = colours.rule; pen.lineWidth = 1; pen.strokeRect(LEFT - 0.5, top + 0.5, wide + 1, STRIP);
  pen.fillStyle = colours.blue;
  for (let pixel = 0; pixel < wide; pixel++) {
    const value = highestIn(prediction.attention, (from + pixel * perPixel) * FPS, (from + (pixel + 1) * perPixel) * FPS);
    if (!value) continue;
    pen.globalAlpha = Math.min(1, value / most); pen.fillRect(LEFT + pixel, top + 1, 1, STRIP - 1);
  }
  pen.globalAlpha = 1;
}
function drawTimes(pen, x, from, to, width, top, colours) {
  const step = TICKS_S.find((one) => x(from + one) - LEFT >= TICK_APART) ?? 28800;
  pen.fillStyle = colours.faint; pen.strokeStyle = colours.faint; pen.textBaseline = "top"; pen.lineWidth = 1;
  for (let tick = Math.ceil(from / step - 1e-6); tick * step <= to + 1e-6; tick++) {
    const time = tick * step, at = x(time);
    pen.beginPath(); pen.moveTo(at, top); pen.lineTo(at, top + 4); pen.stroke();
    pen.textAlign = at < LEFT + 15 ? "left" : at > width - RIGHT - 18 ? "right" : "center";
    pen.fillText(clock(time, step < 1), at, top + 6);
  }
}

// ---- the plot in the page: a slider over the recording

export class Plot {
  // seek(seconds): the visitor chose a time.
  constructor(seek) {
    Object.assign(this, { seek, prediction: null, time: 0, from: 0, to: 1 });
    this.place = el("#plot"); this.canvas = el("#plot canvas");
    new ResizeObserver(() => this.draw()).observe(this.place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    const at = (event) => {
      if (!this.prediction) return;
      const bounds = this.canvas.getBoundingClientRect();
      this.seek(clamp(this.from + ((event.clientX - bounds.left - LEFT) / (bounds.width - LEFT - RIGHT)) * (this.to - this.from), 0, this.prediction.durationS));
    };
    this.place.addEventListener("pointerdown", (event) => { if (event.button === 0) { this.place.setPointerCapture(event.pointerId); at(event); } });
    this.place.addEventListener("pointermove", (event) => { if (event.buttons & 1) at(event); });
    el("#zoom-in").onclick = () => this.zoom(0.5);
    el("#zoom-out").onclick = () => this.zoom(2);
  }
  open(prediction) {
    this.prediction = prediction;
    Object.assign(this, { from: 0, to: prediction.durationS, time: 0 });
    this.describe();
    this.draw();
  }
  close() { this.prediction = null; }
  zoom(factor) {
    const { durationS } = this.prediction, span = clamp((this.to - this.from) * factor, Math.min(NARROWEST_S, durationS), durationS);
    this.from = clamp(this.time - span / 2, 0, durationS - span);
    this.to = this.from + span;
    this.draw();
  }
  // isPlaying: a screen reader speaks the time where it stops, not that of each picture.
  move(time, isPlaying = false) {
    this.time = time;
    const span = this.to - this.from;
    if (time < this.from || time > this.to) {
      this.from = clamp(time - 0.1 * span, 0, this.prediction.durationS - span);
      this.to = this.from + span;
      this.draw();
    } else this.mark(isPlaying);
  }
  draw() {
    if (!this.prediction || !this.canvas.clientWidth) return;
    const [pen, width, height] = fit(this.canvas), { durationS } = this.prediction;
    drawPlot(pen, width, height, this.prediction, this.from, this.to, pageColours());
    el("#range").textContent = text("plot.range", { from: clock(this.from), to: clock(this.to, this.to - this.from < 10) });
    const [isWhole, isClosest] = [this.to - this.from >= durationS - 1e-6, this.to - this.from <= NARROWEST_S + 1e-6];
    el("#zoom-out").setAttribute("aria-disabled", isWhole);
    el("#zoom-in").setAttribute("aria-disabled", isClosest);
    this.mark();
  }
  // The playhead, and what a screen reader speaks of it.
  mark(isPlaying = false) {
    const width = this.canvas.clientWidth, x = LEFT + ((this.time - this.from) / (this.to - this.from)) * (width - LEFT - RIGHT);
    el("#cursor").style.transform = `translateX(${x}px)`;
    if (isPlaying) return;
    const value = this.prediction.curve[Math.min(this.prediction.curve.length - 1, Math.floor(this.time / STEP_S + 1e-6))];
    const state = value === value && value !== undefined ? text("plot.probability", { probability: probability(value) }) : text("plot.unseen");
    this.place.setAttribute("aria-valuemax", this.prediction.durationS.toFixed(1));
    this.place.setAttribute("aria-valuenow", this.time.toFixed(1));
    this.place.setAttribute("aria-valuetext", text("plot.value", { time: clock(this.time, true), state }));
  }
  // The legend, the description and the table: the same content without a picture.
  describe() {
    const { events, highest, highestS, threshold, durationS, windowS, curve, seenS, tooLittle } = this.prediction;
    const values = {
      total: duration(durationS), threshold: hundredths(threshold), window: duration(windowS), unseen: duration(Math.max(0, durationS - seenS)),
      events: text("result.several", { count: events.length }),
    };
    el("#plot-description").textContent = tooLittle
      ? text("plot.descriptionUnseen", values)
      : text("plot.description", { ...values, probability: probability(highest.probability), time: clock(highestS) });
    el("#legend").replaceChildren(...["Curve", "Window", "Threshold", "Event", "Unseen", "Attention"].map((name) =>
      make("li", { class: `of-${name.toLowerCase()}` }, make("i", { "aria-hidden": "true" }), text(`plot.legend${name}`, values))));
    const step = ROWS_S.find((one) => durationS / one <= MOST_ROWS) ?? 7200, rows = [];
    for (let begin = 0; begin < durationS - 1e-6; begin += step) {
      const end = Math.min(begin + step, durationS), part = curve.subarray(Math.round(begin / STEP_S), Math.round(end / STEP_S));
      const known = part.filter((value) => value === value), top = known.length ? probability(highestIn(part, 0, part.length)) : text("plot.unseen");
      const inside = events.filter(({ onsetS }) => begin <= onsetS && onsetS < end).map(({ onsetS }) => clock(onsetS, true));
      const range = text("plot.range", { from: clock(begin), to: clock(end, end % 1 > 0) }), seen = duration(Math.min(known.length * STEP_S, end - begin));
      rows.push(make("tr", {}, make("th", { text: range, scope: "row" }), ...[top, seen, inside.join(", ")].map((cell) => make("td", { text: cell }))));
    }
    el("#table tbody").replaceChildren(...rows);
  }
}
