"""Train random convolutions with a ridge classifier, one model per fold of the run.

Stopped at any moment, the same command continues and ends with the same bytes.

Example: python src/train_rocket.py --data input --run output/main --seed 0
"""

import sys

import command_line
import train_command
from spasm.rocket import fit_fold
from spasm.settings import TrainRocket


def main(settings: TrainRocket) -> int:
    return train_command.train(settings, "rocket", settings.member, {"threads": 1}, fit_fold)


if __name__ == "__main__":
    sys.exit(command_line.run(main, TrainRocket, __doc__))
