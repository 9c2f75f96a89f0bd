"""Train one fold of a network; a training can be stopped at any moment and resumed to the same bytes."""

import hashlib
import json
import math
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from spasm.config.fields import to_tree
from spasm.config.network import SOFT_LOSSES, NetworkConfig
from spasm.core import checkpoints
from spasm.core.errors import DataError, DivergenceError, TrainingError
from spasm.core.processes import set_threads
from spasm.data.dataset import TrainingData
from spasm.features.augmentation import augment
from spasm.features.channels import build_features
from spasm.models.model import FoldJob
from spasm.models.networks import teacher
from spasm.models.networks.layers import Network
from spasm.models.networks.output import Scores
from spasm.models.networks.predictor import pick_device, pick_precision

HISTORY = ("learning_rate", "loss", "gradient_norm")


class Trainable(Protocol):
    """The methods of a model that the trainer uses."""

    name: ClassVar[str]
    seed_number: ClassVar[int]

    def build(self, config: Any) -> Network:
        """The network, with new weights sampled from torch's random state."""

    def load_pretrained(self, network: Network, config: Any) -> None:
        """Replace the random weights by the file that the settings name."""


class FoldTrainer:
    """One network being trained on the training children of one fold.

    All random numbers depend only on (seed, fold, model, epoch), so that a fold resumed after any epoch
    ends with the same bytes as one that was never interrupted.
    """

    def __init__(
        self,
        model: Trainable,
        data: TrainingData,
        rows: np.ndarray,
        config: NetworkConfig,
        seed: int,
        fold: int,
        device: torch.device,
        precision: torch.dtype,
    ) -> None:
        """Train on the segments `rows` of the data, each of which has a pose. Raises TrainingError for one class."""
        labels = data.labels[rows]
        if len(np.unique(labels)) < 2:
            raise TrainingError(f"fold {fold}: its training children have only one class; use another --fold-seed")
        self.data, self.rows, self.labels = data, rows, labels.astype(np.float32)
        ramped = data.targets if config.optimization.loss in SOFT_LOSSES else None
        self.targets = self.labels if ramped is None else ramped[rows]
        self.config, self.device, self.precision = config, device, precision
        self.epochs = config.optimization.epochs_of(len(rows))
        self.entropy = [seed, fold, model.seed_number]
        payload = [model.name, seed, fold, to_tree(config), data.fingerprint, rows.tolist(), device.type]
        payload += [str(precision)] if ramped is None else [str(precision), self.targets.tolist()]
        digest = hashlib.sha256(json.dumps(payload).encode()).digest()
        self.identity = torch.frombuffer(bytearray(digest), dtype=torch.uint8)
        self.epoch = 0
        self.history: list[list[float]] = []
        torch.manual_seed(self._seed(0))
        self.network = model.build(config).to(device)
        model.load_pretrained(self.network, config)
        self.average = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(),
            lr=config.optimization.learning_rate,
            weight_decay=config.optimization.weight_decay,
        )

    def run_epoch(self) -> dict[str, float]:
        """One pass over the training segments; returns the new row of the history."""
        optimization = self.config.optimization
        torch.manual_seed(self._seed(self.epoch + 1))  # dropout
        generator = torch.Generator().manual_seed(self._seed(self.epoch + 1, 1))  # augmentation
        mixing = np.random.default_rng(self._seed(self.epoch + 1, 3))
        order = np.random.default_rng(self._seed(self.epoch + 1, 2)).permutation(len(self.labels))
        batches = np.array_split(order, math.ceil(len(order) / optimization.batch))
        self.network.train()
        losses, norms, rate = [], [], 0.0
        for number, batch in enumerate(batches):
            step = self.epoch * len(batches) + number
            rate = learning_rate(step, self.epochs * len(batches), optimization.learning_rate, optimization.schedule)
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            batch = np.sort(batch)  # so that the memory map is read in order
            rows = self.rows[batch]
            poses = torch.from_numpy(np.array(self.data.poses[rows])).to(self.device)
            poses = augment(poses, self.config.augmentation, generator, self.config.features.aspect)
            labels, targets = (torch.from_numpy(of[batch]).to(self.device) for of in (self.labels, self.targets))
            loss = self._loss(poses, labels, targets, mixing)
            self.optimiser.zero_grad()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(self.network.parameters(), optimization.clip_norm)
            if not torch.isfinite(loss) or not torch.isfinite(norm):
                raise DivergenceError(
                    f"epoch {self.epoch + 1}, step {number + 1}: the loss is {loss.item()}, its gradient "
                    f"{norm.item()}; segments {', '.join(self.data.names[row] for row in rows)}. "
                    "Check these segments (src/verify.py), or lower --learning-rate."
                )
            self.optimiser.step()
            self._update_average(step)
            losses.append(loss.item() * len(batch))
            norms.append(norm.item())
        self.epoch += 1
        row = [rate, sum(losses) / len(order), sum(norms) / len(norms)]
        self.history.append(row)
        return dict(zip(HISTORY, row, strict=True))

    def final_weights(self) -> dict[str, torch.Tensor]:
        """Weights for scoring: the averaged weights, and `offset`, which removes the class weighting from the logit."""
        weights = {name: value.detach().cpu().contiguous() for name, value in self.average.items()}
        weights["offset"] = torch.tensor(-math.log(self._positive_weight()), dtype=torch.float64)
        return weights

    def state(self) -> dict[str, torch.Tensor]:
        """The state that the next epoch depends on, as named tensors."""
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.average.items()}
        for number, slots in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{name}": value for name, value in slots.items()}
        tensors["identity"] = self.identity
        tensors["epoch"] = torch.tensor(self.epoch)
        tensors["history"] = torch.tensor(self.history, dtype=torch.float64).reshape(-1, len(HISTORY))
        return {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}

    def load_state(self, tensors: dict[str, torch.Tensor]) -> None:
        """Resume from `state`. Raises ValueError if it is of another fold, seed, data set or settings."""
        if not torch.equal(tensors.get("identity", torch.empty(0)), self.identity):
            raise ValueError("another fold, seed, data set or settings")
        self.network.load_state_dict(_below(tensors, "network."))
        self.average = {name: value.to(self.device) for name, value in _below(tensors, "average.").items()}
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in _below(tensors, "optimiser.").items():
            number, slot = name.split(".")
            state.setdefault(int(number), {})[slot] = value
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": state, "param_groups": groups})
        self.epoch = int(tensors["epoch"])
        self.history = tensors["history"].tolist()

    def _loss(
        self, poses: torch.Tensor, labels: torch.Tensor, targets: torch.Tensor, mixing: np.random.Generator
    ) -> torch.Tensor:
        """The mean loss of a batch, of mixed pairs if the settings say so (Zhang et al. 2018, arXiv 1710.09412)."""
        features, alpha = build_features(poses, self.config.features), self.config.optimization.mixup
        if alpha == 0:
            return self._losses(self._forward(features), labels, targets).mean()
        part = torch.from_numpy(mixing.beta(alpha, alpha, len(labels))).to(features)
        part = torch.maximum(part, 1 - part)
        other = torch.from_numpy(mixing.permutation(len(labels))).to(features.device)
        mixed = part[:, None, None, None]
        scores = self._forward(mixed * features + (1 - mixed) * features[other])
        first, second = self._losses(scores, labels, targets), self._losses(scores, labels[other], targets[other])
        return (part * first + (1 - part) * second).mean()

    def _forward(self, features: torch.Tensor) -> Scores:
        enabled = self.precision != torch.float32
        with torch.autocast(self.device.type, self.precision if enabled else None, enabled=enabled):
            return self.network(features)

    def _losses(self, scores: Scores, labels: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The loss (N,) of each segment."""
        optimization, logits = self.config.optimization, scores.logit
        if optimization.loss == "squared":
            loss = (torch.sigmoid(logits) - targets).square()
        else:
            weight = 1 + labels * (self._positive_weight() - 1)
            loss = F.binary_cross_entropy_with_logits(logits, targets, weight=weight, reduction="none")
        if optimization.loss == "focal":  # Lin et al. 2017, arXiv 1708.02002
            missed = torch.where(labels == 1, torch.sigmoid(-logits), torch.sigmoid(logits))
            loss = loss * missed**optimization.focal_gamma
        auxiliary = self.network.auxiliary_loss(scores, labels, self.epoch)
        if auxiliary is not None:
            loss = loss + auxiliary
        return loss

    def _positive_weight(self) -> float:
        """Negatives for each positive among the training children, or 1 for a loss without weights."""
        if self.config.optimization.loss in ("plain", *SOFT_LOSSES):
            return 1.0
        return float((self.labels == 0).sum() / (self.labels == 1).sum())

    @torch.no_grad()
    def _update_average(self, step: int) -> None:
        # Early the average would keep the random start; this ramp is the usual solution.
        decay = min(self.config.optimization.ema, (1 + step) / (10 + step))
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)

    def _seed(self, *more: int) -> int:
        return int(np.random.SeedSequence([*self.entropy, *more]).generate_state(1)[0])


def _below(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def learning_rate(step: int, steps: int, highest: float, schedule: Literal["one-cycle", "cosine"]) -> float:
    """One cycle (Smith & Topin 2017, arXiv 1708.07120): up for 30 % of the steps, then down on a cosine."""
    rise = 0.3 * steps if schedule == "one-cycle" else 0.0
    if step < rise:
        return highest * (0.04 + 0.96 * (1 - math.cos(math.pi * step / rise)) / 2)
    return highest * (1 + math.cos(math.pi * (step - rise) / max(1.0, steps - rise))) / 2 + highest * 1e-4


def fit(model: Trainable, job: FoldJob) -> dict[str, torch.Tensor]:
    """Train one fold, or resume where an earlier call stopped; returns `final_weights`.

    After every epoch the state is on disk. Raises DataError for a checkpoint of another fold.
    """
    set_threads(threads=1)
    if job.config.optimization.loss == "taught":
        job = teacher.with_targets(job)
    device = pick_device(job.hardware.device)
    precision = pick_precision(job.hardware.precision, device)
    trainer = FoldTrainer(model, job.data, job.rows, job.config, job.seed, job.fold, device, precision)
    if job.checkpoint is not None and job.checkpoint.exists():
        try:
            trainer.load_state(checkpoints.read_tensors(job.checkpoint))
        except (KeyError, ValueError, RuntimeError) as error:
            reason = f"is not a checkpoint of fold {job.fold}, seed {job.seed} of this run"
            raise DataError(job.checkpoint, reason, "delete it to train the fold from the start") from error
    for epoch, values in enumerate(trainer.history, 1):
        job.on_epoch(epoch, dict(zip(HISTORY, values, strict=True)), True)
    while trainer.epoch < trainer.epochs:
        row = trainer.run_epoch()
        if job.checkpoint is not None:
            checkpoints.write_tensors(job.checkpoint, trainer.state())
        job.on_epoch(trainer.epoch, row, False)
    return trainer.final_weights()
