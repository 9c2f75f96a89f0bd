"""The results of a run on general movements: out of fold, by chunk and by infant, as tables, metrics and a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spasm.core import files
from spasm.data.formats.two_stream import CLASSES
from spasm.data.general_movements import Chunks, Fold
from spasm.evaluation import class_metrics
from spasm.report import confusion_matrices
from spasm.training.general_movements import logit_columns

SCHEMA = 1
WRITTEN = ("metrics.json", "confusion.png", "subjects.csv", "chunks.csv", "history.csv")


class Infants(NamedTuple):
    """Infants that were predicted out of fold, G of them."""

    subjects: tuple[str, ...]
    labels: np.ndarray
    """(G,) int64: true class."""
    folds: np.ndarray
    """(G,) int64."""
    chunks: np.ndarray
    """(G,) int64: number of chunks."""
    logits: np.ndarray
    """(G, 3) float64: the mean over chunks; the class of an infant is that of the highest, as published."""


def infants_of(subjects: Sequence[str], labels: np.ndarray, folds: np.ndarray, logits: np.ndarray) -> Infants:
    """The infants of N chunks, in the order in which they come. logits: (N, 3)."""
    names = tuple(dict.fromkeys(subjects))
    place = {name: number for number, name in enumerate(names)}
    of = np.array([place[subject] for subject in subjects])
    count = np.bincount(of)
    sums = np.stack([np.bincount(of, column) for column in logits.T], axis=1)
    first = np.unique(of, return_index=True)[1]
    return Infants(names, labels[first], folds[first], count, sums / count[:, None])


def write_results(run: Path, data: Chunks, folds: Sequence[Fold], logits: np.ndarray) -> dict[str, Any]:
    """Write chunks.csv, subjects.csv, confusion.png and metrics.json, which is returned.

    logits: (N, 3) of all chunks by the folds that test them; NaN for chunks that no fold tests.
    """
    tested = np.flatnonzero(np.isfinite(logits).all(1))
    fold_of = np.full(len(logits), -1)
    for number, parts in enumerate(folds):
        fold_of[parts.test] = number
    subjects = [data.subjects[row] for row in tested]
    labels, predicted = data.labels[tested], logits[tested].argmax(1)
    infants = infants_of(subjects, labels, fold_of[tested], logits[tested])
    of_infants = infants.logits.argmax(1)
    rows: list[list[object]] = []
    for row, found in zip(tested, predicted, strict=True):
        chunk = data.chunks[row]
        rows.append([data.subjects[row], chunk.class_name, chunk.frame, int(fold_of[row]), *map(float, logits[row])])
        rows[-1].append(CLASSES[found])
    columns = ("subject", "class", "start_frame", "fold", *logit_columns(), "class_predicted")
    files.write_csv(run / "chunks.csv", columns, rows)
    rows = []
    for subject, label, fold, count, line, found in zip(*infants, of_infants, strict=True):
        rows.append([subject, CLASSES[label], int(fold), int(count), *map(float, line), CLASSES[found]])
    columns = ("subject", "class", "fold", "chunks", *logit_columns(), "class_predicted")
    files.write_csv(run / "subjects.csv", columns, rows)
    matrices = {
        "infants": class_metrics.confusion(infants.labels, of_infants, len(CLASSES)),
        "chunks": class_metrics.confusion(labels, predicted, len(CLASSES)),
    }
    files.write_bytes(run / "confusion.png", confusion_matrices.plot(matrices, CLASSES, data.simulated))
    result = {
        "schema": SCHEMA,
        "simulated": data.simulated,
        "classes": list(CLASSES),
        "infants": len(infants.subjects),
        "chunks": len(tested),
        "by_infant": class_metrics.evaluate(infants.labels, of_infants, infants.subjects, CLASSES),
        "by_chunk": class_metrics.evaluate(labels, predicted, subjects, CLASSES),
        "references": class_metrics.references(infants.labels, CLASSES),
        "confusion_by_infant": matrices["infants"].tolist(),
        "confusion_by_chunk": matrices["chunks"].tolist(),
    }
    files.write_json(run / "metrics.json", result)
    return result
