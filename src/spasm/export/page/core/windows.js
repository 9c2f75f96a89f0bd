// As spasm/core/windows.py, and spasm/data/seen.py: the windows of a recording, and how much of each was seen.
import { CHANNELS, LEFT_HIP, LEFT_SHOULDER, POSE, RIGHT_HIP, RIGHT_SHOULDER, isVisible } from "./landmarks.js";

const TRUNK = [LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP];
const MOST_APART = 4; // frames between two poses that show one movement: 7.5 poses a second

// First frames of the windows: one every `stride` frames, and a last one that ends with the recording. A recording
// shorter than a window has one window, which starts at frame 0 and reaches beyond the end.
export function windowStarts(whole, length, stride) {
  const last = Math.max(0, whole - length), starts = [];
  for (let start = 0; start <= last; start += stride) starts.push(start);
  if (starts.at(-1) !== last) starts.push(last);
  return starts;
}

// In which frames of poses (F, 33, 5) a shoulder or a hip is inside the picture: 1 or 0.
export function trunkVisible(poses) {
  const visible = new Uint8Array(poses.length / POSE);
  for (let frame = 0; frame < visible.length; frame++) {
    for (const landmark of TRUNK) {
      const at = frame * POSE + landmark * CHANNELS.length, x = poses[at], y = poses[at + 1];
      if (isVisible(poses, at) && x >= 0 && x <= 1 && y >= 0 && y <= 1) visible[frame] = 1;
    }
  }
  return visible;
}

// In which frames movement can be seen, from those in which the trunk is visible: 1 or 0. A frame counts if it lies in a
// sequence of such poses at most MOST_APART frames apart; a single pose shows no movement.
export function seenOfTrunk(trunk) {
  const frames = trunk.length, after = new Float64Array(frames), bridged = new Uint8Array(frames);
  for (let frame = frames - 1, next = Infinity; frame >= 0; frame--) {
    if (trunk[frame]) next = frame;
    after[frame] = next;
  }
  for (let frame = 0, before = -Infinity; frame < frames; frame++) {
    if (trunk[frame]) before = frame;
    bridged[frame] = after[frame] - before <= MOST_APART ? 1 : 0;
  }
  return bridged.map((one, frame) => (one && (bridged[frame - 1] || bridged[frame + 1]) ? 1 : 0));
}

export const seenFrames = (poses) => seenOfTrunk(trunkVisible(poses));

// Whether too little was seen of a window for a prediction. posed, seen: its frames with a pose, and with movement;
// abstain: the fraction of its frames that must show movement.
export const isTooLittle = (posed, seen, frames, abstain) => seen < abstain * frames - 1e-9 || posed === 0;

export const countOnes = (flags) => flags.reduce((sum, one) => sum + one, 0);
