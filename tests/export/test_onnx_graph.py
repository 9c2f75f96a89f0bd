"""The graph of an ONNX file gives what torch gives: every setting, any number of segments and frames, any gaps."""

import itertools
import json

import numpy as np
import pytest
import torch

from spasm.config.features import Features
from spasm.data.landmark_sets import keep_landmarks
from spasm.export import onnx_file
from spasm.features.channels import build_features
from spasm.models.networks.stgcn_mil import MilHead, best_fifth
from spasm.models.stgcn_mil import StgcnMilConfig, StgcnMilModel

onnx_graph = pytest.importorskip("spasm.export.onnx_graph")
LENGTHS = (1, 2, 30, 60, 150, 151, 300)
EVERY = [
    Features(frame=frame, root=root, body_scale=scale, aspect=aspect)
    for frame, root, scale, aspect in itertools.product(
        ("camera", "body"), ("interpolate", "hold"), (False, True), (1.0, 1.7)
    )
]


def poses(count: int, frames: int, seed: int = 0) -> np.ndarray:
    """Bodies that wander (N, T, 33, 5), with gaps, single missing landmarks, and landmarks that are never found.

    The last three have no hips, neither hips nor shoulders, and no pose at all.
    """
    generator = np.random.default_rng([seed, frames])
    made = generator.uniform(0.2, 0.8, (count, 1, 33, 5)) + np.zeros((1, frames, 1, 1))
    made[..., :3] += generator.normal(0, 0.01, (count, frames, 33, 3)).cumsum(1)
    made[..., 3:] = generator.uniform(0, 1, (count, frames, 33, 2))
    for number, pose in enumerate(made):
        pose[generator.random(frames) < (0, 0.3, 0.8)[number % 3]] = np.nan
        pose[:, generator.choice(33, number % 4)] = np.nan
        pose[generator.random((frames, 33)) < (0, 0.1)[number % 2]] = np.nan
    made[-3, :, [23, 24]] = np.nan
    made[-2, :, [11, 12, 23, 24]] = np.nan
    made[-1] = np.nan
    return made.astype(np.float32)


@pytest.fixture
def exporting(monkeypatch):
    """Functions take the form that they have in a graph."""

    def switch(on: bool) -> None:
        monkeypatch.setattr(torch.compiler, "is_exporting", lambda: on)

    return switch


@pytest.mark.parametrize("frames", LENGTHS)
def test_channels_have_the_same_bits_in_the_form_of_a_graph(exporting, frames):
    for number, settings in enumerate(EVERY):
        segments = torch.from_numpy(poses(6, frames, number))
        exporting(False)
        usual = build_features(segments, settings)
        exporting(True)
        assert torch.equal(build_features(segments, settings), usual), settings
        assert usual.isfinite().all() and (frames < 30 or usual.std() > 0.1)


def test_the_highest_fifth_is_the_same_for_every_number_of_steps(exporting):
    for steps in range(1, 120):
        values = torch.randn(3, steps, generator=torch.Generator().manual_seed(steps))
        exporting(False)
        usual = best_fifth(values)
        exporting(True)
        assert torch.equal(best_fifth(values), usual)


def test_frames_with_a_pose_are_counted_in_the_step_that_they_belong_to():
    head = MilHead(4, "attn")
    for frames, steps in ((1, 1), (7, 2), (30, 8), (151, 38)):
        posed = (torch.rand(2, frames, generator=torch.Generator().manual_seed(frames)) < 0.6).float()
        weights = head(torch.randn(2, steps, 4), posed, frames).frame_weights
        step_of_frame = torch.arange(frames) * steps // frames
        for step in range(steps):  # the attention of a step is shared by its frames with a pose
            shared = weights[:, step_of_frame == step]
            there = posed[:, step_of_frame == step] > 0
            assert not shared[~there].any()
            for row in range(2):
                assert len(shared[row][there[row]].unique()) <= 1
        assert torch.allclose(weights.sum(1), posed.any(1).float(), atol=1e-5)


def trained(config: StgcnMilConfig, seed: int) -> dict[str, torch.Tensor]:
    """Weights of a network whose norms know their input and whose output varies."""
    torch.manual_seed(seed)
    network = StgcnMilModel().build(config)
    features = build_features(torch.from_numpy(poses(8, 40, seed)), config.features)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d) and module.affine:
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
        network.train()
        for _ in range(20):
            network(features)
        network.head.score.weight *= 10
    return {**network.state_dict(), "offset": torch.tensor(0.3 * seed)}


@pytest.mark.slow
def test_any_number_of_segments_and_frames_is_predicted_as_by_torch_with_every_head_and_the_bytes_are_the_same_again():
    """A network for each head in one graph, since tracing takes seconds; test_onnx_file.py exports the body's frame."""
    features = Features(frame="camera", root="hold", body_scale=True, aspect=1.7)
    configs = [
        StgcnMilConfig(width=4, blocks=1, head=head, features=features) for head in ("attn", "topk", "logsumexp")
    ]
    weights = [trained(config, seed) for seed, config in enumerate(configs, 1)]
    calibrated = onnx_graph.Calibrated(0.8, 0.2, -3.0, 3.0, -0.7)
    built = [
        onnx_graph.build(StgcnMilModel(), [fold], config, "coco_17", calibrated)
        for fold, config in zip(weights, configs, strict=True)
    ]
    together = [network.networks[0] for network in built]
    network = onnx_graph.PoseNetwork(together, [0.3, 0.6, 0.9], features, "coco_17", calibrated)
    content = onnx_graph.onnx_bytes(network)
    assert onnx_graph.onnx_bytes(network) == content
    session = onnx_file.open_onnx(content)
    predictors = [
        StgcnMilModel().predictor(fold, config, onnx_file.FLOAT32)
        for fold, config in zip(weights, configs, strict=True)
    ]
    spread = []
    for count, frames in ((7, 1), (4, 2), (3, 30), (5, 60), (9, 150), (4, 151), (6, 300)):
        segments = poses(count, frames)
        outputs = onnx_file.Outputs(*session.run(None, {"poses": segments}))
        kept = keep_landmarks(segments, "coco_17")
        posed = np.isfinite(kept[..., :3]).all(-1).any(-1)
        rows = np.flatnonzero(posed.any(1))
        scores = [predictor.predict(kept, rows) for predictor in predictors]
        frame_logits = np.mean([predictor.explain(kept, rows).frame_logits for predictor in predictors], axis=0)

        def calibrate(logits: np.ndarray) -> np.ndarray:
            return np.clip(0.8 * logits + 0.2, -3, 3)

        expected = np.full(count, -0.7)
        expected[rows] = calibrate(np.mean([score.logits[0] for score in scores], axis=0))
        assert outputs.logit == pytest.approx(expected, abs=1e-4)
        assert outputs.probability == pytest.approx(1 / (1 + np.exp(-expected)), abs=1e-5)
        attention = np.zeros((count, frames))
        attention[rows] = np.mean([score.attention for score in scores], axis=0)
        assert outputs.attention == pytest.approx(attention, abs=1e-5)
        frame_probability = np.full((count, frames), np.nan)
        frame_probability[rows] = 1 / (1 + np.exp(-calibrate(frame_logits)))
        frame_probability[~posed] = np.nan
        assert outputs.frame_probability == pytest.approx(frame_probability, abs=1e-5, nan_ok=True)
        spread += outputs.logit[rows].tolist()
    assert np.std(spread) > 0.1, "networks whose output varies"


def test_metadata_is_one_json_object_in_the_file():
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    node = helper.make_node("Identity", ["a"], ["b"])
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "ab"]
    content = helper.make_model(helper.make_graph([node], "graph", ends[:1], ends[1:])).SerializeToString()
    with_it = onnx_graph.with_metadata(content, json.dumps({"run": "é"}))
    [found] = onnx.load_model_from_string(with_it).metadata_props
    assert found.key == "spasm" and json.loads(found.value) == {"run": "é"}
