"""Train models on the same folds with several seeds, and compare them in one table.

Every metric is cross-fitted: weights, calibration and threshold of a fold were chosen on the other folds. With two or
more of the default models, the table has their blend too. Stopped at any moment, the same command continues.

Examples:
  python src/compare.py --data input/demo --models lgbm,rocket --seeds 2
  python src/compare.py --data input --models stgcn_mil,stam,lgbm --seeds 3
"""

import functools
import os
import sys
from pathlib import Path
from typing import Annotated

from spasm.cli import app, progress, train
from spasm.config.data import Data, Folds
from spasm.config.ensemble import Blend
from spasm.config.fields import ADVANCED, FLAT, PER_CORE, settings, within
from spasm.config.runtime import Cache, Hardware
from spasm.core import files
from spasm.core.outputs import check_folder
from spasm.core.processes import cpu_count
from spasm.core.text import shell_words
from spasm.data.dataset import load_training
from spasm.models.registry import MODELS, models_named
from spasm.report import comparison, console
from spasm.runs.decide import decide
from spasm.runs.folder import open_run
from spasm.training.costs import model_costs, note_training


@settings
class Compare:
    """Flags of compare.py, beside those of the models."""

    read: Annotated[Data, FLAT] = Data()
    out: Path = Path("output/compare")
    """Folder for the run and the table; what is trained there is continued, model by model."""
    models: train.Models = tuple(MODELS)
    """Models to train, by spaces or commas. `--help --models NAME` explains a model's own settings."""
    seeds: Annotated[int, within(1, 100)] = 3
    """Number of seeds to train each model with, counted from 0; one seed alone is no comparison."""
    workers: Annotated[int, within(0, 256), PER_CORE] = 0
    """Folds trained side by side, one thread each."""
    split: Annotated[Folds, FLAT] = Folds()
    cache: Cache = Path("output/cache")
    """Folder for the checked poses and features; it may be deleted at any time."""
    hardware: Annotated[Hardware, FLAT, ADVANCED] = Hardware()


def flags(words: list[str]) -> type[Compare]:
    """The flags of this command with the settings of the models that it names."""
    made: type[Compare] = train.with_models(Compare, models_named(app.values_of("--models", words) or MODELS))
    return made


def main(settings: Compare) -> int:
    models, read, costs = models_named(settings.models), settings.read, settings.out / "costs"
    check_folder(settings.out, ("table.csv", "table.md", "table.png"), "run/run.json")
    data = load_training(
        read.data, read.frames, read.name_pattern, settings.cache, progress.reading, read.rehash, read.landmarks
    )
    print(console.data_summary(data))
    app.warn([*map(str, data.warnings), *data.findings])
    run = open_run(settings.out / "run", data, read.data, data.poses.shape[1], settings.split)
    opened = train.open_models(run, models, settings, read.data, [os.path.basename(sys.argv[0]), *sys.argv[1:]])
    workers = min(run.folds, settings.workers or cpu_count())
    for seed in range(settings.seeds):
        for one in opened:
            begin = functools.partial(train.train_model, run, one, settings.hardware, seed, range(run.folds), workers)
            cost = note_training(costs, one.folder, seed, begin)
            if cost is not None:
                seconds, of_processor = cost["seconds"], cost["processor_seconds"]
                print(f"{one.model.name} seed {seed}: {seconds:.0f} s, {of_processor:.0f} s of processor time")
    result = decide(run, Blend())
    assert result is not None  # every model is complete
    names = [model.name for model in models]
    scores = comparison.evaluate_models(run, names, settings.seeds)
    rows = comparison.table_rows(scores, {name: model_costs(costs, run, name, settings.seeds) for name in names})
    text = comparison.markdown(rows, run, settings.seeds)
    cells = [list(row.values()) for row in rows]
    files.write_csv(settings.out / "table.csv", list(rows[0]), cells, files.TABLE_DIGITS)
    files.write_text(settings.out / "table.md", text)
    files.write_bytes(settings.out / "table.png", comparison.plot(rows, data.simulated))
    print(text)
    print(f"written: {settings.out}/table.md, table.csv, table.png and the run {run.path}")
    if (read.data / "test").exists():
        print(
            f"the run predicts by {', '.join(result.models)}; train_folds.py --decide-only --blend.models adds others"
        )
        words = ["--run", str(run.path), "--test", str(read.data / "test")]
        print(f"next:    python submission.py {shell_words(*words)}")
    return 0


if __name__ == "__main__":
    sys.exit(app.run(main, flags, __doc__))
