"""When something like a spasm happens in long recordings or videos: a trained run predicts overlapping windows of them.

Writes events.csv (onset, offset, peak probability, cluster, when a live run would have detected it), and for each
recording its probability over time and a figure of it. With --events, which says where the true events are, it also
chooses the settings that make events of probabilities, for each child on the other children's recordings, evaluates
what comes out, and writes rule.json, chosen on all of them, for new recordings: --settings output/timeline/rule.json.

Example: python src/timeline.py input/infants/recordings/child_1_1.npy --run output/main
or: python src/timeline.py video.mp4 --run output/main
or, as it is filmed: python src/timeline.py --camera 0 --run output/main
"""

import dataclasses
import functools
import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from spasm.cli import app, progress
from spasm.config.events import Accumulation, Hysteresis
from spasm.config.fields import SettingsError, settings, within
from spasm.config.runtime import Hardware
from spasm.core import files
from spasm.core.errors import TrainingError
from spasm.core.processes import cpu_count
from spasm.data.recordings import check_recordings, is_simulated
from spasm.inference import event_evaluation, event_rule_selection, sliding_window
from spasm.inference.ensemble_predictor import EnsemblePredictor
from spasm.inference.event_detection import Rule, detect_events, write_events
from spasm.report import console, timeline_plots, timeline_text
from spasm.runs.artefacts import read_decision
from spasm.video import camera, extraction, landmarker, live_detection


@settings
class Timeline:
    """Flags of timeline.py."""

    recordings: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Recordings: .npy files (frames, 33, 5) at 30 frames per second, named {child}_{number}.npy; or videos, which
    extract_pose.py turns into such files."""
    model: Path = Path("input/models/pose_landmarker_full.task")
    """Pose model for videos."""
    camera: str | None = None
    """Watch a camera as it films, in place of recordings: its number, its device, a file, which is played at its own
    pace, or - for a video stream on standard input, such as ffmpeg's."""
    max_people: Annotated[int, within(1, 10)] = 2
    """People looked for in a video, the infant among them; each costs time."""
    pick: Literal["smallest", "largest", "longest"] = "smallest"
    """Which of the people that stay in the picture is the infant."""
    child: Annotated[int | None, within(1, 1_000_000_000)] = None
    """Number of the child that all the videos show; otherwise each video is another child."""
    run: Path = Path("output/main")
    """Trained run that predicts; the children of its data must be others."""
    out: Path = Path("output/timeline")
    """Folder to write; recordings that are predicted there are not predicted again."""
    stride_s: Annotated[float, within(0.1, 60)] = 1.0
    """Seconds between windows, in tenths."""
    rule: Literal["hysteresis", "accumulation"] = "accumulation"
    """How windows become events. Both find as much; accumulation detects it some four seconds earlier."""
    hysteresis: Hysteresis = Hysteresis()
    accumulation: Accumulation = Accumulation()
    events: Path | None = None
    """CSV of true events (recording, onset_s, offset_s), to evaluate by and to choose the rule's settings on."""
    tune_rule: bool = True
    """With --events: choose the settings, for each child on the other children; False evaluates those given."""
    max_false_alarms_per_hour: Annotated[float | None, within(0, 3600)] = None
    """Choose the highest sensitivity with at most so many false alarms in an hour; otherwise the highest F1."""
    tolerance_s: Annotated[float, within(0, 5)] = 1.0
    """Seconds by which an event may miss a true one and still count."""
    hardware: Hardware = Hardware()

    def __post_init__(self) -> None:
        tenths = round(self.stride_s * 10)
        if abs(self.stride_s * 10 - tenths) > 1e-6:
            nearest = tenths / 10
            raise SettingsError(f"--stride-s {self.stride_s} is not in tenths; the nearest valid value is {nearest}")
        other = Hysteresis() if self.rule == "accumulation" else Accumulation()
        if getattr(self, type(other).__name__.lower()) != other:
            name = type(other).__name__.lower()
            flags = ", ".join("--" + field.name.replace("_", "-") for field in dataclasses.fields(other))
            raise SettingsError(f"{flags} belong to --rule {name}, which is not the rule")

    @property
    def rule_given(self) -> Rule:
        """The rule with its settings."""
        return self.hysteresis if self.rule == "hysteresis" else self.accumulation


def main(settings: Timeline) -> int:
    if settings.camera is not None:
        return watch_camera(settings, settings.camera)
    decision, out = read_decision(settings.run), settings.out
    if not settings.recordings:
        raise SettingsError("name a recording: python src/timeline.py input/infants/recordings/child_1_1.npy")
    files.check_writable(out)
    files.remove_stale(out)
    how = extraction.Extraction(out / "videos", settings.model, settings.max_people, settings.pick)
    extracting = functools.partial(progress.progress, "extracting", unit="frame")
    given = extraction.with_recordings_of_videos(settings.recordings, how, settings.child, extracting)
    for one in given.manifests:
        note = f"; {one['note']}" if one["note"] else ""
        print(f"{one['video']}: {one['recording']}, a pose in {one['pose_fraction']:.0%} of its frames{note}")
    lengths = check_recordings(given.paths)
    events = settings.events
    true = event_rule_selection.read_true_events(events, lengths, given.video_of) if events else None
    print(f"trained on {console.data_name(decision.data)}")

    predicting = functools.partial(progress.progress, "predicting", unit="frame", unit_scale=True)
    predicted = sliding_window.predict_recordings(
        lengths, settings.run, decision, settings.stride_s, settings.hardware, out, predicting
    )
    selected = None
    if true and settings.tune_rule:
        overlap = event_evaluation.overlap_rule(settings.tolerance_s)
        limit = settings.max_false_alarms_per_hour
        selected = event_rule_selection.select_rule(settings.rule_given, predicted, true, overlap, limit)
    rules = selected.rules if selected else [settings.rule_given] * len(predicted)
    detected = {
        path: detect_events(windows, rule) for (path, windows), rule in zip(predicted.items(), rules, strict=True)
    }
    write_events(out / "events.csv", {path.name: found for path, found in detected.items()})
    timeline_plots.write_timelines(out, predicted, detected, true, dict(zip(predicted, rules, strict=True)))
    for path, windows in predicted.items():
        print(timeline_text.recording_summary(path.name, windows, detected[path]))

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
        rule = {"rule": settings.rule, "stride_s": settings.stride_s, **dataclasses.asdict(selected.of_all)}
        files.write_json(out / "rule.json", rule)
        print(f"chosen on all of them, for new recordings: --settings {out / 'rule.json'}")
    print(f"written: {out / 'events.csv'}, and a folder for each recording with its probabilities and a figure")
    return 0


def watch_camera(settings: Timeline, name: str) -> int:
    """Predict a camera's frames as they come, and print alarms, until the stream ends or somebody stops it."""
    if settings.recordings or settings.events:
        raise SettingsError("--camera goes without recordings and --events")
    decision = read_decision(settings.run)
    files.check_writable(settings.out)
    landmarker.check_tools(settings.model)
    print(f"trained on {console.data_name(decision.data)}")
    print(timeline_text.live_begin(decision.frames), flush=True)

    def show(update: live_detection.LiveUpdate) -> None:
        print(timeline_text.live_update(update), flush=True)
        if update.is_late:
            warn(f"{update.late_s:.0f} s late; give a longer --stride-s")

    def warn(message: str) -> None:
        print(f"warning: {message}", file=sys.stderr, flush=True)

    with (
        camera.catch_stop_signals() as is_stopped,
        EnsemblePredictor(settings.run, decision, settings.hardware, cpu_count()) as predictor,
    ):
        frames = camera.run_camera(name, settings.model, settings.max_people, settings.pick, is_stopped)
        key = {"camera": name, "stride_s": settings.stride_s}
        live = live_detection.watch(frames, predictor, settings.stride_s, settings.rule_given, settings.out, key, show)
        if live is None:
            raise TrainingError("stopped before its first prediction" if is_stopped() else "there was no frame")
        picture = timeline_plots.timeline(live.folder.name, live.windows, live.events, None, settings.rule_given)
        files.write_bytes(live.folder / "timeline.png", picture)
    print(timeline_text.live_summary(live))
    if live.has_too_few_frames:
        warn("too few to follow a movement; take the lite model or fewer --max-people")
    print(f"written: {live.folder}")
    if live.error:
        raise live.error
    return 0


if __name__ == "__main__":
    sys.exit(app.run(main, Timeline, __doc__))
