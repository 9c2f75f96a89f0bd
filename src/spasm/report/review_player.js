// ---- the pose at any moment: from the clips in the page, or from the recording's file that the reviewer chooses

const PIECE = 300, MOST_PIECES = 12;  // frames read from the file at once; unpacked pieces that are held
const SAMPLES = 64, SAMPLE_BYTES = 4096;  // of `recordings.content_of`
const FARTHEST = 10;  // pictures; a landmark farther away was not found
const WITHOUT_TRUNK = 0.3;  // of the body's extent, of body_drawing.py
const VALUES = JOINTS * 5;

const CRC = Uint32Array.from({ length: 256 }, (_, number) => {
  let value = number;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});
function crc32(bytes, before) {
  let value = ~before;
  for (const byte of bytes) value = CRC[(value ^ byte) & 255] ^ (value >>> 8);
  return ~value >>> 0;
}

class RecordingFile {
  // Opens a .npy of (frames, 33, 5) floats; throws an Error in words for any other file.
  static async open(file) {
    const head = new Uint8Array(await file.slice(0, 4200).arrayBuffer()), view = new DataView(head.buffer);
    const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
    if (head.length < 12 || magic.some((byte, k) => head[k] !== byte)) throw new Error("it is not a .npy file");
    const wide = head[6] > 1, start = (wide ? 12 + view.getUint32(8, true) : 10 + view.getUint16(8, true));
    if (start > head.length) throw new Error("its header is too long for a plain array");
    const text = new TextDecoder("latin1").decode(head.subarray(wide ? 12 : 10, start));
    const type = /'descr':\s*'([^']*)'/.exec(text), order = /'fortran_order':\s*(True|False)/.exec(text), shape = /'shape':\s*\(([\d,\s]*)\)/.exec(text);
    if (!type || !order || !shape) throw new Error("its header cannot be parsed");
    if (!["<f4", "<f8"].includes(type[1])) throw new Error(`its numbers are of type ${type[1]}, and this page reads little-endian floats of 32 or 64 bits (<f4, <f8)`);
    if (order[1] === "True") throw new Error("it is in Fortran order, and this page reads C order");
    const sizes = shape[1].split(",").map((size) => size.trim()).filter(Boolean).map(Number), bytes = type[1] === "<f4" ? 4 : 8;
    if (sizes.length !== 3 || sizes[1] !== JOINTS || sizes[2] !== 5) throw new Error(`its shape is (${sizes.join(", ")}), not (frames, 33, 5)`);
    if (sizes[0] !== page.content.frames) throw new Error(`it has ${sizes[0]} frames, and ${page.recording} has ${page.content.frames}`);
    if (file.size !== start + sizes[0] * VALUES * bytes) throw new Error("its size is not that of its header: copy it again");
    const last = Math.max(0, sizes[0] * VALUES * bytes - SAMPLE_BYTES);
    let checksum = 0;
    for (let sample = 0; sample < SAMPLES; sample++) {
      const at = start + Math.floor((last * sample) / (SAMPLES - 1));
      const piece = file.slice(at, Math.min(at + SAMPLE_BYTES, file.size));
      checksum = crc32(new Uint8Array(await piece.arrayBuffer()), checksum);
    }
    if (checksum !== page.content.checksum) throw new Error(`its poses are not those of ${page.recording}`);
    return new RecordingFile(file, start, bytes);
  }
  constructor(file, start, bytes) { Object.assign(this, { file, start, bytes }); }
  // Poses of some frames, in the form of `unpackPoses`, with the size of the body.
  async read(begin, frames) {
    const each = VALUES * this.bytes, raw = await this.file.slice(this.start + begin * each, this.start + (begin + frames) * each).arrayBuffer();
    const values = this.bytes === 4 ? new Float32Array(raw) : new Float64Array(raw), count = frames * JOINTS;
    const found = new Uint8Array(count), x = new Float32Array(count), y = new Float32Array(count), depth = new Float32Array(count);
    for (let i = 0; i < count; i++) {
      const [a, b, c] = [values[5 * i], values[5 * i + 1], values[5 * i + 2]];
      if (!(Math.abs(a) <= FARTHEST && Math.abs(b) <= FARTHEST && Number.isFinite(c)) || (a === 0 && b === 0)) continue;
      found[i] = 1; x[i] = a; y[i] = b; depth[i] = c * page.aspect;
    }
    const size = bodySize(found, x, y), trunk = page.trunk;
    for (let first = 0; first < count; first += JOINTS) {
      const known = trunk.every((joint) => found[first + joint]), middle = trunk.reduce((sum, joint) => sum + depth[first + joint] / 4, 0);
      for (let i = first; i < first + JOINTS; i++) depth[i] = known && size ? clamp((depth[i] - middle) / size, -1, 1) : 0;
    }
    return { begin, frames, size, found, x, y, depth, ...countFound(found) };
  }
}
// As `body_size` of body_drawing.py: the median of trunk length or, end on, of shoulder width, or a fraction of the extent.
function bodySize(found, x, y) {
  const sizes = [], [leftShoulder, rightShoulder, leftHip, rightHip] = page.trunk;
  for (let first = 0; first < found.length; first += JOINTS) {
    if (!page.trunk.every((joint) => found[first + joint])) continue;
    const between = (a, b, c, d) => Math.hypot(((x[first + a] + x[first + b] - x[first + c] - x[first + d]) / 2) * page.aspect, (y[first + a] + y[first + b] - y[first + c] - y[first + d]) / 2);
    sizes.push(Math.max(between(leftShoulder, rightShoulder, leftHip, rightHip), 1.2 * between(leftShoulder, leftShoulder, rightShoulder, rightShoulder)));
  }
  if (sizes.length) return sizes.sort((a, b) => a - b)[sizes.length >> 1];
  let [low, high] = [Infinity, -Infinity];
  found.forEach((known, i) => { if (known) { low = Math.min(low, y[i]); high = Math.max(high, y[i]); } });
  return high > low ? WITHOUT_TRUNK * (high - low) : 0;
}

class MomentPlayer {
  constructor(moved) {
    Object.assign(this, { moved, frame: 0, playing: false, until: null, file: null, pieces: new Map(), shown: null });
    this.stage = new PoseStage(el("#player canvas.pose"));
    new ResizeObserver(() => this.draw()).observe(el("#player canvas.pose"));
    this.describeSource();
  }
  get time() { return this.frame / FPS; }
  describeSource() {
    el("#source").textContent = this.file
      ? `Poses of the whole recording, from ${this.file.file.name}.`
      : `The poses around ${page.clips.length === 1 ? "1 event or group of events" : `${page.clips.length} events or groups of events`} are in this page. To play any other moment, choose ${page.recording}.`;
  }
  async choose(file) {
    this.file = await RecordingFile.open(file);
    this.describeSource();
    this.seek(this.time);
  }
  // Where the poses of a frame are: a clip's number, "file" with the first frame, or null.
  pieceOf(frame) {
    const clip = page.clips.findIndex(({ begin, frames }) => begin <= frame && frame < begin + frames);
    if (clip >= 0) return clip;
    return this.file ? `file ${Math.floor(frame / PIECE) * PIECE}` : null;
  }
  async load(key) {
    if (typeof key === "number") {
      const { begin, frames, box, size, data } = page.clips[key];
      return { begin, frames, size, ...unpackPoses(await inflate(data), frames, box) };
    }
    const begin = +key.slice(5);
    return this.file.read(begin, Math.min(PIECE, T - begin));
  }
  // The poses that hold a frame, or null while they are unpacked.
  piece(frame) {
    const key = this.pieceOf(frame);
    if (key === null) return null;
    if (!this.pieces.has(key)) {
      this.pieces.set(key, null);
      this.load(key).then((piece) => { this.pieces.set(key, piece); this.draw(); }, (error) => {
        this.pieces.delete(key);
        say(`These poses cannot be read (${error.message}). Choose the recording again.`);
      });
      if (this.pieces.size > MOST_PIECES) this.pieces.delete(this.pieces.keys().next().value);
    }
    return this.pieces.get(key);
  }
  seek(time) {
    this.frame = clamp(Math.round(time * FPS), 0, T - 1);
    this.draw();
    this.moved(this.time);
  }
  // What the user does: it stops playing.
  jump(time) { this.stop(); this.seek(time); }
  toggle() { if (this.playing) this.stop(); else this.play(null); }
  // until: where to stop, or null to play on; with a loop it begins again at the time it began.
  play(until) {
    this.until = until;
    if (this.playing) { this.begin = this.time; return; }
    this.playing = true;
    this.begin = this.time;
    el("#play").firstChild.textContent = "❚❚ pause ";
    let last = null, at = this.frame;
    const tick = (now) => {
      if (!this.playing) return;
      if (Math.floor(at) !== this.frame) at = this.frame;  // moved meanwhile
      const waiting = this.pieceOf(this.frame) !== null && !this.piece(this.frame);
      if (last !== null && !waiting) at += ((now - last) / 1000) * FPS * +el("#rate").value;
      last = now;
      const end = this.until === null ? T - 1 : Math.min(T - 1, Math.round(this.until * FPS));
      if (at >= end && el("#loop").checked && this.until !== null) at = Math.round(this.begin * FPS);
      else if (at >= end) { this.seek(end / FPS); this.stop(); return; }
      if (Math.floor(at) !== this.frame) this.seek(Math.floor(at) / FPS);
      this.piece(Math.min(T - 1, this.frame + PIECE / 2));  // ahead of time
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }
  stop() { this.playing = false; el("#play").firstChild.textContent = "▶ play "; }
  draw() {
    const piece = this.piece(this.frame), lost = el("#lost");
    if (!piece) {
      fit(this.stage.canvas);
      lost.hidden = false;
      lost.textContent = this.pieceOf(this.frame) === null ? "These poses are not in this page: choose the recording." : "…";
      return;
    }
    if (this.shown !== piece) { this.shown = piece; this.stage.show(piece, piece.size); }
    const at = this.frame - piece.begin;
    lost.hidden = piece.foundPerFrame[at] > 0;
    lost.textContent = "No pose in this frame";
    this.stage.draw(at, false, el("#still").checked);
  }
  landmarks() {
    const piece = this.piece(this.frame);
    return piece ? `${piece.foundPerFrame[this.frame - piece.begin]} of ${JOINTS} landmarks` : "";
  }
}
