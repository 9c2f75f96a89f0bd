// The pixels of a video frame, as OpenCV gives them to MediaPipe in extract_pose.py.
//
// The pose model is sensitive: one grey level of noise moves its landmarks by 0.01 to 0.02 of the picture. A browser's
// own conversion from YUV differs by a grey level, and by the matrix: it takes BT.709 where a file names none, while
// OpenCV always takes BT.601. So frames are converted here, with the arithmetic of FFmpeg's libswscale (x86).

const PLANAR = new Set(["I420", "I420A", "NV12"]);
const BT601 = { redV: 104597, blueU: 132201, greenU: -25675, greenV: -53279 }; // in 1 / 65536, for the narrow range

/** The whole picture of a VideoFrame or an ImageBitmap as ImageData, rotated clockwise by 0, 90, 180 or 270 degrees. */
export async function pixelsOf(frame, rotation = 0) {
  if (!PLANAR.has(frame.format)) return painted(frame, rotation);
  const { width, height } = frame.visibleRect;
  const data = new Uint8Array(frame.allocationSize());
  const layout = await frame.copyTo(data);
  const [luma, first, second] = layout;
  const isNv12 = frame.format === "NV12";
  const chroma = isNv12
    ? { u: first.offset, v: first.offset + 1, stride: first.stride, step: 2 }
    : { u: first.offset, v: second.offset, stride: first.stride, step: 1 };
  return converted({ data, width, height, luma, chroma, isFull: frame.colorSpace.fullRange === true }, rotation);
}

/** libswscale's yuv2rgb for one picture: 16-bit products of which the upper half is kept; each colour for 2 x 2 pixels. */
export function converted({ data, width, height, luma, chroma, isFull }, rotation) {
  const out = new ImageData(...(rotation % 180 ? [height, width] : [width, height]));
  const target = new Uint32Array(out.data.buffer);
  const toRight = { 0: 1, 90: height, 180: -1, 270: -height }[rotation]; // in the result, for a step in the frame
  const down = { 0: width, 90: -1, 180: -width, 270: 1 }[rotation];
  const start = { 0: 0, 90: height - 1, 180: width * height - 1, 270: height * (width - 1) }[rotation];
  const scale = isFull ? 1 : 255 / 219;
  const range = isFull ? 224 / 255 : 1;
  const lumaBy = Math.round(Math.floor(65536 * scale) / 8);
  const black = isFull ? 0 : 16 * 8;
  const by = (coefficient) => Math.floor((Math.trunc(coefficient * range) + 4) / 8);
  const [redV, blueU, greenU, greenV] = [BT601.redV, BT601.blueU, BT601.greenU, BT601.greenV].map(by);
  const bytes = new Uint8ClampedArray(3);
  for (let y = 0; y < height; y++) {
    let at = start + y * down;
    const row = luma.offset + y * luma.stride;
    const chromaRow = (y >> 1) * chroma.stride;
    let red = 0;
    let green = 0;
    let blue = 0;
    for (let x = 0; x < width; x++, at += toRight) {
      if ((x & 1) === 0) {
        const place = chromaRow + (x >> 1) * chroma.step;
        const u = (data[chroma.u + place] - 128) * 8;
        const v = (data[chroma.v + place] - 128) * 8;
        red = (v * redV) >> 16;
        green = ((u * greenU) >> 16) + ((v * greenV) >> 16);
        blue = (u * blueU) >> 16;
      }
      const grey = ((data[row + x] * 8 - black) * lumaBy) >> 16;
      bytes[0] = grey + red;
      bytes[1] = grey + green;
      bytes[2] = grey + blue;
      target[at] = 0xff000000 | (bytes[2] << 16) | (bytes[1] << 8) | bytes[0];
    }
  }
  return out;
}

/** The browser's own conversion, for frames of other formats, such as ten bits a colour. */
function painted(frame, rotation) {
  const { width, height } = frame.visibleRect ?? frame;
  const canvas = new OffscreenCanvas(...(rotation % 180 ? [height, width] : [width, height]));
  const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  context.translate(canvas.width / 2, canvas.height / 2);
  context.rotate((rotation * Math.PI) / 180);
  context.drawImage(frame, -width / 2, -height / 2, width, height);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}
