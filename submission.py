"""Predict test segments with a trained run: a CSV of labels, and one of probabilities beside it.

Examples:
  python submission.py --test input/demo/test --run output/demo
  python submission.py --test input/test --run output/main --out output/submission.csv --report
"""

import dataclasses
import datetime
import math
import sys
from pathlib import Path
from typing import Annotated, Literal

sys.path.insert(0, str(Path(__file__).parent / "src"))

from spasm.cli import app, cluster, progress
from spasm.config.events import Accumulation
from spasm.config.fields import ADVANCED, Identifier, SettingsError, Shown, settings, within
from spasm.config.pose_files import Place, PoseFileSettings, place_of
from spasm.config.runtime import ABSTAIN, Abstain, Cluster, Hardware, MaxPlayers
from spasm.core import files
from spasm.core.errors import printable
from spasm.core.outputs import check_name, check_replaceable
from spasm.data.dataset import SegmentFiles
from spasm.data.missing import list_test_segments
from spasm.data.naming import child_of
from spasm.inference.event_detection import event_level
from spasm.inference.trained_run import Prediction, TrainedRun
from spasm.report import console
from spasm.runs.artefacts import Metrics, read_metrics
from spasm.runs.decide import CONSTANT
from spasm.video.pose_import import PoseImport, check_flags, import_summary, segments_of_pose_files
from spasm.video.recording_files import notes_of_segments
from spasm.video.tracking import Pick

PROBABILITIES = ("segment_name", "probability", "label", "peak_time_s", "pose_fraction", "seen_fraction", "note")


@settings
class Submission:
    """Flags of submission.py."""

    test: Path = Path("input/test")
    """Folder with the segments to predict; or a pose file of another tool, or a folder of them, see import_poses.py."""
    run: Path = Path("output/main")
    """Trained run; T and the threshold are the run's."""
    out: Path = Path("output/submission.csv")
    """CSV to write; the probabilities go beside it, into FILE_probabilities.csv."""
    header: Identifier = "segment_name"
    """Name of the first column."""
    report: bool = False
    """Also write a page with a player of every segment beside the CSV."""
    prevalence: Annotated[float | None, within(0.001, 0.999), Shown(default="as in training", advanced=True)] = None
    """Fraction of positives among these segments, if it is known: the threshold is chosen again for it."""
    adapt_prevalence: Annotated[bool, ADVANCED] = False
    """Estimate that fraction from these segments, and use it where the evidence is strong enough."""
    abstain: Abstain = ABSTAIN
    """Too little was seen of a segment if movement of a shoulder or a hip inside the picture shows in less than this
    fraction of its frames: its `note` says so, and it is counted apart. 0: only segments without a pose in any
    frame count as such."""
    pose_file: PoseFileSettings = PoseFileSettings()
    at: Place | None = None
    """Of a pose file: a place of the child at any time, x,y in fractions of the picture from its top left corner, such
    as 0.3,0.6. It overrides --pick."""
    pick: Annotated[Pick, ADVANCED] = "child"
    """Of a pose file: which person is the child, by size and height of the head, or by size or time in view alone."""
    name_pattern: Annotated[Literal["challenge", "safe"], ADVANCED] = "challenge"
    """Segment names: child_{number}_{number}.npy only, or any safe {child}_{segment}.npy."""
    max_players: MaxPlayers = 1500
    """Most segments (of 5 s) in that page's player: the most probable, the least certain and a sample."""
    cluster: Cluster = ""
    """Predict on a cluster of Dask: local:N (N tasks at once on this machine), a scheduler's address, or the file that
    it wrote, see docs/cluster.md."""
    hardware: Annotated[Hardware, ADVANCED] = Hardware()


def main(settings: Submission) -> int:
    check(settings)
    run = TrainedRun(settings.run, settings.hardware)
    result = read_metrics(run.path, run.decision) if settings.report else None  # fails now, not after the work
    probabilities_path = settings.out.with_name(f"{settings.out.stem}_probabilities.csv")
    report_path = settings.out.with_name(f"{settings.out.stem}_report.html")
    files.check_writable(settings.out.parent)
    files.remove_stale(settings.out.parent, below=False)  # what a killed submission left
    replaced = check_outputs(settings.out, probabilities_path, report_path if settings.report else None)
    importing = PoseImport(
        settings.out.with_name(f"{settings.out.stem}_poses"),
        settings.pose_file,
        pick=settings.pick,
        at=place_of(settings.at),
        frames=run.frames,
    )
    imported = segments_of_pose_files(settings.test, importing)
    if imported is None:
        check_flags([], settings.pose_file)
        if importing.at is not None or importing.pick != "child":
            flag = "--pick" if importing.at is None else "--at"
            raise SettingsError(f"{flag} is for pose files of other tools; segments show one child: leave it out")
        folder, paths = settings.test, list_test_segments(settings.test, settings.name_pattern)
    else:
        folder, paths = imported.folder, imported.paths
        print("\n".join(map(import_summary, imported.manifests)))
    names, children = [path.name for path in paths], [child_of(path.name) for path in paths]

    with (
        cluster.opened(settings.cluster) as on_cluster,
        progress.progress("predicting", total=len(paths), unit="segment") as bar,
    ):
        prediction = run.predict_files(paths, folder, children, bar.update, on_cluster)
    reason = ""
    if settings.prevalence is not None or settings.adapt_prevalence:
        threshold, reason = run.threshold_for(prediction, children, settings.prevalence)
        prediction = prediction.at_threshold(threshold)
    prediction = prediction.with_abstention(settings.abstain)
    noticed = run.findings(names, prediction)
    app.warn(f"{printable(settings.test)}: {line}" for line in noticed)
    of_videos = notes_of_segments(folder, names)
    if imported is None:
        app.warn(note for note in dict.fromkeys(of_videos) if note)
    notes = ["; ".join(filter(None, pair)) for pair in zip(prediction.note, of_videos, strict=True)]
    prediction = dataclasses.replace(prediction, note=notes)

    peaks = ["" if math.isnan(peak) else f"{peak:.2f}" for peak in prediction.peak_time_s]
    posed, seen = ([f"{value:.3f}" for value in part] for part in (prediction.pose_fraction, prediction.seen_fraction))
    columns = (names, prediction.probability, prediction.label, peaks, posed, seen, prediction.note)
    files.write_csv(probabilities_path, PROBABILITIES, zip(*columns, strict=True))
    files.write_csv(settings.out, (settings.header, "label"), zip(names, prediction.label, strict=True))
    written = [settings.out, probabilities_path]
    if replaced:
        print(replaced)
    print(summary(prediction, reason, probabilities_path))
    print(f"trained on {console.data_name(run.decision.data)}")
    if result is not None:
        files.write_text(report_path, report(settings, run, result, prediction, paths, folder, children))
        written.append(report_path)
    print("written:", ", ".join(map(str, written)))
    return 0


def check(settings: Submission) -> None:
    """Raises SettingsError for flags that do not fit each other."""
    if settings.out.suffix != ".csv":
        raise SettingsError(f"--out {settings.out} must end in .csv; the nearest valid value is {settings.out}.csv")
    if settings.header in ("label", "probability"):
        raise SettingsError(f"--header {settings.header} is another column's name; the nearest is segment_name")
    if settings.prevalence is not None and settings.adapt_prevalence:
        raise SettingsError("--prevalence and --adapt-prevalence exclude each other; use one of them")
    cluster.check(settings.cluster)


def check_outputs(out: Path, probabilities: Path, report: Path | None) -> str:
    """Raises DataError where a file to write is not of an earlier submission; returns a line about what is replaced."""
    check_name(out)
    start = ",".join(PROBABILITIES[:3]).encode()
    check_replaceable(probabilities, start, "the probabilities of a submission")
    for path in (out, report):  # an earlier submission wrote the probabilities first
        if path is not None:
            ours = b"" if probabilities.exists() else b"nothing begins like this"
            check_replaceable(path, ours, "a submission")
    if not out.exists():
        return ""
    time = datetime.datetime.fromtimestamp(out.stat().st_mtime).strftime("%Y-%m-%d %H:%M")
    segments = out.read_bytes().count(b"\n") - 1
    return f"replaces {printable(out)}: the labels of {segments:,} segments, predicted {time}"


def summary(prediction: Prediction, reason: str, probabilities_path: Path) -> str:
    """What was predicted, in a few lines; reason: where the threshold comes from."""
    too_little, positive = prediction.too_little_seen, prediction.label == 1
    count = int((positive & ~too_little).sum())
    lines = [f"{len(prediction)} segments, {count} positive at threshold {prediction.threshold:.4f}{reason}"]
    if too_little.any():
        in_csv = int((positive & too_little).sum())
        lines.append(
            f"{too_little.sum()} of them could not be predicted, since too little was seen "
            f"(no pose in any frame: {(~prediction.has_pose).sum()})"
        )
        lines.append(
            f"  the CSV needs a label for each; theirs mean nothing ({in_csv} are 1). The column `note` of "
            f"{probabilities_path.name} names them"
        )
    posed = prediction.probability[~too_little]
    if len(posed) > 1 and posed.max() - posed.min() < CONSTANT:
        lines.append(
            f"all other segments have the probability {posed[0]:.3f}: this run does not distinguish them"
            if too_little.any()
            else f"all segments have the probability {posed[0]:.3f}: this run does not distinguish them"
        )
    lines.append(
        f"timeline.py has another threshold: events begin at {event_level(Accumulation()):.2f}, for few false alarms "
        "per hour, so it can detect none where segments are positive"
    )
    return "\n".join(lines)


def report(
    settings: Submission,
    run: TrainedRun,
    result: Metrics,
    prediction: Prediction,
    paths: list[Path],
    folder: Path,
    children: list[str],
) -> str:
    """The page that shows the predictions, as HTML."""
    from spasm.report.build import build_report  # what plots takes a second to load
    from spasm.report.page import page
    from spasm.report.predictions import new_segments

    poses, names = SegmentFiles(paths, run.frames, folder, run.decision.data.landmarks), [path.name for path in paths]
    noticed = run.findings(names, prediction)
    predictions = new_segments(prediction, names, children, poses, noticed)
    built = build_report(
        run,
        result,
        predictions,
        settings.max_players,
        lambda total: progress.progress("explaining", total=total, unit="prediction"),
    )
    return page(built)[0]


if __name__ == "__main__":
    sys.exit(app.run(main, Submission, __doc__))
