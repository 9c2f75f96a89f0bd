"""Training one fold and scoring with trained networks: arrays in, tensors out, no files."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from spasm.augment import augment
from spasm.features import build_features
from spasm.models import NETWORKS
from spasm.models.scores import Scores
from spasm.settings import Member

SCORING_BATCH = 16  # segments; larger batches leave the cache of an ordinary core and gain nothing
PRIOR_WEIGHT = 2.0  # segments' worth of prevalence mixed into the log-odds of segments without a pose
HISTORY = ("learning_rate", "loss", "gradient_norm")


class TrainingError(Exception):
    """Training cannot go on; the message says where and what to do."""


class FoldTrainer:
    """One network being trained on the training children of one fold.

    Every random number comes from (seed, fold, member, epoch) alone, so that a fold continued after any epoch
    ends with the same bytes as one that was never interrupted.
    """

    def __init__(
        self, poses: np.ndarray, labels: np.ndarray, names: Sequence[str], settings: Member, seed: int, fold: int,
        device: torch.device, precision: torch.dtype,
    ) -> None:  # fmt: skip
        """poses: (N, T, 33, 5) float32, only segments with a pose; labels: (N,) of 0 and 1; names: for messages."""
        if len(np.unique(labels)) < 2:
            raise TrainingError(
                f"fold {fold}: its training children have only one class; use fewer folds or another --fold-seed"
            )
        self.poses, self.labels, self.names = poses, labels.astype(np.float32), names
        self.settings, self.device, self.precision = settings, device, precision
        self.entropy = [seed, fold, sorted(NETWORKS).index(settings.model)]
        self.epoch = 0
        self.history: list[list[float]] = []
        torch.manual_seed(self._seed(0))
        self.network = NETWORKS[settings.model](settings.network).to(device)
        self.average = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=settings.fit.learning_rate, weight_decay=settings.fit.weight_decay
        )

    def run_epoch(self) -> dict[str, float]:
        """One pass over the training segments; returns the new row of the history."""
        fit = self.settings.fit
        torch.manual_seed(self._seed(self.epoch + 1))  # dropout
        generator = torch.Generator().manual_seed(self._seed(self.epoch + 1, 1))  # augmentation
        order = np.random.default_rng(self._seed(self.epoch + 1, 2)).permutation(len(self.labels))
        batches = np.array_split(order, math.ceil(len(order) / fit.batch))
        self.network.train()
        losses, norms, rate = [], [], 0.0
        for number, rows in enumerate(batches):
            step = self.epoch * len(batches) + number
            rate = learning_rate(step, fit.epochs * len(batches), fit.learning_rate, fit.schedule)
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            rows = np.sort(rows)  # a memory map is read in order
            poses = torch.from_numpy(np.array(self.poses[rows])).to(self.device)
            poses = augment(poses, self.settings.augmentation, generator)
            labels = torch.from_numpy(self.labels[rows]).to(self.device)
            loss = self._loss(self._forward(poses).logit, labels)
            self.optimiser.zero_grad()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(self.network.parameters(), fit.clip_norm)
            if not torch.isfinite(loss) or not torch.isfinite(norm):
                raise TrainingError(
                    f"epoch {self.epoch + 1}, step {number + 1}: the loss is {loss.item()}, its gradient "
                    f"{norm.item()}; segments {', '.join(self.names[row] for row in rows)}. "
                    "Look at these segments (src/verify.py), or lower --learning-rate."
                )
            self.optimiser.step()
            self._update_average(step)
            losses.append(loss.item() * len(rows))
            norms.append(norm.item())
        self.epoch += 1
        row = [rate, sum(losses) / len(order), sum(norms) / len(norms)]
        self.history.append(row)
        return dict(zip(HISTORY, row, strict=True))

    def final_weights(self) -> dict[str, torch.Tensor]:
        """What is scored: the averaged weights and `offset`, which takes the class weighting out of the logit again."""
        weights = {name: value.detach().cpu().contiguous() for name, value in self.average.items()}
        weights["offset"] = torch.tensor(-math.log(self._positive_weight()), dtype=torch.float64)
        return weights

    def state(self) -> dict[str, torch.Tensor]:
        """All that the next epoch depends on, as named tensors."""
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.average.items()}
        for number, slots in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{name}": value for name, value in slots.items()}
        tensors["epoch"] = torch.tensor(self.epoch)
        tensors["history"] = torch.tensor(self.history, dtype=torch.float64).reshape(-1, len(HISTORY))
        return {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}

    def load_state(self, tensors: dict[str, torch.Tensor]) -> None:
        """Continue where `state` was taken."""
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

    def _forward(self, poses: torch.Tensor) -> Scores:
        features = build_features(poses, self.settings.features)
        enabled = self.precision != torch.float32
        with torch.autocast(self.device.type, self.precision if enabled else None, enabled=enabled):
            return self.network(features)

    def _loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        weight = 1 + labels * (self._positive_weight() - 1)
        loss = F.binary_cross_entropy_with_logits(logits, labels, weight=weight, reduction="none")
        if self.settings.fit.loss == "focal":  # Lin et al. 2017, arXiv 1708.02002
            missed = torch.where(labels == 1, torch.sigmoid(-logits), torch.sigmoid(logits))
            loss = loss * missed**self.settings.fit.focal_gamma
        return loss.mean()

    def _positive_weight(self) -> float:
        """Negatives for each positive among the training children, or 1 where the loss is plain."""
        if self.settings.fit.loss == "plain":
            return 1.0
        return float((self.labels == 0).sum() / (self.labels == 1).sum())

    @torch.no_grad()
    def _update_average(self, step: int) -> None:
        # Early on the average would remember the random start; this ramp is the usual remedy.
        decay = min(self.settings.fit.ema, (1 + step) / (10 + step))
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
    """One cycle (Smith & Topin 2017, arXiv 1708.07120): up for the first 30 % of steps, then down on a cosine."""
    rise = 0.3 * steps if schedule == "one-cycle" else 0.0
    if step < rise:
        return highest * (0.04 + 0.96 * (1 - math.cos(math.pi * step / rise)) / 2)
    return highest * (1 + math.cos(math.pi * (step - rise) / max(1.0, steps - rise))) / 2 + highest * 1e-4


class Scorer:
    """Trained folds of one member, ready to score poses; features are built once for all of them."""

    def __init__(
        self, weights: Sequence[dict[str, torch.Tensor]], settings: Member, device: torch.device, precision: torch.dtype
    ) -> None:
        self.settings, self.device, self.precision = settings, device, precision
        self.offsets = [float(fold["offset"]) for fold in weights]
        self.networks = []
        for fold in weights:
            network = NETWORKS[settings.model](settings.network)
            network.load_state_dict({name: value for name, value in fold.items() if name != "offset"})
            self.networks.append(network.folded().to(device))

    @torch.inference_mode()
    def score(self, poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """poses: (N, T, 33, 5) float32, each with a pose. Returns logits (folds, N) and frame weights (N, T).

        Always in batches of the same few segments, so that memory does not grow with N.
        """
        logits = np.empty((len(self.networks), len(poses)))
        weights = np.empty(poses.shape[:2])
        enabled = self.precision != torch.float32
        for start in range(0, len(poses), SCORING_BATCH):
            part = slice(start, start + SCORING_BATCH)
            batch = torch.from_numpy(np.array(poses[part])).to(self.device)
            features = build_features(batch, self.settings.features)
            with torch.autocast(self.device.type, self.precision if enabled else None, enabled=enabled):
                scores = [network(features) for network in self.networks]
            for fold, score in enumerate(scores):
                logits[fold, part] = score.logit.cpu().double().numpy() + self.offsets[fold]
            weights[part] = torch.stack([score.frame_weights for score in scores]).mean(0).cpu().numpy()
        return logits, weights


def logit_without_pose(labels: np.ndarray, has_pose: np.ndarray) -> float:
    """Log-odds of a positive among training segments without any pose, smoothed towards the prevalence of all."""
    prevalence = (labels.sum() + 0.5) / (len(labels) + 1)
    poseless = labels[~has_pose]
    probability = (poseless.sum() + PRIOR_WEIGHT * prevalence) / (len(poseless) + PRIOR_WEIGHT)
    return math.log(probability / (1 - probability))


def pick_device(device: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """The device asked for; with "auto" a GPU when there is one."""
    if device == "cuda" and not torch.cuda.is_available():
        raise TrainingError("--device cuda: torch sees no GPU here; use --device auto")
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def pick_precision(precision: Literal["auto", "float32", "bfloat16"], device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it, float32 elsewhere, unless one is asked for."""
    if precision != "auto":
        return torch.float32 if precision == "float32" else torch.bfloat16
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported()
    else:
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if native else torch.float32
