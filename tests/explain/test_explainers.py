"""Whose attention is shown: that of the networks in the decision, or of those that were considered."""

import numpy as np
import pytest

from spasm.config.runtime import Hardware
from spasm.explain.attributions import explaining, gather
from spasm.runs.artefacts import read_decision

pytestmark = pytest.mark.command  # the runs are trained by commands


def without_network(run):
    """A run's decision as if the network had got no weight."""
    decision = read_decision(run)
    models = {name: model for name, model in decision.models.items() if name != "stgcn_mil"}
    return decision.model_copy(update={"models": models})


def test_the_networks_of_a_decision_explain_with_their_weight(blended):
    decision = read_decision(blended)
    found = explaining(blended, decision)
    assert set(found) == {"lgbm", "stgcn_mil"}
    assert found["stgcn_mil"].weight == decision.models["stgcn_mil"].weight > 0


def test_a_network_without_weight_shows_its_attention_and_adds_nothing_else(blended):
    decision = without_network(blended)
    poses = np.random.default_rng(0).normal(0.5, 0.1, (3, decision.frames, 33, 5)).astype(np.float32)
    evidence = gather(blended, decision, poses, np.zeros(3, dtype=int), Hardware("cpu", "float32"))
    assert evidence.networks == {"stgcn_mil": 0.0}
    assert evidence.attention.sum(axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    assert np.isfinite(evidence.frame_logits).all()
    with_weight = gather(blended, read_decision(blended), poses, np.zeros(3, dtype=int), Hardware("cpu", "float32"))
    assert evidence.attention == pytest.approx(with_weight.attention, abs=1e-6), "it is the same network"
    assert repr(evidence.reasons) == repr(with_weight.reasons)  # as text, because a value can be NaN


def test_a_network_that_was_not_considered_explains_nothing(blended):
    decision = without_network(blended)
    decision = decision.model_copy(update={"considered_models": list(decision.models)})
    assert set(explaining(blended, decision)) == {"lgbm"}
