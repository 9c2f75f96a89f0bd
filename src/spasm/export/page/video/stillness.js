// Whether a video's picture ever changes.

const THUMBNAIL = [64, 48];
const STILL = 3; // grey levels of a thumbnail, as spasm/video/decode.py: a picture that changes less is a photograph

/** A picture (ImageData) as 64 x 48 grey levels, each the mean over its area, in which a camera's noise disappears. */
export function thumbnailOf({ width, height, data }) {
  const [columns, rows] = THUMBNAIL;
  const sums = new Float32Array(columns * rows);
  const counts = new Float32Array(columns * rows);
  for (let y = 0, at = 0; y < height; y++) {
    const row = Math.floor((y * rows) / height) * columns;
    for (let x = 0; x < width; x++, at += 4) {
      const cell = row + Math.floor((x * columns) / width);
      sums[cell] += 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
      counts[cell] += 1;
    }
  }
  return sums.map((sum, cell) => sum / Math.max(1, counts[cell]));
}

/** The lowest and highest grey level of each place of the thumbnails of a video or of a part of it. */
export class GreyRange {
  constructor() {
    this.first = null;
    this.low = null;
    this.high = null;
    this.isChanging = false; // from then on nothing is measured
  }

  add(picture) {
    if (this.isChanging) return;
    const thumbnail = thumbnailOf(picture);
    this.first ??= thumbnail;
    this.low ??= thumbnail.slice();
    this.high ??= thumbnail.slice();
    for (let cell = 0; cell < thumbnail.length; cell++) {
      this.low[cell] = Math.min(this.low[cell], thumbnail[cell]);
      this.high[cell] = Math.max(this.high[cell], thumbnail[cell]);
      if (this.high[cell] - this.low[cell] > 2 * STILL) this.isChanging = true;
    }
  }
}

/** Whether no frame of a video differs from its first by more than STILL; ranges: of its parts, in order. */
export function isStill(ranges) {
  const measured = ranges.filter((range) => range?.first);
  if (measured.some((range) => range.isChanging)) return false;
  const first = measured[0]?.first;
  return measured.every((range) =>
    range.low.every((low, cell) => first[cell] - low <= STILL && range.high[cell] - first[cell] <= STILL),
  );
}
