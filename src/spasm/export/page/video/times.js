// The times of frames, where a file or a camera gives wrong ones.

const LONGEST_PAUSE_S = 60; // between two frames; a longer one means a wrong clock
const LONGEST_STEP_BACK_S = 1; // of a clock; after a larger step the clock has started again

/** Times in s that rise, as spasm/video/decode.py: a frame without a later time is one step after the one before. */
export function rising(times, stepS) {
  const even = new Float64Array(times.length);
  let beforeS = times[0] - stepS;
  let shiftS = 0;
  times.forEach((clockS, frame) => {
    let timeS = clockS + shiftS;
    if (!(timeS > beforeS + 1e-4 && timeS < beforeS + LONGEST_PAUSE_S)) {
      timeS = beforeS + stepS;
      if (Math.abs(timeS - clockS - shiftS) > LONGEST_STEP_BACK_S) shiftS = timeS - clockS;
    }
    even[frame] = timeS;
    beforeS = timeS;
  });
  return even;
}
