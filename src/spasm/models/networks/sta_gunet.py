"""STA-GUNet: a graph U-Net over the joints of each frame, then graph convolutions and graph attention over time.

Described in IEEE 11180141. The published code does not start unchanged, its U-Net never uses the graph, one of its
layers is initialised again in every call, and another is made too late to be trained. This file follows the paper:
joints stay nodes, the U-Net is that of Gao & Ji 2019 (arXiv 1905.05178), and every parameter exists before the
optimiser does. With the published width it has 203,309 parameters (the published code: 182,800).
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from spasm.data.landmarks import COCO_17_NECK, joint_weights
from spasm.features.channels import CHANNELS, MASK
from spasm.models.networks.layers import Network
from spasm.models.networks.output import Scores, scores_of_steps

# The published six and the same in depth, without which it did much worse on held-out people.
READ = [CHANNELS.index(name) for name in ("x", "y", "z", "vx", "vy", "vz", "ax", "ay", "az")]
CENTRE = COCO_17_NECK.index("neck")
BONES = (
    (0, 1), (0, 2), (1, 3), (2, 4), (5, 17), (6, 17), (5, 7), (7, 9), (6, 8), (8, 10), (11, 5), (12, 6), (11, 12),
    (11, 13), (13, 15), (12, 14), (14, 16), (17, 0),
)  # fmt: skip
RATIOS = (0.8, 0.5, 0.2)  # fraction of the nodes that each level keeps
BLOCKS = 3
MARGIN, MARGIN_DECAY = 1.0, 0.9  # of the triplet-centre loss, and its decay per epoch, as published


class StaGunetNetwork(nn.Module):
    """Sequences (N, C, T, 18) to logits (N, classes), those of each frame (N, T, classes), and an embedding (N, D)."""

    def __init__(
        self, channels: int = 6, width: int = 64, kernel: int = 9, dropout: float = 0.6, classes: int = 2
    ) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels * len(COCO_17_NECK))
        self.unet = GraphUnet(channels, width)
        self.blocks = nn.ModuleList(Block(width, kernel, dropout) for _ in range(BLOCKS))
        self.attention = GraphAttention(width)  # one for all blocks, as published
        self.classes = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        x = self.norm(x.transpose(2, 3).flatten(1, 2)).unflatten(1, (x.shape[1], x.shape[3]))  # (N, C, V, T)
        y = self.unet(x.permute(0, 3, 2, 1))  # (N, T, V, D): features innermost, as products with matrices want them
        for block in self.blocks:
            y = self.attention(block(y))
        with torch.autocast(x.device.type, enabled=False):
            frames = y.float().mean(2)  # (N, T, D)
            embedding = frames.mean(1)
            return self.classes(embedding), self.classes(frames), embedding


class GraphUnet(nn.Module):
    """Pose graphs (N, T, V, C) to (N, T, V, D): each level keeps the most important joints of a frame; then back."""

    graph: torch.Tensor

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.register_buffer("graph", torch.from_numpy(graph()), persistent=False)
        self.enter = nn.Linear(channels, width)
        self.down = nn.ModuleList(nn.Linear(width, width) for _ in RATIOS)
        self.importance = nn.ModuleList(nn.Linear(width, 1) for _ in RATIOS)
        self.bottom = nn.Linear(width, width)
        self.up = nn.ModuleList(nn.Linear(width, width) for _ in RATIOS)
        self.skip = nn.ModuleList(nn.Linear(width, width) for _ in RATIOS)
        self.leave = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        frames = x.shape[:2]
        x = x.flatten(0, 1)  # (M, V, C)
        graph = self.graph.expand(len(x), -1, -1)  # (M, V, V), 1 where two nodes are joined
        x = entered = F.relu(self.enter(mean_of(graph, x)))
        levels = []
        for layer, importance, ratio in zip(self.down, self.importance, RATIOS, strict=True):
            x = F.relu(layer(mean_of(graph, x)))
            score = torch.sigmoid(importance(x)[..., 0])
            kept = score.topk(max(2, int(ratio * x.shape[1])), dim=1)
            levels.append((graph, x, kept.indices))
            x = pick(x, kept.indices) * kept.values[..., None]
            # Join nodes two bones apart; else the kept nodes would often be unconnected.
            wider = (torch.matmul(graph, graph) > 0).to(graph.dtype)
            graph = pick(pick(wider, kept.indices).transpose(1, 2), kept.indices)
        x = F.relu(self.bottom(mean_of(graph, x)))
        for layer, skip, (graph, before, nodes) in zip(self.up, self.skip, reversed(levels), strict=True):
            x = torch.zeros_like(before).scatter(1, nodes[..., None].expand_as(x), x.to(before.dtype))
            x = F.relu(layer(mean_of(graph, x)) + skip(before))
        return self.leave(x + entered).unflatten(0, frames)


def mean_of(graph: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Each node of (M, K, C) becomes the mean of its neighbours and itself, under its own graph (M, K, K)."""
    return torch.bmm((graph / graph.sum(2, keepdim=True)).to(x.dtype), x)


def pick(x: torch.Tensor, nodes: torch.Tensor) -> torch.Tensor:
    """Some nodes (M, k) of (M, K, C)."""
    return x.gather(1, nodes[..., None].expand(-1, -1, x.shape[2]))


class Block(nn.Module):
    """Mix joints along the bones in three ways, then frames; (N, T, V, D) to the same shape."""

    FOLDS = (("temporal", "norm"),)
    partitions: torch.Tensor

    def __init__(self, width: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("partitions", torch.from_numpy(partitions()), persistent=False)
        self.edge_weights = nn.Parameter(torch.ones(self.partitions.shape))
        self.spatial = nn.Linear(width, len(self.partitions) * width)
        self.spatial_norm = nn.BatchNorm2d(width)
        self.temporal = nn.Conv2d(width, width, (kernel, 1), padding=(kernel // 2, 0))
        self.norm = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mixing = (self.partitions * self.edge_weights).permute(1, 2, 0).flatten(1)  # (V, V 3): all three at once
        parts = self.spatial(x).unflatten(3, (-1, x.shape[3])).flatten(2, 3).flatten(0, 1)  # (N T, V 3, D)
        mixed = torch.bmm(mixing.to(parts.dtype).expand(len(parts), -1, -1), parts).unflatten(0, x.shape[:2])
        y = mixed.permute(0, 3, 1, 2)  # (N, D, T, V), channels last
        y = self.dropout(self.norm(self.temporal(F.relu(self.spatial_norm(y)))))
        return F.relu(y.permute(0, 2, 3, 1) + x)


class GraphAttention(nn.Module):
    """Graph attention of each joint to its neighbours in each partition (Velickovic et al. 2018)."""

    near: torch.Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("near", torch.from_numpy(partitions() > 0), persistent=False)
        self.value = nn.Linear(width, width, bias=False)
        self.of_self, self.of_other = nn.Linear(width, 1, bias=False), nn.Linear(width, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value = self.value(x)  # (N, T, V, D)
        score = F.leaky_relu(self.of_self(value) + self.of_other(value).transpose(2, 3), 0.2)  # (N, T, V, V)
        weights = torch.zeros_like(score)
        for near in self.near:
            weights = weights + torch.softmax(score.masked_fill(~near, -1e4), 3) * near.any(1, keepdim=True)
        return F.elu(torch.matmul(weights.to(value.dtype), value))


class StaGunet(Network):
    """Features (N, 14, 33, T) to `Scores`, with the embedding and centres that the triplet-centre loss needs."""

    joints: torch.Tensor

    def __init__(self, width: int, kernel: int, dropout: float, triplet: float) -> None:
        super().__init__()
        self.register_buffer("joints", torch.from_numpy(joint_weights(COCO_17_NECK)), persistent=False)
        self.network = StaGunetNetwork(len(READ), width=width, kernel=kernel, dropout=dropout)
        self.centres = nn.Parameter(torch.randn(2, width))
        self.triplet = triplet
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.xavier_normal_(module.weight)
        # The output of the blocks is not small; a head with Xavier weights would begin with large logits.
        nn.init.normal_(self.network.classes.weight, 0, 0.01)

    def forward(self, features: torch.Tensor) -> Scores:
        posed = features[:, MASK].amax(1)
        with torch.autocast(features.device.type, enabled=False):  # bfloat16 would round raw inputs
            sequences = torch.matmul(self.joints, features[:, READ]).transpose(2, 3)  # (N, 9, T, 18)
        logits, frames, embedding = self.network(sequences)
        scores = scores_of_steps(logits[:, 1] - logits[:, 0], frames[..., 1] - frames[..., 0], posed)
        return scores._replace(embedding=embedding)

    def auxiliary_loss(self, scores: Scores, labels: torch.Tensor, epoch: int) -> torch.Tensor | None:
        if not self.triplet:
            return None
        assert scores.embedding is not None
        margin = MARGIN * MARGIN_DECAY**epoch
        return self.triplet * triplet_centre_loss(scores.embedding, labels, self.centres, margin)


def triplet_centre_loss(
    embedding: torch.Tensor, labels: torch.Tensor, centres: torch.Tensor, margin: float
) -> torch.Tensor:
    """How much nearer than `margin` the other class's centre is than a segment's own, (N,) (He et al. 2018, CVPR).

    embedding: (N, D); labels: (N,), 0 or 1; centres: (2, D), learned. Both are taken to length 1, so that the margin
    does not depend on their scale; distances are half of squared ones, 0 to 2.
    """
    distance = 1 - F.normalize(embedding, dim=1) @ F.normalize(centres, dim=1).T  # (N, 2)
    own = distance.gather(1, labels.long()[:, None])[:, 0]
    return F.relu(own + margin - (distance.sum(1) - own))


def graph() -> np.ndarray:
    """(18, 18) float32, 1 where two joints are one bone apart, and on the diagonal."""
    near = np.eye(len(COCO_17_NECK), dtype=np.float32)
    for a, b in BONES:
        near[a, b] = near[b, a] = 1
    return near


def partitions() -> np.ndarray:
    """(3, 18, 18) float32: a joint's neighbours as near to the neck as itself, nearer, and farther (Yan et al. 2018).

    Row i of the sum over the partitions is the mean of what joint i receives. The published code divides columns
    (A D^-1) and multiplies from the right: the same mean.
    """
    near = graph()
    distance, reached = np.full(len(near), np.inf), np.zeros(len(near), dtype=bool)
    reached[CENTRE], hops = True, 0
    while np.isinf(distance).any():
        distance[reached & np.isinf(distance)] = hops
        reached, hops = reached | (near @ reached > 0), hops + 1
    received = near / near.sum(axis=1, keepdims=True)
    giver, taker = distance[None, :], distance[:, None]
    return np.stack([received * (giver == taker), received * (giver < taker), received * (giver > taker)])
