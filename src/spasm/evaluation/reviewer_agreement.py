"""How far two reviewers of the same recordings agree: on what is a spasm, on what else it is, and on times.

Kappa: Cohen 1960, Educational and Psychological Measurement 20:37-46. Positive and negative agreement: Cicchetti and
Feinstein 1990, Journal of Clinical Epidemiology 43:551-558. Limits of agreement: Bland and Altman 1986, Lancet
327:307-310.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from spasm.data.naming import child_of
from spasm.data.reviews import OTHER_TYPES, SPASM, ReviewedEvent
from spasm.evaluation import bootstrap
from spasm.evaluation.bootstrap import Estimate

TOLERANCE_S = 1.0  # by which two added events may miss each other and still be one
LIMITS = 1.96  # standard deviations between the mean difference and the limits of agreement
TYPES = (SPASM, *OTHER_TYPES)


class Pair(NamedTuple):
    """An event as each reviewer has it; None where one does not have it."""

    a: ReviewedEvent | None
    b: ReviewedEvent | None


class Both(NamedTuple):
    """An event that both reviewers have."""

    a: ReviewedEvent
    b: ReviewedEvent

    @property
    def is_decided(self) -> bool:
        """Whether both accepted or rejected it."""
        return "unreviewed" not in (self.a.decision, self.b.decision)

    @property
    def is_accepted(self) -> bool:
        """Whether both accepted it."""
        return self.a.decision == self.b.decision == "accepted"

    @property
    def is_rejected(self) -> bool:
        """Whether both rejected it."""
        return self.a.decision == self.b.decision == "rejected"


def match(a: Sequence[ReviewedEvent], b: Sequence[ReviewedEvent], tolerance_s: float = TOLERANCE_S) -> list[Pair]:
    """Every event of two reviews, in order of recording and time, those of both as a pair.

    Detected events are the same if their recording and detected times are. Added ones are the same, one to one, if
    they overlap or miss each other by less than the tolerance; those that share most first.
    """
    of_b = {key: event for event in b if (key := _detected(event))}
    pairs = [Pair(event, of_b.pop(key, None)) for event in a if (key := _detected(event))]
    pairs += [Pair(None, event) for event in of_b.values()]
    added_a, added_b = ([event for event in events if event.detected_s is None] for events in (a, b))
    near = [
        (_shared_s(one, other), i, j)
        for i, one in enumerate(added_a)
        for j, other in enumerate(added_b)
        if one.recording == other.recording and _shared_s(one, other) > -tolerance_s
    ]
    left_a, left_b = dict(enumerate(added_a)), dict(enumerate(added_b))
    for _, i, j in sorted(near, key=lambda found: (-found[0], found[1:])):
        if i in left_a and j in left_b:
            pairs.append(Pair(left_a.pop(i), left_b.pop(j)))
    pairs += [*(Pair(event, None) for event in left_a.values()), *(Pair(None, event) for event in left_b.values())]
    return sorted(pairs, key=_place)


def _detected(event: ReviewedEvent) -> tuple[str, float, float] | None:
    """What identifies a detected event; None for an added one. Times are exported with two decimals."""
    if event.detected_s is None:
        return None
    return event.recording, round(event.detected_s[0], 2), round(event.detected_s[1], 2)


def _shared_s(one: ReviewedEvent, other: ReviewedEvent) -> float:
    """Seconds that two events share; below 0 those between them."""
    return min(one.offset_s, other.offset_s) - max(one.onset_s, other.onset_s)


def _place(pair: Pair) -> tuple[str, float, float]:
    event = pair.a or pair.b
    assert event is not None
    return event.recording, event.onset_s, event.offset_s


def in_both(pairs: Iterable[Pair]) -> Iterator[Both]:
    """The events that both reviewers have."""
    for pair in pairs:
        if pair.a is not None and pair.b is not None:
            yield Both(pair.a, pair.b)


def agreement(pairs: Sequence[Pair], seed: int = 0) -> dict[str, Any]:
    """All numbers of agreement.json; intervals are over children, or over recordings where there is one child."""
    both = list(in_both(pairs))
    detected = [pair for pair in both if pair.a.origin == pair.b.origin == "detected"]
    decided = [pair for pair in detected if pair.is_decided]
    rejected = [pair for pair in decided if pair.is_rejected]
    accepted = [pair for pair in both if pair.is_accepted]
    names = sorted({event.recording for pair in pairs for event in pair if event is not None})
    children = {child_of(name) for name in names}
    over = "children" if len(children) > 1 else "recordings"
    by_decision = _tables(decided, lambda event: int(event.decision == "rejected"), 2, over)
    by_type = _tables(
        rejected, lambda event: TYPES.index(event.type) if event.type else len(TYPES), 1 + len(TYPES), over
    )
    table = by_decision.sum(axis=0)
    only = {side: [pair for pair in pairs if getattr(pair, side) is not None and None in pair] for side in ("a", "b")}
    return {
        "recordings": len(names),
        "children": len(children),
        "intervals_over": over,
        "detected_events": {
            "in_both": len(detected),
            "decided_by_both": len(decided),
            "unreviewed_in_a": sum(pair.a.decision == "unreviewed" for pair in detected),
            "unreviewed_in_b": sum(pair.b.decision == "unreviewed" for pair in detected),
            **{f"only_in_{side}": sum(_origin(pair) == "detected" for pair in one) for side, one in only.items()},
        },
        "decision": {
            "both_accepted": int(table[0, 0]),
            "only_a_accepted": int(table[0, 1]),
            "only_b_accepted": int(table[1, 0]),
            "both_rejected": int(table[1, 1]),
            **_with_intervals(by_decision, seed, specific=True),
        },
        "type_of_rejected": {
            "both_rejected": len(rejected),
            "counts": _counts(rejected),
            **_with_intervals(by_type, seed, specific=False),
        },
        "added_events": {
            "in_both": len(both) - len(detected),
            **{f"only_in_{side}": sum(_origin(pair) == "added" for pair in one) for side, one in only.items()},
        },
        "times_of_accepted": {
            "onset_s": differences([pair.b.onset_s - pair.a.onset_s for pair in accepted]),
            "offset_s": differences([pair.b.offset_s - pair.a.offset_s for pair in accepted]),
        },
    }  # fmt: skip


def _origin(pair: Pair) -> str:
    event = pair.a or pair.b
    assert event is not None
    return event.origin


def _counts(pairs: Sequence[Both]) -> dict[str, dict[str, int]]:
    """How often the first reviewer's type meets the second's."""
    found: dict[str, dict[str, int]] = {}
    for pair in pairs:
        of_a = found.setdefault(pair.a.type, {})
        of_a[pair.b.type] = of_a.get(pair.b.type, 0) + 1
    return found


def _tables(pairs: Sequence[Both], category: Any, count: int, over: str) -> np.ndarray:
    """(G, K, K) how often category i of the first reviewer meets j of the second, by child or recording."""
    clusters = [child_of(pair.a.recording) if over == "children" else pair.a.recording for pair in pairs]
    names = sorted(set(clusters))
    tables = np.zeros((max(1, len(names)), count, count))
    for pair, cluster in zip(pairs, clusters, strict=True):
        tables[names.index(cluster), category(pair.a), category(pair.b)] += 1
    return tables


def _with_intervals(tables: np.ndarray, seed: int, specific: bool) -> dict[str, Estimate]:
    """Agreement and kappa of tables (G, K, K), with intervals over the G; specific: also of accepted and rejected."""
    resampled = bootstrap.sample_children(len(tables), np.random.default_rng(seed))
    point = agreement_of(tables.sum(axis=0)[None], specific)
    replicates = agreement_of(np.tensordot(resampled.astype(float), tables, axes=1), specific)
    return {name: bootstrap.interval(float(point[name][0]), replicates[name], len(tables)) for name in point}


def agreement_of(tables: np.ndarray, specific: bool) -> dict[str, np.ndarray]:
    """Metrics (R,) of tables (R, K, K); NaN where undefined, such as kappa where both give one category only."""
    total = tables.sum(axis=(1, 2))
    same = np.trace(tables, axis1=1, axis2=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = same / total
        by_chance = (tables.sum(axis=2) * tables.sum(axis=1)).sum(axis=1) / total**2
        result = {"agreement": observed, "kappa": (observed - by_chance) / (1 - by_chance)}
        if specific:
            apart = tables[:, 0, 1] + tables[:, 1, 0]
            result["positive_agreement"] = 2 * tables[:, 0, 0] / (2 * tables[:, 0, 0] + apart)
            result["negative_agreement"] = 2 * tables[:, 1, 1] / (2 * tables[:, 1, 1] + apart)
    return result


def differences(values: Sequence[float]) -> dict[str, float | int | None]:
    """Second minus first reviewer, in s: median, quartiles, mean, and limits that hold 95 % of normal differences."""
    found = np.array(values)
    names = ("median", "quartile_1", "quartile_3", "mean", "limit_low", "limit_high")
    if not len(found):
        return {"events": 0, **dict.fromkeys(names)}
    spread = LIMITS * found.std(ddof=1) if len(found) > 1 else np.nan
    mean = found.mean()
    numbers = (*np.percentile(found, (50, 25, 75)), mean, mean - spread, mean + spread)
    return {"events": len(found), **{name: bootstrap.known(value) for name, value in zip(names, numbers, strict=True)}}


def disagreement(pair: Pair, tolerance_s: float = TOLERANCE_S) -> str:
    """Why an event is to be discussed: its decision, type or times, or that one reviewer has it; empty: it is not.

    An event that one reviewer did not decide is no disagreement.
    """
    if pair.a is None or pair.b is None:
        event, side = (pair.a, "a") if pair.a is not None else (pair.b, "b")
        assert event is not None
        return f"only in {side}" if event.decision != "unreviewed" else ""
    if "unreviewed" in (pair.a.decision, pair.b.decision):
        return ""
    if pair.a.decision != pair.b.decision:
        return "decision"
    if pair.a.type != pair.b.type:
        return "type"
    far = max(abs(pair.a.onset_s - pair.b.onset_s), abs(pair.a.offset_s - pair.b.offset_s))
    return "times" if pair.a.decision == "accepted" and far > tolerance_s + 1e-9 else ""
