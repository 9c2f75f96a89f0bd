"""The ONNX file of a run predicts what its network does, says what is known of it, or does not exist."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from helpers.commands import T, code_of, here
from helpers.data import FLOAT32
from helpers.repository import ROOT
from spasm.core.errors import DataError, TrainingError
from spasm.data.landmarks import LANDMARKS
from spasm.data.segments import read_pose
from spasm.ensemble.blending import OofScores
from spasm.evaluation import bootstrap, metrics
from spasm.export import onnx_file
from spasm.export.unseen_segments import read_unseen
from spasm.inference.trained_run import TrainedRun
from spasm.runs.artefacts import read_decision, read_metrics

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
onnx_graph = pytest.importorskip("spasm.export.onnx_graph")
pytestmark = pytest.mark.slow
ALONE = ["stgcn_mil"]


@pytest.fixture(scope="module")
def exported(blended, tmp_path_factory) -> Path:
    """The file of a small run with three models."""
    path = tmp_path_factory.mktemp("onnx") / "network.onnx"
    here("export_onnx", "--run", blended, "--out", path)
    return path


@pytest.fixture(scope="module")
def poses(simulated) -> np.ndarray:
    """Simulated segments, some with gaps or without any pose, and one with landmarks that are never found."""
    paths = sorted([*(simulated / "train").iterdir(), *(simulated / "test").iterdir()])
    read = np.stack([read_pose(path, T) for path in paths])
    read[0, :, 20:] = np.nan
    read[1, 10:40, 15] = np.nan
    return read


def about(path: Path) -> dict:
    [only] = onnx.load(path).metadata_props
    assert only.key == "spasm"
    return json.loads(only.value)


def test_the_file_predicts_what_the_network_of_the_run_does(exported, blended, poses):
    outputs = onnx_file.run_onnx(exported, poses)
    expected = TrainedRun(blended).predict(poses, models=ALONE, precision="float32")
    assert (~expected.has_pose).any() and np.isnan(poses[expected.has_pose]).any()
    assert outputs.probability == pytest.approx(expected.probability, abs=1e-4)
    odds = np.log(expected.probability) - np.log1p(-expected.probability)
    assert outputs.logit == pytest.approx(odds, abs=1e-3)
    assert outputs.attention == pytest.approx(expected.attention, abs=1e-4)
    assert np.std(outputs.logit) > 1e-2
    assert outputs.frame_probability.shape == poses.shape[:2]
    without = ~expected.has_pose
    assert outputs.probability[without] == pytest.approx(about(exported)["no_pose_probability"])
    assert not outputs.attention[without].any() and np.isnan(outputs.frame_probability[without]).all()
    assert (outputs.probability >= about(exported)["threshold"]).astype(int).tolist() == expected.label.tolist()


def test_the_calibrated_log_odds_are_the_attended_mean_of_those_of_frames(exported, poses):
    """With the attention head, so that a page may show which frames speak for a spasm."""
    outputs = onnx_file.run_onnx(exported, poses)
    attended = outputs.attention > 0
    odds = np.where(attended, np.log(outputs.frame_probability) - np.log1p(-outputs.frame_probability), 0)
    posed = attended.any(1)
    # Each fold has attention of its own, so the mean over folds is only near it.
    assert (outputs.attention * odds).sum(1)[posed] == pytest.approx(outputs.logit[posed], abs=0.1)


def test_the_file_says_what_is_known_of_the_network(exported, blended):
    found = about(exported)
    decision, result = read_decision(blended), read_metrics(blended, read_decision(blended))
    alone = TrainedRun(blended, FLOAT32).predict(np.full((1, T, 33, 5), np.nan), models=ALONE)
    assert found["threshold"] == found["rule"]["sum_threshold"] == alone.threshold != decision.threshold
    assert found["schema"] == 1 and found["run"] == "run" and found["simulated"] is True
    assert found["trained_on"] == {"segments": 40, "children": 8, "positives": decision.data.positives}
    assert (found["frames"], found["fps"], found["folds"], found["landmark_set"]) == (T, 30, 3, "all")
    assert found["landmarks"] == list(LANDMARKS)
    assert found["channels"] == ["x", "y", "z", "visibility", "presence"]
    assert "SIMULATED" in found["warning"] and "not a medical device" in found["warning"]
    for name, value in found["metrics"].items():
        assert value == result.each_model["stgcn_mil"][name].model_dump()
    specificity = found["metrics"]["specificity"]["value"]
    assert found["false_alarms_per_hour"] == pytest.approx((1 - specificity) * 3600 / 2)
    compared = found["compared_with_blend"]
    for name in ("f1", "auc"):
        point = result.each_model["stgcn_mil"][name].value - result.cross_fitted[name].value
        assert compared[name]["value"] == pytest.approx(point)
        assert compared[name]["low"] <= point <= compared[name]["high"]


def test_the_file_has_plain_operators_and_no_path_of_this_machine(exported, simulated):
    model = onnx.load(exported)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 18)] and not model.functions
    assert {node.domain for node in model.graph.node} == {""}
    shapes = {
        value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in [*model.graph.input, *model.graph.output]
    }
    assert shapes == {
        "poses": ["segments", "frames", 33, 5],
        "probability": ["segments"],
        "logit": ["segments"],
        "frame_probability": ["segments", "frames"],
        "attention": ["segments", "frames"],
    }
    content = exported.read_bytes()
    assert content.startswith(onnx_file.START)
    for private in (ROOT, Path.home(), simulated.parents[1], "site-packages", ".py"):
        assert str(private).encode() not in content


def test_unseen_children_replace_those_of_training_in_the_comparison(
    exported, blended, simulated, tmp_path, monkeypatch
):
    graph = onnx.load(exported)
    del graph.metadata_props[:]
    monkeypatch.setattr(onnx_graph, "onnx_bytes", lambda network: graph.SerializeToString())  # tracing takes seconds
    out = tmp_path / "again.onnx"
    here("export_onnx", "--run", blended, "--out", out, "--evaluate-on", simulated)
    first, second = graph.graph, onnx.load(out).graph
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)

    before, after = about(exported), about(out)
    measured = ("metrics", "false_alarms_per_hour", "measured_on", "compared_with_blend")
    assert before["measured_on"] == {
        "segments": 40, "children": 8, "where": "out-of-fold predictions of the run's own children",
    }  # fmt: skip
    where = "10 segments of 2 children in data/test, none of them in training"
    assert after["measured_on"] == {"segments": 10, "children": 2, "where": where}
    compared = after["compared_with_blend"]
    assert all(before[name] != after[name] for name in measured)
    assert all(after[name] == before[name] for name in after if name not in measured)
    paths = sorted((simulated / "test").iterdir())
    truth = (line.split(",") for line in (simulated / "truth.csv").read_text().splitlines())
    label_of = {row[0]: row[1] for row in truth}
    labels, children = np.array([int(label_of[path.name]) for path in paths]), [path.name[:8] for path in paths]
    unseen = np.stack([read_pose(path, T) for path in paths])
    run = TrainedRun(blended, FLOAT32)
    (point, replicates), (of_blend, replicates_of_blend) = (
        metrics.cluster_bootstrap(labels, one.probability, one.label == 1, children)
        for one in (run.predict(unseen, models=ALONE), run.predict(unseen))
    )
    for name in ("f1", "auc"):
        expected = bootstrap.interval(point[name] - of_blend[name], replicates[name] - replicates_of_blend[name], 2)
        assert compared[name] == pytest.approx(expected)


def test_a_network_that_is_alone_in_its_run_is_compared_with_the_blend_of_another(blended, trained, tmp_path):
    found = onnx_file.of_run(trained, read_decision(trained), blended).about
    assert found["compared_with"] == blended.name
    own, other = (read_metrics(folder, read_decision(folder)) for folder in (trained, blended))
    for name in ("f1", "auc"):
        behind = own.each_model["stgcn_mil"][name].value - other.cross_fitted[name].value
        assert found["compared_with_blend"][name]["value"] == pytest.approx(behind)
    assert onnx_file.of_run(trained, read_decision(trained)).about["compared_with_blend"]["auc"]["value"] == 0

    damaged = Path(shutil.copytree(blended, tmp_path / "other"))
    table = (damaged / "oof.csv").read_text()
    (damaged / "oof.csv").write_text(table.replace("child_1_1.npy", "child_1_9.npy"))
    with pytest.raises(DataError, match="other segments, labels or folds"):
        onnx_file.of_run(trained, read_decision(trained), damaged)


def test_every_key_of_the_metadata_is_explained(exported):
    explained = (ROOT / "docs/onnx.md").read_text().split("## Metadata")[1].split("## Examples")[0]
    for keys in (about(exported), about(exported)["measured_on"], about(exported)["rule"]):
        assert [key for key in keys if f"`{key}`" not in explained] == []


def test_segments_of_the_training_are_no_unseen_ones(blended, simulated, tmp_path, capsys):
    shutil.copytree(simulated / "train", tmp_path / "data/train")
    shutil.copy(simulated / "train_data.csv", tmp_path / "data")
    out = tmp_path / "network.onnx"
    assert code_of("export_onnx", "--run", blended, "--out", out, "--evaluate-on", tmp_path / "data") == 1
    message = capsys.readouterr().err
    assert f"segments whose poses the run {blended.name} was trained on" in message and "--evaluate-on DIR" in message
    assert not out.exists()


def test_segments_are_unseen_by_the_run_of_compare_with_too(blended, trained, simulated, tmp_path):
    run = Path(shutil.copytree(trained, tmp_path / "exported"))
    table = (run / "segments.csv").read_text()
    (run / "segments.csv").write_text(re.sub("[0-9a-f]{64}", "0" * 64, table))  # as of other poses
    shutil.copytree(simulated / "train", tmp_path / "data/train")
    shutil.copy(simulated / "train_data.csv", tmp_path / "data")
    read_unseen(tmp_path / "data", [run])
    with pytest.raises(DataError, match=f"the run {blended.name} was trained on"):
        read_unseen(tmp_path / "data", [run, blended])


def test_a_file_that_differs_from_torch_is_not_written(exported, blended, tmp_path, monkeypatch):
    network = onnx_file.of_run(blended, read_decision(blended))
    shifted = network._replace(
        reference=lambda poses: (kept := network.reference(poses))._replace(logit=kept.logit + 0.002)
    )
    monkeypatch.setattr(onnx_graph, "onnx_bytes", lambda graph: exported.read_bytes())  # tracing takes seconds
    out = tmp_path / "network.onnx"
    with pytest.raises(
        TrainingError, match=r"was not written: .* differs from torch in logit by 0\.002 \(at most 0\.001\)"
    ):
        onnx_file.write(shifted, out)
    assert not list(tmp_path.iterdir())


def test_outputs_of_which_only_one_is_a_number_differ_beyond_every_limit():
    ones = np.ones((1, 2))
    same = onnx_file.Outputs(ones[0], ones[0], ones, ones)
    gap = same._replace(attention=np.array([[1.0, np.nan]]))
    assert onnx_file.differences(same, same) == dict.fromkeys(onnx_file.LARGEST, 0.0)
    assert onnx_file.differences(same, gap)["attention"] == np.inf
    with pytest.raises(TrainingError, match="attention"):
        onnx_file.check_differences(Path("a.onnx"), onnx_file.differences(same, gap))


def test_a_missing_package_and_a_file_of_another_kind_are_named_with_what_to_do(blended, tmp_path, monkeypatch, capsys):
    out = tmp_path / "notes.onnx"
    out.write_text("mine")
    assert code_of("export_onnx", "--run", blended, "--out", out) == 1
    assert "is not an ONNX file of this software; nothing was written" in capsys.readouterr().err
    assert out.read_text() == "mine"
    monkeypatch.setattr(onnx_file.importlib.util, "find_spec", lambda name: None if name == "onnxscript" else 1)
    assert code_of("export_onnx", "--run", blended, "--out", tmp_path / "a.onnx") == 2
    message = capsys.readouterr().err
    assert "needs onnxscript" in message and "pip install -r requirements-onnx.txt" in message


def test_a_run_whose_probability_no_file_can_hold_is_refused(trained, train_flags, tmp_path):
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    here("train_folds", *train_flags(run, "--decide-only", "--blend.averaging", "percentile"))
    with pytest.raises(DataError, match=r"averages percentile ranks .*decide again with log-odds: .*--decide-only"):
        onnx_file.of_run(run, read_decision(run))


@pytest.mark.parametrize("slope", [1.2, 0.0])
@pytest.mark.parametrize("averaging", ["probability", "logit"])
def test_a_calibration_of_the_network_alone_is_one_line_which_averages_of_probabilities_cut(trained, slope, averaging):
    decision = read_decision(trained)
    model = decision.models["stgcn_mil"].model_copy(update={"calibration": (0.7, -0.1)})
    changed = {"models": {"stgcn_mil": model}, "averaging": averaging, "fold_average_calibration": (slope, 0.4)}
    alone = decision.model_copy(update=changed)
    line = onnx_file.calibrated(trained, alone)
    logits = np.array([-90.0, -40.0, -3.0, 0.0, 2.0, 30.0, 80.0])
    rows = OofScores({"stgcn_mil": logits}, np.full(7, ""), np.ones(7, dtype=bool))
    ours = np.clip(line.slope * logits + line.offset, line.low, line.high)
    assert 1 / (1 + np.exp(-ours)) == pytest.approx(alone.parameters.of_fold_averages().probability(rows), rel=1e-5)
    assert line.no_pose_logit == decision.no_pose_logit


def test_the_benchmark_prints_milliseconds_ratios_and_sizes(exported, blended):
    flags = ["--run", blended, "--file", exported, "--segments", "4", "--repeats", "1"]
    command = [sys.executable, "benchmarks/onnx_file.py", *map(str, flags)]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    head, _, *rows, size, about_run = finished.stdout.splitlines()
    assert head.startswith(f"4 segments of {T} frames, 3 folds, one thread")
    assert [row[:22].strip() for row in rows] == ["torch, float32", "torch, bfloat16", "onnxruntime, float32"]
    assert all(float(row[22:36]) > 0 and float(row[36:]) > 0 for row in rows)
    assert size.startswith(f"file: {exported.stat().st_size:,} bytes, ") and "SIMULATED" in about_run


@pytest.mark.parametrize("frames", [1, 2, 31])
def test_a_file_is_compared_on_poses_with_gaps_of_any_length_of_segment(frames):
    made = onnx_file.checked_poses(frames)
    assert made.shape == (onnx_file.CHECKED, frames, 33, 5) and made.dtype == np.float32
    posed = np.isfinite(made[..., 0]).any(axis=(1, 2))
    assert posed.sum() >= onnx_file.CHECKED // 3 and not posed[-1] and np.isnan(made[posed]).any()
    assert np.array_equal(made, onnx_file.checked_poses(frames), equal_nan=True)
