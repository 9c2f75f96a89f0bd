"""Train models on the same folds, blend them, and write the report.

Each child is in one fold and is predicted by models that were not trained on it. Stopped at any moment, the same
command continues and ends with the same bytes.

Examples:
  python src/train_folds.py --data input/demo --run output/lgbm --models lgbm
  python src/train_folds.py --data input --run output/main --stgcn-mil.epochs 30
"""

import os
import sys

from spasm.cli import app, train
from spasm.cli.train import Train
from spasm.models.registry import DEFAULT_MODELS, models_named


def flags(words: list[str]) -> type[Train]:
    """The flags of this command with the settings of the models that it names."""
    made: type[Train] = train.with_models(Train, models_named(app.values_of("--models", words) or DEFAULT_MODELS))
    return made


def main(settings: Train) -> int:
    return train.train(settings, [os.path.basename(sys.argv[0]), *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(app.run(main, flags, __doc__))
