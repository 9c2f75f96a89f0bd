"""Targets for a network that learns from random convolutions beside the labels.

Distillation: Hinton et al. 2015 (arXiv 1503.02531). The teacher is the random convolutions, the best single model. It
is trained again within each fold, on the fold's training children alone, and predicts children that it was not trained
on. A teacher that saw the held-out children would pass their labels on, and the out-of-fold rows would be too good.
"""

import dataclasses

import numpy as np

from spasm.core.errors import TrainingError
from spasm.ensemble.calibration import fit_calibration, probability
from spasm.models.model import FoldJob
from spasm.models.rocket import RocketModel

PARTS = 4  # of the training children; each is predicted by a teacher of the others
LABEL_WEIGHT = 0.5  # of the label in a target


def with_targets(job: FoldJob) -> FoldJob:
    """The job with targets for its training segments. Raises TrainingError for too few children."""
    data, rows, rocket = job.data, job.rows, RocketModel()
    config = rocket.config()
    children = np.array(data.children)[rows]
    for label, kind in ((1, "positives"), (0, "negatives")):
        if (count := len(set(children[data.labels[rows] == label]))) < 2:
            reason = f"the loss taught needs {kind} of 2 children to train on, and fold {job.fold} has those of {count}"
            raise TrainingError(f"{reason}; use another --fold-seed, or another loss")
    part_of = parts(data.labels[rows], children, [job.seed, job.fold])
    logits = np.zeros(len(rows))
    for part in range(PARTS):
        taught = part_of == part
        fitted = rocket.fit(FoldJob(data, rows[~taught], config, job.seed, job.fold, job.hardware))
        logits[taught] = rocket.predictor(fitted, config, job.hardware).predict(data.poses, rows[taught]).logits[0]
    slope, offset = fit_calibration(logits, data.labels[rows])
    targets = data.labels.astype(np.float32)
    targets[rows] *= LABEL_WEIGHT
    targets[rows] += (1 - LABEL_WEIGHT) * probability(slope * logits + offset)
    return dataclasses.replace(job, data=dataclasses.replace(data, targets=targets))


def parts(labels: np.ndarray, children: np.ndarray, seed: list[int]) -> np.ndarray:
    """The part (N,) of each segment: whole children, those with positives spread over all parts."""
    names = np.unique(children)
    if len(names) < PARTS:
        reason = f"the loss taught needs {PARTS} children to train on, and a fold has {len(names)}"
        raise TrainingError(f"{reason}; add children, or use another loss")
    positives = np.array([labels[children == name].sum() for name in names])
    shuffled = np.random.default_rng(seed).permutation(len(names))
    in_order = shuffled[np.argsort(-positives[shuffled], kind="stable")]
    part_of_name = np.empty(len(names), dtype=int)
    part_of_name[in_order] = np.arange(len(names)) % PARTS
    return np.asarray(part_of_name[np.searchsorted(names, children)])
