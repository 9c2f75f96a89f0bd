"""A trained run as an object gives exactly what the submission of the same segments holds."""

import json
import shutil
import types
from pathlib import Path

import numpy as np
import pytest

import spasm
from helpers.commands import CPU, T, here
from helpers.data import FLOAT32
from helpers.tables import table
from spasm.config.ensemble import Blend
from spasm.config.fields import SettingsError
from spasm.config.runtime import Hardware
from spasm.core.errors import DataError
from spasm.data.naming import child_of
from spasm.data.segments import read_pose
from spasm.ensemble import label_shift
from spasm.ensemble.blending import BlendParameters
from spasm.ensemble.calibration import logit, probability
from spasm.ensemble.thresholds import expected_threshold
from spasm.inference.trained_run import Prediction, TrainedRun
from spasm.runs.oof_table import OofTable


@pytest.fixture(scope="module")
def paths(simulated) -> list[Path]:
    """More segments than are predicted at a time, of ten children; some have no pose."""
    return sorted([*(simulated / "train").iterdir(), *(simulated / "test").iterdir()], key=lambda path: path.name)


@pytest.fixture(scope="module")
def poses(paths) -> np.ndarray:
    return np.stack([read_pose(path, T) for path in paths])


@pytest.fixture(scope="module")
def with_context(blended, train_flags, tmp_path_factory) -> Path:
    """The same run, decided so that each segment is seen beside the child's others."""
    folder = tmp_path_factory.mktemp("context")
    run = Path(shutil.copytree(blended, folder / "run"))
    here("train_folds", "--run", run, "--cache", folder / "cache", "--decide-only", "--no-report",
         "--blend.child-context")  # fmt: skip
    assert json.loads((run / "decision.json").read_text())["child_context"] is not None
    return run


def submitted(run: Path, paths: list[Path], folder: Path) -> list[dict[str, str]]:
    """The probabilities that submission.py writes for some segments."""
    (folder / "test").mkdir()
    for path in paths:
        shutil.copy(path, folder / "test" / path.name)
    here("submission", "--run", run, "--test", folder / "test", "--out", folder / "submission.csv", *CPU)
    return table(folder / "submission_probabilities.csv")


def same(prediction: Prediction, rows: list[dict[str, str]]) -> None:
    assert [float(row["probability"]) for row in rows] == prediction.probability.tolist()
    assert [int(row["label"]) for row in rows] == prediction.label.tolist()
    assert [row["pose_fraction"] for row in rows] == [f"{value:.3f}" for value in prediction.pose_fraction]
    peaks = ["" if np.isnan(peak) else f"{peak:.2f}" for peak in prediction.peak_time_s]
    assert [row["peak_time_s"] for row in rows] == peaks
    assert [row["note"] for row in rows] == prediction.note


def test_a_run_predicts_what_its_submission_holds_with_children_and_without(blended, paths, poses, tmp_path):
    rows = submitted(blended, paths, tmp_path)
    run = TrainedRun(blended, FLOAT32)
    alone = run.predict(poses)
    same(alone, rows)
    same(run.predict(poses, [child_of(path.name) for path in paths]), rows)
    assert len(alone) == len(paths) == 50
    assert 0 < (~alone.has_pose).sum() < 10 and not alone.attention[~alone.has_pose].any()
    assert alone.attention[alone.has_pose].sum(axis=1) == pytest.approx(np.ones(alone.has_pose.sum()), abs=1e-5)
    assert sorted(alone.logits) == ["lgbm", "rocket", "stgcn_mil"]
    assert all(len(logits) == 50 for logits in alone.logits.values())


def test_children_count_where_the_run_was_decided_with_child_context(with_context, paths, poses, tmp_path):
    children = [child_of(path.name) for path in paths]
    run = TrainedRun(with_context, FLOAT32)
    together = run.predict(poses, children)
    same(together, submitted(with_context, paths, tmp_path))
    alone = run.predict(poses)
    assert not np.allclose(alone.probability, together.probability)
    each_its_own = run.predict(poses, [str(row) for row in range(len(poses))])
    assert np.array_equal(alone.probability, each_its_own.probability)


def test_some_models_predict_as_a_run_that_has_these_alone(blended, trained, poses):
    """`blended` is `trained` with two more models, so the network's own calibration and threshold are known."""
    run = TrainedRun(blended, FLOAT32)
    expected, alone = TrainedRun(trained, FLOAT32).predict(poses), run.predict(poses, models=["stgcn_mil"])
    assert alone.probability == pytest.approx(expected.probability, abs=1e-12)
    assert alone.threshold == pytest.approx(expected.threshold, abs=1e-12) != run.decision.threshold
    assert np.array_equal(alone.label, expected.label) and np.array_equal(alone.attention, expected.attention)
    assert list(alone.logits) == ["stgcn_mil"]
    blend = run.predict(poses)
    assert not np.allclose(alone.probability[alone.has_pose], blend.probability[blend.has_pose], atol=0.01)
    assert np.array_equal(run.predict(poses, models=["rocket", "lgbm", "stgcn_mil"]).probability, blend.probability)
    two = run.predict(poses[:8], models=["lgbm", "stgcn_mil"])
    assert set(two.logits) <= {"lgbm", "stgcn_mil"} and two.threshold not in (alone.threshold, blend.threshold)
    for models in ("stgcn_mil", (name for name in ["stgcn_mil"])):  # one name, and names that can be read once
        assert np.array_equal(run.predict(poses[:3], models=models).probability, alone.probability[:3])


def test_a_model_without_weight_in_the_decision_can_predict_alone_and_child_context_stays(with_context, blended, poses):
    """On so few segments, stacking leaves the network out of `with_context`."""
    run, models = TrainedRun(with_context, FLOAT32), ["stgcn_mil"]
    assert "stgcn_mil" not in run.decision.models
    apart = run.predict(poses, models=models)
    assert np.array_equal(apart.probability, TrainedRun(blended, FLOAT32).predict(poses, models=models).probability)
    together = run.predict(poses, ["one child"] * len(poses), models)
    assert not np.allclose(apart.probability, together.probability)


def test_a_precision_overrides_that_of_the_hardware(trained, poses):
    run = TrainedRun(trained, Hardware(device="cpu", precision="bfloat16"))
    exact = TrainedRun(trained, FLOAT32).predict(poses[:6]).logits["stgcn_mil"]
    assert np.array_equal(run.predict(poses[:6], precision="float32").logits["stgcn_mil"], exact)
    assert not np.array_equal(run.predict(poses[:6]).logits["stgcn_mil"], exact)
    with pytest.raises(SettingsError, match="--precision cannot be 'float64'"):
        run.predict(poses[:1], precision="float64")


def test_a_model_that_a_run_lacks_is_named_with_those_that_it_has(blended, with_context, poses, tmp_path):
    run = TrainedRun(blended, FLOAT32)
    with pytest.raises(DataError, match=r"has no complete model stam, x \(.*: lgbm, rocket, stgcn_mil\)"):
        run.predict(poses[:1], models=["stam", "lgbm", "x"])
    with pytest.raises(DataError, match=r"needs a model \(.*: lgbm, rocket, stgcn_mil\)"):
        run.predict(poses[:1], models=[])
    copy = Path(shutil.copytree(with_context, tmp_path / "run"))
    (copy / "stgcn_mil/seed_0/fold_1.safetensors").write_bytes(b"")
    with pytest.raises(DataError, match=r"fold_1\.safetensors: has changed"):
        TrainedRun(copy, FLOAT32).predict(poses[:1], models=["stgcn_mil"])
    rows = (copy / "oof.csv").read_text().splitlines()
    (copy / "oof.csv").write_text("\n".join(rows[:-1]) + "\n")
    with pytest.raises(DataError, match=r"oof\.csv: .*--decide-only"):
        TrainedRun(copy, FLOAT32).predict(poses[:1], models=["stgcn_mil"])


def test_it_is_opened_by_one_call_that_takes_text_and_paths(blended, poses):
    first, second = spasm.load(str(blended)), spasm.load(blended)
    assert first.frames == second.frames == T
    assert np.array_equal(first.predict(poses[:2]).label, second.predict(poses[:2]).label)
    assert len(first.predict(poses[:0])) == 0


def test_poses_of_another_shape_and_children_of_another_number_are_refused(trained, poses):
    run = spasm.load(trained)
    with pytest.raises(DataError, match=r"poses: have the shape \(60, 33, 5\), not \(N, 60, 33, 5\)"):
        run.predict(poses[0])
    with pytest.raises(DataError, match=r"poses: have the shape \(2, 30, 33, 5\)"):
        run.predict(poses[:2, :30])
    with pytest.raises(DataError, match="children: are 3, for 2 segments"):
        run.predict(poses[:2], ["a", "b", "c"])


def test_arrays_with_marks_and_impossible_values_are_predicted_as_if_these_were_nan(trained, poses):
    run = TrainedRun(trained, FLOAT32)
    posed = poses[np.isfinite(poses[:, :, :, 0]).all(axis=(1, 2))][:3]
    missing, marked = posed.copy(), posed.astype(np.float64)
    missing[:, 20:26], marked[:, 20:26] = np.nan, 0
    missing[:, 30:50, 15], marked[:, 30:50, 15] = np.nan, -1
    missing[1, 40, 16], marked[1, 40, 16, 0] = np.nan, 8e5
    missing[2, 41, 12], marked[2, 41, 12, 1] = np.nan, 1e300
    expected, prediction = run.predict(missing), run.predict(marked)
    assert np.array_equal(prediction.probability, expected.probability)
    assert np.array_equal(prediction.attention, expected.attention)
    assert not any(expected.note)
    assert prediction.note[0] == "218 marks for missing in 43 % of frames, first x = 0, y = 0"
    assert prediction.note[1].endswith("; 1 implausible value, first x of right_wrist in frame 40: 800000")
    assert [one.marks for one in prediction.findings] == [218] * 3


def test_arrays_in_pixels_and_of_no_numbers_are_refused(trained, poses):
    run = TrainedRun(trained, FLOAT32)
    pixels = poses[:4].copy()
    pixels[2, ..., :2] *= (640, 480)
    with pytest.raises(DataError, match=r"segment 2 of the poses: is in pixels .*x up to .*import_poses\.py"):
        run.predict(pixels)
    with pytest.raises(DataError, match="poses: hold <U"):
        run.predict(poses[:2].astype(str))


def test_a_folder_that_holds_no_decided_run_is_refused_when_it_is_opened(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where there is no other run to name
    with pytest.raises(DataError, match=r"holds no run \(train one: "):
        spasm.load(tmp_path)
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    (run / "stgcn_mil/seed_0/fold_1.safetensors").unlink()
    with pytest.raises(DataError, match=r"fold_1\.safetensors: is missing"):
        spasm.load(run)


# ---- another prevalence


def sampled(share: float, seed: int, children: int = 40) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Labels, probabilities calibrated for a prevalence of 0.25, and children, with this share of positives."""
    generator = np.random.default_rng(seed)
    labels = (np.arange(children * 15) < share * children * 15).astype(int)
    generator.shuffle(labels)
    scores = (2 * labels - 1) * 1.2 + generator.normal(size=len(labels))
    names = [str(child) for child in np.arange(children).repeat(15)]
    return labels, probability(2.4 * scores + logit(np.array(0.25))), names


@pytest.fixture
def choose(tmp_path):
    """Chooses a threshold again, for 600 made-up out-of-fold rows, of which a quarter is positive."""
    labels, probabilities, children = sampled(0.25, 0)
    OofTable(
        names=np.array([f"child_{row}.npy" for row in range(600)]),
        children=np.array(children),
        labels=labels,
        folds=np.zeros(600, int),
        logits={},
        probabilities=probabilities,
        positive=probabilities > 0.5,
        in_sample=probabilities,
    ).write(tmp_path / "oof.csv")

    def call(new: tuple[np.ndarray, list[str]], prevalence: float | None, decided_for: float | None = None):
        run = object.__new__(TrainedRun)
        blend = Blend(prevalence=decided_for)
        threshold = label_shift.threshold_at(labels, probabilities, decided_for or 0.25, "expected")
        run.path = tmp_path
        parameters = BlendParameters(
            "logit", {"model": 1.0}, {"model": (1.0, 0.0)}, {}, (1.0, 0.0), (3.0, 0.0), None, 0.5
        )
        run.decision = types.SimpleNamespace(
            threshold=threshold, prevalence=0.25, blend_settings=blend, parameters=parameters
        )
        # Compared with single folds, so by the first calibration and not by that of averages.
        new_rows = types.SimpleNamespace(logits={"model": logit(new[0])}, has_pose=np.ones(len(new[0]), dtype=bool))
        return run.threshold_for(new_rows, new[1], prevalence)

    return call


FIXED = expected_threshold(sampled(0.25, 0)[1])  # before anything is chosen again


def test_the_threshold_follows_a_prevalence_that_segments_clearly_show(choose):
    for share, direction in ((0.6, -1), (0.05, 1)):
        threshold, text = choose(sampled(share, 1)[1:], None)
        assert direction * (threshold - FIXED) > 0.02
        followed = float(text.split("chosen for the prevalence ")[1].split(";")[0])
        estimated = float(text.split("estimated prevalence ")[1].split()[0])
        assert estimated == pytest.approx(share, abs=0.08)
        assert min(share, 0.25) < followed < max(share, 0.25), "no further than the evidence goes"
        assert threshold == pytest.approx(choose(sampled(share, 1)[1:], followed)[0], abs=0.001)


def test_the_threshold_stands_where_the_training_prevalence_is_possible(choose):
    threshold, text = choose(sampled(0.25, 1)[1:], None)
    assert threshold == pytest.approx(FIXED)
    assert text.startswith("; the threshold is kept: estimated prevalence 0.2")
    assert "the training prevalence of 0.250 is possible" in text


def test_a_run_decided_for_one_prevalence_can_be_asked_for_another(choose):
    new = sampled(0.25, 1)[1:]
    for share in (0.1, 0.25, 0.5):
        assert choose(new, share, decided_for=0.1)[0] == choose(new, share)[0]


def test_a_threshold_of_other_rows_is_refused(choose, tmp_path):
    path = tmp_path / "oof.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(DataError, match=r"oof\.csv: is not the table that decision\.json .*--decide-only --run"):
        choose(sampled(0.25, 1)[1:], 0.5)
