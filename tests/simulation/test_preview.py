"""The pictures that simulate.py --preview draws."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from helpers.repository import ROOT
from spasm.simulation import preview
from spasm.simulation.repertoire import REPERTOIRE
from spasm.simulation.spasms import KIND_FRACTIONS

pytestmark = pytest.mark.command


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    out = tmp_path_factory.mktemp("preview") / "demo"
    flags = f"--out {out} --children 4 --segments-per-child 1 --preview".split()
    finished = subprocess.run([sys.executable, "src/simulate.py", *flags], cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert "preview/" in finished.stdout
    return out / "preview"


def test_every_behaviour_and_every_kind_of_spasm_has_an_animation(sampled):
    animations = {path.stem for path in sampled.glob("*.gif")}
    for name in REPERTOIRE:
        assert any(animation.startswith(name) for animation in animations), name
    assert {f"spasm_{kind}" for kind in KIND_FRACTIONS} < animations
    assert animations == set(preview.behaviour_names())
    assert {path.name for path in sampled.glob("*.png")} == {"behaviours.png", "segments.png"}


def test_animations_are_short_small_and_move(sampled):
    for path in sampled.glob("*.gif"):
        assert path.stat().st_size < 200_000
        with Image.open(path) as animation:
            assert 30 < animation.n_frames <= 60
            first = np.asarray(animation.convert("L"), dtype=int)
            animation.seek(animation.n_frames // 3)
            assert (np.abs(np.asarray(animation.convert("L"), dtype=int) - first) > 60).any(), path.name


def test_the_contact_sheet_has_a_row_for_each_behaviour_and_none_is_empty(sampled):
    with Image.open(sampled / "behaviours.png") as sheet:
        grey = np.asarray(sheet.convert("L"))
    rows = np.array_split(grey, len(preview.behaviour_names()))
    assert all((row < 100).sum() > 500 for row in rows)


def test_the_same_seed_gives_the_same_pictures_and_a_second_run_replaces_the_first(sampled):
    before = {path.name: path.read_bytes() for path in sampled.iterdir()}
    flags = f"--out {sampled.parent} --children 4 --segments-per-child 1 --preview".split()
    subprocess.run([sys.executable, "src/simulate.py", *flags], cwd=ROOT, check=True, capture_output=True)
    assert {path.name: path.read_bytes() for path in sampled.iterdir()} == before


def test_left_is_blue_right_is_red_and_a_missing_pose_is_grey():
    picture, _, aspect = preview.record_behaviour("spasm_arrest", 7)
    image = np.asarray(preview.paint_pose(picture[0], aspect), dtype=int)
    blue = (image[..., 2] > image[..., 0] + 80).nonzero()[1].mean()
    red = (image[..., 0] > image[..., 2] + 80).nonzero()[1].mean()
    assert blue > red  # seen from the front, the child's left is on the picture's right
    assert len(np.unique(preview.paint_pose(np.full((33, 5), np.nan), 1.0))) == 1


def test_without_the_flag_no_pictures_are_written(simulated):
    assert not (simulated / "preview").exists()
