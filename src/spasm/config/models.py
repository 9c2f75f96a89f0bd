"""Settings of every model."""

import dataclasses
from typing import Annotated, Literal, TypeAlias

from spasm.config.fields import Between, Checked, Odd, Probability, SettingsError


@dataclasses.dataclass(frozen=True)
class Features(Checked):
    """How a pose becomes channels."""

    root: Literal["interpolate", "hold"] = "interpolate"
    """Where the hips are missing: interpolated through the gap, or the last valid place held (as published)."""
    # Off: it did worse in the one trial on Kinder-Gator.
    body_scale: bool = False
    """Divide by the segment's median torso length."""
    aspect: Annotated[float, Between(0.1, 10)] = 1.0
    """Picture width divided by height, when known; 1 leaves x and y as they are."""


@dataclasses.dataclass(frozen=True)
class Augmentation(Checked):
    """Random changes to the training poses."""

    mirror_prob: Probability = 0.5
    """Chance of mirroring, left and right swapped."""
    rotation_deg: Annotated[float, Between(0, 180)] = 15.0
    """Largest rotation in the picture, in degrees either way."""
    zoom: Annotated[float, Between(0, 2)] = 0.2
    """Largest zoom in or out, as a natural logarithm."""
    aspect_jitter: Annotated[float, Between(0, 2)] = 0.2
    """Largest change of the aspect ratio, as a natural logarithm."""
    shift_frames: Annotated[int, Between(0, 100_000)] = 10
    """Largest shift in time, in frames either way; what comes in from outside is missing."""
    jitter: Annotated[float, Between(0, 1)] = 0.001
    """Standard deviation of noise on x, y and z, in picture units."""
    drop_landmark_prob: Probability = 0.02
    """Chance that a landmark is missing for the whole segment."""
    gap_prob: Probability = 0.2
    """Chance of a gap, in which every landmark is missing."""
    gap_frames: Annotated[int, Between(1, 100_000)] = 30
    """Longest gap, in frames."""


@dataclasses.dataclass(frozen=True)
class Network(Checked):
    """The networks' sizes; not every network has all of them, and one that has not refuses other than the default."""

    width: Annotated[int, Between(4, 1024)] = 64
    """Channels of the first blocks. VSViG: 24 is its base size, 12 its light one; even numbers only."""
    blocks: Annotated[int, Between(1, 16)] = 4
    """Blocks of the ST-GCN, with temporal strides 2, 2, 1, 1."""
    kernel: Annotated[int, Between(1, 51), Odd()] = 9
    """Frames seen by a temporal convolution (odd)."""
    dropout: Annotated[float, Between(0, 0.9)] = 0.15
    """Share of channels dropped while training."""
    head: Literal["attn", "topk", "logsumexp"] = "attn"
    """How frames, or the clips of the two-stream network, become one answer."""
    backbone: Literal["small", "resnet18", "resnet50"] = "small"
    """Backbone of both streams of the two-stream network."""
    weights: str = ""
    """File with a torchvision state dict, such as ImageNet's, that both streams start from; by default none."""


@dataclasses.dataclass(frozen=True)
class Fit(Checked):
    """How one fold is trained."""

    epochs: Annotated[int, Between(1, 10_000)] = 20
    """Passes over the training segments."""
    batch: Annotated[int, Between(2, 4096)] = 32
    """Segments in a step."""
    learning_rate: Annotated[float, Between(1e-6, 1)] = 3e-3
    """Highest learning rate (AdamW)."""
    schedule: Literal["one-cycle", "cosine"] = "one-cycle"
    """Course of the learning rate: up and down, or down only."""
    weight_decay: Annotated[float, Between(0, 1)] = 0.01
    """Weight decay (AdamW)."""
    loss: Literal["weighted", "focal", "plain", "squared"] = "weighted"
    """Cross-entropy with the rarer class weighted up, focal loss likewise, plain cross-entropy, or the squared error of
    the probability, which follows onsets.csv where there is one."""
    focal_gamma: Annotated[float, Between(0, 10)] = 2.0
    """How strongly the focal loss discounts easy segments."""
    triplet: Annotated[float, Between(0, 100)] = 0.0
    """Weight of the triplet-centre loss, which STA-GUNet alone has; its margin is 1, a tenth less in each epoch."""
    ema: Annotated[float, Between(0, 0.99999)] = 0.99
    """Decay per step of the running average of the weights, which is what is scored; 0 scores the last weights."""
    clip_norm: Annotated[float, Between(0.001, 1_000_000)] = 1.0
    """Largest norm of a step's gradient."""


@dataclasses.dataclass(frozen=True)
class Boosting(Checked):
    """Gradient boosting by LightGBM on kinematic statistics."""

    num_boost_round: Annotated[int, Between(1, 10_000)] = 200
    """Trees."""
    learning_rate: Annotated[float, Between(1e-4, 1)] = 0.05
    """How much each tree adds (LightGBM's learning_rate)."""
    num_leaves: Annotated[int, Between(2, 1024)] = 7
    """Leaves of a tree."""
    min_data_in_leaf: Annotated[int, Between(1, 10_000)] = 10
    """Fewest training segments in a leaf."""
    feature_fraction: Annotated[float, Between(0.01, 1)] = 0.3
    """Share of the statistics that a tree may use."""
    bagging_fraction: Annotated[float, Between(0.1, 1)] = 0.8
    """Share of the training segments that a tree sees."""
    lambda_l2: Annotated[float, Between(0, 1000)] = 1.0
    """L2 penalty on the leaves' values."""
    gap_features: bool = False
    """Also use the statistics of gaps and visibility, which tell more of the camera than of the child."""


@dataclasses.dataclass(frozen=True)
class Convolutions(Checked):
    """Random convolutions, pooled over time, under a ridge classifier."""

    biases_per_kernel: Annotated[int, Between(1, 64)] = 4
    """Thresholds for each kernel, dilation and pooling."""
    augmented_copies: Annotated[int, Between(0, 16)] = 2
    """Randomly changed copies of each training segment that are trained on beside it."""


Model: TypeAlias = Literal["stgcn_mil", "stam", "sta_gunet", "vsvig", "two_stream"]
# The settings of `Network` that each network has.
SIZES = {
    "stgcn_mil": ("width", "blocks", "kernel", "dropout", "head"),
    "stam": ("width", "kernel", "dropout"),
    "sta_gunet": ("width", "kernel", "dropout"),
    "vsvig": ("width", "dropout"),
    "two_stream": ("width", "dropout", "head", "backbone", "weights"),
}


@dataclasses.dataclass(frozen=True)
class Member(Checked):
    """Everything that decides what a network learns; a member refuses to continue under other values."""

    model: Model = "stgcn_mil"
    """Network; the defaults of other settings follow it."""
    features: Features = Features()
    augmentation: Augmentation = Augmentation()
    network: Network = Network()
    fit: Fit = Fit()

    def __post_init__(self) -> None:
        super().__post_init__()
        usual = Network()
        for field in dataclasses.fields(Network):
            default = getattr(usual, field.name)
            if field.name not in SIZES[self.model] and getattr(self.network, field.name) != default:
                raise SettingsError(f"--{field.name} has no effect on --model {self.model}: leave it at {default!r}")
        if self.model == "vsvig" and self.network.width % 2:
            nearest = self.network.width - 1
            raise SettingsError(
                f"--width {nearest + 1} is odd, for --model vsvig; the nearest valid value is {nearest}"
            )
        if self.fit.triplet and self.model != "sta_gunet":
            raise SettingsError(f"--triplet has no effect on --model {self.model}: leave it at 0.0")


# What each network is trained with by default, from the searches that README.md describes. STAM, STA-GUNet and VSViG
# (light) have their published sizes; what the two-stream network draws is small, and so is its backbone.
MEMBERS: dict[str, Member] = {
    "stgcn_mil": Member(),
    "stam": Member(model="stam", fit=Fit(epochs=8, batch=16, learning_rate=2e-3, ema=0.97)),
    "sta_gunet": Member(
        model="sta_gunet",
        fit=Fit(epochs=6, batch=16, learning_rate=2e-3, loss="focal", triplet=0.1, ema=0.97),
    ),
    "vsvig": Member(
        model="vsvig", network=Network(width=12), fit=Fit(epochs=12, batch=16, learning_rate=3e-3, ema=0.97)
    ),
    "two_stream": Member(
        model="two_stream",
        network=Network(width=16, dropout=0.35),
        fit=Fit(learning_rate=1.7e-3, loss="focal", ema=0.97),
    ),
}


@dataclasses.dataclass(frozen=True)
class LgbmMember(Checked):
    """Everything that decides what the LightGBM member learns."""

    boosting: Boosting = Boosting()


@dataclasses.dataclass(frozen=True)
class RocketMember(Checked):
    """Everything that decides what the random convolutions learn."""

    features: Features = Features(body_scale=True)
    augmentation: Augmentation = Augmentation()
    convolutions: Convolutions = Convolutions()
