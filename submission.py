"""Answer test segments with a trained run: a CSV of labels, and the probabilities beside it.

Example: python submission.py --test input/test --run output/main --out output/submission.csv
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

if TYPE_CHECKING:
    pass
import math
import sys
from collections.abc import Iterator

import numpy as np
from joblib import cpu_count

from spasm.cli import app, progress
from spasm.config.fields import Between, Checked, Plain, Probability, SettingsError
from spasm.config.runtime import Hardware, MaxPlayers
from spasm.core import files
from spasm.core.errors import DataError, DataProblems, collect_errors
from spasm.core.tables import read_table
from spasm.data.dataset import SegmentFiles
from spasm.data.naming import child_of, list_segments
from spasm.data.pose import FPS, found, inside_picture
from spasm.data.segments import read_segment
from spasm.ensemble import label_shift
from spasm.inference.ensemble_predictor import EnsemblePredictor
from spasm.report import console
from spasm.runs.decision_json import open_decision
from spasm.runs.metrics_json import read_figures, read_out_of_fold


@dataclasses.dataclass(frozen=True)
class Submission(Checked):
    """Flags of submission.py."""

    test: Path = Path("input/test")
    """Folder with the segments to answer."""
    run: Path = Path("output/main")
    """Trained run; it says T and the threshold."""
    out: Path = Path("output/submission.csv")
    """Answer to write; probabilities go beside it."""
    header: Annotated[str, Plain()] = "segment_name"
    """Name of the first column."""
    prevalence: Annotated[float | None, Between(0.001, 0.999)] = None
    """Share of positives among these segments, if it is known: the threshold is chosen again for it."""
    adapt_prevalence: bool = False
    """Estimate that share from these segments, and follow it where the evidence is not thin."""
    abstain: Probability = 0.0
    """Mark segments as too poor to judge where less than this share of landmarks is found inside the picture."""
    name_pattern: Literal["challenge", "safe"] = "challenge"
    """Segment names: child_{number}_{number}.npy only, or any safe {child}_{segment}.npy."""
    report: bool = False
    """Write a page beside the answer too, in which every segment can be played; needs requirements-report.txt."""
    max_players: MaxPlayers = 1500
    """Segments of 5 s that can be played in that page; of more, the most probable, least certain and a sample."""
    hardware: Hardware = Hardware()


sys.path.insert(0, str(Path(__file__).parent / "src"))
BATCH = 64  # segments read before they are scored
PROBABILITIES = ("segment_name", "probability", "label", "peak_time_s", "pose_fraction", "note")
WITHOUT_POSE = "no pose in any frame: answered as such segments were labelled in training"


def main(settings: Submission) -> int:
    if settings.out.suffix != ".csv":
        raise SettingsError(f"--out {settings.out} must end in .csv; the nearest valid value is {settings.out}.csv")
    if settings.prevalence is not None and settings.adapt_prevalence:
        raise SettingsError("--prevalence gives what --adapt-prevalence True would estimate; use one of them")
    decision = open_decision(settings.run)
    figures = read_figures(settings.run, decision) if settings.report else {}  # said now, not after the answer
    probabilities_path = settings.out.with_name(f"{settings.out.stem}_probabilities.csv")
    files.check_writable(settings.out.parent)
    files.remove_stale(settings.out.parent, below=False)  # what a killed submission left
    report_path = settings.out.with_name(f"{settings.out.stem}_report.html")
    for path in (settings.out, probabilities_path, *[report_path] * settings.report):
        if path.is_dir():
            raise DataError(path, "is a folder, not a file to write", "give another --out")
    paths = list_segments(settings.test, settings.name_pattern)
    names = [path.name for path in paths]
    children = [child_of(name) for name in names]

    problems: list[DataError] = []
    seen: list[tuple[np.ndarray, np.ndarray]] = []  # of each batch: frames with a pose (N, T), landmarks in the picture

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(paths), BATCH):
            poses = []
            for path in paths[start : start + BATCH]:
                with collect_errors(problems):
                    poses.append(read_segment(path, decision["frames"], settings.test)[0])
            if not problems:
                batch = np.stack(poses)
                posed = np.asarray(found(batch).any(axis=2))
                seen.append((posed, inside_picture(batch).mean(axis=(1, 2))))
                yield batch, np.asarray(posed.any(axis=1))

    logits: dict[str, list[np.ndarray]] = {name: [] for name in decision["members"]}
    moments: list[str] = []
    with (
        EnsemblePredictor(
            settings.run, decision, settings.hardware, cpu_count(), math.ceil(len(paths) / BATCH)
        ) as predictor,
        progress.progress("answering", total=len(paths), unit="segment") as bar,
    ):
        for scores, frame_weights in predictor.member_logits(batches()):
            for name, values in scores.items():
                logits[name].append(values)
            moments += [f"{row.argmax() / FPS:.2f}" if row.any() else "" for row in frame_weights]
            bar.update(len(frame_weights))
    if problems:
        raise DataProblems(problems)
    posed = np.concatenate([np.empty((0, decision["frames"]), bool), *(frames for frames, _ in seen)])
    inside = np.concatenate([np.empty(0), *(share for _, share in seen)])
    rows = {name: np.concatenate([np.empty(0), *parts]) for name, parts in logits.items()}
    has_pose = np.asarray(posed.any(axis=1))
    probabilities = predictor.probability(rows, children, has_pose)
    threshold, reason = choose_threshold(settings, decision, probabilities, children)
    labels = (probabilities >= threshold).astype(int)
    notes = [note(frames, share, settings.abstain) for frames, share in zip(posed, inside, strict=True)]

    table = zip(names, probabilities, labels, moments, (f"{frames.mean():.3f}" for frames in posed), notes, strict=True)
    files.write_csv(probabilities_path, PROBABILITIES, table)
    files.write_csv(settings.out, (settings.header, "label"), zip(names, labels, strict=True))
    print(f"{len(names)} segments, {labels.sum()} positive at threshold {threshold:.4f}{reason}")
    without_pose = int((~has_pose).sum())
    if without_pose:
        print(f"{without_pose} segments have no pose in any frame; the probabilities file names them")
    poor = sum("too poor to judge" in text for text in notes)
    if poor:
        print(f"{poor} segments are too poor to judge; the probabilities file says why, their labels are a guess")
    print(f"trained on {console.data_name(decision['data'])}")
    written = [settings.out, probabilities_path]
    if settings.report and names:
        told = {"names": names, "children": children, "probability": probabilities, "positive": labels == 1}
        told |= {"thresholds": np.full(len(names), threshold), "logits": rows}
        told |= {"has_pose": has_pose, "notes": dict(zip(names, notes, strict=True))}
        told |= {"poses": SegmentFiles(paths, decision["frames"], settings.test)}
        write_report(settings, decision, figures, told, report_path)
        written.append(report_path)
    print("written:", ", ".join(map(str, written)))
    if not names:
        raise DataError(settings.test, "holds no segment", "the answer has a header only; --test names their folder")
    return 0


def write_report(
    settings: Submission, decision: dict[str, Any], figures: dict[str, Any], told: dict[str, Any], path: Path
) -> None:
    """The page on which answers can be looked at; figures: of metrics.json; told: fields of `Answers`."""
    from spasm.explain.attributions import explaining, gather
    from spasm.report import provenance
    from spasm.report.page import page
    from spasm.report.predictions import Answers, kept, max_players

    answers = Answers(**told)
    chosen = kept(answers, max_players(settings.max_players, decision["frames"]))
    poses = answers.poses[chosen]
    total = len(explaining(decision)) * int(answers.has_pose[chosen].sum())
    with progress.progress("explaining", total=total, unit="answer") as bar:
        evidence = gather(settings.run, decision, poses, None, settings.hardware, bar.update)
    made, members = provenance.how_made(settings.run, sys.argv), provenance.members(settings.run, decision)
    held_out = read_out_of_fold(settings.run, figures)
    html, _ = page(answers, chosen, evidence, decision, figures, held_out, made, members)
    files.write_bytes(path, html.encode())


def choose_threshold(
    settings: Submission, decision: dict[str, Any], probabilities: np.ndarray, children: list[str]
) -> tuple[float, str]:
    """The threshold for these segments, and where it comes from if not from the decision alone."""
    if settings.prevalence is None and not settings.adapt_prevalence:
        return decision["threshold"], ""
    oof = read_table(settings.run / "oof.csv", ("child", "label", "probability"))
    kind, told = decision["blend"]["threshold"], decision["blend"]["prevalence"] or decision["prevalence"]
    try:
        labels = np.array([int(row["label"]) for row in oof])
        expected = np.array([float(row["probability"]) for row in oof])
        chosen = label_shift.threshold_at(labels, expected, told, kind)
    except ValueError:  # no numbers, or labels of one class
        chosen = math.nan
    if not math.isclose(chosen, decision["threshold"], abs_tol=1e-9):
        hint = f"python src/blend.py --run {settings.run} makes both again"
        raise DataError(settings.run / "oof.csv", "is not what decision.json was chosen on", hint)
    share, reason = settings.prevalence, f", chosen for the prevalence {settings.prevalence}"
    if share is None:
        trained_on = np.array([row["child"] for row in oof])
        estimate = label_shift.estimate(labels, expected, trained_on, probabilities, np.array(children, dtype=str))
        low, high = estimate.likelihood_interval
        told = f"estimated prevalence {estimate.likelihood:.3f} (95 % interval {low:.3f} to {high:.3f})"
        if estimate.thin:
            return decision["threshold"], f"; it stands: {told}, {estimate.reason}"
        share, reason = estimate.prevalence, f", chosen for the prevalence {estimate.prevalence:.3f}; {told}"
    return label_shift.threshold_at(labels, expected, share, kind), reason


def note(posed: np.ndarray, inside: float, abstain: float) -> str:
    """What stands beside an answer. posed: (T,) bool; inside: the share of landmarks found inside the picture."""
    if not posed.any():
        return WITHOUT_POSE if abstain == 0 else f"too poor to judge; {WITHOUT_POSE}"
    if inside >= abstain:
        return ""
    return f"too poor to judge: no pose in {1 - posed.mean():.0%} of frames, {inside:.0%} of landmarks in the picture"


if __name__ == "__main__":
    sys.exit(app.run(main, Submission, __doc__))
