"""Random convolutions and a ridge classifier: thousands of fixed kernels, pooled over time, and one linear fit.

The kernels and the choice of channels follow MiniRocket (Dempster et al. 2021, arXiv 2012.08791), the four poolings and
the use of first differences follow MultiRocket (Tan et al. 2022, arXiv 2102.00457). Written from the papers.
"""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from spasm.config.features import Augmentation, Features
from spasm.core import checkpoints
from spasm.core.errors import DataError, TrainingError
from spasm.data.dataset import TrainingData
from spasm.ensemble.calibration import fit_logistic
from spasm.features.augmentation import augment, mirror
from spasm.features.channels import build_features
from spasm.models.model import Explanation, FoldScores

TAPS = 9
# MiniRocket's 84 kernels: three of nine weights are 2 and the others -1, so that each sums to 0.
HIGH_TAPS = np.array(list(itertools.combinations(range(TAPS), 3)))
MOST_DILATIONS = 6  # from 1 frame to the widest kernel that fits into the segment
MOST_CHANNELS = 9  # added up by one kernel, as in MiniRocket
POOLINGS = 4
BATCH = 64  # segments; with fewer, the calls of torch dominate the time
BIAS_SEGMENTS = 64  # the biases are quantiles of their outputs
BIAS_VALUES = 10_000
PENALTIES = np.geomspace(1e-3, 10, 9)  # of the ridge, relative to the mean squared norm of a segment's features
INNER_FOLDS = 5  # among the training children, to choose the penalty and to calibrate
STREAMS = ("position", "velocity")
Tensors = dict[str, torch.Tensor]


def series(poses: torch.Tensor, features: Features) -> dict[str, torch.Tensor]:
    """poses (N, T, 33, 5) float32 to root-relative coordinates (N, 99, T) and first differences (N, 99, T - 1)."""
    position = build_features(poses, features)[:, :3].flatten(1, 2).contiguous()
    return {"position": position, "velocity": position.diff(dim=2)}


def kernels() -> torch.Tensor:
    """The 84 kernels (84, 1, 9) float32."""
    weights = torch.full((len(HIGH_TAPS), 1, TAPS), -1.0)
    weights.scatter_(2, torch.from_numpy(HIGH_TAPS)[:, None], 2.0)
    return weights


def dilations(frames: int) -> np.ndarray:
    """Frames between two taps: evenly spaced in logarithm, up to nine taps spanning the series."""
    widest = max(1, (frames - 1) // (TAPS - 1))
    return np.unique(np.geomspace(1, widest, MOST_DILATIONS).round().astype(int))


def sample_channels(generator: np.random.Generator, alive: np.ndarray, count: int) -> torch.Tensor:
    """Sample the channels that each kernel adds up, (84, C) of 0 and 1: one to nine of those `alive` (C,) bool.

    A channel that never moves in the training data, such as a landmark that is never found, is not sampled.
    """
    chosen = torch.zeros(count, len(alive))
    usable = np.flatnonzero(alive)
    for kernel in range(count):
        most = min(len(usable), MOST_CHANNELS)
        size = int(2 ** generator.uniform(0, np.log2(most + 1)))
        chosen[kernel, generator.choice(usable, size, replace=False)] = 1
    return chosen


def convolve(values: torch.Tensor, channels: torch.Tensor, dilation: int) -> torch.Tensor:
    """values (T, N, C) to (T, N, 84): each kernel over the sum of its channels, zeros beyond both ends."""
    frames, count, _ = values.shape
    margin = dilation * (TAPS // 2)
    summed = torch.zeros(frames + 2 * margin, count, len(HIGH_TAPS))
    torch.mm(values.flatten(0, 1), channels.T, out=summed[margin : margin + frames].flatten(0, 1))
    # Time first, every tap is one contiguous block: three times as fast as a grouped convolution.
    outputs = torch.zeros(frames, count, len(HIGH_TAPS))
    for tap, weights in enumerate(kernels()[:, 0].T.contiguous()):
        outputs.addcmul_(summed[tap * dilation : tap * dilation + frames], weights)
    return outputs


def pool(outputs: torch.Tensor, biases: torch.Tensor) -> torch.Tensor:
    """outputs (T, N, 84), biases (84, B) to (N, 84, B, 4): MultiRocket's poolings over the frames above each bias.

    The fraction of such frames; their mean excess over the bias; their mean position, from 0 to 1, or -1 / T if there
    are none; and the longest run of them, as a fraction of T.
    """
    frames, count, kernel = outputs.shape
    biases = biases.T[:, None].contiguous()
    shape = (len(biases), count, kernel)
    # Frame by frame, so that all values stay in the CPU cache.
    excess, above = torch.empty(shape), torch.empty(shape)
    frames_above, total, places, stretch, longest = (torch.zeros(shape) for _ in range(5))
    for place, output in enumerate(outputs):
        torch.sub(output, biases, out=excess)
        torch.sign(excess, out=above).clamp_(min=0)
        frames_above.add_(above)
        total.addcmul_(excess, above)
        places.add_(above, alpha=place)
        torch.addcmul(above, stretch, above, out=stretch)
        torch.maximum(longest, stretch, out=longest)
    at_least_one = frames_above.clamp(min=1)
    mean_place = torch.where(frames_above > 0, places / at_least_one, -1.0)
    pooled = torch.stack([frames_above / frames, total / at_least_one, mean_place / frames, longest / frames], -1)
    return pooled.permute(1, 2, 0, 3)


def sample_kernels(examples: dict[str, torch.Tensor], biases: int, generator: np.random.Generator) -> Tensors:
    """Channels and biases of every stream and dilation; the biases are quantiles of the outputs for `examples`."""
    sampled: Tensors = {}
    levels = torch.linspace(0, 1, biases + 2)[1:-1]
    for stream, values in examples.items():
        alive = (values.amax((0, 2)) > values.amin((0, 2))).numpy()
        if not alive.any():
            raise TrainingError("nothing moves in the training segments: check them with src/verify.py")
        rows = generator.choice(len(values), min(len(values), BIAS_SEGMENTS), replace=False)
        examined = values[rows].permute(2, 0, 1).contiguous()
        for dilation in dilations(values.shape[2]):
            channels = sample_channels(generator, alive, len(HIGH_TAPS))
            outputs = convolve(examined, channels, int(dilation)).permute(2, 1, 0).flatten(1)
            outputs = outputs[:, :: max(1, outputs.shape[1] // BIAS_VALUES)]
            sampled[f"{stream}.{dilation}.channels"] = channels
            sampled[f"{stream}.{dilation}.biases"] = torch.quantile(outputs, levels, dim=1).T.contiguous()
    return sampled


def transform(streams: dict[str, torch.Tensor], sampled: Tensors) -> torch.Tensor:
    """The pooled features (N, F) float32 of segments; F = 84 * biases * 4 for each stream and dilation."""
    pooled = []
    for stream in STREAMS:
        values = streams[stream].permute(2, 0, 1).contiguous()
        for dilation in dilations(len(values)):
            name = f"{stream}.{dilation}"
            outputs = convolve(values, sampled[f"{name}.channels"], int(dilation))
            pooled.append(pool(outputs, sampled[f"{name}.biases"]).flatten(1))
    return torch.cat(pooled, 1)


def fit_ridge(features: torch.Tensor, labels: np.ndarray, groups: np.ndarray) -> Tensors:
    """Mean, scale, coefficients and intercept of a ridge regression on labels -1 and 1, and a calibration of its score.

    features (M, F) float32; labels (M,) of 0 and 1; groups (M,): the child of each row. The penalty, and the
    calibration of scores to log-odds, come from inner folds of whole children.
    """
    mean, scale = features.mean(0), features.std(0)
    scale = torch.where(scale > 1e-6, scale, 1.0)
    standard = (features - mean) / scale
    # Solve in the space of the segments: there are fewer segments than features.
    gram = (standard @ standard.T).double() / standard.shape[1]
    target = torch.from_numpy(2.0 * labels - 1)
    inner = inner_folds(labels, groups)
    scores = np.zeros((len(PENALTIES), len(labels)))
    for fold in np.unique(inner):
        fitted, scored = (torch.from_numpy(np.flatnonzero(which)) for which in (inner != fold, inner == fold))
        for number, penalty in enumerate(PENALTIES):
            dual, intercept = _solve(gram[fitted][:, fitted], target[fitted], penalty)
            scores[number, scored] = (gram[scored][:, fitted] @ dual + intercept).numpy()
    best = ((scores - target.numpy()) ** 2).mean(1).argmin()
    dual, intercept = _solve(gram, target, PENALTIES[best])
    # A ridge score is not in log-odds, so its slope has no prior.
    slope, offset = fit_logistic(scores[best][:, None], labels, np.zeros(1), 1e-3)
    return {
        "mean": mean,
        "scale": scale,
        "coefficients": standard.double().T @ dual / standard.shape[1] * slope,
        "intercept": torch.tensor(intercept * slope + offset, dtype=torch.float64),
    }


def inner_folds(labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Inner fold (M,) of each row: children are assigned in turn, those with the most positives first."""
    names, child = np.unique(groups, return_inverse=True)
    positives = np.bincount(child, labels, minlength=len(names))
    order = np.lexsort((names, -positives))
    fold_of_child = np.empty(len(names), dtype=np.int64)
    fold_of_child[order] = np.arange(len(names)) % min(INNER_FOLDS, len(names))
    return fold_of_child[child]


def _solve(gram: torch.Tensor, target: torch.Tensor, penalty: float) -> tuple[torch.Tensor, float]:
    intercept = float(target.mean())
    factor = torch.linalg.cholesky(gram + penalty * torch.eye(len(gram), dtype=gram.dtype))
    return torch.cholesky_solve((target - intercept)[:, None], factor)[:, 0], intercept


def logits_of(features: torch.Tensor, fitted: Tensors) -> np.ndarray:
    """Calibrated log-odds (N,) of pooled features (N, F)."""
    standard = (features - fitted["mean"]) / fitted["scale"]
    return (standard.double() @ fitted["coefficients"] + fitted["intercept"]).numpy()


def fit(
    data: TrainingData,
    rows: np.ndarray,
    features: Features,
    augmentation: Augmentation,
    biases_per_kernel: int,
    augmented_copies: int,
    seed: list[int],
) -> Tensors:
    """Kernels, biases and the ridge, fitted on the segments `rows` of the data, each with a pose."""
    poses, labels, children = data.poses, data.labels[rows], np.array(data.children)[rows]
    if len(np.unique(labels)) < 2:
        raise TrainingError("the training children of a fold have one class only; use another --fold-seed")
    if len(np.unique(children)) < 2:
        reason = "random convolutions need two children with a pose to train on, and a fold has one"
        raise TrainingError(f"{reason}; add children, or train other models: --models lgbm")
    generator = np.random.default_rng(np.random.SeedSequence([*seed, *b"rocket"]))
    shaken = torch.Generator().manual_seed(int(generator.integers(2**62)))
    examples = rows[generator.choice(len(rows), min(len(rows), 4 * BIAS_SEGMENTS), replace=False)]
    sampled = sample_kernels(
        series(torch.from_numpy(np.array(poses[np.sort(examples)])), features),
        biases_per_kernel,
        generator,
    )
    parts = []
    for copy in range(augmented_copies + 1):
        for batch in batches(poses, rows):
            if copy:
                batch = augment(batch, augmentation, shaken, features.aspect)
            parts.append(transform(series(batch, features), sampled))
    copies = augmented_copies + 1
    return sampled | fit_ridge(torch.cat(parts), np.tile(labels, copies), np.tile(children, copies))


def batches(poses: np.ndarray, rows: np.ndarray) -> Iterator[torch.Tensor]:
    for start in range(0, len(rows), BATCH):
        yield torch.from_numpy(np.array(poses[rows[start : start + BATCH]]))


class RocketPredictor:
    """Trained folds, ready to score poses; each logit is the mean over a pose and its mirror image."""

    def __init__(self, weights: list[Tensors], features: Features) -> None:
        self.weights, self.features = weights, features

    @torch.inference_mode()
    def predict(self, poses: np.ndarray, rows: np.ndarray) -> FoldScores:
        """Scores of the segments `rows` of poses (M, T, 33, 5), each with a pose; no attention."""
        logits = np.empty((len(self.weights), len(rows)))
        start = 0
        for batch in batches(poses, rows):
            both = [series(image, self.features) for image in (batch, mirror(batch))]
            for number, fitted in enumerate(self.weights):
                scores = [logits_of(transform(image, fitted), fitted) for image in both]
                logits[number, start : start + len(batch)] = np.mean(scores, axis=0)
            start += len(batch)
        return FoldScores(logits, None)

    def explain(self, poses: np.ndarray, rows: np.ndarray) -> Explanation:
        """Empty: thousands of random kernels give no readable explanation."""
        return Explanation()


def load(paths: Sequence[Path], features: Features) -> RocketPredictor:
    """Folds from their files. Raises DataError if one does not fit."""
    weights = [checkpoints.read_tensors(path) for path in paths]
    for path, fitted in zip(paths, weights, strict=True):
        biases = sum(value.numel() for name, value in fitted.items() if name.endswith(".biases"))
        sizes = {fitted[name].numel() if name in fitted else 0 for name in ("mean", "scale", "coefficients")}
        streams = [
            {name.rpartition(".")[0] for name in fitted if name.endswith(end)} for end in (".biases", ".channels")
        ]
        if sizes != {biases * POOLINGS} or "intercept" not in fitted or streams[0] != streams[1]:
            raise DataError(path, "lacks a part of the model", "restore the run from a copy, or train again")
    return RocketPredictor(weights, features)
