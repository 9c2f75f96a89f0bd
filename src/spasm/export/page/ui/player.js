// The video with the skeletons on it, or the skeletons alone: play, step, speed, and which person was tapped.
import { clamp, clock, colour, el, fit, text } from "./dom.js";
import { boxAround, boxToPixels, countFound, drawPose, headCircle, place, VALUES } from "./skeleton.js";

export const FPS = 30;
const JUST_AFTER_S = 0.002;  // a seek to the very time of a picture can show the one before it
const ELSEWHERE_S = 0.5;  // a picture further from the time of the poses is of another moment
const SAMPLED = 2000;  // frames that decide which part of the picture is shown
const TAP = 0.06;  // of the picture: how far beside a person a tap still means them
const OTHERS = 0.45;  // strength of the people who are not the child

export class Player {
  // moved(frame): after every change; tapped(x, y, frame): a place in fractions of the picture.
  constructor(moved, tapped) {
    Object.assign(this, { moved, tapped, recording: null, frame: 0, playing: false, ready: null });
    this.video = el("#video"); this.canvas = el("#skeleton"); this.stage = el("#stage");
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    this.canvas.addEventListener("click", (event) => this.tap(event));
    el("#play").onclick = () => this.toggle();
    el("#back").onclick = () => this.jump(this.frame - 1);
    el("#forward").onclick = () => this.jump(this.frame + 1);
    el("#speed").onchange = () => { this.video.playbackRate = this.speed; };
    el("#show").onchange = () => this.arrange();
    this.video.addEventListener("error", () => this.withoutVideo());
    this.video.addEventListener("loadeddata", () => this.seekVideo());  // earlier, Chromium keeps showing the first picture
    this.video.addEventListener("seeked", () => { if (!this.playing && this.isElsewhere()) this.withoutVideo(); });
    this.video.addEventListener("ended", () => this.pause());
  }
  get speed() { return +el("#speed").value; }
  get hasVideo() { return Boolean(this.recording?.url); }
  get showsVideo() { return this.hasVideo && el("#show").value !== "skeleton"; }
  get showsSkeleton() { return !this.hasVideo || el("#show").value !== "video"; }

  // recording: {frames, people: [Float32Array], child, picture, url, startS}; people are at FPS, the child is one of them.
  open(recording) {
    this.close();
    Object.assign(this, { recording, frame: 0 });
    const [width, height] = recording.picture, body = recording.url ? null : this.bodyBox(recording);
    // A pose file does not say how wide its picture was: only the part with the body is shown.
    this.box = body;
    this.aspect = width / height;
    const shape = body ? clamp(((body[2] - body[0]) * this.aspect) / (body[3] - body[1]), 0.8, 1.6) : this.aspect;
    this.stage.style.aspectRatio = String(shape);
    this.stage.style.maxWidth = `min(100%, calc(50vh * ${shape}))`;
    el("#player-heading").textContent = text(recording.url ? "player.heading" : "player.headingPoses");
    el("#no-video").hidden = true;
    if (recording.url) this.video.src = recording.url;
    this.arrange();
    this.jump(0);
  }
  close() {
    this.pause();
    this.recording = null;
    this.video.removeAttribute("src");
    this.video.load();
  }
  withoutVideo() {
    if (!this.hasVideo) return;
    this.recording.url = null;
    el("#no-video").hidden = false;
    this.arrange();
  }
  bodyBox({ people, child }) {
    const frames = people[child].length / VALUES;
    return boxAround(people[child], 0, frames, Math.ceil(frames / SAMPLED)) ?? [0, 0, 1, 1];
  }
  arrange() {
    for (const one of ["#show-label", "#check"]) el(one).hidden = !this.hasVideo;
    this.video.classList.toggle("unseen", !this.showsVideo);
    this.draw();
  }

  // ---- time

  jump(frame) { this.pause(); this.seek(frame); }
  seek(frame) {
    if (!this.recording) return;
    this.frame = clamp(Math.round(frame), 0, this.recording.frames - 1);
    this.seekVideo();
    this.draw();
    this.moved(this.frame);
  }
  seekVideo() {
    if (this.hasVideo && this.video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) this.video.currentTime = this.recording.startS + this.frame / FPS + JUST_AFTER_S;
  }
  // Whether the browser could not show the video at the time of the poses, such as after the end that a file claims.
  isElsewhere() {
    return this.hasVideo && Math.abs(this.video.currentTime - this.recording.startS - this.frame / FPS) > ELSEWHERE_S;
  }
  toggle() { if (this.playing) this.pause(); else this.play(); }
  play() {
    if (!this.recording) return;
    if (this.frame >= this.recording.frames - 1) this.seek(0);
    this.playing = true;
    this.label();
    if (this.hasVideo) {
      this.video.playbackRate = this.speed;
      this.video.play().catch(() => this.pause());
    }
    let last = null, at = this.frame;
    const tick = (now) => {
      if (!this.playing) return;
      if (this.hasVideo) at = (this.video.currentTime - this.recording.startS) * FPS;
      else if (last !== null) at += ((now - last) / 1000) * FPS * this.speed;
      last = now;
      const frame = clamp(Math.floor(at), 0, this.recording.frames - 1);
      if (frame !== this.frame) { this.frame = frame; this.draw(); this.moved(frame); }
      if (at >= this.recording.frames - 1) { this.pause(); return; }
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }
  pause() {
    this.playing = false;
    this.video.pause();
    this.label();
    if (this.recording) this.moved(this.frame);
  }
  label() {
    const playing = this.playing;
    el("#play").textContent = text(playing ? "player.pause" : "player.play");
    el("#play").classList.toggle("playing", playing);
  }

  // ---- picture

  poseOf(person, frame = this.frame) {
    return this.recording.people[person].subarray(frame * VALUES, (frame + 1) * VALUES);
  }
  toPixels(width, height) {
    return this.box ? boxToPixels(this.box, this.aspect, width, height, 0.08) : ([x, y]) => [x * width, y * height];
  }
  draw() {
    const { recording } = this;
    if (!recording) return;
    const [pen, width, height] = fit(this.canvas), toPixels = this.toPixels(width, height);
    const line = clamp(Math.min(width, height) / 110, 2.5, 5), halo = this.showsVideo ? "#000000b0" : null;
    const [left, right, middle] = this.showsVideo ? ["#56c1ff", "#ffa657", "#ffffff"] : ["--left", "--right", "--ink"].map(colour);
    recording.people.forEach((_, person) => {
      const pose = this.poseOf(person), isChild = person === recording.child;
      if (this.showsSkeleton) drawPose(pen, pose, toPixels, { left, right, middle, halo }, isChild ? line : line * 0.7, isChild ? 1 : OTHERS);
      if (recording.people.length > 1) this.outline(pen, pose, person, toPixels, isChild);
    });
    const found = countFound(this.poseOf(recording.child)), time = clock(this.frame / FPS, true);
    const state = found ? text("player.found", { count: found }) : text("player.missing");
    if (!found && !this.showsVideo) {
      pen.fillStyle = colour("--faint"); pen.font = "15px system-ui, sans-serif"; pen.textAlign = "center";
      pen.fillText(state, width / 2, height / 2);
    }
    this.canvas.setAttribute("aria-label", text("player.stage", { time, state }));
    el("#clock").textContent = `${text("player.time", { time, total: clock((recording.frames - 1) / FPS, true) })} · ${state}`;
  }
  // The outline of a person with a number, the child's stronger.
  outline(pen, pose, person, toPixels, isChild) {
    const at = (landmark) => { const found = place(pose, landmark); return found && toPixels(found); };
    const body = boxAround(pose, 0, 1);
    if (!body) return;
    const [left, top] = toPixels([body[0], body[1]]), [right, bottom] = toPixels([body[2], body[3]]), head = headCircle(at);
    const accent = "#ffe14d", low = head ? Math.min(top, head[1] - head[2]) : top, pad = 6;
    pen.save();
    for (const [style, thick] of isChild ? [["#000000c0", 5], [accent, 2.5]] : [["#00000080", 3], ["#e8e8ee", 1.2]]) {
      pen.strokeStyle = style; pen.lineWidth = thick;
      pen.strokeRect(left - pad, low - pad, right - left + 2 * pad, bottom - low + 2 * pad);
    }
    pen.font = "bold 15px system-ui, sans-serif";
    const words = text("people.number", { number: person + 1 }), wide = pen.measureText(words).width + 12, x = clamp(left - pad, 0, this.canvas.clientWidth - wide);
    const y = clamp(low - pad - 22, 0, this.canvas.clientHeight - 22);
    pen.fillStyle = isChild ? accent : "#e8e8ee"; pen.fillRect(x, y, wide, 22);
    pen.fillStyle = "#111111"; pen.textBaseline = "middle"; pen.fillText(words, x + 6, y + 12);
    pen.restore();
  }
  tap(event) {
    if (!this.recording) return;
    const bounds = this.canvas.getBoundingClientRect();
    if (this.recording.people.length < 2) { this.toggle(); return; }
    const [x, y] = [(event.clientX - bounds.left) / bounds.width, (event.clientY - bounds.top) / bounds.height];
    const isOn = this.recording.people.some((_, person) => {
      const box = boxAround(this.poseOf(person), 0, 1);
      return box && x > box[0] - TAP && x < box[2] + TAP && y > box[1] - TAP && y < box[3] + TAP;
    });
    if (isOn) this.tapped(x, y, this.frame);
  }
}
