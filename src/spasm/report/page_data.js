"use strict";
// What all scripts of the page share. They load nothing; text from the data is set as text, never as HTML.
const page = JSON.parse(document.getElementById("data").textContent);
const T = page.frames, JOINTS = page.landmarks.length, FPS = page.fps;
const el = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
function create(tag, name, text) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
}
const fixed = (value, digits = 2) => value.toFixed(digits).replace("-", "−");
const percent = (fraction, digits = 0) => `${fixed(100 * fraction, digits)}\u00a0%`;
const unbroken = (text) => text.replaceAll(" %", "\u00a0%");
const seconds = (frame) => `${fixed(frame / FPS)} s`;
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// A canvas in the pixels of the screen, cleared: its pen, width and height in CSS pixels.
function fit(canvas) {
  const box = canvas.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
  const width = Math.round(box.width * ratio), height = Math.round(box.height * ratio);
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, box.width, box.height);
  return [pen, box.width, box.height];
}
// First and last frame of every run of values that are known.
function knownRuns(values) {
  const runs = [];
  values.forEach((value, frame) => {
    if (value === null) return;
    const last = runs[runs.length - 1];
    if (last && last[1] === frame - 1) last[1] = frame;
    else runs.push([frame, frame]);
  });
  return runs;
}
function hatch(pen, left, top, width, height) {
  pen.save();
  pen.beginPath(); pen.rect(left, top, width, height); pen.clip();
  pen.fillStyle = pen.strokeStyle = colour("--faint"); pen.lineWidth = 1;
  pen.globalAlpha = 0.15; pen.fillRect(left, top, width, height);
  pen.globalAlpha = 0.6;
  pen.beginPath();
  for (let x = left - height; x < left + width; x += 6) { pen.moveTo(x, top + height); pen.lineTo(x + height, top); }
  pen.stroke();
  pen.restore();
}
