"""Settings and the command line made from them: what is refused, how, and that every field has an effect."""

import dataclasses
import importlib
import itertools
import json
import re
import shlex
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

import submission
import train_folds
from helpers.data import FLOAT32
from helpers.pictures import write_pictures
from helpers.repository import ROOT
from helpers.settings import changed
from spasm.cli import app
from spasm.cli import flags as flags_module
from spasm.cli.synonyms import SYNONYMS, suggestions
from spasm.cli.train import Train
from spasm.config.data import Data, Folds
from spasm.config.ensemble import Blend
from spasm.config.events import Hysteresis
from spasm.config.fields import SettingsError, from_tree, to_tree
from spasm.config.network import NetworkConfig, Optimization
from spasm.config.runtime import Hardware
from spasm.data.dataset import TrainingData
from spasm.ensemble.blending import OofScores, fit_blend
from spasm.models.model import FoldJob
from spasm.models.network import NetworkModel
from spasm.models.registry import DEFAULT_MODELS, MODELS
from spasm.models.sta_gunet import StaGunetConfig
from spasm.models.stgcn_mil import StgcnMilConfig
from submission import Submission

SCRIPTS = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / "submission.py", *(ROOT / "src").glob("*.py"))
    if "app.run(" in path.read_text(encoding="utf-8")
)
# They need a package, a video, another tool's file, the files of several sites, long recordings or reviews.
NO_DEMO = {
    "src/build_pose_models.py", "src/compare_reviews.py", "src/extract_pose.py", "src/import_poses.py",
    "src/pool_evaluations.py", "src/segments_from_events.py", "src/extract_general_movements.py",
    "src/train_general_movements.py", "src/extract_pictures.py", "src/evaluate_onsets.py",
    "src/segments_from_onsets.py", "src/simulate_general_movements.py",
}  # fmt: skip
EVERY_SCRIPT = pytest.mark.parametrize("script", SCRIPTS)


def run(argv: list[object], flags: Any) -> tuple[int, Any]:
    """Exit code and the settings that arrived, None where the script did not start."""
    arrived: list[Any] = []
    try:
        code = app.run(lambda settings: arrived.append(settings) or 0, flags, "A script.", list(map(str, argv)))
    except SystemExit as stop:
        code = stop.code
    return code, arrived[0] if arrived else None


def parsed(*argv: object, flags: Any = train_folds.flags) -> Any:
    code, settings = run(list(argv), flags)
    assert code == 0
    return settings


def refused(capsys: pytest.CaptureFixture[str], *argv: object, flags: Any = train_folds.flags) -> str:
    """The message of a refusal with exit code 2."""
    assert run(list(argv), flags) == (2, None)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1, "one line, without a frame"
    return captured.err.strip()


def settings_file(folder: Path, tree: object) -> Path:
    path = folder / "settings.json"
    path.write_text(tree if isinstance(tree, str) else json.dumps(tree))
    return path


def leaves(settings: Any) -> dict[str, Any]:
    """Every field that holds a value, at any depth, by its name."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        found |= leaves(value) if dataclasses.is_dataclass(value) else {field.name: value}
    return found


# ---- every script


def flags_of(script: str) -> Any:
    """What a script gives `app.run` to know its flags."""
    name = re.search(r"app\.run\(main, (\w+), ", (ROOT / script).read_text(encoding="utf-8"))[1]
    return getattr(importlib.import_module(Path(script).stem), name)


def help_of(script: str, *words: str) -> str:
    module = importlib.import_module(Path(script).stem)
    return app.help_of(flags_of(script), module.__doc__, ["--help", *words])


def settings_of(script: str) -> Any:
    flags = flags_of(script)
    return (flags if isinstance(flags, type) else flags([]))()


@EVERY_SCRIPT
def test_without_flags_the_defaults_arrive(script):
    assert parsed(flags=flags_of(script)) == settings_of(script)


@EVERY_SCRIPT
def test_help_names_every_flag_and_its_default(script):
    text = " ".join(help_of(script).split())
    names = leaves(settings_of(script))
    for name in names:
        flag = name.replace("_", "-")
        wanted = rf"--([\w-]+\.)?{flag}\b|\b{flag} \S|\[{flag.upper()} \.\.\.\]"
        assert re.search(wanted, text), flag
    assert "--settings FILE" in text


@EVERY_SCRIPT
def test_help_is_plain_text_of_at_most_eighty_columns_and_two_screens(script, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = help_of(script).split("\n")
    # What explains how to call it may be longer, as it is to be copied.
    assert [line for line in lines if len(line) > 80 and "python " not in line] == []
    assert len(lines) <= 120
    text = " ".join(lines)
    for odd in ("{None}", "(default: )", "None", "[STR", "True", "False"):
        assert odd not in text, odd
    assert text.count("(default: ") >= 1


@EVERY_SCRIPT
def test_every_example_stands_on_a_line_of_its_own_and_can_be_parsed(script):
    lines = help_of(script).split("\n")
    first = lines.index("Examples:") + 1
    examples = list(itertools.takewhile(lambda line: line.startswith("  "), lines[first:]))
    assert len(examples) >= 2
    for example in examples:
        called, *words = shlex.split(example, comments=False)[1:] or [""]
        if called.endswith(".py"):
            assert parsed(*words, flags=flags_of(called)) is not None, example
    if script not in NO_DEMO:
        assert "output/demo" in examples[0] or "input/demo" in examples[0], "it works right after make demo"


@EVERY_SCRIPT
def test_common_flags_come_before_advanced_ones(script):
    lines = [line.strip() for line in help_of(script).split("\n")]
    common = lines.index("options:")
    for flag in ("--data PATH", "--run PATH", "--frames INT", "--models NAMES", "--seed INT", "--out PATH"):
        if any(line.startswith(flag) for line in lines):
            position = next(number for number, line in enumerate(lines) if line.startswith(flag))
            assert common < position
            assert "advanced options:" not in lines or position < lines.index("advanced options:"), flag
    for flag in ("--cache PATH", "--device", "--precision", "--name-pattern", "--rehash"):
        if any(line.startswith(flag) for line in lines):
            assert lines.index("advanced options:") < next(n for n, line in enumerate(lines) if line.startswith(flag))


def test_the_help_says_defaults_in_words():
    text = " ".join(help_of("src/train_folds.py").split())
    for words in (
        "--fold INT Train this fold only, counted from 0. (default: all)",
        "--models NAMES",
        "(default: lgbm,rocket,stgcn_mil)",
        "--report, --no-report Write report.html and model_card.md. (default: on)",
        "--device {auto,cpu,cuda}",
    ):
        assert words in text
    assert "--no-tensorboard" not in text, "a switch that is off is shown by what turns it on"


@pytest.mark.command
@EVERY_SCRIPT
def test_no_help_loads_torch_or_lightgbm_or_optuna(script):
    command = [sys.executable, "-X", "importtime", script, "--help"]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    loaded = set(re.findall(r"^import time:[ \d|]+(\w+)$", finished.stderr, re.MULTILINE))
    assert finished.returncode == 0, finished.stderr[-2000:]
    assert "spasm" in loaded, "the test is void unless it sees what is imported"
    assert loaded & {"torch", "lightgbm", "optuna"} == set()


# ---- flags


def test_a_flag_changes_its_field_and_no_other():
    expected = dataclasses.replace(
        train_folds.flags([])(), stgcn_mil=changed(StgcnMilConfig(), epochs=3), run=Path("elsewhere")
    )
    assert parsed("--stgcn-mil.epochs", 3, "--run", "elsewhere") == expected
    assert parsed("--stgcn-mil.body-scale").stgcn_mil == changed(StgcnMilConfig(), body_scale=True)


def test_switches_are_turned_on_and_off_and_take_no_value(capsys):
    assert parsed("--report", flags=Submission) == Submission(report=True)
    assert parsed("--report", "--max-players", 7, flags=Submission) == Submission(report=True, max_players=7)
    assert parsed("--no-report", flags=Submission) == Submission()
    assert (parsed("--no-report").report, parsed("--report").report) == (False, True)
    assert parsed("--rocket.body-scale").rocket.features.body_scale is True
    for words in (["--report", "True"], ["--report", "false"], ["--report", "1"], ["--report=yes"]):
        message = refused(capsys, *words)
        assert "--report is a switch and takes no value" in message
        assert "--report turns it on; --no-report turns it off" in message
    assert "--tensorboard turns it on (" in refused(capsys, "--tensorboard", "True")


def test_the_flags_that_others_rely_on_exist():
    settings = parsed("--data", "d", "--run", "r", "--frames", 100, "--folds", 4, "--fold", 1, "--workers", 2, "--seed",
                      3, "--fold-seed", 4, "--folds-file", "f.csv", "--no-report", "--tensorboard", "--decide-only",
                      "--device", "cpu", "--blend.models", "stam")  # fmt: skip
    assert settings.read == Data(data=Path("d"), frames=100)
    assert settings.split == Folds(folds=4, fold_seed=4, folds_file=Path("f.csv"))
    assert (settings.run, settings.fold, settings.workers, settings.seed) == (Path("r"), 1, 2, 3)
    assert (settings.report, settings.tensorboard, settings.decide_only) == (False, True, True)
    assert (settings.hardware, settings.blend) == (Hardware(device="cpu"), Blend(models=("stam",)))
    predict = parsed("--test", "t", "--run", "r", "--out", "o.csv", "--header", "file_name", flags=Submission)
    assert predict == Submission(test=Path("t"), run=Path("r"), out=Path("o.csv"), header="file_name")
    shifted = parsed("--prevalence", 0.1, "--adapt-prevalence", "--abstain", 0.3, "--device", "cpu", flags=Submission)
    assert shifted == Submission(prevalence=0.1, adapt_prevalence=True, abstain=0.3, hardware=Hardware(device="cpu"))


@pytest.mark.parametrize("words", [["--models", "stam", "lgbm"], ["--models", "lgbm,stam"], ["--models=stam,lgbm"]])
def test_models_are_named_by_spaces_or_commas_and_bring_their_flags(words):
    settings = parsed(*words, "--stam.epochs", 3, "--lgbm.num-leaves", 5)
    assert settings.stam == changed(MODELS["stam"].config(), epochs=3)
    assert settings.lgbm == changed(MODELS["lgbm"].config(), num_leaves=5)
    assert not hasattr(settings, "rocket")


@pytest.mark.parametrize(
    ("script", "flag", "values"),
    [
        ("src/evaluate.py", "run", ("a", "b b", "c")),
        ("src/compare.py", "data", ("one", "two")),
        ("src/compare.py", "frames", (60, 150)),
        ("src/segments_from_events.py", "recordings", ("night_1.npy", "nights", "night_3.npy")),
        ("src/segments_from_events.py", "events", ("a.csv", "b.csv")),
    ],
)
def test_values_of_a_repeated_flag_add_up_in_both_forms_and_replace_those_of_a_file(
    tmp_path, capsys, script, flag, values
):
    flags = flags_of(script)
    expected = tuple(Path(value) if isinstance(value, str) else value for value in values)
    file = settings_file(tmp_path, {flag: list(reversed(values))})
    for words in (
        [f"--{flag}", *values],
        [word for value in values for word in (f"--{flag}", value)],
        [f"--{flag}={values[0]}", *values[1:]],
        [f"--{flag}", values[0], "--out", "elsewhere", f"--{flag}", *values[1:]],
        ["--settings", file, f"--{flag}", *values],
    ):
        settings = parsed(*words, flags=flags)
        assert getattr(getattr(settings, "read", settings), flag) == expected, words
    assert f"--{flag} needs a value" in refused(capsys, f"--{flag}", flags=flags)


def test_a_list_whose_flag_is_given_twice_is_refused_since_the_first_would_be_lost(capsys):
    for words in (("--models", "lgbm", "--models", "stam"), ("--models=lgbm", "--seed", 1, "--models=stam")):
        assert "--models is given twice; give all of its values after one --models" in refused(capsys, *words)
    assert "--blend.models is given twice" in refused(capsys, "--blend.models", "stam", "--blend.models", "lgbm")


def test_no_flag_of_a_script_with_several_paths_loses_the_first_ones():
    for script in SCRIPTS:
        for flag in flags_module.flags_of(settings_of(script), True)[0]:
            if isinstance(flag.default, tuple) and flag.kind is Path:
                assert flag.is_repeated or flag.is_positional, f"{script} {flag.name}"


def test_the_help_shows_the_settings_of_the_models_that_are_named(capsys):
    for words, shown in (([], DEFAULT_MODELS), (["--models", "stam"], ("stam",))):
        assert run(["--help", *words], train_folds.flags) == (0, None)
        text = capsys.readouterr().out
        for name in MODELS:
            assert (f"\n{name.replace('_', '-')}: " in text) == (name in shown), name
        assert ("Fraction of channels dropped " in text) == bool(words), "explained where it is named"


def test_a_model_that_is_unknown_or_none_at_all_is_wrong_usage(capsys, tmp_path):
    message = refused(capsys, "--models", "stgcn")
    assert message.startswith("error: --models stgcn is unknown; the nearest is stgcn_mil, of lgbm, rocket,")
    for words in (["--models"], ["--models", ","], ["--models="]):
        assert app.run(train_folds.main, train_folds.flags, "", [*words, "--run", str(tmp_path / "run")]) == 2
        assert capsys.readouterr().err.startswith("error: --models names no model; there are lgbm, rocket,")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flag", "suggestions"),
    [
        ("--stgcn-mil.epoch", ["--stgcn-mil.epochs"]),
        ("--epochs", ["--stgcn-mil.epochs"]),
        ("--epoch", ["--stgcn-mil.epochs"]),
        ("--num-epochs", ["--stgcn-mil.epochs"]),
        ("--lgbm.learning-rte", ["--lgbm.learning-rate"]),
        ("--lr", ["--lgbm.learning-rate", "--stgcn-mil.learning-rate"]),
        ("--learning_rate", ["--lgbm.learning-rate", "--stgcn-mil.learning-rate"]),
        ("--stgcn.lr", ["--stgcn-mil.learning-rate"]),
        ("--batch-size", ["--stgcn-mil.batch"]),
        ("--batch", ["--stgcn-mil.batch"]),
        ("--n-estimators", ["--lgbm.num-boost-round"]),
        ("--fold-sed", ["--fold-seed"]),
        ("--blend.averagings", ["--blend.averaging"]),
        ("--model", ["--models", "--blend.models"]),
        ("--output", ["--run"]),
        ("--input", ["--data"]),
        ("--data-dir", ["--data"]),
        ("--seeds", ["--seed"]),
        ("--random-state", ["--seed"]),
        ("--n-folds", ["--folds"]),
        ("--k", ["--folds"]),
        ("--n-jobs", ["--workers"]),
        ("--threads", ["--workers"]),
        ("--threshold", ["--blend.threshold-rule"]),
        ("--no-repprt", ["--report"]),
        ("--config", ["--settings"]),
        ("-o", ["--run"]),
    ],
)
def test_an_unknown_flag_stops_with_the_flags_that_were_meant(capsys, flag, suggestions):
    message = refused(capsys, flag, 3)
    assert f"error: {flag} is unknown; did you mean {' or '.join(suggestions)}? (" in message
    assert "--help lists the flags" in message


@pytest.mark.parametrize(
    ("script", "flag", "suggestions"),
    [
        ("submission.py", "--output", ["--out", "--run"]),
        ("submission.py", "--input", ["--test"]),
        ("src/compare.py", "--seed", ["--seeds"]),
        ("src/tune.py", "--models", ["--model"]),
        ("src/tune.py", "--n-trials", ["--trials"]),
        ("src/timeline.py", "--videos", ["RECORDINGS"]),
        ("src/timeline.py", "--stride", ["--stride-s"]),
        ("src/timeline.py", "--threshold", ["--sum-threshold", "--event-on"]),
        ("src/simulate.py", "--patients", ["--children"]),
    ],
)
def test_only_flags_that_a_script_has_are_suggested(capsys, script, flag, suggestions):
    message = refused(capsys, flag, 3, flags=flags_of(script))
    assert f"{flag} is unknown; did you mean {' or '.join(suggestions)}? (" in message


@EVERY_SCRIPT
def test_whatever_is_unknown_no_flag_is_suggested_that_the_script_does_not_have(script):
    flags, _ = flags_module.flags_of(settings_of(script), isinstance(flags_of(script), type))
    pairs = [(flag.name, flag.leaf) for flag in flags]
    for name in {name for names in SYNONYMS.values() for name in names}:
        assert set(suggestions(f"--{name}", pairs)) <= {flag.name for flag in flags}


def test_a_flag_without_anything_alike_is_unknown_and_the_help_is_named(capsys):
    assert refused(capsys, "--verbose").endswith("--help lists the flags)")
    assert "did you mean" not in refused(capsys, "--verbose")


def test_a_flag_of_a_model_that_is_not_trained_names_the_model(capsys):
    message = refused(capsys, "--stam.epochs", "3")
    assert "--stam.epochs belongs to stam, which is not in --models; add it: --models stam" in message


@pytest.mark.parametrize(
    ("words", "meant"),
    [(["--device", "gpu"], "cuda"), (["--device", "GPU"], "cuda"), (["--device", "cpus"], "cpu"),
     (["--precision", "bf16"], "bfloat16"), (["--stgcn-mil.head", "attention"], "attn"),
     (["--stgcn-mil.loss", "focl"], "focal")],
)  # fmt: skip
def test_a_value_that_is_not_among_the_choices_is_met_by_the_choices_and_the_nearest(capsys, words, meant):
    message = refused(capsys, *words)
    assert f"{words[0]} cannot be {words[1]!r}; it is " in message
    assert f"did you mean {meant}? (" in message


@pytest.mark.parametrize("words", [["train"], ["--models", "lgbm", "--stgcn-mil.epochs", "3"], ["--stam.epochs", "3"]])
def test_a_word_that_belongs_to_no_flag_of_the_named_models_stops(capsys, words):
    message = refused(capsys, *words)
    assert "belongs to no flag" in message or "which is not in --models" in message


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--stgcn-mil.epochs", "three"),
        ("--stgcn-mil.epochs", "3.5"),
        ("--stgcn-mil.epochs", "True"),
        ("--stgcn-mil.learning-rate", "fast"),
        ("--stgcn-mil.root", "held"),
        ("--blend.averaging", "mean"),
        ("--device", "tpu"),
        ("--fold", "first"),
    ],
)
def test_a_value_of_the_wrong_type_stops_with_the_flags_name(capsys, flag, value):
    message = refused(capsys, flag, value)
    assert flag in message
    assert value in message


def test_a_flag_without_its_value_stops(capsys):
    assert "--stgcn-mil.epochs" in refused(capsys, "--stgcn-mil.epochs")
    assert "--settings needs a file" in refused(capsys, "--settings")


@pytest.mark.parametrize(
    ("flag", "value", "nearest"),
    [
        ("--stgcn-mil.steps", "0", "1"),
        ("--stgcn-mil.epochs", "-3", "0"),
        ("--stgcn-mil.epochs", "10001", "10000"),
        ("--stgcn-mil.learning-rate", "2", "1"),
        ("--stgcn-mil.learning-rate", "0", "1e-06"),
        ("--stgcn-mil.learning-rate", "inf", "1"),
        ("--stgcn-mil.dropout", "1", "0.9"),
        ("--stgcn-mil.mirror-prob", "-0.1", "0"),
        ("--stgcn-mil.kernel", "8", "7"),
        ("--stgcn-mil.kernel", "0", "1"),
        ("--lgbm.num-boost-round", "0", "1"),
        ("--lgbm.bagging-fraction", "0", "0.1"),
        ("--rocket.augmented-copies", "17", "16"),
        ("--blend.prevalence", "0", "0.001"),
        ("--frames", "15", "16"),
        ("--folds", "1", "2"),
        ("--fold", "-1", "0"),
        ("--fold", "100", "99"),
        ("--seed", str(2**31), str(2**31 - 1)),
        ("--prevalence", "1", "0.999"),
        ("--abstain", "1.5", "1"),
    ],
)
def test_a_value_out_of_range_stops_with_its_name_and_the_nearest_valid_one(capsys, flag, value, nearest):
    flags = Submission if flag in ("--prevalence", "--abstain") else train_folds.flags
    message = refused(capsys, flag, value, flags=flags)
    assert re.match(rf"error: {flag} -?\S+ is (below|above|not odd)", message)
    assert re.search(r"the nearest valid value is (\S+)$", message)[1] in (nearest, f"{float(nearest)}")
    parsed(flag, nearest, flags=flags)


@pytest.mark.parametrize("flag", ["--stgcn-mil.learning-rate", "--blend.prevalence"])
def test_a_number_that_is_none_stops_with_its_flag(capsys, flag):
    assert flag in refused(capsys, flag, "nan")


def test_a_flag_that_two_models_have_is_named_as_it_was_given(capsys):
    for name in ("lgbm", "stgcn-mil"):
        message = refused(capsys, f"--{name}.learning-rate", 2, "--stgcn-mil.epochs", 3)
        assert message == f"error: --{name}.learning-rate 2.0 is above 1.0; the nearest valid value is 1.0"
    assert refused(capsys, "--stgcn-mil.epochs=-1").startswith("error: --stgcn-mil.epochs -1 is below 0")


def test_a_fold_and_a_prevalence_need_not_be_named():
    assert parsed().fold is None
    assert parsed("--fold", "None").fold is None
    assert parsed("--fold", "0").fold == 0
    assert parsed(flags=Submission) == parsed("--prevalence", "None", flags=Submission)
    assert parsed() == parsed("--blend.prevalence", "None")
    assert parsed("--blend.prevalence", "0.2").blend.prevalence == 0.2


@pytest.mark.parametrize("header", ["=1+1", "a,b", "", "näme", "two\nlines"])
def test_a_header_that_is_no_plain_name_stops_with_a_valid_one(capsys, header):
    message = refused(capsys, "--header", header, flags=Submission)
    assert "--header" in message
    nearest = message.split("the nearest valid value is ")[1].split()[0]
    assert parsed("--header", nearest, flags=Submission).header == nearest


def test_flags_that_do_not_fit_each_other_stop(capsys):
    with pytest.raises(SettingsError, match=r"--event-off 0\.97 is above --event-on; the nearest valid value is 0\.95"):
        Hysteresis(event_off=0.97)
    for words, flags, main in (
        (["--fold", "4", "--folds", "4"], train_folds.flags, train_folds.main),
        (["--out", "labels.txt"], Submission, submission.main),
        (["--prevalence", "0.1", "--adapt-prevalence"], Submission, submission.main),
    ):
        assert app.run(main, flags, "", words) == 2
        assert capsys.readouterr().err.startswith(f"error: {words[0]} ")


# ---- a file of settings


@pytest.mark.parametrize(
    "tree",
    [
        {"run": "elsewhere", "fold_seed": 5, "blend": {"prevalence": 0.3},
         "stgcn_mil": {"epochs": 4, "body_scale": True}},
        {"run": "elsewhere", "fold-seed": 5, "blend": {"prevalence": 0.3},
         "stgcn_mil": {"optimization": {"epochs": 4}, "features": {"body_scale": True}}},
    ],
    ids=["flat", "nested"],
)  # fmt: skip
def test_a_settings_file_stands_for_its_flags(tmp_path, tree):
    expected = parsed("--run", "elsewhere", "--fold-seed", 5, "--blend.prevalence", 0.3,
                      "--stgcn-mil.epochs", 4, "--stgcn-mil.body-scale")  # fmt: skip
    assert parsed("--settings", settings_file(tmp_path, tree)) == expected
    assert parsed(f"--settings={settings_file(tmp_path, tree)}") == expected


@pytest.mark.parametrize("name", MODELS)
def test_a_manifest_brings_its_model_and_its_settings(tmp_path, name):
    values = {key: OTHER[key] for key in list(leaves(MODELS[name].config())) if key in OTHER}
    config = changed(MODELS[name].config(), **values)
    assert config != MODELS[name].config()
    manifest = {"schema": 2, "model": name, "settings": to_tree(config), "environment": {"threads": 1}}
    settings = parsed("--settings", settings_file(tmp_path, manifest))
    assert (settings.models, getattr(settings, name)) == ((name,), config)
    beside = parsed("--settings", settings_file(tmp_path, manifest), "--models", name, "lgbm")
    assert (beside.models, getattr(beside, name)) == ((name, "lgbm"), config)


def test_a_trained_runs_manifest_trains_the_same_again(trained, tmp_path):
    settings = parsed("--settings", trained / "stgcn_mil/manifest.json")
    manifest = json.loads((trained / "stgcn_mil/manifest.json").read_text())
    assert to_tree(settings.stgcn_mil) == manifest["settings"]


def test_the_result_of_a_search_is_a_settings_file(tmp_path):
    best = {"model": "lgbm", "settings": to_tree(changed(MODELS["lgbm"].config(), num_leaves=3)), "f1": 0.8}
    settings = parsed("--settings", settings_file(tmp_path, best))
    assert (settings.models, settings.lgbm.num_leaves) == (("lgbm",), 3)


def test_null_and_lists_in_a_settings_file(tmp_path):
    assert parsed("--settings", settings_file(tmp_path, {"fold": None})).fold is None
    path = settings_file(tmp_path, {"models": ["lgbm", "stam"], "blend": {"models": ["stam"], "prevalence": None}})
    settings = parsed("--settings", path)
    assert (settings.models, settings.blend) == (("lgbm", "stam"), Blend(models=("stam",)))


@pytest.mark.parametrize("at", [0, 2])
def test_the_users_flags_win_over_the_file_wherever_they_stand(tmp_path, at):
    argv = ["--stgcn-mil.epochs", "7"]
    argv[at:at] = ["--settings", str(settings_file(tmp_path, {"stgcn_mil": {"epochs": 4, "batch": 8}}))]
    assert parsed(*argv).stgcn_mil == changed(StgcnMilConfig(), epochs=7, batch=8)


def test_a_switch_in_a_settings_file_can_be_turned_round(tmp_path):
    path = settings_file(tmp_path, {"report": False, "rocket": {"body_scale": False}})
    assert (parsed("--settings", path).report, parsed("--settings", path).rocket.features.body_scale) == (False, False)
    both = parsed("--settings", path, "--report", "--rocket.body-scale")
    assert (both.report, both.rocket.features.body_scale) == (True, True)


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"epochs": 3}, ["--epochs is unknown"]),
        ({"stgcn_mil": {"epochz": 3}}, ["--stgcn-mil.epochz is unknown"]),
        ({"stam": {"epochs": 3}}, ["--stam.epochs belongs to stam"]),
        ({"stgcn_mil": {"epochs": "three"}}, ["--stgcn-mil.epochs", "three"]),
        ({"stgcn_mil": {"epochs": True}}, ["--stgcn-mil.epochs"]),
        ({"stgcn_mil": {"epochs": 2.5}}, ["--stgcn-mil.epochs", "2.5"]),
        ({"stgcn_mil": {"epochs": None}}, ["--stgcn-mil.epochs", "None"]),
        ({"stgcn_mil": {"epochs": [1, 2]}}, ["2"]),
        ({"stgcn_mil": {"epochs": []}}, ["--stgcn-mil.epochs"]),
        ({"stgcn_mil": {"steps": 0}}, ["--stgcn-mil.steps 0 is below", "nearest valid value is 1"]),
        ({"blend": {"prevalence": 0}}, ["--blend.prevalence 0", "nearest valid value is 0.001"]),
        ({"report": 1}, ["--report is a switch"]),
        ({"settings": "other.json"}, ["--settings"]),
        ({"model": "gru", "settings": {}}, ["--models gru is unknown"]),
        ({"model": "lgbm", "settings": {"leaves": 3}}, ["--lgbm.leaves is unknown", "did you mean --lgbm.num-leaves"]),
    ],
)
def test_a_settings_file_is_checked_as_flags_are(tmp_path, capsys, tree, words):
    message = refused(capsys, "--settings", settings_file(tmp_path, tree))
    for word in words:
        assert word in message


@pytest.mark.parametrize("text", ["", "{", "[1]", '"epochs"', "3", "null", "epochs: 3", "[" * 100_000])
def test_a_settings_file_that_holds_no_json_object_stops_with_its_name(tmp_path, capsys, text):
    path = settings_file(tmp_path, text)
    message = refused(capsys, "--settings", path)
    assert f"--settings {path}" in message.replace("- ", "-")


def test_a_settings_file_that_cannot_be_read_stops_with_its_name(tmp_path, capsys):
    assert "nowhere.json: not a readable" in refused(capsys, "--settings", tmp_path / "nowhere.json")
    assert "not a readable" in refused(capsys, "--settings", tmp_path)
    (tmp_path / "latin.json").write_bytes(b'{"run": "\xe9"}')
    assert "not a readable" in refused(capsys, "--settings", tmp_path / "latin.json")


# ---- settings in files that the software wrote


@pytest.mark.parametrize(
    ("group", "name", "value", "words"),
    [
        ("optimization", "epochs", True, "--epochs cannot be True"),
        ("optimization", "epochs", 3.5, "--epochs cannot be 3.5"),
        ("optimization", "epochs", "3", "--epochs cannot be '3'"),
        ("optimization", "epochs", None, "--epochs cannot be None"),
        ("optimization", "steps", 0, "--steps 0 is below 1"),
        ("optimization", "learning_rate", True, "--learning-rate cannot be True"),
        ("optimization", "learning_rate", float("nan"), "--learning-rate"),
        ("optimization", "loss", "hinge", "--loss cannot be 'hinge'"),
        ("optimization", "loss", ["plain"], "--loss cannot be"),
        ("features", "body_scale", 1, "--body-scale cannot be 1"),
        (None, "kernel", 4, "--kernel 4 is not odd; the nearest valid value is 3"),
        (None, "depth", 4, "--depth is unknown"),
        ("features", "depth", 4, "--depth is unknown"),
        (None, "features", None, "--features cannot be None"),
    ],
)
def test_a_tree_with_a_wrong_key_type_or_range_is_refused_by_name(group, name, value, words):
    tree = to_tree(StgcnMilConfig())
    (tree[group] if group else tree)[name] = value
    with pytest.raises(SettingsError, match=re.escape(words)):
        from_tree(StgcnMilConfig, tree)


@pytest.mark.parametrize(
    ("name", "value"),
    [("averaging", "mean"), ("prevalence", 0.0), ("prevalence", "0.2"), ("prevalence", True), ("child_context", 0),
     ("threshold_rule", None), ("models", "lgbm"), ("models", [1])],
)  # fmt: skip
def test_a_blend_with_a_wrong_value_is_refused(name, value):
    with pytest.raises(SettingsError, match=name.replace("_", "-")):
        from_tree(Blend, to_tree(Blend()) | {name: value})


@pytest.mark.parametrize("tree", [None, [], "x", 5, {"optimization": {}}, {"features": {"root": {}}}])
def test_a_tree_of_another_shape_is_refused(tree):
    with pytest.raises(SettingsError):
        from_tree(StgcnMilConfig, tree)


@pytest.mark.parametrize("name", ["ema", "kernel", "features"])
def test_a_tree_that_lacks_a_setting_is_refused(name):
    tree = to_tree(StgcnMilConfig())
    del (tree["optimization"] if name == "ema" else tree)[name]
    with pytest.raises(SettingsError, match="are not those of this version"):
        from_tree(StgcnMilConfig, tree)


def test_settings_of_a_blend_come_back_from_json():
    for blend in (Blend(), Blend(models=("stam", "vsvig"), prevalence=0.25, averaging="percentile")):
        assert from_tree(Blend, json.loads(json.dumps(to_tree(blend)))) == blend


def test_settings_cannot_be_changed():
    for settings in (Blend(), Train(), Submission(), *(model.config() for model in MODELS.values())):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(settings, dataclasses.fields(settings)[0].name, None)


# ---- every field has an effect

FRAMES = 45
# Small enough for a few seconds in all. Every random change is on, so that its size shows.
CHANGES = {"gap_prob": 0.5, "drop_landmark_prob": 0.1, "drop_limb_prob": 0.1}
SMALL = {
    "lgbm": {"num_boost_round": 5, "min_data_in_leaf": 2},
    "rocket": CHANGES,
    "stgcn_mil": {"width": 4, "blocks": 2, "epochs": 2, "steps": 44, "batch": 6, **CHANGES},
}
OF_PICTURES = {"width": 4, "epochs": 1, "batch": 6}
BASES = {
    name: changed(
        model.config(),
        **SMALL.get(name, OF_PICTURES if model.pictures else {"width": 4, "epochs": 1, "batch": 6, **CHANGES}),
    )
    for name, model in MODELS.items()
}
# test_two_stream.py shows what it does, with a file.
ELSEWHERE = {("two_stream", "weights"), ("two_stream_pictures", "weights")}
# Another valid value of each number; the values of Literal and bool fields are found by themselves.
OTHER = {
    "aspect": 1.5,
    "mirror_prob": 0.0, "rotation_deg": 60.0, "zoom": 0.5, "aspect_jitter": 0.0, "shift_frames": 2, "jitter": 0.05,
    "drop_landmark_prob": 0.4, "drop_limb_prob": 0.6, "gap_prob": 0.0, "gap_frames": 3,
    "shift": 0.3, "brightness": 0.9, "tint": 0.7, "shift_steps": 0,
    "width": 6, "blocks": 3, "kernel": 5, "dropout": 0.5, "triplet": 2.0,
    "epochs": 1, "steps": 50, "batch": 4, "learning_rate": 0.01, "weight_decay": 0.5, "focal_gamma": 4.0, "ema": 0.0,
    "clip_norm": 0.01, "mixup": 1.0,
    "num_boost_round": 6, "num_leaves": 2, "min_data_in_leaf": 5, "feature_fraction": 0.9, "bagging_fraction": 0.5,
    "lambda_l2": 10.0,
    "biases_per_kernel": 3, "augmented_copies": 0,
}  # fmt: skip
NEEDS = {
    "focal_gamma": {"loss": "focal"},
    "body_scale": {"frame": "camera"},
    "steps": {"epochs": 0},
}  # fields that act only together with another one


def annotations(settings_class: Any) -> dict[str, Any]:
    """The types of all fields that hold a value, at any depth."""
    found: dict[str, Any] = {}
    for name, annotation in typing.get_type_hints(settings_class).items():
        found |= annotations(annotation) if dataclasses.is_dataclass(annotation) else {name: annotation}
    return found


def shown(model: str) -> dict[str, Any]:
    """The fields that must show an effect on a model; what all networks share is shown on the ST-GCN."""
    fields = annotations(MODELS[model].config)
    if isinstance(MODELS[model], NetworkModel) and model != "stgcn_mil":
        shared = annotations(Optimization) if MODELS[model].pictures else annotations(NetworkConfig)
        fields = {name: annotation for name, annotation in fields.items() if name not in shared}
    return fields


def other_values(model: str, name: str, annotation: Any) -> list[Any]:
    """Values to change a field to; empty where a new field has none yet, which fails a test."""
    default = leaves(BASES[model])[name]
    if typing.get_origin(annotation) is Literal:
        return [value for value in typing.get_args(annotation) if value != default]
    if annotation is bool:
        return [not default]
    return [OTHER[name]] if name in OTHER else []


CASES = [
    pytest.param(model, name, value, id=f"{model}-{name}={value}")
    for model in MODELS
    for name, annotation in shown(model).items()
    for value in other_values(model, name, annotation)
]


def gappy_poses() -> np.ndarray:
    """Poses (12, FRAMES, 33, 5) float32 of moving bodies; landmarks are missing, the hips for a while."""
    generator = np.random.default_rng(0)
    poses = np.repeat(generator.uniform(0.2, 0.8, (12, 1, 33, 5)), FRAMES, 1)
    poses[:, :, 11:13, 1], poses[:, :, 23:25, 1] = 0.3, 0.6
    poses[..., :3] += generator.normal(0, 0.01, (12, FRAMES, 33, 3)).cumsum(1)
    poses[generator.random((12, FRAMES, 33)) < 0.05] = np.nan
    poses[:, 10:18, 23:25] = np.nan
    return poses.astype(np.float32)


@pytest.fixture(scope="module")
def predicted(tmp_path_factory) -> typing.Callable[[str, Any], bytes]:
    """A function from a model and its settings to what it predicts once it is trained."""
    names, children = tuple(f"child_{i}_1.npy" for i in range(12)), tuple(str(i) for i in range(12))
    labels = (np.arange(12) % 3 == 0).astype(np.int64)
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(folder, names, labels, FRAMES)
    data = TrainingData(names, children, labels, gappy_poses(), np.ones(12, bool), "", {}, False, folder=folder)
    rows = np.arange(12)

    def predict(name: str, config: Any) -> bytes:
        model = MODELS[name]
        fitted = model.fit(FoldJob(data, rows, config, seed=0, fold=0, hardware=FLOAT32))
        return model.predictor(fitted, config, FLOAT32).predict(data.poses, rows, data.pictures).logits.tobytes()

    return predict


def test_every_field_of_a_model_has_a_case():
    covered = {tuple(case.values[:2]) for case in CASES}
    wanted = {(model, name) for model in MODELS for name in shown(model)}
    assert covered | ELSEWHERE == wanted, "give the new field another value in OTHER"
    assert shown("sta_gunet").keys() == {"width", "kernel", "dropout", "triplet"}, StaGunetConfig


@pytest.mark.parametrize("model", BASES)
def test_the_same_settings_give_the_same_model(predicted, model):
    assert predicted(model, BASES[model]) == predicted(model, BASES[model])


@pytest.mark.slow
@pytest.mark.parametrize(("model", "name", "value"), CASES)
def test_every_field_has_an_effect(predicted, model, name, value):
    base = changed(BASES[model], **NEEDS.get(name, {}))
    other = changed(base, **{name: value})
    assert other != base
    assert predicted(model, other) != predicted(model, base)


# `models` acts in decide.py.
BLENDS = [("averaging", "probability"), ("averaging", "percentile"), ("child_context", True),
          ("threshold_rule", "observed"), ("prevalence", 0.1)]  # fmt: skip


def test_every_field_of_a_blend_has_a_case():
    names = {field.name for field in dataclasses.fields(Blend)}
    assert {name for name, _ in BLENDS} | {"models"} == names


@pytest.mark.parametrize(("name", "value"), BLENDS)
def test_every_field_of_a_blend_has_an_effect(name, value):
    generator = np.random.default_rng(0)
    labels, children = np.tile([0, 0, 1], 40), np.repeat([str(child) for child in range(12)], 10)
    logits = {
        model: generator.normal(2 * labels - 1, spread) for model, spread in zip("abc", (1.0, 1.5, 2.0), strict=True)
    }
    rows = OofScores(logits, children, np.ones(120, bool))
    base = Blend()
    before, after = (fit_blend(rows, labels, each) for each in (base, dataclasses.replace(base, **{name: value})))
    assert before != after
    assert before == fit_blend(rows, labels, base)
