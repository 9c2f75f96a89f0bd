// A pose as lines on a canvas: the child's left and right in two colours, the head as a circle without a face.

export const LANDMARKS = 33, VALUES = LANDMARKS * 5;
const [LEFT_EAR, RIGHT_EAR, LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP] = [7, 8, 11, 12, 23, 24];
export const FACE = Array.from({ length: 11 }, (_, i) => i);
const LEFT = [[11, 13], [13, 15], [15, 17], [15, 19], [15, 21], [11, 23], [23, 25], [25, 27], [27, 29], [29, 31], [27, 31]];
const RIGHT = [[12, 14], [14, 16], [16, 18], [16, 20], [16, 22], [12, 24], [24, 26], [26, 28], [28, 30], [30, 32], [28, 32]];
const MIDDLE = [[11, 12], [23, 24]];
const GUESSED = 0.5;  // visibility below which a landmark is only guessed
const HEAD = 0.65;  // of the extent of the face: the radius of the head's circle

// The place of a landmark in fractions of the picture, or null.
export function place(pose, landmark) {
  const [x, y] = [pose[landmark * 5], pose[landmark * 5 + 1]];
  return Number.isFinite(x) && Number.isFinite(y) ? [x, y] : null;
}
export function countFound(pose) {
  let count = 0;
  for (let i = 0; i < LANDMARKS; i++) if (place(pose, i)) count++;
  return count;
}
const mean = (points) => points.reduce(([a, b], [x, y]) => [a + x / points.length, b + y / points.length], [0, 0]);

// The circle of the head in pixels: [x, y, radius], or null. at(landmark): pixels or null.
export function headCircle(at) {
  const face = FACE.map(at).filter(Boolean);
  if (face.length < 3) return null;
  const middle = mean([at(LEFT_EAR), at(RIGHT_EAR)].every(Boolean) ? [at(LEFT_EAR), at(RIGHT_EAR), mean(face)] : face);
  let widest = 0;
  for (const a of face) for (const b of face) widest = Math.max(widest, Math.hypot(a[0] - b[0], a[1] - b[1]));
  const shoulders = [at(LEFT_SHOULDER), at(RIGHT_SHOULDER)], hips = [at(LEFT_HIP), at(RIGHT_HIP)];
  // From the side a face is narrow: no head is smaller than a fifth of the trunk.
  const trunk = [...shoulders, ...hips].every(Boolean) ? Math.hypot(...[0, 1].map((axis) => mean(shoulders)[axis] - mean(hips)[axis])) : 0;
  return [...middle, Math.max(HEAD * widest, 0.2 * trunk)];
}

// Draws one pose (33 x 5). toPixels([x, y]) places it; colours: {left, right, middle, halo}; width: of a line in pixels.
export function drawPose(pen, pose, toPixels, colours, width, strength = 1) {
  const at = (landmark) => { const found = place(pose, landmark); return found && toPixels(found); };
  const isGuessed = (landmark) => pose[landmark * 5 + 3] < GUESSED;
  const lines = (pairs, colour) => {
    for (const [a, b] of pairs) {
      const [from, to] = [at(a), at(b)];
      if (!from || !to) continue;
      const hand = a > 14 && a < 23 || b > 27, faint = isGuessed(a) || isGuessed(b);
      const thick = hand ? width * 0.6 : width;
      pen.setLineDash(faint ? [thick * 1.2, thick * 1.6] : []);
      if (colours.halo) { pen.strokeStyle = colours.halo; pen.lineWidth = thick + 2.5; stroke(pen, from, to); }
      pen.strokeStyle = colour; pen.lineWidth = thick; stroke(pen, from, to);
    }
  };
  pen.save();
  pen.globalAlpha = strength; pen.lineCap = "round"; pen.lineJoin = "round";
  const [leftShoulder, rightShoulder, circle] = [at(LEFT_SHOULDER), at(RIGHT_SHOULDER), headCircle(at)];
  if (leftShoulder && rightShoulder && circle) {
    const neck = mean([leftShoulder, rightShoulder]), away = Math.hypot(circle[0] - neck[0], circle[1] - neck[1]) || 1;
    const rim = [0, 1].map((axis) => circle[axis] + (neck[axis] - circle[axis]) * Math.min(1, circle[2] / away));
    if (colours.halo) { pen.strokeStyle = colours.halo; pen.lineWidth = width + 2.5; stroke(pen, neck, rim); }
    pen.strokeStyle = colours.middle; pen.lineWidth = width; stroke(pen, neck, rim);
  }
  lines(MIDDLE, colours.middle); lines(LEFT, colours.left); lines(RIGHT, colours.right);
  pen.setLineDash([]);
  if (circle) {
    pen.beginPath(); pen.arc(...circle, 0, 2 * Math.PI);
    if (colours.halo) { pen.strokeStyle = colours.halo; pen.lineWidth = width + 2.5; pen.stroke(); }
    pen.strokeStyle = colours.middle; pen.lineWidth = width; pen.stroke();
    const nose = at(0);  // which way the face looks
    if (nose) { pen.beginPath(); pen.arc(...nose, width * 0.8, 0, 2 * Math.PI); pen.fillStyle = colours.middle; pen.fill(); }
  }
  pen.restore();
}
function stroke(pen, from, to) {
  pen.beginPath(); pen.moveTo(...from); pen.lineTo(...to); pen.stroke();
}

// The box [left, top, right, bottom] around a pose or many, in fractions of the picture, or null; every `step`th frame.
export function boxAround(poses, first = 0, last = poses.length / VALUES, step = 1) {
  const [across, down] = [[], []];
  for (let frame = first; frame < last; frame += step) {
    for (let i = frame * VALUES; i < (frame + 1) * VALUES; i += 5) {
      if (Number.isFinite(poses[i]) && Number.isFinite(poses[i + 1])) { across.push(poses[i]); down.push(poses[i + 1]); }
    }
  }
  if (!across.length) return null;
  // A few landmarks far away must not make the body small.
  const outer = (values, fraction) => { values.sort((a, b) => a - b); return values[Math.round(fraction * (values.length - 1))]; };
  const few = last - first > 1 ? 0.005 : 0;
  return [outer(across, few), outer(down, few), outer(across, 1 - few), outer(down, 1 - few)];
}

// The frame nearest to the wanted one in which a landmark was found; the wanted one where there is none.
export function nearestPose(poses, wanted, frames) {
  const has = (frame) => frame >= 0 && frame < frames && countFound(poses.subarray(frame * VALUES, (frame + 1) * VALUES)) > 0;
  for (let away = 0; away < frames; away++) {
    for (const frame of [wanted - away, wanted + away]) if (has(frame)) return frame;
  }
  return wanted;
}

// Places a box of the picture in the middle of a canvas, with a margin; aspect: the picture's width by its height.
export function boxToPixels(box, aspect, width, height, margin = 0.12) {
  const [wide, tall] = [Math.max((box[2] - box[0]) * aspect, 0.05), Math.max(box[3] - box[1], 0.05)];
  const scale = Math.min(width * (1 - 2 * margin) / wide, height * (1 - 2 * margin) / tall), middle = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
  return ([x, y]) => [width / 2 + (x - middle[0]) * aspect * scale, height / 2 + (y - middle[1]) * scale];
}
