"""Training and test segments are compared for the page, once for the same files."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from spasm.data.dataset import load_training
from spasm.evaluation.drift import DifferingFeature, Drift
from spasm.report import train_and_test
from spasm.report.train_and_test import describe_drift, drift_of


def test_test_segments_are_compared_once(simulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load_training(simulated, 60, "safe", tmp_path)
    found = drift_of(data)
    assert found is not None
    assert found.auc is not None
    assert 0 < len(found.differing) <= 10
    monkeypatch.setattr(train_and_test, "adversarial_validation", lambda *_: pytest.fail("it is computed again"))
    assert drift_of(data) == found


def test_without_readable_test_segments_nothing_is_compared(simulated: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(simulated, tmp_path / "data"))
    data = load_training(folder, 60, "safe", tmp_path / "cache")
    np.save(folder / "test" / "child_900_1.npy", np.zeros(3))
    assert drift_of(data) is None
    shutil.rmtree(folder / "test")
    assert drift_of(data) is None


def test_drift_is_seen_where_the_interval_excludes_chance_level() -> None:
    differing = (DifferingFeature("speed", 0.9),)
    assert "no drift is seen" in describe_drift(Drift(0.55, 0.45, 0.65, differing))
    text = describe_drift(Drift(0.85, 0.75, 0.95, differing))
    assert "AUC 0.85 (95 % interval 0.75 to 0.95; 0.50 is chance level)" in text
    assert "the test segments differ" in text
