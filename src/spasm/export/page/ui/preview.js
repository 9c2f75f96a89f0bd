// The current picture with the poses in it, while a video or the camera is analysed.
import { el } from "./dom.js";
import { drawPose } from "./skeleton.js";

const COLOURS = { left: "#56c1ff", right: "#ffa657", middle: "#ffffff", halo: "#000000b0" };

export function drawPreview(bitmap, timeS, people) {
  const canvas = el("#preview"), { width, height } = bitmap;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  canvas.hidden = false;
  const pen = canvas.getContext("2d");
  pen.drawImage(bitmap, 0, 0);
  bitmap.close();
  for (const pose of people) drawPose(pen, pose, ([x, y]) => [x * width, y * height], COLOURS, Math.max(2.5, Math.min(width, height) / 110));
}
