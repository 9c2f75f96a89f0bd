"""The commands of the README work unchanged, and the page stays short."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from helpers.documents import (
    TINY_MODELS,
    add_own_data,
    add_video_and_pose_models,
    commands_of,
    copy_checkout,
    parse,
    python_commands,
    run_in,
)
from helpers.repository import ROOT

PATH = ROOT / "README.md"
README = PATH.read_text(encoding="utf-8")


def test_the_readme_has_at_most_150_lines_and_narrow_tables():
    assert len(README.splitlines()) <= 150
    tables = [line for line in README.splitlines() if line.startswith("|")]
    assert max(line.count("|") - 1 for line in tables) <= 6


def test_a_stranger_reads_few_words_before_the_first_command():
    assert len(README.split("    make demo")[0].split()) <= 120


def test_every_command_of_the_readme_is_run_here_or_needs_a_network():
    others = {command for command in commands_of(PATH) if not command.startswith("python ")}
    assert others == {
        "make demo",
        "make pose-model",
        "make web",
        "python3 -m venv .venv && . .venv/bin/activate",
        "pip install -r requirements.txt",
    }
    assert "`make test`" in README
    assert len(python_commands(PATH)) >= 10


@pytest.mark.command
def test_make_web_runs_commands_with_flags_that_exist():
    """All of it takes npm and some minutes; tests/export builds the same page from a smaller run."""
    printed = subprocess.run(["make", "-n", "web"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    commands = [shlex.split(line)[1:] for line in printed.replace("\\\n", " ").splitlines() if "python src/" in line]
    scripts = [words[0] for words in commands]
    assert scripts[-2:] == ["src/train_folds.py", "src/export_web.py"]
    for words in commands[-2:]:
        parse(words)


@pytest.mark.command
def test_the_commands_of_the_readme_work_one_after_the_other(tmp_path):
    checkout = copy_checkout(tmp_path)
    add_own_data(checkout)
    with_videos = add_video_and_pose_models(checkout)
    for words in python_commands(PATH):
        if not with_videos and ("video.mp4" in words or "--camera" in words):
            continue
        if words[0] == "src/train_folds.py" and (checkout / "output/demo/report.html").exists():
            words.append("--no-report")  # one is enough
        run_in(checkout, words)
    assert (checkout / "output/submission.csv").read_text().startswith("segment_name,label\n")
    assert len((checkout / "output/submission.csv").read_text().splitlines()) == 16
    assert (checkout / "output/timeline/events.csv").exists()


@pytest.mark.command
def test_make_demo_goes_from_nothing_to_metrics_and_a_csv_and_touches_nothing_else(tmp_path):
    checkout = copy_checkout(tmp_path)
    before = {path for path in checkout.rglob("*") if ".venv" not in path.parts}
    flags = f"--folds 3 {TINY_MODELS['lgbm']} {TINY_MODELS['rocket']} {TINY_MODELS['stgcn_mil']}"
    demo = ["make", "demo", "DEMO_CHILDREN=12", "DEMO_SEGMENTS=5", f"DEMO_FLAGS={flags}"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    finished = subprocess.run(demo, cwd=checkout, capture_output=True, text=True, env=environment)
    assert finished.returncode == 0, finished.stderr
    for words in ("SIMULATED", "95 % interval over children", "AUC", "output/demo/submission.csv", "next:"):
        assert words in finished.stdout
    made = {path.relative_to(checkout) for path in checkout.rglob("*") if ".venv" not in path.parts} - {
        path.relative_to(checkout) for path in before
    }
    assert all(path.is_relative_to("input/demo") or path.is_relative_to("output/demo") for path in made)
    assert len((checkout / "output/demo/submission.csv").read_text().splitlines()) == 16


def test_links_and_pictures_of_every_page_lead_to_files_and_pictures_have_words():
    for page in (PATH, *(ROOT / "docs").glob("*.md"), ROOT / "CONTRIBUTING.md"):
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            assert (page.parent / name).exists(), f"{page}: {name}"
        assert all(words.strip() for words in re.findall(r"!\[(.*?)\]\(", text)), page


def test_pictures_are_small():
    pictures = list(Path(ROOT / "docs/images").iterdir())
    assert len(pictures) >= 4
    assert all(path.stat().st_size < 1_000_000 for path in pictures)
