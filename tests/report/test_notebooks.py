"""The notebooks run as a reader runs them, on whatever data and run there is, and what is stored of them is clean."""

import importlib
import re
import shutil
import sys
from pathlib import Path

import nbformat
import pytest

from helpers.repository import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LOADED = "import sys; print('loaded:', *sorted({'torch', 'lightgbm'} & set(sys.modules)))"
A_PATH = re.compile(r"(?<![\w.])/(?:home|root|tmp|work|usr|var|opt|mnt|Users|private)\b|\b[A-Z]:\\")


@pytest.fixture(scope="module")
def real(simulated, tmp_path_factory) -> Path:
    """The same data as if it were real: nothing says that it is simulated, and nobody knows where the spasms lie."""
    hidden = shutil.ignore_patterns("truth.csv", "simulated.json")
    return Path(shutil.copytree(simulated, tmp_path_factory.mktemp("real") / "data", ignore=hidden))


@pytest.fixture
def beside(monkeypatch):
    """Imports a module that lies beside the notebooks."""
    monkeypatch.syspath_prepend(str(ROOT / "notebooks"))
    yield importlib.import_module
    for name in ("loading", "plots", "run_notebooks"):
        sys.modules.pop(name, None)


@pytest.fixture
def run_through(beside, monkeypatch, tmp_path):
    """Runs a notebook on a data folder and a run; gives what its cells printed and how many figures it drew."""

    def run_it(path: Path, data: Path, run: Path) -> tuple[str, int]:
        given = {"DATA": data, "RUN": run, "CACHE": tmp_path / "cache", "FRAMES": 60}
        for name, value in given.items():
            monkeypatch.setenv(f"SPASM_{name}", str(value))
        monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
        notebook = beside("run_notebooks").execute(path, LOADED)
        assert [output.text for output in outputs(notebook) if output.get("name") == "stderr"] == []
        return printed(notebook), len(pictures(notebook))

    return run_it


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def pictures(notebook) -> list[str]:
    return [output.data["image/png"] for output in outputs(notebook) if "image/png" in output.get("data", {})]


def printed(notebook) -> str:
    return "".join(output.text for output in outputs(notebook) if output.output_type == "stream")


# ---- run on small data


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_says_that_data_is_simulated_and_loads_neither_library(path, run_through, simulated, blended):
    text, figures = run_through(path, simulated, blended)
    assert text.startswith("SIMULATED DATA")
    assert figures >= 4
    assert text.splitlines()[-1] == "loaded:"
    assert not A_PATH.search(text), text


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_on_data_without_known_truth_and_on_a_run_of_one_member(path, run_through, real, trained):
    text, figures = run_through(path, real, trained)
    assert text.startswith("40 segments of 8 children")
    assert "SIMULATED" not in text
    assert figures >= 2
    said = {"02_errors": "there is nothing to compare", "03_compare_models": "This run has one member"}
    assert said.get(path.stem, "") in text


# ---- run where there is nothing


def test_without_data_or_a_run_the_notebooks_make_what_make_demo_makes(beside, monkeypatch, tmp_path, capsys):
    loading, calls = beside("loading"), []
    monkeypatch.setattr(loading, "ROOT", tmp_path)
    monkeypatch.setattr(loading, "_run", lambda *words: calls.append(" ".join(words)))
    for name in ("DATA", "RUN", "CACHE", "FRAMES"):
        monkeypatch.delenv(f"SPASM_{name}", raising=False)
    assert loading._run_folder() == tmp_path / "output/demo"
    assert all(line.startswith("SIMULATED DATA") for line in capsys.readouterr().out.splitlines())
    demo = (ROOT / "Makefile").read_text().replace("$(DEMO_CHILDREN)", "60").replace("$(DEMO_SEGMENTS)", "10")
    assert calls[0] in demo
    cache = tmp_path / "output/cache"
    assert calls[1] == f"src/train_folds.py --data input/demo --run output/demo --cache {cache} --models lgbm"
    assert "src/train_folds.py --data input/demo --run output/demo " in demo


def test_the_users_own_data_and_run_come_before_the_demo(beside, monkeypatch, tmp_path):
    loading = beside("loading")
    monkeypatch.setattr(loading, "ROOT", tmp_path)
    for name in ("DATA", "RUN"):
        monkeypatch.delenv(f"SPASM_{name}", raising=False)
    for name in ("input/demo/train_data.csv", "output/demo/decision.json"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    assert (loading._data_folder(), loading._run_folder()) == (tmp_path / "input/demo", tmp_path / "output/demo")
    (tmp_path / "output/main").mkdir()
    for name in ("input/train_data.csv", "output/main/decision.json"):
        (tmp_path / name).touch()
    assert (loading._data_folder(), loading._run_folder()) == (tmp_path / "input", tmp_path / "output/main")


# ---- as they are stored


def test_there_are_three_notebooks_of_fewer_than_15_cells_that_say_simulated_in_every_figure():
    assert [path.stem for path in NOTEBOOKS] == ["01_eda", "02_errors", "03_compare_models"]
    for path in NOTEBOOKS:
        cells = nbformat.read(path, as_version=4).cells
        assert len(cells) < 15
        drawing = [cell.source for cell in cells if "plt.show()" in cell.source]
        assert len(drawing) >= 4
        assert all("figure.suptitle(loading.title(" in source for source in drawing)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_stored_notebook_is_whole_small_and_tells_nothing_of_the_machine(path, beside):
    assert path.stat().st_size < 300_000
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert printed(notebook).startswith("SIMULATED DATA")
    assert len(pictures(notebook)) >= 4
    assert {output.output_type for output in outputs(notebook)} <= {"stream", "display_data"}
    assert {output.get("name", "stdout") for output in outputs(notebook)} == {"stdout"}
    for cell in notebook.cells:
        assert cell.metadata == {}
        assert not A_PATH.search(cell.source), cell.source
    for output in outputs(notebook):
        assert not A_PATH.search(output.get("text", "") + output.get("data", {}).get("text/plain", ""))
    assert notebook.metadata == beside("run_notebooks").strip_outputs(nbformat.from_dict(notebook)).metadata
