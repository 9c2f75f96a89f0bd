"""compare.py and evaluate_label_shift.py on a run of the small data set: what they train, evaluate and write."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from helpers.data import children, write
from spasm.data.dataset import load_training
from spasm.ensemble import label_shift_evaluation
from spasm.evaluation import bootstrap, metrics
from spasm.models.registry import MODELS
from spasm.report import comparison
from spasm.report.comparison import Scores

ROOT = Path(__file__).parents[2]


def run(script: str, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, f"src/{script}", *flags], cwd=ROOT, capture_output=True, text=True)


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def run_of(out: Path) -> Path:
    """The only run of a comparison."""
    (path,) = out.glob("*/run")
    return path


@pytest.fixture(scope="module")
def flags(simulated, tmp_path_factory) -> list[str]:
    out = tmp_path_factory.mktemp("compare")
    return ["--data", str(simulated), "--frames", "60", "--folds", "3", "--out", str(out / "out"),
            "--cache", str(out / "cache"), "--models", "lgbm,rocket", "--seeds", "2", "--workers", "1"]  # fmt: skip


@pytest.fixture(scope="module")
def compared(flags) -> Path:
    """A finished comparison of two models with two seeds."""
    finished = run("compare.py", *flags)
    assert finished.returncode == 0, finished.stderr
    assert "SIMULATED" in finished.stdout
    return Path(flags[flags.index("--out") + 1])


def test_every_model_seed_and_blend_stands_in_the_table_with_its_metrics(compared):
    rows = table(compared / "table.csv")
    assert [(row["model"], row["seeds"]) for row in rows] == [
        ("lgbm", "2"),
        ("rocket", "2"),
        ("blend", "2"),
        ("blend of all 2 seeds", "1"),
    ]
    for row in rows:
        assert float(row["f1_low"]) <= float(row["f1"]) <= float(row["f1_high"])
        assert float(row["f1_lowest_seed"]) <= float(row["f1"]) <= float(row["f1_highest_seed"])
    for row in rows[:2]:
        assert float(row["processor_seconds"]) > 0
        assert float(row["latency_ms_batch1"]) > 0 and float(row["latency_ms_batch16"]) > 0
    for metric in comparison.DIFFERENCES:
        best = max(float(row[metric]) for row in rows[:3])
        for row in rows:
            difference = float(row[f"{metric}_minus_best"])
            assert difference == pytest.approx(float(row[metric]) - best, abs=2e-6)
            assert float(row[f"{metric}_minus_best_low"]) <= difference <= float(row[f"{metric}_minus_best_high"])
    text = (compared / "table.md").read_text()
    assert text.startswith("Only ") and "mean nothing" in text and "SIMULATED" in text
    assert (compared / "table.png").read_bytes().startswith(b"\x89PNG")


def test_the_last_row_is_the_run_that_a_submission_uses(compared):
    metrics_of_run = json.loads((run_of(compared) / "metrics.json").read_text())["cross_fitted"]
    row = table(compared / "table.csv")[-1]
    for name in comparison.SHOWN:
        assert float(row[name]) == pytest.approx(metrics_of_run[name]["value"], rel=1e-5)  # the table has six digits
        assert float(row[f"{name}_low"]) == pytest.approx(metrics_of_run[name]["low"], rel=1e-5)


def test_the_same_command_trains_nothing_again_and_writes_the_same(compared, flags):
    before = {
        path: path.read_bytes()
        for path in compared.rglob("*")
        if path.is_file() and path.suffix in (".csv", ".txt", ".md")
    }
    finished = run("compare.py", *flags)
    assert finished.returncode == 0, finished.stderr
    assert " s of processor time\n" not in finished.stdout
    assert {path: path.read_bytes() for path in before} == before


def test_an_unknown_model_is_wrong_usage(flags):
    finished = run("compare.py", *flags[: flags.index("--models")], "--models", "svm")
    assert finished.returncode == 2
    assert "svm" in finished.stderr and "rocket" in finished.stderr


def test_a_model_named_later_joins_the_table_and_leaves_the_others_as_they_are(compared, flags, tmp_path):
    copy = Path(shutil.copytree(compared, tmp_path / "out"))
    before = {path: path.read_bytes() for path in (run_of(copy) / "lgbm").rglob("*") if path.is_file()}
    words = dict(zip(flags[::2], flags[1::2], strict=True)) | {"--out": str(copy), "--models": "lgbm,two_stream"}
    small = ["--two-stream.width", "16", "--two-stream.epochs", "2", "--device", "cpu"]
    finished = run("compare.py", *(word for pair in words.items() for word in pair), "--seeds", "1", *small)
    assert finished.returncode == 0, finished.stderr
    rows = {row["model"]: row for row in table(copy / "table.csv")}
    assert list(rows) == ["lgbm", "two_stream"], "one default model alone is not blended"
    assert int(rows["two_stream"]["parameters"]) > 0 and float(rows["two_stream"]["gflop"]) > 0
    assert rows["lgbm"]["gflop"] == ""
    assert {path: path.read_bytes() for path in before} == before


def test_a_child_is_predicted_by_its_largest_segment_with_a_pose():
    child = np.array([0, 0, 1, 1, 2])
    values, has_pose = np.array([1.0, 3.0, -2.0, 9.0, 0.5]), np.array([True, True, True, False, False])
    assert comparison.largest(values, child, has_pose).tolist() == [3.0, -2.0, 0.5]


def test_the_cost_of_a_network_is_that_of_its_published_size():
    cost = MODELS["stam"].cost(MODELS["stam"].config(), 150)
    assert cost["parameters"] == 435_500
    assert cost["gflop"] == pytest.approx(1.367, rel=0.03)  # as measured on the published code


def test_how_far_a_model_is_behind_the_best_is_paired_over_children():
    generator = np.random.default_rng(0)
    labels, children = np.tile([0, 1], 60), np.repeat(np.arange(12).astype(str), 10)
    good, bad = (np.clip(labels + generator.normal(0, size, 120), 0, 1) for size in (0.3, 0.6))

    def scores(probabilities):
        point, replicates = metrics.cluster_bootstrap(labels, probabilities, probabilities > 0.5, children)
        return Scores(point, replicates, point["f1"], 12)

    row, best = comparison.table_rows({"other": [scores(bad)], "blend": [scores(good)]}, {})
    assert row["f1_minus_best"] == pytest.approx(scores(bad).point["f1"] - scores(good).point["f1"])
    assert best["f1_minus_best"] == best["f1_minus_best_low"] == best["f1_minus_best_high"] == 0
    differences = scores(bad).replicates["f1"] - scores(good).replicates["f1"]
    assert [row["f1_minus_best_low"], row["f1_minus_best_high"]] == pytest.approx(
        np.percentile(differences, bootstrap.tails(12))
    )


# ---- several data sets


@pytest.fixture(scope="module")
def both(flags, tmp_path_factory) -> tuple[Path, str]:
    """A comparison on two data sets of different lengths, and what it printed."""
    out = tmp_path_factory.mktemp("both")
    other = write(out / "jerks", *children(6, 8, 32))
    words = dict(zip(flags[::2], flags[1::2], strict=True)) | {"--out": str(out / "out"), "--seeds": "1"}
    more = ["--data", str(other), "--frames", "32", "--lgbm.num-boost-round", "5"]
    finished = run("compare.py", *(word for pair in words.items() for word in pair), *more)
    assert finished.returncode == 0, finished.stderr
    return out / "out", finished.stdout


def test_each_data_set_has_its_run_and_every_model_is_behind_the_best_of_each(both, flags):
    out, printed = both
    first = Path(flags[1]).name
    rows = table(out / "table.csv")
    names = ["lgbm", "rocket", "blend"]
    assert [(row["data"], row["model"]) for row in rows] == [
        (data, name) for data in (first, "jerks") for name in names
    ]
    assert (out / first / "run/run.json").exists() and (out / "jerks/run/run.json").exists()
    behind = {name: [float(row["f1_minus_best"]) for row in rows if row["model"] == name] for name in names}
    assert all(max(of_data) == 0 for of_data in zip(*behind.values(), strict=True))
    text = (out / "table.md").read_text()
    assert text in printed
    header = f"| model  | {first}: F1"
    (line,) = (line for line in text.splitlines() if line.startswith(header))
    assert "jerks: F1" in line and line.rstrip(" |").endswith("worst")
    (worst,) = (line for line in text.splitlines() if line.startswith("Worst over data sets, F1"))
    for name in names:
        assert f"{name} {min(behind[name]):+.3f} (" in worst
    assert f"Simulated: {first}." in text and f"# {first}" in text and "# jerks" in text
    assert (out / "table.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--data", "{first}"], "--data names"),
        (["--data", "other", "--frames", "60", "--frames", "60"], "--frames is given 3 times for 2 data sets"),
    ],
)
def test_a_data_set_given_twice_and_frames_that_fit_no_data_set_are_wrong_usage(flags, more, reason):
    finished = run("compare.py", *flags, *(word.format(first=flags[1]) for word in more))
    assert finished.returncode == 2
    assert reason in finished.stderr and "Traceback" not in finished.stderr


# ---- other prevalences


@pytest.mark.parametrize("share", label_shift_evaluation.PREVALENCES)
def test_thinning_leaves_the_share_asked_for_and_loses_of_one_class_only(share):
    labels, rows = np.repeat([0, 1], [300, 100]), np.tile([True, False], 200)
    kept = label_shift_evaluation.subsample_to_prevalence(labels, rows, share, np.random.default_rng(0))
    assert rows[kept].all() and len(set(kept)) == len(kept)
    assert labels[kept].mean() == pytest.approx(share, abs=0.01)
    assert (labels[kept] == 1).sum() == 50 or (labels[kept] == 0).sum() == 150


def test_halves_never_share_a_child_and_differ(simulated, tmp_path):
    data = load_training(simulated, 60, "challenge", tmp_path)
    child, seen = np.array(data.children), set()
    for _, known, new in label_shift_evaluation.random_halves(data.labels, data.children, 8, seed=0):
        assert (known ^ new).all()
        assert not set(child[known]) & set(child[new])
        assert abs(len(set(child[known])) - len(set(child[new]))) <= 1
        seen.add(known.tobytes())
    assert len(seen) > 3


def test_the_script_writes_a_row_for_every_share_and_split_and_says_simulated(compared, flags):
    cache = flags[flags.index("--cache") + 1]
    finished = run("evaluate_label_shift.py", "--run", str(run_of(compared)), "--cache", cache, "--splits", "6")
    assert finished.returncode == 0, finished.stderr
    assert "SIMULATED" in finished.stdout
    rows = table(run_of(compared) / "prevalence.csv")
    assert len(rows) % len(label_shift_evaluation.PREVALENCES) == 0 and rows
    assert all(row["f1_adapted"] == row["f1_fixed"] for row in rows if row["followed"] == "0")


@pytest.mark.parametrize(("by", "words"), [("cohort", "both labels"), ("nothing", "has no column 'nothing'")])
def test_groups_that_cannot_be_evaluated_are_refused_in_words(compared, flags, tmp_path, by, words):
    copy = Path(shutil.copytree(run_of(compared), tmp_path / "run"))
    cache = flags[flags.index("--cache") + 1]
    # Controls have no spasms, so neither cohort can stand for the other.
    finished = run("evaluate_label_shift.py", "--run", str(copy), "--cache", cache, "--group-column", by)
    assert finished.returncode == 1
    assert words in finished.stderr and "Traceback" not in finished.stderr
