"""evaluate.py: a finished run on labelled data of others; aggregates leave, and no child."""

import contextlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics

import evaluate
import train_folds
from helpers.browser import needs_browser
from helpers.data import children, write
from helpers.tables import table
from spasm.cli import app
from spasm.config.events import Accumulation, Hysteresis
from spasm.config.runtime import Hardware
from spasm.evaluation import bootstrap, drift
from spasm.inference import labelled_data, sliding_window, training_drift
from spasm.inference.event_detection import detect_events, spans
from spasm.inference.trained_run import TrainedRun
from spasm.runs.artefacts import Decision, read_decision

T = 32
COUNT, EACH = 14, 6  # children of the evaluation, and segments of each
RULE = Accumulation(sum_threshold=0.5)  # so that enough children have a detected event
FIRST_ID = 730_491  # so that an id is found wherever it stands
LGBM = ["--models", "lgbm", "--lgbm.num-boost-round", 15, "--lgbm.min-data-in-leaf", 3, "--folds", 3, "--workers", 1]


def labelled(folder: Path, seed: int = 5) -> Path:
    """Labelled segments of other children, with groups, kinds and segments without a pose."""
    poses, labels = children(COUNT, EACH, T, seed)
    poses[::17] = np.nan
    (folder / "train").mkdir(parents=True)
    rows = []
    for row, (pose, label) in enumerate(zip(poses, labels, strict=True)):
        name = f"child_{FIRST_ID + row // EACH}_{row % EACH}.npy"
        np.save(folder / "train" / name, pose)
        rows.append(f"{name},{label},{'flexor' if label else ('kick', 'cry')[row // 2 % 2]}\n")
    (folder / "train_data.csv").write_text("segment_name,label,kind\n" + "".join(rows))
    groups = [f"{FIRST_ID + child},{'ward' if child % 2 else 'home'},Rumpel{child}\n" for child in range(COUNT)]
    (folder / "groups.csv").write_text("child,place,nickname\n" + "".join(groups))
    return folder


def recorded(folder: Path) -> Path:
    """Recordings of 70 s of six other children, in each of which all limbs jerk twice."""
    (folder / "recordings").mkdir(parents=True, exist_ok=True)
    rows = []
    for child in range(6):
        poses = children(1, 1, 2100, 100 + child)[0][0]
        for onset in (300 + 60 * child, 1200):
            poses[onset : onset + 6, 13:23, 1] -= 0.15
            poses[onset : onset + 6, 25:33, 1] -= 0.1
            rows.append(f"child_{FIRST_ID + child}_1.npy,{onset / 30:.3f},{(onset + 6) / 30:.3f}\n")
        np.save(folder / f"recordings/child_{FIRST_ID + child}_1.npy", poses)
    (folder / "events.csv").write_text("recording,onset_s,offset_s\n" + "".join(rows))
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two runs trained on children 0 to 11, and a folder with segments and recordings of others."""
    folder = tmp_path_factory.mktemp("made")
    write(folder / "data", *children(12, 6, T), each=6)
    for seed in (0, 1):
        words = ["--data", folder / "data", "--frames", T, "--run", folder / f"run_{seed}", "--seed", seed, *LGBM]
        words += ["--no-report", "--cache", folder / "cache"]
        assert app.run(train_folds.main, train_folds.flags, "", list(map(str, words))) == 0
    recorded(labelled(folder / "Quellen"))
    return folder


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    """Fewer resamples and trees."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 60)
    monkeypatch.setattr(drift, "TREES", 5)


@pytest.fixture
def call(made, tmp_path, capsys):
    """Runs evaluate.py here; gives exit code, stdout, stderr."""

    def begin(*more: object, data: Path = made / "Quellen", runs: tuple[str, ...] = ("run_0",), out: str = "out"):
        words = ["--data", data, "--out", tmp_path / out, "--cache", made / "cache", *more]
        words += [word for run in runs for word in ("--run", made / run)]
        capsys.readouterr()
        code = app.run(evaluate.main, evaluate.Evaluate, evaluate.__doc__, list(map(str, words)))
        return code, *capsys.readouterr()

    return begin


@pytest.fixture
def without_predictions(monkeypatch):
    """Stops every evaluation when it would compute metrics, without predicting anything."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate, "predict", lambda *_: None)
    monkeypatch.setattr(evaluate.external_evaluation, "evaluate_runs", stop)


@pytest.fixture(scope="module")
def first(made, tmp_path_factory):
    """The first evaluation of both runs: its folder, and what it printed."""
    folder, text = tmp_path_factory.mktemp("first"), io.StringIO()
    words = ["--data", made / "Quellen", "--out", folder / "out", "--cache", made / "cache", "--report"]
    words += ["--run", made / "run_0", "--run", made / "run_1", "--lock", folder / "lock.jsonl"]
    words += ["--sum-threshold", RULE.sum_threshold]
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(text):
        patch.setattr(bootstrap, "RESAMPLES", 60)
        patch.setattr(drift, "TREES", 5)
        assert app.run(evaluate.main, evaluate.Evaluate, "", list(map(str, words))) == 0
    return folder, text.getvalue()


def result(folder: Path) -> dict:
    return json.loads((folder / "evaluation.json").read_text())


@pytest.fixture(scope="module")
def predicted(made):
    """Labels, probabilities and predicted labels of the segments by either run, computed without evaluate.py."""
    label_of = {row["segment_name"]: int(row["label"]) for row in table(made / "Quellen/train_data.csv")}
    paths = [made / "Quellen/train" / name for name in sorted(label_of)]
    names = [path.name.split("_")[1] for path in paths]
    labels = np.array([label_of[path.name] for path in paths])
    found = []
    for run in ("run_0", "run_1"):
        one = TrainedRun(made / run, Hardware(device="cpu"), 1).predict_files(paths, made / "Quellen", names)
        found.append((labels, one.probability, one.label))
    return found


def test_segments_are_evaluated_as_an_independent_computation_does(first, made, predicted):
    folder, text = first
    tree = result(folder / "out")
    for number, run in enumerate(tree["runs"]):
        labels, probabilities, called = predicted[number]
        found = {name: cell["value"] for name, cell in run["segments"]["metrics"].items()}
        expected = {
            "f1": metrics.f1_score(labels, called),
            "auc": metrics.roc_auc_score(labels, probabilities),
            "average_precision": metrics.average_precision_score(labels, probabilities),
            "specificity": metrics.recall_score(labels, called, pos_label=0),
            "brier": metrics.brier_score_loss(labels, probabilities),
        }
        assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-5)
        assert run["threshold"] == read_decision(made / f"run_{number}").threshold, "nothing is chosen on this data"
        result_of_run = run["segments"]
        assert set(result_of_run["subgroups"]["place"]["cells"]) == {"home", "ward"}
        assert result_of_run["subgroups"]["nickname"] == {"cells": {}, "hidden_cells": COUNT}
        flexor = result_of_run["kinds"]["with_a_spasm"]["cells"]["flexor"]["predicted_positive"]["value"]
        assert flexor == found["sensitivity"]
        assert result_of_run["drift"]["prevalence"] == {"training": 0.5, "here": 0.5}
        assert result_of_run["drift"]["classifier"]["value"] is not None and len(result_of_run["drift"]["quality"]) == 4
    assert "false alarms per hour of such segments" in text


def test_recordings_are_evaluated_as_a_count_by_hand_does(first, made):
    run = result(first[0] / "out")["runs"][0]
    kept = made / "cache/evaluation" / run["sha256"][:16]
    hits, events, false = 0, 0, 0
    true: dict[str, list[tuple[float, float]]] = {}
    for row in table(made / "Quellen/events.csv"):
        true.setdefault(row["recording"], []).append((float(row["onset_s"]), float(row["offset_s"])))
    for name, spasms in true.items():
        saved = json.loads((kept / name[:-4] / "manifest.json").read_text())
        windows = sliding_window.read(kept / name[:-4], 30, saved)
        detected = spans(detect_events(windows, RULE))
        met = [[a < d + 1 and b > c - 1 for a, b in detected] for c, d in spasms]
        hits, events = hits + sum(map(any, met)), events + len(spasms)
        false += len(detected) - sum(map(any, zip(*met, strict=True)))
    found = run["recordings"]["metrics"]
    assert events == 12
    assert found["event_sensitivity"]["value"] == pytest.approx(hits / events, rel=1e-5)
    assert found["false_alarms_per_hour"]["value"] == pytest.approx(false / (6 * 70 / 3600), rel=1e-5)


def test_nothing_that_leaves_names_a_child_a_file_or_a_place_or_holds_a_pose(first, made, predicted):
    out = first[0] / "out"
    inside = (out / "inside/run_1/predictions.csv").read_text()
    secrets = [str(FIRST_ID + child) for child in range(COUNT)]
    assert all(secret in inside for secret in secrets), "the test is void unless the ids are found inside"
    secrets += [f"Rumpel{child}" for child in range(COUNT)]
    secrets += [path.name for path in made.rglob("*") if path.is_file() and "child_" in path.name]
    secrets += [str(made), str(out), "/tmp", "Quellen", "run_0", ".npy", "child_7", f"{Path.home().name}/"]
    numbers = [*predicted[0][1], *np.load(made / f"Quellen/train/child_{FIRST_ID}_1.npy")[0, :5, 0]]
    secrets += [
        text for value in numbers for text in (f"{value:.6f}", f"{value:.6g}") if len(text) > 6 and value != 0.5
    ]
    page, content = ((out / f"evaluation.{kind}").read_text() for kind in ("html", "json"))
    for text in (page, content):
        assert [secret for secret in secrets if secret in text] == []
    assert "<script" not in page and "<canvas" not in page and "<image" not in page
    assert not [word for word in ("http:", "https:", "file:") if word in page.replace("http://www.w3.org/", "")]
    assert {path.name for path in out.iterdir()} == {"evaluation.json", "evaluation.html", "inside"}


def test_every_resample_of_an_evaluation_has_the_seed_that_stays_inside(call, made, tmp_path, monkeypatch):
    seeds: list[object] = []
    sample, evaluate_runs = bootstrap.sample_children, evaluate.external_evaluation.evaluate_runs

    def watched(count: int, generator: np.random.Generator, *more: object) -> np.ndarray:
        seeds.append(generator.bit_generator.seed_seq.entropy)
        return sample(count, generator, *more)

    def only_here(*words: object) -> dict:
        monkeypatch.setattr(bootstrap, "sample_children", watched)
        found = evaluate_runs(*words)
        monkeypatch.setattr(bootstrap, "sample_children", sample)
        return found

    monkeypatch.setattr(evaluate.external_evaluation, "evaluate_runs", only_here)
    assert call(runs=("run_0", "run_1"))[0] == 0
    read = labelled_data.read_segments(made / "Quellen", T, "challenge", made / "cache", {"all"}, "kind")
    recordings = labelled_data.read_recordings(made / "Quellen")
    seed = labelled_data.resampling_seed(read, recordings)
    assert len(seeds) > 20 and set(seeds) == {seed} and seed > 2**200
    assert labelled_data.data_digest(read, recordings) != f"{seed:064x}"
    assert labelled_data.resampling_seed(read, None) != seed, "it depends on the poses"


def test_with_report_every_prediction_is_inside_and_can_be_played(first, predicted):
    inside = first[0] / "out/inside/run_1"
    labels, probabilities, called = predicted[0]
    rows = table(inside / "predictions.csv")
    assert [float(row["probability"]) for row in rows] == probabilities.tolist()
    assert [int(row["label_predicted"]) for row in rows] == called.tolist()
    expected = {(1, 1): "found", (1, 0): "missed", (0, 1): "false alarm", (0, 0): "no alarm"}
    outcomes = [expected[pair] for pair in zip(labels.tolist(), called.tolist(), strict=True)]
    assert [row["outcome"] for row in rows] == outcomes
    page = (inside / "report.html").read_text()
    assert f"child_{FIRST_ID}_1.npy" in page and "the true label is 1" in page
    of_children = table(inside / "children.csv")
    assert len(of_children) == 6 and sum(int(row["true_events"]) for row in of_children) == 12
    assert (inside / "README.txt").read_text().startswith("This folder names children")


def test_runs_are_compared_over_the_same_children(first, predicted):
    tree = result(first[0] / "out")
    [comparison] = tree["comparisons"]
    assert [comparison["minus"], comparison["run"]] == [run["sha256"] for run in tree["runs"]]
    aucs = [metrics.roc_auc_score(*of_run[:2]) for of_run in predicted]
    assert comparison["segments"]["auc"]["value"] == pytest.approx(aucs[1] - aucs[0], abs=1e-5)
    assert "event_sensitivity" in comparison["recordings"]


# ---- what is refused


def segments_only(made: Path, folder: Path) -> Path:
    shutil.copytree(made / "Quellen", folder, ignore=shutil.ignore_patterns("recordings", "events.csv"))
    return folder


def test_training_segments_are_refused_whatever_their_names(call, made, tmp_path):
    data = segments_only(made, tmp_path / "mixed")
    for number in range(3):
        copied = data / "train" / f"child_{FIRST_ID}_{number + 1}.npy"
        np.save(copied, np.load(made / f"data/train/child_2_{number}.npy").astype(np.float64))
    code, out, errors = call(data=data)
    assert code == 1 and out == ""
    assert f"3 of {COUNT * EACH} segments hold poses that {made / 'run_0'} was trained on" in errors
    assert f"child_{FIRST_ID}_1.npy" in errors and "take them out" in errors
    assert not (tmp_path / "out/evaluation.json").exists()


def test_segments_that_begin_a_few_frames_before_a_training_segment_are_refused(call, made, tmp_path):
    data = segments_only(made, tmp_path / "mixed")
    trained = np.load(made / "data/train/child_2_0.npy")
    for number, shift in ((1, 1), (2, T - 1), (3, -1)):  # the last one begins a frame later, and is not recognised
        path = data / "train" / f"child_{FIRST_ID}_{number}.npy"
        np.save(path, np.concatenate([np.load(path), trained, np.load(path)])[T - shift : 2 * T - shift])
    code, out, errors = call(data=data)
    assert code == 1 and out == ""
    assert f"2 of {COUNT * EACH} segments hold poses" in errors
    assert f"(child_{FIRST_ID}_1.npy, child_{FIRST_ID}_2.npy)" in errors


def test_a_recording_that_holds_a_training_segment_is_refused(call, made, tmp_path):
    data = tmp_path / "mixed"
    shutil.copytree(made / "Quellen", data)
    path = data / f"recordings/child_{FIRST_ID}_1.npy"
    poses = np.load(path)
    poses[400 : 400 + T] = np.load(made / "data/train/child_2_0.npy")
    np.save(path, poses)
    code, _, errors = call(data=data)
    assert code == 1 and "1 of 6 recordings hold segments that" in errors


def test_an_id_in_common_is_a_warning_and_with_same_ids_refused(call, made, tmp_path, without_predictions):
    data = segments_only(made, tmp_path / "renamed")
    for path in list((data / "train").glob(f"child_{FIRST_ID}_*")):
        path.rename(path.with_name(path.name.replace(str(FIRST_ID), "7")))
    for name in ("train_data.csv", "groups.csv"):
        (data / name).write_text((data / name).read_text().replace(str(FIRST_ID), "7"))
    code, _, errors = call(data=data)
    assert code == 130
    assert "warning: 1 of 14 children have an id that" in errors and "every hospital counts from 1" in errors
    code, _, errors = call("--same-ids", data=data)
    assert code == 1 and "with --same-ids these are the same children" in errors


def test_fewer_children_than_may_be_given_out_are_refused_or_left_out(call, made, tmp_path, without_predictions):
    code, _, errors = call("--fewest-children", 15)
    assert code == 1
    assert "holds segments of 14 children and recordings of 6 children, and nothing may be given out about" in errors
    code, out, errors = call("--fewest-children", 7)
    assert code == 130 and "recordings of 6 children" in errors and "the recordings are left out" in errors
    assert "84 segments of 14 children" in out and "true events" not in out
    code, _, errors = call("--fewest-children", 4)
    assert code == 2 and "--fewest-children 4 is below 5" in errors


def test_a_run_that_does_not_know_its_training_segments_is_refused_with_what_to_do(call, made, tmp_path):
    run = Path(shutil.copytree(made / "run_0", tmp_path / "old"))
    (run / "segments.csv").unlink()
    code, _, errors = call("--run", run, runs=())
    assert code == 1 and "does not recognise its training segments" in errors and "--decide-only" in errors


def test_recordings_without_events_and_folders_without_either_are_named(call, made, tmp_path):
    shutil.copytree(made / "Quellen/recordings", tmp_path / "bare/recordings")
    code, _, errors = call(data=tmp_path / "bare")
    assert code == 1 and "has recordings but no events.csv" in errors
    (tmp_path / "empty").mkdir()
    assert call(data=tmp_path / "empty")[0] == 1


def test_a_rule_of_timeline_is_taken_and_settings_of_the_other_rule_are_refused(call, tmp_path):
    rule = {"rule": "hysteresis", "stride_s": 0.5, "abstain": 0.1, "event_on": 0.6, "event_off": 0.2}
    (tmp_path / "rule.json").write_text(json.dumps(rule))
    settings = app.parse(evaluate.Evaluate, ["--settings", str(tmp_path / "rule.json")])
    assert settings.given_rule == (Hysteresis(0.6, 0.2), "hysteresis", 0.5, 0.1, 1.0)
    code, _, errors = call("--event-on", 0.5)
    assert code == 2 and "--event-on, --event-off need --rule hysteresis" in errors


def test_files_of_an_earlier_report_that_are_not_written_again_are_named(call, first, tmp_path):
    earlier = Path(shutil.copytree(first[0] / "out/inside", tmp_path / "out/inside"))
    code, _, errors = call()
    assert code == 0 and (earlier / "run_1/predictions.csv").exists(), "a review may lie there"
    count = sum(path.is_file() for path in earlier.rglob("*"))
    assert f"inside holds {count} files of an earlier evaluation" in errors and "run_1/" in errors
    assert "it names children" in errors and "delete" in errors


def test_names_of_groups_and_kinds_with_control_characters_leave_in_plain_letters_only(call, made, tmp_path):
    data = segments_only(made, tmp_path / "odd")
    groups = [
        ("groups.csv", *pair) for pair in (("ward", "wa\x1b[31mrd"), ("home", "ho\u202eme"), ("place", "pl\x07ace"))
    ]
    for name, old, new in (*groups, ("train_data.csv", "flexor", "f\x07lexor")):
        (data / name).write_text((data / name).read_text().replace(old, new))
    assert call(data=data)[0] == 0
    tree = result(tmp_path / "out")["runs"][0]["segments"]
    assert set(tree["subgroups"]["'pl\\x07ace'"]["cells"]) == {r"'wa\x1b[31mrd'", r"'ho\u202eme'"}
    assert set(tree["kinds"]["with_a_spasm"]["cells"]) == {r"'f\x07lexor'"}
    for name in ("evaluation.json", "evaluation.html"):
        text = (tmp_path / "out" / name).read_text()
        assert not {"\x1b", "\x07", "\u202e"} & set(text)
    tree = result(tmp_path / "out")
    tree["runs"][0]["segments"]["subgroups"] = {"pl\x07ace": {"cells": {}, "hidden_cells": 2}}
    (tmp_path / "other.json").write_text(json.dumps(tree))
    code, _, errors = call("--compare-with", tmp_path / "other.json")
    assert code == 1 and "is damaged" in errors and "\x07" not in errors


def test_a_folder_that_holds_something_else_is_not_written_into(call, made, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/evaluation.json").write_text("{}")
    code, _, errors = call()
    assert code == 1 and "is not an evaluation of this software" in errors
    assert (tmp_path / "out/evaluation.json").read_text() == "{}"


# ---- the lock-box, and what has changed


def test_the_lock_box_lets_data_be_evaluated_once_and_counts_what_comes_after(call, first, made, tmp_path):
    folder, text = first
    assert "the first evaluation on this data" in text
    assert result(folder / "out")["lock"] == {"evaluation_number": 1, "earlier_evaluations": 0}
    lock = Path(shutil.copy(folder / "lock.jsonl", tmp_path))
    earlier = ("--compare-with", folder / "out/evaluation.json")
    code, out, errors = call("--lock", lock, runs=("run_1",))
    assert code == 1 and out == "" and "used this data" in errors and "--again" in errors
    assert not (tmp_path / "out/evaluation.json").exists()
    code, out, _ = call("--lock", lock, "--again", *earlier, "--sum-threshold", RULE.sum_threshold, runs=("run_1",))
    assert code == 0 and "EVALUATION NUMBER 2 ON THIS DATA" in out
    assert "EVALUATION NUMBER 2" in (tmp_path / "out/evaluation.html").read_text()
    assert [json.loads(line)["number"] for line in lock.read_text().splitlines()] == [1, 2]
    assert "  run: another (" in out and "  data: the same\n  code: the same\n" in out and " before, " in out
    assert result(tmp_path / "out")["runs"][0] == result(folder / "out")["runs"][1]
    assert call("--again")[0] == 2


def test_an_evaluation_that_stops_before_its_metrics_are_shown_is_noted(call, tmp_path, without_predictions):
    code, out, _ = call("--lock", tmp_path / "lock.jsonl")
    assert code == 130 and "F1" not in out
    assert len((tmp_path / "lock.jsonl").read_text().splitlines()) == 1


def test_a_damaged_earlier_evaluation_is_refused(call, tmp_path):
    (tmp_path / "other.json").write_text('{"kind": "evaluation", "schema": 1, "runs": "none"}')
    code, _, errors = call("--compare-with", tmp_path / "other.json")
    assert code == 1 and "is damaged" in errors


def test_without_the_training_data_what_the_run_knows_is_compared(made, tmp_path):
    run, data = Path(shutil.copytree(made / "run_0", tmp_path / "run")), tmp_path / "small"
    labelled(data)
    moved = with_data_in(read_decision(run), tmp_path / "gone")
    segments = labelled_data.read_segments(data, T, "challenge", made / "cache", {"all"}, "kind")
    found = training_drift.drift(moved, segments, 0.5, 5, made / "cache", 1)
    assert "the training data is not, or no longer," in found["not_compared"]
    assert found["quality"] is found["classifier"] is None
    assert found["prevalence"] == {"training": 0.5, "here": 0.5} and len(found["landmarks"]) == 5


def with_data_in(decision: Decision, folder: Path) -> Decision:
    """The decision of a run whose training data lay in another folder."""
    return decision.model_copy(update={"data": decision.data.model_copy(update={"path": str(folder)})})


@needs_browser
def test_the_page_fits_a_screen_and_asks_for_nothing(first, browser):
    messages, requests = [], []
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.on("console", lambda message: messages.append(message.text))
    page.on("request", lambda request: requests.append(request.url))
    page.goto((first[0] / "out/evaluation.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    assert page.locator("svg").count() >= 10
    assert page.locator("h2").all_text_contents()[-2:] == ["Run 2 minus run 1", "How it was made"]
    page.close()
    assert messages == [] and len(requests) == 1
