"""Runs that read fewer landmarks, and what is written where new poses lack landmarks that the training had."""

import dataclasses
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from helpers.commands import CPU, T, code_of, here, without_progress
from helpers.data import FLOAT32
from helpers.tables import table
from spasm.core.errors import DataError
from spasm.data.findings import NEVER, NO_DEPTH, NO_POSE, Findings, clean
from spasm.data.landmark_sets import keep_landmarks
from spasm.data.landmarks import INDEX, LANDMARKS
from spasm.data.naming import child_of
from spasm.data.segments import read_pose
from spasm.explain.attributions import gather
from spasm.inference import sliding_window
from spasm.inference.ensemble_predictor import EnsemblePredictor, open_folds
from spasm.inference.missing_landmarks import describe_missing, fold_for_run, missing_landmarks, sentences_for_run
from spasm.inference.trained_run import Prediction, TrainedRun
from spasm.runs.artefacts import Decision, RunInfo, read_decision, read_run_info
from spasm.runs.folder import load_data

MODELS = ("lgbm", "stgcn_mil")


@pytest.fixture(scope="module")
def of_coco(train_flags, tmp_path_factory) -> Path:
    """A run of two models that reads 17 landmarks; tests must not change it."""
    run = tmp_path_factory.mktemp("of_coco") / "run"
    here("train_folds", *train_flags(run, "--landmarks", "coco_17", models=MODELS))
    return run


@pytest.fixture(scope="module")
def paths(simulated) -> list[Path]:
    return sorted((simulated / "test").iterdir())


@pytest.fixture(scope="module")
def poses(paths) -> np.ndarray:
    return np.stack([read_pose(path, T) for path in paths])


@pytest.fixture(scope="module")
def of_33(of_coco, poses) -> Prediction:
    """The predictions of that run for segments with all landmarks."""
    return TrainedRun(of_coco, FLOAT32).predict(poses)


@pytest.fixture(scope="module")
def decision(trained) -> Decision:
    return read_decision(trained)


def recording(path: Path, poses: np.ndarray) -> Path:
    """The segments one after the other, as a recording."""
    np.save(path, poses.reshape(-1, *poses.shape[2:]))
    return path


def had(decision: Decision, *missing: str, fraction: float = 0.0) -> Decision:
    """The same decision after a training in which these landmarks were found in this fraction of the frames."""
    return decision.model_copy(
        update={"landmark_fractions": decision.landmark_fractions | dict.fromkeys(missing, fraction)}
    )


# ---- a run that reads 17 landmarks


def test_a_run_reads_the_same_of_33_landmarks_and_of_17(of_coco, of_33, poses):
    run = TrainedRun(of_coco, FLOAT32)
    of_17 = run.predict(keep_landmarks(poses, "coco_17"))
    for name in MODELS:  # also one without weight in the blend
        trained = SimpleNamespace(
            seeds=[0], settings=json.loads((of_coco / name / "manifest.json").read_text())["settings"]
        )
        folds = open_folds(of_coco, name, trained, "coco_17", range(3), FLOAT32)
        rows = np.flatnonzero(np.isfinite(keep_landmarks(poses, "coco_17")[..., 0]).any((1, 2)))
        both = [folds.predict(given, rows).logits for given in (poses, keep_landmarks(poses, "coco_17"))]
        np.testing.assert_array_equal(*both, name)
    for name in {field.name for field in dataclasses.fields(of_33)} - {"findings"}:
        np.testing.assert_equal(getattr(of_33, name), getattr(of_17, name), name)
    assert of_33.seen_fraction.max() > 0.9, "also with 17 landmarks"


def test_files_recordings_and_live_poses_give_the_same_too(of_coco, of_33, paths, poses, tmp_path):
    flat = keep_landmarks(poses, "coco_17")
    for path, pose in zip(paths, flat, strict=True):
        np.save(tmp_path / path.name, pose)
    run = TrainedRun(of_coco, FLOAT32)
    of_files = run.predict_files(
        [tmp_path / path.name for path in paths], tmp_path, [child_of(path.name) for path in paths]
    )
    assert np.array_equal(of_files.probability, of_33.probability)
    results = []
    with EnsemblePredictor(of_coco, run.decision, FLOAT32, 1) as predictor:
        for some in (poses[:4], flat[:4]):
            detector = sliding_window.OnlineDetector(predictor, 30, 0.2)
            detector.add(some.reshape(-1, 33, 5))
            path = recording(tmp_path / "child_0_1.npy", some)
            whole = sliding_window.predict_recording(path, 4 * T, 30, predictor, 0.2, lambda count: None)
            results += [detector.finish(), whole]
    for windows in results:
        np.testing.assert_equal(windows.probabilities, results[0].probabilities)
        np.testing.assert_equal(windows.curve, results[0].curve)
    assert np.nanmax(results[0].probabilities) > 0


def test_its_explanations_read_17_landmarks(of_coco, poses):
    flat = keep_landmarks(poses, "coco_17")
    evidence = gather(of_coco, read_decision(of_coco), np.concatenate([poses[:3], flat[:3]]), None, FLOAT32)
    np.testing.assert_allclose(evidence.attention[:3], evidence.attention[3:], rtol=1e-5)  # of one batch
    np.testing.assert_allclose(evidence.frame_logits[:3], evidence.frame_logits[3:], rtol=1e-5)
    assert any(evidence.reasons)
    assert str(evidence.reasons[:3]) == str(evidence.reasons[3:])  # some values are NaN


def test_the_run_stores_its_landmarks_and_opens_its_data_with_them(of_coco, trained, tmp_path, simulated):
    assert read_run_info(of_coco).data.landmarks == read_decision(of_coco).data.landmarks == "coco_17"
    assert read_run_info(trained).data.landmarks == "all"
    found = read_decision(of_coco).landmark_fractions
    assert {name for name in LANDMARKS if found[name] == 1} == {name for name in LANDMARKS if found[name]}
    assert sum(found.values()) == 17
    assert load_data(of_coco, simulated, tmp_path).landmarks == "coco_17"


def test_a_run_with_other_landmarks_refuses_to_resume_and_names_the_flag(of_coco, trained, train_flags, capsys):
    before = {path: path.read_bytes() for path in of_coco.rglob("*.json")}
    for run, more, hint in ((of_coco, (), "--landmarks coco_17"),
                            (of_coco, ("--landmarks", "body_25"), "--landmarks coco_17"),
                            (of_coco, ("--landmarks", "body_25", "--decide-only"), "--landmarks coco_17"),
                            (trained, ("--landmarks", "coco_17"), "--landmarks all")):  # fmt: skip
        assert code_of("train_folds", *train_flags(run, *more, models=("lgbm",))) == 1
        error = without_progress(capsys.readouterr().err)
        assert f"run.json: the run was made with {hint}, not " in error
        assert f"(give {hint}, or use another --run)" in error
    assert {path: path.read_bytes() for path in of_coco.rglob("*.json")} == before


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("run.json", lambda tree: tree["data"].update(landmarks="coco_18"), "data.landmarks"),
        ("decision.json", lambda tree: tree["landmark_fractions"].update(nose=1.5), "landmark_fractions.nose"),
        ("decision.json", lambda tree: tree["landmark_fractions"].pop("nose"), "each landmark once"),
    ],
)
def test_another_set_or_fraction_in_a_run_is_refused(of_coco, tmp_path, name, change, message):
    run = Path(shutil.copytree(of_coco, tmp_path / "run"))
    tree = json.loads((run / name).read_text())
    change(tree)
    (run / name).write_text(json.dumps(tree))
    with pytest.raises(DataError, match=message):
        RunInfo.read(run / name, "") if name == "run.json" else read_decision(run)


# ---- notes of a run that reads all landmarks


def found_in(poses: np.ndarray) -> list[Findings]:
    return [clean(pose)[1] for pose in poses]


def test_segments_without_landmarks_that_the_training_had_get_a_note(trained, poses):
    run, count = TrainedRun(trained, FLOAT32), len(poses)
    both = run.predict(np.concatenate([poses, keep_landmarks(poses, "coco_17")]))
    assert not any("missing" in note for note in both.note[:count])
    given, posed = both.probability[count:], both.has_pose[:count]
    assert not np.isclose(given, both.probability[:count])[posed].any(), "which is what the note is for"
    note = "16 landmarks that the training had are missing: left_eye_inner, left_eye_outer, right_eye_inner, ..."
    assert [note in text for text in both.note[count:]] == posed.tolist()
    assert ["no depth" in text for text in both.note[count:]] == posed.tolist()
    [line, depth] = run.findings(list(map(str, range(2 * count))), both)
    some = f"{posed.sum()} of {2 * count} segments"
    assert depth.startswith(f"{some}: frames without depth, which {trained} was trained with (z counts as 0; ")
    assert depth.endswith("; use a run that was trained with --landmarks coco_17)")
    assert line.startswith(f"{posed.sum()} of {2 * count} segments: 16 of the 33 landmarks that {trained} was trained")
    assert line.endswith("; use a run that was trained with --landmarks coco_17)")


def test_the_commands_print_it_once(trained, poses, paths, tmp_path, capsys):
    (tmp_path / "test").mkdir()
    for path, pose in zip(paths, keep_landmarks(poses, "coco_17"), strict=True):
        np.save(tmp_path / "test" / path.name, pose)
    here("submission", "--run", trained, "--test", tmp_path / "test", "--out", tmp_path / "out.csv", *CPU)
    warnings = capsys.readouterr().err
    assert warnings.count("16 of the 33 landmarks") == 1 and "never found" not in warnings
    notes = [row["note"] for row in table(tmp_path / "out_probabilities.csv")]
    assert sum("16 landmarks that the training had are missing" in note for note in notes) > 5
    videos = [recording(tmp_path / f"child_1_{number}.npy", keep_landmarks(poses, "coco_17")) for number in range(2)]
    here("timeline", *videos, "--run", trained, "--out", tmp_path / "timeline", *CPU)
    warnings = capsys.readouterr().err
    assert warnings.count("all 2 recordings: 16 of the 33 landmarks") == 1 and "never found" not in warnings


def test_a_training_without_these_landmarks_gives_no_note(decision, poses):
    lacking = [name for name in LANDMARKS if name.endswith(("pinky", "thumb", "heel"))]
    poses = poses.copy()
    poses[:, :, [INDEX[name] for name in lacking]] = np.nan
    [findings, *_] = [one for one in found_in(poses) if one.posed]
    assert missing_landmarks(findings, decision) == tuple(lacking)
    for other in (had(decision, *lacking), had(decision, *lacking, fraction=0.7)):
        assert missing_landmarks(findings, other) == ()
        assert sentences_for_run(findings, other) == {}
        assert fold_for_run(["a"], [findings], Path("run"), other) == []
    assert missing_landmarks(findings, had(decision, *lacking, fraction=0.95)) == tuple(lacking)


def test_a_training_without_depth_gives_no_note_on_depth(decision, poses):
    poses = poses.copy()
    poses[..., 2] = np.where(np.isfinite(poses[..., 0]), 0, np.nan)
    [findings, *_] = [one for one in found_in(poses) if one.posed]
    assert decision.depth_fraction == 1
    assert list(sentences_for_run(findings, decision)) == [NO_DEPTH]
    [line] = fold_for_run(["a", "b"], [findings] * 2, Path("run"), decision)
    assert line.startswith("all 2 segments: frames without depth, which run was trained with (")
    assert line.endswith("--landmarks body_25)"), "the largest set without depth"
    without = decision.model_copy(update={"depth_fraction": 0.0})
    assert sentences_for_run(findings, without) == {}
    assert fold_for_run(["a", "b"], [findings] * 2, Path("run"), without) == []


def test_a_run_of_17_landmarks_notes_only_what_it_reads(of_coco, poses, tmp_path, simulated):
    decision = read_decision(of_coco)
    flat = keep_landmarks(poses, "coco_17")
    assert all(set(sentences_for_run(one, decision)) <= {NO_POSE} for one in found_in(flat))
    flat[:, :, INDEX["left_knee"]] = np.nan
    assert any("missing: left_knee" in sentences_for_run(one, decision).get(NEVER, "") for one in found_in(flat))
    data = load_data(of_coco, simulated, tmp_path)
    assert not any("never found" in line or "no depth" in line for line in data.findings)


def test_a_segment_without_any_pose_lacks_no_landmark(decision, poses):
    [findings, *_] = found_in(np.full_like(poses[:1], np.nan))
    assert missing_landmarks(findings, decision) == ()
    assert list(sentences_for_run(findings, decision)) == [NO_POSE]


def line_without(decision: Decision, *names: str, segments: int = 3) -> str:
    """What is written where each of some segments lacks these landmarks."""
    return describe_missing([names] * segments, "segments", Path("output/main"), decision)


def test_the_line_names_a_set_only_if_it_fits(decision):
    hands = [name for name in LANDMARKS if name.endswith(("pinky", "thumb", "index")) and "foot" not in name]
    assert "--landmarks body_25)" in line_without(decision, *hands)
    assert "--landmarks coco_17)" in line_without(decision, *hands, "left_heel")
    legs = [name for name in LANDMARKS if name.endswith(("knee", "ankle", "heel", "foot_index"))]
    line = line_without(decision, *legs)
    assert line.startswith("all 3 segments: 8 of the 33 landmarks that output/main was trained with are missing: left_")
    assert "--landmarks" not in line and "use poses that have them" in line
    assert line_without(decision) == ""
    assert line_without(decision, "nose", segments=1).startswith("1 of 1 segments: 1 of the 33")
    few = describe_missing([(), ("nose",), ("left_ear",)], "recordings", Path("output/main"), decision)
    assert few.startswith("2 of 3 recordings: 2 of the 33 landmarks")
