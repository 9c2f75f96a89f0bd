"""A run with a network that reads pictures predicts segments and recordings, and says what it lacks."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import spasm
from helpers.cluster import NO_ROOT, Processes, without
from helpers.commands import CPU, code_of, here
from helpers.data import FLOAT32, children, write
from helpers.pictures import some_pictures, write_pictures
from helpers.repository import ROOT
from helpers.tables import table
from helpers.video import MODEL, cv2, make_video
from spasm.cli.app import parse
from spasm.config.fields import SettingsError
from spasm.core.errors import DataError
from spasm.data.dataset import load_training
from spasm.data.naming import child_of
from spasm.data.pictures import LAYOUTS, MASK, UNKNOWN_MASK, Kind, mask_name, pictures_path
from spasm.evaluation.held_out import write_training_data
from spasm.inference import prediction_tasks
from spasm.inference.trained_run import TrainedRun
from spasm.runs.artefacts import read_decision
from timeline import Timeline, mask_for

__all__ = ["cv2", "make_video"]  # the fixtures

T, WHOLE = 30, 100  # frames of a segment and of a recording
KIND: Kind = "two_stream"
EMPTY = "child_21_1.npy"  # without a pose

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Training data, a run of rocket and the two-stream network, segments to predict and two recordings."""
    folder = tmp_path_factory.mktemp("with_pictures")
    poses, labels = children(6, 4, T)
    write(folder / "data", poses, labels, each=4)
    names = [f"child_{row // 4}_{row % 4}.npy" for row in range(len(poses))]
    write_pictures(folder / "data", names, labels, T, [KIND])
    sizes = ["--rocket.biases-per-kernel", 1, "--rocket.augmented-copies", 0, "--two-stream-pictures.epochs", 2,
             "--two-stream-pictures.width", 4, "--two-stream-pictures.side", 28]  # fmt: skip
    here("train_folds", "--data", folder / "data", "--run", folder / "run", "--cache", folder / "cache", "--frames", T,
         "--folds", 2, "--workers", 1, *CPU, "--models", "rocket", "two_stream_pictures", *sizes,
         "--blend.models", "rocket", "two_stream_pictures", "--no-report")  # fmt: skip
    new, truth = children(3, 4, T, seed=5)
    (folder / "new/test").mkdir(parents=True)
    for row, pose in enumerate(new):
        name = f"child_{20 + row // 4}_{row % 4}.npy"
        np.save(folder / "new/test" / name, np.full_like(pose, np.nan) if name == EMPTY else pose)
        if name != EMPTY:
            write_pictures(folder / "new", [name], truth[row : row + 1], T, [KIND], seed=10 + row)
    (folder / "new/recordings").mkdir()
    for number in (30, 31):
        recording = children(1, 1, WHOLE, seed=number)[0][0]
        np.save(folder / f"new/recordings/child_{number}_1.npy", recording)
        for part, first in enumerate((0, 30, 60, 70), 1):  # the last one ends with the recording
            made = some_pictures(KIND, WHOLE, 1.0, number)
            arrays = {name: made[name][first // 5 : first // 5 + 6] for name in LAYOUTS[KIND]}
            np.savez_compressed(folder / f"new/{KIND}/child_{number}_1{part:05}.npz", **arrays, mask=made[MASK])
    return folder


@pytest.fixture
def new(folder, tmp_path) -> Path:
    """A copy of what is to be predicted, to be changed."""
    return Path(shutil.copytree(folder / "new", tmp_path / "new"))


def submission(run: Path, new: Path, out: Path, *more: object) -> int:
    return code_of("submission", "--run", run, "--test", new / "test", "--out", out, *CPU, *more)


def probabilities(out: Path) -> dict[str, float]:
    rows = table(out.with_name(f"{out.stem}_probabilities.csv"))
    return {row["segment_name"]: float(row["probability"]) for row in rows}


def test_a_submission_depends_on_pictures_and_neither_on_batches_nor_on_processes(folder, new, tmp_path, monkeypatch):
    assert submission(folder / "run", new, tmp_path / "a.csv", "--report") == 0
    found = probabilities(tmp_path / "a.csv")
    assert len(found) == 12 and "<html" in (tmp_path / "a_report.html").read_text()
    paths = sorted((new / "test").iterdir())
    monkeypatch.setattr(prediction_tasks, "BATCH", 5)
    again = TrainedRun(folder / "run", FLOAT32, cores=1).predict_files(
        paths, new / "test", [child_of(path.name) for path in paths]
    )
    assert dict(zip([path.name for path in paths], again.probability, strict=True)) == pytest.approx(found, abs=1e-6)
    changed = [name for name in found if name != EMPTY][3]
    write_pictures(new, [changed], [1], T, [KIND], signal=3.0, seed=99)
    assert submission(folder / "run", new, tmp_path / "b.csv") == 0
    other = probabilities(tmp_path / "b.csv")
    assert [name for name in found if abs(found[name] - other[name]) > 1e-7] == [changed]


def test_all_missing_pictures_are_reported_before_anything_is_predicted(folder, new, tmp_path, monkeypatch, capsys):
    gone = [path for path in sorted((new / "test").iterdir()) if path.name != EMPTY][1:3]
    for path in gone:
        pictures_path(path, KIND).unlink()
    monkeypatch.setattr("spasm.inference.trained_run.EnsemblePredictor", None)  # nothing is opened
    monkeypatch.setattr(prediction_tasks, "BATCH", 1)
    assert submission(folder / "run", new, tmp_path / "c.csv") == 1
    printed = capsys.readouterr().err
    assert all(f"{path.stem}.npz: is not there" in printed for path in gone), printed
    assert "2 problems" in printed and f"extract_pose.py --pictures {KIND}" in printed and EMPTY[:-4] not in printed


def test_a_damaged_file_of_pictures_is_named(folder, new, tmp_path, capsys):
    path = pictures_path(sorted((new / "test").iterdir())[0], KIND)
    path.write_bytes(path.read_bytes()[:-40])
    assert submission(folder / "run", new, tmp_path / "d.csv") == 1
    printed = capsys.readouterr().err
    assert f"{path.name}: is no file of pictures" in printed and "Traceback" not in printed


def test_a_recording_is_predicted_once_and_again_where_its_pictures_change(folder, new, tmp_path, capsys):
    def timeline() -> list[str]:
        recordings = sorted((new / "recordings").iterdir())
        assert code_of("timeline", *recordings, "--run", folder / "run", "--out", tmp_path / "out", *CPU) == 0
        return [row["probability"] for row in table(tmp_path / "out/child_30_1/windows.csv")]

    first = timeline()
    kept = tmp_path / "out/child_30_1/windows.csv"
    before = kept.stat().st_mtime_ns
    assert len(first) == 4 and timeline() == first and kept.stat().st_mtime_ns == before
    arrays = some_pictures(KIND, T, 3.0, 77)
    np.savez_compressed(new / KIND / "child_30_100002.npz", **arrays)
    changed = timeline()
    assert changed[0] == first[0] and changed[1] != first[1]


def test_all_missing_pictures_of_recordings_are_reported_before_a_video_is_read(folder, new, tmp_path, capsys):
    (new / KIND / "child_30_100003.npz").unlink()
    for path in (new / KIND).glob("child_31_1*"):
        path.unlink()
    video = tmp_path / "video.mp4"
    video.write_bytes(bytes(64))  # is never read
    recordings = sorted((new / "recordings").iterdir())
    code = code_of("timeline", *recordings, video, "--run", folder / "run", "--out", tmp_path / "out", *CPU)
    printed = capsys.readouterr().err
    assert (
        code == 1 and "child_30_100003.npz: is not there" in printed and "child_31_100001.npz: is not there" in printed
    )


def test_what_has_no_pictures_is_refused_with_what_to_do(folder, tmp_path, capsys):
    run = folder / "run"
    assert code_of("timeline", "--camera", "0", "--run", run, "--out", tmp_path / "live") == 1
    printed = capsys.readouterr().err
    assert "reads pictures (two_stream)" in printed and "record a video and give it" in printed
    assert code_of("robustness", "--run", run, "--cache", folder / "cache") == 1
    assert "blend models that read poses" in capsys.readouterr().err
    poses = children(1, 4, T, seed=8)[0]
    with pytest.raises(DataError, match=r"is given poses alone.*predict files with submission\.py"):
        spasm.load(run).predict(poses)
    alone = spasm.load(run).predict(poses, models=["rocket"])
    assert len(alone) == 4 and list(alone.logits) == ["rocket"]
    assert code_of("export_onnx", "--run", run, "--out", tmp_path / "network.onnx") == 1
    assert "stgcn_mil" in capsys.readouterr().err and not (tmp_path / "network.onnx").exists()


def test_data_without_some_children_keeps_the_pictures_of_the_others(folder, tmp_path):
    data = load_training(folder / "data", T, "challenge", tmp_path / "cache")
    kept = np.array(data.children) != "2"
    write_training_data(data, data.labels, kept, tmp_path / "part")
    linked = {path.stem for path in (tmp_path / "part" / KIND).iterdir()}
    assert linked == {Path(name).stem for name in np.array(data.names)[kept]} and not (tmp_path / "part/vsvig").exists()
    assert json.loads((folder / "run/decision.json").read_text())["models"].keys() == {"rocket", "two_stream_pictures"}


def test_the_report_explains_the_training_segments_of_a_run_with_pictures(folder, capsys):
    assert code_of("report", "--run", folder / "run", "--cache", folder / "cache", *CPU) == 0, capsys.readouterr().err
    assert "two_stream_pictures" in (folder / "run/report.html").read_text()


def test_an_evaluation_needs_all_pictures_before_the_first_run_predicts(folder, tmp_path, monkeypatch, capsys):
    others = tmp_path / "others"
    poses, labels = children(6, 3, T, seed=9)
    names = [f"child_{50 + row // 3}_{row % 3}.npy" for row in range(len(poses))]
    (others / "train").mkdir(parents=True)
    for name, pose in zip(names, poses, strict=True):
        np.save(others / "train" / name, pose)
    with open(others / "train_data.csv", "w", newline="") as file:
        csv.writer(file).writerows([("segment_name", "label"), *zip(names, labels, strict=True)])
    write_pictures(others, names[1:], labels[1:], T, [KIND], seed=4)
    shutil.copytree(folder / "new/recordings", others / "recordings")
    (others / "events.csv").write_text("recording,onset_s,offset_s\n")
    flags = ["--data", others, "--run", folder / "run", "--out", tmp_path / "out", "--cache", tmp_path / "cache", *CPU]
    with monkeypatch.context() as patched:
        patched.setattr("evaluate.predict", None)
        assert code_of("evaluate", *flags) == 1
    printed = capsys.readouterr().err
    assert f"{names[0][:-4]}.npz: is not there" in printed and "1 problem in" in printed  # recordings are of too few
    write_pictures(others, names[:1], labels[:1], T, [KIND])
    assert code_of("evaluate", *flags, "--report") == 0
    assert len(table(tmp_path / "out/inside/predictions.csv")) == len(names)


def test_a_video_is_extracted_with_the_pictures_that_the_run_reads(folder, make_video, tmp_path):
    video = make_video("child.mp4", seconds=2.5)
    flags = [video, "--run", folder / "run", "--out", tmp_path / "out", "--model", MODEL, "--max-people", 1, *CPU]
    assert code_of("timeline", *flags) == 0
    videos = tmp_path / "out/videos"
    (recording,) = (videos / "recordings").glob("*.npy")
    assert json.loads(recording.with_suffix(".json").read_text())["mask"] == "pose"
    assert {path.parent.name for path in videos.rglob(f"{recording.stem}00001.npz")} == {KIND}
    assert all(0 <= float(row["probability"]) <= 1 for row in table(tmp_path / "out" / recording.stem / "windows.csv"))


def test_pictures_cut_out_with_another_mask_are_refused_before_anything_is_predicted(
    folder, new, tmp_path, monkeypatch, capsys
):
    written = sorted((new / KIND).iterdir())
    with np.load(written[1]) as arrays:
        np.savez_compressed(written[1], **{**arrays, MASK: np.array("mediapipe")})
    monkeypatch.setattr("spasm.inference.trained_run.EnsemblePredictor", None)  # nothing is opened
    assert submission(folder / "run", new, tmp_path / "refused.csv") == 1
    printed = capsys.readouterr().err
    reason = "was cut out with the mask 'mediapipe', and those of training with pose"
    assert f"{written[1].name}: {reason} (extract it with --mask pose" in printed and "1 problem" in printed, printed
    of_recording = new / KIND / "child_30_100002.npz"
    with np.load(of_recording) as arrays:
        np.savez_compressed(of_recording, **{**arrays, MASK: np.array("f" * 64)})
    video = tmp_path / "video.mp4"
    video.write_bytes(bytes(64))  # is never read
    recordings = sorted((new / "recordings").iterdir())
    assert code_of("timeline", *recordings, video, "--run", folder / "run", "--out", tmp_path / "out", *CPU) == 1
    assert f"{of_recording.name}: was cut out with the mask 'fff" in capsys.readouterr().err


def test_pictures_of_several_masks_are_not_trained_on(folder, tmp_path, capsys):
    data = Path(shutil.copytree(folder / "data", tmp_path / "data"))
    names = sorted(path.name for path in (data / "train").iterdir())
    write_pictures(data, names[:3], [0, 1, 0], T, [KIND], mask="mediapipe")
    flags = ["--data", data, "--run", tmp_path / "run", "--cache", tmp_path / "cache", "--frames", T, "--folds", 2,
             *CPU, "--models", "two_stream_pictures", "--workers", 1, "--no-report"]  # fmt: skip
    assert code_of("train_folds", *flags) == 1
    printed = capsys.readouterr().err
    assert f"has pictures of different masks: 'pose' ({len(names) - 3}, such as" in printed, printed
    assert "'mediapipe' (3, such as child_0_2" in printed and "extract them all with the same --mask" in printed


def test_a_file_of_pictures_that_names_no_mask_is_refused(new, tmp_path, folder, capsys):
    path = sorted((new / KIND).iterdir())[0]
    with np.load(path) as arrays:
        np.savez_compressed(path, **{name: arrays[name] for name in LAYOUTS[KIND]})
    assert submission(folder / "run", new, tmp_path / "refused.csv") == 1
    assert f"{path.name}: does not say what cut out the child" in capsys.readouterr().err


def test_the_mask_of_videos_is_that_of_training(folder, tmp_path):
    run, model, other = folder / "run", tmp_path / "model.onnx", tmp_path / "other.onnx"
    model.write_bytes(b"a model")
    other.write_bytes(b"another")
    assert read_decision(run).models["two_stream_pictures"].mask == "pose"

    def mask_of(trained: str | None, *words: object) -> str:
        decision = read_decision(run)
        models = decision.models["two_stream_pictures"].model_copy(update={"mask": trained})
        decision = decision.model_copy(update={"models": {"two_stream_pictures": models}})
        return mask_for(parse(Timeline, list(map(str, [*(words or ["video.mp4"]), "--run", run]))), decision)

    assert mask_of("pose") == "pose" and mask_of("mediapipe") == "mediapipe"
    assert mask_of("mediapipe", "video.mp4", "--mask", "mediapipe") == "mediapipe"
    assert mask_of(mask_name(str(model)), "video.mp4", "--mask", model) == str(model)
    mask_of(UNKNOWN_MASK, "child_1_1.npy")  # whose pictures are there
    mask_of(UNKNOWN_MASK, folder / "new/recordings")
    with pytest.raises(SettingsError, match="was trained with the mask pose, not mediapipe; leave --mask out"):
        mask_of("pose", "video.mp4", "--mask", "mediapipe")
    for flags, found in (([], "none is given"), (["--mask", other], "other.onnx is another model")):
        with pytest.raises(SettingsError, match=f"--mask FILE.onnx .*{mask_name(str(model))}.*{found}"):
            mask_of(mask_name(str(model)), "video.mp4", *flags)
    with pytest.raises(SettingsError, match="pictures of another tool"):
        mask_of(UNKNOWN_MASK)
    with pytest.raises(SettingsError, match="no video is given; leave it out"):
        mask_of("pose", "child_1_1.npy", "--mask", "pose")


@pytest.mark.parametrize("is_shared", [True, False])
def test_workers_of_a_cluster_read_pictures_or_get_those_of_segments(
    folder, new, tmp_path, tmp_path_factory, is_shared
):
    pytest.importorskip("distributed", exc_type=ImportError)
    hidden = [] if is_shared else [folder, tmp_path]
    if hidden and subprocess.run([*without([tmp_path]), "true"], capture_output=True).returncode:
        pytest.skip(NO_ROOT)
    recordings = sorted((new / "recordings").iterdir())
    assert submission(folder / "run", new, tmp_path / "alone.csv") == 0
    with Processes(tmp_path_factory.mktemp("dask")) as dask:
        address = dask.scheduler()
        dask.worker(address, hidden=hidden)

        def on_cluster(script: str, *flags: object) -> "subprocess.CompletedProcess[str]":
            words = [sys.executable, script, *flags, "--run", folder / "run", *CPU, "--cluster", address]
            return subprocess.run(list(map(str, words)), cwd=ROOT, capture_output=True, text=True)

        finished = on_cluster("submission.py", "--test", new / "test", "--out", tmp_path / "cluster.csv")
        assert finished.returncode == 0, finished.stderr
        assert probabilities(tmp_path / "cluster.csv") == probabilities(tmp_path / "alone.csv")
        finished = on_cluster("src/timeline.py", *recordings, "--out", tmp_path / "cluster")
    if hidden:
        assert finished.returncode == 1
        assert "child_30_1.npy: has pictures (two_stream) that the workers do not see" in finished.stderr
        return
    assert finished.returncode == 0, finished.stderr
    assert code_of("timeline", *recordings, "--run", folder / "run", *CPU, "--out", tmp_path / "alone") == 0
    files = [f"{path.stem}/windows.csv" for path in recordings]
    assert all((tmp_path / "cluster" / one).read_bytes() == (tmp_path / "alone" / one).read_bytes() for one in files)
