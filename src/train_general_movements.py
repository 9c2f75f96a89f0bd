"""Train and evaluate the two-stream network on its own task: general movements in three classes.

DATA is a tree by class, WMs (writhing), FMs (fidgety) and PR (poor repertoire), with the pictures that
extract_general_movements.py makes. The network learns chunks by softmax and cross-entropy; an infant's class is that of
the highest mean of its chunks' logits (Hashimoto et al. 2022). Folds are the tree's own fold/{train,test}/foldK.csv, or
whole infants stratified by class. A training that is stopped goes on with the same command.

Examples:
  python src/train_general_movements.py --data input/movements --run output/movements
  python src/train_general_movements.py --run output/published --backbone resnet50 --weights resnet50.pth --batch 64
"""

import sys
from pathlib import Path
from typing import Annotated, Any

from spasm.cli import app, progress
from spasm.config.fields import ADVANCED, FLAT, Seed, SettingsError, Shown, settings, within
from spasm.config.general_movements import STEP, GeneralMovements
from spasm.config.runtime import Cache, Hardware
from spasm.data.formats.two_stream import CLASSES
from spasm.data.general_movements import load_chunks
from spasm.report import confusion_matrices
from spasm.report.general_movements import WRITTEN, write_results
from spasm.training.general_movements import MovementRun, train


@settings
class TrainGeneralMovements:
    """Flags of train_general_movements.py."""

    data: Path = Path("input/movements")
    """Folder with WMs/, FMs/ and PR/, or with data/ that holds them."""
    run: Path = Path("output/movements")
    """Folder of the run; it is made, or continued."""
    network: Annotated[GeneralMovements, FLAT] = GeneralMovements()
    chunk_every: Annotated[int, within(5, 100_000)] = 150
    """Frames from the start of a chunk to the next, a multiple of 5; not used where the tree has its own tables."""
    folds: Annotated[int, within(2, 100)] = 5
    """Number of folds; each infant is in one. Not used where the tree has its own tables."""
    fold_csvs: bool = True
    """Use the tree's own fold/{train,test}/foldK.csv where they are there."""
    fold_seed: Annotated[Seed, ADVANCED] = 0
    """Seed of the folds; --seed never changes them."""
    seed: Seed = 0
    """Seed of the training."""
    hardware: Annotated[Hardware, FLAT, ADVANCED] = Hardware()
    workers: Annotated[int, within(0, 256), Shown(default="one per CPU core; one on a GPU")] = 0
    """Folds trained side by side. The result does not depend on it."""
    cache: Cache = Path("output/cache")
    """Folder for the pictures at the network's size; it may be deleted at any time."""

    def __post_init__(self) -> None:
        if self.chunk_every % STEP:
            nearest = self.chunk_every // STEP * STEP
            raise SettingsError(f"--chunk-every {self.chunk_every} is no multiple of {STEP}; use {nearest}")


def main(settings: TrainGeneralMovements) -> int:
    data, folds, origin = load_chunks(
        settings.data,
        settings.network.chunk_frames,
        settings.chunk_every,
        settings.network.pixels,
        settings.fold_csvs,
        settings.folds,
        settings.fold_seed,
        settings.cache,
        lambda chunks: progress.progress("reading", chunks, len(chunks), "chunk"),
    )
    infants = [sum(one.startswith(f"{name}/") for one in set(data.subjects)) for name in CLASSES]
    counts = ", ".join(f"{count} {name}" for count, name in zip(infants, CLASSES, strict=True))
    print(
        f"{'SIMULATED ' if data.simulated else ''}{sum(infants)} infants ({counts}), {len(data.names)} chunks; {origin}"
    )
    run = MovementRun(settings.run, data, folds, settings.network, settings.seed, settings.hardware)
    logits = train(run, settings.workers, training)
    result = write_results(settings.run, data, folds, logits)
    print(confusion_matrices.table(result))
    print("written:", ", ".join(str(settings.run / name) for name in WRITTEN))
    return 0


def training(epochs: int) -> Any:
    """The progress of so many epochs of all folds."""
    return progress.progress("training", total=epochs, unit="epoch")


if __name__ == "__main__":
    sys.exit(app.run(main, TrainGeneralMovements, __doc__, stopped="the same command goes on with it"))
