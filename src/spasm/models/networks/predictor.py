"""Scoring segments with trained networks; out-of-fold rows and submissions both come from here."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, Protocol

import numpy as np
import torch

from spasm.core.errors import TrainingError
from spasm.data.pictures import Pictures
from spasm.models.model import Explanation, FoldScores
from spasm.models.networks.gpu import free_memory, is_out_of_memory, make_repeatable
from spasm.models.networks.layers import Network
from spasm.models.networks.output import Scores

SCORING_BATCH = 16  # segments; larger batches do not fit into the cache of an ordinary core and are not faster
SCORING_BATCH_ON_GPU = 512  # segments; larger batches are not faster, and these need 1 GB


class Reader(Protocol):
    """The method of a model that gives what its network reads."""

    def features_of(
        self, poses: np.ndarray, pictures: Pictures | None, rows: np.ndarray, config: Any, device: torch.device
    ) -> torch.Tensor:
        """The features (n, ...) of some segments, on the device. Raises DataError where pictures are missing."""


class NetworkPredictor:
    """Trained folds of one network, ready to score segments; features are built once for all of them."""

    def __init__(
        self,
        build: Callable[[], Network],
        weights: Sequence[dict[str, torch.Tensor]],
        reader: Reader,
        config: Any,
        device: torch.device,
        precision: torch.dtype,
    ) -> None:
        self.reader, self.config, self.device = reader, config, device
        self.batch = SCORING_BATCH
        if device.type == "cuda":
            self.batch = SCORING_BATCH_ON_GPU
            make_repeatable()
        self.offsets = []
        networks = []
        for fold in weights:
            network = build()
            try:
                self.offsets.append(float(fold["offset"]))
                network.load_state_dict({name: value for name, value in fold.items() if name != "offset"})
            except (KeyError, RuntimeError) as error:
                raise TrainingError("the weights are not those of a network with these settings") from error
            networks.append(network)
        try:
            self.networks = networks[0].stacked(networks, precision, device)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            reason = "the memory of the GPU is full: another program uses it"
            raise TrainingError(f"{reason}; free some of it, or use --device cpu") from error

    def predict(self, poses: np.ndarray, rows: np.ndarray, pictures: Pictures | None = None) -> FoldScores:
        """Scores of the segments `rows` of poses (M, T, 33, 5) float32, each with a pose, and of their pictures.

        Reads a few segments at a time, so that memory does not grow with their number.
        """
        logits = np.empty((len(self.offsets), len(rows)))
        weights = np.empty((len(rows), poses.shape[1]))
        for part, scores in self._scores(poses, rows, pictures):
            for fold, score in enumerate(scores):
                logits[fold, part] = score.logit.cpu().double().numpy() + self.offsets[fold]
            weights[part] = torch.stack([score.frame_weights for score in scores]).mean(0).cpu().numpy()
        return FoldScores(logits, weights)

    def explain(self, poses: np.ndarray, rows: np.ndarray, pictures: Pictures | None = None) -> Explanation:
        """Attention and frame logits, the mean over folds."""
        weights, logits = np.empty((2, len(rows), poses.shape[1]))
        for part, scores in self._scores(poses, rows, pictures):
            weights[part] = torch.stack([score.frame_weights for score in scores]).mean(0).cpu().numpy()
            together = torch.stack([score.frame_logits for score in scores]).float().mean(0)
            logits[part] = together.cpu().numpy() + np.mean(self.offsets)
        return Explanation(attention=weights, frame_logits=logits)

    def _scores(
        self, poses: np.ndarray, rows: np.ndarray, pictures: Pictures | None
    ) -> Iterator[tuple[slice, list[Scores]]]:
        """The output of every fold for a few segments at a time, and which of `rows` they are.

        Where the memory of a GPU is full, it goes on with half as many at a time. Raises TrainingError if there is not
        enough for one.
        """
        start = 0
        while start < len(rows):
            part = slice(start, start + self.batch)
            try:
                scores = self._scores_of(poses, pictures, rows[part])
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                scores = None
            if scores is None:  # here, where the error no longer holds what was computed
                self._halve_batch(len(rows[part]))
                continue
            yield part, scores
            start += self.batch

    @torch.inference_mode()
    def _scores_of(self, poses: np.ndarray, pictures: Pictures | None, rows: np.ndarray) -> list[Scores]:
        features = self.reader.features_of(poses, pictures, rows, self.config, self.device)
        scores: list[Scores] = self.networks(features)
        return scores

    def _halve_batch(self, size: int) -> None:
        """Go on with half of a batch of this size, for which memory was full. Raises TrainingError if it is 1."""
        free_memory()
        if size == 1:
            raise TrainingError(
                f"the memory of the {'GPU' if self.device.type == 'cuda' else 'computer'} is full while one segment "
                "is predicted: free some of it, or use --device cpu"
            )
        self.batch = size // 2


def pick_device(device: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """The requested device; "auto" takes a GPU if there is one."""
    if device == "cuda" and not torch.cuda.is_available():
        raise TrainingError("--device cuda: torch sees no GPU here; use --device auto")
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def pick_precision(precision: Literal["auto", "float32", "bfloat16"], device: torch.device) -> torch.dtype:
    """The requested precision; "auto" takes bfloat16 if the hardware multiplies it, else float32."""
    if precision != "auto":
        return torch.float32 if precision == "float32" else torch.bfloat16
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if native else torch.float32
