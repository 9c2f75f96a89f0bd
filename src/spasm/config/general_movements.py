"""Settings of the two-stream network on its own task, general movements in three classes."""

from typing import Annotated, Literal

from spasm.config.features import PictureAugmentation
from spasm.config.fields import SettingsError, Shown, settings, within
from spasm.config.network import Optimization

STEP = 5  # frames between two flows
NARROW, WIDE = 16, 64  # channels of the first blocks: of the small backbone, and of ResNets as published
DROPOUT = 0.35  # of the small backbone, which is trained from the start on few infants; published: none
EMA = 0.97  # decay per step of the running average of the weights
SIDES = {"small": 56, "resnet18": 224, "resnet50": 224}
RATES = {"small": 1.7e-3, "resnet18": 1e-4, "resnet50": 1e-5}


@settings
class GeneralMovements:
    """Everything that decides what the network learns."""

    backbone: Literal["small", "resnet18", "resnet50"] = "small"
    """Backbone of both streams; published: resnet50."""
    weights: str = ""
    """File with a torchvision state dict, such as ImageNet's, that both streams start from; it needs a ResNet.
    Published: ImageNet's."""
    side: Annotated[Literal[0, 28, 56, 112, 224], Shown(default="56 for small, 224 for ResNets")] = 0
    """Side of the pictures in pixels; published: 224."""
    chunk_frames: Annotated[int, within(5, 1800)] = 30
    """Frames of a chunk, a multiple of 5 (published: 30): a picture and the flow of each 5 frames."""
    epochs: Annotated[int, within(0, 10_000), Shown(default="enough for 500 steps, and at least 20")] = 0
    """Passes over the training chunks; published: up to 500, stopped by the training loss."""
    batch: Annotated[int, within(2, 4096)] = 16
    """Chunks in a step; published: 64."""
    learning_rate: Annotated[
        float, within(0, 1), Shown(default="0.0017 for small, 0.0001 for resnet18, 1e-05 for resnet50")
    ] = 0.0
    """Highest learning rate (AdamW); published: 1e-05."""
    augmentation: Literal["all", "mirror"] = "all"
    """Random changes to training chunks: mirrored (published), or also zoomed, shifted, and of another brightness."""

    def __post_init__(self) -> None:
        if self.chunk_frames % STEP:
            nearest = self.chunk_frames // STEP * STEP
            raise SettingsError(f"--chunk-frames {self.chunk_frames} is no multiple of {STEP}; use {nearest}")
        if self.weights and self.backbone == "small":
            raise SettingsError("--weights are those of a ResNet: add --backbone resnet50 or resnet18")

    @property
    def width(self) -> int:
        """Channels of the first blocks."""
        return NARROW if self.backbone == "small" else WIDE

    @property
    def dropout(self) -> float:
        """Fraction of channels dropped before the classifier."""
        return DROPOUT if self.backbone == "small" else 0.0

    @property
    def pixels(self) -> int:
        """Side of the pictures."""
        return self.side or SIDES[self.backbone]

    @property
    def optimization(self) -> Optimization:
        """How a fold is trained."""
        rate = self.learning_rate or RATES[self.backbone]
        return Optimization(epochs=self.epochs, batch=self.batch, learning_rate=rate, loss="plain", ema=EMA)

    @property
    def changes(self) -> PictureAugmentation:
        """The random changes to training chunks."""
        if self.augmentation == "mirror":
            return PictureAugmentation(zoom=0, shift=0, brightness=0, tint=0, shift_steps=0)
        return PictureAugmentation(shift_steps=0)
