"""Settings and the command line made from them: what is refused, how, and that every field has an effect."""

import dataclasses
import json
import re
import signal
import typing
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from blend import BlendMembers
from train_lgbm import TrainLgbm
from train_rocket import TrainRocket

import simulate
from benchmarks.published import BenchmarkPublished
from benchmarks.recordings import BenchmarkTimeline
from benchmarks.stgcn import Benchmark
from build_pose_models import PoseModel
from check_simulation import Calibrate
from compare import Compare
from evaluate_held_out import Transfer
from evaluate_label_shift import ShiftPrevalence
from export_dataset import Convert
from extract_pose import ExtractPose
from plot_stam_attention import DrawAttention
from report import Report
from robustness import Robustness
from simulate import Simulate
from spasm.cli import app
from spasm.cli.train import Train
from spasm.config import fields as settings_module
from spasm.config.data import Data, Folds
from spasm.config.ensemble import Blend
from spasm.config.fields import Checked, SettingsError, from_tree
from spasm.config.models import (
    MEMBERS,
    SIZES,
    Augmentation,
    Boosting,
    Convolutions,
    Features,
    Fit,
    LgbmMember,
    Member,
    Network,
    RocketMember,
)
from spasm.config.runtime import RunData
from spasm.core.errors import TrainingError
from spasm.data.dataset import TrainingData
from spasm.ensemble import blending
from spasm.models import lgbm, rocket
from spasm.models.networks import NETWORKS
from spasm.training.trainer import FoldTrainer
from submission import Submission
from timeline import Timeline
from train_folds import TrainFolds
from tune import Tune
from verify import Verify

torch.set_num_threads(1)

SCRIPTS = (TrainFolds, TrainLgbm, TrainRocket, BlendMembers, Compare, Tune, Transfer, Robustness,
           ShiftPrevalence, Submission, Benchmark, BenchmarkPublished, BenchmarkTimeline, Verify, Simulate, Calibrate,
           Convert, DrawAttention, Report, Timeline, PoseModel, ExtractPose)  # fmt: skip


@pytest.fixture(autouse=True)
def _sigterm_as_before():
    """`app.run` sets a handler, which must not outlive the test."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def run(argv, settings_class=TrainFolds):
    """Exit code and the settings that arrived, None where the script did not start."""
    arrived = []
    try:
        code = app.run(lambda settings: arrived.append(settings) or 0, settings_class, "A script.", argv)
    except SystemExit as stop:
        code = stop.code
    return code, arrived[0] if arrived else None


def parsed(*argv, settings_class=TrainFolds):
    code, settings = run([str(part) for part in argv], settings_class)
    assert code == 0
    return settings


def refused(capsys, *argv, settings_class=TrainFolds):
    """The message of a refusal with exit code 2, without tyro's frame and line breaks."""
    assert run([str(part) for part in argv], settings_class) == (2, None)
    captured = capsys.readouterr()
    assert captured.out == ""
    return " ".join(re.sub(r"[╭╮╰╯│─]", " ", captured.err).split())


def settings_file(folder, tree):
    path = folder / "settings.json"
    path.write_text(tree if isinstance(tree, str) else json.dumps(tree))
    return path


def num_leaves(settings_class):
    """Name and annotation of every field below a settings class that holds a value."""
    for name, annotation in typing.get_type_hints(settings_class, include_extras=True).items():
        if dataclasses.is_dataclass(annotation):
            yield from num_leaves(annotation)
        else:
            yield name, annotation


# ---- flags


def test_without_flags_the_defaults_arrive():
    for settings_class in SCRIPTS:
        assert parsed(settings_class=settings_class) == settings_class()


def test_a_flag_changes_its_field_and_no_other():
    expected = dataclasses.replace(TrainFolds(), member=Member(fit=Fit(epochs=3)), run=Path("elsewhere"))
    assert parsed("--epochs", 3, "--run", "elsewhere") == expected
    assert parsed("--body-scale", "True").member.features == Features(body_scale=True)


def test_a_switch_needs_no_value_and_takes_one():
    assert parsed("--report", settings_class=Submission) == Submission(report=True)
    assert parsed("--report", "--max-players", 7, settings_class=Submission) == Submission(report=True, max_players=7)
    assert parsed("--body-scale", "--epochs", 3).member.features == Features(body_scale=True)
    assert parsed("--max-players", 7, "--report", "False", settings_class=Submission) == Submission(max_players=7)


def test_the_flags_that_others_rely_on_exist():
    settings = parsed("--data", "d", "--run", "r", "--model", "stgcn_mil", "--frames", 100, "--epochs", 2, "--folds", 4,
                      "--fold", 1, "--workers", 2, "--seed", 3, "--fold-seed", 4, "--folds-file", "f.csv")  # fmt: skip
    assert settings.read == Data(data=Path("d"), frames=100)
    assert settings.split == Folds(folds=4, fold_seed=4, folds_file=Path("f.csv"))
    assert (settings.run, settings.fold, settings.workers, settings.seed) == (Path("r"), 1, 2, 3)
    assert settings.member == Member(fit=Fit(epochs=2))
    answer = parsed("--test", "t", "--run", "r", "--out", "o.csv", "--header", "file_name", settings_class=Submission)
    assert answer == Submission(test=Path("t"), run=Path("r"), out=Path("o.csv"), header="file_name")
    shifted = parsed("--prevalence", 0.1, "--adapt-prevalence", "True", "--abstain", 0.3, settings_class=Submission)
    assert shifted == Submission(prevalence=0.1, adapt_prevalence=True, abstain=0.3)
    blended = parsed(
        "--run", "r", "--members", "lgbm", "rocket", "--averaging", "percentile", settings_class=BlendMembers
    )
    assert blended == BlendMembers(run=Path("r"), members=("lgbm", "rocket"), blend=Blend(averaging="percentile"))
    for settings_class in (TrainLgbm, TrainRocket):
        other = parsed("--data", "d", "--run", "r", "--folds", 4, "--seed", 3, settings_class=settings_class)
        assert (other.read.data, other.run, other.split.folds, other.seed) == (Path("d"), Path("r"), 4, 3)
    held_out = parsed(
        "--data", "d", "--out", "o", "--group-column", "cohort", "--members", "lgbm", settings_class=Transfer
    )
    assert held_out == Transfer(read=Data(data=Path("d")), out=Path("o"), by="cohort", members=("lgbm",))
    drawn = parsed("--out", "d", "--children", 5, "--segments-per-child", 2, "--seed", 1, settings_class=Simulate)
    assert drawn == Simulate(out=Path("d"), children=5, segments_per_child=2, seed=1)
    assert parsed("--data", "d", "--frames", 90, settings_class=Verify).read == Data(data=Path("d"), frames=90)


def test_help_names_every_flag_and_its_default(capsys):
    for settings_class in SCRIPTS:
        assert run(["--help"], settings_class) == (0, None)
        text = " ".join(capsys.readouterr().out.split())  # without line breaks
        for name, _ in num_leaves(settings_class):
            assert name in ("recordings", "videos") or f"--{name.replace('_', '-')} " in text, "those need no flag"
        assert text.count("(default: ") == len(list(num_leaves(settings_class)))


@pytest.mark.parametrize("flag", ["--epoch", "--learning-rte", "--fold-sed"])
def test_an_unknown_flag_stops_with_a_suggestion(capsys, flag):
    message = refused(capsys, flag, 3)
    assert f"Unrecognized options: {flag}" in message
    suggestion = {"--epoch": "--epochs", "--learning-rte": "--learning-rate", "--fold-sed": "--fold-seed"}[flag]
    assert re.search(f"Perhaps you meant: .*{suggestion} ", message)


def test_a_word_that_belongs_to_no_flag_stops(capsys):
    assert "Unrecognized" in refused(capsys, "train")


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--epochs", "three"),
        ("--epochs", "3.5"),
        ("--epochs", "True"),
        ("--learning-rate", "fast"),
        ("--body-scale", "1"),
        ("--root", "held"),
        ("--model", "other"),
        ("--fold", "first"),
    ],
)
def test_a_value_of_the_wrong_type_stops_with_the_flags_name(capsys, flag, value):
    message = refused(capsys, flag, value)
    assert flag in message
    assert value in message


def test_a_flag_without_its_value_stops(capsys):
    assert "--epochs" in refused(capsys, "--epochs")
    assert "--settings needs a file" in refused(capsys, "--settings")


@pytest.mark.parametrize(
    ("flag", "value", "nearest"),
    [
        ("--epochs", "0", "1"),
        ("--epochs", "-3", "1"),
        ("--epochs", "10001", "10000"),
        ("--learning-rate", "2", "1"),
        ("--learning-rate", "0", "1e-06"),
        ("--learning-rate", "nan", "1e-06"),
        ("--learning-rate", "inf", "1"),
        ("--dropout", "1", "0.9"),
        ("--mirror-prob", "-0.1", "0"),
        ("--frames", "15", "16"),
        ("--folds", "1", "2"),
        ("--fold", "-1", "0"),
        ("--fold", "100", "99"),
        ("--seed", str(2**31), str(2**31 - 1)),
        ("--kernel", "8", "7"),
        ("--kernel", "0", "1"),
        ("--segments-per-child", "0", "1"),
        ("--prevalence", "0", "0.001"),
        ("--prevalence", "1", "0.999"),
        ("--prevalence", "nan", "0.001"),
        ("--abstain", "1.5", "1"),
        ("--num-boost-round", "0", "1"),
        ("--bagging-fraction", "0", "0.1"),
        ("--augmented-copies", "17", "16"),
        ("--blend-trials", "0", "1"),
        ("--seeds", "0", "1"),
    ],
)
def test_a_value_out_of_range_stops_with_its_name_and_the_nearest_valid_one(capsys, flag, value, nearest):
    name = flag[2:].replace("-", "_")
    settings_class = next(script for script in SCRIPTS if name in dict(num_leaves(script)))
    message = refused(capsys, flag, value, settings_class=settings_class)
    assert re.search(rf"{flag} -?\S+ is (outside|not odd)", message)
    assert f"the nearest valid value is {nearest} " in f"{message} "
    parsed(flag, nearest, settings_class=settings_class)


def test_a_fold_need_not_be_named():
    assert parsed().fold is None
    assert parsed("--fold", "None").fold is None
    assert parsed("--fold", "0").fold == 0


def test_a_prevalence_need_not_be_named():
    for settings_class in (Submission, BlendMembers):
        assert parsed(settings_class=settings_class) == parsed("--prevalence", "None", settings_class=settings_class)
    assert parsed("--prevalence", "0.2", settings_class=BlendMembers).blend.prevalence == 0.2


@pytest.mark.parametrize("header", ["=1+1", "a,b", "", "näme", "two\nlines"])
def test_a_header_that_is_no_plain_name_stops_with_a_valid_one(capsys, header):
    message = refused(capsys, "--header", header, settings_class=Submission)
    assert "--header" in message
    nearest = message.split("the nearest valid value is ")[1].split()[0]
    assert parsed("--header", nearest, settings_class=Submission).header == nearest


# ---- a file of settings


@pytest.mark.parametrize(
    "tree",
    [
        {"epochs": 4, "learning_rate": 0.01, "body_scale": True, "run": "elsewhere"},
        {"run": "elsewhere", "member": {"fit": {"epochs": 4, "learning_rate": 0.01}, "features": {"body_scale": True}}},
        {"run": "elsewhere", "learning-rate": 1e-2, "fit": {"epochs": 4}, "features": {"body_scale": True}},
    ],
    ids=["flat", "nested", "mixed"],
)
def test_a_settings_file_is_read_flat_or_nested(tmp_path, tree):
    expected = parsed("--epochs", 4, "--learning-rate", 0.01, "--body-scale", "True", "--run", "elsewhere")
    assert parsed("--settings", settings_file(tmp_path, tree)) == expected
    assert parsed(f"--settings={settings_file(tmp_path, tree)}") == expected


def test_the_settings_of_a_manifest_can_be_given_back_as_a_file(tmp_path):
    member = Member(
        features=Features(aspect=1.7),
        augmentation=Augmentation(gap_prob=0.5),
        network=Network(width=12, head="topk"),
        fit=Fit(ema=0.5),
    )
    assert parsed("--settings", settings_file(tmp_path, dataclasses.asdict(member))).member == member


@pytest.mark.parametrize(
    ("settings_class", "member"),
    [
        (TrainLgbm, LgbmMember(Boosting(num_boost_round=7, gap_features=True))),
        (
            TrainRocket,
            RocketMember(convolutions=Convolutions(augmented_copies=0), augmentation=Augmentation(gap_prob=0.5)),
        ),
    ],
)
def test_so_can_those_of_every_other_member(tmp_path, settings_class, member):
    manifest = {"member": "x", "settings": dataclasses.asdict(member), "threads": 1}
    assert parsed("--settings", settings_file(tmp_path, manifest), settings_class=settings_class).member == member


def test_null_in_a_settings_file_leaves_an_optional_setting_out(tmp_path):
    assert parsed("--settings", settings_file(tmp_path, {"fold": None})).fold is None


def test_a_list_in_a_settings_file_is_a_flag_with_several_values(tmp_path):
    path = settings_file(tmp_path, {"members": ["lgbm", "rocket"]})
    assert parsed("--settings", path, settings_class=BlendMembers).members == ("lgbm", "rocket")


@pytest.mark.parametrize("at", [0, 2])
def test_the_users_flags_win_over_the_file_wherever_they_stand(tmp_path, at):
    argv = ["--epochs", "7"]
    argv[at:at] = ["--settings", str(settings_file(tmp_path, {"epochs": 4, "batch": 8}))]
    assert parsed(*argv).member.fit == Fit(epochs=7, batch=8)


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"epoch": 3}, ["Unrecognized options: --epoch", "--epochs"]),
        ({"fit": {"epochz": 3}}, ["Unrecognized options: --epochz"]),
        ({"epochs": "three"}, ["--epochs", "three"]),
        ({"epochs": True}, ["--epochs", "True"]),
        ({"epochs": 2.5}, ["--epochs", "2.5"]),
        ({"epochs": None}, ["--epochs", "None"]),
        ({"epochs": [1, 2]}, ["2"]),
        ({"epochs": []}, ["--epochs"]),
        ({"epochs": 0}, ["--epochs 0 is outside", "nearest valid value is 1"]),
        ({"fit": {"learning_rate": 7}}, ["--learning-rate 7", "nearest valid value is 1"]),
        ({"settings": "other.json"}, ["--settings"]),
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


# ---- the classes themselves


def test_every_settings_class_is_frozen_checked_and_documented():
    source = Path(settings_module.__file__).read_text()
    for value in vars(settings_module).values():
        if not (dataclasses.is_dataclass(value) and issubclass(value, Checked)):
            continue
        assert value.__dataclass_params__.frozen, value
        for field in dataclasses.fields(value):
            if not dataclasses.is_dataclass(field.type):
                assert re.search(rf'    {field.name}: .*\n    """', source), field.name


@pytest.mark.parametrize("settings_class", SCRIPTS)
def test_the_names_of_a_scripts_settings_are_unique(settings_class):
    names = [name for name, _ in num_leaves(settings_class)]
    assert len(names) == len(set(names))


def test_every_script_is_among_those_tested():
    inner = {annotation for each in vars(settings_module).values() if dataclasses.is_dataclass(each)
             for annotation in typing.get_type_hints(each).values()}  # fmt: skip
    outer = {each for each in vars(settings_module).values()
             if dataclasses.is_dataclass(each) and issubclass(each, Checked) and each not in inner}  # fmt: skip
    assert outer - {Train, RunData} == set(SCRIPTS), "Train and OfRun are what several scripts share"


def test_settings_come_back_from_the_json_of_a_manifest():
    member = Member(features=Features(root="hold"), network=Network(width=5), fit=Fit(learning_rate=1, loss="focal"))
    assert from_tree(Member, json.loads(json.dumps(dataclasses.asdict(member)))) == member
    for default in (Member(), LgbmMember(), RocketMember(), Blend(), Blend(prevalence=0.25)):
        assert from_tree(type(default), json.loads(json.dumps(dataclasses.asdict(default)))) == default


@pytest.mark.parametrize(
    ("group", "name", "value", "words"),
    [
        ("fit", "epochs", True, "epochs cannot be True"),
        ("fit", "epochs", 3.0, "epochs cannot be 3.0"),
        ("fit", "epochs", "3", "epochs cannot be '3'"),
        ("fit", "epochs", None, "epochs cannot be None"),
        ("fit", "epochs", 0, "--epochs 0 is outside"),
        ("fit", "learning_rate", True, "learning_rate cannot be True"),
        ("fit", "learning_rate", float("nan"), "--learning-rate nan is outside"),
        ("fit", "loss", "hinge", "loss cannot be 'hinge'"),
        ("fit", "loss", ["plain"], "loss cannot be"),
        ("features", "body_scale", 1, "body_scale cannot be 1"),
        ("network", "kernel", 4, "--kernel 4 is not odd"),
        ("network", "depth", 4, "settings of Network"),
    ],
)
def test_a_tree_with_a_wrong_key_type_or_range_is_refused_by_name(group, name, value, words):
    tree = dataclasses.asdict(Member())
    tree[group][name] = value
    with pytest.raises(SettingsError, match=re.escape(words)):
        from_tree(Member, tree)


@pytest.mark.parametrize(
    ("name", "value"),
    [("averaging", "mean"), ("prevalence", 0.0), ("prevalence", "0.2"), ("prevalence", True), ("context", 0),
     ("blend_trials", 1.5), ("threshold", None)],
)  # fmt: skip
def test_a_blend_with_a_wrong_value_is_refused(name, value):
    with pytest.raises(SettingsError, match=name):
        from_tree(Blend, dataclasses.asdict(Blend()) | {name: value})


@pytest.mark.parametrize("tree", [None, [], "x", {}, {"fit": {}}, dataclasses.asdict(Member()) | {"fit": None}])
def test_a_tree_of_another_shape_is_refused(tree):
    with pytest.raises(SettingsError, match="not those of this version"):
        from_tree(Member, tree)


def test_a_tree_of_before_a_setting_was_added_has_its_default():
    tree = dataclasses.asdict(Member())
    for group, name in (("network", "backbone"), ("network", "weights"), ("fit", "triplet")):
        del tree[group][name]
    assert from_tree(Member, tree) == Member()


def test_a_tree_with_a_missing_setting_is_refused():
    tree = dataclasses.asdict(Member())
    del tree["fit"]["ema"]
    with pytest.raises(SettingsError, match="settings of Fit"):
        from_tree(Member, tree)


# ---- scripts that call scripts


def test_what_a_script_said_when_it_failed_is_passed_on(tmp_path):
    with pytest.raises(TrainingError, match=r"verify\.py ended with 1: error: .*nowhere: no such folder"):
        app.call(["verify.py", "--data", str(tmp_path / "nowhere")])


def test_only_members_that_a_script_trains_can_be_named():
    app.check_members(("lgbm", "rocket", "stgcn_mil"))
    with pytest.raises(SettingsError, match=r"--members gru is unknown; there are stgcn_mil, stam, .*, lgbm, rocket"):
        app.check_members(("lgbm", "gru"))
    assert all((Path(app.__file__).parent / words[0]).exists() for words in app.MEMBER_SCRIPTS.values())


# ---- every field has an effect

FRAMES = 32
# Small enough for a few seconds in all. Every random change is on, so that its size shows.
CHANGES = Augmentation(gap_prob=0.5, drop_landmark_prob=0.1)
BASES = {
    "stgcn_mil": Member(augmentation=CHANGES, network=Network(width=4, blocks=2), fit=Fit(epochs=2, batch=6)),
    **{
        model: Member(model=model, augmentation=CHANGES, network=Network(width=4), fit=Fit(epochs=1, batch=6))
        for model in MEMBERS
        if model != "stgcn_mil"
    },
    "lgbm": LgbmMember(Boosting(num_boost_round=5, min_data_in_leaf=2)),
    "rocket": RocketMember(augmentation=CHANGES),
}
ELSEWHERE = {("two_stream", "network", "weights")}  # test_two_stream.py shows what it does, with a file
# Another valid value of each number; the values of Literal and bool fields are found by themselves.
OTHER = {
    "features": {"aspect": 1.5},
    "augmentation": {
        "mirror": 0.0, "rotation_deg": 60.0, "zoom": 0.5, "stretch": 0.0, "shift_frames": 2,
        "jitter": 0.05, "drop_landmark": 0.4, "gap": 0.0, "gap_frames": 3,
    },
    "network": {"width": 6, "blocks": 3, "kernel": 5, "dropout": 0.5},
    "fit": {
        "epochs": 1, "batch": 4, "learning_rate": 0.01, "weight_decay": 0.5, "focal_gamma": 4.0, "ema": 0.0,
        "clip_norm": 0.01, "triplet": 2.0,
    },
    "boosting": {
        "rounds": 6, "shrinkage": 0.2, "leaves": 2, "leaf_segments": 5, "statistics_share": 0.9, "bag_share": 0.5,
        "shrink_leaves": 10.0,
    },
    "convolutions": {"biases": 3, "copies": 0},
}  # fmt: skip
NEEDS = {"focal_gamma": ("fit", {"loss": "focal"})}  # fields that act only together with another one


def other_values(base, group, name, annotation):
    """Values to change a field to; empty where a new field has none yet, which fails a test."""
    default = getattr(getattr(base, group), name)
    if typing.get_origin(annotation) is Literal:
        return [value for value in typing.get_args(annotation) if value != default]
    if annotation is bool:
        return [not default]
    return [OTHER[group][name]] if name in OTHER.get(group, {}) else []


def groups(base):
    """The groups of a member's settings, each with its class."""
    return {name: each for name, each in typing.get_type_hints(type(base)).items() if dataclasses.is_dataclass(each)}


def fields(member, base):
    """Group, name and type of every field that must show an effect on a member.

    What all networks share is shown on the ST-GCN, on the others their sizes alone.
    """
    for group, settings_class in groups(base).items():
        for name, annotation in typing.get_type_hints(settings_class).items():
            if group == "network":
                shown = name in SIZES[member]
            elif name == "triplet":
                shown = member == "sta_gunet"
            else:
                shown = member == "stgcn_mil" or member not in MEMBERS
            if shown:
                yield group, name, annotation


CASES = [
    pytest.param(member, group, name, value, id=f"{member}-{name}={value}")
    for member, base in BASES.items()
    for group, name, annotation in fields(member, base)
    for value in other_values(base, group, name, annotation)
]


def gappy_poses():
    """Poses (12, FRAMES, 33, 5) float32 of moving bodies; landmarks are missing, the hips for a while."""
    generator = np.random.default_rng(0)
    poses = np.repeat(generator.uniform(0.2, 0.8, (12, 1, 33, 5)), FRAMES, 1)
    poses[:, :, 11:13, 1], poses[:, :, 23:25, 1] = 0.3, 0.6
    poses[..., :3] += generator.normal(0, 0.01, (12, FRAMES, 33, 3)).cumsum(1)
    poses[generator.random((12, FRAMES, 33)) < 0.05] = np.nan
    poses[:, 10:18, 23:25] = np.nan
    return poses.astype(np.float32)


@pytest.fixture(scope="module")
def trained():
    """A function from a member's settings to what training makes of them, as named bytes."""
    names = tuple(f"child_{i}_1.npy" for i in range(12))
    labels = (np.arange(12) % 3 == 0).astype(np.int64)
    children = tuple(str(i) for i in range(12))
    data = TrainingData(names, children, labels, gappy_poses(), np.ones(12, bool), "", {}, False)
    rows = np.arange(12)

    def train(settings):
        if isinstance(settings, LgbmMember):
            values = lgbm.statistics(data.poses, rows, settings)
            # Not the text of the model, which repeats the settings.
            return {"answers": lgbm.fit(values, labels, settings, 0).predict(values).tobytes()}
        if isinstance(settings, RocketMember):
            weights = rocket.fit(data, rows, settings, [0, 0])
        else:
            trainer = FoldTrainer(data, rows, settings, 0, 0, torch.device("cpu"), torch.float32)
            while trainer.epoch < settings.fit.epochs:
                trainer.run_epoch()
            weights = trainer.final_weights()
        return {name: value.numpy().tobytes() for name, value in weights.items()}

    return train


def test_every_field_of_a_member_has_a_case():
    covered = {tuple(case.values[:3]) for case in CASES}
    wanted = {(member, group, name) for member, base in BASES.items() for group, name, _ in fields(member, base)}
    assert covered | ELSEWHERE == wanted, "give the new field another value in OTHER"
    members = {typing.get_type_hints(script)["member"] for script in SCRIPTS if issubclass(script, Train)}
    assert members == {type(base) for base in BASES.values()}, "give the new member a place in BASES"
    assert {*typing.get_type_hints(Member)} - {*groups(Member())} == {"model"}
    assert typing.get_args(typing.get_type_hints(Member)["model"]) == tuple(NETWORKS) == tuple(SIZES)


@pytest.mark.parametrize("member", BASES)
def test_the_same_settings_give_the_same_model(trained, member):
    assert trained(BASES[member]) == trained(BASES[member])


@pytest.mark.parametrize(("member", "group", "name", "value"), CASES)
def test_every_field_has_an_effect(trained, member, group, name, value):
    base = BASES[member]
    if name in NEEDS:
        needed, options = NEEDS[name]
        base = dataclasses.replace(base, **{needed: dataclasses.replace(getattr(base, needed), **options)})
    changed = dataclasses.replace(base, **{group: dataclasses.replace(getattr(base, group), **{name: value})})
    assert changed != base
    before, after = trained(base), trained(changed)
    assert any(before[name] != after[name] for name in before.keys() & after.keys())


# `fold_averaging` acts when a segment is answered: test_submission.py shows it.
BLENDS = [("averaging", "probability"), ("averaging", "percentile"), ("context", True), ("threshold", "observed"),
          ("prevalence", 0.1), ("blend_trials", 4), ("blend_seed", 1)]  # fmt: skip


def test_every_field_of_a_blend_has_a_case():
    assert {name for name, _ in BLENDS} | {"fold_averaging"} == {field.name for field in dataclasses.fields(Blend)}


@pytest.mark.parametrize(("name", "value"), BLENDS)
def test_every_field_of_a_blend_has_an_effect(name, value):
    generator = np.random.default_rng(0)
    labels, children = np.tile([0, 0, 1], 40), np.repeat([str(child) for child in range(12)], 10)
    logits = {
        member: generator.normal(2 * labels - 1, spread) for member, spread in zip("abc", (1.0, 1.5, 2.0), strict=True)
    }
    rows = blending.OofScores(logits, children, np.ones(120, bool))
    base = Blend(blend_trials=25)
    before, after = (blending.choose(rows, labels, each) for each in (base, dataclasses.replace(base, **{name: value})))
    assert before != after
    assert before == blending.choose(rows, labels, base)


def test_the_help_tells_of_settings_files_and_a_manifest_is_one(tmp_path, capsys):
    with pytest.raises(SystemExit):
        app.parse(TrainFolds, "Text.", ["--help"])
    assert "--settings FILE" in capsys.readouterr().out
    manifest = {"member": "stgcn_mil", "settings": {"fit": {"epochs": 3}}, "threads": 1}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    parsed = app.parse(TrainFolds, "", ["--settings", str(tmp_path / "manifest.json")])
    assert parsed.member.fit.epochs == 3


SIMULATED = ("--children", 5, "--segments-per-child", 2, "--frames", 60, "--workers", 1)
SIMULATE_CASES = {
    "children": 6, "segments_per_child": 3, "frames": 61, "prevalence": 0.5, "mimics": 1.0, "filming": "table",
    "confound": True, "recordings": 1, "minutes": 2.0, "preview": True, "seed": 8,
}  # fmt: skip


def test_every_field_of_the_simulator_has_a_case():
    # `out` is where it goes, and the files do not depend on `workers`: test_simulated_data.py shows it.
    assert SIMULATE_CASES.keys() == {field.name for field in dataclasses.fields(Simulate)} - {"out", "workers"}


@pytest.mark.parametrize("name", SIMULATE_CASES)
def test_every_field_of_the_simulator_has_an_effect(tmp_path, name):
    flags = [*map(str, SIMULATED), *(["--recordings", "1", "--minutes", "1"] if name == "minutes" else [])]
    written = []
    for folder, more in (("a", []), ("b", [f"--{name.replace('_', '-')}", str(SIMULATE_CASES[name])])):
        assert app.run(simulate.main, Simulate, "", ["--out", str(tmp_path / folder), *flags, *more]) == 0
        root = tmp_path / folder
        files = (path for path in root.rglob("*") if path.is_file() and path.name != "simulated.json")
        written.append({path.relative_to(root).as_posix(): path.read_bytes() for path in files})
    assert written[0] != written[1]
