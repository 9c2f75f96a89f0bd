"""A run that is not where --run says: the message names the runs that there are."""

from pathlib import Path

import pytest

from spasm.core.errors import DataError
from spasm.runs.artefacts import read_decision, read_run_info

BOTH = pytest.mark.parametrize("read", [read_run_info, read_decision])


def message(read, run: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(run)
    return str(caught.value)


@pytest.fixture
def output(tmp_path, monkeypatch):
    """A function that makes empty runs in the folder output, which is the working folder's."""
    monkeypatch.chdir(tmp_path)

    def make(*names: str) -> None:
        for name in names:
            (tmp_path / "output" / name).mkdir(parents=True)
            (tmp_path / "output" / name / "run.json").write_text("{}")

    return make


@BOTH
def test_after_the_demo_the_default_run_is_met_by_the_demos_run(read, output):
    output("demo")
    expected = "output/main: there is no such run (runs here: output/demo; add --run output/demo)"
    assert message(read, Path("output/main")) == expected


@BOTH
@pytest.mark.parametrize("wrong", ["mian", "mainn", "Main"])
def test_a_misspelt_run_is_met_by_the_nearest(read, output, wrong):
    output("demo", "main")
    expected = f"output/{wrong}: there is no such run (did you mean output/main? add --run output/main)"
    assert message(read, Path("output") / wrong) == expected


@BOTH
def test_without_any_run_the_message_says_how_to_train_one(read, output):
    assert "(train one: python src/train_folds.py, or " in message(read, Path("output/main"))
    assert "python src/train_folds.py --run 'output/my run', or" in message(read, Path("output/my run"))


@BOTH
def test_a_folder_that_is_no_run_names_those_inside_it_and_quotes_them(read, output):
    output("my run")
    found = message(read, Path("output"))
    assert found == "output: holds no run (runs here: output/my run; add --run 'output/my run')"


def test_many_runs_are_not_all_listed(output):
    output(*(f"run_{number}" for number in range(30)))
    assert "... (30 in all); add --run output/run_0)" in message(read_decision, Path("output/main"))
