"""Targets for a network that learns from random convolutions beside the labels."""

import dataclasses

import numpy as np
import pytest

from helpers.models import smallest
from helpers.networks import some_data
from helpers.settings import changed
from spasm.core.errors import TrainingError
from spasm.models.model import FoldJob
from spasm.models.networks import teacher
from spasm.models.registry import MODELS
from spasm.models.rocket import RocketModel


@pytest.fixture(autouse=True)
def small_teacher(monkeypatch):
    config = smallest("rocket")
    monkeypatch.setattr(RocketModel, "config", staticmethod(lambda: config))


def job_of(data, rows, **more):
    return FoldJob(data, rows, changed(smallest("stgcn_mil"), loss="taught"), seed=0, fold=0, **more)


def test_targets_lie_between_the_label_and_one_half_of_it():
    """Half of a target is the label, the other half a probability."""
    data, rows = some_data(40, signal=0.3), np.arange(30)
    targets = teacher.with_targets(job_of(data, rows)).data.targets
    assert ((targets[rows] - 0.5 * data.labels[rows] > 0) & (targets[rows] - 0.5 * data.labels[rows] < 0.5)).all()
    assert targets[30:].tolist() == data.labels[30:].tolist()
    assert len(set(targets[rows])) > 10, "a teacher that predicts the same for all segments teaches nothing"


def test_the_teacher_of_a_segment_was_not_trained_on_its_child(monkeypatch):
    data, rows, seen = some_data(40), np.arange(3, 40), []
    fit, predictor = RocketModel.fit, RocketModel.predictor

    def watched_fit(self, job):
        seen.append([{data.children[row] for row in job.rows}])
        return fit(self, job)

    def watched_predictor(self, *arguments):
        opened = predictor(self, *arguments)

        class Watched:
            def predict(self, poses, predicted):
                seen[-1].append({data.children[row] for row in predicted})
                return opened.predict(poses, predicted)

        return Watched()

    monkeypatch.setattr(RocketModel, "fit", watched_fit)
    monkeypatch.setattr(RocketModel, "predictor", watched_predictor)
    teacher.with_targets(job_of(data, rows))
    assert len(seen) == teacher.PARTS
    for trained_on, predicted in seen:
        assert predicted and not trained_on & predicted
    assert set().union(*(predicted for _, predicted in seen)) == {data.children[row] for row in rows}


def test_children_with_spasms_are_spread_over_all_parts():
    children = np.repeat([f"{number}" for number in range(16)], 5)
    labels = ((np.arange(80) // 5 < 6) & (np.arange(80) % 5 < 3)).astype(int)
    for seed in range(5):
        part_of = teacher.parts(labels, children, [seed, 0])
        assert all(len(set(part_of[children == child])) == 1 for child in set(children))
        counts = [len(set(children[(part_of == part) & (labels == 1)])) for part in range(teacher.PARTS)]
        assert sorted(counts) == [1, 1, 2, 2]


def test_too_few_children_are_refused():
    data = some_data(children=3)
    with pytest.raises(TrainingError, match="taught needs 4 children to train on, and a fold has 3"):
        MODELS["stgcn_mil"].fit(job_of(data, np.arange(len(data.labels))))


def test_one_child_with_positives_or_negatives_is_refused_before_any_teacher_is_trained():
    data = some_data(40)
    one = np.array(data.children) == data.children[0]
    for labels, kind in ((one, "positives"), (~one, "negatives")):
        changed_data = dataclasses.replace(data, labels=labels.astype(np.int64))
        with pytest.raises(
            TrainingError, match=f"needs {kind} of 2 children .* has those of 1; use another --fold-seed"
        ):
            teacher.with_targets(job_of(changed_data, np.arange(40)))


def test_a_taught_fold_that_was_stopped_resumes_with_the_same_bytes(tmp_path):
    data, rows, model = some_data(32), np.arange(28), MODELS["stgcn_mil"]

    def weights_of(on_epoch=lambda *_: None):
        return model.fit(job_of(data, rows, checkpoint=tmp_path / "state.safetensors", on_epoch=on_epoch))

    def stop(epoch, row, resumed):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        weights_of(stop)
    resumed = []
    weights = weights_of(lambda epoch, row, again: resumed.append(again))
    (tmp_path / "state.safetensors").unlink()
    whole = weights_of()
    assert resumed[0] and not resumed[-1]
    assert all(np.array_equal(weights[name], whole[name]) for name in whole)
