"""simulate.py: each of its settings has an effect."""

import dataclasses

import pytest

import simulate
from simulate import Simulate
from spasm.cli import app

SIMULATED = ("--children", 5, "--segments-per-child", 2, "--frames", 60, "--workers", 1)
SIMULATE_CASES = {
    "children": 6, "segments_per_child": 3, "frames": 61, "prevalence": 0.5, "mimic_fraction": 1.0,
    "camera_setup": "table", "confound": None, "recordings": 1, "minutes": 2.0, "videos": None, "preview": None,
    "seed": 8,
}  # fmt: skip


def test_every_field_of_the_simulator_has_a_case():
    # `out` is where it goes, and the files do not depend on `workers`: test_dataset_writer.py shows it.
    assert SIMULATE_CASES.keys() == {field.name for field in dataclasses.fields(Simulate)} - {"out", "workers"}


@pytest.mark.parametrize("name", SIMULATE_CASES)
def test_every_field_of_the_simulator_has_an_effect(tmp_path, name):
    flags = [*map(str, SIMULATED), *(["--recordings", "1", "--minutes", "1"] if name == "minutes" else [])]
    written = []
    value = SIMULATE_CASES[name]
    other = [f"--{name.replace('_', '-')}", *([] if value is None else [str(value)])]
    for folder, more in (("a", []), ("b", other)):
        assert app.run(simulate.main, Simulate, "", ["--out", str(tmp_path / folder), *flags, *more]) == 0
        root = tmp_path / folder
        files = (path for path in root.rglob("*") if path.is_file() and path.name != "simulated.json")
        written.append({path.relative_to(root).as_posix(): path.read_bytes() for path in files})
    assert written[0] != written[1]
