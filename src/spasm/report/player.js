// ---- the player: a segment that is unpacked when it is opened, as player_data.py packed it

async function unpack(player) {
  const bytes = await inflate(player.data), { rest, ...poses } = unpackPoses(bytes, T, player.box);
  const known = (b, frame) => b && poses.foundPerFrame[frame];  // nothing is known without a pose
  const logits = Array.from(bytes.subarray(rest + T, rest + 2 * T), (b, frame) => (known(b, frame) ? ((b - 128) / 127) * 8 : null));
  const speeds = page.parts.map((_, part) => Array.from(
    bytes.subarray(rest + (2 + part) * T, rest + (3 + part) * T), (b, frame) => (known(b, frame) ? ((b - 1) / 254) * player.speed : null)));
  const attention = Array.from(bytes.subarray(rest, rest + T));
  const total = attention.reduce((sum, value) => sum + value, 0);
  const fractions = attention.map((value) => (total ? value / total : 0));
  return { ...poses, logits, speeds, attention: fractions, hasAttention: networks.length > 0 && total > 0 };
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
    this.stage = new PoseStage(this.part("pose"));
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
    this.stage.show(motion, segment.player.size);
    this.part("relative").disabled = !this.stage.hips;
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
  drawPose() {
    if (!this.motion || !this.root.isConnected) return;
    this.part("lost").hidden = this.motion.foundPerFrame[this.frame] > 0;
    this.stage.draw(this.frame, this.part("mirror").checked, this.part("relative").checked);
  }
}
