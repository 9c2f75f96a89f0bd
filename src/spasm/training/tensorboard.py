"""Learning curves for TensorBoard (--tensorboard). They are only written, never read here.

RUN/<model>/tensorboard/seed_S_fold_K/ holds the fold's rows of history.csv and, once it is trained, the metrics
of the held-out children.
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
    """Raise SettingsError if TensorBoard is not installed."""
    try:
        import torch.utils.tensorboard  # noqa: F401 - here and below, because it is optional
    except ImportError as error:
        raise SettingsError("--tensorboard needs TensorBoard: pip install -r requirements-report.txt") from error


@contextlib.contextmanager
def written(folder: Path | None) -> Iterator[Note]:
    """Yield a function that writes values by epoch into a folder; it does nothing without a folder.

    Earlier events are removed: a resumed fold writes its history again, so that each epoch is there once.
    """
    if folder is None:
        yield lambda epoch, values: None
        return
    from torch.utils.tensorboard import SummaryWriter

    if folder.exists():
        shutil.rmtree(folder)
    with SummaryWriter(folder) as writer:

        def note(epoch: int, values: Mapping[str, float]) -> None:
            for name, value in values.items():
                writer.add_scalar(name, value, epoch)
            writer.flush()

        yield note


def out_of_fold(labels: np.ndarray, logits: np.ndarray) -> dict[str, float]:
    """Log loss and AUC of a fold's held-out segments with a pose, (N,) each; empty if they have one class only."""
    if len(np.unique(labels)) < 2:
        return {}
    log_loss = np.logaddexp(0, np.where(labels == 1, -logits, logits)).mean()
    auc = metrics.point_metrics(labels, probability(logits), logits > 0)["auc"]
    assert auc is not None  # both classes are present
    return {"out_of_fold/log_loss": float(log_loss), "out_of_fold/auc": auc}
