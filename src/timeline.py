"""Detect spasm-like events in long recordings, videos or a camera's stream, with a trained run.

Writes events.csv (onset, offset, peak probability, cluster, time of a live detection), and for each recording its
probability over time and a figure. With --events, a table of the true events, it also chooses the settings of the rule
for each child on the other children's recordings, evaluates the detected events, and writes rule.json for new
recordings (--settings output/timeline/rule.json).

Examples:
  python src/timeline.py input/demo/test/child_16_10.npy --run output/demo
  python src/timeline.py "my video.mp4" --run output/main
  python src/timeline.py --camera 0 --run output/main
  python src/timeline.py input/infants/recordings/*.npy --events input/infants/events.csv --run output/main
"""

import dataclasses
import functools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from spasm.cli import app, cluster, progress
from spasm.config.events import Accumulation, Hysteresis
from spasm.config.fields import ADVANCED, POSITIONAL, REPEATED, SettingsError, Shown, settings, within
from spasm.config.pose_files import Place, PoseFileSettings, place_of
from spasm.config.runtime import ABSTAIN, Abstain, Cluster, Hardware
from spasm.core import files
from spasm.core.errors import DataError, TrainingError, group_alike
from spasm.core.outputs import check_folder, check_replaceable
from spasm.core.processes import cpu_count
from spasm.core.text import shell_words
from spasm.data.pictures import MASKS, UNKNOWN_MASK, mask_name
from spasm.data.pose_files.recognise import may_be_poses
from spasm.data.recordings import check_recordings, is_simulated
from spasm.data.true_events import is_table_of_events, read_true_events
from spasm.inference import event_evaluation, event_rule_selection, recording_summary, sliding_window
from spasm.inference.ensemble_predictor import EnsemblePredictor, picture_kinds
from spasm.inference.event_detection import (
    EVENT_COLUMNS,
    STEP_S,
    Event,
    Rule,
    Windows,
    detect_events,
    event_level,
    spans,
    write_events,
)
from spasm.inference.missing_landmarks import fold_for_run, sentences_for_run
from spasm.report import console, templates, timeline_plots, timeline_text
from spasm.runs.artefacts import Decision, read_decision
from spasm.video import camera, extraction, landmarker, live_detection, one_video, pose_import, preview_video
from spasm.video.image_inputs import check_mask
from spasm.video.tracking import Pick

HIGHEST_F1 = Shown(default="the highest F1 instead", advanced=True)


@settings
class Timeline:
    """Flags of timeline.py."""

    recordings: Annotated[tuple[Path, ...], POSITIONAL] = ()
    """Recordings: .npy files (frames, 33, 5) at 30 frames per second, named {child}_{number}.npy; or videos, from
    which poses are extracted first; or pose files of other tools, see import_poses.py."""
    run: Path = Path("output/main")
    """Trained run; the recordings must be of other children than its training data."""
    out: Path = Path("output/timeline")
    """Folder to write; recordings already predicted there are not predicted again."""
    camera: str | None = None
    """Camera to watch instead of recordings: its number, its device, a video file (played at its own speed), or - for a
    video stream on standard input."""
    events: Annotated[tuple[Path, ...], REPEATED] = ()
    """CSV of true events (recording, onset_s, offset_s), review, or folder of reviews; several after one flag or each
    with its own: evaluates the events and tunes the rule."""
    stride_s: Annotated[float, within(0.1, 60)] = 1.0
    """Seconds between windows, in tenths."""
    model: Path = Path("input/models/pose_landmarker_full.task")
    """Pose model for videos; `make pose-model` builds it."""
    child: Annotated[int | None, within(1, 1_000_000_000), Shown(default="another child in each video")] = None
    """Number of the child in all the videos."""
    at: Place | None = None
    """A place of the child at any time, in fractions of the picture's width and height: 0,0 is top left."""
    preview_video: bool = False
    """Write each video again with the child's skeleton, the probability and the events on it, faces blurred."""
    max_people: Annotated[int, within(1, 10), ADVANCED] = 3
    """Most people to find in a video, the child included; more take more time."""
    pick: Annotated[Pick, ADVANCED] = "child"
    """Which person is the child: the likeliest by size and height of the head, or one by size or time in view."""
    mask: Annotated[str | None, Shown(default="as in training", advanced=True)] = None
    """For videos and a run with two_stream_pictures: the mask model's file, where the run was trained with one."""
    preview: Annotated[bool, ADVANCED] = True
    """Write a contact sheet of each video, with blurred faces; --no-preview writes none."""
    pose_file: PoseFileSettings = PoseFileSettings()
    review: bool = False
    """Write a page for each recording on which a clinician reviews its events by keyboard, see docs/review.md."""
    abstain: Abstain = ABSTAIN
    """A window where movement of a shoulder or a hip inside the picture shows in less than this fraction of its frames
    has no probability and gives no event. 0: every pose counts as seen."""
    rule: Annotated[Literal["hysteresis", "accumulation"], ADVANCED] = "accumulation"
    """How windows become events. Both find as many events; accumulation detects them some four seconds earlier."""
    hysteresis: Annotated[Hysteresis, ADVANCED] = Hysteresis()
    accumulation: Annotated[Accumulation, ADVANCED] = Accumulation()
    tune_rule: Annotated[bool, ADVANCED] = True
    """With --events: choose the rule's settings, for each child on the other children's recordings."""
    max_false_alarms_per_hour: Annotated[float | None, within(0, 3600), HIGHEST_F1] = None
    """With --events: choose the highest sensitivity with at most so many false alarms per hour."""
    tolerance_s: Annotated[float, within(0, 5), ADVANCED] = 1.0
    """Seconds by which a detected event may miss a true one and still count."""
    cluster: Cluster = ""
    """Extract and predict on a cluster of Dask: local:N (N tasks at once on this machine), a scheduler's address, or
    the file that it wrote, see docs/cluster.md."""
    hardware: Annotated[Hardware, ADVANCED] = Hardware()

    def __post_init__(self) -> None:
        tenths = round(self.stride_s * 10)
        if abs(self.stride_s * 10 - tenths) > 1e-6:
            nearest = tenths / 10
            raise SettingsError(f"--stride-s {self.stride_s} is not in tenths; the nearest valid value is {nearest}")
        if self.preview_video and not self.preview:
            raise SettingsError("--preview-video needs the places of faces, which --no-preview leaves out; drop one")
        if self.mask:
            check_mask(self.mask)
        other = Hysteresis() if self.rule == "accumulation" else Accumulation()
        if getattr(self, type(other).__name__.lower()) != other:
            name = type(other).__name__.lower()
            flags = ", ".join("--" + field.name.replace("_", "-") for field in dataclasses.fields(other))
            raise SettingsError(f"{flags} need --rule {name}; the rule is {self.rule}")

    @property
    def rule_given(self) -> Rule:
        """The rule with its settings."""
        return self.hysteresis if self.rule == "hysteresis" else self.accumulation


def main(settings: Timeline) -> int:
    if settings.camera is not None:
        return watch_camera(settings, settings.camera)
    settings = with_all_events(settings)
    if not settings.recordings:
        example = shell_words(sys.argv[0], "recording.npy", "--run", settings.run)
        raise SettingsError(f"name recordings or videos: python {example}; or watch a camera: --camera 0")
    cluster.check(settings.cluster)
    pose_import.check_flags(settings.recordings, settings.pose_file)
    decision, out = read_decision(settings.run), settings.out
    mask = mask_for(settings, decision)
    if settings.review:
        templates.check()
    check_folder(out)
    check_replaceable(out / "events.csv", ",".join(EVENT_COLUMNS[:4]).encode(), "a table of detected events")
    check_replaceable(out / "recordings.csv", ",".join(recording_summary.COLUMNS[:4]).encode(), "a table of recordings")
    files.check_writable(out)
    files.remove_stale(out)
    extracting = functools.partial(progress.progress, "extracting", unit="frame")
    importing = pose_import.PoseImport(out / "poses", settings.pose_file, pick=settings.pick, at=place_of(settings.at))
    imported = pose_import.with_recordings_of_pose_files(settings.recordings, importing, settings.child)
    for one in imported.manifests:
        print(pose_import.import_summary(one))
    of_poses = [path for path in imported.paths if path.suffix == ".npy"]
    sliding_window.picture_keys(of_poses, picture_kinds(decision))  # fails now, not after the videos
    how = one_video.Extraction(
        out / "videos",
        settings.model,
        settings.max_people,
        settings.pick,
        place_of(settings.at),
        pictures=pictures_for(decision),
        preview=settings.preview,
        mask=mask,
    )
    needed = extraction.PACKAGES if any(path.suffix != ".npy" for path in imported.paths) else ()
    with cluster.opened(settings.cluster, needed) as on_cluster:
        given = extraction.with_recordings_of_videos(imported.paths, how, settings.child, extracting, on_cluster)
        for one in given.manifests:
            print(one_video.summary(one, how.out))
        app.warn([*given.same, *(f"{one['video']}: {one['note']}" for one in given.manifests if one["note"])])
        source_of = given.video_of | imported.file_of
        checked = check_recordings(given.paths)
        lengths = {path: one.frames for path, one in checked.items()}
        noticed = [one.findings for one in checked.values()]
        app.warn(fold_for_run([path.name for path in checked], noticed, settings.run, decision, "recordings"))
        events = settings.events
        table = None
        if events:
            table = read_true_events(events, lengths, source_of, settings.recordings)
        true = table.spans if table else None
        app.warn(group_alike(table.warnings if table else ()))
        print(f"trained on {console.data_name(decision.data)}")

        predicting = functools.partial(progress.progress, "predicting", unit="frame", unit_scale=True)
        predicted = sliding_window.predict_recordings(
            checked, settings.run, decision, settings.stride_s, settings.abstain, settings.hardware, out, predicting,
            on_cluster,
        )  # fmt: skip
    selected = None
    if true and any(map(len, true.values())) and settings.tune_rule:
        overlap = event_evaluation.overlap_rule(settings.tolerance_s)
        limit = settings.max_false_alarms_per_hour
        selected = event_rule_selection.select_rule(settings.rule_given, predicted, true, overlap, limit)
    rules = selected.rules if selected else [settings.rule_given] * len(predicted)
    detected = {
        path: detect_events(windows, rule) for (path, windows), rule in zip(predicted.items(), rules, strict=True)
    }
    by_name = {path.name: windows for path, windows in predicted.items()}
    write_events(out / "events.csv", {path.name: found for path, found in detected.items()}, by_name)
    rule_of = dict(zip(predicted, rules, strict=True))
    note_of = {one["recording"]: one["note"] for one in (*given.manifests, *imported.manifests)}
    summaries = {
        path: recording_summary.summarize(
            path.name,
            windows,
            detected[path],
            rule_of[path],
            settings.abstain,
            sentences_for_run(checked[path].findings, decision),
            source_of.get(path.name, ""),
            note_of.get(path.name, ""),
        )
        for path, windows in predicted.items()
    }
    recording_summary.write_summaries(out / "recordings.csv", list(summaries.values()))
    names = {path: summary.name for path, summary in summaries.items()}
    timeline_plots.write_timelines(out, predicted, detected, true, rule_of, names)
    for path, summary in summaries.items():
        print(timeline_text.recording_text(summary, detected[path], rule_of[path]))
    print(timeline_text.about_thresholds(None if selected else settings.rule_given, decision.threshold))
    if settings.preview_video:
        write_preview_videos(given, how.out, out, predicted, detected, rule_of)

    simulated = any(map(is_simulated, given.paths))
    if true:
        evaluation = event_evaluation.evaluate_recordings(predicted, detected, true, settings.tolerance_s)
        chosen = "settings chosen on the other children, not those given" if selected else "settings as given"
        description = {"rule": settings.rule, "settings": chosen}
        files.write_json(out / "event_metrics.json", {**description, **evaluation.as_json()})
        print(timeline_text.event_metrics_table(evaluation, simulated, settings.rule, chosen))
    if selected:
        rows = event_rule_selection.sensitivity_at_fa_limits(selected)
        event_evaluation.write_trade_off(out / "tradeoff.csv", rows)
        timeline_plots.write_trade_off(out / "tradeoff.png", rows, settings.rule, evaluation.hours, simulated)
        print(timeline_text.trade_off_table(rows))
        chosen_for = {"rule": settings.rule, "stride_s": settings.stride_s, "abstain": settings.abstain}
        rule = {**chosen_for, **dataclasses.asdict(selected.of_all)}
        files.write_json(out / "rule.json", rule)
        print(f"next:    for new recordings, with the rule chosen on all of these: --settings {out / 'rule.json'}")
    if settings.review:
        from spasm.report import review_page  # here, because it loads matplotlib, for which a help text need not wait

        pages = review_page.write_pages(out, predicted, detected, rule_of, names, decision)
        for page, (path, windows) in zip(pages, predicted.items(), strict=True):
            if not windows.is_seen.any():
                continue  # nothing to review, as the line about the recording says
            task = "review its events" if detected[path] else "add events that were missed"
            print(f"next:    open {page} in a browser, {task} (? lists the keys), and save review.csv")
    tables = f"{out / 'events.csv'}, {out / 'recordings.csv'}"
    print(f"written: {tables}, and for each recording a folder with its probabilities and a figure")
    print(timeline_text.NOT_A_DEVICE)
    return 0


def pictures_for(decision: Decision) -> one_video.Pictures:
    """The pictures of videos that the run's models read."""
    kinds = picture_kinds(decision)
    return "both" if len(kinds) > 1 else next(iter(kinds), "none")


def mask_for(settings: Timeline, decision: Decision) -> str:
    """What cuts out the child in the videos: the mask of the pictures that the run was trained with.

    Raises SettingsError for a flag --mask that is another one, or where the run needs one that is not given.
    """
    wanted, run = picture_kinds(decision).get("two_stream"), shell_words(settings.run)
    others = [path for path in settings.recordings if path.suffix != ".npy" and not path.is_dir()]
    has_videos = not all(map(may_be_poses, others))
    if settings.mask and (wanted is None or not has_videos):
        lacking = f"and {run} has none" if wanted is None else "and for videos, and no video is given"
        raise SettingsError(f"--mask is for runs with two_stream_pictures, {lacking}; leave it out")
    if settings.mask and mask_name(settings.mask) == wanted:
        return settings.mask
    if wanted is None or not has_videos or (wanted in MASKS and not settings.mask):
        return wanted or MASKS[0]
    if wanted in MASKS:
        raise SettingsError(f"{run} was trained with the mask {wanted}, not {settings.mask}; leave --mask out")
    if wanted == UNKNOWN_MASK:
        reason = "was trained on pictures of another tool, which this program cannot make of a video"
        raise SettingsError(f"{run} {reason}; give a recording with pictures of that tool: docs/pictures.md")
    given = f"{settings.mask} is another model" if settings.mask else "none is given"
    raise SettingsError(f"{run} needs the mask model of its training, --mask FILE.onnx (SHA-256 {wanted}); {given}")


def with_all_events(settings: Timeline) -> Timeline:
    """The settings in which tables of events that stand without a flag belong to --events, as in --events a.csv b.csv.

    The parser takes such words for recordings.
    """
    if not settings.events:
        return settings
    tables = tuple(path for path in settings.recordings if is_table_of_events(path))
    recordings = tuple(path for path in settings.recordings if path not in tables)
    return dataclasses.replace(settings, recordings=recordings, events=(*settings.events, *tables))


def write_preview_videos(
    given: extraction.Recordings,
    videos: Path,
    out: Path,
    predicted: Mapping[Path, Windows],
    detected: Mapping[Path, Sequence[Event]],
    rules: Mapping[Path, Rule],
) -> None:
    """Write a preview of each recording that was extracted from a video into the folder of its timeline."""
    for path, windows in predicted.items():
        if path.name not in given.video_of:
            continue
        shown = preview_video.Shown(
            poses=preview_video.read_poses(path),
            curve=windows.curve,
            step_s=STEP_S,
            spans=spans(detected[path]),
            threshold=event_level(rules[path]),
            title=given.video_of[path.name],
        )
        heads = one_video.sheet_of(videos, path.stem)[1]
        written = preview_video.write(given.path_of[path.name], heads, out / path.stem, shown)
        print(f"preview video: {written}")


def watch_camera(settings: Timeline, name: str) -> int:
    """Predict a camera's frames as they come, and print alarms, until the stream ends or the user stops it."""
    if settings.recordings or settings.events or settings.review or settings.cluster or settings.mask:
        others = "recordings, --events, --review, --cluster or --mask"
        raise SettingsError(f"--camera cannot be used with {others}; leave those out")
    decision = read_decision(settings.run)
    if kinds := picture_kinds(decision):
        reason = f"reads pictures ({', '.join(kinds)}), and of a camera only poses are kept"
        raise DataError(settings.run, reason, "record a video and give it, or use a run of models that read poses")
    check_folder(settings.out)
    files.check_writable(settings.out)
    landmarker.check_tools(settings.model)
    print(f"trained on {console.data_name(decision.data)}")
    print(timeline_text.live_begin(decision.frames), flush=True)

    def show(update: live_detection.LiveUpdate) -> None:
        print(timeline_text.live_update(update), flush=True)
        if update.is_late:
            warn(f"predictions are {update.late_s:.0f} s late; use a longer --stride-s")

    def warn(message: str) -> None:
        print(f"warning: {message}", file=sys.stderr, flush=True)

    with (
        camera.catch_stop_signals() as is_stopped,
        EnsemblePredictor(settings.run, decision, settings.hardware, cpu_count()) as predictor,
    ):
        frames = camera.run_camera(
            name, settings.model, settings.max_people, settings.pick, place_of(settings.at), is_stopped
        )
        key = {"camera": name, "stride_s": settings.stride_s, "abstain": settings.abstain}
        live = live_detection.watch(
            frames, predictor, settings.stride_s, settings.abstain, settings.rule_given, settings.out, key, show
        )
        if live is None:
            reason = "stopped before the first frame" if is_stopped() else f"camera {name}: it gave no frame"
            raise TrainingError(f"{reason}; nothing was seen, so nothing can be predicted")
        picture = timeline_plots.timeline(live.folder.name, live.windows, live.events, None, settings.rule_given)
        files.write_bytes(live.folder / "timeline.png", picture)
    print(timeline_text.live_summary(live, settings.rule_given))
    print(timeline_text.about_thresholds(settings.rule_given, decision.threshold))
    if live.has_too_few_frames:
        warn("too few frames to follow a movement; use the lite pose model or fewer --max-people")
    print(f"written: {live.folder}")
    print(timeline_text.NOT_A_DEVICE)
    if live.error:
        raise live.error
    return 0


if __name__ == "__main__":
    sys.exit(app.run(main, Timeline, __doc__))
