"""The commands on the pages of docs/ work, and docs/output.md names every column that is written."""

import csv
import re

import pytest

from helpers.documents import (
    DOCUMENTS,
    add_own_data,
    add_video_and_pose_models,
    commands_of,
    copy_checkout,
    parse,
    python_commands,
    run_in,
)
from helpers.repository import ROOT

DOCS = {path.stem: path for path in DOCUMENTS if path.parent.name == "docs"}
# In an order in which each finds what it needs.
RUN = ("simulation", "models", "method", "video", "recordings", "review", "data", "evaluation")
# They need data or machines that cannot be made here; or seconds that tests/export and tests/cluster spend already.
PARSED = ("browser", "cluster", "general_movements", "onnx", "pictures", "results", "seizure_onsets")


def test_every_page_with_commands_is_run_or_parsed_and_begins_with_its_purpose():
    with_commands = {name for name, path in DOCS.items() if python_commands(path)}
    assert with_commands == {*RUN, *PARSED}
    others = {line.split()[0] for path in DOCS.values() for line in commands_of(path) if not line.startswith("python ")}
    # Docker needs an engine; tests/scripts/test_container.py runs its entry command without one.
    assert others == {"docker", "make"}
    for name, path in DOCS.items():
        title, blank, first = path.read_text(encoding="utf-8").splitlines()[:3]
        assert title.startswith("# ")
        assert not blank
        assert first and first[0] not in "#|`!", name


@pytest.mark.parametrize("words", [words for name in PARSED for words in python_commands(DOCS[name])], ids=" ".join)
def test_long_commands_of_the_docs_are_understood(words):
    parse(words)


@pytest.mark.command
def test_the_commands_of_the_docs_work_and_every_column_they_write_is_explained(tmp_path):
    checkout = copy_checkout(tmp_path)
    add_own_data(checkout)
    with_videos = add_video_and_pose_models(checkout)
    run_in(checkout, ["src/train_folds.py"])
    for page in RUN:
        for words in python_commands(DOCS[page]):
            if not with_videos and ("video.mp4" in words or "--camera" in words):
                continue
            if words[0] == "src/train_folds.py":
                words.append("--no-report")  # one is enough
            run_in(checkout, words)
    explained = set(re.findall(r"`(\w+)`", DOCS["output"].read_text(encoding="utf-8")))
    for path in checkout.glob("*put/**/*.csv"):
        if ".cache" in path.parts or "cache" in path.parts:
            continue
        with path.open(newline="", encoding="utf-8") as file:
            columns = {name for name in next(csv.reader(file)) if not name.endswith("_logit")}
        assert columns <= explained, f"{path}: {columns - explained}"


def test_every_script_that_a_page_names_exists():
    scripts = {path.name for path in ROOT.glob("*.py")}
    for folder in ("src", "benchmarks", "stress", "notebooks", "docs", "tests"):
        scripts |= {path.name for path in (ROOT / folder).rglob("*.py")}
    for page in DOCUMENTS:
        for name in re.findall(r"`(?:python )?(?:[\w/]*/)?(\w+\.py)(?= |`)", page.read_text(encoding="utf-8")):
            assert name in scripts, f"{page}: {name}"
