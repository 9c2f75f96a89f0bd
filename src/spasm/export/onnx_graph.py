"""The graph of an ONNX file: cleaned poses in; probability, log-odds, frame probabilities and attention out.

It holds everything between cleaning and probability: the landmark set, the channels of the network, every trained
fold, their mean, and the calibration. Any number of segments and frames may be given.
"""

import contextlib
import io
import logging
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from spasm.config.data import LandmarkSet
from spasm.config.features import Features
from spasm.core.errors import TrainingError
from spasm.data.landmark_sets import landmark_indices
from spasm.data.landmarks import LANDMARKS
from spasm.data.pose import CHANNELS
from spasm.features.channels import build_features
from spasm.models.network import NetworkModel

if TYPE_CHECKING:
    import onnx

INPUT, OUTPUTS = "poses", ("probability", "logit", "frame_probability", "attention")
PROPERTY = "spasm"  # the metadata property of the file
# What torch writes without converting it, and the version of the format that goes with it: runtimes since 2023 read it.
OPSET, IR_VERSION = 18, 8
TRACED = 3, 90  # segments and frames of the example that the graph is traced with


class Calibrated(NamedTuple):
    """What makes a probability of the mean of the folds' log-odds."""

    slope: float
    offset: float
    low: float
    """The lowest log-odds that it gives."""
    high: float
    no_pose_logit: float
    """Log-odds of a segment without any pose."""


class PoseNetwork(nn.Module):
    """Trained folds of a network with what comes before and after them."""

    kept: torch.Tensor

    def __init__(
        self,
        networks: Sequence[nn.Module],
        offsets: Sequence[float],
        features: Features,
        landmarks: LandmarkSet,
        calibrated: Calibrated,
    ) -> None:
        """networks: folded ones, see `Network.folded`; offsets: to add to the log-odds of each."""
        super().__init__()
        self.networks, self.features, self.calibrated = nn.ModuleList(networks), features, calibrated
        self.offset, self.landmarks = sum(offsets) / len(offsets), landmarks
        kept = torch.zeros(len(LANDMARKS), 1, dtype=torch.bool)
        kept[landmark_indices(landmarks)] = True
        self.register_buffer("kept", kept)

    def forward(self, poses: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Poses (N, T, 33, 5) to probability (N,), log-odds (N,), frame probabilities (N, T) and attention (N, T).

        A frame without a pose has the attention 0, and NaN as its probability.
        """
        if self.landmarks != "all":  # as `keep_landmarks`
            poses = torch.where(self.kept, poses, torch.nan)
            depth = torch.where(torch.isfinite(poses[..., :2]).all(-1, keepdim=True), 0.0, torch.nan)
            poses = torch.cat([poses[..., :2], depth, poses[..., 3:]], -1)
        posed = torch.isfinite(poses[..., :3]).all(-1).any(-1)  # (N, T)
        features = build_features(poses, self.features)
        scores = [network(features) for network in self.networks]
        logit, frame_logits, attention = (
            torch.stack([getattr(score, name) for score in scores]).mean(0)
            for name in ("logit", "frame_logits", "frame_weights")
        )
        logit = torch.where(posed.any(1), self.calibrate(logit), self.calibrated.no_pose_logit)
        frame_probability = torch.where(posed, torch.sigmoid(self.calibrate(frame_logits)), torch.nan)
        return torch.sigmoid(logit), logit, frame_probability, attention

    def calibrate(self, logits: torch.Tensor) -> torch.Tensor:
        """Calibrated log-odds of the mean of the folds' log-odds."""
        slope, offset, low, high, _ = self.calibrated
        line = slope * (logits + self.offset) + offset
        return line.clamp(low, high) if math.isfinite(high) else line


def build(
    model: NetworkModel,
    weights: Sequence[Mapping[str, torch.Tensor]],
    config: Any,
    landmarks: LandmarkSet,
    calibrated: Calibrated,
) -> PoseNetwork:
    """A network with the weights of its folds. Raises TrainingError where they do not fit the settings `config`."""
    networks, offsets = [], []
    for fold in weights:
        network = model.build(config)
        try:
            offsets.append(float(fold["offset"]))
            network.load_state_dict({name: value for name, value in fold.items() if name != "offset"})
        except (KeyError, RuntimeError) as error:
            raise TrainingError("the weights are not those of a network with these settings") from error
        networks.append(network.folded(torch.float32))
    return PoseNetwork(networks, offsets, config.features, landmarks, calibrated).eval()


def onnx_bytes(network: PoseNetwork) -> bytes:
    """An ONNX file of the network; the same network gives the same bytes."""
    import onnx

    example = torch.rand((*TRACED, len(LANDMARKS), len(CHANNELS)), generator=torch.Generator().manual_seed(0))
    any_size = torch.export.Dim.DYNAMIC
    with quiet():
        program = torch.onnx.export(
            network,
            (example,),
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_shapes=({0: any_size, 1: any_size},),
            dynamo=True,
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    made: onnx.ModelProto = program.model_proto
    made.ir_version, made.producer_name, made.producer_version = IR_VERSION, "spasm", ""
    clear_traces(made)
    name_sizes(made)
    onnx.checker.check_model(made)
    return made.SerializeToString(deterministic=True)


def with_metadata(content: bytes, metadata: str) -> bytes:
    """The same file with `metadata` as its property `spasm`."""
    import onnx

    made = onnx.load_model_from_string(content)
    made.metadata_props.add(key=PROPERTY, value=metadata)
    return made.SerializeToString(deterministic=True)


def clear_traces(made: "onnx.ModelProto") -> None:
    """Remove what names a path of this machine or a line of this code: comments of the model, its nodes and values."""
    graph = made.graph
    graph.ClearField("value_info")  # shapes within the graph, which runtimes infer
    parts = [made, graph, *graph.node, *graph.input, *graph.output, *graph.initializer, *made.functions]
    for part in parts:
        part.ClearField("doc_string")
        part.ClearField("metadata_props")


def name_sizes(made: "onnx.ModelProto") -> None:
    """Name the two sizes that may be any: N is `segments`, T is `frames`."""
    for value in [*made.graph.input, *made.graph.output]:
        for size, name in zip(value.type.tensor_type.shape.dim, ("segments", "frames"), strict=False):
            size.dim_param = name


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep back what torch's exporter prints of packages that are not installed and of its own future."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
