"""Learning curves for TensorBoard, where they are asked for; nothing here reads them again.

RUN/<model>/tensorboard/seed_S_fold_K/ holds the fold's rows of history.csv and, once it is trained, how well its
network scores the held-out children.
"""

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from spasm.config.fields import SettingsError
from spasm.ensemble.calibration import probability
from spasm.evaluation import metrics

Note = Callable[[int, Mapping[str, float]], None]


def check() -> None:
    """Raises SettingsError where TensorBoard cannot be written."""
    try:
        import torch.utils.tensorboard  # noqa: F401 - here and below, because only those who ask for it have it
    except ImportError as error:
        raise SettingsError("--tensorboard needs TensorBoard: pip install -r requirements-report.txt") from error


@contextlib.contextmanager
def written(folder: Path | None) -> Iterator[Note]:
    """Gives what notes figures by epoch in a folder, whose earlier events are removed; without a folder, nothing.

    A fold that is continued notes its history again, so that no epoch is there twice or lacking.
    """
    if folder is None:
        yield lambda epoch, figures: None
        return
    from torch.utils.tensorboard import SummaryWriter

    if folder.exists():
        shutil.rmtree(folder)
    with SummaryWriter(folder) as writer:

        def note(epoch: int, figures: Mapping[str, float]) -> None:
            for name, value in figures.items():
                writer.add_scalar(name, value, epoch)
            writer.flush()

        yield note


def out_of_fold(labels: np.ndarray, logits: np.ndarray) -> dict[str, float]:
    """Log loss and AUC of a fold's held-out segments with a pose, (N,) each; nothing where they have one class only."""
    if len(np.unique(labels)) < 2:
        return {}
    log_loss = np.logaddexp(0, np.where(labels == 1, -logits, logits)).mean()
    auc = metrics.figures(labels, probability(logits), logits > 0)["auc"]
    assert auc is not None  # where both classes are
    return {"out_of_fold/log_loss": float(log_loss), "out_of_fold/auc": auc}
