"""Train random convolutions with a ridge classifier, one model per fold of the run.

Stopped at any moment, the same command continues and ends with the same bytes.

Example: python src/train_rocket.py --data input --run output/main --seed 0
"""

import dataclasses
import sys

from spasm.cli import app, train
from spasm.cli.train import Train
from spasm.config.models import RocketMember
from spasm.models.rocket import fit_fold


@dataclasses.dataclass(frozen=True)
class TrainRocket(Train):
    """Flags of train_rocket.py."""

    member: RocketMember = RocketMember()


def main(settings: TrainRocket) -> int:
    return train.train(settings, "rocket", settings.member, {"threads": 1}, fit_fold)


if __name__ == "__main__":
    sys.exit(app.run(main, TrainRocket, __doc__))
