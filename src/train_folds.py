"""Train one network per fold, score every child by the fold that never saw it, and choose the threshold.

Stopped at any moment, the same command continues and ends with the same bytes.

Example: python src/train_folds.py --data input --run output/main --seed 0
"""

import functools
import sys
from pathlib import Path

import command_line
import train_command
from spasm import files, tensorboard
from spasm.scoring import pick_device, pick_precision
from spasm.settings import TrainFolds
from spasm.training import fit_fold


def main(settings: TrainFolds) -> int:
    if settings.tensorboard:
        tensorboard.check()
    device = pick_device(settings.hardware.device)
    precision = pick_precision(settings.hardware.precision, device)
    environment = {"device": device.type, "precision": str(precision).removeprefix("torch."), "threads": 1}
    if settings.member.network.weights:
        environment["weights_sha256"] = files.sha256(Path(settings.member.network.weights))
    onsets = settings.read.data / "onsets.csv"
    if settings.member.fit.loss == "squared" and onsets.exists():
        environment["onsets_sha256"] = files.sha256(onsets)
    fit = functools.partial(fit_fold, device=device, precision=precision, with_tensorboard=settings.tensorboard)
    return train_command.train(settings, settings.member.model, settings.member, environment, fit)


if __name__ == "__main__":
    sys.exit(command_line.run(main, TrainFolds, __doc__))
