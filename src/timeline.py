"""When something like a spasm happens in long recordings or videos: a trained run answers overlapping windows of them.

Writes events.csv (onset, offset, peak probability, cluster, when a live run would have told it), and for each recording
its probability over time and a figure of it. With --events, which says where the true events are, it also chooses the
settings that make events of probabilities, for each child on the other children's recordings, judges what comes out,
and writes rule.json, chosen on all of them, for new recordings: --settings output/timeline/rule.json.

Example: python src/timeline.py input/infants/recordings/child_1_1.npy --run output/main
or: python src/timeline.py film.mp4 --run output/main
or, as it is filmed: python src/timeline.py --camera 0 --run output/main
"""

import contextlib
import dataclasses
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro
from joblib import cpu_count

from spasm.cli import app, progress
from spasm.config.events import Accumulation, Hysteresis
from spasm.config.fields import SettingsError, settings, within
from spasm.config.runtime import Hardware
from spasm.core import files
from spasm.core.errors import DataError, DataProblems, TrainingError, collect_errors
from spasm.data.naming import NAME_PATTERNS, child_of
from spasm.data.pose import FPS, visible_mask
from spasm.data.recordings import frames_of
from spasm.evaluation.event_metrics import SZCORE, Overlap, evaluate_events
from spasm.inference import event_detection, event_rule_selection, sliding_window
from spasm.inference.ensemble_predictor import EnsemblePredictor
from spasm.inference.event_detection import Event, Rule, Windows
from spasm.report import console, timeline_plots
from spasm.runs.decision_json import open_decision
from spasm.video import camera as camera_module
from spasm.video import landmarker


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
    """Trained run that answers; the children of its data must be others."""
    out: Path = Path("output/timeline")
    """Folder to write; recordings that are answered there are not answered again."""
    stride_s: Annotated[float, within(0.1, 60)] = 1.0
    """Seconds between windows, in tenths."""
    rule: Literal["hysteresis", "accumulation"] = "accumulation"
    """How windows become events. Both find as much; accumulation tells it some four seconds earlier."""
    hysteresis: Hysteresis = Hysteresis()
    accumulation: Accumulation = Accumulation()
    events: Path | None = None
    """CSV of true events (recording, onset_s, offset_s), to judge by and to choose the rule's settings on."""
    tune_rule: bool = True
    """With --events: choose the settings, for each child on the other children; False judges those given."""
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


EVENTS = ("recording", "onset_s", "offset_s", "peak_probability", "cluster", "detectable_at_s")
LATE_S = 3.0  # after the last frame; who watches is told when answers come later
FEWEST_A_SECOND = 10  # frames that a camera must give, and of which poses must be found, to follow a movement
LONGEST_S = 10.0  # of a spasm; what is told to last longer counts as several events


def main(settings: Timeline) -> int:
    if settings.camera is not None:
        return run_camera(settings, settings.camera)
    decision = open_decision(settings.run)
    if not settings.recordings:
        raise SettingsError("name a recording: python src/timeline.py input/infants/recordings/child_1_1.npy")
    files.check_writable(settings.out)
    files.remove_stale(settings.out)
    settings, film_of = extracted(settings)
    names = [path.name for path in settings.recordings]
    if len(set(names)) < len(names):
        raise SettingsError("two recordings have the same name; give each its own")
    for path in settings.recordings:
        if not NAME_PATTERNS["safe"].fullmatch(path.name):
            raise DataError(
                path, "is not a recording's name", "name it {child}_{number}.npy, of letters, digits, - and _"
            )
    lengths = frames_of_all(settings.recordings)
    true = event_rule_selection.read(settings.events, lengths, film_of) if settings.events else None
    print(f"trained on {console.data_name(decision['data'])}")

    answered = answer_all(settings, decision, lengths)
    chosen = None
    if true and settings.tune_rule:
        chosen = event_rule_selection.choose(
            given(settings), answered, true, spasms(settings), settings.max_false_alarms_per_hour
        )
    rules = chosen.rules if chosen else [given(settings)] * len(answered)
    told = {
        path: event_detection.told(windows, rule) for (path, windows), rule in zip(answered.items(), rules, strict=True)
    }
    files.write_csv(settings.out / "events.csv", EVENTS, event_rows({path.name: found for path, found in told.items()}))
    for path, windows in answered.items():
        name = f"{'SIMULATED DATA, ' if is_simulated(path) else ''}{path.name}"
        picture = timeline_plots.timeline(name, windows, told[path], true[path.name] if true else None)
        files.write_bytes(settings.out / path.stem / "timeline.png", picture)
        print(summary(path.name, windows, told[path]))
    if true:
        judge(settings, answered, told, true, chosen)
    if chosen:
        rule = {"rule": settings.rule, "stride_s": settings.stride_s, **dataclasses.asdict(chosen.of_all)}
        files.write_json(settings.out / "rule.json", rule)
        print(f"chosen on all of them, for new recordings: --settings {settings.out / 'rule.json'}")
    print(
        f"written: {settings.out / 'events.csv'}, and a folder for each recording with its probabilities and a figure"
    )
    return 0


def extracted(settings: Timeline) -> tuple[Timeline, dict[str, str]]:
    """The settings with a recording in the place of each video, and the video's name of each such recording."""
    films = [path for path in settings.recordings if path.suffix != ".npy"]
    if not films:
        return settings, {}
    out = settings.out / "videos"
    words = ["extract_pose.py", *map(str, films), "--out", str(out), "--model", str(settings.model)]
    words += ["--max-people", str(settings.max_people), "--pick", settings.pick]
    app.call(words + (["--child", str(settings.child)] if settings.child else []))
    made = {kept["video_sha256"]: kept for kept in map(files.read_json, (out / "recordings").glob("*.json"))}
    recordings: list[Path] = []
    film_of = {}
    for path in settings.recordings:
        if path in films:
            kept = made[files.sha256(path)]
            if not kept["recording"]:
                raise DataError(path, kept["note"], "name another video")
            note = f"; {kept['note']}" if kept["note"] else ""
            print(f"{path.name}: {kept['recording']}, a pose in {kept['pose_fraction']:.0%} of its frames{note}")
            film_of[kept["recording"]] = path.name
            path = out / "recordings" / kept["recording"]
        recordings.append(path)
    return dataclasses.replace(settings, recordings=tuple(dict.fromkeys(recordings))), film_of


def event_rows(told: dict[str, list[Event]]) -> Iterator[tuple[object, ...]]:
    """The rows of events.csv, from each recording's events."""
    for name, of_recording in told.items():
        for event, cluster in zip(
            of_recording, event_detection.clusters(event_detection.spans(of_recording)), strict=True
        ):
            onset_s, offset_s, detectable_at_s = (
                f"{value:.2f}" for value in (event.onset_s, event.offset_s, event.detectable_at_s)
            )
            yield name, onset_s, offset_s, f"{event.peak:.4f}", cluster, detectable_at_s


# ---- answering


def frames_of_all(recordings: tuple[Path, ...]) -> dict[Path, int]:
    """Frames in each recording. Raises DataProblems naming all that are none."""
    problems: list[DataError] = []
    lengths = {}
    for path in recordings:
        with collect_errors(problems):
            lengths[path] = frames_of(path)
    if problems:
        raise DataProblems(problems)
    return lengths


def answer_all(settings: Timeline, decision: dict[str, Any], lengths: dict[Path, int]) -> dict[Path, Windows]:
    """Each recording's windows, kept in the folder so that none is answered twice."""
    rests_on = {
        "decision": files.sha256(settings.run / "decision.json"),
        "stride_s": settings.stride_s,
        "precision": settings.hardware.precision,
    }
    keys = {path: {**rests_on, "recording": files.sha256(path)} for path in lengths}
    folders = {path: settings.out / path.stem for path in lengths}
    stride = round(settings.stride_s * FPS)
    before = {path: sliding_window.read(folders[path], stride, keys[path]) for path in lengths}
    left = [path for path in lengths if before[path] is None]
    now: dict[Path, Windows] = {}
    if left:
        total = sum(lengths[path] for path in left)
        with (
            EnsemblePredictor(settings.run, decision, settings.hardware, cpu_count()) as predictor,
            progress.progress("answering", total=total, unit="frame", unit_scale=True) as bar,
        ):
            for path in left:
                answers = sliding_window.answer(path, lengths[path], stride, predictor, bar.update)
                sliding_window.write(folders[path], keys[path], answers)
                written = sliding_window.read(folders[path], stride, keys[path])
                if written is None:
                    raise DataError(folders[path], "was removed or changed as it was written", "run the same again")
                now[path] = written
    return {path: now[path] if windows is None else windows for path, windows in before.items()}


def given(settings: Timeline) -> Rule:
    """The rule as the flags say."""
    return settings.hysteresis if settings.rule == "hysteresis" else settings.accumulation


def spasms(settings: Timeline) -> Overlap:
    """When an event that was told meets a spasm."""
    return Overlap(settings.tolerance_s, settings.tolerance_s, longest_s=LONGEST_S)


# ---- while it is filmed


def run_camera(settings: Timeline, camera: str) -> int:
    """Answer a camera's picture as it comes, and tell of alarms, until the stream ends or somebody stops it."""
    if settings.recordings or settings.events:
        raise SettingsError("--camera goes without recordings and --events")
    decision = open_decision(settings.run)
    files.check_writable(settings.out)
    landmarker.check_tools(settings.model)
    print(f"trained on {console.data_name(decision['data'])}")
    print(f"the first answer needs {decision['frames'] / FPS:g} s of film; Ctrl-C ends it", flush=True)
    with (
        stopped() as is_stopped,
        EnsemblePredictor(settings.run, decision, settings.hardware, cpu_count()) as predictor,
    ):
        poses_so_far = sliding_window.OnlineDetector(predictor, round(settings.stride_s * FPS))
        folder, failed = None, None
        told: list[Event] = []
        late_s: list[float] = []
        looked_at = left_out = answers = 0
        try:
            for seen in camera_module.run_camera(
                camera, settings.model, settings.max_people, settings.pick, is_stopped
            ):
                folder = folder or fresh_folder(settings.out)
                looked_at, left_out = looked_at + seen.looked_at, left_out + seen.left_out
                windows = poses_so_far.add(seen.poses)
                if not windows:
                    continue
                late_s.append(time.monotonic() - seen.taken_s)
                missing_frames = "" if visible_mask(poses_so_far.held[-round(FPS) :]).any() else ", nobody is seen"
                for end_s, chance in zip(windows.ends_s[answers:], windows.probabilities[answers:], strict=True):
                    print(f"{format_time(end_s)}  probability {chance:.3f}{missing_frames}", flush=True)
                before, told = told, event_detection.told(windows, given(settings))
                for event in told[len(before) :]:
                    between = f"{format_time(event.onset_s)} and {format_time(event.offset_s)}"
                    print(f"{format_time(windows.duration_s)}  ALARM: like a spasm between {between}", flush=True)
                if told != before:
                    files.write_csv(folder / "events.csv", EVENTS, event_rows({folder.name: told}))
                if late_s[-1] > LATE_S and (not answers or late_s[-2] <= LATE_S):
                    print(f"warning: {late_s[-1]:.0f} s late; give a longer --stride-s", file=sys.stderr, flush=True)
                answers = len(windows.probabilities)
        except (DataError, TrainingError, OSError) as error:
            failed = error  # what was answered until then is kept
        windows = poses_so_far.so_far() if failed else poses_so_far.finish() if poses_so_far.frames else None
        if not windows or not folder:
            raise failed or TrainingError("stopped before its first answer" if is_stopped() else "there was no frame")
        told = event_detection.told(windows, given(settings))
        files.write_csv(folder / "events.csv", EVENTS, event_rows({folder.name: told}))
        sliding_window.write(folder, {"camera": settings.camera, "stride_s": settings.stride_s}, windows)
        files.write_bytes(folder / "timeline.png", timeline_plots.timeline(folder.name, windows, told, None))
    print(summary(folder.name, windows, told))
    if late_s:
        median_s, most_s = np.quantile(late_s, (0.5, 0.95))
        print(f"answers came {median_s:.2f} s after the last frame that they rest on was taken, 95 % in {most_s:.2f} s")
    print(f"{looked_at} frames were looked at, {left_out} left out because looking takes time")
    if windows.duration_s > 2 and looked_at < FEWEST_A_SECOND * windows.duration_s:
        print("warning: too few to follow a movement; take the lite model or fewer --max-people", file=sys.stderr)
    print(f"written: {folder}")
    if failed:
        raise failed
    return 0


def fresh_folder(out: Path) -> Path:
    """A new folder for what is watched from now on, also where two begin in the same second."""
    name = time.strftime("live_%Y-%m-%d_%H-%M-%S")
    for suffix in ("", *(f"_{number}" for number in range(2, 100))):
        with contextlib.suppress(FileExistsError):
            (out / f"{name}{suffix}").mkdir(parents=True)
            return out / f"{name}{suffix}"
    raise TrainingError(f"{out} holds too many folders of this second")


@contextlib.contextmanager
def stopped() -> Iterator[Callable[[], bool]]:
    """Tells whether Ctrl-C or SIGTERM has come since; both only end the watching, and nothing is lost."""
    came: list[int] = []
    before = {number: signal.signal(number, lambda n, _: came.append(n)) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# ---- what came out


def summary(name: str, windows: Windows, told: list[Event]) -> str:
    """One paragraph on a recording."""
    minutes = windows.duration_s / 60
    length = f"{minutes / 60:.1f} hours" if minutes >= 90 else f"{minutes:.1f} minutes"
    if minutes < 2:
        length = f"{windows.duration_s:.0f} seconds"
    if not told:
        return f"{name}: nothing like a spasm in {length}."
    strongest = max(told, key=lambda event: event.peak)
    surest = f"{format_time(strongest.onset_s)} (probability {strongest.peak:.2f})"
    if len(told) == 1:
        return f"{name}: one event like a spasm in {length}, at {surest}."
    sizes = np.bincount(event_detection.clusters(event_detection.spans(told)))[1:]
    clusters = f"{len(sizes)} clusters of up to {sizes.max()}" if len(sizes) > 1 else "one cluster"
    return (
        f"{name}: {len(told)} events like a spasm in {length}, in {clusters}; "
        f"the first at {format_time(told[0].onset_s)}, the surest at {surest}."
    )


def format_time(seconds: float) -> str:
    """1:02:03.4"""
    tenths = round(seconds * 10)
    hours, minutes, rest = tenths // 36000, tenths // 600 % 60, tenths % 600 / 10
    return f"{hours}:{minutes:02}:{rest:04.1f}"


def judge(
    settings: Timeline,
    answered: dict[Path, Windows],
    told: dict[Path, list[Event]],
    true: dict[str, np.ndarray],
    chosen: event_rule_selection.Chosen | None,
) -> None:
    """Print and write how the events meet the true ones, and what fewer false alarms would cost."""
    children = [child_of(path.name) for path in answered]
    hours = sum(windows.duration_s for windows in answered.values()) / 3600
    how = "settings chosen on the other children, not those given" if chosen else "settings as given"
    tolerance = f"{settings.tolerance_s:g} s tolerance"
    if any(map(is_simulated, answered)):
        print(f"\n{console.SIMULATED}")
    print(f"\n{len(answered)} recordings of {len(set(children))} children, {hours:.2f} h; {settings.rule}, {how}")
    print(f"{'':34}{'value':>7}   95 % interval over children")
    judged: dict[str, Any] = {}
    for name, overlap in ((tolerance, spasms(settings)), ("SzCORE", SZCORE)):
        counts = [
            event_rule_selection.count(windows, told[path], true[path.name], overlap)
            for path, windows in answered.items()
        ]
        figures = evaluate_events(counts, children)
        for key, figure in figures.items():
            value, low, high = map(console.number, (figure["value"], figure["low"], figure["high"]))
            print(f"{key.replace('_', ' ') + ', ' + name:34}{value}   {low} to {high}")
        judged[name] = figures
        if overlap is not SZCORE:
            latency, error = (np.concatenate([one[part] for one in counts]) for part in (5, 6))
    if len(latency):
        judged["median_latency_s"], judged["median_onset_error_s"] = float(np.median(latency)), float(np.median(error))
        judged["median_absolute_onset_error_s"] = float(np.median(np.abs(error)))
        print(
            f"told {np.median(latency):.1f} s after a spasm's onset; the onset is {np.median(error):+.2f} s off, "
            f"{np.median(np.abs(error)):.2f} s either way (medians)"
        )
    met = [event_detection.clusters_met(true[path.name], told[path], settings.tolerance_s) for path in answered]
    pairs = [
        (
            len(set(event_detection.clusters(true[path.name]))),
            len(set(event_detection.clusters(event_detection.spans(told[path])))),
        )
        for path in answered
    ]
    clusters = judged["clusters"] = {
        "true": sum(a for a, _ in pairs),
        "told": sum(b for _, b in pairs),
        "mean_absolute_error_per_recording": float(np.mean([abs(a - b) for a, b in pairs])),
        "share_with_an_event_told": float(np.concatenate(met).mean()),
    }
    print(
        f"clusters: {clusters['told']} told, {clusters['true']} true, "
        f"{clusters['mean_absolute_error_per_recording']:.1f} off in a recording; "
        f"an event is told in {clusters['share_with_an_event_told']:.2f} of the true ones"
    )
    print("SzCORE's margins are for seizures of minutes and flatter short events: read the other figures.")
    files.write_json(settings.out / "event_metrics.json", {"rule": settings.rule, "settings": how, **judged})
    if chosen:
        trade_off(settings, event_rule_selection.sensitivity_at_fa_limits(chosen))


def trade_off(settings: Timeline, rows: list[tuple[float, float, float]]) -> None:
    """Print, write and draw what sensitivity remains under a limit on false alarms, set on the other children."""
    header = ("max_false_alarms_per_hour", "false_alarms_per_hour", "sensitivity")
    files.write_csv(settings.out / "tradeoff.csv", header, rows)
    print(f"\n{'at most so many false alarms an hour':>38}{'there were':>12}{'sensitivity':>13}")
    for limit, false, sensitivity in rows:
        print(f"{limit:38g}{false:12.2f}{sensitivity:13.3f}")
    simulated = any(map(is_simulated, settings.recordings))
    title = f"{'SIMULATED DATA, ' if simulated else ''}{settings.rule}, limits set on the other children"
    files.write_bytes(settings.out / "tradeoff.png", timeline_plots.trade_off(rows, title))


def is_simulated(path: Path) -> bool:
    """Whether simulate.py wrote a recording."""
    return any((folder / "simulated.json").is_file() for folder in path.absolute().parents[:2])


if __name__ == "__main__":
    sys.exit(app.run(main, Timeline, __doc__))
