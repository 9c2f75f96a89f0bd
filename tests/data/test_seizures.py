"""seizures.csv: how it is read, and which windows are cut around the onsets."""

from pathlib import Path

import pytest

from helpers.tables import table
from spasm.core.errors import DataProblems
from spasm.data.annotations import ramp
from spasm.data.pose import FPS
from spasm.data.seizures import ICTAL, INTERICTAL, TRANSITION, SeizureWindows, choose_windows, read_seizures

RECORDING = Path("child_7_1.npy")
HEADER = "recording,eeg_onset_s,clinical_onset_s\n"


def windows(seconds: float, *seizures: tuple[float, float], **changed: float) -> list[tuple[float, float, str]]:
    """Start and end in s, and kind of each window."""
    wanted = SeizureWindows(**changed)
    found = choose_windows(RECORDING, round(seconds * FPS), seizures, wanted)
    return [(one.start / FPS, (one.start + wanted.frames) / FPS, one.kind) for one in found]


def read(folder: Path, rows: str, **seconds: float) -> dict[str, list[tuple[float, float]]]:
    (folder / "seizures.csv").write_text(HEADER + rows)
    frames = {f"{name}.npy": round(length * FPS) for name, length in seconds.items()}
    return read_seizures(folder / "seizures.csv", frames)


def problems(folder: Path, rows: str, **seconds: float) -> list[str]:
    with pytest.raises(DataProblems) as caught:
        read(folder, rows, **seconds)
    return [str(problem) for problem in caught.value.problems]


def test_windows_are_sparse_before_the_eeg_onset_and_dense_from_the_one_on_that_ends_at_it():
    found = windows(300, (62.0, 70.0), before_s=40, after_s=20)
    ends_s = [end_s for _, end_s, _ in found]
    assert found[0][0] == 22, "40 s before the EEG onset"
    assert ends_s[:8] == [27, 32, 37, 42, 47, 52, 57, 62]
    assert ends_s[7:] == list(range(62, 91)), "every second until 20 s after the clinical onset"


def test_the_kind_of_a_window_is_that_of_its_end():
    kinds = {end_s: kind for _, end_s, kind in windows(300, (62.0, 70.0), before_s=40, after_s=20)}
    assert (kinds[57], kinds[62], kinds[69], kinds[70], kinds[90]) == (
        INTERICTAL, TRANSITION, TRANSITION, ICTAL, ICTAL,
    )  # fmt: skip


def test_the_label_is_the_target_rounded():
    found = choose_windows(RECORDING, 9000, [(62.0, 70.0)], SeizureWindows())
    for one in found:
        assert one.target == ramp((one.start + 150) / FPS, 62, 70)
        assert one.label == (one.target >= 0.5)
    assert {one.label for one in found} == {0, 1}


def test_a_stride_that_misses_the_eeg_onset_is_shortened_so_that_a_window_ends_there():
    ends_s = [end_s for _, end_s, _ in windows(120, (33.0, 40.0), after_s=3)]
    assert ends_s[:9] == [5, 10, 15, 20, 25, 30, 33, 34, 35]


def test_a_recording_without_a_seizure_is_interictal_throughout():
    assert windows(22) == [(0, 5, INTERICTAL), (5, 10, INTERICTAL), (10, 15, INTERICTAL), (15, 20, INTERICTAL)]
    assert windows(4.9) == []


def test_nothing_is_cut_beyond_the_recording_or_twice_for_two_seizures():
    found = windows(100, (30.0, 35.0), (60.0, 66.0), after_s=10)
    assert max(end_s for _, end_s, _ in found) <= 76
    starts_s = [start_s for start_s, _, _ in found]
    assert starts_s == sorted(set(starts_s))
    between = [(start_s, kind) for start_s, end_s, kind in found if start_s >= 41 and end_s < 60]
    assert between and all(start_s >= 45 and kind == INTERICTAL for start_s, kind in between)
    assert max(end_s for _, end_s, _ in windows(70, (30.0, 35.0))) == 70


def test_the_windows_of_a_seizure_end_before_the_eeg_onset_of_the_next_one():
    found = choose_windows(RECORDING, 9000, [(30.0, 35.0), (50.0, 55.0)], SeizureWindows())
    of_first = [one for one in found if one.onsets_s == (30.0, 35.0)]
    assert max((one.start + 150) / FPS for one in of_first) < 50


def test_other_strides_and_lengths_are_used():
    found = windows(60, (30.0, 35.0), frames=60, before_s=10, after_s=4, interictal_stride_s=4, seizure_stride_s=0.5)
    assert [end_s for _, end_s, _ in found][:6] == [22, 26, 30, 30.5, 31, 31.5]
    assert found[-1][1] == 39


def test_seizures_are_read_in_the_order_of_time_and_a_recording_without_a_line_has_none(tmp_path):
    found = read(tmp_path, "child_7_1.npy,50,60\nchild_7_1.npy,10,12.5\n", child_7_1=100, child_7_2=80)
    assert found == {"child_7_1.npy": [(10, 12.5), (50, 60)], "child_7_2.npy": []}
    assert len(table(tmp_path / "seizures.csv")) == 2


def test_every_bad_line_is_named_at_once(tmp_path):
    rows = [
        "child_7_1.npy,10,12",
        "child_77_1.npy,10,12",
        "child_7_1.npy,30,20",
        "child_7_1.npy,soon,40",
        "child_7_1.npy,90,101",
        "child_7_1.npy,-1,5",
        "child_7_1.npy,11,50",
        "child_7_1.npy,nan,50",
    ]
    found = problems(tmp_path, "\n".join(rows) + "\n", child_7_1=100)
    assert [line for line in range(2, 10) if any(f"line {line}:" in problem for problem in found)] == list(range(3, 10))
    wanted = ("no recording", "that of the EEG first", "not frames or a clock", "before the clinical onset in line 2")
    for text in wanted:
        assert any(text in problem for problem in found), (text, found)
