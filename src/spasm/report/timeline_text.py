"""Detected events of recordings and cameras, as text for a terminal."""

import math
from collections.abc import Sequence

import numpy as np

from spasm.config.events import Accumulation, Hysteresis
from spasm.data.pose import FPS
from spasm.inference.event_detection import Event, Rule, clusters, event_level, spans
from spasm.inference.event_evaluation import EventEvaluation
from spasm.inference.recording_summary import RecordingSummary, seen_of
from spasm.report import console
from spasm.video.live_detection import LiveRecording, LiveUpdate

# docs/recordings.md has the full references.
HUMAN_REFERENCES = (
    "How well humans recognise spasms in real videos, not comparable one to one with simulated events: six experts "
    "found 0.56 of the spasms in monitoring videos from outside (Ding et al., J. Shanghai Jiao Tong Univ. Sci.); "
    "112 participants decided 63 % of nine home videos rightly, 73 % with clinical history (Shrock et al., AAN 2023)."
)
NOT_A_DEVICE = "Not a medical device. No event detected does not mean that there was none; see a doctor if in doubt."


def format_time(seconds: float) -> str:
    """1:02:03.4"""
    tenths = round(seconds * 10)
    hours, minutes, rest = tenths // 36000, tenths // 600 % 60, tenths % 600 / 10
    return f"{hours}:{minutes:02}:{rest:04.1f}"


def clock(seconds: float) -> str:
    """0:06, or 1:02:03"""
    whole = math.floor(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def recording_text(summary: RecordingSummary, detected: Sequence[Event], rule: Rule) -> str:
    """What is known of a recording, in a few sentences: a negative one always with the time that was seen."""
    if math.isnan(summary.highest_probability):
        return f"{summary.name}: {summary.note}"
    seen = f"the {seen_of(summary.seen_s, summary.seconds)} with a pose"
    short = f" ({summary.note}: the rest counts as missing)" if summary.note else ""
    highest = f"highest probability {summary.highest_probability:.2f} at {clock(summary.highest_at_s)}"
    if not detected:
        return f"{summary.name}: no event detected in {seen}; {highest}, {events_begin(rule)}{short}"
    strongest = max(detected, key=lambda event: event.peak)
    surest = f"{clock(strongest.onset_s)} (probability {strongest.peak:.2f})"
    if len(detected) == 1:
        return f"{summary.name}: one event like a spasm in {seen}, at {surest}; {events_begin(rule)}{short}"
    sizes = np.bincount(clusters(spans(detected)))[1:]
    in_clusters = f"{len(sizes)} clusters of up to {sizes.max()}" if len(sizes) > 1 else "one cluster"
    return (
        f"{summary.name}: {len(detected)} events like a spasm in {seen}, in {in_clusters}; the first at "
        f"{clock(detected[0].onset_s)}, the most probable at {surest}; {events_begin(rule)}{short}"
    )


def events_begin(rule: Rule) -> str:
    """From which probability on a rule makes an event."""
    if isinstance(rule, Accumulation) and rule.sum_windows > 1:
        return f"events begin where {rule.sum_windows} windows in a row sum to {rule.sum_threshold:.2f}"
    return f"events begin at {event_level(rule):.2f}"


def about_thresholds(rule: Rule | None, label_threshold: float) -> str:
    """How events relate to the labels of submission.py; rule: None where it differs between children."""
    begin = events_begin(rule) if rule else "events begin where it was best on the other children, see recordings.csv"
    is_default = rule in (Accumulation(), Hysteresis())
    few = ", for about one false alarm an hour of simulated recordings" if is_default else ""
    return (
        f"{begin}{few}; submission.py gives the label 1 from {label_threshold:.2f} on, for the highest F1: it can "
        "label segments 1 where no event is detected"
    )


def live_begin(frames: int) -> str:
    """When the first prediction comes of a run whose windows have so many frames."""
    return f"the first prediction needs {frames / FPS:g} s of video; Ctrl-C ends it"


def live_update(update: LiveUpdate) -> str:
    """A line for each new window and each new event."""
    lines = [
        f"{format_time(end_s)}  {_live_value(probability, posed_s, update.is_visible)}"
        for end_s, probability, posed_s in zip(update.ends_s, update.probabilities, update.pose_s, strict=True)
    ]
    for event in update.events:
        between = f"{format_time(event.onset_s)} and {format_time(event.offset_s)}"
        lines.append(f"{format_time(update.time_s)}  ALARM: like a spasm between {between}")
    return "\n".join(lines)


def _live_value(probability: float, posed_s: float, is_visible: bool) -> str:
    if math.isnan(probability):
        return f"{'too little seen' if posed_s else 'no pose'}: no probability"
    return f"probability {probability:.3f}{'' if is_visible else ', no pose now'}"


def live_summary(live: LiveRecording, rule: Rule) -> str:
    """The detected events of a camera's recording, and how fast it was processed."""
    lines = [recording_text(live.summary, live.events, rule)]
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
    if evaluation.missed:
        lines.append(
            f"{evaluation.missed} true events were missed, {evaluation.missed_unseen} of them in time in which nothing "
            "was seen"
        )
    if evaluation.false_alarms_per_seen_hour is not None:
        lines.append(
            f"{evaluation.false_alarms_per_seen_hour:.2f} false alarms per hour that was seen, "
            f"in {evaluation.seen_hours:.2f} of them"
        )
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
    if simulated:
        lines.append(HUMAN_REFERENCES)
    lines.append("SzCORE's margins are for seizures of minutes and flatter short events: read the other metrics.")
    return "\n".join(lines)


def trade_off_table(rows: Sequence[tuple[float, float, float]]) -> str:
    """Limits on false alarms per hour, the false alarms under each, and the sensitivity."""
    lines = ["", f"{'limit on false alarms per hour':>38}{'false alarms/h':>16}{'sensitivity':>13}"]
    lines += [f"{limit:38g}{false:16.2f}{sensitivity:13.3f}" for limit, false, sensitivity in rows]
    return "\n".join(lines)
