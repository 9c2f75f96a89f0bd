// ---- poses as player_data.py packed them, and a canvas that shows them

async function inflate(data) {
  const packed = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
// The poses at the start of some bytes, and `rest`: where the curves begin.
function unpackPoses(bytes, frames, box) {
  const count = frames * JOINTS, bits = Math.ceil(count / 8);
  const found = new Uint8Array(count), x = new Float32Array(count), y = new Float32Array(count), depth = new Float32Array(count);
  for (let i = 0; i < count; i++) found[i] = (bytes[i >> 3] >> (7 - (i & 7))) & 1;
  [x, y].forEach((axis, number) => {
    const low = bits + 2 * number * count, high = low + count;
    for (let joint = 0; joint < JOINTS; joint++) {
      let at = 0;
      for (let i = joint; i < count; i += JOINTS) {
        const code = bytes[low + i] | (bytes[high + i] << 8);
        at += code & 1 ? -(code + 1) / 2 : code / 2;
        axis[i] = box[number] + at * box[2];
      }
    }
  });
  const depths = bits + 4 * count;
  for (let joint = 0; joint < JOINTS; joint++) {
    let at = 0;
    for (let i = joint; i < count; i += JOINTS) {
      at = (at + bytes[depths + i]) & 255;
      depth[i] = (at > 127 ? at - 256 : at) * page.depth_step;
    }
  }
  return { found, x, y, depth, ...countFound(found), rest: depths + count };
}
// How many landmarks each frame has, and the first frame of each landmark: their number if it is never found.
function countFound(found) {
  const frames = found.length / JOINTS, foundPerFrame = new Uint8Array(frames), firstFrame = new Uint32Array(JOINTS).fill(frames);
  for (let i = found.length - 1; i >= 0; i--) {
    if (!found[i]) continue;
    foundPerFrame[Math.floor(i / JOINTS)]++;
    firstFrame[i % JOINTS] = Math.floor(i / JOINTS);
  }
  return { foundPerFrame, firstFrame };
}
// The middle of the hips in each frame, straight lines through gaps; null where the hips are never found.
function hipsOf(poses) {
  const [left, right] = page.hips, known = [], frames = poses.foundPerFrame.length;
  for (let frame = 0; frame < frames; frame++) {
    const a = frame * JOINTS + left, b = frame * JOINTS + right;
    if (poses.found[a] && poses.found[b]) known.push([frame, (poses.x[a] + poses.x[b]) / 2, (poses.y[a] + poses.y[b]) / 2]);
  }
  if (!known.length) return null;
  const hips = [];
  for (let frame = 0, k = 0; frame < frames; frame++) {
    while (k < known.length - 1 && known[k + 1][0] <= frame) k++;
    const from = known[k], to = known[Math.min(k + 1, known.length - 1)];
    const part = to[0] > from[0] ? clamp((frame - from[0]) / (to[0] - from[0]), 0, 1) : 0;
    hips.push([from[1] + part * (to[1] - from[1]), from[2] + part * (to[2] - from[2])]);
  }
  return hips;
}

class PoseStage {
  constructor(canvas) { this.canvas = canvas; }
  // size: of the body, in picture heights.
  show(poses, size) {
    this.poses = poses;
    this.size = size;
    this.hips = hipsOf(poses);
    this.views = {};
  }
  // Where landmark i of all frames is: in picture heights, from the hips if they are held still.
  place(i, frame, relative) {
    const [x0, y0] = relative ? this.hips[frame] : [0, 0];
    return [(this.poses.x[i] - x0) * page.aspect, this.poses.y[i] - y0];
  }
  // The middle, width and height of all poses.
  view(relative) {
    if (this.views[relative]) return this.views[relative];
    const lows = [Infinity, Infinity], highs = [-Infinity, -Infinity], margin = 0.4 * this.size;  // a head reaches beyond its landmarks
    for (let i = 0; i < this.poses.found.length; i++) {
      if (!this.poses.found[i]) continue;
      this.place(i, Math.floor(i / JOINTS), relative).forEach((value, axis) => {
        lows[axis] = Math.min(lows[axis], value - margin);
        highs[axis] = Math.max(highs[axis], value + margin);
      });
    }
    const middle = lows.map((low, axis) => (low + highs[axis]) / 2), extent = lows.map((low, axis) => Math.max(highs[axis] - low, 1e-6));
    return (this.views[relative] = { middle, extent, empty: lows[0] === Infinity });
  }
  draw(frame, mirrored, heldStill) {
    const { poses } = this, [pen, width, height] = fit(this.canvas), mirror = mirrored ? -1 : 1;
    const relative = heldStill && this.hips !== null, { middle, extent, empty } = this.view(relative);
    if (empty) return;
    const scale = Math.min((width - 16) / extent[0], (height - 16) / extent[1]), first = frame * JOINTS;
    const at = (joint) => {
      const [x, y] = this.place(first + joint, frame, relative);
      return [width / 2 + (x - middle[0]) * mirror * scale, height / 2 + (y - middle[1]) * scale];
    };
    const state = (joint) => (poses.found[first + joint] ? 2 : poses.firstFrame[joint] <= frame ? 1 : 0);
    drawBody(pen, at, state, (joint) => poses.depth[first + joint], this.size * scale);
  }
}
