// As spasm/video/resampling.py: resampled. Poses of a video at an even frame rate, in 32 bits as numpy computes them.
import { FPS, POSE } from "./landmarks.js";
import { PageProblem } from "./problem.js";

const LONGEST_GAP_S = 0.15; // between two frames; across it landmarks are interpolated
const SLACK = 1e-3; // of a step at FPS: tolerance for rounded times in a file

// Poses (F, 33, 5) at rising times (F,) as (T, 33, 5) at FPS, from the first frame to the last. A landmark found in two
// neighbouring frames is interpolated linearly. Across a gap longer than LONGEST_GAP_S, or next to a frame without the
// landmark, only a frame less than half a step away is used.
export function resampled(timesS, poses) {
  const count = timesS.length, { fround } = Math;
  if (!count || poses.length !== count * POSE) throw new PageProblem("posesShape", { shape: `(${poses.length / POSE}, 33, 5)` });
  const steps = Math.floor((timesS[count - 1] - timesS[0]) * FPS + SLACK) + 1, even = new Float32Array(steps * POSE);
  let after = 0;
  for (let step = 0; step < steps; step++) {
    const wantedS = timesS[0] + step / FPS;
    while (after < count && timesS[after] < wantedS - SLACK / FPS) after++;
    const next = Math.min(Math.max(after, 1), Math.max(1, count - 1)), earlier = next - 1, later = Math.min(next, count - 1);
    const beforeS = timesS[earlier], afterS = timesS[later], gap = Math.max(afterS - beforeS, 1e-9);
    const fraction = fround(Math.min(Math.max((wantedS - beforeS) / gap, 0), 1)), rest = fround(1 - fraction), isEarlier = fraction < 0.5;
    const isClose = Math.abs((isEarlier ? beforeS : afterS) - wantedS) < 0.5 / FPS, nearest = (isEarlier ? earlier : later) * POSE;
    for (let value = 0; value < POSE; value++) {
      const between = fround(fround(rest * poses[earlier * POSE + value]) + fround(fraction * poses[later * POSE + value]));
      const known = gap > LONGEST_GAP_S ? NaN : between;
      even[step * POSE + value] = !Number.isFinite(known) && isClose ? poses[nearest + value] : known;
    }
  }
  return even;
}
