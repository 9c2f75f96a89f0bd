"""Train LightGBM on kinematic statistics, one model per fold of the run; the models are LightGBM's own text files.

Stopped at any moment, the same command continues and ends with the same bytes.

Example: python src/train_lgbm.py --data input --run output/main --seed 0
"""

import sys

import command_line
import train_command
from spasm.boosting import fit_fold
from spasm.settings import TrainLgbm


def main(settings: TrainLgbm) -> int:
    return train_command.train(settings, "lgbm", settings.member, {"threads": 1}, fit_fold)


if __name__ == "__main__":
    sys.exit(command_line.run(main, TrainLgbm, __doc__))
