// ---- series over the whole recording, with coarser and coarser extremes, as review_data.py packed them

class Series {
  // count: of steps; at(step): the time of a step in seconds; value(byte): what a byte means.
  constructor(bytes, count, at, value) {
    Object.assign(this, { count, at, value });
    this.levels = [{ low: bytes.subarray(0, count), high: bytes.subarray(0, count), each: 1 }];
    for (let from = count, size = count, each = page.factor; size > page.fewest; each *= page.factor) {
      size = Math.ceil(size / page.factor);
      this.levels.push({ low: bytes.subarray(from, from + size), high: bytes.subarray(from + size, from + 2 * size), each });
      from += 2 * size;
    }
  }
  valueAt(step) {
    const byte = this.levels[0].high[step];
    return byte ? this.value(byte) : null;
  }
  // Runs of [x, lowest, highest] that are known, between two steps, in at most about `columns` columns.
  runs(first, last, columns, x) {
    const level = this.levels.filter(({ each }) => each === 1 || (last - first) / each >= columns).pop();
    const { low, high, each } = level, runs = [];
    const together = Math.max(1, Math.floor((last - first) / each / columns));  // steps of this level in a column
    const from = Math.max(0, Math.floor(first / each / together) - 1) * together, to = Math.min(high.length - 1, Math.ceil(last / each) + 1);
    let run = null;
    for (let begin = from; begin <= to; begin += together) {
      let least = 256, most = 0;
      for (let i = begin; i < begin + together && i <= to; i++) {
        if (!high[i]) continue;
        least = Math.min(least, low[i]);
        most = Math.max(most, high[i]);
      }
      if (!most) { run = null; continue; }
      if (!run) runs.push((run = []));
      run.push([x(this.at((begin + together / 2) * each - 0.5)), this.value(least), this.value(most)]);
    }
    return runs;
  }
}

const probabilityOf = (byte) => (byte - 1) / 254;
const speedOf = (byte) => ((byte - 1) / page.speed_scale[0]) ** 2 * page.speed_scale[1];
const STEPS = Math.ceil(T / (page.step_s * FPS)), LENGTH_S = T / FPS;

// The curves of the page: the probability, the windows at their middle, and the speed of each part.
async function unpackCurves() {
  const step = (number) => (number + 0.5) * page.step_s, { count, stride_frames: stride, frames } = page.windows;
  const middle = (number) => {
    const first = Math.min(number * stride, Math.max(0, T - frames));
    return (first + Math.min(first + frames, T)) / 2 / FPS;
  };
  const [curve, windows, ...speeds] = await Promise.all([page.curve, page.windows.data, ...page.speeds].map(inflate));
  return {
    curve: new Series(curve, STEPS, step, probabilityOf),
    windows: new Series(windows, count, middle, probabilityOf),
    speeds: speeds.map((bytes) => new Series(bytes, STEPS, step, speedOf)),
    unseen: unseenOf(curve.subarray(0, STEPS)),
  };
}
// Spans in seconds without a probability.
function unseenOf(steps) {
  const spans = [];
  for (let i = 0; i < steps.length; i++) {
    if (steps[i]) continue;
    const begin = i;
    while (i < steps.length && !steps[i]) i++;
    spans.push([begin * page.step_s, Math.min(LENGTH_S, i * page.step_s)]);
  }
  return spans;
}

// 1:02:03.4 of seconds; digits: of the seconds.
function clock(time, digits = 1) {
  const unit = 10 ** digits, whole = Math.round(time * unit), hours = Math.floor(whole / (3600 * unit));
  const rest = ((whole % (60 * unit)) / unit).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  return `${hours}:${String(Math.floor(whole / (60 * unit)) % 60).padStart(2, "0")}:${rest}`;
}
