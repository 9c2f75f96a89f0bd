"""The two-stream network on its own task: general movements in three classes, from chunks of pictures and flow.

Hashimoto et al. 2022, MICCAI (arXiv 2207.03344); the network itself is `TwoStreamPictures`. It is trained by
`FoldTrainer`, whose loss is the cross-entropy over classes where a network has a logit for each.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from spasm.config.general_movements import GeneralMovements
from spasm.data.formats.two_stream import CLASSES, FLOW_STEP
from spasm.data.general_movements import COLOURS, Chunks
from spasm.features.picture_augmentation import Changes
from spasm.models.networks.layers import Network
from spasm.models.networks.output import Scores
from spasm.models.networks.two_stream import TwoStreamPictures
from spasm.models.two_stream import load_weights

SCORING_BATCH = 16  # chunks


class GeneralMovementsNetwork(Network):
    """Features (N, 3 + 2 * flows, H, W) to `Scores` whose logit is (N, 3): one for each class."""

    def __init__(self, flow_channels: int, backbone: str, width: int, dropout: float) -> None:
        super().__init__()
        self.network = TwoStreamPictures(flow_channels, len(CLASSES), backbone, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: torch.Tensor) -> Scores:
        embedding = self.network.embedding(features[:, :COLOURS], features[:, COLOURS:])
        with torch.autocast(features.device.type, enabled=False):
            logits = self.network.classes(self.dropout(embedding))
        nothing = logits.new_zeros(len(logits), 0)  # it has no frames to attend to
        return Scores(logits, nothing, nothing)

    def load_imagenet(self, weights: Mapping[str, torch.Tensor]) -> None:
        """As in `TwoStreamPictures`."""
        self.network.load_imagenet(weights)


class ChunkInputs:
    """What the network is trained on: pictures from the memory-mapped file, as features when they are read."""

    steps_on_gpu: ClassVar[int] = 1

    def __init__(self, data: Chunks, config: GeneralMovements, device: torch.device) -> None:
        self.pictures, self.config, self.device = data.pictures(), config, device

    def __getitem__(self, rows: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(self.pictures[rows]).to(self.device)

    def features(self, raw: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        """(n, C, H, W) float32: blue, green, red up to 1, and flow, in which 0 is still and 1 is 20 pixels."""
        values = raw.float()
        pictures, flow = values[:, :COLOURS], values[:, COLOURS:]
        pictures = pictures / pictures.amax((1, 2, 3), keepdim=True).clamp(min=1)  # as published
        features = torch.cat([pictures, flow / 127.5 - 1 + 1 / 255], 1)  # so that no movement, 127, is 0
        return features if generator is None else augmented(features, self.config, generator)


def augmented(features: torch.Tensor, config: GeneralMovements, generator: torch.Generator) -> torch.Tensor:
    """Randomly changed features; a movement grows with the picture, and its x changes sign in a mirror."""
    changes = Changes(len(features), config.changes, generator, features.device)
    changed = changes.in_space(features[:, None])[:, 0]
    scale = torch.ones(features.shape[:2], device=features.device)
    scale[:, :COLOURS] = changes.gain
    scale[:, COLOURS:] = changes.zoom[:, None]
    scale[:, COLOURS::2] *= torch.where(changes.mirrored, -1.0, 1.0)[:, None]
    return changed * scale[..., None, None]


class GeneralMovementsModel:
    """What `FoldTrainer` needs to train the network."""

    name: ClassVar[str] = "general_movements"
    seed_number: ClassVar[int] = 8
    capturable: ClassVar[bool] = False
    is_prefixed: ClassVar[bool] = False

    def build(self, config: GeneralMovements) -> Network:
        """The network, with new weights sampled from torch's random state."""
        flow_channels = 2 * (config.chunk_frames // FLOW_STEP)
        return GeneralMovementsNetwork(flow_channels, config.backbone, config.width, config.dropout)

    def load_pretrained(self, network: Any, config: GeneralMovements) -> None:
        """Replace the random weights by the file that the settings name."""
        load_weights(network, config.weights)

    def inputs(self, data: Any, config: GeneralMovements, device: torch.device) -> ChunkInputs:
        """What the network reads of the data."""
        return ChunkInputs(data, config, device)


MODEL = GeneralMovementsModel()


@torch.inference_mode()
def scores_of(
    weights: Mapping[str, torch.Tensor],
    data: Chunks,
    rows: np.ndarray,
    config: GeneralMovements,
    device: torch.device,
    precision: torch.dtype,
) -> np.ndarray:
    """Logits (n, 3) float64 of some chunks by a trained fold; a few are read at a time."""
    network = MODEL.build(config)
    network.load_state_dict({name: value for name, value in weights.items() if name != "offset"})
    scorer, inputs = network.folded(precision).to(device), ChunkInputs(data, config, device)
    logits = np.empty((len(rows), len(CLASSES)))
    for start in range(0, len(rows), SCORING_BATCH):
        part = slice(start, start + SCORING_BATCH)
        features = inputs.features(inputs[rows[part]], None)
        logits[part] = scorer(features).logit.cpu().double().numpy()
    return logits
