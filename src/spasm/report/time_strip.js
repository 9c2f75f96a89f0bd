// ---- what happens over time: attention, the network's probability, speeds, missing landmarks and true events

const DASHES = [[], [6, 3], [2, 2], [8, 3, 2, 3]];  // one for each part of the body, beside its colour
const LINES = ["--ink", "--blue", "--pink", "--orange"];
const GUTTER = 54, EDGE = 8;  // pixels left and right of a plot; the numbers of its axis stand in the gutter
const LOW_WEIGHT = 0.1, DIMMED = 0.4;  // the networks' weight in the prediction below which their curves are dimmed
const STILL = 0.25;  // of the page's speed axis: a segment that stays below gets an axis of its own

const networks = page.networks;  // whose attention it is; weight 0: of a model that has no part in the prediction
const networkWeight = networks.reduce((sum, model) => sum + model.weight, 0);
const logistic = (value) => (value === null ? null : 1 / (1 + Math.exp(-value)));

class TimeStrip {
  constructor(root, seek) {
    this.root = root;
    this.bands = Object.fromEntries(all(".band", root).map((band) => [band.dataset.band, band]));
    const to = (event) => {
      const box = this.canvas("observed").getBoundingClientRect();
      seek(Math.round(((event.clientX - box.left - GUTTER) / (box.width - GUTTER - EDGE)) * (T - 1)));
    };
    root.onpointerdown = (event) => { root.setPointerCapture(event.pointerId); to(event); };
    root.onpointermove = (event) => { if (event.buttons) to(event); };
  }
  canvas(band) { return el(".plot-area canvas", this.bands[band]); }
  title(band, text) { el(".band-title", this.bands[band]).textContent = text; }
  show(motion, segment) {
    this.motion = motion;
    this.segment = segment;
    this.hasAttention = motion.hasAttention && !segment.too_little_seen;  // what was not seen has no probability
    this.probabilities = motion.logits.map(logistic);
    this.attention = motion.attention.map((value, frame) => (motion.foundPerFrame[frame] ? value : null));
    this.describeNetworks();
    this.describeSpeeds();
    this.describeObserved();
    this.draw();
  }
  describeNetworks() {
    const { motion, segment } = this, note = el(".network-note", this.root), low = networks.length && networkWeight < LOW_WEIGHT;
    this.bands.attention.hidden = this.bands.probability.hidden = !this.hasAttention;
    this.bands.attention.classList.toggle("dimmed", low);
    this.bands.probability.classList.toggle("dimmed", low);
    note.textContent = !networks.length ? "No network takes part in this prediction, so there is no attention over time."
      : segment.too_little_seen ? "Too little was seen, so no attention and no probability over time."
      : !motion.hasAttention ? "No pose, so no attention over time."
      : !networkWeight ? `Dimmed: ${networks[0].name} has no weight in the prediction. Its attention only helps to find the moment.`
      : low ? `Dimmed: ${networks.length > 1 ? "these models' weight" : "this model's weight"} in the prediction is ${percent(networkWeight)}.` : "";
    if (!this.hasAttention) return;
    const most = Math.max(...motion.attention);
    this.title("attention", `Attention of the network: highest at ${fixed(segment.peak_s)} s (▼)`);
    this.title("probability", "Probability of a spasm in each frame, by the network, before calibration");
    this.most = most;
  }
  describeSpeeds() {
    const top = this.segment.player.speed, known = this.motion.speeds.some((values) => values.some((value) => value !== null));
    const still = known && top < STILL * page.fastest;
    this.fastest = still ? Math.max(top, 0.01) : page.fastest;
    const zoom = page.fastest / this.fastest;
    const enlarged = still ? `. Almost nothing moves: enlarged ${fixed(zoom, zoom < 10 ? 1 : 0)} times` : "";
    this.title("speed", known ? `Speed of body parts, in trunk lengths per second${enlarged}` : "Speed of body parts: not known");
    const legend = el(".speed-key", this.root);
    legend.replaceChildren(...page.parts.map((name, part) => {
      const item = create("span", "", name), swatch = create("canvas", "swatch");
      item.prepend(swatch);
      swatch.dataset.part = part;
      return item;
    }));
  }
  // The legend names what there is.
  describeObserved() {
    const counts = [...this.motion.foundPerFrame], kinds = this.segment.events.map(
      ([start, end, kind]) => `${kind || "spasm"}, ${fixed(start / FPS)} to ${seconds(end)}`);
    el(".complete-key", this.root).hidden = counts.some((count) => count < JOINTS);
    el(".lost-key", this.root).hidden = !counts.some((count) => count && count < JOINTS);
    el(".gap-key", this.root).hidden = !counts.includes(0);
    el(".event-key", this.root).hidden = !kinds.length;
    el(".event-key", this.root).textContent = `▬ true event: ${kinds.join("; ")}`;
  }
  x(frame, width) { return GUTTER + (frame / (T - 1)) * (width - GUTTER - EDGE); }
  draw() {
    if (!this.motion || !this.root.isConnected) return;
    const { motion } = this;
    if (this.hasAttention) {
      const top = 14;  // room for the mark of the highest attention
      this.plot("attention", [[0, "0"], [this.most, percent(this.most, 1)]], top, (curve, pen, width) => {
        curve(this.attention, colour("--ink"), [], true);
        const x = this.x(this.segment.peak_s * FPS, width);
        pen.fillStyle = colour("--ink");
        pen.beginPath(); pen.moveTo(x - 5, 2); pen.lineTo(x + 5, 2); pen.lineTo(x, 11); pen.fill();
      });
      this.plot("probability", [[0, "0"], [0.5, "0.5"], [1, "1"]], 8, (curve) => curve(this.probabilities, colour("--orange"), [], false));
    }
    const label = `${this.segment.player.speed > this.fastest ? "≥ " : ""}${fixed(this.fastest, this.fastest < 1 ? 2 : 1)}`;
    this.plot("speed", [[0, "0"], [this.fastest, label]], 8, (curve) => motion.speeds.forEach((values, part) => curve(values, colour(LINES[part]), DASHES[part], false)));
    all(".swatch", this.root).forEach((swatch) => {
      const [pen, width, height] = fit(swatch);
      pen.strokeStyle = colour(LINES[swatch.dataset.part]); pen.lineWidth = 2; pen.setLineDash(DASHES[swatch.dataset.part]);
      pen.beginPath(); pen.moveTo(0, height / 2); pen.lineTo(width, height / 2); pen.stroke();
    });
    this.drawObserved();
    this.move(this.frame || 0);
  }
  // One band: events and gaps behind, the axis in the gutter, then its curves.
  plot(band, ticks, top, curves) {
    const [pen, width, height] = fit(this.canvas(band)), bottom = height - 6, high = ticks[ticks.length - 1][0];
    const y = (value) => bottom - (clamp(value, 0, high) / (high || 1)) * (bottom - top);
    this.shade(pen, width, top, bottom);
    pen.font = "12px system-ui, sans-serif"; pen.textAlign = "right"; pen.textBaseline = "middle"; pen.lineWidth = 1;
    for (const [value, text] of ticks) {
      pen.fillStyle = colour("--faint"); pen.strokeStyle = colour("--rule");
      pen.fillText(text, GUTTER - 6, y(value));
      pen.beginPath(); pen.moveTo(GUTTER, y(value)); pen.lineTo(width - EDGE, y(value)); pen.stroke();
    }
    const strong = this.bands[band].classList.contains("dimmed") ? DIMMED : 1;
    pen.globalAlpha = strong;
    const curve = (values, style, dash, fill) => {
      pen.strokeStyle = pen.fillStyle = style; pen.lineWidth = 1.6; pen.setLineDash(dash);
      for (const [first, last] of knownRuns(values)) {
        pen.beginPath(); pen.moveTo(this.x(first, width), y(values[first]));
        for (let frame = first + 1; frame <= last; frame++) pen.lineTo(this.x(frame, width), y(values[frame]));
        if (first === last) pen.lineTo(this.x(first, width) + 1.5, y(values[first]));
        pen.stroke();
        if (!fill) continue;
        pen.lineTo(this.x(last, width), bottom); pen.lineTo(this.x(first, width), bottom);
        pen.globalAlpha = 0.2 * strong; pen.fill(); pen.globalAlpha = strong;
      }
      pen.setLineDash([]);
    };
    curves(curve, pen, width);
    pen.globalAlpha = 1;
  }
  // True events green, frames without a pose hatched.
  shade(pen, width, top, bottom) {
    pen.fillStyle = colour("--green"); pen.globalAlpha = 0.18;
    for (const [start, end] of this.segment.events) pen.fillRect(this.x(start, width), top, Math.max(2, this.x(end, width) - this.x(start, width)), bottom - top);
    pen.globalAlpha = 1;
    const empty = Array.from(this.motion.foundPerFrame, (count) => (count ? null : 1)), half = (this.x(1, width) - this.x(0, width)) / 2;
    for (const [first, last] of knownRuns(empty)) {
      const from = Math.max(GUTTER, this.x(first, width) - half), to = Math.min(width - EDGE, this.x(last, width) + half);
      hatch(pen, from, top, to - from, bottom - top);
    }
  }
  drawObserved() {
    const [pen, width, height] = fit(this.canvas("observed")), bottom = height - 20, step = this.x(1, width) - this.x(0, width);
    this.shade(pen, width, 2, bottom);
    pen.fillStyle = colour("--bad");
    this.motion.foundPerFrame.forEach((count, frame) => {
      const lost = (1 - count / JOINTS) * (bottom - 2), from = Math.max(GUTTER, this.x(frame, width) - step / 2);
      if (count && lost) pen.fillRect(from, bottom - lost, step + 0.3, lost);
    });
    pen.fillStyle = colour("--green");
    for (const [start, end] of this.segment.events) pen.fillRect(this.x(start, width), bottom - 4, Math.max(2, this.x(end, width) - this.x(start, width)), 4);
    pen.fillStyle = pen.strokeStyle = colour("--faint"); pen.lineWidth = 1;
    pen.beginPath(); pen.moveTo(GUTTER, bottom + 0.5); pen.lineTo(width - EDGE, bottom + 0.5); pen.stroke();
    pen.font = "12px system-ui, sans-serif"; pen.textBaseline = "bottom"; pen.textAlign = "center";
    const each = [0.1, 0.5, 1, 2, 5, 10, 60].find((s) => T / FPS / s <= Math.max(4, width / 70)) || 60;
    for (let s = 0; s * FPS <= T; s += each) {
      const x = Math.min(this.x(s * FPS, width), width - EDGE);
      pen.fillText(`${+s.toFixed(1)}${s === 0 ? " s" : ""}`, Math.min(x, width - 8), height - 1);
      pen.fillRect(x, bottom, 1, 4);
    }
  }
  // Only the cursors move while a segment plays.
  move(frame) {
    this.frame = frame;
    const width = this.canvas("observed").clientWidth;
    all(".cursor", this.root).forEach((cursor) => { cursor.style.transform = `translateX(${this.x(frame, width)}px)`; });
  }
}
