"""Train LightGBM on kinematic statistics, one model per fold of the run; the models are LightGBM's own text files.

Stopped at any moment, the same command continues and ends with the same bytes.

Example: python src/train_lgbm.py --data input --run output/main --seed 0
"""

import dataclasses
import sys

from spasm.cli import app, train
from spasm.cli.train import Train
from spasm.config.models import LgbmMember
from spasm.models.lgbm import fit_fold


@dataclasses.dataclass(frozen=True)
class TrainLgbm(Train):
    """Flags of train_lgbm.py."""

    member: LgbmMember = LgbmMember()


def main(settings: TrainLgbm) -> int:
    return train.train(settings, "lgbm", settings.member, {"threads": 1}, fit_fold)


if __name__ == "__main__":
    sys.exit(app.run(main, TrainLgbm, __doc__))
