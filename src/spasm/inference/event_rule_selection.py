"""Choose the settings that turn probabilities into events, on recordings with known true events."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from spasm.config.fields import SettingsError
from spasm.data.naming import child_of
from spasm.evaluation.event_metrics import EventCounts, Overlap, compare_events
from spasm.inference import event_detection
from spasm.inference.event_detection import Event, Rule, Windows

LIMITS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # false alarms per hour, for the trade-off


@dataclasses.dataclass(frozen=True)
class RuleSelection:
    """The chosen settings that turn probabilities into events."""

    rules: list[Rule]
    """For each of R recordings: chosen on the recordings of the other children."""
    of_all: Rule
    """Chosen on all recordings, for new ones."""
    children: np.ndarray
    """(R,) the child of each recording."""
    counts: np.ndarray
    """(S, R, 5): the first five of `EventCounts` for each candidate."""


def count(windows: Windows, detected: list[Event], true: np.ndarray, overlap: Overlap) -> EventCounts:
    """Counts of matches between the detected and the true events of one recording."""
    detectable_at_s = np.array([event.detectable_at_s for event in detected])
    return compare_events(true, event_detection.spans(detected), detectable_at_s, windows.duration_s, overlap)


def select_rule(
    rule: Rule,
    predicted: Mapping[Path, Windows],
    true: dict[str, np.ndarray],
    overlap: Overlap,
    max_false_alarms_per_hour: float | None,
) -> RuleSelection:
    """Evaluate the candidates of a rule on every recording, for the best F1 or under a limit on false alarms per hour.

    Raises SettingsError if all recordings are of one child, or if one child has all events.
    """
    child = np.array([child_of(path.name) for path in predicted])
    if len(set(child)) < 2:
        raise SettingsError("all recordings are of one child, and there is no other to choose on; give --no-tune-rule")
    tried = event_detection.candidates(rule)
    counts = np.array(
        [
            [
                count(windows, event_detection.detect_events(windows, one), true[path.name], overlap)[:5]
                for path, windows in predicted.items()
            ]
            for one in tried
        ],
        dtype=float,
    )
    for one in sorted(set(child)):
        if not counts[0, child != one, 0].sum():
            reason = f"there is no event of another child than {one} to choose settings on"
            raise SettingsError(f"{reason}; give recordings of more children with events, or --no-tune-rule")

    def best_without(left_out: np.ndarray) -> Rule:
        return tried[event_detection.best(counts[:, ~left_out].sum(1), max_false_alarms_per_hour)]

    rules = [best_without(child == one) for one in child]
    return RuleSelection(rules, best_without(np.zeros(len(child), dtype=bool)), child, counts)


def sensitivity_at_fa_limits(selected: RuleSelection) -> list[tuple[float, float, float]]:
    """For each limit on false alarms per hour, set on the other children: limit, false alarms, sensitivity."""
    rows = []
    for limit in LIMITS:
        reached = np.zeros(5)
        for child in np.unique(selected.children):
            best = event_detection.best(selected.counts[:, selected.children != child].sum(1), limit)
            reached += selected.counts[best][selected.children == child].sum(0)
        rows.append((limit, reached[3] / reached[4], reached[1] / max(reached[0], 1)))
    return rows
