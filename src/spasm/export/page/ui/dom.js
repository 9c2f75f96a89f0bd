// Elements, the texts of texts.js with their values, numbers and times. Text from files only ever becomes textContent.
import { direction, language, texts } from "../texts.js";

const plurals = new Intl.PluralRules(language);

export const el = (selector, within = document) => within.querySelector(selector);
export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// A text by its path in texts.js, such as "start.choose", with values for its {names}.
export function text(path, values = {}) {
  const found = path.split(".").reduce((place, key) => place?.[key], texts);
  if (found === undefined) throw new Error(`no text ${path}`);
  return filled(found, values);
}
export function filled(found, values) {
  const pattern = typeof found === "string" ? found : found[plurals.select(values.count)] ?? found.other;
  return pattern.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? shown(values[name]) : whole));
}
const shown = (value) => (typeof value === "number" ? upToHundredths(value) : String(value));

export function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "text") made.textContent = value;
    else if (key === "class") made.className = value;
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

// Fills what index.html names: data-text for the content, data-label for the name that a screen reader speaks.
export function fillTexts() {
  document.documentElement.lang = language;
  document.documentElement.dir = direction;
  document.title = text("title");
  for (const one of document.querySelectorAll("[data-text]")) one.textContent = text(one.dataset.text);
  for (const one of document.querySelectorAll("[data-label]")) one.setAttribute("aria-label", text(one.dataset.label));
}

// ---- numbers and times

const number = (digits) => {
  const format = new Intl.NumberFormat(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return (value) => format.format(value);
};
export const whole = number(0);
const upTo = (digits) => {
  const format = new Intl.NumberFormat(language, { maximumFractionDigits: digits });
  return (value) => format.format(value);
};
const [upToTenths, upToHundredths] = [upTo(1), upTo(2)];
export const hundredths = number(2);
const percents = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 0 });
export const percent = (fraction) => percents.format(clamp(fraction, 0, 1));

// A probability never reads 1.00 or 0.00 where it is less or more.
export function probability(value) {
  return hundredths(value > 0 && value < 1 ? clamp(value, 0.01, 0.99) : value);
}
// 0:06, 1:02:03, with tenths 0:06.4
export function clock(seconds, withTenths = false) {
  const tenthsOf = Math.floor(seconds * 10 + 1e-6), [hours, minutes, rest] = [Math.floor(tenthsOf / 36000), Math.floor(tenthsOf / 600) % 60, tenthsOf % 600];
  const of = String(Math.floor(rest / 10)).padStart(2, "0") + (withTenths ? `.${rest % 10}` : "");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${of}` : `${minutes}:${of}`;
}
// 0.4 s, 41 s, 12 min 5 s, 3 h 20 min
export function duration(seconds) {
  const rounded = Math.round(seconds), [hours, minutes] = [Math.floor(rounded / 3600), Math.floor(rounded / 60) % 60];
  const unit = (name, count) => text(`units.${name}`, { count });
  if (seconds < 9.95) return unit("seconds", upToTenths(seconds));
  if (rounded < 120) return unit("seconds", rounded);
  const parts = hours ? [["hours", hours], ["minutes", minutes]] : [["minutes", minutes], ["seconds", rounded % 60]];
  return parts.filter(([, count]) => count).map(([name, count]) => unit(name, count)).join(" ");
}

// ---- canvases

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Fits a canvas to its place on the page; returns its pen and its size in CSS pixels.
export function fit(canvas) {
  const [width, height, ratio] = [canvas.clientWidth, canvas.clientHeight, window.devicePixelRatio || 1];
  return sized(canvas, width, height, ratio);
}
export function sized(canvas, width, height, ratio) {
  const [wide, tall] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== wide || canvas.height !== tall) Object.assign(canvas, { width: wide, height: tall });
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return [pen, width, height];
}
