// As spasm/data/landmarks.py and spasm/data/pose.py: the landmarks of MediaPipe Pose, and the channels of a pose array.
export const LANDMARKS = [
  "nose",
  "left_eye_inner", "left_eye", "left_eye_outer",
  "right_eye_inner", "right_eye", "right_eye_outer",
  "left_ear", "right_ear",
  "mouth_left", "mouth_right",
  "left_shoulder", "right_shoulder",
  "left_elbow", "right_elbow",
  "left_wrist", "right_wrist",
  "left_pinky", "right_pinky",
  "left_index", "right_index",
  "left_thumb", "right_thumb",
  "left_hip", "right_hip",
  "left_knee", "right_knee",
  "left_ankle", "right_ankle",
  "left_heel", "right_heel",
  "left_foot_index", "right_foot_index",
];
export const CHANNELS = ["x", "y", "z", "visibility", "presence"];
export const FPS = 30;
export const FARTHEST = 10; // pictures; a landmark farther away is an error of the estimator, and counts as not found
export const POSE = LANDMARKS.length * CHANNELS.length; // values of a frame
export const [LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP] = [11, 12, 23, 24];

// Poses (F, 33, 5) of frames without a pose.
export const missingFrames = (frames) => new Float32Array(frames * POSE).fill(NaN);

// Whether a landmark was found: x, y and z are all finite. at: where its five channels begin.
export const isVisible = (poses, at) => Number.isFinite(poses[at]) && Number.isFinite(poses[at + 1]) && Number.isFinite(poses[at + 2]);

// Which frames of poses (F, 33, 5) have a pose: 1 where a landmark was found, else 0.
export function posedFrames(poses) {
  const posed = new Uint8Array(poses.length / POSE);
  for (let frame = 0; frame < posed.length; frame++) {
    for (let at = frame * POSE; at < (frame + 1) * POSE && !posed[frame]; at += CHANNELS.length) posed[frame] = isVisible(poses, at) ? 1 : 0;
  }
  return posed;
}
