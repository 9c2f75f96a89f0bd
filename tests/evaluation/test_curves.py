"""Every curve equals counting by hand, also with ties, and its band contains it."""

import numpy as np
import pytest

from spasm.evaluation import curves

THRESHOLDS = np.concatenate([np.linspace(0, 1, 201), [0.3, 0.5, 0.7]])


@pytest.fixture(params=range(4))
def rows(request):
    """Labels, probabilities with many ties, and children."""
    generator = np.random.default_rng(request.param)
    probabilities = generator.choice([0.0, 0.1, 0.3, 0.5, 0.7, 1.0], 30) if request.param else generator.random(30)
    labels = (generator.random(30) < 0.3 + 0.4 * probabilities).astype(int)
    return labels, probabilities, [f"{row // 5}" for row in range(30)]


def counted(labels, probabilities, threshold):
    called = probabilities >= threshold
    return (called & (labels == 1)).sum(), called.sum()


def test_hits_and_calls_at_every_threshold_are_those_counted_by_hand(rows):
    labels, probabilities, children = rows
    counts = curves.count(labels, probabilities, children)
    for at, threshold in enumerate(counts.thresholds):
        assert (counts.hits[0, at], counts.calls[0, at]) == counted(labels, probabilities, threshold)
    assert counts.calls[0, 0] == 0
    assert (counts.calls[:, -1] == counts.total[:, 0]).all()


def test_sensitivity_at_each_false_alarm_rate_is_the_highest_there(rows):
    labels, probabilities, children = rows
    curve = curves.roc(curves.count(labels, probabilities, children))
    for share, value in zip(curve.x, curve.y, strict=True):
        best = 0.0
        for threshold in [2, *probabilities]:
            hits, calls = counted(labels, probabilities, threshold)
            if (calls - hits) / (labels == 0).sum() <= share + 1e-9:
                best = max(best, hits / labels.sum())
        assert value == pytest.approx(best)


def test_a_perfect_prediction_finds_all_without_a_false_alarm():
    labels = np.array([0, 1] * 10)
    counts = curves.count(labels, labels * 0.9, [str(row // 4) for row in range(20)])
    assert (curves.roc(counts).y == 1).all()
    assert (curves.precision_recall(counts).y == 1).all()


def test_precision_at_each_sensitivity_is_that_of_the_highest_threshold_that_reaches_it(rows):
    labels, probabilities, children = rows
    curve = curves.precision_recall(curves.count(labels, probabilities, children))
    for share, value in zip(curve.x, curve.y, strict=True):
        for threshold in sorted(set(probabilities), reverse=True):
            hits, calls = counted(labels, probabilities, threshold)
            if hits / labels.sum() >= max(share, 1e-9) - 1e-10:
                assert value == pytest.approx(hits / calls)
                break


def test_f1_at_every_threshold_is_that_counted_by_hand(rows):
    labels, probabilities, children = rows
    curve = curves.f1(curves.count(labels, probabilities, children))
    assert (np.diff(curve.x) >= 0).all()
    for threshold, value in zip(curve.x, curve.y, strict=True):
        hits, calls = counted(labels, probabilities, threshold)
        assert value == pytest.approx(2 * hits / (calls + labels.sum()))


def test_net_benefit_weighs_false_alarms_by_the_odds_of_the_threshold(rows):
    labels, probabilities, children = rows
    worth = np.array([0.05, 0.1, 0.3, 0.5, 0.7, 0.75])
    curve, everything = curves.net_benefit(curves.count(labels, probabilities, children), worth)
    for threshold, value, of_all in zip(worth, curve.y, everything, strict=True):
        hits, calls = counted(labels, probabilities, threshold)
        odds = threshold / (1 - threshold)
        assert value == pytest.approx(100 * (hits - odds * (calls - hits)) / 30)
        assert of_all == pytest.approx(100 * (labels.mean() - odds * (1 - labels.mean())))


def test_f1_at_another_prevalence_is_that_of_so_many_segments():
    curve = curves.f1_at_prevalence(np.array([0.8]), np.array([0.9]), np.array([0.1, 0.5]), children=1)
    # Of 1000 segments 100 positive: 80 hits, 90 false alarms.
    assert curve.y == pytest.approx([2 * 80 / (80 + 90 + 100), 2 * 400 / (400 + 50 + 500)])


def test_bins_hold_every_segment_once_and_their_shares(rows):
    labels, probabilities, children = rows
    bins = curves.reliability(labels, probabilities, children)
    assert sum(part.segments for part in bins) == 30
    for part in bins:
        assert part.low - 1e-9 <= part.mean <= part.high + 1e-9
        assert part.observed_low <= part.observed <= part.observed_high
    whole = sum(part.observed * part.segments for part in bins)
    assert whole == pytest.approx(labels.sum())


def test_equal_probabilities_are_one_bin():
    labels = np.array([0, 1, 1, 0])
    (only,) = curves.reliability(labels, np.full(4, 0.3), ["1", "1", "2", "2"])
    assert (only.mean, only.observed, only.segments, only.children) == (pytest.approx(0.3), 0.5, 4, 2)


def test_bands_hold_the_line_and_come_from_children():
    generator = np.random.default_rng(0)
    labels, children = generator.integers(0, 2, 400), [str(row // 10) for row in range(400)]
    probabilities = np.clip(0.3 * labels + 0.6 * generator.random(400), 0, 1)
    wide = curves.roc(curves.count(labels, probabilities, children))
    inside = (wide.low <= wide.y + 1e-9) & (wide.y <= wide.high + 1e-9)
    assert inside.mean() > 0.98
    alone = curves.roc(curves.count(labels, probabilities, ["one"] * 400))
    assert alone.low == pytest.approx(alone.high)  # one child sampled again and again


def test_one_class_has_no_curve_but_no_error():
    counts = curves.count(np.zeros(6, dtype=int), np.linspace(0.1, 0.6, 6), ["1", "2"] * 3)
    assert np.isnan(curves.roc(counts).y).all()
    assert np.isnan(curves.precision_recall(counts).y).all()
    assert len(curves.net_benefit(counts, np.array([0.2]))[0].y) == 1


def test_many_segments_are_read_at_fewer_thresholds():
    generator = np.random.default_rng(1)
    labels, probabilities = generator.integers(0, 2, 5000), generator.random(5000)
    counts = curves.count(labels, probabilities, [str(row % 50) for row in range(5000)])
    assert len(counts.thresholds) <= curves.MOST_POINTS + 2
    for at in (1, 100, 250):
        assert (counts.hits[0, at], counts.calls[0, at]) == counted(labels, probabilities, counts.thresholds[at])
