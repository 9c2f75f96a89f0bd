"""Detected events of recordings and cameras, as text for a terminal."""

from collections.abc import Sequence

import numpy as np

from spasm.data.pose import FPS
from spasm.inference.event_detection import Event, Windows, clusters, spans
from spasm.inference.event_evaluation import EventEvaluation
from spasm.report import console
from spasm.video.live_detection import LiveRecording, LiveUpdate


def format_time(seconds: float) -> str:
    """1:02:03.4"""
    tenths = round(seconds * 10)
    hours, minutes, rest = tenths // 36000, tenths // 600 % 60, tenths % 600 / 10
    return f"{hours}:{minutes:02}:{rest:04.1f}"


def recording_summary(name: str, windows: Windows, detected: Sequence[Event]) -> str:
    """The detected events of a recording, in a few sentences."""
    length = _length(windows.duration_s)
    if windows.unseen_fraction == 1:
        return f"{name}: no pose in {length}; nothing is known about them."
    unseen = f" {unseen_time(windows)}." if windows.unseen_fraction else ""
    if not detected:
        if unseen:
            seen_s = (1 - windows.unseen_fraction) * windows.duration_s
            length = f"the {_length(seen_s)} with a pose, of {length}"
        highest = windows.probabilities[windows.has_pose].max(initial=0)
        return f"{name}: no event detected in {length}; the highest probability was {highest:.2f}.{unseen}"
    strongest = max(detected, key=lambda event: event.peak)
    surest = f"{format_time(strongest.onset_s)} (probability {strongest.peak:.2f})"
    if len(detected) == 1:
        return f"{name}: one event like a spasm in {length}, at {surest}.{unseen}"
    sizes = np.bincount(clusters(spans(detected)))[1:]
    in_clusters = f"{len(sizes)} clusters of up to {sizes.max()}" if len(sizes) > 1 else "one cluster"
    return (
        f"{name}: {len(detected)} events like a spasm in {length}, in {in_clusters}; "
        f"the first at {format_time(detected[0].onset_s)}, the most probable at {surest}.{unseen}"
    )


def _length(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.1f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def unseen_time(windows: Windows) -> str:
    """How much of a recording has no pose."""
    percent = 100 * windows.unseen_fraction
    return f"{'less than 1' if percent < 1 else round(percent)} % of the time could not be seen"


def live_begin(frames: int) -> str:
    """When the first prediction comes of a run whose windows have so many frames."""
    return f"the first prediction needs {frames / FPS:g} s of video; Ctrl-C ends it"


def live_update(update: LiveUpdate) -> str:
    """A line for each new window and each new event."""
    unseen = "" if update.is_visible else ", no pose"
    lines = [
        f"{format_time(end_s)}  probability {probability:.3f}{unseen}"
        for end_s, probability in zip(update.ends_s, update.probabilities, strict=True)
    ]
    for event in update.events:
        between = f"{format_time(event.onset_s)} and {format_time(event.offset_s)}"
        lines.append(f"{format_time(update.time_s)}  ALARM: like a spasm between {between}")
    return "\n".join(lines)


def live_summary(live: LiveRecording) -> str:
    """The detected events of a camera's recording, and how fast it was processed."""
    lines = [recording_summary(live.folder.name, live.windows, live.events)]
    if live.latencies_s:
        median_s, most_s = np.quantile(live.latencies_s, (0.5, 0.95))
        lines.append(f"predictions came {median_s:.2f} s after their last frame was taken, 95 % in {most_s:.2f} s")
    lines.append(f"{live.processed} frames were processed, {live.skipped} skipped because that takes time")
    return "\n".join(lines)


def event_metrics_table(evaluation: EventEvaluation, simulated: bool, rule: str, how: str) -> str:
    """Metrics of detected events with their intervals, their timing and their clusters."""
    lines = ["", console.SIMULATED] if simulated else []
    names = [f"{key.replace('_', ' ')}, {name}" for name, metrics in evaluation.metrics.items() for key in metrics]
    width = max(map(len, names))
    recordings = f"{evaluation.recordings} recordings of {evaluation.children} children, {evaluation.hours:.2f} h"
    lines += ["", f"{recordings}; {rule}, {how}", f"{'':{width}}{'value':>8}   95 % interval over children"]
    for name, metrics in evaluation.metrics.items():
        for key, metric in metrics.items():
            value, low, high = map(console.number, (metric["value"], metric["low"], metric["high"]))
            lines.append(f"{key.replace('_', ' ') + ', ' + name:{width}} {value}   {low} to {high}")
    if evaluation.timing:
        latency_s, error_s, absolute_s = evaluation.timing.values()
        lines.append(
            f"detectable {latency_s:.1f} s after a spasm's onset; the onset is {error_s:+.2f} s off, "
            f"{absolute_s:.2f} s either way (medians)"
        )
    of_clusters = evaluation.clusters
    fraction = of_clusters["fraction_with_a_detected_event"]
    lines.append(
        f"clusters: {of_clusters['detected']} detected, {of_clusters['true']} true, "
        f"{of_clusters['mean_absolute_error_per_recording']:.1f} off in a recording"
        + ("" if fraction is None else f"; an event is detected in {fraction:.2f} of the true ones")
    )
    lines.append("SzCORE's margins are for seizures of minutes and flatter short events: read the other metrics.")
    return "\n".join(lines)


def trade_off_table(rows: Sequence[tuple[float, float, float]]) -> str:
    """Limits on false alarms per hour, the false alarms under each, and the sensitivity."""
    lines = ["", f"{'limit on false alarms per hour':>38}{'false alarms/h':>16}{'sensitivity':>13}"]
    lines += [f"{limit:38g}{false:16.2f}{sensitivity:13.3f}" for limit, false, sensitivity in rows]
    return "\n".join(lines)
