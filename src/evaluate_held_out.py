"""Hold out people from everything - training, blending, threshold - and answer them as a stranger's segments would be.

Each part of the people (a fold, or a value of a column of groups.csv) is answered by a run trained on all the others,
by the same commands a user types. What comes out is what new people would have seen.

Example: python src/evaluate_held_out.py --data input --members lgbm rocket --group-column cohort
"""

import csv
import os
import shutil
import sys
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from spasm.cli import app
from spasm.config.data import Data
from spasm.config.fields import Seed, settings, within
from spasm.core import files
from spasm.core.errors import DataError
from spasm.data.dataset import TrainingData, load_training
from spasm.data.folds import make_folds
from spasm.data.formats.convert import MARK
from spasm.ensemble.thresholds import best_threshold
from spasm.evaluation import metrics
from spasm.report import console


@settings
class Transfer:
    """Flags of evaluate_held_out.py."""

    read: Data = Data()
    out: Path = Path("output/transfer")
    """Folder for the runs and the answers; runs that are there are continued."""
    cache: Path = Path("output/cache")
    """Folder for the checked poses, one folder per data set; may be deleted at any time."""
    members: tuple[str, ...] = ("lgbm", "rocket")
    """Members to train and blend: lgbm, rocket, stgcn_mil, stam, sta_gunet, vsvig, two_stream. Each is trained once for
    every part."""
    group_column: str = ""
    """Column of groups.csv, each value of which is held out in turn; otherwise folds of children are. "segment" deals
    segments without regard to children: that is the usual mistake, to see what it pretends."""
    outer_folds: Annotated[int, within(2, 100)] = 5
    """Folds to hold out in turn."""
    outer_fold_seed: Seed = 0
    """Seed of these folds."""
    averaging: Literal["probability", "logit", "percentile"] = "logit"
    """As in blend.py."""
    fold_averaging: Literal["probability", "logit"] = "probability"
    """As in blend.py."""
    child_context: bool = False
    """As in blend.py."""
    shuffle_labels: bool = False
    """Train on shuffled labels, to see that nothing leaks: AUC must come out near 0.5."""
    workers: Annotated[int, within(0, 256)] = 0
    """Folds trained side by side; 0 means one per CPU core."""
    seed: Seed = 0
    """Seed of the training."""


def main(settings: Transfer) -> int:
    app.check_members(settings.members)
    read = settings.read
    data = load_training(read.data, read.frames, read.name_pattern, settings.cache, rehash=read.rehash)
    labels = data.labels
    if settings.shuffle_labels:
        labels = np.random.default_rng(settings.seed).permutation(labels)
    part_of = parts(data, settings)
    print(console.data_summary(data))
    if settings.group_column == "segment":
        print("WARNING: parts split children, so that a child is answered by what was trained on its other segments")
    probabilities, positive = np.zeros(len(labels)), np.zeros(len(labels), dtype=bool)
    for part in np.unique(part_of):
        held_out = part_of == part
        answered = answer_part(settings, data, labels, held_out, settings.out / f"without_{part}")
        probabilities[held_out] = [float(row["probability"]) for row in answered]
        positive[held_out] = [row["label"] == "1" for row in answered]
        print(f"held out {part}: {figures_line(labels[held_out], probabilities[held_out], positive[held_out])}")
    rows = zip(data.names, data.children, labels, part_of, probabilities, positive.astype(int), strict=True)
    header = ("segment_name", "child", "label", "part", "probability", "answer")
    files.write_csv(settings.out / "answers.csv", header, rows)
    figures = metrics.evaluate(labels, probabilities, positive, data.children)
    files.write_json(settings.out / "metrics.json", {"simulated": data.simulated, "held_out": figures})
    print(console.figures_table(figures, "all held-out people, each part at the threshold of its own run"))
    if settings.shuffle_labels:
        print("the labels were shuffled: nothing here can be better than chance")
    if data.simulated:
        print(console.SIMULATED)
    print(f"written: {settings.out}/answers.csv, metrics.json and the runs")
    return 0


def parts(data: TrainingData, settings: Transfer) -> np.ndarray:
    """Which part (N,) text each segment belongs to; a child is in one part only, unless parts are dealt by segment."""
    if settings.group_column == "segment":
        dealt = np.random.default_rng(settings.outer_fold_seed).permutation(len(data.labels)) % settings.outer_folds
        return dealt.astype(str)
    if not settings.group_column:
        return make_folds(
            data.labels, data.children, settings.outer_folds, "stratified", settings.outer_fold_seed
        ).astype(str)
    values = {child: row.get(settings.group_column, "") for child, row in data.groups.items()}
    missing = sorted({child for child in data.children if not values.get(child)})
    if missing:
        raise DataError(
            "groups.csv", f"child {missing[0]} has no {settings.group_column}", "name a column that all children have"
        )
    by = np.array([values[child] for child in data.children])
    if not all(value.replace("-", "").replace("_", "").isalnum() for value in np.unique(by)):
        raise DataError(
            "groups.csv", f"{settings.group_column} has values that make no file name", "use letters, digits, - and _"
        )
    if len(np.unique(by)) < 2:
        raise DataError(
            "groups.csv", f"all children have the same {settings.group_column}", "two values at least are needed"
        )
    return by


def answer_part(
    settings: Transfer, data: TrainingData, labels: np.ndarray, held_out: np.ndarray, folder: Path
) -> list[dict[str, str]]:
    """Train on all but the segments `held_out` (N,) bool, and give the rows of the probabilities file for those."""
    source, target, test = data.folder, folder / "data", folder / "test"
    # Beside the data and not in it, where a child on both sides, as --group-column segment wants it, would be refused.
    for part, rows in ((target / "train", ~held_out), (test, held_out)):
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for name in np.array(data.names)[rows]:
            link_or_copy(source / "train" / name, part / name)
    table = zip(np.array(data.names)[~held_out], labels[~held_out], strict=True)
    files.write_csv(target / "train_data.csv", ("segment_name", "label"), table)
    for name in ("groups.csv", "onsets.csv", "simulated.json", MARK):
        if (source / name).exists():
            files.write_bytes(target / name, (source / name).read_bytes())
    run = ["--run", str(folder / "run"), "--cache", str(settings.cache)]
    common = [
        *run,
        "--data",
        str(target),
        "--name-pattern",
        settings.read.name_pattern,
        "--frames",
        str(data.poses.shape[1]),
    ]
    common += ["--seed", str(settings.seed), "--workers", str(settings.workers)]
    for name in settings.members:
        app.call([*app.MEMBER_SCRIPTS[name], *common])
    blend = ["--averaging", settings.averaging, "--fold-averaging", settings.fold_averaging]
    blend += ["--child-context", str(settings.child_context)]
    app.call(["blend.py", *run, *blend, "--members", *settings.members])  # no other that an earlier call left
    out = folder / "answer.csv"
    held = ["--test", str(test), "--name-pattern", settings.read.name_pattern]
    app.call(["../submission.py", "--run", str(folder / "run"), *held, "--out", str(out)])
    with open(folder / "answer_probabilities.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk
        shutil.copy(source, target)


def figures_line(labels: np.ndarray, probabilities: np.ndarray, positive: np.ndarray) -> str:
    """One part's figures, and what the best threshold for it would have given, known only afterwards."""
    values = metrics.figures(labels, probabilities, positive)
    best = metrics.figures(labels, probabilities, probabilities >= best_threshold(labels, probabilities))
    shown = {"F1": values["f1"], "AUC": values["auc"], "F1 at its own best threshold": best["f1"]}
    return ", ".join(f"{name} {'n/a' if value is None else f'{value:.3f}'}" for name, value in shown.items())


if __name__ == "__main__":
    sys.exit(app.run(main, Transfer, __doc__))
