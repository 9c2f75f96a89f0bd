"""The challenge's container contract, run as the Dockerfile lays it out, without Docker."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import container
from helpers.commands import without_progress
from helpers.repository import ROOT


def flags(**environment: str) -> dict[str, str]:
    listed = container.arguments(environment)
    return dict(zip(listed[::2], listed[1::2], strict=True))


def test_input_lies_below_data_and_output_below_output():
    given = flags(INPUT="test", OUTPUT="predictions/mine.csv")
    assert (given["--test"], given["--out"]) == ("/data/test", "/output/predictions/mine.csv")


@pytest.mark.parametrize(
    ("output", "file"),
    [
        ("predictions", "/output/predictions/test_data.csv"),
        ("predictions/", "/output/predictions/test_data.csv"),
        ("", "/output/test_data.csv"),
        (".", "/output/test_data.csv"),
        ("a.b", "/output/a.b/test_data.csv"),
        ("a/b.csv", "/output/a/b.csv"),
    ],
)
def test_output_is_a_folder_unless_it_ends_in_csv(output, file):
    assert flags(INPUT="test", OUTPUT=output)["--out"] == file


def test_without_variables_the_volumes_themselves_are_used():
    given = flags()
    assert (given["--test"], given["--out"]) == ("/data", "/output/test_data.csv")


def test_absolute_paths_are_taken_as_they_are():
    given = flags(INPUT="/elsewhere/test", OUTPUT="/elsewhere/predictions")
    assert (given["--test"], given["--out"]) == ("/elsewhere/test", "/elsewhere/predictions/test_data.csv")


def test_the_run_is_the_one_that_lies_beside_the_program():
    assert flags()["--run"] == str(ROOT / "output/main")


def instructions() -> list[str]:
    return [line for line in (ROOT / "Dockerfile").read_text().splitlines() if line and not line.startswith("#")]


def entrypoint() -> list[str]:
    (line,) = [line for line in instructions() if line.startswith("ENTRYPOINT ")]
    command = json.loads(line.removeprefix("ENTRYPOINT "))
    assert command[0] == "python"
    return [sys.executable, *command[1:]]


def test_the_image_does_not_run_as_root():
    users = [line.split()[1] for line in instructions() if line.startswith("USER ")]
    assert users
    assert users[-1] not in ("root", "0")


@pytest.fixture(scope="module")
def image(trained, tmp_path_factory):
    """The working folder of the image, made of what the Dockerfile copies there, but for the Python packages."""
    app = tmp_path_factory.mktemp("app")
    copies = [line.split()[1:] for line in instructions() if line.startswith("COPY ")]
    for *sources, target in copies:
        for source in sources:
            if source == "${RUN}":
                shutil.copytree(trained, app / target)
            elif (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, app / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, app / target)
    return app


def contain(image: Path, test: Path, output: Path) -> subprocess.CompletedProcess:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"INPUT": str(test), "OUTPUT": str(output), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(entrypoint(), cwd=image, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(("output", "file"), [("predictions", "predictions/test_data.csv"), ("mine.csv", "mine.csv")])
def test_the_entrypoint_writes_the_submission_where_the_challenge_looks(image, simulated, tmp_path, output, file):
    before = sorted(image.rglob("*"))
    finished = contain(image, simulated / "test", tmp_path / output)
    assert (finished.returncode, without_progress(finished.stderr)) == (0, "")
    lines = (tmp_path / file).read_text().splitlines()
    names = sorted(path.name for path in (simulated / "test").iterdir())
    assert lines[0] == "segment_name,label"
    assert [line.split(",")[0] for line in lines[1:]] == names
    assert sorted(image.rglob("*")) == before, "the image itself is only read"


def test_the_entrypoint_exits_1_and_says_why_where_there_is_no_input(image, tmp_path):
    finished = contain(image, tmp_path / "nowhere", tmp_path / "out")
    assert finished.returncode == 1
    assert "nowhere: there is no such folder" in finished.stderr
    assert "Traceback" not in finished.stderr
