"""Predictions of a run for a long recording: made window by window, saved in a folder, and read again."""

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spasm.config.runtime import Hardware
from spasm.core import files
from spasm.core.errors import DataError, DataProblems, collect_errors
from spasm.core.processes import cpu_count
from spasm.core.windows import window_starts
from spasm.data import recordings
from spasm.data.findings import RULES
from spasm.data.pictures import RecordingPictures, Wanted
from spasm.data.pose import FPS, missing_frames
from spasm.data.recordings import BATCH, Checked
from spasm.data.seen import is_too_little
from spasm.inference import event_detection
from spasm.inference.cluster_predictor import ClusterPredictor
from spasm.inference.ensemble_predictor import BatchPrediction, EnsemblePredictor, picture_kinds, probability
from spasm.inference.event_detection import Curve, Windows
from spasm.inference.prediction_tasks import predict_windows
from spasm.runs.artefacts import Decision

if TYPE_CHECKING:
    from spasm.cluster.tasks import Cluster

WINDOW_COLUMNS = ("end_s", "probability", "pose_s", "seen_s")
CURVE_COLUMNS = ("time_s", "probability", "movement")


class WindowPredictions:
    """Collects the predictions for a recording's windows, in order."""

    def __init__(self, length: int, probability: Callable[..., np.ndarray], abstain: float) -> None:
        """length: frames of a window. probability: as `EnsemblePredictor.probability`. abstain: too little was seen of
        a window if a smaller fraction of its frames shows movement."""
        self.length, self.probability, self.abstain = length, probability, abstain
        self.curve = Curve(self.length)
        self.steps: list[np.ndarray] = []
        self.columns: list[np.ndarray] = []  # (3, N): probability, seconds with a pose, seconds that show movement

    def add(self, batch: BatchPrediction) -> int:
        """Add windows that `predict_windows` predicted; their number.

        They count with their attention or, if no model has attention, with the frames that were seen.
        """
        firsts, moving = batch.key
        # Windows of a child overlap, and most have no event: child context, fitted on segments, is not valid here.
        probabilities = self.probability(batch.logits, [""] * len(firsts), batch.has_pose, child_context=False)
        counts = np.stack([batch.posed.sum(axis=1), batch.seen.sum(axis=1)], axis=1)
        too_little = is_too_little(counts, self.length, self.abstain)
        probabilities = np.where(too_little, np.nan, probabilities)
        self.columns.append(np.stack([probabilities, batch.posed.sum(axis=1) / FPS, batch.seen.sum(axis=1) / FPS]))
        of_frames = batch.seen if self.abstain else batch.posed  # with 0 every pose counts
        rows = zip(firsts, probabilities, batch.attention, of_frames, moving, strict=True)
        for first, one, weights, seen, speed in rows:
            weights = weights if weights.any() else seen.astype(float)
            self.steps.append(self.curve.add(int(first), float(one), weights, seen, speed))
        return len(firsts)

    def windows(self, whole: int, stride: int) -> Windows:
        """The windows so far, of `whole` frames; the curve ends where the next window could begin."""
        self.columns, self.steps = [np.concatenate(self.columns, axis=1)], [np.concatenate(self.steps, axis=1)]
        probabilities, pose_s, seen_s = self.columns[0]
        return event_detection.make_windows(whole, self.length, stride, probabilities, pose_s, seen_s, self.steps[0])

    def finish(self, whole: int, stride: int) -> Windows:
        """The windows of the whole recording."""
        self.steps.append(self.curve.finish())
        return self.windows(whole, stride)


def predict_recording(
    path: Path, whole: int, stride: int, predictor: EnsemblePredictor, abstain: float, advance: Callable[[int], Any]
) -> Windows:
    """The windows of a recording of `whole` frames, each predicted as a separate segment.

    abstain: see `WindowPredictions`; advance: called with the number of frames that were done since the last call.
    """
    predictions = WindowPredictions(predictor.decision.frames, predictor.probability, abstain)
    for batch in predict_windows(predictor, recordings.windows(path, predictions.length, stride), path):
        advance(predictions.add(batch) * stride)
    return predictions.finish(whole, stride)


def collect_windows(
    batches: Iterable[BatchPrediction], whole: int, stride: int, decision: Decision, abstain: float
) -> Windows:
    """The windows of a recording of `whole` frames from all their predictions, in order."""
    predictions = WindowPredictions(decision.frames, functools.partial(probability, decision), abstain)
    for batch in batches:
        predictions.add(batch)
    return predictions.finish(whole, stride)


def predict_recordings(
    checked: Mapping[Path, Checked],
    run: Path,
    decision: Decision,
    stride_s: float,
    abstain: float,
    hardware: Hardware,
    out: Path,
    progress: Callable[..., Any],
    cluster: "Cluster | None" = None,
) -> dict[Path, Windows]:
    """Each recording's windows, saved in a folder of `out` so that no recording is predicted twice.

    checked: the recordings, as `check_recordings` read them; what was noticed in their poses is saved, too. progress:
    makes a progress bar for a `total` of frames, as a context manager. cluster: predict there.
    """
    rests_on = {
        "rules": RULES,
        "columns": [*CURVE_COLUMNS],
        "decision": files.sha256(run / "decision.json"),
        "stride_s": stride_s,
        "abstain": abstain,
        "precision": hardware.precision,
    }
    of_pictures = picture_keys(list(checked), picture_kinds(decision))
    keys = {
        path: {
            **rests_on,
            **of_pictures[path],
            "recording": files.sha256(path),
            "findings": [*one.findings.sentences().values()],
        }
        for path, one in checked.items()
    }
    stride = round(stride_s * FPS)
    kept = {path: read(out / path.stem, stride, keys[path]) for path in checked}
    left = [path for path, windows in kept.items() if windows is None]
    predicted = {path: windows for path, windows in kept.items() if windows is not None}
    if left:
        lengths = {path: checked[path].frames for path in left}
        with progress(total=sum(lengths.values())) as bar:
            each = _predict_each(lengths, run, decision, stride, abstain, hardware, bar.update, cluster)
            for path, windows in zip(left, each, strict=True):
                folder = out / path.stem
                write(folder, keys[path], windows)
                written = read(folder, stride, keys[path])  # so that the first run returns what a later one reads
                if written is None:
                    raise DataError(folder, "was removed or changed while it was written", "run the same command again")
                predicted[path] = written
    return {path: predicted[path] for path in checked}


def picture_keys(paths: Sequence[Path], kinds: Wanted) -> dict[Path, dict[str, str]]:
    """What identifies the pictures of recordings, of each kind.

    Raises DataProblems with all pictures that are missing or wrong.
    """
    problems: list[DataError] = []
    keys: dict[Path, dict[str, str]] = {path: {} for path in paths}
    for path, (kind, mask) in itertools.product(paths, kinds.items()):
        with collect_errors(problems):
            keys[path][kind] = RecordingPictures(path, ()).key(kind, mask)
    if problems:
        raise DataProblems(problems, paths)
    return keys


def _predict_each(
    lengths: Mapping[Path, int],
    run: Path,
    decision: Decision,
    stride: int,
    abstain: float,
    hardware: Hardware,
    advance: Callable[[int], Any],
    cluster: "Cluster | None",
) -> Iterator[Windows]:
    """The windows of recordings, given with their frames, one recording after the other."""
    if cluster is not None:
        on_cluster = ClusterPredictor(cluster, run, decision, hardware)
        batches = on_cluster.predict_recordings(list(lengths), list(lengths.values()), stride, advance)
        of_each = itertools.groupby(batches, lambda numbered: numbered[0])
        for (_, numbered), whole in zip(of_each, lengths.values(), strict=True):
            yield collect_windows((batch for _, batch in numbered), whole, stride, decision, abstain)
        return
    count = sum(-(-len(window_starts(whole, decision.frames, stride)) // BATCH) for whole in lengths.values())
    with EnsemblePredictor(run, decision, hardware, cpu_count(), count) as predictor:
        for path, whole in lengths.items():
            yield predict_recording(path, whole, stride, predictor, abstain, advance)


class OnlineDetector:
    """Windows of live poses, each predicted as soon as it is complete."""

    def __init__(self, predictor: EnsemblePredictor, stride: int, abstain: float) -> None:
        self.predictor, self.stride = predictor, stride
        self.predictions = WindowPredictions(predictor.decision.frames, predictor.probability, abstain)
        self.held = missing_frames(0)  # the latest frames
        self.frames = self.next = 0  # frames so far, and the first frame of the next window

    def add(self, poses: np.ndarray) -> Windows | None:
        """Add the next poses (F, 33, 5); returns the windows so far if there is a new one."""
        length = self.predictions.length
        self.held = np.concatenate([self.held, poses])
        self.frames += len(poses)
        firsts = np.arange(self.next, self.frames - length + 1, self.stride)
        if not len(firsts):
            return None
        self._predict(firsts)
        self.next = int(firsts[-1]) + self.stride
        self.held = self.held[-max(length, self.frames - self.next) :]
        return self.predictions.windows(int(firsts[-1]) + length, self.stride)

    def so_far(self) -> Windows | None:
        """The windows predicted so far, or None; later frames are not included."""
        if not self.next:
            return None
        return self.predictions.finish(self.next - self.stride + self.predictions.length, self.stride)

    def finish(self) -> Windows:
        """The windows of all frames, as for a recording: the last one ends with it."""
        last = max(0, self.frames - self.predictions.length)
        if last != self.next - self.stride:
            lacking = max(0, self.predictions.length - len(self.held))
            self.held = np.concatenate([self.held, missing_frames(lacking)])[-self.predictions.length :]
            self._predict(np.array([last]))
        return self.predictions.finish(self.frames, self.stride)

    def _predict(self, firsts: np.ndarray) -> None:
        begin = max(0, self.frames - len(self.held))
        poses = np.stack([self.held[first - begin :][: self.predictions.length] for first in firsts])
        for batch in predict_windows(self.predictor, [(firsts, poses)]):
            self.predictions.add(batch)


def files_of(folder: Path) -> tuple[Path, Path, Path]:
    """Paths of a recording's windows, of its probability over time, and of the key that both depend on."""
    return folder / "windows.csv", folder / "probability_over_time.csv", folder / "manifest.json"


def write(folder: Path, key: dict[str, Any], windows: Windows) -> None:
    """Save a recording's windows; their key is written last."""
    of_windows, of_curve, rests_on = files_of(folder)
    ends_s, pose_s, seen_s = (
        [f"{value:.2f}" for value in part] for part in (windows.ends_s, windows.pose_s, windows.seen_s)
    )
    files.write_csv(of_windows, WINDOW_COLUMNS, zip(ends_s, windows.probabilities, pose_s, seen_s, strict=True))
    steps = enumerate(zip(windows.curve, windows.movement, strict=True))
    rows = ((f"{step * event_detection.STEP_S:.1f}", *(f"{value:.6g}" for value in values)) for step, values in steps)
    files.write_csv(of_curve, CURVE_COLUMNS, rows)
    frames = {"frames": windows.frames, "window_frames": windows.length}
    files.write_json(rests_on, {**key, **frames, "files": [files.sha256(of_windows), files.sha256(of_curve)]})


def read(folder: Path, stride: int, key: dict[str, Any]) -> Windows | None:
    """The windows that `write` saved; None if there are none, or if their key has changed."""
    *tables, rests_on = files_of(folder)
    if not all(file.is_file() for file in (*tables, rests_on)):
        return None
    with contextlib.suppress(DataError, KeyError):
        kept = files.read_json(rests_on)
        same = {name: kept[name] for name in key} == key
        if same and kept["files"] == [files.sha256(table) for table in tables]:
            # Not read_table, which is slow: the file is our own, and a day has 864,000 steps.
            columns = np.loadtxt(tables[0], delimiter=",", skiprows=1, usecols=(1, 2, 3), ndmin=2)
            curve = np.loadtxt(tables[1], delimiter=",", skiprows=1, usecols=(1, 2), ndmin=2).T
            probabilities, pose_s, seen_s = columns.T
            frames, length = kept["frames"], kept["window_frames"]
            return event_detection.make_windows(frames, length, stride, probabilities, pose_s, seen_s, curve)
    return None
