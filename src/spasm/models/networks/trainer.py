"""One fold of a network in training, which can be stopped after any epoch and resumed to the same bytes."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from spasm.config.fields import to_tree
from spasm.config.network import SOFT_LOSSES, Optimization
from spasm.core.errors import DivergenceError, TrainingError
from spasm.models.networks.gpu import WARM_UP, Batch, RecordedStep, empty_batch, own_random_state
from spasm.models.networks.inputs import Inputs
from spasm.models.networks.layers import Network
from spasm.models.networks.output import Scores

HISTORY = ("learning_rate", "loss", "gradient_norm")


class Config(Protocol):
    """The settings that the trainer uses, of those of a model."""

    @property
    def optimization(self) -> Optimization:
        """How a fold is trained."""


class Examples(Protocol):
    """What the trainer uses of its data, N segments."""

    @property
    def names(self) -> Sequence[str]:
        """Their names, for messages."""

    @property
    def labels(self) -> np.ndarray:
        """(N,) int64: 0 or 1, or the number of a class."""

    @property
    def targets(self) -> np.ndarray | None:
        """(N,) float32: target probabilities; None: the labels."""

    @property
    def fingerprint(self) -> str:
        """What identifies the data."""


class Trainable(Protocol):
    """The methods of a model that the trainer uses."""

    name: ClassVar[str]
    seed_number: ClassVar[int]
    capturable: ClassVar[bool]
    is_prefixed: ClassVar[bool]
    """Whether the flags of its settings begin with its name."""

    def build(self, config: Any) -> Network:
        """The network, with new weights sampled from torch's random state."""

    def load_pretrained(self, network: Network, config: Any) -> None:
        """Replace the random weights by the file that the settings name."""

    def inputs(self, data: Any, config: Any, device: torch.device) -> Inputs:
        """What the network reads of the data."""


@dataclasses.dataclass
class Epoch:
    """One pass over the training segments, of which some steps are taken."""

    batches: list[np.ndarray]
    """For each step the segments, as places among the fold's rows."""
    rates: list[float]
    """The learning rate of each step."""
    augmentation: torch.Generator
    mixing: np.random.Generator
    prepared: int = 0
    """Steps whose batches have been made."""
    results: list[torch.Tensor] = dataclasses.field(default_factory=list)
    """Loss and norm of the gradient (2,) of each step that was taken, on the device."""


class EndOfEpoch(NamedTuple):
    """What an epoch gave, which a GPU may still be computing."""

    epoch: Epoch
    number: int  # from 1
    tensors: dict[str, torch.Tensor] | None  # copies of what the next epoch depends on, on the device, if asked for
    results: torch.Tensor  # (steps, 2)
    ready: torch.cuda.Event | None


class FoldTrainer:
    """One network being trained on the training children of one fold.

    All random numbers depend only on (seed, fold, model, epoch), so that a fold resumed after any epoch
    ends with the same bytes as one that was never interrupted, whatever is trained beside it.
    """

    def __init__(
        self,
        model: Trainable,
        data: Examples,
        rows: np.ndarray,
        config: Config,
        seed: int,
        fold: int,
        device: torch.device,
        precision: torch.dtype,
        inputs: Inputs | None = None,
        steps_at_once: int | None = None,
    ) -> None:
        """Train on the segments `rows` of the data, each of which has a pose. Raises TrainingError for one class.

        inputs: what the network reads of the data, where several folds share it. steps_at_once: steps whose features
        are made together; None: as many as are fast on this device. Another number gives other augmented features.
        Where the network gives a logit for each class, labels are their numbers, and the loss is cross-entropy.
        """
        labels = data.labels[rows]
        if len(np.unique(labels)) < 2:
            raise TrainingError(f"fold {fold}: its training children have only one class; use another --fold-seed")
        self.data, self.rows, self.labels = data, rows, labels.astype(np.float32)
        ramped = data.targets if config.optimization.loss in SOFT_LOSSES else None
        self.targets = self.labels if ramped is None else ramped[rows]
        self.config, self.fold, self.device, self.precision = config, fold, device, precision
        self.inputs = model.inputs(data, config, device) if inputs is None else inputs
        on_gpu = device.type == "cuda"
        self.steps_at_once = steps_at_once or (self.inputs.steps_on_gpu if on_gpu else 1)
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
        # On a GPU numbers that change from step to step are tensors, so that a recorded step reads the new ones.
        self.rate = torch.tensor(config.optimization.learning_rate, device=device)
        self.pace = torch.tensor(0.0, device=device)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(),
            lr=self.rate if on_gpu else config.optimization.learning_rate,
            weight_decay=config.optimization.weight_decay,
            fused=on_gpu,
            capturable=on_gpu,
        )
        self.dropout = torch.Generator(device)
        self.stream = torch.cuda.Stream(device) if on_gpu else None
        self.records = model.capturable and on_gpu
        self.recorded: dict[int, RecordedStep] = {}

    def run_epoch(self) -> dict[str, float]:
        """One pass over the training segments; returns the new row of the history."""
        epoch = self.begin_epoch()
        while batches := self.prepare(epoch):
            self.take(epoch, batches)
        return self.finish(self.end_epoch(epoch, copy=False))[0]

    def begin_epoch(self) -> Epoch:
        """The order of the segments in the next epoch, and its random numbers."""
        optimization = self.config.optimization
        order = np.random.default_rng(self._seed(self.epoch + 1, 2)).permutation(len(self.labels))
        batches = np.array_split(order, math.ceil(len(order) / optimization.batch))
        if self.records:
            for size in {len(batch) for batch in batches} - self.recorded.keys():
                self.recorded[size] = self._record(size)
        self.dropout.manual_seed(self._seed(self.epoch + 1))
        first, steps = self.epoch * len(batches), self.epochs * len(batches)
        return Epoch(
            batches=[np.sort(batch) for batch in batches],  # so that the memory map is read in order
            rates=[
                learning_rate(first + number, steps, optimization.learning_rate, optimization.schedule)
                for number in range(len(batches))
            ],
            augmentation=torch.Generator(self.device).manual_seed(self._seed(self.epoch + 1, 1)),
            mixing=np.random.default_rng(self._seed(self.epoch + 1, 3)),
        )

    def prepare(self, epoch: Epoch) -> list[Batch]:
        """Make what the next steps of an epoch read; empty at its end."""
        batches = epoch.batches[epoch.prepared : epoch.prepared + self.steps_at_once]
        if not batches:
            return []
        epoch.prepared += len(batches)
        places, alpha = np.concatenate(batches), self.config.optimization.mixup
        features = self.inputs.features(self.inputs[self.rows[places]], epoch.augmentation)
        labels, targets = (torch.from_numpy(of[places]).to(self.device) for of in (self.labels, self.targets))
        sizes = [len(batch) for batch in batches]
        mixed_sizes = sizes if alpha else [0] * len(sizes)
        parts, others = [], []
        for size in mixed_sizes:
            parts.append(epoch.mixing.beta(alpha or 1.0, alpha or 1.0, size))
            others.append(epoch.mixing.permutation(size))
        part = torch.from_numpy(np.concatenate(parts)).to(features)
        other = torch.from_numpy(np.concatenate(others)).to(self.device)
        every = [(one, sizes) for one in (features, labels, targets)]
        every += [(torch.maximum(part, 1 - part), mixed_sizes), (other, mixed_sizes)]
        return [Batch(*tensors) for tensors in zip(*(one.split(by) for one, by in every), strict=True)]

    def take(self, epoch: Epoch, batches: Sequence[Batch]) -> None:
        """Take the steps of these batches; on a GPU this returns before they are computed."""
        if self.stream is not None:
            self.stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self.stream), own_random_state(self.dropout):
            for batch in batches:
                number = len(epoch.results)
                self._set_pace(epoch.rates[number], self.epoch * len(epoch.batches) + number)
                step = self.recorded.get(len(batch.labels), self._step)
                epoch.results.append(step(batch))
                if self.stream is not None:
                    for tensor in batch:
                        tensor.record_stream(self.stream)
        if self.stream is None:
            self._check_finite(epoch, self.epoch + 1, torch.stack(epoch.results))

    def end_epoch(self, epoch: Epoch, copy: bool) -> EndOfEpoch:
        """Keep what an epoch gave, so that the next one can begin; on a GPU this returns before it is computed.

        copy: keep the state after this epoch, too.
        """
        with torch.cuda.stream(self.stream):
            for name, value in self.network.state_dict().items():
                if not value.is_floating_point():
                    self.average[name].copy_(value)
            tensors = {name: value.clone() for name, value in self._tensors().items()} if copy else None
            results = torch.stack(epoch.results)
            ready = None if self.stream is None else self.stream.record_event()
        self.epoch += 1
        return EndOfEpoch(epoch, self.epoch, tensors, results, ready)

    def finish(self, ended: EndOfEpoch) -> tuple[dict[str, float], dict[str, torch.Tensor] | None]:
        """The new row of the history, and the state after the epoch if it was kept, as `state` gives it."""
        if ended.ready is not None:
            ended.ready.synchronize()
        results = self._check_finite(ended.epoch, ended.number, ended.results)
        sizes = [len(batch) for batch in ended.epoch.batches]
        loss = sum(step[0] * size for step, size in zip(results, sizes, strict=True)) / sum(sizes)
        row = [ended.epoch.rates[-1], loss, sum(step[1] for step in results) / len(results)]
        self.history.append(row)
        state = None if ended.tensors is None else self._with_history(ended.tensors, ended.number)
        return dict(zip(HISTORY, row, strict=True)), state

    def final_weights(self) -> dict[str, torch.Tensor]:
        """Weights for scoring: the averaged weights, and `offset`, which removes the class weighting from the logit."""
        weights = {name: value.detach().cpu().contiguous() for name, value in self.average.items()}
        weights["offset"] = torch.tensor(-math.log(self._positive_weight()), dtype=torch.float64)
        return weights

    def state(self) -> dict[str, torch.Tensor]:
        """The state that the next epoch depends on, as named tensors on the CPU."""
        return self._with_history(self._tensors(), self.epoch)

    def _tensors(self) -> dict[str, torch.Tensor]:
        """The network, its average and the optimiser's state, by name; they change with every step."""
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.average.items()}
        for number, slots in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{name}": value for name, value in slots.items()}
        return tensors

    def _with_history(self, tensors: Mapping[str, torch.Tensor], epochs: int) -> dict[str, torch.Tensor]:
        history = torch.tensor(self.history, dtype=torch.float64).reshape(-1, len(HISTORY))
        more = {"identity": self.identity, "epoch": torch.tensor(epochs), "history": history}
        return {name: value.detach().cpu().contiguous().clone() for name, value in {**tensors, **more}.items()}

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
        self._set_pace(0.0, 0)  # the groups now hold a copy of the learning rate
        self.epoch = int(tensors["epoch"])
        self.history = tensors["history"].tolist()

    def _record(self, size: int) -> RecordedStep:
        """Record the step of a batch of this size, after a few that leave no trace."""
        before = {name: value.clone() for name, value in self._tensors().items()}
        frames = self.inputs.features(self.inputs[self.rows[:1]], None).shape[-1]
        inputs = empty_batch(size, frames, self.config.optimization.mixup > 0, self.device)
        assert self.stream is not None
        self.stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self.stream), own_random_state(self.dropout):
            for _ in range(WARM_UP):
                self._step(inputs)
            self.optimiser.zero_grad()
            recorded = RecordedStep(self._step, inputs, torch.cuda.CUDAGraph())
            with torch.no_grad():
                for name, value in self._tensors().items():
                    value.copy_(before[name]) if name in before else value.zero_()
        return recorded

    def _step(self, batch: Batch) -> torch.Tensor:
        """One step of the optimiser; its loss and the norm of its gradient (2,)."""
        loss = self._loss(batch)
        self.optimiser.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.optimization.clip_norm)
        self.optimiser.step()
        self._update_average()
        return torch.stack([loss.detach(), norm.detach()])

    def _check_finite(self, epoch: Epoch, number: int, results: torch.Tensor) -> list[list[float]]:
        """Losses and norms of gradients as numbers. Raises DivergenceError for the first step that is not finite."""
        numbers: list[list[float]] = results.tolist()
        for step, (loss, norm) in enumerate(numbers):
            if not math.isfinite(loss) or not math.isfinite(norm):
                rows = self.rows[epoch.batches[step]]
                raise DivergenceError(
                    f"epoch {number}, step {step + 1}: the loss is {loss}, its gradient {norm}; segments "
                    f"{', '.join(self.data.names[row] for row in rows)}. Check these segments (src/verify.py), or "
                    "lower --learning-rate."
                )
        return numbers

    def _loss(self, batch: Batch) -> torch.Tensor:
        """The mean loss of a batch, of mixed pairs if the settings say so (Zhang et al. 2018, arXiv 1710.09412)."""
        features, labels, targets, part, other = batch
        if self.config.optimization.mixup == 0:
            return self._losses(self._forward(features), labels, targets).mean()
        mixed = part.view(-1, *[1] * (features.ndim - 1))
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
        if logits.ndim == 2:
            return F.cross_entropy(logits, labels.long(), reduction="none")
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

    def _set_pace(self, rate: float, step: int) -> None:
        """Set the learning rate, and how far the average moves in this step of the training."""
        # Early the average would keep the random start; this ramp is the usual solution.
        pace = 1 - min(self.config.optimization.ema, (1 + step) / (10 + step))
        self.pace.fill_(pace)
        self.rate.fill_(rate)
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate if self.device.type == "cuda" else rate

    @torch.no_grad()
    def _update_average(self) -> None:
        state = self.network.state_dict()
        for name, value in self.average.items():
            if value.is_floating_point():
                value.lerp_(state[name], self.pace)

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
