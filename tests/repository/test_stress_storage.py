"""Storage that fails under a real command: stress/storage.py tries every place, this a few, chosen at random."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "stress"))

from storage import COMMANDS, MODELS, SIMULATE, Campaign, call

pytestmark = [pytest.mark.stress, pytest.mark.command]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A folder with data, a run of LightGBM and its cache."""
    folder = tmp_path_factory.mktemp("storage") / "base"
    folder.mkdir()
    for words in (f"{SIMULATE} --children 10 --segments-per-child 5 --seed 1", MODELS["train_lgbm"]):
        code, output = call(words, folder)
        assert code == 0, output
    (folder / "studies").mkdir()
    return folder


def works(*command):
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def campaign(base, tmp_path_factory):
    """The campaign of one command, traced once."""
    if not works("strace", "-o", "/dev/null", "true"):
        pytest.skip("strace is not there, or may not trace")
    made = {}

    def of(name):
        if name not in made:
            made[name] = Campaign(COMMANDS[name], base, tmp_path_factory.mktemp(name))
        return made[name]

    return of


@pytest.mark.parametrize("name", ["train_lgbm", "export_dataset", "tune_sqlite", "simulate", "evaluate_label_shift"])
def test_a_call_that_fails_leaves_old_files_whole_names_the_place_and_the_same_command_continues(campaign, name):
    old = any(not path.startswith("cache") for path in campaign(name).before)
    assert old == (name in ("simulate", "evaluate_label_shift")), "old files for some, none for others"
    [(done, wrong)] = campaign(name).fault(limit=1)
    assert not wrong, f"{done}: {wrong}"


@pytest.mark.parametrize("name", ["train_lgbm", "tune_sqlite"])
def test_a_small_disk_that_fills_up_harms_nothing(campaign, name, tmp_path):
    if not works("mount", "-t", "tmpfs", "probe", tmp_path) or not works("umount", tmp_path):
        pytest.skip("no right to mount a disk")
    for done, wrong in campaign(name).full(limit=2):
        assert not wrong, f"{done}: {wrong}"


def test_a_read_only_disk_is_reported_before_training(campaign, tmp_path):
    if not works("mount", "-t", "tmpfs", "probe", tmp_path) or not works("umount", tmp_path):
        pytest.skip("no right to mount a disk")
    [(done, wrong)] = campaign("train_lgbm").read_only(None)
    assert not wrong, f"{done}: {wrong}"
    assert "Read-only file system" in done


def test_a_folder_that_vanishes_in_the_middle_is_reported_and_not_made_again(campaign):
    results = list(campaign("train_lgbm").vanished(limit=2))
    assert len(results) == 2
    for done, wrong in results:
        assert not wrong, f"{done}: {wrong}"


def test_the_campaign_notices_a_command_that_harms_what_was_there(campaign):
    """A check of the check: files that were half written, lost or left behind are seen."""
    checked = campaign("evaluate_label_shift")
    checked.restore()
    (checked.work / "run/folds.csv").write_text("half")
    (checked.work / "run/oof.csv").unlink()
    (checked.work / "run/.tmp-1-2-3").touch()
    wrong = checked.problems_of(0, "Traceback", rerun=False)
    assert len(wrong) == 5, wrong
