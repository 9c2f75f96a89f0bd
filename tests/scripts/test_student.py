"""A network that learns from another run: train_folds.py --teacher."""

import csv
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from helpers.commands import code_of, here
from spasm.core.errors import DataError
from spasm.export import onnx_file
from spasm.runs.artefacts import Metrics, read_decision


@pytest.fixture(scope="module")
def student(blended, train_flags, tmp_path_factory):
    """A student of a blend, and the flags that trained it."""
    run = tmp_path_factory.mktemp("student") / "run"
    flags = [*without_folds(train_flags(run)), "--workers", "1"]
    here("train_folds", *flags, "--teacher", str(blended))
    return run, flags


@pytest.fixture
def refused(capsys):
    """Runs train_folds.py with flags that it must refuse; what it printed as an error."""

    def run(*flags: str) -> str:
        assert code_of("train_folds", *flags) in (1, 2)
        return capsys.readouterr().err

    return run


def moved(flags: list[str], run: Path) -> list[str]:
    """The flags for another run."""
    at = flags.index("--run")
    return [*flags[: at + 1], str(run), *flags[at + 2 :]]


def turn(path: Path, of_negatives: float, of_positives: float) -> None:
    """Replace the cross-fitted probabilities of a run's table by others for each label."""
    rows = list(csv.reader(path.open()))
    column = rows[0].index("probability")
    for row in rows[1:]:
        row[column] = str(of_positives if row[2] == "1" else of_negatives)
    path.write_text("".join(",".join(row) + "\n" for row in rows))


def without_folds(flags: list[str]) -> list[str]:
    """The flags without --folds, which the teacher decides."""
    at = flags.index("--folds")
    return [*flags[:at], *flags[at + 2 :]]


def test_a_student_has_the_folds_of_its_teacher_and_other_weights(student, blended, contents):
    run, _ = student
    assert (run / "folds.csv").read_bytes() == (blended / "folds.csv").read_bytes()
    own, taught = ((folder / "stgcn_mil/seed_0/fold_0.safetensors").read_bytes() for folder in (blended, run))
    assert own != taught
    assert json.loads((run / "stgcn_mil/manifest.json").read_text())["settings"]["optimization"]["loss"] == "soft"


def test_a_students_targets_are_halfway_between_the_labels_and_the_cross_fitted_probabilities(student, blended):
    rows = list(csv.DictReader((blended / "oof.csv").open()))
    targets = [(float(row["label"]) + float(row["probability"])) / 2 for row in rows]
    noted = json.loads((student[0] / "stgcn_mil/manifest.json").read_text())["environment"]["teacher_sha256"]
    assert noted == hashlib.sha256(np.array(targets, dtype=np.float32).tobytes()).hexdigest()


def test_an_exported_student_is_compared_with_its_teachers_blend(student, blended):
    run = student[0]
    found = onnx_file.of_run(run, read_decision(run), blended).about
    assert found["teacher"] == blended.name and "its teacher was trained on them" in found["measured_on"]["where"]
    own, of_teacher = (Metrics.read(folder / "metrics.json", "") for folder in (run, blended))
    for name in ("f1", "auc"):
        behind = own.each_model["stgcn_mil"][name].value - of_teacher.cross_fitted[name].value
        assert found["compared_with_blend"][name]["value"] == pytest.approx(behind)
    assert onnx_file.of_run(run, read_decision(run)).about["teacher"] is None


def test_a_student_is_not_compared_with_a_run_of_other_segments(student, blended, tmp_path):
    other = Path(shutil.copytree(blended, tmp_path / "other"))
    table = (other / "oof.csv").read_text()
    (other / "oof.csv").write_text(table.replace("child_1_1.npy", "child_1_9.npy"))
    with pytest.raises(DataError, match="other segments, labels or folds"):
        onnx_file.of_run(student[0], read_decision(student[0]), other)


def test_a_student_that_is_stopped_resumes_to_the_same_bytes(student, blended, tmp_path, contents):
    run, flags = student
    again = moved(flags, tmp_path / "run")
    here("train_folds", *again, "--teacher", str(blended), "--fold", "1")
    here("train_folds", *again, "--teacher", str(blended))
    assert contents(tmp_path / "run") == contents(run)


def test_a_teacher_that_has_changed_since_is_refused(student, blended, tmp_path, refused):
    run, flags = student
    copied = Path(shutil.copytree(run, tmp_path / "run"))
    other = Path(shutil.copytree(blended, tmp_path / "other"))
    turn(other / "oof.csv", 0.4, 0.6)
    assert "was begun with other targets" in refused(*moved(flags, copied), "--teacher", str(other))
    assert "was begun with a --teacher" in refused(*moved(flags, copied), "--folds-file", str(blended / "folds.csv"))


def test_a_teacher_with_other_labels_is_refused(blended, train_flags, tmp_path, refused):
    other = Path(shutil.copytree(blended, tmp_path / "other"))
    rows = list(csv.reader((other / "oof.csv").open()))
    rows[1][2] = str(1 - int(rows[1][2]))
    (other / "oof.csv").write_text("".join(",".join(row) + "\n" for row in rows))
    error = refused(*without_folds(train_flags(tmp_path / "run")), "--teacher", str(other))
    assert "holds other segments, labels or folds" in error and "as --teacher" in error


@pytest.mark.parametrize(
    ("more", "words"), [(["--models", "lgbm,stgcn_mil"], "not lgbm"), (["--folds", "4"], "folds of that run")]
)
def test_what_does_not_fit_a_teacher_is_refused_before_anything_is_read(blended, tmp_path, refused, more, words):
    flags = ["--data", str(tmp_path / "none"), "--run", str(tmp_path / "run"), "--teacher", str(blended)]
    assert words in refused(*flags, *(more if "--models" in more else ["--models", "stgcn_mil", *more]))
    assert not (tmp_path / "run").exists()
