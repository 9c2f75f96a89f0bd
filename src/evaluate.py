"""Evaluate finished runs on labelled data of others, where that data is: aggregates leave, and no child.

The folder holds segments with labels (train/, train_data.csv), recordings with events (recordings/, events.csv or
review.csv), or both. Nothing is chosen on it: the threshold is the run's own. evaluation.json and evaluation.html hold
no id, no name and no pose, and no value of fewer than --fewest-children children; what --report writes holds them and
stays inside. docs/evaluation.md says how to run it in a hospital.

Examples:
  python src/evaluate.py --run output/demo --data input/others
  python src/evaluate.py --run output/main --data input/hospital --lock input/lock.jsonl --report
"""

import dataclasses
import datetime
import functools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from spasm.cli import app, cluster, progress
from spasm.config.events import Accumulation, Hysteresis
from spasm.config.fields import ADVANCED, REPEATED, SettingsError, Shown, settings, within
from spasm.config.runtime import ABSTAIN, Abstain, Cache, Cluster, Hardware, MaxPlayers
from spasm.core import files
from spasm.core.errors import DataError, first_few, printable
from spasm.core.outputs import check_folder, check_replaceable
from spasm.inference import external_evaluation, labelled_data, sliding_window
from spasm.inference.event_detection import Rule
from spasm.inference.external_evaluation import OneRun, RecordingRule
from spasm.inference.labelled_data import LabelledRecordings, LabelledSegments
from spasm.inference.missing_landmarks import fold_for_run
from spasm.inference.trained_run import Prediction, TrainedRun
from spasm.report import evaluation_text, templates
from spasm.runs import lock_box
from spasm.runs.artefacts import Decision, read_decision
from spasm.runs.evaluations import Evaluation, read_evaluation
from spasm.runs.training_segments import read_training_segments

if TYPE_CHECKING:
    from spasm.cluster import tasks

START = b'{\n  "kind": "evaluation"'  # how evaluation.json begins


@settings
class Evaluate:
    """Flags of evaluate.py."""

    run: Annotated[tuple[Path, ...], REPEATED, Shown(default="output/main")] = ()
    """Trained run; give it again for more runs: each is compared with the first, over the same children."""
    data: Path = Path("input")
    """Folder with labelled segments, recordings with events.csv or review.csv, or both, of children that no run was
    trained on."""
    out: Path = Path("output/evaluation")
    """Folder to write."""
    report: bool = False
    """Also write, into OUT/inside/, predictions by name and pages with players: for those who may see the children."""
    fewest_children: Annotated[int, within(5, 1000)] = 5
    """Suppress every value that rests on fewer children."""
    lock: Path | None = None
    """The lock-box: a file that notes each evaluation. The same data, or a part of it, is not evaluated twice."""
    again: bool = False
    """Evaluate data that the lock-box (--lock) has noted before; the result says how often it was evaluated."""
    compare_with: Path | None = None
    """An earlier evaluation.json: print what has changed since."""
    same_ids: bool = False
    """Children of the data and of the training with the same id are the same children, and are refused."""
    kind_column: Annotated[str, Shown(value="NAME", advanced=True)] = labelled_data.KIND
    """Column of train_data.csv with the kind of each segment, for errors by kind."""
    name_pattern: Annotated[Literal["challenge", "safe"], ADVANCED] = "challenge"
    """Segment names: child_{number}_{number}.npy only, or any safe {child}_{segment}.npy."""
    abstain: Abstain = ABSTAIN
    """Too little was seen of a segment or window if movement of a shoulder or a hip inside the picture shows in less
    than this fraction of its frames: such segments are shown apart, and such windows give no event."""
    stride_s: Annotated[float, within(0.1, 60), ADVANCED] = 1.0
    """Seconds between windows of a recording, in tenths."""
    rule: Annotated[Literal["hysteresis", "accumulation"], ADVANCED] = "accumulation"
    """How windows become events; --settings takes a rule.json of timeline.py."""
    hysteresis: Annotated[Hysteresis, ADVANCED] = Hysteresis()
    accumulation: Annotated[Accumulation, ADVANCED] = Accumulation()
    tolerance_s: Annotated[float, within(0, 5), ADVANCED] = 1.0
    """Seconds by which a detected event may miss a true one and still count."""
    max_players: MaxPlayers = 1500
    """Most segments (of 5 s) in the player of --report."""
    cache: Cache = Path("output/cache")
    """Folder for intermediate results, which hold names: it stays inside and may be deleted at any time."""
    cluster: Cluster = ""
    """Predict on a cluster of Dask, whose machines are inside, too: local:N, a scheduler's address, or the file that it
    wrote, see docs/cluster.md."""
    hardware: Annotated[Hardware, ADVANCED] = Hardware()

    def __post_init__(self) -> None:
        if self.again and self.lock is None:
            raise SettingsError("--again needs --lock FILE, the lock-box that noted the earlier evaluation")
        if abs(self.stride_s * 10 - round(self.stride_s * 10)) > 1e-6:
            nearest = round(self.stride_s * 10) / 10
            raise SettingsError(f"--stride-s {self.stride_s} is not in tenths; the nearest valid value is {nearest}")
        other = Hysteresis() if self.rule == "accumulation" else Accumulation()
        name = type(other).__name__.lower()
        if getattr(self, name) != other:
            flags = ", ".join("--" + field.name.replace("_", "-") for field in dataclasses.fields(other))
            raise SettingsError(f"{flags} need --rule {name}; the rule is {self.rule}")

    @property
    def given_rule(self) -> RecordingRule:
        """How windows become events."""
        rule: Rule = self.hysteresis if self.rule == "hysteresis" else self.accumulation
        return RecordingRule(rule, self.rule, self.stride_s, self.abstain, self.tolerance_s)


def main(settings: Evaluate) -> int:
    paths, out = settings.run or (Path("output/main"),), settings.out
    templates.check()
    cluster.check(settings.cluster)
    decisions = read_runs(paths)
    earlier = read_evaluation(settings.compare_with) if settings.compare_with else None
    check_folder(out)
    check_replaceable(out / "evaluation.json", START, "an evaluation")
    files.check_writable(out)
    files.remove_stale(out)
    segments, recordings = read_data(settings, decisions)
    labelled_data.check_pictures(segments, recordings, decisions)  # fails now, not after the first run's predictions
    for path, decision in zip(paths, decisions, strict=True):
        known = read_training_segments(path)
        landmarks = decision.data.landmarks
        app.warn(
            labelled_data.check_strangers(
                path, landmarks, known, segments, recordings, settings.same_ids, lambda run: printable(str(run))
            )
        )
    data = labelled_data.data_digest(segments, recordings)
    poses = labelled_data.pose_digests(segments, recordings)
    if settings.lock:
        lock_box.prepare(settings.lock, data, poses, settings.again)
    print(evaluation_text.data_lines(segments, recordings))

    with cluster.opened(settings.cluster) as on_cluster:
        runs = [
            predict(settings, path, decision, segments, recordings, on_cluster)
            for path, decision in zip(paths, decisions, strict=True)
        ]
    lock = None
    if settings.lock:  # before anything is shown: who stops now has still used the data
        digests = [lock_box.run_digest(path) for path in paths]
        noted = lock_box.note(settings.lock, digests, data, poses, settings.again)
        lock = {"evaluation_number": noted.number, "earlier_evaluations": noted.earlier}
    found = external_evaluation.evaluate_runs(
        runs, segments, recordings, settings.given_rule, settings.fewest_children, settings.cache
    )
    simulated = any(part.simulated for part in (segments, recordings) if part is not None)
    evaluation = Evaluation.model_validate(
        {
            "kind": "evaluation",
            "schema": 1,
            "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
            "code": lock_box.code_digest(),
            "data": data,
            "simulated": simulated or any(decision.data.simulated for decision in decisions),
            "fewest_children": settings.fewest_children,
            "lock": lock,
            **found,
        }
    )
    write(settings, evaluation, runs, segments, recordings)
    print(evaluation_text.results(evaluation, [printable(path) for path in paths]))
    if earlier is not None:
        print(evaluation_text.changes(evaluation, earlier))
    print(f"written: {out}/evaluation.json and evaluation.html, which name no child and show no pose")
    if settings.report:
        print(f"inside:  {out}/inside names children and shows their poses: it must not leave")
    print("next:    results of several sites are pooled by python src/pool_evaluations.py A.json B.json --out DIR")
    return 0


def read_runs(paths: Sequence[Path]) -> list[Decision]:
    """The decisions of the runs. Raises DataError where one is given twice, or where they read other lengths."""
    decisions = [read_decision(path) for path in paths]
    digests = [lock_box.run_digest(path) for path in paths]
    for number, (path, decision) in enumerate(zip(paths, decisions, strict=True)):
        if digests[number] in digests[:number]:
            raise DataError(path, "is the same run as another --run", "name each run once")
        if decision.frames != decisions[0].frames:
            reason = f"reads segments of {decision.frames} frames (T), and {paths[0]} of {decisions[0].frames}"
            raise DataError(path, reason, "evaluate runs of different lengths one by one")
    return decisions


def read_data(
    settings: Evaluate, decisions: Sequence[Decision]
) -> tuple[LabelledSegments | None, LabelledRecordings | None]:
    """What the data folder holds, read and checked."""
    segments, recordings = None, None
    landmark_sets = {decision.data.landmarks for decision in decisions}
    if labelled_data.has_segments(settings.data):
        segments = labelled_data.read_segments(
            settings.data, decisions[0].frames, settings.name_pattern, settings.cache, landmark_sets,
            settings.kind_column, progress.reading,
        )  # fmt: skip
        app.warn(segments.warnings)
    if labelled_data.has_recordings(settings.data):
        recordings = labelled_data.read_recordings(settings.data)
        app.warn(recordings.warnings)
    counts = {
        name: len(set(part.children)) for name, part in (("segments", segments), ("recordings", recordings)) if part
    }
    few = {name: count for name, count in counts.items() if count < settings.fewest_children}
    which = " and ".join(f"{name} of {count} children" for name, count in few.items())
    reason = f"holds {which}, and nothing may be given out about fewer than {settings.fewest_children}"
    if len(few) == len(counts):
        hint = "add children; timeline.py and submission.py predict any number of them"
        raise DataError(settings.data, reason, hint)
    if few:
        app.warn([f"{printable(settings.data)}: {reason}: the {' and '.join(few)} are left out"])
    return None if "segments" in few else segments, None if "recordings" in few else recordings


def predict(
    settings: Evaluate,
    path: Path,
    decision: Decision,
    segments: LabelledSegments | None,
    recordings: LabelledRecordings | None,
    on_cluster: "tasks.Cluster | None",
) -> OneRun:
    """The predictions of one run; those for recordings are kept in the cache."""
    prediction: Prediction | None = None
    windows: dict[Path, Any] | None = None
    if segments is not None:
        run = TrainedRun(path, settings.hardware)
        with progress.progress("predicting", total=len(segments.paths), unit="segment") as bar:
            predicted = run.predict_files(
                segments.paths, segments.folder, list(segments.children), bar.update, on_cluster
            )
        prediction = predicted.with_abstention(settings.abstain)
        app.warn(run.findings(segments.names, prediction))
    if recordings is not None:
        names = [one.name for one in recordings.checked]
        noticed = [one.findings for one in recordings.checked.values()]
        app.warn(fold_for_run(names, noticed, path, decision, "recordings"))
        kept = settings.cache / "evaluation" / lock_box.run_digest(path)[:16]
        predicting = functools.partial(progress.progress, "predicting", unit="frame", unit_scale=True)
        windows = sliding_window.predict_recordings(
            recordings.checked, path, decision, settings.stride_s, settings.abstain, settings.hardware, kept,
            predicting, on_cluster,
        )  # fmt: skip
    return OneRun(path, decision, prediction, windows)


def write(
    settings: Evaluate,
    evaluation: Evaluation,
    runs: Sequence[OneRun],
    segments: LabelledSegments | None,
    recordings: LabelledRecordings | None,
) -> None:
    """Write what may leave and, with --report, what stays inside."""
    from spasm.report.evaluation_page import page  # plots take a second to load

    files.write_json(settings.out / "evaluation.json", evaluation.as_tree())
    files.write_text(settings.out / "evaluation.html", page(evaluation))
    from spasm.report.evaluation_inside import left_inside, write_inside

    inside = settings.out / "inside"
    before = left_inside(inside)
    if not settings.report:
        app.warn(of_earlier(inside, before))
        return

    def watch(total: int) -> Any:
        return progress.progress("explaining", total=total, unit="prediction")

    for number, run in enumerate(runs, 1):
        folder = inside / (f"run_{number}" if len(runs) > 1 else "")
        write_inside(
            folder, run, segments, recordings, settings.given_rule, settings.max_players, settings.hardware, watch
        )
    after = left_inside(inside)
    app.warn(of_earlier(inside, {path: at for path, at in before.items() if after.get(path) == at}))


def of_earlier(inside: Path, left: Mapping[str, int]) -> list[str]:
    """A warning about files that this evaluation did not write."""
    if not left:
        return []
    which, hint = first_few(sorted(left), 3), "it names children; delete what is not needed"
    return [f"{printable(inside)} holds {len(left)} files of an earlier evaluation ({which}): {hint}"]


if __name__ == "__main__":
    sys.exit(app.run(main, Evaluate, __doc__))
