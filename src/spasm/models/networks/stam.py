"""STAM: attention over the joints within clips of a second, then attention over the clips.

Nguyen-Thai et al. 2021, JBHI (arXiv 2105.09783). The published network has 435,264 parameters; `StamNetwork` has
435,008, because a batch norm that is never used (256) is left out. Two things differ in `Stam`: it also reads
depth, 10 channels instead of 7, without which it did much worse on held-out people; and if the last clip does not reach
the end of the segment, one more clip does, so that a movement there is not missed.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from spasm.core.windows import window_starts
from spasm.data.landmarks import OPENPOSE_18, joint_weights
from spasm.features.channels import CHANNELS, MASK
from spasm.models.networks.layers import Network, Pointwise, channels_last
from spasm.models.networks.output import Scores

CLIP, STRIDE = 30, 20  # frames
HOPS = 3  # joints up to this distance are mixed
# The published seven, x, y, vx, vy, ax, ay and displacement, and the same in depth.
READ = [CHANNELS.index(name) for name in ("x", "y", "z", "vx", "vy", "vz", "ax", "ay", "az", "speed")]
BONES = (
    (4, 3), (3, 2), (7, 6), (6, 5), (13, 12), (12, 11), (10, 9), (9, 8), (11, 5), (8, 2), (5, 1), (2, 1), (0, 1),
    (15, 0), (14, 0), (17, 15), (16, 14),
)  # fmt: skip


class Attention(NamedTuple):
    """Attention of STAM."""

    clips: torch.Tensor  # (N, K): weight of each clip; sums to 1 over K
    joints: torch.Tensor  # (N, K, 18): weight of each joint within its clip; sums to 1 over joints


class StamNetwork(nn.Module):
    """The published network: sequences (N, C, T, V) to class logits (N, classes), clip logits and `Attention`."""

    def __init__(
        self,
        channels: int = 7,
        joints: int = 18,
        width: int = 64,
        kernel: int = 9,
        dropout: float = 0.3,
        classes: int = 2,
    ) -> None:
        super().__init__()
        hidden = 2 * width
        self.norm = nn.BatchNorm1d(channels * joints)
        self.blocks = nn.ModuleList(
            [
                Block(channels, width, 1, kernel, 0.0, joints),
                Block(width, hidden, 2, kernel, dropout, joints),
                Block(hidden, hidden, 2, kernel, dropout, joints),
            ]
        )
        self.over_joints, self.over_clips = AttentionPool(hidden), AttentionPool(hidden)
        self.clip = nn.Linear(hidden, hidden)
        self.dropout = nn.Dropout(dropout)
        self.classes = nn.Linear(hidden, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0, 0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1, 0.02)
        channels_last(self)

    def forward(
        self, x: torch.Tensor, unseen: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, Attention]:
        """unseen: (N, K) bool, clips without any pose, which get no weight."""
        count, channels, frames, joints = x.shape
        starts = clip_starts(frames)
        length = min(CLIP, frames)
        clips = torch.stack([x[:, :, start : start + length] for start in starts], 1).flatten(0, 1)  # (N K, C, 30, V)
        y = self.norm(clips.permute(0, 1, 3, 2).flatten(1, 2)).unflatten(1, (channels, joints)).transpose(2, 3)
        y = y.contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            y = block(y)
        with torch.autocast(x.device.type, enabled=False):
            y = y.float().mean(2).transpose(1, 2)  # (N K, V, Z)
            joint_weights = self.over_joints(y)
            y = self.clip(torch.bmm(joint_weights[:, None], y)[:, 0]).unflatten(0, (count, len(starts)))  # (N, K, Z)
            clip_weights = self.over_clips(y, unseen)
            logits = self.classes(self.dropout(torch.bmm(clip_weights[:, None], y)[:, 0]))
            attention = Attention(clip_weights, joint_weights.unflatten(0, (count, len(starts))))
            return logits, self.classes(y), attention


class Block(nn.Module):
    """Mix joints, then frames; (M, C, T, V) to (M, C', T / stride, V)."""

    FOLDS = (("spatial", "spatial_norm"), ("temporal", "norm"))
    adjacency: torch.Tensor

    def __init__(self, c_in: int, c_out: int, stride: int, kernel: int, dropout: float, joints: int) -> None:
        super().__init__()
        self.register_buffer("adjacency", torch.from_numpy(adjacency(joints)), persistent=False)
        self.spatial = nn.Conv2d(c_in, c_out, 1)
        self.spatial_norm = nn.BatchNorm2d(c_out)
        self.temporal = nn.Conv2d(c_out, c_out, (kernel, 1), stride=(stride, 1), padding=(kernel // 2, 0))
        self.norm = nn.BatchNorm2d(c_out)
        self.dropout = nn.Dropout(dropout)
        self.residual: nn.Module = nn.Identity()
        if c_in != c_out or stride != 1:
            self.residual = Pointwise(c_in, c_out, (stride, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # Mixing joints and a pointwise convolution commute; mixing on the narrower side is cheaper.
        mixed = torch.matmul(self.adjacency.T.to(x.dtype), x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        y = F.relu(self.spatial_norm(self.spatial(mixed)), inplace=True)
        y = self.dropout(self.norm(self.temporal(y)))
        return F.relu(y + self.residual(x), inplace=True)


class AttentionPool(nn.Module):
    """Weights over the second axis of (M, L, Z), which sum to 1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden, self.score = nn.Linear(width, 128), nn.Linear(128, 1)

    def forward(self, x: torch.Tensor, left_out: torch.Tensor | None = None) -> torch.Tensor:
        score = self.score(torch.tanh(self.hidden(x)))[..., 0]
        if left_out is not None:
            score = score.masked_fill(left_out, -1e9)
        return torch.softmax(score, 1)


class Stam(Network):
    """Features (N, 14, 33, T) to `Scores`."""

    joints: torch.Tensor

    def __init__(self, width: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("joints", torch.from_numpy(joint_weights(OPENPOSE_18)), persistent=False)
        self.network = StamNetwork(len(READ), width=width, kernel=kernel, dropout=dropout)

    def forward(self, features: torch.Tensor) -> Scores:
        posed = features[:, MASK].amax(1)  # (N, T)
        covers = clip_covers(features.shape[3]).to(posed)  # (K, T)
        with torch.autocast(features.device.type, enabled=False):
            sequences = self.sequences(features)
            seen = posed @ covers.T  # (N, K): frames with a pose in each clip
        logits, clip_logits, attention = self.network(sequences, seen == 0)
        with torch.autocast(features.device.type, enabled=False):
            share = torch.where(seen > 0, attention.clips / seen.clamp(min=1), 0.0)
            frame_logits = (clip_logits[..., 1] - clip_logits[..., 0]) @ (covers / covers.sum(0))
            return Scores(logits[:, 1] - logits[:, 0], frame_logits, (share @ covers) * posed)

    def sequences(self, features: torch.Tensor) -> torch.Tensor:
        """The channels READ of its 18 joints: (N, 10, T, 18)."""
        return torch.matmul(self.joints, features[:, READ]).transpose(2, 3)

    @torch.no_grad()
    def attention(self, features: torch.Tensor) -> Attention:
        """The weights of clips and of joints, for plots."""
        posed = features[:, MASK].amax(1)
        seen = posed @ clip_covers(features.shape[3]).to(posed).T
        return self.network(self.sequences(features), seen == 0)[2]


def clip_starts(frames: int) -> list[int]:
    """The first frame of each clip; the last clip ends with the segment."""
    return window_starts(frames, CLIP, STRIDE).tolist()


def clip_covers(frames: int) -> torch.Tensor:
    """(K, T) float32, 1 where a clip covers a frame."""
    time = torch.arange(frames)
    return torch.stack([((time >= start) & (time < start + CLIP)).float() for start in clip_starts(frames)])


def adjacency(joints: int) -> np.ndarray:
    """(V, V) float32: joints up to three bones apart, each column divided by its sum."""
    near = np.eye(joints)
    for a, b in BONES:
        near[a, b] = near[b, a] = 1
    reached = (np.linalg.matrix_power(near, HOPS) > 0).astype(np.float32)
    return reached / reached.sum(axis=0, keepdims=True)
