"""Event metrics of recordings of others equal an independent count, and give out no small group."""

from pathlib import Path

import numpy as np
import pytest
from timescoring.annotations import Annotation
from timescoring.scoring import EventScoring

from spasm.config.events import Hysteresis
from spasm.evaluation.event_metrics import EventCounts
from spasm.inference import external_recordings
from spasm.inference.event_detection import detect_events, make_windows, spans
from spasm.inference.external_recordings import EvaluatedRecordings, weighted_medians

HALF_HOUR = 54_000  # frames
RULE = Hysteresis(0.7, 0.3)
SEED = 2**255 - 19  # of the resamples


def recordings(children: int = 8, controls: int = 2, seed: int = 0) -> tuple[dict, dict]:
    """Windows and true events of children, each with half an hour; the last ones have no event."""
    generator, windows, true = np.random.default_rng(seed), {}, {}
    for child in range(children):
        onsets = np.sort(generator.choice(np.arange(20, 1780, 20), 12, replace=False)).astype(float)
        spasms = np.column_stack([onsets, onsets + 1.5]) if child < children - controls else np.empty((0, 2))
        curve = generator.uniform(0, 0.2, HALF_HOUR // 3).astype(np.float32)
        for onset in spasms[generator.random(len(spasms)) < 0.6, 0]:
            curve[int(onset * 10) + 4 : int(onset * 10) + 14] = 0.9
        for onset in generator.choice(np.arange(30, 1780, 20), 3, replace=False):
            curve[onset * 10 : onset * 10 + 12] = 0.8
        curve[12_000:13_000] = np.nan  # nothing was seen
        count, steps = (HALF_HOUR - 150) // 30 + 1, np.stack([curve, np.full_like(curve, np.nan)])
        path = Path(f"child_id{child}_1.npy")
        windows[path] = make_windows(HALF_HOUR, 150, 30, np.full(count, 0.5), *np.full((2, count), 5.0), steps)
        true[path.name] = spasms
    return windows, true


def evaluated(children: int = 8, controls: int = 2) -> EvaluatedRecordings:
    windows, true = recordings(children, controls)
    return external_recordings.evaluated(windows, RULE, true, 1.0, SEED)


def test_every_event_metric_equals_timescoring_and_a_count_by_hand():
    windows, true = recordings()
    found = external_recordings.evaluate(evaluated(), 5)["metrics"]
    scores = []
    for path, one in windows.items():
        detected = spans(detect_events(one, RULE))
        annotations = [
            Annotation([tuple(event) for event in events], 10, HALF_HOUR // 3) for events in (true[path.name], detected)
        ]
        scores.append(EventScoring(*annotations, EventScoring.Parameters(1, 1, 0, 10, 0)))
    hits, false, events = (sum(getattr(one, name) for one in scores) for name in ("tp", "fp", "refTrue"))
    assert found["event_sensitivity"]["value"] == pytest.approx(hits / events, rel=1e-5)
    assert found["event_precision"]["value"] == pytest.approx(hits / (hits + false), rel=1e-5)
    assert found["event_f1"]["value"] == pytest.approx(2 * hits / (hits + false + events), rel=1e-5)
    assert found["false_alarms_per_hour"]["value"] == pytest.approx(false / 4, rel=1e-5)
    seen_hours = 8 * (1800 - 100) / 3600
    assert found["false_alarms_per_seen_hour"]["value"] == pytest.approx(false / seen_hours, rel=1e-5)
    of_children = [one.tp / one.refTrue for one in scores if one.refTrue]
    assert found["sensitivity_mean_over_children"]["value"] == pytest.approx(np.mean(of_children), rel=5e-3)
    per_hour = [one.fp / 0.5 for one in scores]
    assert found["false_alarms_per_hour_mean_over_children"]["value"] == pytest.approx(np.mean(per_hour), rel=5e-3)
    unseen = sum(((spasms >= 1200) & (spasms <= 1300)).all(axis=1).sum() for spasms in true.values())
    assert found["events_missed_while_nothing_was_seen"]["value"] == pytest.approx(unseen / events, rel=1e-5)


def test_clusters_and_latency_equal_a_count_by_hand():
    windows, true = recordings()
    tree = external_recordings.evaluate(evaluated(), 5)
    grouped, met, latencies = 0, 0, []
    for path, one in windows.items():
        events, spasms = detect_events(one, RULE), true[path.name]
        hit = []
        for onset, offset in spasms:
            matching = [event for event in events if event.onset_s < offset + 1 and event.offset_s > onset - 1]
            hit.append(bool(matching))
            latencies += [matching[0].detectable_at_s - onset] if matching else []
        starts = [0, *(np.flatnonzero(np.diff(spasms[:, 0]) - 1.5 > 30) + 1)] if len(spasms) else []
        parts = np.split(np.array(hit), starts[1:]) if len(spasms) else []
        grouped, met = grouped + len(parts), met + sum(part.any() for part in parts)
    assert tree["metrics"]["clusters_with_a_detected_event"]["value"] == pytest.approx(met / grouped, rel=1e-5)
    assert tree["metrics"]["true_clusters_per_hour"]["value"] == pytest.approx(grouped / 4, rel=1e-5)
    assert tree["timing"]["latency_s"]["value"] == pytest.approx(np.median(latencies), rel=1e-5)
    assert tree["timing"]["latency_s"]["low"] <= tree["timing"]["latency_s"]["value"]


def test_the_trade_off_has_the_given_rule_at_other_levels_only_and_falls():
    tree = external_recordings.evaluate(evaluated(), 5)
    rates = [level["false_alarms_per_hour"]["value"] for level in tree["trade_off"]]
    assert rates == sorted(rates, reverse=True) and rates[0] > rates[-1]
    at = next(level for level in tree["trade_off"] if level["level"] == 0.7)
    assert at["event_sensitivity"] == tree["metrics"]["event_sensitivity"]


def test_what_rests_on_few_children_with_events_is_suppressed_and_false_alarms_are_not():
    tree = external_recordings.evaluate(evaluated(children=9, controls=5), 5)
    for name in (
        "event_sensitivity",
        "event_precision",
        "event_f1",
        "detected_clusters_per_hour",
        "clusters_with_a_detected_event",
        "sensitivity_mean_over_children",
    ):
        assert tree["metrics"][name]["suppressed"], name
    assert tree["timing"]["latency_s"]["suppressed"]
    assert tree["metrics"]["false_alarms_per_hour"]["value"] > 0
    assert all(level["event_sensitivity"]["suppressed"] for level in tree["trade_off"])


def test_subgroups_of_recordings_are_suppressed_in_pairs_and_otherwise_complete():
    one = evaluated(children=16)
    halves = np.where(np.isin(one.children, [f"id{number}" for number in range(6)]), "a", "b")
    found = external_recordings.partition(one, halves, 5)
    assert {name: cell["children"] for name, cell in found["cells"].items()} == {"a": 6, "b": 10}
    alone = external_recordings.evaluate(one.only(halves == "a"), 5)["metrics"]["event_sensitivity"]
    assert found["cells"]["a"]["metrics"]["event_sensitivity"] == alone
    few = external_recordings.partition(one, np.where(one.children == "id3", "Alexander", "others"), 5)
    assert few == {"cells": {}, "hidden_cells": 2}


def test_two_runs_are_compared_in_the_same_resamples():
    windows, true = recordings()
    strict = external_recordings.evaluated(windows, Hysteresis(0.85, 0.3), true, 1.0, SEED)
    found = external_recordings.compare(strict, evaluated(), 5)
    assert found["false_alarms_per_hour"]["high"] < 0, "the stricter rule has fewer in every resample"
    assert found["event_sensitivity"]["value"] <= 0


def test_weighted_medians_are_those_of_repeated_values():
    generator = np.random.default_rng(0)
    values, weights = generator.normal(size=7), generator.integers(0, 4, (50, 7))
    weights[0] = 0
    expected = [np.median(np.repeat(values, row)) if row.any() else np.nan for row in weights]
    assert weighted_medians(values, weights) == pytest.approx(expected, nan_ok=True)


def detected_in(children: int, true: int = 7) -> EvaluatedRecordings:
    """Ten children, of whom so many have detected events: four of their true ones, and five false alarms."""

    def counts() -> list[EventCounts]:
        some, none = (true, min(4, true), 9, 5), (true, 0, 0, 0)
        times = np.zeros(min(4, true))
        return [EventCounts(*(some if child < children else none), 1.0, times, times) for child in range(10)]

    names, ones, levels = np.array([f"id{child}" for child in range(10)]), np.ones(10), external_recordings.LEVELS
    clusters, missed = np.tile([3 if true else 0, 1, 0], (10, 1)), np.zeros((10, 2))
    by_level = {level: counts() for level in levels}
    return EvaluatedRecordings(names, counts(), counts(), ones, clusters, missed, by_level, SEED)


@pytest.mark.parametrize("true", [7, 0])
def test_what_counts_detected_events_of_few_children_is_suppressed(true):
    tree = external_recordings.evaluate(detected_in(4, true), 5)
    shown = {name for name, cell in tree["metrics"].items() if cell["value"] is not None}
    assert shown == {"true_clusters_per_hour"} | (set() if true else {"event_f1"}), "without events F1 is always 0"
    for table in (tree["szcore"], *tree["trade_off"]):
        assert not any(table[name]["value"] for name in external_recordings.SCALES)
    tree = external_recordings.evaluate(detected_in(5, true), 5)
    assert tree["metrics"]["false_alarms_per_hour"]["value"] == 2.5
    assert (tree["metrics"]["event_sensitivity"]["value"] is None) == (true == 0)
    tree = external_recordings.evaluate(detected_in(0, true), 5)
    assert tree["metrics"]["false_alarms_per_hour"]["value"] == 0, "that none is detected is about all children"
