"""The pictures that simulate.py --preview draws."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from helpers.repository import ROOT
from spasm.simulation import preview
from spasm.simulation.behaviours import REPERTOIRE
from spasm.simulation.spasms import SHARES

pytestmark = pytest.mark.command


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    out = tmp_path_factory.mktemp("preview") / "demo"
    flags = f"--out {out} --children 4 --segments-per-child 1 --preview".split()
    finished = subprocess.run([sys.executable, "src/simulate.py", *flags], cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert "preview/" in finished.stdout
    return out / "preview"


def test_every_behaviour_and_every_kind_of_spasm_has_a_film(drawn):
    films = {path.stem for path in drawn.glob("*.gif")}
    for name in REPERTOIRE:
        assert any(film.startswith(name) for film in films), name
    assert {f"spasm_{kind}" for kind in SHARES} < films
    assert films == set(preview.behaviour_names())
    assert {path.name for path in drawn.glob("*.png")} == {"behaviours.png", "segments.png"}


def test_films_are_short_small_and_move(drawn):
    for path in drawn.glob("*.gif"):
        assert path.stat().st_size < 200_000
        with Image.open(path) as film:
            assert 30 < film.n_frames <= 60
            first = np.asarray(film.convert("L"), dtype=int)
            film.seek(film.n_frames // 3)
            assert (np.abs(np.asarray(film.convert("L"), dtype=int) - first) > 60).any(), path.name


def test_the_contact_sheet_has_a_row_for_each_behaviour_and_none_is_empty(drawn):
    with Image.open(drawn / "behaviours.png") as sheet:
        grey = np.asarray(sheet.convert("L"))
    rows = np.array_split(grey, len(preview.behaviour_names()))
    assert all((row < 100).sum() > 500 for row in rows)


def test_the_same_seed_draws_the_same_pictures_and_a_second_drawing_replaces_the_first(drawn):
    before = {path.name: path.read_bytes() for path in drawn.iterdir()}
    flags = f"--out {drawn.parent} --children 4 --segments-per-child 1 --preview".split()
    subprocess.run([sys.executable, "src/simulate.py", *flags], cwd=ROOT, check=True, capture_output=True)
    assert {path.name: path.read_bytes() for path in drawn.iterdir()} == before


def test_left_is_blue_right_is_red_and_a_missing_pose_is_grey():
    picture, _, aspect = preview.film("spasm_arrest", 7)
    image = np.asarray(preview.draw_pose(picture[0], aspect), dtype=int)
    blue = (image[..., 2] > image[..., 0] + 80).nonzero()[1].mean()
    red = (image[..., 0] > image[..., 2] + 80).nonzero()[1].mean()
    assert blue > red  # seen from the front, the child's left is on the picture's right
    assert len(np.unique(preview.draw_pose(np.full((33, 5), np.nan), 1.0))) == 1


def test_without_the_flag_no_pictures_are_drawn(simulated):
    assert not (simulated / "preview").exists()
