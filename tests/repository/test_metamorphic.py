"""Changes that must not change a prediction, or only slightly: the whole path, by the real command.

Amounts are those of this small run with a margin; probabilities of ten test segments and more.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from helpers.commands import CPU, T, here
from helpers.repository import ROOT
from spasm.core.tables import read_table
from spasm.data.landmarks import LEFT_HIP, MIRROR, RIGHT_HIP
from spasm.data.pose import visible_mask
from spasm.data.segments import read_pose
from spasm.inference import prediction_tasks

Change = Callable[[np.ndarray], np.ndarray]


@pytest.fixture(scope="module")
def segments(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All 50 simulated segments in one folder."""
    folder = tmp_path_factory.mktemp("segments") / "test"
    shutil.copytree(simulated / "test", folder)
    for path in (simulated / "train").iterdir():
        shutil.copy2(path, folder / path.name)
    return folder


def predicted(run: Path, test: Path, out: Path) -> dict[str, tuple[float, str]]:
    """Probability and label of every segment, by the real command."""
    here("submission", "--test", test, "--run", run, "--out", out, *CPU)
    rows = read_table(out.with_name(f"{out.stem}_probabilities.csv"), ("segment_name", "probability", "label"))
    return {row["segment_name"]: (float(row["probability"]), row["label"]) for row in rows}


@pytest.fixture(scope="module")
def as_it_is(blended: Path, segments: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[float, str]]:
    return predicted(blended, segments, tmp_path_factory.mktemp("plain") / "submission.csv")


def changed(segments: Path, folder: Path, change: Change) -> Path:
    """A copy of the segments, each changed."""
    folder.mkdir()
    for path in sorted(segments.iterdir()):
        np.save(folder / path.name, change(read_pose(path, T)).astype(np.float32))
    return folder


def moved(run: Path, segments: Path, tmp_path: Path, plain: dict[str, tuple[float, str]], change: Change) -> np.ndarray:
    """How far each probability moved; the labels that changed count among the last values: (largest, mean, share)."""
    other = predicted(run, changed(segments, tmp_path / "test", change), tmp_path / "submission.csv")
    assert other.keys() == plain.keys()
    apart = np.array([abs(other[name][0] - plain[name][0]) for name in plain])
    share = np.mean([other[name][1] != plain[name][1] for name in plain])
    return np.array([apart.max(), apart.mean(), share])


def test_a_camera_that_points_elsewhere_changes_no_label(blended, segments, as_it_is, tmp_path):
    shift = np.array([0.15, -0.1, 0.05, 0, 0], dtype=np.float32)
    largest, _, share = moved(blended, segments, tmp_path, as_it_is, lambda pose: pose + shift)
    assert share <= 0.02
    assert largest < 0.02  # by rounding, a feature can pass a tree's threshold


def test_the_mirrored_child_gets_nearly_the_same_probability(blended, segments, as_it_is, tmp_path):
    def mirrored(pose: np.ndarray) -> np.ndarray:
        turned = pose[:, list(MIRROR)].copy()
        turned[..., 0] = 1 - turned[..., 0]
        return turned

    largest, mean, share = moved(blended, segments, tmp_path, as_it_is, mirrored)
    assert largest < 0.02
    assert mean < 0.005
    assert share <= 0.02


def test_a_child_farther_from_the_camera_gets_nearly_the_same_probability(blended, segments, as_it_is, tmp_path):
    def smaller(pose: np.ndarray) -> np.ndarray:
        there = visible_mask(pose)
        if not there[:, [LEFT_HIP, RIGHT_HIP]].any():
            return pose
        centre = np.nanmedian(pose[:, [LEFT_HIP, RIGHT_HIP], :3], axis=(0, 1))
        far = pose.copy()
        far[..., :3] = centre + 0.8 * (pose[..., :3] - centre)
        return far

    largest, mean, share = moved(blended, segments, tmp_path, as_it_is, smaller)
    assert largest < 0.02
    assert mean < 0.005
    assert share <= 0.02


def test_every_sixth_frame_doubled_as_a_slower_camera_does_changes_little(blended, segments, as_it_is, tmp_path):
    def doubled(pose: np.ndarray) -> np.ndarray:
        slower = pose.copy()
        slower[5::6] = pose[4::6]
        return slower

    largest, mean, share = moved(blended, segments, tmp_path, as_it_is, doubled)
    assert largest < 0.25  # the velocity of few frames sees a doubled one
    assert mean < 0.04
    assert share <= 0.12


def test_the_order_of_files_and_the_size_of_batches_change_nothing(blended, segments, as_it_is, tmp_path, monkeypatch):
    (tmp_path / "test").mkdir()
    for path in sorted(segments.iterdir(), reverse=True):
        shutil.copyfile(path, tmp_path / "test" / path.name)
    monkeypatch.setattr(prediction_tasks, "BATCH", 7)
    other = predicted(blended, tmp_path / "test", tmp_path / "submission.csv")
    assert list(other) == list(as_it_is)
    assert [label for _, label in other.values()] == [label for _, label in as_it_is.values()]
    assert [p for p, _ in other.values()] == pytest.approx([p for p, _ in as_it_is.values()], abs=1e-6)


def test_children_and_segments_under_other_names_get_the_same_predictions(blended, segments, as_it_is, tmp_path):
    (tmp_path / "test").mkdir()
    new = {
        path.name: f"child_{900 - number}_{number * 7}.npy" for number, path in enumerate(sorted(segments.iterdir()))
    }
    for name, other in new.items():
        shutil.copyfile(segments / name, tmp_path / "test" / other)
    renamed = predicted(blended, tmp_path / "test", tmp_path / "submission.csv")
    for name, other in new.items():
        assert renamed[other][1] == as_it_is[name][1]
        assert renamed[other][0] == pytest.approx(as_it_is[name][0], abs=1e-6)


def test_a_segment_gets_the_same_prediction_alone_and_among_others(blended, segments, as_it_is, tmp_path):
    name = sorted(as_it_is)[3]
    (tmp_path / "test").mkdir()
    shutil.copyfile(segments / name, tmp_path / "test" / name)
    alone = predicted(blended, tmp_path / "test", tmp_path / "submission.csv")
    assert alone[name][1] == as_it_is[name][1]
    assert alone[name][0] == pytest.approx(as_it_is[name][0], abs=1e-6)


# What torch, its two libraries, OpenBLAS and NumPy choose their instructions by.
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2", "OPENBLAS_CORETYPE": "Haswell"}
SSE = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "COMPATIBLE",
       "OPENBLAS_CORETYPE": "Nehalem", "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 X86_V3 X86_V4"}  # fmt: skip


@pytest.mark.skipif(platform.machine() != "x86_64", reason="instruction sets of another processor")
@pytest.mark.parametrize(("older", "most"), [(AVX2, 1e-5), (SSE, 0.01)], ids=["avx2", "sse"])
def test_an_older_processor_changes_probabilities_by_no_more_than_stated(
    blended, segments, tmp_path, as_it_is, older, most
):
    out = tmp_path / "submission.csv"
    flags = ["--test", str(segments), "--run", str(blended), "--out", str(out), "--device", "cpu"]
    command = [sys.executable, "submission.py", *flags, "--precision", "float32"]
    finished = subprocess.run(command, cwd=ROOT, env=os.environ | older, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    rows = read_table(out.with_name("submission_probabilities.csv"), ("segment_name", "probability", "label"))
    threshold = json.loads((blended / "decision.json").read_text())["threshold"]
    for row in rows:
        probability, label = as_it_is[row["segment_name"]]
        assert abs(float(row["probability"]) - probability) < most
        assert row["label"] == label or abs(probability - threshold) < most
