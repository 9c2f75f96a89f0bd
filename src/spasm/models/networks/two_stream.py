"""Two-stream network: one stream for a picture, one for its motion.

Hashimoto et al. 2022, MICCAI (arXiv 2207.03344), MIT licence: two ResNet-50, one for a picture and one for a stack of
optical flow, fused by a 1x1 convolution; 55,441,091 parameters for 12 channels of flow, 55,591,619 for 60. For data
without pictures, `TwoStream` plots the upright skeleton and its displacements, and reads them with a small backbone.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from spasm.core.errors import TrainingError
from spasm.core.windows import window_starts
from spasm.data.landmarks import EDGES, LANDMARKS, LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER
from spasm.features.channels import MASK
from spasm.models.networks.layers import Network, Pointwise, channels_last
from spasm.models.networks.output import Scores
from spasm.models.networks.stgcn_mil import MilHead

FLOW_FRAMES = 5  # between the two pictures of a flow
CLIP_STEPS = 6  # flows in a clip: one second
STRIDE_STEPS = 3  # between clips; published: 6, no overlap
PIXELS = 56  # side of a plotted picture
TORSO = 0.8 / 3  # of the side, as published; it is centred in the picture
BLUR = 0.03  # of the side: standard deviation of a plotted point
BONE_POINTS = 3  # plotted between the two ends of a bone
LONG_BONES = [(a, b) for a, b in EDGES if {a, b} <= {0, *range(11, 17), *range(23, 29)}]  # of trunk, arms and legs
SMALLEST_TORSO = 0.02  # of the picture, as in features/body_frame.py


class ResNet(nn.Module):
    """He et al. 2016 (arXiv 1512.03385), without its classifier; pictures (N, C, H, W) to (N, D, H / 32, W / 32).

    Layers have the names of torchvision, so that its weights can be loaded.
    """

    FOLDS = (("conv1", "bn1"),)

    def __init__(self, block: "type[Basic] | type[Bottleneck]", depths: tuple[int, ...], channels: int, width: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        c_in, stages = width, []
        for stage, depth in enumerate(depths):
            blocks: list[nn.Module] = []
            for number in range(depth):
                blocks.append(block(c_in, width * 2**stage, 2 if stage > 0 and number == 0 else 1))
                c_in = width * 2**stage * block.EXPANSION
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.channels = c_in
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


class Basic(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    EXPANSION = 1
    FOLDS = (("conv1", "bn1"), ("conv2", "bn2"))

    def __init__(self, c_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = shortcut(c_in, width, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.downsample(x))


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1 ones, and a shortcut; the 3x3 one has the stride, as in torchvision."""

    EXPANSION = 4
    FOLDS = (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"))

    def __init__(self, c_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = shortcut(c_in, 4 * width, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(F.relu(self.bn2(self.conv2(y)))))
        return F.relu(y + self.downsample(x))


def shortcut(c_in: int, c_out: int, stride: int) -> nn.Module:
    if c_in == c_out and stride == 1:
        return nn.Identity()
    return Pointwise(c_in, c_out, (stride, stride), bias=False)


BACKBONES: dict[str, tuple[type[Basic] | type[Bottleneck], tuple[int, ...]]] = {
    "small": (Basic, (1, 1, 1, 1)),
    "resnet18": (Basic, (2, 2, 2, 2)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
}


class TwoStreamPictures(nn.Module):
    """The published network: pictures (N, 3, H, W) and flow (N, C, H, W) to logits (N, classes)."""

    def __init__(self, flow_channels: int = 12, classes: int = 3, backbone: str = "resnet50", width: int = 64) -> None:
        super().__init__()
        block, depths = BACKBONES[backbone]
        self.spatial = ResNet(block, depths, 3, width)
        self.temporal = ResNet(block, depths, flow_channels, width)
        channels = self.spatial.channels
        self.fuse = nn.Conv2d(2 * channels, channels, 1)
        self.classes: nn.Module = nn.Linear(channels, classes)
        channels_last(self)

    def forward(self, pictures: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
        return self.classes(self.embedding(pictures, flow))

    def embedding(self, pictures: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
        """The input of the classifier, (N, D) float32."""
        fused = self.fuse(torch.cat([self.spatial(pictures), self.temporal(flow)], 1))
        return fused.float().mean((2, 3))

    def load_imagenet(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Start both streams from a ResNet's state dict; for flow, the first convolution is the mean over colours.

        Raises TrainingError if the weights are of another network.
        """
        weights = {name: value for name, value in weights.items() if not name.startswith("fc.")}
        for stream in (self.spatial, self.temporal):
            fitting = dict(weights)
            colours, channels = weights.get("conv1.weight"), stream.conv1.in_channels
            if colours is not None and colours.ndim == 4 and colours.shape[1] != channels:
                fitting["conv1.weight"] = colours.mean(1, keepdim=True).expand(-1, channels, -1, -1)
            try:
                stream.load_state_dict(fitting)
            except RuntimeError as error:
                reason = str(error).splitlines()[1].strip()
                raise TrainingError(f"--weights are not those of this backbone: {reason}") from error


class TwoStreamSegments(Network):
    """Features (N, S, 5, H, W) to `Scores`: blue, green, red and flow in x and y, at six steps a second.

    As published, a clip is the picture in its middle and the flow of its six steps. The head pools the clips.
    """

    def __init__(self, width: int, dropout: float, head: str, backbone: str) -> None:
        super().__init__()
        self.network = TwoStreamPictures(2 * CLIP_STEPS, 1, backbone, width)
        self.network.classes = nn.Identity()  # the head replaces it
        self.dropout = nn.Dropout(dropout)
        self.head = MilHead(self.network.spatial.channels, head)

    def forward(self, features: torch.Tensor) -> Scores:
        posed = (features[:, :, :3].amax((2, 3, 4)) > 0).repeat_interleave(FLOW_FRAMES, 1).float()  # (N, T)
        steps = clip_steps(features.shape[1]).to(features.device)  # (K, 6)
        pictures, flow = features[:, steps[:, CLIP_STEPS // 2], :3], features[:, steps, 3:].flatten(2, 3)
        embedding = self.network.embedding(pictures.flatten(0, 1), flow.flatten(0, 1)).unflatten(0, (-1, len(steps)))
        with torch.autocast(features.device.type, enabled=False):
            return self.head(self.dropout(embedding), posed, posed.shape[1])

    def load_imagenet(self, weights: Mapping[str, torch.Tensor]) -> None:
        """As in `TwoStreamPictures`."""
        self.network.load_imagenet(weights)


class TwoStream(Network):
    """Features (N, 14, 33, T) to `Scores`, by plotted pictures of clips of a second; the head pools the clips."""

    points: torch.Tensor
    colours: torch.Tensor

    def __init__(self, width: int, dropout: float, head: str, backbone: str) -> None:
        super().__init__()
        self.register_buffer("points", torch.from_numpy(bone_points()), persistent=False)
        self.register_buffer("colours", torch.from_numpy(colours()), persistent=False)
        self.network = TwoStreamPictures(3 * CLIP_STEPS, 1, backbone, width)
        self.network.classes = nn.Identity()  # the head replaces it
        self.dropout = nn.Dropout(dropout)
        self.head = MilHead(self.network.spatial.channels, head)

    def forward(self, features: torch.Tensor) -> Scores:
        posed = features[:, MASK].amax(1)
        with torch.autocast(features.device.type, enabled=False):
            pictures, flow = self.plotted(features)
        clips = pictures.shape[1]
        embedding = self.network.embedding(pictures.flatten(0, 1), flow.flatten(0, 1)).unflatten(0, (-1, clips))
        with torch.autocast(features.device.type, enabled=False):
            return self.head(self.dropout(embedding), posed, features.shape[3])

    @torch.no_grad()
    def plotted(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Upright skeletons (N, K, 3, H, W), left, right and middle in three colours, and flow (N, K, 18, H, W).

        The picture shows the middle of each clip. The flow is in tenths of the side per FLOW_FRAMES at plotted points,
        otherwise 0; its channels are x, y, z, x, y, z: unlike the flow of a camera, it includes the depth.
        """
        places = torch.matmul(self.points, upright(features)[:, ::FLOW_FRAMES])  # (N, S, P, 3)
        there = (self.points @ features[:, MASK].amax(2)[..., None])[..., 0] > 0.999  # (N, P): ever found
        across, down = (
            rasterize_blobs(places[..., 0]),
            rasterize_blobs(places[..., 1]).transpose(2, 3),
        )  # (N, S, P, W), (N, S, H, P)
        steps = clip_steps(places.shape[1]).to(places.device)  # (K, 6)

        inked = self.colours * there[..., None]  # (N, P, 3)
        middle = steps[:, CLIP_STEPS // 2]
        pictures = rasterize(down[:, middle], across[:, middle], inked[:, None].expand(-1, len(middle), -1, -1))

        moved = torch.zeros_like(places)
        moved[:, :-1] = 10 * (places[:, 1:] - places[:, :-1])
        carried = torch.cat([moved, torch.ones_like(moved[..., :1])], 3) * there[:, None, :, None]
        field = rasterize(down, across, carried)  # (N, S, 4, H, W)
        flow = field[:, :, :3] / field[:, :, 3:].clamp(min=1)
        return pictures.clamp(max=1), flow[:, steps].flatten(2, 3)

    def load_imagenet(self, weights: Mapping[str, torch.Tensor]) -> None:
        """As in `TwoStreamPictures`."""
        self.network.load_imagenet(weights)


def clip_steps(steps: int) -> torch.Tensor:
    """The steps of each clip, (K, 6); the last clip ends with the segment; a shorter segment repeats its last step."""
    starts = torch.from_numpy(window_starts(steps, CLIP_STEPS, STRIDE_STEPS))
    return (starts[:, None] + torch.arange(CLIP_STEPS)).clamp(max=steps - 1)


def rasterize(down: torch.Tensor, across: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Sum over points of blob times value: (..., H, P), (..., P, W), (..., P, C) to (..., C, H, W)."""
    return torch.matmul(down[..., None, :, :] * values.transpose(-1, -2)[..., None, :], across[..., None, :, :])


def upright(features: torch.Tensor) -> torch.Tensor:
    """Places (N, T, 33, 3) in sides of a picture: the trunk in its middle, upright and of one length, y down.

    As published, one rotation and one scale for the whole segment: the mean over the middle half of the frames, sorted
    by the trunk's length. Depth is scaled but not rotated; it is 0 between the hips.
    """
    xy = features[:, :2].permute(0, 3, 2, 1)  # (N, T, 33, 2), hips at 0
    trunk = xy[:, :, [LEFT_SHOULDER, RIGHT_SHOULDER]].mean(2) - xy[:, :, [LEFT_HIP, RIGHT_HIP]].mean(2)  # (N, T, 2)
    order = trunk.norm(dim=2).argsort(1)
    frames = order.shape[1]
    order = order[:, frames // 4 : max(frames // 4 + 1, frames - frames // 4)]
    mean = trunk.gather(1, order[..., None].expand(-1, -1, 2)).mean(1)  # (N, 2)
    length = mean.norm(dim=1, keepdim=True)
    known = length >= SMALLEST_TORSO
    up = torch.where(known, mean / length.clamp(min=SMALLEST_TORSO), mean.new_tensor([0.0, -1.0]))
    # Rotate `up` to (0, -1): upwards, because y points down.
    turn = torch.stack([torch.stack([-up[:, 1], up[:, 0]], 1), torch.stack([-up[:, 0], -up[:, 1]], 1)], 1)  # (N, 2, 2)
    size = torch.where(known, TORSO / length.clamp(min=SMALLEST_TORSO), 1.0)
    hips = xy.new_tensor([0.5, 0.5 + TORSO / 2])
    turned = hips + torch.matmul(xy, turn.transpose(1, 2)[:, None]) * size[:, None, None]
    depth = features[:, 2:3].permute(0, 3, 2, 1) * size[:, None, None]
    return torch.cat([turned, depth], 3)


def rasterize_blobs(places: torch.Tensor) -> torch.Tensor:
    """One axis of a Gaussian blob for each place (...): (..., 56)."""
    pixels = (torch.arange(PIXELS, device=places.device) + 0.5) / PIXELS
    return torch.exp(-((pixels - places[..., None]) / BLUR).square() / 2)


def bone_points() -> np.ndarray:
    """Weights (P, 33) float32 from landmarks to plotted points: the landmarks, and points along the long bones."""
    rows = list(np.eye(len(LANDMARKS), dtype=np.float32))
    for a, b in LONG_BONES:
        for part in np.arange(1, BONE_POINTS + 1) / (BONE_POINTS + 1):
            row = np.zeros(len(LANDMARKS), dtype=np.float32)
            row[[a, b]] = 1 - part, part
            rows.append(row)
    return np.stack(rows)


def colours() -> np.ndarray:
    """(P, 3) float32: the colour of each point: left, right, middle."""
    side = np.zeros((len(LANDMARKS), 3), dtype=np.float32)
    for place, name in enumerate(LANDMARKS):
        side[place, 0 if "left" in name else 1 if "right" in name else 2] = 1
    return bone_points() @ side
