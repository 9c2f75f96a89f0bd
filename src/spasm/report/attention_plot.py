"""A plot of STAM's attention in one segment."""

import numpy as np
from matplotlib.figure import Figure

from spasm.data.dataset import TrainingData
from spasm.data.landmarks import OPENPOSE_18, joint_weights
from spasm.data.pose import FPS, visible_mask
from spasm.models.networks.stam import BONES, CLIP, Attention, clip_starts
from spasm.report import plots

HIGHEST, OTHER = "#c05020", "#7a8ca0"  # colours of the clip with the highest weight and of the others
JOINT_NAMES = [name.replace("_", " ") for name in OPENPOSE_18]


def describe_attention(attention: Attention, frames: int) -> str:
    """Which clip of a segment of `frames` frames has the highest weight, and which joint in it."""
    clip = int(attention.clips[0].argmax())
    start_s, weight = clip_starts(frames)[clip] / FPS, float(attention.clips[0, clip])
    joint = JOINT_NAMES[int(attention.joints[0, clip].argmax())]
    return f"most weight on {start_s:.1f} to {start_s + CLIP / FPS:.1f} s ({weight:.0%}), there on {joint}"


def plot_attention(data: TrainingData, row: int, attention: Attention, joints: np.ndarray) -> bytes:
    """PNG: clip weights over time, joint weights of every clip, and the body in the middle of the heaviest clip.

    joints: (T, 18, 2), where they are in the picture.
    """
    clip_weights, joint_weights_of = attention.clips[0].numpy(), attention.joints[0].numpy()
    starts = clip_starts(data.poses.shape[1])
    highest = int(clip_weights.argmax())
    figure = Figure(figsize=(plots.WIDTH_IN, 6), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=[2, 1], height_ratios=[1, 2.4])
    bars, heatmap, body = (figure.add_subplot(place) for place in (grid[0, 0], grid[1, 0], grid[:, 1]))

    clips = np.arange(len(clip_weights))
    bars.bar(clips, clip_weights, color=[HIGHEST if clip == highest else OTHER for clip in clips])
    bars.set_ylabel("weight of clip")
    bars.set_xticks(range(len(clips)), [])
    bars.set_xlim(-0.5, len(clips) - 0.5)

    image = heatmap.imshow(joint_weights_of.T, aspect="auto", cmap="viridis", vmin=0)
    heatmap.set_yticks(range(len(OPENPOSE_18)), JOINT_NAMES)
    ticks = [f"{start / FPS:.1f}-{(start + CLIP) / FPS:.1f}" for start in starts]
    heatmap.set_xticks(range(len(clips)), ticks, rotation=90 if len(clips) > 5 else 0)
    heatmap.set_xlabel("clip, s")
    figure.colorbar(image, ax=heatmap, label="weight of joint in its clip")

    middle = min(len(joints) - 1, starts[highest] + CLIP // 2)
    x, y = joints[middle].T
    was_found = joint_weights(OPENPOSE_18) @ visible_mask(data.poses[row]).any(axis=0) > 0.999  # in some frame
    for a, b in BONES:
        if was_found[a] and was_found[b]:
            body.plot(x[[a, b]], y[[a, b]], color=OTHER, linewidth=1.5, zorder=1)
    shown = joint_weights_of[highest][was_found]
    body.scatter(x[was_found], y[was_found], s=20 + 1500 * shown, c=shown, cmap="viridis", vmin=0, zorder=2)
    body.margins(0.15)
    body.set_aspect("equal")
    body.invert_yaxis()
    body.axis("off")
    body.set_title(f"at {middle / FPS:.1f} s", fontsize=10)
    bars.set_title(f"STAM on {data.names[row]}, label {data.labels[row]}", fontsize=10)
    plots.stamp_simulated(figure, data.simulated)
    return plots.to_png(figure)
