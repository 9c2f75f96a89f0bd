"""Seizures of recordings, with EEG and clinical onsets, and the windows that VSViG is trained on (arXiv 2311.14775)."""

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

from spasm.config.fields import settings, within
from spasm.core.errors import DataError, DataProblems, shorten
from spasm.core.nearby import nearest_name
from spasm.core.tables import numbered_rows
from spasm.data.annotations import ramp
from spasm.data.pose import FPS

SEIZURE_COLUMNS = ("recording", "eeg_onset_s", "clinical_onset_s")
INTERICTAL, TRANSITION, ICTAL = "interictal", "transition", "ictal"  # kinds of windows
Onsets = tuple[float, float]  # EEG and clinical onset in s


@settings
class SeizureWindows:
    """Which windows are cut; the defaults are the published ones."""

    frames: Annotated[int, within(16, 100_000)] = 150
    """Frames in every window (T), at 30 frames per second."""
    before_s: Annotated[float, within(0, 86_400)] = 1800.0
    """Seconds before an EEG onset from which windows are cut."""
    after_s: Annotated[float, within(0, 86_400)] = 120.0
    """Seconds after a clinical onset until which windows are cut."""
    interictal_stride_s: Annotated[float, within(0.1, 3600)] = 5.0
    """Seconds between the starts of windows that end before the EEG onset."""
    seizure_stride_s: Annotated[float, within(0.1, 3600)] = 1.0
    """Seconds between the starts of windows from the EEG onset on."""


class SeizureWindow(NamedTuple):
    """A window to cut; has what `write_segments` reads of a segment."""

    recording: Path
    start: int  # its first frame
    kind: str  # INTERICTAL, TRANSITION or ICTAL
    onsets_s: Onsets | None  # in the recording; None without a seizure at or after the window
    target: float  # the ramp at the window's end

    @property
    def label(self) -> int:
        """The target, rounded, so that label and target never disagree on which side of 0.5 a window is.

        Models that learn labels need one; folds are stratified by it. It is 1 shortly before the clinical onset.
        """
        return int(self.target >= 0.5)

    @property
    def event_s(self) -> None:
        """Nothing: a window has no event with an end."""
        return

    @property
    def type(self) -> str:
        """Nothing: a seizure has no type here."""
        return ""


def read_seizures(table: Path, frames: Mapping[str, int]) -> dict[str, list[Onsets]]:
    """The onsets of each recording's seizures in the order of time; frames: F of each recording by its file name.

    Raises DataProblems with every bad line: onsets that are no seconds, of a recording that is not there, outside of
    it, in the wrong order, or of a seizure that begins before the clinical onset of another one.
    """
    found: dict[str, list[tuple[float, float, int]]] = {name: [] for name in frames}
    problems: list[DataError] = []
    for line, row in numbered_rows(table, SEIZURE_COLUMNS):
        name, texts = row["recording"], (row["eeg_onset_s"], row["clinical_onset_s"])
        if name not in frames:
            hint = f"{nearest_name(name, list(frames)) or 'correct its name.'} Give that recording, or delete the line"
            problems.append(DataError(table, f"line {line}: no recording {shorten(name)} was given", hint))
            continue
        try:
            eeg, clinical = map(float, texts)
        except ValueError:
            eeg = clinical = math.nan
        length_s = frames[name] / FPS
        if not (math.isfinite(eeg) and math.isfinite(clinical) and eeg <= clinical):
            reason = f"line {line}: onsets {shorten(', '.join(texts))} of {name}"
            problems.append(DataError(table, reason, "give seconds from the recording's start, that of the EEG first"))
        elif eeg < 0 or clinical > length_s:
            reason = (
                f"line {line}: onsets {shorten(', '.join(texts))} are outside of {name}, which has {length_s:.1f} s"
            )
            problems.append(DataError(table, reason, "give seconds from the recording's start, not frames or a clock"))
        else:
            found[name].append((eeg, clinical, line))
    for name, of_one in found.items():
        of_one.sort()
        for (_, clinical, line), (eeg, _, other) in itertools.pairwise(of_one):
            if eeg <= clinical:
                reason = f"line {other}: this seizure of {name} begins before the clinical onset in line {line}"
                problems.append(DataError(table, reason, "delete one of the two, or correct the onsets"))
    if problems:
        raise DataProblems(problems)
    return {name: [(eeg, clinical) for eeg, clinical, _ in of_one] for name, of_one in found.items()}


def choose_windows(
    recording: Path, frames: int, seizures: Sequence[Onsets], wanted: SeizureWindows
) -> list[SeizureWindow]:
    """The windows of a recording with so many frames, in the order of time.

    A window belongs to the seizure before whose end of interest (clinical onset + after_s) it ends. Its stride is that
    of seizures from the window on that ends at the EEG onset or later. After a seizure, interictal windows begin where
    its last one ended. A recording without seizures is interictal throughout.
    """
    chosen: list[SeizureWindow] = []
    strides = [round(value * FPS) for value in (wanted.interictal_stride_s, wanted.seizure_stride_s)]
    free = 0  # the first frame after the windows of the seizure before
    for number, (eeg, clinical) in enumerate(seizures):
        last = min(frames, math.floor((clinical + wanted.after_s) * FPS))
        if number + 1 < len(seizures):
            last = min(last, math.ceil(seizures[number + 1][0] * FPS) - 1)
        start = max(free, math.ceil((eeg - wanted.before_s) * FPS), 0)
        onset = math.ceil(eeg * FPS)
        while start + wanted.frames <= last:
            end_s = (start + wanted.frames) / FPS
            kind = INTERICTAL if end_s < eeg else TRANSITION if end_s < clinical else ICTAL
            chosen.append(SeizureWindow(recording, start, kind, (eeg, clinical), ramp(end_s, eeg, clinical)))
            end = start + wanted.frames
            start += strides[1] if end >= onset else max(1, min(strides[0], onset - end))
        free = max(free, last)
    if not seizures:
        starts = range(0, frames - wanted.frames + 1, strides[0])
        chosen = [SeizureWindow(recording, start, INTERICTAL, None, 0.0) for start in starts]
    return chosen
