"""Training one fold, so that it can be stopped at any moment and continued to the same bytes."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from spasm.config.models import Member
from spasm.core import checkpoints
from spasm.core.errors import DataError, TrainingError
from spasm.core.processes import set_threads
from spasm.data.dataset import TrainingData
from spasm.features.augmentation import augment
from spasm.features.channels import build_features
from spasm.models.networks import NETWORKS
from spasm.models.output import Scores
from spasm.models.scorer import Scorer
from spasm.models.sta_gunet import StaGunet, triplet_centre_loss
from spasm.models.two_stream import TwoStream
from spasm.runs.run import MemberFolder, Run
from spasm.training import tensorboard

HISTORY = ("learning_rate", "loss", "gradient_norm")
MARGIN, MARGIN_DECAY = 1.0, 0.9  # of the triplet-centre loss, and what is left of it after an epoch, as published


class FoldTrainer:
    """One network being trained on the training children of one fold.

    Every random number comes from (seed, fold, member, epoch) alone, so that a fold continued after any epoch
    ends with the same bytes as one that was never interrupted.
    """

    def __init__(
        self,
        data: TrainingData,
        rows: np.ndarray,
        settings: Member,
        seed: int,
        fold: int,
        device: torch.device,
        precision: torch.dtype,
    ) -> None:
        """Train on the segments `rows` of the data, each of which has a pose. Raises TrainingError for one class."""
        labels = data.labels[rows]
        if len(np.unique(labels)) < 2:
            raise TrainingError(
                f"fold {fold}: its training children have only one class; use fewer folds or another --fold-seed"
            )
        self.data, self.rows, self.labels = data, rows, labels.astype(np.float32)
        # Only the squared error of a probability can be taught one.
        ramped = data.targets if settings.fit.loss == "squared" else None
        self.targets = self.labels if ramped is None else ramped[rows]
        self.settings, self.device, self.precision = settings, device, precision
        self.entropy = [seed, fold, list(NETWORKS).index(settings.model)]
        told = [seed, fold, dataclasses.asdict(settings), data.fingerprint, rows.tolist(), device.type, str(precision)]
        told += [] if ramped is None else [self.targets.tolist()]
        self.identity = torch.frombuffer(
            bytearray(hashlib.sha256(json.dumps(told).encode()).digest()), dtype=torch.uint8
        )
        self.epoch = 0
        self.history: list[list[float]] = []
        torch.manual_seed(self._seed(0))
        self.network = NETWORKS[settings.model](settings.network).to(device)
        if settings.network.weights:
            assert isinstance(self.network, TwoStream)
            self.network.load_imagenet(checkpoints.read_state_dict(Path(settings.network.weights)))
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
        for number, batch in enumerate(batches):
            step = self.epoch * len(batches) + number
            rate = learning_rate(step, fit.epochs * len(batches), fit.learning_rate, fit.schedule)
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            batch = np.sort(batch)  # the memory map is read in order
            rows = self.rows[batch]
            poses = torch.from_numpy(np.array(self.data.poses[rows])).to(self.device)
            poses = augment(poses, self.settings.augmentation, generator, self.settings.features.aspect)
            labels, targets = (torch.from_numpy(of[batch]).to(self.device) for of in (self.labels, self.targets))
            loss = self._loss(self._forward(poses), labels, targets)
            self.optimiser.zero_grad()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(self.network.parameters(), fit.clip_norm)
            if not torch.isfinite(loss) or not torch.isfinite(norm):
                raise TrainingError(
                    f"epoch {self.epoch + 1}, step {number + 1}: the loss is {loss.item()}, its gradient "
                    f"{norm.item()}; segments {', '.join(self.data.names[row] for row in rows)}. "
                    "Look at these segments (src/verify.py), or lower --learning-rate."
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
        tensors["identity"] = self.identity
        tensors["epoch"] = torch.tensor(self.epoch)
        tensors["history"] = torch.tensor(self.history, dtype=torch.float64).reshape(-1, len(HISTORY))
        return {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}

    def load_state(self, tensors: dict[str, torch.Tensor]) -> None:
        """Continue where `state` was taken. Raises ValueError unless that was this fold, seed, data and settings."""
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

    def _forward(self, poses: torch.Tensor) -> Scores:
        features = build_features(poses, self.settings.features)
        enabled = self.precision != torch.float32
        with torch.autocast(self.device.type, self.precision if enabled else None, enabled=enabled):
            return self.network(features)

    def _loss(self, scores: Scores, labels: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        fit, logits = self.settings.fit, scores.logit
        if fit.loss == "squared":
            loss = (torch.sigmoid(logits) - targets).square()
        else:
            weight = 1 + labels * (self._positive_weight() - 1)
            loss = F.binary_cross_entropy_with_logits(logits, labels, weight=weight, reduction="none")
        if fit.loss == "focal":  # Lin et al. 2017, arXiv 1708.02002
            missed = torch.where(labels == 1, torch.sigmoid(-logits), torch.sigmoid(logits))
            loss = loss * missed**fit.focal_gamma
        if fit.triplet:
            assert isinstance(self.network, StaGunet) and scores.embedding is not None
            margin = MARGIN * MARGIN_DECAY**self.epoch
            loss = loss + fit.triplet * triplet_centre_loss(scores.embedding, labels, self.network.centres, margin)
        return loss.mean()

    def _positive_weight(self) -> float:
        """Negatives for each positive among the training children, or 1 where the loss is plain."""
        if self.settings.fit.loss in ("plain", "squared"):
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


def fit_fold(
    run: Run,
    member: MemberFolder,
    settings: Member,
    seed: int,
    fold: int,
    report: Callable[[dict[str, float]], None],
    device: torch.device,
    precision: torch.dtype,
    with_tensorboard: bool = False,
) -> None:
    """Train one fold and score its held-out children, or continue where an earlier call stopped.

    After every epoch all that the next one depends on is on disk. Depends on its arguments alone, whichever process
    calls it: one thread, and every seed derived from `seed`, `fold` and the member. TensorBoard changes none of it.
    """
    set_threads(threads=1)
    last, weights_path = member.last(seed, fold), member.weights(seed, fold)
    with member.begun_fold(seed, fold) as trained:
        if trained and not last.exists():
            return
        if weights_path.exists() and not last.exists():
            hint = "delete it to train the fold, or restore the manifest that names it"
            raise DataError(weights_path, "is there, but this run did not write it", hint)
        data, scored = run.data, run.fold_of == fold
        rows = np.flatnonzero(~scored & data.has_pose)
        trainer = FoldTrainer(data, rows, settings, seed, fold, device, precision)
        if last.exists():
            try:
                trainer.load_state(checkpoints.read_tensors(last))
            except (KeyError, ValueError, RuntimeError) as error:
                reason = f"is not a checkpoint of fold {fold}, seed {seed} of this run"
                raise DataError(last, reason, "delete it to train the fold from the start") from error
        with tensorboard.written(member.tensorboard(seed, fold) if with_tensorboard else None) as note:
            for epoch, values in enumerate(trainer.history, 1):
                note(epoch, dict(zip(HISTORY, values, strict=True)))
            while trainer.epoch < settings.fit.epochs:
                row = trainer.run_epoch()
                checkpoints.write_tensors(last, trainer.state())
                member.note_history(seed, fold, HISTORY, trainer.history)
                note(trainer.epoch, row)
                report({"seed": seed, "fold": fold, "epoch": trainer.epoch, **row})

            weights = trainer.final_weights()
            posed = np.flatnonzero(scored & data.has_pose)
            logits, _ = Scorer([weights], settings, device, precision).score(data.poses, posed)
            note(trainer.epoch, tensorboard.out_of_fold(data.labels[posed], logits[0]))
        checkpoints.write_tensors(weights_path, weights)
        member.finish_fold(run, seed, fold, logits[0], weights_path)
        member.note_history(seed, fold, HISTORY, trainer.history)
        last.unlink(missing_ok=True)
