// ---- the player: a segment that is unpacked when it is opened, as player_data.py packed it

async function unpack(player) {
  const packed = Uint8Array.from(atob(player.data), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const count = T * JOINTS, bits = Math.ceil(count / 8);
  const found = new Uint8Array(count), x = new Float32Array(count), y = new Float32Array(count), depth = new Float32Array(count);
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
  const depths = bits + 4 * count, rest = depths + count;
  for (let joint = 0; joint < JOINTS; joint++) {
    let at = 0;
    for (let frame = 0; frame < T; frame++) {
      const i = frame * JOINTS + joint;
      at = (at + bytes[depths + i]) & 255;
      depth[i] = (at > 127 ? at - 256 : at) * page.depth_step;
    }
  }
  const counts = countFound(found), known = (b, frame) => b && counts.foundPerFrame[frame];  // nothing is known without a pose
  const logits = Array.from(bytes.subarray(rest + T, rest + 2 * T), (b, frame) => (known(b, frame) ? ((b - 128) / 127) * 8 : null));
  const speeds = page.parts.map((_, part) => Array.from(
    bytes.subarray(rest + (2 + part) * T, rest + (3 + part) * T), (b, frame) => (known(b, frame) ? ((b - 1) / 254) * player.speed : null)));
  const attention = Array.from(bytes.subarray(rest, rest + T));
  const total = attention.reduce((sum, value) => sum + value, 0);
  const fractions = attention.map((value) => (total ? value / total : 0));
  return { found, x, y, depth, logits, speeds, attention: fractions, hasAttention: networks.length > 0 && total > 0, ...counts };
}
// How many landmarks each frame has, and the first frame of each landmark: T if it is never found.
function countFound(found) {
  const foundPerFrame = new Uint8Array(T), firstFrame = new Uint16Array(JOINTS).fill(T);
  for (let i = found.length - 1; i >= 0; i--) {
    if (!found[i]) continue;
    foundPerFrame[Math.floor(i / JOINTS)]++;
    firstFrame[i % JOINTS] = Math.floor(i / JOINTS);
  }
  return { foundPerFrame, firstFrame };
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

const HOLD = 12;  // frames for which the last one stays before a loop begins again

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
    this.part("scrub").oninput = (event) => this.jump(+event.target.value);
    this.part("mirror").onchange = this.part("relative").onchange = () => this.drawPose();
    this.part("previous").onclick = () => this.step(-1);
    this.part("next").onclick = () => this.step(1);
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.strip = new TimeStrip(this.part("time"), (frame) => this.jump(frame));
    new ResizeObserver(() => this.draw()).observe(this.part("pose"));
    this.shown = () => {};
    if (rows.length) this.step(0);
    else this.root.replaceChildren(create("p", "", "None."));
  }
  key(event) {
    const typing = event.target.matches("select, input[type=checkbox], button, summary");
    if (event.key === " " && !typing) { this.toggle(); event.preventDefault(); }
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -T, End: T };
    if (event.key in steps && !event.target.matches("select")) {
      this.jump(this.frame + steps[event.key]);
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
    this.part("place").textContent = `segment ${this.at + 1} of ${rows.length}`;
    return this.show(rows[this.at]);
  }
  async show(row) {
    this.stop();
    const segment = page.segments[row];
    this.segment = segment;
    this.motion = null;
    let motion;
    try { motion = await unpack(segment.player); }
    catch (error) { this.part("segment-title").textContent = `${segment.name} cannot be shown: this browser is too old (${error}). Update it.`; return; }
    if (this.segment !== segment) return;  // another one was requested meanwhile
    this.motion = motion;
    this.hips = hipsOf(motion);
    this.views = {};
    this.part("relative").disabled = !this.hips;
    this.fresh = true;
    this.shown(row);
    this.part("segment-title").textContent = `Child ${page.children[segment.child]}, segment ${segment.name}`;
    showVerdict(this.part("summary"), segment);
    showRemarks(this.part("remarks"), segment);
    showModels(this.part("models"), segment);
    showReasons(this.part("reasons"), segment);
    this.root.dataset.segment = segment.name;
    this.strip.show(motion, segment);
    this.seek(this.opening());
  }
  // The frame that a segment is first shown at: highest attention, or else the true event, or the first pose.
  opening() {
    const { segment, motion } = this, first = Math.max(0, motion.foundPerFrame.findIndex((count) => count > 0));
    if (segment.peak_s !== null) return Math.round(segment.peak_s * FPS);
    return segment.events.length ? Math.round((segment.events[0][0] + segment.events[0][1]) / 2) : first;
  }
  toggle() { if (this.playing) this.stop(); else this.play(); }
  play() {
    if (!this.motion) return;
    if (this.fresh || this.frame >= T - 1) this.frame = 0;  // playing begins at the start, not at the frame shown first
    this.fresh = false;
    this.playing = true;
    this.part("play").textContent = "❚❚ pause";
    let last = null, at = this.frame;
    const tick = (now) => {
      if (!this.playing) return;
      if (last !== null) at += ((now - last) / 1000) * FPS * +this.part("rate").value;
      last = now;
      const loop = this.part("loop").checked;
      if (at >= T - 1 && !loop) { this.seek(T - 1); this.stop(); return; }
      if (at >= T - 1 + HOLD) at = 0;
      if (Math.floor(at) !== this.frame) this.seek(Math.floor(at));
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }
  stop() { this.playing = false; this.part("play").textContent = "▶ play"; }
  // What the user does: it stops playing.
  jump(frame) { this.stop(); this.fresh = false; this.seek(frame); }
  seek(frame) {
    this.frame = clamp(frame, 0, T - 1);
    this.part("scrub").value = this.frame;
    this.part("scrub").setAttribute("aria-valuetext", `${fixed(this.frame / FPS)} seconds`);
    if (!this.motion) return;
    this.drawPose();
    this.strip.move(this.frame);
    this.part("values").textContent = this.values();
  }
  draw() { this.drawPose(); this.strip.draw(); }
  values() {
    const { motion, frame } = this, words = [`${seconds(frame)} (frame ${frame})`, `${motion.foundPerFrame[frame]} of ${JOINTS} landmarks found`];
    const shown = motion.foundPerFrame[frame] && !this.segment.too_little_seen;
    if (motion.hasAttention && shown) words.push(`attention ${percent(motion.attention[frame], 1)}`);
    if (motion.logits[frame] !== null && shown) words.push(`frame probability ${fixed(logistic(motion.logits[frame]))}`);
    const moving = page.parts.map((name, part) => (motion.speeds[part][frame] === null ? null : `${name} ${fixed(motion.speeds[part][frame])}`)).filter(Boolean);
    if (moving.length) words.push(`speed ${moving.join(", ")} trunk lengths/s`);
    return words.join(" · ");
  }
  // Where landmark i of all frames is: in picture heights, from the hips if they are held still.
  place(i, frame, relative) {
    const [x0, y0] = relative ? this.hips[frame] : [0, 0];
    return [(this.motion.x[i] - x0) * page.aspect, this.motion.y[i] - y0];
  }
  // The middle, width and height of all poses of the segment.
  view(relative) {
    if (this.views[relative]) return this.views[relative];
    const lows = [Infinity, Infinity], highs = [-Infinity, -Infinity], margin = 0.4 * this.segment.player.size;  // a head reaches beyond its landmarks
    for (let i = 0; i < this.motion.found.length; i++) {
      if (!this.motion.found[i]) continue;
      this.place(i, Math.floor(i / JOINTS), relative).forEach((value, axis) => {
        lows[axis] = Math.min(lows[axis], value - margin);
        highs[axis] = Math.max(highs[axis], value + margin);
      });
    }
    const middle = lows.map((low, axis) => (low + highs[axis]) / 2), extent = lows.map((low, axis) => Math.max(highs[axis] - low, 1e-6));
    return (this.views[relative] = { middle, extent, empty: lows[0] === Infinity });
  }
  drawPose() {
    if (!this.motion || !this.root.isConnected) return;
    const { motion, frame } = this, [pen, width, height] = fit(this.part("pose")), mirror = this.part("mirror").checked ? -1 : 1;
    const relative = this.part("relative").checked && this.hips !== null, { middle, extent, empty } = this.view(relative);
    this.part("lost").hidden = motion.foundPerFrame[frame] > 0;
    if (empty) return;
    const scale = Math.min((width - 16) / extent[0], (height - 16) / extent[1]), first = frame * JOINTS;
    const at = (joint) => {
      const [x, y] = this.place(first + joint, frame, relative);
      return [width / 2 + (x - middle[0]) * mirror * scale, height / 2 + (y - middle[1]) * scale];
    };
    const state = (joint) => (motion.found[first + joint] ? 2 : motion.firstFrame[joint] <= frame ? 1 : 0);
    drawBody(pen, at, state, (joint) => motion.depth[first + joint], this.segment.player.size * scale);
  }
}
