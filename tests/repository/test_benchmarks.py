"""The benchmark's reference does the same work as what it is compared with, and the script runs."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import measuring, scale
from benchmarks.peers import MultiRocket, StgcnPlusPlus, subsets
from benchmarks.published import published
from benchmarks.random_convolutions import PerFold, sample_folds
from benchmarks.real_noise import FEWEST, gap_line, part_line, window_noise
from benchmarks.stgcn import PlainStgcnMil, plain_features, same_weights, sample_poses
from helpers.browser import needs_browser
from helpers.data import children, write
from helpers.poses import moving
from spasm.config.features import Features
from spasm.features.channels import build_features
from spasm.inference import sliding_window
from spasm.inference.event_detection import make_windows
from spasm.models.networks.layers import Folded
from spasm.models.rocket import RocketConfig
from spasm.models.rocket_folds import RocketPredictor
from spasm.models.stgcn_mil import StgcnMilConfig, StgcnMilModel

pytestmark = pytest.mark.command

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("frame", ["camera", "body"])
@pytest.mark.parametrize("frames", [40, 41])
def test_the_reference_builds_the_same_features(frame, frames):
    poses = sample_poses(3, frames)
    ours = build_features(torch.from_numpy(poses), Features(frame=frame)).numpy()
    plain = np.stack([plain_features(pose, frame) for pose in poses])
    assert np.abs(ours - plain).max() < (1e-6 if frame == "camera" else 1e-3)


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
    output, folded = output[0], folded[0]  # of STAM the logits, of VSViG the segment's logit
    assert wanted.std() > 1e-3
    torch.testing.assert_close(output, wanted, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(folded, wanted, rtol=1e-3, atol=1e-4)


def test_the_benchmark_of_published_networks_prints_a_ratio_for_each():
    command = [sys.executable, "benchmarks/published.py", "--threads", "1", "--repeats", "1"]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = finished.stdout.splitlines()[2:]
    assert [line[:14].strip() for line in lines] == [name for name in published() for _ in range(2)]
    assert all(float(cell) > 0 for line in lines for cell in line[14:61].split())


def test_the_transcription_of_stgcn_plus_plus_has_the_published_parameters_and_all_of_them_learn():
    network = StgcnPlusPlus()
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_401_949  # published: 1.4 million
    torch.manual_seed(0)
    logits = network(torch.randn(3, 40, 33, 3))
    assert logits.shape == (3,)
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert network.blocks[5].graph.graphs.grad.abs().sum() > 0


def test_the_three_graphs_of_stgcn_plus_plus_hold_each_edge_once_in_each_direction():
    itself, closer, further = subsets()
    assert np.array_equal(np.diag(itself) > 0, np.ones(33, bool))
    assert np.array_equal(closer > 0, (further > 0).T)
    held = (itself > 0).astype(int) + (closer > 0) + (further > 0)
    assert held.max() == 1
    assert held.sum() == 33 + 2 * 35  # MediaPipe's 35 connections


def test_the_transcription_of_multirocket_has_the_published_number_of_features_and_pools_as_described():
    rocket = MultiRocket(torch.randn(4, 6, 150, generator=torch.Generator().manual_seed(0)))
    features = rocket.transform(torch.randn(2, 6, 150))
    assert features.shape == (2, 49_728)
    assert torch.isfinite(features).all()
    outputs = torch.tensor([[-1.0, 2.0, 4.0, -3.0, 6.0], [-1.0, -1.0, -1.0, -1.0, -1.0]])
    fraction, mean, place, longest = rocket._pooled(outputs[None, None]).reshape(4, 2)
    assert fraction.tolist() == pytest.approx([0.6, 0])
    assert mean.tolist() == [4, 0]
    assert place.tolist() == pytest.approx([7 / 3, -1])
    assert longest.tolist() == [2, 0]


def test_a_kernel_of_multirocket_is_a_dilated_convolution_of_the_sum_of_its_channels():
    rocket = MultiRocket(torch.randn(2, 3, 60))
    values = torch.randn(1, 3, 60, generator=torch.Generator().manual_seed(0))
    channels = torch.ones(84, 3)
    weights = torch.full((84, 1, 9), -1.0)
    for kernel, high in enumerate(rocket.KERNELS):
        weights[kernel, 0, high] = 2
    wanted = torch.nn.functional.conv1d(values.sum(1, keepdim=True), weights, padding=12, dilation=3)
    assert torch.allclose(rocket._outputs(values, 3, channels), wanted, atol=1e-4)


def test_one_command_prints_the_parts_with_their_commands_and_the_machine(tmp_path):
    flags = ["--quick", "--only", "random_convolutions", "ridge", "peers", "--out", tmp_path / "out.json"]
    command = [sys.executable, "benchmarks/run_all.py", *map(str, flags)]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert finished.stdout.startswith("Measured on ") and torch.__version__ in finished.stdout
    written = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert list(written["parts"]) == ["random_convolutions", "ridge", "peers"]
    assert written["machine"]["cores"] >= 1 and written["machine"]["memory_gb"] > 0
    for part in written["parts"].values():
        assert f"`{part['command']}`" in finished.stdout
        for row in part["rows"]:
            assert row["ours"] > 0 and f"| {row['name']} |" in finished.stdout
    names = " ".join(row["name"] for row in written["parts"]["peers"]["rows"])
    assert "ST-GCN++" in names and "MultiRocket" in names


def test_one_command_leaves_out_what_needs_a_run_that_is_not_there(tmp_path):
    command = [sys.executable, "benchmarks/run_all.py", "--only", "recordings", "--run", str(tmp_path)]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 1
    assert "recordings needs a trained run" in finished.stderr and "--run" in finished.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_the_benchmark_of_commands_measures_each_with_its_workers(tmp_path):
    flags = [
        "--children",
        16,
        "--segments-per-child",
        2,
        "--frames",
        64,
        "--models",
        "lgbm",
        "--predicted",
        6,
        "--skip",
        "report",
    ]
    command = [sys.executable, "benchmarks/commands.py", *map(str, flags), "--out", str(tmp_path / "out.json")]
    subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    rows = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["rows"]
    value = {row["name"]: row["ours"] for row in rows}
    assert {"simulating 32 segments, wall", "training lgbm, 24 segments, memory", "predicting 6 segments, wall"} <= set(
        value
    )
    assert 30 < value["predicting 1 segments, memory"] < value["training lgbm, 24 segments, memory"] < 4000
    assert all(number > 0 for number in value.values())


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_the_benchmark_of_pictures_measures_painting_and_extraction(tmp_path):
    pytest.importorskip("cv2", exc_type=ImportError)
    flags = ["--children", "8", "--segments-per-child", "2", "--frames", "60", "--models"]  # none: they take a minute
    command = [sys.executable, "benchmarks/pictures.py", "--out", tmp_path / "out.json", *flags]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    rows = {row["name"]: row for row in json.loads((tmp_path / "out.json").read_text())["rows"]}
    stages = [name.removesuffix(", processor") for name in rows if name.endswith(", processor")]
    assert [stage.split()[0] for stage in stages] == ["painting", "extracting", "extracting"]
    assert all(rows[f"{stage}, processor"]["ours"] > 0 and rows[f"{stage}, memory"]["ours"] > 50 for stage in stages)
    painting = rows["painting videos, processor"]
    assert painting["ratio"] == pytest.approx(2 / painting["ours"])  # seconds of video


def test_the_cost_of_a_command_has_the_time_and_the_memory_of_its_children():
    code = (
        "import subprocess, sys, time; hold = 'x = bytearray(80_000_000); import time; sum(range(20_000_000)); "
        "time.sleep(1.2)'; [p.wait() for p in [subprocess.Popen([sys.executable, '-c', hold]) for _ in range(2)]]"
    )
    cost = measuring.cost_of([sys.executable, "-c", code])
    assert 160e6 < cost.peak_bytes < 400e6
    assert cost.processor_s > 0.2 and cost.wall_s > 1.2
    with pytest.raises(subprocess.CalledProcessError):
        measuring.cost_of([sys.executable, "-c", "raise SystemExit(3)"])


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_the_cost_of_a_segment_is_measured_for_sets_of_distinct_segments_and_kept(tmp_path):
    flags = ["--segments", "100", "150", "--steps", "check", "--frames", "60", "--out", str(tmp_path)]
    command = [sys.executable, "benchmarks/scale.py", *flags, "--keep"]
    first = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    digests = {path.read_bytes() for path in (tmp_path / "set_150/data/train").iterdir()}
    posed = {path for path in digests if np.isfinite(np.frombuffer(path[128:])).any()}
    assert len(list((tmp_path / "set_150/data/train").iterdir())) == 150
    assert len(posed) == len(digests) - (len(digests) > len(posed)), "segments with a pose differ from each other"
    written = json.loads((tmp_path / "scale.json").read_text(encoding="utf-8"))
    assert [row["segments"] for row in written["rows"]] == [100, 150]
    assert (tmp_path / "scale.png").read_bytes().startswith(b"\x89PNG")
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert again.splitlines()[1:] == first.splitlines()[1:], "what was measured is not measured again"


def test_a_million_segments_are_computed_from_the_slope_the_tasks_and_the_link():
    rows = [
        {"step": step, "segments": count, "processor_s": 100 + count / 100, "wall_s": 1.0, "peak_mb": 1.0}
        for step in ("check", "lgbm", "submission")
        for count in (1000, 10_000)
    ]
    flags = scale.Scale(workers=2, machines=50, link_mbit=800, start_s=5, task_overhead_s=2, task_segments=1000)
    assert scale.extrapolated([row for row in rows if row["step"] == "check"]) == pytest.approx(10_100)
    on_one, on_all = (
        [scale.on_machines(step, 10_000, sending_s, machines, flags) for step in ("check", "lgbm", "submission")]
        for sending_s, machines in ((0, 1), (100, 50))
    )
    assert on_one == pytest.approx([10_000, 5 + 3 * 2002, 5 + 500 * 12])
    assert on_all == pytest.approx([10_000, 5 + 2002 + 5 * 100, 5 + 10 * 12])
    lines = scale.million(rows, flags, 100_000)
    assert "COMPUTED" in lines[1] and "100 GB" in lines[1]
    assert "2.8 h" in lines[-3] and lines[-3].startswith("checking the files")


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


def trembling(kept: float, frames: int = 4000) -> np.ndarray:
    """A still pose (T, 33, 5), a trunk of 0.25: noise of 0.01 trunk lengths, z five times as much, common to arms."""
    rng = np.random.default_rng(0)
    fresh = rng.normal(size=(frames, 33, 3))
    fresh[:, 13::2] = fresh[:, 13:14]  # the left arm and leg move as one
    noise = fresh.copy()
    for frame in range(1, frames):
        noise[frame] = kept * noise[frame - 1] + np.sqrt(1 - kept * kept) * fresh[frame]
    pose = np.ones((frames, 33, 5))
    pose[..., :3] = 0.5
    pose[:, :, 0] += 0.01 * np.arange(33)  # landmarks in one place would be taken for missing ones
    pose[:, [11, 12, 23, 24], 0] = 0.5, 0.6, 0.5, 0.6
    pose[:, 23:25, 1] = 0.75
    pose[..., :3] += 0.25 * 0.01 * noise * (1, 1, 5)
    return pose


@pytest.mark.parametrize("kept", [0.0, 0.8])
def test_the_measured_noise_is_that_which_was_added(kept):
    picture, flat, deep, ratio, _, lag, lag_z, *_ = window_noise(trembling(kept), [15, 16], 1.0)
    expected = 0.6745 * np.sqrt(6 - 8 * kept + 2 * kept * kept) * 0.01
    assert flat == pytest.approx(expected, rel=0.05) and picture == pytest.approx(0.25 * expected, rel=0.05)
    assert deep == pytest.approx(5 * expected, rel=0.05) and ratio == pytest.approx(5, rel=0.05)
    assert lag == pytest.approx(-(1 - kept) / 2, abs=0.05) and lag_z == pytest.approx(-(1 - kept) / 2, abs=0.05)
    words = part_line(trembling(kept)[None])
    assert "left arm 1.00 (z 1.00)" in words and "right arm 0.0" in words.replace("-", "")


def test_windows_with_too_few_frames_count_as_gaps_and_not_as_noise():
    pose = trembling(0.5, 150)
    pose[FEWEST - 5 :] = np.nan
    assert window_noise(pose, [15, 16], 1.0) is None
    nothing = np.full((1, 150, 33, 5), np.nan)
    line = gap_line(np.concatenate([pose[None], nothing]))
    assert "0.500 of windows wholly" in line and f": {150 - FEWEST + 5}" in line


def test_the_noise_of_windows_is_printed_for_every_group(tmp_path):
    (tmp_path / "train").mkdir()
    for k in range(3):
        np.save(tmp_path / "train" / f"child_1_{k}.npy", trembling(0.5, 150))
    command = [sys.executable, "benchmarks/real_noise.py", "--data", tmp_path, "--by-child"]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    for words in ("face", "wrists", "feet", "noise common to a part", "gaps: 0.000", "child 1: 3 windows"):
        assert words in finished.stdout


def learning_curve(*flags: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "benchmarks/learning_curve.py", *map(str, flags)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_a_learning_curve_is_of_nested_subsets_of_children_and_of_fresh_ones(tmp_path):
    known, fresh = (write(tmp_path / name, *children(6, 8, 32, seed)) for seed, name in enumerate(("known", "fresh")))
    small = ["--frames", 32, "--models", "lgbm", "--lgbm.num-boost-round", 5, "--folds", 2, "--workers", 1]
    places = ["--out", tmp_path / "out", "--cache", tmp_path / "cache", "--data", known]
    finished = learning_curve(*places, "--fresh", fresh, "--children", 3, 6, 9, "--subsets", 2, *small)
    assert finished.returncode == 0, finished.stderr
    with open(tmp_path / "out/table.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["model"], row["children"], row["subsets"]) for row in rows] == [("lgbm", "3", "2"), ("lgbm", "6", "1")]
    first, last = (float(row["auc"]) for row in rows)
    assert float(rows[0]["auc_low"]) <= first <= float(rows[0]["auc_high"])
    assert float(rows[1]["auc_per_child"]) == pytest.approx((last - first) / 3, abs=1e-5)
    assert rows[0]["auc_per_child"] == ""

    def children_of(subset: str) -> set[str]:
        return {path.name.split("_")[1] for path in (tmp_path / "out" / subset / "data/train").iterdir()}

    assert children_of("3_0") < children_of("6_0") and children_of("3_0") != children_of("3_1")
    assert {len(children_of("3_0")), len(children_of("3_1"))} == {3}
    assert (tmp_path / "out/learning_curve.png").read_bytes().startswith(b"\x89PNG")
    refused = learning_curve(*places, "--fresh", known, *small)
    assert refused.returncode == 2 and "--fresh holds the same segments" in refused.stderr


@needs_browser
def test_the_benchmark_of_reviews_opens_a_long_page_and_reviews_every_event_by_key_strokes(tmp_path):
    frames = 1800
    curve = np.full(600, 0.1, np.float32)
    curve[[100, 300, 500]] = 0.99
    middles = (np.arange(0, frames - 150 + 1, 30) + 75) // 3
    probabilities = np.array([curve[middle - 5 : middle + 5].max() for middle in middles], dtype=float)
    windows = make_windows(
        frames, 150, 30, probabilities, np.full(56, 5.0), np.full(56, 5.0), np.stack([curve, 0 * curve])
    )
    for name in ("child_1_1", "child_2_1"):
        np.save(tmp_path / f"{name}.npy", moving(1, frames)[0])
        sliding_window.write(tmp_path / name, {"stride_s": 1.0}, windows)
    (tmp_path / "events.csv").write_text(
        "recording,onset_s,offset_s\nchild_1_1.npy,10,11\nchild_2_1.npy,30,31\n", encoding="utf-8"
    )
    recordings = [tmp_path / "child_1_1.npy", tmp_path / "child_2_1.npy"]
    flags = ["--timelines", tmp_path, "--events", tmp_path / "events.csv", "--hours", "0.1", "--openings", "2"]
    command = [sys.executable, "benchmarks/review_page.py", *map(str, [*recordings, *flags])]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    lines = finished.stdout.splitlines()
    assert lines[0].startswith("0.1 h, 18 events: ")
    assert all(re.match(r"opened in \d+\.\d\d s; JavaScript heap \d+ MB", line) for line in lines[1:3])
    assert lines[3].startswith("events from 0.98 on: 6 in 0.0 h, with 2 of 2 spasms and 120.0 false alarms an hour; ")
    # Twice two clips of 4 s and the events, one in five watched twice, a second for each decision, one onset adjusted.
    minutes = float(re.search(r"adjusted: ([\d.]+) min", lines[3])[1])
    assert 0.5 < minutes < 0.8
