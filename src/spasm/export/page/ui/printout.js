// One page for a doctor: what was seen, the moments, the plot, the pose at these moments, the model and its limits.
import { shorten } from "../core/problem.js";
import { language } from "../texts.js";
import { clock, duration, el, hundredths, make, probability, sized, text } from "./dom.js";
import { FPS } from "./player.js";
import { drawPlot, PRINT_COLOURS } from "./plot.js";
import { boxAround, boxToPixels, drawPose, nearestPose, VALUES } from "./skeleton.js";
import { metricWords, noteWords, resultWords } from "./words.js";

const MOST_ROWS = 8, MOST_STILLS = 4;  // that fit the page
const PLOT = [700, 150], STILL = [165, 112], SHARPER = 2;  // CSS pixels, and device pixels for each
const INK = { left: "#0072b2", right: "#c4500a", middle: "#000000", halo: null };

// The most probable moments, in the order of time; without any, the highest probability.
export function printedMoments({ events, highest, highestS, tooLittle }) {
  if (events.length) return [...events].sort((a, b) => b.peak - a.peak).slice(0, MOST_ROWS).sort((a, b) => a.onsetS - b.onsetS);
  return tooLittle ? [] : [{ onsetS: highestS, offsetS: highestS, peak: highest.probability, isHighest: true }];
}

export function fillPrintout({ recording, prediction, info }) {
  const moments = printedMoments(prediction), words = resultWords(prediction, info, recording.isStill);
  const line = (name) => make("p", { class: "line" }, make("span", { text: text(`printout.${name}`) }), make("i"));
  const printed = new Intl.DateTimeFormat(language, { dateStyle: "long", timeStyle: "short" }).format(new Date());
  const list = (lines) => make("ul", {}, ...lines.map((one) => make("li", { text: one })));
  const about = {
    ...info.trained_on, run: info.run, threshold: hundredths(info.threshold),
    sensitivity: metricWords(info.metrics.sensitivity), specificity: metricWords(info.metrics.specificity),
  };
  const parts = [
    ...(info.simulated ? [make("p", { class: "stamp", text: text("simulated") })] : []),
    make("p", { class: "doctor", text: text("doctor") }),
    make("h1", { text: text("printout.heading") }),
    make("div", { class: "lines" }, line("name"), line("born")),
    make("p", { class: "facts", text: [`${text("printout.recording")}: ${shorten(recording.name)}`, `${text("printout.printed")}: ${printed}`].join(" · ") }),
    make("p", { class: "headline", text: words.headline }),
    list([...words.lines, ...personWords(recording), ...noteWords(recording)]),
  ];
  if (!prediction.tooLittle) {
    const draw = (pen, width, height) => drawPlot(pen, width, height, prediction, 0, prediction.durationS, PRINT_COLOURS);
    parts.push(make("h2", { text: text("printout.plot") }), canvas(PLOT, "plot", text("printout.plot"), draw));
    parts.push(make("p", { class: "small", text: text("printout.plotLegend", { threshold: hundredths(prediction.threshold), window: duration(prediction.windowS) }) }));
  }
  if (prediction.events.length) parts.push(...eventTable(prediction, moments));
  if (moments.length) {
    const stills = stillMoments(moments).map((moment) => still(recording, moment));
    parts.push(make("h2", { text: text("printout.stills") }), make("div", { class: "stills" }, ...stills));
  }
  parts.push(
    make("h2", { text: text("printout.model") }),
    make("p", { text: text(info.simulated ? "printout.modelSimulated" : "printout.modelText", about) }),
    make("p", { class: "warning", text: info.warning }),
    make("h2", { text: text("printout.remarks") }),
    make("div", { class: "remarks" }, make("i"), make("i")),
  );
  el("#printout").replaceChildren(...parts);
}
const personWords = ({ people, child }) => (people.length > 1 ? [text("printout.person", { number: child + 1, count: people.length })] : []);

function eventTable(prediction, moments) {
  const heads = ["onset", "offset", "probability"].map((name) => make("th", { scope: "col", text: text(`printout.${name}`) }));
  const cells = ({ onsetS, offsetS, peak }) => [clock(onsetS, true), clock(offsetS, true), probability(peak)];
  const rows = moments.map((moment) => make("tr", {}, ...cells(moment).map((cell) => make("td", { text: cell }))));
  const more = prediction.events.length - moments.length;
  return [
    make("h2", { text: text("printout.events") }),
    make("table", {}, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows)),
    make("p", { class: "small", text: `${text("printout.from")} ${text("events.when")} ${more > 0 ? text("events.more", { count: more }) : ""}` }),
  ];
}
const stillMoments = (moments) => [...moments].sort((a, b) => b.peak - a.peak).slice(0, MOST_STILLS).sort((a, b) => a.onsetS - b.onsetS);

// The pose in the middle of a moment, or the nearest one that was found, as a figure.
function still(recording, { onsetS, offsetS, isHighest }) {
  const poses = recording.people[recording.child], aspect = recording.picture[0] / recording.picture[1];
  const wanted = Math.min(recording.frames - 1, Math.round(((onsetS + offsetS) / 2) * FPS)), frame = nearestPose(poses, wanted, recording.frames);
  const time = clock(frame / FPS, true);
  const made = canvas(STILL, "still", text("player.stage", { time, state: "" }), (pen, width, height) => {
    const pose = poses.subarray(frame * VALUES, (frame + 1) * VALUES), box = boxAround(pose, 0, 1);
    if (box) drawPose(pen, pose, boxToPixels(box, aspect, width, height), INK, 3);
  });
  return make("figure", {}, made, make("figcaption", { text: isHighest ? text("printout.stillHighest", { time }) : time }));
}
function canvas([width, height], name, label, draw) {
  const made = make("canvas", { class: name, role: "img", "aria-label": label });
  draw(...sized(made, width, height, SHARPER));
  return made;
}
