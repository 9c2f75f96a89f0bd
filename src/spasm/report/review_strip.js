// ---- the recording over time: an overview of all of it, and a detail that can be zoomed from hours to a second

const GUTTER = 54, EDGE = 8;  // pixels left and right of a plot; the numbers of its axis stand in the gutter
const NARROWEST_S = 1, GRIP = 7, GRIP_TOUCH = 16;  // seconds of the closest detail; pixels from an edge that take hold of it
const TICKS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
const FONT = "12px system-ui, sans-serif", HEAD = 20;  // pixels above the probability, for the events' marks
const MOST_DOTS = 3;  // windows in a pixel; with more none is shown
const WIDE = 4, APART = 10;  // pixels of an unseen span that is hatched; between two marks

class Strips {
  constructor(curves, review, act) {
    Object.assign(this, { curves, review, act, from: 0, to: LENGTH_S, current: null, time: 0, adding: null, following: true });
    this.overview = el("#overview canvas");
    this.probability = el("#probability");
    this.movement = el("#movement");
    for (const place of [el("#overview"), el("#detail")]) new ResizeObserver(() => this.draw()).observe(place);
    this.listen();
  }
  x(time, width, from = this.from, to = this.to) { return GUTTER + ((time - from) / (to - from)) * (width - GUTTER - EDGE); }
  // The time under a pointer.
  timeAt(event, canvas, from = this.from, to = this.to) {
    const box = canvas.getBoundingClientRect();
    return from + ((event.clientX - box.left - GUTTER) / (box.width - GUTTER - EDGE)) * (to - from);
  }
  show(from, to) {
    const span = clamp(to - from, Math.min(NARROWEST_S, LENGTH_S), LENGTH_S);
    this.from = clamp((from + to - span) / 2, 0, LENGTH_S - span);
    this.to = this.from + span;
    this.draw();
  }
  zoom(factor, middle = this.from <= this.time && this.time <= this.to ? this.time : (this.from + this.to) / 2) {
    const span = clamp((this.to - this.from) * factor, Math.min(NARROWEST_S, LENGTH_S), LENGTH_S), part = (middle - this.from) / (this.to - this.from);
    this.show(middle - part * span, middle + (1 - part) * span);
  }
  around(event) {
    const span = Math.max(12, 3 * (event.offset - event.onset)), middle = (event.onset + event.offset) / 2;
    this.show(middle - span / 2, middle + span / 2);
  }
  // The playhead. The detail follows it page by page, until the reviewer moves the detail.
  move(time) {
    this.time = time;
    const span = this.to - this.from;
    if (this.following && (time < this.from || time > this.to)) this.show(time - 0.1 * span, time + 0.9 * span);
    else this.placeCursors();
  }
  placeCursors() {
    const place = (strip, x, width) => {
      const cursor = el(".cursor", strip);
      cursor.style.transform = `translateX(${x}px)`;
      cursor.hidden = x < GUTTER - 1 || x > width - EDGE + 1;
    };
    const [whole, detail] = [this.overview.clientWidth, this.probability.clientWidth];
    place(el("#overview"), this.x(this.time, whole, 0, LENGTH_S), whole);
    place(el("#detail"), this.x(this.time, detail), detail);
  }

  // ---- pointers

  listen() {
    const wheel = (event) => {
      event.preventDefault();
      this.following = false;
      const sideways = event.shiftKey ? event.deltaY : event.deltaX;
      if (Math.abs(sideways) > Math.abs(event.deltaY) || event.shiftKey) {
        const by = (Math.sign(sideways) * (this.to - this.from)) / 8;
        this.show(this.from + by, this.to + by);
      } else this.zoom(event.deltaY > 0 ? 1.3 : 1 / 1.3, clamp(this.timeAt(event, this.probability), this.from, this.to));
    };
    el("#detail").addEventListener("wheel", wheel, { passive: false });
    const overview = el("#overview"), detail = el("#detail");
    const centre = (event) => {
      this.following = false;
      const middle = this.timeAt(event, this.overview, 0, LENGTH_S), half = (this.to - this.from) / 2;
      this.show(middle - half, middle + half);
    };
    overview.onpointerdown = (event) => { overview.setPointerCapture(event.pointerId); centre(event); };
    overview.onpointermove = (event) => { if (event.buttons) centre(event); };
    detail.onpointerdown = (event) => {
      detail.setPointerCapture(event.pointerId);
      this.drag = this.begin(event);
    };
    detail.onpointermove = (event) => {
      if (this.drag && event.buttons) this.dragTo(event);
      else detail.style.cursor = this.gripAt(event) ? "ew-resize" : el("#adding").checked || event.shiftKey ? "crosshair" : "grab";
    };
    detail.onpointerup = (event) => this.end(event);
    detail.onpointercancel = () => { this.drag = this.adding = null; this.draw(); };
  }
  // The edge of the chosen event under a pointer: onset, offset or null.
  gripAt(event) {
    const chosen = this.review.find(this.current);
    if (!chosen) return null;
    const box = this.probability.getBoundingClientRect(), reach = event.pointerType === "touch" ? GRIP_TOUCH : GRIP;
    const away = ["onset", "offset"].map((edge) => Math.abs(event.clientX - box.left - this.x(chosen[edge], box.width)));
    if (Math.min(...away) > reach) return null;
    return away[0] < away[1] ? "onset" : "offset";
  }
  begin(event) {
    const start = { x: event.clientX, time: this.timeAt(event, this.probability), from: this.from, to: this.to, moved: false, name: `drag ${performance.now()}` };
    if (el("#adding").checked || event.shiftKey) return { ...start, kind: "add" };
    return { ...start, kind: this.gripAt(event) || "pan" };
  }
  dragTo(event) {
    const { drag } = this, time = this.timeAt(event, this.probability, drag.from, drag.to), chosen = this.review.find(this.current);
    drag.moved ||= Math.abs(event.clientX - drag.x) > 3;
    if (!drag.moved) return;
    this.following = false;
    if (drag.kind === "pan") this.show(drag.from + drag.time - time, drag.to + drag.time - time);
    else if (drag.kind === "add") { this.adding = [drag.time, time].map((one) => clamp(one, 0, LENGTH_S)).sort((a, b) => a - b); this.draw(); }
    else this.act.adjust(drag.kind, time - chosen[drag.kind], drag.name);
  }
  end(event) {
    const { drag, adding } = this;
    this.drag = this.adding = null;
    if (!drag) return;
    if (adding) { el("#adding").checked = false; this.act.add(...adding); return; }
    if (drag.moved || drag.kind === "add") return;
    const time = clamp(this.timeAt(event, this.probability), 0, LENGTH_S);
    const hit = this.review.events.find((one) => one.onset <= time && time <= one.offset);
    if (hit && hit.id !== this.current) this.act.choose(hit.id);
    else this.act.seek(time);
  }

  // ---- plots

  draw() {
    this.drawOverview();
    this.drawProbability();
    this.drawMovement();
    this.placeCursors();
    el("#range").textContent = `${clock(this.from)} to ${clock(this.to)}`;
  }
  drawOverview() {
    const [pen, width, height] = fit(this.overview), x = (time) => this.x(time, width, 0, LENGTH_S), bottom = height - 16;
    this.shade(pen, x, width, 0, bottom, 0, LENGTH_S);
    this.band(pen, this.curves.curve, 0, STEPS, width, x, (value) => bottom - value * (bottom - 4), colour("--ink"));
    for (const event of this.review.events) {
      const state = stateOf(event), [top, tall] = { unreviewed: [0, bottom / 2], rejected: [bottom - 7, 7] }[state] || [0, bottom];
      pen.fillStyle = colour(COLOURS[state]);
      pen.fillRect(x(event.onset) - 1, top, 2, tall);
      if (state === "added") pen.fillRect(x(event.onset) - 3, bottom - 6, 6, 6);
    }
    pen.fillStyle = pen.strokeStyle = colour("--blue"); pen.lineWidth = 1.5;
    const left = x(this.from), wide = Math.max(3, x(this.to) - left);
    pen.globalAlpha = 0.15; pen.fillRect(left, 0, wide, bottom); pen.globalAlpha = 1;
    pen.strokeRect(left, 0.75, wide, bottom - 1.5);
    this.timeAxis(pen, width, height, bottom, 0, LENGTH_S);
  }
  drawProbability() {
    const [pen, width, height] = fit(this.probability), x = (time) => this.x(time, width), top = HEAD + 4, bottom = height - 4;
    const y = (value) => bottom - clamp(value, 0, 1) * (bottom - top);
    this.shade(pen, x, width, HEAD, bottom, this.from, this.to);
    this.axis(pen, width, [[0, "0"], [0.5, "0.5"], [1, "1"]], y);
    let marked = -Infinity;
    const chosen = this.review.find(this.current);
    for (const event of this.review.queue(true)) {
      const middle = clamp(x((event.onset + event.offset) / 2), GUTTER + 6, width - EDGE - 6);
      const isMarked = event === chosen || (middle - marked >= APART && (!chosen || Math.abs(middle - x(chosen.onset)) >= APART));
      if (isMarked && event.offset > this.from) marked = middle;
      this.drawEvent(pen, event, x, width, bottom, isMarked ? middle : null);
    }
    if (this.adding) { pen.fillStyle = colour("--blue"); pen.globalAlpha = 0.3; pen.fillRect(x(this.adding[0]), 0, x(this.adding[1]) - x(this.adding[0]), bottom); pen.globalAlpha = 1; }
    pen.save();
    pen.beginPath(); pen.rect(GUTTER, 0, width - GUTTER - EDGE, height); pen.clip();
    this.band(pen, this.curves.curve, this.from / page.step_s, this.to / page.step_s, width, x, y, colour("--ink"));
    this.drawWindows(pen, width, x, y);
    pen.restore();
    pen.strokeStyle = colour("--bad"); pen.lineWidth = 1.2; pen.setLineDash([6, 4]);
    pen.beginPath(); pen.moveTo(GUTTER, y(page.level)); pen.lineTo(width - EDGE, y(page.level)); pen.stroke(); pen.setLineDash([]);
  }
  // Each window at its middle.
  drawWindows(pen, width, x, y) {
    const { stride_frames: stride, frames } = page.windows, number = (time) => ((time - frames / FPS / 2) * FPS) / stride;
    const [first, last] = [number(this.from), number(this.to)];
    if ((last - first) / width > MOST_DOTS) return;
    pen.fillStyle = colour("--blue");
    for (const run of this.curves.windows.runs(first, last, Infinity, x)) {
      for (const [left, , high] of run) { pen.beginPath(); pen.arc(left, y(high), 2, 0, 7); pen.fill(); }
    }
  }
  drawEvent(pen, event, x, width, bottom, middle) {
    const [left, right] = [x(event.onset), x(event.offset)], state = stateOf(event), chosen = event.id === this.current, name = colour(COLOURS[state]);
    if (right < GUTTER || left > width - EDGE) return;
    const from = Math.max(GUTTER, left), to = Math.min(width - EDGE, Math.max(right, left + 2));
    pen.fillStyle = pen.strokeStyle = name;
    pen.globalAlpha = chosen ? 0.35 : 0.2; pen.fillRect(from, HEAD, to - from, bottom - HEAD); pen.globalAlpha = 1;
    if (chosen) {
      pen.lineWidth = 2;
      for (const edge of [left, right]) {
        if (edge < GUTTER || edge > width - EDGE) continue;
        pen.beginPath(); pen.moveTo(edge, HEAD - 4); pen.lineTo(edge, bottom); pen.stroke();
        pen.fillRect(edge - 3, bottom - 16, 6, 16);  // to take hold of
      }
    }
    if (middle === null) return;
    pen.font = `${chosen ? "bold " : ""}14px system-ui, sans-serif`; pen.textAlign = "center"; pen.textBaseline = "middle";
    pen.fillText(MARKS[state], middle, HEAD / 2);
  }
  drawMovement() {
    const [pen, width, height] = fit(this.movement), x = (time) => this.x(time, width), bottom = height - 18, row = (bottom - 18) / page.parts.length;
    pen.font = FONT; pen.textAlign = "left"; pen.textBaseline = "top"; pen.fillStyle = colour("--faint");
    pen.fillText(width < 600 ? `Speed, 0 to ${page.speed_top} trunk lengths/s` : `Movement against the rest of the body, each axis 0 to ${page.speed_top} trunk lengths per second`, GUTTER, 2);
    page.parts.forEach((name, part) => {
      const low = 18 + (part + 1) * row, y = (value) => low - (Math.min(value, page.speed_top) / page.speed_top) * (row - 4);
      this.shade(pen, x, width, low - row + 2, low, this.from, this.to);
      pen.fillStyle = colour("--faint"); pen.strokeStyle = colour("--rule"); pen.lineWidth = 1;
      pen.font = FONT; pen.textAlign = "right"; pen.textBaseline = "middle";
      pen.fillText(name, GUTTER - 6, low - row / 2);
      pen.beginPath(); pen.moveTo(GUTTER, low + 0.5); pen.lineTo(width - EDGE, low + 0.5); pen.stroke();
      pen.save();
      pen.beginPath(); pen.rect(GUTTER, 0, width - GUTTER - EDGE, height); pen.clip();
      this.band(pen, this.curves.speeds[part], this.from / page.step_s, this.to / page.step_s, width, x, y, colour("--ink"), low);
      pen.restore();
    });
    this.timeAxis(pen, width, height, bottom, this.from, this.to);
  }
  // A series: a line, filled down to `base`; where a pixel holds many steps, a bar from the lowest (or `base`) to the highest.
  band(pen, series, first, last, width, x, y, style, base = null) {
    const columns = Math.max(1, Math.floor(width - GUTTER - EDGE));
    pen.fillStyle = pen.strokeStyle = style; pen.lineWidth = 1.2; pen.lineJoin = "round";
    for (const run of series.runs(first, last, columns, x)) {
      if (last - first > columns) {
        pen.globalAlpha = base === null ? 0.8 : 0.5;
        run.forEach(([left, low, high], k) => {
          const [, lowBefore, highBefore] = run[Math.max(0, k - 1)];  // bars touch those beside them
          const top = y(base === null ? Math.max(high, lowBefore) : high), bottom = base === null ? y(Math.min(low, highBefore)) : base;
          pen.fillRect(left - 0.5, top, 1, Math.max(1, bottom - top));
        });
        pen.globalAlpha = 1;
        continue;
      }
      pen.beginPath();
      run.forEach(([left, , high], k) => (k ? pen.lineTo(left, y(high)) : pen.moveTo(left, y(high))));
      if (run.length === 1) pen.lineTo(run[0][0] + 1, y(run[0][2]));
      pen.stroke();
      if (base === null) continue;
      pen.lineTo(run[run.length - 1][0], base); pen.lineTo(run[0][0], base);
      pen.globalAlpha = 0.25; pen.fill(); pen.globalAlpha = 1;
    }
  }
  // Unseen time in grey, hatched where it is wide enough; of shorter spans each pixel is as grey as the fraction of it unseen.
  shade(pen, x, width, top, bottom, from, to) {
    const spans = this.curves.unseen, short = new Float32Array(Math.ceil(width) + 1);
    let low = 0, high = spans.length;
    while (low < high) { const middle = (low + high) >> 1; if (spans[middle][1] < from) low = middle + 1; else high = middle; }
    for (let k = low; k < spans.length && spans[k][0] <= to; k++) {
      const left = Math.max(GUTTER, x(spans[k][0])), right = Math.min(width - EDGE, x(spans[k][1]));
      if (right - left > WIDE) { hatch(pen, left, top, right - left, bottom - top); continue; }
      for (let column = Math.floor(left); column < right; column++) short[column] += Math.min(right, column + 1) - Math.max(left, column);
    }
    pen.fillStyle = colour("--faint");
    short.forEach((fraction, column) => {
      if (!fraction) return;
      pen.globalAlpha = 0.45 * Math.min(1, fraction);
      pen.fillRect(column, top, 1, bottom - top);
    });
    pen.globalAlpha = 1;
  }
  axis(pen, width, ticks, y) {
    pen.font = FONT; pen.textAlign = "right"; pen.textBaseline = "middle"; pen.lineWidth = 1;
    for (const [value, text] of ticks) {
      pen.fillStyle = colour("--faint"); pen.strokeStyle = colour("--rule");
      pen.fillText(text, GUTTER - 6, y(value));
      pen.beginPath(); pen.moveTo(GUTTER, y(value)); pen.lineTo(width - EDGE, y(value)); pen.stroke();
    }
  }
  timeAxis(pen, width, height, bottom, from, to) {
    const most = Math.max(2, (width - GUTTER) / 84), step = TICKS_S.find((one) => (to - from) / one <= most) || 14400;
    pen.fillStyle = pen.strokeStyle = colour("--faint"); pen.lineWidth = 1; pen.font = FONT; pen.textAlign = "center"; pen.textBaseline = "bottom";
    pen.beginPath(); pen.moveTo(GUTTER, bottom + 0.5); pen.lineTo(width - EDGE, bottom + 0.5); pen.stroke();
    for (let number = Math.ceil(from / step - 1e-6); number * step <= to + 1e-6; number++) {
      const left = this.x(number * step, width, from, to);
      pen.fillRect(left, bottom, 1, 4);
      pen.fillText(clock(number * step, step < 1 ? 1 : 0), Math.min(left, width - 30), height - 1);
    }
  }
}
