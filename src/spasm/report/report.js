"use strict";
// The page's player, tables and figures. It loads nothing; whatever comes from the data is set as text, never as HTML.
const page = JSON.parse(document.getElementById("data").textContent);
const T = page.frames, JOINTS = page.landmarks.length, PARTS = page.parts.length, FPS = page.fps;
const el = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
function create(tag, name, text) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
}
const fixed = (value, digits = 2) => value.toFixed(digits).replace("-", "−");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// ---- what a player shows of a segment: unpacked when it is opened

async function unpack(player) {
  const packed = Uint8Array.from(atob(player.data), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const count = T * JOINTS, bits = Math.ceil(count / 8);
  const found = new Uint8Array(count), x = new Float32Array(count), y = new Float32Array(count);
  for (let i = 0; i < count; i++) found[i] = (bytes[i >> 3] >> (7 - (i & 7))) & 1;
  [x, y].forEach((axis, number) => {
    const low = bits + 2 * number * count, high = low + count;
    for (let joint = 0; joint < JOINTS; joint++) {
      let at = 0;
      for (let frame = 0; frame < T; frame++) {
        const i = frame * JOINTS + joint, code = bytes[low + i] | (bytes[high + i] << 8);
        at += code & 1 ? -(code + 1) / 2 : code / 2;
        axis[i] = player.box[number] + at * player.box[2];
      }
    }
  });
  const rest = bits + 4 * count;
  const logits = Array.from(bytes.subarray(rest + T, rest + 2 * T), (b) => (b ? ((b - 128) / 127) * 8 : null));
  const speeds = page.parts.map((_, part) => Array.from(
    bytes.subarray(rest + (2 + part) * T, rest + (3 + part) * T), (b) => (b ? ((b - 1) / 254) * player.speed : null)));
  const attention = Array.from(bytes.subarray(rest, rest + T));
  const total = attention.reduce((sum, value) => sum + value, 0);
  const shares = attention.map((value) => (total ? value / total : 0));
  return { found, x, y, logits, speeds, attention: shares, hasAttention: total > 0, foundPerFrame: countFound(found) };
}
function countFound(found) {
  const count = new Uint8Array(T);
  for (let i = 0; i < found.length; i++) count[Math.floor(i / JOINTS)] += found[i];
  return count;
}

// The middle of the hips in each frame, straight lines through gaps; null where the hips are never found.
function hipsOf(motion) {
  const [left, right] = page.hips, known = [];
  for (let frame = 0; frame < T; frame++) {
    const a = frame * JOINTS + left, b = frame * JOINTS + right;
    if (motion.found[a] && motion.found[b]) known.push([frame, (motion.x[a] + motion.x[b]) / 2, (motion.y[a] + motion.y[b]) / 2]);
  }
  if (!known.length) return null;
  const hips = [];
  for (let frame = 0, k = 0; frame < T; frame++) {
    while (k < known.length - 1 && known[k + 1][0] <= frame) k++;
    const from = known[k], to = known[Math.min(k + 1, known.length - 1)];
    const part = to[0] > from[0] ? clamp((frame - from[0]) / (to[0] - from[0]), 0, 1) : 0;
    hips.push([from[1] + part * (to[1] - from[1]), from[2] + part * (to[2] - from[2])]);
  }
  return hips;
}

// ---- drawing

function fit(canvas) {
  const box = canvas.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
  const width = Math.round(box.width * ratio), height = Math.round(box.height * ratio);
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, box.width, box.height);
  return [pen, box.width, box.height];
}
const DASHES = [[], [6, 3], [2, 2], [8, 3, 2, 3]];
const LINES = ["--ink", "--blue", "--pink", "--orange"];

class Player {
  constructor(place, rows) {
    this.root = document.getElementById("player-template").content.firstElementChild.cloneNode(true);
    place.append(this.root);
    this.part = (name) => el("." + name, this.root);
    this.rows = rows;
    this.frame = 0;
    this.playing = false;
    this.part("scrub").max = T - 1;
    this.part("play").onclick = () => this.toggle();
    this.part("scrub").oninput = (event) => { this.stop(); this.fresh = false; this.seek(+event.target.value); };
    this.part("mirror").onchange = this.part("relative").onchange = () => this.draw();
    this.part("previous").onclick = () => this.step(-1);
    this.part("next").onclick = () => this.step(1);
    this.root.addEventListener("keydown", (event) => this.key(event));
    const time = this.part("time");
    const seek = (event) => {
      const box = time.getBoundingClientRect();
      this.stop();
      this.fresh = false;
      this.seek(Math.round(((event.clientX - box.left - this.left) / (box.width - this.left - 8)) * (T - 1)));
    };
    time.onpointerdown = (event) => { time.setPointerCapture(event.pointerId); seek(event); };
    time.onpointermove = (event) => { if (event.buttons) seek(event); };
    new ResizeObserver(() => this.draw()).observe(this.part("pose"));
    this.shown = () => {};
    if (rows.length) this.step(0);
    else this.root.replaceChildren(create("p", "", "None."));
  }
  key(event) {
    const typing = event.target.matches("select, input[type=checkbox], button");
    if (event.key === " " && !typing) { this.toggle(); event.preventDefault(); }
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -T, End: T };
    if (event.key in steps && !event.target.matches("select")) {
      this.stop();
      this.fresh = false;
      this.seek(this.frame + steps[event.key]);
      event.preventDefault();
    }
  }
  step(by) { this.go(this.rows, (this.at || 0) + by); }
  // One of several segments, which previous and next go through.
  go(rows, at) {
    this.rows = rows;
    this.at = clamp(at, 0, rows.length - 1);
    this.part("previous").setAttribute("aria-disabled", this.at === 0);  // disabled would lose the focus
    this.part("next").setAttribute("aria-disabled", this.at === rows.length - 1);
    this.part("place").textContent = `${this.at + 1} of ${rows.length}`;
    return this.show(rows[this.at]);
  }
  async show(row) {
    this.stop();
    const segment = page.segments[row];
    this.segment = segment;
    this.motion = null;
    let motion;
    try { motion = await unpack(segment.player); }
    catch (error) { this.part("segment-title").textContent = `${segment.name} cannot be shown: this browser is too old (${error})`; return; }
    if (this.segment !== segment) return;  // another was asked for meanwhile
    this.motion = motion;
    this.hips = hipsOf(motion);
    this.part("relative").disabled = !this.hips;
    this.fresh = true;
    this.shown(row);
    this.part("segment-title").textContent = `${segment.name}, child ${page.children[segment.child]}`;
    this.part("summary").textContent = summarize(segment);
    showModels(this.part("models"), segment);
    showReasons(this.part("reasons"), segment);
    this.root.dataset.segment = segment.name;
    this.seek(segment.peak_s === null ? 0 : Math.round(segment.peak_s * FPS));
  }
  toggle() { if (this.playing) this.stop(); else this.play(); }
  play() {
    if (!this.motion) return;
    if (this.fresh || this.frame >= T - 1) this.frame = 0;  // a segment is first shown where attention is highest
    this.fresh = false;
    this.playing = true;
    this.part("play").textContent = "❚❚ pause";
    let last = null, at = this.frame;
    const tick = (now) => {
      if (!this.playing) return;
      if (last !== null) at += ((now - last) / 1000) * FPS * +this.part("rate").value;
      last = now;
      if (at >= T - 1) { this.seek(T - 1); this.stop(); return; }
      this.seek(Math.floor(at));
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }
  stop() { this.playing = false; this.part("play").textContent = "▶ play"; }
  seek(frame) {
    this.frame = clamp(frame, 0, T - 1);
    this.part("scrub").value = this.frame;
    this.part("scrub").setAttribute("aria-valuetext", `${fixed(this.frame / FPS)} seconds`);
    this.draw();
  }
  draw() {
    if (!this.motion || !this.root.isConnected) return;
    this.drawPose();
    this.drawTime();
    this.part("values").textContent = this.values();
  }
  values() {
    const motion = this.motion, f = this.frame, words = [`${fixed(f / FPS)} s (frame ${f})`, `${motion.foundPerFrame[f]} of ${JOINTS} landmarks found`];
    if (motion.hasAttention) words.push(`attention ${fixed(100 * motion.attention[f], 1)} %`);
    if (motion.logits[f] !== null) words.push(`frame log-odds ${fixed(motion.logits[f], 1)}${Math.abs(motion.logits[f]) > 7.99 ? " or beyond" : ""}`);
    const moving = page.parts.map((name, part) => (motion.speeds[part][f] === null ? null : `${name} ${fixed(motion.speeds[part][f])}`)).filter(Boolean);
    if (moving.length) words.push(`speed ${moving.join(", ")} trunk lengths/s`);
    return words.join(" · ");
  }
  // Where landmark i of all frames is drawn: in pictures, from the hips if they are held still.
  place(i, frame, relative) {
    const [x0, y0] = relative ? this.hips[frame] : [0, 0];
    return [(this.motion.x[i] - x0) * page.aspect, this.motion.y[i] - y0];
  }
  drawPose() {
    const [pen, width, height] = fit(this.part("pose"));
    const motion = this.motion, f = this.frame, mirror = this.part("mirror").checked;
    const relative = this.part("relative").checked && this.hips !== null;
    const lows = [Infinity, Infinity], highs = [-Infinity, -Infinity];
    for (let i = 0; i < motion.found.length; i++) {
      if (!motion.found[i]) continue;
      this.place(i, Math.floor(i / JOINTS), relative).forEach((value, axis) => {
        lows[axis] = Math.min(lows[axis], value);
        highs[axis] = Math.max(highs[axis], value);
      });
    }
    const ink = colour("--ink"), faint = colour("--faint");
    pen.font = "14px system-ui, sans-serif";
    pen.textBaseline = "top";
    if (!motion.foundPerFrame[f]) { pen.fillStyle = ink; pen.fillText("no pose found in this frame", 10, 10); }
    if (lows[0] === Infinity) return;
    const margin = 22;
    const scale = Math.min((width - 2 * margin) / Math.max(highs[0] - lows[0], 1e-6), (height - 2 * margin) / Math.max(highs[1] - lows[1], 1e-6));
    const point = (joint) => {
      const [x, y] = this.place(f * JOINTS + joint, f, relative);
      const across = (x - (lows[0] + highs[0]) / 2) * (mirror ? -1 : 1);
      return [width / 2 + across * scale, height / 2 + (y - (lows[1] + highs[1]) / 2) * scale];
    };
    const there = (joint) => motion.found[f * JOINTS + joint] === 1;
    const shade = { l: colour("--blue"), r: colour("--orange"), m: ink };
    pen.lineCap = "round";
    for (const [a, b] of page.edges) {
      if (!there(a) || !there(b)) continue;
      const side = page.sides[a] === page.sides[b] ? page.sides[a] : "m";
      pen.strokeStyle = shade[side];
      pen.lineWidth = a < 11 && b < 11 ? 1 : side === "m" ? 2 : 3;
      pen.beginPath(); pen.moveTo(...point(a)); pen.lineTo(...point(b)); pen.stroke();
    }
    for (let joint = 0; joint < JOINTS; joint++) {
      const [x, y] = point(joint), size = joint < 11 ? 2 : 4;
      pen.beginPath();
      if (there(joint)) {
        pen.fillStyle = shade[page.sides[joint]];
        if (page.sides[joint] === "r") pen.rect(x - size, y - size, 2 * size, 2 * size);
        else pen.arc(x, y, size, 0, 2 * Math.PI);
        pen.fill();
      } else if (this.before(joint)) {
        pen.strokeStyle = faint;
        pen.lineWidth = 1;
        pen.setLineDash([2, 2]);
        pen.arc(x, y, size + 1, 0, 2 * Math.PI);
        pen.stroke();
        pen.setLineDash([]);
      }
    }
  }
  // Whether a landmark was found in some frame up to this one; until then there is no place to draw it.
  before(joint) {
    for (let frame = this.frame; frame >= 0; frame--) if (this.motion.found[frame * JOINTS + joint]) return true;
    return false;
  }
  drawTime() {
    const [pen, width, height] = fit(this.part("time"));
    const motion = this.motion, ink = colour("--ink"), faint = colour("--faint"), rule = colour("--rule");
    const left = (this.left = 8), right = width - 8, axis = height - 18;
    const x = (frame) => left + (frame / (T - 1)) * (right - left);
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "top";
    const band = axis / 8.4;
    const title = (text, y) => {
      pen.globalAlpha = 0.8;
      pen.fillStyle = colour("--paper");
      pen.fillRect(left, y - 1, pen.measureText(text).width + 4, 13);
      pen.globalAlpha = 1;
      pen.fillStyle = ink;
      pen.fillText(text, left, y);
    };
    const curve = (values, top, tall, low, high, style, dash, fill) => {
      pen.strokeStyle = pen.fillStyle = style;
      pen.lineWidth = 1.5;
      pen.setLineDash(dash);
      const y = (value) => top + tall - clamp((value - low) / (high - low || 1), 0, 1) * tall;
      let begun = null;
      for (let frame = 0; frame <= T; frame++) {
        const known = frame < T && values[frame] !== null;
        if (known && begun === null) { begun = frame; pen.beginPath(); pen.moveTo(x(frame), y(values[frame])); }
        else if (known) pen.lineTo(x(frame), y(values[frame]));
        else if (begun !== null) {
          if (frame - begun === 1) pen.lineTo(x(begun) + 1.5, y(values[begun]));
          pen.stroke();
          if (fill) { pen.lineTo(x(frame - 1), top + tall); pen.lineTo(x(begun), top + tall); pen.globalAlpha = 0.2; pen.fill(); pen.globalAlpha = 1; }
          begun = null;
        }
      }
      pen.setLineDash([]);
    };
    // true events behind everything
    pen.fillStyle = colour("--green");
    for (const [start, end] of this.segment.events) {
      pen.globalAlpha = 0.16;
      pen.fillRect(x(start), 0, Math.max(2, x(end) - x(start)), axis);
      pen.globalAlpha = 1;
      pen.fillRect(x(start), axis - 5, Math.max(2, x(end) - x(start)), 5);
    }
    const most = Math.max(...motion.attention);
    title(motion.hasAttention ? `attention, highest ${fixed(100 * most, 1)} % of a frame` : "attention: no network looked", 2);
    if (motion.hasAttention) curve(motion.attention, 15, 1.35 * band, 0, most, ink, [], true);
    const knownLogits = motion.logits.filter((value) => value !== null), reach = Math.max(1, ...knownLogits.map(Math.abs));
    const second = 15 + 1.35 * band + 4;
    title(knownLogits.length ? `frame log-odds, −${fixed(reach, 1)} to ${fixed(reach, 1)}; dotted: even` : "frame log-odds: none", second);
    if (knownLogits.length) {
      const top = second + 13, tall = 1.45 * band;
      pen.strokeStyle = faint; pen.lineWidth = 1; pen.setLineDash([2, 3]);
      pen.beginPath(); pen.moveTo(left, top + tall / 2); pen.lineTo(right, top + tall / 2); pen.stroke();
      curve(motion.logits, top, tall, -reach, reach, colour("--orange"), [], false);
    }
    const third = second + 13 + 1.45 * band + 4;
    const fastest = page.fastest;
    title(`speed, 0 to ${fixed(fastest, 1)} trunk lengths/s:`, third);
    let at = left + pen.measureText(`speed, 0 to ${fixed(fastest, 1)} trunk lengths/s: `).width + 6, down = third;
    page.parts.forEach((name, part) => {
      const wide = pen.measureText(name).width + 26;
      if (at + wide > right) { at = left; down += 13; }
      pen.strokeStyle = colour(LINES[part]); pen.lineWidth = 2; pen.setLineDash(DASHES[part]);
      pen.beginPath(); pen.moveTo(at, down + 6); pen.lineTo(at + 18, down + 6); pen.stroke(); pen.setLineDash([]);
      pen.fillStyle = ink; pen.fillText(name, at + 21, down);
      at += wide + 4;
    });
    const top = down + 15, gaps = axis - 16;
    page.parts.forEach((_, part) => curve(motion.speeds[part], top, gaps - top - 2, 0, fastest, colour(LINES[part]), DASHES[part], false));
    // how much of the pose was found: full height where nothing was
    pen.fillStyle = colour("--bad");
    for (let frame = 0; frame < T; frame++) {
      const lost = 1 - motion.foundPerFrame[frame] / JOINTS;
      const from = Math.max(left, x(frame) - (right - left) / T / 2);
      if (lost) pen.fillRect(from, gaps + 9 - 8 * lost, (right - left) / T + 0.5, 8 * lost);
    }
    pen.strokeStyle = rule; pen.lineWidth = 1;
    pen.beginPath(); pen.moveTo(left, gaps + 9.5); pen.lineTo(right, gaps + 9.5); pen.stroke();
    pen.fillStyle = ink;
    pen.textBaseline = "bottom";
    const each = [0.1, 0.5, 1, 2, 5, 10, 60].find((s) => T / FPS / s <= Math.max(4, width / 70)) || 60;
    for (let s = 0; s * FPS <= T; s += each) {
      const text = `${+s.toFixed(1)}${s === 0 ? " s" : ""}`;
      pen.fillText(text, clamp(x(s * FPS) - 3, left, right - 18), height - 1);
      pen.fillRect(x(s * FPS), axis, 1, 3);
    }
    pen.fillStyle = ink;
    pen.fillRect(x(this.frame) - 0.75, 0, 1.5, axis + 3);
  }
}

// ---- why, in words

function summarize(segment) {
  const reached = segment.predicted === 1, number = fixed(segment.probability, 3);
  let text = `Probability ${number}, ${reached ? "at or above" : "below"} the threshold ${fixed(segment.threshold, 3)}: called ${reached ? "positive" : "negative"}.`;
  if (segment.label !== null) {
    const right = segment.label === segment.predicted;
    text += ` Labelled ${segment.label ? "a spasm" : "no spasm"}: ${right ? "right." : reached ? "a false alarm." : "a missed spasm."}`;
  }
  if (segment.fold !== null) text += ` Answered by fold ${segment.fold}, which never saw this child.`;
  if (segment.note) text += ` ${segment.note}.`;
  if (!segment.player) return text;
  if (segment.pose_fraction > 0 && segment.pose_fraction < 1) text += ` ${fixed(100 * segment.pose_fraction, 0)} % of frames have a pose${segment.pose_fraction < 0.5 ? ": thin evidence" : ""}.`;
  if (segment.peak_s !== null) text += ` The network looked most at ${fixed(segment.peak_s)} s.`;
  for (const [start, end, kind] of segment.events) text += ` True event: ${kind || "spasm"}, ${fixed(start / FPS)} to ${fixed(end / FPS)} s.`;
  if (segment.events.length && segment.label === 0) text += " Too little of it lies inside this segment for the label of a spasm.";
  if (segment.missing_event_fraction) text += ` ${fixed(100 * segment.missing_event_fraction, 0)} % of it has no pose${segment.missing_event_fraction > 0.5 ? ": it could hardly be seen" : ""}.`;
  return text;
}
function showModels(place, segment) {
  place.replaceChildren();
  if (!segment.models.length) return;
  place.append(create("h4", "small", "What each model says by itself, and its weight in the final blend, which is calibrated again: the answer can lie beyond them."));
  const bars = create("div", "bars");
  segment.models.forEach((p, number) => {
    const bar = create("span", "bar"), inner = create("i");
    inner.style.width = `${100 * p}%`;
    bar.append(inner);
    bars.append(create("span", "", `${page.models[number][0]} (${fixed(page.models[number][1])})`), bar, create("span", "", fixed(p)));
  });
  place.append(bars);
}
function showReasons(place, segment) {
  place.replaceChildren();
  if (!segment.reasons.length) {
    if (page.has_features) place.append(create("p", "small", "LightGBM saw nothing to weigh."));
    return;
  }
  place.append(create("h4", "small", "What LightGBM weighed most, for and against a spasm. It speaks for itself alone."));
  const list = create("ol", "reasons");
  for (const [text, push, others] of segment.reasons) {
    const item = create("li");
    const size = ` (${push > 0 ? "+" : ""}${fixed(push)}${others ? ` with ${others} like it` : ""})`;
    item.append(create("b", push > 0 ? "for" : "against", push > 0 ? "▲ for: " : "▼ against: "), text, size);
    list.append(item);
  }
  place.append(list);
}
