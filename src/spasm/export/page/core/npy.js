// As spasm/core/npy.py: .npy files. The header is read by a strict grammar, nothing of it is executed, and its claims are
// compared with the length of the file before anything is allocated.
import { PageProblem, shorten } from "./problem.js";

const MAGIC = "\x93NUMPY";
export const LONGEST_HEADER = 4096; // bytes; a plain array needs 118
export const LONGEST_HEAD = 12 + LONGEST_HEADER;
const FIELDS = {
  descr: /'([^'\\]{0,40})'/y,
  fortran_order: /(True|False)/y,
  shape: /\(([-+0-9, ]{0,200})\)/y,
};
const FLOATS = /^[<>]f([248])$/;

const isLittleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

// The shape and the values of a .npy file in C order. 16 and 32 bits become a Float32Array; 64 bits a Float64Array, so
// that cleaning sees what Python sees. The values may be a view of the buffer. Throws a PageProblem.
export function readNpy(buffer) {
  const header = readHeader(buffer, buffer.byteLength);
  const { start, bytes, littleEndian, isFortran, shape } = header;
  const count = shape.reduce((product, length) => product * length, 1);
  let data;
  if (bytes !== 2 && littleEndian === isLittleEndian && start % bytes === 0) {
    data = bytes === 4 ? new Float32Array(buffer, start, count) : new Float64Array(buffer, start, count);
  } else {
    const view = new DataView(buffer, start);
    data = bytes === 8 ? new Float64Array(count) : new Float32Array(count);
    if (bytes === 2) for (let i = 0; i < count; i++) data[i] = halfToFloat(view.getUint16(2 * i, littleEndian));
    else if (bytes === 4) for (let i = 0; i < count; i++) data[i] = view.getFloat32(4 * i, littleEndian);
    else for (let i = 0; i < count; i++) data[i] = view.getFloat64(8 * i, littleEndian);
  }
  return { shape, data: isFortran && shape.length > 1 ? inCOrder(data, shape) : data };
}

// What a header describes, from the first bytes of a file of `size` bytes. Throws a PageProblem.
export function readHeader(buffer, size) {
  const head = new Uint8Array(buffer, 0, Math.min(buffer.byteLength, LONGEST_HEAD));
  if (!head.length) throw new PageProblem("npyEmpty");
  const first = String.fromCharCode(...head.subarray(0, 6));
  if (first.startsWith("PK\x03\x04") || first.startsWith("PK\x05\x06")) throw new PageProblem("npyIsZip");
  if (head[0] === 0x80 && head[1] >= 2 && head[1] <= 5) throw new PageProblem("npyIsPickle");
  if (first !== MAGIC) throw new PageProblem("npyUnknown");
  if (head.length < 12) throw new PageProblem("npyCutShort", { held: head.length, claimed: 128 });
  const [major, minor] = [head[6], head[7]];
  if (minor !== 0 || major < 1 || major > 3) throw new PageProblem("npyVersion", { version: `${major}.${minor}` });
  const view = new DataView(buffer, 0, head.length), prefix = major === 1 ? 10 : 12;
  const length = major === 1 ? view.getUint16(8, true) : view.getUint32(8, true), start = prefix + length;
  if (length > LONGEST_HEADER) throw new PageProblem("npyHeader", { found: `${length} bytes` });
  if (head.length < start) throw new PageProblem("npyCutShort", { held: head.length, claimed: start });
  const fields = readFields(String.fromCharCode(...head.subarray(prefix, start)));
  const type = FLOATS.exec(fields.descr);
  if (!type) throw new PageProblem("npyType", { type: shorten(fields.descr) });
  const bytes = Number(type[1]), shape = readShape(fields.shape), held = size - start;
  const claimed = shape.reduce((product, axis) => product * axis, bytes); // infinite at worst, and then too large
  if (claimed > held) throw new PageProblem("npyCutShort", { held, claimed });
  if (claimed < held) throw new PageProblem("npyTooLong", { more: held - claimed });
  return { start, bytes, littleEndian: fields.descr[0] === "<", isFortran: fields.fortran_order === "True", shape };
}

// The texts of the three fields of a header, each exactly once and in any order.
function readFields(header) {
  const text = header.trim(), found = {}, refuse = () => new PageProblem("npyHeader", { found: shorten(text) });
  if (text[0] !== "{") throw refuse();
  let at = 1;
  const take = (pattern) => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match) at = pattern.lastIndex;
    return match;
  };
  while (!take(/\s*\}$/y)) {
    const key = take(/\s*'(descr|fortran_order|shape)'\s*:\s*/y);
    if (!key || key[1] in found) throw refuse();
    const value = take(FIELDS[key[1]]);
    if (!value && key[1] === "descr") throw new PageProblem("npyType", { type: shorten(text.slice(at)) });
    if (!value) throw refuse();
    found[key[1]] = value[1];
    if (!take(/\s*,\s*/y) && !/^\s*\}$/.test(text.slice(at))) throw refuse();
  }
  if (Object.keys(found).length !== 3) throw refuse();
  return found;
}

function readShape(text) {
  const lengths = text.split(",").map((one) => one.trim());
  if (lengths.at(-1) === "") lengths.pop(); // (150,) and ()
  else if (lengths.length === 1) lengths[0] = "no tuple"; // (150) is a number to Python
  const shape = lengths.map(Number);
  if (!lengths.every((one) => /^[0-9]{1,15}$/.test(one))) throw new PageProblem("npyShape", { shape: `(${shorten(text)})` });
  return shape;
}

// The float of 16 bits: exact, since a float of 32 bits holds each of them.
function halfToFloat(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent ? sign * 2 ** (exponent - 15) * (1 + fraction / 1024) : sign * 2 ** -14 * (fraction / 1024);
}

function inCOrder(data, shape) {
  const ordered = new data.constructor(data.length), strides = [];
  shape.reduce((stride, length, axis) => ((strides[axis] = stride), stride * length), 1);
  const index = shape.map(() => 0);
  for (let to = 0, from = 0; to < ordered.length; to++) {
    ordered[to] = data[from];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis];
      if (++index[axis] < shape[axis]) break;
      from -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return ordered;
}

// The bytes that numpy.save writes for an array of floats in C order, as 32 bits each.
export function writeNpy(values, shape) {
  const data = values instanceof Float32Array ? values : Float32Array.from(values);
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
  const fields = `{'descr': '<f4', 'fortran_order': False, 'shape': ${tuple}, }`;
  const start = Math.ceil((10 + fields.length + 1) / 64) * 64, header = `${fields.padEnd(start - 11)}\n`;
  const bytes = new Uint8Array(start + 4 * data.length), view = new DataView(bytes.buffer);
  bytes.set([...MAGIC].map((letter) => letter.charCodeAt(0)));
  bytes.set([1, 0], 6);
  view.setUint16(8, header.length, true);
  bytes.set([...header].map((letter) => letter.charCodeAt(0)), 10);
  if (isLittleEndian) bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), start);
  else data.forEach((value, i) => view.setFloat32(start + 4 * i, value, true));
  return bytes;
}
