"""Where STAM looked: the weight of each clip, and of each joint within it, for one segment of a trained run.

The segment is answered by the fold that never saw its child. Joint weights are shares within a clip, so read them only
where the clip's own weight is large.

Example: python src/plot_stam_attention.py --run output/main --segment child_1_2.npy --out output/attention.png
"""

import io
import sys
from pathlib import Path

import numpy as np
import torch

from spasm.cli import app
from spasm.config.fields import from_tree, settings
from spasm.config.models import Member
from spasm.config.runtime import RunData
from spasm.core import checkpoints, files
from spasm.core.errors import DataError
from spasm.data.dataset import TrainingData, load_training
from spasm.data.landmarks import OPENPOSE_18, joint_weights
from spasm.data.pose import FPS, visible_mask
from spasm.features.channels import build_features
from spasm.models.stam import BONES, CLIP, Attention, Stam, clip_starts
from spasm.report import console
from spasm.runs.run import MemberFolder, Run, check_files, read_manifest, read_run, reopen_run


@settings
class DrawAttention(RunData):
    """Flags of plot_stam_attention.py."""

    run: Path = Path("output/main")
    """Run folder with a trained STAM."""
    segment: str = ""
    """Name of a training segment; the first positive one, if none is named."""
    out: Path = Path("output/attention.png")
    """Picture to write."""


def main(settings: DrawAttention) -> int:
    made = read_run(settings.run)
    data = load_training(settings.data or Path(made["data"]["path"]), made["frames"], "safe", settings.cache)
    run = reopen_run(settings.run, data)
    row = pick(data, settings.segment)
    attention, places = answer(run, row)
    files.write_bytes(settings.out, drawn(data, row, attention, places))
    clip = int(attention.clips[0].argmax())
    start = clip_starts(data.poses.shape[1])[clip] / FPS
    joint = OPENPOSE_18[int(attention.joints[0, clip].argmax())].replace("_", " ")
    weight = float(attention.clips[0, clip])
    print(console.data_summary(data))
    print(
        f"{data.names[row]}: most weight on {start:.1f} to {start + CLIP / FPS:.1f} s ({weight:.0%}), there on {joint}"
    )
    print(f"written: {settings.out}")
    return 0


def pick(data: TrainingData, name: str) -> int:
    """The row of a segment; of the first positive one with a pose where none is named. Raises DataError."""
    if not name:
        return int(np.flatnonzero((data.labels == 1) & data.has_pose)[0])
    if name not in data.names:
        raise DataError(data.folder / "train" / name, "is not a segment of this run", "name one of its training data")
    row = data.names.index(name)
    if not data.has_pose[row]:
        raise DataError(data.folder / "train" / name, "has no pose in any frame", "name another segment")
    return row


def answer(run: Run, row: int) -> tuple[Attention, np.ndarray]:
    """The attention (1, K), (1, K, 18) to a segment by the fold that never saw it, and its joints (T, 18, 2)."""
    member = MemberFolder(run.path / "stam")
    fold, seeds = int(run.fold_of[row]), member.complete_seeds(run.folds)
    if not seeds:
        hint = f"python src/train_folds.py --model stam --run {run.path}"
        raise DataError(member.path, "holds no trained STAM", hint)
    settings = from_tree(Member, read_manifest(member.manifest)["settings"])
    check_files(member.path, read_manifest(member.manifest)["files"])
    network = Stam(settings.network).eval()
    weights = checkpoints.read_tensors(member.weights(seeds[0], fold))
    network.load_state_dict({name: value for name, value in weights.items() if name != "offset"})
    features = build_features(torch.from_numpy(np.array(run.data.poses[row : row + 1])), settings.features)
    return network.attention(features), network.sequences(features)[0, :2].permute(1, 2, 0).numpy()


def drawn(data: TrainingData, row: int, attention: Attention, places: np.ndarray) -> bytes:
    """A picture: clip weights over time, joint weights of every clip, and the body in the middle of the heaviest."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    clips, joints = attention.clips[0].numpy(), attention.joints[0].numpy()
    starts = np.array(clip_starts(data.poses.shape[1])) / FPS
    most = int(clips.argmax())
    figure = pyplot.figure(figsize=(10, 5.5), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=[2, 1], height_ratios=[1, 2.4])
    bars, map_of_joints, body = (figure.add_subplot(place) for place in (grid[0, 0], grid[1, 0], grid[:, 1]))
    bars.bar(
        np.arange(len(clips)), clips, color=["#c05020" if clip == most else "#7a8ca0" for clip in range(len(clips))]
    )
    bars.set_ylabel("weight of clip")
    bars.set_xticks(range(len(clips)), [])
    bars.set_xlim(-0.5, len(clips) - 0.5)
    image = map_of_joints.imshow(joints.T, aspect="auto", cmap="viridis", vmin=0)
    map_of_joints.set_yticks(range(len(OPENPOSE_18)), [name.replace("_", " ") for name in OPENPOSE_18], fontsize=7)
    ticks = [f"{start:.1f}-{start + CLIP / FPS:.1f}" for start in starts]
    map_of_joints.set_xticks(range(len(clips)), ticks, rotation=45 if len(clips) > 8 else 0, fontsize=7)
    map_of_joints.set_xlabel("clip, s")
    figure.colorbar(image, ax=map_of_joints, label="weight of joint in its clip")
    middle = min(len(places) - 1, clip_starts(len(places))[most] + CLIP // 2)
    x, y = places[middle].T
    there = joint_weights(OPENPOSE_18) @ visible_mask(data.poses[row]).any(axis=0) > 0.999  # was ever found
    for a, b in BONES:
        if there[a] and there[b]:
            body.plot(x[[a, b]], y[[a, b]], color="#7a8ca0", linewidth=1.5, zorder=1)
    shown = joints[most][there]
    body.scatter(x[there], y[there], s=20 + 1500 * shown, c=shown, cmap="viridis", vmin=0, zorder=2)
    body.set_aspect("equal")
    body.invert_yaxis()
    body.axis("off")
    body.set_title(f"{middle / FPS:.1f} s", fontsize=9)
    note = "SIMULATED DATA, " if data.simulated else ""
    figure.suptitle(f"{note}STAM on {data.names[row]}, label {data.labels[row]}", fontsize=10)
    with io.BytesIO() as picture:
        figure.savefig(picture, format="png", dpi=130, metadata={"Software": None})
        pyplot.close(figure)
        return picture.getvalue()


if __name__ == "__main__":
    sys.exit(app.run(main, DrawAttention, __doc__))
