"""A trained run as an object: poses in; probabilities, labels and peak times out."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from spasm.config.runtime import ABSTAIN, Hardware
from spasm.core.errors import DataError, DataProblems, collect_errors
from spasm.core.processes import cpu_count
from spasm.data.findings import NO_POSE, Findings, clean
from spasm.data.landmarks import LANDMARKS
from spasm.data.pictures import Pictures, unusable
from spasm.data.pose import CHANNELS, FPS
from spasm.data.seen import describe_too_little, is_too_little
from spasm.ensemble import label_shift
from spasm.ensemble.blending import OofScores
from spasm.inference import prediction_tasks
from spasm.inference.cluster_predictor import ClusterPredictor
from spasm.inference.ensemble_predictor import BatchPrediction, EnsemblePredictor, picture_kinds, probability
from spasm.inference.missing_landmarks import fold_for_run, sentences_for_run
from spasm.runs.artefacts import Decision, read_decision
from spasm.runs.chosen_models import choose, read_decided_oof

if TYPE_CHECKING:
    from spasm.cluster.tasks import Cluster


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """Predictions of a run for N segments."""

    probability: np.ndarray
    """(N,) float64 in 0..1."""
    label: np.ndarray
    """(N,) int64 of 0 and 1."""
    threshold: float
    """A probability at or above it has the label 1."""
    attention: np.ndarray
    """(N, T) float64: the weight of each frame; 0 without a pose, or if no model has attention."""
    peak_time_s: np.ndarray
    """(N,) float64: the time with the highest attention; NaN without attention."""
    pose_fraction: np.ndarray
    """(N,) float64: the fraction of frames with a pose."""
    seen_fraction: np.ndarray
    """(N,) float64: the fraction of frames that show movement, see `spasm.data.seen`."""
    too_little_seen: np.ndarray
    """(N,) bool: probability and label are there, but mean nothing."""
    findings: list[Findings]
    """What was noticed in the poses of each segment."""
    noticed: list[dict[str, str]]
    """A sentence for each kind of finding in a segment that concerns this run."""
    note: list[str]
    """A note on each segment; mostly empty."""
    logits: dict[str, np.ndarray]
    """(N,) float64 by model."""
    has_pose: np.ndarray
    """(N,) bool."""

    def __len__(self) -> int:
        return len(self.probability)

    def at_threshold(self, threshold: float) -> "Prediction":
        """The same predictions with the labels for another threshold."""
        return dataclasses.replace(self, threshold=threshold, label=(self.probability >= threshold).astype(int))

    def with_abstention(self, abstain: float) -> "Prediction":
        """The same, with a note where less than a fraction `abstain` of the frames shows movement.

        What was noticed in their poses follows it, as far as it concerns this run.
        """
        frames = self.attention.shape[1]
        counts = np.rint(np.stack([self.pose_fraction, self.seen_fraction], axis=1) * frames).astype(int)
        too_little = is_too_little(counts, frames, abstain)
        rows = zip(too_little, counts, self.noticed, strict=True)
        note = [_note(describe_too_little(frames, *count) if poor else "", noticed) for poor, count, noticed in rows]
        return dataclasses.replace(self, too_little_seen=too_little, note=note)


class TrainedRun:
    """A trained run, checked when it is opened. Each call starts its own worker processes."""

    def __init__(self, run: Path, hardware: Hardware | None = None, cores: int = 0) -> None:
        """Raises DataError if the run is incomplete, or if a file has changed since the decision."""
        self.path, self.decision = run, read_decision(run)
        self.hardware, self.cores = hardware or Hardware(), cores or cpu_count()

    @property
    def frames(self) -> int:
        """Frames of a segment (T)."""
        return self.decision.frames

    def predict(
        self,
        poses: np.ndarray,
        children: Sequence[str] | None = None,
        models: Sequence[str] | None = None,
        precision: Literal["auto", "float32", "bfloat16"] | None = None,
    ) -> Prediction:
        """Predict segments, poses (N, T, 33, 5): x, y, z, visibility, presence of each landmark; NaN: not found.

        They are cleaned as those of files are, see `findings.clean`; the notes name what was noticed.

        children: the child of each segment, used only if the run was blended with child context; by default each
        segment is of a different child. models: predict with these of the run's models alone, with the calibration and
        the threshold that belong to them; None: with all. precision: of the networks; None: that of the hardware.
        Raises DataError for poses of another shape or type, or in pixels, and for a model that the run lacks.
        """
        values = np.asarray(poses)
        shape = (self.frames, len(LANDMARKS), len(CHANNELS))
        if values.ndim != 4 or values.shape[1:] != shape:
            wanted = ", ".join(map(str, ("N", *shape)))
            hint = "give all segments in one array; a single one as poses[None]"
            raise DataError("poses", f"have the shape {values.shape}, not ({wanted})", hint)
        if values.dtype.kind not in "fiu":
            raise DataError("poses", f"hold {values.dtype}, not numbers", "give an array of floats")
        if children is not None and len(children) != len(values):
            raise DataError("children", f"are {len(children)}, for {len(values)} segments", "give one for each")
        names = [str(child) for child in children] if children is not None else list(map(str, range(len(values))))
        starts = range(0, len(values), prediction_tasks.BATCH)
        problems: list[DataError] = []

        def batches() -> Iterator[tuple[list[Findings], np.ndarray]]:
            for start in starts:
                cleaned = [clean(segment) for segment in values[start : start + prediction_tasks.BATCH]]
                for row, (_, findings) in enumerate(cleaned, start):
                    with collect_errors(problems):
                        findings.check_units(f"segment {row} of the poses")
                if not problems:
                    yield [findings for _, findings in cleaned], np.stack([pose for pose, _ in cleaned])

        decision = self.decision
        if models is not None:
            decision = choose(self.path, decision, [models] if isinstance(models, str) else list(models))
        if kinds := picture_kinds(decision):
            reason = f"reads pictures ({', '.join(kinds)}), and is given poses alone"
            hint = "predict files with submission.py, or load a run of models that read poses"
            raise DataError(self.path, reason, hint)
        hardware = self.hardware if precision is None else dataclasses.replace(self.hardware, precision=precision)
        return self._predict(batches(), len(starts), names, decision, hardware, problems=problems)

    def predict_files(
        self,
        paths: Sequence[Path],
        root: Path,
        children: Sequence[str],
        passed: Callable[[int], Any] = lambda n: None,
        cluster: "Cluster | None" = None,
    ) -> Prediction:
        """Predict segment files, each read once. passed: called with the number of files done since the last call.

        cluster: predict there. Raises DataProblems with everything that is wrong with the files.
        """
        kinds = picture_kinds(self.decision)
        if any(unusable(paths, *kind) for kind in kinds.items()):  # reported now, unless these show no pose
            prediction_tasks.check_pictures(paths, self.frames, root, kinds)
        problems: list[DataError] = []
        if cluster is None:
            batches = prediction_tasks.read_batches(paths, self.frames, root, problems, kinds)
            count = math.ceil(len(paths) / prediction_tasks.BATCH)
            return self._predict(batches, count, children, self.decision, self.hardware, passed, problems, paths)
        parts, problems = ClusterPredictor(cluster, self.path, self.decision, self.hardware).predict_files(
            paths, root, passed
        )
        if problems:
            raise DataProblems(problems, paths)
        return _prediction(parts, children, self.decision)

    def _predict(
        self,
        batches: Iterable[tuple[list[Findings], np.ndarray] | tuple[list[Findings], np.ndarray, Pictures]],
        count: int,
        children: Sequence[str],
        decision: Decision,
        hardware: Hardware,
        passed: Callable[[int], Any] = lambda n: None,
        problems: Sequence[DataError] = (),
        paths: Sequence[Path] = (),
    ) -> Prediction:
        parts: list[BatchPrediction] = []
        with EnsemblePredictor(self.path, decision, hardware, self.cores, count) as predictor:
            for batch in predictor.predict(batches):
                parts.append(batch)
                passed(len(batch.posed))
        if problems:
            raise DataProblems(problems, paths)
        return _prediction(parts, children, decision)

    def findings(self, names: Sequence[str], prediction: Prediction) -> list[str]:
        """A line for each kind of finding in the poses of segments, named `names`, that concerns this run.

        Segments without any pose are not among them.
        """
        return fold_for_run(names, prediction.findings, self.path, self.decision, without=[NO_POSE])

    def threshold_for(
        self, prediction: Prediction, children: Sequence[str], prevalence: float | None
    ) -> tuple[float, str]:
        """A threshold for segments with another prevalence, and a text on how it was chosen.

        prevalence: None: it is estimated from the segments, and used if the evidence is strong enough.
        """
        oof, blend = read_decided_oof(self.path, self.decision), self.decision.blend_settings
        used, reason = prevalence, f", chosen for the prevalence {prevalence}"
        if used is None:
            child = np.array(children, dtype=str)
            # Out-of-fold rows are of single folds, so the new probabilities are calibrated as theirs to be compared.
            scores = OofScores(prediction.logits, child, prediction.has_pose)
            comparable = self.decision.parameters.probability(scores)
            estimate = label_shift.estimate(oof.labels, oof.in_sample, oof.children, comparable, child)
            low, high = estimate.likelihood_interval
            found = f"estimated prevalence {estimate.likelihood:.3f} (95 % interval {low:.3f} to {high:.3f})"
            if estimate.thin:
                return self.decision.threshold, f"; the threshold is kept: {found}, {estimate.reason}"
            used, reason = estimate.prevalence, f", chosen for the prevalence {estimate.prevalence:.3f}; {found}"
        return label_shift.threshold_at(oof.labels, oof.in_sample, used, blend.threshold_rule), reason


def _prediction(parts: Sequence[BatchPrediction], children: Sequence[str], decision: Decision) -> Prediction:
    """The predictions of a decision for segments, whose findings are the keys of the batches."""
    logits = {name: _joined([part.logits[name] for part in parts]) for name in decision.models}
    posed = _joined([part.posed for part in parts], decision.frames)
    has_pose = np.asarray(posed.any(axis=1))
    of_all = probability(decision, logits, children, has_pose)
    attention = _joined([part.attention for part in parts], decision.frames)
    attended = attention.any(axis=1)
    findings = [one for part in parts for one in part.key]
    blank = Prediction(
        probability=of_all,
        label=(of_all >= decision.threshold).astype(int),
        threshold=decision.threshold,
        attention=attention,
        peak_time_s=np.where(attended, attention.argmax(axis=1) / FPS, np.nan),
        pose_fraction=posed.mean(axis=1),
        seen_fraction=_joined([part.seen for part in parts], decision.frames).mean(axis=1),
        too_little_seen=~has_pose,
        findings=findings,
        noticed=[sentences_for_run(one, decision) for one in findings],
        note=[],
        logits=logits,
        has_pose=has_pose,
    )
    return blank.with_abstention(ABSTAIN)


def _joined(parts: Sequence[np.ndarray], width: int | None = None) -> np.ndarray:
    return np.concatenate(parts) if parts else np.empty((0,) if width is None else (0, width))


def _note(too_little: str, noticed: Mapping[str, str]) -> str:
    """What is known of a segment in one note; one without a pose has a sentence of its own."""
    return "; ".join(filter(None, [too_little, *(sentence for kind, sentence in noticed.items() if kind != NO_POSE)]))
