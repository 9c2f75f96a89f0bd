"""How long work shows its progress: a bar on a terminal, elsewhere whole lines, and nothing where it ends soon."""

import os
import pty
import re
import subprocess
import sys
import termios
import types

import pytest

from helpers.repository import ROOT
from spasm.cli import progress
from spasm.training.progress import Progress

WORK = """
import time
from spasm.cli.progress import progress
for _ in progress("predicting", range(20), 20, "segment", first_s=0.1, every_s=0.1):
    time.sleep(0.03)
with progress("extracting", unit="frame", first_s=0.1, every_s=0.1) as bar:
    for _ in range(10):
        time.sleep(0.03)
        bar.update(100)
"""


def on_terminal(*words):
    """Exit code of a Python command, and all that it writes to stderr, which is a terminal."""
    terminal, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    command = subprocess.Popen([sys.executable, *words], cwd=ROOT / "src", stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    text = b""
    try:
        while part := os.read(terminal, 4096):
            text += part
    except OSError:  # how Linux reports that the other side of the terminal is closed
        pass
    os.close(terminal)
    return command.wait(), text.decode()


@pytest.fixture
def seconds(monkeypatch):
    """Gives what lets so many seconds pass on the clock of the lines."""
    clock = [1000.0]
    monkeypatch.setattr(progress, "time", types.SimpleNamespace(monotonic=lambda: clock[0]))

    def passed(count):
        clock[0] += count

    return passed


@pytest.mark.command
def test_without_a_terminal_long_work_writes_whole_lines():
    command = [sys.executable, "-c", WORK]
    finished = subprocess.run(command, cwd=ROOT / "src", capture_output=True, check=True)
    assert finished.stdout == b""
    text = finished.stderr.decode()
    assert not re.search(r"[^\n -~]", text), "no carriage return, no control character"
    assert text.endswith("\n")
    lines = text.splitlines()
    predicting = [line for line in lines if re.fullmatch(r"predicting: \d+ of 20 segments, \d+ s left", line)]
    extracting = [line for line in lines if re.fullmatch(r"extracting: \d+00 frames", line)]
    assert lines == predicting + extracting
    assert 1 <= len(predicting) <= 10, "not one for each segment"
    assert extracting


@pytest.mark.command
def test_on_a_terminal_there_are_bars():
    code, text = on_terminal("-c", WORK)
    assert code == 0
    assert re.search(r"\rpredicting: 100%\|█+\| 20/20 \[.*segment/s\]", text)
    assert re.search(r"\rextracting: 1000frame \[", text)
    assert " left" not in text


def test_a_script_shows_its_bar_on_a_terminal(simulated):
    code, text = on_terminal("verify.py", "--data", str(simulated), "--frames", "60")
    assert code == 0
    assert "reading: 100%" in text


def test_the_first_line_comes_after_ten_seconds_and_then_one_every_thirty(seconds, capsys):
    for _ in progress.progress("predicting", range(100), 100, "segment"):
        seconds(1)
    assert capsys.readouterr().err.splitlines() == [
        "predicting: 10 of 100 segments, 90 s left",
        "predicting: 40 of 100 segments, 60 s left",
        "predicting: 70 of 100 segments, 30 s left",
    ]


def test_work_that_ends_within_ten_seconds_says_nothing(seconds, capsys):
    for _ in progress.progress("predicting", range(99), 99, "segment"):
        seconds(0.1)
    with progress.progress("scoring", total=3, unit="fold") as bar:
        seconds(60)
        bar.update(3)  # all at once, at the end
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("each_s", "line"),
    [
        (11, "reading: 1 of 11, 110 s left"),
        (30, "reading: 1 of 11, 5 min left"),
        (900, "reading: 1 of 11, 2 h left"),
    ],
)
def test_what_is_left_has_a_unit_that_can_be_read(seconds, capsys, each_s, line):
    bar = progress.progress("reading", total=11)
    seconds(each_s)
    bar.update()
    assert capsys.readouterr().err == line + "\n"


def test_before_anything_is_done_nothing_is_shown(seconds, capsys):
    bar = progress.progress("extracting", unit="frame")
    seconds(60)
    bar.update(0)
    assert capsys.readouterr().err == ""
    bar.update(7)
    assert capsys.readouterr().err == "extracting: 7 frames\n"


# ---- trainings


@pytest.mark.parametrize(
    ("done", "line"),
    [
        (Progress(2, 5, 52, 100, 360.0), "stgcn_mil: 2 of 5 folds, epoch 52 of 100, about 6 min left"),
        (Progress(0, 5, 0, 100, None), "stgcn_mil: 0 of 5 folds, epoch 0 of 100"),
        (Progress(3, 5, 0, 0, 40.0), "stgcn_mil: 3 of 5 folds, about 40 s left"),
        (Progress(5, 5, 100, 100, 0.0), "stgcn_mil: 5 of 5 folds, epoch 100 of 100"),
    ],
)
def test_a_training_says_folds_epochs_and_about_how_long(done, line):
    assert progress.training_line("stgcn_mil", done) == line


def test_without_a_terminal_a_training_writes_a_line_after_ten_seconds_and_every_thirty(seconds, capsys):
    with progress.Training("lgbm") as show:
        for second in range(1, 51):
            seconds(1)
            show(Progress(second // 20, 5, 0, 0, None))
        seconds(60)
        show(Progress(5, 5, 0, 0, 0.0))  # what follows shows the end
    assert capsys.readouterr().err.splitlines() == ["lgbm: 0 of 5 folds", "lgbm: 2 of 5 folds"]


@pytest.mark.command
def test_on_a_terminal_a_training_is_shown_in_place_and_wiped_at_the_end():
    work = (
        "from spasm.cli.progress import Training\n"
        "from spasm.training.progress import Progress\n"
        "with Training('stam') as show:\n"
        "    for done in range(3): show(Progress(done, 3, 10 * done, 30, None))\n"
    )
    code, text = on_terminal("-c", work)
    assert code == 0
    lines = [f"stam: {done} of 3 folds, epoch {10 * done} of 30" for done in range(3)]
    wiped = " " * max(map(len, lines))
    assert text.replace("\r", "|").replace(" ", "") == "|".join(["", *lines, wiped, ""]).replace(" ", "")
    assert "\n" not in text
