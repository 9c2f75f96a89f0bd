"""The search for settings: real trials on a small simulated data set, real processes, real kills, a real PostgreSQL."""

import contextlib
import dataclasses
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState, create_trial

import train_folds
import tune as script
from spasm.cli import app
from spasm.config.fields import SettingsError, from_tree, to_tree
from spasm.config.runtime import Hardware
from spasm.core import files
from spasm.core.errors import DataError, DivergenceError, TrainingError
from spasm.core.tables import read_table
from spasm.data.dataset import load_training
from spasm.data.folds import make_folds
from spasm.models import lgbm
from spasm.models.lgbm import LgbmConfig, LgbmModel
from spasm.models.model import FoldJob
from spasm.models.registry import MODELS
from spasm.models.rocket import RocketConfig
from spasm.tuning import nested, spaces
from spasm.tuning import search as search_module
from spasm.tuning import storage as storage_module
from spasm.tuning.search import (
    PRUNE_AFTER_TRIALS,
    Search,
    StepwisePercentilePruner,
    calibrated,
    fold_scorer,
    log_losses,
    open_study,
    out_of_fold,
    sampler,
    trials_wanted,
    work,
)
from spasm.tuning.storage import (
    TRIES,
    holding,
    open_storage,
    requeue_abandoned,
    retry_while_unreachable,
    root_cause,
)
from tune import Tune

ROOT = Path(__file__).parents[2]
TRIALS = 5
DOWN_S = 4  # for which a database that is restarted is gone
optuna.logging.set_verbosity(optuna.logging.ERROR)
LGBM, ROCKET, STGCN_MIL = MODELS["lgbm"], MODELS["rocket"], MODELS["stgcn_mil"]


@pytest.fixture(scope="session")
def flags(simulated, tmp_path_factory):
    """The flags of tune.py for a small search whose files lie in a folder."""
    cache = tmp_path_factory.mktemp("cache")

    def of(folder, *more, trials=TRIALS, storage=None):
        words = ["--data", str(simulated), "--frames", "60", "--folds", "3", "--cache", str(cache), "--study", "small"]
        words += ["--storage", str(storage or folder / "small.journal"), "--out", str(folder / "small.json")]
        return [*words, "--trials", str(trials), *more]

    return of


def tune(words):
    finished = subprocess.run([sys.executable, "src/tune.py", *words], cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.fixture(scope="session")
def tuned(flags, tmp_path_factory):
    """A folder with a finished search by one worker; tests must not change it."""
    folder = tmp_path_factory.mktemp("tuned")
    (folder / "stdout").write_text(tune(flags(folder, "--workers", "1")))
    return folder


@pytest.fixture(scope="session")
def data(simulated, tmp_path_factory):
    return load_training(simulated, 60, "challenge", tmp_path_factory.mktemp("cache"))


@pytest.fixture
def search(data, tmp_path):
    """A search that has not begun; `dataclasses.replace` makes others from it."""
    return Search(
        data=data,
        fold_of=make_folds(data.labels, data.children, 3, "stratified", 0),
        outer_fold=None,
        model=LGBM,
        seed=0,
        hardware=Hardware("cpu", "float32"),
        study="one",
        storage=str(tmp_path / "one.journal"),
        locks=tmp_path / "one.journal.locks",
        out=tmp_path / "one.json",
        trials=3,
    )


def read_trials(storage, study="small"):
    """The trials of a study without workers."""
    if "://" not in str(storage):
        storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(storage)))
    return optuna.load_study(study_name=study, storage=storage).trials


def finished(trials):
    """What must never be lost: settings and scores of all finished trials, in the order of their numbers."""
    return [(trial.params, trial.value, trial.intermediate_values) for trial in trials if is_finished(trial)]


def is_finished(trial):
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED)


class Running:
    """A running tune.py in a process group of its own."""

    def __init__(self, words):
        command = [sys.executable, "src/tune.py", *words]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    def wait_for_trials(self, count):
        for line in self.process.stdout:
            count -= "  trial " in line
            if count <= 0:
                return
        pytest.fail(self.process.stderr.read())

    def children(self):
        return [
            int(word) for word in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        ]

    def group_is_gone(self):
        """Every process of the group has ended, or does so within a few seconds."""
        for _ in range(100):
            try:
                os.killpg(self.process.pid, 0)
            except ProcessLookupError:
                return True
            time.sleep(0.1)
        return False

    def end(self):
        stdout, stderr = self.process.communicate(timeout=120)
        return self.process.returncode, stdout, stderr


@pytest.fixture
def start():
    """Starts tune.py; kills what a failing test leaves."""
    running = []

    def begin(words):
        running.append(Running(words))
        return running[-1]

    yield begin
    for command in running:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(command.process.pid, signal.SIGKILL)
        command.process.communicate()


# What is searched, and what comes out


@pytest.mark.parametrize("model", MODELS.values(), ids=str)
def test_the_default_settings_lie_inside_the_search_space(model):
    space, defaults = model.search_space(), spaces.default_values(model)
    assert list(defaults) == list(space)
    for name, distribution in space.items():
        assert distribution._contains(distribution.to_internal_repr(defaults[name])), name
    assert spaces.with_values(model.config(), defaults) == model.config()


@pytest.mark.parametrize("name", MODELS)
def test_every_proposal_comes_back_whole_through_settings_of_the_training_script(name, tmp_path):
    model, study = MODELS[name], optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(5):
        values = spaces.propose(study.ask(), model)
        config = spaces.with_values(model.config(), values)
        assert spaces.values_of(config, list(values)) == values
        path = tmp_path / "found.json"
        path.write_text(json.dumps({"model": name, "settings": to_tree(config), "study": "main"}))
        assert getattr(app.parse(train_folds.flags, ["--settings", str(path)]), name) == config


@pytest.mark.parametrize("model", [LGBM, STGCN_MIL], ids=str)
def test_a_scorer_scores_a_fold_as_it_is_trained_alone(model, search):
    changed = {"gap_features": True} if "gap_features" in model.search_space() else {"epochs": 1, "width": 32}
    config = spaces.with_values(model.config(), changed)
    posed = search.data.has_pose
    rows, scored = np.flatnonzero(posed & (search.fold_of != 0)), np.flatnonzero(posed & (search.fold_of == 0))
    one = dataclasses.replace(search, model=model, seed=3)
    logits = fold_scorer(one)(config, rows, scored, 0)
    trained = model.fit(FoldJob(search.data, rows, config, 3, 0, search.hardware))
    alone = model.predictor(trained, config, search.hardware).predict(search.data.poses, scored).logits[0]
    assert logits.tolist() == alone.tolist()


def test_the_default_settings_are_tried_first_and_score_as_their_own_script_does(tuned, simulated, data, tmp_path):
    trials = read_trials(tuned / "small.journal")
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * TRIALS
    assert trials[0].params == spaces.default_values(LGBM)
    assert len({json.dumps(trial.params) for trial in trials}) == TRIALS
    words = ["--data", str(simulated), "--frames", "60", "--folds", "3", "--cache", str(tmp_path / "cache")]
    train(["--run", str(tmp_path / "run"), "--models", "lgbm", *words])
    rows = read_table(tmp_path / "run/lgbm/oof.csv", ("label", "fold", "logit"))
    labels, fold_of = (np.array([int(row[key]) for row in rows]) for key in ("label", "fold"))
    logits, posed = np.array([float(row["logit"]) for row in rows]), data.has_pose
    values = calibrated(logits[posed], labels[posed], fold_of[posed])
    assert trials[0].value == pytest.approx(log_losses(values, labels[posed]).mean(), abs=1e-9)


def test_the_result_trains_the_model_with_the_best_settings(tuned, simulated, tmp_path):
    found = json.loads((tuned / "small.json").read_text())
    best = min(read_trials(tuned / "small.journal"), key=lambda trial: trial.value)
    assert found["best"]["trial"] == best.number and found["best"]["log_loss"] == best.value
    assert found["default"]["trial"] == 0
    text = (tuned / "stdout").read_text()
    for words in ("optimistic", "--nested", "SIMULATED", f"best (trial {best.number})", "default (trial 0)"):
        assert words in text
    command = re.search(r"next: +python src/train_folds.py (.*)", text)[1].replace(
        "output/small", str(tmp_path / "run")
    )
    train([*command.split(), "--cache", str(tmp_path / "cache")])
    manifest = json.loads((tmp_path / "run/lgbm/manifest.json").read_text())
    assert manifest["settings"] == found["settings"]
    assert spaces.values_of(from_tree(LgbmConfig, manifest["settings"]), list(best.params)) == best.params


def train(words):
    command = [sys.executable, "src/train_folds.py", "--workers", "1", "--no-report", *words]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


def test_the_search_trains_the_network_just_as_its_own_script_does(data, trained, search):
    manifest = json.loads((trained / "stgcn_mil/manifest.json").read_text())
    config = from_tree(STGCN_MIL.config, manifest["settings"])
    search = dataclasses.replace(search, model=STGCN_MIL)
    *_, logits = out_of_fold(search, fold_scorer(search), config)
    rows = read_table(trained / "stgcn_mil/oof.csv", ("segment_name", "logit"))
    posed = data.has_pose
    assert logits[posed] == pytest.approx(np.array([float(row["logit"]) for row in rows])[posed], abs=1e-6)


def test_the_few_settings_of_rocket_are_each_tried_once(search):
    search = dataclasses.replace(search, model=ROCKET, trials=100)
    trials = open_study(search).get_trials()
    assert trials_wanted(search) == len(trials) == 20
    assert trials[0].user_attrs["wanted"] == spaces.default_values(ROCKET)
    assert len({json.dumps(trial.user_attrs["wanted"]) for trial in trials}) == 20
    config = RocketConfig(biases_per_kernel=1, augmented_copies=0)
    logits = next(out_of_fold(search, fold_scorer(search), config))
    assert np.isfinite(logits).sum() == ((search.fold_of == search.folds[0]) & search.data.has_pose).sum()


# What a search may know


def test_children_of_the_outer_fold_change_nothing(search, tmp_path):
    outer = search.fold_of == 1
    turned = dataclasses.replace(search.data, labels=np.where(outer, 1 - search.data.labels, search.data.labels))
    runs = []
    for name, data in (("a", search.data), ("b", turned)):
        folder = tmp_path / name
        storage = {"storage": str(folder / "one.journal"), "locks": folder / "locks", "out": folder / "one.json"}
        one = dataclasses.replace(search, data=data, outer_fold=1, **storage)
        open_study(one)
        work([one], 0, os.getpid(), lambda row: None)
        runs.append(finished(read_trials(one.storage, "one")))
        assert one.folds == [0, 2]
    assert len(runs[0]) == 3
    assert runs[0] == runs[1]


def test_a_nested_search_predicts_every_child_by_settings_chosen_without_it(flags, tmp_path):
    text = tune(flags(tmp_path, "--nested", "--workers", "1", trials=2))
    result = json.loads((tmp_path / "small.json").read_text())
    for fold in range(3):
        trials = read_trials(tmp_path / "small.journal", f"small_outer_{fold}")
        assert len(finished(trials)) == 2
        assert all(set(trial.intermediate_values) == {2} for trial in trials)  # on the two other folds
        best = json.loads((tmp_path / f"small_outer_{fold}.json").read_text())["best"]
        assert result["chosen_without"][f"fold_{fold}"] == best["values"]
    difference = result["tuned_minus_default"]
    for key in ("f1", "auc", "brier", "log_loss"):
        assert difference[key]["value"] == pytest.approx(
            result["tuned"][key]["value"] - result["default"][key]["value"]
        )
    assert difference["log_loss"]["low"] <= difference["log_loss"]["value"] <= difference["log_loss"]["high"]
    assert "tuned minus default" in text and "SIMULATED" in text


def test_equal_settings_evaluate_as_no_difference(search):
    default, searches = spaces.default_values(LGBM), [dataclasses.replace(search, outer_fold=fold) for fold in range(3)]
    pairs = [nested.predict_held_out(one, [default, default], os.getpid()) for one in searches]
    metrics = nested.nested_metrics(search.data, [one for one, _ in pairs], [two for _, two in pairs])
    for estimate in metrics["tuned_minus_default"].values():
        assert estimate == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_flags_that_contradict_each_other_are_wrong_usage(flags, tmp_path):
    for more in (
        ["--nested", "--outer-fold", "1"],
        ["--outer-fold", "3"],
        ["--nested", "--folds", "2"],
    ):
        settings = app.parse(Tune, flags(tmp_path, *more))
        with pytest.raises(SettingsError):
            script.main(settings)


# Kills and interrupts


def test_a_search_killed_in_the_middle_loses_no_trial_and_ends_as_one_never_killed(flags, tuned, start, tmp_path):
    command = start(flags(tmp_path, "--workers", "1", trials=300))
    command.wait_for_trials(2)
    os.killpg(command.process.pid, signal.SIGKILL)
    command.end()
    kept = finished(read_trials(tmp_path / "small.journal"))
    assert len(kept) >= 2
    tune(flags(tmp_path, "--workers", "1", trials=max(TRIALS, len(kept) + 2)))
    continued = finished(read_trials(tmp_path / "small.journal"))
    assert continued[: len(kept)] == kept
    assert continued[:TRIALS] == finished(read_trials(tuned / "small.journal"))


def test_a_killed_worker_ends_the_command_and_the_same_command_continues(flags, start, tmp_path):
    command = start(flags(tmp_path, "--workers", "2", trials=300))
    command.wait_for_trials(2)
    workers = [child for child in command.children() if is_worker(child)]
    os.kill(workers[0], signal.SIGKILL)
    code, _, stderr = command.end()
    assert code == 1 and "run the same command with fewer --workers" in stderr
    assert command.group_is_gone()
    kept = finished(read_trials(tmp_path / "small.journal"))
    tune(flags(tmp_path, "--workers", "1", trials=len(kept) + 2))
    continued = read_trials(tmp_path / "small.journal")
    assert not [trial for trial in continued if trial.state == TrialState.RUNNING]
    assert len(finished(continued)) == len(kept) + 2
    assert all(trial in finished(continued) for trial in kept)


def is_worker(process):
    return b"popen_loky" in Path(f"/proc/{process}/cmdline").read_bytes()


def test_ctrl_c_stops_with_130_and_leaves_no_process(flags, start, tmp_path):
    command = start(flags(tmp_path, "--workers", "2", trials=300))
    command.wait_for_trials(1)
    os.killpg(command.process.pid, signal.SIGINT)
    code, _, stderr = command.end()
    assert code == 130 and "finished trials are kept" in stderr
    assert command.group_is_gone()
    assert json.loads((tmp_path / "small.json").read_text())["trials"]["complete"] >= 1


def test_a_search_that_has_its_trials_does_nothing_more(flags, tuned, tmp_path):
    shutil.copytree(tuned, tmp_path / "copy")
    text = tune(flags(tmp_path / "copy", "--workers", "1"))
    for name in ("small.journal", "small.json"):
        changed = (tmp_path / "copy" / name).read_bytes().replace(b"copy/", b"")
        assert len(changed.splitlines()) == len((tuned / name).read_bytes().splitlines())
    assert "  trial " not in text and "best (trial" in text


def test_a_trial_is_taken_from_a_dead_worker_and_never_from_a_living_one(search):
    study = open_study(search)
    with holding(search) as token:
        trial = study.ask()
        trial.set_user_attr("worker", token)
        values = spaces.propose(trial, LGBM)
        with search.claiming():
            requeue_abandoned(study, search, spaces.default_values(LGBM))
        assert [trial.state for trial in study.trials] == [TrialState.RUNNING]
    for _ in range(2):  # the second time nothing is left to do
        with search.claiming():
            requeue_abandoned(study, search, spaces.default_values(LGBM))
        assert [trial.state for trial in study.trials] == [TrialState.FAIL, TrialState.WAITING]
    assert study.trials[1].user_attrs["wanted"] == values


def test_settings_that_kill_their_workers_again_and_again_are_given_up_but_the_defaults_are_not(search):
    study = open_study(search)
    study.enqueue_trial(spaces.default_values(LGBM) | {"num_leaves": 3})
    for _ in range(20):
        trial = study.ask()
        spaces.propose(trial, LGBM)
        with search.claiming():  # no lock is held for this trial: its worker is dead
            requeue_abandoned(study, search, spaces.default_values(LGBM))
        if trial.params["num_leaves"] == 3 and trial.user_attrs.get("tries") == TRIES:
            break
    waiting = [trial.user_attrs["wanted"] for trial in study.trials if trial.state == TrialState.WAITING]
    assert waiting == [spaces.default_values(LGBM)]


def test_a_network_that_diverges_counts_as_pruned(search, monkeypatch):
    def diverge(trial, search, score, settings):
        if settings != LgbmConfig():
            raise DivergenceError("the loss is nan")
        return 0.5

    monkeypatch.setattr(search_module, "run_trial", diverge)
    open_study(search)
    work([search], 0, os.getpid(), lambda row: None)
    trials = read_trials(search.storage, "one")
    assert [trial.state for trial in trials] == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.PRUNED]
    assert trials[1].user_attrs["error"] == "the loss is nan"


def test_an_error_of_lightgbm_fails_its_trial_and_the_search_goes_on_with_other_settings(search, monkeypatch):
    train, tried = lgbm.train, []

    def refuse_the_second(values, labels, config, seed):
        tried.append(config)
        if config == next((other for other in tried if other != LgbmConfig()), None):
            raise TrainingError("LightGBM: Check failed")
        return train(values, labels, config, seed)

    monkeypatch.setattr(lgbm, "train", refuse_the_second)
    open_study(search)
    work([search], 0, os.getpid(), lambda row: None)
    trials = read_trials(search.storage, "one")
    assert [trial.state.name for trial in trials] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert trials[1].user_attrs["error"] == "LightGBM: Check failed"


def test_an_error_of_lightgbm_with_the_default_settings_ends_the_search(search, monkeypatch):
    def refuse(values, labels, config, seed):
        raise TrainingError("LightGBM: Check failed")

    monkeypatch.setattr(lgbm, "train", refuse)
    open_study(search)
    with pytest.raises(TrainingError, match="the default settings cannot be trained: LightGBM: Check failed"):
        work([search], 0, os.getpid(), lambda row: None)


@pytest.mark.parametrize("reported", [True, False])
def test_a_worker_that_stood_still_until_its_trial_was_taken_over_goes_on_with_the_next(search, monkeypatch, reported):
    def stand_still(trial, search, score, settings):
        if trial.number == 0:
            with search.claiming():
                other = optuna.load_study(study_name="one", storage=open_storage(search))
                other.tell(0, state=TrialState.FAIL)
            if reported:
                trial.report(0.1, 2)
        return 0.5

    monkeypatch.setattr(search_module, "run_trial", stand_still)
    open_study(search)
    work([search], 0, os.getpid(), lambda row: None)
    trials = read_trials(search.storage, "one")
    assert trials[0].state == TrialState.FAIL
    assert sum(is_finished(trial) for trial in trials) == 3
    assert next(trial.params for trial in trials if is_finished(trial)) == spaces.default_values(LGBM)


# The journal


def test_a_journal_torn_at_any_byte_of_its_end_is_cut_back_and_continued(tuned, flags, search, tmp_path):
    whole = (tuned / "small.journal").read_bytes()
    ends = [place + 1 for place, byte in enumerate(whole) if byte == ord("\n")]
    path = Path(search.storage)
    for cut in [*range(ends[-4], len(whole), 7), *(end - 1 for end in ends[-4:]), *range(1, ends[0] + 1, 9)]:
        path.write_bytes(whole[:cut])
        study_of = open_storage(search).get_all_studies
        assert path.read_bytes() == whole[: max([0, *(end for end in ends if end <= cut)])]
        assert len(study_of()) == (cut >= ends[0])
        torn = Path(f"{path}.torn")
        if cut not in ends:
            assert torn.read_bytes() == whole[max([0, *(end for end in ends if end <= cut)]) : cut] + b"\n"
            torn.unlink()
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn/small.journal").write_bytes(whole[: ends[-1] - 20])  # the last trial was not yet finished
    tune(flags(tmp_path / "torn", "--workers", "1"))
    assert len(finished(read_trials(tmp_path / "torn/small.journal"))) == TRIALS


def test_four_workers_killed_at_once_and_a_journal_torn_at_a_random_byte_lose_no_finished_trial(flags, start, tmp_path):
    journal = tmp_path / "small.journal"
    words = flags(tmp_path, "--workers", "1", trials=40)
    commands = [start(words) for _ in range(4)]
    for command in commands:
        command.wait_for_trials(1)
    for command in commands:
        os.killpg(command.process.pid, signal.SIGKILL)
        command.end()
    whole = journal.read_bytes().splitlines(keepends=True)
    cut = random.randrange(1, len(whole[-1]) + 1)
    journal.write_bytes(b"".join(whole)[:-cut])
    kept = finished_by_number(copied(journal, tmp_path), "small")  # without the line that is torn
    tune(flags(tmp_path, "--workers", "4", trials=40))
    trials = read_trials(journal)
    assert kept, f"cut {cut} bytes"
    assert kept.items() <= finished_by_number(journal, "small").items()
    assert sum(map(is_finished, trials)) == 40
    assert not [trial for trial in trials if trial.state == TrialState.RUNNING]


def copied(journal, folder):
    """A journal without its torn end, so that reading it mends nothing in the other."""
    copy = folder / "copy.journal"
    content = journal.read_bytes()
    copy.write_bytes(content[: content.rfind(b"\n") + 1])
    return copy


def test_a_line_torn_by_a_killed_writer_is_cut_off_before_others_write_on(search):
    study = open_study(search)
    with open(search.storage, "ab") as journal:
        journal.write(b'{"op_code":8,"worker')
    study.set_user_attr("note", "written later")
    assert optuna.load_study(study_name="one", storage=open_storage(search)).user_attrs["note"] == "written later"


FULL = """
import resource, runpy, sys
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
sys.path.insert(0, "src")
sys.argv[0] = "src/tune.py"
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_a_disk_that_fills_up_ends_the_command_and_the_same_command_continues(tuned, flags, tmp_path):
    folder = Path(shutil.copytree(tuned, tmp_path / "copy"))
    words = flags(folder, "--workers", "1", trials=TRIALS + 1)
    room = (folder / "small.journal").stat().st_size + 700  # for the beginning of a trial
    command = [sys.executable, "-c", FULL, str(room), *words]
    stopped = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert stopped.returncode == 1
    assert "Traceback" not in stopped.stderr
    assert "small.journal" in stopped.stderr or "No space left" in stopped.stderr or "too large" in stopped.stderr
    assert (folder / "small.json").read_bytes() == (tuned / "small.json").read_bytes()
    tune(words)
    trials = read_trials(folder / "small.journal")
    assert finished(trials)[:TRIALS] == finished(read_trials(tuned / "small.journal"))
    assert len(finished(trials)) == TRIALS + 1
    assert not [trial for trial in trials if trial.state == TrialState.RUNNING]


@pytest.mark.parametrize("content", [b"segment_name,label\nchild_1_1.npy,1", b"one line", b"\x00\x01", b"{}\n[]\n"])
def test_a_file_that_is_no_journal_is_refused_and_left_as_it_is(search, content):
    Path(search.storage).write_bytes(content)
    with pytest.raises(DataError, match="no journal of a search"):
        open_study(search)
    assert Path(search.storage).read_bytes() == content
    assert not Path(f"{search.storage}.torn").exists()


def test_a_damaged_journal_is_named_and_left_as_it_is(search):
    open_study(search)
    lines = Path(search.storage).read_bytes().splitlines(keepends=True)
    damaged = b"".join([lines[0], b"\0\0\0\n", *lines[1:]])
    Path(search.storage).write_bytes(damaged)
    with pytest.raises(DataError, match="line 2 is damaged") as caught:
        open_study(search)
    assert caught.value.path == Path(search.storage)
    assert Path(search.storage).read_bytes() == damaged


# What a study refuses


def test_another_search_is_refused_with_what_differs(search, monkeypatch):
    open_study(search)
    for change, named in (
        ({"seed": 1}, "another seed"),
        ({"model": ROCKET}, "another model"),
        ({"fold_of": (search.fold_of + 1) % 3}, "another folds"),
        ({"outer_fold": 2}, "another outer fold"),
        ({"data": dataclasses.replace(search.data, fingerprint="0" * 64)}, "another data"),
    ):
        with pytest.raises(DataError, match=named) as caught:
            open_study(dataclasses.replace(search, **change))
        assert "--study" in caught.value.hint
    changed = LGBM.search_space() | {"num_leaves": optuna.distributions.IntDistribution(2, 63, log=True)}
    monkeypatch.setattr(LgbmModel, "search_space", lambda self: changed)
    with pytest.raises(DataError, match="begun with another search space"):
        open_study(search)


def test_a_study_of_another_program_is_refused(search):
    storage = open_storage(search)
    optuna.create_study(study_name="one", storage=storage).enqueue_trial({"x": 1})
    with pytest.raises(DataError, match="begun with another"):
        open_study(search)


def test_a_database_that_cannot_be_reached_is_named_without_its_password(search):
    url = "postgresql+psycopg://someone:s%40cret@127.0.0.1:1/nothing?password=secret&connect_timeout=3"
    with pytest.raises(DataError) as caught:
        open_study(dataclasses.replace(search, storage=url))
    assert "cret" not in str(caught.value)
    assert "postgresql+psycopg://someone:***@127.0.0.1:1/nothing" in str(caught.value)


# Pruning


def ended(state, values, params):
    distributions = {"num_leaves": LGBM.search_space()["num_leaves"]}
    value = values[max(values)] if state == TrialState.COMPLETE else None
    return create_trial(
        state=state, value=value, params=params, distributions=distributions, intermediate_values=values
    )


def test_a_trial_is_compared_with_others_on_the_same_folds_only():
    study = optuna.create_study(pruner=StepwisePercentilePruner())
    for number in range(PRUNE_AFTER_TRIALS):
        # The second and third folds are hard: every value after them is above every value after the first two.
        study.add_trial(ended(TrialState.COMPLETE, {2: 0.1, 3: 0.5 + number / 100, 4: 0.4}, {"num_leaves": 2 + number}))
    pruner = StepwisePercentilePruner()

    def is_pruned(values):
        return pruner.prune(study, create_trial(state=TrialState.RUNNING, intermediate_values=values))

    assert not is_pruned({2: 0.3})  # too early
    assert not is_pruned({2: 0.3, 3: 0.52})
    assert is_pruned({2: 0.05, 3: 0.6})  # its good start does not save it
    assert not is_pruned({})


def test_a_pruned_trial_is_never_the_best(search):
    study = open_study(search)
    study.add_trial(ended(TrialState.PRUNED, {2: 0.01, 3: 0.01}, {"num_leaves": 3}))
    with pytest.raises(TrainingError, match="no finished trial; the default settings stay"):
        search_module.result(study, search)
    study.add_trial(ended(TrialState.COMPLETE, {2: 0.4, 3: 0.4}, {"num_leaves": 4}))
    found = search_module.result(study, search)
    assert found["settings"]["num_leaves"] == 4
    assert found["trials"] == {"complete": 1, "pruned": 1, "waiting": 1}


# Several workers, and one that comes back


def test_with_one_seed_each_worker_proposes_something_else_and_so_does_who_continues(search):
    def proposed(worker, begun):
        study = optuna.create_study(sampler=sampler(search, worker, begun))
        trial = study.ask()
        return json.dumps(spaces.propose(trial, LGBM))

    asked = [(worker, begun) for worker in range(3) for begun in (0, 1, 7)]
    assert len({proposed(*one) for one in asked}) == len(asked)
    assert proposed(2, 7) == proposed(2, 7)


# Databases


def test_two_workers_share_a_new_sqlite_file(flags, tmp_path):
    url = f"sqlite:///{tmp_path}/studies.db"
    tune(flags(tmp_path, "--workers", "2", trials=4, storage=url))
    trials = read_trials(url)
    assert len(finished(trials)) == len(trials) == 4
    assert trials[0].params == spaces.default_values(LGBM)


@dataclasses.dataclass(frozen=True)
class Postgres:
    """A PostgreSQL of our own."""

    url: str
    restart: Callable[[], None]
    """As after a crash: every connection and every open transaction is lost."""


@pytest.fixture(scope="module")
def postgres_server():
    """The system's PostgreSQL, or else the one in the wheel pgserver."""
    folder = Path(tempfile.mkdtemp(prefix="postgres"))  # short: the name of a socket may have 107 characters
    folder.chmod(0o755)
    found = [shutil.which("initdb"), *map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb"))]
    programs = next((Path(path).resolve().parent for path in found if path), None)
    as_root = os.geteuid() == 0  # initdb refuses root
    if as_root and not has_user("postgres"):
        programs = None
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        if programs is None:
            pgserver = pytest.importorskip("pgserver", reason="no PostgreSQL, and no wheel of it for this Python")
            server = pgserver.get_server(folder / "data", cleanup_mode="stop")
            stack.callback(server.cleanup)

            def restart():
                stop = ["-w", "-m", "immediate", "stop"]
                pgserver.pg_ctl(stop, pgdata=server.pgdata, user=server.system_user)
                time.sleep(DOWN_S)
                server.ensure_postgres_running()

            yield Postgres(server.get_uri().replace("postgresql://", "postgresql+psycopg://"), restart)
            return
        ours = {"user": "postgres", "group": "postgres", "extra_groups": []} if as_root else {}
        if as_root:
            shutil.chown(folder, "postgres", "postgres")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        settings = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        make = [programs / "initdb", "-D", folder / "data", "-U", "test", "-A", "trust", "--no-sync", "-E", "UTF8"]
        control = [programs / "pg_ctl", "-D", folder / "data", "-w", "-l", folder / "log"]
        quiet = {"check": True, "stdout": subprocess.DEVNULL, "cwd": folder, **ours}
        subprocess.run([*make, "--locale=C"], **quiet)
        subprocess.run([*control, "-o", settings, "start"], **quiet)
        stack.callback(subprocess.run, [*control, "-m", "immediate", "stop"], **quiet)

        def restart():
            subprocess.run([*control, "-m", "immediate", "stop"], **quiet)
            time.sleep(DOWN_S)
            subprocess.run([*control, "-o", settings, "start"], **quiet)

        yield Postgres(f"postgresql+psycopg://test@127.0.0.1:{port}/postgres", restart)


@pytest.fixture
def postgres(postgres_server):
    """The URL of a PostgreSQL of our own."""
    return postgres_server.url


def has_user(name):
    return subprocess.run(["id", name], capture_output=True).returncode == 0


def test_workers_share_a_postgresql_and_a_kill_loses_nothing(flags, start, postgres, tmp_path):
    command = start(flags(tmp_path, "--workers", "2", trials=300, storage=postgres))
    command.wait_for_trials(2)
    give_up = time.monotonic() + 60
    while len({trial.user_attrs["worker"] for trial in read_trials(postgres) if is_finished(trial)}) < 2:
        assert time.monotonic() < give_up, "one worker does everything"
        command.wait_for_trials(1)
    os.killpg(command.process.pid, signal.SIGKILL)
    command.end()
    trials = read_trials(postgres)
    kept = finished(trials)
    assert len({json.dumps(params) for params, _, _ in kept}) == len(kept)
    still = [trial for trial in trials if trial.state == TrialState.RUNNING]
    forget_heartbeats(postgres)
    tune(flags(tmp_path, "--workers", "1", trials=len(kept) + len(still), storage=postgres))
    continued = read_trials(postgres)
    assert not [trial for trial in continued if trial.state == TrialState.RUNNING]
    assert finished(continued)[: len(kept)] == kept
    for trial in still:  # was queued again, and ran, with the same settings
        again = [one for one in continued if one.user_attrs.get("again") == trial.number]
        assert [trial.params | one.params for one in again if is_finished(one)] == [one.params for one in again]
        sampled_in_full = storage_module.settings_of(trial).keys() >= spaces.default_values(LGBM).keys()
        assert len(again) == sampled_in_full


def test_a_second_outage_of_a_server_is_waited_for_again_and_reported_with_its_own_message(search, monkeypatch, caplog):
    from sqlalchemy.exc import OperationalError

    monkeypatch.setattr(storage_module, "OUTAGE_S", 1)
    place, calls = dataclasses.replace(search, storage="postgresql+psycopg://me:secret@host/d"), []

    def call():
        calls.append(len(calls))
        time.sleep(1.2 * (len(calls) == 2))  # a trial, say
        if len(calls) < 3:
            try:
                raise OperationalError("SELECT", {}, OSError("the server is starting up"))
            finally:
                raise UnboundLocalError("an error that hides it")

    def call_with_root_cause():
        try:
            call()
        except UnboundLocalError as error:
            raise root_cause(place, error) from None

    retry_while_unreachable(place, call_with_root_cause)
    warnings = caplog.messages
    assert len(calls) == 3 and sum("trying again" in line for line in warnings) == 2
    assert all("the server is starting up" in line and "secret" not in line for line in warnings if "trying" in line)


def test_four_workers_outlast_two_kills_and_a_database_that_is_restarted_under_them(
    flags, start, postgres_server, tmp_path
):
    url, study = postgres_server.url, "fire"
    words = flags(tmp_path, "--workers", "1", "--study", study, trials=60, storage=url)
    commands = [start(words) for _ in range(4)]
    for command in commands:
        command.wait_for_trials(1)
    os.killpg(commands[0].process.pid, signal.SIGKILL)
    kept = finished_by_number(url, study)
    postgres_server.restart()
    again = max(trial.number for trial in read_trials(url, study)) + 1
    give_up = time.monotonic() + 60
    while sum(number >= again for number in finished_by_number(url, study)) < 4:  # they go on
        assert time.monotonic() < give_up
        time.sleep(0.1)
    os.killpg(commands[1].process.pid, signal.SIGKILL)
    for command in commands[:2]:
        command.end()
    dead = [trial for trial in read_trials(url, study) if is_lost(trial, tmp_path)]
    forget_heartbeats(url, [trial.number for trial in dead])
    ends = [command.end() for command in commands[2:]]
    assert [code for code, _, _ in ends] == [0, 0], [stderr for _, _, stderr in ends]
    assert all("Traceback" not in stderr for _, _, stderr in ends)
    for _, _, stderr in ends:
        assert "trying again" not in stderr or "updated_state" not in stderr, "the server's message, not Optuna's"
    assert any("trying again" in stderr for _, _, stderr in ends)
    trials = read_trials(url, study)
    assert not [trial for trial in trials if trial.state == TrialState.RUNNING]
    assert sum(map(is_finished, trials)) == 60
    assert kept.items() <= finished_by_number(url, study).items()
    failed = [trial for trial in trials if trial.state == TrialState.FAIL and "wanted" in trial.user_attrs]
    again = {trial.user_attrs.get("again") for trial in trials}
    assert {trial.number for trial in failed} <= again, "what was lost was tried again"


def finished_by_number(url, study):
    return {trial.number: (str(trial.params), trial.value) for trial in read_trials(url, study) if is_finished(trial)}


def is_lost(trial, folder):
    """Whether a trial was begun by a worker that is dead."""
    locks = next(folder.glob("*.locks"))
    worker = trial.user_attrs.get("worker")
    return trial.state == TrialState.RUNNING and worker is not None and not files.is_locked(locks / worker)


def forget_heartbeats(url, numbers=None):
    """As if the last signs of life, of all trials or of those of these numbers, were an hour old."""
    from sqlalchemy import create_engine, text

    of = "" if numbers is None else f" WHERE number IN ({', '.join(map(str, [-1, *numbers]))})"
    with create_engine(url).begin() as connection:
        trials = f"SELECT trial_id FROM trials{of}"
        old = "heartbeat = heartbeat - interval '1 hour'"
        connection.execute(text(f"UPDATE trial_heartbeats SET {old} WHERE trial_id IN ({trials})"))
        connection.execute(text(f"UPDATE trials SET datetime_start = datetime_start - interval '1 hour'{of}"))


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_a_worker_killed_before_its_first_heartbeat_is_noticed(search, postgres):
    search = dataclasses.replace(search, storage=postgres, study="before")
    study = open_study(search)
    trial = study.ask()
    with search.claiming():
        requeue_abandoned(study, search, spaces.default_values(LGBM))
    assert study.trials[0].state == TrialState.RUNNING  # perhaps it is only just beginning
    forget_heartbeats(postgres)
    with search.claiming():
        requeue_abandoned(study, search, spaces.default_values(LGBM))
    assert [one.state for one in study.trials] == [TrialState.FAIL, TrialState.WAITING]
    assert study.trials[1].user_attrs["wanted"] == study.trials[trial.number].user_attrs["wanted"]
