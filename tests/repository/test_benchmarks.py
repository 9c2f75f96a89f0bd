"""The benchmark's reference does the same work as what it is compared with, and the script runs."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.published import published
from benchmarks.random_convolutions import PerFold, sample_folds
from benchmarks.stgcn import PlainStgcnMil, plain_features, same_weights, sample_poses
from spasm.config.features import Features
from spasm.features.channels import build_features
from spasm.models.networks.layers import Folded
from spasm.models.rocket import RocketConfig
from spasm.models.rocket_folds import RocketPredictor
from spasm.models.stgcn_mil import StgcnMilConfig, StgcnMilModel

pytestmark = pytest.mark.command

ROOT = Path(__file__).parents[2]


def test_the_reference_builds_the_same_features():
    poses = sample_poses(3, 40)
    ours = build_features(torch.from_numpy(poses), Features()).numpy()
    assert np.abs(ours - np.stack([plain_features(pose) for pose in poses])).max() < 1e-6


def test_the_reference_network_gives_the_same_output():
    torch.manual_seed(0)
    network = StgcnMilModel().build(StgcnMilConfig())
    features = build_features(torch.from_numpy(sample_poses(4, 64)), Features())
    with torch.no_grad():
        network.train()(features)  # moves the running statistics away from their start
        plain = same_weights(PlainStgcnMil(StgcnMilConfig()), network).eval()
        assert torch.allclose(network.eval()(features).logit, plain(features).logit, atol=1e-5)


def test_the_benchmark_prints_a_ratio_for_features_training_and_inference():
    command = [sys.executable, "benchmarks/stgcn.py", "--frames", "32", "--repeats", "1"]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = finished.stdout.splitlines()[2:]
    assert [line[:20].strip() for line in lines] == ["features", "training step", "5 networks", "5-fold inference"]
    assert all(float(cell) > 0 for line in lines for cell in line[20:].split())


def test_one_transform_for_all_folds_predicts_what_one_for_each_does_several_times_as_fast():
    """At least twice as fast with five folds, also on a busy machine; alone it is more than five times."""
    weights, poses = sample_folds(32, 5), sample_poses(8, 32)
    ours = RocketPredictor(weights, RocketConfig().features).predict(poses, np.arange(8)).logits
    plain = PerFold(weights).predict(poses, np.arange(8))
    assert ours == pytest.approx(plain, abs=0.01 * np.std(plain))  # another order of summation passes a bias
    command = [
        sys.executable,
        "benchmarks/random_convolutions.py",
        "--frames",
        "64",
        "--repeats",
        "3",
        "--segments",
        "64",
    ]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert float(finished.stdout.splitlines()[-1].removeprefix("ratio")) > 2


def as_trained(network, shapes):
    """Norms that know their input, and no residual branch that is still at zero."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d) and module.weight.abs().max() == 0:
            torch.nn.init.uniform_(module.weight, 0.1, 0.4)
    network.train()
    with torch.no_grad():
        for _ in range(20):
            network(*(torch.randn(4, *shape) for shape in shapes))
    return network.eval()


@pytest.mark.parametrize("name", ["STAM", "VSViG light", "VSViG base"])
def test_a_plain_transcription_of_a_published_network_gives_the_same_output(name):
    network, plain, shapes = published()[name]
    as_trained(network, shapes)
    inputs = [torch.randn(2, *shape) for shape in shapes]
    with torch.inference_mode():
        output, folded, wanted = (
            network(*inputs),
            Folded(network, torch.float32)(*inputs),
            plain(network.state_dict(), *inputs),
        )
    if name == "STAM":
        output, folded = output[0], folded[0]
    assert wanted.std() > 1e-3
    torch.testing.assert_close(output, wanted, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(folded, wanted, rtol=1e-3, atol=1e-4)


def test_the_benchmark_of_published_networks_prints_a_ratio_for_each():
    command = [sys.executable, "benchmarks/published.py", "--threads", "1", "--repeats", "1"]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = finished.stdout.splitlines()[2:]
    assert [line[:14].strip() for line in lines] == [name for name in published() for _ in range(2)]
    assert all(float(cell) > 0 for line in lines for cell in line[14:61].split())


def test_the_benchmark_of_timelines_prints_how_much_faster_than_real_time_each_stage_is(trained):
    flags = ["--run", trained, "--minutes", "0.5", "--repeats", "1", "--models", "nowhere", "--precision", "float32"]
    command = [sys.executable, "benchmarks/recordings.py", *map(str, flags)]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    *rows, last, difference = finished.stdout.splitlines()[2:]
    names = ["features of the networks", "statistics", "stgcn_mil, 3 folds", "stgcn_mil, the naive way"]
    assert [line[:34].strip() for line in rows] == names
    assert all(float(line[34:50]) > 0 and float(line[50:59]) > 0 for line in rows)
    assert "times as fast as the naive way" in last
    assert float(difference.split()[2]) < 1e-4, "windows have the same prediction in batches and alone"
