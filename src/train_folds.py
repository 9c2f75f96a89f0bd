"""Train one network per fold, score every child by the fold that never saw it, and choose the threshold.

Stopped at any moment, the same command continues and ends with the same bytes.

Example: python src/train_folds.py --data input --run output/main --seed 0
"""

import dataclasses
import functools
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

from spasm.cli import app, train
from spasm.cli.train import Train
from spasm.config.models import MEMBERS, Member
from spasm.config.runtime import Hardware
from spasm.core import files
from spasm.models.scorer import pick_device, pick_precision
from spasm.training.tensorboard import check
from spasm.training.trainer import fit_fold


@dataclasses.dataclass(frozen=True)
class TrainFolds(Train):
    """Flags of train_folds.py."""

    hardware: Hardware = Hardware()
    tensorboard: bool = False
    """Write learning curves too, to be watched by tensorboard --logdir RUN; needs requirements-report.txt."""
    member: Member = Member()

    @classmethod
    def default_for(cls, words: Sequence[str]) -> "TrainFolds":
        """The defaults under the model that a command line names."""
        named = [after for word, after in itertools.pairwise([*words, ""]) if word == "--model"]
        named += [word.removeprefix("--model=") for word in words if word.startswith("--model=")]
        return cls(member=MEMBERS.get(named[-1], Member()) if named else Member())


def main(settings: TrainFolds) -> int:
    if settings.tensorboard:
        check()
    device = pick_device(settings.hardware.device)
    precision = pick_precision(settings.hardware.precision, device)
    environment = {"device": device.type, "precision": str(precision).removeprefix("torch."), "threads": 1}
    if settings.member.network.weights:
        environment["weights_sha256"] = files.sha256(Path(settings.member.network.weights))
    onsets = settings.read.data / "onsets.csv"
    if settings.member.fit.loss == "squared" and onsets.exists():
        environment["onsets_sha256"] = files.sha256(onsets)
    fit = functools.partial(fit_fold, device=device, precision=precision, with_tensorboard=settings.tensorboard)
    return train.train(settings, settings.member.model, settings.member, environment, fit)


if __name__ == "__main__":
    sys.exit(app.run(main, TrainFolds, __doc__))
