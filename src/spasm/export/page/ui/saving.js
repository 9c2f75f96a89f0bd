// What the visitor saves: the moments as CSV, the poses as .npy, a picture whose heads are pixelated.
import { PageProblem } from "../core/problem.js";
import { eventsCsv, posesNpy, savedName } from "../core/saving.js";
import { clock, el, make, probability, text } from "./dom.js";
import { FPS } from "./player.js";
import { FACE, drawPose, headCircle, place } from "./skeleton.js";

const AROUND_S = 0.35;  // a head is pixelated where it was found this long before or after the picture
const LARGER = 1.9;  // than the circle of the head
const BLOCKS = 7;  // across a head, too few to recognise a face

export function download(name, content, type) {
  const link = make("a", { href: URL.createObjectURL(new Blob([content], { type })), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  el("#saving").textContent = text("save.saved", { file: name });
}

export function saveCsv({ recording, prediction, info }) {
  download(savedName(recording.name, "events.csv"), eventsCsv(recording.name, prediction, info.simulated), "text/csv");
}
export function savePoses({ recording }) {
  download(savedName(recording.name, "poses.npy"), posesNpy(recording.people[recording.child]), "application/octet-stream");
}

// The picture that is shown, with every head that was found near it pixelated, as a PNG. Throws where the child has none.
export async function saveStill({ recording, prediction, info }, player) {
  const { video } = player, time = player.frame / FPS, values = { file: recording.name, time: clock(time, true) };
  if (!player.hasVideo || !video.videoWidth) throw new PageProblem("noPicture", values);
  player.pause();
  await settled(video);
  if (!player.hasVideo || player.isElsewhere()) throw new PageProblem("noPicture", values);  // the heads would be elsewhere too
  const canvas = make("canvas"), [width, height] = [video.videoWidth, video.videoHeight], pen = canvas.getContext("2d");
  Object.assign(canvas, { width, height });
  pen.drawImage(video, 0, 0, width, height);
  const heads = headsNear(recording, recording.startS + time, width, height);
  if (!heads.some(({ isChild }) => isChild)) throw new PageProblem("noFace", values);
  for (const { circle } of heads) pixelate(pen, ...circle);
  const line = Math.max(2.5, Math.min(width, height) / 120);
  drawPose(pen, player.poseOf(recording.child), ([x, y]) => [x * width, y * height], { left: "#56c1ff", right: "#ffa657", middle: "#ffffff", halo: "#000000b0" }, line);
  stamp(pen, width, height, [text("save.stillFacts", { time: values.time, probability: probabilityAt(prediction, time) }), ...(info.simulated ? [text("save.stamp")] : [])]);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  download(savedName(recording.name, `${Math.round(time * 10)}.png`), blob, "image/png");
}
const settled = (video) => (video.seeking ? new Promise((resolve) => video.addEventListener("seeked", resolve, { once: true })) : Promise.resolve());
const probabilityAt = ({ curve }, time) => {
  const value = curve[Math.min(curve.length - 1, Math.floor(time * 10 + 1e-6))];
  return value === value ? probability(value) : text("plot.unseen");
};

// The circles of the heads of all people, also of those who only pass by, within AROUND_S of a time.
function headsNear({ everyone, persons, child, timesS }, time, width, height) {
  const heads = [];
  for (const person of everyone) {
    const isChild = person === persons[child];
    person.rows.forEach(({ frame, detection }) => {
      if (Math.abs(timesS[frame] - time) > AROUND_S) return;
      const at = (landmark) => { const found = place(detection.pose, landmark); return found && [found[0] * width, found[1] * height]; };
      const circle = headCircle(at) ?? aroundFew(FACE.map(at).filter(Boolean), width, height);
      if (circle) heads.push({ isChild, circle: [circle[0], circle[1], circle[2] * LARGER] });
    });
  }
  return heads;
}
// One or two landmarks of a face do not give its size.
const aroundFew = (points, width, height) => (points.length ? [...points[0], 0.12 * Math.min(width, height)] : null);

function pixelate(pen, x, y, radius) {
  const { width, height } = pen.canvas;
  const [left, top] = [Math.max(0, Math.floor(x - radius)), Math.max(0, Math.floor(y - radius))];
  const [wide, tall] = [Math.min(width, Math.ceil(x + radius)) - left, Math.min(height, Math.ceil(y + radius)) - top];
  if (wide < 1 || tall < 1) return;
  const small = document.createElement("canvas");
  Object.assign(small, { width: Math.max(1, Math.round((BLOCKS * wide) / (2 * radius))), height: Math.max(1, Math.round((BLOCKS * tall) / (2 * radius))) });
  const smaller = small.getContext("2d");
  smaller.imageSmoothingQuality = "high";
  smaller.drawImage(pen.canvas, left, top, wide, tall, 0, 0, small.width, small.height);
  pen.imageSmoothingEnabled = false;
  pen.drawImage(small, 0, 0, small.width, small.height, left, top, wide, tall);
  pen.imageSmoothingEnabled = true;
}
// Lines of text on a band at the lower edge; the last one in red where there are two.
function stamp(pen, width, height, lines) {
  const size = Math.max(13, Math.round(width / 42)), tall = size * 1.6;
  pen.textBaseline = "middle";
  lines.forEach((line, number) => {
    const top = height - (lines.length - number) * tall;
    pen.fillStyle = number ? "#b00020" : "#000000c8"; pen.fillRect(0, top, width, tall);
    pen.fillStyle = "#ffffff"; pen.font = `${number ? "bold " : ""}${size}px system-ui, sans-serif`;
    pen.fillText(line, size * 0.6, top + tall / 2, width - size * 1.2);
  });
}
