"""Metrics of several classes, by confusion matrices."""

import numpy as np
import pytest
from sklearn import metrics as reference

from spasm.evaluation.class_metrics import confusion, evaluate, matrix_metrics, references

NAMES = ("WMs", "FMs", "PR")


def sample(seed: int, count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, count)
    return labels, np.where(generator.random(count) < 0.6, labels, generator.integers(0, 3, count))


@pytest.mark.parametrize("seed", range(5))
def test_every_metric_is_that_of_scikit_learn(seed):
    labels, predicted = sample(seed)
    matrix = confusion(labels, predicted, 3)
    assert (matrix == reference.confusion_matrix(labels, predicted, labels=[0, 1, 2])).all()
    found = {name: value[0] for name, value in matrix_metrics(matrix[None].astype(float), NAMES).items()}
    precision, recall, f1, _ = reference.precision_recall_fscore_support(labels, predicted, zero_division=0)
    expected = {
        "accuracy": reference.accuracy_score(labels, predicted),
        "macro_precision": precision.mean(),
        "macro_recall": recall.mean(),
        "macro_f1": f1.mean(),
        "mcc": reference.matthews_corrcoef(labels, predicted),
        "kappa": reference.cohen_kappa_score(labels, predicted),
        **{f"f1_{name}": value for name, value in zip(NAMES, f1, strict=True)},
    }
    assert found == pytest.approx(expected)


def test_a_class_that_is_never_predicted_counts_as_0_and_one_that_does_not_occur_is_left_out():
    never = matrix_metrics(np.array([[[4.0, 0, 0], [2, 0, 0], [0, 0, 2]]]), NAMES)
    assert never["macro_precision"][0] == pytest.approx((4 / 6 + 0 + 1) / 3)
    absent = matrix_metrics(np.array([[[4.0, 1, 0], [0, 3, 0], [0, 0, 0]]]), NAMES)
    assert np.isnan(absent["f1_PR"][0])
    assert absent["macro_recall"][0] == pytest.approx((4 / 5 + 1) / 2)


def test_an_interval_comes_from_infants_and_not_from_their_chunks():
    labels = np.repeat([0, 1, 2] * 5, 20)
    infants = np.repeat(np.arange(15), 20).astype(str)
    right = np.repeat(np.arange(15) % 4 > 0, 20)  # all chunks of an infant alike
    predicted = np.where(right, labels, (labels + 1) % 3)
    by_infant = evaluate(labels, predicted, infants, NAMES)["accuracy"]
    by_chunk = evaluate(labels, predicted, np.arange(300).astype(str), NAMES)["accuracy"]
    assert by_infant["value"] == by_chunk["value"] == right.mean()
    assert by_infant["high"] - by_infant["low"] > 2.5 * (by_chunk["high"] - by_chunk["low"])


def test_the_references_are_the_commonest_class_and_classes_by_chance():
    found = references(np.array([0] * 5 + [1] * 3 + [2] * 2), NAMES)
    assert found["majority"]["accuracy"] == 0.5
    assert found["majority"]["macro_recall"] == pytest.approx(1 / 3)
    assert found["chance"]["accuracy"] == pytest.approx(0.25 + 0.09 + 0.04)
    assert found["chance"]["mcc"] == found["chance"]["kappa"] == 0
