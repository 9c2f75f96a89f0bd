"""Long recordings: their files, their events, and spasms that come in clusters."""

import itertools
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from helpers.repository import SOURCE
from helpers.scenes import still_scene
from helpers.tables import table
from spasm.simulation import dataset_writer, recordings
from spasm.simulation.infant import SimulationConfig, cohort
from spasm.simulation.recordings import simulate_recording
from spasm.simulation.spasms import KIND_FRACTIONS

SEED = 7
MINUTES = 4.0
PATIENTS = [child for child in range(1, 60) if cohort(SEED, child) == "patient"]
CONTROLS = [child for child in range(1, 60) if cohort(SEED, child) == "control"]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Seven recordings of five children, four minutes each."""
    out = tmp_path_factory.mktemp("recorded") / "demo"
    dataset_writer.write_dataset(out, 5, 1, SEED, SimulationConfig(frames=60), recordings=7, minutes=MINUTES, workers=1)
    return out


@pytest.fixture
def scenes(monkeypatch):
    """Scenes are sampled at once, but nothing moves; gives what each was asked for: state, spasms, frames."""
    asked = []

    def note(rng, child, video, state, spasms, frames):
        asked.append((state, spasms, frames))
        return still_scene(np.zeros((frames, 33, 5), dtype=np.float32))

    monkeypatch.setattr(recordings, "simulate_scene", note)
    return asked


def spasms_of(child: int, minutes: float, seed: int = SEED) -> list:
    return [spasm for _, begun in simulate_recording(seed, child, 1, minutes, SimulationConfig()) for spasm in begun]


# ---- files


def test_a_recording_is_one_array_of_single_precision_for_every_frame(recorded):
    paths = sorted((recorded / "recordings").iterdir())
    assert len(paths) == 7
    for path in paths:
        pose = np.load(path)
        assert pose.shape == (int(MINUTES * 60 * 30), 33, 5)
        assert pose.dtype == np.float32
        assert pose.flags.c_contiguous
        missing = np.isnan(pose)
        frames = missing.all(axis=(1, 2))
        assert (missing == frames[:, None, None]).all()
        assert np.isfinite(pose[~frames]).all()
        assert (pose[~frames][..., 3:] >= 0).all() and (pose[~frames][..., 3:] <= 1).all()
        assert frames[:5].all()  # between scenes the pose is lost for a moment
        assert not frames.all()


def test_recordings_are_dealt_to_the_children_in_turn(recorded):
    names = {path.name for path in (recorded / "recordings").iterdir()}
    assert names == {*(f"child_{child}_1.npy" for child in range(1, 6)), "child_1_2.npy", "child_2_2.npy"}
    first, second = (np.load(recorded / "recordings" / f"child_1_{n}.npy") for n in (1, 2))
    assert not np.array_equal(first, second, equal_nan=True)


def test_events_are_in_order_inside_the_recording_and_never_overlap(recorded):
    text = (recorded / "events.csv").read_text(encoding="utf-8")
    assert text.splitlines()[0] == "recording,onset_s,offset_s,type"
    rows = table(recorded / "events.csv")
    assert rows
    for name, group in itertools.groupby(rows, key=lambda row: row["recording"]):
        assert (recorded / "recordings" / name).exists()
        assert cohort(SEED, int(name.split("_")[1])) == "patient"
        events = [(float(row["onset_s"]), float(row["offset_s"])) for row in group]
        assert all(0 <= onset < offset <= MINUTES * 60 for onset, offset in events)
        assert all(before[1] < after[0] for before, after in itertools.pairwise(events))
    names = [name for name, _ in itertools.groupby(row["recording"] for row in rows)]
    assert len(names) == len(set(names))  # the events of a recording stand together
    assert {row["type"] for row in rows} <= set(KIND_FRACTIONS)


def test_a_recording_does_not_depend_on_the_others_nor_on_the_segments(recorded, tmp_path):
    out = tmp_path / "other"
    dataset_writer.write_dataset(out, 4, 2, SEED, SimulationConfig(frames=90), recordings=1, minutes=MINUTES, workers=1)
    name = "recordings/child_1_1.npy"
    assert (out / name).read_bytes() == (recorded / name).read_bytes()


# ---- scenes


def test_scenes_of_one_to_three_minutes_follow_one_another_without_a_break(scenes):
    for child, minutes in ((1, 1.0), (2, 1.5), (3, 7.3), (4, 30.0)):
        scenes.clear()
        lengths = [len(pose) for pose, _ in simulate_recording(SEED, child, 1, minutes, SimulationConfig())]
        assert sum(lengths) == round(minutes * 60 * 30)
        assert all(1800 <= length < 5400 for length in lengths)
        assert [frames for _, _, frames in scenes] == lengths


def test_the_pose_is_lost_for_a_moment_at_the_start_of_every_scene_and_not_for_long(scenes):
    for pose, _ in simulate_recording(SEED, 1, 1, 30.0, SimulationConfig()):
        lost = np.isnan(pose).all(axis=(1, 2))
        assert 5 <= lost.sum() < 60
        assert lost[: lost.sum()].all()


def test_a_spasm_moves_the_body_at_the_time_that_is_written_and_in_both_scenes_that_it_touches(scenes):
    child = PATIENTS[0]
    pieces = list(simulate_recording(SEED, child, 1, 240.0, SimulationConfig()))
    assert len(pieces) == len(scenes)
    start_s, both = 0.0, 0
    written = [spasm for _, begun in pieces for spasm in begun]
    for (pose, begun), (_, performed, frames) in zip(pieces, scenes, strict=True):
        assert len(pose) == frames
        end_s = start_s + frames / 30
        assert all(start_s <= spasm.onset_s < end_s for spasm in begun)
        inside = [spasm for spasm in written if spasm.onset_s < end_s and spasm.end_s > start_s]
        assert [spasm.onset_s + start_s for spasm in performed] == pytest.approx([spasm.onset_s for spasm in inside])
        both += len(inside) - len(begun)
        start_s = end_s
    assert written
    assert both >= 0


def test_a_cluster_is_not_slept_through(scenes):
    for child in PATIENTS[:20]:
        list(simulate_recording(SEED, child, 1, 60.0, SimulationConfig()))
    assert not any(state == "sleep" and len(spasms) > 2 for state, spasms, _ in scenes)
    assert any(state == "sleep" for state, _, _ in scenes)
    assert any(len(spasms) > 2 for _, spasms, _ in scenes)


# ---- spasms


def test_controls_have_no_spasm_and_every_patient_has_with_enough_time(scenes):
    assert not any(spasms_of(child, 60.0) for child in CONTROLS)
    assert all(spasms_of(child, 60.0) for child in PATIENTS)


@pytest.mark.parametrize("minutes", [1.0, 2.3, 20.0])
def test_spasms_are_in_order_begin_inside_and_wait_for_one_another(scenes, minutes):
    found = 0
    for child in PATIENTS:
        spasms = spasms_of(child, minutes)
        assert all(0 <= spasm.onset_s < minutes * 60 for spasm in spasms)
        assert all(before.end_s < after.onset_s for before, after in itertools.pairwise(spasms))
        found += len(spasms)
    assert found > 10


def test_most_spasms_come_in_clusters(scenes):
    near = []
    for child in PATIENTS:
        onsets = np.array([spasm.onset_s for spasm in spasms_of(child, 60.0)])
        gaps = np.diff(onsets, prepend=-np.inf, append=np.inf)
        near += list(np.minimum(gaps[:-1], gaps[1:]) < 40)
    assert len(near) > 1000
    assert 0.7 < np.mean(near) < 0.95  # 78 % are sampled in clusters; a lone one can stand beside one


def test_within_a_cluster_spasms_are_some_seconds_apart(scenes):
    gaps = np.concatenate([np.diff([spasm.onset_s for spasm in spasms_of(child, 60.0)]) for child in PATIENTS])
    inside = gaps[gaps < 40]
    assert 5 < np.median(inside) < 20
    assert inside.min() > 0.5


def test_patients_show_more_than_one_kind(scenes):
    kinds = [Counter(spasm.kind for spasm in spasms_of(child, 60.0)) for child in PATIENTS]
    assert np.mean([len(counts) > 1 for counts in kinds]) > 0.7


# ---- memory


@pytest.mark.command
def test_memory_does_not_grow_with_the_length_of_a_recording(tmp_path):
    code = f"""
import resource, sys
sys.path.insert(0, {str(SOURCE)!r})
from pathlib import Path
from spasm.simulation.dataset_writer import write_dataset
from spasm.simulation.infant import SimulationConfig
world, minutes = SimulationConfig(frames=60), float(sys.argv[2])
write_dataset(Path(sys.argv[1]), 4, 1, 7, world, recordings=1, minutes=minutes, workers=1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    minutes = (6, 60)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / str(length)), str(length)], stdout=subprocess.PIPE, text=True
        )
        for length in minutes
    ]
    unit = 2**20 if sys.platform == "darwin" else 2**10  # in a MiB
    peaks = [int(process.communicate()[0]) / unit for process in running]
    assert all(process.returncode == 0 for process in running)
    written = (tmp_path / "60" / "recordings" / "child_1_1.npy").stat().st_size / 2**20
    assert written > 65  # MiB in single precision; whole in memory it would be as much again twice over
    assert peaks[1] - peaks[0] < 50
