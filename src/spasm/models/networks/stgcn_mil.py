"""ST-GCN with a multiple-instance head: log-odds and attention of each frame.

Spatial-temporal graph convolution: Yan et al. 2018 (arXiv 1801.07455), here with a depthwise temporal convolution.
Attention pooling: Ilse et al. 2018 (arXiv 1802.04712).
"""

import copy
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from spasm.data.landmarks import adjacency
from spasm.features.channels import CHANNELS, MASK
from spasm.models.networks.layers import Network, channels_last
from spasm.models.networks.output import Scores

STRIDES = (2, 2, 1, 1)  # early, because layers at the full frame rate cost most and gain nothing
# What torch's own compiler emits for a convolution with its ReLU. It is not public, but torch is pinned.
CACHED_BYTES = 4 << 20  # of a layer of all folds: as many segments at a time are fastest
STACKED = 5  # folds; with many more, one segment no longer fits the cache
STATISTICS = ("running_mean", "running_var")
FUSED = hasattr(torch.ops.mkldnn, "_convolution_pointwise") and hasattr(torch.ops.mkldnn, "_convolution_pointwise_")


class StgcnMil(Network):
    """Features (N, 14, 33, T) to `Scores`."""

    def __init__(self, width: int, blocks: int, kernel: int, dropout: float, head: str) -> None:
        super().__init__()
        widths = [width * (1 if block < (blocks + 1) // 2 else 2) for block in range(blocks)]
        strides = [STRIDES[block % len(STRIDES)] for block in range(blocks)]
        # Velocities are a hundred times smaller than positions; without a common scale they are learned late or never.
        self.scale = nn.BatchNorm2d(len(CHANNELS), affine=False)
        self.stem = Pointwise(len(CHANNELS), width, 1, bias=False)
        self.stem_norm = nn.BatchNorm2d(width)
        self.blocks = nn.ModuleList(
            Block(c_in, c_out, stride, kernel, dropout)
            for c_in, c_out, stride in zip([width, *widths[:-1]], widths, strides, strict=True)
        )
        self.head = MilHead(widths[-1], head)
        channels_last(self)

    def forward(self, features: torch.Tensor) -> Scores:
        frames = features.shape[3]
        posed = features[:, MASK].amax(1)  # (N, T): 1 where any landmark was found
        x = self.scale(features.transpose(2, 3))  # (N, 14, T, 33): channels innermost already, so no copy
        x = F.relu(self.stem_norm(self.stem(x)), inplace=True)
        for block in self.blocks:
            x = block(x)
        return self.output(x, posed, frames)

    def output(self, x: torch.Tensor, posed: torch.Tensor, frames: int) -> Scores:
        """Scores from the last block's (N, C, S, 33), always in float32."""
        with torch.autocast(x.device.type, enabled=False):
            return self.head(mean_over_landmarks(x), posed, frames)

    def folded(self, precision: torch.dtype = torch.float32) -> "FoldedStgcnMil":
        """A copy for scoring, with its convolutions in the given precision."""
        return FoldedStgcnMil(copy.deepcopy(self).eval(), precision)

    @staticmethod
    def stacked(networks: Sequence[Any], precision: torch.dtype, device: torch.device) -> nn.Module:
        if device.type != "cpu" or len(networks) == 1:
            return Network.stacked(networks, precision, device)
        starts = range(0, len(networks), STACKED)
        return Stacks(StackedStgcnMil(networks[start : start + STACKED], precision) for start in starts)


class Block(nn.Module):
    """Mix neighbouring landmarks, then neighbouring frames; (N, C, T, 33) to (N, C', T / stride, 33)."""

    adjacency: torch.Tensor

    def __init__(self, c_in: int, c_out: int, stride: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("adjacency", torch.from_numpy(adjacency()), persistent=False)
        self.spatial = Pointwise(c_in, c_out, 1, bias=False)
        self.spatial_norm = nn.BatchNorm2d(c_out)
        self.stride = stride
        self.temporal = nn.Conv2d(c_out, c_out, (kernel, 1), padding=(kernel // 2, 0), groups=c_out, bias=False)
        self.pointwise = Pointwise(c_out, c_out, 1, bias=False)
        self.norm = nn.BatchNorm2d(c_out)
        # Whole channels, not single elements: random numbers for every element are slow.
        self.dropout = nn.Dropout2d(dropout)
        self.residual: nn.Module = nn.Identity()
        if c_in != c_out or stride != 1:
            self.residual = nn.Sequential(Pointwise(c_in, c_out, 1, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.spatial_norm(self.spatial(graph_conv(self.adjacency, x))), inplace=True)
        y = convolve_time(y, self.temporal, self.stride)
        y = self.dropout(self.norm(self.pointwise(y)))
        y += self.residual(subsample_time(x, self.stride))
        return F.relu(y, inplace=True)


def graph_conv(adjacency: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Each landmark of (N, C, T, 33) becomes the mean of itself and its neighbours."""
    return torch.matmul(adjacency.to(x.dtype), x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def mean_over_landmarks(x: torch.Tensor) -> torch.Tensor:
    """(N, C, S, 33) to (N, S, C) float32."""
    # As a product with ones: its gradient stays dense, unlike that of mean().
    return torch.matmul(x.new_ones(1, x.shape[3]), x.permute(0, 2, 3, 1))[:, :, 0].float() / x.shape[3]


def subsample_time(x: torch.Tensor, stride: int) -> torch.Tensor:
    """Every stride-th frame of (N, C, T, 33).

    A stride is a slice here because torch's backward of a strided depthwise convolution is several times slower in
    bf16, and it is taken with channels last so that the gradient keeps that layout.
    """
    return x if stride == 1 else x.permute(0, 2, 3, 1)[:, ::stride].permute(0, 3, 1, 2)


class Pointwise(nn.Conv2d):
    """A 1x1 convolution, with a stride in time; (N, C, T, 33) with the channels innermost."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not x.is_cuda:
            return super().forward(x)
        # There one product of matrices is faster than what cuDNN takes for it, in float32 many times.
        y = F.linear(x.permute(0, 2, 3, 1)[:, :: self.stride[0]], self.weight[:, :, 0, 0], self.bias)
        return y.permute(0, 3, 1, 2)


def convolve_time(x: torch.Tensor, conv: nn.Conv2d, stride: int) -> torch.Tensor:
    """Every stride-th frame of a depthwise convolution of (N, C, T, 33) over time."""
    if not x.is_cuda:
        return subsample_time(conv(x), stride)
    # On a GPU this is several times slower with the channels innermost, and both copies are cheap. The strides of the
    # weights count, too, which are those of either layout for torch.
    weight = conv.weight.flatten(1)[:, None, :, None]
    y = F.conv2d(x.contiguous(), weight, None, (stride, 1), conv.padding, groups=conv.groups)
    return y.contiguous(memory_format=torch.channels_last)


@functools.lru_cache(maxsize=8)
def neighbours(frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of landmarks and their neighbours in (frames * 33, C), and where those of each landmark begin, int32."""
    landmark, neighbour = np.nonzero(adjacency())
    first = np.searchsorted(landmark, np.arange(len(adjacency())))
    frame = np.arange(frames)[:, None]
    rows, firsts = (frame * len(adjacency()) + neighbour).ravel(), (frame * len(landmark) + first).ravel()
    return torch.from_numpy(rows.astype(np.int32)), torch.from_numpy(firsts.astype(np.int32))


def average_neighbours(adjacency: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """`graph_conv` for scoring. A landmark has few neighbours, and adding their rows saves a product by zeros.

    torch calls it a bag of embeddings; in bfloat16 the product is as fast.
    """
    if x.dtype != torch.float32 or x.device.type != "cpu" or torch.compiler.is_exporting():
        return graph_conv(adjacency, x)
    frame_last = x.permute(0, 2, 3, 1)
    rows, firsts = neighbours(x.shape[0] * x.shape[2])
    averaged = F.embedding_bag(rows, frame_last.flatten(0, 2), firsts, mode="mean")
    return averaged.view(frame_last.shape).permute(0, 3, 1, 2)


class FoldedStgcnMil(nn.Module):
    """`StgcnMil` for scoring: batch norms folded into the convolutions, which also add and apply ReLUs."""

    @torch.no_grad()
    def __init__(self, network: StgcnMil, precision: torch.dtype) -> None:
        super().__init__()
        # Not folded: bfloat16 would round raw channels with a small spread around a large mean, such as visibility.
        self.scale = network.scale
        self.stem = fuse_conv_bn_eval(network.stem, network.stem_norm).to(precision)
        self.blocks = nn.ModuleList()
        for block in network.blocks:
            assert isinstance(block, Block)
            self.blocks.append(FoldedBlock(block).to(precision))
        self.head, self.output = network.head, network.output
        channels_last(self.requires_grad_(False).eval())

    def forward(self, features: torch.Tensor) -> Scores:
        posed = features[:, MASK].amax(1)
        x = self.scale(features.transpose(2, 3)).to(self.stem.weight.dtype)
        x = convolve_relu(x, self.stem)
        for block in self.blocks:
            x = block(x)
        return self.output(x, posed, features.shape[3])


class Stacks(nn.ModuleList):
    """Stacks of folds that read the same features; features in, a list of the `Scores` of all folds out."""

    def forward(self, features: torch.Tensor) -> list[Scores]:
        return [scores for stack in self for scores in stack(features)]


class StackedStgcnMil(nn.Module):
    """The folds of a network for scoring on a CPU as one network, whose convolutions are grouped by fold.

    Features (N, 14, 33, T) to the `Scores` of each fold. Few segments of all folds fill the CPU's cache as many of one
    do, the features are scaled once, and a call of torch does more.
    """

    @torch.no_grad()
    def __init__(self, networks: Sequence[StgcnMil], precision: torch.dtype) -> None:
        super().__init__()
        folded = [network.folded() for network in networks]
        self.scale, stems = folded[0].scale, [one.stem for one in folded]
        # All folds read features with the mean scale; what is different in theirs is made up for in the first weights.
        means, variances = (torch.stack([getattr(one.scale, name) for one in folded]) for name in STATISTICS)
        deviations = (variances + self.scale.eps).sqrt()
        self.scale.running_mean, self.scale.running_var = means.mean(0), variances.mean(0)
        common = (variances.mean(0) + self.scale.eps).sqrt()
        for stem, mean, deviation in zip(stems, means, deviations, strict=True):
            assert stem.bias is not None  # the folded batch norm's
            stem.bias += stem.weight[:, :, 0, 0] @ ((means.mean(0) - mean) / deviation)
            stem.weight *= (common / deviation)[:, None, None]
        self.stem = stack_convolutions(stems, groups=1).to(precision)
        self.blocks = nn.ModuleList()
        for blocks in zip(*(one.blocks for one in folded), strict=True):
            stacked = copy.deepcopy(blocks[0])
            for name, part in blocks[0].named_children():
                if isinstance(part, nn.Conv2d):
                    parts = [getattr(block, name) for block in blocks]
                    setattr(stacked, name, stack_convolutions(parts, groups=len(folded) * part.groups))
            self.blocks.append(stacked.to(precision))
        self.heads = nn.ModuleList(one.head for one in folded)
        channels_last(self.requires_grad_(False).eval())

    def forward(self, features: torch.Tensor) -> list[Scores]:
        posed, frames = features[:, MASK].amax(1), features.shape[3]
        largest = self.stem.out_channels * features[0, 0].numel() * self.stem.weight.itemsize
        parts = features.split(max(1, CACHED_BYTES // largest))
        steps = torch.cat([self._steps(part) for part in parts]).chunk(len(self.heads), 2)
        return [head(own, posed, frames) for head, own in zip(self.heads, steps, strict=True)]

    def _steps(self, features: torch.Tensor) -> torch.Tensor:
        """The means over landmarks (N, S, folds * C) float32, of which each head reads its own."""
        x = convolve_relu(self.scale(features.transpose(2, 3)).to(self.stem.weight.dtype), self.stem)
        for block in self.blocks:
            x = block(x)
        return mean_over_landmarks(x)


def stack_convolutions(convolutions: Sequence[nn.Conv2d], groups: int) -> nn.Conv2d:
    """Convolutions of one shape side by side; in one group all read the same channels."""
    stacked = copy.deepcopy(convolutions[0])
    stacked.groups, stacked.in_channels = groups, groups * convolutions[0].weight.shape[1]
    stacked.out_channels = len(convolutions) * convolutions[0].out_channels
    stacked.weight = nn.Parameter(torch.cat([one.weight for one in convolutions]))
    biases = [one.bias for one in convolutions if one.bias is not None]
    if biases:
        stacked.bias = nn.Parameter(torch.cat(biases))
    return stacked


class FoldedBlock(nn.Module):
    """`Block` for scoring."""

    adjacency: torch.Tensor

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.register_buffer("adjacency", block.adjacency)
        self.spatial = fuse_conv_bn_eval(block.spatial, block.spatial_norm)
        self.temporal = block.temporal
        self.temporal.stride = (block.stride, 1)
        self.pointwise = fuse_conv_bn_eval(block.pointwise, block.norm)
        self.residual: nn.Module = nn.Identity()
        if isinstance(block.residual, nn.Sequential):
            convolution, norm = block.residual
            assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
            residual = fuse_conv_bn_eval(convolution, norm)
            residual.stride = (block.stride, 1)
            self.residual = residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = convolve_relu(average_neighbours(self.adjacency, x), self.spatial)
        y = convolve_time(y, self.temporal, self.temporal.stride[0]) if y.is_cuda else self.temporal(y)
        return convolve_relu(y, self.pointwise, add=self.residual(x))


def convolve_relu(x: torch.Tensor, conv: nn.Conv2d, add: torch.Tensor | None = None) -> torch.Tensor:
    """ReLU(conv(x) + add) for a pointwise convolution; `add` may be overwritten."""
    # Without AVX-512, oneDNN has no fused convolution in bfloat16.
    computable = x.dtype != torch.bfloat16 or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    if FUSED and computable and x.device.type == "cpu" and not torch.compiler.is_exporting():
        # One pass over memory instead of two or three.
        shape = (conv.weight, conv.bias, conv.padding, conv.stride, conv.dilation, conv.groups)
        if add is None:
            return torch.ops.mkldnn._convolution_pointwise(x, *shape, "relu", [], "")
        return torch.ops.mkldnn._convolution_pointwise_.binary(add, x, *shape, "add", 1.0, "relu", [], "")
    y = conv(x)
    return F.relu(y if add is None else y + add, inplace=True)


class MilHead(nn.Module):
    """Steps (N, S, C) to `Scores`; each step represents T / S frames."""

    def __init__(self, channels: int, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.score = nn.Linear(channels, 1)
        if kind == "attn":
            self.value, self.gate = nn.Linear(channels, 64), nn.Linear(channels, 64)
            self.attention = nn.Linear(64, 1)

    def forward(self, steps: torch.Tensor, posed: torch.Tensor, frames: int) -> Scores:
        step_of_frame = (torch.arange(frames, device=steps.device) * steps.shape[1]) // frames
        frame_logits = self.score(steps)[..., 0]
        of_step = step_of_frame[:, None] == torch.arange(steps.shape[1], device=steps.device)
        count = posed @ of_step.to(posed.dtype)  # (N, S): frames with a pose in each step
        absent = count == 0
        if self.kind == "attn":
            attention = self.attention(torch.tanh(self.value(steps)) * torch.sigmoid(self.gate(steps)))[..., 0]
        elif self.kind == "logsumexp":
            attention = frame_logits
        else:  # topk: the mean of the best fifth
            best = best_fifth(frame_logits.masked_fill(absent, -torch.inf))
            attention = torch.full_like(frame_logits, -torch.inf).scatter(1, best, 0.0)
        weights = torch.softmax(attention.masked_fill(absent, -1e9), dim=1).masked_fill(absent, 0.0)
        if self.kind == "logsumexp":
            seen = (~absent).sum(1).clamp(min=1)
            logit = torch.logsumexp(frame_logits.masked_fill(absent, -1e9), dim=1) - seen.log()
            logit = logit.masked_fill(absent.all(1), 0.0)  # no pose is left: 0, as in the other heads
        else:
            logit = (weights * frame_logits).sum(1)
        per_frame = weights / count.clamp(min=1)
        return Scores(logit, frame_logits[:, step_of_frame], per_frame[:, step_of_frame] * posed)


def best_fifth(values: torch.Tensor) -> torch.Tensor:
    """The places (N, K) of the highest fifth of values (N, S), at least one."""
    if not torch.compiler.is_exporting():
        return values.topk(max(1, round(0.2 * values.shape[1])), dim=1).indices
    count = torch.sym_max(1, (2 * values.shape[1] + 5) // 10)  # the same number; a graph has no round() of a length
    return values.sort(1, descending=True).indices[:, :count]
