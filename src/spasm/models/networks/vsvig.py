"""VSViG: joints in five partitions, mixed between and within partitions by max-relative graph convolutions.

Xu et al. 2024, ECCV (arXiv 2311.14775). The published code's graph convolutions return a constant, because a tensor is
aliased; these follow the paper. With pictures around the joints it has 5,477,801 parameters (base) or 1,430,021
(light): the published counts without the parameters that the published code never uses. Without pictures, `Vsvig`
reads a patch of time instead of a patch of the picture.
"""

import itertools

import torch
from torch import nn
from torch.nn import functional as F

from spasm.data.landmarks import VSVIG_15, joint_weights
from spasm.data.pictures import PATCH, STEP
from spasm.features.channels import CHANNELS, MASK
from spasm.models.networks.layers import Network, Pointwise, channels_last
from spasm.models.networks.output import Scores, scores_of_steps

DEPTHS = (2, 2, 6, 2)
BASE, LIGHT = 24, 12  # width of the first stage
PARTS, PART = 5, 3  # partitions, and joints in each
PATCH_FRAMES = 5  # at 30 frames per second, so that five seconds give 30 steps, as published
# Each block has another order of the partitions, so that over the depth all are neighbours once.
ORDERS = list(itertools.permutations(range(PARTS)))[::8]
BRANCH = 0.2  # size of a branch relative to its shortcut at the start of training
KEYPOINT = [CHANNELS.index(name) for name in ("x", "y", "visibility")]


class VsvigNetwork(nn.Module):
    """The network after its stem: (B, c0, T, 15) to logits (B,) and the logits (B, T / 8) of its last steps alone."""

    def __init__(self, width: int = BASE, dropout: float = 0.0) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        channels = width
        for stage, depth in enumerate(DEPTHS):
            narrow = width * 2**stage
            for block in range(depth + (stage > 0)):
                order = ORDERS[len(blocks) // 2]
                blocks.append(Grapher(channels, narrow))
                blocks.append(PartitionConv(channels, narrow, 2 if stage > 0 and block == 0 else 1, order))
                channels = 2 * narrow
        self.blocks = nn.Sequential(*blocks)
        self.hidden = nn.Conv1d(channels, 256, 1)
        self.hidden_norm = nn.BatchNorm1d(256)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Conv1d(256, 1, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.blocks(x)
        with torch.autocast(x.device.type, enabled=False):
            steps = self.hidden(x.float().mean(3))  # (B, 256, S); the mean over time and this convolution commute
            logit = self.out(self.dropout(F.relu(self.hidden_norm(steps.mean(2, keepdim=True)))))[:, 0, 0]
            norm = self.hidden_norm
            with torch.no_grad():  # as in evaluation, so that the logits of single steps never change the norm
                alone = F.batch_norm(steps, norm.running_mean, norm.running_var, norm.weight, norm.bias)
                return logit, self.out(F.relu(alone))[:, 0]


class Grapher(nn.Module):
    """Graph convolution between partitions, then within them; (B, C, T, 15) to the same shape."""

    def __init__(self, channels: int, narrow: int) -> None:
        super().__init__()
        self.into_inter, self.inter = Pointwise(channels, narrow), MaxRelativeConv(narrow)
        self.from_inter = Pointwise(2 * narrow, channels)
        self.into_intra, self.intra = Pointwise(channels, narrow), MaxRelativeConv(narrow)
        self.from_intra = Pointwise(2 * narrow, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.into_inter(x)
        h = F.relu(self.from_inter(self.inter(y, largest_elsewhere(y))) + x)
        y = self.into_intra(h)
        return F.relu(self.from_intra(self.intra(y, largest_within(y))) + x)


class MaxRelativeConv(nn.Module):
    """Max-relative graph convolution: a joint and its largest difference to its neighbours."""

    FOLDS = (("mix", "norm"),)

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(2 * channels, 2 * channels, 1, groups=4)
        self.norm = nn.BatchNorm2d(2 * channels)

    def forward(self, x: torch.Tensor, largest: torch.Tensor) -> torch.Tensor:
        return F.relu(self.norm(self.mix(torch.cat([x, largest - x], 1))))


def largest_within(x: torch.Tensor) -> torch.Tensor:
    """The largest value within each joint's own partition, as (B, C, T, 15)."""
    parts = x.unflatten(3, (PARTS, PART))
    return parts.amax(4, keepdim=True).expand_as(parts).flatten(3)


def largest_elsewhere(x: torch.Tensor) -> torch.Tensor:
    """The largest value among the joints of the other four partitions, as (B, C, T, 15)."""
    largest = x.unflatten(3, (PARTS, PART)).amax(4)  # (B, C, T, 5)
    elsewhere = torch.stack([largest.roll(places, 3) for places in range(1, PARTS)]).amax(0)
    return elsewhere[..., None].expand(*elsewhere.shape, PART).flatten(3)


class PartitionConv(nn.Module):
    """A convolution over time and over adjacent joints; (B, C, T, 15) to (B, 2 c, T / stride, 15)."""

    order: torch.Tensor

    def __init__(self, channels: int, narrow: int, stride: int, order: tuple[int, ...]) -> None:
        super().__init__()
        joints = [PART * part + joint for part in order for joint in range(PART)]
        self.register_buffer("order", torch.tensor(joints), persistent=False)
        self.first = Pointwise(channels, narrow)
        self.second = nn.Sequential(
            nn.Conv2d(narrow, narrow, 3, stride=(stride, 1), padding=1, padding_mode="replicate"),
            nn.BatchNorm2d(narrow),
        )
        self.third = Pointwise(narrow, 2 * narrow)
        self.down = Pointwise(channels, 2 * narrow, (stride, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x[..., self.order]
        y = F.relu(self.third(F.relu(self.second(F.relu(self.first(x))))))
        return F.relu(y + self.down(x))


def parts(branch: nn.Sequential) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """The convolution and the batch norm of a `Pointwise`."""
    convolution, norm = branch
    assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    return convolution, norm


class VsvigPatches(Network):
    """The published network: features (N, S, 15, 3 * 32 * 32 + 3) to `Scores`.

    They are a patch of the picture around each joint, at six steps a second, and its x, y and confidence. The
    probability is the logistic function of the logit.
    """

    FOLDS = (("patch", "patch_norm"),)

    def __init__(self, width: int = BASE, dropout: float = 0.0) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, width, PATCH, stride=PATCH)
        self.patch_norm = nn.BatchNorm2d(width)
        self.place = Pointwise(3, width)
        self.network = VsvigNetwork(width, dropout)
        start(self)
        channels_last(self)

    def forward(self, features: torch.Tensor) -> Scores:
        patches, keypoints = features[..., :-3], features[..., -3:]
        posed = (keypoints != 0).any(3).any(2).repeat_interleave(STEP, 1)  # (N, T)
        # The kernel covers the whole patch, so the convolution is a product.
        x = F.linear(patches, self.patch.weight.flatten(1), self.patch.bias)  # (N, S, 15, c0)
        x = self.patch_norm(x.permute(0, 3, 1, 2)) + self.place(keypoints.permute(0, 3, 1, 2))
        logit, steps = self.network(x.contiguous(memory_format=torch.channels_last))
        return scores_of_steps(logit, steps, posed.to(x), spacing=8 * STEP)


class Vsvig(Network):
    """Features (N, 14, 33, T) to `Scores`: a patch of 14 channels and some frames replaces the patch of the picture."""

    joints: torch.Tensor

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("joints", torch.from_numpy(joint_weights(VSVIG_15)), persistent=False)
        self.scale = nn.BatchNorm2d(len(CHANNELS), affine=False)
        self.patch = nn.Sequential(
            nn.Conv2d(len(CHANNELS), width, (PATCH_FRAMES, 1), stride=(PATCH_FRAMES, 1)),
            nn.BatchNorm2d(width),
        )
        self.place = Pointwise(len(KEYPOINT), width)
        self.network = VsvigNetwork(width, dropout)
        start(self)
        channels_last(self)

    def forward(self, features: torch.Tensor) -> Scores:
        posed = features[:, MASK].amax(1)  # (N, T)
        x = self.scale(features.transpose(2, 3))
        x = torch.matmul(x.permute(0, 2, 1, 3), self.joints.T).permute(0, 2, 1, 3)  # (N, 14, T, 15)
        lacking = -x.shape[2] % PATCH_FRAMES
        x = F.pad(x, (0, 0, 0, lacking), mode="replicate")
        places = x[:, KEYPOINT].unflatten(2, (-1, PATCH_FRAMES)).mean(3)
        x = (self.patch(x) + self.place(places)).contiguous(memory_format=torch.channels_last)
        logit, steps = self.network(x)
        # A strided convolution is centred on the first of the steps that it combines.
        return scores_of_steps(logit, steps, posed, spacing=8 * PATCH_FRAMES, first=PATCH_FRAMES // 2)


def start(network: nn.Module) -> None:
    """He's normal weights and no bias, as published, but blocks start close to the identity.

    With the published weights every shortcut is a random mixture that loses information, and after 15 of them the
    network learns little and slowly. Here shortcuts start as the identity, shifted upwards so that ReLUs cut off
    little, and branches start small. In blocks that halve the steps, where the shortcut skips every other step,
    branches start at full size.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, Grapher):
            nn.init.constant_(parts(module.from_inter)[1].weight, BRANCH)
            nn.init.constant_(parts(module.from_intra)[1].weight, BRANCH)
        elif isinstance(module, PartitionConv):
            convolution, norm = parts(module.down)
            c_out, c_in = convolution.weight.shape[:2]
            copies = torch.eye(c_in).repeat(-(-c_out // c_in), 1)[:c_out]
            copies[c_in:] *= -1  # additional channels start as the negatives of the old ones
            nn.init.ones_(norm.bias)
            with torch.no_grad():
                convolution.weight.copy_(copies[..., None, None])
            if module.down.stride == (1, 1):
                nn.init.constant_(parts(module.third)[1].weight, BRANCH)
