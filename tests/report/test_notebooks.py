"""The notebooks run as a reader runs them, on any data and run, and what is stored of them is clean."""

import importlib
import io
import re
import shutil
import sys
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from helpers.repository import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# What is plotted at least, on simulated data.
FIGURES = {"00_quickstart": 2, "01_eda": 10, "02_errors": 4, "03_compare_models": 4}
LOADED = "import sys; print('loaded:', *sorted({'torch', 'lightgbm'} & set(sys.modules)))"
A_PATH = re.compile(r"(?<![\w.])/(?:home|root|tmp|work|usr|var|opt|mnt|Users|private)\b|\b[A-Z]:\\")


@pytest.fixture(scope="module")
def real(simulated, tmp_path_factory) -> Path:
    """The same data as if it were real: not marked as simulated, and without the simulator's truth."""
    hidden = shutil.ignore_patterns("truth.csv", "simulated.json")
    return Path(shutil.copytree(simulated, tmp_path_factory.mktemp("real") / "data", ignore=hidden))


@pytest.fixture
def beside(monkeypatch):
    """Imports a module from notebooks/."""
    monkeypatch.syspath_prepend(str(ROOT / "notebooks"))
    yield importlib.import_module
    for name in ("loading", "plots", "exploration", "animation", "run_notebooks"):
        sys.modules.pop(name, None)


@pytest.fixture
def run_through(beside, monkeypatch, tmp_path):
    """Runs a notebook on a data folder and a run; gives what its cells printed and how many figures it plotted."""

    def run_it(path: Path, data: Path, run: Path) -> tuple[str, int]:
        for name, value in {"DATA": data, "RUN": run, "OUTPUT": tmp_path / "output", "FRAMES": 60}.items():
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
def test_a_notebook_runs_marks_simulated_data_and_never_loads_torch_and_lightgbm(path, run_through, simulated, blended):
    text, figures = run_through(path, simulated, blended)
    assert text.startswith("SIMULATED DATA")
    assert figures >= FIGURES[path.stem]
    assert text.splitlines()[-1] == ("loaded: torch" if path.stem == "01_eda" else "loaded:")
    assert not A_PATH.search(text), text


@pytest.mark.parametrize("path", NOTEBOOKS[1:], ids=lambda path: path.stem)
def test_a_notebook_runs_on_data_without_known_truth_and_on_a_run_of_one_model(path, run_through, real, trained):
    text, figures = run_through(path, real, trained)
    assert text.startswith("40 segments of 8 children")
    assert "SIMULATED" not in text
    assert figures >= 2
    expected = {"02_errors": "there is nothing to compare", "03_compare_models": "This run has one model"}
    assert expected.get(path.stem, "") in text


def test_the_quick_start_writes_a_submission_of_all_test_segments(run_through, real, trained, tmp_path):
    text, _ = run_through(ROOT / "notebooks/00_quickstart.ipynb", real, trained)
    assert "SIMULATED" not in text
    table = pd.read_csv(tmp_path / "output/submission.csv")
    assert list(table.columns) == ["segment_name", "label"]
    assert sorted(table.segment_name) == sorted(path.name for path in (real / "test").iterdir())
    assert set(table.label) <= {0, 1}
    assert re.search("(for|against) a spasm", text)  # the reasons of one segment


# ---- run where there is nothing


@pytest.fixture
def elsewhere(beside, monkeypatch, tmp_path):
    """The module `loading` for an empty repository in a temporary folder, and the commands that it would run."""
    loading, calls = beside("loading"), []
    monkeypatch.setattr(loading, "ROOT", tmp_path / "repository")
    monkeypatch.setattr(loading, "KAGGLE", tmp_path / "kaggle")
    monkeypatch.setattr(loading, "_run", lambda *words: calls.append(" ".join(words)))
    for name in ("DATA", "RUN", "OUTPUT", "FRAMES"):
        monkeypatch.delenv(f"SPASM_{name}", raising=False)
    return loading, calls


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_without_data_or_a_run_the_notebooks_make_what_make_demo_makes(elsewhere, capsys):
    loading, calls = elsewhere
    assert loading._run_folder() == loading.ROOT / "output/demo"
    assert all(line.startswith("SIMULATED DATA") for line in capsys.readouterr().out.splitlines())
    demo = (ROOT / "Makefile").read_text().replace("$(DEMO_CHILDREN)", "60").replace("$(DEMO_SEGMENTS)", "10")
    assert calls[0] in demo
    train = "src/train_folds.py --models lgbm --data input/demo --run output/demo"
    assert calls[1] == f"{train} --cache {loading.ROOT / 'output/cache'} --no-report"
    assert "src/train_folds.py --data input/demo --run output/demo " in demo


def test_the_users_own_data_and_run_come_before_the_demo(elsewhere):
    loading, _ = elsewhere
    root = loading.ROOT
    touch(root / "input/demo/train_data.csv", root / "output/demo/decision.json")
    assert (loading.data_folder(), loading._run_folder()) == (root / "input/demo", root / "output/demo")
    touch(root / "input/train_data.csv", root / "output/main/decision.json")
    assert (loading.data_folder(), loading._run_folder()) == (root / "input", root / "output/main")


def test_on_kaggle_its_data_come_first_and_what_is_written_goes_to_its_working_folder(elsewhere):
    loading, calls = elsewhere
    (loading.KAGGLE / "working").mkdir(parents=True)
    assert loading.output_folder() == loading.KAGGLE / "working"
    assert loading.data_folder() == loading.KAGGLE / "working/demo"  # the repository cannot be written there
    assert calls[0].startswith(f"src/simulate.py --out {loading.KAGGLE / 'working/demo'} ")
    touch(loading.ROOT / "input/train_data.csv", loading.KAGGLE / "input/the-challenge/data/train_data.csv")
    assert loading.data_folder() == loading.KAGGLE / "input/the-challenge/data"


@pytest.mark.command
def test_a_command_that_fails_stops_the_notebook_with_its_message(beside):
    with pytest.raises(RuntimeError, match=r"simulate\.py failed(?s:.*)--children"):
        beside("loading")._run("src/simulate.py", "--children", "none")


# ---- what they compute


def test_copies_are_counted_and_a_near_copy_of_another_child_has_a_small_distance(beside):
    exploration, generator = beside("exploration"), np.random.default_rng(0)
    poses = generator.random((12, 60, 33, 5)).astype(np.float32)
    features = generator.normal(size=(12, len(exploration.kinematics.NAMES)))
    poses[7], features[7] = poses[0], features[0] + 0.001
    children = np.repeat(["1", "2", "3"], 4)
    train = exploration.Segments(poses, children, features)
    test = exploration.Segments(poses[:1], children[:1], features[:1])
    assert exploration.exact_duplicates(train, test) == 2
    nearest = exploration.nearest_distances(train, test)
    other = nearest["any training segment of another child"]
    assert sorted(np.flatnonzero(other < exploration.NEAR * np.median(other))) == [0, 7]
    assert nearest["any training segment, from test"] == pytest.approx(0, abs=1e-6)
    assert nearest["a segment of the same child"].min() > 0.5


def test_a_label_that_follows_the_gaps_is_a_leak(beside):
    exploration, generator = beside("exploration"), np.random.default_rng(0)
    labels, children = np.tile([0, 1], 60), np.repeat(np.arange(20), 6).astype(str)
    features = generator.normal(size=(120, len(exploration.kinematics.NAMES)))
    features[:, exploration.GAPS] += 3 * labels[:, None]
    segments = exploration.Segments(generator.random((120, 8, 33, 5)), children, features)
    camera = ["fixed" if generator.random() < 0.5 else "hand-held" for _ in labels]
    leaks = exploration.label_leaks(segments, labels, {"camera": camera})
    assert leaks["gaps and visibility"]["low"] > 0.9
    for name in ("camera", "place and size in the picture", "movement, for comparison"):
        assert leaks[name]["low"] < 0.6, name


def test_variance_explained_by_groups_is_0_at_random_and_1_where_groups_are_all(beside):
    exploration, generator = beside("exploration"), np.random.default_rng(0)
    groups, values = np.repeat(np.arange(20), 10), generator.normal(size=(200, 50))
    assert exploration.explained_by(groups, values) == pytest.approx(0, abs=0.03)
    assert exploration.explained_by(groups, values[groups]) == pytest.approx(1)


def test_gaps_have_the_lengths_of_runs_of_frames_without_a_pose(beside):
    has_pose = np.array([[1, 0, 0, 1, 1, 0], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0]], bool)
    assert sorted(beside("exploration").gap_lengths_s(has_pose) * 30) == pytest.approx([1, 2, 6])


def test_the_animation_takes_as_long_as_the_segment_and_survives_missing_poses(beside):
    poses = np.random.default_rng(0).random((2, 60, 33, 5)).astype(np.float32)
    poses[0, 10:20], poses[1] = np.nan, np.nan
    gif = beside("animation").animate(poses, ["one", "two"], [[(5, 20, "flexor")], []])
    image = Image.open(io.BytesIO(gif))
    duration_ms = 0
    for frame in range(image.n_frames):
        image.seek(frame)
        duration_ms += image.info["duration"]
    assert duration_ms == 2000


# ---- as they are stored


def test_there_are_four_notebooks_that_mark_every_figure_of_simulated_data():
    assert [path.stem for path in NOTEBOOKS] == list(FIGURES)
    for path in NOTEBOOKS:
        cells = nbformat.read(path, as_version=4).cells
        assert len(cells) <= (12 if path.stem == "00_quickstart" else 30)
        plotting = [cell.source for cell in cells if "plt.show()" in cell.source]
        assert len(plotting) >= FIGURES[path.stem]
        assert all("figure.suptitle(loading.title(" in source for source in plotting)


def test_type_has_at_least_11_points_at_the_size_at_which_figures_are_shown(beside):
    plots = beside("plots")
    sizes = [value for name, value in plots.RC.items() if name.endswith("size") and isinstance(value, int | float)]
    assert plots.RC["figure.dpi"] == 96  # at which a point is as large on the screen as on paper
    assert min(sizes) >= 11
    for path in NOTEBOOKS:
        text = path.read_text()
        assert all(int(size) >= 11 for size in re.findall(r"(?:fontsize|labelsize)=(\d+)", text))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_stored_notebook_is_whole_small_and_free_of_paths_of_the_machine(path, beside):
    assert path.stat().st_size < 1_000_000
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert printed(notebook).startswith("SIMULATED DATA")
    assert len(pictures(notebook)) >= FIGURES[path.stem]
    assert {output.output_type for output in outputs(notebook)} <= {"stream", "display_data"}
    assert {output.get("name", "stdout") for output in outputs(notebook)} == {"stdout"}
    for cell in notebook.cells:
        assert cell.metadata == {}
        assert not A_PATH.search(cell.source), cell.source
    for output in outputs(notebook):
        assert not A_PATH.search(output.get("text", "") + output.get("data", {}).get("text/plain", ""))
    assert notebook.metadata == beside("run_notebooks").strip_outputs(nbformat.from_dict(notebook)).metadata
